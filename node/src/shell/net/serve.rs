//! Serve: what this process does for others behind NATs, and its bounds.
//!
//! A relay passes bytes between two peers that cannot reach each other (libp2p
//! circuit relay v2), a rendezvous point lists the signed addresses of those who
//! registered, AutoNAT tells a peer whether it can be dialled. A member serves
//! members only, since nobody else may connect; a relay of its own
//! ([`super::relay`]) serves strangers. Everything that they can make it hold or
//! move is bounded here.

use std::num::NonZeroU32;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identify, identity, relay, rendezvous};

/// How long a reservation holds; clients renew it after three quarters.
const RESERVATION_TIME: Duration = Duration::from_secs(3_600);
/// Reservations of one peer: the second is that of a connection whose end has not
/// been noticed yet.
const RESERVATIONS_PER_PEER_MAX: usize = 2;
/// Requests of each kind that one address may make at once, then one each
/// [`PER_ADDRESS_EVERY`]: a site of a hundred peers that come back together.
const PER_ADDRESS_BURST: NonZeroU32 = NonZeroU32::new(256).expect("not zero");
const PER_ADDRESS_EVERY: Duration = Duration::from_secs(1);
/// The same for one peer, each [`PER_PEER_EVERY`].
const PER_PEER_BURST: NonZeroU32 = NonZeroU32::new(64).expect("not zero");
const PER_PEER_EVERY: Duration = Duration::from_secs(2);
/// Registrations at a rendezvous point: of one peer, together, and cursors of
/// those who page through them. A cursor may list every registration, 16 bytes each.
const REGISTRATIONS_PER_PEER_MAX: usize = 4;
const REGISTRATIONS_MAX: usize = 4_096;
const CURSORS_MAX: usize = 256;
/// Shortest and longest time of a registration, in seconds; who asks for no time
/// gets two hours.
const REGISTRATION_S_MIN: u64 = 60;
const REGISTRATION_S_MAX: u64 = 7_200;

/// What a relay may be made to hold and to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// Most peers that can be reached through it.
    pub reservations_max: usize,
    /// Most circuits that are open.
    pub circuits_max: usize,
    /// Most circuits that are open with one peer at an end; at least 1.
    pub circuits_per_peer_max: usize,
    /// Most bytes that one circuit moves, both directions together.
    pub circuit_bytes_max: u64,
    /// Longest time that one circuit is open; at most [`u32::MAX`] seconds.
    pub circuit_time_max: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            reservations_max: 128,
            circuits_max: 128,
            circuits_per_peer_max: 16,
            circuit_bytes_max: 256 << 20,
            circuit_time_max: Duration::from_secs(3_600),
        }
    }
}

/// The relay.
pub(super) fn relay(me: PeerId, limits: &RelayLimits) -> relay::Behaviour {
    // The relay compares what there is with `>` for each peer, and with `>=` in all.
    let config = relay::Config {
        max_reservations: limits.reservations_max,
        max_reservations_per_peer: RESERVATIONS_PER_PEER_MAX - 1,
        reservation_duration: RESERVATION_TIME,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits_max,
        max_circuits_per_peer: limits.circuits_per_peer_max.saturating_sub(1),
        max_circuit_duration: limits.circuit_time_max,
        max_circuit_bytes: limits.circuit_bytes_max,
        circuit_src_rate_limiters: Vec::new(),
    };
    // Addresses first: peer ids cost a stranger nothing, and each has a counter.
    let config = config
        .reservation_rate_per_ip(PER_ADDRESS_BURST, PER_ADDRESS_EVERY)
        .reservation_rate_per_peer(PER_PEER_BURST, PER_PEER_EVERY)
        .circuit_src_per_ip(PER_ADDRESS_BURST, PER_ADDRESS_EVERY)
        .circuit_src_per_peer(PER_PEER_BURST, PER_PEER_EVERY);
    let mut relay = relay::Behaviour::new(me, config);
    relay.set_status(Some(relay::Status::Enable));
    relay
}

/// The rendezvous point, behind its [`super::desk::Desk`].
pub(super) fn rendezvous() -> rendezvous::server::Behaviour {
    let config = rendezvous::server::Config::default()
        .with_min_ttl(REGISTRATION_S_MIN)
        .with_max_ttl(REGISTRATION_S_MAX)
        .with_max_registration_per_peer(REGISTRATIONS_PER_PEER_MAX)
        .with_max_registration_total(REGISTRATIONS_MAX)
        .with_max_stored_cookies(CURSORS_MAX);
    rendezvous::server::Behaviour::new(config)
}

/// Tells others from where they are seen, and nothing of where this process listens.
pub(super) fn identify(key: identity::PublicKey) -> identify::Behaviour {
    let config = identify::Config::new("/longhaul/1".to_owned(), key)
        .with_agent_version(concat!("longhaul/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

/// Whether a relay can be reached from elsewhere at the address that it listens at.
pub(super) fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => !ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => !ip.is_loopback(),
        _ => false,
    }
}

/// Logs what a relay does; it decides on its own.
pub(super) fn log(event: &relay::Event) {
    use relay::Event as E;
    match event {
        E::ReservationReqAccepted { src_peer_id, renewed: false } => {
            tracing::info!(peer = %src_peer_id, "reservation");
        }
        E::ReservationReqDenied { src_peer_id, status } => {
            tracing::info!(peer = %src_peer_id, ?status, "reservation refused");
        }
        E::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
            tracing::info!(from = %src_peer_id, to = %dst_peer_id, "circuit");
        }
        E::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
            tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "circuit refused");
        }
        E::CircuitClosed { src_peer_id, dst_peer_id, error } => {
            let why = error.as_ref().map(ToString::to_string);
            tracing::info!(from = %src_peer_id, to = %dst_peer_id, why, "circuit closed");
        }
        other => tracing::trace!(event = ?other, "relay"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_not_reached_at_a_loopback_address() {
        for (address, public) in [
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/ip6/::1/udp/1/quic-v1", false),
            ("/ip4/10.0.0.1/tcp/1", true),
            ("/ip6/2001:db8::1/tcp/1", true),
        ] {
            assert_eq!(is_public(&address.parse().expect("well-formed")), public, "{address}");
        }
    }
}
