//! Link: what an agent knows about one live link.
//!
//! Offers are ids that the other side has and we lack; asks are heads and
//! ranges that we asked for, answered in order. Both are bounded. Nothing here
//! sends: the methods of the agent do.

use std::collections::{BTreeMap, VecDeque};

use super::inventory::Place;
use crate::bundle::BundleId;
use crate::identity::PeerId;
use crate::time::Timestamp;

/// The state of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub peer: PeerId,
    pub stage: Stage,
    pub pace: Pace,
    pub listing: Listing,
    pub offers: Offers,
    /// The last of our ids that we listed, when more follow.
    pub listed_to: Option<Place>,
    /// What we asked for, in order.
    pub asks: VecDeque<Ask>,
    /// When the last answer came, or the first ask went out after a lull.
    pub progress: Timestamp,
    /// Heads and ranges that came unasked.
    pub unrequested: u32,
}

/// How far the contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Ours went out at this time; theirs has not come.
    Hello(Timestamp),
    /// Both hellos agree.
    Ready,
}

/// Whether the other side answers in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It does; it may be asked.
    Steady,
    /// It owes an answer for too long; it is not asked for more.
    Stalled,
}

/// How far the other side's list of ids is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// A page is on its way.
    Asked,
    /// More pages follow, and there was no room for them.
    Paused,
    /// The list is complete.
    Complete,
    /// The list was complete, but an announcement found no room.
    Missed,
}

/// Something asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The head of a bundle.
    Head(BundleId),
    /// A range of its payload.
    Range { id: BundleId, offset: u64, len: u64 },
}

impl Ask {
    /// The bundle that is asked for.
    pub const fn id(&self) -> &BundleId {
        match self {
            Self::Head(id) | Self::Range { id, .. } => id,
        }
    }
}

impl Link {
    /// A link on which nothing has been received.
    pub fn new(peer: PeerId, now: Timestamp) -> Self {
        Self {
            peer,
            stage: Stage::Hello(now),
            pace: Pace::Steady,
            listing: Listing::Asked,
            offers: Offers::default(),
            listed_to: None,
            asks: VecDeque::new(),
            progress: now,
            unrequested: 0,
        }
    }

    /// True when the other side may be asked for something.
    pub fn may_ask(&self) -> bool {
        self.stage == Stage::Ready && self.pace == Pace::Steady
    }

    /// Notes that `ask` goes out.
    pub fn ask(&mut self, now: Timestamp, ask: Ask) {
        if self.asks.is_empty() {
            self.progress = now;
        }
        self.asks.push_back(ask);
    }

    /// Takes the oldest ask if `matches` it: its answer came.
    pub fn answered(&mut self, now: Timestamp, matches: impl Fn(&Ask) -> bool) -> Option<Ask> {
        self.asks.front().filter(|ask| matches(ask))?;
        self.progress = now;
        self.pace = Pace::Steady;
        self.asks.pop_front()
    }

    /// Where the ranges of `id` that are asked for end, when they continue
    /// what has arrived up to `arrived`.
    pub fn asked_to(&self, id: &BundleId, arrived: u64) -> u64 {
        self.asks.iter().fold(arrived, |end, ask| match ask {
            Ask::Range { id: asked, offset, len } if asked == id && *offset == end => {
                end.saturating_add(*len)
            }
            _ => end,
        })
    }
}

/// Ids that the other side has and we lack, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Offers {
    queue: BTreeMap<u64, BundleId>,
    places: BTreeMap<BundleId, u64>,
    next: u64,
}

/// What to do with an offer that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// It is settled: forget it.
    Drop,
    /// It is not its turn.
    Skip,
    /// This one.
    Take,
}

impl Offers {
    /// Adds an id at the end, if it is not there.
    pub fn insert(&mut self, id: BundleId) {
        if !self.places.contains_key(&id) {
            self.places.insert(id, self.next);
            self.queue.insert(self.next, id);
            self.next += 1;
        }
    }

    /// Forgets an id.
    pub fn remove(&mut self, id: &BundleId) {
        if let Some(place) = self.places.remove(id) {
            self.queue.remove(&place);
        }
    }

    /// True when the other side has offered the id.
    pub fn contains(&self, id: &BundleId) -> bool {
        self.places.contains_key(id)
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The ids, in no promised order.
    pub fn ids(&self) -> impl Iterator<Item = &BundleId> {
        self.places.keys()
    }

    /// The first id that `judge` takes; drops those that it drops. Stops after
    /// `skips_max` skipped ids, which bounds the work.
    pub fn pick(
        &mut self,
        skips_max: usize,
        judge: impl Fn(&BundleId) -> Pick,
    ) -> Option<BundleId> {
        let (mut dropped, mut skipped, mut taken) = (vec![], 0, None);
        for id in self.queue.values() {
            match judge(id) {
                Pick::Drop => dropped.push(*id),
                Pick::Skip => skipped += 1,
                Pick::Take => taken = Some(*id),
            }
            if taken.is_some() || skipped > skips_max {
                break;
            }
        }
        dropped.iter().for_each(|id| self.remove(id));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;
    use crate::identity::SecretKey;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn range(byte: u8, offset: u64, len: u64) -> Ask {
        Ask::Range { id: id(byte), offset, len }
    }

    fn link() -> Link {
        Link::new(SecretKey::from_seed(&[1; 32]).peer_id(), Timestamp::default())
    }

    #[test]
    fn picks_offers_in_order_and_drops_settled_ones() {
        let mut offers = Offers::default();
        [3, 1, 2, 3].into_iter().for_each(|byte| offers.insert(id(byte)));
        assert_eq!(offers.len(), 3);
        let judge = |found: &BundleId| {
            if *found == id(3) { Pick::Drop } else { Pick::Take }
        };
        assert_eq!(offers.pick(9, judge), Some(id(1)));
        assert!(!offers.contains(&id(3)));
        offers.remove(&id(1));
        assert_eq!(offers.pick(9, judge), Some(id(2)));
    }

    #[test]
    fn bounds_the_work_of_a_pick() {
        let mut offers = Offers::default();
        (1..=5).for_each(|byte| offers.insert(id(byte)));
        let judge = |found: &BundleId| {
            if *found == id(5) { Pick::Take } else { Pick::Skip }
        };
        assert_eq!(offers.pick(3, judge), None);
        assert_eq!(offers.pick(4, judge), Some(id(5)));
    }

    #[test]
    fn matches_answers_in_order_only() {
        let mut link = link();
        link.ask(Timestamp::from_dtn_ms(1), Ask::Head(id(1)));
        link.ask(Timestamp::from_dtn_ms(2), range(1, 0, 5));
        assert_eq!(link.progress, Timestamp::from_dtn_ms(1));
        let now = Timestamp::from_dtn_ms(9);
        assert_eq!(link.answered(now, |ask| *ask == range(1, 0, 5)), None);
        link.pace = Pace::Stalled;
        assert_eq!(link.answered(now, |ask| ask.id() == &id(1)), Some(Ask::Head(id(1))));
        assert_eq!((link.progress, link.pace), (now, Pace::Steady));
    }

    #[test]
    fn counts_only_ranges_that_continue_what_arrived() {
        let mut link = link();
        for ask in [range(1, 10, 5), range(2, 15, 5), range(1, 15, 5), range(1, 30, 5)] {
            link.ask(Timestamp::default(), ask);
        }
        assert_eq!(link.asked_to(&id(1), 10), 20);
        assert_eq!(link.asked_to(&id(1), 0), 0);
        assert_eq!(link.asked_to(&id(2), 15), 20);
    }
}
