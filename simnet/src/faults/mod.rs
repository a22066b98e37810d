//! Faults: what keeps two peers apart.
//!
//! A partition separates its groups from one epoch to another. It tells
//! whether it ever did anything: a fault that was declared and never cut a
//! contact fails the run, because such a run shows nothing.

use crate::scenario::{Cut, Scenario};

/// The partitions of a run and which of them are on.
#[derive(Debug)]
pub struct Partitions {
    cuts: Vec<Active>,
}

#[derive(Debug)]
struct Active {
    /// The group of each peer.
    group_of: Vec<usize>,
    on: bool,
    /// Contacts that it ended or prevented.
    hits: u64,
}

impl Partitions {
    /// The partitions of `scenario`, all off.
    pub fn new(scenario: &Scenario) -> Self {
        let peers = usize::from(scenario.peers.get());
        let active =
            |cut: &Cut| Active { group_of: groups_by_peer(&cut.groups, peers), on: false, hits: 0 };
        Self { cuts: scenario.faults.partition.iter().map(active).collect() }
    }

    /// Switches one on or off.
    pub fn switch(&mut self, index: usize, on: bool) {
        if let Some(active) = self.cuts.get_mut(index) {
            active.on = on;
        }
    }

    /// True when some partition that is on separates `a` and `b`.
    pub fn separates(&self, a: u16, b: u16) -> bool {
        self.cuts.iter().any(|active| active.separates(a, b))
    }

    /// Counts a contact between `a` and `b` as cut by each partition that
    /// separates them.
    pub fn count_hit(&mut self, a: u16, b: u16) {
        for active in self.cuts.iter_mut().filter(|active| active.separates(a, b)) {
            active.hits += 1;
        }
    }

    /// Counts a contact between `a` and `b` as cut by one partition, if that
    /// one separates them.
    pub fn count_hit_of(&mut self, index: usize, a: u16, b: u16) {
        if let Some(active) = self.cuts.get_mut(index).filter(|active| active.separates(a, b)) {
            active.hits += 1;
        }
    }

    /// How many contacts each partition ended or prevented, in the order of
    /// the scenario.
    pub fn hits(&self) -> Vec<u64> {
        self.cuts.iter().map(|active| active.hits).collect()
    }
}

impl Active {
    fn separates(&self, a: u16, b: u16) -> bool {
        self.on && self.group_of[usize::from(a)] != self.group_of[usize::from(b)]
    }
}

/// Turns groups of peers into the group of each peer; peers in no group share
/// one of their own.
pub fn groups_by_peer(groups: &[Vec<u16>], peers: usize) -> Vec<usize> {
    let mut group_of = vec![groups.len(); peers];
    for (index, group) in groups.iter().enumerate() {
        for &peer in group {
            if let Some(slot) = group_of.get_mut(usize::from(peer)) {
                *slot = index;
            }
        }
    }
    group_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn partitions() -> Partitions {
        let mut scenario = testing::scenario();
        scenario.faults.partition = vec![
            Cut { from_epoch: 0, to_epoch: 1, groups: vec![vec![0, 1], vec![2, 3]] },
            Cut { from_epoch: 0, to_epoch: 1, groups: vec![vec![0, 2], vec![1, 3]] },
        ];
        Partitions::new(&scenario)
    }

    #[test]
    fn separates_groups_only_while_on() {
        let mut partitions = partitions();
        assert!(!partitions.separates(0, 2));
        partitions.switch(0, true);
        assert!(partitions.separates(0, 2) && partitions.separates(3, 1));
        assert!(!partitions.separates(0, 1) && !partitions.separates(2, 3));
        partitions.switch(0, false);
        assert!(!partitions.separates(0, 2));
    }

    #[test]
    fn counts_a_hit_for_each_partition_that_separates() {
        let mut partitions = partitions();
        partitions.switch(0, true);
        partitions.switch(1, true);
        partitions.count_hit(0, 3);
        partitions.count_hit(0, 1);
        assert_eq!(partitions.hits(), [1, 2]);
    }
}
