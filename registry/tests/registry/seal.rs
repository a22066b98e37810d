//! Sealed epochs: manifests that say when, snapshots that prove themselves, and audits that
//! begin with one.

use std::sync::Arc;

use longhaul_aggregation::{Attempt, Epoch, Phase, SealPolicy, Snapshot, VOTE_PAYLOAD, Vote};
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Span;
use longhaul_registry::audit::Verdict;
use longhaul_registry::{Manifest, Record, SignedManifest, encode_cosigned};

use crate::world::{World, key, manifest, replay_file, verify_file};

const ATTEMPT: Attempt = Attempt::new(8);
const END: Epoch = Epoch::new(4);
/// More than (5 + 1) / 2 of five members, of whom one may attack.
const QUORUM: u8 = 4;

fn sealing() -> Manifest {
    let seal = Some(SealPolicy { window_epochs: 12, every_epochs: 2 });
    Manifest { epochs: 40, seal, ..manifest() }
}

fn vote(manifest: &SignedManifest, number: u8, phase: Phase, snapshot: &Snapshot) -> BundleHead {
    vote_in(ATTEMPT, manifest, number, phase, snapshot)
}

fn vote_in(
    attempt: Attempt,
    manifest: &SignedManifest,
    number: u8,
    phase: Phase,
    snapshot: &Snapshot,
) -> BundleHead {
    let federation = manifest.id().hash();
    let vote = Vote { federation, attempt, phase, value: snapshot.value() };
    let draft = BundleDraft {
        destination: Eid::dtn(&federation.to_string(), "updates").unwrap(),
        created: manifest.manifest().epoch_start(Epoch::new(16)),
        sequence: 1,
        lifetime: Span::from_ms(3_600_000),
        hop_limit: 64,
        header: vote.encode(),
        payload: VOTE_PAYLOAD,
    };
    BundleHead::seal(draft, &key(number)).unwrap()
}

fn commits(
    manifest: &SignedManifest,
    snapshot: &Snapshot,
    by: std::ops::RangeInclusive<u8>,
) -> Vec<BundleHead> {
    by.map(|number| vote(manifest, number, Phase::Commit, snapshot)).collect()
}

/// A world whose log says that its first four epochs were sealed at the end.
fn sealed_world() -> World {
    let mut world = World::of(sealing(), 5);
    let snapshot = Arc::new(world.fold.candidate(END));
    let heads = commits(&world.manifest, &snapshot, 1..=QUORUM);
    let payload: Arc<[u8]> = encode_cosigned(&snapshot, heads.iter()).into();
    let hash = ContentHash::of(&payload);
    world.payloads.insert(hash, payload);
    let now = world.manifest.manifest().epoch_start(Epoch::new(16));
    let own = vote(&world.manifest, 1, Phase::Prepare, &snapshot);
    world.records.push((now, Record::Vote { head: own.encode(), from: None }));
    let value = snapshot.value();
    let record = Record::Seal { attempt: ATTEMPT, value, snapshot: hash, from: None };
    world.records.push((now, record));
    world.fold.seal(snapshot);
    world.record_version(now, 16);
    world
}

/// What storage holds once it deleted what is sealed.
fn delete_sealed(world: &mut World) {
    let limits = world.manifest.bundle_limits();
    let headers = world.manifest.admission_policy().header_limits();
    for (_, record) in &world.records {
        let Some(head) = record.head() else { continue };
        let head = BundleHead::decode(head, &limits).unwrap();
        let header = longhaul_aggregation::UpdateHeader::decode(head.header(), &headers).unwrap();
        if header.epoch < END {
            world.payloads.remove(&head.payload_hash());
        }
    }
}

#[test]
fn a_manifest_without_seals_has_the_bytes_that_it_always_had() {
    let (plain, sealed) = (manifest().sign(&key(1)).unwrap(), sealing().sign(&key(1)).unwrap());
    assert_eq!(plain.as_bytes()[1], 0xb0, "a map of 16");
    assert_eq!(sealed.as_bytes()[1], 0xb1, "a map of 17");
    assert_eq!(SignedManifest::decode(sealed.as_bytes()), Ok(sealed.clone()));
    assert_eq!(sealed.describe().seal_every_epochs, Some(2));
    assert!(plain.bundle_limits().payload_bytes_max < sealed.bundle_limits().payload_bytes_max);
}

#[test]
fn refuses_policies_that_make_no_sense() {
    let check = |window_epochs: u32, every_epochs: u32, epochs: u32, says: &str| {
        let seal = Some(SealPolicy { window_epochs, every_epochs });
        let found = Manifest { epochs, seal, ..manifest() }.validate().unwrap_err().to_string();
        assert!(found.contains(says), "{found}");
    };
    check(11, 2, 40, "epochs sealed 11 back");
    check(12, 0, 40, "every 0 epochs");
    check(u32::MAX, 2, 40, "epochs sealed");
    let many = Manifest { epochs: 1_000_000, ..sealing() };
    assert!(many.validate().is_ok(), "five members: 190 MB");
    let mut more = Manifest { epochs: 1_000_000, ..sealing() };
    more.members.extend((6..11).map(|number| key(number).peer_id()));
    more.members.sort_unstable();
    assert!(more.validate().unwrap_err().to_string().contains("snapshots of up to"));
}

#[test]
fn a_snapshot_is_proved_by_a_quorum_of_commits_and_by_nothing_less() {
    let world = World::of(sealing(), 5);
    let snapshot = world.fold.candidate(END);
    let value = snapshot.value();
    let other = world.fold.candidate(Epoch::new(3));
    let prove = |heads: Vec<BundleHead>, attempt| {
        let payload = encode_cosigned(&snapshot, heads.iter()).into();
        let proved = world.manifest.prove(attempt, value, payload);
        proved.map(|it| it.votes.len()).map_err(|refusal| refusal.name())
    };
    let of = |by| commits(&world.manifest, &snapshot, by);
    assert_eq!(prove(of(1..=4), ATTEMPT), Ok(4));
    assert_eq!(prove(of(1..=5), ATTEMPT), Ok(5));
    assert_eq!(prove(of(1..=3), ATTEMPT), Err("unproven"));
    assert_eq!(prove([of(1..=3), of(1..=1)].concat(), ATTEMPT), Err("unproven"));
    assert_eq!(prove(of(1..=4), Attempt::new(9)), Err("unproven"));
    assert_eq!(prove([of(1..=3), of(9..=9)].concat(), ATTEMPT), Err("not-a-member"));
    let foreign = commits(&world.manifest, &other, 4..=4);
    assert_eq!(prove([of(1..=3), foreign.clone()].concat(), ATTEMPT), Err("unproven"));
    // A quorum and a vote that is no commit of the attempt: counted, but never logged.
    let prepare = vote(&world.manifest, 5, Phase::Prepare, &snapshot);
    let later = vote_in(Attempt::new(9), &world.manifest, 5, Phase::Commit, &snapshot);
    for smuggled in [prepare, later] {
        assert_eq!(prove([of(1..=4), vec![smuggled]].concat(), ATTEMPT), Err("unproven"));
    }
    // Who signed both counts for both.
    assert_eq!(prove([of(1..=4), foreign].concat(), ATTEMPT), Ok(5));
    let prepares = (1..=4).map(|it| vote(&world.manifest, it, Phase::Prepare, &snapshot));
    assert_eq!(prove(prepares.collect(), ATTEMPT), Err("unproven"));
    let payload: Vec<u8> = encode_cosigned(&other, of(1..=4).iter());
    let found = world.manifest.prove(ATTEMPT, value, payload.into());
    assert_eq!(found.map(|_| ()).map_err(|it| it.name()), Err("unproven"));
}

#[test]
fn no_changed_byte_of_a_snapshot_is_taken_for_another() {
    let world = World::of(sealing(), 5);
    let snapshot = world.fold.candidate(END);
    let heads = commits(&world.manifest, &snapshot, 1..=QUORUM);
    let payload = encode_cosigned(&snapshot, heads.iter());
    for at in (0..payload.len()).step_by(7) {
        let mut bytes = payload.clone();
        bytes[at] ^= 1;
        let found = world.manifest.prove(ATTEMPT, snapshot.value(), bytes.into());
        // The hop fields of a vote's head are not signed, and say nothing.
        if let Ok(found) = found {
            assert_eq!(*found.snapshot, snapshot, "byte {at}");
        }
    }
}

#[test]
fn an_audit_derives_a_seal_from_updates_or_begins_with_its_snapshot() {
    let mut world = sealed_world();
    let model = world.fold.model_id().to_string();
    let whole = replay_file(&world.file(), None);
    assert_eq!(whole.model_id(), Some(model.as_str()), "{whole}");
    assert_eq!((whole.seals.len(), whole.seals[0].derived, whole.sealed_missing), (1, true, 0));
    assert_eq!((whole.votes, whole.versions_skipped), (1, 0));
    delete_sealed(&mut world);
    let less = replay_file(&world.file(), None);
    assert_eq!(less.model_id(), Some(model.as_str()), "{less}");
    assert!(!less.seals[0].derived && less.sealed_missing > 0 && less.versions_skipped > 0);
    assert_eq!(less.seals[0].cosigners, u64::from(QUORUM));
    assert!(less.to_string().contains("begins with a\n"), "{less}");
    assert_eq!(verify_file(&world.file(), None).verdict, Verdict::Verified);
}

#[test]
fn without_its_snapshot_what_is_deleted_is_missing() {
    let mut world = sealed_world();
    delete_sealed(&mut world);
    world.payloads.retain(|_, payload| payload.len() < 400);
    let found = replay_file(&world.file(), None);
    assert_eq!(found.verdict, Verdict::Incomplete, "{found}");
}

#[test]
fn a_seal_that_nobody_cosigned_is_found() {
    let mut world = sealed_world();
    for (_, record) in &mut world.records {
        if let Record::Seal { attempt, .. } = record {
            *attempt = Attempt::new(9);
        }
    }
    let found = replay_file(&world.file(), None);
    assert_eq!(found.verdict, Verdict::Failed);
    assert!(found.problems[0].message.contains("the seal of attempt 9 does not hold"), "{found}");
}

#[test]
fn an_exporter_that_votes_twice_is_found() {
    let mut world = sealed_world();
    let other = World::of(sealing(), 4).fold.candidate(END);
    let twin = vote(&world.manifest, 1, Phase::Prepare, &other);
    world.insert_before_tip(Record::Vote { head: twin.encode(), from: None });
    let found = verify_file(&world.file(), None);
    assert!(found.problems[0].message.contains("two different votes in attempt 8"), "{found}");
}
