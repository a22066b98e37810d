//! Mean: the average of a cohort's vectors, and any other sum of them by whole weights.
//!
//! A block of the sum stays in the first-level cache while all vectors are added to it.

use std::ops::Range;

use pulp::Arch;

use super::columns::{Exact, Scale, fill};
use super::rounding::Sink;
use super::vector::{Row, window};
use crate::robust::{Limbs, Number};

/// Bytes of pairs of quantised vectors that are worked on at a time.
const TILE: usize = 1 << 17;
/// Most entries that are summed at a time.
const WINDOW_MAX: usize = 2048;

/// The sums of all vectors, window by window.
#[derive(Debug, Default)]
pub(super) struct Whole {
    tile: Vec<i16>,
}

impl Whole {
    /// Entries that are found at a time.
    pub fn window(count: usize) -> usize {
        window(TILE / size_of::<i16>(), count, WINDOW_MAX)
    }

    /// Gives `sink` the sums of at most a window of entries.
    pub fn find<K: Sink>(
        &mut self,
        rows: &[Row<'_>],
        window: Range<usize>,
        at: usize,
        sink: &mut K,
    ) {
        let scale = Scale::of_sum(rows);
        let exact = scale.exact_in();
        let limbs = exact.filter(|it| *it != Exact::Short).and_then(|_| limbs(rows, scale));
        match (limbs, exact) {
            (Some(limbs), _) => {
                let mut found = [0.0; WINDOW_MAX];
                let found = &mut found[..window.len()];
                self.by_limbs(rows, &limbs, window, found);
                sink.put(at, scale, found, None);
            }
            (None, Some(Exact::Short)) => floats::<i16, K>(rows, scale, window, at, sink),
            (None, Some(Exact::Single)) => floats::<f32, K>(rows, scale, window, at, sink),
            (None, Some(Exact::Double)) => floats::<f64, K>(rows, scale, window, at, sink),
            (None, None) => integers(rows, window, at, sink),
        }
    }

    /// The sums of quantised rows by parts of their weights.
    fn by_limbs(&mut self, rows: &[Row<'_>], limbs: &Limbs, window: Range<usize>, out: &mut [f64]) {
        let each = 2 * window.len();
        let len = rows.len().div_ceil(2) * each;
        if self.tile.len() < len {
            self.tile.resize(len, 0);
        }
        let arch = Arch::new();
        for (pair, entries) in rows.chunks(2).zip(self.tile.chunks_exact_mut(each)) {
            arch.dispatch(
                #[inline(always)]
                || fill_pair(pair, window.clone(), entries),
            );
        }
        let pairs: Vec<&[i16]> = self.tile[..len].chunks_exact(each).collect();
        limbs.sums(&pairs, out);
    }
}

/// The weights of quantised rows, in multiples of two to the scale's shift.
fn limbs(rows: &[Row<'_>], scale: Scale) -> Option<Limbs> {
    let weight = |row: &Row<'_>| match row {
        Row::Bytes(_, factor) => Some(factor >> scale.shift),
        Row::Units(..) => None,
    };
    Limbs::of(&rows.iter().map(weight).collect::<Option<Vec<_>>>()?)
}

/// Writes the values of one or two rows in turn.
#[inline(always)]
fn fill_pair(pair: &[Row<'_>], window: Range<usize>, out: &mut [i16]) {
    let one = &bytes(&pair[0])[window.clone()];
    let out = out.as_chunks_mut::<2>().0.iter_mut();
    match pair.get(1) {
        Some(other) => {
            let values = one.iter().zip(&bytes(other)[window]);
            out.zip(values).for_each(|(out, (&one, &other))| {
                *out = [one.cast_signed().into(), other.cast_signed().into()];
            });
        }
        None => out.zip(one).for_each(|(out, &one)| *out = [one.cast_signed().into(), 0]),
    }
}

fn bytes<'a>(row: &Row<'a>) -> &'a [u8] {
    match *row {
        Row::Bytes(bytes, _) => bytes,
        Row::Units(..) => unreachable!("only quantised rows have limbs"),
    }
}

/// The sums of a window in numbers that round nothing.
fn floats<T: Number, K: Sink>(
    rows: &[Row<'_>],
    scale: Scale,
    window: Range<usize>,
    at: usize,
    sink: &mut K,
) {
    let mut sums = [T::default(); WINDOW_MAX];
    let mut entries = [T::default(); WINDOW_MAX];
    let (sums, entries) = (&mut sums[..window.len()], &mut entries[..window.len()]);
    let arch = Arch::new();
    for row in rows {
        arch.dispatch(
            #[inline(always)]
            || {
                fill(row, scale.shift, window.clone(), entries);
                let pairs = sums.iter_mut().zip(&*entries);
                pairs.for_each(|(sum, &entry)| *sum = sum.plus(entry));
            },
        );
    }
    sink.put(at, scale, sums, None);
}

/// The sums of a window in integers.
fn integers<K: Sink>(rows: &[Row<'_>], window: Range<usize>, at: usize, sink: &mut K) {
    let mut sums = [0; WINDOW_MAX];
    let sums = &mut sums[..window.len()];
    Arch::new().dispatch(
        #[inline(always)]
        || rows.iter().for_each(|row| add(row, window.start, sums)),
    );
    sink.put_whole(at, sums);
}

/// Adds the entries of a row from `from` on.
#[inline(always)]
fn add(row: &Row<'_>, from: usize, sums: &mut [i64]) {
    match *row {
        Row::Bytes(_, 0) | Row::Units(_, 0) => {}
        Row::Bytes(bytes, factor) => {
            // The odd part is a coefficient, which is at most 2^32: where it fits 32 bits, a
            // product of 32 by 32 bits is one instruction, which one of 64 by 64 is not.
            let shift = factor.trailing_zeros();
            let entries = sums.iter_mut().zip(&bytes[from..]);
            match i32::try_from(factor >> shift) {
                Ok(odd) => entries.for_each(|(sum, &byte)| {
                    *sum += (i64::from(odd) * i64::from(i32::from(byte.cast_signed()))) << shift;
                }),
                Err(_) => entries.for_each(|(sum, &byte)| {
                    *sum += factor * i64::from(byte.cast_signed());
                }),
            }
        }
        Row::Units(units, factor) => {
            let entries = sums.iter_mut().zip(&units[from..]);
            entries.for_each(|(sum, &units)| *sum += factor * i64::from(units));
        }
    }
}
