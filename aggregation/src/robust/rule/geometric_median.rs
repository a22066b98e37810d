//! Geometric median by the smoothed Weiszfeld iteration (RFA; Pillutla et al., IEEE TSP 2022,
//! arXiv 1912.13445).
//!
//! From zero on, each iteration averages the vectors by the inverse of their distance to
//! where it stands, distances below nu counting as nu. Every iterate is a sum of the inputs,
//! so its distances follow from dot products. The exact geometric median bears f < n / 2;
//! few iterations bear less. Cost: the Gram matrix, and `n^2` for each iteration.

use super::super::gram::Gram;
use super::super::{RobustError, iterable, positive};

/// The weights after some iterations.
pub(super) fn weights(
    gram: &Gram,
    smoothing: f64,
    iterations: u32,
) -> Result<Vec<f64>, RobustError> {
    let smoothing = positive("the smoothing of the geometric median", smoothing)?;
    iterable("the number of iterations of the geometric median", iterations, gram.count())?;
    let mut weights = vec![0.0; gram.count()];
    for _ in 0..iterations {
        let squared = gram.squared_distances_from(&weights);
        let apart = squared.into_iter().map(|squared| squared.sqrt().max(smoothing));
        let apart: Vec<f64> = apart.collect();
        // By the least one, since the inverse of a tiny distance would be infinite.
        let least = apart.iter().copied().fold(f64::INFINITY, f64::min);
        let inverse: Vec<f64> = apart.into_iter().map(|apart| least / apart).collect();
        let sum: f64 = inverse.iter().sum();
        weights = inverse.into_iter().map(|it| it / sum).collect();
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn goes_to_the_majority() {
        let rows = [[0.0_f64, 1.0], [0.0, 1.0], [0.0, 1.0], [1e6, 0.0], [0.0, -1e6]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let weights = weights(&Gram::of(&vectors), 1e-3, 50).expect("sound parameters");
        assert!(weights[3] + weights[4] < 1e-6, "{weights:?}");
        assert!(super::weights(&Gram::of(&vectors), 0.0, 3).is_err());
        assert!(super::weights(&Gram::of(&vectors), f64::NAN, 3).is_err());
        assert!(super::weights(&Gram::of(&vectors), 1.0, u32::MAX).is_err());
    }

    #[test]
    fn any_smoothing_leaves_weights_that_add_up_to_one() {
        let rows = [[1.0_f64], [1.0], [2.0], [1e15]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        for smoothing in [5e-324, 1e-308, 1e-150, 1.0, 1e300, f64::MAX] {
            for iterations in 1..20 {
                let found = weights(&Gram::of(&vectors), smoothing, iterations);
                let sum: f64 = found.expect("sound parameters").iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{smoothing} {iterations} {sum}");
            }
        }
    }
}
