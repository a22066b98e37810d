//! Decoder: the cells of a peer, less those of the own set.

use super::batch::{BatchStart, SketchBatch};
use super::cell::{Cell, CellCount, SetSize};
use super::encoder::KeyedIds;
use super::peel::{Peeler, Remainder, Side};
use super::symbol::Symbol;
use super::{BATCH_CELLS_MAX, SET_SIZE_MAX, SketchError};
use crate::bundle::BundleId;

/// What each of two sets has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// What stands for the ids that the peer has and we have not, ascending. Its
    /// encoder can [`KeyedIds::resolve`] them.
    pub only_theirs: Vec<Symbol>,
    /// The ids that we have and the peer has not, ascending.
    pub only_ours: Vec<BundleId>,
}

/// What follows a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Ask the peer for so many more cells.
    More(CellCount),
    /// The sets differ in this.
    Done(Difference),
}

/// Finds the difference between the own set and that of a peer.
#[derive(Debug, Clone)]
pub struct Decoder {
    set: KeyedIds,
    cells_max: CellCount,
    theirs: Option<SetSize>,
    peeler: Peeler,
}

/// A difference of `d` ids mostly decodes in about `5 d / 4 + 2 sqrt(d)` cells, or
/// a few percent more.
const CELLS_QUARTERS: u64 = 5;
const CELLS_ROOTS: u64 = 2;
/// An estimate from few cells may be far off: it is followed to this many times their number.
const GROWTH_MAX: u64 = 4;
/// Beyond the estimate, requests are this part of what has come. Larger steps
/// send more cells in vain, smaller ones take more round trips.
const STEP_PART: u64 = 12;
/// The smallest request: a round trip costs as many bytes as one cell and a half.
const STEP_MIN: u64 = 4;
const EXCESS_MAX: i64 = SET_SIZE_MAX as i64;

impl Decoder {
    /// A decoder that gives up when less than a step of `cells_max` cells is left.
    ///
    /// A cell is 24 bytes in memory, and 12 on the wire against 34 of an id:
    /// beyond three cells for each id of the peer, a list would have been smaller.
    pub const fn new(set: KeyedIds, cells_max: CellCount) -> Self {
        let peeler = Peeler::new(*set.key());
        Self { set, cells_max, theirs: None, peeler }
    }

    /// The own set.
    pub const fn set(&self) -> &KeyedIds {
        &self.set
    }

    /// Takes the next batch of the peer.
    ///
    /// After an error the decoder is of no more use; a batch out of order leaves it as it was.
    pub fn push(&mut self, batch: &SketchBatch) -> Result<Progress, SketchError> {
        let theirs = self.admit(batch)?;
        let from = batch.start.index();
        let mut ours = vec![Cell::default(); batch.cells.len()];
        self.set.add_to(from, &mut ours);
        let pairs = (from..).zip(batch.cells.iter().zip(&ours));
        self.peeler
            .push(pairs.map(|(at, (it, our))| less(it, our, theirs.expected_at(at))).collect())?;
        if self.peeler.is_done() {
            return self.difference().map(Progress::Done);
        }
        self.more().map(Progress::More)
    }

    /// Checks that the batch is the next one and within limits, before any work.
    fn admit(&mut self, batch: &SketchBatch) -> Result<SetSize, SketchError> {
        let (expected, found) = (self.peeler.len(), batch.start.index());
        let theirs = match (self.theirs, batch.start) {
            (None, BatchStart::First(size)) => size,
            (Some(size), BatchStart::After(_)) if found == expected => size,
            _ => return Err(SketchError::Order { expected, found }),
        };
        let limit = self.cells_max.get();
        if batch.cells.len() > BATCH_CELLS_MAX.min((limit - expected) as usize) {
            return Err(SketchError::TooManyCells(limit));
        }
        self.theirs = Some(theirs);
        Ok(theirs)
    }

    fn difference(&self) -> Result<Difference, SketchError> {
        let of = |side| self.peeler.found().filter(move |it| it.1 == side).map(|it| it.0).collect();
        let (only_theirs, ours): (Vec<_>, Vec<_>) = (of(Side::Theirs), of(Side::Ours));
        let only_ours = self.set.resolve(&ours);
        // Honest cells never name as theirs what we have, nor as ours what we have not.
        if only_ours.len() != ours.len() || !self.set.resolve(&only_theirs).is_empty() {
            return Err(SketchError::Inconsistent);
        }
        Ok(Difference { only_theirs, only_ours })
    }

    /// How many cells to ask for: as many as an estimate of the difference
    /// needs, then small steps.
    fn more(&self) -> Result<CellCount, SketchError> {
        let come = u64::from(self.peeler.len());
        let found = self.peeler.found().len() as u64;
        let [least, likely] =
            remaining(self.peeler.cells()).map(|ids| cells_for(found.saturating_add(ids)));
        let aim = least.max(likely.min(GROWTH_MAX * come));
        let step = (come / STEP_PART).max(STEP_MIN);
        let left = u64::from(self.cells_max.get()) - come;
        // The encoder may raise a request that is less than a step.
        if left < step {
            return Err(SketchError::TooManyCells(self.cells_max.get()));
        }
        let ask = aim.saturating_sub(come).max(step);
        Ok(CellCount::clamped(ask.min(left).min(BATCH_CELLS_MAX as u64)))
    }
}

/// Cells in which a difference of so many ids mostly decodes.
fn cells_for(ids: u64) -> u64 {
    (ids.saturating_mul(CELLS_QUARTERS) / 4).saturating_add(CELLS_ROOTS * ids.isqrt())
}

/// A cell of theirs less the same cell of ours; `ours` has no average taken off.
fn less(theirs: &Cell, ours: &Cell, expected: i64) -> Remainder {
    let (mut sum, mut check) = (theirs.sum, theirs.check);
    sum ^= ours.sum;
    check ^= ours.check;
    // From the wire it is within limits; a caller's own cell may hold anything.
    let excess = theirs.excess.clamp(-EXCESS_MAX, EXCESS_MAX);
    Remainder { sum, check, count: excess + expected - ours.excess }
}

/// How many ids the cells still hold: at least, and likely.
///
/// Cell 0 holds all, so that its count `D`, theirs less ours, is a lower bound;
/// where one side lacks nothing it is all. In cell `i` each counts with
/// the chance `p = 2 / (i + 2)` on its own, so that the count has the mean `p D`
/// and the variance `d p (1 - p)`. The square of the distance from the mean over
/// `p (1 - p)` is `(c (i + 2) - 2 D)^2 / 2 i`, whose average is `d`.
fn remaining(cells: &[Remainder]) -> [u64; 2] {
    let Some((first, others)) = cells.split_first() else { return [0, 0] };
    let both = i128::from(first.count) * 2;
    let squares = (1_i128..).zip(others).map(|(index, cell)| {
        let distance = i128::from(cell.count) * (index + 2) - both;
        distance * distance / (2 * index)
    });
    let likely = squares.sum::<i128>() / others.len().max(1) as i128;
    [first.count.unsigned_abs(), u64::try_from(likely).unwrap_or(u64::MAX)]
}

#[cfg(test)]
mod tests {
    use super::super::encoder::Encoder;
    use super::super::symbol::SketchKey;
    use super::*;
    use crate::hash::ContentHash;

    fn ids(from: u32, to: u32) -> KeyedIds {
        let key = SketchKey::between(&[1; 32], &[2; 32]);
        let id = |it: u32| BundleId::from_hash(ContentHash::of(&it.to_be_bytes()));
        KeyedIds::new(key, (from..to).map(id)).unwrap()
    }

    fn batches(set: KeyedIds, counts: &[u32]) -> Vec<SketchBatch> {
        let mut encoder = Encoder::new(set);
        counts.iter().map(|&it| encoder.batch(CellCount::new(it).unwrap()).unwrap()).collect()
    }

    fn more(progress: Result<Progress, SketchError>) -> u32 {
        match progress {
            Ok(Progress::More(count)) => count.get(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn asks_at_once_for_all_that_one_side_lacks() {
        let mut decoder = Decoder::new(ids(0, 1000), CellCount::MAX);
        let first = &batches(ids(0, 1400), &[8])[0];
        assert_eq!(more(decoder.push(first)), 400 * 5 / 4 + 2 * 20 - 8);
    }

    #[test]
    fn estimates_what_both_sides_lack() {
        let mut decoder = Decoder::new(ids(0, 3000), CellCount::MAX);
        let asked = more(decoder.push(&batches(ids(1000, 4000), &[400])[0])) + 400;
        // Of 2000; a tenth either way is a deviation and a half.
        assert_eq!(asked, 1600);
        let mut decoder = Decoder::new(ids(0, 1100), CellCount::MAX);
        let asked = more(decoder.push(&batches(ids(100, 1200), &[200])[0])) + 200;
        assert!((230..330).contains(&asked), "{asked}");
    }

    #[test]
    fn refuses_batches_out_of_order_and_goes_on() {
        let all = batches(ids(10, 110), &[8, 8, 40]);
        let mut decoder = Decoder::new(ids(0, 100), CellCount::MAX);
        let order = |expected, found| Err(SketchError::Order { expected, found });
        assert_eq!(decoder.push(&all[1]), order(0, 8));
        more(decoder.push(&all[0]));
        assert_eq!(decoder.push(&all[0]), order(8, 0));
        assert_eq!(decoder.push(&all[2]), order(8, 16));
        more(decoder.push(&all[1]));
        let Ok(Progress::Done(found)) = decoder.push(&all[2]) else { panic!("not done") };
        assert_eq!((found.only_theirs.len(), found.only_ours.len()), (10, 10));
    }

    #[test]
    fn gives_up_at_its_limit_and_takes_no_cell_beyond() {
        let all = batches(ids(1000, 2000), &[30, 1]);
        let mut decoder = Decoder::new(ids(0, 1000), CellCount::new(30).unwrap());
        assert_eq!(decoder.push(&all[0]), Err(SketchError::TooManyCells(30)));
        assert_eq!(decoder.push(&all[1]), Err(SketchError::TooManyCells(30)));
        assert_eq!(decoder.peeler.len(), 30);
    }

    #[test]
    fn bears_cells_that_no_wire_could_bring() {
        for excess in [i64::MIN, i64::MAX] {
            let mut batch = batches(ids(0, 10), &[64])[0].clone();
            batch.cells.iter_mut().for_each(|cell| cell.excess = excess);
            more(Decoder::new(ids(0, 20), CellCount::MAX).push(&batch));
        }
    }

    #[test]
    fn asks_for_no_more_than_its_limit() {
        let mut decoder = Decoder::new(ids(0, 10), CellCount::new(30).unwrap());
        assert_eq!(more(decoder.push(&batches(ids(0, 1000), &[8])[0])), 22);
    }

    #[test]
    fn an_encoder_never_sends_more_than_is_left() {
        for limit in 9..400 {
            let mut encoder = Encoder::new(ids(0, 300));
            let mut decoder = Decoder::new(ids(300, 600), CellCount::new(limit).unwrap());
            let mut asked = CellCount::FIRST;
            while let Ok(Progress::More(count)) = decoder.push(&encoder.batch(asked).unwrap()) {
                assert!(count.get() <= limit - decoder.peeler.len());
                asked = count;
            }
            assert!(decoder.peeler.len() > limit - limit / 8 - STEP_MIN as u32, "{limit}");
        }
    }
}
