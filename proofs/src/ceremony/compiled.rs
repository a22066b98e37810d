//! Compiled: ceremonies on each curve, compiled in this crate.
//!
//! Everything here is generic over curves, so it is compiled where it is used, with that crate's settings: in a test a hundred times slower.
//! These functions are those of [`Chain`] for the two curves, and nothing more.

use std::collections::BTreeSet;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::assemble::BeginError;
use super::chain::{Chain, FinishError, Policy, Step};
use super::draft::{Draft, circuit_ceremony};
use super::explore::{Fate, Held, explore};
use super::powers::{FinishedPowers, LogSize, Powers};
use super::refusal::Refusal;
use super::stage::Stage;
use crate::curve::{Bls12_381, Bn254, Curve, Scalar};
use crate::s1::{Shape, circuit};
use crate::seed::Seed;

/// Chains of a stage, compiled here.
pub trait Compiles<S: Stage> {
    /// [`Chain::contribute`].
    fn contribute(chain: &Chain<S>, contributor: PeerId, seed: Seed) -> Vec<u8>;

    /// [`Chain::extend`].
    ///
    /// # Errors
    /// As there.
    fn extend(
        chain: &mut Chain<S>,
        bytes: &[u8],
        signed_by: PeerId,
        seed: &Seed,
    ) -> Result<Step, Refusal>;

    /// [`explore`].
    fn explore(
        start: Chain<S>,
        held: &[Held<'_>],
        seed: &Seed,
        visit: &mut dyn FnMut(&Chain<S>),
    ) -> Vec<Fate>;
}

/// A curve whose ceremonies are compiled here.
pub trait CompiledCurve: Curve + Compiles<Powers<Self>> + Compiles<Draft<Self>> {
    /// [`Chain::powers`].
    fn phase_one(size: LogSize, members: BTreeSet<PeerId>) -> Chain<Powers<Self>>;

    /// [`Chain::finish`] of phase 1.
    ///
    /// # Errors
    /// As there.
    fn finish(
        chain: &Chain<Powers<Self>>,
        policy: Policy,
    ) -> Result<FinishedPowers<Self>, FinishError>;

    /// The name of phase 2 of each shape from these powers.
    fn names(shapes: &[Shape], powers: &FinishedPowers<Self>) -> Vec<ContentHash>;

    /// [`Chain::circuit`] of a shape's circuit.
    ///
    /// # Errors
    /// As there.
    fn phase_two(
        shape: Shape,
        powers: &FinishedPowers<Self>,
        members: BTreeSet<PeerId>,
    ) -> Result<Chain<Draft<Self>>, BeginError>;

    /// [`Chain::finish`] of phase 2: the proving key's bytes.
    ///
    /// # Errors
    /// As there.
    fn key(chain: &Chain<Draft<Self>>, policy: Policy) -> Result<Vec<u8>, FinishError>;
}

macro_rules! compile_stage {
    ($curve:ty, $stage:ty) => {
        impl Compiles<$stage> for $curve {
            fn contribute(chain: &Chain<$stage>, contributor: PeerId, seed: Seed) -> Vec<u8> {
                chain.contribute(contributor, seed)
            }

            fn extend(
                chain: &mut Chain<$stage>,
                bytes: &[u8],
                signed_by: PeerId,
                seed: &Seed,
            ) -> Result<Step, Refusal> {
                chain.extend(bytes, signed_by, seed)
            }

            fn explore(
                start: Chain<$stage>,
                held: &[Held<'_>],
                seed: &Seed,
                visit: &mut dyn FnMut(&Chain<$stage>),
            ) -> Vec<Fate> {
                explore(start, held, seed, visit)
            }
        }
    };
}

macro_rules! compile {
    ($($curve:ty),*) => {$(
        compile_stage!($curve, Powers<$curve>);
        compile_stage!($curve, Draft<$curve>);

        impl CompiledCurve for $curve {
            fn phase_one(size: LogSize, members: BTreeSet<PeerId>) -> Chain<Powers<Self>> {
                Chain::powers(size, members)
            }

            fn finish(
                chain: &Chain<Powers<Self>>,
                policy: Policy,
            ) -> Result<FinishedPowers<Self>, FinishError> {
                chain.clone().finish(policy)
            }

            fn names(shapes: &[Shape], powers: &FinishedPowers<Self>) -> Vec<ContentHash> {
                let hash = powers.powers().hash();
                let name = |shape: &Shape| circuit_ceremony::<Self>(circuit::<Scalar<Self>>(*shape).id(), hash);
                shapes.iter().map(name).collect()
            }

            fn phase_two(
                shape: Shape,
                powers: &FinishedPowers<Self>,
                members: BTreeSet<PeerId>,
            ) -> Result<Chain<Draft<Self>>, BeginError> {
                Chain::circuit(&circuit(shape), powers, members)
            }

            fn key(chain: &Chain<Draft<Self>>, policy: Policy) -> Result<Vec<u8>, FinishError> {
                chain.finish(policy).map(|key| key.encode())
            }
        }
    )*};
}

compile!(Bn254, Bls12_381);
