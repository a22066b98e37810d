//! A host: one simulated peer with its machine, its clock, its disk and its counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::{Epoch, SealValue};
use longhaul_dtn::identity::PeerId;
use longhaul_node::peer::{Event, Input, Output, TrainedModel};

use crate::adversary::Adversary;
use crate::clock::{PeerClock, SimTime};
use crate::disk::Disk;
use crate::learner::Outcome;
use crate::machine::Machine;
use crate::pool::Pending;

/// What a peer did in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostCounts {
    /// Own updates that it published.
    pub published: u32,
    /// Epochs that it trained.
    pub trained: u32,
    /// Epochs that it skipped.
    pub skipped: u32,
    /// Updates of others that it accepted.
    pub accepted: u64,
    /// Bundles and offers that it refused, by code and author.
    pub refused: BTreeMap<(u16, Option<u16>), u64>,
    /// Bytes that it put on links, length prefixes included.
    pub bytes_sent: u64,
    /// Times that its process ended.
    pub crashes: u32,
    /// What it sealed.
    pub sealed: Vec<SealValue>,
    /// Those of the seals that its own set did not say.
    pub adopted: u64,
    /// Slots that it saw turn void.
    pub voided: u64,
    /// Own updates that came too late for a seal.
    pub too_late: u64,
}

/// Training that is under way.
#[derive(Debug)]
pub struct InTraining {
    /// The epoch that it is for.
    pub epoch: Epoch,
    /// Where it started.
    pub base: Arc<Vec<f32>>,
    /// Its answer, once the worker has it.
    pub pending: Pending<Outcome>,
}

/// What was trained, while the time of proving it passes.
#[derive(Debug)]
pub struct InProof {
    /// What training gave.
    pub trained: TrainedModel,
    /// Where it started.
    pub base: Arc<Vec<f32>>,
}

/// One simulated peer.
#[derive(Debug)]
pub struct Host {
    /// Its name in the federation.
    pub id: PeerId,
    /// What it did so far.
    pub counts: HostCounts,
    /// Training that is under way.
    pub training: Option<InTraining>,
    /// Proving that is under way.
    pub proving: Option<InProof>,
    /// What runs; none while the process is down.
    pub machine: Option<Machine>,
    /// Its clock.
    pub clock: PeerClock,
    /// Its disk.
    pub disk: Disk,
    /// What makes it hostile.
    pub adversary: Option<Box<Adversary>>,
    /// Counts processes: what an earlier one asked for is not for this one.
    pub life: u16,
    armed: Option<SimTime>,
}

impl Host {
    /// A host whose process is about to start.
    pub fn new(id: PeerId, machine: Machine, clock: PeerClock, disk: Disk) -> Self {
        Self {
            id,
            counts: HostCounts::default(),
            training: None,
            proving: None,
            machine: Some(machine),
            clock,
            disk,
            adversary: None,
            life: 0,
            armed: None,
        }
    }

    /// True while the process runs.
    pub const fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// The process ends; what it was about to do is forgotten.
    pub fn end(&mut self) {
        self.machine = None;
        self.training = None;
        self.proving = None;
        self.armed = None;
        self.life = self.life.wrapping_add(1);
        self.counts.crashes += 1;
    }

    /// Forgets when the machine was to be woken.
    pub const fn disarm(&mut self) {
        self.armed = None;
    }

    /// Gives the machine an input.
    pub fn handle(&mut self, now: SimTime, input: Input) {
        let shown = self.clock.shows(now).timestamp();
        if let Some(machine) = &mut self.machine {
            machine.handle(shown, input);
        }
    }

    /// The next thing that the machine asks for; events are counted.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.machine.as_mut()?.poll()?;
        if let Output::Event(event) = &output {
            self.counts.count(event);
        }
        Some(output)
    }

    /// When to wake the machine, if that is sooner than what is scheduled.
    pub fn rearm(&mut self, now: SimTime) -> Option<SimTime> {
        let due = SimTime::of(self.machine.as_ref()?.wake_at()?);
        let due = self.clock.reaches(due);
        let due = if due <= now { now.next_ms() } else { due };
        if self.armed.is_some_and(|armed| armed <= due) {
            return None;
        }
        self.armed = Some(due);
        Some(due)
    }

    /// True if the wake-up that was scheduled for `now` is still wanted.
    pub fn is_woken(&mut self, now: SimTime) -> bool {
        if self.armed != Some(now) {
            return false;
        }
        self.armed = None;
        let shown = self.clock.shows(now);
        let due = self.machine.as_ref().and_then(Machine::wake_at);
        due.is_some_and(|due| SimTime::of(due) <= shown)
    }
}

impl HostCounts {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Published { .. } => self.published += 1,
            Event::Skipped { .. } => self.skipped += 1,
            Event::Accepted { .. } => self.accepted += 1,
            Event::Refused { code, author, .. } => {
                let author = author.map(|author| author.get());
                *self.refused.entry((*code, author)).or_default() += 1;
            }
            Event::Sealed { value, adopted, .. } => {
                self.sealed.push(*value);
                self.adopted += u64::from(*adopted);
            }
            Event::TooLate { .. } => self.too_late += 1,
            Event::Voided { .. } => self.voided += 1,
            Event::Met { .. }
            | Event::Fraud { .. }
            | Event::Contribution { .. }
            | Event::Aggregate { .. }
            | Event::NoAggregate { .. }
            | Event::Key { .. }
            | Event::Version { .. } => {}
        }
    }
}
