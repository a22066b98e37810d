//! Any: proofs about updates over whichever curve a manifest names, as bytes.

use std::fmt;

use longhaul_aggregation::Update;
use longhaul_dtn::hash::ContentHash;
use rayon::prelude::*;

use super::{
    AggregateError, AggregateOpening, ProveUpdateError, UpdateProof, UpdateProofError,
    UpdateProver, UpdateVerifier,
};
use crate::cp::points::{self, Form};
use crate::curve::Curve;
use crate::s1::Subject;
use crate::seed::Seed;

const COMMITMENTS_CONTEXT: &str = "longhaul 2026 proofs commitments of an update v1";

/// What a proof shows of its update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The exponent of each chunk.
    pub exponents: Vec<u8>,
    /// A digest of the exponents and of the commitments to the entries: which update it is, to who cannot see it. An honest
    /// author's is the same whenever it proves an update again.
    pub commitments: ContentHash,
}

/// Checks proofs about updates that it does not see.
pub trait VerifyUpdates: fmt::Debug + Send + Sync {
    /// Says of each proof, read from its bytes, whether it shows that the update is within bounds.
    fn verify_batch(&self, proofs: &[(Subject, &[u8])]) -> Vec<Result<(), UpdateProofError>>;

    /// The exponents of the chunks of the update that a proof is about.
    ///
    /// # Errors
    /// Bytes that are no proof.
    fn shown(&self, proof: &[u8]) -> Result<Shown, UpdateProofError>;

    /// The bytes of what opens a sum.
    fn opening_bytes(&self) -> usize;
}

/// Makes proofs about updates, and compares updates with them.
pub trait ProveUpdates: fmt::Debug + Send + Sync {
    /// The bytes of a proof that an update is within bounds; see [`UpdateProver::prove`].
    ///
    /// # Errors
    /// An update of another schema, or above the bound.
    fn prove(
        &self,
        subject: &Subject,
        update: &Update,
        seed: &Seed,
    ) -> Result<Vec<u8>, ProveUpdateError>;

    /// Compares an update with what its proof commits to; see [`UpdateProver::check_commitments`].
    ///
    /// # Errors
    /// Bytes that are no proof, or the first chunk in which they differ.
    fn check_commitments(
        &self,
        subject: &Subject,
        proof: &[u8],
        update: &Update,
        seed: &Seed,
    ) -> Result<(), UpdateProofError>;

    /// What opens the sum of updates, as bytes; see [`UpdateProver::aggregate`].
    ///
    /// # Errors
    /// [`AggregateError`].
    fn aggregate(&self, updates: &[(Subject, &Update, &Seed)]) -> Result<Vec<u8>, AggregateError>;

    /// Checks that the sums are those of the updates that the proofs are about; see [`UpdateProver::verify_aggregate`].
    /// That the proofs hold is for [`VerifyUpdates::verify_batch`] to say.
    ///
    /// # Errors
    /// [`AggregateError`].
    fn verify_aggregate(
        &self,
        proofs: &[(Subject, &[u8])],
        sums: &[i64],
        opening: &[u8],
    ) -> Result<(), AggregateError>;
}

impl<E: Curve> VerifyUpdates for UpdateVerifier<E> {
    fn verify_batch(&self, proofs: &[(Subject, &[u8])]) -> Vec<Result<(), UpdateProofError>> {
        let read: Vec<_> =
            proofs.par_iter().map(|(_, bytes)| UpdateProof::decode(bytes, self.shape())).collect();
        let pairs = proofs.iter().zip(&read);
        let good: Vec<_> =
            pairs.filter_map(|((subject, _), it)| Some((subject, it.as_ref().ok()?))).collect();
        let mut verdicts = Self::verify_batch(self, &good).into_iter();
        let verdict = |read: Result<UpdateProof<E>, _>| match read {
            Ok(_) => verdicts.next().expect("a verdict for each that was read"),
            Err(error) => Err(error),
        };
        read.into_iter().map(verdict).collect()
    }

    fn shown(&self, proof: &[u8]) -> Result<Shown, UpdateProofError> {
        let proof = UpdateProof::<E>::decode(proof, self.shape())?;
        let mut hasher = blake3::Hasher::new_derive_key(COMMITMENTS_CONTEXT);
        let (mut exponents, mut bytes) = (Vec::new(), Vec::new());
        for (exponent, commitment) in proof.commitments() {
            bytes.clear();
            points::write(&[commitment], Form::Compressed, &mut bytes);
            hasher.update(&[exponent.get()]).update(&bytes);
            exponents.push(exponent.get());
        }
        let commitments = ContentHash::from_bytes(*hasher.finalize().as_bytes());
        Ok(Shown { exponents, commitments })
    }

    fn opening_bytes(&self) -> usize {
        AggregateOpening::<E>::bytes(self.shape())
    }
}

impl<E: Curve> ProveUpdates for UpdateProver<E> {
    fn prove(
        &self,
        subject: &Subject,
        update: &Update,
        seed: &Seed,
    ) -> Result<Vec<u8>, ProveUpdateError> {
        Self::prove(self, subject, update, seed).map(|proof| proof.encode())
    }

    fn check_commitments(
        &self,
        subject: &Subject,
        proof: &[u8],
        update: &Update,
        seed: &Seed,
    ) -> Result<(), UpdateProofError> {
        let proof = UpdateProof::decode(proof, self.verifier().shape())?;
        Self::check_commitments(self, subject, &proof, update, seed)
    }

    fn aggregate(&self, updates: &[(Subject, &Update, &Seed)]) -> Result<Vec<u8>, AggregateError> {
        Self::aggregate(self, updates).map(|opening| opening.encode())
    }

    fn verify_aggregate(
        &self,
        proofs: &[(Subject, &[u8])],
        sums: &[i64],
        opening: &[u8],
    ) -> Result<(), AggregateError> {
        let shape = self.verifier().shape();
        let opening = AggregateOpening::decode(opening, shape)?;
        let read = |(update, (subject, bytes)): (usize, &(Subject, &[u8]))| {
            let proof = UpdateProof::decode(bytes, shape);
            let proof = proof.map_err(|error| AggregateError::Proof { update, error })?;
            Ok((*subject, proof))
        };
        let proofs: Vec<_> = proofs.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let proofs: Vec<_> = proofs.iter().map(|(subject, proof)| (subject, proof)).collect();
        Self::verify_aggregate(self, &proofs, sums, &opening)
    }
}
