//! Links: which pairs are in contact, and what their frames wait for.
//!
//! A pair is linked while some planned contact wants it, nothing separates it
//! and neither peer closed it. Every link has a number of its own; frames of a
//! link that is gone are lost, whatever was in flight. Only pairs that are
//! wanted now take memory.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::agent::LinkId;

use crate::clock::SimTime;
use crate::contacts::Direction;
use crate::lane::{Lane, LaneModel};
use crate::pair::Pair;

/// Bytes of the carrier's length prefix before each frame.
const LENGTH_PREFIX_BYTES: u64 = 4;

/// The two directions of a link: from the lower peer to the higher, and back.
pub type LinkModel = [LaneModel; 2];

/// All pairs that want a contact now.
#[derive(Debug, Default)]
pub struct Links {
    pairs: BTreeMap<Pair, Wish>,
    /// The pairs of each peer, as (peer, other).
    of_peer: BTreeSet<(u16, u16)>,
    closed: BTreeSet<Pair>,
    live: BTreeMap<LinkId, Link>,
    next: u64,
}

/// What is wanted of a pair, and its link while there is one.
#[derive(Debug)]
struct Wish {
    /// Planned contacts that are on; they may overlap.
    contacts: u32,
    model: LinkModel,
    direction: Direction,
    link: Option<LinkId>,
}

#[derive(Debug)]
struct Link {
    pair: Pair,
    model: LinkModel,
    direction: Direction,
    began: SimTime,
    lanes: [Lane; 2],
    bytes: [u64; 2],
    frames: u64,
}

/// What became of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A link came up.
    Up(LinkId, Pair),
    /// The link went down.
    Down(LinkId, Pair, Carried),
}

/// What a link carried while it was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// When the link came up.
    pub began: SimTime,
    /// Bytes from the lower peer to the higher, and back.
    pub bytes: [u64; 2],
    /// Frames in both directions.
    pub frames: u64,
}

/// A frame that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transit {
    /// Who will get it.
    pub to: u16,
    /// When.
    pub arrives: SimTime,
    /// Bytes on the wire.
    pub size_bytes: u64,
    /// The link's latency in this direction.
    pub latency_us: u64,
    /// The contact works in the other direction only.
    pub blocked: bool,
}

impl Links {
    /// A planned contact of `pair` begins; its link will be like `model`.
    pub fn want(&mut self, pair: Pair, model: LinkModel, direction: Direction) {
        let [a, b] = pair.peers();
        self.of_peer.extend([(a, b), (b, a)]);
        self.closed.remove(&pair);
        let new = Wish { contacts: 0, model, direction, link: None };
        let wish = self.pairs.entry(pair).or_insert(new);
        wish.contacts += 1;
        (wish.model, wish.direction) = (model, direction);
    }

    /// A planned contact of `pair` ends.
    pub fn unwant(&mut self, pair: Pair) {
        if let Some(wish) = self.pairs.get_mut(&pair) {
            wish.contacts = wish.contacts.saturating_sub(1);
        }
    }

    /// Lets pairs whose link a peer closed try again; says which.
    pub fn retry(&mut self) -> Vec<Pair> {
        std::mem::take(&mut self.closed).into_iter().collect()
    }

    /// A peer ends `link`.
    pub fn close(&mut self, now: SimTime, link: LinkId) -> Option<Change> {
        let pair = self.live.get(&link)?.pair;
        self.closed.insert(pair);
        self.settle(now, pair, false)
    }

    /// Brings the link of `pair` up or down as wanted and `separated` say.
    pub fn settle(&mut self, now: SimTime, pair: Pair, separated: bool) -> Option<Change> {
        let wish = self.pairs.get_mut(&pair)?;
        let wanted = wish.contacts > 0 && !self.closed.contains(&pair) && !separated;
        let change = match (wish.link, wanted) {
            (None, true) => {
                self.next += 1;
                let id = LinkId(self.next);
                wish.link = Some(id);
                let link = Link {
                    pair,
                    model: wish.model,
                    direction: wish.direction,
                    began: now,
                    lanes: [Lane::default(); 2],
                    bytes: [0; 2],
                    frames: 0,
                };
                self.live.insert(id, link);
                Some(Change::Up(id, pair))
            }
            (Some(id), false) => {
                wish.link = None;
                let carried = self.live.remove(&id).map(|link| link.carried());
                Some(Change::Down(id, pair, carried.unwrap_or_default()))
            }
            _ => None,
        };
        if wish.contacts == 0 && wish.link.is_none() {
            self.forget(pair);
        }
        change
    }

    fn forget(&mut self, pair: Pair) {
        let [a, b] = pair.peers();
        self.pairs.remove(&pair);
        self.closed.remove(&pair);
        self.of_peer.remove(&(a, b));
        self.of_peer.remove(&(b, a));
    }

    /// Every pair that wants a contact now, in order.
    pub fn pairs(&self) -> Vec<Pair> {
        self.pairs.keys().copied().collect()
    }

    /// The pairs of `peer` that want a contact now, in order.
    pub fn pairs_of(&self, peer: u16) -> Vec<Pair> {
        let range = self.of_peer.range((peer, 0)..=(peer, u16::MAX));
        range.filter_map(|&(_, other)| Pair::new(peer, other)).collect()
    }

    /// What the links that are up have carried so far.
    pub fn live(&self) -> Vec<(Pair, Carried)> {
        self.live.values().map(|link| (link.pair, link.carried())).collect()
    }

    /// True until `link` went down.
    pub fn is_live(&self, link: LinkId) -> bool {
        self.live.contains_key(&link)
    }

    /// Sends a frame of `frame_bytes` from peer `from`, at most at `rate_max`
    /// bytes per second; none if the link is gone.
    pub fn send(
        &mut self,
        link: LinkId,
        from: u16,
        now: SimTime,
        frame_bytes: usize,
        rate_max: Option<u64>,
    ) -> Option<Transit> {
        let link = self.live.get_mut(&link)?;
        let [first, second] = link.pair.peers();
        let (to, side) = match from {
            _ if from == first => (second, 0),
            _ if from == second => (first, 1),
            _ => return None,
        };
        let mut model = link.model[side];
        model.bytes_per_s = rate_max.map_or(model.bytes_per_s, |max| max.min(model.bytes_per_s));
        let size_bytes = LENGTH_PREFIX_BYTES + u64::try_from(frame_bytes).unwrap_or(u64::MAX / 2);
        link.bytes[side] += size_bytes;
        link.frames += 1;
        let arrives = link.lanes[side].send(&model, now, size_bytes);
        let blocked = match link.direction {
            Direction::Both => false,
            Direction::Forth => side == 1,
            Direction::Back => side == 0,
        };
        Some(Transit { to, arrives, size_bytes, latency_us: model.latency_us, blocked })
    }
}

impl Link {
    const fn carried(&self) -> Carried {
        Carried { began: self.began, bytes: self.bytes, frames: self.frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: LinkModel = [LaneModel { latency_us: 1_000, bytes_per_s: 1_000_000 }; 2];

    fn links() -> (Links, Pair) {
        (Links::default(), Pair::new(1, 2).expect("two peers"))
    }

    #[test]
    fn overlapping_contacts_share_one_link() {
        let (mut links, pair) = links();
        links.want(pair, MODEL, Direction::Both);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), Some(Change::Up(LinkId(1), pair)));
        links.want(pair, MODEL, Direction::Both);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), None);
        links.unwant(pair);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), None);
        links.unwant(pair);
        let down = Change::Down(LinkId(1), pair, Carried::default());
        assert_eq!(links.settle(SimTime::ZERO, pair, false), Some(down));
        assert!(links.pairs().is_empty() && links.pairs_of(1).is_empty());
    }

    #[test]
    fn a_partition_holds_the_link_down_and_healing_makes_a_new_one() {
        let (mut links, pair) = links();
        links.want(pair, MODEL, Direction::Both);
        assert_eq!(links.settle(SimTime::ZERO, pair, true), None);
        assert!(links.settle(SimTime::ZERO, pair, false).is_some());
        assert!(matches!(
            links.settle(SimTime::ZERO, pair, true),
            Some(Change::Down(LinkId(1), ..))
        ));
        assert!(!links.is_live(LinkId(1)) && links.pairs() == [pair]);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), Some(Change::Up(LinkId(2), pair)));
    }

    #[test]
    fn a_closed_link_stays_down_until_the_retry() {
        let (mut links, pair) = links();
        links.want(pair, MODEL, Direction::Both);
        links.settle(SimTime::ZERO, pair, false);
        assert!(matches!(links.close(SimTime::ZERO, LinkId(1)), Some(Change::Down(LinkId(1), ..))));
        assert_eq!(links.close(SimTime::ZERO, LinkId(1)), None);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), None);
        assert_eq!(links.retry(), [pair]);
        assert_eq!(links.settle(SimTime::ZERO, pair, false), Some(Change::Up(LinkId(2), pair)));
    }

    #[test]
    fn directions_do_not_wait_for_each_other() {
        let (mut links, pair) = links();
        links.want(pair, MODEL, Direction::Both);
        links.settle(SimTime::ZERO, pair, false);
        let arrival = |transit: Option<Transit>| transit.map(|it| (it.to, it.arrives.us()));
        let now = SimTime::ZERO;
        assert_eq!(arrival(links.send(LinkId(1), 1, now, 996, None)), Some((2, 2_000)));
        assert_eq!(arrival(links.send(LinkId(1), 1, now, 996, None)), Some((2, 3_000)));
        assert_eq!(arrival(links.send(LinkId(1), 2, now, 996, None)), Some((1, 2_000)));
        assert_eq!(arrival(links.send(LinkId(1), 3, now, 996, None)), None);
        assert_eq!(arrival(links.send(LinkId(9), 1, now, 996, None)), None);
        links.unwant(pair);
        let carried = Carried { bytes: [2_000, 1_000], frames: 3, ..Carried::default() };
        assert_eq!(
            links.settle(SimTime::ZERO, pair, false),
            Some(Change::Down(LinkId(1), pair, carried))
        );
    }

    #[test]
    fn a_clogged_link_is_slower() {
        let (mut links, pair) = links();
        links.want(pair, MODEL, Direction::Both);
        links.settle(SimTime::ZERO, pair, false);
        let sent = links.send(LinkId(1), 1, SimTime::ZERO, 996, Some(1_000)).expect("a link");
        assert_eq!(sent.arrives, SimTime::from_ms(1_001));
    }
}
