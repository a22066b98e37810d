//! Space: what the files of a data directory take, and which of them are left over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{StoreError, io_error};

/// The unit in which file systems give room to files.
const BLOCK_BYTES: u64 = 4_096;

/// Room on the disk, in bytes; files count in blocks of 4 KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// The log: all of it is needed for ever.
    pub log: u64,
    /// Payload files and packs.
    pub payloads: u64,
    /// The index.
    pub index: u64,
    /// What power losses and damage left over; `compact` removes it.
    pub leftovers: u64,
    /// What is needed: the bytes of the log, and of the payloads that are stored.
    pub live: u64,
}

impl Space {
    /// All together but for key, manifest and configuration.
    pub const fn total(&self) -> u64 {
        self.log + self.payloads + self.index + self.leftovers
    }

    /// Room taken for each byte that is needed.
    pub fn ratio(&self) -> f64 {
        self.total() as f64 / self.live.max(1) as f64
    }
}

impl super::Store {
    /// Measures the data directory `dir`; changes nothing.
    pub fn space(dir: &Path) -> Result<Space, StoreError> {
        let found = super::payload::read(dir)?;
        measure(dir, found.whole.values().map(|bytes| bytes.len() as u64).sum())
    }
}

/// Measures a data directory whose payloads have `payload_bytes` together.
pub(super) fn measure(dir: &Path, payload_bytes: u64) -> Result<Space, StoreError> {
    let log = super::log::path(dir);
    let log_len = fs::metadata(&log).map_err(io_error("read", &log))?.len();
    let leftovers = leftovers(dir)?;
    let left_over = leftovers.iter().map(|path| room(path)).sum::<Result<u64, _>>()?;
    let payloads = room(&super::payload::root(dir))?;
    let inside = |path: &&PathBuf| path.starts_with(super::payload::root(dir));
    let left_inside = leftovers.iter().filter(inside).map(|path| room(path));
    Ok(Space {
        log: log_len.next_multiple_of(BLOCK_BYTES),
        payloads: payloads - left_inside.sum::<Result<u64, _>>()?,
        index: room(&dir.join("index"))?,
        leftovers: left_over,
        live: log_len + payload_bytes,
    })
}

/// Files and folders of a data directory that nothing needs: remains of writes that were cut short,
/// and what was moved aside for people to look at.
pub(super) fn leftovers(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let payload = super::payload::root(dir);
    let mut found = super::payload::list(&payload.join("aside"))?;
    for folder in super::payload::list(&payload)?.into_iter().filter(|path| path.is_dir()) {
        found.extend(super::payload::list(&folder)?.into_iter().filter(|path| is_part(path)));
    }
    let torn = |path: &PathBuf| name(path).starts_with("torn-");
    found.extend(super::payload::list(&dir.join("log"))?.into_iter().filter(torn));
    let broken = |path: &PathBuf| name(path).starts_with("index.broken-") || is_part(path);
    found.extend(super::payload::list(dir)?.into_iter().filter(broken));
    Ok(found)
}

/// Removes what is left over; gives the room it took.
pub(super) fn remove_leftovers(dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for path in leftovers(dir)? {
        bytes += room(&path)?;
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(io_error("remove", &path))?;
    }
    Ok(bytes)
}

/// The room that a file or a folder with all in it takes; a missing one takes none.
fn room(path: &Path) -> Result<u64, StoreError> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(io_error("read", path))?,
    };
    if !meta.is_dir() {
        return Ok(meta.len().next_multiple_of(BLOCK_BYTES));
    }
    super::payload::list(path)?.iter().map(|path| room(path)).sum()
}

fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::tests::{Folder, key};
    use super::*;

    fn made() -> Folder {
        let folder = Folder::new();
        Store::create(&folder.0, &key()).expect("an empty directory");
        folder
    }

    #[test]
    fn a_new_directory_has_nothing_left_over() {
        assert_eq!(leftovers(&made().0).expect("it is there"), Vec::<PathBuf>::new());
    }

    #[test]
    fn finds_what_is_left_over_wherever_it_lies_and_removes_that_alone() {
        let folder = made();
        let names =
            ["key.part", "index.broken-1", "log/torn-3", "payload/aside/x", "payload/ab/x.part"];
        fs::create_dir_all(folder.0.join("payload/ab")).expect("our own folder");
        fs::create_dir_all(folder.0.join("payload/aside")).expect("our own folder");
        names.iter().for_each(|name| fs::write(folder.0.join(name), b"x").expect("our own folder"));
        fs::write(folder.0.join("payload/ab/mine"), b"x").expect("our own folder");
        assert_eq!(leftovers(&folder.0).expect("it is there").len(), names.len());
        let freed = remove_leftovers(&folder.0).expect("they can be removed");
        assert_eq!(freed, names.len() as u64 * BLOCK_BYTES);
        assert_eq!(leftovers(&folder.0).expect("it is there").len(), 0);
        assert!(folder.0.join("payload/ab/mine").exists() && folder.0.join("key").exists());
    }

    #[test]
    fn counts_in_blocks_and_each_file_once() {
        let folder = made();
        fs::create_dir_all(folder.0.join("payload/ab")).expect("our own folder");
        fs::write(folder.0.join("payload/ab/x.part"), [1; 5_000]).expect("our own folder");
        fs::write(folder.0.join("payload/ab/y"), [1; 4_097]).expect("our own folder");
        let space = measure(&folder.0, 4_097).expect("it is there");
        let block = BLOCK_BYTES;
        assert_eq!((space.payloads, space.leftovers, space.log), (2 * block, 2 * block, 0));
        assert_eq!((space.total(), space.live), (4 * block, 4_097));
    }

    #[test]
    fn the_ratio_of_an_empty_directory_is_a_number() {
        assert!(Space::default().ratio().abs() < f64::EPSILON);
    }
}
