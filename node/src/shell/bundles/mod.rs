//! Bundles: a durable store of whole bundles (RFC 9171) for a node that stores and forwards.
//!
//! Bundles lie as records in append-only segment files (`record` has the
//! format). A group of insertions or deletions is one write and one sync,
//! and is durable when the call returns. What is stored where is known in memory; it is
//! read from the index of each closed segment when the store is opened, or from
//! the segment itself. A bundle that is larger than a quarter segment has a file of its own.
//!
//! Deletions are records too. Space comes back by [`BundleStore::compact_step`],
//! which copies what is still needed of the segment with the least live share, and
//! then removes it. The store holds back no bundle and judges none: what to keep,
//! and until when, is its user's business.
//!
//! Changes to the disk go through one trait, so that tests let each of them fail and
//! build what a power loss may leave behind (`disk`).

mod aside;
#[cfg(test)]
mod bench;
mod catalog;
mod check;
mod compact;
#[cfg(test)]
mod crash;
mod disk;
mod error;
mod files;
mod group;
mod index_file;
mod lock;
mod open;
mod record;
#[cfg(test)]
mod recorder;
mod report;
mod scan;
#[cfg(test)]
mod tests;
mod types;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use catalog::{Catalog, Form, Slot};
use compact::Victim;
use disk::{Disk, RealDisk};
use error::io_error;
use files::FileKind;
use group::{Item, OpenSegment};
use lock::Lock;
use open::UseIndexes;
use record::{HEAD_BYTES, Head, MARK_BYTES, Placed, record_bytes};
use types::{Mark, Order, SegmentId};

pub use error::BundleStoreError;
pub use report::{CheckReport, Damage, OpenReport};
pub use types::{BundleKey, Compacted, Entry, Inserted, NewBundle, StoreLimits, Usage};

/// Bundles in a directory, locked for this process.
///
/// Calls that change something are durable when they return, [`BundleStore::note_all`]
/// excepted. After an error nothing that was acknowledged is lost; the group that met
/// it may be stored in part, and what is stored in part is known and shown. After a failed
/// sync everything but reading is refused until the store is opened again.
#[derive(Debug)]
pub struct BundleStore {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    limits: StoreLimits,
    catalog: Catalog,
    open: Option<OpenSegment>,
    next_segment: u64,
    next_order: u64,
    /// Marks that the next group writes.
    pending: Vec<Mark>,
    victim: Option<Victim>,
    /// A sync failed: what is on the disk is unknown until the next opening.
    stopped: bool,
    _lock: Lock,
}

impl BundleStore {
    /// Opens the store in `dir`, or makes one. Cuts what a power loss tore, with a copy
    /// in the folder `aside`, and reads segments whose index is missing.
    pub fn open(dir: &Path, limits: StoreLimits) -> Result<(Self, OpenReport), BundleStoreError> {
        Self::open_on(Box::<RealDisk>::default(), dir, limits, UseIndexes::Yes)
    }

    /// Opens the store without a look at its indexes, checks every byte of every
    /// segment, and writes the indexes again.
    pub fn rebuild(
        dir: &Path,
        limits: StoreLimits,
    ) -> Result<(Self, OpenReport), BundleStoreError> {
        Self::open_on(Box::<RealDisk>::default(), dir, limits, UseIndexes::No)
    }

    /// Reads and checks every byte of the store in `dir`, without a lock and without
    /// changing anything. What another process writes meanwhile may look torn.
    pub fn check(dir: &Path) -> Result<CheckReport, BundleStoreError> {
        check::check(dir)
    }

    /// Takes bundles up to so many bytes on the disk from now on; what is stored stays.
    pub const fn set_quota(&mut self, quota_bytes: u64) {
        self.limits.quota_bytes = quota_bytes;
    }

    /// Stores bundles; those that are [`Inserted::New`] are durable when this returns.
    /// The answers have the order of the bundles.
    pub fn insert_all(
        &mut self,
        bundles: &[NewBundle<'_>],
    ) -> Result<Vec<Inserted>, BundleStoreError> {
        let mut answers = Vec::with_capacity(bundles.len());
        let mut items = Vec::new();
        let mut names = BTreeSet::new();
        let mut total = self.catalog.usage().total_bytes;
        for bundle in bundles {
            let len = bundle.bytes.len() as u64;
            self.refuse_too_large(bundle.key, len)?;
            let grown = total.saturating_add(record_bytes(len));
            answers.push(if self.contains(&bundle.key) || names.contains(&bundle.key) {
                Inserted::Known
            } else if grown > self.limits.quota_bytes {
                Inserted::Full
            } else {
                total = grown;
                names.insert(bundle.key);
                items.push(Item::Bundle {
                    order: Order(self.next_order + items.len() as u64),
                    key: bundle.key,
                    expires: bundle.expires,
                    bytes: Cow::Borrowed(bundle.bytes),
                });
                Inserted::New
            });
        }
        if !items.is_empty() {
            self.next_order += items.len() as u64;
            self.commit_with_marks(items)?;
        }
        Ok(answers)
    }

    fn refuse_too_large(&self, key: BundleKey, bytes: u64) -> Result<(), BundleStoreError> {
        let max = self.limits.bundle_bytes_max;
        if bytes > max {
            return Err(BundleStoreError::TooLarge { key, bytes, max });
        }
        Ok(())
    }

    /// Deletes bundles, durably; names that are not stored are left out.
    pub fn delete_all(&mut self, keys: &[BundleKey]) -> Result<(), BundleStoreError> {
        let placed = keys.iter().filter_map(|key| self.catalog.get(key)).map(|slot| slot.placed);
        let ends: BTreeSet<_> = placed.map(|Placed { order, key, .. }| (order, key)).collect();
        if ends.is_empty() {
            return Ok(());
        }
        let items = ends.into_iter().map(|(order, key)| Item::Tombstone { order, key });
        self.commit_with_marks(items.collect())
    }

    /// Notes which neighbours have acknowledged which bundles; names that are not stored are
    /// left out. The notes are seen at once and written with the next group: a power loss
    /// before that loses them.
    pub fn note_all(&mut self, marks: &[(BundleKey, u128)]) {
        for (key, neighbour) in marks {
            self.pending.extend(self.catalog.note(key, *neighbour));
        }
    }

    /// Makes what was noted durable without waiting for a group.
    pub fn flush(&mut self) -> Result<(), BundleStoreError> {
        match self.pending.is_empty() {
            true => Ok(()),
            false => self.commit_with_marks(Vec::new()),
        }
    }

    /// The numbers of the neighbours that have acknowledged a bundle, in ascending order.
    pub fn noted(&self, key: &BundleKey) -> impl Iterator<Item = u128> {
        self.catalog.noted(key)
    }

    /// Whether a bundle is stored.
    pub fn contains(&self, key: &BundleKey) -> bool {
        self.catalog.get(key).is_some()
    }

    /// A stored bundle, whole and with its CRC checked.
    pub fn get(&self, key: &BundleKey) -> Result<Option<Vec<u8>>, BundleStoreError> {
        self.catalog.get(key).map(|slot| self.read_whole(slot)).transpose()
    }

    /// `len` bytes of a bundle from `offset` on, fewer where it ends earlier. The CRC covers
    /// the bundle as a whole and is not checked here: the bundle's own checks are.
    pub fn read_range(
        &self,
        key: &BundleKey,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, BundleStoreError> {
        self.catalog.get(key).map(|slot| self.read_part(slot, offset, len)).transpose()
    }

    /// The stored bundles in order of arrival.
    pub fn entries(&self) -> impl Iterator<Item = (BundleKey, Entry)> {
        self.catalog.entries()
    }

    /// What the store takes on the disk.
    pub fn usage(&self) -> Usage {
        self.catalog.usage()
    }

    /// Makes items and pending marks durable.
    fn commit_with_marks(&mut self, mut items: Vec<Item<'_>>) -> Result<(), BundleStoreError> {
        let is_pending = |mark: &Mark| self.catalog.has_mark(mark, None);
        let pending: Vec<_> = self.pending.iter().copied().filter(is_pending).collect();
        items.extend(self.mark_items(&pending));
        self.commit(&items)?;
        self.pending.clear();
        Ok(())
    }

    /// Marks as items that fit a segment.
    fn mark_items(&self, marks: &[Mark]) -> Vec<Item<'static>> {
        let bytes = self.limits.segment_bytes / 4 - HEAD_BYTES as u64;
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / MARK_BYTES;
        marks.chunks(most).map(|marks| Item::Marks(marks.to_vec())).collect()
    }

    fn read_whole(&self, slot: &Slot) -> Result<Vec<u8>, BundleStoreError> {
        let (head, mut file, path) = self.find(slot)?;
        let mut body = vec![0; byte_count(slot.placed.len)];
        file.read_exact(&mut body).map_err(io_error("read", &path))?;
        if crc32c::crc32c(&body) != head.body_crc {
            return Err(damaged(path, slot, "the CRC of the body is wrong"));
        }
        Ok(body)
    }

    fn read_part(&self, slot: &Slot, offset: u64, len: usize) -> Result<Vec<u8>, BundleStoreError> {
        let offset = offset.min(slot.placed.len);
        let len = len.min(byte_count(slot.placed.len - offset));
        let (_, mut file, path) = self.find(slot)?;
        let mut part = vec![0; len];
        file.seek(SeekFrom::Start(slot.placed.offset + HEAD_BYTES as u64 + offset))
            .and_then(|_| file.read_exact(&mut part))
            .map_err(io_error("read", &path))?;
        Ok(part)
    }

    /// Opens the file of a bundle behind the head of its record, which is checked.
    fn find(&self, slot: &Slot) -> Result<(Head, File, PathBuf), BundleStoreError> {
        let path = self.path_of(slot.segment);
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let mut bytes = [0; HEAD_BYTES];
        file.seek(SeekFrom::Start(slot.placed.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(io_error("read", &path))?;
        let segment = self.catalog.head(slot.segment);
        let fits = |head: &Head| {
            let Placed { order, key, len, .. } = slot.placed;
            (head.order, head.key, head.body_len) == (order, key, len)
        };
        match Head::decode(&bytes, &segment, slot.placed.offset).filter(fits) {
            Some(head) => Ok((head, file, path)),
            None => Err(damaged(path, slot, "the head of the record is wrong")),
        }
    }

    fn path_of(&self, id: SegmentId) -> PathBuf {
        let kind = match self.catalog.segment(id).form {
            Form::Log => FileKind::Log,
            Form::Single => FileKind::Single,
        };
        files::path(&self.dir, id, kind)
    }
}

fn damaged(file: PathBuf, slot: &Slot, why: &'static str) -> BundleStoreError {
    BundleStoreError::Damaged(Damage { file, offset: slot.placed.offset, why })
}

/// A length as a number of bytes in memory; a bundle that was written had one.
fn byte_count(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
