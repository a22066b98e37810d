//! Pack: many payloads in one file that only grows.
//!
//! A file of its own costs a payload a block of 4 KiB, an inode and two fsyncs. So
//! payloads of at most [`PACKED_BYTES_MAX`] are appended to `payload/pack/N.pack`,
//! each behind a header of [`HEADER_BYTES`]:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `LHP1` |
//! | 4 | length of the payload, big-endian; the highest bit: *forgotten*, no payload follows |
//! | 32 | blake3 hash of the payload |
//! | 8 | the first bytes of the blake3 key derivation of the 40 bytes before |
//!
//! The newest record of a hash counts, in the order of file numbers and offsets.
//! This file knows bytes only. What a power loss may leave in them (sectors that
//! never arrived, a cut end) is *bad*: passed over, and told to the caller.

use std::ops::Range;

use longhaul_dtn::hash::{ContentHash, HASH_BYTES};

/// Largest payload that goes into a pack. A file of its own costs a name, an inode and a sync, as much as
/// writing a mebibyte; beyond two, emptying a pack would move too much at once.
#[cfg(not(test))]
pub(super) const PACKED_BYTES_MAX: usize = 2 << 20;
/// In unit tests less, so that small payloads are met in both kinds of places.
#[cfg(test)]
pub(super) const PACKED_BYTES_MAX: usize = 16 << 10;
/// Bytes in front of a payload.
pub(super) const HEADER_BYTES: usize = 4 + 4 + HASH_BYTES + CHECK_BYTES;

const MAGIC: [u8; 4] = *b"LHP1";
const CHECK_BYTES: usize = 8;
const CHECK_CONTEXT: &str = "longhaul 2026 pack record v1";
const FORGOTTEN: u32 = 1 << 31;

/// A record of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its header begins.
    pub at: usize,
    pub hash: ContentHash,
    pub kind: Kind,
}

/// What a record says about its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The payload follows; holds its length.
    Payload(usize),
    /// The payload is not needed any more.
    Forgotten,
}

/// What the bytes of a pack hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// The records, payloads with the hash that they are under.
    pub records: Vec<Record>,
    /// What is in no record, from front to back.
    pub bad: Vec<Bad>,
}

/// Bytes of a pack that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub range: Range<usize>,
    /// The payload that should be there, if the header is whole.
    pub hash: Option<ContentHash>,
}

impl Record {
    /// Where the record is.
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + HEADER_BYTES + self.payload_len()
    }

    /// Where its payload is; empty for a forgotten one.
    pub fn payload(&self) -> Range<usize> {
        self.at + HEADER_BYTES..self.range().end
    }

    const fn payload_len(&self) -> usize {
        match self.kind {
            Kind::Payload(len) => len,
            Kind::Forgotten => 0,
        }
    }
}

/// Appends the record of a payload.
///
/// # Panics
/// If the payload is above [`PACKED_BYTES_MAX`], a mistake of the caller.
pub(super) fn push_payload(pack: &mut Vec<u8>, hash: &ContentHash, bytes: &[u8]) {
    assert!(bytes.len() <= PACKED_BYTES_MAX, "large payloads have files of their own");
    let len = u32::try_from(bytes.len()).expect("it is small");
    push_header(pack, hash, len);
    pack.extend_from_slice(bytes);
}

/// Appends the record that a payload is not needed any more.
pub(super) fn push_forgotten(pack: &mut Vec<u8>, hash: &ContentHash) {
    push_header(pack, hash, FORGOTTEN);
}

fn push_header(pack: &mut Vec<u8>, hash: &ContentHash, len: u32) {
    let at = pack.len();
    pack.extend_from_slice(&MAGIC);
    pack.extend_from_slice(&len.to_be_bytes());
    pack.extend_from_slice(hash.as_bytes());
    let check = check_of(&pack[at..]);
    pack.extend_from_slice(&check);
}

fn check_of(header: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = ContentHash::derive(CHECK_CONTEXT, header);
    *hash.as_bytes().first_chunk().expect("a hash is longer")
}

/// Reads a pack.
///
/// Behind bytes that hold no header it goes on with the next whole payload,
/// wherever that begins. It could begin inside somebody's payload, so from there
/// on nothing is taken for forgotten.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let (mut at, mut searched) = (0, false);
    while at < bytes.len() {
        match read_record(bytes, at) {
            Read::Good(record) => {
                if !searched || record.kind != Kind::Forgotten {
                    scan.records.push(record);
                }
                at = record.range().end;
            }
            Read::Damaged(record) => {
                let range = record.range().start..record.range().end.min(bytes.len());
                at = range.end;
                scan.bad.push(Bad { range, hash: Some(record.hash) });
            }
            Read::None => {
                let next = next_payload(bytes, at + 1).unwrap_or(bytes.len());
                scan.bad.push(Bad { range: at..next, hash: None });
                (at, searched) = (next, true);
            }
        }
    }
    scan
}

enum Read {
    Good(Record),
    /// The header is whole, the payload is not.
    Damaged(Record),
    None,
}

fn read_record(bytes: &[u8], at: usize) -> Read {
    let Some(header) = bytes[at..].first_chunk::<HEADER_BYTES>() else { return Read::None };
    let (said, check) = header.split_at(HEADER_BYTES - CHECK_BYTES);
    let (Some(rest), true) = (said.strip_prefix(&MAGIC), check_of(said) == *check) else {
        return Read::None;
    };
    let (len, hash) = rest.split_first_chunk().expect("the header has a length");
    let hash = ContentHash::from_bytes(hash.try_into().expect("and a hash"));
    let len = u32::from_be_bytes(*len);
    if len == FORGOTTEN {
        return Read::Good(Record { at, hash, kind: Kind::Forgotten });
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > PACKED_BYTES_MAX {
        return Read::None;
    }
    let record = Record { at, hash, kind: Kind::Payload(len) };
    match bytes.get(record.payload()) {
        Some(payload) if ContentHash::of(payload) == hash => Read::Good(record),
        _ => Read::Damaged(record),
    }
}

/// Where the next whole payload's record begins.
fn next_payload(bytes: &[u8], from: usize) -> Option<usize> {
    let starts = bytes.windows(MAGIC.len()).enumerate().skip(from);
    let mut starts = starts.filter(|(_, window)| **window == MAGIC).map(|(at, _)| at);
    starts.find(|&at| {
        matches!(read_record(bytes, at), Read::Good(Record { kind: Kind::Payload(_), .. }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A pack of payloads, and forgotten where the payload is none.
    fn pack(payloads: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut pack = Vec::new();
        for payload in payloads {
            match payload {
                Some(bytes) => push_payload(&mut pack, &ContentHash::of(bytes), bytes),
                None => push_forgotten(&mut pack, &ContentHash::of(b"gone")),
            }
        }
        pack
    }

    fn arb_payloads() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        let payload = prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..300));
        prop::collection::vec(payload, 1..8)
    }

    fn payloads_of(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let payload = |record: &Record| match record.kind {
            Kind::Payload(_) => Some(bytes[record.payload()].to_vec()),
            Kind::Forgotten => None,
        };
        scan(bytes).records.iter().map(payload).collect()
    }

    #[test]
    fn the_header_is_what_the_documentation_says() {
        let mut pack = Vec::new();
        push_payload(&mut pack, &ContentHash::of(b"payload"), b"payload");
        assert_eq!(HEADER_BYTES, 48);
        assert_eq!(pack[..8], *b"LHP1\0\0\0\x07");
        assert_eq!(pack[8..40], *ContentHash::of(b"payload").as_bytes());
        assert_eq!(pack[40..48], blake3_check(&pack[..40]));
        assert_eq!(pack[48..], *b"payload");
        push_forgotten(&mut pack, &ContentHash::of(b"payload"));
        assert_eq!(pack[55..63], *b"LHP1\x80\0\0\0");
        assert_eq!(pack.len(), 55 + 48);
    }

    fn blake3_check(header: &[u8]) -> [u8; 8] {
        *ContentHash::derive("longhaul 2026 pack record v1", header)
            .as_bytes()
            .first_chunk()
            .unwrap()
    }

    #[test]
    fn a_payload_that_looks_like_records_forgets_nothing() {
        let kept = b"kept".to_vec();
        let mut trap = Vec::new();
        push_payload(&mut trap, &ContentHash::of(b"inner"), b"inner");
        push_forgotten(&mut trap, &ContentHash::of(&kept));
        let bytes = pack(&[Some(kept.clone()), Some(trap.clone())]);
        assert_eq!(payloads_of(&bytes), [Some(kept.clone()), Some(trap)]);
        // The header in front of the trap never arrived: what is inside is read.
        let mut torn = bytes;
        let trap_at = HEADER_BYTES + kept.len();
        torn[trap_at..trap_at + HEADER_BYTES].fill(0);
        assert_eq!(payloads_of(&torn), [Some(kept), Some(b"inner".to_vec())]);
    }

    #[test]
    fn a_length_above_the_limit_is_no_record() {
        for len in [u32::try_from(PACKED_BYTES_MAX).unwrap() + 1, FORGOTTEN | 1, u32::MAX] {
            let mut bytes = Vec::new();
            push_header(&mut bytes, &ContentHash::of(b""), len);
            bytes.resize(bytes.len() + 2 * PACKED_BYTES_MAX, 0);
            let all = 0..bytes.len();
            assert_eq!(scan(&bytes).bad, [Bad { range: all, hash: None }], "{len}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(payloads in arb_payloads()) {
            let bytes = pack(&payloads);
            prop_assert_eq!(scan(&bytes).bad, vec![]);
            prop_assert_eq!(payloads_of(&bytes), payloads);
        }

        #[test]
        fn a_cut_end_takes_the_last_record_alone(payloads in arb_payloads(), cut in 0usize..400) {
            let bytes = pack(&payloads);
            let kept = bytes.len().saturating_sub(cut);
            let found = payloads_of(&bytes[..kept]);
            let whole = scan(&bytes).records.iter().filter(|it| it.range().end <= kept).count();
            prop_assert_eq!(&found[..], &payloads[..whole]);
            let end = scan(&bytes[..kept]).bad.iter().map(|bad| bad.range.end).max();
            prop_assert!(end.is_none_or(|end| end == kept));
        }

        #[test]
        fn damage_takes_no_payload_that_it_does_not_touch(
            payloads in arb_payloads(),
            start in any::<prop::sample::Index>(),
            len in 1usize..600,
        ) {
            let good = pack(&payloads);
            let start = start.index(good.len());
            let end = good.len().min(start + len);
            let mut bytes = good.clone();
            bytes[start..end].fill(0);
            let found = payloads_of(&bytes);
            for record in scan(&good).records {
                let range = record.range();
                let hit = range.start < end && start < range.end && bytes != good;
                if !hit && matches!(record.kind, Kind::Payload(_)) {
                    let payload = Some(good[record.payload()].to_vec());
                    prop_assert!(found.contains(&payload));
                }
            }
        }

        #[test]
        fn every_byte_is_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let scan = scan(&bytes);
            let good = scan.records.iter().map(Record::range);
            let mut ranges: Vec<_> = good.chain(scan.bad.iter().map(|it| it.range.clone())).collect();
            ranges.sort_by_key(|range| range.start);
            let mut at = 0;
            for range in ranges {
                prop_assert_eq!(range.start, at);
                at = range.end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
