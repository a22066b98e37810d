//! What a session must know, and the bounds on what a stranger can make it keep.

use std::fmt;

use super::decoder::DecodeLimits;
use crate::time::Span;

/// What a session must know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Our node id; none keeps it to ourselves (section 4.6).
    pub node_id: Option<NodeId>,
    /// The keepalive interval that we ask for, in seconds; zero asks for none.
    /// The lower one of both sides holds. Default 30, the least that section
    /// 5.1.1 advises for a shared network.
    pub keepalive_s: u16,
    /// Most bytes of one segment to us. Default 64 KiB.
    pub segment_mru: u64,
    /// Most bytes of one bundle to us. Default 64 MiB.
    pub transfer_mru: u64,
    /// Whether we speak TLS. By default, we insist on it (section 4.3).
    pub tls: TlsPolicy,
    /// Ends a session in which nothing but keepalives came for so long
    /// (section 6.2). By default none does.
    pub idle_timeout: Option<Span>,
    /// How long each step until a session is established may take. Default
    /// 60 s, the most that section 4.1 advises.
    pub contact_timeout: Span,
    /// How long an ending session may make no progress. Default 60 s.
    pub ending_timeout: Span,
    /// Bounds on memory.
    pub bounds: SessionBounds,
}

/// Whether a side speaks TLS (section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// It does not.
    Never,
    /// It does with whom speaks it too.
    Offer,
    /// It speaks with nobody who does not.
    Require,
}

/// Bounds on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionBounds {
    /// Most bytes of one segment from us, if the other side takes so many.
    /// Default 64 KiB: what an acknowledgement may have to wait for.
    pub segment_bytes_max: usize,
    /// No more bytes of bundles are taken while so many or more wait to be
    /// transmitted. Default 256 KiB.
    pub transmit_bytes_max: usize,
    /// Transfers of ours that are not acknowledged or refused. Default 64.
    pub offers_max: usize,
    /// Answers to segments that wait until a bundle before is stored; then no
    /// more bytes are read. Default 64.
    pub answers_max: usize,
    /// Bytes received that wait for that. Default 1 MiB, of which a carrier that
    /// minds [`super::Session::wants_bytes`] uses one read.
    pub unread_bytes_max: usize,
    /// Messages out of place before the session ends. Default 16.
    pub rejects_max: u32,
    /// Most bytes of the other side's node id. Default 1,024.
    pub node_id_bytes_max: usize,
    /// Most bytes of the extension items of one message. Default 4,096.
    pub extension_bytes_max: usize,
}

/// A node id: the URI of a node, at most 65,535 bytes (section 4.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(String);

/// Why a text is not a node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeIdError {
    /// It is empty, which stands for no node id.
    #[error("a node id is not empty")]
    Empty,
    /// It is longer than its length field can say; holds its length.
    #[error("a node id has at most 65535 bytes, found {0}")]
    Length(usize),
}

impl NodeId {
    /// The node id with this text.
    pub fn new(text: &str) -> Result<Self, NodeIdError> {
        match text.len() {
            0 => Err(NodeIdError::Empty),
            len if len > usize::from(u16::MAX) => Err(NodeIdError::Length(len)),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            node_id: None,
            keepalive_s: 30,
            segment_mru: 64 * 1024,
            transfer_mru: 64 * 1024 * 1024,
            tls: TlsPolicy::Require,
            idle_timeout: None,
            contact_timeout: Span::from_ms(60_000),
            ending_timeout: Span::from_ms(60_000),
            bounds: SessionBounds::default(),
        }
    }
}

impl Default for SessionBounds {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 * 1024,
            transmit_bytes_max: 256 * 1024,
            offers_max: 64,
            answers_max: 64,
            unread_bytes_max: 1024 * 1024,
            rejects_max: 16,
            node_id_bytes_max: 1024,
            extension_bytes_max: 4096,
        }
    }
}

impl SessionConfig {
    /// What the decoder lets pass.
    pub(super) const fn limits(&self) -> DecodeLimits {
        DecodeLimits {
            node_id_bytes_max: self.bounds.node_id_bytes_max,
            extension_bytes_max: self.bounds.extension_bytes_max,
            segment_bytes_max: self.segment_mru,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_node_ids_that_their_length_field_can_say() {
        assert_eq!(NodeId::new(""), Err(NodeIdError::Empty));
        assert_eq!(NodeId::new(&"a".repeat(65_536)), Err(NodeIdError::Length(65_536)));
        assert_eq!(NodeId::new("dtn://a/").unwrap().to_string(), "dtn://a/");
    }

    #[test]
    fn keeps_to_the_advice_of_the_rfc_by_default() {
        let config = SessionConfig::default();
        assert!((30..=600).contains(&config.keepalive_s));
        assert!(config.contact_timeout <= Span::from_ms(60_000));
        assert_eq!(config.tls, TlsPolicy::Require);
    }
}
