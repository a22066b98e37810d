//! Proving: a federation whose authors prove that their updates are within the norm bound.
//!
//! The manifest's policy names a curve and, for each shape of chunk that the schema has, the verifying key itself (some 1 KB)
//! and the hash of the proving key. So whoever has the manifest can check every update by its head alone: a courier that
//! cannot read the payload, an auditor who must not. Members need the proving keys too, which travel as files: to prove, and to
//! compare what a proof commits to with the payload.
//!
//! Whether a proof holds is a pure function of manifest and head, and whether its commitments are to the payload one of manifest, head and
//! payload: both are part of admission. A key that one party made is refused unless the policy says that it is for development.
//!
//! Bytes of a policy: a map `{1: curve, 2: [[entries, verifying key, hash of the proving key], ...], 3: for development}`.

use std::collections::BTreeSet;
use std::sync::Arc;

use longhaul_aggregation::{Epoch, HeaderHash, HeaderKind, Update};
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_proofs::cp::KeyError;
pub use longhaul_proofs::curve::ProofCurve;
use longhaul_proofs::s1::{Shape, Subject};
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::keys::{self, ShapeKey};
use longhaul_proofs::update::{
    ProveUpdates, UpdateKeysError, UpdateProofError, UpdateShape, VerifyUpdates, opening_seed,
    subject,
};

use crate::manifest::{Manifest, SignedManifest};
use crate::privacy::KeyHeader;

/// Most bytes of a verifying key in a manifest.
const VERIFYING_BYTES_MAX: usize = 16 * 1024;
const CURVE_BYTES_MAX: usize = 16;

/// What members prove about their updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPolicy {
    /// The curve.
    pub curve: ProofCurve,
    /// A key for each shape of chunk in the schema, in ascending order.
    pub keys: Vec<ProofKey>,
    /// Keys that one party made, which could forge, are accepted: for tests and demonstrations.
    pub development: bool,
}

/// The keys of one shape of chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofKey {
    /// The shape.
    pub shape: Shape,
    /// The bytes of the verifying key.
    pub verifying: Vec<u8>,
    /// The hash of the proving key.
    pub proving: ContentHash,
}

/// Why a policy makes no sound federation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofPolicyError {
    /// The keys are not those of the schema's shapes; holds the shapes that the schema needs.
    #[error("keys for chunks of up to {0:?} entries are needed, each once and in this order")]
    Shapes(Vec<usize>),
    /// A key is refused.
    #[error("the verifying key for {entries} entries: {error}")]
    Key {
        /// Entries of its shape.
        entries: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The bytes are no proving key.
    #[error("not a proving key: {0}")]
    NoKey(CodecError),
    /// A proving key is not there.
    #[error("the proving key {hash} for {entries} entries is not there")]
    NoProvingKey {
        /// Entries of its shape.
        entries: usize,
        /// Its hash.
        hash: ContentHash,
    },
    /// A proving key is not that of the manifest's verifying key.
    #[error("the proving key for {0} entries does not belong to the verifying key")]
    Pair(usize),
}

/// Why a bundle is refused for its proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefusal {
    /// The federation asks for a proof, and there is none.
    #[error("the update has no proof, and the manifest asks for one")]
    Missing,
    /// There is a proof where there is none to be.
    #[error("a proof about what needs none")]
    Unasked,
    /// It does not show that this update is within bounds.
    #[error("the proof does not hold: {0}")]
    Invalid(UpdateProofError),
    /// The bundle's number, which the proof is about, is not the epoch in its header.
    #[error("the bundle has number {number}, its update is for epoch {epoch}")]
    Number {
        /// The bundle's number.
        number: u64,
        /// The epoch.
        epoch: Epoch,
    },
    /// It is about something else than the payload: the author contradicts itself.
    #[error("the proof is about another update: {0}")]
    Commitment(UpdateProofError),
}

impl ProofRefusal {
    /// The code of [`ProofRefusal::Commitment`].
    pub const COMMITMENT_CODE: u16 = 207;

    /// The stable code that a refusal records.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Missing => 204,
            Self::Unasked => 205,
            Self::Invalid(_) | Self::Number { .. } => 206,
            Self::Commitment(_) => Self::COMMITMENT_CODE,
        }
    }

    /// The short name of a code; none if it is not one of these.
    pub const fn name_of(code: u16) -> Option<&'static str> {
        Some(match code {
            204 => "proof-missing",
            205 => "proof-unasked",
            206 => "proof-invalid",
            207 => "proof-of-another",
            _ => return None,
        })
    }
}

/// What checks the proofs of a federation.
#[derive(Debug, Clone)]
pub(crate) struct Verifier(Arc<dyn VerifyUpdates>);

impl PartialEq for Verifier {
    /// It follows from the manifest, which is compared beside it.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ProofPolicy {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(3).unsigned(1).text(self.curve.name());
        writer.unsigned(2).array(self.keys.len());
        for key in &self.keys {
            writer.array(3).unsigned(key.shape.entries() as u64);
            writer.bytes(&key.verifying).bytes(key.proving.as_bytes());
        }
        writer.unsigned(3).boolean(self.development);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(3)?;
        reader.key(1)?;
        let curve = read_curve(reader)?;
        reader.key(2)?;
        let count = reader.array(Shape::STANDARD.len())?;
        let keys = (0..count).map(|_| ProofKey::decode(reader)).collect::<Result<_, _>>()?;
        reader.key(3)?;
        Ok(Self { curve, keys, development: reader.boolean()? })
    }

    /// The verifier of updates of this shape; decodes and checks every key.
    pub(crate) fn verifier(&self, shape: UpdateShape) -> Result<Verifier, ProofPolicyError> {
        self.check_shapes(&shape)?;
        let bytes: Vec<_> = self.keys.iter().map(|key| (key.shape, &key.verifying[..])).collect();
        keys::verifier(self.curve, shape, &bytes, self.development)
            .map(Verifier)
            .map_err(Self::refused)
    }

    /// The prover of updates of this shape, from the proving keys that `read` gives by their hash.
    fn prover(
        &self,
        shape: UpdateShape,
        read: &mut dyn FnMut(&ContentHash) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn ProveUpdates>, ProofPolicyError> {
        let mut found = Vec::new();
        for key in &self.keys {
            let (entries, hash) = (key.shape.entries(), key.proving);
            found.push(read(&hash).ok_or(ProofPolicyError::NoProvingKey { entries, hash })?);
        }
        let pairs = self.keys.iter().zip(&found);
        let keys: Vec<_> = pairs
            .map(|(key, proving)| ShapeKey {
                shape: key.shape,
                proving,
                pinned: key.proving,
                verifying: &key.verifying,
            })
            .collect();
        keys::prover(self.curve, shape, &keys).map_err(Self::refused)
    }

    fn refused(error: UpdateKeysError) -> ProofPolicyError {
        match error {
            UpdateKeysError::Key { shape: entries, error } => {
                ProofPolicyError::Key { entries, error }
            }
            UpdateKeysError::Pair(entries) => ProofPolicyError::Pair(entries),
            // Those of the policy were compared with the shapes before.
            UpdateKeysError::Missing(entries) => ProofPolicyError::Shapes(vec![entries]),
        }
    }

    fn check_shapes(&self, shape: &UpdateShape) -> Result<(), ProofPolicyError> {
        let needed = shape.shapes();
        match self.keys.iter().map(|key| key.shape).eq(needed.iter().copied()) {
            true => Ok(()),
            false => Err(ProofPolicyError::Shapes(shapes(&needed))),
        }
    }
}

pub(crate) fn read_curve(reader: &mut Reader<'_>) -> Result<ProofCurve, CodecError> {
    let unknown = reader.invalid("bn254 or bls12-381");
    ProofCurve::named(reader.text(CURVE_BYTES_MAX)?).ok_or(unknown)
}

pub(crate) fn read_shape(reader: &mut Reader<'_>) -> Result<Shape, CodecError> {
    let unknown = reader.invalid("a standard shape: 1000, 7800 or 65000");
    let entries = reader.unsigned(u64::MAX)?;
    Shape::STANDARD.into_iter().find(|it| it.entries() as u64 == entries).ok_or(unknown)
}

fn shapes(needed: &BTreeSet<Shape>) -> Vec<usize> {
    needed.iter().map(|shape| shape.entries()).collect()
}

impl ProofKey {
    /// What a manifest says of a proving key, and the curve that it is on: a file that its maker trusts. Its points
    /// are not looked at but for those of its verifying key.
    ///
    /// # Errors
    /// Bytes that are no proving key, or one of no standard shape.
    pub fn of(proving: &[u8]) -> Result<(ProofCurve, Self), ProofPolicyError> {
        let mut reader = Reader::new(proving);
        let mut parts = || -> Result<_, CodecError> {
            reader.tuple(4)?;
            reader.unsigned(u64::MAX)?;
            let verifying = reader.bytes(VERIFYING_BYTES_MAX)?;
            let mut inside = Reader::new(verifying);
            inside.tuple(9)?;
            inside.unsigned(u64::MAX)?;
            let curve = read_curve(&mut inside)?;
            Ok((curve, verifying.to_vec()))
        };
        let (curve, verifying) = parts().map_err(ProofPolicyError::NoKey)?;
        let shape = keys::shape_of(curve, &verifying)
            .map_err(|error| ProofPolicyError::Key { entries: 0, error })?;
        Ok((curve, Self { shape, verifying, proving: ContentHash::of(proving) }))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(3)?;
        let shape = read_shape(reader)?;
        let verifying = reader.bytes(VERIFYING_BYTES_MAX)?.to_vec();
        Ok(Self { shape, verifying, proving: ContentHash::from_bytes(reader.fixed()?) })
    }
}

impl Manifest {
    /// What the proofs about updates are like, whether or not there are any.
    pub fn update_shape(&self) -> UpdateShape {
        UpdateShape::new(&self.schema, self.bounds.norm_max)
    }

    /// Most bytes of a proof in a bundle; zero where there are none.
    pub fn proof_bytes_max(&self) -> usize {
        self.proofs.as_ref().map_or(0, |_| self.update_shape().proof_bytes_max())
    }
}

impl SignedManifest {
    /// What checks the proofs of the federation; none where it asks for none.
    pub fn proof_verifier(&self) -> Option<&Arc<dyn VerifyUpdates>> {
        self.verifier.as_ref().map(|verifier| &verifier.0)
    }

    /// What makes proofs, and compares payloads with them; none where the federation asks for none. `read` gives a
    /// proving key by its hash: for chunks of 65,000 entries 45 MB, and some 0.2 s to read.
    ///
    /// # Errors
    /// A key that is not there, or is not the manifest's.
    pub fn proof_prover(
        &self,
        mut read: impl FnMut(&ContentHash) -> Option<Vec<u8>>,
    ) -> Result<Option<Arc<dyn ProveUpdates>>, ProofPolicyError> {
        let Some(policy) = &self.manifest().proofs else { return Ok(None) };
        policy.prover(self.manifest().update_shape(), &mut read).map(Some)
    }

    /// Whether a bundle has to have a proof: an update has, as far as its head tells. In a private federation
    /// nothing but keys and updates travels. An aggregate has those of its heads inside.
    pub fn needs_proof(&self, head: &BundleHead) -> bool {
        let is_key = head.confidential().is_none() && KeyHeader::is_one(head.header());
        let is_update =
            head.confidential().is_some() || HeaderKind::of(head.header()) == HeaderKind::Update;
        self.verifier.is_some() && is_update && !is_key
    }

    /// What the proof in a head is about, with the proof; none where the bundle needs none.
    ///
    /// # Errors
    /// A proof that lacks, or that is not to be there.
    pub fn proof_of<'a>(
        &self,
        head: &'a BundleHead,
    ) -> Result<Option<(Subject, &'a [u8])>, ProofRefusal> {
        match (self.needs_proof(head), head.proof()) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(ProofRefusal::Unasked),
            (true, None) => Err(ProofRefusal::Missing),
            (true, Some(proof)) => {
                let hashes = [head.header_hash(), head.payload_hash()];
                let federation = self.id().hash();
                subject(federation, head.signer(), head.sequence(), hashes)
                    .map(|subject| Some((subject, proof)))
                    .ok_or(ProofRefusal::Invalid(UpdateProofError::Invalid(0)))
            }
        }
    }

    /// Checks that a bundle whose update is proved is numbered by its epoch: the proof is about that number, and what is inside an
    /// encrypted header does not show. The head is an opened one, `epoch` its header's. Part of admission.
    ///
    /// # Errors
    /// [`ProofRefusal::Number`].
    pub fn check_number(&self, head: &BundleHead, epoch: Epoch) -> Result<(), ProofRefusal> {
        match self.needs_proof(head) && head.sequence() != u64::from(epoch.get()) {
            true => Err(ProofRefusal::Number { number: head.sequence(), epoch }),
            false => Ok(()),
        }
    }

    /// The name under which an update fills its slot: that of its header and, where sums can stand in for updates, of what its proof
    /// commits to. Else two proofs under one header would be two updates that everybody takes for one. The head is an opened one.
    ///
    /// # Errors
    /// A proof that lacks, or is none; whether it holds is not asked.
    pub fn slot_name(
        &self,
        head: &BundleHead,
        header: HeaderHash,
    ) -> Result<HeaderHash, ProofRefusal> {
        let Some(verifier) = self.proof_verifier().filter(|_| self.manifest().aggregates.is_some())
        else {
            return Ok(header);
        };
        let shown = verifier.shown(head.proof().ok_or(ProofRefusal::Missing)?);
        Ok(header.with(&shown.map_err(ProofRefusal::Invalid)?.commitments))
    }

    /// Checks the proofs of many bundles at once, by their heads.
    pub fn check_proofs(&self, heads: &[&BundleHead]) -> Vec<Result<(), ProofRefusal>> {
        let found: Vec<_> = heads.iter().map(|head| self.proof_of(head)).collect();
        let asked: Vec<_> = found.iter().filter_map(|it| *it.as_ref().ok()?).collect();
        let verdicts = self.proof_verifier().map(|it| it.verify_batch(&asked));
        let mut verdicts = verdicts.unwrap_or_default().into_iter();
        let verdict = |found: Result<Option<_>, ProofRefusal>| match found? {
            None => Ok(()),
            Some(_) => {
                let verdict = verdicts.next().expect("a verdict for each");
                verdict.map_err(ProofRefusal::Invalid)
            }
        };
        found.into_iter().map(verdict).collect()
    }
}

/// Compares an update with what the proof in its head commits to. The head is an opened one, `update` its payload in clear.
///
/// # Errors
/// [`ProofRefusal::Commitment`]: who signed the head proved something about another update.
pub fn check_commitments(
    manifest: &SignedManifest,
    prover: &dyn ProveUpdates,
    head: &BundleHead,
    update: &Update,
) -> Result<(), ProofRefusal> {
    check_commitments_with(manifest, prover, (head, head.salt().as_ref()), update)
}

/// The same for a head that need not be opened, whose salt is known.
pub(crate) fn check_commitments_with(
    manifest: &SignedManifest,
    prover: &dyn ProveUpdates,
    (head, salt): (&BundleHead, Option<&[u8; 32]>),
    update: &Update,
) -> Result<(), ProofRefusal> {
    let (subject, proof) = manifest.proof_of(head)?.ok_or(ProofRefusal::Missing)?;
    let seed = opening_seed(update.payload(), &head.header_hash(), salt);
    let checked = prover.check_commitments(&subject, proof, update, &seed);
    checked.map_err(ProofRefusal::Commitment)
}

/// The seed of the blinders in the proof about `clear`, the payload of an opened bundle.
pub fn seed_of(head: &BundleHead, clear: &[u8]) -> Seed {
    opening_seed(clear, &head.header_hash(), head.salt().as_ref())
}
