//! The network of a run: planned contacts, partitions and the links they give.

use longhaul_dtn::agent::LinkId;
use serde::Serialize;

use crate::clock::SimTime;
use crate::contacts::{Contact, ContactPlan, Pair};
use crate::faults::Partitions;
use crate::lane::LaneModel;
use crate::links::{Change, Links, Transit};
use crate::scenario::Scenario;

/// What the network saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NetworkCounts {
    /// Planned contacts that began.
    pub contacts: u64,
    /// Links that came up.
    pub links: u64,
    /// Links that a peer ended.
    pub closed: u64,
    /// Frames that arrived.
    pub frames: u64,
    /// Frames that were lost with their link.
    pub frames_lost: u64,
}

/// Contacts, partitions and links.
#[derive(Debug)]
pub struct Network {
    plan: ContactPlan,
    partitions: Partitions,
    links: Links,
    /// What it saw so far.
    pub counts: NetworkCounts,
}

impl Network {
    /// The network of `scenario`, with nobody in contact.
    pub fn new(scenario: &Scenario) -> Self {
        let model = LaneModel {
            latency_us: u64::from(scenario.link.latency_ms) * 1_000,
            bytes_per_s: u64::from(scenario.link.rate_bytes_per_s.get()),
        };
        Self {
            plan: ContactPlan::new(scenario),
            partitions: Partitions::new(scenario),
            links: Links::new(model),
            counts: NetworkCounts::default(),
        }
    }

    /// Begins an epoch: its planned contacts, and links that come up again
    /// after a peer had closed them.
    pub fn begin_epoch(&mut self, epoch: u32) -> (Vec<Contact>, Vec<Change>) {
        self.links.retry();
        let changes = self.settle_all();
        (self.plan.draw(epoch), changes)
    }

    /// A planned contact begins.
    pub fn begin(&mut self, pair: Pair) -> Option<Change> {
        self.counts.contacts += 1;
        self.links.want(pair);
        let [a, b] = pair.peers();
        self.partitions.count_hit(a, b);
        self.settle(pair)
    }

    /// A planned contact ends.
    pub fn end(&mut self, pair: Pair) -> Option<Change> {
        self.links.unwant(pair);
        self.settle(pair)
    }

    /// Switches a partition on or off. One that goes on has hit every contact
    /// that is on across it.
    pub fn switch(&mut self, partition: usize, on: bool) -> Vec<Change> {
        self.partitions.switch(partition, on);
        if on {
            for pair in self.links.pairs() {
                let [a, b] = pair.peers();
                if self.links.is_wanted(pair) {
                    self.partitions.count_hit_of(partition, a, b);
                }
            }
        }
        self.settle_all()
    }

    /// A peer ends a link.
    pub fn close(&mut self, link: LinkId) -> Option<Change> {
        let change = self.links.close(link)?;
        self.counts.closed += 1;
        Some(change)
    }

    /// Sends a frame; none if the link is gone.
    pub fn send(&mut self, link: LinkId, from: u16, now: SimTime, bytes: usize) -> Option<Transit> {
        self.links.send(link, from, now, bytes)
    }

    /// True if a frame of `link` arrives now; counts it either way.
    pub fn delivers(&mut self, link: LinkId) -> bool {
        let live = self.links.is_live(link);
        self.counts.frames += u64::from(live);
        self.counts.frames_lost += u64::from(!live);
        live
    }

    /// How many contacts each partition ended or prevented.
    pub fn partition_hits(&self) -> Vec<u64> {
        self.partitions.hits()
    }

    fn settle_all(&mut self) -> Vec<Change> {
        self.links.pairs().into_iter().filter_map(|pair| self.settle(pair)).collect()
    }

    fn settle(&mut self, pair: Pair) -> Option<Change> {
        let [a, b] = pair.peers();
        let change = self.links.settle(pair, self.partitions.separates(a, b))?;
        self.counts.links += u64::from(matches!(change, Change::Up(..)));
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Cut;
    use crate::testing;

    fn network() -> Network {
        let mut scenario = testing::scenario();
        let groups = vec![vec![0, 1], vec![2, 3]];
        scenario.faults.partition = vec![Cut { from_epoch: 1, to_epoch: 2, groups }];
        Network::new(&scenario)
    }

    fn begin_all(network: &mut Network) -> Vec<Change> {
        let (contacts, _) = network.begin_epoch(0);
        contacts.iter().filter_map(|contact| network.begin(contact.pair)).collect()
    }

    #[test]
    fn a_partition_cuts_the_links_across_it_and_no_other() {
        let mut network = network();
        assert_eq!(begin_all(&mut network).len(), 6);
        let down = network.switch(0, true);
        let across = |change: &Change| match change {
            Change::Down(_, pair) => (pair.peers()[0] < 2) != (pair.peers()[1] < 2),
            Change::Up(..) => false,
        };
        assert_eq!(down.len(), 4);
        assert!(down.iter().all(across));
        assert_eq!(network.partition_hits(), [4]);
        assert!(network.begin_epoch(1).1.is_empty());
        assert_eq!(network.switch(0, false).len(), 4);
    }

    #[test]
    fn a_partition_counts_contacts_that_it_prevents() {
        let mut network = network();
        network.switch(0, true);
        assert_eq!(network.partition_hits(), [0]);
        assert_eq!(begin_all(&mut network).len(), 2);
        assert_eq!(network.partition_hits(), [4]);
    }

    #[test]
    fn a_closed_link_comes_back_with_the_next_epoch() {
        let mut network = network();
        begin_all(&mut network);
        let closed = network.close(LinkId(1));
        assert!(matches!(closed, Some(Change::Down(..))));
        assert!(!network.delivers(LinkId(1)));
        assert_eq!(network.begin_epoch(1).1.len(), 1);
        assert_eq!((network.counts.links, network.counts.closed), (7, 1));
    }
}
