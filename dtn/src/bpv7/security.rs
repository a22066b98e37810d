//! The abstract security block (RFC 9172 section 3.6): the data of an integrity or confidentiality
//! block, whatever its security context.
//!
//! A sequence of items, not an array: `targets, context, flags, source`, parameters if the flags say
//! so, and for each target its results. Parameters and results are `[id, value]`.

use std::collections::BTreeSet;

use super::block::{BlockType, Front};
use super::eid::EndpointId;
use super::error::{BundleError, Part};
use super::flags::BlockFlags;
use crate::codec::{CodecError, CodecErrorKind, Reader, Writer};

/// Most targets, parameters or results of a block.
const ITEMS_MAX: usize = 64;
/// How deep a value may be.
const DEPTH_MAX: usize = 16;
/// BIB-HMAC-SHA2 of RFC 9173.
const HMAC_SHA2: u64 = 1;
/// BCB-AES-GCM of RFC 9173.
const AES_GCM: u64 = 2;
/// The flag that there are parameters.
const HAS_PARAMETERS: u64 = 1;

/// What a security block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityBlock {
    /// Numbers of the blocks it is about: at least one, each once; zero is the primary block.
    pub targets: Vec<u64>,
    /// The security context. Negative ones are for private use among a few and not read here.
    pub context: u64,
    /// Who added it.
    pub source: EndpointId,
    /// Parameters of the context.
    pub parameters: Vec<SecurityValue>,
    /// For each target its results.
    pub results: Vec<Vec<SecurityValue>>,
}

/// A parameter or a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityValue {
    /// What it is, by the context.
    pub id: u64,
    /// Its value: one CBOR item.
    pub value: Vec<u8>,
}

impl SecurityBlock {
    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(self.targets.len());
        self.targets.iter().for_each(|&target| _ = writer.unsigned(target));
        let has_parameters = !self.parameters.is_empty();
        writer.unsigned(self.context).unsigned(u64::from(has_parameters) * HAS_PARAMETERS);
        self.source.write(&mut writer);
        if has_parameters {
            write_values(&self.parameters, &mut writer);
        }
        writer.array(self.results.len());
        self.results.iter().for_each(|results| write_values(results, &mut writer));
        writer.into_bytes()
    }

    /// Reads the data of the security block `number`.
    pub fn decode(number: u64, data: &[u8]) -> Result<Self, BundleError> {
        let mut reader = Reader::new(data);
        let read = |reader: &mut Reader<'_>| {
            let block = Self::read(reader)?;
            reader.clone().finish().map(|()| block)
        };
        read(&mut reader).map_err(|error| {
            let kind = match error.kind {
                CodecErrorKind::Truncated => CodecErrorKind::Invalid("a whole security block"),
                kind => kind,
            };
            Part::Block(number).malformed()(CodecError { kind, ..error })
        })
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let none = reader.invalid("one target or more, each once");
        let count = reader.array(ITEMS_MAX)?;
        let targets =
            (0..count).map(|_| reader.unsigned(u64::MAX)).collect::<Result<Vec<_>, _>>()?;
        let mut sorted = targets.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if targets.is_empty() || sorted.len() < targets.len() {
            return Err(none);
        }
        let context = reader.unsigned(u16::MAX.into())?;
        let has_parameters = reader.unsigned(HAS_PARAMETERS)? == HAS_PARAMETERS;
        let nobody = reader.invalid("a security source, which is somebody");
        let source = EndpointId::read(reader)?;
        if source.is_none() || source.is_local_node() {
            return Err(nobody);
        }
        let empty = reader.invalid("parameters, which the flags promise");
        let parameters = if has_parameters { read_values(reader)? } else { Vec::new() };
        if has_parameters && parameters.is_empty() {
            return Err(empty);
        }
        let uneven = reader.invalid("results for each target");
        if reader.array(ITEMS_MAX)? != targets.len() {
            return Err(uneven);
        }
        let results = targets.iter().map(|_| read_values(reader)).collect::<Result<_, _>>()?;
        Ok(Self { targets, context, source, parameters, results })
    }

    /// Checks the ids and the kinds of values of the contexts of RFC 9173, of which the first
    /// is for integrity and the second for confidentiality (sections 3.3, 3.4, 4.3 and 4.4).
    pub(super) fn check_context(&self, kind: BlockType) -> bool {
        use Shape::{Bytes, Number};
        let of = |parameters: &[Shape], results: &[Shape], least: usize| {
            let each = |it: &Vec<SecurityValue>| it.len() >= least && fits(it, results);
            fits(&self.parameters, parameters) && self.results.iter().all(each)
        };
        match (kind, self.context) {
            (BlockType::INTEGRITY, HMAC_SHA2) => of(&[Number, Bytes, Number], &[Bytes], 1),
            (BlockType::CONFIDENTIALITY, AES_GCM) => {
                // A head of one byte stands before the 8 to 16 of an initialisation vector.
                let is_iv = |it: &SecurityValue| it.id == 1 && (9..=17).contains(&it.value.len());
                self.parameters.iter().any(is_iv)
                    && of(&[Bytes, Number, Bytes, Number], &[Bytes], 0)
            }
            (_, HMAC_SHA2 | AES_GCM) => false,
            _ => true,
        }
    }

    /// Checks the block that begins with `front` against what else the bundle has: what `kind_of`
    /// says of a number, and whether it `is_encrypted` (RFC 9172 sections 3.7 to 3.9).
    pub(super) fn check(
        &self,
        front: &Front,
        kind_of: impl Fn(u64) -> Option<BlockType>,
        is_encrypted: impl Fn(u64) -> bool,
    ) -> Result<(), BundleError> {
        let kind = front.kind;
        for &target in &self.targets {
            let found = if target == 0 { None } else { kind_of(target) };
            let refused = match (kind, found) {
                (BlockType::CONFIDENTIALITY, None) if target == 0 => Some("the primary block"),
                (_, None) if target > 0 => Some("a block that is not there"),
                (BlockType::INTEGRITY, Some(BlockType::INTEGRITY)) => Some("an integrity block"),
                (_, Some(BlockType::CONFIDENTIALITY)) => Some("a confidentiality block"),
                (BlockType::INTEGRITY, _) if is_encrypted(target) => {
                    Some("which is encrypted, but is not encrypted itself")
                }
                _ => None,
            };
            if let Some(what) = refused {
                return Err(BundleError::Target { kind: kind.code(), target, what });
            }
        }
        let encrypts = kind == BlockType::CONFIDENTIALITY;
        if encrypts && front.flags.has(BlockFlags::DISCARD_UNPROCESSED) {
            let why = "a confidentiality block that may be discarded";
            return Err(BundleError::BlockFlags { number: front.number, why });
        }
        if encrypts && self.targets.contains(&1) && !front.flags.has(BlockFlags::REPLICATE) {
            let why = "encrypts the payload and is not in every fragment";
            return Err(BundleError::BlockFlags { number: front.number, why });
        }
        Ok(())
    }
}

/// What a value of a known context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Number,
    Bytes,
}

/// True if every value has an id from one on, and the shape at its place.
fn fits(values: &[SecurityValue], shapes: &[Shape]) -> bool {
    let fits = |it: &SecurityValue| {
        let place = it.id.checked_sub(1).and_then(|it| usize::try_from(it).ok());
        let mut reader = Reader::new(&it.value);
        match place.and_then(|place| shapes.get(place)) {
            Some(Shape::Number) => reader.unsigned(u64::MAX).is_ok() && reader.is_at_end(),
            Some(Shape::Bytes) => reader.bytes(usize::MAX).is_ok() && reader.is_at_end(),
            None => false,
        }
    };
    values.iter().all(fits)
}

fn write_values(values: &[SecurityValue], writer: &mut Writer) {
    writer.array(values.len());
    for it in values {
        writer.array(2).unsigned(it.id).raw(&it.value);
    }
}

fn read_values(reader: &mut Reader<'_>) -> Result<Vec<SecurityValue>, CodecError> {
    let value = |reader: &mut Reader<'_>| {
        reader.tuple(2)?;
        let id = reader.unsigned(u64::MAX)?;
        Ok(SecurityValue { id, value: reader.any(DEPTH_MAX)?.to_vec() })
    };
    let twice = reader.invalid("each id once");
    let count = reader.array(ITEMS_MAX)?;
    let found: Vec<SecurityValue> = (0..count).map(|_| value(reader)).collect::<Result<_, _>>()?;
    let ids: BTreeSet<u64> = found.iter().map(|it| it.id).collect();
    if ids.len() == found.len() { Ok(found) } else { Err(twice) }
}
