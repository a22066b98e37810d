//! Canonical blocks (RFC 9171 section 4.3.2) and the extension blocks that it defines (4.4).
//!
//! `[type, number, flags, CRC type, data]` and the CRC if there is one.

use std::ops::Range;

use super::Limits;
use super::crc::CrcType;
use super::eid::EndpointId;
use super::error::{BundleError, Part};
use super::flags::BlockFlags;
use crate::codec::{CodecError, CodecErrorKind, Reader, Writer};
use crate::time::Span;

const ITEMS: usize = 5;
/// Most hops that a bundle may be allowed (section 4.4.3).
const HOP_LIMIT_MAX: u64 = 255;

/// The type of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockType(u64);

/// A block as it stands in a bundle's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockType,
    /// Its number within the bundle.
    pub number: u64,
    /// What becomes of it where it can't be processed.
    pub flags: BlockFlags,
    /// Its CRC.
    pub crc: CrcType,
    /// Where its data is.
    pub(super) data: Range<usize>,
    /// Where all of it is.
    pub(super) whole: Range<usize>,
}

/// What an extension block of RFC 9171 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// The node that forwarded the bundle (section 4.4.1).
    PreviousNode(EndpointId),
    /// Time since the bundle was made (section 4.4.2).
    BundleAge(Span),
    /// Hops allowed, 1 to 255, and taken (section 4.4.3).
    HopCount {
        /// Hops allowed.
        limit: u8,
        /// Hops taken, at most as many.
        count: u8,
    },
}

/// What stands before a block's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Front {
    pub kind: BlockType,
    pub number: u64,
    pub flags: BlockFlags,
    pub crc: CrcType,
}

impl BlockType {
    /// The payload, always number 1.
    pub const PAYLOAD: Self = Self(1);
    /// Who forwarded the bundle last.
    pub const PREVIOUS_NODE: Self = Self(6);
    /// How old the bundle is.
    pub const BUNDLE_AGE: Self = Self(7);
    /// Hops allowed and taken.
    pub const HOP_COUNT: Self = Self(10);
    /// Block integrity block (RFC 9172).
    pub const INTEGRITY: Self = Self(11);
    /// Block confidentiality block (RFC 9172).
    pub const CONFIDENTIALITY: Self = Self(12);

    /// The type of this code.
    pub const fn from_code(code: u64) -> Self {
        Self(code)
    }

    /// Its code on the wire.
    pub const fn code(self) -> u64 {
        self.0
    }

    /// True if a bundle has at most one of it.
    pub(super) const fn is_single(self) -> bool {
        matches!(self, Self::PAYLOAD | Self::PREVIOUS_NODE | Self::BUNDLE_AGE | Self::HOP_COUNT)
    }
}

impl Front {
    /// Writes what stands before the data of a block.
    pub fn write(&self, writer: &mut Writer) {
        writer.array(ITEMS + self.crc.items()).unsigned(self.kind.0).unsigned(self.number);
        writer.unsigned(self.flags.bits()).unsigned(self.crc.code());
    }

    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, BundleError> {
        let malformed = Part::Frame.malformed();
        let wrong_count = reader.invalid("an array of 5, or 6 with a CRC");
        let items = reader.array(ITEMS + 1).map_err(&malformed)?;
        let kind = BlockType(reader.unsigned(u64::MAX).map_err(&malformed)?);
        let number = reader.unsigned(u64::MAX).map_err(&malformed)?;
        let part = Part::Block(number);
        let flags = BlockFlags::from_bits(reader.unsigned(u64::MAX).map_err(part.malformed())?);
        let crc = CrcType::read(reader, part)?;
        if items != ITEMS + crc.items() {
            return Err(part.malformed()(wrong_count));
        }
        let front = Self { kind, number, flags, crc };
        front.check_number()?;
        Ok(front)
    }

    /// Number 0 is the primary block's, 1 the payload's and no other's.
    pub fn check_number(&self) -> Result<(), BundleError> {
        let is_payload = self.kind == BlockType::PAYLOAD;
        match is_payload == (self.number == 1) && self.number > 0 {
            true => Ok(()),
            false => Err(BundleError::Number { kind: self.kind.0, number: self.number }),
        }
    }

    /// The part that errors name.
    pub const fn part(&self) -> Part {
        Part::Block(self.number)
    }
}

impl Block {
    /// Reads a block and checks its CRC.
    pub(super) fn read(reader: &mut Reader<'_>, limits: &Limits) -> Result<Self, BundleError> {
        let start = reader.position();
        let front = Front::read(reader)?;
        let max = match front.kind {
            BlockType::PAYLOAD => usize::try_from(limits.payload_bytes_max).unwrap_or(usize::MAX),
            _ => limits.block_bytes_max,
        };
        let len = reader.bytes(max).map_err(front.part().malformed())?.len();
        let data = reader.position() - len..reader.position();
        front.crc.check(reader, start, front.part())?;
        let Front { kind, number, flags, crc } = front;
        Ok(Self { kind, number, flags, crc, data, whole: start..reader.position() })
    }

    /// What stands before its data.
    pub(super) const fn front(&self) -> Front {
        Front { kind: self.kind, number: self.number, flags: self.flags, crc: self.crc }
    }

    /// Bytes of its data.
    pub fn data_len(&self) -> u64 {
        self.data.len() as u64
    }
}

impl Extension {
    /// The block's type.
    pub const fn kind(&self) -> BlockType {
        match self {
            Self::PreviousNode(_) => BlockType::PREVIOUS_NODE,
            Self::BundleAge(_) => BlockType::BUNDLE_AGE,
            Self::HopCount { .. } => BlockType::HOP_COUNT,
        }
    }

    /// The block's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match *self {
            Self::PreviousNode(ref node) => node.write(&mut writer),
            Self::BundleAge(age) => _ = writer.unsigned(age.ms()),
            Self::HopCount { limit, count } => {
                writer.array(2).unsigned(limit.into()).unsigned(count.into());
            }
        }
        writer.into_bytes()
    }

    /// What the data of a block say; none for blocks of other types.
    pub fn decode(kind: BlockType, number: u64, data: &[u8]) -> Result<Option<Self>, BundleError> {
        // The data is all there: that it ends too early is not a matter of waiting for more.
        let malformed = |error: CodecError| {
            let kind = match error.kind {
                CodecErrorKind::Truncated => CodecErrorKind::Invalid("data of its type's length"),
                kind => kind,
            };
            Part::Block(number).malformed()(CodecError { kind, ..error })
        };
        let mut reader = Reader::new(data);
        let found = match kind {
            BlockType::PREVIOUS_NODE => {
                Self::PreviousNode(EndpointId::read(&mut reader).map_err(&malformed)?)
            }
            BlockType::BUNDLE_AGE => {
                Self::BundleAge(Span::from_ms(reader.unsigned(u64::MAX).map_err(&malformed)?))
            }
            BlockType::HOP_COUNT => {
                reader.tuple(2).map_err(&malformed)?;
                let limit = reader.unsigned(u64::MAX).map_err(&malformed)?;
                let count = reader.unsigned(u64::MAX).map_err(&malformed)?;
                Self::hops(limit, count)?
            }
            _ => return Ok(None),
        };
        reader.finish().map_err(&malformed)?;
        Ok(Some(found))
    }

    fn hops(limit: u64, count: u64) -> Result<Self, BundleError> {
        let wrong = BundleError::Hops { limit, count };
        if limit == 0 || limit > HOP_LIMIT_MAX || count > limit {
            return Err(wrong);
        }
        match (u8::try_from(limit), u8::try_from(count)) {
            (Ok(limit), Ok(count)) => Ok(Self::HopCount { limit, count }),
            _ => Err(wrong),
        }
    }
}
