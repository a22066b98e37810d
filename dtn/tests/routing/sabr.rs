//! Cases by hand: the rules of CCSDS 734.3-B-1 one by one, and the plan of the tutorial by Fraire, De
//! Jonckère and Burleigh ("Routing in the Space Internet", JNCA 174, 2021), whose routes are known.

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::routing::graph::{
    Graph, GraphConfig, NoRoute, Priority, Request, Route, estimated_volume,
};
use longhaul_dtn::routing::plan::{Plan, PlanLimits};
use longhaul_dtn::time::{Span, Timestamp};

const START: Timestamp = Timestamp::from_dtn_ms(0);

/// Without a margin, so that times are whole seconds.
fn graph(text: &str) -> Graph {
    let config = GraphConfig { parting_m_per_s: 0, routes_max: 10, ..GraphConfig::default() };
    graph_with(text, config)
}

fn graph_with(text: &str, config: GraphConfig) -> Graph {
    let file = Plan::read_ion(text, START, &PlanLimits::default()).unwrap();
    Graph::new(&file.plan, config)
}

fn node(number: u32) -> EndpointId {
    EndpointId::ipn(number, 0)
}

fn second(seconds: u64) -> Timestamp {
    Timestamp::from_dtn_ms(seconds * 1000)
}

/// The nodes that a route visits after the first, and the second in which it arrives.
fn way(graph: &Graph, route: &Route) -> (String, u64) {
    let nodes = route.contacts.iter().map(|&it| graph.contact(it).to.to_string());
    let names = nodes.map(|it| it.trim_start_matches("ipn:").trim_end_matches(".0").to_owned());
    (names.collect::<Vec<_>>().join(" "), route.arrives.dtn_ms() / 1000)
}

fn ways(graph: &Graph, now: u64, request: &Request) -> Vec<(String, u64)> {
    let routes = graph.routes(second(now), &node(1), request).unwrap_or_default();
    routes.iter().map(|it| way(graph, it)).collect()
}

fn first(graph: &Graph, now: u64, request: &Request) -> Result<(String, u64), NoRoute> {
    graph.select(second(now), &node(1), request).map(|it| way(graph, &it))
}

/// Five nodes, A to E; each line both ways, a second of light time.
fn tutorial() -> Graph {
    let pairs = [
        (0, 60, 1, 2),
        (0, 60, 2, 3),
        (0, 60, 1, 3),
        (0, 30, 3, 4),
        (10, 20, 1, 5),
        (0, 10, 4, 5),
        (30, 40, 4, 5),
        (50, 60, 4, 5),
    ];
    let lines = pairs.map(|(start, end, from, to)| {
        format!(
            "a contact +{start} +{end} {from} {to} 1\na contact +{start} +{end} {to} {from} 1\n"
        )
    });
    let ranges = [(1, 2), (2, 3), (1, 3), (3, 4), (1, 5), (4, 5)]
        .map(|(from, to)| format!("a range +0 +60 {from} {to} 1\n"));
    graph(&[lines.concat(), ranges.concat()].concat())
}

#[test]
fn lists_the_routes_of_the_tutorial() {
    let found = ways(&tutorial(), 0, &Request::new(node(5), 0));
    let expected = [
        ("3 4 5", 3),
        ("2 3 4 5", 4),
        ("5", 11),
        ("3 4 5", 31),
        ("2 3 4 5", 31),
        ("3 4 5", 51),
        ("2 3 4 5", 51),
    ];
    assert_eq!(found, expected.map(|(way, at)| (way.to_owned(), at)));
    // The tutorial gives the best one a delivery time of 3, and a volume of 8.
    let best = tutorial().select(START, &node(1), &Request::new(node(5), 0)).unwrap();
    assert_eq!((best.arrives, best.volume), (second(3), 8));
}

#[test]
fn a_bundle_of_some_size_takes_the_way_that_it_fits() {
    let graph = tutorial();
    // Three hops of 3 s each and a second of light time: 3+1, 3+1, and the last byte leaves at 11 > 10.
    assert_eq!(first(&graph, 0, &Request::new(node(5), 3)), Ok(("5".to_owned(), 14)));
    assert_eq!(first(&graph, 0, &Request::new(node(5), 2)), Ok(("3 4 5".to_owned(), 9)));
    assert_eq!(first(&graph, 0, &Request::new(node(5), 11)), Err(NoRoute::NoneInTime));
    assert_eq!(first(&graph, 0, &Request::new(node(9), 1)), Err(NoRoute::Unknown));
    assert_eq!(first(&graph, 0, &Request::new(node(1), 1)), Err(NoRoute::Here));
}

#[test]
fn estimates_the_volume_of_a_bundle() {
    // SABR 2.4.3: 3 % more, and 100 bytes at least.
    for (bytes, volume) in
        [(0, 100), (1000, 1100), (3334, 3435), (10_000, 10_300), (10_001, 10_302)]
    {
        assert_eq!(estimated_volume(bytes), volume, "{bytes} bytes");
    }
    assert_eq!(estimated_volume(u64::MAX), u64::MAX);
}

#[test]
fn the_backlog_delays_the_first_byte() {
    let request = |waiting, priority| Request {
        backlog: [(node(2), waiting)].into(),
        priority,
        ..Request::new(node(2), 10)
    };
    let one = graph("a contact +0 +100 1 2 10\n");
    for (waiting, priority, leaves) in [
        ([0, 500, 0], Priority::Normal, 50),
        ([0, 300, 200], Priority::Normal, 50),
        ([900, 300, 200], Priority::Expedited, 20),
        ([100, 300, 200], Priority::Bulk, 60),
    ] {
        let route = one.select(START, &node(1), &request(waiting, priority)).unwrap();
        assert_eq!(route.leaves, second(leaves), "{waiting:?} {priority:?}");
        assert_eq!(route.arrives, second(leaves + 1));
    }
    let full = request([0, 1000, 0], Priority::Normal);
    assert_eq!(first(&one, 0, &full), Err(NoRoute::NoneInTime), "it leaves when the contact ends");
    // 200 bytes of 500 go by a contact before, 100 of them after now.
    let two = graph("a contact +0 +20 1 2 10\na contact +100 +200 1 2 10\n");
    let waiting = request([0, 500, 0], Priority::Normal);
    for (now, leaves) in [(0, 130), (10, 140), (20, 150), (120, 170)] {
        let route = two.select(second(now), &node(1), &waiting).unwrap();
        assert_eq!(route.leaves, second(leaves), "now {now}");
    }
}

#[test]
fn light_times_have_a_margin() {
    let text = "a contact +0 +100 1 2 10\na range +0 +100 1 2 1000\n";
    let asked = Request::new(node(2), 10);
    let with = graph_with(text, GraphConfig::default());
    // 1,000 s at 201,168 m/s of 299,792,458: 671.02 ms, rounded up.
    let arrives = with.select(START, &node(1), &asked).unwrap().arrives;
    assert_eq!(arrives, Timestamp::from_dtn_ms(1_001_672));
    assert_eq!(first(&graph(text), 0, &asked), Ok(("2".to_owned(), 1001)));
}

#[test]
fn contacts_without_a_range_are_left_out_where_ion_leaves_them_out() {
    let text = "a contact +0 +100 1 2 10\na contact +0 +100 2 3 10\na range +0 +100 1 2 1\n";
    let strict =
        graph_with(text, GraphConfig { light_time_default: None, ..GraphConfig::default() });
    assert_eq!(strict.left_out(), 1);
    assert_eq!(first(&strict, 0, &Request::new(node(3), 1)), Err(NoRoute::NoneInTime));
    let late =
        GraphConfig { light_time_default: Some(Span::from_ms(7000)), ..GraphConfig::default() };
    assert_eq!(first(&graph_with(text, late), 0, &Request::new(node(3), 0)).unwrap().1, 8);
    assert_eq!(first(&graph(text), 0, &Request::new(node(3), 0)), Ok(("2 3".to_owned(), 1)));
}

#[test]
fn the_volume_limit_ends_with_the_first_contact_of_the_route_to_end() {
    // 10 bytes per second for 100 s, but the second contact ends after 30 and opens after 20.
    let text = "a contact +0 +100 1 2 10\na contact +20 +30 2 3 50\n";
    let route = graph(text).select(START, &node(1), &Request::new(node(3), 0)).unwrap();
    assert_eq!((route.ends, route.volume), (second(30), 300), "30 s of 10 bytes, not 10 s of 50");
    let route = graph(text).select(second(25), &node(1), &Request::new(node(3), 0)).unwrap();
    assert_eq!(route.volume, 50, "5 s of 10 bytes");
}

#[test]
fn higher_priorities_do_not_see_what_lower_ones_booked() {
    let mut graph = graph("a contact +0 +10 1 2 10\n");
    let asked = |priority| Request { priority, ..Request::new(node(2), 60) };
    let route = graph.select(START, &node(1), &asked(Priority::Normal)).unwrap();
    graph.book(&route, 60, Priority::Normal);
    let left = |graph: &Graph| {
        [Priority::Bulk, Priority::Normal, Priority::Expedited]
            .map(|it| graph.volume_left(route.contacts[0], it))
    };
    assert_eq!(left(&graph), [40, 40, 100]);
    for priority in [Priority::Bulk, Priority::Normal] {
        assert_eq!(first(&graph, 0, &asked(priority)), Err(NoRoute::NoneInTime));
    }
    assert!(first(&graph, 0, &asked(Priority::Expedited)).is_ok());
    graph.release(&route, 60, Priority::Normal);
    assert_eq!(left(&graph), [100; 3]);
}

#[test]
fn ties_go_by_contacts_then_termination_then_entry_node() {
    // All arrive when the last contact, to 9, opens.
    let fewer = "a contact +0 +50 1 2 10\na contact +0 +50 2 3 10\na contact +0 +50 1 3 10\n\
                 a contact +50 +60 3 9 10\na contact +50 +60 2 9 10\n";
    let asked = Request::new(node(9), 0);
    assert_eq!(first(&graph(fewer), 0, &asked), Ok(("2 9".to_owned(), 50)));
    let later = "a contact +0 +40 1 2 10\na contact +0 +45 1 3 10\n\
                 a contact +50 +60 2 9 10\na contact +50 +60 3 9 10\n";
    assert_eq!(first(&graph(later), 0, &asked), Ok(("3 9".to_owned(), 50)));
    let lower = later.replace("+45", "+40");
    assert_eq!(first(&graph(&lower), 0, &asked), Ok(("2 9".to_owned(), 50)));
    let all = ways(&graph(fewer), 0, &asked);
    assert_eq!(all.last().unwrap().0, "2 3 9", "the longest is last");
}

#[test]
fn excluded_neighbours_expiry_and_the_sender_are_no_way() {
    let text = "a contact +0 +50 1 2 10\na contact +0 +50 2 1 10\na contact +0 +50 2 9 10\n\
                a contact +20 +50 1 3 10\na contact +20 +50 3 9 10\na contact +20 +50 3 2 10\n";
    let graph = graph(text);
    let asked = Request::new(node(9), 10);
    assert_eq!(first(&graph, 0, &asked), Ok(("2 9".to_owned(), 2)));
    // Excluded as a neighbour; the way through it further on is still one.
    let excluded = Request { excluded: [node(2)].into(), ..asked.clone() };
    let ways = ways(&graph, 0, &excluded);
    assert_eq!(ways, [("3 9".to_owned(), 22), ("3 2 9".to_owned(), 23)]);
    for (expires, found) in [(2, false), (3, true)] {
        let request = Request { expires: second(expires), ..asked.clone() };
        assert_eq!(first(&graph, 0, &request).is_ok(), found, "expires at {expires}");
    }
}

#[test]
fn unlikely_contacts_are_left_out_and_confidences_multiply() {
    let text =
        "a contact +0 +50 1 2 10 0.5\na contact +0 +50 2 3 10 0.5\na contact +40 +50 1 3 10\n";
    let asked = Request::new(node(3), 0);
    let route = graph(text).select(START, &node(1), &asked).unwrap();
    assert_eq!((route.arrives, route.confidence.millionths()), (START, 250_000));
    let confidence_min = longhaul_dtn::routing::plan::Confidence::from_millionths(600_000).unwrap();
    let sure = graph_with(text, GraphConfig { confidence_min, ..GraphConfig::default() });
    assert_eq!(sure.left_out(), 2);
    assert_eq!(first(&sure, 0, &asked), Ok(("3".to_owned(), 40)));
}

#[test]
fn a_plan_that_is_over_has_no_routes() {
    let graph = graph("a contact +0 +50 1 2 10\n");
    assert!(first(&graph, 48, &Request::new(node(2), 10)).is_ok());
    assert_eq!(first(&graph, 50, &Request::new(node(2), 0)), Err(NoRoute::NoneInTime));
    assert_eq!(first(&graph, 50_000, &Request::new(node(2), 0)), Err(NoRoute::NoneInTime));
}

#[test]
fn extreme_numbers_saturate() {
    let text = "a contact +0 +252455615999 1 2 18446744073709551615\na contact +0 +5 2 3 1\n\
                a range +0 +252455615999 1 2 99999999999\n";
    let mut graph = graph_with(text, GraphConfig::default());
    let route = graph.select(START, &node(1), &Request::new(node(2), u64::MAX)).unwrap();
    assert_eq!(route.volume, u64::MAX);
    let waiting = [u64::MAX; 3];
    let asked = Request { backlog: [(node(2), waiting)].into(), ..Request::new(node(3), u64::MAX) };
    assert_eq!(first(&graph, 0, &asked), Err(NoRoute::NoneInTime));
    for _ in 0..2 {
        graph.book(&route, u64::MAX, Priority::Expedited);
        assert_eq!(graph.volume_left(route.contacts[0], Priority::Bulk), 0);
    }
    graph.release(&route, u64::MAX, Priority::Expedited);
    graph.release(&route, u64::MAX, Priority::Expedited);
    assert_eq!(graph.volume_left(route.contacts[0], Priority::Expedited), u64::MAX);
}

#[test]
fn a_search_that_is_cut_short_still_gives_the_best() {
    let config = GraphConfig { searches_max: 1, parting_m_per_s: 0, ..GraphConfig::default() };
    let plan = "a contact +0 +50 1 2 10\na contact +0 +50 2 3 10\na contact +40 +50 1 3 10\n";
    let graph = graph_with(plan, config);
    assert_eq!(ways(&graph, 0, &Request::new(node(3), 10)), [("2 3".to_owned(), 2)]);
}
