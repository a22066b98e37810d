//! Sine, logarithm and exponential from basic arithmetic alone.
//!
//! The functions of the standard library call the platform's libm, whose last
//! bits differ from machine to machine. Additions, multiplications, divisions
//! and square roots of IEEE 754 do not, so data made with these functions has
//! the same bits everywhere. They are accurate to a few units in the fifteenth
//! digit, which is far more than made-up data needs; they are not a libm.

use std::f64::consts::{LN_2, SQRT_2, TAU};

/// The sine of an angle given in whole turns.
///
/// Turns make the reduction exact: the fraction of a turn is all that counts.
pub fn sine_of_turns(turns: f64) -> f64 {
    let fraction = turns - (turns + 0.5).floor();
    let folded = if fraction > 0.25 {
        0.5 - fraction
    } else if fraction < -0.25 {
        -0.5 - fraction
    } else {
        fraction
    };
    let angle = folded * TAU;
    let square = angle * angle;
    // Taylor series up to angle^17, nested; the rest is below 1e-14 at a quarter turn.
    let mut sum = 1.0;
    for order in (1..=8).rev() {
        let order = f64::from(order);
        sum = 1.0 - sum * square / (2.0 * order * (2.0 * order + 1.0));
    }
    angle * sum
}

/// The cosine of an angle given in whole turns.
pub fn cosine_of_turns(turns: f64) -> f64 {
    sine_of_turns(turns + 0.25)
}

/// The natural logarithm of a positive, normal number.
///
/// Zero, negative and subnormal numbers are the caller's mistake; the result
/// for them is finite and meaningless.
pub fn logarithm(value: f64) -> f64 {
    const MANTISSA_BITS: u32 = 52;
    const EXPONENT_BIAS: i32 = 1023;
    let bits = value.to_bits();
    let exponent_field =
        i32::try_from((bits >> MANTISSA_BITS) & 0x7ff).expect("11 bits fit an i32");
    let mut exponent = exponent_field - EXPONENT_BIAS;
    let one_exponent = u64::from(EXPONENT_BIAS.unsigned_abs()) << MANTISSA_BITS;
    let mut mantissa = f64::from_bits((bits & ((1 << MANTISSA_BITS) - 1)) | one_exponent);
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); the ratio is at most 0.172.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for order in (0..=10).rev() {
        sum = sum * square + 1.0 / (2.0 * f64::from(order) + 1.0);
    }
    f64::from(exponent) * LN_2 + 2.0 * ratio * sum
}

/// The exponential; 0 below -700 and a huge finite number above 700.
pub fn exponential(value: f64) -> f64 {
    if value < -700.0 {
        return 0.0;
    }
    let value = value.min(700.0);
    let doublings = (value / LN_2 + 0.5).floor();
    let rest = value - doublings * LN_2;
    // Taylor series up to rest^14 with |rest| below 0.35.
    let mut sum = 1.0;
    for order in (1..=14).rev() {
        sum = 1.0 + sum * rest / f64::from(order);
    }
    scale_by_power_of_two(sum, doublings)
}

/// `value * 2^power` for a whole `power` of at most 1,100 either way.
fn scale_by_power_of_two(value: f64, power: f64) -> f64 {
    let factor = if power < 0.0 { 0.5 } else { 2.0 };
    let mut scaled = value;
    let mut left = power.abs();
    while left >= 1.0 {
        scaled *= factor;
        left -= 1.0;
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -`limit` to `limit`, none of them special.
    fn ramp(limit: f64) -> impl Iterator<Item = f64> {
        (-1000..=1000).map(move |step| f64::from(step) * limit / 1000.0 + 1e-4)
    }

    #[test]
    fn sine_agrees_with_libm() {
        for turns in ramp(5.0) {
            assert!((sine_of_turns(turns) - (turns * TAU).sin()).abs() < 1e-13, "{turns}");
            assert!((cosine_of_turns(turns) - (turns * TAU).cos()).abs() < 1e-13, "{turns}");
        }
    }

    #[test]
    fn logarithm_agrees_with_libm() {
        for power in ramp(300.0) {
            let value = power.exp();
            assert!((logarithm(value) - value.ln()).abs() < 1e-12, "{value}");
        }
    }

    #[test]
    fn exponential_agrees_with_libm() {
        for value in ramp(600.0) {
            let ratio = exponential(value) / value.exp();
            assert!((ratio - 1.0).abs() < 1e-12, "{value}: {ratio}");
        }
        assert_eq!(exponential(-1e9), 0.0);
        assert!(exponential(1e9).is_finite());
    }
}
