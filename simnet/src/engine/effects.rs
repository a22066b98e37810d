//! Effects: what a peer asks for becomes events.
//!
//! A frame arrives when its link has carried it, a write is durable when the
//! disk has synced, and training ends at its modelled completion, however long
//! the worker takes.

use longhaul_dtn::agent::LinkId;
use longhaul_node::peer::{Input, Output, PersistRequest, TrainRequest};

use super::{Engine, Event};
use crate::clock::SimTime;
use crate::links::Change;
use crate::trace::Kind;

impl Engine<'_> {
    /// Gives a peer an input and turns everything that it asks for into events.
    pub(super) fn give(&mut self, now: SimTime, peer: u16, input: Input) {
        for output in self.host(peer).give(now, input) {
            match output {
                Output::Transmit { link, frame } => self.transmit(now, peer, link, frame),
                Output::Close { link, .. } => {
                    let change = self.network.close(link);
                    self.schedule_changes(now, change);
                }
                Output::Train(request) => self.train(now, peer, request),
                Output::Persist(request) => self.persist(now, peer, &request),
                Output::Event(_) => {}
            }
        }
        self.rearm(now, peer);
    }

    fn transmit(&mut self, now: SimTime, peer: u16, link: LinkId, bytes: Vec<u8>) {
        let Some(transit) = self.network.send(link, peer, now, bytes.len()) else {
            return;
        };
        self.host(peer).counts.bytes_sent += transit.size_bytes;
        self.queue.push(transit.arrives, Event::Frame { peer: transit.to, link, bytes });
    }

    fn train(&mut self, now: SimTime, peer: u16, request: TrainRequest) {
        let epoch = request.epoch;
        let mut entry = self.trace.event(now, Kind::Train, peer);
        entry.number(u64::from(epoch.get())).bytes(&request.seed).floats(&request.base);
        let learner = self.learner.clone();
        let pending = self.pool.submit(move || learner.train(peer, &request));
        self.host(peer).training = Some((epoch, pending));
        self.queue.push(now.plus_us(self.training_us), Event::Trained { peer });
    }

    fn persist(&mut self, now: SimTime, peer: u16, request: &PersistRequest) {
        let mut entry = self.trace.event(now, Kind::Persist, peer);
        entry.number(request.ticket.number());
        if let Some((hash, payload)) = &request.payload {
            entry.hash(hash).number(payload.len() as u64);
        }
        for log_entry in &request.entries {
            entry.bytes(log_entry.as_bytes());
        }
        let durable = self.host(peer).store(now, request);
        self.queue.push(durable, Event::Persisted { peer, ticket: request.ticket });
    }

    /// Schedules the peer's next wake-up.
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
            let (Change::Up(link, pair) | Change::Down(link, pair)) = change;
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
