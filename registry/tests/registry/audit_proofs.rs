//! Audits of federations whose updates are proved: with payloads and without, with keys and without.

use std::sync::{Arc, LazyLock};

use longhaul_aggregation::{Epoch, Update};
use longhaul_dtn::bundle::{BundleHead, Prepared};
use longhaul_dtn::keyring::Keyring;
use longhaul_registry::audit::{
    AuditFile, AuditReport, Check, Detection, Expected, PROOFS_AT_ONCE, Verdict, audit, audit_file,
    export_without_payloads,
};
use longhaul_registry::{ProofCurve, Record, SignedEntry};

use crate::proving::{prove, proven, prover};
use crate::world::{
    Author, Published, World, key, manifest, prepare, private, raw_file, seal, shared,
};

const AUTHORS: u8 = 3;
/// Updates of three authors in eight epochs, those of the last that come too late left out.
const UPDATES: u64 = 23;

static CLEAR: LazyLock<World> =
    LazyLock::new(|| World::of(proven(manifest(), ProofCurve::Bn254), AUTHORS));
static PRIVATE: LazyLock<World> =
    LazyLock::new(|| World::of(proven(private(), ProofCurve::Bn254), AUTHORS));

/// A world of proved updates, in clear.
pub fn clear() -> World {
    CLEAR.clone()
}

/// The same of encrypted ones.
pub fn encrypted() -> World {
    PRIVATE.clone()
}

/// An auditor that has the federation's key.
pub fn member() -> Expected {
    let mut keys = Keyring::default();
    keys.add(shared());
    Expected { federation: None, keys }
}

fn without_payloads(world: &World) -> Vec<u8> {
    let mut out = Vec::new();
    let exported = export_without_payloads(&world.manifest, &world.entries(), &mut out).unwrap();
    assert_eq!((exported.payloads, exported.bytes), (0, out.len() as u64));
    out
}

fn with_prover(bytes: &[u8], expected: &Expected) -> AuditReport {
    let file = AuditFile::parse(bytes).unwrap();
    let prover = prover(file.manifest());
    audit_file(&file, Check::Replay, expected, Some(&*prover))
}

/// An update that says what `salt` makes it say, before it is signed.
pub fn draft(world: &World, salt: u8) -> (Prepared, Arc<[u8]>, Update) {
    let mut payload = longhaul_dtn::codec::Writer::new();
    payload.array(2);
    payload.array(2).unsigned(3).bytes(&[salt; 32]).array(2).unsigned(2).bytes(&[1; 4]);
    let payload: Arc<[u8]> = payload.into_bytes().into();
    let update = Update::decode(payload.clone(), &world.manifest.manifest().schema).unwrap();
    let (prepared, _) = around(world, &payload);
    (prepared, payload, update)
}

/// A bundle of member 5 for epoch 7 around any payload, not yet signed, and what travels.
pub fn around(world: &World, payload: &Arc<[u8]>) -> (Prepared, Arc<[u8]>) {
    let fold = &mut world.manifest.fold();
    let header = Author::new(5).header(&world.manifest, fold, Epoch::new(7), payload);
    prepare(&world.manifest, &key(5), &header, payload)
}

fn accepted(world: &mut World, head: &BundleHead) {
    let from = key(2).peer_id();
    world.insert_before_tip(Record::Accept { head: head.encode(), from });
}

/// The one problem of a report is at the entry in front of the tip.
fn check_named(report: &AuditReport, world: &World, says: &str) {
    assert_eq!((report.verdict, report.problem_count), (Verdict::Failed, 1), "{report}");
    let problem = &report.problems[0];
    assert_eq!(problem.detected_by, Detection::Proof, "{report}");
    assert_eq!(problem.entry, Some(world.records.len() as u64 - 2), "{report}");
    assert!(problem.message.contains(says), "{problem:?} does not say {says:?}");
    assert!(report.to_string().contains("found by proof: entry "), "{report}");
}

#[test]
fn the_proofs_of_a_whole_log_are_verified_and_reported() {
    let mut world = clear();
    let report = audit(&world.file(), Check::Replay, &Expected::default());
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert_eq!(report.model_id(), Some(world.fold.model_id().to_string().as_str()));
    let proofs = report.proofs.as_ref().unwrap();
    assert_eq!((proofs.verified, proofs.refused), (UPDATES, 0));
    assert_eq!((proofs.curve.as_str(), proofs.development_keys), ("bn254", true));
    assert_eq!((proofs.proving_keys, proofs.commitments_compared), (false, 0));
    let text = report.to_string();
    assert!(text.contains("proofs      23 hold, 0 do not, on bn254\n"), "{text}");
    assert!(text.contains("--proving-keys DIR"), "{text}");
    assert!(text.contains("WARNING     the keys are for development"), "{text}");
}

#[test]
fn audits_without_proofs_say_nothing_of_them() {
    let world = World::new();
    let report = audit(&world.file(), Check::Verify, &Expected::default());
    let json = serde_json::to_value(&report).unwrap();
    assert!(json.get("proofs").is_none() && json.get("without_payloads").is_none());
    assert!(!report.to_string().contains("proofs"));
    let json = serde_json::to_value(audit(&clear().file(), Check::Verify, &member())).unwrap();
    assert_eq!(json["proofs"]["verified"], UPDATES);
}

#[test]
fn commitments_are_compared_with_payloads_that_can_be_read() {
    for (world, expected, compared) in [
        (clear(), Expected::default(), UPDATES),
        (encrypted(), member(), UPDATES),
        (encrypted(), Expected::default(), 0),
    ] {
        let report = with_prover(&world.file(), &expected);
        let verdict = if compared > 0 { Verdict::Verified } else { Verdict::Incomplete };
        assert_eq!(report.verdict, verdict, "{report}");
        let proofs = report.proofs.as_ref().unwrap();
        assert!(proofs.proving_keys && proofs.verified == UPDATES, "{report}");
        assert_eq!(proofs.commitments_compared, compared);
        assert!(report.to_string().contains(&format!("{compared} are about the payloads")));
    }
}

#[test]
fn a_proof_about_another_update_is_found_by_whoever_compares() {
    for mut world in [clear(), encrypted()] {
        let ((prepared, payload, _), (_, _, other)) = (draft(&world, 9), draft(&world, 8));
        let (_, travels) = around(&world, &payload);
        let head = prove(&world.manifest, prepared, &payload, &other);
        world.payloads.insert(head.payload_hash(), travels);
        accepted(&mut world, &head);
        let bytes = world.file();
        let report = audit(&bytes, Check::Verify, &member());
        assert_eq!(report.verdict, Verdict::Verified, "{report}");
        check_named(&with_prover(&bytes, &member()), &world, "the proof is about another update");
    }
}

#[test]
fn who_must_not_see_updates_checks_the_rules_of_a_private_federation() {
    let world = encrypted();
    let bytes = without_payloads(&world);
    for check in [Check::Verify, Check::Replay] {
        let report = audit(&bytes, check, &Expected::default());
        assert_eq!(report.verdict, Verdict::Incomplete, "{report}");
        assert_eq!(report.proofs.as_ref().unwrap().verified, UPDATES);
        assert_eq!((report.missing_count, report.problem_count), (0, 0), "{report}");
        assert!(report.without_payloads && report.replay.is_none());
        assert_eq!(report.closed_count, UPDATES);
        let text = report.to_string();
        assert!(text.contains("payloads    left out by the exporter: the model was not"), "{text}");
        assert!(report.summary().contains("23 proofs hold, no model was derived"));
    }
    // Whoever has the keys learns who the authors are as well.
    let report = audit(&bytes, Check::Replay, &member());
    assert_eq!((report.verdict, report.closed_count), (Verdict::Incomplete, 0), "{report}");
    assert_eq!(report.contributors.len(), usize::from(AUTHORS));
}

#[test]
fn an_update_without_a_good_proof_is_named_without_keys_or_payloads() {
    for origin in [clear(), encrypted()] {
        let stolen = origin.records.iter().find_map(|(_, record)| record.head()).unwrap();
        let limits = origin.manifest.bundle_limits();
        let stolen = BundleHead::decode(stolen, &limits).unwrap().proof().unwrap().to_vec();
        for (proof, says) in [
            (None, "the update has no proof, and the manifest asks for one"),
            (Some(&stolen[..]), "the proof of chunk 0 does not hold for this update"),
            (Some(&b"no proof"[..]), "not a well-formed proof"),
        ] {
            let mut world = origin.clone();
            let head = draft(&world, 9).0.sign(proof).unwrap();
            accepted(&mut world, &head);
            let bytes = without_payloads(&world);
            let report = audit(&bytes, Check::Replay, &Expected::default());
            check_named(&report, &world, says);
            assert!(report.problems[0].message.contains(&head.signer().to_string()));
            let proofs = report.proofs.unwrap();
            assert_eq!((proofs.verified, proofs.refused), (UPDATES, 1));
        }
    }
}

#[test]
fn a_proof_that_is_put_in_the_place_of_another_breaks_the_signature() {
    let mut world = encrypted();
    let (good, other) = (draft(&world, 9), draft(&world, 8));
    let proof_of =
        |it: &(Prepared, Arc<[u8]>, Update)| prove(&world.manifest, it.0.clone(), &it.1, &it.2);
    let (good, other) = (proof_of(&good), proof_of(&other));
    let (mut bytes, proof) = (good.encode(), good.proof().unwrap());
    assert_eq!(proof.len(), other.proof().unwrap().len());
    let at = bytes.windows(proof.len()).position(|it| it == proof).unwrap();
    bytes[at..at + proof.len()].copy_from_slice(other.proof().unwrap());
    let from = key(2).peer_id();
    world.insert_before_tip(Record::Accept { head: bytes, from });
    let mut out = Vec::new();
    // The exporter finds it too, so the file is written by hand.
    assert!(export_without_payloads(&world.manifest, &world.entries(), &mut out).is_err());
    let bytes = raw_without(&world, &world.entries());
    let report = audit(&bytes, Check::Verify, &Expected::default());
    assert_eq!((report.verdict, report.problem_count), (Verdict::Failed, 1), "{report}");
    assert_eq!(report.problems[0].entry, Some(world.records.len() as u64 - 2));
}

#[test]
fn what_is_carried_and_repeated_is_checked_once() {
    let mut world = encrypted();
    let (prepared, payload, update) = draft(&world, 9);
    let good = prove(&world.manifest, prepared.clone(), &payload, &update);
    let from = key(2).peer_id();
    world.insert_before_tip(Record::Carry { head: good.encode(), from });
    accepted(&mut world, &good);
    let report = audit(&without_payloads(&world), Check::Verify, &Expected::default());
    assert_eq!(report.proofs.as_ref().unwrap().verified, UPDATES + 1, "{report}");
    let bad = prepared.sign(None).unwrap();
    world.insert_before_tip(Record::Carry { head: bad.encode(), from });
    let report = audit(&without_payloads(&world), Check::Verify, &Expected::default());
    check_named(&report, &world, "the update has no proof");
}

#[test]
fn every_head_of_more_than_one_batch_gets_its_own_verdict() {
    let mut world = encrypted();
    let first = world.records.len() as u64 - 1;
    let bad = PROOFS_AT_ONCE as u64 + 40;
    let (mut prepared, good) = (draft(&world, 9).0, UPDATES);
    for count in 0..bad {
        if count % 100 == 0 {
            prepared = draft(&world, u8::try_from(count / 100).unwrap()).0;
        }
        let head = prepared.clone().sign(Some(&count.to_be_bytes())).unwrap();
        accepted(&mut world, &head);
    }
    let report = audit(&without_payloads(&world), Check::Verify, &Expected::default());
    assert_eq!(report.problem_count, bad, "{report}");
    let named: Vec<_> = report.problems.iter().map(|problem| problem.entry.unwrap()).collect();
    assert_eq!(named, (first..).take(named.len()).collect::<Vec<_>>());
    let proofs = report.proofs.unwrap();
    assert_eq!((proofs.verified, proofs.refused), (good, bad));
}

/// A file without payloads, written by hand against its documentation.
fn raw_without(world: &World, entries: &[SignedEntry]) -> Vec<u8> {
    let mut bytes = raw_file(&world.manifest, entries, &[]);
    assert_eq!(bytes[15], 1);
    bytes[15] = 2;
    bytes
}

#[test]
fn a_file_without_payloads_is_what_the_documentation_says_and_ends_there() {
    for world in [World::new(), clear(), encrypted()] {
        let bytes = without_payloads(&world);
        assert_eq!(bytes, raw_without(&world, &world.entries()));
        let mut longer = bytes.clone();
        longer.push(0x40);
        let report = audit(&longer, Check::Verify, &Expected::default());
        assert_eq!(report.verdict, Verdict::Failed);
        assert!(report.summary().contains("bytes follow the end"), "{report}");
        let mut later = bytes;
        later[15] = 3;
        let report = audit(&later, Check::Verify, &Expected::default());
        assert!(report.summary().contains("this program reads versions 1 and 2"), "{report}");
    }
}

#[test]
fn no_byte_of_a_file_without_payloads_changes_unnoticed() {
    let good = without_payloads(&encrypted());
    for at in (0..good.len()).step_by(997).filter(|&at| at != 15) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x11;
        let report = audit(&bytes, Check::Verify, &Expected::default());
        assert_eq!(report.verdict, Verdict::Failed, "byte {at}");
        let report = audit(&good[..at], Check::Verify, &Expected::default());
        assert_eq!(report.verdict, Verdict::Failed, "cut at {at}");
    }
}

#[test]
fn headers_are_checked_without_payloads_too() {
    let mut world = clear();
    let (stranger, payload) = (key(9), draft(&world, 9).1);
    let fold = &mut world.manifest.fold();
    let mut header = Author::new(3).header(&world.manifest, fold, Epoch::new(7), &payload);
    let Published { head, .. } = seal(&world.manifest, &stranger, &header, &payload);
    accepted(&mut world, &head);
    let report = audit(&without_payloads(&world), Check::Verify, &Expected::default());
    assert_eq!(report.problem_count, 1, "{report}");
    assert!(report.summary().contains("not a member"), "{report}");
    header = Author::new(3).header(&world.manifest, fold, Epoch::new(8), &payload);
    let Published { head, .. } = seal(&world.manifest, &key(3), &header, &payload);
    accepted(&mut world, &head);
    let report = audit(&without_payloads(&world), Check::Verify, &Expected::default());
    assert_eq!(report.problem_count, 2, "{report}");
    assert!(report.problems[1].message.contains("beyond the 8 epochs"), "{report}");
}
