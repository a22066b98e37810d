//! One search: Dijkstra's algorithm over nodes whose label is the arrival of the bundle there.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{ContactIndex, Graph, Request, Route, Volumes};
use crate::routing::plan::{ByteRate, Confidence, Contact};
use crate::time::{Span, Timestamp};

/// A contact, as searches see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    start: Timestamp,
    end: Timestamp,
    rate: ByteRate,
    /// Light time and margin.
    delay: Span,
    confidence: Confidence,
    /// Its volume when empty.
    pub volume: u64,
    /// What is left of it for each priority.
    pub left: Volumes,
}

impl Edge {
    pub fn of(contact: &Contact, (from, to): (usize, usize), delay: Span) -> Self {
        let volume = contact.volume();
        Self {
            from,
            to,
            start: contact.start,
            end: contact.end,
            rate: contact.rate,
            delay,
            confidence: contact.confidence,
            volume,
            left: [volume; 3],
        }
    }
}

/// What is looked for, and in which graph.
pub(super) struct Query<'a> {
    graph: &'a Graph,
    now: Timestamp,
    from: usize,
    to: usize,
    volume: u64,
    priority: usize,
    expires: Timestamp,
    /// When a first byte can leave on each edge of `from`, from `first_edge` on; none if the neighbour
    /// is excluded.
    opportunities: Vec<Option<Timestamp>>,
    first_edge: usize,
}

/// How far a row of contacts leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    arrives: Timestamp,
    hops: usize,
    /// A later termination is better.
    ends: Reverse<Timestamp>,
    /// The entry node.
    entry: usize,
    node: usize,
    /// The last edge.
    edge: usize,
}

impl<'a> Query<'a> {
    pub fn new(
        graph: &'a Graph,
        now: Timestamp,
        (from, to): (usize, usize),
        request: &Request,
    ) -> Self {
        let edges = graph.edges_of(from);
        let first_edge = edges.start;
        let mut opportunities = Vec::with_capacity(edges.len());
        let (mut neighbour, mut backlog) = (None, 0);
        for edge in &graph.edges[edges] {
            let node = &graph.nodes[edge.to];
            if neighbour != Some(edge.to) {
                neighbour = Some(edge.to);
                let waiting = request.backlog.get(node).copied().unwrap_or_default();
                let above = &waiting[request.priority as usize..];
                backlog = above.iter().fold(0, |sum: u64, it| sum.saturating_add(*it));
            }
            let opens = edge.start.max(now);
            let free = opens.plus(edge.rate.time_for(backlog));
            opportunities.push(Some(free).filter(|_| !request.excluded.contains(node)));
            // What waits goes by the contacts before (SABR 3.2.6.2 c to e).
            backlog = backlog.saturating_sub(edge.rate.bytes_in(edge.end.since(opens)));
        }
        let priority = request.priority as usize;
        let (volume, expires) = (request.volume, request.expires);
        Self { graph, now, from, to, volume, priority, expires, opportunities, first_edge }
    }

    /// When a bundle that is at the sender at `ready` has left by the edge: its first byte, and when
    /// its last one arrives. None if the contact is over, too short or full.
    fn cross(&self, index: usize, ready: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let edge = &self.graph.edges[index];
        let first = if edge.from == self.from {
            (*self.opportunities.get(index - self.first_edge)?)?
        } else {
            edge.start.max(ready)
        };
        let last = first.plus(edge.rate.time_for(self.volume));
        let is_open = first < edge.end && last <= edge.end;
        let has_room = edge.left[self.priority] >= self.volume.max(1);
        let arrives = last.plus(edge.delay);
        (is_open && has_room && arrives < self.expires).then_some((first, arrives))
    }

    /// The best way from the end of `prefix` that does not begin with a `banned` edge and visits no node
    /// of the prefix; gives all its edges, those of the prefix first.
    pub fn search(&self, prefix: &[usize], banned: &BTreeSet<usize>) -> Option<Vec<usize>> {
        let edges = &self.graph.edges;
        let mut closed = vec![false; self.graph.nodes.len()];
        let mut best: Vec<Option<Label>> = vec![None; self.graph.nodes.len()];
        closed[self.from] = true;
        let mut root = self.root();
        for &index in prefix {
            root = self.extend(&root, index)?;
            closed[root.node] = true;
        }
        let spur = root.node;
        let mut heap = BinaryHeap::from([Reverse(root)]);
        while let Some(Reverse(label)) = heap.pop() {
            if label.node == self.to {
                return Some(trace(edges, &best, prefix, (spur, self.to)));
            }
            if label.node != spur && std::mem::replace(&mut closed[label.node], true) {
                continue;
            }
            for index in self.graph.edges_of(label.node) {
                let node = edges[index].to;
                if closed[node] || label.node == spur && banned.contains(&index) {
                    continue;
                }
                let Some(next) = self.extend(&label, index) else { continue };
                if best[node].is_none_or(|known| next < known) {
                    best[node] = Some(next);
                    heap.push(Reverse(next));
                }
            }
        }
        None
    }

    fn root(&self) -> Label {
        let (arrives, ends) = (self.now, Reverse(Timestamp::from_dtn_ms(u64::MAX)));
        Label { arrives, hops: 0, ends, entry: 0, node: self.from, edge: 0 }
    }

    fn extend(&self, label: &Label, index: usize) -> Option<Label> {
        let edge = &self.graph.edges[index];
        let (_, arrives) = self.cross(index, label.arrives)?;
        let entry = if label.hops == 0 { edge.to } else { label.entry };
        let ends = Reverse(label.ends.0.min(edge.end));
        Some(Label { arrives, hops: label.hops + 1, ends, entry, node: edge.to, edge: index })
    }

    /// The route over these edges; none if it is no way.
    pub fn route(&self, edges: &[usize]) -> Option<Route> {
        let first = &self.graph.edges[*edges.first()?];
        let mut firsts = Vec::with_capacity(edges.len());
        let (mut arrives, mut confidence) = (self.now, Confidence::CERTAIN);
        for &index in edges {
            let (left, arrived) = self.cross(index, arrives)?;
            firsts.push(left);
            arrives = arrived;
            confidence = confidence.and(self.graph.edges[index].confidence);
        }
        let (mut ends, mut volume) = (Timestamp::from_dtn_ms(u64::MAX), u64::MAX);
        for (&index, &left) in edges.iter().zip(&firsts).rev() {
            let edge = &self.graph.edges[index];
            ends = ends.min(edge.end);
            let fits = edge.rate.bytes_in(ends.since(left));
            volume = volume.min(fits).min(edge.left[self.priority]);
        }
        Some(Route {
            contacts: edges.iter().map(|&it| ContactIndex(it)).collect(),
            next: self.graph.nodes[first.to].clone(),
            leaves: firsts[0],
            arrives,
            ends,
            volume,
            confidence,
        })
    }
}

/// The edges by which `to` was reached from `spur`, behind those of the prefix.
fn trace(
    edges: &[Edge],
    best: &[Option<Label>],
    prefix: &[usize],
    (spur, to): (usize, usize),
) -> Vec<usize> {
    let mut found = Vec::new();
    let mut node = to;
    while node != spur {
        let label = best[node].expect("a node that was reached");
        found.push(label.edge);
        node = edges[label.edge].from;
    }
    found.extend(prefix.iter().rev());
    found.reverse();
    found
}
