//! Step: one gradient step of a softmax head in integers, which a proof shows and anybody can compute.
//!
//! ```text
//! z = x W                                  in units of 2^-24
//! q = floor((z + 2^15) / 2^16)             logits in units of 2^-8
//! e = exp((q - max q) / 2^8)               from a table, in units of 2^-11
//! p = floor((2^12 e + sum e) / (2 sum e))  in units of 2^-11
//! G = x^T (p - onehot(y))                  in units of 2^-16, summed over the batch
//! u = floor((h - G) / (2 h))               the update's entries
//! ```
//!
//! Divisions round to the nearest, halves up. `2 h` is what one step of an entry counts in `G`: it follows from the learning rate
//! and the chunk's exponent, so that `u 2^exponent` is minus the rate times the mean gradient in the federation's
//! units of 2^-24. What [`Trace`] keeps beside the entries is what a proof shows of each division.

use std::fmt;

use super::sample::Batch;
use super::scale::{
    BATCH, CLASSES, EXPONENTIALS, HALF_DIVISOR_MAX, INPUT_FRACTION_BITS, INPUTS, LOGIT_OFFSET,
    LOGIT_SHIFT, PROBABILITY_FRACTION_BITS, WEIGHT_FRACTION_BITS, WEIGHT_MAX, WEIGHTS,
    exponentials,
};
use crate::s1::{Exponent, VALUE_MAX};
use longhaul_aggregation::FRACTION_BITS;
use longhaul_aggregation::update::EXPONENT_MAX;

/// Fraction bits of a rate.
const RATE_FRACTION_BITS: u32 = 16;
/// `h = 2^(exponent + SHIFT) / rate`: the units of a summed gradient and of a mean are `2^5` apart.
const DIVISOR_SHIFT: u32 =
    RATE_FRACTION_BITS + INPUT_FRACTION_BITS + PROBABILITY_FRACTION_BITS + BATCH.ilog2()
        - FRACTION_BITS
        - 1;
/// Values of two bytes.
const TWO_BYTES: i64 = 1 << 16;

/// The weights that a step starts from, in units of 2^-19.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(Vec<i32>);

/// A learning rate, in units of 2^-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

/// Half of what one step of an entry counts in the summed gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HalfDivisor(i64);

/// All numbers of a step. Printing it shows nothing.
#[derive(Clone)]
pub(super) struct Trace {
    /// `u`.
    pub(super) update: Vec<i64>,
    /// The largest `q` of each sample.
    pub(super) largest: Vec<i64>,
    /// How far each `q` is below, up to the end of the table.
    pub(super) gaps: Vec<i64>,
    /// How far it is beyond that.
    pub(super) excess: Vec<i64>,
    /// What rounding a logit left.
    pub(super) logit_rests: Vec<i64>,
    /// `e`.
    pub(super) exponentials: Vec<i64>,
    /// `p`.
    pub(super) probabilities: Vec<i64>,
    /// What dividing by the sum left.
    pub(super) division_rests: Vec<i64>,
    /// What dividing the gradient left.
    pub(super) step_rests: Vec<i64>,
}

/// Why weights are no base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// There are more or fewer weights than the head has.
    #[error("{0} weights, the head has {WEIGHTS}")]
    Length(usize),
    /// A weight is larger than 16.0 in magnitude; holds its position.
    #[error("weight {0} is larger than 16 in magnitude")]
    Weight(usize),
}

/// Why a step cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The logits of a sample are too large or too far apart.
    #[error("the logits of sample {0} are beyond ±128 or more than 256 apart")]
    Logits(usize),
    /// An entry is larger than 127 in magnitude: the exponent has to be larger.
    #[error(
        "entry {0} of the update is larger than 127 in magnitude, a larger exponent makes it fit"
    )]
    Entry(usize),
    /// The rate and the exponent give a divisor of zero, or of more than two bytes.
    #[error("a step at this rate cannot be written with this exponent")]
    Divisor,
}

impl Base {
    /// Takes weights in units of 2^-19; that from input `k` to class `j` is number `k * 10 + j`.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn new(weights: Vec<i32>) -> Result<Self, BaseError> {
        if weights.len() != WEIGHTS {
            return Err(BaseError::Length(weights.len()));
        }
        let large = |weight: &i32| weight.unsigned_abs() > WEIGHT_MAX.unsigned_abs();
        match weights.iter().position(large) {
            Some(position) => Err(BaseError::Weight(position)),
            None => Ok(Self(weights)),
        }
    }

    /// Rounds a model's parameters, in units of 2^-24, to the nearest weights, halves up.
    ///
    /// # Errors
    /// [`BaseError`].
    pub fn from_units(units: &[i64]) -> Result<Self, BaseError> {
        let shift = FRACTION_BITS - WEIGHT_FRACTION_BITS;
        let round = |&units: &i64| units.saturating_add(1 << (shift - 1)) >> shift;
        let narrow = |unit| i32::try_from(round(unit)).unwrap_or(i32::MAX);
        Self::new(units.iter().map(narrow).collect())
    }

    /// The weights.
    pub fn weights(&self) -> &[i32] {
        &self.0
    }

    fn at(&self, input: usize, class: usize) -> i64 {
        i64::from(self.0[input * CLASSES + class])
    }
}

impl Rate {
    /// Takes a rate in units of 2^-16; `None` for zero.
    pub const fn new(units: u32) -> Option<Self> {
        if units == 0 { None } else { Some(Self(units)) }
    }

    /// The rate in units of 2^-16.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// `2^(exponent + 12) / rate`, rounded to the nearest: so the rate of a step is the stated one to
    /// one part in two times that.
    pub(super) fn half_divisor(self, exponent: Exponent) -> Result<HalfDivisor, StepError> {
        let numerator = 1_u64 << (u32::from(exponent.get()) + DIVISOR_SHIFT);
        let half = (numerator + u64::from(self.0) / 2) / u64::from(self.0);
        let fits = (1..=HALF_DIVISOR_MAX).contains(&half);
        let half = i64::try_from(half).ok().filter(|_| fits);
        half.map(HalfDivisor).ok_or(StepError::Divisor)
    }
}

impl HalfDivisor {
    pub(super) const fn get(self) -> i64 {
        self.0
    }
}

/// The entries of a step's update.
///
/// # Errors
/// [`StepError`].
pub fn gradient_step(
    base: &Base,
    batch: &Batch,
    rate: Rate,
    exponent: Exponent,
) -> Result<Vec<i8>, StepError> {
    let trace = Trace::new(base, batch, rate.half_divisor(exponent)?)?;
    Ok(trace.entries())
}

/// The least exponent with which a step can be written; others lose more to rounding.
///
/// # Errors
/// [`StepError`], if there is none.
pub fn least_exponent(base: &Base, batch: &Batch, rate: Rate) -> Result<Exponent, StepError> {
    let softmax = Softmax::new(base, batch)?;
    let gradient = softmax.gradient(batch);
    let fits = |exponent: &Exponent| {
        let half = rate.half_divisor(*exponent);
        half.is_ok_and(|half| gradient.iter().all(|&sum| is_entry(divide(sum, half).0)))
    };
    (0..=EXPONENT_MAX).filter_map(Exponent::new).find(fits).ok_or(StepError::Divisor)
}

/// An entry and the rest.
const fn divide(gradient: i64, half: HalfDivisor) -> (i64, i64) {
    let (divisor, shifted) = (2 * half.0, half.0 - gradient);
    (shifted.div_euclid(divisor), shifted.rem_euclid(divisor))
}

const fn is_entry(value: i64) -> bool {
    value.unsigned_abs() <= VALUE_MAX as u64
}

impl Trace {
    pub(super) fn new(base: &Base, batch: &Batch, half: HalfDivisor) -> Result<Self, StepError> {
        let softmax = Softmax::new(base, batch)?;
        let gradient = softmax.gradient(batch);
        let (update, step_rests): (Vec<_>, Vec<_>) =
            gradient.iter().map(|&sum| divide(sum, half)).unzip();
        if let Some(entry) = update.iter().position(|&value| !is_entry(value)) {
            return Err(StepError::Entry(entry));
        }
        Ok(Self { update, step_rests, ..softmax.0 })
    }

    /// The update's entries.
    pub(super) fn entries(&self) -> Vec<i8> {
        let entry = |&value: &i64| i8::try_from(value).expect("checked when made");
        self.update.iter().map(entry).collect()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace(..)")
    }
}

/// A trace up to the probabilities.
struct Softmax(Trace);

impl Softmax {
    fn new(base: &Base, batch: &Batch) -> Result<Self, StepError> {
        let table = exponentials();
        let mut softmax = Self(Trace {
            update: Vec::new(),
            largest: Vec::new(),
            gaps: Vec::new(),
            excess: Vec::new(),
            logit_rests: Vec::new(),
            exponentials: Vec::new(),
            probabilities: Vec::new(),
            division_rests: Vec::new(),
            step_rests: Vec::new(),
        });
        for (index, sample) in batch.samples().iter().enumerate() {
            let logits = softmax.logits(base, sample.inputs());
            softmax.exponentials(&logits, &table).ok_or(StepError::Logits(index))?;
            softmax.divide();
        }
        Ok(softmax)
    }

    /// The logits of one sample.
    fn logits(&mut self, base: &Base, inputs: &[i8; INPUTS]) -> [i64; CLASSES] {
        std::array::from_fn(|class| {
            let products = inputs.iter().enumerate();
            let sum: i64 = products.map(|(k, &input)| i64::from(input) * base.at(k, class)).sum();
            let shifted = sum + (1 << (LOGIT_SHIFT - 1));
            self.0.logit_rests.push(shifted.rem_euclid(1 << LOGIT_SHIFT));
            shifted >> LOGIT_SHIFT
        })
    }

    fn exponentials(&mut self, logits: &[i64; CLASSES], table: &[i64]) -> Option<()> {
        let last = EXPONENTIALS as i64 - 1;
        let largest = *logits.iter().max()?;
        if !(-LOGIT_OFFSET..LOGIT_OFFSET).contains(&largest) {
            return None;
        }
        self.0.largest.push(largest);
        for logit in logits {
            let gap = largest - logit;
            let excess = (gap - last).max(0);
            if excess >= TWO_BYTES {
                return None;
            }
            self.0.gaps.push(gap - excess);
            self.0.excess.push(excess);
            self.0.exponentials.push(table[usize::try_from(gap - excess).ok()?]);
        }
        Some(())
    }

    /// The probabilities of the last sample.
    fn divide(&mut self) {
        let first = self.0.probabilities.len();
        let sum: i64 = self.0.exponentials[first..].iter().sum();
        for class in first..first + CLASSES {
            let scaled = (self.0.exponentials[class] << (PROBABILITY_FRACTION_BITS + 1)) + sum;
            self.0.probabilities.push(scaled / (2 * sum));
            self.0.division_rests.push(scaled % (2 * sum));
        }
    }

    /// `x^T (p - onehot(y))`.
    fn gradient(&self, batch: &Batch) -> Vec<i64> {
        let mut gradient = vec![0; WEIGHTS];
        for (sample, row) in batch.samples().iter().zip(self.0.probabilities.chunks(CLASSES)) {
            let mut errors = row.to_vec();
            errors[sample.label().class()] -= 1 << PROBABILITY_FRACTION_BITS;
            for (sums, &input) in gradient.chunks_mut(CLASSES).zip(sample.inputs()) {
                let terms = sums.iter_mut().zip(&errors);
                terms.for_each(|(sum, error)| *sum += i64::from(input) * error);
            }
        }
        gradient
    }
}
