//! Behaviour: which parts of libp2p are used, and how they are set.
//!
//! Membership comes first in the list: a stranger is refused before any other
//! part sees the connection. There is no DHT, no relay and no name server;
//! addresses come from the configuration, from commands and from mDNS.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{
    PeerId, Transport, allow_block_list, connection_limits, identify, mdns,
    memory_connection_limits, noise, ping, quic, tcp, yamux,
};

use super::address::{keypair, to_libp2p};
use super::muxer::PromptMuxer;
use super::stream::Contacts;
use super::{NetConfig, NetError};

/// Longest time for dialling, encryption and multiplexing together.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// A connection without its contact stream is closed after this time.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Most connections whose handshake is under way, each direction.
const HANDSHAKES_MAX: u32 = 32;
/// Most streams of one connection: the contact, ping, identify, and room for
/// the short-lived ones that overlap.
const STREAMS_MAX: usize = 16;
/// Most connections with one peer: both sides may dial at once, and a dead
/// connection may linger while its successor is made.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;

/// What the swarm does on each connection.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour {
    pub members: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    pub cuts: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    contacts: Contacts,
}

/// Makes the swarm of a peer.
pub(super) fn swarm(config: &NetConfig) -> Result<Swarm<Behaviour>, NetError> {
    let keypair = keypair(&config.key);
    let me = keypair.public().to_peer_id();
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_MAX)
        .with_max_negotiating_inbound_streams(STREAMS_MAX);
    let behaviour = behaviour(config, &keypair, me);
    Ok(Swarm::new(transport(config.timing.alive_every, &keypair)?, behaviour, me, settings))
}

fn behaviour(config: &NetConfig, keypair: &Keypair, me: PeerId) -> Behaviour {
    let mut members = allow_block_list::Behaviour::<allow_block_list::AllowedPeers>::default();
    for member in &config.members {
        members.allow_peer(to_libp2p(member));
    }
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES_MAX))
        .with_max_pending_outgoing(Some(HANDSHAKES_MAX))
        .with_max_established(Some(config.limits.connections_max))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let ping = ping::Config::new()
        .with_interval(config.timing.alive_every)
        .with_timeout(config.timing.silent_max);
    let identify = identify::Config::new("/longhaul/1".to_owned(), keypair.public())
        .with_agent_version(concat!("longhaul/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    Behaviour {
        members,
        cuts: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.limits.memory_bytes_max),
        ping: ping::Behaviour::new(ping),
        identify: identify::Behaviour::new(identify),
        mdns: config.mdns.then(|| discovery(me)).flatten().into(),
        contacts: Contacts::default(),
    }
}

/// mDNS is a convenience: without it the peer still reaches those it knows.
fn discovery(me: PeerId) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), me)
        .inspect_err(|error| {
            tracing::warn!(%error, "mDNS is not available, only configured peers are dialled");
        })
        .ok()
}

/// TCP with Noise and Yamux, and QUIC.
pub(super) fn transport(
    alive_every: Duration,
    keypair: &Keypair,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let noise =
        noise::Config::new(keypair).map_err(|error| NetError::Transport(error.to_string()))?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS_MAX);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(PromptMuxer::new(muxer))));
    let mut quic = quic::Config::new(keypair);
    quic.handshake_timeout = HANDSHAKE_MAX;
    quic.keep_alive_interval = alive_every;
    quic.max_concurrent_stream_limit = u32::try_from(STREAMS_MAX).unwrap_or(u32::MAX);
    let quic = quic::tokio::Transport::new(quic)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(PromptMuxer::new(muxer))));
    let either = tcp.or_transport(quic).map(|either, _| either.into_inner());
    Ok(TransportTimeout::new(either, HANDSHAKE_MAX).boxed())
}
