//! The verdict of the demo: what every peer holds, compared, and re-derived by
//! the auditor from the signed updates alone.

use anyhow::{Context, ensure};
use longhaul_registry::audit::{self, Check, Verdict};
use serde::Serialize;

use super::federation::Federation;
use super::table::percent;
use crate::shell::cli::export_audit_file;
use crate::shell::cli::say;

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
}

/// Ends the peers, exports the first one's audit file and replays it.
pub(super) fn reach(federation: &mut Federation) -> anyhow::Result<Outcome> {
    federation.stop();
    let file = federation.root().join("run.audit");
    export_audit_file(federation.dir(0), &file).context("export the audit file")?;
    let bytes = std::fs::read(&file).context("read the audit file")?;
    let report = audit::audit(&bytes, Check::Replay, &audit::Expected::default());
    let replayed_model_id = report.replay.as_ref().map_or_else(String::new, |it| it.model.clone());
    ensure!(report.verdict == Verdict::Verified, "the auditor refuses the file:\n{report}");
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
        updates: reports.iter().map(|report| report.updates).collect(),
        model_ids,
        replayed_model_id,
    })
}

impl Outcome {
    pub(super) const fn is_positive(&self) -> bool {
        self.all_equal && self.replay_equal
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
