//! Making: when it is this peer's turn to sum its own bucket, and what becomes of the sum.

use std::sync::Arc;

use longhaul_aggregation::{Epoch, MemberIndex, Slot};
use longhaul_dtn::agent::Held;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::aggregate::HEADS_MIN;

use super::{SumRequest, Summed, TURN_PART, TURNS_MAX, WAIT_PART};
use crate::peer::{Event, InStore, Output, Peer};

impl Peer {
    /// When it is this peer's turn to sum its own bucket of an epoch, and what it would sum; none if it has nothing to add.
    pub(super) fn next_turn(&mut self, epoch: Epoch) -> Option<(Timestamp, Vec<MemberIndex>)> {
        let member = self.me?;
        self.proving.prover()?;
        let bucket = self.aggregates.bucket(&self.manifest, Slot { member, epoch });
        let held = self.aggregates.bundles.get(&epoch)?;
        let is_whole = |member: &&MemberIndex| {
            let slot = Slot { member: **member, epoch };
            held.iter().any(|it| it.0 == **member) && self.fold.update(slot).is_some()
        };
        let slots: Vec<MemberIndex> = bucket.members.iter().filter(is_whole).copied().collect();
        let first = bucket.members.first().copied().unwrap_or(member);
        let failed = self.aggregates.failed.get(&epoch).copied().unwrap_or(0);
        let best = self.best_len(epoch, first).max(failed);
        if slots.len() < HEADS_MIN || slots.len() <= best {
            return None;
        }
        // Who has no slot in it comes last.
        let own = slots.binary_search(&member).unwrap_or(TURNS_MAX);
        let turn = (own + epoch.get() as usize) % slots.len().min(TURNS_MAX);
        let wait =
            self.part_of_epoch(WAIT_PART).ms() + turn as u64 * self.part_of_epoch(TURN_PART).ms();
        let ends = self.manifest().epoch_start(Epoch::new(epoch.get() + 1));
        Some((ends.plus(Span::from_ms(wait)), slots))
    }

    /// Asks for the sum of these slots, which are held whole; false if a bundle of them is not at hand any more.
    pub(super) fn ask_for_sum(&mut self, epoch: Epoch, slots: &[MemberIndex]) -> bool {
        let Some(prover) = self.proving.prover() else { return false };
        let mut updates = Vec::with_capacity(slots.len());
        for &member in slots {
            let ids = self.aggregates.bundles.get(&epoch).into_iter().flatten();
            let mut held = ids.filter(|it| it.0 == member).filter_map(|it| self.agent.get(&it.1));
            let head = held.next().map(|held| held.head.clone());
            let update = self.fold.update(Slot { member, epoch }).cloned();
            let Some(pair) = head.zip(update) else { return false };
            updates.push(pair);
        }
        let manifest = self.manifest.clone();
        self.aggregates.making = Some((epoch, slots.len()));
        self.outputs.push_back(Output::Sum(SumRequest { manifest, prover, epoch, updates }));
        true
    }

    /// Signs, keeps and offers the aggregate that was made.
    pub(in crate::peer) fn summed(&mut self, summed: Summed) {
        let making = self.aggregates.making.take_if(|(epoch, _)| *epoch == summed.epoch);
        let Some((epoch, count)) = making else { return };
        self.look_for_sums();
        let (payload, admitted) = match summed.aggregate {
            Ok(made) => made,
            // Nobody else would accept it. It is tried again with more slots.
            Err(why) => {
                self.aggregates.failed.insert(epoch, count);
                return self.event(Event::NoAggregate { epoch, why });
            }
        };
        // A better one came meanwhile.
        let slots = &admitted.sum.slots;
        if !self.is_better(epoch, slots[0].0, slots.len()) {
            return;
        }
        let made = self.aggregates.made.entry(epoch).or_default();
        let tries = *made;
        *made = made.saturating_add(1);
        let pair = (&payload[..], &*admitted);
        match self.manifest.aggregate_bundle(&self.key, pair, tries, self.now) {
            Ok(head) => {
                let held = Held { head: Arc::new(head), payload };
                let then = InStore::Made { held: held.clone() };
                self.take_aggregate(&held, None, &admitted, then);
            }
            Err(error) => {
                let why = error.to_string();
                self.aggregates.failed.insert(epoch, count);
                self.event(Event::NoAggregate { epoch, why });
            }
        }
    }
}
