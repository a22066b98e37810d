//! Lock: one process per store.
//!
//! An exclusive lock of the operating system on the file `lock`; it ends with
//! the process, however that ends. The file holds the process number for the
//! error message of the one that comes second.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use super::error::{BundleStoreError, io_error};

/// Holds the store until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock, or says who holds it.
pub(super) fn take(dir: &Path) -> Result<Lock, BundleStoreError> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(BundleStoreError::Locked { dir: dir.to_path_buf(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
    }
    // The number is for people: a full disk does not keep the store closed.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn is_held_until_it_is_dropped() {
        let folder = Folder::new();
        let lock = take(&folder.0).expect("nobody else's");
        let text = take(&folder.0).expect_err("it is held").to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(lock);
        take(&folder.0).expect("nobody else's any more");
    }
}
