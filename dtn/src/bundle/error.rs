//! Why bytes are not a bundle of ours; every error names the block.

use std::fmt;

use crate::codec::{CodecError, CodecErrorKind};
use crate::eid::EidError;
use crate::keyring::KeyId;

/// The blocks of a bundle, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockKind {
    /// The primary block (RFC 9171 section 4.3.1).
    Primary,
    /// The update header, private-use block type 192; opaque to this crate.
    UpdateHeader,
    /// What shows to whoever cannot read the payload that it is within bounds, private-use block type
    /// 194; opaque to this crate. Not in every bundle.
    Proof,
    /// The integrity block, private-use block type 193.
    Integrity,
    /// The security block: a block integrity block (RFC 9172) about the integrity block.
    Security,
    /// The confidentiality block (RFC 9172): header and payload are encrypted. Not in every bundle.
    Confidentiality,
    /// The hop count block (RFC 9171 section 4.4.3).
    HopCount,
    /// The bundle age block (RFC 9171 section 4.4.2).
    BundleAge,
    /// The payload block (RFC 9171 section 4.1: the last one).
    Payload,
}

/// The blocks behind the primary block, in the one order that is accepted; a bundle in clear has no
/// confidentiality block, and one without a proof no proof block.
pub(super) const LAYOUT: [BlockKind; 8] = [
    BlockKind::UpdateHeader,
    BlockKind::Proof,
    BlockKind::Integrity,
    BlockKind::Security,
    BlockKind::Confidentiality,
    BlockKind::HopCount,
    BlockKind::BundleAge,
    BlockKind::Payload,
];

impl BlockKind {
    /// The block type code (IANA, Bundle Block Types; 192 to 255 are private use).
    pub const fn type_code(self) -> u64 {
        match self {
            Self::Primary => 0,
            Self::Payload => 1,
            Self::BundleAge => 7,
            Self::HopCount => 10,
            Self::Security => 11,
            Self::Confidentiality => 12,
            Self::UpdateHeader => 192,
            Self::Integrity => 193,
            Self::Proof => 194,
        }
    }

    /// The block number (RFC 9171 section 4.1: 0 primary, 1 payload).
    pub const fn number(self) -> u64 {
        match self {
            Self::Primary => 0,
            Self::Payload => 1,
            Self::UpdateHeader => 2,
            Self::Integrity => 3,
            Self::HopCount => 4,
            Self::BundleAge => 5,
            Self::Security => 6,
            Self::Confidentiality => 7,
            Self::Proof => 8,
        }
    }

    /// Whether a bundle may lack it.
    pub(super) const fn is_optional(self) -> bool {
        matches!(self, Self::Proof | Self::Confidentiality)
    }

    /// Processing flags: none, so that a courier that does not know a block keeps it and reports nothing;
    /// what encrypts a payload must be in each fragment of it (RFC 9172 section 3.8).
    pub const fn flags(self) -> u64 {
        match self {
            Self::Confidentiality => 1,
            _ => 0,
        }
    }

    pub(super) fn from_type_code(code: u64) -> Option<Self> {
        LAYOUT.into_iter().find(|kind| kind.type_code() == code)
    }

    /// Makes a codec error one of this block.
    pub(super) fn error(self) -> impl Fn(CodecError) -> BundleError {
        move |error| BundleError::Block { block: self, error }
    }
}

impl fmt::Display for BlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary block",
            Self::UpdateHeader => "update header block",
            Self::Proof => "proof block",
            Self::Integrity => "integrity block",
            Self::Security => "security block",
            Self::Confidentiality => "confidentiality block",
            Self::HopCount => "hop count block",
            Self::BundleAge => "bundle age block",
            Self::Payload => "payload block",
        })
    }
}

/// Why something is not a bundle, or not one that may be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The array around the blocks is malformed.
    #[error("bundle: {0}")]
    Frame(CodecError),
    /// A block is malformed.
    #[error("{block}: {error}")]
    Block {
        /// Which block.
        block: BlockKind,
        /// Where and how.
        error: CodecError,
    },
    /// A block has flags other than those it must have.
    #[error("{block}: processing flags {found:#x} are not accepted")]
    Flags {
        /// Which block.
        block: BlockKind,
        /// The flags as received.
        found: u64,
    },
    /// The checksum of a block is wrong.
    #[error("{0}: the CRC-32C does not match")]
    Crc(BlockKind),
    /// A block type that is not part of the layout; holds its code.
    #[error("block type {0} is not accepted")]
    UnknownBlock(u64),
    /// Two blocks have one number; holds it.
    #[error("two blocks have number {0}")]
    DuplicateBlockNumber(u64),
    /// A block stands where another one is expected.
    #[error("expected the {expected}, found the {found}")]
    BlockOrder {
        /// The block of the layout.
        expected: BlockKind,
        /// The block found.
        found: BlockKind,
    },
    /// A block has another number than the layout gives it.
    #[error("{block}: has number {found}")]
    BlockNumber {
        /// Which block.
        block: BlockKind,
        /// The number found.
        found: u64,
    },
    /// The bundle ends before this block.
    #[error("the {0} is missing")]
    MissingBlock(BlockKind),
    /// More blocks than the layout has, or the payload block in a head.
    #[error("blocks follow the last one")]
    TooManyBlocks,
    /// The creation time is zero, which means "no clock" (RFC 9171 section 4.2.7).
    #[error("primary block: no creation time")]
    NoCreationTime,
    /// The source is not `dtn://<peer id>/updates`.
    #[error("primary block: the source is not an author's endpoint")]
    Source,
    /// An endpoint id could not be made.
    #[error("endpoint id: {0}")]
    Eid(#[from] EidError),
    /// The hop limit is zero, or the hop count above it.
    #[error("hop count block: {count} hops of {limit} allowed")]
    Hops {
        /// Hops so far.
        count: u8,
        /// Hops allowed.
        limit: u8,
    },
    /// The integrity block vouches for another version of this block.
    #[error("integrity block: the hash of the {0} does not match")]
    Hash(BlockKind),
    /// The payload is not as long as the integrity block says.
    #[error("integrity block: the payload has {found} bytes, not {promised}")]
    PayloadLength {
        /// Length in the integrity block.
        promised: u64,
        /// Length found.
        found: u64,
    },
    /// The security block is not the author's COSE signature in its one form.
    #[error("security block: not a COSE signature of the author over the integrity block")]
    SecurityForm,
    /// The signature is not the author's over the integrity block and the primary block.
    #[error("security block: the signature is not the author's")]
    Signature,
    /// The confidentiality block is not the one that follows from the integrity block.
    #[error("confidentiality block: not the one that follows from the integrity block")]
    ConfidentialityForm,
    /// The bundle is not encrypted.
    #[error("the bundle is not encrypted")]
    NotConfidential,
    /// The bundle is encrypted under another key; holds that key's id.
    #[error("the bundle is encrypted under the federation key {0}")]
    ForeignKey(KeyId),
    /// A block does not decrypt under the key that the bundle names.
    #[error("the {0} does not decrypt under the key that the bundle names")]
    Decryption(BlockKind),
    /// The author in an encrypted header does not vouch for who signed the bundle.
    #[error("update header block: its author does not vouch for who signed the bundle")]
    Pseudonym,
    /// The payload is not the one whose salted root is signed.
    #[error("integrity block: the salted root is not that of the payload")]
    SaltedRoot,
    /// The header is larger than allowed.
    #[error("update header block: {len} bytes are above the limit of {max}")]
    HeaderTooLarge {
        /// Bytes of the header.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The proof is larger than allowed, alone or together with the header.
    #[error("proof block: {len} bytes are above the limit of {max}")]
    ProofTooLarge {
        /// Bytes of the proof.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A block is there and not signed for, or signed for and not there.
    #[error("integrity block: speaks of a {0} where there is none, or the other way round")]
    Presence(BlockKind),
    /// The payload is larger than allowed.
    #[error("payload of {len} bytes is above the limit of {max}")]
    PayloadTooLarge {
        /// Bytes of the payload.
        len: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The lifetime is longer than allowed; milliseconds.
    #[error("lifetime of {ms} ms is above the limit of {max_ms} ms")]
    LifetimeTooLong {
        /// The bundle's lifetime.
        ms: u64,
        /// The lifetime allowed.
        max_ms: u64,
    },
}

impl BundleError {
    /// True when the codec found a number or length that is not shortest.
    pub fn is_not_canonical(&self) -> bool {
        match self {
            Self::Frame(error) | Self::Block { error, .. } => {
                error.kind == CodecErrorKind::NotCanonical
            }
            _ => false,
        }
    }
}
