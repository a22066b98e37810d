//! Content hash: the blake3 name of a sequence of bytes.
//!
//! Content ids are plain blake3, so `b3sum` checks them. Ids of *structured*
//! things (records, models, headers) use [`ContentHash::derive`], blake3's key
//! derivation mode with a context string, so that two kinds of thing never
//! share an id. This file does not sign and does not encode.

use std::cmp::Ordering;
use std::fmt;

/// Length of a content hash in bytes.
pub const HASH_BYTES: usize = 32;

/// A 32-byte blake3 hash. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; HASH_BYTES]);

/// Why a text is not a content hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// The text is not 64 characters long; holds its length.
    #[error("expected 64 hexadecimal digits, found {0} characters")]
    Length(usize),
    /// A character is not a lower-case hexadecimal digit; holds its position.
    #[error("character {0} is not a lower-case hexadecimal digit")]
    Digit(usize),
}

impl ContentHash {
    /// Hashes `bytes` with plain blake3.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Hashes `bytes` under `context`, blake3's key derivation mode.
    ///
    /// `context` is a constant of the program that names the kind of thing.
    pub fn derive(context: &'static str, bytes: &[u8]) -> Self {
        Self(blake3::derive_key(context, bytes))
    }

    /// Hashes `bytes` keyed with `key`: who lacks it can't tell what was hashed.
    pub fn keyed(key: &[u8; 32], bytes: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key, bytes).as_bytes())
    }

    /// Takes 32 bytes that are a hash already, as read from the wire.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    fn first(&self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("a hash has more than eight bytes"))
    }

    /// The first 10 hexadecimal digits, for people; never compare these.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl Ord for ContentHash {
    /// The order of the bytes. Hashes nearly always differ in the first eight,
    /// which are compared as one number: ordered maps of hashes live on this.
    fn cmp(&self, other: &Self) -> Ordering {
        self.first().cmp(&other.first()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ContentHash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.short())
    }
}

impl std::str::FromStr for ContentHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 2 * HASH_BYTES {
            return Err(ParseHashError::Length(text.chars().count()));
        }
        let mut bytes = [0; HASH_BYTES];
        for (index, pair) in digits.chunks_exact(2).enumerate() {
            let high = nibble(pair[0]).ok_or(ParseHashError::Digit(2 * index))?;
            let low = nibble(pair[1]).ok_or(ParseHashError::Digit(2 * index + 1))?;
            bytes[index] = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): spreads a number over 64 bits, one to
/// one. For draws that are the same everywhere; it hides nothing.
pub const fn mix64(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_b3sum_does() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(ContentHash::of(b"").to_string(), empty);
    }

    #[test]
    fn reads_back_what_it_shows() {
        let hash = ContentHash::of(b"update");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn refuses_malformed_text() {
        let good = ContentHash::of(b"x").to_string();
        for (text, error) in [
            (good[..63].to_owned(), ParseHashError::Length(63)),
            (good.to_uppercase().replace('0', "A"), ParseHashError::Digit(0)),
            (format!("{}é", &good[..62]), ParseHashError::Digit(62)),
        ] {
            let found = text.parse::<ContentHash>();
            assert!(found.is_err(), "{text}");
            if matches!(error, ParseHashError::Length(_)) {
                assert_eq!(found, Err(error));
            }
        }
    }

    #[test]
    fn orders_as_the_bytes_do() {
        let mut hashes: Vec<_> = (0..200_u8).map(|n| ContentHash::of(&[n])).collect();
        // Equal beginnings too.
        hashes.extend((0..64_u8).map(|n| {
            let mut bytes = [0x80; HASH_BYTES];
            bytes[usize::from(n) / 2] = n;
            ContentHash::from_bytes(bytes)
        }));
        for one in &hashes {
            for other in &hashes {
                assert_eq!(one.cmp(other), one.as_bytes().cmp(other.as_bytes()));
            }
        }
    }

    #[test]
    fn separates_contexts() {
        assert_ne!(ContentHash::derive("a", b"x"), ContentHash::derive("b", b"x"));
    }
}
