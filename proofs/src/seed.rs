//! Seed: the randomness of a commitment, a proof or a setup, as an input.
//!
//! Nothing here draws entropy. A caller hands in 32 bytes that nobody else knows and that it uses once;
//! ChaCha20 stretches them. What blinds or masks a secret is drawn from the seed and that secret together, so a
//! seed that is used twice all the same blinds two different things independently. Seeds and what they become are wiped when dropped, and printing them shows nothing.

use std::fmt;

use ark_ff::PrimeField;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use zeroize::Zeroize;

/// 32 secret bytes, for one use.
pub struct Seed([u8; 32]);

/// A secret scalar: a blinder, or what a setup must forget.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<F: PrimeField>(F);

/// Secret scalars, one after the other.
pub(crate) struct Draw(ChaCha20Rng);

impl Seed {
    /// Takes 32 uniform bytes. Two uses of one seed for the same thing give the same bytes, and show that it is the same.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed for one of several uses, named by `purpose`.
    pub fn derive(&self, purpose: &str, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs seed v1");
        hasher.update(&self.0).update(&number.to_be_bytes()).update(purpose.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// A seed for blinding these secrets: others make another.
    ///
    /// The hash covers how many scalars each part has, so that no two sequences of parts are hashed alike.
    pub(crate) fn hedged<'a, F: PrimeField>(
        &self,
        purpose: &str,
        parts: impl IntoIterator<Item = &'a [F]>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs hedged seed v1");
        hasher.update(&self.0);
        hasher.update(&(purpose.len() as u64).to_be_bytes()).update(purpose.as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            for scalar in part {
                for limb in scalar.into_bigint().as_ref() {
                    hasher.update(&limb.to_be_bytes());
                }
            }
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn draw(&self) -> Draw {
        Draw(ChaCha20Rng::from_seed(self.0))
    }
}

impl Draw {
    /// A scalar whose distance from uniform is below 2^-250: 64 bytes reduced.
    pub(crate) fn scalar<F: PrimeField>(&mut self) -> Secret<F> {
        let mut bytes = [0; 64];
        self.0.fill_bytes(&mut bytes);
        let scalar = Secret(F::from_le_bytes_mod_order(&bytes));
        bytes.zeroize();
        scalar
    }

    /// A coefficient of a random combination: 128 bits are enough, and half the work.
    pub(crate) fn half(&mut self) -> u128 {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

impl<F: PrimeField> Secret<F> {
    /// Takes a scalar that is to stay secret.
    pub const fn new(scalar: F) -> Self {
        Self(scalar)
    }

    /// The scalar, for the one who opens a commitment with it.
    pub const fn reveal(&self) -> &F {
        &self.0
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<F: PrimeField> Drop for Secret<F> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw(..)")
    }
}

impl<F: PrimeField> fmt::Debug for Secret<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    #[test]
    fn secrets_print_nothing() {
        let seed = Seed::from_bytes([7; 32]);
        assert_eq!(format!("{seed:?} {:?}", seed.draw().scalar::<Fr>()), "Seed(..) Secret(..)");
    }

    #[test]
    fn uses_of_one_seed_differ() {
        let seed = Seed::from_bytes([7; 32]);
        let first = |seed: Seed| *seed.draw().scalar::<Fr>().reveal();
        let drawn = [("a", 0), ("a", 1), ("b", 0)].map(|(name, k)| first(seed.derive(name, k)));
        assert!(drawn[0] != drawn[1] && drawn[0] != drawn[2] && drawn[1] != drawn[2]);
        assert_eq!(first(seed.derive("a", 1)), drawn[1]);
    }

    #[test]
    fn a_seed_used_twice_blinds_two_things_independently() {
        let seed = Seed::from_bytes([7; 32]);
        let blinder = |purpose: &str, parts: &[&[u64]]| {
            let parts: Vec<Vec<Fr>> =
                parts.iter().map(|part| part.iter().map(|&it| Fr::from(it)).collect()).collect();
            let seed = seed.hedged(purpose, parts.iter().map(Vec::as_slice));
            *seed.draw().scalar::<Fr>().reveal()
        };
        let drawn = [
            blinder("a", &[&[1, 2], &[3]]),
            blinder("a", &[&[1], &[2, 3]]),
            blinder("a", &[&[1, 2, 3]]),
            blinder("a", &[&[1, 2], &[4]]),
            blinder("b", &[&[1, 2], &[3]]),
            blinder("a", &[]),
        ];
        let distinct: std::collections::BTreeSet<Fr> = drawn.into();
        assert_eq!(distinct.len(), drawn.len());
        assert_eq!(blinder("a", &[&[1, 2], &[3]]), drawn[0]);
    }
}
