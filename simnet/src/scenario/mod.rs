//! A scenario: everything that a run depends on besides the program.
//!
//! Written as TOML and read strictly: an unknown key, a missing one or a value
//! out of range is an error that names the line. The same scenario and seed
//! give the same run.

mod adversary;
mod check;
mod checks;
mod fault;
mod group;
mod locate;
mod recipe;
mod sweep;
pub(crate) mod values;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::contacts::Contacts;
pub use adversary::{Adversary, Attack, Form};
pub use checks::{AlwaysCheck, Checks, EndCheck, EpochCheck, UncutCheck};
pub use fault::{ClockStep, Clog, Crash, Faults, Loss, PartitionFault, Select, Shape, Timing};
pub use group::{Churn, ClockModel, Group};
pub use recipe::{
    Auto, Clip, Cohorts, Committee, Encoding, Mix, Recipe, Rule, Seal, Small, Staleness, Trim,
};
pub use sweep::{Axis, CELLS_MAX, Cell, Sweep, SweepError, cells};
pub use values::{
    Alpha, Count, EpochTime, Epochs, Label, Millis, Peers, Probability, Rate, Weight,
};

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
    /// nobody trains, so that all end with the same set; 100,000 at most.
    #[serde(default = "defaults::drain_epochs")]
    pub drain_epochs: u32,
    /// Who meets whom in those epochs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drain: Drain,
    /// How signatures and hashes are computed; the trace does not depend on it.
    #[serde(default)]
    pub crypto: Crypto,
    /// Whether authors prove that their updates are within the norm bound.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proofs: Proofs,
    /// For so many epochs after its own an update is offered to its bucket alone, and to others only in
    /// an aggregate; there are no aggregates when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregates: Option<Epochs>,
    /// The peers in groups, numbered one group after another; one group of all
    /// when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<Group>,
    /// Who meets whom.
    pub contacts: Contacts,
    /// What is learnt.
    pub task: Task,
    /// Where the data is and how the peers share it.
    #[serde(default)]
    pub data: Data,
    /// Local training.
    pub training: Training,
    /// What travels when `training.mode` is `transport`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// How the updates of an epoch become its term.
    pub recipe: Recipe,
    /// The links of contacts.
    #[serde(default)]
    pub link: Link,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// Who is hostile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adversary: Vec<Adversary>,
    /// What is measured.
    #[serde(default)]
    pub metrics: Metrics,
    /// What must hold for the run to pass.
    #[serde(default)]
    pub checks: Checks,
    /// Which values `sweep` varies; a single run takes no notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// How signatures and hashes are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crypto {
    /// Each bundle is checked once for all peers: whoever meets the same bytes
    /// again takes the answer from a table.
    #[default]
    Memo,
    /// Every peer checks everything itself.
    Real,
}

/// Who meets whom in the epochs in which nobody trains any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drain {
    /// Everybody is in contact with everybody.
    #[default]
    AllPairs,
    /// Whoever meets by the plan, which goes on.
    Planned,
}

/// Whether authors prove that their updates are within the norm bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proofs {
    /// They do not.
    #[default]
    None,
    /// They do, on BN254, with keys that are made from the scenario's seed: whoever has the
    /// scenario could forge with them.
    Development,
}

/// The task, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// `mlp:784-32-10` (any layer sizes) or `edgesense-cnn`.
    pub model: String,
    /// `edgesense` (built in), `idx` (gzipped IDX files), or `noise`: samples that fit
    /// any model and mean nothing, to measure speed with.
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
    /// Samples that each peer has at most; all of its share when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_per_peer_max: Option<Count>,
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
    /// How the rate falls over the epochs: `constant` or `cosine`.
    #[serde(default, skip_serializing_if = "TrainingSchedule::is_constant")]
    pub schedule: TrainingSchedule,
    /// The weight that a peer gives to its own updates that no term counts yet when it trains, in
    /// thousandths.
    #[serde(default = "defaults::pending_permille", skip_serializing_if = "is_whole")]
    pub pending_permille: u16,
    /// The weight of the proximal term (FedProx), in thousandths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proximal_milli: u32,
    /// Momentum of local steps, in thousandths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub momentum_permille: u16,
    /// Modelled time of one step.
    pub pace_ms: Millis,
    /// Modelled time from the end of training until the update can leave, as proving
    /// would take it. Whether anything is proved is said by [`Scenario::proofs`].
    #[serde(default)]
    pub proof_ms: u32,
}

/// How the learning rate falls over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingSchedule {
    /// Not at all.
    #[default]
    Constant,
    /// Along half a cosine to zero.
    Cosine,
}

impl TrainingSchedule {
    fn is_constant(&self) -> bool {
        *self == Self::Constant
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_whole(permille: &u16) -> bool {
    *permille == defaults::pending_permille()
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
    /// No peers but their contact machines alone: bundles of random bytes travel,
    /// nothing is trained, merged or recorded.
    Transport,
}

/// Bundles of random bytes, in place of updates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// Bundles in each epoch, by authors drawn at random, at times drawn at random.
    pub bundles_per_epoch: Count,
    /// Bytes of each.
    pub payload_bytes: Count,
    /// How long they live.
    pub lifetime_epochs: Count,
}

/// The links of contacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Propagation delay.
    pub latency_ms: u32,
    /// Bytes per second in each direction.
    pub rate_bytes_per_s: Count,
    /// Bytes per second from the peer with the higher number to the one with the
    /// lower; as `rate_bytes_per_s` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_back_bytes_per_s: Option<Count>,
    /// Chance that a frame is lost although its link stays up; peers take it for a stream.
    #[serde(default)]
    pub loss: Probability,
    /// Chance that a frame arrives twice. No stream does this: a peer that meets a second
    /// hello or an answer that it did not ask for closes the link.
    #[serde(default)]
    pub duplication: Probability,
    /// Chance that a frame is held back by up to ten latencies, behind others; closes links.
    #[serde(default)]
    pub reordering: Probability,
    /// Radios that are switched on only part of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty_cycle: Option<DutyCycle>,
}

/// A radio that is on for the first `on_ms` of every `period_ms`, for everybody
/// at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DutyCycle {
    /// Length of a period.
    pub period_ms: Millis,
    /// How long links work in each.
    pub on_ms: Millis,
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
    /// Whether to train each sampled peer on its own data alone as well, for
    /// comparison; costs as much training again.
    #[serde(default)]
    pub alone: bool,
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
        self.epochs.get().saturating_add(self.drain_epochs)
    }
}

fn line_prefix(line: Option<usize>) -> String {
    line.map(|line| format!("line {line}: ")).unwrap_or_default()
}

impl Default for Link {
    /// A slow wide-area link: 20 ms, 1 MB/s.
    fn default() -> Self {
        Self {
            latency_ms: 20,
            rate_bytes_per_s: Count::new(1_000_000),
            rate_back_bytes_per_s: None,
            loss: Probability::ZERO,
            duplication: Probability::ZERO,
            reordering: Probability::ZERO,
            duty_cycle: None,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { every_epochs: defaults::every_epochs(), peers: None, alone: false }
    }
}

mod defaults {
    pub(super) const fn pending_permille() -> u16 {
        1_000
    }

    use super::Count;

    pub(super) const fn drain_epochs() -> u32 {
        2
    }

    pub(super) const fn every_epochs() -> Count {
        Count::new(10)
    }
}
