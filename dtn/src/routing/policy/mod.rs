//! The policy: what to hand to which neighbour, in which order.
//!
//! - **Headers** are epidemic: to every neighbour that lacks them.
//! - **Payloads** are pulled: to a neighbour that asked.
//! - **Unicast bundles** go to their destination when it is there. Else, if the contact plan has a route,
//!   to the neighbour that the best route begins with, and to nobody else; else they are sprayed
//!   ([`super::spray`]).
//!
//! Of what a neighbour is to get, urgent bundles go first, headers before the rest, then the newest epoch,
//! the nearest deadline and the most value per byte. Neighbours take turns, and one that says
//! [`Input::Busy`] is passed over until it says [`Input::Ready`]. Nothing is handed to a neighbour twice in
//! one contact. Priority, epoch, deadline and value are the peer's; the same inputs give the same outputs.
//!
//! A machine without IO: [`Policy::handle`], then [`Policy::poll`] until it gives nothing, then
//! [`Policy::wake_at`]. The caller names nodes that it has authenticated. Not here: the transfers themselves, what
//! is kept ([`super::quota`]) and how many should hold it ([`super::custody`]).

mod item;
mod unicast;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

pub use self::item::{Class, Item, Origin};

use self::item::Rank;
use self::unicast::{Outcome, Ways};
use super::graph::{Graph, Volumes};
use super::spray::{Copies, SprayLimits, TransferNumber};
use crate::bpv7::EndpointId;
use crate::bundle::BundleId;
use crate::time::Timestamp;

/// What a policy must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The node that it works for.
    pub me: EndpointId,
    /// Copies that a bundle of this node to one other gets. Default 8.
    pub copies: Copies,
    /// Above all numbers of transfers that this node used before; the start time in milliseconds will do.
    pub next_transfer: TransferNumber,
    /// What spraying may keep.
    pub spray: SprayLimits,
    /// Bundles; further ones are not handed over. Default 65,536.
    pub items_max: usize,
    /// Neighbours at one time; further ones get nothing. Default 64.
    pub neighbours_max: usize,
    /// Ids remembered that a neighbour has, and that it asked for, each; further ones are not. Default 65,536.
    pub ids_max: usize,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A neighbour is in contact.
    Up(EndpointId),
    /// It no longer is; what was not acknowledged is not given.
    Down(EndpointId),
    /// A neighbour takes nothing more for now.
    Busy(EndpointId),
    /// It takes more.
    Ready(EndpointId),
    /// A neighbour holds bundles.
    Has(EndpointId, Vec<BundleId>),
    /// A neighbour asks for bundles.
    Asks(EndpointId, Vec<BundleId>),
    /// A bundle is durable here.
    Hold(Item, Origin),
    /// A bundle is not held any more.
    Drop(BundleId),
    /// A neighbour has a bundle durably, and its copies.
    Acknowledged(EndpointId, BundleId),
    /// A neighbour does not take a bundle.
    Refused(EndpointId, BundleId),
    /// A bundle did not get to a neighbour, or it has no room for it now: it may be given again.
    Lost(EndpointId, BundleId),
    /// A contact plan, instead of the one before.
    Plan(Graph),
    /// Bytes that wait for a neighbour, by priority.
    Backlog(EndpointId, Volumes),
    /// The time given by [`Policy::wake_at`] has come.
    Wake,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Give a bundle to a neighbour.
    HandOver {
        /// To whom.
        to: EndpointId,
        /// Which.
        id: BundleId,
        /// Why, and what to say with it.
        why: Why,
    },
    /// Write the number of copies of a bundle to stable storage, then acknowledge the bundle if it
    /// says to whom.
    Count {
        /// Which.
        id: BundleId,
        /// How many.
        copies: Copies,
        /// Who gave it and waits for the acknowledgement.
        acknowledge: Option<EndpointId>,
    },
    /// Another node has the bundle and does the rest: it need not be kept for routing.
    Release {
        /// Which.
        id: BundleId,
        /// Who has it.
        to: EndpointId,
    },
}

/// Why a bundle goes to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Everybody is to have it.
    Epidemic,
    /// The neighbour asked for it.
    Asked,
    /// The neighbour is its destination.
    Delivery,
    /// The best route begins there.
    Route {
        /// When it would arrive.
        arrives: Timestamp,
    },
    /// It is sprayed.
    Spray {
        /// Copies to give with it.
        copies: Copies,
        /// The number of the transfer.
        number: TransferNumber,
    },
}

/// The policy of one node. See the module for how to drive it.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    now: Timestamp,
    items: BTreeMap<BundleId, Item>,
    order: BTreeSet<Rank>,
    expiries: BTreeSet<(Timestamp, BundleId)>,
    neighbours: BTreeMap<EndpointId, Neighbour>,
    /// Who was served last.
    served: Option<EndpointId>,
    ways: Ways,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Default)]
struct Neighbour {
    is_busy: bool,
    /// What it has, got in this contact, or refused.
    settled: BTreeSet<BundleId>,
    asked: BTreeSet<BundleId>,
    /// Nothing before it is to be handed over; none for the beginning.
    cursor: Option<Rank>,
}

impl PolicyConfig {
    /// The defaults for a node.
    pub fn new(me: EndpointId, next_transfer: TransferNumber) -> Self {
        let copies = Copies::new(8).expect("eight");
        let spray = SprayLimits::default();
        let (items_max, neighbours_max, ids_max) = (65_536, 64, 65_536);
        Self { me, copies, next_transfer, spray, items_max, neighbours_max, ids_max }
    }
}

impl Policy {
    /// A policy without bundles or neighbours.
    pub fn new(config: PolicyConfig) -> Self {
        Self {
            now: Timestamp::default(),
            items: BTreeMap::new(),
            order: BTreeSet::new(),
            expiries: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            served: None,
            ways: Ways::new(&config),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = now;
        while let Some(&(at, id)) = self.expiries.first().filter(|it| it.0 <= now) {
            self.expiries.remove(&(at, id));
            self.drop_item(&id);
        }
        match input {
            Input::Up(node) => self.on_up(node),
            Input::Down(node) => self.on_down(&node),
            Input::Busy(node) => self.with(&node, |it| it.is_busy = true),
            Input::Ready(node) => self.with(&node, |it| it.is_busy = false),
            Input::Has(node, ids) => self.on_has(&node, ids),
            Input::Asks(node, ids) => self.on_asks(&node, ids),
            Input::Hold(item, origin) => self.on_hold(item, &origin),
            Input::Drop(id) => self.drop_item(&id),
            Input::Acknowledged(node, id) => self.on_acknowledged(&node, id),
            Input::Refused(node, id) => self.on_refused(&node, id),
            Input::Lost(node, id) => self.on_lost(&node, id),
            Input::Plan(graph) => {
                self.ways.replace(graph);
                self.look_again();
            }
            Input::Backlog(node, bytes) => {
                if self.neighbours.contains_key(&node) {
                    self.ways.backlog.insert(node, bytes);
                }
            }
            Input::Wake => self.look_again(),
        }
    }

    /// The next thing to do; none until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        // Each neighbour once, from the one behind whom was served last.
        let after = self.served.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.neighbours.range((after, Bound::Unbounded)).map(|(node, _)| node);
        let all = behind.chain(self.neighbours.keys());
        let turn: Vec<EndpointId> = all.take(self.neighbours.len()).cloned().collect();
        turn.into_iter().find_map(|node| self.next_for(node))
    }

    /// When to give [`Input::Wake`] if nothing else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let expiry = self.expiries.first().map(|it| it.0);
        expiry.into_iter().chain(self.ways.wake_at(self.now)).min()
    }

    /// Number of bundles.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True without bundles.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The best of what a neighbour is to get.
    fn next_for(&mut self, to: EndpointId) -> Option<Output> {
        let neighbour = self.neighbours.get_mut(&to).filter(|it| !it.is_busy)?;
        let from = neighbour.cursor.map_or(Bound::Unbounded, Bound::Included);
        for &rank in self.order.range((from, Bound::Unbounded)) {
            neighbour.cursor = Some(rank);
            if neighbour.settled.contains(&rank.id) {
                continue;
            }
            let item = self.items.get(&rank.id).expect("what is ordered is held");
            let why = match &item.class {
                Class::Header => Some(Why::Epidemic),
                Class::Payload => neighbour.asked.remove(&rank.id).then_some(Why::Asked),
                Class::Unicast { .. } => self.ways.give(self.now, item, &to),
            };
            if let Some(why) = why {
                neighbour.settled.insert(rank.id);
                self.served = Some(to.clone());
                return Some(Output::HandOver { to, id: rank.id, why });
            }
        }
        None
    }

    fn on_up(&mut self, node: EndpointId) {
        let has_room = self.neighbours.len() < self.config.neighbours_max;
        if has_room && node != self.config.me {
            self.neighbours.entry(node).or_default();
        }
    }

    fn on_down(&mut self, node: &EndpointId) {
        if self.neighbours.remove(node).is_some() {
            let items = &self.items;
            self.ways.cut(|id| items.get(id), node);
            self.ways.backlog.remove(node);
            self.look_again();
        }
    }

    fn on_has(&mut self, node: &EndpointId, ids: Vec<BundleId>) {
        let ids_max = self.config.ids_max;
        self.with(node, |it| {
            for id in ids {
                if it.settled.len() < ids_max {
                    it.settled.insert(id);
                }
            }
        });
    }

    fn on_asks(&mut self, node: &EndpointId, ids: Vec<BundleId>) {
        let (items, ids_max) = (&self.items, self.config.ids_max);
        let Some(neighbour) = self.neighbours.get_mut(node) else { return };
        for id in ids {
            // Who asks lacks it, whatever was handed over before.
            neighbour.settled.remove(&id);
            if neighbour.asked.len() < ids_max {
                neighbour.asked.insert(id);
            }
            if let Some(item) = items.get(&id) {
                neighbour.look_at(Rank::of(item));
            }
        }
    }

    fn on_hold(&mut self, item: Item, origin: &Origin) {
        let is_new = !self.items.contains_key(&item.id);
        if item.expires <= self.now || is_new && self.items.len() >= self.config.items_max {
            return;
        }
        if let Origin::Neighbour { node, .. } = origin {
            let id = item.id;
            self.with(node, |it| _ = it.settled.insert(id));
        }
        if let Class::Unicast { destination } = &item.class {
            let Some(copies) = self.ways.hold(&item, destination, origin) else { return };
            let acknowledge = match origin {
                Origin::Neighbour { node, .. } => Some(node.clone()),
                Origin::Own | Origin::Restored(_) => None,
            };
            self.outputs.push_back(Output::Count { id: item.id, copies, acknowledge });
        }
        if let Some(before) = self.items.get(&item.id) {
            self.order.remove(&Rank::of(before));
            self.expiries.remove(&(before.expires, before.id));
        }
        let rank = Rank::of(&item);
        self.order.insert(rank);
        self.expiries.insert((item.expires, item.id));
        self.items.insert(item.id, item);
        self.neighbours.values_mut().for_each(|it| it.look_at(rank));
    }

    fn on_acknowledged(&mut self, node: &EndpointId, id: BundleId) {
        let Some(item) = self.items.get(&id) else { return };
        if let Some(neighbour) = self.neighbours.get_mut(node) {
            neighbour.settled.insert(id);
        }
        match self.ways.acknowledged(item, node) {
            Outcome::Delivered | Outcome::Forwarded => {
                self.outputs.push_back(Output::Release { id, to: node.clone() });
                self.drop_item(&id);
            }
            Outcome::Copies(copies) => {
                self.outputs.push_back(Output::Count { id, copies, acknowledge: None });
            }
            Outcome::Nothing => {}
        }
    }

    fn on_refused(&mut self, node: &EndpointId, id: BundleId) {
        let Some(item) = self.items.get(&id) else { return };
        if let Some(neighbour) = self.neighbours.get_mut(node) {
            neighbour.settled.insert(id);
        }
        self.ways.refused(item, node);
        let rank = Rank::of(item);
        self.neighbours.values_mut().for_each(|it| it.look_at(rank));
    }

    fn on_lost(&mut self, node: &EndpointId, id: BundleId) {
        let Some(item) = self.items.get(&id) else { return };
        if let Some(neighbour) = self.neighbours.get_mut(node) {
            neighbour.settled.remove(&id);
        }
        self.ways.lost(item, node);
        let rank = Rank::of(item);
        self.neighbours.values_mut().for_each(|it| it.look_at(rank));
    }

    fn drop_item(&mut self, id: &BundleId) {
        self.ways.forget(id);
        if let Some(item) = self.items.remove(id) {
            self.order.remove(&Rank::of(&item));
            self.expiries.remove(&(item.expires, item.id));
        }
    }

    /// What was passed over may be to hand over now.
    fn look_again(&mut self) {
        self.neighbours.values_mut().for_each(|it| it.cursor = None);
    }

    fn with(&mut self, node: &EndpointId, change: impl FnOnce(&mut Neighbour)) {
        if let Some(neighbour) = self.neighbours.get_mut(node) {
            change(neighbour);
        }
    }
}

impl Neighbour {
    /// The item of this rank may be to hand over now.
    fn look_at(&mut self, rank: Rank) {
        self.cursor = self.cursor.map(|it| it.min(rank));
    }
}
