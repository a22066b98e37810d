//! Kernels: dot products of all pairs, and weighted sums.
//!
//! Written once by the vector register (`lanes`), compiled for each instruction set and
//! chosen when called (pulp). What is added to what, and in which order, depends on the width
//! of a register and on nothing else: not on how many vectors there are.
//!
//! # Dot products
//!
//! Each load should serve several products, and a processor has some eight of them under way
//! at a time, in sixteen registers: a block of three by four vectors has twelve sums in
//! registers and takes seven loads for twelve products. On the diagonal it is the ten pairs of
//! four vectors with four loads.

use pulp::{Arch, Simd, WithSimd};

use super::dust::{Lift, kept};
use super::input::{Number, Real, Vectors};

/// Vectors of a block that are loaded once for all sums of it.
const ACROSS: usize = 4;
/// Vectors whose products with those are summed at a time.
const DOWN: usize = 3;
/// Entries of the output that are summed at a time.
const SUM_BLOCK: usize = 4096;
/// Vectors that are added to it at a time, so that it is loaded and stored once for them.
const AT_ONCE: usize = 4;

/// The dot products of the vectors from `new` on with each other and with those before: a
/// square matrix by rows, of which the upper half is filled from column `new` on. They are the
/// same to the bit whatever `new` is. Some vectors are lifted before.
pub(crate) fn products<T: Number>(
    vectors: &Vectors<'_, T>,
    lifts: &[Lift<T>],
    new: usize,
) -> Vec<f64> {
    Arch::new().dispatch(Products { vectors, lifts, new, pairs: Pairs::All })
}

/// The diagonal of that matrix alone, and a few products beside it; the same to the bit.
pub(super) fn norms<T: Number>(vectors: &Vectors<'_, T>, lifts: &[Lift<T>]) -> Vec<f64> {
    Arch::new().dispatch(Products { vectors, lifts, new: 0, pairs: Pairs::Diagonal })
}

/// Which products are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairs {
    All,
    /// Those of blocks on the diagonal.
    Diagonal,
}

struct Products<'a, T> {
    vectors: &'a Vectors<'a, T>,
    lifts: &'a [Lift<T>],
    new: usize,
    pairs: Pairs,
}

impl<T: Number> WithSimd for Products<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let (rows, len) = (self.vectors.rows(), self.vectors.len());
        let mut sums = vec![0.0; rows.len() * rows.len()];
        let mut lifted = vec![T::default(); self.lifts.len() * T::BLOCK];
        for from in (0..len).step_by(T::BLOCK) {
            let end = len.min(from + T::BLOCK);
            let mut block: Vec<&[T]> = rows.iter().map(|row| &row[from..end]).collect();
            for (lift, tile) in self.lifts.iter().zip(lifted.chunks_exact_mut(T::BLOCK)) {
                let tile = &mut tile[..end - from];
                lift.copy(block[lift.row], tile);
                block[lift.row] = tile;
            }
            let mut whole: Vec<&[T::Vector<S>]> = Vec::with_capacity(rows.len());
            let mut ends: Vec<[T::Vector<S>; 1]> = Vec::new();
            for row in block {
                let (vectors, rest) = T::split(simd, row);
                whole.push(vectors);
                // Only of the last block.
                if !rest.is_empty() {
                    ends.push([T::partial(simd, rest)]);
                }
            }
            add_products::<T, S>(simd, &whole, self.new, self.pairs, &mut sums);
            if !ends.is_empty() {
                let ends: Vec<_> = ends.iter().map(|end| &end[..]).collect();
                add_products::<T, S>(simd, &ends, self.new, self.pairs, &mut sums);
            }
        }
        sums
    }
}

/// Adds the products of all pairs of `rows` of which one is from `new` on.
#[inline(always)]
fn add_products<T: Number, S: Simd>(
    simd: S,
    rows: &[&[T::Vector<S>]],
    new: usize,
    pairs: Pairs,
    sums: &mut [f64],
) {
    let count = rows.len();
    // Beyond the last vector it stands again, and what comes of it is left out.
    let four =
        |from: usize| -> [_; ACROSS] { std::array::from_fn(|it| rows[(from + it).min(count - 1)]) };
    if new + 1 == count && pairs == Pairs::All {
        // One alone: it is the one that is loaded for four others, not one of four.
        for left in (0..count).step_by(ACROSS) {
            let [found] = between::<T, S, 1>(simd, [rows[new]], four(left));
            for (row, found) in (left..count).zip(found) {
                sums[row * count + new] += found;
            }
        }
        return;
    }
    for right in (new..count).step_by(ACROSS) {
        let across = four(right);
        let mut left = if pairs == Pairs::All { 0 } else { right };
        while left + DOWN <= right {
            let down: [_; DOWN] = std::array::from_fn(|it| rows[left + it]);
            add_block(sums, count, [left, right], &between::<T, S, DOWN>(simd, down, across));
            left += DOWN;
        }
        if left + 2 == right {
            let down = [rows[left], rows[left + 1]];
            add_block(sums, count, [left, right], &between::<T, S, 2>(simd, down, across));
        } else if left + 1 == right {
            add_block(sums, count, [left, right], &between::<T, S, 1>(simd, [rows[left]], across));
        }
        add_block(sums, count, [right, right], &within::<T, S>(simd, across));
    }
}

/// Adds the sums of a block to those of all pairs.
#[inline(always)]
fn add_block(sums: &mut [f64], count: usize, [left, right]: [usize; 2], found: &[[f64; ACROSS]]) {
    for (row, found) in found.iter().enumerate().take(count - left) {
        let sums = &mut sums[(left + row) * count..][..count][right..];
        sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
    }
}

/// The products of some vectors with others.
#[inline(always)]
fn between<T: Number, S: Simd, const N: usize>(
    simd: S,
    down: [&[T::Vector<S>]; N],
    across: [&[T::Vector<S>]; ACROSS],
) -> [[f64; ACROSS]; N] {
    let mut sums = [[T::no_products(simd); ACROSS]; N];
    let len = across[0].len();
    let (mut down, mut across) = (down, across);
    for row in &mut down {
        *row = &row[..len];
    }
    for row in &mut across {
        *row = &row[..len];
    }
    for at in 0..len {
        for other in 0..ACROSS {
            let entry = across[other][at];
            for one in 0..N {
                sums[one][other] = T::add_products(simd, down[one][at], entry, sums[one][other]);
            }
        }
    }
    let mut found = [[0.0; ACROSS]; N];
    for one in 0..N {
        for other in 0..ACROSS {
            found[one][other] = T::sum(simd, sums[one][other]);
        }
    }
    found
}

/// The products of some vectors with each other; the upper half.
#[inline(always)]
fn within<T: Number, S: Simd>(simd: S, rows: [&[T::Vector<S>]; ACROSS]) -> [[f64; ACROSS]; ACROSS] {
    let zero = T::splat(simd, T::default());
    let mut sums = [[T::no_products(simd); ACROSS]; ACROSS];
    let len = rows[0].len();
    let mut rows = rows;
    for row in &mut rows {
        *row = &row[..len];
    }
    for at in 0..len {
        let mut entries = [zero; ACROSS];
        for (entry, row) in entries.iter_mut().zip(&rows) {
            *entry = row[at];
        }
        for one in 0..ACROSS {
            for other in one..ACROSS {
                let sum = &mut sums[one][other];
                *sum = T::add_products(simd, entries[one], entries[other], *sum);
            }
        }
    }
    let mut found = [[0.0; ACROSS]; ACROSS];
    for one in 0..ACROSS {
        for other in one..ACROSS {
            found[one][other] = T::sum(simd, sums[one][other]);
        }
    }
    found
}

/// The sum of vectors by weights; one pass over those with a weight. Where all weights are one,
/// they scale the plain sum.
pub(super) fn combine<T: Real>(vectors: &Vectors<'_, T>, weights: &[(usize, f64)], out: &mut [T]) {
    Arch::new().dispatch(Combine { vectors, weights, out });
}

struct Combine<'a, T> {
    vectors: &'a Vectors<'a, T>,
    weights: &'a [(usize, f64)],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let first = self.weights.first().map_or(1.0, |&(_, weight)| weight);
        let equal = self.weights.iter().all(|&(_, weight)| weight == first);
        let scale = if equal { first } else { 1.0 };
        let mut weighed: Vec<(&[T], T)> = Vec::with_capacity(self.weights.len() + AT_ONCE);
        for &(row, weight) in self.weights {
            let weight = kept(T::from_f64(if equal { 1.0 } else { weight }), T::TINY);
            weighed.push((self.vectors.rows()[row], weight));
        }
        // Nothing of a row fills the last group.
        let fill = self.vectors.rows()[0];
        weighed.resize(weighed.len().next_multiple_of(AT_ONCE), (fill, T::default()));
        for (number, sums) in self.out.chunks_mut(SUM_BLOCK).enumerate() {
            let from = number * SUM_BLOCK;
            sums.fill(T::default());
            for group in weighed.as_chunks::<AT_ONCE>().0 {
                let group = group.map(|(row, weight)| (&row[from..][..sums.len()], weight));
                add_weighed(simd, &group, sums);
            }
            scaled(simd, sums, T::from_f64(scale));
        }
    }
}

/// Adds rows by weights to sums.
#[inline(always)]
fn add_weighed<T: Number, S: Simd>(simd: S, rows: &[(&[T], T); AT_ONCE], sums: &mut [T]) {
    let (vectors, rest) = T::split_mut(simd, sums);
    let rows = rows.map(|(row, weight)| {
        let (entries, rest) = T::split(simd, row);
        (&entries[..vectors.len()], rest, T::splat(simd, weight))
    });
    for (at, sum) in vectors.iter_mut().enumerate() {
        for (entries, _, weight) in &rows {
            *sum = T::mul_add(simd, entries[at], *weight, *sum);
        }
    }
    if !rest.is_empty() {
        let mut sum = T::partial(simd, rest);
        for (_, entries, weight) in &rows {
            sum = T::mul_add(simd, T::partial(simd, entries), *weight, sum);
        }
        T::store_partial(simd, rest, sum);
    }
}

#[inline(always)]
fn scaled<T: Number, S: Simd>(simd: S, sums: &mut [T], scale: T) {
    let (vectors, rest) = T::split_mut(simd, sums);
    let factor = T::splat(simd, scale);
    vectors.iter_mut().for_each(|sum| *sum = T::mul(simd, *sum, factor));
    rest.iter_mut().for_each(|sum| *sum = sum.times(scale));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arb_rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (1_usize..18, prop_oneof![0_usize..40, Just(1_024), Just(1_300)]).prop_flat_map(
            |(count, len)| {
                prop::collection::vec(prop::collection::vec(-9.0..9.0, len..=len), count..=count)
            },
        )
    }

    proptest! {
        #[test]
        fn products_and_sums_are_those_of_plain_loops(rows in arb_rows(), weights in prop::collection::vec(-2.0..2.0, 18)) {
            let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound");
            let found = products(&vectors, &[], 0);
            let scalar = Products { vectors: &vectors, lifts: &[], new: 0, pairs: Pairs::All }.with_simd(pulp::Scalar);
            for (found, scalar) in found.iter().zip(scalar) {
                prop_assert!((found - scalar).abs() <= 1e-9 * (1.0 + scalar.abs()));
            }
            for (one, row) in rows.iter().enumerate() {
                for (other, behind) in rows.iter().enumerate().skip(one) {
                    let plain: f64 = row.iter().zip(behind).map(|(a, b)| a * b).sum();
                    let found = found[one * rows.len() + other];
                    prop_assert!((found - plain).abs() <= 1e-9 * (1.0 + plain.abs()), "{found} {plain}");
                }
            }
            let singles: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().map(|&it| it as f32).collect()).collect();
            let singles = Vectors::new(singles.iter().map(Vec::as_slice).collect()).expect("sound");
            for (found, single) in found.iter().zip(products(&singles, &[], 0)) {
                prop_assert!((found - single).abs() <= 1e-6 * 81.0 * singles.len() as f64);
            }
            let weighed: Vec<_> = weights.into_iter().take(rows.len()).enumerate().collect();
            let mut sum = vec![1.0; rows[0].len()];
            combine(&vectors, &weighed, &mut sum);
            for (entry, found) in sum.iter().enumerate() {
                let plain: f64 = weighed.iter().map(|&(it, weight)| weight * rows[it][entry]).sum();
                prop_assert!((found - plain).abs() <= 1e-12 * (1.0 + plain.abs()));
            }
        }
    }
}
