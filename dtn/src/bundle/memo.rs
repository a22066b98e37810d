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
