//! Weightings: rules that give each vector a weight by dot products alone.
//!
//! The dot products are exact integers (`super::gram`), rounded once to double precision.
//! What follows are sums, products, divisions and square roots in a fixed order, which IEEE 754
//! defines to the bit, and no fused or transcendental function; so every machine finds the same
//! weights. Those, the mixing and the clipping before included, are rounded to multiples of
//! 2^-30, and the sum of the vectors by these integers is exact again.
//!
//! # Bits
//!
//! Weights sum to at most two, and are cut where they came to four: 2^32 in their units. An
//! entry is at most `127 * 2^24`, so that a sum is below 2^63.

use super::vector::Weighted;
use super::{ENTRY_UNITS_MAX, Mix, gram::Gram};
use crate::robust::{self, KrumNeighbours, Mixing};

/// The weight of one, in units of 2^-30.
pub(super) const COEFFICIENT_ONE: i64 = 1 << 30;

/// What all weights of a sum are together at most; no rule comes near it.
const COEFFICIENTS_MAX: i64 = 4 * COEFFICIENT_ONE;

const _: () = assert!(
    ENTRY_UNITS_MAX.checked_mul(COEFFICIENTS_MAX).is_some(),
    "a sum by coefficients fits 63 bits and a sign"
);

/// A rule by dot products; how many attackers it bears follows from the manifest. The files
/// of [`crate::robust::rule`] have their formulas and sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weighting {
    /// The vector that is nearest to its n - f - 2 nearest.
    Krum,
    /// The mean of the n - f vectors with the best scores of Krum.
    MultiKrum,
    /// Smoothed Weiszfeld, so many iterations from the mean; distances below a millionth
    /// count as that.
    GeometricMedian {
        /// Iterations, 1 to [`ITERATIONS_MAX`].
        iterations: u8,
    },
    /// Centered clipping around zero.
    CenteredClipping {
        /// How far a vector may pull, in thousandths; positive.
        radius_milli: u32,
        /// Iterations, 1 to [`ITERATIONS_MAX`].
        iterations: u8,
    },
    /// The mean of the n - f vectors nearest to the geometric median.
    CenteredTrimmed,
    /// The covariance-bound agnostic filter.
    CovarianceFilter,
    /// Neighbour counts and diversity by angle.
    Diversity,
    /// Minimum diameter averaging: the mean of the n - f vectors with the least diameter.
    MinimumDiameter,
    /// SMEA: the mean of the n - f vectors whose covariance has the least largest eigenvalue.
    SmallestEigenvalue,
}

/// Most iterations that a manifest can ask for.
pub const ITERATIONS_MAX: u8 = 64;

/// Most authors among whom the set of least diameter is searched.
pub const SEARCHED_AUTHORS_MAX: usize = 32;

/// The least distance that counts for a geometric median.
const SMOOTHING: f64 = 1e-6;

impl Weighting {
    /// True if its parameters are within their ranges.
    pub(super) const fn is_sound(self) -> bool {
        match self {
            Self::GeometricMedian { iterations } => iterations > 0 && iterations <= ITERATIONS_MAX,
            Self::CenteredClipping { radius_milli, iterations } => {
                radius_milli > 0 && iterations > 0 && iterations <= ITERATIONS_MAX
            }
            _ => true,
        }
    }

    /// True if all searches among so many authors are short.
    pub(super) fn is_short(self, authors: usize, attackers: usize) -> bool {
        match self {
            Self::MinimumDiameter => authors <= SEARCHED_AUTHORS_MAX,
            Self::SmallestEigenvalue => robust::rule::smea_is_short(authors, attackers),
            _ => true,
        }
    }

    /// The same rule over floats.
    pub fn over_floats(self, attackers: usize) -> robust::Rule {
        let neighbours = KrumNeighbours::Paper;
        match self {
            Self::Krum => robust::Rule::Krum { attackers, neighbours },
            Self::MultiKrum => robust::Rule::MultiKrum { attackers, neighbours, chosen: None },
            Self::GeometricMedian { iterations } => robust::Rule::GeometricMedian {
                smoothing: SMOOTHING,
                iterations: iterations.into(),
            },
            Self::CenteredClipping { radius_milli, iterations } => robust::Rule::CenteredClipping {
                radius: f64::from(radius_milli) / 1000.0,
                iterations: iterations.into(),
            },
            Self::CenteredTrimmed => robust::Rule::CenteredTrimmed { attackers },
            Self::CovarianceFilter => robust::Rule::CovarianceFilter { attackers },
            Self::Diversity => robust::Rule::Diversity { attackers },
            Self::MinimumDiameter => robust::Rule::MinimumDiameter { attackers },
            Self::SmallestEigenvalue => robust::Rule::SmallestEigenvalue { attackers },
        }
    }

    /// The weights in units of 2^-30 of unclipped vectors in the term.
    pub(super) fn coefficients(
        self,
        vectors: &[Weighted<'_>],
        mix: Mix,
        attackers: usize,
    ) -> Vec<i64> {
        let exact = Gram::of(vectors);
        let gram = exact.in_floats(vectors);
        let mixing = match mix {
            Mix::NearestNeighbours => neighbours(&exact, vectors, attackers),
            Mix::None => Mixing::identity(vectors.len()),
        };
        let weights = self.weights(&gram.mixed(&mixing), attackers);
        let mut coefficients = vec![0; vectors.len()];
        let mut left = COEFFICIENTS_MAX;
        for (number, weight) in mixing.weighed(&weights) {
            let clip = vectors[number].weight as f64 / super::WEIGHT_ONE as f64;
            // Weights are not negative; a cast would make zero of what is no number.
            let units = (weight * clip * COEFFICIENT_ONE as f64).round_ties_even() as i64;
            let units = units.clamp(0, left);
            left -= units;
            coefficients[number] = units;
        }
        coefficients
    }

    /// The weights of mixed vectors. Some rules ask for more vectors than a majority; among
    /// fewer they bear fewer attackers, and where they bear none, the mean is left. Where a drawn
    /// committee is so large that a search would be long, Multi-Krum stands in for it.
    fn weights(self, gram: &robust::Gram, attackers: usize) -> Vec<f64> {
        let count = gram.count();
        if !self.is_short(count, attackers) {
            return Self::MultiKrum.weights(gram, attackers);
        }
        let with = |attackers| self.over_floats(attackers).weights(gram).ok().flatten();
        let mut found = (0..=attackers).rev().filter_map(with);
        found.next().unwrap_or_else(|| vec![1.0 / count as f64; count])
    }
}

/// Each vector's mean with its nearest.
fn neighbours(gram: &Gram, vectors: &[Weighted<'_>], attackers: usize) -> Mixing {
    let share = 1.0 / (vectors.len() - attackers) as f64;
    let near = super::nearest_neighbour_mixing::near_by(gram, vectors, attackers);
    let row = |near: Vec<usize>| near.into_iter().map(|it| (it, share)).collect();
    Mixing::new(near.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_search_gives_way_to_multi_krum_and_bears_no_less() {
        // Of 33 vectors on a line the last eight are far away.
        let place = |it: usize| if it < 25 { 1.0 + it as f64 / 100.0 } else { 1e6 };
        let row = |one: usize| (0..=one).map(|it| place(one) * place(it)).collect::<Vec<_>>();
        let gram = robust::Gram::from_rows(&(0..33).map(row).collect::<Vec<_>>());
        let expected = Weighting::MultiKrum.weights(&gram, 8);
        assert!(expected[25..].iter().all(|&it| it == 0.0), "{expected:?}");
        for weighting in [Weighting::MinimumDiameter, Weighting::SmallestEigenvalue] {
            assert!(!weighting.is_short(33, 8));
            assert_eq!(weighting.weights(&gram, 8), expected, "{weighting}");
        }
    }
}
