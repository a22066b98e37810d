//! Why the bundle store could not do something, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::report::Damage;
use super::types::BundleKey;

/// Why the bundle store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum BundleStoreError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("{} is in use by {}; stop that process first", dir.display(), holder(*pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process, if it left its number.
        pid: Option<u32>,
    },
    /// The limits contradict each other.
    #[error("the limits of the bundle store are impossible: {0}")]
    Limits(&'static str),
    /// A bundle is larger than the store takes; nothing of the group was stored.
    #[error("bundle {key} has {bytes} bytes, {max} are the most; refuse it when it is offered")]
    TooLarge {
        /// The bundle.
        key: BundleKey,
        /// Its size.
        bytes: u64,
        /// The most that [`StoreLimits::bundle_bytes_max`](super::StoreLimits) allows.
        max: u64,
    },
    /// A stored record is not what was written.
    #[error("{0}; delete the bundle and fetch it again, and check the disk")]
    Damaged(Damage),
    /// An earlier write failed; what is on the disk is only known once the store
    /// is opened again. Reading goes on.
    #[error("an earlier write failed; open the bundle store again when the disk is well")]
    Stopped,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// Adds what was tried, and on what, to an error of the file system.
pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> BundleStoreError {
    let path = path.to_path_buf();
    move |source| BundleStoreError::Io { action, path, source }
}
