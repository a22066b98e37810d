//! Repair: packs without the bytes that are no record.
//!
//! Behind the last record of the newest pack, and between records that one append
//! brought, a power loss leaves torn bytes: they were never acknowledged and go
//! away. What was whole once (the index knows the payload, or the pack is not the
//! newest, which was without a fault when the next one began) is damaged: it is
//! kept aside and reported, like a damaged file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;

use super::disk::{self, Access, Disk};
use super::error::{StoreError, io_error};
use super::pack::Bad;
use super::payload::{Found, pack_path};

/// What was damaged, and where it is kept.
#[derive(Debug, Default)]
pub(super) struct Damage {
    pub payloads: BTreeMap<ContentHash, PathBuf>,
    pub regions: Vec<PathBuf>,
}

/// Takes bad bytes out of packs; `known` are the payloads that were acknowledged, as far as the
/// index remembers. The packs have to be read again.
pub(super) fn repair(
    disk: &mut dyn Disk,
    found: &Found,
    known: &BTreeMap<ContentHash, u64>,
) -> Result<Damage, StoreError> {
    let root = found.area.root();
    let mut damage = Damage::default();
    for (number, bad) in &found.bad {
        let file = pack_path(root, *number);
        let bytes = fs::read(&file).map_err(io_error("read", &file))?;
        let newest = Some(*number) == found.area.newest_pack();
        for bad in bad {
            let was_known = bad.hash.is_some_and(|hash| known.contains_key(&hash));
            let whole = bad.hash.is_some_and(|hash| found.whole.contains_key(&hash));
            if whole || (newest && !was_known) {
                continue;
            }
            let stem = bad.hash.map_or(format!("pack-{number:08}"), |hash| hash.to_string());
            let kept = keep(disk, root, &stem, &bytes[bad.range.clone()])?;
            match bad.hash {
                Some(hash) => drop(damage.payloads.insert(hash, kept)),
                None => damage.regions.push(kept),
            }
        }
        take_out(disk, &file, &bytes, bad)?;
    }
    Ok(damage)
}

fn keep(disk: &mut dyn Disk, root: &Path, stem: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let folder = root.join("aside");
    let aside = disk::free_name(&folder, stem);
    disk.make_dir(&folder)
        .and_then(|()| disk.sync_dir(root))
        .and_then(|()| disk.write(&aside, bytes, Access::Default))
        .and_then(|()| disk.sync_dir(&folder))
        .map_err(io_error("write", &aside))?;
    Ok(aside)
}

fn take_out(disk: &mut dyn Disk, file: &Path, bytes: &[u8], bad: &[Bad]) -> Result<(), StoreError> {
    let done = match bad {
        [end] if end.range.end == bytes.len() => disk.truncate(file, end.range.start as u64),
        _ => {
            let mut good = Vec::with_capacity(bytes.len());
            let mut at = 0;
            for bad in bad {
                good.extend_from_slice(&bytes[at..bad.range.start]);
                at = bad.range.end;
            }
            good.extend_from_slice(&bytes[at..]);
            disk::replace(disk, file, &good, Access::Default)
        }
    };
    done.map_err(io_error("repair", file))
}
