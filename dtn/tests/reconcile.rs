//! Reconciliation: what two agents say until they know what either lacks.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::host::{Host, hello};
use common::network::Network;
use common::{Dice, bundle};
use longhaul_dtn::agent::{AgentBounds, CloseReason, Held, Input, LinkId};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::frame::{Frame, Page, RESOLVE_SYMBOLS_MAX, Terms};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::sketch::{CellCount, Encoder, KeyedIds, SketchKey, Symbol};
use longhaul_dtn::time::Span;
use proptest::prelude::*;

/// Two agents that have met: agent 0 held the bundles numbered `first`, agent 1 `second`.
fn meet(
    first: impl Iterator<Item = u64>,
    second: impl Iterator<Item = u64>,
    bounds: AgentBounds,
) -> Network {
    let (mut net, mut dice) = (Network::new(2, bounds), Dice(11));
    first.for_each(|number| net.publish(0, bundle(1, number, 10)));
    second.for_each(|number| net.publish(1, bundle(1, number, 10)));
    net.connect(0, 1);
    net.settle(&mut dice);
    net
}

fn bytes(net: &Network, kinds: &[&str]) -> u64 {
    kinds.iter().filter_map(|kind| net.sent.get(kind)).sum()
}

#[test]
fn few_bytes_find_few_differences_among_many() {
    // Each side lacks 10 of the other's: the sketch finds them, ids name them.
    let net = meet(0..2_000, 10..2_010, AgentBounds::default());
    assert!(net.agents.iter().all(|agent| agent.len() == 2_010));
    let sketch = bytes(&net, &["sketch"]);
    assert!(sketch <= 20 * 33, "{sketch} bytes for 20 differences");
    let ids = bytes(&net, &["ids"]);
    assert!(ids <= 20 * 34 + 64, "{ids} bytes name 20 bundles");
    assert!(net.closed.is_empty() && net.judged.values().all(|&times| times == 1));
}

/// The figures of the manual: bytes of all frames until both know what they lack, and decode
/// time is that of `benches/sketch.rs`.
#[test]
#[ignore = "a minute: cargo test --release -p longhaul-dtn --test reconcile -- --ignored --nocapture"]
fn figures_of_large_sets() {
    for (held, each, most) in [(10_000, 10, 25.0), (100_000, 250, 25.0), (10_000, 0, 0.0)] {
        let net = meet(0..held, each..held + each, AgentBounds::default());
        let (sketch, ids) = (bytes(&net, &["sketch"]), bytes(&net, &["ids"]));
        let hello = bytes(&net, &["hello"]);
        let all = hello + sketch + ids;
        let per = |bytes: u64| bytes as f64 / (2 * each) as f64;
        println!(
            "{} of {held} differ: hello {hello}, sketch {sketch} ({:.1} each), ids {ids} ({:.1} each), {all} bytes",
            2 * each,
            per(sketch),
            per(ids)
        );
        assert!(if each == 0 { all < 300 } else { per(sketch) <= most });
    }
}

#[test]
fn equal_sets_cost_less_than_300_bytes() {
    for count in [0, 1, 9, 600] {
        let net = meet(0..count, 0..count, AgentBounds::default());
        let all: u64 = net.sent.values().sum();
        assert!(all < 300 || count == 1, "{all} bytes for {count}: {:?}", net.sent);
        assert!(net.judged.is_empty());
        assert_eq!((net.agents[0].waiting(), net.agents[1].waiting()), (0, 0));
    }
}

#[test]
fn either_side_learns_what_it_lacks_whoever_holds_more() {
    for (first, second) in [(0..900, 0..9), (0..9, 0..900), (0..700, 700..1_400), (0..40, 20..60)] {
        let net = meet(first.clone(), second.clone(), AgentBounds::default());
        let union = first.chain(second).collect::<std::collections::BTreeSet<_>>().len();
        assert!(net.agents.iter().all(|agent| agent.len() == union), "{union}");
        assert!(net.closed.is_empty());
    }
}

#[test]
fn lists_where_there_is_no_memory_for_sketches() {
    let bounds = AgentBounds { sketch_ids_max: 99, ..AgentBounds::default() };
    for (first, second) in [(0..100, 5..105), (0..120, 0..50), (0..50, 0..120)] {
        let net = meet(first, second, bounds);
        assert_eq!(net.agents[0].len(), net.agents[1].len());
        assert!(bytes(&net, &["ids"]) > 100 * 34, "{:?}", net.sent);
        assert!(net.closed.is_empty());
    }
}

#[test]
fn an_announcement_during_a_sketch_is_not_lost() {
    for frames in 0..12 {
        let (mut net, mut dice) = (Network::new(2, AgentBounds::default()), Dice(frames + 1));
        (0..600).for_each(|number| net.publish(0, bundle(1, number, 10)));
        (30..600).for_each(|number| net.publish(1, bundle(1, number, 10)));
        net.connect(0, 1);
        net.deliver_some(frames as usize, &mut dice);
        net.publish(0, bundle(2, 1, 10));
        net.publish(1, bundle(3, 1, 10));
        net.settle(&mut dice);
        assert!(net.agents.iter().all(|agent| agent.len() == 602), "after {frames} frames");
    }
}

/// A host that holds `count` bundles, in a contact with a peer that says it holds `theirs`.
fn contact(count: u64, theirs: u64) -> (Host, LinkId, [u8; 32]) {
    let mut host = Host::new(AgentBounds::default());
    (0..count).for_each(|number| host.handle(Input::Publish(bundle(1, number, 10))));
    let link = host.up(1, 2);
    let said = host.frames(link);
    let [Frame::Hello { nonce, terms, .. }] = said[..] else { panic!("a hello, found {said:?}") };
    assert_eq!(terms, Terms { held: count, ..Terms::default() });
    let Frame::Hello { versions, scope, nonce: mine, .. } = hello() else { panic!("a hello") };
    let terms = Terms { held: theirs, ..Terms::default() };
    host.send(link, &Frame::Hello { versions, scope, nonce: mine, terms });
    (host, link, nonce)
}

fn encoder(nonce: &[u8; 32], held: &[Held]) -> Encoder {
    let key = SketchKey::between(nonce, &[9; 32]);
    Encoder::new(KeyedIds::new(key, held.iter().map(|held| held.head.id())).unwrap())
}

#[test]
fn cells_that_never_decode_end_in_lists() {
    let (mut host, link, nonce) = contact(20, 50);
    // Cells of one set, then of another: nothing peels.
    let held: Vec<Held> = (0..50).map(|number| bundle(2, number, 10)).collect();
    let lie = encoder(&[7; 32], &held);
    let mut lies = lie;
    assert_ne!(nonce, [7; 32]);
    for _ in 0..100 {
        host.send(link, &Frame::Cells(lies.batch(CellCount::FIRST).unwrap()));
        match &host.frames(link)[..] {
            [Frame::MoreCells(_)] => {}
            [Frame::List, Frame::Have { ids, page: Page::Last }] => {
                assert_eq!(ids.len(), 20);
                assert!(host.closes().is_empty());
                return;
            }
            // A lie may look like a difference: then what it names does not exist.
            [Frame::Resolve { .. }, Frame::Have { .. }] => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("it asks for cells without an end");
}

#[test]
fn cells_without_an_end_are_given_up() {
    let (mut host, link, nonce) = contact(20, 20);
    let _ = nonce;
    let mut asked = 0;
    let mut lies = encoder(&[8; 32], &(0..20).map(|it| bundle(3, it, 10)).collect::<Vec<_>>());
    // Equal counts: who of the two sends cells goes by the peer id.
    if let [Frame::Cells(_)] = &host.frames(link)[..] {
        for _ in 0..10_000 {
            host.send(link, &Frame::MoreCells(CellCount::MAX));
            match &host.frames(link)[..] {
                [Frame::Cells(batch)] => asked += batch.cells.len(),
                [Frame::List, Frame::Have { .. }] => {
                    assert!(asked <= 1 << 20);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it sends cells without an end");
    }
    while let Ok(batch) = lies.batch(CellCount::FIRST) {
        host.send(link, &Frame::Cells(batch));
        asked += 1;
        if host.frames(link).contains(&Frame::List) {
            return;
        }
        assert!(asked < 100);
    }
}

#[test]
fn closes_on_what_has_no_place_in_a_reconciliation() {
    let cells = |nonce: &[u8; 32]| {
        let mut encoder = encoder(nonce, &[bundle(2, 1, 10)]);
        encoder.batch(CellCount::FIRST).unwrap();
        Frame::Cells(encoder.batch(CellCount::FIRST).unwrap())
    };
    let symbols = |count| Frame::Resolve {
        symbols: vec![Symbol::from_bytes([1; 8]); count],
        page: Page::Continued,
    };
    let more = Frame::MoreCells(CellCount::FIRST);
    for (theirs, frame, what) in [
        (50, more.clone(), "a question for cells"),
        (50, symbols(1), "symbols"),
        (50, cells(&[1; 32]), "cells behind the next ones"),
        (10, cells(&[1; 32]), "cells"),
        (5, more, "a question for cells"),
        (5, Frame::List, "no sketch to give up"),
    ] {
        let (mut host, link, _) = contact(20, theirs);
        host.send(link, &frame);
        let reason = CloseReason::OutOfOrder(what);
        assert_eq!(host.closes(), [(link, reason)], "{theirs} {frame:?}");
    }
}

#[test]
fn bounds_the_symbols_that_it_looks_up() {
    let (mut host, link, _) = contact(20, 10);
    let symbols = vec![Symbol::from_bytes([1; 8]); RESOLVE_SYMBOLS_MAX];
    for answered in 0..10 {
        let frame = Frame::Resolve { symbols: symbols.clone(), page: Page::Continued };
        host.send(link, &frame);
        if !host.closes().is_empty() {
            assert_eq!(answered, 2);
            return;
        }
    }
    panic!("it looks up whatever it is asked");
}

#[test]
fn a_peer_that_owes_cells_or_an_answer_is_closed_in_the_end() {
    for theirs in [50, 10] {
        let (mut host, link, _) = contact(20, theirs);
        (0..5).for_each(|_| host.pass(Span::from_ms(60_000)));
        assert_eq!(host.closes(), [(link, CloseReason::Stalled)], "{theirs}");
    }
}

#[test]
fn every_contact_has_another_nonce() {
    let mut host = Host::new(AgentBounds::default());
    let mut nonces: Vec<[u8; 32]> = vec![];
    for link in 1..4 {
        let link = host.up(link, 2);
        let [Frame::Hello { nonce, .. }] = host.frames(link)[..] else { panic!("a hello") };
        assert!(!nonces.contains(&nonce) && nonce != [1; 32]);
        nonces.push(nonce);
    }
}

/// Bundles that are small to make: the numbers of a set bit by bit.
fn numbers(bits: &[bool]) -> impl Iterator<Item = u64> {
    (0..).zip(bits).filter(|(_, held)| **held).map(|(number, _)| number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_two_sets_become_one(
        sets in prop::collection::vec(any::<(bool, bool)>(), 0..150),
        sketch_ids_max in prop::sample::select(vec![0, 30, 1_000]),
    ) {
        let (first, second): (Vec<_>, Vec<_>) = sets.iter().copied().unzip();
        let bounds = AgentBounds { sketch_ids_max, ..AgentBounds::default() };
        let net = meet(numbers(&first), numbers(&second), bounds);
        let union: Vec<bool> = sets.iter().map(|(one, other)| *one || *other).collect();
        let ids: Vec<BundleId> = numbers(&union).map(|it| bundle(1, it, 10).head.id()).collect();
        for agent in &net.agents {
            prop_assert!(agent.len() == ids.len() && ids.iter().all(|id| agent.holds(id)));
        }
        prop_assert!(net.closed.is_empty() && net.refused.is_empty());
        let twice = net.judged.values().filter(|times| **times > 1).count();
        prop_assert_eq!(twice, 0);
    }
}

#[test]
fn an_id_is_no_symbol() {
    // What stands for an id depends on the contact, so that nobody can make ids that collide.
    let id = BundleId::from_hash(ContentHash::of(b"x"));
    let symbol = |nonce: u8| SketchKey::between(&[nonce; 32], &[9; 32]).symbol(&id);
    assert_ne!(symbol(1), symbol(2));
}
