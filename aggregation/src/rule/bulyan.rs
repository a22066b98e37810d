//! Bulyan in exact integers (El Mhamdi et al., ICML 2018, arXiv 1802.07927).
//!
//! Of n vectors with f attackers Krum chooses n - 2 f, one after another, by the Gram matrix
//! of exact dot products (see [`super::weighting`] for why that is the same everywhere); entry by
//! entry the mean of the n - 4 f of those that are nearest to their median is taken. Bears f
//! among at least 4 f + 3. In a cohort with fewer, all are chosen and as many as there may be
//! attackers are left out in each column, as by the mean around the median, which bears them
//! among any majority.

use super::extremes::Keep;
use super::gram::Gram;
use super::vector::Weighted;
use crate::robust::rule::bulyan_chosen;

/// What Krum leaves, and what is kept of it in each column.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Places of vectors, ascending.
    pub places: Vec<usize>,
    /// What is kept of their entries.
    pub keep: Keep,
}

/// Chooses among at least one vector.
pub(super) fn chosen(vectors: &[Weighted<'_>], attackers: usize) -> Chosen {
    let count = vectors.len();
    let gram = || Gram::of(vectors).in_floats(vectors);
    let suffices = attackers > 0 && count >= 4 * attackers + 3;
    let found = if suffices { bulyan_chosen(&gram(), attackers).ok() } else { None };
    match found {
        Some(mut places) => {
            places.sort_unstable();
            Chosen { keep: Keep::NearMedian(places.len() - 2 * attackers), places }
        }
        None if attackers == 0 => Chosen { places: (0..count).collect(), keep: Keep::Middle(0) },
        None => Chosen { places: (0..count).collect(), keep: Keep::NearMedian(count - attackers) },
    }
}
