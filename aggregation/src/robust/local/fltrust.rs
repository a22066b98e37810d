//! FLTrust (Cao et al., NDSS 2021, arXiv 2012.13995) with the own update as the reference.
//!
//! Each update is weighed by its cosine with the own one, at least zero, and brought to the
//! own norm; the output is their weighted mean, the own update with weight one among them. In
//! the paper the reference comes from the server's clean data and is not averaged. Bears any
//! number in that an update must agree with the own one and is no longer than it. Cost: two
//! passes.

use super::{Neighbourhood, Real, dot};

/// The weights of the own vector and of each neighbour's in the output.
pub(super) fn weights<T: Real>(hood: &Neighbourhood<'_, T>) -> Vec<f64> {
    let own = hood.own();
    let norm = dot(own, own).sqrt();
    let weight = |index: usize| {
        let other = hood.neighbour(index);
        let length = dot(other, other).sqrt();
        if length * norm == 0.0 {
            return (0.0, 0.0);
        }
        let trust = (dot(own, other) / norm / length).clamp(0.0, 1.0);
        (trust, trust * (norm / length))
    };
    let found: Vec<(f64, f64)> = (0..hood.count()).map(weight).collect();
    let sum = 1.0 + found.iter().map(|it| it.0).sum::<f64>();
    std::iter::once(1.0).chain(found.into_iter().map(|it| it.1)).map(|it| it / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::hood;
    use super::*;

    #[test]
    fn updates_that_agree_count_at_the_own_norm() {
        let others = [vec![0.0, 9.0], vec![-3.0, 0.0], vec![30.0, 40.0], vec![0.0, 0.0]];
        // The third has cosine 0.6, and norm 50 where the own has 5.
        assert_eq!(weights(&hood(&[5.0, 0.0], &others)), [0.625, 0.0, 0.0, 0.6 * 0.1 / 1.6, 0.0]);
        assert_eq!(weights(&hood(&[0.0, 0.0], &others)), [1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
