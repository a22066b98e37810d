//! Rounding: where the sums of a chunk go, and the one rounding of a term in floats.
//!
//! # Why a quotient of floats is rounded as the exact one
//!
//! A quotient of whole numbers `a / n` that is no tie is at least `1 / 2n` away from one. In
//! double precision it is off by at most `|a| / n * 2^-53`, which is less where `|a| < 2^51`; and
//! where it is a tie, or a whole number, it is found exactly. So the nearest whole number, ties
//! to even, is the same. Common powers of two are taken out of both first.

use pulp::Arch;

use super::columns::Scale;
use super::{COHORT_BITS, ENTRY_UNITS_MAX, to_term};
use crate::robust::Number;
use crate::round::{Divisor, divide_half_even_wide};

/// Bits of a numerator whose quotient is rounded as if it were exact.
const NUMERATOR_BITS: u32 = 51;

/// Added to a number below 2^51, it leaves its whole part, rounded half to even, in the low bits.
const TO_WHOLE: f64 = 6_755_399_441_055_744.0;

/// What takes sums.
pub(super) trait Sink {
    /// Takes the sums of the entries from `at` on, each in units of two to the scale's shift;
    /// where they are in halves, the second ones are in `high`.
    fn put<T: Number>(&mut self, at: usize, scale: Scale, sums: &[T], high: Option<&[T]>) {
        self.put_whole(at, &whole(scale, sums, high));
    }
    /// Takes the sums of the entries from `at` on in units of 2^-40.
    fn put_whole(&mut self, at: usize, sums: &[i64]);
    /// The same of wider ones.
    fn put_wide(&mut self, at: usize, sums: &[i128]);
}

/// Their quotients.
#[derive(Debug)]
pub(super) struct Rounded {
    /// Rounded, one for each entry.
    pub entries: Vec<i32>,
    /// What all are divided by; positive.
    divisor: i64,
}

/// Adds the means of some entries, in units of 2^-56 and rounded down, times the number of
/// vectors.
#[derive(Debug)]
pub(super) struct Cut<'a> {
    size: i128,
    divisor: i128,
    averages: &'a mut [i128],
}

impl Rounded {
    /// Room for so many.
    pub fn of(parameters: usize, divisor: i64) -> Self {
        Self { entries: vec![0; parameters], divisor }
    }

    /// Powers of two in both.
    fn common(&self, scale: Scale) -> u32 {
        scale.shift.min(self.divisor.trailing_zeros())
    }
}

impl<'a> Cut<'a> {
    /// To the averages of a window.
    pub fn new(vectors: usize, divisor: i64, averages: &'a mut [i128]) -> Self {
        let size = i128::try_from(vectors).expect("members fit 16 bits");
        Self { size, divisor: divisor.into(), averages }
    }

    fn add(&mut self, at: usize, sums: impl Iterator<Item = i128>) {
        let Self { size, divisor, averages } = self;
        let pairs = averages[at..].iter_mut().zip(sums);
        pairs.for_each(|(it, sum)| *it += *size * (sum << COHORT_BITS).div_euclid(*divisor));
    }
}

impl Sink for Cut<'_> {
    fn put_whole(&mut self, at: usize, sums: &[i64]) {
        self.add(at, sums.iter().map(|&sum| sum.into()));
    }

    fn put_wide(&mut self, at: usize, sums: &[i128]) {
        self.add(at, sums.iter().copied());
    }
}

impl Sink for Rounded {
    fn put_whole(&mut self, at: usize, sums: &[i64]) {
        let divisor = Divisor::new(self.divisor);
        let out = self.entries[at..].iter_mut().zip(sums);
        out.for_each(|(out, &sum)| *out = to_term(divisor.half_even(sum).into()));
    }

    fn put_wide(&mut self, at: usize, sums: &[i128]) {
        let divisor = i128::from(self.divisor);
        let out = self.entries[at..].iter_mut().zip(sums);
        out.for_each(|(out, &sum)| *out = to_term(divide_half_even_wide(sum, divisor)));
    }

    fn put<T: Number>(&mut self, at: usize, scale: Scale, sums: &[T], high: Option<&[T]>) {
        let common = self.common(scale);
        if scale.bits + scale.shift - common > NUMERATOR_BITS {
            return self.put_whole(at, &whole(scale, sums, high));
        }
        let factor = (1_u64 << (scale.shift - common)) as f64;
        let divisor = (self.divisor >> common) as f64;
        let out = &mut self.entries[at..][..sums.len()];
        Arch::new().dispatch(
            #[inline(always)]
            || match high {
                // A product with the inverse of a power of two is exact.
                None if (self.divisor >> common).count_ones() == 1 => {
                    round(sums, out, factor / divisor, 1.0);
                }
                None => round(sums, out, factor, divisor),
                Some(high) => {
                    let above = factor * T::HIGH.unwrap_or(0) as f64;
                    for ((out, low), high) in out.iter_mut().zip(sums).zip(high) {
                        let sum = low.to_f64() * factor + high.to_f64() * above;
                        *out = nearest(sum / divisor);
                    }
                }
            },
        );
    }
}

/// Sums in units of 2^-40.
fn whole<T: Number>(scale: Scale, sums: &[T], high: Option<&[T]>) -> Vec<i64> {
    let mut whole: Vec<i64> = sums.iter().map(|sum| sum.to_whole() << scale.shift).collect();
    let factor = T::HIGH.unwrap_or(0) << scale.shift;
    let halves = whole.iter_mut().zip(high.into_iter().flatten());
    halves.for_each(|(whole, high)| *whole += high.to_whole() * factor);
    whole
}

#[inline(always)]
fn round<T: Number>(sums: &[T], out: &mut [i32], factor: f64, divisor: f64) {
    let pairs = out.iter_mut().zip(sums);
    if divisor == 1.0 {
        pairs.for_each(|(out, sum)| *out = nearest(sum.to_f64() * factor));
    } else {
        pairs.for_each(|(out, sum)| *out = nearest(sum.to_f64() * factor / divisor));
    }
}

/// The nearest entry of a term, ties to even.
#[inline(always)]
fn nearest(quotient: f64) -> i32 {
    const LARGEST: f64 = ENTRY_UNITS_MAX as f64;
    let whole = quotient.clamp(-LARGEST, LARGEST) + TO_WHOLE;
    // The low half of the significand: the number in two's complement.
    whole.to_bits() as i32
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::round::divide_half_even;

    /// The sums as they are.
    pub(in super::super) struct All(pub Vec<i128>);

    impl Sink for All {
        fn put_whole(&mut self, at: usize, sums: &[i64]) {
            self.put_wide(at, &sums.iter().map(|&sum| sum.into()).collect::<Vec<_>>());
        }

        fn put_wide(&mut self, at: usize, sums: &[i128]) {
            self.0[at..][..sums.len()].copy_from_slice(sums);
        }
    }

    proptest! {
        #[test]
        fn quotients_are_rounded_as_exact_ones(
            sums in prop::collection::vec(-(1_i64 << 31)..=1 << 31, 1..40), shift in 0_u32..30,
            odd in 1_i64..70_000, power in 0_u32..32, near in 0_i64..3,
        ) {
            let divisor = odd << power;
            // Half of them within one of a tie.
            let near = |sum: i64| (2 * (sum >> 20) + 1) * divisor / 2 + near - 1;
            let sums = sums.into_iter().enumerate();
            let sums: Vec<i64> =
                sums.map(|(at, sum)| if at % 2 == 0 { sum } else { near(sum) >> shift }).collect();
            let largest = sums.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0);
            let scale = Scale { shift, bits: u64::BITS - largest.leading_zeros(), entry_bits: 0 };
            let mut rounded = Rounded::of(sums.len(), divisor);
            prop_assume!(scale.bits <= f64::MANTISSA_DIGITS && scale.bits + shift <= 62);
            let floats: Vec<f64> = sums.iter().map(|&sum| sum as f64).collect();
            rounded.put(0, scale, &floats, None);
            for (&found, &sum) in rounded.entries.iter().zip(&sums) {
                let exact = divide_half_even(sum << shift, divisor);
                let expected = exact.clamp(-ENTRY_UNITS_MAX, ENTRY_UNITS_MAX);
                prop_assert_eq!(i64::from(found), expected, "{} << {} / {}", sum, shift, divisor);
            }
        }

        #[test]
        fn halves_are_put_together(sums in prop::collection::vec(-(1_i32 << 22)..1 << 22, 1..40), odd in 1_i64..99) {
            let scale = Scale { shift: 3, bits: 23, entry_bits: 0 };
            let low: Vec<i16> = sums.iter().map(|sum| (sum & 255) as i16).collect();
            let high: Vec<i16> = sums.iter().map(|sum| (sum >> 8) as i16).collect();
            let mut whole = All(vec![0; sums.len()]);
            whole.put(0, scale, &low, Some(&high));
            let mut rounded = Rounded::of(sums.len(), odd);
            rounded.put(0, scale, &low, Some(&high));
            for ((&sum, whole), found) in sums.iter().zip(whole.0).zip(rounded.entries) {
                prop_assert_eq!(whole, i128::from(sum) << 3);
                prop_assert_eq!(i64::from(found), divide_half_even(i64::from(sum) << 3, odd));
            }
        }
    }
}
