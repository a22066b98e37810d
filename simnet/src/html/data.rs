//! What the page of a run shows: plain numbers with their units, nothing drawn.
//!
//! The simulator writes this as JSON into the run's folder, so that the page can
//! be built again, or built anew by a later version, without running again.
//! Times are simulated seconds since the start of the run unless a field says
//! otherwise. Values that are not finite are left out of the figures.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::seals::Seals;

/// Largest JSON text that is read, in bytes: a run of 1,000 peers and 1,000
/// epochs with 500 bins for each peer has some 5 MiB.
pub const JSON_BYTES_MAX: usize = 64 << 20;

/// Everything that the page of one run shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReportData {
    /// Which run it was.
    pub header: Header,
    /// What had to hold, in the order of the scenario.
    #[serde(default)]
    pub checks: Vec<CheckLine>,
    /// How good the models were over time.
    #[serde(default)]
    pub accuracy: Accuracy,
    /// Cuts between groups, shaded on every time axis.
    #[serde(default)]
    pub partitions: Vec<Partition>,
    /// Moments at which something went wrong, marked on every time axis.
    #[serde(default)]
    pub marks: Vec<FaultMark>,
    /// What was sealed; none where the scenario seals nothing.
    #[serde(default)]
    pub seals: Option<Seals>,
    /// How far the peers agreed, in order of time.
    #[serde(default)]
    pub agreement: Vec<AgreementPoint>,
    /// Who was in contact when.
    #[serde(default)]
    pub contacts: Contacts,
    /// How old updates were when they were accepted.
    #[serde(default)]
    pub staleness: Staleness,
    /// How long updates took to reach other peers.
    #[serde(default)]
    pub delivery: Delivery,
    /// Bytes on the links.
    #[serde(default)]
    pub traffic: Traffic,
    /// Updates that were refused, by reason.
    #[serde(default)]
    pub rejections: Vec<Rejection>,
    /// The scenario's adversaries.
    #[serde(default)]
    pub adversaries: Vec<Adversary>,
    /// The scenario's faults.
    #[serde(default)]
    pub faults: Vec<FaultLine>,
}

/// Which run it was and what it took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Header {
    /// Name of the scenario.
    pub name: String,
    /// The scenario's one line about itself; may be empty.
    pub about: String,
    /// Seed of all random streams.
    pub seed: u64,
    /// Version of the simulator, such as `0.1.0`.
    pub version: String,
    /// blake3 of the scenario with every default spelt out, in hex.
    pub scenario_hash: String,
    /// blake3 over everything that happened, in hex.
    pub trace_digest: String,
    /// Number of peers.
    pub peers: u32,
    /// Number of epochs in which peers trained.
    pub epochs: u32,
    /// Length of an epoch in simulated milliseconds; 0 when unknown.
    pub epoch_ms: u64,
    /// Simulated time, draining included, in milliseconds.
    pub simulated_ms: u64,
    /// Time that the run took on its machine, in seconds, if it was measured.
    #[serde(default)]
    pub wall_s: Option<f64>,
    /// Number of events handled.
    pub events: u64,
    /// Number of threads that trained.
    pub workers: u32,
}

/// One thing that had to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLine {
    /// What had to hold.
    pub name: String,
    /// Whether it did.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// How good the models were over time, as shares of test samples in 0 to 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// The shared model of each group of peers.
    pub groups: Vec<GroupSeries>,
    /// The same groups when each peer trains on its own data alone; may be
    /// empty. A series takes the colour of the group with its name.
    #[serde(default)]
    pub alone: Vec<GroupSeries>,
    /// A run to compare with, such as the same scenario never cut.
    #[serde(default)]
    pub reference: Option<Reference>,
}

/// One group of peers over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSeries {
    /// Name of the group.
    pub name: String,
    /// Number of peers behind each point.
    pub peers: u32,
    /// The points, in order of time.
    pub points: Vec<BandPoint>,
}

/// Mean and range over the peers of a group at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandPoint {
    /// When, in simulated seconds.
    pub at_s: f64,
    /// Mean over the peers.
    pub mean: f64,
    /// The worst peer.
    pub min: f64,
    /// The best peer.
    pub max: f64,
}

/// A run to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// What it is, such as `never cut`.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Number of peers behind each point.
    pub peers: u32,
    /// The points, in order of time; only their means are drawn.
    pub points: Vec<BandPoint>,
}

/// A cut between groups of peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// When it begins, in simulated seconds.
    pub from_s: f64,
    /// When it heals, in simulated seconds.
    pub to_s: f64,
    /// What is cut, such as `north | south`.
    pub label: String,
}

/// A moment at which something went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultMark {
    /// When, in simulated seconds.
    pub at_s: f64,
    /// What happened to whom, such as `peer 3 loses its disk`.
    pub label: String,
    /// Its kind, which gives the mark its shape.
    pub kind: FaultKind,
}

/// Kinds of marks on a time axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A peer stops, with or without its memory.
    Crash,
    /// A peer's clock jumps.
    ClockStep,
    /// A peer loses its disk.
    DiskLoss,
    /// An adversary releases what it held back.
    AttackRelease,
    /// Anything else.
    Other,
    /// No fault: half of the peers had closed the epochs before a seal.
    Seal,
}

/// How far the peers agreed at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AgreementPoint {
    /// When, in simulated seconds.
    pub at_s: f64,
    /// Number of different models among all peers.
    pub models: u32,
    /// How many epochs the newest term that is not empty lies behind: the mean
    /// over all peers.
    pub lag_mean_epochs: f64,
    /// The same of the peer that is furthest behind.
    pub lag_max_epochs: f64,
}

/// Who was in contact when.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Contacts {
    /// Length of a bin in simulated seconds; bin 0 begins at the start.
    pub bin_s: f64,
    /// One strip for each peer, in order of group and peer.
    pub strips: Vec<ContactStrip>,
    /// Contacts that began in each epoch, from epoch 0 on.
    pub per_epoch: Vec<u64>,
}

/// The contacts of one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContactStrip {
    /// Name of the peer.
    pub peer: String,
    /// Name of its group; empty when there are none.
    pub group: String,
    /// For each bin, the share of its time in 0 to 1 during which the peer was
    /// in contact with at least one other.
    pub share: Vec<f32>,
}

/// How old updates were when they were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Staleness {
    /// Entry `i`: how many times a peer accepted another peer's update when
    /// its own epoch was `i` epochs after the update's.
    pub acceptances: Vec<u64>,
}

/// How long updates took to reach other peers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// The distribution, in order of delay: at most some thousand points.
    pub points: Vec<DelayPoint>,
    /// Pairs of update and other peer that some path of contacts could have
    /// joined before the end of the run.
    pub deliverable: u64,
    /// Those of them in which the peer accepted the update.
    pub delivered: u64,
}

/// One point of the distribution of delays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DelayPoint {
    /// Seconds from an update's publication to its acceptance elsewhere.
    pub delay_s: f64,
    /// Share in 0 to 1 of the deliverable pairs that took at most so long.
    pub share: f64,
}

/// Bytes on the links.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Number of pairs of peers that were ever in contact.
    pub links: u64,
    /// Bytes of every link, both directions together, in any order. Above some
    /// thousand links an evenly spaced choice from the sorted list will do.
    pub bytes_per_link: Vec<u64>,
    /// The links that carried most, most first; ten are shown.
    pub top: Vec<LinkBytes>,
    /// Totals by kind of frame.
    pub by_kind: Vec<KindBytes>,
}

/// What one link carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkBytes {
    /// One peer.
    pub a: String,
    /// The other.
    pub b: String,
    /// Number of their contacts.
    pub contacts: u64,
    /// Bytes in both directions.
    pub bytes: u64,
}

/// What the frames of one kind carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindBytes {
    /// Kind of frame, such as `payload`.
    pub kind: String,
    /// Number of frames sent.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Updates that were refused for one reason; each peer that refuses counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The reason.
    pub reason: String,
    /// Refusals of updates that adversaries made.
    #[serde(default)]
    pub from_adversaries: u64,
    /// Refusals of updates that honest peers made.
    #[serde(default)]
    pub from_honest: u64,
    /// Refusals of updates whose author is not known to be either.
    #[serde(default)]
    pub from_unknown: u64,
}

/// One adversary of the scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adversary {
    /// What it does, such as `scaled update, factor -4`.
    pub kind: String,
    /// The peers that do it, by index.
    pub peers: Vec<u32>,
    /// How many times they did it.
    pub acted: u64,
}

/// One fault of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultLine {
    /// What it is, such as `partition north | south`.
    pub kind: String,
    /// The peers concerned, by index; empty means all.
    pub peers: Vec<u32>,
    /// When it begins, in simulated seconds.
    pub from_s: f64,
    /// When it ends, in simulated seconds, if it lasts.
    #[serde(default)]
    pub to_s: Option<f64>,
    /// How many times it had an effect; a fault that never had fails the run.
    pub acted: u64,
}

/// Why a text is not the data of a page.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Larger than [`JSON_BYTES_MAX`]; holds its size.
    #[error("the report data have {0} bytes; {JSON_BYTES_MAX} are the most: use fewer bins")]
    TooLarge(usize),
    /// Not JSON, or not of this shape; the message names line and column.
    #[error("report data that do not fit: {0}; write them again with this version")]
    Json(#[from] serde_json::Error),
}

/// Reads JSON of limited size.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, DataError> {
    if text.len() > JSON_BYTES_MAX {
        return Err(DataError::TooLarge(text.len()));
    }
    Ok(serde_json::from_str(text)?)
}

impl ReportData {
    /// Reads the data of a page, as [`ReportData::to_json`] wrote them.
    ///
    /// # Errors
    ///
    /// [`DataError`] for a text that is too large, not JSON, or of another shape.
    pub fn from_json(text: &str) -> Result<Self, DataError> {
        from_json(text)
    }

    /// Writes the data as JSON; what is not finite becomes `null`, which is
    /// refused when read, so keep such values out.
    ///
    /// # Errors
    ///
    /// [`DataError::Json`] never happens for these types, but is passed on.
    pub fn to_json(&self) -> Result<String, DataError> {
        Ok(serde_json::to_string(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn json_gives_back_the_same_data() {
        let data = testing::report();
        let text = data.to_json().unwrap();
        assert_eq!(ReportData::from_json(&text).unwrap(), data);
    }

    #[test]
    fn sections_may_be_missing() {
        let header = serde_json::to_string(&Header::default()).unwrap();
        let data = ReportData::from_json(&format!("{{\"header\":{header}}}")).unwrap();
        assert_eq!(data, ReportData::default());
    }

    #[test]
    fn refuses_what_does_not_fit_and_says_where() {
        let error = ReportData::from_json("{\n  \"header\": 3\n}").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn refuses_a_text_that_is_too_large() {
        let error = ReportData::from_json(&" ".repeat(JSON_BYTES_MAX + 1)).unwrap_err();
        assert!(matches!(error, DataError::TooLarge(size) if size == JSON_BYTES_MAX + 1));
    }
}
