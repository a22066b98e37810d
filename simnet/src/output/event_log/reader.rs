//! Reading an event log: by sequence number, by time, from front to back.
//!
//! Opening reads the index, or, where a file was cut off, walks over the block
//! headers. Blocks are read when they are asked for, one at a time, and each is
//! checked against its header and the digest before it, so nothing that was
//! damaged is ever given out.

use std::io::{Read, Seek, SeekFrom};
use std::ops::{Bound, RangeBounds};

use super::block::{BlockHeader, HEADER_BYTES};
use super::record::{EventRecord, RunningDigest};
use super::tail::{self, Entry, FOOTER_BYTES};
use super::{BLOCK_RECORDS_MAX, EventLogError, MAGIC, START_BYTES, start};

/// Reads an event log from `R`.
#[derive(Debug)]
pub struct EventLogReader<R> {
    source: R,
    block_records: u32,
    entries: Vec<Entry>,
    ending: Ending,
    /// The block that was read last.
    loaded: Option<(usize, Vec<EventRecord>)>,
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The writer finished it.
    Finished,
    /// It was cut off: whole blocks can be read, the last bytes cannot.
    CutOff {
        /// Bytes after the last whole block.
        unread_bytes: u64,
    },
}

/// A record and its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// How many records are before it.
    pub sequence: u64,
    /// The record.
    pub record: EventRecord,
}

/// Records in order; ends after the first error.
#[derive(Debug)]
pub struct Records<'a, R> {
    reader: &'a mut EventLogReader<R>,
    next: u64,
    end: u64,
}

impl<R: Read + Seek> EventLogReader<R> {
    /// Opens a log; reads its index, but none of its blocks.
    ///
    /// A file that ends early opens too, see [`Self::ending`]. Anything else
    /// that no writer writes is an error, here or when its block is read.
    pub fn open(mut source: R) -> Result<Self, EventLogError> {
        let file_bytes = source.seek(SeekFrom::End(0))?;
        let Some(block_records) = read_start(&mut source, file_bytes)? else {
            let ending = Ending::CutOff { unread_bytes: file_bytes };
            let block_records = BLOCK_RECORDS_MAX;
            return Ok(Self { source, block_records, entries: Vec::new(), ending, loaded: None });
        };
        let (entries, ending) = match read_tail(&mut source, file_bytes, block_records)? {
            Some(entries) => (entries, Ending::Finished),
            None => scan(&mut source, file_bytes, block_records)?,
        };
        Ok(Self { source, block_records, entries, ending, loaded: None })
    }

    /// Whether the writer finished the log.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// Number of records.
    pub fn len(&self) -> u64 {
        tail::records_in(&self.entries)
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.entries.len()
    }

    /// Records of a full block.
    pub const fn block_records(&self) -> u32 {
        self.block_records
    }

    /// The digest over all records up to the end of block `block`.
    ///
    /// It is what the block's header says; reading the block checks it.
    pub fn digest_at(&self, block: usize) -> Option<RunningDigest> {
        self.entries.get(block).map(|entry| entry.header.digest)
    }

    /// The digest over all records.
    pub fn digest(&self) -> RunningDigest {
        self.entries.last().map_or(RunningDigest::EMPTY, |entry| entry.header.digest)
    }

    /// The record with number `sequence`, or none past the end.
    pub fn record(&mut self, sequence: u64) -> Result<Option<EventRecord>, EventLogError> {
        if sequence >= self.len() {
            return Ok(None);
        }
        let (block, index) = self.place(sequence);
        Ok(self.block(block)?.get(index).copied())
    }

    /// The records with these sequence numbers; what is past the end is left out.
    pub fn range(&mut self, sequences: impl RangeBounds<u64>) -> Records<'_, R> {
        let next = match sequences.start_bound() {
            Bound::Included(&from) => from,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match sequences.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let end = end.min(self.len());
        Records { reader: self, next, end }
    }

    /// The records at these times, in microseconds; reads at most two blocks
    /// to find them.
    pub fn range_by_time(
        &mut self,
        times_us: impl RangeBounds<u64>,
    ) -> Result<Records<'_, R>, EventLogError> {
        let next = match times_us.start_bound() {
            Bound::Included(&from) => self.first_from(from)?,
            Bound::Excluded(&before) => self.first_after(before)?,
            Bound::Unbounded => 0,
        };
        let end = match times_us.end_bound() {
            Bound::Included(&last) => self.first_after(last)?,
            Bound::Excluded(&end) => self.first_from(end)?,
            Bound::Unbounded => self.len(),
        };
        Ok(Records { reader: self, next, end })
    }

    /// Reads every block and so checks every byte.
    pub fn verify(&mut self) -> Result<(), EventLogError> {
        (0..self.entries.len()).try_for_each(|block| self.block(block).map(|_| ()))
    }

    /// The records of block `block`, which must exist.
    pub(super) fn block(&mut self, block: usize) -> Result<&[EventRecord], EventLogError> {
        if self.loaded.as_ref().is_none_or(|&(loaded, _)| loaded != block) {
            self.loaded = None;
            let records = self.read_block(block)?;
            self.loaded = Some((block, records));
        }
        let loaded = self.loaded.as_ref().expect("the block was loaded just now");
        Ok(&loaded.1)
    }

    fn read_block(&mut self, block: usize) -> Result<Vec<EventRecord>, EventLogError> {
        let Entry { offset, header } = self.entries[block];
        let before = block.checked_sub(1).and_then(|before| self.digest_at(before));
        self.source.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; HEADER_BYTES + header.packed_bytes()];
        self.source.read_exact(&mut bytes)?;
        let (in_file, packed) = bytes.split_at(HEADER_BYTES);
        if in_file != header.encode() {
            let what = "a block's header is not the one in the index";
            return Err(EventLogError::damaged(offset, what));
        }
        header
            .unpack(packed, &before.unwrap_or(RunningDigest::EMPTY))
            .map_err(|error| EventLogError::damaged(offset, error.0))
    }

    /// The block of a record that exists, and its index in there.
    fn place(&self, sequence: u64) -> (usize, usize) {
        let size = u64::from(self.block_records);
        let [block, index] = [sequence / size, sequence % size]
            .map(|number| usize::try_from(number).expect("a log has at most 65,536 blocks"));
        (block, index)
    }

    /// The sequence number of the first record at `at_us` or later.
    fn first_from(&mut self, at_us: u64) -> Result<u64, EventLogError> {
        let block = self.entries.partition_point(|entry| entry.header.last_at_us < at_us);
        let Some(entry) = self.entries.get(block) else {
            return Ok(self.len());
        };
        let first = entry.header.first_sequence;
        let records = self.block(block)?;
        Ok(first + records.partition_point(|record| record.at_us < at_us) as u64)
    }

    /// The sequence number of the first record later than `at_us`.
    fn first_after(&mut self, at_us: u64) -> Result<u64, EventLogError> {
        at_us.checked_add(1).map_or(Ok(self.len()), |next_us| self.first_from(next_us))
    }
}

impl<R> Records<'_, R> {
    /// The sequence number of the next record.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }
}

impl<R: Read + Seek> Iterator for Records<'_, R> {
    type Item = Result<Numbered, EventLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let sequence = self.next;
        match self.reader.record(sequence) {
            Ok(record) => {
                self.next += 1;
                record.map(|record| Ok(Numbered { sequence, record }))
            }
            Err(error) => {
                self.end = self.next;
                Some(Err(error))
            }
        }
    }
}

/// The block size, or none if the file ends before it is told.
fn read_start<R: Read + Seek>(
    source: &mut R,
    file_bytes: u64,
) -> Result<Option<u32>, EventLogError> {
    source.rewind()?;
    if file_bytes < START_BYTES as u64 {
        let mut bytes = Vec::new();
        source.take(file_bytes).read_to_end(&mut bytes)?;
        let length = bytes.len().min(MAGIC.len());
        return if bytes[..length] == MAGIC[..length] {
            Ok(None)
        } else {
            Err(EventLogError::NotALog)
        };
    }
    let mut bytes = [0; START_BYTES];
    source.read_exact(&mut bytes)?;
    let (_, size) = bytes.split_last_chunk().expect("the block size comes last");
    let block_records = u32::from_le_bytes(*size);
    if bytes != start(block_records) {
        return Err(EventLogError::NotALog);
    }
    if !(1..=BLOCK_RECORDS_MAX).contains(&block_records) {
        return Err(EventLogError::BlockRecords(block_records));
    }
    Ok(Some(block_records))
}

/// The blocks that the tail tells of, or none if the file has no tail.
fn read_tail<R: Read + Seek>(
    source: &mut R,
    file_bytes: u64,
    block_records: u32,
) -> Result<Option<Vec<Entry>>, EventLogError> {
    let Some(footer_at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(None);
    };
    let mut footer = [0; FOOTER_BYTES];
    source.seek(SeekFrom::Start(footer_at))?;
    source.read_exact(&mut footer)?;
    let Some(offset) = tail::find(&footer, file_bytes).transpose()? else {
        return Ok(None);
    };
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    source.take(file_bytes.saturating_sub(offset)).read_to_end(&mut bytes)?;
    let entries = tail::decode(&bytes, offset, block_records)?;
    if tail::end_of(&entries) != offset {
        return Err(EventLogError::damaged(offset, "the index is not where its blocks end"));
    }
    Ok(Some(entries))
}

/// Walks over the block headers of a file without a tail.
fn scan<R: Read + Seek>(
    source: &mut R,
    file_bytes: u64,
    block_records: u32,
) -> Result<(Vec<Entry>, Ending), EventLogError> {
    let mut entries = Vec::new();
    loop {
        let offset = tail::end_of(&entries);
        let unread_bytes = file_bytes.saturating_sub(offset);
        source.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        source.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
        let header = bytes.first_chunk().map(BlockHeader::decode);
        match header {
            Some(Ok(header)) => {
                let whole = (HEADER_BYTES + header.packed_bytes()) as u64 <= unread_bytes;
                let before = entries.len();
                tail::push(&mut entries, header, block_records)?;
                if !whole {
                    entries.truncate(before);
                    return Ok((entries, Ending::CutOff { unread_bytes }));
                }
            }
            Some(Err(error)) if bytes.starts_with(b"BLCK") => {
                return Err(EventLogError::damaged(offset, error.0));
            }
            _ => return end_of_scan(source, entries, unread_bytes),
        }
    }
}

/// Checks that what follows the last whole block is the beginning of a block's
/// header or of the tail.
fn end_of_scan<R: Read + Seek>(
    source: &mut R,
    entries: Vec<Entry>,
    unread_bytes: u64,
) -> Result<(Vec<Entry>, Ending), EventLogError> {
    let offset = tail::end_of(&entries);
    let expected = tail::encode(&entries);
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(offset))?;
    source.take(expected.len() as u64 + 1).read_to_end(&mut bytes)?;
    let tag = &bytes[..bytes.len().min(4)];
    let is_header = b"BLCK".starts_with(tag) && bytes.len() < HEADER_BYTES;
    if is_header || (expected.starts_with(&bytes) && expected.len() > bytes.len()) {
        return Ok((entries, Ending::CutOff { unread_bytes }));
    }
    Err(EventLogError::damaged(offset, "neither a block nor the index follows"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{arb_records, log, open, plain_records};
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn all<R: Read + Seek>(reader: &mut EventLogReader<R>) -> Vec<EventRecord> {
        let records = reader.range(..).map(|item| item.expect("a readable record").record);
        records.collect()
    }

    fn read(bytes: &[u8]) -> Result<(), EventLogError> {
        EventLogReader::open(Cursor::new(bytes))?.verify()
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_went(records in arb_records(200), size in 1..50_u32) {
            let bytes = log(&records, size);
            let mut reader = open(&bytes);
            prop_assert_eq!(reader.ending(), Ending::Finished);
            prop_assert_eq!(reader.len(), records.len() as u64);
            prop_assert_eq!(all(&mut reader), records);
        }

        #[test]
        fn a_sequence_number_finds_its_record(
            records in arb_records(200),
            size in 1..50_u32,
            sequences in prop::collection::vec(0..220_u64, 0..20),
        ) {
            let bytes = log(&records, size);
            let mut reader = open(&bytes);
            for sequence in sequences {
                let index = usize::try_from(sequence).expect("a small number");
                let found = reader.record(sequence).expect("a readable log");
                prop_assert_eq!(found, records.get(index).copied());
            }
        }

        #[test]
        fn ranges_are_what_a_filter_finds(
            records in arb_records(100),
            size in 1..30_u32,
            from in 0..120_u64,
            to in 0..120_u64,
            times in prop::array::uniform2(0..10_000_u64),
        ) {
            let bytes = log(&records, size);
            let mut reader = open(&bytes);
            let numbered: Vec<_> = (0..)
                .zip(&records)
                .map(|(sequence, &record)| Numbered { sequence, record })
                .collect();
            let of = |found: Records<'_, _>| -> Vec<_> {
                found.map(|item| item.expect("a readable record")).collect()
            };
            let keep = |is_in: &dyn Fn(&Numbered) -> bool| -> Vec<_> {
                numbered.iter().filter(|item| is_in(item)).copied().collect()
            };
            let between = keep(&|it| (from..to).contains(&it.sequence));
            prop_assert_eq!(of(reader.range(from..to)), between);
            prop_assert_eq!(of(reader.range(from..)), keep(&|it| it.sequence >= from));
            prop_assert_eq!(of(reader.range(..=to)), keep(&|it| it.sequence <= to));
            let base = records.first().map_or(0, |record| record.at_us);
            let [from, to] = times.map(|time| base + time);
            let by_time = |reader: &mut EventLogReader<_>, range: (Bound<u64>, Bound<u64>)| {
                of(reader.range_by_time(range).expect("a readable log"))
            };
            for range in [
                (Bound::Included(from), Bound::Excluded(to)),
                (Bound::Excluded(from), Bound::Included(to)),
                (Bound::Unbounded, Bound::Included(to)),
                (Bound::Included(from), Bound::Unbounded),
                (Bound::Excluded(u64::MAX), Bound::Included(u64::MAX)),
            ] {
                let expected = keep(&|it| range.contains(&it.record.at_us));
                prop_assert_eq!(by_time(&mut reader, range), expected);
            }
        }

        #[test]
        fn damage_is_noticed(
            at in any::<prop::sample::Index>(),
            damage in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let intact = log(&plain_records(95), 20);
            let mut bytes = intact.clone();
            let at = at.index(bytes.len());
            let room = damage.len().min(bytes.len() - at);
            bytes[at..at + room].copy_from_slice(&damage[..room]);
            prop_assume!(bytes != intact);
            prop_assert!(read(&bytes).is_err());
        }

        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..400),
            is_started in any::<bool>(),
            block in 0..2_usize,
        ) {
            let intact = log(&plain_records(40), 20);
            let first = open(&intact).entries[block].offset;
            let kept = if is_started { usize::try_from(first).expect("a small number") } else { 0 };
            let bytes = [&intact[..kept], &noise].concat();
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_log_cut_anywhere_gives_its_whole_blocks() {
        let records = plain_records(95);
        let bytes = log(&records, 20);
        let ends: Vec<_> = open(&bytes).entries.iter().map(Entry::end).collect();
        for cut in 0..bytes.len() {
            let mut reader = open(&bytes[..cut]);
            let whole = ends.iter().filter(|&&end| end <= cut as u64).count();
            let begin = whole
                .checked_sub(1)
                .map_or(if cut < START_BYTES { 0 } else { 12 }, |last| ends[last]);
            assert_eq!(
                reader.ending(),
                Ending::CutOff { unread_bytes: cut as u64 - begin },
                "{cut}"
            );
            assert_eq!(all(&mut reader), records[..records.len().min(20 * whole)], "{cut}");
            assert_eq!(reader.digest_at(whole), None, "{cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = log(&plain_records(30), 20);
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn damage_in_a_log_that_was_cut_off_is_noticed() {
        let bytes = log(&plain_records(60), 20);
        let cut = usize::try_from(open(&bytes).entries[2].offset).expect("a small number") + 100;
        for at in START_BYTES..cut {
            let mut damaged = bytes[..cut].to_vec();
            damaged[at] ^= 0x40;
            let outcome = EventLogReader::open(Cursor::new(&damaged[..])).and_then(|mut reader| {
                reader.verify()?;
                Ok(reader.len())
            });
            // The last four bytes belong to a block that is cut off anyway.
            assert!(outcome.is_err() || at >= cut - 4, "byte {at}: {outcome:?}");
        }
    }

    #[test]
    fn what_follows_the_tail_is_refused() {
        let bytes = log(&plain_records(30), 20);
        for appended in [&[0][..], &bytes[..], b"LHEVEND1"] {
            assert!(read(&[&bytes[..], appended].concat()).is_err(), "{appended:?}");
        }
    }

    #[test]
    fn blocks_cannot_change_places() {
        let bytes = log(&plain_records(60), 20);
        let reader = open(&bytes);
        let [first, second, third] = [0, 1, 2].map(|block: usize| {
            let Entry { offset, .. } = reader.entries[block];
            usize::try_from(offset).expect("a small number")
        });
        let swapped =
            [&bytes[..first], &bytes[second..third], &bytes[first..second], &bytes[third..]];
        assert!(read(&swapped.concat()).is_err());
        let unfinished = [&bytes[..first], &bytes[second..third]].concat();
        let error = read(&unfinished).expect_err("a refusal");
        assert!(error.to_string().contains("byte 12: a block does not continue"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b"PAR1"[..], b"time_ms,epoch", b"LHEVLOG2\x01\0\0\0"] {
            assert!(matches!(read(bytes), Err(EventLogError::NotALog)));
        }
        for size in [0, BLOCK_RECORDS_MAX + 1] {
            assert!(matches!(read(&start(size)), Err(EventLogError::BlockRecords(_))));
        }
    }

    #[test]
    fn an_empty_log_is_finished() {
        let bytes = log(&[], 20);
        let mut reader = open(&bytes);
        assert!(reader.is_empty() && reader.ending() == Ending::Finished);
        assert_eq!(reader.digest(), RunningDigest::EMPTY);
        assert!(reader.range(..).next().is_none());
        assert!(reader.range_by_time(..).expect("nothing to read").next().is_none());
    }

    #[test]
    fn an_error_ends_the_iteration() {
        let mut bytes = log(&plain_records(60), 20);
        let second = open(&bytes).entries[1].offset;
        bytes[usize::try_from(second).expect("a small number") + HEADER_BYTES] ^= 1;
        let mut reader = open(&bytes);
        let items: Vec<_> = reader.range(..).collect();
        assert_eq!(items.len(), 21);
        assert!(items[..20].iter().all(Result::is_ok) && items[20].is_err());
        assert!(reader.record(45).is_ok(), "other blocks can still be read");
    }

    #[test]
    fn full_blocks_hold_65536_records() {
        let records = plain_records(150_000);
        let bytes = log(&records, BLOCK_RECORDS_MAX);
        let mut reader = open(&bytes);
        assert_eq!(reader.blocks(), 3);
        for sequence in [0, 65_535, 65_536, 131_071, 131_072, 149_999] {
            let found = reader.record(sequence).expect("a readable log");
            assert_eq!(
                found,
                records.get(usize::try_from(sequence).expect("a small number")).copied()
            );
        }
        assert_eq!(all(&mut reader), records);
        assert!(bytes.len() < 11 * records.len(), "{} bytes", bytes.len());
    }
}
