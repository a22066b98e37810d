//! Load: from the files back to what the peer knew, and what was wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::SignedManifest;

use super::disk::Disk;
use super::error::{StoreError, io_error};
use super::index::Index;
use super::payload::{self, Area, Found};
use super::repair::{self, Damage};
use super::vouch::Vouch;
use super::{key, log, read_manifest};
use crate::peer::Restored;

/// What a data directory holds, read while another process may use it.
#[derive(Debug)]
pub struct Snapshot {
    /// The federation's manifest, verified.
    pub manifest: SignedManifest,
    /// The log and the payloads, verified.
    pub restored: Restored,
}

/// What the data directory held at the start.
#[derive(Debug)]
pub struct Loaded {
    /// The federation's manifest, verified.
    pub manifest: SignedManifest,
    /// The log and the payloads, verified.
    pub restored: Restored,
    /// What was not as it should be.
    pub report: LoadReport,
}

/// What was not as it should be in a data directory, and was put right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Where the end of the log is kept that a power loss cut short.
    pub torn: Option<PathBuf>,
    /// Damaged payload files and where they are kept. Their updates are not
    /// held any more and will be fetched again.
    pub damaged: BTreeMap<ContentHash, PathBuf>,
    /// Bytes of packs that are no payload any more, and where they are kept.
    pub regions: Vec<PathBuf>,
    /// Payloads that were stored once and are gone. Their updates are not held
    /// any more and will be fetched again.
    pub missing: Vec<ContentHash>,
}

impl LoadReport {
    /// The report for people, one line per finding.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let torn = self.torn.iter().map(|kept| {
            let kept = kept.display();
            format!("the log ended inside an entry, as a power loss leaves it; the remains are in {kept}. If the file was shortened in another way, restore it from a backup first")
        });
        let damaged = self.damaged.iter().map(|(hash, kept)| {
            let kept = kept.display();
            format!("payload {hash} was damaged; it is kept as {kept} and will be fetched again")
        });
        let missing = self
            .missing
            .iter()
            .map(|hash| format!("payload {hash} is missing and will be fetched again"));
        let regions = self.regions.iter().map(|kept| {
            let kept = kept.display();
            format!("a part of a pack of payloads was damaged; it is kept as {kept}")
        });
        torn.chain(damaged).chain(regions).chain(missing)
    }
}

/// What a running store knows of its files.
#[derive(Debug)]
pub(super) struct Opened {
    pub loaded: Loaded,
    pub area: Area,
    pub vouch: Vouch,
}

/// Reads everything, puts right what can be, and makes durable what was found.
pub(super) fn load(
    disk: &mut dyn Disk,
    dir: &Path,
    index: &mut Index,
) -> Result<Opened, StoreError> {
    let manifest = read_manifest(dir)?;
    let log = log::read(dir, &key::load(dir)?, index.tag())?;
    let mut report = LoadReport::default();
    let (found, known) = (log.entries.len() as u64, index.entries());
    if found < known {
        return Err(StoreError::LogShort { path: log::path(dir), found, known });
    }
    if !log.torn.is_empty() {
        report.torn = Some(log::cut_torn(disk, dir, &log)?);
    }
    log::settle(disk, dir, &log)?;
    let known = index.payloads();
    let (found, damage) = open_area(disk, dir, &known)?;
    report.damaged = damage.payloads;
    report.regions = damage.regions;
    let whole = found.whole;
    report.missing = known
        .into_keys()
        .filter(|hash| !whole.contains_key(hash) && !report.damaged.contains_key(hash))
        .collect();
    index.rebuild(&whole.iter().map(|(hash, bytes)| (*hash, bytes.len() as u64)).collect());
    let torn = report.torn.is_some();
    let restored = Restored { entries: log.entries, payloads: whole, torn };
    let loaded = Loaded { manifest, restored, report };
    Ok(Opened { loaded, area: found.area, vouch: log.vouch })
}

/// Reads the payloads; takes out what is damaged or was left over, and makes the rest durable.
pub(super) fn open_area(
    disk: &mut dyn Disk,
    dir: &Path,
    known: &BTreeMap<ContentHash, u64>,
) -> Result<(Found, Damage), StoreError> {
    let mut found = payload::read(dir)?;
    let mut damage = Damage::default();
    if !found.bad.is_empty() {
        damage = repair::repair(disk, &found, known)?;
        found = payload::read(dir)?;
    }
    for (hash, file) in &found.damaged {
        let kept = payload::set_aside(disk, found.area.root(), hash, file)?;
        damage.payloads.insert(*hash, kept);
    }
    for file in &found.leftovers {
        disk.remove(file).map_err(io_error("remove", file))?;
    }
    found.area.settle(disk, known)?;
    Ok((found, damage))
}

/// Reads everything and changes nothing.
pub(super) fn read(dir: &Path) -> Result<Snapshot, StoreError> {
    // The key first: its absence says that there is no peer here at all.
    let key = key::load(dir)?;
    let manifest = read_manifest(dir)?;
    let entries = log::read(dir, &key, None)?.entries;
    let payloads = payload::read(dir)?.whole;
    Ok(Snapshot { manifest, restored: Restored { entries, payloads, torn: false } })
}
