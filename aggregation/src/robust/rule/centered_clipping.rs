//! Centered clipping (Karimireddy et al., ICML 2021, arXiv 2012.10333).
//!
//! From zero on, each iteration moves by the mean of the differences to the vectors, each
//! shortened to tau. The paper starts where the last round ended; here a call depends on its
//! inputs alone. Cost: the Gram matrix, and `n^2` for each iteration; one iteration asks for the
//! norms alone, `n` products for each coordinate.

use super::super::gram::Gram;
use super::super::{RobustError, iterable, positive};

/// The weights after some iterations; the rest is zero's.
pub(super) fn weights(gram: &Gram, radius: f64, iterations: u32) -> Result<Vec<f64>, RobustError> {
    let radius = positive("the radius of centered clipping", radius)?;
    iterable("the number of iterations of centered clipping", iterations, gram.count())?;
    let count = gram.count() as f64;
    let mut weights = vec![0.0; gram.count()];
    for _ in 0..iterations {
        let apart = gram.squared_distances_from(&weights);
        let factor = |squared: f64| match squared.sqrt() {
            distance if distance > radius => radius / distance,
            _ => 1.0,
        };
        let factors: Vec<f64> = apart.into_iter().map(factor).collect();
        let stays = 1.0 - factors.iter().sum::<f64>() / count;
        let moved = weights.iter().zip(factors);
        weights = moved.map(|(weight, factor)| weight * stays + factor / count).collect();
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn nobody_pulls_farther_than_the_radius() {
        let rows = [[0.5_f64], [-0.5], [0.25], [1e9]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        let at = |iterations| {
            let weights = weights(&gram, 1.0, iterations).expect("sound parameters");
            weights.iter().zip(&rows).map(|(weight, row)| weight * row[0]).sum::<f64>()
        };
        assert!((at(1) - 0.3125).abs() < 1e-9, "{}", at(1));
        assert_eq!(at(0), 0.0);
        assert!(weights(&gram, -1.0, 1).is_err());
        assert!(weights(&gram, 1.0, u32::MAX).is_err());
    }
}
