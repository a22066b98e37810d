//! CS+ (Gaucher, Dieuleveut and Hendrikx, ICML 2025, arXiv 2410.10418).
//!
//! ClippedGossip whose radius is the largest distance such that at least twice the weight b of
//! attackers is farther off, as the authors' code finds it; zero if there is none. Bears
//! a weight near the paper's bound for any rule, of the order of the algebraic connectivity of
//! the honest graph; where attackers have half the weight of a neighbourhood the radius is
//! zero, and the peer is alone. Cost: two passes.

use super::clipped_gossip::clipped;
use super::{Neighbourhood, Real, RobustError, ascending, share};

/// By what the difference to each neighbour is taken.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    attacking: f64,
) -> Result<Vec<f64>, RobustError> {
    let attacking = share("the weight of attackers", attacking)?;
    let distances = hood.distances();
    let radius = match attacking > 0.0 {
        true => radius(&distances, hood.weights(), attacking),
        false => f64::INFINITY,
    };
    Ok(clipped(&distances, hood.weights(), radius))
}

fn radius(distances: &[f64], weights: &[f64], attacking: f64) -> f64 {
    let mut farther = 0.0;
    for index in ascending(distances).into_iter().rev() {
        if farther >= 2.0 * attacking - 1e-9 {
            return distances[index];
        }
        farther += weights[index];
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;

    #[test]
    fn twice_the_attackers_are_clipped() {
        let others = [vec![1.0], vec![2.0], vec![-8.0], vec![16.0]];
        let by = |attacking| factors(&hood(&[0.0], &others), attacking).expect("sound");
        assert_eq!(by(0.2), [0.2, 0.2, 0.05, 0.025]);
        assert_eq!(by(0.4), [0.0; 4]);
        assert_eq!(by(0.0), [0.2; 4]);
        assert!(factors(&hood(&[0.0], &others), -0.1).is_err());
    }
}
