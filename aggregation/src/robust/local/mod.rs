//! Local rules: what a peer makes of its own vector and those of its neighbours.
//!
//! Each trusts its own vector or its own data, so that every peer gets another output: a
//! manifest, whose fold all peers must agree on, refuses them. A file for each, with its
//! source, what it bears and what it costs. All move from the own vector by a weighted sum of
//! differences to the neighbours' and read every vector twice: O(n d), no dot products of
//! pairs.

mod balance;
mod clipped_gossip;
mod cs_plus;
mod fltrust;
mod judged;
mod monna;
mod ubar;

use super::input::{Real, Vectors};
use super::{RobustError, dust, kernel};

pub use clipped_gossip::Radius;

/// A local rule.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalRule {
    /// Gossip averaging: the sum by the weights of the mixing matrix; bears nobody.
    Gossip,
    /// ClippedGossip, or SCClip (see `clipped_gossip`).
    ClippedGossip {
        /// How far a neighbour may pull.
        radius: Radius,
    },
    /// CS+ (see `cs_plus`).
    ClippedSum {
        /// The weight of attackers among the neighbours, b.
        attacking: f64,
    },
    /// MoNNA's aggregation (see `monna`).
    Nearest {
        /// Attackers among the neighbours, f.
        attackers: usize,
    },
    /// BALANCE (see `balance`).
    Balance {
        /// How far from the own vector one may be, in norms of it, gamma.
        gamma: f64,
        /// How fast that shrinks, kappa.
        kappa: f64,
        /// The weight of the own vector, alpha.
        alpha: f64,
        /// Rounds in all, T.
        rounds: u64,
    },
    /// UBAR, or Mozi (see `ubar`).
    Ubar {
        /// The share of the neighbours that are near enough, rho.
        share: f64,
        /// The weight of the own vector, alpha.
        alpha: f64,
    },
    /// FLTrust with the own update as the reference (see `fltrust`).
    FlTrust,
    /// Judging by held-out samples, ours (see `judged`).
    Judged {
        /// What is left of a score after a round.
        decay: f64,
        /// The first rounds, in which nobody is heard.
        alone: u64,
    },
}

/// The own vector, the neighbours' vectors, and what the mixing matrix gives them.
#[derive(Debug, Clone)]
pub struct Neighbourhood<'a, T> {
    vectors: Vectors<'a, T>,
    numbers: Vec<usize>,
    weights: Vec<f64>,
}

/// What a peer keeps from one round to the next: rounds passed, and a score of each neighbour,
/// who must keep its number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    rounds: u64,
    scores: Vec<f64>,
}

/// The loss of a vector on a peer's own data.
pub type OwnLoss<'a, T> = dyn FnMut(&[T]) -> f64 + 'a;

impl<'a, T: Real> Neighbourhood<'a, T> {
    /// The own vector and each neighbour's with its weight; neighbours whose vector is unsound
    /// or of another length are left out, and their weight falls to the own vector. None if
    /// the own vector is unsound.
    pub fn new(
        own: &'a [T],
        neighbours: &[&'a [T]],
        weights: &[f64],
    ) -> Result<Option<Self>, RobustError> {
        let sum: f64 = weights.iter().sum();
        let fits = weights.len() == neighbours.len() && weights.iter().all(|it| *it >= 0.0);
        if !fits || !(0.0..=1.0 + 1e-9).contains(&sum) {
            let range = "a non-negative number for each neighbour, at most one together";
            let value = format!("{weights:?}");
            return Err(RobustError::Parameter { what: "the mixing weights", value, range });
        }
        let rows: Vec<&[T]> = std::iter::once(own).chain(neighbours.iter().copied()).collect();
        let (vectors, kept) = Vectors::sound(&rows, own.len());
        let own_is_sound = kept.first() == Some(&0);
        let numbers: Vec<usize> = kept.into_iter().skip(1).map(|it| it - 1).collect();
        let weights = numbers.iter().map(|&it| weights[it]).collect();
        Ok(vectors.filter(|_| own_is_sound).map(|vectors| Self { vectors, numbers, weights }))
    }

    /// Number of neighbours with a sound vector.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The numbers of these neighbours among those given.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// What the mixing matrix gives them.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The own vector.
    pub fn own(&self) -> &'a [T] {
        self.vectors.rows()[0]
    }

    /// A neighbour's vector.
    pub fn neighbour(&self, index: usize) -> &'a [T] {
        self.vectors.rows()[index + 1]
    }

    /// The distance of each neighbour.
    pub fn distances(&self) -> Vec<f64> {
        let own = self.own();
        self.vectors.rows()[1..].iter().map(|it| squared_distance(own, it).sqrt()).collect()
    }

    /// The own vector moved by `factors` of the differences to the neighbours.
    pub fn moved(&self, factors: &[f64]) -> Vec<T> {
        let stays = 1.0 - factors.iter().sum::<f64>();
        let weights: Vec<f64> = std::iter::once(stays).chain(factors.iter().copied()).collect();
        self.summed(&weights)
    }

    /// The sum of the own vector and the neighbours' by weights.
    fn summed(&self, weights: &[f64]) -> Vec<T> {
        let weighed = weights.iter().copied().enumerate().filter(|it| it.1 != 0.0);
        let weighed: Vec<_> = weighed.collect();
        let mut sums = vec![T::default(); self.vectors.len()];
        dust::without(&self.vectors, &mut sums, |part, out| kernel::combine(part, &weighed, out));
        sums
    }
}

impl Memory {
    /// The score of a neighbour, at first zero.
    fn score(&mut self, number: usize) -> &mut f64 {
        if self.scores.len() <= number {
            self.scores.resize(number + 1, 0.0);
        }
        &mut self.scores[number]
    }
}

impl LocalRule {
    /// True if it takes updates, which are differences to a vector before, and not models.
    pub const fn takes_updates(&self) -> bool {
        matches!(self, Self::FlTrust)
    }

    /// The next own vector. `loss` is asked by rules that trust the own data alone; a loss
    /// that is not a number counts as infinite.
    pub fn mix<T: Real>(
        &self,
        hood: &Neighbourhood<'_, T>,
        memory: &mut Memory,
        loss: &mut OwnLoss<'_, T>,
    ) -> Result<Vec<T>, RobustError> {
        memory.rounds += 1;
        let factors = match *self {
            Self::Gossip => hood.weights.clone(),
            Self::ClippedGossip { radius } => clipped_gossip::factors(hood, radius)?,
            Self::ClippedSum { attacking } => cs_plus::factors(hood, attacking)?,
            Self::Nearest { attackers } => monna::factors(hood, attackers)?,
            Self::Balance { gamma, kappa, alpha, rounds } => {
                let passed = memory.rounds as f64 / rounds.max(1) as f64;
                balance::factors(hood, [gamma, kappa, alpha], passed)?
            }
            Self::Ubar { share, alpha } => ubar::factors(hood, share, alpha, loss)?,
            Self::Judged { decay, alone } => judged::factors(hood, (decay, alone), memory, loss)?,
            Self::FlTrust => return Ok(hood.summed(&fltrust::weights(hood))),
        };
        Ok(hood.moved(&factors))
    }
}

/// The loss, infinite where it is not a number.
fn asked<T>(loss: &mut OwnLoss<'_, T>, vector: &[T]) -> f64 {
    let found = loss(vector);
    if found.is_nan() { f64::INFINITY } else { found }
}

/// Checks a parameter that is a share, 0 to 1.
fn share(what: &'static str, value: f64) -> Result<f64, RobustError> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(value),
        false => {
            Err(RobustError::Parameter { what, value: value.to_string(), range: "from 0 to 1" })
        }
    }
}

/// The numbers of `values` from the smallest on; of equal ones the first comes first.
fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    order
}

/// Lanes that are summed apart, so that the loop is not one chain of additions.
const LANES: usize = 8;

fn squared_distance<T: Real>(one: &[T], other: &[T]) -> f64 {
    summed(one, other, |one, other| (one - other) * (one - other))
}

fn dot<T: Real>(one: &[T], other: &[T]) -> f64 {
    summed(one, other, |one, other| one * other)
}

fn summed<T: Real>(one: &[T], other: &[T], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let ((ones, one_rest), (others, other_rest)) =
        (one.as_chunks::<LANES>(), other.as_chunks::<LANES>());
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..LANES {
            sums[lane] += term(one[lane].to_f64(), other[lane].to_f64());
        }
    }
    let rest =
        one_rest.iter().zip(other_rest).map(|(one, other)| term(one.to_f64(), other.to_f64()));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A neighbourhood of rows with equal weights.
    pub(super) fn hood<'a>(own: &'a [f64], others: &'a [Vec<f64>]) -> Neighbourhood<'a, f64> {
        let rows: Vec<&[f64]> = others.iter().map(Vec::as_slice).collect();
        let weights = vec![1.0 / (others.len() + 1) as f64; others.len()];
        Neighbourhood::new(own, &rows, &weights).expect("sound weights").expect("a sound own")
    }

    fn rules() -> Vec<LocalRule> {
        vec![
            LocalRule::Gossip,
            LocalRule::ClippedGossip { radius: Radius::Fixed(1.0) },
            LocalRule::ClippedGossip { radius: Radius::Adaptive { attacking: 0.3 } },
            LocalRule::ClippedGossip { radius: Radius::SecondFarthest },
            LocalRule::ClippedSum { attacking: 0.2 },
            LocalRule::Nearest { attackers: 0 },
            LocalRule::Balance { gamma: 0.3, kappa: 1.0, alpha: 0.5, rounds: 10 },
            LocalRule::Ubar { share: 0.4, alpha: 0.5 },
            LocalRule::FlTrust,
            LocalRule::Judged { decay: 0.9, alone: 0 },
        ]
    }

    #[test]
    fn gossip_is_the_sum_by_weights_and_the_unsound_fall_to_the_own() {
        let own = [1.0, 1.0];
        let rows: [&[f64]; 4] = [&[5.0, 1.0], &[f64::NAN, 0.0], &[9.0], &[1.0, 9.0]];
        let hood = Neighbourhood::new(&own, &rows, &[0.25; 4]).expect("weights").expect("own");
        assert_eq!((hood.count(), hood.numbers()), (2, &[0, 3][..]));
        let mixed = LocalRule::Gossip.mix(&hood, &mut Memory::default(), &mut |_| 0.0);
        assert_eq!(mixed, Ok(vec![2.0, 3.0]));
        assert!(
            Neighbourhood::new(&[f64::NAN, 1.0], &rows, &[0.25; 4]).expect("weights").is_none()
        );
        for weights in [vec![0.25; 3], vec![0.5; 4], vec![0.1, 0.1, 0.1, -0.1], vec![f64::NAN; 4]] {
            assert!(Neighbourhood::new(&own, &rows, &weights).is_err(), "{weights:?}");
        }
    }

    #[test]
    fn a_peer_without_neighbours_keeps_its_vector() {
        let own = [1.0, -2.0];
        for rule in rules() {
            let mixed = rule.mix(&hood(&own, &[]), &mut Memory::default(), &mut |_| 0.0);
            assert_eq!(mixed, Ok(own.to_vec()), "{rule:?}");
        }
    }

    proptest! {
        #[test]
        fn outputs_are_finite_and_peers_that_agree_stay(
            own in prop::collection::vec(-1e15_f64..1e15, 3),
            others in prop::collection::vec(prop::collection::vec(prop::num::f64::ANY, 3), 0..6),
            losses in prop::collection::vec(prop::num::f64::ANY, 16),
        ) {
            for rule in rules() {
                let mut given = losses.iter().copied().cycle();
                let mut loss = |_: &[f64]| given.next().unwrap_or(0.0);
                let mixed = rule.mix(&hood(&own, &others), &mut Memory::default(), &mut loss);
                let mixed = mixed.expect("sound parameters");
                prop_assert!(mixed.iter().all(|it| it.is_finite()), "{rule:?} {mixed:?}");
                let same = vec![own.clone(); 3];
                let mixed = rule.mix(&hood(&own, &same), &mut Memory::default(), &mut |_| 0.0);
                for (found, own) in mixed.expect("sound parameters").iter().zip(&own) {
                    prop_assert!((found - own).abs() <= 1e-9 * own.abs(), "{rule:?}");
                }
            }
        }
    }
}
