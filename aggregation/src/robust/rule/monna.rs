//! MoNNA's aggregation: nearest-neighbour averaging around one's own vector (Farhadkhani et
//! al., ICML 2023, arXiv 2210.00731).
//!
//! The mean of the `n - f` vectors nearest to the own one, which is among them. `local`: the
//! output depends on who computes it. Bears f < n / 2. Cost: the Gram matrix.

use super::super::gram::Gram;
use super::super::{RobustError, majority};
use super::{ascending, mean_of};

/// The weights around the vector `own`.
pub(super) fn weights(gram: &Gram, attackers: usize, own: usize) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("MoNNA", attackers, count)?;
    if own >= count {
        return Err(RobustError::Index { index: own, count });
    }
    // The own vector before any that is equal to it.
    let apart = |other| if other == own { -1.0 } else { gram.squared_distance(own, other) };
    let apart: Vec<f64> = (0..count).map(apart).collect();
    let mut nearest = ascending(&apart);
    nearest.truncate(count - attackers);
    Ok(mean_of(&nearest, count))
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn takes_the_nearest_to_ones_own() {
        let rows = [[0.0_f64], [1.0], [2.0], [9.0], [2.0]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        let third = 1.0 / 3.0;
        assert_eq!(weights(&gram, 2, 0), Ok(vec![third, third, third, 0.0, 0.0]));
        assert_eq!(weights(&gram, 2, 4), Ok(vec![0.0, third, third, 0.0, third]));
        assert_eq!(weights(&gram, 2, 5), Err(RobustError::Index { index: 5, count: 5 }));
    }
}
