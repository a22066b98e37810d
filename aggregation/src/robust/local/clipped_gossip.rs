//! ClippedGossip (He, Karimireddy and Jaggi 2022, arXiv 2202.01545), in an earlier version
//! self-centered clipping, SCClip.
//!
//! `x_i + sum_j W_ij clip(x_j - x_i, tau)`: nobody pulls farther than tau by its weight. The
//! paper's radius, the root of `sum_j W_ij E |x_i - x_j|^2 / b` over honest j, asks who is
//! honest; what can be had without that is the same sum over the nearest (as Gaucher et al.,
//! ICML 2025, arXiv 2410.10418, compare with), or the second-farthest distance (as the paper's
//! code does). Bears what the spectral gap of the honest graph does (b of the order of its
//! square); a majority of attackers pulls, but by tau at most. Cost: two passes.

use super::{Neighbourhood, Real, RobustError, ascending};
use crate::robust::positive;

/// How far a neighbour may pull, tau.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Radius {
    /// So far.
    Fixed(f64),
    /// By the paper's formula over the nearest, without the farthest of weight `attacking`.
    Adaptive {
        /// The weight of attackers among the neighbours, b.
        attacking: f64,
    },
    /// The second-largest distance; the largest where there is one neighbour.
    SecondFarthest,
}

/// By what the difference to each neighbour is taken.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    radius: Radius,
) -> Result<Vec<f64>, RobustError> {
    let distances = hood.distances();
    let radius = match radius {
        Radius::Fixed(radius) => positive("the radius of clipped gossip", radius)?,
        Radius::Adaptive { attacking } => {
            let attacking = positive("the weight of attackers", attacking)?;
            adaptive(&distances, hood.weights(), attacking)
        }
        Radius::SecondFarthest => {
            let order = ascending(&distances);
            let place = order.len().saturating_sub(2);
            order.get(place).map_or(0.0, |&it| distances[it])
        }
    };
    Ok(clipped(&distances, hood.weights(), radius))
}

/// The weights, less where a difference is longer than the radius.
pub(super) fn clipped(distances: &[f64], weights: &[f64], radius: f64) -> Vec<f64> {
    let factor = |(distance, weight): (&f64, &f64)| match *distance > radius {
        true => weight * radius / distance,
        false => *weight,
    };
    distances.iter().zip(weights).map(factor).collect()
}

fn adaptive(distances: &[f64], weights: &[f64], attacking: f64) -> f64 {
    // The own vector is the nearest, and adds nothing.
    let mut left = weights.iter().sum::<f64>() - attacking;
    let mut sum = 0.0;
    for index in ascending(distances) {
        left -= weights[index];
        if left < -1e-9 {
            break;
        }
        sum += weights[index] * distances[index].powi(2);
    }
    (sum / attacking).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;

    #[test]
    fn nobody_pulls_farther_than_the_radius() {
        let others = [vec![0.5], vec![-100.0], vec![4.0]];
        let by = |radius| factors(&hood(&[0.0], &others), radius).expect("sound");
        assert_eq!(by(Radius::Fixed(1.0)), [0.25, 0.0025, 0.0625]);
        assert_eq!(by(Radius::SecondFarthest), [0.25, 0.01, 0.25]);
        // Without the farthest: sqrt((0.25 * 0.25 + 0.25 * 16) / 0.25) = 4.03.
        let radius = (0.25_f64 + 16.0).sqrt();
        let found = by(Radius::Adaptive { attacking: 0.25 });
        assert!((found[1] * 100.0 - 0.25 * radius).abs() < 1e-12, "{found:?}");
        assert_eq!(found[2], 0.25);
    }

    #[test]
    fn a_radius_is_positive() {
        let others = [vec![0.5]];
        for radius in [Radius::Fixed(0.0), Radius::Adaptive { attacking: f64::NAN }] {
            assert!(factors(&hood(&[0.0], &others), radius).is_err(), "{radius:?}");
        }
    }
}
