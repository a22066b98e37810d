//! MoNNA's aggregation: nearest-neighbour averaging around one's own vector (Farhadkhani et
//! al., ICML 2023, arXiv 2210.00731).
//!
//! The mean of the `n - f` vectors nearest to the own one, which is among them, as
//! [`Rule::NearestToOwn`](crate::robust::Rule::NearestToOwn) without the Gram matrix. Bears
//! f < n / 2 of a neighbourhood with the own vector. Cost: two passes.

use super::{Neighbourhood, Real, RobustError, ascending};
use crate::robust::majority;

/// By what the difference to each neighbour is taken.
pub(super) fn factors<T: Real>(
    hood: &Neighbourhood<'_, T>,
    attackers: usize,
) -> Result<Vec<f64>, RobustError> {
    let count = hood.count() + 1;
    majority("MoNNA", attackers, count)?;
    let mut factors = vec![0.0; hood.count()];
    let kept = count - attackers;
    for index in ascending(&hood.distances()).into_iter().take(kept - 1) {
        factors[index] = 1.0 / kept as f64;
    }
    Ok(factors)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;
    use crate::robust::{Pipeline, Rule, Vectors};

    #[test]
    fn agrees_with_the_rule_over_dot_products() {
        let others = [vec![1.0, 0.0], vec![2.0, -1.0], vec![9.0, 3.0], vec![2.5, 0.5]];
        let own = [0.5, 0.25];
        let rows = std::iter::once(&own[..]).chain(others.iter().map(Vec::as_slice)).collect();
        let vectors = Vectors::new(rows).expect("sound");
        for attackers in 0..3 {
            let rule = Pipeline::of(Rule::NearestToOwn { attackers, own: 0 });
            let expected = rule.aggregate(&vectors).expect("a majority");
            let hood = hood(&own, &others);
            let found = hood.moved(&factors(&hood, attackers).expect("a majority"));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
        assert!(factors(&hood(&own, &others), 3).is_err());
    }
}
