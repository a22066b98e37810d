//! The engine: takes events off the heap and gives them to the peers.
//!
//! Everything that can happen is an `Event` with a time. A peer's outputs
//! become further events: a frame arrives when its link has carried it, a
//! write is durable when the disk has synced, training ends at its modelled
//! completion. The engine knows nothing of bundles, folds or models.

mod effects;

use std::sync::Arc;

use longhaul_dtn::agent::LinkId;
use longhaul_node::peer::{Input, Peer, PeerConfig, PeerError, Restored, Ticket};

use crate::clock::SimTime;
use crate::contacts::{Contact, Pair};
use crate::federation::Federation;
use crate::host::Host;
use crate::learner::Learner;
use crate::metrics::{Recorder, Sample};
use crate::network::Network;
use crate::pool::{Pool, WorkerLost};
use crate::queue::EventQueue;
use crate::scenario::Scenario;
use crate::seeds::{self, Node, Purpose};
use crate::trace::{Kind, Trace};

/// Something that happens at a point of virtual time.
#[derive(Debug)]
enum Event {
    Start { peer: u16 },
    Wake { peer: u16 },
    LinkUp { peer: u16, link: LinkId, other: u16 },
    LinkDown { peer: u16, link: LinkId },
    Frame { peer: u16, link: LinkId, bytes: Vec<u8> },
    Trained { peer: u16 },
    Persisted { peer: u16, ticket: Ticket },
    Epoch { epoch: u32 },
    ContactStart { pair: Pair },
    ContactEnd { pair: Pair },
    Partition { index: usize, on: bool },
    Sample { epoch: u32 },
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Simulated time.
    pub now: SimTime,
    /// When the run ends.
    pub end: SimTime,
    /// The epoch that just ended.
    pub epoch: u32,
    /// Events so far.
    pub events: u64,
}

/// A world in motion.
#[derive(Debug)]
pub struct Engine<'a> {
    scenario: &'a Scenario,
    hosts: Vec<Host>,
    network: Network,
    queue: EventQueue<Event>,
    trace: Trace,
    pool: Pool,
    learner: Arc<dyn Learner>,
    recorder: Recorder,
    end: SimTime,
    /// How long a peer's training takes, in microseconds.
    training_us: u64,
}

/// What is left when the time is up.
#[derive(Debug)]
pub struct Finished {
    /// The peers.
    pub hosts: Vec<Host>,
    /// The network, with its counts.
    pub network: Network,
    /// The digest of everything that happened.
    pub trace: Trace,
    /// What was measured.
    pub recorder: Recorder,
}

impl<'a> Engine<'a> {
    /// A world at time zero. Training runs on `pool` with `learner`.
    pub fn new(
        scenario: &'a Scenario,
        federation: &Federation,
        learner: Arc<dyn Learner>,
        pool: Pool,
    ) -> Result<Self, PeerError> {
        let training = &scenario.training;
        let training_ms = u64::from(training.steps.get()) * u64::from(training.pace_ms.get());
        let end_us = u64::from(scenario.epochs_total()) * scenario.epoch_us();
        let mut engine = Self {
            hosts: hosts(scenario, federation)?,
            network: Network::new(scenario),
            queue: EventQueue::new(),
            trace: Trace::new(),
            recorder: Recorder::new(scenario, learner.clone()),
            end: SimTime::from_us(end_us),
            training_us: training_ms.saturating_mul(1_000),
            scenario,
            pool,
            learner,
        };
        engine.schedule_known();
        Ok(engine)
    }

    /// Lets the world go on until its end; `watch` is told after every epoch.
    pub fn run(mut self, watch: &mut dyn FnMut(Progress)) -> Result<Finished, WorkerLost> {
        while let Some((now, event)) = self.queue.pop() {
            if now >= self.end {
                break;
            }
            let ended = match &event {
                Event::Sample { epoch } => Some(*epoch),
                _ => None,
            };
            self.happen(now, event)?;
            if let Some(epoch) = ended {
                watch(Progress { now, end: self.end, epoch, events: self.trace.events() });
            }
        }
        let Self { hosts, network, trace, recorder, .. } = self;
        Ok(Finished { hosts, network, trace, recorder })
    }

    /// Schedules what the scenario alone determines.
    fn schedule_known(&mut self) {
        for (index, cut) in self.scenario.faults.partition.iter().enumerate() {
            for (epoch, on) in [(cut.from_epoch, true), (cut.to_epoch, false)] {
                self.queue.push(self.epoch_start(epoch), Event::Partition { index, on });
            }
        }
        for peer in 0..self.scenario.peers.get() {
            self.queue.push(SimTime::ZERO, Event::Start { peer });
        }
        self.queue.push(SimTime::ZERO, Event::Epoch { epoch: 0 });
    }

    fn epoch_start(&self, epoch: u32) -> SimTime {
        SimTime::from_us(u64::from(epoch) * self.scenario.epoch_us())
    }

    fn happen(&mut self, now: SimTime, event: Event) -> Result<(), WorkerLost> {
        match event {
            Event::Start { peer } => {
                self.trace.event(now, Kind::Start, peer);
                self.give(now, peer, Input::Start);
            }
            Event::Wake { peer } => self.wake(now, peer),
            Event::LinkUp { peer, link, other } => self.link_up(now, peer, link, other),
            Event::LinkDown { peer, link } => {
                self.trace.event(now, Kind::LinkDown, peer).number(link.0);
                self.give(now, peer, Input::LinkDown { link });
            }
            Event::Frame { peer, link, bytes } => self.deliver(now, peer, link, bytes),
            Event::Trained { peer } => self.trained(now, peer)?,
            Event::Persisted { peer, ticket } => {
                self.trace.event(now, Kind::Persisted, peer).number(ticket.number());
                self.give(now, peer, Input::Persisted { ticket });
            }
            Event::Epoch { epoch } => self.begin_epoch(now, epoch),
            Event::ContactStart { pair } => {
                self.trace_pair(now, Kind::ContactStart, pair);
                let change = self.network.begin(pair);
                self.schedule_changes(now, change);
            }
            Event::ContactEnd { pair } => {
                self.trace_pair(now, Kind::ContactEnd, pair);
                let change = self.network.end(pair);
                self.schedule_changes(now, change);
            }
            Event::Partition { index, on } => self.switch(now, index, on),
            Event::Sample { epoch } => self.sample(now, epoch),
        }
        Ok(())
    }

    fn wake(&mut self, now: SimTime, peer: u16) {
        if self.host(peer).is_woken(now) {
            self.trace.event(now, Kind::Wake, peer);
            self.give(now, peer, Input::Wake);
        } else {
            self.rearm(now, peer);
        }
    }

    fn link_up(&mut self, now: SimTime, peer: u16, link: LinkId, other: u16) {
        self.trace.event(now, Kind::LinkUp, peer).number(link.0).number(u64::from(other));
        let other = self.host(other).id;
        self.give(now, peer, Input::LinkUp { link, peer: other });
    }

    fn deliver(&mut self, now: SimTime, peer: u16, link: LinkId, bytes: Vec<u8>) {
        let arrives = self.network.delivers(link);
        let kind = if arrives { Kind::Frame } else { Kind::Lost };
        self.trace.event(now, kind, peer).number(link.0).bytes(&bytes);
        if arrives {
            self.give(now, peer, Input::Frame { link, bytes });
        }
    }

    /// Joins the training that `peer` asked for; only here may the run wait.
    fn trained(&mut self, now: SimTime, peer: u16) -> Result<(), WorkerLost> {
        let Some((epoch, pending)) = self.host(peer).training.take() else {
            return Ok(());
        };
        let input = match pending.join()? {
            Ok(trained) => {
                let mut entry = self.trace.event(now, Kind::Trained, peer);
                entry.number(u64::from(epoch.get())).floats(&trained.parameters);
                entry.floats(&[trained.shared_loss]);
                Input::Trained(trained)
            }
            Err(why) => {
                let mut entry = self.trace.event(now, Kind::TrainingFailed, peer);
                entry.number(u64::from(epoch.get()));
                Input::TrainingFailed { epoch, why }
            }
        };
        self.give(now, peer, input);
        Ok(())
    }

    fn begin_epoch(&mut self, now: SimTime, epoch: u32) {
        let next = self.epoch_start(epoch + 1);
        // One microsecond before the next epoch: after everything in this one.
        let last_moment = SimTime::from_us(next.us() - 1);
        self.queue.push(last_moment, Event::Sample { epoch });
        self.queue.push(next, Event::Epoch { epoch: epoch + 1 });
        let (contacts, changes) = self.network.begin_epoch(epoch);
        self.schedule_changes(now, changes);
        for Contact { pair, from, to } in contacts {
            self.queue.push(from, Event::ContactStart { pair });
            if let Some(to) = to {
                self.queue.push(to, Event::ContactEnd { pair });
            }
        }
    }

    fn switch(&mut self, now: SimTime, index: usize, on: bool) {
        let kind = if on { Kind::PartitionOn } else { Kind::PartitionOff };
        self.trace.event(now, kind, 0).number(index as u64);
        let changes = self.network.switch(index, on);
        self.schedule_changes(now, changes);
    }

    fn sample(&mut self, now: SimTime, epoch: u32) {
        // While draining, nothing newer than the last training epoch can come.
        let last = self.scenario.epochs.get() - 1;
        for (peer, host) in (0..).zip(&mut self.hosts) {
            let status = host.peer().status();
            let sample = Sample {
                at: now,
                epoch,
                peer,
                lag: lag(epoch.min(last), status.term_newest.map(|term| term.get())),
                updates: status.updates,
                bytes_sent: host.counts.bytes_sent,
                model: status.model,
                due: false,
                score: None,
            };
            self.trace.event(now, Kind::Sample, peer).hash(status.model.as_hash());
            self.recorder.record(sample, &self.pool, || host.peer().model().to_f32());
        }
    }

    fn trace_pair(&mut self, now: SimTime, kind: Kind, pair: Pair) {
        let [a, b] = pair.peers();
        self.trace.event(now, kind, a).number(u64::from(b));
    }

    fn host(&mut self, peer: u16) -> &mut Host {
        &mut self.hosts[usize::from(peer)]
    }
}

fn hosts(scenario: &Scenario, federation: &Federation) -> Result<Vec<Host>, PeerError> {
    let host = |(index, key): (u16, &longhaul_dtn::identity::SecretKey)| {
        let config = PeerConfig {
            manifest: federation.manifest.clone(),
            key: key.clone(),
            nonce: seeds::bytes(scenario.seed, Node::Peer(index), Purpose::Nonce),
        };
        Ok(Host::new(key.peer_id(), Peer::new(config, Restored::default())?))
    };
    (0..).zip(&federation.keys).map(host).collect()
}

/// How many epochs the newest non-empty term lies behind the end of `epoch`.
const fn lag(epoch: u32, newest: Option<u32>) -> u32 {
    match newest {
        Some(newest) => epoch.saturating_sub(newest),
        None => epoch + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_the_newest_term() {
        for (epoch, newest, expected) in
            [(0, None, 1), (4, None, 5), (4, Some(4), 0), (4, Some(1), 3)]
        {
            assert_eq!(lag(epoch, newest), expected);
        }
    }
}
