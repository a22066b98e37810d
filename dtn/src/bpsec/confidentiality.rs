//! Confidentiality blocks: targets encrypted with AES-256-GCM under a shared key.
//!
//! A ciphertext stands in place of its target's data, 16 bytes longer. AES-GCM does not commit to its
//! key: one ciphertext can have two plaintexts under two keys, so whoever relies on what was
//! encrypted signs a hash of the plaintext too. A nonce must never come twice under a
//! key; it is an input, and the caller makes it of what it never uses twice.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Key};

use super::SecurityError;
use super::integrity::{add_empty, security_block, set_data};
use super::message::{CoseMessage, MessageKind};
use super::operation::{Covering, View, operation};
use super::scope::AadScope;
use crate::bpv7::{BlockType, Bundle, Draft, EndpointId, SecurityValue};

/// AES-256-GCM with a tag of 128 bits (RFC 9053 section 4.1).
pub(crate) const A256GCM: i64 = 3;
pub(crate) const NONCE_BYTES: usize = 12;

/// A key that members share; it never shows itself.
#[derive(Clone)]
pub struct ContentKey {
    /// What messages call it.
    id: Vec<u8>,
    bytes: [u8; 32],
    /// Where nonces begin whose messages give the end alone.
    base_iv: [u8; NONCE_BYTES],
}

/// A number that is used once under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl ContentKey {
    /// A key and what messages call it.
    pub fn new(id: &[u8], bytes: [u8; 32]) -> Self {
        Self { id: id.to_vec(), bytes, base_iv: [0; NONCE_BYTES] }
    }

    /// The same with a base that nonces which a message gives in part are added to (RFC 9052
    /// section 3.1).
    pub fn with_base_iv(mut self, base_iv: [u8; NONCE_BYTES]) -> Self {
        self.base_iv = base_iv;
        self
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.bytes))
    }

    /// Encrypts under a nonce that no other message has, bound to `structure`.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        structure: &[u8],
        mut data: Vec<u8>,
    ) -> Vec<u8> {
        let done = self.cipher().encrypt_in_place(&nonce.into(), structure, &mut data);
        done.expect("fewer bytes than the cipher allows, 64 GiB");
        data
    }

    /// Decrypts; none if it is another key's, or anything was changed.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        structure: &[u8],
        mut data: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let done = self.cipher().decrypt_in_place(&nonce.into(), structure, &mut data);
        done.ok().map(|()| data)
    }

    /// [`ContentKey::seal`] with a key that encrypts nothing else.
    pub(crate) fn seal_once(&self, bound: &[u8], data: &[u8]) -> Vec<u8> {
        self.seal([0; NONCE_BYTES], bound, data.to_vec())
    }

    /// Opens what [`ContentKey::seal_once`] made.
    pub(crate) fn open_once(&self, bound: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        self.open([0; NONCE_BYTES], bound, data.to_vec())
    }

    /// The nonce that a message means.
    fn nonce(&self, message: &CoseMessage) -> Option<[u8; NONCE_BYTES]> {
        match (&message.iv, &message.partial_iv) {
            (Some(iv), None) => iv.as_slice().try_into().ok(),
            (None, Some(end)) => {
                let mut nonce = self.base_iv;
                let start = NONCE_BYTES.checked_sub(end.len())?;
                nonce[start..].iter_mut().zip(end).for_each(|(byte, end)| *byte ^= end);
                Some(nonce)
            }
            _ => None,
        }
    }
}

impl Nonce {
    /// A nonce that the caller never gives to another message under the key.
    pub const fn from_bytes(bytes: [u8; NONCE_BYTES]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ContentKey(..)")
    }
}

/// Encrypts the payload and adds the block that says so, as `source`; gives the
/// ciphertext, which takes the payload's place, and the block's number.
///
/// # Errors
/// If the scope names a block that is not there.
pub fn encrypt(
    draft: &mut Draft,
    payload: &[u8],
    source: &EndpointId,
    key: &ContentKey,
    nonce: Nonce,
    scope: &AadScope,
) -> Result<(Vec<u8>, u64), SecurityError> {
    const PAYLOAD: u64 = 1;
    let number = add_empty(draft, BlockType::CONFIDENTIALITY);
    let mut message = CoseMessage::new(MessageKind::Encrypt0, A256GCM, key.id.clone());
    message.iv = Some(nonce.0.to_vec());
    let covering = Covering { source, scope, additional: &[], number, target: PAYLOAD };
    let structure = View::of_draft(draft, payload).structure(&message, &covering);
    let Ok(structure) = structure else {
        draft.blocks.retain(|block| block.number != number);
        return structure.map(|_| (Vec::new(), number));
    };
    let mut ciphertext = payload.to_vec();
    let found = key.cipher().encrypt_in_place(&nonce.0.into(), &structure, &mut ciphertext);
    found.map_err(|_| SecurityError::Decryption(PAYLOAD))?;
    let value = SecurityValue { id: message.kind.result_id(), value: message.encode() };
    let block = security_block(source, &[PAYLOAD], scope, vec![vec![value]]);
    set_data(draft, number, block.encode());
    Ok((ciphertext, number))
}

/// Decrypts a target of the confidentiality block `number`.
pub fn decrypt(
    bundle: &Bundle<'_>,
    number: u64,
    target: u64,
    key: &ContentKey,
) -> Result<Vec<u8>, SecurityError> {
    let operation = operation(bundle, number, target)?;
    let message = operation.message;
    if message.kind != MessageKind::Encrypt0 || message.algorithm != A256GCM {
        return Err(SecurityError::Algorithm(message.algorithm));
    }
    if message.key_id.as_ref() != Some(&key.id) {
        return Err(SecurityError::Key);
    }
    let nonce = key.nonce(&message).ok_or(SecurityError::Decryption(target))?;
    let mut data = View::of_bundle(bundle).target_data(target)?.to_vec();
    let found = key.cipher().decrypt_in_place(&nonce.into(), &operation.structure, &mut data);
    found.map_err(|_| SecurityError::Decryption(target)).map(|()| data)
}
