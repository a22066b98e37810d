//! Quotient: the polynomial `h` with `a b - c = h z`, where a satisfied witness says that `z` divides.
//!
//! `a`, `b` and `c` interpolate the rows of the system over the `n`-th roots of unity, and `z = x^n - 1`.
//! With `g^n = -1`, `a b mod (x^n + 1)` is what the product on the coset of `g` interpolates, and
//! `c = a b mod (x^n - 1)`. Writing `a b = low + x^n high`, the first is `low - high`, the second `low + high`, and
//! `h = high`: half their difference. That takes six transforms, and `c` itself needs none on the coset.

use ark_ff::{FftField, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use super::r1cs::{R1cs, Unsatisfied};

/// The domain of a system: the smallest power of two with a place for each row and each input.
///
/// # Panics
/// If the field has no root of unity of that order; fields of pairing-friendly curves have one of 2^24.
pub(crate) fn domain<F: PrimeField>(system: &R1cs<F>) -> Radix2EvaluationDomain<F> {
    Radix2EvaluationDomain::new(system.size()).expect("the field has roots of unity of order 2^25")
}

/// The coefficients of `h`: one fewer than the domain has points.
///
/// # Errors
/// The first constraint that the witness breaks; then there is no `h`.
pub(super) fn quotient<F: PrimeField>(
    system: &R1cs<F>,
    witness: &[F],
) -> Result<Vec<F>, Unsatisfied> {
    let domain = domain(system);
    let (mut a, mut b) = rayon::join(
        || system.a.times(witness).collect::<Vec<F>>(),
        || system.b.times(witness).collect::<Vec<F>>(),
    );
    let rows = a.iter().zip(&b).zip(system.c.times(witness));
    if let Some((row, _)) = rows.enumerate().find(|(_, ((a, b), c))| **a * **b != *c) {
        return Err(Unsatisfied { row });
    }
    a.extend(&witness[..system.layout().inputs()]);
    a.resize(domain.size(), F::ZERO);
    b.resize(domain.size(), F::ZERO);
    Ok(divide(domain, a, b))
}

/// From the values of `a` and `b` on the domain to the coefficients of `h`.
pub(super) fn divide<F: PrimeField>(
    domain: Radix2EvaluationDomain<F>,
    mut a: Vec<F>,
    mut b: Vec<F>,
) -> Vec<F> {
    let coset = shifted(domain);
    let mut plain: Vec<F> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
    let ((), ((), ())) = rayon::join(
        || to_coset(domain, coset, &mut a),
        || rayon::join(|| to_coset(domain, coset, &mut b), || domain.ifft_in_place(&mut plain)),
    );
    a.par_iter_mut().zip(&b).for_each(|(a, b)| *a *= b);
    coset.ifft_in_place(&mut a);
    let half = F::from(2_u64).inverse().expect("an odd characteristic");
    plain.par_iter_mut().zip(&a).for_each(|(plain, twisted)| *plain = (*plain - twisted) * half);
    plain.pop();
    plain
}

fn to_coset<F: PrimeField>(
    domain: Radix2EvaluationDomain<F>,
    coset: Radix2EvaluationDomain<F>,
    values: &mut Vec<F>,
) {
    domain.ifft_in_place(values);
    coset.fft_in_place(values);
}

/// The coset on which `x^n = -1`.
fn shifted<F: PrimeField>(domain: Radix2EvaluationDomain<F>) -> Radix2EvaluationDomain<F> {
    let order = 2 * u64::try_from(domain.size()).expect("at most 2^25");
    let root = <F as FftField>::get_root_of_unity(order).expect("the field has that root of unity");
    domain.get_coset(root).expect("a root of unity is not zero")
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use ark_ff::{Field, One};
    use ark_poly::{DenseUVPolynomial, Polynomial, univariate::DensePolynomial};

    use super::*;
    use crate::cp::r1cs::{Layout, Wire};

    /// A chain of squares: wire k + 1 is the square of wire k.
    fn squares(rows: usize) -> (R1cs<Fr>, Vec<Fr>) {
        let mut system = R1cs::new(Layout { public: 0, blocks: vec![1], showable: 0, free: rows });
        let at = |position: usize| vec![(Wire::at(position), Fr::one())];
        (2..rows + 2).for_each(|wire| system.push(at(wire), at(wire), at(wire + 1)));
        let mut witness = vec![Fr::one(), Fr::from(9), Fr::from(3)];
        (0..rows).for_each(|row| witness.push(witness[row + 2].square()));
        (system, witness)
    }

    #[test]
    fn divides_exactly() {
        let (system, witness) = squares(11);
        let domain = domain(&system);
        let h = DensePolynomial::from_coefficients_vec(quotient(&system, &witness).unwrap());
        let interpolate = |mut values: Vec<Fr>| {
            values.resize(domain.size(), Fr::from(0));
            DensePolynomial::from_coefficients_vec(domain.ifft(&values))
        };
        let mut a: Vec<_> = system.a.times(&witness).collect();
        a.extend(&witness[..2]);
        let (a, b) = (interpolate(a), interpolate(system.b.times(&witness).collect()));
        let c = interpolate(system.c.times(&witness).collect());
        let point = Fr::from(12_345);
        let vanishing = domain.evaluate_vanishing_polynomial(point);
        assert_eq!(
            a.evaluate(&point) * b.evaluate(&point) - c.evaluate(&point),
            h.evaluate(&point) * vanishing
        );
    }

    #[test]
    fn a_broken_witness_has_no_quotient() {
        let (system, mut witness) = squares(5);
        witness[4] += Fr::one();
        assert_eq!(quotient(&system, &witness), Err(Unsatisfied { row: 1 }));
    }
}
