//! Claim: what a proof says, the challenge it is made under, and the name by which it counts once.
//!
//! The challenge is a public input that nobody chooses: blake3 over the curve, the circuit, the verifying key,
//! every block's commitment, every other public input and the caller's context. It exists once the blocks are
//! fixed, so a lookup argument may use it. A proof can be re-randomised by anybody who sees it, so its bytes
//! name nothing; the [`StatementId`] covers what is claimed, and neither the proof nor its blinders.

use ark_ff::{BigInteger, PrimeField};
use longhaul_dtn::hash::ContentHash;

use super::key::VerifyingKey;
use super::points::{self, Form};
use crate::curve::{Curve, PointOne, Scalar};

/// Bytes that are reduced to a scalar: 16 more than it has, so that it is uniform within 2^-128.
const WIDE_BYTES: usize = 48;

/// What a proof says: its public inputs, the values of the blocks it shows, and its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<E: Curve> {
    /// The public inputs beside the constant and the challenge.
    pub public: Vec<Scalar<E>>,
    /// The values of the last blocks, where they are shown and not hidden.
    pub shown: Vec<Vec<Scalar<E>>>,
    /// What the proof is bound to beside: canonical bytes of the caller.
    pub context: Vec<u8>,
}

/// The name of a claim: the same for every proof of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(ContentHash);

impl StatementId {
    /// The hash, for the wire.
    pub const fn hash(self) -> ContentHash {
        self.0
    }
}

impl<E: Curve> Claim<E> {
    /// The claim's name under a key. Two proofs with one name count once.
    ///
    /// Values of shown blocks are left out: they follow from what is proven about.
    pub fn statement_id(&self, key: &VerifyingKey<E>, key_hash: ContentHash) -> StatementId {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs statement v1");
        self.hash_common(key, key_hash, &mut hasher);
        StatementId(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }

    /// The challenge under the commitments of all blocks.
    pub(super) fn challenge(
        &self,
        key: &VerifyingKey<E>,
        key_hash: ContentHash,
        blocks: &[PointOne<E>],
    ) -> Scalar<E> {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs challenge v1");
        self.hash_common(key, key_hash, &mut hasher);
        let mut bytes = Vec::new();
        points::write(blocks, Form::Compressed, &mut bytes);
        hash_sized(&mut hasher, &bytes);
        let mut wide = [0; WIDE_BYTES];
        hasher.finalize_xof().fill(&mut wide);
        Scalar::<E>::from_le_bytes_mod_order(&wide)
    }

    fn hash_common(
        &self,
        key: &VerifyingKey<E>,
        key_hash: ContentHash,
        hasher: &mut blake3::Hasher,
    ) {
        hash_sized(hasher, E::NAME.as_bytes());
        hash_sized(hasher, key.circuit.hash().as_bytes());
        hash_sized(hasher, key_hash.as_bytes());
        hasher.update(&(key.block_count() as u64).to_be_bytes());
        let public: Vec<u8> =
            self.public.iter().flat_map(|input| input.into_bigint().to_bytes_be()).collect();
        hash_sized(hasher, &public);
        hash_sized(hasher, &self.context);
    }
}

/// Hashes bytes after their number, so that no two sequences of parts are hashed alike.
fn hash_sized(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
}
