//! Fetching: what an agent asks for, and what it makes of the answers.

use std::sync::Arc;

use super::link::{Ask, Link, Listing, Pick};
use super::transfer::Trust;
use super::{Agent, CloseReason, Held, LinkId, Output, RefuseReason};
use crate::bundle::{BundleHead, BundleId};
use crate::frame::{Frame, HAVE_IDS_MAX, Page, PageStart};
use crate::identity::PeerId;
use crate::time::Timestamp;

/// Peers whose misdeeds are remembered; beyond it the lowest id is forgotten.
const STRIKES_MAX: usize = 1024;

impl Agent {
    pub(super) fn on_have(&mut self, now: Timestamp, link: LinkId, ids: Vec<BundleId>, page: Page) {
        if ids.is_empty() && page == Page::Continued {
            return self.close(link, CloseReason::OutOfOrder("an empty page of ids"));
        }
        let mut held = self.inventory.walk();
        let mut lacks = |id: &BundleId| !held.holds(id) && self.refusals.code(id).is_none();
        let lacked: Vec<BundleId> = ids.into_iter().filter(|id| lacks(id)).collect();
        let room_max = self.config.offers_max();
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let mut missed = false;
        for id in lacked {
            if state.offers.len() < room_max {
                state.offers.insert(id);
            } else {
                missed |= !state.offers.contains(&id);
            }
        }
        state.listing = match (page, state.listing) {
            _ if missed => Listing::Missed,
            (_, Listing::Missed) => Listing::Missed,
            (Page::Continued, _) => Listing::Paused,
            (Page::Last, Listing::Asked) => Listing::Complete,
            (Page::Last, other) => other,
        };
        self.ask(now, link);
    }

    pub(super) fn on_head(&mut self, now: Timestamp, link: LinkId, id: BundleId, head: &[u8]) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        if state.answered(now, |ask| *ask == Ask::Head(id)).is_none() {
            return self.on_unrequested(link, id);
        }
        let lacks_head = self.transfers.partial(&id).is_some_and(|partial| partial.head.is_none());
        if lacks_head {
            match self.checked_head(now, id, head) {
                Ok(head) => self.take_head(now, link, id, head),
                Err((reason, Blame::Sender)) => self.strike(link, Some(id), reason),
                Err((reason, Blame::Bundle)) => self.refuse(now, link, id, reason),
            }
        }
        self.ask(now, link);
    }

    fn checked_head(
        &self,
        now: Timestamp,
        id: BundleId,
        head: &[u8],
    ) -> Result<Arc<BundleHead>, (RefuseReason, Blame)> {
        let limits = &self.config.limits;
        let memo = self.config.memo.as_deref();
        let known = memo.and_then(|memo| BundleHead::decode_known(head, &id, memo));
        let head = match known {
            Some(head) => head,
            None => BundleHead::decode_authentic(head, limits, memo)
                .map_err(|error| (error.into(), Blame::Sender))?,
        };
        if head.id() != id {
            return Err((RefuseReason::OtherBundle, Blame::Sender));
        }
        head.check(limits).map_err(|error| (error.into(), Blame::Bundle))?;
        if head.expires() <= now {
            return Err((RefuseReason::Expired, Blame::Bundle));
        }
        Ok(Arc::new(head))
    }

    fn take_head(&mut self, now: Timestamp, link: LinkId, id: BundleId, head: Arc<BundleHead>) {
        let Some(partial) = self.transfers.partial_mut(&id) else {
            return;
        };
        partial.head = Some(head.clone());
        if partial.is_whole() {
            self.finish(now, link, id);
        } else if head.payload_len() > self.config.payload_bytes_unasked
            && let Some(from) = self.links.get(&link).map(|state| state.peer)
        {
            self.outputs.push_back(Output::Arriving { head, from });
        }
    }

    pub(super) fn on_range(
        &mut self,
        now: Timestamp,
        link: LinkId,
        id: BundleId,
        offset: u64,
        bytes: &[u8],
    ) {
        let matches = |ask: &Ask| matches!(ask, Ask::Range { id: asked, offset: at, .. } if *asked == id && *at == offset);
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let peer = state.peer;
        let Some(Ask::Range { len, .. }) = state.answered(now, matches) else {
            return self.on_unrequested(link, id);
        };
        if let Err(reason) = self.checked_length(&id, offset, len, bytes) {
            self.strike(link, Some(id), reason);
        } else if let Some(partial) = self.transfers.partial_mut(&id)
            && partial.accepts(offset, &peer)
        {
            partial.payload.extend_from_slice(bytes);
            partial.givers.insert(peer);
            if partial.is_whole() {
                self.finish(now, link, id);
            }
        }
        self.ask(now, link);
    }

    /// The answer to a range has the length asked for, or ends the payload.
    fn checked_length(
        &self,
        id: &BundleId,
        offset: u64,
        asked: u64,
        bytes: &[u8],
    ) -> Result<(), RefuseReason> {
        let head = self.transfers.partial(id).and_then(|partial| partial.head.as_ref());
        let found = bytes.len() as u64;
        let expected = head.map(|head| head.payload_len().saturating_sub(offset).min(asked));
        match expected {
            Some(expected) if found != expected => Err(RefuseReason::Length { expected, found }),
            None if found > asked => Err(RefuseReason::Length { expected: asked, found }),
            _ => Ok(()),
        }
    }

    pub(super) fn on_gone(&mut self, now: Timestamp, link: LinkId, id: BundleId) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.answered(now, |ask| *ask.id() == id);
        state.offers.remove(&id);
        self.transfers.release(&id, link);
        self.ask_all(now);
    }

    /// A head or range that nobody asked for: a replay is answered, and either
    /// is bounded.
    fn on_unrequested(&mut self, link: LinkId, id: BundleId) {
        let (held, refused) = (self.inventory.contains(&id), self.refusals.code(&id));
        let known = held || refused.is_some() || self.transfers.is_judging(&id);
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.unrequested += 1;
        let from = state.peer;
        if !known || state.unrequested > self.config.bounds.unrequested_max {
            return self.close(link, CloseReason::Unrequested);
        }
        if held {
            self.transmit(link, &Frame::Ack(id));
        }
        if let Some(code) = refused {
            self.transmit(link, &Frame::Refused { id, code });
        }
        let reason = RefuseReason::Replayed;
        self.outputs.push_back(Output::Refused { from, id: Some(id), reason });
    }

    /// Checks a whole bundle and gives it to judgement.
    fn finish(&mut self, now: Timestamp, link: LinkId, id: BundleId) {
        let Some(partial) = self.transfers.partial_mut(&id) else {
            return;
        };
        let Some(head) = partial.head.clone() else {
            return;
        };
        if head.expires() <= now {
            return self.refuse(now, link, id, RefuseReason::Expired);
        }
        let known = self.config.memo.as_ref();
        let known = known.and_then(|memo| memo.payload(&head.payload_hash(), &partial.payload));
        if known.is_none()
            && let Err(error) = head.check_payload(&partial.payload)
        {
            let only_giver = partial.givers.len() <= 1;
            partial.restart();
            partial.source = None;
            if only_giver {
                self.strike(link, Some(id), error.into());
            }
            return self.ask_all(now);
        }
        let payload: Arc<[u8]> = known.unwrap_or_else(|| partial.payload.as_slice().into());
        if let Some(memo) = &self.config.memo {
            memo.keep_payload(head.payload_hash(), &payload);
        }
        let held = Held { head, payload };
        self.transfers.judge(held.clone(), link);
        if let Some(from) = self.links.get(&link).map(|state| state.peer) {
            self.outputs.push_back(Output::Judge { held, from });
        }
    }

    /// Refuses a bundle whose own content is at fault, and remembers it.
    fn refuse(&mut self, now: Timestamp, link: LinkId, id: BundleId, reason: RefuseReason) {
        let code = reason.code();
        self.transfers.forget(&id);
        self.refusals.insert(id, code);
        self.transmit(link, &Frame::Refused { id, code });
        if let Some(from) = self.links.get(&link).map(|state| state.peer) {
            self.outputs.push_back(Output::Refused { from, id: Some(id), reason });
        }
        self.ask_all(now);
    }

    /// Refuses what only a dishonest or broken peer sends, and closes its link.
    /// The id is not remembered: an honest peer may have the true bundle.
    fn strike(&mut self, link: LinkId, id: Option<BundleId>, reason: RefuseReason) {
        let Some(from) = self.links.get(&link).map(|state| state.peer) else {
            return;
        };
        *self.strikes.entry(from).or_default() += 1;
        if self.strikes.len() > STRIKES_MAX {
            self.strikes.pop_first();
        }
        self.outputs.push_back(Output::Refused { from, id, reason: reason.clone() });
        self.close(link, CloseReason::BadBundle(reason));
    }

    /// Asks every link for what it may be asked for.
    pub(super) fn ask_all(&mut self, now: Timestamp) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        links.into_iter().for_each(|link| self.ask(now, link));
    }

    /// Asks a link for heads, ranges and ids, up to the bounds.
    pub(super) fn ask(&mut self, now: Timestamp, link: LinkId) {
        let wants_max = self.config.bounds.wants_per_link.max(1);
        while let Some(state) = self.links.get(&link).filter(|state| state.may_ask()) {
            if state.asks.len() >= wants_max {
                break;
            }
            match self.next_ask(link, state) {
                Some(ask) => self.send_ask(now, link, ask),
                None if self.begin_next(link) => {}
                None => break,
            }
        }
        self.ask_for_ids(link);
    }

    /// The next head or range that a transfer from this link lacks.
    fn next_ask(&self, link: LinkId, state: &Link) -> Option<Ask> {
        self.transfers.asked_of(link).find_map(|(id, partial)| {
            if partial.head.is_none() && !state.asks.contains(&Ask::Head(*id)) {
                return Some(Ask::Head(*id));
            }
            let range = self.config.range_bytes();
            let end = match &partial.head {
                Some(head) => head.payload_len(),
                // One range is asked for ahead of the head: most updates fit.
                None => range.min(self.config.limits.payload_bytes_max),
            };
            let offset = state.asked_to(id, partial.arrived());
            let len = end.saturating_sub(offset).min(range);
            (len > 0).then_some(Ask::Range { id: *id, offset, len })
        })
    }

    fn send_ask(&mut self, now: Timestamp, link: LinkId, ask: Ask) {
        if let Some(state) = self.links.get_mut(&link) {
            state.ask(now, ask);
        }
        let frame = match ask {
            Ask::Head(id) => Frame::WantHead(id),
            Ask::Range { id, offset, len } => {
                let len = u32::try_from(len).expect("a range is at most RANGE_BYTES_MAX long");
                Frame::WantRange { id, offset, len }
            }
        };
        self.transmit(link, &frame);
    }

    /// Begins or resumes the next transfer that this link offers.
    fn begin_next(&mut self, link: LinkId) -> bool {
        let Some(mut state) = self.links.remove(&link) else {
            return false;
        };
        let peer = state.peer;
        let picked = state.offers.pick(self.transfers.max(), |id| {
            if self.is_settled(id) {
                Pick::Drop
            } else if self.transfers.is_busy(id) || self.is_for_another(id, &peer) {
                Pick::Skip
            } else {
                Pick::Take
            }
        });
        self.links.insert(link, state);
        picked.is_some_and(|id| self.transfers.begin(id, link, &peer))
    }

    /// True when someone lied about `id` and a peer with fewer strikes than
    /// `peer` offers it too.
    fn is_for_another(&self, id: &BundleId, peer: &PeerId) -> bool {
        let strikes = |peer: &PeerId| self.strikes.get(peer).copied().unwrap_or_default();
        let is_better = |state: &Link| {
            state.may_ask() && state.offers.contains(id) && strikes(&state.peer) < strikes(peer)
        };
        let partial = self.transfers.partial(id);
        partial.is_some_and(|partial| partial.trust == Trust::OnePeer)
            && self.links.values().any(is_better)
    }

    /// Asks for further ids once there is room for a page of them.
    fn ask_for_ids(&mut self, link: LinkId) {
        let max = self.config.offers_max();
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let has_room = state.offers.is_empty() || state.offers.len() + HAVE_IDS_MAX <= max;
        let from = match state.listing {
            Listing::Paused if has_room => PageStart::AfterLast,
            Listing::Missed if has_room => PageStart::Newest,
            _ => return,
        };
        state.listing = Listing::Asked;
        self.transmit(link, &Frame::More { from });
    }
}

/// Whose fault a bad head is.
enum Blame {
    /// The peer that sent it: no honest one can.
    Sender,
    /// The bundle itself; an honest peer with other limits or clock may send it.
    Bundle,
}
