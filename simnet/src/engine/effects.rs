//! Effects: what a machine asks for becomes events.
//!
//! A frame arrives when its link has carried it, a write is durable when the
//! disk has synced, and training ends at its modelled completion, however long
//! the worker takes.

use longhaul_dtn::agent::LinkId;
use longhaul_dtn::frame::Frame;
use longhaul_node::peer::{self, Input, Output, PersistRequest, TrainRequest};

use super::{Engine, Event, LinkUse};
use crate::adversary::HAND_LINK_FIRST;
use crate::clock::SimTime;
use crate::host::InTraining;
use crate::learner::Outcome;
use crate::links::Change;
use crate::trace::Kind;

/// An adversary trains this much longer: it waits for what honest peers publish.
const ADVERSARY_WAITS_US: u64 = 1_000;

impl Engine<'_> {
    /// Gives a machine an input and turns everything that it asks for into events.
    pub(super) fn give(&mut self, now: SimTime, peer: u16, input: Input) {
        self.host(peer).handle(now, input);
        self.drain(now, peer);
    }

    /// Carries out what a machine asks for.
    pub(super) fn drain(&mut self, now: SimTime, peer: u16) {
        while let Some(output) = self.host(peer).poll() {
            match output {
                Output::Transmit { link, frame } => self.transmit(now, peer, link, frame),
                Output::Close { link, .. } => {
                    let change = self.network.close(now, link);
                    self.schedule_changes(now, change);
                }
                Output::Train(request) => self.train(now, peer, request),
                // What proving takes in virtual time is the scenario's `proof_ms`, which passed before.
                Output::Prove(request) => {
                    let answer = self.proofs.prove(&request);
                    self.give(now, peer, answer);
                }
                Output::Verify(request) => {
                    let answer = self.proofs.verify(&request);
                    self.give(now, peer, answer);
                }
                Output::Sum(request) => {
                    let answer = self.aggregates.sum(&request);
                    self.give(now, peer, answer);
                }
                Output::CheckSum(request) => self.give(now, peer, request.carry_out()),
                Output::Persist(request) => self.persist(now, peer, request),
                Output::Event(event) => self.note(now, peer, &event),
            }
        }
        self.rearm(now, peer);
    }

    fn transmit(&mut self, now: SimTime, peer: u16, link: LinkId, bytes: Vec<u8>) {
        if link.0 >= HAND_LINK_FIRST {
            return self.pass_to_hand(now, peer, bytes);
        }
        let Some(delivery) = self.network.send(link, peer, now, bytes.len()) else {
            return;
        };
        let to = delivery.transit.to;
        let kind = self.frames.entry(Frame::kind_of(&bytes)).or_default();
        (kind.0, kind.1) = (kind.0 + 1, kind.1 + delivery.transit.size_bytes);
        if self.group_of[usize::from(peer)] != self.group_of[usize::from(to)] {
            self.network.counts.bytes_between_groups += delivery.transit.size_bytes;
        }
        self.host(peer).counts.bytes_sent += delivery.transit.size_bytes;
        if let Some(again) = delivery.again {
            self.queue.push(again, Event::Frame { peer: to, link, bytes: bytes.clone() });
        }
        match delivery.arrives {
            Some(arrives) => self.queue.push(arrives, Event::Frame { peer: to, link, bytes }),
            None => {
                let size = bytes.len() as u64;
                self.trace.event_with(now, Kind::Lost, to, [link.0, size], &bytes);
            }
        }
    }

    fn train(&mut self, now: SimTime, peer: u16, request: TrainRequest) {
        let epoch = request.epoch;
        let numbers = [u64::from(epoch.get()), 0];
        self.trace.event_with(now, Kind::Train, peer, numbers, &request.seed);
        let hostile = self.is_hostile(peer, epoch);
        if hostile {
            self.note_claim(peer, &request);
        }
        let base = request.base.clone();
        let learner = self.learner.clone();
        let pending = self.pool.submit(move || Outcome::of(&*learner, peer, &request));
        let waits_us = if hostile { ADVERSARY_WAITS_US } else { 0 };
        let ends = now.plus_us(self.training_us(peer) + waits_us);
        let host = self.host(peer);
        host.training = Some(InTraining { epoch, base, pending });
        let life = host.life;
        self.queue.push(ends, Event::Trained { peer, life });
    }

    fn training_us(&self, peer: u16) -> u64 {
        let pace_ms = u64::from(self.pace_ms[usize::from(peer)]);
        let training_ms = u64::from(self.scenario.training.steps.get()) * pace_ms;
        training_ms.saturating_mul(1_000)
    }

    fn persist(&mut self, now: SimTime, peer: u16, request: PersistRequest) {
        let ticket = request.ticket;
        let payload = request.payload.as_ref().map_or(0, |(_, payload)| payload.len() as u64);
        let entry = request.entries.last().map(|entry| *entry.hash().as_hash());
        let numbers = [ticket.number(), payload];
        match entry {
            Some(hash) => self.trace.event_named(now, Kind::Persist, peer, numbers, &hash),
            None => self.trace.event(now, Kind::Persist, peer, numbers[0], numbers[1]),
        }
        let host = self.host(peer);
        let (durable, life) = (host.disk.write(now, request), host.life);
        self.queue.push(durable, Event::Persisted { peer, life, ticket });
    }

    fn note(&mut self, now: SimTime, peer: u16, event: &peer::Event) {
        if self.host(peer).adversary.is_none() {
            self.seals.note(now, peer, event);
        }
        self.aggregates.note(event);
        match event {
            peer::Event::Published { epoch, bundle } => {
                let member = self.member_of(peer);
                let numbers = [u64::from(epoch.get()), u64::from(member)];
                self.trace.event_named(now, Kind::Published, peer, numbers, bundle.as_hash());
                self.deliveries.published(now, member, epoch.get());
            }
            peer::Event::Accepted { epoch, author, .. } => {
                let numbers = (u64::from(epoch.get()), u64::from(author.get()));
                self.trace.event(now, Kind::Accepted, peer, numbers.0, numbers.1);
                let here = self.epoch_at(now);
                if author.get() != self.member_of(peer) {
                    self.deliveries.accepted(now, author.get(), epoch.get(), here);
                }
            }
            peer::Event::Refused { code, .. } => {
                self.trace.event(now, Kind::Refused, peer, u64::from(*code), 0);
            }
            peer::Event::Voided { epoch, author } => {
                let numbers = (u64::from(epoch.get()), u64::from(author.get()));
                self.trace.event(now, Kind::Voided, peer, numbers.0, numbers.1);
            }
            peer::Event::Sealed { value, left_out, .. } => {
                let numbers = (u64::from(value.end.get()), *left_out as u64);
                self.trace.event(now, Kind::Sealed, peer, numbers.0, numbers.1);
            }
            peer::Event::TooLate { epoch } => {
                self.trace.event(now, Kind::TooLate, peer, u64::from(epoch.get()), 0);
            }
            // A fraud is a refusal, too, which is counted.
            peer::Event::Met { .. }
            | peer::Event::Fraud { .. }
            | peer::Event::Contribution { .. }
            | peer::Event::Aggregate { .. }
            | peer::Event::NoAggregate { .. }
            | peer::Event::Key { .. }
            | peer::Event::Skipped { .. }
            | peer::Event::Version { .. } => {}
        }
    }

    /// Schedules the machine's next wake-up.
    pub(super) fn rearm(&mut self, now: SimTime, peer: u16) {
        if let Some(due) = self.host(peer).rearm(now) {
            self.queue.push(due, Event::Wake { peer });
        }
    }

    /// Tells both ends of each link that came up or went down.
    pub(super) fn schedule_changes(
        &mut self,
        now: SimTime,
        changes: impl IntoIterator<Item = Change>,
    ) {
        for change in changes {
            let (Change::Up(link, pair) | Change::Down(link, pair, _)) = change;
            if let Some(carried) = change.carried() {
                self.carried.push(LinkUse { pair, ended: now, carried });
            }
            let [a, b] = pair.peers();
            for (peer, other) in [(a, b), (b, a)] {
                let event = match change {
                    Change::Up(..) => Event::LinkUp { peer, link, other },
                    Change::Down(..) => Event::LinkDown { peer, link },
                };
                self.queue.push(now, event);
            }
        }
    }
}
