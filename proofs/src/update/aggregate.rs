//! Aggregate: many updates as one sum, to a peer that holds their proofs and none of their payloads.
//!
//! An update's proof commits to the entries of each chunk, `q`, and shows the chunk's exponent `e`; in units of 2^-24 the
//! update is `2^e q`. So the sum over updates commits under the sum of `2^e v`, `v` being the blinders, in
//! the basis of the chunk's shape ([`crate::s2`]). Blinders follow from payload and head ([`super::opening_seed`]), so whoever holds
//! all payloads can open the sum, not their authors alone; what it shows is the sum and no single blinder.
//!
//! **What it shows**: that the sums are those of what the proofs commit to, each update once, of distinct authors of one
//! federation and epoch. That the entries are bounded integers is for the proofs to show, and they have to be verified beside it
//! ([`UpdateVerifier::verify_batch`](super::UpdateVerifier::verify_batch)): without them a commitment may be to anything. That an author's commitment is to its
//! payload, nobody sees without the payload; a commitment to something else adds a bounded update of that author, as another payload
//! would. Places of a shape beyond a chunk's entries are zero in the sum.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ark_ff::{BigInteger, PrimeField};
use longhaul_aggregation::Update;

use super::{
    ProveUpdateError, UpdateProof, UpdateProofError, UpdateProver, UpdateShape, chunk_seed,
};
use crate::curve::{Curve, Scalar};
use crate::s1::{Exponent, Shape, Subject};
use crate::s2::{self, SumClaim, SumError, Term, Weight, sum_blinder};
use crate::seed::{Secret, Seed};

/// Most updates of an aggregate.
pub const SUMMED_MAX: usize = s2::TERMS_MAX;

/// What opens the sum of updates: one blinder for each chunk. Printing it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct AggregateOpening<E: Curve> {
    blinders: Vec<Secret<Scalar<E>>>,
}

/// Why there is no aggregate, or it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// There are no updates, or too many.
    #[error("a sum of {0} updates, there have to be 1 to {SUMMED_MAX}")]
    Updates(usize),
    /// Two updates are of one author.
    #[error("update {0} is of an author who has one before it")]
    Author(usize),
    /// An update is of another federation or epoch than the first.
    #[error("update {0} is of another federation or epoch than the first")]
    Foreign(usize),
    /// An update can't be summed.
    #[error("update {update}: {error}")]
    Update {
        /// Its position.
        update: usize,
        /// Why.
        error: ProveUpdateError,
    },
    /// A proof is none.
    #[error("update {update}: {error}")]
    Proof {
        /// Its position.
        update: usize,
        /// Why.
        error: UpdateProofError,
    },
    /// There is not a sum for each parameter.
    #[error("{found} sums where the schema has {expected} parameters")]
    Sums {
        /// How many there are.
        found: usize,
        /// The parameters.
        expected: usize,
    },
    /// The opening is not a number below the order for each chunk.
    #[error("the opening is not a canonical number for each chunk")]
    Opening,
    /// The sums of a chunk are not those of the updates, or not under this blinder.
    #[error("chunk {chunk}: {error}")]
    Chunk {
        /// Its position.
        chunk: usize,
        /// Why.
        error: SumError,
    },
}

/// The sums of a chunk, and what they are sums of.
struct Part<'a, E: Curve> {
    chunk: usize,
    terms: Vec<Term<E>>,
    sums: &'a [i64],
}

impl<E: Curve> fmt::Debug for AggregateOpening<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AggregateOpening(..)")
    }
}

impl<E: Curve> AggregateOpening<E> {
    /// Takes one blinder for each chunk.
    pub const fn new(blinders: Vec<Secret<Scalar<E>>>) -> Self {
        Self { blinders }
    }

    /// The blinders, by chunk.
    pub fn blinders(&self) -> &[Secret<Scalar<E>>] {
        &self.blinders
    }

    /// How many bytes it has for updates of a shape: 32 for each chunk.
    pub const fn bytes(shape: &UpdateShape) -> usize {
        shape.chunks.len() * Self::scalar_bytes()
    }

    const fn scalar_bytes() -> usize {
        (Scalar::<E>::MODULUS_BIT_SIZE as usize).div_ceil(8)
    }

    /// The blinders one after the other, each as 32 bytes, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |blinder: &Secret<Scalar<E>>| {
            let bytes = blinder.reveal().into_bigint().to_bytes_be();
            let skip = bytes.len() - Self::scalar_bytes();
            bytes.into_iter().skip(skip)
        };
        self.blinders.iter().flat_map(bytes).collect()
    }

    /// Reads what a stranger may have written.
    ///
    /// # Errors
    /// [`AggregateError::Opening`] for anything that [`encode`](Self::encode) does not write.
    pub fn decode(bytes: &[u8], shape: &UpdateShape) -> Result<Self, AggregateError> {
        if bytes.len() != Self::bytes(shape) {
            return Err(AggregateError::Opening);
        }
        let scalars = bytes.chunks(Self::scalar_bytes());
        let scalars = scalars.map(|bytes| Secret::new(Scalar::<E>::from_be_bytes_mod_order(bytes)));
        let opening = Self { blinders: scalars.collect() };
        // What is not below the order is written otherwise.
        if opening.encode() == bytes { Ok(opening) } else { Err(AggregateError::Opening) }
    }
}

impl<E: Curve> UpdateProver<E> {
    /// What opens the sum of updates, each with the subject of its proof and the seed of [`super::opening_seed`]: some 5 ms of one
    /// core for each chunk of 65,000 entries. It opens nothing if a proof is about another update than the one given here.
    ///
    /// # Errors
    /// No or too many updates, two of one author, of other federations or epochs, or of another schema.
    pub fn aggregate(
        &self,
        updates: &[(Subject, &Update, &Seed)],
    ) -> Result<AggregateOpening<E>, AggregateError> {
        check_subjects(updates.iter().map(|it| &it.0))?;
        let chunks = &self.verifier.shape.chunks;
        let mut parts = vec![(Vec::new(), Vec::new()); chunks.len()];
        for (position, (subject, update, seed)) in updates.iter().enumerate() {
            let refused = |error| AggregateError::Update { update: position, error };
            let entries = self.entries(update).map_err(refused)?;
            for (chunk, (exponent, entries)) in entries.iter().enumerate() {
                let statement = self.verifier.shape.statement(subject, chunk, *exponent);
                let prover = &self.provers[&chunks[chunk].0];
                let blinder = prover.blinder(&statement, entries, &chunk_seed(seed, chunk));
                let blinder =
                    blinder.map_err(|error| refused(ProveUpdateError::Chunk { chunk, error }))?;
                parts[chunk].0.push(weight(*exponent));
                parts[chunk].1.push(blinder);
            }
        }
        let sum = |(weights, blinders): &(Vec<_>, Vec<_>)| sum_blinder(weights, blinders);
        Ok(AggregateOpening::new(parts.iter().map(sum).collect()))
    }

    /// Checks that `sums`, one for each parameter in units of 2^-24, are those of the updates that the proofs are about, each once: some 30 ms
    /// of one core for 20 updates of 65,000 entries. See the file on what it does not check.
    ///
    /// # Errors
    /// The first thing that is wrong; of the sums the first bad chunk, by shape.
    pub fn verify_aggregate(
        &self,
        proofs: &[(&Subject, &UpdateProof<E>)],
        sums: &[i64],
        opening: &AggregateOpening<E>,
    ) -> Result<(), AggregateError> {
        check_subjects(proofs.iter().map(|it| it.0))?;
        let chunks = &self.verifier.shape.chunks;
        let (found, expected) = (sums.len(), chunks.iter().map(|it| it.1).sum());
        if found != expected {
            return Err(AggregateError::Sums { found, expected });
        }
        if opening.blinders.len() != chunks.len() {
            return Err(AggregateError::Opening);
        }
        let mut by_shape: BTreeMap<Shape, Vec<Part<'_, E>>> = BTreeMap::new();
        let mut rest = sums;
        for (chunk, &(shape, entries)) in chunks.iter().enumerate() {
            let sums = rest.split_off(..entries).unwrap_or_default();
            let term = |(_, proof): &(&Subject, &UpdateProof<E>)| {
                let (exponent, proof) = &proof.chunks[chunk];
                Term { weight: weight(*exponent), commitment: proof.entries() }
            };
            let terms = proofs.iter().map(term).collect();
            by_shape.entry(shape).or_default().push(Part { chunk, terms, sums });
        }
        for (shape, parts) in by_shape {
            let claims = parts.iter().map(|Part { chunk, terms, sums }| SumClaim {
                terms,
                sums,
                blinder: &opening.blinders[*chunk],
            });
            let claims: Vec<SumClaim<'_, E>> = claims.collect();
            s2::verify_sums(&self.provers[&shape].basis(), &claims)
                .map_err(|(at, error)| AggregateError::Chunk { chunk: parts[at].chunk, error })?;
        }
        Ok(())
    }
}

/// The weight of a chunk's entries in units of 2^-24.
fn weight(exponent: Exponent) -> Weight {
    Weight::new(1, exponent).expect("a power of two up to 2^24")
}

/// That so many can be summed, and that they are of distinct authors of one federation and epoch.
fn check_subjects<'a>(
    subjects: impl ExactSizeIterator<Item = &'a Subject>,
) -> Result<(), AggregateError> {
    let count = subjects.len();
    if count == 0 || count > SUMMED_MAX {
        return Err(AggregateError::Updates(count));
    }
    let mut authors = BTreeSet::new();
    let mut first = None;
    for (position, subject) in subjects.enumerate() {
        let of = (subject.federation, subject.epoch);
        if *first.get_or_insert(of) != of {
            return Err(AggregateError::Foreign(position));
        }
        if !authors.insert(subject.author) {
            return Err(AggregateError::Author(position));
        }
    }
    Ok(())
}
