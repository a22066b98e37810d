//! A whole bundle: read from bytes that it borrows, or made from parts.

use std::collections::{BTreeMap, BTreeSet};

use super::Limits;
use super::block::{Block, BlockType, Extension, Front};
use super::crc::CrcType;
use super::error::{BundleError, Part};
use super::flags::{BlockFlags, BundleFlags};
use super::primary::{BundleKey, PrimaryBlock};
use super::security::SecurityBlock;
use crate::codec::{Reader, Writer};
use crate::time::{Span, Timestamp};

/// A bundle in its bytes. All that [`BundleError`] names was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle<'a> {
    bytes: &'a [u8],
    primary: PrimaryBlock,
    primary_end: usize,
    /// The blocks behind the primary one; the payload is the last.
    blocks: Vec<Block>,
}

/// What a bundle is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The primary block.
    pub primary: PrimaryBlock,
    /// The blocks between it and the payload.
    pub blocks: Vec<NewBlock>,
    /// Processing flags of the payload.
    pub payload_flags: BlockFlags,
    /// The payload's CRC.
    pub payload_crc: CrcType,
}

/// A block to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// What it is.
    pub kind: BlockType,
    /// Its number, from 2.
    pub number: u64,
    /// What becomes of it where it can't be processed.
    pub flags: BlockFlags,
    /// Its CRC.
    pub crc: CrcType,
    /// Its data.
    pub data: Vec<u8>,
}

/// The blocks of a bundle so far, checked one with another.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    numbers: BTreeMap<u64, BlockType>,
    kinds: BTreeSet<BlockType>,
    security: Vec<(Front, SecurityBlock)>,
    /// Blocks that make no sense: ciphertext, as a block that comes later may say, or wrong.
    unread: Vec<(u64, BundleError)>,
    /// A block asks for a report if it can't be processed.
    asks_for_reports: bool,
}

impl Gathered {
    /// Takes a block with its data; a payload may come without.
    pub fn add(&mut self, front: &Front, data: &[u8], limits: &Limits) -> Result<(), BundleError> {
        if self.numbers.len() >= limits.blocks_max {
            return Err(BundleError::TooManyBlocks(limits.blocks_max));
        }
        if self.kinds.contains(&BlockType::PAYLOAD) {
            return Err(BundleError::PayloadNotLast);
        }
        front.check_number()?;
        if self.numbers.insert(front.number, front.kind).is_some() {
            return Err(BundleError::DuplicateNumber(front.number));
        }
        if !self.kinds.insert(front.kind) && front.kind.is_single() {
            return Err(BundleError::Twice(front.kind.code()));
        }
        self.asks_for_reports |= front.flags.has(BlockFlags::REPORT_UNPROCESSED);
        match self.read(front, data) {
            Err(why) if front.kind == BlockType::CONFIDENTIALITY => Err(why),
            Err(why) => {
                self.unread.push((front.number, why));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn read(&mut self, front: &Front, data: &[u8]) -> Result<(), BundleError> {
        if matches!(front.kind, BlockType::INTEGRITY | BlockType::CONFIDENTIALITY) {
            let block = SecurityBlock::decode(front.number, data)?;
            if !block.check_context(front.kind) {
                return Err(BundleError::Context { number: front.number, context: block.context });
            }
            self.security.push((*front, block));
        }
        Extension::decode(front.kind, front.number, data).map(|_| ())
    }

    /// True if a confidentiality block is about the block: its data is ciphertext, of any form.
    fn is_encrypted(&self, number: u64) -> bool {
        let is_bcb = |front: &Front| front.kind == BlockType::CONFIDENTIALITY;
        self.security.iter().any(|(front, it)| is_bcb(front) && it.targets.contains(&number))
    }

    /// Checks what a bundle has to have.
    pub fn finish(&self, primary: &PrimaryBlock, payload_len: u64) -> Result<(), BundleError> {
        if !self.kinds.contains(&BlockType::PAYLOAD) {
            return Err(BundleError::PayloadNotLast);
        }
        primary.check()?;
        primary.check_payload(payload_len)?;
        let is_record = primary.flags.has(BundleFlags::ADMIN_RECORD);
        if self.asks_for_reports && (is_record || primary.source.is_none()) {
            // Section 4.2.4.
            return Err(BundleError::Flags("a block asks for reports that nobody may send"));
        }
        if let Some((_, why)) = self.unread.iter().find(|it| !self.is_encrypted(it.0)) {
            return Err(why.clone());
        }
        let is_plain = |front: &Front| {
            front.kind == BlockType::CONFIDENTIALITY || !self.is_encrypted(front.number)
        };
        let mut operations = BTreeSet::new();
        for (front, block) in self.security.iter().filter(|(front, _)| is_plain(front)) {
            let kind_of = |number| self.numbers.get(&number).copied();
            block.check(front, kind_of, |number| self.is_encrypted(number))?;
            let twice = block.targets.iter().find(|it| !operations.insert((front.kind, **it)));
            if let Some(&target) = twice {
                let (kind, what) = (front.kind.code(), "as another one has");
                return Err(BundleError::Target { kind, target, what });
            }
        }
        if primary.crc == CrcType::None && !self.may_be_signed() {
            return Err(BundleError::Unprotected);
        }
        if primary.is_clockless() && !self.kinds.contains(&BlockType::BUNDLE_AGE) {
            return Err(BundleError::NoAge);
        }
        Ok(())
    }

    /// True unless no integrity block can be about the primary block: what an encrypted one is
    /// about, who has the key can tell.
    fn may_be_signed(&self) -> bool {
        let mut read = self.security.iter().filter(|(it, _)| it.kind == BlockType::INTEGRITY);
        let is_encrypted = |(&number, &kind): (&u64, &BlockType)| {
            kind == BlockType::INTEGRITY && self.is_encrypted(number)
        };
        read.any(|(_, block)| block.targets.contains(&0)) || self.numbers.iter().any(is_encrypted)
    }
}

impl<'a> Bundle<'a> {
    /// Reads a bundle to the last byte.
    pub fn decode(bytes: &'a [u8], limits: &Limits) -> Result<Self, BundleError> {
        let frame = Part::Frame.malformed();
        let mut reader = Reader::new(bytes);
        reader.open_indefinite().map_err(&frame)?;
        let primary = PrimaryBlock::read(&mut reader)?;
        let primary_end = reader.position();
        let mut blocks: Vec<Block> = Vec::new();
        let mut gathered = Gathered::default();
        while !reader.at_break().map_err(&frame)? {
            let block = Block::read(&mut reader, limits)?;
            let is_payload = block.kind == BlockType::PAYLOAD;
            let data = if is_payload { &[][..] } else { &bytes[block.data.clone()] };
            gathered.add(&block.front(), data, limits)?;
            let head = if is_payload { block.data.start } else { block.whole.end };
            if head > limits.head_bytes_max {
                return Err(BundleError::HeadTooLong(limits.head_bytes_max));
            }
            blocks.push(block);
        }
        reader.finish().map_err(&frame)?;
        gathered.finish(&primary, blocks.last().map_or(0, Block::data_len))?;
        Ok(Self { bytes, primary, primary_end, blocks })
    }

    /// The primary block.
    pub const fn primary(&self) -> &PrimaryBlock {
        &self.primary
    }

    /// The primary block as it was received.
    pub fn primary_bytes(&self) -> &'a [u8] {
        &self.bytes[1..self.primary_end]
    }

    /// The other blocks in their order, the payload last.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The block of that number; none for the primary block.
    pub fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.iter().find(|block| block.number == number)
    }

    /// The data of one of its blocks.
    pub fn data(&self, block: &Block) -> &'a [u8] {
        &self.bytes[block.data.clone()]
    }

    /// One of its blocks as it was received.
    pub fn block_bytes(&self, block: &Block) -> &'a [u8] {
        &self.bytes[block.whole.clone()]
    }

    /// The data of the payload.
    pub fn payload(&self) -> &'a [u8] {
        self.blocks.last().map_or(&[], |block| self.data(block))
    }

    /// What the extension block of that type says; none where it is encrypted.
    pub fn extension(&self, kind: BlockType) -> Option<Extension> {
        let block = self.blocks.iter().find(|block| block.kind == kind)?;
        let data = (!self.is_encrypted(block.number)).then(|| self.data(block))?;
        Extension::decode(kind, block.number, data).ok().flatten()
    }

    /// True if a confidentiality block is about the block of that number, so that its data is
    /// ciphertext and need not have the form of its type (RFC 9172 section 3.8).
    pub fn is_encrypted(&self, number: u64) -> bool {
        self.blocks.iter().any(|block| encrypts(block.kind, self.data(block), number))
    }

    /// What tells the bundle from others.
    pub fn key(&self) -> BundleKey {
        self.primary.key(self.payload().len() as u64)
    }

    /// How long the bundle still lives at `now`, if it has been here for `held`; none once it is
    /// expired. Without a creation time its age decides (section 4.4.2).
    pub fn remaining(&self, now: Timestamp, held: Span) -> Option<Span> {
        let age = match self.extension(BlockType::BUNDLE_AGE) {
            Some(Extension::BundleAge(age)) => age.ms(),
            _ => 0,
        };
        let age = age.saturating_add(held.ms());
        let age = match self.primary.is_clockless() {
            true => age,
            false => age.max(now.since(self.primary.created.time).ms()),
        };
        let left = self.primary.lifetime.ms().checked_sub(age)?;
        (left > 0).then(|| Span::from_ms(left))
    }

    /// The parts, to send the bundle on with others.
    pub fn to_draft(&self) -> Draft {
        let is_payload = |block: &&Block| block.kind == BlockType::PAYLOAD;
        let new = |block: &Block| NewBlock {
            kind: block.kind,
            number: block.number,
            flags: block.flags,
            crc: block.crc,
            data: self.data(block).to_vec(),
        };
        let payload = self.blocks.iter().find(is_payload);
        Draft {
            primary: self.primary.clone(),
            blocks: self.blocks.iter().filter(|block| !is_payload(block)).map(new).collect(),
            payload_flags: payload.map_or(BlockFlags::NONE, |block| block.flags),
            payload_crc: payload.map_or(CrcType::Crc32c, |block| block.crc),
        }
    }
}

impl NewBlock {
    /// An extension block with a CRC-32C and no flags.
    pub fn of(extension: &Extension, number: u64) -> Self {
        let (kind, data) = (extension.kind(), extension.encode());
        Self { kind, number, flags: BlockFlags::NONE, crc: CrcType::Crc32c, data }
    }

    const fn front(&self) -> Front {
        Front { kind: self.kind, number: self.number, flags: self.flags, crc: self.crc }
    }

    fn write(&self, writer: &mut Writer) {
        let mut block = Writer::new();
        self.front().write(&mut block);
        block.bytes(&self.data);
        writer.raw(&self.crc.finish(block));
    }
}

impl Draft {
    /// A bundle of a primary block and a payload with a CRC-32C.
    pub const fn new(primary: PrimaryBlock) -> Self {
        let (payload_flags, payload_crc) = (BlockFlags::NONE, CrcType::Crc32c);
        Self { primary, blocks: Vec::new(), payload_flags, payload_crc }
    }

    /// Puts an extension block in place of the one of its type, or behind the others under the
    /// smallest free number. One that is encrypted stays: only who has the key can change it.
    pub fn set(&mut self, extension: &Extension) {
        let Some(place) = self.blocks.iter().position(|it| it.kind == extension.kind()) else {
            let free = self.free_number();
            return self.blocks.push(NewBlock::of(extension, free));
        };
        let number = self.blocks[place].number;
        if !self.blocks.iter().any(|it| encrypts(it.kind, &it.data, number)) {
            self.blocks[place].data = extension.encode();
        }
    }

    /// The smallest number, from two on, that no block has.
    pub fn free_number(&self) -> u64 {
        let taken: BTreeSet<u64> = self.blocks.iter().map(|block| block.number).collect();
        (2..).find(|number| !taken.contains(number)).unwrap_or(u64::MAX)
    }

    /// The bundle's bytes around `payload`.
    pub fn encode(&self, payload: &[u8]) -> Result<Vec<u8>, BundleError> {
        self.check(payload.len() as u64)?;
        let mut bytes = self.head();
        let mut block = Writer::new();
        self.payload_front().write(&mut block);
        block.bytes(payload);
        bytes.extend_from_slice(&self.payload_crc.finish(block));
        bytes.push(0xff);
        Ok(bytes)
    }

    /// Checks that the parts make a bundle.
    pub(super) fn check(&self, payload_len: u64) -> Result<(), BundleError> {
        let limits = Limits {
            blocks_max: usize::MAX,
            block_bytes_max: usize::MAX,
            head_bytes_max: usize::MAX,
            payload_bytes_max: u64::MAX,
        };
        let mut gathered = Gathered::default();
        for block in &self.blocks {
            gathered.add(&block.front(), &block.data, &limits)?;
        }
        gathered.add(&self.payload_front(), &[], &limits)?;
        gathered.finish(&self.primary, payload_len)
    }

    /// All that stands before the payload block.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.open_indefinite().raw(&self.primary.to_bytes());
        self.blocks.iter().for_each(|block| block.write(&mut writer));
        writer.into_bytes()
    }

    pub(super) const fn payload_front(&self) -> Front {
        let (kind, number) = (BlockType::PAYLOAD, 1);
        Front { kind, number, flags: self.payload_flags, crc: self.payload_crc }
    }
}

/// True if a block of that type with that data is a confidentiality block about `target`.
fn encrypts(kind: BlockType, data: &[u8], target: u64) -> bool {
    kind == BlockType::CONFIDENTIALITY
        && SecurityBlock::decode(target, data).is_ok_and(|it| it.targets.contains(&target))
}
