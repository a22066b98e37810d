//! Peeling: from the cells of a difference to its symbols.
//!
//! Section 3 of the paper. A cell that holds one symbol shows it; taken out of
//! all cells it walked over, it leaves others with one symbol. Done when every cell is
//! empty: cell 0 holds all symbols of the difference, so that an empty cell 0 is
//! all of them up to a chance of 2^-88.
//!
//! Bounds: each step finds a symbol in a cell, and there are at most as many
//! steps as cells; honest cells never need more, because their number of
//! unknowns is not above that of the equations. A step touches the cells of one
//! walk, about `2 ln m` of `m`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::SketchError;
use super::symbol::{Check, SketchKey, Symbol};
use super::walk::Walk;

/// Which side has a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Theirs,
    Ours,
}

/// A cell of the difference: theirs less ours, less what has been found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Remainder {
    pub sum: Symbol,
    pub check: Check,
    /// Symbols that only they have, less symbols that only we have.
    pub count: i64,
}

/// The cells of a difference, and what has been found in them.
#[derive(Debug, Clone)]
pub(super) struct Peeler {
    key: SketchKey,
    cells: Vec<Remainder>,
    /// Cells that are not empty.
    full: usize,
    found: BTreeMap<Symbol, (Side, Walk)>,
    /// Steps taken since the first cell.
    steps: usize,
}

impl Side {
    const fn sign(self) -> i64 {
        match self {
            Self::Theirs => 1,
            Self::Ours => -1,
        }
    }
}

impl Remainder {
    const fn is_empty(&self) -> bool {
        self.count == 0 && self.sum.0 == 0 && self.check.is_zero()
    }

    fn remove(&mut self, walk: &Walk, side: Side) {
        self.sum ^= walk.symbol;
        self.check ^= walk.check;
        self.count -= side.sign();
    }
}

impl Peeler {
    pub(super) const fn new(key: SketchKey) -> Self {
        Self { key, cells: vec![], full: 0, found: BTreeMap::new(), steps: 0 }
    }

    /// Cells that have come.
    pub(super) fn len(&self) -> u32 {
        self.cells.len() as u32
    }

    /// True when nothing is left to find in the cells that have come.
    pub(super) fn is_done(&self) -> bool {
        self.full == 0 && !self.cells.is_empty()
    }

    pub(super) fn cells(&self) -> &[Remainder] {
        &self.cells
    }

    /// What has been found, in the order of symbols.
    pub(super) fn found(&self) -> impl ExactSizeIterator<Item = (Symbol, Side)> {
        self.found.iter().map(|(&symbol, &(side, _))| (symbol, side))
    }

    /// Takes the next cells and finds what can be found.
    pub(super) fn push(&mut self, cells: Vec<Remainder>) -> Result<(), SketchError> {
        let from = self.cells.len();
        self.cells.extend(cells);
        let (mut walked, end) = (vec![], self.len());
        for (side, walk) in self.found.values_mut() {
            walk.collect_below(end, &mut walked);
            walked.drain(..).for_each(|at| self.cells[at as usize].remove(walk, *side));
        }
        self.full += self.cells[from..].iter().filter(|cell| !cell.is_empty()).count();
        self.peel((from as u32..end).collect())
    }

    fn peel(&mut self, mut candidates: Vec<u32>) -> Result<(), SketchError> {
        let mut walked = vec![];
        while let Some(at) = candidates.pop() {
            let Some((side, mut walk)) = self.single(at) else { continue };
            walked.clear();
            walk.collect_below(self.len(), &mut walked);
            if !walked.contains(&at) {
                continue;
            }
            self.steps += 1;
            if self.steps > self.cells.len() {
                return Err(SketchError::Inconsistent);
            }
            self.note(side, walk)?;
            for &at in &walked {
                self.remove_from(at, &walk, side);
            }
            let cells = &self.cells;
            candidates.extend(walked.iter().filter(|&&at| cells[at as usize].count.abs() == 1));
        }
        Ok(())
    }

    /// The one symbol of a cell, if its count and checksum say that it is one.
    fn single(&self, at: u32) -> Option<(Side, Walk)> {
        let Remainder { sum, check, count } = self.cells[at as usize];
        let side = match count {
            1 => Side::Theirs,
            -1 => Side::Ours,
            _ => return None,
        };
        (self.key.check(sum) == check).then(|| (side, Walk::new(sum, check)))
    }

    /// A symbol found on both sides was none, and is in neither; on one side
    /// twice it cannot be in a set.
    fn note(&mut self, side: Side, walk: Walk) -> Result<(), SketchError> {
        match self.found.entry(walk.symbol) {
            Entry::Vacant(place) => {
                place.insert((side, walk));
            }
            Entry::Occupied(place) if place.get().0 == side => {
                return Err(SketchError::Inconsistent);
            }
            Entry::Occupied(place) => {
                place.remove();
            }
        }
        Ok(())
    }

    fn remove_from(&mut self, at: u32, walk: &Walk, side: Side) {
        let cell = &mut self.cells[at as usize];
        self.full -= usize::from(!cell.is_empty());
        cell.remove(walk, side);
        self.full += usize::from(!cell.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix64;

    const CELLS: usize = 40;

    fn key() -> SketchKey {
        SketchKey::between(&[1; 32], &[2; 32])
    }

    /// The cells of a difference.
    fn cells_of(symbols: &[(u64, Side)]) -> Vec<Remainder> {
        let mut cells = vec![Remainder::default(); CELLS];
        for &(symbol, side) in symbols {
            let symbol = Symbol(symbol);
            let mut walk = Walk::new(symbol, key().check(symbol));
            let mut walked = vec![];
            walk.collect_below(CELLS as u32, &mut walked);
            let other = if side == Side::Ours { Side::Theirs } else { Side::Ours };
            walked.iter().for_each(|&at| cells[at as usize].remove(&walk, other));
        }
        cells
    }

    fn found(peeler: &Peeler) -> Vec<(u64, Side)> {
        peeler.found().map(|(symbol, side)| (symbol.0, side)).collect()
    }

    fn ten() -> Vec<(u64, Side)> {
        let mut ten: Vec<_> = (1..=10)
            .map(|it| (mix64(it), if it % 3 == 0 { Side::Ours } else { Side::Theirs }))
            .collect();
        ten.sort_unstable_by_key(|it| it.0);
        ten
    }

    #[test]
    fn finds_the_same_whole_or_cell_by_cell() {
        let mut whole = Peeler::new(key());
        whole.push(cells_of(&ten())).unwrap();
        let mut single = Peeler::new(key());
        for cell in cells_of(&ten()) {
            single.push(vec![cell]).unwrap();
        }
        for peeler in [whole, single] {
            assert!(peeler.is_done());
            assert_eq!(found(&peeler), ten());
        }
    }

    #[test]
    fn is_not_done_before_cells_come_nor_while_one_is_full() {
        let mut peeler = Peeler::new(key());
        assert!(!peeler.is_done());
        peeler.push(cells_of(&ten())[..4].to_vec()).unwrap();
        assert!(!peeler.is_done());
    }

    /// `THIRD` was searched for: its sum with 1 and 2 has the sum of their checksums.
    #[test]
    fn takes_a_false_symbol_back() {
        const THIRD: u64 = 69_156_557;
        let three = [(1, Side::Theirs), (2, Side::Theirs), (THIRD, Side::Ours)];
        let cells = cells_of(&three);
        let mut peeler = Peeler::new(key());
        peeler.push(cells[..1].to_vec()).unwrap();
        assert_eq!(found(&peeler), [(1 ^ 2 ^ THIRD, Side::Theirs)]);
        peeler.push(cells[1..].to_vec()).unwrap();
        assert!(peeler.is_done());
        assert_eq!(found(&peeler), three);
    }

    #[test]
    fn refuses_a_symbol_that_one_side_has_twice() {
        let symbol = mix64(1);
        let mut cells = cells_of(&[(symbol, Side::Theirs)]);
        let last = cells.iter().rposition(|cell| !cell.is_empty()).unwrap();
        assert_ne!(last, 0);
        // Twice the symbol is no symbol and a count of two.
        cells[0] = Remainder { count: 2, ..Remainder::default() };
        let mut peeler = Peeler::new(key());
        assert_eq!(peeler.push(cells), Err(SketchError::Inconsistent));
        assert_eq!(peeler.steps, 2);
    }

    #[test]
    fn a_symbol_that_comes_and_goes_does_not_loop() {
        // Cell 0 has it and no other: taken out of the others, it shows there with the other sign.
        let mut cells = vec![Remainder::default(); CELLS];
        cells[0] = cells_of(&[(mix64(1), Side::Theirs)])[0];
        let mut peeler = Peeler::new(key());
        assert_eq!(peeler.push(cells), Err(SketchError::Inconsistent));
        assert_eq!(peeler.steps, CELLS + 1);
    }
}
