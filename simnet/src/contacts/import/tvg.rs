//! Time-varying graphs of dtn-tvg-util, as pydtnsim reads them.
//!
//! `{"vertices": ..., "edges": [{"vertices": [a, b], "contacts": [...]}]}`. Newer
//! files list the neighbours of each vertex, and contacts that go one way:
//! `[from, to, start, end, [[0.0, bits]], probability, delay]` with the bits
//! that fit through and the delay in seconds. Older files list the vertices
//! only, and contacts `[start, end, probability]` that go both ways at the rate
//! of the scenario's link. What is only probable is taken as certain.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ImportError;
use super::draft::{Draft, Flow, HopTerms};
use super::hdtn::{bytes_per_s, delay_us, times};

#[derive(Debug, Deserialize)]
struct Graph {
    vertices: Vertices,
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Vertices {
    Names(Vec<String>),
    Neighbours(BTreeMap<String, IgnoredAny>),
}

#[derive(Debug, Deserialize)]
struct Edge {
    vertices: [String; 2],
    contacts: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Item {
    BothWays([f64; 3]),
    OneWay(String, String, f64, f64, Vec<[f64; 2]>, IgnoredAny, f64),
}

pub(super) fn read(text: &str) -> Result<Draft, ImportError> {
    let graph: Graph =
        serde_json::from_str(text).map_err(|error| ImportError::Json(error.to_string()))?;
    let mut draft = Draft::new(Flow::OneWay(Vec::new()));
    let names: Vec<_> = match &graph.vertices {
        Vertices::Names(names) => names.iter().collect(),
        Vertices::Neighbours(names) => names.keys().collect(),
    };
    for name in names {
        draft.node(name)?;
    }
    let items = graph.edges.iter().flat_map(|edge| edge.contacts.iter().map(move |it| (edge, it)));
    for (index, (edge, item)) in items.enumerate() {
        contact(&mut draft, edge, item, index)?;
    }
    Ok(draft)
}

fn contact(draft: &mut Draft, edge: &Edge, item: &Item, index: usize) -> Result<(), ImportError> {
    let wrong = |what: &str| ImportError::Item { index, what: what.to_owned() };
    let [one, other] = match item {
        Item::BothWays(_) => edge.vertices.each_ref(),
        Item::OneWay(from, to, ..) => [from, to],
    };
    if one == other {
        return Err(wrong("a node meets itself"));
    }
    let way = [draft.node(one)?, draft.node(other)?];
    match item {
        &Item::BothWays([start_s, end_s, _]) => {
            let times_us = times(start_s, end_s).map_err(wrong)?;
            draft.hop(way, times_us, HopTerms::default());
            draft.hop([way[1], way[0]], times_us, HopTerms::default());
        }
        Item::OneWay(_, _, start_s, end_s, volume, _, delay_s) => {
            let times_us = times(*start_s, *end_s).map_err(wrong)?;
            let [[_, bits]] = volume[..] else { return Err(wrong("not exactly one volume")) };
            let rate_bps = bytes_per_s((bits / (end_s - start_s)).round());
            let rate_bps = rate_bps.ok_or_else(|| wrong("a volume of nothing"))?;
            let latency_us = delay_us(*delay_s).ok_or_else(|| wrong("not a delay"))?;
            let (rate_bps, latency_us) = (Some(rate_bps), Some(latency_us));
            draft.hop(way, times_us, HopTerms { rate_bps, latency_us });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::{Contacts, Direction};

    fn read(text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = "[plan]\nfile = \"x\"\nformat = \"tvg\"";
        let spec: Contacts = toml::from_str(spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    #[test]
    fn newer_graphs_have_rates_and_directions() {
        let text = r#"{"hotspots": ["gs1"], "contact_type": "PredictedContact",
            "vertices": {"gs1": ["SAT"], "SAT": ["gs1"], "gs2": []},
            "edges": [
              {"vertices": ["SAT", "gs1"], "contacts":
                [["SAT", "gs1", 10.5, 20.5, [[0.0, 1000000.0]], 1.0, 0.25],
                 ["SAT", "gs1", 50.5, 60.5, [[0.0, 1000000.0]], 1.0, 0.25]]},
              {"vertices": ["gs1", "SAT"], "contacts":
                [["gs1", "SAT", 10.5, 20.5, [[0.0, 1000000.0]], 1.0, 0.25]]}]}"#;
        let found = read(text).expect("contacts");
        assert_eq!(found.names, ["SAT", "gs1", "gs2"]);
        let [both, forth] = found.contacts[..] else { panic!("{:?}", found.contacts) };
        assert_eq!((both.from_us, both.to_us), (0, 10_000_000));
        assert_eq!((both.rates_bps(), both.latency_us), ([Some(12_500); 2], Some(250_000)));
        assert_eq!((forth.from_us, forth.direction()), (40_000_000, Direction::Forth));
    }

    #[test]
    fn older_graphs_go_both_ways() {
        let text = r#"{"vertices": ["n1", "n2"], "edges":
            [{"contacts": [[0.0, 10.0, 1.0], [20.0, 30.0, 1.0]], "vertices": ["n2", "n1"]}]}"#;
        let found = read(text).expect("contacts");
        assert_eq!(found.contacts.len(), 2);
        assert!(found.contacts.iter().all(|it| it.direction() == Direction::Both));
        assert!(found.contacts.iter().all(|it| it.rate_bps.is_none() && it.latency_us.is_none()));
    }

    #[test]
    fn errors_say_which_contact() {
        let graph = |item: &str| {
            let edge = format!(r#"{{"vertices": ["a", "b"], "contacts": [{item}]}}"#);
            format!(r#"{{"vertices": [], "edges": [{edge}]}}"#)
        };
        for (item, message) in [
            ("[0, 1, 1], [1, 1, 1]", "contact 1: its end is not after its start"),
            ("[\"a\", \"a\", 0, 1, [[0, 8]], 1, 0]", "contact 0: a node meets itself"),
            ("[\"a\", \"b\", 0, 1, [], 1, 0]", "contact 0: not exactly one volume"),
            ("[\"a\", \"b\", 0, 1, [[0, 0]], 1, 0]", "contact 0: a volume of nothing"),
            ("[\"a\", \"b\", 0, 1, [[0, 8]], 1, -1]", "contact 0: not a delay"),
        ] {
            assert_eq!(read(&graph(item)).expect_err(item).to_string(), message);
        }
        assert!(matches!(read(&graph("[0, 1]")), Err(ImportError::Json(_))));
    }
}
