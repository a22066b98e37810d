//! Trimmed mean: entry by entry, the average without the extremes
//! (Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018).
//!
//! The kept sum is the whole sum minus the `trim` largest and the `trim`
//! smallest entries; ties do not matter, because equal entries are equal.

use pulp::Arch;

use super::mean;
use super::vector::{BLOCK, Block, Weighted, for_each_block};

/// Up to this trim the extremes are kept in a short sorted list per entry,
/// which the compiler turns into vector code; beyond it, entries are selected.
const SHORT_TRIM: usize = 4;

/// The sums of what is left when `trim` go at each end, in units of 2^-40;
/// `2 * trim` is below the number of vectors.
pub(super) fn sums(vectors: &[Weighted<'_>], trim: usize) -> Vec<i64> {
    let mut sums = mean::sums(vectors);
    if trim == 0 {
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
                extremes(&block, vectors.len(), trim, &mut gone);
            },
        );
        for (sum, &gone) in sums[entries].iter_mut().zip(&gone) {
            // A sum of some of the entries that the whole sum has.
            *sum -= i64::try_from(gone).expect("sums of weighted entries fit 64 bits");
        }
    });
    sums
}

/// For each entry of a block of `count` rows, the sum of the `trim` largest and
/// the `trim` smallest.
#[inline(always)]
pub(super) fn extremes(block: &Block, count: usize, trim: usize, out: &mut [i128; BLOCK]) {
    assert!(2 * trim < count, "something is left after trimming");
    out.fill(0);
    if trim == 0 {
        return;
    }
    if trim <= SHORT_TRIM { add_short(block, trim, out) } else { add_selected(block, trim, out) }
}

/// Keeps the `trim` largest and smallest of each entry, by insertion.
#[inline(always)]
fn add_short(block: &Block, trim: usize, out: &mut [i128; BLOCK]) {
    let mut largest = [[i64::MIN; BLOCK]; SHORT_TRIM];
    let mut smallest = [[i64::MAX; BLOCK]; SHORT_TRIM];
    let mut rising = [0; BLOCK];
    let mut falling = [0; BLOCK];
    let mut len = 0;
    for row in block.rows() {
        len = row.len();
        rising[..len].copy_from_slice(row);
        falling[..len].copy_from_slice(row);
        for rank in 0..trim {
            for (kept, next) in largest[rank].iter_mut().zip(&mut rising) {
                (*kept, *next) = ((*kept).max(*next), (*kept).min(*next));
            }
            for (kept, next) in smallest[rank].iter_mut().zip(&mut falling) {
                (*kept, *next) = ((*kept).min(*next), (*kept).max(*next));
            }
        }
    }
    for rank in 0..trim {
        let extremes = largest[rank].iter().zip(&smallest[rank]);
        let pairs = out[..len].iter_mut().zip(extremes);
        pairs.for_each(|(sum, (&high, &low))| *sum += i128::from(high) + i128::from(low));
    }
}

/// Selects the `trim` largest and smallest of each entry.
fn add_selected(block: &Block, trim: usize, out: &mut [i128; BLOCK]) {
    let rows: Vec<&[i64]> = block.rows().collect();
    let len = rows.first().map_or(0, |row| row.len());
    let mut column = Vec::with_capacity(rows.len());
    for (entry, sum) in out[..len].iter_mut().enumerate() {
        column.clear();
        column.extend(rows.iter().map(|row| row[entry]));
        let end = column.len() - trim;
        column.select_nth_unstable(trim - 1);
        column[trim..].select_nth_unstable(end - trim);
        let ends = column[..trim].iter().chain(&column[end..]);
        *sum += ends.map(|&entry| i128::from(entry)).sum::<i128>();
    }
}
