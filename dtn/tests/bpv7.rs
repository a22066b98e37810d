//! Bundles of RFC 9171 in full: what we write, `hardy-bpv7` and `bp7` read with equal fields; what
//! we accept, hardy accepts with equal fields; a stream in any pieces gives what the whole gives.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::Dice;
use hardy_bpv7::bpsec::{self as hardy_bpsec, key::KeySet};
use hardy_bpv7::bundle::ParsedBundle;
use hardy_bpv7::status_report::{AdministrativeRecord, StatusAssertion};
use longhaul_dtn::bpv7::{
    AdminRecord, Block, BlockFlags, BlockType, Bundle, BundleError, BundleFlags, CrcType,
    CreationTimestamp, Draft, EndpointId, Extension, Fragment, FragmentError, IpnForm, Limits,
    NewBlock, Part, PrimaryBlock, Reassembly, ReportReason, SecurityBlock, SecurityValue,
    StatusItem, StatusReport, StreamEvent, StreamReader, StreamWriter, fragments,
};
use longhaul_dtn::time::{Span, Timestamp};
use proptest::prelude::*;

fn limits() -> Limits {
    Limits { payload_bytes_max: 1 << 20, ..Limits::default() }
}

fn arb_eid() -> impl Strategy<Value = EndpointId> {
    let ipn = (0_u32..3, 1_u32..u32::MAX, any::<u32>(), any::<bool>());
    prop_oneof![
        1 => Just(EndpointId::None),
        2 => ("[a-z0-9.]{1,12}", "[a-zA-Z0-9/~.-]{0,12}")
            .prop_map(|(node, demux)| EndpointId::dtn(&node, &demux).unwrap()),
        2 => ipn.prop_map(|(allocator, node, service, three)| {
            let form = if three && allocator > 0 { IpnForm::Three } else { IpnForm::Two };
            EndpointId::Ipn { allocator, node, service, form }
        }),
    ]
}

fn arb_crc() -> impl Strategy<Value = CrcType> {
    prop_oneof![Just(CrcType::None), Just(CrcType::Crc16), Just(CrcType::Crc32c)]
}

fn arb_primary() -> impl Strategy<Value = PrimaryBlock> {
    let eids = (arb_eid(), arb_eid(), arb_eid());
    let flags = prop::sample::subsequence(
        vec![0x04_u64, 0x20, 0x40, 0x4000, 0x1_0000, 0x2_0000, 0x4_0000],
        0..7,
    );
    let crc = prop_oneof![Just(CrcType::Crc16), Just(CrcType::Crc32c)];
    let times = (prop_oneof![Just(0_u64), 1..1_u64 << 45], any::<u64>(), 0_u64..1 << 50);
    (eids, flags, crc, times, prop::option::of((0_u64..1000, 0_u64..1000))).prop_map(
        |((destination, source, report_to), flags, crc, (time, sequence, lifetime), fragment)| {
            let mut flags = BundleFlags::from_bits(flags.into_iter().sum());
            let mut fragment = fragment;
            if source.is_none() {
                flags = BundleFlags::MUST_NOT_FRAGMENT;
            }
            if flags.has(BundleFlags::MUST_NOT_FRAGMENT) {
                fragment = None;
            }
            let time = Timestamp::from_dtn_ms(time);
            let fragment =
                fragment.map(|(offset, more)| Fragment { offset, total: offset + more + 2000 });
            let created = CreationTimestamp { time, sequence };
            let lifetime = Span::from_ms(lifetime);
            PrimaryBlock { flags, crc, destination, source, report_to, created, lifetime, fragment }
        },
    )
}

fn arb_blocks() -> impl Strategy<Value = Vec<NewBlock>> {
    let extension = prop_oneof![
        arb_eid()
            .prop_filter("a node", |it| !it.is_none())
            .prop_map(|it| Extension::PreviousNode(it.node())),
        (1_u8.., any::<u8>())
            .prop_map(|(limit, count)| Extension::HopCount { limit, count: count.min(limit) }),
    ];
    let of_extension = extension.prop_map(|it| (it.kind(), it.encode()));
    let private = (192_u64..256, prop::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(code, data)| (BlockType::from_code(code), data));
    let one = (prop_oneof![of_extension, private], arb_crc(), any::<bool>(), any::<u64>());
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let mut blocks: Vec<NewBlock> = Vec::new();
        for (place, ((kind, data), crc, replicate, age)) in all.into_iter().enumerate() {
            let flags = if replicate { BlockFlags::REPLICATE } else { BlockFlags::NONE };
            let number = place as u64 + 2 + age % 3 * 100;
            let single = kind.code() < 192 && blocks.iter().any(|it| it.kind == kind);
            if !single && blocks.iter().all(|it| it.number != number) {
                blocks.push(NewBlock { kind, number, flags, crc, data });
            }
        }
        blocks
    })
}

fn arb_draft() -> impl Strategy<Value = Draft> {
    (arb_primary(), arb_blocks(), arb_crc(), any::<u32>()).prop_map(
        |(primary, blocks, payload_crc, age)| {
            let clockless = primary.is_clockless();
            let mut draft = Draft { blocks, payload_crc, ..Draft::new(primary) };
            if clockless {
                draft.set(&Extension::BundleAge(Span::from_ms(age.into())));
            }
            draft
        },
    )
}

fn arb_payload() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..2000)
}

/// What hardy reads is what we read.
fn check_hardy(bytes: &[u8], ours: &Bundle<'_>) -> Result<(), String> {
    let parsed = match ParsedBundle::parse_with_keys(bytes, &KeySet::EMPTY) {
        Ok(parsed) => parsed,
        // It understood the bundle, and a block that it cannot process says that the bundle is to
        // be deleted then.
        Err(hardy_bpv7::Error::Unsupported(number)) => {
            let flags = ours.block(number).map(|block| block.flags);
            let deletes = flags.is_some_and(|it| it.has(BlockFlags::DELETE_BUNDLE_UNPROCESSED));
            return deletes.then_some(()).ok_or("a block that it need not process".to_owned());
        }
        // It wants to decrypt integrity and extension blocks, knows the contexts of RFC 9173 alone
        // and holds others to its section 4.8.1, by which no CRC stays.
        Err(hardy_bpv7::Error::InvalidBPSec(hardy_bpsec::Error::UnrecognisedContext(context))) => {
            let has = |it: &Block| {
                it.kind == BlockType::CONFIDENTIALITY
                    && SecurityBlock::decode(it.number, ours.data(it)).unwrap().context == context
            };
            return ours.blocks().iter().any(has).then_some(()).ok_or("no such context".to_owned());
        }
        Err(hardy_bpv7::Error::InvalidBPSec(hardy_bpsec::Error::CrcPresent)) => {
            let stays = |it: &Block| it.crc != CrcType::None && ours.is_encrypted(it.number);
            return ours.blocks().iter().any(stays).then_some(()).ok_or("no such CRC".to_owned());
        }
        Err(why) => return Err(format!("hardy refuses: {why:?}")),
    };
    let (found, primary) = (parsed.bundle, ours.primary());
    let same = |one: &EndpointId, other: String| {
        one.to_string() == other || one.is_none() && other.ends_with("none")
    };
    if parsed.non_canonical {
        return Err("hardy calls it non-canonical".to_owned());
    }
    if !same(&primary.source, found.id.source.to_string())
        || !same(&primary.destination, found.destination.to_string())
        || !same(&primary.report_to, found.report_to.to_string())
    {
        return Err(format!("endpoints differ: {primary:?} {found:?}"));
    }
    let time = found.id.timestamp.creation_time().map_or(0, |time| time.millisecs());
    let numbers = (time, found.id.timestamp.sequence_number(), found.lifetime.as_millis());
    let expected = (
        primary.created.time.dtn_ms(),
        primary.created.sequence,
        u128::from(primary.lifetime.ms()),
    );
    if numbers != expected {
        return Err(format!("{numbers:?} is not {expected:?}"));
    }
    let fragment = found
        .id
        .fragment_info
        .as_ref()
        .map(|it| Fragment { offset: it.offset, total: it.total_adu_length });
    if fragment != primary.fragment || u64::from(&found.flags) != primary.flags_written().bits() {
        return Err(format!("{fragment:?} {:?}", found.flags));
    }
    if found.blocks.len() != ours.blocks().len() + 1 {
        return Err("another number of blocks".to_owned());
    }
    for block in ours.blocks() {
        let there = found.blocks.get(&block.number).ok_or("a block is missing")?;
        if there.payload(bytes) != Some(ours.data(block))
            || u64::from(&there.flags) != block.flags.bits()
        {
            return Err(format!("block {} differs", block.number));
        }
    }
    Ok(())
}

/// What a stream reader gives of `bytes`, cut at random.
fn streamed(
    bytes: &[u8],
    dice: &mut Dice,
    limits: Limits,
) -> Result<Option<(Draft, Vec<u8>)>, BundleError> {
    let mut reader = StreamReader::new(limits);
    let (mut head, mut payload, mut rest) = (None, Vec::new(), bytes);
    while !rest.is_empty() {
        let most = 1 + dice.below(200);
        let (piece, more) = rest.split_at(1 + dice.below(rest.len().min(most)));
        rest = more;
        for event in reader.push(piece)? {
            match event {
                StreamEvent::Head { head: found, payload_len } => {
                    head = Some((*found, payload_len))
                }
                StreamEvent::Payload(piece) => payload.extend_from_slice(piece),
                StreamEvent::End => {}
            }
        }
    }
    Ok(head.filter(|_| reader.is_ended()).map(|(head, len)| {
        assert_eq!(len, payload.len() as u64);
        (head, payload)
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn reads_back_what_it_writes_and_so_do_others(draft in arb_draft(), payload in arb_payload(), seed in 1_u64..) {
        let bytes = draft.encode(&payload).unwrap();
        let bundle = Bundle::decode(&bytes, &limits()).unwrap();
        prop_assert_eq!(bundle.payload(), &payload[..]);
        // Flags are as they are written.
        let mut expected = draft.clone();
        expected.primary.flags = draft.primary.flags_written();
        prop_assert_eq!(&bundle.to_draft(), &expected);
        prop_assert_eq!(bundle.to_draft().encode(&payload), Ok(bytes.clone()));
        prop_assert_eq!(check_hardy(&bytes, &bundle), Ok(()));
        let mut dice = Dice(seed);
        prop_assert_eq!(streamed(&bytes, &mut dice, limits()), Ok(Some((expected, payload.clone()))));
        let (mut writer, mut written) = StreamWriter::new(&draft, payload.len() as u64).unwrap();
        for piece in payload.chunks(1 + dice.below(500)) {
            writer.payload(piece);
            written.extend_from_slice(piece);
        }
        written.extend(writer.finish().unwrap());
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn fragments_in_any_order_make_the_bundle_again(draft in arb_draft(), payload in arb_payload(), seed in 1_u64..) {
        let flags = draft.primary.flags;
        let mut primary = PrimaryBlock { fragment: None, flags, ..draft.primary.clone() };
        if !primary.source.is_none() {
            primary.flags = flags.without(BundleFlags::MUST_NOT_FRAGMENT);
        }
        let draft = Draft { primary, ..draft };
        let bytes = draft.encode(&payload).unwrap();
        let bundle = Bundle::decode(&bytes, &limits()).unwrap();
        let mut dice = Dice(seed);
        // Two ways to cut, so that pieces overlap.
        let (one, other) = (1 + dice.below(700), 1 + dice.below(700));
        let found = fragments(&bundle, one);
        if draft.primary.source.is_none() && payload.len() > one {
            prop_assert_eq!(found, Err(FragmentError::Forbidden));
            return Ok(());
        }
        let mut pieces: Vec<_> = [found.unwrap(), fragments(&bundle, other).unwrap_or_default()].concat();
        pieces.retain(|piece| *piece != bytes);
        for end in (1..pieces.len()).rev() {
            pieces.swap(end, dice.below(end + 1));
        }
        let Some((first, rest)) = pieces.split_first() else { return Ok(()) };
        let first = Bundle::decode(first, &limits()).unwrap();
        let mut reassembly = Reassembly::of(&first, &limits()).unwrap();
        for piece in rest {
            let piece = Bundle::decode(piece, &limits()).unwrap();
            prop_assert_eq!(check_hardy(&piece.to_draft().encode(piece.payload()).unwrap(), &piece), Ok(()));
            reassembly.add(&piece).unwrap();
        }
        prop_assert!(reassembly.is_complete());
        prop_assert_eq!(reassembly.key(), &bundle.key());
        let whole = reassembly.finish().unwrap().unwrap();
        let found = Bundle::decode(&whole, &limits()).unwrap();
        prop_assert_eq!(found.payload(), bundle.payload());
        // Fragments know that they are flagged, the whole that it is not.
        prop_assert_eq!(found.to_draft(), bundle.to_draft());
    }

    #[test]
    fn never_panics_on_noise(noise: Vec<u8>, seed in 1_u64..) {
        let noise = [&[0x9f, 0x88][..], &noise].concat();
        let whole = Bundle::decode(&noise, &limits()).is_ok();
        let streamed = streamed(&noise, &mut Dice(seed), limits());
        prop_assert_eq!(whole, matches!(streamed, Ok(Some(_))));
    }
}

fn source() -> EndpointId {
    "dtn://node/app".parse().unwrap()
}

fn primary() -> PrimaryBlock {
    let created = CreationTimestamp { time: Timestamp::from_dtn_ms(840_000_000_000), sequence: 3 };
    PrimaryBlock::new(source(), EndpointId::ipn(7, 1), created, Span::from_ms(3_600_000))
}

/// A bundle with every extension block, a private one and both CRCs.
fn sample() -> Draft {
    let mut draft = Draft::new(primary());
    draft.set(&Extension::PreviousNode(EndpointId::ipn(9, 0)));
    draft.set(&Extension::BundleAge(Span::from_ms(500)));
    draft.set(&Extension::HopCount { limit: 30, count: 3 });
    let (kind, flags) = (BlockType::from_code(200), BlockFlags::REPLICATE);
    let data = b"a private block".to_vec();
    draft.blocks.push(NewBlock { kind, number: 9, flags, crc: CrcType::Crc16, data });
    draft
}

#[test]
fn every_flipped_bit_of_a_bundle_with_crcs_is_found() {
    let bytes = sample().encode(b"the payload").unwrap();
    let (first, last) = (0, bytes.len() - 1);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Bundle::decode(&bytes, &limits()).is_err(), "bit {bit}");
        if bit / 8 != first && bit / 8 != last {
            assert!(!matches!(streamed(&bytes, &mut Dice(7), limits()), Ok(Some(_))), "bit {bit}");
        }
    }
}

#[test]
fn says_what_is_wrong_with_a_bundle() {
    let with = |change: fn(&mut Draft)| {
        let mut draft = sample();
        change(&mut draft);
        draft.encode(b"x").unwrap_err().to_string()
    };
    for (change, says) in [
        ((|it| it.primary.crc = CrcType::None) as fn(&mut Draft), "neither a CRC nor"),
        (|it| it.primary.source = EndpointId::None, "nobody's bundle that may be fragmented"),
        (
            |it| it.primary.flags = BundleFlags::ADMIN_RECORD | BundleFlags::REPORT_DELIVERY,
            "an administrative record that asks",
        ),
        (
            |it| {
                it.primary.flags = BundleFlags::MUST_NOT_FRAGMENT;
                it.primary.fragment = Some(Fragment { offset: 0, total: 9 });
            },
            "a fragment of a bundle that must not",
        ),
        (|it| it.primary.fragment = Some(Fragment { offset: 9, total: 9 }), "reaches beyond 9"),
        (
            |it| it.primary.fragment = Some(Fragment { offset: u64::MAX, total: 9 }),
            "reaches beyond",
        ),
        (|it| it.blocks[0].number = 1, "the payload is 1 and none else"),
        (|it| it.blocks[0].number = 0, "the payload is 1 and none else"),
        (|it| it.blocks[0].number = 9, "two blocks have number 9"),
        (|it| it.blocks[0].kind = BlockType::BUNDLE_AGE, "two blocks of type 7"),
        (|it| it.blocks[0].data = vec![0], "block 2: at byte 0"),
        (|it| it.blocks[0].kind = BlockType::PAYLOAD, "the payload is 1"),
        (|it| it.blocks[2].data = vec![0x82, 0, 0], "hop count 0 of at most 0"),
        (|it| it.blocks[2].data = vec![0x82, 3, 4], "hop count 4 of at most 3"),
        (|it| it.blocks[2].data = vec![0x82, 3], "data of its type's length"),
        (
            |it| {
                it.primary.created.time = Timestamp::default();
                it.blocks.remove(1);
            },
            "without a bundle age",
        ),
    ] {
        let found = with(change);
        assert!(found.contains(says), "{found} does not say {says}");
    }
}

#[test]
fn keeps_to_its_limits() {
    let bytes = sample().encode(&[0; 1000]).unwrap();
    let plain = limits();
    for (limits, says) in [
        (Limits { blocks_max: 4, ..plain }, "more than 4 blocks"),
        (Limits { block_bytes_max: 14, ..plain }, "above the limit of 14"),
        (Limits { payload_bytes_max: 999, ..plain }, "above the limit of 999"),
        (Limits { head_bytes_max: 80, ..plain }, "more than 80 bytes before the payload"),
    ] {
        let found = Bundle::decode(&bytes, &limits).unwrap_err().to_string();
        assert!(found.contains(says), "{found} does not say {says}");
        let found = streamed(&bytes, &mut Dice(3), limits).unwrap_err().to_string();
        assert!(found.contains(says), "{found} does not say {says}");
    }
    // A head without end is not kept.
    let mut reader = StreamReader::new(Limits { head_bytes_max: 1000, ..plain });
    let endless = [&bytes[..40], &[0; 500]].concat();
    assert!((0..100).any(|_| reader.push(&endless).is_err()));
}

#[test]
fn a_bundle_expires_by_its_age_where_its_source_has_no_clock() {
    let mut draft = sample();
    let bytes = draft.encode(b"").unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    let at = |ms: u64| Timestamp::from_dtn_ms(840_000_000_000 + ms);
    let left =
        |bundle: &Bundle<'_>, ms, held| bundle.remaining(at(ms), Span::from_ms(held)).map(Span::ms);
    assert_eq!(left(&bundle, 1_000, 0), Some(3_599_000));
    assert_eq!(left(&bundle, 3_600_000, 0), None);
    // A clock that is behind makes nobody's bundle younger than it says.
    assert_eq!(left(&bundle, 0, 0), Some(3_599_500));
    draft.primary.created.time = Timestamp::default();
    let bytes = draft.encode(b"").unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    assert_eq!(left(&bundle, 0, 1_000), Some(3_598_500));
    assert_eq!(left(&bundle, 0, 3_599_500), None);
    assert_eq!(left(&bundle, 0, u64::MAX), None);
}

#[test]
fn a_payload_that_is_not_as_long_as_promised_is_not_sent_as_if_it_were() {
    let (mut writer, _) = StreamWriter::new(&sample(), 10).unwrap();
    writer.payload(b"short");
    let found = writer.finish();
    assert_eq!(found, Err(BundleError::PayloadLength { promised: 10, found: 5 }));
}

#[test]
fn fragments_that_differ_are_refused_and_nothing_changes() {
    let draft = Draft::new(primary());
    let bytes = draft.encode(b"0123456789").unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    let pieces = fragments(&bundle, 4).unwrap();
    assert_eq!(pieces.len(), 3);
    fn read(bytes: &[u8]) -> Bundle<'_> {
        Bundle::decode(bytes, &limits()).unwrap()
    }
    let mut reassembly = Reassembly::of(&read(&pieces[1]), &limits()).unwrap();
    let forged = |offset, total, payload: &[u8]| {
        let primary = PrimaryBlock { fragment: Some(Fragment { offset, total }), ..primary() };
        Draft::new(primary).encode(payload).unwrap()
    };
    let mut refused = |bytes: &[u8]| reassembly.add(&read(bytes)).unwrap_err();
    assert_eq!(refused(&forged(2, 10, b"2345x7")), FragmentError::Differ(6));
    assert_eq!(refused(&forged(0, 11, b"0")), FragmentError::Foreign);
    assert_eq!(refused(&bytes), FragmentError::NoFragment);
    assert!(!reassembly.is_complete() && reassembly.finish().is_none());
    for piece in [forged(0, 10, b"012345"), forged(7, 10, b"789")] {
        reassembly.add(&read(&piece)).unwrap();
    }
    assert_eq!(reassembly.finish().unwrap(), Ok(bytes.clone()));
    let long = forged(0, 1 << 30, b"");
    assert!(matches!(Reassembly::of(&read(&long), &limits()), Err(FragmentError::TooLong(..))));
    assert_eq!(fragments(&bundle, 0), Err(FragmentError::Empty));
}

/// A security block of the COSE context about these blocks.
fn security(kind: BlockType, number: u64, targets: &[u64]) -> NewBlock {
    let value = |id, value: &[u8]| SecurityValue { id, value: value.to_vec() };
    let block = SecurityBlock {
        targets: targets.to_vec(),
        context: 3,
        source: source(),
        parameters: vec![value(5, &[0xa2, 0, 1, 0x20, 1])],
        results: vec![vec![value(18, &[0x44, 1, 2, 3, 4])]; targets.len()],
    };
    // What encrypts a payload is in every fragment.
    let encrypts = kind == BlockType::CONFIDENTIALITY;
    let flags = if encrypts { BlockFlags::REPLICATE } else { BlockFlags::NONE };
    NewBlock { kind, number, flags, crc: CrcType::Crc32c, data: block.encode() }
}

/// A confidentiality block with these flags.
fn flagged(number: u64, targets: &[u64], flags: BlockFlags) -> NewBlock {
    NewBlock { flags, ..security(BlockType::CONFIDENTIALITY, number, targets) }
}

#[test]
fn security_blocks_are_about_blocks_that_they_may_be_about() {
    let with = |blocks: &[NewBlock]| {
        let mut draft = sample();
        draft.blocks.extend_from_slice(blocks);
        draft.encode(b"x").map_err(|why| why.to_string())
    };
    let (bib, bcb) = (BlockType::INTEGRITY, BlockType::CONFIDENTIALITY);
    let bytes = with(&[security(bib, 20, &[0, 1, 9]), security(bcb, 21, &[20, 1])]).unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    let block = SecurityBlock::decode(20, bundle.data(bundle.block(20).unwrap())).unwrap();
    assert_eq!((block.targets, block.context, block.results.len()), (vec![0, 1, 9], 3, 3));
    for (blocks, says) in [
        (&[security(bib, 20, &[8])][..], "block 8 as its target, a block that is not there"),
        (&[security(bib, 20, &[20])], "an integrity block"),
        (&[security(bcb, 20, &[0])], "the primary block"),
        (&[security(bcb, 20, &[1]), security(bcb, 21, &[20])], "a confidentiality block"),
        (
            &[security(bib, 20, &[9]), security(bib, 21, &[1, 9])],
            "block 9 as its target, as another",
        ),
        (&[security(bcb, 20, &[9]), security(bcb, 21, &[9])], "block 9 as its target, as another"),
        (&[security(bib, 20, &[9]), security(bcb, 21, &[9])], "is not encrypted itself"),
        (&[flagged(20, &[1], BlockFlags::NONE)], "block 20: encrypts the payload"),
        (&[flagged(20, &[9], BlockFlags::DISCARD_UNPROCESSED)], "that may be discarded"),
        (&[security(bib, 20, &[1, 1])], "one target or more, each once"),
        (&[security(bib, 20, &[])], "one target or more, each once"),
    ] {
        let found = with(blocks).unwrap_err();
        assert!(found.contains(says), "{found} does not say {says}");
    }
    // Two that encrypt one another are not plain blocks for that.
    let found = with(&[security(bcb, 20, &[21]), security(bcb, 21, &[20])]).unwrap_err();
    assert!(found.contains("a confidentiality block"), "{found}");
    let good = security(bib, 20, &[0]).data;
    for end in 0..good.len() {
        assert!(SecurityBlock::decode(20, &good[..end]).is_err(), "cut at {end}");
    }
}

/// A block of the context BCB-AES-GCM about these blocks.
fn encryption(number: u64, targets: &[u64]) -> NewBlock {
    let bytes = |id, len: u8| {
        let value = [&[0x40 | len][..], &vec![7; len.into()]].concat();
        SecurityValue { id, value }
    };
    let block = SecurityBlock {
        targets: targets.to_vec(),
        context: 2,
        source: source(),
        parameters: vec![bytes(1, 12)],
        results: vec![vec![bytes(1, 16)]; targets.len()],
    };
    let (kind, flags, crc) = (BlockType::CONFIDENTIALITY, BlockFlags::NONE, CrcType::Crc32c);
    NewBlock { kind, number, flags, crc, data: block.encode() }
}

/// A bundle of a source without a clock whose age, hop count and integrity block are encrypted:
/// what stands in their place has no form.
fn encrypted() -> Draft {
    let mut draft = sample();
    draft.primary.created.time = Timestamp::default();
    draft.blocks.push(security(BlockType::INTEGRITY, 20, &[0]));
    for block in &mut draft.blocks {
        (block.data, block.crc) = (vec![0xff; 20], CrcType::None);
    }
    let targets: Vec<u64> = draft.blocks.iter().map(|block| block.number).collect();
    draft.blocks.push(encryption(21, &targets));
    draft
}

#[test]
fn what_is_encrypted_need_not_have_the_form_of_its_type() {
    let mut draft = encrypted();
    let bytes = draft.encode(b"x").unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    assert_eq!(bundle.to_draft().encode(b"x"), Ok(bytes.clone()));
    let found = streamed(&bytes, &mut Dice(4), limits()).unwrap();
    assert_eq!(found, Some((draft.clone(), b"x".to_vec())));
    assert!(bundle.is_encrypted(20) && !bundle.is_encrypted(21) && !bundle.is_encrypted(1));
    for kind in [BlockType::BUNDLE_AGE, BlockType::HOP_COUNT, BlockType::PREVIOUS_NODE] {
        assert_eq!(bundle.extension(kind), None);
    }
    let before = draft.clone();
    draft.set(&Extension::HopCount { limit: 30, count: 4 });
    assert_eq!(draft, before);
    // Its age cannot be read, but the time that it was here counts.
    let left = |held| bundle.remaining(Timestamp::default(), Span::from_ms(held));
    assert_eq!(left(1_000), Some(Span::from_ms(3_599_000)));
    assert_eq!(left(3_600_000), None);
    // An integrity block that nobody can read may be about the primary block; a readable one that
    // is about another does not protect it.
    draft.primary.crc = CrcType::None;
    assert!(draft.encode(b"x").is_ok());
    let plain = security(BlockType::INTEGRITY, 20, &[9]);
    draft.blocks.retain(|it| it.number != 20);
    draft.blocks.push(plain);
    draft.blocks.retain(|it| it.number != 21);
    let targets: Vec<u64> = (2..5).collect();
    draft.blocks.push(encryption(21, &targets));
    assert_eq!(draft.encode(b"x"), Err(BundleError::Unprotected));
    // What is in the open has to make sense, whether or not others are encrypted.
    let number = draft.blocks[0].number;
    let others: Vec<u64> = targets.into_iter().filter(|it| *it != number).collect();
    draft.blocks.pop();
    draft.blocks.push(encryption(21, &others));
    assert!(
        matches!(draft.encode(b"x"), Err(BundleError::Malformed(Part::Block(it), _)) if it == number)
    );
}

/// One to three changes; every second mutant gets its CRCs repaired.
fn mutant(dice: &mut Dice, original: &[u8]) -> Vec<u8> {
    let bundle = Bundle::decode(original, &limits()).unwrap();
    let mut bytes = original.to_vec();
    if dice.below(2) == 0 {
        common::flip(dice, &mut bytes);
        repair(&mut bytes, &bundle);
        return bytes;
    }
    common::change(dice, &mut bytes);
    bytes
}

/// Writes the CRC-32Cs anew that stood in `original`.
fn repair(bytes: &mut [u8], original: &Bundle<'_>) {
    let start = original.primary_bytes().len() + 1;
    let mut ranges = vec![(original.primary().crc, 1, start)];
    let mut at = start;
    for block in original.blocks() {
        let end = at + original.block_bytes(block).len();
        ranges.push((block.crc, at, end));
        at = end;
    }
    for (kind, start, end) in ranges {
        if kind == CrcType::Crc32c {
            bytes[end - 4..end].fill(0);
            let crc = crc32c::crc32c(&bytes[start..end]).to_be_bytes();
            bytes[end - 4..end].copy_from_slice(&crc);
        }
    }
}

/// A bundle with a status report, about a whole bundle or a fragment.
fn record(fragment: Option<(u64, u64)>) -> Vec<u8> {
    let mut draft = Draft::new(PrimaryBlock { flags: BundleFlags::ADMIN_RECORD, ..primary() });
    draft.set(&Extension::HopCount { limit: 30, count: 3 });
    let report = StatusReport {
        received: StatusItem::Yes,
        deleted: StatusItem::At(Timestamp::from_dtn_ms(840_000_000_500)),
        fragment,
        ..StatusReport::about(&primary().key(0), ReportReason::LIFETIME_EXPIRED)
    };
    draft.encode(&AdminRecord::StatusReport(report).encode()).unwrap()
}

/// A report that we read, hardy reads with equal fields.
fn check_record(payload: &[u8]) -> Result<(), String> {
    let Ok(AdminRecord::StatusReport(ours)) = AdminRecord::decode(payload) else { return Ok(()) };
    let (record, is_canonical) = hardy_cbor::decode::parse::<(AdministrativeRecord, bool)>(payload)
        .map_err(|why| format!("hardy refuses the record: {why:?}"))?;
    let AdministrativeRecord::BundleStatusReport(theirs) = record;
    let id = &theirs.bundle_id;
    let found = (
        id.source.to_string(),
        id.timestamp.creation_time().map_or(0, |time| time.millisecs()),
        id.timestamp.sequence_number(),
        id.fragment_info.as_ref().map(|it| (it.offset, it.total_adu_length)),
        u64::from(theirs.reason),
    );
    let source =
        if ours.source.is_none() { id.source.to_string() } else { ours.source.to_string() };
    let (time, sequence) = (ours.created.time.dtn_ms(), ours.created.sequence);
    let expected = (source, time, sequence, ours.fragment, ours.reason.code());
    let items = [ours.received, ours.forwarded, ours.delivered, ours.deleted];
    let others = [&theirs.received, &theirs.forwarded, &theirs.delivered, &theirs.deleted];
    let same = |(one, other): (StatusItem, &Option<StatusAssertion>)| match (one, other) {
        (StatusItem::No, None) | (StatusItem::Yes, Some(StatusAssertion(None))) => true,
        (StatusItem::At(time), Some(StatusAssertion(at))) => at.is_some() == (time.dtn_ms() > 0),
        _ => false,
    };
    let is_same = is_canonical && found == expected && items.into_iter().zip(others).all(same);
    if is_same { Ok(()) } else { Err(format!("{theirs:?} is not {ours:?}")) }
}

fn accepts_a_subset_of_what_hardy_accepts(mutants: usize) {
    let mut dice = Dice(0x5eed_0011);
    let mut clockless = sample();
    clockless.primary.created.time = Timestamp::default();
    let fragment = Some(Fragment { offset: 5, total: 500 });
    let piece = Draft::new(PrimaryBlock { fragment, ..primary() });
    let mut plain = Draft::new(primary());
    plain.payload_crc = CrcType::None;
    let mut secured = sample();
    secured.primary.crc = CrcType::None;
    secured.blocks.push(security(BlockType::INTEGRITY, 20, &[0, 9]));
    let originals: Vec<Vec<u8>> = [sample(), clockless, piece, plain, secured, encrypted()]
        .iter()
        .map(|draft| draft.encode(b"a payload of some length").unwrap())
        .chain(pieces_of(&sample(), b"a payload of some length", 9))
        .chain([record(None), record(Some((5, 6)))])
        .collect();
    let (mut accepted, mut changed) = (0, 0);
    for number in 0..mutants {
        let original = &originals[number % originals.len()];
        let bytes = mutant(&mut dice, original);
        let Ok(bundle) = Bundle::decode(&bytes, &limits()) else { continue };
        accepted += 1;
        changed += usize::from(bytes != *original);
        let is_record = bundle.primary().flags.has(BundleFlags::ADMIN_RECORD);
        let of_record = if is_record { check_record(bundle.payload()) } else { Ok(()) };
        if let Err(why) = check_hardy(&bytes, &bundle).and(of_record) {
            panic!("mutant {number}: {why}: {bytes:02x?}");
        }
    }
    assert!(changed * 200 > mutants, "{changed} of {accepted} accepted mutants differ");
}

#[test]
fn accepts_a_subset_of_hardy_over_mutants() {
    accepts_a_subset_of_what_hardy_accepts(20_000);
}

#[test]
#[ignore = "300,000 mutants: cargo test --release -p longhaul-dtn --test bpv7 -- --ignored"]
fn accepts_a_subset_of_hardy_over_many_mutants() {
    accepts_a_subset_of_what_hardy_accepts(300_000);
}

fn pieces_of(draft: &Draft, payload: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let bytes = draft.encode(payload).unwrap();
    fragments(&Bundle::decode(&bytes, &limits()).unwrap(), piece).unwrap()
}

#[test]
fn a_fragment_can_be_cut_again_and_keeps_its_place() {
    let first = pieces_of(&sample(), b"0123456789", 6);
    let second = Bundle::decode(&first[1], &limits()).unwrap();
    let cut = fragments(&second, 3).unwrap();
    let places: Vec<_> =
        cut.iter().map(|it| Bundle::decode(it, &limits()).unwrap().primary().fragment).collect();
    let at = |offset| Some(Fragment { offset, total: 10 });
    assert_eq!(places, [at(6), at(9)]);
}

#[test]
fn a_bundle_that_fits_stays_whole_also_where_it_must() {
    let mut draft = sample();
    draft.primary.flags = BundleFlags::MUST_NOT_FRAGMENT;
    assert_eq!(pieces_of(&draft, b"0123", 4), [draft.encode(b"0123").unwrap()]);
}

#[test]
fn replicated_blocks_and_the_age_stand_in_all_fragments_others_in_the_first() {
    let kinds = |bytes: &[u8]| {
        let bundle = Bundle::decode(bytes, &limits()).unwrap();
        bundle.blocks().iter().map(|block| block.kind.code()).collect::<Vec<_>>()
    };
    let pieces = pieces_of(&sample(), b"0123456789", 4);
    assert_eq!(kinds(&pieces[0]), [6, 7, 10, 200, 1]);
    assert_eq!((kinds(&pieces[1]), kinds(&pieces[2])), (vec![7, 200, 1], vec![7, 200, 1]));
}

#[test]
fn a_fragment_that_comes_twice_changes_nothing() {
    let pieces = pieces_of(&sample(), b"0123456789", 4);
    let read = |at: usize| Bundle::decode(&pieces[at], &limits()).unwrap();
    let mut whole = Reassembly::of(&read(0), &limits()).unwrap();
    for at in [2, 0, 2] {
        whole.add(&read(at)).unwrap();
        assert!(!whole.is_complete());
    }
    whole.add(&read(1)).unwrap();
    assert_eq!(
        whole.finish().unwrap(),
        sample().encode(b"0123456789").map_err(FragmentError::Bundle)
    );
}

#[test]
fn without_its_first_fragment_a_bundle_is_not_complete() {
    let pieces = pieces_of(&sample(), b"0123456789", 4);
    let read = |at: usize| Bundle::decode(&pieces[at], &limits()).unwrap();
    let mut whole = Reassembly::of(&read(1), &limits()).unwrap();
    whole.add(&read(2)).unwrap();
    assert!(!whole.is_complete() && whole.finish().is_none());
}

#[test]
fn fragments_of_one_bundle_have_keys_of_their_own() {
    let pieces = pieces_of(&sample(), b"0123456789", 4);
    let keys: std::collections::BTreeSet<_> =
        pieces.iter().map(|it| Bundle::decode(it, &limits()).unwrap().key()).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn an_empty_payload_streams_like_any_other() {
    for crc in [CrcType::None, CrcType::Crc16, CrcType::Crc32c] {
        let draft = Draft { payload_crc: crc, ..sample() };
        let bytes = draft.encode(b"").unwrap();
        let found = streamed(&bytes, &mut Dice(5), limits()).unwrap();
        assert_eq!(found, Some((draft, Vec::new())));
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_no_bundle() {
    let bytes = sample().encode(b"the payload").unwrap();
    for end in 0..bytes.len() {
        assert_eq!(streamed(&bytes[..end], &mut Dice(9), limits()), Ok(None), "cut at {end}");
    }
}

#[test]
fn behind_its_end_a_stream_takes_nothing() {
    let bytes = sample().encode(b"the payload").unwrap();
    let mut reader = StreamReader::new(limits());
    assert_eq!(reader.push(&bytes).unwrap().last(), Some(&StreamEvent::End));
    assert!(reader.is_ended() && reader.push(&[]).is_ok() && reader.push(&[0]).is_err());
}

#[test]
fn after_an_error_a_stream_takes_nothing() {
    let bytes = sample().encode(b"the payload").unwrap();
    let mut wrong = bytes.clone();
    wrong[2] = 6;
    let mut reader = StreamReader::new(limits());
    assert!(reader.push(&wrong).is_err() && reader.push(&bytes).is_err());
}

#[test]
fn a_block_behind_the_payload_is_refused_in_both_ways() {
    let mut bytes = sample().encode(b"x").unwrap();
    bytes.pop();
    bytes.extend([0x85, 0x18, 0xc0, 0x18, 77, 0, 0, 0x40, 0xff]);
    let whole = Bundle::decode(&bytes, &limits());
    assert_eq!(whole, Err(BundleError::PayloadNotLast));
    assert_eq!(streamed(&bytes, &mut Dice(2), limits()), Err(BundleError::PayloadNotLast));
}

#[test]
fn a_bundle_without_a_payload_is_refused_in_both_ways() {
    let bytes = sample().encode(b"x").unwrap();
    let bundle = Bundle::decode(&bytes, &limits()).unwrap();
    let payload = bundle.block_bytes(bundle.block(1).unwrap());
    let bytes = [&bytes[..bytes.len() - payload.len() - 1], &[0xff]].concat();
    assert_eq!(Bundle::decode(&bytes, &limits()), Err(BundleError::PayloadNotLast));
    assert_eq!(streamed(&bytes, &mut Dice(2), limits()), Err(BundleError::PayloadNotLast));
}

#[test]
fn setting_an_extension_replaces_the_one_that_is_there() {
    let mut draft = sample();
    let (count, free) = (draft.blocks.len(), draft.free_number());
    draft.set(&Extension::HopCount { limit: 30, count: 4 });
    assert_eq!((draft.blocks.len(), draft.free_number(), free), (count, free, 5));
    let bytes = draft.encode(b"").unwrap();
    let found = Bundle::decode(&bytes, &limits()).unwrap().extension(BlockType::HOP_COUNT);
    assert_eq!(found, Some(Extension::HopCount { limit: 30, count: 4 }));
}

#[test]
fn a_record_asks_for_no_reports_in_any_block() {
    let mut draft = sample();
    draft.primary.flags = BundleFlags::ADMIN_RECORD;
    assert!(draft.encode(&[0x82, 9, 0]).is_ok());
    draft.blocks[0].flags = BlockFlags::REPORT_UNPROCESSED;
    let found = draft.encode(&[0x82, 9, 0]).unwrap_err().to_string();
    assert!(found.contains("a block asks for reports that nobody may send"), "{found}");
}
