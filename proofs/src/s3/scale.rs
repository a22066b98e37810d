//! Scale: the fixed-point formats of a gradient step, and its table of exponentials.
//!
//! Integers everywhere, so that every machine computes the same step bit for bit; the table too is computed in
//! integers. The widths are chosen together: a logit's remainder has two bytes, twice a sum of ten exponentials
//! fits into two bytes, and so does twice the largest divisor.

/// Inputs of the head, a constant one included if it is to have a bias.
pub const INPUTS: usize = 64;
/// Classes of the head.
pub const CLASSES: usize = 10;
/// Samples of a batch.
pub const BATCH: usize = 32;
/// Weights of the head; that from input `k` to class `j` is number `k * CLASSES + j`.
pub const WEIGHTS: usize = INPUTS * CLASSES;
/// Fraction bits of an input: int8 in steps of 1/32, -3.97 to 3.97.
pub const INPUT_FRACTION_BITS: u32 = 5;
/// Fraction bits of a base weight inside of a step.
pub const WEIGHT_FRACTION_BITS: u32 = 19;
/// Largest magnitude of a base weight inside of a step: 16.0.
pub const WEIGHT_MAX: i32 = 1 << 23;
/// Bits that are rounded away from a product of an input and a weight to get a logit.
pub(super) const LOGIT_SHIFT: u32 =
    INPUT_FRACTION_BITS + WEIGHT_FRACTION_BITS - LOGIT_FRACTION_BITS;
/// Fraction bits of a logit.
pub const LOGIT_FRACTION_BITS: u32 = 8;
/// The largest logit of a sample lies in -2^15..2^15: -128.0 to 128.0.
pub(super) const LOGIT_OFFSET: i64 = 1 << 15;
/// Fraction bits of an exponential.
pub const EXPONENTIAL_FRACTION_BITS: u32 = 11;
/// Fraction bits of a probability.
pub const PROBABILITY_FRACTION_BITS: u32 = 11;
/// Entries of the table of exponentials: from this one on, 8.32 below the largest logit, all are zero.
pub(super) const EXPONENTIALS: usize = 2_131;
/// Largest half divisor of a step: a remainder below twice as much fits into two bytes.
pub(super) const HALF_DIVISOR_MAX: u64 = 1 << 15;

/// Fraction bits while the table is computed.
const WORKING_BITS: u32 = 62;
/// Terms of the series of `exp(-1/256)`: the next is below 2^-90.
const SERIES_TERMS: i128 = 9;

/// `exp(-n / 256)` in units of 2^-11, rounded to the nearest.
pub(super) fn exponentials() -> Vec<i64> {
    let one = 1_i128 << WORKING_BITS;
    let mut term = one;
    let mut step = one;
    for k in 1..=SERIES_TERMS {
        term = -term / (k << LOGIT_FRACTION_BITS);
        step += term;
    }
    let half = 1 << (WORKING_BITS - 1);
    let next = |power: &i128| Some((power * step + half) >> WORKING_BITS);
    let shift = WORKING_BITS - EXPONENTIAL_FRACTION_BITS;
    let rounded = |power: i128| i64::try_from((power + (1 << (shift - 1))) >> shift);
    std::iter::successors(Some(one), next)
        .take(EXPONENTIALS)
        .map(|power| rounded(power).expect("at most 2^11"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_the_nearest() {
        let table = exponentials();
        for (n, &entry) in table.iter().enumerate() {
            let exact = 2_048.0 * (-(n as f64) / 256.0).exp();
            assert!((entry as f64 - exact).abs() <= 0.5 + 1e-9, "entry {n}: {entry}, {exact}");
        }
        assert_eq!((table[0], table[EXPONENTIALS - 2], table[EXPONENTIALS - 1]), (2_048, 1, 0));
    }

    #[test]
    fn formats_fit_their_bytes() {
        let (classes, inputs) = (CLASSES as i64, INPUTS as i64);
        assert_eq!(LOGIT_SHIFT, 16);
        assert!((2 * classes) << EXPONENTIAL_FRACTION_BITS <= 1 << 16);
        let gradient = (BATCH as i64 * 127) << PROBABILITY_FRACTION_BITS;
        assert!(gradient <= 127 * 2 * HALF_DIVISOR_MAX as i64, "the largest gradient is an entry");
        assert!(inputs * 127 * i64::from(WEIGHT_MAX) < 1 << 36);
    }
}
