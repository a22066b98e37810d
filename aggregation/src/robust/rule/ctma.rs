//! CTMA: centered trimmed meta-aggregation (arXiv 2501.09621), here
//! around a geometric median and with equal weights.
//!
//! The mean of the `n - f` vectors nearest to what another rule gives. Bears f < n / 2, with
//! an error of the order of the best possible where the other rule has a bounded one. Cost: the
//! Gram matrix.

use super::super::gram::Gram;
use super::super::{RobustError, majority};
use super::{ascending, geometric_median, mean_of};

/// The least distance that counts for the median, and its iterations.
const SMOOTHING: f64 = 1e-6;
const ITERATIONS: u32 = 16;

/// The weights of the nearest.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("CTMA", attackers, count)?;
    let center = geometric_median::weights(gram, SMOOTHING, ITERATIONS)?;
    let mut nearest = ascending(&gram.squared_distances_from(&center));
    nearest.truncate(count - attackers);
    Ok(mean_of(&nearest, count))
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn takes_the_nearest_to_the_median() {
        let rows = [[1.0_f64], [-50.0], [1.1], [0.9], [70.0]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let third = 1.0 / 3.0;
        let expected = vec![third, 0.0, third, third, 0.0];
        assert_eq!(weights(&Gram::of(&vectors), 2), Ok(expected));
        assert!(weights(&Gram::of(&vectors), 3).is_err());
    }
}
