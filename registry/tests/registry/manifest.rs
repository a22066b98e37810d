//! Sound manifests sign and read back; unsound ones are refused with advice.

use longhaul_aggregation::compress::{Levels, Share};
use longhaul_aggregation::{
    Buckets, Encoding, Epoch, MemberIndex, NormBound, PoolSpan, Recipe, Rule, SealPolicy, Slot,
    Trim,
};
use longhaul_dtn::codec::{Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{Domain, SecretKey};
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::{
    Committee, FederationId, InvalidManifest, Manifest, ManifestError, SignedManifest,
};

use crate::world::{key, manifest};

#[test]
fn reads_back_what_it_signed() {
    let mut with_parent = manifest();
    with_parent.parent = Some(FederationId::from_hash(ContentHash::of(b"parent")));
    for manifest in [manifest(), with_parent] {
        let signed = manifest.clone().sign(&key(1)).unwrap();
        assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
        assert_eq!(signed.manifest(), &manifest);
    }
}

#[test]
fn every_value_changes_the_id() {
    let id = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest();
        change(&mut manifest);
        manifest.sign(&key(1)).unwrap().id()
    };
    let changes: [&dyn Fn(&mut Manifest); 14] = [
        &|_| {},
        &|it| it.name.push('x'),
        &|it| it.parent = Some(FederationId::from_hash(ContentHash::of(b"parent"))),
        &|it| it.seed[31] ^= 1,
        &|it| it.task.model.push('x'),
        &|it| it.start = it.start.plus(Span::from_ms(1)),
        &|it| it.epochs += 1,
        &|it| it.training.steps += 1,
        &|it| it.recipe.quorum += 1,
        &|it| it.attacker_share_permille += 1,
        &|it| it.members.truncate(4),
        &|it| it.bounds.summary_window += 1,
        &|it| it.encoding = Encoding::TERNARY,
        &|it| it.encoding = Encoding::RAND_K,
    ];
    let ids: std::collections::BTreeSet<_> = changes.iter().map(|change| id(change)).collect();
    assert_eq!(ids.len(), changes.len());
}

#[test]
fn refuses_every_flipped_byte() {
    let signed = manifest().sign(&key(1)).unwrap();
    for at in 0..signed.as_bytes().len() {
        for xor in [1, 0x80] {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] ^= xor;
            assert!(SignedManifest::decode(&bytes).is_err(), "byte {at} xor {xor:#x}");
        }
    }
}

#[test]
fn refuses_every_truncation_and_a_byte_too_many() {
    let signed = manifest().sign(&key(1)).unwrap();
    let bytes = signed.as_bytes();
    for len in 0..bytes.len() {
        assert!(SignedManifest::decode(&bytes[..len]).is_err(), "cut at {len}");
    }
    let longer = [bytes, &[0]].concat();
    assert!(SignedManifest::decode(&longer).unwrap_err().to_string().contains("bytes follow"));
    let huge = vec![0; 2_000_000];
    assert!(SignedManifest::decode(&huge).unwrap_err().to_string().contains("above the limit"));
}

#[test]
fn refuses_another_signer_domain_or_version() {
    let signed = manifest().sign(&key(1)).unwrap();
    let mut reader = Reader::new(signed.as_bytes());
    reader.tuple(2).unwrap();
    let start = reader.position();
    let body = signed.as_bytes()[start..signed.as_bytes().len() - 66].to_vec();
    let with = |body: &[u8], key: &SecretKey, domain: Domain| {
        let mut writer = Writer::new();
        writer.array(2).raw(body).bytes(key.sign(domain, body).as_bytes());
        SignedManifest::decode(&writer.into_bytes())
    };
    assert_eq!(with(&body, &key(1), Domain::Manifest), Ok(signed));
    let creator = key(1).peer_id();
    assert_eq!(with(&body, &key(2), Domain::Manifest), Err(ManifestError::Signature(creator)));
    assert_eq!(with(&body, &key(1), Domain::LogEntry), Err(ManifestError::Signature(creator)));
    let mut newer = body;
    newer[2] = 2;
    let found = with(&newer, &key(1), Domain::Manifest).unwrap_err().to_string();
    assert!(found.contains("manifest version 1"), "{found}");
}

#[test]
fn only_the_creator_signs() {
    let found = manifest().sign(&key(2)).unwrap_err();
    assert!(matches!(found, ManifestError::NotTheCreator { .. }), "{found}");
}

/// A change makes the manifest unsound, and the error says this.
fn check(change: impl Fn(&mut Manifest), says: &str) {
    let mut changed = manifest();
    change(&mut changed);
    let found = changed.validate().unwrap_err();
    assert!(found.to_string().contains(says), "{says:?} is not in {:?}", found.to_string());
    assert_eq!(changed.sign(&key(1)), Err(ManifestError::Invalid(found)));
}

#[test]
fn refuses_names_that_cannot_be_shown() {
    check(|it| it.name.clear(), "the name has to be 1 to 64 printable bytes");
    check(|it| it.name = "x".repeat(65), "the name");
    check(|it| it.name = "a\u{1b}[31m".to_owned(), "the name");
    check(|it| it.name = " a".to_owned(), "without space at its ends");
    check(|it| it.task.model.clear(), "the task's model");
    check(|it| it.task.data = "x".repeat(129), "the task's data");
}

#[test]
fn refuses_unsound_members() {
    check(|it| it.members.clear(), "0 members");
    check(|it| it.members.swap(0, 1), "out of order");
    check(|it| it.members.insert(1, it.members[0]), "listed twice");
    let many = |it: &mut Manifest| {
        let seed = |number: u32| *ContentHash::of(&number.to_be_bytes()).as_bytes();
        it.members =
            (0..1_025).map(|number| SecretKey::from_seed(&seed(number)).peer_id()).collect();
        it.members.sort_unstable();
    };
    check(many, "1025 members publish in every epoch; draw a committee of at most 1024");
    let mut most = manifest();
    many(&mut most);
    most.members.pop();
    let signed = most.sign(&key(1)).unwrap();
    assert!(SignedManifest::decode(signed.as_bytes()).is_ok());
}

#[test]
fn refuses_more_members_than_a_federation_has() {
    let mut manifest = manifest();
    manifest.members = vec![key(1).peer_id(); 16_385];
    let found = manifest.validate().unwrap_err();
    assert_eq!(found, InvalidManifest::MemberCount(16_385));
}

const COMMITTEE: Committee = Committee { size: 4, nonce: [9; 32], accumulate_epochs_max: 3 };

#[test]
fn refuses_unsound_committees() {
    let drawn = |change: fn(&mut Committee)| {
        move |it: &mut Manifest| {
            let mut committee = COMMITTEE;
            change(&mut committee);
            it.committee = Some(committee);
        }
    };
    check(drawn(|it| it.size = 0), "a committee of 0 among 5 members; choose 1 to 5");
    check(drawn(|it| it.size = 6), "choose 1 to 5");
    check(drawn(|it| it.size = 2), "the quorum 3 is not within 1 and the 2 authors");
    check(drawn(|it| it.accumulate_epochs_max = 0), "change of 0 epochs gathered");
    check(drawn(|it| it.accumulate_epochs_max = 1_025), "choose 1 to 1024");
}

#[test]
fn draws_a_committee_from_the_manifest() {
    let mut drawn = manifest();
    drawn.committee = Some(COMMITTEE);
    let signed = drawn.clone().sign(&key(1)).unwrap();
    assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
    assert_eq!((drawn.attackers(), drawn.setting().authors(1)), (0, 4));
    let policy = signed.admission_policy();
    assert_eq!(policy.steps_max, 30, "three epochs of ten steps");
    let sortition = policy.sortition.expect("a committee");
    let slots = (0..5).flat_map(|member| (0..1_000).map(move |epoch| (member, epoch)));
    let slots = slots
        .map(|(member, epoch)| Slot { member: MemberIndex::new(member), epoch: Epoch::new(epoch) });
    let count = slots.filter(|&slot| sortition.draws(slot)).count();
    assert!((3_800..4_200).contains(&count), "{count} of 5000 slots, four in five expected");
    let ids = [5, 9].map(|byte| {
        let committee = Committee { nonce: [byte; 32], ..COMMITTEE };
        Manifest { committee: Some(committee), ..drawn.clone() }.sign(&key(1)).unwrap().id()
    });
    assert_ne!(ids[0], ids[1]);
    assert_eq!(signed.describe().committee, Some(4));
}

#[test]
fn a_committee_lets_a_federation_be_large() {
    let mut large = manifest();
    let seed = |number: u32| *ContentHash::of(&number.to_be_bytes()).as_bytes();
    large.members =
        (0..3_000).map(|number| SecretKey::from_seed(&seed(number)).peer_id()).collect();
    large.members.sort_unstable();
    large.committee = Some(Committee { size: 64, ..COMMITTEE });
    let signed = large.clone().sign(&key(1)).unwrap();
    assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed));
    large.committee = Some(Committee { size: 1_024, ..COMMITTEE });
    large.bounds.summary_window = 17;
    assert_eq!(large.validate(), Err(InvalidManifest::SummarySlots(17 * 1_024)));
}

#[test]
fn refuses_unsound_recipes() {
    check(|it| it.recipe.quorum = 0, "a quorum of 0 distinct authors among 5");
    check(|it| it.recipe.quorum = 6, "choose a quorum of 1 to 5");
    check(
        |it| it.recipe.rule = Rule::TrimmedMean { trim: Trim::Fixed(2) },
        "leaves nothing of a quorum of 3",
    );
    check(|it| it.attacker_share_permille = 500, "no rule survives half");
}

#[test]
fn refuses_unsound_seals() {
    let seal = |window_epochs, every_epochs, epochs| {
        let seal = Some(SealPolicy { window_epochs, every_epochs });
        Manifest { seal, epochs, ..manifest() }.validate()
    };
    let least = u32::from(manifest().bounds.summary_window);
    let short = InvalidManifest::SealWindow { found: least - 1, least };
    assert_eq!(seal(least - 1, 3, 100), Err(short));
    assert_eq!(seal(least, 0, 100), Err(InvalidManifest::SealEvery(0)));
    // The first attempt with an end begins in the first multiple of 3 above the window.
    let first = least / 3 * 3 + 3;
    let never = InvalidManifest::SealNever { epochs: first, every: 3, window: least };
    assert!(!never.to_string().contains("  "), "{never}");
    assert_eq!(seal(least, 3, first), Err(never));
    assert_eq!(seal(least, 3, first + 1), Ok(()));
}

/// What a manifest's body would be, signed by its creator.
fn signed_body(body: &[u8]) -> Result<SignedManifest, ManifestError> {
    let mut writer = Writer::new();
    writer.array(2).raw(body).bytes(key(1).sign(Domain::Manifest, body).as_bytes());
    SignedManifest::decode(&writer.into_bytes())
}

fn body_of(signed: &SignedManifest) -> Vec<u8> {
    signed.as_bytes()[1..signed.as_bytes().len() - 66].to_vec()
}

/// A manifest of 40 epochs, with or without seals.
fn with_encoding(encoding: Encoding, seals: bool) -> Manifest {
    let seal = SealPolicy { window_epochs: 12, every_epochs: 3 };
    Manifest { epochs: 40, encoding, seal: seals.then_some(seal), ..manifest() }
}

#[test]
fn an_encoding_stands_behind_all_else_and_only_where_it_is_not_int8() {
    let half = Share::new(5_000).unwrap();
    for (encoding, bytes) in [
        (Encoding::Int8Coded, &[0x11, 0x81, 1][..]),
        (Encoding::Int4, &[0x11, 0x81, 2]),
        (Encoding::TERNARY, &[0x11, 0x82, 3, 0x19, 0x0c, 0xe4]),
        (
            Encoding::RandK { share: half, levels: Levels::Seven },
            &[0x11, 0x83, 4, 0x19, 0x13, 0x88, 7],
        ),
    ] {
        for seals in [false, true] {
            let plain = with_encoding(Encoding::Int8, seals).sign(&key(1)).unwrap();
            let signed = with_encoding(encoding, seals).sign(&key(1)).unwrap();
            assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
            let mut expected = [&body_of(&plain), bytes].concat();
            expected[0] += 1;
            assert_eq!(body_of(&signed), expected);
            assert_eq!(signed.admission_policy().encoding, encoding);
            assert_eq!(signed.describe().encoding, encoding.to_string());
            assert!(signed.describe().to_string().contains(&format!("updates     {encoding}, ")));
        }
    }
}

#[test]
fn refuses_an_encoding_that_is_int8_or_none_or_out_of_place() {
    let plain = |seals| body_of(&with_encoding(Encoding::Int8, seals).sign(&key(1)).unwrap());
    for seals in [false, true] {
        for (pairs, more, says) in [
            (1, &[0x11, 0x81, 0][..], "an encoding other than int8, which has no pair"),
            (1, &[0x11, 0x81, 6], "malformed"),
            (1, &[0x11, 0x82, 3, 0], "a share of 1 to 10000"),
            (1, &[0x13, 0x81, 2], "malformed"),
            (1, &[], "malformed"),
            (0, &[0x11, 0x81, 2], "malformed"),
            (2, &[0x11, 0x81, 2, 0x13, 0x81, 2], "malformed"),
        ] {
            let mut body = [&plain(seals), more].concat();
            body[0] += pairs;
            let found = signed_body(&body).unwrap_err().to_string();
            assert!(found.contains(says), "{more:02x?}: {found}");
        }
    }
    // The seal comes first.
    let sealed = plain(true);
    let at = plain(false).len();
    let mut swapped = [&sealed[..at], &[0x11, 0x81, 2], &sealed[at..]].concat();
    swapped[0] += 1;
    assert!(signed_body(&swapped).is_err());
}

#[test]
fn refuses_an_encoding_that_the_recipe_cannot_merge() {
    check(|it| it.encoding = Encoding::TOP_K, "top-k updates with a recipe that trims or mixes");
    let pooled = |it: &mut Manifest| {
        (it.encoding, it.recipe.pool) = (Encoding::RAND_K, PoolSpan::new(2).unwrap());
    };
    check(pooled, "rand-k updates with a recipe that pools epochs");
    let mut mean = manifest();
    (mean.encoding, mean.recipe.rule) = (Encoding::TOP_K, Rule::Mean);
    assert_eq!(mean.validate(), Ok(()));
}

#[test]
fn refuses_unsound_times() {
    check(|it| it.epoch_length = Span::from_ms(99), "epochs of 99 ms; choose 100 ms to");
    check(|it| it.epoch_length = Span::from_ms(u64::MAX), "epochs of");
    check(|it| it.epochs = 0, "0 epochs; choose 1 to 1000000");
    check(|it| it.epochs = 1_000_001, "begins training anew");
    check(|it| it.start = Timestamp::from_dtn_ms(u64::MAX), "check its unit");
    check(|it| it.bounds.bundle_lifetime = Span::from_ms(999), "choose one epoch (1000 ms) to");
    check(|it| it.bounds.bundle_lifetime = Span::from_ms(u64::MAX), "bundles that live");
}

#[test]
fn refuses_unsound_training_and_bounds() {
    check(|it| it.training.steps = 0, "the number of steps is 0; choose 1 to 100000");
    check(|it| it.training.batch = 4_097, "the batch size is 4097");
    check(|it| it.training.rate_micro = 0, "the learning rate in millionths is 0");
    check(|it| it.bounds.norm_max = NormBound::from_units(0), "refuses every update");
    check(|it| it.bounds.payload_bytes_max = 40, "this schema needs");
    check(|it| it.bounds.payload_bytes_max = u32::MAX, "to 268435456");
    check(|it| it.bounds.summary_window = 0, "choose 1 to 32");
    check(|it| it.bounds.summary_window = 33, "choose 1 to 32");
}

#[test]
fn reading_checks_soundness_too() {
    let good = manifest().sign(&key(1)).unwrap();
    // The encoding of a recipe with quorum 3 ends in 3; make it 9 and sign again.
    let body = &good.as_bytes()[1..good.as_bytes().len() - 66];
    let recipe = [0x0b, 0x86, 0x82, 1, 1, 1, 3];
    let at = body.windows(recipe.len()).position(|window| window == recipe).unwrap();
    let mut body = body.to_vec();
    body[at + recipe.len() - 1] = 9;
    let mut writer = Writer::new();
    writer.array(2).raw(&body).bytes(key(1).sign(Domain::Manifest, &body).as_bytes());
    let found = SignedManifest::decode(&writer.into_bytes());
    let expected = InvalidManifest::Quorum { quorum: 9, members: 5 };
    assert_eq!(found, Err(ManifestError::Invalid(expected)));
}

#[test]
fn cuts_time_into_epochs() {
    let manifest = manifest();
    let at = |ms: i64| Timestamp::from_dtn_ms(manifest.start.dtn_ms().saturating_add_signed(ms));
    for (ms, epoch, or_last) in [
        (-1, None, 0),
        (0, Some(0), 0),
        (999, Some(0), 0),
        (1_000, Some(1), 1),
        (7_999, Some(7), 7),
        (8_000, None, 7),
        (i64::MAX, None, 7),
    ] {
        assert_eq!(manifest.epoch_at(at(ms)), epoch.map(Epoch::new), "at {ms}");
        assert_eq!(manifest.epoch_or_last(at(ms)), Epoch::new(or_last), "at {ms}");
        assert_eq!(manifest.is_over(at(ms)), ms >= 8_000, "at {ms}");
    }
    for epoch in (0..8).map(Epoch::new) {
        assert_eq!(manifest.epoch_at(manifest.epoch_start(epoch)), Some(epoch));
    }
}

#[test]
fn knows_its_members_by_index() {
    let manifest = manifest();
    for (index, peer) in manifest.members.iter().enumerate() {
        let found = manifest.member_index(peer).unwrap();
        assert_eq!((found.index(), manifest.member(found)), (index, Some(*peer)));
    }
    assert_eq!(manifest.member_index(&key(9).peer_id()), None);
    assert_eq!(manifest.attackers(), 1);
}

#[test]
fn policies_follow_from_the_manifest() {
    let signed = manifest().sign(&key(1)).unwrap();
    let policy = signed.admission_policy();
    assert_eq!(policy.federation, signed.id().hash());
    assert_eq!((policy.members, policy.epochs, policy.summary_window), (5, 8, 12));
    let limits = signed.bundle_limits();
    assert_eq!(limits.payload_bytes_max, 1_024);
    assert_eq!(limits.lifetime_max, signed.manifest().bounds.bundle_lifetime);
    assert!(limits.header_bytes_max >= policy.header_limits().bytes_max());
}

#[test]
fn describes_itself_for_programs_and_people() {
    let signed = manifest().sign(&key(1)).unwrap();
    let summary = signed.describe();
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["federation"], signed.id().to_string());
    assert_eq!(json["rule"], "trimmed-mean:1");
    assert_eq!(json["encoding"], "int8");
    assert_eq!(json["norm_max"], "4.000");
    assert_eq!(json["members"].as_array().unwrap().len(), 5);
    assert!(summary.to_string().contains("linear:8-4 on edgesense"));
}

/// A manifest of members under these trust roots.
fn with_trust_roots(roots: &[u16], buckets: Buckets) -> Manifest {
    let plain = manifest();
    let recipe = Recipe { buckets, ..plain.recipe };
    Manifest { recipe, trust_roots: roots.to_vec(), ..plain }
}

#[test]
fn trust_roots_stand_last_and_go_with_buckets_by_root() {
    let members = manifest().members.len();
    let mut roots = vec![7; members];
    roots[0] = 0;
    // Four of five members are under one root: one of the five may attack, so three votes are the least.
    let by_root = Buckets::ByRoot(2);
    let signed = with_trust_roots(&roots, by_root).sign(&key(1)).unwrap();
    assert_eq!(SignedManifest::decode(signed.as_bytes()), Ok(signed.clone()));
    assert_eq!(signed.manifest().trust_roots, roots);
    let body = body_of(&signed);
    assert!(
        body.ends_with(&[&[0x12, 0x80 + members as u8, 0][..], &vec![7; members - 1]].concat())
    );
    let shown = signed.describe().to_string();
    assert!(shown.contains("buckets 2 of each trust root") && shown.contains("trust root 7"));
    for (roots, buckets) in [
        (&roots[..], Buckets::None),
        (&roots[..], Buckets::ByRoot(1)),
        (&[], by_root),
        (&roots[1..], by_root),
        (&vec![0; members][..], by_root),
        (&vec![0; members][..], Buckets::None),
    ] {
        let found = with_trust_roots(roots, buckets).sign(&key(1));
        assert!(found.is_err(), "{roots:?} {buckets:?}");
    }
    // None listed, one beyond 16 bits, and something behind them.
    let plain = &body[..body.len() - members - 2];
    for wrong in [&[0x12, 0x80][..], &[0x12, 0x81, 0x1a, 0, 1, 0, 0], &[0x13, 0x81, 1]] {
        let found = signed_body(&[plain, wrong].concat()).unwrap_err().to_string();
        assert!(found.contains("malformed"), "{wrong:02x?}: {found}");
    }
}
