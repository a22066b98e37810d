//! Cuts: what arrived is kept, and everybody ends with the same bundles.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::network::{Judge, Network, config};
use common::{Dice, bundle, key};
use longhaul_dtn::agent::{
    Agent, AgentBounds, AgentConfig, CloseReason, Held, Input, LinkId, Output, Verdict,
};
use longhaul_dtn::bundle::BundleLimits;
use longhaul_dtn::frame::{Frame, FrameReader, delimit};
use longhaul_dtn::groups::GROUP_BYTES;
use longhaul_dtn::time::Span;
use proptest::prelude::*;

fn wants(wants_per_link: usize) -> AgentBounds {
    AgentBounds { wants_per_link, ..AgentBounds::default() }
}

/// Cuts after every number of delivered frames; what arrived is never resent.
#[test]
fn resumes_a_cut_transfer_without_resending() {
    let held = bundle(1, 1, 100_000);
    for frames in 0.. {
        let (mut net, mut dice) = (Network::new(2, wants(8)), Dice(frames));
        net.publish(0, held.clone());
        let first = net.connect(0, 1);
        let mut delivered = 0;
        while delivered < frames && net.deliver(&mut dice) {
            delivered += 1;
        }
        net.cut(first);
        let arrived = net.group_bytes_delivered.get(&first).copied().unwrap_or(0);
        let second = net.connect(0, 1);
        net.settle(&mut dice);
        assert!(net.agents[1].holds(&held.head.id()));
        let resent = net.group_bytes_sent.get(&second).copied().unwrap_or(0);
        assert_eq!(resent, 100_000 - arrived, "cut after {frames} frames");
        if delivered < frames {
            assert_eq!(arrived, 100_000);
            break;
        }
    }
}

/// The same on a byte stream, cut at 200 bytes drawn by lot and at the first ones: what is
/// sent again is less than one group and its frame.
#[test]
fn sends_at_most_one_group_again_wherever_the_stream_is_cut() {
    let held = bundle(1, 1, 300_000);
    let whole = streamed(&held, usize::MAX);
    assert_eq!(whole.arrived, 300_000);
    let mut dice = Dice(7);
    let cuts = (0..200).map(|_| dice.below(whole.crossed)).chain(0..50);
    for cut_at in cuts.chain([whole.crossed]) {
        let cut = streamed(&held, cut_at);
        assert_eq!(cut.arrived + cut.resent, 300_000, "cut at byte {cut_at}");
        assert!(cut.crossed <= cut_at);
        let lost = cut.crossed as u64 - cut.arrived;
        let overhead = 8_000;
        assert!(lost < GROUP_BYTES + overhead, "cut at byte {cut_at}: {lost}");
    }
}

/// What a cut contact and the one after it carried.
struct Streamed {
    /// Bytes of the stream that arrived before the cut.
    crossed: usize,
    /// Payload bytes that arrived in whole groups before the cut, and after it.
    arrived: u64,
    resent: u64,
}

fn streamed(held: &Held, cut_at: usize) -> Streamed {
    let mut sender = Agent::new(config(0, AgentBounds::default()));
    let mut receiver = Agent::new(config(1, AgentBounds::default()));
    let now = common::START.plus(Span::from_ms(5));
    sender.handle(now, Input::Publish(held.clone()));
    let (arrived, crossed) = stream(&mut sender, &mut receiver, LinkId(1), cut_at);
    for agent in [&mut sender, &mut receiver] {
        agent.handle(now, Input::LinkDown { link: LinkId(1) });
    }
    let (resent, _) = stream(&mut sender, &mut receiver, LinkId(2), usize::MAX);
    assert!(receiver.holds(&held.head.id()));
    Streamed { crossed, arrived, resent }
}

/// 100 MiB over 50 short contacts with three peers in turn: nothing comes twice.
#[test]
fn a_large_payload_arrives_over_many_short_contacts_with_several_peers() {
    const LEN: usize = 100 << 20;
    let limits = BundleLimits { payload_bytes_max: LEN as u64, ..common::LIMITS };
    let (mut net, mut dice) = (Network::new(4, AgentBounds::default()), Dice(9));
    net.agents = (0..4)
        .map(|it| Agent::new(AgentConfig { limits, ..config(it, AgentBounds::default()) }))
        .collect();
    let held = bundle(1, 1, LEN);
    (0..3).for_each(|agent| net.publish(agent, held.clone()));
    let mut contacts = 0;
    while !net.agents[3].holds(&held.head.id()) {
        assert!(contacts < 60, "it does not get on");
        let link = net.connect(contacts % 3, 3);
        // A group takes three frames: a want, the group, and its share of the rest.
        net.deliver_some(270, &mut dice);
        net.cut(link);
        contacts += 1;
    }
    let delivered: u64 = net.group_bytes_delivered.values().sum();
    let groups = (LEN as u64).div_ceil(GROUP_BYTES);
    assert_eq!(delivered, LEN as u64, "{groups} groups in {contacts} contacts");
    assert!((40..=60).contains(&contacts), "{contacts} contacts");
    assert!(net.closed.is_empty() && net.refused.is_empty());
}

/// Runs a contact until `bytes_max` bytes have come from the sender; returns
/// the payload bytes that arrived in whole frames, and all bytes.
fn stream(
    sender: &mut Agent,
    receiver: &mut Agent,
    link: LinkId,
    bytes_max: usize,
) -> (u64, usize) {
    let now = common::START.plus(Span::from_ms(5));
    sender.handle(now, Input::LinkUp { link, peer: key(2).peer_id() });
    receiver.handle(now, Input::LinkUp { link, peer: key(1).peer_id() });
    let (mut reader, mut left, mut arrived) = (FrameReader::new(), bytes_max, 0);
    loop {
        let mut idle = true;
        while let Some(output) = sender.poll() {
            let Output::Transmit { link: at, frame } = output else { continue };
            if at != link {
                continue;
            }
            let bytes = delimit(&frame).unwrap();
            let part = &bytes[..bytes.len().min(left)];
            left -= part.len();
            reader.push(part);
            while let Some(bytes) = reader.next_frame().unwrap() {
                if let Ok(Frame::Group { bytes, .. }) = Frame::decode(&bytes) {
                    arrived += bytes.len() as u64;
                }
                receiver.handle(now, Input::Frame { link, bytes });
            }
            if left == 0 {
                return (arrived, bytes_max - left);
            }
            idle = false;
        }
        while let Some(output) = receiver.poll() {
            match output {
                Output::Transmit { link: at, frame: bytes } if at == link => {
                    sender.handle(now, Input::Frame { link, bytes });
                }
                Output::Judge { held, .. } => {
                    let (id, verdict) = (held.head.id(), Verdict::Accept);
                    receiver.handle(now, Input::Judged { id, verdict });
                }
                _ => {}
            }
            idle = false;
        }
        if idle {
            return (arrived, bytes_max - left);
        }
    }
}

#[test]
fn resumes_from_any_agent_that_has_the_bundle() {
    let (mut net, mut dice) = (Network::new(3, wants(8)), Dice(1));
    let held = bundle(1, 1, 100_000);
    net.publish(0, held.clone());
    net.publish(1, held.clone());
    let first = net.connect(0, 2);
    net.deliver_some(16, &mut dice);
    net.cut(first);
    let arrived = net.group_bytes_delivered[&first];
    assert!(arrived > 0 && arrived < 100_000);
    let second = net.connect(1, 2);
    net.settle(&mut dice);
    assert!(net.agents[2].holds(&held.head.id()));
    assert_eq!(net.group_bytes_sent[&second], 100_000 - arrived);
}

#[test]
fn asks_one_link_at_a_time_for_a_bundle() {
    let (mut net, mut dice) = (Network::new(4, wants(8)), Dice(3));
    let held = bundle(1, 1, 50_000);
    (0..3).for_each(|agent| net.publish(agent, held.clone()));
    for agent in [0, 1, 2, 0, 1] {
        net.connect(agent, 3);
    }
    net.settle(&mut dice);
    assert_eq!(net.group_bytes_sent.values().sum::<u64>(), 50_000);
    assert_eq!(net.judged.values().sum::<u32>(), 1);
}

#[test]
fn keeps_few_answers_on_the_way() {
    let (mut net, mut dice) = (Network::new(2, wants(8)), Dice(4));
    (0..40).for_each(|number| net.publish(0, bundle(1, number, 40_000)));
    let link = net.connect(0, 1);
    while net.deliver(&mut dice) {
        let sent = net.group_bytes_sent.get(&link).copied().unwrap_or(0);
        let delivered = net.group_bytes_delivered.get(&link).copied().unwrap_or(0);
        assert!(sent - delivered <= 8 * GROUP_BYTES);
    }
    assert_eq!(net.agents[1].len(), 40);
}

#[test]
fn a_large_payload_is_announced_and_may_be_turned_away_before_it_has_come() {
    for unwanted in [None, Some(120)] {
        let (mut net, mut dice) = (Network::new(2, wants(2)), Dice(5));
        let config = config(1, wants(2));
        net.agents[1] = Agent::new(AgentConfig { payload_bytes_unasked: 20_000, ..config });
        net.unwanted = unwanted;
        let (small, large) = (bundle(1, 1, 20_000), bundle(1, 2, 160_000));
        [&small, &large].into_iter().for_each(|it| net.publish(0, it.clone()));
        let link = net.connect(0, 1);
        net.settle(&mut dice);
        assert_eq!(net.arriving, [(1, large.head.id())]);
        assert!(net.agents[1].holds(&small.head.id()));
        assert_eq!(net.agents[1].holds(&large.head.id()), unwanted.is_none());
        let sent = net.group_bytes_sent[&link];
        // What was asked for in one go before the head came, and with it.
        assert!(unwanted.is_none() == (sent == 180_000) && (sent <= 80_000) == unwanted.is_some());
        // It is not fetched again.
        net.cut(link);
        let link = net.connect(0, 1);
        net.settle(&mut dice);
        assert_eq!((net.group_bytes_sent[&link], net.arriving.len()), (0, 1));
        assert!(net.closed.is_empty() && net.agents[1].waiting() == 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Connect(usize, usize),
    Cut(usize),
    Deliver(usize),
    Publish(usize, u64),
    Judge,
    Pass(u64),
}

fn arb_step(agents: usize) -> impl Strategy<Value = Step> {
    let agent = 0..agents;
    prop_oneof![
        2 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Step::Connect(a, b)),
        2 => (0_usize..50).prop_map(Step::Cut),
        8 => (1_usize..60).prop_map(Step::Deliver),
        2 => (agent, 0_u64..12).prop_map(|(agent, number)| Step::Publish(agent, number)),
        3 => Just(Step::Judge),
        1 => (0_u64..100_000).prop_map(Step::Pass),
    ]
}

fn take(net: &mut Network, dice: &mut Dice, step: &Step) {
    match *step {
        Step::Connect(a, b) => {
            if a != b {
                net.connect(a, b);
            }
        }
        Step::Cut(index) => {
            let links = net.links();
            if !links.is_empty() {
                net.cut(links[index % links.len()]);
            }
        }
        Step::Deliver(frames) => net.deliver_some(frames, dice),
        Step::Publish(agent, number) => {
            net.publish(agent, bundle(1, number, number as usize * 4_000))
        }
        Step::Judge if !net.judging.is_empty() => net.answer(Verdict::Accept),
        Step::Judge => {}
        Step::Pass(ms) => net.pass(Span::from_ms(ms)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn ends_equal_after_any_cuts_and_orders(
        steps in prop::collection::vec(arb_step(4), 0..80),
        seed in 1_u64..,
        later: bool,
    ) {
        let bounds = AgentBounds { wants_per_link: 5, transfers_max: 3, ..AgentBounds::default() };
        let (mut net, mut dice) = (Network::new(4, bounds), Dice(seed));
        net.judge = if later { Judge::Later } else { Judge::AtOnce };
        steps.iter().for_each(|step| take(&mut net, &mut dice, step));
        net.links().into_iter().for_each(|link| net.cut(link));
        for agent in 0..3 {
            net.connect(agent, agent + 1);
        }
        loop {
            net.settle(&mut dice);
            if net.judging.is_empty() {
                break;
            }
            net.answer(Verdict::Accept);
        }
        let published = |number| bundle(1, number, number as usize * 4_000).head.id();
        for id in (0..12).map(published) {
            let holders = net.agents.iter().filter(|agent| agent.holds(&id)).count();
            prop_assert!(holders == 0 || holders == 4, "{} of 4 hold {}", holders, id.short());
        }
        prop_assert!(net.agents.iter().all(|agent| agent.waiting() == 0));
        let overdue = |reason: &CloseReason| {
            matches!(reason, CloseReason::Stalled | CloseReason::NoHello | CloseReason::Bye(5 | 10))
        };
        prop_assert!(net.closed.iter().all(|(_, _, reason)| overdue(reason)), "{:?}", net.closed);
        prop_assert!(net.refused.is_empty(), "{:?}", net.refused);
        prop_assert!(net.judged.values().all(|&times| times == 1));
    }
}
