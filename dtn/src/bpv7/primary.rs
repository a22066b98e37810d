//! The primary block (RFC 9171 section 4.3.1).
//!
//! `[7, flags, CRC type, destination, source, report-to, [time, sequence], lifetime]`, for
//! fragments `offset, total length` behind it, and the CRC.

use super::crc::CrcType;
use super::eid::EndpointId;
use super::error::{BundleError, Part};
use super::flags::BundleFlags;
use crate::codec::{Reader, Writer};
use crate::time::{Span, Timestamp};

const VERSION: u64 = 7;
const ITEMS: usize = 8;
const PART: Part = Part::Primary;

/// The fields of a primary block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryBlock {
    /// Processing flags; [`BundleFlags::FRAGMENT`] follows from `fragment`.
    pub flags: BundleFlags,
    /// The block's own CRC.
    pub crc: CrcType,
    /// Whom the bundle is for.
    pub destination: EndpointId,
    /// Who made it.
    pub source: EndpointId,
    /// To whom reports about it go.
    pub report_to: EndpointId,
    /// When it was made.
    pub created: CreationTimestamp,
    /// Time from creation to expiry.
    pub lifetime: Span,
    /// Which part of a larger payload it has; none if it is whole.
    pub fragment: Option<Fragment>,
}

/// When a bundle was made, and which of its source's bundles of that time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CreationTimestamp {
    /// The time; zero from a source without a clock.
    pub time: Timestamp,
    /// Tells bundles of one source and time apart.
    pub sequence: u64,
}

/// Where a fragment's payload stands in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fragment {
    /// Its first byte.
    pub offset: u64,
    /// The length of the whole payload.
    pub total: u64,
}

/// What tells a bundle from all others (section 4.2.7); fragments of one bundle differ in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleKey {
    /// Who made it.
    pub source: EndpointId,
    /// When.
    pub created: CreationTimestamp,
    /// For a fragment its place and the length of its own payload.
    pub fragment: Option<(Fragment, u64)>,
}

impl PrimaryBlock {
    /// A whole bundle from `source` to `destination` with a CRC-32C and no flags.
    pub const fn new(
        source: EndpointId,
        destination: EndpointId,
        created: CreationTimestamp,
        lifetime: Span,
    ) -> Self {
        Self {
            flags: BundleFlags::NONE,
            crc: CrcType::Crc32c,
            destination,
            source,
            report_to: EndpointId::None,
            created,
            lifetime,
            fragment: None,
        }
    }

    /// True for a source without a clock.
    pub fn is_clockless(&self) -> bool {
        self.created.time == Timestamp::default()
    }

    /// The flags as they are written.
    pub fn flags_written(&self) -> BundleFlags {
        match self.fragment {
            Some(_) => self.flags | BundleFlags::FRAGMENT,
            None => self.flags.without(BundleFlags::FRAGMENT),
        }
    }

    /// Checks that the flags fit one another (section 4.2.3).
    pub(super) fn check(&self) -> Result<(), BundleError> {
        let flags = self.flags_written();
        let says = |why| Err(BundleError::Flags(why));
        if flags.has(BundleFlags::FRAGMENT | BundleFlags::MUST_NOT_FRAGMENT) {
            return says("a fragment of a bundle that must not be fragmented");
        }
        if flags.has(BundleFlags::ADMIN_RECORD) && flags.has_any(BundleFlags::REPORTS) {
            return says("an administrative record that asks for status reports");
        }
        if !self.source.is_none() {
            return Ok(());
        }
        if flags.has_any(BundleFlags::REPORTS) {
            return says("status reports are asked for nobody's bundle");
        }
        if !flags.has(BundleFlags::MUST_NOT_FRAGMENT) {
            return says("nobody's bundle that may be fragmented");
        }
        Ok(())
    }

    /// Checks that a payload of so many bytes fits into the whole.
    pub(super) fn check_payload(&self, len: u64) -> Result<(), BundleError> {
        let Some(Fragment { offset, total }) = self.fragment else { return Ok(()) };
        match offset.checked_add(len) {
            Some(end) if end <= total => Ok(()),
            _ => Err(BundleError::FragmentRange { offset, len, total }),
        }
    }

    /// The bundle's key, given the length of its payload.
    pub fn key(&self, payload_len: u64) -> BundleKey {
        BundleKey {
            source: self.source.clone(),
            created: self.created,
            fragment: self.fragment.map(|fragment| (fragment, payload_len)),
        }
    }

    /// The encoded block, with its CRC.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let more = if self.fragment.is_some() { 2 } else { 0 };
        writer.array(ITEMS + more + self.crc.items()).unsigned(VERSION);
        writer.unsigned(self.flags_written().bits()).unsigned(self.crc.code());
        [&self.destination, &self.source, &self.report_to]
            .into_iter()
            .for_each(|eid| eid.write(&mut writer));
        self.created.write(&mut writer);
        writer.unsigned(self.lifetime.ms());
        if let Some(fragment) = self.fragment {
            writer.unsigned(fragment.offset).unsigned(fragment.total);
        }
        self.crc.finish(writer)
    }

    /// Reads the block and checks its CRC and flags.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, BundleError> {
        let malformed = PART.malformed();
        let start = reader.position();
        let wrong_count = reader.invalid("an array of 8 to 11");
        let items = reader.array(ITEMS + 3).map_err(&malformed)?;
        let at = reader.invalid("version 7");
        if reader.unsigned(u64::MAX).map_err(&malformed)? != VERSION {
            return Err(malformed(at));
        }
        let flags = BundleFlags::from_bits(reader.unsigned(u64::MAX).map_err(&malformed)?);
        let crc = CrcType::read(reader, PART)?;
        let is_fragment = flags.has(BundleFlags::FRAGMENT);
        if items != ITEMS + crc.items() + if is_fragment { 2 } else { 0 } {
            return Err(malformed(wrong_count));
        }
        let destination = EndpointId::read(reader).map_err(&malformed)?;
        let source = EndpointId::read(reader).map_err(&malformed)?;
        let report_to = EndpointId::read(reader).map_err(&malformed)?;
        let created = CreationTimestamp::read(reader).map_err(&malformed)?;
        let lifetime = Span::from_ms(reader.unsigned(u64::MAX).map_err(&malformed)?);
        let fragment = match is_fragment {
            true => Some(Fragment::read(reader).map_err(&malformed)?),
            false => None,
        };
        crc.check(reader, start, PART)?;
        let block =
            Self { flags, crc, destination, source, report_to, created, lifetime, fragment };
        block.check()?;
        Ok(block)
    }
}

impl CreationTimestamp {
    /// Writes `[time, sequence]`.
    pub(super) fn write(self, writer: &mut Writer) {
        writer.array(2).unsigned(self.time.dtn_ms()).unsigned(self.sequence);
    }

    /// Reads what [`CreationTimestamp::write`] wrote.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, crate::codec::CodecError> {
        reader.tuple(2)?;
        let time = Timestamp::from_dtn_ms(reader.unsigned(u64::MAX)?);
        Ok(Self { time, sequence: reader.unsigned(u64::MAX)? })
    }
}

impl Fragment {
    fn read(reader: &mut Reader<'_>) -> Result<Self, crate::codec::CodecError> {
        Ok(Self { offset: reader.unsigned(u64::MAX)?, total: reader.unsigned(u64::MAX)? })
    }
}
