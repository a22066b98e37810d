//! Trimmed mean: entry by entry, the average without the extremes
//! (Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018).
//!
//! The coordinate median is the trimmed mean that keeps the one or two entries in
//! the middle, and the mean around the median (MeaMed; Xie et al. 2018, arXiv
//! 1802.10116) keeps the n - f that are nearest to it. What is kept is the whole
//! sum less that of the others (`super::extremes`).

use pulp::Arch;

use super::extremes::{Keep, extremes};
use super::vector::{BLOCK, Block, Row};

/// The sums of what is kept in each column, block by block.
#[derive(Debug)]
pub(super) struct Kept {
    keep: Keep,
    block: Block,
}

impl Kept {
    /// Of so many vectors, more than are kept.
    pub fn new(count: usize, keep: Keep) -> Self {
        Self { keep, block: Block::new(count) }
    }

    /// The sums from `from` on, in units of 2^-40, into at most [`BLOCK`] entries.
    pub fn fill(&mut self, rows: &[Row<'_>], from: usize, out: &mut [i64]) {
        let Self { keep, block } = self;
        let mut gone = [0; BLOCK];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                block.fill(rows, from, out.len());
                extremes(block, rows.len(), *keep, &mut gone);
                out.fill(0);
                for row in block.rows() {
                    out.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += entry);
                }
            },
        );
        for (sum, gone) in out.iter_mut().zip(gone) {
            // A sum of some of the entries that the whole sum has.
            *sum -= i64::try_from(gone).expect("sums of weighted entries fit 64 bits");
        }
    }
}
