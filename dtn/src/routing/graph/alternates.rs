//! More routes than one: Yen's algorithm as Lawler divides its work (Management Science 18(7), 1972).
//!
//! All routes that are not yet listed are divided into sets: those that begin with a prefix and do not
//! go on with one of some contacts. The best of each set is known; the best of them is listed, and its set
//! divided at each of its contacts. So no route is found twice.

use std::collections::BTreeSet;

use super::search::Query;
use super::{GraphConfig, Route};

/// The best route of a set, its edges, and what the set is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    route: Route,
    edges: Vec<usize>,
    prefix_len: usize,
    banned: BTreeSet<usize>,
}

/// The best routes, by arrival.
pub(super) fn best(query: &Query<'_>, config: &GraphConfig) -> Vec<Route> {
    let mut searches = 0;
    let mut find = |prefix: &[usize], banned: BTreeSet<usize>| {
        if searches >= config.searches_max {
            return None;
        }
        searches += 1;
        let edges = query.search(prefix, &banned)?;
        let route = query.route(&edges)?;
        Some(Candidate { route, edges, prefix_len: prefix.len(), banned })
    };
    let mut listed = Vec::new();
    let mut candidates: BTreeSet<Candidate> = find(&[], BTreeSet::new()).into_iter().collect();
    while listed.len() < config.routes_max
        && let Some(found) = candidates.pop_first()
    {
        if listed.len() + 1 < config.routes_max {
            for at in found.prefix_len..found.edges.len() {
                let known =
                    if at == found.prefix_len { found.banned.clone() } else { BTreeSet::new() };
                let banned = known.into_iter().chain([found.edges[at]]).collect();
                candidates.extend(find(&found.edges[..at], banned));
            }
        }
        listed.push(found.route);
    }
    listed
}
