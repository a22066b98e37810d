//! Setup: the world at time zero, and what the scenario alone schedules.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_dtn::agent::AgentConfig;
use longhaul_dtn::bundle::{BundleLimits, BundleMemo};
use longhaul_node::peer::{
    AdmissionMemo, AggregateMemo, Memo, Peer, PeerConfig, PeerError, ProofMemo, Restored,
};

use super::sampling::Alone;
use super::{Engine, Event, Parts};
use crate::adversary::{Adversary, Place};
use crate::clock::{PeerClock, SimTime};
use crate::delivery::Deliveries;
use crate::disk::Disk;
use crate::faults;
use crate::federation::Federation;
use crate::host::Host;
use crate::machine::{Carrier, Machine};
use crate::metrics::Recorder;
use crate::network::Network;
use crate::proofs::{AggregateCounts, ProofCounts};
use crate::queue::EventQueue;
use crate::scenario::{Crypto, Scenario, TrainingMode};
use crate::seals::SealLog;
use crate::seeds::{self, Node, Purpose};
use crate::terms::SharedTerms;
use crate::trace::Trace;

/// Bytes of a carrier's header: author and epoch.
const CARRIER_HEADER_BYTES: usize = 6;

pub(super) fn engine(scenario: &Scenario, parts: Parts) -> Result<Engine<'_>, PeerError> {
    let Parts { federation, learner, pool, contacts, sink, events_max, plant_bug } = parts;
    let memo = (scenario.crypto == Crypto::Memo).then(shared_memo);
    let mut hosts = hosts(scenario, &federation, memo.as_ref())?;
    turn_hostile(scenario, &federation, &mut hosts);
    let honest = hosts.iter().filter(|host| host.adversary.is_none()).count();
    let omniscient = hosts.iter().filter_map(|host| host.adversary.as_ref());
    let omniscient = omniscient.into_iter().any(|adversary| adversary.attack.is_omniscient());
    let end_us = u64::from(scenario.epochs_total()) * scenario.epoch_us();
    let initial = || federation.manifest.fold().model().clone();
    let alone = scenario.metrics.alone.then(|| Alone::new(&scenario.sampled_peers(), &initial()));
    let mut engine = Engine {
        member_of_peer: member_of_peer(scenario, &federation),
        group_of: scenario.group_of_peers(),
        pace_ms: paces(scenario),
        network: Network::new(scenario),
        contacts,
        next_contact: 0,
        queue: EventQueue::new(),
        trace: Trace::new(sink),
        recorder: Recorder::new(scenario, learner.clone()),
        deliveries: Deliveries::new(),
        seals: SealLog::new(u32::try_from(honest).unwrap_or(u32::MAX)),
        alone,
        memo,
        honest: omniscient.then(BTreeMap::new),
        agreed: BTreeMap::new(),
        visits: None,
        fault_counts: BTreeMap::new(),
        held_down: BTreeMap::new(),
        torn: BTreeMap::new(),
        carried: Vec::new(),
        frames: BTreeMap::new(),
        proofs: ProofCounts::default(),
        aggregates: AggregateCounts::default(),
        end: SimTime::from_us(end_us),
        events_max,
        plant_bug,
        scenario,
        federation,
        hosts,
        pool,
        learner,
    };
    schedule(&mut engine);
    Ok(engine)
}

fn shared_memo() -> Memo {
    Memo {
        bundles: Arc::new(BundleMemo::default()),
        admitted: Arc::new(AdmissionMemo::default()),
        proofs: Arc::new(ProofMemo::default()),
        aggregates: Arc::new(AggregateMemo::default()),
        terms: Arc::new(SharedTerms::default()),
    }
}

/// Schedules what the scenario alone determines.
fn schedule(engine: &mut Engine<'_>) {
    let scenario = engine.scenario;
    for blow in faults::blows(scenario) {
        engine.queue.push(blow.at, Event::Blow(blow));
    }
    for peer in 0..scenario.peers.get() {
        engine.queue.push(SimTime::ZERO, Event::Start { peer });
    }
    let groups = scenario.groups();
    for peer in 0..scenario.peers.get() {
        let Some(churn) = groups[engine.group_of[usize::from(peer)]].churn else { continue };
        let (up, down) = (churn.up_epochs.get(), churn.down_epochs.get());
        for (from, to) in faults::churn(scenario, peer, up, down) {
            for (epoch, down) in [(from, true), (to, false)] {
                let at = faults::at_epoch(scenario, epoch);
                engine.queue.push(at, Event::Churn { peer, down });
            }
        }
    }
    if scenario.link.duty_cycle.is_some() {
        engine.queue.push(SimTime::ZERO, Event::Radios { on: true });
    }
    engine.queue.push(SimTime::ZERO, Event::Epoch { epoch: 0 });
}

fn hosts(
    scenario: &Scenario,
    federation: &Federation,
    memo: Option<&Memo>,
) -> Result<Vec<Host>, PeerError> {
    let groups = scenario.groups();
    let of = scenario.group_of_peers();
    let crashes = !scenario.faults.crash.is_empty();
    let host = |peer: u16| {
        let group = &groups[of[usize::from(peer)]];
        let machine = machine(scenario, federation, peer, memo.cloned(), (0, Restored::default()))?;
        let id = federation.keys[usize::from(peer)].peer_id();
        let keeps = crashes || group.churn.is_some();
        Ok(Host::new(id, machine, clock(scenario, peer, group.clock), Disk::new(keeps)))
    };
    (0..scenario.peers.get()).map(host).collect()
}

/// What runs at `peer`, from what its disk holds.
pub(super) fn machine(
    scenario: &Scenario,
    federation: &Federation,
    peer: u16,
    memo: Option<Memo>,
    (life, restored): (u16, Restored),
) -> Result<Machine, PeerError> {
    let key = federation.keys[usize::from(peer)].clone();
    // A process draws its nonce when it starts.
    let seed = scenario.seed ^ u64::from(life) << 48;
    let nonce = seeds::bytes(seed, Node::Peer(peer), Purpose::Nonce);
    let manifest = federation.manifest.clone();
    if scenario.training.mode == TrainingMode::Transport {
        let lifetime = manifest.manifest().bounds.bundle_lifetime;
        let payload = scenario.transport.map_or(1, |it| u64::from(it.payload_bytes.get()));
        let limits = BundleLimits {
            header_bytes_max: CARRIER_HEADER_BYTES,
            proof_bytes_max: 0,
            payload_bytes_max: payload,
            lifetime_max: lifetime,
        };
        let mut config = AgentConfig::new(key.peer_id(), manifest.id().hash(), limits, nonce);
        config.memo = memo.map(|memo| memo.bundles);
        return Ok(Machine::Carrier(Box::new(Carrier::new(config, key, lifetime))));
    }
    let config = PeerConfig { manifest, key, nonce, memo };
    let mut peer = Peer::new(config, restored)?;
    peer.set_prover(federation.prover.clone());
    Ok(Machine::Peer(Box::new(peer)))
}

fn clock(scenario: &Scenario, peer: u16, model: Option<crate::scenario::ClockModel>) -> PeerClock {
    let Some(model) = model else { return PeerClock::default() };
    let mut stream = seeds::stream(scenario.seed, Node::Peer(peer), Purpose::Clock);
    let mut within = |most: f64| (most * (2.0 * seeds::unit(&mut stream) - 1.0)).round();
    PeerClock {
        offset_us: within(f64::from(model.skew_ms) * 1e3) as i64,
        drift_ppm: within(f64::from(model.drift_ppm)) as i32,
    }
}

fn turn_hostile(scenario: &Scenario, federation: &Federation, hosts: &mut [Host]) {
    let hostile = faults::hostile(scenario);
    for (&peer, &index) in &hostile {
        let declared = &scenario.adversary[index];
        let from = declared.at_epoch.get();
        let to = declared.for_epochs.map_or(f64::INFINITY, |length| from + length.get());
        let names = hostile.values().filter(|other| **other == index).count();
        let peer = usize::from(peer);
        let place = Place { index, names, epochs: (from, to) };
        let adversary = Adversary::new(declared.attack, place, federation, peer);
        hosts[peer].adversary = Some(Box::new(adversary));
    }
}

fn paces(scenario: &Scenario) -> Vec<u32> {
    let groups = scenario.groups();
    let pace = |group: usize| groups[group].pace_ms.unwrap_or(scenario.training.pace_ms).get();
    scenario.group_of_peers().into_iter().map(pace).collect()
}

fn member_of_peer(scenario: &Scenario, federation: &Federation) -> Vec<u16> {
    if scenario.training.mode == TrainingMode::Transport {
        return (0..scenario.peers.get()).collect();
    }
    let manifest = federation.manifest.manifest();
    let member = |key: &longhaul_dtn::identity::SecretKey| {
        manifest.member_index(&key.peer_id()).expect("every peer is a member").get()
    };
    federation.keys.iter().map(member).collect()
}

impl Engine<'_> {
    /// The member index of a peer.
    pub(super) fn member_of(&self, peer: u16) -> u16 {
        self.member_of_peer[usize::from(peer)]
    }
}
