//! Aggregate: the updates of one bucket of an epoch as one sum, with the head of each and a proof that it is theirs.
//!
//! Where the manifest's recipe gathers authors into buckets and needs of a bucket no more than the sum of its updates
//! ([`Recipe::takes_sums`](longhaul_aggregation::Recipe::takes_sums)), and updates are proved, whoever holds all payloads of a bucket can send them as
//! one: over a thin link or on a ferry n updates cost little more than one. Who gets it verifies the heads, their proofs and the sum,
//! inserts the heads and the sum into its fold ([`Fold::insert_head`](longhaul_aggregation::Fold::insert_head),
//! [`Fold::insert_sum`](longhaul_aggregation::Fold::insert_sum)), and holds the model of who holds the payloads, to the bit. What an aggregate
//! says is a pure function of manifest and bytes, whoever made it: no trust is put into that peer, and its bytes need not be signed.
//!
//! It is a cache of one set of slots. Where one of them turns out to be void, the payloads of the others are asked for.
//!
//! **What it does not say.** Nobody needs to have seen the payloads but its maker: a payload that is no update, or another one than the proof is
//! about, is found by whoever reads it ([`crate::fraud`]), not here. A private federation has no aggregates: they need headers in clear.
//!
//! Bytes: the array `["aggregate", 1, federation, epoch, [head, ...], sums, opening]`: bundle heads as they travel, strictly ascending
//! by member; the sums as [`longhaul_aggregation::compress::encode_sums`] writes them, under the exponents that the proofs show; one
//! blinder for each chunk.

mod bundle;

use longhaul_aggregation::compress::{
    SumScale, SumsError, decode_sums, encode_sums, sums_bytes_max,
};
use longhaul_aggregation::{
    AGGREGATE_TAG, BucketSum, Epoch, HeadOnly, MemberIndex, Parameters, Refusal, Update, admit_head,
};
use longhaul_dtn::bundle::{BundleError, BundleHead};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::identity::PeerId;
use longhaul_proofs::s1::Subject;
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::{
    AggregateError, ProveUpdates, SUMMED_MAX, UpdateProofError, VerifyUpdates,
};

use crate::bounds::PAYLOAD_BYTES_MAX;
use crate::federation::{FederationId, read_front, write_front};
use crate::manifest::{HEAD_BLOCKS_BYTES_MAX, SignedManifest, TermsError};
use crate::proving::{ProofRefusal, seed_of};
use crate::record::HEAD_BYTES_MAX;

pub use bundle::{AggregateHeader, SendAggregateError};

/// Fewest updates of an aggregate: the sum of one is no shorter than the update.
pub const HEADS_MIN: usize = 2;
const TAG: &str = AGGREGATE_TAG;
/// Bytes around heads, sums and opening at most: tag, version, federation, epoch and heads of strings.
const AROUND_BYTES_MAX: usize = 128;
/// Bytes around each head.
const HEAD_FRAME_BYTES: usize = 5;

/// An aggregate as it was read; whether it holds is for [`admit`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The federation.
    pub federation: FederationId,
    /// The epoch of all updates.
    pub epoch: Epoch,
    /// The encoded bundle heads, by member.
    pub heads: Vec<Vec<u8>>,
    /// The coded sums.
    pub sums: Vec<u8>,
    /// What opens the sum of the commitments.
    pub opening: Vec<u8>,
}

/// What an aggregate that holds gives to a fold: heads first, then the sum.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmittedAggregate {
    /// The heads, by member, with what a fold takes of each.
    pub heads: Vec<(BundleHead, HeadOnly)>,
    /// The sum of their updates.
    pub sum: BucketSum,
}

/// Why an aggregate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateRefusal {
    /// The manifest does not ask for any.
    #[error("an aggregate, and the manifest has none")]
    NoAggregates,
    /// Updates are encrypted.
    #[error("the federation is private, and an aggregate needs headers in clear")]
    Private,
    /// The bytes are not in the canonical form.
    #[error("the aggregate is malformed {0}")]
    Malformed(#[from] CodecError),
    /// It is longer than any; holds its bytes.
    #[error("an aggregate of {0} bytes is longer than any here")]
    Size(usize),
    /// It is for another federation; holds that.
    #[error("the aggregate is for federation {0}")]
    Foreign(FederationId),
    /// Who signed the bundle around it is no member.
    #[error("{0} signed the bundle, and is no member")]
    Stranger(PeerId),
    /// The bundle's header says something else than the payload, or of what there is not.
    #[error("the header of the aggregate's bundle names {0}")]
    Header(&'static str),
    /// A peer holds one of as many updates of the bucket.
    #[error("a sum of as many updates of this bucket is held")]
    Needless,
    /// It has too few or too many heads.
    #[error(
        "an aggregate of {0} updates; it has {HEADS_MIN} or more, and no more than a bucket has members"
    )]
    Heads(usize),
    /// A head is not that of an update of this epoch, or not in its place.
    #[error("head {at}: {error}")]
    Head {
        /// Its position.
        at: usize,
        /// Why.
        error: HeadRefusal,
    },
    /// The members are of several buckets.
    #[error("the members of the aggregate are of several buckets in epoch {0}")]
    Buckets(Epoch),
    /// The proof in a head does not hold.
    #[error("head {at}: {error}")]
    Proof {
        /// Its position.
        at: usize,
        /// Why.
        error: ProofRefusal,
    },
    /// The sums are no sums of such updates.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// The sums are not those of the heads' updates.
    #[error("the sum is not that of the updates: {0}")]
    Sum(#[from] AggregateError),
}

/// Why a head does not stand for an update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadRefusal {
    /// It is not what somebody signed.
    #[error("the bundle does not hold: {0}")]
    Bundle(#[from] BundleError),
    /// It does not travel on the federation's terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The fold would not admit it.
    #[error(transparent)]
    Admission(#[from] Refusal),
    /// Its number is not its epoch.
    #[error(transparent)]
    Number(ProofRefusal),
    /// It has no proof that could be one.
    #[error(transparent)]
    Proof(ProofRefusal),
    /// It is for another epoch than the aggregate; holds that.
    #[error("the update is for epoch {0}")]
    Epoch(Epoch),
    /// Header and bundle name different payloads, so that there is none.
    #[error("header and bundle name different payloads")]
    Payload,
    /// Its member is not behind the one before it.
    #[error("members are not strictly ascending")]
    Order,
}

/// Why an aggregate is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeAggregateError {
    /// A head has no proof to sum.
    #[error(transparent)]
    Proof(#[from] ProofRefusal),
    /// The updates are no sum.
    #[error(transparent)]
    Sum(#[from] AggregateError),
    /// The updates have no sums.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// Nobody would accept it.
    #[error(transparent)]
    Refused(#[from] AggregateRefusal),
}

impl AggregateRefusal {
    /// The stable code that a refusal records.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NoAggregates => 218,
            Self::Private => 219,
            Self::Malformed(_) => 220,
            Self::Size(_) => 221,
            Self::Foreign(_) => 222,
            Self::Heads(_) => 223,
            Self::Head { .. } => 224,
            Self::Buckets(_) => 225,
            Self::Proof { .. } => 226,
            Self::Sums(_) => 227,
            Self::Sum(_) => 228,
            Self::Stranger(_) => 229,
            Self::Header(_) => 230,
            Self::Needless => 231,
        }
    }

    /// The short name of a code; none if it is not one of these.
    pub const fn name_of(code: u16) -> Option<&'static str> {
        Some(match code {
            218 => "aggregate-unasked",
            219 => "aggregate-private",
            220 => "aggregate-malformed",
            221 => "aggregate-size",
            222 => "aggregate-foreign",
            223 => "aggregate-heads",
            224 => "aggregate-head",
            225 => "aggregate-buckets",
            226 => "aggregate-proof",
            227 => "aggregate-sums",
            228 => "aggregate-sum",
            229 => "aggregate-stranger",
            230 => "aggregate-header",
            231 => "aggregate-needless",
            _ => return None,
        })
    }
}

impl Aggregate {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_front(writer.array(7), TAG, &self.federation)
            .unsigned(self.epoch.get().into())
            .array(self.heads.len());
        for head in &self.heads {
            writer.bytes(head);
        }
        writer.bytes(&self.sums).bytes(&self.opening);
        writer.into_bytes()
    }

    /// Reads what a stranger may have written, within what the manifest allows.
    ///
    /// # Errors
    /// [`AggregateRefusal`] with a code up to 223.
    pub fn decode(bytes: &[u8], manifest: &SignedManifest) -> Result<Self, AggregateRefusal> {
        let verifier = manifest.sums_verifier()?;
        if bytes.len() > manifest.aggregate_bytes_max() {
            return Err(AggregateRefusal::Size(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        reader.tuple(7)?;
        let federation = read_front(&mut reader, (TAG, "the word aggregate"))?;
        if federation != manifest.id() {
            return Err(AggregateRefusal::Foreign(federation));
        }
        let epoch = read_u32(&mut reader)?;
        let count = reader.array(bytes.len())?;
        if !(HEADS_MIN..=manifest.summed_max()).contains(&count) {
            return Err(AggregateRefusal::Heads(count));
        }
        let (mut heads, most) = (Vec::with_capacity(count), manifest.head_bytes_max());
        for _ in 0..count {
            heads.push(reader.bytes(most)?.to_vec());
        }
        let sums = reader.bytes(sums_bytes_max(&manifest.manifest().schema))?.to_vec();
        let opening = reader.bytes(verifier.opening_bytes())?.to_vec();
        reader.finish()?;
        Ok(Self { federation, epoch: Epoch::new(epoch), heads, sums, opening })
    }
}

impl SignedManifest {
    /// True where aggregates travel: the manifest says so, updates are proved and in clear, and the recipe takes sums.
    pub fn takes_aggregates(&self) -> bool {
        self.sums_verifier().is_ok()
    }

    /// Most bytes of an aggregate; zero where there are none.
    pub fn aggregate_bytes_max(&self) -> usize {
        let Ok(verifier) = self.sums_verifier() else { return 0 };
        let heads = self.summed_max().saturating_mul(self.head_bytes_max() + HEAD_FRAME_BYTES);
        let sums = sums_bytes_max(&self.manifest().schema) + verifier.opening_bytes();
        heads.saturating_add(sums + AROUND_BYTES_MAX).min(PAYLOAD_BYTES_MAX as usize)
    }

    /// Most updates of an aggregate.
    fn summed_max(&self) -> usize {
        let manifest = self.manifest();
        let (members, buckets) = (manifest.members.len(), manifest.recipe.buckets);
        buckets.most_together(members, &manifest.trust_roots).min(SUMMED_MAX)
    }

    /// Most bytes of the head of an update.
    fn head_bytes_max(&self) -> usize {
        let header = self.admission_policy().header_limits().bytes_max();
        let blocks = self.manifest().proof_bytes_max() + HEAD_BLOCKS_BYTES_MAX;
        header.saturating_add(blocks).min(HEAD_BYTES_MAX)
    }

    fn sums_verifier(&self) -> Result<&dyn VerifyUpdates, AggregateRefusal> {
        if self.manifest().is_private() {
            return Err(AggregateRefusal::Private);
        }
        // The manifest is sound: its recipe takes sums then.
        let takes = self.manifest().aggregates.is_some();
        let verifier = self.proof_verifier().filter(|_| takes);
        verifier.map(|it| &**it).ok_or(AggregateRefusal::NoAggregates)
    }
}

/// The bytes of the aggregate of a bucket's updates, each with its head, in any order, and what [`admit`] makes of them: what
/// [`Fold::buckets`](longhaul_aggregation::Fold::buckets) says is whole. It takes some 5 ms for each update and
/// chunk of 65,000 entries, and as long as [`admit`], which it calls so that nobody sends what nobody accepts.
///
/// # Errors
/// Updates that are no bucket's, or another one than its proof is about.
pub fn make(
    manifest: &SignedManifest,
    prover: &dyn ProveUpdates,
    epoch: Epoch,
    updates: &[(&BundleHead, &Update)],
) -> Result<(Vec<u8>, AdmittedAggregate), MakeAggregateError> {
    manifest.sums_verifier()?;
    let mut updates = updates.to_vec();
    updates.sort_by_key(|(head, _)| manifest.manifest().member_index(&head.signer()));
    let subjects = updates.iter().map(|(head, _)| subject_of(manifest, head));
    let subjects: Vec<Subject> =
        subjects.map(|found| found.map(|it| it.0)).collect::<Result<_, _>>()?;
    let seeds: Vec<Seed> =
        updates.iter().map(|(head, update)| seed_of(head, update.payload())).collect();
    let parts = subjects.iter().zip(&updates).zip(&seeds);
    let parts: Vec<_> =
        parts.map(|((subject, (_, update)), seed)| (*subject, *update, seed)).collect();
    // It also says whether the updates are of the schema.
    let opening = prover.aggregate(&parts)?;
    let schema = &manifest.manifest().schema;
    let mut sums = Parameters::from_units(vec![0; schema.parameter_count()]);
    updates.iter().for_each(|(_, update)| update.add_to(&mut sums));
    let exponents = updates
        .iter()
        .map(|(_, update)| update.values().map(|chunk| chunk.exponent).collect::<Vec<u8>>());
    let scales = scales(&exponents.collect::<Vec<_>>(), schema.chunks().len());
    let aggregate = Aggregate {
        federation: manifest.id(),
        epoch,
        heads: updates.iter().map(|(head, _)| head.encode()).collect(),
        sums: encode_sums(schema, &scales, sums.as_slice())?,
        opening,
    };
    let bytes = aggregate.encode();
    let admitted = admit(manifest, prover, &bytes)?;
    Ok((bytes, admitted))
}

/// Judges an aggregate: a pure function of the manifest and the bytes. For 20 updates of 65,000 entries some 60 ms of one core:
/// half of it for the sum, the rest for signatures and proofs. `prover` is the manifest's own: the bases of sums stand in proving keys.
///
/// # Errors
/// Why it gives nothing to a fold.
pub fn admit(
    manifest: &SignedManifest,
    prover: &dyn ProveUpdates,
    bytes: &[u8],
) -> Result<AdmittedAggregate, AggregateRefusal> {
    verify(manifest, prover, read(manifest, bytes)?)
}

/// Checks the proofs and the sum of what was read.
fn verify(
    manifest: &SignedManifest,
    prover: &dyn ProveUpdates,
    (admitted, opening): (AdmittedAggregate, Vec<u8>),
) -> Result<AdmittedAggregate, AggregateRefusal> {
    let bare: Vec<&BundleHead> = admitted.heads.iter().map(|(head, _)| head).collect();
    let mut proofs = Vec::with_capacity(bare.len());
    for (at, verdict) in manifest.check_proofs(&bare).into_iter().enumerate() {
        let refused = |error| AggregateRefusal::Proof { at, error };
        verdict.map_err(refused)?;
        proofs.push(subject_of(manifest, bare[at]).map_err(refused)?);
    }
    prover.verify_aggregate(&proofs, &admitted.sum.sum, &opening)?;
    Ok(admitted)
}

/// What an aggregate says, and the opening that shows it: all that [`admit`] checks but proofs and sum.
fn read(
    manifest: &SignedManifest,
    bytes: &[u8],
) -> Result<(AdmittedAggregate, Vec<u8>), AggregateRefusal> {
    let verifier = manifest.sums_verifier()?;
    let aggregate = Aggregate::decode(bytes, manifest)?;
    let heads = read_heads(manifest, &aggregate)?;
    let members: Vec<MemberIndex> = heads.iter().map(|(_, head)| head.author).collect();
    check_bucket(manifest, aggregate.epoch, &members)?;
    let mut exponents = Vec::with_capacity(heads.len());
    for (at, (head, _)) in heads.iter().enumerate() {
        let refused = |error| AggregateRefusal::Proof { at, error };
        let (_, proof) = subject_of(manifest, head).map_err(refused)?;
        let shown = verifier.shown(proof);
        exponents.push(shown.map_err(|error| refused(ProofRefusal::Invalid(error)))?.exponents);
    }
    let schema = &manifest.manifest().schema;
    let scales = scales(&exponents, schema.chunks().len());
    let sum = decode_sums(schema, &scales, &aggregate.sums)?;
    let slots = heads.iter().map(|(_, head)| (head.author, head.header_hash)).collect();
    let sum = BucketSum { epoch: aggregate.epoch, slots, sum };
    Ok((AdmittedAggregate { heads, sum }, aggregate.opening))
}

/// The scale of each chunk, from the exponents that each update has there.
fn scales(exponents: &[Vec<u8>], chunks: usize) -> Vec<SumScale> {
    let of = |chunk| SumScale::of(exponents.iter().filter_map(|it| it.get(chunk)).copied());
    (0..chunks).filter_map(of).collect()
}

fn subject_of<'a>(
    manifest: &SignedManifest,
    head: &'a BundleHead,
) -> Result<(Subject, &'a [u8]), ProofRefusal> {
    manifest.proof_of(head)?.ok_or(ProofRefusal::Invalid(UpdateProofError::Invalid(0)))
}

/// The heads, each of which stands for an update but for its proof.
fn read_heads(
    manifest: &SignedManifest,
    aggregate: &Aggregate,
) -> Result<Vec<(BundleHead, HeadOnly)>, AggregateRefusal> {
    let mut heads: Vec<(BundleHead, HeadOnly)> = Vec::with_capacity(aggregate.heads.len());
    for (at, bytes) in aggregate.heads.iter().enumerate() {
        let found = read_head(manifest, bytes, aggregate.epoch);
        let (head, admitted) = found.map_err(|error| match error {
            HeadRefusal::Proof(error) => AggregateRefusal::Proof { at, error },
            error => AggregateRefusal::Head { at, error },
        })?;
        if heads.last().is_some_and(|(_, last)| last.author >= admitted.author) {
            return Err(AggregateRefusal::Head { at, error: HeadRefusal::Order });
        }
        heads.push((head, admitted));
    }
    Ok(heads)
}

fn read_head(
    manifest: &SignedManifest,
    bytes: &[u8],
    epoch: Epoch,
) -> Result<(BundleHead, HeadOnly), HeadRefusal> {
    let head = BundleHead::decode(bytes, &manifest.bundle_limits())?;
    manifest.check_terms(&head)?;
    let author = manifest.manifest().member_index(&head.signer());
    let mut admitted = admit_head(&manifest.admission_policy(), author, head.header())?;
    admitted.header_hash =
        manifest.slot_name(&head, admitted.header_hash).map_err(HeadRefusal::Proof)?;
    if admitted.header.epoch != epoch {
        return Err(HeadRefusal::Epoch(admitted.header.epoch));
    }
    manifest.check_number(&head, epoch).map_err(HeadRefusal::Number)?;
    if admitted.header.payload != head.payload_hash() {
        return Err(HeadRefusal::Payload);
    }
    Ok((head, admitted))
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let above = reader.invalid("a 32-bit number");
    u32::try_from(reader.unsigned(u32::MAX.into())?).map_err(|_| above)
}

fn check_bucket(
    manifest: &SignedManifest,
    epoch: Epoch,
    members: &[MemberIndex],
) -> Result<(), AggregateRefusal> {
    let terms = manifest.manifest();
    let (federation, count) = (manifest.id().hash(), terms.members.len());
    let roots = &terms.trust_roots;
    match terms.recipe.buckets.are_together(&federation, epoch, members, (count, roots)) {
        true => Ok(()),
        false => Err(AggregateRefusal::Buckets(epoch)),
    }
}
