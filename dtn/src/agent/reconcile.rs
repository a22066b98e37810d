//! Reconciliation: how two agents find out what either lacks.
//!
//! Where one side holds few bundles, both list what they hold. Otherwise the
//! side that holds more sends cells of a sketch, keyed by the nonces of both
//! hellos, until the other knows the difference ([`crate::sketch`]). That one
//! then asks for the ids behind the symbols it lacks, and lists the ids that
//! only it has; from there all goes on as with lists. Where a sketch does not
//! decode, or an agent has no memory to spare for one, it says so and both list.

use std::collections::VecDeque;
use std::mem;

use super::inventory::{Inventory, Place};
use super::link::{Link, Listing};
use super::{Agent, CloseReason, LinkId};
use crate::bundle::BundleId;
use crate::frame::{Frame, HAVE_IDS_MAX, NONCE_BYTES, Page, RESOLVE_SYMBOLS_MAX, Terms};
use crate::identity::PeerId;
use crate::sketch::{
    CellCount, Decoder, Difference, Encoder, KeyedIds, Progress, SketchBatch, SketchError,
    SketchKey, Symbol,
};
use crate::time::Timestamp;

/// Up to so many ids a list is smaller than the first cells, or not much larger.
const LISTED_MAX: u64 = 8;
/// A peer may ask for the ids behind its symbols in so many frames and one for each
/// [`CELLS_PER_RESOLVE`] cells: fewer cells than symbols never decode.
const RESOLVES_LEAST: u32 = 2;
const CELLS_PER_RESOLVE: u32 = RESOLVE_SYMBOLS_MAX as u32 / 2;

/// What is going on about sketches on a link.
#[derive(Debug, Default)]
pub(super) enum Sketching {
    /// Nothing, or nothing any more.
    #[default]
    Idle,
    /// The other side sends the first cells.
    Awaiting(SketchKey),
    /// The other side was asked for more cells.
    Decoding(Box<Decoder>),
    /// The ids behind these symbols remain to be asked for.
    Resolving(VecDeque<Symbol>),
    /// Cells were sent; an answer comes.
    Encoding(Box<Encoding>),
}

/// The side that sends cells.
#[derive(Debug)]
pub(super) struct Encoding {
    encoder: Encoder,
    /// Frames of symbols answered.
    resolves: u32,
}

/// Which of our ids the other side is told next.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// All behind this place, or none more.
    Inventory(Option<Place>),
    /// These.
    Ids(VecDeque<BundleId>),
}

impl Sketching {
    /// Ids kept in memory for it.
    fn ids(&self) -> u64 {
        let set = match self {
            Self::Idle | Self::Awaiting(_) | Self::Resolving(_) => return 0,
            Self::Decoding(decoder) => decoder.set(),
            Self::Encoding(encoding) => encoding.encoder.set(),
        };
        set.size().get().into()
    }

    /// True while the other side owes cells or an answer to cells.
    pub const fn is_owed(&self) -> bool {
        matches!(self, Self::Awaiting(_) | Self::Decoding(_) | Self::Encoding(_))
    }

    /// Ids that the other side has, that we lack, and that have no name yet.
    pub fn unresolved(&self) -> usize {
        if let Self::Resolving(symbols) = self { symbols.len() } else { 0 }
    }

    /// The symbols to ask for next.
    pub fn next_symbols(&mut self) -> Option<(Vec<Symbol>, Page)> {
        let Self::Resolving(symbols) = self else { return None };
        let some = symbols.drain(..symbols.len().min(RESOLVE_SYMBOLS_MAX)).collect();
        let page = if symbols.is_empty() { Page::Last } else { Page::Continued };
        if page == Page::Last {
            *self = Self::Idle;
        }
        Some((some, page))
    }
}

impl Agent {
    /// Begins to find out what either side lacks; both have said hello.
    pub(super) fn reconcile(
        &mut self,
        now: Timestamp,
        link: LinkId,
        theirs: Terms,
        nonce: &[u8; NONCE_BYTES],
    ) {
        let me = self.config.me;
        let Some(state) = self.links.get_mut(&link) else { return };
        state.progress = now;
        let key = SketchKey::between(&state.nonce, nonce);
        let (ours, theirs) = (state.said_held, theirs.held);
        if ours.min(theirs) <= LISTED_MAX {
            return self.list_all(link);
        }
        if (ours, state.peer) < (theirs, me) {
            state.sketch = Sketching::Awaiting(key);
            return;
        }
        let peer = state.peer;
        let Some(set) = self.keyed_ids(key, peer) else { return self.give_up_sketch(link) };
        let encoding = Encoding { encoder: Encoder::new(set), resolves: 0 };
        self.send_cells(link, encoding, CellCount::FIRST);
    }

    /// The ids offered to a peer, for a sketch; none where the memory for sketches is in use.
    fn keyed_ids(&self, key: SketchKey, peer: PeerId) -> Option<KeyedIds> {
        let in_use: u64 = self.links.values().map(|link| link.sketch.ids()).sum();
        let free = self.config.bounds.sketch_ids_max.saturating_sub(in_use);
        if self.inventory.len() as u64 > free {
            return None;
        }
        KeyedIds::new(key, self.inventory.ids_for(peer)).ok()
    }

    /// Says that there are no sketches in this contact, and lists.
    fn give_up_sketch(&mut self, link: LinkId) {
        self.transmit(link, &Frame::List);
        self.list_all(link);
    }

    fn send_cells(&mut self, link: LinkId, mut encoding: Encoding, count: CellCount) {
        let Ok(batch) = encoding.encoder.batch(count) else {
            return self.give_up_sketch(link);
        };
        if let Some(state) = self.links.get_mut(&link) {
            state.sketch = Sketching::Encoding(Box::new(encoding));
        }
        self.transmit(link, &Frame::Cells(batch));
    }

    pub(super) fn on_more_cells(&mut self, now: Timestamp, link: LinkId, count: CellCount) {
        match self.take_sketch(now, link) {
            Sketching::Encoding(encoding) => self.send_cells(link, *encoding, count),
            _ => self.close(link, CloseReason::OutOfOrder("a question for cells")),
        }
    }

    pub(super) fn on_cells(&mut self, now: Timestamp, link: LinkId, batch: &SketchBatch) {
        let Some(peer) = self.links.get(&link).map(|state| state.peer) else { return };
        let mut decoder = match self.take_sketch(now, link) {
            Sketching::Decoding(decoder) => decoder,
            Sketching::Awaiting(key) => match self.keyed_ids(key, peer) {
                Some(set) => {
                    let cells_max = self.cells_max(link, &set);
                    Box::new(Decoder::new(set, cells_max))
                }
                None => return self.give_up_sketch(link),
            },
            _ => return self.close(link, CloseReason::OutOfOrder("cells")),
        };
        match decoder.push(batch) {
            Ok(Progress::More(count)) => {
                if let Some(state) = self.links.get_mut(&link) {
                    state.sketch = Sketching::Decoding(decoder);
                }
                self.transmit(link, &Frame::MoreCells(count));
            }
            Ok(Progress::Done(difference)) => self.on_difference(link, difference),
            Err(SketchError::Order { .. }) => {
                self.close(link, CloseReason::OutOfOrder("cells behind the next ones"));
            }
            Err(_) => self.give_up_sketch(link),
        }
    }

    /// From so many cells on, lists would have been smaller.
    fn cells_max(&self, link: LinkId, set: &KeyedIds) -> CellCount {
        let theirs = self.links.get(&link).map_or(0, |state| state.their_held);
        let both = theirs.saturating_add(u64::from(set.size().get()));
        let count = u32::try_from(both).unwrap_or(u32::MAX).min(CellCount::MAX.get());
        CellCount::new(count).unwrap_or(CellCount::FIRST).max(CellCount::FIRST)
    }

    fn on_difference(&mut self, link: LinkId, difference: Difference) {
        let ours = self.inventory.newest_first(difference.only_ours);
        let Some(state) = self.links.get_mut(&link) else { return };
        state.outgoing = Outgoing::Ids(ours.into());
        if difference.only_theirs.is_empty() {
            state.listing = Listing::Complete;
            self.transmit(link, &Frame::Resolve { symbols: vec![], page: Page::Last });
        } else {
            state.listing = Listing::Paused;
            state.sketch = Sketching::Resolving(difference.only_theirs.into());
            self.ask_for_ids(link);
        }
        self.list(link);
    }

    pub(super) fn on_resolve(
        &mut self,
        now: Timestamp,
        link: LinkId,
        symbols: &[Symbol],
        page: Page,
    ) {
        let Sketching::Encoding(mut encoding) = self.take_sketch(now, link) else {
            return self.close(link, CloseReason::OutOfOrder("symbols"));
        };
        encoding.resolves += 1;
        if encoding.resolves > RESOLVES_LEAST + encoding.encoder.sent() / CELLS_PER_RESOLVE {
            return self.close(link, CloseReason::OutOfOrder("more symbols than cells"));
        }
        if !symbols.is_empty() {
            let ids = self.inventory.newest_first(encoding.encoder.set().resolve(symbols));
            self.transmit(link, &Frame::Have { ids, page });
        }
        if page == Page::Continued
            && let Some(state) = self.links.get_mut(&link)
        {
            state.sketch = Sketching::Encoding(encoding);
        }
    }

    /// The other side wants lists instead of a sketch.
    pub(super) fn on_list(&mut self, now: Timestamp, link: LinkId) {
        if self.take_sketch(now, link).is_owed() {
            self.list_all(link);
        } else {
            self.close(link, CloseReason::OutOfOrder("no sketch to give up"));
        }
    }

    /// Takes what goes on about sketches; what came is progress.
    fn take_sketch(&mut self, now: Timestamp, link: LinkId) -> Sketching {
        self.links.get_mut(&link).map_or(Sketching::Idle, |state| {
            if state.sketch.is_owed() {
                state.went_on(now);
            }
            mem::take(&mut state.sketch)
        })
    }

    /// Lists everything, from the newest on.
    fn list_all(&mut self, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link) {
            state.outgoing = Outgoing::Inventory(None);
        }
        self.list(link);
    }

    /// Sends the next page of ids.
    pub(super) fn list(&mut self, link: LinkId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let (ids, page) = next_page(&self.inventory, state);
        self.transmit(link, &Frame::Have { ids, page });
    }
}

fn next_page(inventory: &Inventory, state: &mut Link) -> (Vec<BundleId>, Page) {
    let (ids, more) = match &mut state.outgoing {
        Outgoing::Inventory(place) => {
            let (ids, next) = inventory.page(*place, HAVE_IDS_MAX, &state.peer);
            *place = next;
            (ids, next.is_some())
        }
        Outgoing::Ids(ids) => {
            let page = ids.drain(..ids.len().min(HAVE_IDS_MAX)).collect();
            (page, !ids.is_empty())
        }
    };
    state.has_more = more;
    (ids, if more { Page::Continued } else { Page::Last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    fn set(count: u8) -> KeyedIds {
        let key = SketchKey::between(&[1; 32], &[2; 32]);
        let ids = (0..count).map(|it| BundleId::from_hash(ContentHash::of(&[it])));
        KeyedIds::new(key, ids).unwrap()
    }

    fn symbols(count: usize) -> VecDeque<Symbol> {
        (0..count as u64).map(|it| Symbol::from_bytes(it.to_be_bytes())).collect()
    }

    #[test]
    fn symbols_are_asked_for_in_pages_and_the_last_ends_it() {
        let mut sketch = Sketching::Resolving(symbols(2 * RESOLVE_SYMBOLS_MAX + 1));
        for (len, page) in [
            (RESOLVE_SYMBOLS_MAX, Page::Continued),
            (RESOLVE_SYMBOLS_MAX, Page::Continued),
            (1, Page::Last),
        ] {
            let (some, found) = sketch.next_symbols().unwrap();
            assert_eq!((some.len(), found), (len, page));
        }
        assert!(matches!(sketch, Sketching::Idle));
        assert_eq!(sketch.next_symbols(), None);
    }

    #[test]
    fn a_full_page_of_symbols_is_the_last_where_no_more_follow() {
        let mut sketch = Sketching::Resolving(symbols(RESOLVE_SYMBOLS_MAX));
        assert_eq!(sketch.unresolved(), RESOLVE_SYMBOLS_MAX);
        assert_eq!(sketch.next_symbols().unwrap().1, Page::Last);
        assert_eq!(sketch.unresolved(), 0);
    }

    #[test]
    fn only_the_sides_of_a_sketch_keep_ids_and_are_owed_something() {
        let key = *set(0).key();
        let encoder = Encoder::new(set(30));
        let encoding = Encoding { encoder, resolves: 0 };
        let decoder = Decoder::new(set(20), CellCount::FIRST);
        for (sketch, ids, is_owed) in [
            (Sketching::Idle, 0, false),
            (Sketching::Awaiting(key), 0, true),
            (Sketching::Decoding(Box::new(decoder)), 20, true),
            (Sketching::Resolving(symbols(9)), 0, false),
            (Sketching::Encoding(Box::new(encoding)), 30, true),
        ] {
            assert_eq!((sketch.ids(), sketch.is_owed()), (ids, is_owed), "{sketch:?}");
        }
    }
}
