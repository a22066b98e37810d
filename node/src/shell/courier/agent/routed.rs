//! Routed: what an agent does for bundles that go to one node by a plan, or by spraying.
//!
//! Such bundles are left out of what every neighbour gets; [`super::routes`] says where they go.

use longhaul_dtn::bpv7::EndpointId;
use longhaul_dtn::tcpcl::RefuseReason;
use longhaul_dtn::time::Timestamp;

use super::event::{LinkId, Output, SendOutcome};
use super::facts::Facts;
use super::routes::{Hop, Step};
use super::{Agent, NodeNumber};
use crate::shell::bundles::BundleKey;

impl Agent {
    /// A contact with a node begins.
    pub(super) fn routes_up(&mut self, now: Timestamp, link: LinkId, node: &EndpointId) {
        let is_first = self.routes.as_mut().is_some_and(|routes| routes.up(now, link, node));
        if is_first {
            self.tell_held(now, link);
        }
    }

    /// A contact is over.
    pub(super) fn routes_down(&mut self, now: Timestamp, link: LinkId) {
        let other = self.routes.as_mut().and_then(|routes| routes.down(now, link));
        if let Some(other) = other {
            self.tell_held(now, other);
        }
    }

    /// Tells the routes what the neighbour of a contact has already.
    fn tell_held(&mut self, now: Timestamp, link: LinkId) {
        let Some(routes) = &mut self.routes else { return };
        let node = routes.node_of(link).map(NodeNumber::of);
        let held = node.map(|node| self.shelf.routed_of(node)).unwrap_or_default();
        if !held.is_empty() {
            routes.has(now, link, held);
        }
    }

    /// A bundle that is stored finds its way by a route, if it is for one node and routes are asked for.
    pub(super) fn route_by_plan(&mut self, now: Timestamp, facts: &Facts, giver: Option<LinkId>) {
        let Some(routes) = &mut self.routes else { return };
        let is_for_another = facts.destination != self.us && !facts.is_spent;
        if is_for_another && !facts.is_group {
            self.shelf.set_routed(facts.key);
            routes.hold(now, facts, giver);
        }
    }

    /// A bundle came that is held already, perhaps with more copies.
    pub(super) fn route_again(&mut self, now: Timestamp, facts: &Facts, giver: LinkId) {
        if self.shelf.is_routed(facts.key) && facts.share.is_some() {
            self.route_by_plan(now, facts, Some(giver));
        }
    }

    /// What became of a bundle that was given by a route.
    pub(super) fn routed_answer(
        &mut self,
        now: Timestamp,
        link: LinkId,
        key: BundleKey,
        outcome: SendOutcome,
    ) {
        let Some(routes) = self.routes.as_mut().filter(|_| self.shelf.is_routed(key)) else {
            return;
        };
        // Its destination has it, and is no neighbour to the routes.
        if routes.node_of(link).is_none() && self.shelf.is_done(key) {
            return routes.forget(now, key);
        }
        match outcome {
            SendOutcome::Acknowledged | SendOutcome::Refused(RefuseReason::COMPLETED) => {
                routes.acknowledged(now, link, key);
            }
            SendOutcome::Refused(
                RefuseReason::NOT_ACCEPTABLE | RefuseReason::EXTENSION_FAILURE,
            ) => routes.refused(now, link, key),
            SendOutcome::Refused(_) | SendOutcome::Lost => routes.lost(now, link, key),
            SendOutcome::Unreadable => routes.forget(now, key),
        }
    }

    /// Gives neighbours what is routed to them, as far as they have room.
    pub(super) fn pump_routed(&mut self, now: Timestamp) {
        let (bundles, bytes) = (self.config.window_bundles, self.config.window_bytes);
        let Some(routes) = &mut self.routes else { return };
        routes.wake(now);
        for link in self.links.all() {
            routes.set_busy(now, link, !self.links.is_open(link, bundles, bytes));
        }
        while let Some(step) = routes.poll() {
            match step {
                Step::Release(key) => self.shelf.finish(key),
                Step::Give(Hop { link, key, share }) => {
                    let bytes_max = self.links.bundle_bytes_max(link);
                    match self.shelf.size_of(key) {
                        None => routes.forget(now, key),
                        Some((size, _)) if size > bytes_max => routes.refused(now, link, key),
                        Some((size, expires)) => {
                            self.links.begin(link, key, size);
                            let is_open = self.links.is_open(link, bundles, bytes);
                            routes.set_busy(now, link, !is_open);
                            self.outputs.push_back(Output::Send { link, key, expires, share });
                        }
                    }
                }
            }
        }
    }
}
