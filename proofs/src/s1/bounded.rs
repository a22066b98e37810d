//! Bounded: the proof that a chunk's entries are in range and within bounds.
//!
//! The proof carries commitments to the entries and to their histogram, each with its own blinder, so
//! that opening a sum of entries says nothing of histograms. The squared norm is a third block. If the chunk
//! is the whole update, the norm is shown and costs nothing; else it is hidden, and the commitments to the norms of an
//! update's chunks are added ([`super::norm`]), so that the total alone is shown.

use std::collections::BTreeSet;
use std::fmt;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::circuit::circuit;
use super::shape::Shape;
use super::statement::Statement;
use super::witness::{Chunk, ChunkError};
use crate::cp::{
    Basis, Claim, Committed, KeyError, PointError, Proof, ProveError, Prover, ProvingKey,
    StatementId, Verifier, VerifyError, VerifyingKey,
};
use crate::curve::{Curve, PointOne, Scalar};
use crate::seed::{Secret, Seed};

/// The block of the entries.
const ENTRIES: usize = 0;
/// The block of the norm.
const NORM: usize = 2;
/// More than a proof has on any curve.
const PROOF_BYTES_MAX: usize = 512;

/// Whether a chunk's squared norm is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormView {
    /// Shown: for an update of one chunk, whose norm is the total.
    Shown,
    /// Committed to, to be added to those of other chunks.
    Hidden,
}

/// A proof about one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkProof<E: Curve> {
    /// The squared norm, where it is shown.
    norm: Option<u64>,
    proof: Proof<E>,
}

/// What the author keeps of a proof: the blinders of what it committed to. Printing it shows nothing.
#[derive(Clone)]
pub struct Opening<E: Curve> {
    /// Opens the commitment to the entries. It travels with the payload, for its readers to compare the two.
    pub entries: Secret<Scalar<E>>,
    /// The squared norm, in squares of the chunk's unit.
    pub squared_norm: u64,
    /// Opens the commitment to the norm; zero where it is shown.
    pub norm: Secret<Scalar<E>>,
}

/// Proves statements about chunks of one shape.
#[derive(Debug, Clone)]
pub struct ChunkProver<E: Curve> {
    shape: Shape,
    prover: Prover<E>,
}

/// Verifies statements about chunks of one shape.
#[derive(Debug, Clone)]
pub struct ChunkVerifier<E: Curve> {
    shape: Shape,
    verifier: Verifier<E>,
}

/// Why there is no proof about a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundedError {
    /// The entries are no chunk of the shape, or not as many as stated.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The statement is about another number of entries.
    #[error("the statement is about another number of entries")]
    Entries,
    /// The chunk breaks a bound, or the key is not of this circuit.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// Why bytes are no proof about a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkProofError {
    /// Not the deterministic CBOR of a proof.
    #[error("not a well-formed proof: {0}")]
    Malformed(#[from] CodecError),
    /// A point of the proof is not one.
    #[error("a point of the proof: {0}")]
    Point(#[from] PointError),
}

impl<E: Curve> fmt::Debug for Opening<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(..)")
    }
}

impl<E: Curve> ChunkProver<E> {
    /// Joins a shape and its key.
    ///
    /// # Errors
    /// A key of another circuit.
    pub fn new(shape: Shape, key: ProvingKey<E>) -> Result<Self, KeyError> {
        Ok(Self { shape, prover: Prover::new(circuit(shape), key)? })
    }

    /// Reads the key of a shape whose hash is pinned ([`ProvingKey::decode`]); the circuit is made once.
    ///
    /// # Errors
    /// Another hash, bytes that are no key, or a key of another circuit.
    pub fn decode(shape: Shape, key: &[u8], pinned: ContentHash) -> Result<Self, KeyError> {
        let system = circuit(shape);
        let key = ProvingKey::decode(key, &system, pinned)?;
        Ok(Self { shape, prover: Prover::new(system, key)? })
    }

    /// The entries it is for.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// What it proves with.
    pub const fn prover(&self) -> &Prover<E> {
        &self.prover
    }

    /// What verifies its proofs.
    pub fn verifier(&self) -> ChunkVerifier<E> {
        ChunkVerifier { shape: self.shape, verifier: self.prover.verifier().clone() }
    }

    /// Commits to the entries and proves the statement about them: for 65,000 entries some 0.5 s of
    /// one core, on as many as the current pool has.
    ///
    /// Blinders follow from seed, key, statement and entries: the same four, with the norm shown or hidden, give the same
    /// commitment to the entries again, and anything else gives an unrelated one.
    ///
    /// # Errors
    /// Entries that are no chunk or break a bound. The seed is used up either way.
    pub fn prove(
        &self,
        statement: &Statement,
        entries: &[i8],
        view: NormView,
        seed: Seed,
    ) -> Result<(ChunkProof<E>, Opening<E>), BoundedError> {
        if statement.entries != entries.len() {
            return Err(BoundedError::Entries);
        }
        let chunk = Chunk::new(self.shape, entries)?;
        let squared_norm = chunk.squared_norm();
        let norm = (view == NormView::Shown).then_some(squared_norm);
        let claim = claim(self.shape, statement, norm);
        let committed = self.commit(&chunk, view, self.seed_for(&claim, &seed))?;
        let opening = Opening {
            entries: committed.blinder(ENTRIES).clone(),
            squared_norm,
            norm: committed.blinder(NORM).clone(),
        };
        let complete = |challenge| chunk.witness(&claim.public, challenge);
        let proof = self.prover.prove(&claim, committed, complete)?;
        Ok((ChunkProof { norm, proof }, opening))
    }

    /// The commitment to the entries that a proof of the same statement from the same seed has: some 12 ms of one core
    /// for 65,000.
    ///
    /// # Errors
    /// Entries that are no chunk of the shape.
    pub fn commitment(
        &self,
        statement: &Statement,
        entries: &[i8],
        seed: &Seed,
    ) -> Result<PointOne<E>, BoundedError> {
        let chunk = Chunk::new(self.shape, entries)?;
        let seed = self.seed_for(&claim(self.shape, statement, None), seed);
        Ok(self.commit(&chunk, NormView::Hidden, seed)?.points()[ENTRIES])
    }

    /// The blinder of that commitment, for whoever adds it to others ([`crate::s2`]): what follows from seed, statement
    /// and entries, so that whoever holds these opens it.
    ///
    /// # Errors
    /// Entries that are no chunk of the shape.
    pub fn blinder(
        &self,
        statement: &Statement,
        entries: &[i8],
        seed: &Seed,
    ) -> Result<Secret<Scalar<E>>, BoundedError> {
        let blocks = Chunk::new(self.shape, entries)?.blocks();
        let seed = self.seed_for(&claim(self.shape, statement, None), seed);
        let (_, blinders) =
            self.prover.blinders(&blocks.each_ref().map(Vec::as_slice), 0, &seed)?;
        Ok(blinders[ENTRIES].clone())
    }

    /// The bases of the commitment to the entries.
    pub fn basis(&self) -> Basis<E> {
        self.prover.key().basis(ENTRIES)
    }

    fn seed_for(&self, claim: &Claim<E>, seed: &Seed) -> Seed {
        let name = self.prover.verifier().statement_id(claim).hash();
        seed.derive(&format!("bounded update {name}"), 0)
    }

    fn commit(
        &self,
        chunk: &Chunk,
        view: NormView,
        seed: Seed,
    ) -> Result<Committed<E>, ProveError> {
        let blocks = chunk.blocks();
        let shown = usize::from(view == NormView::Shown);
        self.prover.commit(&blocks.each_ref().map(Vec::as_slice), shown, seed)
    }
}

impl<E: Curve> ChunkVerifier<E> {
    /// Joins a shape and its key.
    ///
    /// # Errors
    /// A key that is refused, or of another circuit.
    pub fn new(shape: Shape, key: VerifyingKey<E>) -> Result<Self, KeyError> {
        if !key.is_of(&circuit::<Scalar<E>>(shape)) {
            return Err(KeyError::Circuit);
        }
        Ok(Self { shape, verifier: Verifier::new(key)? })
    }

    /// The entries it is for.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The key and its checks.
    pub const fn verifier(&self) -> &Verifier<E> {
        &self.verifier
    }

    /// The name under which a statement counts once, whatever its proof.
    ///
    /// It names a claim, not who made it nor what was committed to: count it within what an author signed alone, and
    /// take two different commitments under one name for the contradiction that they are.
    ///
    /// # Errors
    /// A statement about more entries than the shape has.
    pub fn statement_id(&self, statement: &Statement) -> Result<StatementId, VerifyError> {
        if statement.entries > self.shape.entries() {
            return Err(VerifyError::Invalid);
        }
        Ok(self.verifier.statement_id(&claim(self.shape, statement, None)))
    }

    /// Checks one proof: some 2 ms on BN254.
    ///
    /// # Errors
    /// A statement about more entries than the shape has, or a proof that does not show it.
    pub fn verify(&self, statement: &Statement, proof: &ChunkProof<E>) -> Result<(), VerifyError> {
        if statement.entries > self.shape.entries() {
            return Err(VerifyError::Invalid);
        }
        self.verifier.verify(&claim(self.shape, statement, proof.norm), &proof.proof)
    }

    /// Checks many proofs at once and gives the positions of the bad ones.
    pub fn verify_batch(&self, proofs: &[(&Statement, &ChunkProof<E>)]) -> BTreeSet<usize> {
        let fits = |statement: &Statement| statement.entries <= self.shape.entries();
        let kept: Vec<usize> = (0..proofs.len()).filter(|&index| fits(proofs[index].0)).collect();
        let claims: Vec<Claim<E>> = kept
            .iter()
            .map(|&index| claim(self.shape, proofs[index].0, proofs[index].1.norm))
            .collect();
        let pairs: Vec<_> = kept
            .iter()
            .zip(&claims)
            .map(|(&index, claim)| (claim, &proofs[index].1.proof))
            .collect();
        let bad = self.verifier.verify_batch(&pairs);
        let long = (0..proofs.len()).filter(|&index| !fits(proofs[index].0));
        bad.into_iter().map(|index| kept[index]).chain(long).collect()
    }
}

/// The claim of a statement; the norm is shown if it is given.
fn claim<E: Curve>(shape: Shape, statement: &Statement, norm: Option<u64>) -> Claim<E> {
    Claim {
        public: statement.bounds.public(shape, statement.entries),
        shown: norm.into_iter().map(|norm| vec![Scalar::<E>::from(norm)]).collect(),
        context: statement.context(shape),
    }
}

impl<E: Curve> ChunkProof<E> {
    /// The squared norm, where it is shown.
    pub const fn shown_norm(&self) -> Option<u64> {
        self.norm
    }

    /// The commitment to the entries, in the basis of block 0.
    ///
    /// Two proofs that verify, for one [`StatementId`], in what one author signed, with other commitments here: the author said two
    /// things of one chunk. An honest one has no such pair: who proves a statement again takes the seed of the first
    /// time, and so the same commitment ([`ChunkProver::prove`]). The bytes of proofs differ anyway, and say nothing.
    pub fn entries(&self) -> PointOne<E> {
        self.proof.blocks()[ENTRIES]
    }

    /// The commitment to the squared norm, where it is hidden.
    pub fn hidden_norm(&self) -> Option<PointOne<E>> {
        self.proof.blocks().get(NORM).copied()
    }

    /// The points.
    pub const fn proof(&self) -> &Proof<E> {
        &self.proof
    }

    /// A deterministic CBOR array `[shown norm or null, points]`: 196 to 204 bytes on BN254 with the norm
    /// shown, 229 with it hidden.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2);
        match self.norm {
            Some(norm) => writer.unsigned(norm),
            None => writer.null(),
        };
        writer.bytes(&self.proof.encode());
        writer.into_bytes()
    }

    /// Reads what a stranger may have written.
    ///
    /// # Errors
    /// Anything that [`encode`](Self::encode) does not write, and points that are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChunkProofError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(2)?;
        let norm = if reader.null()? { None } else { Some(reader.unsigned(u64::MAX)?) };
        let points = reader.bytes(PROOF_BYTES_MAX)?;
        reader.finish()?;
        let hidden = if norm.is_some() { NORM } else { NORM + 1 };
        Ok(Self { norm, proof: Proof::decode(points, hidden)? })
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr};
    use ark_ff::One;
    use longhaul_aggregation::Epoch;
    use longhaul_dtn::hash::ContentHash;
    use longhaul_dtn::identity::SecretKey;

    use super::super::shape::Bounds;
    use super::super::statement::{Exponent, Subject};
    use super::*;
    use crate::cp::development_key;

    /// The prover's own check holds every wire: what it committed to by the commitment, all others by a constraint.
    #[test]
    fn a_witness_with_any_one_wire_changed_has_no_proof() {
        let shape = Shape::new(12).unwrap();
        let seed = |byte| Seed::from_bytes([byte; 32]);
        let key = development_key::<Bn254>(&circuit(shape), &seed(1));
        let prover = ChunkProver::new(shape, key).unwrap();
        let hash = ContentHash::of(b"test");
        let author = SecretKey::from_seed(&[1; 32]).peer_id();
        let epoch = Epoch::new(1);
        let subject = Subject { federation: hash, author, epoch, base: hash, payload: hash };
        let (exponent, bounds) = (Exponent::new(0).unwrap(), Bounds::default());
        let statement = Statement { subject, chunk: 0, entries: 11, exponent, bounds };
        let chunk = Chunk::new(shape, &[-127, 127, 0, 1, -1, 5, 5, 80, -80, 33, 2]).unwrap();
        let claim = claim::<Bn254>(shape, &statement, None);
        let attempt = |wire: Option<usize>| {
            let committed = prover.commit(&chunk, NormView::Hidden, seed(2)).unwrap();
            let complete = |challenge| {
                let mut witness = chunk.witness(&claim.public, challenge)?;
                wire.into_iter().for_each(|wire| witness[wire] += Fr::one());
                Some(witness)
            };
            prover.prover.prove(&claim, committed, complete).map(drop)
        };
        assert_eq!(attempt(None), Ok(()));
        let layout = shape.layout();
        for wire in 0..layout.wires() {
            let refused = attempt(Some(wire));
            let holds = match refused {
                Err(ProveError::Inputs) => wire < layout.inputs(),
                Err(ProveError::Changed) => (layout.inputs()..layout.free_start()).contains(&wire),
                Err(ProveError::Unsatisfied(_)) => wire >= layout.free_start(),
                _ => false,
            };
            assert!(holds, "wire {wire}: {refused:?}");
        }
    }
}
