//! The primary block (RFC 9171 section 4.3.1).
//!
//! `[7, flags, crc type, destination, source, report-to, [time, sequence],
//! lifetime, crc]`. The only flag is "must not be fragmented" (section 4.2.3):
//! a transfer resumes by ranges, and a signature covers the whole payload.

use super::canonical::{CRC_TYPE_CRC32C, read_crc, read_crc_type, with_crc};
use super::error::{BlockKind, BundleError};
use crate::codec::{Reader, Writer};
use crate::eid::Eid;
use crate::identity::PeerId;
use crate::time::{Span, Timestamp};

/// Protocol version (RFC 9171 section 4.3.1).
const VERSION: u64 = 7;
/// Bundle processing flags: the bundle must not be fragmented (section 4.2.3).
const BUNDLE_FLAGS: u64 = 0x04;
/// The path of the endpoint that signs updates.
pub(super) const AUTHOR_PATH: &str = "updates";

/// The fields of a primary block that vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Primary {
    pub author: PeerId,
    pub destination: Eid,
    pub created: Timestamp,
    pub sequence: u64,
    pub lifetime: Span,
}

impl Primary {
    /// The endpoint of the author, `dtn://<peer id>/updates`.
    pub fn source(&self) -> Result<Eid, BundleError> {
        Ok(Eid::of_peer(&self.author, AUTHOR_PATH)?)
    }

    /// The encoded block.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let mut writer = Writer::new();
        writer.array(9).unsigned(VERSION).unsigned(BUNDLE_FLAGS).unsigned(CRC_TYPE_CRC32C);
        self.destination.write(&mut writer);
        self.source()?.write(&mut writer);
        Eid::none().write(&mut writer);
        writer.array(2).unsigned(self.created.dtn_ms()).unsigned(self.sequence);
        writer.unsigned(self.lifetime.ms());
        Ok(with_crc(writer))
    }

    /// Reads the block and checks its CRC.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, BundleError> {
        let block = BlockKind::Primary;
        let start = reader.position();
        reader.tuple(9).map_err(block.error())?;
        let at = reader.invalid("version 7");
        if reader.unsigned(u64::MAX).map_err(block.error())? != VERSION {
            return Err(block.error()(at));
        }
        let found = reader.unsigned(u64::MAX).map_err(block.error())?;
        if found != BUNDLE_FLAGS {
            return Err(BundleError::Flags { block, found });
        }
        read_crc_type(reader, block)?;
        let destination = Eid::read(reader).map_err(block.error())?;
        let author = read_source(reader)?;
        let at = reader.invalid("report-to dtn:none");
        if Eid::read(reader).map_err(block.error())? != Eid::none() {
            return Err(block.error()(at));
        }
        let primary = Self::read_times(reader, author, destination)?;
        read_crc(reader, block, start)?;
        Ok(primary)
    }

    fn read_times(
        reader: &mut Reader<'_>,
        author: PeerId,
        destination: Eid,
    ) -> Result<Self, BundleError> {
        let error = BlockKind::Primary.error();
        reader.tuple(2).map_err(&error)?;
        let created = Timestamp::from_dtn_ms(reader.unsigned(u64::MAX).map_err(&error)?);
        if created == Timestamp::default() {
            return Err(BundleError::NoCreationTime);
        }
        let sequence = reader.unsigned(u64::MAX).map_err(&error)?;
        let lifetime = Span::from_ms(reader.unsigned(u64::MAX).map_err(&error)?);
        Ok(Self { author, destination, created, sequence, lifetime })
    }
}

fn read_source(reader: &mut Reader<'_>) -> Result<PeerId, BundleError> {
    let source = Eid::read(reader).map_err(BlockKind::Primary.error())?;
    if source.path() != Some(AUTHOR_PATH) {
        return Err(BundleError::Source);
    }
    source.peer().ok_or(BundleError::Source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    fn primary() -> Primary {
        Primary {
            author: SecretKey::from_seed(&[1; 32]).peer_id(),
            destination: Eid::dtn("federation", "~updates").unwrap(),
            created: Timestamp::from_dtn_ms(1_000),
            sequence: 7,
            lifetime: Span::from_ms(60_000),
        }
    }

    #[test]
    fn reads_back_what_it_encodes() {
        let bytes = primary().encode().unwrap();
        assert_eq!(Primary::read(&mut Reader::new(&bytes)), Ok(primary()));
    }

    #[test]
    fn refuses_each_flipped_bit() {
        let good = primary().encode().unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Primary::read(&mut Reader::new(&bytes)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_a_bundle_without_a_clock() {
        let clockless = Primary { created: Timestamp::default(), ..primary() };
        let bytes = clockless.encode().unwrap();
        let found = Primary::read(&mut Reader::new(&bytes));
        assert_eq!(found, Err(BundleError::NoCreationTime));
    }

    #[test]
    fn refuses_flags_versions_and_sources_that_are_not_ours() {
        let with = |version: u64, flags: u64, source: &Eid, report: &Eid| {
            let mut writer = Writer::new();
            writer.array(9).unsigned(version).unsigned(flags).unsigned(2);
            primary().destination.write(&mut writer);
            source.write(&mut writer);
            report.write(&mut writer);
            writer.array(2).unsigned(1_000).unsigned(7).unsigned(60_000);
            with_crc(writer)
        };
        let source = primary().source().unwrap();
        let other = Eid::of_peer(&primary().author, "other").unwrap();
        let none = Eid::none();
        assert_eq!(with(7, 4, &source, &none), primary().encode().unwrap());
        for (bytes, part) in [
            (with(6, 4, &source, &none), "version 7"),
            (with(7, 0, &source, &none), "processing flags 0x0"),
            (with(7, 1 << 20 | 4, &source, &none), "processing flags 0x100004"),
            (with(7, 4, &other, &none), "not an author's endpoint"),
            (with(7, 4, &none, &none), "not an author's endpoint"),
            (with(7, 4, &source, &source), "report-to dtn:none"),
        ] {
            let found = Primary::read(&mut Reader::new(&bytes)).unwrap_err().to_string();
            assert!(found.starts_with("primary block: ") && found.contains(part), "{found}");
        }
    }
}
