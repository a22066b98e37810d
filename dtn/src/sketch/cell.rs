//! Cells, symbols, and which symbol is in which cell.

use std::ops::RangeTo;

use crate::bundle::BundleId;
use crate::hash::ContentHash;

const KEY_CONTEXT: &str = "longhaul 2026 sketch v1";

/// Bits of a check.
pub(super) const CHECK_BITS: u32 = 24;

/// The key of one contact's sketches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SketchKey([u8; 32]);

/// What stands for an id in a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u64);

/// The sum of some symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// All symbols by exclusive or.
    pub(super) sum: u64,
    /// Their checks by exclusive or.
    pub(super) check: u32,
    /// How many they are; in a difference those of the other side less one's own.
    pub(super) count: i64,
}

/// Goes through the cells that a symbol is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    state: u64,
    /// The cell that comes next.
    next: u64,
}

impl SketchKey {
    /// The key of a contact, from what both sides know and neither chose alone: blake3 derive-key
    /// under `"longhaul 2026 sketch v1"` over both nonces, the smaller first.
    pub fn of_nonces(one: &[u8; 32], other: &[u8; 32]) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self(*ContentHash::derive(KEY_CONTEXT, &[*first, *second].concat()).as_bytes())
    }

    /// The symbol of an id: the first eight bytes, little-endian, of its keyed hash.
    pub fn symbol(&self, id: &BundleId) -> Symbol {
        let hash = blake3::keyed_hash(&self.0, id.as_hash().as_bytes());
        let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        Symbol(u64::from_le_bytes(first))
    }
}

impl std::fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SketchKey(..)")
    }
}

impl Symbol {
    /// The symbol of this number, as it was received.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// What tells a symbol from a sum of several, which looks like one in one of 2^24 cases; a sketch
    /// that was misled by one contradicts itself. It is no secret: symbols depend on a key.
    fn check(self) -> u32 {
        (mixed(self.0 ^ 0x9e6c_63d0_876a_68ee) >> (64 - CHECK_BITS)) as u32
    }
}

impl Cell {
    /// Adds a symbol `times` times: 1 or -1.
    pub(super) fn add(&mut self, symbol: Symbol, times: i64) {
        self.sum ^= symbol.0;
        self.check ^= symbol.check();
        self.count = self.count.wrapping_add(times);
    }

    /// Takes another cell away.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.sum ^= other.sum;
        self.check ^= other.check;
        self.count = self.count.wrapping_sub(other.count);
    }

    /// The one symbol in it, and how often; none if it has none or several.
    pub(super) fn single(&self) -> Option<(Symbol, i64)> {
        let symbol = Symbol(self.sum);
        let is_single = self.count.abs() == 1 && symbol.check() == self.check;
        is_single.then_some((symbol, self.count))
    }

    /// True if nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Walk {
    /// The cells of a symbol, from the first on, in which all are.
    pub const fn of(symbol: Symbol) -> Self {
        Self { state: symbol.0, next: 0 }
    }

    /// Calls `visit` for the cells that come next and are within `cells`.
    pub fn within(&mut self, cells: RangeTo<u64>, mut visit: impl FnMut(u64)) {
        while self.next < cells.end {
            visit(self.next);
            self.advance();
        }
    }

    /// The next cell: from i on, the share of symbols in cell j is 1 / (1 + j / 2), so that the
    /// distance is nearly `(i + 1.5) (1 / sqrt(u) - 1)`, rounded up, for u evenly within 0 and 1 (section 4.2
    /// of the paper). Sums, products, a quotient and a square root: the same on every machine.
    fn advance(&mut self) {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = mixed(self.state);
        let root = (drawn as f64 + 1.0).sqrt();
        let ahead = (self.next as f64 + 1.5) * (4_294_967_296.0 / root - 1.0);
        // At least one; far more than any sketch has where the draw is small.
        self.next = self.next.saturating_add((ahead.ceil() as u64).max(1));
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014).
const fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_j_has_one_symbol_in_one_and_a_half_j() {
        let mut counts = [0_u64; 64];
        for number in 0..100_000 {
            Walk::of(Symbol(mixed(number))).within(..64, |cell| counts[cell as usize] += 1);
        }
        assert_eq!(counts[0], 100_000);
        for (cell, &count) in counts.iter().enumerate() {
            let expected = 100_000.0 / (1.0 + cell as f64 / 2.0);
            let off = (count as f64 - expected).abs();
            let bound = 0.05 * expected + 4.0 * expected.sqrt();
            assert!(off < bound, "cell {cell}: {count}, expected {expected}");
        }
    }

    #[test]
    fn a_cell_tells_one_symbol_and_no_sum() {
        let (one, other) = (Symbol(7), Symbol(u64::MAX));
        let mut cell = Cell::default();
        assert_eq!(cell.single(), None);
        cell.add(one, 1);
        assert_eq!(cell.single(), Some((one, 1)));
        cell.add(other, -1);
        assert!(cell.single().is_none() && !cell.is_empty(), "two that cancel in the count");
        cell.add(one, -1);
        assert_eq!(cell.single(), Some((other, -1)));
        cell.add(other, 1);
        assert!(cell.is_empty());
    }

    #[test]
    fn symbols_depend_on_both_nonces_and_not_on_their_order() {
        let id = BundleId::from_hash(ContentHash::of(b"id"));
        let symbol =
            |one: u8, other: u8| SketchKey::of_nonces(&[one; 32], &[other; 32]).symbol(&id);
        assert_eq!(symbol(1, 2), symbol(2, 1));
        assert!(symbol(1, 2) != symbol(1, 3) && symbol(1, 1) != symbol(1, 2));
    }
}
