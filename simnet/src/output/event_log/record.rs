//! A record of the event log, and the running digest over records.

use blake3::Hash;

/// Bytes of a record as the digest sees it.
const CANONICAL_BYTES: usize = 35;

/// The digest's domain: blake3's key derivation mode with this context.
const CONTEXT: &str = "longhaul simnet event log block v1";

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventRecord {
    /// When, in microseconds since the start of the run.
    pub at_us: u64,
    /// What happened, as the trace numbers it.
    pub kind: u8,
    /// The peer it happened to, by its index in the scenario.
    pub peer: u16,
    /// A first number; what it says depends on the kind.
    pub a: u64,
    /// A second number.
    pub b: u64,
    /// The first 8 bytes of the blake3 of the event's content, little-endian;
    /// zero, which takes no room, where there is no content.
    pub content: u64,
}

/// A digest over all records up to the end of a block.
///
/// The digest of nothing is 32 zero bytes; each block's is blake3, in key
/// derivation mode, over the digest before it and the block's records, each as
/// 35 little-endian bytes in the order of the fields. So a block can be checked
/// alone, and equal digests mean equal histories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RunningDigest(Hash);

impl EventRecord {
    fn canonical(&self) -> [u8; CANONICAL_BYTES] {
        let mut bytes = [0; CANONICAL_BYTES];
        bytes[..8].copy_from_slice(&self.at_us.to_le_bytes());
        bytes[8] = self.kind;
        bytes[9..11].copy_from_slice(&self.peer.to_le_bytes());
        bytes[11..19].copy_from_slice(&self.a.to_le_bytes());
        bytes[19..27].copy_from_slice(&self.b.to_le_bytes());
        bytes[27..].copy_from_slice(&self.content.to_le_bytes());
        bytes
    }
}

impl RunningDigest {
    /// The digest of no records.
    pub const EMPTY: Self = Self(Hash::from_bytes([0; 32]));

    /// The digest after a further block.
    pub fn then(&self, block: &[EventRecord]) -> Self {
        let mut bytes = Vec::with_capacity(CANONICAL_BYTES * block.len());
        for record in block {
            bytes.extend_from_slice(&record.canonical());
        }
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(self.as_bytes()).update(&bytes);
        Self(hasher.finalize())
    }

    /// Takes 32 bytes that are a digest already.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Hash::from_bytes(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl std::fmt::Display for RunningDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for RunningDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunningDigest({:.10})", self.0.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts_in_the_digest() {
        let none = EventRecord::default();
        let variants = [
            none,
            EventRecord { at_us: 1, ..none },
            EventRecord { kind: 1, ..none },
            EventRecord { peer: 1, ..none },
            EventRecord { a: 1, ..none },
            EventRecord { b: 1, ..none },
            EventRecord { content: 1, ..none },
        ];
        let digests = variants.map(|record| RunningDigest::EMPTY.then(&[record]));
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "variant {index} repeats another");
        }
    }

    #[test]
    fn the_digest_depends_on_what_came_before() {
        let record = [EventRecord::default()];
        let once = RunningDigest::EMPTY.then(&record);
        assert_ne!(once, once.then(&record));
    }
}
