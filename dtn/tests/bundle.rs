//! Bundles as their bytes: what is accepted, and what is refused and why.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::{LIMITS, START, bundle, draft, key, sealed};
use longhaul_dtn::bpsec;
use longhaul_dtn::bpv7::{Bundle, Limits};
use longhaul_dtn::bundle::{
    BlockKind, BundleDraft, BundleError, BundleHead, BundleLimits, HEADER_BYTES_MAX,
};
use longhaul_dtn::codec::{CodecErrorKind, Writer};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::{Span, Timestamp};
use proptest::prelude::*;

fn held() -> longhaul_dtn::agent::Held {
    sealed(1, draft(b"header", b"payload"))
}

fn whole() -> Vec<u8> {
    held().head.to_bundle(b"payload")
}

fn refusal(bytes: &[u8]) -> BundleError {
    BundleHead::from_bundle(bytes, &LIMITS).unwrap_err()
}

/// Replaces the first occurrence of `old` by `new`.
fn patched(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// A canonical block with a right checksum.
fn block(fields: [u64; 4], data: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(6);
    for field in fields {
        writer.unsigned(field);
    }
    writer.bytes(data).bytes(&[0; 4]);
    let mut bytes = writer.into_bytes();
    let crc = crc32c::crc32c(&bytes).to_be_bytes();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&crc);
    bytes
}

/// The blocks of a head, without the array around them.
fn blocks() -> Vec<u8> {
    let head = held().head.encode();
    head[1..head.len() - 1].to_vec()
}

fn array(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x9f], parts.concat().as_slice(), &[0xff]].concat()
}

#[test]
fn reads_back_both_forms() {
    let held = held();
    assert_eq!(BundleHead::decode(&held.head.encode(), &LIMITS).as_ref(), Ok(&*held.head));
    let bytes = whole();
    let (head, range) = BundleHead::from_bundle(&bytes, &LIMITS).unwrap();
    assert_eq!(head, *held.head);
    assert_eq!(&bytes[range], b"payload");
}

#[test]
fn says_what_the_author_put_in() {
    let head = held().head;
    assert_eq!(head.author(), key(1).peer_id());
    assert_eq!(head.destination().to_string(), "dtn://federation/updates");
    assert_eq!((head.created(), head.sequence()), (START, 7));
    assert_eq!(head.expires(), START.plus(Span::from_ms(600_000_000)));
    assert_eq!((head.hop_count(), head.hop_limit()), (0, 64));
    assert_eq!(head.header(), b"header");
    assert_eq!((head.payload_hash(), head.payload_len()), (ContentHash::of(b"payload"), 7));
}

#[test]
fn refuses_each_flipped_bit_of_both_forms() {
    let head = held().head.encode();
    for bit in 0..head.len() * 8 {
        let mut bytes = head.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::decode(&bytes, &LIMITS).is_err(), "bit {bit} of the head");
    }
    let bundle = whole();
    for bit in 0..bundle.len() * 8 {
        let mut bytes = bundle.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::from_bundle(&bytes, &LIMITS).is_err(), "bit {bit} of the bundle");
    }
}

#[test]
fn a_checked_head_is_read_without_its_signature_and_with_all_else() {
    let head = held().head.encode();
    assert_eq!(BundleHead::decode_checked(&head, &LIMITS), BundleHead::decode(&head, &LIMITS));
    for len in 0..head.len() {
        assert!(BundleHead::decode_checked(&head[..len], &LIMITS).is_err(), "{len}");
    }
    // Every block has a CRC, so that no flip passes here either.
    for bit in 0..head.len() * 8 {
        let mut bytes = head.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::decode_checked(&bytes, &LIMITS).is_err(), "bit {bit}");
    }
    let strict = BundleLimits { header_bytes_max: 5, ..LIMITS };
    assert!(BundleHead::decode_checked(&head, &strict).is_err());
}

#[test]
fn refuses_every_truncation_and_extension() {
    let (head, bundle) = (held().head.encode(), whole());
    for len in 0..head.len() {
        assert!(BundleHead::decode(&head[..len], &LIMITS).is_err(), "{len}");
    }
    for len in 0..bundle.len() {
        assert!(BundleHead::from_bundle(&bundle[..len], &LIMITS).is_err(), "{len}");
    }
    for extra in [0x00, 0xff, 0x9f] {
        let bytes = [bundle.as_slice(), &[extra]].concat();
        let BundleError::Frame(error) = refusal(&bytes) else { panic!("the end is not checked") };
        assert_eq!(error.kind, CodecErrorKind::Trailing);
    }
}

#[test]
fn tells_the_head_from_the_whole_bundle() {
    let head = held().head.encode();
    assert_eq!(refusal(&head), BundleError::MissingBlock(BlockKind::Payload));
    let found = BundleHead::decode(&whole(), &LIMITS).unwrap_err();
    assert_eq!(found, BundleError::TooManyBlocks);
}

#[test]
fn names_the_block_that_is_wrong() {
    let payload = block([1, 1, 0, 2], b"payload");
    for (bytes, message) in [
        (array(&[&blocks(), &block([1, 2, 0, 2], b"payload")]), "two blocks have number 2"),
        (array(&[&blocks(), &block([1, 9, 0, 2], b"payload")]), "payload block: has number 9"),
        (array(&[&blocks(), &block([6, 9, 0, 2], b"x"), &payload]), "block type 6 is not accepted"),
        (
            array(&[&blocks(), &block([1, 1, 1, 2], b"payload")]),
            "payload block: processing flags 0x1 are not accepted",
        ),
        (array(&[&blocks(), &payload, &payload]), "two blocks have number 1"),
        (array(&[&blocks()]), "the payload block is missing"),
        (
            array(&[&blocks(), &block([1, 1, 0, 2], b"Payload")]),
            "integrity block: the hash of the payload block does not match",
        ),
        (
            array(&[&blocks(), &block([1, 1, 0, 2], b"payloads")]),
            "integrity block: the payload has 8 bytes, not 7",
        ),
    ] {
        assert_eq!(refusal(&bytes).to_string(), message);
    }
    assert_eq!(array(&[&blocks(), &payload]), whole());
}

#[test]
fn refuses_blocks_in_another_order() {
    let header = block([192, 2, 0, 2], b"header");
    let primary_len = blocks().windows(header.len()).position(|found| found == header).unwrap();
    let blocks = blocks();
    let (primary, rest) = blocks.split_at(primary_len);
    let payload = block([1, 1, 0, 2], b"payload");
    let bytes = array(&[primary, &rest[header.len()..], &header, &payload]);
    let expected =
        BundleError::BlockOrder { expected: BlockKind::UpdateHeader, found: BlockKind::Integrity };
    assert_eq!(refusal(&bytes), expected);
}

#[test]
fn refuses_encodings_that_are_not_the_shortest() {
    let longer = patched(&blocks(), &[0x86, 0x18, 0xc0], &[0x86, 0x19, 0x00, 0xc0]);
    let found = refusal(&array(&[&longer, &block([1, 1, 0, 2], b"payload")]));
    assert!(found.is_not_canonical(), "{found}");
    let indefinite = patched(&blocks(), &[0x86, 0x18, 0xc0], &[0x9f, 0x18, 0xc0]);
    assert!(refusal(&array(&[&indefinite])).is_not_canonical());
    let tagged = [&[0xd9, 0xd9, 0xf7], whole().as_slice()].concat();
    assert!(BundleHead::from_bundle(&tagged, &LIMITS).is_err());
}

#[test]
fn refuses_a_header_that_the_author_did_not_sign() {
    let header = block([192, 2, 0, 2], b"header");
    let forged = patched(&blocks(), &header, &block([192, 2, 0, 2], b"forged"));
    let found = BundleHead::decode(&array(&[&forged]), &LIMITS);
    assert_eq!(found, Err(BundleError::Hash(BlockKind::UpdateHeader)));
}

#[test]
fn refuses_the_signature_of_another_author() {
    let (mine, other) =
        (held().head.encode(), sealed(2, draft(b"header", b"payload")).head.encode());
    let security = |bytes: &[u8]| {
        let at = bytes.windows(3).position(|window| window == [0x86, 0x0b, 0x06]).unwrap();
        let end = bytes.windows(3).position(|window| window == [0x86, 0x0a, 0x04]).unwrap();
        bytes[at..end].to_vec()
    };
    let spliced = patched(&mine, &security(&mine), &security(&other));
    let found = BundleHead::decode(&spliced, &LIMITS);
    assert_eq!(found, Err(BundleError::SecurityForm));
    // A good signature of the author's, but over another primary block.
    let late = sealed(1, BundleDraft { sequence: 8, ..draft(b"header", b"payload") });
    let spliced = patched(&mine, &security(&mine), &security(&late.head.encode()));
    let found = BundleHead::decode(&spliced, &LIMITS);
    assert_eq!(found, Err(BundleError::Signature));
}

/// Who knows BPSec and nothing of us finds the same signature.
#[test]
fn the_security_block_is_what_bpsec_reads_and_verifies() {
    let bytes = whole();
    let bundle = Bundle::decode(&bytes, &Limits::default()).unwrap();
    let signed = bpsec::verify(&bundle, 6).unwrap();
    assert_eq!(signed.len(), 1);
    assert_eq!((signed[0].signer, signed[0].target), (key(1).peer_id(), 3));
    assert_eq!(&signed[0].source, &bundle.primary().source);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(BundleHead::from_bundle(&changed, &LIMITS).is_err(), "bit {bit}");
    }
}

#[test]
fn holds_to_the_limits_of_the_reader() {
    let head = held().head.encode();
    for (limits, fits) in [
        (LIMITS, true),
        (BundleLimits { header_bytes_max: 6, payload_bytes_max: 7, ..LIMITS }, true),
        (BundleLimits { header_bytes_max: 5, ..LIMITS }, false),
        (BundleLimits { payload_bytes_max: 6, ..LIMITS }, false),
        (BundleLimits { lifetime_max: Span::from_ms(600_000_000), ..LIMITS }, true),
        (BundleLimits { lifetime_max: Span::from_ms(599_999_999), ..LIMITS }, false),
    ] {
        assert_eq!(BundleHead::decode(&head, &limits).is_ok(), fits, "{limits:?}");
        assert_eq!(BundleHead::from_bundle(&whole(), &limits).is_ok(), fits, "{limits:?}");
    }
}

#[test]
fn refuses_to_make_bundles_that_it_would_not_read() {
    let large = vec![0; HEADER_BYTES_MAX + 1];
    for (draft, message) in [
        (BundleDraft { created: Timestamp::default(), ..draft(b"", b"") }, "no creation time"),
        (BundleDraft { hop_limit: 0, ..draft(b"", b"") }, "0 hops of 0 allowed"),
        (draft(&large, b""), "61441 bytes are above the limit of 61440"),
    ] {
        let found = BundleHead::seal(draft, &key(1)).unwrap_err().to_string();
        assert!(found.contains(message), "{found}");
    }
}

#[test]
fn counts_hops_and_age_without_changing_the_id() {
    let first = held().head;
    let later = START.plus(Span::from_ms(500));
    let next = first.encode_for_next_hop(later).unwrap();
    let next = BundleHead::decode(&next, &LIMITS).unwrap();
    assert_eq!((next.hop_count(), next.age()), (1, Span::from_ms(500)));
    assert_eq!(next.id(), first.id());
    let back_in_time = next.encode_for_next_hop(START).unwrap();
    let third = BundleHead::decode(&back_in_time, &LIMITS).unwrap();
    assert_eq!((third.hop_count(), third.age()), (2, Span::from_ms(500)));
}

#[test]
fn stops_at_the_hop_limit() {
    for (hop_limit, hops) in [(1, 1), (3, 3), (255, 255)] {
        let mut head = (*sealed(1, BundleDraft { hop_limit, ..draft(b"", b"") }).head).clone();
        let mut taken = 0;
        while let Some(next) = head.encode_for_next_hop(START) {
            head = BundleHead::decode(&next, &LIMITS).unwrap();
            taken += 1;
        }
        assert_eq!(taken, hops);
    }
}

#[test]
fn gives_different_bundles_different_ids() {
    let base = held().head.id();
    let named = Eid::dtn("federation", "other").unwrap();
    for other in [
        sealed(2, draft(b"header", b"payload")),
        sealed(1, draft(b"Header", b"payload")),
        sealed(1, draft(b"header", b"Payload")),
        sealed(1, BundleDraft { sequence: 8, ..draft(b"header", b"payload") }),
        sealed(1, BundleDraft { destination: named, ..draft(b"header", b"payload") }),
    ] {
        assert_ne!(other.head.id(), base);
    }
    assert_eq!(sealed(1, draft(b"header", b"payload")).head.id(), base);
}

/// The golden vector: any change of these bytes is a change of the format.
#[test]
fn encodes_the_golden_vector() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/bundle.hex");
    let golden = std::fs::read_to_string(path).unwrap();
    let digits: String = golden.lines().filter(|line| !line.starts_with('#')).collect();
    let found: String = whole().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, digits);
}

#[test]
fn survives_extreme_numbers() {
    let (sequence, lifetime) = (u64::MAX, Span::from_ms(u64::MAX));
    let created = Timestamp::from_dtn_ms(u64::MAX);
    let held = sealed(1, BundleDraft { created, sequence, lifetime, ..draft(b"", b"") });
    let limits = BundleLimits { lifetime_max: lifetime, ..LIMITS };
    let found = BundleHead::decode(&held.head.encode(), &limits).unwrap();
    assert_eq!(found.expires(), created);
    assert_eq!(bundle(1, 0, 0).head.payload_len(), 0);
}

proptest! {
    #[test]
    fn reads_back_any_bundle(
        header in prop::collection::vec(any::<u8>(), 0..200),
        payload in prop::collection::vec(any::<u8>(), 0..2000),
        (created, sequence, lifetime) in (1_u64.., any::<u64>(), 0_u64..1_000_000_000),
        hop_limit in 1_u8..,
    ) {
        let created = Timestamp::from_dtn_ms(created);
        let lifetime = Span::from_ms(lifetime);
        let base = draft(&header, &payload);
        let held = sealed(3, BundleDraft { created, sequence, lifetime, hop_limit, ..base });
        let bytes = held.head.to_bundle(&payload);
        let (head, range) = BundleHead::from_bundle(&bytes, &LIMITS).unwrap();
        prop_assert_eq!(&bytes[range], &payload[..]);
        prop_assert_eq!(&head, &*held.head);
        prop_assert_eq!(BundleHead::decode(&head.encode(), &LIMITS), Ok(head));
    }

    #[test]
    fn never_panics_on_noise(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let framed = [&[0x9f, 0x89], noise.as_slice()].concat();
        for bytes in [&noise, &framed] {
            prop_assert!(BundleHead::decode(bytes, &LIMITS).is_err());
            prop_assert!(BundleHead::from_bundle(bytes, &LIMITS).is_err());
        }
    }
}
