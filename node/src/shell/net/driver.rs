//! Driver: the task that owns the swarm and decides which connection is the
//! link with a peer.
//!
//! There is at most one link per peer; `contact` says which connection it is, and
//! `reaching` what is done to be reached through NATs. The driver never waits for a
//! full channel: link tasks do, and events of its own wait in a bounded outbox.

mod contact;
mod reaching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use libp2p::allow_block_list::{Blocked, NotAllowed};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionDenied, ListenError, Swarm, SwarmEvent};
use libp2p::{mdns, ping};
use longhaul_dtn::agent::LinkId;
use longhaul_dtn::identity::PeerId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::address::{Route, from_libp2p, to_libp2p, without_peer};
use super::behaviour::{self, Behaviour, BehaviourEvent};
use super::link::LinkLimits;
use super::redial::{Redial, Source};
use super::stream::ContactEvent;
use super::{Command, LinkEnd, Links, NetConfig, NetError, NetEvent, PeerAddress, RefusedWhy};
use contact::Contact;
use reaching::Reaching;

/// Refusals waiting to be reported; further ones are only logged.
const OUTBOX_MAX: usize = 64;
/// Longest time for an orderly end of everything.
const SHUTDOWN_MAX: Duration = Duration::from_secs(4);

/// Owns the swarm.
pub(super) struct Driver {
    me: PeerId,
    members: BTreeSet<PeerId>,
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetEvent>,
    outbox: VecDeque<NetEvent>,
    links: Links,
    limits: LinkLimits,
    contacts: BTreeMap<PeerId, Contact>,
    tasks: JoinSet<(PeerId, LinkId, LinkEnd)>,
    redial: Redial,
    reaching: Reaching,
    cut: BTreeSet<PeerId>,
    next_link: u64,
}

/// One thing that the driver reacts to.
enum Step {
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
    Command(Command),
    LinkEnd((PeerId, LinkId, LinkEnd)),
    DialDue,
    SwitchDue,
    /// An event of the outbox was handed over.
    Reported,
}

/// The last cause of an error: libp2p's own texts say nothing.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).filter(|text| !text.is_empty()).last().unwrap_or_default()
}

impl Driver {
    pub(super) fn new(
        config: NetConfig,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<NetEvent>,
        links: Links,
    ) -> Result<Self, NetError> {
        let mut swarm = behaviour::swarm(&config)?;
        for address in &config.reach.announce {
            swarm.add_external_address(address.clone());
        }
        let reaching = Reaching::new(&config, Instant::now());
        for address in config.listen {
            swarm.listen_on(address.clone()).map_err(|error| {
                let why = innermost(&error);
                NetError::Listen { address, why }
            })?;
        }
        let mut driver = Self {
            me: config.key.peer_id(),
            members: config.members,
            swarm,
            commands,
            events,
            outbox: VecDeque::new(),
            links,
            limits: LinkLimits {
                queue_bytes_max: config.limits.queue_bytes_max,
                stall_max: config.timing.stall_max,
            },
            contacts: BTreeMap::new(),
            tasks: JoinSet::new(),
            redial: Redial::new(config.timing.redial, config.spread_seed),
            reaching,
            cut: BTreeSet::new(),
            next_link: 0,
        };
        config.peers.into_iter().for_each(|peer| driver.learn(peer));
        driver.seek_members();
        Ok(driver)
    }

    pub(super) async fn run(mut self) {
        while let Some(step) = self.step().await {
            match step {
                Step::Swarm(event) => self.on_swarm_event(*event),
                Step::Command(command) => self.on_command(command),
                Step::LinkEnd(ended) => self.on_link_end(ended),
                Step::DialDue => {
                    self.dial_due();
                    self.reach_due();
                }
                Step::SwitchDue => self.switch_due(),
                Step::Reported => {}
            }
        }
        let _ = tokio::time::timeout(SHUTDOWN_MAX, self.shut_down()).await;
    }

    /// Waits for the next thing to react to; `None` when it is time to end.
    async fn step(&mut self) -> Option<Step> {
        let due = self.redial.next_due().into_iter().chain(self.reaching.next_due()).min();
        let switch = self.next_switch();
        tokio::select! {
            event = self.swarm.select_next_some() => Some(Step::Swarm(Box::new(event))),
            command = self.commands.recv() => command.map(Step::Command),
            Some(ended) = self.tasks.join_next() => {
                Some(Step::LinkEnd(ended.expect("a link's task neither panics nor is cancelled")))
            }
            () = until(due) => Some(Step::DialDue),
            () = until(switch) => Some(Step::SwitchDue),
            permit = self.events.reserve(), if !self.outbox.is_empty() => {
                let event = self.outbox.pop_front().expect("the outbox is not empty");
                permit.ok()?.send(event);
                Some(Step::Reported)
            }
            () = self.events.closed() => None,
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial(peer) => self.learn(peer),
            Command::Cut(peers) => peers.into_iter().for_each(|peer| self.cut(peer)),
            Command::Heal(peers) => peers.into_iter().for_each(|peer| self.heal(peer)),
            Command::Shutdown => self.commands.close(),
        }
    }

    fn learn(&mut self, known: PeerAddress) {
        let peer = known.peer();
        if peer == self.me {
            return;
        }
        if !self.members.contains(&peer) {
            return self.report_refused(Some(peer), RefusedWhy::NotAMember);
        }
        let address = known.address().clone();
        if self.may_use(&address) {
            self.redial.learn(peer, address, Source::Given, Instant::now());
        }
    }

    fn cut(&mut self, peer: PeerId) {
        self.cut.insert(peer);
        self.redial.cut(peer, Instant::now());
        if let Some(contact) = self.contacts.get(&peer) {
            contact.sender.abort(LinkEnd::Cut);
        }
        self.swarm.behaviour_mut().cuts.block_peer(to_libp2p(&peer));
    }

    fn heal(&mut self, peer: PeerId) {
        self.cut.remove(&peer);
        self.swarm.behaviour_mut().cuts.unblock_peer(to_libp2p(&peer));
        self.redial.heal(peer, Instant::now());
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        for (peer, addresses) in self.redial.take_due(now) {
            tracing::trace!(peer = %peer.short(), ?addresses, "dialling");
            // A new port: two peers that dial each other from their listening
            // ports at once would open one TCP connection with two initiators.
            let dial = DialOpts::peer_id(to_libp2p(&peer))
                .condition(PeerCondition::NotDialing)
                .addresses(addresses)
                .allocate_new_port()
                .build();
            if let Err(error) = self.swarm.dial(dial) {
                tracing::debug!(peer = %peer.short(), %error, "cannot dial");
                self.redial.failed(peer, now);
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.on_listener_closed(listener_id, reason);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => {
                tracing::info!(%address, "reachable");
                self.reaching.hurry(Instant::now());
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.on_connected(&peer_id),
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_closed(&peer_id, connection_id);
                self.on_dial_over(&peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                tracing::debug!(%peer, %error, "dial failed");
                self.on_dial_over(&peer);
                self.reaching.failed(&peer, Instant::now());
            }
            SwarmEvent::IncomingConnectionError {
                peer_id,
                error: ListenError::Denied { cause },
                ..
            } => self.report_refused(peer_id.as_ref().and_then(from_libp2p), refused_why(&cause)),
            other => tracing::trace!(event = ?other, "swarm"),
        }
    }

    fn on_listening(&mut self, address: libp2p::Multiaddr) {
        // A circuit's address is reported as reachable once it is.
        if Route::of(&address) == Route::Relayed {
            return;
        }
        self.redial.hurry(Instant::now());
        self.serve_at(&address);
        self.outbox.push_back(NetEvent::Listening(address));
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Contacts(ContactEvent::Opened(opened)) => self.on_opened(opened),
            BehaviourEvent::Contacts(ContactEvent::Failed { peer, connection, why }) => {
                tracing::debug!(%peer, why, "no contact stream");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result: Err(ping::Failure::Timeout | ping::Failure::Other { .. }),
            }) => self.on_silent(&peer, connection),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.on_discovered(&peer, &address);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Expired(gone)) => {
                for (peer, address) in gone {
                    if let Some(peer) = from_libp2p(&peer) {
                        self.redial.forget(peer, &without_peer(&address));
                    }
                }
            }
            other => self.on_reach_event(other),
        }
    }

    fn on_discovered(&mut self, peer: &libp2p::PeerId, address: &libp2p::Multiaddr) {
        // Anybody on the local network can say anything; a relay is not taken from there.
        if Route::of(address) == Route::Relayed {
            return;
        }
        match from_libp2p(peer) {
            Some(peer) if peer != self.me && self.members.contains(&peer) => {
                let address = without_peer(address);
                self.redial.learn(peer, address, Source::Discovered, Instant::now());
            }
            // Other federations share the network; they are none of our business.
            _ => tracing::trace!(%peer, "mDNS found somebody who is not a member"),
        }
    }

    /// A dial ended without a link; no effect if the peer was not being dialled.
    fn on_dial_over(&mut self, peer: &libp2p::PeerId) {
        if let Some(peer) = from_libp2p(peer) {
            self.redial.failed(peer, Instant::now());
        }
    }

    fn report_refused(&mut self, peer: Option<PeerId>, why: RefusedWhy) {
        tracing::info!(peer = ?peer, %why, "refused a connection");
        if self.outbox.len() < OUTBOX_MAX {
            self.outbox.push_back(NetEvent::Refused { peer, why });
        }
    }

    /// Lets links send what is queued, then closes their connections in order.
    async fn shut_down(mut self) {
        self.links.all().iter().for_each(|link| link.close(LinkEnd::Shutdown));
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => match ended {
                    Some(Ok((peer, ..))) => self.contacts.remove(&peer).into_iter().for_each(|contact| {
                        self.swarm.close_connection(contact.connection);
                    }),
                    Some(Err(_)) => {}
                    None => break,
                },
                _ = self.swarm.select_next_some() => {}
            }
        }
        // Those with relays and rendezvous points have no link.
        let others: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in others {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        while self.swarm.network_info().connection_counters().num_established() > 0 {
            self.swarm.select_next_some().await;
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn refused_why(cause: &ConnectionDenied) -> RefusedWhy {
    if cause.downcast_ref::<NotAllowed>().is_some() {
        RefusedWhy::NotAMember
    } else if cause.downcast_ref::<Blocked>().is_some() {
        RefusedWhy::Cut
    } else {
        RefusedWhy::Limit(cause.to_string())
    }
}
