//! Fold: the model as a pure function of a grow-only set of updates.
//!
//! `model = M_0 + sum over epochs of the epoch's term`, in exact integers. A
//! term depends on the slots of its epoch alone: it is empty below a quorum of
//! distinct authors (void slots count), and otherwise the recipe's result over
//! the slots that are not void and whose cohort is not too small. So the model
//! does not depend on order, duplicates or batches, and a late update changes only
//! its own epoch's term. (If it proves its author a liar, also the terms of the
//! slots that this voids; and where small cohorts are vouched for, the terms of
//! epochs that it speaks of and that have such a cohort; and where epochs below the
//! quorum are pooled, the terms of the aligned block around it.)
//!
//! # Voids
//!
//! A void slot contributes nothing and still counts for the quorum. Its author is a
//! proven attacker who is not among the contributors, so the rule has one attacker
//! less to bear and a cohort's minimum is one attacker lower: releasing twins late
//! can take an update out of a term, but not roll the term back.
//!
//! Inserting only marks blocks of epochs; [`Fold::model`] looks at each marked one
//! once, and where a term is made of something else now, takes the old term off and
//! adds the new one. Updates and terms are behind `Arc`: folds of one world share
//! the updates that they are given and, with a [`TermMemo`], the terms.
//!
//! # Steps
//!
//! A recipe's outer optimiser ([`crate::rule::outer`]) scales each term, and with momentum shares
//! of the last terms are held back: the model is that without them. It stays a function of the
//! set, since how old a term is follows from the last epoch that has one.
//!
//! # Seals
//!
//! A seal ([`crate::seal`]) closes all epochs before its end: their terms stand in the
//! snapshot's model, their updates leave memory, and what comes for them later changes
//! nothing. The model is then a function of the sealed value and the open slots.
//!
//! # Heads and sums
//!
//! A header fills its slot without its payload ([`Fold::insert_head`]), and the sum of a
//! bucket's updates stands in for their payloads ([`Fold::insert_sum`]). A term of which
//! something lacks is left out of the model, which is then not that of the set:
//! [`Fold::complete_model`] gives it only if nothing lacks.
//!
//! # Bits
//!
//! A term's entry is at most `127 * 2^24` units and there are fewer than 2^32
//! terms, so with M_0 (below 2^32) a model entry stays below 2^63. The training
//! base replaces an empty term by an own update, which has the same bound.

mod base;
mod cover;
mod evidence;
mod heads;
mod plan;
mod pool;
mod refresh;
mod release;
mod sealing;
mod sums;
mod vouch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use longhaul_dtn::hash::ContentHash;

use crate::admission::{Admitted, Refusal};
use crate::chain::{Chains, Equivocation, Put, VoidReason};
use crate::header::HeaderHash;
use crate::held::Held;
use crate::memo::TermMemo;
use crate::parameters::{ModelId, Parameters};
use crate::rule::{ENTRY_UNITS_MAX, Recipe, Rooted, TrustRoots};
use crate::schema::Schema;
use crate::seal::Snapshot;
use crate::setting::Setting;
use crate::slot::{Epoch, MemberIndex, Slot};
use crate::summary::BaseSummary;

pub use self::evidence::{CohortEvidence, Evidence, InputEvidence, InputVerdict};
pub(crate) use self::pool::block_of;
use self::refresh::Term;
use self::sums::Sums;
pub use self::sums::{BucketSlots, BucketSum, SumInserted, SumRefusal};

const SLOTS_CONTEXT: &str = "longhaul 2026 slots of an epoch v1";
const SET_CONTEXT: &str = "longhaul 2026 update set v2";
const SEALED_SET_CONTEXT: &str = "longhaul 2026 sealed update set v2";

const _: () = assert!(
    ENTRY_UNITS_MAX.checked_mul(u32::MAX as i64).is_some()
        && (ENTRY_UNITS_MAX * u32::MAX as i64).checked_add(u32::MAX as i64).is_some(),
    "a model entry fits 63 bits and a sign"
);

/// A set of updates and the model it makes.
#[derive(Debug, Clone)]
pub struct Fold {
    schema: Arc<Schema>,
    recipe: Recipe,
    recipe_id: ContentHash,
    setting: Setting,
    chains: Chains,
    /// For each epoch with filled slots, whose they are, ascending.
    authors: BTreeMap<Epoch, Vec<MemberIndex>>,
    /// For each of these epochs, the hash of its slots, once it was asked for.
    roots: BTreeMap<Epoch, OnceLock<ContentHash>>,
    /// The terms of each block, as the model contains them.
    terms: BTreeMap<Epoch, Vec<Term>>,
    /// Sums that stand in for payloads.
    sums: Sums,
    /// Blocks whose terms may be others now.
    dirty: BTreeSet<Epoch>,
    /// What is closed for good; slots and terms above are of later epochs.
    sealed: Option<Arc<Snapshot>>,
    /// M_0 and all terms as they count in the end.
    model: Parameters,
    /// The same without what is held back, where the recipe holds back.
    released: Option<Parameters>,
    id: Option<ModelId>,
    floats: Option<Arc<Vec<f32>>>,
    memo: Option<Arc<dyn TermMemo>>,
    /// The trust root of each member, by index, and its place there.
    rooted: Arc<[Rooted]>,
}

/// What inserting an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The slot was empty and now counts, or has its payload now.
    New,
    /// The update was held already; nothing changed.
    Duplicate,
    /// The slot is void; this says why.
    Void(VoidReason),
    /// The epoch is sealed; nothing changed.
    Sealed,
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermStatus {
    /// Distinct authors, void slots included.
    pub authors: usize,
    /// Void slots among them.
    pub voids: usize,
    /// True when the authors reach the quorum, alone or with those of epochs that
    /// are pooled with this one, so that there is a term.
    pub quorate: bool,
    /// Epochs that share the term; zero without one.
    pub pooled: usize,
    /// Updates that the term counts: neither void nor in a cohort that waits.
    pub counted: usize,
    /// Authors in the largest cohort, whether or not it counts; void slots are in
    /// none.
    pub largest_cohort: usize,
}

impl Fold {
    /// The fold of no updates: its model is M_0.
    pub fn new(schema: Arc<Schema>, seed: &[u8; 32], recipe: Recipe, setting: Setting) -> Self {
        let model = Parameters::initial(&schema, seed);
        Self {
            schema,
            recipe,
            recipe_id: recipe.id(),
            setting,
            chains: Chains::default(),
            authors: BTreeMap::new(),
            roots: BTreeMap::new(),
            terms: BTreeMap::new(),
            sums: Sums::default(),
            dirty: BTreeSet::new(),
            sealed: None,
            model,
            released: None,
            id: None,
            floats: None,
            memo: None,
            rooted: Arc::new([]),
        }
    }

    /// The same fold with the trust root of each member, by index; zero for none.
    pub fn with_trust_roots(mut self, roots: Arc<TrustRoots>) -> Self {
        self.rooted = Rooted::all(&roots).into();
        self
    }

    /// The same fold with terms looked up in `memo` before they are computed.
    pub fn with_memo(mut self, memo: Arc<dyn TermMemo>) -> Self {
        self.set_memo(memo);
        self
    }

    /// Looks terms up in `memo` from now on, before they are computed; models
    /// are the same with and without.
    pub fn set_memo(&mut self, memo: Arc<dyn TermMemo>) {
        self.memo = Some(memo);
    }

    /// The shape of the model.
    pub const fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// How updates are merged.
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Says whether an update would change the set: refuses one that is held
    /// already, one for a slot that two others have spent, and one for an epoch that is
    /// sealed.
    ///
    /// Inserting such an update is harmless; a peer asks so that it need not
    /// store and pass on what nobody needs.
    pub fn screen(
        &self,
        author: MemberIndex,
        epoch: Epoch,
        header: HeaderHash,
    ) -> Result<(), Refusal> {
        if let Some(sealed) = self.sealed.as_ref().filter(|it| epoch < it.value().end) {
            return Err(match sealed.slot(epoch, author).map(|slot| slot.header) {
                Some(Some(held)) if held == header => Refusal::Duplicate,
                _ => Refusal::Sealed(epoch),
            });
        }
        let slot = Slot { member: author, epoch };
        if self.chains.holds(slot, header) && !self.chains.lacks_payload(slot) {
            return Err(Refusal::Duplicate);
        }
        match self.chains.void(slot) {
            Some(VoidReason::Twin) => Err(Refusal::SlotSpent),
            _ => Ok(()),
        }
    }

    /// The numbers that merging depends on.
    pub const fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Adds an admitted update to the set; who has it in an `Arc` shares it.
    ///
    /// # Panics
    /// If the update was admitted for another schema.
    pub fn insert(&mut self, admitted: impl Into<Arc<Admitted>>) -> Inserted {
        let admitted: Arc<Admitted> = admitted.into();
        let expected = self.schema.parameter_count();
        assert_eq!(
            admitted.update.parameter_count(),
            expected,
            "an update is of its fold's schema"
        );
        self.place(Held::Whole(admitted))
    }

    /// Puts an update or its header into its slot.
    fn place(&mut self, new: Held) -> Inserted {
        let slot = new.slot();
        if slot.epoch < self.open_from() {
            return Inserted::Sealed;
        }
        let mut known = self.chains.holds(slot, new.header_hash());
        match self.chains.put(new.clone()) {
            Put::Nothing => {}
            Put::Completed => {
                known = false;
                self.sums.drop_needless(slot.epoch, &self.chains);
                self.mark(slot.epoch);
            }
            Put::Filled => {
                self.add_author(slot);
                self.mark(slot.epoch);
                if new.header().vouch {
                    let rows = new.header().base.summary.epochs(slot.epoch);
                    let named = rows.filter(|(_, row)| !row.is_empty());
                    named.for_each(|(epoch, _)| self.mark_if_listening(epoch));
                }
            }
            Put::Changed(epochs) => {
                self.add_author(slot);
                epochs.into_iter().for_each(|epoch| self.mark_verdict(epoch));
            }
        }
        match self.chains.void(slot) {
            _ if known => Inserted::Duplicate,
            Some(reason) => Inserted::Void(reason),
            None => Inserted::New,
        }
    }

    /// Notes that the slot is filled, or filled otherwise.
    fn add_author(&mut self, slot: Slot) {
        self.roots.insert(slot.epoch, OnceLock::new());
        let authors = self.authors.entry(slot.epoch).or_default();
        if let Err(place) = authors.binary_search(&slot.member) {
            authors.insert(place, slot.member);
        }
    }

    /// The shared model of this set; where something lacks, what there is of it without the terms
    /// that it lacks for (see [`Fold::complete_model`]).
    pub fn model(&mut self) -> &Parameters {
        self.settle();
        let outer = self.recipe.outer;
        if outer.momentum_permille == 0 {
            return &self.model;
        }
        let terms = self.terms.values().flatten();
        self.released.get_or_insert_with(|| release::released(self.model.clone(), outer, terms))
    }

    /// Makes the terms of all marked blocks what the set says.
    fn settle(&mut self) {
        while let Some(block) = self.dirty.pop_first() {
            self.refresh(block);
        }
    }

    /// Forgets what was made of the model before it changed.
    fn changed(&mut self) {
        self.released = None;
        self.id = None;
        self.floats = None;
    }

    /// The name of what [`Fold::model`] gives.
    pub fn model_id(&mut self) -> ModelId {
        self.settle();
        if let Some(id) = self.id {
            return id;
        }
        let schema = Arc::clone(&self.schema);
        let id = self.model().model_id(&schema);
        *self.id.insert(id)
    }

    /// The shared model as floats, made once for each model.
    pub fn model_f32(&mut self) -> Arc<Vec<f32>> {
        self.settle();
        if let Some(floats) = &self.floats {
            return Arc::clone(floats);
        }
        let floats = Arc::new(self.model().to_f32());
        Arc::clone(self.floats.insert(floats))
    }

    /// Where `epoch` stands.
    pub fn term_status(&self, epoch: Epoch) -> TermStatus {
        let Some(authors) = self.authors.get(&epoch) else {
            return TermStatus::default();
        };
        let void = |&&member: &&MemberIndex| self.chains.void(Slot { member, epoch }).is_some();
        let voids = authors.iter().filter(void).count();
        let mut status = TermStatus { authors: authors.len(), voids, ..TermStatus::default() };
        if let Some(standing) = self.standing(epoch) {
            let waiting = standing.waiting.iter().filter(|slot| slot.epoch == epoch);
            status.quorate = true;
            status.pooled = standing.epochs.len();
            status.counted = authors.len() - voids - waiting.count();
            status.largest_cohort = standing.largest_cohort;
        }
        status
    }

    /// True when the slot holds an update that is not void and that a term counts, or will once
    /// nothing of it lacks.
    pub fn counts(&self, slot: Slot) -> bool {
        if self.chains.sound(slot).is_none() {
            return false;
        }
        let standing = self.standing(slot.epoch);
        standing.is_some_and(|it| it.waiting.binary_search(&slot).is_err())
    }

    /// The open epochs with at least one slot filled, ascending.
    pub fn epochs(&self) -> impl DoubleEndedIterator<Item = Epoch> + '_ {
        self.authors.keys().copied()
    }

    /// The members whose slot in `epoch` is filled, void or not, ascending.
    pub fn authors(&self, epoch: Epoch) -> impl Iterator<Item = MemberIndex> + '_ {
        self.authors.get(&epoch).into_iter().flatten().copied()
    }

    /// Number of slots filled, void or not, sealed or not.
    pub fn slot_count(&self) -> usize {
        self.sealed.as_ref().map_or(0, |it| it.slots().len()) + self.open_count()
    }

    /// Why a slot is void, if it is.
    pub fn void(&self, author: MemberIndex, epoch: Epoch) -> Option<VoidReason> {
        self.chains.void(Slot { member: author, epoch })
    }

    /// A member's latest slot, which its next header names as previous.
    pub fn last_slot(&self, member: MemberIndex) -> Option<(Epoch, HeaderHash)> {
        self.chains.last(member)
    }

    /// The slots known in the last `window` epochs before `before`.
    pub fn base_summary(&self, before: Epoch, window: u32) -> BaseSummary {
        let epochs = before.back(window).get()..before.get();
        let rows = epochs.map(|epoch| self.authors(Epoch::new(epoch)).collect()).collect();
        BaseSummary::new(rows).expect("authors are kept in ascending order")
    }

    /// Pairs of headers that prove members liars; every void slot is in one.
    pub fn equivocations(&self) -> Vec<Equivocation> {
        self.chains.evidence()
    }

    /// The name of the set, as blake3 derive-key hashes of two levels, ascending at both:
    ///
    /// - of an epoch with filled slots, under `"longhaul 2026 slots of an epoch v1"`, over
    ///   each slot: epoch as little-endian `u32`, member as little-endian `u16`, then the
    ///   32-byte header hash, or 32 zeros for a spent slot;
    /// - of the set, under `"longhaul 2026 update set v2"`, over each of these epochs as
    ///   little-endian `u32`, and its hash.
    ///
    /// Where something is sealed, the upper level is under `"longhaul 2026 sealed update
    /// set v2"` and begins with the sealed value (end as little-endian `u32`, root, model).
    ///
    /// Cost: the slots of epochs that changed since it was asked for, and 36 bytes for each
    /// open epoch.
    pub fn set_root(&self) -> ContentHash {
        let mut bytes = Vec::new();
        let mut context = SET_CONTEXT;
        if let Some(value) = self.sealed.as_deref().map(Snapshot::value) {
            context = SEALED_SET_CONTEXT;
            bytes.extend_from_slice(&value.end.get().to_le_bytes());
            bytes.extend_from_slice(value.root.as_bytes());
            bytes.extend_from_slice(value.model.as_hash().as_bytes());
        }
        for (&epoch, root) in &self.roots {
            bytes.extend_from_slice(&epoch.get().to_le_bytes());
            bytes.extend_from_slice(root.get_or_init(|| self.slots_root(epoch)).as_bytes());
        }
        ContentHash::derive(context, &bytes)
    }

    fn slots_root(&self, epoch: Epoch) -> ContentHash {
        let mut bytes = Vec::new();
        self.slots_of(epoch).for_each(|slot| slot.write(&mut bytes));
        ContentHash::derive(SLOTS_CONTEXT, &bytes)
    }

    /// The fold of the same set without a member's updates (retroactive
    /// expulsion); what is sealed stays.
    pub fn without_member(&self, member: MemberIndex) -> Self {
        let mut fold = self.clone();
        // Its headers may have vouched for slots anywhere; epochs whose term is made
        // of the same updates as before cost no more than a look.
        fold.dirty.extend(fold.authors.keys().map(|&epoch| block_of(epoch, fold.recipe.pool)));
        fold.chains.remove(member);
        fold.authors.retain(|_, authors| {
            authors.retain(|&author| author != member);
            !authors.is_empty()
        });
        fold.roots = fold.authors.keys().map(|&epoch| (epoch, OnceLock::new())).collect();
        fold
    }
}
