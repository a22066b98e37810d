//! BALANCE (Fang et al., CCS 2024, arXiv 2406.10416).
//!
//! Neighbours no farther from the own vector than `gamma exp(-kappa t / T)` of its norm are
//! accepted; the output is `alpha` of the own vector and the rest of their mean, or the own
//! vector where there is none. The paper's figures have gamma 0.3, kappa 1 and alpha 0.5.
//! Bears any number of attackers, in that none pulls farther than the radius; it is of the
//! order of the norm of a model, far more than honest peers differ. Cost: two passes.

use super::{Neighbourhood, Real, RobustError, dot, share};
use crate::robust::positive;

/// By what the difference to each neighbour is taken; gamma, kappa and alpha, and the share
/// of the rounds that has passed.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    [gamma, kappa, alpha]: [f64; 3],
    passed: f64,
) -> Result<Vec<f64>, RobustError> {
    let gamma = positive("gamma of BALANCE", gamma)?;
    let kappa = positive("kappa of BALANCE", kappa)?;
    let alpha = share("alpha of BALANCE", alpha)?;
    let norm = dot(hood.own(), hood.own()).sqrt();
    let radius = gamma * (-kappa * passed).exp() * norm;
    let near: Vec<bool> = hood.distances().iter().map(|it| *it <= radius).collect();
    let accepted = near.iter().filter(|it| **it).count().max(1) as f64;
    Ok(near.into_iter().map(|near| if near { (1.0 - alpha) / accepted } else { 0.0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;

    #[test]
    fn the_radius_is_a_share_of_the_norm_and_shrinks() {
        let others = [vec![11.0], vec![12.5], vec![20.0]];
        let by = |passed| factors(&hood(&[10.0], &others), [0.3, 1.0, 0.5], passed);
        assert_eq!(by(0.0), Ok(vec![0.25, 0.25, 0.0]));
        assert_eq!(by(1.0), Ok(vec![0.5, 0.0, 0.0]));
        assert_eq!(by(2.0), Ok(vec![0.0; 3]));
        for bad in [[0.0, 1.0, 0.5], [0.3, f64::NAN, 0.5], [0.3, 1.0, 1.5]] {
            assert!(factors(&hood(&[10.0], &others), bad, 0.0).is_err(), "{bad:?}");
        }
    }
}
