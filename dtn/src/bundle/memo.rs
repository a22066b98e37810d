//! Memo: bundles that were checked before, shared by many agents in one process.
//!
//! A simulation has thousands of peers that check the same signatures and hashes.
//! With a memo each is checked once; later the bytes are compared with those that
//! were checked, which gives the same answer. A node that runs alone needs none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{BundleId, Sealed};
use crate::hash::ContentHash;

/// Bundles that were checked before. Grows without bound: it is for runs that
/// end, not for a process that strangers feed.
#[derive(Default)]
pub struct BundleMemo {
    sealed: Mutex<BTreeMap<BundleId, Arc<Sealed>>>,
    payloads: Mutex<BTreeMap<ContentHash, Arc<[u8]>>>,
}

impl BundleMemo {
    /// The signed part that was checked under this id.
    pub(super) fn sealed(&self, id: &BundleId) -> Option<Arc<Sealed>> {
        lock(&self.sealed).get(id).cloned()
    }

    /// Remembers a signed part that was checked.
    pub(super) fn keep(&self, sealed: &Arc<Sealed>) {
        lock(&self.sealed).insert(sealed.id, Arc::clone(sealed));
    }

    /// The shared copy of a payload, if exactly these bytes were checked before.
    pub(crate) fn payload(&self, hash: &ContentHash, bytes: &[u8]) -> Option<Arc<[u8]>> {
        lock(&self.payloads).get(hash).filter(|known| ***known == *bytes).cloned()
    }

    /// Remembers a payload that has this hash.
    pub(crate) fn keep_payload(&self, hash: ContentHash, payload: &Arc<[u8]>) {
        lock(&self.payloads).insert(hash, Arc::clone(payload));
    }
}

/// Nothing panics while it holds one of these locks, and a table of checked
/// facts would be sound all the same.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for BundleMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sealed, payloads) = (lock(&self.sealed).len(), lock(&self.payloads).len());
        f.debug_struct("BundleMemo").field("sealed", &sealed).field("payloads", &payloads).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{BundleDraft, BundleHead, BundleLimits};
    use crate::eid::Eid;
    use crate::identity::SecretKey;
    use crate::time::{Span, Timestamp};

    const LIMITS: BundleLimits = BundleLimits {
        header_bytes_max: 99,
        proof_bytes_max: 0,
        payload_bytes_max: 99,
        lifetime_max: Span::from_ms(1_000),
    };

    fn head() -> BundleHead {
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(1),
            sequence: 0,
            lifetime: Span::from_ms(1_000),
            hop_limit: 9,
            header: b"header".to_vec(),
            payload: b"payload",
        };
        BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).unwrap()
    }

    #[test]
    fn what_is_known_reads_as_it_does_without_a_memo() {
        let (memo, head) = (BundleMemo::default(), head());
        let id = head.id();
        let next = head.encode_for_next_hop(Timestamp::from_dtn_ms(70_000)).unwrap();
        assert_eq!(BundleHead::decode_known(&next, &id, &memo), None);
        let checked = BundleHead::decode_authentic(&next, &LIMITS, Some(&memo)).unwrap();
        let known = BundleHead::decode_known(&next, &id, &memo);
        assert_eq!(known, Some(checked.clone()));
        assert_eq!(checked.encode(), next);
        assert_eq!(checked.header(), b"header");
    }

    #[test]
    fn no_changed_or_cut_head_passes_for_a_known_one() {
        let (memo, head) = (BundleMemo::default(), head());
        let (id, good) = (head.id(), head.encode());
        BundleHead::decode_authentic(&good, &LIMITS, Some(&memo)).unwrap();
        let mut longer = good.clone();
        longer.push(0xff);
        let cuts = (0..good.len()).map(|len| good[..len].to_vec());
        let flips = (0..good.len() * 8).map(|bit| {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in cuts.chain(flips).chain([longer]) {
            assert_eq!(BundleHead::decode_known(&bytes, &id, &memo), None, "{bytes:x?}");
        }
    }
}
