//! Check: every byte of a store, read without changing anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{BundleStoreError, io_error};
use super::files::{FileKind, Listing, path};
use super::open::{ReadSegment, catalog, damages, read_indexed, read_log, read_single};
use super::record::{Head, SEGMENT_HEAD_BYTES};
use super::report::{CheckReport, TornEnd};
use super::scan::Tail;
use super::types::SegmentId;

/// Bytes of a large bundle that are read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Checks the store in `dir`.
pub(super) fn check(dir: &Path) -> Result<CheckReport, BundleStoreError> {
    let listing = Listing::read(dir)?;
    let mut report = CheckReport::default();
    let mut segments = BTreeMap::new();
    let last = listing.logs.keys().last().copied();
    for (&id, &len) in &listing.logs {
        let file = path(dir, id, FileKind::Log);
        let tail = if Some(id) == last { Tail::MayBeTorn } else { Tail::Durable };
        let segment = read_log(dir, id, tail)?;
        if !segment.torn.is_empty() {
            let (offset, bytes) = (segment.end, segment.torn.len() as u64);
            report.torn.push(TornEnd { file: file.clone(), offset, bytes, kept: None });
        }
        if listing.indexes.contains_key(&id) && !index_fits(dir, id, len, &segment, tail) {
            report.invalid_indexes.push(path(dir, id, FileKind::Index));
        }
        report.damaged.extend(damages(&file, &segment));
        segments.insert(id, segment);
    }
    for (&id, &len) in &listing.singles {
        let file = path(dir, id, FileKind::Single);
        let segment = check_single(&file, id, len).map_err(io_error("read", &file))?;
        report.damaged.extend(damages(&file, &segment));
        segments.insert(id, segment);
    }
    let usage = catalog(&listing, &segments).usage();
    (report.bundles, report.live_bytes) = (usage.bundles, usage.live_bytes);
    report.total_bytes = usage.total_bytes + listing.indexes.values().sum::<u64>();
    report.files = segments.len() as u64;
    Ok(report)
}

/// Whether an index says what its segment says. That of the last segment may
/// be of an earlier time; it does not count then.
fn index_fits(dir: &Path, id: SegmentId, len: u64, segment: &ReadSegment, tail: Tail) -> bool {
    match read_indexed(dir, id, len) {
        Some(indexed) => indexed.records == segment.records,
        None => tail == Tail::MayBeTorn,
    }
}

/// Checks the file of a large bundle, a piece at a time.
fn check_single(path: &Path, id: SegmentId, len: u64) -> io::Result<ReadSegment> {
    let mut file = File::open(path)?;
    let (mut segment, head) = read_single(&mut file, id, len)?;
    if let Some(Head { body_crc, .. }) = head
        && crc_of(&mut file)? != body_crc
    {
        segment.damaged.push((SEGMENT_HEAD_BYTES as u64, "the CRC of the body is wrong"));
    }
    Ok(segment)
}

/// The CRC of what is left of a file.
fn crc_of(file: &mut impl Read) -> io::Result<u32> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut crc = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(crc),
            Ok(read) => crc = crc32c::crc32c_append(crc, &chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
