//! Lanes: floats by the vector register, for kernels that are written once.
//!
//! A kernel is generic over [`Simd`] and compiled for each instruction set that pulp knows;
//! which one runs is chosen when it is called. Sums of products are fused where the machine
//! does that fast, and are two operations elsewhere.

use pulp::Simd;

/// A float of which a register holds several. Methods are inlined into the kernel.
pub trait Lanes: Copy + 'static {
    /// A register of them.
    type Vector<S: Simd>: Copy;

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
    /// The sum of the lanes.
    fn sum<S: Simd>(simd: S, vector: Self::Vector<S>) -> f64;
}

macro_rules! lanes {
    ($float:ty, $vector:ident, $split:ident, $split_mut:ident, $partial:ident, $store:ident,
     $splat:ident, $add:ident, $mul:ident, $mul_add:ident, $min:ident, $max:ident, $sum:ident,
     $larger:ident, $select:ident, $sub:ident) => {
        impl Lanes for $float {
            type Vector<S: Simd> = S::$vector;

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
            fn sum<S: Simd>(simd: S, vector: S::$vector) -> f64 {
                simd.$sum(vector).into()
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
