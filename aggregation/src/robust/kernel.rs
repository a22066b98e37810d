//! Kernels: dot products of all pairs, and weighted sums.
//!
//! Loops over fixed lanes, compiled once for each vector width and chosen when called
//! (pulp). Products are never fused with sums, and lanes are added in one order.

use pulp::Arch;

use super::input::{Real, Vectors};

/// Lanes of an accumulator: one AVX-512 register of `f32`.
const LANES: usize = 16;
/// Entries after which lane sums are widened to `f64`: a block of 64 vectors of `f32` stays
/// in the second-level cache.
const BLOCK: usize = 1024;
/// Products worked on at a time, so that each load serves several.
const AT_ONCE: usize = 4;
/// Entries of the output that are summed at a time.
const SUM_BLOCK: usize = 4096;

/// The dot products of each vector with itself and those behind it, in that order.
pub(super) fn products<T: Real>(vectors: &Vectors<'_, T>) -> Vec<f64> {
    let count = vectors.count();
    let mut sums = vec![0.0; count * (count + 1) / 2];
    let arch = Arch::new();
    for from in (0..vectors.len()).step_by(BLOCK) {
        let end = vectors.len().min(from + BLOCK);
        let rows: Vec<&[T]> = vectors.rows().iter().map(|row| &row[from..end]).collect();
        arch.dispatch(
            #[inline(always)]
            || add_products(&rows, &mut sums),
        );
    }
    sums
}

#[inline(always)]
fn add_products<T: Real>(rows: &[&[T]], sums: &mut [f64]) {
    let mut sums = sums.iter_mut();
    for (one, row) in rows.iter().enumerate() {
        let (groups, rest) = rows[one..].as_chunks::<AT_ONCE>();
        for group in groups {
            let found = dots(row, group);
            found.into_iter().zip(&mut sums).for_each(|(found, sum)| *sum += found);
        }
        for other in rest {
            let [found] = dots(row, &[*other]);
            sums.next().into_iter().for_each(|sum| *sum += found);
        }
    }
}

/// The dot products of a vector with several.
#[inline(always)]
fn dots<T: Real, const N: usize>(row: &[T], others: &[&[T]; N]) -> [f64; N] {
    let mut sums = [[T::default(); LANES]; N];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for (place, chunk) in chunks.iter().enumerate() {
        for (sums, other) in sums.iter_mut().zip(others) {
            let Some(other) = other[place * LANES..].first_chunk::<LANES>() else { continue };
            for lane in 0..LANES {
                sums[lane] = sums[lane].plus(chunk[lane].times(other[lane]));
            }
        }
    }
    let mut found = [0.0; N];
    for ((found, sums), other) in found.iter_mut().zip(&sums).zip(others) {
        *found = sums.iter().map(|sum| sum.to_f64()).sum();
        let behind = rest.iter().zip(&other[chunks.len() * LANES..]);
        *found += behind.map(|(one, other)| one.to_f64() * other.to_f64()).sum::<f64>();
    }
    found
}

/// The sum of vectors by weights; one pass over those with a weight.
pub(super) fn combine<T: Real>(vectors: &Vectors<'_, T>, weights: &[(usize, f64)]) -> Vec<T> {
    let mut out = vec![T::default(); vectors.len()];
    let arch = Arch::new();
    for (number, out) in out.chunks_mut(SUM_BLOCK).enumerate() {
        let from = number * SUM_BLOCK;
        let row =
            |&(row, weight): &(usize, f64)| (&vectors.rows()[row][from..][..out.len()], weight);
        let rows: Vec<(&[T], f64)> = weights.iter().map(row).collect();
        arch.dispatch(
            #[inline(always)]
            || add_weighted(&rows, out),
        );
    }
    out
}

/// Adds rows by weights to `out`; where all weights are one, they scale the plain sum.
#[inline(always)]
fn add_weighted<T: Real>(rows: &[(&[T], f64)], out: &mut [T]) {
    let Some(&(_, first)) = rows.first() else { return };
    if rows.iter().all(|&(_, weight)| weight == first) {
        // Four at a time, in their order, so that a sum is loaded and stored once for them.
        let (groups, rest) = rows.as_chunks::<4>();
        for group in groups {
            let [a, b, c, d] = group.map(|(row, _)| &row[..out.len()]);
            for (at, sum) in out.iter_mut().enumerate() {
                *sum = sum.plus(a[at]).plus(b[at]).plus(c[at]).plus(d[at]);
            }
        }
        for (row, _) in rest {
            out.iter_mut().zip(*row).for_each(|(sum, &entry)| *sum = sum.plus(entry));
        }
        let scale = T::from_f64(first);
        if first != 1.0 {
            out.iter_mut().for_each(|sum| *sum = sum.times(scale));
        }
        return;
    }
    for &(row, weight) in rows {
        let weight = T::from_f64(weight);
        out.iter_mut().zip(row).for_each(|(sum, &entry)| *sum = sum.plus(weight.times(entry)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arb_rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (1_usize..9, prop_oneof![0_usize..40, Just(1_024), Just(2_500)]).prop_flat_map(
            |(count, len)| {
                prop::collection::vec(prop::collection::vec(-9.0..9.0, len..=len), count..=count)
            },
        )
    }

    proptest! {
        #[test]
        fn products_and_sums_are_those_of_plain_loops(rows in arb_rows(), weights in prop::collection::vec(-2.0..2.0, 9)) {
            let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound");
            let mut found = products(&vectors).into_iter();
            for (one, row) in rows.iter().enumerate() {
                for other in &rows[one..] {
                    let plain: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                    let found = found.next().expect("as many products as pairs");
                    prop_assert!((found - plain).abs() <= 1e-9 * (1.0 + plain.abs()), "{found} {plain}");
                }
            }
            let weighed: Vec<_> = weights.into_iter().take(rows.len()).enumerate().collect();
            let sum = combine(&vectors, &weighed);
            for (entry, found) in sum.iter().enumerate() {
                let plain: f64 = weighed.iter().map(|&(it, weight)| weight * rows[it][entry]).sum();
                prop_assert!((found - plain).abs() <= 1e-12 * (1.0 + plain.abs()));
            }
        }
    }
}
