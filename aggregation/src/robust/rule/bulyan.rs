//! Bulyan (El Mhamdi et al., ICML 2018, arXiv 1802.07927).
//!
//! Krum is asked `n - 2 f` times, each time without the vectors chosen before; in each
//! coordinate the `n - 4 f` chosen entries nearest to their median are averaged. Bears
//! `n >= 4 f + 3`. Cost: the Gram matrix, `n^3 log n`, and a pass that sorts.

use super::super::gram::Gram;
use super::super::{RobustError, bears};
use super::ascending;
use super::krum::{KrumNeighbours, scores};

/// The vectors that Krum chooses, in that order.
pub(super) fn chosen(
    gram: &Gram,
    attackers: usize,
    neighbours: KrumNeighbours,
) -> Result<Vec<usize>, RobustError> {
    let count = gram.count();
    let least = attackers.saturating_mul(4).saturating_add(3);
    bears("Bulyan", attackers, count, least)?;
    let mut left: Vec<_> = (0..count).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count - 2 * attackers {
        let best = ascending(&scores(gram, &left, attackers, neighbours))[0];
        chosen.push(left.remove(best));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Pipeline, Rule, Vectors};
    use super::*;

    #[test]
    fn outliers_are_chosen_last_and_leave_the_output_inside() {
        let honest: Vec<[f64; 2]> = (0..10).map(|it| [f64::from(it) / 10.0, 1.0]).collect();
        let rows: Vec<[f64; 2]> = honest.into_iter().chain([[90.0, -90.0]]).collect();
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let neighbours = KrumNeighbours::Paper;
        let taken = chosen(&Gram::of(&vectors), 2, neighbours).expect("eleven are enough");
        assert!(taken.len() == 7 && !taken.contains(&10), "{taken:?}");
        let rule = Pipeline::of(Rule::Bulyan { attackers: 2, neighbours });
        let out = rule.aggregate(&vectors).expect("eleven are enough");
        assert!((0.0..=0.9).contains(&out[0]) && out[1] == 1.0, "{out:?}");
        let fewer = Vectors::new(vectors.rows()[1..].to_vec()).expect("sound");
        assert!(rule.aggregate(&fewer).is_err());
    }
}
