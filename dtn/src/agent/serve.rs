//! Serving: what an agent lists, announces and answers.

use super::inventory::Place;
use super::link::Stage;
use super::{Agent, CloseReason, LinkId};
use crate::bundle::BundleId;
use crate::frame::{Frame, HAVE_IDS_MAX, Page, PageStart};
use crate::time::Timestamp;

impl Agent {
    /// Tells every other side that does not have it about a new bundle.
    pub(super) fn announce(&mut self, id: BundleId) {
        let unaware = |(&link, state): (&LinkId, &super::link::Link)| {
            (state.stage == Stage::Ready && !state.offers.contains(&id)).then_some(link)
        };
        let links: Vec<LinkId> = self.links.iter().filter_map(unaware).collect();
        for link in links {
            self.transmit(link, &Frame::Have { ids: vec![id], page: Page::Last });
        }
    }

    /// Sends the page of ids behind `place`.
    pub(super) fn list(&mut self, link: LinkId, place: Option<Place>) {
        let (ids, next) = self.inventory.page(place, HAVE_IDS_MAX);
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.listed_to = next;
        let page = if next.is_some() { Page::Continued } else { Page::Last };
        self.transmit(link, &Frame::Have { ids, page });
    }

    pub(super) fn on_more(&mut self, link: LinkId, from: PageStart) {
        let listed_to = self.links.get(&link).and_then(|state| state.listed_to);
        match (from, listed_to) {
            (PageStart::Newest, _) => self.list(link, None),
            (PageStart::AfterLast, Some(place)) => self.list(link, Some(place)),
            (PageStart::AfterLast, None) => {
                self.close(link, CloseReason::OutOfOrder("a page behind the last one"));
            }
        }
    }

    pub(super) fn on_want_head(&mut self, now: Timestamp, link: LinkId, id: BundleId) {
        let held = self.inventory.get(&id);
        // The hop fields are unsigned: a relay that exhausts them must not be
        // able to stop a bundle. Bundles are pulled by id, once, so none loops.
        let head = held
            .map(|held| held.head.encode_for_next_hop(now).unwrap_or_else(|| held.head.encode()));
        let answer = head.map_or(Frame::Gone(id), |head| Frame::Head { id, head });
        self.transmit(link, &answer);
    }

    pub(super) fn on_want_range(&mut self, link: LinkId, id: BundleId, offset: u64, len: u32) {
        let Some(held) = self.inventory.get(&id).filter(|_| self.inventory.offers(&id)) else {
            return self.transmit(link, &Frame::Gone(id));
        };
        let rest = usize::try_from(offset).ok().and_then(|start| held.payload.get(start..));
        let Some(rest) = rest else {
            return self.close(link, CloseReason::OutOfOrder("a range behind the payload's end"));
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
        let bytes = rest[..len].to_vec();
        self.transmit(link, &Frame::Range { id, offset, bytes });
    }
}
