//! Group: records that become durable together.
//!
//! The records of a group are written with one write and one sync for each
//! segment that they touch, usually one. If a write fails, its segment is cut back
//! to what was durable, and the store goes on. If a sync fails, nobody knows what
//! the file holds, and a second sync may succeed without writing anything: then
//! the store stops until it is opened again.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use longhaul_dtn::time::Timestamp;

use super::catalog::{Form, Segment};
use super::error::{BundleStoreError, io_error};
use super::files::{FileKind, path};
use super::record::{
    HEAD_BYTES, Head, Kind, MARK_BYTES, Placed, Record, SEGMENT_HEAD_BYTES, Salt, SegmentHead,
    encode_marks, record_bytes,
};
use super::types::{BundleKey, Mark, Order, SegmentId};
use super::{BundleStore, index_file};

/// The segment that records are appended to.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub head: SegmentHead,
    /// Durable bytes.
    pub len: u64,
    /// What it says, for its index.
    pub records: Vec<Record>,
}

/// Something to be recorded.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Bundle { order: Order, key: BundleKey, expires: Timestamp, bytes: Cow<'a, [u8]> },
    Tombstone { order: Order, key: BundleKey },
    Marks(Vec<Mark>),
}

impl Item<'_> {
    /// Bytes of the record.
    fn record_bytes(&self) -> u64 {
        record_bytes(match self {
            Self::Bundle { bytes, .. } => bytes.len() as u64,
            Self::Tombstone { .. } => 0,
            Self::Marks(marks) => (marks.len() * MARK_BYTES) as u64,
        })
    }
}

/// Records as bytes, for one place in one segment.
struct Piece<'a> {
    /// The segment's head, if it begins here.
    front: Vec<u8>,
    rows: Vec<([u8; HEAD_BYTES], Cow<'a, [u8]>)>,
    records: Vec<Record>,
    /// The segment's length behind it.
    end: u64,
}

impl<'a> Piece<'a> {
    /// Encodes items for the end of a segment of `len` bytes.
    fn encode(segment: &SegmentHead, len: u64, items: &[&'a Item<'_>]) -> Self {
        let front = if len == 0 { segment.encode().to_vec() } else { Vec::new() };
        let end = len + front.len() as u64;
        let mut piece = Self { front, rows: Vec::new(), records: Vec::new(), end };
        for item in items {
            piece.push(segment, item);
        }
        piece
    }

    fn push(&mut self, segment: &SegmentHead, item: &'a Item<'_>) {
        let offset = self.end;
        let none = (Order(0), BundleKey::from_bytes([0; 32]));
        let (kind, (order, key), expires, body) = match item {
            Item::Bundle { order, key, expires, bytes } => {
                (Kind::Bundle, (*order, *key), *expires, Cow::Borrowed(bytes.as_ref()))
            }
            Item::Tombstone { order, key } => {
                (Kind::Tombstone, (*order, *key), Timestamp::default(), Cow::Borrowed(&[][..]))
            }
            Item::Marks(marks) => {
                (Kind::Marks, none, Timestamp::default(), Cow::Owned(encode_marks(marks)))
            }
        };
        let len = body.len() as u64;
        match item {
            Item::Bundle { .. } => {
                self.records.push(Record::Bundle(Placed { order, key, expires, offset, len }));
            }
            Item::Tombstone { .. } => self.records.push(Record::Tombstone { order, key }),
            Item::Marks(marks) => self.records.extend(marks.iter().copied().map(Record::Mark)),
        }
        let (starts_group, body_crc) = (self.rows.is_empty(), crc32c::crc32c(&body));
        let head = Head { kind, starts_group, body_len: len, order, expires, key, body_crc };
        self.rows.push((head.encode(segment, offset), body));
        self.end = offset + record_bytes(len);
    }

    fn parts(&self) -> Vec<&[u8]> {
        let rows = self.rows.iter().flat_map(|(head, body)| [&head[..], &body[..]]);
        std::iter::once(&self.front[..]).chain(rows).collect()
    }
}

impl BundleStore {
    /// Makes items durable. After an error some may be durable all the same; the
    /// catalog knows which.
    pub(super) fn commit(&mut self, items: &[Item<'_>]) -> Result<(), BundleStoreError> {
        if self.stopped {
            return Err(BundleStoreError::Stopped);
        }
        let (large, small): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| self.is_large(item.record_bytes()));
        let mut rest = &small[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(self.count_that_fits(rest));
            if piece.is_empty() {
                self.close_segment();
            } else {
                self.append(piece)?;
            }
            rest = later;
        }
        self.write_large(&large)
    }

    /// Whether a record has a file of its own.
    fn is_large(&self, record_bytes: u64) -> bool {
        record_bytes > self.limits.segment_bytes / 4
    }

    /// How many items the open segment, or a new one, has room for.
    fn count_that_fits(&self, items: &[&Item<'_>]) -> usize {
        let mut len = self.open.as_ref().map_or(SEGMENT_HEAD_BYTES as u64, |open| open.len);
        let fits = |item: &&&Item<'_>| {
            len += item.record_bytes();
            len <= self.limits.segment_bytes
        };
        items.iter().take_while(fits).count()
    }

    /// Appends items to the open segment.
    fn append(&mut self, items: &[&Item<'_>]) -> Result<(), BundleStoreError> {
        let (head, len) = match &self.open {
            Some(open) => (open.head, open.len),
            None => (self.next_head(), 0),
        };
        let piece = Piece::encode(&head, len, items);
        self.write_piece(&path(&self.dir, head.id, FileKind::Log), &piece, len)?;
        let Piece { records, end, .. } = piece;
        if len == 0 {
            self.catalog.add_segment(head.id, Segment::new(Form::Log, head.salt, 0));
        }
        self.catalog.resize(head.id, end, 0);
        for record in &records {
            self.catalog.apply(head.id, record);
        }
        let open = self.open.get_or_insert(OpenSegment { head, len: 0, records: Vec::new() });
        open.len = end;
        open.records.extend(records);
        Ok(())
    }

    /// Writes a piece behind the first `len` bytes of a file; makes the file if
    /// there are none.
    fn write_piece(
        &mut self,
        path: &Path,
        piece: &Piece<'_>,
        len: u64,
    ) -> Result<(), BundleStoreError> {
        let is_new = len == 0;
        let made = if is_new { self.disk.create(path) } else { Ok(()) };
        if let Err(error) = made.and_then(|()| self.disk.append(path, &piece.parts())) {
            self.stopped = self.undo(path, len).is_err();
            return Err(io_error("append to", path)(error));
        }
        let synced = self.disk.sync(path).and_then(|()| match is_new {
            true => self.disk.sync_dir(&self.dir),
            false => Ok(()),
        });
        synced.map_err(|error| {
            // What the system still shows of the group may never reach the disk:
            // whoever opens the store next must not take it for durable.
            self.stopped = true;
            let _ = self.undo(path, len);
            io_error("sync", path)(error)
        })
    }

    /// Takes back what was written behind the first `len` bytes of a file; durable.
    fn undo(&mut self, path: &Path, len: u64) -> io::Result<()> {
        if len > 0 {
            return self.disk.truncate(path, len);
        }
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.sync_dir(&self.dir),
        }
    }

    /// Closes the open segment; the next record goes to a new one.
    pub(super) fn close_segment(&mut self) {
        if let Some(open) = self.open.take() {
            self.write_index(&open);
        }
    }

    /// Writes the index of a segment. Nothing depends on it: if that fails, the
    /// segment is read instead.
    pub(super) fn write_index(&mut self, segment: &OpenSegment) {
        let path = path(&self.dir, segment.head.id, FileKind::Index);
        let bytes = index_file::encode(&segment.head, segment.len, &segment.records);
        let written = self.disk.create(&path).and_then(|()| self.disk.append(&path, &[&bytes]));
        let index_bytes = match written {
            Ok(()) => bytes.len() as u64,
            Err(_) => {
                let _ = self.disk.remove(&path);
                0
            }
        };
        self.catalog.resize(segment.head.id, segment.len, index_bytes);
    }

    /// Writes each large bundle to a file of its own, under another name until all
    /// are whole.
    fn write_large(&mut self, items: &[&Item<'_>]) -> Result<(), BundleStoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut files = Vec::new();
        for item in items {
            let head = self.next_head();
            let Piece { front, rows, records, end } = Piece::encode(&head, 0, &[item]);
            files.push(OpenSegment { head, len: end, records });
            let part = path(&self.dir, head.id, FileKind::Part);
            let (record, body) = rows.first().expect("one item is one row");
            let written = self
                .disk
                .create(&part)
                .and_then(|()| self.disk.append(&part, &[&front, record, body]))
                .and_then(|()| self.disk.sync(&part));
            if let Err(error) = written {
                // What cannot be removed now is removed at the next opening.
                for file in &files {
                    let _ = self.disk.remove(&path(&self.dir, file.head.id, FileKind::Part));
                }
                return Err(io_error("write", &part)(error));
            }
        }
        self.name_large(&files)
    }

    /// Gives whole files of large bundles the names under which they count.
    fn name_large(&mut self, files: &[OpenSegment]) -> Result<(), BundleStoreError> {
        let name = |file: &OpenSegment| {
            let [part, single] =
                [FileKind::Part, FileKind::Single].map(|kind| path(&self.dir, file.head.id, kind));
            self.disk.rename(&part, &single)
        };
        let named = files.iter().try_for_each(name).and_then(|()| self.disk.sync_dir(&self.dir));
        if let Err(error) = named {
            // Nobody knows which names are durable.
            self.stopped = true;
            return Err(io_error("name files in", &self.dir)(error));
        }
        for file in files {
            let segment = Segment::new(Form::Single, file.head.salt, file.len);
            self.catalog.add_segment(file.head.id, segment);
            for record in &file.records {
                self.catalog.apply(file.head.id, record);
            }
        }
        Ok(())
    }

    fn next_head(&mut self) -> SegmentHead {
        let id = SegmentId(self.next_segment);
        self.next_segment += 1;
        SegmentHead { id, salt: Salt::draw() }
    }
}
