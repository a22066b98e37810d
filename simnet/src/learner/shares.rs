//! Shares: how much of its data each peer keeps, how its sensors distort it, and
//! how it changes over time.

use longhaul_node::train::{Dataset, Samples};
use rand_chacha::ChaCha20Rng;

use super::{LearnerError, Shares};
use crate::scenario::{Group, Scenario};
use crate::seeds::{self, Node, Purpose};

/// The samples that a peer trains on, one stretch of time after another.
pub(super) type Stretches = Vec<Vec<u32>>;

/// Stretches that drifting data is cut into.
const STRETCHES: usize = 4;

/// All samples with the shifted ones behind them, and for each peer the samples
/// of each stretch of time.
pub(super) fn prepare(
    scenario: &Scenario,
    (data, parts): Shares,
) -> Result<(Dataset, Vec<Stretches>), LearnerError> {
    let (groups, of_peer) = (scenario.groups(), scenario.group_of_peers());
    let most = scenario.data.samples_per_peer_max.map(|most| most.get());
    let mut shifted = Shifted::of(&data);
    let mut stretches = Vec::new();
    for (peer, mut own) in (0_u16..).zip(parts) {
        let group = &groups[of_peer[usize::from(peer)]];
        let mut stream = seeds::stream(scenario.seed, Node::Peer(peer), Purpose::Shift);
        keep(&mut own, most, group, &mut stream);
        if let Some(shift) = group.feature_shift {
            own = shifted.add(data.train(), &own, shift.get(), &mut stream);
        }
        stretches.push(match group.drift_epochs {
            Some(_) => cut(data.train(), &own),
            None => vec![own],
        });
    }
    Ok((shifted.into_dataset(data)?, stretches))
}

/// Epochs of a stretch, for peers whose data drifts.
pub(super) fn drift_epochs(scenario: &Scenario) -> Vec<Option<u32>> {
    let groups = scenario.groups();
    let of = |group: usize| groups[group].drift_epochs.map(|epochs| epochs.get());
    scenario.group_of_peers().into_iter().map(of).collect()
}

/// Leaves a peer as many samples as it may have; at least two.
fn keep(own: &mut Vec<u32>, most: Option<u32>, group: &Group, stream: &mut ChaCha20Rng) {
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    own.truncate(most.max(2));
    if let Some(least) = group.quantity_min {
        let share = least.get() + (1.0 - least.get()) * seeds::unit(stream);
        let kept = (share * own.len() as f64).round() as usize;
        own.truncate(kept.max(2));
    }
}

/// Samples sorted by class and cut into stretches: as time passes, a peer sees
/// other classes.
fn cut(train: &Samples, own: &[u32]) -> Vec<Vec<u32>> {
    let label = |index: &u32| train.labels().get(usize::try_from(*index).unwrap_or(usize::MAX));
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|index| (label(index).copied(), *index));
    let length = sorted.len().div_ceil(STRETCHES).max(2);
    let stretches: Vec<Vec<u32>> = sorted.chunks(length).map(<[u32]>::to_vec).collect();
    // A stretch of one sample could hold none out.
    stretches.into_iter().filter(|stretch| stretch.len() >= 2).collect()
}

/// Copies of samples as other sensors would have taken them.
struct Shifted {
    features: usize,
    classes: usize,
    inputs: Vec<f32>,
    labels: Vec<u8>,
    first: usize,
}

impl Shifted {
    fn of(data: &Dataset) -> Self {
        let train = data.train();
        Self {
            features: train.features(),
            classes: train.classes(),
            inputs: Vec::new(),
            labels: Vec::new(),
            first: train.len(),
        }
    }

    /// Adds a peer's samples with its own gain and offset; gives their places.
    fn add(
        &mut self,
        train: &Samples,
        own: &[u32],
        shift: f64,
        stream: &mut ChaCha20Rng,
    ) -> Vec<u32> {
        let mut error = || shift * (2.0 * seeds::unit(stream) - 1.0);
        let (gain, offset) = ((1.0 + error()) as f32, error() as f32);
        let begin = self.first + self.labels.len();
        for &index in own {
            let index = usize::try_from(index).expect("a u32 fits a usize");
            self.inputs.extend(train.input(index).iter().map(|value| value * gain + offset));
            self.labels.push(train.labels()[index]);
        }
        let places = begin..self.first + self.labels.len();
        places.filter_map(|place| u32::try_from(place).ok()).collect()
    }

    fn into_dataset(self, data: Dataset) -> Result<Dataset, LearnerError> {
        if self.labels.is_empty() {
            return Ok(data);
        }
        let more = Samples::new(self.features, self.classes, self.inputs, self.labels)?;
        let train = data.train().clone().join(&more)?;
        Ok(Dataset::new(train, data.test().clone())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn shares(peers: usize) -> Shares {
        let rows = 40 * peers;
        let labels: Vec<u8> = (0..rows).map(|row| (row % 4) as u8).collect();
        let samples = |labels: Vec<u8>| {
            Samples::new(1, 4, vec![1.0; labels.len()], labels).expect("sound samples")
        };
        let data = Dataset::new(samples(labels), samples(vec![0, 1])).expect("one shape");
        let part = |peer: usize| (0..40).map(|row| (40 * peer + row) as u32).collect();
        (data, (0..peers).map(part).collect())
    }

    fn scenario(change: impl Fn(&mut Group)) -> Scenario {
        let mut scenario = testing::scenario();
        scenario.group = scenario.groups();
        change(&mut scenario.group[0]);
        scenario
    }

    #[test]
    fn without_any_skew_the_shares_stay_as_they_are() {
        let (data, stretches) = prepare(&scenario(|_| {}), shares(4)).expect("shares");
        assert_eq!(data.train().len(), 160);
        assert!(stretches.iter().all(|it| it.len() == 1 && it[0].len() == 40));
    }

    #[test]
    fn quantity_skew_keeps_a_drawn_share() {
        let scenario = scenario(|group| group.quantity_min = Some(0.25.try_into().expect("share")));
        let (_, stretches) = prepare(&scenario, shares(4)).expect("shares");
        let counts: Vec<_> = stretches.iter().map(|it| it[0].len()).collect();
        assert!(counts.iter().all(|count| (10..=40).contains(count)), "{counts:?}");
        assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?}");
    }

    #[test]
    fn feature_shift_gives_each_peer_its_own_sensor() {
        let scenario = scenario(|group| group.feature_shift = Some(0.5.try_into().expect("shift")));
        let (data, stretches) = prepare(&scenario, shares(4)).expect("shares");
        assert_eq!(data.train().len(), 320);
        let first = |peer: usize| data.train().input(stretches[peer][0][0] as usize)[0];
        assert_ne!(first(0), 1.0);
        assert_ne!(first(0), first(1));
    }

    #[test]
    fn drift_gives_each_stretch_other_classes() {
        let scenario = scenario(|group| group.drift_epochs = Some(5.try_into().expect("epochs")));
        let (data, stretches) = prepare(&scenario, shares(4)).expect("shares");
        assert_eq!(stretches[0].len(), STRETCHES);
        let label = |index: u32| data.train().labels()[index as usize];
        for (class, stretch) in (0_u8..).zip(&stretches[0]) {
            assert!(stretch.iter().all(|index| label(*index) == class));
        }
    }
}
