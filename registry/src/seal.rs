//! Cosigned snapshots: what is sealed, with the votes that sealed it, in one payload.
//!
//! Whoever has one needs nobody's word: it checks the cosignatures, then the content
//! against the value that they are about. So anybody may make and carry it, a peer that
//! was away can go on from it, and an auditor can begin with it.
//!
//! Bytes: a CBOR array `[slots, model, [head, ...]]`; the two byte strings are those of
//! [`Snapshot`], each head is an encoded bundle head with a commit of one attempt for one
//! value. Not here: who makes one, and when (the peer).

use std::sync::Arc;

use longhaul_aggregation::{
    AdmittedVote, Attempt, Phase, Refusal, SealRules, SealValue, Snapshot, SnapshotHeader, Tally,
    VOTE_PAYLOAD, admit_vote,
};
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use crate::manifest::{Manifest, SignedManifest};

/// Most bytes of a cosigned snapshot that a manifest may lead to.
pub const SNAPSHOT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes of the encoded head of a vote: its header has about 130, the bundle's blocks
/// about 400.
pub const VOTE_HEAD_BYTES_MAX: usize = 1024;
/// Authors that a drawn committee has at most, as far as the size of snapshots goes: for
/// more than twice the expected number and 64 nobody will ever wait.
const DRAWN_MARGIN: u64 = 64;

/// A snapshot whose cosignatures and content are checked.
#[derive(Debug, Clone)]
pub struct Cosigned {
    /// The attempt in which it was sealed.
    pub attempt: Attempt,
    /// What is sealed.
    pub snapshot: Arc<Snapshot>,
    /// The commits, admitted.
    pub votes: Vec<AdmittedVote>,
    /// The payload.
    pub payload: Arc<[u8]>,
}

impl Manifest {
    /// The rules by which seals are voted for, if this federation seals anything.
    pub fn seal_rules(&self) -> Option<SealRules> {
        let policy = self.seal?;
        Some(SealRules::new(policy, &self.setting(), self.recipe.pool, self.epochs))
    }

    /// Most bytes of a cosigned snapshot.
    pub fn snapshot_bytes_max(&self) -> u64 {
        let members = self.members.len() as u64;
        let drawn = |size| u64::from(size) * 2 + DRAWN_MARGIN;
        let authors = self.committee.map_or(members, |it| drawn(it.size).min(members));
        let slots = u64::from(self.epochs) * authors;
        let content = Snapshot::bytes_max(slots, self.schema.parameter_count() as u64);
        // Two votes prove a member a liar, which counts like one; and the heads of items.
        content.saturating_add((2 * members + 1) * (VOTE_HEAD_BYTES_MAX as u64 + 8))
    }
}

impl SignedManifest {
    /// Judges a vote that came in a bundle with this head and payload.
    pub fn admit_vote(&self, head: &BundleHead, payload: &[u8]) -> Result<AdmittedVote, Refusal> {
        let rules = self.manifest().seal_rules().ok_or(Refusal::NoSeals)?;
        let member = self.manifest().member_index(&head.author());
        admit_vote(self.id().hash(), &rules, member, head.header(), payload)
    }

    /// Judges a snapshot that came in a bundle with this head and payload: a pure function
    /// of the manifest and the bundle.
    pub fn admit_snapshot(
        &self,
        head: &BundleHead,
        payload: Arc<[u8]>,
    ) -> Result<Cosigned, Refusal> {
        let rules = self.manifest().seal_rules().ok_or(Refusal::NoSeals)?;
        if self.manifest().member_index(&head.author()).is_none() {
            return Err(Refusal::NotAMember);
        }
        let header = SnapshotHeader::decode(head.header(), &rules)?;
        if header.federation != self.id().hash() {
            return Err(Refusal::ForeignFederation(header.federation));
        }
        if header.payload != ContentHash::of(&payload) {
            return Err(Refusal::PayloadMismatch);
        }
        self.prove(header.attempt, header.value, payload)
    }

    /// Checks that `payload` is the snapshot of `value`, and that a quorum of members
    /// committed to it in `attempt`.
    pub fn prove(
        &self,
        attempt: Attempt,
        value: SealValue,
        payload: Arc<[u8]>,
    ) -> Result<Cosigned, Refusal> {
        let rules = self.manifest().seal_rules().ok_or(Refusal::NoSeals)?;
        let malformed =
            |error: CodecError| Refusal::Unproven(format!("the payload is malformed: {error}"));
        let mut reader = Reader::new(&payload);
        let (slots, model, heads) =
            read_parts(&mut reader, self.manifest().members.len()).map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        let mut tally = Tally::new(rules);
        let mut votes = Vec::with_capacity(heads.len());
        for head in heads {
            let vote = self.read_commit(attempt, head)?;
            tally.cast(&vote);
            votes.push(vote);
        }
        if tally.seal() != Some((attempt, value)) {
            let (found, quorum) = (tally.voters(attempt, Phase::Commit), rules.quorum());
            let why = format!("{found} members committed in attempt {attempt}, it takes {quorum}");
            return Err(Refusal::Unproven(why));
        }
        let snapshot = Snapshot::read(value, slots, model, &self.manifest().schema)
            .map_err(|error| Refusal::Unproven(error.to_string()))?;
        Ok(Cosigned { attempt, snapshot: Arc::new(snapshot), votes, payload: payload.clone() })
    }

    /// Reads a commit of `attempt`. Nothing else may travel in a snapshot: who goes on
    /// from it counts its votes, and must know every other vote as a bundle of its own,
    /// which is logged and passed on.
    fn read_commit(&self, attempt: Attempt, head: &[u8]) -> Result<AdmittedVote, Refusal> {
        let unproven = |why: String| Refusal::Unproven(why);
        let head = BundleHead::decode(head, &self.bundle_limits())
            .map_err(|error| unproven(error.to_string()))?;
        self.check_terms(&head).map_err(|error| unproven(error.to_string()))?;
        head.check_payload(VOTE_PAYLOAD).map_err(|error| unproven(error.to_string()))?;
        let admitted = self.admit_vote(&head, VOTE_PAYLOAD)?;
        let vote = admitted.vote;
        if (vote.attempt, vote.phase) != (attempt, Phase::Commit) {
            return Err(unproven(format!(
                "it holds a vote that is no commit of attempt {attempt}"
            )));
        }
        Ok(admitted)
    }
}

/// The payload of a cosigned snapshot.
pub fn encode_cosigned<'a>(
    snapshot: &Snapshot,
    commits: impl ExactSizeIterator<Item = &'a BundleHead>,
) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(3).bytes(&snapshot.slots_bytes()).bytes(&snapshot.model_bytes());
    writer.array(commits.len());
    commits.for_each(|head| {
        writer.bytes(&head.encode());
    });
    writer.into_bytes()
}

type Parts<'a> = (&'a [u8], &'a [u8], Vec<&'a [u8]>);

fn read_parts<'a>(reader: &mut Reader<'a>, members: usize) -> Result<Parts<'a>, CodecError> {
    let most = usize::try_from(SNAPSHOT_BYTES_MAX).unwrap_or(usize::MAX);
    reader.tuple(3)?;
    let (slots, model) = (reader.bytes(most)?, reader.bytes(most)?);
    let count = reader.array(2 * members)?;
    let heads = (0..count).map(|_| reader.bytes(VOTE_HEAD_BYTES_MAX)).collect::<Result<_, _>>()?;
    Ok((slots, model, heads))
}
