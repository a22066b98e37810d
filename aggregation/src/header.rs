//! Update header: what an author signs about its update, beside the payload.
//!
//! The header names the federation, the slot's epoch, the author's previous
//! slot (so that nobody can backfill an earlier epoch unnoticed), the base it
//! trained from, and the payload's hash. The author is not in it: the bundle's
//! signature says who it is. The base and the vouch bit are claims: updates are
//! parted into cohorts by what they say, and nobody believes more than that.
//!
//! Bytes: a CBOR array `[1, federation, epoch, null | [previous epoch,
//! previous header hash], base model, summary, vouch, payload hash, samples,
//! steps]`; `1` is the version of the format.

use std::fmt;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use crate::parameters::ModelId;
use crate::slot::Epoch;
use crate::summary::{BaseSummary, SummaryError};

const HEADER_CONTEXT: &str = "longhaul 2026 update header v1";
const DIGEST_CONTEXT: &str = "longhaul 2026 update header and digest v1";
const VERSION: u64 = 1;
const FIELDS: usize = 10;

/// The name of a header: a hash over its bytes as received.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderHash(ContentHash);

/// The author's slot before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Previous {
    /// Its epoch, earlier than the header's.
    pub epoch: Epoch,
    /// The header in it.
    pub header: HeaderHash,
}

/// What the author says it trained from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseClaim {
    /// The shared model it held.
    pub model: ModelId,
    /// The slots that this model knew.
    pub summary: BaseSummary,
}

/// What an author signs about its update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateHeader {
    /// The federation the update is for.
    pub federation: ContentHash,
    /// The epoch of the slot.
    pub epoch: Epoch,
    /// The author's slot before; none for its first.
    pub previous: Option<Previous>,
    /// What the author trained from.
    pub base: BaseClaim,
    /// The author's held-out loss says that the base is good.
    pub vouch: bool,
    /// The content hash of the payload.
    pub payload: ContentHash,
    /// How many samples the author trains on.
    pub samples: u32,
    /// How many local steps the update took.
    pub steps: u32,
}

/// The limits a header is read with; they follow from the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Members of the federation.
    pub members: usize,
    /// Epochs that a base summary looks back.
    pub summary_window: u32,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are not the deterministic CBOR of a header.
    #[error("not a well-formed header: {0}")]
    Malformed(#[from] CodecError),
    /// The base summary does not fit the federation.
    #[error(transparent)]
    Summary(SummaryError),
}

impl UpdateHeader {
    /// The bytes to sign and to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(FIELDS).unsigned(VERSION).bytes(self.federation.as_bytes());
        writer.unsigned(u64::from(self.epoch.get()));
        match &self.previous {
            None => writer.null(),
            Some(previous) => writer
                .array(2)
                .unsigned(u64::from(previous.epoch.get()))
                .bytes(previous.header.as_hash().as_bytes()),
        };
        writer.bytes(self.base.model.as_hash().as_bytes());
        self.base.summary.encode(&mut writer);
        writer.boolean(self.vouch).bytes(self.payload.as_bytes());
        writer.unsigned(u64::from(self.samples)).unsigned(u64::from(self.steps));
        writer.into_bytes()
    }

    /// Reads a header, strictly and within `limits`.
    pub fn decode(bytes: &[u8], limits: &HeaderLimits) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        let federation = read_federation(&mut reader)?;
        let epoch = read_epoch(&mut reader)?;
        let previous = read_previous(&mut reader)?;
        let model = ModelId::from_hash(read_hash(&mut reader)?);
        let rows = BaseSummary::rows_for(epoch, limits.summary_window);
        let summary = BaseSummary::decode(&mut reader, rows, limits.members)?;
        let header = Self {
            federation,
            epoch,
            previous,
            base: BaseClaim { model, summary },
            vouch: reader.boolean()?,
            payload: read_hash(&mut reader)?,
            samples: read_u32(&mut reader)?,
            steps: read_u32(&mut reader)?,
        };
        reader.finish()?;
        Ok(header)
    }

    /// The federation that the bytes name, whatever follows; so that a foreign
    /// header is called foreign and not malformed by our limits.
    pub fn claimed_federation(bytes: &[u8]) -> Result<ContentHash, HeaderError> {
        Ok(read_federation(&mut Reader::new(bytes))?)
    }

    /// The name of this header.
    pub fn hash(&self) -> HeaderHash {
        HeaderHash::of(&self.encode())
    }
}

impl HeaderLimits {
    /// Most bytes that a header within these limits can have.
    pub fn bytes_max(&self) -> usize {
        /// Heads, hashes, and numbers of all fields but the summary's rows.
        const FIXED: usize = 192;
        /// The head of a row. A gap of g members takes at most g + 1 bytes, so
        /// the gaps of a row take at most one byte for each member.
        const ROW_HEAD: usize = 3;
        let rows = usize::try_from(self.summary_window).unwrap_or(usize::MAX);
        self.members.saturating_add(ROW_HEAD).saturating_mul(rows).saturating_add(FIXED)
    }
}

impl HeaderHash {
    /// The name of the header with these bytes: blake3 derive-key under
    /// `"longhaul 2026 update header v1"`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(ContentHash::derive(HEADER_CONTEXT, bytes))
    }

    /// The name of this header together with something else that its author signed with it, which has this digest: blake3
    /// derive-key under `"longhaul 2026 update header and digest v1"`. Where a sum can stand in for an update, a header alone does
    /// not say which update that is.
    pub fn with(self, digest: &ContentHash) -> Self {
        let bytes = [&self.0.as_bytes()[..], digest.as_bytes()].concat();
        Self(ContentHash::derive(DIGEST_CONTEXT, &bytes))
    }

    /// Takes a hash that is a header's already, as read from the wire.
    pub const fn from_hash(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash, for the wire.
    pub const fn as_hash(&self) -> &ContentHash {
        &self.0
    }
}

impl From<SummaryError> for HeaderError {
    fn from(error: SummaryError) -> Self {
        match error {
            SummaryError::Malformed(error) => Self::Malformed(error),
            error => Self::Summary(error),
        }
    }
}

impl fmt::Display for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderHash({})", self.0.short())
    }
}

fn read_federation(reader: &mut Reader<'_>) -> Result<ContentHash, CodecError> {
    reader.tuple(FIELDS)?;
    let at = reader.invalid("version 1 of the update header");
    if reader.unsigned(u64::MAX)? != VERSION {
        return Err(at);
    }
    read_hash(reader)
}

fn read_previous(reader: &mut Reader<'_>) -> Result<Option<Previous>, CodecError> {
    if reader.null()? {
        return Ok(None);
    }
    reader.tuple(2)?;
    let epoch = read_epoch(reader)?;
    Ok(Some(Previous { epoch, header: HeaderHash::from_hash(read_hash(reader)?) }))
}

fn read_epoch(reader: &mut Reader<'_>) -> Result<Epoch, CodecError> {
    read_u32(reader).map(Epoch::new)
}

fn read_hash(reader: &mut Reader<'_>) -> Result<ContentHash, CodecError> {
    reader.fixed().map(ContentHash::from_bytes)
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let at = reader.invalid("a 32-bit number");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| at)
}
