//! How an update is merged: the model is a pure function of a set of updates.
//!
//! A [`Schema`] fixes the shape of the model and a seed fixes M_0
//! ([`Parameters::initial`]). A [`Compressor`] turns a local change into a
//! quantised [`Update`], [`admit`] judges a received one, and the [`Fold`] keeps
//! `M_0 + sum of terms` in exact integers, as the [`Recipe`] says. Whoever holds
//! the same set of updates holds the same [`ModelId`], whatever the order,
//! duplicates, batches, threads or machine.
//!
//! Nothing here reads a clock, draws entropy or does IO, and there are no
//! floats between an update and the model.

pub mod admission;
mod chain;
pub mod cohort;
pub mod compress;
pub mod fold;
pub mod header;
mod held;
pub mod memo;
pub mod norm;
pub mod parameters;
pub mod robust;
mod round;
pub mod rule;
pub mod schema;
pub mod seal;
pub mod setting;
pub mod slot;
pub mod sortition;
pub mod summary;
pub mod update;

pub use admission::{AdmissionPolicy, Admitted, Refusal, RefusalKind, admit, admit_head};
pub use chain::{Equivocation, VoidReason};
pub use compress::{Compressor, Encoding, EncodingError, EncodingNameError, MaskKey};
pub use fold::{
    BucketSlots, BucketSum, CohortEvidence, Evidence, Fold, InputEvidence, InputVerdict, Inserted,
    SumInserted, SumRefusal, TermStatus,
};
pub use header::{BaseClaim, HeaderError, HeaderHash, HeaderLimits, Previous, UpdateHeader};
pub use held::HeadOnly;
pub use memo::TermMemo;
pub use norm::NormBound;
pub use parameters::{FRACTION_BITS, ModelId, ParameterError, Parameters};
pub use rule::{
    Buckets, Clip, Cohorts, Influence, Minimum, Mix, Outer, PoolSpan, Recipe, RecipeError, Rule,
    RuleNameError, Samples, Small, Staleness, StalenessNameError, Trim, TrustRoots, Weighting,
};
pub use schema::{CHUNK_ENTRIES_MAX, Init, Schema, SchemaError, TensorSpec};
pub use seal::{
    AGGREGATE_TAG, AdmittedVote, Attempt, Cast, Due, HeaderKind, Phase, SealPolicy, SealRules,
    SealValue, SealedSlot, Snapshot, SnapshotError, SnapshotHeader, Tally, VOTE_PAYLOAD, Vote,
    VoteError, VoteTwins, Voter, admit_vote,
};
pub use setting::Setting;
pub use slot::{Epoch, MEMBERS_MAX, MemberIndex, Slot};
pub use sortition::Sortition;
pub use summary::{BaseSummary, SummaryError};
pub use update::{Chunk, EXPONENT_MAX, Update, UpdateError};
