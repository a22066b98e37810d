//! The ways of bundles to one node: directly, by the plan where it has a route, else by spraying.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, Origin, PolicyConfig, Why};
use crate::bpv7::EndpointId;
use crate::bundle::BundleId;
use crate::routing::graph::{Graph, Request, Route, Volumes, estimated_volume};
use crate::routing::spray::{Acknowledged, Copies, Give, Received, Spray, TransferNumber};
use crate::time::Timestamp;

/// Neighbours that routes of one bundle do not begin with; further ones may be tried again.
const EXCLUDED_MAX: usize = 64;

/// What an acknowledgement of a bundle to one node meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    Forwarded,
    Copies(Copies),
    Nothing,
}

/// The ways of all bundles to one node.
#[derive(Debug)]
pub(super) struct Ways {
    me: EndpointId,
    copies: Copies,
    pub graph: Option<Graph>,
    pub backlog: BTreeMap<EndpointId, Volumes>,
    spray: Spray,
    state: BTreeMap<BundleId, Way>,
}

#[derive(Debug, Default)]
struct Way {
    /// Who gave it or refused it: no route leads through them.
    excluded: BTreeSet<EndpointId>,
    /// The route that it is under way on.
    routed: Option<(Route, u64)>,
    /// The neighbour of the best route and when the first contact of it ends, as of a time.
    chosen: Option<(Timestamp, Option<(EndpointId, Timestamp)>)>,
}

impl Ways {
    pub fn new(config: &PolicyConfig) -> Self {
        Self {
            me: config.me.clone(),
            copies: config.copies,
            graph: None,
            backlog: BTreeMap::new(),
            spray: Spray::new(config.spray, config.next_transfer),
            state: BTreeMap::new(),
        }
    }

    /// Takes a bundle; says how many copies of it there are, none if it can't be kept.
    pub fn hold(
        &mut self,
        item: &Item,
        destination: &EndpointId,
        origin: &Origin,
    ) -> Option<Copies> {
        let insert = |spray: &mut Spray, copies| {
            let is_held = spray.copies(&item.id).is_some();
            let is_kept =
                is_held || spray.insert(item.id, destination.clone(), item.expires, copies);
            spray.copies(&item.id).filter(|_| is_kept)
        };
        let copies = match origin {
            Origin::Own => insert(&mut self.spray, self.copies),
            Origin::Restored(copies) => insert(&mut self.spray, *copies),
            Origin::Neighbour { copies: None, .. } => insert(&mut self.spray, Copies::ONE),
            Origin::Neighbour { node, copies: Some((copies, number)) } => {
                self.spray.receive(&received(item, destination, node, *copies, *number))
            }
        }?;
        let way = self.state.entry(item.id).or_default();
        if let Origin::Neighbour { node, .. } = origin
            && way.excluded.len() < EXCLUDED_MAX
        {
            way.excluded.insert(node.clone());
        }
        Some(copies)
    }

    /// Why to give a bundle to a neighbour now, if at all; what is given is under way from then on.
    pub fn give(&mut self, now: Timestamp, item: &Item, to: &EndpointId) -> Option<Why> {
        let way = self.state.get_mut(&item.id)?;
        if item.destination() == Some(to) {
            return Some(Why::Delivery);
        }
        if way.routed.is_some() {
            return None;
        }
        // Asked once for all neighbours of one moment, since a search costs more than the rest.
        if way.chosen.as_ref().is_none_or(|(at, _)| *at != now) {
            let route = select(&self.graph, &self.me, now, item, way, &self.backlog);
            let first = route.zip(self.graph.as_ref()).map(|(route, graph)| {
                let ends = graph.contact(route.contacts[0]).end;
                (route.next, ends)
            });
            way.chosen = Some((now, first));
        }
        match way.chosen.as_ref().and_then(|(_, next)| next.as_ref()) {
            Some((next, _)) if next != to => None,
            Some(_) => self.forward(now, item, to),
            None => match self.spray.offer(&item.id, to)? {
                Give::Deliver => Some(Why::Delivery),
                Give::Copies(copies, number) => Some(Why::Spray { copies, number }),
            },
        }
    }

    /// Books the route through `to`, if it is still the best one.
    fn forward(&mut self, now: Timestamp, item: &Item, to: &EndpointId) -> Option<Why> {
        let way = self.state.get_mut(&item.id)?;
        let route = select(&self.graph, &self.me, now, item, way, &self.backlog);
        let next = route.as_ref().map(|it| it.next.clone());
        way.chosen = None;
        let route = route.filter(|_| next.as_ref() == Some(to))?;
        let volume = estimated_volume(item.bytes);
        let arrives = route.arrives;
        self.graph.as_mut()?.book(&route, volume, item.priority);
        way.routed = Some((route, volume));
        Some(Why::Route { arrives })
    }

    /// The neighbour has the bundle durably.
    pub fn acknowledged(&mut self, item: &Item, by: &EndpointId) -> Outcome {
        let id = &item.id;
        let is_delivered = item.destination() == Some(by);
        let way = self.state.get(id);
        let is_forwarded =
            way.and_then(|it| it.routed.as_ref()).is_some_and(|(route, _)| route.next == *by);
        if is_delivered || is_forwarded {
            // Booked volume stays booked: it was used.
            self.forget(id);
            return if is_delivered { Outcome::Delivered } else { Outcome::Forwarded };
        }
        match self.spray.acknowledged(id, by) {
            Acknowledged::Given(copies) => Outcome::Copies(copies),
            Acknowledged::Delivered | Acknowledged::Unexpected => Outcome::Nothing,
        }
    }

    /// The neighbour does not take the bundle.
    pub fn refused(&mut self, item: &Item, by: &EndpointId) {
        self.spray.refused(&item.id, by);
        if let Some(way) = self.state.get_mut(&item.id) {
            if way.excluded.len() < EXCLUDED_MAX {
                way.excluded.insert(by.clone());
            }
            way.give_up(&mut self.graph, item, by);
        }
    }

    /// The neighbour did not get the bundle, and may get it yet.
    pub fn lost(&mut self, item: &Item, by: &EndpointId) {
        self.spray.lost(&item.id, by);
        if let Some(way) = self.state.get_mut(&item.id) {
            way.give_up(&mut self.graph, item, by);
        }
    }

    /// The contact with a neighbour ended, and with it what was under way.
    pub fn cut<'a>(
        &mut self,
        items: impl Fn(&BundleId) -> Option<&'a Item>,
        neighbour: &EndpointId,
    ) {
        self.spray.cut(neighbour);
        for (id, way) in &mut self.state {
            if let Some(item) = items(id) {
                way.give_up(&mut self.graph, item, neighbour);
            }
        }
    }

    /// A plan that replaces the one before; what is under way keeps its neighbour.
    pub fn replace(&mut self, graph: Graph) {
        self.graph = Some(graph);
        for way in self.state.values_mut() {
            way.chosen = None;
            // Its contacts are those of the old plan: nothing of it may be given back to the new one.
            if let Some((route, volume)) = &mut way.routed {
                route.contacts.clear();
                *volume = 0;
            }
        }
    }

    pub fn forget(&mut self, id: &BundleId) {
        self.spray.forget(id);
        self.state.remove(id);
    }

    /// When the first contact of a route that a bundle waits for ends: then another may be best.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let chosen = self.state.values().filter_map(|it| it.chosen.as_ref());
        chosen.filter_map(|(_, next)| next.as_ref()).map(|it| it.1).filter(|it| *it > now).min()
    }
}

impl Way {
    fn give_up(&mut self, graph: &mut Option<Graph>, item: &Item, neighbour: &EndpointId) {
        if let Some((route, volume)) = self.routed.take_if(|(route, _)| route.next == *neighbour)
            && let Some(graph) = graph
        {
            graph.release(&route, volume, item.priority);
        }
        self.chosen = None;
    }
}

fn select(
    graph: &Option<Graph>,
    me: &EndpointId,
    now: Timestamp,
    item: &Item,
    way: &Way,
    backlog: &BTreeMap<EndpointId, Volumes>,
) -> Option<Route> {
    let request = Request {
        priority: item.priority,
        expires: item.expires,
        excluded: way.excluded.clone(),
        backlog: backlog.clone(),
        ..Request::new(item.destination()?.clone(), estimated_volume(item.bytes))
    };
    graph.as_ref()?.select(now, me, &request).ok()
}

fn received(
    item: &Item,
    destination: &EndpointId,
    from: &EndpointId,
    copies: Copies,
    number: TransferNumber,
) -> Received {
    let (destination, from) = (destination.clone(), from.clone());
    Received { id: item.id, destination, expires: item.expires, from, copies, number }
}
