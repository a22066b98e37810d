//! Replay: folds the updates of an audit file again, from the initial model.
//!
//! The model is a function of the set of updates, so whoever folds the same
//! set must get the model that the log claims, bit for bit. The claim is
//! compared at every version record, with the updates recorded before it.

use longhaul_aggregation::{Admitted, Epoch, Equivocation, Fold, HeaderHash, VoidReason};
use longhaul_proofs::update::ProveUpdates;

use super::evidence::{self, EvidenceReport};
use super::file::AuditFile;
use super::report::{AuditReport, EpochReport, EquivocationReport, HeaderReport, ReplayReport};
use super::verify::{Observer, insert_aggregate, walk};
use super::{Check, Expected};
use crate::aggregate::AdmittedAggregate;
use crate::manifest::Manifest;
use crate::record::Record;
use crate::seal::Cosigned;

/// Verifies a file and folds it.
pub(super) fn replay(
    file: &AuditFile<'_>,
    expected: &Expected,
    prover: Option<&dyn ProveUpdates>,
) -> AuditReport {
    let mut folding = Folding { fold: file.manifest().fold(), versions: 0 };
    let mut report = walk(file, (expected, prover), Check::Replay, &mut folding);
    if report.is_verified() {
        report.replay = Some(folding.report(file.manifest().manifest()));
    }
    report
}

/// Verifies a file, folds it, and tells what the term of `epoch` is made of, or why there is
/// none to tell of; nothing if the file does not verify.
pub fn evidence(
    file: &AuditFile<'_>,
    expected: &Expected,
    epoch: Epoch,
) -> (AuditReport, Option<Result<EvidenceReport, String>>) {
    let mut folding = Folding { fold: file.manifest().fold(), versions: 0 };
    let report = walk(file, (expected, None), Check::Replay, &mut folding);
    let found = report.is_verified().then(|| {
        let evidence = folding.fold.evidence(epoch).ok_or_else(|| evidence::missing(epoch))?;
        Ok(EvidenceReport::of(&evidence, file.manifest().manifest()))
    });
    (report, found)
}

struct Folding {
    fold: Fold,
    versions: u64,
}

impl Observer for Folding {
    fn update(&mut self, admitted: Admitted) {
        self.fold.insert(admitted);
    }

    fn aggregate(&mut self, admitted: AdmittedAggregate) {
        insert_aggregate(&mut self.fold, admitted);
    }

    fn seal(&mut self, sealed: &Cosigned) -> bool {
        let value = sealed.snapshot.value();
        if value.end <= self.fold.open_from() {
            return false;
        }
        let derived = self.fold.candidate(value.end).value() == value;
        self.fold.seal(sealed.snapshot.clone());
        derived
    }

    fn version(&mut self, claim: &Record) -> Result<(), String> {
        let Record::Version { set_root, model, updates, .. } = claim else { return Ok(()) };
        self.versions += 1;
        let found = self.fold.slot_count() as u64;
        if found != *updates {
            return Err(format!("the version claims {updates} slots, the log fills {found}"));
        }
        let found = self.fold.set_root();
        if found != *set_root {
            return Err(format!("the version claims set root {set_root}, the log gives {found}"));
        }
        let Some(found) = self.fold.complete_model_id() else {
            return Err(
                "the version claims a model, and payloads lack that it is made of".to_owned()
            );
        };
        if found != *model {
            return Err(format!("the version claims model {model}, the updates make {found}"));
        }
        Ok(())
    }
}

impl Folding {
    fn report(mut self, manifest: &Manifest) -> ReplayReport {
        let model = self.fold.model_id().to_string();
        let set_root = self.fold.set_root().to_string();
        let epochs = self.fold.epochs().map(|epoch| {
            let status = self.fold.term_status(epoch);
            EpochReport {
                epoch: epoch.get(),
                authors: status.authors as u64,
                voids: status.voids as u64,
                quorate: status.quorate,
                counted: status.counted as u64,
            }
        });
        let epochs = epochs.collect();
        let equivocations = self.fold.equivocations().into_iter();
        let equivocations = equivocations.map(|pair| equivocation(&pair, manifest)).collect();
        ReplayReport { model, set_root, versions_checked: self.versions, epochs, equivocations }
    }
}

fn equivocation(pair: &Equivocation, manifest: &Manifest) -> EquivocationReport {
    let named = |(epoch, header): (Epoch, HeaderHash)| HeaderReport {
        epoch: epoch.get(),
        header: header.to_string(),
    };
    EquivocationReport {
        member: pair.member.get(),
        peer: manifest.member(pair.member).map_or_else(String::new, |peer| peer.to_string()),
        reason: match pair.reason {
            VoidReason::Twin => "twin",
            VoidReason::Chain => "chain",
        },
        first: named(pair.first),
        second: named(pair.second),
    }
}
