//! Sums: a cohort's exact sums, found window by window, and what becomes of them.
//!
//! A window of sums is rounded, or averaged with those of other cohorts, before the next is
//! found: no sum of all entries is ever held, which would be more memory than an eighth of 64
//! updates. All rules end in a sum over equally many contributions for every entry, and one
//! division.

use super::columns::Columns;
use super::extremes::Keep;
use super::mean::Whole;
use super::nearest_neighbour_mixing::Mixed;
use super::rounding::{Cut, Rounded, Sink};
use super::trimmed_mean::Kept;
use super::vector::{BLOCK, Row, Weighted, for_each_chunk, for_each_chunk_of};
use super::{COHORT_BITS, to_term};
use crate::round::divide_half_even_wide;

/// Exact sums over equally many contributions for every entry.
#[derive(Debug)]
pub(super) struct Sums<'a> {
    vectors: Vec<Weighted<'a>>,
    way: Way,
    /// What a sum is divided by to be a mean in units of 2^-24; positive.
    divisor: i64,
    /// By how much the mean counts beside those of others: its authors.
    authors: usize,
}

/// How sums are found.
#[derive(Debug)]
pub(super) enum Way {
    /// Of all vectors.
    Whole(Whole),
    /// Of what is kept in each column, in numbers that round nothing.
    Columns(Columns),
    /// Of what is kept in each column, in integers.
    Kept(Kept),
    /// Of what is kept of mixed vectors in each column, in integers.
    Mixed(Mixed),
}

impl Way {
    /// The sums of all vectors.
    pub fn whole() -> Self {
        Self::Whole(Whole::default())
    }

    /// The sums of what is kept in each column.
    pub fn kept(vectors: &[Weighted<'_>], keep: Keep) -> Self {
        if keep.of(vectors.len()) == vectors.len() {
            return Self::whole();
        }
        match Columns::of(vectors, None, keep) {
            Some(columns) => Self::Columns(columns),
            None => Self::Kept(Kept::new(vectors.len(), keep)),
        }
    }

    /// The same of mixed vectors, each the sum of those that `near` names for it.
    pub fn mixed(vectors: &[Weighted<'_>], near: &[Vec<usize>], keep: Keep) -> Self {
        match Columns::of(vectors, Some(near), keep) {
            Some(columns) => Self::Columns(columns),
            None => Self::Mixed(Mixed::new(near, keep)),
        }
    }

    /// Entries that are found at a time, at most.
    fn window(&self, count: usize) -> usize {
        match self {
            Self::Whole(_) => Whole::window(count),
            Self::Columns(_) => Columns::window(count),
            Self::Kept(_) | Self::Mixed(_) => BLOCK,
        }
    }

    /// Gives `sink` the sums of `len` entries of rows from `from` on, at its place `at`.
    fn find<K: Sink>(
        &mut self,
        rows: &[Row<'_>],
        from: usize,
        len: usize,
        at: usize,
        sink: &mut K,
    ) {
        match self {
            Self::Whole(whole) => whole.find(rows, from..from + len, at, sink),
            Self::Columns(columns) => columns.find(rows, from..from + len, at, sink),
            Self::Kept(kept) => {
                let mut sums = [0; BLOCK];
                kept.fill(rows, from, &mut sums[..len]);
                sink.put_whole(at, &sums[..len]);
            }
            Self::Mixed(mixed) => {
                let mut sums = [0; BLOCK];
                mixed.fill(rows, from, &mut sums[..len]);
                sink.put_wide(at, &sums[..len]);
            }
        }
    }
}

impl<'a> Sums<'a> {
    /// The sums of vectors, of which there is at least one, and what makes means of them.
    pub const fn new(vectors: Vec<Weighted<'a>>, way: Way, divisor: i64, authors: usize) -> Self {
        Self { vectors, way, divisor, authors }
    }

    /// The means, each rounded once.
    pub fn round(&mut self) -> Vec<i32> {
        let mut sink = Rounded::of(self.parameters(), self.divisor);
        let window = self.way.window(self.vectors.len());
        for_each_chunk(&self.vectors, |rows, range| {
            for from in (0..range.len()).step_by(window) {
                let len = window.min(range.len() - from);
                self.way.find(rows, from, len, range.start + from, &mut sink);
            }
        });
        sink.entries
    }

    fn parameters(&self) -> usize {
        self.vectors.first().map_or(0, |weighted| weighted.vector.parameter_count())
    }
}

/// The average of the cohorts' means by the number of their authors, each rounded once.
pub(super) fn average(cohorts: &mut [Sums<'_>]) -> Vec<i32> {
    let total: usize = cohorts.iter().map(|it| it.authors).sum();
    let divisor = i128::try_from(total).expect("members fit 16 bits") << COHORT_BITS;
    let mut out = vec![0; cohorts.first().map_or(0, Sums::parameters)];
    let sets: Vec<Vec<Weighted<'_>>> = cohorts.iter().map(|it| it.vectors.clone()).collect();
    for_each_chunk_of(&sets, |rows, range| {
        for (number, out) in out[range].chunks_mut(BLOCK).enumerate() {
            let mut averages = [0; BLOCK];
            for (cohort, rows) in cohorts.iter_mut().zip(rows) {
                let mut sink = Cut::new(cohort.authors, cohort.divisor, &mut averages);
                cohort.way.find(rows, number * BLOCK, out.len(), 0, &mut sink);
            }
            let means = averages.iter().map(|&sum| to_term(divide_half_even_wide(sum, divisor)));
            out.iter_mut().zip(means).for_each(|(out, mean)| *out = mean);
        }
    });
    out
}

/// All sums at once, for tests.
#[cfg(test)]
pub(super) fn all(vectors: &[Weighted<'_>], mut way: Way) -> Vec<i128> {
    let parameters = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut found = super::rounding::tests::All(vec![0; parameters]);
    let window = way.window(vectors.len());
    for_each_chunk(vectors, |rows, range| {
        for from in (0..range.len()).step_by(window) {
            let len = window.min(range.len() - from);
            way.find(rows, from, len, range.start + from, &mut found);
        }
    });
    found.0
}
