//! Chain: the transcript of a ceremony, one contribution after the other, each checked against the one before.
//!
//! A chain grows by contributions that hold and by nothing else, so to have a chain is to know that it is valid. Each
//! names its predecessor by hash. Without somebody who gives turns, two may follow one head: then
//! [`best`] prefers the chain with the most distinct contributors, as long as chains have the same start; equal ones go by the
//! smaller hash. The key is sound if one contributor forgot its secrets, so what counts is who contributed, and [`Policy`]
//! refuses a chain of too few. More than the members a federation assumes to be hostile are enough.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::assemble::{BeginError, begin};
use super::contribution::{self, Contribution, Header};
use super::draft::Draft;
use super::powers::{LogSize, Powers};
use super::ratio::Coefficients;
use super::refusal::Refusal;
use super::stage::Stage;
use crate::cp::{KeyError, ProvingKey, R1cs};
use crate::curve::{Curve, Scalar};
use crate::seed::Seed;

/// Most contributions of a chain, so that checking one has a bound.
pub const CONTRIBUTIONS_MAX: usize = 1_024;

/// One contribution of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The contribution's hash.
    pub hash: ContentHash,
    /// Who made it.
    pub contributor: PeerId,
}

/// A ceremony so far: [`Powers`] in phase 1, a [`Draft`] in phase 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<S: Stage> {
    ceremony: ContentHash,
    steps: Vec<Step>,
    stage: S,
}

/// How many distinct contributors a ceremony needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The least number of them.
    pub contributors_min: NonZeroUsize,
}

/// Why a ceremony is not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// Too few took part.
    #[error("{found} distinct contributors, the policy asks for {needed}")]
    Contributors {
        /// Distinct contributors.
        found: usize,
        /// What the policy asks for.
        needed: usize,
    },
    /// The key is not one that may be used.
    #[error("the key: {0}")]
    Key(#[from] KeyError),
}

/// A contribution of a chain that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("contribution {position} of the chain: {refusal}")]
pub struct Broken {
    /// Its place, counted from zero.
    pub position: usize,
    /// Why.
    pub refusal: Refusal,
}

impl<E: Curve> Chain<Powers<E>> {
    /// Begins phase 1 for domains of up to this size.
    pub fn powers(size: LogSize) -> Self {
        Self::new(Powers::start(size))
    }

    /// The powers of tau, if enough contributed.
    ///
    /// # Errors
    /// [`FinishError::Contributors`].
    pub fn finish(self, policy: Policy) -> Result<Powers<E>, FinishError> {
        self.require(policy)?;
        Ok(self.stage)
    }
}

impl<E: Curve> Chain<Draft<E>> {
    /// Begins phase 2 for a circuit, from powers that are finished.
    ///
    /// # Errors
    /// A circuit that is too large for the powers, or powers without a contribution.
    pub fn circuit(system: &R1cs<Scalar<E>>, powers: &Powers<E>) -> Result<Self, BeginError> {
        Ok(Self::new(begin(system, powers)?))
    }

    /// The key, if enough contributed.
    ///
    /// # Errors
    /// Too few contributors, or a key that [`check`](crate::cp::VerifyingKey::check) refuses.
    pub fn finish(&self, policy: Policy) -> Result<ProvingKey<E>, FinishError> {
        self.require(policy)?;
        Ok(self.stage.key()?)
    }
}

impl<S: Stage> Chain<S> {
    fn new(stage: S) -> Self {
        Self { ceremony: stage.ceremony(), steps: Vec::new(), stage }
    }

    /// Names what the chain starts from: phase, curve, size or circuit, and for a circuit the powers of tau.
    pub const fn ceremony(&self) -> ContentHash {
        self.ceremony
    }

    /// The hash that the next contribution has to name.
    pub fn head(&self) -> ContentHash {
        self.steps.last().map_or(self.ceremony, |step| step.hash)
    }

    /// The contributions, first to last.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many different peers contributed.
    pub fn distinct_contributors(&self) -> usize {
        self.steps.iter().map(|step| step.contributor).collect::<BTreeSet<_>>().len()
    }

    /// The length of every contribution to this ceremony.
    pub fn contribution_bytes(&self, contributor: PeerId) -> usize {
        contribution::size_bytes(&self.stage, &self.header(contributor))
    }

    /// Makes the next contribution. Its secrets come from the seed, which is used up; who keeps it keeps them.
    pub fn contribute(&self, contributor: PeerId, seed: Seed) -> Vec<u8> {
        contribution::make(&self.stage, &self.header(contributor), &seed)
    }

    /// Checks a contribution and takes it. The seed is the verifier's own, and secret until then.
    ///
    /// # Errors
    /// Why it does not count; the chain is what it was.
    pub fn extend(&mut self, bytes: &[u8], seed: &Seed) -> Result<Step, Refusal> {
        if self.steps.len() == CONTRIBUTIONS_MAX {
            return Err(Refusal::Full(CONTRIBUTIONS_MAX));
        }
        let (header, contribution) = Contribution::read(&self.stage, self.head(), bytes)?;
        if !contribution.shows_knowledge(&self.stage, bytes) {
            return Err(Refusal::Knowledge);
        }
        let hash = contribution::hash(bytes);
        self.stage.check(&contribution.next, &mut Coefficients::new(seed, hash))?;
        let step = Step { hash, contributor: header.contributor };
        self.steps.push(step);
        self.stage = contribution.next;
        Ok(step)
    }

    /// Checks a whole chain: takes all contributions, in order.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn verify<'a>(
        mut self,
        contributions: impl IntoIterator<Item = &'a [u8]>,
        seed: &Seed,
    ) -> Result<Self, Broken> {
        for (position, bytes) in contributions.into_iter().enumerate() {
            self.extend(bytes, seed).map_err(|refusal| Broken { position, refusal })?;
        }
        Ok(self)
    }

    #[cfg(test)]
    pub(super) const fn stage(&self) -> &S {
        &self.stage
    }

    fn header(&self, contributor: PeerId) -> Header {
        Header { ceremony: self.ceremony, predecessor: self.head(), contributor }
    }

    fn require(&self, policy: Policy) -> Result<(), FinishError> {
        let (found, needed) = (self.distinct_contributors(), policy.contributors_min.get());
        if found < needed { Err(FinishError::Contributors { found, needed }) } else { Ok(()) }
    }
}

/// The chain of this ceremony that counts: the one with the most distinct contributors, then the smallest head.
pub fn best<S: Stage>(
    ceremony: ContentHash,
    chains: impl IntoIterator<Item = Chain<S>>,
) -> Option<Chain<S>> {
    let of_ceremony = chains.into_iter().filter(|chain| chain.ceremony == ceremony);
    of_ceremony.min_by_key(|chain| (std::cmp::Reverse(chain.distinct_contributors()), chain.head()))
}
