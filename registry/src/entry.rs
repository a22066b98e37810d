//! Entry: one signed link of a peer's append-only log.
//!
//! An entry is the canonical map `{1: author, 2: sequence, 3: previous, 4: time,
//! 5: record}` followed by the author's signature over exactly those bytes.
//! `previous` is the hash of the entry before, so that a log cannot lose, gain
//! or swap an entry without a new signature of its author. Whether entries
//! follow one another is the concern of [`crate::log`].

use std::fmt;
use std::sync::{Arc, OnceLock};

use longhaul_dtn::codec::{CodecError, CodecErrorKind, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{Domain, PeerId, SecretKey, Signature};
use longhaul_dtn::time::Timestamp;

use crate::record::{HEAD_BYTES_MAX, Record};

/// Most bytes of an encoded entry: the largest record, and room for the
/// author, the previous hash, the numbers and the signature (about 200 bytes).
pub const ENTRY_BYTES_MAX: usize = HEAD_BYTES_MAX + 512;

/// Bytes of an entry around its body: the head of an array, and the signature, a byte
/// string with a head of two bytes.
const AROUND_BODY_BYTES: usize = 1 + 2 + 64;

/// The hash of an entry's signed bytes. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryHash(ContentHash);

/// What an entry says and where it stands in its author's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Whose log this is; the key that signs.
    pub author: PeerId,
    /// Position in the log, from 0.
    pub sequence: u64,
    /// The entry before; none for the first.
    pub previous: Option<EntryHash>,
    /// When the author says that it made the entry.
    pub time: Timestamp,
    /// What happened.
    pub record: Record,
}

/// An entry whose signature is known to be good. Cheap to clone the bytes of.
#[derive(Debug, Clone)]
pub struct SignedEntry {
    entry: LogEntry,
    hash: EntryHash,
    bytes: Bytes,
}

/// The canonical bytes, signature included.
#[derive(Debug, Clone)]
enum Bytes {
    Made(Arc<[u8]>),
    OnDemand(Arc<OnDemand>),
}

/// Bytes that are made when somebody asks for them.
#[derive(Debug)]
struct OnDemand {
    key: Arc<SecretKey>,
    size_bytes: usize,
    bytes: OnceLock<Vec<u8>>,
}

/// Why bytes are not a signed entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes are not in the entry's canonical form.
    #[error("the log entry is malformed {0}")]
    Malformed(#[from] CodecError),
    /// The signature is not its author's over these bytes.
    #[error("the signature of the log entry does not match its author and content")]
    Signature,
}

impl EntryHash {
    const CONTEXT: &'static str = "longhaul 2026 log entry v1";

    fn of_body(body: &[u8]) -> Self {
        Self(ContentHash::derive(Self::CONTEXT, body))
    }

    /// The hash, for the wire.
    pub const fn as_hash(&self) -> &ContentHash {
        &self.0
    }
}

impl LogEntry {
    fn body(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(5);
        writer.unsigned(1).bytes(self.author.as_bytes());
        writer.unsigned(2).unsigned(self.sequence);
        writer.unsigned(3);
        match &self.previous {
            Some(previous) => writer.bytes(previous.0.as_bytes()),
            None => writer.null(),
        };
        writer.unsigned(4).unsigned(self.time.dtn_ms());
        writer.unsigned(5);
        self.record.encode(&mut writer);
        writer.into_bytes()
    }

    fn read_body(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(5)?;
        reader.key(1)?;
        let unusable = reader.invalid("a usable peer id");
        let author = PeerId::from_bytes(reader.fixed()?).map_err(|_| unusable)?;
        reader.key(2)?;
        let sequence = reader.unsigned(u64::MAX)?;
        reader.key(3)?;
        let previous = match reader.null()? {
            true => None,
            false => Some(EntryHash(ContentHash::from_bytes(reader.fixed()?))),
        };
        reader.key(4)?;
        let time = Timestamp::from_dtn_ms(reader.unsigned(u64::MAX)?);
        reader.key(5)?;
        let record = Record::decode(reader)?;
        Ok(Self { author, sequence, previous, time, record })
    }
}

impl SignedEntry {
    /// Signs `entry` with the key of its author.
    ///
    /// # Panics
    /// If `key` is not the author's, or the record is above its limit: both
    /// are mistakes of the caller, who made the record.
    pub(crate) fn sign(entry: LogEntry, key: &SecretKey) -> Self {
        assert_eq!(key.peer_id(), entry.author, "an entry is signed by its author");
        let body = entry.body();
        let bytes = Bytes::Made(signed(&body, key).into());
        Self { entry, hash: EntryHash::of_body(&body), bytes }
    }

    /// The same entry, which is signed when its bytes are asked for. The signature
    /// is a function of key and entry (RFC 8032), so nobody can tell the difference.
    pub(crate) fn sign_on_demand(entry: LogEntry, key: &Arc<SecretKey>) -> Self {
        let body = entry.body();
        let later = OnDemand {
            key: Arc::clone(key),
            size_bytes: body.len() + AROUND_BODY_BYTES,
            bytes: OnceLock::new(),
        };
        Self { entry, hash: EntryHash::of_body(&body), bytes: Bytes::OnDemand(Arc::new(later)) }
    }

    /// Checks the signature over the raw bytes, and only then reads strictly
    /// what they say: nothing unsigned is interpreted but the author's key.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let Some((author, body, signature)) = split(bytes) else {
            return Err(find_fault(bytes).into());
        };
        let author = PeerId::from_bytes(author).map_err(|_| EntryError::Signature)?;
        author.verify(Domain::LogEntry, body, &signature).map_err(|_| EntryError::Signature)?;
        Self::read(bytes, body)
    }

    /// Reads strictly bytes whose signature was checked before.
    pub(crate) fn decode_checked(bytes: &[u8]) -> Result<Self, EntryError> {
        match split(bytes) {
            Some((_, body, _)) => Self::read(bytes, body),
            None => Err(find_fault(bytes).into()),
        }
    }

    fn read(bytes: &[u8], body: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(body);
        let entry = LogEntry::read_body(&mut reader)?;
        reader.finish()?;
        Ok(Self { entry, hash: EntryHash::of_body(body), bytes: Bytes::Made(bytes.into()) })
    }

    /// True if `bytes` could be the beginning of an entry whose end is missing.
    pub(crate) fn is_cut_short(bytes: &[u8]) -> bool {
        find_fault(bytes).kind == CodecErrorKind::Truncated
    }

    /// What the entry says.
    pub const fn entry(&self) -> &LogEntry {
        &self.entry
    }

    /// What happened.
    pub const fn record(&self) -> &Record {
        &self.entry.record
    }

    /// True for a version record, with which an audit file ends.
    pub const fn is_version(&self) -> bool {
        matches!(self.entry.record, Record::Version { .. })
    }

    /// The hash that the next entry names.
    pub const fn hash(&self) -> EntryHash {
        self.hash
    }

    /// Length of the canonical bytes; signs nothing.
    pub fn size_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Made(bytes) => bytes.len(),
            Bytes::OnDemand(later) => later.size_bytes,
        }
    }

    /// The canonical bytes, signature included.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Made(bytes) => bytes,
            Bytes::OnDemand(later) => {
                later.bytes.get_or_init(|| signed(&self.entry.body(), &later.key))
            }
        }
    }
}

impl PartialEq for SignedEntry {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SignedEntry {}

fn signed(body: &[u8], key: &SecretKey) -> Vec<u8> {
    let signature = key.sign(Domain::LogEntry, body);
    let mut writer = Writer::new();
    writer.array(2).raw(body).bytes(signature.as_bytes());
    let bytes = writer.into_bytes();
    assert!(bytes.len() <= ENTRY_BYTES_MAX, "a record's head is within its limit");
    bytes
}

/// The author's key, the body and the signature of an entry, by their places:
/// an array of two, a body that begins with the author, 64 signature bytes.
fn split(bytes: &[u8]) -> Option<([u8; 32], &[u8], Signature)> {
    const BODY_START: [u8; 4] = [0xa5, 0x01, 0x58, 0x20];
    const SIGNATURE_START: [u8; 2] = [0x58, 0x40];
    if bytes.len() > ENTRY_BYTES_MAX {
        return None;
    }
    let rest = bytes.strip_prefix(&[0x82])?;
    let (rest, signature) = rest.split_last_chunk::<64>()?;
    let body = rest.strip_suffix(&SIGNATURE_START)?;
    let author = body.strip_prefix(&BODY_START)?.first_chunk()?;
    Some((*author, body, Signature::from_bytes(*signature)))
}

/// What is wrong with the form of `bytes`, which are not one whole entry.
fn find_fault(bytes: &[u8]) -> CodecError {
    let mut reader = Reader::new(bytes);
    if bytes.len() > ENTRY_BYTES_MAX {
        return reader.error(CodecErrorKind::AboveLimit(ENTRY_BYTES_MAX as u64));
    }
    let read = |reader: &mut Reader<'_>| {
        reader.tuple(2)?;
        LogEntry::read_body(reader)?;
        reader.fixed::<64>()
    };
    match read(&mut reader) {
        Err(error) => error,
        Ok(_) => reader.error(CodecErrorKind::Trailing),
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryHash({})", self.0.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federation::FederationId;
    use crate::record::tests::arb_record;
    use proptest::prelude::*;

    fn arb_entry() -> impl Strategy<Value = SignedEntry> {
        let previous = prop::option::of(any::<[u8; 32]>());
        (any::<[u8; 32]>(), any::<u64>(), previous, any::<u64>(), arb_record()).prop_map(
            |(seed, sequence, previous, time, record)| {
                let key = SecretKey::from_seed(&seed);
                let previous = previous.map(ContentHash::from_bytes).map(EntryHash);
                let time = Timestamp::from_dtn_ms(time);
                let author = key.peer_id();
                SignedEntry::sign(LogEntry { author, sequence, previous, time, record }, &key)
            },
        )
    }

    #[test]
    fn an_entry_signed_on_demand_has_the_same_bytes() {
        let key = Arc::new(SecretKey::from_seed(&[3; 32]));
        let record = Record::Genesis { federation: FederationId::from_hash(ContentHash::of(b"f")) };
        let entry = LogEntry {
            author: key.peer_id(),
            sequence: 0,
            previous: None,
            time: Timestamp::from_dtn_ms(5),
            record,
        };
        let now = SignedEntry::sign(entry.clone(), &key);
        let later = SignedEntry::sign_on_demand(entry, &key);
        assert_eq!(later.size_bytes(), now.as_bytes().len());
        assert_eq!((later.hash(), later.as_bytes()), (now.hash(), now.as_bytes()));
        assert_eq!(SignedEntry::decode(later.clone().as_bytes()), Ok(later));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_signed(entry in arb_entry()) {
            prop_assert_eq!(SignedEntry::decode(entry.as_bytes()), Ok(entry));
        }

        #[test]
        fn refuses_every_flipped_byte(entry in arb_entry(), at in any::<usize>(), xor in 1u8..) {
            let mut bytes = entry.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= xor;
            prop_assert!(SignedEntry::decode(&bytes).is_err());
        }

        #[test]
        fn knows_a_beginning_from_the_whole(entry in arb_entry(), at in any::<usize>()) {
            let bytes = entry.as_bytes();
            prop_assert!(SignedEntry::is_cut_short(&bytes[..at % bytes.len()]));
            prop_assert!(!SignedEntry::is_cut_short(bytes));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(SignedEntry::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_flip_of_any_signed_byte_is_found_by_the_signature() {
        let key = SecretKey::from_seed(&[1; 32]);
        let record = Record::Update { head: vec![1, 2, 3] };
        let time = Timestamp::default();
        let entry = LogEntry { author: key.peer_id(), sequence: 0, previous: None, time, record };
        let good = SignedEntry::sign(entry, &key).as_bytes().to_vec();
        // All but the array's head, the beginning of the body (its map, the key
        // and head of the author) and the head of the signature.
        let heads = [0..5, good.len() - 66..good.len() - 64];
        for at in (0..good.len()).filter(|at| !heads.iter().any(|head| head.contains(at))) {
            for xor in 1..=255 {
                let mut bytes = good.clone();
                bytes[at] ^= xor;
                assert_eq!(SignedEntry::decode(&bytes), Err(EntryError::Signature), "byte {at}");
            }
        }
    }

    #[test]
    fn refuses_bytes_after_the_signature() {
        let key = SecretKey::from_seed(&[1; 32]);
        let record = Record::Update { head: vec![1, 2, 3] };
        let time = Timestamp::default();
        let entry = LogEntry { author: key.peer_id(), sequence: 0, previous: None, time, record };
        let mut bytes = SignedEntry::sign(entry, &key).as_bytes().to_vec();
        bytes.push(0);
        let found = SignedEntry::decode(&bytes).unwrap_err();
        assert!(found.to_string().contains("bytes follow the end"), "{found}");
    }
}
