//! Networks: sorting within each column, by minima and maxima of registers.
//!
//! Up to 16 entries are sorted in registers, by the networks of fewest comparators that are
//! known (Knuth, TAOCP 3, 5.3.4: 19 for 8 entries; 60 for 16, by Green). Fewer entries stand
//! between infinities, as many before them as behind. Of more entries sixteens are sorted in
//! registers, and merged in the tile by Batcher's odd-even merge (5.2.2 M).
//!
//! Comparators that the output does not depend on are left out: those that reach no entry that
//! is used, and those that only order entries among themselves that are summed.

use pulp::{Simd, WithSimd};

use super::input::Number;
use super::lanes::Lanes;
use super::rule::Coordinate;

/// Registers of a row of a tile: few enough that a tile stays in the first-level cache.
pub(super) const WIDTH: usize = 8;
/// Registers of a row that are read at a time where nothing is kept in a tile.
pub(super) const RUN: usize = 64;
/// Most entries that are sorted in registers.
const SORTED: usize = 16;

/// Some columns of one vector.
pub(super) type Columns<T, S> = [<T as Lanes>::Vector<S>; WIDTH];

/// By layers.
const SORT_8: [[usize; 2]; 19] = pairs([
    0x02, 0x13, 0x46, 0x57, 0x04, 0x15, 0x26, 0x37, 0x01, 0x23, 0x45, 0x67, 0x24, 0x35, 0x14, 0x36,
    0x12, 0x34, 0x56,
]);

/// By layers.
const SORT_16: [[usize; 2]; 60] = pairs([
    0x0d, 0x1c, 0x2f, 0x3e, 0x48, 0x56, 0x7b, 0x9a, 0x05, 0x17, 0x29, 0x34, 0x6d, 0x8e, 0xaf, 0xbc,
    0x01, 0x23, 0x45, 0x68, 0x79, 0xab, 0xcd, 0xef, 0x02, 0x13, 0x4a, 0x5b, 0x67, 0x89, 0xce, 0xdf,
    0x12, 0x3c, 0x46, 0x57, 0x8a, 0x9b, 0xde, 0x14, 0x26, 0x58, 0x7a, 0x9d, 0xbe, 0x24, 0x36, 0x9c,
    0xbd, 0x35, 0x68, 0x79, 0xac, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x67, 0x89,
]);

/// Comparators from a hexadecimal digit for each end.
const fn pairs<const N: usize>(packed: [usize; N]) -> [[usize; 2]; N] {
    let mut pairs = [[0; 2]; N];
    let mut at = 0;
    while at < N {
        pairs[at] = [packed[at] >> 4, packed[at] & 15];
        at += 1;
    }
    pairs
}

/// What becomes of an entry behind a comparator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Used {
    No,
    /// It is added to others alone.
    Summed,
    /// Its place matters.
    Placed,
}

impl Used {
    /// If a comparator with these ends behind it does nothing for the output.
    const fn is_idle(low: Self, high: Self) -> bool {
        matches!((low, high), (Self::No, Self::No) | (Self::Summed, Self::Summed))
    }
}

/// Which comparators matter to the sum of the entries from place `from` to before `end`.
const fn kept<const N: usize>(pairs: &[[usize; 2]; N], from: usize, end: usize) -> [bool; N] {
    let mut used = [Used::No; SORTED];
    let mut at = from;
    while at < end {
        used[at] = Used::Summed;
        at += 1;
    }
    let mut kept = [false; N];
    at = N;
    while at > 0 {
        at -= 1;
        let [low, high] = pairs[at];
        if !Used::is_idle(used[low], used[high]) {
            kept[at] = true;
            used[low] = Used::Placed;
            used[high] = Used::Placed;
        }
    }
    kept
}

/// Puts two registers in order. Of equal entries each stays: `min` and `max` of x86 give their
/// second operand then.
#[inline(always)]
fn exchange<T: Number, S: Simd, const N: usize>(
    simd: S,
    entries: &mut [T::Vector<S>; N],
    [low, high]: [usize; 2],
) {
    let (one, other) = (entries[low], entries[high]);
    entries[low] = T::min(simd, one, other);
    entries[high] = T::max(simd, other, one);
}

/// The comparators of a network, each with its place known when compiled.
macro_rules! exchanges {
    ($kept:expr, $network:ident, $simd:ident, $entries:ident, [$($at:literal)*]) => {
        $(
            if const { $kept[$at] } {
                exchange::<T, S, _>($simd, &mut $entries, const { $network[$at] });
            }
        )*
    };
}

macro_rules! exchanges_8 {
    ($kept:expr, $simd:ident, $entries:ident) => {
        exchanges!($kept, SORT_8, $simd, $entries, [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18])
    };
}

macro_rules! exchanges_16 {
    ($kept:expr, $simd:ident, $entries:ident) => {
        exchanges!($kept, SORT_16, $simd, $entries, [
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59
        ])
    };
}

/// The sum of those entries that are left when `TRIM` are taken from the low end, and as many
/// and `ODD` more from the high end.
macro_rules! trimmed {
    ($name:ident, $count:literal, $network:ident, $exchanges:ident) => {
        struct $name<'a, T: Number, S: Simd, const TRIM: usize, const ODD: usize> {
            simd: S,
            rows: [&'a [T::Vector<S>]; $count],
            out: &'a mut [T::Vector<S>],
        }

        impl<T: Number, S: Simd, const TRIM: usize, const ODD: usize> $name<'_, T, S, TRIM, ODD> {
            const END: usize = $count - TRIM - ODD;
            const KEPT: [bool; $network.len()] = kept(&$network, TRIM, Self::END);
        }

        impl<T: Number, S: Simd, const TRIM: usize, const ODD: usize> WithSimd
            for $name<'_, T, S, TRIM, ODD>
        {
            type Output = ();

            #[inline(always)]
            fn with_simd<A: Simd>(self, _: A) {
                let Self { simd, mut rows, out } = self;
                rows.iter_mut().for_each(|row| *row = &row[..out.len()]);
                for (at, sum) in out.iter_mut().enumerate() {
                    let mut entries = [T::splat(simd, T::default()); $count];
                    for (entry, row) in entries.iter_mut().zip(&rows) {
                        *entry = row[at];
                    }
                    $exchanges!(Self::KEPT, simd, entries);
                    *sum = entries[TRIM];
                    for entry in &entries[TRIM + 1..Self::END] {
                        *sum = T::add(simd, *sum, *entry);
                    }
                }
            }
        }
    };
}

trimmed!(Trimmed8, 8, SORT_8, exchanges_8);
trimmed!(Trimmed16, 16, SORT_16, exchanges_16);

/// Compiled for each number that is trimmed.
macro_rules! choose {
    ($name:ident, $simd:ident, $rows:ident, $out:ident, $trim:expr, $odd:expr,
     [$($number:literal)*]) => {{
        let (simd, rows, out) = ($simd, $rows, $out);
        match ($trim, $odd) {
            $(
                ($number, 0) => simd.vectorize($name::<T, S, $number, 0> { simd, rows, out }),
                ($number, _) => simd.vectorize($name::<T, S, $number, 1> { simd, rows, out }),
            )*
            _ => {}
        }
    }};
}

/// Sixteen rows in order.
struct Sort16<'a, T: Number, S: Simd> {
    simd: S,
    rows: [&'a [T::Vector<S>]; SORTED],
    out: &'a mut [Columns<T, S>],
}

impl<T: Number, S: Simd> WithSimd for Sort16<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<A: Simd>(self, _: A) {
        let simd = self.simd;
        let Some(out) = self.out.first_chunk_mut::<SORTED>() else { return };
        let mut rows = self.rows;
        rows.iter_mut().for_each(|row| *row = &row[..WIDTH]);
        for lane in 0..WIDTH {
            let mut entries = [T::splat(simd, T::default()); SORTED];
            for (entry, row) in entries.iter_mut().zip(&rows) {
                *entry = row[lane];
            }
            exchanges_16!([true; SORT_16.len()], simd, entries);
            for (out, entry) in out.iter_mut().zip(entries) {
                out[lane] = entry;
            }
        }
    }
}

/// What is done to each column.
#[derive(Debug)]
pub(super) struct Network {
    count: usize,
    coordinate: Coordinate,
    /// What is multiplied with the sum.
    factor: f64,
    /// The comparators that merge sorted sixteens.
    merges: Vec<[usize; 2]>,
}

impl Network {
    /// The network for `count` entries; what it gives is multiplied by `factor`.
    pub(super) fn of(count: usize, coordinate: Coordinate, factor: f64) -> Self {
        // The median is what is left when nearly all is trimmed.
        let coordinate = match coordinate {
            Coordinate::Median => Coordinate::TrimmedMean { trim: (count - 1) / 2 },
            other => other,
        };
        let mut used = vec![Used::Placed; count];
        let mut summed = count;
        match coordinate {
            Coordinate::TrimmedMean { trim } => {
                used.fill(Used::No);
                used[trim..count - trim].fill(Used::Summed);
                summed = count - 2 * trim;
            }
            Coordinate::NearMedian { keep } => summed = keep,
            Coordinate::Median => {}
        }
        let mut merges = Vec::new();
        for [low, high] in batcher(count, SORTED).into_iter().rev() {
            if !Used::is_idle(used[low], used[high]) || used[low] == Used::Placed {
                merges.push([low, high]);
                (used[low], used[high]) = (Used::Placed, Used::Placed);
            }
        }
        merges.reverse();
        Self { count, coordinate, factor: factor / summed as f64, merges }
    }

    /// Rows that are worked in.
    pub(super) const fn work(&self) -> usize {
        self.count.next_multiple_of(SORTED)
    }

    /// Columns that are best worked on at a time, in registers.
    pub(super) const fn width(&self) -> usize {
        match self.coordinate {
            Coordinate::TrimmedMean { .. } if self.count <= SORTED => RUN,
            _ => WIDTH,
        }
    }

    /// What the rule makes of some columns; where sums come in halves, the second ones in `high`.
    #[inline(always)]
    pub(super) fn apply<'a, T: Number, S: Simd>(
        &self,
        simd: S,
        rows: &Rows<'a, T, S, impl Fn(usize) -> &'a [T::Vector<S>]>,
        work: &mut [Columns<T, S>],
        out: &mut [T::Vector<S>],
        high: Option<&mut [T::Vector<S>]>,
    ) {
        match (self.coordinate, high) {
            // So many entries come in halves that no network in registers is for them.
            (Coordinate::TrimmedMean { trim }, Some(high)) => {
                self.sort::<T, S>(simd, rows, work);
                let kept = work[trim..self.count - trim].iter();
                return sum_halves::<T, S>(simd, kept.map(|row| &row[..]), out, high);
            }
            (Coordinate::TrimmedMean { trim }, None) => {
                self.trimmed::<T, S>(simd, rows, work, trim, out);
            }
            (Coordinate::NearMedian { keep }, _) => {
                self.sort::<T, S>(simd, rows, work);
                near_median::<T, S>(simd, &work[..self.count], keep, out);
            }
            (Coordinate::Median, _) => {}
        }
        if self.factor == 1.0 {
            return;
        }
        let factor = T::splat(simd, T::from_f64(self.factor));
        out.iter_mut().for_each(|sum| *sum = T::mul(simd, *sum, factor));
    }

    #[inline(always)]
    fn trimmed<'a, T: Number, S: Simd>(
        &self,
        simd: S,
        rows: &Rows<'a, T, S, impl Fn(usize) -> &'a [T::Vector<S>]>,
        work: &mut [Columns<T, S>],
        trim: usize,
        out: &mut [T::Vector<S>],
    ) {
        let count = self.count;
        if trim == 0 {
            sum::<T, S>(simd, (0..count).map(&rows.row), out);
        } else if count <= 8 {
            let (rows, trim) = (rows.between_infinities(count), trim + (8 - count) / 2);
            choose!(Trimmed8, simd, rows, out, trim, count % 2, [1 2 3]);
        } else if count <= SORTED {
            let (rows, trim) = (rows.between_infinities(count), trim + (SORTED - count) / 2);
            choose!(Trimmed16, simd, rows, out, trim, count % 2, [1 2 3 4 5 6 7]);
        } else {
            self.sort::<T, S>(simd, rows, work);
            sum::<T, S>(simd, work[trim..count - trim].iter().map(|row| &row[..]), out);
        }
    }

    /// Sorts rows into `work`, as far as the output depends on it.
    #[inline(always)]
    fn sort<'a, T: Number, S: Simd>(
        &self,
        simd: S,
        rows: &Rows<'a, T, S, impl Fn(usize) -> &'a [T::Vector<S>]>,
        work: &mut [Columns<T, S>],
    ) {
        for (number, out) in work.chunks_mut(SORTED).enumerate() {
            let mut sources = [rows.infinities[1]; SORTED];
            for (row, source) in (number * SORTED..self.count).zip(&mut sources) {
                *source = (rows.row)(row);
            }
            simd.vectorize(Sort16::<T, S> { simd, rows: sources, out });
        }
        for &[low, high] in &self.merges {
            let (one, other) = (work[low], work[high]);
            for lane in 0..WIDTH {
                work[low][lane] = T::min(simd, one[lane], other[lane]);
                work[high][lane] = T::max(simd, other[lane], one[lane]);
            }
        }
    }
}

/// The rows that are sorted.
pub(super) struct Rows<'a, T: Number, S: Simd, F> {
    /// Each by its number.
    pub(super) row: F,
    /// One of negative infinities and one of positive ones.
    pub(super) infinities: [&'a [T::Vector<S>]; 2],
}

impl<'a, T: Number, S: Simd, F: Fn(usize) -> &'a [T::Vector<S>]> Rows<'a, T, S, F> {
    /// With negative infinities before and positive ones behind them, so that they are in the
    /// middle.
    #[inline(always)]
    fn between_infinities<const N: usize>(&self, count: usize) -> [&'a [T::Vector<S>]; N] {
        let mut found = [self.infinities[1]; N];
        let before = (N - count) / 2;
        found[..before].fill(self.infinities[0]);
        found[before..].iter_mut().zip(0..count).for_each(|(found, row)| *found = (self.row)(row));
        found
    }
}

#[inline(always)]
fn sum<'a, T: Number, S: Simd>(
    simd: S,
    rows: impl Iterator<Item = &'a [T::Vector<S>]>,
    sums: &mut [T::Vector<S>],
) {
    sums.fill(T::splat(simd, T::default()));
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum = T::add(simd, *sum, entry));
    }
}

/// Sums by halves.
#[inline(always)]
fn sum_halves<'a, T: Number, S: Simd>(
    simd: S,
    rows: impl Iterator<Item = &'a [T::Vector<S>]>,
    low: &mut [T::Vector<S>],
    high: &mut [T::Vector<S>],
) {
    low.fill(T::splat(simd, T::default()));
    high.fill(T::splat(simd, T::default()));
    for row in rows {
        for ((low, high), &entry) in low.iter_mut().zip(&mut *high).zip(row) {
            [*low, *high] = T::accumulate(simd, [*low, *high], entry);
        }
    }
}

/// The sum of the `keep` entries nearest to the median of sorted rows. They are neighbours in
/// order: at each of the places where such a run may begin, it moves on if what it would leave
/// is farther from the median than what it would take.
#[inline(always)]
fn near_median<T: Number, S: Simd>(
    simd: S,
    rows: &[Columns<T, S>],
    keep: usize,
    sums: &mut [T::Vector<S>],
) {
    let zero = T::splat(simd, T::default());
    let half = T::splat(simd, T::from_f64(0.5));
    let (low, high) = (&rows[(rows.len() - 1) / 2], &rows[rows.len() / 2]);
    let starts = rows.len() - keep;
    for (lane, sum) in sums.iter_mut().enumerate() {
        let median = T::mul(simd, T::add(simd, low[lane], high[lane]), half);
        *sum = zero;
        // Taken if the run begins early enough and late enough to hold this place.
        for (place, entries) in rows.iter().enumerate() {
            let entry = entries[lane];
            let mut taken = entry;
            if place >= keep {
                let before = T::sub(simd, median, rows[place - keep][lane]);
                taken = T::if_larger(simd, before, T::sub(simd, entry, median), taken, zero);
            }
            if place < starts {
                let behind = T::sub(simd, rows[place + keep][lane], median);
                taken = T::if_larger(simd, T::sub(simd, median, entry), behind, zero, taken);
            }
            *sum = T::add(simd, *sum, taken);
        }
    }
}

/// The comparators of Batcher's network for any number of entries, in order, from where runs
/// of `sorted` entries (a power of two) are sorted.
fn batcher(count: usize, sorted: usize) -> Vec<[usize; 2]> {
    let mut comparators = Vec::new();
    let size = count.next_power_of_two();
    let mut merged = sorted;
    while merged < size {
        let mut apart = merged;
        while apart >= 1 {
            for from in ((apart % merged)..size.saturating_sub(apart)).step_by(2 * apart) {
                for low in from..(from + apart).min(size - apart) {
                    let high = low + apart;
                    // What lies beyond the entries would be larger than all of them.
                    if low / (2 * merged) == high / (2 * merged) && high < count {
                        comparators.push([low, high]);
                    }
                }
            }
            apart /= 2;
        }
        merged *= 2;
    }
    comparators
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::Arch;

    fn sorts(network: &[[usize; 2]], count: usize) {
        for bits in 0..1_u32 << count {
            let mut entries: Vec<_> = (0..count).map(|it| bits >> it & 1).collect();
            for &[low, high] in network {
                if entries[low] > entries[high] {
                    entries.swap(low, high);
                }
            }
            assert!(entries.is_sorted(), "{count} {bits:b}");
        }
    }

    #[test]
    fn networks_sort_all_zeros_and_ones() {
        (1..=14).for_each(|count| sorts(&batcher(count, 1), count));
        sorts(&SORT_8, 8);
        sorts(&SORT_16, 16);
    }

    #[test]
    fn what_the_output_does_not_depend_on_is_left_out() {
        let kept = |from, end| kept(&SORT_16, from, end).iter().filter(|it| **it).count();
        assert_eq!([kept(0, 16), kept(1, 15), kept(4, 12), kept(7, 9)], [0, 22, 53, 54]);
        let len = |coordinate| Network::of(64, coordinate, 1.0).merges.len();
        let full = len(Coordinate::NearMedian { keep: 48 });
        assert_eq!(full, batcher(64, SORTED).len());
        assert!(len(Coordinate::TrimmedMean { trim: 16 }) < full);
        assert!(len(Coordinate::Median) < full);
    }

    /// The definition, on one column.
    fn plain(entries: &[f64], coordinate: Coordinate) -> f64 {
        let mut sorted = entries.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let median = sorted[(count - 1) / 2] / 2.0 + sorted[count / 2] / 2.0;
        match coordinate {
            Coordinate::Median => median,
            Coordinate::TrimmedMean { trim } => mean(&sorted[trim..count - trim]),
            Coordinate::NearMedian { keep } => {
                sorted.sort_by(|one, other| {
                    let apart = |it: &f64| (it - median).abs();
                    apart(one).total_cmp(&apart(other)).then(one.total_cmp(other))
                });
                mean(&sorted[..keep])
            }
        }
    }

    /// The same column in all lanes.
    struct Run<'a>(&'a Network, &'a [f64]);

    impl WithSimd for Run<'_> {
        type Output = f64;

        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            let infinities = [f64::NEG_INFINITY, f64::INFINITY];
            let row = |it: &f64| [f64::splat(simd, *it); WIDTH];
            let rows: Vec<_> = self.1.iter().map(row).collect();
            let infinities = infinities.each_ref().map(row);
            let infinities = infinities.each_ref().map(|it| &it[..]);
            let mut work = vec![row(&0.0); self.0.work()];
            let mut found = row(&0.0);
            let rows = Rows { row: |it: usize| &rows[it][..], infinities };
            self.0.apply::<f64, S>(simd, &rows, &mut work, &mut found, None);
            let mut last = [0.0];
            f64::store_partial(simd, &mut last, found[WIDTH - 1]);
            last[0]
        }
    }

    proptest! {
        #[test]
        fn columns_are_aggregated_as_defined(
            column in prop::collection::vec(prop_oneof![-9.0..9.0_f64, Just(1e14), Just(-1e14), Just(0.0)], 1..40),
            attackers in 0_usize..20,
        ) {
            let attackers = attackers.min((column.len() - 1) / 2);
            for coordinate in [
                Coordinate::Median,
                Coordinate::TrimmedMean { trim: attackers },
                Coordinate::NearMedian { keep: column.len() - attackers },
            ] {
                let network = Network::of(column.len(), coordinate, 1.0);
                let found = Arch::new().dispatch(Run(&network, &column));
                let scalar = Run(&network, &column).with_simd(pulp::Scalar);
                prop_assert_eq!(found.to_bits(), scalar.to_bits());
                let expected = plain(&column, coordinate);
                let largest = column.iter().fold(1.0, |most: f64, it| most.max(it.abs()));
                prop_assert!((found - expected).abs() <= 1e-14 * largest, "{coordinate:?} {found} {expected}");
            }
        }
    }
}
