//! Fragmentation and reassembly (RFC 9171 sections 5.8 and 5.9).
//!
//! Every fragment has its own primary block, with the offset of its payload and the length of the
//! whole. Blocks that say so, and the age of a bundle whose source has no clock, stand in all; the
//! others in the first alone.

use std::collections::BTreeMap;

use super::Limits;
use super::block::BlockType;
use super::bundle::{Bundle, Draft, NewBlock};
use super::error::FragmentError;
use super::flags::{BlockFlags, BundleFlags};
use super::primary::{BundleKey, Fragment};

/// Most pieces that a payload is put together from.
const PIECES_MAX: usize = 16 * 1024;

/// Cuts a bundle into such of at most `piece_bytes_max` bytes of payload each; one that is no longer
/// is given back whole.
pub fn fragments(
    bundle: &Bundle<'_>,
    piece_bytes_max: usize,
) -> Result<Vec<Vec<u8>>, FragmentError> {
    let (primary, payload) = (bundle.primary(), bundle.payload());
    if piece_bytes_max == 0 {
        return Err(FragmentError::Empty);
    }
    if payload.len() <= piece_bytes_max {
        return Ok(vec![bundle.to_draft().encode(payload)?]);
    }
    if primary.flags.has(BundleFlags::MUST_NOT_FRAGMENT) {
        return Err(FragmentError::Forbidden);
    }
    let whole = Fragment { offset: 0, total: payload.len() as u64 };
    let Fragment { offset, total } = primary.fragment.unwrap_or(whole);
    let first = bundle.to_draft();
    let is_in_all = |block: &NewBlock| {
        block.flags.has(BlockFlags::REPLICATE) || block.kind == BlockType::BUNDLE_AGE
    };
    let mut others = first.clone();
    others.blocks.retain(is_in_all);
    let mut found = Vec::new();
    let mut at = offset;
    for piece in payload.chunks(piece_bytes_max) {
        let draft = if at == offset { &first } else { &others };
        let fragment = Some(Fragment { offset: at, total });
        let primary = super::PrimaryBlock { fragment, ..draft.primary.clone() };
        found.push(Draft { primary, ..draft.clone() }.encode(piece)?);
        at += piece.len() as u64;
    }
    Ok(found)
}

/// A payload that is put together from fragments, in any order, overlapping or not.
///
/// Memory: the bytes received, and some 60 for each of at most 16,384 pieces; the length
/// that fragments claim for the whole is held against the limit and never allocated.
#[derive(Debug)]
pub struct Reassembly {
    /// The key of all of them, as that of the whole.
    key: BundleKey,
    total: u64,
    /// The parts of the fragment that begins at zero.
    first: Option<Draft>,
    /// Bytes by offset; pieces do not overlap.
    pieces: BTreeMap<u64, Vec<u8>>,
    held: u64,
}

impl Reassembly {
    /// Begins with a fragment.
    pub fn of(bundle: &Bundle<'_>, limits: &Limits) -> Result<Self, FragmentError> {
        let total = bundle.primary().fragment.ok_or(FragmentError::NoFragment)?.total;
        if total > limits.payload_bytes_max {
            return Err(FragmentError::TooLong(total, limits.payload_bytes_max));
        }
        let (key, first, pieces) = (whole_key(bundle), None, BTreeMap::new());
        let mut reassembly = Self { key, total, first, pieces, held: 0 };
        reassembly.add(bundle)?;
        Ok(reassembly)
    }

    /// The key of the whole.
    pub const fn key(&self) -> &BundleKey {
        &self.key
    }

    /// True once every byte is there.
    pub fn is_complete(&self) -> bool {
        self.held == self.total && self.first.is_some()
    }

    /// Adds a fragment; nothing changes where it is refused. Where fragments overlap they have to
    /// agree.
    pub fn add(&mut self, bundle: &Bundle<'_>) -> Result<(), FragmentError> {
        let Fragment { offset, total } =
            bundle.primary().fragment.ok_or(FragmentError::NoFragment)?;
        if whole_key(bundle) != self.key || total != self.total {
            return Err(FragmentError::Foreign);
        }
        let payload = bundle.payload();
        let gaps = self.gaps(offset, payload)?;
        if self.pieces.len() + gaps.len() > PIECES_MAX {
            return Err(FragmentError::TooManyPieces(PIECES_MAX));
        }
        for (from, to) in gaps {
            let piece = payload[from..to].to_vec();
            self.held += piece.len() as u64;
            self.pieces.insert(offset + from as u64, piece);
        }
        if offset == 0 && self.first.is_none() {
            self.first = Some(bundle.to_draft());
        }
        Ok(())
    }

    /// Which parts of a payload at `offset` are new; the others have to be as they are here.
    fn gaps(&self, offset: u64, payload: &[u8]) -> Result<Vec<(usize, usize)>, FragmentError> {
        // The whole was checked against the limit, so places in it fit.
        let within = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
        let end = offset + payload.len() as u64;
        let mut at = offset;
        let mut gaps = Vec::new();
        let before = self.pieces.range(..=offset).next_back();
        let behind = self.pieces.range(offset + 1..end.max(offset + 1));
        for (&from, piece) in before.into_iter().chain(behind) {
            let to = from + piece.len() as u64;
            let (left, right) = (from.max(offset), to.min(end));
            if left >= right {
                continue;
            }
            let here = &payload[within(left)..within(right)];
            let there = piece.iter().skip(usize::try_from(left - from).unwrap_or(usize::MAX));
            if let Some(differs) = here.iter().zip(there).position(|(one, other)| one != other) {
                return Err(FragmentError::Differ(left + differs as u64));
            }
            if at < left {
                gaps.push((within(at), within(left)));
            }
            at = right;
        }
        if at < end {
            gaps.push((within(at), payload.len()));
        }
        Ok(gaps)
    }

    /// The whole bundle; none until it is complete.
    pub fn finish(&self) -> Option<Result<Vec<u8>, FragmentError>> {
        let first = self.first.as_ref().filter(|_| self.held == self.total)?;
        let payload: Vec<u8> = self.pieces.values().flatten().copied().collect();
        let flags = first.primary.flags.without(BundleFlags::FRAGMENT);
        let primary = super::PrimaryBlock { fragment: None, flags, ..first.primary.clone() };
        Some(Draft { primary, ..first.clone() }.encode(&payload).map_err(FragmentError::Bundle))
    }
}

fn whole_key(bundle: &Bundle<'_>) -> BundleKey {
    BundleKey { fragment: None, ..bundle.key() }
}
