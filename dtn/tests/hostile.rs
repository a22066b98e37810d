//! Hostile and broken peers: each costs itself its link and nothing else.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::host::{Host, answer, hello, is_want};
use common::{bundle, key};
use longhaul_dtn::agent::{
    AgentBounds, CloseReason, Held, Input, LinkId, Output, RefuseReason, Verdict,
};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::frame::{FRAME_BYTES_MAX, Frame, HAVE_IDS_MAX, Page, PageStart, Terms, Versions};
use longhaul_dtn::groups::{GROUPS_MAX, GroupIndex, GroupProof};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::time::Span;

fn host() -> Host {
    Host::new(AgentBounds::default())
}

fn id(number: u64) -> BundleId {
    BundleId::from_hash(ContentHash::of(&number.to_be_bytes()))
}

/// Checks that `frame` closes the link for `reason`, and no other link.
fn check_closes(frame: &Frame, reason: &CloseReason) {
    check_closes_bytes(frame.encode(), reason);
}

fn check_closes_bytes(bytes: Vec<u8>, reason: &CloseReason) {
    let mut host = host();
    let (bad, good) = (host.contact(1, 2), host.contact(2, 3));
    host.send_bytes(bad, bytes);
    assert_eq!(host.closes(), [(bad, reason.clone())]);
    assert_eq!(host.frames(bad), [Frame::Bye { code: reason.code() }]);
    host.give(good, &bundle(5, 1, 10));
    assert_eq!(host.judge_requests().len(), 1, "the other link goes on");
    assert_eq!(host.agent.links(), 1);
}

fn group(index: u64) -> GroupIndex {
    GroupIndex::new(index).unwrap()
}

#[test]
fn closes_a_link_on_garbage() {
    for bytes in [vec![], vec![0xff; 9], vec![0x82, 0x18, 0x63, 0x00], vec![0; FRAME_BYTES_MAX + 1]]
    {
        let error = Frame::decode(&bytes).unwrap_err();
        check_closes_bytes(bytes, &CloseReason::Garbage(error));
    }
}

#[test]
fn closes_a_link_on_frames_out_of_order() {
    let more = Frame::More { from: PageStart::AfterLast };
    let empty = Frame::Have { ids: vec![], page: Page::Continued };
    for (frame, what) in [
        (hello(), "a second hello"),
        (more, "a page behind the last one"),
        (empty, "an empty page of ids"),
    ] {
        check_closes(&frame, &CloseReason::OutOfOrder(what));
    }
    let held = bundle(1, 1, 10);
    let mut host = host();
    host.handle(Input::Publish(held.clone()));
    let link = host.contact(1, 2);
    host.send(link, &Frame::WantGroup { id: held.head.id(), index: group(1) });
    let what = "a group behind the payload's end";
    assert_eq!(host.closes(), [(link, CloseReason::OutOfOrder(what))]);
}

#[test]
fn closes_a_link_on_answers_that_nobody_asked_for() {
    let head = bundle(1, 1, 10).head.encode();
    for frame in [
        Frame::Head { id: id(1), head },
        Frame::Group {
            id: id(1),
            index: group(0),
            proof: GroupProof::default(),
            bytes: vec![1, 2, 3],
        },
    ] {
        check_closes(&frame, &CloseReason::Unrequested);
    }
}

#[test]
fn needs_a_hello_first_and_in_time() {
    let mut host = host();
    let early = host.up(1, 2);
    host.send(early, &Frame::WantHead(id(1)));
    assert_eq!(host.closes(), [(early, CloseReason::OutOfOrder("no hello before"))]);
    let late = host.up(2, 2);
    host.pass(Span::from_ms(29_999));
    assert_eq!(host.closes(), []);
    host.pass(Span::from_ms(1));
    assert_eq!(host.closes(), [(late, CloseReason::NoHello)]);
    assert_eq!(host.agent.wake_at(), None);
}

#[test]
fn refuses_other_federations_versions_and_itself() {
    let scope = ContentHash::of(b"federation");
    let other = ContentHash::of(b"another federation");
    let newer = Versions::new(3, 9).unwrap();
    let hello = |versions, scope| {
        let terms = Terms::default();
        Frame::Hello { versions, scope, nonce: [9; 32], terms }
    };
    for (frame, reason) in [
        (hello(Versions::SPOKEN, other), CloseReason::Scope),
        (hello(newer, scope), CloseReason::Version),
        (Frame::Bye { code: 3 }, CloseReason::Bye(3)),
    ] {
        let mut host = host();
        let link = host.up(1, 2);
        host.send(link, &frame);
        assert_eq!(host.closes(), [(link, reason)]);
    }
    let mut host = host();
    let link = host.up(1, 1);
    assert_eq!(host.closes(), [(link, CloseReason::Myself)]);
}

#[test]
fn refuses_links_beyond_the_bound() {
    let mut host = Host::new(AgentBounds { links_max: 2, ..AgentBounds::default() });
    (1..=2).for_each(|link| {
        host.contact(link, 2);
    });
    let third = host.up(3, 3);
    assert_eq!(host.closes(), [(third, CloseReason::TooManyLinks)]);
    host.handle(Input::LinkDown { link: LinkId(1) });
    host.contact(4, 3);
    assert_eq!(host.closes(), []);
}

#[test]
fn ignores_what_concerns_no_link() {
    let mut host = host();
    let link = host.contact(1, 2);
    host.handle(Input::LinkUp { link, peer: key(3).peer_id() });
    host.handle(Input::LinkDown { link: LinkId(9) });
    host.send(LinkId(9), &hello());
    host.judged(id(1), Verdict::Accept);
    host.handle(Input::Wake);
    assert!(host.outputs().is_empty());
    assert_eq!(host.agent.links(), 1);
}

#[test]
fn answers_wants_for_the_unknown_with_gone() {
    let mut host = host();
    let link = host.contact(1, 2);
    host.send(link, &Frame::WantHead(id(1)));
    host.send(link, &Frame::WantGroup { id: id(1), index: group(GROUPS_MAX - 1) });
    assert_eq!(host.frames(link), [Frame::Gone(id(1)), Frame::Gone(id(1))]);
}

#[test]
fn gives_one_answer_to_each_frame_of_a_flood() {
    let mut host = host();
    let held = bundle(1, 1, 100_000);
    host.handle(Input::Publish(held.clone()));
    let link = host.contact(1, 2);
    let id = held.head.id();
    for frame in [
        Frame::WantHead(id),
        Frame::WantGroup { id, index: group(3) },
        Frame::More { from: PageStart::Newest },
        Frame::Ack(id),
        Frame::Refused { id, code: 7 },
        Frame::Gone(id),
    ] {
        for _ in 0..1_000 {
            host.send(link, &frame);
            assert!(host.outputs().len() <= 1, "{frame:?}");
        }
    }
    assert_eq!(host.agent.links(), 1);
}

#[test]
fn bounds_what_a_flood_of_offers_makes_it_keep() {
    let bounds = AgentBounds { offers_per_link: 1_000, ..AgentBounds::default() };
    let mut host = Host::new(bounds);
    let link = host.contact(1, 2);
    for page in 0..200 {
        let numbers = page * HAVE_IDS_MAX as u64..(page + 1) * HAVE_IDS_MAX as u64;
        let ids = numbers.map(id).collect();
        host.send(link, &Frame::Have { ids, page: Page::Continued });
        assert!(host.agent.waiting() <= 1_000);
    }
    let wants = host.frames(link).iter().filter(|frame| is_want(frame)).count();
    assert_eq!(wants, 8);
}

#[test]
fn answers_replays_without_a_second_judgement() {
    let mut host = host();
    let link = host.contact(1, 2);
    let (held, refused, judging) = (bundle(1, 1, 9), bundle(1, 2, 9), bundle(1, 3, 9));
    for held in [&held, &refused, &judging] {
        host.give(link, held);
    }
    host.judged(held.head.id(), Verdict::Accept);
    host.judged(refused.head.id(), Verdict::Refuse { code: 105 });
    assert_eq!(host.judge_requests().len(), 3);
    host.outputs();
    let refusal = Frame::Refused { id: refused.head.id(), code: 105 };
    for (replay, answers) in
        [(&held, vec![Frame::Ack(held.head.id())]), (&refused, vec![refusal]), (&judging, vec![])]
    {
        host.offer(link, replay);
        assert!(host.frames(link).is_empty(), "nothing is asked for again");
        host.send(link, &Frame::Head { id: replay.head.id(), head: replay.head.encode() });
        assert_eq!(host.frames(link), answers);
        assert_eq!(host.refusals(), [RefuseReason::Replayed]);
        assert_eq!(host.judge_requests(), []);
    }
}

#[test]
fn closes_a_link_that_replays_too_much() {
    let mut host = host();
    let link = host.contact(1, 2);
    let held = bundle(1, 1, 9);
    host.handle(Input::Publish(held.clone()));
    let (id, index, proof) = (held.head.id(), group(0), GroupProof::default());
    let replay = Frame::Group { id, index, proof, bytes: vec![0; 9] };
    for _ in 0..100 {
        host.send(link, &replay);
    }
    assert_eq!(host.refusals().len(), 16);
    assert_eq!(host.closes(), [(link, CloseReason::Unrequested)]);
}

#[test]
fn acknowledges_only_after_acceptance() {
    let mut host = host();
    let link = host.contact(1, 2);
    let held = bundle(1, 1, 9);
    host.give(link, &held);
    assert!(host.frames(link).is_empty());
    host.judged(held.head.id(), Verdict::Accept);
    assert_eq!(host.frames(link), [Frame::Ack(held.head.id())]);
    assert!(host.agent.holds(&held.head.id()));
    host.outputs();
    host.judged(held.head.id(), Verdict::Accept);
    assert!(host.outputs().is_empty(), "a second verdict changes nothing");
}

#[test]
fn keeps_transfers_within_their_bound() {
    let bounds = AgentBounds { transfers_max: 3, wants_per_link: 100, ..AgentBounds::default() };
    let mut host = Host::new(bounds);
    let link = host.contact(1, 2);
    let bundles: Vec<Held> = (0..10).map(|number| bundle(1, number, 9)).collect();
    let ids = bundles.iter().map(|held| held.head.id()).collect();
    host.send(link, &Frame::Have { ids, page: Page::Last });
    let (mut accepted, mut rounds) = (0, 0);
    while accepted < 10 {
        for frame in host.frames(link) {
            let answers = bundles.iter().filter_map(|held| answer(host.now, &frame, held));
            let known = |frame: &Frame| !matches!(frame, Frame::Gone(_));
            answers
                .filter(known)
                .collect::<Vec<_>>()
                .iter()
                .for_each(|frame| host.send(link, frame));
        }
        let judging = host.judge_requests();
        assert!(judging.len() <= 3);
        for held in judging {
            host.judged(held.head.id(), Verdict::Accept);
            accepted += 1;
        }
        rounds += 1;
        assert!(rounds < 100, "transfers do not go on");
    }
}

#[test]
fn gives_the_same_outputs_for_the_same_inputs() {
    let run = || {
        let mut host = host();
        let (first, second) = (host.contact(1, 2), host.contact(2, 3));
        for number in 0..20 {
            host.offer(if number % 3 == 0 { first } else { second }, &bundle(1, number, 50));
        }
        host.pass(Span::from_ms(70_000));
        let outputs: Vec<Output> = host.outputs();
        format!("{outputs:?}")
    };
    assert_eq!(run(), run());
}
