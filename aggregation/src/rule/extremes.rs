//! Extremes: what a rule within coordinates leaves out of each column of a block.
//!
//! Summing what goes is less work than sorting what stays: up to a short trim the
//! extremes of all columns are kept in sorted lists at once. Ties do not matter,
//! because equal entries are equal.

use std::ops::Range;

use super::vector::{BLOCK, Block};

/// Up to this trim the extremes are kept in a short sorted list per entry,
/// which the compiler turns into vector code; beyond it, entries are selected.
const SHORT_TRIM: usize = 4;

/// Which entries of a column a rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// All but so many at each end; twice as many are fewer than the column.
    Middle(usize),
    /// So many that are nearest to the median; at least one.
    NearMedian(usize),
}

impl Keep {
    /// How many of `count` are kept.
    pub const fn of(self, count: usize) -> usize {
        match self {
            Self::Middle(trim) => count - 2 * trim,
            Self::NearMedian(kept) => kept,
        }
    }

    /// How many go at each end, where that is the same in every column.
    pub const fn trim(self) -> Option<usize> {
        match self {
            Self::Middle(trim) => Some(trim),
            Self::NearMedian(_) => None,
        }
    }

    /// Which places of a sorted column, which is not empty, are kept.
    pub fn range<T: Copy>(self, column: &[(i64, T)]) -> Range<usize> {
        let (mut start, mut end) = (0, column.len());
        match self {
            Self::Middle(trim) => (start, end) = (trim, end - trim),
            Self::NearMedian(kept) => {
                let at = |place: usize| i128::from(column[place].0);
                let twice = at((column.len() - 1) / 2) + at(column.len() / 2);
                let apart = |place: usize| (2 * at(place) - twice).abs();
                while end - start > kept {
                    let first_goes = apart(start) > apart(end - 1);
                    *(if first_goes { &mut start } else { &mut end }) =
                        if first_goes { start + 1 } else { end - 1 };
                }
            }
        }
        start..end
    }
}

/// For each entry of a block of `count` rows, the sum of what is not kept.
#[inline(always)]
pub(super) fn extremes(block: &Block, count: usize, keep: Keep, out: &mut [i128; BLOCK]) {
    out.fill(0);
    match keep {
        Keep::Middle(0) => {}
        Keep::Middle(trim) => {
            assert!(2 * trim < count, "something is left after trimming");
            let short = trim <= SHORT_TRIM;
            if short { add_short(block, trim, out) } else { add_selected(block, trim, out) }
        }
        Keep::NearMedian(kept) if kept >= count => {}
        Keep::NearMedian(kept) => add_far(block, kept, out),
    }
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

/// Adds up what is farther from the median than the `kept` nearest. Those are neighbours in
/// the sorted column; of equally distant ones the smaller is kept.
fn add_far(block: &Block, kept: usize, out: &mut [i128; BLOCK]) {
    let rows: Vec<&[i64]> = block.rows().collect();
    let len = rows.first().map_or(0, |row| row.len());
    let mut column: Vec<(i64, ())> = Vec::with_capacity(rows.len());
    for (entry, sum) in out[..len].iter_mut().enumerate() {
        column.clear();
        column.extend(rows.iter().map(|row| (row[entry], ())));
        column.sort_unstable();
        let range = Keep::NearMedian(kept).range(&column);
        let gone = column[..range.start].iter().chain(&column[range.end..]);
        *sum += gone.map(|&(entry, ())| i128::from(entry)).sum::<i128>();
    }
}
