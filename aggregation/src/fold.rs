//! Fold: the model as a pure function of a grow-only set of updates.
//!
//! `model = M_0 + sum over epochs of the epoch's term`, in exact integers. A
//! term depends on the slots of its epoch alone: it is empty below a quorum of
//! distinct authors (void slots count), and otherwise the recipe's result over
//! the slots that are not void. So the model does not depend on order,
//! duplicates or batches, and a late update changes only its own epoch's term
//! (and, if it proves its author a liar, the terms of the slots that this voids).
//!
//! Inserting only marks epochs; [`Fold::model`] recomputes each marked epoch
//! once, takes the old term off and adds the new one.
//!
//! # Bits
//!
//! A term's entry is at most `127 * 2^24` units and there are fewer than 2^32
//! epochs, so with M_0 (below 2^32) a model entry stays below 2^63. The training
//! base replaces an empty term by an own update, which has the same bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use crate::admission::{Admitted, Refusal};
use crate::chain::{Chain, Entry, Equivocation, Put, VoidReason};
use crate::header::HeaderHash;
use crate::parameters::{ModelId, Parameters};
use crate::rule::{ENTRY_UNITS_MAX, Recipe};
use crate::schema::Schema;
use crate::slot::{Epoch, MemberIndex};
use crate::summary::BaseSummary;

const SET_CONTEXT: &str = "longhaul 2026 update set v1";
/// What a spent slot has in the set root in place of a header hash: which two
/// headers spent it differs from peer to peer, and does not matter.
const SPENT_MARK: [u8; 32] = [0; 32];

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
    chains: BTreeMap<MemberIndex, Chain>,
    authors: BTreeMap<Epoch, BTreeSet<MemberIndex>>,
    terms: BTreeMap<Epoch, Vec<i32>>,
    dirty: BTreeSet<Epoch>,
    model: Parameters,
    id: Option<ModelId>,
    floats: Option<Arc<Vec<f32>>>,
}

/// What inserting an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The slot was empty and now counts.
    New,
    /// The update was held already; nothing changed.
    Duplicate,
    /// The slot is void; this says why.
    Void(VoidReason),
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermStatus {
    /// Distinct authors, void slots included.
    pub authors: usize,
    /// Void slots among them.
    pub voids: usize,
    /// True when the authors reach the quorum, so that the epoch has a term.
    pub quorate: bool,
}

impl Fold {
    /// The fold of no updates: its model is M_0.
    pub fn new(schema: Arc<Schema>, seed: &[u8; 32], recipe: Recipe) -> Self {
        let model = Parameters::initial(&schema, seed);
        Self {
            schema,
            recipe,
            chains: BTreeMap::new(),
            authors: BTreeMap::new(),
            terms: BTreeMap::new(),
            dirty: BTreeSet::new(),
            model,
            id: None,
            floats: None,
        }
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
    /// already, and one for a slot that two others have spent.
    ///
    /// Inserting such an update is harmless; a peer asks so that it need not
    /// store and pass on what nobody needs.
    pub fn screen(
        &self,
        author: MemberIndex,
        epoch: Epoch,
        header: HeaderHash,
    ) -> Result<(), Refusal> {
        let Some(chain) = self.chains.get(&author) else {
            return Ok(());
        };
        if chain.holds(epoch, header) {
            return Err(Refusal::Duplicate);
        }
        match chain.void(epoch) {
            Some(VoidReason::Twin) => Err(Refusal::SlotSpent),
            _ => Ok(()),
        }
    }

    /// Adds an admitted update to the set.
    ///
    /// # Panics
    /// If the update was admitted for another schema.
    pub fn insert(&mut self, admitted: Admitted) -> Inserted {
        let Admitted { author, header, header_hash, update } = admitted;
        let expected = self.schema.parameter_count();
        assert_eq!(update.parameter_count(), expected, "an update is of its fold's schema");
        let chain = self.chains.entry(author).or_default();
        let known = chain.holds(header.epoch, header_hash);
        let entry = Entry { header: header_hash, previous: header.previous, update };
        if let Put::Changed(epochs) = chain.put(header.epoch, entry) {
            self.authors.entry(header.epoch).or_default().insert(author);
            self.dirty.extend(epochs);
        }
        match chain.void(header.epoch) {
            _ if known => Inserted::Duplicate,
            Some(reason) => Inserted::Void(reason),
            None => Inserted::New,
        }
    }

    /// The shared model of this set.
    pub fn model(&mut self) -> &Parameters {
        while let Some(epoch) = self.dirty.pop_first() {
            self.refresh(epoch);
        }
        &self.model
    }

    /// The name of the shared model.
    pub fn model_id(&mut self) -> ModelId {
        self.model();
        *self.id.get_or_insert_with(|| self.model.model_id(&self.schema))
    }

    /// The shared model as floats, made once for each model.
    pub fn model_f32(&mut self) -> Arc<Vec<f32>> {
        self.model();
        Arc::clone(self.floats.get_or_insert_with(|| Arc::new(self.model.to_f32())))
    }

    /// What `member` trains from: the model plus its own updates whose epoch has
    /// no term yet, at full weight, among the `window` epochs up to its latest
    /// slot. A window of at least the federation's epochs takes all of them.
    pub fn training_base(&mut self, member: MemberIndex, window: u32) -> Parameters {
        let mut base = self.model().clone();
        let Some(chain) = self.chains.get(&member) else {
            return base;
        };
        let Some((last, _)) = chain.last() else {
            return base;
        };
        let recent = chain.epochs().rev();
        for epoch in recent.take_while(|epoch| last.get() - epoch.get() < window) {
            if let Some(update) = chain.update(epoch).filter(|_| !self.term_status(epoch).quorate) {
                update.add_to(&mut base);
            }
        }
        base
    }

    /// Where `epoch` stands.
    pub fn term_status(&self, epoch: Epoch) -> TermStatus {
        let Some(authors) = self.authors.get(&epoch) else {
            return TermStatus::default();
        };
        let void = |author: &&MemberIndex| self.chains[*author].void(epoch).is_some();
        TermStatus {
            authors: authors.len(),
            voids: authors.iter().filter(void).count(),
            quorate: authors.len() >= usize::from(self.recipe.quorum),
        }
    }

    /// The epochs with at least one slot filled, ascending.
    pub fn epochs(&self) -> impl DoubleEndedIterator<Item = Epoch> + '_ {
        self.authors.keys().copied()
    }

    /// The members whose slot in `epoch` is filled, void or not, ascending.
    pub fn authors(&self, epoch: Epoch) -> impl Iterator<Item = MemberIndex> + '_ {
        self.authors.get(&epoch).into_iter().flatten().copied()
    }

    /// Number of slots filled, void or not.
    pub fn slot_count(&self) -> usize {
        self.authors.values().map(BTreeSet::len).sum()
    }

    /// Why a slot is void, if it is.
    pub fn void(&self, author: MemberIndex, epoch: Epoch) -> Option<VoidReason> {
        self.chains.get(&author)?.void(epoch)
    }

    /// A member's latest slot, which its next header names as previous.
    pub fn last_slot(&self, member: MemberIndex) -> Option<(Epoch, HeaderHash)> {
        self.chains.get(&member)?.last()
    }

    /// The slots known in the last `window` epochs before `before`.
    pub fn base_summary(&self, before: Epoch, window: u32) -> BaseSummary {
        let epochs = before.back(window).get()..before.get();
        let rows = epochs.map(|epoch| self.authors(Epoch::new(epoch)).collect()).collect();
        BaseSummary::new(rows).expect("authors are kept in ascending order")
    }

    /// Pairs of headers that prove members liars; every void slot is in one.
    pub fn equivocations(&self) -> Vec<Equivocation> {
        self.chains.iter().flat_map(|(&member, chain)| chain.evidence(member)).collect()
    }

    /// The name of the set: blake3 derive-key under
    /// `"longhaul 2026 update set v1"` over each filled slot in ascending order of
    /// (epoch, member): epoch as little-endian `u32`, member as little-endian
    /// `u16`, then the 32-byte header hash, or 32 zeros for a spent slot.
    pub fn set_root(&self) -> ContentHash {
        let mut bytes = Vec::with_capacity(self.slot_count() * 38);
        for (&epoch, authors) in &self.authors {
            for &author in authors {
                let header = self.chains[&author].only_header(epoch);
                bytes.extend_from_slice(&epoch.get().to_le_bytes());
                bytes.extend_from_slice(&author.get().to_le_bytes());
                bytes.extend(header.map_or(SPENT_MARK, |header| *header.as_hash().as_bytes()));
            }
        }
        ContentHash::derive(SET_CONTEXT, &bytes)
    }

    /// The fold of the same set without a member's updates (retroactive
    /// expulsion).
    pub fn without_member(&self, member: MemberIndex) -> Self {
        let mut fold = self.clone();
        let Some(chain) = fold.chains.remove(&member) else {
            return fold;
        };
        for epoch in chain.epochs() {
            fold.dirty.insert(epoch);
            if let Some(authors) = fold.authors.get_mut(&epoch) {
                authors.remove(&member);
            }
        }
        fold.authors.retain(|_, authors| !authors.is_empty());
        fold
    }

    /// Replaces the term of `epoch` by what the set says now.
    fn refresh(&mut self, epoch: Epoch) {
        let old = self.terms.remove(&epoch);
        let new = self.term(epoch);
        if new != old {
            add_term(self.model.as_mut_slice(), old.as_deref(), -1);
            add_term(self.model.as_mut_slice(), new.as_deref(), 1);
            self.id = None;
            self.floats = None;
        }
        if let Some(term) = new {
            self.terms.insert(epoch, term);
        }
    }

    /// The term of `epoch`; none if it is empty or zero for want of updates.
    fn term(&self, epoch: Epoch) -> Option<Vec<i32>> {
        let status = self.term_status(epoch);
        let authors = self.authors.get(&epoch).filter(|_| status.quorate)?;
        let updates: Vec<_> =
            authors.iter().filter_map(|author| self.chains[author].update(epoch)).collect();
        (!updates.is_empty()).then(|| self.recipe.term(&updates, status.voids))
    }
}

fn add_term(model: &mut [i64], term: Option<&[i32]>, sign: i64) {
    let entries = term.into_iter().flatten();
    model.iter_mut().zip(entries).for_each(|(sum, &entry)| *sum += sign * i64::from(entry));
}
