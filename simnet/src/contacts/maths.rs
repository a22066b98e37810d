//! Sine and cosine with the same bits on every machine, and units of time.
//!
//! The functions of the standard library call the platform's libm, whose last
//! bits differ from machine to machine. Additions, multiplications, divisions
//! and square roots of IEEE 754 do not, and nothing else is used here. A plan
//! that is drawn on one machine is the plan of every other.

use std::f64::consts::FRAC_2_PI;

/// Microseconds in a second.
pub(super) const US_PER_SECOND: u64 = 1_000_000;

/// The first 33 bits of pi/2: a multiple of it by a whole number below 2^20 is
/// exact (Cody and Waite's reduction).
const HALF_PI_HIGH: f64 = f64::from_bits(0x3FF9_21FB_5440_0000);
/// The rest of pi/2.
const HALF_PI_LOW: f64 = 6.077_100_506_506_192e-11;

/// Taylor coefficients of `(sin x - x) / x^3` in `x^2`.
const SINE: [f64; 8] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];

/// Taylor coefficients of `(cos x - 1) / x^2` in `x^2`.
const COSINE: [f64; 8] = [
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

/// Sine and cosine of an angle in radians.
///
/// Off by less than 3e-16 up to a million radians; beyond, by no more than the
/// angle's own rounding.
pub(super) fn sin_cos(angle: f64) -> (f64, f64) {
    let quadrant = (angle * FRAC_2_PI).round();
    let rest = (angle - quadrant * HALF_PI_HIGH) - quadrant * HALF_PI_LOW;
    let square = rest * rest;
    let sine = rest + rest * square * polynomial(&SINE, square);
    let cosine = 1.0 + square * polynomial(&COSINE, square);
    // A whole number in -2..=2, so the cast is exact.
    match (quadrant - 4.0 * (quadrant * 0.25).floor()) as u8 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// Sine and cosine of an angle in degrees.
pub(super) fn sin_cos_degrees(degrees: f64) -> (f64, f64) {
    sin_cos(degrees * (std::f64::consts::PI / 180.0))
}

/// Seconds as whole microseconds; nothing before zero.
pub(super) fn us(seconds: f64) -> u64 {
    // The cast saturates at both ends.
    (seconds * US_PER_SECOND as f64).round() as u64
}

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(angle: f64) {
        let (sine, cosine) = sin_cos(angle);
        assert!((sine - angle.sin()).abs() < 3e-16, "sine of {angle}");
        assert!((cosine - angle.cos()).abs() < 3e-16, "cosine of {angle}");
    }

    #[test]
    fn agrees_with_libm_where_quadrants_meet() {
        for eighth in -64..64 {
            let angle = f64::from(eighth) * std::f64::consts::FRAC_PI_4;
            for nudge in [-1e-9, -1e-15, 0.0, 1e-15, 1e-9] {
                check(angle + nudge);
            }
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        for (seconds, expected) in [(0.0, 0), (1.5, 1_500_000), (-1.0, 0), (1e-7, 0)] {
            assert_eq!(us(seconds), expected);
        }
        assert_eq!(us(1e300), u64::MAX);
    }

    proptest! {
        #[test]
        fn agrees_with_libm(angle in -1e6..1e6_f64) {
            check(angle);
        }
    }
}
