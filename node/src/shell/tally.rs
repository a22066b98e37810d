//! Tally: says what a stranger can make happen often, and not once for each time.
//!
//! The first time is said at once; what follows within the pause is counted and said with the first
//! one behind it. So a flood of connections is a line every ten seconds, not a full disk.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts what is not said.
#[derive(Debug, Default)]
pub(in crate::shell) struct Tally {
    said: Option<Instant>,
    unsaid: u64,
}

impl Tally {
    /// Counts one more; where it is time to say so, how many there were since the last time.
    pub fn note(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < PAUSE) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_first_at_once_and_the_others_together() {
        let (now, mut tally) = (Instant::now(), Tally::default());
        assert_eq!(tally.note(now), Some(1));
        let flood = (1..=1_000).filter_map(|_| tally.note(now + PAUSE / 2)).count();
        assert_eq!(flood, 0);
        assert_eq!(tally.note(now + PAUSE), Some(1_001));
        assert_eq!(tally.note(now + PAUSE), None);
    }
}
