//! Agent: which bundle goes to whom, as a machine without IO.
//!
//! Store and forward for any bundles of RFC 9171. What comes is stored, then acknowledged, then
//! offered to every neighbour that does not have it (epidemic routing): a neighbour has a bundle
//! when it gave it to us or has acknowledged it; what a bundle says of its way is not believed.
//! Bundles for our own node are delivered and go nowhere else. A bundle that was delivered, that
//! its destination has acknowledged, or that another node took by a route, is done: it goes nowhere
//! any more, is kept so that duplicates are known, and is the first to give way when the quota is
//! used up; `room` says what else does. Expired bundles are deleted, and those that were kept for long.
//!
//! A neighbour that is itself and that nobody named is given the bundles for it and no others.
//!
//! Drive it with [`Agent::handle`], then [`Agent::poll`] until it gives nothing, then wait for an
//! input or for [`Agent::wake_at`]. What a bundle needs on its way out is in [`super::relay`].
//!
//! With a [`RoutingConfig`] bundles for one node go by a contact plan or are sprayed instead.
//!
//! Not here: status reports, which RFC 9171 leaves to a node's policy, and fragmentation.

mod copies;
mod event;
mod facts;
mod links;
mod room;
mod routed;
mod routes;
mod shelf;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use longhaul_dtn::bpv7::{EndpointId, Limits};
use longhaul_dtn::tcpcl::RefuseReason;
use longhaul_dtn::time::{Span, Timestamp};

pub use self::copies::{Share, write as write_copies};
pub use self::event::{Arrival, Input, LinkId, Output, SendOutcome};
pub use self::facts::{Facts, NodeNumber, Unfit, is_known, key_of};
pub use self::routes::RoutingConfig;

use self::links::Links;
use self::room::Untaken;
use self::routes::Routes;
use self::shelf::{Held, Shelf};
use super::trust::Standing;
use crate::shell::bundles::{BundleKey, Entry};

/// What an agent must know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Our node id.
    pub node: EndpointId,
    /// What a bundle may be at most.
    pub limits: Limits,
    /// Most bytes of bundles held.
    pub quota_bytes: u64,
    /// Most bundles held; bounds memory, about 300 bytes each.
    pub bundles_max: usize,
    /// Most bundles under way to one neighbour.
    pub window_bundles: usize,
    /// No further bundle is sent to a neighbour while so many bytes are under way.
    pub window_bytes: u64,
    /// How long a neighbour that has no room is left alone.
    pub pause: Span,
    /// Most bundles that are read from the store at once after a restart.
    pub loads_max: usize,
    /// Longest time for which a bundle is kept, whatever its lifetime.
    pub keep_max: Span,
    /// True when what is delivered lies beside the store until somebody takes it, and counts.
    pub counts_untaken: bool,
    /// How bundles for one node find their way; none gives them to every neighbour.
    pub routing: Option<RoutingConfig>,
}

/// What an agent has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Bundles that came and were taken.
    pub received: u64,
    /// Bundles that came again.
    pub duplicates: u64,
    /// Bundles that came and were refused.
    pub refused: u64,
    /// Bundles delivered here.
    pub delivered: u64,
    /// Acknowledgements of neighbours.
    pub forwarded: u64,
    /// Bundles deleted because they expired.
    pub expired: u64,
    /// Bundles that were done and gave way to others.
    pub evicted: u64,
}

/// A bundle on its way into the store.
#[derive(Debug)]
struct Storing {
    facts: Facts,
    arrivals: Vec<Arrival>,
    /// True while strangers alone gave it.
    is_strange: bool,
}

/// The machine. See the module for how to drive it.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    us: NodeNumber,
    shelf: Shelf,
    links: Links,
    routes: Option<Routes>,
    storing: BTreeMap<BundleKey, Storing>,
    untaken: Untaken,
    /// Bundles of the store that were not read yet, and how many are being read.
    unread: VecDeque<BundleKey>,
    loading: usize,
    outputs: VecDeque<Output>,
    counts: Counts,
}

impl Agent {
    /// An agent that holds nothing.
    pub fn new(mut config: AgentConfig) -> Self {
        let (me, bundles_max) = (config.node.node(), config.bundles_max);
        let routing = config.routing.take();
        let routes = routing.map(|it| Routes::new(it, me, bundles_max, Timestamp::default()));
        Self {
            us: NodeNumber::of(&config.node),
            config,
            shelf: Shelf::default(),
            links: Links::default(),
            routes,
            storing: BTreeMap::new(),
            untaken: Untaken::default(),
            unread: VecDeque::new(),
            loading: 0,
            outputs: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Restored { key, entry, holders } => self.on_restored(now, key, entry, holders),
            Input::Loaded { key, bytes } => self.on_loaded(now, key, bytes),
            Input::LinkUp { link, node, standing, bundle_bytes_max } => {
                let node = node.filter(|node| !node.is_none());
                self.links.up(link, node.as_ref().map(NodeNumber::of), standing, bundle_bytes_max);
                if let Some(node) = node.filter(|_| standing == Standing::Neighbour) {
                    self.routes_up(now, link, &node);
                }
            }
            Input::LinkDown(link) => {
                self.links.down(link);
                self.routes_down(now, link);
            }
            Input::Received { arrival, bytes } => self.on_received(now, arrival, bytes),
            Input::Stored(keys) => keys.into_iter().for_each(|key| self.on_stored(now, key)),
            Input::Unstored(keys) => keys.into_iter().for_each(|key| self.on_unstored(now, key)),
            Input::Delivered(keys) => keys.into_iter().for_each(|key| self.on_delivered(key)),
            Input::Untaken(bytes) => self.untaken.lies(bytes),
            Input::Sent { link, key, outcome } => self.on_sent(now, link, key, outcome),
            Input::Wake => {}
        }
        self.expire(now);
        self.load();
        self.pump(now);
    }

    /// The next thing to do; none until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to give [`Input::Wake`] if nothing else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let routes = self.routes.as_ref().and_then(Routes::wake_at);
        [self.shelf.next_expiry(), self.links.next_retry(), routes].into_iter().flatten().min()
    }

    /// What was done so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Bundles held, and their bytes.
    pub fn held(&self) -> (usize, u64) {
        (self.shelf.len(), self.shelf.held_bytes())
    }

    fn on_restored(
        &mut self,
        now: Timestamp,
        key: BundleKey,
        entry: Entry,
        holders: Vec<NodeNumber>,
    ) {
        // One that was delivered is done; of the others we have to know whom they are for.
        let is_delivered = holders.contains(&NodeNumber::OURS);
        let expires = entry.expires.min(now.plus(self.config.keep_max));
        self.shelf.put(key, Held::restored(entry, expires, holders));
        match is_delivered {
            true => self.shelf.finish(key),
            false => self.unread.push_back(key),
        }
    }

    fn on_loaded(&mut self, now: Timestamp, key: BundleKey, bytes: Option<Arc<Vec<u8>>>) {
        self.loading = self.loading.saturating_sub(1);
        let facts = bytes.map(|bytes| self.read(now, &bytes));
        match facts {
            Some(Ok(facts)) => {
                // Its name may be one that an earlier version gave.
                let facts = Facts { key, ..facts };
                self.shelf.know(key, &facts, self.us);
                self.route_by_plan(now, &facts, None);
                if let Some(place) = self.shelf.order_of(key) {
                    self.links.retry_everywhere(place);
                }
                self.route(key, &facts);
            }
            // It is kept: another run may be able to read it.
            Some(Err(_)) | None => self.shelf.hold_back(key),
        }
    }

    fn on_received(&mut self, now: Timestamp, arrival: Arrival, bytes: Arc<Vec<u8>>) {
        match self.judge(now, arrival, bytes) {
            Ok(()) => {}
            Err(why) => {
                self.counts.refused += 1;
                self.outputs.push_back(Output::Refuse { arrival, why });
            }
        }
    }

    fn judge(
        &mut self,
        now: Timestamp,
        arrival: Arrival,
        bytes: Arc<Vec<u8>>,
    ) -> Result<(), Unfit> {
        let facts = self.read(now, &bytes)?;
        let is_strange = !self.links.is_believed(arrival.link);
        let giver = self.links.node_of(arrival.link);
        if self.shelf.has(facts.key) {
            self.counts.duplicates += 1;
            if !is_strange {
                self.shelf.adopt(facts.key);
            }
            self.mark_giver(&facts, giver);
            self.route_again(now, &facts, arrival.link);
            self.outputs.push_back(Output::Accept(arrival));
            return Ok(());
        }
        if let Some(storing) = self.storing.get_mut(&facts.key) {
            self.counts.duplicates += 1;
            storing.arrivals.push(arrival);
            return Ok(());
        }
        if facts.is_spent && facts.destination != self.us {
            return Err(Unfit::Spent);
        }
        self.make_room(now, &facts, is_strange)?;
        let Facts { key, expires, .. } = facts;
        self.storing.insert(key, Storing { facts, arrivals: vec![arrival], is_strange });
        self.outputs.push_back(Output::Store { key, expires, bytes });
        Ok(())
    }

    fn read(&self, now: Timestamp, bytes: &[u8]) -> Result<Facts, Unfit> {
        Facts::read(bytes, now, &self.config.limits, self.config.keep_max)
    }

    fn on_stored(&mut self, now: Timestamp, key: BundleKey) {
        let Some(Storing { facts, arrivals, is_strange }) = self.storing.remove(&key) else {
            return;
        };
        self.counts.received += 1;
        self.shelf.unreserve(facts.bytes, is_strange);
        let is_believed = |it: &Arrival| self.links.is_believed(it.link);
        let is_strange = is_strange && !arrivals.iter().any(is_believed);
        self.shelf.put(key, Held::new(&facts, self.us, is_strange));
        self.mark(key, is_strange.then_some(NodeNumber::STRANGER));
        self.route_by_plan(now, &facts, arrivals.first().map(|arrival| arrival.link));
        for arrival in arrivals {
            self.mark_giver(&facts, self.links.node_of(arrival.link));
            self.outputs.push_back(Output::Accept(arrival));
        }
        self.route(key, &facts);
    }

    fn on_unstored(&mut self, now: Timestamp, key: BundleKey) {
        let Some(Storing { facts, arrivals, is_strange }) = self.storing.remove(&key) else {
            return;
        };
        self.shelf.unreserve(facts.bytes, is_strange);
        self.untaken.forget(key);
        // The disk is fuller than what we count: make room for the next one.
        let before = self.shelf.bytes();
        let evicts = |agent: &mut Self| agent.evict(now, is_strange).is_some();
        while before - self.shelf.bytes() < facts.bytes && evicts(self) {}
        self.counts.refused += arrivals.len() as u64;
        let refused = arrivals.into_iter();
        self.outputs.extend(refused.map(|arrival| Output::Refuse { arrival, why: Unfit::Quota }));
    }

    /// What follows from what a bundle says.
    fn route(&mut self, key: BundleKey, facts: &Facts) {
        if facts.destination == self.us {
            self.expect_delivery(facts.bytes, key);
            self.outputs.push_back(Output::Deliver(key));
        }
    }

    fn on_delivered(&mut self, key: BundleKey) {
        self.counts.delivered += 1;
        self.untaken.forget(key);
        self.mark(key, Some(NodeNumber::OURS));
        self.shelf.finish(key);
    }

    fn on_sent(&mut self, now: Timestamp, link: LinkId, key: BundleKey, outcome: SendOutcome) {
        let node = self.links.node_of(link);
        self.links.answered(link, key);
        match outcome {
            SendOutcome::Acknowledged => {
                self.counts.forwarded += 1;
                self.mark(key, node);
            }
            // It has it, or will never take it.
            SendOutcome::Refused(
                RefuseReason::COMPLETED
                | RefuseReason::NOT_ACCEPTABLE
                | RefuseReason::EXTENSION_FAILURE,
            ) => self.mark(key, node),
            SendOutcome::Refused(_) => {
                self.links.pause(link, now.plus(self.config.pause));
                self.links.retry(link, self.shelf.order_of(key));
            }
            SendOutcome::Lost => self.links.retry(link, self.shelf.order_of(key)),
            SendOutcome::Unreadable => self.shelf.hold_back(key),
        }
        self.routed_answer(now, link, key, outcome);
    }

    /// Notes that the node that gave a bundle has it. Not so its destination: whoever takes that
    /// name would end the bundle's way.
    fn mark_giver(&mut self, facts: &Facts, giver: Option<NodeNumber>) {
        self.mark(facts.key, giver.filter(|&giver| giver != facts.destination));
    }

    /// Notes that a node has a bundle.
    fn mark(&mut self, key: BundleKey, node: Option<NodeNumber>) {
        if let Some(node) = node
            && self.shelf.mark(key, node)
        {
            self.outputs.push_back(Output::Note { key, node });
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(key) = self.shelf.first_expired(now) {
            self.counts.expired += 1;
            self.drop_bundle(now, key);
        }
    }

    fn drop_bundle(&mut self, now: Timestamp, key: BundleKey) {
        if self.shelf.take(key) {
            self.untaken.forget(key);
            if let Some(routes) = &mut self.routes {
                routes.forget(now, key);
            }
            self.outputs.push_back(Output::Delete(key));
        }
    }

    /// Asks for bundles of the store that were not read yet.
    fn load(&mut self) {
        while self.loading < self.config.loads_max {
            let Some(key) = self.unread.pop_front() else { return };
            if self.shelf.has(key) {
                self.loading += 1;
                self.outputs.push_back(Output::Load(key));
            }
        }
    }

    /// Gives each neighbour what it lacks and has room for.
    fn pump(&mut self, now: Timestamp) {
        let (bundles, bytes) = (self.config.window_bundles, self.config.window_bytes);
        for link in self.links.open_links(now, bundles, bytes) {
            while let Some((key, expires)) = self.links.next_for(link, &self.shelf, bundles, bytes)
            {
                self.outputs.push_back(Output::Send { link, key, expires, share: None });
            }
        }
        self.pump_routed(now);
    }
}
