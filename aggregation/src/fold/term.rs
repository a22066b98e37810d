//! Term: what an epoch's updates add to the model, and its name.
//!
//! A plan says what a term is made of; its key is a hash over all of that, so
//! equal keys mean equal terms, in this fold and in any other. A fold computes a
//! term only for a key that neither it nor its memo has.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use crate::admission::Admitted;
use crate::memo::TermMemo;
use crate::rule::{Bearing, Group, Recipe, Vector};
use crate::slot::Epoch;

const TERM_CONTEXT: &str = "longhaul 2026 term v1";

/// What the term of an epoch is made of.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The epoch.
    pub epoch: Epoch,
    /// The updates that count, by author; at least one.
    pub updates: Vec<&'a Arc<Admitted>>,
    /// How many attackers the rule has to bear.
    pub bearing: Bearing,
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
    /// over the recipe's id, the epoch, the number of attackers assumed and that
    /// of voids as little-endian `u32`, and the hash of each header that counts.
    pub fn key(&self, recipe: &ContentHash) -> ContentHash {
        let mut bytes = Vec::with_capacity(40 + 32 * self.updates.len());
        bytes.extend_from_slice(recipe.as_bytes());
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        for number in [self.bearing.attackers, self.bearing.voids] {
            let number = u32::try_from(number).expect("members fit 16 bits");
            bytes.extend_from_slice(&number.to_le_bytes());
        }
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
        let vectors = plan.updates.iter().map(|admitted| Vector::of(&[&admitted.update]));
        let group = Group { vectors: vectors.collect() };
        let entries: Arc<[i32]> = recipe.term(&[group], plan.bearing).into();
        if let Some(memo) = memo {
            memo.put(key, Arc::clone(&entries));
        }
        Self { key, entries }
    }
}
