//! Heads: slots whose header is held and whose payload is not, and what that leaves of the model.
//!
//! A header says all that chains, voids, voices, quorum and the set's root depend on, so two
//! folds of one set have the same name ([`Fold::set_root`]), whichever of them holds payloads.
//! The model they have in common as well, once each payload that a term counts is held, or stands in a
//! sum ([`super::BucketSum`]). Until then the fold is *incomplete*: a term of which something
//! lacks is not mixed from what is there, but left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Fold, Inserted};
use crate::header::HeaderHash;
use crate::held::{HeadOnly, Held};
use crate::parameters::{ModelId, Parameters};
use crate::slot::{Epoch, MemberIndex, Slot};

impl Fold {
    /// Fills a slot as [`Fold::insert`] does, without an update. Inserting the update later
    /// completes it ([`Inserted::New`] once more).
    ///
    /// What it stands for is not checked: whoever inserts a header without its payload has to
    /// know otherwise, by a proof, that an update within the bounds belongs to it.
    pub fn insert_head(&mut self, head: impl Into<Arc<HeadOnly>>) -> Inserted {
        self.place(Held::Head(head.into()))
    }

    /// True if the slot is filled with this header, be it that its payload is not held, or that
    /// the slot is spent with it.
    pub fn holds_header(&self, slot: Slot, header: HeaderHash) -> bool {
        self.chains.holds(slot, header)
    }

    /// True if something fills the slot, with its payload or without.
    pub fn is_filled(&self, slot: Slot) -> bool {
        self.authors.get(&slot.epoch).is_some_and(|it| it.binary_search(&slot.member).is_ok())
    }

    /// True when nothing lacks: the model is that of the set.
    pub fn is_complete(&self) -> bool {
        self.incomplete_epochs().is_empty()
    }

    /// The open epochs whose term lacks something, ascending.
    pub fn incomplete_epochs(&self) -> Vec<Epoch> {
        let epochs: BTreeSet<Epoch> = self.chains.bare().iter().map(|slot| slot.epoch).collect();
        epochs.into_iter().filter(|&epoch| !self.lacking(epoch).is_empty()).collect()
    }

    /// The slots of an epoch whose payloads its term lacks: neither held, nor in a sum that covers
    /// their bucket. These are to be fetched; of an epoch below its quorum, of void slots and of those
    /// that wait nothing is needed yet. Ascending.
    pub fn lacking(&self, epoch: Epoch) -> Vec<Slot> {
        if self.chains.bare().is_empty() {
            return Vec::new();
        }
        let lacks = self.standing(epoch).map(|standing| standing.lacks.to_vec());
        lacks.unwrap_or_default().into_iter().filter(|slot| slot.epoch == epoch).collect()
    }

    /// The slots of an epoch whose header is held without its payload, whatever they are needed
    /// for; ascending by member.
    pub fn bare_slots(&self, epoch: Epoch) -> Vec<(MemberIndex, HeaderHash)> {
        let bare = self.chains.bare().iter().filter(|slot| slot.epoch == epoch);
        bare.filter_map(|&slot| Some((slot.member, self.chains.only_header(slot)?))).collect()
    }

    /// The shared model of this set, unless something lacks.
    ///
    /// Who publishes a model, names one in a header or in a record, or compares its own with that
    /// of another, takes this one: [`Fold::model`] also gives what there is of an incomplete one.
    pub fn complete_model(&mut self) -> Option<&Parameters> {
        self.is_complete().then(|| self.model())
    }

    /// The name of the shared model, unless something lacks.
    pub fn complete_model_id(&mut self) -> Option<ModelId> {
        self.is_complete().then(|| self.model_id())
    }
}
