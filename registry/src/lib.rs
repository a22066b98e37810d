//! How an update is recorded: manifests, signed logs, and the auditor.
//!
//! A [`Manifest`] fixes everything that the members of a federation agree on;
//! signed, its hash is the [`FederationId`]. Each peer keeps an append-only log
//! of [`SignedEntry`]s: what it made, accepted and refused, and which model
//! that gives. [`audit`] packs a log and its payloads into one file from which
//! anybody can derive the model again, offline.
//!
//! Nothing here reads a clock, a file, a socket or entropy; the binary
//! `longhaul-audit` is the only place in this crate that opens files. What
//! belongs to training, contacts and storage is in the crates to the right.

pub mod aggregate;
pub mod audit;
pub mod bounds;
pub mod ceremony;
pub mod committee;
pub mod entry;
pub mod federation;
pub mod fraud;
pub mod log;
pub mod manifest;
pub mod plan;
pub mod privacy;
pub mod proving;
pub mod record;
pub mod scan;
pub mod seal;
pub mod task;

pub use aggregate::{
    AdmittedAggregate, Aggregate, AggregateHeader, AggregateRefusal, HeadRefusal,
    MakeAggregateError, SendAggregateError,
};
pub use bounds::Bounds;
pub use ceremony::{CeremonyPlan, CeremonyPlanError, ContributionHeader, ContributionRefusal};
pub use committee::Committee;
pub use entry::{ENTRY_BYTES_MAX, EntryError, EntryHash, LogEntry, SignedEntry};
pub use federation::FederationId;
pub use fraud::{Finding, Fraud, FraudProof, NoFraud};
pub use log::{Chain, LogError, LogWriter, Signing, verify_chain};
pub use manifest::{
    InvalidManifest, Manifest, ManifestError, ManifestSummary, SignedManifest, TermsError,
};
pub use plan::{Schedule, ScheduleNameError, TrainingPlan};
pub use privacy::{
    AnnounceError, KeyGeneration, KeyGrant, KeyHeader, KeyRefusal, Privacy, UnusableGrant,
};
pub use proving::{ProofCurve, ProofKey, ProofPolicy, ProofPolicyError, ProofRefusal};
pub use record::{HEAD_BYTES_MAX, Record};
pub use scan::{Corruption, Scan, Tail, frame_entry, scan_checked_log, scan_log};
pub use seal::{Cosigned, encode_cosigned};
pub use task::Task;
