//! Ceremonies: members exchange contributions and train nothing. The peer checks who made them and how many, not their
//! points, so those here have none that hold.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod world;

use std::sync::Arc;

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_node::peer::Event;
use longhaul_proofs::ceremony::LogSize;
use longhaul_proofs::curve::Bn254;
use longhaul_proofs::s1::Shape;
use longhaul_registry::ceremony::{CONTRIBUTIONS_MAX, Part};
use longhaul_registry::{CeremonyPlan, ContributionHeader, ProofCurve};
use world::{World, key};

const SHAPE: Shape = Shape::STANDARD[0];

fn ceremony(members: u8) -> World {
    World::with(members, 3, |manifest| {
        manifest.ceremony = Some(CeremonyPlan {
            curve: ProofCurve::Bn254,
            log_size: 11,
            shapes: vec![SHAPE],
            contributors_min: 2,
        });
    })
}

/// What looks like a contribution from outside.
fn payload(by: &SecretKey, ceremony: ContentHash, number: u8) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(9).unsigned(2).text("bn254").bytes(ceremony.as_bytes());
    writer.bytes(ceremony.as_bytes()).bytes(by.peer_id().as_bytes());
    writer.bytes(&[number; 40_000]);
    writer.into_bytes()
}

fn name_of(part: Part) -> ContentHash {
    match part {
        Part::Powers => LogSize::new(11).unwrap().ceremony::<Bn254>(),
        Part::Circuit(_) => ContentHash::of(b"some powers"),
    }
}

/// The `number`-th contribution of a node of the world.
fn contribution(world: &World, by: usize, part: Part, number: u8) -> Held {
    let key = world.key(by);
    let payload = payload(&key, name_of(part), number);
    let manifest = world.manifest();
    let head = manifest.contribution(&key, (part, number.into()), &payload, world.now()).unwrap();
    Held { head: Arc::new(head), payload: payload.into() }
}

/// A bundle that somebody else's program made.
fn forged(world: &World, by: &SecretKey, federation: ContentHash, payload: &[u8]) -> Held {
    // What is too long for phase 2 and would not be for phase 1.
    let part = if payload.len() > 100_000 { Part::Circuit(SHAPE) } else { Part::Powers };
    let (ceremony, hash) = (name_of(part), ContentHash::of(payload));
    let header = ContributionHeader { federation, part, ceremony, payload: hash };
    let draft = BundleDraft {
        destination: Eid::none(),
        created: world.now(),
        sequence: 1,
        lifetime: world.manifest().manifest().bounds.bundle_lifetime,
        hop_limit: 9,
        header: header.encode(),
        payload,
    };
    Held { head: Arc::new(BundleHead::seal(draft, by).unwrap()), payload: payload.into() }
}

fn held(world: &mut World, index: usize) -> usize {
    world.peer(index).contributions().count()
}

fn codes(world: &World, index: usize) -> Vec<u16> {
    let code = |event: &Event| match event {
        Event::Refused { code, .. } => Some(*code),
        _ => None,
    };
    world.events(index).iter().filter_map(code).collect()
}

#[test]
fn contributions_reach_all_members_also_one_that_was_away() {
    let mut world = ceremony(3);
    let own = contribution(&world, 0, Part::Powers, 0);
    world.take(0, &own);
    world.connect(0, 1);
    world.settle();
    assert_eq!([0, 1, 2].map(|index| held(&mut world, index)), [1, 1, 0]);
    // The first is off line when the one that was away meets the second.
    world.cut(0, 1);
    let own = contribution(&world, 1, Part::Powers, 0);
    world.take(1, &own);
    world.connect(1, 2);
    world.settle();
    assert_eq!([0, 1, 2].map(|index| held(&mut world, index)), [1, 2, 2]);
    world.cut(1, 2);
    world.connect(2, 0);
    world.settle();
    assert_eq!(held(&mut world, 0), 2);
    let contribution = world.peer(0).contributions().next().unwrap();
    assert_eq!(contribution.header.payload, ContentHash::of(contribution.bytes));
    (0..3).for_each(|index| assert_eq!(codes(&world, index).len(), 0));
}

#[test]
fn nobody_trains_and_updates_are_refused() {
    let mut world = ceremony(2);
    world.connect_all();
    world.run_to_end();
    for index in 0..2 {
        assert!(world.requests(index).is_empty() && world.own_slots(index).is_empty());
        assert!(!world.peer(index).status().training);
    }
    let mut training = World::new(2, 3);
    training.run_until(1);
    let (head, payload) = training.own_wire(1);
    let (mut world, update) = (ceremony(2), Held { head: Arc::new(head), payload });
    world.hand_over(0, 1, update);
    assert_eq!((codes(&world, 0), world.peer(0).status().updates), (vec![211], 0));
}

#[test]
fn a_restart_keeps_what_was_taken_and_offers_it() {
    let mut world = ceremony(3);
    for (by, part) in [(0, Part::Powers), (0, Part::Circuit(SHAPE)), (1, Part::Powers)] {
        let made = contribution(&world, by, part, 0);
        world.take(0, &made);
    }
    world.restart(0);
    assert_eq!(held(&mut world, 0), 3);
    world.connect(0, 2);
    world.settle();
    assert_eq!(held(&mut world, 2), 3);
    // A payload that the disk lost is fetched again from who has it.
    world.lose_payloads(0);
    world.restart(0);
    assert_eq!((held(&mut world, 0), world.peer(0).status().missing), (0, 3));
    world.connect(0, 2);
    world.settle();
    assert_eq!((held(&mut world, 0), world.peer(0).status().missing), (3, 0));
    assert_eq!(codes(&world, 0).len(), 0);
}

#[test]
fn the_ninth_of_a_member_is_refused_in_each_part_by_itself() {
    let mut world = ceremony(2);
    for number in 0..=CONTRIBUTIONS_MAX as u8 {
        let made = contribution(&world, 1, Part::Powers, number);
        world.hand_over(0, 1, made);
    }
    assert_eq!((held(&mut world, 0), codes(&world, 0)), (CONTRIBUTIONS_MAX, vec![217]));
    world.restart(0);
    let ninth = contribution(&world, 1, Part::Powers, 20);
    world.hand_over(0, 1, ninth);
    assert_eq!(held(&mut world, 0), CONTRIBUTIONS_MAX, "a restart forgets no number");
    let [other_part, other_member] = [
        contribution(&world, 1, Part::Circuit(SHAPE), 0),
        contribution(&world, 0, Part::Powers, 0),
    ];
    world.hand_over(0, 1, other_part);
    world.hand_over(0, 1, other_member);
    assert_eq!(held(&mut world, 0), CONTRIBUTIONS_MAX + 2);
    let counted = world.key(1).peer_id();
    assert_eq!(world.peer(0).contributions_of(counted, Part::Powers), CONTRIBUTIONS_MAX);
}

#[test]
fn strangers_and_forgeries_are_refused_and_recorded() {
    let mut world = ceremony(2);
    let federation = world.manifest().id().hash();
    let (stranger, member) = (key(90), world.key(1));
    let good = payload(&member, name_of(Part::Powers), 1);
    let of_stranger = payload(&stranger, name_of(Part::Powers), 1);
    let stolen = payload(&world.key(0), name_of(Part::Powers), 1);
    for (held, code) in [
        (forged(&world, &stranger, federation, &of_stranger), 212),
        (forged(&world, &member, ContentHash::of(b"another"), &good), 213),
        (forged(&world, &member, federation, &stolen), 216),
        (forged(&world, &member, federation, b"junk"), 216),
        (forged(&world, &member, federation, &vec![0; 300_000]), 215),
    ] {
        let before = codes(&world, 0).len();
        world.hand_over(0, 1, held);
        assert_eq!(codes(&world, 0)[before..], [code]);
    }
    assert_eq!(held(&mut world, 0), 0);
    world.hand_over(0, 1, forged(&world, &member, federation, &good));
    assert_eq!(held(&mut world, 0), 1);
    let refused = world.entries(0).iter().filter(|it| it.record().kind() == "refuse").count();
    assert_eq!(refused, 5);
    let file = world.audit_file_of_now(0);
    let report = longhaul_registry::audit::audit(
        &file,
        longhaul_registry::audit::Check::Replay,
        &longhaul_registry::audit::Expected::default(),
    );
    assert_eq!(report.contributions, 1, "{report}");
}
