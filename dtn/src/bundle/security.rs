//! The security block: the author's signature, where every node of a DTN looks for it.
//!
//! A block integrity block (RFC 9172) of the COSE context, as [`crate::bpsec`] reads and makes them,
//! in its one accepted form: one target, the integrity block; the bundle's source; no parameter, so
//! that the primary block and what stands before the data of both blocks are covered; a
//! COSE_Sign1 with Ed25519 under the author's public key. All but the signature follows from the
//! author, so that a block is compared, not parsed.

use super::error::{BlockKind, BundleError};
use super::primary::{AUTHOR_PATH, Primary};
use crate::bpsec::{
    AadScope, COSE_CONTEXT, CoseMessage, Covering, ED25519, MessageKind, Seen, View,
};
use crate::bpv7::{BlockFlags, BlockType, EndpointId, SecurityBlock, SecurityValue};
use crate::identity::{PeerId, SIGNATURE_BYTES, SecretKey, Signature};

/// Largest data of the block: an endpoint id of a peer, a key, a signature and heads.
pub(super) const SECURITY_BYTES_MAX: usize = 256;

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

    /// What is signed.
    fn structure(&self) -> Result<Vec<u8>, BundleError> {
        let seen = |kind: BlockKind, data| Seen {
            kind: BlockType::from_code(kind.type_code()),
            number: kind.number(),
            flags: BlockFlags::NONE,
            data,
        };
        let blocks = vec![seen(BlockKind::Integrity, self.claims), seen(BlockKind::Security, &[])];
        let covering = Covering {
            source: &source(self.primary)?,
            scope: &AadScope::default(),
            additional: &[],
            number: BlockKind::Security.number(),
            target: BlockKind::Integrity.number(),
        };
        let view = View::new(self.primary_bytes, blocks);
        let found = view.structure(&message(&self.primary.author), &covering);
        Ok(found.expect("the scope names blocks that are there"))
    }
}

/// The author's endpoint as security blocks name it.
fn source(primary: &Primary) -> Result<EndpointId, BundleError> {
    EndpointId::dtn(&primary.author.to_string(), AUTHOR_PATH).map_err(|_| BundleError::Source)
}

fn message(author: &PeerId) -> CoseMessage {
    CoseMessage::new(MessageKind::Sign1, ED25519, author.as_bytes().to_vec())
}

/// The data of the security block of a bundle with this signature.
pub(super) fn encode(primary: &Primary, signature: &Signature) -> Result<Vec<u8>, BundleError> {
    let mut message = message(&primary.author);
    message.proof = signature.as_bytes().to_vec();
    let result = SecurityValue { id: message.kind.result_id(), value: message.encode() };
    let block = SecurityBlock {
        targets: vec![BlockKind::Integrity.number()],
        context: COSE_CONTEXT,
        source: source(primary)?,
        parameters: Vec::new(),
        results: vec![vec![result]],
    };
    Ok(block.encode())
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
