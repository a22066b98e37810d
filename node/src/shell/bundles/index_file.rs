//! Index file: what a closed segment says, so that opening a store need not
//! read the segment.
//!
//! ```text
//! index := magic "LHBIDX02" | number u64 | salt u64 | segment length u64
//!          | entry* | crc u32
//! entry := 1 | offset u64 | length u64 | order u64 | expires u64 | key [32]
//!        | 2 | order u64 | key [32]
//!        | 3 | order u64 | neighbour u128
//! ```
//!
//! Numbers are big-endian; the CRC-32C covers all before it. An index is never
//! synced: it follows from its segment, and one that is not valid is ignored.

use longhaul_dtn::time::Timestamp;

use super::record::{Placed, Record, Salt, SegmentHead, u64_at};
use super::types::{BundleKey, Mark, Order, SegmentId};

const MAGIC: [u8; 8] = *b"LHBIDX02";
const FRONT_BYTES: usize = 32;
const CRC_BYTES: usize = 4;
const BUNDLE: u8 = 1;
const TOMBSTONE: u8 = 2;
const MARK: u8 = 3;

/// The bytes of the index of a segment of `len` bytes.
pub(super) fn encode(segment: &SegmentHead, len: u64, records: &[Record]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for number in [segment.id.0, segment.salt.0, len] {
        out.extend(number.to_be_bytes());
    }
    for record in records {
        match record {
            Record::Bundle(placed) => {
                out.push(BUNDLE);
                let expires = placed.expires.dtn_ms();
                for number in [placed.offset, placed.len, placed.order.0, expires] {
                    out.extend(number.to_be_bytes());
                }
                out.extend(placed.key.as_bytes());
            }
            Record::Tombstone { order, key } => {
                out.push(TOMBSTONE);
                out.extend(order.0.to_be_bytes());
                out.extend(key.as_bytes());
            }
            Record::Mark(mark) => {
                out.push(MARK);
                out.extend(mark.order.0.to_be_bytes());
                out.extend(mark.neighbour.to_be_bytes());
            }
        }
    }
    let crc = crc32c::crc32c(&out);
    out.extend(crc.to_be_bytes());
    out
}

/// Reads the index of segment `id` of `len` bytes; nothing if there is any doubt.
pub(super) fn decode(bytes: &[u8], id: SegmentId, len: u64) -> Option<(Salt, Vec<Record>)> {
    let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    if content.len() < FRONT_BYTES || crc32c::crc32c(content).to_be_bytes() != *crc {
        return None;
    }
    let (front, mut entries) = content.split_at(FRONT_BYTES);
    if front[..8] != MAGIC || u64_at(front, 8) != id.0 || u64_at(front, 24) != len {
        return None;
    }
    let mut records = Vec::with_capacity(entries.len() / 65);
    while let Some((&kind, rest)) = entries.split_first() {
        let (record, rest) = entry(kind, rest)?;
        records.push(record);
        entries = rest;
    }
    Some((Salt(u64_at(front, 16)), records))
}

fn entry(kind: u8, bytes: &[u8]) -> Option<(Record, &[u8])> {
    match kind {
        BUNDLE => {
            let (bytes, rest) = bytes.split_first_chunk::<64>()?;
            let placed = Placed {
                offset: u64_at(bytes, 0),
                len: u64_at(bytes, 8),
                order: Order(u64_at(bytes, 16)),
                expires: Timestamp::from_dtn_ms(u64_at(bytes, 24)),
                key: BundleKey::from_bytes(*bytes.last_chunk()?),
            };
            Some((Record::Bundle(placed), rest))
        }
        TOMBSTONE => {
            let (bytes, rest) = bytes.split_first_chunk::<40>()?;
            let (order, key) = (Order(u64_at(bytes, 0)), *bytes.last_chunk()?);
            Some((Record::Tombstone { order, key: BundleKey::from_bytes(key) }, rest))
        }
        MARK => {
            let (bytes, rest) = bytes.split_first_chunk::<24>()?;
            let neighbour = u128::from_be_bytes(*bytes.last_chunk()?);
            Some((Record::Mark(Mark { order: Order(u64_at(bytes, 0)), neighbour }), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentHead = SegmentHead { id: SegmentId(5), salt: Salt(77) };

    fn records() -> Vec<Record> {
        let key = BundleKey::from_bytes([3; 32]);
        let expires = Timestamp::from_dtn_ms(1 << 50);
        vec![
            Record::Bundle(Placed { order: Order(8), key, expires, offset: 32, len: 1_000 }),
            Record::Tombstone { order: Order(8), key },
            Record::Mark(Mark { order: Order(2), neighbour: u128::MAX }),
        ]
    }

    #[test]
    fn reads_what_was_written() {
        let bytes = encode(&SEGMENT, 1_234, &records());
        let (salt, read) = decode(&bytes, SEGMENT.id, 1_234).expect("it is valid");
        assert_eq!((salt, read), (SEGMENT.salt, records()));
        assert!(decode(&encode(&SEGMENT, 32, &[]), SEGMENT.id, 32).is_some());
    }

    #[test]
    fn refuses_whatever_does_not_fit() {
        let bytes = encode(&SEGMENT, 1_234, &records());
        assert!(decode(&bytes, SegmentId(6), 1_234).is_none());
        assert!(decode(&bytes, SEGMENT.id, 1_235).is_none());
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at], SEGMENT.id, 1_234).is_none(), "cut at {at}");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped, SEGMENT.id, 1_234).is_none(), "flipped {at}");
        }
    }

    #[test]
    fn refuses_an_entry_that_is_cut_even_with_a_right_crc() {
        let bytes = encode(&SEGMENT, 1_234, &records());
        for cut in 1..32 {
            let mut content = bytes[..bytes.len() - CRC_BYTES - cut].to_vec();
            content.extend(crc32c::crc32c(&content).to_be_bytes());
            let read = decode(&content, SEGMENT.id, 1_234);
            assert_eq!(read.map(|(_, records)| records.len()), (cut == 25).then_some(2));
        }
    }
}
