//! Assemble: from finished powers of tau to the key of a circuit that phase 2 begins with.
//!
//! A wire's polynomial is a sum over rows, so its point at `tau` is that sum over the Lagrange basis; three such bases
//! in G1 (plain, times alpha, times beta) and one in G2 give all queries. This is deterministic: every peer
//! computes it from the powers and the circuit, and nobody has to be believed. The arithmetic program is that of
//! [`development_key`](crate::cp::development_key): an input has a row of its own in `A`.

use ark_ec::AffineRepr;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::Affine;
use ark_ff::PrimeField;
use ark_poly::EvaluationDomain;
use longhaul_dtn::hash::ContentHash;

use super::draft::{Draft, Fixed};
use super::lagrange::lagrange;
use super::multiply::scale_each;
use super::powers::Powers;
use crate::cp::affine::{add_pairs_parallel, sum_groups_parallel};
use crate::cp::quotient::domain;
use crate::cp::{Matrix, R1cs};
use crate::curve::{Curve, PointOne, Scalar};

/// Why there is no key to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The circuit is larger than the powers allow.
    #[error("the circuit's domain has {circuit} points, the powers of tau serve {powers}")]
    Size {
        /// Points of the circuit's domain.
        circuit: usize,
        /// Points of the largest domain of the powers.
        powers: usize,
    },
    /// The powers that were read are not those whose hash is pinned.
    #[error("the powers of tau have hash {found}, pinned is {pinned}")]
    Pinned {
        /// The hash of what was read.
        found: ContentHash,
        /// The hash it should have.
        pinned: ContentHash,
    },
    /// Nobody contributed to the powers, or tau is a root of unity.
    #[error("tau is known: the powers have no contribution")]
    Tau,
}

/// The terms of each wire: rows with their factors.
struct Columns<F> {
    lens: Vec<usize>,
    terms: Vec<(usize, F)>,
}

impl<F: PrimeField> Columns<F> {
    fn new(matrix: &Matrix<F>, own_rows: impl Iterator<Item = usize>, wires: usize) -> Self {
        let rows = matrix.rows().enumerate();
        let of_rows = rows.flat_map(|(row, terms)| {
            terms.iter().map(move |(wire, factor)| (wire.index(), row, *factor))
        });
        let own = own_rows.enumerate().map(|(wire, row)| (wire, row, F::ONE));
        let mut all: Vec<_> = of_rows.chain(own).collect();
        all.sort_by_key(|(wire, ..)| *wire);
        let mut lens = vec![0; wires];
        all.iter().for_each(|(wire, ..)| lens[*wire] += 1);
        Self { lens, terms: all.into_iter().map(|(_, row, factor)| (row, factor)).collect() }
    }

    /// Each term's factor times the point of its row.
    fn weighed<P: GLVConfig<ScalarField = F>>(&self, basis: &[Affine<P>]) -> Vec<Affine<P>> {
        let mut points: Vec<Affine<P>> = self.terms.iter().map(|(row, _)| basis[*row]).collect();
        let mut others = Vec::new();
        for (index, (_, factor)) in self.terms.iter().enumerate() {
            match factor {
                one if one.is_one() => {}
                minus if (-*minus).is_one() => points[index] = -points[index],
                _ => others.push(index),
            }
        }
        let gathered: Vec<_> = others.iter().map(|&index| points[index]).collect();
        let factors: Vec<_> = others.iter().map(|&index| self.terms[index].1).collect();
        for (index, point) in others.iter().zip(scale_each(&gathered, &factors)) {
            points[*index] = point;
        }
        points
    }

    fn sums<P: GLVConfig<ScalarField = F>>(&self, basis: &[Affine<P>]) -> Vec<Affine<P>> {
        let points = self.weighed(basis);
        sum_groups_parallel(&self.lens, |index| points[index])
    }
}

/// The Lagrange basis plain, times alpha and times beta.
struct Bases<E: Curve> {
    plain: Vec<PointOne<E>>,
    alpha: Vec<PointOne<E>>,
    beta: Vec<PointOne<E>>,
}

/// The key of `system` with all separators at one.
pub(super) fn begin<E: Curve>(
    system: &R1cs<Scalar<E>>,
    powers: &Powers<E>,
) -> Result<Draft<E>, BeginError> {
    let count = domain(system).size();
    let size = powers.size().points();
    if count > size {
        return Err(BeginError::Size { circuit: count, powers: size });
    }
    let h = vanishing_multiples(&powers.tau, count);
    if h.iter().any(AffineRepr::is_zero) {
        return Err(BeginError::Tau);
    }
    let layout = system.layout();
    let own_rows = system.rows()..system.size();
    let columns = |matrix, own| Columns::new(matrix, own, layout.wires());
    let a = columns(&system.a, own_rows);
    let [b, c] = [&system.b, &system.c].map(|matrix| columns(matrix, 0..0));
    let bases = Bases::<E> {
        plain: lagrange(&powers.tau[..count]),
        alpha: lagrange(&powers.alpha[..count]),
        beta: lagrange(&powers.beta[..count]),
    };
    let combined = bases.combined(&a, &b, &c);
    let fixed = Fixed {
        circuit: system.id(),
        powers: powers.hash(),
        layout: layout.clone(),
        alpha: powers.alpha[0],
        beta: powers.beta[0],
        beta_two: powers.beta_two,
        a: a.sums(&bases.plain),
        b: b.sums(&bases.plain),
        b_two: b.sums(&lagrange(&powers.tau_two[..count])),
    };
    let mut points =
        vec![combined[..layout.inputs()].to_vec(), [&combined[layout.free_start()..], &h].concat()];
    for (block, len) in layout.blocks.iter().enumerate() {
        points.push(combined[layout.block_start(block)..][..*len].to_vec());
    }
    Ok(Draft::start(fixed, points))
}

/// `[tau^i (tau^n - 1)]` for `i < n - 1`.
fn vanishing_multiples<P: GLVConfig>(tau: &[Affine<P>], count: usize) -> Vec<Affine<P>> {
    add_pairs_parallel(count - 1, |index| (tau[index + count], -tau[index]))
}

impl<E: Curve> Bases<E> {
    /// `[beta A_i + alpha B_i + C_i]` of each wire.
    fn combined(
        &self,
        a: &Columns<Scalar<E>>,
        b: &Columns<Scalar<E>>,
        c: &Columns<Scalar<E>>,
    ) -> Vec<PointOne<E>> {
        let parts = [a.sums(&self.beta), b.sums(&self.alpha), c.sums(&self.plain)];
        let lens = vec![parts.len(); parts[0].len()];
        sum_groups_parallel(&lens, |index| parts[index % 3][index / 3])
    }
}
