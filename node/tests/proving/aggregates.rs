//! Islands that hear of each other by sums alone: one model, whoever holds what.

use std::sync::Arc;

use longhaul_aggregation::{Buckets, Clip, Epoch, Recipe, Rule};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::BundleHead;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Span;
use longhaul_node::peer::Event;
use longhaul_registry::{AggregateHeader, Record, audit};

use crate::world::{self, World, prover};
use crate::{Forgery, codes, count, forged};

/// Two islands of three members each, by index, and one member who goes back and forth.
const WEST: [usize; 3] = [0, 1, 2];
const EAST: [usize; 3] = [3, 4, 5];
const FERRY: usize = 6;
const ROOTS: [u16; 7] = [1, 1, 1, 2, 2, 2, 0];
/// Epochs for which an update waits for a sum.
const WAIT: u32 = 3;

fn islands(epochs: u32) -> World {
    islands_with(epochs, Some(WAIT))
}

fn islands_with(epochs: u32, aggregates: Option<u32>) -> World {
    let mut world = World::with(7, epochs, |manifest| {
        manifest.proofs = Some(world::proofs());
        manifest.trust_roots = ROOTS.into();
        manifest.attacker_share_permille = 0;
        let recipe = Recipe::plain(Rule::Mean, Clip::None, 2);
        manifest.recipe = Recipe { buckets: Buckets::ByRoot(1), ..recipe };
        manifest.aggregates = aggregates;
    });
    for island in [WEST, EAST] {
        for (at, &a) in island.iter().enumerate() {
            island[at + 1..].iter().for_each(|&b| world.connect(a, b));
        }
    }
    world
}

/// The ferry visits both islands, twice, so that each gets what the other gave.
fn ferry(world: &mut World) {
    for port in [WEST[0], EAST[0], WEST[0], EAST[0]] {
        world.connect(FERRY, port);
        world.deliver(100_000);
        world.cut(FERRY, port);
        world.deliver(100_000);
    }
}

/// Runs some epochs with a visit in each, and one more so that the last sums are made and brought.
fn run(world: &mut World, epochs: u32) {
    let manifest = world.manifest();
    for epoch in 0..epochs {
        while manifest.manifest().epoch_at(world.now()).is_some_and(|now| now.get() < epoch) {
            turn(world);
        }
        ferry(world);
    }
    for _ in 0..3 {
        turns(world);
        ferry(world);
    }
}

/// Lets less than a turn pass, so that one makes a sum before the next does.
fn turn(world: &mut World) {
    world.skip(Span::from_ms(60));
    world.deliver(100_000);
}

fn turns(world: &mut World) {
    (0..18).for_each(|_| turn(world));
}

/// How many updates of these authors a peer accepted whole.
fn whole(world: &World, index: usize, authors: &[usize]) -> usize {
    let manifest = world.manifest();
    let limits = manifest.bundle_limits();
    let is_of = |head: &[u8]| {
        let head = BundleHead::decode(head, &limits).unwrap();
        authors.iter().any(|&author| world.key(author).peer_id() == head.author())
    };
    let accepted = |record: &Record| match record {
        Record::Accept { head, .. } => is_of(head),
        _ => false,
    };
    world.entries(index).iter().filter(|entry| accepted(entry.record())).count()
}

/// The newest aggregate in a peer's log, as it travels.
fn newest_aggregate(
    world: &World,
    index: usize,
    payload: impl Fn(&ContentHash) -> Option<Arc<[u8]>>,
) -> Held {
    let limits = world.manifest().bundle_limits();
    let head = |record: &Record| match record {
        Record::Aggregate { head, .. } => BundleHead::decode(head, &limits).ok(),
        _ => None,
    };
    let head = world.entries(index).iter().rev().find_map(|entry| head(entry.record())).unwrap();
    let payload = payload(&head.payload_hash()).unwrap();
    Held { head: Arc::new(head), payload }
}

#[test]
fn islands_that_exchange_sums_alone_hold_one_model() {
    let mut world = islands(4);
    run(&mut world, 4);
    world.assert_equal();
    for index in 0..7 {
        assert_eq!(codes(&world, index).iter().filter(|&&code| code != 231).count(), 0);
        assert!(world.peer(index).fold().is_complete());
    }
    for (here, there) in [(WEST, EAST), (EAST, WEST)] {
        for index in here {
            assert_eq!(whole(&world, index, &there), 0, "peer {index}");
            assert!(whole(&world, index, &here) >= 6, "its own island's come whole");
            assert!(whole(&world, index, &[FERRY]) > 0, "who stands alone has no sum");
            assert!(count(&world, index, "aggregate") >= 6);
        }
    }
    assert_eq!(whole(&world, FERRY, &[0, 1, 2, 3, 4, 5]), 0);
    // Those of the first epochs at least are known by all, in one form or the other.
    let slots = world.peer(0).fold().slot_count();
    assert!(slots >= 7 * 3, "{slots}");
}

#[test]
fn the_model_is_that_of_a_federation_without_sums() {
    // In the first epoch all train from the same, so the updates are the same.
    let [mut with, mut without] = [Some(1), None].map(|aggregates| islands_with(1, aggregates));
    for world in [&mut with, &mut without] {
        world.run_until(0);
        world.skip(Span::from_ms(1_500));
        world.deliver(100_000);
        ferry(world);
        world.assert_equal();
        assert_eq!(world.peer(EAST[1]).fold().term_status(Epoch::new(0)).authors, 7);
    }
    assert_eq!((whole(&with, EAST[1], &WEST), whole(&without, EAST[1], &WEST)), (0, 3));
    assert_eq!(with.model_id(EAST[1]), without.model_id(EAST[1]));
}

#[test]
fn auditors_replay_sums_and_verify_them_with_the_keys() {
    let mut world = islands(6);
    run(&mut world, 3);
    for index in [WEST[2], FERRY] {
        let file = world.audit_file_of_now(index);
        let expected = audit::Expected::default();
        let prover = prover(&world.manifest()).unwrap();
        let model = world.model_id(index).to_string();
        for keys in [None, Some(&*prover)] {
            let parsed = audit::AuditFile::parse(&file).unwrap();
            let report = audit::audit_file(&parsed, audit::Check::Replay, &expected, keys);
            assert_eq!(report.model_id(), Some(model.as_str()), "{report}");
            let verified = if keys.is_some() { report.aggregates } else { 0 };
            assert!(report.aggregates > 0);
            assert_eq!(report.aggregates_verified, verified);
        }
    }
}

#[test]
fn a_restart_finds_sums_and_a_lost_one_comes_back() {
    let mut world = islands(6);
    run(&mut world, 3);
    let model = world.model_id(WEST[1]);
    let offered = world.peer(WEST[1]).held_count();
    world.restart(WEST[1]);
    assert_eq!(world.model_id(WEST[1]), model);
    assert!(world.peer(WEST[1]).fold().is_complete());
    assert_eq!(world.peer(WEST[1]).held_count(), offered);
    world.lose_payloads(WEST[1]);
    world.restart(WEST[1]);
    assert!(world.peer(WEST[1]).missing_count() > 0);
    WEST.iter().for_each(|&other| world.connect(WEST[1], other));
    world.deliver(100_000);
    assert_eq!(world.peer(WEST[1]).missing_count(), 0);
    assert_eq!(world.model_id(WEST[1]), model);
}

#[test]
fn a_twin_makes_a_sum_useless_and_the_payloads_come() {
    // Member key(0) signs twice; the other slots of its sum are then asked for whole.
    let mut world = islands(40);
    run(&mut world, 3);
    let (hostile, home, away) = liar(&world);
    let member = index_of(&world, hostile);
    let twin = forged(&mut world, 1, Forgery::None);
    let neighbour = *home.iter().find(|&&index| index != hostile).unwrap();
    world.take(neighbour, &twin);
    world.deliver(100_000);
    assert!(world.peer(neighbour).fold().void(member, Epoch::new(1)).is_some());
    // Before it heard of the twin the other island is content with the sum.
    assert!(world.peer(away[1]).fold().is_complete());
    ferry(&mut world);
    world.skip(Span::from_ms(1_000));
    world.deliver(100_000);
    ferry(&mut world);
    for index in 0..7 {
        assert!(world.peer(index).fold().is_complete(), "peer {index}");
    }
    assert!(whole(&world, away[1], &home) >= 2, "the others of that bucket came whole");
    let mut status = |index| world.peer(index).fold().term_status(Epoch::new(1));
    assert_eq!((status(neighbour), status(away[1]).voids), (status(away[1]), 1));
}

/// The places of the member who lies, its island, and the other one.
fn liar(world: &World) -> (usize, [usize; 3], [usize; 3]) {
    let member = world.manifest().manifest().member_index(&world::key(0).peer_id()).unwrap();
    match member.index() {
        index if WEST.contains(&index) => (index, WEST, EAST),
        index if EAST.contains(&index) => (index, EAST, WEST),
        _ => panic!("the ferry has this key; choose another"),
    }
}

#[test]
fn a_sum_of_another_update_of_a_slot_shows_the_twin() {
    let mut world = islands(40);
    let (hostile, home, away) = liar(&world);
    // Elsewhere its mates hear of another update of the liar in the first epoch, and sum that.
    let mut elsewhere = islands(40);
    for &mate in &home {
        elsewhere.cut(hostile, mate);
    }
    elsewhere.run_until(0);
    let twin = forged(&mut elsewhere, 0, Forgery::None);
    let mate = *home.iter().find(|&&index| index != hostile).unwrap();
    elsewhere.take(mate, &twin);
    elsewhere.deliver(100_000);
    (0..24).for_each(|_| turn(&mut elsewhere));
    let payloads = elsewhere.payload_files(mate);
    let sum = newest_aggregate(&elsewhere, mate, |hash| payloads.get(hash).cloned());
    run(&mut world, 2);
    let target = away[1];
    let held = count(&world, target, "aggregate");
    assert!(void_at(&mut world, target, hostile).is_none());
    world.hand_over(target, away[0], sum);
    assert_eq!(count(&world, target, "aggregate"), held + 1, "of as many slots, and news");
    assert!(void_at(&mut world, target, hostile).is_some());
    assert!(!world.peer(target).fold().is_complete(), "no sum is of use");
    // Its island passes it on, so that home opens the payloads of the others.
    for _ in 0..4 {
        turns(&mut world);
        ferry(&mut world);
        world.connect(away[0], target);
        world.deliver(100_000);
    }
    for index in [target, mate] {
        let fold = world.peer(index).fold();
        assert!(fold.is_complete(), "peer {index}");
        assert_eq!(fold.term_status(Epoch::new(0)).voids, 1);
    }
}

/// What a peer says of the slot of another one in the first epoch.
fn void_at(world: &mut World, index: usize, of: usize) -> Option<longhaul_aggregation::VoidReason> {
    let member = index_of(world, of);
    world.peer(index).fold().void(member, Epoch::new(0))
}

fn index_of(world: &World, index: usize) -> longhaul_aggregation::MemberIndex {
    world.manifest().manifest().member_index(&world.key(index).peer_id()).unwrap()
}

#[test]
fn a_twin_before_any_sum_is_known_to_all_in_the_end() {
    let mut world = islands(40);
    let (hostile, home, away) = liar(&world);
    world.run_until(0);
    world.deliver(100_000);
    let twin = forged(&mut world, 0, Forgery::None);
    let mate = *home.iter().find(|&&index| index != hostile).unwrap();
    world.take(mate, &twin);
    world.deliver(100_000);
    for _ in 0..3 * WAIT {
        turns(&mut world);
        ferry(&mut world);
    }
    for index in [mate, away[1], FERRY] {
        assert!(void_at(&mut world, index, hostile).is_some(), "peer {index}");
        assert!(world.peer(index).fold().is_complete(), "peer {index}");
    }
}

#[test]
fn what_waits_too_long_for_a_sum_travels_whole() {
    // A lone member of an island has nobody to sum with.
    let mut world = islands(12);
    for &index in &EAST[1..] {
        for other in EAST {
            world.cut(index, other);
        }
    }
    world.run_until(1);
    ferry(&mut world);
    assert_eq!(whole(&world, WEST[1], &EAST), 0);
    world.run_until(1 + WAIT);
    ferry(&mut world);
    assert!(whole(&world, WEST[1], &EAST) > 0);
}

#[test]
fn tampered_aggregates_are_refused_and_change_nothing() {
    let mut world = islands(12);
    run(&mut world, 2);
    let payloads = world.payload_files(WEST[0]);
    let good = newest_aggregate(&world, WEST[0], |hash| payloads.get(hash).cloned());
    // The same federation, in which nobody has heard of anything yet.
    let (mut world, target) = (islands(12), EAST[2]);
    let manifest = world.manifest();
    let before = (world.model_id(target), world.peer(target).fold().set_root());
    let len = good.payload.len();
    for byte in [len / 2, len - 70, len - 1] {
        let mut payload = good.payload.to_vec();
        payload[byte] ^= 1;
        let mut header = AggregateHeader::decode(good.head.header()).unwrap();
        header.payload = ContentHash::of(&payload);
        let number = good.head.sequence() + 900 + byte as u64;
        let draft = manifest.draft((good.head.created(), number), header.encode(), &payload);
        let head = longhaul_dtn::bundle::Prepared::clear(draft.unwrap(), &world.key(WEST[0]));
        let head = Arc::new(head.unwrap().sign(None).unwrap());
        world.hand_over(target, WEST[0], Held { head, payload: payload.into() });
    }
    let refused = codes(&world, target);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().all(|code| (220..=228).contains(code)), "{refused:?}");
    assert_eq!((world.model_id(target), world.peer(target).fold().set_root()), before);
    // As it is it is taken.
    world.hand_over(target, WEST[0], good);
    assert_eq!((codes(&world, target).len(), count(&world, target, "aggregate")), (3, 1));
    assert_ne!(world.peer(target).fold().set_root(), before.1);
}

#[test]
fn a_federation_without_aggregates_refuses_them() {
    let mut with = islands(6);
    run(&mut with, 2);
    let payloads = with.payload_files(WEST[0]);
    let held = newest_aggregate(&with, WEST[0], |hash| payloads.get(hash).cloned());
    let mut without = islands_with(6, None);
    let manifest = without.manifest();
    let header = AggregateHeader::decode(held.head.header()).unwrap();
    let header = AggregateHeader { federation: manifest.id(), ..header };
    let draft = manifest.draft((without.now(), 1 << 62), header.encode(), b"sum").unwrap();
    let head = longhaul_dtn::bundle::Prepared::clear(draft, &without.key(0)).unwrap();
    let head = Arc::new(head.sign(None).unwrap());
    without.take(1, &Held { head, payload: b"sum"[..].into() });
    assert_eq!(codes(&without, 1), [218]);
}

#[test]
fn one_of_an_island_makes_the_sum_and_the_others_take_it() {
    let mut world = islands(6);
    run(&mut world, 3);
    let made = |index: usize| {
        let own = |entry: &longhaul_registry::SignedEntry| {
            matches!(entry.record(), Record::Aggregate { from: None, .. })
        };
        world.entries(index).iter().filter(|entry| own(entry)).count()
    };
    for island in [WEST, EAST] {
        let made: Vec<usize> = island.iter().map(|&index| made(index)).collect();
        // Each epoch's sum is made once, or once more for an update that came late.
        assert!((2..=6).contains(&made.iter().sum::<usize>()), "{made:?}");
    }
    assert_eq!(made(FERRY), 0, "who stands alone sums nothing");
    let failed = |event: &Event| matches!(event, Event::NoAggregate { .. });
    assert!((0..7).all(|index| !world.events(index).iter().any(failed)));
}
