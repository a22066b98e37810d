//! Shelf: the bundles that an agent holds, without their bytes.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::time::Timestamp;

use super::facts::{Facts, NodeNumber};
use crate::shell::bundles::{BundleKey, Entry};

/// A bundle that is stored.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its place among all that are held; given by [`Shelf::put`].
    order: u64,
    bytes: u64,
    expires: Timestamp,
    /// Where it is for; none before its bytes were read after a restart.
    destination: Option<NodeNumber>,
    /// True when it may go to others.
    may_leave: bool,
    /// True when it finds its way by a route, and does not go to all.
    is_routed: bool,
    /// True when nothing is left to do with it.
    is_done: bool,
    /// True when a stranger gave it, and nobody else.
    is_strange: bool,
    /// Who has it, in order.
    holders: Vec<NodeNumber>,
}

/// A node that may be given bundles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub node: NodeNumber,
    /// False when it may have those alone that are for it.
    pub takes_all: bool,
    /// Most bytes of one.
    pub bytes_max: u64,
}

/// A bundle to be sent: its name, its bytes and when it expires.
pub(super) type Wanted = (BundleKey, u64, Timestamp);

/// All that are stored, by name, age of arrival and expiry.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    bundles: BTreeMap<BundleKey, Held>,
    by_order: BTreeMap<u64, BundleKey>,
    by_expiry: BTreeSet<(Timestamp, BundleKey)>,
    done: BTreeSet<(Timestamp, BundleKey)>,
    /// Those of strangers that are for others and not done, and all their bytes, with those on their way into
    /// the store.
    strange: BTreeSet<(Timestamp, BundleKey)>,
    strange_bytes: u64,
    /// Bytes of what is held, and of what is on its way into the store.
    bytes: u64,
    /// Those of them that are on their way into the store.
    reserved: u64,
    next: u64,
}

impl Held {
    /// A bundle of which all is known.
    pub fn new(facts: &Facts, us: NodeNumber, is_strange: bool) -> Self {
        Self {
            order: 0,
            bytes: facts.bytes,
            expires: facts.expires,
            destination: Some(facts.destination),
            may_leave: facts.destination != us && !facts.is_spent,
            is_routed: false,
            is_done: false,
            is_strange,
            holders: Vec::new(),
        }
    }

    /// A bundle that the store has, before it was read.
    pub fn restored(entry: Entry, expires: Timestamp, mut holders: Vec<NodeNumber>) -> Self {
        holders.sort_unstable();
        holders.dedup();
        Self {
            order: 0,
            bytes: entry.bytes,
            expires,
            destination: None,
            may_leave: false,
            is_routed: false,
            is_done: false,
            is_strange: holders.contains(&NodeNumber::STRANGER),
            holders,
        }
    }

    /// True when a node lacks it and may have it.
    fn is_for(&self, reader: &Reader) -> bool {
        let lacks = self.holders.binary_search(&reader.node).is_err();
        let is_meant = match reader.takes_all {
            true => !self.is_routed,
            false => self.destination == Some(reader.node),
        };
        self.may_leave && is_meant && !self.is_done && self.bytes <= reader.bytes_max && lacks
    }

    /// True when it gives way to the bundles of nodes that are believed.
    fn gives_way(&self) -> bool {
        self.is_strange && self.may_leave && !self.is_done
    }
}

impl Shelf {
    /// Bundles held.
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// Bytes of what is held and reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of what is held.
    pub fn held_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.reserved)
    }

    /// Bytes of bundles of strangers that are not done.
    pub fn strange_bytes(&self) -> u64 {
        self.strange_bytes
    }

    /// Keeps room for a bundle that is not held yet.
    pub fn reserve(&mut self, bytes: u64, is_strange: bool) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.reserved = self.reserved.saturating_add(bytes);
        self.strange_bytes += if is_strange { bytes } else { 0 };
    }

    /// Gives up what [`Shelf::reserve`] kept.
    pub fn unreserve(&mut self, bytes: u64, is_strange: bool) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.reserved = self.reserved.saturating_sub(bytes);
        self.strange_bytes = self.strange_bytes.saturating_sub(if is_strange { bytes } else { 0 });
    }

    pub fn has(&self, key: BundleKey) -> bool {
        self.bundles.contains_key(&key)
    }

    /// Takes a bundle in, behind all others.
    pub fn put(&mut self, key: BundleKey, mut held: Held) {
        held.order = self.next;
        self.next += 1;
        self.bytes = self.bytes.saturating_add(held.bytes);
        self.by_order.insert(held.order, key);
        self.by_expiry.insert((held.expires, key));
        let before = self.bundles.insert(key, held);
        debug_assert!(before.is_none(), "a bundle is put once");
        self.sort_strange(key);
    }

    /// Forgets a bundle; false if it is not held.
    pub fn take(&mut self, key: BundleKey) -> bool {
        let Some(held) = self.bundles.remove(&key) else { return false };
        if self.strange.remove(&(held.expires, key)) {
            self.strange_bytes = self.strange_bytes.saturating_sub(held.bytes);
        }
        self.bytes = self.bytes.saturating_sub(held.bytes);
        self.by_order.remove(&held.order);
        self.by_expiry.remove(&(held.expires, key));
        self.done.remove(&(held.expires, key));
        true
    }

    /// Learns what a restored bundle says.
    pub fn know(&mut self, key: BundleKey, facts: &Facts, us: NodeNumber) {
        let Some(held) = self.bundles.get_mut(&key) else { return };
        held.destination = Some(facts.destination);
        held.may_leave = facts.destination != us && !facts.is_spent;
        let is_there = held.holders.contains(&facts.destination);
        self.sort_strange(key);
        if is_there {
            self.finish(key);
        }
    }

    /// A node that is believed gave a bundle, too: it is no stranger's any more.
    pub fn adopt(&mut self, key: BundleKey) {
        if let Some(held) = self.bundles.get_mut(&key) {
            held.is_strange = false;
            self.sort_strange(key);
        }
    }

    /// Puts a bundle where it belongs: with those that give way, or not.
    fn sort_strange(&mut self, key: BundleKey) {
        let Some(held) = self.bundles.get(&key) else { return };
        let place = (held.expires, key);
        match held.gives_way() {
            true if self.strange.insert(place) => self.strange_bytes += held.bytes,
            false if self.strange.remove(&place) => {
                self.strange_bytes = self.strange_bytes.saturating_sub(held.bytes);
            }
            _ => {}
        }
    }

    /// The bundle of a stranger that expires last.
    pub fn last_strange(&self) -> Option<BundleKey> {
        self.strange.last().map(|&(_, key)| key)
    }

    /// True for a bundle with which nothing is left to do.
    pub fn is_done(&self, key: BundleKey) -> bool {
        self.bundles.get(&key).is_some_and(|held| held.is_done)
    }

    /// Notes that a node has a bundle; false if that was known. A bundle that its destination has
    /// is done.
    pub fn mark(&mut self, key: BundleKey, node: NodeNumber) -> bool {
        let Some(held) = self.bundles.get_mut(&key) else { return false };
        let Err(at) = held.holders.binary_search(&node) else { return false };
        held.holders.insert(at, node);
        if held.destination == Some(node) {
            self.finish(key);
        }
        true
    }

    /// A bundle goes nowhere in this run.
    pub fn hold_back(&mut self, key: BundleKey) {
        if let Some(held) = self.bundles.get_mut(&key) {
            held.may_leave = false;
            self.sort_strange(key);
        }
    }

    /// A bundle finds its way by a route.
    pub fn set_routed(&mut self, key: BundleKey) {
        if let Some(held) = self.bundles.get_mut(&key) {
            held.is_routed = true;
        }
    }

    /// True for a bundle that finds its way by a route.
    pub fn is_routed(&self, key: BundleKey) -> bool {
        self.bundles.get(&key).is_some_and(|held| held.is_routed)
    }

    /// The bundles with routes that a node has.
    pub fn routed_of(&self, node: NodeNumber) -> Vec<BundleKey> {
        let has = |held: &Held| held.is_routed && held.holders.binary_search(&node).is_ok();
        self.bundles.iter().filter(|(_, held)| has(held)).map(|(key, _)| *key).collect()
    }

    /// The bytes of a bundle, and when it expires.
    pub fn size_of(&self, key: BundleKey) -> Option<(u64, Timestamp)> {
        self.bundles.get(&key).map(|held| (held.bytes, held.expires))
    }

    /// Nothing is left to do with a bundle.
    pub fn finish(&mut self, key: BundleKey) {
        let Some(held) = self.bundles.get_mut(&key) else { return };
        held.is_done = true;
        self.done.insert((held.expires, key));
        self.sort_strange(key);
    }

    /// The bundle that is done and expires first.
    pub fn first_done(&self) -> Option<BundleKey> {
        self.done.first().map(|&(_, key)| key)
    }

    /// A bundle that is expired at `now`.
    pub fn first_expired(&self, now: Timestamp) -> Option<BundleKey> {
        self.by_expiry.first().filter(|&&(at, _)| at <= now).map(|&(_, key)| key)
    }

    /// When the next bundle expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|&(at, _)| at)
    }

    /// The place of a bundle.
    pub fn order_of(&self, key: BundleKey) -> Option<u64> {
        self.bundles.get(&key).map(|held| held.order)
    }

    /// The place behind all bundles.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The first bundle from place `from` on that a node lacks and may have, and its place.
    pub fn first_for(&self, from: u64, reader: &Reader) -> Option<(u64, Wanted)> {
        let mut places = self.by_order.range(from..);
        places.find_map(|(&place, key)| Some((place, self.wanted(*key, reader)?)))
    }

    /// The bundle at a place, if a node lacks it and may have it.
    pub fn wanted_at(&self, place: u64, reader: &Reader) -> Option<Wanted> {
        self.wanted(*self.by_order.get(&place)?, reader)
    }

    fn wanted(&self, key: BundleKey, reader: &Reader) -> Option<Wanted> {
        let held = self.bundles.get(&key)?;
        held.is_for(reader).then_some((key, held.bytes, held.expires))
    }
}
