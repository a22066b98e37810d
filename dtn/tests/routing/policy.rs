//! What is handed to whom, in which order; and one bundle among nodes whose contacts are cut.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::routing::graph::{Graph, GraphConfig, Priority};
use longhaul_dtn::routing::plan::{Plan, PlanLimits};
use longhaul_dtn::routing::policy::{
    Class, Input, Item, Origin, Output, Policy, PolicyConfig, Why,
};
use longhaul_dtn::routing::quota::Value;
use longhaul_dtn::routing::spray::{Copies, TransferNumber};
use longhaul_dtn::time::Timestamp;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_dtn_ms(0);

fn node(number: u32) -> EndpointId {
    EndpointId::ipn(number, 0)
}

fn id(byte: u8) -> BundleId {
    BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
}

fn second(seconds: u64) -> Timestamp {
    Timestamp::from_dtn_ms(seconds * 1000)
}

fn item(byte: u8, class: Class) -> Item {
    Item {
        id: id(byte),
        class,
        priority: Priority::Normal,
        epoch: 5,
        deadline: second(500),
        expires: second(1000),
        value: Value(100),
        bytes: 100,
    }
}

fn unicast(byte: u8, destination: u32) -> Item {
    item(byte, Class::Unicast { destination: node(destination) })
}

/// Node 1 with these bundles of its own and these neighbours.
fn policy(items: &[Item], neighbours: &[u32]) -> Policy {
    let mut policy = Policy::new(PolicyConfig::new(node(1), TransferNumber(0)));
    for item in items {
        policy.handle(NOW, Input::Hold(item.clone(), Origin::Own));
    }
    neighbours.iter().for_each(|&it| policy.handle(NOW, Input::Up(node(it))));
    policy
}

fn graph(text: &str) -> Graph {
    let file = Plan::read_ion(text, NOW, &PlanLimits::default()).unwrap();
    Graph::new(&file.plan, GraphConfig::default())
}

fn byte(id: &BundleId) -> u8 {
    id.as_hash().as_bytes()[0]
}

/// All that is handed over until nothing is: to whom, which, why.
fn handed(policy: &mut Policy) -> Vec<(EndpointId, u8, Why)> {
    let outputs = std::iter::from_fn(|| policy.poll());
    let handed = outputs.filter_map(|it| match it {
        Output::HandOver { to, id, why } => Some((to, byte(&id), why)),
        _ => None,
    });
    handed.collect()
}

fn bytes_for(policy: &mut Policy, to: u32) -> Vec<u8> {
    handed(policy).into_iter().filter(|it| it.0 == node(to)).map(|it| it.1).collect()
}

#[test]
fn headers_are_epidemic_and_payloads_are_pulled() {
    let mut policy = policy(&[item(1, Class::Header), item(2, Class::Payload)], &[]);
    policy.handle(NOW, Input::Up(node(2)));
    policy.handle(NOW, Input::Up(node(3)));
    policy.handle(NOW, Input::Has(node(3), vec![id(1)]));
    assert_eq!(handed(&mut policy), [(node(2), 1, Why::Epidemic)]);
    policy.handle(NOW, Input::Asks(node(3), vec![id(2), id(7)]));
    assert_eq!(handed(&mut policy), [(node(3), 2, Why::Asked)]);
    policy.handle(NOW, Input::Hold(item(7, Class::Payload), Origin::Own));
    assert_eq!(handed(&mut policy), [(node(3), 7, Why::Asked)], "asked before it came");
    assert_eq!(handed(&mut policy), [], "once in a contact");
    policy.handle(NOW, Input::Asks(node(3), vec![id(2)]));
    assert_eq!(handed(&mut policy), [(node(3), 2, Why::Asked)], "but again if asked again");
    policy.handle(NOW, Input::Down(node(2)));
    policy.handle(NOW, Input::Up(node(2)));
    assert_eq!(handed(&mut policy), [(node(2), 1, Why::Epidemic)], "nothing is known of it now");
}

#[test]
fn what_matters_most_goes_first() {
    let base = || item(0, Class::Header);
    let items = [
        Item { id: id(8), value: Value(50), bytes: 10, ..base() },
        Item { id: id(7), value: Value(50), bytes: 100, ..base() },
        Item { id: id(6), deadline: second(400), ..base() },
        Item { id: id(5), epoch: 6, value: Value(0), ..base() },
        Item { id: id(4), ..item(0, Class::Payload) },
        Item { id: id(3), epoch: 9, ..item(0, Class::Payload) },
        Item { id: id(2), priority: Priority::Expedited, epoch: 0, ..item(0, Class::Payload) },
        Item { id: id(1), priority: Priority::Bulk, epoch: 99, ..base() },
        Item { id: id(9), value: Value(50), bytes: 10, ..base() },
    ];
    let mut policy = policy(&items, &[2]);
    policy.handle(NOW, Input::Asks(node(2), (0..10).map(id).collect()));
    assert_eq!(bytes_for(&mut policy, 2), [2, 5, 6, 8, 9, 7, 3, 4, 1]);
}

#[test]
fn neighbours_take_turns_and_a_busy_one_is_passed_over() {
    let mut policy = policy(&[1, 2].map(|it| item(it, Class::Header)), &[2, 3, 4]);
    policy.handle(NOW, Input::Busy(node(3)));
    let turns = |handed: Vec<(EndpointId, u8, Why)>| {
        handed.into_iter().map(|(to, byte, _)| (to.to_string(), byte)).collect::<Vec<_>>()
    };
    let to = |number: u32, byte: u8| (node(number).to_string(), byte);
    assert_eq!(turns(handed(&mut policy)), [to(2, 1), to(4, 1), to(2, 2), to(4, 2)]);
    policy.handle(NOW, Input::Ready(node(3)));
    assert_eq!(turns(handed(&mut policy)), [to(3, 1), to(3, 2)]);
}

#[test]
fn a_unicast_bundle_goes_to_its_destination_and_is_released() {
    let mut policy = policy(&[unicast(1, 9)], &[9]);
    let count = Output::Count { id: id(1), copies: Copies::new(8).unwrap(), acknowledge: None };
    assert_eq!(policy.poll(), Some(count), "written down first");
    assert_eq!(handed(&mut policy), [(node(9), 1, Why::Delivery)]);
    policy.handle(NOW, Input::Acknowledged(node(9), id(1)));
    assert_eq!(policy.poll(), Some(Output::Release { id: id(1), to: node(9) }));
    assert!(policy.is_empty());
}

#[test]
fn a_route_of_the_plan_has_one_neighbour() {
    let mut policy = policy(&[unicast(1, 9)], &[2, 3]);
    policy.handle(NOW, Input::Plan(graph(
        "a contact +0 +50 1 2 1000\na contact +10 +60 2 9 1000\na contact +0 +50 1 3 1000\na contact +20 +60 3 9 1000\n",
    )));
    let found = handed(&mut policy);
    let [(to, 1, Why::Route { arrives })] = &found[..] else { panic!("one route: {found:?}") };
    assert!(*to == node(2) && *arrives > second(10));
    policy.handle(NOW, Input::Refused(node(2), id(1)));
    let next = handed(&mut policy);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].0, node(3), "the next best way");
    policy.handle(NOW, Input::Acknowledged(node(3), id(1)));
    assert_eq!(policy.poll(), Some(Output::Release { id: id(1), to: node(3) }));
}

#[test]
fn what_got_lost_goes_the_same_way_again() {
    let plan = "a contact +0 +50 1 2 1000\na contact +10 +60 2 9 1000\n";
    let mut routed = policy(&[unicast(1, 9)], &[2, 3]);
    routed.handle(NOW, Input::Plan(graph(plan)));
    let mut sprayed = policy(&[unicast(1, 9)], &[2]);
    for policy in [&mut routed, &mut sprayed] {
        let first = handed(policy);
        assert_eq!(first.len(), 1);
        policy.handle(NOW, Input::Lost(node(2), id(1)));
        assert_eq!(handed(policy), first, "the same transfer");
        policy.handle(NOW, Input::Lost(node(2), id(7)));
        assert_eq!(handed(policy), [], "nothing is known of it");
    }
}

#[test]
fn a_bundle_waits_for_the_neighbour_of_its_route_until_that_contact_is_over() {
    let mut policy = policy(&[unicast(1, 9)], &[3]);
    policy.handle(NOW, Input::Plan(graph(
        "a contact +5 +20 1 2 1000\na contact +5 +60 2 9 1000\na contact +0 +99 1 3 1000\na contact +90 +99 3 9 1000\n",
    )));
    assert_eq!(handed(&mut policy), [], "2 is not here yet, and 3 would be later");
    assert_eq!(policy.wake_at(), Some(second(20)));
    policy.handle(second(20), Input::Wake);
    let found = handed(&mut policy);
    assert_eq!((found.len(), &found[0].0), (1, &node(3)));
    assert_eq!(policy.wake_at(), Some(second(1000)), "its expiry");
}

#[test]
fn a_cut_contact_gives_back_the_volume_of_the_route() {
    // Room for one bundle of 100 bytes, which takes 200 with its frames.
    let plan = "a contact +0 +10 1 2 20\na contact +0 +30 2 9 20\n";
    let mut policy = policy(&[unicast(1, 9), unicast(2, 9)], &[2]);
    policy.handle(NOW, Input::Plan(graph(plan)));
    let found = handed(&mut policy);
    assert!(matches!(found[0], (_, 1, Why::Route { .. })), "{found:?}");
    assert!(matches!(found[1], (_, 2, Why::Spray { .. })), "no route is left: {found:?}");
    policy.handle(NOW, Input::Down(node(2)));
    policy.handle(NOW, Input::Drop(id(1)));
    policy.handle(NOW, Input::Up(node(2)));
    let found = handed(&mut policy);
    assert!(matches!(found[..], [(_, 2, Why::Route { .. })]), "{found:?}");
}

#[test]
fn without_a_route_a_bundle_is_sprayed() {
    let mut policy = policy(&[unicast(1, 9)], &[2, 3]);
    policy.handle(NOW, Input::Plan(graph("a contact +0 +50 1 2 1000\n")));
    let copies = |handed: &[(EndpointId, u8, Why)]| {
        let copies = handed.iter().map(|it| match it.2 {
            Why::Spray { copies, .. } => copies.get(),
            _ => 0,
        });
        copies.collect::<Vec<_>>()
    };
    assert_eq!(copies(&handed(&mut policy)), [4, 2], "half, and half of the rest");
    policy.handle(NOW, Input::Acknowledged(node(2), id(1)));
    let count = Output::Count { id: id(1), copies: Copies::new(4).unwrap(), acknowledge: None };
    assert_eq!(policy.poll(), Some(count));
    policy.handle(NOW, Input::Down(node(3)));
    policy.handle(NOW, Input::Up(node(3)));
    assert_eq!(copies(&handed(&mut policy)), [2], "the same transfer");
}

#[test]
fn copies_that_come_are_counted_before_they_are_acknowledged() {
    let mut policy = policy(&[], &[2]);
    let copies = Some((Copies::new(4).unwrap(), TransferNumber(7)));
    let origin = Origin::Neighbour { node: node(2), copies };
    for _ in 0..2 {
        policy.handle(NOW, Input::Hold(unicast(1, 9), origin.clone()));
        let count = Output::Count {
            id: id(1),
            copies: Copies::new(4).unwrap(),
            acknowledge: Some(node(2)),
        };
        assert_eq!(policy.poll(), Some(count));
        assert_eq!(policy.poll(), None, "and not given back");
    }
}

#[test]
fn expired_bundles_are_forgotten_and_limits_kept() {
    let mut config = PolicyConfig::new(node(1), TransferNumber(0));
    (config.items_max, config.neighbours_max) = (2, 1);
    let mut policy = Policy::new(config);
    for byte in 1..4 {
        policy.handle(NOW, Input::Hold(item(byte, Class::Header), Origin::Own));
    }
    assert_eq!(policy.len(), 2);
    policy.handle(NOW, Input::Up(node(1)));
    assert_eq!(handed(&mut policy), [], "this node is no neighbour");
    policy.handle(NOW, Input::Up(node(2)));
    policy.handle(NOW, Input::Up(node(3)));
    assert_eq!(bytes_for(&mut policy, 2), [1, 2]);
    assert_eq!(policy.wake_at(), Some(second(1000)));
    policy.handle(second(1000), Input::Wake);
    assert!(policy.is_empty());
    policy.handle(second(1000), Input::Hold(item(1, Class::Header), Origin::Own));
    assert_eq!((policy.len(), policy.wake_at()), (0, None));
}

#[test]
fn a_backlog_turns_a_bundle_to_another_neighbour() {
    let plan = "a contact +0 +50 1 2 1000\na contact +0 +50 2 9 1000\n\
                a contact +0 +50 1 3 500\na contact +0 +50 3 9 500\n";
    for (waiting, next) in [(0, 2), (10_000, 3)] {
        let mut policy = policy(&[], &[2, 3]);
        policy.handle(NOW, Input::Plan(graph(plan)));
        policy.handle(NOW, Input::Backlog(node(2), [0, waiting, 0]));
        policy.handle(NOW, Input::Hold(unicast(1, 9), Origin::Own));
        assert_eq!(handed(&mut policy)[0].0, node(next), "{waiting} bytes wait for 2");
    }
}

#[test]
fn a_new_plan_leaves_what_is_under_way_where_it_is() {
    let plan = "a contact +0 +50 1 2 1000\na contact +0 +50 2 9 1000\n";
    let mut policy = policy(&[unicast(1, 9)], &[2, 3]);
    policy.handle(NOW, Input::Plan(graph(plan)));
    assert_eq!(handed(&mut policy).len(), 1);
    let other = plan.replace(" 1 2 ", " 1 3 ").replace(" 2 9 ", " 3 9 ");
    policy.handle(NOW, Input::Plan(graph(&other)));
    assert_eq!(handed(&mut policy), [], "it is under way to 2");
    policy.handle(NOW, Input::Down(node(2)));
    let found = handed(&mut policy);
    assert!(matches!(&found[..], [(to, 1, Why::Route { .. })] if *to == node(3)), "{found:?}");
}

#[test]
fn a_bundle_that_is_held_again_takes_its_new_place() {
    let mut policy = policy(&[item(1, Class::Header), item(2, Class::Header)], &[]);
    let urgent = Item { priority: Priority::Expedited, ..item(2, Class::Header) };
    policy.handle(NOW, Input::Hold(urgent, Origin::Own));
    policy.handle(NOW, Input::Up(node(2)));
    assert_eq!((policy.len(), bytes_for(&mut policy, 2)), (2, vec![2, 1]));
}

#[test]
fn a_restored_bundle_has_the_copies_that_were_written_down() {
    let mut policy = policy(&[], &[2]);
    policy.handle(NOW, Input::Hold(unicast(1, 9), Origin::Restored(Copies::ONE)));
    assert_eq!(handed(&mut policy), [], "it waits for its destination");
    policy.handle(NOW, Input::Up(node(9)));
    assert_eq!(handed(&mut policy), [(node(9), 1, Why::Delivery)]);
}

fn arb_item() -> impl Strategy<Value = Item> {
    let class = prop_oneof![Just(Class::Header), Just(Class::Payload)];
    let priority =
        prop::sample::select(vec![Priority::Bulk, Priority::Normal, Priority::Expedited]);
    (0_u8..30, class, priority, 0_u64..3, 1_u64..4, 0_u64..4, 1_u64..4).prop_map(
        |(byte, class, priority, epoch, deadline, value, bytes)| Item {
            priority,
            epoch,
            deadline: second(deadline),
            value: Value(value),
            bytes,
            ..item(byte, class)
        },
    )
}

proptest! {
    #[test]
    fn everybody_gets_what_they_lack_or_asked_for_once_and_in_order(
        items in prop::collection::vec(arb_item(), 0..30),
        has in prop::collection::vec((2_u32..5, 0_u8..30), 0..30),
        asks in prop::collection::vec((2_u32..5, 0_u8..30), 0..30),
        polls in 0_usize..20,
    ) {
        let (before, after) = items.split_at(items.len() / 2);
        let mut policy = policy(before, &[2, 3, 4]);
        for (number, byte) in &has {
            policy.handle(NOW, Input::Has(node(*number), vec![id(*byte)]));
        }
        // Some is handed over before the rest comes.
        let early: Vec<Output> = std::iter::from_fn(|| policy.poll()).take(polls).collect();
        for (number, byte) in &asks {
            policy.handle(NOW, Input::Asks(node(*number), vec![id(*byte)]));
        }
        after.iter().for_each(|it| policy.handle(NOW, Input::Hold(it.clone(), Origin::Own)));
        let late: Vec<Output> = std::iter::from_fn(|| policy.poll()).collect();
        let last: BTreeMap<BundleId, &Item> = items.iter().map(|it| (it.id, it)).collect();
        let key = |it: &Item| {
            let density = it.value.0 * 60 / it.bytes;
            let reversed = (std::cmp::Reverse(it.priority), it.class != Class::Header, std::cmp::Reverse(it.epoch));
            (reversed, it.deadline, std::cmp::Reverse(density), it.id)
        };
        for number in 2..5 {
            let to_it = |outputs: &[Output]| -> Vec<BundleId> {
                let ids = outputs.iter().filter_map(|it| match it {
                    Output::HandOver { to, id, .. } if *to == node(number) => Some(*id),
                    _ => None,
                });
                ids.collect()
            };
            let found = to_it(&late);
            let sorted = found.windows(2).all(|it| key(last[&it[0]]) < key(last[&it[1]]));
            prop_assert!(sorted, "out of order: {found:?}");
            let asked: BTreeSet<u8> = asks.iter().filter(|it| it.0 == number).map(|it| it.1).collect();
            let held: BTreeSet<u8> = has.iter().filter(|it| it.0 == number).map(|it| it.1).collect();
            let got: BTreeSet<BundleId> = found.iter().copied().chain(to_it(&early)).collect();
            for (id, item) in &last {
                let is_asked = asked.contains(&byte(id));
                let is_due = match item.class {
                    Class::Header => is_asked || !held.contains(&byte(id)),
                    _ => is_asked,
                };
                // What has become a payload since may have been handed over as a header before.
                let was_given = to_it(&early).contains(id);
                prop_assert_eq!(got.contains(id), is_due || was_given, "{:?} to {}", item, number);
            }
        }
    }
}

/// A bundle that outlives each run.
fn lasting() -> Item {
    Item { expires: second(1_000_000), ..unicast(1, NODES as u32) }
}

/// One step of a world of policies.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Two nodes meet.
    Meet(usize, usize),
    /// Two nodes part.
    Part(usize, usize),
    /// The transfer of this number, as far as there is one, ends so.
    End(usize, End),
    /// Time passes.
    Later(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acknowledged,
    AckLost,
    Refused,
}

const NODES: usize = 5;

struct World {
    now: u64,
    nodes: Vec<Policy>,
    meets: BTreeSet<(usize, usize)>,
    under_way: Vec<(usize, usize, Why)>,
    /// Who has the bundle on its disk.
    stored: BTreeSet<usize>,
}

impl World {
    fn new(plan: Option<&Graph>) -> Self {
        let make = |number: usize| {
            let me = node(1 + number as u32);
            let mut policy = Policy::new(PolicyConfig::new(me, TransferNumber(0)));
            plan.into_iter().for_each(|it| policy.handle(NOW, Input::Plan(it.clone())));
            policy
        };
        let mut nodes: Vec<Policy> = (0..NODES).map(make).collect();
        nodes[0].handle(NOW, Input::Hold(lasting(), Origin::Own));
        let (meets, under_way) = (BTreeSet::new(), Vec::new());
        Self { now: 0, nodes, meets, under_way, stored: [0].into() }
    }

    fn give(&mut self, at: usize, input: Input) {
        self.nodes[at].handle(second(self.now), input);
        while let Some(output) = self.nodes[at].poll() {
            match output {
                Output::HandOver { to, why, .. } => {
                    let to = (0..NODES).find(|&it| node(1 + it as u32) == to).unwrap();
                    assert!(self.stored.contains(&at), "{at} gives what it has not");
                    assert!(self.meets.contains(&(at, to)), "{at} gives to whom it does not meet");
                    self.under_way.push((at, to, why));
                }
                Output::Release { .. } => _ = self.stored.remove(&at),
                Output::Count { .. } => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Meet(one, two) if one != two && self.meets.insert((one, two)) => {
                self.meets.insert((two, one));
                for (at, other) in [(one, two), (two, one)] {
                    if self.stored.contains(&at) {
                        self.give(other, Input::Has(node(1 + at as u32), vec![id(1)]));
                    }
                    self.give(at, Input::Up(node(1 + other as u32)));
                }
            }
            Step::Part(one, two) if self.meets.remove(&(one, two)) => {
                self.meets.remove(&(two, one));
                self.under_way
                    .retain(|it| (it.0, it.1) != (one, two) && (it.0, it.1) != (two, one));
                self.give(one, Input::Down(node(1 + two as u32)));
                self.give(two, Input::Down(node(1 + one as u32)));
            }
            Step::End(which, end) if !self.under_way.is_empty() => {
                let transfer = self.under_way.remove(which % self.under_way.len());
                self.end(transfer, end);
            }
            Step::Later(seconds) => {
                self.now += seconds;
                (0..NODES).for_each(|at| self.give(at, Input::Wake));
            }
            _ => {}
        }
    }

    fn end(&mut self, (from, to, why): (usize, usize, Why), end: End) {
        let giver = node(1 + from as u32);
        if end == End::Refused {
            return self.give(from, Input::Refused(node(1 + to as u32), id(1)));
        }
        self.stored.insert(to);
        let copies = match why {
            Why::Spray { copies, number } => Some((copies, number)),
            _ => None,
        };
        if to + 1 < NODES {
            let origin = Origin::Neighbour { node: giver, copies };
            self.give(to, Input::Hold(lasting(), origin));
        }
        match end {
            End::AckLost => self.step(Step::Part(from, to)),
            _ => self.give(from, Input::Acknowledged(node(1 + to as u32), id(1))),
        }
    }
}

fn arb_steps() -> impl Strategy<Value = Vec<Step>> {
    let end =
        prop_oneof![3 => Just(End::Acknowledged), 1 => Just(End::AckLost), 1 => Just(End::Refused)];
    let step = prop_oneof![
        5 => (0..NODES, 0..NODES).prop_map(|(one, two)| Step::Meet(one, two)),
        3 => (0..NODES, 0..NODES).prop_map(|(one, two)| Step::Part(one, two)),
        6 => (0..NODES, end).prop_map(|(which, end)| Step::End(which, end)),
        1 => (0_u64..30).prop_map(Step::Later),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn somebody_always_holds_a_unicast_bundle(steps in arb_steps(), with_plan: bool) {
        let plan = graph(
            "a contact +0 +60 1 2 1000\na contact +10 +90 2 3 1000\na contact +20 +90 3 5 1000\n\
             a contact +0 +90 1 4 1000\na contact +50 +90 4 5 1000\na contact +0 +90 2 1 1000\n",
        );
        let mut world = World::new(with_plan.then_some(&plan));
        for step in steps {
            world.step(step);
            prop_assert!(!world.stored.is_empty(), "nobody has it");
            if !world.stored.contains(&(NODES - 1)) {
                let held = world.stored.iter().filter(|&&it| world.nodes[it].len() == 1).count();
                prop_assert!(held > 0, "it is stored, and nobody would deliver it");
            }
        }
        // In the end everybody meets the destination.
        for from in 0..NODES - 1 {
            world.step(Step::Part(from, NODES - 1));
            world.step(Step::Meet(from, NODES - 1));
            while !world.under_way.is_empty() {
                world.step(Step::End(0, End::Acknowledged));
            }
        }
        prop_assert!(world.stored.contains(&(NODES - 1)), "it arrives");
    }
}
