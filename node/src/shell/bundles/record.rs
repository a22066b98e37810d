//! Record: the bytes of a segment file.
//!
//! ```text
//! segment := magic "LHBSEG01" | number u64 | salt u64 | 0 u32 | crc u32            32 bytes
//!            record*
//! record  := magic "LHR1" | kind u8 | flags u8 | 0 u16 | body length u64
//!            | order u64 | expires u64 | key [32] | body crc u32 | crc u32         72 bytes
//!            body
//! body    := the bundle (kind 1) | nothing (2, tombstone) | marks (4)
//! mark    := order u64 | neighbour u128                                            24 bytes
//! ```
//!
//! Numbers are big-endian, CRCs are CRC-32C. Flag 1 is set on the first record of a
//! group: all that lies before it was durable when it was written. The CRC of a
//! record's head also covers the segment's number and salt and the record's offset, so
//! that neither an old block of the disk nor the content of a bundle, whose author cannot
//! know the salt, is taken for a record where one is searched for after damage. Kind 3 held marks
//! whose numbers had 32 bits, of which two neighbours can have the same: they are read over.

use std::hash::{BuildHasher, Hasher, RandomState};

use longhaul_dtn::time::Timestamp;

use super::types::{BundleKey, Mark, Order, SegmentId};

/// Bytes before the first record of a segment.
pub(super) const SEGMENT_HEAD_BYTES: usize = 32;
/// Bytes of a record before its body.
pub(super) const HEAD_BYTES: usize = 72;
/// Bytes of a mark.
pub(super) const MARK_BYTES: usize = 24;
/// Begins each record.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"LHR1";

const SEGMENT_MAGIC: [u8; 8] = *b"LHBSEG01";
const STARTS_GROUP: u8 = 1;

/// A number that only this store knows, another one in each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub u64);

impl Salt {
    /// Draws a salt from the standard library's source of randomness.
    pub fn draw() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

/// What a segment is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub id: SegmentId,
    pub salt: Salt,
}

impl SegmentHead {
    /// The first bytes of a segment file.
    pub fn encode(&self) -> [u8; SEGMENT_HEAD_BYTES] {
        let mut out = [0; SEGMENT_HEAD_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..16].copy_from_slice(&self.id.0.to_be_bytes());
        out[16..24].copy_from_slice(&self.salt.0.to_be_bytes());
        let crc = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the first bytes of the file of segment `id`.
    pub fn decode(bytes: &[u8], id: SegmentId) -> Option<Self> {
        let bytes = bytes.first_chunk::<SEGMENT_HEAD_BYTES>()?;
        let head = Self { id, salt: Salt(u64_at(bytes, 16)) };
        (head.encode() == *bytes).then_some(head)
    }

    /// The CRC of a record's head at `offset`.
    fn seal(&self, offset: u64, head: &[u8]) -> u32 {
        let place = [self.id.0, self.salt.0, offset].map(u64::to_be_bytes);
        crc32c::crc32c_append(crc32c::crc32c(place.as_flattened()), head)
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A stored bundle.
    Bundle,
    /// The end of a bundle's stay.
    Tombstone,
    /// What neighbours have acknowledged, by numbers that are too short: says nothing.
    ShortMarks,
    /// What neighbours have acknowledged.
    Marks,
}

impl Kind {
    const ALL: [(Self, u8); 4] =
        [(Self::Bundle, 1), (Self::Tombstone, 2), (Self::ShortMarks, 3), (Self::Marks, 4)];

    fn code(self) -> u8 {
        Self::ALL.into_iter().find(|&(kind, _)| kind == self).expect("all kinds have a code").1
    }

    fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&(_, it)| it == code).map(|(kind, _)| kind)
    }
}

/// A record without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    /// All that lies before it was durable when it was written.
    pub starts_group: bool,
    pub body_len: u64,
    pub order: Order,
    pub expires: Timestamp,
    pub key: BundleKey,
    pub body_crc: u32,
}

impl Head {
    /// The bytes of the head at `offset` of `segment`.
    pub fn encode(&self, segment: &SegmentHead, offset: u64) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[4] = self.kind.code();
        out[5] = if self.starts_group { STARTS_GROUP } else { 0 };
        out[8..16].copy_from_slice(&self.body_len.to_be_bytes());
        out[16..24].copy_from_slice(&self.order.0.to_be_bytes());
        out[24..32].copy_from_slice(&self.expires.dtn_ms().to_be_bytes());
        out[32..64].copy_from_slice(self.key.as_bytes());
        out[64..68].copy_from_slice(&self.body_crc.to_be_bytes());
        let crc = segment.seal(offset, &out[..68]);
        out[68..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the head at `offset` of `segment`, if there is a valid one.
    pub fn decode(bytes: &[u8], segment: &SegmentHead, offset: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEAD_BYTES>()?;
        let head = Self {
            kind: Kind::of(bytes[4])?,
            starts_group: bytes[5] == STARTS_GROUP,
            body_len: u64_at(bytes, 8),
            order: Order(u64_at(bytes, 16)),
            expires: Timestamp::from_dtn_ms(u64_at(bytes, 24)),
            key: BundleKey::from_bytes(*bytes[32..].first_chunk()?),
            body_crc: u32::from_be_bytes(*bytes[64..].first_chunk()?),
        };
        (head.encode(segment, offset) == *bytes).then_some(head)
    }
}

/// Where a bundle lies in its segment, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub order: Order,
    pub key: BundleKey,
    pub expires: Timestamp,
    /// Where its record begins.
    pub offset: u64,
    /// Bytes of the bundle.
    pub len: u64,
}

impl Placed {
    /// Bytes of the record.
    pub fn record_bytes(&self) -> u64 {
        record_bytes(self.len)
    }
}

/// Bytes of the record of a body of `body_len` bytes.
pub(super) fn record_bytes(body_len: u64) -> u64 {
    body_len.saturating_add(HEAD_BYTES as u64)
}

/// What a segment says, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// A bundle is stored here.
    Bundle(Placed),
    /// A bundle's stay has ended.
    Tombstone { order: Order, key: BundleKey },
    /// A neighbour has acknowledged a bundle.
    Mark(Mark),
}

/// The body of a record of marks.
pub(super) fn encode_marks(marks: &[Mark]) -> Vec<u8> {
    let mut out = Vec::with_capacity(marks.len() * MARK_BYTES);
    for mark in marks {
        out.extend(mark.order.0.to_be_bytes());
        out.extend(mark.neighbour.to_be_bytes());
    }
    out
}

/// Reads the body of a record of marks.
pub(super) fn decode_marks(body: &[u8]) -> impl Iterator<Item = Mark> {
    let (marks, _) = body.as_chunks::<MARK_BYTES>();
    marks.iter().map(|mark| Mark {
        order: Order(u64_at(mark, 0)),
        neighbour: u128::from_be_bytes(*mark.last_chunk().expect("a mark ends in sixteen bytes")),
    })
}

/// The number at `at`, which lies inside.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*bytes[at..].first_chunk().expect("the number lies inside"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentHead = SegmentHead { id: SegmentId(7), salt: Salt(0x0102_0304) };

    fn head(kind: Kind) -> Head {
        Head {
            kind,
            starts_group: kind == Kind::Bundle,
            body_len: 1_000,
            order: Order(3),
            expires: Timestamp::from_dtn_ms(5),
            key: BundleKey::from_bytes([0xab; 32]),
            body_crc: 0xdead_beef,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // The CRCs were computed by a program of a few lines in another language.

    #[test]
    fn the_head_of_a_segment_is_pinned() {
        let front = "4c48425345473031 0000000000000007 0000000001020304 00000000";
        let expected = format!("{}bce06502", front.replace(' ', ""));
        assert_eq!(hex(&SEGMENT.encode()), expected);
    }

    #[test]
    fn the_head_of_a_record_is_pinned() {
        let front = "4c485231 01 01 0000 00000000000003e8 0000000000000003 0000000000000005";
        let expected = format!("{}{}deadbeefd60104c2", front.replace(' ', ""), "ab".repeat(32));
        assert_eq!(hex(&head(Kind::Bundle).encode(&SEGMENT, 32)), expected);
    }

    #[test]
    fn reads_the_heads_that_it_writes() {
        for kind in [Kind::Bundle, Kind::Tombstone, Kind::ShortMarks, Kind::Marks] {
            let bytes = head(kind).encode(&SEGMENT, 99);
            assert_eq!(Head::decode(&bytes, &SEGMENT, 99), Some(head(kind)));
        }
        assert_eq!(SegmentHead::decode(&SEGMENT.encode(), SEGMENT.id), Some(SEGMENT));
    }

    #[test]
    fn refuses_a_segment_head_that_is_cut_or_changed() {
        let bytes = SEGMENT.encode();
        assert_eq!(SegmentHead::decode(&bytes, SegmentId(8)), None);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(SegmentHead::decode(&changed, SEGMENT.id), None, "byte {at}");
            assert_eq!(SegmentHead::decode(&bytes[..at], SEGMENT.id), None);
        }
    }

    #[test]
    fn refuses_a_record_head_that_is_cut_or_changed() {
        let bytes = head(Kind::Bundle).encode(&SEGMENT, 32);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_eq!(Head::decode(&changed, &SEGMENT, 32), None, "byte {at}");
            assert_eq!(Head::decode(&bytes[..at], &SEGMENT, 32), None);
        }
    }

    #[test]
    fn a_head_is_valid_at_its_place_alone() {
        let bytes = head(Kind::Bundle).encode(&SEGMENT, 32);
        let salted = SegmentHead { salt: Salt(1), ..SEGMENT };
        let renumbered = SegmentHead { id: SegmentId(8), ..SEGMENT };
        for (segment, offset) in [(SEGMENT, 33), (salted, 32), (renumbered, 32)] {
            assert_eq!(Head::decode(&bytes, &segment, offset), None);
        }
    }

    #[test]
    fn refuses_an_unknown_kind_or_flag_even_with_a_right_crc() {
        for (at, value) in [(4, 0), (4, 5), (5, 2), (5, 3), (6, 1)] {
            let mut bytes = head(Kind::Bundle).encode(&SEGMENT, 32);
            bytes[at] = value;
            let crc = SEGMENT.seal(32, &bytes[..68]);
            bytes[68..].copy_from_slice(&crc.to_be_bytes());
            assert_eq!(Head::decode(&bytes, &SEGMENT, 32), None, "byte {at} is {value}");
        }
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        let marks = [0, 1, u128::MAX].map(|neighbour| Mark { order: Order(1 << 40), neighbour });
        let bytes = encode_marks(&marks);
        assert_eq!(bytes.len(), 3 * MARK_BYTES);
        assert!(decode_marks(&bytes).eq(marks));
        assert_eq!(decode_marks(&bytes[..40]).count(), 1);
    }

    #[test]
    fn each_segment_has_a_salt_of_its_own() {
        assert_ne!(Salt::draw(), Salt::draw());
    }
}
