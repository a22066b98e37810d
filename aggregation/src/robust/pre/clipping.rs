//! Clipping: vectors longer than a norm are shortened to it.

use super::super::gram::Gram;
use super::super::mixing::Mixing;
use super::super::{RobustError, positive};

/// Shortens to `norm`.
pub(super) fn mixing(gram: &Gram, norm: f64) -> Result<Mixing, RobustError> {
    let norm = positive("the norm to clip to", norm)?;
    Ok(to(gram, norm, |_| true))
}

/// Shortens to the median norm.
pub(super) fn to_median(gram: &Gram) -> Mixing {
    let count = gram.count();
    if count == 0 {
        return Mixing::identity(0);
    }
    let mut norms: Vec<f64> = (0..count).map(|it| gram.norm(it)).collect();
    norms.sort_by(f64::total_cmp);
    to(gram, norms[(count - 1) / 2] / 2.0 + norms[count / 2] / 2.0, |_| true)
}

/// Shortens those of the vectors that `which` names.
pub(super) fn to(gram: &Gram, most: f64, which: impl Fn(usize) -> bool) -> Mixing {
    let factor = |it: usize| match gram.norm(it) {
        norm if norm > most && which(it) => most / norm,
        _ => 1.0,
    };
    Mixing::scaled(&(0..gram.count()).map(factor).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::*;

    #[test]
    fn only_longer_vectors_are_shortened() {
        let rows = [[3.0_f64, 4.0], [0.6, 0.8], [0.0, 0.0], [0.0, 2.0]];
        let vectors = Vectors::new(rows.iter().map(|row| &row[..]).collect()).expect("sound");
        let gram = Gram::of(&vectors);
        let factors = |mixing: &Mixing| [0, 1, 2, 3].map(|it| mixing.row(it)[0].1);
        assert_eq!(factors(&mixing(&gram, 2.5).expect("a norm")), [0.5, 1.0, 1.0, 1.0]);
        assert_eq!(factors(&to_median(&gram)), [0.3, 1.0, 1.0, 0.75]);
        assert!(mixing(&gram, 0.0).is_err());
        assert_eq!(to_median(&Gram::from_rows(&[])).count(), 0);
    }
}
