//! Sealing: old epochs are closed for good, by a vote without a leader.
//!
//! A fold holds every epoch open: a late update is welcome, and a twin can void a slot
//! whenever its author likes. A manifest with a [`SealPolicy`] bounds both. An *attempt*
//! takes place every so many epochs; its [`SealValue`] names an epoch (the end), the set of
//! all slots before it and the model that their terms make. Each attempt has two phases,
//! and each member signs at most one vote in each:
//!
//! - **prepare** the value that it is locked on, that is the one of the newest
//!   certificate (a quorum of equal prepares) that it knows, or else what its own set says;
//! - **commit** to a value for which it holds a certificate of this attempt.
//!
//! A quorum of equal commits is a seal. Members sign in order: nothing for an attempt
//! after something for a later one. The quorum is `floor((N + F) / 2) + 1` of all N members,
//! F being the attackers that the manifest assumes.
//!
//! # Why two seals never contradict each other
//!
//! Two quorums share F + 1 members, so at least one that signs a single vote per phase.
//! Hence one attempt certifies one value. Let `v` be sealed in attempt `a`, and let
//! `b > a` be the first later attempt with a certificate for a `w` that is neither `v` nor
//! made on top of `v`. Some honest member committed to `v` in `a` and prepared `w` in `b`. It signs in
//! order, so it knew `a`'s certificate when it prepared, and all certificates from `a` to
//! `b` are for `v` or on top of it. So it prepared one of these, or, if it had sealed `v`
//! meanwhile, what its own set says: both are `v` or on top of it. No clock and no
//! assumption about delivery is in this argument.
//!
//! # What attackers can do
//!
//! They can keep an attempt from succeeding: a slot that they hand to some members just
//! before the vote parts the honest values. Each such attempt costs them a slot that
//! they withheld for a whole window. A third of the members can refuse to vote; then
//! nothing is sealed, and what is held grows.
//!
//! A member that signs two different votes for one phase counts for *every* value there,
//! and the pair proves it a liar. Were its votes dropped instead, a seal could come
//! undone when the pair comes to light. Counting is safe: the argument above does not
//! use the votes of liars. And it makes the tally a function of the set of votes that only
//! grows, of which two per member and phase say everything.
//!
//! # Where it comes from
//!
//! Certificates, locks and the intersection of quorums are those of PBFT (Castro and Liskov
//! 1999) and Tendermint (Buchman 2016). There is no leader and no timeout: the value is
//! the same for all whose sets agree, and the manifest's clock begins attempts.
//!
//! Not here: who signs and when (the peer), cosignatures as bytes (the registry).

mod policy;
mod snapshot;
mod tally;
mod vote;
mod voter;

pub use policy::{Attempt, SealPolicy, SealRules};
pub use snapshot::{SealedSlot, Snapshot, SnapshotError, SnapshotHeader};
pub use tally::{Cast, Tally, VoteTwins};
pub use vote::{
    AGGREGATE_TAG, AdmittedVote, HeaderKind, Phase, SealValue, VOTE_PAYLOAD, Vote, VoteError,
    admit_vote,
};
pub use voter::{Due, Voter};
