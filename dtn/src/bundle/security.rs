//! The security block: the author's signature, where every node of a DTN looks for it.
//!
//! A block integrity block (RFC 9172) of the COSE context, as [`crate::bpsec`] reads and makes them,
//! in its one accepted form: one target, the integrity block; the bundle's source; no parameter, so
//! that the primary block and what stands before the data of both blocks are covered; a
//! COSE_Sign1 with Ed25519 under the author's public key. All but the signature follows from the
//! author, so that a block is compared, not parsed.

use super::error::{BlockKind, BundleError};
use super::primary::Primary;
use crate::bpsec::{AadScope, CoseMessage, ED25519, MessageKind};
use crate::codec::Writer;
use crate::identity::{PeerId, SIGNATURE_BYTES, SecretKey, Signature};

/// Largest data of the block: an endpoint id of a peer, a key, a signature and heads.
pub(super) const SECURITY_BYTES_MAX: usize = 256;
const COSE_CONTEXT: u64 = crate::bpsec::COSE_CONTEXT;
const NO_PARAMETERS: u64 = 0;
/// Flags of every block.
const BLOCK_FLAGS: u64 = 0;

/// What a signature is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// The primary block, whose source signs.
    pub primary: &'a Primary,
    /// The same in its bytes.
    pub primary_bytes: &'a [u8],
    /// The data of the integrity block.
    pub claims: &'a [u8],
}

impl Message<'_> {
    /// The author's signature.
    pub fn sign(&self, key: &SecretKey) -> Result<Signature, BundleError> {
        Ok(key.sign_cose(&self.structure()?))
    }

    /// Checks that `signature` is the author's.
    pub fn verify(&self, signature: &Signature) -> Result<(), BundleError> {
        let author = &self.primary.author;
        author.verify_cose(&self.structure()?, signature).map_err(|_| BundleError::Signature)
    }

    /// The Sig_structure of RFC 9052 with the external data of the draft, section 3.5.1.
    fn structure(&self) -> Result<Vec<u8>, BundleError> {
        let mut aad = Writer::new();
        self.primary.source()?.write(&mut aad);
        aad.raw(&AadScope::default().encode()).raw(self.primary_bytes);
        for block in [BlockKind::Integrity, BlockKind::Security] {
            aad.unsigned(block.type_code()).unsigned(block.number()).unsigned(BLOCK_FLAGS);
        }
        aad.bytes(&[]);
        let mut writer = Writer::new();
        writer.array(4).text(MessageKind::Sign1.context());
        writer.bytes(&message(&self.primary.author).protected);
        writer.bytes(&aad.into_bytes()).bytes(self.claims);
        Ok(writer.into_bytes())
    }
}

fn message(author: &PeerId) -> CoseMessage {
    CoseMessage::new(MessageKind::Sign1, ED25519, author.as_bytes().to_vec())
}

/// The data of the security block of a bundle with this signature.
pub(super) fn encode(primary: &Primary, signature: &Signature) -> Result<Vec<u8>, BundleError> {
    let mut message = message(&primary.author);
    message.proof = signature.as_bytes().to_vec();
    let mut writer = Writer::new();
    writer.array(1).unsigned(BlockKind::Integrity.number());
    writer.unsigned(COSE_CONTEXT).unsigned(NO_PARAMETERS);
    primary.source()?.write(&mut writer);
    writer.array(1).array(1).array(2).unsigned(message.kind.result_id()).raw(&message.encode());
    Ok(writer.into_bytes())
}

/// Reads the data of a security block; the signature is not yet checked.
pub(super) fn decode(data: &[u8], primary: &Primary) -> Result<Signature, BundleError> {
    let (_, signature) =
        data.split_last_chunk::<SIGNATURE_BYTES>().ok_or(BundleError::SecurityForm)?;
    let signature = Signature::from_bytes(*signature);
    match encode(primary, &signature)? == data {
        true => Ok(signature),
        false => Err(BundleError::SecurityForm),
    }
}
