//! Development setup: a key that one party makes from a seed, and could forge proofs for.
//!
//! For tests, benchmarks and demonstrations. The key says so ([`Origin::Development`]), and a production
//! manifest refuses it. The quadratic arithmetic program is the one of libsnark and ark-groth16: an input
//! has a row of its own in `A` beyond the constraints, so that the inputs' polynomials are independent.

use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::{PrimeGroup, ScalarMul};
use ark_ff::{Field, Zero};
use ark_poly::EvaluationDomain;

use super::key::{Origin, VerifyingKey};
use super::proving::ProvingKey;
use super::quotient::domain;
use super::r1cs::R1cs;
use crate::curve::{Curve, Scalar};
use crate::seed::{Secret, Seed};

/// What must be forgotten.
struct Toxic<E: Curve> {
    alpha: Secret<Scalar<E>>,
    beta: Secret<Scalar<E>>,
    gamma: Secret<Scalar<E>>,
    delta: Secret<Scalar<E>>,
    block_deltas: Vec<Secret<Scalar<E>>>,
    tau: Secret<Scalar<E>>,
}

/// The polynomials of each wire at `tau`.
struct Program<F> {
    a: Vec<F>,
    b: Vec<F>,
    c: Vec<F>,
    vanishing: F,
}

/// Makes a key for development: some 6 s of one core for 65,000 entries.
pub fn development_key<E: Curve>(system: &R1cs<Scalar<E>>, seed: &Seed) -> ProvingKey<E> {
    let toxic = Toxic::<E>::draw(system.layout().blocks.len(), seed);
    let program = evaluate(system, *toxic.tau.reveal());
    toxic.key(system, &program)
}

/// The key of known secrets (alpha, beta, gamma, delta, tau, the blocks' deltas): the oracle of the ceremony's tests.
#[cfg(test)]
pub(crate) fn key_of_secrets<E: Curve>(
    system: &R1cs<Scalar<E>>,
    [alpha, beta, gamma, delta, tau]: [Secret<Scalar<E>>; 5],
    block_deltas: Vec<Secret<Scalar<E>>>,
) -> ProvingKey<E> {
    let program = evaluate(system, *tau.reveal());
    Toxic::<E> { alpha, beta, gamma, delta, block_deltas, tau }.key(system, &program)
}

/// Evaluates the wires' polynomials.
fn evaluate<E: ark_ff::PrimeField>(system: &R1cs<E>, tau: E) -> Program<E> {
    let domain = domain(system);
    let lagrange = domain.evaluate_all_lagrange_coefficients(tau);
    let zeros = vec![E::zero(); system.layout().wires()];
    let [mut a, b, c] = [&system.a, &system.b, &system.c].map(|matrix| {
        let mut sums = zeros.clone();
        for (row, at) in matrix.rows().zip(&lagrange) {
            row.iter().for_each(|(wire, factor)| sums[wire.index()] += *at * factor);
        }
        sums
    });
    let own_rows = &lagrange[system.rows()..][..system.layout().inputs()];
    a.iter_mut().zip(own_rows).for_each(|(sum, at)| *sum += at);
    Program { a, b, c, vanishing: domain.evaluate_vanishing_polynomial(tau) }
}

impl<E: Curve> Toxic<E> {
    fn draw(blocks: usize, seed: &Seed) -> Self {
        let mut draw = seed.derive("development setup", 0).draw();
        let mut scalar = || draw.scalar();
        Self {
            alpha: scalar(),
            beta: scalar(),
            gamma: scalar(),
            delta: scalar(),
            tau: scalar(),
            block_deltas: (0..blocks).map(|_| scalar()).collect(),
        }
    }

    fn key(&self, system: &R1cs<Scalar<E>>, program: &Program<Scalar<E>>) -> ProvingKey<E> {
        let layout = system.layout();
        let base = Multiples::new(E::G1::generator(), 6 * layout.wires());
        let [start, end] = [layout.inputs(), layout.free_start()];
        let mut blocks = Vec::new();
        for (block, delta) in self.block_deltas.iter().enumerate() {
            let wires = layout.block_start(block)..layout.block_start(block) + layout.blocks[block];
            blocks.push(base.all(&self.combined(program, wires, delta)));
        }
        let shown = blocks[blocks.len() - layout.showable..].to_vec();
        let inputs = base.all(&self.combined(program, 0..start, &self.gamma));
        let points = |secrets: &[Secret<_>]| base.all(&reveal(secrets));
        let base_two = Multiples::new(E::G2::generator(), layout.wires());
        let two = |secret: &Secret<_>| base_two.all(&[*secret.reveal()])[0];
        let verifying = VerifyingKey {
            circuit: system.id(),
            origin: Origin::Development,
            alpha: base.all(&[*self.alpha.reveal()])[0],
            blinding: base.all(&[*self.delta.reveal()])[0],
            inputs,
            shown,
            beta: two(&self.beta),
            gamma: two(&self.gamma),
            delta: two(&self.delta),
            block_deltas: base_two.all(&reveal(&self.block_deltas)),
        };
        ProvingKey {
            verifying,
            beta: base.all(&[*self.beta.reveal()])[0],
            block_deltas: points(&self.block_deltas),
            a: base.all(&program.a),
            b: base.all(&program.b),
            h: base.all(&self.powers(system, program)),
            free: base.all(&self.combined(program, end..layout.wires(), &self.delta)),
            blocks,
            b_two: base_two.all(&program.b),
        }
    }

    /// `(beta A + alpha B + C) / divisor` of some wires.
    fn combined(
        &self,
        program: &Program<Scalar<E>>,
        wires: std::ops::Range<usize>,
        divisor: &Secret<Scalar<E>>,
    ) -> Vec<Scalar<E>> {
        let inverse = divisor.reveal().inverse().expect("a drawn scalar is not zero");
        let (alpha, beta) = (self.alpha.reveal(), self.beta.reveal());
        wires
            .map(|i| (*beta * program.a[i] + *alpha * program.b[i] + program.c[i]) * inverse)
            .collect()
    }

    /// `tau^i z(tau) / delta`.
    fn powers(&self, system: &R1cs<Scalar<E>>, program: &Program<Scalar<E>>) -> Vec<Scalar<E>> {
        let inverse = self.delta.reveal().inverse().expect("a drawn scalar is not zero");
        let next = |power: &Scalar<E>| Some(*power * self.tau.reveal());
        std::iter::successors(Some(program.vanishing * inverse), next)
            .take(domain(system).size() - 1)
            .collect()
    }
}

fn reveal<F: ark_ff::PrimeField>(secrets: &[Secret<F>]) -> Vec<F> {
    secrets.iter().map(|secret| *secret.reveal()).collect()
}

/// Multiples of a generator.
struct Multiples<G: ScalarMul>(BatchMulPreprocessing<G>);

impl<G: ScalarMul> Multiples<G> {
    fn new(generator: G, count: usize) -> Self {
        Self(BatchMulPreprocessing::new(generator, count))
    }

    /// A multiple for each scalar; zeros, of which queries have many, cost nothing.
    fn all(&self, scalars: &[G::ScalarField]) -> Vec<G::MulBase> {
        let present: Vec<_> = scalars.iter().copied().filter(|it| !it.is_zero()).collect();
        let mut points = self.0.batch_mul(&present).into_iter();
        let mut point = |scalar: &G::ScalarField| match scalar.is_zero() {
            true => G::MulBase::from(G::zero()),
            false => points.next().expect("a point for each scalar"),
        };
        scalars.iter().map(&mut point).collect()
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr};
    use ark_ff::One;

    use super::*;
    use crate::cp::r1cs::{Layout, Wire};

    #[test]
    fn setups_repeat_with_their_seed_alone() {
        let mut system = R1cs::new(Layout { public: 0, blocks: vec![1], showable: 0, free: 1 });
        let at = |position| vec![(Wire::at(position), Fr::one())];
        system.push(at(1), at(2), at(3));
        let key = |byte| development_key::<Bn254>(&system, &Seed::from_bytes([byte; 32]));
        assert_eq!(key(1), key(1));
        assert_ne!(key(1).verifying().hash(), key(2).verifying().hash());
        assert_eq!(key(1).verifying().origin(), Origin::Development);
    }
}
