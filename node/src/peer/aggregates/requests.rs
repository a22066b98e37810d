//! Requests: sums that are made and judged off the peer's thread.

use std::sync::Arc;

use longhaul_aggregation::{Epoch, Update};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::BundleHead;
use longhaul_proofs::update::ProveUpdates;
use longhaul_registry::{AdmittedAggregate, SignedManifest, aggregate};

use crate::peer::Input;

/// Makes the aggregate of a bucket; answer with [`SumRequest::carry_out`].
#[derive(Debug)]
pub struct SumRequest {
    pub(super) manifest: Arc<SignedManifest>,
    pub(super) prover: Arc<dyn ProveUpdates>,
    pub(super) epoch: Epoch,
    pub(super) updates: Vec<(Arc<BundleHead>, Update)>,
}

/// The answer to a [`SumRequest`].
#[derive(Debug, Clone)]
pub struct Summed {
    pub(super) epoch: Epoch,
    pub(super) aggregate: Result<(Arc<[u8]>, Arc<AdmittedAggregate>), String>,
}

/// Judges an aggregate of somebody else; answer with [`CheckSumRequest::carry_out`].
#[derive(Debug)]
pub struct CheckSumRequest {
    pub(super) manifest: Arc<SignedManifest>,
    pub(super) prover: Arc<dyn ProveUpdates>,
    pub(super) held: Held,
}

impl SumRequest {
    /// Makes the aggregate, and checks it as its readers will: some 10 ms of one core for each update of 65,000 entries.
    pub fn carry_out(&self) -> Input {
        let updates: Vec<_> = self.updates.iter().map(|(head, update)| (&**head, update)).collect();
        let made = aggregate::make(&self.manifest, &*self.prover, self.epoch, &updates);
        let aggregate = made
            .map(|(bytes, admitted)| (bytes.into(), Arc::new(admitted)))
            .map_err(|error| error.to_string());
        Input::Summed(Summed { epoch: self.epoch, aggregate })
    }
}

impl CheckSumRequest {
    /// Judges it: some 60 ms of one core for 20 updates of 65,000 entries.
    pub fn carry_out(&self) -> Input {
        let Held { head, payload } = &self.held;
        let admitted = self.manifest.admit_aggregate(&*self.prover, head, payload);
        Input::SumChecked(admitted.map(Arc::new))
    }
}
