//! A scenario: everything that a run depends on besides the program.
//!
//! Written as TOML and read strictly: an unknown key, a missing one or a value
//! out of range is an error that names the line. The same scenario and seed
//! give the same run.

mod check;
mod locate;
mod values;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use values::{Alpha, Count, Epochs, Label, Millis, Peers, Probability, Rate, Weight};

/// Largest scenario file, in bytes; the largest built-in one has 2 KiB.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// One scenario, as in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Names the scenario and its federation.
    pub name: Label,
    /// One line for `list`.
    #[serde(default)]
    pub about: String,
    /// Seed of every random stream; `--seed` overrides it.
    pub seed: u64,
    /// Number of peers.
    pub peers: Peers,
    /// Epochs in which the peers train.
    pub epochs: Epochs,
    /// Length of an epoch.
    pub epoch_ms: Millis,
    /// Epochs after the last one in which everybody meets everybody and
    /// nobody trains, so that all end with the same set.
    #[serde(default = "defaults::drain_epochs")]
    pub drain_epochs: u32,
    /// Who meets whom.
    pub contacts: Contacts,
    /// What is learnt.
    pub task: Task,
    /// Where the data is and how the peers share it.
    #[serde(default)]
    pub data: Data,
    /// Local training.
    pub training: Training,
    /// How the updates of an epoch become its term.
    pub recipe: Recipe,
    /// The links of contacts.
    #[serde(default)]
    pub link: Link,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// What is measured.
    #[serde(default)]
    pub metrics: Metrics,
    /// What must hold for the run to pass.
    #[serde(default)]
    pub checks: Checks,
}

/// The task, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// `mlp:784-32-10` (any layer sizes) or `edgesense-cnn`.
    pub model: String,
    /// `edgesense` (built in) or `idx` (gzipped IDX files).
    pub data: String,
}

/// Where the data is and how the peers share it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folder of the IDX files, seen from the working folder; `--data`
    /// overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// The split over the peers. When absent, `edgesense` peers have their own
    /// devices' recordings and `idx` is split `iid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
}

/// How training data is split over the peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Partition {
    /// Every peer sees the same mixture.
    Iid,
    /// Class shares drawn from a Dirichlet distribution.
    Dirichlet {
        /// Concentration; small is skewed.
        alpha: Alpha,
    },
    /// Sorted by class, dealt out in shards.
    Shards {
        /// Shards (and so, about, classes) per peer.
        per_peer: u16,
    },
    /// Each of two groups of peers holds mostly its own half of the classes.
    Split {
        /// Concentration inside a group.
        alpha: Alpha,
        /// Weight of another group's classes; its own have weight 1.
        weight: Weight,
        /// The two groups: the first is at home in the lower half.
        groups: Vec<Vec<u16>>,
    },
}

/// Local training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Whether real gradients are computed.
    #[serde(default)]
    pub mode: TrainingMode,
    /// Local steps per epoch.
    pub steps: Count,
    /// Samples per step.
    pub batch: Count,
    /// Learning rate.
    pub rate: Rate,
    /// Modelled time of one step.
    pub pace_ms: Millis,
}

/// Whether real gradients are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingMode {
    /// Gradient steps with burn on the scenario's data.
    #[default]
    Real,
    /// Tiny pseudo-updates from a ChaCha stream, for tests of the protocol:
    /// no data, no accuracy.
    Synthetic,
}

/// How the updates of an epoch become its term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The rule.
    pub rule: Rule,
    /// How many a trimmed mean drops at either end.
    #[serde(default)]
    pub trim: u16,
    /// Clipping before the rule.
    #[serde(default)]
    pub clip: Clip,
    /// Distinct authors below which a term stays empty.
    pub quorum: u16,
}

/// The aggregation rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The mean.
    Mean,
    /// The mean without the `trim` largest and smallest of every entry.
    TrimmedMean,
}

/// Clipping of updates before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// None.
    #[default]
    None,
    /// To the median norm of the set.
    Median,
}

/// Who meets whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Contacts {
    /// Everybody is in contact with everybody all the time.
    AllPairs,
    /// In each epoch a peer may meet one other, drawn at random.
    RandomPairwise {
        /// Chance that a peer starts a contact in an epoch.
        probability: Probability,
        /// Length of a contact.
        duration_ms: Millis,
    },
}

/// The links of contacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Propagation delay.
    pub latency_ms: u32,
    /// Bytes per second in each direction.
    pub rate_bytes_per_s: Count,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Cuts between groups of peers.
    #[serde(default)]
    pub partition: Vec<Cut>,
}

/// A cut: for some epochs peers of different groups cannot meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// First epoch of the cut.
    pub from_epoch: u32,
    /// The epoch in which it heals.
    pub to_epoch: u32,
    /// The groups; every peer is in exactly one.
    pub groups: Vec<Vec<u16>>,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// A sample at the end of every n-th epoch, and of the last.
    #[serde(default = "defaults::every_epochs")]
    pub every_epochs: Count,
    /// Peers that are sampled; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<u16>>,
}

/// What must hold for the run to pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// What must hold at the end, after draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_end: Option<EndCheck>,
    /// What must hold at the end of given epochs.
    #[serde(default)]
    pub at_epoch: Vec<EpochCheck>,
}

/// What must hold at the end, after draining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndCheck {
    /// Least accuracy of every sampled peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_min: Option<Probability>,
    /// All peers (sampled or not) hold the same model.
    #[serde(default)]
    pub equal_models: bool,
    /// Least mean lag in epochs over all peers and training epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_lag_min: Option<Weight>,
}

/// What must hold at the end of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochCheck {
    /// The epoch.
    pub epoch: u32,
    /// Least accuracy of every sampled peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_min: Option<Probability>,
    /// Most accuracy of any sampled peer, to show that a fault hurts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_max: Option<Probability>,
    /// All peers (sampled or not) hold the same model.
    #[serde(default)]
    pub equal_models: bool,
    /// Least number of different models among all peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models_min: Option<Count>,
}

/// Why a text is not a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// Not TOML, an unknown or missing key, or a value out of its range; the
    /// message shows the line.
    #[error("{0}")]
    Toml(String),
    /// Values that do not fit together.
    #[error("{}{key}: {why}", line_prefix(*line))]
    Value {
        /// The line of the key, or of the table that lacks it.
        line: Option<usize>,
        /// The key, with its tables.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file is larger than [`FILE_BYTES_MAX`]; holds its size.
    #[error("the file has {0} bytes; a scenario has at most {FILE_BYTES_MAX}")]
    TooLarge(usize),
}

impl Scenario {
    /// Reads a scenario and checks that its values fit together.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(ScenarioError::TooLarge(text.len()));
        }
        let scenario: Self = toml::from_str(text)
            .map_err(|error| ScenarioError::Toml(error.to_string().trim_end().to_owned()))?;
        check::scenario(&scenario).map_err(|misfit| ScenarioError::Value {
            line: locate::line_of(text, &misfit.key),
            key: misfit.key,
            why: misfit.why,
        })?;
        Ok(scenario)
    }

    /// Writes the scenario with every default spelt out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a scenario has a TOML form")
    }

    /// The peers whose accuracy and loss are measured.
    pub fn sampled_peers(&self) -> Vec<u16> {
        let all = || (0..self.peers.get()).collect();
        self.metrics.peers.clone().unwrap_or_else(all)
    }

    /// The length of an epoch in microseconds.
    pub const fn epoch_us(&self) -> u64 {
        self.epoch_ms.get() as u64 * 1_000
    }

    /// Number of epochs, draining included.
    pub const fn epochs_total(&self) -> u32 {
        self.epochs.get() + self.drain_epochs
    }
}

fn line_prefix(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

impl Default for Link {
    /// A slow wide-area link: 20 ms, 1 MB/s.
    fn default() -> Self {
        Self { latency_ms: 20, rate_bytes_per_s: Count::new(1_000_000) }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { every_epochs: defaults::every_epochs(), peers: None }
    }
}

mod defaults {
    use super::Count;

    pub(super) const fn drain_epochs() -> u32 {
        2
    }

    pub(super) const fn every_epochs() -> Count {
        Count::new(10)
    }
}
