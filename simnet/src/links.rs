//! Links: which pairs are in contact, and what their frames wait for.
//!
//! A pair is linked while some planned contact wants it, no partition separates
//! it and neither peer closed it. Every link has a number of its own; frames of
//! a link that is gone are lost, whatever was in flight.

use std::collections::BTreeMap;

use longhaul_dtn::agent::LinkId;

use crate::clock::SimTime;
use crate::contacts::Pair;
use crate::lane::{Lane, LaneModel};

/// Bytes of the carrier's length prefix before each frame.
const LENGTH_PREFIX_BYTES: u64 = 4;

/// All pairs that ever had a contact.
#[derive(Debug)]
pub struct Links {
    model: LaneModel,
    pairs: BTreeMap<Pair, Wish>,
    live: BTreeMap<LinkId, Link>,
    next: u64,
}

/// What is wanted of a pair, and its link while there is one.
#[derive(Debug, Default)]
struct Wish {
    /// Planned contacts that are on; they may overlap.
    contacts: u32,
    /// A peer ended the link; the next retry lifts this.
    closed: bool,
    link: Option<LinkId>,
}

#[derive(Debug)]
struct Link {
    pair: Pair,
    /// From the first peer to the second, and back.
    lanes: [Lane; 2],
}

/// What became of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A link came up.
    Up(LinkId, Pair),
    /// The link went down.
    Down(LinkId, Pair),
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
}

impl Links {
    /// No contact yet; all links are alike.
    pub const fn new(model: LaneModel) -> Self {
        Self { model, pairs: BTreeMap::new(), live: BTreeMap::new(), next: 1 }
    }

    /// A planned contact of `pair` begins.
    pub fn want(&mut self, pair: Pair) {
        let wish = self.pairs.entry(pair).or_default();
        wish.contacts += 1;
        wish.closed = false;
    }

    /// A planned contact of `pair` ends.
    pub fn unwant(&mut self, pair: Pair) {
        let wish = self.pairs.entry(pair).or_default();
        wish.contacts = wish.contacts.saturating_sub(1);
    }

    /// Lets pairs whose link a peer closed try again.
    pub fn retry(&mut self) {
        self.pairs.values_mut().for_each(|wish| wish.closed = false);
    }

    /// A peer ends `link`.
    pub fn close(&mut self, link: LinkId) -> Option<Change> {
        let pair = self.live.get(&link)?.pair;
        self.pairs.get_mut(&pair)?.closed = true;
        self.settle(pair, false)
    }

    /// Brings the link of `pair` up or down as wanted and `separated` say.
    pub fn settle(&mut self, pair: Pair, separated: bool) -> Option<Change> {
        let wish = self.pairs.get_mut(&pair)?;
        let wanted = wish.contacts > 0 && !wish.closed && !separated;
        match (wish.link, wanted) {
            (None, true) => {
                let id = LinkId(self.next);
                self.next += 1;
                wish.link = Some(id);
                self.live.insert(id, Link { pair, lanes: [Lane::default(); 2] });
                Some(Change::Up(id, pair))
            }
            (Some(id), false) => {
                wish.link = None;
                self.live.remove(&id);
                Some(Change::Down(id, pair))
            }
            _ => None,
        }
    }

    /// Every pair that ever had a contact, in order.
    pub fn pairs(&self) -> Vec<Pair> {
        self.pairs.keys().copied().collect()
    }

    /// True while a planned contact of `pair` is on, linked or not.
    pub fn is_wanted(&self, pair: Pair) -> bool {
        self.pairs.get(&pair).is_some_and(|wish| wish.contacts > 0)
    }

    /// True until `link` went down.
    pub fn is_live(&self, link: LinkId) -> bool {
        self.live.contains_key(&link)
    }

    /// Sends a frame of `frame_bytes` from peer `from`; none if the link is gone.
    pub fn send(
        &mut self,
        link: LinkId,
        from: u16,
        now: SimTime,
        frame_bytes: usize,
    ) -> Option<Transit> {
        let Link { pair, lanes } = self.live.get_mut(&link)?;
        let [first, second] = pair.peers();
        let (to, lane) = match from {
            _ if from == first => (second, &mut lanes[0]),
            _ if from == second => (first, &mut lanes[1]),
            _ => return None,
        };
        let size_bytes = LENGTH_PREFIX_BYTES + u64::try_from(frame_bytes).unwrap_or(u64::MAX / 2);
        Some(Transit { to, arrives: lane.send(&self.model, now, size_bytes), size_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> (Links, Pair) {
        let model = LaneModel { latency_us: 1_000, bytes_per_s: 1_000_000 };
        (Links::new(model), Pair::new(1, 2).expect("two peers"))
    }

    #[test]
    fn overlapping_contacts_share_one_link() {
        let (mut links, pair) = links();
        links.want(pair);
        assert_eq!(links.settle(pair, false), Some(Change::Up(LinkId(1), pair)));
        links.want(pair);
        assert_eq!(links.settle(pair, false), None);
        links.unwant(pair);
        assert_eq!(links.settle(pair, false), None);
        links.unwant(pair);
        assert_eq!(links.settle(pair, false), Some(Change::Down(LinkId(1), pair)));
    }

    #[test]
    fn a_partition_holds_the_link_down_and_healing_makes_a_new_one() {
        let (mut links, pair) = links();
        links.want(pair);
        assert_eq!(links.settle(pair, true), None);
        assert!(links.settle(pair, false).is_some());
        assert_eq!(links.settle(pair, true), Some(Change::Down(LinkId(1), pair)));
        assert!(!links.is_live(LinkId(1)) && links.is_wanted(pair));
        assert_eq!(links.settle(pair, false), Some(Change::Up(LinkId(2), pair)));
    }

    #[test]
    fn a_closed_link_stays_down_until_the_retry() {
        let (mut links, pair) = links();
        links.want(pair);
        links.settle(pair, false);
        assert_eq!(links.close(LinkId(1)), Some(Change::Down(LinkId(1), pair)));
        assert_eq!(links.close(LinkId(1)), None);
        assert_eq!(links.settle(pair, false), None);
        links.retry();
        assert_eq!(links.settle(pair, false), Some(Change::Up(LinkId(2), pair)));
    }

    #[test]
    fn directions_do_not_wait_for_each_other() {
        let (mut links, pair) = links();
        links.want(pair);
        links.settle(pair, false);
        let arrival = |transit: Option<Transit>| transit.map(|it| (it.to, it.arrives.us()));
        let now = SimTime::ZERO;
        assert_eq!(arrival(links.send(LinkId(1), 1, now, 996)), Some((2, 2_000)));
        assert_eq!(arrival(links.send(LinkId(1), 1, now, 996)), Some((2, 3_000)));
        assert_eq!(arrival(links.send(LinkId(1), 2, now, 996)), Some((1, 2_000)));
        assert_eq!(arrival(links.send(LinkId(1), 3, now, 996)), None);
        assert_eq!(arrival(links.send(LinkId(9), 1, now, 996)), None);
    }
}
