//! Ceremony: contributions that members of a ceremony exchange.
//!
//! In a federation that makes keys nobody trains: each bundle is a contribution or is refused. The peer checks who made it, where it
//! says that it belongs and how many its maker has made; not its points, which take seconds. Whoever builds on contributions verifies their
//! chains first. What was taken stays, also when its bundle has expired and travels no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::identity::PeerId;
use longhaul_registry::ceremony::{CONTRIBUTIONS_MAX, Part};
use longhaul_registry::{ContributionHeader, ContributionRefusal, Record};

use super::{Event, InStore, Peer};

/// The contributions that a peer has taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Contributions {
    held: BTreeMap<BundleId, (ContributionHeader, Held)>,
    /// All that the log names, those included whose payloads were lost.
    taken: BTreeMap<(PeerId, Part), BTreeSet<BundleId>>,
}

/// A contribution that a peer holds.
#[derive(Debug, Clone, Copy)]
pub struct Contribution<'a> {
    /// What its bundle says of it.
    pub header: &'a ContributionHeader,
    /// Who signed it.
    pub contributor: PeerId,
    /// Its bytes.
    pub bytes: &'a Arc<[u8]>,
}

impl Contributions {
    /// Notes one that the log names.
    pub fn note(&mut self, head: &BundleHead, part: Part) {
        self.taken.entry((head.author(), part)).or_default().insert(head.id());
    }

    /// Holds one whose payload is there.
    pub fn hold(&mut self, header: ContributionHeader, held: Held) {
        self.note(&held.head, header.part);
        self.held.insert(held.head.id(), (header, held));
    }

    fn has_room(&self, head: &BundleHead, part: Part) -> bool {
        let taken = self.taken.get(&(head.author(), part));
        taken.is_none_or(|it| it.len() < CONTRIBUTIONS_MAX || it.contains(&head.id()))
    }
}

impl Peer {
    /// The contributions that were taken, in the order of their bundles' ids.
    pub fn contributions(&self) -> impl Iterator<Item = Contribution<'_>> {
        self.contributions.held.values().map(|(header, held)| Contribution {
            header,
            contributor: held.head.author(),
            bytes: &held.payload,
        })
    }

    /// How many contributions of a member to a part were taken.
    pub fn contributions_of(&self, member: PeerId, part: Part) -> usize {
        self.contributions.taken.get(&(member, part)).map_or(0, BTreeSet::len)
    }

    /// Why a contribution is not taken, as far as its head tells.
    pub(super) fn screen_contribution(
        &self,
        head: &BundleHead,
    ) -> Result<ContributionHeader, ContributionRefusal> {
        let header = self.manifest.screen_contribution(head)?;
        match self.contributions.has_room(head, header.part) {
            true => Ok(header),
            false => Err(ContributionRefusal::TooMany),
        }
    }

    /// Judges a bundle of a ceremony.
    pub(super) fn judge_contribution(&mut self, held: Held, from: PeerId) {
        let id = held.head.id();
        let contributor = held.head.author();
        let author = self.manifest().member_index(&contributor);
        let judged = self.screen_contribution(&held.head);
        match judged.and_then(|_| self.manifest.admit_contribution(&held.head, &held.payload)) {
            Ok(header) => {
                let payload = (held.head.payload_hash(), held.payload.clone());
                let giver = (from != self.key.peer_id()).then_some(from);
                let record = Record::Contribution { head: held.head.encode(), from: giver };
                self.missing.remove(&id);
                self.contributions.hold(header, held);
                self.persist(Some(payload), vec![record], InStore::Carried { bundle: id });
                self.event(Event::Contribution { part: header.part, contributor, from });
            }
            Err(refusal) => {
                self.reject(id, (from, author), refusal.code(), refusal.to_string());
            }
        }
    }
}
