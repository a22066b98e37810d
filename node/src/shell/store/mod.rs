//! Store: the data directory of one peer.
//!
//! ```text
//! key               the secret, mode 0600
//! longhaul.toml     the configuration
//! manifest          the signed manifest of the federation
//! log/00000001.log  the signed log: the truth about what this peer did
//! log/mark          how much of the log is known to be durable
//! log/torn-N        ends of the log that a power loss cut short
//! payload/xx/HASH   the payloads, named by their blake3 hash
//! payload/pack/     small payloads, many in a file
//! payload/aside/    what did not have the hash that it is named by
//! index/            sled; can be thrown away at any time
//! lock              held by the running process
//! ```
//!
//! The log and the payload files are the truth, everything else can be made
//! again. [`Store::persist_all`] returns when its requests survive a power loss;
//! only then may anything that speaks of them leave the peer, or an honest peer
//! could sign one epoch twice. Nothing that was acknowledged is ever deleted:
//! what does not fit is moved aside and reported.

pub mod care;
mod clean;
#[cfg(test)]
mod crash;
mod disk;
mod error;
mod index;
mod key;
mod load;
mod lock;
mod log;
mod mark;
mod pack;
mod payload;
mod repair;
mod space;
/// What tests elsewhere take from the tests of the store.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::crash::restored::requests;
    pub(crate) use super::tests::{key, manifest};
}
#[cfg(test)]
mod tests;
mod vouch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_registry::{SignedEntry, SignedManifest};

use crate::peer::PersistRequest;
use disk::{Access, Disk, RealDisk};
use error::io_error;
use index::Index;
use lock::Lock;
use payload::Area;
use vouch::Vouch;

pub use error::StoreError;
pub use key::{RelayKey, courier_key, relay_key};
pub use load::{LoadReport, Loaded, Snapshot};
pub use space::Space;

/// The data directory of one peer, locked for this process.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    /// Where payloads are; read when it is first needed.
    area: Option<Area>,
    /// Of a store that was loaded.
    memory: Option<Memory>,
    /// A write failed: what is on the disk is unknown until the next start.
    stopped: bool,
    _lock: Lock,
}

/// What makes the next start fast, and lets it notice what is gone.
#[derive(Debug)]
struct Memory {
    index: Index,
    /// Entries in the log; the index remembers how many there have been.
    entries: u64,
    vouch: Vouch,
}

impl Store {
    /// Makes the data directory of a new peer; refuses one that holds a key.
    pub fn create(dir: &Path, key: &SecretKey) -> Result<(), StoreError> {
        Self::create_on(&mut RealDisk, dir, key)
    }

    fn create_on(disk: &mut dyn Disk, dir: &Path, key: &SecretKey) -> Result<(), StoreError> {
        disk.make_dir(dir).map_err(io_error("create", dir))?;
        let _lock = lock::take(dir)?;
        if key::path(dir).exists() {
            return Err(StoreError::Exists(dir.to_path_buf()));
        }
        refuse_keyless_peer(dir)?;
        // The key comes last: a directory without one is not a peer's yet.
        log::create(disk, dir)?;
        payload::create(disk, dir)?;
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        key::save(disk, dir, key)?;
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_dir(parent).map_err(io_error("sync", parent))
    }

    /// Opens and locks the data directory of a peer.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(Box::new(RealDisk), dir)
    }

    fn open_on(disk: Box<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        if !key::path(dir).exists() {
            refuse_keyless_peer(dir)?;
            return Err(StoreError::Absent(dir.to_path_buf()));
        }
        let lock = lock::take(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            disk,
            area: None,
            memory: None,
            stopped: false,
            _lock: lock,
        })
    }

    /// The peer's key.
    pub fn load_key(&self) -> Result<SecretKey, StoreError> {
        Self::key(&self.dir)
    }

    /// The key of the peer in `dir`, without locking it.
    pub fn key(dir: &Path) -> Result<SecretKey, StoreError> {
        key::load(dir)
    }

    /// Takes the peer into a federation. Once the log has begun, only the
    /// manifest of the same federation is accepted.
    pub fn join(&mut self, manifest: &SignedManifest) -> Result<(), StoreError> {
        match read_manifest(&self.dir) {
            Ok(old) if old.id() != manifest.id() && self.has_begun()? => {
                let (found, wanted) = (old.id(), manifest.id());
                return Err(StoreError::OtherFederation { dir: self.dir.clone(), found, wanted });
            }
            Ok(_) | Err(StoreError::NotJoined(_) | StoreError::Manifest { .. }) => {}
            Err(other) => return Err(other),
        }
        let path = self.dir.join("manifest");
        disk::replace(&mut *self.disk, &path, manifest.as_bytes(), Access::Default)
            .map_err(io_error("write", &path))
    }

    fn has_begun(&self) -> Result<bool, StoreError> {
        let path = log::path(&self.dir);
        let meta = fs::metadata(&path).map_err(io_error("open", &path))?;
        Ok(meta.len() > 0)
    }

    /// Reads everything that is stored, repairs what a power loss may leave
    /// behind, and reports what it moved aside.
    pub fn load(&mut self) -> Result<Loaded, StoreError> {
        // Closed first, if this is not the first time.
        self.memory = None;
        let mut index = Index::open(&self.dir);
        let opened = load::load(&mut *self.disk, &self.dir, &mut index)?;
        let entries = opened.loaded.restored.entries.len() as u64;
        index.add(std::iter::empty(), entries, opened.vouch.tag());
        self.area = Some(opened.area);
        self.memory = Some(Memory { index, entries, vouch: opened.vouch });
        Ok(opened.loaded)
    }

    /// Reads what is stored in `dir` without locking or changing anything; a
    /// write that is under way in another process is left out.
    pub fn read(dir: &Path) -> Result<Snapshot, StoreError> {
        load::read(dir)
    }

    /// Makes one request durable.
    pub fn persist(&mut self, request: &PersistRequest) -> Result<(), StoreError> {
        self.persist_all(std::slice::from_ref(request))
    }

    /// Makes requests durable, in order, with one sync of the log for all of
    /// them. After an error nothing more is accepted until a restart: none of
    /// these requests may be acknowledged, and all earlier ones are safe.
    pub fn persist_all(&mut self, requests: &[PersistRequest]) -> Result<(), StoreError> {
        let (mut payloads, mut forget) = (BTreeMap::new(), BTreeSet::new());
        // All is written before anything is deleted: for each payload the last request counts.
        for request in requests {
            if let Some((hash, payload)) = &request.payload {
                forget.remove(hash);
                payloads.insert(*hash, payload.clone());
            }
            for hash in &request.forget {
                payloads.remove(hash);
                forget.insert(hash);
            }
        }
        self.write(&payloads, requests.iter().flat_map(|request| &request.entries))?;
        if !forget.is_empty() {
            self.forget(&forget.into_iter().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn forget(&mut self, hashes: &[&ContentHash]) -> Result<(), StoreError> {
        self.guarded(|store| {
            let area = store.area.as_mut().expect("something was written before");
            area.forget(&mut *store.disk, hashes)
        })?;
        if let Some(memory) = &mut self.memory {
            memory.index.forget(hashes);
        }
        Ok(())
    }

    /// Moves small payloads into packs and gives back what packs waste.
    fn compact_payloads(&mut self) -> Result<(), StoreError> {
        self.guarded(|store| match &mut store.area {
            Some(area) => area.compact(&mut *store.disk),
            None => Ok(()),
        })
    }

    /// Does what changes the directory; after an error nothing more.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        self.stopped = true;
        let done = work(self)?;
        self.stopped = false;
        Ok(done)
    }

    fn write<'a>(
        &mut self,
        payloads: &BTreeMap<ContentHash, Arc<[u8]>>,
        entries: impl Iterator<Item = &'a SignedEntry>,
    ) -> Result<(), StoreError> {
        let mut count = 0;
        let entries = entries.inspect(|_| count += 1);
        let appended = self.guarded(|store| {
            let area = match &mut store.area {
                Some(area) => area,
                none => {
                    let known = BTreeMap::new();
                    none.insert(load::open_area(&mut *store.disk, &store.dir, &known)?.0.area)
                }
            };
            area.save(&mut *store.disk, payloads)?;
            log::append(&mut *store.disk, &store.dir, entries)
        })?;
        if let Some(Memory { index, entries, vouch }) = &mut self.memory {
            *entries += count;
            vouch.add(&appended);
            let lens = payloads.iter().map(|(hash, bytes)| (*hash, bytes.len()));
            index.add(lens, *entries, vouch.tag());
        }
        Ok(())
    }
}

/// A log or a manifest without a key is a peer whose key went missing: a new
/// key must not take its place.
fn refuse_keyless_peer(dir: &Path) -> Result<(), StoreError> {
    let log_len = fs::metadata(log::path(dir)).map_or(0, |meta| meta.len());
    if log_len > 0 || dir.join("manifest").exists() {
        return Err(StoreError::KeyMissing(key::path(dir)));
    }
    Ok(())
}

fn read_manifest(dir: &Path) -> Result<SignedManifest, StoreError> {
    let path = dir.join("manifest");
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::NotJoined(dir.to_path_buf()))
        }
        Err(error) => Err(io_error("read", &path)(error)),
        Ok(bytes) => {
            SignedManifest::decode(&bytes).map_err(|why| StoreError::Manifest { path, why })
        }
    }
}
