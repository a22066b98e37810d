//! Wants: offers whose heads came before their payloads, and which payload is worth most.
//!
//! A contact may end at any moment, so what is worth most per byte is asked for first. What
//! that is only a head can tell: so some heads are asked for ahead, while payloads are
//! under way. The peer says what each is worth ([`super::Input::Worth`]); here it is a number.
//! Among equals the one that was offered first goes first, which is the newest.
//!
//! Heads outlive the link that they came on; any link that offers the bundle may be asked
//! for its payload. There are at most [`WANTS_MAX`]; the oldest gives way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LinkId;
use crate::bundle::{BundleHead, BundleId};
use crate::routing::quota::{Density, Value};

/// Heads that are asked for or at hand without their payload, over all links: 16 MiB
/// if each is as large as a frame.
pub(super) const WANTS_MAX: usize = 256;
/// What a bundle is worth that nobody has appraised: with it, small ones go first.
pub(super) const UNKNOWN: Value = Value(1);

/// An offer whose payload is not asked for yet.
#[derive(Debug)]
pub(super) struct Want {
    /// The link that was asked for the head.
    link: LinkId,
    /// Its place among all that were asked for.
    order: u64,
    pub head: Option<Arc<BundleHead>>,
    /// Payload bytes that lack.
    left: u64,
    /// None before the head came and was appraised.
    pub value: Option<Value>,
}

/// Most value per byte first, then what was offered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(Reverse<Density>, u64, BundleId);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Wants {
    all: BTreeMap<BundleId, Want>,
    /// Those that are appraised.
    ranked: BTreeSet<Rank>,
    next: u64,
}

impl Want {
    fn rank(&self, id: &BundleId) -> Option<Rank> {
        let density = Density::of(self.value?, self.left);
        Some(Rank(Reverse(density), self.order, *id))
    }
}

impl Wants {
    /// True when the head is asked for, or at hand without its payload.
    pub fn has(&self, id: &BundleId) -> bool {
        self.all.contains_key(id)
    }

    /// Number of wants that began with this link.
    pub fn of_link(&self, link: LinkId) -> usize {
        self.all.values().filter(|want| want.link == link).count()
    }

    /// True when the head of `id` is asked for and has not come.
    pub fn lacks_head(&self, id: &BundleId) -> bool {
        self.all.get(id).is_some_and(|want| want.head.is_none())
    }

    /// Notes that `link` is asked for the head of `id`; the oldest head at hand gives way.
    /// False if there is no room.
    pub fn begin(&mut self, id: BundleId, link: LinkId) -> bool {
        if self.all.len() >= WANTS_MAX {
            let at_hand = self.all.iter().filter(|(_, want)| want.head.is_some());
            let Some(oldest) = at_hand.min_by_key(|(_, want)| want.order).map(|(id, _)| *id) else {
                return false;
            };
            self.take(&oldest);
        }
        let order = self.next;
        self.next += 1;
        self.all.insert(id, Want { link, order, head: None, left: 0, value: None });
        true
    }

    /// The head of `id` is at hand, and `left` payload bytes lack.
    pub fn know(&mut self, id: &BundleId, head: Arc<BundleHead>, left: u64) {
        if let Some(want) = self.all.get_mut(id) {
            (want.head, want.left) = (Some(head), left);
        }
    }

    /// Says what `id` is worth; true if that was not known before.
    pub fn appraise(&mut self, id: &BundleId, value: Value) -> bool {
        let Some(want) = self.all.get_mut(id).filter(|want| want.head.is_some()) else {
            return false;
        };
        let before = want.rank(id);
        want.value = Some(value);
        let rank = want.rank(id);
        before.map(|rank| self.ranked.remove(&rank));
        self.ranked.extend(rank);
        before.is_none()
    }

    /// The best of those that are appraised and `offered`.
    pub fn best(&self, offered: impl Fn(&BundleId) -> bool) -> Option<(Density, BundleId)> {
        let best = self.ranked.iter().find(|Rank(_, _, id)| offered(id));
        best.map(|&Rank(Reverse(density), _, id)| (density, id))
    }

    /// The first whose head `link` is asked for and has not given.
    pub fn awaited(&self, link: LinkId) -> Option<BundleId> {
        let lacking = self.all.iter().filter(|(_, want)| want.link == link && want.head.is_none());
        lacking.min_by_key(|(_, want)| want.order).map(|(id, _)| *id)
    }

    /// Takes one out: its payload is asked for, or it is not wanted.
    pub fn take(&mut self, id: &BundleId) -> Option<Want> {
        let want = self.all.remove(id)?;
        want.rank(id).map(|rank| self.ranked.remove(&rank));
        Some(want)
    }

    /// Forgets what `link` was asked for and has not given.
    pub fn release(&mut self, link: LinkId) {
        self.all.retain(|_, want| want.link != link || want.head.is_some());
    }

    /// The heads at hand.
    pub fn heads(&self) -> impl Iterator<Item = &Arc<BundleHead>> {
        self.all.values().filter_map(|want| want.head.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::BundleDraft;
    use crate::eid::Eid;
    use crate::identity::SecretKey;
    use crate::time::{Span, Timestamp};

    const ONE: LinkId = LinkId(1);

    fn head(number: u64) -> Arc<BundleHead> {
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(1),
            sequence: number,
            lifetime: Span::from_ms(1),
            hop_limit: 9,
            header: vec![],
            payload: b"x",
        };
        Arc::new(BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).unwrap())
    }

    /// Wants of these payload bytes and values, all from link 1.
    fn wants(of: &[(u64, Option<u64>)]) -> (Wants, Vec<BundleId>) {
        let mut wants = Wants::default();
        let ids = of.iter().zip(0..).map(|(&(left, value), number)| {
            let head = head(number);
            let id = head.id();
            assert!(wants.begin(id, ONE));
            wants.know(&id, head, left);
            if let Some(value) = value {
                assert!(wants.appraise(&id, Value(value)));
            }
            id
        });
        let ids = ids.collect();
        (wants, ids)
    }

    #[test]
    fn the_best_is_worth_most_per_byte_and_then_the_first() {
        let (mut wants, ids) =
            wants(&[(100, Some(10)), (10, Some(2)), (1_000, None), (5, Some(1)), (0, Some(0))]);
        let mut order = vec![];
        while let Some((_, best)) = wants.best(|_| true) {
            order.push(ids.iter().position(|id| *id == best).unwrap());
            wants.take(&best);
        }
        assert_eq!(order, [1, 3, 0, 4]);
        assert!(wants.has(&ids[2]), "what is not appraised waits");
    }

    #[test]
    fn only_what_is_offered_counts() {
        let (wants, ids) = wants(&[(1, Some(9)), (1, Some(5))]);
        assert_eq!(wants.best(|id| *id != ids[0]).map(|(_, id)| id), Some(ids[1]));
        assert_eq!(wants.best(|_| false), None);
    }

    #[test]
    fn a_new_value_replaces_the_old_one() {
        let (mut wants, ids) = wants(&[(1, Some(9)), (1, Some(5))]);
        assert!(!wants.appraise(&ids[1], Value(20)));
        assert_eq!(wants.best(|_| true).map(|(_, id)| id), Some(ids[1]));
        assert_eq!(wants.ranked.len(), 2);
    }

    #[test]
    fn a_link_that_is_gone_leaves_the_heads_that_it_gave() {
        let (mut wants, ids) = wants(&[(1, Some(9))]);
        let awaited = head(7).id();
        wants.begin(awaited, ONE);
        assert_eq!((wants.awaited(ONE), wants.of_link(ONE)), (Some(awaited), 2));
        assert!(!wants.appraise(&awaited, Value(1)), "its head has not come");
        wants.release(ONE);
        assert!(wants.has(&ids[0]) && !wants.has(&awaited));
    }

    #[test]
    fn the_oldest_head_at_hand_gives_way() {
        let (mut wants, ids) = wants(&[(1, Some(9)), (1, None)]);
        let id = |number| head(1_000 + number).id();
        let more = WANTS_MAX as u64 - 2;
        (0..more).for_each(|number| assert!(wants.begin(id(number), ONE)));
        assert!(wants.begin(id(more), ONE) && !wants.has(&ids[0]));
        assert!(wants.begin(id(more + 1), ONE) && !wants.has(&ids[1]));
        assert!(!wants.begin(id(more + 2), ONE), "all others are asked for");
    }
}
