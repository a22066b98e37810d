//! Columns: rules that sort within each coordinate.
//!
//! A tile holds some columns of all vectors, one array for each vector, so that a comparator
//! of a sorting network is a minimum and a maximum of arrays. The network is Batcher's
//! odd-even merge sort (Knuth, TAOCP 3, 5.2.2 M) without the comparators that the rule's
//! output does not depend on: those that reach no entry that is used, and those that only
//! order entries among themselves that are summed.

use pulp::Arch;

use super::RobustError;
use super::gram::Gram;
use super::input::{Real, Vectors};
use super::mixing::Mixing;
use super::rule::{Coordinate, Rule};

/// Columns of a tile.
const WIDTH: usize = 32;

type Columns<T> = [T; WIDTH];

/// Aggregates by a coordinate rule.
pub(super) fn aggregate<T: Real>(
    vectors: &Vectors<'_, T>,
    mixing: &Mixing,
    rule: &Rule,
    gram: &Gram,
) -> Result<Vec<T>, RobustError> {
    let (chosen, coordinate) = rule.coordinate(gram)?;
    let chosen = chosen.map(|chosen| mixing.selected(&chosen));
    let mixing = chosen.as_ref().unwrap_or(mixing);
    let network = Network::of(mixing.count(), coordinate);
    let mut tile = Tile::new(mixing, vectors.count());
    let mut out = vec![T::default(); vectors.len()];
    let arch = Arch::new();
    for (number, out) in out.chunks_mut(WIDTH).enumerate() {
        arch.dispatch(
            #[inline(always)]
            || {
                tile.fill(vectors, number * WIDTH, out.len());
                let columns = network.apply(&mut tile.columns);
                out.copy_from_slice(&columns[..out.len()]);
            },
        );
    }
    Ok(out)
}

/// Some columns of all vectors.
#[derive(Debug)]
struct Tile<'a, T> {
    mixing: &'a Mixing,
    plain: bool,
    /// The vectors as they are, where they are mixed.
    sources: Vec<Columns<T>>,
    columns: Vec<Columns<T>>,
}

impl<'a, T: Real> Tile<'a, T> {
    fn new(mixing: &'a Mixing, count: usize) -> Self {
        let plain = (0..mixing.count()).all(|it| matches!(mixing.row(it), [(_, 1.0)]));
        let columns = |count| vec![[T::default(); WIDTH]; count];
        Self { mixing, plain, sources: columns(count), columns: columns(mixing.count()) }
    }

    #[inline(always)]
    fn fill(&mut self, vectors: &Vectors<'_, T>, from: usize, len: usize) {
        if self.plain {
            for (number, columns) in self.columns.iter_mut().enumerate() {
                let source = self.mixing.row(number)[0].0;
                columns[..len].copy_from_slice(&vectors.rows()[source][from..][..len]);
            }
            return;
        }
        for (columns, row) in self.sources.iter_mut().zip(vectors.rows()) {
            columns[..len].copy_from_slice(&row[from..][..len]);
        }
        for (number, columns) in self.columns.iter_mut().enumerate() {
            *columns = mixed(self.mixing.row(number), &self.sources);
        }
    }
}

/// The sum by weights; where all are one, they scale the plain sum.
#[inline(always)]
fn mixed<T: Real>(row: &[(usize, f64)], sources: &[Columns<T>]) -> Columns<T> {
    let mut sums = [T::default(); WIDTH];
    let Some(&(_, first)) = row.first() else { return sums };
    let equal = row.iter().all(|&(_, weight)| weight == first);
    if equal {
        for &(source, _) in row {
            let entries = &sources[source];
            for lane in 0..WIDTH {
                sums[lane] = sums[lane].plus(entries[lane]);
            }
        }
        let scale = T::from_f64(first);
        return sums.map(|sum| sum.times(scale));
    }
    for &(source, weight) in row {
        let (entries, weight) = (&sources[source], T::from_f64(weight));
        for lane in 0..WIDTH {
            sums[lane] = sums[lane].plus(weight.times(entries[lane]));
        }
    }
    sums
}

/// What is done to each column.
#[derive(Debug)]
struct Network {
    count: usize,
    coordinate: Coordinate,
    comparators: Vec<(usize, usize)>,
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

impl Network {
    fn of(count: usize, coordinate: Coordinate) -> Self {
        let mut used = vec![Used::No; count];
        match coordinate {
            Coordinate::Median => {
                used[(count - 1) / 2] = Used::Summed;
                used[count / 2] = Used::Summed;
            }
            Coordinate::TrimmedMean { trim } => used[trim..count - trim].fill(Used::Summed),
            Coordinate::NearMedian { .. } => used.fill(Used::Placed),
        }
        let mut comparators = Vec::new();
        for (low, high) in batcher(count).into_iter().rev() {
            let apart = used[low] != used[high];
            if apart || used[low] == Used::Placed {
                comparators.push((low, high));
                (used[low], used[high]) = (Used::Placed, Used::Placed);
            }
        }
        comparators.reverse();
        Self { count, coordinate, comparators }
    }

    #[inline(always)]
    fn apply<T: Real>(&self, columns: &mut [Columns<T>]) -> Columns<T> {
        for &(low, high) in &self.comparators {
            let (one, other) = (columns[low], columns[high]);
            let (below, above) = (&mut columns[low], one.iter().zip(&other));
            for (out, (&one, &other)) in below.iter_mut().zip(above.clone()) {
                *out = if one < other { one } else { other };
            }
            for (out, (&one, &other)) in columns[high].iter_mut().zip(above) {
                *out = if one < other { other } else { one };
            }
        }
        match self.coordinate {
            Coordinate::Median => {
                let [low, high] = [(self.count - 1) / 2, self.count / 2];
                middle(&columns[low], &columns[high])
            }
            Coordinate::TrimmedMean { trim } => mean(&columns[trim..self.count - trim]),
            Coordinate::NearMedian { keep } => self.near_median(columns, keep),
        }
    }

    /// The mean of the `keep` entries nearest to the median. They are neighbours in order: at
    /// each of the places where such a run may begin, it moves on if what it would leave is
    /// farther from the median than what it would take.
    #[inline(always)]
    fn near_median<T: Real>(&self, columns: &[Columns<T>], keep: usize) -> Columns<T> {
        let median = middle(&columns[(self.count - 1) / 2], &columns[self.count / 2]);
        let mut sums = [T::default(); WIDTH];
        let zero = T::default();
        let starts = self.count - keep;
        for (place, entries) in columns.iter().enumerate() {
            // Taken if the run begins early enough and late enough to hold this place.
            let left = (place < starts).then(|| &columns[place + keep]);
            let took = (place >= keep).then(|| &columns[place - keep]);
            for lane in 0..WIDTH {
                let entry = entries[lane];
                let is_left = left
                    .is_some_and(|far| median[lane].minus(entry) > far[lane].minus(median[lane]));
                let is_taken = took.is_none_or(|before| {
                    median[lane].minus(before[lane]) > entry.minus(median[lane])
                });
                sums[lane] = sums[lane].plus(if is_taken && !is_left { entry } else { zero });
            }
        }
        let scale = T::from_f64(1.0 / keep as f64);
        sums.map(|sum| sum.times(scale))
    }
}

#[inline(always)]
fn middle<T: Real>(low: &Columns<T>, high: &Columns<T>) -> Columns<T> {
    let half = T::from_f64(0.5);
    let mut out = *low;
    for (out, &high) in out.iter_mut().zip(high) {
        *out = out.times(half).plus(high.times(half));
    }
    out
}

#[inline(always)]
fn mean<T: Real>(columns: &[Columns<T>]) -> Columns<T> {
    let mut sums = [T::default(); WIDTH];
    for entries in columns {
        sums.iter_mut().zip(entries).for_each(|(sum, &entry)| *sum = sum.plus(entry));
    }
    let scale = T::from_f64(1.0 / columns.len() as f64);
    sums.map(|sum| sum.times(scale))
}

/// The comparators of Batcher's network for any number of entries, in order.
fn batcher(count: usize) -> Vec<(usize, usize)> {
    let mut comparators = Vec::new();
    let size = count.next_power_of_two();
    let mut merged = 1;
    while merged < size {
        let mut apart = merged;
        while apart >= 1 {
            for from in ((apart % merged)..size.saturating_sub(apart)).step_by(2 * apart) {
                for low in from..(from + apart).min(size - apart) {
                    let high = low + apart;
                    // What lies beyond the entries would be larger than all of them.
                    if low / (2 * merged) == high / (2 * merged) && high < count {
                        comparators.push((low, high));
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

    #[test]
    fn batcher_sorts_all_zeros_and_ones() {
        for count in 1..=14_usize {
            let network = batcher(count);
            for bits in 0..1_u32 << count {
                let mut entries: Vec<_> = (0..count).map(|it| bits >> it & 1).collect();
                for &(low, high) in &network {
                    if entries[low] > entries[high] {
                        entries.swap(low, high);
                    }
                }
                assert!(entries.is_sorted(), "{count} {bits:b}");
            }
        }
    }

    #[test]
    fn what_the_output_does_not_depend_on_is_left_out() {
        let len = |coordinate| Network::of(16, coordinate).comparators.len();
        let full = len(Coordinate::NearMedian { keep: 12 });
        assert_eq!(full, batcher(16).len());
        assert!(len(Coordinate::TrimmedMean { trim: 4 }) < full);
        assert!(len(Coordinate::Median) < full);
        assert_eq!(len(Coordinate::TrimmedMean { trim: 0 }), 0);
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
                let mut columns: Vec<_> = column.iter().map(|&it| [it; WIDTH]).collect();
                let found = Network::of(column.len(), coordinate).apply(&mut columns)[WIDTH - 1];
                let expected = plain(&column, coordinate);
                let largest = column.iter().fold(1.0, |most: f64, it| most.max(it.abs()));
                prop_assert!((found - expected).abs() <= 1e-14 * largest, "{coordinate:?} {found} {expected}");
            }
        }
    }
}
