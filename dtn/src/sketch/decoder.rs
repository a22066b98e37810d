//! Decoder: what a set lacks of another whose cells arrive, and the other of it.

use std::collections::BTreeMap;

use super::batch::SketchBatch;
use super::cell::{Cell, Symbol, Walk};
use super::encoder::Encoder;
use crate::bundle::BundleId;

/// A decoder of one sketch.
///
/// Memory: the encoder of the own set, and some 40 bytes for each cell and symbol recovered. Peeling ends after
/// as many symbols as there are cells, whatever the cells say.
#[derive(Debug)]
pub struct Decoder {
    own: Encoder,
    ids: BTreeMap<Symbol, BundleId>,
    /// The other set's cells less the own ones, and less what was recovered.
    cells: Vec<Cell>,
    recovered: Vec<(Symbol, Walk, i64)>,
    /// Cells that are not empty.
    left: usize,
    cells_max: usize,
}

/// What two sets lack of one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Symbols of ids that the other set has and this one has not, ascending.
    pub only_theirs: Vec<Symbol>,
    /// Ids that this set has and the other has not, by their symbols.
    pub only_ours: Vec<BundleId>,
}

/// Why a sketch is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// A batch that does not follow the last.
    #[error("cells from {found} on, where {expected} follows")]
    Gap {
        /// The cell that follows.
        expected: u64,
        /// The first cell of the batch.
        found: u64,
    },
    /// The sketch did not decode within the limit: a list is shorter.
    #[error("no difference found in {0} cells; exchange lists of ids")]
    TooManyCells(usize),
    /// Cells that no two sets give.
    #[error("the cells of the sketch contradict one another")]
    Inconsistent,
}

impl Decoder {
    /// A decoder for the owner of these ids, which gives up beyond `cells_max` cells.
    pub fn new(ids: impl IntoIterator<Item = (Symbol, BundleId)>, cells_max: usize) -> Self {
        let ids: BTreeMap<Symbol, BundleId> = ids.into_iter().collect();
        let own = Encoder::new(ids.keys().copied());
        Self { own, ids, cells: Vec::new(), recovered: Vec::new(), left: 0, cells_max }
    }

    /// Cells taken so far.
    pub fn cells(&self) -> u64 {
        self.cells.len() as u64
    }

    /// Takes the batch that follows; gives the difference once it is known.
    pub fn take(&mut self, batch: &SketchBatch) -> Result<Option<Difference>, SketchError> {
        let (expected, found) = (self.cells(), batch.from);
        if expected != found {
            return Err(SketchError::Gap { expected, found });
        }
        if self.cells.len() + batch.cells.len() > self.cells_max {
            return Err(SketchError::TooManyCells(self.cells_max));
        }
        let start = self.cells.len();
        let own = self.own.cells(batch.cells.len());
        self.cells.extend_from_slice(&batch.cells);
        self.cells[start..].iter_mut().zip(&own).for_each(|(cell, own)| cell.subtract(own));
        // What is known already is in the new cells too.
        let end = self.cells.len() as u64;
        for (symbol, walk, times) in &mut self.recovered {
            let cells = &mut self.cells;
            walk.within(..end, |place| remove(cells, place, *symbol, *times));
        }
        self.left = self.cells.iter().filter(|cell| !cell.is_empty()).count();
        self.peel(start)?;
        Ok((self.left == 0 && !self.cells.is_empty()).then(|| self.difference()))
    }

    /// Recovers what single symbols there are, and what that leaves single; new cells begin at
    /// `start`.
    fn peel(&mut self, start: usize) -> Result<(), SketchError> {
        let mut candidates: Vec<usize> = (start..self.cells.len()).rev().collect();
        // Removing what was known may have left earlier cells as they were: only new ones changed.
        while let Some(place) = candidates.pop() {
            let Some((symbol, times)) = self.cells[place].single() else { continue };
            if self.recovered.len() >= self.cells.len() {
                return Err(SketchError::Inconsistent);
            }
            let mut walk = Walk::of(symbol);
            let (cells, left) = (&mut self.cells, &mut self.left);
            walk.within(..cells.len() as u64, |place| {
                let before = is_empty(cells, place);
                remove(cells, place, symbol, times);
                *left = *left + usize::from(before) - usize::from(is_empty(cells, place));
                candidates.extend(usize::try_from(place));
            });
            if !self.cells[place].is_empty() {
                // A sum that looks like a symbol which is not in that cell.
                return Err(SketchError::Inconsistent);
            }
            self.recovered.push((symbol, walk, times));
        }
        Ok(())
    }

    fn difference(&self) -> Difference {
        let of = |sign| {
            let found = self.recovered.iter().filter(move |(_, _, times)| *times == sign);
            let mut symbols: Vec<Symbol> = found.map(|(symbol, ..)| *symbol).collect();
            symbols.sort_unstable();
            symbols
        };
        // A symbol of ours that we do not have is a lie, or one that the other side has twice.
        let only_ours = of(-1).iter().filter_map(|symbol| self.ids.get(symbol)).copied().collect();
        Difference { only_theirs: of(1), only_ours }
    }
}

fn is_empty(cells: &[Cell], place: u64) -> bool {
    usize::try_from(place).ok().and_then(|place| cells.get(place)).is_none_or(Cell::is_empty)
}

/// Takes a symbol out of a cell in which it was `times` times.
fn remove(cells: &mut [Cell], place: u64, symbol: Symbol, times: i64) {
    if let Some(cell) = usize::try_from(place).ok().and_then(|place| cells.get_mut(place)) {
        cell.add(symbol, -times);
    }
}
