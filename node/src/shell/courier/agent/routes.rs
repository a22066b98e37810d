//! Routes: bundles for one node that go by a contact plan, or are sprayed where no plan leads.
//!
//! Wraps [`longhaul_dtn::routing::policy`], which decides; here are the names that a courier has for bundles
//! and neighbours. A bundle that comes without copies gets those that the configuration gives to
//! a new one: it comes from an application, or from a node that does not count them.
//!
//! After a restart a bundle has the copies that it came with: more than there may be left, never
//! fewer. Nobody proves who it is to a courier, so that a plan says where bundles go, not who
//! may have them.

use std::collections::BTreeMap;

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::routing::graph::{Graph, Priority};
use longhaul_dtn::routing::policy::{
    Class, Input, Item, Origin, Output, Policy, PolicyConfig, Why,
};
use longhaul_dtn::routing::quota::Value;
use longhaul_dtn::routing::spray::{Copies, TransferNumber};
use longhaul_dtn::time::Timestamp;

use super::copies::Share;
use super::event::LinkId;
use super::facts::Facts;
use crate::shell::bundles::BundleKey;

/// How bundles for one node find their way.
#[derive(Debug, Clone)]
pub struct RoutingConfig {
    /// The contact plan; none sprays all.
    pub graph: Option<Graph>,
    /// Copies of a bundle that comes without.
    pub copies: Copies,
    /// Above all numbers of transfers that this node used before.
    pub next_transfer: TransferNumber,
}

/// A bundle to be given to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub link: LinkId,
    pub key: BundleKey,
    /// What to say with it; nothing to its destination.
    pub share: Option<Share>,
}

/// The routes of one courier.
#[derive(Debug)]
pub(super) struct Routes {
    policy: Policy,
    copies: Copies,
    /// The contacts with each neighbour, the one that is used first.
    links: BTreeMap<EndpointId, Vec<LinkId>>,
}

impl Routes {
    pub fn new(config: RoutingConfig, me: EndpointId, bundles_max: usize, now: Timestamp) -> Self {
        let mut limits = PolicyConfig::new(me, config.next_transfer);
        limits.copies = config.copies;
        limits.items_max = bundles_max;
        limits.spray.bundles_max = bundles_max;
        limits.ids_max = bundles_max;
        let mut policy = Policy::new(limits);
        if let Some(graph) = config.graph {
            policy.handle(now, Input::Plan(graph));
        }
        Self { policy, copies: config.copies, links: BTreeMap::new() }
    }

    /// A contact begins; true if it is the first with that neighbour.
    pub fn up(&mut self, now: Timestamp, link: LinkId, node: &EndpointId) -> bool {
        let links = self.links.entry(node.node()).or_default();
        links.push(link);
        let is_first = links.len() == 1;
        if is_first {
            self.policy.handle(now, Input::Up(node.node()));
        }
        is_first
    }

    /// A contact is over; gives another one with that neighbour.
    pub fn down(&mut self, now: Timestamp, link: LinkId) -> Option<LinkId> {
        let node = self.node_of(link).cloned()?;
        let links = self.links.get_mut(&node).expect("it has this link");
        links.retain(|it| *it != link);
        let other = links.first().copied();
        if other.is_none() {
            self.links.remove(&node);
        }
        // What is under way over the contact that ended is not given, whichever others there are.
        self.policy.handle(now, Input::Down(node.clone()));
        if other.is_some() {
            self.policy.handle(now, Input::Up(node));
        }
        other
    }

    /// The neighbour at the other end of a contact.
    pub fn node_of(&self, link: LinkId) -> Option<&EndpointId> {
        self.links.iter().find(|(_, links)| links.contains(&link)).map(|(node, _)| node)
    }

    /// A neighbour has these bundles.
    pub fn has(&mut self, now: Timestamp, link: LinkId, keys: Vec<BundleKey>) {
        if let Some(node) = self.node_of(link).cloned() {
            let ids = keys.into_iter().map(id_of).collect();
            self.policy.handle(now, Input::Has(node, ids));
        }
    }

    /// A bundle for another node is stored, or came once more; `giver` is the contact that it came over.
    pub fn hold(&mut self, now: Timestamp, facts: &Facts, giver: Option<LinkId>) {
        let item = Item {
            id: id_of(facts.key),
            class: Class::Unicast { destination: facts.destination_id.clone() },
            priority: Priority::Normal,
            epoch: 0,
            deadline: facts.expires,
            expires: facts.expires,
            value: Value(1),
            bytes: facts.bytes,
        };
        let node = giver.and_then(|link| self.node_of(link)).cloned();
        // Number zero counts once for each giver.
        let (copies, number) = facts.share.unwrap_or((self.copies, TransferNumber(0)));
        let origin = match node {
            Some(node) if node != facts.destination_id => {
                Origin::Neighbour { node, copies: Some((copies, number)) }
            }
            _ => Origin::Restored(copies),
        };
        self.policy.handle(now, Input::Hold(item, origin));
    }

    /// A bundle is not held any more.
    pub fn forget(&mut self, now: Timestamp, key: BundleKey) {
        self.policy.handle(now, Input::Drop(id_of(key)));
    }

    /// A neighbour has a bundle durably.
    pub fn acknowledged(&mut self, now: Timestamp, link: LinkId, key: BundleKey) {
        if let Some(node) = self.node_of(link).cloned() {
            self.policy.handle(now, Input::Acknowledged(node, id_of(key)));
        }
    }

    /// A neighbour does not take a bundle.
    pub fn refused(&mut self, now: Timestamp, link: LinkId, key: BundleKey) {
        if let Some(node) = self.node_of(link).cloned() {
            self.policy.handle(now, Input::Refused(node, id_of(key)));
        }
    }

    /// A bundle did not get to a neighbour, and may be given again.
    pub fn lost(&mut self, now: Timestamp, link: LinkId, key: BundleKey) {
        if let Some(node) = self.node_of(link).cloned() {
            self.policy.handle(now, Input::Lost(node, id_of(key)));
        }
    }

    /// Nothing more goes over a contact for now, or more does.
    pub fn set_busy(&mut self, now: Timestamp, link: LinkId, is_busy: bool) {
        if let Some(node) = self.node_of(link).cloned() {
            let input = if is_busy { Input::Busy(node) } else { Input::Ready(node) };
            self.policy.handle(now, input);
        }
    }

    /// What happens because time passes.
    pub fn wake(&mut self, now: Timestamp) {
        if self.wake_at().is_some_and(|at| at <= now) {
            self.policy.handle(now, Input::Wake);
        }
    }

    pub fn wake_at(&self) -> Option<Timestamp> {
        self.policy.wake_at()
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Step> {
        while let Some(output) = self.policy.poll() {
            match output {
                Output::HandOver { to, id, why } => {
                    let Some(link) = self.links.get(&to).and_then(|links| links.first()) else {
                        continue;
                    };
                    let share = match why {
                        Why::Spray { copies, number } => Some((copies, number)),
                        Why::Route { .. } => Some((Copies::ONE, TransferNumber(0))),
                        Why::Delivery | Why::Epidemic | Why::Asked => None,
                    };
                    return Some(Step::Give(Hop { link: *link, key: key_of(id), share }));
                }
                Output::Release { id, .. } => return Some(Step::Release(key_of(id))),
                // The store has the copies that a bundle came with; and what is stored was
                // acknowledged.
                Output::Count { .. } => {}
            }
        }
        None
    }
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Give a bundle to a neighbour.
    Give(Hop),
    /// Another node does the rest for a bundle.
    Release(BundleKey),
}

fn id_of(key: BundleKey) -> BundleId {
    BundleId::from_hash(ContentHash::from_bytes(*key.as_bytes()))
}

fn key_of(id: BundleId) -> BundleKey {
    BundleKey::from_bytes(*id.as_hash().as_bytes())
}
