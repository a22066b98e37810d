//! Integrity blocks signed with Ed25519.
//!
//! The key identifier is the public key itself, 32 bytes. Whose key that is, the caller
//! decides: a signature says that who has the key signed, not that it is the source's.

use super::message::{CoseMessage, MessageKind};
use super::operation::{AAD_SCOPE, Covering, View, operation};
use super::scope::AadScope;
use super::{COSE_CONTEXT, SecurityError};
use crate::bpv7::{
    BlockFlags, BlockType, Bundle, CrcType, Draft, EndpointId, NewBlock, SecurityBlock,
    SecurityValue,
};
use crate::identity::{PeerId, SecretKey, Signature};

/// Ed25519 (RFC 9864).
pub const ED25519: i64 = -19;

/// What a signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whose key signed.
    pub signer: PeerId,
    /// Who added the block.
    pub source: EndpointId,
    /// The target; zero is the primary block.
    pub target: u64,
}

/// Adds a block that signs `targets` of a bundle around `payload`, as `source`; gives its
/// number.
pub fn sign(
    draft: &mut Draft,
    payload: &[u8],
    source: &EndpointId,
    key: &SecretKey,
    targets: &[u64],
    scope: &AadScope,
) -> Result<u64, SecurityError> {
    let number = add_empty(draft, BlockType::INTEGRITY);
    match sign_as(draft, payload, source, key, targets, scope, number) {
        Ok(data) => {
            set_data(draft, number, data);
            Ok(number)
        }
        Err(why) => {
            draft.blocks.retain(|block| block.number != number);
            Err(why)
        }
    }
}

/// Checks what the integrity block `number` says of each of its targets. All of them hold, or
/// there is an error.
pub fn verify(bundle: &Bundle<'_>, number: u64) -> Result<Vec<Signed>, SecurityError> {
    let block = bundle.block(number).ok_or(SecurityError::NoBlock(number))?;
    if block.kind != BlockType::INTEGRITY {
        return Err(SecurityError::NotCose(number));
    }
    let targets = SecurityBlock::decode(number, bundle.data(block))?.targets;
    targets.into_iter().map(|target| verify_one(bundle, number, target)).collect()
}

fn verify_one(bundle: &Bundle<'_>, number: u64, target: u64) -> Result<Signed, SecurityError> {
    let operation = operation(bundle, number, target)?;
    let message = operation.message;
    if message.kind != MessageKind::Sign1 || message.algorithm != ED25519 {
        return Err(SecurityError::Algorithm(message.algorithm));
    }
    let key = message.key_id.and_then(|id| <[u8; 32]>::try_from(id).ok());
    let signer = key.and_then(|key| PeerId::from_bytes(key).ok()).ok_or(SecurityError::Key)?;
    let wrong = SecurityError::Signature { block: number, target };
    let signature = <[u8; 64]>::try_from(message.proof).map_err(|_| wrong.clone())?;
    signer
        .verify_cose(&operation.structure, &Signature::from_bytes(signature))
        .map_err(|_| wrong)?;
    Ok(Signed { signer, source: operation.source, target })
}

/// The data of the block.
fn sign_as(
    draft: &Draft,
    payload: &[u8],
    source: &EndpointId,
    key: &SecretKey,
    targets: &[u64],
    scope: &AadScope,
    number: u64,
) -> Result<Vec<u8>, SecurityError> {
    let view = View::of_draft(draft, payload);
    let one = |&target: &u64| {
        let key_id = key.peer_id().as_bytes().to_vec();
        let mut message = CoseMessage::new(MessageKind::Sign1, ED25519, key_id);
        let covering = Covering { source, scope, additional: &[], number, target };
        let structure = view.structure(&message, &covering)?;
        message.proof = key.sign_cose(&structure).as_bytes().to_vec();
        let id = message.kind.result_id();
        Ok::<_, SecurityError>(vec![SecurityValue { id, value: message.encode() }])
    };
    let results = targets.iter().map(one).collect::<Result<_, _>>()?;
    Ok(security_block(source, targets, scope, results).encode())
}

/// A block of the COSE context that says its scope.
pub(super) fn security_block(
    source: &EndpointId,
    targets: &[u64],
    scope: &AadScope,
    results: Vec<Vec<SecurityValue>>,
) -> SecurityBlock {
    SecurityBlock {
        targets: targets.to_vec(),
        context: COSE_CONTEXT,
        source: source.clone(),
        parameters: vec![SecurityValue { id: AAD_SCOPE, value: scope.encode() }],
        results,
    }
}

/// Puts a security block without data before all others, so that who reads a stream meets it
/// first.
pub(super) fn add_empty(draft: &mut Draft, kind: BlockType) -> u64 {
    let number = draft.free_number();
    // Without the block, no fragment could be decrypted (RFC 9172 section 3.8).
    let flags = match kind {
        BlockType::CONFIDENTIALITY => BlockFlags::REPLICATE,
        _ => BlockFlags::NONE,
    };
    let (crc, data) = (CrcType::Crc32c, Vec::new());
    draft.blocks.insert(0, NewBlock { kind, number, flags, crc, data });
    number
}

pub(super) fn set_data(draft: &mut Draft, number: u64, data: Vec<u8>) {
    if let Some(block) = draft.blocks.iter_mut().find(|block| block.number == number) {
        block.data = data;
    }
}
