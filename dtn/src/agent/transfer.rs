//! Transfers: bundles that are under way or await judgement.
//!
//! What has arrived of a payload outlives the link it came on, so that a cut
//! contact resumes at the offset reached, from any link that has the bundle.
//! One link at a time is asked for one bundle. When the finished payload is
//! wrong, the peer that gave all of it lied; when several gave parts of it, it
//! is fetched again from one peer alone, so that the next lie has a name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LinkId;
use super::inventory::Held;
use crate::bundle::{BundleHead, BundleId};
use crate::identity::PeerId;

/// A bundle that has not arrived whole.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub head: Option<Arc<BundleHead>>,
    /// The payload's first bytes.
    pub payload: Vec<u8>,
    /// The link that is asked; none while the transfer rests.
    pub source: Option<LinkId>,
    /// Who gave bytes of the payload.
    pub givers: BTreeSet<PeerId>,
    pub trust: Trust,
    /// Order in which transfers last began; the oldest resting one is evicted.
    begun: u64,
}

/// From whom a payload may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// From anyone, in parts.
    #[default]
    Anyone,
    /// From one peer alone: parts of several did not fit together.
    OnePeer,
}

/// A whole bundle that waits for its verdict.
#[derive(Debug)]
pub(super) struct Judging {
    pub held: Held,
    pub link: LinkId,
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
    pub fn arrived(&self) -> u64 {
        self.payload.len() as u64
    }

    /// True when head and payload are complete.
    pub fn is_whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.payload_len() == self.arrived())
    }

    /// True when bytes at `offset` from `giver` continue the payload.
    pub fn accepts(&self, offset: u64, giver: &PeerId) -> bool {
        let mixes = self.trust == Trust::OnePeer && self.givers.iter().any(|other| other != giver);
        self.head.is_some() && offset == self.arrived() && !mixes
    }

    /// Forgets the payload; the next one must come from one peer alone.
    pub fn restart(&mut self) {
        self.payload = Vec::new();
        self.givers.clear();
        self.trust = Trust::OnePeer;
    }
}

impl Transfers {
    /// No transfers; `max` bounds them.
    pub fn new(max: usize) -> Self {
        Self { partials: BTreeMap::new(), judging: BTreeMap::new(), begun: 0, max }
    }

    /// Begins or resumes the transfer of `id` from `peer` on `link`; false when
    /// there is no room or another link is asked already.
    pub fn begin(&mut self, id: BundleId, link: LinkId, peer: &PeerId) -> bool {
        if self.judging.contains_key(&id) || (!self.partials.contains_key(&id) && !self.make_room())
        {
            return false;
        }
        self.begun += 1;
        let partial = self.partials.entry(id).or_default();
        if partial.source.is_some() {
            return false;
        }
        let mixes = partial.givers.iter().any(|giver| giver != peer);
        if partial.trust == Trust::OnePeer && mixes {
            partial.restart();
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
        self.judging.insert(id, Judging { held, link });
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
    use crate::identity::SecretKey;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn peer(byte: u8) -> PeerId {
        SecretKey::from_seed(&[byte; 32]).peer_id()
    }

    fn give(transfers: &mut Transfers, byte: u8, giver: u8, bytes: &[u8]) {
        let partial = transfers.partial_mut(&id(byte)).unwrap();
        partial.payload.extend_from_slice(bytes);
        partial.givers.insert(peer(giver));
    }

    #[test]
    fn asks_one_link_at_a_time() {
        let mut transfers = Transfers::new(4);
        assert!(transfers.begin(id(1), LinkId(1), &peer(1)));
        assert!(!transfers.begin(id(1), LinkId(2), &peer(2)));
        transfers.release(&id(1), LinkId(2));
        assert!(transfers.is_busy(&id(1)));
        transfers.release(&id(1), LinkId(1));
        assert!(transfers.begin(id(1), LinkId(2), &peer(2)));
    }

    #[test]
    fn resumes_with_what_arrived_from_another_peer() {
        let mut transfers = Transfers::new(4);
        transfers.begin(id(1), LinkId(1), &peer(1));
        give(&mut transfers, 1, 1, b"abc");
        transfers.release_all(LinkId(1));
        transfers.begin(id(1), LinkId(2), &peer(2));
        assert_eq!(transfers.partial(&id(1)).unwrap().arrived(), 3);
    }

    #[test]
    fn does_not_mix_peers_after_a_restart() {
        let mut transfers = Transfers::new(4);
        transfers.begin(id(1), LinkId(1), &peer(1));
        transfers.partial_mut(&id(1)).unwrap().restart();
        give(&mut transfers, 1, 1, b"abc");
        for (link, who, arrived) in [(LinkId(2), 1, 3), (LinkId(3), 2, 0)] {
            let partial = transfers.partial_mut(&id(1)).unwrap();
            partial.source = None;
            transfers.begin(id(1), link, &peer(who));
            assert_eq!(transfers.partial(&id(1)).unwrap().arrived(), arrived);
        }
    }

    #[test]
    fn evicts_the_oldest_resting_transfer_only() {
        let mut transfers = Transfers::new(2);
        assert!(transfers.begin(id(1), LinkId(1), &peer(1)));
        assert!(transfers.begin(id(2), LinkId(1), &peer(1)));
        assert!(!transfers.begin(id(3), LinkId(1), &peer(1)), "both are moving");
        transfers.release(&id(2), LinkId(1));
        transfers.release(&id(1), LinkId(1));
        assert!(transfers.begin(id(3), LinkId(1), &peer(1)));
        assert!(transfers.partial(&id(1)).is_none());
        assert!(transfers.partial(&id(2)).is_some());
    }

    #[test]
    fn counts_resting_transfers_as_not_busy() {
        let mut transfers = Transfers::new(2);
        transfers.begin(id(1), LinkId(1), &peer(1));
        transfers.begin(id(2), LinkId(2), &peer(1));
        transfers.release_all(LinkId(1));
        assert_eq!(transfers.busy_ids().collect::<Vec<_>>(), [&id(2)]);
        assert_eq!(transfers.asked_of(LinkId(2)).count(), 1);
    }
}
