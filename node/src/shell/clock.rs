//! Clock: the only place that reads the time of day.
//!
//! The peer holds time still when it runs backwards; nothing is smoothed here.

use std::time::{SystemTime, UNIX_EPOCH};

use longhaul_dtn::time::Timestamp;

/// The time of day of this machine; a clock set before 2000 reads 2000.
#[expect(clippy::disallowed_methods, reason = "the one place of the shell that reads the clock")]
pub fn now() -> Timestamp {
    let since_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since_unix.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time_after_this_line_was_written() {
        // 2026-11-01T00:00:00Z.
        assert!(now() > Timestamp::from_unix_ms(1_793_491_200_000));
    }
}
