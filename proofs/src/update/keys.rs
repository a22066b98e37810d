//! Keys: what proves and verifies updates, from the bytes of keys on whichever curve, compiled in this crate.
//!
//! Everything below is generic over curves, and would be compiled again wherever it is used, with that crate's settings:
//! slowly built, and slow where those are a test's.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use super::{
    ProveUpdates, UpdateKeysError, UpdateProver, UpdateShape, UpdateVerifier, VerifyUpdates,
};
use crate::cp::{KeyError, VerifyingKey, development_key};
use crate::curve::{Bls12_381, Bn254, Curve, ProofCurve, Scalar};
use crate::s1::{ChunkProver, ChunkVerifier, Shape, circuit};
use crate::seed::Seed;

/// The proving key of one shape, and what is pinned of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeKey<'a> {
    /// The shape.
    pub shape: Shape,
    /// The bytes of the proving key.
    pub proving: &'a [u8],
    /// The hash that these bytes have to have.
    pub pinned: ContentHash,
    /// The bytes of the verifying key that has to be inside.
    pub verifying: &'a [u8],
}

/// What verifies updates of this shape, from the verifying keys of its chunks. Keys that one party made are accepted where
/// `development` is.
///
/// # Errors
/// [`UpdateKeysError`].
pub fn verifier(
    curve: ProofCurve,
    shape: UpdateShape,
    keys: &[(Shape, &[u8])],
    development: bool,
) -> Result<Arc<dyn VerifyUpdates>, UpdateKeysError> {
    Ok(match curve {
        ProofCurve::Bn254 => Arc::new(verifier_on::<Bn254>(shape, keys, development)?),
        ProofCurve::Bls12381 => Arc::new(verifier_on::<Bls12_381>(shape, keys, development)?),
    })
}

fn verifier_on<E: Curve>(
    update: UpdateShape,
    keys: &[(Shape, &[u8])],
    development: bool,
) -> Result<UpdateVerifier<E>, UpdateKeysError> {
    let chunk = |&(shape, bytes): &(Shape, &[u8])| {
        let refused = |error| UpdateKeysError::Key { shape: shape.entries(), error };
        let key = VerifyingKey::<E>::decode(bytes).map_err(refused)?;
        if !development {
            key.require_ceremony().map_err(refused)?;
        }
        ChunkVerifier::new(shape, key).map_err(refused)
    };
    UpdateVerifier::new(update, keys.iter().map(chunk).collect::<Result<Vec<_>, _>>()?)
}

/// What proves updates of one shape, from the proving keys of its chunks: for chunks of 65,000 entries some 0.2 s.
///
/// # Errors
/// [`UpdateKeysError`].
pub fn prover(
    curve: ProofCurve,
    shape: UpdateShape,
    keys: &[ShapeKey<'_>],
) -> Result<Arc<dyn ProveUpdates>, UpdateKeysError> {
    Ok(match curve {
        ProofCurve::Bn254 => Arc::new(prover_on::<Bn254>(shape, keys)?),
        ProofCurve::Bls12381 => Arc::new(prover_on::<Bls12_381>(shape, keys)?),
    })
}

fn prover_on<E: Curve>(
    update: UpdateShape,
    keys: &[ShapeKey<'_>],
) -> Result<UpdateProver<E>, UpdateKeysError> {
    let chunk = |key: &ShapeKey<'_>| {
        let entries = key.shape.entries();
        let refused = |error| UpdateKeysError::Key { shape: entries, error };
        let prover =
            ChunkProver::<E>::decode(key.shape, key.proving, key.pinned).map_err(refused)?;
        match prover.prover().key().verifying().encode() == key.verifying {
            true => Ok(prover),
            false => Err(UpdateKeysError::Pair(entries)),
        }
    };
    UpdateProver::new(update, keys.iter().map(chunk).collect::<Result<Vec<_>, _>>()?)
}

/// The standard shape whose circuit a verifying key is of.
///
/// # Errors
/// Bytes that are no verifying key, or one of no standard shape.
pub fn shape_of(curve: ProofCurve, verifying: &[u8]) -> Result<Shape, KeyError> {
    match curve {
        ProofCurve::Bn254 => shape_on::<Bn254>(verifying),
        ProofCurve::Bls12381 => shape_on::<Bls12_381>(verifying),
    }
}

fn shape_on<E: Curve>(verifying: &[u8]) -> Result<Shape, KeyError> {
    let key = VerifyingKey::<E>::decode(verifying)?;
    let of = |shape: &Shape| circuit::<Scalar<E>>(*shape).id() == key.circuit();
    Shape::STANDARD.into_iter().find(of).ok_or(KeyError::Circuit)
}

/// The bytes of a verifying and a proving key that whoever knows the seed can forge proofs with: for tests and demonstrations.
pub fn development_keys(curve: ProofCurve, shape: Shape, seed: &Seed) -> (Vec<u8>, Vec<u8>) {
    match curve {
        ProofCurve::Bn254 => development_on::<Bn254>(shape, seed),
        ProofCurve::Bls12381 => development_on::<Bls12_381>(shape, seed),
    }
}

fn development_on<E: Curve>(shape: Shape, seed: &Seed) -> (Vec<u8>, Vec<u8>) {
    let key = development_key::<E>(&circuit(shape), seed);
    (key.verifying().encode(), key.encode())
}

#[cfg(test)]
mod tests {
    use longhaul_aggregation::{Init, NormBound, Schema, TensorSpec};

    use super::*;

    fn shape() -> UpdateShape {
        let tensor = TensorSpec::new("w", vec![10], Init::Zero).expect("a small tensor");
        let schema = Schema::new(vec![tensor]).expect("one small tensor");
        UpdateShape::new(&schema, NormBound::from_units(1))
    }

    fn keys() -> (Vec<u8>, Vec<u8>) {
        development_keys(ProofCurve::Bn254, Shape::STANDARD[0], &Seed::from_bytes([1; 32]))
    }

    #[test]
    fn keys_serve_their_curve_and_their_shape() {
        let ((verifying, _), small) = (keys(), Shape::STANDARD[0]);
        assert_eq!(shape_of(ProofCurve::Bn254, &verifying), Ok(small));
        assert!(shape_of(ProofCurve::Bls12381, &verifying).is_err());
        let made = |curve, of, bytes| verifier(curve, shape(), &[(of, bytes)], true).map(drop);
        assert_eq!(made(ProofCurve::Bn254, small, &verifying), Ok(()));
        assert!(made(ProofCurve::Bls12381, small, &verifying).is_err());
        let error = KeyError::Circuit;
        let refused = UpdateKeysError::Key { shape: 7_800, error };
        assert_eq!(made(ProofCurve::Bn254, Shape::STANDARD[1], &verifying), Err(refused));
        let none = verifier(ProofCurve::Bn254, shape(), &[], true).map(drop);
        assert_eq!(none, Err(UpdateKeysError::Missing(1_000)));
    }

    #[test]
    fn development_keys_are_refused_where_none_are_expected() {
        let (verifying, _) = keys();
        let keys = [(Shape::STANDARD[0], &verifying[..])];
        let refused = verifier(ProofCurve::Bn254, shape(), &keys, false).map(drop);
        let error = VerifyingKey::<Bn254>::decode(&verifying).expect("sound").require_ceremony();
        let error = error.expect_err("one party made it");
        assert_eq!(refused, Err(UpdateKeysError::Key { shape: 1_000, error }));
    }

    #[test]
    fn a_prover_has_the_pinned_keys() {
        let (verifying, proving) = keys();
        let pinned = ContentHash::of(&proving);
        let key = ShapeKey {
            shape: Shape::STANDARD[0],
            proving: &proving,
            pinned,
            verifying: &verifying,
        };
        let made = |key| prover(ProofCurve::Bn254, shape(), &[key]).map(drop);
        assert_eq!(made(key), Ok(()));
        let other = made(ShapeKey { verifying: &verifying[1..], ..key });
        assert_eq!(other, Err(UpdateKeysError::Pair(1_000)));
        assert!(made(ShapeKey { pinned: ContentHash::of(b"another"), ..key }).is_err());
        assert!(made(ShapeKey { proving: &proving[..proving.len() - 1], ..key }).is_err());
    }
}
