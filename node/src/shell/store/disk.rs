//! Disk: the few operations that change the data directory.
//!
//! Every change goes through this trait, so that a test can record the changes
//! and rebuild what a power loss after each of them may leave behind. Reading
//! needs no such care and uses the standard library directly.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most syncs that are under way at once. Each waits for the disk, not for a processor, and the
/// system lets syncs that wait together share a commit.
const SYNCS_MAX: usize = 8;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The owner only.
    Private,
    /// Whoever the process's mask lets.
    Default,
}

/// Changes to files and directories. What a call names as durable survives a
/// power loss after it returned.
pub(super) trait Disk: fmt::Debug + Send {
    /// Makes a directory and its missing parents; not durable by itself.
    fn make_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Writes a file whole; its content is durable, its name is not.
    fn write(&mut self, path: &Path, bytes: &[u8], access: Access) -> io::Result<()>;
    /// Writes files whole, several at a time; their contents are durable, their names are not.
    /// After an error nothing is known of any of them.
    fn write_all(&mut self, files: &[(PathBuf, &[u8])]) -> io::Result<()>;
    /// Appends to a file; durable.
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes over the beginning of a file, which is at least as long; durable.
    fn overwrite(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to `len` bytes; durable.
    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()>;
    /// Gives a file another name; not durable by itself.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; not durable by itself.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    /// Makes durable what a file holds, whoever wrote it. From `from` on it is written again:
    /// after a sync that failed in another process the system takes its pages for durable.
    fn settle(&mut self, path: &Path, from: u64) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;
    /// Makes the names in directories durable, several at a time.
    fn sync_dirs(&mut self, paths: &[PathBuf]) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Default)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        crate::shell::private::make_dir(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
        write(path, bytes, access)
    }

    fn write_all(&mut self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        side_by_side(files, |(path, bytes)| write(path, bytes, Access::Default))
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Write and sync through one handle: a later one may not be told of a
        // write error.
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn overwrite(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn settle(&mut self, path: &Path, from: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(from))?;
        file.write_all(&bytes)?;
        file.sync_all()
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_dirs(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        side_by_side(paths, |path| File::open(path)?.sync_all())
    }
}

fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    restrict(&mut options, access);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Does `work` for each item, on up to [`SYNCS_MAX`] threads; gives an error if any failed.
fn side_by_side<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || {
        std::iter::from_fn(|| items.get(next.fetch_add(1, Ordering::Relaxed))).try_for_each(&work)
    };
    std::thread::scope(|scope| {
        let others = SYNCS_MAX.min(items.len()).saturating_sub(1);
        let others: Vec<_> = (0..others).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done = done.and(other.join().expect("a worker only does IO"));
        }
        done
    })
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, access: Access) {
    use std::os::unix::fs::OpenOptionsExt;
    if access == Access::Private {
        options.mode(0o600);
    }
}

#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: Access) {}

/// Writes a file so that it is there whole or not at all; durable.
pub(super) fn replace(
    disk: &mut dyn Disk,
    path: &Path,
    bytes: &[u8],
    access: Access,
) -> io::Result<()> {
    let part = path.with_extension("part");
    disk.write(&part, bytes, access)?;
    disk.rename(&part, path)?;
    disk.sync_dir(path.parent().expect("a file of the data directory has a parent"))
}

/// Makes a new file, content and name durable.
pub(super) fn create(disk: &mut dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    disk.write(path, bytes, Access::Default)?;
    disk.sync_dir(path.parent().expect("a file of the data directory has a parent"))
}

/// `folder/stem-N` with the smallest N from 1 that is not taken.
pub(super) fn free_name(folder: &Path, stem: &str) -> PathBuf {
    (1..=u64::MAX)
        .map(|number| folder.join(format!("{stem}-{number}")))
        .find(|path| !path.exists())
        .expect("a folder has fewer than 2^64 files")
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    fn file(bytes: &[u8]) -> (Folder, PathBuf) {
        let folder = Folder::new();
        let path = folder.0.join("file");
        fs::write(&path, bytes).expect("our own folder");
        (folder, path)
    }

    #[test]
    fn settling_changes_no_byte() {
        for from in [0, 3, 9] {
            let (_folder, path) = file(b"some text");
            RealDisk.settle(&path, from).expect("it is there");
            assert_eq!(fs::read(&path).expect("it is there"), b"some text");
        }
    }

    #[test]
    fn overwriting_keeps_what_is_behind() {
        let (_folder, path) = file(b"some text");
        RealDisk.overwrite(&path, b"same").expect("it is there");
        assert_eq!(fs::read(&path).expect("it is there"), b"same text");
    }

    #[test]
    fn replacing_leaves_one_file() {
        let (folder, path) = file(b"old");
        replace(&mut RealDisk, &path, b"new", Access::Private).expect("room on the disk");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
        assert_eq!(fs::read_dir(&folder.0).expect("our own folder").count(), 1);
    }

    #[test]
    fn nothing_is_appended_to_what_is_not_there() {
        let (folder, _) = file(b"");
        assert!(RealDisk.append(&folder.0.join("other"), b"x").is_err());
        assert!(RealDisk.overwrite(&folder.0.join("other"), b"x").is_err());
    }

    #[test]
    fn a_free_name_is_the_first_that_is_not_taken() {
        let (folder, _) = file(b"");
        for number in 1..4 {
            let name = free_name(&folder.0, "torn");
            assert_eq!(name, folder.0.join(format!("torn-{number}")));
            fs::write(name, b"").expect("our own folder");
        }
    }

    #[test]
    fn many_files_are_written_whole_and_a_failure_is_told() {
        let (folder, _) = file(b"");
        let contents: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 300]).collect();
        let path = |number: usize| folder.0.join(format!("file-{number}"));
        let mut files: Vec<(PathBuf, &[u8])> =
            contents.iter().enumerate().map(|(at, bytes)| (path(at), &bytes[..])).collect();
        RealDisk.write_all(&files).expect("room on the disk");
        for (path, bytes) in &files {
            assert_eq!(fs::read(path).expect("it is there"), *bytes);
        }
        RealDisk.sync_dirs(&[folder.0.clone(), folder.0.clone()]).expect("our own folder");
        assert!(RealDisk.sync_dirs(&[folder.0.clone(), path(99)]).is_err());
        for at in [0, 20, 39] {
            let good = std::mem::replace(&mut files[at].0, folder.0.join("no folder").join("x"));
            assert!(RealDisk.write_all(&files).is_err(), "file {at}");
            files[at].0 = good;
        }
        assert!(RealDisk.write_all(&[]).is_ok() && RealDisk.sync_dirs(&[]).is_ok());
    }
}
