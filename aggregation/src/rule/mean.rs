//! Mean: the average of a cohort's vectors, and any other sum of them by whole weights.
//!
//! A block of the sum stays in the first-level cache while all vectors are added to it.

use pulp::Arch;

use super::columns::{Exact, Scale};
use super::vector::{Row, Weighted, for_each_chunk};
use crate::robust::Real;

/// Entries that are summed at a time.
const SUM_BLOCK: usize = 2048;

/// The sum of the weighted vectors, entry by entry, in units of 2^-40.
pub(super) fn sums(vectors: &[Weighted<'_>]) -> Vec<i64> {
    let count = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut entries = vec![0; count];
    let arch = Arch::new();
    for_each_chunk(vectors, |rows, range| {
        let scale = Scale::of_sum(rows);
        for (number, sums) in entries[range].chunks_mut(SUM_BLOCK).enumerate() {
            let from = number * SUM_BLOCK;
            arch.dispatch(
                #[inline(always)]
                || match scale.exact_in() {
                    Some(Exact::Single) => add_floats::<f32>(rows, scale, from, sums),
                    Some(Exact::Double) => add_floats::<f64>(rows, scale, from, sums),
                    None => rows.iter().for_each(|row| add(row, from, sums)),
                },
            );
        }
    });
    entries
}

/// Adds up the entries of all rows from `from` on in floats, which round nothing.
#[inline(always)]
fn add_floats<T: Real>(rows: &[Row<'_>], scale: Scale, from: usize, out: &mut [i64]) {
    let mut sums = [T::default(); SUM_BLOCK];
    let sums = &mut sums[..out.len()];
    for row in rows {
        let factor = T::from_f64((row.factor() >> scale.shift) as f64);
        match row {
            Row::Bytes(bytes, _) => {
                let entries = sums.iter_mut().zip(&bytes[from..]);
                entries.for_each(|(sum, &byte)| {
                    *sum = sum.plus(T::from_i8(byte.cast_signed()).times(factor));
                });
            }
            Row::Units(units, _) => {
                let entries = sums.iter_mut().zip(&units[from..]);
                entries.for_each(|(sum, &units)| {
                    *sum = sum.plus(T::from_f64(units.into()).times(factor));
                });
            }
        }
    }
    let whole = out.iter_mut().zip(sums);
    whole.for_each(|(out, sum)| *out = sum.to_whole() << scale.shift);
}

/// The sum of the vectors by coefficients in place of their weights.
pub(super) fn sums_by(vectors: &[Weighted<'_>], coefficients: &[i64]) -> Vec<i64> {
    let pairs = vectors.iter().zip(coefficients);
    sums(&pairs.map(|(weighted, &weight)| Weighted { weight, ..*weighted }).collect::<Vec<_>>())
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
