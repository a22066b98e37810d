//! Keepalives, timeouts and ends (sections 5.1.1 and 6).

use longhaul_dtn::tcpcl::{
    By, CloseCause, Input, InputError, Output, SessionConfig, TerminateReason,
};

use crate::wire::{ACTIVE, PASSIVE, Wire, bundle, id, plain, seconds};

const BUSY: TerminateReason = TerminateReason::BUSY;

#[test]
fn keeps_an_idle_session_alive() {
    let mut wire = Wire::established();
    wire.pass(seconds(300));
    for end in &wire.ends {
        assert!(!end.session.is_closed());
        let keepalives = end.said.iter().rev().take_while(|&&byte| byte == 4).count();
        assert_eq!(keepalives, 10);
    }
}

#[test]
fn says_no_keepalives_when_one_side_wants_none() {
    let mut wire = Wire::new(SessionConfig { keepalive_s: 0, ..plain("a") }, plain("b"));
    wire.settle();
    assert!(wire.ends.iter().all(|end| end.session.wake_at().is_none()));
}

#[test]
fn ends_a_session_after_twice_the_keepalive_in_silence() {
    let mut wire = Wire::established();
    let start = wire.now;
    let end = &mut wire.ends[ACTIVE];
    while !end.session.is_closed() {
        let wake = end.session.wake_at().unwrap();
        end.input(wake, Input::Wake).unwrap();
        end.drain(wake);
        wire.now = wake;
    }
    assert_eq!(wire.now.since(start), seconds(60));
    assert_eq!(end.closed(), Some(CloseCause::Silence));
    assert!(end.said.ends_with(&[4, 5, 0, 1]));
}

#[test]
fn ends_an_idle_session_in_good_order() {
    let passive = SessionConfig { idle_timeout: Some(seconds(100)), ..plain("b") };
    let mut wire = Wire::new(plain("a"), passive);
    wire.settle();
    wire.pass(seconds(90));
    wire.send(ACTIVE, bundle(10));
    wire.settle();
    wire.pass(seconds(99));
    assert!(!wire.ends[PASSIVE].session.is_closed());
    wire.pass(seconds(1));
    for end in &wire.ends {
        assert_eq!(end.closed(), Some(CloseCause::Ended));
        assert_eq!(end.terminated(), Some(TerminateReason::IDLE_TIMEOUT));
    }
}

#[test]
fn ends_in_good_order_from_either_side() {
    for at in [ACTIVE, PASSIVE] {
        let mut wire = Wire::established();
        wire.input(at, Input::Terminate(BUSY)).unwrap();
        wire.settle();
        assert!(wire.ends[at].said.ends_with(&[5, 0, 3]));
        assert!(wire.ends[1 - at].said.ends_with(&[5, 1, 3]));
        for (end, by) in [(at, By::Us), (1 - at, By::Peer)] {
            let outputs = &wire.ends[end].outputs;
            assert!(outputs.contains(&Output::Terminating { reason: BUSY, by }));
            assert_eq!(wire.ends[end].closed(), Some(CloseCause::Ended));
        }
    }
}

#[test]
fn ends_in_good_order_when_both_sides_say_goodbye_at_once() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Terminate(BUSY)).unwrap();
    wire.input(PASSIVE, Input::Terminate(TerminateReason::UNKNOWN)).unwrap();
    wire.settle();
    assert!(wire.ends[ACTIVE].said.ends_with(&[5, 0, 3]));
    assert!(wire.ends[PASSIVE].said.ends_with(&[5, 0, 0]));
    for end in &wire.ends {
        assert_eq!(end.closed(), Some(CloseCause::Ended));
    }
}

#[test]
fn finishes_what_is_under_way_before_it_ends() {
    for at in [ACTIVE, PASSIVE] {
        let mut wire = Wire::established();
        wire.ends[PASSIVE].stores = false;
        wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
        wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(5) }).unwrap();
        wire.settle();
        wire.input(at, Input::Terminate(BUSY)).unwrap();
        wire.settle();
        assert_eq!(wire.input(ACTIVE, Input::Offer { length: 1 }), Err(InputError::Ending));
        wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(5) }).unwrap();
        wire.settle();
        assert!(wire.ends.iter().all(|end| !end.session.is_closed()));
        wire.input(PASSIVE, Input::Stored { id: id(0) }).unwrap();
        wire.settle();
        assert_eq!(wire.ends[ACTIVE].delivered(), [id(0)]);
        assert!(wire.ends.iter().all(|end| end.closed() == Some(CloseCause::Ended)));
    }
}

#[test]
fn begins_no_offer_once_it_ends() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
    wire.input(ACTIVE, Input::Terminate(BUSY)).unwrap();
    let data = Input::Data { id: id(0), bytes: &bundle(10) };
    assert_eq!(wire.input(ACTIVE, data), Err(InputError::NoTransfer));
    wire.settle();
    assert!(wire.ends[ACTIVE].outputs.contains(&Output::Lost { id: id(0) }));
    assert_eq!(wire.ends[ACTIVE].closed(), Some(CloseCause::Ended));
}

#[test]
fn refuses_bundles_that_begin_while_it_ends() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
    wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(5) }).unwrap();
    wire.input(PASSIVE, Input::Terminate(BUSY)).unwrap();
    let bytes = wire.ends[ACTIVE].drain(wire.now);
    wire.ends[PASSIVE].pipe.extend(bytes);
    wire.settle();
    let reason = longhaul_dtn::tcpcl::RefuseReason::SESSION_TERMINATING;
    assert_eq!(wire.ends[ACTIVE].refused(), [(id(0), reason)]);
    assert!(wire.ends.iter().all(|end| end.closed() == Some(CloseCause::Ended)));
}

#[test]
fn gives_up_an_end_that_makes_no_progress() {
    let mut wire = Wire::established();
    wire.input(ACTIVE, Input::Offer { length: 10 }).unwrap();
    wire.input(ACTIVE, Input::Data { id: id(0), bytes: &bundle(5) }).unwrap();
    wire.settle();
    wire.input(ACTIVE, Input::Terminate(BUSY)).unwrap();
    wire.settle();
    wire.pass(seconds(61));
    let causes = wire.ends.each_ref().map(|end| end.closed());
    assert!(causes.contains(&Some(CloseCause::EndingTimeout)), "{causes:?}");
    assert!(wire.ends.iter().all(|end| end.session.is_closed()));
    assert!(wire.ends[ACTIVE].outputs.contains(&Output::Lost { id: id(0) }));
    assert!(wire.ends[PASSIVE].outputs.contains(&Output::TransferFailed { id: id(0) }));
}

#[test]
fn blames_nobody_for_silence_while_the_store_owes_an_answer() {
    let idle_timeout = Some(seconds(100));
    let mut wire = Wire::new(plain("a"), SessionConfig { idle_timeout, ..plain("b") });
    wire.ends[PASSIVE].stores = false;
    wire.send(ACTIVE, bundle(10));
    wire.settle();
    wire.pass(seconds(500));
    wire.input(PASSIVE, Input::Stored { id: id(0) }).unwrap();
    wire.settle();
    assert_eq!(wire.ends[ACTIVE].delivered(), [id(0)]);
    assert_eq!(wire.ends[PASSIVE].closed(), None);
}

#[test]
fn abandons_a_session_that_is_not_established() {
    let mut wire = Wire::new(plain("a"), plain("b"));
    for at in [ACTIVE, PASSIVE] {
        wire.input(at, Input::Terminate(BUSY)).unwrap();
        wire.ends[at].drain(wire.now);
        assert_eq!(wire.ends[at].closed(), Some(CloseCause::Abandoned));
        assert_eq!(wire.input(at, Input::Received(b"x")), Err(InputError::Closed));
    }
    assert_eq!(wire.ends[ACTIVE].said, *b"dtn!\x04\x00\x05\x00\x03");
    assert!(wire.ends[PASSIVE].said.is_empty());
}
