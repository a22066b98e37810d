//! Gradient: the proof that an update is one step on a batch of a committed data set.
//!
//! The proof carries two commitments: to the update's entries, which opens and adds up as S1's do, and to the samples with all numbers
//! of the step, which is never opened. The base is shown, so that a verifier commits to the base it knows of.
//! Which batch is taken is nobody's choice: [`Statement::leaf`] draws it from the subject and the data set's root.

use std::fmt;

use ark_ff::PrimeField;
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;

use super::circuit::circuit;
use super::data::{DataRoot, LeafIndex, Member};
use super::poseidon::Poseidon;
use super::step::{Base, HalfDivisor, Rate, StepError, Trace};
use super::witness::Step;
use crate::cp::{
    Claim, KeyError, PointError, Proof, ProveError, Prover, ProvingKey, StatementId, Verifier,
    VerifyError, VerifyingKey,
};
use crate::curve::{Curve, PointOne, Scalar};
use crate::s1::{Exponent, Subject};
use crate::seed::{Secret, Seed};

/// The block of the update's entries.
const UPDATE: usize = 0;
/// Blocks that are hidden: the update, and samples with the numbers of the step.
const HIDDEN: usize = 2;

/// A statement: which chunk of whose update is a step, on whose data, at which rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<F> {
    /// What the chunk is part of.
    pub subject: Subject,
    /// Its position in the update.
    pub chunk: u32,
    /// The power of two that its entries are multiplied with.
    pub exponent: Exponent,
    /// The learning rate.
    pub rate: Rate,
    /// The author's data set.
    pub data: DataRoot<F>,
}

/// A proof of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProof<E: Curve> {
    proof: Proof<E>,
}

/// What the author keeps: the update, and the blinder that opens the commitment to it. Printing it shows nothing.
#[derive(Clone)]
pub struct StepOpening<E: Curve> {
    /// The entries; that from input `k` to class `j` is number `k * 10 + j`.
    pub entries: Vec<i8>,
    /// Opens the commitment to them.
    pub blinder: Secret<Scalar<E>>,
}

/// Proves steps.
#[derive(Debug, Clone)]
pub struct StepProver<E: Curve> {
    prover: Prover<E>,
    poseidon: Poseidon<Scalar<E>>,
}

/// Verifies steps.
#[derive(Debug, Clone)]
pub struct StepVerifier<E: Curve> {
    verifier: Verifier<E>,
}

/// Why there is no proof of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GradientError {
    /// The batch is another leaf than the statement's.
    #[error("the batch is leaf {found} where the statement draws {drawn}")]
    Leaf {
        /// The leaf of the batch.
        found: u32,
        /// The leaf that the statement draws.
        drawn: u32,
    },
    /// The step cannot be written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The batch is not in the data set, or the key is not of this circuit.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

impl<E: Curve> fmt::Debug for StepOpening<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepOpening(..)")
    }
}

impl<F: PrimeField> Statement<F> {
    /// The leaf whose batch the step has to take: blake3 over federation, author, epoch, base and root.
    ///
    /// Nobody knows a base before its epoch, so who commits to a data set before cannot prefer a batch.
    pub fn leaf(&self) -> LeafIndex {
        let mut writer = Writer::new();
        writer.array(3);
        let subject = Subject { payload: ContentHash::from_bytes([0; 32]), ..self.subject };
        subject.write(&mut writer);
        writer.bytes(&self.data.bytes()).unsigned(u64::from(self.data.leaves()));
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs leaf v1");
        let mut drawn = [0; 16];
        hasher.update(&writer.into_bytes()).finalize_xof().fill(&mut drawn);
        self.data.draw(drawn)
    }

    /// Canonical bytes of all that is stated; the base stands in them too, so that statements about different ones differ.
    fn context(&self, base: &Base) -> Vec<u8> {
        let weights: Vec<u8> = base.weights().iter().flat_map(|it| it.to_be_bytes()).collect();
        let mut writer = Writer::new();
        writer.array(6);
        self.subject.write(&mut writer);
        writer.unsigned(u64::from(self.chunk)).unsigned(u64::from(self.exponent.get()));
        writer.unsigned(u64::from(self.rate.units())).unsigned(u64::from(self.data.leaves()));
        writer.bytes(ContentHash::of(&weights).as_bytes());
        writer.into_bytes()
    }
}

/// The claim of a statement about a step from a base.
fn claim<E: Curve>(statement: &Statement<Scalar<E>>, base: &Base, half: HalfDivisor) -> Claim<E> {
    let weight = |&weight: &i32| Scalar::<E>::from(weight);
    let leaf = Scalar::<E>::from(statement.leaf().get());
    Claim {
        public: vec![statement.data.node(), leaf, Scalar::<E>::from(half.get())],
        shown: vec![base.weights().iter().map(weight).collect()],
        context: statement.context(base),
    }
}

impl<E: Curve> StepProver<E> {
    /// Joins the circuit and its key.
    ///
    /// # Errors
    /// A key of another circuit.
    pub fn new(key: ProvingKey<E>) -> Result<Self, KeyError> {
        Ok(Self { prover: Prover::new(circuit(), key)?, poseidon: Poseidon::new() })
    }

    /// What it proves with.
    pub const fn prover(&self) -> &Prover<E> {
        &self.prover
    }

    /// What verifies its proofs.
    pub fn verifier(&self) -> StepVerifier<E> {
        StepVerifier { verifier: self.prover.verifier().clone() }
    }

    /// Computes the step and proves it, with the entries of its update.
    ///
    /// # Errors
    /// Another leaf than the statement's, a step that cannot be written, or a batch that is not in the data set. The seed is
    /// used up either way.
    pub fn prove(
        &self,
        statement: &Statement<Scalar<E>>,
        base: &Base,
        member: &Member<Scalar<E>>,
        seed: Seed,
    ) -> Result<(StepProof<E>, StepOpening<E>), GradientError> {
        let (found, drawn) = (member.leaf.get(), statement.leaf().get());
        if found != drawn {
            return Err(GradientError::Leaf { found, drawn });
        }
        let half = statement.rate.half_divisor(statement.exponent)?;
        let trace = Trace::new(base, &member.batch, half)?;
        let entries = trace.entries();
        let step = Step { trace, base, batch: &member.batch, member, half };
        let (proof, blinder) = self.prove_step(statement, &step, seed)?;
        Ok((StepProof { proof }, StepOpening { entries, blinder }))
    }

    /// Proves what a step's numbers say, right or wrong.
    pub(super) fn prove_step(
        &self,
        statement: &Statement<Scalar<E>>,
        step: &Step<'_, Scalar<E>>,
        seed: Seed,
    ) -> Result<(Proof<E>, Secret<Scalar<E>>), ProveError> {
        let claim: Claim<E> = claim(statement, step.base, step.half);
        let blocks = step.blocks();
        // One seed for two statements about the same step gives unrelated blinders.
        let name = self.prover.verifier().statement_id(&claim).hash();
        let seed = seed.derive(&format!("gradient step {name}"), 0);
        let committed = self.prover.commit(&blocks.each_ref().map(Vec::as_slice), 1, seed)?;
        let blinder = committed.blinder(UPDATE).clone();
        let complete = |challenge| step.witness(&self.poseidon, &claim.public, challenge);
        Ok((self.prover.prove(&claim, committed, complete)?, blinder))
    }
}

impl<E: Curve> StepVerifier<E> {
    /// Takes a key.
    ///
    /// # Errors
    /// A key that is refused, or of another circuit.
    pub fn new(key: VerifyingKey<E>) -> Result<Self, KeyError> {
        if !key.is_of(&circuit::<Scalar<E>>()) {
            return Err(KeyError::Circuit);
        }
        Ok(Self { verifier: Verifier::new(key)? })
    }

    /// The key and its checks.
    pub const fn verifier(&self) -> &Verifier<E> {
        &self.verifier
    }

    /// Checks one proof against the base that its reader knows.
    ///
    /// # Errors
    /// A rate and an exponent that no step can have, or a proof that does not show the statement.
    pub fn verify(
        &self,
        statement: &Statement<Scalar<E>>,
        base: &Base,
        proof: &StepProof<E>,
    ) -> Result<(), VerifyError> {
        let half = statement.rate.half_divisor(statement.exponent);
        let half = half.map_err(|_| VerifyError::Invalid)?;
        self.verifier.verify(&claim(statement, base, half), &proof.proof)
    }

    /// The name under which a statement counts once, whatever its proof.
    ///
    /// # Errors
    /// A rate and an exponent that no step can have.
    pub fn statement_id(
        &self,
        statement: &Statement<Scalar<E>>,
        base: &Base,
    ) -> Result<StatementId, StepError> {
        let half = statement.rate.half_divisor(statement.exponent)?;
        Ok(self.verifier.statement_id(&claim(statement, base, half)))
    }
}

impl<E: Curve> StepProof<E> {
    /// The commitment to the update's entries, in the basis of block 0 of the step's key.
    pub fn update(&self) -> PointOne<E> {
        self.proof.blocks()[UPDATE]
    }

    /// The points: 192 bytes on BN254.
    pub fn encode(&self) -> Vec<u8> {
        self.proof.encode()
    }

    /// Reads what a stranger may have written.
    ///
    /// # Errors
    /// Anything that [`encode`](Self::encode) does not write, and points that are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, PointError> {
        Ok(Self { proof: Proof::decode(bytes, HIDDEN)? })
    }
}
