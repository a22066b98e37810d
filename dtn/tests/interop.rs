//! Other implementations of RFC 9171 as oracles: `bp7` and `hardy-bpv7`.
//!
//! Both read what we write, with equal fields; what we accept, hardy accepts
//! with equal fields; and nothing that we accept differs in a signed part from
//! what an author signed.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use bp7::canonical::CanonicalData;
use bp7::crc::CrcValue;
use common::{Dice, LIMITS, START, bundle, draft, sealed};
use hardy_bpv7::block::Type;
use hardy_bpv7::bpsec::key::KeySet;
use hardy_bpv7::bundle::ParsedBundle;
use hardy_bpv7::crc::CrcType;
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::time::{Span, Timestamp};

/// Block types and numbers in their order, without the primary block.
const BLOCKS: [(u64, u64); 6] = [(192, 2), (193, 3), (11, 6), (10, 4), (7, 5), (1, 1)];

/// Bundles with numbers of every width, short and long headers and payloads.
fn samples() -> Vec<Held> {
    let mut samples = vec![bundle(1, 1, 0), bundle(2, 23, 1), bundle(3, 24, 70_000)];
    for wide in [23, 24, 255, 256, 65_535, 65_536, u32::MAX.into(), 1 << 32, u64::MAX] {
        let lifetime = Span::from_ms(wide.min(LIMITS.lifetime_max.ms()));
        let header = vec![0xa5; usize::try_from(wide.min(4_000)).unwrap()];
        samples.push(sealed(4, BundleDraft { sequence: wide, lifetime, ..draft(&header, b"x") }));
    }
    samples
}

/// The same bundle after `hops` hops of a second each.
fn travelled(held: &Held, hops: u64) -> BundleHead {
    (1..=hops).fold((*held.head).clone(), |head, hop| {
        let now = head.created().plus(Span::from_ms(hop * 1_000));
        BundleHead::decode(&head.encode_for_next_hop(now).unwrap(), &LIMITS).unwrap()
    })
}

fn check_bp7(head: &BundleHead, payload: &[u8]) {
    let bytes = head.to_bundle(payload);
    let mut found = bp7::Bundle::try_from(bytes.as_slice()).unwrap();
    assert!(found.validate().is_ok());
    assert!(found.crc_valid());
    let primary = &found.primary;
    assert_eq!(primary.source.to_string(), format!("dtn://{}/updates", head.author()));
    assert_eq!(primary.destination.to_string(), head.destination().to_string());
    assert_eq!(primary.report_to.to_string(), "dtn:none");
    assert_eq!(primary.creation_timestamp.dtntime(), head.created().dtn_ms());
    assert_eq!(primary.creation_timestamp.seqno(), head.sequence());
    assert_eq!(primary.lifetime.as_millis(), u128::from(head.lifetime().ms()));
    assert_eq!(primary.bundle_control_flags, 4);
    assert!(matches!(primary.crc, CrcValue::Crc32(_)));
    let blocks = &found.canonicals;
    let kinds: Vec<_> = blocks.iter().map(|block| (block.block_type, block.block_number)).collect();
    assert_eq!(kinds, BLOCKS);
    assert!(blocks.iter().all(|block| block.block_control_flags == 0));
    assert!(blocks.iter().all(|block| matches!(block.crc, CrcValue::Crc32(_))));
    assert_eq!(blocks[0].data(), &CanonicalData::Unknown(head.header().to_vec()));
    assert_eq!(blocks[3].hop_count_get(), Some((head.hop_limit(), head.hop_count())));
    assert_eq!(blocks[4].bundle_age_get(), Some(u128::from(head.age().ms())));
    assert_eq!(found.payload().map(Vec::as_slice), Some(payload));
    assert_eq!(found.to_cbor(), bytes);
}

fn check_hardy(head: &BundleHead, bytes: &[u8], payload: &[u8]) {
    let parsed = ParsedBundle::parse_with_keys(bytes, &KeySet::EMPTY).unwrap();
    assert!(!parsed.non_canonical);
    assert!(!parsed.report_unsupported);
    let found = parsed.bundle;
    assert_eq!(found.id.source.to_string(), format!("dtn://{}/updates", head.author()));
    assert_eq!(found.destination.to_string(), head.destination().to_string());
    assert!(found.report_to.is_null());
    let created = found.id.timestamp.creation_time().map(|time| time.millisecs());
    assert_eq!(created, Some(head.created().dtn_ms()));
    assert_eq!(found.id.timestamp.sequence_number(), head.sequence());
    assert_eq!(found.lifetime.as_millis(), u128::from(head.lifetime().ms()));
    assert!(found.flags.do_not_fragment && found.flags.unrecognised.is_none());
    assert!(found.id.fragment_info.is_none());
    assert_eq!(found.crc_type, CrcType::CRC32_CASTAGNOLI);
    let hops = found.hop_count.as_ref().map(|hops| (hops.limit, hops.count));
    assert_eq!(hops, Some((head.hop_limit().into(), head.hop_count().into())));
    assert_eq!(found.age.map(|age| age.as_millis()), Some(head.age().ms().into()));
    assert_eq!(found.blocks.len(), BLOCKS.len() + 1);
    for (kind, number) in BLOCKS {
        let block = &found.blocks[&number];
        assert_eq!(block.block_type, Type::from(kind));
        assert_eq!(block.crc_type, CrcType::CRC32_CASTAGNOLI);
        assert_eq!(u64::from(&block.flags), 0);
    }
    assert_eq!(found.blocks[&2].payload(bytes), Some(head.header()));
    assert_eq!(found.blocks[&1].payload(bytes), Some(payload));
}

#[test]
fn bp7_decodes_what_we_emit_with_equal_fields() {
    for held in samples() {
        check_bp7(&held.head, &held.payload);
        check_bp7(&travelled(&held, 3), &held.payload);
    }
}

#[test]
fn hardy_decodes_what_we_emit_with_equal_fields() {
    for held in samples() {
        for head in [(*held.head).clone(), travelled(&held, 3), travelled(&held, 64)] {
            check_hardy(&head, &head.to_bundle(&held.payload), &held.payload);
        }
    }
}

#[test]
fn refuses_bundles_of_other_implementations() {
    let source = bp7::EndpointID::try_from("dtn://node/updates").unwrap();
    let destination = bp7::EndpointID::try_from("dtn://federation/updates").unwrap();
    let mut foreign = bp7::bundle::new_std_payload_bundle(source, destination, b"x".to_vec());
    foreign.set_crc(bp7::crc::CRC_32);
    let bytes = foreign.to_cbor();
    assert!(ParsedBundle::parse_with_keys(&bytes, &KeySet::EMPTY).is_ok());
    assert!(BundleHead::from_bundle(&bytes, &LIMITS).is_err());
}

/// One to three flips, cuts, insertions or deletions; every second mutant gets
/// its checksums repaired, so that mutants reach beyond them.
fn mutant(dice: &mut Dice, original: &[u8], crcs: &[(usize, usize)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    if dice.below(2) == 0 {
        common::flip(dice, &mut bytes);
        repair(&mut bytes, crcs);
        return bytes;
    }
    common::change(dice, &mut bytes);
    bytes
}

/// Start and end of each block in `bytes`; its last four bytes are the CRC.
fn block_ranges(head: &BundleHead, bytes: &[u8]) -> Vec<(usize, usize)> {
    let parsed = ParsedBundle::parse_with_keys(bytes, &KeySet::EMPTY).unwrap();
    let extents = parsed.bundle.blocks.values().map(|block| (block.extent.start, block.extent.end));
    let ranges: Vec<_> = extents.collect();
    assert_eq!(ranges.len(), 7, "{:?}", head.id());
    ranges
}

fn repair(bytes: &mut [u8], ranges: &[(usize, usize)]) {
    for &(start, end) in ranges {
        bytes[end - 4..end].fill(0);
        let crc = crc32c::crc32c(&bytes[start..end]).to_be_bytes();
        bytes[end - 4..end].copy_from_slice(&crc);
    }
}

#[test]
fn accepts_no_mutant_that_its_author_did_not_sign() {
    let mut dice = Dice(0x5eed_0001);
    let payload = b"a payload of some length, so that mutants hit it too";
    let held = sealed(1, draft(b"a header of some length", payload));
    let head = travelled(&held, 2);
    let original = head.to_bundle(payload);
    let ranges = block_ranges(&head, &original);
    let mut accepted = 0;
    for _ in 0..100_000 {
        let bytes = mutant(&mut dice, &original, &ranges);
        let Ok((found, range)) = BundleHead::from_bundle(&bytes, &LIMITS) else { continue };
        accepted += usize::from(bytes != original);
        assert_eq!(found.id(), head.id());
        assert_eq!((found.author(), found.created()), (head.author(), START));
        assert_eq!((found.sequence(), found.lifetime()), (head.sequence(), head.lifetime()));
        assert_eq!((found.destination(), found.header()), (head.destination(), head.header()));
        assert_eq!(&bytes[range], payload);
        check_hardy(&found, &bytes, payload);
    }
    assert!(accepted > 50, "only {accepted} mutants reached the oracle");
}

#[test]
fn never_panics_on_mutants_of_heads() {
    let mut dice = Dice(0x5eed_0002);
    let original = sealed(1, draft(b"header", b"payload")).head.encode();
    for _ in 0..20_000 {
        let bytes = mutant(&mut dice, &original, &[]);
        if let Ok(found) = BundleHead::decode(&bytes, &LIMITS) {
            assert_eq!(found.encode(), bytes);
        }
    }
}

#[test]
fn keeps_the_time_that_others_read() {
    let created = Timestamp::from_unix_ms(1_795_000_000_123);
    let held = sealed(1, BundleDraft { created, ..draft(b"", b"") });
    let found = bp7::Bundle::try_from(held.head.to_bundle(b"").as_slice()).unwrap();
    let unix_ms = found.primary.creation_timestamp.dtntime() + 946_684_800_000;
    assert_eq!(unix_ms, 1_795_000_000_123);
}
