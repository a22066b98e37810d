//! Load: from the files back to what the peer knew, and what was wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longhaul_dtn::hash::ContentHash;
use longhaul_registry::SignedManifest;

use super::disk::Disk;
use super::error::{StoreError, io_error};
use super::index::Index;
use super::{key, log, payload, read_manifest};
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
        torn.chain(damaged).chain(missing)
    }
}

/// Reads everything and puts right what can be.
pub(super) fn load(
    disk: &mut dyn Disk,
    dir: &Path,
    index: &mut Index,
) -> Result<Loaded, StoreError> {
    let manifest = read_manifest(dir)?;
    let log = log::read(dir, key::load(dir)?.peer_id())?;
    let mut report = LoadReport::default();
    let (found, known) = (log.entries.len() as u64, index.entries());
    if found < known {
        return Err(StoreError::LogShort { path: log::path(dir), found, known });
    }
    if !log.torn.is_empty() {
        report.torn = Some(log::cut_torn(disk, dir, &log)?);
    }
    let payloads = payload::read(dir)?;
    for (hash, file) in &payloads.damaged {
        let kept = payload::set_aside(disk, dir, hash, file)?;
        report.damaged.insert(*hash, kept);
    }
    for part in &payloads.parts {
        disk.remove(part).map_err(io_error("remove", part))?;
    }
    let whole = payloads.whole;
    let known = index.payloads().into_keys();
    report.missing = known
        .filter(|hash| !whole.contains_key(hash) && !report.damaged.contains_key(hash))
        .collect();
    index.rebuild(&whole.iter().map(|(hash, bytes)| (*hash, bytes.len() as u64)).collect());
    let torn = report.torn.is_some();
    let restored = Restored { entries: log.entries, payloads: whole, torn };
    Ok(Loaded { manifest, restored, report })
}

/// Reads everything and changes nothing.
pub(super) fn read(dir: &Path) -> Result<Snapshot, StoreError> {
    // The key first: its absence says that there is no peer here at all.
    let author = key::load(dir)?.peer_id();
    let manifest = read_manifest(dir)?;
    let entries = log::read(dir, author)?.entries;
    let payloads = payload::read(dir)?.whole;
    Ok(Snapshot { manifest, restored: Restored { entries, payloads, torn: false } })
}
