//! The network of a run: planned contacts, what keeps peers apart, and links.

use std::collections::BTreeSet;

use longhaul_dtn::agent::LinkId;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::clock::SimTime;
use crate::contacts::Contact;
use crate::faults::{Blow, Partitions};
use crate::lane::LaneModel;
use crate::links::{Carried, Change, LinkModel, Links, Transit};
use crate::pair::Pair;
use crate::scenario::{Link, Scenario};
use crate::seeds::{self, Node, Purpose};

/// A frame that is held back waits for at most this many latencies.
const HELD_BACK_LATENCIES: u64 = 10;

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
    /// Frames that were lost, most of them with their link.
    pub frames_lost: u64,
    /// Frames that arrived a second time.
    pub frames_doubled: u64,
    /// Frames that were held back behind later ones.
    pub frames_held_back: u64,
    /// Bytes sent, length prefixes included.
    pub bytes: u64,
    /// Those of them between peers of different groups.
    pub bytes_between_groups: u64,
}

/// Contacts, what separates peers, and links.
#[derive(Debug)]
pub struct Network {
    model: Link,
    links: Links,
    /// What keeps peers apart.
    pub partitions: Partitions,
    /// Peers whose process is down.
    down: BTreeSet<u16>,
    /// Clogs that are on: the peers, and their rate.
    clogs: Vec<Option<(BTreeSet<u16>, u64)>>,
    /// Frames that each clog slowed.
    pub clog_hits: Vec<u64>,
    /// False while every radio is off.
    radios_on: bool,
    stream: ChaCha8Rng,
    /// What it saw so far.
    pub counts: NetworkCounts,
}

/// What becomes of a frame: when it arrives, and when again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The frame's way.
    pub transit: Transit,
    /// When it arrives; never when lost.
    pub arrives: Option<SimTime>,
    /// When it arrives a second time.
    pub again: Option<SimTime>,
}

impl Network {
    /// The network of `scenario`, with nobody in contact.
    pub fn new(scenario: &Scenario) -> Self {
        let clogs = scenario.faults.clog.len();
        Self {
            model: scenario.link.clone(),
            links: Links::default(),
            partitions: Partitions::new(scenario),
            down: BTreeSet::new(),
            clogs: vec![None; clogs],
            clog_hits: vec![0; clogs],
            radios_on: true,
            stream: seeds::fast_stream(scenario.seed, Node::World, Purpose::Frames),
            counts: NetworkCounts::default(),
        }
    }

    /// Links that come up again after a peer had closed them.
    pub fn retry(&mut self, now: SimTime) -> Vec<Change> {
        let pairs = self.links.retry();
        self.settle_pairs(now, pairs)
    }

    /// A planned contact begins.
    pub fn begin(&mut self, now: SimTime, contact: &Contact) -> Option<Change> {
        let pair = Pair::new(contact.a, contact.b)?;
        self.counts.contacts += 1;
        self.links.want(pair, self.link_model(contact), contact.direction());
        self.partitions.count_hit(contact.a, contact.b);
        self.settle(now, pair)
    }

    /// A planned contact ends.
    pub fn end(&mut self, now: SimTime, pair: Pair) -> Option<Change> {
        self.links.unwant(pair);
        self.settle(now, pair)
    }

    /// Switches a partition. One that goes on has hit every contact that is on
    /// across it.
    pub fn switch(&mut self, now: SimTime, scenario: &Scenario, blow: Blow) -> Vec<Change> {
        let Blow { index, round, on, .. } = blow;
        self.partitions.switch(scenario, index, round, on);
        let pairs = self.links.pairs();
        if on {
            for pair in &pairs {
                let [a, b] = pair.peers();
                self.partitions.count_hit_of(index, a, b);
            }
        }
        self.settle_pairs(now, pairs)
    }

    /// A peer's process goes down or comes up.
    pub fn set_down(&mut self, now: SimTime, peer: u16, down: bool) -> Vec<Change> {
        if down {
            self.down.insert(peer);
        } else {
            self.down.remove(&peer);
        }
        let pairs = self.links.pairs_of(peer);
        self.settle_pairs(now, pairs)
    }

    /// All radios go on or off.
    pub fn set_radios(&mut self, now: SimTime, on: bool) -> Vec<Change> {
        self.radios_on = on;
        let pairs = self.links.pairs();
        self.settle_pairs(now, pairs)
    }

    /// Slows the links of some peers, or lets them go.
    pub fn set_clog(&mut self, index: u16, clog: Option<(BTreeSet<u16>, u64)>) {
        if let Some(slot) = self.clogs.get_mut(usize::from(index)) {
            *slot = clog;
        }
    }

    /// A peer ends a link.
    pub fn close(&mut self, now: SimTime, link: LinkId) -> Option<Change> {
        let change = self.links.close(now, link)?;
        self.counts.closed += 1;
        Some(change)
    }

    /// Sends a frame; none if the link is gone.
    pub fn send(
        &mut self,
        link: LinkId,
        from: u16,
        now: SimTime,
        bytes: usize,
    ) -> Option<Delivery> {
        let rate_max = if self.clogs.is_empty() { None } else { self.clogged(from) };
        let transit = self.links.send(link, from, now, bytes, rate_max)?;
        self.counts.bytes += transit.size_bytes;
        let mut delivery = Delivery { transit, arrives: Some(transit.arrives), again: None };
        let swallowed = transit.blocked || self.partitions.swallows(from, transit.to);
        if swallowed || self.happens(self.model.loss.get()) {
            self.counts.frames_lost += 1;
            delivery.arrives = None;
            return Some(delivery);
        }
        if self.happens(self.model.reordering.get()) {
            let most = transit.latency_us.max(1) * HELD_BACK_LATENCIES;
            let held_us = 1 + seeds::below(&mut self.stream, most);
            self.counts.frames_held_back += 1;
            delivery.arrives = Some(transit.arrives.plus_us(held_us));
        }
        if self.happens(self.model.duplication.get()) {
            self.counts.frames_doubled += 1;
            delivery.again = delivery.arrives.map(|at| at.plus_us(1));
        }
        Some(delivery)
    }

    /// What the links that are up have carried so far.
    pub fn live(&self) -> Vec<(Pair, Carried)> {
        self.links.live()
    }

    /// True if a frame of `link` arrives now; counts it either way.
    pub fn delivers(&mut self, link: LinkId) -> bool {
        let live = self.links.is_live(link);
        self.counts.frames += u64::from(live);
        self.counts.frames_lost += u64::from(!live);
        live
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && seeds::unit(&mut self.stream) < chance
    }

    fn clogged(&mut self, peer: u16) -> Option<u64> {
        let mut slowest = None;
        for (clog, hits) in self.clogs.iter().zip(&mut self.clog_hits) {
            if let Some((_, rate)) = clog.as_ref().filter(|(peers, _)| peers.contains(&peer)) {
                *hits += 1;
                slowest = Some(slowest.map_or(*rate, |slow: u64| slow.min(*rate)));
            }
        }
        slowest
    }

    fn link_model(&self, contact: &Contact) -> LinkModel {
        let declared = u64::from(self.model.rate_bytes_per_s.get());
        let back = self.model.rate_back_bytes_per_s.map_or(declared, |rate| u64::from(rate.get()));
        let [forth_planned, back_planned] = contact.rates_bps();
        let (forth, back) = (forth_planned.unwrap_or(declared), back_planned.unwrap_or(back));
        let declared = u64::from(self.model.latency_ms) * 1_000;
        let latency_us = contact.latency_us.unwrap_or(declared);
        [forth, back].map(|rate| LaneModel { latency_us, bytes_per_s: rate.max(1) })
    }

    fn settle_pairs(&mut self, now: SimTime, pairs: Vec<Pair>) -> Vec<Change> {
        pairs.into_iter().filter_map(|pair| self.settle(now, pair)).collect()
    }

    fn settle(&mut self, now: SimTime, pair: Pair) -> Option<Change> {
        let [a, b] = pair.peers();
        let absent = !self.down.is_empty() && (self.down.contains(&a) || self.down.contains(&b));
        let separated = absent || !self.radios_on || self.partitions.separates(a, b);
        let change = self.links.settle(now, pair, separated)?;
        self.counts.links += u64::from(matches!(change, Change::Up(..)));
        Some(change)
    }
}

impl Change {
    /// What the link carried, if it went down.
    pub const fn carried(&self) -> Option<Carried> {
        match self {
            Self::Up(..) => None,
            Self::Down(_, _, carried) => Some(*carried),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::contacts_of;
    use crate::scenario::{PartitionFault, Shape};
    use crate::testing;

    fn world() -> (Scenario, Network) {
        let mut scenario = testing::scenario();
        let epoch = |at: f64| at.try_into().expect("a time");
        scenario.faults.partition = vec![PartitionFault {
            shape: Shape::Halves,
            at_epoch: epoch(1.0),
            for_epochs: epoch(1.0),
            every_epochs: None,
        }];
        let network = Network::new(&scenario);
        (scenario, network)
    }

    fn blow(on: bool) -> Blow {
        let kind = crate::faults::FaultKind::Partition;
        Blow { at: SimTime::ZERO, kind, index: 0, round: 0, on }
    }

    fn begin_all(scenario: &Scenario, network: &mut Network) -> Vec<Change> {
        let contacts = contacts_of(scenario, None).expect("a plan");
        contacts.iter().filter_map(|contact| network.begin(SimTime::ZERO, contact)).collect()
    }

    #[test]
    fn a_partition_cuts_the_links_across_it_and_no_other() {
        let (scenario, mut network) = world();
        assert_eq!(begin_all(&scenario, &mut network).len(), 6);
        let down = network.switch(SimTime::ZERO, &scenario, blow(true));
        let across = |change: &Change| match change {
            Change::Down(_, pair, _) => (pair.peers()[0] < 2) != (pair.peers()[1] < 2),
            Change::Up(..) => false,
        };
        assert_eq!(down.len(), 4);
        assert!(down.iter().all(across));
        assert_eq!(network.partitions.hits(), [4]);
        assert!(network.retry(SimTime::ZERO).is_empty());
        assert_eq!(network.switch(SimTime::ZERO, &scenario, blow(false)).len(), 4);
    }

    #[test]
    fn a_partition_counts_contacts_that_it_prevents() {
        let (scenario, mut network) = world();
        network.switch(SimTime::ZERO, &scenario, blow(true));
        assert_eq!(network.partitions.hits(), [0]);
        assert_eq!(begin_all(&scenario, &mut network).len(), 2);
        assert_eq!(network.partitions.hits(), [4]);
    }

    #[test]
    fn a_closed_link_comes_back_with_the_retry() {
        let (scenario, mut network) = world();
        begin_all(&scenario, &mut network);
        assert!(matches!(network.close(SimTime::ZERO, LinkId(1)), Some(Change::Down(..))));
        assert!(!network.delivers(LinkId(1)));
        assert_eq!(network.retry(SimTime::ZERO).len(), 1);
        assert_eq!((network.counts.links, network.counts.closed), (7, 1));
    }

    #[test]
    fn a_peer_that_is_down_has_no_links() {
        let (scenario, mut network) = world();
        begin_all(&scenario, &mut network);
        assert_eq!(network.set_down(SimTime::ZERO, 2, true).len(), 3);
        assert_eq!(network.set_down(SimTime::ZERO, 2, false).len(), 3);
        assert_eq!(network.set_radios(SimTime::ZERO, false).len(), 6);
        assert_eq!(network.set_radios(SimTime::ZERO, true).len(), 6);
    }

    #[test]
    fn frames_are_lost_and_doubled_as_often_as_declared() {
        let (mut scenario, _) = world();
        scenario.link.loss = 0.2.try_into().expect("a chance");
        scenario.link.duplication = 0.1.try_into().expect("a chance");
        scenario.link.reordering = 0.3.try_into().expect("a chance");
        let mut network = Network::new(&scenario);
        begin_all(&scenario, &mut network);
        for _ in 0..10_000 {
            network.send(LinkId(1), 0, SimTime::ZERO, 10);
        }
        let NetworkCounts { frames_lost, frames_doubled, frames_held_back, .. } = network.counts;
        assert!((1_800..2_200).contains(&frames_lost), "{frames_lost}");
        assert!((700..900).contains(&frames_doubled), "{frames_doubled}");
        assert!((2_200..2_600).contains(&frames_held_back), "{frames_held_back}");
    }
}
