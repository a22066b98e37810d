//! Agents among each other: spreading, judging, listing, expiry.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::Arc;

mod common;

use common::network::{Judge, Network};
use common::{Dice, LIMITS, bundle, key};
use longhaul_dtn::agent::{Agent, AgentBounds, Held, Input, Verdict};
use longhaul_dtn::bundle::BundleId;

fn network(agents: usize) -> (Network, Dice) {
    (Network::new(agents, AgentBounds::default()), Dice(0x5eed))
}

#[test]
fn spreads_bundles_over_a_line_of_agents() {
    let (mut net, mut dice) = network(5);
    for agent in 0..5 {
        net.publish(agent, bundle(agent as u8 + 1, agent as u64, 1_000 * agent));
    }
    (0..4).for_each(|agent| {
        net.connect(agent, agent + 1);
    });
    net.settle(&mut dice);
    for agent in &net.agents {
        assert_eq!((agent.len(), agent.waiting()), (5, 0));
    }
    assert!(net.judged.values().all(|&times| times == 1));
}

/// Many enough that the two compare sketches, or few enough that they list.
fn withheld_from_others(count: u64, only_for_two: u64) {
    let (mut net, mut dice) = network(3);
    let to = Arc::new([key(2).peer_id()].into());
    for number in 0..count {
        let held = bundle(1, number, 100);
        if number < only_for_two {
            let input = Input::Audience { id: held.head.id(), to: Some(Arc::clone(&to)) };
            net.handle(0, input);
        }
        net.publish(0, held.clone());
        // What both hold already, the one that may not know of it included.
        if number % 2 == 1 {
            net.publish(2, held);
        }
    }
    net.connect(0, 1);
    net.connect(0, 2);
    net.settle(&mut dice);
    assert_eq!(net.agents[1].len() as u64, count);
    let known = (0..count).filter(|number| *number >= only_for_two || number % 2 == 1);
    assert_eq!(net.agents[2].len(), known.count());
    assert_eq!((net.agents[2].waiting(), net.closed.len()), (0, 0));
    // From now on they are for everybody: who was not told is, at once.
    for number in 0..only_for_two {
        let id = bundle(1, number, 100).head.id();
        net.handle(0, Input::Audience { id, to: None });
    }
    net.settle(&mut dice);
    assert_eq!(net.agents[2].len() as u64, count);
}

#[test]
fn what_is_for_one_peer_is_not_offered_to_another_by_list() {
    withheld_from_others(7, 4);
}

#[test]
fn what_is_for_one_peer_is_not_offered_to_another_by_sketch() {
    withheld_from_others(200, 60);
}

#[test]
fn announces_new_bundles_on_live_links() {
    let (mut net, mut dice) = network(3);
    net.connect(0, 1);
    net.connect(1, 2);
    net.settle(&mut dice);
    let held = bundle(1, 1, 50_000);
    net.publish(0, held.clone());
    net.settle(&mut dice);
    assert!(net.agents[2].holds(&held.head.id()));
    net.publish(2, bundle(3, 2, 0));
    net.settle(&mut dice);
    assert!(net.agents.iter().all(|agent| agent.len() == 2));
}

#[test]
fn relays_bundles_of_other_authors_and_counts_hops() {
    let (mut net, mut dice) = network(3);
    net.judge = Judge::Later;
    net.publish(0, bundle(9, 1, 10));
    net.connect(0, 1);
    net.settle(&mut dice);
    net.answer(Verdict::Accept);
    net.connect(1, 2);
    net.settle(&mut dice);
    assert_eq!(net.judging.len(), 1);
    net.answer(Verdict::Accept);
    assert_eq!(net.agents[2].len(), 1);
}

#[test]
fn withholds_a_bundle_until_it_is_judged() {
    let (mut net, mut dice) = network(3);
    net.judge = Judge::Later;
    let held = bundle(1, 1, 100);
    net.publish(0, held.clone());
    net.connect(0, 1);
    net.connect(1, 2);
    net.settle(&mut dice);
    assert_eq!((net.agents[1].len(), net.agents[1].waiting()), (0, 1));
    assert_eq!(net.agents[2].waiting(), 0);
    net.answer(Verdict::Accept);
    assert!(net.agents[1].holds(&held.head.id()));
    net.settle(&mut dice);
    assert_eq!(net.agents[2].waiting(), 1);
}

#[test]
fn does_not_spread_what_was_refused() {
    let (mut net, mut dice) = network(3);
    net.judge = Judge::Later;
    net.publish(0, bundle(1, 1, 100));
    net.connect(0, 1);
    net.connect(1, 2);
    net.settle(&mut dice);
    net.answer(Verdict::Refuse { code: 104 });
    net.settle(&mut dice);
    assert_eq!((net.agents[1].len(), net.agents[1].waiting()), (0, 0));
    assert_eq!(net.agents[2].waiting(), 0);
    net.connect(0, 1);
    net.settle(&mut dice);
    assert!(net.judged.values().all(|&times| times == 1), "a refused bundle is judged once");
}

#[test]
fn lists_more_ids_than_one_page_holds() {
    let (mut net, mut dice) = network(2);
    for number in 0..1_300 {
        net.publish(0, bundle(1, number, 0));
    }
    net.connect(0, 1);
    net.settle(&mut dice);
    assert_eq!(net.agents[1].len(), 1_300);
}

#[test]
fn fetches_everything_although_few_offers_are_remembered() {
    let bounds = AgentBounds { offers_per_link: 10, transfers_max: 2, ..AgentBounds::default() };
    let (mut net, mut dice) = (Network::new(2, bounds), Dice(1));
    for number in 0..1_100 {
        net.publish(0, bundle(1, number, 0));
    }
    net.connect(0, 1);
    for number in 0..100 {
        net.publish(0, bundle(1, 5_000 + number, 0));
    }
    net.settle(&mut dice);
    assert_eq!(net.agents[1].len(), 1_200);
}

#[test]
fn fetches_the_newest_first() {
    let bounds = AgentBounds { wants_per_link: 2, ..AgentBounds::default() };
    let (mut net, mut dice) = (Network::new(2, bounds), Dice(1));
    let bundles: Vec<_> = [3, 1, 4, 2, 5].map(|number| bundle(1, number, 10)).into();
    bundles.iter().for_each(|held| net.publish(0, held.clone()));
    net.judge = Judge::Later;
    net.connect(0, 1);
    net.settle(&mut dice);
    let order: Vec<BundleId> = net.judging.iter().map(|&(_, id)| id).collect();
    let expected: Vec<BundleId> =
        [4, 2, 0, 3, 1].map(|index: usize| bundles[index].head.id()).into();
    assert_eq!(order, expected);
}

#[test]
fn does_not_fetch_again_what_it_published_at_start() {
    let (mut net, mut dice) = network(2);
    for number in 0..10 {
        net.publish(0, bundle(1, number, 1_000));
        net.publish(1, bundle(1, number, 1_000));
    }
    net.connect(0, 1);
    net.settle(&mut dice);
    assert!(net.judged.is_empty());
    assert_eq!(net.group_bytes_sent.values().sum::<u64>(), 0);
}

#[test]
fn drops_and_withholds_expired_bundles() {
    let (mut net, mut dice) = network(2);
    let held = bundle(1, 1, 10);
    net.publish(0, held.clone());
    assert_eq!(net.agents[0].wake_at(), Some(held.head.expires()));
    net.pass(LIMITS.lifetime_max);
    assert!(net.agents[0].is_empty());
    assert_eq!(net.agents[0].wake_at(), None);
    net.publish(0, held);
    net.connect(0, 1);
    net.settle(&mut dice);
    assert!(net.agents.iter().all(Agent::is_empty));
}

#[test]
fn does_not_fetch_again_what_expired() {
    let (mut net, mut dice) = network(2);
    let held = bundle(1, 1, 10);
    net.publish(0, held.clone());
    net.publish(1, held.clone());
    let late = Input::Wake;
    net.agents[1].handle(held.head.expires(), late);
    assert!(net.agents[1].is_empty());
    net.connect(0, 1);
    net.settle(&mut dice);
    assert_eq!(net.agents[1].waiting(), 0);
    assert!(net.judged.is_empty() && net.refused.is_empty());
}

#[test]
fn survives_bounds_of_zero() {
    let bounds = AgentBounds {
        wants_per_link: 0,
        sketch_ids_max: 0,
        offers_per_link: 0,
        refusals_max: 0,
        transfer_bytes_max: 0,
        transfers_max: 0,
        unrequested_max: 0,
        ..AgentBounds::default()
    };
    let (mut net, mut dice) = (Network::new(2, bounds), Dice(5));
    net.publish(0, bundle(1, 1, 5));
    net.connect(0, 1);
    net.settle(&mut dice);
    assert_eq!(net.agents[1].len(), 1);
    assert!(net.closed.is_empty());
}

/// Gives a bundle to agent 0 as a file would.
fn carry(net: &mut Network, held: &Held) {
    net.handle(0, Input::Carried { bytes: held.head.to_bundle(&held.payload) });
}

#[test]
fn a_carried_bundle_is_judged_and_travels_on() {
    let (mut net, mut dice) = network(3);
    net.judge = Judge::Later;
    let held = bundle(9, 1, 40_000);
    (0..2).for_each(|_| carry(&mut net, &held));
    assert_eq!(net.judging.len(), 1, "it is judged once");
    net.answer(Verdict::Accept);
    net.judge = Judge::AtOnce;
    carry(&mut net, &held);
    net.connect(0, 1);
    net.connect(1, 2);
    net.settle(&mut dice);
    assert!(net.agents.iter().all(|agent| agent.holds(&held.head.id())));
    assert!(net.judged.values().all(|times| *times == 1) && net.refused.is_empty());
}

#[test]
fn a_carried_bundle_that_is_bad_is_refused_without_a_link() {
    let (mut net, _) = network(1);
    let held = bundle(9, 1, 100);
    let mut bytes = held.head.to_bundle(&held.payload);
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    net.handle(0, Input::Carried { bytes });
    net.handle(0, Input::Carried { bytes: vec![] });
    let late = held.head.expires();
    net.now = late;
    carry(&mut net, &held);
    let codes: Vec<u16> = net.refused.iter().map(|(_, _, reason)| reason.code()).collect();
    assert_eq!(codes, [1, 1, 5]);
    assert!(net.agents[0].is_empty() && net.judged.is_empty());
}

#[test]
fn a_carried_bundle_without_room_is_dropped_and_may_come_again() {
    let bounds = AgentBounds { transfers_max: 1, ..AgentBounds::default() };
    let mut net = Network::new(1, bounds);
    net.judge = Judge::Later;
    let (first, second) = (bundle(9, 1, 10), bundle(9, 2, 10));
    assert!(net.agents[0].has_room());
    carry(&mut net, &first);
    assert!(!net.agents[0].has_room());
    carry(&mut net, &second);
    net.answer(Verdict::Accept);
    assert!(net.judging.is_empty());
    carry(&mut net, &second);
    net.answer(Verdict::Accept);
    let held: Vec<BundleId> = net.agents[0].held().map(|held| held.head.id()).collect();
    assert_eq!(held.len(), 2);
    assert!(held.contains(&first.head.id()) && held.contains(&second.head.id()));
}
