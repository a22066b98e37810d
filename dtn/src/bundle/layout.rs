//! Layout: the one accepted order of a bundle's blocks (RFC 9171 section 4.1).
//!
//! Reads the array of blocks, checks each CRC and keeps where each part stands;
//! what the parts mean is checked by the head.

use std::ops::Range;

use super::canonical::read_block;
use super::confidential::{CONFIDENTIAL_HEADER_BYTES, CONFIDENTIALITY_BYTES_MAX, TAG_BYTES};
use super::error::{BlockKind, BundleError, LAYOUT};
use super::integrity::INTEGRITY_BYTES_MAX;
use super::primary::Primary;
use super::security::SECURITY_BYTES_MAX;
use super::{BundleLimits, HEADER_BYTES_MAX};
use crate::codec::Reader;

/// `[255, 255]` takes 5 bytes, an age 9.
const SMALL_DATA_BYTES_MAX: usize = 9;

/// Which form of a bundle is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Every block but the payload.
    Head,
    /// The whole RFC 9171 bundle.
    Whole,
}

/// The blocks of a bundle as they stand in the bytes; CRCs are checked.
pub(super) struct Blocks<'a> {
    pub primary: Primary,
    pub primary_bytes: &'a [u8],
    /// The blocks that never change, up to and including the security block, or the confidentiality
    /// block where there is one.
    pub sealed: &'a [u8],
    /// Where in `sealed` the update header is.
    pub header: Range<usize>,
    /// Where in `sealed` the proof is, if there is one.
    pub proof: Option<Range<usize>>,
    /// The data of the blocks of [`LAYOUT`]; the payload is empty in a head.
    pub data: [&'a [u8]; LAYOUT.len()],
    pub last_data_end: usize,
    pub has_confidentiality: bool,
}

/// The data of the hop count and age blocks of a head that begins with the blocks
/// `sealed`; none if the bytes are not such a head.
pub(super) fn behind_sealed<'a>(bytes: &'a [u8], sealed: &[u8]) -> Option<[&'a [u8]; 2]> {
    let mut reader = Reader::new(bytes);
    reader.open_indefinite().ok()?;
    let rest = reader.rest().strip_prefix(sealed)?;
    let mut reader = Reader::new(rest);
    let data_max = |_| SMALL_DATA_BYTES_MAX;
    let mut data = [&[][..]; 2];
    for (slot, kind) in data.iter_mut().zip([BlockKind::HopCount, BlockKind::BundleAge]) {
        let block = read_block(&mut reader, &[], data_max).ok()?;
        *slot = (block.kind == kind).then_some(block.data)?;
    }
    let ends = reader.at_break().ok()? && reader.finish().is_ok();
    ends.then_some(data)
}

impl<'a> Blocks<'a> {
    /// Reads the blocks of `form` to the last byte.
    pub fn read(bytes: &'a [u8], form: Form, limits: &BundleLimits) -> Result<Self, BundleError> {
        let mut reader = Reader::new(bytes);
        reader.open_indefinite().map_err(BundleError::Frame)?;
        let primary_start = reader.position();
        let primary = Primary::read(&mut reader)?;
        let primary_bytes = reader.since(primary_start);
        let data_max = |kind| match kind {
            BlockKind::UpdateHeader => {
                (limits.header_bytes_max + CONFIDENTIAL_HEADER_BYTES).min(HEADER_BYTES_MAX)
            }
            BlockKind::Proof => limits.proof_bytes_max.min(HEADER_BYTES_MAX),
            BlockKind::Integrity => INTEGRITY_BYTES_MAX,
            BlockKind::Security => SECURITY_BYTES_MAX,
            BlockKind::Confidentiality => CONFIDENTIALITY_BYTES_MAX,
            BlockKind::Payload => usize::try_from(limits.payload_bytes_max)
                .map_or(usize::MAX, |max| max.saturating_add(TAG_BYTES)),
            _ => SMALL_DATA_BYTES_MAX,
        };
        let mut blocks = Self {
            primary,
            primary_bytes,
            sealed: &[],
            header: 0..0,
            proof: None,
            data: Default::default(),
            last_data_end: 0,
            has_confidentiality: false,
        };
        let count = LAYOUT.len() - usize::from(form == Form::Head);
        let mut seen = vec![BlockKind::Primary.number()];
        for (expected, slot) in LAYOUT.into_iter().zip(&mut blocks.data).take(count) {
            if expected.is_optional() && !next_is(&reader, expected) {
                continue;
            }
            if reader.at_break().map_err(BundleError::Frame)? {
                return Err(BundleError::MissingBlock(expected));
            }
            let block = read_block(&mut reader, &seen, data_max)?;
            if block.kind != expected {
                return Err(BundleError::BlockOrder { expected, found: block.kind });
            }
            seen.push(expected.number());
            *slot = block.data;
            blocks.last_data_end = block.data_end;
            let end = block.data_end - primary_start;
            let place = end - block.data.len()..end;
            match expected {
                BlockKind::Confidentiality => {
                    blocks.has_confidentiality = true;
                    blocks.sealed = reader.since(primary_start);
                }
                BlockKind::UpdateHeader => blocks.header = place,
                BlockKind::Proof => blocks.proof = Some(place),
                BlockKind::Security => blocks.sealed = reader.since(primary_start),
                _ => {}
            }
        }
        if !reader.at_break().map_err(BundleError::Frame)? {
            let extra = read_block(&mut reader, &seen, data_max);
            return Err(extra.err().unwrap_or(BundleError::TooManyBlocks));
        }
        reader.finish().map_err(BundleError::Frame)?;
        Ok(blocks)
    }
}

/// True if what comes next begins as a block of that kind does.
fn next_is(reader: &Reader<'_>, kind: BlockKind) -> bool {
    let mut ahead = reader.clone();
    ahead.tuple(6).is_ok() && ahead.unsigned(u64::MAX) == Ok(kind.type_code())
}
