//! Bundles that are forged, late, too large or withheld: each is refused with
//! its reason, and the true bundle still arrives from an honest peer.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::sync::Arc;

use common::host::{Host, answer, is_want};
use common::{LIMITS, bundle, draft, sealed};
use longhaul_dtn::agent::{AgentBounds, CloseReason, Held, Input, RefuseReason};
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::frame::Frame;
use longhaul_dtn::time::{Span, Timestamp};

fn host() -> Host {
    Host::new(AgentBounds::default())
}

/// `held` with another payload, which its head does not cover.
fn with_payload(held: &Held, payload: &[u8]) -> Held {
    Held { head: Arc::clone(&held.head), payload: payload.into() }
}

#[test]
fn refuses_a_forged_head_and_fetches_from_an_honest_peer() {
    let held = bundle(1, 1, 3_000);
    let good = held.head.encode();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (head, code) in
        [(flipped(9), 1), (good[..50].to_vec(), 1), (bundle(1, 2, 3_000).head.encode(), 8)]
    {
        let mut host = host();
        let (bad, good) = (host.contact(1, 2), host.contact(2, 3));
        host.offer(bad, &held);
        host.offer(good, &held);
        host.send(bad, &Frame::Head { id: held.head.id(), head });
        assert_eq!(host.refusals()[0].code(), code);
        assert!(matches!(host.closes()[..], [(at, CloseReason::BadBundle(_))] if at == bad));
        host.serve(good, &held);
        assert_eq!(host.judge_requests(), [delivered(&held, &host)]);
    }
}

/// `held` as it looks after one hop.
fn delivered(held: &Held, host: &Host) -> Held {
    let head = held.head.encode_for_next_hop(host.now).unwrap();
    let head = BundleHead::decode(&head, &LIMITS).unwrap();
    Held { head: Arc::new(head), payload: Arc::clone(&held.payload) }
}

#[test]
fn refuses_lying_lengths() {
    let held = bundle(1, 1, 100);
    for lie in [99, 101, 0, 16_384] {
        let mut host = host();
        let link = host.contact(1, 2);
        let liar = with_payload(&held, &vec![1; lie]);
        host.give(link, &liar);
        let reason = RefuseReason::Length { expected: 100, found: lie as u64 };
        assert_eq!(host.refusals(), std::slice::from_ref(&reason));
        assert_eq!(host.closes(), [(link, CloseReason::BadBundle(reason))]);
    }
}

#[test]
fn refetches_a_wrong_payload_from_another_link() {
    let held = bundle(1, 1, 40_000);
    let mut host = host();
    let (bad, good) = (host.contact(1, 2), host.contact(2, 3));
    host.offer(bad, &held);
    host.offer(good, &held);
    host.serve(bad, &with_payload(&held, &[0; 40_000]));
    assert_eq!(host.refusals(), [RefuseReason::PayloadHash]);
    assert_eq!(host.closes(), [(bad, CloseReason::BadBundle(RefuseReason::PayloadHash))]);
    host.serve(good, &held);
    assert_eq!(host.judge_requests(), [delivered(&held, &host)]);
}

/// A liar gives the first part and leaves; the honest peer that gives the rest
/// is not blamed, and the bundle still arrives.
#[test]
fn blames_nobody_for_a_payload_of_several_peers() {
    let held = bundle(1, 1, 40_000);
    let mut host = host();
    let bad = host.contact(1, 2);
    host.offer(bad, &held);
    let liar = with_payload(&held, &[0; 40_000]);
    for frame in host.frames(bad) {
        answer(host.now, &frame, &liar).into_iter().for_each(|frame| host.send(bad, &frame));
    }
    host.handle(Input::LinkDown { link: bad });
    let good = host.contact(2, 3);
    host.give(good, &held);
    assert_eq!((host.closes(), host.refusals()), (vec![], vec![]));
    assert_eq!(host.judge_requests(), [delivered(&held, &host)]);
}

/// After a mixed payload the liar is asked alone, lies again and is known.
#[test]
fn finds_the_liar_when_it_lies_alone() {
    let held = bundle(1, 1, 40_000);
    let liar = with_payload(&held, &[0; 40_000]);
    let mut host = host();
    let bad = host.contact(1, 2);
    host.give(bad, &liar);
    assert_eq!(host.closes().len(), 1);
    let (bad, good) = (host.contact(2, 2), host.contact(3, 3));
    host.offer(good, &held);
    host.offer(bad, &held);
    assert!(!host.frames(bad).iter().any(is_want), "the peer with a strike is not asked");
    host.serve(good, &held);
    assert_eq!(host.judge_requests().len(), 1);
}

#[test]
fn refuses_oversized_and_overlong_bundles_without_fetching_them() {
    let too_long = LIMITS.lifetime_max.times(2);
    let long_lived = sealed(1, BundleDraft { lifetime: too_long, ..draft(b"", b"x") });
    for (held, code) in [(bundle(1, 1, (1 << 20) + 1), 3), (long_lived, 4)] {
        let mut host = host();
        let (link, other) = (host.contact(1, 2), host.contact(2, 3));
        host.offer(link, &held);
        host.offer(other, &held);
        host.serve(link, &held);
        assert_eq!(host.refusals().iter().map(RefuseReason::code).collect::<Vec<_>>(), [code]);
        assert!(host.closes().is_empty(), "the bundle is at fault, not the peer");
        assert!(!host.frames(other).iter().any(is_want), "it is not fetched again");
        assert_eq!(host.agent.waiting(), 0);
    }
}

#[test]
fn refuses_a_header_above_the_limit() {
    let held = sealed(1, draft(&[0; 4_097], b"x"));
    let mut host = host();
    let link = host.contact(1, 2);
    host.give(link, &held);
    assert_eq!(host.refusals().len(), 1);
    assert_eq!(host.judge_requests(), []);
}

#[test]
fn refuses_expired_bundles() {
    let mut host = host();
    let created = Timestamp::from_dtn_ms(1);
    let held = sealed(1, BundleDraft { created, ..draft(b"", b"x") });
    let link = host.contact(1, 2);
    host.give(link, &held);
    assert_eq!(host.refusals(), [RefuseReason::Expired]);
    assert!(host.frames(link).is_empty());
    host.offer(link, &held);
    assert!(host.frames(link).is_empty(), "it is not asked for again");
}

#[test]
fn refuses_a_bundle_that_expires_on_the_way() {
    let mut host = host();
    let held = bundle(1, 1, 100);
    let link = host.contact(1, 2);
    host.offer(link, &held);
    let wants = host.frames(link);
    host.send(link, &answer(host.now, &wants[0], &held).unwrap());
    host.now = held.head.expires();
    host.send(link, &answer(host.now, &wants[1], &held).unwrap());
    assert_eq!(host.refusals(), [RefuseReason::Expired]);
    assert_eq!(host.judge_requests(), []);
}

#[test]
fn moves_a_stalled_transfer_to_another_link_and_closes_at_last() {
    let mut host = host();
    let held = bundle(1, 1, 40_000);
    let (slow, good) = (host.contact(1, 2), host.contact(2, 3));
    host.offer(slow, &held);
    host.offer(good, &held);
    assert!(!host.frames(good).iter().any(is_want));
    host.pass(Span::from_ms(60_000));
    host.serve(good, &held);
    assert_eq!(host.judge_requests(), [delivered(&held, &host)]);
    assert_eq!(host.closes(), []);
    host.pass(Span::from_ms(180_000));
    assert_eq!(host.closes(), [(slow, CloseReason::Stalled)]);
}

#[test]
fn takes_a_late_answer_and_asks_the_link_again() {
    let mut host = host();
    let held = bundle(1, 1, 40_000);
    let link = host.contact(1, 2);
    host.offer(link, &held);
    let wants = host.frames(link);
    host.pass(Span::from_ms(100_000));
    assert!(host.frames(link).is_empty(), "a stalled link is not asked");
    for want in &wants {
        host.send(link, &answer(host.now, want, &held).unwrap());
    }
    host.serve(link, &held);
    assert_eq!(host.judge_requests(), [delivered(&held, &host)]);
}

#[test]
fn moves_on_when_a_bundle_is_gone() {
    let mut host = host();
    let held = bundle(1, 1, 9);
    let (gone, good) = (host.contact(1, 2), host.contact(2, 3));
    host.offer(gone, &held);
    host.offer(good, &held);
    for frame in host.frames(gone) {
        let (Frame::WantHead(id) | Frame::WantGroup { id, .. }) = frame else { continue };
        host.send(gone, &Frame::Gone(id));
    }
    host.serve(good, &held);
    assert_eq!(host.judge_requests().len(), 1);
    assert_eq!(host.closes(), []);
}
