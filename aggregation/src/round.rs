//! Rounding: exact integer division to the nearest, ties to even.
//!
//! Ties to even has no drift, and it is the one rounding of the crate: once
//! per quantised value on the sender's side and once per term in the fold.

/// `numerator / denominator` to the nearest integer, ties to even.
///
/// `denominator` is positive.
pub fn divide_half_even(numerator: i64, denominator: i64) -> i64 {
    let floor = numerator.div_euclid(denominator);
    let remainder = numerator.rem_euclid(denominator);
    let up = match remainder.cmp(&(denominator - remainder)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => floor & 1,
        std::cmp::Ordering::Greater => 1,
    };
    floor + up
}

/// A positive denominator for many divisions: a product with its inverse finds the quotient
/// but for one, which the remainder tells, and a machine's division is ten times a product.
#[derive(Debug, Clone, Copy)]
pub struct Divisor {
    denominator: i64,
    inverse: f64,
}

/// Quotients beyond it are found by division: a product is off by at most 2^-51 of one.
const GUESS_MAX: f64 = (1_u64 << 50) as f64;

/// Twice as much fits 63 bits, and so does what a guess leaves.
const DENOMINATOR_MAX: i64 = 1 << 61;

impl Divisor {
    /// A denominator, which is positive.
    pub const fn new(denominator: i64) -> Self {
        Self { denominator, inverse: 1.0 / denominator as f64 }
    }

    /// The same as [`divide_half_even`].
    pub fn half_even(self, numerator: i64) -> i64 {
        let guess = numerator as f64 * self.inverse;
        if guess.abs() > GUESS_MAX || self.denominator > DENOMINATOR_MAX {
            return divide_half_even(numerator, self.denominator);
        }
        let near = guess as i64;
        let from = |quotient: i64| numerator.wrapping_sub(quotient.wrapping_mul(self.denominator));
        let left = from(near);
        // At most one off, and cut towards zero: bring the remainder into 0..denominator.
        let floor = near + i64::from(left >= self.denominator) - i64::from(left < 0);
        let floor = floor - i64::from(left < -self.denominator);
        let remainder = from(floor);
        let other = self.denominator - remainder;
        floor + i64::from(remainder > other || (remainder == other && floor & 1 == 1))
    }
}

/// [`divide_half_even`] for 128 bits; faster where both fit 64.
pub fn divide_half_even_wide(numerator: i128, denominator: i128) -> i128 {
    if let (Ok(numerator), Ok(denominator)) = (numerator.try_into(), denominator.try_into()) {
        return i128::from(divide_half_even(numerator, denominator));
    }
    let floor = numerator.div_euclid(denominator);
    let remainder = numerator.rem_euclid(denominator);
    let up = match remainder.cmp(&(denominator - remainder)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => floor & 1,
        std::cmp::Ordering::Greater => 1,
    };
    floor + up
}

/// `value / 2^bits` to the nearest integer, ties to even; `bits` below 62.
pub fn shift_half_even(value: i64, bits: u8) -> i64 {
    let floor = value >> bits;
    let doubled = (value & ((1 << bits) - 1)) << 1;
    floor + i64::from(doubled + (floor & 1) > 1 << bits)
}

/// The least integer whose square is at least `squared`.
pub fn root_up(squared: u128) -> u128 {
    let root = squared.isqrt();
    root + u128::from(root * root < squared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_ties_to_even() {
        for (numerator, denominator, rounded) in [
            (1, 2, 0),
            (3, 2, 2),
            (5, 2, 2),
            (-1, 2, 0),
            (-3, 2, -2),
            (-5, 2, -2),
            (7, 3, 2),
            (8, 3, 3),
            (-7, 3, -2),
            (-8, 3, -3),
            (9, 3, 3),
            (i64::MAX, 1, i64::MAX),
            (i64::MIN, 1, i64::MIN),
        ] {
            assert_eq!(
                divide_half_even(numerator, denominator),
                rounded,
                "{numerator}/{denominator}"
            );
        }
    }

    #[test]
    fn takes_roots_upwards() {
        for (squared, root) in [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (1 << 120, 1 << 60)] {
            assert_eq!(root_up(squared), root);
        }
    }

    proptest! {
        #[test]
        fn is_nearest_and_even_on_ties(value in -(1_i64 << 40)..1 << 40, denominator in 1_i64..1 << 20) {
            let rounded = divide_half_even(value, denominator);
            let error = (value - rounded * denominator).abs();
            prop_assert!(2 * error <= denominator);
            prop_assert!(2 * error < denominator || rounded % 2 == 0);
        }

        #[test]
        fn divides_wide_numbers_alike(value in -(1_i64 << 40)..1 << 40, denominator in 1_i64..1 << 20) {
            let narrow = i128::from(divide_half_even(value, denominator));
            let (value, denominator) = (i128::from(value), i128::from(denominator));
            prop_assert_eq!(divide_half_even_wide(value, denominator), narrow);
            let (value, denominator) = (value << 60, denominator << 60);
            prop_assert_eq!(divide_half_even_wide(value, denominator), narrow);
        }

        #[test]
        fn a_divisor_divides_as_division_does(
            value in any::<i64>(),
            denominator in 1_i64..=i64::MAX,
            bits in (0_u32..63, 0_u32..62),
            ties in -(1_i64 << 30)..1 << 30,
        ) {
            let (value, denominator) = (value >> bits.0, (denominator >> bits.1).max(1));
            let half = denominator.checked_mul(2 * ties + 1).map(|it| it / 2);
            for value in [Some(value), half, half.and_then(|it| it.checked_add(1))] {
                let Some(value) = value else { continue };
                let found = Divisor::new(denominator).half_even(value);
                prop_assert_eq!(found, divide_half_even(value, denominator), "{} {}", value, denominator);
            }
        }

        #[test]
        fn shifts_as_it_divides(value in -(1_i64 << 61)..1 << 61, bits in 0_u8..40) {
            prop_assert_eq!(shift_half_even(value, bits), divide_half_even(value, 1 << bits));
        }
    }
}
