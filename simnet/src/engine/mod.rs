//! The engine: takes events off the heap and gives them to the machines.
//!
//! Everything that can happen is an `Event` with a time. A machine's outputs
//! become further events: a frame arrives when its link has carried it, a
//! write is durable when the disk has synced, training ends at its modelled
//! completion. The engine knows nothing of bundles, folds or models.

mod attack;
mod blows;
mod effects;
mod sampling;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use longhaul_dtn::agent::{Held, LinkId};
use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{Input, Memo, PeerError, Ticket};

use crate::adversary::Seen;
use crate::clock::SimTime;
use crate::contacts::Contact;
use crate::delivery::Deliveries;
use crate::faults::{Blow, FaultCount};
use crate::federation::Federation;
use crate::host::{Host, InProof};
use crate::learner::Learner;
use crate::machine::Look;
use crate::metrics::Recorder;
use crate::network::Network;
use crate::pair::Pair;
use crate::pool::{Pool, WorkerLost};
use crate::proofs::{AggregateCounts, ProofCounts};
use crate::queue::EventQueue;
use crate::scenario::Scenario;
use crate::seals::SealLog;
use crate::trace::{Kind, Sink, Trace};
use sampling::Alone;

/// Something that happens at a point of virtual time.
#[derive(Debug)]
enum Event {
    Start { peer: u16 },
    Wake { peer: u16 },
    LinkUp { peer: u16, link: LinkId, other: u16 },
    LinkDown { peer: u16, link: LinkId },
    Frame { peer: u16, link: LinkId, bytes: Vec<u8> },
    Trained { peer: u16, life: u16 },
    Proven { peer: u16, life: u16 },
    Persisted { peer: u16, life: u16, ticket: Ticket },
    Epoch { epoch: u32 },
    ContactEnd { pair: Pair },
    Blow(Blow),
    Churn { peer: u16, down: bool },
    Radios { on: bool },
    Release { peer: u16, held: Box<Held> },
    Carry { peer: u16, epoch: u32 },
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
    /// Events so far; none when the first is about to happen.
    pub events: u64,
    /// The digest of everything so far.
    pub digest: ContentHash,
}

/// Is told before the first event and after every epoch where a run stands; a break
/// ends it there.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// What an engine is made from besides the scenario.
pub struct Parts {
    /// Who takes part.
    pub federation: Federation,
    /// What trains.
    pub learner: Arc<dyn Learner>,
    /// Where training runs.
    pub pool: Pool,
    /// Who meets whom, by time.
    pub contacts: Vec<Contact>,
    /// Sees every event.
    pub sink: Option<Sink>,
    /// Ends the run after so many events.
    pub events_max: Option<u64>,
    /// See [`crate::RunOptions::plant_bug`].
    pub plant_bug: bool,
}

/// A world in motion.
#[derive(Debug)]
pub struct Engine<'a> {
    scenario: &'a Scenario,
    federation: Federation,
    hosts: Vec<Host>,
    /// The member index of each peer.
    member_of_peer: Vec<u16>,
    /// The group of each peer.
    group_of: Vec<usize>,
    /// Modelled time of a step at each peer.
    pace_ms: Vec<u32>,
    network: Network,
    contacts: Vec<Contact>,
    next_contact: usize,
    queue: EventQueue<Event>,
    trace: Trace,
    pool: Pool,
    learner: Arc<dyn Learner>,
    recorder: Recorder,
    deliveries: Deliveries,
    seals: SealLog,
    alone: Option<Alone>,
    memo: Option<Memo>,
    /// Changes of honest peers by epoch, for adversaries that know them.
    honest: Option<BTreeMap<u32, Vec<Seen>>>,
    /// What all names of one adversary agreed on, by its place and epoch.
    agreed: BTreeMap<(usize, u32), Arc<Vec<f32>>>,
    /// The adversary whose hand is in contact with another host.
    visits: Option<u16>,
    fault_counts: BTreeMap<(crate::faults::FaultKind, u16), u64>,
    /// Peers that a crash fault holds down now, and how many do.
    held_down: BTreeMap<u16, u32>,
    /// Peers that are down, and whether their disk has a torn write.
    torn: BTreeMap<u16, bool>,
    carried: Vec<LinkUse>,
    /// Frames sent and their bytes, by kind.
    frames: BTreeMap<&'static str, (u64, u64)>,
    proofs: ProofCounts,
    aggregates: AggregateCounts,
    end: SimTime,
    events_max: Option<u64>,
    plant_bug: bool,
}

/// What one link carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkUse {
    /// The pair.
    pub pair: Pair,
    /// When the link went down.
    pub ended: SimTime,
    /// What it carried.
    pub carried: crate::links::Carried,
}

/// What is left when the time is up.
#[derive(Debug)]
pub struct Finished {
    /// The peers.
    pub hosts: Vec<Host>,
    /// The network, with its counts.
    pub network: Network,
    /// The digest of everything that happened.
    pub digest: ContentHash,
    /// Number of events.
    pub events: u64,
    /// What was measured; taken once.
    pub recorder: Option<Recorder>,
    /// How updates reached others.
    pub deliveries: Deliveries,
    /// What honest peers sealed, and when.
    pub seals: SealLog,
    /// How often each fault acted.
    pub faults: Vec<FaultCount>,
    /// What each link carried, in the order in which they ended.
    pub links: Vec<LinkUse>,
    /// Frames sent and their bytes, by kind.
    pub frames: BTreeMap<&'static str, (u64, u64)>,
    /// What was proved and verified.
    pub proofs: ProofCounts,
    /// What became of aggregates.
    pub aggregates: AggregateCounts,
    /// The plan that the run followed.
    pub contacts: Vec<Contact>,
    /// Honest peers, with sound disks, that are proved to have signed a slot twice.
    pub two_faced: usize,
    /// The member indices of hostile peers.
    pub hostile: BTreeSet<u16>,
    /// If the run was to end before its time: what each peer looked like then and its
    /// lag; none of one that was down.
    pub stopped: Option<Vec<Option<(Look, u32)>>>,
}

impl<'a> Engine<'a> {
    /// A world at time zero.
    pub fn new(scenario: &'a Scenario, parts: Parts) -> Result<Self, PeerError> {
        setup::engine(scenario, parts)
    }

    /// Lets the world go on until its end, or until `watch` ends it.
    pub fn run(mut self, watch: &mut Watch<'_>) -> Result<Finished, WorkerLost> {
        let mut last = SimTime::ZERO;
        let mut goes_on = watch(self.progress(last, 0)).is_continue();
        while goes_on {
            if self.events_max.is_some_and(|max| self.trace.events() >= max) {
                break;
            }
            let due = self.queue.next_at();
            if self.begin_contact_before(due) {
                last = SimTime::from_us(self.contacts[self.next_contact - 1].from_us);
                continue;
            }
            let Some((now, event)) = self.queue.pop() else { break };
            if now >= self.end {
                break;
            }
            last = now;
            let sampled = match &event {
                Event::Sample { epoch } => Some(*epoch),
                _ => None,
            };
            self.happen(now, event)?;
            if let Some(epoch) = sampled {
                goes_on = watch(self.progress(now, epoch)).is_continue();
            }
        }
        let stopped = self.events_max.map(|_| self.looks(last));
        Ok(Finished { stopped, ..self.finish() })
    }

    fn progress(&mut self, now: SimTime, epoch: u32) -> Progress {
        let (events, digest) = (self.trace.events(), self.trace.digest());
        Progress { now, end: self.end, epoch, events, digest }
    }

    fn finish(mut self) -> Finished {
        for (pair, carried) in self.network.live() {
            self.carried.push(LinkUse { pair, ended: self.end, carried });
        }
        let faults = self.fault_counts();
        let two_faced = self.two_faced();
        let members = self.hosts.iter().zip(&self.member_of_peer);
        let hostile = members.filter(|(host, _)| host.adversary.is_some());
        let hostile = hostile.map(|(_, member)| *member).collect();
        Finished {
            hostile,
            digest: self.trace.digest(),
            events: self.trace.events(),
            hosts: self.hosts,
            network: self.network,
            recorder: Some(self.recorder),
            deliveries: self.deliveries,
            seals: self.seals,
            links: self.carried,
            frames: self.frames,
            proofs: self.proofs,
            aggregates: self.aggregates,
            contacts: self.contacts,
            faults,
            two_faced,
            stopped: None,
        }
    }

    /// Honest peers whose disk never lied and who are proved two-faced in
    /// anybody's set: no fault but a bug explains it.
    fn two_faced(&mut self) -> usize {
        let mut proved = BTreeSet::new();
        for host in &mut self.hosts {
            if let Some(peer) = host.machine.as_mut().and_then(|machine| machine.peer()) {
                proved.extend(peer.fold().equivocations().into_iter().map(|it| it.member.get()));
            }
        }
        let hosts = self.hosts.iter().zip(&self.member_of_peer);
        let honest = hosts.filter(|(host, _)| host.adversary.is_none() && !host.disk.has_lied());
        honest.filter(|(_, member)| proved.contains(*member)).count()
    }

    /// Begins the next planned contact if nothing else comes before it.
    fn begin_contact_before(&mut self, due: Option<SimTime>) -> bool {
        let Some(contact) = self.contacts.get(self.next_contact).copied() else { return false };
        let now = SimTime::from_us(contact.from_us);
        if now >= self.end || due.is_some_and(|due| due < now) {
            return false;
        }
        self.next_contact += 1;
        let (a, b) = (contact.a, contact.b);
        self.trace.event(now, Kind::ContactStart, a, u64::from(b), contact.to_us);
        if let Some(pair) = Pair::new(a, b) {
            self.queue.push(SimTime::from_us(contact.to_us), Event::ContactEnd { pair });
        }
        let change = self.network.begin(now, &contact);
        self.schedule_changes(now, change);
        true
    }

    fn happen(&mut self, now: SimTime, event: Event) -> Result<(), WorkerLost> {
        match event {
            Event::Start { peer } => {
                self.trace.event(now, Kind::Start, peer, 0, 0);
                self.give(now, peer, Input::Start);
            }
            Event::Wake { peer } => self.wake(now, peer),
            Event::LinkUp { peer, link, other } => self.link_up(now, peer, link, other),
            Event::LinkDown { peer, link } => {
                self.trace.event(now, Kind::LinkDown, peer, link.0, 0);
                self.give(now, peer, Input::LinkDown { link });
            }
            Event::Frame { peer, link, bytes } => self.deliver(now, peer, link, bytes),
            Event::Trained { peer, life } => self.trained(now, peer, life)?,
            Event::Proven { peer, life } => self.proven(now, peer, life),
            Event::Persisted { peer, life, ticket } => self.persisted(now, peer, life, ticket),
            Event::Epoch { epoch } => self.begin_epoch(now, epoch)?,
            Event::ContactEnd { pair } => {
                let [a, b] = pair.peers();
                self.trace.event(now, Kind::ContactEnd, a, u64::from(b), 0);
                let change = self.network.end(now, pair);
                self.schedule_changes(now, change);
            }
            Event::Blow(blow) => self.blow(now, blow),
            Event::Churn { peer, down } => self.churn(now, peer, down),
            Event::Radios { on } => self.switch_radios(now, on),
            Event::Release { peer, held } => self.release(now, peer, *held),
            Event::Carry { peer, epoch } => self.carry(now, peer, epoch),
            Event::Sample { epoch } => self.sample(now, epoch)?,
        }
        Ok(())
    }

    fn wake(&mut self, now: SimTime, peer: u16) {
        if self.host(peer).is_woken(now) {
            self.trace.event(now, Kind::Wake, peer, 0, 0);
            self.give(now, peer, Input::Wake);
        } else {
            self.rearm(now, peer);
        }
    }

    fn link_up(&mut self, now: SimTime, peer: u16, link: LinkId, other: u16) {
        self.trace.event(now, Kind::LinkUp, peer, link.0, u64::from(other));
        let other = self.host(other).id;
        self.give(now, peer, Input::LinkUp { link, peer: other });
    }

    fn deliver(&mut self, now: SimTime, peer: u16, link: LinkId, bytes: Vec<u8>) {
        let arrives = self.network.delivers(link);
        let kind = if arrives { Kind::Frame } else { Kind::Lost };
        let size = bytes.len() as u64;
        self.trace.event_with(now, kind, peer, [link.0, size], &bytes);
        if arrives {
            self.give(now, peer, Input::Frame { link, bytes });
        }
    }

    fn persisted(&mut self, now: SimTime, peer: u16, life: u16, ticket: Ticket) {
        let host = self.host(peer);
        if host.life != life {
            return;
        }
        host.disk.synced(ticket);
        self.trace.event(now, Kind::Persisted, peer, ticket.number(), 0);
        self.give(now, peer, Input::Persisted { ticket });
    }

    /// Joins the training that `peer` asked for; only here may the run wait.
    fn trained(&mut self, now: SimTime, peer: u16, life: u16) -> Result<(), WorkerLost> {
        let host = self.host(peer);
        let Some(training) = host.training.take().filter(|_| host.life == life) else {
            return Ok(());
        };
        host.counts.trained += 1;
        let (epoch, base) = (training.epoch, training.base);
        let outcome = training.pending.join()?;
        let kind = if outcome.result.is_ok() { Kind::Trained } else { Kind::TrainingFailed };
        let numbers = [u64::from(epoch.get()), 0];
        self.trace.event_named(now, kind, peer, numbers, &outcome.digest);
        match outcome.result {
            Err(why) => self.give(now, peer, Input::TrainingFailed { epoch, why }),
            Ok(trained) => self.prove(now, peer, InProof { trained, base }),
        }
        Ok(())
    }

    /// Gives the peer what it trained once the time that proving takes has passed.
    fn prove(&mut self, now: SimTime, peer: u16, work: InProof) {
        let proof_ms = u64::from(self.scenario.training.proof_ms);
        if proof_ms == 0 {
            return self.hand_in(now, peer, work);
        }
        let host = self.host(peer);
        host.proving = Some(work);
        let life = host.life;
        self.queue.push(now.plus_ms(proof_ms), Event::Proven { peer, life });
    }

    fn proven(&mut self, now: SimTime, peer: u16, life: u16) {
        let host = self.host(peer);
        let Some(work) = host.proving.take_if(|_| host.life == life) else { return };
        let epoch = u64::from(work.trained.epoch.get());
        self.trace.event(now, Kind::Proven, peer, epoch, 0);
        self.hand_in(now, peer, work);
    }

    fn hand_in(&mut self, now: SimTime, peer: u16, work: InProof) {
        let InProof { trained, base } = work;
        if self.is_hostile(peer, trained.epoch) {
            self.attack(now, peer, &trained);
        } else {
            self.note_honest(peer, &trained, &base);
            self.give(now, peer, Input::Trained(trained));
        }
    }

    fn begin_epoch(&mut self, now: SimTime, epoch: u32) -> Result<(), WorkerLost> {
        let next = self.epoch_start(epoch + 1);
        // One microsecond before the next epoch: after everything in this one.
        let last_moment = SimTime::from_us(next.us() - 1);
        self.queue.push(last_moment, Event::Sample { epoch });
        self.queue.push(next, Event::Epoch { epoch: epoch + 1 });
        let changes = self.network.retry(now);
        self.schedule_changes(now, changes);
        self.schedule_carriers(now, epoch);
        self.forget_before(epoch);
        self.train_alone(epoch)
    }

    fn epoch_start(&self, epoch: u32) -> SimTime {
        SimTime::from_us(u64::from(epoch) * self.scenario.epoch_us())
    }

    fn epoch_at(&self, now: SimTime) -> u32 {
        u32::try_from(now.us() / self.scenario.epoch_us()).unwrap_or(u32::MAX)
    }

    fn host(&mut self, peer: u16) -> &mut Host {
        &mut self.hosts[usize::from(peer)]
    }
}
