//! Clock: when a session last spoke, heard and got on, and what falls due.

use crate::time::{Span, Timestamp};

/// Silence lasts this many keepalive intervals (section 5.1.1).
const SILENCE_INTERVALS: u64 = 2;

/// When things last happened. All times are inputs.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// When something was last given to transmit.
    said: Option<Timestamp>,
    /// When any byte last came.
    heard: Timestamp,
    /// When anything but a keepalive last came, or the stage changed.
    progressed: Timestamp,
    /// The keepalive interval; none for no keepalives.
    pub keepalive: Option<Span>,
}

impl Clock {
    /// A stage begins, or we no longer keep the other side waiting.
    pub fn restart(&mut self, now: Timestamp) {
        (self.heard, self.progressed) = (now, now);
    }

    /// Something is transmitted.
    pub fn said(&mut self, now: Timestamp) {
        self.said = Some(now);
    }

    /// Something came.
    pub fn heard(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// Something other than a keepalive came.
    pub fn progressed(&mut self, now: Timestamp) {
        self.progressed = now;
    }

    /// True when anything was ever transmitted.
    pub const fn has_said(&self) -> bool {
        self.said.is_some()
    }

    /// When to say that we are there.
    pub fn keepalive_at(&self) -> Option<Timestamp> {
        Some(self.said?.plus(self.keepalive?))
    }

    /// When the other side is silent for too long.
    pub fn silent_at(&self) -> Option<Timestamp> {
        self.keepalive.map(|interval| self.heard.plus(interval.times(SILENCE_INTERVALS)))
    }

    /// When `span` without progress is over.
    pub fn stuck_at(&self, span: Span) -> Timestamp {
        self.progressed.plus(span)
    }
}
