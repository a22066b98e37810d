//! Why the data directory could not be used, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use longhaul_registry::{Corruption, FederationId, ManifestError};

/// Why the data directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// There is a peer in this directory already.
    #[error("{} holds a peer already; choose another directory", .0.display())]
    Exists(PathBuf),
    /// There is no peer in this directory.
    #[error("{dir} holds no peer; make one with: longhaul init {dir}", dir = .0.display())]
    Absent(PathBuf),
    /// The key is gone although the rest of the peer is there.
    #[error(
        "{} is missing, but the directory holds a peer's log or manifest; restore the key from a \
         backup, or choose another directory for a new peer",
        .0.display()
    )]
    KeyMissing(PathBuf),
    /// Another process uses the directory.
    #[error("{} is in use by {}; stop that process first", dir.display(), holder(*pid))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process, if it left its number.
        pid: Option<u32>,
    },
    /// Others can read the secret key.
    #[error("others can read {path} (mode {mode:03o}); run: chmod 600 {path}", path = path.display())]
    KeyPermissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error("{} does not hold a key (64 hexadecimal digits); restore it from a backup", .0.display())]
    KeyMalformed(PathBuf),
    /// The peer has not joined a federation yet.
    #[error("{dir} has joined no federation yet; run: longhaul join FILE --dir {dir}", dir = .0.display())]
    NotJoined(PathBuf),
    /// The manifest file does not hold a valid manifest.
    #[error("{} is not a valid manifest ({why}); run longhaul join FILE again", path.display())]
    Manifest {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong with it.
        why: ManifestError,
    },
    /// The peer has joined another federation.
    #[error("{} belongs to federation {found}; use another directory for {wanted}", dir.display())]
    OtherFederation {
        /// The directory.
        dir: PathBuf,
        /// The federation joined before.
        found: FederationId,
        /// The federation of the new manifest.
        wanted: FederationId,
    },
    /// The log is gone although the key is there.
    #[error(
        "{} is missing; restore it from a backup, or start over with `longhaul init`, as a new peer that a new manifest has to list: without its log \
         this one could sign an epoch twice",
        .0.display()
    )]
    LogMissing(PathBuf),
    /// The log is damaged.
    #[error(
        "{} is damaged at byte {offset} ({why}); nothing was changed. Restore the file from a \
         backup, or start over with `longhaul init`, as a new peer that a new manifest has to list: without these entries this one could sign an \
         epoch twice",
        path.display()
    )]
    LogCorrupt {
        /// The log file.
        path: PathBuf,
        /// Where the damage begins.
        offset: usize,
        /// What is wrong there.
        why: Corruption,
    },
    /// The log holds less than it has held.
    #[error(
        "{} holds {found} entries but has held {known}: it was shortened or replaced by an older \
         copy. Restore the newest copy from a backup, or start over with `longhaul init`, as a new peer that a new manifest has to list: without these \
         entries this one could sign an epoch twice",
        path.display()
    )]
    LogShort {
        /// The log file.
        path: PathBuf,
        /// Entries in the file.
        found: u64,
        /// Entries that were acknowledged, as the index remembers.
        known: u64,
    },
    /// The log file is shorter than it was.
    #[error(
        "{} holds {found} whole bytes but has held {known}: it was shortened or replaced by an \
         older copy. Restore the newest copy from a backup, or start over with `longhaul init`, as a new peer that a new manifest has to list: without \
         what is gone this one could sign an epoch twice",
        path.display()
    )]
    LogCut {
        /// The log file.
        path: PathBuf,
        /// Bytes of whole entries.
        found: usize,
        /// Bytes that were durable, as `log/mark` says.
        known: usize,
    },
    /// An earlier write failed; what is on the disk is only known after a restart.
    #[error("an earlier write failed; restart the peer when the disk is well again")]
    Stopped,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// Adds what was tried, and on what, to an error of the file system.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { action, path, source }
}
