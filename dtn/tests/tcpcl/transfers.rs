//! Transfers between two sessions (section 5.2).

use longhaul_dtn::tcpcl::{Input, InputError, Output, RefuseReason, SessionConfig, TransferId};

use crate::wire::{ACTIVE, PASSIVE, Wire, bundle, id, plain};

#[test]
fn carries_bundles_both_ways_in_any_cuts() {
    for cut in [1, 2, 7, 100, 100_000] {
        let active = SessionConfig { segment_mru: 50, ..plain("a") };
        let mut wire = Wire::new(active, plain("b"));
        wire.cut = cut;
        let lengths = [1_000, 0, 1, 49, 50, 51];
        for len in lengths {
            wire.send(ACTIVE, bundle(len));
            wire.send(PASSIVE, bundle(len + 1));
        }
        wire.settle();
        for (at, more) in [(ACTIVE, 1), (PASSIVE, 0)] {
            let expected: Vec<(TransferId, Vec<u8>)> =
                (0..).map(id).zip(lengths.map(|len| bundle(len + more))).collect();
            assert_eq!(wire.ends[at].finished, expected);
            assert_eq!(wire.ends[at].delivered(), (0..6).map(id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn delivers_only_what_was_stored_and_in_order() {
    let mut wire = Wire::established();
    wire.ends[PASSIVE].stores = false;
    (0..3).for_each(|_| wire.send(ACTIVE, bundle(100)));
    wire.settle();
    assert_eq!(wire.ends[PASSIVE].finished.len(), 3);
    wire.input(PASSIVE, Input::Stored { id: id(1) }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].delivered(), []);
    wire.input(PASSIVE, Input::Stored { id: id(0) }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].delivered(), [id(0), id(1)]);
    assert_eq!(wire.input(PASSIVE, Input::Stored { id: id(0) }), Err(InputError::NoTransfer));
}

#[test]
fn acknowledges_lengths_as_the_example_of_section_5_2_3() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 1_800 }).unwrap();
    for len in [100, 200, 500, 1_000] {
        wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(len) }).unwrap();
    }
    wire.settle();
    let acked: Vec<u64> = wire.ends[ACTIVE].outputs.iter().filter_map(acked_length).collect();
    assert_eq!(acked, [100, 300, 800]);
    assert_eq!(wire.ends[ACTIVE].delivered(), [id(0)]);
}

fn acked_length(output: &Output) -> Option<u64> {
    match output {
        Output::Acked { length, .. } => Some(*length),
        _ => None,
    }
}

#[test]
fn tells_the_length_of_bundles_in_several_segments() {
    let mut wire = Wire::new(plain("a"), SessionConfig { segment_mru: 10, ..plain("b") });
    wire.send(ACTIVE, bundle(10));
    wire.send(ACTIVE, bundle(11));
    wire.settle();
    for (number, length) in [(0, None), (1, Some(11))] {
        let started = Output::TransferStarted { id: id(number), length };
        assert!(wire.ends[PASSIVE].outputs.contains(&started));
    }
}

#[test]
fn stops_sending_a_bundle_that_is_refused_under_way() {
    let mut wire = Wire::new(plain("a"), SessionConfig { segment_mru: 10, ..plain("b") });
    wire.send(ACTIVE, bundle(10_000));
    wire.send(ACTIVE, bundle(20));
    let started = Output::TransferStarted { id: id(0), length: Some(10_000) };
    while !wire.ends[PASSIVE].outputs.contains(&started) {
        assert!(wire.step());
    }
    let reason = RefuseReason::COMPLETED;
    wire.input(PASSIVE, Input::Refuse { id: id(0), reason }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].refused(), [(id(0), reason)]);
    assert_eq!(wire.ends[ACTIVE].delivered(), [id(1)]);
    assert_eq!(wire.ends[PASSIVE].finished, [(id(1), bundle(20))]);
    assert!(wire.ends[ACTIVE].said.len() < 5_000);
}

#[test]
fn refuses_a_whole_bundle_instead_of_storing_it() {
    let mut wire = Wire::established();
    wire.ends[PASSIVE].stores = false;
    wire.send(ACTIVE, bundle(100));
    wire.settle();
    let reason = RefuseReason::NOT_ACCEPTABLE;
    wire.input(PASSIVE, Input::Refuse { id: id(0), reason }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].refused(), [(id(0), reason)]);
    let again = wire.input(PASSIVE, Input::Refuse { id: id(0), reason });
    assert_eq!(again, Err(InputError::NoTransfer));
}

#[test]
fn refuses_what_follows_only_after_what_was_before_is_answered() {
    let mut wire = Wire::established();
    wire.ends[PASSIVE].stores = false;
    wire.send(ACTIVE, bundle(100));
    wire.send(ACTIVE, bundle(100));
    wire.settle();
    let reason = RefuseReason::NO_RESOURCES;
    wire.input(PASSIVE, Input::Refuse { id: id(1), reason }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].refused(), []);
    wire.input(PASSIVE, Input::Stored { id: id(0) }).unwrap();
    wire.settle();
    let answers = &wire.ends[ACTIVE].outputs;
    let delivered = Output::Delivered { id: id(0) };
    assert!(answers.ends_with(&[delivered, Output::Refused { id: id(1), reason }]));
}

#[test]
fn offers_nothing_beyond_the_limits() {
    let passive = SessionConfig { transfer_mru: 100, segment_mru: 60, ..plain("b") };
    let mut wire = Wire::new(plain("a"), passive);
    assert_eq!(wire.input(ACTIVE, Input::Offer { length: 1 }), Err(InputError::Unexpected));
    wire.settle();
    assert_eq!(wire.input(ACTIVE, Input::Offer { length: 101 }), Err(InputError::TooLong(100)));
    wire.input(ACTIVE, Input::Offer { length: 100 }).unwrap();
    assert_eq!(wire.input(ACTIVE, Input::Offer { length: 1 }), Err(InputError::Busy));
    for (number, len, found) in [
        (1, 1, Err(InputError::NoTransfer)),
        (0, 61, Err(InputError::Window(60))),
        (0, 60, Ok(())),
        (0, 41, Err(InputError::Window(40))),
        (0, 40, Ok(())),
        (0, 1, Err(InputError::NoTransfer)),
    ] {
        let bytes = &bundle(len);
        assert_eq!(wire.input(ACTIVE, Input::Data { id: id(number), bytes }), found);
    }
}

#[test]
fn bounds_what_waits_to_be_transmitted() {
    let mut active = plain("a");
    active.bounds.transmit_bytes_max = 1_000;
    active.bounds.segment_bytes_max = 300;
    let mut wire = Wire::new(active, plain("b"));
    wire.settle();
    wire.input(ACTIVE, Input::Offer { length: 1 << 20 }).unwrap();
    let mut taken = 0;
    while let window @ 1.. = wire.ends[ACTIVE].session.send_window() {
        wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(window) }).unwrap();
        taken += window;
    }
    assert!((900..=1_200).contains(&taken), "{taken}");
    assert!(!wire.ends[ACTIVE].session.wants_bytes());
    wire.ends[ACTIVE].drain(wire.now);
    assert_eq!(wire.ends[ACTIVE].session.send_window(), 300);
}

#[test]
fn lets_the_other_side_wait_while_the_store_is_behind() {
    let mut passive = plain("b");
    passive.bounds.answers_max = 3;
    let mut wire = Wire::new(plain("a"), passive);
    wire.ends[PASSIVE].stores = false;
    (0..20).for_each(|_| wire.send(ACTIVE, bundle(10)));
    wire.settle();
    for number in 0..20 {
        assert!(wire.ends[PASSIVE].finished.len() <= number as usize + 3);
        wire.input(PASSIVE, Input::Stored { id: id(number) }).unwrap();
        wire.settle();
    }
    assert_eq!(wire.ends[ACTIVE].delivered().len(), 20);
}

#[test]
fn does_not_pass_off_as_whole_what_was_cut_short() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
    wire.input(ACTIVE, Input::Data { id: id(0), bytes: b"abc" }).unwrap();
    wire.input(ACTIVE, Input::End { id: id(0) }).unwrap();
    wire.input(ACTIVE, Input::Offer { length: 5 }).unwrap();
    wire.input(ACTIVE, Input::End { id: id(1) }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].refused(), [(id(0), RefuseReason::NOT_ACCEPTABLE)]);
    assert!(wire.ends[ACTIVE].outputs.contains(&Output::Lost { id: id(1) }));
    assert!(wire.ends[PASSIVE].outputs.contains(&Output::TransferFailed { id: id(0) }));
    assert!(wire.ends[PASSIVE].finished.is_empty());
    wire.send(ACTIVE, bundle(3));
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].delivered(), [id(2)]);
}
