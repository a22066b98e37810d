//! Dust: entries so small that a processor takes a hundred times as long for them.
//!
//! Numbers below the least normal one are worked on by microcode, on many processors: a few
//! vectors of 1e-40, or of 1e-20, whose products are as small, made rules over `f32` 280 times
//! slower. So vectors are told apart when they are checked ([`Vectors::small`],
//! [`Vectors::tiny`]), and those with such entries are copied without them, some columns at a
//! time:
//!
//! - Where entries are added up, those below [`Real::TINY`] count as zero.
//! - Where they are multiplied with one another, a vector whose largest entry is below one is lifted by a
//!   power of two, which the products are divided by afterwards; then those below
//!   [`Real::SMALL`] count as zero. Others are multiples of a number whose square is normal, and
//!   so are all sums of products. What is left out is far below what a float's rounding is.

use pulp::Arch;

use super::input::{Number, Real, Vectors};

/// Columns that are copied at a time.
const STEP: usize = 1024;

/// How a vector is lifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lift<T> {
    /// Which.
    pub(super) row: usize,
    /// Entries below count as zero.
    least: T,
    /// What the others are multiplied by, a power of two.
    pub(super) by: T,
}

/// The value, or zero where it is below `least`.
#[inline(always)]
pub(super) fn kept<T: Number>(value: T, least: T) -> T {
    if value.magnitude() < least { T::default() } else { value }
}

/// The largest magnitude, by lanes.
#[inline(always)]
fn largest<T: Real>(entries: &[T]) -> T {
    let larger = |one: T, other: T| if one > other { one } else { other };
    let mut lanes = [T::default(); 32];
    let (blocks, rest) = entries.as_chunks::<32>();
    for block in blocks {
        for (lane, entry) in lanes.iter_mut().zip(block) {
            *lane = larger(entry.magnitude(), *lane);
        }
    }
    for (lane, entry) in lanes.iter_mut().zip(rest) {
        *lane = larger(entry.magnitude(), *lane);
    }
    lanes.into_iter().fold(T::default(), larger)
}

/// How those vectors are lifted that have small entries.
pub(super) fn lifts<T: Real>(vectors: &Vectors<'_, T>) -> Vec<Lift<T>> {
    vectors.small().iter().map(|&row| Lift::of(row, vectors.rows()[row])).collect()
}

impl<T: Real> Lift<T> {
    fn of(row: usize, entries: &[T]) -> Self {
        let largest = Arch::new().dispatch(
            #[inline(always)]
            || largest(entries),
        );
        if largest < T::NORMAL {
            return Self { row, least: T::NORMAL, by: T::from_f64(1.0) };
        }
        // By the exponents: no more than to one, and than there is a normal power of two for.
        let exponent = |it: T| (it.to_f64().to_bits() >> 52) as i64 - 1023;
        let most = -exponent(T::NORMAL);
        let by = power(-exponent(largest).clamp(-most, 0));
        let least = T::from_f64(T::SMALL.to_f64() / by);
        let least = if least > T::NORMAL { least } else { T::NORMAL };
        Self { row, least, by: T::from_f64(by) }
    }
}

impl<T: Number> Lift<T> {
    /// The entries, lifted.
    #[inline(always)]
    pub(super) fn copy(&self, entries: &[T], out: &mut [T]) {
        let pairs = out.iter_mut().zip(entries);
        pairs.for_each(|(out, &entry)| *out = kept(entry, self.least).times(self.by));
    }
}

/// Two to a power for which there is a normal `f64`.
const fn power(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Lets `make`, which works entry by entry, fill `out` from vectors without tiny entries.
pub(super) fn without<T: Real>(
    vectors: &Vectors<'_, T>,
    out: &mut [T],
    make: impl Fn(&Vectors<'_, T>, &mut [T]),
) {
    let tiny = vectors.tiny();
    if tiny.is_empty() {
        return make(vectors, out);
    }
    let mut tile = vec![T::default(); tiny.len() * STEP];
    let arch = Arch::new();
    for (number, out) in out.chunks_mut(STEP).enumerate() {
        let columns = number * STEP..number * STEP + out.len();
        let mut rows: Vec<&[T]> = vectors.rows().iter().map(|row| &row[columns.clone()]).collect();
        for (&row, tile) in tiny.iter().zip(tile.chunks_exact_mut(STEP)) {
            let tile = &mut tile[..out.len()];
            arch.dispatch(
                #[inline(always)]
                || {
                    let pairs = tile.iter_mut().zip(rows[row]);
                    pairs.for_each(|(out, &entry)| *out = kept(entry, T::TINY));
                },
            );
            rows[row] = tile;
        }
        make(&Vectors::sound_rows(rows, out.len()), out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gram, Pipeline, Rule};
    use super::*;

    #[test]
    fn small_vectors_have_the_products_of_larger_ones() {
        let row = |it: usize| (0..1_100).map(move |at| ((it * 31 + at * 7) % 113) as f32 / 9.0);
        let rows: Vec<Vec<f32>> = (0..5).map(|it| row(it).collect()).collect();
        let slices = |rows: &[Vec<f32>]| Gram::of(&vectors(rows));
        let expected = slices(&rows);
        for factor in [power(-44), power(-70), power(-110)] {
            let by = |it: usize| if it.is_multiple_of(2) { factor } else { 1.0 };
            let lowered: Vec<Vec<f32>> = rows
                .iter()
                .enumerate()
                .map(|(it, row)| row.iter().map(|entry| entry * by(it) as f32).collect())
                .collect();
            let found = slices(&lowered);
            for (one, other) in (0..25).map(|it| (it / 5, it % 5)) {
                let back = found.product(one, other) / by(one) / by(other);
                assert_eq!(back, expected.product(one, other), "{one} {other} {factor}");
            }
        }
    }

    fn vectors<T: Real>(rows: &[Vec<T>]) -> Vectors<'_, T> {
        Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound rows")
    }

    #[test]
    fn dust_counts_as_zero() {
        let rows = vec![vec![1e-40_f32, -1e-45, 1.0], vec![3e-39, 1e-42, 0.0], vec![0.0, 0.0, 2.0]];
        let gram = Gram::of(&vectors(&rows));
        assert_eq!([0, 1, 2].map(|it| gram.norm(it)), [1.0, 0.0, 2.0]);
        let mean = Pipeline::of(Rule::Average).aggregate(&vectors(&rows));
        assert_eq!(mean, Ok(vec![0.0, 0.0, 1.0]));
        let rows = vec![vec![1e-310_f64, 1e-200, 1e-290], vec![1.0, 1e-200, -1e-308]];
        let gram = Gram::of(&vectors(&rows));
        assert_eq!((gram.norm(1), gram.product(0, 1)), (1.0, 0.0));
        assert!(gram.product(0, 0) <= f64::MIN_POSITIVE);
        let median = Pipeline::of(Rule::Median).aggregate(&vectors(&rows));
        assert_eq!(median, Ok(vec![0.5, 1e-200, 0.0]));
    }
}
