//! Relay: a process that helps peers behind NATs to meet, and holds nothing of theirs.
//!
//! It need not be a member of a federation and takes part in none. Strangers may use
//! it, so everything is bounded: connections in all and from one network address,
//! reservations, circuits, and what a circuit may move ([`super::serve`]). What it
//! passes on is encrypted between the two ends of a circuit: it learns who talks to
//! whom, when and how much, and nothing else.

use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{ListenError, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{
    Multiaddr, autonat, connection_limits, identify, memory_connection_limits, ping, relay,
    rendezvous,
};
use longhaul_dtn::identity::SecretKey;
use tokio::time::Instant;

use super::address::{ServiceAddress, keypair};
use super::behaviour::{Links, direct};
use super::crowd::Crowd;
use super::desk::Desk;
use super::{NetError, RelayLimits, serve};
use crate::shell::tally::Tally;

/// Time between signs of life, and how long one may stay unanswered.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const SILENT_MAX: Duration = Duration::from_secs(20);
/// A connection without a reservation or circuit is closed after this time.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Most connections whose handshake is under way, each direction.
const HANDSHAKES_MAX: u32 = 64;
/// Most connections with one peer.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Most streams of one connection; each circuit is one.
const STREAMS_MAX: usize = 128;

/// How to run a relay.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The relay's key; its id is part of its address.
    pub key: SecretKey,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach it, if not those that it listens at.
    pub announce: Vec<Multiaddr>,
    /// What strangers may make it hold and move.
    pub limits: RelayLimits,
    /// Be a rendezvous point, too.
    pub rendezvous: bool,
    /// Dial those back that ask whether they can be reached (AutoNAT).
    pub answers_probes: bool,
    /// Most established connections.
    pub connections_max: u32,
    /// Most connections from one IPv4 address or IPv6 network of 64 bits.
    pub connections_per_address_max: usize,
    /// Above this size of the whole process no connection is accepted.
    pub memory_bytes_max: usize,
}

/// A relay that listens; nothing happens unless it is asked for [`RelayServer::next`].
pub struct RelayServer {
    config: RelayConfig,
    swarm: Swarm<Behaviour>,
    /// Connections that were turned away.
    denied: Tally,
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    crowd: Crowd,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    relay: relay::Behaviour,
    desk: Toggle<Desk>,
    answer_probes: Toggle<autonat::v2::server::Behaviour>,
}

impl RelayServer {
    /// Starts to listen; needs a running tokio runtime.
    pub fn start(config: RelayConfig) -> Result<Self, NetError> {
        super::listening::check(&config.listen)?;
        let keypair = keypair(&config.key);
        let me = keypair.public().to_peer_id();
        let links = Links { alive_every: ALIVE_EVERY, streams_max: STREAMS_MAX };
        let settings = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_MAX)
            .with_max_negotiating_inbound_streams(STREAMS_MAX);
        let behaviour = behaviour(&config, keypair.public());
        let mut swarm = Swarm::new(direct(&links, &keypair)?, behaviour, me, settings);
        for address in &config.listen {
            swarm.listen_on(address.clone()).map_err(|error| NetError::Listen {
                address: address.clone(),
                why: super::driver::innermost(&error),
            })?;
        }
        config.announce.iter().for_each(|address| swarm.add_external_address(address.clone()));
        Ok(Self { config, swarm, denied: Tally::default() })
    }

    /// Serves until there is one more address at which it is reached; tells it.
    pub async fn next(&mut self) -> ServiceAddress {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    if let Some(address) = self.listening(address) {
                        return address;
                    }
                }
                SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => serve::log(&event),
                SwarmEvent::Behaviour(BehaviourEvent::Desk(event)) => log_desk(&event),
                SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                    connection,
                    result: Err(ping::Failure::Timeout | ping::Failure::Other { .. }),
                    ..
                })) => {
                    self.swarm.close_connection(connection);
                }
                SwarmEvent::IncomingConnectionError {
                    error: ListenError::Denied { cause },
                    send_back_addr,
                    ..
                } => {
                    // Whoever knocks on and on does not fill the log.
                    if let Some(connections) = self.denied.note(Instant::now()) {
                        let last_from = super::desk::network(&send_back_addr);
                        let last_why = super::driver::innermost(&cause);
                        tracing::info!(connections, %last_from, last_why, "refused");
                    }
                }
                other => tracing::trace!(event = ?other, "swarm"),
            }
        }
    }

    /// The address to tell, unless others are to be told another.
    fn listening(&mut self, address: Multiaddr) -> Option<ServiceAddress> {
        let me = *self.swarm.local_peer_id();
        if self.config.announce.is_empty() {
            // A relay for this machine alone is one that only listens here.
            let here_alone = self.config.listen.iter().all(|address| !serve::is_public(address));
            if serve::is_public(&address) || here_alone {
                self.swarm.add_external_address(address.clone());
            }
        }
        ServiceAddress::new(me, address).ok()
    }
}

fn behaviour(config: &RelayConfig, key: libp2p::identity::PublicKey) -> Behaviour {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES_MAX))
        .with_max_pending_outgoing(Some(HANDSHAKES_MAX))
        .with_max_established(Some(config.connections_max))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let ping = ping::Config::new().with_interval(ALIVE_EVERY).with_timeout(SILENT_MAX);
    let probes = config.answers_probes.then(autonat::v2::server::Behaviour::default);
    Behaviour {
        crowd: Crowd::new(config.connections_per_address_max),
        limits: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.memory_bytes_max),
        ping: ping::Behaviour::new(ping),
        relay: serve::relay(key.to_peer_id(), &config.limits),
        desk: config.rendezvous.then(|| Desk::new(serve::rendezvous())).into(),
        answer_probes: probes.into(),
        identify: serve::identify(key),
    }
}

fn log_desk(event: &rendezvous::server::Event) {
    use rendezvous::server::Event as E;
    match event {
        E::PeerRegistered { peer, registration } => {
            tracing::info!(%peer, namespace = %registration.namespace, "registered");
        }
        E::PeerNotRegistered { peer, error, .. } => {
            tracing::info!(%peer, ?error, "registration refused");
        }
        other => tracing::trace!(event = ?other, "rendezvous"),
    }
}
