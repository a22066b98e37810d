//! Columns: rules within columns by the float kernels, where those are exact.
//!
//! A float sums whole numbers without rounding as long as every sum stays within its significand:
//! 24 bits of an `f32`, 53 of an `f64`. Entries of quantised updates have 7 bits, 16 more where
//! they are clipped, and those by which exponents differ; a sum of sums adds those of the
//! numbers of vectors. So nearly always a chunk fits one of the two, and what the kernels of
//! [`crate::robust`] give is the exact sum, whatever the order, the width of registers and whether
//! products are fused. Where a chunk fits neither, there is nothing, and integers do the work.

use std::ops::Range;

use super::ENTRY_UNITS_MAX;
use super::vector::{Row, Weighted, for_each_chunk};
use crate::robust::{Columnwise, Mixing, Real, Vectors};
use crate::update::VALUE_MAX;

/// Entries of each vector that are worked on at a time: those of 64 stay in the second-level
/// cache.
const WINDOW: usize = 1024;

/// Bits of a significand.
const SINGLE_BITS: u32 = f32::MANTISSA_DIGITS;
const DOUBLE_BITS: u32 = f64::MANTISSA_DIGITS;
/// Bits of a result that fits its integer.
const RESULT_BITS: u32 = 62;

/// For each entry the sum of what is left of the mixed vectors when `trim` go at each end, in
/// units of 2^-40; none where some sum could be rounded. Twice the trim is below the number of
/// vectors; each mixed vector is the plain sum of those that `mixed` names for it.
pub(super) fn sums(
    vectors: &[Weighted<'_>],
    mixed: Option<&[Vec<usize>]>,
    trim: usize,
) -> Option<Vec<i64>> {
    let count = vectors.len();
    let parts = mixed.map_or(1, |mixed| mixed.iter().map(Vec::len).max().unwrap_or(1));
    let mixing = match mixed {
        Some(mixed) => Mixing::sums(mixed),
        None => Mixing::identity(count),
    };
    let columnwise = Columnwise::trimmed(&mixing, trim);
    let parameters = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut sums = vec![0; parameters];
    let mut fits = true;
    let (mut singles, mut doubles) = (Vec::new(), Vec::new());
    for_each_chunk(vectors, |rows, range| {
        let scale = Scale::of(rows, parts * (count - 2 * trim));
        let out = &mut sums[range];
        match scale.exact_in().filter(|_| fits) {
            None => fits = false,
            Some(Exact::Single) => chunk::<f32>(rows, scale, &columnwise, &mut singles, out),
            Some(Exact::Double) => chunk::<f64>(rows, scale, &columnwise, &mut doubles, out),
        }
    });
    fits.then_some(sums)
}

/// How the entries of a chunk become whole numbers that are as small as can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// All are multiples of two to this power.
    pub shift: u32,
    /// Bits of the largest sum of `parts` of their multiples.
    bits: u32,
}

/// Floats that hold every sum of a chunk without rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// `f32`.
    Single,
    /// `f64`.
    Double,
}

impl Scale {
    /// The scale of one sum of all rows.
    pub fn of_sum(rows: &[Row<'_>]) -> Self {
        let shift = shift(rows);
        let largest: u128 = rows.iter().map(|row| largest(row, shift)).sum();
        Self { shift, bits: u128::BITS - largest.leading_zeros() }
    }

    /// The floats to sum in, if there are any.
    pub fn exact_in(self) -> Option<Exact> {
        match self.bits {
            bits if bits + self.shift > RESULT_BITS || bits > DOUBLE_BITS => None,
            bits if bits > SINGLE_BITS => Some(Exact::Double),
            _ => Some(Exact::Single),
        }
    }

    fn of(rows: &[Row<'_>], parts: usize) -> Self {
        let shift = shift(rows);
        let largest = rows.iter().map(|row| largest(row, shift)).max().unwrap_or(0);
        let largest = largest * parts as u128;
        Self { shift, bits: u128::BITS - largest.leading_zeros() }
    }
}

/// The power of two that divides all entries.
fn shift(rows: &[Row<'_>]) -> u32 {
    let factors = rows.iter().map(Row::factor).filter(|&it| it != 0);
    factors.map(i64::trailing_zeros).min().unwrap_or(0)
}

/// The largest magnitude that an entry of a row can have, in multiples of two to `shift`.
fn largest(row: &Row<'_>, shift: u32) -> u128 {
    let most = match row {
        Row::Bytes(..) => i64::from(VALUE_MAX),
        Row::Units(..) => ENTRY_UNITS_MAX,
    };
    u128::from(most.unsigned_abs()) * u128::from((row.factor() >> shift).unsigned_abs())
}

/// The sums of one chunk, window by window; `tile` is room for it.
fn chunk<T: Real>(
    rows: &[Row<'_>],
    scale: Scale,
    columnwise: &Columnwise,
    tile: &mut Vec<T>,
    out: &mut [i64],
) {
    tile.resize(rows.len() * WINDOW, T::default());
    for (number, out) in out.chunks_mut(WINDOW).enumerate() {
        let window = number * WINDOW..number * WINDOW + out.len();
        for (row, entries) in rows.iter().zip(tile.chunks_exact_mut(WINDOW)) {
            fill(row, scale, window.clone(), &mut entries[..out.len()]);
        }
        let entries = tile.chunks_exact(WINDOW).map(|entries| &entries[..out.len()]).collect();
        let mut found = [T::default(); WINDOW];
        columnwise.apply(&Vectors::sound_rows(entries, out.len()), &mut found[..out.len()]);
        let whole = out.iter_mut().zip(found);
        whole.for_each(|(out, found)| *out = found.to_whole() << scale.shift);
    }
}

fn fill<T: Real>(row: &Row<'_>, scale: Scale, window: Range<usize>, out: &mut [T]) {
    let factor = T::from_f64((row.factor() >> scale.shift) as f64);
    match row {
        Row::Bytes(bytes, _) => {
            let entries = out.iter_mut().zip(&bytes[window]);
            entries.for_each(|(out, &byte)| *out = T::from_i8(byte.cast_signed()).times(factor));
        }
        Row::Units(units, _) => {
            let entries = out.iter_mut().zip(&units[window]);
            entries.for_each(|(out, &units)| *out = T::from_f64(units.into()).times(factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::extremes::Keep;
    use super::super::vector::Vector;
    use super::super::{mean, nearest_neighbour_mixing, trimmed_mean};
    use super::*;
    use crate::compress::Compressor;
    use crate::norm::NormBound;
    use crate::parameters::Parameters;
    use crate::schema::{Init, Schema, TensorSpec};
    use crate::update::Update;

    /// Updates of up to two chunks with entries of up to `2^bits` units.
    fn updates(rows: &[Vec<i64>]) -> Vec<Update> {
        let entries = u32::try_from(rows[0].len()).expect("short rows");
        let tensor = |name: &str, entries| {
            TensorSpec::new(name, vec![entries], Init::Zero).expect("a tensor")
        };
        let schema = Schema::new(vec![tensor("a", 1), tensor("b", entries - 1)]).expect("two");
        let quantised = |row: &Vec<i64>| {
            let change = Parameters::from_units(row.clone());
            Compressor::new(&schema).compress(&change, NormBound::from_units(u64::MAX))
        };
        rows.iter().map(quantised).collect()
    }

    /// One weighted entry, in units of 2^-40.
    fn entry_of(weighted: &Weighted<'_>, entry: usize) -> i64 {
        let rows = weighted.vector.rows(weighted.weight);
        let chunk = rows.iter().find(|(range, _)| range.contains(&entry)).expect("a chunk");
        let mut found = [0];
        chunk.1.fill(entry - chunk.0.start, &mut found);
        found[0]
    }

    fn arb_rows() -> impl Strategy<Value = Vec<Vec<i64>>> {
        let row = (0_u32..31, 3_usize..1_200)
            .prop_flat_map(|(bits, _)| prop::collection::vec(-(1_i64 << bits)..=1 << bits, 40));
        prop::collection::vec(row, 3..20)
    }

    proptest! {
        #[test]
        fn floats_give_what_integers_give(
            rows in arb_rows(), weights in prop::collection::vec(0_i64..=65_536, 20),
            unclipped in prop::bool::ANY, attackers in 0_usize..9,
        ) {
            let updates = updates(&rows);
            let vectors: Vec<Vector<'_>> = updates.iter().map(|it| Vector::of(&[it])).collect();
            let weighted: Vec<Weighted<'_>> = vectors
                .iter()
                .zip(weights)
                .map(|(vector, it)| Weighted { vector, weight: if unclipped { 65_536 } else { it } })
                .collect();
            let attackers = attackers.min((rows.len() - 1) / 2);
            let keep = Keep::Middle(attackers);
            for (entry, found) in mean::sums(&weighted).into_iter().enumerate() {
                let column = weighted.iter().map(|it| entry_of(it, entry));
                prop_assert_eq!(found, column.sum::<i64>());
            }
            if let Some(found) = sums(&weighted, None, attackers) {
                prop_assert_eq!(found, trimmed_mean::sums(&weighted, keep));
            }
            let near = nearest_neighbour_mixing::near(&weighted, attackers);
            if let Some(found) = sums(&weighted, Some(&near), attackers) {
                let expected = nearest_neighbour_mixing::sums(&weighted, &near, keep);
                let found: Vec<i128> = found.into_iter().map(i128::from).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn what_could_be_rounded_is_left_to_integers() {
        // Significands of 31 bits and weights of 16, all odd.
        let rows = vec![vec![1, (1 << 30) + 1]; 9];
        let updates = updates(&rows);
        let pair: Vec<Vec<&Update>> = updates.iter().map(|it| vec![it, &updates[0]]).collect();
        let vectors: Vec<Vector<'_>> = pair.iter().map(|pair| Vector::of(pair)).collect();
        let weighted = |weight| -> Vec<Weighted<'_>> {
            vectors.iter().map(|vector| Weighted { vector, weight }).collect()
        };
        assert!(sums(&weighted(65_535), None, 2).is_some(), "31, 16 and 3 bits");
        let near: Vec<Vec<usize>> = (0..9).map(|it| vec![it; 70]).collect();
        assert!(sums(&weighted(65_535), Some(&near), 2).is_none(), "and 6 more");
    }
}
