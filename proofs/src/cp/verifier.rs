//! Verifier: checks proofs one by one, or many at the price of a few.
//!
//! One proof: `e(A, B) = e(alpha, beta) e(inputs, gamma) prod e(D_j, delta_j) e(C, delta)`. Many: each equation
//! is raised to a coefficient of 128 bits that blake3 derives from all claims and proofs, and the products
//! over one base are joined, so that each further proof costs one Miller loop. If the product does not
//! hold, halves are checked until the bad ones are found; the proofs' own Miller loops are kept meanwhile, so that each half costs
//! those of the key's bases alone.

use std::collections::BTreeSet;
use std::ops::Range;

use ark_ec::CurveGroup;
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ff::{Field, One, PrimeField};
use longhaul_dtn::hash::ContentHash;
use rayon::prelude::*;

use super::claim::{Claim, StatementId};
use super::key::{KeyError, VerifyingKey};
use super::msm::{Grouped, sum_wide};
use super::proof::Proof;
use crate::curve::{Curve, PointOne, Scalar};

/// Pairings of one task: fewer do not pay for the squarings that a task repeats.
const TASK_PAIRINGS: usize = 8;
/// Among so many of which one is bad, each is checked by itself.
const SINGLY_MAX: usize = 8;
/// After so many levels at which both halves failed, bad ones are everywhere, and each is checked by itself.
const CROWDED: u32 = 2;

/// A verifying key, checked and prepared.
#[derive(Debug, Clone)]
pub struct Verifier<E: Curve> {
    key: VerifyingKey<E>,
    hash: ContentHash,
    alpha_beta: <E as Pairing>::TargetField,
    /// Minus gamma, minus each block's delta, minus delta.
    bases: Vec<<E as Pairing>::G2Prepared>,
}

/// A claim with its proof.
pub type Claimed<'a, E> = (&'a Claim<E>, &'a Proof<E>);

/// Why a proof does not show a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The claim has more or fewer public inputs than the circuit.
    #[error("the claim has {found} public inputs where the circuit has {expected}")]
    PublicCount {
        /// Those of the claim.
        found: usize,
        /// Those of the circuit.
        expected: usize,
    },
    /// Hidden and shown blocks are not the circuit's.
    #[error("the hidden and shown blocks are not those of the circuit")]
    Blocks,
    /// The equation does not hold.
    #[error("the proof does not show the claim")]
    Invalid,
}

/// A proof with what follows from its claim.
struct Item<'a, E: Curve> {
    proof: &'a Proof<E>,
    /// The constant, the challenge and the other public inputs.
    inputs: Vec<Scalar<E>>,
    /// The commitments of all blocks.
    blocks: Vec<PointOne<E>>,
}

impl<E: Curve> Verifier<E> {
    /// Checks and prepares a key.
    ///
    /// # Errors
    /// What [`VerifyingKey::check`] refuses.
    pub fn new(key: VerifyingKey<E>) -> Result<Self, KeyError> {
        key.check()?;
        let deltas = key.block_deltas.iter();
        let bases = [&key.gamma].into_iter().chain(deltas).chain([&key.delta]);
        let bases = bases.map(|&base| (-base).into()).collect();
        let alpha_beta = E::pairing(key.alpha, key.beta).0;
        Ok(Self { hash: key.hash(), alpha_beta, bases, key })
    }

    /// The key.
    pub const fn key(&self) -> &VerifyingKey<E> {
        &self.key
    }

    /// The key's name.
    pub const fn key_hash(&self) -> ContentHash {
        self.hash
    }

    /// The name under which a claim counts once.
    pub fn statement_id(&self, claim: &Claim<E>) -> StatementId {
        claim.statement_id(&self.key, self.hash)
    }

    /// The commitment to a shown block: its values, unblinded.
    fn shown_commitment(&self, block: usize, values: &[Scalar<E>]) -> PointOne<E> {
        Grouped::new(values).sum(0, &self.key.shown[block]).into_affine()
    }

    /// Checks one proof: four to six Miller loops, some 2 ms on BN254.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, claim: &Claim<E>, proof: &Proof<E>) -> Result<(), VerifyError> {
        let item = self.item(claim, proof)?;
        if self.holds(&[&item], &[Scalar::<E>::one()]) { Ok(()) } else { Err(VerifyError::Invalid) }
    }

    /// Checks many proofs and gives the positions of those that do not show their claim.
    ///
    /// Each bad proof among `n` costs `log2(n)` further checks, of `n` proofs at most together.
    pub fn verify_batch(&self, proofs: &[Claimed<'_, E>]) -> BTreeSet<usize> {
        let items: Vec<_> =
            proofs.par_iter().map(|(claim, proof)| self.item(claim, proof)).collect();
        let mut bad = BTreeSet::new();
        let mut good = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Ok(item) => good.push((index, item)),
                Err(_) => {
                    bad.insert(index);
                }
            }
        }
        let (indices, items): (Vec<_>, Vec<_>) = good.into_iter().unzip();
        let coefficients = self.coefficients(&items);
        if !self.holds(&items, &coefficients) {
            let own = items.par_iter().zip(&coefficients).map(|(item, z)| self.own(item, z));
            let own: Vec<_> = own.collect();
            let all = Suspects { items: &items, coefficients: &coefficients, own: &own };
            self.split(&all, &indices, 0, &mut bad);
        }
        bad
    }

    /// An item's own Miller loop, which every product that it is in needs.
    fn own(&self, item: &Item<'_, E>, coefficient: &Scalar<E>) -> <E as Pairing>::TargetField {
        let a = scaled(item.proof.a, coefficient).into_affine();
        E::multi_miller_loop([a], [item.proof.b]).0
    }

    /// Finds the bad ones among items whose product does not hold.
    fn split(
        &self,
        items: &Suspects<'_, E>,
        indices: &[usize],
        crowded: u32,
        bad: &mut BTreeSet<usize>,
    ) {
        if let [index] = indices {
            bad.insert(*index);
            return;
        }
        // Where most of the products would fail, each is looked at by itself.
        if indices.len() <= SINGLY_MAX || crowded > CROWDED {
            let each = (0..indices.len()).into_par_iter();
            let fails = each.map(|at| !self.clears(&items.part(at..at + 1)));
            let fails: Vec<bool> = fails.collect();
            bad.extend(indices.iter().zip(fails).filter(|it| it.1).map(|it| *it.0));
            return;
        }
        let half = indices.len() / 2;
        let (left, right) = (items.part(0..half), items.part(half..indices.len()));
        let left_holds = self.clears(&left);
        let right_holds = !left_holds && self.clears(&right);
        let crowded = if left_holds || right_holds { 0 } else { crowded + 1 };
        if !left_holds {
            self.split(&left, &indices[..half], crowded, bad);
        }
        if !right_holds {
            self.split(&right, &indices[half..], crowded, bad);
        }
    }

    /// Whether the product of the items' equations holds, whose own Miller loops are there.
    fn clears(&self, items: &Suspects<'_, E>) -> bool {
        let joined = E::G1::normalize_batch(&self.joined(items.items, items.coefficients));
        let fixed = E::multi_miller_loop(joined, self.bases.iter().cloned()).0;
        let product = items.own.iter().fold(fixed, |product, own| product * own);
        self.is_one(product, items.coefficients)
    }

    fn item<'a>(&self, claim: &Claim<E>, proof: &'a Proof<E>) -> Result<Item<'a, E>, VerifyError> {
        let (found, expected) = (claim.public.len(), self.key.public_count());
        if found != expected {
            return Err(VerifyError::PublicCount { found, expected });
        }
        let skipped = self.key.showable_count().checked_sub(claim.shown.len());
        let skipped = skipped.ok_or(VerifyError::Blocks)?;
        let fits = |(block, values): (usize, &Vec<_>)| values.len() == self.key.shown[block].len();
        let shown = || (skipped..).zip(&claim.shown);
        let count = proof.blocks.len() + claim.shown.len();
        if count != self.key.block_count() || !shown().all(fits) {
            return Err(VerifyError::Blocks);
        }
        let mut blocks = proof.blocks.clone();
        blocks.extend(shown().map(|(block, values)| self.shown_commitment(block, values)));
        let challenge = claim.challenge(&self.key, self.hash, &blocks);
        let mut inputs = vec![Scalar::<E>::one(), challenge];
        inputs.extend(&claim.public);
        Ok(Item { proof, inputs, blocks })
    }

    /// A coefficient for each item, which its maker cannot know before all are fixed.
    fn coefficients(&self, items: &[&Item<'_, E>]) -> Vec<Scalar<E>> {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs batch v1");
        for item in items {
            let challenge = item.inputs[1].into_bigint();
            for limb in challenge.as_ref() {
                hasher.update(&limb.to_be_bytes());
            }
            hasher.update(&item.proof.encode());
        }
        coefficients(&hasher, items.len())
    }

    /// Whether the product of the items' equations, raised to the coefficients, holds.
    fn holds(&self, items: &[&Item<'_, E>], coefficients: &[Scalar<E>]) -> bool {
        let joined = E::G1::normalize_batch(&self.joined(items, coefficients));
        let own: Vec<E::G1> =
            items.par_iter().zip(coefficients).map(|(item, z)| scaled(item.proof.a, z)).collect();
        let own = E::G1::normalize_batch(&own);
        let fixed = joined.into_iter().map(Pair::Fixed).zip(0..);
        let varied = own.into_iter().map(Pair::Own).zip(0..);
        let pairs: Vec<_> = fixed.chain(varied).collect();
        let task = |pairs: &[(Pair<E>, usize)]| {
            let (ones, twos): (Vec<_>, Vec<_>) = pairs
                .iter()
                .map(|(pair, index)| match pair {
                    Pair::Fixed(point) => (*point, self.bases[*index].clone()),
                    Pair::Own(point) => (*point, items[*index].proof.b.into()),
                })
                .unzip();
            E::multi_miller_loop(ones, twos).0
        };
        let tasks = pairs.par_chunks(TASK_PAIRINGS).map(task);
        let product = tasks.reduce(E::TargetField::one, |left, right| left * right);
        self.is_one(product, coefficients)
    }

    /// Whether the pairings of a product are those of alpha and beta, as often as the coefficients say.
    fn is_one(&self, product: <E as Pairing>::TargetField, coefficients: &[Scalar<E>]) -> bool {
        let product = E::final_exponentiation(MillerLoopOutput(product));
        let exponent: Scalar<E> = coefficients.iter().sum();
        product.is_some_and(|product| product.0 == self.alpha_beta.pow(exponent.into_bigint()))
    }

    /// The sums over the items for gamma, each block's delta, and delta.
    fn joined(&self, items: &[&Item<'_, E>], coefficients: &[Scalar<E>]) -> Vec<E::G1> {
        let weigh = |input: usize| {
            items.iter().zip(coefficients).map(|(item, z)| item.inputs[input] * z).sum()
        };
        let inputs: Vec<Scalar<E>> = (0..self.key.inputs.len()).map(weigh).collect();
        let over_items = |point: &(dyn Fn(&Item<'_, E>) -> PointOne<E> + Sync)| match items {
            [item] => scaled(point(item), &coefficients[0]),
            _ => {
                let points: Vec<_> = items.iter().map(|item| point(item)).collect();
                sum_wide(&points, coefficients)
            }
        };
        let mut sums = vec![sum_wide(&self.key.inputs, &inputs)];
        sums.extend(
            (0..self.key.block_count()).map(|block| over_items(&|item| item.blocks[block])),
        );
        sums.push(over_items(&|item| item.proof.c));
        sums
    }
}

/// Coefficients of 128 bits that follow from what was hashed.
pub(crate) fn coefficients<F: PrimeField>(hasher: &blake3::Hasher, count: usize) -> Vec<F> {
    let mut stream = hasher.finalize_xof();
    let draw = |_| {
        let mut bytes = [0; 16];
        stream.fill(&mut bytes);
        F::from(u128::from_be_bytes(bytes))
    };
    (0..count).map(draw).collect()
}

/// Items among which some are bad.
struct Suspects<'a, E: Curve> {
    items: &'a [&'a Item<'a, E>],
    coefficients: &'a [Scalar<E>],
    /// The own Miller loop of each.
    own: &'a [<E as Pairing>::TargetField],
}

impl<E: Curve> Suspects<'_, E> {
    fn part(&self, places: Range<usize>) -> Suspects<'_, E> {
        Suspects {
            items: &self.items[places.clone()],
            coefficients: &self.coefficients[places.clone()],
            own: &self.own[places],
        }
    }
}

/// A point of G1 whose partner is a base of the key, or an item's own `B`.
enum Pair<E: Curve> {
    Fixed(PointOne<E>),
    Own(PointOne<E>),
}

/// A multiple that costs nothing when the scalar is one.
fn scaled<P: ark_ec::short_weierstrass::SWCurveConfig>(
    point: ark_ec::short_weierstrass::Affine<P>,
    scalar: &P::ScalarField,
) -> ark_ec::short_weierstrass::Projective<P> {
    if *scalar == P::ScalarField::ONE { point.into() } else { point * scalar }
}
