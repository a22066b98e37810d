//! Start: where an audit may begin, if sealed updates are gone.

use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;

use crate::entry::SignedEntry;
use crate::record::Record;

/// Where an audit may begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewestSeal {
    /// Place of its record.
    pub place: u64,
    /// The first epoch that it leaves open.
    pub end: Epoch,
}

impl NewestSeal {
    /// True for an update recorded at `place` that the seal closed.
    pub fn closes(&self, place: u64, epoch: Epoch) -> bool {
        place < self.place && epoch < self.end
    }
}

/// The newest seal in a log whose snapshot is there.
pub(super) fn newest_seal(
    entries: &[SignedEntry],
    mut has: impl FnMut(&ContentHash) -> bool,
) -> Option<NewestSeal> {
    let seals = entries.iter().enumerate().rev().filter_map(|(place, entry)| {
        let Record::Seal { value, snapshot, .. } = entry.record() else { return None };
        Some((NewestSeal { place: place as u64, end: value.end }, snapshot))
    });
    seals.filter(|(_, snapshot)| has(snapshot)).map(|(seal, _)| seal).next()
}
