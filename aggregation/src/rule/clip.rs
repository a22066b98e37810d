//! Norm clipping: no update counts with more than some norm of its cohort.
//!
//! With `n` updates of which `f` may be attackers, that norm is the element of the ascending
//! norms at position
//!
//! - `(n - 1) / 2`: the lower median;
//! - `n - k - 1` with `k = floor(2 f (n - f) / n)`: adaptive robust clipping (ARC: Allouah et al.,
//!   ICLR 2025, arXiv 2405.14432).
//!
//! A norm is the integer square root (rounded down) of the squared norm. An update longer than
//! that gets the weight `floor(most * 2^16 / norm)`, every other one 2^16. A weight is an integer,
//! so clipping adds no rounding of entries.

use super::vector::{Vector, Weighted};

/// The weight of an update that is not clipped: one, in units of 2^-16.
pub const WEIGHT_ONE: i64 = 1 << WEIGHT_BITS;
/// Bits below one of a weight.
pub(super) const WEIGHT_BITS: u32 = 16;

/// How a cohort's updates are shortened before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clip {
    /// Not at all.
    None,
    /// To the lower median of their norms.
    Median,
    /// The longest to the longest of the others, the more the more attackers are assumed.
    Adaptive,
}

impl Clip {
    /// Gives each of at least one vector its weight, so many of them being attackers.
    pub(super) fn weigh<'a>(
        self,
        vectors: &'a [Vector<'a>],
        attackers: usize,
    ) -> Vec<Weighted<'a>> {
        let count = vectors.len();
        let weights = match self {
            Self::None => vec![WEIGHT_ONE; count],
            Self::Median => weights(vectors, (count.max(1) - 1) / 2),
            Self::Adaptive => {
                let clipped = 2 * attackers * (count - attackers) / count.max(1);
                weights(vectors, count.saturating_sub(clipped + 1))
            }
        };
        let pairs = vectors.iter().zip(weights);
        pairs.map(|(vector, weight)| Weighted { vector, weight }).collect()
    }
}

/// Those of vectors that are shortened to the norm at this place of the ascending ones.
fn weights(vectors: &[Vector<'_>], place: usize) -> Vec<i64> {
    let norms: Vec<u128> = vectors.iter().map(|vector| vector.squared_norm().isqrt()).collect();
    let mut sorted = norms.clone();
    sorted.sort_unstable();
    let most = sorted.get(place).copied().unwrap_or(0);
    norms.into_iter().map(|norm| weight(most, norm)).collect()
}

fn weight(median: u128, norm: u128) -> i64 {
    if norm <= median {
        return WEIGHT_ONE;
    }
    // Norms are below 2^45 (2^26 entries of 2^31), and the quotient below 2^16.
    i64::try_from((median << WEIGHT_BITS) / norm).expect("a clipped weight is below one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighs_by_the_median_rounded_down() {
        for (median, norm, expected) in [
            (0, 0, WEIGHT_ONE),
            (0, 5, 0),
            (5, 5, WEIGHT_ONE),
            (6, 5, WEIGHT_ONE),
            (1, 2, WEIGHT_ONE / 2),
            (1, 3, 21_845),
            (1, 1 << 20, 0),
            ((1 << 45) - 1, 1 << 45, WEIGHT_ONE - 1),
        ] {
            assert_eq!(weight(median, norm), expected, "{median} over {norm}");
        }
    }
}
