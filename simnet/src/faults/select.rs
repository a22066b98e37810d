//! Which peers a fault or an adversary takes.

use std::collections::BTreeMap;

use crate::scenario::{Scenario, Select};
use crate::seeds::{self, Node, Purpose};

/// The peers that `select` means, ascending. `salt` tells draws apart.
pub fn select(scenario: &Scenario, select: &Select, salt: u64) -> Vec<u16> {
    let peers = scenario.peers.get();
    match select {
        Select::All => (0..peers).collect(),
        Select::Peers(named) => named.clone(),
        Select::Group(name) => {
            let groups = scenario.groups();
            let of = scenario.group_of_peers();
            let wanted = groups.iter().position(|group| group.name == *name);
            (0..peers).filter(|&peer| Some(of[usize::from(peer)]) == wanted).collect()
        }
        Select::Random(count) => draw(scenario, count.get(), salt),
        Select::Spread(count) => {
            let count = u64::from(count.get()).min(u64::from(peers));
            let place = |index: u64| index * u64::from(peers) / count;
            (0..count).filter_map(|index| u16::try_from(place(index)).ok()).collect()
        }
    }
}

/// Tells the draws of adversaries from those of faults.
const ADVERSARY_SALT: u64 = 1 << 56;

/// Each hostile peer with the place of its adversary in the scenario's list; of two adversaries
/// that choose one peer the later has it.
pub fn hostile(scenario: &Scenario) -> BTreeMap<u16, usize> {
    let mut all = BTreeMap::new();
    for (index, declared) in scenario.adversary.iter().enumerate() {
        let chosen = select(scenario, &declared.peers, ADVERSARY_SALT | index as u64);
        all.extend(chosen.into_iter().map(|peer| (peer, index)));
    }
    all
}

/// The first of a shuffle of all peers.
fn draw(scenario: &Scenario, count: u32, salt: u64) -> Vec<u16> {
    let mut stream = seeds::stream(scenario.seed ^ salt, Node::World, Purpose::Faults);
    let mut all: Vec<u16> = (0..scenario.peers.get()).collect();
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(all.len());
    for place in 0..count {
        let rest = (all.len() - place) as u64;
        let step = usize::try_from(seeds::below(&mut stream, rest)).unwrap_or_default();
        all.swap(place, place + step);
    }
    all.truncate(count);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn count(value: u32) -> crate::scenario::Count {
        value.try_into().expect("a count")
    }

    #[test]
    fn spreads_evenly() {
        let scenario = testing::scenario();
        assert_eq!(select(&scenario, &Select::Spread(count(2)), 0), [0, 2]);
        assert_eq!(select(&scenario, &Select::Spread(count(9)), 0), [0, 1, 2, 3]);
    }

    #[test]
    fn draws_distinct_peers_that_the_salt_changes() {
        let mut scenario = testing::scenario();
        scenario.peers = 200.try_into().expect("peers");
        let first = select(&scenario, &Select::Random(count(20)), 1);
        assert_eq!(first.len(), 20);
        assert!(first.is_sorted_by(|a, b| a < b));
        assert_eq!(first, select(&scenario, &Select::Random(count(20)), 1));
        assert_ne!(first, select(&scenario, &Select::Random(count(20)), 2));
    }
}
