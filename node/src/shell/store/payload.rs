//! Payload: the update payloads, named by their blake3 hash.
//!
//! A payload above [`PACKED_BYTES_MAX`] has a file `payload/xx/<hash>` with the
//! first two digits as folder, so that `b3sum` checks a file and no folder grows
//! large; it is written under another name, synced, renamed, and its folder
//! synced. Smaller ones, which are nearly all, share files that grow, [`super::pack`].
//! Earlier versions gave larger or all payloads a file; those are read as they are.
//!
//! A forgotten packed payload leaves its bytes behind; [`super::clean`] gives
//! their room back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use super::clean::WASTE_BYTES;
use super::disk::{self, Disk};
use super::error::{StoreError, io_error};
use super::pack::{self, Bad, HEADER_BYTES, Kind, PACKED_BYTES_MAX};

/// A pack that has reached this length is not appended to any more. It bounds how much is read
/// and written at once when a pack is emptied.
pub(super) const PACK_BYTES_MAX: u64 = 16 << 20;
/// Most memory that is kept for the next append.
const BUFFER_BYTES_MAX: usize = 4 << 20;
/// How often a reader begins again because a running peer removed what it was about to read.
const READS_MAX: u32 = 8;

/// The payloads of a data directory, and where they are.
#[derive(Debug)]
pub(super) struct Area {
    root: PathBuf,
    pub(super) places: BTreeMap<ContentHash, Place>,
    pub(super) packs: BTreeMap<u64, Pack>,
    /// Packs up to this number are not appended to.
    pub(super) closed: u64,
    /// [`PACK_BYTES_MAX`], smaller in tests.
    pub pack_bytes_max: u64,
    /// What is appended next; kept, since fresh memory costs a fault for each page.
    buffer: Vec<u8>,
    /// [`WASTE_BYTES`], smaller in tests.
    pub waste_bytes: u64,
}

/// Where a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file of its own.
    File,
    /// In a pack, its record at this offset.
    Packed { pack: u64, at: u64, len: u64 },
}

/// How large a pack is, and how much of it counts, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pack {
    len: u64,
    live: u64,
}

/// A record to append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    Payload(&'a ContentHash, &'a [u8]),
    Forgotten(&'a ContentHash),
}

/// What a data directory holds of payloads.
#[derive(Debug)]
pub(super) struct Found {
    pub area: Area,
    /// The payloads whose content has the hash of their name.
    pub whole: BTreeMap<ContentHash, Arc<[u8]>>,
    /// Files whose content does not have the hash of their name.
    pub damaged: BTreeMap<ContentHash, PathBuf>,
    /// Bytes of packs that are no record, by the pack's number.
    pub bad: BTreeMap<u64, Vec<Bad>>,
    /// Remains of writes and moves that were cut short.
    pub leftovers: Vec<PathBuf>,
}

/// How much room packs take, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PackSpace {
    /// Of all packs.
    pub total: u64,
    /// Of the records in them that count.
    pub live: u64,
}

/// Makes the folder of payloads.
pub(super) fn create(disk: &mut dyn Disk, dir: &Path) -> Result<(), StoreError> {
    let folder = root(dir);
    disk.make_dir(&folder).map_err(io_error("create", &folder))
}

/// The folder of payloads.
pub(super) fn root(dir: &Path) -> PathBuf {
    dir.join("payload")
}

/// Where a pack lies.
pub(super) fn pack_path(root: &Path, number: u64) -> PathBuf {
    root.join("pack").join(format!("{number:08}.pack"))
}

pub(super) fn file_path(root: &Path, hash: &ContentHash) -> PathBuf {
    let name = hash.to_string();
    root.join(&name[..2]).join(name)
}

/// Reads and hashes all payloads; a missing folder holds none.
pub(super) fn read(dir: &Path) -> Result<Found, StoreError> {
    let mut reads = 0;
    loop {
        reads += 1;
        match read_once(&root(dir)) {
            // A peer that runs has moved what was here to a newer pack.
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && reads < READS_MAX => {}
            other => return other,
        }
    }
}

fn read_once(root: &Path) -> Result<Found, StoreError> {
    let area = Area {
        root: root.to_path_buf(),
        places: BTreeMap::new(),
        packs: BTreeMap::new(),
        closed: 0,
        pack_bytes_max: PACK_BYTES_MAX,
        buffer: Vec::new(),
        waste_bytes: WASTE_BYTES,
    };
    let mut found = Found {
        area,
        whole: BTreeMap::new(),
        damaged: BTreeMap::new(),
        bad: BTreeMap::new(),
        leftovers: Vec::new(),
    };
    for folder in list(root)?.into_iter().filter(|path| is_shard(path)) {
        for file in list(&folder)? {
            found.read_file(&file)?;
        }
    }
    // In the order of their numbers, which is that of their names.
    for file in list(&root.join("pack"))? {
        match pack_number(&file) {
            Some(number) => found.read_pack(number, &file)?,
            None if is_part(&file) => found.leftovers.push(file),
            None => {}
        }
    }
    Ok(found)
}

impl Found {
    fn read_file(&mut self, file: &Path) -> Result<(), StoreError> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(hash) = name.parse::<ContentHash>() else {
            if is_part(file) {
                self.leftovers.push(file.to_path_buf());
            }
            return Ok(());
        };
        let bytes = fs::read(file).map_err(io_error("read", file))?;
        if ContentHash::of(&bytes) == hash {
            self.area.places.insert(hash, Place::File);
            self.whole.insert(hash, bytes.into());
        } else {
            self.damaged.insert(hash, file.to_path_buf());
        }
        Ok(())
    }

    fn read_pack(&mut self, number: u64, file: &Path) -> Result<(), StoreError> {
        let bytes = fs::read(file).map_err(io_error("read", file))?;
        let scan = pack::scan(&bytes);
        self.area.packs.insert(number, Pack { len: bytes.len() as u64, live: 0 });
        for record in scan.records {
            match record.kind {
                Kind::Payload(len) => {
                    let place =
                        Place::Packed { pack: number, at: record.at as u64, len: len as u64 };
                    if self.area.put(record.hash, place) == Some(Place::File) {
                        // It was moved here, and a power loss brought its file back.
                        self.leftovers.push(file_path(&self.area.root, &record.hash));
                    }
                    self.whole.insert(record.hash, bytes[record.payload()].into());
                }
                Kind::Forgotten => {
                    if matches!(self.area.places.get(&record.hash), Some(Place::Packed { .. })) {
                        self.area.take(&record.hash);
                        self.whole.remove(&record.hash);
                    }
                }
            }
        }
        if !scan.bad.is_empty() {
            self.bad.insert(number, scan.bad);
        }
        Ok(())
    }
}

impl Area {
    /// Where the payloads lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The number of the newest pack.
    pub fn newest_pack(&self) -> Option<u64> {
        self.packs.last_key_value().map(|(number, _)| *number)
    }

    /// How much room packs take.
    pub fn pack_space(&self) -> PackSpace {
        self.packs.values().fold(PackSpace::default(), |sum, pack| PackSpace {
            total: sum.total + pack.len,
            live: sum.live + pack.live,
        })
    }

    /// Makes durable what was found. A process that was killed may have left it in the system's
    /// memory, where a later power loss would take it away from whoever relies on it by then.
    /// `known` are the payloads of which that process had said that they are durable.
    pub fn settle(
        &self,
        disk: &mut dyn Disk,
        known: &BTreeMap<ContentHash, u64>,
    ) -> Result<(), StoreError> {
        let Some(newest) = self.newest_pack() else { return Ok(()) };
        let file = pack_path(&self.root, newest);
        let unknown = self.places.iter().filter_map(|(hash, place)| match place {
            Place::Packed { pack, at, .. } if *pack == newest && !known.contains_key(hash) => {
                Some(*at)
            }
            Place::Packed { .. } | Place::File => None,
        });
        let from = unknown.min().unwrap_or(self.packs[&newest].len);
        disk.settle(&file, from)
            .and_then(|()| disk.sync_dir(&self.root.join("pack")))
            .map_err(io_error("sync", &file))
    }

    /// Stores payloads; they are durable when this returns.
    pub fn save(
        &mut self,
        disk: &mut dyn Disk,
        payloads: &BTreeMap<ContentHash, Arc<[u8]>>,
    ) -> Result<(), StoreError> {
        let mut packed = Vec::new();
        let mut large = Vec::new();
        for (hash, bytes) in payloads {
            debug_assert_eq!(
                ContentHash::of(bytes),
                *hash,
                "a payload is stored under its own hash"
            );
            match self.places.get(hash) {
                Some(Place::Packed { .. }) => {}
                None if bytes.len() <= PACKED_BYTES_MAX => packed.push(Entry::Payload(hash, bytes)),
                Some(Place::File) | None => large.push((hash, bytes)),
            }
        }
        self.save_files(disk, &large)?;
        self.append(disk, &packed)
    }

    fn save_files(
        &mut self,
        disk: &mut dyn Disk,
        payloads: &[(&ContentHash, &Arc<[u8]>)],
    ) -> Result<(), StoreError> {
        let mut folders = BTreeSet::new();
        let (mut parts, mut names) = (Vec::new(), Vec::new());
        for (hash, bytes) in payloads {
            let file = file_path(&self.root, hash);
            let folder = file.parent().expect("the folder of its first digits");
            if !folder.is_dir() {
                disk.make_dir(folder).map_err(io_error("create", folder))?;
                folders.insert(self.root.clone());
            }
            // A file that is there already has durable content, but perhaps not a
            // durable name: its folder is synced in any case.
            if !file.exists() {
                parts.push((folder.join(format!("{hash}.part")), &bytes[..]));
                names.push(file.clone());
            }
            folders.insert(folder.to_path_buf());
        }
        disk.write_all(&parts).map_err(io_error("write payloads to", &self.root))?;
        for ((part, _), file) in parts.iter().zip(&names) {
            disk.rename(part, file).map_err(io_error("write", file))?;
        }
        let folders: Vec<_> = folders.into_iter().collect();
        disk.sync_dirs(&folders).map_err(io_error("sync", &self.root))?;
        for (hash, _) in payloads {
            self.put(**hash, Place::File);
        }
        Ok(())
    }

    /// Deletes payloads that nothing needs any more, and gives room back where packs waste it.
    /// A file that a power loss brings back stays until `compact` and does no harm.
    pub fn forget(
        &mut self,
        disk: &mut dyn Disk,
        hashes: &[&ContentHash],
    ) -> Result<(), StoreError> {
        let mut packed = Vec::new();
        for hash in hashes {
            match self.places.get(hash) {
                None => {}
                Some(Place::Packed { .. }) => packed.push(Entry::Forgotten(hash)),
                Some(Place::File) => {
                    let file = file_path(&self.root, hash);
                    disk.remove(&file).map_err(io_error("delete", &file))?;
                    self.take(hash);
                }
            }
        }
        self.append(disk, &packed)?;
        self.clean(disk)
    }

    /// Appends records to the newest pack and to new ones; they are durable when this returns.
    pub fn append(&mut self, disk: &mut dyn Disk, entries: &[Entry<'_>]) -> Result<(), StoreError> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (number, start) = self.open_pack();
            let mut bytes = std::mem::take(&mut self.buffer);
            bytes.clear();
            let mut places = Vec::new();
            while let Some((entry, behind)) = rest.split_first()
                && start + (bytes.len() as u64) < self.pack_bytes_max
            {
                let at = start + bytes.len() as u64;
                let place = |len: usize| Place::Packed { pack: number, at, len: len as u64 };
                match *entry {
                    Entry::Payload(hash, payload) => {
                        pack::push_payload(&mut bytes, hash, payload);
                        places.push((*hash, Some(place(payload.len()))));
                    }
                    Entry::Forgotten(hash) => {
                        pack::push_forgotten(&mut bytes, hash);
                        places.push((*hash, None));
                    }
                }
                rest = behind;
            }
            self.write_pack(disk, number, &bytes)?;
            bytes.truncate(BUFFER_BYTES_MAX);
            bytes.shrink_to(BUFFER_BYTES_MAX);
            self.buffer = bytes;
            for (hash, place) in places {
                match place {
                    Some(place) => self.put(hash, place),
                    None => self.take(&hash),
                };
            }
        }
        Ok(())
    }

    /// The pack to append to and its length; a new one has none.
    fn open_pack(&self) -> (u64, u64) {
        match self.packs.last_key_value() {
            Some((number, pack)) if *number > self.closed && pack.len < self.pack_bytes_max => {
                (*number, pack.len)
            }
            Some((number, _)) => (self.closed.max(*number) + 1, 0),
            None => (self.closed + 1, 0),
        }
    }

    fn write_pack(
        &mut self,
        disk: &mut dyn Disk,
        number: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let file = pack_path(&self.root, number);
        let written = match self.packs.contains_key(&number) {
            true => disk.append(&file, bytes),
            false => self.make_pack_folder(disk).and_then(|()| disk::create(disk, &file, bytes)),
        };
        written.map_err(io_error("append to", &file))?;
        self.packs.entry(number).or_default().len += bytes.len() as u64;
        Ok(())
    }

    fn make_pack_folder(&self, disk: &mut dyn Disk) -> io::Result<()> {
        let folder = self.root.join("pack");
        if folder.is_dir() {
            return Ok(());
        }
        disk.make_dir(&folder)?;
        disk.sync_dir(&self.root)
    }

    fn put(&mut self, hash: ContentHash, place: Place) -> Option<Place> {
        let before = self.take(&hash);
        if let Place::Packed { pack, len, .. } = place {
            self.packs.entry(pack).or_default().live += HEADER_BYTES as u64 + len;
        }
        self.places.insert(hash, place);
        before
    }

    fn take(&mut self, hash: &ContentHash) -> Option<Place> {
        let before = self.places.remove(hash);
        if let Some(Place::Packed { pack, len, .. }) = before
            && let Some(pack) = self.packs.get_mut(&pack)
        {
            pack.live -= HEADER_BYTES as u64 + len;
        }
        before
    }
}

/// Moves a damaged file out of the way; returns where it is kept.
pub(super) fn set_aside(
    disk: &mut dyn Disk,
    root: &Path,
    hash: &ContentHash,
    file: &Path,
) -> Result<PathBuf, StoreError> {
    let folder = root.join("aside");
    let aside = disk::free_name(&folder, &hash.to_string());
    disk.make_dir(&folder)
        .and_then(|()| disk.rename(file, &aside))
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("move aside", file))?;
    Ok(aside)
}

fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

fn is_shard(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.as_encoded_bytes());
    name.is_some_and(|name| name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit))
}

fn pack_number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".pack")?.parse().ok()
}

/// The paths in a folder, in order; none if it is missing.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("list", folder))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(io_error("list", folder))?;
    paths.sort();
    Ok(paths)
}
