//! Multiply: many points, each by a scalar of its own or all by one, in step.
//!
//! All points take the same doublings at the same time, so affine additions share their inversions
//! ([`crate::cp`]'s affine sums): a doubling is seven products. An endomorphism halves the scalars (Gallant, Lambert
//! and Vanstone, "Faster point multiplication on elliptic curves", CRYPTO 2001): `k = k1 + k2 lambda`, both parts of 128
//! bits, taken in signed digits of four bits from one table of eight multiples. That is some 1,400 products a point.
//! Identities stay identities and cost a table's look-ups only. Not constant in time.

use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInteger, PrimeField};
use rayon::prelude::*;

use crate::cp::affine::add_pairs;
use crate::cp::msm::signed_digits;

/// Bits of a digit: with four, tables are small and each digit adds one point in four doublings.
const WIDTH: usize = 4;
/// Multiples in a table: digits are at most half of 2^4 and have a sign.
const TABLE: usize = 1 << (WIDTH - 1);
/// Points that go in step: an inversion is below a product each, tables (300 kB) fit in the second-level cache.
const STEP_POINTS: usize = 512;

/// The digits of both parts of some scalars, by part, place and scalar.
struct Digits([Vec<Vec<i16>>; 2]);

/// Multiplies all points by one scalar.
pub(super) fn scale_all<P: GLVConfig>(
    points: &[Affine<P>],
    scalar: &P::ScalarField,
) -> Vec<Affine<P>> {
    let digits = Digits::new::<P>(std::slice::from_ref(scalar));
    let step = |points: &[Affine<P>]| digits.multiply(points, |_| 0);
    points.par_chunks(STEP_POINTS).flat_map_iter(step).collect()
}

/// Multiplies each point by its scalar.
///
/// # Panics
/// If there are not as many scalars as points.
pub(super) fn scale_each<P: GLVConfig>(
    points: &[Affine<P>],
    scalars: &[P::ScalarField],
) -> Vec<Affine<P>> {
    assert_eq!(points.len(), scalars.len(), "a scalar for each point");
    let steps = points.par_chunks(STEP_POINTS).zip(scalars.par_chunks(STEP_POINTS));
    let step = |(points, scalars): (&[Affine<P>], &[P::ScalarField])| {
        Digits::new::<P>(scalars).multiply(points, |index| index)
    };
    steps.flat_map_iter(step).collect()
}

impl Digits {
    fn new<P: GLVConfig>(scalars: &[P::ScalarField]) -> Self {
        let parts: Vec<_> = scalars.iter().map(|scalar| P::scalar_decomposition(*scalar)).collect();
        let first: Vec<_> = parts.iter().map(|(first, _)| *first).collect();
        let second: Vec<_> = parts.iter().map(|(_, second)| *second).collect();
        let magnitudes = [&first, &second]
            .map(|part| part.iter().map(|(_, it)| it.into_bigint()).collect::<Vec<_>>());
        let bits = magnitudes.iter().flatten().map(BigInteger::num_bits).max().unwrap_or(0);
        let mut digits = magnitudes.map(|part| signed_digits(&part, WIDTH, bits as usize));
        for (rows, part) in digits.iter_mut().zip([&first, &second]) {
            for row in rows {
                let negative = row.iter_mut().zip(part).filter(|(_, (positive, _))| !positive);
                negative.for_each(|(digit, _)| *digit = -*digit);
            }
        }
        Self(digits)
    }

    /// Multiplies points; that at `index` has the digits of scalar `scalar(index)`.
    fn multiply<P: GLVConfig>(
        &self,
        points: &[Affine<P>],
        scalar: impl Fn(usize) -> usize,
    ) -> Vec<Affine<P>> {
        let count = points.len();
        let table = multiples(points);
        let multiple = |digit: i16, index: usize| match usize::from(digit.unsigned_abs()) {
            0 => Affine::identity(),
            magnitude if digit < 0 => -table[magnitude - 1][index],
            magnitude => table[magnitude - 1][index],
        };
        let [first, second] = &self.0;
        let mut sums = vec![Affine::identity(); count];
        for (first, second) in first.iter().zip(second).rev() {
            for _ in 0..WIDTH {
                sums = add_pairs(count, |index| (sums[index], sums[index]));
            }
            sums = add_pairs(count, |i| (sums[i], multiple(first[scalar(i)], i)));
            let turned = |i: usize| P::endomorphism_affine(&multiple(second[scalar(i)], i));
            sums = add_pairs(count, |i| (sums[i], turned(i)));
        }
        sums
    }
}

/// Once, twice and up to eight times each point.
fn multiples<P: GLVConfig>(points: &[Affine<P>]) -> Vec<Vec<Affine<P>>> {
    let mut table = vec![points.to_vec()];
    while table.len() < TABLE {
        let last = &table[table.len() - 1];
        table.push(add_pairs(points.len(), |index| (last[index], points[index])));
    }
    table
}

#[cfg(test)]
mod tests {
    use ark_bls12_381::Bls12_381;
    use ark_bn254::Bn254;
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::{AdditiveGroup, Field, One};

    use super::*;
    use crate::curve::{Curve, Scalar};
    use crate::seed::Seed;

    fn check<P: GLVConfig>() {
        let mut draw = Seed::from_bytes([9; 32]).draw();
        let mut scalars: Vec<P::ScalarField> = (0..700).map(|_| *draw.scalar().reveal()).collect();
        let half = P::ScalarField::from(2_u64).inverse().expect("two is not zero");
        let (zero, one) = (P::ScalarField::ZERO, P::ScalarField::one());
        scalars[..6].copy_from_slice(&[zero, one, -one, half, P::LAMBDA, -P::LAMBDA]);
        let generator = Affine::<P>::generator();
        let mut points = scale_each(&vec![generator; scalars.len()], &scalars);
        for (point, scalar) in points.iter().zip(&scalars).take(40) {
            assert_eq!(*point, (generator * scalar).into_affine());
        }
        points[7] = Affine::identity();
        let factor = scalars[50];
        let all = scale_all(&points, &factor);
        assert!(all.iter().zip(&points).all(|(all, point)| *all == *point * factor));
    }

    #[test]
    fn multiplies_as_one_by_one() {
        check::<<Bn254 as Curve>::First>();
        check::<<Bn254 as Curve>::Second>();
        check::<<Bls12_381 as Curve>::First>();
        check::<<Bls12_381 as Curve>::Second>();
        let none = scale_all::<<Bn254 as Curve>::First>(&[], &Scalar::<Bn254>::one());
        assert!(none.is_empty());
    }
}
