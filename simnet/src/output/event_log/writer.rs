//! Writing an event log, block by block.

use std::io::Write;

use super::block::Packer;
use super::record::{EventRecord, RunningDigest};
use super::tail::{self, Entry};
use super::{BLOCK_RECORDS_MAX, BLOCKS_MAX, EventLogError, start};

/// Writes an event log to `W`, in large pieces: it needs no buffer of its own.
///
/// A log that is dropped instead of finished reads as cut off, without the
/// records of its last block. After an error the log cannot be continued.
#[derive(Debug)]
pub struct EventLogWriter<W> {
    out: W,
    block_records: u32,
    /// The records of the block that is being filled.
    pending: Vec<EventRecord>,
    entries: Vec<Entry>,
    digest: RunningDigest,
    last_at_us: u64,
    packer: Packer,
    packed: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLogSummary {
    /// Number of records.
    pub records: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of the whole file.
    pub bytes: u64,
    /// The digest over all records.
    pub digest: RunningDigest,
}

impl<W: Write> EventLogWriter<W> {
    /// Begins a log with blocks of [`BLOCK_RECORDS_MAX`] records.
    pub fn new(out: W) -> Result<Self, EventLogError> {
        Self::with_block_records(out, BLOCK_RECORDS_MAX)
    }

    /// Begins a log with blocks of `block_records`, 1 to [`BLOCK_RECORDS_MAX`].
    ///
    /// Smaller blocks are found faster and compress worse; only logs with equal
    /// blocks can be compared.
    pub fn with_block_records(mut out: W, block_records: u32) -> Result<Self, EventLogError> {
        if !(1..=BLOCK_RECORDS_MAX).contains(&block_records) {
            return Err(EventLogError::BlockRecords(block_records));
        }
        out.write_all(&start(block_records))?;
        Ok(Self {
            out,
            block_records,
            pending: Vec::new(),
            entries: Vec::new(),
            digest: RunningDigest::EMPTY,
            last_at_us: 0,
            packer: Packer::new(),
            packed: Vec::new(),
        })
    }

    /// Appends a record; its time must not be before the last one's.
    pub fn append(&mut self, record: &EventRecord) -> Result<(), EventLogError> {
        if record.at_us < self.last_at_us {
            return Err(EventLogError::TimeWentBack {
                sequence: self.records(),
                at_us: record.at_us,
                last_us: self.last_at_us,
            });
        }
        self.last_at_us = record.at_us;
        self.pending.push(*record);
        if self.pending.len() as u64 == u64::from(self.block_records) {
            self.write_block()?;
        }
        Ok(())
    }

    /// Number of records so far; also the sequence number of the next one.
    pub fn records(&self) -> u64 {
        tail::records_in(&self.entries) + self.pending.len() as u64
    }

    /// Writes what is pending and the tail, and gives the writer back, flushed.
    pub fn finish(mut self) -> Result<(W, EventLogSummary), EventLogError> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        let tail = tail::encode(&self.entries);
        self.out.write_all(&tail)?;
        self.out.flush()?;
        let summary = EventLogSummary {
            records: self.records(),
            blocks: self.entries.len() as u64,
            bytes: tail::end_of(&self.entries) + tail.len() as u64,
            digest: self.digest,
        };
        Ok((self.out, summary))
    }

    fn write_block(&mut self) -> Result<(), EventLogError> {
        if self.entries.len() as u64 >= BLOCKS_MAX {
            return Err(EventLogError::Full);
        }
        let first = tail::records_in(&self.entries);
        let header = self.packer.pack(first, &self.pending, &self.digest, &mut self.packed);
        self.out.write_all(&header.encode())?;
        self.out.write_all(&self.packed)?;
        tail::push(&mut self.entries, header, self.block_records)?;
        self.digest = header.digest;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{log, plain_records};
    use super::*;

    #[test]
    fn refuses_a_record_that_is_too_early() {
        let mut writer = EventLogWriter::new(Vec::new()).expect("memory can be written");
        let at = |at_us| EventRecord { at_us, ..EventRecord::default() };
        for at_us in [5, 5, 6] {
            writer.append(&at(at_us)).expect("in order");
        }
        let error = writer.append(&at(4)).expect_err("a refusal");
        assert!(error.to_string().starts_with("record 3 is at 4 us, before"), "{error}");
        writer.append(&at(6)).expect("a refused record changes nothing");
        assert_eq!(writer.records(), 4);
    }

    #[test]
    fn refuses_block_sizes_without_support() {
        for size in [0, BLOCK_RECORDS_MAX + 1] {
            let writer = EventLogWriter::with_block_records(Vec::new(), size);
            assert!(matches!(writer, Err(EventLogError::BlockRecords(found)) if found == size));
        }
    }

    #[test]
    fn the_summary_tells_what_was_written() {
        let mut writer = EventLogWriter::with_block_records(Vec::new(), 10).expect("a size");
        let records = plain_records(25);
        for record in &records {
            writer.append(record).expect("in order");
        }
        let (bytes, summary) = writer.finish().expect("memory can be written");
        let blocks = records.chunks(10);
        let digest = blocks.fold(RunningDigest::EMPTY, |digest, block| digest.then(block));
        let expected =
            EventLogSummary { records: 25, blocks: 3, bytes: bytes.len() as u64, digest };
        assert_eq!(summary, expected);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let records = plain_records(25);
        let mut room = [0; 300];
        let mut writer = EventLogWriter::with_block_records(&mut room[..], 10).expect("room");
        let outcome = records.iter().try_for_each(|record| writer.append(record));
        assert!(matches!(outcome, Err(EventLogError::Io(_))));
    }

    /// Small parts are stored as they are, so no deflate library shows here.
    #[test]
    fn a_tiny_log_has_these_bytes() {
        let records = [
            EventRecord { at_us: 1_000, kind: 1, peer: 0, a: 0, b: 0, content: 0 },
            EventRecord {
                at_us: 1_250,
                kind: 5,
                peer: 300,
                a: 64,
                b: 2,
                content: 0x0807_0605_0403_0201,
            },
        ];
        let bytes = log(&records, 2);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN.replace([' ', '\n'], ""));
    }

    const GOLDEN: &str = "
        4c4845564c4f4731 02000000
        424c434b
        02000000
        0000000000000000 e803000000000000 e204000000000000
        0c000000 0c000000 01000000 08000000
        a74e9433505ddc29e68f0097c3d12be155a911666ba635f038729ff5e87d9721
        bce2461ac278d716 912bc3437a11c5cb
        00fa01020b00ac0200400002 0102030405060708
        494e4458 0c00000000000000
        424c434b
        02000000
        0000000000000000 e803000000000000 e204000000000000
        0c000000 0c000000 01000000 08000000
        a74e9433505ddc29e68f0097c3d12be155a911666ba635f038729ff5e87d9721
        bce2461ac278d716 912bc3437a11c5cb
        8000000000000000 0100000000000000 0200000000000000
        7d84164d3c08c460 4c484556454e4431";
}
