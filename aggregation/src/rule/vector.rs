//! Vector: what one author contributes to a term, and how rules read it.
//!
//! Usually that is one update, read from its payload; where epochs are pooled it
//! may be the sum of several, each of whose entries is clamped to the largest
//! magnitude that an update's entry can have, so that a sum obeys every bound of
//! a single update. Rules go through it block by block, so that a block of every
//! vector stays in cache.

use std::ops::Range;

use super::ENTRY_UNITS_MAX;
use crate::update::Update;

/// Entries worked on at a time.
pub(super) const BLOCK: usize = 256;

/// What one author contributes to a term.
#[derive(Debug, Clone)]
pub(crate) enum Vector<'a> {
    /// One update, as it was received.
    Update(&'a Update),
    /// The sum of several.
    Sum(Sum),
}

/// The entries of several updates added up, each clamped to ±[`ENTRY_UNITS_MAX`].
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    /// Entries in units of 2^-24.
    units: Vec<i32>,
    chunks: Vec<Range<usize>>,
    squared_norm: u128,
}

/// A vector with the weight that clipping gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted<'a> {
    /// The vector.
    pub vector: &'a Vector<'a>,
    /// Its weight in units of 2^-16, at most one.
    pub weight: i64,
}

/// One vector's part of a chunk: each entry is its value times the factor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    /// Quantised values.
    Bytes(&'a [u8], i64),
    /// Units of 2^-24.
    Units(&'a [i32], i64),
}

/// A block of several rows, one after another.
#[derive(Debug)]
pub(super) struct Block {
    entries: Vec<i64>,
    len: usize,
}

impl<'a> Vector<'a> {
    /// The contribution of an author's updates; at least one, of one schema.
    pub fn of(updates: &[&'a Update]) -> Self {
        match updates {
            [update] => Self::Update(update),
            updates => Self::Sum(Sum::of(updates)),
        }
    }

    /// The square of the Euclidean norm in units of 2^-48.
    pub fn squared_norm(&self) -> u128 {
        match self {
            Self::Update(update) => update.squared_norm(),
            Self::Sum(sum) => sum.squared_norm,
        }
    }

    /// Number of entries.
    pub fn parameter_count(&self) -> usize {
        match self {
            Self::Update(update) => update.parameter_count(),
            Self::Sum(sum) => sum.units.len(),
        }
    }

    /// The chunks, each with the entries that it covers, weighted.
    pub(super) fn rows(&self, weight: i64) -> Vec<(Range<usize>, Row<'_>)> {
        match self {
            Self::Update(update) => {
                let chunks = update.values();
                let row = |chunk: &crate::update::Chunk<'a>| {
                    Row::Bytes(chunk.bytes(), weight << chunk.exponent)
                };
                chunks.map(|chunk| (chunk.range.clone(), row(&chunk))).collect()
            }
            Self::Sum(sum) => {
                let row = |range: &Range<usize>| Row::Units(&sum.units[range.clone()], weight);
                sum.chunks.iter().map(|range| (range.clone(), row(range))).collect()
            }
        }
    }
}

impl Sum {
    fn of(updates: &[&Update]) -> Self {
        let first = updates.first().expect("an author contributes an update");
        let mut sums = vec![0; first.parameter_count()];
        for update in updates {
            update.add_scaled(1, &mut sums);
        }
        let clamp = |sum: i64| {
            let clamped = sum.clamp(-ENTRY_UNITS_MAX, ENTRY_UNITS_MAX);
            i32::try_from(clamped).expect("an update's entry fits 32 bits")
        };
        let starts: Vec<usize> = first.values().map(|chunk| chunk.range.start).collect();
        Self::new(sums.into_iter().map(clamp).collect(), &starts)
    }

    /// Entries in units of 2^-24, none beyond ±[`ENTRY_UNITS_MAX`], in chunks that start there.
    pub(super) fn new(units: Vec<i32>, starts: &[usize]) -> Self {
        let squared_norm = units.iter().map(|&units| u128::from(square(units))).sum();
        let ends = starts.iter().skip(1).copied().chain([units.len()]);
        let chunks = starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
        Self { units, chunks, squared_norm }
    }
}

fn square(units: i32) -> u64 {
    u64::from(units.unsigned_abs()).pow(2)
}

impl Row<'_> {
    /// What each entry is multiplied with.
    pub const fn factor(&self) -> i64 {
        match *self {
            Self::Bytes(_, factor) | Self::Units(_, factor) => factor,
        }
    }

    /// Writes the entries from `from` on into `out`.
    #[inline(always)]
    pub fn fill(&self, from: usize, out: &mut [i64]) {
        let end = from + out.len();
        match *self {
            Self::Bytes(bytes, factor) => {
                let bytes = out.iter_mut().zip(&bytes[from..end]);
                bytes.for_each(|(out, &byte)| *out = factor * i64::from(byte.cast_signed()));
            }
            Self::Units(units, factor) => {
                let units = out.iter_mut().zip(&units[from..end]);
                units.for_each(|(out, &units)| *out = factor * i64::from(units));
            }
        }
    }
}

impl Block {
    /// Room for `rows` rows of [`BLOCK`] entries.
    pub fn new(rows: usize) -> Self {
        Self { entries: vec![0; rows * BLOCK], len: BLOCK }
    }

    /// Fills the block with `len` entries of each row from `from` on.
    #[inline(always)]
    pub fn fill(&mut self, rows: &[Row<'_>], from: usize, len: usize) {
        self.len = len;
        for (row, out) in rows.iter().zip(self.entries.chunks_exact_mut(BLOCK)) {
            row.fill(from, &mut out[..len]);
        }
    }

    /// The entries of each row.
    pub fn rows(&self) -> impl Iterator<Item = &[i64]> {
        self.entries.chunks_exact(BLOCK).map(|row| &row[..self.len])
    }

    /// The entries of one row.
    pub fn row(&self, number: usize) -> &[i64] {
        &self.entries[number * BLOCK..][..self.len]
    }

    /// The entries of one row, to write; sets how many entries the rows have.
    pub fn row_mut(&mut self, number: usize, len: usize) -> &mut [i64] {
        self.len = len;
        &mut self.entries[number * BLOCK..][..len]
    }
}

/// Fewest entries of each vector that are worked on at a time.
const WINDOW_MIN: usize = 256;

/// Entries of each of `count` vectors that are worked on at a time, so that all have a tile of so
/// many together; at most so many of each.
pub(super) fn window(tile: usize, count: usize, most: usize) -> usize {
    (tile / count.max(1)).next_multiple_of(WINDOW_MIN).clamp(WINDOW_MIN, most)
}

/// Calls `visit` for each block of a set of vectors: with the rows' parts of a
/// chunk, the place of the block in it, and the entries that it covers.
pub(super) fn for_each_block(
    vectors: &[Weighted<'_>],
    mut visit: impl FnMut(&[Row<'_>], usize, Range<usize>),
) {
    for_each_chunk(vectors, |rows, range| {
        for from in (0..range.len()).step_by(BLOCK) {
            let start = range.start + from;
            visit(rows, from, start..range.end.min(start + BLOCK));
        }
    });
}

/// Calls `visit` for each chunk of a set of vectors, with the rows' parts of it and the entries
/// that it covers.
pub(super) fn for_each_chunk(
    vectors: &[Weighted<'_>],
    mut visit: impl FnMut(&[Row<'_>], Range<usize>),
) {
    for_each_chunk_of(&[vectors], |rows, range| visit(&rows[0], range));
}

/// The same for several sets of vectors of one schema.
pub(super) fn for_each_chunk_of<'a>(
    sets: &[impl AsRef<[Weighted<'a>]>],
    mut visit: impl FnMut(&[Vec<Row<'_>>], Range<usize>),
) {
    let rows = |it: &Weighted<'a>| it.vector.rows(it.weight);
    let all: Vec<Vec<_>> = sets.iter().map(|set| set.as_ref().iter().map(rows).collect()).collect();
    let first: Option<&Vec<(Range<usize>, Row<'_>)>> = all.iter().flatten().next();
    for (chunk, (range, _)) in first.into_iter().flatten().enumerate() {
        let rows = |set: &Vec<Vec<(_, Row<'a>)>>| set.iter().map(|rows| rows[chunk].1).collect();
        let rows: Vec<Vec<Row<'_>>> = all.iter().map(rows).collect();
        visit(&rows, range.clone());
    }
}
