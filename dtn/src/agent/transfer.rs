//! Transfers: bundles that are under way or await judgement.
//!
//! What has arrived of a payload outlives the link it came on, so that a cut
//! contact resumes at the group reached, from any link that has the bundle.
//! One link at a time is asked for one bundle, group after group, so that the
//! groups that have come are the first ones and a number says which. Each is
//! checked when it comes: a lie has a name, and costs nothing that came before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LinkId;
use super::inventory::Held;
use crate::bundle::{BundleHead, BundleId};
use crate::groups::GROUP_BYTES;
use crate::routing::quota::{Density, Value};

/// Bytes of a payload for which room is made when its first group comes; more only when as much
/// has come, so that a claim costs little. Most payloads are given on without another copy.
const ROOM_FIRST: usize = 1 << 20;

/// A bundle that has not arrived whole.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub head: Option<Arc<BundleHead>>,
    /// Room for the payload, and exactly that once it is whole: it is given on as it is.
    payload: Arc<[u8]>,
    /// Bytes of it that have arrived: its first groups, each checked; the only group of a
    /// short one is not yet.
    arrived: usize,
    /// The link that is asked; none while the transfer rests.
    pub source: Option<LinkId>,
    /// What it is worth; none before its head was appraised.
    pub value: Option<Value>,
    /// Order in which transfers last began; the oldest resting one is evicted.
    pub begun: u64,
}

/// A whole bundle that waits for its verdict.
#[derive(Debug)]
pub(super) struct Judging {
    pub held: Held,
    /// The link that it came on; none where it was carried.
    pub link: Option<LinkId>,
}

/// The transfers and the bundles in judgement; together at most `max`.
#[derive(Debug)]
pub(super) struct Transfers {
    partials: BTreeMap<BundleId, Partial>,
    judging: BTreeMap<BundleId, Judging>,
    begun: u64,
    max: usize,
}

impl Partial {
    /// Bytes of the payload that have arrived.
    const fn arrived(&self) -> u64 {
        self.arrived as u64
    }

    /// Bytes of the payload that lack; none if nobody knows.
    pub fn left(&self) -> Option<u64> {
        let len = self.head.as_ref()?.payload_len();
        Some(len.saturating_sub(self.arrived()))
    }

    /// What it is worth for each byte that lacks.
    pub fn density(&self) -> Option<Density> {
        Some(Density::of(self.value.unwrap_or(super::wants::UNKNOWN), self.left()?))
    }

    /// Groups of the payload that have arrived.
    pub const fn groups(&self) -> u64 {
        self.arrived().div_ceil(GROUP_BYTES)
    }

    /// Takes the next group, which was checked against a head of a payload of `payload_len`
    /// bytes.
    pub fn push(&mut self, payload_len: u64, group: &[u8]) {
        let end = self.arrived + group.len();
        if end > self.payload.len() {
            self.make_room(payload_len);
        }
        let payload = Arc::get_mut(&mut self.payload).expect("nobody has it before it is whole");
        payload[self.arrived..end].copy_from_slice(group);
        self.arrived = end;
    }

    /// Makes room for [`ROOM_FIRST`], later for twice as much as has come, and never for more
    /// than the payload.
    fn make_room(&mut self, payload_len: u64) {
        let room = ROOM_FIRST.max(2 * self.arrived);
        let room = usize::try_from(payload_len).map_or(room, |len| room.min(len));
        let zeros = std::iter::repeat_n(0, room - self.arrived);
        let known = self.payload[..self.arrived].iter().copied();
        self.payload =
            if self.arrived == 0 { zeros.collect() } else { known.chain(zeros).collect() };
    }

    /// The payload, once it is whole.
    pub fn payload(&self) -> Option<&Arc<[u8]>> {
        self.is_whole().then_some(&self.payload)
    }

    /// Forgets the payload; what came was not it.
    pub fn drop_payload(&mut self) {
        (self.payload, self.arrived) = Default::default();
    }

    /// True when head and payload are complete.
    pub fn is_whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.payload_len() == self.arrived())
    }
}

impl Transfers {
    /// No transfers; `max` bounds them.
    pub fn new(max: usize) -> Self {
        Self { partials: BTreeMap::new(), judging: BTreeMap::new(), begun: 0, max }
    }

    /// Begins or resumes the transfer of `id` on `link`; false when
    /// there is no room or another link is asked already.
    pub fn begin(&mut self, id: BundleId, link: LinkId) -> bool {
        if self.judging.contains_key(&id) || (!self.partials.contains_key(&id) && !self.make_room())
        {
            return false;
        }
        self.begun += 1;
        let partial = self.partials.entry(id).or_default();
        if partial.source.is_some() {
            return false;
        }
        partial.source = Some(link);
        partial.begun = self.begun;
        assert!(self.partials.len() + self.judging.len() <= self.max);
        true
    }

    /// The unfinished transfer of `id`.
    pub fn partial(&self, id: &BundleId) -> Option<&Partial> {
        self.partials.get(id)
    }

    /// The unfinished transfer of `id`, to change.
    pub fn partial_mut(&mut self, id: &BundleId) -> Option<&mut Partial> {
        self.partials.get_mut(id)
    }

    /// True when some link is asked for `id` or it is in judgement.
    pub fn is_busy(&self, id: &BundleId) -> bool {
        self.is_judging(id) || self.partial(id).is_some_and(|partial| partial.source.is_some())
    }

    /// True when `id` is in judgement.
    pub fn is_judging(&self, id: &BundleId) -> bool {
        self.judging.contains_key(id)
    }

    /// The transfers for which `link` is asked.
    pub fn asked_of(&self, link: LinkId) -> impl Iterator<Item = (&BundleId, &Partial)> {
        self.partials.iter().filter(move |(_, partial)| partial.source == Some(link))
    }

    /// The heads of transfers, under way or not.
    pub fn heads(&self) -> impl Iterator<Item = &Arc<BundleHead>> {
        self.partials.values().filter_map(|partial| partial.head.as_ref())
    }

    /// Ids under way or in judgement, without the transfers that rest.
    pub fn busy_ids(&self) -> impl Iterator<Item = &BundleId> {
        let moving = self.partials.iter().filter(|(_, partial)| partial.source.is_some());
        moving.map(|(id, _)| id).chain(self.judging.keys())
    }

    /// Lets the transfer of `id` rest, if `link` is asked for it.
    pub fn release(&mut self, id: &BundleId, link: LinkId) {
        if let Some(partial) = self.partials.get_mut(id).filter(|p| p.source == Some(link)) {
            partial.source = None;
        }
    }

    /// Lets all transfers from `link` rest.
    pub fn release_all(&mut self, link: LinkId) {
        let moving = self.partials.values_mut().filter(|partial| partial.source == Some(link));
        moving.for_each(|partial| partial.source = None);
    }

    /// Forgets the unfinished transfer of `id`.
    pub fn forget(&mut self, id: &BundleId) -> Option<Partial> {
        self.partials.remove(id)
    }

    /// Moves a whole bundle to judgement.
    pub fn judge(&mut self, held: Held, link: LinkId) {
        let id = held.head.id();
        let partial = self.partials.remove(&id);
        assert!(partial.is_some_and(|partial| partial.is_whole()), "only a whole bundle is judged");
        self.judging.insert(id, Judging { held, link: Some(link) });
    }

    /// True when one more bundle can be taken to judgement.
    pub fn has_room(&self) -> bool {
        let moving = self.partials.values().filter(|partial| partial.source.is_some());
        moving.count() + self.judging.len() < self.max
    }

    /// Takes a carried bundle to judgement, if there is room; a link that is asked for it is
    /// asked no further.
    pub fn judge_carried(&mut self, held: Held) -> bool {
        let id = held.head.id();
        self.partials.remove(&id);
        let has_room = !self.judging.contains_key(&id) && self.make_room();
        if has_room {
            self.judging.insert(id, Judging { held, link: None });
        }
        has_room
    }

    /// Takes the bundle `id` out of judgement.
    pub fn judged(&mut self, id: &BundleId) -> Option<Judging> {
        self.judging.remove(id)
    }

    /// Most offers that a pick can meet that are busy.
    pub const fn max(&self) -> usize {
        self.max
    }

    fn make_room(&mut self) -> bool {
        if self.partials.len() + self.judging.len() < self.max {
            return true;
        }
        let resting = self.partials.iter().filter(|(_, partial)| partial.source.is_none());
        let oldest = resting.min_by_key(|(_, partial)| partial.begun).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.partials.remove(&id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    #[test]
    fn asks_one_link_at_a_time() {
        let mut transfers = Transfers::new(4);
        assert!(transfers.begin(id(1), LinkId(1)));
        assert!(!transfers.begin(id(1), LinkId(2)));
        transfers.release(&id(1), LinkId(2));
        assert!(transfers.is_busy(&id(1)));
        transfers.release(&id(1), LinkId(1));
        assert!(transfers.begin(id(1), LinkId(2)));
    }

    #[test]
    fn resumes_with_what_arrived_from_another_peer() {
        let mut transfers = Transfers::new(4);
        transfers.begin(id(1), LinkId(1));
        let partial = transfers.partial_mut(&id(1)).unwrap();
        (0..2).for_each(|_| partial.push(5 * GROUP_BYTES, &[0; GROUP_BYTES as usize]));
        transfers.release_all(LinkId(1));
        transfers.begin(id(1), LinkId(2));
        assert_eq!(transfers.partial(&id(1)).unwrap().groups(), 2);
    }

    #[test]
    fn evicts_the_oldest_resting_transfer_only() {
        let mut transfers = Transfers::new(2);
        assert!(transfers.begin(id(1), LinkId(1)));
        assert!(transfers.begin(id(2), LinkId(1)));
        assert!(!transfers.begin(id(3), LinkId(1)), "both are moving");
        transfers.release(&id(2), LinkId(1));
        transfers.release(&id(1), LinkId(1));
        assert!(transfers.begin(id(3), LinkId(1)));
        assert!(transfers.partial(&id(1)).is_none());
        assert!(transfers.partial(&id(2)).is_some());
    }

    #[test]
    fn takes_carried_bundles_while_there_is_room() {
        let mut transfers = Transfers::new(2);
        transfers.begin(id(1), LinkId(1));
        transfers.begin(id(2), LinkId(1));
        assert!(!transfers.has_room());
        transfers.release(&id(2), LinkId(1));
        assert!(transfers.has_room());
        transfers.begin(id(2), LinkId(2));
        assert!(!transfers.has_room());
    }

    #[test]
    fn counts_resting_transfers_as_not_busy() {
        let mut transfers = Transfers::new(2);
        transfers.begin(id(1), LinkId(1));
        transfers.begin(id(2), LinkId(2));
        transfers.release_all(LinkId(1));
        assert_eq!(transfers.busy_ids().collect::<Vec<_>>(), [&id(2)]);
        assert_eq!(transfers.asked_of(LinkId(2)).count(), 1);
    }
    #[test]
    fn a_short_last_group_counts_as_one() {
        let mut partial = Partial::default();
        for (bytes, groups) in [(0, 0), (1, 1), (GROUP_BYTES, 1), (GROUP_BYTES + 1, 2)] {
            partial.arrived = bytes as usize;
            assert_eq!(partial.groups(), groups);
        }
        assert!(!partial.is_whole(), "without a head nobody knows");
    }

    #[test]
    fn forgets_what_is_not_wanted_any_more() {
        let mut transfers = Transfers::new(1);
        transfers.begin(id(1), LinkId(1));
        assert!(transfers.forget(&id(1)).is_some() && transfers.forget(&id(1)).is_none());
        assert!(transfers.has_room() && transfers.begin(id(2), LinkId(1)));
    }

    #[test]
    fn makes_room_for_what_has_come_and_not_for_what_is_claimed() {
        let group = |byte: u8| vec![byte; GROUP_BYTES as usize];
        let mut partial = Partial::default();
        partial.push(u64::MAX, &group(0));
        assert_eq!(partial.payload.len(), ROOM_FIRST);
        let len = ROOM_FIRST as u64 + 3 * GROUP_BYTES + 1;
        let mut partial = Partial::default();
        (0..67).for_each(|index| partial.push(len, &group(index)));
        partial.push(len, &[67]);
        assert_eq!((partial.payload.len() as u64, partial.arrived()), (len, len));
        let firsts = partial.payload.iter().step_by(GROUP_BYTES as usize).copied();
        assert_eq!(firsts.collect::<Vec<_>>(), (0..=67).collect::<Vec<u8>>());
        partial.drop_payload();
        assert_eq!((partial.groups(), partial.payload.len()), (0, 0));
    }
}
