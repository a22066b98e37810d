//! Compressor: turns a local change into a bounded, quantised update and keeps
//! what quantisation left out for the next one (error feedback).
//!
//! For each call, in exact integers and in this order:
//! 1. carried = residual + delta, each entry clamped to +-2^40 units.
//! 2. Each chunk gets the smallest exponent with which its largest magnitude
//!    rounds to at most 127 (or the largest exponent, then entries saturate);
//!    values are rounded to nearest, ties to even.
//! 3. If the norm of that is above the bound, carried is first scaled:
//!    `entry * bound / ceil(norm of carried)`, cut towards zero, then quantised
//!    as in 2; should rounding up still exceed the bound, values are cut towards
//!    zero instead, which cannot.
//! 4. residual = carried - update. If its norm is above the bound it is scaled
//!    down to the bound in the same way, and the rest is given up: what waits is
//!    never more than one more full update, so clipping cannot build up a debt.
//!
//! While step 1 does not clamp and step 4 does not scale, the deltas put in
//! equal the updates given out plus the residual, to the unit.

use std::ops::Range;

use crate::norm::NormBound;
use crate::parameters::Parameters;
use crate::round::{root_up, shift_half_even};
use crate::schema::Schema;
use crate::update::{EXPONENT_MAX, Update, VALUE_MAX, encode_payload};

/// Largest magnitude that an entry carries over, in units of 2^-24.
pub const CARRIED_UNITS_MAX: i64 = 1 << 40;

/// Significant bits of a quantised value without its sign.
const VALUE_BITS: u32 = 7;

/// The sender's side of the update format, with its residual.
#[derive(Debug, Clone)]
pub struct Compressor {
    chunks: Vec<Range<usize>>,
    residual: Parameters,
}

/// How a value between two steps is quantised.
#[derive(Debug, Clone, Copy)]
enum Rounding {
    Nearest,
    TowardsZero,
}

impl Compressor {
    /// A compressor with an empty residual.
    pub fn new(schema: &Schema) -> Self {
        Self {
            chunks: schema.chunks().to_vec(),
            residual: Parameters::zeros(schema.parameter_count()),
        }
    }

    /// What earlier updates left out, in units of 2^-24.
    pub const fn residual(&self) -> &Parameters {
        &self.residual
    }

    /// Quantises `delta` and the residual into an update within `norm_max`.
    ///
    /// # Panics
    /// If `delta` is not of the compressor's schema.
    pub fn compress(&mut self, delta: &Parameters, norm_max: NormBound) -> Update {
        self.residual.add(delta);
        let carried = self.residual.as_mut_slice();
        carried
            .iter_mut()
            .for_each(|entry| *entry = (*entry).clamp(-CARRIED_UNITS_MAX, CARRIED_UNITS_MAX));
        let update = bounded(carried, &self.chunks, norm_max);
        assert!(norm_max.allows(update.squared_norm()), "a compressed update is within its bound");
        update.add_scaled(-1, carried);
        scale_to(carried, norm_max);
        update
    }
}

fn bounded(carried: &[i64], chunks: &[Range<usize>], norm_max: NormBound) -> Update {
    let update = quantise(carried, chunks, Rounding::Nearest);
    if norm_max.allows(update.squared_norm()) {
        return update;
    }
    let mut scaled = carried.to_vec();
    scale_to(&mut scaled, norm_max);
    let update = quantise(&scaled, chunks, Rounding::Nearest);
    if norm_max.allows(update.squared_norm()) {
        return update;
    }
    quantise(&scaled, chunks, Rounding::TowardsZero)
}

/// Scales a vector that is longer than the bound to it, cutting towards zero.
fn scale_to(values: &mut [i64], norm_max: NormBound) {
    // Entries up to 2^40 and at most 2^26 of them: the sum is below 2^107, and
    // the product below is under 2^104.
    let squared = squared_norm(values);
    if norm_max.allows(squared) {
        return;
    }
    let norm = root_up(squared).cast_signed();
    let bound = i128::from(norm_max.units());
    for entry in values {
        let scaled = i128::from(*entry) * bound / norm;
        *entry = i64::try_from(scaled).expect("scaling down keeps an entry within 64 bits");
    }
}

/// The sum of the squares of entries up to 2^40 in magnitude.
fn squared_norm(values: &[i64]) -> u128 {
    const PART: usize = 1 << 15;
    let square = |&entry: &i64| entry.unsigned_abs().pow(2);
    let part = |part: &[i64]| -> u128 {
        // Entries below 2^24 (1.0): 2^15 squares below 2^48 fit 63 bits.
        match part.iter().fold(0, |all, entry| all | entry.unsigned_abs()) < 1 << 24 {
            true => part.iter().map(square).sum::<u64>().into(),
            false => part.iter().map(|entry| u128::from(entry.unsigned_abs()).pow(2)).sum(),
        }
    };
    values.chunks(PART).map(part).sum()
}

fn quantise(values: &[i64], chunks: &[Range<usize>], rounding: Rounding) -> Update {
    let quantised: Vec<_> =
        chunks.iter().map(|range| quantise_chunk(&values[range.clone()], rounding)).collect();
    Update::decode_chunks(encode_payload(&quantised), chunks)
        .expect("an update reads back as it was written")
}

fn quantise_chunk(values: &[i64], rounding: Rounding) -> (u8, Vec<u8>) {
    let largest = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
    let largest = i64::try_from(largest).expect("carried entries are at most 2^40");
    let round = |value: i64, exponent: u8| match rounding {
        Rounding::Nearest => shift_half_even(value, exponent),
        Rounding::TowardsZero => value / (1 << exponent),
    };
    let limit = i64::from(VALUE_MAX);
    let exponent = exponent_for(largest, |exponent| round(largest, exponent) <= limit);
    let narrow = |value: i64| value.clamp(-limit, limit).to_le_bytes()[0];
    // One loop for each way of rounding, so that neither asks which it is.
    let quantised = match rounding {
        Rounding::Nearest => {
            values.iter().map(|&value| narrow(shift_half_even(value, exponent))).collect()
        }
        Rounding::TowardsZero => {
            let step = 1 << exponent;
            values.iter().map(|&value| narrow(value / step)).collect()
        }
    };
    (exponent, quantised)
}

/// The smallest exponent with which `largest` fits, or the largest there is.
fn exponent_for(largest: i64, fits: impl Fn(u8) -> bool) -> u8 {
    let bits = i64::BITS - largest.leading_zeros();
    let least = u8::try_from(bits.saturating_sub(VALUE_BITS)).unwrap_or(EXPONENT_MAX);
    let least = least.min(EXPONENT_MAX);
    if fits(least) { least } else { EXPONENT_MAX.min(least + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn norms_of_small_and_of_large_entries_are_exact(
            mut values in prop::collection::vec(-(1_i64 << 24)..=1 << 24, 0..50),
            large in prop::option::of(-CARRIED_UNITS_MAX..=CARRIED_UNITS_MAX),
            repeats in 1_usize..2_000,
        ) {
            values.extend(large);
            let many = values.repeat(repeats);
            let one: u128 = values.iter().map(|it| u128::from(it.unsigned_abs()).pow(2)).sum();
            prop_assert_eq!(squared_norm(&many), one * repeats as u128);
        }
    }
}
