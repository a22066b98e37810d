//! Desk: a rendezvous point that cannot be filled by registering again.
//!
//! The point of `libp2p-rendezvous` (0.18) bounds how many registrations a peer
//! has, but a peer that registers again in the same namespace leaves the record
//! before it in memory until that expires, and a record may have up to 1 MiB. This
//! wrapper lets each network address register so many KiB at once and so many per
//! minute; who goes beyond is disconnected, and stays out until it has paid.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::rendezvous::server::{Behaviour, Event};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// KiB that one address may register at once; a record counts as one at least.
const BURST_KIB: u64 = 128;
/// Time in which one more KiB may be registered.
const KIB_EVERY: Duration = Duration::from_secs(2);
/// Most addresses that are remembered; while there are more, new ones register nothing.
const ADDRESSES_MAX: usize = 65_536;

/// A rendezvous point whose memory has a bound for each network address.
pub(super) struct Desk {
    inner: Behaviour,
    ledger: Ledger,
    peers: BTreeMap<PeerId, BTreeMap<ConnectionId, IpAddr>>,
    to_close: VecDeque<PeerId>,
}

/// A network address has registered more than it may.
#[derive(Debug, thiserror::Error)]
#[error("too many registrations from this address")]
pub(super) struct TooMany;

impl Desk {
    pub(super) fn new(inner: Behaviour) -> Self {
        let (ledger, peers, to_close) = Default::default();
        Self { inner, ledger, peers, to_close }
    }

    /// Books a registration; its peer is disconnected if its address owes too much.
    fn book(&mut self, event: &Event, now: Instant) {
        let Event::PeerRegistered { peer, registration } = event else { return };
        let bytes: usize = registration.record.addresses().iter().map(Multiaddr::len).sum();
        let kib = 1 + u64::try_from(bytes >> 10).unwrap_or(u64::MAX);
        let address = self.peers.get(peer).and_then(|all| all.values().next());
        if let Some(&address) = address
            && !self.ledger.book(address, kib, now)
        {
            tracing::info!(%peer, %address, "too many registrations, disconnected");
            self.to_close.push_back(*peer);
        }
    }
}

impl NetworkBehaviour for Desk {
    type ConnectionHandler = <Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let address = network(remote);
        if !self.ledger.admits(address, Instant::now()) {
            return Err(ConnectionDenied::new(TooMany));
        }
        let handler =
            self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        self.peers.entry(peer).or_default().insert(connection, address);
        Ok(handler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self
            .inner
            .handle_established_outbound_connection(connection, peer, remote, role, port)?;
        self.peers.entry(peer).or_default().insert(connection, network(remote));
        Ok(handler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match &event {
            FromSwarm::ConnectionClosed(closed) => Some((closed.peer_id, closed.connection_id)),
            // Another part of the swarm refused the connection after this one took it.
            FromSwarm::ListenFailure(failed) => {
                failed.peer_id.map(|peer| (peer, failed.connection_id))
            }
            FromSwarm::DialFailure(failed) => {
                failed.peer_id.map(|peer| (peer, failed.connection_id))
            }
            _ => None,
        };
        if let Some((peer, connection)) = gone
            && let Some(connections) = self.peers.get_mut(&peer)
        {
            connections.remove(&connection);
            if connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.to_close.pop_front() {
            let connection = CloseConnection::All;
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
        }
        let polled = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::GenerateEvent(event)) = &polled {
            self.book(event, Instant::now());
        }
        polled
    }
}

/// What one subscriber has: an IPv4 address or an IPv6 network of 64 bits. All that
/// comes through relays counts as one.
pub(super) fn network(address: &Multiaddr) -> IpAddr {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => subscriber(ip.into()),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The subscriber that has an address; one of IPv4 in the form of IPv6 is the same.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// What each network address has registered lately.
#[derive(Debug, Default)]
struct Ledger {
    debts: BTreeMap<IpAddr, Debt>,
}

#[derive(Debug, Clone, Copy)]
struct Debt {
    kib: u64,
    at: Instant,
}

impl Debt {
    /// What is left of the debt after the time that went by.
    fn left(&self, now: Instant) -> u64 {
        let paid = now.duration_since(self.at).as_secs() / KIB_EVERY.as_secs();
        self.kib.saturating_sub(paid)
    }
}

impl Ledger {
    /// Adds to what an address owes; false once that is too much.
    fn book(&mut self, address: IpAddr, kib: u64, now: Instant) -> bool {
        if self.debts.len() >= ADDRESSES_MAX {
            self.debts.retain(|_, debt| debt.left(now) > 0);
        }
        if self.debts.len() >= ADDRESSES_MAX && !self.debts.contains_key(&address) {
            return false;
        }
        let debt = self.debts.entry(address).or_insert(Debt { kib: 0, at: now });
        *debt = Debt { kib: debt.left(now).saturating_add(kib), at: now };
        debt.kib <= BURST_KIB
    }

    /// Whether an address owes less than would have it disconnected.
    fn admits(&self, address: IpAddr, now: Instant) -> bool {
        self.debts.get(&address).is_none_or(|debt| debt.left(now) <= BURST_KIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn an_address_that_registers_too_much_pays_before_it_comes_back() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        for _ in 0..BURST_KIB {
            assert!(ledger.book(HERE, 1, now));
        }
        assert!(ledger.admits(HERE, now));
        assert!(!ledger.book(HERE, 1, now));
        assert!(!ledger.admits(HERE, now));
        assert!(ledger.admits(HERE, now + KIB_EVERY));
        assert!(ledger.book(THERE, 1, now));
    }

    #[test]
    fn one_huge_record_is_paid_for_in_full() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        assert!(!ledger.book(HERE, 1_024, now));
        assert!(!ledger.admits(HERE, now + 895 * KIB_EVERY));
        assert!(ledger.admits(HERE, now + 896 * KIB_EVERY));
        assert!(!ledger.book(HERE, u64::MAX, now));
    }

    #[test]
    fn remembers_a_bounded_number_of_addresses_and_forgets_who_has_paid() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        for number in 0..u32::try_from(ADDRESSES_MAX).expect("a small number") {
            assert!(ledger.book(Ipv4Addr::from_bits(number).into(), 1, now));
        }
        assert!(!ledger.book(Ipv6Addr::LOCALHOST.into(), 1, now));
        assert_eq!(ledger.debts.len(), ADDRESSES_MAX);
        assert!(ledger.book(Ipv6Addr::LOCALHOST.into(), 1, now + KIB_EVERY));
        assert_eq!(ledger.debts.len(), 1);
    }

    #[test]
    fn counts_a_subscriber_of_ipv6_once() {
        let of = |text: &str| network(&text.parse().expect("well-formed"));
        assert_eq!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8::ffff:2/udp/9/quic-v1"));
        assert_ne!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_ne!(of("/ip4/192.0.2.1/tcp/1"), of("/ip4/192.0.2.2/tcp/1"));
    }
}
