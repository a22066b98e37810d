//! Refresh: from marked blocks of epochs to the terms that the model contains.
//!
//! Whatever can change a term marks its block; a refresh plans the block again,
//! keeps the terms whose key is the same, and computes (or borrows) the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use super::Fold;
use super::plan::{Plan, Planner, Standing, Trust};
use super::pool::block_of;
use super::release;
use crate::parameters::Parameters;
use crate::slot::Epoch;

/// What the model contains for one or several epochs with a quorum.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// Where its epochs stand.
    pub standing: Standing,
    /// The key of what it is made of, and one entry for each parameter in units
    /// of 2^-24; none if nothing counts.
    pub entries: Option<(ContentHash, Arc<[i32]>)>,
}

/// Entries of terms by key.
type Entries = BTreeMap<ContentHash, Arc<[i32]>>;

impl Fold {
    /// Marks the epoch of a slot that became void or sound, and those that its
    /// header could vouch for.
    pub(super) fn mark_verdict(&mut self, epoch: Epoch) {
        let window = epoch.back(self.setting.summary_window).get()..epoch.get();
        window.map(Epoch::new).for_each(|earlier| self.mark_if_listening(earlier));
        self.mark(epoch);
    }

    /// Marks an epoch if a later header can change what counts there.
    pub(super) fn mark_if_listening(&mut self, epoch: Epoch) {
        let block = block_of(epoch, self.recipe.pool);
        let listens = |term: &Term| term.standing.listens && term.standing.epochs.contains(&epoch);
        if self.terms.get(&block).is_some_and(|terms| terms.iter().any(listens)) {
            self.dirty.insert(block);
        }
    }

    /// Marks an epoch whose own slots changed.
    pub(super) fn mark(&mut self, epoch: Epoch) {
        self.dirty.insert(block_of(epoch, self.recipe.pool));
    }

    /// Where the epochs stand that share a term with `epoch`, as of now.
    pub(super) fn standing(&self, epoch: Epoch) -> Option<Cow<'_, Standing>> {
        let block = block_of(epoch, self.recipe.pool);
        if self.dirty.contains(&block) {
            let standings = self.planner().plans(block).into_iter().map(|plan| plan.standing);
            return standings.filter(|it| it.epochs.contains(&epoch)).map(Cow::Owned).next();
        }
        let standings = self.terms.get(&block)?.iter().map(|term| &term.standing);
        standings.filter(|it| it.epochs.contains(&epoch)).map(Cow::Borrowed).next()
    }

    /// Replaces the terms of a block by what the set says now.
    pub(super) fn refresh(&mut self, block: Epoch) {
        let old = self.terms.remove(&block).unwrap_or_default();
        let mut old: Entries = old.into_iter().filter_map(|term| term.entries).collect();
        let mut added = Vec::new();
        let mut terms = Vec::new();
        for plan in self.planner().plans(block) {
            let key = plan.key(&self.recipe_id).filter(|_| plan.standing.lacks.is_empty());
            let entries = key.map(|key| {
                let held = old.remove(&key);
                let entries = held.unwrap_or_else(|| {
                    let new = self.entries(&plan, key);
                    added.push(Arc::clone(&new));
                    new
                });
                (key, entries)
            });
            terms.push(Term { standing: plan.standing, entries });
        }
        if !terms.is_empty() {
            self.terms.insert(block, terms);
        }
        if old.is_empty() && added.is_empty() {
            return;
        }
        old.values().for_each(|entries| self.model.subtract_term(entries));
        added.iter().for_each(|entries| self.model.add_term(entries));
        self.changed();
    }

    /// The model as it would be if everybody vouched for every slot that waits in
    /// the `window` epochs before `before`; none if none waits for voices.
    ///
    /// A peer that vouches says that a model with the slots in it does well. What
    /// waits is not in the model, so its loss says nothing about them; this one's
    /// does; it leaves out what a term lacks payloads of. Cost: the terms of the epochs in which slots wait.
    pub fn trial_model(&mut self, before: Epoch, window: u32) -> Option<Parameters> {
        self.settle();
        let first = before.back(window);
        let recent = |term: &Term| term.standing.epochs.iter().any(|&epoch| epoch >= first);
        let waits = |term: &Term| term.standing.listens && !term.standing.waiting.is_empty();
        let waiting = |terms: &[Term]| terms.iter().any(|term| waits(term) && recent(term));
        let blocks: Vec<_> = self.terms.iter().filter(|(_, terms)| waiting(terms)).collect();
        if blocks.is_empty() {
            return None;
        }
        let mut trial = self.model.clone();
        let mut tried: BTreeMap<Epoch, Vec<Term>> = BTreeMap::new();
        let planner = Planner { trust: Trust::Everybody, ..self.planner() };
        for (&block, counted) in blocks {
            let counted = counted.iter().filter_map(|term| term.entries.as_ref());
            counted.for_each(|(_, entries)| trial.subtract_term(entries));
            let mut terms = Vec::new();
            for plan in planner.plans(block) {
                let key = plan.key(&self.recipe_id).filter(|_| plan.standing.lacks.is_empty());
                let entries = key.map(|key| (key, self.entries(&plan, key)));
                entries.iter().for_each(|(_, entries)| trial.add_term(entries));
                terms.push(Term { standing: plan.standing, entries });
            }
            tried.insert(block, terms);
        }
        let others = self.terms.iter().filter(|(block, _)| !tried.contains_key(block));
        let terms = others.map(|(_, terms)| terms).chain(tried.values()).flatten();
        Some(release::released(trial, self.recipe.outer, terms))
    }

    /// The entries of a term, from the memo if that has them. What rests on sums is
    /// nobody else's: a memo holds what was made of payloads.
    fn entries(&self, plan: &Plan<'_>, key: ContentHash) -> Arc<[i32]> {
        if plan.rests_on_heads() {
            return plan.term_of_sums(&self.recipe, &self.schema).into();
        }
        let Some(memo) = &self.memo else {
            return plan.term(&self.recipe).into();
        };
        memo.get(&key).unwrap_or_else(|| {
            let entries: Arc<[i32]> = plan.term(&self.recipe).into();
            memo.put(key, Arc::clone(&entries));
            entries
        })
    }

    pub(super) fn planner(&self) -> Planner<'_> {
        Planner {
            chains: &self.chains,
            authors: &self.authors,
            recipe: &self.recipe,
            recipe_id: &self.recipe_id,
            setting: &self.setting,
            memo: self.memo.as_deref(),
            trust: Trust::Vouched,
            roots: &self.rooted,
            sums: &self.sums,
        }
    }
}
