//! Walk: the cells that a symbol is in.
//!
//! Section 4.2 of the paper: cell `i` holds a symbol with the chance
//! `p(i) = 1 / (1 + i/2) = 2 / (i + 2)`, and a walk jumps from one of its cells
//! to the next without looking at those between. After cell `i` the next is
//! beyond `n` with the chance
//!
//! ```text
//! (1 - p(i+1)) … (1 - p(n)) = (i+1)(i+2) / ((n+1)(n+2))
//! ```
//!
//! so that a uniform `u` of (0, 1] gives the next as the least `n` with
//! `(n+1)(n+2) >= (i+1)(i+2) / u`:
//!
//! ```text
//! n = ceil(sqrt((i+1)(i+2) / u + 1/4) - 3/2)
//! ```
//!
//! The paper drops the two quarters, `(i + 3/2)(1/sqrt(u) - 1)`; the exact law
//! costs the same, and [`super::cell`] relies on it for expected counts. `u` has 53
//! bits and comes from the symbol and `i` alone. Conversion, product, quotient,
//! sum and square root are each the nearest `f64` by IEEE 754, so that all
//! machines walk alike; a test pins it.

use super::symbol::{Check, Symbol};
use crate::hash::mix64;

/// The golden ratio's step of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2 to the power of 53: every whole number up to here is an `f64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A symbol, and the next cell that it is in; every walk begins at cell 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub symbol: Symbol,
    pub check: Check,
    pub next: u32,
}

impl Walk {
    pub(super) const fn new(symbol: Symbol, check: Check) -> Self {
        Self { symbol, check, next: 0 }
    }

    /// Goes on to the next cell.
    pub(super) fn advance(&mut self) {
        self.next = after(self.symbol, self.next);
    }

    /// Writes the cells below `end` to `found` and stands behind them.
    pub(super) fn collect_below(&mut self, end: u32, found: &mut Vec<u32>) {
        while self.next < end {
            found.push(self.next);
            self.advance();
        }
    }
}

/// The cell after `index` that holds `symbol`, or the largest number where it
/// is beyond; `index` is below all limits.
fn after(symbol: Symbol, index: u32) -> u32 {
    let index = u64::from(index);
    let random = mix64(symbol.0.wrapping_add((index + 1).wrapping_mul(STEP))) >> 11;
    let below = ((index + 1) * (index + 2)) as f64;
    let root = (below * (WHOLE_MAX / (random + 1) as f64) + 0.25).sqrt();
    // Whole part and one more, not the ceiling, which is a call without SSE 4.1:
    // they differ where the root is whole, by one cell in 2^-53 of all steps.
    ((root - 1.5) as u32).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::CELLS_MAX;
    use proptest::prelude::*;

    fn cells_of(symbol: u64, end: u32) -> Vec<u32> {
        let mut found = vec![];
        Walk::new(Symbol(symbol), Check::default()).collect_below(end, &mut found);
        found
    }

    #[test]
    fn hits_each_cell_with_its_chance() {
        let mut hits = vec![0_u32; 200];
        for symbol in 0..40_000_u64 {
            for cell in cells_of(mix64(symbol), 200) {
                hits[cell as usize] += 1;
            }
        }
        for (index, &hits) in hits.iter().enumerate() {
            let chance = 2.0 / (index as f64 + 2.0);
            let deviation = (40_000.0 * chance * (1.0 - chance)).sqrt();
            let distance = (f64::from(hits) - 40_000.0 * chance).abs();
            assert!(distance <= 4.5 * deviation, "cell {index}: {hits}");
        }
    }

    #[test]
    fn hits_cells_independently() {
        let both = (0..100_000_u64).filter(|&symbol| {
            let found = cells_of(mix64(symbol), 7);
            found.contains(&3) && found.contains(&6)
        });
        // 2/5 of 2/8 of them.
        assert!((9_600..10_400).contains(&both.count()));
    }

    #[test]
    fn walks_alike_on_all_machines() {
        assert_eq!(cells_of(0, 1 << 12), PINNED_ZERO);
        assert_eq!(cells_of(u64::MAX, 1 << 12), PINNED_ONES);
    }

    const PINNED_ZERO: &[u32] =
        &[0, 1, 3, 4, 16, 24, 26, 42, 247, 297, 331, 531, 1043, 1674, 2119, 3797];
    const PINNED_ONES: &[u32] =
        &[0, 1, 2, 6, 7, 16, 26, 29, 230, 407, 584, 765, 2788, 3264, 3403, 3846];

    proptest! {
        #[test]
        fn always_goes_forward(symbol: u64, index in 0..CELLS_MAX) {
            prop_assert!(after(Symbol(symbol), index) > index);
        }

        #[test]
        fn lands_where_the_law_says(symbol: u64, index in 0_u32..1 << 20) {
            let random = mix64(symbol.wrapping_add((u64::from(index) + 1).wrapping_mul(STEP))) >> 11;
            let next = u128::from(after(Symbol(symbol), index));
            prop_assume!(next < 1 << 30);
            let (here, part) = (u128::from(index), u128::from(random) + 1);
            let wanted = ((here + 1) * (here + 2)) << 53;
            // The least such number, give or take the rounding at its edge.
            prop_assert!((next + 2) * (next + 3) * part >= wanted);
            prop_assert!(next == here + 1 || (next - 1) * next * part < wanted);
        }
    }
}
