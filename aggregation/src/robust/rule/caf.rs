//! CAF: the covariance-bound agnostic filter (Allouah, Guerraoui and Stephan, ICML
//! 2025).
//!
//! Weights begin at one. While they add up to more than `n - 2 f`, each vector loses weight by
//! how far it lies along the direction in which the weighted covariance is largest, and the
//! farthest that has any loses all of it: so there are at most n rounds, whatever the inputs.
//! (Measured by the farthest of all, vectors without weight included, there is no such bound.) The output is
//! the weighted mean of the round whose largest eigenvalue was least. Bears f < n / 2.
//!
//! Everything follows from the Gram matrix. Cost: that, and some `n^3` for each round, as much for
//! any inputs.

use super::super::gram::Gram;
use super::super::{RobustError, eigen, majority};

/// The weights of the best round.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("CAF", attackers, count)?;
    let least = (count - 2 * attackers) as f64;
    let all: Vec<usize> = (0..count).collect();
    let mut held = vec![1.0; count];
    let mut best = (f64::INFINITY, vec![1.0 / count as f64; count]);
    for _ in 0..=count {
        let sum: f64 = held.iter().sum();
        if sum <= least {
            break;
        }
        let mean: Vec<f64> = held.iter().map(|weight| weight / sum).collect();
        let differences = gram.centered(&all, &mean);
        let roots: Vec<f64> = mean.iter().map(|weight| weight.sqrt()).collect();
        let row = |one: usize| {
            let entries = differences[one].iter().zip(&roots);
            entries.map(|(entry, root)| entry * roots[one] * root).collect()
        };
        let spread: Vec<Vec<f64>> = (0..count).map(row).collect();
        let (value, vector) = eigen::leading(&spread);
        if value < best.0 {
            best = (value, mean);
        }
        // Along the direction, up to one factor for all.
        let along = |row: &Vec<f64>| {
            let parts = row.iter().zip(&roots).zip(&vector);
            parts.map(|((entry, root), part)| entry * root * part).sum::<f64>().powi(2)
        };
        let along: Vec<f64> = differences.iter().map(along).collect();
        let weighed = along.iter().zip(&held).filter(|(_, held)| **held > 0.0);
        let farthest = weighed.map(|(&along, _)| along).fold(0.0, f64::max);
        if value <= 0.0 || !value.is_finite() || farthest == 0.0 {
            break;
        }
        let left = |far: f64| (1.0 - far / farthest).max(0.0);
        held.iter_mut().zip(along).for_each(|(weight, far)| *weight *= left(far));
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn filters_what_spreads_and_always_ends() {
        let rows = [[0.0_f64, 0.1], [0.1, 0.0], [9e14, 9e14], [0.0, 0.0], [0.1, 0.1]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let found = weights(&Gram::of(&vectors), 1).expect("enough vectors");
        assert!(found[2] < 1e-12, "{found:?}");
        let equal = Vectors::new(vec![&rows[0][..]; 5]).expect("sound");
        assert_eq!(weights(&Gram::of(&equal), 2), Ok(vec![0.2; 5]));
    }
    #[test]
    fn products_that_are_not_finite_leave_the_mean() {
        for entry in [f64::INFINITY, f64::NAN, f64::MAX] {
            let gram = Gram::from_rows(&[vec![entry], vec![entry, 1.0], vec![0.0, 0.0, 1.0]]);
            let third = 1.0 / 3.0;
            assert_eq!(weights(&gram, 1), Ok(vec![third; 3]), "{entry}");
        }
    }
}
