//! Mean: the average of a cohort's vectors, and any other sum of them by whole weights.
//!
//! A block of the sum stays in the first-level cache while all vectors are added to it.

use std::ops::Range;

use pulp::Arch;

use super::columns::{Exact, Scale, fill};
use super::rounding::Sink;
use super::vector::{Row, Weighted, for_each_chunk};
use crate::robust::{Limbs, Number};

/// Entries that are summed at a time.
const SUM_BLOCK: usize = 2048;
/// Entries of quantised vectors that are summed at a time by parts of weights.
const LIMB_BLOCK: usize = 1024;

/// Gives `sink` the sum of the weighted vectors, entry by entry, in units of 2^-40.
pub(super) fn sums<K: Sink>(vectors: &[Weighted<'_>], mut sink: K) -> K {
    let mut tile = Vec::new();
    for_each_chunk(vectors, |rows, range| {
        let scale = Scale::of_sum(rows);
        let exact = scale.exact_in();
        let limbs = exact.filter(|it| *it != Exact::Short).and_then(|_| limbs(rows, scale));
        match (limbs, exact) {
            (Some(limbs), _) => by_limbs(rows, scale, &limbs, &mut tile, range, &mut sink),
            (None, Some(Exact::Short)) => floats::<i16, K>(rows, scale, range, &mut sink),
            (None, Some(Exact::Single)) => floats::<f32, K>(rows, scale, range, &mut sink),
            (None, Some(Exact::Double)) => floats::<f64, K>(rows, scale, range, &mut sink),
            (None, None) => integers(rows, range, &mut sink),
        }
    });
    sink
}

/// The sum of the vectors by coefficients in place of their weights.
pub(super) fn sums_by<K: Sink>(vectors: &[Weighted<'_>], coefficients: &[i64], sink: K) -> K {
    let pairs = vectors.iter().zip(coefficients);
    let weighted = pairs.map(|(weighted, &weight)| Weighted { weight, ..*weighted });
    sums(&weighted.collect::<Vec<_>>(), sink)
}

/// The weights of quantised rows, in multiples of two to the scale's shift.
fn limbs(rows: &[Row<'_>], scale: Scale) -> Option<Limbs> {
    let weight = |row: &Row<'_>| match row {
        Row::Bytes(_, factor) => Some(factor >> scale.shift),
        Row::Units(..) => None,
    };
    Limbs::of(&rows.iter().map(weight).collect::<Option<Vec<_>>>()?)
}

/// The sums of a chunk of quantised rows.
fn by_limbs<K: Sink>(
    rows: &[Row<'_>],
    scale: Scale,
    limbs: &Limbs,
    tile: &mut Vec<i16>,
    range: Range<usize>,
    sink: &mut K,
) {
    tile.resize(rows.len().div_ceil(2) * 2 * LIMB_BLOCK, 0);
    let arch = Arch::new();
    for from in (0..range.len()).step_by(LIMB_BLOCK) {
        let len = LIMB_BLOCK.min(range.len() - from);
        for (pair, entries) in rows.chunks(2).zip(tile.chunks_exact_mut(2 * LIMB_BLOCK)) {
            arch.dispatch(
                #[inline(always)]
                || fill_pair(pair, from..from + len, &mut entries[..2 * len]),
            );
        }
        let pairs: Vec<&[i16]> =
            tile.chunks_exact(2 * LIMB_BLOCK).map(|it| &it[..2 * len]).collect();
        let mut found = [0.0; LIMB_BLOCK];
        limbs.sums(&pairs, &mut found[..len]);
        sink.put(range.start + from, scale, &found[..len], None);
    }
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

/// The sums of a chunk in numbers that round nothing.
fn floats<T: Number, K: Sink>(rows: &[Row<'_>], scale: Scale, range: Range<usize>, sink: &mut K) {
    let arch = Arch::new();
    for from in (0..range.len()).step_by(SUM_BLOCK) {
        let len = SUM_BLOCK.min(range.len() - from);
        let mut sums = [T::default(); SUM_BLOCK];
        let mut entries = [T::default(); SUM_BLOCK];
        let (sums, entries) = (&mut sums[..len], &mut entries[..len]);
        for row in rows {
            arch.dispatch(
                #[inline(always)]
                || {
                    fill(row, scale.shift, from..from + len, entries);
                    let pairs = sums.iter_mut().zip(&*entries);
                    pairs.for_each(|(sum, &entry)| *sum = sum.plus(entry));
                },
            );
        }
        sink.put(range.start + from, scale, sums, None);
    }
}

/// The sums of a chunk in integers.
fn integers<K: Sink>(rows: &[Row<'_>], range: Range<usize>, sink: &mut K) {
    let arch = Arch::new();
    for from in (0..range.len()).step_by(SUM_BLOCK) {
        let len = SUM_BLOCK.min(range.len() - from);
        let mut sums = [0; SUM_BLOCK];
        let sums = &mut sums[..len];
        arch.dispatch(
            #[inline(always)]
            || rows.iter().for_each(|row| add(row, from, sums)),
        );
        sink.put_whole(range.start + from, sums);
    }
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
