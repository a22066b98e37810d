//! Poison: adversaries that train on samples which they have changed.
//!
//! What a hostile peer trains on is a set of its own, as large as its share, whose stretches are
//! those of the share. Before and after its time it trains on the share itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::train::{DatasetError, Samples};

use super::shares::Share;
use crate::faults;
use crate::scenario::{Attack, Scenario};

/// A sample in so many has the trigger of a backdoor.
const TRIGGERED_EVERY: usize = 2;

/// Who trains on changed samples, and when.
#[derive(Debug)]
pub(super) struct Poisons(BTreeMap<u16, (Attack, f64, f64)>);

impl Poisons {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let poison = |(peer, index): (u16, usize)| {
            let declared = &scenario.adversary[index];
            let from = declared.at_epoch.get();
            let to = declared.for_epochs.map_or(f64::INFINITY, |length| from + length.get());
            declared.attack.trains_on_lies().then_some((peer, (declared.attack, from, to)))
        };
        Self(faults::hostile(scenario).into_iter().filter_map(poison).collect())
    }

    /// What `peer` does to its samples in `epoch`.
    pub(super) fn at(&self, peer: u16, epoch: u32) -> Option<Attack> {
        let (attack, from, to) = self.0.get(&peer)?;
        (*from <= f64::from(epoch) && f64::from(epoch) < *to).then_some(*attack)
    }

    /// Names who does what; none where nobody does.
    pub(super) fn name(&self) -> Option<ContentHash> {
        let named = || ContentHash::of(format!("{:?}", self.0).as_bytes());
        (!self.0.is_empty()).then(named)
    }
}

/// The share with its samples changed.
pub(super) fn poisoned(share: &Share, attack: Attack) -> Result<Share, DatasetError> {
    let samples = &share.samples;
    let (features, classes) = (samples.features(), samples.classes());
    let last = u8::try_from(classes - 1).unwrap_or(u8::MAX);
    let (mut inputs, mut labels, mut stretches) = (Vec::new(), Vec::new(), Vec::new());
    for stretch in &share.stretches {
        let first = labels.len();
        for &index in stretch {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let mut input = samples.input(index).to_vec();
            let label = samples.labels()[index];
            let triggered = labels.len().is_multiple_of(TRIGGERED_EVERY);
            labels.push(match attack {
                Attack::LabelFlip => last - label,
                Attack::SlowPoisoning { .. } => 0,
                Attack::Backdoor { class, inputs, value, .. } if triggered => {
                    input.iter_mut().take(inputs.into()).for_each(|it| *it = value);
                    class.min(last)
                }
                _ => label,
            });
            inputs.append(&mut input);
        }
        let places = first..labels.len();
        stretches.push(places.filter_map(|place| u32::try_from(place).ok()).collect());
    }
    let samples = Arc::new(Samples::new(features, classes, inputs, labels)?);
    Ok(Share { samples, stretches, is_own_set: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn share() -> Share {
        let inputs = (0..10).map(|it| it as f32).collect();
        let samples = Samples::new(2, 3, inputs, vec![0, 1, 2, 1, 0]).expect("a set");
        Share { samples: samples.into(), stretches: vec![vec![4, 1], vec![2]], is_own_set: false }
    }

    #[test]
    fn labels_are_flipped_or_all_one_and_inputs_stay() {
        let flipped = poisoned(&share(), Attack::LabelFlip).expect("a set");
        assert_eq!(flipped.samples.labels(), [2, 1, 0]);
        assert_eq!(flipped.samples.inputs(), [8.0, 9.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(flipped.stretches, [vec![0, 1], vec![2]]);
        let slow = poisoned(&share(), Attack::SlowPoisoning { share: 0.99 }).expect("a set");
        assert_eq!(slow.samples.labels(), [0, 0, 0]);
    }

    #[test]
    fn every_second_sample_has_the_trigger_and_its_label() {
        let attack = Attack::Backdoor { class: 1, inputs: 1, value: 7.0, factor: 1.0 };
        let found = poisoned(&share(), attack).expect("a set");
        assert_eq!(found.samples.labels(), [1, 1, 1]);
        assert_eq!(found.samples.inputs(), [7.0, 9.0, 2.0, 3.0, 7.0, 5.0]);
        let beyond = Attack::Backdoor { class: 9, inputs: 99, value: 0.0, factor: 1.0 };
        let found = poisoned(&share(), beyond).expect("a set");
        assert_eq!(found.samples.labels(), [2, 1, 2], "a class that there is");
    }

    #[test]
    fn only_hostile_peers_lie_and_only_in_their_time() {
        let mut scenario = testing::scenario();
        assert_eq!(Poisons::of(&scenario).name(), None);
        let declared =
            "peers = { peers = [2] }\nat_epoch = 3\nfor_epochs = 2\nattack = \"label-flip\"";
        scenario.adversary.push(toml::from_str(declared).expect("an adversary"));
        let poisons = Poisons::of(&scenario);
        let at = |peer, epoch| poisons.at(peer, epoch).is_some();
        assert_eq!(
            [at(2, 2), at(2, 3), at(2, 4), at(2, 5), at(1, 3)],
            [false, true, true, false, false]
        );
        assert!(poisons.name().is_some());
    }
}
