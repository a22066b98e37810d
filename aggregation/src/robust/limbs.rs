//! Limbs: sums of quantised vectors by whole weights, 15 bits of the weights at a time.
//!
//! A product of two numbers of 16 bits and the sum of two such products is one instruction. So
//! the entries of two vectors stand next to each other, and so do parts of their weights, which
//! have 15 bits each; the sums of 32 bits for each part are put together at the end.

use pulp::{Arch, Simd, WithSimd, bytemuck};

use super::lanes::{Lanes, pairs};

/// Bits of a part.
pub(crate) const LIMB_BITS: u32 = 15;
/// Most parts of a weight.
const LIMBS_MAX: usize = 3;
/// Most vectors: products of 7 bits and 15 summed in 31.
pub(crate) const LIMB_ROWS_MAX: usize = 256;
/// Registers that are summed at a time, so that a weight is loaded once for them.
const AT_ONCE: usize = 4;

/// Weights of pairs of vectors by their parts, the lowest first.
#[derive(Debug)]
pub(crate) struct Limbs {
    parts: Vec<Vec<[i16; 2]>>,
}

impl Limbs {
    /// The parts of weights that are not negative; none where a weight has more bits than all
    /// parts, or there are too many.
    pub(crate) fn of(weights: &[i64]) -> Option<Self> {
        let largest = weights.iter().max().copied().unwrap_or(0);
        let bits = i64::BITS - largest.leading_zeros();
        let parts = bits.div_ceil(LIMB_BITS).max(1);
        let fits = weights.len() <= LIMB_ROWS_MAX && parts as usize <= LIMBS_MAX;
        let part = |weight: i64, number: u32| {
            let part = (weight >> (number * LIMB_BITS)) & ((1 << LIMB_BITS) - 1);
            i16::try_from(part).expect("15 bits")
        };
        let pair = |pair: &[i64], number: u32| {
            [part(pair[0], number), pair.get(1).map_or(0, |&weight| part(weight, number))]
        };
        let parts = 0..parts;
        fits.then(|| Self {
            parts: parts
                .map(|it| weights.chunks(2).map(|pairs| pair(pairs, it)).collect())
                .collect(),
        })
    }

    /// For each entry the sum of the vectors by weights. `pairs` has for each pair of vectors
    /// their entries in turn, from -127 to 127; a vector without another stands next to zeros.
    pub(crate) fn sums(&self, pairs: &[&[i16]], out: &mut [f64]) {
        Arch::new().dispatch(Sums { parts: &self.parts, pairs, out });
    }
}

struct Sums<'a> {
    parts: &'a [Vec<[i16; 2]>],
    pairs: &'a [&'a [i16]],
    out: &'a mut [f64],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { parts, pairs, out } = self;
        let lanes = S::I32_LANES;
        let done = match parts.len() {
            _ if S::I16_LANES != 2 * lanes => 0,
            1 => whole::<S, 1>(simd, parts, pairs, out),
            2 => whole::<S, 2>(simd, parts, pairs, out),
            _ => whole::<S, LIMBS_MAX>(simd, parts, pairs, out),
        };
        for (at, out) in out.iter_mut().enumerate().skip(done) {
            let mut sum = 0.0;
            for part in parts.iter().rev() {
                let product = |(row, [one, other]): (&&[i16], &[i16; 2])| {
                    i32::from(row[2 * at]) * i32::from(*one)
                        + i32::from(row[2 * at + 1]) * i32::from(*other)
                };
                let found: i32 = pairs.iter().zip(part).map(product).sum();
                sum = sum * f64::from(1 << LIMB_BITS) + f64::from(found);
            }
            *out = sum;
        }
    }
}

/// The sums of as many entries as whole groups of registers hold; says how many.
#[inline(always)]
fn whole<S: Simd, const PARTS: usize>(
    simd: S,
    parts: &[Vec<[i16; 2]>],
    rows: &[&[i16]],
    out: &mut [f64],
) -> usize {
    let lanes = S::I32_LANES;
    let mut weights: Vec<[S::i16s; PARTS]> =
        vec![[bytemuck::cast(simd.splat_i32s(0)); PARTS]; rows.len()];
    for (number, part) in parts.iter().enumerate().take(PARTS) {
        for (weights, &[one, other]) in weights.iter_mut().zip(part) {
            let both = i32::from(other) << 16 | i32::from(one);
            weights[number] = bytemuck::cast(simd.splat_i32s(both));
        }
    }
    let group = AT_ONCE * lanes;
    let mut done = 0;
    for out in out.chunks_exact_mut(group) {
        let mut sums = [[simd.splat_i32s(0); AT_ONCE]; PARTS];
        for (row, weights) in rows.iter().zip(&weights) {
            let (entries, _) = <i16 as Lanes>::split::<S>(simd, &row[2 * done..][..2 * group]);
            for (at, &entry) in entries.iter().enumerate().take(AT_ONCE) {
                for part in 0..PARTS {
                    let product = pairs(simd, entry, weights[part]);
                    sums[part][at] = simd.add_i32s(sums[part][at], product);
                }
            }
        }
        let sums: [&[i32]; PARTS] = std::array::from_fn(|it| bytemuck::cast_slice(&sums[it]));
        for (at, out) in out.iter_mut().enumerate() {
            let mut sum = f64::from(sums[PARTS - 1][at]);
            for part in (0..PARTS - 1).rev() {
                sum = sum * f64::from(1 << LIMB_BITS) + f64::from(sums[part][at]);
            }
            *out = sum;
        }
        done += group;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_integers(
            rows in (1_usize..9, 0_usize..150).prop_flat_map(|(count, len)| {
                prop::collection::vec(prop::collection::vec(-127_i16..=127, len..=len), count..=count)
            }),
            weights in prop::collection::vec((0_u32..=44).prop_flat_map(|bits| 0_i64..=1 << bits), 9),
        ) {
            let weights = &weights[..rows.len()];
            let len = rows[0].len();
            let pair = |pair: &[Vec<i16>]| -> Vec<i16> {
                let other = |at: usize| pair.get(1).map_or(0, |row| row[at]);
                (0..len).flat_map(|at| [pair[0][at], other(at)]).collect()
            };
            let pairs: Vec<Vec<i16>> = rows.chunks(2).map(pair).collect();
            let pairs: Vec<&[i16]> = pairs.iter().map(Vec::as_slice).collect();
            let limbs = Limbs::of(weights).expect("within 45 bits");
            let (mut found, mut scalar) = (vec![0.5; len], vec![0.5; len]);
            limbs.sums(&pairs, &mut found);
            Sums { parts: &limbs.parts, pairs: &pairs, out: &mut scalar }.with_simd(pulp::Scalar);
            for at in 0..len {
                let products = rows.iter().zip(weights).map(|(row, &weight)| i64::from(row[at]) * weight);
                let sum: i64 = products.sum();
                prop_assert_eq!(found[at], sum as f64);
                prop_assert_eq!(scalar[at], sum as f64);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Limbs::of(&[1 << 45]).is_none() && Limbs::of(&[(1 << 45) - 1]).is_some());
        assert!(Limbs::of(&vec![1; LIMB_ROWS_MAX + 1]).is_none());
        // The largest sums of 32 bits.
        let rows = vec![[127_i16; 64]; LIMB_ROWS_MAX / 2];
        let rows: Vec<&[i16]> = rows.iter().map(|row| &row[..]).collect();
        let weight = (1_i64 << 45) - 1;
        let limbs = Limbs::of(&[weight; LIMB_ROWS_MAX]).expect("it fits");
        let mut found = [0.0; 32];
        limbs.sums(&rows, &mut found);
        assert_eq!(found, [(weight * 127 * LIMB_ROWS_MAX as i64) as f64; 32]);
    }
}
