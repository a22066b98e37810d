//! Opening: from the files to the catalog, and putting right what a power loss left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::catalog::{Catalog, Form, Segment};
use super::disk::Disk;
use super::error::{BundleStoreError, io_error};
use super::files::{FileKind, Listing, path};
use super::group::OpenSegment;
use super::record::{
    HEAD_BYTES, Head, Kind, Placed, Record, SEGMENT_HEAD_BYTES, SegmentHead, record_bytes,
};
use super::report::{Damage, OpenReport, TornEnd};
use super::scan::{Tail, scan};
use super::types::{SegmentId, StoreLimits};
use super::{BundleStore, aside, index_file, lock};

/// Whether indexes are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UseIndexes {
    Yes,
    No,
}

/// What a segment file holds.
#[derive(Debug)]
pub(super) struct ReadSegment {
    /// None if its first bytes are wrong.
    pub head: Option<SegmentHead>,
    pub records: Vec<Record>,
    /// Bytes up to the torn end.
    pub end: u64,
    /// The torn end.
    pub torn: Vec<u8>,
    pub damaged: Vec<(u64, &'static str)>,
    /// It was read without an index.
    pub is_scanned: bool,
}

impl BundleStore {
    pub(super) fn open_on(
        mut disk: Box<dyn Disk>,
        dir: &Path,
        limits: StoreLimits,
        use_indexes: UseIndexes,
    ) -> Result<(Self, OpenReport), BundleStoreError> {
        limits.check()?;
        make_dir(&mut *disk, dir)?;
        let lock = lock::take(dir)?;
        let listing = Listing::read(dir)?;
        sweep(&mut *disk, dir, &listing)?;
        let mut report = OpenReport::default();
        let mut segments = read_logs(dir, &listing, use_indexes)?;
        repair_last(&mut *disk, dir, &mut segments, &mut report)?;
        read_singles(dir, &listing, &mut segments)?;
        // What is seen now may not be durable yet, neither files nor the absence of files.
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        let catalog = catalog(&listing, &segments);
        report_on(dir, &segments, &catalog, &mut report);
        let mut store = Self {
            dir: dir.to_path_buf(),
            disk,
            limits,
            open: None,
            next_segment: listing.next_number(),
            next_order: catalog.last_order().map_or(1, |order| order.0.saturating_add(1)),
            catalog,
            pending: Vec::new(),
            victim: None,
            stopped: false,
            _lock: lock,
        };
        store.take_over(segments);
        Ok((store, report))
    }

    /// Goes on with the last segment if it has room, and writes missing indexes.
    fn take_over(&mut self, segments: BTreeMap<SegmentId, ReadSegment>) {
        let is_log =
            |&(&id, _): &(&SegmentId, &ReadSegment)| self.catalog.segment(id).form == Form::Log;
        let last = segments.iter().rfind(is_log).map(|(&id, _)| id);
        for (id, segment) in segments {
            let is_log = self.catalog.segment(id).form == Form::Log;
            let Some(head) = segment.head.filter(|_| is_log) else { continue };
            let closed = OpenSegment { head, len: segment.end, records: segment.records };
            let has_room = segment.end < self.limits.segment_bytes;
            if Some(id) == last && has_room && segment.damaged.is_empty() {
                self.open = Some(closed);
            } else if segment.is_scanned && segment.damaged.is_empty() {
                self.write_index(&closed);
            }
        }
    }
}

fn make_dir(disk: &mut dyn Disk, dir: &Path) -> Result<(), BundleStoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    disk.make_dir(dir)
        .and_then(|()| disk.sync_dir(parent.unwrap_or(Path::new("."))))
        .map_err(io_error("create", dir))
}

/// Removes large bundles that never became whole, and indexes without a segment.
fn sweep(disk: &mut dyn Disk, dir: &Path, listing: &Listing) -> Result<(), BundleStoreError> {
    let parts = listing.parts.keys().map(|&id| path(dir, id, FileKind::Part));
    let orphans = listing.indexes.keys().filter(|id| !listing.logs.contains_key(id));
    let orphans = orphans.map(|&id| path(dir, id, FileKind::Index));
    for file in parts.chain(orphans) {
        disk.remove(&file).map_err(io_error("remove", &file))?;
    }
    Ok(())
}

fn read_logs(
    dir: &Path,
    listing: &Listing,
    use_indexes: UseIndexes,
) -> Result<BTreeMap<SegmentId, ReadSegment>, BundleStoreError> {
    let last = listing.logs.keys().last().copied();
    let mut segments = BTreeMap::new();
    for (&id, &len) in &listing.logs {
        let tail = if Some(id) == last { Tail::MayBeTorn } else { Tail::Durable };
        let indexed = match use_indexes {
            UseIndexes::Yes => read_indexed(dir, id, len),
            UseIndexes::No => None,
        };
        let segment = match indexed {
            Some(segment) => segment,
            None => read_log(dir, id, tail)?,
        };
        segments.insert(id, segment);
    }
    Ok(segments)
}

/// A segment as its index describes it, if there is no doubt about that.
pub(super) fn read_indexed(dir: &Path, id: SegmentId, len: u64) -> Option<ReadSegment> {
    let bytes = fs::read(path(dir, id, FileKind::Index)).ok()?;
    let (salt, records) = index_file::decode(&bytes, id, len)?;
    let mut front = [0; SEGMENT_HEAD_BYTES];
    File::open(path(dir, id, FileKind::Log))
        .and_then(|mut file| file.read_exact(&mut front))
        .ok()?;
    let head = SegmentHead { id, salt };
    (head.encode() == front).then(|| ReadSegment {
        head: Some(head),
        records,
        end: len,
        torn: Vec::new(),
        damaged: Vec::new(),
        is_scanned: false,
    })
}

/// A segment as it is, every byte checked.
pub(super) fn read_log(
    dir: &Path,
    id: SegmentId,
    tail: Tail,
) -> Result<ReadSegment, BundleStoreError> {
    let path = path(dir, id, FileKind::Log);
    let bytes = fs::read(&path).map_err(io_error("read", &path))?;
    let mut segment = ReadSegment {
        head: SegmentHead::decode(&bytes, id),
        records: Vec::new(),
        end: bytes.len() as u64,
        torn: Vec::new(),
        damaged: Vec::new(),
        is_scanned: true,
    };
    match (segment.head, tail) {
        (Some(head), _) => {
            let scan = scan(&bytes, &head, tail);
            let end = usize::try_from(scan.end).expect("it lies inside the bytes");
            segment.torn = bytes[end..].to_vec();
            (segment.records, segment.end, segment.damaged) =
                (scan.records, scan.end, scan.damaged);
        }
        (None, Tail::MayBeTorn) => (segment.torn, segment.end) = (bytes, 0),
        (None, Tail::Durable) => segment.damaged.push((0, "the head of the segment is wrong")),
    }
    Ok(segment)
}

/// Cuts the torn end of the last segment, and makes the rest durable: it may
/// have been written by a process that did not live to sync it.
fn repair_last(
    disk: &mut dyn Disk,
    dir: &Path,
    segments: &mut BTreeMap<SegmentId, ReadSegment>,
    report: &mut OpenReport,
) -> Result<(), BundleStoreError> {
    let Some(mut entry) = segments.last_entry() else { return Ok(()) };
    let file = path(dir, *entry.key(), FileKind::Log);
    let segment = entry.get_mut();
    if !segment.is_scanned {
        return Ok(());
    }
    disk.sync(&file).map_err(io_error("sync", &file))?;
    let torn = std::mem::take(&mut segment.torn);
    let end = segment.end;
    if end > 0 && torn.is_empty() {
        return Ok(());
    }
    let kept = match torn.iter().all(|&byte| byte == 0) {
        true => None,
        false => Some(aside::keep(disk, dir, &file, &torn)?),
    };
    if end > 0 {
        disk.truncate(&file, end).map_err(io_error("cut the torn end of", &file))?;
    } else {
        // Not even the head of the segment arrived.
        disk.remove(&file).map_err(io_error("remove", &file))?;
        entry.remove();
    }
    report.torn.push(TornEnd { file, offset: end, bytes: torn.len() as u64, kept });
    Ok(())
}

fn read_singles(
    dir: &Path,
    listing: &Listing,
    segments: &mut BTreeMap<SegmentId, ReadSegment>,
) -> Result<(), BundleStoreError> {
    for (&id, &len) in &listing.singles {
        let path = path(dir, id, FileKind::Single);
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let segment = read_single(&mut file, id, len).map_err(io_error("read", &path))?.0;
        segments.insert(id, segment);
    }
    Ok(())
}

/// The file of a large bundle but for the bundle, which comes next in `file`,
/// with the head of its record.
pub(super) fn read_single(
    file: &mut impl Read,
    id: SegmentId,
    len: u64,
) -> io::Result<(ReadSegment, Option<Head>)> {
    const FRONT_BYTES: usize = SEGMENT_HEAD_BYTES + HEAD_BYTES;
    let mut front = Vec::with_capacity(FRONT_BYTES);
    file.take(FRONT_BYTES as u64).read_to_end(&mut front)?;
    let mut segment = ReadSegment {
        head: SegmentHead::decode(&front, id),
        records: Vec::new(),
        end: len,
        torn: Vec::new(),
        damaged: Vec::new(),
        is_scanned: true,
    };
    let offset = SEGMENT_HEAD_BYTES as u64;
    let head = segment
        .head
        .and_then(|segment| Head::decode(front.get(SEGMENT_HEAD_BYTES..)?, &segment, offset));
    let fits = |head: &Head| {
        head.kind == Kind::Bundle && record_bytes(head.body_len).saturating_add(offset) == len
    };
    let head = head.filter(fits);
    match head {
        Some(Head { order, key, expires, body_len, .. }) => {
            let placed = Placed { order, key, expires, offset, len: body_len };
            segment.records.push(Record::Bundle(placed));
        }
        None => segment.damaged.push((0, "it does not hold one whole bundle")),
    }
    Ok((segment, head))
}

/// The catalog of segments that were read.
pub(super) fn catalog(listing: &Listing, segments: &BTreeMap<SegmentId, ReadSegment>) -> Catalog {
    let described = segments.iter().map(|(&id, read)| {
        let form = if listing.singles.contains_key(&id) { Form::Single } else { Form::Log };
        // Of a segment without a head nothing is read, and its salt is never used.
        let salt = read.head.map_or(super::record::Salt(0), |head| head.salt);
        let mut segment = Segment::new(form, salt, read.end);
        segment.has_damage = !read.damaged.is_empty();
        if !read.is_scanned {
            segment.index_bytes = listing.indexes.get(&id).copied().unwrap_or(0);
        }
        (id, segment, &read.records[..])
    });
    Catalog::of(described.collect())
}

fn report_on(
    dir: &Path,
    segments: &BTreeMap<SegmentId, ReadSegment>,
    catalog: &Catalog,
    report: &mut OpenReport,
) {
    report.bundles = catalog.usage().bundles;
    report.files = segments.len() as u64;
    for (&id, segment) in segments {
        let kind = match catalog.segment(id).form {
            Form::Log => FileKind::Log,
            Form::Single => FileKind::Single,
        };
        report.scanned += u64::from(segment.is_scanned && kind == FileKind::Log);
        let file = path(dir, id, kind);
        report.damaged.extend(damages(&file, segment));
    }
}

/// The damage of a segment.
pub(super) fn damages(file: &Path, segment: &ReadSegment) -> impl Iterator<Item = Damage> {
    let damaged = segment.damaged.iter();
    damaged.map(|&(offset, why)| Damage { file: file.to_path_buf(), offset, why })
}
