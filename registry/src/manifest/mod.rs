//! Manifest: everything that the members of a federation agree on beforehand.
//!
//! Verdicts and models are pure functions of (manifest, set of updates), so
//! whatever influences them stands here: the schema, the seed of the initial
//! parameters, the epochs, the recipe, the members and the bounds. The
//! manifest is a value; [`Manifest::sign`] makes the signed, immutable form
//! that gives the federation its id.

mod check;
mod encoding;
mod forecast;
mod signed;
mod summary;

use std::sync::Arc;

use longhaul_aggregation::{Encoding, Epoch, MemberIndex, Recipe, Schema, SealPolicy, Setting};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::{Span, Timestamp};

use crate::bounds::Bounds;
use crate::ceremony::CeremonyPlan;
use crate::committee::Committee;
use crate::federation::FederationId;
use crate::plan::TrainingPlan;
use crate::privacy::Privacy;
use crate::proving::ProofPolicy;
use crate::task::Task;

pub(crate) use check::HEAD_BLOCKS_BYTES_MAX;
pub(crate) use encoding::read_peer;

pub use check::{
    ATTACKER_SHARE_PERMILLE_MAX, EPOCH_LENGTH_MAX, EPOCH_LENGTH_MIN, EPOCHS_MAX, InvalidManifest,
    MEMBERS_MAX, NAME_BYTES_MAX, PUBLISHERS_MAX, START_MAX,
};
pub use signed::{MANIFEST_BYTES_MAX, ManifestError, SignedManifest, TermsError};
pub use summary::ManifestSummary;

/// What a federation is. See [`Manifest::validate`] for the ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What people call the federation; carries no meaning.
    pub name: String,
    /// Who signs the manifest; need not be a member.
    pub creator: PeerId,
    /// The federation that this one follows, if any.
    pub parent: Option<FederationId>,
    /// Seed of the initial parameters.
    pub seed: [u8; 32],
    /// What is learnt from what.
    pub task: Task,
    /// Names and shapes of the parameters.
    pub schema: Arc<Schema>,
    /// When epoch 0 begins.
    pub start: Timestamp,
    /// How long each epoch lasts.
    pub epoch_length: Span,
    /// Number of epochs.
    pub epochs: u32,
    /// What each peer does locally in an epoch.
    pub training: TrainingPlan,
    /// How updates become a term of the model.
    pub recipe: Recipe,
    /// Share of members assumed to attack, in thousandths.
    pub attacker_share_permille: u16,
    /// Who may fill slots: sorted, distinct.
    pub members: Vec<PeerId>,
    /// Who vouches for each member, by its index: the number of a trust root, such as an
    /// organisation, or zero for none; empty where nobody has any.
    pub trust_roots: Vec<u16>,
    /// What one update may weigh.
    pub bounds: Bounds,
    /// Who may publish in an epoch; none lets all members.
    pub committee: Option<Committee>,
    /// When epochs are closed for good; none keeps all of them open.
    pub seal: Option<SealPolicy>,
    /// How updates are quantised and written.
    pub encoding: Encoding,
    /// The keys with which updates are encrypted, and who carries them; none leaves them in clear.
    pub privacy: Option<Privacy>,
    /// What authors prove about their updates; none asks for nothing.
    pub proofs: Option<ProofPolicy>,
    /// What keys its members make together; then nothing is trained. None in all other federations.
    pub ceremony: Option<CeremonyPlan>,
    /// Buckets travel as sums: for so many epochs after its own an update is offered to the members of its bucket alone, and to
    /// others only in an aggregate; then to everybody, unless an aggregate has it. None makes no aggregates.
    pub aggregates: Option<u32>,
}

impl Manifest {
    /// The index under which the fold knows `peer`, if it is a member.
    pub fn member_index(&self, peer: &PeerId) -> Option<MemberIndex> {
        let index = self.members.binary_search(peer).ok()?;
        u16::try_from(index).ok().map(MemberIndex::new)
    }

    /// The member of that index.
    pub fn member(&self, index: MemberIndex) -> Option<PeerId> {
        self.members.get(index.index()).copied()
    }

    /// The epoch in which `now` lies; none before the start and after the end.
    pub fn epoch_at(&self, now: Timestamp) -> Option<Epoch> {
        let epoch = self.clock_epoch(now);
        (now >= self.start && epoch.get() < self.epochs).then_some(epoch)
    }

    /// The epoch of the clock, as if there were no last one; the first before the start.
    pub fn clock_epoch(&self, now: Timestamp) -> Epoch {
        let number = now.since(self.start).ms().checked_div(self.epoch_length.ms());
        Epoch::new(number.and_then(|it| u32::try_from(it).ok()).unwrap_or(u32::MAX))
    }

    /// The epoch in which `now` lies, the first before the start, the last
    /// after the end.
    pub fn epoch_or_last(&self, now: Timestamp) -> Epoch {
        let last = self.epochs.saturating_sub(1);
        match self.epoch_at(now) {
            Some(epoch) => epoch,
            None if now < self.start => Epoch::new(0),
            None => Epoch::new(last),
        }
    }

    /// When `epoch` begins.
    pub const fn epoch_start(&self, epoch: Epoch) -> Timestamp {
        self.start.plus(self.epoch_length.times(epoch.get() as u64))
    }

    /// When the last epoch is over.
    pub const fn end(&self) -> Timestamp {
        self.start.plus(self.epoch_length.times(self.epochs as u64))
    }

    /// True once the last epoch is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end()
    }

    /// The numbers that merging depends on beside the recipe.
    pub fn setting(&self) -> Setting {
        Setting {
            members: self.members.len(),
            committee: self.committee.map(|committee| committee.size),
            attacker_share_permille: self.attacker_share_permille,
            summary_window: u32::from(self.bounds.summary_window),
        }
    }

    /// How many epochs of its local change an author gathers for one update.
    pub fn accumulate_epochs_max(&self) -> u32 {
        self.committee.map_or(1, |committee| u32::from(committee.accumulate_epochs_max))
    }

    /// F, the number of attackers assumed in an epoch: the share of those who
    /// publish in it, rounded down.
    pub fn attackers(&self) -> usize {
        self.setting().attackers(1)
    }
}
