//! The tail of a finished log: index and footer.
//!
//! The blocks determine it to the last byte, so it is not parsed field by
//! field: the index gives the headers, and what stands in the file must equal
//! what a writer would have written for them.

use super::block::{BlockHeader, HEADER_BYTES};
use super::{BLOCKS_MAX, CHECK_BYTES, EventLogError, START_BYTES, check};

const INDEX_TAG: [u8; 4] = *b"INDX";

/// The last bytes of a finished log.
const END: [u8; 8] = *b"LHEVEND1";

/// Bytes of an entry of the index: the block's offset and its header.
const ENTRY_BYTES: usize = 8 + HEADER_BYTES;

/// Bytes after the index: its offset, two counts, the check and the end.
pub(super) const FOOTER_BYTES: usize = 24 + CHECK_BYTES + END.len();

/// A block and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of its header in the file.
    pub offset: u64,
    /// Its header.
    pub header: BlockHeader,
}

impl Entry {
    /// Offset of what follows the block.
    pub fn end(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + self.header.packed_bytes() as u64
    }
}

/// Offset of what follows `entries`.
pub(super) fn end_of(entries: &[Entry]) -> u64 {
    entries.last().map_or(START_BYTES as u64, Entry::end)
}

/// Number of records in `entries`.
pub(super) fn records_in(entries: &[Entry]) -> u64 {
    let header = entries.last().map(|entry| entry.header);
    header.map_or(0, |header| header.first_sequence + u64::from(header.records))
}

/// The tail that follows `entries`.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tail_bytes(entries.len()));
    bytes.extend_from_slice(&INDEX_TAG);
    for entry in entries {
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.header.encode());
    }
    for number in [end_of(entries), entries.len() as u64, records_in(entries)] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&check(&bytes));
    bytes.extend_from_slice(&END);
    bytes
}

/// Where the tail of a finished log begins, as its last bytes tell.
///
/// `None` if these are not the last bytes of a finished log.
pub(super) fn find(
    footer: &[u8; FOOTER_BYTES],
    file_bytes: u64,
) -> Option<Result<u64, EventLogError>> {
    if !footer.ends_with(&END) {
        return None;
    }
    let number =
        |at: usize| u64::from_le_bytes(*footer[at..].first_chunk().expect("a number lies inside"));
    let (offset, blocks) = (number(0), number(8));
    let fits = blocks <= BLOCKS_MAX
        && usize::try_from(blocks)
            .is_ok_and(|blocks| offset.checked_add(tail_bytes(blocks) as u64) == Some(file_bytes));
    let footer_at = file_bytes.saturating_sub(FOOTER_BYTES as u64);
    Some(if fits {
        Ok(offset)
    } else {
        Err(EventLogError::damaged(footer_at, "the footer does not fit the file"))
    })
}

/// Reads a tail that begins at `offset` of a log with blocks of `block_records`.
pub(super) fn decode(
    tail: &[u8],
    offset: u64,
    block_records: u32,
) -> Result<Vec<Entry>, EventLogError> {
    let damaged = |what| EventLogError::damaged(offset, what);
    let index = tail
        .get(INDEX_TAG.len()..tail.len().saturating_sub(FOOTER_BYTES))
        .ok_or(damaged("the index is too short"))?;
    let mut entries = Vec::with_capacity(index.len() / ENTRY_BYTES);
    for entry in index.chunks(ENTRY_BYTES) {
        let header = entry
            .get(8..)
            .and_then(<[u8]>::first_chunk)
            .ok_or(damaged("the index is too short"))?;
        let header = BlockHeader::decode(header).map_err(|error| damaged(error.0))?;
        push(&mut entries, header, block_records)?;
    }
    if encode(&entries) != tail {
        return Err(damaged("the index does not match its blocks"));
    }
    Ok(entries)
}

/// Adds the header of the block that follows `entries`.
pub(super) fn push(
    entries: &mut Vec<Entry>,
    header: BlockHeader,
    block_records: u32,
) -> Result<(), EventLogError> {
    let offset = end_of(entries);
    let damaged = |what| Err(EventLogError::damaged(offset, what));
    if entries.len() as u64 >= BLOCKS_MAX {
        return Err(EventLogError::Full);
    }
    if header.records > block_records {
        return damaged("a block has more records than the log allows");
    }
    if header.first_sequence != records_in(entries) {
        return damaged("a block does not continue the sequence");
    }
    if let Some(last) = entries.last() {
        if last.header.records != block_records {
            return damaged("a block follows one that is not full");
        }
        if header.first_at_us < last.header.last_at_us {
            return damaged("a block is earlier than the one before it");
        }
    }
    entries.push(Entry { offset, header });
    Ok(())
}

fn tail_bytes(blocks: usize) -> usize {
    INDEX_TAG.len() + blocks * ENTRY_BYTES + FOOTER_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::block::Packer;
    use super::super::record::{EventRecord, RunningDigest};
    use super::super::testing::plain_records;
    use super::*;

    fn header(first_sequence: u64, records: u64) -> BlockHeader {
        let all = plain_records(first_sequence + records);
        let from = usize::try_from(first_sequence).expect("a small number");
        pack(first_sequence, &all[from..])
    }

    fn pack(first_sequence: u64, records: &[EventRecord]) -> BlockHeader {
        Packer::new().pack(first_sequence, records, &RunningDigest::EMPTY, &mut Vec::new())
    }

    fn entries() -> Vec<Entry> {
        let mut entries = Vec::new();
        for (first, records) in [(0, 10), (10, 10), (20, 3)] {
            push(&mut entries, header(first, records), 10).expect("a block in order");
        }
        entries
    }

    #[test]
    fn a_tail_is_found_and_read_back() {
        for entries in [entries(), entries()[..1].to_vec(), Vec::new()] {
            let (tail, offset) = (encode(&entries), end_of(&entries));
            let footer = tail.last_chunk().expect("a footer");
            let found = find(footer, offset + tail.len() as u64);
            assert_eq!(found.expect("an end").expect("a fitting footer"), offset);
            assert_eq!(decode(&tail, offset, 10).expect("a tail"), entries);
        }
    }

    #[test]
    fn a_footer_must_fit_the_file() {
        let tail = encode(&entries());
        let footer: [u8; FOOTER_BYTES] = *tail.last_chunk().expect("a footer");
        let file_bytes = end_of(&entries()) + tail.len() as u64;
        for wrong in [0, file_bytes - 1, file_bytes + 1, u64::MAX] {
            assert!(matches!(find(&footer, wrong), Some(Err(_))), "{wrong}");
        }
        for (at, number) in [(0, u64::MAX), (8, u64::MAX), (8, BLOCKS_MAX + 1)] {
            let mut forged = footer;
            forged[at..at + 8].copy_from_slice(&number.to_le_bytes());
            assert!(matches!(find(&forged, file_bytes), Some(Err(_))), "{at} {number}");
        }
    }

    #[test]
    fn every_bit_of_the_tail_counts() {
        let tail = encode(&entries());
        for bit in 0..8 * tail.len() {
            let mut flipped = tail.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, end_of(&entries()), 10).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn blocks_follow_each_other() {
        let refusal = |first, records| {
            let mut entries = entries();
            entries.truncate(1);
            push(&mut entries, header(first, records), 10).expect_err("a refusal").to_string()
        };
        assert!(refusal(11, 10).contains("does not continue the sequence"));
        assert!(refusal(10, 11).contains("more records than the log allows"));
        let early = pack(10, &plain_records(10)[..1]);
        let error = push(&mut entries()[..1].to_vec(), early, 10).expect_err("a refusal");
        assert!(error.to_string().contains("earlier than the one before"), "{error}");
        let error = push(&mut entries(), header(23, 1), 10).expect_err("a refusal");
        assert!(error.to_string().contains("one that is not full"), "{error}");
    }
}
