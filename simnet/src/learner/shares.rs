//! Shares: how much of its data each peer keeps, how its sensors distort it, and
//! how it changes over time.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::train::{DatasetError, Samples};
use rand_chacha::ChaCha20Rng;

use super::source::Source;
use crate::scenario::{Group, Scenario};
use crate::seeds::{self, Node, Purpose};

/// Stretches that drifting data is cut into.
const STRETCHES: usize = 4;

/// What the scenario says about everybody's share.
#[derive(Debug)]
pub(super) struct Shares {
    seed: u64,
    most: usize,
    groups: Vec<Group>,
    of_peer: Vec<usize>,
}

/// What one peer trains on.
#[derive(Debug)]
pub(super) struct Share {
    /// A set that has its samples.
    pub samples: Arc<Samples>,
    /// Its samples, one stretch of time after another; one stretch where nothing
    /// drifts.
    pub stretches: Vec<Vec<u32>>,
    /// True if nobody else uses the set.
    pub is_own_set: bool,
}

impl Shares {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let most = scenario.data.samples_per_peer_max;
        let most = most.map(|most| usize::try_from(most.get()).unwrap_or(usize::MAX));
        Self {
            seed: scenario.seed,
            most: most.unwrap_or(usize::MAX),
            groups: scenario.groups(),
            of_peer: scenario.group_of_peers(),
        }
    }

    /// The share of `peer`: a pure function of the scenario.
    pub(super) fn share(&self, source: &Source, peer: u16) -> Result<Share, DatasetError> {
        let group = self.group(peer);
        let mut stream = seeds::stream(self.seed, Node::Peer(peer), Purpose::Shift);
        let kept = self.kept(source.count(peer), group, &mut stream);
        let (mut samples, mut own) = source.first(peer, kept);
        if let Some(shift) = group.feature_shift {
            samples = shifted(&samples, &own, shift.get(), &mut stream)?.into();
            own = (0..).take(own.len()).collect();
        }
        let stretches = match group.drift_epochs {
            Some(_) => cut(&samples, &own),
            None => vec![own],
        };
        let is_own_set = group.feature_shift.is_some() || !source.is_shared();
        Ok(Share { samples, stretches, is_own_set })
    }

    /// Names everybody's skew.
    pub(super) fn name(&self) -> ContentHash {
        let skew = |&group: &usize| {
            let group = &self.groups[group];
            let (quantity, shift) = (group.quantity_min, group.feature_shift);
            let drift = group.drift_epochs.map(|length| length.get());
            (quantity.map(|it| it.get()), shift.map(|it| it.get()), drift)
        };
        let skews: Vec<_> = self.of_peer.iter().map(skew).collect();
        ContentHash::of(format!("{} {} {skews:?}", self.seed, self.most).as_bytes())
    }

    /// How many stretches have passed before `epoch`.
    pub(super) fn passed(&self, peer: u16, epoch: u32) -> usize {
        let length = self.group(peer).drift_epochs.map(|length| length.get());
        length.map_or(0, |length| usize::try_from(epoch / length).unwrap_or_default())
    }

    fn group(&self, peer: u16) -> &Group {
        &self.groups[self.of_peer[usize::from(peer)]]
    }

    /// How many of its `count` samples a peer keeps; at least two, if it has them.
    fn kept(&self, count: usize, group: &Group, stream: &mut ChaCha20Rng) -> usize {
        let count = count.min(self.most.max(2));
        let Some(least) = group.quantity_min else { return count };
        let share = least.get() + (1.0 - least.get()) * seeds::unit(stream);
        let kept = (share * count as f64).round() as usize;
        count.min(kept.max(2))
    }
}

/// Samples sorted by class and cut into stretches: as time passes, a peer sees
/// other classes.
fn cut(train: &Samples, own: &[u32]) -> Vec<Vec<u32>> {
    let label = |index: &u32| train.labels().get(place(*index));
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|index| (label(index).copied(), *index));
    let length = sorted.len().div_ceil(STRETCHES).max(2);
    let stretches: Vec<Vec<u32>> = sorted.chunks(length).map(<[u32]>::to_vec).collect();
    // A stretch of one sample could hold none out.
    stretches.into_iter().filter(|stretch| stretch.len() >= 2).collect()
}

/// Copies of a peer's samples as its own sensor would have taken them: with another
/// gain and offset.
fn shifted(
    train: &Samples,
    own: &[u32],
    shift: f64,
    stream: &mut ChaCha20Rng,
) -> Result<Samples, DatasetError> {
    let mut error = || shift * (2.0 * seeds::unit(stream) - 1.0);
    let (gain, offset) = ((1.0 + error()) as f32, error() as f32);
    let inputs = own.iter().flat_map(|&index| train.input(place(index)));
    let inputs = inputs.map(|value| value * gain + offset).collect();
    let labels = own.iter().map(|&index| train.labels()[place(index)]).collect();
    Samples::new(train.features(), train.classes(), inputs, labels)
}

fn place(index: u32) -> usize {
    usize::try_from(index).expect("a u32 fits a usize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use longhaul_node::train::data::edgesense;

    fn shares(change: impl Fn(&mut Group)) -> Vec<Share> {
        let mut scenario = testing::scenario();
        scenario.group = scenario.groups();
        change(&mut scenario.group[0]);
        let model = "edgesense-cnn".parse().expect("a model");
        let source = Source::of(&scenario, &model, None).expect("built-in data");
        let shares = Shares::of(&scenario);
        (0..4).map(|peer| shares.share(&source, peer).expect("a share")).collect()
    }

    #[test]
    fn without_any_skew_the_shares_are_the_recordings() {
        for share in shares(|_| {}) {
            assert_eq!(share.samples.len(), edgesense::WINDOWS_PER_DEVICE);
            assert_eq!(share.stretches, [(0..240).collect::<Vec<_>>()]);
        }
    }

    #[test]
    fn quantity_skew_keeps_a_drawn_share() {
        let shares = shares(|group| group.quantity_min = Some(0.25.try_into().expect("share")));
        let counts: Vec<_> = shares.iter().map(|it| it.stretches[0].len()).collect();
        assert!(counts.iter().all(|count| (60..=240).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
        assert!(shares.iter().all(|it| it.samples.len() == it.stretches[0].len()));
    }

    #[test]
    fn feature_shift_gives_each_peer_its_own_sensor() {
        let (plain, shifted) = (shares(|_| {}), {
            shares(|group| group.feature_shift = Some(0.5.try_into().expect("shift")))
        });
        let gain = |peer: usize| {
            let [a, b] = [&shifted, &plain].map(|it| it[peer].samples.inputs());
            (a[1] - a[0]) / (b[1] - b[0])
        };
        assert!((gain(0) - 1.0).abs() > 1e-3 && (gain(0) - gain(1)).abs() > 1e-3);
        assert!(shifted.iter().all(|it| it.is_own_set && it.stretches[0].len() == 240));
    }

    #[test]
    fn drift_gives_each_stretch_other_classes() {
        let shares = shares(|group| group.drift_epochs = Some(5.try_into().expect("epochs")));
        let share = &shares[0];
        assert_eq!(share.stretches.len(), STRETCHES);
        let label = |index: &u32| share.samples.labels()[*index as usize];
        let ends = share.stretches.iter().map(|it| (label(&it[0]), label(&it[it.len() - 1])));
        let ends: Vec<_> = ends.collect();
        assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ends:?}");
        assert_ne!(ends[0], ends[3]);
    }
}
