//! Scan: reading a segment without its index, and telling *torn* from *damaged*.
//!
//! A segment is written group by group, and each group is durable before the
//! next one begins. So what lies before the last record that begins a group was
//! durable once: if it is not valid now, the disk has lost something that may
//! have been acknowledged (damaged). What is not valid behind that point was
//! being written when the power failed (torn), and so was all that follows it.
//! Records are searched for behind an invalid one; heads cannot be forged
//! (see [`record`](super::record)). Damage to the last group of all looks torn, unless the
//! segment was closed; either way it is reported and kept.

use super::record::{
    HEAD_BYTES, Head, Kind, Placed, RECORD_MAGIC, Record, SEGMENT_HEAD_BYTES, SegmentHead,
    decode_marks,
};

/// What a segment holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// What the valid records say, and bundles whose body alone is damaged.
    pub records: Vec<Record>,
    /// Places that are not valid, with what is wrong.
    pub damaged: Vec<(u64, &'static str)>,
    /// Where valid content ends: the length of the file, or where it is torn.
    pub end: u64,
}

/// Whether the last write to a segment may have been cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing was written after it: its end may be torn.
    MayBeTorn,
    /// Another segment was begun later: all of it was durable.
    Durable,
}

/// Something at an offset of the segment.
enum Found {
    Whole(Head),
    BadBody(Head),
    BadHead,
}

/// Reads a whole segment whose head is valid.
pub(super) fn scan(bytes: &[u8], segment: &SegmentHead, tail: Tail) -> Scan {
    let found = walk(bytes, segment);
    let durable = match tail {
        Tail::Durable => bytes.len(),
        Tail::MayBeTorn => durable_len(&found),
    };
    let torn =
        |&&(at, ref found): &&(usize, Found)| at >= durable && !matches!(found, Found::Whole(_));
    let end = found.iter().find(torn).map_or(bytes.len(), |&(at, _)| at);
    let mut scan = Scan { end: end as u64, ..Scan::default() };
    for (at, found) in found.iter().take_while(|&&(at, _)| at < end) {
        match found {
            Found::Whole(head) => scan.take(bytes, *at, head),
            Found::BadHead => scan.damaged.push((*at as u64, "no record begins here")),
            Found::BadBody(head) => {
                scan.damaged.push((*at as u64, "the CRC of the body is wrong"));
                if head.kind == Kind::Bundle {
                    scan.take(bytes, *at, head);
                }
            }
        }
    }
    scan
}

impl Scan {
    fn take(&mut self, bytes: &[u8], at: usize, head: &Head) {
        let Head { order, key, expires, .. } = *head;
        match head.kind {
            Kind::Bundle => {
                let (offset, len) = (at as u64, head.body_len);
                self.records.push(Record::Bundle(Placed { order, key, expires, offset, len }));
            }
            Kind::Tombstone => self.records.push(Record::Tombstone { order, key }),
            Kind::ShortMarks => {}
            Kind::Marks => {
                let body = body(bytes, at, head).expect("its CRC was checked");
                self.records.extend(decode_marks(body).map(Record::Mark));
            }
        }
    }
}

/// All records and all gaps between them.
fn walk(bytes: &[u8], segment: &SegmentHead) -> Vec<(usize, Found)> {
    let mut found = Vec::new();
    let mut at = SEGMENT_HEAD_BYTES;
    while at < bytes.len() {
        let head = Head::decode(&bytes[at..], segment, at as u64);
        let whole = head.and_then(|head| Some((head, body(bytes, at, &head)?)));
        let Some((head, body)) = whole else {
            found.push((at, Found::BadHead));
            at = next_head(bytes, segment, at + 1);
            continue;
        };
        let whole = crc32c::crc32c(body) == head.body_crc;
        found.push((at, if whole { Found::Whole(head) } else { Found::BadBody(head) }));
        at += HEAD_BYTES + body.len();
    }
    found
}

/// The body of a record, unless it goes beyond the end.
fn body<'a>(bytes: &'a [u8], at: usize, head: &Head) -> Option<&'a [u8]> {
    let len = usize::try_from(head.body_len).ok()?;
    bytes.get(at + HEAD_BYTES..)?.get(..len)
}

/// Where the next valid head begins, or the end.
fn next_head(bytes: &[u8], segment: &SegmentHead, from: usize) -> usize {
    let is_head = |&at: &usize| {
        bytes[at..].starts_with(&RECORD_MAGIC)
            && Head::decode(&bytes[at..], segment, at as u64).is_some()
    };
    (from..bytes.len()).find(is_head).unwrap_or(bytes.len())
}

/// The length that was durable when the last group was written. A body may be
/// damaged: its head proves that the group was written.
fn durable_len(found: &[(usize, Found)]) -> usize {
    let begins = |(at, found): &(usize, Found)| match found {
        Found::Whole(head) | Found::BadBody(head) => head.starts_group.then_some(*at),
        Found::BadHead => None,
    };
    found.iter().rev().find_map(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::time::Timestamp;

    use super::super::record::Salt;
    use super::super::types::{BundleKey, Order, SegmentId};
    use super::*;

    const SEGMENT: SegmentHead = SegmentHead { id: SegmentId(3), salt: Salt(0x1234_5678) };

    /// A segment of groups of bundles; a bundle is 100 times its number.
    fn segment(groups: &[&[u8]]) -> Vec<u8> {
        let mut bytes = SEGMENT.encode().to_vec();
        for group in groups {
            for (place, &number) in group.iter().enumerate() {
                let body = [number; 100];
                let offset = bytes.len() as u64;
                bytes.extend(head(number, place == 0, &body).encode(&SEGMENT, offset));
                bytes.extend(body);
            }
        }
        bytes
    }

    fn head(number: u8, starts_group: bool, body: &[u8]) -> Head {
        Head {
            kind: Kind::Bundle,
            starts_group,
            body_len: body.len() as u64,
            order: Order(number.into()),
            expires: Timestamp::from_dtn_ms(9),
            key: BundleKey::from_bytes([number; 32]),
            body_crc: crc32c::crc32c(body),
        }
    }

    /// Where the record at `place` begins; all have the same size.
    fn offset(place: usize) -> usize {
        SEGMENT_HEAD_BYTES + place * (HEAD_BYTES + 100)
    }

    fn orders(scan: &Scan) -> Vec<u64> {
        let order = |record: &Record| match record {
            Record::Bundle(placed) => placed.order.0,
            other => panic!("{other:?}"),
        };
        scan.records.iter().map(order).collect()
    }

    #[test]
    fn reads_what_was_written() {
        let bytes = segment(&[&[1, 2], &[3]]);
        for tail in [Tail::Durable, Tail::MayBeTorn] {
            let scan = scan(&bytes, &SEGMENT, tail);
            assert_eq!(orders(&scan), [1, 2, 3]);
            assert_eq!((scan.end, scan.damaged), (bytes.len() as u64, vec![]));
        }
    }

    #[test]
    fn cuts_a_torn_group_where_it_is_torn() {
        let bytes = segment(&[&[1], &[2, 3, 4]]);
        for at in [offset(2), offset(2) + HEAD_BYTES + 50] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let scan = scan(&bytes, &SEGMENT, Tail::MayBeTorn);
            assert_eq!((orders(&scan), scan.end), (vec![1, 2], offset(2) as u64));
            assert_eq!(scan.damaged, []);
        }
    }

    #[test]
    fn what_a_later_group_follows_is_damaged() {
        let bytes = segment(&[&[1, 2], &[3, 4]]);
        let mut bad_head = bytes.clone();
        bad_head[offset(1) + 20] ^= 1;
        let scan_head = scan(&bad_head, &SEGMENT, Tail::MayBeTorn);
        assert_eq!(orders(&scan_head), [1, 3, 4]);
        assert_eq!(scan_head.damaged, [(offset(1) as u64, "no record begins here")]);
        let mut bad_body = bytes;
        bad_body[offset(1) + HEAD_BYTES] ^= 1;
        let scan_body = scan(&bad_body, &SEGMENT, Tail::MayBeTorn);
        assert_eq!(orders(&scan_body), [1, 2, 3, 4]);
        assert_eq!(scan_body.damaged, [(offset(1) as u64, "the CRC of the body is wrong")]);
    }

    #[test]
    fn nothing_is_torn_where_another_segment_follows() {
        let mut bytes = segment(&[&[1, 2]]);
        bytes.truncate(bytes.len() - 1);
        let scan = scan(&bytes, &SEGMENT, Tail::Durable);
        assert_eq!((orders(&scan), scan.end), (vec![1], bytes.len() as u64));
        assert_eq!(scan.damaged.len(), 1);
    }

    #[test]
    fn a_record_counts_only_at_its_place() {
        let bytes = segment(&[&[1], &[2]]);
        // The content of a bundle that holds a whole segment: behind a head that
        // is torn, its records are not found.
        let inner = segment(&[&[7], &[8]]);
        let other = SegmentHead { salt: Salt(9), ..SEGMENT };
        for (shift, outer) in [(0, other), (1, SEGMENT)] {
            let mut content = outer.encode().to_vec();
            content.extend([0; HEAD_BYTES]);
            content.extend(vec![0; shift]);
            content.extend(&inner[SEGMENT_HEAD_BYTES..]);
            let scan = scan(&content, &outer, Tail::MayBeTorn);
            assert_eq!((orders(&scan), scan.end), (vec![], SEGMENT_HEAD_BYTES as u64));
        }
        assert_eq!(orders(&scan(&bytes, &SEGMENT, Tail::MayBeTorn)), [1, 2]);
    }

    #[test]
    fn takes_zeros_at_the_end_for_torn() {
        let mut bytes = segment(&[&[1]]);
        let len = bytes.len() as u64;
        bytes.extend([0; 5_000]);
        let scan = scan(&bytes, &SEGMENT, Tail::MayBeTorn);
        assert_eq!((orders(&scan), scan.end, scan.damaged), (vec![1], len, vec![]));
    }

    #[test]
    fn survives_any_bytes() {
        let bytes = segment(&[&[1, 2], &[3], &[4, 5]]);
        for at in SEGMENT_HEAD_BYTES..bytes.len() {
            for tail in [Tail::Durable, Tail::MayBeTorn] {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x81;
                let flipped_scan = scan(&flipped, &SEGMENT, tail);
                let is_torn = flipped_scan.end < bytes.len() as u64;
                assert_ne!(is_torn, flipped_scan.damaged.len() == 1, "byte {at}");
                let cut = scan(&bytes[..at], &SEGMENT, tail);
                assert!(cut.end <= at as u64);
            }
        }
    }
}
