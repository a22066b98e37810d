//! Bundles for one node: by a plan, and sprayed.

use longhaul_dtn::routing::graph::{Graph, GraphConfig};
use longhaul_dtn::routing::plan::{Plan, PlanLimits};
use longhaul_dtn::routing::spray::{Copies, TransferNumber};

use super::*;

fn copies(count: u16) -> Copies {
    Copies::new(count).expect("some")
}

fn graph(text: &str) -> Graph {
    let file = Plan::read_ion(text, at(0), &PlanLimits::default()).expect("a plan");
    Graph::new(&file.plan, GraphConfig::default())
}

/// A courier whose plan leads to z over b, with neighbours a and b.
fn planned() -> World {
    let plan = "a contact +0 +60 dtn://me/ dtn://a/ 1000000\n\
                a contact +0 +60 dtn://me/ dtn://b/ 1000000\n\
                a contact +0 +60 dtn://b/ dtn://z/ 1000000\n";
    routed(Some(graph(plan)), 1)
}

fn routed(graph: Option<Graph>, count: u16) -> World {
    let mut world = World::with(|config| {
        let next_transfer = TransferNumber(1_000);
        let graph = graph.clone();
        config.routing = Some(RoutingConfig { graph, copies: copies(count), next_transfer });
    });
    world.up(1, "dtn://a/");
    world.up(2, "dtn://b/");
    world.up(9, "dtn://source/");
    world
}

fn shares(outputs: &[Output]) -> Vec<(u64, Option<u16>)> {
    let shares = outputs.iter().filter_map(|output| match output {
        Output::Send { link, share, .. } => Some((link.0, share.map(|(copies, _)| copies.get()))),
        _ => None,
    });
    shares.collect()
}

#[test]
fn a_plan_says_who_gets_a_bundle_and_nobody_else_does() {
    let mut world = planned();
    let bundle = draft(1, "dtn://z/in");
    let outputs = world.take(9, &bundle);
    assert_eq!(shares(&outputs), [(2, Some(1))]);
    let outputs = world.answer(2, &bundle, SendOutcome::Acknowledged);
    assert_eq!(shares(&outputs), []);
    assert_eq!(world.agent.counts().forwarded, 1);
    // Whoever comes now is told nothing of it: b does the rest.
    assert_eq!(shares(&world.up(3, "dtn://c/")), []);
}

#[test]
fn its_destination_gets_a_bundle_whatever_the_plan_says() {
    let mut world = planned();
    world.give(0, Input::LinkDown(LinkId(2)));
    let bundle = draft(1, "dtn://z/in");
    assert_eq!(shares(&world.take(9, &bundle)), [], "it waits for b");
    assert_eq!(shares(&world.up(3, "dtn://z/")), [(3, None)]);
}

#[test]
fn what_got_lost_is_given_again_and_a_neighbour_without_room_is_left_alone() {
    let mut world = planned();
    let bundle = draft(1, "dtn://z/in");
    world.take(9, &bundle);
    let again = world.answer(2, &bundle, SendOutcome::Lost);
    assert_eq!(shares(&again), [(2, Some(1))]);
    let full = SendOutcome::Refused(RefuseReason::NO_RESOURCES);
    assert_eq!(shares(&world.answer(2, &bundle, full)), []);
    assert_eq!(shares(&world.give(9_999, Input::Wake)), []);
    assert_eq!(shares(&world.give(10_000, Input::Wake)), [(2, Some(1))]);
    // The contact ends, and another begins.
    world.give(10_001, Input::LinkDown(LinkId(2)));
    assert_eq!(shares(&world.up(4, "dtn://b/")), [(4, Some(1))]);
}

#[test]
fn a_bundle_for_a_group_goes_to_all() {
    let mut world = planned();
    let outputs = world.take(9, &draft(1, "dtn://team/~all"));
    assert_eq!(shares(&outputs), [(1, None), (2, None)]);
}

#[test]
fn sprayed_copies_are_halved_and_the_last_one_waits() {
    let mut world = routed(None, 4);
    let bundle = draft(1, "dtn://z/in");
    let outputs = world.take(9, &bundle);
    assert_eq!(shares(&outputs), [(1, Some(2)), (2, Some(1))]);
    world.answer(1, &bundle, SendOutcome::Acknowledged);
    let outputs = world.answer(2, &bundle, SendOutcome::Acknowledged);
    assert_eq!(shares(&outputs), []);
    assert_eq!(shares(&world.up(3, "dtn://c/")), []);
    assert_eq!(shares(&world.up(4, "dtn://z/")), [(4, None)]);
}

#[test]
fn copies_that_come_with_a_bundle_are_those_that_are_left_to_give() {
    let mut world = routed(None, 64);
    let mut one = draft(1, "dtn://z/in");
    super::super::copies::write(&mut one, Some((copies(1), TransferNumber(5))));
    assert_eq!(shares(&world.take(9, &one)), [], "a single one waits");
    // The same transfer brings nothing more, another does.
    let (_, outputs) = world.receive(9, &one);
    assert_eq!(shares(&outputs), []);
    super::super::copies::write(&mut one, Some((copies(3), TransferNumber(6))));
    let (_, outputs) = world.receive(9, &one);
    assert_eq!(shares(&outputs), [(1, Some(2)), (2, Some(1))]);
}

#[test]
fn a_routed_bundle_that_is_done_gives_way_first() {
    let mut world = planned();
    let bundle = draft(1, "dtn://z/in");
    world.take(9, &bundle);
    world.answer(2, &bundle, SendOutcome::Acknowledged);
    world.agent.config.quota_bytes = world.agent.held().1;
    let (_, outputs) = world.receive(9, &draft(2, "dtn://z/in"));
    assert!(outputs.contains(&Output::Delete(key(&bundle))), "{outputs:?}");
    assert_eq!(world.agent.counts().evicted, 1);
}

#[test]
fn after_a_restart_a_route_is_found_and_who_has_a_bundle_is_not_given_it() {
    let mut world = planned();
    let bundle = draft(1, "dtn://z/in");
    let entry = Entry { bytes: bytes(&bundle).len() as u64, expires: at(60_000), order: 0 };
    let holders = vec![NodeNumber::of(&endpoint("dtn://a/"))];
    let outputs = world.give(0, Input::Restored { key: key(&bundle), entry, holders });
    assert_eq!(outputs, [Output::Load(key(&bundle))]);
    let bytes = Some(bytes(&bundle));
    let outputs = world.give(0, Input::Loaded { key: key(&bundle), bytes });
    assert_eq!(shares(&outputs), [(2, Some(1))]);
}
