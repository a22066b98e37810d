//! Errors: why bytes are not a bundle, and where.

use std::fmt;

use crate::codec::CodecError;

/// A part of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The array around the blocks.
    Frame,
    /// The primary block.
    Primary,
    /// The block of this number.
    Block(u64),
    /// The administrative record in the payload.
    Record,
}

/// Why bytes are not a bundle, or values make none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A part is not the deterministic CBOR that it should be.
    #[error("{0}: {1}")]
    Malformed(Part, CodecError),
    /// A CRC does not fit its block.
    #[error("{0}: the CRC does not match")]
    Crc(Part),
    /// The primary block goes without a CRC and nothing protects it (section 4.3.1).
    #[error("primary block: neither a CRC nor a block integrity block")]
    Unprotected,
    /// Flags that exclude each other (section 4.2.3).
    #[error("primary block: {0}")]
    Flags(&'static str),
    /// Two blocks of one number.
    #[error("two blocks have number {0}")]
    DuplicateNumber(u64),
    /// A number that belongs to the primary block or the payload, or a payload of another number.
    #[error("a block of type {kind} has number {number}; the payload is 1 and none else")]
    Number {
        /// The block's type.
        kind: u64,
        /// Its number.
        number: u64,
    },
    /// Two blocks of a type of which a bundle has one.
    #[error("two blocks of type {0}")]
    Twice(u64),
    /// More blocks than the limit.
    #[error("more than {0} blocks")]
    TooManyBlocks(usize),
    /// More bytes before the payload than the limit.
    #[error("more than {0} bytes before the payload")]
    HeadTooLong(usize),
    /// A bundle without a payload, or with blocks behind it.
    #[error("the payload block is not the last block")]
    PayloadNotLast,
    /// A source without a clock has to give the bundle's age (section 4.4.2).
    #[error("a creation time of zero without a bundle age block")]
    NoAge,
    /// A fragment that reaches beyond the whole.
    #[error("a fragment from byte {offset} with {len} bytes reaches beyond {total}")]
    FragmentRange {
        /// Where it begins.
        offset: u64,
        /// Its length.
        len: u64,
        /// The length of the whole.
        total: u64,
    },
    /// More hops than the limit allows.
    #[error("hop count {count} of at most {limit}, which is 1 to 255")]
    Hops {
        /// Hops allowed.
        limit: u64,
        /// Hops taken.
        count: u64,
    },
    /// A security block is about what it may not be about.
    #[error("a security block of type {kind} has block {target} as its target, {what}")]
    Target {
        /// The security block's type.
        kind: u64,
        /// The number of the target.
        target: u64,
        /// What that is.
        what: &'static str,
    },
    /// Flags that a confidentiality block must have or must not (RFC 9172 section 3.8).
    #[error("block {number}: {why}")]
    BlockFlags {
        /// The block's number.
        number: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A security block is not what its context says (RFC 9173).
    #[error("block {number}: not a block of security context {context}")]
    Context {
        /// The block's number.
        number: u64,
        /// Its context.
        context: u64,
    },
    /// The payload promised is not the one given.
    #[error("a payload of {found} bytes where {promised} were promised")]
    PayloadLength {
        /// Bytes promised.
        promised: u64,
        /// Bytes given.
        found: u64,
    },
}

/// Why fragments do not make a bundle, or a bundle no fragments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The bundle forbids it.
    #[error("the bundle must not be fragmented")]
    Forbidden,
    /// A piece of no bytes.
    #[error("fragments of zero bytes")]
    Empty,
    /// The bundle is no fragment.
    #[error("the bundle is no fragment")]
    NoFragment,
    /// It belongs to another bundle, or says that the whole has another length.
    #[error("a fragment of another bundle")]
    Foreign,
    /// The whole is longer than the limit.
    #[error("a payload of {0} bytes is above the limit of {1}")]
    TooLong(u64, u64),
    /// The payload is in more pieces than are held; holds how many that is.
    #[error("more than {0} pieces of one payload")]
    TooManyPieces(usize),
    /// Fragments overlap with other bytes.
    #[error("fragments differ in byte {0}")]
    Differ(u64),
    /// The pieces make no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Part {
    /// Makes an error of this part.
    pub(super) fn malformed(self) -> impl Fn(CodecError) -> BundleError {
        move |error| BundleError::Malformed(self, error)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame => f.write_str("bundle"),
            Self::Primary => f.write_str("primary block"),
            Self::Block(1) => f.write_str("payload block"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::Record => f.write_str("administrative record"),
        }
    }
}
