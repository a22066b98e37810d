//! The audit file: what stands where.
//!
//! A sequence of deterministic CBOR items (RFC 8742): the text
//! `longhaul-audit`, the version 1, the signed manifest as a byte string, an
//! array of the log entries as byte strings, and then each payload as a byte
//! string, up to the end of the file. Payloads stand once each, in the order in
//! which the log first names them, so that equal contents make equal files.
//! There is no outer checksum: the contents vouch for themselves.
//!
//! A file of version 2 was exported without payloads, and ends after the entries.

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::Detection;
use crate::entry::{ENTRY_BYTES_MAX, EntryError, SignedEntry};
use crate::log::LOG_ENTRIES_MAX;
use crate::manifest::{MANIFEST_BYTES_MAX, ManifestError, SignedManifest};

const MAGIC: &str = "longhaul-audit";
const VERSION: u64 = 1;
const VERSION_WITHOUT_PAYLOADS: u64 = 2;

/// An audit file whose manifest and entries carry good signatures. Whether
/// they fit together is what [`super::verify`] finds out.
#[derive(Debug, Clone)]
pub struct AuditFile<'a> {
    manifest: SignedManifest,
    entries: Vec<SignedEntry>,
    has_payloads: bool,
    payloads: Vec<Payload<'a>>,
}

/// A payload and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a> {
    pub hash: ContentHash,
    pub bytes: &'a [u8],
}

/// Why bytes are not an audit file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file does not begin as an audit file does.
    #[error("this is no audit file; make one with `longhaul export`")]
    Magic,
    /// The file is of another version; holds it.
    #[error("this is an audit file of version {0}, this program reads versions 1 and 2")]
    Version(u64),
    /// The file is not laid out as an audit file.
    #[error("the audit file is malformed {0}")]
    Malformed(#[from] CodecError),
    /// The manifest does not hold.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An entry does not hold.
    #[error("entry {place}: {source}")]
    Entry {
        /// Its place in the file, from 0.
        place: usize,
        /// What is wrong with it.
        source: EntryError,
    },
}

impl FileError {
    /// What found the problem.
    pub const fn detection(&self) -> Detection {
        match self {
            Self::Manifest(ManifestError::Signature(_))
            | Self::Entry { source: EntryError::Signature, .. } => Detection::Signature,
            _ => Detection::Format,
        }
    }
}

impl<'a> AuditFile<'a> {
    /// Reads a file strictly; checks the signatures of manifest and entries.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileError> {
        let mut reader = Reader::new(bytes);
        match reader.text(MAGIC.len()) {
            Ok(MAGIC) => {}
            _ => return Err(FileError::Magic),
        }
        let has_payloads = match reader.unsigned(u64::MAX)? {
            VERSION => true,
            VERSION_WITHOUT_PAYLOADS => false,
            other => return Err(FileError::Version(other)),
        };
        let manifest = SignedManifest::decode(reader.bytes(MANIFEST_BYTES_MAX)?)?;
        let entries = read_entries(&mut reader)?;
        let payload_bytes_max = manifest.bundle_limits().travelling_bytes_max();
        let payload_bytes_max = usize::try_from(payload_bytes_max).unwrap_or(usize::MAX);
        let mut payloads = Vec::new();
        while has_payloads && !reader.is_at_end() {
            let bytes = reader.bytes(payload_bytes_max)?;
            payloads.push(Payload { hash: ContentHash::of(bytes), bytes });
        }
        reader.finish()?;
        Ok(Self { manifest, entries, has_payloads, payloads })
    }

    /// The manifest.
    pub const fn manifest(&self) -> &SignedManifest {
        &self.manifest
    }

    /// The exporter's log, in the order of the file.
    pub fn entries(&self) -> &[SignedEntry] {
        &self.entries
    }

    /// False for a file that was exported without payloads.
    pub const fn has_payloads(&self) -> bool {
        self.has_payloads
    }

    /// Number of payloads.
    pub const fn payload_count(&self) -> usize {
        self.payloads.len()
    }

    pub(super) fn payloads(&self) -> &[Payload<'a>] {
        &self.payloads
    }
}

/// The part of a file in front of its payloads; all of it where it has none.
pub(super) fn encode_front(
    manifest: &SignedManifest,
    entries: &[SignedEntry],
    has_payloads: bool,
) -> Vec<u8> {
    let version = if has_payloads { VERSION } else { VERSION_WITHOUT_PAYLOADS };
    let mut writer = Writer::new();
    writer.text(MAGIC).unsigned(version).bytes(manifest.as_bytes());
    writer.array(entries.len());
    for entry in entries {
        writer.bytes(entry.as_bytes());
    }
    writer.into_bytes()
}

fn read_entries(reader: &mut Reader<'_>) -> Result<Vec<SignedEntry>, FileError> {
    let count = reader.array(usize::try_from(LOG_ENTRIES_MAX).unwrap_or(usize::MAX))?;
    let mut entries = Vec::new();
    for place in 0..count {
        let bytes = reader.bytes(ENTRY_BYTES_MAX)?;
        let entry = SignedEntry::decode(bytes);
        entries.push(entry.map_err(|source| FileError::Entry { place, source })?);
    }
    Ok(entries)
}
