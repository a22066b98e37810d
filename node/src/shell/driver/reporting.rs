//! Reporting: `status.json`, the event stream, and when to evaluate.

use std::io::Write;
use std::time::Duration;

use longhaul_aggregation::ModelId;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::SignedManifest;
use tokio::time::Instant;

use super::UpOptions;
use crate::peer::Peer;
use crate::shell::report::{self, NodeReport};
use crate::shell::when::Standing;
use crate::train::Evaluation;

/// How often a report is written while the peer runs.
const REPORT_EVERY: Duration = Duration::from_millis(400);

/// Makes reports of a running peer.
#[derive(Debug)]
pub(super) struct Reporting {
    options: UpOptions,
    template: NodeReport,
    next: Instant,
    evaluating: bool,
    running: bool,
}

impl Reporting {
    pub(super) fn new(options: &UpOptions, me: PeerId, manifest: &SignedManifest) -> Self {
        let template = NodeReport {
            peer_id: me.to_string(),
            federation: manifest.id().to_string(),
            epochs: manifest.manifest().epochs,
            ..NodeReport::default()
        };
        Self {
            options: options.clone(),
            template,
            next: Instant::now(),
            evaluating: false,
            running: true,
        }
    }

    /// The last report of this process.
    pub(super) fn write_last(&mut self, peer: &mut Peer, now: Timestamp) {
        self.running = false;
        self.write(peer, now);
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Takes a report, writes it, and returns it.
    pub(super) fn write(&mut self, peer: &mut Peer, now: Timestamp) -> NodeReport {
        self.next = Instant::now() + REPORT_EVERY;
        let status = peer.status();
        let report = NodeReport {
            epoch: status.epoch.map(|epoch| epoch.get()),
            term_newest: status.term_newest.map(|epoch| epoch.get()),
            over: status.over,
            drained: status.drained,
            contacts: status.contacts.len(),
            updates: status.updates,
            waiting: status.waiting,
            missing: status.missing,
            held: status.held,
            open_from: status.open_from.map(|epoch| epoch.get()),
            seals: status.seals.seals,
            behind: status.behind,
            too_late: status.seals.too_late,
            carried: peer.carried().0,
            contributions: status.contributions,
            own_newest: status.own_newest.map(|epoch| epoch.get()),
            time: status.epoch.is_none().then(|| Standing::of(peer.manifest(), now).to_string()),
            left_out: peer.is_left_out(),
            running: self.running,
            refused: status.refusals.values().sum(),
            model: status.model.to_string(),
            unix_ms: now.unix_ms(),
            ..self.template.clone()
        };
        if let Err(error) = report::save(&self.options.dir, &report) {
            tracing::warn!(%error, "could not write the status file");
        }
        if self.options.events
            && let Ok(line) = serde_json::to_string(&report)
        {
            // A reader that went away is seen as the end of stdin.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        report
    }

    /// True if the model is not evaluated yet and nothing is being evaluated;
    /// the caller then starts the evaluation.
    pub(super) fn wants_evaluation(&mut self, report: &NodeReport) -> bool {
        let wants = !self.evaluating && report.evaluated.as_ref() != Some(&report.model);
        self.evaluating |= wants;
        wants
    }

    pub(super) fn evaluated(&mut self, model: ModelId, evaluation: Evaluation) {
        self.evaluating = false;
        self.template.evaluated = Some(model.to_string());
        self.template.accuracy = Some(evaluation.accuracy);
        tracing::info!(accuracy = evaluation.accuracy, loss = evaluation.loss, %model, "evaluated");
    }

    /// Counts a slot that is void.
    pub(super) fn voided(&mut self, is_own: bool) {
        self.template.voided += 1;
        self.template.voided_own += u64::from(is_own);
    }

    pub(super) fn alone(&mut self, accuracy: f64) {
        self.template.alone = Some(accuracy);
    }
}
