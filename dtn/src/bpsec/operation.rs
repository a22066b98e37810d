//! One security operation: a COSE message about a target, and the bytes that its algorithm works on.

use std::borrow::Cow;

use super::message::{CoseMessage, MessageKind};
use super::scope::{AadScope, ScopeKey};
use super::{COSE_CONTEXT, SecurityError};
use crate::bpv7::{BlockFlags, BlockType, Bundle, Draft, EndpointId, SecurityBlock};
use crate::codec::{Reader, Writer};

/// Ids of the context's parameters.
const ADDITIONAL_PROTECTED: u64 = 3;
const ADDITIONAL_UNPROTECTED: u64 = 4;
pub(super) const AAD_SCOPE: u64 = 5;

/// A message, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who added the security block.
    pub source: EndpointId,
    /// The message.
    pub message: CoseMessage,
    /// What is signed or tagged, or authenticated beside a ciphertext: the `Sig_structure`,
    /// `MAC_structure` or `Enc_structure` of RFC 9052.
    pub structure: Vec<u8>,
}

/// The operation of the security block `number` of a bundle about `target`.
pub fn operation(
    bundle: &Bundle<'_>,
    number: u64,
    target: u64,
) -> Result<Operation, SecurityError> {
    let block = bundle.block(number).ok_or(SecurityError::NoBlock(number))?;
    let is_security = matches!(block.kind, BlockType::INTEGRITY | BlockType::CONFIDENTIALITY);
    if !is_security {
        return Err(SecurityError::NotCose(number));
    }
    let security = SecurityBlock::decode(number, bundle.data(block))?;
    let known = [ADDITIONAL_PROTECTED, ADDITIONAL_UNPROTECTED, AAD_SCOPE];
    if !security.parameters.iter().all(|it| known.contains(&it.id)) {
        return Err(SecurityError::NotCose(number));
    }
    let scope = match parameter(&security, AAD_SCOPE) {
        Some(value) => AadScope::decode(value)?,
        None => AadScope::default(),
    };
    let additional = additional_headers(&security, ADDITIONAL_PROTECTED)?;
    let both = [additional, additional_headers(&security, ADDITIONAL_UNPROTECTED)?];
    let message = message_of(&security, block.kind, number, target, &both)?;
    let view = View::of_bundle(bundle);
    let security = Covering { source: &security.source, scope: &scope, additional, number, target };
    let structure = view.structure(&message, &security)?;
    Ok(Operation { source: security.source.clone(), message, structure })
}

/// The one result about `target`, whose kind fits the block.
fn message_of(
    security: &SecurityBlock,
    kind: BlockType,
    number: u64,
    target: u64,
    additional: &[&[u8]],
) -> Result<CoseMessage, SecurityError> {
    if security.context != COSE_CONTEXT {
        return Err(SecurityError::NotCose(number));
    }
    let place = security.targets.iter().position(|&it| it == target);
    let place = place.ok_or(SecurityError::NotTarget { block: number, target })?;
    let [result] = &security.results[place][..] else {
        return Err(SecurityError::NotCose(number));
    };
    let encrypts = kind == BlockType::CONFIDENTIALITY;
    match MessageKind::of_result(result.id) {
        Some(kind) if (kind == MessageKind::Encrypt0) == encrypts => {
            CoseMessage::decode(kind, &result.value, additional)
        }
        _ => Err(SecurityError::NotCose(number)),
    }
}

/// The encoded map of headers that all results share; empty where there is none.
fn additional_headers(security: &SecurityBlock, id: u64) -> Result<&[u8], SecurityError> {
    let Some(value) = parameter(security, id) else { return Ok(&[]) };
    let mut reader = Reader::new(value);
    let map = reader.bytes(usize::MAX)?;
    reader.finish()?;
    Ok(map)
}

fn parameter(security: &SecurityBlock, id: u64) -> Option<&[u8]> {
    security.parameters.iter().find(|it| it.id == id).map(|it| &it.value[..])
}

/// What stands before a block's data, and the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub kind: BlockType,
    pub number: u64,
    pub flags: BlockFlags,
    pub data: &'a [u8],
}

/// A bundle as security operations see it, whether it is read or being made.
#[derive(Debug)]
pub(crate) struct View<'a> {
    primary: Cow<'a, [u8]>,
    blocks: Vec<Seen<'a>>,
}

/// What an operation covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Covering<'a> {
    pub source: &'a EndpointId,
    pub scope: &'a AadScope,
    pub additional: &'a [u8],
    /// The security block.
    pub number: u64,
    pub target: u64,
}

impl<'a> View<'a> {
    /// Of a primary block and those others that an operation names.
    pub fn new(primary: &'a [u8], blocks: Vec<Seen<'a>>) -> Self {
        Self { primary: primary.into(), blocks }
    }

    /// Of a bundle that was read.
    pub fn of_bundle(bundle: &Bundle<'a>) -> Self {
        let seen = |block: &crate::bpv7::Block| Seen {
            kind: block.kind,
            number: block.number,
            flags: block.flags,
            data: bundle.data(block),
        };
        Self::new(bundle.primary_bytes(), bundle.blocks().iter().map(seen).collect())
    }

    /// Of one that is being made around a payload.
    pub fn of_draft(draft: &'a Draft, payload: &'a [u8]) -> Self {
        let seen = |block: &'a crate::bpv7::NewBlock| Seen {
            kind: block.kind,
            number: block.number,
            flags: block.flags,
            data: &block.data,
        };
        let (kind, number, flags) = (BlockType::PAYLOAD, 1, draft.payload_flags);
        let payload = Seen { kind, number, flags, data: payload };
        let blocks = draft.blocks.iter().map(seen).chain([payload]).collect();
        Self { primary: draft.primary.to_bytes().into(), blocks }
    }

    fn block(&self, number: u64) -> Option<&Seen<'a>> {
        self.blocks.iter().find(|block| block.number == number)
    }

    /// The data of a target; all of the primary block.
    pub fn target_data(&self, number: u64) -> Result<&[u8], SecurityError> {
        match number {
            0 => Ok(&self.primary),
            _ => self.block(number).map(|it| it.data).ok_or(SecurityError::NoBlock(number)),
        }
    }

    /// The structure that the message's algorithm works on.
    pub fn structure(
        &self,
        message: &CoseMessage,
        covering: &Covering<'_>,
    ) -> Result<Vec<u8>, SecurityError> {
        let encrypts = message.kind == MessageKind::Encrypt0;
        let mut writer = Writer::new();
        writer.array(if encrypts { 3 } else { 4 }).text(message.kind.context());
        writer.bytes(&message.protected).bytes(&self.external_aad(covering)?);
        if !encrypts {
            writer.bytes(self.target_data(covering.target)?);
        }
        Ok(writer.into_bytes())
    }

    /// The external additional authenticated data (section 3.5.1 of the draft).
    fn external_aad(&self, covering: &Covering<'_>) -> Result<Vec<u8>, SecurityError> {
        let mut writer = Writer::new();
        covering.source.write(&mut writer);
        writer.raw(&covering.scope.encode());
        for (key, covered) in covering.scope.covered() {
            let number = match key {
                ScopeKey::Block(number) => number,
                ScopeKey::Target => covering.target,
                ScopeKey::Security => covering.number,
            };
            let wrong = SecurityError::Scope(i64::try_from(number).unwrap_or(i64::MAX));
            // The data of the target are covered anyhow, and those of the security block are not made yet.
            let alone = number == 0 || key != ScopeKey::Block(number);
            if covered.has_data() && alone {
                return Err(wrong);
            }
            if number == 0 {
                writer.raw(&self.primary);
                continue;
            }
            let block = self.block(number).ok_or(wrong)?;
            if covered.has_metadata() {
                writer.unsigned(block.kind.code()).unsigned(block.number);
                writer.unsigned(block.flags.bits());
            }
            if covered.has_data() {
                writer.bytes(block.data);
            }
        }
        writer.bytes(covering.additional);
        Ok(writer.into_bytes())
    }
}
