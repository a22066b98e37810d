//! Rules: how the updates of one epoch become one term.
//!
//! A term is a pure function of a set of updates. Clipping gives each update a
//! weight in units of 2^-16; a rule turns weighted entries into an exact integer
//! sum over a number of contributions; then each entry is rounded once, to the
//! nearest unit of 2^-24, ties to even. There is no other rounding.
//!
//! # Bits
//!
//! An entry is at most `127 * 2^24` units. A weighted entry is at most that
//! times 2^16, and a sum has at most 65,535 of them, which stays below 2^63. A
//! term's entry is a mean of entries, so it is at most `127 * 2^24` again and
//! fits 32 bits. The assertions below hold the constants to this.

pub mod clip;
pub mod mean;
pub mod recipe;
pub mod trimmed_mean;

use crate::round::divide_half_even;
use crate::slot::MEMBERS_MAX;
use crate::update::{EXPONENT_MAX, Update, VALUE_MAX};

pub use clip::{Clip, WEIGHT_ONE};
pub use recipe::{Recipe, RecipeError};

/// Largest magnitude of an entry of an update or of a term, in units of 2^-24.
pub const ENTRY_UNITS_MAX: i64 = (VALUE_MAX as i64) << EXPONENT_MAX;

const _: () = assert!(ENTRY_UNITS_MAX <= i32::MAX as i64, "a term's entry fits 32 bits");
const _: () = assert!(
    ENTRY_UNITS_MAX.checked_mul(WEIGHT_ONE * MEMBERS_MAX as i64).is_some(),
    "a sum of weighted entries fits 63 bits and a sign"
);

/// How the entries of an epoch's updates are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The mean of all updates.
    Mean,
    /// Entry by entry, the mean without the largest and smallest `trim`.
    TrimmedMean {
        /// How many entries to leave out at each end. Every void slot of the
        /// epoch takes one off, and at least one entry always stays.
        trim: u16,
    },
}

/// An update with the weight that clipping gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted<'a> {
    /// The update.
    pub update: &'a Update,
    /// Its weight in units of 2^-16, at most [`WEIGHT_ONE`].
    pub weight: i64,
}

/// Exact sums over equally many contributions for every entry.
#[derive(Debug)]
pub(crate) struct Sums {
    /// For each entry a sum in units of 2^-40.
    pub entries: Vec<i64>,
    /// Contributions in each sum; at least one.
    pub contributions: usize,
}

impl Recipe {
    /// The term of an epoch from its updates that are not void.
    ///
    /// `voids` is the number of void slots in the epoch; `updates` is not empty.
    pub(crate) fn term(&self, updates: &[&Update], voids: usize) -> Vec<i32> {
        assert!(!updates.is_empty(), "a term has at least one update");
        let weighted = self.clip.weigh(updates);
        let sums = match self.rule {
            Rule::Mean => mean::sums(&weighted),
            Rule::TrimmedMean { trim } => {
                trimmed_mean::sums(&weighted, effective_trim(trim, voids, updates.len()))
            }
        };
        sums.round()
    }
}

impl Sums {
    /// The one rounding of a term.
    fn round(self) -> Vec<i32> {
        let contributions = i64::try_from(self.contributions).expect("members fit 16 bits");
        let divisor = contributions * WEIGHT_ONE;
        let entries = self.entries.into_iter().map(|sum| {
            i32::try_from(divide_half_even(sum, divisor)).expect("a mean is within its entries")
        });
        entries.collect()
    }
}

/// How many entries go at each end: fewer by the voids, never all of them.
fn effective_trim(trim: u16, voids: usize, updates: usize) -> usize {
    usize::from(trim).saturating_sub(voids).min((updates - 1) / 2)
}
