//! What an agent must know, and the bounds on what strangers can make it keep.

use std::sync::Arc;

use crate::bundle::{BundleLimits, BundleMemo};
use crate::frame::{NONCE_BYTES, RANGE_BYTES_MAX};
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
    /// Goes out with every hello: 32 bytes that name this run of the agent.
    /// Nothing depends on it yet; reconciliation by sketches will key on it.
    pub nonce: [u8; NONCE_BYTES],
    /// What a bundle may be at most.
    pub limits: BundleLimits,
    /// Payloads of more bytes are announced by [`super::Output::Arriving`] while they are
    /// fetched, so that one may be turned away before it has come. None by default.
    pub payload_bytes_unasked: u64,
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
    /// Heads and ranges asked for and not yet answered, per link. Default 8:
    /// with the default range, 128 KiB under way cover 10 Mbit/s at 100 ms.
    pub wants_per_link: usize,
    /// Bytes of one range asked for, at most [`RANGE_BYTES_MAX`]; what a cut
    /// can lose. Default 16 KiB.
    pub range_bytes: u32,
    /// Ids remembered per link that it has and we lack. Default 65,536, 5 MiB.
    pub offers_per_link: usize,
    /// Refused ids remembered; the oldest are forgotten. Default 16,384.
    pub refusals_max: usize,
    /// Bytes of payloads that are incomplete or await judgement. Default 64 MiB;
    /// at least one transfer runs even if a payload may be larger.
    pub transfer_bytes_max: u64,
    /// Transfers that are incomplete or await judgement. Default 64.
    pub transfers_max: usize,
    /// Heads and ranges nobody asked for, per link, before it is closed.
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
            wants_per_link: 8,
            range_bytes: 16 * 1024,
            offers_per_link: 65_536,
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
        Self { me, scope, nonce, limits, payload_bytes_unasked, bounds, memo: None }
    }

    /// Bytes of one range asked for: at least one, at most what is answered.
    pub(super) fn range_bytes(&self) -> u64 {
        u64::from(self.bounds.range_bytes).clamp(1, RANGE_BYTES_MAX as u64)
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
        let limits = BundleLimits { header_bytes_max: 1, payload_bytes_max, lifetime_max };
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

    #[test]
    fn asks_for_ranges_that_a_peer_answers() {
        for (range_bytes, found) in [(0, 1), (100, 100), (u32::MAX, RANGE_BYTES_MAX as u64)] {
            let mut config = config(1);
            config.bounds.range_bytes = range_bytes;
            assert_eq!(config.range_bytes(), found);
        }
    }
}
