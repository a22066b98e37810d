//! Log: the file of signed entries, the truth about what this peer did.
//!
//! The format and the line between *torn* (cut short by a power loss, never
//! acknowledged) and *corrupt* are the registry's ([`scan_log`]). This file
//! adds what a file system may do to the last write before a power loss: the
//! length has grown but whole sectors of the data never arrived and read as
//! zeros, at its end or, as [`super::mark`] tells, before it. A torn tail is kept
//! aside and cut; a corrupt log is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longhaul_dtn::identity::SecretKey;
use longhaul_registry::{SignedEntry, Tail, frame_entry, scan_checked_log};

use super::disk::{self, Access, Disk};
use super::error::{StoreError, io_error};
use super::mark::{self, SECTOR_BYTES};
use super::vouch::{Tag, Vouch};

/// Fewer zeros than this may belong to an entry; a signature has 64 bytes.
const ZEROS_MIN: usize = 128;

/// What the log file holds.
#[derive(Debug)]
pub(super) struct ReadLog {
    pub entries: Vec<SignedEntry>,
    /// The bytes behind the last entry, if a write was cut short.
    pub torn: Vec<u8>,
    /// Vouches for all entries.
    pub vouch: Vouch,
    /// Bytes that an earlier process vouched for, and knew to be durable.
    vouched_len: usize,
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
        .map_err(io_error("create", &path))?;
    mark::write(disk, dir, 0)
}

/// Reads the log and checks it; signatures only behind the beginning that `tag` vouches for.
pub(super) fn read(dir: &Path, key: &SecretKey, tag: Option<Tag>) -> Result<ReadLog, StoreError> {
    let (path, author) = (path(dir), key.peer_id());
    // Before the log: a running peer moves it after an append.
    let mark = mark::read(dir);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::LogMissing(path));
        }
        other => other.map_err(io_error("read", &path))?,
    };
    let mut vouch = Vouch::check(key, tag, &bytes);
    let vouched_len = vouch.len();
    let mut scan = scan_checked_log(&bytes, author, vouched_len);
    if let Tail::Corrupt { offset, why } = scan.tail {
        let torn = match mark {
            Some(mark) => offset >= mark && mark::lost_a_sector(&bytes, mark),
            None => false,
        };
        let arrived = arrived_len(&bytes, scan.clean_len);
        if !torn && arrived == bytes.len() {
            return Err(StoreError::LogCorrupt { path, offset, why });
        }
        scan.tail = Tail::Torn { bytes: bytes.len() - scan.clean_len };
        if !torn {
            let again = scan_checked_log(&bytes[..arrived], author, vouched_len);
            if let Tail::Corrupt { offset, why } = again.tail {
                return Err(StoreError::LogCorrupt { path, offset, why });
            }
            scan = again;
        }
    }
    let (found, known) = (scan.clean_len, mark.unwrap_or(0));
    if found < known {
        return Err(StoreError::LogCut { path, found, known });
    }
    vouch.add(bytes.get(vouched_len..scan.clean_len).unwrap_or_default());
    let torn = bytes[scan.clean_len..].to_vec();
    Ok(ReadLog { torn, entries: scan.entries, vouch, vouched_len })
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

/// Makes durable what the log holds: what a killed process wrote and did not sync is there until
/// the power fails, and the peer will speak of it.
pub(super) fn settle(disk: &mut dyn Disk, dir: &Path, log: &ReadLog) -> Result<(), StoreError> {
    let path = path(dir);
    disk.settle(&path, log.vouched_len as u64).map_err(io_error("sync", &path))?;
    mark::write(disk, dir, log.vouch.len() as u64)
}

/// Keeps a torn tail aside and cuts it off; returns where it is kept.
pub(super) fn cut_torn(
    disk: &mut dyn Disk,
    dir: &Path,
    log: &ReadLog,
) -> Result<PathBuf, StoreError> {
    let (path, folder) = (path(dir), dir.join("log"));
    let aside = disk::free_name(&folder, "torn");
    let len = log.vouch.len() as u64;
    disk.write(&aside, &log.torn, Access::Default)
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("write", &aside))?;
    disk.truncate(&path, len).map_err(io_error("cut the torn end of", &path))?;
    Ok(aside)
}

/// Appends entries; they are durable when this returns. Gives the bytes that it appended.
pub(super) fn append<'a>(
    disk: &mut dyn Disk,
    dir: &Path,
    entries: impl Iterator<Item = &'a SignedEntry>,
) -> Result<Vec<u8>, StoreError> {
    let bytes: Vec<u8> = entries.flat_map(frame_entry).collect();
    let path = path(dir);
    if !bytes.is_empty() {
        let len = fs::metadata(&path).map_err(io_error("read", &path))?.len();
        mark::write(disk, dir, len)?;
        disk.append(&path, &bytes).map_err(io_error("append to", &path))?;
    }
    Ok(bytes)
}
