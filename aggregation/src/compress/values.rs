//! Values: how quantised values become bits for the coder, densely or by gaps.
//!
//! `width(x)` is the number of bits of `x` without leading zeros, `width(0) = 0`. A model
//! is named by what it stands under; each stream begins with fresh ones.
//!
//! - **Dense**: for each value one bit, not zero, under `near` and `above`; then, unless it is
//!   zero, its sign and its size. `near` is the width of the sum of the magnitudes of the two
//!   values before, `above` the same of the two values one and two rows above (each 0 to 8); a
//!   row is as long as the last dimension of the tensor, and what is before the first value
//!   or above a tensor counts as zero. The kept values of a mask have nothing above.
//! - **Sparse**: for each nonzero value the gap of zeros before it, then sign and size; at
//!   the end, unless the last value is not zero, the gap up to the end.
//! - **Sign**: one bit, negative, under the signs of the value before and of the one above
//!   (dense), or of the nonzero value before (sparse, with zero in the place of the other).
//! - **Size**: magnitude less one in as many bits as `levels` has, the highest first, each
//!   under the bits before it and the width of all four magnitudes added (dense) or of that of
//!   the nonzero value before (sparse), 0 to 9. No bits where `levels` is 1.
//! - **Gap**: `w = width(gap + 1)` in five bits, each under the bits before it; then the
//!   `w - 1` bits below the highest of `gap + 1`: the first three under `w` and the bits
//!   before, the others plain.

use std::ops::Range;

use super::coder::{Bit, Coder};
use super::payload::CodedError;

/// Widths of a sum of two magnitudes up to 127.
const WIDTHS_OF_TWO: usize = 9;
/// Widths of a sum of four.
const WIDTHS_OF_FOUR: usize = 10;
/// Negative, zero and positive.
const SIGNS: usize = 3;
/// Bits of a magnitude up to 127 less one.
const SIZE_BITS_MAX: u32 = 7;
/// Bits of the width of a gap: a model has at most 2^26 entries.
const GAP_WIDTH_BITS: u32 = 5;
/// Bits of a gap that are learnt.
const GAP_BITS_LEARNT: u32 = 3;

/// Values of one tensor, in rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// Which of all values.
    pub(super) values: Range<usize>,
    /// Values in a row; at least one.
    pub(super) width: usize,
}

/// The models of one stream.
#[derive(Debug)]
struct Models {
    levels: u8,
    nonzero: [[Bit; WIDTHS_OF_TWO]; WIDTHS_OF_TWO],
    sign: [[Bit; SIGNS]; SIGNS],
    size: [[Bit; 1 << SIZE_BITS_MAX]; WIDTHS_OF_FOUR],
    gap_width: [Bit; 1 << GAP_WIDTH_BITS],
    gap: [[Bit; 1 << GAP_BITS_LEARNT]; 1 << GAP_WIDTH_BITS],
}

/// What sign and size of a value are coded under.
#[derive(Debug, Clone, Copy)]
struct Around {
    before: i8,
    above: i8,
    width: usize,
}

/// Codes each of `values`, which `tensors` part in order; a decoder overwrites them.
pub(super) fn dense<C: Coder>(
    coder: &mut C,
    levels: u8,
    tensors: &[Rows],
    values: &mut [i8],
) -> Result<(), CodedError> {
    let mut models = Models::new(levels);
    let mut before = [0_i8; 2];
    for Rows { values: range, width: row } in tensors {
        let (values, row) = (&mut values[range.clone()], *row);
        for at in 0..values.len() {
            let up = |rows: usize| at.checked_sub(rows * row).map_or(0, |above| values[above]);
            let above = [up(1), up(2)];
            let sum = |[a, b]: [i8; 2]| u32::from(a.unsigned_abs()) + u32::from(b.unsigned_abs());
            let (near, far) = (sum(before), sum(above));
            let nonzero = &mut models.nonzero[width(near)][width(far)];
            let value = match coder.bit(nonzero, values[at] != 0)? {
                true => {
                    let width = width(near + far);
                    let around = Around { before: before[1], above: above[0], width };
                    models.nonzero_value(coder, around, values[at])?
                }
                false => 0,
            };
            values[at] = value;
            before = [before[1], value];
        }
    }
    Ok(())
}

/// Codes the nonzero of `values` by gaps; a decoder gives zeros and has them filled.
///
/// Refuses more than `most` of them.
pub(super) fn sparse<C: Coder>(
    coder: &mut C,
    levels: u8,
    most: usize,
    values: &mut [i8],
) -> Result<(), CodedError> {
    let mut models = Models::new(levels);
    let (mut at, mut found, mut before) = (0, 0, 0);
    while at < values.len() {
        let gap = if C::WRITES { zeros(&values[at..]) } else { 0 };
        at = at.saturating_add(models.gap(coder, gap)?);
        if at == values.len() {
            break;
        }
        let value = values.get_mut(at).ok_or(CodedError::Beyond)?;
        found += 1;
        if found > most {
            return Err(CodedError::TooMany { most });
        }
        let around = Around { before, above: 0, width: width(i8::unsigned_abs(before).into()) };
        *value = models.nonzero_value(coder, around, *value)?;
        before = *value;
        at += 1;
    }
    Ok(())
}

/// Zeros before the first value that is none.
fn zeros(values: &[i8]) -> usize {
    values.iter().position(|&value| value != 0).unwrap_or(values.len())
}

/// 0 for negative, 1 for zero, 2 for positive.
const fn sign(value: i8) -> usize {
    (value.signum() + 1).cast_unsigned() as usize
}

/// Bits without leading zeros.
fn width(value: u32) -> usize {
    // At most 32.
    (u32::BITS - value.leading_zeros()) as usize
}

/// Codes the lowest `count` bits of `value`, each under those before it.
pub(super) fn tree<C: Coder>(
    coder: &mut C,
    models: &mut [Bit],
    count: u32,
    value: u32,
) -> Result<u32, CodedError> {
    let node = (0..count).rev().try_fold(1_usize, |node, place| {
        let bit = coder.bit(&mut models[node], value >> place & 1 == 1)?;
        Ok::<_, CodedError>(node << 1 | usize::from(bit))
    })?;
    // Below 2^8, as `count` is at most 7.
    Ok(node as u32 - (1 << count))
}

impl Models {
    fn new(levels: u8) -> Self {
        let fresh = Bit::default();
        Self {
            levels,
            nonzero: [[fresh; WIDTHS_OF_TWO]; WIDTHS_OF_TWO],
            sign: [[fresh; SIGNS]; SIGNS],
            size: [[fresh; 1 << SIZE_BITS_MAX]; WIDTHS_OF_FOUR],
            gap_width: [fresh; 1 << GAP_WIDTH_BITS],
            gap: [[fresh; 1 << GAP_BITS_LEARNT]; 1 << GAP_WIDTH_BITS],
        }
    }

    /// Sign and size of a value that is not zero; an encoder's is within the levels.
    fn nonzero_value<C: Coder>(
        &mut self,
        coder: &mut C,
        around: Around,
        value: i8,
    ) -> Result<i8, CodedError> {
        let sign = &mut self.sign[sign(around.before)][sign(around.above)];
        let negative = coder.bit(sign, value < 0)?;
        let levels = u32::from(self.levels);
        let count = u32::BITS - (levels - 1).leading_zeros();
        let size = u32::from(value.unsigned_abs()).saturating_sub(1);
        let size = 1 + tree(coder, &mut self.size[around.width], count, size)?;
        let size = u8::try_from(size).ok().filter(|&size| size <= self.levels);
        let size = size.ok_or(CodedError::AboveLevels { levels: self.levels })?.cast_signed();
        Ok(if negative { -size } else { size })
    }

    fn gap<C: Coder>(&mut self, coder: &mut C, gap: usize) -> Result<usize, CodedError> {
        // A schema has at most 2^26 entries; what a decoder comes with does not matter.
        let more = u32::try_from(gap).unwrap_or(u32::MAX - 1) + 1;
        let width = tree(coder, &mut self.gap_width, GAP_WIDTH_BITS, width(more) as u32)?;
        let below = width.checked_sub(1).ok_or(CodedError::Beyond)?;
        let learnt = below.min(GAP_BITS_LEARNT);
        let plain = below - learnt;
        let high = tree(coder, &mut self.gap[width as usize], learnt, mask(more, below) >> plain)?;
        let low = coder.plain(plain, more)?;
        Ok(((1_u32 << below | high << plain | low) - 1) as usize)
    }
}

/// The lowest `count` bits, fewer than 32.
const fn mask(value: u32, count: u32) -> u32 {
    value & ((1 << count) - 1)
}
