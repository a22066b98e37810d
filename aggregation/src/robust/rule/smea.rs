//! SMEA: smallest maximum eigenvalue averaging (Allouah et al., ICML 2023, arXiv 2302.04787).
//!
//! The mean of those `n - f` vectors whose covariance has the least largest eigenvalue; of
//! several such sets the first in lexicographic order. Bears f < n / 2. All sets are tried:
//! beyond [`STEPS_MAX`] steps, of which a set counts as 16 k^3, it is an error. A set takes as long
//! whatever the inputs.
//!
//! The covariance of k vectors has the eigenvalues of the k x k matrix of products of their
//! differences to their mean, so no vector of the model's length is needed.

use super::super::gram::Gram;
use super::super::{RobustError, STEPS_MAX, eigen, majority};
use super::{mean_of, subsets};

/// True if the search among so many vectors is within its limit.
pub(super) fn is_short(count: usize, attackers: usize) -> bool {
    let size = count.saturating_sub(attackers);
    let each = (size as u64).saturating_pow(3);
    subsets::number(count, size).saturating_mul(each) <= STEPS_MAX / 16
}

/// The weights of the set.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("SMEA", attackers, count)?;
    let size = count - attackers;
    if !is_short(count, attackers) {
        return Err(RobustError::TooManySubsets("SMEA"));
    }
    let mut best = (f64::INFINITY, Vec::new());
    subsets::each(count, size, |chosen| {
        let (value, _) = eigen::dominant(&gram.centered(chosen, &mean_of(chosen, count)));
        if value < best.0 || best.1.is_empty() {
            best = (value, chosen.to_vec());
        }
        true
    });
    Ok(mean_of(&best.1, count))
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn leaves_out_what_spreads() {
        let rows = [[0.0_f64, 0.1], [0.1, 0.0], [9.0, 9.0], [0.0, 0.0], [0.1, 0.1]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let found = weights(&Gram::of(&vectors), 1);
        assert_eq!(found, Ok(vec![0.25, 0.25, 0.0, 0.25, 0.25]));
        let many = Vectors::new(vec![&rows[0][..]; 64]).expect("sound");
        assert_eq!(weights(&Gram::of(&many), 20), Err(RobustError::TooManySubsets("SMEA")));
    }
}
