//! When: what a federation's clock says, in words.
//!
//! Epochs are counted by each device's own clock; a peer that is in none says so, and how long until then or
//! since.

use std::fmt;

use longhaul_dtn::time::Timestamp;
use longhaul_registry::Manifest;

/// Where a federation is in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shell) enum Standing {
    /// The first epoch begins in so many milliseconds.
    NotBegun {
        /// Milliseconds until then.
        in_ms: u64,
    },
    /// An epoch is under way.
    Running {
        /// Its number, from 0.
        epoch: u32,
        /// Number of all.
        epochs: u32,
        /// Milliseconds until the end of the last one.
        left_ms: u64,
    },
    /// The last epoch ended so many milliseconds ago.
    Over {
        /// Milliseconds since then.
        since_ms: u64,
    },
}

impl Standing {
    /// What the clock says at `now`.
    pub fn of(manifest: &Manifest, now: Timestamp) -> Self {
        let length = u64::from(manifest.epochs).saturating_mul(manifest.epoch_length.ms());
        let (now, start) = (now.dtn_ms(), manifest.start.dtn_ms());
        let end = start.saturating_add(length);
        match manifest.epoch_at(Timestamp::from_dtn_ms(now)) {
            _ if now < start => Self::NotBegun { in_ms: start - now },
            Some(epoch) => Self::Running {
                epoch: epoch.get(),
                epochs: manifest.epochs,
                left_ms: end.saturating_sub(now),
            },
            None => Self::Over { since_ms: now.saturating_sub(end) },
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotBegun { in_ms } => write!(f, "its first epoch begins in {}", lasting(in_ms)),
            Self::Running { epoch, epochs, left_ms } => {
                write!(f, "epoch {epoch} of {epochs} is under way; {} are left", lasting(left_ms))
            }
            Self::Over { since_ms } => write!(f, "its last epoch ended {} ago", lasting(since_ms)),
        }
    }
}

/// A duration in its two largest units, such as `2 h 5 min`.
pub(in crate::shell) fn lasting(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let Some(at) = UNITS.iter().position(|(unit, _)| ms >= *unit) else {
        return format!("{ms} ms");
    };
    let (unit, name) = UNITS[at];
    let rest = UNITS.get(at + 1).map(|(less, name)| (ms % unit / less, *name));
    match rest {
        Some((rest, less)) if rest > 0 => format!("{} {name} {rest} {less}", ms / unit),
        _ => format!("{} {name}", ms / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::store::testing::manifest;

    #[test]
    fn durations_are_told_in_their_two_largest_units() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 d 1 h"),
            (u64::MAX, "213503982334 d 14 h"),
        ];
        for (ms, words) in cases {
            assert_eq!(lasting(ms), words);
        }
    }

    #[test]
    fn a_federation_has_not_begun_runs_or_is_over() {
        let manifest = manifest("when");
        let manifest = manifest.manifest();
        let length = u64::from(manifest.epochs) * manifest.epoch_length.ms();
        let at = |ms: u64| {
            Standing::of(manifest, Timestamp::from_dtn_ms(manifest.start.dtn_ms() - 10 + ms))
        };
        assert_eq!(at(0), Standing::NotBegun { in_ms: 10 });
        let epochs = manifest.epochs;
        assert_eq!(at(10), Standing::Running { epoch: 0, epochs, left_ms: length });
        assert_eq!(at(10 + length), Standing::Over { since_ms: 0 });
        assert!(at(0).to_string().contains("10 ms"));
    }
}
