//! Contact-graph routing: what reading a plan and looking for routes cost.
//!
//! `cargo bench -p longhaul-dtn --bench routing [-- FILTER]`: one thread, plans of so many random contacts of ten
//! minutes in a day, between 10 nodes, 100, and 1,000. `select` looks for the best route of a bundle of 100 kB,
//! `list` for the four best; each run takes the next of 64 pairs of nodes.

use divan::Bencher;
use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::hash::mix64;
use longhaul_dtn::routing::graph::{Graph, GraphConfig, Request};
use longhaul_dtn::routing::plan::{ByteRate, Confidence, Contact, Plan, PlanLimits, Range};
use longhaul_dtn::time::{Span, Timestamp};

const CONTACTS: [u64; 3] = [100, 1_000, 10_000];
const DAY_MS: u64 = 86_400_000;

fn main() {
    for count in CONTACTS {
        let (plan, graph) = (plan(count), graph(count, 4));
        let pairs = pairs(count);
        let routes =
            pairs.iter().filter_map(|(from, request)| graph.select(START, from, request).ok());
        let hops: Vec<usize> = routes.map(|it| it.contacts.len()).collect();
        let mean = hops.iter().sum::<usize>() as f64 / hops.len().max(1) as f64;
        let (nodes, found, asked) = (plan.nodes().len(), hops.len(), pairs.len());
        println!(
            "{count} contacts, {nodes} nodes: {found} of {asked} have a route, {mean:.1} contacts long"
        );
    }
    divan::main();
}

const START: Timestamp = Timestamp::from_dtn_ms(0);

fn plan(count: u64) -> Plan {
    let nodes = count / 10;
    let node = |word: u64| EndpointId::ipn((1 + word % nodes) as u32, 0);
    let mut contacts: Vec<Contact> = Vec::new();
    let mut taken = std::collections::BTreeSet::new();
    for word in (0_u64..).map(mix64) {
        if contacts.len() as u64 == count {
            break;
        }
        let (from, to) = (node(word >> 8), node(word >> 24));
        // Contacts begin at whole ten minutes, so those of one pair do not overlap.
        let slot = (word >> 40) % 143;
        if from == to || !taken.insert((from.clone(), to.clone(), slot)) {
            continue;
        }
        let start = Timestamp::from_dtn_ms(slot * 600_000);
        let end = start.plus(Span::from_ms(600_000));
        let rate = ByteRate::new(10_000 + word % 100_000).expect("above zero");
        contacts.push(Contact { from, to, start, end, rate, confidence: Confidence::CERTAIN });
    }
    let mut ranges: Vec<Range> = Vec::new();
    for it in &contacts {
        let (from, to, start) = (it.from.clone(), it.to.clone(), it.start);
        ranges.push(Range { from, to, start, end: it.end, light_time: Span::from_ms(1280) });
    }
    Plan::new(contacts, ranges, &PlanLimits::default()).expect("a plan")
}

fn graph(count: u64, routes_max: usize) -> Graph {
    Graph::new(&plan(count), GraphConfig { routes_max, ..GraphConfig::default() })
}

fn pairs(count: u64) -> Vec<(EndpointId, Request)> {
    let nodes = count / 10;
    let node = |word: u64| EndpointId::ipn((1 + word % nodes) as u32, 0);
    let pair = |it: u64| (node(mix64(it)), node(mix64(it + 1000)));
    let pairs = (0..).map(pair).filter(|(from, to)| from != to).take(64);
    let request =
        |to| Request { expires: Timestamp::from_dtn_ms(DAY_MS), ..Request::new(to, 100_000) };
    pairs.map(|(from, to)| (from, request(to))).collect()
}

fn search(bencher: Bencher<'_, '_>, count: u64, routes_max: usize) {
    let graph = graph(count, routes_max);
    let pairs = pairs(count);
    let mut turn = pairs.iter().cycle();
    bencher.bench_local(|| {
        let (from, request) = turn.next().expect("it has no end");
        graph.routes(START, from, request)
    });
}

#[divan::bench(args = CONTACTS)]
fn select(bencher: Bencher<'_, '_>, count: u64) {
    search(bencher, count, 1);
}

#[divan::bench(args = CONTACTS)]
fn list(bencher: Bencher<'_, '_>, count: u64) {
    search(bencher, count, 4);
}

#[divan::bench(args = CONTACTS)]
fn build(bencher: Bencher<'_, '_>, count: u64) {
    let plan = plan(count);
    bencher.bench_local(|| Graph::new(&plan, GraphConfig::default()));
}

#[divan::bench(args = CONTACTS)]
fn read_ion(bencher: Bencher<'_, '_>, count: u64) {
    let text = plan(count).to_ion();
    bencher.bench_local(|| Plan::read_ion(&text, START, &PlanLimits::default()));
}

#[divan::bench(args = CONTACTS)]
fn read_json(bencher: Bencher<'_, '_>, count: u64) {
    let text = plan(count).to_json();
    bencher.bench_local(|| Plan::read_json(&text, START, &PlanLimits::default()));
}
