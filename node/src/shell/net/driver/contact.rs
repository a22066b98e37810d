//! Contact: which connection is the link with a peer.
//!
//! There is at most one link per peer. When two peers dial each other at the
//! same moment both keep the connection that the smaller peer id dialled; when
//! a peer dials although a link is up, it has lost that link and the new
//! connection takes its place. A direct connection is better than a relayed one:
//! it waits until the relayed link is at rest, so that no transfer is cut, and
//! then takes its place. Whichever side finds the link at rest first ends it, and
//! the other follows.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use longhaul_dtn::agent::LinkId;
use longhaul_dtn::identity::PeerId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use crate::shell::net::LinkEnd;
use crate::shell::net::address::{Route, from_libp2p};
use crate::shell::net::link::{LinkSender, link};
use crate::shell::net::stream::{Dialer, Opened};

/// Two dials within this time of each other count as simultaneous.
const SIMULTANEOUS_MAX: Duration = Duration::from_secs(5);
/// A relayed link on which nothing moved for so long is at rest.
const REST: Duration = Duration::from_secs(1);
/// A relayed link that never rests is replaced after this time: what is cut off
/// goes on where it stopped, and a relay limits how long it serves.
const SWITCH_MAX: Duration = Duration::from_secs(30);

/// The connection that is the link with a peer.
pub(super) struct Contact {
    link: LinkId,
    pub sender: LinkSender,
    pub connection: ConnectionId,
    dialer: Dialer,
    route: Route,
    since: Instant,
    ended: oneshot::Receiver<()>,
    /// The direct connection that will take this one's place.
    successor: Option<Successor>,
}

struct Successor {
    opened: Opened,
    since: Instant,
    /// When it is looked next whether the link rests.
    look: Instant,
    /// What had moved on the link when it was looked last.
    moved: u64,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// It is closed.
    Refuse,
    /// It takes the link's place at once.
    Replace,
    /// It takes the link's place when that is at rest.
    Wait,
}

/// A connection that is compared with another.
#[derive(Debug, Clone, Copy)]
struct Side {
    dialer: Dialer,
    route: Route,
}

/// What becomes of a new connection while a link has been up for `age`.
fn choose(old: Side, age: Duration, new: Side, (me, peer): (PeerId, PeerId)) -> Choice {
    let simultaneous = age <= SIMULTANEOUS_MAX;
    match (old.route, new.route) {
        (Route::Relayed, Route::Direct) => Choice::Wait,
        (Route::Direct, Route::Relayed) if simultaneous => Choice::Refuse,
        _ => {
            let lost_by_peer = !simultaneous || old.dialer == new.dialer;
            match lost_by_peer || smaller_dialled(new.dialer, me, peer) {
                true => Choice::Replace,
                false => Choice::Refuse,
            }
        }
    }
}

fn smaller_dialled(dialer: Dialer, me: PeerId, peer: PeerId) -> bool {
    match dialer {
        Dialer::Here => me < peer,
        Dialer::There => peer < me,
    }
}

impl Driver {
    pub(super) fn on_opened(&mut self, opened: Opened) {
        let known = from_libp2p(&opened.peer).filter(|peer| self.members.contains(peer));
        let Some(peer) = known.filter(|peer| !self.cut.contains(peer)) else {
            self.swarm.close_connection(opened.connection);
            return;
        };
        let Some(old) = self.contacts.get(&peer) else {
            return self.begin(peer, opened, None);
        };
        let side = |dialer, route| Side { dialer, route };
        let (before, new) = (side(old.dialer, old.route), side(opened.dialer, opened.route));
        match choose(before, old.since.elapsed(), new, (self.me, peer)) {
            Choice::Refuse => {
                self.swarm.close_connection(opened.connection);
            }
            Choice::Wait => self.wait(peer, opened),
            Choice::Replace => {
                let old = self.contacts.remove(&peer).expect("it was there a moment ago");
                old.sender.abort(LinkEnd::Replaced);
                self.swarm.close_connection(old.connection);
                if let Some(successor) = old.successor {
                    self.swarm.close_connection(successor.opened.connection);
                }
                self.begin(peer, opened, Some(old.ended));
            }
        }
    }

    /// Lets a direct connection wait for the relayed link to rest. Of two that came at
    /// once both sides keep the same.
    fn wait(&mut self, peer: PeerId, opened: Opened) {
        let Some(contact) = self.contacts.get_mut(&peer) else { return };
        let keeps = contact.successor.as_ref().is_some_and(|waiting| {
            waiting.opened.dialer != opened.dialer && !smaller_dialled(opened.dialer, self.me, peer)
        });
        if keeps {
            self.swarm.close_connection(opened.connection);
            return;
        }
        let (now, moved) = (Instant::now(), contact.sender.moved());
        let successor = Successor { opened, since: now, look: now + REST, moved };
        if let Some(before) = contact.successor.replace(successor) {
            self.swarm.close_connection(before.opened.connection);
        }
    }

    /// When it is looked next whether a relayed link can be replaced.
    pub(super) fn next_switch(&self) -> Option<Instant> {
        let successors = self.contacts.values().filter_map(|contact| contact.successor.as_ref());
        successors.map(|successor| successor.look).min()
    }

    /// Ends the relayed links that are at rest and have a successor; it begins when
    /// the link has ended.
    pub(super) fn switch_due(&mut self) {
        let now = Instant::now();
        for contact in self.contacts.values_mut() {
            let Some(successor) = &mut contact.successor else { continue };
            if successor.look > now {
                continue;
            }
            let moved = contact.sender.moved();
            let rests = moved == successor.moved && !contact.sender.is_waiting();
            successor.moved = moved;
            successor.look = now + REST;
            if rests || now.duration_since(successor.since) >= SWITCH_MAX {
                contact.sender.close(LinkEnd::Replaced);
            }
        }
    }

    fn begin(&mut self, peer: PeerId, opened: Opened, after: Option<oneshot::Receiver<()>>) {
        let Opened { connection, dialer, route, stream, .. } = opened;
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let (sender, task, ended) =
            link((id, peer, stream), self.events.clone(), after, self.limits);
        tracing::info!(peer = %peer.short(), link = ?id, ?route, "link");
        tracing::debug!(peer = %peer.short(), link = ?id, ?dialer, "link up");
        self.links.insert(id, sender.clone());
        self.tasks.spawn(task.run());
        let since = Instant::now();
        self.redial.linked(peer, route, since);
        let successor = None;
        let contact =
            Contact { link: id, sender, connection, dialer, route, since, ended, successor };
        self.contacts.insert(peer, contact);
    }

    pub(super) fn on_link_end(&mut self, (peer, link, end): (PeerId, LinkId, LinkEnd)) {
        tracing::debug!(peer = %peer.short(), ?link, %end, "link down");
        self.links.remove(link);
        if self.contacts.get(&peer).is_none_or(|contact| contact.link != link) {
            return;
        }
        let Some(contact) = self.contacts.remove(&peer) else { return };
        self.swarm.close_connection(contact.connection);
        let now = Instant::now();
        self.redial.unlinked(peer, now);
        match contact.successor {
            Some(successor) if !self.cut.contains(&peer) => {
                self.begin(peer, successor.opened, None);
            }
            _ => self.reaching.hurry(now),
        }
    }

    /// A connection is gone; if it was to replace a link, that stays.
    pub(super) fn on_closed(&mut self, peer: &libp2p::PeerId, connection: ConnectionId) {
        let contact = from_libp2p(peer).and_then(|peer| self.contacts.get_mut(&peer));
        if let Some(contact) = contact {
            contact.successor.take_if(|waiting| waiting.opened.connection == connection);
        }
    }

    pub(super) fn on_silent(&mut self, peer: &libp2p::PeerId, connection: ConnectionId) {
        if let Some(contact) = from_libp2p(peer).and_then(|peer| self.contacts.get(&peer))
            && contact.connection == connection
        {
            contact.sender.abort(LinkEnd::Silent);
        }
        self.swarm.close_connection(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::identity::SecretKey;

    const YOUNG: Duration = Duration::from_secs(1);
    const OLD: Duration = Duration::from_secs(60);

    /// Two peers, the smaller first.
    fn peers() -> (PeerId, PeerId) {
        let [one, two] = [1, 2].map(|byte| SecretKey::from_seed(&[byte; 32]).peer_id());
        (one.min(two), one.max(two))
    }

    fn side(dialer: Dialer, route: Route) -> Side {
        Side { dialer, route }
    }

    fn other(dialer: Dialer) -> Dialer {
        match dialer {
            Dialer::Here => Dialer::There,
            Dialer::There => Dialer::Here,
        }
    }

    #[test]
    fn a_direct_connection_waits_for_the_relayed_link_whoever_dialled() {
        for dialer in [Dialer::Here, Dialer::There] {
            for age in [YOUNG, OLD] {
                let relayed = side(Dialer::Here, Route::Relayed);
                let direct = side(dialer, Route::Direct);
                assert_eq!(choose(relayed, age, direct, peers()), Choice::Wait);
            }
        }
    }

    #[test]
    fn a_relayed_connection_only_replaces_a_direct_link_that_the_peer_has_lost() {
        let direct = side(Dialer::Here, Route::Direct);
        for dialer in [Dialer::Here, Dialer::There] {
            let relayed = side(dialer, Route::Relayed);
            assert_eq!(choose(direct, YOUNG, relayed, peers()), Choice::Refuse);
            assert_eq!(choose(direct, OLD, relayed, peers()), Choice::Replace);
        }
    }

    #[test]
    fn both_sides_keep_the_same_of_two_connections_by_one_route() {
        let (small, large) = peers();
        for route in [Route::Direct, Route::Relayed] {
            for first in [Dialer::Here, Dialer::There] {
                let (old, new) = (side(first, route), side(other(first), route));
                let mirrored = (side(other(first), route), side(first, route));
                let here = choose(old, YOUNG, new, (small, large));
                let there = choose(mirrored.0, YOUNG, mirrored.1, (large, small));
                assert_eq!(here, there, "{route:?} {first:?}");
                assert_eq!(here == Choice::Replace, new.dialer == Dialer::Here);
            }
        }
    }

    #[test]
    fn who_dials_again_has_lost_the_link() {
        for route in [Route::Direct, Route::Relayed] {
            let link = side(Dialer::There, route);
            assert_eq!(choose(link, YOUNG, link, peers()), Choice::Replace);
            assert_eq!(choose(link, OLD, side(Dialer::Here, route), peers()), Choice::Replace);
        }
    }
}
