//! UBAR (Guo et al., IEEE TCSVT 2022, arXiv 2002.08569), in its first version Mozi.
//!
//! Of the share rho of neighbours that are nearest, those whose loss on own samples is at most
//! the own are averaged; where there is none, the one with the least loss. The output is
//! `alpha` of the own vector and the rest of that mean (the paper also takes the gradient step
//! here). Bears any number in the sense that the loss decides, but always takes one neighbour,
//! be all of them attackers. Cost: two passes, and a loss for each of the nearest.

use super::{Neighbourhood, OwnLoss, Real, RobustError, ascending, asked, share};

/// By what the difference to each neighbour is taken.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    near: f64,
    alpha: f64,
    loss: &mut OwnLoss<'_, T>,
) -> Result<Vec<f64>, RobustError> {
    let near = share("rho of UBAR", near)?;
    let alpha = share("alpha of UBAR", alpha)?;
    let mut factors = vec![0.0; hood.count()];
    let mut nearest = ascending(&hood.distances());
    // Less than one rounds up: with none there would be no rule.
    nearest.truncate(((near * hood.count() as f64 + 1e-9) as usize).max(1));
    let own = asked(loss, hood.own());
    let losses: Vec<f64> = nearest.iter().map(|&it| asked(loss, hood.neighbour(it))).collect();
    let better = nearest.iter().zip(&losses).filter(|it| *it.1 <= own);
    let mut chosen: Vec<usize> = better.map(|it| *it.0).collect();
    if chosen.is_empty() {
        chosen.extend(ascending(&losses).first().map(|&it| nearest[it]));
    }
    for &index in &chosen {
        factors[index] = (1.0 - alpha) / chosen.len() as f64;
    }
    Ok(factors)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;

    #[test]
    fn takes_the_near_that_are_no_worse_or_the_best_of_them() {
        let others = [vec![1.0], vec![-1.5], vec![2.0], vec![0.5], vec![-9.0]];
        // The least loss is at `best`.
        let by = |share, best: f64| {
            factors(&hood(&[0.0], &others), share, 0.5, &mut |it| (it[0] - best).powi(2))
        };
        assert_eq!(by(0.8, 2.0), Ok(vec![1.0 / 6.0, 0.0, 1.0 / 6.0, 1.0 / 6.0, 0.0]));
        assert_eq!(by(0.4, 2.0), Ok(vec![0.25, 0.0, 0.0, 0.25, 0.0]));
        assert_eq!(by(0.1, -9.0), Ok(vec![0.0, 0.0, 0.0, 0.5, 0.0]));
        assert_eq!(by(0.4, 0.0), Ok(vec![0.0, 0.0, 0.0, 0.5, 0.0]));
        assert!(by(1.1, 0.0).is_err());
    }
}
