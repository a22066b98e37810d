//! Links: the contacts of an agent, and how far each neighbour was served.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::time::Timestamp;

use super::event::LinkId;
use super::facts::NodeNumber;
use super::shelf::{Reader, Shelf, Wanted};
use crate::shell::bundles::BundleKey;
use crate::shell::courier::trust::Standing;

/// One contact.
#[derive(Debug)]
struct Link {
    /// The other node; none only gives.
    node: Option<NodeNumber>,
    standing: Standing,
    bundle_bytes_max: u64,
    /// Places before this one were looked at, but for those in `retries`.
    cursor: u64,
    retries: BTreeSet<u64>,
    /// Bundles under way, with their bytes.
    under_way: BTreeMap<BundleKey, u64>,
    under_way_bytes: u64,
    /// Nothing is sent before.
    paused_until: Option<Timestamp>,
}

/// All contacts.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<LinkId, Link>);

impl Links {
    pub fn up(
        &mut self,
        link: LinkId,
        node: Option<NodeNumber>,
        standing: Standing,
        bundle_bytes_max: u64,
    ) {
        let new = Link {
            node,
            standing,
            bundle_bytes_max,
            cursor: 0,
            retries: BTreeSet::new(),
            under_way: BTreeMap::new(),
            under_way_bytes: 0,
            paused_until: None,
        };
        self.0.insert(link, new);
    }

    pub fn down(&mut self, link: LinkId) {
        self.0.remove(&link);
    }

    /// The node behind a contact.
    pub fn node_of(&self, link: LinkId) -> Option<NodeNumber> {
        self.0.get(&link)?.node
    }

    /// True for a contact with a node that the operator named.
    pub fn is_believed(&self, link: LinkId) -> bool {
        self.0.get(&link).is_some_and(|link| link.standing == Standing::Neighbour)
    }

    /// A bundle is not under way any more.
    pub fn answered(&mut self, link: LinkId, key: BundleKey) {
        if let Some(link) = self.0.get_mut(&link)
            && let Some(bytes) = link.under_way.remove(&key)
        {
            link.under_way_bytes -= bytes;
        }
    }

    /// Sends nothing before `until`.
    pub fn pause(&mut self, link: LinkId, until: Timestamp) {
        if let Some(link) = self.0.get_mut(&link) {
            link.paused_until = Some(until);
        }
    }

    /// Looks at the bundle of this place again.
    pub fn retry(&mut self, link: LinkId, place: Option<u64>) {
        if let Some(link) = self.0.get_mut(&link) {
            link.retries.extend(place);
        }
    }

    /// Looks at the bundle of this place again, whoever it is for.
    pub fn retry_everywhere(&mut self, place: u64) {
        self.0.values_mut().for_each(|link| _ = link.retries.insert(place));
    }

    /// When the next pause is over.
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|link| link.paused_until).min()
    }

    /// The contacts that have room at `now`. A node with more than one is served over the first, of those
    /// over which it is a neighbour if there is one, so that nothing goes to it twice.
    pub fn open_links(&mut self, now: Timestamp, bundles: usize, bytes: u64) -> Vec<LinkId> {
        let mut served = BTreeSet::new();
        let mut open = Vec::new();
        let mut links: Vec<_> = self.0.iter_mut().collect();
        links.sort_by_key(|(id, link)| (link.standing != Standing::Neighbour, **id));
        for (&id, link) in links {
            if link.paused_until.is_some_and(|until| until <= now) {
                link.paused_until = None;
            }
            let is_first = link.node.is_some_and(|node| served.insert(node));
            if is_first && link.paused_until.is_none() && link.has_room(bundles, bytes) {
                open.push(id);
            }
        }
        open
    }

    /// All contacts.
    pub fn all(&self) -> Vec<LinkId> {
        self.0.keys().copied().collect()
    }

    /// True when a contact has room, and is not left alone.
    pub fn is_open(&self, link: LinkId, bundles: usize, bytes: u64) -> bool {
        let link = self.0.get(&link);
        link.is_some_and(|it| it.paused_until.is_none() && it.has_room(bundles, bytes))
    }

    /// Most bytes of a bundle that the neighbour takes.
    pub fn bundle_bytes_max(&self, link: LinkId) -> u64 {
        self.0.get(&link).map_or(0, |link| link.bundle_bytes_max)
    }

    /// A bundle is under way over a contact from now on.
    pub fn begin(&mut self, link: LinkId, key: BundleKey, bytes: u64) {
        if let Some(link) = self.0.get_mut(&link) {
            link.under_way.insert(key, bytes);
            link.under_way_bytes += bytes;
        }
    }

    /// The next bundle for a contact, which is under way from now on.
    pub fn next_for(
        &mut self,
        link: LinkId,
        shelf: &Shelf,
        bundles: usize,
        bytes: u64,
    ) -> Option<(BundleKey, Timestamp)> {
        let link = self.0.get_mut(&link)?;
        if !link.has_room(bundles, bytes) {
            return None;
        }
        let (key, bytes, expires) = link.next(shelf)?;
        link.under_way.insert(key, bytes);
        link.under_way_bytes += bytes;
        Some((key, expires))
    }
}

impl Link {
    fn has_room(&self, bundles: usize, bytes: u64) -> bool {
        self.under_way.len() < bundles && self.under_way_bytes < bytes
    }

    fn next(&mut self, shelf: &Shelf) -> Option<Wanted> {
        let reader = Reader {
            node: self.node?,
            takes_all: self.standing == Standing::Neighbour,
            bytes_max: self.bundle_bytes_max,
        };
        while let Some(place) = self.retries.pop_first() {
            if let Some(found) = shelf.wanted_at(place, &reader) {
                return Some(found);
            }
        }
        match shelf.first_for(self.cursor, &reader) {
            Some((place, found)) => {
                self.cursor = place + 1;
                Some(found)
            }
            None => {
                self.cursor = shelf.end();
                None
            }
        }
    }
}
