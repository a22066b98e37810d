//! Recording: the peer's own log, and what waits for the disk.

use std::sync::Arc;

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Span;
use longhaul_registry::Record;

use super::{Event, InStore, Output, Peer, PersistRequest, Ticket};

/// Longest time from a change of the set to the version that records it.
const VERSION_DELAY_MAX: Span = Span::from_ms(2_000);

impl Peer {
    pub(super) fn record_genesis(&mut self) {
        let federation = self.manifest.id();
        self.persist(None, vec![Record::Genesis { federation }], InStore::Entries);
    }

    /// Asks for a version record soon, unless one is due already.
    pub(super) fn version_wanted(&mut self) {
        let delay = self.manifest().epoch_length.min(VERSION_DELAY_MAX);
        self.version_due.get_or_insert(self.now.plus(delay));
    }

    pub(super) fn record_version_if_due(&mut self) {
        if self.version_due.is_some_and(|due| due <= self.now) {
            self.record_version();
        }
    }

    /// Records what the fold holds now as a version, unless updates that the log
    /// names are still to be fetched again (the log would not explain it), payloads lack that a sum stood for, or the
    /// newest version is of the same set.
    pub fn record_version(&mut self) {
        self.version_due = None;
        let set_root = self.fold.set_root();
        let lacks = !self.missing.is_empty() || !self.fold.is_complete();
        if lacks || self.recorded == Some(set_root) {
            return;
        }
        self.recorded = Some(set_root);
        let epoch = self.manifest().epoch_or_last(self.now);
        let model = self.fold.model_id();
        let updates = self.fold.slot_count() as u64;
        let record = Record::Version { epoch, set_root, model, updates };
        self.persist(None, vec![record], InStore::Entries);
        self.event(Event::Version { epoch, model, updates });
    }

    /// True while the log lacks a version of the set as it is held.
    pub const fn version_is_due(&self) -> bool {
        self.version_due.is_some()
    }

    /// True when a bundle can be taken that came by another way than a contact.
    pub fn has_room(&self) -> bool {
        self.agent.has_room()
    }

    /// True for whom contacts are for: members of the federation, and its couriers.
    pub fn is_welcome(&self, peer: &PeerId) -> bool {
        self.manifest().is_welcome(peer)
    }

    /// Number of bundles accepted and not expired.
    pub fn held_count(&self) -> usize {
        self.agent.len()
    }

    /// The bundles accepted and not expired, in the order of their ids.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.agent.held()
    }

    /// True for a bundle that is accepted and not expired.
    pub fn holds(&self, id: &BundleId) -> bool {
        self.agent.holds(id)
    }

    /// Number of bundles that the log names and whose payloads storage lost; others are asked for them.
    pub fn missing_count(&self) -> usize {
        self.missing.len()
    }

    /// Number of persist requests that are not durable yet.
    pub fn in_store(&self) -> usize {
        self.in_store.len()
    }

    pub(super) fn persist(
        &mut self,
        payload: Option<(ContentHash, Arc<[u8]>)>,
        records: Vec<Record>,
        then: InStore,
    ) {
        self.persist_and_forget(payload, records, then, Vec::new());
    }

    /// The same, after which storage may delete the payloads in `forget`.
    pub(super) fn persist_and_forget(
        &mut self,
        payload: Option<(ContentHash, Arc<[u8]>)>,
        records: Vec<Record>,
        then: InStore,
        forget: Vec<ContentHash>,
    ) {
        let now = self.now;
        let entries = records.into_iter().map(|record| self.log.append(now, record)).collect();
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.in_store.insert(ticket, then);
        self.outputs.push_back(Output::Persist(PersistRequest {
            ticket,
            payload,
            entries,
            forget,
        }));
    }
}
