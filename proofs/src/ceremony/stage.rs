//! Stage: what both phases of a ceremony have in common, so that one chain serves both.

use longhaul_dtn::hash::ContentHash;

use super::ratio::Coefficients;
use super::refusal::Refusal;
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::seed::Secret;

/// How many points a contribution has, which follows from the stage alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointCounts {
    /// Points of G1.
    pub ones: usize,
    /// Points of G2.
    pub twos: usize,
}

/// The points that a contribution changes, in the stage's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Points<E: Curve> {
    /// Points of G1.
    pub ones: Vec<PointOne<E>>,
    /// Points of G2.
    pub twos: Vec<PointTwo<E>>,
}

/// A phase's state: points that each contribution multiplies by fresh secrets.
///
/// Implemented by [`Powers`](super::Powers) and [`Draft`](super::Draft), and used through
/// [`Chain`](super::Chain) alone.
pub trait Stage: Clone + Send + Sync + Sized {
    /// The curve.
    type Curve: Curve;

    /// Names the ceremony: what it starts from.
    fn ceremony(&self) -> ContentHash;

    /// How many points each contribution has.
    fn point_counts(&self) -> PointCounts;

    /// What each secret multiplies, in the order of secrets.
    fn separators(&self) -> Vec<PointOne<Self::Curve>>;

    /// Where the separators stand among a contribution's points of G1, in the same order.
    fn separator_places(&self) -> Vec<usize>;

    /// The stage after multiplying by a secret for each separator.
    fn scaled(&self, secrets: &[Secret<Scalar<Self::Curve>>]) -> Self;

    /// What [`scaled`](Self::scaled) changes.
    fn points(&self) -> Points<Self::Curve>;

    /// The stage with other points, as many as [`point_counts`](Self::point_counts) says.
    fn with_points(&self, points: Points<Self::Curve>) -> Self;

    /// Checks that `next` is this stage multiplied by some secrets.
    ///
    /// # Errors
    /// [`Refusal::Unchanged`], [`Refusal::Separators`] or [`Refusal::Ratio`].
    fn check(&self, next: &Self, coefficients: &mut Coefficients) -> Result<(), Refusal>;
}
