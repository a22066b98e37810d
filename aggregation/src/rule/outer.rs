//! Outer optimiser: what a step of the model makes of a term.
//!
//! With a rate `r` and a momentum `m`, the model goes as Nesterov's momentum takes it in DiLoCo
//! (Douillard et al., arXiv 2311.08105): `v = m v + term`, `model += r (term + m v)`. That is
//! linear in the terms: of a term, `r / (1 - m)` times itself counts in the end, and `j` epochs
//! after it the share `m^(j + 2)` of that is still held back. So a term is scaled once, exactly,
//! and a fold holds back shares of its last terms (`crate::fold`), whatever order they came in.
//! Shares are whole multiples of 2^-16, rounded down from one age to the next.
//!
//! # Bits
//!
//! A scaled entry is rounded to the nearest unit, ties to even, and clamped to the largest that a
//! term has, so that every bound of the fold stands.

use longhaul_dtn::codec::{CodecError, Reader, Writer};

use super::{ENTRY_UNITS_MAX, to_term};
use crate::round::{divide_half_even, shift_half_even};

/// Largest rate, in thousandths.
pub const OUTER_RATE_MILLI_MAX: u32 = 10_000;
/// Largest momentum, in thousandths.
pub const OUTER_MOMENTUM_PERMILLE_MAX: u16 = 950;

/// Bits below one of a share.
const SHARE_BITS: u8 = 16;

const _: () = assert!(
    ENTRY_UNITS_MAX.checked_mul(1 << SHARE_BITS).is_some()
        && ENTRY_UNITS_MAX.checked_mul(OUTER_RATE_MILLI_MAX as i64).is_some(),
    "a scaled entry fits 63 bits and a sign"
);

/// The rate and momentum of the steps that terms make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outer {
    /// The rate in thousandths, 1 to [`OUTER_RATE_MILLI_MAX`]; 1,000 adds terms as they are.
    pub rate_milli: u32,
    /// The momentum in thousandths, 0 to [`OUTER_MOMENTUM_PERMILLE_MAX`].
    pub momentum_permille: u16,
}

impl Outer {
    /// Terms as they are.
    pub const PLAIN: Self = Self { rate_milli: 1_000, momentum_permille: 0 };

    /// True if both are within their ranges.
    pub(super) const fn is_sound(self) -> bool {
        let rate = self.rate_milli > 0 && self.rate_milli <= OUTER_RATE_MILLI_MAX;
        rate && self.momentum_permille <= OUTER_MOMENTUM_PERMILLE_MAX
    }

    /// The term as it counts in the end.
    pub(super) fn scaled(self, mut term: Vec<i32>) -> Vec<i32> {
        let (rate, rest) = (i64::from(self.rate_milli), 1_000 - i64::from(self.momentum_permille));
        if rate != rest {
            let scale = |entry: i32| divide_half_even(i64::from(entry) * rate, rest);
            term.iter_mut().for_each(|entry| *entry = to_term(scale(*entry).into()));
        }
        term
    }

    /// What is held back of a term so many epochs behind the last one, in shares of 2^-16 of it;
    /// zero from some age on.
    pub(crate) fn held_back(self, age: u32) -> i64 {
        let one = 1_i64 << SHARE_BITS;
        let mut share = one;
        for _ in 0..age.saturating_add(2) {
            // Rounded down, so that it comes to nothing: after 300 steps at the latest.
            share = share * i64::from(self.momentum_permille) / 1_000;
            if share == 0 {
                break;
            }
        }
        share
    }

    /// A share of an entry.
    pub(crate) fn share_of(entry: i32, share: i64) -> i64 {
        shift_half_even(i64::from(entry) * share, SHARE_BITS)
    }

    pub(super) fn encode(self, writer: &mut Writer) {
        writer.array(2).unsigned(self.rate_milli.into()).unsigned(self.momentum_permille.into());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let at = reader.invalid("a rate and a momentum in thousandths");
        if reader.array(2)? != 2 {
            return Err(at);
        }
        let rate = reader.unsigned(OUTER_RATE_MILLI_MAX.into())?;
        let momentum = reader.unsigned(OUTER_MOMENTUM_PERMILLE_MAX.into())?;
        let rate_milli = u32::try_from(rate).map_err(|_| at.clone())?;
        Ok(Self { rate_milli, momentum_permille: u16::try_from(momentum).map_err(|_| at)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_scaled_to_what_counts_in_the_end() {
        let term = vec![0, 1, -1, 3, 10_000, ENTRY_UNITS_MAX as i32];
        assert_eq!(Outer::PLAIN.scaled(term.clone()), term);
        let half = Outer { rate_milli: 500, ..Outer::PLAIN };
        assert_eq!(half.scaled(term.clone())[..5], [0, 0, 0, 2, 5_000]);
        let outer = Outer { rate_milli: 700, momentum_permille: 900 };
        let scaled = outer.scaled(term);
        assert_eq!(scaled[..5], [0, 7, -7, 21, 70_000]);
        assert_eq!(i64::from(scaled[5]), ENTRY_UNITS_MAX, "clamped");
    }

    #[test]
    fn what_is_held_back_is_what_nesterov_has_not_released() {
        let outer = Outer { rate_milli: 700, momentum_permille: 900 };
        // One term of one, then none.
        let (mut velocity, mut model) = (0.0_f64, 0.0_f64);
        for age in 0..160 {
            let term = if age == 0 { 1.0 } else { 0.0 };
            velocity = 0.9 * velocity + term;
            model += 0.7 * (term + 0.9 * velocity);
            let held = outer.held_back(age) as f64 / 65_536.0;
            // Each age may lose a unit of 2^-16.
            assert!(
                (model - 7.0 * (1.0 - held)).abs() < 7.0 * 10.0 / 65_536.0,
                "{age}: {model} {held}"
            );
        }
        assert_eq!((outer.held_back(140), Outer::PLAIN.held_back(0)), (0, 0));
        let slowest = Outer { momentum_permille: OUTER_MOMENTUM_PERMILLE_MAX, ..outer };
        assert_eq!((slowest.held_back(u32::MAX), slowest.held_back(298)), (0, 0));
    }
}
