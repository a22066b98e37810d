//! From the connection to an established session (section 4).

use longhaul_dtn::tcpcl::{
    CloseCause, DecodeError, ExtensionError, Input, InputError, Output, SessionConfig,
    TerminateReason, TlsPolicy,
};

use crate::wire::{ACTIVE, End, PASSIVE, Wire, plain, seconds};

fn with_tls(name: &str, tls: TlsPolicy) -> SessionConfig {
    SessionConfig { tls, ..plain(name) }
}

fn passive(bytes: &[u8]) -> End {
    let wire = Wire::new(plain("a"), plain("b"));
    let [_, mut end] = wire.ends;
    end.input(wire.now, Input::Received(bytes)).unwrap();
    end.drain(wire.now);
    end
}

#[test]
fn negotiates_the_lower_keepalive_and_each_others_limits() {
    for (ours, theirs, agreed) in [(30, 60, Some(30)), (600, 15, Some(15)), (0, 15, None)] {
        let active = SessionConfig { keepalive_s: ours, segment_mru: 100, ..plain("a") };
        let passive = SessionConfig { keepalive_s: theirs, transfer_mru: 200, ..plain("b") };
        let mut wire = Wire::new(active, passive);
        wire.settle();
        let [a, b] = wire.ends.each_ref().map(|end| end.peer().unwrap().clone());
        assert_eq!((a.keepalive, b.keepalive), (agreed.map(seconds), agreed.map(seconds)));
        assert_eq!(a.node_id.unwrap().as_str(), "dtn://b/");
        assert_eq!((a.transfer_mru, b.segment_mru), (200, 100));
    }
}

#[test]
fn says_nothing_on_the_passive_side_before_a_contact_header() {
    let mut wire = Wire::new(plain("a"), plain("b"));
    assert!(wire.ends[PASSIVE].drain(wire.now).is_empty());
    assert_eq!(wire.ends[ACTIVE].drain(wire.now), *b"dtn!\x04\x00");
    wire.pass(seconds(60));
    assert_eq!(wire.ends[PASSIVE].closed(), Some(CloseCause::ContactTimeout));
    assert!(wire.ends[PASSIVE].said.is_empty());
}

#[test]
fn starts_tls_when_both_sides_offer_it() {
    use TlsPolicy::{Never, Offer, Require};
    for (ours, theirs, starts) in [
        (Offer, Offer, true),
        (Require, Offer, true),
        (Offer, Require, true),
        (Offer, Never, false),
        (Never, Offer, false),
        (Never, Never, false),
    ] {
        let mut wire = Wire::new(with_tls("a", ours), with_tls("b", theirs));
        wire.settle();
        for end in &wire.ends {
            assert_eq!(end.outputs.contains(&Output::StartTls), starts, "{ours:?} {theirs:?}");
            assert!(end.peer().is_some());
        }
    }
}

#[test]
fn refuses_a_session_without_tls_where_it_is_required() {
    use TlsPolicy::{Never, Require};
    for (ours, theirs, insists) in [(Require, Never, ACTIVE), (Never, Require, PASSIVE)] {
        let mut wire = Wire::new(with_tls("a", ours), with_tls("b", theirs));
        wire.settle();
        let end = &wire.ends[insists];
        assert_eq!(end.closed(), Some(CloseCause::TlsRequired));
        assert!(end.said.ends_with(&[5, 0, 4]));
        let other = &wire.ends[1 - insists];
        assert_eq!(other.terminated(), Some(TerminateReason::CONTACT_FAILURE));
        assert!(other.session.is_closed() && other.peer().is_none());
    }
}

#[test]
fn refuses_bytes_that_were_slipped_in_before_tls() {
    let wire = Wire::new(plain("a"), with_tls("b", TlsPolicy::Offer));
    let [_, mut end] = wire.ends;
    end.input(wire.now, Input::Received(b"dtn!\x04\x01\x07")).unwrap();
    end.drain(wire.now);
    assert_eq!(end.closed(), Some(CloseCause::Unprotected));
    assert!(!end.outputs.contains(&Output::StartTls));
}

#[test]
fn waits_for_tls_before_it_speaks_or_listens() {
    let mut wire = Wire::new(with_tls("a", TlsPolicy::Require), with_tls("b", TlsPolicy::Require));
    wire.ends[ACTIVE].drain(wire.now);
    wire.input(ACTIVE, Input::Received(b"dtn!\x04\x01")).unwrap();
    assert!(wire.ends[ACTIVE].drain(wire.now).is_empty());
    assert_eq!(wire.input(ACTIVE, Input::Received(b"x")), Err(InputError::Unexpected));
    wire.input(ACTIVE, Input::TlsEstablished).unwrap();
    assert_eq!(wire.ends[ACTIVE].drain(wire.now)[0], 7);
}

#[test]
fn answers_other_versions_by_version_mismatch() {
    for version in [3, 5] {
        let end = passive(&[b'd', b't', b'n', b'!', version, 0]);
        assert_eq!(end.said, *b"dtn!\x04\x00\x05\x00\x02");
        assert_eq!(end.closed(), Some(CloseCause::Version(version)));
    }
}

#[test]
fn closes_on_the_active_side_when_a_lower_version_answers() {
    let mut wire = Wire::new(plain("a"), plain("b"));
    wire.input(ACTIVE, Input::Received(b"dtn!\x03\x00")).unwrap();
    assert_eq!(wire.ends[ACTIVE].drain(wire.now), *b"dtn!\x04\x00");
    assert_eq!(wire.ends[ACTIVE].closed(), Some(CloseCause::Version(3)));
}

#[test]
fn closes_without_a_word_to_other_protocols() {
    for bytes in [&b"GET /"[..], b"d!", b"dtn?\x04\x00"] {
        let end = passive(bytes);
        assert!(end.said.is_empty());
        assert_eq!(end.closed(), Some(CloseCause::Decode(DecodeError::Magic)));
    }
}

/// A SESS_INIT with these limits, node id and extension items.
fn init(segment_mru: u64, node_id: &[u8], extensions: &[u8]) -> Vec<u8> {
    let mut bytes = b"dtn!\x04\x00\x07\x00\x1e".to_vec();
    bytes.extend(segment_mru.to_be_bytes());
    bytes.extend(u64::MAX.to_be_bytes());
    bytes.extend((node_id.len() as u16).to_be_bytes());
    bytes.extend(node_id);
    bytes.extend((extensions.len() as u32).to_be_bytes());
    bytes.extend(extensions);
    bytes
}

#[test]
fn refuses_a_sess_init_that_it_cannot_keep_to() {
    let critical = [1, 0, 9, 0, 0];
    for (bytes, cause) in [
        (init(9, b"", &critical), CloseCause::Extension(ExtensionError::Critical(9))),
        (init(9, b"", &[0, 0, 9, 0, 1]), CloseCause::Extension(ExtensionError::Overrun)),
        (init(0, b"", b""), CloseCause::SegmentMru),
        (init(9, b"\xff", b""), CloseCause::Decode(DecodeError::NodeIdText)),
        (init(9, &[b'a'; 1_025], b""), CloseCause::Decode(DecodeError::NodeIdLength(1_025))),
        (init(9, b"", &[0; 4_097]), CloseCause::Decode(DecodeError::SessionExtensions(4_097))),
    ] {
        let end = passive(&bytes);
        assert_eq!(end.closed(), Some(cause));
        assert_eq!(end.said, *b"dtn!\x04\x00\x05\x00\x04", "contact failure");
    }
}

#[test]
fn skips_session_extension_items_that_are_not_critical() {
    let end = passive(&init(9, b"", &[0xfe, 0, 9, 0, 2, 1, 1, 0, 1, 2, 0, 0]));
    assert_eq!(end.peer().unwrap().node_id, None);
    assert_eq!(end.closed(), None);
}

#[test]
fn gives_up_when_sess_init_does_not_come() {
    let mut end = passive(b"dtn!\x04\x00");
    let wake = end.session.wake_at().unwrap();
    end.input(wake, Input::Wake).unwrap();
    end.drain(wake);
    assert_eq!(end.closed(), Some(CloseCause::ContactTimeout));
    assert!(end.said.ends_with(&[5, 0, 1]));
}
