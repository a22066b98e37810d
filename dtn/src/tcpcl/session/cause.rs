//! Causes: why a session closes, and why an input is of no use.

use crate::tcpcl::code::TerminateReason;
use crate::tcpcl::decoder::DecodeError;
use crate::tcpcl::extension::ExtensionError;

/// Why a session closes its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseCause {
    /// Both sides said goodbye, and what was under way is done.
    #[error("the session ended in good order")]
    Ended,
    /// We were told to end a session that was not established.
    #[error("ended before it was established")]
    Abandoned,
    /// The other side speaks another version; holds it.
    #[error("the other side speaks version {0} of TCPCL")]
    Version(u8),
    /// We insist on TLS, which the other side does not speak.
    #[error("the other side does not speak TLS")]
    TlsRequired,
    /// Bytes stood unprotected where TLS must begin.
    #[error("bytes came unprotected where TLS must begin")]
    Unprotected,
    /// What came is not a stream of messages.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The other side's session extension items are of no use.
    #[error("session extension items: {0}")]
    Extension(#[from] ExtensionError),
    /// The other side takes no segments that have bytes.
    #[error("the other side takes segments without bytes only")]
    SegmentMru,
    /// Contact header, TLS or SESS_INIT took too long.
    #[error("the session was not established in time")]
    ContactTimeout,
    /// Nothing came for twice the keepalive interval.
    #[error("nothing came for twice the keepalive interval")]
    Silence,
    /// An ending session made no progress.
    #[error("the session did not end in time")]
    EndingTimeout,
    /// Too many messages were out of place.
    #[error("too many messages were out of place")]
    Rejects,
    /// Bytes came although [`super::Session::wants_bytes`] was false for long.
    #[error("more bytes came than may wait")]
    Backlog,
}

/// Why an input was not taken; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The session is over.
    #[error("the session is over")]
    Closed,
    /// The input does not fit how far the session is.
    #[error("the input does not fit the stage of the session")]
    Unexpected,
    /// The session is ending and takes no new transfers.
    #[error("the session is ending")]
    Ending,
    /// Another bundle is being sent, or too many are not acknowledged.
    #[error("another transfer must finish first")]
    Busy,
    /// All transfer ids are used; the session ends (section 5.2.1).
    #[error("no transfer ids are left")]
    Exhausted,
    /// The other side takes no bundle of this length; holds what it takes.
    #[error("the other side takes bundles of at most {0} bytes")]
    TooLong(u64),
    /// The transfer does not exist, or not any more.
    #[error("there is no such transfer")]
    NoTransfer,
    /// The bytes are more than the window; holds the window.
    #[error("more bytes than the window of {0}")]
    Window(usize),
}

impl CloseCause {
    /// What to say to the other side, if anything may be said.
    pub(super) const fn reason(self) -> Option<TerminateReason> {
        match self {
            Self::Version(_) => Some(TerminateReason::VERSION_MISMATCH),
            Self::TlsRequired | Self::Extension(_) | Self::SegmentMru => {
                Some(TerminateReason::CONTACT_FAILURE)
            }
            Self::Decode(error) => Self::reason_of(error),
            Self::ContactTimeout | Self::Silence => Some(TerminateReason::IDLE_TIMEOUT),
            Self::Rejects => Some(TerminateReason::UNKNOWN),
            Self::Backlog => Some(TerminateReason::RESOURCE_EXHAUSTION),
            Self::Ended | Self::Abandoned | Self::Unprotected | Self::EndingTimeout => None,
        }
    }

    /// After an unknown type comes nothing but the rejection (section 5.1.2),
    /// after a wrong magic nothing at all (section 6.1).
    const fn reason_of(error: DecodeError) -> Option<TerminateReason> {
        match error {
            DecodeError::Magic | DecodeError::Kind(_) => None,
            DecodeError::NodeIdLength(_)
            | DecodeError::NodeIdText
            | DecodeError::SessionExtensions(_) => Some(TerminateReason::CONTACT_FAILURE),
            DecodeError::TransferExtensions(_) | DecodeError::SegmentLength(_) => {
                Some(TerminateReason::RESOURCE_EXHAUSTION)
            }
        }
    }
}
