//! Serving: what an agent lists, announces and answers.

use super::link::Stage;
use super::reconcile::Outgoing;
use super::{Agent, CloseReason, LinkId};
use crate::bundle::BundleId;
use crate::frame::{Frame, Page, PageStart};
use crate::groups::GroupIndex;
use crate::identity::PeerId;
use crate::time::Timestamp;

impl Agent {
    /// Tells every other side that does not have it about a new bundle.
    pub(super) fn announce(&mut self, id: BundleId, to: impl Fn(&PeerId) -> bool) {
        let unaware = |(&link, state): (&LinkId, &super::link::Link)| {
            let is_unaware = state.stage == Stage::Ready && !state.offers.contains(&id);
            let peer = &state.peer;
            (is_unaware && to(peer) && self.inventory.is_for(&id, peer)).then_some(link)
        };
        let links: Vec<LinkId> = self.links.iter().filter_map(unaware).collect();
        for link in links {
            self.transmit(link, &Frame::Have { ids: vec![id], page: Page::Last });
        }
    }

    pub(super) fn on_more(&mut self, link: LinkId, from: PageStart) {
        let Some(state) = self.links.get_mut(&link) else { return };
        match from {
            PageStart::Newest => state.outgoing = Outgoing::Inventory(None),
            PageStart::AfterLast if state.has_more => {}
            PageStart::AfterLast => {
                return self.close(link, CloseReason::OutOfOrder("a page behind the last one"));
            }
        }
        self.list(link);
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

    pub(super) fn on_want_group(&mut self, link: LinkId, id: BundleId, index: GroupIndex) {
        let Some(held) = self.inventory.get(&id) else {
            return self.transmit(link, &Frame::Gone(id));
        };
        let Some(proof) = self.trees.proof(&id, &held.payload, index) else {
            return self.close(link, CloseReason::OutOfOrder("a group behind the payload's end"));
        };
        let len = index.len_in(held.payload.len() as u64).expect("it has a proof");
        let start = usize::try_from(index.offset()).expect("it lies in memory");
        let bytes = &held.payload[start..][..len as usize];
        let frame = Frame::Group { id, index, proof, bytes }.encode_view();
        self.transmit_bytes(link, frame);
    }
}
