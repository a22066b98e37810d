//! Attacks: a hostile host signs something else than its peer would have.

use std::sync::Arc;

use longhaul_aggregation::{BaseClaim, Epoch};
use longhaul_dtn::agent::Held;
use longhaul_node::peer::{Input, TrainRequest, TrainedModel};

use super::{Engine, Event};
use crate::adversary::{Knowledge, Seen, difference};
use crate::clock::SimTime;
use crate::trace::Kind;

/// Epochs of honest changes that are kept for adversaries.
const EPOCHS_KEPT: u32 = 2;

impl Engine<'_> {
    /// True when `peer` attacks in `epoch`.
    pub(super) fn is_hostile(&self, peer: u16, epoch: Epoch) -> bool {
        let adversary = self.hosts[usize::from(peer)].adversary.as_ref();
        adversary.is_some_and(|adversary| adversary.is_active(epoch))
    }

    /// Notes what a hostile host's peer knows as it begins to train.
    pub(super) fn note_claim(&mut self, peer: u16, request: &TrainRequest) {
        let window = u32::from(self.federation.manifest.manifest().bounds.summary_window);
        let host = &mut self.hosts[usize::from(peer)];
        let Some(machine) = host.machine.as_mut().and_then(|machine| machine.peer()) else {
            return;
        };
        let fold = machine.fold();
        let summary = fold.base_summary(request.epoch, window);
        let claim = BaseClaim { model: fold.model_id(), summary };
        if let Some(adversary) = &mut host.adversary {
            adversary.asked(request.epoch, request.base.clone(), claim);
        }
    }

    /// Keeps the change of an honest peer for those who know it.
    pub(super) fn note_honest(&mut self, peer: u16, trained: &TrainedModel, base: &[f32]) {
        if let Some(honest) = &mut self.honest {
            let change = Arc::new(difference(&trained.parameters, base));
            honest.entry(trained.epoch.get()).or_default().push(Seen { peer, change });
        }
    }

    /// Forgets honest changes that no adversary can use any more.
    pub(super) fn forget_before(&mut self, epoch: u32) {
        let oldest = epoch.saturating_sub(EPOCHS_KEPT);
        if let Some(honest) = &mut self.honest {
            *honest = honest.split_off(&oldest);
        }
        self.agreed.retain(|(_, of), _| *of >= oldest);
    }

    /// The hostile update of a training that ended; its peer skips the epoch.
    pub(super) fn attack(&mut self, now: SimTime, peer: u16, trained: &TrainedModel) {
        let epoch = trained.epoch;
        let why = "the adversary publishes something else".to_owned();
        self.give(now, peer, Input::TrainingFailed { epoch, why });
        let of_epoch = |epoch: u32| {
            let honest = self.honest.as_ref().and_then(|honest| honest.get(&epoch));
            honest.map_or(&[][..], Vec::as_slice)
        };
        let host = &mut self.hosts[usize::from(peer)];
        let shown = host.clock.shows(now).timestamp();
        let Some(adversary) = &mut host.adversary else { return };
        let place = (adversary.index, epoch.get());
        let known = Knowledge {
            honest: of_epoch(epoch.get()),
            earlier: epoch.get().checked_sub(1).map_or(&[], of_epoch),
            agreed: self.agreed.get(&place),
        };
        let Some(crafted) = adversary.craft(shown, trained, known) else { return };
        let (attack, agreed) = (adversary.attack, adversary.agreed.clone());
        if let (true, Some(agreed)) = (attack.is_agreed(), agreed) {
            self.agreed.entry(place).or_insert(agreed);
        }
        let member = self.member_of(peer);
        self.deliveries.published(now, member, epoch.get());
        self.host(peer).counts.published += 1;
        let name = *crafted.now.head.id().as_hash();
        self.trace.event_named(now, Kind::Attack, peer, [u64::from(epoch.get()), 0], &name);
        if let Some((twin, epochs)) = crafted.later {
            let after_us = (epochs * self.scenario.epoch_us() as f64) as u64;
            let event = Event::Release { peer, held: Box::new(twin) };
            self.queue.push(now.plus_us(after_us), event);
        }
        if crafted.is_refused {
            return self.hand_to_all(now, peer, &crafted.now);
        }
        self.hand_over(now, peer, crafted.now);
    }

    /// A twin that was held back comes out.
    pub(super) fn release(&mut self, now: SimTime, peer: u16, held: Held) {
        let name = *held.head.id().as_hash();
        self.trace.event_named(now, Kind::Attack, peer, [0, 1], &name);
        if self.scenario.recipe.seal.is_none() {
            return self.hand_over(now, peer, held);
        }
        self.hand_to_all(now, peer, &held);
    }

    /// Hands everybody what the host's own peer would not carry: what comes too late for a seal,
    /// or is to be refused.
    fn hand_to_all(&mut self, now: SimTime, peer: u16, held: &Held) {
        for to in 0..self.scenario.peers.get() {
            self.hand_to(now, peer, to, held.clone());
        }
    }

    /// Hands a bundle to the host's own peer over a contact inside the host.
    fn hand_over(&mut self, now: SimTime, peer: u16, held: Held) {
        self.hand_to(now, peer, peer, held);
    }

    /// Hands a bundle of `peer`'s adversary to the peer `to`, as somebody would who meets it.
    fn hand_to(&mut self, now: SimTime, peer: u16, to: u16, held: Held) {
        let (up, id) = (self.host(to).is_up(), self.host(to).id);
        let host = &mut self.hosts[usize::from(peer)];
        let shown = host.clock.shows(now).timestamp();
        let (true, Some(adversary)) = (up, &mut host.adversary) else { return };
        let (link, hand) = adversary.offer(shown, held, id);
        self.visits = Some(peer);
        self.give(now, to, Input::LinkUp { link, peer: hand });
        while let Some(bytes) = self.next_hand_frame(peer) {
            self.give(now, to, Input::Frame { link, bytes });
        }
        self.give(now, to, Input::LinkDown { link });
        self.visits = None;
    }

    fn next_hand_frame(&mut self, peer: u16) -> Option<Vec<u8>> {
        self.host(peer).adversary.as_mut()?.next_frame()
    }

    /// A frame to the hand that is in contact: the host's own, or the one that visits.
    pub(super) fn pass_to_hand(&mut self, now: SimTime, peer: u16, bytes: Vec<u8>) {
        let peer = self.visits.unwrap_or(peer);
        let host = self.host(peer);
        let shown = host.clock.shows(now).timestamp();
        if let Some(adversary) = &mut host.adversary {
            adversary.take(shown, bytes);
        }
    }
}
