//! Log: the file of signed entries, the truth about what this peer did.
//!
//! The format and the line between *torn* (cut short by a power loss, never
//! acknowledged) and *corrupt* are the registry's ([`scan_log`]). This file
//! adds what a file system may do to the last write before a power loss: the
//! length has grown but whole sectors of the data never arrived and read as
//! zeros. A torn tail is kept aside and cut; a corrupt log is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longhaul_dtn::identity::PeerId;
use longhaul_registry::{SignedEntry, Tail, frame_entry, scan_log};

use super::disk::{Access, Disk};
use super::error::{StoreError, io_error};

/// The smallest unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;
/// Fewer zeros than this may belong to an entry; a signature has 64 bytes.
const ZEROS_MIN: usize = 128;

/// What the log file holds.
#[derive(Debug)]
pub(super) struct ReadLog {
    pub entries: Vec<SignedEntry>,
    /// The bytes behind the last entry, if a write was cut short.
    pub torn: Vec<u8>,
    clean_len: usize,
}

/// Where the log lies in a data directory.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("00000001.log")
}

/// Makes an empty log.
pub(super) fn create(disk: &mut dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let path = path(dir);
    let folder = dir.join("log");
    disk.make_dir(&folder)
        .and_then(|()| disk.write(&path, &[], Access::Default))
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("create", &path))
}

/// Reads and checks the whole log.
pub(super) fn read(dir: &Path, author: PeerId) -> Result<ReadLog, StoreError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::LogMissing(path));
        }
        other => other.map_err(io_error("read", &path))?,
    };
    let mut scan = scan_log(&bytes, author);
    if matches!(scan.tail, Tail::Corrupt { .. }) {
        let arrived = arrived_len(&bytes, scan.clean_len);
        if arrived < bytes.len() {
            scan = scan_log(&bytes[..arrived], author);
        }
    }
    match scan.tail {
        Tail::Corrupt { offset, why } => Err(StoreError::LogCorrupt { path, offset, why }),
        Tail::Clean | Tail::Torn { .. } => Ok(ReadLog {
            torn: bytes[scan.clean_len..].to_vec(),
            entries: scan.entries,
            clean_len: scan.clean_len,
        }),
    }
}

/// The length up to which the data of the last write arrived: up to the last
/// good entry if only zeros follow it, else without the whole sectors of zeros
/// at the end.
fn arrived_len(bytes: &[u8], clean_len: usize) -> usize {
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if used <= clean_len {
        return clean_len;
    }
    let sector_end = used.next_multiple_of(SECTOR_BYTES).min(bytes.len());
    if bytes.len() - sector_end >= ZEROS_MIN { sector_end } else { bytes.len() }
}

/// Keeps a torn tail aside and cuts it off; returns where it is kept.
pub(super) fn cut_torn(
    disk: &mut dyn Disk,
    dir: &Path,
    log: &ReadLog,
) -> Result<PathBuf, StoreError> {
    let (path, folder) = (path(dir), dir.join("log"));
    let aside = free_name(&folder, "torn");
    let len = u64::try_from(log.clean_len).expect("a file's length fits 64 bits");
    disk.write(&aside, &log.torn, Access::Default)
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("write", &aside))?;
    disk.truncate(&path, len).map_err(io_error("cut the torn end of", &path))?;
    Ok(aside)
}

/// Appends entries; they are durable when this returns.
pub(super) fn append<'a>(
    disk: &mut dyn Disk,
    dir: &Path,
    entries: impl Iterator<Item = &'a SignedEntry>,
) -> Result<(), StoreError> {
    let bytes: Vec<u8> = entries.flat_map(frame_entry).collect();
    let path = path(dir);
    match bytes.is_empty() {
        true => Ok(()),
        false => disk.append(&path, &bytes).map_err(io_error("append to", &path)),
    }
}

/// `folder/stem-N` with the smallest N from 1 that is not taken.
pub(super) fn free_name(folder: &Path, stem: &str) -> PathBuf {
    (1..=u64::MAX)
        .map(|number| folder.join(format!("{stem}-{number}")))
        .find(|path| !path.exists())
        .expect("a folder has fewer than 2^64 files")
}
