//! Lock: one process per directory.
//!
//! An exclusive lock of the operating system on the file `lock`; it ends with
//! the process, however that ends. The file holds the process number for the
//! error message of the one that comes second.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Holds a directory until dropped.
#[derive(Debug)]
pub(in crate::shell) struct Lock(File);

/// Why a directory could not be locked.
#[derive(Debug)]
pub(in crate::shell) enum LockError {
    /// Another process holds it; the process, if it left its number.
    Held(Option<u32>),
    /// The file system refused: what was tried, on what, and its answer.
    Io(&'static str, PathBuf, io::Error),
}

/// Where the lock of a directory lies.
pub(in crate::shell) fn path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// Takes the lock, or says who holds it.
pub(in crate::shell) fn take(dir: &Path) -> Result<Lock, LockError> {
    let path = path(dir);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(error) => return Err(LockError::Io("open", path, error)),
    };
    lock(file, path)
}

/// Takes the lock to read only: where the file cannot be written, without writing it. None where
/// there is no lock file and none can be made: then nobody holds the directory.
pub(in crate::shell) fn take_to_read(dir: &Path) -> Result<Option<Lock>, LockError> {
    match take(dir) {
        Err(LockError::Io("open", _, error))
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            take_unwritten(dir)
        }
        taken => taken.map(Some),
    }
}

fn take_unwritten(dir: &Path) -> Result<Option<Lock>, LockError> {
    let path = path(dir);
    match File::open(&path) {
        Ok(file) => lock(file, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LockError::Io("open", path, error)),
    }
}

fn lock(file: File, path: PathBuf) -> Result<Lock, LockError> {
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            Err(LockError::Held(pid))
        }
        Err(TryLockError::Error(error)) => Err(LockError::Io("lock", path, error)),
    }
}

impl Lock {
    /// Writes this process's number into the file.
    pub fn sign(&mut self) -> io::Result<()> {
        self.0.set_len(0)?;
        writeln!(self.0, "{}", std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_held_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut lock = take(dir.path()).expect("nobody else's");
        assert!(matches!(take(dir.path()), Err(LockError::Held(None))), "it has no number yet");
        lock.sign().expect("room on the disk");
        let pid = std::process::id();
        assert!(matches!(take(dir.path()), Err(LockError::Held(Some(found))) if found == pid));
        drop(lock);
        take(dir.path()).expect("nobody else's any more");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_held_against_writers_all_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(take_unwritten(dir.path()).expect("nobody's").is_none());
        let writer = take(dir.path()).expect("nobody else's");
        assert!(matches!(take_unwritten(dir.path()), Err(LockError::Held(_))));
        drop(writer);
        let reader = take_unwritten(dir.path()).expect("nobody else's").expect("there is a file");
        assert!(matches!(take(dir.path()), Err(LockError::Held(_))));
        drop(reader);
        assert!(take_to_read(dir.path()).expect("nobody else's").is_some());
    }

    #[test]
    fn says_what_it_could_not_open() {
        let Err(LockError::Io("open", path, _)) = take(Path::new("/nonexistent/dir")) else {
            panic!("it is not there");
        };
        assert_eq!(path, Path::new("/nonexistent/dir/lock"));
    }
}
