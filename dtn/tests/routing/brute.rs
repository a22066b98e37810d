//! Routes of small random plans against all simple ways, found by trying each.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::graph::{Graph, GraphConfig, NoRoute, Priority, Request, Volumes};
use longhaul_dtn::routing::plan::{ByteRate, Confidence, Contact, Plan, PlanLimits, Range};
use longhaul_dtn::time::{Span, Timestamp};
use proptest::prelude::*;

/// A contact of plain numbers: nodes, start, end in ms, bytes per second.
type Row = (u32, u32, u64, u64, u64);

/// A plan of plain numbers, and what is asked of it.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<Row>,
    /// Light time between each pair of nodes.
    light_ms: BTreeMap<(u32, u32), u64>,
    now: u64,
    from: u32,
    to: u32,
    volume: u64,
    priority: Priority,
    expires: u64,
    excluded: BTreeSet<u32>,
    backlog: BTreeMap<u32, Volumes>,
}

fn node(number: u32) -> EndpointId {
    EndpointId::ipn(number, 0)
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_dtn_ms(ms)
}

impl Case {
    fn plan(&self) -> Plan {
        let contacts = self.rows.iter().map(|&(from, to, start, end, rate)| Contact {
            from: node(from),
            to: node(to),
            start: at(start),
            end: at(end),
            rate: ByteRate::new(rate).unwrap(),
            confidence: Confidence::CERTAIN,
        });
        let ranges = self.light_ms.iter().map(|(&(from, to), &light)| Range {
            from: node(from),
            to: node(to),
            start: at(0),
            end: at(1_000_000),
            light_time: Span::from_ms(light),
        });
        Plan::new(contacts.collect(), ranges.collect(), &PlanLimits::default()).unwrap()
    }

    fn request(&self) -> Request {
        Request {
            destination: node(self.to),
            volume: self.volume,
            priority: self.priority,
            expires: at(self.expires),
            excluded: self.excluded.iter().map(|&it| node(it)).collect(),
            backlog: self.backlog.iter().map(|(&it, &bytes)| (node(it), bytes)).collect(),
        }
    }

    /// When a first byte can leave in a first contact, from SABR 3.2.6.2.
    fn opportunity(&self, &(from, to, start, _, rate): &Row) -> u64 {
        let waiting = self.backlog.get(&to).copied().unwrap_or_default();
        let applies: u64 = waiting[self.priority as usize..].iter().sum();
        let before = self.rows.iter().filter(|it| (it.0, it.1) == (from, to) && it.2 < start);
        let relief: u64 =
            before.map(|it| it.4 * it.3.saturating_sub(it.2.max(self.now)) / 1000).sum();
        let residual = applies.saturating_sub(relief);
        start.max(self.now) + (residual * 1000).div_ceil(rate)
    }

    /// The arrivals of all simple ways, sorted.
    fn arrivals(&self) -> Vec<u64> {
        let mut found = Vec::new();
        self.follow(self.from, self.now, &mut vec![self.from], &mut found);
        found.sort_unstable();
        found
    }

    fn follow(&self, here: u32, ready: u64, visited: &mut Vec<u32>, found: &mut Vec<u64>) {
        for row in self.rows.iter().filter(|it| it.0 == here) {
            let &(_, to, start, end, rate) = row;
            let is_first = visited.len() == 1;
            if visited.contains(&to) || is_first && self.excluded.contains(&to) {
                continue;
            }
            let first = if is_first { self.opportunity(row) } else { start.max(ready) };
            let last = first + (self.volume * 1000).div_ceil(rate);
            let capacity = rate * (end - start) / 1000;
            let light = self.light_ms.get(&(here, to)).copied().unwrap_or(0);
            let arrives = last + light;
            let fits = first < end && last <= end && capacity >= self.volume.max(1);
            if !fits || arrives >= self.expires {
                continue;
            }
            if to == self.to {
                found.push(arrives);
                continue;
            }
            visited.push(to);
            self.follow(to, arrives, visited, found);
            visited.pop();
        }
    }
}

fn arb_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (1_u32..6, 1_u32..6, 0_u64..40, 1_u64..30, 1_u64..20);
    prop::collection::vec(row, 1..40).prop_map(|all| {
        let mut rows: Vec<Row> = Vec::new();
        for (from, to, start, len, rate) in all {
            let (start, end) = (start * 1000, (start + len) * 1000);
            let same = |it: &&Row| (it.0, it.1) == (from, to);
            let is_free = rows.iter().filter(same).all(|it| it.3 <= start || end <= it.2);
            if from != to && is_free {
                rows.push((from, to, start, end, rate));
            }
        }
        rows
    })
}

fn arb_case() -> impl Strategy<Value = Case> {
    let lights = prop::collection::btree_map((1_u32..6, 1_u32..6), 0_u64..6000, 0..12);
    let pairs = (1_u32..6, 1_u32..6).prop_filter("two nodes", |(from, to)| from != to);
    let priority =
        prop::sample::select(vec![Priority::Bulk, Priority::Normal, Priority::Expedited]);
    let asked = (0_u64..15_000, pairs, prop_oneof![Just(0_u64), 1_u64..40], priority);
    let expires = prop_oneof![1 => 5_000_u64..60_000, 2 => Just(10_000_000)];
    let excluded = prop::collection::btree_set(1_u32..6, 0..2);
    let waiting = [0_u64..60, 0_u64..60, 0_u64..60];
    let backlog = prop::collection::btree_map(1_u32..7, waiting, 0..3);
    (arb_rows(), lights, asked, expires, excluded, backlog).prop_map(
        |(rows, lights, (now, (from, to), volume, priority), expires, excluded, backlog)| {
            // Of each pair both directions, so that none is implied.
            let both =
                lights.iter().flat_map(|(&(one, two), &ms)| [((one, two), ms), ((two, one), ms)]);
            let light_ms = both.filter(|((from, to), _)| from != to).collect();
            Case { rows, light_ms, now, from, to, volume, priority, expires, excluded, backlog }
        },
    )
}

fn config(routes_max: usize) -> GraphConfig {
    GraphConfig { parting_m_per_s: 0, routes_max, searches_max: 10_000, ..GraphConfig::default() }
}

/// The properties below would hold of plans without routes, too.
#[test]
fn the_cases_have_several_routes() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut sizes = Vec::new();
    for _ in 0..1000 {
        sizes.push(arb_case().new_tree(&mut runner).unwrap().current().arrivals().len());
    }
    let of_more_than = |least| sizes.iter().filter(|&&it| it > least).count();
    let found = [0, 1, 6].map(of_more_than);
    assert!(found[0] > 400 && found[1] > 250 && found[2] > 50, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_routes_are_the_first_of_all_simple_ways(case in arb_case()) {
        let plan = case.plan();
        let graph = Graph::new(&plan, config(6));
        let mut expected = case.arrivals();
        expected.truncate(6);
        let found = graph.routes(at(case.now), &node(case.from), &case.request());
        let known = graph.knows(&node(case.from)) && graph.knows(&node(case.to));
        let Ok(routes) = found else {
            let why = if known { NoRoute::NoneInTime } else { NoRoute::Unknown };
            prop_assert_eq!(found, Err(why));
            prop_assert_eq!(expected, Vec::<u64>::new());
            return Ok(());
        };
        let arrivals: Vec<u64> = routes.iter().map(|it| it.arrives.dtn_ms()).collect();
        prop_assert_eq!(arrivals, expected);
        for (index, route) in routes.iter().enumerate() {
            let contacts: Vec<_> = route.contacts.iter().map(|&it| graph.contact(it)).collect();
            prop_assert_eq!(&contacts[0].from, &node(case.from));
            prop_assert_eq!(&contacts[0].to, &route.next);
            prop_assert_eq!(&contacts.last().unwrap().to, &node(case.to));
            prop_assert!(contacts.windows(2).all(|it| it[0].to == it[1].from));
            let visited: BTreeSet<_> = contacts.iter().map(|it| &it.to).collect();
            prop_assert!(visited.len() == contacts.len() && !visited.contains(&node(case.from)));
            prop_assert!(route.volume >= case.volume, "what fits is at least what is asked for");
            prop_assert_eq!(Some(route.ends), contacts.iter().map(|it| it.end).min());
            prop_assert!(routes[..index].iter().all(|it| it.contacts != route.contacts));
        }
    }

    #[test]
    fn booked_volume_is_gone_until_it_is_released(case in arb_case(), times in 1_usize..6) {
        let case = Case { volume: case.volume.max(1), ..case };
        let mut graph = Graph::new(&case.plan(), config(1));
        let untouched = graph.clone();
        let mut booked = Vec::new();
        for _ in 0..times {
            let Ok(route) = graph.select(at(case.now), &node(case.from), &case.request()) else { break };
            graph.book(&route, case.volume, case.priority);
            booked.push(route);
        }
        for (index, contact) in untouched.contacts().iter().enumerate() {
            let taken = booked.iter().flat_map(|it| &it.contacts).filter(|it| it.get() == index).count();
            let total = taken as u64 * case.volume;
            prop_assert!(total <= contact.volume(), "more was booked than there is");
        }
        booked.iter().for_each(|it| graph.release(it, case.volume, case.priority));
        for route in &booked {
            for &index in &route.contacts {
                let left = graph.volume_left(index, Priority::Bulk);
                prop_assert_eq!(left, untouched.volume_left(index, Priority::Bulk));
            }
        }
    }
}
