//! Draft: phase 2, the proving key of one circuit while its separators are being made.
//!
//! BGM17's second phase (eprint 2017/1050, section 6) for a key with several separators. `gamma` divides the public
//! inputs' points, `delta` those of the free wires and of the quotient, and each block's delta its bases. All begin at
//! one. A contribution multiplies each by a secret of its own, and the points under it by the inverse. Nothing else of a key changes, so
//! only that is sent. Points that are the identity (a wire that no constraint names) stay so, and are not sent.

use std::sync::Arc;

use ark_ec::AffineRepr;
use ark_ff::Field;
use longhaul_dtn::hash::ContentHash;

use super::contribution;
use super::multiply::scale_all;
use super::ratio::Coefficients;
use super::refusal::{Part, Refusal};
use super::stage::{PointCounts, Points, Stage};
use crate::cp::{
    CircuitId, KeyError, Layout, Origin, PointError, ProvingKey, R1cs, VerifyingKey,
    check_separators,
};
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::seed::Secret;

/// Gamma and delta, before the blocks.
const COMMON: usize = 2;

/// What no contribution changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed<E: Curve> {
    pub(super) circuit: CircuitId,
    pub(super) powers: ContentHash,
    pub(super) layout: Layout,
    pub(super) alpha: PointOne<E>,
    pub(super) beta: PointOne<E>,
    pub(super) beta_two: PointTwo<E>,
    pub(super) a: Vec<PointOne<E>>,
    pub(super) b: Vec<PointOne<E>>,
    pub(super) b_two: Vec<PointTwo<E>>,
}

/// A separator in both groups, and the points that it divides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Divided<E: Curve> {
    one: PointOne<E>,
    two: PointTwo<E>,
    points: Vec<PointOne<E>>,
}

/// A proving key in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft<E: Curve> {
    fixed: Arc<Fixed<E>>,
    /// Gamma, delta and the blocks.
    divided: Vec<Divided<E>>,
}

/// Names phase 2 of a circuit, from powers with this hash.
pub fn circuit_ceremony<E: Curve>(circuit: CircuitId, powers: ContentHash) -> ContentHash {
    let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 ceremony phase 2 v1");
    hasher.update(circuit.hash().as_bytes()).update(powers.as_bytes());
    hasher.update(E::NAME.as_bytes());
    ContentHash::from_bytes(*hasher.finalize().as_bytes())
}

/// Most bytes of a contribution to phase 2 of a circuit: it has fewer by the points of wires that no constraint names.
pub fn circuit_contribution_bytes_max<E: Curve>(system: &R1cs<Scalar<E>>) -> usize {
    let layout = system.layout();
    let separators = COMMON + layout.blocks.len();
    let quotient = system.size().next_power_of_two();
    let counts = PointCounts { ones: separators + layout.wires() + quotient, twos: separators };
    contribution::len::<E>(counts, separators)
}

impl<E: Curve> Draft<E> {
    /// A key whose separators are one, with the points of inputs, of free wires and the quotient, and of each block.
    pub(super) fn start(fixed: Fixed<E>, points: Vec<Vec<PointOne<E>>>) -> Self {
        let (one, two) = (PointOne::<E>::generator(), PointTwo::<E>::generator());
        let divided = points.into_iter().map(|points| Divided { one, two, points }).collect();
        Self { fixed: Arc::new(fixed), divided }
    }

    /// The circuit that the key is of.
    pub fn circuit(&self) -> CircuitId {
        self.fixed.circuit
    }

    /// The key as it stands.
    ///
    /// # Errors
    /// Separators that are known or repeat, as they do before the first contribution.
    pub(super) fn key(&self) -> Result<ProvingKey<E>, KeyError> {
        let fixed = &*self.fixed;
        let (gamma, delta, blocks) = (&self.divided[0], &self.divided[1], &self.divided[COMMON..]);
        let (free, h) = delta.points.split_at(fixed.layout.free);
        let bases: Vec<_> = blocks.iter().map(|block| block.points.clone()).collect();
        let verifying = VerifyingKey {
            circuit: fixed.circuit,
            origin: Origin::Ceremony,
            alpha: fixed.alpha,
            blinding: delta.one,
            inputs: gamma.points.clone(),
            shown: bases[bases.len() - fixed.layout.showable..].to_vec(),
            beta: fixed.beta_two,
            gamma: gamma.two,
            delta: delta.two,
            block_deltas: blocks.iter().map(|block| block.two).collect(),
        };
        verifying.check()?;
        if bases.iter().flatten().any(AffineRepr::is_zero) {
            return Err(PointError::Identity.into());
        }
        Ok(ProvingKey {
            verifying,
            beta: fixed.beta,
            block_deltas: blocks.iter().map(|block| block.one).collect(),
            a: fixed.a.clone(),
            b: fixed.b.clone(),
            h: h.to_vec(),
            blocks: bases,
            free: free.to_vec(),
            b_two: fixed.b_two.clone(),
        })
    }
}

const fn part(index: usize) -> Part {
    match index {
        0 => Part::Gamma,
        1 => Part::Delta,
        block => Part::Block(block - COMMON),
    }
}

impl<E: Curve> Divided<E> {
    /// The separator times `secret`, its points divided by it.
    fn scaled(&self, secret: &Secret<Scalar<E>>) -> Self {
        let inverse = secret.reveal().inverse().expect("a drawn scalar is not zero");
        Self {
            one: scale_all(&[self.one], secret.reveal())[0],
            two: scale_all(&[self.two], secret.reveal())[0],
            points: scale_all(&self.points, &inverse),
        }
    }

    /// The points that are sent.
    fn present(&self) -> impl Iterator<Item = &PointOne<E>> {
        self.points.iter().filter(|point| !point.is_zero())
    }

    /// Takes as many points off `ones` as are sent.
    fn with_points(&self, two: PointTwo<E>, ones: &mut impl Iterator<Item = PointOne<E>>) -> Self {
        let mut next = || ones.next().expect("as many as the counts say");
        let one = next();
        let fill = |old: &PointOne<E>| if old.is_zero() { *old } else { next() };
        Self { one, two, points: self.points.iter().map(fill).collect() }
    }

    /// Whether `next` is this, multiplied.
    fn is_scaled(&self, next: &Self, coefficients: &mut Coefficients) -> bool {
        let (one, two) = (PointOne::<E>::generator(), PointTwo::<E>::generator());
        coefficients.same_ratio::<E>([&[one], &[next.one]], [two, next.two])
            && coefficients.same_ratio::<E>([&self.points, &next.points], [next.two, self.two])
    }
}

impl<E: Curve> Stage for Draft<E> {
    type Curve = E;

    fn ceremony(&self) -> ContentHash {
        circuit_ceremony::<E>(self.fixed.circuit, self.fixed.powers)
    }

    fn point_counts(&self) -> PointCounts {
        let ones = self.divided.iter().map(|it| 1 + it.present().count()).sum();
        PointCounts { ones, twos: self.divided.len() }
    }

    fn separators(&self) -> Vec<PointOne<E>> {
        self.divided.iter().map(|it| it.one).collect()
    }

    fn separator_places(&self) -> Vec<usize> {
        let next = |place: &mut usize, it: &Divided<E>| {
            let own = *place;
            *place += 1 + it.present().count();
            Some(own)
        };
        self.divided.iter().scan(0, next).collect()
    }

    fn scaled(&self, secrets: &[Secret<Scalar<E>>]) -> Self {
        assert_eq!(secrets.len(), self.divided.len(), "a secret for each separator");
        let divided = self.divided.iter().zip(secrets).map(|(it, secret)| it.scaled(secret));
        Self { fixed: Arc::clone(&self.fixed), divided: divided.collect() }
    }

    fn points(&self) -> Points<E> {
        let ones = self.divided.iter().flat_map(|it| std::iter::once(&it.one).chain(it.present()));
        Points {
            ones: ones.copied().collect(),
            twos: self.divided.iter().map(|it| it.two).collect(),
        }
    }

    fn with_points(&self, Points { ones, twos }: Points<E>) -> Self {
        let mut ones = ones.into_iter();
        let divided = self.divided.iter().zip(twos).map(|(it, two)| it.with_points(two, &mut ones));
        Self { fixed: Arc::clone(&self.fixed), divided: divided.collect() }
    }

    fn check(&self, next: &Self, coefficients: &mut Coefficients) -> Result<(), Refusal> {
        let twos: Vec<PointTwo<E>> = next.divided.iter().map(|it| it.two).collect();
        let pairs = self.divided.iter().zip(&next.divided).enumerate();
        for (index, (old, new)) in pairs.clone() {
            if old.one == new.one || old.two == new.two {
                return Err(Refusal::Unchanged(part(index)));
            }
        }
        check_separators::<E>(&twos).map_err(Refusal::Separators)?;
        for (index, (old, new)) in pairs {
            if !old.is_scaled(new, coefficients) {
                return Err(Refusal::Ratio(part(index)));
            }
        }
        Ok(())
    }
}
