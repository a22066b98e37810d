//! Slot coordinates: the epoch and the member that a slot belongs to.
//!
//! A slot is the place for at most one update: one member, one epoch. Both
//! coordinates are positions fixed by the manifest, so they mean the same to
//! every peer and never depend on a clock.

use std::fmt;

/// Most members a federation can have.
///
/// The bit bound of the fold (see [`crate::rule`]) is proved for this number.
pub const MEMBERS_MAX: usize = 65_535;

/// A numbered stretch of the federation's time, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u32);

/// A member's position in the manifest's sorted member list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberIndex(u16);

/// The place for at most one update. Slots are ordered by member, then epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose it is.
    pub member: MemberIndex,
    /// In which epoch.
    pub epoch: Epoch,
}

impl Epoch {
    /// The first epoch.
    pub const FIRST: Self = Self(0);
    /// The last number there is.
    pub const LAST: Self = Self(u32::MAX);

    /// The epoch with number `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, counted from zero.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The epoch after this one; the last number stays.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The epoch `count` earlier, or the first one.
    pub const fn back(self, count: u32) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl MemberIndex {
    /// The member at `position`.
    pub const fn new(position: u16) -> Self {
        Self(position)
    }

    /// The position as on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The position as an index into the member list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MemberIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside_the_numbers_it_has() {
        assert_eq!(Epoch::new(u32::MAX).next(), Epoch::new(u32::MAX));
        assert_eq!(Epoch::new(3).back(5), Epoch::FIRST);
        assert_eq!(Epoch::new(3).next().back(2), Epoch::new(2));
    }

    #[test]
    fn gives_every_position_below_the_maximum_an_index() {
        let last = u16::try_from(MEMBERS_MAX - 1).unwrap();
        assert_eq!(MemberIndex::new(last).index(), MEMBERS_MAX - 1);
    }
}
