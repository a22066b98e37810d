//! Binary spray-and-wait: a few copies for a bundle to one node that no plan leads to.
//!
//! Spyropoulos, Psounis and Raghavendra, "Spray and Wait" (WDTN 2005). Its source gives a bundle a number of
//! copies. Who has more than one gives half of them, rounded down, to each neighbour without the
//! bundle; who has one keeps it until it meets the destination.
//!
//! A copy is a right to hand the bundle on, and a number in local state; the bundle itself is stored once.
//! **Copies move when the transfer is acknowledged**, which the other side does once bundle and number are
//! durable there ([`Spray::receive`]), and not before. What follows from that:
//!
//! - A contact that is cut before the acknowledgement takes nothing from the giver
//!   ([`Spray::cut`]). If the other side had stored the bundle, both have those copies: there are more than the
//!   source gave, by at most half of the giver's, never fewer, and never none.
//! - Until the contact ends or the acknowledgement comes, copies under way are not given to another.
//! - A transfer that is offered again to the same neighbour has the same number; the neighbour
//!   acknowledges it and takes no copies a second time. So the surplus ends when the two meet again.
//! - A giver that crashes between the acknowledgement and writing its new count comes back with the old
//!   one: more copies again, not fewer. Write [`Spray::copies`] after each acknowledgement.
//!
//! Delivery to the destination ends spraying here; copies elsewhere live until they expire. Everything
//! is bounded by [`SprayLimits`].

use std::collections::BTreeMap;

use crate::bpv7::EndpointId;
use crate::bundle::BundleId;
use crate::time::Timestamp;

/// Copies of one bundle: one or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copies(u16);

/// Tells the transfers of one giver apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferNumber(pub u64);

/// What spraying may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SprayLimits {
    /// Bundles; further ones are not sprayed. Default 16,384.
    pub bundles_max: usize,
    /// Copies of a bundle: more are cut to this. Default 64.
    pub copies_max: u16,
    /// Transfers of one bundle that no acknowledgement came for, and transfers that brought it,
    /// each. Default 64.
    pub transfers_max: usize,
}

/// A bundle that a neighbour gave, with copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The bundle.
    pub id: BundleId,
    /// The node that it is for.
    pub destination: EndpointId,
    /// When its lifetime is over.
    pub expires: Timestamp,
    /// Who gave it.
    pub from: EndpointId,
    /// The copies given.
    pub copies: Copies,
    /// The giver's number of the transfer.
    pub number: TransferNumber,
}

/// What to give to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Give {
    /// The bundle, to its destination.
    Deliver,
    /// The bundle and so many copies.
    Copies(Copies, TransferNumber),
}

/// What an acknowledgement meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// The destination has the bundle: this node need not keep it for spraying.
    Delivered,
    /// The neighbour has some copies; this is what is left.
    Given(Copies),
    /// Nothing was under way to that neighbour.
    Unexpected,
}

/// The copies of each bundle that this node has.
#[derive(Debug, Clone)]
pub struct Spray {
    limits: SprayLimits,
    bundles: BTreeMap<BundleId, Entry>,
    next_transfer: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    destination: EndpointId,
    expires: Timestamp,
    copies: Copies,
    /// What was offered to whom and is not acknowledged.
    given: BTreeMap<EndpointId, Offer>,
    /// The latest transfer of each giver that was counted.
    counted: BTreeMap<EndpointId, TransferNumber>,
}

#[derive(Debug, Clone, Copy)]
struct Offer {
    copies: u16,
    number: TransferNumber,
    /// False once the contact is cut: the neighbour may have them or not.
    is_under_way: bool,
}

impl Copies {
    /// One: wait for the destination.
    pub const ONE: Self = Self(1);

    /// So many; none for zero.
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 { None } else { Some(Self(count)) }
    }

    /// How many.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for SprayLimits {
    fn default() -> Self {
        Self { bundles_max: 16_384, copies_max: 64, transfers_max: 64 }
    }
}

impl Spray {
    /// Nothing to spray. `next_transfer` must be above all numbers that this node used before:
    /// the start time in milliseconds will do.
    pub const fn new(limits: SprayLimits, next_transfer: TransferNumber) -> Self {
        Self { limits, bundles: BTreeMap::new(), next_transfer: next_transfer.0 }
    }

    /// Takes a bundle of this node, or one restored after a restart, with its copies. False if there are
    /// as many bundles as allowed.
    pub fn insert(
        &mut self,
        id: BundleId,
        destination: EndpointId,
        expires: Timestamp,
        copies: Copies,
    ) -> bool {
        let copies = Copies(copies.0.min(self.limits.copies_max).max(1));
        if self.bundles.len() >= self.limits.bundles_max && !self.bundles.contains_key(&id) {
            return false;
        }
        let (given, counted) = (BTreeMap::new(), BTreeMap::new());
        self.bundles.insert(id, Entry { destination, expires, copies, given, counted });
        true
    }

    /// A neighbour gave a bundle, which is stored, and copies. Says how many there are now: write that
    /// down **before** the acknowledgement is sent. A transfer that was counted before adds nothing.
    ///
    /// None if there are as many bundles as allowed: then send no acknowledgement.
    pub fn receive(&mut self, received: &Received) -> Option<Copies> {
        let Received { id, destination, expires, from, copies, number } = received;
        let limits = self.limits;
        let Some(entry) = self.bundles.get_mut(id) else {
            let is_new = self.insert(*id, destination.clone(), *expires, *copies);
            let entry = self.bundles.get_mut(id).filter(|_| is_new)?;
            entry.counted.insert(from.clone(), *number);
            return Some(entry.copies);
        };
        if entry.counted.get(from).is_none_or(|known| known < number) {
            if entry.counted.len() >= limits.transfers_max && !entry.counted.contains_key(from) {
                // A transfer of that giver that comes again will count twice: more copies, not fewer.
                entry.counted.pop_first();
            }
            entry.counted.insert(from.clone(), *number);
            let sum = entry.copies.0.saturating_add(copies.0);
            entry.copies = Copies(sum.min(limits.copies_max));
        }
        Some(entry.copies)
    }

    /// What to give of a bundle to a neighbour that lacks it; none in the wait phase.
    ///
    /// Nothing is given twice at a time. Ask again after [`Spray::cut`].
    pub fn offer(&mut self, id: &BundleId, to: &EndpointId) -> Option<Give> {
        let limits = self.limits;
        let entry = self.bundles.get_mut(id)?;
        if *to == entry.destination {
            return Some(Give::Deliver);
        }
        let free = entry.free();
        let again = entry.given.get(to).copied();
        if again.is_some_and(|it| it.is_under_way) {
            return None;
        }
        if free < 2 {
            return None;
        }
        let (copies, number) = match again {
            // The same transfer, as much of it as can be given: the neighbour may have counted it.
            Some(offer) => (offer.copies.min(free - 1), offer.number),
            None if !entry.has_room(limits.transfers_max) => return None,
            None => {
                self.next_transfer = self.next_transfer.saturating_add(1);
                (free / 2, TransferNumber(self.next_transfer))
            }
        };
        entry.given.insert(to.clone(), Offer { copies, number, is_under_way: true });
        Some(Give::Copies(Copies(copies), number))
    }

    /// The neighbour has bundle and copies durably.
    pub fn acknowledged(&mut self, id: &BundleId, by: &EndpointId) -> Acknowledged {
        let Some(entry) = self.bundles.get_mut(id) else { return Acknowledged::Unexpected };
        if *by == entry.destination {
            self.bundles.remove(id);
            return Acknowledged::Delivered;
        }
        let Some(offer) = entry.given.remove(by) else { return Acknowledged::Unexpected };
        // One stays: who holds a bundle may deliver it.
        entry.copies = Copies(entry.copies.0.saturating_sub(offer.copies).max(1));
        Acknowledged::Given(entry.copies)
    }

    /// The contact with a neighbour ended: what was under way to it is not given.
    pub fn cut(&mut self, neighbour: &EndpointId) {
        for entry in self.bundles.values_mut() {
            if let Some(offer) = entry.given.get_mut(neighbour) {
                offer.is_under_way = false;
            }
        }
    }

    /// The neighbour did not get this bundle: what was under way to it is not given.
    pub fn lost(&mut self, id: &BundleId, neighbour: &EndpointId) {
        let entry = self.bundles.get_mut(id);
        if let Some(offer) = entry.and_then(|entry| entry.given.get_mut(neighbour)) {
            offer.is_under_way = false;
        }
    }

    /// The neighbour turned the bundle down, so it has none of its copies.
    pub fn refused(&mut self, id: &BundleId, by: &EndpointId) {
        if let Some(entry) = self.bundles.get_mut(id) {
            entry.given.remove(by);
        }
    }

    /// The copies of a bundle that this node has.
    pub fn copies(&self, id: &BundleId) -> Option<Copies> {
        self.bundles.get(id).map(|it| it.copies)
    }

    /// Forgets a bundle that is not held any more.
    pub fn forget(&mut self, id: &BundleId) {
        self.bundles.remove(id);
    }

    /// Forgets the bundles whose lifetime is over.
    pub fn expire(&mut self, now: Timestamp) {
        self.bundles.retain(|_, it| now < it.expires);
    }

    /// Number of bundles.
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// True if there is nothing to spray.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }
}

impl Entry {
    /// Makes room for one more transfer by forgetting one that was cut; false if none was.
    fn has_room(&mut self, transfers_max: usize) -> bool {
        if self.given.len() < transfers_max {
            return true;
        }
        let cut = self.given.iter().find(|(_, it)| !it.is_under_way);
        let cut = cut.map(|(neighbour, _)| neighbour.clone());
        cut.is_some_and(|neighbour| self.given.remove(&neighbour).is_some())
    }

    /// Copies that are not under way.
    fn free(&self) -> u16 {
        let under_way = self.given.values().filter(|it| it.is_under_way).map(|it| it.copies);
        under_way.fold(self.copies.0, u16::saturating_sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    const LATE: Timestamp = Timestamp::from_dtn_ms(1_000);

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn node(number: u32) -> EndpointId {
        EndpointId::ipn(number, 0)
    }

    /// Bundle 1 for node 9, with so many copies.
    fn spray(copies: u16) -> Spray {
        let mut spray = Spray::new(SprayLimits::default(), TransferNumber(0));
        assert!(spray.insert(id(1), node(9), LATE, Copies::new(copies).expect("some")));
        spray
    }

    fn given(give: Option<Give>) -> Option<(u16, u64)> {
        match give {
            Some(Give::Copies(copies, number)) => Some((copies.get(), number.0)),
            _ => None,
        }
    }

    fn received(copies: u16, number: u64) -> Received {
        let copies = Copies::new(copies).expect("some");
        let number = TransferNumber(number);
        Received { id: id(1), destination: node(9), expires: LATE, from: node(1), copies, number }
    }

    #[test]
    fn gives_half_until_one_is_left() {
        let mut spray = spray(8);
        for (neighbour, half, left) in [(2, 4, 4), (3, 2, 2), (4, 1, 1)] {
            let (copies, _) = given(spray.offer(&id(1), &node(neighbour))).expect("a half");
            assert_eq!(copies, half);
            let left = Acknowledged::Given(Copies(left));
            assert_eq!(spray.acknowledged(&id(1), &node(neighbour)), left);
        }
        assert_eq!(spray.offer(&id(1), &node(5)), None, "it waits");
        assert_eq!(spray.offer(&id(1), &node(9)), Some(Give::Deliver));
        assert_eq!(spray.acknowledged(&id(1), &node(9)), Acknowledged::Delivered);
        assert!(spray.is_empty());
    }

    #[test]
    fn copies_under_way_are_not_given_to_another() {
        let mut spray = spray(8);
        assert_eq!(given(spray.offer(&id(1), &node(2))), Some((4, 1)));
        assert_eq!(spray.offer(&id(1), &node(2)), None, "it is under way");
        assert_eq!(given(spray.offer(&id(1), &node(3))), Some((2, 2)), "half of what is free");
        assert_eq!(spray.copies(&id(1)), Copies::new(8), "nothing is gone yet");
    }

    #[test]
    fn a_cut_takes_nothing_and_the_same_transfer_is_offered_again() {
        let mut spray = spray(8);
        assert_eq!(given(spray.offer(&id(1), &node(2))), Some((4, 1)));
        spray.cut(&node(2));
        assert_eq!(spray.copies(&id(1)), Copies::new(8));
        assert_eq!(given(spray.offer(&id(1), &node(3))), Some((4, 2)), "all are free again");
        assert_eq!(given(spray.offer(&id(1), &node(2))), Some((3, 1)), "as many as can be");
        assert_eq!(spray.acknowledged(&id(1), &node(3)), Acknowledged::Given(Copies(4)));
        assert_eq!(spray.acknowledged(&id(1), &node(2)), Acknowledged::Given(Copies(1)));
        assert_eq!(spray.acknowledged(&id(1), &node(2)), Acknowledged::Unexpected);
    }

    #[test]
    fn a_refusal_leaves_nothing_under_way() {
        let mut spray = spray(8);
        assert_eq!(given(spray.offer(&id(1), &node(2))), Some((4, 1)));
        spray.refused(&id(1), &node(2));
        assert_eq!(spray.acknowledged(&id(1), &node(2)), Acknowledged::Unexpected);
        assert_eq!(given(spray.offer(&id(1), &node(3))), Some((4, 2)));
    }

    #[test]
    fn a_transfer_counts_once() {
        let mut spray = Spray::new(SprayLimits::default(), TransferNumber(0));
        for (copies, number, sum) in [(4, 7, 4), (4, 7, 4), (2, 6, 4), (2, 8, 6)] {
            assert_eq!(spray.receive(&received(copies, number)), Copies::new(sum));
        }
    }

    #[test]
    fn keeps_its_limits() {
        let limits = SprayLimits { bundles_max: 1, copies_max: 16, transfers_max: 2 };
        let mut spray = Spray::new(limits, TransferNumber(0));
        assert_eq!(spray.receive(&received(u16::MAX, 1)), Copies::new(16));
        assert_eq!(spray.receive(&received(u16::MAX, 2)), Copies::new(16));
        let other = Received { id: id(2), ..received(1, 3) };
        assert_eq!(spray.receive(&other), None, "no acknowledgement for what is not kept");
        assert!(!spray.insert(id(2), node(9), LATE, Copies::ONE));
        assert_eq!(given(spray.offer(&id(1), &node(2))), Some((8, 1)));
        assert_eq!(given(spray.offer(&id(1), &node(3))), Some((4, 2)));
        assert_eq!(spray.offer(&id(1), &node(4)), None, "two are under way");
        spray.cut(&node(3));
        assert_eq!(given(spray.offer(&id(1), &node(4))), Some((4, 3)), "a cut one is forgotten");
    }

    #[test]
    fn forgets_what_is_over() {
        let mut spray = spray(8);
        spray.expire(Timestamp::from_dtn_ms(999));
        assert_eq!(spray.len(), 1);
        spray.expire(LATE);
        assert!(spray.is_empty());
        assert_eq!(spray.offer(&id(1), &node(2)), None);
        assert_eq!(spray.acknowledged(&id(1), &node(2)), Acknowledged::Unexpected);
    }
}
