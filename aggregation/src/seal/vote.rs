//! Votes: what a member signs about a seal, and which of it counts.
//!
//! Bytes: a CBOR array `["vote", 1, federation, attempt, phase, end, root, model]`; `1` is
//! the version of the format, phase is 0 for prepare and 1 for commit. A vote travels as
//! a bundle as updates do; its payload is one fixed text.

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::policy::{Attempt, SealRules};
use crate::admission::Refusal;
use crate::fold::block_of;
use crate::header::HeaderHash;
use crate::parameters::ModelId;
use crate::slot::{Epoch, MemberIndex};

/// The payload of every vote.
pub const VOTE_PAYLOAD: &[u8] = b"longhaul seal vote";

const VERSION: u64 = 1;
const FIELDS: usize = 8;
const VOTE_TAG: &str = "vote";
pub(super) const SNAPSHOT_TAG: &str = "snapshot";
/// The first word of an aggregate's header.
pub const AGGREGATE_TAG: &str = "aggregate";

/// What a bundle's header is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// An update, or nothing that is known.
    Update,
    /// A vote on a seal.
    Vote,
    /// A snapshot of what is sealed.
    Snapshot,
    /// The sum of a bucket's updates, in place of them.
    Aggregate,
}

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealValue {
    /// The first epoch that stays open.
    pub end: Epoch,
    /// The name of all slots before it; see [`super::Snapshot`].
    pub root: ContentHash,
    /// M_0 and the terms of the epochs before it.
    pub model: ModelId,
}

/// The two phases of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// "I would seal this."
    Prepare,
    /// "A quorum would, and I shall not prepare anything else."
    Commit,
}

/// What a member signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// The federation.
    pub federation: ContentHash,
    /// In which attempt.
    pub attempt: Attempt,
    /// In which phase.
    pub phase: Phase,
    /// For what.
    pub value: SealValue,
}

/// A vote that passed admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmittedVote {
    /// Who signed it.
    pub member: MemberIndex,
    /// What it says.
    pub vote: Vote,
    /// The name of its header as received.
    pub header: HeaderHash,
}

/// Why bytes are not a vote, or no vote of this federation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// The bytes are not the deterministic CBOR of a vote.
    #[error("not a well-formed vote or snapshot header: {0}")]
    Malformed(#[from] CodecError),
    /// There is no such attempt.
    #[error("there is no attempt {0} to seal anything")]
    NoAttempt(Attempt),
    /// The end is not one that the attempt, or an earlier one, could seal.
    #[error("attempt {attempt} cannot seal what lies before epoch {end}")]
    End {
        /// The attempt.
        attempt: Attempt,
        /// The end named.
        end: Epoch,
    },
    /// The payload is not the one of votes.
    #[error("the payload is not that of a vote")]
    Payload,
}

impl HeaderKind {
    /// What the header with these bytes is about.
    pub fn of(header: &[u8]) -> Self {
        let mut reader = Reader::new(header);
        let tag = reader.array(FIELDS).and_then(|_| reader.text(AGGREGATE_TAG.len()));
        match tag {
            Ok(VOTE_TAG) => Self::Vote,
            Ok(SNAPSHOT_TAG) => Self::Snapshot,
            Ok(AGGREGATE_TAG) => Self::Aggregate,
            _ => Self::Update,
        }
    }
}

impl Vote {
    /// The bytes to sign and to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_front(&mut writer, VOTE_TAG, &self.federation, self.attempt);
        writer.unsigned(self.phase as u64);
        self.value.encode(&mut writer);
        writer.into_bytes()
    }

    /// Reads a vote strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, VoteError> {
        let mut reader = Reader::new(bytes);
        let (federation, attempt) = read_front(&mut reader, VOTE_TAG)?;
        let phase = match reader.unsigned(1)? {
            0 => Phase::Prepare,
            _ => Phase::Commit,
        };
        let value = SealValue::decode(&mut reader)?;
        reader.finish()?;
        Ok(Self { federation, attempt, phase, value })
    }
}

impl SealValue {
    /// Appends the three items of the value.
    pub fn encode(&self, writer: &mut Writer) {
        writer.unsigned(u64::from(self.end.get())).bytes(self.root.as_bytes());
        writer.bytes(self.model.as_hash().as_bytes());
    }

    /// Reads the three items of a value.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let end = Epoch::new(read_u32(reader)?);
        let root = reader.fixed().map(ContentHash::from_bytes)?;
        let model = ModelId::from_hash(reader.fixed().map(ContentHash::from_bytes)?);
        Ok(Self { end, root, model })
    }
}

/// Judges a received vote: a pure function of the manifest and the vote.
pub fn admit_vote(
    federation: ContentHash,
    rules: &SealRules,
    member: Option<MemberIndex>,
    header: &[u8],
    payload: &[u8],
) -> Result<AdmittedVote, Refusal> {
    let member = member.filter(|it| it.index() < rules.members).ok_or(Refusal::NotAMember)?;
    let vote = Vote::decode(header)?;
    if vote.federation != federation {
        return Err(Refusal::ForeignFederation(vote.federation));
    }
    check_end(rules, vote.attempt, vote.value.end)?;
    if payload != VOTE_PAYLOAD {
        return Err(VoteError::Payload.into());
    }
    Ok(AdmittedVote { member, vote, header: HeaderHash::of(header) })
}

/// Checks that an attempt, or an earlier one whose value it takes over, has this end.
pub(super) fn check_end(rules: &SealRules, attempt: Attempt, end: Epoch) -> Result<(), VoteError> {
    let latest = rules.end(attempt).ok_or(VoteError::NoAttempt(attempt))?;
    let whole = block_of(end, rules.pool) == end;
    if end == Epoch::FIRST || end > latest || !whole {
        return Err(VoteError::End { attempt, end });
    }
    Ok(())
}

pub(super) fn write_front(
    writer: &mut Writer,
    tag: &str,
    federation: &ContentHash,
    attempt: Attempt,
) {
    writer.array(FIELDS).text(tag).unsigned(VERSION).bytes(federation.as_bytes());
    writer.unsigned(u64::from(attempt.get()));
}

pub(super) fn read_front(
    reader: &mut Reader<'_>,
    tag: &'static str,
) -> Result<(ContentHash, Attempt), CodecError> {
    reader.tuple(FIELDS)?;
    let at = reader.invalid("a header of another kind");
    if reader.text(SNAPSHOT_TAG.len())? != tag {
        return Err(at);
    }
    let at = reader.invalid("version 1 of votes and snapshots");
    if reader.unsigned(u64::MAX)? != VERSION {
        return Err(at);
    }
    let federation = reader.fixed().map(ContentHash::from_bytes)?;
    Ok((federation, Attempt::new(read_u32(reader)?)))
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let at = reader.invalid("a 32-bit number");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| at)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::policy::tests::rules;
    use super::*;
    use proptest::prelude::*;

    pub fn federation() -> ContentHash {
        ContentHash::of(b"federation")
    }

    /// A value with this end and a name of its own.
    pub fn value(end: u32, name: u8) -> SealValue {
        let root = ContentHash::of(&[name]);
        SealValue { end: Epoch::new(end), root, model: ModelId::from_hash(root) }
    }

    pub fn vote(attempt: u32, phase: Phase, value: SealValue) -> Vote {
        Vote { federation: federation(), attempt: Attempt::new(attempt), phase, value }
    }

    fn arb_vote() -> impl Strategy<Value = Vote> {
        (any::<u32>(), any::<bool>(), any::<u32>(), any::<u8>()).prop_map(
            |(at, commit, end, name)| {
                let phase = if commit { Phase::Commit } else { Phase::Prepare };
                vote(at, phase, value(end, name))
            },
        )
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(vote in arb_vote()) {
            prop_assert_eq!(Vote::decode(&vote.encode()), Ok(vote));
            prop_assert_eq!(HeaderKind::of(&vote.encode()), HeaderKind::Vote);
        }

        #[test]
        fn a_mutant_is_refused_or_another_vote(vote in arb_vote(), at in any::<usize>(), xor in 1_u8..) {
            let mut bytes = vote.encode();
            let at = at % bytes.len();
            bytes[at] ^= xor;
            if let Ok(found) = Vote::decode(&bytes) {
                prop_assert_ne!(found, vote);
                prop_assert_eq!(found.encode(), bytes);
            }
        }
    }

    #[test]
    fn admits_what_an_attempt_can_seal_and_nothing_else() {
        let rules = rules(12);
        let good = vote(3, Phase::Prepare, value(6, 1));
        let judge = |vote: Vote, member: u16, payload: &[u8]| {
            let member = Some(MemberIndex::new(member));
            let admitted = admit_vote(federation(), &rules, member, &vote.encode(), payload);
            admitted.map_err(|refusal| refusal.name())
        };
        assert_eq!(judge(good, 11, VOTE_PAYLOAD).unwrap().vote, good);
        let earlier = vote(3, Phase::Commit, value(2, 1));
        assert!(judge(earlier, 0, VOTE_PAYLOAD).is_ok(), "the value of attempt 2, taken over");
        let foreign = Vote { federation: ContentHash::of(b"other"), ..good };
        for (what, vote, member, payload, name) in [
            ("a stranger", good, 12, VOTE_PAYLOAD, "not-a-member"),
            ("another federation", foreign, 0, VOTE_PAYLOAD, "foreign-federation"),
            ("too new", vote(3, Phase::Prepare, value(7, 1)), 0, VOTE_PAYLOAD, "seal-form"),
            ("nothing", vote(3, Phase::Prepare, value(0, 1)), 0, VOTE_PAYLOAD, "seal-form"),
            ("no attempt", vote(1, Phase::Prepare, value(1, 1)), 0, VOTE_PAYLOAD, "seal-form"),
            ("after the end", vote(25, Phase::Prepare, value(1, 1)), 0, VOTE_PAYLOAD, "seal-form"),
            ("a payload", good, 0, &b"more"[..], "seal-form"),
        ] {
            assert_eq!(judge(vote, member, payload), Err(name), "{what}");
        }
    }

    #[test]
    fn tells_kinds_of_headers_apart() {
        for bytes in [&[][..], &[0x8a, 0x01], &[0x88, 0x61, b'x'], &[0x81, 0x01]] {
            assert_eq!(HeaderKind::of(bytes), HeaderKind::Update, "{bytes:?}");
        }
        let tagged = |tag| {
            let mut writer = Writer::new();
            writer.array(6).text(tag);
            HeaderKind::of(&writer.into_bytes())
        };
        assert_eq!(tagged(AGGREGATE_TAG), HeaderKind::Aggregate);
        assert_eq!(tagged("aggregate of something"), HeaderKind::Update);
    }
}
