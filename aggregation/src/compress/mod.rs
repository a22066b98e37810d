//! Compression: turns a local change into a bounded, quantised update and keeps
//! what quantisation left out for the next one (error feedback).
//!
//! What is lost is lost here, on the sender's side; behind it all is exact. An
//! [`Encoding`] says how entries are quantised and written, [`Layers`] part an update
//! into a coarse one and its refinement, and [`encode_sums`] writes the sums of many.
//!
//! For each call, in exact integers and in this order:
//! 1. carried = residual + delta, each entry clamped to +-2^40 units.
//! 2. A sparse encoding sets all but the entries that travel to zero: those of the mask
//!    (rand-k), or those of largest magnitude, of equal ones the first (top-k). They are not
//!    scaled up for the others: these come later, from the residual.
//! 3. Each chunk is quantised as `quantise.rs` says: with 127 levels to the smallest exponent
//!    with which its largest magnitude rounds to at most 127 (or the largest exponent, then
//!    entries saturate), with fewer to the exponent with the least squared error; values are
//!    rounded to nearest, ties to even.
//! 4. If the norm of that is above the bound, what 2 left is first scaled:
//!    `entry * bound / ceil(norm)`, cut towards zero, then quantised as in 3; should
//!    rounding up still exceed the bound, values are cut towards zero instead, which cannot.
//! 5. residual = carried - update. If its norm is above the bound times
//!    `ceil(sqrt(10000 / share))` it is scaled down to that in the same way, and the rest is
//!    given up: what waits is never more than one more full update (of a sparse encoding:
//!    than what builds up while full updates go out), so clipping cannot build up a debt.
//!
//! While step 1 does not clamp and step 5 does not scale, the deltas put in
//! equal the updates given out plus the residual, to the unit.

mod coder;
mod encoding;
mod layers;
mod mask;
mod name;
mod payload;
mod quantise;
mod sums;
mod values;

use std::ops::Range;
use std::sync::Arc;

pub use encoding::{Encoding, EncodingError, Levels, Share};
pub use layers::{Coarse, LayerHashes, LayerPolicy, Layers, LayersError};
pub use mask::MaskKey;
pub use name::EncodingNameError;
pub use payload::CodedError;
pub use sums::{SumScale, SumsError, decode_sums, encode_sums, sums_bytes_max};

use crate::norm::NormBound;
use crate::parameters::Parameters;
use crate::round::root_up;
use crate::schema::Schema;
use crate::slot::Epoch;
use crate::update::Update;
use quantise::{Quantised, Rounding, keep_largest};

/// Largest magnitude that an entry carries over, in units of 2^-24.
pub const CARRIED_UNITS_MAX: i64 = 1 << 40;

/// The sender's side of the update format, with its residual.
#[derive(Debug, Clone)]
pub struct Compressor {
    schema: Arc<Schema>,
    encoding: Encoding,
    residual: Parameters,
}

impl Compressor {
    /// A compressor of int8 updates with an empty residual.
    pub fn new(schema: &Schema) -> Self {
        Self::with(schema, Encoding::Int8)
    }

    /// A compressor of updates in `encoding` with an empty residual.
    pub fn with(schema: &Schema, encoding: Encoding) -> Self {
        let residual = Parameters::zeros(schema.parameter_count());
        Self { schema: Arc::new(schema.clone()), encoding, residual }
    }

    /// How the updates are quantised and written.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What earlier updates left out, in units of 2^-24.
    pub const fn residual(&self) -> &Parameters {
        &self.residual
    }

    /// Quantises `delta` and the residual into an update within `norm_max`.
    ///
    /// # Panics
    /// If `delta` is not of the compressor's schema, or the encoding has a mask: that
    /// needs [`Compressor::compress_in`].
    pub fn compress(&mut self, delta: &Parameters, norm_max: NormBound) -> Update {
        let masked = matches!(self.encoding, Encoding::RandK { .. });
        assert!(!masked, "rand-k needs the key of the epoch's mask");
        // Nothing asks for it.
        self.compress_in(&MaskKey::new(&[0; 32], Epoch::FIRST), delta, norm_max)
    }

    /// The same in the epoch that `key` is of.
    ///
    /// # Panics
    /// If `delta` is not of the compressor's schema.
    pub fn compress_in(
        &mut self,
        key: &MaskKey,
        delta: &Parameters,
        norm_max: NormBound,
    ) -> Update {
        self.residual.add(delta);
        let carried = self.residual.as_mut_slice();
        carried
            .iter_mut()
            .for_each(|entry| *entry = (*entry).clamp(-CARRIED_UNITS_MAX, CARRIED_UNITS_MAX));
        let (schema, encoding) = (&*self.schema, self.encoding);
        let quantised = match travelling(carried, schema, encoding, key) {
            Some(travelling) => bounded(&travelling, encoding, schema.chunks(), norm_max),
            None => bounded(carried, encoding, schema.chunks(), norm_max),
        };
        let plain = quantised.into_update(schema.chunks());
        let update = match encoding {
            Encoding::Int8 => plain,
            _ => encoding.write(&plain, schema, key).expect("values were quantised to be written"),
        };
        assert!(norm_max.allows(update.squared_norm()), "a compressed update is within its bound");
        update.add_scaled(-1, carried);
        scale_to(carried, waiting(encoding.share(), norm_max));
        update
    }
}

/// The entries that travel, all others zero; none where all may.
fn travelling(
    carried: &[i64],
    schema: &Schema,
    encoding: Encoding,
    key: &MaskKey,
) -> Option<Vec<i64>> {
    if let Some(mask) = encoding.mask(schema, key) {
        let mut kept = vec![0; carried.len()];
        mask.into_iter().for_each(|at| kept[at] = carried[at]);
        return Some(kept);
    }
    match encoding {
        Encoding::TopK { share, .. } => Some(keep_largest(carried, share.of(carried.len()))),
        _ => None,
    }
}

/// The bound of what may wait; see step 5 of the file's head.
fn waiting(share: Share, norm_max: NormBound) -> NormBound {
    let squared = u64::from(Share::ALL.ten_thousandths()).div_ceil(share.ten_thousandths().into());
    let factor = u64::try_from(root_up(squared.into())).expect("a root is at most 100");
    NormBound::from_units(norm_max.units().saturating_mul(factor))
}

fn bounded(
    values: &[i64],
    encoding: Encoding,
    chunks: &[Range<usize>],
    norm_max: NormBound,
) -> Quantised {
    let quantised = Quantised::of(values, encoding, chunks, Rounding::Nearest);
    if norm_max.allows(quantised.squared_norm()) {
        return quantised;
    }
    let mut scaled = values.to_vec();
    scale_to(&mut scaled, norm_max);
    let quantised = Quantised::of(&scaled, encoding, chunks, Rounding::Nearest);
    if norm_max.allows(quantised.squared_norm()) {
        return quantised;
    }
    Quantised::of(&scaled, encoding, chunks, Rounding::TowardsZero)
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
