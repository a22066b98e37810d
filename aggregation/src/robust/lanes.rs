//! Lanes: numbers by the vector register, for kernels that are written once.
//!
//! A kernel is generic over [`Simd`] and compiled for each instruction set that pulp knows;
//! which one runs is chosen when it is called. Sums of products are fused where the machine
//! does that fast, and are two operations elsewhere.
//!
//! # Whole numbers of 16 bits
//!
//! Quantised values are so small that 16 bits hold many sums of them, and a register holds twice
//! as many as `f32`. Sums of products are 32 bits wide, and of sums that are longer there are
//! two halves, so that nothing is lost; who calls sees to it that the rest fits ([`super::Real`]).

use pulp::{Simd, bytemuck};

/// A number of which a register holds several. Methods are inlined into the kernel.
pub trait Lanes: Copy + 'static {
    /// A register of them.
    type Vector<S: Simd>: Copy;
    /// Registers of sums of products.
    type Products<S: Simd>: Copy;
    /// Entries of a vector whose products are summed before the lanes are.
    const BLOCK: usize;

    /// Registers in a row of entries, and what is left behind them.
    fn split<S: Simd>(simd: S, entries: &[Self]) -> (&[Self::Vector<S>], &[Self])
    where
        Self: Sized;
    /// The same to write to.
    fn split_mut<S: Simd>(simd: S, entries: &mut [Self]) -> (&mut [Self::Vector<S>], &mut [Self])
    where
        Self: Sized;
    /// The first entries of a register, zeros behind them; as many as there are lanes at most.
    fn partial<S: Simd>(simd: S, entries: &[Self]) -> Self::Vector<S>
    where
        Self: Sized;
    /// Stores the first lanes.
    fn store_partial<S: Simd>(simd: S, entries: &mut [Self], vector: Self::Vector<S>)
    where
        Self: Sized;
    /// One value in all lanes.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// The sum.
    fn add<S: Simd>(simd: S, one: Self::Vector<S>, other: Self::Vector<S>) -> Self::Vector<S>;
    /// The product.
    fn mul<S: Simd>(simd: S, one: Self::Vector<S>, other: Self::Vector<S>) -> Self::Vector<S>;
    /// `one * other + sum`.
    fn mul_add<S: Simd>(
        simd: S,
        one: Self::Vector<S>,
        other: Self::Vector<S>,
        sum: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The smaller of each lane.
    fn min<S: Simd>(simd: S, one: Self::Vector<S>, other: Self::Vector<S>) -> Self::Vector<S>;
    /// The larger of each lane.
    fn max<S: Simd>(simd: S, one: Self::Vector<S>, other: Self::Vector<S>) -> Self::Vector<S>;
    /// In each lane `yes` where `one` is larger than `other`, else `no`.
    fn if_larger<S: Simd>(
        simd: S,
        one: Self::Vector<S>,
        other: Self::Vector<S>,
        yes: Self::Vector<S>,
        no: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The difference.
    fn sub<S: Simd>(simd: S, one: Self::Vector<S>, other: Self::Vector<S>) -> Self::Vector<S>;
    /// No products.
    fn no_products<S: Simd>(simd: S) -> Self::Products<S>;
    /// `one * other + sum`, where products of neighbours may be one sum.
    fn add_products<S: Simd>(
        simd: S,
        one: Self::Vector<S>,
        other: Self::Vector<S>,
        sum: Self::Products<S>,
    ) -> Self::Products<S>;
    /// The sum of the lanes.
    fn sum<S: Simd>(simd: S, products: Self::Products<S>) -> f64;
    /// Adds an entry to a sum in two halves, of which the second counts [`Lanes::HIGH`] times.
    fn accumulate<S: Simd>(
        simd: S,
        halves: [Self::Vector<S>; 2],
        entry: Self::Vector<S>,
    ) -> [Self::Vector<S>; 2];
    /// What the second half of a sum counts; none where there is none.
    const HIGH: Option<i64>;
}

macro_rules! lanes {
    ($float:ty, $vector:ident, $split:ident, $split_mut:ident, $partial:ident, $store:ident,
     $splat:ident, $add:ident, $mul:ident, $mul_add:ident, $min:ident, $max:ident, $sum:ident,
     $larger:ident, $select:ident, $sub:ident) => {
        impl Lanes for $float {
            type Vector<S: Simd> = S::$vector;
            type Products<S: Simd> = S::$vector;
            // A page of `f32`, and 128 products in a lane of eight; enough that the widening
            // is little beside them.
            const BLOCK: usize = 1024;
            const HIGH: Option<i64> = None;

            #[inline(always)]
            fn split<S: Simd>(_: S, entries: &[Self]) -> (&[S::$vector], &[Self]) {
                S::$split(entries)
            }
            #[inline(always)]
            fn split_mut<S: Simd>(_: S, entries: &mut [Self]) -> (&mut [S::$vector], &mut [Self]) {
                S::$split_mut(entries)
            }
            #[inline(always)]
            fn partial<S: Simd>(simd: S, entries: &[Self]) -> S::$vector {
                simd.$partial(entries)
            }
            #[inline(always)]
            fn store_partial<S: Simd>(simd: S, entries: &mut [Self], vector: S::$vector) {
                simd.$store(entries, vector);
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }
            #[inline(always)]
            fn add<S: Simd>(simd: S, one: S::$vector, other: S::$vector) -> S::$vector {
                simd.$add(one, other)
            }
            #[inline(always)]
            fn mul<S: Simd>(simd: S, one: S::$vector, other: S::$vector) -> S::$vector {
                simd.$mul(one, other)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(
                simd: S,
                one: S::$vector,
                other: S::$vector,
                sum: S::$vector,
            ) -> S::$vector {
                simd.$mul_add(one, other, sum)
            }
            #[inline(always)]
            fn min<S: Simd>(simd: S, one: S::$vector, other: S::$vector) -> S::$vector {
                simd.$min(one, other)
            }
            #[inline(always)]
            fn max<S: Simd>(simd: S, one: S::$vector, other: S::$vector) -> S::$vector {
                simd.$max(one, other)
            }
            #[inline(always)]
            fn if_larger<S: Simd>(
                simd: S,
                one: S::$vector,
                other: S::$vector,
                yes: S::$vector,
                no: S::$vector,
            ) -> S::$vector {
                simd.$select(simd.$larger(one, other), yes, no)
            }
            #[inline(always)]
            fn sub<S: Simd>(simd: S, one: S::$vector, other: S::$vector) -> S::$vector {
                simd.$sub(one, other)
            }
            #[inline(always)]
            fn no_products<S: Simd>(simd: S) -> S::$vector {
                simd.$splat(0.0)
            }
            #[inline(always)]
            fn add_products<S: Simd>(
                simd: S,
                one: S::$vector,
                other: S::$vector,
                sum: S::$vector,
            ) -> S::$vector {
                simd.$mul_add(one, other, sum)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, products: S::$vector) -> f64 {
                simd.$sum(products).into()
            }
            #[inline(always)]
            fn accumulate<S: Simd>(
                simd: S,
                [sum, none]: [S::$vector; 2],
                entry: S::$vector,
            ) -> [S::$vector; 2] {
                [simd.$add(sum, entry), none]
            }
        }
    };
}

lanes!(
    f32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    partial_store_f32s,
    splat_f32s,
    add_f32s,
    mul_f32s,
    mul_add_e_f32s,
    min_f32s,
    max_f32s,
    reduce_sum_f32s,
    greater_than_f32s,
    select_f32s,
    sub_f32s
);
lanes!(
    f64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s,
    splat_f64s,
    add_f64s,
    mul_f64s,
    mul_add_e_f64s,
    min_f64s,
    max_f64s,
    reduce_sum_f64s,
    greater_than_f64s,
    select_f64s,
    sub_f64s
);

/// Numbers of 16 bits; sums wrap around.
impl Lanes for i16 {
    type Vector<S: Simd> = S::i16s;
    type Products<S: Simd> = S::i32s;
    // A page of each vector. Products of values are below 2^14, so that their sum is below 2^25.
    const BLOCK: usize = 2048;
    const HIGH: Option<i64> = Some(256);

    #[inline(always)]
    fn split<S: Simd>(_: S, entries: &[Self]) -> (&[S::i16s], &[Self]) {
        S::as_simd_i16s(entries)
    }
    #[inline(always)]
    fn split_mut<S: Simd>(_: S, entries: &mut [Self]) -> (&mut [S::i16s], &mut [Self]) {
        S::as_mut_simd_i16s(entries)
    }
    #[inline(always)]
    fn partial<S: Simd>(simd: S, entries: &[Self]) -> S::i16s {
        simd.partial_load_i16s(entries)
    }
    #[inline(always)]
    fn store_partial<S: Simd>(simd: S, entries: &mut [Self], vector: S::i16s) {
        simd.partial_store_i16s(entries, vector);
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::i16s {
        simd.splat_i16s(value)
    }
    #[inline(always)]
    fn add<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i16s {
        simd.add_i16s(one, other)
    }
    #[inline(always)]
    fn mul<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i16s {
        simd.mul_i16s(one, other)
    }
    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, one: S::i16s, other: S::i16s, sum: S::i16s) -> S::i16s {
        simd.add_i16s(simd.mul_i16s(one, other), sum)
    }
    #[inline(always)]
    fn min<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i16s {
        simd.min_i16s(one, other)
    }
    #[inline(always)]
    fn max<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i16s {
        simd.max_i16s(one, other)
    }
    #[inline(always)]
    fn if_larger<S: Simd>(
        simd: S,
        one: S::i16s,
        other: S::i16s,
        yes: S::i16s,
        no: S::i16s,
    ) -> S::i16s {
        // All bits of the lanes in which the difference from the smaller is not nothing.
        let above = simd.sub_i16s(simd.max_i16s(one, other), other);
        let larger = simd.sub_i16s(simd.splat_i16s(0), simd.min_i16s(above, simd.splat_i16s(1)));
        simd.xor_i16s(no, simd.and_i16s(larger, simd.xor_i16s(yes, no)))
    }
    #[inline(always)]
    fn sub<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i16s {
        simd.sub_i16s(one, other)
    }
    #[inline(always)]
    fn no_products<S: Simd>(simd: S) -> S::i32s {
        simd.splat_i32s(0)
    }
    #[inline(always)]
    fn add_products<S: Simd>(simd: S, one: S::i16s, other: S::i16s, sum: S::i32s) -> S::i32s {
        simd.add_i32s(pairs(simd, one, other), sum)
    }
    #[inline(always)]
    fn sum<S: Simd>(_: S, products: S::i32s) -> f64 {
        let lanes: &[i32] = bytemuck::cast_slice(std::slice::from_ref(&products));
        lanes.iter().sum::<i32>().into()
    }
    #[inline(always)]
    fn accumulate<S: Simd>(simd: S, [low, high]: [S::i16s; 2], entry: S::i16s) -> [S::i16s; 2] {
        // The low byte counts once, and what is above it, with the sign, 256 times.
        let byte = simd.and_i16s(entry, simd.splat_i16s(255));
        [simd.add_i16s(low, byte), simd.add_i16s(high, high_byte(simd, entry))]
    }
}

/// The sums of products of neighbours: one instruction on x86.
#[inline(always)]
pub(super) fn pairs<S: Simd>(simd: S, one: S::i16s, other: S::i16s) -> S::i32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = (&simd as &dyn std::any::Any).downcast_ref::<pulp::x86::V3>() {
        let product =
            v3.multiply_wrapping_add_adjacent_i16x16(bytemuck::cast(one), bytemuck::cast(other));
        return bytemuck::cast(product);
    }
    let mut sums = simd.splat_i32s(0);
    let lanes: [&[i16]; 2] =
        [&one, &other].map(|it| bytemuck::cast_slice(std::slice::from_ref(it)));
    let out: &mut [i32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut sums));
    let products = lanes[0].iter().zip(lanes[1]).enumerate();
    let half = lanes[0].len().div_ceil(out.len());
    products.for_each(|(at, (&one, &other))| out[at / half] += i32::from(one) * i32::from(other));
    sums
}

/// What is above the low byte, with the sign.
#[inline(always)]
fn high_byte<S: Simd>(simd: S, entry: S::i16s) -> S::i16s {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = (&simd as &dyn std::any::Any).downcast_ref::<pulp::x86::V3>() {
        return bytemuck::cast(v3.shr_const_i16x16::<8>(bytemuck::cast(entry)));
    }
    let mut high = entry;
    let lanes: &mut [i16] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut high));
    lanes.iter_mut().for_each(|lane| *lane >>= 8);
    high
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    /// The dot product of two rows, and the sum of the first by halves.
    struct Sums<'a>(&'a [i16], &'a [i16]);

    impl WithSimd for Sums<'_> {
        type Output = [f64; 2];

        fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
            let (one, other) = (i16::split(simd, self.0).0, i16::split(simd, self.1).0);
            let mut products = i16::no_products(simd);
            let mut halves = [i16::splat(simd, 0); 2];
            for (&one, &other) in one.iter().zip(other) {
                products = i16::add_products(simd, one, other, products);
                halves = i16::accumulate(simd, halves, one);
            }
            let [low, high] = halves.map(|half| {
                let lanes: &[i16] = bytemuck::cast_slice(std::slice::from_ref(&half));
                lanes.iter().map(|&it| f64::from(it)).sum::<f64>()
            });
            [i16::sum(simd, products), low + 256.0 * high]
        }
    }

    #[test]
    fn products_and_halves_of_16_bits_lose_nothing() {
        let row = |step: i16| -> Vec<i16> { (0..512).map(|at| (at * step) % 255 - 127).collect() };
        let wide: Vec<i16> = (0..512).map(|at: i16| at.wrapping_mul(12_347)).collect();
        for (one, other) in [(row(7), row(11)), (wide, row(0)), (vec![127; 512], vec![-127; 512])] {
            let pairs = one.iter().zip(&other);
            let product: i64 = pairs.map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
            let sum: i64 = one.iter().map(|&it| i64::from(it)).sum();
            let expected = [product as f64, sum as f64];
            assert_eq!(Arch::new().dispatch(Sums(&one, &other)), expected);
        }
    }

    #[test]
    fn a_lane_is_chosen_by_comparison() {
        struct Choose([i16; 2]);
        impl WithSimd for Choose {
            type Output = i16;

            fn with_simd<S: Simd>(self, simd: S) -> i16 {
                let [one, other] = self.0.map(|it| i16::splat(simd, it));
                let [yes, no] = [7, -9].map(|it| i16::splat(simd, it));
                let mut first = [0];
                let chosen = i16::if_larger(simd, one, other, yes, no);
                i16::store_partial(simd, &mut first, chosen);
                first[0]
            }
        }
        for (pair, expected) in [([3, 2], 7), ([2, 2], -9), ([-4, 5], -9), ([100, -100], 7)] {
            assert_eq!(Arch::new().dispatch(Choose(pair)), expected, "{pair:?}");
            assert_eq!(Choose(pair).with_simd(pulp::Scalar), expected, "{pair:?}");
        }
    }
}
