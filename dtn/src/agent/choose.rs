//! Choosing: which head or group a link is asked for next.
//!
//! In this order: heads of what it offers, a few ahead of their payloads; the next group of
//! whatever is worth most for each byte that still lacks, a payload under way or one
//! whose head is at hand; and, where nothing else is known to be of use, a group ahead
//! of a head that is still to come, since most updates fit into one.

use std::sync::Arc;

use super::link::{Ask, Link, Pick};
use super::transfer::Partial;
use super::wants::UNKNOWN;
use super::{Agent, LinkId, Output};
use crate::bundle::{BundleHead, BundleId};
use crate::groups::groups_in;
use crate::routing::quota::{Density, Value};
use crate::time::Timestamp;

impl Agent {
    /// The next thing to ask a link for, if there is any.
    pub(super) fn choose(&mut self, now: Timestamp, link: LinkId) -> Option<Ask> {
        if let Some(ask) = self.look_ahead(link) {
            return Some(ask);
        }
        loop {
            let state = self.links.get(&link)?;
            let under_way = self.best_under_way(link, state);
            let waiting = self.wants.best(|id| state.offers.contains(id));
            let waiting = waiting.filter(|(best, _)| under_way.is_none_or(|(it, _)| *best > it));
            if let Some((_, id)) = waiting
                && self.begin_wanted(now, link, id)
            {
                continue;
            }
            if let Some((_, ask)) = under_way {
                return Some(ask);
            }
            if let Some(ask) = self.ask_unseen(link) {
                return Some(ask);
            }
            if !self.begin_next(link) {
                return None;
            }
        }
    }

    /// The peer says what a bundle is worth.
    pub(super) fn on_worth(&mut self, now: Timestamp, id: &BundleId, value: Value) {
        if let Some(partial) = self.transfers.partial_mut(id) {
            partial.value = Some(value);
        }
        if self.wants.appraise(id, value) {
            self.ask_all(now);
        }
    }

    /// The head of a want came, or is known from a transfer that was cut.
    pub(super) fn know_want(&mut self, link: LinkId, head: &Arc<BundleHead>, left: u64) {
        let id = head.id();
        self.wants.know(&id, head.clone(), left);
        if !self.config.appraises {
            self.wants.appraise(&id, UNKNOWN);
        }
        self.announce_arrival(link, head);
    }

    /// Tells the peer that a payload is about to come, where it asked for that.
    pub(super) fn announce_arrival(&mut self, link: LinkId, head: &Arc<BundleHead>) {
        let is_large = head.payload_len() > self.config.payload_bytes_unasked;
        if (is_large || self.config.appraises)
            && let Some(from) = self.links.get(&link).map(|state| state.peer)
        {
            self.outputs.push_back(Output::Arriving { head: head.clone(), from });
        }
    }

    /// What becomes of an id that a link offers.
    fn pick(&self, id: &BundleId) -> Pick {
        if self.is_settled(id) {
            Pick::Drop
        } else if self.transfers.is_busy(id) || self.wants.has(id) {
            Pick::Skip
        } else {
            Pick::Take
        }
    }

    /// The next head to ask for ahead of payloads.
    fn look_ahead(&mut self, link: LinkId) -> Option<Ask> {
        loop {
            let ahead = self.links.get(&link).filter(|it| !it.offers.is_looked_at())?.heads_ahead();
            if self.wants.of_link(link) >= ahead {
                return None;
            }
            let mut state = self.links.remove(&link)?;
            let picked = state.offers.look_ahead(|id| self.pick(id));
            self.links.insert(link, state);
            let id = picked?;
            if !self.wants.begin(id, link) {
                return None;
            }
            let cut = self.transfers.partial(&id);
            match cut.and_then(|partial| partial.head.clone().zip(partial.left())) {
                Some((head, left)) => self.know_want(link, &head, left),
                None => {
                    // Without its head nothing of it can have been kept.
                    self.transfers.forget(&id);
                    return Some(Ask::Head(id));
                }
            }
        }
    }

    /// The best group of the payloads under way; before all a head that lacks.
    fn best_under_way(&self, link: LinkId, state: &Link) -> Option<(Density, Ask)> {
        let mut best: Option<(Density, std::cmp::Reverse<u64>, Ask)> = None;
        for (id, partial) in self.transfers.asked_of(link) {
            let Some(density) = partial.density() else {
                let ask = Ask::Head(*id);
                if !state.has_asked(&ask) {
                    return Some((Density::of(Value(u64::MAX), 0), ask));
                }
                continue;
            };
            let begun = std::cmp::Reverse(partial.begun);
            let is_better = best.as_ref().is_none_or(|(it, at, _)| (density, begun) > (*it, *at));
            if is_better && let Some(ask) = next_group(state, id, partial) {
                best = Some((density, begun, ask));
            }
        }
        best.map(|(density, _, ask)| (density, ask))
    }

    /// Begins to ask for the payload of a want; false if there is no room for it.
    fn begin_wanted(&mut self, now: Timestamp, link: LinkId, id: BundleId) -> bool {
        if !self.transfers.begin(id, link) {
            return false;
        }
        let want = self.wants.take(&id).expect("it is the best of all");
        let partial = self.transfers.partial_mut(&id).expect("it has begun");
        partial.value = want.value;
        if partial.head.is_none() {
            partial.head = want.head;
        }
        if partial.is_whole() {
            self.finish(now, link, id);
        }
        true
    }

    /// A group ahead of its head.
    fn ask_unseen(&mut self, link: LinkId) -> Option<Ask> {
        if let Some(ask) = self.group_ahead(link) {
            return Some(ask);
        }
        if let Some(id) = self.wants.awaited(link)
            && self.transfers.begin(id, link)
        {
            self.wants.take(&id);
            return self.group_ahead(link);
        }
        None
    }

    /// The first group of a payload whose head is asked for and has not come.
    fn group_ahead(&self, link: LinkId) -> Option<Ask> {
        let state = self.links.get(&link)?;
        let mut unseen = self.transfers.asked_of(link).filter(|(_, it)| it.head.is_none());
        unseen.find_map(|(id, partial)| next_group(state, id, partial))
    }

    /// Begins or resumes the next transfer that this link offers.
    fn begin_next(&mut self, link: LinkId) -> bool {
        let Some(mut state) = self.links.remove(&link) else { return false };
        let skips_max = self.transfers.max() + super::wants::WANTS_MAX;
        let picked = state.offers.pick(skips_max, |id| self.pick(id));
        self.links.insert(link, state);
        picked.is_some_and(|id| self.transfers.begin(id, link))
    }
}

/// The next group of a payload to ask for. Without the head it may be only the first.
fn next_group(state: &Link, id: &BundleId, partial: &Partial) -> Option<Ask> {
    let groups = partial.head.as_ref().map_or(1, |head| groups_in(head.payload_len()));
    let index = state.next_group(id, partial.groups())?;
    (u64::from(index.get()) < groups).then_some(Ask::Group { id: *id, index })
}
