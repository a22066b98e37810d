//! Carried: bundles that a peer can't read, and what each payload in storage is needed for.
//!
//! Whoever hands over the most gives way first, and of what it handed over what came first: a flood makes
//! room at its own cost. The time of creation counts for nothing, since its author chooses it. Each bundle counts
//! some bytes beside its payload, for its head in memory and in the log.
//!
//! Payloads are stored by their hash alone, and anybody can sign a further bundle around a payload
//! that it saw. So a payload is forgotten with the last bundle that has it ([`Needed`]).

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::keyring::KeyId;
use longhaul_dtn::time::Timestamp;

/// Bytes that a peer carries for others, unless it is told otherwise.
pub const CARRIED_BYTES_MAX: u64 = 256 << 20;
/// What a bundle counts beside its payload: its head in memory, and its entries in the log.
const HEAD_COST: u64 = 2048;

/// What is carried unread.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    bundles: BTreeMap<BundleId, Kept>,
    givers: BTreeMap<PeerId, Giver>,
    by_expiry: BTreeSet<(Timestamp, BundleId)>,
    bytes: u64,
    pub bytes_max: u64,
    /// Counts what was kept so far.
    arrivals: u64,
}

#[derive(Debug, Clone)]
struct Kept {
    held: Held,
    from: PeerId,
    arrival: u64,
}

/// What one neighbour handed over.
#[derive(Debug, Clone, Default)]
struct Giver {
    /// What of it is carried, in the order in which it came.
    carried: BTreeMap<u64, BundleId>,
    bytes: u64,
    /// All bundles so far, whether they are carried still or not.
    given: u64,
}

impl Default for Carried {
    fn default() -> Self {
        Self {
            bundles: BTreeMap::new(),
            givers: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            bytes_max: CARRIED_BYTES_MAX,
            arrivals: 0,
        }
    }
}

impl Carried {
    /// What a bundle counts, in bytes.
    pub fn cost(head: &BundleHead) -> u64 {
        head.payload_len().saturating_add(HEAD_COST)
    }

    /// Number of bundles.
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// Bytes that they count.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bundles, by their ids.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.bundles.values().map(|kept| &kept.held)
    }

    /// Number of bundles that `from` has handed over so far.
    pub fn given(&self, from: &PeerId) -> u64 {
        self.givers.get(from).map_or(0, |giver| giver.given)
    }

    /// Keeps a bundle that `from` handed over.
    pub fn keep(&mut self, held: Held, from: PeerId) {
        let (id, expires, cost) = (held.head.id(), held.head.expires(), Self::cost(&held.head));
        let giver = self.givers.entry(from).or_default();
        giver.given += 1;
        if self.bundles.contains_key(&id) {
            return;
        }
        self.arrivals += 1;
        giver.carried.insert(self.arrivals, id);
        giver.bytes += cost;
        self.bytes += cost;
        self.by_expiry.insert((expires, id));
        self.bundles.insert(id, Kept { held, from, arrival: self.arrivals });
    }

    /// Keeps it no longer.
    pub fn take(&mut self, id: &BundleId) -> Option<(Held, PeerId)> {
        let Kept { held, from, arrival } = self.bundles.remove(id)?;
        let cost = Self::cost(&held.head);
        self.by_expiry.remove(&(held.head.expires(), *id));
        self.bytes -= cost;
        let giver = self.givers.get_mut(&from).expect("who handed it over is known");
        giver.carried.remove(&arrival);
        giver.bytes -= cost;
        Some((held, from))
    }

    /// Takes out what has expired at `now` or, if more is carried than may be, what came first of
    /// the neighbour that handed over the most.
    pub fn take_surplus(&mut self, now: Timestamp) -> Option<Held> {
        let (expires, id) = *self.by_expiry.first()?;
        if expires <= now {
            return self.take(&id).map(|(held, _)| held);
        }
        if self.bytes <= self.bytes_max {
            return None;
        }
        let largest = self.givers.values().max_by_key(|giver| giver.bytes)?;
        let id = *largest.carried.values().next()?;
        self.take(&id).map(|(held, _)| held)
    }

    /// The bundles that this key opens.
    pub fn under(&self, key: KeyId) -> Vec<BundleId> {
        let is_under = |held: &Held| held.head.confidential().is_some_and(|claim| claim.key == key);
        self.held().filter(|held| is_under(held)).map(|held| held.head.id()).collect()
    }
}

/// Which bundles need which payload. Kept in private federations, where bundles are dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Needed(BTreeMap<ContentHash, BTreeSet<BundleId>>);

impl Needed {
    /// Notes that `bundle` needs its payload.
    pub fn add(&mut self, payload: ContentHash, bundle: BundleId) {
        self.0.entry(payload).or_default().insert(bundle);
    }

    /// Notes that `bundle` needs it no longer; true if nothing else does.
    pub fn remove(&mut self, payload: ContentHash, bundle: BundleId) -> bool {
        let Some(users) = self.0.get_mut(&payload) else { return true };
        users.remove(&bundle);
        let is_free = users.is_empty();
        if is_free {
            self.0.remove(&payload);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longhaul_dtn::bundle::BundleDraft;
    use longhaul_dtn::eid::Eid;
    use longhaul_dtn::identity::SecretKey;
    use longhaul_dtn::time::Span;

    use super::*;

    fn peer(number: u8) -> PeerId {
        SecretKey::from_seed(&[number; 32]).peer_id()
    }

    fn bundle(number: u64, created: u64, len: usize) -> Held {
        let payload = vec![7; len];
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(created),
            sequence: number,
            lifetime: Span::from_ms(1_000),
            hop_limit: 9,
            header: vec![0; 40],
            payload: &payload,
        };
        let head = BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).expect("sound");
        Held { head: Arc::new(head), payload: payload.into() }
    }

    fn carried(bytes_max: u64) -> Carried {
        Carried { bytes_max, ..Carried::default() }
    }

    #[test]
    fn a_flood_makes_room_at_its_own_cost_whenever_it_says_that_it_was_made() {
        let cost = HEAD_COST + 100;
        let mut carried = carried(10 * cost);
        let (honest, hostile) = (peer(1), peer(2));
        (0..4).for_each(|number| carried.keep(bundle(number, 500, 100), honest));
        for number in 100..200 {
            carried.keep(bundle(number, 1 << 40, 100), hostile);
            while let Some(gone) = carried.take_surplus(Timestamp::from_dtn_ms(600)) {
                assert_eq!(gone.head.created().dtn_ms(), 1 << 40, "an honest one went");
            }
        }
        assert_eq!((carried.len(), carried.bytes()), (10, 10 * cost));
        assert_eq!((carried.given(&honest), carried.given(&hostile)), (4, 100));
    }

    #[test]
    fn what_came_first_of_one_neighbour_goes_first() {
        let mut carried = carried(2 * (HEAD_COST + 100));
        let all: Vec<_> = [900, 300, 700].map(|created| bundle(created, created, 100)).into();
        all.iter().for_each(|held| carried.keep(held.clone(), peer(1)));
        let gone = carried.take_surplus(Timestamp::from_dtn_ms(0)).expect("one too many");
        assert_eq!(gone.head.id(), all[0].head.id());
        assert!(carried.take_surplus(Timestamp::from_dtn_ms(0)).is_none());
    }

    #[test]
    fn empty_payloads_count_too() {
        let mut carried = carried(3 * HEAD_COST);
        (0..9).for_each(|number| carried.keep(bundle(number, 1, 0), peer(1)));
        let gone = std::iter::from_fn(|| carried.take_surplus(Timestamp::from_dtn_ms(2))).count();
        assert_eq!((gone, carried.len()), (6, 3));
    }

    #[test]
    fn what_has_expired_goes_in_the_order_of_its_end() {
        let mut carried = Carried::default();
        [5, 1, 3].iter().for_each(|&at| carried.keep(bundle(at, at, 10), peer(at as u8)));
        let now = Timestamp::from_dtn_ms(1_003);
        let gone = std::iter::from_fn(|| carried.take_surplus(now));
        let gone: Vec<_> = gone.map(|held| held.head.created().dtn_ms()).collect();
        assert_eq!((gone, carried.len()), (vec![1, 3], 1));
    }

    #[test]
    fn keeping_a_bundle_twice_counts_it_once() {
        let mut carried = Carried::default();
        (0..2).for_each(|_| carried.keep(bundle(1, 1, 10), peer(1)));
        assert_eq!((carried.len(), carried.bytes()), (1, HEAD_COST + 10));
        assert!(carried.take(&bundle(1, 1, 10).head.id()).is_some());
        assert_eq!((carried.bytes(), carried.by_expiry.len()), (0, 0));
    }

    #[test]
    fn a_payload_is_free_once_the_last_bundle_that_has_it_is_gone() {
        let (payload, mut needed) = (ContentHash::of(b"payload"), Needed::default());
        let [one, two] = [1, 2].map(|number| bundle(number, 1, 10).head.id());
        needed.add(payload, one);
        needed.add(payload, two);
        needed.add(payload, two);
        assert!(!needed.remove(payload, two));
        assert!(needed.remove(payload, one));
        assert!(needed.remove(payload, one), "nobody needs what nobody has noted");
    }
}
