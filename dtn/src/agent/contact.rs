//! The life of a link: up, hello, frames in turn, deadlines, close.

use super::link::{Link, Pace, Stage};
use super::{Agent, AgentConfig, CloseReason, LinkId, Output};
use crate::frame::{Frame, NONCE_BYTES, Terms, Versions};
use crate::hash::ContentHash;
use crate::identity::PeerId;
use crate::time::Timestamp;

/// A link that owes an answer for this many stall timeouts is closed.
const STALLS_TO_CLOSE: u64 = 4;
const NONCE_CONTEXT: &str = "longhaul 2026-11 nonce of a contact v1";

impl Agent {
    pub(super) fn on_link_up(&mut self, now: Timestamp, link: LinkId, peer: PeerId) {
        if self.links.contains_key(&link) {
            return;
        }
        let full = self.links.len() >= self.config.bounds.links_max;
        let (nonce, held) = (self.nonce_of(link), self.inventory.count_for(&peer) as u64);
        self.links.insert(link, Link::new(peer, now, nonce, held));
        if full {
            return self.close(link, CloseReason::TooManyLinks);
        }
        if peer == self.config.me {
            return self.close(link, CloseReason::Myself);
        }
        let AgentConfig { scope, room_bytes, stay, .. } = self.config;
        let (versions, terms) = (Versions::SPOKEN, Terms { held, room_bytes, stay });
        self.transmit(link, &Frame::Hello { versions, scope, nonce, terms });
    }

    /// A nonce that nobody can foretell, for each contact another.
    fn nonce_of(&self, link: LinkId) -> [u8; NONCE_BYTES] {
        let seed = [&self.config.nonce[..], &link.0.to_be_bytes()].concat();
        *ContentHash::derive(NONCE_CONTEXT, &seed).as_bytes()
    }

    pub(super) fn on_link_down(&mut self, now: Timestamp, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.release(link);
            self.ask_all(now);
        }
    }

    pub(super) fn on_frame(&mut self, now: Timestamp, link: LinkId, bytes: &[u8]) {
        let Some(state) = self.links.get(&link) else {
            return;
        };
        let stage = state.stage;
        let frame = match Frame::view(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.close(link, CloseReason::Garbage(error));
                return self.ask_all(now);
            }
        };
        match (stage, frame) {
            (_, Frame::Bye { code }) => self.forget(link, CloseReason::Bye(code)),
            (Stage::Hello(_), Frame::Hello { versions, scope, nonce, terms }) => {
                if self.agrees(link, versions, scope) {
                    self.on_hello(now, link, terms, &nonce);
                }
            }
            (Stage::Hello(_), _) => self.close(link, CloseReason::OutOfOrder("no hello before")),
            (Stage::Ready, Frame::Hello { .. }) => {
                self.close(link, CloseReason::OutOfOrder("a second hello"));
            }
            (Stage::Ready, frame) => self.on_ready_frame(now, link, frame),
        }
        if !self.links.contains_key(&link) {
            self.ask_all(now);
        }
    }

    fn on_ready_frame(&mut self, now: Timestamp, link: LinkId, frame: Frame<&[u8]>) {
        match frame {
            Frame::Have { ids, page } => self.on_have(now, link, ids, page),
            Frame::More { from } => self.on_more(link, from),
            Frame::WantHead(id) => self.on_want_head(now, link, id),
            Frame::WantGroup { id, index } => self.on_want_group(link, id, index),
            Frame::Head { id, head } => self.on_head(now, link, id, &head),
            Frame::Group { id, index, proof, bytes } => {
                self.on_group(now, link, id, index, &proof, bytes);
            }
            Frame::Cells(batch) => self.on_cells(now, link, &batch),
            Frame::MoreCells(count) => self.on_more_cells(now, link, count),
            Frame::Resolve { symbols, page } => self.on_resolve(now, link, &symbols, page),
            Frame::List => self.on_list(now, link),
            Frame::Gone(id) => self.on_gone(now, link, id),
            // Custody comes with retention: nothing is dropped on an answer yet.
            Frame::Ack(_) | Frame::Refused { .. } => {}
            Frame::Hello { .. } | Frame::Bye { .. } => {}
        }
    }

    /// Closes the link where the hellos do not agree.
    fn agrees(&mut self, link: LinkId, versions: Versions, scope: ContentHash) -> bool {
        let reason = if scope != self.config.scope {
            CloseReason::Scope
        } else if Versions::SPOKEN.common(versions).is_none() {
            CloseReason::Version
        } else {
            return true;
        };
        self.close(link, reason);
        false
    }

    fn on_hello(&mut self, now: Timestamp, link: LinkId, terms: Terms, nonce: &[u8; NONCE_BYTES]) {
        if let Some(state) = self.links.get_mut(&link) {
            state.stage = Stage::Ready;
            state.their_held = terms.held;
            self.outputs.push_back(Output::Met { link, peer: state.peer, terms });
        }
        self.reconcile(now, link, terms, nonce);
    }

    /// Says goodbye, closes the link and lets its transfers rest.
    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason) {
        self.transmit(link, &Frame::Bye { code: reason.code() });
        self.forget(link, reason);
    }

    fn forget(&mut self, link: LinkId, reason: CloseReason) {
        if self.links.remove(&link).is_some() {
            self.release(link);
            self.outputs.push_back(Output::Close { link, reason });
        }
    }

    /// Lets others go on with what a link was asked for.
    fn release(&mut self, link: LinkId) {
        self.transfers.release_all(link);
        self.wants.release(link);
    }

    /// When something must happen on this link.
    pub(super) fn deadline(&self, link: &Link) -> Option<Timestamp> {
        let bounds = &self.config.bounds;
        match (link.stage, link.pace) {
            (Stage::Hello(since), _) => Some(since.plus(bounds.hello_timeout)),
            (Stage::Ready, _) if !link.is_owed() => None,
            (Stage::Ready, Pace::Steady) => Some(link.progress.plus(bounds.stall_timeout)),
            (Stage::Ready, Pace::Stalled) => {
                Some(link.progress.plus(bounds.stall_timeout.times(STALLS_TO_CLOSE)))
            }
        }
    }

    /// The earliest deadline of all links.
    fn first_deadline(&self) -> Option<Timestamp> {
        self.links.values().filter_map(|link| self.deadline(link)).min()
    }

    /// Moves on where an answer or a hello is overdue.
    pub(super) fn check_deadlines(&mut self, now: Timestamp) {
        self.deadline = self.first_deadline();
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        let is_due = |link: &Link| self.deadline(link).is_some_and(|at| at <= now);
        let due: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| is_due(link)).map(|(&id, _)| id).collect();
        for &link in &due {
            let Some(state) = self.links.get_mut(&link) else {
                continue;
            };
            match (state.stage, state.pace) {
                (Stage::Hello(_), _) => self.close(link, CloseReason::NoHello),
                (Stage::Ready, Pace::Steady) => {
                    state.pace = Pace::Stalled;
                    self.release(link);
                }
                (Stage::Ready, Pace::Stalled) => self.close(link, CloseReason::Stalled),
            }
        }
        self.ask_all(now);
        self.deadline = self.first_deadline();
    }
}
