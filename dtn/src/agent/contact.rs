//! The life of a link: up, hello, frames in turn, deadlines, close.

use super::link::{Link, Pace, Stage};
use super::{Agent, CloseReason, LinkId, Output};
use crate::frame::{Frame, Versions};
use crate::hash::ContentHash;
use crate::identity::PeerId;
use crate::time::Timestamp;

/// A link that owes an answer for this many stall timeouts is closed.
const STALLS_TO_CLOSE: u64 = 4;

impl Agent {
    pub(super) fn on_link_up(&mut self, now: Timestamp, link: LinkId, peer: PeerId) {
        if self.links.contains_key(&link) {
            return;
        }
        let full = self.links.len() >= self.config.bounds.links_max;
        self.links.insert(link, Link::new(peer, now));
        if full {
            return self.close(link, CloseReason::TooManyLinks);
        }
        if peer == self.config.me {
            return self.close(link, CloseReason::Myself);
        }
        let (scope, nonce) = (self.config.scope, self.config.nonce);
        self.transmit(link, &Frame::Hello { versions: Versions::SPOKEN, scope, nonce });
    }

    pub(super) fn on_link_down(&mut self, now: Timestamp, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.transfers.release_all(link);
            self.ask_all(now);
        }
    }

    pub(super) fn on_frame(&mut self, now: Timestamp, link: LinkId, bytes: &[u8]) {
        let Some(state) = self.links.get(&link) else {
            return;
        };
        let stage = state.stage;
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.close(link, CloseReason::Garbage(error));
                return self.ask_all(now);
            }
        };
        match (stage, frame) {
            (_, Frame::Bye { code }) => self.forget(link, CloseReason::Bye(code)),
            (Stage::Hello(_), Frame::Hello { versions, scope, .. }) => {
                self.on_hello(link, versions, scope);
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

    fn on_ready_frame(&mut self, now: Timestamp, link: LinkId, frame: Frame) {
        match frame {
            Frame::Have { ids, page } => self.on_have(now, link, ids, page),
            Frame::More { from } => self.on_more(link, from),
            Frame::WantHead(id) => self.on_want_head(now, link, id),
            Frame::WantRange { id, offset, len } => self.on_want_range(link, id, offset, len),
            Frame::Head { id, head } => self.on_head(now, link, id, &head),
            Frame::Range { id, offset, bytes } => self.on_range(now, link, id, offset, &bytes),
            Frame::Gone(id) => self.on_gone(now, link, id),
            // Custody comes with retention: nothing is dropped on an answer yet.
            Frame::Ack(_) | Frame::Refused { .. } => {}
            Frame::Hello { .. } | Frame::Bye { .. } => {}
        }
    }

    fn on_hello(&mut self, link: LinkId, versions: Versions, scope: ContentHash) {
        if scope != self.config.scope {
            return self.close(link, CloseReason::Scope);
        }
        if Versions::SPOKEN.common(versions).is_none() {
            return self.close(link, CloseReason::Version);
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.stage = Stage::Ready;
        }
        self.list(link, None);
    }

    /// Says goodbye, closes the link and lets its transfers rest.
    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason) {
        self.transmit(link, &Frame::Bye { code: reason.code() });
        self.forget(link, reason);
    }

    fn forget(&mut self, link: LinkId, reason: CloseReason) {
        if self.links.remove(&link).is_some() {
            self.transfers.release_all(link);
            self.outputs.push_back(Output::Close { link, reason });
        }
    }

    /// When something must happen on this link.
    pub(super) fn deadline(&self, link: &Link) -> Option<Timestamp> {
        let bounds = &self.config.bounds;
        match (link.stage, link.pace) {
            (Stage::Hello(since), _) => Some(since.plus(bounds.hello_timeout)),
            (Stage::Ready, _) if link.asks.is_empty() => None,
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
                    self.transfers.release_all(link);
                }
                (Stage::Ready, Pace::Stalled) => self.close(link, CloseReason::Stalled),
            }
        }
        self.ask_all(now);
        self.deadline = self.first_deadline();
    }
}
