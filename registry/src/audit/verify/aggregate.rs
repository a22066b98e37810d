//! What a log holds beside updates, seals and keys: what was carried, contributions, and sums that stand for the updates whose heads are in them.
//!
//! The proofs in the heads are checked with those of all other heads. That a sum is that of the proofs' commitments takes the
//! manifest's proving keys; an auditor without them takes the exporter's word for the sums, and the report says so.

use longhaul_dtn::bundle::BundleHead;

use super::{Observer, Walk, detection_of};
use crate::aggregate::AdmittedAggregate;
use crate::audit::Detection;
use crate::entry::SignedEntry;

impl Walk<'_> {
    /// What the exporter carried for others says nothing of its model; its head must be good.
    pub(super) fn check_carried(
        &mut self,
        place: u64,
        head: &[u8],
    ) -> Result<(), (Detection, String)> {
        let head = BundleHead::decode(head, &self.limits)
            .map_err(|error| (detection_of(&error), error.to_string()))?;
        self.proofs.ask(place, &head, &mut self.report);
        self.report.carried += 1;
        Ok(())
    }

    /// A contribution to a ceremony; its points are for whoever builds on it.
    pub(super) fn check_contribution(&mut self, head: &[u8]) -> Result<(), (Detection, String)> {
        let Some(head) = self.read(head)? else { return Ok(()) };
        let Some(payload) = self.payload(&head.payload_hash())? else { return Ok(()) };
        let admitted = self.file.manifest().admit_contribution(&head, &payload);
        admitted.map_err(|refusal| (Detection::Admission, refusal.to_string()))?;
        self.report.contributions += 1;
        Ok(())
    }

    pub(super) fn check_aggregate(
        &mut self,
        (place, entry): (u64, &SignedEntry),
        (head, own): (&[u8], bool),
        observer: &mut dyn Observer,
    ) -> Result<(), (Detection, String)> {
        let Some(head) = self.read(head)? else { return Ok(()) };
        let manifest = self.file.manifest();
        let refused = |message: String| (Detection::Admission, message);
        if own && head.author() != entry.entry().author {
            let message =
                format!("an aggregate of {} is recorded as the exporter's own", head.author());
            return Err(refused(message));
        }
        manifest.screen_aggregate(&head).map_err(|error| refused(error.to_string()))?;
        self.report.aggregates += 1;
        let Some(payload) = self.payload(&head.payload_hash())? else { return Ok(()) };
        let admitted = match self.proofs.prover() {
            Some(prover) => manifest.admit_aggregate(prover, &head, &payload),
            None => manifest.readmit_aggregate(&head, &payload),
        };
        let admitted = admitted.map_err(|refusal| {
            let message = format!("the aggregate that {} made: {refusal}", head.author());
            (Detection::Proof, message)
        })?;
        self.report.aggregates_verified += u64::from(self.proofs.prover().is_some());
        let heads: Vec<BundleHead> = admitted.heads.iter().map(|(head, _)| head.clone()).collect();
        heads.iter().for_each(|head| self.proofs.ask(place, head, &mut self.report));
        if self.report.is_verified() {
            observer.aggregate(admitted);
        }
        Ok(())
    }
}

/// What a fold takes of an aggregate.
pub(in crate::audit) fn insert(fold: &mut longhaul_aggregation::Fold, admitted: AdmittedAggregate) {
    for (_, head) in admitted.heads {
        fold.insert_head(head);
    }
    // One that is of no use here changes nothing.
    _ = fold.insert_sum(admitted.sum);
}
