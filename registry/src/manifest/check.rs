//! What makes a manifest sound: the range of every value, and how the values
//! have to fit one another.
//!
//! A manifest is checked when it is signed and again whenever it is read, so
//! that every other piece of code may rely on these ranges.

use longhaul_aggregation::{Buckets, EncodingError, HeaderLimits, RecipeError};
use longhaul_dtn::bundle::{CONFIDENTIAL_HEADER_BYTES, HEADER_BYTES_MAX};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::{Span, Timestamp};

use super::Manifest;
use crate::bounds::{BUNDLE_LIFETIME_MAX, PAYLOAD_BYTES_MAX, SUMMARY_WINDOW_MAX};
use crate::ceremony::CeremonyPlanError;
use crate::committee::ACCUMULATE_EPOCHS_MAX;
use crate::plan::{
    BATCH_MAX, MOMENTUM_PERMILLE_MAX, PERMILLE, PROXIMAL_MILLI_MAX, RATE_MICRO_MAX, STEPS_MAX,
};
use crate::privacy::{COURIERS_MAX, PRIVATE_MEMBERS_MAX};
use crate::proving::ProofPolicyError;
use crate::record::HEAD_BYTES_MAX;
use crate::seal::SNAPSHOT_BYTES_MAX;
use crate::task::TASK_NAME_BYTES_MAX;

/// More than the blocks of a head take beside header and proof.
pub(crate) const HEAD_BLOCKS_BYTES_MAX: usize = 2 * 1024;
/// Most bytes of a federation's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Most members of a federation.
pub const MEMBERS_MAX: usize = 16_384;
/// Most members who publish in an epoch: with more of them a committee is drawn.
pub const PUBLISHERS_MAX: usize = 1_024;
/// Most slots that a base summary is expected to name: at three bytes each they
/// leave room in a header's 60 KiB.
const SUMMARY_SLOTS_MAX: usize = 16 * 1_024;
/// Most epochs of a federation; a successor names it as its parent.
pub const EPOCHS_MAX: u32 = 1_000_000;
/// Shortest epoch.
pub const EPOCH_LENGTH_MIN: Span = Span::from_ms(100);
/// Longest epoch: a year.
pub const EPOCH_LENGTH_MAX: Span = Span::from_ms(366 * 24 * 3_600_000);
/// Latest start, some 8,900 years from 2000: sums of times stay far from overflow.
pub const START_MAX: Timestamp = Timestamp::from_dtn_ms(1 << 48);
/// Largest share of attackers: no rule survives half of the members.
pub const ATTACKER_SHARE_PERMILLE_MAX: u16 = 499;

/// What is wrong with the values of a manifest, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// A name is empty, too long or not printable; holds which and the most bytes.
    #[error("{0} has to be 1 to {1} printable bytes without space at its ends")]
    Text(&'static str, usize),
    /// There are no members, or too many; holds the number.
    #[error("{0} members, a federation has 1 to {MEMBERS_MAX}; list fewer or split it")]
    MemberCount(usize),
    /// The members are not in ascending order; holds the first out of place.
    #[error("member {0} is out of order; sort the members by the bytes of their ids")]
    MembersUnsorted(PeerId),
    /// A member is listed twice; holds it.
    #[error("member {0} is listed twice; list it once")]
    MemberTwice(PeerId),
    /// Trust roots are listed for another number of members.
    #[error("{roots} trust roots for {members} members; list one for each, zero for none")]
    TrustRoots {
        /// Roots listed.
        roots: usize,
        /// Members.
        members: usize,
    },
    /// Authors are gathered by trust roots, of which there are none, or trust roots are listed
    /// that nothing asks for.
    #[error("trust roots go with buckets by root; list roots and ask for such buckets, or neither")]
    TrustRootsUnused,
    /// The attackers assumed could have half of the votes.
    #[error(
        "trust roots leave {votes} votes where the rule needs {least} for the attackers assumed; \
         choose more buckets of each root, more roots or a smaller share of attackers"
    )]
    Votes {
        /// Votes that all members have together.
        votes: usize,
        /// The fewest that the rule needs.
        least: usize,
    },
    /// The quorum cannot be reached or asks for nobody.
    #[error(
        "a quorum of {quorum} distinct authors among {members} members; name more members or choose a quorum of 1 to {members}"
    )]
    Quorum {
        /// The recipe's quorum.
        quorum: u16,
        /// Number of members.
        members: usize,
    },
    /// Too many members publish in an epoch; holds their number.
    #[error("{0} members publish in every epoch; draw a committee of at most {PUBLISHERS_MAX}")]
    Publishers(usize),
    /// The committee is empty or larger than the membership.
    #[error("a committee of {size} among {members} members; choose 1 to {members}")]
    CommitteeSize {
        /// The committee's size.
        size: u16,
        /// Number of members.
        members: usize,
    },
    /// An author gathers no change, or that of too many epochs; holds their number.
    #[error("change of {0} epochs gathered; choose 1 to {ACCUMULATE_EPOCHS_MAX}")]
    Accumulation(u16),
    /// The slots that a base summary speaks of do not fit a header; holds their
    /// expected number.
    #[error("base summaries of {0} slots; choose a smaller window or committee")]
    SummarySlots(usize),
    /// The epochs are too short or too long; holds their length.
    #[error("epochs of {0}; choose {EPOCH_LENGTH_MIN} to {EPOCH_LENGTH_MAX}")]
    EpochLength(Span),
    /// There are no epochs, or too many; holds the number.
    #[error(
        "{0} epochs; choose 1 to {EPOCHS_MAX}, or longer epochs: a new manifest begins training anew"
    )]
    Epochs(u32),
    /// The start is absurdly late.
    #[error("the start lies more than 8,900 years ahead; check its unit, milliseconds")]
    Start,
    /// A value of the training plan is out of range.
    #[error("training plan: {what} is {found}; choose 1 to {max}")]
    Training {
        /// Which value.
        what: &'static str,
        /// What it is.
        found: u32,
        /// The most it may be.
        max: u32,
    },
    /// Each step would go beyond the base, to the other side.
    #[error("training plan: rate times proximal weight must be below 2; choose a lower one")]
    Proximal,
    /// A value of the training plan, which may be zero, is out of range.
    #[error("training plan: {what} is {found}; choose 0 to {max}")]
    TrainingAbove {
        /// Which one.
        what: &'static str,
        /// Its value.
        found: u32,
        /// The highest.
        max: u32,
    },
    /// Half of the members or more are assumed to attack; holds the share.
    #[error("{0}/1000 attackers; choose 0 to {ATTACKER_SHARE_PERMILLE_MAX}: no rule survives half")]
    AttackerShare(u16),
    /// The payload bound is too small for the schema, or absurd.
    #[error("a payload of {found} bytes; this schema needs {least} to {PAYLOAD_BYTES_MAX}")]
    PayloadBytes {
        /// The bound.
        found: u32,
        /// What the largest update of the schema takes.
        least: u64,
    },
    /// The keys of proofs are not those of the schema, or are refused.
    #[error("proofs: {0}")]
    Proofs(#[from] ProofPolicyError),
    /// The ceremony is none.
    #[error("ceremony: {0}")]
    Ceremony(#[from] CeremonyPlanError),
    /// Buckets can't travel as sums.
    #[error(
        "aggregates: {0}; leave them out, or choose buckets, samples alike, no clip, no cohorts, no pool, constant staleness and proofs, neither private nor sealed, and bundles that live as long as the federation"
    )]
    Aggregates(&'static str),
    /// The proofs of all chunks have no room beside a header.
    #[error(
        "proofs of up to {found} bytes, beside a header there is room for {max}; choose a model of fewer tensors, or fewer members or a smaller summary window"
    )]
    ProofBytes {
        /// Most bytes of a proof.
        found: usize,
        /// The room.
        max: usize,
    },
    /// The base summary's window is out of range; holds it.
    #[error("a base summary of {0} epochs; choose 1 to {SUMMARY_WINDOW_MAX}")]
    SummaryWindow(u8),
    /// Bundles would expire before their epoch is over, or never.
    #[error("bundles that live {found}; choose one epoch ({least}) to {BUNDLE_LIFETIME_MAX}")]
    BundleLifetime {
        /// The lifetime.
        found: Span,
        /// The epoch length.
        least: Span,
    },
    /// The norm bound is zero: no update but nothing would pass.
    #[error("a norm bound of zero refuses every update; choose a larger one")]
    NormZero,
    /// The window of seals is too short for what may change a term, or absurd.
    #[error(
        "epochs sealed {found} back; choose at least the base summary's window ({least}) and \
         at most {EPOCHS_MAX}"
    )]
    SealWindow {
        /// The window.
        found: u32,
        /// The base summary's window.
        least: u32,
    },
    /// There would be no attempts to seal, or too few; holds the number of epochs.
    #[error("an attempt to seal every {0} epochs; choose 1 to {EPOCHS_MAX}")]
    SealEvery(u32),
    /// The federation is over before anything may be sealed; holds its epochs.
    #[error(
        "the federation is over after {epochs} epochs, before an attempt every {every} finds one \
         that lies {window} back; choose a shorter window, more attempts or more epochs"
    )]
    SealNever {
        /// Epochs of the federation.
        epochs: u32,
        /// Epochs from one attempt to the next.
        every: u32,
        /// How far back an epoch lies before it may be sealed.
        window: u32,
    },
    /// Seals would release what momentum holds back, and peers would differ until all have them.
    #[error("seals and the momentum of terms do not go together; leave one of them out")]
    SealMomentum,
    /// Snapshots of what is sealed would be too large; holds their bytes.
    #[error(
        "snapshots of up to {0} bytes; {SNAPSHOT_BYTES_MAX} are the most: choose fewer epochs or \
         a smaller committee"
    )]
    SnapshotBytes(u64),
    /// A private federation seals epochs: its snapshots would show the model.
    #[error(
        "a private federation can't seal epochs yet: snapshots travel in clear; leave seals out"
    )]
    PrivateSeal,
    /// More members than keys fit for; holds the number.
    #[error("{0} members, a private federation has at most {PRIVATE_MEMBERS_MAX}")]
    PrivateMembers(usize),
    /// A courier is out of order, listed twice or a member; holds it.
    #[error(
        "courier {0}: it is a member already, is listed twice, or stands out of the order of the ids' bytes"
    )]
    Courier(PeerId),
    /// Too many couriers; holds the number.
    #[error("{0} couriers, a federation has at most {COURIERS_MAX}")]
    CourierCount(usize),
    /// The first key is not granted to every member.
    #[error("the first key is for {granted} of {members} members; every member gets it")]
    Grant {
        /// Members who get it.
        granted: usize,
        /// Members.
        members: usize,
    },
    /// The recipe does not work for this many members.
    #[error("the recipe does not fit: {0}")]
    Recipe(#[from] RecipeError),
    /// Updates of this encoding cannot be merged by the recipe.
    #[error("the encoding of updates does not fit: {0}")]
    Encoding(#[from] EncodingError),
}

impl Manifest {
    /// Checks every range and how the values fit one another.
    pub fn validate(&self) -> Result<(), InvalidManifest> {
        check_text("the name", &self.name, NAME_BYTES_MAX)?;
        check_text("the task's model", &self.task.model, TASK_NAME_BYTES_MAX)?;
        check_text("the task's data", &self.task.data, TASK_NAME_BYTES_MAX)?;
        self.check_members()?;
        self.check_trust_roots()?;
        self.check_committee()?;
        self.check_recipe()?;
        self.check_epochs()?;
        self.check_training()?;
        self.check_bounds()?;
        self.check_seal()?;
        self.check_privacy()?;
        self.check_proofs()?;
        self.check_aggregates()
    }

    /// That proofs have room in a head; their keys are checked where they are read.
    fn check_proofs(&self) -> Result<(), InvalidManifest> {
        if self.proofs.is_none() {
            return Ok(());
        }
        let limits = HeaderLimits {
            members: self.members.len(),
            summary_window: u32::from(self.bounds.summary_window),
        };
        let header = limits.bytes_max() + CONFIDENTIAL_HEADER_BYTES;
        // The log takes less in a head than transport does.
        let room = HEADER_BYTES_MAX.min(HEAD_BYTES_MAX - HEAD_BLOCKS_BYTES_MAX);
        let (found, max) = (self.proof_bytes_max(), room.saturating_sub(header));
        if found > max {
            return Err(InvalidManifest::ProofBytes { found, max });
        }
        Ok(())
    }

    fn check_privacy(&self) -> Result<(), InvalidManifest> {
        let Some(privacy) = &self.privacy else { return Ok(()) };
        if self.seal.is_some() {
            return Err(InvalidManifest::PrivateSeal);
        }
        let members = self.members.len();
        if members > PRIVATE_MEMBERS_MAX {
            return Err(InvalidManifest::PrivateMembers(members));
        }
        if let Some(pair) = privacy.couriers.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(InvalidManifest::Courier(pair[1]));
        }
        if let Some(both) = privacy.couriers.iter().find(|it| self.member_index(it).is_some()) {
            return Err(InvalidManifest::Courier(*both));
        }
        if privacy.couriers.len() > COURIERS_MAX {
            return Err(InvalidManifest::CourierCount(privacy.couriers.len()));
        }
        match (privacy.grant.wrapped.len(), privacy.grant.granted()) {
            (listed, granted) if (listed, granted) == (members, members) => Ok(()),
            (_, granted) => Err(InvalidManifest::Grant { granted, members }),
        }
    }

    fn check_seal(&self) -> Result<(), InvalidManifest> {
        let Some(policy) = &self.seal else { return Ok(()) };
        let (found, least) = (policy.window_epochs, u32::from(self.bounds.summary_window));
        if !(least..=EPOCHS_MAX).contains(&found) {
            return Err(InvalidManifest::SealWindow { found, least });
        }
        if !(1..=EPOCHS_MAX).contains(&policy.every_epochs) {
            return Err(InvalidManifest::SealEvery(policy.every_epochs));
        }
        if self.seal_rules().is_some_and(|rules| !rules.seals_anything()) {
            let (epochs, every, window) = (self.epochs, policy.every_epochs, found);
            return Err(InvalidManifest::SealNever { epochs, every, window });
        }
        if self.recipe.outer.momentum_permille > 0 {
            return Err(InvalidManifest::SealMomentum);
        }
        let bytes = self.snapshot_bytes_max();
        if bytes > SNAPSHOT_BYTES_MAX {
            return Err(InvalidManifest::SnapshotBytes(bytes));
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), InvalidManifest> {
        let count = self.members.len();
        if !(1..=MEMBERS_MAX).contains(&count) {
            return Err(InvalidManifest::MemberCount(count));
        }
        for pair in self.members.windows(2) {
            match pair[0].cmp(&pair[1]) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(InvalidManifest::MemberTwice(pair[0])),
                std::cmp::Ordering::Greater => {
                    return Err(InvalidManifest::MembersUnsorted(pair[1]));
                }
            }
        }
        Ok(())
    }

    fn check_trust_roots(&self) -> Result<(), InvalidManifest> {
        let (roots, members) = (self.trust_roots.len(), self.members.len());
        let gathers = matches!(self.recipe.buckets, Buckets::ByRoot(_));
        if roots > 0 && roots != members {
            return Err(InvalidManifest::TrustRoots { roots, members });
        }
        let least = self.recipe.least_vectors(self.setting().attackers(self.recipe.pool.epochs()));
        let votes = self.recipe.buckets.votes(&self.trust_roots);
        if gathers && roots == members && votes < least {
            return Err(InvalidManifest::Votes { votes, least });
        }
        // All zero is said by listing none.
        if gathers != self.trust_roots.iter().any(|&root| root > 0) || !gathers && roots > 0 {
            return Err(InvalidManifest::TrustRootsUnused);
        }
        Ok(())
    }

    fn check_committee(&self) -> Result<(), InvalidManifest> {
        let members = self.members.len();
        if let Some(committee) = &self.committee {
            let (size, gathered) = (committee.size, committee.accumulate_epochs_max);
            if size == 0 || usize::from(size) > members {
                return Err(InvalidManifest::CommitteeSize { size, members });
            }
            if !(1..=ACCUMULATE_EPOCHS_MAX).contains(&gathered) {
                return Err(InvalidManifest::Accumulation(gathered));
            }
        }
        let publishers = self.setting().authors(1);
        if publishers > PUBLISHERS_MAX {
            return Err(InvalidManifest::Publishers(publishers));
        }
        // A row of all members takes one byte each, of a drawn few three.
        let named = publishers * usize::from(self.bounds.summary_window);
        if self.committee.is_some() && named > SUMMARY_SLOTS_MAX {
            return Err(InvalidManifest::SummarySlots(named));
        }
        Ok(())
    }

    fn check_recipe(&self) -> Result<(), InvalidManifest> {
        let (quorum, members) = (self.recipe.quorum, self.members.len());
        if quorum == 0 || usize::from(quorum) > members {
            return Err(InvalidManifest::Quorum { quorum, members });
        }
        if self.attacker_share_permille > ATTACKER_SHARE_PERMILLE_MAX {
            return Err(InvalidManifest::AttackerShare(self.attacker_share_permille));
        }
        self.recipe.validate(&self.setting())?;
        Ok(self.encoding.validate(&self.recipe)?)
    }

    fn check_epochs(&self) -> Result<(), InvalidManifest> {
        if self.start > START_MAX {
            return Err(InvalidManifest::Start);
        }
        if !(EPOCH_LENGTH_MIN..=EPOCH_LENGTH_MAX).contains(&self.epoch_length) {
            return Err(InvalidManifest::EpochLength(self.epoch_length));
        }
        if !(1..=EPOCHS_MAX).contains(&self.epochs) {
            return Err(InvalidManifest::Epochs(self.epochs));
        }
        Ok(())
    }

    fn check_training(&self) -> Result<(), InvalidManifest> {
        let plan = &self.training;
        for (what, found, max) in [
            ("the number of steps", plan.steps, STEPS_MAX),
            ("the batch size", plan.batch, BATCH_MAX),
            ("the learning rate in millionths", plan.rate_micro, RATE_MICRO_MAX),
        ] {
            if !(1..=max).contains(&found) {
                return Err(InvalidManifest::Training { what, found, max });
            }
        }
        let (pending, momentum) = (plan.pending_permille.into(), plan.momentum_permille.into());
        let pull = u64::from(plan.proximal_milli) * u64::from(plan.rate_micro);
        // A step multiplies the distance from the base by one less rate times weight.
        if pull >= 2_000_000_000 {
            return Err(InvalidManifest::Proximal);
        }
        for (what, found, max) in [
            ("the weight of own pending updates in thousandths", pending, PERMILLE.into()),
            ("the proximal weight in thousandths", plan.proximal_milli, PROXIMAL_MILLI_MAX),
            ("the momentum in thousandths", momentum, MOMENTUM_PERMILLE_MAX.into()),
        ] {
            if found > max {
                return Err(InvalidManifest::TrainingAbove { what, found, max });
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), InvalidManifest> {
        let bounds = &self.bounds;
        if bounds.norm_max.units() == 0 {
            return Err(InvalidManifest::NormZero);
        }
        let (found, least) = (bounds.payload_bytes_max, self.schema.payload_bytes_max() as u64);
        if u64::from(found) < least || found > PAYLOAD_BYTES_MAX {
            return Err(InvalidManifest::PayloadBytes { found, least });
        }
        if !(1..=SUMMARY_WINDOW_MAX).contains(&bounds.summary_window) {
            return Err(InvalidManifest::SummaryWindow(bounds.summary_window));
        }
        let (found, least) = (bounds.bundle_lifetime, self.epoch_length);
        if !(least..=BUNDLE_LIFETIME_MAX).contains(&found) {
            return Err(InvalidManifest::BundleLifetime { found, least });
        }
        Ok(())
    }
}

fn check_text(what: &'static str, text: &str, max: usize) -> Result<(), InvalidManifest> {
    let printable = !text.chars().any(char::is_control) && text.trim() == text;
    if printable && (1..=max).contains(&text.len()) {
        return Ok(());
    }
    Err(InvalidManifest::Text(what, max))
}
