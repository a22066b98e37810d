//! Stream: the one contact stream of a connection.
//!
//! A libp2p behaviour that opens exactly one stream of the contact protocol on
//! every connection: the dialer opens it, the other side accepts it, and both
//! get a [`ContactEvent::Opened`]. It knows the connection behind a stream, which
//! `libp2p-stream` (0.5.0-alpha) does not tell; that is why it exists.
//! What runs over the stream is not its business.

use std::collections::VecDeque;
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

/// The name and version of the contact protocol's carrier.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/longhaul/contact/1");

/// Which side dialled a connection.
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
    Opened { peer: PeerId, connection: ConnectionId, dialer: Dialer, stream: Stream },
    /// The other side does not speak the protocol, or the connection broke.
    Failed { peer: PeerId, connection: ConnectionId, why: String },
}

/// Opens one contact stream per connection.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    events: VecDeque<ContactEvent>,
}

impl NetworkBehaviour for Contacts {
    type ConnectionHandler = Handler;
    type ToSwarm = ContactEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Dialer::There))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Dialer::Here))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.events.push_back(match event {
            Opening::Done(dialer, stream) => {
                ContactEvent::Opened { peer, connection, dialer, stream }
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
    Done(Dialer, Stream),
    Failed(String),
}

/// The part that lives on one connection.
pub(super) struct Handler {
    dialer: Dialer,
    state: State,
}

enum State {
    /// The dialer has not asked for the stream yet.
    ToRequest,
    /// The stream is being negotiated, or the other side has not opened it.
    Waiting,
    /// The outcome has not been reported yet.
    ToReport(Opening),
    /// Reported; whatever else is opened on this connection is dropped.
    Over,
}

impl Handler {
    fn new(dialer: Dialer) -> Self {
        let state = match dialer {
            Dialer::Here => State::ToRequest,
            Dialer::There => State::Waiting,
        };
        Self { dialer, state }
    }

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
            ) => self.report(Opening::Done(self.dialer, stream)),
            (_, ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. })) => {
                self.report(Opening::Failed(error.to_string()));
            }
            _ => {}
        }
    }
}
