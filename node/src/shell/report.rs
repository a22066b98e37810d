//! The report of a running peer: one JSON object, the same in `status.json`,
//! in `longhaul status --json` and on the event stream of `up --events`.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// What a running peer says about itself. Field names are stable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    /// The peer's id.
    pub peer_id: String,
    /// The federation's id.
    pub federation: String,
    /// The epoch of the manifest's clock; null before the start and after the end.
    pub epoch: Option<u32>,
    /// Number of epochs of the federation.
    pub epochs: u32,
    /// The newest epoch whose term is not empty.
    pub term_newest: Option<u32>,
    /// True while the peer's process runs.
    pub running: bool,
    /// True once the last epoch is over.
    pub over: bool,
    /// True when nothing is left to do with the contacts at hand.
    pub drained: bool,
    /// Number of members in contact now.
    pub contacts: usize,
    /// Number of updates held.
    pub updates: usize,
    /// Bundles on offer or under way that are not accepted yet.
    pub waiting: usize,
    /// Updates whose payloads were lost; they are fetched again.
    pub missing: usize,
    /// Updates in open epochs, which take memory; all of them where nothing is sealed.
    #[serde(default)]
    pub held: usize,
    /// The first epoch that no seal has closed; null where nothing is sealed.
    #[serde(default)]
    pub open_from: Option<u32>,
    /// Number of seals.
    #[serde(default)]
    pub seals: u64,
    /// True when a seal is known whose snapshot has not come yet.
    #[serde(default)]
    pub behind: bool,
    /// Own updates that came too late for a seal.
    #[serde(default)]
    pub too_late: u64,
    /// The epoch of the newest own update; beyond `epoch` where this device's clock was ahead.
    #[serde(default)]
    pub own_newest: Option<u32>,
    /// Where the federation is in its time, in words, while no epoch is under way.
    #[serde(default)]
    pub time: Option<String>,
    /// Slots found void since the start: their authors signed contradictory updates.
    #[serde(default)]
    pub voided: u64,
    /// Those of them that are this peer's: its key is used somewhere else, too.
    #[serde(default)]
    pub voided_own: u64,
    /// True for a member of a private federation that did not get its newest key.
    #[serde(default)]
    pub left_out: bool,
    /// Bundles of a private federation that are carried unread.
    #[serde(default)]
    pub carried: usize,
    /// Contributions held, in a ceremony.
    #[serde(default)]
    pub contributions: usize,
    /// Number of bundles refused.
    pub refused: u64,
    /// The model's id, 64 hexadecimal digits.
    pub model: String,
    /// The model whose accuracy is given below.
    pub evaluated: Option<String>,
    /// Accuracy of that model on the held-out set, from 0 to 1.
    pub accuracy: Option<f64>,
    /// Accuracy of training alone on the own data with the same steps.
    pub alone: Option<f64>,
    /// Time of this report, milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// Name of the report in the data directory.
const FILE: &str = "status.json";

/// Replaces the report in `dir`; readers see the old one or the new one.
pub(super) fn save(dir: &Path, report: &NodeReport) -> std::io::Result<()> {
    let temporary = dir.join("status.json.new");
    std::fs::write(&temporary, serde_json::to_vec_pretty(report)?)?;
    std::fs::rename(temporary, dir.join(FILE))
}

/// Reads the newest report in `dir`.
pub(super) fn load(dir: &Path) -> anyhow::Result<NodeReport> {
    let file = dir.join(FILE);
    let text = std::fs::read(&file).with_context(|| {
        format!("read {}; has `longhaul up --dir {}` run yet?", file.display(), dir.display())
    })?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is damaged or from another version; it is rewritten by `longhaul up`",
            file.display()
        )
    })
}
