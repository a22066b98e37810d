//! Payload: one file per update payload, named by its blake3 hash.
//!
//! `payload/xx/<hash>` with the first two digits as folder, so that `b3sum`
//! checks a file and no folder grows large. A file is written under another
//! name, synced, renamed, and its folder synced: it is there whole or not at
//! all. Whatever is found under a hash that it does not have is kept aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use super::disk::{Access, Disk};
use super::error::{StoreError, io_error};
use super::log::free_name;

/// The payload files of a data directory.
#[derive(Debug, Default)]
pub(super) struct ReadPayloads {
    /// The payloads whose content has the hash of their name.
    pub whole: BTreeMap<ContentHash, Arc<[u8]>>,
    /// Files whose content does not have the hash of their name.
    pub damaged: BTreeMap<ContentHash, PathBuf>,
    /// Remains of writes that were cut short.
    pub parts: Vec<PathBuf>,
}

/// Makes the folder of payloads.
pub(super) fn create(disk: &mut dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let folder = dir.join("payload");
    disk.make_dir(&folder).map_err(io_error("create", &folder))
}

/// Reads and hashes all payloads; a missing folder holds none.
pub(super) fn read(dir: &Path) -> Result<ReadPayloads, StoreError> {
    let mut found = ReadPayloads::default();
    for folder in list(&dir.join("payload"))?.into_iter().filter(|path| is_shard(path)) {
        for file in list(&folder)? {
            read_file(&file, &mut found)?;
        }
    }
    Ok(found)
}

fn read_file(file: &Path, found: &mut ReadPayloads) -> Result<(), StoreError> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Ok(hash) = name.parse::<ContentHash>() else {
        if name.ends_with(".part") {
            found.parts.push(file.to_path_buf());
        }
        return Ok(());
    };
    let bytes = fs::read(file).map_err(io_error("read", file))?;
    if ContentHash::of(&bytes) == hash {
        found.whole.insert(hash, bytes.into());
    } else {
        found.damaged.insert(hash, file.to_path_buf());
    }
    Ok(())
}

fn is_shard(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.as_encoded_bytes());
    name.is_some_and(|name| name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("list", folder))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(io_error("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// Moves a damaged file out of the way; returns where it is kept.
pub(super) fn set_aside(
    disk: &mut dyn Disk,
    dir: &Path,
    hash: &ContentHash,
    file: &Path,
) -> Result<PathBuf, StoreError> {
    let folder = dir.join("payload").join("aside");
    let aside = free_name(&folder, &hash.to_string());
    disk.make_dir(&folder)
        .and_then(|()| disk.rename(file, &aside))
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("move aside", file))?;
    Ok(aside)
}

/// Deletes payloads that nothing needs any more; what a power loss brings back of them is
/// deleted with a later seal, or stays and does no harm.
pub(super) fn delete(
    disk: &mut dyn Disk,
    dir: &Path,
    hashes: &[&ContentHash],
) -> Result<(), StoreError> {
    for hash in hashes {
        let name = hash.to_string();
        let file = dir.join("payload").join(&name[..2]).join(&name);
        if file.exists() {
            disk.remove(&file).map_err(io_error("delete", &file))?;
        }
    }
    Ok(())
}

/// Stores payloads; they are durable when this returns.
pub(super) fn save(
    disk: &mut dyn Disk,
    dir: &Path,
    payloads: &BTreeMap<ContentHash, Arc<[u8]>>,
) -> Result<(), StoreError> {
    let root = dir.join("payload");
    let mut folders = BTreeSet::new();
    let mut new_folder = false;
    for (hash, bytes) in payloads {
        debug_assert_eq!(ContentHash::of(bytes), *hash, "a payload is stored under its own hash");
        let name = hash.to_string();
        let folder = root.join(&name[..2]);
        if !folder.is_dir() {
            disk.make_dir(&folder).map_err(io_error("create", &folder))?;
            new_folder = true;
        }
        let file = folder.join(&name);
        // A file that is there already has durable content, but perhaps not a
        // durable name: its folder is synced in any case.
        if !file.exists() {
            let part = folder.join(format!("{name}.part"));
            disk.write(&part, bytes, Access::Default)
                .and_then(|()| disk.rename(&part, &file))
                .map_err(io_error("write", &file))?;
        }
        folders.insert(folder);
    }
    for folder in folders.iter().chain(new_folder.then_some(&root)) {
        disk.sync_dir(folder).map_err(io_error("sync", folder))?;
    }
    Ok(())
}
