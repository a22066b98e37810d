//! Work: what a rule does with the vectors of one cohort, once it is known who weighs what.
//!
//! All rules end in a sum over equally many contributions for every entry, and one division.
//! Sums that the kernels of small numbers hold are divided where they are made; others are kept
//! in integers of 64 or 128 bits.

use super::clip::WEIGHT_ONE;
use super::extremes::Keep;
use super::rounding::{Rounded, Sink, Whole};
use super::vector::Weighted;
use super::weighting::COEFFICIENT_ONE;
use super::{COHORT_BITS, columns, mean, nearest_neighbour_mixing, to_term, trimmed_mean};
use crate::round::{Divisor, divide_half_even_wide};

/// What is summed.
#[derive(Debug)]
pub(super) enum Work {
    /// All vectors, by coefficients in units of 2^-30.
    Weighed(Vec<i64>),
    /// All vectors.
    Summed,
    /// What is kept of the sums of each one's neighbours.
    Mixed {
        /// Whose they are.
        near: Vec<Vec<usize>>,
        /// How many each has.
        of_each: usize,
        /// What is kept.
        keep: Keep,
    },
    /// What is kept of the vectors.
    Sorted(Keep),
}

/// Exact sums over equally many contributions for every entry.
#[derive(Debug)]
pub(super) struct Sums {
    entries: Entries,
    /// What a sum is divided by to be a mean in units of 2^-24; positive.
    divisor: i64,
}

#[derive(Debug)]
enum Entries {
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
}

impl Work {
    /// What a sum is divided by for the mean.
    fn divisor(&self, count: usize) -> i64 {
        match self {
            Self::Weighed(_) => COEFFICIENT_ONE,
            Self::Summed => divisor(count),
            Self::Mixed { of_each, keep, .. } => divisor(keep.of(count) * of_each),
            Self::Sorted(keep) => divisor(keep.of(count)),
        }
    }

    /// Gives the sums to `sink`; none where only wider integers hold them or the rule asks for
    /// more than a sum of the middle.
    fn fast<K: Sink>(&self, vectors: &[Weighted<'_>], sink: K) -> Option<K> {
        match self {
            Self::Weighed(coefficients) => Some(mean::sums_by(vectors, coefficients, sink)),
            Self::Summed => Some(mean::sums(vectors, sink)),
            Self::Mixed { near, keep, .. } => {
                columns::sums(vectors, Some(near), keep.trim()?, sink)
            }
            Self::Sorted(keep) => columns::sums(vectors, None, keep.trim()?, sink),
        }
    }

    /// The exact sums.
    pub fn sums(&self, vectors: &[Weighted<'_>]) -> Sums {
        let divisor = self.divisor(vectors.len());
        let room = Whole::of(parameters(vectors));
        let entries = match (self.fast(vectors, room), self) {
            (Some(whole), _) => Entries::Narrow(whole.0),
            (None, Self::Mixed { near, keep, .. }) => {
                Entries::Wide(nearest_neighbour_mixing::sums(vectors, near, *keep))
            }
            (None, Self::Sorted(keep)) => Entries::Narrow(trimmed_mean::sums(vectors, *keep)),
            (None, _) => unreachable!("sums by weights fit"),
        };
        Sums { entries, divisor }
    }

    /// The means, rounded.
    pub fn rounded(&self, vectors: &[Weighted<'_>]) -> Vec<i32> {
        let room = Rounded::of(parameters(vectors), self.divisor(vectors.len()));
        match self.fast(vectors, room) {
            Some(rounded) => rounded.entries,
            None => self.sums(vectors).round(),
        }
    }
}

fn parameters(vectors: &[Weighted<'_>]) -> usize {
    vectors.first().map_or(0, |weighted| weighted.vector.parameter_count())
}

impl Sums {
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Narrow(entries) => entries.len(),
            Entries::Wide(entries) => entries.len(),
        }
    }

    /// One mean in units of 2^-56, rounded down.
    pub fn cut(&self, entry: usize) -> i128 {
        let sum = match &self.entries {
            Entries::Narrow(entries) => i128::from(entries[entry]),
            Entries::Wide(entries) => entries[entry],
        };
        (sum << COHORT_BITS).div_euclid(i128::from(self.divisor))
    }

    /// The one rounding of a term.
    fn round(self) -> Vec<i32> {
        let narrow = self.divisor;
        let wide = i128::from(narrow);
        match self.entries {
            Entries::Narrow(entries) => {
                let divisor = Divisor::new(narrow);
                let means = entries.into_iter().map(|sum| divisor.half_even(sum));
                means.map(|mean| to_term(i128::from(mean))).collect()
            }
            Entries::Wide(entries) => {
                let means = entries.into_iter().map(|sum| divide_half_even_wide(sum, wide));
                means.map(to_term).collect()
            }
        }
    }
}

/// What a sum over this many weighted contributions is divided by.
fn divisor(contributions: usize) -> i64 {
    i64::try_from(contributions).expect("pairs of members fit 32 bits") * WEIGHT_ONE
}
