//! Faults: what goes wrong, when, for how long and how often.
//!
//! Every fault is declared with the same [`Timing`]. A fault that was declared
//! and never acted fails the run, because such a run shows nothing.

use serde::{Deserialize, Serialize};

use super::{Count, EpochTime, Label, Probability};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Cuts between peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition: Vec<PartitionFault>,
    /// Processes that end and come up again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crash: Vec<Crash>,
    /// Clocks that jump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock: Vec<ClockStep>,
    /// Links that become slow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clog: Vec<Clog>,
}

/// When a fault acts, in epochs since the start; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// When it begins.
    pub at_epoch: EpochTime,
    /// How long it lasts.
    #[serde(default)]
    pub for_epochs: EpochTime,
    /// Begins again after this much; once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<EpochTime>,
}

/// A cut: for some time peers of different parts cannot meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionFault {
    /// How the peers are divided.
    pub shape: Shape,
    /// See [`Timing::at_epoch`].
    pub at_epoch: EpochTime,
    /// See [`Timing::for_epochs`].
    pub for_epochs: EpochTime,
    /// See [`Timing::every_epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<EpochTime>,
}

/// How a partition divides the peers; after Jepsen's nemeses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shape {
    /// The first half and the second.
    Halves,
    /// Two parts, drawn anew each time it begins.
    Random,
    /// One peer and the rest; the peer is drawn when absent.
    Isolate {
        /// The peer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<u16>,
    },
    /// Two halves and one peer that sees both; the first of the second half.
    Bridge,
    /// Every peer sees a majority, and no two see the same one: each meets the
    /// nearest on a ring.
    MajorityRing,
    /// Frames from the first part to the second are lost; the other way they
    /// arrive.
    OneWay {
        /// The peers whose frames are lost; the first half when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Vec<u16>>,
    },
    /// Parts by name.
    Groups(Vec<Vec<u16>>),
}

/// Which peers something happens to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Select {
    /// Everybody.
    All,
    /// These.
    Peers(Vec<u16>),
    /// A group of the scenario.
    Group(Label),
    /// So many, drawn at random.
    Random(Count),
    /// So many, evenly spread over the numbers.
    Spread(Count),
}

/// Processes that end without warning and come up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Whose.
    pub peers: Select,
    /// What the disk has lost when the process comes up again.
    #[serde(default)]
    pub lose: Loss,
    /// See [`Timing::at_epoch`].
    pub at_epoch: EpochTime,
    /// How long the process is down.
    pub for_epochs: EpochTime,
    /// See [`Timing::every_epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<EpochTime>,
}

/// What a crash leaves of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// What was synced, whole.
    #[default]
    Nothing,
    /// What was synced, and behind it the beginning of the write under way.
    Torn,
    /// Each payload file with this chance; the log is whole.
    Payloads(Probability),
    /// The end of the log: up to so many entries that had been synced. No sound
    /// disk does this; it shows what a lying one costs.
    LogTail(Count),
    /// Everything but the key (amnesia).
    Everything,
}

/// Clocks that jump; `step_ms` may be negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Whose.
    pub peers: Select,
    /// How far; ahead when positive.
    pub step_ms: i64,
    /// See [`Timing::at_epoch`].
    pub at_epoch: EpochTime,
    /// How long until the clock jumps back; for good when zero.
    #[serde(default)]
    pub for_epochs: EpochTime,
    /// See [`Timing::every_epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<EpochTime>,
}

/// Links that become slow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clog {
    /// All links of these peers.
    pub peers: Select,
    /// Bytes per second while it lasts.
    pub rate_bytes_per_s: Count,
    /// See [`Timing::at_epoch`].
    pub at_epoch: EpochTime,
    /// See [`Timing::for_epochs`].
    pub for_epochs: EpochTime,
    /// See [`Timing::every_epochs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<EpochTime>,
}

macro_rules! timed {
    ($($fault:ty),*) => {$(
        impl $fault {
            /// When it acts.
            pub const fn timing(&self) -> Timing {
                Timing {
                    at_epoch: self.at_epoch,
                    for_epochs: self.for_epochs,
                    every_epochs: self.every_epochs,
                }
            }
        }
    )*};
}

timed!(PartitionFault, Crash, ClockStep, Clog);

impl Timing {
    /// Beginning and end of each time it acts before `epochs`, in epochs.
    pub fn spans(&self, epochs: u32) -> Vec<(f64, f64)> {
        let last = f64::from(epochs);
        let (first, length) = (self.at_epoch.get(), self.for_epochs.get());
        let every = self.every_epochs.map_or(f64::INFINITY, EpochTime::get);
        let begins = (0_u32..).map(|count| match count {
            0 => first,
            count => f64::from(count).mul_add(every, first),
        });
        begins.take_while(|&begin| begin < last).map(|begin| (begin, begin + length)).collect()
    }
}
