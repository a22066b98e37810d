//! Lock: one process per bundle store.

use std::path::Path;

use super::error::BundleStoreError;
use crate::shell::lock::{self, LockError};

pub(super) use crate::shell::lock::Lock;

/// Takes the lock, or says who holds it.
pub(super) fn take(dir: &Path) -> Result<Lock, BundleStoreError> {
    let mut lock = lock::take(dir).map_err(|error| match error {
        LockError::Held(pid) => BundleStoreError::Locked { dir: dir.to_path_buf(), pid },
        LockError::Io(action, path, source) => BundleStoreError::Io { action, path, source },
    })?;
    // The number is for people: a full disk does not keep the store closed.
    let _ = lock.sign();
    Ok(lock)
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
