//! Mark: how much of the log is known to be on stable storage.
//!
//! An append that a power loss interrupts may leave its second block and not its
//! first, and then the log looks damaged in its middle. So `log/mark` holds the
//! length that the log had before the append that came last, synced before that
//! began. Damage behind the mark may be what a power loss leaves of something that
//! was never acknowledged; before it, it never is.
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `LHM1` |
//! | 8 | length in bytes, big-endian |
//! | 8 | the first bytes of the blake3 key derivation of the 12 bytes before |
//!
//! It is written over in place: 20 bytes in one sector, which a disk writes whole.

use std::fs;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;

use super::disk::{self, Access, Disk};
use super::error::{StoreError, io_error};

/// The smallest unit that a disk writes whole.
pub(super) const SECTOR_BYTES: usize = 512;

const MAGIC: [u8; 4] = *b"LHM1";
const CHECK_CONTEXT: &str = "longhaul 2026 log mark v1";

fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("mark")
}

/// The mark, if there is a whole one; directories of earlier versions have none.
pub(super) fn read(dir: &Path) -> Option<usize> {
    let bytes = fs::read(path(dir)).ok()?;
    let len: [u8; 8] = bytes.strip_prefix(&MAGIC)?.first_chunk().copied()?;
    let len = u64::from_be_bytes(len);
    (bytes == encode(len)).then_some(())?;
    usize::try_from(len).ok()
}

/// Says, durably, that the first `len` bytes of the log are durable.
pub(super) fn write(disk: &mut dyn Disk, dir: &Path, len: u64) -> Result<(), StoreError> {
    let path = path(dir);
    let bytes = encode(len);
    let written = match path.exists() {
        true => disk.overwrite(&path, &bytes),
        false => disk::replace(disk, &path, &bytes, Access::Default),
    };
    written.map_err(io_error("write", &path))
}

fn encode(len: u64) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &len.to_be_bytes()].concat();
    let check = ContentHash::derive(CHECK_CONTEXT, &bytes);
    bytes.extend_from_slice(&check.as_bytes()[..8]);
    bytes
}

/// Whether a sector behind the mark reads as zeros as far as it lies behind it, as one does that
/// never arrived.
pub(super) fn lost_a_sector(log: &[u8], mark: usize) -> bool {
    let mut from = mark;
    while from < log.len() {
        let to = ((from / SECTOR_BYTES + 1) * SECTOR_BYTES).min(log.len());
        if log[from..to].iter().all(|&byte| byte == 0) {
            return true;
        }
        from = to;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let folder = Folder::new();
        fs::create_dir(folder.0.join("log")).unwrap();
        assert_eq!(read(&folder.0), None);
        for len in [0, 1, 1 << 40] {
            write(&mut RealDisk, &folder.0, len).unwrap();
            assert_eq!(read(&folder.0), Some(usize::try_from(len).unwrap()));
        }
        let good = fs::read(path(&folder.0)).unwrap();
        assert_eq!((good.len(), &good[..4]), (20, &b"LHM1"[..]));
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            fs::write(path(&folder.0), bytes).unwrap();
            assert_eq!(read(&folder.0), None, "byte {at}");
        }
        fs::write(path(&folder.0), &good[..19]).unwrap();
        assert_eq!(read(&folder.0), None);
    }

    #[test]
    fn sees_a_sector_that_never_arrived() {
        let mut log = vec![1; 2_000];
        assert!(!lost_a_sector(&log, 700));
        log[800..1_000].fill(0);
        assert!(!lost_a_sector(&log, 700), "a part of a sector");
        for (mark, lost) in [(800, false), (1_000, false), (1_600, false)] {
            assert_eq!(lost_a_sector(&log, mark), lost);
        }
        log[700..1_024].fill(0);
        assert!(lost_a_sector(&log, 700) && lost_a_sector(&log, 1_023));
        assert!(!lost_a_sector(&log, 600) && !lost_a_sector(&log, 1_024));
        log[1_536..].fill(0);
        assert!(lost_a_sector(&log, 1_024) && !lost_a_sector(&log, 2_000));
    }
}
