//! Admission: whether a received update may enter the fold, and why not.
//!
//! The verdict is a pure function of the manifest and of the update itself: no
//! clock, no quota, no arrival order. An update for any epoch of the federation
//! is admitted whenever it comes, also long before or after that epoch. What a
//! federation already holds is the fold's business ([`crate::fold::Fold::screen`]).
//! A refusal is an outcome with a reason, not a failure; its code and name are
//! stable, because logs and peers carry them.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

use crate::compress::{Encoding, MaskKey};
use crate::header::{HeaderError, HeaderHash, HeaderLimits, UpdateHeader};
use crate::held::HeadOnly;
use crate::norm::NormBound;
use crate::schema::Schema;
use crate::seal::{Attempt, VoteError};
use crate::slot::{Epoch, MemberIndex, Slot};
use crate::sortition::Sortition;
use crate::update::{Update, UpdateError};

/// What the manifest says about updates.
#[derive(Debug, Clone)]
pub struct AdmissionPolicy {
    /// The federation that updates must name.
    pub federation: ContentHash,
    /// Number of members.
    pub members: usize,
    /// Number of epochs.
    pub epochs: u32,
    /// Largest norm of an update.
    pub norm_max: NormBound,
    /// Epochs that a base summary looks back.
    pub summary_window: u32,
    /// The shape of the model.
    pub schema: Arc<Schema>,
    /// How updates are quantised and written.
    pub encoding: Encoding,
    /// Most local steps an update may claim.
    pub steps_max: u32,
    /// Most samples an author may claim.
    pub samples_max: u32,
    /// Who may fill a slot; none lets everybody in every epoch.
    pub sortition: Option<Arc<Sortition>>,
}

/// An update that passed admission.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Whose slot it fills.
    pub author: MemberIndex,
    /// What the author signed.
    pub header: UpdateHeader,
    /// The name of the header as received.
    pub header_hash: HeaderHash,
    /// The change itself.
    pub update: Update,
}

/// Why an update is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The author is not in the manifest.
    #[error("the author is not a member of the federation")]
    NotAMember,
    /// The header names another federation.
    #[error("the update is for federation {0}")]
    ForeignFederation(ContentHash),
    /// The header is not well-formed.
    #[error(transparent)]
    HeaderMalformed(HeaderError),
    /// The base summary does not fit the federation.
    #[error(transparent)]
    Summary(HeaderError),
    /// The epoch is beyond the federation's last.
    #[error("epoch {epoch} is beyond the {epochs} epochs of the federation")]
    EpochOutOfRange {
        /// The epoch named.
        epoch: Epoch,
        /// Number of epochs.
        epochs: u32,
    },
    /// The previous slot is not earlier than this one.
    #[error("the previous slot, epoch {previous}, is not before epoch {epoch}")]
    PreviousNotEarlier {
        /// The epoch of the update.
        epoch: Epoch,
        /// The epoch named as the previous one.
        previous: Epoch,
    },
    /// More local steps than the manifest allows.
    #[error("{steps} local steps, at most {max} are allowed")]
    Steps {
        /// Steps claimed.
        steps: u32,
        /// Most steps allowed.
        max: u32,
    },
    /// More samples than the manifest allows.
    #[error("{samples} samples, at most {max} are allowed")]
    Samples {
        /// Samples claimed.
        samples: u32,
        /// Most samples allowed.
        max: u32,
    },
    /// The payload is not the one that the header names.
    #[error("the payload does not have the hash that the header names")]
    PayloadMismatch,
    /// The payload is not well-formed.
    #[error(transparent)]
    PayloadMalformed(UpdateError),
    /// The payload does not have the shape of the model.
    #[error(transparent)]
    Shape(UpdateError),
    /// An exponent is out of range.
    #[error(transparent)]
    ExponentRange(UpdateError),
    /// A quantised value is out of range.
    #[error(transparent)]
    ValueRange(UpdateError),
    /// The update is longer than the norm bound.
    #[error("the norm {norm} is above the bound {max}")]
    NormBound {
        /// The norm of the update, rounded down.
        norm: NormBound,
        /// The bound.
        max: NormBound,
    },
    /// The same update is held already.
    #[error("the update is held already")]
    Duplicate,
    /// The slot is void by two other updates; one more changes nothing.
    #[error("the slot is void by two other updates already")]
    SlotSpent,
    /// The author is not of the committee of that epoch.
    #[error("the author was not drawn for epoch {0}")]
    NotDrawn(Epoch),
    /// The epoch is sealed, and this update changes nothing there any more.
    #[error("epoch {0} is sealed; the update came too late")]
    Sealed(Epoch),
    /// A vote or a snapshot in a federation that seals nothing.
    #[error("the manifest seals no epochs")]
    NoSeals,
    /// A vote or the header of a snapshot is not well-formed, or not of this federation's
    /// attempts.
    #[error(transparent)]
    SealForm(#[from] VoteError),
    /// A vote or a snapshot of an attempt before the newest seal.
    #[error("attempt {0} lies before the newest seal")]
    Outdated(Attempt),
    /// A snapshot without the cosignatures or the content that it needs; says what.
    #[error("the snapshot does not hold: {0}")]
    Unproven(String),
}

/// The kind of a refusal without its details: what a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum RefusalKind {
    /// See [`Refusal::NotAMember`].
    NotAMember = 100,
    /// See [`Refusal::ForeignFederation`].
    ForeignFederation = 101,
    /// See [`Refusal::HeaderMalformed`].
    HeaderMalformed = 102,
    /// See [`Refusal::Summary`].
    Summary = 103,
    /// See [`Refusal::EpochOutOfRange`].
    EpochOutOfRange = 104,
    /// See [`Refusal::PreviousNotEarlier`].
    PreviousNotEarlier = 105,
    /// See [`Refusal::Steps`].
    Steps = 106,
    /// See [`Refusal::Samples`].
    Samples = 107,
    /// See [`Refusal::PayloadMismatch`].
    PayloadMismatch = 108,
    /// See [`Refusal::PayloadMalformed`].
    PayloadMalformed = 109,
    /// See [`Refusal::Shape`].
    Shape = 110,
    /// See [`Refusal::ExponentRange`].
    ExponentRange = 111,
    /// See [`Refusal::ValueRange`].
    ValueRange = 112,
    /// See [`Refusal::NormBound`].
    NormBound = 113,
    /// See [`Refusal::Duplicate`].
    Duplicate = 114,
    /// See [`Refusal::SlotSpent`].
    SlotSpent = 115,
    /// See [`Refusal::NotDrawn`].
    NotDrawn = 116,
    /// See [`Refusal::Sealed`].
    Sealed = 117,
    /// See [`Refusal::NoSeals`].
    NoSeals = 118,
    /// See [`Refusal::SealForm`].
    SealForm = 119,
    /// See [`Refusal::Outdated`].
    Outdated = 120,
    /// See [`Refusal::Unproven`].
    Unproven = 121,
}

/// Judges a received update: `author` is the signer's position in the member
/// list, if it has one; `header` and `payload` are the bytes as received.
pub fn admit(
    policy: &AdmissionPolicy,
    author: Option<MemberIndex>,
    header: &[u8],
    payload: Arc<[u8]>,
) -> Result<Admitted, Refusal> {
    let HeadOnly { author, header, header_hash } = admit_head(policy, author, header)?;
    if ContentHash::of(&payload) != header.payload {
        return Err(Refusal::PayloadMismatch);
    }
    let update = policy.encoding.read(payload, &policy.schema, &policy.mask_key(header.epoch))?;
    policy.check_norm(&update)?;
    Ok(Admitted { author, header, header_hash, update })
}

/// The same as far as the header tells, for a peer that has no payload: what it refuses,
/// [`admit`] refuses for the same reason.
///
/// Whether the payload has the shape of the model and is within the norm bound, it does not say:
/// where a header stands in for an update, a proof has to.
pub fn admit_head(
    policy: &AdmissionPolicy,
    author: Option<MemberIndex>,
    header: &[u8],
) -> Result<HeadOnly, Refusal> {
    let author =
        author.filter(|author| author.index() < policy.members).ok_or(Refusal::NotAMember)?;
    let header_hash = HeaderHash::of(header);
    let header = policy.read_header(header)?;
    policy.check_header(&header)?;
    policy.check_drawn(Slot { member: author, epoch: header.epoch })?;
    Ok(HeadOnly { author, header, header_hash })
}

impl Admitted {
    /// The slot that it fills.
    pub const fn slot(&self) -> Slot {
        Slot { member: self.author, epoch: self.header.epoch }
    }
}

impl AdmissionPolicy {
    /// The limits that headers are read with.
    pub const fn header_limits(&self) -> HeaderLimits {
        HeaderLimits { members: self.members, summary_window: self.summary_window }
    }

    /// What the mask of an epoch's updates is drawn from, where the encoding has one: the
    /// federation's id and the epoch.
    pub fn mask_key(&self, epoch: Epoch) -> MaskKey {
        MaskKey::new(self.federation.as_bytes(), epoch)
    }

    fn read_header(&self, bytes: &[u8]) -> Result<UpdateHeader, Refusal> {
        let federation = UpdateHeader::claimed_federation(bytes)?;
        if federation != self.federation {
            return Err(Refusal::ForeignFederation(federation));
        }
        Ok(UpdateHeader::decode(bytes, &self.header_limits())?)
    }

    fn check_header(&self, header: &UpdateHeader) -> Result<(), Refusal> {
        let (epoch, epochs) = (header.epoch, self.epochs);
        if epoch.get() >= epochs {
            return Err(Refusal::EpochOutOfRange { epoch, epochs });
        }
        if let Some(previous) = header.previous.map(|previous| previous.epoch)
            && previous >= epoch
        {
            return Err(Refusal::PreviousNotEarlier { epoch, previous });
        }
        if header.steps > self.steps_max {
            return Err(Refusal::Steps { steps: header.steps, max: self.steps_max });
        }
        if header.samples > self.samples_max {
            return Err(Refusal::Samples { samples: header.samples, max: self.samples_max });
        }
        Ok(())
    }

    fn check_drawn(&self, slot: Slot) -> Result<(), Refusal> {
        match &self.sortition {
            Some(sortition) if !sortition.draws(slot) => Err(Refusal::NotDrawn(slot.epoch)),
            _ => Ok(()),
        }
    }

    fn check_norm(&self, update: &Update) -> Result<(), Refusal> {
        if self.norm_max.allows(update.squared_norm()) {
            return Ok(());
        }
        let norm = u64::try_from(update.squared_norm().isqrt()).unwrap_or(u64::MAX);
        Err(Refusal::NormBound { norm: NormBound::from_units(norm), max: self.norm_max })
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Malformed(_) => Self::HeaderMalformed(error),
            HeaderError::Summary(_) => Self::Summary(error),
        }
    }
}

impl From<UpdateError> for Refusal {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Malformed(_) | UpdateError::Coded(_) => Self::PayloadMalformed(error),
            UpdateError::ChunkCount { .. } | UpdateError::ChunkLength { .. } => Self::Shape(error),
            UpdateError::Exponent { .. } => Self::ExponentRange(error),
            UpdateError::Value { .. } => Self::ValueRange(error),
        }
    }
}

impl Refusal {
    /// The kind without the details.
    pub const fn kind(&self) -> RefusalKind {
        match self {
            Self::NotAMember => RefusalKind::NotAMember,
            Self::ForeignFederation(_) => RefusalKind::ForeignFederation,
            Self::HeaderMalformed(_) => RefusalKind::HeaderMalformed,
            Self::Summary(_) => RefusalKind::Summary,
            Self::EpochOutOfRange { .. } => RefusalKind::EpochOutOfRange,
            Self::PreviousNotEarlier { .. } => RefusalKind::PreviousNotEarlier,
            Self::Steps { .. } => RefusalKind::Steps,
            Self::Samples { .. } => RefusalKind::Samples,
            Self::PayloadMismatch => RefusalKind::PayloadMismatch,
            Self::PayloadMalformed(_) => RefusalKind::PayloadMalformed,
            Self::Shape(_) => RefusalKind::Shape,
            Self::ExponentRange(_) => RefusalKind::ExponentRange,
            Self::ValueRange(_) => RefusalKind::ValueRange,
            Self::NormBound { .. } => RefusalKind::NormBound,
            Self::Duplicate => RefusalKind::Duplicate,
            Self::SlotSpent => RefusalKind::SlotSpent,
            Self::NotDrawn(_) => RefusalKind::NotDrawn,
            Self::Sealed(_) => RefusalKind::Sealed,
            Self::NoSeals => RefusalKind::NoSeals,
            Self::SealForm(_) => RefusalKind::SealForm,
            Self::Outdated(_) => RefusalKind::Outdated,
            Self::Unproven(_) => RefusalKind::Unproven,
        }
    }

    /// The stable code, from 100 up, for the wire and for logs.
    pub const fn code(&self) -> u16 {
        self.kind().code()
    }

    /// The stable short name.
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The kind that a code stands for.
    pub fn from_code(code: u16) -> Option<RefusalKind> {
        RefusalKind::from_code(code)
    }
}

impl RefusalKind {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 22] = [
        Self::NotAMember,
        Self::ForeignFederation,
        Self::HeaderMalformed,
        Self::Summary,
        Self::EpochOutOfRange,
        Self::PreviousNotEarlier,
        Self::Steps,
        Self::Samples,
        Self::PayloadMismatch,
        Self::PayloadMalformed,
        Self::Shape,
        Self::ExponentRange,
        Self::ValueRange,
        Self::NormBound,
        Self::Duplicate,
        Self::SlotSpent,
        Self::NotDrawn,
        Self::Sealed,
        Self::NoSeals,
        Self::SealForm,
        Self::Outdated,
        Self::Unproven,
    ];

    /// The stable code, from 100 up.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The kind that a code stands for.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The stable short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAMember => "not-a-member",
            Self::ForeignFederation => "foreign-federation",
            Self::HeaderMalformed => "header-malformed",
            Self::Summary => "summary",
            Self::EpochOutOfRange => "epoch-out-of-range",
            Self::PreviousNotEarlier => "previous-not-earlier",
            Self::Steps => "steps",
            Self::Samples => "samples",
            Self::PayloadMismatch => "payload-mismatch",
            Self::PayloadMalformed => "payload-malformed",
            Self::Shape => "shape",
            Self::ExponentRange => "exponent-range",
            Self::ValueRange => "value-range",
            Self::NormBound => "norm-bound",
            Self::Duplicate => "duplicate",
            Self::SlotSpent => "slot-spent",
            Self::NotDrawn => "not-drawn",
            Self::Sealed => "sealed",
            Self::NoSeals => "no-seals",
            Self::SealForm => "seal-form",
            Self::Outdated => "outdated",
            Self::Unproven => "unproven",
        }
    }
}
