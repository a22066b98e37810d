//! Trimmed mean: entry by entry, the average without the extremes
//! (Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018).
//!
//! The coordinate median is the trimmed mean that keeps the one or two entries in
//! the middle, and the mean around the median (MeaMed; Xie et al. 2018, arXiv
//! 1802.10116) keeps the n - f that are nearest to it. What is kept is the whole
//! sum less that of the others (`super::extremes`).

use pulp::Arch;

use super::extremes::{Keep, extremes};
use super::mean;
use super::rounding::Whole;
use super::vector::{BLOCK, Block, Weighted, for_each_block};

/// The sums of what is kept, in units of 2^-40.
pub(super) fn sums(vectors: &[Weighted<'_>], keep: Keep) -> Vec<i64> {
    let room = Whole::of(vectors.first().map_or(0, |it| it.vector.parameter_count()));
    let mut sums = mean::sums(vectors, room).0;
    if keep.of(vectors.len()) == vectors.len() {
        return sums;
    }
    let mut block = Block::new(vectors.len());
    let mut gone = [0; BLOCK];
    let arch = Arch::new();
    for_each_block(vectors, |rows, from, entries| {
        arch.dispatch(
            #[inline(always)]
            || {
                block.fill(rows, from, entries.len());
                extremes(&block, vectors.len(), keep, &mut gone);
            },
        );
        for (sum, &gone) in sums[entries].iter_mut().zip(&gone) {
            // A sum of some of the entries that the whole sum has.
            *sum -= i64::try_from(gone).expect("sums of weighted entries fit 64 bits");
        }
    });
    sums
}
