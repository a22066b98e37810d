//! Reasons: why transport refuses a bundle or closes a link.

use crate::bundle::{BlockKind, BundleError};
use crate::frame::FrameError;
use crate::groups::GroupError;

/// Why transport refused a bundle before anyone judged it.
///
/// Codes are stable and below 100; codes from 100 on belong to the judgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefuseReason {
    /// The head is not a head, or not whole.
    #[error("malformed bundle: {0}")]
    Malformed(BundleError),
    /// The signature is not the author's.
    #[error("wrong signature")]
    Signature,
    /// Header or payload are larger than allowed.
    #[error("oversized: {0}")]
    Oversized(BundleError),
    /// The lifetime is longer than allowed.
    #[error("{0}")]
    Lifetime(BundleError),
    /// The bundle's lifetime is over.
    #[error("expired")]
    Expired,
    /// More or fewer bytes came than were asked for.
    #[error("wrong length: {found} bytes instead of {expected}")]
    Length {
        /// Bytes that the group has.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The payload is not the one that the author signed.
    #[error("the payload is not the one that was signed")]
    PayloadHash,
    /// The head is that of another bundle than the one asked for.
    #[error("the head of another bundle than the one asked for")]
    OtherBundle,
    /// The bundle was sent again although it is held, refused or in judgement.
    #[error("replayed")]
    Replayed,
}

/// The texts of the codes, for readers of a log.
const TEXTS: [(u16, &str); 9] = [
    (1, "malformed bundle"),
    (2, "wrong signature"),
    (3, "oversized"),
    (4, "lifetime above the limit"),
    (5, "expired"),
    (6, "wrong length"),
    (7, "the payload is not the one that was signed"),
    (8, "the head of another bundle than the one asked for"),
    (9, "replayed"),
];

impl RefuseReason {
    /// The stable code, for the wire and for logs.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 1,
            Self::Signature => 2,
            Self::Oversized(_) => 3,
            Self::Lifetime(_) => 4,
            Self::Expired => 5,
            Self::Length { .. } => 6,
            Self::PayloadHash => 7,
            Self::OtherBundle => 8,
            Self::Replayed => 9,
        }
    }

    /// What a transport code means; none for codes that are not transport's.
    pub fn text_of(code: u16) -> Option<&'static str> {
        TEXTS.iter().find_map(|&(known, text)| (known == code).then_some(text))
    }
}

impl From<BundleError> for RefuseReason {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Signature => Self::Signature,
            BundleError::Hash(BlockKind::Payload) => Self::PayloadHash,
            BundleError::PayloadLength { promised, found } => {
                Self::Length { expected: promised, found }
            }
            BundleError::HeaderTooLarge { .. } | BundleError::PayloadTooLarge { .. } => {
                Self::Oversized(error)
            }
            BundleError::LifetimeTooLong { .. } => Self::Lifetime(error),
            _ => Self::Malformed(error),
        }
    }
}

impl From<GroupError> for RefuseReason {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Length { expected, found } => Self::Length { expected, found },
            GroupError::Index { .. } | GroupError::Proof { .. } | GroupError::Hash => {
                Self::PayloadHash
            }
        }
    }
}

/// Why a link is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// There are as many links as allowed.
    #[error("too many links")]
    TooManyLinks,
    /// The link leads back to this agent.
    #[error("the link leads to this peer itself")]
    Myself,
    /// No version of the contact protocol is common.
    #[error("no common version of the contact protocol")]
    Version,
    /// The other side serves another federation.
    #[error("the other side serves another federation")]
    Scope,
    /// No hello came in time.
    #[error("no hello in time")]
    NoHello,
    /// Something that is not a frame came.
    #[error("{0}")]
    Garbage(FrameError),
    /// A frame came that has no place here; holds which.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// The other side sent a bundle that no honest peer sends.
    #[error("bad bundle: {0}")]
    BadBundle(RefuseReason),
    /// The other side sent too much that nobody asked for.
    #[error("too much that nobody asked for")]
    Unrequested,
    /// The other side owed an answer for too long.
    #[error("no answer in time")]
    Stalled,
    /// The other side said goodbye; holds its code.
    #[error("the other side closed the contact with code {0}")]
    Bye(u16),
}

impl CloseReason {
    /// The stable code, for the goodbye on the wire.
    pub const fn code(&self) -> u16 {
        match self {
            Self::TooManyLinks => 1,
            Self::Myself => 2,
            Self::Version => 3,
            Self::Scope => 4,
            Self::NoHello => 5,
            Self::Garbage(_) => 6,
            Self::OutOfOrder(_) => 7,
            Self::BadBundle(_) => 8,
            Self::Unrequested => 9,
            Self::Stalled => 10,
            Self::Bye(_) => 11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_text_for_each_code_below_100() {
        let too_large = BundleError::PayloadTooLarge { len: 2, max: 1 };
        let too_long = BundleError::LifetimeTooLong { ms: 2, max_ms: 1 };
        let reasons = [
            RefuseReason::from(BundleError::NoCreationTime),
            RefuseReason::from(BundleError::Signature),
            RefuseReason::from(too_large),
            RefuseReason::from(too_long),
            RefuseReason::Expired,
            RefuseReason::from(BundleError::PayloadLength { promised: 1, found: 2 }),
            RefuseReason::from(BundleError::Hash(BlockKind::Payload)),
            RefuseReason::OtherBundle,
            RefuseReason::Replayed,
        ];
        assert_eq!(reasons.len(), TEXTS.len());
        for (reason, (code, text)) in reasons.iter().zip(TEXTS) {
            assert_eq!(reason.code(), code);
            assert_eq!(RefuseReason::text_of(code), Some(text));
            assert!(code < 100);
        }
        assert_eq!(RefuseReason::text_of(100), None);
    }

    #[test]
    fn tells_a_forged_header_from_a_forged_payload() {
        let header = RefuseReason::from(BundleError::Hash(BlockKind::UpdateHeader));
        assert_eq!(header.code(), 1);
        assert_eq!(RefuseReason::from(BundleError::Hash(BlockKind::Payload)).code(), 7);
    }
}
