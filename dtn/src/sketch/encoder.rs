//! Encoder: the cells of a set, in their order, a batch at a time.

use std::collections::VecDeque;

use super::batch::{BATCH_CELLS_MAX, SketchBatch};
use super::cell::{Cell, Symbol, Walk};

/// Fewest cells that are made at a time: each time goes over all symbols.
const AHEAD_MIN: usize = 64;

/// A set of symbols and how far its cells were made.
///
/// Memory: 24 bytes for each symbol, and for each cell that was made ahead. Cost of all cells up to m of n
/// symbols: some `2 n ln(m / 2)` sums, and a pass over the symbols for each doubling of m.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    symbols: Vec<(Symbol, Walk)>,
    /// Cells given out.
    given: u64,
    /// Cells made and not given out.
    ahead: VecDeque<Cell>,
}

impl Encoder {
    /// The encoder of a set.
    pub fn new(symbols: impl IntoIterator<Item = Symbol>) -> Self {
        let with_walk = |symbol| (symbol, Walk::of(symbol));
        let symbols = symbols.into_iter().map(with_walk).collect();
        Self { symbols, given: 0, ahead: VecDeque::new() }
    }

    /// Symbols in the set.
    pub fn len(&self) -> u64 {
        self.symbols.len() as u64
    }

    /// True for the empty set.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The next cells; at most [`BATCH_CELLS_MAX`].
    pub fn batch(&mut self, cells: usize) -> SketchBatch {
        let (from, set_size) = (self.given, self.len());
        SketchBatch { set_size, from, cells: self.cells(cells.min(BATCH_CELLS_MAX)) }
    }

    /// The next `count` cells.
    pub(super) fn cells(&mut self, count: usize) -> Vec<Cell> {
        if self.ahead.len() < count {
            let made = self.given + self.ahead.len() as u64;
            let doubled = usize::try_from(made).unwrap_or(usize::MAX).min(BATCH_CELLS_MAX);
            self.make(made, (count - self.ahead.len()).max(doubled).max(AHEAD_MIN));
        }
        self.given += count as u64;
        self.ahead.drain(..count).collect()
    }

    /// Makes `count` cells from `from` on.
    fn make(&mut self, from: u64, count: usize) {
        let mut cells = vec![Cell::default(); count];
        for (symbol, walk) in &mut self.symbols {
            walk.within(..from + count as u64, |cell| {
                let place = usize::try_from(cell - from).unwrap_or(usize::MAX);
                if let Some(cell) = cells.get_mut(place) {
                    cell.add(*symbol, 1);
                }
            });
        }
        self.ahead.extend(cells);
    }
}
