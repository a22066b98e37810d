//! S2, correct weighted sum: an aggregate is exactly the sum of committed updates.
//!
//! The commitment to a chunk's entries is a Pedersen commitment in a basis that all chunks of one shape
//! share, so `sum of w_p D_p` commits to `sum of w_p u_p` under the blinder `sum of w_p v_p`. Whoever shows an
//! aggregate shows that blinder, and the check is one linear equation: no circuit, no proof. It binds as integers,
//! since a sum that fits 63 bits is far below the order of the group, and as long as nobody knows a relation between
//! the bases (which the setup makes random). A commitment that carries more than entries and blinder, as a
//! malicious prover's may ([`crate::cp`]), opens in no sum, or in one where such parts cancel; the entries add up either way.
//!
//! Several claims over one basis are joined with coefficients of 128 bits, which pays from some eight on. What an
//! opened sum reveals is its sum: two that overlap reveal their difference.

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, PrimeField};
use ark_serialize::CanonicalSerialize;

use crate::cp::{Basis, coefficients, sum_wide};
use crate::curve::{Curve, PointOne, Scalar};
use crate::s1::{Exponent, VALUE_MAX};
use crate::seed::Secret;

/// Most commitments of one sum.
pub const TERMS_MAX: usize = 1 << 13;
/// From this many claims on, joining them costs less than checking each.
const JOINED_MIN: usize = 8;

/// What an update counts in a sum: an integer that is not zero, times its chunk's power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(i64);

/// A commitment and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<E: Curve> {
    /// How much the update counts.
    pub weight: Weight,
    /// The commitment to its entries.
    pub commitment: PointOne<E>,
}

/// A claim that sums are the weighted sum of what the terms commit to.
#[derive(Debug, Clone)]
pub struct SumClaim<'a, E: Curve> {
    /// What is summed, each update once.
    pub terms: &'a [Term<E>],
    /// The sum of each entry; entries beyond are zero.
    pub sums: &'a [i64],
    /// The weighted sum of the blinders.
    pub blinder: &'a Secret<Scalar<E>>,
}

/// Why an aggregate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// There is no term, or more than [`TERMS_MAX`].
    #[error("{0} terms, there have to be 1 to {TERMS_MAX}")]
    Terms(usize),
    /// There are more sums, or entries of a payload, than the basis has places.
    #[error("{found} numbers where the commitments have {entries} entries")]
    Entries {
        /// How many there are.
        found: usize,
        /// The entries of a commitment.
        entries: usize,
    },
    /// Entries could add up to more than 63 bits.
    #[error("the weights allow sums of more than 63 bits")]
    Wide,
    /// One commitment is summed twice.
    #[error("terms {0} and {1} are the same commitment")]
    Repeated(usize, usize),
    /// The sums are not those of the commitments.
    #[error("the sums are not those of what is committed to")]
    Wrong,
}

impl Weight {
    /// `weight * 2^exponent`; `None` if that is zero or does not fit.
    pub fn new(weight: i32, exponent: Exponent) -> Option<Self> {
        let scaled = i64::from(weight).checked_mul(1 << exponent.get())?;
        (scaled != 0).then_some(Self(scaled))
    }

    /// The weight as a number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// The blinder that opens a sum: the weighted sum of its terms' blinders.
///
/// # Panics
/// If there are not as many blinders as weights.
pub fn sum_blinder<F: PrimeField>(weights: &[Weight], blinders: &[Secret<F>]) -> Secret<F> {
    assert_eq!(weights.len(), blinders.len(), "a blinder for each weight");
    let terms = weights.iter().zip(blinders);
    Secret::new(terms.map(|(weight, blinder)| F::from(weight.0) * blinder.reveal()).sum())
}

/// Checks one sum: for 20 updates of 65,000 entries some 25 ms of one core.
///
/// # Errors
/// [`SumError`].
pub fn verify_sum<E: Curve>(basis: &Basis<E>, claim: &SumClaim<'_, E>) -> Result<(), SumError> {
    claim.check(basis)?;
    let sums: Vec<Scalar<E>> = claim.sums.iter().map(|&sum| Scalar::<E>::from(sum)).collect();
    if basis.commit(&sums, claim.blinder) == claim.weighed() {
        Ok(())
    } else {
        Err(SumError::Wrong)
    }
}

/// Checks the sums of several epochs over one basis: as if one by one, for less from eight on.
///
/// # Errors
/// The position of the first bad claim, and what is wrong with it.
pub fn verify_sums<E: Curve>(
    basis: &Basis<E>,
    claims: &[SumClaim<'_, E>],
) -> Result<(), (usize, SumError)> {
    for (index, claim) in claims.iter().enumerate() {
        claim.check(basis).map_err(|error| (index, error))?;
    }
    if claims.len() >= JOINED_MIN && joined_holds(basis, claims) {
        return Ok(());
    }
    for (index, claim) in claims.iter().enumerate() {
        verify_sum(basis, claim).map_err(|error| (index, error))?;
    }
    Ok(())
}

/// Whether the claims hold together, each times a coefficient.
fn joined_holds<E: Curve>(basis: &Basis<E>, claims: &[SumClaim<'_, E>]) -> bool {
    let coefficients = coefficients_of(claims);
    let len = claims.iter().map(|claim| claim.sums.len()).max().unwrap_or(0);
    let mut sums = vec![Scalar::<E>::ZERO; len];
    let mut blinder = Scalar::<E>::ZERO;
    let mut weighed = E::G1::ZERO;
    for (claim, z) in claims.iter().zip(&coefficients) {
        for (sum, &own) in sums.iter_mut().zip(claim.sums) {
            *sum += *z * Scalar::<E>::from(own);
        }
        blinder += *z * claim.blinder.reveal();
        weighed += claim.weighed() * z;
    }
    basis.commit(&sums, &Secret::new(blinder)) == weighed
}

/// A coefficient for each claim, fixed by all of them.
fn coefficients_of<E: Curve>(claims: &[SumClaim<'_, E>]) -> Vec<Scalar<E>> {
    let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs joined sums v1");
    let mut bytes = Vec::new();
    for claim in claims {
        bytes.clear();
        for count in [claim.terms.len(), claim.sums.len()] {
            bytes.extend((count as u64).to_be_bytes());
        }
        for term in claim.terms {
            bytes.extend(term.weight.0.to_be_bytes());
            term.commitment.serialize_compressed(&mut bytes).expect("a vector takes all bytes");
        }
        bytes.extend(claim.sums.iter().flat_map(|sum| sum.to_be_bytes()));
        claim.blinder.reveal().serialize_compressed(&mut bytes).expect("a vector takes all bytes");
        hasher.update(&bytes);
    }
    coefficients(&hasher, claims.len())
}

impl<E: Curve> SumClaim<'_, E> {
    /// What can be said before any point is added.
    fn check(&self, basis: &Basis<E>) -> Result<(), SumError> {
        if self.terms.is_empty() || self.terms.len() > TERMS_MAX {
            return Err(SumError::Terms(self.terms.len()));
        }
        let (found, entries) = (self.sums.len(), basis.len());
        if found > entries {
            return Err(SumError::Entries { found, entries });
        }
        let weights = self.terms.iter().map(|term| u128::from(term.weight.0.unsigned_abs()));
        if weights.sum::<u128>() * u128::from(VALUE_MAX) > i64::MAX as u128 {
            return Err(SumError::Wide);
        }
        let mut order: Vec<_> = (0..self.terms.len()).collect();
        // By both coordinates: a commitment and its opposite share one.
        order.sort_by_key(|&index| {
            let point = self.terms[index].commitment;
            (point.x, point.y, index)
        });
        match order.windows(2).find(|pair| self.same(pair[0], pair[1])) {
            Some(pair) => Err(SumError::Repeated(pair[0], pair[1])),
            None => Ok(()),
        }
    }

    fn same(&self, left: usize, right: usize) -> bool {
        self.terms[left].commitment == self.terms[right].commitment
    }

    fn weighed(&self) -> E::G1 {
        let points: Vec<_> = self.terms.iter().map(|term| term.commitment).collect();
        let weights: Vec<_> =
            self.terms.iter().map(|term| Scalar::<E>::from(term.weight.0)).collect();
        sum_wide(&points, &weights)
    }
}

/// The commitment of a payload's reader, to compare with the one that was proven.
///
/// A holder of a chunk's entries and blinder recomputes the commitment (some 10 ms of one core for 65,000 entries);
/// if it differs, the signed header, the proof and the payload together show that the author lied.
///
/// # Errors
/// [`SumError::Entries`] if there are more entries than the basis has: a payload says how many it holds.
pub fn commitment_of<E: Curve>(
    basis: &Basis<E>,
    entries: &[i8],
    blinder: &Secret<Scalar<E>>,
) -> Result<PointOne<E>, SumError> {
    let (found, most) = (entries.len(), basis.len());
    if found > most {
        return Err(SumError::Entries { found, entries: most });
    }
    Ok(basis.commit_entries(entries, blinder).into_affine())
}
