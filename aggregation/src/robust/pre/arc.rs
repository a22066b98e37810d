//! ARC: adaptive robust clipping (Allouah et al., ICLR 2025, arXiv 2405.14432).
//!
//! The `floor(2 f (n - f) / n)` longest vectors are shortened to the norm of the longest of the
//! others. Keeps what the rule behind it bears, and bounds what outliers can do.

use super::super::gram::Gram;
use super::super::mixing::Mixing;
use super::super::{RobustError, bears};
use super::clipping;

/// The shortened vectors.
pub(super) fn mixing(gram: &Gram, attackers: usize) -> Result<Mixing, RobustError> {
    let count = gram.count();
    bears("adaptive clipping", attackers, count, attackers.saturating_add(1))?;
    let clipped = 2 * attackers * (count - attackers) / count;
    let mut order: Vec<_> = (0..count).collect();
    order.sort_by(|&one, &other| gram.norm(one).total_cmp(&gram.norm(other)));
    let most = gram.norm(order[count - clipped - 1]);
    let longest = &order[count - clipped..];
    Ok(clipping::to(gram, most, |it| longest.contains(&it)))
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn the_longest_are_shortened_to_the_next() {
        let rows = [[4.0_f64], [1.0], [2.0], [8.0], [-3.0]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        // floor(2 * 1 * 4 / 5) = 1.
        let mixing = mixing(&gram, 1).expect("fewer attackers than vectors");
        assert_eq!([0, 1, 2, 3, 4].map(|it| mixing.row(it)[0].1), [1.0, 1.0, 1.0, 0.5, 1.0]);
        assert!(super::mixing(&gram, 5).is_err());
        assert!(super::mixing(&gram, 4).is_ok());
    }
}
