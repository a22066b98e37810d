//! Codes: the numbers of RFC 9174 that say why, which and where.
//!
//! Reasons keep the octet that came, known or not: a termination is answered
//! with the reason that it gave (section 6.1), and a code that nobody knows
//! counts as unknown (sections 5.2.4 and 6.1).

use std::fmt;

/// A reason: one octet with known values, their names, and room for others.
macro_rules! reason {
    (
        $(#[$about:meta])* $name:ident;
        $($(#[$doc:meta])* $constant:ident = $code:literal, $text:literal;)*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u8);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($code);)*

            /// The reason with this code, known or not.
            pub const fn from_code(code: u8) -> Self {
                Self(code)
            }

            /// The code, as on the wire.
            pub const fn code(self) -> u8 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($code => f.write_str($text),)*
                    code => write!(f, "unassigned reason {code}"),
                }
            }
        }
    };
}

reason! {
    /// Why a session ends (section 6.1, SESS_TERM).
    TerminateReason;
    /// No reason is given.
    UNKNOWN = 0x00, "no reason given";
    /// Nothing was said for too long.
    IDLE_TIMEOUT = 0x01, "idle timeout";
    /// The other side's version is not spoken.
    VERSION_MISMATCH = 0x02, "version mismatch";
    /// Too busy for this session.
    BUSY = 0x03, "busy";
    /// Contact header or SESS_INIT cannot be read or agreed on.
    CONTACT_FAILURE = 0x04, "contact failure";
    /// A limit was reached.
    RESOURCE_EXHAUSTION = 0x05, "resource exhaustion";
}

reason! {
    /// Why a transfer is refused (section 5.2.4, XFER_REFUSE).
    RefuseReason;
    /// No reason is given.
    UNKNOWN = 0x00, "no reason given";
    /// The receiver has the whole bundle already.
    COMPLETED = 0x01, "the receiver has it";
    /// The receiver has no room; smaller fragments may fit.
    NO_RESOURCES = 0x02, "no resources";
    /// The bundle must be sent again from its start.
    RETRANSMIT = 0x03, "to be sent again";
    /// Something is wrong with the bundle; sending it again is no use.
    NOT_ACCEPTABLE = 0x04, "not acceptable";
    /// A transfer extension item cannot be handled.
    EXTENSION_FAILURE = 0x05, "extension failure";
    /// The session is ending; another one may carry it.
    SESSION_TERMINATING = 0x06, "the session is ending";
}

reason! {
    /// Why a message is rejected (section 5.1.2, MSG_REJECT).
    RejectReason;
    /// The type of the message is unknown.
    TYPE_UNKNOWN = 0x01, "unknown type of message";
    /// The message's contents cannot be complied with.
    UNSUPPORTED = 0x02, "unsupported message";
    /// The message is not expected in this state.
    UNEXPECTED = 0x03, "unexpected message";
}

/// Names one transfer of one side of a session (section 5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(u64);

impl TransferId {
    /// The first one of a side that has no other scheme.
    pub const FIRST: Self = Self(0);

    /// The id with this number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as on the wire.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id after this one; none when all are used.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transfer {}", self.0)
    }
}

/// The flags of a segment (section 5.2.2), which its acknowledgement repeats
/// with all bits, also those that nobody knows (section 5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFlags(u8);

impl SegmentFlags {
    /// Neither the first nor the last segment.
    pub const MIDDLE: Self = Self(0x00);
    /// The last segment of its transfer.
    pub const END: Self = Self(0x01);
    /// The first segment of its transfer.
    pub const START: Self = Self(0x02);

    /// Flags with these bits.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits, as on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True for the first segment of a transfer.
    pub const fn starts(self) -> bool {
        self.0 & Self::START.0 != 0
    }

    /// True for the last segment of a transfer.
    pub const fn ends(self) -> bool {
        self.0 & Self::END.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_reasons_as_the_rfc_does() {
        let ends: Vec<String> =
            (0..7).map(|code| TerminateReason::from_code(code).to_string()).collect();
        assert_eq!(ends[1..4], ["idle timeout", "version mismatch", "busy"]);
        assert_eq!(ends[4..], ["contact failure", "resource exhaustion", "unassigned reason 6"]);
        assert_eq!(RefuseReason::SESSION_TERMINATING.code(), 6);
        assert_eq!(RefuseReason::from_code(5), RefuseReason::EXTENSION_FAILURE);
        assert_eq!(RejectReason::from_code(0).to_string(), "unassigned reason 0");
        assert_eq!(RejectReason::UNEXPECTED.code(), 3);
    }

    #[test]
    fn reads_flags_and_keeps_bits_nobody_knows() {
        let flags = SegmentFlags::from_bits(0xf3);
        assert!(flags.starts() && flags.ends());
        assert_eq!(flags.bits(), 0xf3);
        assert_eq!(SegmentFlags::START.and(SegmentFlags::END).bits(), 3);
        assert!(!SegmentFlags::from_bits(0xfc).starts());
    }

    #[test]
    fn runs_out_of_transfer_ids_instead_of_wrapping() {
        assert_eq!(TransferId::FIRST.next(), Some(TransferId::from_number(1)));
        assert_eq!(TransferId::from_number(u64::MAX).next(), None);
    }
}
