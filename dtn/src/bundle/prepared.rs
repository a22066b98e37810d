//! Prepared: a bundle before its author signs it, while a proof about it is made.
//!
//! A proof names what it is about by the hashes under which header and payload travel, and the
//! signature covers the proof. So a bundle is made in two steps: first all but the proof, encrypted where it has
//! to be, and then, once the proof is there, the signature. What lies between may take a second, and survives nothing: a
//! bundle that was never signed was never made.

use std::sync::Arc;

use super::confidential::{Ciphertexts, Confidential, Encryption, Opened};
use super::integrity::Claims;
use super::mutable::Mutable;
use super::primary::Primary;
use super::{
    BlockKind, BundleDraft, BundleError, BundleHead, CONFIDENTIAL_HEADER_BYTES, HEADER_BYTES_MAX,
    Sealed, check_header_len, front,
};
use crate::hash::ContentHash;
use crate::identity::{PeerId, SecretKey};

/// A bundle that is not signed yet.
#[derive(Debug, Clone)]
pub struct Prepared {
    primary: Primary,
    primary_bytes: Vec<u8>,
    mutable: Mutable,
    /// As it travels.
    header: Vec<u8>,
    claims: Claims,
    signer: SecretKey,
    /// What is inside, where it is encrypted.
    inside: Option<Opened>,
}

impl Prepared {
    /// A bundle in clear of the owner of `key`.
    ///
    /// # Errors
    /// What cannot be a bundle.
    pub fn clear(draft: BundleDraft<'_>, key: &SecretKey) -> Result<Self, BundleError> {
        let claims = Claims::of((&draft.header, draft.payload), None);
        Self::of(draft, claims, key)
    }

    /// An encrypted bundle, and the payload's ciphertext, which takes the payload's place.
    ///
    /// # Errors
    /// What cannot be a bundle.
    pub fn encrypted(
        draft: BundleDraft<'_>,
        encryption: &Encryption<'_>,
    ) -> Result<(Self, Vec<u8>), BundleError> {
        let (primary, primary_bytes, mutable) = front(&draft, encryption.pseudonym)?;
        let (header, payload) = (&draft.header, draft.payload);
        check_header_len(header.len(), HEADER_BYTES_MAX - CONFIDENTIAL_HEADER_BYTES)?;
        let Ciphertexts { header, payload, claim, opened } =
            encryption.encrypt(&primary, &primary_bytes, header, payload)?;
        let claims = Claims::of((&header, &payload), Some(claim));
        let (inside, signer) = (Some(opened), encryption.pseudonym.clone());
        Ok((Self { primary, primary_bytes, mutable, header, claims, signer, inside }, payload))
    }

    /// A bundle around what is a ciphertext already.
    pub(super) fn of_ciphertexts(
        draft: BundleDraft<'_>,
        claim: Confidential,
        signer: &SecretKey,
    ) -> Result<Self, BundleError> {
        let claims = Claims::of((&draft.header, draft.payload), Some(claim));
        Self::of(draft, claims, signer)
    }

    fn of(draft: BundleDraft<'_>, claims: Claims, signer: &SecretKey) -> Result<Self, BundleError> {
        let (primary, primary_bytes, mutable) = front(&draft, signer)?;
        let (header, signer) = (draft.header, signer.clone());
        Ok(Self { primary, primary_bytes, mutable, header, claims, signer, inside: None })
    }

    /// Who will sign it: the author, or its pseudonym.
    pub fn signer(&self) -> PeerId {
        self.primary.author
    }

    /// The blake3 hash that the header has, as it travels.
    pub const fn header_hash(&self) -> ContentHash {
        self.claims.header
    }

    /// The blake3 hash that the payload has, as it travels.
    pub const fn payload_hash(&self) -> ContentHash {
        self.claims.payload
    }

    /// The salt of an encrypted bundle; see [`BundleHead::salt`].
    pub fn salt(&self) -> Option<[u8; 32]> {
        self.inside.as_ref().map(|opened| opened.salt)
    }

    /// Signs it, with a proof or without. The head of an encrypted bundle is an opened one.
    ///
    /// # Errors
    /// A proof that has no room beside the header, or is empty.
    pub fn sign(self, proof: Option<&[u8]>) -> Result<BundleHead, BundleError> {
        let (header, len) = (self.header.len(), proof.map_or(0, <[u8]>::len));
        let max = HEADER_BYTES_MAX.saturating_sub(header);
        if len > max {
            return Err(BundleError::ProofTooLarge { len, max });
        }
        if proof.is_some() && len == 0 {
            return Err(BundleError::Presence(BlockKind::Proof));
        }
        let parts = (self.primary, &self.primary_bytes[..]);
        let sealed = Sealed::sign(parts, (&self.header, proof), self.claims, &self.signer)?;
        let opened = self.inside.map(Arc::new);
        Ok(BundleHead { sealed: Arc::new(sealed), mutable: self.mutable, opened })
    }
}
