//! Lock: one process per data directory.

use std::path::Path;

use super::error::{StoreError, io_error};
use crate::shell::lock::{self, LockError};

pub(super) use crate::shell::lock::Lock;

/// Takes the lock, or says who holds it.
pub(super) fn take(dir: &Path) -> Result<Lock, StoreError> {
    let mut lock = lock::take(dir).map_err(|error| explain(dir, error))?;
    lock.sign().map_err(io_error("write", &lock::path(dir)))?;
    Ok(lock)
}

/// Takes the lock of a directory that is only read, which may lie on a disk that cannot be written.
pub(super) fn take_to_read(dir: &Path) -> Result<Option<Lock>, StoreError> {
    lock::take_to_read(dir).map_err(|error| explain(dir, error))
}

fn explain(dir: &Path, error: LockError) -> StoreError {
    match error {
        LockError::Held(pid) => StoreError::Locked { dir: dir.to_path_buf(), pid },
        LockError::Io(action, path, source) => StoreError::Io { action, path, source },
    }
}
