//! The trace: a digest over everything that happened, in order.
//!
//! Two runs with equal digests had the same events at the same times with the
//! same contents. The digest covers what peers are given (frames, finished
//! training, disk answers) and what they report, so a difference anywhere in
//! their code shows, and thread timing never does.

use longhaul_dtn::hash::ContentHash;

use crate::clock::SimTime;

/// What happened; the numbers are part of the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A peer's process came up.
    Start = 1,
    /// A peer woke as it had asked.
    Wake = 2,
    /// A link came up.
    LinkUp = 3,
    /// A link went down.
    LinkDown = 4,
    /// A frame arrived.
    Frame = 5,
    /// A frame was lost with its link.
    Lost = 6,
    /// Training was asked for.
    Train = 7,
    /// Training was finished.
    Trained = 8,
    /// Training failed.
    TrainingFailed = 9,
    /// A peer asked for bytes to be made durable.
    Persist = 10,
    /// They are durable.
    Persisted = 11,
    /// A planned contact began.
    ContactStart = 12,
    /// A planned contact ended.
    ContactEnd = 13,
    /// A partition went on.
    PartitionOn = 14,
    /// A partition went off.
    PartitionOff = 15,
    /// A peer's model was sampled.
    Sample = 16,
}

/// The running digest.
#[derive(Debug, Clone)]
pub struct Trace {
    hasher: blake3::Hasher,
    events: u64,
}

/// One event on its way into the digest.
#[derive(Debug)]
pub struct Entry<'a>(&'a mut Trace);

impl Trace {
    /// The digest of nothing.
    pub fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), events: 0 }
    }

    /// Begins the entry of an event; its contents follow.
    pub fn event(&mut self, at: SimTime, kind: Kind, peer: u16) -> Entry<'_> {
        self.events += 1;
        let mut entry = Entry(self);
        entry.number(at.us()).number(kind as u64).number(u64::from(peer));
        entry
    }

    /// Number of events so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The digest so far.
    pub fn digest(&self) -> ContentHash {
        ContentHash::from_bytes(*self.hasher.finalize().as_bytes())
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Entry<'_> {
    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.hasher.update(&number.to_le_bytes());
        self
    }

    /// Adds bytes and, before them, their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.hasher.update(bytes);
        self
    }

    /// Adds a content hash.
    pub fn hash(&mut self, hash: &ContentHash) -> &mut Self {
        self.0.hasher.update(hash.as_bytes());
        self
    }

    /// Adds floats by their bits.
    pub fn floats(&mut self, floats: &[f32]) -> &mut Self {
        let bytes: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(us: u64, kind: Kind, peer: u16, fill: impl FnOnce(&mut Entry<'_>)) -> ContentHash {
        let mut trace = Trace::new();
        fill(&mut trace.event(SimTime::from_us(us), kind, peer));
        trace.digest()
    }

    #[test]
    fn time_kind_peer_and_contents_count() {
        let digests = [
            digest(5, Kind::Wake, 1, |_| {}),
            digest(6, Kind::Wake, 1, |_| {}),
            digest(5, Kind::Start, 1, |_| {}),
            digest(5, Kind::Wake, 2, |_| {}),
            digest(5, Kind::Wake, 1, |entry| _ = entry.number(0)),
            digest(5, Kind::Wake, 1, |entry| _ = entry.bytes(b"a").bytes(b"b")),
            digest(5, Kind::Wake, 1, |entry| _ = entry.bytes(b"ab").bytes(b"")),
            digest(5, Kind::Wake, 1, |entry| _ = entry.floats(&[0.0])),
            digest(5, Kind::Wake, 1, |entry| _ = entry.floats(&[-0.0])),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "digest {index} repeats another");
        }
    }

    #[test]
    fn counts_events() {
        let mut trace = Trace::new();
        trace.event(SimTime::ZERO, Kind::Start, 0).number(1).number(2);
        trace.event(SimTime::ZERO, Kind::Wake, 0);
        assert_eq!(trace.events(), 2);
    }
}
