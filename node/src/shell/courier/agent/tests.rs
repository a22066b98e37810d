//! The agent's rules, one by one, on real bundles and without sockets.

use longhaul_dtn::bpv7::{
    BlockFlags, BlockType, Bundle, CreationTimestamp, Draft, EndpointId, Extension, NewBlock,
    PrimaryBlock,
};
use longhaul_dtn::bpv7::{CrcType, Fragment};
use longhaul_dtn::tcpcl::{RefuseReason, TransferId};

use super::*;

mod room;
mod routed;
mod strangers;

const START_MS: u64 = 1_000_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_dtn_ms(START_MS + ms)
}

fn endpoint(text: &str) -> EndpointId {
    text.parse().expect("an endpoint id")
}

fn draft(sequence: u64, destination: &str) -> Draft {
    let created = CreationTimestamp { time: at(0), sequence };
    let lifetime = Span::from_ms(60_000);
    let source = endpoint("dtn://src/out");
    Draft::new(PrimaryBlock::new(source, endpoint(destination), created, lifetime))
}

fn bytes(draft: &Draft) -> Arc<Vec<u8>> {
    Arc::new(draft.encode(&[7; 100]).expect("a bundle"))
}

fn key(draft: &Draft) -> BundleKey {
    let bytes = bytes(draft);
    key_of(&Bundle::decode(&bytes, &Limits::default()).expect("a bundle"))
}

/// An agent, its outputs so far, and numbers for transfers.
struct World {
    agent: Agent,
    transfers: u64,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl Fn(&mut AgentConfig)) -> Self {
        let mut config = AgentConfig {
            node: endpoint("dtn://me/"),
            limits: Limits::default(),
            quota_bytes: 1 << 20,
            bundles_max: 1_000,
            window_bundles: 4,
            window_bytes: 1 << 20,
            pause: Span::from_ms(10_000),
            loads_max: 2,
            keep_max: Span::from_ms(1 << 40),
            counts_untaken: false,
            routing: None,
        };
        change(&mut config);
        Self { agent: Agent::new(config), transfers: 0 }
    }

    fn give(&mut self, ms: u64, input: Input) -> Vec<Output> {
        self.agent.handle(at(ms), input);
        std::iter::from_fn(|| self.agent.poll()).collect()
    }

    fn up(&mut self, link: u64, node: &str) -> Vec<Output> {
        self.up_as(link, Some(node), Standing::Neighbour)
    }

    fn up_as(&mut self, link: u64, node: Option<&str>, standing: Standing) -> Vec<Output> {
        let (link, node, bundle_bytes_max) = (LinkId(link), node.map(endpoint), 1 << 20);
        self.give(0, Input::LinkUp { link, node, standing, bundle_bytes_max })
    }

    fn receive(&mut self, link: u64, draft: &Draft) -> (Arrival, Vec<Output>) {
        self.receive_at(0, link, draft)
    }

    fn receive_at(&mut self, ms: u64, link: u64, draft: &Draft) -> (Arrival, Vec<Output>) {
        let transfer = TransferId::from_number(self.transfers);
        self.transfers += 1;
        let arrival = Arrival { link: LinkId(link), transfer };
        let outputs = self.give(ms, Input::Received { arrival, bytes: bytes(draft) });
        (arrival, outputs)
    }

    /// A bundle comes and is stored.
    fn take(&mut self, link: u64, draft: &Draft) -> Vec<Output> {
        let (_, outputs) = self.receive(link, draft);
        assert!(matches!(outputs[..], [Output::Store { .. }]), "{outputs:?}");
        self.give(0, Input::Stored(vec![key(draft)]))
    }

    fn answer(&mut self, link: u64, draft: &Draft, outcome: SendOutcome) -> Vec<Output> {
        self.give(0, Input::Sent { link: LinkId(link), key: key(draft), outcome })
    }
}

fn sent(outputs: &[Output]) -> Vec<(u64, BundleKey)> {
    let sends = outputs.iter().filter_map(|output| match output {
        Output::Send { link, key, .. } => Some((link.0, *key)),
        _ => None,
    });
    sends.collect()
}

#[test]
fn acknowledges_when_a_bundle_is_durable_and_not_before() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let bundle = draft(1, "dtn://z/in");
    let (arrival, outputs) = world.receive(1, &bundle);
    let expires = at(60_000);
    assert_eq!(outputs, [Output::Store { key: key(&bundle), expires, bytes: bytes(&bundle) }]);
    assert_eq!(world.agent.held(), (0, 0), "what is not stored is not held");
    let outputs = world.give(0, Input::Stored(vec![key(&bundle)]));
    assert!(outputs.contains(&Output::Accept(arrival)));
    assert_eq!(world.agent.counts().received, 1);
    assert_eq!(world.agent.held(), (1, bytes(&bundle).len() as u64));
}

#[test]
fn forwards_to_all_but_the_giver_and_only_what_is_durable() {
    let mut world = World::new();
    for (link, node) in [(1, "dtn://a/"), (2, "dtn://b/"), (3, "dtn://c/")] {
        world.up(link, node);
    }
    let bundle = draft(1, "dtn://z/in");
    let (_, outputs) = world.receive(1, &bundle);
    assert_eq!(sent(&outputs), []);
    let outputs = world.give(0, Input::Stored(vec![key(&bundle)]));
    assert_eq!(sent(&outputs), [(2, key(&bundle)), (3, key(&bundle))]);
}

#[test]
fn believes_nobody_that_a_destination_has_a_bundle_but_the_destination() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let mut bundle = draft(1, "dtn://b/in");
    bundle.set(&Extension::PreviousNode(endpoint("dtn://b/")));
    world.take(1, &bundle);
    // Somebody takes the destination's name and gives the bundle.
    world.up(2, "dtn://b/");
    world.give(0, Input::LinkDown(LinkId(2)));
    world.up(3, "dtn://b/");
    world.receive(3, &bundle);
    world.give(0, Input::LinkDown(LinkId(3)));
    assert_eq!(sent(&world.up(4, "dtn://b/")), [(4, key(&bundle))]);
}

#[test]
fn gives_a_new_neighbour_what_it_lacks_and_never_twice() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let bundles: Vec<Draft> = (0..6).map(|n| draft(n, "dtn://z/in")).collect();
    bundles.iter().for_each(|bundle| _ = world.take(1, bundle));
    // The window has four places.
    let outputs = world.up(2, "dtn://b/");
    let expected: Vec<_> = bundles[..4].iter().map(|bundle| (2, key(bundle))).collect();
    assert_eq!(sent(&outputs), expected);
    let outputs = world.answer(2, &bundles[1], SendOutcome::Acknowledged);
    assert_eq!(sent(&outputs), [(2, key(&bundles[4]))]);
    let node = NodeNumber::of(&endpoint("dtn://b/"));
    assert!(outputs.contains(&Output::Note { key: key(&bundles[1]), node }));
    // What was under way is lost with the contact, what was acknowledged is not sent again.
    world.give(0, Input::LinkDown(LinkId(2)));
    let outputs = world.up(3, "dtn://b/");
    let expected: Vec<_> = [0, 2, 3, 4].map(|n: usize| (3, key(&bundles[n]))).to_vec();
    assert_eq!(sent(&outputs), expected);
}

#[test]
fn serves_a_node_over_one_contact_at_a_time() {
    let mut world = World::new();
    for (link, node) in [(1, "dtn://a/"), (2, "dtn://b/"), (3, "dtn://b/")] {
        world.up(link, node);
    }
    let bundle = draft(1, "dtn://z/in");
    assert_eq!(sent(&world.take(1, &bundle)), [(2, key(&bundle))]);
    let outputs = world.give(0, Input::LinkDown(LinkId(2)));
    assert_eq!(sent(&outputs), [(3, key(&bundle))]);
}

#[test]
fn sends_nothing_to_who_does_not_say_who_it_is_or_takes_none() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up_as(2, None, Standing::Stranger);
    let node = Some(endpoint("dtn://c/"));
    world.give(
        0,
        Input::LinkUp {
            link: LinkId(3),
            node,
            standing: Standing::Neighbour,
            bundle_bytes_max: 50,
        },
    );
    assert_eq!(sent(&world.take(1, &draft(1, "dtn://z/in"))), []);
}

#[test]
fn delivers_bundles_of_its_own_node_and_sends_them_nowhere() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up(2, "dtn://b/");
    let bundle = draft(1, "dtn://me/inbox");
    let outputs = world.take(1, &bundle);
    assert!(outputs.contains(&Output::Deliver(key(&bundle))));
    assert_eq!(sent(&outputs), []);
    let outputs = world.give(0, Input::Delivered(vec![key(&bundle)]));
    let note = Output::Note { key: key(&bundle), node: NodeNumber::OURS };
    assert_eq!(outputs, [note]);
    assert_eq!(world.agent.counts().delivered, 1);
}

#[test]
fn acknowledges_duplicates_once_the_first_is_durable() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up(2, "dtn://b/");
    let bundle = draft(1, "dtn://z/in");
    let (first, _) = world.receive(1, &bundle);
    let (second, outputs) = world.receive(2, &bundle);
    assert_eq!(outputs, []);
    let outputs = world.give(0, Input::Stored(vec![key(&bundle)]));
    assert!(outputs.contains(&Output::Accept(first)) && outputs.contains(&Output::Accept(second)));
    assert_eq!(sent(&outputs), []);
    let (third, outputs) = world.receive(1, &bundle);
    assert_eq!(outputs, [Output::Accept(third)]);
    assert_eq!(world.agent.counts().duplicates, 2);
}

#[test]
fn tells_bundles_apart_as_rfc_9171_does() {
    let whole = draft(1, "dtn://z/in");
    let mut fragment = whole.clone();
    fragment.primary.fragment = Some(Fragment { offset: 0, total: 500 });
    let mut later = fragment.clone();
    later.primary.fragment = Some(Fragment { offset: 100, total: 500 });
    let mut other = whole.clone();
    other.primary.created.sequence = 2;
    let mut elsewhere = whole.clone();
    elsewhere.primary.source = endpoint("dtn://src/other");
    let keys: std::collections::BTreeSet<_> =
        [&whole, &fragment, &later, &other, &elsewhere].map(key).into_iter().collect();
    assert_eq!(keys.len(), 5);
    // Blocks that change on the way do not make it another bundle.
    let mut hopped = whole.clone();
    hopped.set(&Extension::HopCount { limit: 9, count: 3 });
    assert_eq!(key(&hopped), key(&whole));
}

#[test]
fn refuses_what_it_could_only_drop() {
    let unknown = |flags| NewBlock {
        kind: BlockType::from_code(193),
        number: 2,
        flags,
        crc: CrcType::Crc16,
        data: vec![1],
    };
    let mut spent = draft(1, "dtn://z/in");
    spent.set(&Extension::HopCount { limit: 3, count: 3 });
    let mut fatal = draft(2, "dtn://z/in");
    fatal.blocks.push(unknown(BlockFlags::DELETE_BUNDLE_UNPROCESSED));
    let mut harmless = draft(3, "dtn://z/in");
    harmless.blocks.push(unknown(BlockFlags::DISCARD_UNPROCESSED));
    let mut spent_here = draft(4, "dtn://me/in");
    spent_here.set(&Extension::HopCount { limit: 3, count: 3 });
    for (ms, bundle, why) in [
        (0, &spent, Some(Unfit::Spent)),
        (0, &fatal, Some(Unfit::Unknown(2))),
        (60_000, &harmless, Some(Unfit::Expired)),
        (59_999, &harmless, None),
        (0, &spent_here, None),
    ] {
        let mut world = World::new();
        let (arrival, outputs) = world.receive_at(ms, 1, bundle);
        match why {
            Some(why) => assert_eq!(outputs, [Output::Refuse { arrival, why }]),
            None => assert!(matches!(outputs[..], [Output::Store { .. }]), "{outputs:?}"),
        }
    }
    let mut world = World::new();
    let arrival = Arrival { link: LinkId(1), transfer: TransferId::FIRST };
    let outputs = world.give(0, Input::Received { arrival, bytes: Arc::new(vec![0x9f, 0xff]) });
    assert!(matches!(outputs[..], [Output::Refuse { why: Unfit::Malformed(_), .. }]));
    assert_eq!(world.agent.counts().refused, 1);
}

#[test]
fn deletes_expired_bundles_when_they_expire() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let bundle = draft(1, "dtn://z/in");
    world.take(1, &bundle);
    assert_eq!(world.agent.wake_at(), Some(at(60_000)));
    assert_eq!(world.give(59_999, Input::Wake), []);
    assert_eq!(world.give(60_000, Input::Wake), [Output::Delete(key(&bundle))]);
    assert_eq!(world.agent.held(), (0, 0));
    assert_eq!(world.agent.wake_at(), None);
}

#[test]
fn ages_bundles_of_sources_without_a_clock_from_when_they_came() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let mut bundle = draft(1, "dtn://z/in");
    bundle.primary.created.time = Timestamp::default();
    bundle.set(&Extension::BundleAge(Span::from_ms(20_000)));
    let (_, outputs) = world.receive_at(5_000, 1, &bundle);
    assert!(
        matches!(outputs[..], [Output::Store { expires, .. }] if expires == at(45_000)),
        "{outputs:?}"
    );
}

#[test]
fn what_is_done_gives_way_and_what_is_not_stays() {
    let length = bytes(&draft(1, "dtn://me/in")).len() as u64;
    let mut world = World::with(|config| config.quota_bytes = 3 * length);
    world.up(1, "dtn://a/");
    let (here, there) = (draft(1, "dtn://me/in"), draft(2, "dtn://z/in"));
    world.take(1, &here);
    world.take(1, &there);
    world.take(1, &draft(3, "dtn://z/in"));
    // Nothing is done: nothing gives way.
    let (arrival, outputs) = world.receive(1, &draft(4, "dtn://z/in"));
    assert_eq!(outputs, [Output::Refuse { arrival, why: Unfit::Quota }]);
    assert_eq!(Unfit::Quota.reason(), RefuseReason::NO_RESOURCES);
    // What was delivered gives way to one bundle.
    world.give(0, Input::Delivered(vec![key(&here)]));
    let (_, outputs) = world.receive(1, &draft(4, "dtn://z/in"));
    assert!(
        matches!(outputs[..], [Output::Delete(gone), Output::Store { .. }] if gone == key(&here)),
        "{outputs:?}"
    );
    let (_, outputs) = world.receive(1, &draft(5, "dtn://z/in"));
    assert!(matches!(outputs[..], [Output::Refuse { why: Unfit::Quota, .. }]), "{outputs:?}");
    // So does what its destination has.
    assert_eq!(sent(&world.up(2, "dtn://z/"))[0], (2, key(&there)));
    world.answer(2, &there, SendOutcome::Acknowledged);
    let (_, outputs) = world.receive(1, &draft(5, "dtn://z/in"));
    assert!(outputs.contains(&Output::Delete(key(&there))), "{outputs:?}");
}

#[test]
fn refuses_what_the_store_has_no_room_for_and_makes_room_for_the_next() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let here = draft(1, "dtn://me/in");
    world.take(1, &here);
    world.give(0, Input::Delivered(vec![key(&here)]));
    let bundle = draft(2, "dtn://z/in");
    let (first, _) = world.receive(1, &bundle);
    let (second, _) = world.receive(1, &bundle);
    let outputs = world.give(0, Input::Unstored(vec![key(&bundle)]));
    let refuse = |arrival| Output::Refuse { arrival, why: Unfit::Quota };
    assert_eq!(outputs, [Output::Delete(key(&here)), refuse(first), refuse(second)]);
    assert_eq!(world.agent.held(), (0, 0));
    // It may come again.
    world.take(1, &bundle);
}

#[test]
fn bounds_how_many_bundles_it_holds() {
    let mut world = World::with(|config| config.bundles_max = 2);
    world.up(1, "dtn://a/");
    world.take(1, &draft(1, "dtn://z/in"));
    // One on its way into the store counts.
    world.receive(1, &draft(2, "dtn://z/in"));
    let (_, outputs) = world.receive(1, &draft(3, "dtn://z/in"));
    assert!(matches!(outputs[..], [Output::Refuse { why: Unfit::Quota, .. }]), "{outputs:?}");
}

#[test]
fn stops_offering_what_its_destination_has() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    let bundle = draft(1, "dtn://z/in");
    world.take(1, &bundle);
    world.up(2, "dtn://z/");
    world.answer(2, &bundle, SendOutcome::Acknowledged);
    assert_eq!(sent(&world.up(3, "dtn://c/")), []);
}

#[test]
fn tries_again_after_a_pause_where_there_was_no_room() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up(2, "dtn://b/");
    let bundle = draft(1, "dtn://z/in");
    world.take(1, &bundle);
    let refused = SendOutcome::Refused(RefuseReason::NO_RESOURCES);
    assert_eq!(sent(&world.answer(2, &bundle, refused)), []);
    assert_eq!(world.agent.wake_at(), Some(at(10_000)));
    assert_eq!(sent(&world.give(9_999, Input::Wake)), []);
    assert_eq!(sent(&world.give(10_000, Input::Wake)), [(2, key(&bundle))]);
    // What will never be taken is not offered again.
    let refused = SendOutcome::Refused(RefuseReason::NOT_ACCEPTABLE);
    world.answer(2, &bundle, refused);
    world.give(0, Input::LinkDown(LinkId(2)));
    assert_eq!(sent(&world.up(3, "dtn://b/")), []);
}

#[test]
fn sends_again_what_was_lost_and_holds_back_what_cannot_be_read() {
    let mut world = World::new();
    world.up(1, "dtn://a/");
    world.up(2, "dtn://b/");
    let bundle = draft(1, "dtn://z/in");
    world.take(1, &bundle);
    let outputs = world.answer(2, &bundle, SendOutcome::Lost);
    assert_eq!(sent(&outputs), [(2, key(&bundle))]);
    assert_eq!(world.answer(2, &bundle, SendOutcome::Unreadable), []);
    assert_eq!(sent(&world.up(3, "dtn://c/")), []);
    assert_eq!(world.agent.held().0, 1);
}

#[test]
fn goes_on_after_a_restart_where_it_stopped() {
    let bundles: Vec<Draft> =
        ["dtn://z/in", "dtn://me/in", "dtn://me/in", "dtn://z/in", "dtn://b/in"]
            .iter()
            .enumerate()
            .map(|(n, destination)| draft(n as u64, destination))
            .collect();
    let b = NodeNumber::of(&endpoint("dtn://b/"));
    let holders = [vec![b], vec![], vec![NodeNumber::OURS], vec![], vec![b]];
    let mut world = World::new();
    world.up(2, "dtn://b/");
    let mut outputs = Vec::new();
    for (n, (bundle, holders)) in bundles.iter().zip(holders).enumerate() {
        let bytes = bytes(bundle).len() as u64;
        let entry = Entry { bytes, expires: at(60_000), order: n as u64 };
        outputs.extend(world.give(0, Input::Restored { key: key(bundle), entry, holders }));
    }
    // Two are read at once; the one that was delivered is not.
    assert_eq!(outputs, [Output::Load(key(&bundles[0])), Output::Load(key(&bundles[1]))]);
    let mut later = Vec::new();
    for n in [0, 1, 3, 4] {
        let bytes = Some(bytes(&bundles[n]));
        later.extend(world.give(0, Input::Loaded { key: key(&bundles[n]), bytes }));
    }
    assert_eq!(sent(&later), [(2, key(&bundles[3]))]);
    let delivered = later.iter().filter(|output| matches!(output, Output::Deliver(_)));
    assert_eq!(delivered.collect::<Vec<_>>(), [&Output::Deliver(key(&bundles[1]))]);
    // The one for b, which b has, is done.
    assert_eq!(sent(&world.up(3, "dtn://c/")).len(), 2);
}

#[test]
fn keeps_what_a_restart_cannot_read_and_sends_it_nowhere() {
    let mut world = World::new();
    let bundle = draft(1, "dtn://z/in");
    let entry = Entry { bytes: 100, expires: at(60_000), order: 0 };
    world.give(0, Input::Restored { key: key(&bundle), entry, holders: vec![] });
    assert_eq!(world.give(0, Input::Loaded { key: key(&bundle), bytes: None }), []);
    assert_eq!(sent(&world.up(1, "dtn://a/")), []);
    assert_eq!(world.agent.held(), (1, 100));
}
