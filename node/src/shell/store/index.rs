//! Index: what the payload folder should hold, kept in sled.
//!
//! The only file that names sled (0.34.7). sled's `flush` is not durable on
//! Linux (spacejam/sled#1452: it syncs a file range and never the blob and
//! configuration files), so nothing here is the truth: the log and the payload
//! files are. The index only lets a restart notice that a payload file is
//! gone. If sled reports an error or panics, its folder is moved aside and the
//! index is built again from the files; if that fails too, the peer goes on
//! without one.
//!
//! Keys are 33 bytes (`p` and the hash) with the length as value, and two of a
//! single byte: `n` with the number of log entries that were acknowledged, by
//! which a restart notices that the log was shortened, and `v` with the [`Tag`]
//! of what was checked of the log. Numbers are 8 bytes, big-endian.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul_dtn::hash::{ContentHash, HASH_BYTES};

use super::disk::free_name;
use super::vouch::Tag;

/// Memory for sled's cache, in bytes; the index of 100,000 payloads fits.
const CACHE_BYTES: u64 = 8 << 20;
/// Where the index lies in a data directory.
const FOLDER: &str = "index";
/// First byte of the key of a payload.
const PAYLOAD: u8 = b'p';

/// How often, and after what pause, a locked index is tried again.
const OPEN_TRIES: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(10);
/// How often sled writes what it holds.
const FLUSH_EVERY_MS: u64 = 500;
/// Key of the number of acknowledged log entries.
const ENTRIES: &[u8] = b"n";
/// Key of the tag of the beginning of the log that was checked.
const CHECKED: &[u8] = b"v";

/// The index of one data directory.
#[derive(Debug)]
pub(super) struct Index {
    dir: PathBuf,
    db: Option<sled::Db>,
}

/// Why sled could not do something: its error, or what it panicked with.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error(transparent)]
    Sled(#[from] sled::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it panicked")]
    Panic,
    #[error("it holds an entry of another kind")]
    Foreign,
}

impl Index {
    /// Opens the index; a broken one is replaced by an empty one.
    pub(super) fn open(dir: &Path) -> Self {
        let mut index = Self { dir: dir.to_path_buf(), db: None };
        match index.open_db() {
            Ok(db) => index.db = Some(db),
            Err(error) => index.replace(&error),
        }
        index
    }

    /// The payloads that were stored, with their lengths in bytes.
    pub(super) fn payloads(&mut self) -> BTreeMap<ContentHash, u64> {
        self.with(BTreeMap::new(), |db| {
            db.scan_prefix([PAYLOAD])
                .map(|item| {
                    let (key, value) = item?;
                    read_item(&key, &value).ok_or(IndexError::Foreign)
                })
                .collect()
        })
    }

    /// The number of log entries that were acknowledged, as far as the index
    /// remembers; it may lag behind, never run ahead.
    pub(super) fn entries(&mut self) -> u64 {
        self.with(0, |db| match db.get(ENTRIES)? {
            None => Ok(0),
            Some(value) => {
                Ok(u64::from_be_bytes(value[..].try_into().map_err(|_| IndexError::Foreign)?))
            }
        })
    }

    /// The beginning of the log that was checked before, as far as the index remembers.
    pub(super) fn tag(&mut self) -> Option<Tag> {
        self.with(None, |db| Ok(db.get(CHECKED)?.and_then(|value| Tag::from_bytes(&value))))
    }

    /// Notes payloads that are durable now, the number of log entries, and that they are checked.
    pub(super) fn add(
        &mut self,
        payloads: impl Iterator<Item = (ContentHash, usize)>,
        entries: u64,
        tag: Tag,
    ) {
        let items: Vec<_> = payloads.map(|(hash, len)| (hash, len as u64)).collect();
        self.with((), |db| {
            for (hash, len) in items {
                db.insert(key(&hash), &len.to_be_bytes())?;
            }
            db.insert(ENTRIES, &entries.to_be_bytes())?;
            db.insert(CHECKED, &tag.to_bytes()[..])?;
            Ok(())
        });
    }

    /// Forgets payloads that were deleted on purpose.
    pub(super) fn forget(&mut self, hashes: &[&ContentHash]) {
        self.with((), |db| {
            for hash in hashes {
                db.remove(key(hash))?;
            }
            Ok(())
        });
    }

    /// Makes the index hold exactly these payloads, durably.
    pub(super) fn rebuild(&mut self, payloads: &BTreeMap<ContentHash, u64>) {
        let known = self.payloads();
        let dir = self.folder();
        self.with((), |db| {
            for hash in known.keys().filter(|hash| !payloads.contains_key(hash)) {
                db.remove(key(hash))?;
            }
            for (hash, len) in payloads.iter().filter(|(hash, len)| known.get(hash) != Some(*len)) {
                db.insert(key(hash), &len.to_be_bytes())?;
            }
            flush(db, &dir)
        });
    }

    fn folder(&self) -> PathBuf {
        self.dir.join(FOLDER)
    }

    fn open_db(&self) -> Result<sled::Db, IndexError> {
        let folder = self.folder();
        guarded(|| {
            // sled writes now and then, which a kill survives; the durable
            // flushes are ours, once at start and once at the end.
            let config = sled::Config::new().path(&folder).cache_capacity(CACHE_BYTES);
            let db = open_patiently(&config.flush_every_ms(Some(FLUSH_EVERY_MS)))?;
            flush(&db, &folder)?;
            Ok(db)
        })
    }

    /// Runs `work`; a failure replaces the index and yields `otherwise`.
    fn with<T>(
        &mut self,
        otherwise: T,
        work: impl FnOnce(&sled::Db) -> Result<T, IndexError>,
    ) -> T {
        let Some(db) = &self.db else { return otherwise };
        match guarded(|| work(db)) {
            Ok(value) => value,
            Err(error) => {
                self.replace(&error);
                otherwise
            }
        }
    }

    /// Moves the broken folder aside and begins an empty index.
    fn replace(&mut self, error: &IndexError) {
        if let Some(db) = self.db.take() {
            let _ = guarded(|| {
                drop(db);
                Ok(())
            });
        }
        let aside = free_name(&self.dir, "index.broken");
        tracing::warn!(%error, kept = %aside.display(), "the index is broken and is built again");
        let moved = match fs::rename(self.folder(), &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => self.open_db(),
        };
        match moved {
            Ok(db) => self.db = Some(db),
            Err(error) => tracing::warn!(%error, "going on without an index"),
        }
    }
}

/// What an index says, for comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub payloads: BTreeMap<ContentHash, u64>,
    pub entries: u64,
    pub tag: Option<Tag>,
}

impl Index {
    /// Opens an index that is there and whole; leaves any other as it is.
    pub(super) fn open_existing(dir: &Path) -> Option<Self> {
        let mut index = Self { dir: dir.to_path_buf(), db: None };
        if index.folder().is_dir() {
            index.db = index.open_db().ok();
        }
        index.db.is_some().then_some(index)
    }

    /// What this index says.
    pub(super) fn said(&mut self) -> Said {
        Said { payloads: self.payloads(), entries: self.entries(), tag: self.tag() }
    }
}

/// What the index in `dir` says, read from a copy in `scratch`, because sled writes where it reads.
/// None if there is no index, an error text if it is broken.
pub(super) fn read_copy(dir: &Path, scratch: &Path) -> Result<Option<Said>, String> {
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        return Ok(None);
    }
    let copy = scratch.join(FOLDER);
    copy_folder(&folder, &copy).map_err(|error| error.to_string())?;
    let mut index = Index { dir: scratch.to_path_buf(), db: None };
    index.db = Some(index.open_db().map_err(|error| error.to_string())?);
    let said = index.said();
    // A failure while reading has replaced the copy.
    match index.dir.join("index.broken-1").exists() {
        true => Err("it cannot be read".to_owned()),
        false => Ok(Some(said)),
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}

/// Throws the index in `dir` away.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    let folder = dir.join(FOLDER);
    let removed = match fs::symlink_metadata(&folder) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(&folder),
        Ok(_) => fs::remove_file(&folder),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let folder = self.folder();
        if let Some(db) = self.db.take() {
            let closed = guarded(|| flush(&db, &folder));
            let _ = guarded(|| {
                drop(db);
                Ok(())
            });
            if let Err(error) = closed {
                tracing::debug!(%error, "the index was not flushed");
            }
        }
    }
}

/// Opens sled, whose threads may hold the lock of its files for a moment after it was closed. Only
/// this process can: it has the lock of the data directory.
#[expect(clippy::disallowed_methods, reason = "sled does not say when its threads have ended")]
fn open_patiently(config: &sled::Config) -> Result<sled::Db, sled::Error> {
    for _ in 0..OPEN_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") => {
                std::thread::sleep(OPEN_PAUSE);
            }
            other => return other,
        }
    }
    config.open()
}

/// Writes out what sled holds and syncs the files that it does not.
fn flush(db: &sled::Db, folder: &Path) -> Result<(), IndexError> {
    db.flush()?;
    for name in ["db", "conf"] {
        File::open(folder.join(name))?.sync_all()?;
    }
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Turns a panic of sled into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    // Whatever a panic leaves behind is dropped with the index.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(IndexError::Panic))
}

fn key(hash: &ContentHash) -> [u8; 1 + HASH_BYTES] {
    let mut key = [PAYLOAD; 1 + HASH_BYTES];
    key[1..].copy_from_slice(hash.as_bytes());
    key
}

fn read_item(key: &[u8], value: &[u8]) -> Option<(ContentHash, u64)> {
    let hash = key.strip_prefix(&[PAYLOAD])?.try_into().ok()?;
    let len = value.try_into().ok()?;
    Some((ContentHash::from_bytes(hash), u64::from_be_bytes(len)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn a_missing_index_says_nothing_and_is_removed_without_complaint() {
        let (folder, scratch) = (Folder::new(), Folder::new());
        assert_eq!(read_copy(&folder.0, &scratch.0), Ok(None));
        assert!(Index::open_existing(&folder.0).is_none());
        remove(&folder.0).expect("there is nothing to remove");
    }

    #[test]
    fn a_copy_says_what_the_index_says() {
        let (folder, scratch) = (Folder::new(), Folder::new());
        let mut index = Index::open(&folder.0);
        let lens = [(ContentHash::of(b"a"), 1), (ContentHash::of(b"b"), 2)].into();
        index.rebuild(&lens);
        let said = index.said();
        assert_eq!((&said.payloads, said.entries, said.tag), (&lens, 0, None));
        drop(index);
        assert_eq!(read_copy(&folder.0, &scratch.0), Ok(Some(said)));
    }

    #[test]
    fn what_is_in_the_place_of_an_index_is_broken_and_can_be_removed() {
        let (folder, scratch) = (Folder::new(), Folder::new());
        fs::write(folder.0.join(FOLDER), b"a file").expect("our own folder");
        assert!(read_copy(&folder.0, &scratch.0).is_err());
        remove(&folder.0).expect("it is ours");
        assert!(!folder.0.join(FOLDER).exists());
    }

    #[test]
    fn a_rebuilt_index_forgets_what_is_gone() {
        let folder = Folder::new();
        let mut index = Index::open(&folder.0);
        index.rebuild(&[(ContentHash::of(b"a"), 1), (ContentHash::of(b"b"), 2)].into());
        let left = [(ContentHash::of(b"b"), 3)].into();
        index.rebuild(&left);
        assert_eq!(index.payloads(), left);
    }
}
