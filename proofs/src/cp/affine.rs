//! Affine sums: many sums of points at once, sharing one field inversion.
//!
//! Adding two affine points costs an inversion and three products; an inversion shared among some
//! hundred additions costs three products (Montgomery's trick), so an addition is six, where the mixed
//! addition of projective coordinates is ten or more. That needs independent additions: each round
//! adds the points of every group in pairs, until each group is one point. All cases of the group
//! law are handled (identity, doubling, opposite points), so the points may come from anybody.

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{AdditiveGroup, Field, One, Zero};
use rayon::prelude::*;

/// Additions that share an inversion: at 512 the inversion is below half a product each, and what is
/// pending (some 100 kB) stays in the second-level cache.
const BATCH: usize = 512;
/// Points of one group that one task sums.
const PIECE_POINTS: usize = 2_048;
/// Points of one task, enough to outweigh handing it over.
const TASK_POINTS: usize = 4_096;

/// An addition whose slope still lacks its denominator's inverse.
struct Pending<P: SWCurveConfig> {
    slot: usize,
    left: Affine<P>,
    right_x: P::BaseField,
    numerator: P::BaseField,
}

/// Collects sums; those that need an inversion are finished together.
struct Batch<P: SWCurveConfig> {
    sums: Vec<Affine<P>>,
    pending: Vec<Pending<P>>,
    denominators: Vec<P::BaseField>,
    products: Vec<P::BaseField>,
}

/// Sums each group: the first `lens[0]` of the `lens.iter().sum()` points that `point` gives, and so on.
///
/// One thread; about six products of the base field for each point.
pub(crate) fn sum_groups<P: SWCurveConfig>(
    lens: &[usize],
    point: impl Fn(usize) -> Affine<P>,
) -> Vec<Affine<P>> {
    let (mut points, mut lens) = pair_up(lens, point);
    while lens.iter().any(|&len| len > 1) {
        let read = points;
        (points, lens) = pair_up(&lens, |index| read[index]);
    }
    let mut points = points.into_iter();
    let mut first = |len| if len == 0 { Affine::identity() } else { points.next().expect("a sum") };
    lens.into_iter().map(&mut first).collect()
}

/// As [`sum_groups`], over all threads of the pool.
pub(crate) fn sum_groups_parallel<P: SWCurveConfig>(
    lens: &[usize],
    point: impl Fn(usize) -> Affine<P> + Sync,
) -> Vec<Affine<P>> {
    let pieces: Vec<usize> = lens.iter().map(|len| len.div_ceil(PIECE_POINTS)).collect();
    let mut tasks = vec![(0, Vec::new(), 0)];
    let mut start = 0;
    for &len in lens {
        let mut left = len;
        while left > 0 {
            let piece = left.min(PIECE_POINTS);
            let task = tasks.last_mut().expect("there is a task");
            if task.2 + piece > TASK_POINTS {
                tasks.push((start, vec![piece], piece));
            } else {
                task.1.push(piece);
                task.2 += piece;
            }
            start += piece;
            left -= piece;
        }
    }
    let sum = |(start, lens, _): &(usize, Vec<usize>, usize)| {
        sum_groups(lens, |index| point(start + index))
    };
    let sums: Vec<Affine<P>> = tasks.par_iter().flat_map_iter(sum).collect();
    sum_groups(&pieces, |index| sums[index])
}

/// The sum of each of `count` pairs, on one thread.
pub(crate) fn add_pairs<P: SWCurveConfig>(
    count: usize,
    pair: impl Fn(usize) -> (Affine<P>, Affine<P>),
) -> Vec<Affine<P>> {
    let mut batch = Batch::new(count);
    for (left, right) in (0..count).map(pair) {
        batch.add(left, right);
    }
    batch.finish();
    batch.sums
}

/// As [`add_pairs`], over all threads of the pool.
pub(crate) fn add_pairs_parallel<P: SWCurveConfig>(
    count: usize,
    pair: impl Fn(usize) -> (Affine<P>, Affine<P>) + Sync,
) -> Vec<Affine<P>> {
    let task = |task: usize| {
        let start = task * TASK_POINTS;
        add_pairs(TASK_POINTS.min(count - start), |index| pair(start + index))
    };
    (0..count.div_ceil(TASK_POINTS)).into_par_iter().flat_map_iter(task).collect()
}

/// One round: half as many points, and how many each group has left.
fn pair_up<P: SWCurveConfig>(
    lens: &[usize],
    point: impl Fn(usize) -> Affine<P>,
) -> (Vec<Affine<P>>, Vec<usize>) {
    let halves: Vec<usize> = lens.iter().map(|len| len.div_ceil(2)).collect();
    let mut batch = Batch::new(halves.iter().sum());
    let mut start = 0;
    for len in lens {
        for pair in 0..len / 2 {
            batch.add(point(start + 2 * pair), point(start + 2 * pair + 1));
        }
        if len % 2 == 1 {
            batch.sums.push(point(start + len - 1));
        }
        start += len;
    }
    batch.finish();
    (batch.sums, halves)
}

impl<P: SWCurveConfig> Batch<P> {
    fn new(sums: usize) -> Self {
        Self {
            sums: Vec::with_capacity(sums),
            pending: Vec::with_capacity(BATCH),
            denominators: Vec::with_capacity(BATCH),
            products: Vec::with_capacity(BATCH),
        }
    }

    fn add(&mut self, left: Affine<P>, right: Affine<P>) {
        if left.is_zero() {
            return self.sums.push(right);
        }
        if right.is_zero() {
            return self.sums.push(left);
        }
        let difference = right.x - left.x;
        let (numerator, denominator) = if !difference.is_zero() {
            (right.y - left.y, difference)
        } else if left.y == right.y && !left.y.is_zero() {
            let square = left.x.square();
            (square.double() + square + P::COEFF_A, left.y.double())
        } else {
            return self.sums.push(Affine::identity());
        };
        let slot = self.sums.len();
        self.sums.push(left);
        self.pending.push(Pending { slot, left, right_x: right.x, numerator });
        self.denominators.push(denominator);
        if self.pending.len() == BATCH {
            self.finish();
        }
    }

    /// Inverts all denominators with one inversion, from the last to the first, and adds.
    fn finish(&mut self) {
        self.products.clear();
        let mut product = P::BaseField::one();
        for denominator in &self.denominators {
            self.products.push(product);
            product *= denominator;
        }
        let mut inverse = product.inverse().expect("no denominator is zero");
        let rows = self.pending.drain(..).zip(&self.denominators).zip(&self.products).rev();
        for ((pending, denominator), before) in rows {
            let slope = pending.numerator * (inverse * before);
            inverse *= denominator;
            let x = slope.square() - pending.left.x - pending.right_x;
            let y = slope * (pending.left.x - x) - pending.left.y;
            self.sums[pending.slot] = Affine::new_unchecked(x, y);
        }
        self.denominators.clear();
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::{G1Affine, G1Projective, G2Affine, G2Projective, g1, g2};
    use ark_ec::PrimeGroup;

    use super::*;

    fn multiples(count: u64) -> Vec<G1Affine> {
        (0..count)
            .map(|k| G1Affine::from(G1Projective::generator() * ark_bn254::Fr::from(k)))
            .collect()
    }

    #[test]
    fn sums_each_group_alone() {
        let points = multiples(40);
        let lens = [0, 1, 2, 0, 7, 30];
        let sums = sum_groups::<g1::Config>(&lens, |index| points[index]);
        let mut start = 0;
        for (len, sum) in lens.into_iter().zip(sums) {
            let expected: G1Projective = points[start..start + len].iter().sum();
            assert_eq!(sum, G1Affine::from(expected));
            start += len;
        }
    }

    #[test]
    fn adds_equal_and_opposite_points_and_the_identity() {
        let (zero, one, two) = (G1Affine::identity(), G1Affine::generator(), multiples(3)[2]);
        for (left, right, sum) in [
            (one, one, two),
            (one, -one, zero),
            (zero, one, one),
            (one, zero, one),
            (zero, zero, zero),
        ] {
            let pair = [left, right];
            assert_eq!(sum_groups::<g1::Config>(&[2], |index| pair[index]), [sum]);
        }
    }

    #[test]
    fn sums_over_threads_as_over_one() {
        let points = multiples(300);
        let lens = [9_000, 3, 0, 4_999, 2];
        let point = |index: usize| points[index * 7 % points.len()];
        let expected = sum_groups::<g1::Config>(&lens, point);
        assert_eq!(sum_groups_parallel::<g1::Config>(&lens, point), expected);
    }

    #[test]
    fn sums_points_of_the_second_group() {
        let points: Vec<G2Affine> = (1..9_u64)
            .map(|k| (G2Projective::generator() * ark_bn254::Fr::from(k)).into())
            .collect();
        let sum = sum_groups::<g2::Config>(&[8], |index| points[index]);
        assert_eq!(sum, [G2Affine::from(points.iter().sum::<G2Projective>())]);
    }
}
