//! Custody: who is known to hold a bundle, and whether that is enough.
//!
//! RFC 9171 has no custody: what BPv6 had was left out. Here it is a promise about storage and nothing else.
//! A node that acknowledges a bundle says that it is **durable** there: after a power loss it still has it,
//! until the bundle expires or the node says that it is gone ([`CustodySignal`]). An
//! acknowledgement is never sent for bytes that only arrived.
//!
//! Each bundle has a target, a number of other nodes that should hold it. As long as fewer are known,
//! [`Holders::needs_more`] says how many lack, and the bundle is worth handing on and worth keeping.
//! Knowledge only grows by signals of the holder itself, whose name the caller has authenticated
//! (the peer at the other end of a contact, or who signed the bundle with the signal); it is
//! bounded by [`CustodyLimits`]. What is forgotten makes a bundle need more, never less.
//!
//! Not here: retransmission by timers. A contact that is cut shows in the contact machine, and the next
//! contact asks again.

mod signal;

use std::collections::{BTreeMap, BTreeSet};

pub use self::signal::{CUSTODY_SIGNAL, CustodySignal, Disposition, SIGNAL_IDS_MAX, SignalError};
use crate::bpv7::EndpointId;
use crate::bundle::BundleId;
use crate::time::Timestamp;

/// Other nodes that should hold a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicas(u8);

/// What may be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustodyLimits {
    /// Bundles. Default 65,536.
    pub bundles_max: usize,
    /// Holders of one bundle; a target above it is cut to it. Default 16.
    pub holders_max: u8,
}

/// Who holds what, as far as they said so.
#[derive(Debug, Clone)]
pub struct Holders {
    limits: CustodyLimits,
    bundles: BTreeMap<BundleId, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    target: Replicas,
    expires: Timestamp,
    holders: BTreeSet<EndpointId>,
}

impl Replicas {
    /// So many; zero asks for none.
    pub const fn new(count: u8) -> Self {
        Self(count)
    }

    /// How many.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for CustodyLimits {
    fn default() -> Self {
        Self { bundles_max: 65_536, holders_max: 16 }
    }
}

impl Holders {
    /// Nothing is known.
    pub const fn new(limits: CustodyLimits) -> Self {
        Self { limits, bundles: BTreeMap::new() }
    }

    /// Watches a bundle that this node holds. False if there are as many as allowed; then nothing is
    /// known of it, and it needs no more. A new target for a bundle keeps its holders.
    pub fn watch(&mut self, id: BundleId, target: Replicas, expires: Timestamp) -> bool {
        let target = Replicas(target.0.min(self.limits.holders_max));
        if let Some(entry) = self.bundles.get_mut(&id) {
            entry.target = target;
            return true;
        }
        let has_room = self.bundles.len() < self.limits.bundles_max;
        if has_room {
            self.bundles.insert(id, Entry { target, expires, holders: BTreeSet::new() });
        }
        has_room
    }

    /// A node acknowledged a bundle. True if that is new and remembered.
    pub fn acknowledged(&mut self, id: &BundleId, by: &EndpointId) -> bool {
        let holders_max = usize::from(self.limits.holders_max);
        let entry = self.bundles.get_mut(id).filter(|it| it.holders.len() < holders_max);
        entry.is_some_and(|it| it.holders.insert(by.clone()))
    }

    /// A node refused a bundle, or does not hold it any longer. True if it was known to hold it.
    pub fn gone(&mut self, id: &BundleId, from: &EndpointId) -> bool {
        self.bundles.get_mut(id).is_some_and(|it| it.holders.remove(from))
    }

    /// Takes a signal of `from`; returns the bundles whose holders changed.
    pub fn take(&mut self, signal: &CustodySignal, from: &EndpointId) -> Vec<BundleId> {
        let is_held = signal.disposition() == Disposition::Holds;
        let change = |id: &&BundleId| {
            if is_held { self.acknowledged(id, from) } else { self.gone(id, from) }
        };
        signal.ids().iter().filter(change).copied().collect()
    }

    /// How many more nodes should hold the bundle; none for one that is not watched.
    pub fn needs_more(&self, id: &BundleId) -> Replicas {
        self.bundles.get(id).map_or(Replicas(0), Entry::lacks)
    }

    /// The bundles that more nodes should hold, those that lack most first, then by id.
    pub fn wanting(&self) -> Vec<BundleId> {
        let lacking = self.bundles.iter().map(|(id, entry)| (entry.lacks(), *id));
        let mut found: Vec<_> = lacking.filter(|(lacks, _)| lacks.0 > 0).collect();
        found.sort_by_key(|&(lacks, id)| (std::cmp::Reverse(lacks), id));
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// True if the node said that it holds the bundle.
    pub fn is_held_by(&self, id: &BundleId, node: &EndpointId) -> bool {
        self.bundles.get(id).is_some_and(|it| it.holders.contains(node))
    }

    /// Number of nodes that said that they hold the bundle.
    pub fn known(&self, id: &BundleId) -> usize {
        self.bundles.get(id).map_or(0, |it| it.holders.len())
    }

    /// Forgets a bundle that this node does not hold any longer.
    pub fn forget(&mut self, id: &BundleId) {
        self.bundles.remove(id);
    }

    /// Forgets the bundles whose lifetime is over.
    pub fn expire(&mut self, now: Timestamp) {
        self.bundles.retain(|_, it| now < it.expires);
    }
}

impl Entry {
    fn lacks(&self) -> Replicas {
        let known = u8::try_from(self.holders.len()).unwrap_or(u8::MAX);
        Replicas(self.target.0.saturating_sub(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpv7::ReportReason;
    use crate::hash::ContentHash;

    const LATE: Timestamp = Timestamp::from_dtn_ms(1_000);

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn node(number: u32) -> EndpointId {
        EndpointId::ipn(number, 0)
    }

    fn watching(targets: &[(u8, u8)]) -> Holders {
        let mut holders = Holders::new(CustodyLimits::default());
        for &(byte, target) in targets {
            assert!(holders.watch(id(byte), Replicas::new(target), LATE));
        }
        holders
    }

    #[test]
    fn needs_as_many_as_the_target_lacks() {
        let mut holders = watching(&[(1, 2), (2, 0)]);
        assert_eq!(holders.needs_more(&id(1)), Replicas::new(2));
        assert!(holders.acknowledged(&id(1), &node(5)));
        assert!(!holders.acknowledged(&id(1), &node(5)), "one node counts once");
        assert_eq!(holders.needs_more(&id(1)), Replicas::new(1));
        assert!(holders.acknowledged(&id(1), &node(6)));
        assert_eq!(holders.needs_more(&id(1)), Replicas::new(0));
        assert_eq!(holders.needs_more(&id(2)), Replicas::new(0));
        assert!(holders.gone(&id(1), &node(5)));
        assert!(!holders.gone(&id(1), &node(5)));
        assert_eq!(holders.needs_more(&id(1)), Replicas::new(1));
        assert!(!holders.is_held_by(&id(1), &node(5)) && holders.is_held_by(&id(1), &node(6)));
    }

    #[test]
    fn what_nobody_watches_is_not_remembered() {
        let mut holders = watching(&[]);
        assert!(!holders.acknowledged(&id(1), &node(5)));
        assert_eq!((holders.known(&id(1)), holders.needs_more(&id(1))), (0, Replicas::new(0)));
    }

    #[test]
    fn lists_what_lacks_most_first() {
        let mut holders = watching(&[(1, 1), (2, 3), (3, 3), (4, 0)]);
        assert_eq!(holders.wanting(), [id(2), id(3), id(1)]);
        holders.acknowledged(&id(2), &node(5));
        holders.acknowledged(&id(1), &node(5));
        assert_eq!(holders.wanting(), [id(3), id(2)]);
        assert!(holders.watch(id(1), Replicas::new(9), LATE), "a new target");
        assert_eq!((holders.needs_more(&id(1)), holders.known(&id(1))), (Replicas::new(8), 1));
    }

    #[test]
    fn takes_signals_of_the_holder() {
        let mut holders = watching(&[(1, 2), (2, 2)]);
        let signal = |disposition| {
            CustodySignal::new(disposition, [id(1), id(2), id(3)]).expect("three ids")
        };
        assert_eq!(holders.take(&signal(Disposition::Holds), &node(5)), [id(1), id(2)]);
        assert_eq!(holders.take(&signal(Disposition::Holds), &node(5)), [], "nothing new");
        let gone = signal(Disposition::Gone(ReportReason::DEPLETED_STORAGE));
        assert_eq!(holders.take(&gone, &node(6)), [], "it speaks for itself alone");
        assert_eq!(holders.take(&gone, &node(5)), [id(1), id(2)]);
        assert_eq!(holders.known(&id(1)), 0);
    }

    #[test]
    fn a_bundle_that_is_held_by_enough_is_wanted_again_when_one_loses_it() {
        let mut holders = watching(&[(1, 1)]);
        holders.acknowledged(&id(1), &node(5));
        assert_eq!(holders.wanting(), []);
        let gone = Disposition::Gone(ReportReason::LIFETIME_EXPIRED);
        let signal = CustodySignal::new(gone, [id(1), id(9)]).expect("two ids");
        assert_eq!(holders.take(&signal, &node(5)), [id(1)], "9 is nobody's");
        assert_eq!(holders.wanting(), [id(1)]);
    }

    #[test]
    fn keeps_its_limits() {
        let limits = CustodyLimits { bundles_max: 1, holders_max: 2 };
        let mut holders = Holders::new(limits);
        assert!(holders.watch(id(1), Replicas::new(200), LATE));
        assert!(!holders.watch(id(2), Replicas::new(1), LATE));
        assert_eq!(holders.needs_more(&id(1)), Replicas::new(2));
        let new: Vec<bool> = (1..5).map(|it| holders.acknowledged(&id(1), &node(it))).collect();
        assert_eq!(new, [true, true, false, false]);
        holders.expire(LATE);
        assert!(holders.watch(id(2), Replicas::new(1), LATE), "there is room again");
        holders.forget(&id(2));
        assert_eq!(holders.wanting(), []);
    }
}
