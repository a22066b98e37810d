//! Time: points and spans in milliseconds, as inputs.
//!
//! Nothing here reads a clock. A [`Timestamp`] counts from the DTN epoch
//! (2000-01-01T00:00:00Z, RFC 9171 section 4.2.6); leap seconds are ignored, as
//! in Unix time.

use std::fmt;

/// Milliseconds between the Unix epoch and the DTN epoch.
const UNIX_TO_DTN_MS: u64 = 946_684_800_000;

/// A point in time in milliseconds since the DTN epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Timestamp {
    /// Milliseconds since the DTN epoch, as on the wire.
    pub const fn from_dtn_ms(dtn_ms: u64) -> Self {
        Self(dtn_ms)
    }

    /// Milliseconds since the Unix epoch; earlier than 2000 becomes 2000.
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms.saturating_sub(UNIX_TO_DTN_MS))
    }

    /// Milliseconds since the DTN epoch, as on the wire.
    pub const fn dtn_ms(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0.saturating_add(UNIX_TO_DTN_MS)
    }

    /// The point `span` later, or the last one there is.
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to here, or zero if it is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// A span of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// The span in milliseconds.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The span `count` times over, or the longest there is.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_from_unix_time() {
        let moment = Timestamp::from_unix_ms(946_684_800_123);
        assert_eq!(moment.dtn_ms(), 123);
        assert_eq!(moment.unix_ms(), 946_684_800_123);
    }

    #[test]
    fn clamps_times_before_the_dtn_epoch() {
        assert_eq!(Timestamp::from_unix_ms(0), Timestamp::default());
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        let last = Timestamp::from_dtn_ms(u64::MAX);
        assert_eq!(last.plus(Span::from_ms(1)), last);
        assert_eq!(Timestamp::default().since(last), Span::from_ms(0));
        assert_eq!(Span::from_ms(u64::MAX).times(2).ms(), u64::MAX);
    }
}
