//! What an audit found, for programs (JSON with stable names) and people.
//!
//! Field names are an interface: they are added to, never renamed. Hashes and
//! ids are in their text forms.

use std::fmt;

use longhaul_aggregation::Refusal;
use longhaul_dtn::agent::RefuseReason;
use serde::Serialize;

use super::file::FileError;
use super::proofs::ProofsReport;
use super::{Check, Detection, Verdict};
use crate::aggregate::AggregateRefusal;
use crate::manifest::TermsError;
use crate::privacy::{KeyRefusal, NO_ROOM_CODE, UNREADABLE_CODE};
use crate::proving::ProofRefusal;

/// Most problems, and most missing payloads, that a report lists one by one;
/// all are counted.
pub const PROBLEMS_LISTED_MAX: usize = 64;
/// Version of the report's layout.
const REPORT_VERSION: u32 = 1;

/// The outcome of an audit and what it is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Version of this layout.
    pub report: u32,
    /// How much was checked.
    pub check: Check,
    /// The outcome.
    pub verdict: Verdict,
    /// The federation; none if the file could not be read.
    pub federation: Option<String>,
    /// The federation's name.
    pub name: Option<String>,
    /// Peer id of the log's author.
    pub exporter: Option<String>,
    /// Number of log entries.
    pub entries: u64,
    /// Different updates of the exporter's own.
    pub updates_own: u64,
    /// Different updates accepted from others.
    pub updates_accepted: u64,
    /// Records that repeat an update recorded before.
    pub updates_repeated: u64,
    /// Number of version records.
    pub versions: u64,
    /// Those of them that could not be compared, since sealed updates are missing.
    pub versions_skipped: u64,
    /// Number of votes on seals.
    pub votes: u64,
    /// The seals whose cosignatures and snapshots hold.
    pub seals: Vec<SealReport>,
    /// Records of sealed updates whose payloads are not in the file; a later snapshot stands
    /// for them.
    pub sealed_missing: u64,
    /// Further keys of a private federation that the exporter recorded.
    pub keys: u64,
    /// Contributions to a ceremony that the exporter made or took.
    pub contributions: u64,
    /// Aggregates that the exporter made or accepted.
    pub aggregates: u64,
    /// Those whose sums were verified, for which the proving keys have to be there.
    pub aggregates_verified: u64,
    /// Bundles that the exporter carried without reading them.
    pub carried: u64,
    /// Updates and votes that are encrypted under keys that the auditor does not have.
    pub closed_count: u64,
    /// Ids of these keys, the first of them.
    pub closed_keys: Vec<String>,
    /// Number of payloads in the file.
    pub payloads: u64,
    /// Their bytes.
    pub payload_bytes: u64,
    /// Number of payloads that are named but not there.
    pub missing_count: u64,
    /// The first of them.
    pub missing: Vec<String>,
    /// Who contributed updates, by member index.
    pub contributors: Vec<Contributor>,
    /// Refused bundles by reason.
    pub refused: Vec<RefusedCount>,
    /// The last version of the log: what the exporter claims.
    pub tip: Option<Tip>,
    /// Number of problems.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// What the fold gave; only of a replay that found nothing wrong or missing.
    pub replay: Option<ReplayReport>,
    /// True if the file was exported without payloads, so that no model can be derived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_payloads: bool,
    /// What was found about proofs; only of a federation that asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proofs: Option<ProofsReport>,
}

/// A seal that the exporter went on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealReport {
    /// The attempt in which it was made.
    pub attempt: u32,
    /// The first epoch that stays open.
    pub open_from: u32,
    /// Id of the sealed model.
    pub model: String,
    /// Number of votes that prove it.
    pub cosigners: u64,
    /// Whether the exporter took the snapshot from somebody because its own set said
    /// something else.
    pub adopted: bool,
    /// Whether the updates in the file make the sealed model; only of a replay. If not, the
    /// replay goes on from the snapshot, on the word of its cosigners.
    pub derived: bool,
}

/// A member and the updates in the log that it signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contributor {
    /// Index in the manifest.
    pub member: u16,
    /// Peer id.
    pub peer: String,
    /// Number of different updates.
    pub updates: u64,
}

/// How often bundles were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedCount {
    /// The stable code.
    pub code: u16,
    /// Its short name; `unknown` for codes that this program does not know.
    pub reason: String,
    /// Number of records.
    pub count: u64,
}

/// What a version record claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tip {
    /// The epoch in which stock was taken.
    pub epoch: u32,
    /// Number of slots filled.
    pub updates: u64,
    /// Root over the set of updates.
    pub set_root: String,
    /// Id of the model.
    pub model: String,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What found it.
    pub detected_by: Detection,
    /// Place of the log entry in the file, where it is about one.
    pub entry: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// What folding the updates again gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Id of the model that the updates make.
    pub model: String,
    /// Root over the set of updates.
    pub set_root: String,
    /// Number of version records that were compared; all are equal.
    pub versions_checked: u64,
    /// The epochs that have updates.
    pub epochs: Vec<EpochReport>,
    /// Authors who signed contradictory headers.
    pub equivocations: Vec<EquivocationReport>,
}

/// The term of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: u32,
    /// Number of members with a slot.
    pub authors: u64,
    /// How many of their slots are void.
    pub voids: u64,
    /// Whether the authors are a quorum, alone or with those of epochs pooled with
    /// this one; if not, the term is zero.
    pub quorate: bool,
    /// How many updates the term counts; the others are void or wait.
    pub counted: u64,
}

/// A pair of headers that one author must not both have signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EquivocationReport {
    /// Index of the author.
    pub member: u16,
    /// Peer id of the author.
    pub peer: String,
    /// What is wrong: `twin`, two headers in one slot, or `chain`, two that
    /// contradict each other about the slots between them.
    pub reason: &'static str,
    /// The earlier of the two.
    pub first: HeaderReport,
    /// The later.
    pub second: HeaderReport,
}

/// A signed update header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderReport {
    /// The epoch of its slot.
    pub epoch: u32,
    /// Its hash.
    pub header: String,
}

impl AuditReport {
    /// A report in which nothing has been looked at yet.
    pub(super) fn new(check: Check) -> Self {
        Self {
            report: REPORT_VERSION,
            check,
            verdict: Verdict::Verified,
            federation: None,
            name: None,
            exporter: None,
            entries: 0,
            updates_own: 0,
            updates_accepted: 0,
            updates_repeated: 0,
            versions: 0,
            versions_skipped: 0,
            votes: 0,
            seals: Vec::new(),
            sealed_missing: 0,
            keys: 0,
            contributions: 0,
            aggregates: 0,
            aggregates_verified: 0,
            carried: 0,
            closed_count: 0,
            closed_keys: Vec::new(),
            payloads: 0,
            payload_bytes: 0,
            missing_count: 0,
            missing: Vec::new(),
            contributors: Vec::new(),
            refused: Vec::new(),
            tip: None,
            problem_count: 0,
            problems: Vec::new(),
            replay: None,
            without_payloads: false,
            proofs: None,
        }
    }

    /// The report of a file that could not be read.
    pub(super) fn unreadable(check: Check, error: &FileError) -> Self {
        let mut report = Self::new(check);
        let entry = match error {
            FileError::Entry { place, .. } => Some(*place as u64),
            _ => None,
        };
        report.problem(error.detection(), entry, error.to_string());
        report
    }

    /// True if nothing is wrong and nothing is missing.
    pub const fn is_verified(&self) -> bool {
        matches!(self.verdict, Verdict::Verified)
    }

    /// Id of the model that the updates make; only of a replay that verified.
    pub fn model_id(&self) -> Option<&str> {
        self.replay.as_ref().map(|replay| replay.model.as_str())
    }

    /// The outcome in one line.
    pub fn summary(&self) -> String {
        let first = self.problems.first().map(|problem| problem.message.as_str());
        match (self.verdict, first) {
            (Verdict::Failed, Some(first)) => {
                format!("failed with {} problems; the first: {first}", self.problem_count)
            }
            (Verdict::Incomplete, _) if self.without_payloads => format!(
                "incomplete: exported without payloads; {} entries and {} proofs hold, no model was derived",
                self.entries,
                self.proofs.as_ref().map_or(0, |proofs| proofs.verified)
            ),
            (Verdict::Incomplete, _) if self.closed_count > 0 => format!(
                "incomplete: {} bundles are encrypted under keys that were not given",
                self.closed_count
            ),
            (Verdict::Incomplete, _) => {
                format!("incomplete: {} payloads missing", self.missing_count)
            }
            (verdict, _) => format!("{verdict}: {} entries", self.entries),
        }
    }

    pub(super) fn problem(&mut self, detected_by: Detection, entry: Option<u64>, message: String) {
        self.verdict = Verdict::Failed;
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(Problem { detected_by, entry, message });
        }
    }

    /// Notes that the file holds no payloads on purpose.
    pub(super) const fn leave_out_payloads(&mut self) {
        self.verdict = Verdict::Incomplete;
        self.without_payloads = true;
    }

    /// Notes a bundle that is encrypted under a key that the auditor does not have.
    pub(super) fn closed(&mut self, key: String) {
        self.verdict = self.verdict.max(Verdict::Incomplete);
        self.closed_count += 1;
        if self.closed_keys.len() < PROBLEMS_LISTED_MAX && !self.closed_keys.contains(&key) {
            self.closed_keys.push(key);
        }
    }

    pub(super) fn miss(&mut self, payload: String) {
        self.verdict = self.verdict.max(Verdict::Incomplete);
        self.missing_count += 1;
        if self.missing.len() < PROBLEMS_LISTED_MAX {
            self.missing.push(payload);
        }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show_contents(f)?;
        if let Some(replay) = &self.replay {
            replay.fmt(f)?;
        }
        for key in &self.closed_keys {
            writeln!(f, "encrypted   under key {key}, which was not given: --keys FILE")?;
        }
        for payload in &self.missing {
            writeln!(f, "missing     payload {payload}")?;
        }
        show_rest(f, "missing", self.missing_count, self.missing.len())?;
        for problem in &self.problems {
            write!(f, "problem     found by {}: ", problem.detected_by)?;
            match problem.entry {
                Some(entry) => {
                    let prefix = format!("entry {entry}: ");
                    let message = problem.message.strip_prefix(&prefix);
                    writeln!(f, "{prefix}{}", message.unwrap_or(&problem.message))?;
                }
                None => writeln!(f, "{}", problem.message)?,
            }
        }
        show_rest(f, "problem", self.problem_count, self.problems.len())?;
        writeln!(f, "verdict     {}", self.verdict)
    }
}

impl AuditReport {
    fn show_contents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(federation) = &self.federation else { return Ok(()) };
        writeln!(f, "federation  {federation} ({})", self.name.as_deref().unwrap_or_default())?;
        writeln!(f, "exporter    {}", self.exporter.as_deref().unwrap_or("nobody"))?;
        writeln!(f, "entries     {}, {} versions", self.entries, self.versions)?;
        let (own, accepted) = (self.updates_own, self.updates_accepted);
        writeln!(f, "updates     {own} own, {accepted} accepted")?;
        if self.without_payloads {
            writeln!(f, "payloads    left out by the exporter: the model was not replayed")?;
        } else {
            writeln!(f, "payloads    {} of {} bytes together", self.payloads, self.payload_bytes)?;
        }
        if let Some(proofs) = &self.proofs {
            write!(f, "{proofs}")?;
        }
        for it in &self.seals {
            let SealReport { open_from, cosigners, .. } = it;
            let how = if it.derived { "derived from updates" } else { "taken from the snapshot" };
            writeln!(f, "seal        before epoch {open_from}, {cosigners} cosigners, {how}")?;
        }
        if self.sealed_missing > 0 {
            let (updates, versions) = (self.sealed_missing, self.versions_skipped);
            writeln!(
                f,
                "sealed      {updates} updates are not in the file: the audit begins with a"
            )?;
            writeln!(f, "            cosigned snapshot, and compared {versions} versions less")?;
        }
        if self.keys > 0 {
            writeln!(f, "keys        {} beside the manifest's", self.keys)?;
        }
        if self.contributions > 0 {
            writeln!(f, "ceremony    {} contributions", self.contributions)?;
        }
        if self.closed_count > 0 {
            writeln!(f, "unread      {} bundles, signed and whole", self.closed_count)?;
        }
        if self.aggregates > 0 {
            let (all, verified) = (self.aggregates, self.aggregates_verified);
            writeln!(f, "aggregates  {all}, the sums of {verified} verified")?;
        }
        if self.carried > 0 {
            writeln!(f, "carried     {} bundles for others, unread", self.carried)?;
        }
        for it in &self.contributors {
            writeln!(f, "  {:>8}  {} updates of {}", it.member, it.updates, it.peer)?;
        }
        for it in &self.refused {
            writeln!(f, "refused     {} for {} ({})", it.count, it.reason, it.code)?;
        }
        if let Some(tip) = &self.tip {
            writeln!(f, "tip         epoch {}, {} slots filled", tip.epoch, tip.updates)?;
            writeln!(f, "  claims    model {}", tip.model)?;
        }
        Ok(())
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  {:>7}  {:>5}  {:>7}  quorum", "epoch", "authors", "void", "counted")?;
        for it in &self.epochs {
            let quorum = if it.quorate { "yes" } else { "no" };
            let EpochReport { epoch, authors, voids, counted, .. } = it;
            writeln!(f, "{epoch:>10}  {authors:>7}  {voids:>5}  {counted:>7}  {quorum}")?;
        }
        for it in &self.equivocations {
            let (first, second) = (&it.first, &it.second);
            writeln!(f, "equivocated member {} ({})", it.member, it.reason)?;
            writeln!(f, "  epoch {:>4}  header {}", first.epoch, first.header)?;
            writeln!(f, "  epoch {:>4}  header {}", second.epoch, second.header)?;
        }
        writeln!(f, "replayed    {} versions, all equal", self.versions_checked)?;
        writeln!(f, "set root    {}", self.set_root)?;
        writeln!(f, "model       {}", self.model)
    }
}

/// The short name of a refusal code: transport's below 100, admission's from 100
/// up, the registry's from 200.
pub fn refusal_name(code: u16) -> &'static str {
    match code {
        TermsError::CODE => return "transport-terms",
        KeyRefusal::CODE => return "key-generation",
        UNREADABLE_CODE => return "unreadable",
        NO_ROOM_CODE => return "no-room",
        _ => {}
    }
    let kind = Refusal::from_code(code).map(|kind| kind.name());
    kind.or(ProofRefusal::name_of(code))
        .or(AggregateRefusal::name_of(code))
        .or(RefuseReason::text_of(code))
        .unwrap_or("unknown")
}

fn show_rest(f: &mut fmt::Formatter<'_>, what: &str, count: u64, listed: usize) -> fmt::Result {
    match count.saturating_sub(listed as u64) {
        0 => Ok(()),
        rest => writeln!(f, "{what:<10}  and {rest} more"),
    }
}
