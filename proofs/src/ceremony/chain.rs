//! Chain: the transcript of a ceremony, one contribution after the other, each checked against the one before.
//!
//! A chain grows by contributions that hold and by nothing else, so to have a chain is to know that it is valid. Each
//! names its predecessor by hash, and is of another member of the federation, who signed it: so a chain's length is how many
//! members contributed, and nobody makes it longer with names of its own. Without somebody who gives turns, two may follow one head: then
//! [`best`] prefers the longer chain, as long as chains have the same start; equal ones go by the
//! smaller hash. The key is sound if one contributor forgot its secrets, so what counts is who contributed, and [`Policy`]
//! refuses a chain of too few. More than the members a federation assumes to be hostile are enough.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::assemble::{BeginError, begin};
use super::contribution::{self, Header, Unread};
use super::draft::Draft;
use super::powers::{FinishedPowers, LogSize, Powers};
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
    members: Arc<BTreeSet<PeerId>>,
    steps: Vec<Step>,
    stage: S,
}

/// How many members a ceremony needs as contributors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The least number of them.
    pub contributors_min: NonZeroUsize,
}

/// Why a ceremony is not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// Too few took part.
    #[error("{found} members contributed, the policy asks for {needed}")]
    Contributors {
        /// Contributors.
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
    /// Begins phase 1 for domains of up to this size, to which these members may contribute.
    pub fn powers(size: LogSize, members: BTreeSet<PeerId>) -> Self {
        Self::new(Powers::start(size), members)
    }

    /// The powers of tau, if enough contributed.
    ///
    /// # Errors
    /// [`FinishError::Contributors`].
    pub fn finish(self, policy: Policy) -> Result<FinishedPowers<E>, FinishError> {
        self.require(policy)?;
        Ok(FinishedPowers(self.stage))
    }
}

impl<E: Curve> Chain<Draft<E>> {
    /// Begins phase 2 for a circuit, from powers that are finished ([`Powers::pinned`] if they were read); these members may contribute.
    ///
    /// # Errors
    /// A circuit that is too large for the powers, or powers without a contribution.
    pub fn circuit(
        system: &R1cs<Scalar<E>>,
        powers: &FinishedPowers<E>,
        members: BTreeSet<PeerId>,
    ) -> Result<Self, BeginError> {
        Ok(Self::new(begin(system, powers.powers())?, members))
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
    fn new(stage: S, members: BTreeSet<PeerId>) -> Self {
        let ceremony = stage.ceremony();
        Self { ceremony, members: Arc::new(members), steps: Vec::new(), stage }
    }

    /// Names what the chain starts from: phase, curve, size or circuit, and for a circuit the powers of tau.
    pub const fn ceremony(&self) -> ContentHash {
        self.ceremony
    }

    /// The hash that the next contribution has to name.
    pub fn head(&self) -> ContentHash {
        self.steps.last().map_or(self.ceremony, |step| step.hash)
    }

    /// Who may contribute.
    pub fn members(&self) -> &BTreeSet<PeerId> {
        &self.members
    }

    /// The contributions, first to last, each of another member.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The length of every contribution to this ceremony.
    pub fn contribution_bytes(&self) -> usize {
        contribution::len::<S::Curve>(self.stage.point_counts(), self.stage.separators().len())
    }

    /// Makes the next contribution, which a chain takes from a member who has not contributed to it, signed by that member. Its secrets come from the seed, which is used up; who keeps it keeps them.
    pub fn contribute(&self, contributor: PeerId, seed: Seed) -> Vec<u8> {
        contribution::make(&self.stage, &self.header(contributor), &seed)
    }

    /// Checks a contribution and takes it. `signed_by` is whose signature around the bytes was verified; the seed is the
    /// verifier's own, and secret until then.
    ///
    /// What costs little comes first: who made it and where it belongs, then the proofs of knowledge, for which a few of its
    /// points are read; all others only then.
    ///
    /// # Errors
    /// Why it does not count; the chain is what it was.
    pub fn extend(
        &mut self,
        bytes: &[u8],
        signed_by: PeerId,
        seed: &Seed,
    ) -> Result<Step, Refusal> {
        if self.steps.len() == CONTRIBUTIONS_MAX {
            return Err(Refusal::Full(CONTRIBUTIONS_MAX));
        }
        self.check_place(&Header::peek::<S::Curve>(bytes)?, signed_by)?;
        let next = Unread::read(&self.stage, bytes)?.points(&self.stage)?;
        let hash = contribution::hash(bytes);
        self.stage.check(&next, &mut Coefficients::new(seed, hash))?;
        let step = Step { hash, contributor: signed_by };
        self.steps.push(step);
        self.stage = next;
        Ok(step)
    }

    /// Checks a whole chain: takes all contributions, each with who signed it, in order.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn verify<'a>(
        mut self,
        contributions: impl IntoIterator<Item = (PeerId, &'a [u8])>,
        seed: &Seed,
    ) -> Result<Self, Broken> {
        for (position, (signed_by, bytes)) in contributions.into_iter().enumerate() {
            self.extend(bytes, signed_by, seed).map_err(|refusal| Broken { position, refusal })?;
        }
        Ok(self)
    }

    /// Whether a contribution with this header is of who signed it, a member who has not contributed yet, and follows the head.
    fn check_place(&self, header: &Header, signed_by: PeerId) -> Result<(), Refusal> {
        let named = header.contributor;
        if named != signed_by {
            return Err(Refusal::Signer { named, signed_by });
        }
        if !self.members.contains(&named) {
            return Err(Refusal::Member(named));
        }
        let (found, expected) = (header.ceremony, self.ceremony);
        if found != expected {
            return Err(Refusal::Ceremony { found, expected });
        }
        if self.steps.iter().any(|step| step.contributor == named) {
            return Err(Refusal::Again(named));
        }
        let (found, expected) = (header.predecessor, self.head());
        if found == expected { Ok(()) } else { Err(Refusal::Predecessor { found, expected }) }
    }

    #[cfg(test)]
    pub(super) const fn stage(&self) -> &S {
        &self.stage
    }

    fn header(&self, contributor: PeerId) -> Header {
        Header { ceremony: self.ceremony, predecessor: self.head(), contributor }
    }

    fn require(&self, policy: Policy) -> Result<(), FinishError> {
        let (found, needed) = (self.steps.len(), policy.contributors_min.get());
        if found < needed { Err(FinishError::Contributors { found, needed }) } else { Ok(()) }
    }
}

/// The chain of this ceremony that counts: the one to which the most members contributed, then the smallest head.
///
/// All are to be of the same members, which is for the caller: it opened them.
pub fn best<S: Stage>(
    ceremony: ContentHash,
    chains: impl IntoIterator<Item = Chain<S>>,
) -> Option<Chain<S>> {
    let of_ceremony = chains.into_iter().filter(|chain| chain.ceremony == ceremony);
    of_ceremony.min_by_key(|chain| (std::cmp::Reverse(chain.steps.len()), chain.head()))
}
