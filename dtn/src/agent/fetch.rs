//! Fetching: what an agent asks for, and what it makes of the answers.

use std::sync::Arc;

use super::link::{Ask, Link, Listing};
use super::reconcile::Sketching;
use super::{Agent, CloseReason, Held, LinkId, Output, RefuseReason};
use crate::bundle::{BundleHead, BundleId};
use crate::frame::{Frame, HAVE_IDS_MAX, Page, PageStart};
use crate::groups::{GroupError, GroupIndex, GroupProof, groups_in};
use crate::time::Timestamp;

impl Agent {
    pub(super) fn on_have(&mut self, now: Timestamp, link: LinkId, ids: Vec<BundleId>, page: Page) {
        // Symbols may stand for nothing; a list without an end must not.
        let resolves = |link: &Link| matches!(link.sketch, Sketching::Resolving(_));
        let is_empty = ids.is_empty() && page == Page::Continued;
        if is_empty && !self.links.get(&link).is_some_and(resolves) {
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
        let partial = self.transfers.partial(&id);
        let is_lacking = partial.is_some_and(|partial| partial.head.is_none());
        if is_lacking || self.wants.lacks_head(&id) {
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
        if self.wants.lacks_head(&id) {
            let left = head.payload_len();
            return self.know_want(link, &head, left);
        }
        let Some(partial) = self.transfers.partial_mut(&id) else {
            return;
        };
        partial.head = Some(head.clone());
        if partial.is_whole() {
            self.finish(now, link, id);
        } else {
            self.announce_arrival(link, &head);
        }
    }

    pub(super) fn on_group(
        &mut self,
        now: Timestamp,
        link: LinkId,
        id: BundleId,
        index: GroupIndex,
        proof: &GroupProof,
        bytes: &[u8],
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.answered(now, |ask| *ask == Ask::Group { id, index }).is_none() {
            return self.on_unrequested(link, id);
        }
        let Some(partial) = self.transfers.partial_mut(&id) else {
            return self.ask(now, link);
        };
        if let Some(head) = &partial.head
            && partial.groups() == u64::from(index.get())
        {
            let len = head.payload_len();
            if let Err(error) = check_group(head, index, proof, bytes) {
                self.strike(link, Some(id), error.into());
            } else {
                partial.push(len, bytes);
                if partial.is_whole() {
                    self.finish(now, link, id);
                }
            }
        }
        self.ask(now, link);
    }

    pub(super) fn on_gone(&mut self, now: Timestamp, link: LinkId, id: BundleId) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.answered(now, |ask| *ask.id() == id);
        state.offers.remove(&id);
        self.transfers.release(&id, link);
        if self.wants.lacks_head(&id) {
            self.wants.take(&id);
        }
        self.ask_all(now);
    }

    /// A head or group that nobody asked for: a replay is answered, and either
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
    pub(super) fn finish(&mut self, now: Timestamp, link: LinkId, id: BundleId) {
        let Some(partial) = self.transfers.partial_mut(&id) else {
            return;
        };
        let Some(head) = partial.head.clone() else {
            return;
        };
        if head.expires() <= now {
            return self.refuse(now, link, id, RefuseReason::Expired);
        }
        let Some(payload) = partial.payload().cloned() else {
            return;
        };
        let known = self.config.memo.as_ref();
        let known = known.and_then(|memo| memo.payload(&head.payload_hash(), &payload));
        // Several groups have been checked as they came, all against this hash.
        let is_checked = known.is_some() || partial.groups() > 1;
        if !is_checked && let Err(error) = head.check_payload(&payload) {
            partial.drop_payload();
            self.strike(link, Some(id), error.into());
            return self.ask_all(now);
        }
        let payload = known.unwrap_or(payload);
        if let Some(memo) = &self.config.memo {
            memo.keep_payload(head.payload_hash(), &payload);
        }
        let held = Held { head, payload };
        self.transfers.judge(held.clone(), link);
        if let Some(from) = self.links.get(&link).map(|state| state.peer) {
            self.outputs.push_back(Output::Judge { held, from });
        }
    }

    /// Takes a bundle that came whole, by another way than a link.
    pub(super) fn on_carried(&mut self, now: Timestamp, bytes: &[u8]) {
        let (head, payload) = match BundleHead::from_bundle(bytes, &self.config.limits) {
            Ok((head, range)) => (head, bytes[range].into()),
            Err(error) => return self.refuse_carried(None, error.into()),
        };
        let id = head.id();
        if self.is_settled(&id) || self.transfers.is_judging(&id) {
            return;
        }
        if head.expires() <= now {
            self.refusals.insert(id, RefuseReason::Expired.code());
            return self.refuse_carried(Some(id), RefuseReason::Expired);
        }
        let held = Held { head: Arc::new(head), payload };
        if self.transfers.judge_carried(held.clone()) {
            self.outputs.push_back(Output::Judge { held, from: self.config.me });
        }
        self.ask_all(now);
    }

    fn refuse_carried(&mut self, id: Option<BundleId>, reason: RefuseReason) {
        self.outputs.push_back(Output::Refused { from: self.config.me, id, reason });
    }

    /// Refuses a bundle whose own content is at fault, and remembers it.
    fn refuse(&mut self, now: Timestamp, link: LinkId, id: BundleId, reason: RefuseReason) {
        let code = reason.code();
        self.wants.take(&id);
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
        self.outputs.push_back(Output::Refused { from, id, reason: reason.clone() });
        self.close(link, CloseReason::BadBundle(reason));
    }

    /// Asks every link for what it may be asked for.
    pub(super) fn ask_all(&mut self, now: Timestamp) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        links.into_iter().for_each(|link| self.ask(now, link));
    }

    /// Asks a link for heads, groups and ids, up to the bounds.
    pub(super) fn ask(&mut self, now: Timestamp, link: LinkId) {
        let wants_max = self.config.bounds.wants_per_link;
        while let Some(state) = self.links.get(&link).filter(|state| state.may_ask()) {
            if !state.has_room(wants_max) {
                break;
            }
            match self.choose(now, link) {
                Some(ask) => self.send_ask(now, link, ask),
                None => break,
            }
        }
        self.ask_for_ids(link);
    }

    fn send_ask(&mut self, now: Timestamp, link: LinkId, ask: Ask) {
        if let Some(state) = self.links.get_mut(&link) {
            state.ask(now, ask);
        }
        let frame = match ask {
            Ask::Head(id) => Frame::WantHead(id),
            Ask::Group { id, index } => Frame::WantGroup { id, index },
        };
        self.transmit(link, &frame);
    }

    /// Asks for further ids once there is room for a page of them.
    pub(super) fn ask_for_ids(&mut self, link: LinkId) {
        let max = self.config.offers_max();
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let has_room = state.offers.is_empty() || state.offers.len() + HAVE_IDS_MAX <= max;
        let frame = match state.listing {
            Listing::Paused if has_room => match state.sketch.next_symbols() {
                Some((symbols, page)) => Frame::Resolve { symbols, page },
                None => Frame::More { from: PageStart::AfterLast },
            },
            Listing::Missed if has_room => Frame::More { from: PageStart::Newest },
            _ => return,
        };
        state.listing = Listing::Asked;
        self.transmit(link, &frame);
    }
}

/// Checks a group against the head. The only group of a payload is the payload, whose hash
/// is checked once it is whole.
fn check_group(
    head: &BundleHead,
    index: GroupIndex,
    proof: &GroupProof,
    bytes: &[u8],
) -> Result<(), GroupError> {
    let (len, found) = (head.payload_len(), bytes.len() as u64);
    if groups_in(len) > 1 || !proof.hashes().is_empty() {
        return proof.check(&head.payload_hash(), len, index, bytes);
    }
    if found == len { Ok(()) } else { Err(GroupError::Length { expected: len, found }) }
}

/// Whose fault a bad head is.
enum Blame {
    /// The peer that sent it: no honest one can.
    Sender,
    /// The bundle itself; an honest peer with other limits or clock may send it.
    Bundle,
}
