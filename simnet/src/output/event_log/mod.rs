//! The event log: everything that happened in a run, compressed and indexed.
//!
//! The trace says *whether* two runs differ; the log says *where*. Records
//! stand in blocks, each laid out by columns, deflated (RFC 1951) and sealed
//! with a running digest over all records so far, so that a reader seeks to
//! any sequence number or time, and [`diff`] finds the first difference of two
//! logs with a binary search over digests and one block of each.
//!
//! # Format
//!
//! All numbers are little-endian.
//!
//! ```text
//! file    = "LHEVLOG1" records_per_block:u32 block* tail
//! block   = header numbers contents
//! header  = "BLCK" records:u32 first_sequence:u64 first_at_us:u64 last_at_us:u64
//!           numbers_bytes:u32 numbers_packed_bytes:u32 contents:u32 contents_packed_bytes:u32
//!           digest:32 packed_check:8 header_check:8
//! tail    = "INDX" (offset:u64 header)* index_offset:u64 blocks:u64 records:u64
//!           index_check:8 "LHEVEND1"
//! ```
//!
//! Every block but the last holds `records_per_block` records. `numbers` and
//! `contents` are the columns of the block (see `columns`); each is one raw
//! deflate stream, or is stored as it is where its packed length equals its
//! length. `digest` is [`RunningDigest`]: blake3 over the digest before and the
//! records. A check is the first 8 bytes of a plain blake3: `packed_check` over
//! the stored columns, `header_check` over the header before it, `index_check`
//! over the tail before it.
//!
//! A file that was cut off has no tail; its blocks are found by walking over
//! their headers. What deflate makes of a block depends on the version of the
//! library, what the digests say does not: compare logs by [`diff`].

mod block;
mod columns;
mod diff;
mod reader;
mod record;
mod tail;
#[cfg(test)]
mod testing;
mod writer;

use std::io;

pub use diff::{Difference, diff};
pub use reader::{Ending, EventLogReader, Numbered, Records};
pub use record::{EventRecord, RunningDigest};
pub use writer::{EventLogSummary, EventLogWriter};

/// Records of a full block, unless the writer is told otherwise; also the most.
///
/// Some 0.6 MB a block: enough for deflate, little to read for one record.
pub const BLOCK_RECORDS_MAX: u32 = 65_536;

/// Most blocks of a log: 4.3 thousand million records in blocks of full size.
pub const BLOCKS_MAX: u64 = 65_536;

/// The first bytes of a log; the last character is the version.
const MAGIC: [u8; 8] = *b"LHEVLOG1";

/// Bytes before the first block.
const START_BYTES: usize = 12;

/// Bytes of a check.
const CHECK_BYTES: usize = 8;

/// Why an event log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The file below cannot be read or written.
    #[error("the event log's file failed: {0}")]
    Io(#[from] io::Error),
    /// The file does not begin like a log of this version.
    #[error("not an event log of version 1: it does not begin with `LHEVLOG1`")]
    NotALog,
    /// A block size that is not supported; holds it.
    #[error("blocks of {0} records are not supported; use 1 to {BLOCK_RECORDS_MAX}")]
    BlockRecords(u32),
    /// A record is earlier than the one before it.
    #[error(
        "record {sequence} is at {at_us} us, before the last one at {last_us} us; \
         append records in order of time"
    )]
    TimeWentBack {
        /// The sequence number of the record that was refused.
        sequence: u64,
        /// Its time in microseconds.
        at_us: u64,
        /// The time of the record before it in microseconds.
        last_us: u64,
    },
    /// The log is full.
    #[error("an event log has at most {BLOCKS_MAX} blocks; record a shorter run")]
    Full,
    /// The bytes are not what a writer writes.
    #[error("the event log is damaged at byte {offset}: {what}; write it again from the seed")]
    Damaged {
        /// Offset of the block, index or footer in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two logs cannot be compared by their blocks.
    #[error("the logs have blocks of {0} and of {1} records; write both with one block size")]
    BlockSizesDiffer(u32, u32),
}

impl EventLogError {
    const fn damaged(offset: u64, what: &'static str) -> Self {
        Self::Damaged { offset, what }
    }
}

/// The check over `bytes`.
fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().expect("a hash is longer than a check")
}

/// The bytes before the first block.
fn start(block_records: u32) -> [u8; START_BYTES] {
    let mut bytes = [0; START_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&block_records.to_le_bytes());
    bytes
}
