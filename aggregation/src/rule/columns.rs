//! Columns: rules within columns by the kernels of numbers of 16 bits, 32 and 64, where those
//! are exact.
//!
//! A float sums whole numbers without rounding as long as every sum stays within its significand:
//! 24 bits of an `f32`, 53 of an `f64`. Where 15 bits hold what is sorted, `i16` does, twice as
//! many at a time. Entries of quantised updates have 7 bits, 16 more where they are clipped, and
//! those by which exponents differ; a sum of sums adds those of the numbers of vectors. So nearly
//! always a chunk fits one of them, and what the kernels of [`crate::robust`] give is the exact
//! sum, whatever the order, the width of registers and whether products are fused. Where a chunk fits none, there is nothing, and integers do the work.

use std::ops::Range;

use pulp::Arch;

use super::ENTRY_UNITS_MAX;
use super::rounding::Sink;
use super::vector::{Row, Weighted, for_each_chunk};
use crate::robust::{Columnwise, Mixing, Number, Vectors};
use crate::update::VALUE_MAX;

/// Entries of each vector that are worked on at a time: those of 64 stay in the second-level
/// cache.
const WINDOW: usize = 1024;

/// Bits of a whole number of 16 bits without its sign.
const SHORT_BITS: u32 = 15;
/// Most entries in a sum by halves: so many low bytes fit 15 bits.
const HALVES_MAX: usize = 128;
/// Bits of a significand.
const SINGLE_BITS: u32 = f32::MANTISSA_DIGITS;
const DOUBLE_BITS: u32 = f64::MANTISSA_DIGITS;
/// Bits of a result that fits its integer.
const RESULT_BITS: u32 = 62;

/// Gives `sink` for each entry the sum of what is left of the mixed vectors when `trim` go at
/// each end, in units of 2^-40; none where some sum could be rounded, or the sink does not take
/// it. Twice the trim is below the number of vectors; each mixed vector is the plain sum of those
/// that `mixed` names for it.
pub(super) fn sums<K: Sink>(
    vectors: &[Weighted<'_>],
    mixed: Option<&[Vec<usize>]>,
    trim: usize,
    mut sink: K,
) -> Option<K> {
    let count = vectors.len();
    let parts = mixed.map_or(1, |mixed| mixed.iter().map(Vec::len).max().unwrap_or(1));
    let mixing = match mixed {
        Some(mixed) => Mixing::sums(mixed),
        None => Mixing::identity(count),
    };
    let summed = count - 2 * trim;
    let columnwise = Columnwise::trimmed(&mixing, trim);
    let mut fits = true;
    let (mut shorts, mut singles, mut doubles) = (Vec::new(), Vec::new(), Vec::new());
    for_each_chunk(vectors, |rows, range| {
        let scale = Scale::of(rows, parts, summed);
        let by_halves = scale.bits > SHORT_BITS;
        match scale.exact_in().filter(|_| fits) {
            None => fits = false,
            Some(_) if scale.entry_bits <= SHORT_BITS && (!by_halves || summed <= HALVES_MAX) => {
                chunk::<i16, K>(
                    rows,
                    scale,
                    (&columnwise, by_halves),
                    &mut shorts,
                    range,
                    &mut sink,
                );
            }
            Some(Exact::Double) => {
                chunk::<f64, K>(rows, scale, (&columnwise, false), &mut doubles, range, &mut sink);
            }
            Some(_) => {
                chunk::<f32, K>(rows, scale, (&columnwise, false), &mut singles, range, &mut sink);
            }
        }
    });
    fits.then_some(sink)
}

/// How the entries of a chunk become whole numbers that are as small as can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// All are multiples of two to this power.
    pub shift: u32,
    /// Bits of the largest sum of their multiples.
    pub bits: u32,
    /// Bits of the largest of the numbers that are sorted and summed.
    pub entry_bits: u32,
}

/// Numbers that hold every sum of a chunk without rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// `i16`.
    Short,
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
        Self { shift, bits: bits(largest), entry_bits: 0 }
    }

    /// The numbers to sum in, if there are any.
    pub fn exact_in(self) -> Option<Exact> {
        match self.bits {
            bits if bits + self.shift > RESULT_BITS || bits > DOUBLE_BITS => None,
            bits if bits > SINGLE_BITS => Some(Exact::Double),
            bits if bits > SHORT_BITS => Some(Exact::Single),
            _ => Some(Exact::Short),
        }
    }

    /// The scale of sums of so many sums of so many parts.
    fn of(rows: &[Row<'_>], parts: usize, summed: usize) -> Self {
        let shift = shift(rows);
        let largest = rows.iter().map(|row| largest(row, shift)).max().unwrap_or(0);
        let entry = largest * parts as u128;
        Self { shift, bits: bits(entry * summed as u128), entry_bits: bits(entry) }
    }
}

const fn bits(largest: u128) -> u32 {
    u128::BITS - largest.leading_zeros()
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
fn chunk<T: Number, K: Sink>(
    rows: &[Row<'_>],
    scale: Scale,
    (columnwise, by_halves): (&Columnwise, bool),
    tile: &mut Vec<T>,
    range: Range<usize>,
    sink: &mut K,
) {
    tile.resize(rows.len() * WINDOW, T::default());
    let arch = Arch::new();
    for from in (0..range.len()).step_by(WINDOW) {
        let len = WINDOW.min(range.len() - from);
        let window = from..from + len;
        for (row, entries) in rows.iter().zip(tile.chunks_exact_mut(WINDOW)) {
            arch.dispatch(
                #[inline(always)]
                || fill(row, scale.shift, window.clone(), &mut entries[..len]),
            );
        }
        let entries = tile.chunks_exact(WINDOW).map(|entries| &entries[..len]).collect();
        let vectors = Vectors::sound_rows(entries, len);
        let (mut found, mut high) = ([T::default(); WINDOW], [T::default(); WINDOW]);
        let (found, high) = (&mut found[..len], &mut high[..len]);
        columnwise.apply(&vectors, found, by_halves.then_some(&mut *high));
        sink.put(range.start + from, scale, found, by_halves.then_some(high));
    }
}

/// Writes the entries of a window in multiples of two to `shift`.
#[inline(always)]
pub(super) fn fill<T: Number>(row: &Row<'_>, shift: u32, window: Range<usize>, out: &mut [T]) {
    let factor = T::from_f64((row.factor() >> shift) as f64);
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
    use super::super::rounding::Whole;
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

    fn whole(
        vectors: &[Weighted<'_>],
        mixed: Option<&[Vec<usize>]>,
        trim: usize,
    ) -> Option<Vec<i64>> {
        let room = Whole::of(vectors[0].vector.parameter_count());
        sums(vectors, mixed, trim, room).map(|it| it.0)
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
            for (entry, found) in mean::sums(&weighted, Whole::of(rows[0].len())).0.into_iter().enumerate() {
                let column = weighted.iter().map(|it| entry_of(it, entry));
                prop_assert_eq!(found, column.sum::<i64>());
            }
            if let Some(found) = whole(&weighted, None, attackers) {
                prop_assert_eq!(found, trimmed_mean::sums(&weighted, keep));
            }
            let near = nearest_neighbour_mixing::near(&weighted, attackers);
            if let Some(found) = whole(&weighted, Some(&near), attackers) {
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
        assert!(whole(&weighted(65_535), None, 2).is_some(), "31, 16 and 3 bits");
        let near: Vec<Vec<usize>> = (0..9).map(|it| vec![it; 70]).collect();
        assert!(whole(&weighted(65_535), Some(&near), 2).is_none(), "and 6 more");
    }
}
