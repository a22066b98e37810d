//! Krum and Multi-Krum (Blanchard et al., NeurIPS 2017, arXiv 1703.02757).
//!
//! A vector's score is the sum of the squared distances to its nearest others. Krum gives the
//! vector with the least score, Multi-Krum the mean of several. Both bear `n >= 2 f + 3` in the
//! paper, and run from `2 f + 1` on here, as in other libraries.
//!
//! The paper counts the `n - f - 2` nearest, libraries such as ByzFL `n - f - 1`, all but f of
//! the others: [`KrumNeighbours`] says which. Cost: the Gram matrix, and `n^2 log n`.

use super::super::gram::Gram;
use super::super::{RobustError, bears, majority};
use super::{ascending, mean_of};

/// How many of the nearest others a score counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KrumNeighbours {
    /// n - f - 2, as in the paper; at least one.
    Paper,
    /// n - f - 1: all that may be honest.
    AllHonest,
}

/// The weights of Krum.
pub(super) fn krum(
    gram: &Gram,
    attackers: usize,
    neighbours: KrumNeighbours,
) -> Result<Vec<f64>, RobustError> {
    multi_krum(gram, attackers, neighbours, Some(1))
}

/// The weights of Multi-Krum.
pub(super) fn multi_krum(
    gram: &Gram,
    attackers: usize,
    neighbours: KrumNeighbours,
    chosen: Option<usize>,
) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("Krum", attackers, count)?;
    let chosen = chosen.unwrap_or(count - attackers).max(1);
    bears("Multi-Krum", attackers, count, chosen)?;
    let all: Vec<_> = (0..count).collect();
    let mut best = ascending(&scores(gram, &all, attackers, neighbours));
    best.truncate(chosen);
    Ok(mean_of(&best, count))
}

/// The score of each of `among`.
pub(super) fn scores(
    gram: &Gram,
    among: &[usize],
    attackers: usize,
    neighbours: KrumNeighbours,
) -> Vec<f64> {
    let fewer = match neighbours {
        KrumNeighbours::Paper => 2,
        KrumNeighbours::AllHonest => 1,
    };
    let counted = among.len().saturating_sub(attackers + fewer).max(1);
    let score = |&one: &usize| {
        let others = among.iter().filter(|&&other| other != one);
        let mut apart: Vec<_> = others.map(|&other| gram.squared_distance(one, other)).collect();
        apart.sort_by(f64::total_cmp);
        apart.iter().take(counted).sum()
    };
    among.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn the_two_conventions_can_choose_differently() {
        // Two close pairs; 2.2 is near to more of the others.
        let rows = [[0.0_f64], [0.1], [2.2], [3.0], [3.2]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        let chosen = |neighbours| {
            let weights = krum(&gram, 1, neighbours).expect("enough vectors");
            weights.iter().position(|&it| it == 1.0)
        };
        assert_eq!(chosen(KrumNeighbours::Paper), Some(3));
        assert_eq!(chosen(KrumNeighbours::AllHonest), Some(2));
        assert!(krum(&gram, 3, KrumNeighbours::Paper).is_err());
    }
}
