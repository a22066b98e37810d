//! Status: what a peer would tell its owner.

use std::collections::BTreeMap;

use longhaul_aggregation::{Epoch, ModelId};
use longhaul_dtn::identity::PeerId;

use super::{Peer, SealCounts};

/// A snapshot of a peer, cheap enough to take every second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The epoch of the manifest's clock; none before its start.
    pub epoch: Option<Epoch>,
    /// True once the last epoch is over.
    pub over: bool,
    /// The epoch of the newest own update.
    pub own_newest: Option<Epoch>,
    /// The newest epoch whose term is not empty.
    pub term_newest: Option<Epoch>,
    /// Number of updates held.
    pub updates: usize,
    /// Number of contributions held, in a ceremony.
    pub contributions: usize,
    /// Bundles on offer or under way that are not accepted yet.
    pub waiting: usize,
    /// Updates that the log names and whose payloads were lost; they are fetched
    /// again.
    pub missing: usize,
    /// Requests that are not durable yet.
    pub in_store: usize,
    /// True while training is under way.
    pub training: bool,
    /// True when the federation is over and this peer has nothing left to do
    /// with the contacts that it has now.
    pub drained: bool,
    /// The shared model.
    pub model: ModelId,
    /// Who is in contact, by link.
    pub contacts: Vec<PeerId>,
    /// Updates that are open and so held in memory; all of them where nothing is sealed.
    pub held: usize,
    /// The first epoch that no seal has closed; none where nothing is sealed.
    pub open_from: Option<Epoch>,
    /// True when a seal is known that the own set does not say, and no snapshot of it came
    /// yet.
    pub behind: bool,
    /// Seals, and own work that came too late for one.
    pub seals: SealCounts,
    /// Members proved to have signed two different votes since the newest seal.
    pub vote_twins: usize,
    /// Number of refusals by code, from the log and this run.
    pub refusals: BTreeMap<u16, u64>,
}

impl Peer {
    /// Takes a snapshot as of the last input.
    pub fn status(&mut self) -> Status {
        let manifest = self.manifest.manifest();
        let (epoch, over) = (manifest.epoch_at(self.now), manifest.is_over(self.now));
        let waiting = self.agent.waiting();
        let idle = self.training.is_none() && self.in_store.is_empty();
        let idle = idle && waiting == 0 && self.missing.is_empty();
        Status {
            epoch,
            over,
            drained: over && idle && !self.version_is_due() && !self.is_summing(),
            own_newest: self.last_slot.map(|slot| slot.epoch),
            term_newest: self.newest_term(),
            updates: self.fold.slot_count(),
            contributions: self.contributions().count(),
            waiting,
            missing: self.missing.len(),
            in_store: self.in_store.len(),
            training: self.training.is_some(),
            model: self.fold.model_id(),
            contacts: self.links.values().copied().collect(),
            held: self.fold.open_count(),
            open_from: self.fold.sealed().map(|sealed| sealed.value().end),
            behind: self.is_behind(),
            seals: self.sealing.as_ref().map(|it| it.counts).unwrap_or_default(),
            vote_twins: self.sealing.as_ref().map_or(0, |it| it.tally.twins().len()),
            refusals: self.refusals.clone(),
        }
    }

    /// The newest epoch that has a quorum.
    pub fn newest_term(&self) -> Option<Epoch> {
        let open = self.fold.epochs().rev().find(|&epoch| self.fold.term_status(epoch).quorate);
        open.or_else(|| self.fold.sealed().map(|sealed| sealed.value().end.back(1)))
    }
}
