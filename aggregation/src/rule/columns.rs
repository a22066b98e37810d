//! Columns: rules within columns by the kernels of numbers of 16 bits, 32 and 64, where those
//! are exact.
//!
//! A float sums whole numbers without rounding as long as every sum stays within its significand:
//! 24 bits of an `f32`, 53 of an `f64`. Where 15 bits hold what is sorted, `i16` does, twice as
//! many at a time. Entries of quantised updates have 7 bits, 16 more where they are clipped, and
//! those by which exponents differ; a sum of sums adds those of the numbers of vectors. So nearly
//! always a chunk fits one of them, and what the kernels of [`crate::robust`] give is the exact
//! sum, whatever the order, the width of registers and whether products are fused. Where a chunk
//! fits none, there is nothing, and integers do the work.

use std::ops::Range;

use pulp::Arch;

use super::ENTRY_UNITS_MAX;
use super::extremes::Keep;
use super::rounding::Sink;
use super::vector::{Row, Weighted, for_each_chunk, window};
use crate::robust::{Columnwise, Mixing, Number, Vectors};
use crate::update::VALUE_MAX;

/// Bytes of all vectors that are worked on at a time: they stay in the second-level cache, and
/// are little memory beside the vectors.
const TILE: usize = 1 << 17;
/// Most entries of each vector that are worked on at a time.
const WINDOW_MAX: usize = 1024;

/// Bits of a whole number of 16 bits without its sign.
const SHORT_BITS: u32 = 15;
/// Most entries in a sum by halves: so many low bytes fit 15 bits.
const HALVES_MAX: usize = 128;
/// Bits of a significand.
const SINGLE_BITS: u32 = f32::MANTISSA_DIGITS;
const DOUBLE_BITS: u32 = f64::MANTISSA_DIGITS;
/// Bits of a result that fits its integer.
const RESULT_BITS: u32 = 62;

/// For each entry the sum of what is left of the mixed vectors when some go at each end.
#[derive(Debug)]
pub(super) struct Columns {
    columnwise: Columnwise,
    /// Vectors in a mixed one.
    parts: usize,
    /// Mixed vectors in a sum.
    summed: usize,
    shorts: Vec<i16>,
    singles: Vec<f32>,
    doubles: Vec<f64>,
}

impl Columns {
    /// Of `vectors`, or of the plain sums of those that `mixed` names; none where some sum could
    /// be rounded, or not as many entries go at both ends.
    pub fn of(vectors: &[Weighted<'_>], mixed: Option<&[Vec<usize>]>, keep: Keep) -> Option<Self> {
        let count = vectors.len();
        let trim = keep.trim()?;
        let parts = mixed.map_or(1, |mixed| mixed.iter().map(Vec::len).max().unwrap_or(1));
        let summed = count - 2 * trim;
        let mut fits = true;
        for_each_chunk(vectors, |rows, _| {
            fits &= Scale::of(rows, parts, summed).exact_in().is_some();
        });
        fits.then(|| {
            let mixing = match mixed {
                Some(mixed) => Mixing::sums(mixed),
                None => Mixing::identity(count),
            };
            let columnwise = Columnwise::trimmed(&mixing, trim);
            let (shorts, singles, doubles) = (Vec::new(), Vec::new(), Vec::new());
            Self { columnwise, parts, summed, shorts, singles, doubles }
        })
    }

    /// Entries that are found at a time.
    pub fn window(count: usize) -> usize {
        window(TILE / size_of::<f64>(), count, WINDOW_MAX)
    }

    /// Gives `sink` the sums of at most a window of entries.
    pub fn find<K: Sink>(
        &mut self,
        rows: &[Row<'_>],
        window: Range<usize>,
        at: usize,
        sink: &mut K,
    ) {
        let Self { columnwise, shorts, singles, doubles, summed, .. } = self;
        let scale = Scale::of(rows, self.parts, *summed);
        let by_halves = scale.bits > SHORT_BITS;
        let find = Find { rows, scale, columnwise, by_halves: false, window, at };
        match scale.exact_in() {
            None => unreachable!("every chunk fits"),
            Some(_) if scale.entry_bits <= SHORT_BITS && (!by_halves || *summed <= HALVES_MAX) => {
                Find { by_halves, ..find }.run(shorts, sink);
            }
            Some(Exact::Double) => find.run(doubles, sink),
            Some(_) => find.run(singles, sink),
        }
    }
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

/// The sums of one window.
struct Find<'a> {
    rows: &'a [Row<'a>],
    scale: Scale,
    columnwise: &'a Columnwise,
    by_halves: bool,
    window: Range<usize>,
    at: usize,
}

impl Find<'_> {
    /// Finds them in numbers of some kind; `tile` is room for the rows.
    fn run<T: Number, K: Sink>(self, tile: &mut Vec<T>, sink: &mut K) {
        let Self { rows, scale, columnwise, by_halves, window, at } = self;
        let len = window.len();
        if tile.len() < rows.len() * len {
            tile.resize(rows.len() * len, T::default());
        }
        let arch = Arch::new();
        for (row, entries) in rows.iter().zip(tile.chunks_exact_mut(len)) {
            arch.dispatch(
                #[inline(always)]
                || fill(row, scale.shift, window.clone(), entries),
            );
        }
        let entries = tile.chunks_exact(len).take(rows.len()).collect();
        let vectors = Vectors::sound_rows(entries, len);
        let (mut found, mut high) = ([T::default(); WINDOW_MAX], [T::default(); WINDOW_MAX]);
        let (found, high) = (&mut found[..len], &mut high[..len]);
        columnwise.apply(&vectors, found, by_halves.then_some(&mut *high));
        sink.put(at, scale, found, by_halves.then_some(high));
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

    use super::super::nearest_neighbour_mixing::{self, Mixed};
    use super::super::sums::{Way, all};
    use super::super::trimmed_mean::Kept;
    use super::super::vector::Vector;
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
            for (entry, found) in all(&weighted, Way::whole()).into_iter().enumerate() {
                let column = weighted.iter().map(|it| i128::from(entry_of(it, entry)));
                prop_assert_eq!(found, column.sum::<i128>());
            }
            if let Some(columns) = Columns::of(&weighted, None, keep) {
                let kept = Kept::new(weighted.len(), keep);
                prop_assert_eq!(all(&weighted, Way::Columns(columns)), all(&weighted, Way::Kept(kept)));
            }
            let near = nearest_neighbour_mixing::near(&weighted, attackers);
            if let Some(columns) = Columns::of(&weighted, Some(&near), keep) {
                let mixed = Mixed::new(&near, keep);
                prop_assert_eq!(all(&weighted, Way::Columns(columns)), all(&weighted, Way::Mixed(mixed)));
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
        let fits = |near| Columns::of(&weighted(65_535), near, Keep::Middle(2)).is_some();
        assert!(fits(None), "31, 16 and 3 bits");
        let near: Vec<Vec<usize>> = (0..9).map(|it| vec![it; 70]).collect();
        assert!(!fits(Some(&near[..])), "and 6 more");
    }
}
