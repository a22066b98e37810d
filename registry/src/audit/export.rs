//! Export: writes an audit file from a log and the payloads behind it.
//!
//! The exporter checks what it writes as far as it is cheap (chain, heads,
//! payload hashes), so that a damaged store is noticed at home. It streams:
//! one payload is in memory at a time.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use longhaul_aggregation::{Epoch, UpdateHeader};
use longhaul_dtn::bundle::{BundleError, BundleHead};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;

use super::file::encode_front;
use super::start::{NewestSeal, newest_seal};
use crate::entry::SignedEntry;
use crate::federation::FederationId;
use crate::log::{LogError, verify_chain};
use crate::manifest::SignedManifest;
use crate::record::Record;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Number of entries, the last one a version.
    pub entries: usize,
    /// Number of entries after the last version, which are not in the file.
    pub entries_left_out: usize,
    /// Number of payloads.
    pub payloads: usize,
    /// Payloads that the lookup did not have; the audit will be incomplete.
    pub missing: Vec<ContentHash>,
    /// Payloads of sealed updates that it did not have; the audit begins with a snapshot.
    pub sealed: usize,
    /// Size of the file.
    pub bytes: u64,
}

/// Why an audit file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log has no version record yet.
    #[error("the log holds no version yet; let the peer run until it has recorded one")]
    NoVersion,
    /// The entries are no log.
    #[error("the log does not verify: {0}")]
    Log(#[from] LogError),
    /// The log is about another federation than the manifest; holds the log's.
    #[error("the log belongs to federation {0}, not to this manifest")]
    ForeignLog(FederationId),
    /// An entry holds a bundle head that does not verify.
    #[error("entry {sequence} holds a bundle that does not verify: {source}")]
    Head {
        /// The entry's sequence number.
        sequence: u64,
        /// What is wrong with it.
        source: BundleError,
    },
    /// The lookup gave other bytes than asked for; holds the name asked for.
    #[error("the payload stored as {0} has another content; the store is damaged")]
    Payload(ContentHash),
    /// Reading a payload or writing the file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the audit file of a log, up to its last version, to `out`.
///
/// `payload` looks a payload up by its content hash; what it does not have is
/// left out and listed in the result.
pub fn export(
    manifest: &SignedManifest,
    entries: &[SignedEntry],
    mut payload: impl FnMut(&ContentHash) -> io::Result<Option<Arc<[u8]>>>,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let kept = kept(manifest, entries).ok_or(ExportError::NoVersion)?;
    check_log(manifest, kept)?;
    let mut exported = write_front(manifest, (kept, entries.len()), true, out)?;
    let mut found = BTreeSet::new();
    for (_, hash) in seals(kept) {
        if payload(&hash)?.is_some() {
            found.insert(hash);
        }
    }
    let newest = newest_seal(kept, |hash| found.contains(hash));
    for (hash, closed) in payload_hashes(manifest, kept, newest)? {
        match payload(&hash)? {
            None if closed => exported.sealed += 1,
            None => exported.missing.push(hash),
            Some(bytes) if ContentHash::of(&bytes) != hash => {
                return Err(ExportError::Payload(hash));
            }
            Some(bytes) => {
                exported.payloads += 1;
                exported.bytes += write_payload(&bytes, out)?;
            }
        }
    }
    Ok(exported)
}

/// The entries that are exported: up to the last version, and in a ceremony, which has no versions of a model, all.
fn kept<'a>(manifest: &SignedManifest, entries: &'a [SignedEntry]) -> Option<&'a [SignedEntry]> {
    match manifest.manifest().is_ceremony() {
        true => Some(entries).filter(|entries| !entries.is_empty()),
        false => through_last_version(entries),
    }
}

/// The same without payloads: signatures, chain, terms and proofs can be checked, by somebody who
/// must not see updates as well; the model cannot be derived.
pub fn export_without_payloads(
    manifest: &SignedManifest,
    entries: &[SignedEntry],
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let kept = kept(manifest, entries).ok_or(ExportError::NoVersion)?;
    check_log(manifest, kept)?;
    payload_hashes(manifest, kept, None)?;
    write_front(manifest, (kept, entries.len()), false, out)
}

/// Writes all but payloads.
fn write_front(
    manifest: &SignedManifest,
    (kept, of): (&[SignedEntry], usize),
    has_payloads: bool,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let front = encode_front(manifest, kept, has_payloads);
    out.write_all(&front)?;
    Ok(Exported {
        entries: kept.len(),
        entries_left_out: of - kept.len(),
        payloads: 0,
        missing: Vec::new(),
        sealed: 0,
        bytes: front.len() as u64,
    })
}

fn through_last_version(entries: &[SignedEntry]) -> Option<&[SignedEntry]> {
    let last = entries.iter().rposition(SignedEntry::is_version)?;
    Some(&entries[..=last])
}

fn check_log(manifest: &SignedManifest, entries: &[SignedEntry]) -> Result<(), ExportError> {
    let first = entries.first().ok_or(ExportError::NoVersion)?;
    let chain = verify_chain(entries, first.entry().author)?;
    match chain.federation() {
        Some(found) if found != manifest.id() => Err(ExportError::ForeignLog(found)),
        _ => Ok(()),
    }
}

/// The snapshots that the entries name, with their places.
fn seals(entries: &[SignedEntry]) -> impl Iterator<Item = (u64, ContentHash)> + '_ {
    (0..).zip(entries).filter_map(|(place, entry)| match entry.record() {
        Record::Seal { snapshot, .. } => Some((place, *snapshot)),
        _ => None,
    })
}

/// The payloads that the entries name, in the order in which they first do, and whether
/// `newest` stands for them.
fn payload_hashes(
    manifest: &SignedManifest,
    entries: &[SignedEntry],
    newest: Option<NewestSeal>,
) -> Result<Vec<(ContentHash, bool)>, ExportError> {
    let limits = manifest.bundle_limits();
    let header_limits = manifest.admission_policy().header_limits();
    let mut seen = BTreeSet::new();
    let mut hashes = Vec::new();
    let closes = |place, epoch| newest.is_some_and(|newest| newest.closes(place, epoch));
    for (place, entry) in (0..).zip(entries) {
        if let Record::Seal { snapshot, .. } = entry.record()
            && seen.insert(*snapshot)
        {
            hashes.push((*snapshot, closes(place, Epoch::FIRST)));
        }
        let keys = match entry.record() {
            Record::Keys { head, .. }
            | Record::Contribution { head, .. }
            | Record::Aggregate { head, .. } => Some(&head[..]),
            _ => None,
        };
        let Some(head) = entry.record().head().or(keys) else { continue };
        let sequence = entry.entry().sequence;
        let head = BundleHead::decode(head, &limits)
            .map_err(|source| ExportError::Head { sequence, source })?;
        if seen.insert(head.payload_hash()) {
            let header = UpdateHeader::decode(head.header(), &header_limits).ok();
            let closed = header.is_some_and(|header| closes(place, header.epoch));
            hashes.push((head.payload_hash(), closed));
        }
    }
    Ok(hashes)
}

fn write_payload(bytes: &[u8], out: &mut impl Write) -> io::Result<u64> {
    let mut writer = Writer::new();
    writer.bytes(bytes);
    let item = writer.into_bytes();
    out.write_all(&item)?;
    Ok(item.len() as u64)
}
