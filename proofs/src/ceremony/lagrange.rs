//! Lagrange: from `[tau^i]` to `[L_i(tau)]`, a Fourier transform of points.
//!
//! `tau^j = sum of w^(ij) L_i(tau)` for each `j < n`, so the inverse transform of the powers is what the rows of a
//! circuit are weighed with. Butterflies of one stage are multiplied in step ([`super::multiply`]) and added in
//! affine coordinates: for 2^16 points of G1 that is half a million multiplications, once for a circuit.

use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{Field, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

use super::multiply::{scale_all, scale_each};
use crate::cp::affine::add_pairs_parallel;

/// The Lagrange basis of the roots of unity at `tau`, from the first powers of `tau`.
///
/// # Panics
/// If the number of points is not a power of two, or one without roots of unity.
pub(super) fn lagrange<P: GLVConfig>(powers: &[Affine<P>]) -> Vec<Affine<P>> {
    let count = powers.len();
    assert!(count.is_power_of_two(), "a domain has a power of two of points");
    let domain = Radix2EvaluationDomain::<P::ScalarField>::new(count).expect("few enough points");
    let step = |power: &P::ScalarField| Some(*power * domain.group_gen_inv);
    let roots: Vec<_> =
        std::iter::successors(Some(P::ScalarField::ONE), step).take(count / 2).collect();
    let mut points = reversed(powers);
    let mut half = 1;
    while half < count {
        points = stage(&points, half, &roots);
        half *= 2;
    }
    scale_all(&points, &domain.size_inv)
}

/// Puts each point where the bits of its place, read backwards, say.
fn reversed<P: GLVConfig>(points: &[Affine<P>]) -> Vec<Affine<P>> {
    let bits = points.len().ilog2();
    let place = |index: usize| match bits {
        0 => index,
        _ => index.reverse_bits() >> (usize::BITS - bits),
    };
    (0..points.len()).map(|index| points[place(index)]).collect()
}

/// All butterflies between points that are `half` apart.
fn stage<P: GLVConfig>(
    points: &[Affine<P>],
    half: usize,
    roots: &[P::ScalarField],
) -> Vec<Affine<P>> {
    let stride = points.len() / (2 * half);
    let upper = |index: usize| index & half != 0;
    let turned: Vec<usize> =
        (0..points.len()).filter(|&index| upper(index) && index % half != 0).collect();
    let gathered: Vec<_> = turned.iter().map(|&index| points[index]).collect();
    let factors: Vec<_> = turned.iter().map(|&index| roots[index % half * stride]).collect();
    let mut read = points.to_vec();
    for (index, point) in turned.iter().zip(scale_each(&gathered, &factors)) {
        read[*index] = point;
    }
    let pair = |index: usize| match upper(index) {
        true => (read[index - half], -read[index]),
        false => (read[index], read[index + half]),
    };
    add_pairs_parallel(points.len(), pair)
}

/// The first `count` powers of a scalar, times `first`.
pub(super) fn powers<F: PrimeField>(first: F, base: &F, count: usize) -> Vec<F> {
    std::iter::successors(Some(first), |power| Some(*power * base)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
    use ark_ec::AffineRepr;
    use ark_ff::One;

    use super::*;
    use crate::curve::Curve;

    fn check<P: GLVConfig<ScalarField = Fr>>(generator: Affine<P>, count: usize) {
        let tau = Fr::from(123_456_789);
        let given = scale_each(&vec![generator; count], &powers(Fr::one(), &tau, count));
        let domain = Radix2EvaluationDomain::<Fr>::new(count).unwrap();
        let expected = domain.evaluate_all_lagrange_coefficients(tau);
        let expected = scale_each(&vec![generator; count], &expected);
        assert_eq!(lagrange(&given), expected, "{count}");
    }

    #[test]
    fn transforms_powers_to_the_lagrange_basis() {
        for count in [1, 2, 4, 64] {
            check::<<Bn254 as Curve>::First>(G1Affine::generator(), count);
            check::<<Bn254 as Curve>::Second>(G2Affine::generator(), count);
        }
    }
}
