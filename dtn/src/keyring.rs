//! Keys of a federation: what its members share, how each gets it, and which ones a peer has.
//!
//! A *federation key* is 32 secret bytes; its id is a hash of them, so that one id can't mean two
//! keys (AES-GCM does not commit to its key). Whoever makes one wraps it for each member: a
//! Diffie-Hellman secret between a key that is used for this alone and the member's own key,
//! both in their Montgomery form (RFC 7748), hashed with both public keys, encrypts it once with AES-256-GCM.
//!
//! Not here: who may make keys, and when (the registry); what is encrypted with them ([`crate::bundle`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::bpsec::ContentKey;
use crate::bundle::{BundleError, BundleHead};
use crate::hash::ContentHash;
use crate::identity::{PeerId, SecretKey};

/// Length of a key's id in bytes.
pub const KEY_ID_BYTES: usize = 16;
/// Length of a wrapped key in bytes: the key and a tag.
pub const WRAPPED_KEY_BYTES: usize = 48;

const ID_CONTEXT: &str = "longhaul 2026 federation key id v1";
const PSEUDONYM_CONTEXT: &str = "longhaul 2026 pseudonym v1";
const WRAP_CONTEXT: &str = "longhaul 2026 federation key wrap v1";

/// The name of a federation key: the first bytes of a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// What the members of a federation share; it never shows itself and is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct FederationKey(Zeroizing<[u8; 32]>);

/// A federation key that one peer can unwrap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey([u8; WRAPPED_KEY_BYTES]);

/// The federation keys that somebody has.
#[derive(Debug, Clone, Default)]
pub struct Keyring(BTreeMap<KeyId, FederationKey>);

/// A line that holds no key; its number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0}: a federation key has 64 lower-case hexadecimal digits")]
pub struct KeyLineError(pub usize);

impl KeyId {
    /// Takes the bytes of an id, as read from the wire.
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire.
    pub const fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl FederationKey {
    /// Makes a key of 32 bytes of entropy.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes, for a file of mode 0600.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        let hash = ContentHash::derive(ID_CONTEXT, &*self.0);
        KeyId(*hash.as_bytes().first_chunk().expect("a hash is longer than an id"))
    }

    /// The key as COSE messages use it.
    pub fn content_key(&self) -> ContentKey {
        ContentKey::new(self.id().as_bytes(), *self.0)
    }

    /// Encrypts the key so that `recipient` alone can read it.
    ///
    /// `once` must be made for this federation key and be forgotten afterwards; many recipients can
    /// share it. Cost: one multiplication on the curve, some 50 us.
    pub fn wrap(&self, once: &SecretKey, recipient: &PeerId) -> WrappedKey {
        let public = (&once.peer_id(), recipient);
        let wrapping = wrapping_key(&once.shared_secret(recipient), public);
        let sealed = wrapping.seal_once(self.id().as_bytes(), &*self.0);
        WrappedKey(sealed.try_into().expect("a key and a tag"))
    }
}

impl WrappedKey {
    /// Takes the bytes of a wrapped key, as read from the wire.
    pub const fn from_bytes(bytes: [u8; WRAPPED_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire.
    pub const fn as_bytes(&self) -> &[u8; WRAPPED_KEY_BYTES] {
        &self.0
    }

    /// The key that was wrapped under `once` for the owner of `key`; none if it is not the one
    /// named, or somebody else's.
    pub fn key_for(&self, id: &KeyId, once: &PeerId, key: &SecretKey) -> Option<FederationKey> {
        let recipient = key.peer_id();
        let wrapping = wrapping_key(&key.shared_secret(once), (once, &recipient));
        let opened = Zeroizing::new(wrapping.open_once(id.as_bytes(), &self.0)?);
        let found = FederationKey::from_bytes(opened.as_slice().try_into().ok()?);
        (found.id() == *id).then_some(found)
    }
}

fn wrapping_key(shared: &[u8; 32], (once, recipient): (&PeerId, &PeerId)) -> ContentKey {
    let parts = [&shared[..], once.as_bytes(), recipient.as_bytes()];
    let bytes = Zeroizing::new(parts.concat());
    ContentKey::new(&[], *ContentHash::derive(WRAP_CONTEXT, &bytes).as_bytes())
}

impl SecretKey {
    /// The key that signs in this one's place in a scope and a period: nobody else can tell whose it
    /// is, or that two of them have one owner.
    pub fn pseudonym(&self, scope: &ContentHash, period: u64) -> Self {
        let bytes = [&scope.as_bytes()[..], &period.to_be_bytes()].concat();
        Self::from_seed(&self.derive(PSEUDONYM_CONTEXT, &bytes))
    }
}

impl Keyring {
    /// Reads keys from a text: one of 64 hexadecimal digits a line; empty lines and what follows `#` are
    /// left out.
    ///
    /// # Errors
    /// The number of the first line that holds something else, from 1.
    pub fn parse(text: &str) -> Result<Self, KeyLineError> {
        let mut ring = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                // The same digits as a hash; what they are must not show in an error.
                let bytes: ContentHash = line.parse().map_err(|_| KeyLineError(number))?;
                ring.add(FederationKey::from_bytes(*bytes.as_bytes()));
            }
        }
        Ok(ring)
    }

    /// The text that [`Keyring::parse`] reads; it is secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for (id, key) in &self.0 {
            let digits = ContentHash::from_bytes(*key.to_bytes()).to_string();
            text.push_str(&format!("# key {id}\n{digits}\n"));
        }
        text
    }

    /// Adds a key; true if it is new.
    pub fn add(&mut self, key: FederationKey) -> bool {
        self.0.insert(key.id(), key).is_none()
    }

    /// Opens a bundle with the key that it names ([`BundleHead::open`]); one in clear stays as it is.
    ///
    /// # Errors
    /// [`BundleError::ForeignKey`] if the key is not there, and what [`BundleHead::open`] finds.
    pub fn open(&self, head: BundleHead) -> Result<BundleHead, BundleError> {
        if head.is_readable() {
            return Ok(head);
        }
        let Some(claim) = head.confidential() else { return Ok(head) };
        let key = self.get(&claim.key).ok_or(BundleError::ForeignKey(claim.key))?;
        head.open(key)
    }

    /// The payload of an opened bundle in clear, `payload` being what travels.
    pub fn open_payload(
        &self,
        head: &BundleHead,
        payload: &Arc<[u8]>,
    ) -> Result<Arc<[u8]>, BundleError> {
        let Some(claim) = head.confidential() else { return Ok(payload.clone()) };
        let key = self.get(&claim.key).ok_or(BundleError::ForeignKey(claim.key))?;
        head.open_payload(payload, key).map(Into::into)
    }

    /// What travels as the payload of an opened bundle whose payload in clear is `payload`.
    pub fn close_payload(
        &self,
        head: &BundleHead,
        payload: &[u8],
    ) -> Result<Arc<[u8]>, BundleError> {
        let Some(claim) = head.confidential() else { return Ok(payload.into()) };
        let key = self.get(&claim.key).ok_or(BundleError::ForeignKey(claim.key))?;
        head.close_payload(payload, key).map(Into::into)
    }

    /// The key of that name, if it is there.
    pub fn get(&self, id: &KeyId) -> Option<&FederationKey> {
        self.0.get(id)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys, by their names.
    pub fn keys(&self) -> impl Iterator<Item = &FederationKey> {
        self.0.values()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for FederationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FederationKey({})", self.id())
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> SecretKey {
        SecretKey::from_seed(&[byte; 32])
    }

    #[test]
    fn each_recipient_unwraps_its_own_and_nobody_elses() {
        let (key, once) = (FederationKey::from_bytes([7; 32]), peer(99));
        for member in 1..4 {
            let wrapped = key.wrap(&once, &peer(member).peer_id());
            for reader in 1..4 {
                let found = wrapped.key_for(&key.id(), &once.peer_id(), &peer(reader));
                assert_eq!(found.is_some(), reader == member, "{member} by {reader}");
                assert!(found.is_none_or(|found| found == key));
            }
        }
    }

    #[test]
    fn a_changed_wrap_another_name_or_another_maker_unwraps_nothing() {
        let (key, once) = (FederationKey::from_bytes([7; 32]), peer(99));
        let good = key.wrap(&once, &peer(1).peer_id());
        for bit in 0..WRAPPED_KEY_BYTES * 8 {
            let mut bytes = *good.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let wrapped = WrappedKey::from_bytes(bytes);
            assert!(wrapped.key_for(&key.id(), &once.peer_id(), &peer(1)).is_none(), "bit {bit}");
        }
        let other = FederationKey::from_bytes([8; 32]).id();
        assert!(good.key_for(&other, &once.peer_id(), &peer(1)).is_none());
        assert!(good.key_for(&key.id(), &peer(98).peer_id(), &peer(1)).is_none());
    }

    #[test]
    fn names_tell_keys_apart_and_show_no_secret() {
        let keys: Vec<_> = (0..=255).map(|byte| FederationKey::from_bytes([byte; 32])).collect();
        let ids: std::collections::BTreeSet<_> = keys.iter().map(FederationKey::id).collect();
        assert_eq!(ids.len(), keys.len());
        let shown = format!("{:?}", FederationKey::from_bytes([0xab; 32]));
        assert!(!shown.contains("abab"), "{shown}");
    }

    #[test]
    fn pseudonyms_differ_by_owner_scope_and_period_and_stay_the_same() {
        let scopes = [ContentHash::of(b"one"), ContentHash::of(b"two")];
        let all: std::collections::BTreeSet<_> = (1..4)
            .flat_map(|owner| scopes.map(|scope| (owner, scope)))
            .flat_map(|(owner, scope)| (0..4).map(move |period| (owner, scope, period)))
            .map(|(owner, scope, period)| peer(owner).pseudonym(&scope, period).peer_id())
            .collect();
        assert_eq!(all.len(), 3 * 2 * 4);
        let again = peer(1).pseudonym(&scopes[0], 2).peer_id();
        assert_eq!(again, peer(1).pseudonym(&scopes[0], 2).peer_id());
    }

    #[test]
    fn a_text_of_keys_reads_back_and_says_where_it_is_wrong() {
        let mut ring = Keyring::default();
        (1..4).for_each(|byte| _ = ring.add(FederationKey::from_bytes([byte; 32])));
        let text = ring.to_text();
        let read = Keyring::parse(&text).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ring.keys().collect::<Vec<_>>());
        let digits = "07".repeat(32);
        assert_eq!(Keyring::parse(&format!("\n {digits} # mine\n")).unwrap().len(), 1);
        for (text, line) in [("abc", 1), ("\n# x\n07", 3), (&digits.to_uppercase()[..63], 1)] {
            let found = Keyring::parse(text).unwrap_err();
            assert_eq!(found, KeyLineError(line));
            assert!(!found.to_string().contains(text.trim()), "{found}");
        }
    }

    #[test]
    fn a_keyring_has_each_key_once() {
        let mut ring = Keyring::default();
        assert!(ring.is_empty());
        let key = FederationKey::from_bytes([7; 32]);
        assert!(ring.add(key.clone()) && !ring.add(key.clone()));
        assert_eq!((ring.len(), ring.get(&key.id())), (1, Some(&key)));
        assert_eq!(ring.get(&FederationKey::from_bytes([8; 32]).id()), None);
        assert_eq!(ring.keys().collect::<Vec<_>>(), [&key]);
    }
}
