//! Honest files verify and replay; dishonest ones do not.

use std::sync::Arc;

use longhaul_aggregation::{
    Cohorts, Encoding, Epoch, Minimum, Mix, ModelId, PoolSpan, Recipe, Rule, Small, Trim,
};
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::audit::{AuditReport, Detection, ExportError, Verdict, export};
use longhaul_registry::{FederationId, LogWriter, Manifest, Record, SignedEntry};

use crate::world::{
    Author, EPOCHS, TWIN_EPOCH, World, key, manifest, raw_file, replay_file, seal, verify_file,
};

fn written(world: &World, entries: &[SignedEntry]) -> Vec<u8> {
    raw_file(&world.manifest, entries, &world.payloads_in_order())
}

fn detections(report: &AuditReport) -> Vec<Detection> {
    report.problems.iter().map(|problem| problem.detected_by).collect()
}

/// Both checks of `bytes` fail, and `detection` is among what found problems.
fn check_fails(bytes: &[u8], detection: Detection, message: &str) {
    for report in [verify_file(bytes, None), replay_file(bytes, None)] {
        assert_eq!(report.verdict, Verdict::Failed, "{report}");
        let found = report
            .problems
            .iter()
            .any(|problem| problem.detected_by == detection && problem.message.contains(message));
        assert!(found, "no {detection} problem about {message:?}:\n{report}");
        assert_eq!(report.model_id(), None);
    }
}

#[test]
fn an_honest_file_verifies_and_replays_to_its_model() {
    let mut world = World::new();
    let bytes = world.file();
    let verified = verify_file(&bytes, Some(world.manifest.id()));
    assert_eq!(verified.verdict, Verdict::Verified, "{verified}");
    assert_eq!(verified.model_id(), None);
    let replayed = replay_file(&bytes, Some(world.manifest.id()));
    assert_eq!(replayed.verdict, Verdict::Verified, "{replayed}");
    let model = world.fold.model_id().to_string();
    assert_eq!(replayed.model_id(), Some(model.as_str()));
    let replay = replayed.replay.unwrap();
    assert_eq!(replay.set_root, world.fold.set_root().to_string());
    assert_eq!(replay.versions_checked, u64::from(EPOCHS));
}

#[test]
fn a_file_of_any_encoding_replays_to_its_model() {
    let mut models = std::collections::BTreeSet::new();
    for encoding in [Encoding::Int8, Encoding::Int4, Encoding::TERNARY, Encoding::RAND_K] {
        let mut world = World::of(Manifest { encoding, ..manifest() }, 5);
        let report = replay_file(&world.file(), Some(world.manifest.id()));
        assert_eq!(report.verdict, Verdict::Verified, "{encoding}: {report}");
        let model = world.fold.model_id().to_string();
        assert_eq!(report.model_id(), Some(model.as_str()), "{encoding}");
        models.insert(model);
    }
    assert_eq!(models.len(), 4);
}

#[test]
fn payloads_of_another_encoding_fail() {
    let mut world = World::of(Manifest { encoding: Encoding::TERNARY, ..manifest() }, 5);
    let made = Author::with(5, Encoding::Int4).publish(&world.manifest, &mut world.fold, 6, 9);
    let from = key(2).peer_id();
    world.insert_before_tip(Record::Accept { head: made.head.encode(), from });
    world.payloads.insert(made.head.payload_hash(), made.payload);
    check_fails(&world.file(), Detection::Admission, "the coded values are not well-formed");
}

#[test]
fn replays_versions_whose_terms_later_headers_changed() {
    // F = 2, so the cohorts of four wait until three headers of the next epochs speak
    // for their slots.
    let mut manifest = manifest();
    manifest.attacker_share_permille = 499;
    manifest.recipe = Recipe {
        rule: Rule::TrimmedMean { trim: Trim::Auto },
        mix: Mix::NearestNeighbours,
        cohorts: Some(Cohorts {
            threshold_permille: Cohorts::THRESHOLD_PERMILLE,
            minimum: Minimum::Fixed(2),
            small: Small::Vouch,
        }),
        pool: PoolSpan::new(4).unwrap(),
        ..manifest.recipe
    };
    let mut world = World::of(manifest, 4);
    let replayed = replay_file(&world.file(), None);
    assert_eq!(replayed.verdict, Verdict::Verified, "{replayed}");
    assert_eq!(replayed.model_id(), Some(world.fold.model_id().to_string().as_str()));
    let replay = replayed.replay.unwrap();
    assert_eq!(replay.versions_checked, u64::from(EPOCHS));
    let counted: Vec<u64> = replay.epochs.iter().map(|it| it.counted).collect();
    assert_eq!((counted[0], counted[7]), (4, 0), "{counted:?}");
}

#[test]
fn a_report_tells_who_contributed_and_what_was_refused() {
    let world = World::new();
    let report = replay_file(&world.file(), None);
    assert_eq!((report.updates_own, report.updates_repeated), (8, 0));
    // Of 33 updates of others, those that would come in epoch 8 are not there.
    let contributed: u64 = report.contributors.iter().map(|it| it.updates).sum();
    assert_eq!(contributed, report.updates_own + report.updates_accepted);
    assert_eq!(report.contributors.len(), 5);
    assert_eq!(report.refused.len(), 1);
    assert_eq!((report.refused[0].reason.as_str(), report.refused[0].count), ("norm-bound", 8));
    let replay = report.replay.unwrap();
    assert_eq!(replay.epochs.len(), 8);
    let twin = &replay.epochs[TWIN_EPOCH as usize];
    assert!(twin.voids >= 1 && twin.quorate, "{twin:?}");
    let pair = &replay.equivocations[0];
    assert_eq!((pair.reason, pair.first.epoch), ("twin", TWIN_EPOCH));
    let two_faced = key(crate::world::TWO_FACED).peer_id().to_string();
    assert!(replay.equivocations.iter().all(|it| it.peer == two_faced));
}

#[test]
fn the_exporter_writes_what_the_documentation_says() {
    let world = World::new();
    assert_eq!(world.file(), written(&world, &world.entries()));
}

#[test]
fn a_pin_refuses_another_federation() {
    let world = World::new();
    let other = FederationId::from_hash(ContentHash::of(b"another"));
    for report in [verify_file(&world.file(), Some(other)), replay_file(&world.file(), Some(other))]
    {
        assert_eq!(report.verdict, Verdict::Failed);
        assert_eq!(detections(&report), [Detection::Federation]);
    }
}

#[test]
fn a_missing_payload_makes_the_audit_incomplete() {
    let world = World::new();
    for missing in [0, 7, 20] {
        let (&gone, _) = world.payloads.iter().nth(missing).unwrap();
        let mut bytes = Vec::new();
        let payload =
            |hash: &ContentHash| Ok(world.payloads.get(hash).filter(|_| *hash != gone).cloned());
        let exported = export(&world.manifest, &world.entries(), payload, &mut bytes).unwrap();
        assert_eq!(exported.missing, [gone]);
        assert_eq!(exported.bytes, bytes.len() as u64);
        for report in [verify_file(&bytes, None), replay_file(&bytes, None)] {
            assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
            assert_eq!(report.missing, [gone.to_string()]);
            assert!(report.replay.is_none() && report.problems.is_empty());
        }
    }
}

#[test]
fn an_incomplete_file_is_replayed_up_to_the_gap() {
    let mut world = World::new();
    let first = world.records.iter().position(|(_, it)| it.kind() == "version").unwrap();
    let Record::Version { model, .. } = &mut world.records[first].1 else { panic!("a version") };
    *model = ModelId::from_hash(ContentHash::of(b"poisoned"));
    let mut payloads = world.payloads_in_order();
    payloads.pop();
    let report = replay_file(&raw_file(&world.manifest, &world.entries(), &payloads), None);
    assert_eq!((report.verdict, report.missing_count), (Verdict::Failed, 1), "{report}");
    assert_eq!(detections(&report), [Detection::Replay]);
    assert_eq!(report.problems[0].entry, Some(first as u64));
}

#[test]
fn a_dropped_doubled_or_swapped_entry_is_found() {
    let world = World::new();
    let entries = world.entries();
    let last = entries.len() - 1;
    for at in 0..last {
        let dropped = [&entries[..at], &entries[at + 1..]].concat();
        let doubled = [&entries[..=at], &entries[at..]].concat();
        let mut swapped = entries.clone();
        swapped.swap(at, at + 1);
        for entries in [dropped, doubled, swapped] {
            let report = verify_file(&written(&world, &entries), None);
            assert_eq!(report.verdict, Verdict::Failed, "at {at}");
            assert_eq!(detections(&report)[0], Detection::Chain, "at {at}");
        }
    }
    check_fails(&written(&world, &entries[..last]), Detection::Chain, "not a version");
    check_fails(&written(&world, &[]), Detection::Chain, "no log entry");
}

#[test]
fn an_entry_of_another_author_is_found() {
    let world = World::new();
    let mut entries = world.entries();
    let mut other = LogWriter::new(key(2));
    let (now, genesis) = world.records[0].clone();
    other.append(now, genesis);
    entries[1] = other.append(now, entries[1].record().clone());
    check_fails(&written(&world, &entries), Detection::Chain, "the log belongs to");
}

#[test]
fn a_forged_version_is_found_by_replay_only() {
    let forge = |change: fn(&mut Record)| {
        let mut world = World::new();
        let at = world.records.len() - 1;
        change(&mut world.records[at].1);
        let bytes = world.file();
        assert_eq!(verify_file(&bytes, None).verdict, Verdict::Verified);
        let report = replay_file(&bytes, None);
        assert_eq!(report.verdict, Verdict::Failed, "{report}");
        assert_eq!(detections(&report), [Detection::Replay]);
        assert_eq!(report.model_id(), None);
    };
    forge(|record| {
        let Record::Version { model, .. } = record else { panic!("the tip is a version") };
        *model = ModelId::from_hash(ContentHash::of(b"poisoned"));
    });
    forge(|record| {
        let Record::Version { set_root, .. } = record else { panic!("the tip is a version") };
        *set_root = ContentHash::of(b"another set");
    });
    forge(|record| {
        let Record::Version { updates, .. } = record else { panic!("the tip is a version") };
        *updates += 1;
    });
}

#[test]
fn an_update_left_out_of_a_re_signed_log_is_found_by_replay() {
    let mut world = World::new();
    let accept = world.records.iter().position(|(_, it)| it.kind() == "accept").unwrap();
    world.records.remove(accept);
    let report = replay_file(&world.file(), None);
    assert_eq!(detections(&report)[0], Detection::Replay, "{report}");
}

#[test]
fn accepting_an_inadmissible_update_is_found() {
    for (from, change) in [
        ("not a member", 9),
        ("federation", 10),
        ("beyond the 8 epochs", 11),
        ("not have the hash", 12),
        ("chunks", 13),
    ] {
        let mut world = World::new();
        let mut author = Author::new(if change == 9 { 9 } else { 2 });
        let good = author.publish(&world.manifest, &mut world.manifest.fold(), 0, 7);
        let mut header = Author::new(2).header(
            &world.manifest,
            &mut world.manifest.fold(),
            Epoch::new(0),
            &good.payload,
        );
        let mut payload = good.payload.clone();
        match change {
            10 => header.federation = ContentHash::of(b"another"),
            11 => {
                header = author.header(&world.manifest, &mut world.fold, Epoch::new(8), &payload);
            }
            12 => header.payload = ContentHash::of(b"another"),
            13 => {
                payload = Arc::from(&[0x80_u8][..]);
                header.payload = ContentHash::of(&payload);
            }
            _ => {}
        }
        let key = key(if change == 9 { 9 } else { 2 });
        let bad = seal(&world.manifest, &key, &header, &payload);
        world.payloads.insert(bad.head.payload_hash(), payload);
        world.insert_before_tip(Record::Accept { head: bad.head.encode(), from: key.peer_id() });
        check_fails(&world.file(), Detection::Admission, from);
    }
}

#[test]
fn an_update_above_the_norm_bound_is_found() {
    let mut world = World::new();
    // 127 * 2^20 units in 32 entries: a norm of about 45, the bound is 4.
    let mut writer = longhaul_dtn::codec::Writer::new();
    writer.array(2);
    writer.array(2).unsigned(20).bytes(&[127; 32]).array(2).unsigned(0).bytes(&[0; 4]);
    let payload: Arc<[u8]> = writer.into_bytes().into();
    let fold = &mut world.manifest.fold();
    let header = Author::new(3).header(&world.manifest, fold, Epoch::new(0), &payload);
    let bad = seal(&world.manifest, &key(3), &header, &payload);
    world.payloads.insert(bad.head.payload_hash(), payload);
    world.insert_before_tip(Record::Accept { head: bad.head.encode(), from: key(3).peer_id() });
    check_fails(&world.file(), Detection::Admission, "above the bound");
}

#[test]
fn a_foreign_update_recorded_as_own_is_found() {
    let mut world = World::new();
    let accept = world.records.iter().position(|(_, it)| it.kind() == "accept").unwrap();
    let head = world.records[accept].1.head().unwrap().to_vec();
    world.records[accept].1 = Record::Update { head };
    check_fails(&world.file(), Detection::Admission, "as the exporter's own");
}

#[test]
fn a_head_with_a_wrong_signature_is_found_although_the_log_vouches_for_it() {
    let mut world = World::new();
    let at = world.records.iter().position(|(_, it)| it.kind() == "accept").unwrap();
    let Record::Accept { head, from } = world.records[at].1.clone() else { panic!("an accept") };
    for byte in (0..head.len()).step_by(7) {
        let mut head = head.clone();
        head[byte] ^= 1;
        world.records[at].1 = Record::Accept { head, from };
        let bytes = raw_file(&world.manifest, &world.entries(), &[]);
        let report = verify_file(&bytes, None);
        assert_eq!(report.verdict, Verdict::Failed, "byte {byte}");
        assert_eq!(report.problems[0].entry, Some(at as u64));
    }
}

#[test]
fn a_recorded_repeat_changes_nothing() {
    let mut world = World::new();
    let accept = world.records.iter().position(|(_, it)| it.kind() == "accept").unwrap();
    world.insert_before_tip(world.records[accept].1.clone());
    let report = replay_file(&world.file(), None);
    assert_eq!((report.verdict, report.updates_repeated), (Verdict::Verified, 1), "{report}");
}

#[test]
fn surplus_doubled_and_reordered_payloads_are_found() {
    let world = World::new();
    let entries = world.entries();
    let good = world.payloads_in_order();
    let mut surplus = good.clone();
    surplus.insert(3, b"smuggled".to_vec());
    let bytes = raw_file(&world.manifest, &entries, &surplus);
    check_fails(&bytes, Detection::ContentHash, "payload 3 of the file");
    let doubled = [&good[..], &good[..1]].concat();
    check_fails(&raw_file(&world.manifest, &entries, &doubled), Detection::Format, "twice");
    let mut swapped = good.clone();
    swapped.swap(4, 5);
    check_fails(&raw_file(&world.manifest, &entries, &swapped), Detection::Format, "order");
}

#[test]
fn the_log_of_another_federation_is_found() {
    let mut world = World::new();
    let federation = FederationId::from_hash(ContentHash::of(b"another"));
    world.records[0].1 = Record::Genesis { federation };
    let bytes = written(&world, &world.entries());
    check_fails(&bytes, Detection::Federation, "the log belongs to federation");
}

#[test]
fn an_exporter_that_is_no_member_is_found() {
    let world = World::new();
    let stranger = key(9);
    let mut writer = LogWriter::new(stranger.clone());
    // A stranger accepts everything that the member's log holds.
    let records = world.records.iter().map(|(now, record)| match record.clone() {
        Record::Update { head } => (*now, Record::Accept { head, from: key(1).peer_id() }),
        other => (*now, other),
    });
    let entries: Vec<_> = records.map(|(now, record)| writer.append(now, record)).collect();
    let message = format!("the exporter {} is not a member", stranger.peer_id());
    check_fails(&written(&world, &entries), Detection::Federation, &message);
}

#[test]
fn updates_on_other_terms_of_transport_are_found() {
    let start = manifest().start;
    for (created, lifetime_ms, message) in [
        (start, 3_599_999, "lives 3599999 ms"),
        (Timestamp::from_dtn_ms(start.dtn_ms() - 1), 3_600_000, "before the federation began"),
    ] {
        let mut world = World::new();
        let mut author = Author::new(2);
        let good = author.publish(&world.manifest, &mut world.manifest.fold(), 0, 7);
        let draft = BundleDraft {
            destination: Eid::dtn(&world.manifest.id().to_string(), "updates").unwrap(),
            created,
            sequence: 99,
            lifetime: Span::from_ms(lifetime_ms),
            hop_limit: 64,
            header: good.head.header().to_vec(),
            payload: &good.payload,
        };
        let head = BundleHead::seal(draft, &key(2)).unwrap();
        world.insert_before_tip(Record::Accept { head: head.encode(), from: key(2).peer_id() });
        check_fails(&world.file(), Detection::Admission, message);
    }
}

#[test]
fn a_manifest_of_another_signer_is_found() {
    let world = World::new();
    let mut other = manifest();
    other.creator = key(2).peer_id();
    let other = other.sign(&key(2)).unwrap();
    let bytes = raw_file(&other, &world.entries(), &world.payloads_in_order());
    check_fails(&bytes, Detection::Federation, "the manifest is");
}

#[test]
fn a_version_beyond_the_last_epoch_is_found() {
    let mut world = World::new();
    world.record_version(Timestamp::default(), EPOCHS);
    check_fails(&world.file(), Detection::Admission, "beyond the last");
}

#[test]
fn the_exporter_stops_at_the_last_version() {
    let mut world = World::new();
    let expected = world.file();
    let from = key(2).peer_id();
    world.records.push((Timestamp::default(), Record::Refuse { bundle: None, from, code: 5 }));
    let mut bytes = Vec::new();
    let payload = |hash: &ContentHash| Ok(world.payloads.get(hash).cloned());
    let exported = export(&world.manifest, &world.entries(), payload, &mut bytes).unwrap();
    assert_eq!((bytes, exported.entries_left_out), (expected, 1));
}

#[test]
fn the_exporter_refuses_a_damaged_store() {
    let world = World::new();
    let entries = world.entries();
    let run = |entries: &[SignedEntry], payload: Option<Arc<[u8]>>| {
        export(&world.manifest, entries, |_| Ok(payload.clone()), &mut Vec::new())
    };
    let broken = [&entries[..3], &entries[4..]].concat();
    assert!(matches!(run(&entries[..1], None), Err(ExportError::NoVersion)));
    assert!(matches!(run(&broken, None), Err(ExportError::Log(_))));
    let wrong: Arc<[u8]> = Arc::from(&b"rotten"[..]);
    assert!(matches!(run(&entries, Some(wrong)), Err(ExportError::Payload(_))));
    let mut foreign = World::new();
    let federation = FederationId::from_hash(ContentHash::of(b"another"));
    foreign.records[0].1 = Record::Genesis { federation };
    assert!(matches!(run(&foreign.entries(), None), Err(ExportError::ForeignLog(_))));
    foreign.records[0].1 = world.records[0].1.clone();
    foreign.records[1].1 = Record::Update { head: vec![0x9f] };
    let found = run(&foreign.entries(), None);
    assert!(matches!(found, Err(ExportError::Head { sequence: 1, .. })));
}

#[test]
fn a_report_keeps_its_field_names() {
    let report = replay_file(&World::new().file(), None);
    let json = serde_json::to_value(&report).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "aggregates",
        "aggregates_verified",
        "carried",
        "check",
        "closed_count",
        "closed_keys",
        "contributions",
        "contributors",
        "entries",
        "exporter",
        "federation",
        "keys",
        "missing",
        "missing_count",
        "name",
        "payload_bytes",
        "payloads",
        "problem_count",
        "problems",
        "refused",
        "replay",
        "report",
        "sealed_missing",
        "seals",
        "tip",
        "updates_accepted",
        "updates_own",
        "updates_repeated",
        "verdict",
        "versions",
        "versions_skipped",
        "votes",
    ];
    assert_eq!(names, expected);
    assert_eq!(json["verdict"], "verified");
    assert_eq!(json["tip"]["model"], json["replay"]["model"]);
    assert!(report.to_string().contains("verdict     verified"));
}
