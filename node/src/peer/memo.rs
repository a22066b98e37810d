//! Memo: what many peers of one process may share.
//!
//! Checking a signature, admitting an update and folding a set are pure functions.
//! A simulation has thousands of peers that compute them of the same bytes; with a
//! memo each is computed once, and the results are held once. Answers are the same
//! with and without. A node that runs alone has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use longhaul_aggregation::{Admitted, TermMemo};
use longhaul_dtn::bundle::{BundleId, BundleMemo};
use longhaul_registry::AdmittedAggregate;

/// Pure functions of bytes, computed once for all peers of one federation.
#[derive(Debug, Clone)]
pub struct Memo {
    /// Bundles whose signature and hashes were checked.
    pub bundles: Arc<BundleMemo>,
    /// Updates that were admitted.
    pub admitted: Arc<AdmissionMemo>,
    /// Bundles whose proof holds.
    pub proofs: Arc<ProofMemo>,
    /// Aggregates that were admitted.
    pub aggregates: Arc<AggregateMemo>,
    /// Terms of sets.
    pub terms: Arc<dyn TermMemo>,
}

impl Memo {
    /// The update in a bundle: as `memo` knows it, or as `admit` finds.
    pub(super) fn admitted<E>(
        memo: Option<&Self>,
        id: &BundleId,
        admit: impl FnOnce() -> Result<Admitted, E>,
    ) -> Result<Arc<Admitted>, E> {
        let known = memo.and_then(|memo| memo.admitted.get(id));
        known.map_or_else(|| admit().map(Arc::new), Ok)
    }
}

/// What was admitted, by its bundle, whose id covers author, header and payload. For one federation only: another has other
/// rules. Grows without bound: it is for runs that end.
pub struct AdmittedMemo<T>(Mutex<BTreeMap<BundleId, Arc<T>>>);

/// Updates that passed admission.
pub type AdmissionMemo = AdmittedMemo<Admitted>;
/// Aggregates that did.
pub type AggregateMemo = AdmittedMemo<AdmittedAggregate>;

impl<T> AdmittedMemo<T> {
    /// What is in a bundle that was admitted before.
    pub(super) fn get(&self, id: &BundleId) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Remembers what was admitted.
    pub(super) fn put(&self, id: BundleId, admitted: &Arc<T>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(id, Arc::clone(admitted));
    }
}

impl<T> Default for AdmittedMemo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for AdmittedMemo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("AdmittedMemo").field("admitted", &table.len()).finish()
    }
}

/// Bundles whose proof holds; the id covers the proof and all that it is about. Grows without bound, as the others do.
#[derive(Default)]
pub struct ProofMemo(Mutex<BTreeSet<BundleId>>);

impl ProofMemo {
    /// True for a bundle whose proof was found to hold.
    pub(super) fn has(&self, id: &BundleId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Remembers that a bundle's proof holds.
    pub(super) fn put(&self, id: BundleId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

impl fmt::Debug for ProofMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("ProofMemo").field("proofs", &known).finish()
    }
}
