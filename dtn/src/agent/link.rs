//! Link: what an agent knows about one live link.
//!
//! Offers are ids that the other side has and we lack; asks are heads and
//! groups that we asked for, answered in order. Both are bounded. Nothing here
//! sends: the methods of the agent do.

use std::collections::{BTreeMap, VecDeque};

use super::reconcile::{Outgoing, Sketching};
use crate::bundle::BundleId;
use crate::frame::NONCE_BYTES;
use crate::groups::GroupIndex;
use crate::identity::PeerId;
use crate::time::{Span, Timestamp};

/// Asks that are open at first.
const WINDOW_FIRST: usize = 8;
/// Asks that are always allowed: one on its way and one in the other's hands.
const WINDOW_MIN: usize = 2;
/// An answer this early lets one ask more be open.
const EARLY: Span = Span::from_ms(250);
/// An answer this late halves the asks that are open: they only wait in a queue,
/// where what is more urgent waits behind them.
const LATE: Span = Span::from_ms(2_000);

/// The state of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub peer: PeerId,
    pub stage: Stage,
    pub pace: Pace,
    pub listing: Listing,
    pub offers: Offers,
    /// The nonce that we said.
    pub nonce: [u8; NONCE_BYTES],
    /// How many bundles we said that we hold, and they.
    pub said_held: u64,
    pub their_held: u64,
    pub sketch: Sketching,
    pub outgoing: Outgoing,
    /// Whether a page of our ids follows the last one.
    pub has_more: bool,
    /// What we asked for, in order, and when.
    asks: VecDeque<(Ask, Timestamp)>,
    /// How many asks may be open.
    window: usize,
    /// When the last answer came, or the first ask went out after a lull.
    pub progress: Timestamp,
    /// Heads and groups that came unasked.
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
    /// A group of its payload.
    Group { id: BundleId, index: GroupIndex },
}

impl Ask {
    /// The bundle that is asked for.
    pub const fn id(&self) -> &BundleId {
        match self {
            Self::Head(id) | Self::Group { id, .. } => id,
        }
    }
}

impl Link {
    /// A link on which nothing has been received.
    pub fn new(peer: PeerId, now: Timestamp, nonce: [u8; NONCE_BYTES], said_held: u64) -> Self {
        Self {
            peer,
            stage: Stage::Hello(now),
            pace: Pace::Steady,
            listing: Listing::Asked,
            offers: Offers::default(),
            nonce,
            said_held,
            their_held: 0,
            sketch: Sketching::Idle,
            outgoing: Outgoing::Inventory(None),
            has_more: false,
            asks: VecDeque::new(),
            window: WINDOW_FIRST,
            progress: now,
            unrequested: 0,
        }
    }

    /// True when the other side may be asked for something.
    pub fn may_ask(&self) -> bool {
        self.stage == Stage::Ready && self.pace == Pace::Steady
    }

    /// True when one ask more may be open; `max` is the bound of all links.
    pub fn has_room(&self, max: usize) -> bool {
        self.asks.len() < self.window.min(max.max(1))
    }

    /// How many heads are worth asking for ahead: they cost a third of a group together, or
    /// less time than it takes to notice.
    pub fn heads_ahead(&self) -> usize {
        self.window.max(WINDOW_FIRST)
    }

    /// True when this is asked for and not answered.
    pub fn has_asked(&self, ask: &Ask) -> bool {
        self.asks.iter().any(|(open, _)| open == ask)
    }

    /// True while the other side owes an answer.
    pub fn is_owed(&self) -> bool {
        !self.asks.is_empty() || self.sketch.is_owed()
    }

    /// Notes that `ask` goes out.
    pub fn ask(&mut self, now: Timestamp, ask: Ask) {
        if self.asks.is_empty() {
            self.progress = now;
        }
        self.asks.push_back((ask, now));
    }

    /// Notes that the other side did what it owed.
    pub fn went_on(&mut self, now: Timestamp) {
        self.progress = now;
        self.pace = Pace::Steady;
    }

    /// Takes the oldest ask if `matches` it: its answer came.
    pub fn answered(&mut self, now: Timestamp, matches: impl Fn(&Ask) -> bool) -> Option<Ask> {
        self.asks.front().filter(|(ask, _)| matches(ask))?;
        self.went_on(now);
        let (ask, asked) = self.asks.pop_front()?;
        let took = now.since(asked);
        if took <= EARLY {
            self.window = self.window.saturating_add(1);
        } else if took >= LATE {
            self.window = (self.window / 2).max(WINDOW_MIN);
        }
        Some(ask)
    }

    /// The group of `id` to ask for next, when `arrived` groups have come.
    pub fn next_group(&self, id: &BundleId, arrived: u64) -> Option<GroupIndex> {
        let next = self.asks.iter().fold(arrived, |next, (ask, _)| match ask {
            Ask::Group { id: asked, index } if asked == id && u64::from(index.get()) == next => {
                next + 1
            }
            _ => next,
        });
        GroupIndex::new(next)
    }
}

/// Ids that the other side has and we lack, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Offers {
    queue: BTreeMap<u64, BundleId>,
    places: BTreeMap<BundleId, u64>,
    next: u64,
    /// Those before this place were looked at by [`Offers::look_ahead`].
    ahead: u64,
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

    /// The first id that `judge` takes of those that were not looked at before.
    pub fn look_ahead(&mut self, judge: impl Fn(&BundleId) -> Pick) -> Option<BundleId> {
        let (mut dropped, mut taken) = (vec![], None);
        for (place, id) in self.queue.range(self.ahead..) {
            self.ahead = place + 1;
            match judge(id) {
                Pick::Drop => dropped.push(*id),
                Pick::Skip => {}
                Pick::Take => taken = Some(*id),
            }
            if taken.is_some() {
                break;
            }
        }
        dropped.iter().for_each(|id| self.remove(id));
        taken
    }

    /// True when [`Offers::look_ahead`] has nothing to look at.
    pub fn is_looked_at(&self) -> bool {
        self.ahead >= self.next
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

    fn group(byte: u8, index: u64) -> Ask {
        Ask::Group { id: id(byte), index: GroupIndex::new(index).unwrap() }
    }

    fn link() -> Link {
        let peer = SecretKey::from_seed(&[1; 32]).peer_id();
        Link::new(peer, Timestamp::default(), [0; NONCE_BYTES], 0)
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
        link.ask(Timestamp::from_dtn_ms(2), group(1, 0));
        assert_eq!(link.progress, Timestamp::from_dtn_ms(1));
        let now = Timestamp::from_dtn_ms(9);
        assert_eq!(link.answered(now, |ask| *ask == group(1, 0)), None);
        link.pace = Pace::Stalled;
        assert_eq!(link.answered(now, |ask| ask.id() == &id(1)), Some(Ask::Head(id(1))));
        assert_eq!((link.progress, link.pace), (now, Pace::Steady));
    }

    #[test]
    fn counts_only_groups_that_continue_what_arrived() {
        let mut link = link();
        for ask in [group(1, 10), group(2, 11), group(1, 11), group(1, 30)] {
            link.ask(Timestamp::default(), ask);
        }
        let next = |byte, arrived| link.next_group(&id(byte), arrived).unwrap().get();
        assert_eq!((next(1, 10), next(1, 0), next(2, 11)), (12, 0, 12));
    }

    #[test]
    fn opens_more_asks_where_answers_are_early_and_fewer_where_they_are_late() {
        let mut link = link();
        let mut answer_after = |ms| {
            link.ask(Timestamp::default(), group(1, 0));
            link.answered(Timestamp::from_dtn_ms(ms), |_| true).unwrap();
            link.window
        };
        assert_eq!(answer_after(EARLY.ms()), WINDOW_FIRST + 1);
        assert_eq!(answer_after(EARLY.ms() + 1), WINDOW_FIRST + 1);
        assert_eq!(answer_after(LATE.ms()), WINDOW_FIRST.div_ceil(2));
        (0..9).for_each(|_| _ = answer_after(LATE.ms()));
        assert_eq!(answer_after(LATE.ms()), WINDOW_MIN);
        assert!(link.has_room(1) && !link.is_owed());
        link.ask(Timestamp::default(), group(1, 0));
        assert!(!link.has_room(1) && link.has_room(2) && link.is_owed());
        link.ask(Timestamp::default(), group(1, 1));
        assert!(!link.has_room(9));
    }
    #[test]
    fn owes_nothing_until_something_is_asked() {
        let mut link = link();
        assert!(!link.is_owed() && !link.has_asked(&Ask::Head(id(1))));
        link.ask(Timestamp::default(), Ask::Head(id(1)));
        assert!(link.is_owed() && link.has_asked(&Ask::Head(id(1))));
        assert!(!link.has_asked(&Ask::Head(id(2))) && !link.has_asked(&group(1, 0)));
    }

    #[test]
    fn an_answer_wakes_a_stalled_link() {
        let mut link = link();
        link.stage = Stage::Ready;
        link.pace = Pace::Stalled;
        assert!(!link.may_ask());
        link.went_on(Timestamp::from_dtn_ms(7));
        assert!(link.may_ask() && link.progress == Timestamp::from_dtn_ms(7));
    }
}
