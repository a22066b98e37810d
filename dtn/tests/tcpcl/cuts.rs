//! A connection that breaks: at every byte, nothing is taken for more than it is.

use longhaul_dtn::tcpcl::{Input, Output, SessionConfig};
use proptest::prelude::*;

use crate::wire::{ACTIVE, PASSIVE, Wire, bundle, id, plain};

/// Two sessions that want to exchange bundles; none has said anything.
fn script(cut: usize) -> Wire {
    let small = |name| SessionConfig { segment_mru: 40, ..plain(name) };
    let mut wire = Wire::new(small("a"), small("b"));
    wire.cut = cut;
    for len in [100, 0, 30] {
        wire.send(ACTIVE, bundle(len));
        wire.send(PASSIVE, bundle(len + 7));
    }
    wire
}

/// Ends are accounted for: each transfer that began has one end.
fn check(wire: &Wire) {
    for (at, more) in [(ACTIVE, 7), (PASSIVE, 0)] {
        let (end, other) = (&wire.ends[at], &wire.ends[1 - at]);
        for ((_, bytes), len) in end.finished.iter().zip([100, 0, 30]) {
            assert_eq!(*bytes, bundle(len + more));
        }
        // What is told delivered was stored; what is not may be sent again.
        assert!(other.delivered().len() <= end.finished.len());
        let count = |is: fn(&Output) -> bool| end.outputs.iter().filter(|&it| is(it)).count();
        let started = count(|output| matches!(output, Output::TransferStarted { .. }));
        let failed = count(|output| matches!(output, Output::TransferFailed { .. }));
        assert_eq!(started, failed + end.finished.len());
        let offered = count(|output| matches!(output, Output::Offered { .. }));
        let lost = count(|output| matches!(output, Output::Lost { .. }));
        assert_eq!(offered, lost + end.delivered().len());
        assert!(end.session.is_closed() && end.session.wake_at().is_none());
    }
}

/// The script after so many steps, when the connection breaks.
fn check_broken(cut: usize, steps: usize) {
    let mut wire = script(cut);
    for _ in 0..steps {
        wire.step();
    }
    for at in [ACTIVE, PASSIVE] {
        wire.input(at, Input::Closed).unwrap();
        wire.ends[at].drain(wire.now);
    }
    check(&wire);
}

#[test]
fn breaks_at_every_byte_without_harm() {
    let mut whole = script(1);
    whole.settle();
    assert!(whole.ends.iter().all(|end| end.delivered().len() == 3));
    let total = whole.ends[ACTIVE].said.len() + whole.ends[PASSIVE].said.len();
    for steps in 0..total {
        check_broken(1, steps);
    }
}

#[test]
fn takes_no_prefix_of_a_bundle_for_the_bundle() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
    wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(10) }).unwrap();
    let bytes = wire.ends[ACTIVE].drain(wire.now);
    let (last, before) = bytes.split_last().unwrap();
    wire.input(PASSIVE, Input::Received(before)).unwrap();
    wire.ends[PASSIVE].drain(wire.now);
    assert!(wire.ends[PASSIVE].finished.is_empty());
    wire.input(PASSIVE, Input::Received(&[*last])).unwrap();
    wire.ends[PASSIVE].drain(wire.now);
    assert_eq!(wire.ends[PASSIVE].finished, [(id(0), bundle(10))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn breaks_anywhere_in_any_cuts_without_harm(cut in 1_usize..300, steps in 0_usize..80) {
        check_broken(cut, steps);
    }
}
