//! Proofs: that the updates in a log were proved to be within the norm bound.
//!
//! A member accepts no update without a proof that holds, so a log with one breaks the manifest's rules, whoever
//! signed it. A proof is checked by the head alone, without payload and without keys. Heads wait until there are enough
//! for a batch, since a batch costs a tenth of its proofs one by one; no more than one batch is in memory.
//!
//! What a proof is about is another question: whoever reads a payload and has the proving keys compares the two.

use std::collections::BTreeSet;
use std::fmt;

use longhaul_aggregation::Update;
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_proofs::update::ProveUpdates;
use serde::Serialize;

use super::Detection;
use super::report::AuditReport;
use crate::manifest::SignedManifest;
use crate::proving::{ProofRefusal, check_commitments};

/// Number of proofs that are checked at once.
pub const PROOFS_AT_ONCE: usize = 256;

/// What an audit found about proofs; only of a federation that asks for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofsReport {
    /// The curve that they live on.
    pub curve: String,
    /// True if one party made the keys and could forge proofs.
    pub development_keys: bool,
    /// Different bundles whose proofs hold, carried ones included.
    pub verified: u64,
    /// Different bundles whose proofs lack or do not hold; each is a problem.
    pub refused: u64,
    /// True if there were proving keys to compare commitments with payloads.
    pub proving_keys: bool,
    /// Different updates whose proofs are known to be about their payloads.
    pub commitments_compared: u64,
}

/// The proofs of one log.
pub(super) struct Proofs<'a> {
    manifest: &'a SignedManifest,
    prover: Option<&'a dyn ProveUpdates>,
    seen: BTreeSet<BundleId>,
    /// Places in the log, and the heads there, that wait for a batch.
    waiting: Vec<(u64, BundleHead)>,
}

impl ProofsReport {
    /// A report in which nothing has been looked at yet; none if the manifest asks for no proofs.
    fn new(manifest: &SignedManifest, proving_keys: bool) -> Option<Self> {
        let policy = manifest.manifest().proofs.as_ref()?;
        Some(Self {
            curve: policy.curve.to_string(),
            development_keys: policy.development,
            verified: 0,
            refused: 0,
            proving_keys,
            commitments_compared: 0,
        })
    }
}

impl<'a> Proofs<'a> {
    /// Nothing is asked for yet; `report` says from now on what is found.
    pub fn new(
        manifest: &'a SignedManifest,
        prover: Option<&'a dyn ProveUpdates>,
        report: &mut AuditReport,
    ) -> Self {
        report.proofs = ProofsReport::new(manifest, prover.is_some());
        Self { manifest, prover, seen: BTreeSet::new(), waiting: Vec::new() }
    }

    /// What compares commitments, where there are keys for it.
    pub const fn prover(&self) -> Option<&'a dyn ProveUpdates> {
        self.prover
    }

    /// Asks for the proof in the head at `place`; the answer comes with that of other heads.
    pub fn ask(&mut self, place: u64, head: &BundleHead, report: &mut AuditReport) {
        if !self.manifest.needs_proof(head) && head.proof().is_none() {
            return;
        }
        if self.seen.insert(head.id()) {
            self.waiting.push((place, head.clone()));
        }
        if self.waiting.len() == PROOFS_AT_ONCE {
            self.answer(report);
        }
    }

    /// Checks all that wait.
    pub fn answer(&mut self, report: &mut AuditReport) {
        let waiting = std::mem::take(&mut self.waiting);
        let heads: Vec<_> = waiting.iter().map(|(_, head)| head).collect();
        let verdicts = self.manifest.check_proofs(&heads);
        for ((place, head), verdict) in waiting.iter().zip(verdicts) {
            let refusal = verdict.err();
            if let Some(proofs) = &mut report.proofs {
                let counted =
                    if refusal.is_none() { &mut proofs.verified } else { &mut proofs.refused };
                *counted += 1;
            }
            if let Some(refusal) = refusal {
                let message = format!("the bundle that {} signed: {refusal}", head.signer());
                report.problem(Detection::Proof, Some(*place), message);
            }
        }
    }

    /// Compares what the proof in an opened head commits to with the update itself, where there are keys for it.
    pub fn compare(
        &self,
        head: &BundleHead,
        update: &Update,
        report: &mut AuditReport,
    ) -> Result<(), ProofRefusal> {
        let (Some(prover), Some(proofs)) = (self.prover, &mut report.proofs) else { return Ok(()) };
        // One that lacks is a problem already.
        if head.proof().is_some() {
            check_commitments(self.manifest, prover, head, update)?;
            proofs.commitments_compared += 1;
        }
        Ok(())
    }
}

impl fmt::Display for ProofsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "proofs      {} hold, {} do not, on {}",
            self.verified, self.refused, self.curve
        )?;
        match self.proving_keys {
            true => {
                let compared = self.commitments_compared;
                writeln!(f, "            {compared} are about the payloads that were read")?;
            }
            false => {
                writeln!(
                    f,
                    "            not compared with payloads; with a folder of <hash>.proving"
                )?;
                writeln!(f, "            files, which members have: --proving-keys DIR")?;
            }
        }
        if self.development_keys {
            writeln!(
                f,
                "WARNING     the keys are for development, who made them can forge proofs"
            )?;
        }
        Ok(())
    }
}
