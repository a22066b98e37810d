//! Knowledge: a contributor shows that it knows the factor of each of its separators.
//!
//! Schnorr proofs of `new = x old`, one for each secret, under one challenge: `R = k old`, `c` = blake3 of everything
//! else in the contribution and of all `R`, `z = k + c x`; the check is `z old = R + c new`. The challenge covers the
//! predecessor's hash, the contributor and all points, so a proof is of no use elsewhere: a copied one makes another
//! challenge. BGM17 (eprint 2017/1050, section 3) shows knowledge with a hashed point of G2 instead; Schnorr's needs no hash
//! to a curve, and in the algebraic group model the factor can be read off it without rewinding (Fuchsbauer, Plouviez and
//! Seurin, 2019/877). Why it is needed at all: without it, a contributor may cancel those before it.

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::PrimeField;
use ark_serialize::CanonicalSerialize;

use super::refusal::Refusal;
use crate::cp::points::{self, Form, Trust};
use crate::curve::{Curve, PointOne, Scalar};
use crate::seed::{Secret, Seed};

/// A scalar as it travels, on either curve.
pub(super) const SCALAR_BYTES: usize = 32;
const WIDE_BYTES: usize = 48;

/// Proofs of knowledge of all secrets of one contribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Knowledge<E: Curve> {
    commitments: Vec<PointOne<E>>,
    responses: Vec<Scalar<E>>,
}

impl<E: Curve> Knowledge<E> {
    /// Shows the factors of `bases`; `statement` is all that the contribution says otherwise.
    pub(super) fn prove(
        bases: &[PointOne<E>],
        secrets: &[Secret<Scalar<E>>],
        statement: &[u8],
        seed: &Seed,
    ) -> Self {
        let mut draw = seed.derive("proofs of knowledge", 0).draw();
        let nonces: Vec<Secret<Scalar<E>>> = bases.iter().map(|_| draw.scalar()).collect();
        let masked = bases.iter().zip(&nonces).map(|(base, nonce)| *base * nonce.reveal());
        let commitments: Vec<_> = masked.map(CurveGroup::into_affine).collect();
        let challenge = challenge::<E>(statement, &commitments);
        let response = |(nonce, secret): (&Secret<_>, &Secret<_>)| {
            challenge * secret.reveal() + nonce.reveal()
        };
        let responses = nonces.iter().zip(secrets).map(response).collect();
        Self { commitments, responses }
    }

    /// Whether each of `results` is a known multiple of its base.
    pub(super) fn holds(
        &self,
        bases: &[PointOne<E>],
        results: &[PointOne<E>],
        statement: &[u8],
    ) -> bool {
        let challenge = challenge::<E>(statement, &self.commitments);
        let holds = |index: usize| {
            let commitment = self.commitments[index].into_group();
            bases[index] * self.responses[index] == commitment + results[index] * challenge
        };
        let counts = [results.len(), self.commitments.len(), self.responses.len()];
        counts.into_iter().all(|count| count == bases.len()) && (0..bases.len()).all(holds)
    }

    /// The commitments and the responses, as they travel.
    pub(super) fn write(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut commitments, mut responses) = (Vec::new(), Vec::new());
        points::write(&self.commitments, Form::Compressed, &mut commitments);
        for response in &self.responses {
            response.serialize_compressed(&mut responses).expect("a vector takes all bytes");
        }
        (commitments, responses)
    }

    /// Reads the proofs of `count` secrets.
    pub(super) fn read(
        count: usize,
        mut commitments: &[u8],
        responses: &[u8],
    ) -> Result<Self, Refusal> {
        let read = points::read(&mut commitments, count, Form::Compressed, Trust::Stranger)?;
        if !commitments.is_empty() || responses.len() != count * SCALAR_BYTES {
            return Err(points::PointError::Length.into());
        }
        let responses =
            responses.chunks_exact(SCALAR_BYTES).map(scalar).collect::<Result<_, _>>()?;
        Ok(Self { commitments: read, responses })
    }
}

/// A scalar below the group's order.
fn scalar<F: PrimeField>(bytes: &[u8]) -> Result<F, Refusal> {
    F::deserialize_compressed(bytes).map_err(|_| Refusal::Scalar)
}

fn challenge<E: Curve>(statement: &[u8], commitments: &[PointOne<E>]) -> Scalar<E> {
    let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 ceremony knowledge v1");
    hasher.update(&(statement.len() as u64).to_be_bytes()).update(statement);
    let mut bytes = Vec::new();
    points::write(commitments, Form::Compressed, &mut bytes);
    hasher.update(&bytes);
    let mut wide = [0; WIDE_BYTES];
    hasher.finalize_xof().fill(&mut wide);
    Scalar::<E>::from_le_bytes_mod_order(&wide)
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr, G1Affine};

    use super::*;

    #[test]
    fn shows_factors_of_this_statement_in_this_order() {
        let generator = G1Affine::generator();
        let bases: Vec<G1Affine> =
            [3, 5].map(|k: u64| (generator * Fr::from(k)).into_affine()).to_vec();
        let secrets = [7, 11].map(|k: u64| Secret::new(Fr::from(k)));
        let results: Vec<G1Affine> =
            bases.iter().zip(&secrets).map(|(b, s)| (*b * s.reveal()).into_affine()).collect();
        let seed = Seed::from_bytes([1; 32]);
        let proof = Knowledge::<Bn254>::prove(&bases, &secrets, b"here", &seed);
        assert!(proof.holds(&bases, &results, b"here"));
        assert!(!proof.holds(&bases, &results, b"there"));
        assert!(!proof.holds(&bases, &[results[1], results[0]], b"here"));
        assert!(!proof.holds(&bases[..1], &results[..1], b"here"));
        let (commitments, responses) = proof.write();
        assert_eq!(Knowledge::read(2, &commitments, &responses), Ok(proof));
        let above = [0xff; 64];
        assert_eq!(Knowledge::<Bn254>::read(2, &commitments, &above), Err(Refusal::Scalar));
    }
}
