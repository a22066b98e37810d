//! The trace: a digest over everything that happened, in order.
//!
//! Two runs with equal digests had the same events at the same times with the
//! same contents. The digest covers what peers are given (frames, finished
//! training, disk answers) and what they ask for, so a difference anywhere in
//! their code shows, and thread timing never does. Each event is one record of
//! fixed size; what is named by a hash already stands there by that hash, and the
//! bytes of a frame follow their record, since hashing them in bulk costs a tenth of
//! hashing each. Whoever wants to see the events gets records with the content's hash.

use longhaul_dtn::hash::ContentHash;

use crate::clock::SimTime;

/// What happened; the numbers are part of the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// A frame was lost.
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
    /// A fault began.
    FaultOn = 14,
    /// A fault ended.
    FaultOff = 15,
    /// A peer's model was sampled.
    Sample = 16,
    /// A peer's process ended.
    Crash = 17,
    /// An own update was published.
    Published = 18,
    /// Another peer's update was accepted.
    Accepted = 19,
    /// A bundle was refused.
    Refused = 20,
    /// A slot turned out void.
    Voided = 21,
    /// An adversary did what it does.
    Attack = 22,
    /// A peer closed old epochs.
    Sealed = 23,
    /// An own update came too late for a seal.
    TooLate = 24,
    /// The modelled time of proving has passed.
    Proven = 25,
}

/// One event: when, what, to whom, two numbers and the hash of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Microseconds since the start.
    pub at_us: u64,
    /// What happened.
    pub kind: Kind,
    /// To whom; 0 for the world.
    pub peer: u16,
    /// What the kind says: a link, an epoch, a ticket.
    pub a: u64,
    /// What the kind says: the other peer, a length, a code.
    pub b: u64,
    /// blake3 of the content, or zeros.
    pub content: [u8; 32],
}

/// Takes the records as they come.
pub type Sink = Box<dyn FnMut(&Record)>;

/// Bytes of a record in the digest.
const RECORD_BYTES: usize = 59;
/// Bytes hashed at a time: blake3 is fastest on long inputs.
const BUFFER_BYTES: usize = 32 * 1024;

/// The running digest.
pub struct Trace {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    events: u64,
    sink: Option<Sink>,
}

impl Trace {
    /// The digest of nothing; `sink` sees every record.
    pub fn new(sink: Option<Sink>) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES + RECORD_BYTES);
        Self { hasher: blake3::Hasher::new(), buffer, events: 0, sink }
    }

    /// Adds an event without content.
    pub fn event(&mut self, at: SimTime, kind: Kind, peer: u16, a: u64, b: u64) {
        self.record(Record { at_us: at.us(), kind, peer, a, b, content: [0; 32] });
    }

    /// Adds an event with content.
    pub fn event_with(
        &mut self,
        at: SimTime,
        kind: Kind,
        peer: u16,
        [a, b]: [u64; 2],
        bytes: &[u8],
    ) {
        let mut record = Record { at_us: at.us(), kind, peer, a, b, content: [0; 32] };
        self.buffer.extend_from_slice(&head(&record));
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        // Only who looks at single events needs a name for each content.
        if self.sink.is_some() {
            record.content = *blake3::hash(bytes).as_bytes();
        }
        self.recorded(&record);
    }

    /// Adds an event whose content has a name already.
    pub fn event_named(
        &mut self,
        at: SimTime,
        kind: Kind,
        peer: u16,
        [a, b]: [u64; 2],
        name: &ContentHash,
    ) {
        let content = *name.as_bytes();
        self.record(Record { at_us: at.us(), kind, peer, a, b, content });
    }

    /// Number of events so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The digest so far.
    pub fn digest(&mut self) -> ContentHash {
        self.flush();
        ContentHash::from_bytes(*self.hasher.finalize().as_bytes())
    }

    fn record(&mut self, record: Record) {
        self.buffer.extend_from_slice(&head(&record));
        self.recorded(&record);
    }

    fn recorded(&mut self, record: &Record) {
        self.events += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
        if let Some(sink) = &mut self.sink {
            sink(record);
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
    }
}

/// The bytes of a record in the digest.
fn head(record: &Record) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&record.at_us.to_le_bytes());
    bytes[8] = record.kind as u8;
    bytes[9..11].copy_from_slice(&record.peer.to_le_bytes());
    bytes[11..19].copy_from_slice(&record.a.to_le_bytes());
    bytes[19..27].copy_from_slice(&record.b.to_le_bytes());
    bytes[27..].copy_from_slice(&record.content);
    bytes
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("events", &self.events).finish()
    }
}

impl Kind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Self; 25] = [
        Self::Start,
        Self::Wake,
        Self::LinkUp,
        Self::LinkDown,
        Self::Frame,
        Self::Lost,
        Self::Train,
        Self::Trained,
        Self::TrainingFailed,
        Self::Persist,
        Self::Persisted,
        Self::ContactStart,
        Self::ContactEnd,
        Self::FaultOn,
        Self::FaultOff,
        Self::Sample,
        Self::Crash,
        Self::Published,
        Self::Accepted,
        Self::Refused,
        Self::Voided,
        Self::Attack,
        Self::Sealed,
        Self::TooLate,
        Self::Proven,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The word for lists of events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Wake => "wake",
            Self::LinkUp => "link-up",
            Self::LinkDown => "link-down",
            Self::Frame => "frame",
            Self::Lost => "lost",
            Self::Train => "train",
            Self::Trained => "trained",
            Self::TrainingFailed => "training-failed",
            Self::Persist => "persist",
            Self::Persisted => "persisted",
            Self::ContactStart => "contact-start",
            Self::ContactEnd => "contact-end",
            Self::FaultOn => "fault-on",
            Self::FaultOff => "fault-off",
            Self::Sample => "sample",
            Self::Crash => "crash",
            Self::Published => "published",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Voided => "voided",
            Self::Attack => "attack",
            Self::Sealed => "sealed",
            Self::TooLate => "too-late",
            Self::Proven => "proven",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fill: impl FnOnce(&mut Trace)) -> ContentHash {
        let mut trace = Trace::new(None);
        fill(&mut trace);
        trace.digest()
    }

    #[test]
    fn time_kind_peer_numbers_and_contents_count() {
        let at = SimTime::from_us;
        let digests = [
            digest(|trace| trace.event(at(5), Kind::Wake, 1, 0, 0)),
            digest(|trace| trace.event(at(6), Kind::Wake, 1, 0, 0)),
            digest(|trace| trace.event(at(5), Kind::Start, 1, 0, 0)),
            digest(|trace| trace.event(at(5), Kind::Wake, 2, 0, 0)),
            digest(|trace| trace.event(at(5), Kind::Wake, 1, 1, 0)),
            digest(|trace| trace.event(at(5), Kind::Wake, 1, 0, 1)),
            digest(|trace| trace.event_with(at(5), Kind::Wake, 1, [0, 0], b"a")),
            digest(|trace| trace.event_with(at(5), Kind::Wake, 1, [0, 0], b"b")),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "digest {index} repeats another");
        }
    }

    #[test]
    fn a_record_has_the_size_that_the_digest_counts_on() {
        let mut trace = Trace::new(None);
        trace.event(SimTime::ZERO, Kind::Start, 0, 1, 2);
        assert_eq!((trace.buffer.len(), trace.events()), (RECORD_BYTES, 1));
    }

    #[test]
    fn kinds_have_numbers_of_their_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}
