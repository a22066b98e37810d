//! Pre-aggregations: what is done to vectors before a rule. A file for each.

mod arc;
mod bucketing;
mod clipping;
mod nearest_neighbour_mixing;

use super::RobustError;
use super::gram::Gram;
use super::mixing::Mixing;

/// A pre-aggregation.
#[derive(Debug, Clone, PartialEq)]
pub enum Pre {
    /// Each vector by the mean of its nearest (see `nearest_neighbour_mixing`).
    NearestNeighbourMixing {
        /// f.
        attackers: usize,
    },
    /// The mean of each `size` vectors of an order (see `bucketing`).
    Bucketing {
        /// Vectors in a bucket, s.
        size: usize,
        /// The order, a permutation; that of the inputs where none is given.
        order: Option<Vec<usize>>,
    },
    /// Shortens to a norm.
    Clipping {
        /// The largest norm.
        norm: f64,
    },
    /// Shortens to the median norm, of an even number the mean of the two in the middle.
    MedianClipping,
    /// Adaptive robust clipping (see `arc`).
    AdaptiveClipping {
        /// f.
        attackers: usize,
    },
}

impl Pre {
    /// True if the weights follow from dot products.
    pub(super) const fn asks_gram(&self) -> bool {
        !matches!(self, Self::Bucketing { .. })
    }

    /// The weights, given the dot products of the vectors.
    pub fn mixing(&self, gram: &Gram) -> Result<Mixing, RobustError> {
        match self {
            Self::NearestNeighbourMixing { attackers } => {
                nearest_neighbour_mixing::mixing(gram, *attackers)
            }
            Self::Bucketing { size, order } => {
                bucketing::mixing(gram.count(), *size, order.as_deref())
            }
            Self::Clipping { norm } => clipping::mixing(gram, *norm),
            Self::MedianClipping => Ok(clipping::to_median(gram)),
            Self::AdaptiveClipping { attackers } => arc::mixing(gram, *attackers),
        }
    }
}
