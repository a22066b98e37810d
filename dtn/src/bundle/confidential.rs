//! Confidentiality: bundles that members of a federation read and couriers carry.
//!
//! Header and payload are encrypted under a federation key; a block confidentiality block (RFC 9172) of
//! the COSE context says so, as [`crate::bpsec`] reads it. Whom the header is from is inside: the bundle
//! itself is signed by a *pseudonym*, a key that its author makes anew for each epoch and vouches for in
//! the encrypted header. The integrity block names the federation key, the hash of the ciphertext, and
//! the *salted root* of the payload: a keyed hash of the plaintext, which shows nothing of it, and by which
//! whoever has the salt can prove what was encrypted to somebody without the key.
//!
//! The salt is a secret hash of all that is encrypted, so that the root is another one for each bundle;
//! the nonces come of it. So the confidentiality block follows from the integrity block, and is
//! compared and not parsed. A key's id is a hash of it: there are no two keys that open one bundle.

use std::sync::Arc;

use super::error::{BlockKind, BundleError};
use super::primary::{AUTHOR_PATH, Primary};
use super::{BundleHead, HEADER_BYTES_MAX, Sealed};
use crate::bpsec::{
    A256GCM, AadScope, COSE_CONTEXT, CoseMessage, Covering, MessageKind, NONCE_BYTES, Seen, View,
};
use crate::bpv7::{BlockFlags, BlockType, EndpointId, SecurityBlock, SecurityValue};
use crate::codec::{CodecError, Reader, Writer};
use crate::hash::ContentHash;
use crate::identity::{Domain, PeerId, SIGNATURE_BYTES, SecretKey, Signature};
use crate::keyring::{FederationKey, KEY_ID_BYTES, KeyId};

/// Bytes by which a ciphertext is longer than what was encrypted.
pub const TAG_BYTES: usize = 16;
/// Bytes by which the header of a confidential bundle is longer at most than in clear: salt, author,
/// the author's signature, heads and a tag.
pub const CONFIDENTIAL_HEADER_BYTES: usize = 32 + 32 + SIGNATURE_BYTES + 12 + TAG_BYTES;
/// Largest data of the block: an endpoint id of a peer, and twice an id, a nonce and heads.
pub(super) const CONFIDENTIALITY_BYTES_MAX: usize = 256;

const VERSION: u64 = 1;
const SALT_CONTEXT: &str = "longhaul 2026 bundle salt v1";
const NONCE_CONTEXT: &str = "longhaul 2026 bundle nonce v1";
/// What is encrypted, in the order in which the block names it.
const TARGETS: [BlockKind; 2] = [BlockKind::UpdateHeader, BlockKind::Payload];

/// What the integrity block says of a confidential bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confidential {
    /// The federation key.
    pub key: KeyId,
    /// The hash of the payload in clear, keyed with the salt in the header.
    pub root: ContentHash,
}

/// Who encrypts a bundle, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Encryption<'a> {
    /// Who says what is inside.
    pub author: &'a SecretKey,
    /// Who signs the bundle: see [`SecretKey::pseudonym`].
    pub pseudonym: &'a SecretKey,
    /// What it is encrypted with.
    pub key: &'a FederationKey,
}

/// What was inside an encrypted header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub author: PeerId,
    pub header: Vec<u8>,
    pub salt: [u8; 32],
}

/// A bundle's parts, encrypted.
pub(super) struct Ciphertexts {
    pub header: Vec<u8>,
    pub payload: Vec<u8>,
    pub claim: Confidential,
    pub opened: Opened,
}

impl Confidential {
    /// Writes what the integrity block says.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.key.as_bytes()).bytes(self.root.as_bytes());
    }

    /// Reads it.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let key = KeyId::from_bytes(reader.fixed::<KEY_ID_BYTES>()?);
        Ok(Self { key, root: ContentHash::from_bytes(reader.fixed()?) })
    }

    fn nonces(&self) -> [[u8; NONCE_BYTES]; TARGETS.len()] {
        let bytes = [&self.key.as_bytes()[..], self.root.as_bytes()].concat();
        let hash = ContentHash::derive(NONCE_CONTEXT, &bytes);
        let (header, rest) = hash.as_bytes().split_first_chunk().expect("32 bytes");
        [*header, *rest.first_chunk().expect("20 bytes")]
    }

    fn messages(&self) -> [CoseMessage; TARGETS.len()] {
        self.nonces().map(|nonce| {
            let id = self.key.as_bytes().to_vec();
            let mut message = CoseMessage::new(MessageKind::Encrypt0, A256GCM, id);
            message.iv = Some(nonce.to_vec());
            message
        })
    }

    /// The data of the confidentiality block.
    pub(super) fn block(&self, primary: &Primary) -> Result<Vec<u8>, BundleError> {
        let value = |message: CoseMessage| {
            vec![SecurityValue { id: message.kind.result_id(), value: message.encode() }]
        };
        let block = SecurityBlock {
            targets: TARGETS.map(BlockKind::number).to_vec(),
            context: COSE_CONTEXT,
            source: source(primary)?,
            parameters: Vec::new(),
            results: self.messages().map(value).into(),
        };
        Ok(block.encode())
    }

    /// What the ciphertexts of header and payload are bound to.
    fn structures(
        &self,
        primary: &Primary,
        primary_bytes: &[u8],
    ) -> Result<[Vec<u8>; TARGETS.len()], BundleError> {
        let seen = |kind: BlockKind| Seen {
            kind: BlockType::from_code(kind.type_code()),
            number: kind.number(),
            flags: BlockFlags::from_bits(kind.flags()),
            data: &[],
        };
        let blocks = TARGETS.into_iter().chain([BlockKind::Confidentiality]).map(seen).collect();
        let (view, source) = (View::new(primary_bytes, blocks), source(primary)?);
        let scope = AadScope::default();
        let mut structures = [const { Vec::new() }; TARGETS.len()];
        for ((place, target), message) in structures.iter_mut().zip(TARGETS).zip(self.messages()) {
            let covering = Covering {
                source: &source,
                scope: &scope,
                additional: &[],
                number: BlockKind::Confidentiality.number(),
                target: target.number(),
            };
            let found = view.structure(&message, &covering);
            *place = found.expect("the scope names blocks that are there");
        }
        Ok(structures)
    }
}

/// The endpoint of the pseudonym, as security blocks name it.
fn source(primary: &Primary) -> Result<EndpointId, BundleError> {
    EndpointId::dtn(&primary.author.to_string(), AUTHOR_PATH).map_err(|_| BundleError::Source)
}

/// What an author signs to vouch for a pseudonym: the key, and whom its bundles are for.
fn vouched(primary: &Primary) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).bytes(primary.author.as_bytes());
    primary.destination.write(&mut writer);
    writer.into_bytes()
}

impl Encryption<'_> {
    /// Encrypts header and payload of a bundle with this primary block.
    pub(super) fn encrypt(
        &self,
        primary: &Primary,
        primary_bytes: &[u8],
        header: &[u8],
        payload: &[u8],
    ) -> Result<Ciphertexts, BundleError> {
        let salt = self.salt(primary_bytes, header, payload);
        let root = salted_root(&salt, payload);
        let claim = Confidential { key: self.key.id(), root };
        let signature = self.author.sign(Domain::Pseudonym, &vouched(primary));
        let mut inside = Writer::new();
        inside.array(5).unsigned(VERSION).bytes(&salt);
        inside.bytes(self.author.peer_id().as_bytes()).bytes(signature.as_bytes()).bytes(header);
        let clear = header.to_vec();
        let [header_key, payload_key] = claim.structures(primary, primary_bytes)?;
        let [header_nonce, payload_nonce] = claim.nonces();
        let key = self.key.content_key();
        let header = key.seal(header_nonce, &header_key, inside.into_bytes());
        let payload = key.seal(payload_nonce, &payload_key, payload.to_vec());
        let opened = Opened { author: self.author.peer_id(), header: clear, salt };
        Ok(Ciphertexts { header, payload, claim, opened })
    }

    /// Another one for each bundle, which nobody else can guess.
    fn salt(&self, primary: &[u8], header: &[u8], payload: &[u8]) -> [u8; 32] {
        let parts = [primary, header, payload].map(ContentHash::of);
        let parts: Vec<_> = parts.iter().flat_map(|hash| *hash.as_bytes()).collect();
        self.author.derive(SALT_CONTEXT, &parts)
    }
}

impl BundleHead {
    /// How header and payload are encrypted, if they are.
    pub fn confidential(&self) -> Option<Confidential> {
        self.sealed.claims.confidential
    }

    /// Decrypts the header: [`BundleHead::author`] and [`BundleHead::header`] are those inside from
    /// then on. Nothing to do for a bundle in clear, or one that is open.
    ///
    /// # Errors
    /// If `key` is not the one that the bundle names, or what is inside is malformed or was made by
    /// somebody for whom its author does not vouch. The verdict is the same for whoever has the key.
    pub fn open(mut self, key: &FederationKey) -> Result<Self, BundleError> {
        if self.confidential().is_some() && self.opened.is_none() {
            self.opened = Some(Arc::new(Opened::of(&self.sealed, key)?));
        }
        Ok(self)
    }

    /// True unless header and payload are encrypted and have not been opened.
    pub fn is_readable(&self) -> bool {
        self.opened.is_some() || self.confidential().is_none()
    }

    /// Decrypts the payload of an opened bundle, `ciphertext` being what has the payload's hash.
    pub fn open_payload(
        &self,
        ciphertext: &[u8],
        key: &FederationKey,
    ) -> Result<Vec<u8>, BundleError> {
        let opened = self.opened.as_ref().ok_or(BundleError::NotConfidential)?;
        opened.payload(&self.sealed, ciphertext, key)
    }

    /// The ciphertext of an opened bundle's payload again.
    pub fn close_payload(
        &self,
        payload: &[u8],
        key: &FederationKey,
    ) -> Result<Vec<u8>, BundleError> {
        self.check_content(payload)?;
        payload_ciphertext(&self.sealed, payload, key)
    }

    /// Checks that `payload`, in clear, is the one that the author signed: by its hash or, of an
    /// opened bundle, by its salted root.
    pub fn check_content(&self, payload: &[u8]) -> Result<(), BundleError> {
        match (self.confidential(), &self.opened) {
            (None, _) => self.check_payload(payload),
            (Some(claim), Some(opened)) if salted_root(&opened.salt, payload) == claim.root => {
                Ok(())
            }
            (Some(_), Some(_)) => Err(BundleError::SaltedRoot),
            (Some(claim), None) => Err(BundleError::ForeignKey(claim.key)),
        }
    }

    /// The secret by which the payload of an opened bundle is proved to have its
    /// [`Confidential::root`] to somebody without the key ([`salted_root`]).
    pub fn salt(&self) -> Option<[u8; 32]> {
        self.opened.as_ref().map(|opened| opened.salt)
    }
}

/// The ciphertext of a bundle's payload.
pub(super) fn payload_ciphertext(
    sealed: &Sealed,
    payload: &[u8],
    key: &FederationKey,
) -> Result<Vec<u8>, BundleError> {
    let claim = sealed.claims.confidential.ok_or(BundleError::NotConfidential)?;
    if key.id() != claim.key {
        return Err(BundleError::ForeignKey(claim.key));
    }
    let [_, structure] = claim.structures(&sealed.primary, &sealed.primary.encode()?)?;
    let [_, nonce] = claim.nonces();
    Ok(key.content_key().seal(nonce, &structure, payload.to_vec()))
}

/// The hash that proves a payload to whoever is given the salt: blake3 keyed with it.
pub fn salted_root(salt: &[u8; 32], payload: &[u8]) -> ContentHash {
    ContentHash::keyed(salt, payload)
}

impl Opened {
    /// Decrypts the header of `sealed`, and checks that its author vouches for who signed it.
    pub fn of(sealed: &Sealed, key: &FederationKey) -> Result<Self, BundleError> {
        let claim = sealed.claims.confidential.ok_or(BundleError::NotConfidential)?;
        if key.id() != claim.key {
            return Err(BundleError::ForeignKey(claim.key));
        }
        let primary_bytes = sealed.primary.encode()?;
        let [structure, _] = claim.structures(&sealed.primary, &primary_bytes)?;
        let [nonce, _] = claim.nonces();
        let ciphertext = sealed.blocks[sealed.header.clone()].to_vec();
        let inside = key.content_key().open(nonce, &structure, ciphertext);
        let inside = inside.ok_or(BundleError::Decryption(BlockKind::UpdateHeader))?;
        let (opened, signature) = Self::read(&inside).map_err(BlockKind::UpdateHeader.error())?;
        let vouched = vouched(&sealed.primary);
        let checked = opened.author.verify(Domain::Pseudonym, &vouched, &signature);
        checked.map_err(|_| BundleError::Pseudonym)?;
        Ok(opened)
    }

    fn read(inside: &[u8]) -> Result<(Self, Signature), CodecError> {
        let mut reader = Reader::new(inside);
        reader.tuple(5)?;
        let at = reader.invalid("version 1");
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(at);
        }
        let salt = reader.fixed()?;
        let unusable = reader.invalid("a usable peer id");
        let author = PeerId::from_bytes(reader.fixed()?).map_err(|_| unusable)?;
        let signature = Signature::from_bytes(reader.fixed::<SIGNATURE_BYTES>()?);
        let header = reader.bytes(HEADER_BYTES_MAX)?.to_vec();
        reader.finish()?;
        Ok((Self { author, header, salt }, signature))
    }

    /// Decrypts the payload of the same bundle, and checks it against the salted root.
    pub fn payload(
        &self,
        sealed: &Sealed,
        ciphertext: &[u8],
        key: &FederationKey,
    ) -> Result<Vec<u8>, BundleError> {
        let claim = sealed.claims.confidential.ok_or(BundleError::NotConfidential)?;
        let primary_bytes = sealed.primary.encode()?;
        let [_, structure] = claim.structures(&sealed.primary, &primary_bytes)?;
        let [_, nonce] = claim.nonces();
        let payload = key.content_key().open(nonce, &structure, ciphertext.to_vec());
        let payload = payload.ok_or(BundleError::Decryption(BlockKind::Payload))?;
        match salted_root(&self.salt, &payload) == claim.root {
            true => Ok(payload),
            false => Err(BundleError::SaltedRoot),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::integrity::Claims;
    use crate::eid::Eid;
    use crate::time::{Span, Timestamp};

    const SALT: [u8; 32] = [5; 32];

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_seed(&[byte; 32])
    }

    /// A bundle that `signer` signs around what it likes.
    fn around(inside: &[u8], federation: &str, signer: &SecretKey) -> Result<Sealed, BundleError> {
        let primary = Primary {
            author: signer.peer_id(),
            destination: Eid::dtn(federation, "updates")?,
            created: Timestamp::from_dtn_ms(1_000),
            sequence: 7,
            lifetime: Span::from_ms(60_000),
        };
        let shared = FederationKey::from_bytes([7; 32]);
        let claim = Confidential { key: shared.id(), root: salted_root(&SALT, b"payload") };
        let bytes = primary.encode()?;
        let [structure, _] = claim.structures(&primary, &bytes)?;
        let header = shared.content_key().seal(claim.nonces()[0], &structure, inside.to_vec());
        let claims = Claims {
            header: ContentHash::of(&header),
            payload: ContentHash::of(b"ciphertext"),
            payload_len: 10,
            confidential: Some(claim),
            proof: None,
        };
        Sealed::sign((primary, &bytes), (&header, None), claims, signer)
    }

    fn inside(author: &SecretKey, federation: &str, pseudonym: &SecretKey) -> Vec<u8> {
        let mut message = Writer::new();
        message.array(2).bytes(pseudonym.peer_id().as_bytes());
        Eid::dtn(federation, "updates").unwrap().write(&mut message);
        let word = author.sign(Domain::Pseudonym, &message.into_bytes());
        let mut writer = Writer::new();
        writer.array(5).unsigned(1).bytes(&SALT).bytes(author.peer_id().as_bytes());
        writer.bytes(word.as_bytes()).bytes(b"header");
        writer.into_bytes()
    }

    fn opened(inside: &[u8], signer: &SecretKey) -> Result<PeerId, BundleError> {
        let sealed = around(inside, "here", signer)?;
        Opened::of(&sealed, &FederationKey::from_bytes([7; 32])).map(|opened| opened.author)
    }

    #[test]
    fn a_word_for_a_pseudonym_is_worth_nothing_to_others_nor_elsewhere() {
        let (author, pseudonym, thief) = (key(1), key(2), key(3));
        let good = inside(&author, "here", &pseudonym);
        assert_eq!(opened(&good, &pseudonym), Ok(author.peer_id()));
        assert_eq!(opened(&good, &thief), Err(BundleError::Pseudonym));
        let elsewhere = inside(&author, "there", &pseudonym);
        assert_eq!(opened(&elsewhere, &pseudonym), Err(BundleError::Pseudonym));
        // Who claims an author must have that author's word.
        let mut claimed = inside(&thief, "here", &pseudonym);
        let at = claimed.windows(32).position(|it| it == thief.peer_id().as_bytes()).unwrap();
        claimed[at..at + 32].copy_from_slice(author.peer_id().as_bytes());
        assert_eq!(opened(&claimed, &pseudonym), Err(BundleError::Pseudonym));
    }

    #[test]
    fn what_is_inside_has_one_form() {
        let (author, pseudonym) = (key(1), key(2));
        let good = inside(&author, "here", &pseudonym);
        for end in 0..good.len() {
            assert!(opened(&good[..end], &pseudonym).is_err(), "cut at {end}");
        }
        let longer = [&good[..], &[0]].concat();
        assert!(opened(&longer, &pseudonym).is_err());
        for (at, byte) in [(0, 0x84), (1, 2)] {
            let mut other = good.clone();
            other[at] = byte;
            assert!(opened(&other, &pseudonym).is_err(), "{at}");
        }
    }

    proptest! {
        /// Whoever has the federation key can encrypt what it likes: nothing but what an author
        /// vouched for is taken, in one form.
        #[test]
        fn whatever_a_holder_of_the_key_encrypts_is_refused_or_has_one_form(
            at in 0_usize..220,
            removed in 0_usize..40,
            put in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (author, pseudonym) = (key(1), key(2));
            let good = inside(&author, "here", &pseudonym);
            let (from, mut bad) = (at.min(good.len()), good.clone());
            bad.splice(from..good.len().min(from + removed), put);
            if let Ok(found) = opened(&bad, &pseudonym) {
                prop_assert_eq!(found, author.peer_id());
                // The salt and the header alone are the holder's to choose.
                prop_assert_eq!(&bad[36..136], &good[36..136]);
            }
        }
    }

    #[test]
    fn a_payload_whose_salted_root_was_not_signed_is_refused() {
        let (author, pseudonym) = (key(1), key(2));
        let shared = FederationKey::from_bytes([7; 32]);
        let sealed = around(&inside(&author, "here", &pseudonym), "here", &pseudonym).unwrap();
        let opened = Opened::of(&sealed, &shared).unwrap();
        let claim = sealed.claims.confidential.unwrap();
        let bytes = sealed.primary.encode().unwrap();
        let [_, structure] = claim.structures(&sealed.primary, &bytes).unwrap();
        let encrypt = |payload: &[u8]| {
            shared.content_key().seal(claim.nonces()[1], &structure, payload.to_vec())
        };
        let found = opened.payload(&sealed, &encrypt(b"payload"), &shared);
        assert_eq!(found, Ok(b"payload".to_vec()));
        let found = opened.payload(&sealed, &encrypt(b"another"), &shared);
        assert_eq!(found, Err(BundleError::SaltedRoot));
    }

    #[test]
    fn both_nonces_of_a_bundle_differ_and_the_block_is_within_its_limit() {
        let (author, pseudonym) = (key(1), key(2));
        let sealed = around(&inside(&author, "here", &pseudonym), "here", &pseudonym).unwrap();
        let claim = sealed.claims.confidential.unwrap();
        let [header, payload] = claim.nonces();
        assert_ne!(header, payload);
        let block = claim.block(&sealed.primary).unwrap();
        assert!(block.len() <= CONFIDENTIALITY_BYTES_MAX, "{}", block.len());
        let overhead = inside(&author, "here", &pseudonym).len() + TAG_BYTES - b"header".len();
        assert!(overhead <= CONFIDENTIAL_HEADER_BYTES, "{overhead}");
    }
}
