//! What an agent must know, and the bounds on what strangers can make it keep.

use std::sync::Arc;

use crate::bundle::{BundleLimits, BundleMemo};
use crate::frame::NONCE_BYTES;
use crate::hash::ContentHash;
use crate::identity::PeerId;
use crate::time::Span;

/// What an agent must know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The peer that the agent works for.
    pub me: PeerId,
    /// What both sides of a contact must agree on: the federation, opaque here.
    pub scope: ContentHash,
    /// 32 bytes that nobody can guess and that name this run of the agent. The nonce of a
    /// contact is derived from it; who knew it could make ids that confuse sketches.
    pub nonce: [u8; NONCE_BYTES],
    /// How many bytes there is room for, as hellos say; none where they say nothing.
    pub room_bytes: Option<u64>,
    /// How long contacts are expected to last, as hellos say; none where they say nothing.
    pub stay: Option<Span>,
    /// What a bundle may be at most.
    pub limits: BundleLimits,
    /// Payloads of more bytes are announced by [`super::Output::Arriving`] while they are
    /// fetched, so that one may be turned away before it has come. None by default.
    pub payload_bytes_unasked: u64,
    /// True if [`super::Output::Arriving`] comes for all heads, to be answered with what the payload
    /// is worth; otherwise all are worth the same, and small ones go first. False by default.
    pub appraises: bool,
    /// Bounds on memory, work and waiting.
    pub bounds: AgentBounds,
    /// Checked bundles that agents of one process share; none for a node alone.
    pub memo: Option<Arc<BundleMemo>>,
}

/// Bounds on memory, work and waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentBounds {
    /// Links at one time; a further one is closed. Default 256.
    pub links_max: usize,
    /// Heads and groups asked for and not yet answered, per link, at most: 8 at first, and
    /// more where answers come within a quarter of a second. Default 64: 1 MiB under way
    /// covers 40 Mbit/s at 200 ms.
    pub wants_per_link: usize,
    /// Ids remembered per link that it has and we lack. Default 65,536, 5 MiB.
    pub offers_per_link: usize,
    /// Ids in the sketches of all links together, 72 bytes each; without room both sides list.
    /// Default 262,144, 18 MiB.
    pub sketch_ids_max: u64,
    /// Refused ids remembered; the oldest are forgotten. Default 16,384.
    pub refusals_max: usize,
    /// Bytes of payloads that are incomplete or await judgement. Default 64 MiB;
    /// at least one transfer runs even if a payload may be larger.
    pub transfer_bytes_max: u64,
    /// Transfers that are incomplete or await judgement. Default 64.
    pub transfers_max: usize,
    /// Heads and groups nobody asked for, per link, before it is closed.
    /// Default 16.
    pub unrequested_max: u32,
    /// How long a hello may take. Default 30 s.
    pub hello_timeout: Span,
    /// How long a link may owe an answer before its transfers move to others;
    /// after four times this it is closed. Default 60 s.
    pub stall_timeout: Span,
}

impl Default for AgentBounds {
    fn default() -> Self {
        Self {
            links_max: 256,
            wants_per_link: 64,
            offers_per_link: 65_536,
            sketch_ids_max: 262_144,
            refusals_max: 16_384,
            transfer_bytes_max: 64 * 1024 * 1024,
            transfers_max: 64,
            unrequested_max: 16,
            hello_timeout: Span::from_ms(30_000),
            stall_timeout: Span::from_ms(60_000),
        }
    }
}

impl AgentConfig {
    /// A configuration with the default bounds.
    pub fn new(
        me: PeerId,
        scope: ContentHash,
        limits: BundleLimits,
        nonce: [u8; NONCE_BYTES],
    ) -> Self {
        let payload_bytes_unasked = u64::MAX;
        let bounds = AgentBounds::default();
        Self {
            me,
            scope,
            nonce,
            room_bytes: None,
            stay: None,
            limits,
            payload_bytes_unasked,
            appraises: false,
            bounds,
            memo: None,
        }
    }

    /// Offers remembered per link: at least one, or nothing would ever be asked.
    pub(super) fn offers_max(&self) -> usize {
        self.bounds.offers_per_link.max(1)
    }

    /// Transfers at one time, each reckoned with the largest payload.
    pub(super) fn transfers_max(&self) -> usize {
        let each = self.limits.payload_bytes_max.max(1);
        let fitting = usize::try_from(self.bounds.transfer_bytes_max / each);
        fitting.unwrap_or(usize::MAX).min(self.bounds.transfers_max).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    fn config(payload_bytes_max: u64) -> AgentConfig {
        let me = SecretKey::from_seed(&[1; 32]).peer_id();
        let lifetime_max = Span::from_ms(1);
        let limits = BundleLimits {
            header_bytes_max: 1,
            proof_bytes_max: 1,
            payload_bytes_max,
            lifetime_max,
        };
        AgentConfig::new(me, ContentHash::of(b"scope"), limits, [0; NONCE_BYTES])
    }

    #[test]
    fn keeps_transfers_within_the_memory_bound() {
        for (payload_bytes_max, transfers) in
            [(0, 64), (1 << 10, 64), (1 << 20, 64), (1 << 24, 4), (1 << 40, 1), (u64::MAX, 1)]
        {
            assert_eq!(config(payload_bytes_max).transfers_max(), transfers);
        }
    }
}
