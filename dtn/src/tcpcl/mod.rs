//! TCPCL: the TCP Convergence Layer version 4 (RFC 9174), as a machine.
//!
//! Carries whole bundles, here opaque bytes, between two nodes of any make.
//! [`Session`] is one session without IO: a carrier gives it what happened,
//! does what it says, and owns the connection, TLS, the clock and the store.
//! Neither side ever needs a whole bundle in memory: bytes go in and come out
//! segment by segment.
//!
//! Covered: contact header (4.2, 4.3), session initialization and negotiation
//! (4.6 to 4.8), upkeep and rejection (5.1), transfers with acknowledgement,
//! refusal and the Transfer Length extension (5.2), termination (6).
//!
//! Not here: opening connections and their back-off (4.1), TLS itself and the
//! check that a certificate names the node id (4.4), other versions of TCPCL,
//! and what a bundle means.

mod code;
mod config;
mod decoder;
mod extension;
mod message;
mod session;

pub use self::code::{RefuseReason, RejectReason, SegmentFlags, TerminateReason, TransferId};
pub use self::config::{NodeId, NodeIdError, SessionBounds, SessionConfig, TlsPolicy};
pub use self::decoder::{DecodeError, DecodeLimits, Decoder, Piece};
pub use self::extension::{Criticality, ExtensionError, ExtensionItem, ExtensionList};
pub use self::message::{Ack, ContactHeader, Farewell, Message, SegmentHead, SessionInit};
pub use self::session::{By, CloseCause, Input, InputError, Output, Peer, Session};

/// The TCP port that IANA assigned to the TCP convergence layer.
pub const PORT: u16 = 4556;
