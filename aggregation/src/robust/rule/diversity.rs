//! Neighbour counts and diversity by angle, this project's own rule.
//!
//! Each vector is shortened to the median norm. `a_i` is the share of vectors that count i among
//! their `n - f` nearest by angle, and `b_i` the inverse of the sum of its positive cosines with all:
//! attackers that agree with each other share what one of them would weigh. The output is twice
//! the mean by `a_i b_i`; twice, because weights by diversity shorten what honest vectors have in
//! common. Nobody is dropped, so that no class of data is. Cost: the Gram matrix.

use super::super::gram::Gram;
use super::super::{RobustError, majority};
use super::ascending;

/// What makes up for the shortening; measured, see docs.
const LENGTH: f64 = 2.0;

/// The weights, clipping included.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("the rule of diversity", attackers, count)?;
    let norms: Vec<f64> = (0..count).map(|it| gram.norm(it)).collect();
    let mut sorted = norms.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[(count - 1) / 2] / 2.0 + sorted[count / 2] / 2.0;
    let cosine = |one: usize, other: usize| match norms[one] * norms[other] {
        _ if one == other => 1.0,
        lengths if lengths > 0.0 => (gram.product(one, other) / lengths).clamp(-1.0, 1.0),
        _ => 0.0,
    };
    let cosines: Vec<Vec<f64>> =
        (0..count).map(|one| (0..count).map(|other| cosine(one, other)).collect()).collect();
    let mut named = vec![0_u32; count];
    for row in &cosines {
        let apart: Vec<f64> = row.iter().map(|cosine| -cosine).collect();
        ascending(&apart).iter().take(count - attackers).for_each(|&it| named[it] += 1);
    }
    let alike = |row: &Vec<f64>| row.iter().map(|cosine| cosine.max(0.0)).sum::<f64>();
    let shares = named.iter().zip(&cosines).map(|(&named, row)| f64::from(named) / alike(row));
    let shares: Vec<f64> = shares.collect();
    let sum: f64 = shares.iter().sum();
    let shortened = |(share, &norm): (f64, &f64)| {
        let factor = if norm > median { median / norm } else { 1.0 };
        LENGTH * share / sum * factor
    };
    Ok(shares.into_iter().zip(&norms).map(shortened).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn attackers_that_agree_share_a_weight() {
        let honest = [[1.0_f64, 0.1, 0.0], [1.0, 0.0, 0.2], [1.0, -0.2, 0.1], [1.0, 0.0, -0.1]];
        let rows: Vec<[f64; 3]> = honest.into_iter().chain([[-9.0, 0.0, 0.0]; 2]).collect();
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let found = weights(&Gram::of(&vectors), 2).expect("enough vectors");
        let part: f64 = found.iter().zip(&rows).map(|(weight, row)| weight * row[0]).sum();
        assert!(part > 0.5, "{found:?}");
        let zeros = Vectors::new(vec![&[0.0_f64; 2][..]; 4]).expect("sound");
        assert!(weights(&Gram::of(&zeros), 1).expect("enough").iter().all(|it| it.is_finite()));
    }
}
