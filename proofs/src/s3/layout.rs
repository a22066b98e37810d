//! Layout: which wire of a step's witness is what.
//!
//! Public: the data set's root, the leaf, half of the divisor. Block 0 is the update, the one block that is ever opened.
//! Block 1 is everything else that has to be fixed before the challenge: samples, and each number of the step that is
//! looked up, with the counts of the lookups. Block 2 is the base; its values are shown, so it costs no input.

use ark_ff::PrimeField;

use super::rows::Sum;
use super::scale::{BATCH, CLASSES, EXPONENTIALS, INPUTS, LOGIT_OFFSET, LOGIT_SHIFT, WEIGHTS};
use crate::cp::Layout;
use crate::s1::VALUE_MAX;

/// Logits of a batch.
pub(super) const LOGITS: usize = BATCH * CLASSES;
/// Values of a byte.
pub(super) const BYTES: usize = 256;
/// Values of an entry or an input.
pub(super) const VALUES: usize = 2 * VALUE_MAX as usize + 1;
/// Public inputs beside the constant and the challenge.
pub(super) const PUBLIC: usize = 3;

/// A run of wires of block 1: numbers of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    start: usize,
    len: usize,
}

/// Public inputs.
pub(super) const ROOT: usize = 2;
pub(super) const LEAF: usize = 3;
pub(super) const HALF_DIVISOR: usize = 4;

/// The update's entries: block 0.
pub(super) const UPDATE: Run = Run { start: 2 + PUBLIC, len: WEIGHTS };
/// Inputs, sample by sample.
pub(super) const SAMPLES: Run = UPDATE.then(BATCH * INPUTS);
/// One for a sample's class and zero for the others.
pub(super) const LABELS: Run = SAMPLES.then(LOGITS);
/// `max q + 2^15` of each sample, low bytes and high bytes in turn, as of all numbers of two bytes.
pub(super) const LARGEST: Run = LABELS.then(2 * BATCH);
pub(super) const GAPS: Run = LARGEST.then(LOGITS);
pub(super) const EXCESS: Run = GAPS.then(2 * LOGITS);
pub(super) const LOGIT_RESTS: Run = EXCESS.then(2 * LOGITS);
pub(super) const EXPONENTIAL: Run = LOGIT_RESTS.then(LOGITS);
pub(super) const PROBABILITIES: Run = EXPONENTIAL.then(2 * LOGITS);
pub(super) const DIVISION_RESTS: Run = PROBABILITIES.then(2 * LOGITS);
/// High bytes of how far each rest is below the largest there can be.
pub(super) const DIVISION_ROOMS: Run = DIVISION_RESTS.then(LOGITS);
pub(super) const STEP_RESTS: Run = DIVISION_ROOMS.then(2 * WEIGHTS);
pub(super) const STEP_ROOMS: Run = STEP_RESTS.then(WEIGHTS);
/// How often each value of an entry or an input occurs.
pub(super) const VALUE_COUNTS: Run = STEP_ROOMS.then(VALUES);
/// How often each byte occurs.
pub(super) const BYTE_COUNTS: Run = VALUE_COUNTS.then(BYTES);
/// How often each exponential occurs.
pub(super) const EXPONENTIAL_COUNTS: Run = BYTE_COUNTS.then(EXPONENTIALS);
/// The base's weights: block 2.
pub(super) const BASE: Run = EXPONENTIAL_COUNTS.then(WEIGHTS);

/// Three public inputs and three blocks; free wires are counted when rows are woven.
pub(super) fn layout() -> Layout {
    let blocks = vec![WEIGHTS, BASE.start - SAMPLES.start, WEIGHTS];
    Layout { public: PUBLIC, blocks, showable: 1, free: 0 }
}

impl Run {
    const fn then(self, len: usize) -> Self {
        Self { start: self.start + self.len, len }
    }

    pub(super) const fn start(self) -> usize {
        self.start
    }

    /// Each wire.
    pub(super) fn wires<F: PrimeField>(self) -> impl Iterator<Item = Sum<F>> {
        (self.start..self.start + self.len).map(Sum::at)
    }

    /// One wire.
    pub(super) fn at<F: PrimeField>(self, index: usize) -> Sum<F> {
        assert!(index < self.len, "a wire of this run");
        Sum::at(self.start + index)
    }

    /// A number of two bytes.
    pub(super) fn two_bytes<F: PrimeField>(self, index: usize) -> Sum<F> {
        self.at(2 * index).plus(self.at(2 * index + 1).times(F::from(256_u64)))
    }
}

/// The logit of a sample's class before rounding, from what is left of it.
pub(super) fn logit<F: PrimeField>(sample: usize, class: usize) -> Sum<F> {
    let index = sample * CLASSES + class;
    let largest = LARGEST.two_bytes(sample).minus(Sum::constant(LOGIT_OFFSET));
    let rounded = largest.minus(GAPS.at(index)).minus(EXCESS.two_bytes(index));
    let rest = LOGIT_RESTS.two_bytes(index).minus(Sum::constant(1 << (LOGIT_SHIFT - 1)));
    rounded.times(F::from(1_u64 << LOGIT_SHIFT)).plus(rest)
}

/// The sum of a sample's exponentials.
pub(super) fn exponential_sum<F: PrimeField>(sample: usize) -> Sum<F> {
    Sum::all((0..CLASSES).map(|class| EXPONENTIAL.at(sample * CLASSES + class)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_where_the_layout_has_them() {
        let layout = layout();
        let starts = [UPDATE, SAMPLES, BASE].map(Run::start);
        assert_eq!(starts, [0, 1, 2].map(|block| layout.block_start(block)));
        assert_eq!(BASE.start + BASE.len, layout.free_start());
    }
}
