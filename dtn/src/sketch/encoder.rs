//! Encoder: a set of ids as an endless stream of cells.

use std::num::NonZeroU32;

use super::batch::{BatchStart, SketchBatch};
use super::cell::{Cell, CellCount, SetSize};
use super::symbol::{SketchKey, Symbol};
use super::walk::Walk;
use super::{BATCH_CELLS_MAX, CELLS_MAX, SketchError};
use crate::bundle::BundleId;

/// The ids of one side, as the symbols of one contact: 48 bytes an id.
#[derive(Debug, Clone)]
pub struct KeyedIds {
    key: SketchKey,
    size: SetSize,
    ids: Vec<BundleId>,
    /// In the order of `ids`.
    walks: Vec<Walk>,
}

/// Makes the cells of a set, in order.
///
/// The paper keeps walks in a heap by their next cell, which makes one cell in
/// `log n` for each symbol in it. Cells are asked for in batches here that grow
/// with what has been sent, so that about half of all walks have a cell in
/// every batch: one pass over all walks takes less than a heap would, and lets
/// the processor work on many square roots at a time.
#[derive(Debug, Clone)]
pub struct Encoder {
    set: KeyedIds,
    sent: u32,
}

/// A request is raised to this part of the cells sent, so that a peer that asks
/// for single cells does not make a pass over all walks for each.
const LEAST_PART: u32 = 16;

impl KeyedIds {
    /// Turns ids, in any order, into the symbols of a contact; one keyed hash each.
    pub fn new(
        key: SketchKey,
        ids: impl IntoIterator<Item = BundleId>,
    ) -> Result<Self, SketchError> {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let size = SetSize::new(ids.len() as u64)?;
        let walk_of = |id| {
            let symbol = key.symbol(id);
            Walk::new(symbol, key.check(symbol))
        };
        let walks = ids.iter().map(walk_of).collect();
        Ok(Self { key, size, ids, walks })
    }

    /// Number of ids.
    pub const fn size(&self) -> SetSize {
        self.size
    }

    /// The key of the contact.
    pub const fn key(&self) -> &SketchKey {
        &self.key
    }

    /// The ids of `symbols` that are in the set, in the order of ids; a pass
    /// over the set. Ask for many at a time.
    pub fn resolve(&self, symbols: &[Symbol]) -> Vec<BundleId> {
        let mut wanted = symbols.to_vec();
        wanted.sort_unstable();
        // Few of the set pass, and only these are searched for.
        let mut endings = vec![false; 1 << 16];
        wanted.iter().for_each(|it| endings[it.ending()] = true);
        let is_wanted = |it: &Symbol| endings[it.ending()] && wanted.binary_search(it).is_ok();
        let pairs = self.ids.iter().zip(&self.walks);
        pairs.filter(|(_, walk)| is_wanted(&walk.symbol)).map(|(&id, _)| id).collect()
    }

    /// Adds the symbols to the cells that begin with cell `from`, of which none
    /// has been made before and all before it have.
    pub(super) fn add_to(&mut self, from: u32, cells: &mut [Cell]) {
        let end = from + cells.len() as u32;
        let mut going: Vec<u32> = (0_u32..).take(self.walks.len()).collect();
        retain(&mut going, |at| self.walks[at].next < end);
        while !going.is_empty() {
            retain(&mut going, |at| {
                let walk = &mut self.walks[at];
                let cell = &mut cells[(walk.next - from) as usize];
                cell.sum ^= walk.symbol;
                cell.check ^= walk.check;
                cell.excess += 1;
                walk.advance();
                walk.next < end
            });
        }
    }
}

/// Keeps the numbers that `keep` wants. `Vec::retain` has a branch for each,
/// which is taken at random here.
fn retain(numbers: &mut Vec<u32>, mut keep: impl FnMut(usize) -> bool) {
    let mut kept = 0;
    for at in 0..numbers.len() {
        let number = numbers[at];
        numbers[kept] = number;
        kept += usize::from(keep(number as usize));
    }
    numbers.truncate(kept);
}

impl Encoder {
    /// An encoder that has sent nothing.
    pub const fn new(set: KeyedIds) -> Self {
        Self { set, sent: 0 }
    }

    /// The set, to [`KeyedIds::resolve`] what the peer asks for.
    pub const fn set(&self) -> &KeyedIds {
        &self.set
    }

    /// Cells made so far.
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// The next cells: `asked` of them, but at least a sixteenth of what has
    /// been sent, and at most [`BATCH_CELLS_MAX`].
    pub fn batch(&mut self, asked: CellCount) -> Result<SketchBatch, SketchError> {
        let count = asked.get().max(self.sent / LEAST_PART).min(BATCH_CELLS_MAX as u32);
        let count = count.min(CELLS_MAX - self.sent);
        if count == 0 {
            return Err(SketchError::Exhausted);
        }
        let from = self.sent;
        let mut cells: Vec<_> = (from..from + count)
            .map(|index| Cell { excess: -self.set.size.expected_at(index), ..Cell::default() })
            .collect();
        self.set.add_to(from, &mut cells);
        self.sent += count;
        let start = NonZeroU32::new(from);
        let start = start.map_or(BatchStart::First(self.set.size), BatchStart::After);
        Ok(SketchBatch { start, cells })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    fn ids(count: u32) -> impl DoubleEndedIterator<Item = BundleId> {
        (0..count).map(|it| BundleId::from_hash(ContentHash::of(&it.to_be_bytes())))
    }

    fn encoder(count: u32) -> Encoder {
        let key = SketchKey::between(&[1; 32], &[2; 32]);
        Encoder::new(KeyedIds::new(key, ids(count)).unwrap())
    }

    fn cells(encoder: &mut Encoder, counts: &[u32]) -> Vec<Cell> {
        let batch = |&count| encoder.batch(CellCount::new(count).unwrap()).unwrap().cells;
        counts.iter().flat_map(batch).collect()
    }

    #[test]
    fn makes_the_same_cells_in_whatever_batches() {
        let whole = cells(&mut encoder(300), &[100]);
        assert_eq!(cells(&mut encoder(300), &[1, 2, 3, 30, 64]), whole);
    }

    #[test]
    fn makes_the_same_cells_from_ids_in_any_order_and_twice() {
        let key = SketchKey::between(&[1; 32], &[2; 32]);
        let mixed = KeyedIds::new(key, ids(300).rev().chain(ids(30))).unwrap();
        assert_eq!(mixed.size().get(), 300);
        assert_eq!(cells(&mut Encoder::new(mixed), &[50]), cells(&mut encoder(300), &[50]));
    }

    #[test]
    fn has_every_id_in_cell_0() {
        let first = cells(&mut encoder(300), &[1])[0];
        assert_eq!(first.excess, 0);
        let mut sum = Symbol::default();
        encoder(300).set.walks.iter().for_each(|walk| sum ^= walk.symbol);
        assert_eq!(first.sum, sum);
    }

    #[test]
    fn resolves_symbols_of_its_own_only() {
        let set = encoder(300).set;
        let known: Vec<_> = ids(3).map(|id| set.key().symbol(&id)).collect();
        let mut expected: Vec<_> = ids(3).collect();
        expected.sort_unstable();
        assert_eq!(set.resolve(&[&known[..], &[Symbol::default()], &known].concat()), expected);
    }

    #[test]
    fn raises_small_requests_and_ends() {
        let mut encoder = encoder(10);
        let (mut made, mut batches) = (0, 0);
        let ended = loop {
            match encoder.batch(CellCount::new(1).unwrap()) {
                Ok(batch) => made += batch.cells.len(),
                Err(error) => break error,
            }
            batches += 1;
        };
        assert_eq!(ended, SketchError::Exhausted);
        assert_eq!(made, CELLS_MAX as usize);
        assert!(batches < 450, "{batches}");
    }
}
