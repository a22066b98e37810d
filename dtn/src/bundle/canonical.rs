//! Canonical blocks (RFC 9171 section 4.3.2) and their CRC-32C (section 4.2.1).
//!
//! A canonical block is `[type, number, flags, crc type, data, crc]`. The flags
//! follow from the kind ([`BlockKind::flags`]): a courier that does not know a private-use block keeps the
//! block and the bundle and reports nothing (section 4.2.4).

use super::error::{BlockKind, BundleError};
use crate::bpv7::CrcType;
use crate::codec::{Reader, Writer};

/// CRC type 2: CRC-32C, big-endian (RFC 9171 section 4.2.1).
pub(super) const CRC_TYPE_CRC32C: u64 = CrcType::Crc32c.code();
/// Length of a CRC-32C in bytes.
const CRC_BYTES: usize = CrcType::Crc32c.len();
/// What follows the data of a block: the CRC, a byte string with a head of one byte.
pub(super) const BEHIND_DATA_BYTES: usize = 1 + CRC_BYTES;

/// A canonical block as it stands in the bytes; its CRC is checked.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub kind: BlockKind,
    pub data: &'a [u8],
    /// Offset just behind `data`.
    pub data_end: usize,
}

/// Writes the block `kind` around `data`.
pub(super) fn write_block(writer: &mut Writer, kind: BlockKind, data: &[u8]) {
    let mut block = Writer::new();
    block.array(6).unsigned(kind.type_code()).unsigned(kind.number());
    block.unsigned(kind.flags()).unsigned(CRC_TYPE_CRC32C).bytes(data);
    writer.raw(&with_crc(block));
}

/// Ends an array that has one item left with the CRC-32C over all of it.
pub(super) fn with_crc(block: Writer) -> Vec<u8> {
    CrcType::Crc32c.finish(block)
}

/// Reads the CRC that ends the block `kind`, which began at `start`.
pub(super) fn read_crc(
    reader: &mut Reader<'_>,
    kind: BlockKind,
    start: usize,
) -> Result<(), BundleError> {
    let mut crc = CrcType::Crc32c.start();
    crc.add(reader.since(start));
    let field_start = reader.position();
    reader.fixed::<CRC_BYTES>().map_err(kind.error())?;
    match reader.since(field_start) == crc.field() {
        true => Ok(()),
        false => Err(BundleError::Crc(kind)),
    }
}

/// Reads one canonical block; `seen` holds the block numbers before it.
pub(super) fn read_block<'a>(
    reader: &mut Reader<'a>,
    seen: &[u64],
    data_max: impl Fn(BlockKind) -> usize,
) -> Result<Block<'a>, BundleError> {
    let start = reader.position();
    reader.tuple(6).map_err(BundleError::Frame)?;
    let code = reader.unsigned(u64::MAX).map_err(BundleError::Frame)?;
    let number = reader.unsigned(u64::MAX).map_err(BundleError::Frame)?;
    if seen.contains(&number) {
        return Err(BundleError::DuplicateBlockNumber(number));
    }
    let kind = BlockKind::from_type_code(code).ok_or(BundleError::UnknownBlock(code))?;
    if number != kind.number() {
        return Err(BundleError::BlockNumber { block: kind, found: number });
    }
    let found = reader.unsigned(u64::MAX).map_err(kind.error())?;
    if found != kind.flags() {
        return Err(BundleError::Flags { block: kind, found });
    }
    read_crc_type(reader, kind)?;
    let data = reader.bytes(data_max(kind)).map_err(kind.error())?;
    let data_end = reader.position();
    read_crc(reader, kind, start)?;
    Ok(Block { kind, data, data_end })
}

/// Reads the CRC type, which is CRC-32C in every block.
pub(super) fn read_crc_type(reader: &mut Reader<'_>, kind: BlockKind) -> Result<(), BundleError> {
    let at = reader.invalid("crc type 2 (CRC-32C)");
    if reader.unsigned(u64::MAX).map_err(kind.error())? != CRC_TYPE_CRC32C {
        return Err(kind.error()(at));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: BlockKind, data: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        write_block(&mut writer, kind, data);
        writer.into_bytes()
    }

    fn read(bytes: &[u8], seen: &[u64]) -> Result<Vec<u8>, BundleError> {
        read_block(&mut Reader::new(bytes), seen, |_| 16).map(|block| block.data.to_vec())
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let bytes = block(BlockKind::Payload, b"hello");
        assert_eq!(read(&bytes, &[]), Ok(b"hello".to_vec()));
    }

    #[test]
    fn refuses_each_flipped_bit() {
        let good = block(BlockKind::HopCount, &[0x82, 0x20, 0x00]);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes, &[]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_block() {
        let payload = |head: &[u64]| {
            let mut writer = Writer::new();
            writer.array(6);
            for &value in head {
                writer.unsigned(value);
            }
            writer.bytes(b"x");
            with_crc(writer)
        };
        for (bytes, message) in [
            (payload(&[1, 1, 4, 2]), "payload block: processing flags 0x4 are not accepted"),
            (payload(&[1, 2, 0, 2]), "payload block: has number 2"),
            (payload(&[9, 9, 0, 2]), "block type 9 is not accepted"),
            (payload(&[10, 3, 0, 2]), "two blocks have number 3"),
            (
                payload(&[1, 1, 0, 1]),
                "payload block: at byte 4: invalid value: crc type 2 (CRC-32C)",
            ),
        ] {
            assert_eq!(read(&bytes, &[3]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn refuses_data_above_the_limit() {
        assert!(read(&block(BlockKind::Payload, &[0; 16]), &[]).is_ok());
        assert!(read(&block(BlockKind::Payload, &[0; 17]), &[]).is_err());
    }
}
