//! Aside: what a power loss tore, or the disk damaged, is kept for inspection.
//!
//! The folder `aside` holds copies of torn ends, the newest few, and segments with
//! damage. Nothing in it counts, neither as a bundle nor for the quota.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::{BundleStoreError, io_error};

/// Most copies of torn ends that are kept; each is at most one group.
const TORN_MAX: usize = 8;

/// The folder.
pub(super) fn folder(dir: &Path) -> PathBuf {
    dir.join("aside")
}

/// Keeps a copy of bytes of `file`; durable.
pub(super) fn keep(
    disk: &mut dyn Disk,
    dir: &Path,
    file: &Path,
    bytes: &[u8],
) -> Result<PathBuf, BundleStoreError> {
    let folder = make(disk, dir)?;
    prune(disk, &folder);
    let kept = free_name(&folder, "torn", file);
    disk.create(&kept)
        .and_then(|()| disk.append(&kept, &[bytes]))
        .and_then(|()| disk.sync(&kept))
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("keep a torn end as", &kept))?;
    Ok(kept)
}

/// Moves a file of the store here; durable once the store's directory is synced too.
pub(super) fn move_file(
    disk: &mut dyn Disk,
    dir: &Path,
    file: &Path,
) -> Result<PathBuf, BundleStoreError> {
    let folder = make(disk, dir)?;
    let kept = free_name(&folder, "damaged", file);
    disk.rename(file, &kept)
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("move aside", file))?;
    Ok(kept)
}

fn make(disk: &mut dyn Disk, dir: &Path) -> Result<PathBuf, BundleStoreError> {
    let folder = folder(dir);
    if !folder.is_dir() {
        disk.make_dir(&folder)
            .and_then(|()| disk.sync_dir(dir))
            .map_err(io_error("create", &folder))?;
    }
    Ok(folder)
}

/// Removes the oldest torn ends, as far as that is possible, so that one more fits.
fn prune(disk: &mut dyn Disk, folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_torn = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes());
        name.is_some_and(|name| name.starts_with(b"torn-"))
    };
    let mut torn: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_torn).collect();
    torn.sort_by_key(|path| {
        (fs::metadata(path).and_then(|meta| meta.modified()).ok(), path.clone())
    });
    let surplus = (torn.len() + 1).saturating_sub(TORN_MAX);
    for path in &torn[..surplus] {
        let _: io::Result<()> = disk.remove(path);
    }
}

/// A name in `folder` that is not taken.
fn free_name(folder: &Path, what: &str, file: &Path) -> PathBuf {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    (1..=u64::MAX)
        .map(|number| folder.join(format!("{what}-{name}-{number}")))
        .find(|path| !path.exists())
        .expect("a folder has fewer than 2^64 files")
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn keeps_each_torn_end_under_a_name_of_its_own() {
        let folder = Folder::new();
        let mut disk = RealDisk::default();
        let mut keep = |bytes: &[u8]| {
            keep(&mut disk, &folder.0, Path::new("store/7.seg"), bytes).expect("our own folder")
        };
        let (first, second) = (keep(b"one"), keep(b"two"));
        assert_eq!(fs::read(&first).expect("kept"), b"one");
        assert_eq!(fs::read(&second).expect("kept"), b"two");
        assert_eq!(first, folder.0.join("aside/torn-7.seg-1"));
    }

    #[test]
    fn moves_a_file_and_never_over_another() {
        let folder = Folder::new();
        let file = folder.0.join("7.seg");
        let mut disk = RealDisk::default();
        for content in [b"one", b"two"] {
            fs::write(&file, content).expect("our own folder");
            let kept = move_file(&mut disk, &folder.0, &file).expect("our own folder");
            assert_eq!(fs::read(kept).expect("kept"), content);
            assert!(!file.exists());
        }
    }

    #[test]
    fn torn_ends_make_room_for_newer_ones_and_damage_does_not() {
        let folder = Folder::new();
        let mut disk = RealDisk::default();
        let damaged = folder.0.join("7.seg");
        fs::write(&damaged, b"damaged").expect("our own folder");
        let damaged = move_file(&mut disk, &folder.0, &damaged).expect("our own folder");
        let file = Path::new("8.seg");
        let mut last = PathBuf::new();
        for number in 0..20_u8 {
            last = keep(&mut disk, &folder.0, file, &[number]).expect("our own folder");
        }
        assert_eq!(fs::read(last).expect("kept"), [19]);
        assert!(damaged.exists());
        let count = fs::read_dir(super::folder(&folder.0)).expect("our own folder").count();
        assert_eq!(count, TORN_MAX + 1);
    }
}
