//! Admission: each refusal has its reason, and nothing makes it panic.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{header, payload, policy, schema, unknown_header};
use longhaul_aggregation::{
    AdmissionPolicy, BaseSummary, Chunk, Compressor, Encoding, Epoch, HeaderLimits, MemberIndex,
    NormBound, Parameters, Previous, Refusal, RefusalKind, Slot, Sortition, UpdateHeader, admit,
};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use proptest::prelude::*;

const AUTHOR: Option<MemberIndex> = Some(MemberIndex::new(3));

fn good_payload() -> Arc<[u8]> {
    payload(&[(2, &[1, -2, 127]), (0, &[0, -127])])
}

fn verdict(
    policy: &AdmissionPolicy,
    author: Option<MemberIndex>,
    payload: &Arc<[u8]>,
    change: impl FnOnce(&mut UpdateHeader),
) -> Result<(), RefusalKind> {
    let mut header = header(5, None, payload);
    change(&mut header);
    let found = admit(policy, author, &header.encode(), Arc::clone(payload));
    found.map(drop).map_err(|refusal| refusal.kind())
}

#[test]
fn admits_a_sound_update_as_it_was_signed() {
    let (policy, payload) = (policy(&schema(&[3, 2])), good_payload());
    let header = header(5, None, &payload);
    let found = admit(&policy, AUTHOR, &header.encode(), Arc::clone(&payload)).unwrap();
    assert_eq!(Some(found.author), AUTHOR);
    assert_eq!(found.header_hash, header.hash());
    assert_eq!(found.header, header);
    assert!(Arc::ptr_eq(found.update.payload(), &payload), "the payload is not copied");
}

#[test]
fn refuses_for_what_the_header_says() {
    type Change = fn(&mut UpdateHeader);
    let previous = |epoch| Some(Previous { epoch: Epoch::new(epoch), header: unknown_header(0) });
    let cases: [(&str, Change, Result<(), RefusalKind>); 11] = [
        ("unchanged", |_| {}, Ok(())),
        (
            "federation",
            |header| header.federation = ContentHash::of(b"other"),
            Err(RefusalKind::ForeignFederation),
        ),
        ("last epoch", |header| header.epoch = Epoch::new(99), Ok(())),
        (
            "beyond the last epoch",
            |header| header.epoch = Epoch::new(100),
            Err(RefusalKind::EpochOutOfRange),
        ),
        (
            "payload hash",
            |header| header.payload = ContentHash::of(b"other"),
            Err(RefusalKind::PayloadMismatch),
        ),
        ("steps at the limit", |header| header.steps = 1000, Ok(())),
        ("too many steps", |header| header.steps = 1001, Err(RefusalKind::Steps)),
        ("samples at the limit", |header| header.samples = 1_000_000, Ok(())),
        ("too many samples", |header| header.samples = 1_000_001, Err(RefusalKind::Samples)),
        (
            "a summary without a window",
            |header| header.base.summary = BaseSummary::new(vec![vec![]]).unwrap(),
            Err(RefusalKind::Summary),
        ),
        ("no vouch", |header| header.vouch = false, Ok(())),
    ];
    let policy = policy(&schema(&[3, 2]));
    for (what, change, expected) in cases {
        assert_eq!(verdict(&policy, AUTHOR, &good_payload(), change), expected, "{what}");
    }
    for (epoch, expected) in [
        (4, Ok(())),
        (5, Err(RefusalKind::PreviousNotEarlier)),
        (6, Err(RefusalKind::PreviousNotEarlier)),
    ] {
        let found = verdict(&policy, AUTHOR, &good_payload(), |header| {
            header.previous = previous(epoch);
        });
        assert_eq!(found, expected, "previous {epoch}");
    }
}

#[test]
fn refuses_for_what_the_payload_is() {
    let policy = policy(&schema(&[3, 2]));
    let trailing = [&good_payload()[..], &[0]].concat();
    for (what, payload, expected) in [
        ("nothing", Arc::from([]), RefusalKind::PayloadMalformed),
        ("a byte too many", trailing.into(), RefusalKind::PayloadMalformed),
        ("a chunk too few", payload(&[(2, &[1, 2, 3])]), RefusalKind::Shape),
        (
            "a chunk too many",
            payload(&[(2, &[1, 2, 3]), (0, &[0, 0]), (0, &[])]),
            RefusalKind::Shape,
        ),
        ("an entry too few", payload(&[(2, &[1, 2]), (0, &[0, 0])]), RefusalKind::Shape),
        ("an entry too many", payload(&[(2, &[1, 2, 3]), (0, &[0, 0, 0])]), RefusalKind::Shape),
        ("the exponent", payload(&[(25, &[1, 2, 3]), (0, &[0, 0])]), RefusalKind::ExponentRange),
        (
            "a huge exponent",
            payload(&[(1 << 40, &[1, 2, 3]), (0, &[0, 0])]),
            RefusalKind::ExponentRange,
        ),
        ("-128", payload(&[(2, &[1, 2, 3]), (0, &[0, -128])]), RefusalKind::ValueRange),
    ] {
        assert_eq!(verdict(&policy, AUTHOR, &payload, |_| {}), Err(expected), "{what}");
    }
}

#[test]
fn refuses_who_is_not_a_member() {
    let policy = policy(&schema(&[3, 2]));
    for (author, expected) in [
        (Some(MemberIndex::new(63)), Ok(())),
        (Some(MemberIndex::new(64)), Err(RefusalKind::NotAMember)),
        (None, Err(RefusalKind::NotAMember)),
    ] {
        assert_eq!(verdict(&policy, author, &good_payload(), |_| {}), expected);
    }
}

#[test]
fn refuses_who_was_not_drawn() {
    let seed = |number: u16| *ContentHash::of(&number.to_le_bytes()).as_bytes();
    let members = (0..64).map(|number| SecretKey::from_seed(&seed(number)).peer_id()).collect();
    let sortition = Arc::new(Sortition::new(8, [3; 32], members));
    let policy = AdmissionPolicy { sortition: Some(sortition.clone()), ..policy(&schema(&[3, 2])) };
    let mut drawn = 0;
    for member in (0..64).map(MemberIndex::new) {
        let may = sortition.draws(Slot { member, epoch: Epoch::new(5) });
        let expected = if may { Ok(()) } else { Err(RefusalKind::NotDrawn) };
        assert_eq!(verdict(&policy, Some(member), &good_payload(), |_| {}), expected);
        drawn += u32::from(may);
    }
    assert!((1..20).contains(&drawn), "{drawn} of 64");
}

#[test]
fn refuses_above_the_norm_bound_and_not_at_it() {
    // 3-4-5 in units of 2^exponent.
    for (exponent, bound, expected) in [
        (0, 5, Ok(())),
        (0, 4, Err(RefusalKind::NormBound)),
        (24, 5 << 24, Ok(())),
        (24, (5 << 24) - 1, Err(RefusalKind::NormBound)),
    ] {
        let mut policy = policy(&schema(&[2]));
        policy.norm_max = NormBound::from_units(bound);
        let payload = payload(&[(exponent, &[3, -4])]);
        assert_eq!(verdict(&policy, AUTHOR, &payload, |_| {}), expected);
    }
}

/// The encodings whose payloads of 1,000 entries differ.
fn encodings() -> [Encoding; 5] {
    use Encoding as It;
    [It::Int8, It::Int8Coded, It::Int4, It::TERNARY, It::RAND_K]
}

/// A policy with two tensors, and a payload that is sound with it in epoch 5.
fn encoded(encoding: Encoding) -> (AdmissionPolicy, Arc<[u8]>) {
    let policy = AdmissionPolicy { encoding, ..policy(&schema(&[700, 300])) };
    let delta = (0..1_000).map(|at| (at * 7_919) % 2_003 - 1_001).collect();
    let mut compressor = Compressor::with(&policy.schema, encoding);
    let key = policy.mask_key(Epoch::new(5));
    let update = compressor.compress_in(&key, &Parameters::from_units(delta), policy.norm_max);
    let payload = update.payload().clone();
    (policy, payload)
}

#[test]
fn admits_updates_in_the_encoding_of_the_federation_and_no_others() {
    for encoding in encodings() {
        let (policy, _) = encoded(encoding);
        for other in encodings() {
            let (_, payload) = encoded(other);
            let found = verdict(&policy, AUTHOR, &payload, |_| {});
            let expected =
                if encoding == other { Ok(()) } else { Err(RefusalKind::PayloadMalformed) };
            assert_eq!(found, expected, "{other} where {encoding} is agreed on");
        }
    }
}

#[test]
fn says_why_a_payload_of_another_encoding_is_refused() {
    for (encoding, other, says) in [
        (Encoding::Int8, Encoding::TERNARY, "not a well-formed payload"),
        (Encoding::TERNARY, Encoding::Int8, "not a well-formed payload"),
        (Encoding::TERNARY, Encoding::Int4, "the coded values are not well-formed"),
    ] {
        let (policy, (_, payload)) = (encoded(encoding).0, encoded(other));
        let header = header(5, None, &payload).encode();
        let refusal = admit(&policy, AUTHOR, &header, payload).unwrap_err();
        assert!(refusal.to_string().starts_with(says), "{refusal}");
        assert_eq!((refusal.code(), refusal.name()), (109, "payload-malformed"));
    }
}

#[test]
fn reads_a_payload_with_the_mask_of_the_epoch_that_its_author_signed() {
    let (policy, payload) = encoded(Encoding::RAND_K);
    let entries = |epoch| {
        let header = header(epoch, None, &payload).encode();
        let found = admit(&policy, AUTHOR, &header, payload.clone()).unwrap().update;
        let quantised = |chunk: Chunk<'_>| chunk.quantised().collect::<Vec<_>>();
        let values = found.values().flat_map(quantised).enumerate();
        values.filter(|(_, value)| *value != 0).collect::<Vec<_>>()
    };
    let (right, wrong) = (entries(5), entries(6));
    let kept = policy.mask_key(Epoch::new(5)).positions(1_000, Encoding::RAND_K.share());
    assert!(right.iter().all(|(at, _)| kept.contains(at)));
    // Whoever writes for one epoch and signs another says nonsense of the usual size.
    assert_ne!(right, wrong);
    let values = |of: &[(usize, i8)]| of.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    assert_eq!(values(&right), values(&wrong));
}

#[test]
fn masks_differ_between_federations() {
    let (ours, _) = encoded(Encoding::RAND_K);
    let theirs = AdmissionPolicy { federation: ContentHash::of(b"other"), ..ours.clone() };
    assert_ne!(ours.mask_key(Epoch::new(5)), theirs.mask_key(Epoch::new(5)));
}

#[test]
fn calls_a_foreign_header_foreign_whatever_else_is_wrong() {
    let ours = policy(&schema(&[3, 2]));
    let mut foreign = header(5, None, b"");
    foreign.federation = ContentHash::of(b"other");
    foreign.base.summary = BaseSummary::new(vec![vec![MemberIndex::new(500)]; 5]).unwrap();
    let found = admit(&ours, AUTHOR, &foreign.encode(), good_payload()).unwrap_err();
    assert_eq!(found, Refusal::ForeignFederation(ContentHash::of(b"other")));
}

#[test]
fn says_what_was_wrong() {
    let mut policy = policy(&schema(&[2]));
    policy.norm_max = NormBound::from_milli(4000);
    let payload = payload(&[(24, &[3, -4])]);
    let header = header(5, None, &payload).encode();
    let refusal = admit(&policy, AUTHOR, &header, payload).unwrap_err();
    assert_eq!(refusal.to_string(), "the norm 5.000 is above the bound 4.000");
    assert_eq!((refusal.code(), refusal.name()), (113, "norm-bound"));
}

#[test]
fn codes_and_names_are_stable_and_distinct() {
    let names: BTreeSet<&str> = RefusalKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), RefusalKind::ALL.len());
    for (kind, code) in RefusalKind::ALL.into_iter().zip(100..) {
        assert_eq!(kind.code(), code);
        assert_eq!(Refusal::from_code(code), Some(kind));
    }
    assert_eq!(Refusal::from_code(99), None);
    assert_eq!(Refusal::from_code(122), None);
}

#[test]
fn no_header_is_longer_than_its_limits_say() {
    for (members, window) in [(1, 1), (12, 12), (300, 5), (65_535, 2)] {
        let limits = HeaderLimits { members, summary_window: window };
        let all: Vec<_> = (0..u16::try_from(members).unwrap()).map(MemberIndex::new).collect();
        let sparse = all.iter().copied().step_by(25).collect();
        for row in [all, sparse] {
            let previous = Previous { epoch: Epoch::new(u32::MAX - 1), header: unknown_header(0) };
            let mut header = header(u32::MAX, Some(previous), b"");
            (header.samples, header.steps) = (u32::MAX, u32::MAX);
            let rows = vec![row; usize::try_from(window).unwrap()];
            header.base.summary = BaseSummary::new(rows).unwrap();
            let bytes = header.encode();
            assert!(bytes.len() <= limits.bytes_max());
            assert_eq!(UpdateHeader::decode(&bytes, &limits), Ok(header));
        }
    }
}

fn arb_summary(window: usize) -> impl Strategy<Value = BaseSummary> {
    let row = prop::collection::btree_set(0_u16..12, 0..12)
        .prop_map(|row| row.into_iter().map(MemberIndex::new).collect::<Vec<_>>());
    prop::collection::vec(row, window)
        .prop_map(|rows| BaseSummary::new(rows).expect("ascending rows"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn reads_back_every_header(
        epoch in 4_u32..100,
        back in prop::option::of(1_u32..4),
        summary in arb_summary(4),
        vouch: bool,
        samples: u32,
        steps: u32,
    ) {
        let previous = back.map(|back| {
            Previous { epoch: Epoch::new(epoch - back), header: unknown_header(0) }
        });
        let mut written = header(epoch, previous, b"payload");
        written.base.summary = summary;
        (written.vouch, written.samples, written.steps) = (vouch, samples, steps);
        let limits = HeaderLimits { members: 12, summary_window: 4 };
        prop_assert_eq!(UpdateHeader::decode(&written.encode(), &limits), Ok(written));
    }

    #[test]
    fn noise_is_refused_without_a_panic(header: Vec<u8>, payload: Vec<u8>) {
        let policy = policy(&schema(&[3, 2]));
        prop_assert!(admit(&policy, AUTHOR, &header, payload.into()).is_err());
    }

    #[test]
    fn a_mutant_payload_is_refused_or_reads_back_as_itself(
        position in 0_usize..14,
        byte: u8,
        keep in 0_usize..14,
    ) {
        let schema = schema(&[3, 2]);
        let mut bytes = good_payload().to_vec();
        if position < bytes.len() {
            bytes[position] = byte;
        }
        bytes.truncate(keep.max(position));
        let payload: Arc<[u8]> = bytes.into();
        if let Ok(update) = longhaul_aggregation::Update::decode(Arc::clone(&payload), &schema) {
            let chunks: Vec<(u64, Vec<i8>)> = update
                .values()
                .map(|chunk| (u64::from(chunk.exponent), chunk.quantised().collect()))
                .collect();
            let chunks: Vec<(u64, &[i8])> =
                chunks.iter().map(|(exponent, values)| (*exponent, &values[..])).collect();
            prop_assert_eq!(common::payload(&chunks), payload);
        }
    }

    #[test]
    fn a_mutant_header_is_refused_or_reads_back_as_itself(position in 0_usize..160, byte: u8) {
        let limits = HeaderLimits { members: 12, summary_window: 2 };
        let mut written = header(5, None, b"payload");
        let row = vec![MemberIndex::new(1), MemberIndex::new(9)];
        written.base.summary = BaseSummary::new(vec![row, vec![]]).unwrap();
        let mut bytes = written.encode();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(found) = UpdateHeader::decode(&bytes, &limits) {
            prop_assert_eq!(found.encode(), bytes);
        }
    }
}
