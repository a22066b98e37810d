//! Norm bound: how long an update may be, in exact integers.
//!
//! A norm is the Euclidean length of an update in units of 2^-24 (see
//! [`crate::parameters::FRACTION_BITS`]); comparisons use its square, so no
//! root is needed to judge an update.

use std::fmt;

use crate::parameters::FRACTION_BITS;

/// The largest norm an update may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NormBound(u64);

impl NormBound {
    /// A bound of `units` times 2^-24.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// A bound of `milli` thousandths, rounded down to the unit; the largest
    /// bound if it does not fit.
    pub fn from_milli(milli: u64) -> Self {
        let units = (u128::from(milli) << FRACTION_BITS) / 1000;
        Self(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// The bound in units of 2^-24.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The square of the bound in units of 2^-48.
    pub fn squared(self) -> u128 {
        u128::from(self.0) * u128::from(self.0)
    }

    /// True when a vector of this squared norm (units of 2^-48) is within it.
    pub fn allows(self, squared_norm: u128) -> bool {
        squared_norm <= self.squared()
    }
}

impl fmt::Display for NormBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milli = (u128::from(self.0) * 1000) >> FRACTION_BITS;
        write!(f, "{}.{:03}", milli / 1000, milli % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_exactly_up_to_the_bound() {
        let bound = NormBound::from_units(5);
        assert!(bound.allows(9 + 16));
        assert!(!bound.allows(26));
        assert!(NormBound::from_units(u64::MAX).allows(u128::from(u64::MAX)));
    }

    #[test]
    fn converts_thousandths() {
        for (milli, units, shown) in [
            (0, 0, "0.000"),
            (1000, 1 << 24, "1.000"),
            (2500, 5 << 23, "2.500"),
            (u64::MAX, u64::MAX, "1099511627775.999"),
        ] {
            assert_eq!(NormBound::from_milli(milli).units(), units);
            assert_eq!(NormBound::from_milli(milli).to_string(), shown);
        }
    }
}
