//! Types: the words of the bundle store's interface.

use std::fmt;

use longhaul_dtn::hash::{ContentHash, HASH_BYTES};
use longhaul_dtn::time::Timestamp;

use super::error::BundleStoreError;

/// The least size of a segment: a few records.
const SEGMENT_BYTES_MIN: u64 = 4_096;
/// Fewest segments in a quota: one is open, one is being compacted, two hold bundles.
const SEGMENTS_MIN: u64 = 4;

/// The name of a bundle in the store: 32 bytes that its owner derives, for
/// instance by hashing source, creation time and fragment (RFC 9171, 4.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleKey(ContentHash);

impl BundleKey {
    /// Takes the 32 bytes of a name.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(ContentHash::from_bytes(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        self.0.as_bytes()
    }
}

impl fmt::Display for BundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How large things may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes on the disk, indexes included, beyond which no bundle is taken. Tombstones and
    /// what a compaction copies may go beyond it, by less than one segment.
    pub quota_bytes: u64,
    /// Bytes of a segment file; 4 KiB or more, 16 MiB to 64 MiB serve well. A bundle whose
    /// record is larger than a quarter has a file of its own.
    pub segment_bytes: u64,
    /// Bytes of the largest bundle.
    pub bundle_bytes_max: u64,
}

impl StoreLimits {
    /// Checks that the limits fit each other.
    pub(super) fn check(&self) -> Result<(), BundleStoreError> {
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(BundleStoreError::Limits("a segment has 4,096 bytes or more"));
        }
        if self.quota_bytes / SEGMENTS_MIN < self.segment_bytes {
            return Err(BundleStoreError::Limits("the quota has room for four segments or more"));
        }
        Ok(())
    }
}

/// A bundle to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewBundle<'a> {
    /// Its name.
    pub key: BundleKey,
    /// When it expires; the store keeps it until it is deleted.
    pub expires: Timestamp,
    /// The bundle.
    pub bytes: &'a [u8],
}

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored now.
    New,
    /// A bundle of that name is stored already, or stands earlier in the group.
    Known,
    /// The quota does not allow it; it is not stored, what is stored stays.
    Full,
}

/// What is known of a stored bundle without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its size in bytes.
    pub bytes: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// Its place in the order of arrival; a later bundle has a greater one.
    pub order: u64,
}

/// What the store takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of the records of live bundles (72 more than the bundle) and their marks.
    pub live_bytes: u64,
    /// Bytes of all segments and indexes.
    pub total_bytes: u64,
    /// Live bundles.
    pub bundles: u64,
}

/// What a step of compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Bytes that were written again.
    pub copied_bytes: u64,
    /// Bytes of removed files.
    pub freed_bytes: u64,
    /// Nothing more is worth compacting now.
    pub is_done: bool,
}

/// Number of a segment file, or of the file of one large bundle; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId(pub u64);

/// Place of a bundle in the order of arrival. It names one stay of a bundle in
/// the store: a bundle that is deleted and inserted again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order(pub u64);

/// A neighbour has acknowledged a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The bundle's stay.
    pub order: Order,
    /// The neighbour's number.
    pub neighbour: u128,
}
