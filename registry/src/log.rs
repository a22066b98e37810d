//! Log: one peer's entries in order, each chained to the one before.
//!
//! [`Chain`] is the rule (same author, sequence numbers without a gap, each
//! entry naming the hash of the one before, genesis first and only there);
//! [`LogWriter`] extends a chain, [`verify_chain`] checks one. Both are pure:
//! files belong to the shell, framing of a log file to [`crate::scan`].

use std::sync::Arc;

use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Timestamp;

use crate::entry::{EntryHash, LogEntry, SignedEntry};
use crate::federation::FederationId;
use crate::record::Record;

/// Most entries of one log; about a century at one entry per three minutes.
pub const LOG_ENTRIES_MAX: u64 = 1 << 24;

/// Where a log stands: what the next entry has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    author: PeerId,
    len: u64,
    last: Option<EntryHash>,
    federation: Option<FederationId>,
}

/// Appends to one peer's log.
#[derive(Debug, Clone)]
pub struct LogWriter {
    key: Arc<SecretKey>,
    chain: Chain,
    signing: Signing,
}

/// When an entry is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    /// As it is made.
    #[default]
    AtOnce,
    /// When somebody asks for its bytes: for simulated worlds, where nobody reads
    /// most of the entries. Entries and bytes are the same.
    OnDemand,
}

/// Why entries are not one peer's whole log from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// An entry is signed by another peer than the log's.
    #[error("entry {sequence} is signed by {found}, the log belongs to {expected}")]
    Author {
        /// The entry's own sequence number.
        sequence: u64,
        /// Whose log this is.
        expected: PeerId,
        /// Who signed the entry.
        found: PeerId,
    },
    /// An entry is missing, doubled or out of order.
    #[error("entry {expected} is missing or out of order: found entry {found}")]
    Sequence {
        /// The next number of the log.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// An entry names another predecessor than the one that is there.
    #[error("entry {0} does not name the entry before it: its author signed two logs")]
    Previous(u64),
    /// The first entry is not a genesis record.
    #[error("entry 0 is of kind {0}, a log begins with genesis")]
    NoGenesis(&'static str),
    /// A genesis record stands in the middle; holds its sequence number.
    #[error("entry {0} is a second genesis")]
    SecondGenesis(u64),
    /// The log has more entries than any log may have.
    #[error("more than {LOG_ENTRIES_MAX} entries")]
    TooLong,
}

impl Chain {
    /// The chain of a log of `author` that has no entry yet.
    pub const fn new(author: PeerId) -> Self {
        Self { author, len: 0, last: None, federation: None }
    }

    /// Takes the next entry, or says why it cannot follow.
    pub fn push(&mut self, next: &SignedEntry) -> Result<(), LogError> {
        let entry = next.entry();
        let (sequence, expected) = (entry.sequence, self.author);
        if entry.author != expected {
            return Err(LogError::Author { sequence, expected, found: entry.author });
        }
        if sequence != self.len {
            return Err(LogError::Sequence { expected: self.len, found: sequence });
        }
        if entry.previous != self.last {
            return Err(LogError::Previous(sequence));
        }
        if self.len >= LOG_ENTRIES_MAX {
            return Err(LogError::TooLong);
        }
        match (&entry.record, self.len) {
            (Record::Genesis { federation }, 0) => self.federation = Some(*federation),
            (Record::Genesis { .. }, _) => return Err(LogError::SecondGenesis(sequence)),
            (other, 0) => return Err(LogError::NoGenesis(other.kind())),
            _ => {}
        }
        self.len += 1;
        self.last = Some(next.hash());
        Ok(())
    }

    /// Number of entries so far.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True before the first entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The federation that the genesis record names.
    pub const fn federation(&self) -> Option<FederationId> {
        self.federation
    }

    /// The hash of the last entry.
    pub const fn last(&self) -> Option<EntryHash> {
        self.last
    }
}

/// Checks that `entries` are the log of `author` from its first entry on.
///
/// Signatures are not checked again: a [`SignedEntry`] has a good one.
pub fn verify_chain(entries: &[SignedEntry], author: PeerId) -> Result<Chain, LogError> {
    let mut chain = Chain::new(author);
    entries.iter().try_for_each(|entry| chain.push(entry))?;
    Ok(chain)
}

impl LogWriter {
    /// Begins an empty log; the first record has to be genesis.
    pub fn new(key: SecretKey) -> Self {
        let chain = Chain::new(key.peer_id());
        Self { key: Arc::new(key), chain, signing: Signing::default() }
    }

    /// Goes on after `entries`, which are the whole log so far (perhaps empty).
    pub fn resume(key: SecretKey, entries: &[SignedEntry]) -> Result<Self, LogError> {
        let chain = verify_chain(entries, key.peer_id())?;
        Ok(Self { key: Arc::new(key), chain, signing: Signing::default() })
    }

    /// The same log with further entries signed as `signing` says.
    pub fn with_signing(self, signing: Signing) -> Self {
        Self { signing, ..self }
    }

    /// Signs the next entry. It must be on stable storage before anything that
    /// speaks of it leaves the peer (design section 6).
    ///
    /// # Panics
    /// If genesis is not the first record and only the first, or a head is
    /// above its limit: both are mistakes of the caller.
    pub fn append(&mut self, now: Timestamp, record: Record) -> SignedEntry {
        let entry = LogEntry {
            author: self.chain.author,
            sequence: self.chain.len,
            previous: self.chain.last,
            time: now,
            record,
        };
        let entry = match self.signing {
            Signing::AtOnce => SignedEntry::sign(entry, &self.key),
            Signing::OnDemand => SignedEntry::sign_on_demand(entry, &self.key),
        };
        self.chain.push(&entry).expect("a log begins with genesis, once, and has room");
        entry
    }

    /// Number of entries, those given to [`LogWriter::resume`] included.
    pub const fn len(&self) -> u64 {
        self.chain.len
    }

    /// True before the first entry.
    pub const fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Where the log stands.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use longhaul_dtn::hash::ContentHash;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn genesis() -> Record {
        Record::Genesis { federation: FederationId::from_hash(ContentHash::of(b"federation")) }
    }

    /// A log of `len` entries by the key of `seed`.
    pub(crate) fn log(seed: u8, len: usize) -> Vec<SignedEntry> {
        let mut writer = LogWriter::new(key(seed));
        (0..len)
            .map(|index| {
                let now = Timestamp::from_dtn_ms(1_000 + index as u64);
                let from = key(9).peer_id();
                let record = match index {
                    0 => genesis(),
                    _ if index % 3 == 0 => Record::Refuse { bundle: None, from, code: 7 },
                    _ => Record::Update { head: vec![seed; 20 * index] },
                };
                writer.append(now, record)
            })
            .collect()
    }

    #[test]
    fn verifies_what_it_wrote() {
        let entries = log(1, 7);
        let chain = verify_chain(&entries, key(1).peer_id()).unwrap();
        assert_eq!((chain.len(), chain.last()), (7, Some(entries[6].hash())));
        assert!(chain.federation().is_some());
    }

    #[test]
    fn resumes_where_it_stopped() {
        let entries = log(1, 7);
        for stop in 0..7 {
            let mut writer = LogWriter::resume(key(1), &entries[..stop]).unwrap();
            assert_eq!((writer.len(), writer.is_empty()), (stop as u64, stop == 0));
            let entry = entries[stop].entry();
            assert_eq!(writer.append(entry.time, entry.record.clone()), entries[stop]);
        }
    }

    #[test]
    fn refuses_dropped_doubled_swapped_and_foreign_entries() {
        let good = log(1, 6);
        let author = key(1).peer_id();
        let check = |entries: Vec<SignedEntry>, expected: LogError| {
            assert_eq!(verify_chain(&entries, author), Err(expected));
        };
        let without = |at: usize| [&good[..at], &good[at + 1..]].concat();
        for at in 0..5 {
            let (expected, found) = (at as u64, at as u64 + 1);
            check(without(at), LogError::Sequence { expected, found });
        }
        let doubled = [&good[..3], &good[2..]].concat();
        check(doubled, LogError::Sequence { expected: 3, found: 2 });
        let mut swapped = good.clone();
        swapped.swap(2, 3);
        check(swapped, LogError::Sequence { expected: 2, found: 3 });
        let mut foreign = good.clone();
        foreign[3] = log(2, 6)[3].clone();
        let found = key(2).peer_id();
        check(foreign, LogError::Author { sequence: 3, expected: author, found });
    }

    #[test]
    fn refuses_a_branch() {
        let good = log(1, 6);
        let mut writer = LogWriter::resume(key(1), &good[..3]).unwrap();
        let other = writer.append(Timestamp::default(), Record::Update { head: vec![] });
        let branched = [&good[..3], &[other], &good[4..]].concat();
        assert_eq!(verify_chain(&branched, key(1).peer_id()), Err(LogError::Previous(4)));
    }

    #[test]
    fn refuses_genesis_anywhere_but_first() {
        let raw = |sequence: u64, previous: Option<EntryHash>, record: Record| {
            let (author, time) = (key(1).peer_id(), Timestamp::default());
            SignedEntry::sign(LogEntry { author, sequence, previous, time, record }, &key(1))
        };
        let author = key(1).peer_id();
        let first = raw(0, None, Record::Update { head: vec![] });
        assert_eq!(verify_chain(&[first], author), Err(LogError::NoGenesis("update")));
        let first = raw(0, None, genesis());
        let second = raw(1, Some(first.hash()), genesis());
        assert_eq!(verify_chain(&[first, second], author), Err(LogError::SecondGenesis(1)));
    }

    #[test]
    fn an_empty_log_is_a_log() {
        assert!(verify_chain(&[], key(1).peer_id()).unwrap().is_empty());
        assert!(LogWriter::resume(key(1), &[]).unwrap().is_empty());
    }
}
