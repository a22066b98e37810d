//! Curve: the pairing-friendly curve that a federation's proofs live on.
//!
//! BN254 is the default (32-byte points, the fastest); BLS12-381 is the choice of a manifest that
//! wants the wider margin. Both are short Weierstrass curves, and [`Curve`] says so in types, because
//! the sums of [`crate::cp`] work on the coordinates of affine points; both have an endomorphism that halves scalars. No curve is implemented here.

use std::fmt;

pub use ark_bls12_381::Bls12_381;
pub use ark_bn254::Bn254;
use ark_ec::pairing::Pairing;
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::{Affine, Projective};

/// A pairing whose two source groups are short Weierstrass curves.
pub trait Curve:
    Pairing<
        G1Affine = Affine<Self::First>,
        G1 = Projective<Self::First>,
        G2Affine = Affine<Self::Second>,
        G2 = Projective<Self::Second>,
    >
{
    /// The curve of G1.
    type First: GLVConfig<
            ScalarField = <Self as Pairing>::ScalarField,
            BaseField = <Self as Pairing>::BaseField,
        >;
    /// The curve of G2.
    type Second: GLVConfig<ScalarField = <Self as Pairing>::ScalarField>;
    /// The name that keys and challenges carry.
    const NAME: &'static str;
}

impl Curve for Bn254 {
    type First = ark_bn254::g1::Config;
    type Second = ark_bn254::g2::Config;
    const NAME: &'static str = "bn254";
}

impl Curve for Bls12_381 {
    type First = ark_bls12_381::g1::Config;
    type Second = ark_bls12_381::g2::Config;
    const NAME: &'static str = "bls12-381";
}

/// The scalars of a curve, which witnesses and public inputs are made of.
pub type Scalar<E> = <E as Pairing>::ScalarField;
/// A point of G1.
pub type PointOne<E> = <E as Pairing>::G1Affine;
/// A point of G2.
pub type PointTwo<E> = <E as Pairing>::G2Affine;

/// The name of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ProofCurve {
    /// BN254: points of 32 bytes, the fastest; about 100 bits.
    #[default]
    Bn254,
    /// BLS12-381: points of 48 bytes; about 120 bits.
    Bls12381,
}

impl ProofCurve {
    /// Its name in manifests and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bn254 => Bn254::NAME,
            Self::Bls12381 => Bls12_381::NAME,
        }
    }

    /// The curve of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bn254, Self::Bls12381].into_iter().find(|curve| curve.name() == name)
    }
}

impl fmt::Display for ProofCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
