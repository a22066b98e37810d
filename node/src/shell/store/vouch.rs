//! Vouch: which beginning of the log was checked before.
//!
//! Checking 100,000 signatures takes seconds at every start, and all but the last
//! few were checked by the start before. So the index remembers a [`Tag`]: how
//! many bytes of the log were checked, and their blake3 hash under a key that is
//! derived from the peer's secret. Whoever changes the log cannot make a tag for
//! it; a tag that is old vouches for less, a lost one for nothing, and then all
//! signatures are checked again. Entries that this process appends are vouched
//! for as they are made.

use longhaul_dtn::hash::{ContentHash, HASH_BYTES};
use longhaul_dtn::identity::SecretKey;

const KEY_CONTEXT: &str = "longhaul 2026 checked log prefix v1";
/// Bytes of an encoded tag.
const TAG_BYTES: usize = 8 + HASH_BYTES;

/// Says that a beginning of the log was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    len: u64,
    hash: ContentHash,
}

/// The running hash over the checked bytes of the log.
#[derive(Clone)]
pub(super) struct Vouch {
    hasher: blake3::Hasher,
    len: u64,
}

impl Tag {
    /// The bytes for the index.
    pub fn to_bytes(self) -> [u8; TAG_BYTES] {
        let mut bytes = [0; TAG_BYTES];
        bytes[..8].copy_from_slice(&self.len.to_be_bytes());
        bytes[8..].copy_from_slice(self.hash.as_bytes());
        bytes
    }

    /// Reads the bytes of the index.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (len, hash) = bytes.split_first_chunk()?;
        let hash = ContentHash::from_bytes(hash.try_into().ok()?);
        Some(Self { len: u64::from_be_bytes(*len), hash })
    }
}

impl Vouch {
    /// Vouches for nothing yet.
    fn new(key: &SecretKey) -> Self {
        let secret = ContentHash::derive(KEY_CONTEXT, &key.to_seed());
        Self { hasher: blake3::Hasher::new_keyed(secret.as_bytes()), len: 0 }
    }

    /// Vouches for the beginning of `log` that `tag` was made for; for nothing if it was made for
    /// other bytes or with another key.
    pub fn check(key: &SecretKey, tag: Option<Tag>, log: &[u8]) -> Self {
        let len = tag.and_then(|tag| usize::try_from(tag.len).ok());
        let mut vouch = Self::new(key);
        if let Some(prefix) = len.and_then(|len| log.get(..len)) {
            vouch.add(prefix);
        }
        if Some(vouch.tag()) == tag { vouch } else { Self::new(key) }
    }

    /// Goes on with bytes that were checked now.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// What to remember.
    pub fn tag(&self) -> Tag {
        let hash = ContentHash::from_bytes(*self.hasher.finalize().as_bytes());
        Tag { len: self.len, hash }
    }

    /// Number of bytes from the log's beginning.
    pub fn len(&self) -> usize {
        usize::try_from(self.len).expect("the bytes were in memory")
    }
}

impl std::fmt::Debug for Vouch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The hasher holds the derived key.
        f.debug_struct("Vouch").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn vouch_for(log: &[u8]) -> Vouch {
        let mut vouch = Vouch::new(&key(1));
        vouch.add(log);
        vouch
    }

    #[test]
    fn a_tag_vouches_for_its_bytes_and_no_others() {
        let log = [7; 3_000];
        let tag = vouch_for(&log[..2_000]).tag();
        assert_eq!(Tag::from_bytes(&tag.to_bytes()), Some(tag));
        assert_eq!(Vouch::check(&key(1), Some(tag), &log).len(), 2_000);
        assert_eq!(Vouch::check(&key(2), Some(tag), &log).len(), 0);
        assert_eq!(Vouch::check(&key(1), Some(tag), &log[..1_999]).len(), 0);
        assert_eq!(Vouch::check(&key(1), None, &log).len(), 0);
        for at in [0, 1_000, 1_999] {
            let mut changed = log;
            changed[at] ^= 1;
            assert_eq!(Vouch::check(&key(1), Some(tag), &changed).len(), 0, "byte {at}");
        }
        let longer = Tag { len: 2_001, ..tag };
        assert_eq!(Vouch::check(&key(1), Some(longer), &log).len(), 0);
    }

    #[test]
    fn goes_on_from_a_checked_tag_as_if_it_had_never_stopped() {
        let log: Vec<u8> = (0..5_000u32).map(|it| it.to_be_bytes()[3]).collect();
        let tag = vouch_for(&log[..3_333]).tag();
        let mut again = Vouch::check(&key(1), Some(tag), &log);
        again.add(&log[3_333..]);
        assert_eq!(again.tag(), vouch_for(&log).tag());
    }

    #[test]
    fn malformed_tags_are_none() {
        for len in [0, 7, 8, 39, 41] {
            assert_eq!(Tag::from_bytes(&vec![0; len]), None);
        }
        assert!(!format!("{:?}", vouch_for(b"x")).contains("hasher"));
    }
}
