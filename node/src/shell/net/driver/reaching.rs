//! Reaching: what the driver does to be reached through NATs, and for those who
//! are behind them.
//!
//! The table of what is due is [`Reach`]; here it meets the swarm. What a rendezvous
//! point says is believed of members only, each of whom signed its own addresses, and
//! the relays in these may be connected to: a member chooses where it is reached.

use std::collections::BTreeSet;

use libp2p::core::transport::ListenerId;
use libp2p::rendezvous::{Namespace, Registration, client as rendezvous};
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, relay};
use tokio::time::Instant;

use super::{Driver, innermost};
use crate::shell::net::address::{
    PeerAddress, Route, ServiceAddress, from_libp2p, to_libp2p, without_peer,
};
use crate::shell::net::behaviour::BehaviourEvent;
use crate::shell::net::reach::{Answer, Question, REGISTRATION_S, Reach, Task};
use crate::shell::net::redial::{ADDRESSES_MAX, Source};
use crate::shell::net::{NetConfig, serve};

/// Most relays that may be connected to, whoever named them.
const RELAYS_MAX: usize = 64;
/// Most registrations that a rendezvous point is asked for.
const REGISTRATIONS_MAX: u64 = 1_024;

/// What the driver knows of relays and rendezvous points.
pub(super) struct Reaching {
    reach: Reach,
    /// Relays of this peer, for every member that may have a reservation there.
    via: Vec<ServiceAddress>,
    namespace: Option<Namespace>,
    relays: BTreeSet<PeerId>,
    serves: bool,
}

impl Reaching {
    pub(super) fn new(config: &NetConfig, now: Instant) -> Self {
        let reach = &config.reach;
        // With a rendezvous point the members are looked for there.
        let namespace = Namespace::new(reach.namespace.clone()).ok();
        let namespace = namespace.filter(|_| !reach.rendezvous.is_empty());
        Self {
            reach: Reach::new(reach.via.clone(), reach.rendezvous.clone(), config.spread_seed, now),
            via: reach.via.clone(),
            namespace,
            relays: reach.via.iter().map(ServiceAddress::id).collect(),
            serves: reach.relay.is_some() && reach.announce.is_empty(),
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.reach.next_due()
    }

    /// Somebody is missed, or this peer's addresses changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.reach.hurry(now);
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, peer: &PeerId, now: Instant) {
        self.reach.failed(peer, now);
    }
}

impl Driver {
    /// Without a rendezvous point any member may be at this peer's own relays.
    pub(super) fn seek_members(&mut self) {
        let now = Instant::now();
        for relay in self.reaching.via.clone() {
            for member in self.members.clone().into_iter().filter(|member| *member != self.me) {
                if to_libp2p(&member) == relay.id() {
                    self.redial.learn(member, relay.address().clone(), Source::Given, now);
                } else if self.reaching.namespace.is_none() {
                    self.redial.learn(member, relay.circuit(), Source::Given, now);
                }
            }
        }
    }

    /// Whether an address may be dialled; lets its relay be connected to, if it has one.
    pub(super) fn may_use(&mut self, address: &Multiaddr) -> bool {
        let Some(relay) = ServiceAddress::of_circuit(address) else {
            return Route::of(address) == Route::Direct;
        };
        let relays = &mut self.reaching.relays;
        if !relays.contains(&relay.id()) && relays.len() >= RELAYS_MAX {
            tracing::debug!(relay = %relay, "more than {RELAYS_MAX} relays, not used");
            return false;
        }
        relays.insert(relay.id());
        self.swarm.behaviour_mut().members.allow_peer(relay.id());
        true
    }

    /// A relay tells its peers where it is.
    pub(super) fn serve_at(&mut self, address: &Multiaddr) {
        if self.reaching.serves && serve::is_public(address) {
            self.swarm.add_external_address(address.clone());
        }
    }

    pub(super) fn reach_due(&mut self) {
        let now = Instant::now();
        for task in self.reaching.reach.take_due(now) {
            match task {
                Task::Reserve(relay) => match self.swarm.listen_on(relay.circuit()) {
                    Ok(listener) => self.reaching.reach.asked(&relay, listener),
                    Err(error) => {
                        tracing::warn!(relay = %relay, error = innermost(&error), "cannot reserve");
                        self.reaching.reach.not_asked(&relay, now);
                    }
                },
                Task::Meet(point) if self.swarm.is_connected(&point.id()) => {
                    self.on_connected(&point.id());
                }
                Task::Meet(point) => self.meet(&point, now),
            }
        }
    }

    /// Connects to a rendezvous point, unless the relay that it is does so already: it
    /// would give up if it found another dial under way.
    fn meet(&mut self, point: &ServiceAddress, now: Instant) {
        if self.reaching.reach.is_asking(&point.id()) {
            return;
        }
        let dial = DialOpts::peer_id(point.id())
            .condition(PeerCondition::NotDialing)
            .addresses(vec![point.address().clone()])
            .build();
        match self.swarm.dial(dial) {
            // Another dial of it is under way, which ends in one way or the other.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => {
                tracing::debug!(point = %point, %error, "cannot dial");
                self.reaching.reach.failed(&point.id(), now);
            }
        }
    }

    pub(super) fn on_connected(&mut self, peer: &PeerId) {
        match self.reaching.reach.connected(peer, Instant::now()) {
            Some(Question::Register) => self.register(*peer),
            Some(Question::WhoIsThere) => self.who_is_there(*peer),
            None => {}
        }
    }

    fn register(&mut self, point: PeerId) {
        let Some(namespace) = self.reaching.namespace.clone() else { return };
        let Some(client) = self.swarm.behaviour_mut().rendezvous.as_mut() else { return };
        if let Err(error) = client.register(namespace, point, Some(REGISTRATION_S)) {
            // Without an address of its own this peer can still look for the others.
            tracing::debug!(%point, %error, "not registered");
            self.who_is_there(point);
        }
    }

    fn who_is_there(&mut self, point: PeerId) {
        let namespace = self.reaching.namespace.clone();
        if let Some(client) = self.swarm.behaviour_mut().rendezvous.as_mut() {
            client.discover(namespace, None, Some(REGISTRATIONS_MAX), point);
        }
    }

    pub(super) fn on_listener_closed(
        &mut self,
        listener: ListenerId,
        reason: Result<(), std::io::Error>,
    ) {
        let why = match &reason {
            Ok(()) => "the connection ended".to_owned(),
            Err(error) => innermost(error),
        };
        match self.reaching.reach.lost(listener, Instant::now()) {
            Some((relay, 1)) => {
                tracing::warn!(relay = %relay, why, "no reservation, asking again");
            }
            Some((relay, _)) => tracing::debug!(relay = %relay, why, "still no reservation"),
            None => tracing::debug!(?listener, why, "listener closed"),
        }
    }

    /// Events of the parts that get peers through NATs.
    pub(super) fn on_reach_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::ThroughRelays(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => {
                self.reaching.reach.held(&relay_peer_id);
                if !renewal {
                    tracing::info!(relay = %relay_peer_id, "reservation");
                    // Those that are missed may have come back to the relay, too.
                    self.redial.hurry(Instant::now());
                }
            }
            BehaviourEvent::Rendezvous(event) => self.on_rendezvous(event),
            BehaviourEvent::Upgrade(event) => match &event.result {
                Ok(_) => tracing::info!(peer = %event.remote_peer_id, "direct through the NAT"),
                Err(error) => {
                    tracing::debug!(peer = %event.remote_peer_id, %error, "stays relayed");
                }
            },
            BehaviourEvent::Probe(event) => {
                tracing::debug!(address = %event.tested_addr, result = ?event.result, "probed");
            }
            BehaviourEvent::Relay(event) => serve::log(&event),
            other => tracing::trace!(event = ?other, "behaviour"),
        }
    }

    fn on_rendezvous(&mut self, event: rendezvous::Event) {
        let now = Instant::now();
        match event {
            rendezvous::Event::Registered { rendezvous_node, .. } => {
                tracing::debug!(point = %rendezvous_node, "registered");
                self.reaching.reach.registered(&rendezvous_node, now);
                self.who_is_there(rendezvous_node);
            }
            rendezvous::Event::RegisterFailed { rendezvous_node, error, .. } => {
                tracing::warn!(point = %rendezvous_node, ?error, "not registered");
                self.who_is_there(rendezvous_node);
            }
            rendezvous::Event::Discovered { rendezvous_node, registrations, .. } => {
                self.on_answer(&rendezvous_node, &registrations, now);
            }
            rendezvous::Event::DiscoverFailed { rendezvous_node, error, .. } => {
                tracing::debug!(point = %rendezvous_node, ?error, "no answer");
                self.reaching.reach.failed(&rendezvous_node, now);
            }
            rendezvous::Event::Expired { peer } => {
                if let Some(peer) = from_libp2p(&peer).filter(|peer| self.members.contains(peer)) {
                    self.redial.registered(peer, Vec::new(), now);
                }
            }
        }
    }

    fn on_answer(&mut self, point: &PeerId, registrations: &[Registration], now: Instant) {
        let (mut lists_me, mut is_new) = (false, false);
        for registration in registrations {
            let Some(peer) = from_libp2p(&registration.record.peer_id()) else { continue };
            if peer == self.me {
                lists_me = true;
            } else if self.members.contains(&peer) {
                let addresses = registration.record.addresses().iter().take(ADDRESSES_MAX);
                let addresses = addresses.map(without_peer).filter(|address| {
                    PeerAddress::new(peer, address.clone()).is_ok() && self.may_use(address)
                });
                let addresses: Vec<_> = addresses.collect();
                is_new |= self.redial.registered(peer, addresses, now);
            }
        }
        let misses_somebody = self.contacts.len() + 1 < self.members.len();
        tracing::debug!(%point, listed = registrations.len(), lists_me, is_new, "who is there");
        self.reaching.reach.answered(point, Answer { lists_me, is_new, misses_somebody }, now);
    }
}
