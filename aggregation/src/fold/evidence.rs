//! Evidence: what a term is made of, input by input, with the reason for each.
//!
//! For people who ask why the model is what it is. It is derived from the set, like the term;
//! whoever holds the set derives the same.

use longhaul_dtn::hash::ContentHash;

use super::Fold;
use super::plan::{Part, Plan};
use super::pool::block_of;
use crate::chain::VoidReason;
use crate::header::HeaderHash;
use crate::rule::Influence;
use crate::slot::{Epoch, Slot};

const TERM_ENTRIES_CONTEXT: &str = "longhaul 2026 term entries v1";

/// What a term is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The epochs that share the term; one unless they are pooled.
    pub epochs: Vec<Epoch>,
    /// The name of the recipe.
    pub recipe: ContentHash,
    /// Attackers assumed among the authors, F.
    pub attackers_assumed: usize,
    /// Authors whose slots are void: attackers who are proven.
    pub voids: usize,
    /// For each cohort that counts, its authors and how many attackers its rule bears.
    pub cohorts: Vec<CohortEvidence>,
    /// Every slot filled, ascending.
    pub inputs: Vec<InputEvidence>,
    /// The name of the term: blake3 derive-key under `"longhaul 2026 term entries v1"` over its
    /// entries as little-endian `i32`; none if nothing counts.
    pub term: Option<ContentHash>,
}

/// A cohort that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortEvidence {
    /// Authors who contribute.
    pub authors: usize,
    /// How many of them may attack: F without the voids, and no majority of what the rule sees,
    /// which is buckets where the recipe has them.
    pub attackers_borne: usize,
}

/// One slot of a term's epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputEvidence {
    /// The slot.
    pub slot: Slot,
    /// What became of it.
    pub verdict: InputVerdict,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputVerdict {
    /// It counts.
    Counted {
        /// Its header.
        header: HeaderHash,
        /// Place of its cohort in [`Evidence::cohorts`].
        cohort: usize,
        /// How much of the cohort's mean its author is; where epochs are pooled, an author's
        /// slots share this.
        influence: Influence,
    },
    /// Its cohort is too small, and it is not vouched for.
    Waiting,
    /// It is void.
    Void(VoidReason),
}

impl Fold {
    /// The evidence of the term of `epoch`; none where there is no quorum, or the payload of an
    /// input is not held: what an input does to a term shows in it alone, not in a sum.
    ///
    /// Cost: the Gram matrix again where the recipe asks for it, or a sort of each column.
    pub fn evidence(&self, epoch: Epoch) -> Option<Evidence> {
        let block = block_of(epoch, self.recipe.pool);
        let mut plans = self.planner().plans(block).into_iter();
        let plan = plans.find(|plan| plan.standing.epochs.contains(&epoch))?;
        if plan.rests_on_heads() {
            return None;
        }
        let mut inputs = self.counted(&plan);
        let waiting = plan.standing.waiting.iter();
        inputs.extend(waiting.map(|&slot| InputEvidence { slot, verdict: InputVerdict::Waiting }));
        for &epoch in &plan.standing.epochs {
            let voids = self.authors(epoch).filter_map(|member| {
                let slot = Slot { member, epoch };
                let reason = self.chains.void(slot)?;
                Some(InputEvidence { slot, verdict: InputVerdict::Void(reason) })
            });
            inputs.extend(voids);
        }
        inputs.sort_by_key(|input| (input.slot.epoch, input.slot.member));
        let term = (!plan.cohorts.is_empty()).then(|| {
            let entries = plan.term(&self.recipe);
            let bytes: Vec<u8> = entries.into_iter().flat_map(i32::to_le_bytes).collect();
            ContentHash::derive(TERM_ENTRIES_CONTEXT, &bytes)
        });
        Some(Evidence {
            epochs: plan.standing.epochs.to_vec(),
            recipe: self.recipe_id,
            attackers_assumed: plan.bearing.attackers,
            voids: plan.bearing.voids,
            cohorts: plan
                .cohorts
                .iter()
                .map(|parts| CohortEvidence {
                    authors: parts.len(),
                    attackers_borne: plan.bearing.among(plan.vectors(&self.recipe, parts)),
                })
                .collect(),
            inputs,
            term,
        })
    }

    fn counted(&self, plan: &Plan<'_>) -> Vec<InputEvidence> {
        let mut inputs = Vec::new();
        for (cohort, parts) in plan.cohorts.iter().enumerate() {
            let ordered = Plan::ordered(parts);
            let group = plan.group(&self.recipe, &ordered);
            let influences = self.recipe.influence(&group, plan.bearing);
            for (part, influence) in ordered.into_iter().zip(influences) {
                let part: &Part<'_> = part;
                inputs.extend(part.iter().map(|held| InputEvidence {
                    slot: held.slot(),
                    verdict: InputVerdict::Counted {
                        header: held.header_hash(),
                        cohort,
                        influence,
                    },
                }));
            }
        }
        inputs
    }
}
