//! BPv7 in full: every bundle of RFC 9171, strict and canonical.
//!
//! [`crate::bundle`] has the one form in which updates travel; this module reads and writes what
//! other nodes of a DTN send: any block, both CRCs, fragments, bundles of sources without a clock,
//! status reports, endpoints of the `dtn` and `ipn` schemes.
//!
//! Strict means that one bundle has one encoding: shortest CBOR heads, no tags, no indefinite
//! lengths but the array around the blocks, block numbers that occur once, the payload last. What
//! is read keeps its place in the bytes ([`Bundle::block_bytes`]), since CRCs and signatures
//! are over bytes as received. Every size that a stranger controls has a limit ([`Limits`]).
//! A payload need not be in memory: [`StreamReader`] and [`StreamWriter`] take it piece by piece.
//!
//! Security blocks are read as what RFC 9172 says of all of them ([`SecurityBlock`]).
//!
//! Not here: what a security context makes of them.

mod admin;
mod block;
mod bundle;
mod crc;
mod eid;
mod error;
mod flags;
mod fragment;
mod primary;
mod security;
mod stream;

pub use self::admin::{AdminRecord, ReportReason, StatusItem, StatusReport};
pub use self::block::{Block, BlockType, Extension};
pub use self::bundle::{Bundle, Draft, NewBlock};
pub use self::crc::CrcType;
pub use self::eid::{EndpointId, EndpointIdError, IpnForm};
pub use self::error::{BundleError, FragmentError, Part};
pub use self::flags::{BlockFlags, BundleFlags};
pub use self::fragment::{Reassembly, fragments};
pub use self::primary::{BundleKey, CreationTimestamp, Fragment, PrimaryBlock};
pub use self::security::{SecurityBlock, SecurityValue};
pub use self::stream::{StreamEvent, StreamReader, StreamWriter};

/// What a bundle may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Blocks besides the primary one.
    pub blocks_max: usize,
    /// Bytes of the data of a block other than the payload.
    pub block_bytes_max: usize,
    /// Bytes of all that stands before the data of the payload.
    pub head_bytes_max: usize,
    /// Bytes of the payload's data.
    pub payload_bytes_max: u64,
}

impl Default for Limits {
    /// 32 blocks of at most 64 KiB, 256 KiB together, and a payload of 256 MiB.
    fn default() -> Self {
        Self {
            blocks_max: 32,
            block_bytes_max: 64 * 1024,
            head_bytes_max: 256 * 1024,
            payload_bytes_max: 256 * 1024 * 1024,
        }
    }
}
