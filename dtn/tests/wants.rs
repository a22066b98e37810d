//! What is asked for first: what is worth most per byte, as the peer says.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::network::{Judge, Network, config};
use common::{Dice, bundle};
use longhaul_dtn::agent::{Agent, AgentBounds, AgentConfig, Input};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::routing::quota::Value;
use proptest::prelude::*;

/// Few asks are open, so that what comes later can still go first.
fn bounds() -> AgentBounds {
    AgentBounds { wants_per_link: 8, ..AgentBounds::default() }
}

/// Two agents, of which the second appraises, so that what it asks for has an order.
fn appraising(values: &[(BundleId, u64)]) -> (Network, Dice) {
    let mut net = Network::new(2, bounds());
    let config = config(1, bounds());
    net.agents[1] = Agent::new(AgentConfig { appraises: true, ..config });
    net.judge = Judge::Later;
    net.values = values.iter().copied().collect();
    (net, Dice(3))
}

/// The bundles in the order in which they had come whole, by their place in `ids`.
fn order(net: &Network, ids: &[BundleId]) -> Vec<usize> {
    let place = |id| ids.iter().position(|it| *it == id).unwrap();
    net.judging.iter().map(|&(_, id)| place(id)).collect()
}

fn connect(net: &mut Network, dice: &mut Dice) {
    net.connect(0, 1);
    net.settle(dice);
}

#[test]
fn what_is_worth_most_comes_first_however_old_it_is() {
    let held: Vec<_> = (0..6).map(|number| bundle(1, number, 100_000)).collect();
    let ids: Vec<_> = held.iter().map(|it| it.head.id()).collect();
    // The oldest is worth most.
    let values: Vec<_> =
        ids.iter().zip((0..6).rev()).map(|(&id, it)| (id, 1 << (10 * it))).collect();
    let (mut net, mut dice) = appraising(&values);
    held.into_iter().for_each(|it| net.publish(0, it));
    connect(&mut net, &mut dice);
    assert_eq!(order(&net, &ids), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn small_ones_come_before_large_ones_of_the_same_value() {
    let lens = [300, 200_000, 100, 100_000, 200];
    let held: Vec<_> = lens.iter().zip(0..).map(|(&len, it)| bundle(1, it, len)).collect();
    let ids: Vec<_> = held.iter().map(|it| it.head.id()).collect();
    for appraises in [false, true] {
        let values: Vec<_> = ids.iter().map(|&id| (id, 1 << 20)).collect();
        let (mut net, mut dice) = appraising(&values);
        let config = config(1, bounds());
        net.agents[1] = Agent::new(AgentConfig { appraises, ..config });
        held.iter().for_each(|it| net.publish(0, it.clone()));
        connect(&mut net, &mut dice);
        let order = order(&net, &ids);
        assert_eq!(order[3..], [3, 1], "{order:?}");
    }
}

#[test]
fn a_record_announced_later_overtakes_a_large_payload() {
    let (large, small) = (bundle(1, 1, 1_000_000), bundle(1, 2, 4));
    let ids = [large.head.id(), small.head.id()];
    let (mut net, mut dice) = appraising(&[(ids[0], 1_000), (ids[1], 1_000)]);
    net.publish(0, large);
    net.connect(0, 1);
    net.deliver_some(40, &mut dice);
    net.publish(0, small);
    net.settle(&mut dice);
    assert_eq!(order(&net, &ids), [1, 0]);
}

#[test]
fn what_is_nearly_whole_is_finished_before_an_equal_one_begins() {
    let held: Vec<_> = (0..3).map(|number| bundle(1, number, 500_000)).collect();
    let ids: Vec<_> = held.iter().map(|it| it.head.id()).collect();
    let values: Vec<_> = ids.iter().map(|&id| (id, 5)).collect();
    let (mut net, mut dice) = appraising(&values);
    net.publish(0, held[0].clone());
    net.connect(0, 1);
    net.deliver_some(50, &mut dice);
    held[1..].iter().for_each(|it| net.publish(0, it.clone()));
    net.settle(&mut dice);
    assert_eq!(order(&net, &ids)[0], 0);
}

#[test]
fn values_may_change_while_payloads_wait() {
    let held: Vec<_> = (0..3).map(|number| bundle(1, number, 400_000)).collect();
    let ids: Vec<_> = held.iter().map(|it| it.head.id()).collect();
    let (mut net, mut dice) = appraising(&[(ids[0], 1), (ids[1], 1_000), (ids[2], 100)]);
    held.into_iter().for_each(|it| net.publish(0, it));
    net.connect(0, 1);
    while net.agents[1].heads().count() < 3 {
        assert!(net.deliver(&mut dice));
    }
    net.handle(1, Input::Worth { id: ids[0], value: Value(1 << 40) });
    net.settle(&mut dice);
    assert_eq!(order(&net, &ids), [0, 1, 2]);
}

#[test]
fn heads_at_hand_are_not_fetched_again_after_a_cut() {
    let held: Vec<_> = (0..8).map(|number| bundle(1, number, 300_000)).collect();
    let values: Vec<_> = held.iter().map(|it| (it.head.id(), 7)).collect();
    let (mut net, mut dice) = appraising(&values);
    held.into_iter().for_each(|it| net.publish(0, it));
    let link = net.connect(0, 1);
    while net.agents[1].heads().count() < 8 {
        assert!(net.deliver(&mut dice));
    }
    let heads = net.sent["head"];
    net.cut(link);
    connect(&mut net, &mut dice);
    assert_eq!((net.judging.len(), net.sent["head"]), (8, heads));
}

#[test]
fn a_payload_is_taken_from_whoever_offers_it_wherever_its_head_came_from() {
    let mut net = Network::new(3, bounds());
    net.agents[2] = Agent::new(AgentConfig { appraises: true, ..config(2, bounds()) });
    let mut dice = Dice(8);
    let held: Vec<_> = (0..8).map(|number| bundle(1, number, 200_000)).collect();
    net.values = held.iter().map(|it| (it.head.id(), 3)).collect();
    for it in &held {
        net.publish(0, it.clone());
        net.publish(1, it.clone());
    }
    let first = net.connect(0, 2);
    while net.agents[2].heads().count() < 6 {
        assert!(net.deliver(&mut dice));
    }
    net.connect(1, 2);
    net.deliver_some(30, &mut dice);
    net.cut(first);
    net.settle(&mut dice);
    assert_eq!((net.agents[2].len(), net.agents[2].waiting()), (8, 0));
    assert!(net.judged.values().all(|&times| times == 1));
}

#[test]
fn what_nobody_appraises_is_fetched_no_further_and_ends_with_its_refusal() {
    let held = bundle(1, 1, 100_000);
    let (mut net, mut dice) = appraising(&[]);
    let (one, two) = (bundle(1, 2, 100_000), held.head.id());
    net.publish(0, held);
    net.publish(0, one.clone());
    let link = net.connect(0, 1);
    net.settle(&mut dice);
    assert!(net.group_bytes_sent.get(&link).copied().unwrap_or(0) <= 200_000);
    let ids = vec![one.head.id(), two];
    net.handle(1, Input::Retire { ids, code: 120 });
    net.settle(&mut dice);
    assert_eq!((net.agents[1].waiting(), net.agents[1].heads().count()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bundles are worth, and however often contacts are cut, all of them come, once.
    #[test]
    fn everything_comes_whatever_it_is_worth(
        lens in prop::collection::vec(0_usize..80_000, 1..20), worth in prop::collection::vec(0_u64..5, 20),
        cuts in prop::collection::vec(1_usize..200, 0..6), seed in 1_u64..1_000,
    ) {
        let held: Vec<_> = lens.iter().zip(0..).map(|(&len, it)| bundle(1, it, len)).collect();
        let values: Vec<_> = held.iter().zip(worth).map(|(it, worth)| (it.head.id(), worth)).collect();
        let (mut net, _) = appraising(&values);
        net.judge = Judge::AtOnce;
        let mut dice = Dice(seed);
        held.into_iter().for_each(|it| net.publish(0, it));
        for frames in cuts {
            let link = net.connect(0, 1);
            net.deliver_some(frames, &mut dice);
            net.cut(link);
        }
        net.connect(0, 1);
        net.settle(&mut dice);
        prop_assert_eq!((net.agents[1].len(), net.agents[1].waiting()), (lens.len(), 0));
        prop_assert!(net.judged.values().all(|&times| times == 1));
    }
}
