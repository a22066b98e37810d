//! Sealing in the fold: what a seal would close, and closing it.
//!
//! The terms of sealed epochs are frozen inside the snapshot's model. What a term depends
//! on lies within a base summary's window after its epoch (voices), or anywhere later
//! (a header that contradicts its author's sealed slots). So that a value says the same to
//! everybody who holds the same slots, it looks at those alone whose epochs lie before the
//! end or within one window behind it; a manifest attempts no seal sooner.
//!
//! Behind the end nothing changes: a later header is judged by its author's last sealed
//! slot as it was by all its sealed slots, because whichever of those it contradicts, it
//! contradicts the last one too, or names another header in it.

use std::sync::Arc;

use super::Fold;
use super::refresh::Term;
use crate::header::HeaderHash;
use crate::seal::{SealedSlot, Snapshot};
use crate::slot::{Epoch, Slot};

impl Fold {
    /// What is sealed, if anything is.
    pub const fn sealed(&self) -> Option<&Arc<Snapshot>> {
        self.sealed.as_ref()
    }

    /// The first epoch that is open.
    pub fn open_from(&self) -> Epoch {
        self.sealed.as_ref().map_or(Epoch::FIRST, |it| it.value().end)
    }

    /// What a seal of all epochs before `end` would close, as far as this set says.
    ///
    /// Two folds with the same slots before `end`, and in the window behind it, say the same.
    /// Where something lacks ([`Fold::lacking`]) it says nothing that anybody may propose:
    /// [`Fold::complete_candidate`] gives none then. Cost: a copy of the model, and those terms that are not computed yet.
    ///
    /// # Panics
    /// If `end` is not behind what is sealed, or cuts a block of pooled epochs.
    pub fn candidate(&self, end: Epoch) -> Snapshot {
        self.closed(end).0
    }

    /// The same, if nothing lacks of the terms before `end`.
    ///
    /// # Panics
    /// As [`Fold::candidate`].
    pub fn complete_candidate(&self, end: Epoch) -> Option<Snapshot> {
        let (snapshot, is_complete) = self.closed(end);
        is_complete.then_some(snapshot)
    }

    fn closed(&self, end: Epoch) -> (Snapshot, bool) {
        assert!(end > self.open_from(), "a seal goes further than the one before");
        assert_eq!(super::block_of(end, self.recipe.pool), end, "blocks are sealed whole");
        let mut seen = self.clone();
        let horizon = Epoch::new(end.get().saturating_add(self.setting.summary_window));
        drop(seen.authors.split_off(&horizon));
        drop(seen.roots.split_off(&horizon));
        for epoch in seen.chains.forget_from(horizon) {
            seen.mark_verdict(epoch);
        }
        let open = seen.terms.split_off(&end);
        let entries = open.values().flatten().filter_map(|term| term.entries.as_ref());
        entries.for_each(|(_, entries)| seen.model.subtract_term(entries));
        seen.dirty.retain(|block| *block < end);
        seen.settle();
        let mut slots = self.sealed.as_ref().map_or(Vec::new(), |it| it.slots().to_vec());
        slots.extend(seen.open_slots().take_while(|slot| slot.epoch < end));
        let lacks = |term: &Term| !term.standing.lacks.is_empty();
        let is_complete = !seen.terms.values().flatten().any(lacks);
        (Snapshot::new(end, slots, seen.model, &self.schema), is_complete)
    }

    /// Closes all epochs before the snapshot's end as it says, whatever was held of them;
    /// gives the slots that were held and are not in it, with their headers.
    ///
    /// # Panics
    /// If the snapshot does not go further than what is sealed, or is of another schema.
    pub fn seal(&mut self, snapshot: Arc<Snapshot>) -> Vec<(Slot, HeaderHash)> {
        let end = snapshot.value().end;
        assert!(end > self.open_from(), "a seal goes further than the one before");
        assert_eq!(snapshot.model().len(), self.schema.parameter_count(), "one schema");
        let held = self.chains.headers_before(end);
        let left_out = |&(slot, header): &(Slot, HeaderHash)| {
            !snapshot.contains(slot.epoch, slot.member, header)
        };
        let left_out = held.into_iter().filter(left_out).collect();
        self.authors = self.authors.split_off(&end);
        self.roots = self.roots.split_off(&end);
        self.terms = self.terms.split_off(&end);
        self.sums.seal(end);
        self.dirty = self.dirty.split_off(&end);
        for epoch in self.chains.seal(end, snapshot.anchors()) {
            self.mark_verdict(epoch);
        }
        self.model = snapshot.model().clone();
        self.sealed = Some(snapshot);
        let entries = self.terms.values().flatten().filter_map(|term| term.entries.as_ref());
        entries.for_each(|(_, entries)| self.model.add_term(entries));
        self.changed();
        left_out
    }

    /// Number of slots that are open and filled, void or not: what is held in memory.
    pub fn open_count(&self) -> usize {
        self.authors.values().map(Vec::len).sum()
    }

    /// The filled slots of open epochs, ascending.
    fn open_slots(&self) -> impl Iterator<Item = SealedSlot> + '_ {
        self.authors.keys().flat_map(move |&epoch| self.slots_of(epoch))
    }

    /// The filled slots of an open epoch, ascending.
    pub(super) fn slots_of(&self, epoch: Epoch) -> impl Iterator<Item = SealedSlot> + '_ {
        self.authors(epoch).map(move |member| {
            let header = self.chains.only_header(Slot { member, epoch });
            SealedSlot { epoch, member, header }
        })
    }
}
