//! Inventory: the bundles that an agent holds and offers.
//!
//! Listed newest first, because a contact may be cut at any moment and recent
//! updates are worth most. Bundles leave when they expire. Their number is
//! bounded by what the crates to the right accept. A bundle may have an
//! [`Audience`]: to others it is as if it were not held, until they ask for it by its id.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::ops::Bound;
use std::sync::Arc;

use crate::bundle::{BundleHead, BundleId};
use crate::identity::PeerId;
use crate::time::Timestamp;

/// The peers that a bundle is offered to.
pub type Audience = Arc<BTreeSet<PeerId>>;

/// A whole bundle: a signed head and the payload that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The head; its signature is checked.
    pub head: Arc<BundleHead>,
    /// The payload that the head names.
    pub payload: Arc<[u8]>,
}

/// A place in the list, newest first; ids break ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Reverse<Timestamp>, BundleId);

/// A place in the own list that follows another peer's.
///
/// Both lists are in the same order and mostly of the same bundles, so the next id
/// that is asked for is mostly the next of the own list.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    inventory: &'a Inventory,
    ahead: btree_set::Range<'a, Place>,
}

impl Walk<'_> {
    /// True when the bundle is held.
    pub fn holds(&mut self, id: &BundleId) -> bool {
        let mut ahead = self.ahead.clone();
        if ahead.next().is_some_and(|Place(_, next)| next == id) {
            self.ahead = ahead;
            return true;
        }
        let Some(held) = self.inventory.get(id) else { return false };
        let place = Place(Reverse(held.head.created()), *id);
        self.ahead = self.inventory.listed.range((Bound::Excluded(place), Bound::Unbounded));
        true
    }
}

/// The bundles held.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    bundles: BTreeMap<BundleId, Held>,
    /// In the order in which they are offered.
    listed: BTreeSet<Place>,
    expiries: BTreeSet<(Timestamp, BundleId)>,
    /// The first of the expiries, at hand: each input asks for it.
    next_expiry: Option<Timestamp>,
    /// Of the bundles that are not offered to everybody.
    audiences: BTreeMap<BundleId, Audience>,
}

impl Inventory {
    /// Offers a bundle to these alone, or to everybody; gives whom it was offered to before.
    pub fn set_audience(&mut self, id: BundleId, to: Option<Audience>) -> Option<Audience> {
        match to {
            Some(to) => self.audiences.insert(id, to),
            None => self.audiences.remove(&id),
        }
    }

    /// Whether a bundle is offered to `peer`, if it is held.
    pub fn is_for(&self, id: &BundleId, peer: &PeerId) -> bool {
        self.audiences.get(id).is_none_or(|to| to.contains(peer))
    }

    /// The ids that are offered to `peer`, in their order.
    pub fn ids_for(&self, peer: PeerId) -> impl Iterator<Item = BundleId> {
        self.bundles.keys().copied().filter(move |id| self.is_for(id, &peer))
    }

    /// Number of bundles that are offered to `peer`.
    pub fn count_for(&self, peer: &PeerId) -> usize {
        let withheld = |(id, to): &(&BundleId, &Audience)| self.contains(id) && !to.contains(peer);
        self.len() - self.audiences.iter().filter(withheld).count()
    }

    /// Adds a bundle; says whether it is new.
    pub fn insert(&mut self, held: Held) -> bool {
        let (id, head) = (held.head.id(), Arc::clone(&held.head));
        if self.bundles.contains_key(&id) {
            return false;
        }
        self.bundles.insert(id, held);
        self.listed.insert(Place(Reverse(head.created()), id));
        self.expiries.insert((head.expires(), id));
        self.next_expiry = self.first_expiry();
        assert_eq!(self.bundles.len(), self.expiries.len());
        true
    }

    /// The bundle with this id.
    pub fn get(&self, id: &BundleId) -> Option<&Held> {
        self.bundles.get(id)
    }

    /// True when the bundle is held.
    pub fn contains(&self, id: &BundleId) -> bool {
        self.bundles.contains_key(id)
    }

    /// True when the bundle is held and on offer.
    pub fn offers(&self, id: &BundleId) -> bool {
        self.get(id)
            .is_some_and(|held| self.listed.contains(&Place(Reverse(held.head.created()), *id)))
    }

    /// All bundles held, in the order of their ids.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.bundles.values()
    }

    /// `ids` with the newest bundle first, and those that are not held last.
    pub fn newest_first(&self, mut ids: Vec<BundleId>) -> Vec<BundleId> {
        ids.sort_by_cached_key(|id| {
            let created = self.get(id).map(|held| held.head.created());
            (Reverse(created), *id)
        });
        ids
    }

    /// Says of ids, best asked in the order of a list, which are held.
    pub fn walk(&self) -> Walk<'_> {
        Walk { inventory: self, ahead: self.listed.range(..) }
    }

    /// Number of bundles held.
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// Up to `max` ids behind `place` that are offered to `peer`, newest first, and the last one's
    /// place when more follow.
    pub fn page(
        &self,
        place: Option<Place>,
        max: usize,
        peer: &PeerId,
    ) -> (Vec<BundleId>, Option<Place>) {
        let rest = match place {
            Some(place) => self.listed.range((Bound::Excluded(place), Bound::Unbounded)),
            None => self.listed.range(..),
        };
        let mut rest = rest.filter(|Place(_, id)| self.is_for(id, peer));
        let page: Vec<Place> = rest.by_ref().take(max).copied().collect();
        let more = rest.next().is_some();
        let last = page.last().copied().filter(|_| more);
        (page.into_iter().map(|Place(_, id)| id).collect(), last)
    }

    /// Drops a bundle, if it is held.
    pub fn remove(&mut self, id: &BundleId) {
        self.audiences.remove(id);
        if let Some(held) = self.bundles.remove(id) {
            self.listed.remove(&Place(Reverse(held.head.created()), *id));
            self.expiries.remove(&(held.head.expires(), *id));
            self.next_expiry = self.first_expiry();
        }
    }

    /// Drops what has expired at `now`, and says what.
    pub fn expire(&mut self, now: Timestamp) -> Vec<BundleId> {
        let mut dropped = vec![];
        if self.next_expiry.is_none_or(|at| at > now) {
            return dropped;
        }
        while let Some(&(expires, id)) = self.expiries.first().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(expires, id));
            self.audiences.remove(&id);
            if let Some(held) = self.bundles.remove(&id) {
                self.listed.remove(&Place(Reverse(held.head.created()), id));
            }
            dropped.push(id);
        }
        self.next_expiry = self.first_expiry();
        dropped
    }

    /// When the next bundle expires.
    pub const fn next_expiry(&self) -> Option<Timestamp> {
        self.next_expiry
    }

    fn first_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|&(expires, _)| expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{BundleDraft, BundleLimits};
    use crate::eid::Eid;
    use crate::identity::SecretKey;
    use crate::time::Span;

    const LIMITS: BundleLimits = BundleLimits {
        header_bytes_max: 9,
        proof_bytes_max: 0,
        payload_bytes_max: 9,
        lifetime_max: Span::from_ms(u64::MAX),
    };

    fn held(created: u64, lifetime: u64) -> Held {
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(created),
            sequence: 0,
            lifetime: Span::from_ms(lifetime),
            hop_limit: 9,
            header: vec![],
            payload: b"x",
        };
        let head = BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).unwrap();
        Held { head: Arc::new(head), payload: b"x".as_slice().into() }
    }

    fn peer(number: u8) -> PeerId {
        SecretKey::from_seed(&[number; 32]).peer_id()
    }

    fn filled(created: impl Iterator<Item = u64>) -> Inventory {
        let mut inventory = Inventory::default();
        created.for_each(|created| assert!(inventory.insert(held(created, 1_000))));
        inventory
    }

    #[test]
    fn lists_everything_newest_first_in_pages() {
        let inventory = filled([5, 2, 9, 1, 7].into_iter());
        let (mut found, mut place) = (vec![], None);
        loop {
            let (page, next) = inventory.page(place, 2, &peer(1));
            assert!(page.len() <= 2);
            found.extend(page.iter().map(|id| inventory.get(id).unwrap().head.created().dtn_ms()));
            if next.is_none() {
                break;
            }
            place = next;
        }
        assert_eq!(found, [9, 7, 5, 2, 1]);
    }

    #[test]
    fn a_bundle_with_an_audience_is_listed_to_nobody_else() {
        let mut inventory = filled(1..6);
        let hidden = inventory.held().next().unwrap().head.id();
        inventory.set_audience(hidden, Some(Arc::new([peer(2)].into())));
        for (who, count) in [(1, 4), (2, 5)] {
            let who = peer(who);
            let (page, next) = inventory.page(None, 9, &who);
            let mut ids: Vec<_> = inventory.ids_for(who).collect();
            ids.sort();
            let mut listed = page.clone();
            listed.sort();
            assert_eq!((ids, inventory.count_for(&who), next), (listed, count, None));
            assert_eq!(page.contains(&hidden), inventory.is_for(&hidden, &who));
            // A page that ends before what is withheld has nothing behind it.
            assert_eq!(inventory.page(None, count, &who).1, None);
        }
        inventory.set_audience(hidden, None);
        assert_eq!(inventory.count_for(&peer(1)), 5);
        inventory.set_audience(hidden, Some(Arc::default()));
        inventory.remove(&hidden);
        assert_eq!((inventory.count_for(&peer(1)), inventory.audiences.len()), (4, 0));
    }

    #[test]
    fn audiences_end_with_their_bundles() {
        let mut inventory = filled(1..3);
        let ids: Vec<_> = inventory.held().map(|held| held.head.id()).collect();
        for id in ids {
            assert_eq!(inventory.set_audience(id, Some(Arc::default())), None);
        }
        assert_eq!(inventory.count_for(&peer(1)), 0);
        inventory.expire(Timestamp::from_dtn_ms(9_999));
        assert_eq!((inventory.len(), inventory.audiences.len()), (0, 0));
    }

    #[test]
    fn a_walk_holds_what_the_inventory_holds_in_any_order() {
        let inventory = filled([1, 3, 4, 6, 7].into_iter());
        let orders = [[7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7], [4, 4, 7, 1, 5, 3, 6]];
        for order in orders {
            let mut walk = inventory.walk();
            for created in order {
                let id = held(created, 1_000).head.id();
                assert_eq!(walk.holds(&id), inventory.contains(&id), "{created} in {order:?}");
            }
        }
    }

    #[test]
    fn says_that_a_full_last_page_is_the_last() {
        let inventory = filled([1, 2].into_iter());
        assert_eq!(inventory.page(None, 2, &peer(1)).1, None);
        assert!(inventory.page(None, 1, &peer(1)).1.is_some());
        assert_eq!(Inventory::default().page(None, 1, &peer(1)), (vec![], None));
    }

    #[test]
    fn puts_ids_in_the_order_of_the_list() {
        let inventory = filled([3, 1, 2].into_iter());
        let gone = held(9, 1_000).head.id();
        let ids = inventory.ids_for(peer(1)).chain([gone]).collect();
        let mut listed = inventory.page(None, 9, &peer(1)).0;
        listed.push(gone);
        assert_eq!(inventory.newest_first(ids), listed);
    }

    #[test]
    fn takes_a_bundle_once() {
        let mut inventory = filled([1].into_iter());
        assert!(!inventory.insert(held(1, 1_000)));
        assert_eq!(inventory.len(), 1);
    }

    #[test]
    fn a_removed_bundle_is_neither_listed_nor_expired() {
        let mut inventory = filled([1, 2].into_iter());
        let id = held(1, 1_000).head.id();
        inventory.remove(&id);
        inventory.remove(&id);
        assert_eq!((inventory.len(), inventory.offers(&id)), (1, false));
        assert_eq!(inventory.page(None, 9, &peer(1)).0, [held(2, 1_000).head.id()]);
        assert_eq!(inventory.next_expiry(), Some(Timestamp::from_dtn_ms(1_002)));
    }

    #[test]
    fn drops_bundles_at_their_expiry_and_not_before() {
        let mut inventory = filled([1, 2].into_iter());
        assert_eq!(inventory.next_expiry(), Some(Timestamp::from_dtn_ms(1_001)));
        assert_eq!(inventory.expire(Timestamp::from_dtn_ms(1_000)), []);
        assert_eq!(inventory.len(), 2);
        let dropped = inventory.expire(Timestamp::from_dtn_ms(1_001));
        assert_eq!(dropped, [held(1, 1_000).head.id()]);
        assert_eq!(inventory.len(), 1);
        assert_eq!(inventory.page(None, 9, &peer(1)).0, [held(2, 1_000).head.id()]);
        inventory.expire(Timestamp::from_dtn_ms(u64::MAX));
        assert_eq!((inventory.len(), inventory.next_expiry()), (0, None));
    }

    #[test]
    fn offers_a_bundle_at_its_hop_limit_too() {
        let mut head = (*held(1, 1_000).head).clone();
        while let Some(next) = head.encode_for_next_hop(Timestamp::from_dtn_ms(2)) {
            head = BundleHead::decode(&next, &LIMITS).unwrap();
        }
        assert_eq!(head.hop_count(), 9);
        let id = head.id();
        let mut inventory = Inventory::default();
        assert!(inventory.insert(Held { head: Arc::new(head), payload: b"x".as_slice().into() }));
        assert!(inventory.contains(&id));
        assert!(inventory.offers(&id));
        assert_eq!(inventory.page(None, 9, &peer(1)).0, [id]);
    }
}
