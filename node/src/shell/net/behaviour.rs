//! Behaviour: which parts of libp2p are used, and how they are set.
//!
//! Membership comes first in the list: a stranger is refused before any other
//! part sees the connection. There is no DHT and no name server; addresses come
//! from the configuration, from commands, from mDNS and from rendezvous points.
//! Every peer can be dialled through relays and dial through them; it serves
//! others ([`super::serve`]) only if it is told to.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{
    PeerId, Transport, allow_block_list, autonat, connection_limits, dcutr, identify, mdns,
    memory_connection_limits, noise, ping, quic, relay, rendezvous, tcp, yamux,
};

use super::address::{keypair, to_libp2p};
use super::desk::Desk;
use super::muxer::PromptMuxer;
use super::stream::Contacts;
use super::{NetConfig, NetError, serve};

/// Longest time for dialling, encryption and multiplexing together.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// The same through a relay, which may have to be dialled first.
const RELAYED_HANDSHAKE_MAX: Duration = Duration::from_secs(15);
/// A connection without its contact stream is closed after this time.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Most connections whose handshake is under way, each direction.
const HANDSHAKES_MAX: u32 = 32;
/// Most streams of one connection: the contact, ping, identify, and room for
/// the short-lived ones that overlap.
pub(super) const STREAMS_MAX: usize = 16;
/// The same where circuits are streams of a connection with a relay.
const RELAY_STREAMS_MAX: usize = 128;
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
    through_relays: relay::client::Behaviour,
    upgrade: dcutr::Behaviour,
    pub rendezvous: Toggle<rendezvous::client::Behaviour>,
    probe: Toggle<autonat::v2::client::Behaviour>,
    relay: Toggle<relay::Behaviour>,
    desk: Toggle<Desk>,
    answer_probes: Toggle<autonat::v2::server::Behaviour>,
}

/// Makes the swarm of a peer.
pub(super) fn swarm(config: &NetConfig) -> Result<Swarm<Behaviour>, NetError> {
    let keypair = keypair(&config.key);
    let me = keypair.public().to_peer_id();
    let streams_max = streams_max(config);
    let settings = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_MAX)
        .with_max_negotiating_inbound_streams(streams_max);
    let (circuits, through_relays) = relay::client::new(me);
    let links = Links { alive_every: config.timing.alive_every, streams_max };
    let transport = transport(&links, &keypair, circuits)?;
    let behaviour = behaviour(config, &keypair, through_relays);
    Ok(Swarm::new(transport, behaviour, me, settings))
}

/// Only the connection between a relay and one of its peers has many streams.
fn streams_max(config: &NetConfig) -> usize {
    let reach = &config.reach;
    let uses_relays =
        reach.relay.is_some() || !reach.via.is_empty() || !reach.rendezvous.is_empty();
    if uses_relays { RELAY_STREAMS_MAX } else { STREAMS_MAX }
}

fn behaviour(
    config: &NetConfig,
    keypair: &Keypair,
    through_relays: relay::client::Behaviour,
) -> Behaviour {
    let me = keypair.public().to_peer_id();
    let reach = &config.reach;
    let members: std::collections::BTreeSet<_> = config.members.iter().map(to_libp2p).collect();
    let mut allowed = allow_block_list::Behaviour::<allow_block_list::AllowedPeers>::default();
    let services = reach.via.iter().chain(&reach.rendezvous).map(|service| service.id());
    for peer in members.iter().copied().chain(services) {
        allowed.allow_peer(peer);
    }
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES_MAX))
        .with_max_pending_outgoing(Some(HANDSHAKES_MAX))
        .with_max_established(Some(config.limits.connections_max))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let ping = ping::Config::new()
        .with_interval(config.timing.alive_every)
        .with_timeout(config.timing.silent_max);
    let seeks = !reach.via.is_empty() || !reach.rendezvous.is_empty();
    let registers = !reach.rendezvous.is_empty();
    Behaviour {
        members: allowed,
        cuts: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.limits.memory_bytes_max),
        ping: ping::Behaviour::new(ping),
        identify: serve::identify(keypair.public()),
        mdns: config.mdns.then(|| discovery(me)).flatten().into(),
        contacts: Contacts::new(members),
        through_relays,
        upgrade: dcutr::Behaviour::new(me),
        rendezvous: registers.then(|| rendezvous::client::Behaviour::new(keypair.clone())).into(),
        probe: seeks.then(autonat::v2::client::Behaviour::default).into(),
        relay: reach.relay.as_ref().map(|limits| serve::relay(me, limits)).into(),
        desk: reach.serves_rendezvous.then(|| Desk::new(serve::rendezvous())).into(),
        answer_probes: reach.answers_probes.then(autonat::v2::server::Behaviour::default).into(),
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

/// What every connection of a transport has.
pub(super) struct Links {
    pub alive_every: Duration,
    pub streams_max: usize,
}

fn transport(
    links: &Links,
    keypair: &Keypair,
    circuits: relay::client::Transport,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    // A circuit passes through a stranger, so it is encrypted as a socket is.
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise(keypair)?)
        .multiplex(yamux(links.streams_max))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(PromptMuxer::new(muxer))));
    let circuits = TransportTimeout::new(circuits, RELAYED_HANDSHAKE_MAX);
    let either = circuits.or_transport(direct(links, keypair)?);
    Ok(either.map(|either, _| either.into_inner()).boxed())
}

/// TCP and QUIC.
pub(super) fn direct(
    links: &Links,
    keypair: &Keypair,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetError> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise(keypair)?)
        .multiplex(yamux(links.streams_max))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(PromptMuxer::new(muxer))));
    let mut quic = quic::Config::new(keypair);
    quic.handshake_timeout = HANDSHAKE_MAX;
    quic.keep_alive_interval = links.alive_every;
    quic.max_concurrent_stream_limit = u32::try_from(links.streams_max).unwrap_or(u32::MAX);
    let quic = quic::tokio::Transport::new(quic)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(PromptMuxer::new(muxer))));
    let either = tcp.or_transport(quic).map(|either, _| either.into_inner());
    Ok(TransportTimeout::new(either, HANDSHAKE_MAX).boxed())
}

fn noise(keypair: &Keypair) -> Result<noise::Config, NetError> {
    noise::Config::new(keypair).map_err(|error| NetError::Transport(error.to_string()))
}

fn yamux(streams_max: usize) -> yamux::Config {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(streams_max);
    yamux
}
