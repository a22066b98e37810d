//! Nearest-neighbour mixing (NNM; Allouah et al., AISTATS 2023, arXiv 2302.01772).
//!
//! Each vector is replaced by the mean of the `n - f` vectors nearest to it, itself among them.
//! With a rule that bears f < n / 2 behind it, the error is of the best possible order. Cost: the
//! Gram matrix; each entry that is mixed takes some `n / 4` additions (see `sharing`).

use super::super::gram::Gram;
use super::super::mixing::Mixing;
use super::super::{RobustError, bears};

/// The means.
pub(super) fn mixing(gram: &Gram, attackers: usize) -> Result<Mixing, RobustError> {
    let count = gram.count();
    bears("nearest-neighbour mixing", attackers, count, attackers.saturating_add(1))?;
    let nearest = |one: usize| {
        let mut order: Vec<_> = (0..count).collect();
        let apart = |it: usize| if it == one { -1.0 } else { gram.squared_distance(one, it) };
        order.sort_by(|&it, &other| apart(it).total_cmp(&apart(other)));
        order.truncate(count - attackers);
        order.sort_unstable();
        order
    };
    Ok(Mixing::means(&(0..count).map(nearest).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn outliers_are_pulled_in_and_others_do_without_them() {
        let rows = [[0.0_f64], [1.0], [2.0], [90.0]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        let mixing = mixing(&gram, 1).expect("fewer attackers than vectors");
        let chosen = |it: usize| mixing.row(it).iter().map(|&(from, _)| from).collect::<Vec<_>>();
        assert_eq!(
            [0, 1, 2, 3].map(chosen),
            [vec![0, 1, 2], vec![0, 1, 2], vec![0, 1, 2], vec![1, 2, 3]]
        );
        assert!(super::mixing(&gram, 4).is_err());
    }
}
