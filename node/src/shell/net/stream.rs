//! Stream: the one contact stream of a connection.
//!
//! A libp2p behaviour that opens exactly one stream of the contact protocol on
//! every connection with a member: the dialer opens it, the other side accepts it,
//! and both get a [`ContactEvent::Opened`]. Relays and rendezvous points that are
//! not members have no contact. It knows the connection behind a stream, which
//! `libp2p-stream` (0.5.0-alpha) does not tell; that is why it exists.
//! What runs over the stream is not its business.

use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};

use super::address::Route;

/// The name and version of the contact protocol's carrier.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/longhaul/contact/1");

/// Which side dialled a connection. Where both dialled at once to get through
/// their NATs, it is the one whose part in the handshake is the dialer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialer {
    /// This peer.
    Here,
    /// The other peer.
    There,
}

/// What became of the contact stream of a connection.
#[derive(Debug)]
pub(super) enum ContactEvent {
    /// The stream is open in both directions.
    Opened(Opened),
    /// The other side does not speak the protocol, or the connection broke.
    Failed { peer: PeerId, connection: ConnectionId, why: String },
}

/// A contact stream that is open in both directions.
#[derive(Debug)]
pub(super) struct Opened {
    pub peer: PeerId,
    pub connection: ConnectionId,
    pub dialer: Dialer,
    pub route: Route,
    pub stream: Stream,
}

/// Opens one contact stream per connection with a member.
#[derive(Debug)]
pub(super) struct Contacts {
    members: BTreeSet<PeerId>,
    events: VecDeque<ContactEvent>,
}

impl Contacts {
    pub(super) fn new(members: BTreeSet<PeerId>) -> Self {
        Self { members, events: VecDeque::new() }
    }

    fn handler(&self, peer: &PeerId, dialer: Dialer, address: &Multiaddr) -> Handler {
        let state = match dialer {
            _ if !self.members.contains(peer) => State::Over,
            Dialer::Here => State::ToRequest,
            Dialer::There => State::Waiting,
        };
        Handler { dialer, route: Route::of(address), state }
    }
}

impl NetworkBehaviour for Contacts {
    type ConnectionHandler = Handler;
    type ToSwarm = ContactEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(&peer, Dialer::There, local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let dialer = if role.is_dialer() { Dialer::Here } else { Dialer::There };
        Ok(self.handler(&peer, dialer, remote))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.events.push_back(match event {
            Opening::Done(dialer, route, stream) => {
                ContactEvent::Opened(Opened { peer, connection, dialer, route, stream })
            }
            Opening::Failed(why) => ContactEvent::Failed { peer, connection, why },
        });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

/// How opening the stream went, from a connection's handler.
#[derive(Debug)]
pub(super) enum Opening {
    Done(Dialer, Route, Stream),
    Failed(String),
}

/// The part that lives on one connection.
pub(super) struct Handler {
    dialer: Dialer,
    route: Route,
    state: State,
}

enum State {
    /// The dialer has not asked for the stream yet.
    ToRequest,
    /// The stream is being negotiated, or the other side has not opened it.
    Waiting,
    /// The outcome has not been reported yet.
    ToReport(Opening),
    /// Reported, or not a member's; whatever is opened on this connection is dropped.
    Over,
}

impl Handler {
    fn report(&mut self, opening: Opening) {
        if matches!(self.state, State::Waiting) {
            self.state = State::ToReport(opening);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = Opening;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ToRequest => {
                self.state = State::Waiting;
                let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            State::ToReport(opening) => {
                Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opening))
            }
            unchanged @ (State::Waiting | State::Over) => {
                self.state = unchanged;
                Poll::Pending
            }
        }
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match (self.dialer, event) {
            (
                Dialer::Here,
                ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                    protocol: stream,
                    ..
                }),
            )
            | (
                Dialer::There,
                ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                    protocol: stream,
                    ..
                }),
            ) => self.report(Opening::Done(self.dialer, self.route, stream)),
            (_, ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. })) => {
                self.report(Opening::Failed(error.to_string()));
            }
            _ => {}
        }
    }
}
