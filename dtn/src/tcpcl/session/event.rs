//! Events: what a carrier tells a session, and what a session tells a carrier.

use super::CloseCause;
use crate::tcpcl::code::{RefuseReason, RejectReason, TerminateReason, TransferId};
use crate::tcpcl::config::NodeId;
use crate::time::Span;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The TCP connection is open.
    Connected,
    /// Bytes came; with TLS, those that it protected.
    Received(&'a [u8]),
    /// The TCP connection is closed, or TLS failed.
    Closed,
    /// The handshake of [`Output::StartTls`] succeeded.
    TlsEstablished,
    /// A bundle is to be sent; answered by [`Output::Offered`].
    Offer {
        /// Its bytes.
        length: u64,
    },
    /// The next bytes of the bundle; the last ones end its transfer.
    Data {
        /// Its transfer.
        id: TransferId,
        /// The bytes, at most [`super::Session::send_window`].
        bytes: &'a [u8],
    },
    /// No more bytes of a bundle will come although some are missing. The
    /// other side, which knows the length, refuses what it got.
    End {
        /// Its transfer.
        id: TransferId,
    },
    /// A bundle that came is durable: acknowledge it.
    Stored {
        /// Its transfer.
        id: TransferId,
    },
    /// A bundle that comes or came is not wanted. Not to say so accepts it.
    Refuse {
        /// Its transfer.
        id: TransferId,
        /// Why.
        reason: RefuseReason,
    },
    /// The session is to end once what is under way is done.
    Terminate(TerminateReason),
    /// The time given by [`super::Session::wake_at`] has come.
    Wake,
}

/// Something to do or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes; take the next output when that is done.
    Transmit(Vec<u8>),
    /// Begin TLS, the active side as client, and answer
    /// [`Input::TlsEstablished`] or [`Input::Closed`].
    StartTls,
    /// The session is established.
    Established(Peer),
    /// An [`Input::Offer`] was taken.
    Offered {
        /// The new transfer.
        id: TransferId,
    },
    /// The other side has received part of a bundle, which promises nothing.
    Acked {
        /// Its transfer.
        id: TransferId,
        /// Bytes received.
        length: u64,
    },
    /// The other side has the whole bundle and answers for it.
    Delivered {
        /// Its transfer.
        id: TransferId,
    },
    /// The other side does not want the bundle.
    Refused {
        /// Its transfer.
        id: TransferId,
        /// Why.
        reason: RefuseReason,
    },
    /// The session ended before the other side answered for the bundle, or
    /// [`Input::End`] cut it short.
    Lost {
        /// Its transfer.
        id: TransferId,
    },
    /// A bundle begins to come.
    TransferStarted {
        /// Its transfer.
        id: TransferId,
        /// Its bytes, where the other side says so; fewer or more do not finish.
        length: Option<u64>,
    },
    /// The next bytes of a bundle that comes.
    TransferData {
        /// Its transfer.
        id: TransferId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A bundle came whole: store it, then answer [`Input::Stored`] or
    /// [`Input::Refuse`].
    TransferFinished {
        /// Its transfer.
        id: TransferId,
        /// Its bytes.
        length: u64,
    },
    /// A bundle that began to come will not finish: forget its bytes.
    TransferFailed {
        /// Its transfer.
        id: TransferId,
    },
    /// The other side did not understand a message of ours.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// The type of the message.
        kind: u8,
    },
    /// The session is ending: no new transfers.
    Terminating {
        /// Why.
        reason: TerminateReason,
        /// Who said so first.
        by: By,
    },
    /// Close the connection with a FIN; the session is over.
    Close(CloseCause),
}

/// One of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// We.
    Us,
    /// The other side.
    Peer,
}

/// The other side of an established session, and what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its node id, as it says: whether that is true, its certificate tells.
    pub node_id: Option<NodeId>,
    /// The keepalive interval; none when there are no keepalives.
    pub keepalive: Option<Span>,
    /// Most bytes of a segment to it.
    pub segment_mru: u64,
    /// Most bytes of a bundle to it.
    pub transfer_mru: u64,
}
