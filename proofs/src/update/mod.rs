//! Update: what a bundle carries to show that its update is within the manifest's bounds.
//!
//! One proof for each chunk ([`crate::s1`]) and, where there are several, one that their norms add up to a total that is shown.
//! [`UpdateVerifier`] checks it without the payload, as a relay or an auditor does: in batches, since a batch costs
//! little more than the reading. [`UpdateProver`] makes it, and compares an update with what its proof commits to.
//!
//! Blinders come from a [`Seed`] that whoever has the payload can compute and nobody else ([`opening_seed`]), so that
//! an opening need not travel: a holder commits again and compares. Two different commitments to one payload are then
//! a contradiction that its signature proves. Whoever holds several payloads opens the sum of them (`aggregate.rs`), to
//! peers that hold their proofs alone.

mod aggregate;
mod any;
pub mod keys;

use std::collections::{BTreeMap, BTreeSet};

use longhaul_aggregation::{Epoch, NormBound, Schema, Update};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use crate::cp::KeyError;
use crate::curve::{Curve, PointOne};
use crate::s1::{
    BoundedError, Bounds, ChunkProof, ChunkProofError, ChunkProver, ChunkVerifier, Exponent,
    NormView, Shape, SquaredNorm, Statement, Subject, Summand, TotalClaim, TotalError, TotalProof,
    prove_total, verify_totals,
};
use crate::seed::Seed;

pub use aggregate::{AggregateError, AggregateOpening, SUMMED_MAX};
pub use any::{ProveUpdates, Shown, VerifyUpdates};

/// Most bytes of a chunk's proof as it travels, on either curve.
const CHUNK_BYTES_MAX: usize = 448;
/// Most bytes of the proof of a total.
const TOTAL_BYTES_MAX: usize = 384;
const OPENING_CONTEXT: &str = "longhaul 2026 proofs opening of a payload v1";

/// Which chunks the updates of a federation have, and the norm that they may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateShape {
    chunks: Vec<(Shape, usize)>,
    norm_max: NormBound,
}

/// The proof about one update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProof<E: Curve> {
    chunks: Vec<(Exponent, ChunkProof<E>)>,
    total: Option<(SquaredNorm, TotalProof<E>)>,
}

/// Checks proofs about the updates of one federation.
#[derive(Debug, Clone)]
pub struct UpdateVerifier<E: Curve> {
    shape: UpdateShape,
    verifiers: BTreeMap<Shape, ChunkVerifier<E>>,
}

/// Makes proofs about the updates of one federation.
#[derive(Debug, Clone)]
pub struct UpdateProver<E: Curve> {
    verifier: UpdateVerifier<E>,
    provers: BTreeMap<Shape, ChunkProver<E>>,
}

/// Why there are no proofs in a federation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateKeysError {
    /// A key is refused, or of another circuit.
    #[error("the key for {shape} entries: {error}")]
    Key {
        /// Entries of its circuit.
        shape: usize,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A key that the schema needs is not there.
    #[error("there is no key for chunks of up to {0} entries")]
    Missing(usize),
    /// A proving key is not that of the verifying key.
    #[error("the proving key for {0} entries does not belong to the verifying key")]
    Pair(usize),
}

/// Why a proof does not show that an update is within bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateProofError {
    /// Not the deterministic CBOR of a proof.
    #[error("not a well-formed proof: {0}")]
    Malformed(#[from] CodecError),
    /// The proof of a chunk is not one.
    #[error("the proof of chunk {chunk}: {error}")]
    Chunk {
        /// Position of the chunk.
        chunk: usize,
        /// Why.
        error: ChunkProofError,
    },
    /// The proof of a chunk does not show what it should of this update.
    #[error("the proof of chunk {0} does not hold for this update")]
    Invalid(usize),
    /// The norms are not shown to add up, or are above the bound.
    #[error(transparent)]
    Total(#[from] TotalError),
    /// The commitment to a chunk is not to the payload's entries.
    #[error("what chunk {0} commits to is not the payload")]
    Commitment(usize),
}

/// Why an author has no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveUpdateError {
    /// The update is not of the federation's schema.
    #[error("the update has not the chunks of the schema")]
    Shape,
    /// A chunk cannot be proved.
    #[error("chunk {chunk}: {error}")]
    Chunk {
        /// Position of the chunk.
        chunk: usize,
        /// Why.
        error: BoundedError,
    },
    /// The norms cannot be added up, or are above the bound.
    #[error(transparent)]
    Total(#[from] TotalError),
}

/// The seed of all blinders of an update's proof: a hash of its payload in clear, the header around it as it travels and,
/// where the bundle is encrypted, its salt. Whoever reads the payload has all of it.
pub fn opening_seed(payload: &[u8], header: &ContentHash, salt: Option<&[u8; 32]>) -> Seed {
    let mut hasher = blake3::Hasher::new_derive_key(OPENING_CONTEXT);
    hasher.update(salt.map_or(&[][..], |salt| salt)).update(header.as_bytes()).update(payload);
    Seed::from_bytes(*hasher.finalize().as_bytes())
}

/// What the proof in a bundle is about: the update that `signer` signed as the bundle number `sequence` of a federation,
/// under the hashes that header and payload travel with; `None` for a number that is no epoch's.
pub fn subject(
    federation: ContentHash,
    signer: PeerId,
    sequence: u64,
    [header, payload]: [ContentHash; 2],
) -> Option<Subject> {
    let epoch = Epoch::new(u32::try_from(sequence).ok()?);
    Some(Subject { federation, author: signer, epoch, base: header, payload })
}

impl UpdateShape {
    /// The chunks of a schema, and the manifest's bound.
    pub fn new(schema: &Schema, norm_max: NormBound) -> Self {
        let chunk = |entries: usize| {
            let shape = Shape::fitting(entries).expect("a schema's chunks have a shape");
            (shape, entries)
        };
        let chunks = schema.chunks().iter().map(|range| chunk(range.len())).collect();
        Self { chunks, norm_max }
    }

    /// The shapes of chunks that occur: there is a key for each.
    pub fn shapes(&self) -> BTreeSet<Shape> {
        self.chunks.iter().map(|chunk| chunk.0).collect()
    }

    /// The shapes of a schema's chunks, whatever norm updates may have.
    pub fn shapes_of(schema: &Schema) -> BTreeSet<Shape> {
        Self::new(schema, NormBound::from_units(0)).shapes()
    }

    /// Most bytes of a proof.
    pub fn proof_bytes_max(&self) -> usize {
        self.chunks.len() * CHUNK_BYTES_MAX + TOTAL_BYTES_MAX
    }

    /// The norm of a lone chunk is the total, and is shown; others are hidden.
    const fn view(&self) -> NormView {
        if self.chunks.len() == 1 { NormView::Shown } else { NormView::Hidden }
    }

    fn statement(&self, subject: &Subject, chunk: usize, exponent: Exponent) -> Statement {
        let bounds = Bounds::default();
        let (number, entries) = (chunk as u32, self.chunks[chunk].1);
        Statement { subject: *subject, chunk: number, entries, exponent, bounds }
    }
}

impl<E: Curve> UpdateProof<E> {
    /// The exponents, and the commitments to the entries, of all chunks.
    pub fn commitments(&self) -> impl Iterator<Item = (Exponent, PointOne<E>)> {
        self.chunks.iter().map(|(exponent, proof)| (*exponent, proof.entries()))
    }

    /// A deterministic CBOR array `[[exponent, proof], ..., total or null]`, the total `[norm (16 bytes), proof]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(self.chunks.len() + 1);
        for (exponent, proof) in &self.chunks {
            writer.array(2).unsigned(exponent.get().into()).bytes(&proof.encode());
        }
        match &self.total {
            None => writer.null(),
            Some((norm, proof)) => {
                writer.array(2).bytes(&norm.units().to_be_bytes()).bytes(&proof.encode())
            }
        };
        writer.into_bytes()
    }

    /// Reads what a stranger may have written about an update of this shape.
    ///
    /// # Errors
    /// Anything that [`encode`](Self::encode) does not write, and points that are refused.
    pub fn decode(bytes: &[u8], shape: &UpdateShape) -> Result<Self, UpdateProofError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(shape.chunks.len() + 1)?;
        let hidden = shape.view() == NormView::Hidden;
        let mut chunks = Vec::with_capacity(shape.chunks.len());
        for chunk in 0..shape.chunks.len() {
            reader.tuple(2)?;
            let invalid = reader.invalid("the exponent of a chunk");
            let exponent = u8::try_from(reader.unsigned(u64::MAX)?).ok().and_then(Exponent::new);
            let exponent = exponent.ok_or(invalid)?;
            let proof = ChunkProof::decode(reader.bytes(CHUNK_BYTES_MAX)?)
                .map_err(|error| UpdateProofError::Chunk { chunk, error })?;
            if proof.shown_norm().is_none() != hidden {
                return Err(UpdateProofError::Invalid(chunk));
            }
            chunks.push((exponent, proof));
        }
        let total = match hidden {
            true => Some(read_total(&mut reader, shape.shapes().len())?),
            false => {
                let none = reader.invalid("no total");
                reader.null()?.then_some(()).ok_or(none)?;
                None
            }
        };
        reader.finish()?;
        Ok(Self { chunks, total })
    }
}

fn read_total<E: Curve>(
    reader: &mut Reader<'_>,
    keys: usize,
) -> Result<(SquaredNorm, TotalProof<E>), UpdateProofError> {
    reader.tuple(2)?;
    let norm = SquaredNorm::from_units(u128::from_be_bytes(reader.fixed()?));
    Ok((norm, TotalProof::decode(reader.bytes(TOTAL_BYTES_MAX)?, keys)?))
}

impl<E: Curve> UpdateVerifier<E> {
    /// Joins a federation's shape with one verifier for each shape of chunk.
    ///
    /// # Errors
    /// [`UpdateKeysError::Missing`].
    pub fn new(
        shape: UpdateShape,
        verifiers: impl IntoIterator<Item = ChunkVerifier<E>>,
    ) -> Result<Self, UpdateKeysError> {
        let verifiers: BTreeMap<_, _> =
            verifiers.into_iter().map(|verifier| (verifier.shape(), verifier)).collect();
        let lacks = shape.shapes().into_iter().find(|shape| !verifiers.contains_key(shape));
        match lacks {
            Some(lacks) => Err(UpdateKeysError::Missing(lacks.entries())),
            None => Ok(Self { shape, verifiers }),
        }
    }

    /// What the updates are like.
    pub const fn shape(&self) -> &UpdateShape {
        &self.shape
    }

    /// Checks one proof: see [`verify_batch`](Self::verify_batch).
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn verify(
        &self,
        subject: &Subject,
        proof: &UpdateProof<E>,
    ) -> Result<(), UpdateProofError> {
        self.verify_batch(&[(subject, proof)]).pop().expect("a verdict for each")
    }

    /// Checks many proofs at once, and says of each whether it holds: some 0.2 ms of one core for a chunk on BN254
    /// in a batch of a hundred, and ten times that alone.
    pub fn verify_batch(
        &self,
        proofs: &[(&Subject, &UpdateProof<E>)],
    ) -> Vec<Result<(), UpdateProofError>> {
        let mut bad: BTreeMap<usize, usize> = BTreeMap::new();
        // What fails by its first chunk costs no more: bad ones are what takes time.
        for first in [true, false] {
            for (shape, verifier) in &self.verifiers {
                let chosen = |update: usize, chunk: usize| {
                    (chunk == 0) == first && !bad.contains_key(&update)
                };
                let statements = self.statements(*shape, proofs, chosen);
                let batch: Vec<_> = statements.iter().map(|it| (&it.1, it.2)).collect();
                let found = verifier.verify_batch(&batch);
                for (update, chunk) in found.into_iter().map(|position| statements[position].0) {
                    let first = bad.entry(update).or_insert(chunk);
                    *first = chunk.min(*first);
                }
            }
        }
        let verdict =
            |update| bad.get(&update).map_or(Ok(()), |&it| Err(UpdateProofError::Invalid(it)));
        let mut verdicts: Vec<_> = (0..proofs.len()).map(verdict).collect();
        let (mut places, mut claims) = (Vec::new(), Vec::new());
        for (update, (subject, proof)) in proofs.iter().enumerate() {
            match &proof.total {
                _ if verdicts[update].is_err() => {}
                None => verdicts[update] = self.check_shown_norm(proof),
                Some((total, shown)) => {
                    let summands = self.summands(&proof.chunks);
                    claims.push(TotalClaim { subject, summands, total: *total, proof: shown });
                    places.push(update);
                }
            }
        }
        let totals = verify_totals(&claims, self.shape.norm_max);
        for (update, total) in places.into_iter().zip(totals) {
            verdicts[update] = total.map_err(Into::into);
        }
        verdicts
    }

    /// The statements about all chosen chunks of one shape, with update and chunk.
    fn statements<'a>(
        &self,
        shape: Shape,
        proofs: &[(&Subject, &'a UpdateProof<E>)],
        chosen: impl Fn(usize, usize) -> bool,
    ) -> Vec<((usize, usize), Statement, &'a ChunkProof<E>)> {
        let mut found = Vec::new();
        for (update, (subject, proof)) in proofs.iter().enumerate() {
            for (chunk, (exponent, proof)) in proof.chunks.iter().enumerate() {
                if self.shape.chunks[chunk].0 == shape && chosen(update, chunk) {
                    let statement = self.shape.statement(subject, chunk, *exponent);
                    found.push(((update, chunk), statement, proof));
                }
            }
        }
        found
    }

    /// The norm of a lone chunk, or of several that are shown, is within the bound.
    fn check_shown_norm(&self, proof: &UpdateProof<E>) -> Result<(), UpdateProofError> {
        let bound = self.shape.norm_max;
        let weighed = |(exponent, chunk): &(Exponent, ChunkProof<E>)| {
            let norm = chunk.shown_norm().unwrap_or(0);
            u128::from(exponent.square_weight()) * u128::from(norm)
        };
        let total = SquaredNorm::from_units(proof.chunks.iter().map(weighed).sum());
        match bound.allows(total.units()) {
            true => Ok(()),
            false => Err(TotalError::Bound { total, bound }.into()),
        }
    }

    fn summands<'a>(&'a self, chunks: &'a [(Exponent, ChunkProof<E>)]) -> Vec<Summand<'a, E>> {
        let mut summands = Vec::with_capacity(chunks.len());
        for ((exponent, proof), (shape, _)) in chunks.iter().zip(&self.shape.chunks) {
            summands.push(Summand { verifier: &self.verifiers[shape], exponent: *exponent, proof });
        }
        summands
    }
}

impl<E: Curve> UpdateProver<E> {
    /// Joins a federation's shape with one prover for each shape of chunk.
    ///
    /// # Errors
    /// [`UpdateKeysError::Missing`].
    pub fn new(
        shape: UpdateShape,
        provers: impl IntoIterator<Item = ChunkProver<E>>,
    ) -> Result<Self, UpdateKeysError> {
        let provers: BTreeMap<_, _> =
            provers.into_iter().map(|prover| (prover.shape(), prover)).collect();
        let verifier = UpdateVerifier::new(shape, provers.values().map(ChunkProver::verifier))?;
        Ok(Self { verifier, provers })
    }

    /// What verifies its proofs.
    pub const fn verifier(&self) -> &UpdateVerifier<E> {
        &self.verifier
    }

    /// Proves that an update is within bounds: some 0.5 s of one core for a chunk of 65,000 entries, on as many as the current
    /// pool has. The seed is that of [`opening_seed`].
    ///
    /// # Errors
    /// An update of another schema, or above the bound.
    pub fn prove(
        &self,
        subject: &Subject,
        update: &Update,
        seed: &Seed,
    ) -> Result<UpdateProof<E>, ProveUpdateError> {
        let shape = &self.verifier.shape;
        let (mut chunks, mut openings) = (Vec::new(), Vec::new());
        for (chunk, (exponent, entries)) in self.entries(update)?.into_iter().enumerate() {
            let statement = shape.statement(subject, chunk, exponent);
            let prover = &self.provers[&shape.chunks[chunk].0];
            let proved = prover.prove(&statement, &entries, shape.view(), chunk_seed(seed, chunk));
            let (proof, opening) =
                proved.map_err(|error| ProveUpdateError::Chunk { chunk, error })?;
            chunks.push((exponent, proof));
            openings.push(opening);
        }
        let bound = shape.norm_max;
        if !bound.allows(update.squared_norm()) {
            let total = SquaredNorm::from_units(update.squared_norm());
            return Err(TotalError::Bound { total, bound }.into());
        }
        let total = match shape.view() {
            NormView::Shown => None,
            NormView::Hidden => {
                let summands = self.verifier.summands(&chunks);
                Some(prove_total(subject, &summands, &openings, seed.derive("total", 0))?)
            }
        };
        Ok(UpdateProof { chunks, total })
    }

    /// Compares what a proof commits to with the update itself: some 12 ms of one core for a chunk of 65,000 entries.
    ///
    /// # Errors
    /// The first chunk in which they differ: its author signed a proof about something else.
    pub fn check_commitments(
        &self,
        subject: &Subject,
        proof: &UpdateProof<E>,
        update: &Update,
        seed: &Seed,
    ) -> Result<(), UpdateProofError> {
        let entries = self.entries(update).map_err(|_| UpdateProofError::Commitment(0))?;
        let chunks = entries.iter().zip(&proof.chunks).zip(&self.verifier.shape.chunks);
        for (chunk, (((exponent, entries), (claimed, proof)), (shape, _))) in chunks.enumerate() {
            let statement = self.verifier.shape.statement(subject, chunk, *exponent);
            let seed = chunk_seed(seed, chunk);
            let found = self.provers[shape].commitment(&statement, entries, &seed);
            if exponent != claimed || found.ok() != Some(proof.entries()) {
                return Err(UpdateProofError::Commitment(chunk));
            }
        }
        Ok(())
    }

    /// The exponent and the entries of each chunk.
    fn entries(&self, update: &Update) -> Result<Vec<(Exponent, Vec<i8>)>, ProveUpdateError> {
        let chunk = |chunk: longhaul_aggregation::update::Chunk<'_>| {
            Some((Exponent::new(chunk.exponent)?, chunk.quantised().collect::<Vec<i8>>()))
        };
        let found: Option<Vec<_>> = update.values().map(chunk).collect();
        let lens = self.verifier.shape.chunks.iter().map(|chunk| chunk.1);
        found
            .filter(|chunks| chunks.iter().map(|chunk| chunk.1.len()).eq(lens))
            .ok_or(ProveUpdateError::Shape)
    }
}

fn chunk_seed(seed: &Seed, chunk: usize) -> Seed {
    seed.derive("chunk", chunk as u64)
}
