//! Rules: what makes one vector of many. A file for each, with its source and what it bears.

mod bulyan;
mod caf;
mod centered_clipping;
mod ctma;
mod diversity;
mod geometric_median;
mod krum;
mod mda;
mod monna;
mod smea;
mod subsets;

use super::gram::Gram;
use super::{RobustError, majority};

pub use krum::KrumNeighbours;

/// True if SMEA's search among so many vectors is within its limit.
pub(crate) fn smea_is_short(count: usize, attackers: usize) -> bool {
    smea::is_short(count, attackers)
}

/// The vectors that Bulyan averages, in the order in which Krum chooses them.
pub(crate) fn bulyan_chosen(gram: &Gram, attackers: usize) -> Result<Vec<usize>, RobustError> {
    bulyan::chosen(gram, attackers, KrumNeighbours::Paper)
}

/// A rule; `attackers` is f, among n vectors.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// The mean; bears nobody. Cost: one pass.
    Average,
    /// The median of each coordinate (Yin et al., ICML 2018, arXiv 1803.01498); of an even
    /// number of entries the mean of the two in the middle. Bears f < n / 2.
    Median,
    /// The mean of each coordinate without the f largest and f smallest (the same paper).
    /// Bears f < n / 2.
    TrimmedMean {
        /// f.
        attackers: usize,
    },
    /// MeaMed: the mean of the n - f entries of each coordinate that are nearest to its
    /// median (Xie et al. 2018, arXiv 1802.10116). Bears f < n / 2.
    MeanAroundMedian {
        /// f.
        attackers: usize,
    },
    /// The vector that is nearest to its nearest (see `krum`).
    Krum {
        /// f.
        attackers: usize,
        /// How many of the nearest count.
        neighbours: KrumNeighbours,
    },
    /// The mean of the `chosen` vectors with the best scores of Krum.
    MultiKrum {
        /// f.
        attackers: usize,
        /// How many of the nearest count.
        neighbours: KrumNeighbours,
        /// How many vectors are averaged; n - f where none is given.
        chosen: Option<usize>,
    },
    /// Krum again and again, then the mean around the median (see `bulyan`).
    Bulyan {
        /// f.
        attackers: usize,
        /// How many of the nearest count.
        neighbours: KrumNeighbours,
    },
    /// Smoothed Weiszfeld (see `geometric_median`).
    GeometricMedian {
        /// The least distance that counts, nu.
        smoothing: f64,
        /// Iterations.
        iterations: u32,
    },
    /// Minimum-diameter averaging (see `mda`).
    MinimumDiameter {
        /// f.
        attackers: usize,
    },
    /// Smallest maximum eigenvalue averaging (see `smea`).
    SmallestEigenvalue {
        /// f.
        attackers: usize,
    },
    /// Covariance-bound agnostic filter (see `caf`).
    CovarianceFilter {
        /// f.
        attackers: usize,
    },
    /// Centered clipping around zero (see `centered_clipping`).
    CenteredClipping {
        /// How far a vector may pull, tau.
        radius: f64,
        /// Iterations, L.
        iterations: u32,
    },
    /// Centered trimmed meta-aggregation around a geometric median (see `ctma`).
    CenteredTrimmed {
        /// f.
        attackers: usize,
    },
    /// The mean of the n - f vectors nearest to one's own (see `monna`); `local`, a manifest
    /// refuses it.
    NearestToOwn {
        /// f.
        attackers: usize,
        /// Which vector is one's own.
        own: usize,
    },
    /// Neighbour counts and diversity by angle (see `diversity`).
    Diversity {
        /// f.
        attackers: usize,
    },
}

/// A rule within each coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinate {
    Median,
    TrimmedMean {
        trim: usize,
    },
    /// The mean of those nearest to the median.
    NearMedian {
        keep: usize,
    },
}

impl Rule {
    /// True if the rule asks for dot products.
    pub(super) const fn asks_gram(&self) -> bool {
        !matches!(
            self,
            Self::Average | Self::Median | Self::TrimmedMean { .. } | Self::MeanAroundMedian { .. }
        )
    }

    /// True if of the dot products the rule asks for those of vectors with themselves alone.
    pub(super) const fn asks_norms_alone(&self) -> bool {
        // Its first iteration starts from zero.
        matches!(self, Self::CenteredClipping { iterations: 1, .. })
    }

    /// The weight of each vector in the output; none for rules within coordinates.
    pub fn weights(&self, gram: &Gram) -> Result<Option<Vec<f64>>, RobustError> {
        let count = gram.count();
        Ok(Some(match *self {
            Self::Average => vec![1.0 / count as f64; count],
            Self::Krum { attackers, neighbours } => krum::krum(gram, attackers, neighbours)?,
            Self::MultiKrum { attackers, neighbours, chosen } => {
                krum::multi_krum(gram, attackers, neighbours, chosen)?
            }
            Self::GeometricMedian { smoothing, iterations } => {
                geometric_median::weights(gram, smoothing, iterations)?
            }
            Self::MinimumDiameter { attackers } => mda::weights(gram, attackers)?,
            Self::SmallestEigenvalue { attackers } => smea::weights(gram, attackers)?,
            Self::CovarianceFilter { attackers } => caf::weights(gram, attackers)?,
            Self::CenteredClipping { radius, iterations } => {
                centered_clipping::weights(gram, radius, iterations)?
            }
            Self::CenteredTrimmed { attackers } => ctma::weights(gram, attackers)?,
            Self::NearestToOwn { attackers, own } => monna::weights(gram, attackers, own)?,
            Self::Diversity { attackers } => diversity::weights(gram, attackers)?,
            Self::Median
            | Self::TrimmedMean { .. }
            | Self::MeanAroundMedian { .. }
            | Self::Bulyan { .. } => return Ok(None),
        }))
    }

    /// Which vectors are taken, all if none are named, and what is done in each coordinate.
    pub(super) fn coordinate(
        &self,
        gram: &Gram,
    ) -> Result<(Option<Vec<usize>>, Coordinate), RobustError> {
        let count = gram.count();
        match *self {
            Self::TrimmedMean { attackers } => {
                majority("the trimmed mean", attackers, count)?;
                Ok((None, Coordinate::TrimmedMean { trim: attackers }))
            }
            Self::MeanAroundMedian { attackers } => {
                majority("the mean around the median", attackers, count)?;
                Ok((None, Coordinate::NearMedian { keep: count - attackers }))
            }
            Self::Bulyan { attackers, neighbours } => {
                let chosen = bulyan::chosen(gram, attackers, neighbours)?;
                let keep = chosen.len() - 2 * attackers;
                Ok((Some(chosen), Coordinate::NearMedian { keep }))
            }
            _ => Ok((None, Coordinate::Median)),
        }
    }
}

/// Equal weights for some of `count` vectors.
fn mean_of(chosen: &[usize], count: usize) -> Vec<f64> {
    let mut weights = vec![0.0; count];
    chosen.iter().for_each(|&it| weights[it] = 1.0 / chosen.len() as f64);
    weights
}

/// The numbers of `values` from the smallest on; of equal ones the first comes first.
fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<_> = (0..values.len()).collect();
    order.sort_by(|&one, &other| values[one].total_cmp(&values[other]));
    order
}
