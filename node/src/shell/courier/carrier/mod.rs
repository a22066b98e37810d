//! Carrier: bundles over TCPCL version 4 (RFC 9174) on real connections.
//!
//! One task for each session drives a [`longhaul_dtn::tcpcl::Session`]. What comes goes out as
//! [`Event`]s; a bundle is acknowledged when [`Command::Accept`] says that it is durable. Nothing
//! is read while too many bytes wait for that, here or in one session, and nothing is taken to be
//! sent while the connection is full: so memory is bounded in both directions. The limits on
//! sessions, in all and from one address, drop connections at once; who listens and who dials is
//! [`Carrier::listen`] and [`Carrier::dial`], which dials again with a growing pause. Strangers have their
//! share of places and bytes, and neither for ever.
//!
//! Sessions are within TLS where both sides can; what that shows of the other side is weighed by
//! [`Trust`].

mod arriving;
mod budget;
mod dial;
mod end;
mod places;
mod sending;
mod session;
mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::{
    NodeId, RefuseReason, SessionBounds, SessionConfig, TlsPolicy, TransferId,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::budget::Budget;
use self::places::Places;
use self::session::Conversation;
use super::agent::{Arrival, LinkId, SendOutcome};
use super::relay::Parcel;
use super::tls::Tls;
use super::trust::{Standing, Trust};
use crate::shell::bundles::BundleKey;
use crate::shell::net::RedialPolicy;
use crate::shell::tally::Tally;

/// Events that wait for whoever drives the carrier.
const EVENTS_MAX: usize = 1024;
/// Pause after a connection could not be accepted, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What a carrier must know.
#[derive(Debug, Clone)]
pub struct CarrierConfig {
    /// Our node id.
    pub node_id: NodeId,
    /// The keepalive interval asked for, in seconds; zero for none.
    pub keepalive_s: u16,
    /// Most bytes of one bundle to us; zero to take none.
    pub bundle_bytes_max: u64,
    /// Most sessions at a time, accepted ones.
    pub sessions_max: usize,
    /// Most of them from one network address.
    pub sessions_per_address_max: usize,
    /// Most bytes received, of all sessions, that wait to be whole or durable.
    pub in_flight_bytes_max: usize,
    /// Most bytes of one session that do so, before it waits.
    pub session_bytes_max: usize,
    /// Most bundles of one session that wait to be durable.
    pub session_bundles_max: usize,
    /// Bytes of a segment from us at most.
    pub segment_bytes_max: usize,
    /// Ends a session that takes nothing of ours for so long, or is too slow with a bundle.
    pub stall_max: Duration,
    /// Bytes per second below which a bundle is too slow.
    pub rate_min_bytes_per_s: u64,
    /// Ends a session with a stranger in which nothing happens for so long.
    pub idle_max: Duration,
    /// The pauses after failed dials.
    pub redial: RedialPolicy,
    /// Whose claim of a node id is believed.
    pub trust: Trust,
    /// Whether sessions are within TLS.
    pub tls: Tls,
}

/// A node to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// Host and port.
    pub address: String,
    /// Its node id, if only that node is wanted.
    pub node: Option<EndpointId>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A session is established.
    Up {
        /// Names it.
        link: LinkId,
        /// The other node, as it says and as far as that is believed.
        node: Option<EndpointId>,
        /// What it counts as.
        standing: Standing,
        /// Most bytes of a bundle to it.
        bundle_bytes_max: u64,
        /// The way to it.
        sender: LinkSender,
    },
    /// A bundle came whole; it waits for [`Command::Accept`] or [`Command::Refuse`].
    Received {
        /// Where from.
        arrival: Arrival,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A bundle of [`Command::Send`] was answered for.
    Sent {
        /// The session.
        link: LinkId,
        /// The bundle.
        key: BundleKey,
        /// The answer.
        outcome: SendOutcome,
    },
    /// A session is over; what it had under way is lost.
    Down(LinkId),
    /// A node could not be reached or its session ended; it is dialled again.
    Missed {
        /// Its address.
        address: String,
        /// What went wrong.
        why: String,
    },
}

/// What a session is told.
#[derive(Debug)]
pub enum Command {
    /// Send a bundle.
    Send {
        /// Its name in the answer.
        key: BundleKey,
        /// Its bytes.
        parcel: Parcel,
    },
    /// A bundle that came is durable.
    Accept(TransferId),
    /// A bundle that came is not wanted.
    Refuse {
        /// Which.
        transfer: TransferId,
        /// Why.
        reason: RefuseReason,
    },
    /// End the session in good order.
    End,
}

/// The way to one session.
#[derive(Debug, Clone)]
pub struct LinkSender(mpsc::UnboundedSender<Command>);

/// The carrier. Its sessions end with the runtime.
#[derive(Debug, Clone)]
pub struct Carrier(Arc<Shared>);

/// What all sessions share.
#[derive(Debug)]
struct Shared {
    config: CarrierConfig,
    events: mpsc::Sender<Event>,
    next_link: AtomicU64,
    /// Places for sessions that are accepted.
    places: Arc<Places>,
    /// Bytes in flight.
    budget: Arc<Budget>,
    /// Sessions with strangers that began, and those that ended, said or not.
    strangers: Mutex<Tally>,
    farewells: Mutex<Tally>,
}

impl LinkSender {
    /// Tells the session; one that is over takes nothing, as its `Down` says.
    pub fn tell(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

impl CarrierConfig {
    /// The configuration of a node that takes bundles of at most `bundle_bytes_max`.
    pub fn new(node_id: NodeId, bundle_bytes_max: u64) -> Self {
        Self {
            node_id,
            keepalive_s: 30,
            bundle_bytes_max,
            sessions_max: 64,
            sessions_per_address_max: 8,
            in_flight_bytes_max: 48 << 20,
            session_bytes_max: 24 << 20,
            session_bundles_max: 4_096,
            segment_bytes_max: 64 << 10,
            stall_max: Duration::from_secs(30),
            rate_min_bytes_per_s: 512,
            idle_max: Duration::from_secs(120),
            redial: RedialPolicy {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(30),
            },
            trust: Trust::default(),
            tls: Tls::Off,
        }
    }

    /// Bytes of a bundle that have to come within `stall_max`; one at least.
    fn least_bytes(&self) -> usize {
        let ms = u64::try_from(self.stall_max.as_millis()).unwrap_or(u64::MAX);
        let bytes = self.rate_min_bytes_per_s.saturating_mul(ms) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }

    fn session(&self) -> SessionConfig {
        SessionConfig {
            node_id: Some(self.node_id.clone()),
            keepalive_s: self.keepalive_s,
            transfer_mru: self.bundle_bytes_max,
            tls: match self.tls {
                Tls::Off => TlsPolicy::Never,
                Tls::Offered(_) => TlsPolicy::Offer,
                Tls::Required(_) => TlsPolicy::Require,
            },
            bounds: SessionBounds {
                segment_bytes_max: self.segment_bytes_max,
                offers_max: self.session_bundles_max,
                // The carrier stops reading long before; a read may hold many small bundles.
                answers_max: 4 * self.session_bundles_max,
                ..SessionBounds::default()
            },
            ..SessionConfig::default()
        }
    }
}

impl Carrier {
    /// A carrier without connections, and what happens on it.
    pub fn new(config: CarrierConfig) -> (Self, mpsc::Receiver<Event>) {
        let (events, happened) = mpsc::channel(EVENTS_MAX);
        let (most, per_address) = (config.sessions_max, config.sessions_per_address_max);
        let shared = Shared {
            places: Places::new(most, per_address, config.trust.names_somebody()),
            budget: Budget::new(config.in_flight_bytes_max),
            strangers: Mutex::default(),
            farewells: Mutex::default(),
            config,
            events,
            next_link: AtomicU64::new(0),
        };
        (Self(Arc::new(shared)), happened)
    }

    /// Accepts sessions; gives the address, whose port may have been zero.
    pub async fn listen(&self, address: &str) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let found = listener.local_addr()?;
        tokio::spawn(accept(self.0.clone(), listener));
        Ok(found)
    }

    /// Keeps a session to a node, dialling again whenever there is none.
    pub fn dial(&self, peer: PeerAddress, seed: [u8; 32]) {
        tokio::spawn(dial::keep(self.0.clone(), peer, seed));
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut denied = Tally::default();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let is_named = shared.config.trust.expects(from.ip());
        let place = match shared.places.take(from.ip(), is_named) {
            Ok(place) => place,
            Err(last_why) => {
                if let Some(connections) = denied.note(Instant::now()) {
                    tracing::warn!(connections, last_from = %from, %last_why, "refused");
                }
                continue;
            }
        };
        let mut talk = Conversation::passive(&shared, stream, from.ip(), place);
        let shared = shared.clone();
        tokio::spawn(async move {
            let end = talk.run().await;
            if talk.is_believed() {
                tracing::info!(%from, %end, "session over");
            } else if let Some(sessions) = note(&shared.farewells, Instant::now()) {
                tracing::info!(sessions, last_from = %from, last_end = %end, "sessions with strangers over");
            }
        });
    }
}

impl Shared {
    fn new_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a session with a stranger; where it is time to say so, how many there were.
    fn note_stranger(&self, now: Instant) -> Option<u64> {
        note(&self.strangers, now)
    }
}

/// Counts one more; where it is time to say so, how many there were.
fn note(tally: &Mutex<Tally>, now: Instant) -> Option<u64> {
    tally.lock().unwrap_or_else(PoisonError::into_inner).note(now)
}

/// Opens a connection as sessions want it.
async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
