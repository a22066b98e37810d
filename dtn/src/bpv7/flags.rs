//! Processing control flags of bundles and blocks (RFC 9171 sections 4.2.3 and 4.2.4).

use std::ops::BitOr;

/// Bundle processing control flags. Bits without a meaning are kept as they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BundleFlags(u64);

/// Block processing control flags. Bits without a meaning are kept as they were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockFlags(u64);

impl BundleFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// The bundle is a fragment.
    pub const FRAGMENT: Self = Self(0x01);
    /// The payload is an administrative record.
    pub const ADMIN_RECORD: Self = Self(0x02);
    /// The bundle must not be fragmented.
    pub const MUST_NOT_FRAGMENT: Self = Self(0x04);
    /// The application asks for an acknowledgement.
    pub const ACKNOWLEDGE: Self = Self(0x20);
    /// Status reports are asked to give times.
    pub const REPORT_TIME: Self = Self(0x40);
    /// A report of reception is asked for.
    pub const REPORT_RECEPTION: Self = Self(0x4000);
    /// A report of forwarding is asked for.
    pub const REPORT_FORWARDING: Self = Self(0x1_0000);
    /// A report of delivery is asked for.
    pub const REPORT_DELIVERY: Self = Self(0x2_0000);
    /// A report of deletion is asked for.
    pub const REPORT_DELETION: Self = Self(0x4_0000);
    /// All that ask for reports.
    pub const REPORTS: Self = Self(
        Self::REPORT_RECEPTION.0
            | Self::REPORT_FORWARDING.0
            | Self::REPORT_DELIVERY.0
            | Self::REPORT_DELETION.0,
    );

    /// True if any of `flags` is set.
    pub const fn has_any(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// These without others.
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BlockFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// The block must stand in every fragment.
    pub const REPLICATE: Self = Self(0x01);
    /// A report is asked for if the block can't be processed.
    pub const REPORT_UNPROCESSED: Self = Self(0x02);
    /// The bundle is deleted if the block can't be processed.
    pub const DELETE_BUNDLE_UNPROCESSED: Self = Self(0x04);
    /// The block is discarded if it can't be processed.
    pub const DISCARD_UNPROCESSED: Self = Self(0x10);
}

/// What all flags can do.
macro_rules! flags {
    ($($name:ident)*) => {$(
        impl $name {
            /// Flags of these bits.
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits)
            }

            /// The bits.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// True if all of `flags` are set.
            pub const fn has(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }
        }

        impl BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    )*};
}

flags!(BundleFlags BlockFlags);
