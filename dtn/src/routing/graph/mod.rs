//! Contact-graph routing after CCSDS 734.3-B-1 (Schedule-Aware Bundle Routing, SABR).
//!
//! [`Graph::routes`] gives the best routes of one bundle from one node: a route is a row of contacts that
//! visits no node twice. Terms and their sections in SABR: earliest transmission opportunity (3.2.6.2,
//! [`Route::leaves`]), projected bundle arrival time (3.2.6.7, [`Route::arrives`]), route volume limit
//! (3.2.6.8.10, [`Route::volume`]), one-way light time and margin (3.2.6.5), maximum transmission volume by
//! priority ([`Graph::book`]), excluded nodes ([`Request::excluded`]) and the order of routes: earlier
//! arrival, fewer contacts, later termination, lower entry node (3.2.8.1.4); the last three order the routes
//! that are listed.
//!
//! Different from SABR: it lists routes for a bundle of no size, and filters that list for each bundle;
//! here the list is made for the bundle, so that what is first does arrive first of all simple routes,
//! and no route is missed because the list was full of others. It costs a search per bundle.
//! A contact at whose end the first byte would leave is no way, since nothing fits in it (3.2.6.9 f).
//!
//! A node that can reach another earlier can do all that it could do later, since bundles may wait: so
//! one label for each node is enough, where SABR keeps one for each contact.
//!
//! Bundles are routed whole; [`Route::volume`] tells how large a fragment could be, and a fragment is a
//! bundle of its own. Confidence does not order routes: contacts below [`GraphConfig::confidence_min`] are
//! left out. Not here: queues, and critical bundles, which go to each entry node of [`Graph::routes`].

mod alternates;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use self::search::{Edge, Query};
use super::plan::{Confidence, Contact, Plan};
use crate::bpv7::EndpointId;
use crate::time::{Span, Timestamp};

/// Speed of light in metres per second.
const LIGHT_M_PER_S: u64 = 299_792_458;

/// What a graph must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphConfig {
    /// The light time of contacts that no range is about; none leaves them out, as ION does. Default
    /// zero: a plan of links on Earth needs no ranges.
    pub light_time_default: Option<Span>,
    /// How fast two nodes part at most, for the margin of the light time, whose value SABR 2.4.2 leaves
    /// to the mission. Default 201,168, which are ION's 450,000 miles per hour; zero gives no margin.
    pub parting_m_per_s: u64,
    /// Contacts that are less likely are left out. Default one millionth.
    pub confidence_min: Confidence,
    /// Routes listed for one bundle. Default 4.
    pub routes_max: usize,
    /// Searches for one list; one that needs more ends early. Default 64.
    pub searches_max: usize,
}

/// How urgent a bundle is: the classes of RFC 5050, in which SABR thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// When there is nothing else to do.
    Bulk,
    /// As most.
    #[default]
    Normal,
    /// Before all others.
    Expedited,
}

/// Bytes by priority: what of each priority waits.
pub type Volumes = [u64; 3];

/// A bundle that looks for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The node that it is for.
    pub destination: EndpointId,
    /// The bytes that it takes on a link: see [`estimated_volume`]. Zero asks for the way of a first byte.
    pub volume: u64,
    /// How urgent it is.
    pub priority: Priority,
    /// It must arrive before.
    pub expires: Timestamp,
    /// Neighbours that it must not be given to: from whom it came, and who refused it.
    pub excluded: BTreeSet<EndpointId>,
    /// Bytes that wait for each neighbour.
    pub backlog: BTreeMap<EndpointId, Volumes>,
}

/// The index of a contact in [`Graph::contacts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContactIndex(usize);

/// A way for a bundle. Routes are ordered best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its contacts, one or more.
    pub contacts: Vec<ContactIndex>,
    /// The neighbour to give the bundle to: the entry node.
    pub next: EndpointId,
    /// When its first byte leaves: the earliest transmission opportunity.
    pub leaves: Timestamp,
    /// When its last byte arrives: the projected bundle arrival time.
    pub arrives: Timestamp,
    /// When the first of its contacts ends: the termination time.
    pub ends: Timestamp,
    /// Bytes of this priority that the route could take: the route volume limit.
    pub volume: u64,
    /// How likely all its contacts are to take place.
    pub confidence: Confidence,
}

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The plan says nothing about the node that asks, or about the destination.
    #[error("the contact plan does not know both nodes: add their contacts, or spray the bundle")]
    Unknown,
    /// The destination is the node that asks.
    #[error("the destination is this node")]
    Here,
    /// No contacts lead there with enough volume left before the bundle expires.
    #[error("no route in time: the plan is over, or its contacts are full, or too short")]
    NoneInTime,
}

/// A plan made ready for searches, and the volume that is left in it.
#[derive(Debug, Clone)]
pub struct Graph {
    config: GraphConfig,
    /// In order, so that the numbers of nodes are ordered as they are.
    nodes: Vec<EndpointId>,
    /// By sender, receiver and start.
    contacts: Vec<Contact>,
    edges: Vec<Edge>,
    /// Where the edges of each node begin, and an end.
    starts: Vec<usize>,
    left_out: usize,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            light_time_default: Some(Span::from_ms(0)),
            parting_m_per_s: 201_168,
            confidence_min: Confidence::from_millionths(1).expect("one millionth"),
            routes_max: 4,
            searches_max: 64,
        }
    }
}

/// The bytes that a bundle takes on a link: its own, and for frames below it 3 % or 100 bytes, whichever
/// are more (SABR 2.4.3).
pub fn estimated_volume(bundle_bytes: u64) -> u64 {
    let frames = bundle_bytes / 100 * 3 + (bundle_bytes % 100 * 3).div_ceil(100);
    bundle_bytes.saturating_add(frames.max(100))
}

impl Request {
    /// A bundle of `volume` for `destination` that nothing else is said about.
    pub fn new(destination: EndpointId, volume: u64) -> Self {
        Self {
            destination,
            volume,
            priority: Priority::default(),
            expires: Timestamp::from_dtn_ms(u64::MAX),
            excluded: BTreeSet::new(),
            backlog: BTreeMap::new(),
        }
    }
}

impl ContactIndex {
    /// As a number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Graph {
    /// A graph of the plan's contacts, with all their volume left.
    pub fn new(plan: &Plan, config: GraphConfig) -> Self {
        let nodes: Vec<EndpointId> = plan.nodes().into_iter().cloned().collect();
        let number = |node| nodes.binary_search(node).expect("a node of the plan");
        let mut contacts = Vec::with_capacity(plan.contacts().len());
        let mut edges = Vec::with_capacity(plan.contacts().len());
        for contact in plan.contacts() {
            let light = plan.light_time(contact).or(config.light_time_default);
            let Some(light) = light.filter(|_| contact.confidence >= config.confidence_min) else {
                continue;
            };
            let delay = light.ms().saturating_add(margin(light, config.parting_m_per_s));
            let ends = (number(&contact.from), number(&contact.to));
            edges.push(Edge::of(contact, ends, Span::from_ms(delay)));
            contacts.push(contact.clone());
        }
        let starts =
            (0..=nodes.len()).map(|node| edges.partition_point(|it| it.from < node)).collect();
        let left_out = plan.contacts().len() - edges.len();
        Self { config, nodes, contacts, edges, starts, left_out }
    }

    /// The contacts that routes may use, by sender, receiver and start.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// A contact of a route.
    pub fn contact(&self, index: ContactIndex) -> &Contact {
        &self.contacts[index.0]
    }

    /// Contacts of the plan that no route may use: too unlikely, or without a range.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// True if the plan has contacts of the node.
    pub fn knows(&self, node: &EndpointId) -> bool {
        self.number(node).is_some()
    }

    /// Bytes of a priority that a contact may still take: its maximum transmission volume.
    pub fn volume_left(&self, index: ContactIndex, priority: Priority) -> u64 {
        self.edges[index.0].left[priority as usize]
    }

    /// The best routes from `from`, best first and at most [`GraphConfig::routes_max`].
    ///
    /// The first arrives no later than any simple route does; each further one is the best of those that
    /// remain, as long as [`GraphConfig::searches_max`] searches find them.
    pub fn routes(
        &self,
        now: Timestamp,
        from: &EndpointId,
        request: &Request,
    ) -> Result<Vec<Route>, NoRoute> {
        let (Some(from), Some(to)) = (self.number(from), self.number(&request.destination)) else {
            return Err(NoRoute::Unknown);
        };
        if from == to {
            return Err(NoRoute::Here);
        }
        let query = Query::new(self, now, (from, to), request);
        let mut routes = alternates::best(&query, &self.config);
        // Searches find them by arrival; ties among those found are SABR's to order.
        routes.sort_by(|one, other| one.key().cmp(&other.key()));
        if routes.is_empty() { Err(NoRoute::NoneInTime) } else { Ok(routes) }
    }

    /// The best route from `from`.
    pub fn select(
        &self,
        now: Timestamp,
        from: &EndpointId,
        request: &Request,
    ) -> Result<Route, NoRoute> {
        let routes = self.routes(now, from, request)?;
        routes.into_iter().next().ok_or(NoRoute::NoneInTime)
    }

    /// Takes the volume of a bundle that goes by `route` from its contacts: what is left for its own
    /// priority and the lower ones shrinks (SABR 3.2.8.1.2).
    pub fn book(&mut self, route: &Route, volume: u64, priority: Priority) {
        self.change(route, priority, |left, _| left.saturating_sub(volume));
    }

    /// Gives back what [`Graph::book`] took, for a bundle that did not go.
    pub fn release(&mut self, route: &Route, volume: u64, priority: Priority) {
        self.change(route, priority, |left, whole| left.saturating_add(volume).min(whole));
    }

    fn change(&mut self, route: &Route, priority: Priority, change: impl Fn(u64, u64) -> u64) {
        for index in &route.contacts {
            let Some(edge) = self.edges.get_mut(index.0) else { continue };
            for left in &mut edge.left[..=priority as usize] {
                *left = change(*left, edge.volume);
            }
        }
    }

    /// The edges of a node.
    fn edges_of(&self, node: usize) -> std::ops::Range<usize> {
        self.starts[node]..self.starts[node + 1]
    }

    fn number(&self, node: &EndpointId) -> Option<usize> {
        self.nodes.binary_search(node).ok()
    }
}

/// How much later a signal may arrive because the nodes part meanwhile, rounded up.
fn margin(light: Span, parting_m_per_s: u64) -> u64 {
    let ms = u128::from(light.ms()) * u128::from(parting_m_per_s);
    u64::try_from(ms.div_ceil(u128::from(LIGHT_M_PER_S))).unwrap_or(u64::MAX)
}

impl Route {
    /// What routes are ordered by; the contacts at last, so that no two are equal.
    fn key(
        &self,
    ) -> (Timestamp, usize, std::cmp::Reverse<Timestamp>, &EndpointId, &[ContactIndex]) {
        let late = std::cmp::Reverse(self.ends);
        (self.arrives, self.contacts.len(), late, &self.next, &self.contacts)
    }
}

impl PartialOrd for Route {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Route {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rest = |it: &Self| (it.leaves, it.volume, it.confidence);
        self.key().cmp(&other.key()).then_with(|| rest(self).cmp(&rest(other)))
    }
}
