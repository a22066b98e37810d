//! Net: contacts with other members over libp2p.
//!
//! TCP and QUIC, noise, yamux, mDNS; one contact stream per connection and one
//! link per peer. Whoever is not in the manifest is turned away after the
//! handshake that proves its key, before a stream is opened. The network knows
//! nothing of bundles: frames go in and come out, and every queue between here
//! and there has a bound.
//!
//! A peer behind a NAT reserves a place at a relay, registers at a rendezvous
//! point if there is one, and gets out of the relay's way where the NATs allow
//! (`reach`, DCUtR). The contact over a circuit is the contact over a socket.
//!
//! [`start`] spawns one task that owns the libp2p swarm (`driver`) and one per
//! link (`link`); they end when [`NetHandle::shutdown`] is called or the event
//! receiver is dropped.

mod address;
pub mod bare;
mod behaviour;
mod crowd;
mod desk;
mod driver;
mod link;
mod listening;
mod muxer;
mod reach;
mod redial;
mod relay;
mod serve;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::Multiaddr;
use longhaul_dtn::agent::{LINK_QUEUE_BYTES_MAX, LinkId};
use longhaul_dtn::identity::{PeerId, SecretKey};
use tokio::sync::mpsc;

pub use address::{AddressError, PeerAddress, ServiceAddress, parse_address};
pub(in crate::shell) use desk::subscriber;
pub use link::{LinkEnd, SendError};
pub(in crate::shell) use listening::check as check_listen;
pub use redial::RedialPolicy;
pub(in crate::shell) use redial::spread;
pub use relay::{RelayConfig, RelayServer};
pub use serve::RelayLimits;

use link::LinkSender;

/// Events that may wait for the driver; at most this many frames are in memory.
const EVENTS_MAX: usize = 64;
/// Commands that may wait for the network.
const COMMANDS_MAX: usize = 64;

/// What the network has to know to start.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// The peer's key; proves its id to the others.
    pub key: SecretKey,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial and to dial again.
    pub peers: Vec<PeerAddress>,
    /// Who may connect; everybody else is refused.
    pub members: BTreeSet<PeerId>,
    /// Look for members on the local network.
    pub mdns: bool,
    /// How this peer gets through NATs, and what it does for others behind them.
    pub reach: ReachConfig,
    /// Bounds on memory and connections.
    pub limits: NetLimits,
    /// How fast silence is noticed and peers are dialled again.
    pub timing: NetTiming,
    /// Spreads redials; need not be secret.
    pub spread_seed: [u8; 32],
}

/// How a peer gets through NATs, and what it does for others behind them; the
/// default is neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReachConfig {
    /// Relays at which to reserve a place; each id once.
    pub via: Vec<ServiceAddress>,
    /// Rendezvous points at which to register and to look for members; each id once.
    pub rendezvous: Vec<ServiceAddress>,
    /// The federation's name at a rendezvous point; at most 255 bytes.
    pub namespace: String,
    /// Addresses at which others reach this peer besides those it finds out, such
    /// as a forwarded port.
    pub announce: Vec<Multiaddr>,
    /// Relay circuits for members, within these bounds.
    pub relay: Option<RelayLimits>,
    /// Be a rendezvous point for members.
    pub serves_rendezvous: bool,
    /// Dial members back that ask whether they can be reached (AutoNAT).
    pub answers_probes: bool,
}

/// Bounds on memory and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetLimits {
    /// Most established connections.
    pub connections_max: u32,
    /// Above this size of the whole process no connection is opened or accepted.
    pub memory_bytes_max: usize,
    /// Most bytes waiting to be sent on one link; the default is twice what an
    /// honest peer ever causes.
    pub queue_bytes_max: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            connections_max: 128,
            memory_bytes_max: 2 << 30,
            queue_bytes_max: 2 * LINK_QUEUE_BYTES_MAX,
        }
    }
}

/// How fast silence is noticed and peers are dialled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetTiming {
    /// Time between signs of life on a connection.
    pub alive_every: Duration,
    /// A sign of life that is not answered for so long ends the link.
    pub silent_max: Duration,
    /// A frame that cannot be handed to the transport for so long ends the link.
    pub stall_max: Duration,
    /// Pauses between dials of one peer.
    pub redial: RedialPolicy,
}

impl Default for NetTiming {
    fn default() -> Self {
        Self {
            alive_every: Duration::from_secs(2),
            silent_max: Duration::from_secs(6),
            stall_max: Duration::from_secs(20),
            redial: RedialPolicy::default(),
        }
    }
}

/// Something that happened on the network.
///
/// For each link there is one `LinkUp`, then its frames, then one `LinkDown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// The peer can be reached at this address.
    Listening(Multiaddr),
    /// A contact with an authenticated member begins.
    LinkUp {
        /// Names the link; never used again in this run.
        link: LinkId,
        /// Who is at the other end.
        peer: PeerId,
    },
    /// A contact ended.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why.
        end: LinkEnd,
    },
    /// One whole frame arrived.
    Frame {
        /// The link that it came over.
        link: LinkId,
        /// The frame without its length.
        bytes: Vec<u8>,
    },
    /// Somebody was turned away.
    Refused {
        /// Who, if its key is one that a peer can have.
        peer: Option<PeerId>,
        /// Why.
        why: RefusedWhy,
    },
}

/// Why somebody was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedWhy {
    /// Its key is not in the manifest.
    #[error("not a member of the federation")]
    NotAMember,
    /// It is cut off by [`NetHandle::cut`].
    #[error("cut off")]
    Cut,
    /// A bound on memory or connections is reached; holds which.
    #[error("{0}")]
    Limit(String),
}

/// Why the network could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address cannot be listened at.
    #[error("cannot listen at {address}: {why}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// The transport's words.
        why: String,
    },
    /// The transport cannot be set up; holds its words.
    #[error("cannot set up the transport: {0}")]
    Transport(String),
    /// The network has ended.
    #[error("the network has ended")]
    Ended,
}

/// What the driver can ask of the network. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NetHandle {
    commands: mpsc::Sender<Command>,
    links: Links,
}

#[derive(Debug)]
enum Command {
    Dial(PeerAddress),
    Cut(BTreeSet<PeerId>),
    Heal(BTreeSet<PeerId>),
    Shutdown,
}

/// Starts the network; needs a running tokio runtime.
///
/// The receiver has to be drained: while it is full, nothing more is read from
/// any link. It ends after [`NetHandle::shutdown`].
pub fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
    let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
    let (events, event_receiver) = mpsc::channel(EVENTS_MAX);
    let links = Links::default();
    let driver = driver::Driver::new(config, command_receiver, events, links.clone())?;
    tokio::spawn(driver.run());
    Ok((NetHandle { commands, links }, event_receiver))
}

impl NetHandle {
    /// Queues a frame on a link; never waits. If the queue is full the link is
    /// closed, and a `LinkDown` follows.
    pub fn send(&self, link: LinkId, frame: Vec<u8>) -> Result<(), SendError> {
        self.links.get(link).ok_or(SendError::Ended)?.send(frame)
    }

    /// Ends a link after what is queued was sent; no frame of it comes any more,
    /// only its `LinkDown`.
    pub fn close(&self, link: LinkId) {
        if let Some(link) = self.links.get(link) {
            link.close(LinkEnd::Here);
        }
    }

    /// Dials a member at one more address, now and whenever it is not linked.
    pub async fn dial(&self, peer: PeerAddress) -> Result<(), NetError> {
        self.command(Command::Dial(peer)).await
    }

    /// Ends the contacts with these peers and refuses new ones.
    pub async fn cut(&self, peers: BTreeSet<PeerId>) -> Result<(), NetError> {
        self.command(Command::Cut(peers)).await
    }

    /// Ends a cut; peers whose address is known are dialled at once.
    pub async fn heal(&self, peers: BTreeSet<PeerId>) -> Result<(), NetError> {
        self.command(Command::Heal(peers)).await
    }

    /// Ends all links after what is queued was sent, then the network. The
    /// event receiver ends when that is done.
    pub async fn shutdown(&self) -> Result<(), NetError> {
        self.command(Command::Shutdown).await
    }

    async fn command(&self, command: Command) -> Result<(), NetError> {
        self.commands.send(command).await.map_err(|_| NetError::Ended)
    }
}

/// The live links, shared between the handle and the network's task.
#[derive(Debug, Clone, Default)]
struct Links(Arc<Mutex<BTreeMap<LinkId, LinkSender>>>);

impl Links {
    fn get(&self, link: LinkId) -> Option<LinkSender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&link).cloned()
    }

    fn insert(&self, link: LinkId, sender: LinkSender) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(link, sender);
    }

    fn remove(&self, link: LinkId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&link);
    }

    fn all(&self) -> Vec<LinkSender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
