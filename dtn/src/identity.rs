//! Identity: the Ed25519 key of a peer, its public id, and domain-tagged
//! signatures.
//!
//! Every signature covers a domain tag and then the canonical bytes, so that a
//! signature made for one purpose is worthless for another. Verification is
//! `verify_strict` (no small-order keys, no malleable signatures).

use std::cell::Cell;
use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Length of a peer id (an Ed25519 public key) in bytes.
pub const PEER_ID_BYTES: usize = 32;
/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;
/// Length of the text form of a peer id.
pub const PEER_ID_CHARS: usize = 52;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a signature is for; the tag is part of the signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// A federation's manifest.
    Manifest,
    /// An entry of a peer's log.
    LogEntry,
    /// The proof of key possession in a contact's hello.
    Hello,
    /// An author's word for a key that signs bundles in its place.
    Pseudonym,
}

impl Domain {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Manifest => b"longhaul.manifest.v1\0",
            Self::LogEntry => b"longhaul.log-entry.v1\0",
            Self::Hello => b"longhaul.hello.v1\0",
            Self::Pseudonym => b"longhaul.pseudonym.v1\0",
        }
    }
}

/// The public name of a peer: its Ed25519 public key.
///
/// Shown as 52 characters of lower-case RFC 4648 base32 without padding. A
/// value always decodes to a usable key: it is checked when made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; PEER_ID_BYTES]);

/// An Ed25519 signature, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

/// The signing key of a peer. It never shows itself and is wiped on drop.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// Why something is not a peer id or not a valid signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The text does not have 52 characters; holds its length.
    #[error("a peer id has 52 characters, found {0}")]
    Length(usize),
    /// A character is outside `a-z2-7`, or the spare bits are not zero.
    #[error("not lower-case base32 (a-z, 2-7) in its canonical form")]
    Alphabet,
    /// The bytes are not a point of the curve, or one of small order.
    #[error("not a usable Ed25519 public key")]
    Key,
    /// The signature does not belong to these bytes, this domain and this key.
    #[error("the signature does not match")]
    Signature,
}

/// Keys that a thread remembers to be usable, each in the place of its first byte.
const RECENT_KEYS: usize = 64;

thread_local! {
    static RECENT: [Cell<Option<[u8; PEER_ID_BYTES]>>; RECENT_KEYS] =
        const { [const { Cell::new(None) }; RECENT_KEYS] };
}

impl PeerId {
    /// Takes the bytes of a public key; refuses what can never verify.
    ///
    /// Cost: a point decompression (some 4 us), unless this thread took the same bytes lately:
    /// a store or a log that is read again names few peers many times.
    pub fn from_bytes(bytes: [u8; PEER_ID_BYTES]) -> Result<Self, IdentityError> {
        let place = usize::from(bytes[0]) % RECENT_KEYS;
        if RECENT.with(|recent| recent[place].get() == Some(bytes)) {
            return Ok(Self(bytes));
        }
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| IdentityError::Key)?;
        if key.is_weak() {
            return Err(IdentityError::Key);
        }
        RECENT.with(|recent| recent[place].set(Some(bytes)));
        Ok(Self(bytes))
    }

    /// The bytes of the public key, for the wire.
    pub const fn as_bytes(&self) -> &[u8; PEER_ID_BYTES] {
        &self.0
    }

    /// The first 8 characters, for people; never compare these.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    /// Checks a signature over a COSE structure.
    pub(crate) fn verify_cose(
        &self,
        structure: &[u8],
        signature: &Signature,
    ) -> Result<(), IdentityError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| IdentityError::Key)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(structure, &signature).map_err(|_| IdentityError::Signature)
    }

    /// Checks that `signature` is this peer's over `message` in `domain`.
    pub fn verify(
        &self,
        domain: Domain,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), IdentityError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| IdentityError::Key)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&tagged(domain, message), &signature)
            .map_err(|_| IdentityError::Signature)
    }
}

impl SecretKey {
    /// Makes the key from 32 bytes of entropy (the RFC 8032 private key).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The 32 bytes to store; keep the file at mode 0600.
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public name that goes with this key.
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    /// Signs a COSE structure (RFC 9052 section 4.4), whose first item says what it is for: it begins
    /// with the head of an array, and the tag of a [`Domain`] never does.
    pub(crate) fn sign_cose(&self, structure: &[u8]) -> Signature {
        debug_assert!(structure.first().is_some_and(|head| head >> 5 == 4));
        Signature(self.0.sign(structure).to_bytes())
    }

    /// A secret hash of `bytes`, the same whenever it is asked for.
    pub(crate) fn derive(&self, context: &'static str, bytes: &[u8]) -> [u8; 32] {
        let bytes = Zeroizing::new([&self.to_seed()[..], bytes].concat());
        blake3::derive_key(context, &bytes)
    }

    /// What this key and the owner of `other` alone can compute (X25519, RFC 7748, on the Montgomery
    /// forms of both keys; using one key for Ed25519 and X25519 is covered by eprint 2021/509).
    pub(crate) fn shared_secret(&self, other: &PeerId) -> [u8; 32] {
        let other = VerifyingKey::from_bytes(&other.0).expect("a peer id is a usable key");
        (self.0.to_scalar() * other.to_montgomery()).to_bytes()
    }

    /// Signs `message` for `domain`.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.0.sign(&tagged(domain, message)).to_bytes())
    }
}

impl Signature {
    /// Takes 64 bytes from the wire; nothing is checked yet.
    pub const fn from_bytes(bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire.
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }
}

fn tagged(domain: Domain, message: &[u8]) -> Vec<u8> {
    [domain.tag(), message].concat()
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(PEER_ID_CHARS);
        let (mut bits, mut count) = (0u16, 0u32);
        for &byte in &self.0 {
            bits = bits << 8 | u16::from(byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                text.push(char::from(ALPHABET[usize::from(bits >> count & 31)]));
            }
            bits &= (1 << count) - 1;
        }
        text.push(char::from(ALPHABET[usize::from(bits << (5 - count) & 31)]));
        f.pad(&text)
    }
}

impl std::str::FromStr for PeerId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != PEER_ID_CHARS {
            return Err(IdentityError::Length(text.chars().count()));
        }
        let mut bytes = Vec::with_capacity(PEER_ID_BYTES);
        let (mut bits, mut count) = (0u16, 0u32);
        for character in text.bytes() {
            let value = ALPHABET
                .iter()
                .zip(0u16..)
                .find_map(|(&letter, value)| (letter == character).then_some(value))
                .ok_or(IdentityError::Alphabet)?;
            bits = bits << 5 | value;
            count += 5;
            if count >= 8 {
                count -= 8;
                bytes.extend(u8::try_from(bits >> count));
                bits &= (1 << count) - 1;
            }
        }
        if bits != 0 {
            return Err(IdentityError::Alphabet);
        }
        let bytes = bytes.try_into().map_err(|_| IdentityError::Alphabet)?;
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature(..)")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.peer_id().short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_seed(&[byte; 32])
    }

    #[test]
    fn verifies_what_it_signed() {
        let signature = key(1).sign(Domain::Manifest, b"hello");
        let author = key(1).peer_id();
        assert_eq!(author.verify(Domain::Manifest, b"hello", &signature), Ok(()));
    }

    #[test]
    fn refuses_another_domain_message_or_key() {
        let signature = key(1).sign(Domain::Manifest, b"hello");
        for (who, domain, message) in [
            (1, Domain::Hello, &b"hello"[..]),
            (1, Domain::Manifest, b"hellO"),
            (2, Domain::Manifest, b"hello"),
        ] {
            let found = key(who).peer_id().verify(domain, message, &signature);
            assert_eq!(found, Err(IdentityError::Signature));
        }
    }

    #[test]
    fn refuses_a_flipped_signature_bit() {
        let good = key(1).sign(Domain::Hello, b"hello");
        for bit in 0..SIGNATURE_BYTES * 8 {
            let mut bytes = *good.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bad = Signature::from_bytes(bytes);
            assert!(key(1).peer_id().verify(Domain::Hello, b"hello", &bad).is_err());
        }
    }

    #[test]
    fn reads_back_the_text_form() {
        for byte in 0..=255 {
            let id = key(byte).peer_id();
            assert_eq!(id.to_string().len(), PEER_ID_CHARS);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn refuses_malformed_text_forms() {
        let good = key(3).peer_id().to_string();
        for (text, error) in [
            (good[1..].to_owned(), IdentityError::Length(51)),
            (good.to_uppercase(), IdentityError::Alphabet),
            (format!("{}1", &good[..51]), IdentityError::Alphabet),
            ("a".repeat(52), IdentityError::Key),
        ] {
            assert_eq!(text.parse::<PeerId>(), Err(error), "{text}");
        }
    }

    #[test]
    fn refuses_small_order_keys() {
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(PeerId::from_bytes(one), Err(IdentityError::Key));
    }

    #[test]
    fn both_ends_share_one_secret() {
        let both = |a: u8, b: u8| key(a).shared_secret(&key(b).peer_id());
        assert_eq!(both(1, 2), both(2, 1));
        assert_ne!(both(1, 2), both(1, 3));
    }

    #[test]
    fn shows_no_secret() {
        let shown = format!("{:?}", key(7));
        assert!(!shown.contains("07"), "{shown}");
    }
}
