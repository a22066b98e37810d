//! Term: what an epoch's updates add to the model, and its name.
//!
//! A plan says what a term is made of; its key is a hash over all of that, so
//! equal keys mean equal terms, in this fold and in any other. A fold computes a
//! term only for a key that neither it nor its memo has.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use crate::admission::Admitted;
use crate::memo::TermMemo;
use crate::rule::Recipe;
use crate::slot::Epoch;
use crate::update::Update;

const TERM_CONTEXT: &str = "longhaul 2026 term v1";

/// What the term of an epoch is made of.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The epoch.
    pub epoch: Epoch,
    /// The updates that count, by author; at least one.
    pub updates: Vec<&'a Arc<Admitted>>,
    /// Void slots of the epoch.
    pub voids: usize,
}

/// A term that the model contains.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// The key of the plan it was made from.
    pub key: ContentHash,
    /// One entry for each parameter, in units of 2^-24.
    pub entries: Arc<[i32]>,
}

impl Plan<'_> {
    /// The name of the term: blake3 derive-key under `"longhaul 2026 term v1"`
    /// over the recipe's id, the epoch and the number of voids as little-endian
    /// `u32`, and the hash of each header that counts.
    pub fn key(&self, recipe: &ContentHash) -> ContentHash {
        let mut bytes = Vec::with_capacity(40 + 32 * self.updates.len());
        bytes.extend_from_slice(recipe.as_bytes());
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        let voids = u32::try_from(self.voids).expect("members fit 16 bits");
        bytes.extend_from_slice(&voids.to_le_bytes());
        for admitted in &self.updates {
            bytes.extend_from_slice(admitted.header_hash.as_hash().as_bytes());
        }
        ContentHash::derive(TERM_CONTEXT, &bytes)
    }
}

impl Term {
    /// The term of a plan, from the memo if that has it.
    pub fn of(
        plan: &Plan<'_>,
        recipe: &Recipe,
        recipe_id: &ContentHash,
        memo: Option<&dyn TermMemo>,
    ) -> Self {
        let key = plan.key(recipe_id);
        if let Some(entries) = memo.and_then(|memo| memo.get(&key)) {
            return Self { key, entries };
        }
        let updates: Vec<&Update> = plan.updates.iter().map(|admitted| &admitted.update).collect();
        let entries: Arc<[i32]> = recipe.term(&updates, plan.voids).into();
        if let Some(memo) = memo {
            memo.put(key, Arc::clone(&entries));
        }
        Self { key, entries }
    }
}
