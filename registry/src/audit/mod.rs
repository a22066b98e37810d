//! Audit: a peer's log and every payload it speaks of, in one file that
//! anybody can check offline.
//!
//! [`export`] writes the file, [`AuditFile::parse`] reads it, [`verify`] checks
//! that everything in it is signed, chained, admissible and complete, and
//! [`replay`] also folds the updates again and compares every version that the
//! log claims. Nothing is taken on trust: each byte of the file is covered by
//! a signature, a content hash or the one form that strict reading accepts.
//!
//! Where epochs were sealed and their updates deleted, a replay begins with the newest
//! cosigned snapshot in the file, and says so: it takes a quorum's word for the sealed model,
//! and derives everything after it.
//!
//! Where the manifest asks for proofs about updates, those of all heads in the log are checked.
//! They need no payloads, and so [`export_without_payloads`] makes a file for auditors who must
//! not see updates.
//!
//! What an audit cannot see: entries that the exporter left off at the end of
//! its log (the file is then an honest older state), and updates that it never
//! recorded. Compare the files of two peers for that.

mod evidence;
mod export;
mod file;
mod proofs;
mod replay;
mod report;
mod start;
mod verify;

use std::fmt;

pub use evidence::{EvidenceReport, InputReport};
pub use export::{ExportError, Exported, export, export_without_payloads};
pub use file::{AuditFile, FileError};
pub use proofs::{PROOFS_AT_ONCE, ProofsReport};
pub use replay::evidence;
pub use report::{
    AuditReport, Contributor, EpochReport, EquivocationReport, HeaderReport, PROBLEMS_LISTED_MAX,
    Problem, RefusedCount, ReplayReport, SealReport, Tip, refusal_name,
};

use longhaul_dtn::keyring::Keyring;
use longhaul_proofs::update::ProveUpdates;

use crate::federation::FederationId;

/// The outcome of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything holds.
    Verified,
    /// Nothing is wrong, but payloads are missing or were left out, so not all could be checked.
    Incomplete,
    /// Something is wrong.
    Failed,
}

/// How much an audit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Signatures, chain, admission and completeness.
    Verify,
    /// All of that, and the fold compared with every version.
    Replay,
}

/// What found a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Detection {
    /// Strict reading: the bytes are not in the one form that is accepted.
    Format,
    /// A signature of a manifest, an entry or a bundle.
    Signature,
    /// The blake3 name of a payload.
    ContentHash,
    /// The order of a log: author, sequence, previous entry.
    Chain,
    /// The federation: another one than pinned, or than the manifest's.
    Federation,
    /// Admission: an update that no honest peer would have accepted.
    Admission,
    /// Proofs: an update that is not shown to be within bounds, or a proof about another one.
    Proof,
    /// Replay: the updates make another model than a version claims.
    Replay,
}

/// What an auditor knows beside the file.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The federation that the file has to be about.
    pub federation: Option<FederationId>,
    /// Keys of a private federation; without them its updates cannot be read, and the audit
    /// says so.
    pub keys: Keyring,
}

/// Reads the bytes of an audit file and checks them. A file that cannot be read has failed.
pub fn audit(bytes: &[u8], check: Check, expected: &Expected) -> AuditReport {
    match AuditFile::parse(bytes) {
        Ok(file) => audit_file(&file, check, expected, None),
        Err(error) => AuditReport::unreadable(check, &error),
    }
}

/// Checks a file. With the `prover` of its manifest ([`crate::SignedManifest::proof_prover`]) the
/// payloads that can be read are also compared with what their proofs commit to.
pub fn audit_file(
    file: &AuditFile<'_>,
    check: Check,
    expected: &Expected,
    prover: Option<&dyn ProveUpdates>,
) -> AuditReport {
    match check {
        Check::Verify => verify::verify(file, expected, prover),
        Check::Replay => replay::replay(file, expected, prover),
    }
}

/// Checks a file without folding.
pub fn verify(file: &AuditFile<'_>, expected: &Expected) -> AuditReport {
    audit_file(file, Check::Verify, expected, None)
}

/// Verifies a file and folds it.
pub fn replay(file: &AuditFile<'_>, expected: &Expected) -> AuditReport {
    audit_file(file, Check::Replay, expected, None)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Verified => "verified",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        })
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Format => "format",
            Self::Signature => "signature",
            Self::ContentHash => "content hash",
            Self::Chain => "chain",
            Self::Federation => "federation",
            Self::Admission => "admission",
            Self::Proof => "proof",
            Self::Replay => "replay",
        })
    }
}
