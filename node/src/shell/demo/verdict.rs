//! The verdict of the demo: what every peer holds, compared, and re-derived by
//! the auditor from the signed updates alone.

use anyhow::{Context, ensure};
use longhaul_registry::audit::{self, AuditFile, Check, ProofsReport, Verdict};
use serde::Serialize;

use super::federation::Federation;
use super::table::percent;
use crate::shell::cli::export_audit_file;
use crate::shell::cli::say;
use crate::shell::proving_keys;
use crate::shell::store::Store;

/// What the demo found.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    peers: usize,
    model_ids: Vec<String>,
    updates: Vec<usize>,
    replayed_model_id: String,
    all_equal: bool,
    replay_equal: bool,
    accuracy_together: Option<f64>,
    accuracy_together_least: Option<f64>,
    accuracy_alone: Option<f64>,
    refused: u64,
    /// What the auditor found about proofs, if there are any.
    proofs: Option<ProofsReport>,
    /// Proofs that hold in a file without payloads, if there are any.
    proofs_without_payloads: Option<u64>,
}

/// Ends the peers, exports the first one's audit file and replays it.
pub(super) fn reach(federation: &mut Federation) -> anyhow::Result<Outcome> {
    federation.stop();
    let file = federation.root().join("run.audit");
    export_audit_file(federation.dir(0), &file, true).context("export the audit file")?;
    let bytes = std::fs::read(&file).context("read the audit file")?;
    let file = AuditFile::parse(&bytes).context("read the audit file")?;
    let me = file.manifest().manifest().member_index(&Store::key(federation.dir(0))?.peer_id());
    let prover = proving_keys::prover(federation.dir(0), file.manifest(), me)?;
    let expected = audit::Expected::default();
    let report = audit::audit_file(&file, Check::Replay, &expected, prover.as_deref());
    let replayed_model_id = report.replay.as_ref().map_or_else(String::new, |it| it.model.clone());
    ensure!(report.verdict == Verdict::Verified, "the auditor refuses the file:\n{report}");
    let proofs_without_payloads = match &report.proofs {
        Some(_) => Some(verified_without_payloads(federation)?),
        None => None,
    };
    let reports: Vec<_> = federation.reports().iter().flatten().cloned().collect();
    let model_ids: Vec<String> = reports.iter().map(|report| report.model.clone()).collect();
    let together: Vec<f64> = reports.iter().filter_map(|report| report.accuracy).collect();
    let alone: Vec<f64> = reports.iter().filter_map(|report| report.alone).collect();
    Ok(Outcome {
        peers: reports.len(),
        all_equal: model_ids.iter().all(|id| *id == model_ids[0]),
        replay_equal: model_ids.first() == Some(&replayed_model_id),
        accuracy_together: mean(&together),
        accuracy_together_least: together.iter().copied().reduce(f64::min),
        accuracy_alone: mean(&alone),
        refused: reports.iter().map(|report| report.refused).sum(),
        proofs: report.proofs.clone(),
        proofs_without_payloads,
        updates: reports.iter().map(|report| report.updates).collect(),
        model_ids,
        replayed_model_id,
    })
}

/// Audits a file that holds no payload: the number of proofs that hold.
fn verified_without_payloads(federation: &Federation) -> anyhow::Result<u64> {
    let out = federation.root().join("rules.audit");
    export_audit_file(federation.dir(0), &out, false).context("export without payloads")?;
    let bytes = std::fs::read(&out).context("read the audit file")?;
    let report = audit::audit(&bytes, Check::Verify, &audit::Expected::default());
    let proofs = report.proofs.as_ref().filter(|proofs| proofs.refused == 0);
    Ok(proofs.with_context(|| format!("the auditor refuses the file:\n{report}"))?.verified)
}

impl Outcome {
    pub(super) fn is_positive(&self) -> bool {
        let proved = self.proofs.as_ref().is_none_or(|proofs| {
            proofs.refused == 0
                && proofs.verified > 0
                && proofs.commitments_compared == proofs.verified
                && self.proofs_without_payloads == Some(proofs.verified)
        });
        self.all_equal && self.replay_equal && proved
    }

    pub(super) fn show(&self, json: bool) -> anyhow::Result<()> {
        if json {
            say!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let yes = |is: bool| if is { "yes" } else { "NO" };
        let first = self.model_ids.first().map_or("-", String::as_str);
        say!("");
        say!("all {} peers hold the same model   {}   {first}", self.peers, yes(self.all_equal));
        say!(
            "the auditor's replay derives it too  {}   {}",
            yes(self.replay_equal),
            self.replayed_model_id
        );
        say!(
            "accuracy together {} (least {}), alone {}",
            percent(self.accuracy_together),
            percent(self.accuracy_together_least),
            percent(self.accuracy_alone)
        );
        if let (Some(proofs), Some(bare)) = (&self.proofs, self.proofs_without_payloads) {
            say!(
                "proofs that hold {} ({bare} in a file without payloads), about their payloads {}, on {}",
                proofs.verified,
                proofs.commitments_compared,
                proofs.curve
            );
        }
        say!("updates merged {:?}, bundles refused {}", self.updates, self.refused);
        say!("verdict: {}", if self.is_positive() { "the line stands" } else { "FAILED" });
        Ok(())
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_only_what_there_is() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[0.25, 0.75]), Some(0.5));
    }
}
