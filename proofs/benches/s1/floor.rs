//! Floor: the transforms and the sums that a proof of a shape cannot do without, and nothing else.
//!
//! Six transforms, the sum over the quotient, and the sums over entries (their commitment, `B` in both groups) and
//! over inverses (`A` and the free part), each grouped beforehand, in the order and on the threads of the prover.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{PrimeGroup, ScalarMul};
use ark_ff::{Field, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use longhaul_proofs::cp::{Grouped, sum_wide};

pub struct Floor {
    domain: Radix2EvaluationDomain<Fr>,
    wide: Vec<Fr>,
    entries: Grouped<Fr>,
    inverses: Grouped<Fr>,
    ones: Vec<G1Affine>,
    twos: Vec<G2Affine>,
}

impl Floor {
    pub fn new(entries: &[i8]) -> Self {
        let domain = Radix2EvaluationDomain::new(entries.len() + 353).expect("a domain");
        let wide: Vec<Fr> = (1..=domain.size() as u64).map(|k| Fr::from(k).pow([101])).collect();
        let values: Vec<Fr> = entries.iter().map(|&entry| Fr::from(entry)).collect();
        let challenge = Fr::from_le_bytes_mod_order(&[9; 48]);
        let inverses: Vec<Fr> =
            values.iter().map(|it| (challenge - it).inverse().expect("not in the table")).collect();
        Self {
            domain,
            entries: Grouped::new(&values),
            inverses: Grouped::new(&inverses),
            ones: G1Projective::generator().batch_mul(&wide),
            twos: G2Projective::generator().batch_mul(&wide[..entries.len()]),
            wide,
        }
    }

    pub fn run(&self) -> (G1Projective, G2Projective) {
        let commitment = self.entries.sum(0, &self.ones);
        let quotient = || {
            let transform = |count: usize| {
                let mut values = self.wide.clone();
                (0..count).for_each(|_| self.domain.fft_in_place(&mut values));
            };
            rayon::join(|| transform(2), || rayon::join(|| transform(2), || transform(2)));
            sum_wide(&self.ones, &self.wide)
        };
        let queries = || {
            let inverses = || self.inverses.sum(0, &self.ones) + self.inverses.sum(0, &self.ones);
            let entries = || (self.entries.sum(0, &self.ones), self.entries.sum(0, &self.twos));
            rayon::join(inverses, entries)
        };
        let (h, (a, (b, b_two))) = rayon::join(quotient, queries);
        (commitment + h + a + b, b_two)
    }
}
