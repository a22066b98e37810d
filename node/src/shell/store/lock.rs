//! Lock: one process per data directory.

use std::path::Path;

use super::error::{StoreError, io_error};
use crate::shell::lock::{self, LockError};

pub(super) use crate::shell::lock::Lock;

/// Takes the lock, or says who holds it.
pub(super) fn take(dir: &Path) -> Result<Lock, StoreError> {
    let mut lock = lock::take(dir).map_err(|error| match error {
        LockError::Held(pid) => StoreError::Locked { dir: dir.to_path_buf(), pid },
        LockError::Io(action, path, source) => StoreError::Io { action, path, source },
    })?;
    lock.sign().map_err(io_error("write", &lock::path(dir)))?;
    Ok(lock)
}
