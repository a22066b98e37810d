//! Clean: room that forgotten payloads left behind in packs is given back.
//!
//! When packs waste more than [`WASTE_SHARE`], the oldest one is emptied: what
//! still counts in it is appended to the newest, durably, and then it is removed.
//! Always the oldest, because a record that something is forgotten speaks of
//! older packs only: in the oldest it has done its work.

use std::fs;

use longhaul_dtn::hash::ContentHash;

use super::disk::Disk;
use super::error::{StoreError, io_error};
use super::pack::{self, PACKED_BYTES_MAX};
use super::payload::{Area, Entry, PackSpace, Place, file_path, pack_path};

/// Packs may waste one part in this many of what counts in them, and [`WASTE_BYTES`].
const WASTE_SHARE: u64 = 8;
/// Waste, in bytes, that is not worth a move.
pub(super) const WASTE_BYTES: u64 = 1 << 20;
/// How many bytes of small files are moved into packs at once.
const MOVE_BYTES: usize = 4 << 20;

impl Area {
    /// Empties the oldest packs while too much of them is wasted.
    pub fn clean(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        let newest = self.newest_pack();
        while let Some((&oldest, _)) = self.packs.first_key_value()
            && newest.is_some_and(|newest| oldest <= newest)
            && self.is_wasteful()
        {
            if !self.empty_pack(disk, oldest)? {
                break;
            }
        }
        Ok(())
    }

    fn is_wasteful(&self) -> bool {
        let PackSpace { total, live } = self.pack_space();
        total - live > live / WASTE_SHARE + self.waste_bytes
    }

    /// Moves what counts in the oldest pack to the newest and removes it. False, and nothing is
    /// changed, if not all of that is whole any more: the next start will see to it.
    fn empty_pack(&mut self, disk: &mut dyn Disk, oldest: u64) -> Result<bool, StoreError> {
        self.closed = self.closed.max(oldest);
        let file = pack_path(self.root(), oldest);
        let bytes = fs::read(&file).map_err(io_error("read", &file))?;
        let records = pack::scan(&bytes).records;
        let live: Vec<_> = records
            .iter()
            .filter(|record| {
                matches!(self.places.get(&record.hash),
                    Some(Place::Packed { pack, at, .. })
                        if (*pack, *at) == (oldest, record.at as u64))
            })
            .map(|record| Entry::Payload(&record.hash, &bytes[record.payload()]))
            .collect();
        let here = |place: &&Place| matches!(place, Place::Packed { pack, .. } if *pack == oldest);
        if live.len() != self.places.values().filter(here).count() {
            return Ok(false);
        }
        self.append(disk, &live)?;
        // Durable at once: were the pack to come back, so would what later packs say is
        // forgotten, once those are emptied themselves.
        disk.remove(&file)
            .and_then(|()| disk.sync_dir(&self.root().join("pack")))
            .map_err(io_error("delete", &file))?;
        self.packs.remove(&oldest);
        Ok(true)
    }

    /// Moves small payloads out of files of their own into packs, and empties the packs unless
    /// all that is in them counts and they are few.
    pub fn compact(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        self.pack_files(disk)?;
        let PackSpace { total, live } = self.pack_space();
        let few = self.packs.len() as u64 <= live / self.pack_bytes_max + 2;
        if total == live && few {
            return Ok(());
        }
        let newest = self.newest_pack();
        while let Some((&oldest, _)) = self.packs.first_key_value()
            && newest.is_some_and(|newest| oldest <= newest)
        {
            if !self.empty_pack(disk, oldest)? {
                break;
            }
        }
        Ok(())
    }

    fn pack_files(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        let files = self.places.iter().filter(|(_, place)| **place == Place::File);
        let files: Vec<ContentHash> = files.map(|(hash, _)| *hash).collect();
        let mut waiting = Vec::new();
        let mut bytes_waiting = 0;
        for hash in files {
            let file = file_path(self.root(), &hash);
            let len = fs::metadata(&file).map_err(io_error("read", &file))?.len();
            if len > PACKED_BYTES_MAX as u64 {
                continue;
            }
            let bytes = fs::read(&file).map_err(io_error("read", &file))?;
            if ContentHash::of(&bytes) == hash {
                bytes_waiting += bytes.len();
                waiting.push((hash, bytes));
            }
            if bytes_waiting >= MOVE_BYTES {
                self.move_files(disk, &std::mem::take(&mut waiting))?;
                bytes_waiting = 0;
            }
        }
        self.move_files(disk, &waiting)
    }

    fn move_files(
        &mut self,
        disk: &mut dyn Disk,
        files: &[(ContentHash, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let entries: Vec<_> =
            files.iter().map(|(hash, bytes)| Entry::Payload(hash, bytes)).collect();
        self.append(disk, &entries)?;
        // Should a power loss bring a file back, the next start sees that a pack has it.
        for (hash, _) in files {
            let file = file_path(self.root(), hash);
            disk.remove(&file).map_err(io_error("delete", &file))?;
        }
        Ok(())
    }
}
