//! Who holds which samples: dividing one data set between peers.
//!
//! Real devices do not see the same mixture of classes, and merging is easy
//! while they do; the skewed divisions here are the ones that the literature on
//! federated learning measures with (Hsu et al., arXiv 1909.06335, for the
//! Dirichlet one; McMahan et al., arXiv 1602.05629, for shards). A division is
//! a pure function of labels, number of peers and seed: each index goes to
//! exactly one peer and each peer gets at least [`SAMPLES_PER_PEER_MIN`].

use std::fmt;
use std::str::FromStr;

use crate::train::draw::{Draw, Purpose};

/// Fewest samples a peer gets: two batches of 16.
///
/// Whoever falls short takes samples from the peer that has the most.
pub const SAMPLES_PER_PEER_MIN: usize = 32;

/// Most peers a data set is divided between.
pub const PEERS_MAX: usize = 65_536;

/// One of the two groups of peers of [`Partition::Split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Holds mostly the lower half of the classes.
    Low,
    /// Holds mostly the upper half of the classes.
    High,
}

/// How a data set is divided.
#[derive(Debug, Clone, PartialEq)]
pub enum Partition {
    /// Everybody gets the same mixture of classes and nearly the same number.
    Iid,
    /// Each class is divided by shares drawn from a Dirichlet distribution.
    Dirichlet {
        /// The skew: 100 is nearly even, 0.5 is skewed, 0.1 leaves most peers a few classes.
        alpha: f64,
    },
    /// Samples sorted by label are cut into equal runs; each peer gets some of them.
    Shards {
        /// How many runs each peer gets, and so about how many classes at most.
        per_peer: u16,
    },
    /// For experiments with a cut between two groups: each holds mostly the
    /// classes that the other lacks.
    Split {
        /// The Dirichlet skew inside a group.
        alpha: f64,
        /// The group of each peer, in order.
        sides: Vec<Side>,
        /// How much a peer counts in the other group's classes, where 1 is as much as there.
        weight: f64,
    },
}

/// Why a data set cannot be divided as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// Nobody to divide between, or too many.
    #[error("cannot divide data between {0} peers: 1 to {PEERS_MAX} are possible")]
    Peers(usize),
    /// There are not enough samples for everybody's minimum.
    #[error(
        "{samples} samples are too few for {peers} peers: each needs at least {SAMPLES_PER_PEER_MIN}"
    )]
    TooFewSamples {
        /// Samples there are.
        samples: usize,
        /// Peers to serve.
        peers: usize,
    },
    /// A Dirichlet parameter is out of range.
    #[error("alpha {0} is out of range: use 0.001 to 10000, where smaller is more skewed")]
    Alpha(f64),
    /// The number of shards per peer is out of range, given the samples.
    #[error("{0} shards per peer are out of range: use at least 1 and at most one per sample")]
    Shards(u16),
    /// `sides` does not name one group per peer.
    #[error("a split for {peers} peers names {sides} sides")]
    Sides {
        /// Peers to serve.
        peers: usize,
        /// Sides named.
        sides: usize,
    },
    /// The weight across a split is out of range.
    #[error("weight {0} is out of range: use 0.0001 to 1")]
    Weight(f64),
    /// A text names no way of dividing.
    #[error("`{0}` is no way to divide data: use `iid`, `dirichlet:ALPHA` or `shards:PER-PEER`")]
    Unknown(String),
}

impl Partition {
    /// Divides the samples with these labels between `peers` peers.
    ///
    /// Returns, for each peer, the ascending indices of its samples. The same
    /// arguments give the same answer on every machine.
    pub fn assign(
        &self,
        labels: &[u8],
        peers: usize,
        seed: &[u8; 32],
    ) -> Result<Vec<Vec<u32>>, PartitionError> {
        self.check(labels.len(), peers)?;
        let mut draw = Draw::new(seed, Purpose::Partition, 0);
        let mut parts = match self {
            Self::Iid => deal(labels, peers, &mut draw),
            Self::Dirichlet { alpha } => {
                divide_classes(labels, peers, &mut draw, |_, draw| draw.dirichlet(*alpha, peers))
            }
            Self::Shards { per_peer } => shards(labels, peers, usize::from(*per_peer), &mut draw),
            Self::Split { alpha, sides, weight } => {
                let middle = (highest(labels) + 1).div_ceil(2);
                divide_classes(labels, peers, &mut draw, |class, draw| {
                    let home = if class < middle { Side::Low } else { Side::High };
                    let mut shares = draw.dirichlet(*alpha, peers);
                    weigh(&mut shares, sides, home, *weight);
                    shares
                })
            }
        };
        top_up(&mut parts, &mut draw);
        parts.iter_mut().for_each(|part| part.sort_unstable());
        Ok(parts)
    }

    fn check(&self, samples: usize, peers: usize) -> Result<(), PartitionError> {
        if peers == 0 || peers > PEERS_MAX {
            return Err(PartitionError::Peers(peers));
        }
        if samples / peers < SAMPLES_PER_PEER_MIN {
            return Err(PartitionError::TooFewSamples { samples, peers });
        }
        match self {
            Self::Iid => Ok(()),
            Self::Dirichlet { alpha } => check_alpha(*alpha),
            Self::Shards { per_peer }
                if *per_peer == 0 || usize::from(*per_peer) > samples / peers =>
            {
                Err(PartitionError::Shards(*per_peer))
            }
            Self::Shards { .. } => Ok(()),
            Self::Split { sides, .. } if sides.len() != peers => {
                Err(PartitionError::Sides { peers, sides: sides.len() })
            }
            Self::Split { weight, .. } if !(0.0001..=1.0).contains(weight) => {
                Err(PartitionError::Weight(*weight))
            }
            Self::Split { alpha, .. } => check_alpha(*alpha),
        }
    }
}

fn check_alpha(alpha: f64) -> Result<(), PartitionError> {
    if (0.001..=10_000.0).contains(&alpha) { Ok(()) } else { Err(PartitionError::Alpha(alpha)) }
}

fn highest(labels: &[u8]) -> usize {
    labels.iter().max().map_or(0, |label| usize::from(*label))
}

/// The indices of each class, each list in random order.
fn by_class(labels: &[u8], draw: &mut Draw) -> Vec<Vec<u32>> {
    let mut classes = vec![Vec::new(); highest(labels) + 1];
    for (index, label) in (0..).zip(labels) {
        classes[usize::from(*label)].push(index);
    }
    classes.iter_mut().for_each(|class| draw.shuffle(class));
    classes
}

/// Deals class after class like cards, so that every peer gets an equal share of each.
fn deal(labels: &[u8], peers: usize, draw: &mut Draw) -> Vec<Vec<u32>> {
    let mut parts = vec![Vec::new(); peers];
    for (turn, index) in by_class(labels, draw).into_iter().flatten().enumerate() {
        parts[turn % peers].push(index);
    }
    parts
}

/// Divides each class by the shares that `shares_of` gives for it.
fn divide_classes(
    labels: &[u8],
    peers: usize,
    draw: &mut Draw,
    mut shares_of: impl FnMut(usize, &mut Draw) -> Vec<f64>,
) -> Vec<Vec<u32>> {
    let mut parts = vec![Vec::new(); peers];
    for (class, indices) in by_class(labels, draw).into_iter().enumerate() {
        let shares = shares_of(class, draw);
        let mut taken = 0;
        let mut sum = 0.0;
        for (part, share) in parts.iter_mut().zip(&shares) {
            sum += share;
            // A saturating float-to-integer cast: both bounds are harmless here.
            let end = ((sum * indices.len() as f64) as usize).clamp(taken, indices.len());
            part.extend_from_slice(&indices[taken..end]);
            taken = end;
        }
        // Rounding may leave a last sample or two.
        parts[peers - 1].extend_from_slice(&indices[taken..]);
    }
    parts
}

/// Reduces the shares of the peers away from `home` and makes the sum 1 again.
fn weigh(shares: &mut [f64], sides: &[Side], home: Side, weight: f64) {
    for (share, side) in shares.iter_mut().zip(sides) {
        *share *= if *side == home { 1.0 } else { weight };
    }
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        shares.iter_mut().for_each(|share| *share /= sum);
    }
}

/// Cuts the samples, sorted by label, into equal runs and deals the runs.
fn shards(labels: &[u8], peers: usize, per_peer: usize, draw: &mut Draw) -> Vec<Vec<u32>> {
    let sorted = by_class(labels, draw).concat();
    let count = peers * per_peer;
    let mut order: Vec<usize> = (0..count).collect();
    draw.shuffle(&mut order);
    let mut parts = vec![Vec::new(); peers];
    for (turn, run) in order.into_iter().enumerate() {
        let [start, end] = [run, run + 1].map(|cut| cut * sorted.len() / count);
        parts[turn / per_peer].extend_from_slice(&sorted[start..end]);
    }
    parts
}

/// Moves random samples from the largest part to each part below the minimum.
fn top_up(parts: &mut [Vec<u32>], draw: &mut Draw) {
    for poor in 0..parts.len() {
        while parts[poor].len() < SAMPLES_PER_PEER_MIN {
            let rich =
                (0..parts.len()).max_by_key(|part| parts[*part].len()).expect("there is a part");
            let given = draw.index(parts[rich].len());
            let sample = parts[rich].swap_remove(given);
            parts[poor].push(sample);
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iid => write!(f, "iid"),
            Self::Dirichlet { alpha } => write!(f, "dirichlet:{alpha}"),
            Self::Shards { per_peer } => write!(f, "shards:{per_peer}"),
            Self::Split { alpha, weight, .. } => write!(f, "split:{alpha}:{weight}"),
        }
    }
}

impl FromStr for Partition {
    type Err = PartitionError;

    /// Reads `iid`, `dirichlet:0.5` or `shards:2`; a split is made in code only.
    fn from_str(text: &str) -> Result<Self, PartitionError> {
        let unknown = || PartitionError::Unknown(text.chars().take(64).collect());
        match text.split_once(':') {
            None if text == "iid" => Ok(Self::Iid),
            Some(("dirichlet", alpha)) => {
                let alpha = alpha.parse().map_err(|_| unknown())?;
                check_alpha(alpha)?;
                Ok(Self::Dirichlet { alpha })
            }
            Some(("shards", count)) => match count.parse().map_err(|_| unknown())? {
                0 => Err(PartitionError::Shards(0)),
                per_peer => Ok(Self::Shards { per_peer }),
            },
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(samples: usize, classes: u8) -> Vec<u8> {
        (0..samples).map(|index| (index % usize::from(classes)) as u8).collect()
    }

    fn sides(peers: usize) -> Vec<Side> {
        (0..peers).map(|peer| if peer < peers / 2 { Side::Low } else { Side::High }).collect()
    }

    /// How many samples of each class each peer has.
    fn table(parts: &[Vec<u32>], labels: &[u8]) -> Vec<Vec<usize>> {
        let mut table = vec![vec![0; highest(labels) + 1]; parts.len()];
        for (row, part) in table.iter_mut().zip(parts) {
            part.iter().for_each(|index| row[usize::from(labels[*index as usize])] += 1);
        }
        table
    }

    fn arb_partition(peers: usize) -> impl Strategy<Value = Partition> {
        prop_oneof![
            Just(Partition::Iid),
            (0.001..50.0f64).prop_map(|alpha| Partition::Dirichlet { alpha }),
            (1..20u16).prop_map(|per_peer| Partition::Shards { per_peer }),
            (0.01..5.0f64, 0.0001..1.0f64).prop_map(move |(alpha, weight)| Partition::Split {
                alpha,
                sides: sides(peers),
                weight
            }),
        ]
    }

    proptest! {
        #[test]
        fn gives_each_index_once_and_everybody_the_minimum(
            (peers, partition) in (1..24usize).prop_flat_map(|peers| (Just(peers), arb_partition(peers))),
            extra in 0..500usize,
            classes in 1..12u8,
            seed in any::<[u8; 32]>(),
        ) {
            let labels = labels(peers * SAMPLES_PER_PEER_MIN + extra, classes);
            let parts = partition.assign(&labels, peers, &seed).unwrap();
            prop_assert_eq!(parts.len(), peers);
            prop_assert!(parts.iter().all(|part| part.len() >= SAMPLES_PER_PEER_MIN));
            prop_assert!(parts.iter().all(|part| part.is_sorted()));
            let mut all = parts.concat();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..labels.len() as u32));
            prop_assert_eq!(partition.assign(&labels, peers, &seed).unwrap(), parts);
        }
    }

    #[test]
    fn iid_gives_everybody_the_same_mixture() {
        let labels = labels(1003, 10);
        let parts = Partition::Iid.assign(&labels, 5, &[1; 32]).unwrap();
        for row in table(&parts, &labels) {
            assert!(row.iter().all(|count| (19..=22).contains(count)), "{row:?}");
        }
    }

    #[test]
    fn smaller_alpha_is_more_skewed() {
        let labels = labels(8000, 10);
        let skew = |alpha| {
            let parts = Partition::Dirichlet { alpha }.assign(&labels, 8, &[2; 32]).unwrap();
            let most = |row: &Vec<usize>| {
                *row.iter().max().unwrap() as f64 / row.iter().sum::<usize>() as f64
            };
            table(&parts, &labels).iter().map(most).sum::<f64>() / 8.0
        };
        let [strong, weak, none] = [0.1, 1.0, 1000.0].map(skew);
        assert!(
            strong > 0.4 && strong > weak && weak > none && none < 0.13,
            "{strong} {weak} {none}"
        );
    }

    #[test]
    fn shards_limit_the_classes_of_a_peer() {
        let labels = labels(8000, 10);
        let parts = Partition::Shards { per_peer: 2 }.assign(&labels, 20, &[3; 32]).unwrap();
        for (row, part) in table(&parts, &labels).iter().zip(&parts) {
            assert!(row.iter().filter(|count| **count > 0).count() <= 4, "{row:?}");
            assert_eq!(part.len(), 400);
        }
    }

    #[test]
    fn split_keeps_most_of_a_class_on_its_side() {
        let labels = labels(8000, 10);
        let partition = Partition::Split { alpha: 0.3, sides: sides(12), weight: 0.05 };
        let parts = partition.assign(&labels, 12, &[4; 32]).unwrap();
        let table = table(&parts, &labels);
        let on_low = |class: usize| table[..6].iter().map(|row| row[class]).sum::<usize>();
        let low: usize = (0..5).map(on_low).sum();
        let high: usize = (5..10).map(on_low).sum();
        assert!(low > 3000 && high < 1000, "{low} of the low classes, {high} of the high ones");
    }

    #[test]
    fn depends_on_the_seed() {
        let labels = labels(1000, 10);
        let assign = |seed| Partition::Iid.assign(&labels, 5, &[seed; 32]).unwrap();
        assert_ne!(assign(1), assign(2));
    }

    #[test]
    fn refuses_impossible_divisions() {
        let labels = labels(1000, 10);
        let split = |alpha, sides, weight| Partition::Split { alpha, sides, weight };
        let cases = [
            (Partition::Iid, 0, PartitionError::Peers(0)),
            (Partition::Iid, 32, PartitionError::TooFewSamples { samples: 1000, peers: 32 }),
            (Partition::Dirichlet { alpha: 0.0 }, 5, PartitionError::Alpha(0.0)),
            (Partition::Shards { per_peer: 0 }, 5, PartitionError::Shards(0)),
            (Partition::Shards { per_peer: 201 }, 5, PartitionError::Shards(201)),
            (split(1.0, sides(4), 0.5), 5, PartitionError::Sides { peers: 5, sides: 4 }),
            (split(1.0, sides(5), 0.0), 5, PartitionError::Weight(0.0)),
            (split(-1.0, sides(5), 0.5), 5, PartitionError::Alpha(-1.0)),
        ];
        for (partition, peers, error) in cases {
            assert_eq!(partition.assign(&labels, peers, &[0; 32]), Err(error));
        }
        let nan = Partition::Dirichlet { alpha: f64::NAN };
        assert!(matches!(nan.assign(&labels, 5, &[0; 32]), Err(PartitionError::Alpha(_))));
    }

    #[test]
    fn reads_back_what_it_shows() {
        for text in ["iid", "dirichlet:0.5", "shards:2"] {
            assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
        }
        for text in
            ["", "IID", "dirichlet", "dirichlet:x", "shards:-1", "split:0.3:0.05", "dirichlet:NaN"]
        {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
    }
}
