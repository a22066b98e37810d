//! Private federations: members read, couriers carry, keys change while the federation runs.

mod world;

use std::sync::Arc;

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead, Confidential, Encryption};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::keyring::{FederationKey, KeyId, Keyring};
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_node::peer::{Event, PeerConfig, PeerError, Restored};
use longhaul_registry::audit::{self, Check, Expected, Verdict};
use longhaul_registry::{KeyGrant, KeyRefusal, Privacy, Record, TermsError};
use world::{World, courier, key};

fn shared() -> FederationKey {
    FederationKey::from_bytes([77; 32])
}

/// A private federation with so many members and couriers.
fn world(members: u8, couriers: u8, epochs: u32) -> World {
    World::with(members, epochs, |manifest| {
        let grant = KeyGrant::wrap(&shared(), &key(200), &manifest.members, |_| true);
        let mut couriers: Vec<_> = (0..couriers).map(|index| courier(index).peer_id()).collect();
        couriers.sort_unstable();
        manifest.privacy = Some(Privacy { couriers, grant });
    })
}

fn count(world: &World, index: usize, kind: &str) -> usize {
    world.entries(index).iter().filter(|entry| entry.record().kind() == kind).count()
}

/// The model and the number of updates of a peer.
fn state(world: &mut World, index: usize) -> (longhaul_aggregation::ModelId, usize) {
    (world.model_id(index), world.peer(index).fold().slot_count())
}

/// The bundle by which the creator announces the key of generation `generation` to all but one.
fn announced(world: &World, generation: u32, without: Option<usize>) -> (FederationKey, Held) {
    let fresh = FederationKey::from_bytes([90 + generation as u8; 32]);
    let without = without.map(|index| world.key(index).peer_id());
    let manifest = world.manifest();
    let once = key(210 + generation as u8);
    let made =
        manifest.announce_key(&key(0), (generation, &fresh), (&once, world.now()), |member| {
            Some(*member) != without
        });
    let (head, payload) = made.expect("the creator's key, after the start");
    (fresh, Held { head: Arc::new(head), payload: payload.into() })
}

/// The ids of the keys that a peer's own updates are encrypted with, oldest first.
fn own_keys(world: &World, index: usize) -> Vec<String> {
    let limits = world.manifest().bundle_limits();
    let own = |record: &Record| match record {
        Record::Update { head } => {
            let head = BundleHead::decode(head, &limits).expect("an own head");
            Some(head.confidential().expect("encrypted").key.to_string())
        }
        _ => None,
    };
    world.entries(index).iter().filter_map(|entry| own(entry.record())).collect()
}

fn audited(world: &mut World, index: usize, keys: Keyring) -> audit::AuditReport {
    let file = world.audit_file(index);
    audit::audit(&file, Check::Replay, &Expected { federation: None, keys })
}

#[test]
fn members_who_only_ever_meet_a_courier_end_with_one_model() {
    let mut world = world(3, 1, 6);
    (0..3).for_each(|member| world.connect(member, 3));
    world.run_to_end();
    let first = state(&mut world, 0);
    assert_eq!(first.1, 18);
    (1..3).for_each(|member| assert_eq!(state(&mut world, member), first, "{member}"));
    assert_eq!(state(&mut world, 3).1, 0, "the courier read nothing");
    assert_eq!(world.peer(3).carried().0, 18);
    assert_eq!((count(&world, 3, "carry"), count(&world, 3, "accept")), (18, 0));
    assert!(world.peer(3).keyring().is_empty());
    assert!(world.requests(3).is_empty(), "a courier trains nothing");
}

#[test]
fn what_a_courier_stores_shows_neither_authors_nor_updates() {
    let mut world = world(2, 1, 4);
    (0..2).for_each(|member| world.connect(member, 2));
    world.run_to_end();
    let authors = [world.key(0).peer_id(), world.key(1).peer_id()];
    let limits = world.manifest().bundle_limits();
    let mut signers = std::collections::BTreeSet::new();
    for entry in world.entries(2) {
        let Record::Carry { head, .. } = entry.record() else { continue };
        for author in &authors {
            assert!(!head.windows(32).any(|window| window == author.as_bytes()));
        }
        let head = BundleHead::decode(head, &limits).expect("a sound head");
        assert!(!head.is_readable());
        assert!(signers.insert(head.signer()), "another pseudonym for each update");
    }
    assert_eq!(signers.len(), 8);
}

#[test]
fn a_courier_that_starts_again_goes_on_carrying() {
    let mut world = world(2, 1, 6);
    world.connect(0, 2);
    world.run_until(3);
    let before = world.peer(2).carried();
    world.restart(2);
    assert_eq!(world.peer(2).carried(), before);
    world.connect(1, 2);
    world.connect(0, 2);
    world.run_to_end();
    assert_eq!(state(&mut world, 0), state(&mut world, 1));
    assert_eq!(state(&mut world, 0).1, 12);
}

#[test]
fn a_member_that_starts_again_reads_its_own_and_others_updates() {
    let mut world = world(3, 0, 6);
    world.connect_all();
    world.run_until(3);
    let before = state(&mut world, 0);
    world.restart(0);
    assert_eq!(state(&mut world, 0), before);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    assert_eq!(world.entries(0).iter().filter(|it| it.record().kind() == "update").count(), 6);
}

#[test]
fn an_auditor_needs_the_keys_to_derive_the_model_and_no_key_to_check_the_log() {
    let mut world = world(3, 0, 5);
    world.connect_all();
    world.run_to_end();
    let model = world.model_id(0).to_string();
    let keys = world.peer(0).keyring().clone();
    let report = audited(&mut world, 0, keys);
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert_eq!(report.model_id(), Some(model.as_str()));
    let report = audited(&mut world, 0, Keyring::default());
    assert_eq!((report.verdict, report.closed_count), (Verdict::Incomplete, 15), "{report}");
}

#[test]
fn a_further_key_goes_round_and_is_used_by_all_who_get_it() {
    let mut world = world(3, 0, 8);
    world.connect_all();
    world.run_until(3);
    let (fresh, held) = announced(&world, 1, None);
    world.hand_over(1, 0, held);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    for member in 0..3 {
        assert_eq!(world.peer(member).keyring().len(), 2, "{member}");
        let keys = own_keys(&world, member);
        assert_eq!(
            (keys.first(), keys.last()),
            (Some(&shared().id().to_string()), Some(&fresh.id().to_string()))
        );
        let heard = |event: &Event| matches!(event, Event::Key { generation: 1, granted: true });
        assert_eq!(world.events(member).iter().filter(|it| heard(it)).count(), 1);
        assert_eq!(count(&world, member, "keys"), 1);
    }
    let keys = world.peer(2).keyring().clone();
    let report = audited(&mut world, 2, keys);
    assert_eq!((report.verdict, report.keys), (Verdict::Verified, 1), "{report}");
}

#[test]
fn who_is_left_out_of_a_key_carries_what_it_can_no_longer_read() {
    let mut world = world(3, 0, 8);
    world.connect_all();
    world.run_until(3);
    let (_, held) = announced(&world, 1, Some(2));
    world.hand_over(1, 0, held);
    world.connect_all();
    world.run_to_end();
    assert_eq!(state(&mut world, 0), state(&mut world, 1));
    assert_eq!(state(&mut world, 0).1, 24, "it still is a member, and others read it");
    assert!(state(&mut world, 2).1 < 24);
    let (carried, bytes) = world.peer(2).carried();
    assert!(carried >= 8 && bytes > 0, "{carried}");
    assert!(own_keys(&world, 2).iter().all(|key| *key == shared().id().to_string()));
    let heard = |event: &Event| matches!(event, Event::Key { generation: 1, granted: false });
    assert_eq!(world.events(2).iter().filter(|it| heard(it)).count(), 1);
}

#[test]
fn what_came_before_its_key_is_read_when_the_key_comes_also_after_a_restart() {
    for restarts in [false, true] {
        let mut world = world(3, 1, 8);
        // Member 2 meets the courier alone, which meets the others; the key goes another way.
        world.connect(0, 1);
        world.connect(0, 3);
        world.connect(2, 3);
        world.run_until(2);
        let (fresh, held) = announced(&world, 1, None);
        // The courier is told nothing of the key: whom it meets next offers updates first.
        world.cut(0, 3);
        world.hand_over(0, 1, held.clone());
        world.connect(0, 1);
        world.run_until(4);
        let (head, payload) = world.own_wire(0);
        assert_eq!(head.confidential().expect("encrypted").key, fresh.id());
        world.hand_over(2, 0, Held { head: Arc::new(head), payload });
        assert_eq!(world.peer(2).carried().0, 1, "its key has not come");
        if restarts {
            world.restart(2);
            assert_eq!(world.peer(2).carried().0, 1);
        }
        world.hand_over(2, 0, held);
        assert_eq!(world.peer(2).carried().0, 0, "it was read");
        world.connect_all();
        world.run_to_end();
        let first = state(&mut world, 0);
        assert_eq!(first.1, 24);
        assert_eq!(state(&mut world, 2), first);
        world.restart(2);
        assert_eq!(state(&mut world, 2), first, "and once more from the log");
        assert_eq!(world.peer(2).carried().0, 0);
    }
}

#[test]
fn keys_that_others_announce_are_refused() {
    let mut world = world(3, 0, 4);
    world.run_until(1);
    let manifest = world.manifest();
    let fresh = FederationKey::from_bytes([91; 32]);
    let forged = manifest.announce_key(&key(1), (1, &fresh), (&key(211), world.now()), |_| true);
    assert!(forged.is_err(), "nobody else's can even be made by mistake");
    // By hand, in another member's name.
    let (_, held) = announced(&world, 1, None);
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").expect("a name"),
        created: world.now(),
        sequence: 1,
        lifetime: manifest.manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header: held.head.header().to_vec(),
        payload: &held.payload,
    };
    let head = BundleHead::seal(draft, &key(2)).expect("a sound draft");
    world.hand_over(1, 0, Held { head: Arc::new(head), payload: held.payload.clone() });
    let refused = |event: &Event| matches!(event, Event::Refused { code: KeyRefusal::CODE, .. });
    assert_eq!(world.events(1).iter().filter(|it| refused(it)).count(), 1);
    assert_eq!(world.peer(1).keyring().len(), 1);
}

fn encrypted(world: &World, author: &SecretKey, payload: &[u8]) -> Held {
    let manifest = world.manifest();
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").expect("a name"),
        created: world.now(),
        sequence: 5,
        lifetime: manifest.manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header: b"no header of an update".to_vec(),
        payload,
    };
    let pseudonym = author.pseudonym(&manifest.id().hash(), 5);
    let encryption = Encryption { author, pseudonym: &pseudonym, key: &shared() };
    let (head, payload) = BundleHead::seal_encrypted(draft, &encryption).expect("a sound draft");
    Held { head: Arc::new(head), payload: payload.into() }
}

#[test]
fn strangers_who_learnt_the_key_and_bundles_in_clear_get_nowhere() {
    let mut world = world(3, 0, 4);
    world.run_until(1);
    let before = state(&mut world, 1);
    let stranger = encrypted(&world, &key(150), b"payload");
    world.hand_over(1, 0, stranger);
    let member = encrypted(&world, &key(2), b"payload");
    world.hand_over(1, 0, member);
    let manifest = world.manifest();
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").expect("a name"),
        created: world.now(),
        sequence: 1,
        lifetime: manifest.manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header: b"in clear".to_vec(),
        payload: b"payload",
    };
    let clear = BundleHead::seal(draft, &key(2)).expect("a sound draft");
    world.hand_over(1, 0, Held { head: Arc::new(clear), payload: (*b"payload").into() });
    let codes: Vec<u16> = world
        .events(1)
        .iter()
        .filter_map(|event| match event {
            Event::Refused { code, .. } => Some(*code),
            _ => None,
        })
        .collect();
    assert_eq!(codes.len(), 3, "{codes:?}");
    assert_eq!((codes[0], codes[2]), (100, TermsError::CODE), "not a member, in clear");
    assert_eq!(state(&mut world, 1), before);
}

#[test]
fn what_is_carried_stays_within_its_bound_and_the_oldest_goes() {
    let mut world = world(2, 1, 12);
    (0..2).for_each(|member| world.connect(member, 2));
    world.run_until(2);
    let (bundles, bytes) = world.peer(2).carried();
    let each = bytes / bundles as u64;
    world.peer(2).set_carried_bytes_max(5 * each);
    world.run_to_end();
    let (left, bytes) = world.peer(2).carried();
    assert!(left <= 5 && bytes <= 5 * each, "{left} bundles of {bytes} bytes");
    let dropped = count(&world, 2, "drop");
    assert_eq!(count(&world, 2, "carry"), left + dropped);
    assert_eq!(world.payloads(2), left, "storage gives it back");
    assert_eq!(
        state(&mut world, 0),
        state(&mut world, 1),
        "members who met it in time lack nothing"
    );
    assert_eq!(state(&mut world, 0).1, 24);
    let before = world.peer(2).carried();
    world.restart(2);
    assert_eq!(world.peer(2).carried(), before, "what was dropped does not come back");
}

#[test]
fn a_bundle_larger_than_all_that_is_carried_is_refused() {
    let mut world = world(2, 1, 4);
    world.peer(2).set_carried_bytes_max(3);
    world.connect(0, 2);
    world.run_until(2);
    assert_eq!(world.peer(2).carried(), (0, 0));
    let refused = |event: &Event| matches!(event, Event::Refused { code: 203, .. });
    assert!(world.events(2).iter().any(refused));
}

#[test]
fn what_is_carried_ends_when_it_expires() {
    let mut world = world(2, 1, 3);
    world.connect(0, 2);
    world.run_to_end();
    assert!(world.peer(2).carried().0 > 0);
    let lifetime = world.manifest().manifest().bounds.bundle_lifetime;
    world.skip(lifetime);
    world.skip(Span::from_ms(10_000));
    assert_eq!(world.peer(2).carried(), (0, 0));
    assert_eq!(world.payloads(2), 0);
}

#[test]
fn neither_strangers_nor_members_without_a_key_start() {
    let world = world(2, 1, 4);
    let config =
        |key: SecretKey| PeerConfig { manifest: world.manifest(), key, nonce: [0; 32], memo: None };
    let stranger = longhaul_node::peer::Peer::new(config(key(150)), Restored::default());
    assert!(matches!(stranger, Err(PeerError::NotAMember(_))));
    let mut other = world.manifest().manifest().clone();
    other.members.rotate_left(1);
    let grant = KeyGrant::wrap(&shared(), &key(200), &other.members, |_| true);
    other.members.rotate_right(1);
    other.privacy = Some(Privacy { couriers: Vec::new(), grant });
    let manifest = Arc::new(other.sign(&key(0)).expect("nobody else can tell"));
    let config = PeerConfig { manifest, ..config(world.key(0)) };
    let keyless = longhaul_node::peer::Peer::new(config, Restored::default());
    assert!(matches!(keyless, Err(PeerError::NoKey(_))));
}

/// What a stranger signs who has no key: a header of nothing, and a payload that it saw or made up.
fn forged(
    world: &World,
    key_id: KeyId,
    (number, created): (u64, Timestamp),
    payload: &[u8],
) -> Held {
    let manifest = world.manifest();
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").expect("a name"),
        created,
        sequence: number,
        lifetime: manifest.manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header: vec![7; 200],
        payload,
    };
    let claim = Confidential { key: key_id, root: ContentHash::of(b"root") };
    let head = BundleHead::seal_ciphertexts(draft, claim, &key(151)).expect("a sound draft");
    Held { head: Arc::new(head), payload: payload.into() }
}

#[test]
fn another_bundle_around_a_payload_takes_it_from_nobody() {
    let mut world = world(2, 1, 6);
    (0..2).for_each(|member| world.connect(member, 2));
    world.run_until(3);
    let (fresh, announced) = announced(&world, 1, None);
    let before = (world.payloads(1), state(&mut world, 1));
    for (number, author) in [(1, 0), (2, 1)] {
        let payload = world.own_wire(author).1;
        let bundle = forged(&world, fresh.id(), (number, world.now()), &payload);
        world.hand_over(1, 0, bundle.clone());
        // A courier can neither read the one nor the other.
        world.hand_over(2, 0, bundle);
    }
    assert_eq!(world.peer(1).carried().0, 2);
    world.hand_over(1, 0, announced);
    assert_eq!(world.peer(1).carried().0, 0, "they were found to be nothing");
    assert_eq!((world.payloads(1), state(&mut world, 1)), (before.0 + 1, before.1), "and a key");
    world.restart(1);
    assert_eq!(state(&mut world, 1), before.1);
    // What was given first gives way first: all that is honest, then what was forged around it.
    let carried = world.peer(2).carried().0;
    world.peer(2).set_carried_bytes_max(1);
    world.run_until(4);
    assert_eq!((world.peer(2).carried(), world.payloads(2)), ((0, 0), 0), "{carried} of them");
}

#[test]
fn a_flood_stays_within_its_bound_in_the_memory_of_the_agent_too() {
    let mut world = world(2, 1, 6);
    world.run_until(2);
    world.peer(2).set_carried_bytes_max(40_000);
    let (head, payload) = world.own_wire(0);
    world.hand_over(2, 0, Held { head: Arc::new(head), payload });
    let nobodys = FederationKey::from_bytes([66; 32]).id();
    let future = world.now().plus(Span::from_ms(1 << 40));
    for number in 0..100 {
        let created = if number % 2 == 0 { future } else { world.now() };
        let bundle = forged(&world, nobodys, (number, created), &[7; 1_000]);
        world.hand_over(2, 1, bundle);
    }
    let (bundles, bytes) = world.peer(2).carried();
    assert!(bytes <= 40_000 && bundles > 5, "{bundles} bundles of {bytes} bytes");
    assert_eq!(world.peer(2).held_count(), bundles, "what was dropped is offered no more");
    let (honest, _) = world.own_wire(0);
    assert!(world.peer(2).held().any(|held| held.head.id() == honest.id()), "the honest one went");
}

#[test]
fn payloads_that_nothing_encrypted_can_have_are_refused() {
    let mut world = world(2, 1, 6);
    world.run_until(2);
    let nobodys = FederationKey::from_bytes([66; 32]).id();
    for len in [0, 15, 16] {
        let bundle = forged(&world, nobodys, (len, world.now()), &vec![7; len as usize]);
        world.hand_over(2, 0, bundle);
    }
    assert_eq!(world.peer(2).carried().0, 1);
    let refused = |event: &Event| matches!(event, Event::Refused { code: 202, .. });
    assert_eq!(world.events(2).iter().filter(|it| refused(it)).count(), 2);
}

#[test]
fn one_neighbour_hands_over_no_more_than_the_federation_can_have() {
    let mut world = world(2, 1, 6);
    world.run_until(2);
    let nobodys = FederationKey::from_bytes([66; 32]).id();
    let max = 2 * 2 * 6 + 100;
    for number in 0..max + 9 {
        let bundle = forged(&world, nobodys, (number, world.now()), &[7; 16]);
        world.hand_over(2, 0, bundle);
    }
    assert_eq!(count(&world, 2, "carry") as u64, max);
    let refused = |event: &Event| matches!(event, Event::Refused { code: 203, .. });
    assert_eq!(world.events(2).iter().filter(|it| refused(it)).count(), 9);
}

#[test]
fn a_member_who_was_left_out_knows_it() {
    let mut world = world(3, 0, 6);
    world.run_until(1);
    assert!(!world.peer(2).is_left_out());
    let (_, held) = announced(&world, 1, Some(2));
    world.hand_over(2, 0, held.clone());
    world.hand_over(1, 0, held);
    assert!(world.peer(2).is_left_out() && !world.peer(1).is_left_out());
    let granted = world.peer(2).newest_grant().expect("a private federation").granted();
    assert_eq!((granted, world.peer(2).key_generation()), (2, 1));
    world.restart(2);
    assert!(world.peer(2).is_left_out(), "and after a restart");
}
