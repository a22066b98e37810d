//! A block: its header, and how its columns are packed.
//!
//! A header is checked on its own, so that a reader can walk over a file
//! without reading what the blocks hold. It bounds everything that is allocated
//! for the block: 2.3 MB of numbers and 0.5 MB of contents at most.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::columns::{CONTENT_BYTES, Columns, Malformed, NUMBERS_BYTES_MAX, NUMBERS_BYTES_MIN};
use super::record::{EventRecord, RunningDigest};
use super::{BLOCK_RECORDS_MAX, CHECK_BYTES, check};

/// Bytes of a block's header.
pub(super) const HEADER_BYTES: usize = 96;

const TAG: [u8; 4] = *b"BLCK";

/// Bytes of the header that its own check covers.
const CHECKED_BYTES: usize = HEADER_BYTES - CHECK_BYTES;

/// Bytes that are deflated to learn whether the rest is worth it. Contents are
/// mostly hashes; trying all of them would double the time of a block.
const SAMPLE_BYTES: usize = 16 << 10;

/// What a block holds and where it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHeader {
    /// Number of records, from 1 to the log's block size.
    pub records: u32,
    /// The sequence number of the first.
    pub first_sequence: u64,
    /// Its time.
    pub first_at_us: u64,
    /// The time of the last.
    pub last_at_us: u64,
    numbers: Packed,
    contents: Packed,
    /// The digest over all records up to the end of this block.
    pub digest: RunningDigest,
    packed_check: [u8; CHECK_BYTES],
}

/// Lengths of one part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed {
    /// Bytes once unpacked.
    bytes: u32,
    /// Bytes in the file: as many if stored, fewer if deflated.
    packed_bytes: u32,
}

impl Packed {
    fn is_possible(self, bytes_min: u64, bytes_max: u64) -> bool {
        (bytes_min..=bytes_max).contains(&u64::from(self.bytes))
            && self.packed_bytes <= self.bytes
            && (self.packed_bytes > 0 || self.bytes == 0)
    }
}

impl BlockHeader {
    /// Bytes of the block in the file after its header.
    pub fn packed_bytes(&self) -> usize {
        length(self.numbers.packed_bytes) + length(self.contents.packed_bytes)
    }

    /// The header as it stands in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let contents = self.contents.bytes / 8;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&TAG);
        bytes.extend_from_slice(&self.records.to_le_bytes());
        for number in [self.first_sequence, self.first_at_us, self.last_at_us] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let Self { numbers, contents: packed, .. } = self;
        for number in [numbers.bytes, numbers.packed_bytes, contents, packed.packed_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.packed_check);
        bytes.extend_from_slice(&check(&bytes));
        bytes.try_into().expect("the fields add up to a header")
    }

    /// Reads a header and checks all that can be checked without its block.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Malformed> {
        if bytes[..TAG.len()] != TAG {
            return Err(Malformed("a block does not begin with its tag"));
        }
        if bytes[CHECKED_BYTES..] != check(&bytes[..CHECKED_BYTES]) {
            return Err(Malformed("a block's header does not match its check"));
        }
        let contents = u32_at(bytes, 40);
        let header = Self {
            records: u32_at(bytes, 4),
            first_sequence: u64_at(bytes, 8),
            first_at_us: u64_at(bytes, 16),
            last_at_us: u64_at(bytes, 24),
            numbers: Packed { bytes: u32_at(bytes, 32), packed_bytes: u32_at(bytes, 36) },
            contents: Packed {
                bytes: contents.checked_mul(8).ok_or(Malformed("a block is too large"))?,
                packed_bytes: u32_at(bytes, 44),
            },
            digest: RunningDigest::from_bytes(array_at(bytes, 48)),
            packed_check: array_at(bytes, 80),
        };
        header.check_bounds()?;
        Ok(header)
    }

    fn check_bounds(&self) -> Result<(), Malformed> {
        let records = u64::from(self.records);
        if !(1..=BLOCK_RECORDS_MAX).contains(&self.records) {
            return Err(Malformed("a block has no records or too many"));
        }
        if self.first_at_us > self.last_at_us {
            return Err(Malformed("a block ends before it begins"));
        }
        let [min, max] = [NUMBERS_BYTES_MIN, NUMBERS_BYTES_MAX].map(|bytes| records * bytes);
        if !self.numbers.is_possible(min, max)
            || !self.contents.is_possible(0, records * CONTENT_BYTES)
        {
            return Err(Malformed("a block's lengths are impossible"));
        }
        Ok(())
    }

    /// Unpacks what follows the header and checks it against the header.
    ///
    /// `packed` are the [`Self::packed_bytes`] that follow; `before` is the digest of
    /// the block before.
    pub fn unpack(
        &self,
        packed: &[u8],
        before: &RunningDigest,
    ) -> Result<Vec<EventRecord>, Malformed> {
        if packed.len() != self.packed_bytes() || check(packed) != self.packed_check {
            return Err(Malformed("a block does not match its check"));
        }
        let (numbers, contents) = packed.split_at(length(self.numbers.packed_bytes));
        let columns = Columns {
            numbers: inflate(numbers, length(self.numbers.bytes))?,
            contents: inflate(contents, length(self.contents.bytes))?,
        };
        let records = columns.records(length(self.records), self.first_at_us)?;
        if records.last().is_none_or(|last| last.at_us != self.last_at_us) {
            return Err(Malformed("the last record is not at the block's last time"));
        }
        if before.then(&records) != self.digest {
            return Err(Malformed("a block's records do not match its digest"));
        }
        Ok(records)
    }
}

/// Packs blocks; keeps its buffers from one to the next.
#[derive(Debug)]
pub(super) struct Packer {
    columns: Columns,
    deflate: Compress,
    scratch: Vec<u8>,
}

impl Packer {
    /// A packer that deflates fast.
    pub fn new() -> Self {
        let deflate = Compress::new(Compression::fast(), false);
        Self { columns: Columns::default(), deflate, scratch: Vec::new() }
    }

    /// Packs `records` into `packed` and makes the header of the block.
    ///
    /// There is at least one record, at most a block full, in order of time.
    pub fn pack(
        &mut self,
        first_sequence: u64,
        records: &[EventRecord],
        before: &RunningDigest,
        packed: &mut Vec<u8>,
    ) -> BlockHeader {
        let [first, .., last] = [records.first(), records.last()]
            .map(|record| record.expect("a block has at least one record"));
        self.columns.set(records);
        packed.clear();
        let numbers = self.pack_part(|columns| &columns.numbers, packed);
        let contents = self.pack_part(|columns| &columns.contents, packed);
        BlockHeader {
            records: short(records.len()),
            first_sequence,
            first_at_us: first.at_us,
            last_at_us: last.at_us,
            numbers,
            contents,
            digest: before.then(records),
            packed_check: check(packed),
        }
    }

    fn pack_part(&mut self, part: fn(&Columns) -> &Vec<u8>, packed: &mut Vec<u8>) -> Packed {
        let Self { columns, deflate, scratch } = self;
        let bytes = part(columns);
        let deflated = if bytes.len() <= 2 * SAMPLE_BYTES
            || deflate_into(deflate, &bytes[..SAMPLE_BYTES], scratch).is_some()
        {
            deflate_into(deflate, bytes, scratch)
        } else {
            None
        };
        let stored = deflated.unwrap_or(bytes);
        packed.extend_from_slice(stored);
        Packed { bytes: short(bytes.len()), packed_bytes: short(stored.len()) }
    }
}

/// Deflates `bytes`, if that makes them shorter.
fn deflate_into<'a>(
    deflate: &mut Compress,
    bytes: &[u8],
    scratch: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    deflate.reset();
    scratch.resize(bytes.len().saturating_sub(1), 0);
    let status = deflate.compress(bytes, scratch, FlushCompress::Finish).ok()?;
    let written = usize::try_from(deflate.total_out()).ok()?;
    (status == Status::StreamEnd).then_some(&scratch[..written])
}

/// Gives back `length` bytes from a part of a block, stored or deflated.
fn inflate(packed: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    if packed.len() == length {
        return Ok(packed.to_vec());
    }
    let mut bytes = vec![0; length];
    let mut inflate = Decompress::new(false);
    let status = inflate
        .decompress(packed, &mut bytes, FlushDecompress::Finish)
        .map_err(|_| Malformed("a block cannot be inflated"))?;
    let sizes = (usize::try_from(inflate.total_in()), usize::try_from(inflate.total_out()));
    if status != Status::StreamEnd || sizes != (Ok(packed.len()), Ok(length)) {
        return Err(Malformed("a block inflates to another length than its header says"));
    }
    Ok(bytes)
}

fn length(number: u32) -> usize {
    usize::try_from(number).expect("memory is addressed with 32 bits or more")
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a block has less than 4 GiB")
}

fn array_at<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a field lies inside the header")
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{arb_records, plain_records};
    use super::*;
    use proptest::prelude::*;

    fn pack(records: &[EventRecord]) -> (BlockHeader, Vec<u8>) {
        let mut packed = Vec::new();
        let header = Packer::new().pack(7, records, &RunningDigest::EMPTY, &mut packed);
        (header, packed)
    }

    /// `header` changed by `change`, with a check that matches.
    fn forged(header: &BlockHeader, change: impl FnOnce(&mut [u8])) -> [u8; HEADER_BYTES] {
        let mut bytes = header.encode();
        change(&mut bytes[..CHECKED_BYTES]);
        let check = check(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&check);
        bytes
    }

    proptest! {
        #[test]
        fn a_block_comes_back_as_it_went(records in arb_records(2_000)) {
            prop_assume!(!records.is_empty());
            let (header, packed) = pack(&records);
            prop_assert_eq!(packed.len(), header.packed_bytes());
            prop_assert_eq!(BlockHeader::decode(&header.encode()), Ok(header));
            prop_assert_eq!(header.unpack(&packed, &RunningDigest::EMPTY), Ok(records));
        }

        #[test]
        fn a_forged_header_never_panics(at in 4..CHECKED_BYTES, byte in any::<u8>()) {
            let (header, packed) = pack(&plain_records(100));
            let bytes = forged(&header, |bytes| bytes[at] = byte);
            if let Ok(forged) = BlockHeader::decode(&bytes) && forged != header {
                let unpacked = forged.unpack(&packed, &RunningDigest::EMPTY);
                // Nothing inside a block knows its place in the log.
                prop_assert!(unpacked.is_err() || (8..16).contains(&at));
            }
        }
    }

    #[test]
    fn a_flipped_bit_of_a_header_is_noticed() {
        let bytes = pack(&plain_records(10)).0.encode();
        for bit in 0..8 * HEADER_BYTES {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_headers_that_ask_for_too_much() {
        let (header, _) = pack(&plain_records(100));
        let refusal = |at: usize, number: u32| {
            let put = |bytes: &mut [u8]| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            BlockHeader::decode(&forged(&header, put)).expect_err("a refusal").0
        };
        assert_eq!(refusal(4, 0), "a block has no records or too many");
        assert_eq!(refusal(4, BLOCK_RECORDS_MAX + 1), "a block has no records or too many");
        assert_eq!(refusal(20, 1), "a block ends before it begins");
        assert_eq!(refusal(40, u32::MAX), "a block is too large");
        for (at, number) in [(32, 3_501), (32, 499), (36, 3_501), (36, 0), (40, 101), (44, 801)] {
            assert_eq!(refusal(at, number), "a block's lengths are impossible", "{at} {number}");
        }
    }

    #[test]
    fn hashes_are_stored_and_numbers_deflated() {
        let (header, _) = pack(&plain_records(20_000));
        assert_eq!(header.contents.packed_bytes, header.contents.bytes);
        assert!(header.numbers.packed_bytes < header.numbers.bytes * 2 / 3);
    }

    #[test]
    fn contents_that_repeat_are_deflated() {
        let same = EventRecord { content: 0x1234_5678_9abc_def0, ..EventRecord::default() };
        let (header, _) = pack(&[same; 10_000]);
        assert!(header.contents.packed_bytes < header.contents.bytes / 50);
    }

    #[test]
    fn deflate_ends_exactly_where_its_part_does() {
        let bytes = [5; 1_000];
        let mut scratch = Vec::new();
        let mut deflate = Compress::new(Compression::fast(), false);
        let packed = deflate_into(&mut deflate, &bytes, &mut scratch).expect("shorter").to_vec();
        assert_eq!(inflate(&packed, 1_000), Ok(bytes.to_vec()));
        assert!(inflate(&packed, 999).is_err() && inflate(&packed, 1_001).is_err());
        assert!(inflate(&packed[..packed.len() - 1], 1_000).is_err());
        assert!(inflate(&[&packed[..], &[0]].concat(), 1_000).is_err());
    }
}
