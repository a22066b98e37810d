//! Multi-scalar multiplication: `sum of scalar * point`, the work of prover, committer and checker.
//!
//! Two shapes of scalars occur. The quotient's are all different and 254 bits wide: [`sum_wide`] is
//! Pippenger's method with signed digits, its buckets summed in affine coordinates ([`super::affine`])
//! and weighed by rows and columns. A witness repeats itself: 65,000 entries of eight bits, and their inverses
//! in a lookup, have 255 values. [`Grouped`] sums the points of each value first, so that each point costs one
//! addition whatever the width of its scalar, and one grouping serves every query. Zeros cost nothing.
//!
//! Not constant in time: a prover that lets others measure it to the microsecond tells them about its witness.

use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, PrimeGroup};
use ark_ff::{AdditiveGroup, BigInteger, PrimeField, Zero};
use rayon::prelude::*;

use super::affine::{sum_groups, sum_groups_parallel};

/// Widest digit, in bits: digits are kept in 16 and have a sign.
const DIGIT_BITS_MAX: usize = 13;
/// Values up to this many bits are summed apart, since they need few digits.
const SHORT_BITS_MAX: u32 = 24;

/// Fewer points than this are multiplied one by one: sharing inversions does not pay.
const FEW_POINTS: usize = 24;

/// Scalars by value: which positions share one, up to its sign.
///
/// Making it sorts the scalars (4 ms for 65,000, below 1 ms for [`of_entries`](Self::of_entries));
/// [`sum`](Self::sum) is one addition for each position that is not zero.
pub struct Grouped<F: PrimeField> {
    /// Positions with their sign, those of one magnitude after each other.
    order: Vec<Signed>,
    lens: Vec<usize>,
    magnitudes: Vec<F::BigInt>,
}

/// A position, and whether its scalar is the negative of its group's magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Signed {
    position: u32,
    negative: bool,
}

impl Signed {
    fn new(position: usize, negative: bool) -> Self {
        let position = u32::try_from(position).expect("fewer than 2^32 scalars");
        Self { position, negative }
    }

    const fn index(self) -> usize {
        self.position as usize
    }
}

impl<F: PrimeField> Grouped<F> {
    /// Groups scalars at positions counted from zero.
    ///
    /// # Panics
    /// If there are 2^32 scalars.
    pub fn new(scalars: &[F]) -> Self {
        let term = |(position, scalar): (usize, &F)| {
            let (magnitude, negative) = magnitude(scalar);
            (magnitude.as_ref()[0], Signed::new(position, negative))
        };
        let present = scalars.par_iter().enumerate().filter(|(_, scalar)| !scalar.is_zero());
        let mut terms: Vec<(u64, Signed)> = present.map(term).collect();
        terms.par_sort_unstable();
        let mut grouped = Self {
            order: Vec::with_capacity(terms.len()),
            lens: Vec::new(),
            magnitudes: Vec::new(),
        };
        for alike in terms.chunk_by(|left, right| left.0 == right.0) {
            grouped.push_alike(alike, scalars);
        }
        grouped
    }

    /// Groups the entries of a chunk, by counting.
    ///
    /// # Panics
    /// If there are 2^32 entries.
    pub fn of_entries(entries: &[i8]) -> Self {
        let mut by_magnitude = vec![Vec::new(); 129];
        for (position, entry) in entries.iter().enumerate().filter(|(_, entry)| **entry != 0) {
            let group = &mut by_magnitude[usize::from(entry.unsigned_abs())];
            group.push(Signed::new(position, *entry < 0));
        }
        let present = (0_u8..).zip(&by_magnitude).filter(|(_, group)| !group.is_empty());
        let (magnitudes, lens) =
            present.map(|(value, group)| (F::BigInt::from(value), group.len())).unzip();
        Self { order: by_magnitude.concat(), lens, magnitudes }
    }

    /// Adds scalars whose magnitudes have the same lowest limb: one group, or by bad luck several.
    fn push_alike(&mut self, alike: &[(u64, Signed)], scalars: &[F]) {
        let positive = |(_, it): &(u64, Signed)| {
            let scalar = scalars[it.index()];
            if it.negative { -scalar } else { scalar }
        };
        let mut left = alike.to_vec();
        while let Some(term) = left.first() {
            let first = positive(term);
            let (same, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|term| positive(term) == first);
            self.order.extend(same.iter().map(|(_, signed)| *signed));
            self.lens.push(same.len());
            self.magnitudes.push(first.into_bigint());
            left = others;
        }
    }

    /// The sum over `points`, of which the first stands at position `first`.
    ///
    /// Positions without a point count as if it were the identity.
    pub fn sum<P>(&self, first: usize, points: &[Affine<P>]) -> Projective<P>
    where
        P: SWCurveConfig<ScalarField = F>,
    {
        let point = |index: usize| {
            let signed = self.order[index];
            let found = signed.index().checked_sub(first).and_then(|at| points.get(at));
            match found {
                None => Affine::identity(),
                Some(&point) if signed.negative => -point,
                Some(&point) => point,
            }
        };
        let sums = sum_groups_parallel(&self.lens, point);
        let present = sums.into_iter().zip(&self.magnitudes).filter(|(point, _)| !point.is_zero());
        let (short, long): (Vec<_>, Vec<_>) =
            present.partition(|(_, magnitude)| magnitude.num_bits() <= SHORT_BITS_MAX);
        sum_pairs(short) + sum_pairs(long)
    }
}

/// The lesser of a scalar and its negative, and whether it is the latter.
fn magnitude<F: PrimeField>(scalar: &F) -> (F::BigInt, bool) {
    let plain = scalar.into_bigint();
    let mut opposite = F::MODULUS;
    opposite.sub_with_borrow(&plain);
    if opposite < plain { (opposite, true) } else { (plain, false) }
}

fn sum_pairs<P: SWCurveConfig>(
    pairs: Vec<(Affine<P>, &<P::ScalarField as PrimeField>::BigInt)>,
) -> Projective<P> {
    let (points, scalars): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    sum_integers(&points, &scalars)
}

/// `sum of scalar * point` for scalars that hardly repeat.
///
/// 65,535 points of BN254: some 0.2 s of one core.
///
/// # Panics
/// If there are not as many points as scalars.
pub fn sum_wide<P: SWCurveConfig>(
    points: &[Affine<P>],
    scalars: &[P::ScalarField],
) -> Projective<P> {
    let scalars: Vec<_> = scalars.par_iter().map(|scalar| scalar.into_bigint()).collect();
    sum_integers(points, &scalars)
}

/// Pippenger's method, a task for each digit.
fn sum_integers<P: SWCurveConfig>(
    points: &[Affine<P>],
    scalars: &[<P::ScalarField as PrimeField>::BigInt],
) -> Projective<P> {
    assert_eq!(points.len(), scalars.len(), "a scalar for each point");
    let bits = scalars.iter().map(BigInteger::num_bits).max().unwrap_or(0) as usize;
    if points.len() < FEW_POINTS {
        return points.iter().zip(scalars).map(|(point, scalar)| point.mul_bigint(*scalar)).sum();
    }
    let width = (points.len().ilog2() as usize).saturating_sub(2).clamp(3, DIGIT_BITS_MAX);
    let digits = signed_digits(scalars, width, bits);
    let sums: Vec<Projective<P>> =
        digits.par_iter().map(|digits| digit_sum(points, digits, width)).collect();
    sums.into_iter().rev().fold(Projective::zero(), |mut total, sum| {
        for _ in 0..width {
            total.double_in_place();
        }
        total + sum
    })
}

/// The digits of all scalars, lowest first: between -2^(width-1) and 2^(width-1), both included.
pub(crate) fn signed_digits<B: BigInteger>(
    scalars: &[B],
    width: usize,
    bits: usize,
) -> Vec<Vec<i16>> {
    let count = (bits + 1).div_ceil(width);
    let mut digits = vec![vec![0; scalars.len()]; count];
    for (index, scalar) in scalars.iter().enumerate() {
        let mut carry = 0;
        for (place, row) in digits.iter_mut().enumerate() {
            let value = bits_at(scalar.as_ref(), place * width, width) + carry;
            carry = i32::from(value > 1 << (width - 1));
            let digit = value - (carry << width);
            row[index] = i16::try_from(digit).expect("a digit has at most 13 bits and a sign");
        }
        debug_assert_eq!(carry, 0, "one bit more than the scalar takes the last carry");
    }
    digits
}

/// `width` bits from bit `start` on; beyond the end they are zero.
fn bits_at(limbs: &[u64], start: usize, width: usize) -> i32 {
    let (limb, shift) = (start / 64, start % 64);
    let at = |limb: usize| limbs.get(limb).copied().unwrap_or(0);
    let low = at(limb) >> shift;
    let high = if shift == 0 { 0 } else { at(limb + 1) << (64 - shift) };
    let mask = (1_u64 << width) - 1;
    i32::try_from((low | high) & mask).expect("at most 13 bits")
}

/// `sum of digit * point`: points go to the bucket of their digit, buckets are weighed together.
fn digit_sum<P: SWCurveConfig>(
    points: &[Affine<P>],
    digits: &[i16],
    width: usize,
) -> Projective<P> {
    let buckets = (1 << (width - 1)) + 1;
    let mut lens = vec![0; buckets];
    digits.iter().for_each(|digit| lens[usize::from(digit.unsigned_abs())] += 1);
    lens[0] = 0;
    let mut ends = Vec::with_capacity(buckets);
    let mut end = 0;
    for len in &lens {
        ends.push(end);
        end += len;
    }
    let mut order = vec![0_u32; end];
    for (index, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
        let place = &mut ends[usize::from(digit.unsigned_abs())];
        order[*place] = u32::try_from(index).expect("fewer than 2^32 points");
        *place += 1;
    }
    let point = |index: usize| {
        let from = order[index] as usize;
        if digits[from] < 0 { -points[from] } else { points[from] }
    };
    weigh(&sum_groups(&lens, point))
}

/// `sum of index * bucket`. With `index = high * side + low`, the buckets of one `high` and those of
/// one `low` are summed in affine coordinates, and only `2 * side` sums are weighed one after the other.
fn weigh<P: SWCurveConfig>(buckets: &[Affine<P>]) -> Projective<P> {
    let side = buckets.len().isqrt() + 1;
    let at = |index: usize| buckets.get(index).copied().unwrap_or_else(Affine::identity);
    let lens = vec![side; side];
    let rows = sum_groups(&lens, at);
    let columns = sum_groups(&lens, |index| at(index % side * side + index / side));
    let side = u64::try_from(side).expect("at most 2^13 buckets");
    running_sum(&rows).mul_bigint([side]) + running_sum(&columns)
}

/// `sum of index * point`.
fn running_sum<P: SWCurveConfig>(points: &[Affine<P>]) -> Projective<P> {
    let (mut running, mut total) = (Projective::zero(), Projective::zero());
    for point in points.iter().skip(1).rev() {
        running += point;
        total += running;
    }
    total
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Fr, G1Affine, G1Projective};
    use ark_ff::{Field, One};

    use super::*;

    fn points(count: usize) -> Vec<G1Affine> {
        let step = |point: &G1Projective| Some(*point * Fr::from(5) + G1Projective::generator());
        std::iter::successors(Some(G1Projective::generator()), step)
            .take(count)
            .map(G1Affine::from)
            .collect()
    }

    fn wide(count: u64) -> Vec<Fr> {
        (1..=count).map(|k| Fr::from(k).pow([77])).collect()
    }

    fn naive(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
        points.iter().zip(scalars).map(|(point, scalar)| *point * scalar).sum()
    }

    #[test]
    fn wide_sums_are_right_at_every_size() {
        for count in [0, 1, 3, 4, 9, 31, 64, 200, 1_100] {
            let (points, scalars) = (points(count), wide(count as u64));
            assert_eq!(sum_wide(&points, &scalars), naive(&points, &scalars), "{count}");
        }
    }

    #[test]
    fn extreme_scalars_are_right() {
        let half = Fr::from(2).inverse().unwrap();
        let scalars = [Fr::zero(), Fr::one(), -Fr::one(), half, half - Fr::one(), -Fr::from(127)];
        let points = points(scalars.len());
        assert_eq!(sum_wide(&points, &scalars), naive(&points, &scalars));
        assert_eq!(Grouped::new(&scalars).sum(0, &points), naive(&points, &scalars));
    }

    #[test]
    fn grouped_sums_are_right() {
        let table = wide(9);
        let scalars: Vec<Fr> = (0..700_i64)
            .map(|k| if k % 3 == 0 { Fr::from(k % 255 - 127) } else { table[(k % 9) as usize] })
            .collect();
        let points = points(scalars.len());
        assert_eq!(Grouped::new(&scalars).sum(0, &points), naive(&points, &scalars));
    }

    #[test]
    fn scalars_with_one_lowest_limb_are_kept_apart() {
        let high = Fr::from(2).pow([64]);
        let scalars: Vec<Fr> = (0..90_u64).map(|k| high * Fr::from(k % 7) + Fr::from(5)).collect();
        let points = points(scalars.len());
        assert_eq!(Grouped::new(&scalars).sum(0, &points), naive(&points, &scalars));
    }

    #[test]
    fn entries_are_grouped_as_scalars_are() {
        let entries: Vec<i8> = (0..300).map(|k| (k % 256 - 128) as i8).collect();
        let scalars: Vec<Fr> = entries.iter().map(|&entry| Fr::from(entry)).collect();
        let points = points(entries.len());
        let sum = Grouped::<Fr>::of_entries(&entries).sum(0, &points);
        assert_eq!(sum, naive(&points, &scalars));
    }

    #[test]
    fn grouped_sums_cover_the_positions_that_have_points() {
        let (scalars, points) = (wide(40), points(10));
        let grouped = Grouped::new(&scalars);
        assert_eq!(grouped.sum(7, &points), naive(&points, &scalars[7..17]));
        assert_eq!(grouped.sum(35, &points), naive(&points[..5], &scalars[35..]));
        assert_eq!(grouped.sum(50, &points), G1Projective::zero());
    }

    #[test]
    fn points_that_repeat_are_right() {
        let scalars = wide(64);
        let points = vec![G1Affine::generator(); 64];
        assert_eq!(sum_wide(&points, &scalars), naive(&points, &scalars));
    }
}
