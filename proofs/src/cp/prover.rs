//! Prover: commits to the blocks, learns the challenge, completes the witness and proves.
//!
//! The witness is grouped by value once, and that grouping serves the sums of all queries; only the
//! quotient's sum is as wide as the field. The quotient is computed beside the queries' sums, on the threads of
//! the current pool. Nothing leaves here that was not checked: the witness against the constraints,
//! and the proof by the verifier.

use std::fmt;

use ark_ec::CurveGroup;
use ark_ff::{One, Zero};

use super::claim::Claim;
use super::key::KeyError;
use super::msm::{Grouped, sum_wide};
use super::proof::Proof;
use super::proving::ProvingKey;
use super::quotient::quotient;
use super::r1cs::{R1cs, Unsatisfied};
use super::verifier::{Verifier, VerifyError};
use crate::curve::{Curve, PointOne, Scalar};
use crate::seed::{Secret, Seed};

/// A circuit with its keys, ready to prove.
#[derive(Debug, Clone)]
pub struct Prover<E: Curve> {
    system: R1cs<Scalar<E>>,
    key: ProvingKey<E>,
    verifier: Verifier<E>,
}

/// Blocks that are committed to, before there is a challenge.
///
/// Each is used for one proof, which takes it. Printing it shows the commitments alone.
pub struct Committed<E: Curve> {
    points: Vec<PointOne<E>>,
    blinders: Vec<Secret<Scalar<E>>>,
    values: Vec<Scalar<E>>,
    shown: usize,
    /// What `A` and `B` are blinded from: the caller's seed with the blocks.
    seed: Seed,
}

/// One for each block.
type Blinders<E> = Vec<Secret<Scalar<E>>>;

/// The parts of a proof that do not depend on how it is blinded.
struct Sums<E: Curve> {
    a: E::G1,
    b: E::G1,
    b_two: E::G2,
    free: E::G1,
    h: E::G1,
}

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// There are more or fewer values than the circuit has places for; names the part.
    #[error("the {0} are not as many as the circuit has")]
    Count(&'static str),
    /// The completed witness does not begin with one, the challenge and the claim's inputs.
    #[error("the witness does not begin with the claim's inputs")]
    Inputs,
    /// A block differs from what was committed to.
    #[error("a block was changed after it was committed to")]
    Changed,
    /// The claim does not show what is committed to without a blinder.
    #[error("the claim shows other values than were committed to")]
    Shown,
    /// The witness breaks a constraint: what is claimed is not true.
    #[error(transparent)]
    Unsatisfied(#[from] Unsatisfied),
    /// The challenge is one that no witness can be completed with; commit again.
    #[error("the challenge has no witness, commit again with another seed")]
    Challenge,
    /// The proof does not verify: the key is not of this circuit.
    #[error("the proof does not verify under its own key: {0}")]
    Key(VerifyError),
}

impl<E: Curve> fmt::Debug for Committed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").field("points", &self.points).finish_non_exhaustive()
    }
}

impl<E: Curve> Committed<E> {
    /// The commitments of all blocks, the shown ones last.
    pub fn points(&self) -> &[PointOne<E>] {
        &self.points
    }

    /// The blinder of a block; zero if it is shown. Whoever has it can open the commitment.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn blinder(&self, block: usize) -> &Secret<Scalar<E>> {
        &self.blinders[block]
    }
}

impl<E: Curve> Prover<E> {
    /// Joins a circuit and its key.
    ///
    /// # Errors
    /// A key of another circuit, or one that [`Verifier::new`] refuses.
    pub fn new(system: R1cs<Scalar<E>>, key: ProvingKey<E>) -> Result<Self, KeyError> {
        let verifier = Verifier::new(key.verifying().clone())?;
        if !key.fits(&system) {
            return Err(KeyError::Circuit);
        }
        Ok(Self { system, key, verifier })
    }

    /// The circuit.
    pub const fn system(&self) -> &R1cs<Scalar<E>> {
        &self.system
    }

    /// The key.
    pub const fn key(&self) -> &ProvingKey<E> {
        &self.key
    }

    /// What verifies its proofs.
    pub const fn verifier(&self) -> &Verifier<E> {
        &self.verifier
    }

    /// Commits to the blocks; the last `shown` of them without a blinder, since their values are shown.
    ///
    /// Blinders are drawn from the seed, the key and all blocks: one seed for different blocks gives unrelated ones, and for
    /// the same blocks the same commitments.
    ///
    /// # Errors
    /// [`ProveError::Count`] if the blocks are not the circuit's, or more are shown than can be.
    pub fn commit(
        &self,
        blocks: &[&[Scalar<E>]],
        shown: usize,
        seed: Seed,
    ) -> Result<Committed<E>, ProveError> {
        let (seed, blinders) = self.blinders(blocks, shown, &seed)?;
        let blinding = self.key.verifying.blinding;
        let points: Vec<E::G1> = blocks
            .iter()
            .zip(&self.key.blocks)
            .zip(&blinders)
            .map(|((values, bases), blinder)| {
                Grouped::new(values).sum(0, bases) + blinding * blinder.reveal()
            })
            .collect();
        let points = E::G1::normalize_batch(&points);
        Ok(Committed { points, blinders, values: blocks.concat(), shown, seed })
    }

    /// The blinders of blocks, and the seed for what follows.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) fn blinders(
        &self,
        blocks: &[&[Scalar<E>]],
        shown: usize,
        seed: &Seed,
    ) -> Result<(Seed, Blinders<E>), ProveError> {
        let layout = self.system.layout();
        let lens = blocks.iter().map(|block| block.len());
        if !lens.eq(layout.blocks.iter().copied()) || shown > layout.showable {
            return Err(ProveError::Count("blocks"));
        }
        let purpose = format!("blocks under {}", self.verifier.key_hash());
        let seed = seed.hedged(&purpose, blocks.iter().copied());
        let mut draw = seed.derive("blinders", 0).draw();
        let hidden = blocks.len() - shown;
        let blinder = |block: usize| {
            if block < hidden { draw.scalar() } else { Secret::new(Scalar::<E>::zero()) }
        };
        let blinders = (0..blocks.len()).map(blinder).collect();
        Ok((seed, blinders))
    }

    /// Proves a claim about committed blocks; `complete` makes the witness when it is told the challenge.
    ///
    /// # Errors
    /// A witness that is not of this claim and these blocks, or breaks a constraint.
    pub fn prove(
        &self,
        claim: &Claim<E>,
        committed: Committed<E>,
        complete: impl FnOnce(Scalar<E>) -> Option<Vec<Scalar<E>>>,
    ) -> Result<Proof<E>, ProveError> {
        if claim.public.len() != self.system.layout().public {
            return Err(ProveError::Count("public inputs"));
        }
        let hash = self.verifier.key_hash();
        let challenge = claim.challenge(&self.key.verifying, hash, &committed.points);
        let witness = complete(challenge).ok_or(ProveError::Challenge)?;
        self.check_parts(claim, &committed, challenge, &witness)?;
        let proof = self.assemble(&committed, challenge, &witness)?;
        self.verifier.verify(claim, &proof).map_err(ProveError::Key)?;
        Ok(proof)
    }

    fn check_parts(
        &self,
        claim: &Claim<E>,
        committed: &Committed<E>,
        challenge: Scalar<E>,
        witness: &[Scalar<E>],
    ) -> Result<(), ProveError> {
        let layout = self.system.layout();
        if witness.len() != layout.wires() {
            return Err(ProveError::Count("wires"));
        }
        let (inputs, rest) = witness.split_at(layout.inputs());
        if inputs[..2] != [Scalar::<E>::one(), challenge] || inputs[2..] != claim.public {
            return Err(ProveError::Inputs);
        }
        let blocks = &rest[..committed.values.len()];
        if blocks != committed.values {
            return Err(ProveError::Changed);
        }
        let shown = claim.shown.concat();
        if claim.shown.len() != committed.shown || !blocks.ends_with(&shown) {
            return Err(ProveError::Shown);
        }
        Ok(())
    }

    /// The proof of a witness; the blinders of `A` and `B` depend on the challenge too, so that
    /// a seed used twice by mistake does not give two proofs the same ones.
    pub(super) fn assemble(
        &self,
        committed: &Committed<E>,
        challenge: Scalar<E>,
        witness: &[Scalar<E>],
    ) -> Result<Proof<E>, Unsatisfied> {
        let sums = self.sums(witness)?;
        let mut draw = committed.seed.derive(&format!("proof {challenge}"), 0).draw();
        let (r, s) = (draw.scalar::<Scalar<E>>(), draw.scalar::<Scalar<E>>());
        let (r, s) = (r.reveal(), s.reveal());
        let verifying = &self.key.verifying;
        let delta = verifying.blinding;
        let a = sums.a + verifying.alpha + delta * r;
        let b = sums.b + self.key.beta + delta * s;
        let b_two = sums.b_two + verifying.beta + verifying.delta * s;
        let mut c = sums.free + sums.h + a * s + b * r - delta * (*r * s);
        for (blinder, base) in committed.blinders.iter().zip(&self.key.block_deltas) {
            c -= *base * blinder.reveal();
        }
        let hidden = committed.points.len() - committed.shown;
        let blocks = committed.points[..hidden].to_vec();
        Ok(Proof { a: a.into_affine(), b: b_two.into_affine(), c: c.into_affine(), blocks })
    }

    fn sums(&self, witness: &[Scalar<E>]) -> Result<Sums<E>, Unsatisfied> {
        let key = &self.key;
        let free_start = self.system.layout().free_start();
        let wide = || quotient(&self.system, witness).map(|h| sum_wide(&key.h, &h));
        let queries = || {
            let grouped = Grouped::new(witness);
            let ((a, free), (b, b_two)) = rayon::join(
                || (grouped.sum(0, &key.a), grouped.sum(free_start, &key.free)),
                || (grouped.sum(0, &key.b), grouped.sum(0, &key.b_two)),
            );
            (a, free, b, b_two)
        };
        let (h, (a, free, b, b_two)) = rayon::join(wide, queries);
        Ok(Sums { a, b, b_two, free, h: h? })
    }
}
