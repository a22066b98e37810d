//! Peers that seal: what stays held, who catches up, and what nobody ever signs twice.

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::{
    Attempt, Epoch, HeaderHash, Phase, SealPolicy, SealValue, SnapshotHeader, VOTE_PAYLOAD,
};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::Event;
use longhaul_registry::Record;
use proptest::prelude::*;
use world::World;

const WINDOW: u32 = 12;
const EVERY: u32 = 3;

/// Four members, one of whom may attack: three seal.
fn world(epochs: u32) -> World {
    World::with(4, epochs, |manifest| {
        manifest.seal = Some(SealPolicy { window_epochs: WINDOW, every_epochs: EVERY });
    })
}

fn sealed(world: &World, index: usize) -> Vec<(SealValue, bool)> {
    let event = |event: &Event| match event {
        Event::Sealed { value, adopted, .. } => Some((*value, *adopted)),
        _ => None,
    };
    world.events(index).iter().filter_map(event).collect()
}

fn too_late(world: &World, index: usize) -> Vec<u32> {
    let event = |event: &Event| match event {
        Event::TooLate { epoch } => Some(epoch.get()),
        _ => None,
    };
    world.events(index).iter().filter_map(event).collect()
}

/// The headers of the votes that a peer's log calls its own, by phase.
fn own_votes(world: &World, index: usize) -> BTreeMap<(Attempt, Phase), Vec<HeaderHash>> {
    let manifest = world.manifest();
    let mut votes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in world.entries(index) {
        let Record::Vote { head, from: None } = entry.record() else { continue };
        let head = BundleHead::decode(head, &manifest.bundle_limits()).expect("a sound vote");
        let vote = manifest.admit_vote(&head, VOTE_PAYLOAD).expect("an admissible vote");
        votes.entry((vote.vote.attempt, vote.vote.phase)).or_default().push(vote.header);
    }
    votes
}

#[test]
fn what_is_held_stays_bounded_and_an_audit_still_replays() {
    let mut world = world(30);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    for index in 0..4 {
        let status = world.peer(index).status();
        assert_eq!((status.updates, status.seals.adopted, status.behind), (120, 0, false));
        // The last attempt begins in epoch 27 and seals all before epoch 15.
        assert_eq!((status.open_from, status.held), (Some(Epoch::new(15)), 60));
        assert_eq!(world.payloads(index), 60 + 1, "and one snapshot");
        world.assert_replays(index);
    }
}

#[test]
fn a_restart_after_a_seal_gives_the_same_model() {
    let mut world = world(24);
    world.connect_all();
    world.run_until(22);
    let before = (world.model_id(1), world.peer(1).fold().set_root());
    world.restart(1);
    assert_eq!((world.model_id(1), world.peer(1).fold().set_root()), before);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    world.assert_replays(1);
}

#[test]
fn who_was_away_for_longer_than_the_window_adopts_the_seal() {
    let mut world = world(40);
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        world.connect(a, b);
    }
    world.run_until(30);
    assert!(sealed(&world, 3).is_empty() && !sealed(&world, 0).is_empty());
    let end = sealed(&world, 0).last().expect("a seal").0.end;
    world.connect_all();
    world.deliver(100_000);
    // Should the snapshot be for peer 3 to publish, the next in order does an epoch later.
    world.advance();
    world.deliver(100_000);
    assert_eq!(
        sealed(&world, 3).last().map(|(value, adopted)| (value.end, *adopted)),
        Some((end, true))
    );
    assert_eq!(too_late(&world, 3), (0..end.get()).collect::<Vec<_>>());
    world.run_to_end();
    world.assert_equal();
    assert!(world.peer(3).status().seals.too_late >= u64::from(end.get()));
    world.assert_replays(3);
    let late = world.peer(3).status().seals.too_late;
    world.restart(3);
    assert_eq!(world.peer(3).status().seals.too_late, late, "counted from the log");
}

#[test]
fn without_a_quorum_nothing_is_sealed() {
    let mut world = world(30);
    world.connect(0, 1);
    world.connect(2, 3);
    world.run_to_end();
    for index in 0..4 {
        let status = world.peer(index).status();
        assert_eq!((status.seals.seals, status.held, status.open_from), (0, 60, None));
    }
}

#[test]
fn a_peer_that_lost_its_payloads_waits_for_a_snapshot() {
    let mut world = world(30);
    world.connect_all();
    world.run_until(24);
    world.lose_payloads(2);
    world.restart(2);
    assert!(world.peer(2).status().behind);
    world.connect_all();
    world.run_to_end();
    world.assert_equal();
    assert!(!world.peer(2).status().behind);
}

/// A bundle that `author` signed.
fn signed(world: &World, author: usize, sequence: u64, header: Vec<u8>, payload: &[u8]) -> Held {
    let manifest = world.manifest();
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").expect("a name"),
        created: world.now(),
        sequence,
        lifetime: manifest.manifest().bounds.bundle_lifetime,
        hop_limit: 8,
        header,
        payload,
    };
    let head = BundleHead::seal(draft, &world.key(author)).expect("a sound bundle");
    Held { head: Arc::new(head), payload: payload.into() }
}

/// A bundle of `author` that claims to be a snapshot, whose payload proves nothing.
fn false_snapshot(world: &mut World, author: usize, end: u32, payload: &[u8]) -> Held {
    let header = SnapshotHeader {
        federation: world.manifest().id().hash(),
        attempt: Attempt::new((end + WINDOW) / EVERY),
        value: SealValue {
            end: Epoch::new(end),
            root: ContentHash::of(b"root"),
            model: world.model_id(0),
        },
        payload: ContentHash::of(payload),
    };
    signed(world, author, u64::from(end), header.encode(), payload)
}

fn refused(world: &World, index: usize) -> Vec<(u16, String)> {
    let event = |event: &Event| match event {
        Event::Refused { code, reason, .. } => Some((*code, reason.clone())),
        _ => None,
    };
    world.events(index).iter().filter_map(event).collect()
}

#[test]
fn snapshots_are_screened_by_their_heads() {
    let mut world = World::with(4, 100, |manifest| {
        manifest.seal = Some(SealPolicy { window_epochs: WINDOW, every_epochs: EVERY });
        manifest.bounds.payload_bytes_max = 1_000;
    });
    world.connect_all();
    world.run_until(22);
    // Larger than an update may be and than what is asked for ahead of a head.
    let payload = vec![7; 20_000];
    let says = |world: &World| refused(world, 0).last().cloned().expect("a refusal").1;
    let outdated = false_snapshot(&mut world, 3, 6, &payload);
    world.hand_over(0, 3, outdated);
    assert!(says(&world).contains("lies before the newest seal"), "{}", says(&world));
    // The first is looked into, all others by the same author are not.
    let first = false_snapshot(&mut world, 3, 12, &payload);
    world.hand_over(0, 3, first);
    assert!(!says(&world).contains("before"), "{}", says(&world));
    let second = false_snapshot(&mut world, 3, 15, &payload);
    world.hand_over(0, 3, second);
    assert!(says(&world).contains("signed a snapshot before"), "{}", says(&world));
    // Nothing else may be so large.
    let large = signed(&world, 3, 1, b"anything".to_vec(), &payload);
    world.hand_over(0, 3, large);
    assert!(says(&world).contains("payload"), "{:?}", refused(&world, 0));
    assert_eq!(refused(&world, 0).len(), 4);
    world.connect_all();
    world.run_until(40);
    world.assert_equal();
}

#[test]
fn votes_in_a_federation_that_seals_nothing_are_refused() {
    let mut plain = World::with(4, 6, |_| {});
    plain.connect_all();
    plain.run_to_end();
    let votes =
        |entry: &longhaul_registry::SignedEntry| matches!(entry.record(), Record::Vote { .. });
    assert!(!plain.entries(0).iter().any(votes));
    assert_eq!(plain.peer(0).status().open_from, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Random contacts, cuts and restarts: nobody signs two votes for one phase, nobody
    /// seals what another's seal contradicts, and all end with one model.
    #[test]
    fn random_histories_seal_one_thing(
        steps in prop::collection::vec((0_usize..4, 0_usize..4, 0_u8..12), 100..220),
    ) {
        let mut world = world(60);
        world.connect_all();
        for (a, b, what) in steps {
            match what {
                0 | 1 => world.connect(a, b),
                2 => world.cut(a, b),
                3 => world.restart(a),
                4..=6 => world.deliver(30 + 40 * (a + b)),
                _ => {
                    world.deliver(1_000);
                    world.advance();
                }
            }
        }
        world.connect_all();
        world.run_to_end();
        world.assert_equal();
        let mut known: BTreeMap<Epoch, SealValue> = BTreeMap::new();
        for index in 0..4 {
            for (phase, headers) in own_votes(&world, index) {
                prop_assert_eq!(headers.len(), 1, "peer {} in {:?}", index, phase);
            }
            for (value, _) in sealed(&world, index) {
                let first = *known.entry(value.end).or_insert(value);
                prop_assert_eq!(first, value);
            }
            world.assert_replays(index);
        }
    }
}
