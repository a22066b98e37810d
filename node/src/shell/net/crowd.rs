//! Crowd: at most so many connections from one network address.
//!
//! Peer ids cost nothing, so a bound for each peer binds nobody. A relay that
//! strangers may use turns away, before any handshake, an address that has its
//! share of the connections already.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::desk::network;

/// Counts the connections that come from each network address.
#[derive(Debug)]
pub(super) struct Crowd {
    per_address_max: usize,
    connections: BTreeMap<ConnectionId, IpAddr>,
    counts: BTreeMap<IpAddr, usize>,
}

/// An address has its share of the connections.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from {0}")]
pub(super) struct Crowded(IpAddr);

impl Crowd {
    pub(super) fn new(per_address_max: usize) -> Self {
        Self { per_address_max, connections: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn enter(&mut self, connection: ConnectionId, address: IpAddr) -> Result<(), Crowded> {
        let count = self.counts.entry(address).or_default();
        if *count >= self.per_address_max {
            return Err(Crowded(address));
        }
        *count += 1;
        self.connections.insert(connection, address);
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(address) = self.connections.remove(&connection) else { return };
        let count = self.counts.get_mut(&address).expect("who entered was counted");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&address);
        }
    }
}

impl NetworkBehaviour for Crowd {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, network(remote)).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.leave(closed.connection_id),
            FromSwarm::ListenFailure(failed) => self.leave(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_gets_its_share_and_no_more() {
        let [here, there] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let id = ConnectionId::new_unchecked;
        let mut crowd = Crowd::new(2);
        assert!(crowd.enter(id(1), here).is_ok() && crowd.enter(id(2), here).is_ok());
        assert!(crowd.enter(id(3), here).is_err());
        assert!(crowd.enter(id(4), there).is_ok());
        // Who was turned away is also reported as failed, which frees no place.
        crowd.leave(id(3));
        assert!(crowd.enter(id(5), here).is_err());
        crowd.leave(id(1));
        assert!(crowd.enter(id(6), here).is_ok());
    }

    #[test]
    fn forgets_addresses_that_have_left() {
        let mut crowd = Crowd::new(2);
        let id = ConnectionId::new_unchecked;
        for number in 0..100 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            crowd.enter(id(number as usize), address).expect("there is room");
            crowd.leave(id(number as usize));
        }
        assert!(crowd.counts.is_empty() && crowd.connections.is_empty());
    }
}
