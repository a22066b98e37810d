//! Trimmed mean: entry by entry, the average without the extremes
//! (Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018).
//!
//! The kept sum is the whole sum minus the `trim` largest and the `trim`
//! smallest entries; ties do not matter, because equal entries are equal.

use super::{Sums, Weighted, mean};

/// Entries worked on at a time, so that a block of every update stays in cache.
const BLOCK: usize = 512;

/// Up to this trim the extremes are kept in a short sorted list per entry,
/// which the compiler turns into vector code; beyond it, entries are selected.
const SHORT_TRIM: usize = 4;

/// The sums of what is left when `trim` go at each end; `2 * trim < updates`.
pub(super) fn sums(updates: &[Weighted<'_>], trim: usize) -> Sums {
    assert!(2 * trim < updates.len(), "something is left after trimming");
    let mut sums = mean::sums(updates);
    sums.contributions -= 2 * trim;
    if trim == 0 {
        return sums;
    }
    let chunks: Vec<Vec<_>> =
        updates.iter().map(|weighted| weighted.update.values().collect()).collect();
    for number in 0..chunks[0].len() {
        let range = chunks[0][number].range.clone();
        let factors = updates.iter().zip(&chunks);
        let rows: Vec<Row<'_>> = factors
            .map(|(weighted, chunks)| Row {
                bytes: chunks[number].bytes(),
                factor: weighted.weight << chunks[number].exponent,
            })
            .collect();
        trim_chunk(&rows, trim, &mut sums.entries[range]);
    }
    sums
}

/// One update's part of a chunk: each entry is its byte times the factor.
struct Row<'a> {
    bytes: &'a [u8],
    factor: i64,
}

fn trim_chunk(rows: &[Row<'_>], trim: usize, sums: &mut [i64]) {
    for (block, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let from = block * BLOCK;
        if trim <= SHORT_TRIM {
            subtract_short(rows, from, trim, sums);
        } else {
            subtract_selected(rows, from, trim, sums);
        }
    }
}

/// Keeps the `trim` largest and smallest of each entry, by insertion.
fn subtract_short(rows: &[Row<'_>], from: usize, trim: usize, sums: &mut [i64]) {
    let mut largest = [[i64::MIN; BLOCK]; SHORT_TRIM];
    let mut smallest = [[i64::MAX; BLOCK]; SHORT_TRIM];
    let mut rising = [0; BLOCK];
    let mut falling = [0; BLOCK];
    for row in rows {
        let bytes = &row.bytes[from..from + sums.len()];
        for ((rising, falling), &byte) in rising.iter_mut().zip(&mut falling).zip(bytes) {
            *rising = row.factor * i64::from(byte.cast_signed());
            *falling = *rising;
        }
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
        sums.iter_mut().zip(extremes).for_each(|(sum, (high, low))| *sum -= high + low);
    }
}

/// Selects the `trim` largest and smallest of each entry.
fn subtract_selected(rows: &[Row<'_>], from: usize, trim: usize, sums: &mut [i64]) {
    let mut column = Vec::with_capacity(rows.len());
    for (offset, sum) in sums.iter_mut().enumerate() {
        column.clear();
        column.extend(
            rows.iter().map(|row| row.factor * i64::from(row.bytes[from + offset].cast_signed())),
        );
        let end = column.len() - trim;
        column.select_nth_unstable(trim - 1);
        column[trim..].select_nth_unstable(end - trim);
        *sum -= column[..trim].iter().sum::<i64>() + column[end..].iter().sum::<i64>();
    }
}
