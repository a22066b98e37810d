//! Bundles: a strict, canonical subset of RFC 9171 (BPv7), signed.
//!
//! A bundle is an indefinite array of a primary block, the update header
//! (private use 192, opaque here), the integrity block (private use 193), a block
//! integrity block with the author's COSE signature over it (RFC 9172), hop
//! count, bundle age and payload, in this order, each with a CRC-32C. Where header and payload are
//! encrypted ([`Encryption`]), a confidentiality block stands behind the security block. A proof
//! about the payload (private use 194, opaque here) may stand behind the header. There is
//! one accepted encoding of each field; blocks that couriers of other
//! implementations might add are refused. [`BundleHead`] is everything but the
//! payload's bytes: what contacts exchange first and logs keep. Its signature
//! is checked when it is read, so a value of that type is always authentic.
//!
//! Not here: other bundles, which [`crate::bpv7`] reads; who has which keys.

mod canonical;
mod confidential;
mod error;
mod id;
mod integrity;
mod layout;
mod memo;
mod mutable;
mod prepared;
mod primary;
mod security;

use std::ops::Range;
use std::sync::Arc;

pub use self::confidential::{
    CONFIDENTIAL_HEADER_BYTES, Confidential, Encryption, TAG_BYTES, salted_root,
};
pub use self::error::{BlockKind, BundleError};
pub use self::id::BundleId;
pub use self::memo::BundleMemo;
pub use self::prepared::Prepared;

use self::canonical::write_block;
use self::confidential::Opened;
use self::integrity::Claims;
use self::layout::{Blocks, Form};
use self::mutable::Mutable;
use self::primary::Primary;
use self::security::Message;
use crate::codec::Writer;
use crate::eid::Eid;
use crate::hash::ContentHash;
use crate::identity::{PeerId, SecretKey};
use crate::time::{Span, Timestamp};

/// Most header bytes of any bundle, so that a head fits into one frame.
pub const HEADER_BYTES_MAX: usize = 60 * 1024;

/// What a bundle may be at most; part of the federation's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Bytes of the update header; [`HEADER_BYTES_MAX`] holds as well.
    pub header_bytes_max: usize,
    /// Bytes of the proof, 0 where there is none; header and proof together have
    /// [`HEADER_BYTES_MAX`] at most.
    pub proof_bytes_max: usize,
    /// Bytes of the payload.
    pub payload_bytes_max: u64,
    /// Time between creation and expiry.
    pub lifetime_max: Span,
}

impl BundleLimits {
    /// Bytes of the payload as it travels, encrypted ones included.
    pub const fn travelling_bytes_max(&self) -> u64 {
        self.payload_bytes_max.saturating_add(TAG_BYTES as u64)
    }
}

/// What an author puts into a bundle.
#[derive(Debug, Clone)]
pub struct BundleDraft<'a> {
    /// Whom the bundle is for.
    pub destination: Eid,
    /// Creation time; never zero, which would mean "no clock".
    pub created: Timestamp,
    /// Tells bundles of one author and creation time apart.
    pub sequence: u64,
    /// Time from creation to expiry.
    pub lifetime: Span,
    /// Hops allowed, 1 to 255 (RFC 9171 section 4.4.3).
    pub hop_limit: u8,
    /// The update header, opaque here.
    pub header: Vec<u8>,
    /// The payload.
    pub payload: &'a [u8],
}

/// A bundle without the bytes of its payload; the signature is checked.
///
/// What the author signed is shared by all clones; what changes on the way is
/// each one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleHead {
    sealed: Arc<Sealed>,
    mutable: Mutable,
    /// What is inside, where it was encrypted and has been opened.
    opened: Option<Arc<Opened>>,
}

/// What an author signed, with a signature that is known to be good.
#[derive(Debug, PartialEq, Eq)]
struct Sealed {
    id: BundleId,
    primary: Primary,
    /// The blocks that never change, as they are sent: primary block, update
    /// header, integrity block, security block and, where there is one, confidentiality block.
    blocks: Vec<u8>,
    /// Where in them the header's bytes are.
    header: Range<usize>,
    /// Where in them the proof is, if there is one.
    proof: Option<Range<usize>>,
    claims: Claims,
}

impl BundleHead {
    /// Makes and signs a bundle of the owner of `key`.
    pub fn seal(draft: BundleDraft<'_>, key: &SecretKey) -> Result<Self, BundleError> {
        Prepared::clear(draft, key)?.sign(None)
    }

    /// Makes a bundle whose header and payload are encrypted, signed by a pseudonym; gives the
    /// payload's ciphertext too, which takes the payload's place. The head is an opened one.
    ///
    /// Deterministic: the same draft and keys make the same bundle. The ciphertext is
    /// [`TAG_BYTES`] longer than the payload, the header at most [`CONFIDENTIAL_HEADER_BYTES`].
    pub fn seal_encrypted(
        draft: BundleDraft<'_>,
        encryption: &Encryption<'_>,
    ) -> Result<(Self, Vec<u8>), BundleError> {
        let (prepared, ciphertext) = Prepared::encrypted(draft, encryption)?;
        Ok((prepared.sign(None)?, ciphertext))
    }

    /// Signs a bundle around a header and a payload that are ciphertexts already, as whoever has no
    /// key can. What it claims is for those to judge who have the key; tests make with it what strangers
    /// send.
    pub fn seal_ciphertexts(
        draft: BundleDraft<'_>,
        claim: Confidential,
        signer: &SecretKey,
    ) -> Result<Self, BundleError> {
        Prepared::of_ciphertexts(draft, claim, signer)?.sign(None)
    }

    /// The name of the bundle.
    pub fn id(&self) -> BundleId {
        self.sealed.id
    }

    /// Whose bundle it is: who signed it, unless it is an opened one, which its author's pseudonym
    /// signed.
    pub fn author(&self) -> PeerId {
        self.opened.as_ref().map_or(self.sealed.primary.author, |opened| opened.author)
    }

    /// Who signed the bundle: its author, or the author's pseudonym where it is encrypted.
    pub fn signer(&self) -> PeerId {
        self.sealed.primary.author
    }

    /// Whom the bundle is for.
    pub fn destination(&self) -> &Eid {
        &self.sealed.primary.destination
    }

    /// The update header, opaque here; a ciphertext where it is encrypted and not opened.
    pub fn header(&self) -> &[u8] {
        match &self.opened {
            Some(opened) => &opened.header,
            None => &self.sealed.blocks[self.sealed.header.clone()],
        }
    }

    /// The blake3 hash that the header has, as it travels.
    pub fn header_hash(&self) -> ContentHash {
        self.sealed.claims.header
    }

    /// What shows something of the payload to whoever cannot read it, opaque here; not in every bundle.
    pub fn proof(&self) -> Option<&[u8]> {
        self.sealed.proof.clone().map(|place| &self.sealed.blocks[place])
    }

    /// The blake3 hash that the payload has, as it travels.
    pub fn payload_hash(&self) -> ContentHash {
        self.sealed.claims.payload
    }

    /// The length that the payload has, in bytes.
    pub fn payload_len(&self) -> u64 {
        self.sealed.claims.payload_len
    }

    /// When the author made the bundle.
    pub fn created(&self) -> Timestamp {
        self.sealed.primary.created
    }

    /// Tells bundles of one author and creation time apart.
    pub fn sequence(&self) -> u64 {
        self.sealed.primary.sequence
    }

    /// Time from creation to expiry.
    pub fn lifetime(&self) -> Span {
        self.sealed.primary.lifetime
    }

    /// When the bundle ceases to be carried.
    pub fn expires(&self) -> Timestamp {
        self.sealed.primary.created.plus(self.sealed.primary.lifetime)
    }

    /// Hops allowed.
    pub const fn hop_limit(&self) -> u8 {
        self.mutable.hop_limit
    }

    /// Hops taken.
    pub const fn hop_count(&self) -> u8 {
        self.mutable.hop_count
    }

    /// Time on the way, as the last sender saw it.
    pub const fn age(&self) -> Span {
        self.mutable.age
    }

    /// The head form: every block but the payload, for contacts and logs.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(self.mutable)
    }

    /// The head form for the next peer: one more hop, and the age at `now`.
    /// None when the hop limit is reached (RFC 9171 section 4.4.3).
    pub fn encode_for_next_hop(&self, now: Timestamp) -> Option<Vec<u8>> {
        let hop_count = self.mutable.hop_count.checked_add(1)?;
        let age = self.mutable.age.max(now.since(self.sealed.primary.created));
        let mutable = Mutable::checked(self.mutable.hop_limit, hop_count, age).ok()?;
        Some(self.encode_with(mutable))
    }

    /// Reads the head form; checks CRCs, hashes, the signature and the limits.
    pub fn decode(bytes: &[u8], limits: &BundleLimits) -> Result<Self, BundleError> {
        Self::decode_with(bytes, limits, None)
    }

    /// [`BundleHead::decode`]; what `memo` has seen is not verified again.
    pub fn decode_with(
        bytes: &[u8],
        limits: &BundleLimits,
        memo: Option<&BundleMemo>,
    ) -> Result<Self, BundleError> {
        let head = Self::decode_authentic(bytes, limits, memo)?;
        head.check(limits)?;
        Ok(head)
    }

    /// [`BundleHead::decode`] of bytes whose signature was checked before, by somebody who vouches
    /// that they are unchanged since: it is not checked again, all else is.
    pub fn decode_checked(bytes: &[u8], limits: &BundleLimits) -> Result<Self, BundleError> {
        let blocks = Blocks::read(bytes, Form::Head, limits)?;
        let head = Self::from_blocks(&blocks, Signed::Vouched)?;
        head.check(limits)?;
        Ok(head)
    }

    /// The whole RFC 9171 bundle around `payload`.
    pub fn to_bundle(&self, payload: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.open_indefinite();
        self.write_blocks(&mut writer, self.mutable);
        write_block(&mut writer, BlockKind::Payload, payload);
        writer.close_indefinite();
        writer.into_bytes()
    }

    /// Reads a whole bundle; checks the payload as well and says where it is.
    pub fn from_bundle(
        bytes: &[u8],
        limits: &BundleLimits,
    ) -> Result<(Self, Range<usize>), BundleError> {
        let blocks = Blocks::read(bytes, Form::Whole, limits)?;
        let head = Self::from_blocks(&blocks, Signed::Unknown(None))?;
        head.check(limits)?;
        let [.., payload] = &blocks.data;
        head.check_payload(payload)?;
        Ok((head, blocks.last_data_end - payload.len()..blocks.last_data_end))
    }

    /// Checks that `payload` is the one that the author signed.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), BundleError> {
        let (promised, found) = (self.payload_len(), payload.len() as u64);
        if found != promised {
            return Err(BundleError::PayloadLength { promised, found });
        }
        if ContentHash::of(payload) != self.payload_hash() {
            return Err(BundleError::Hash(BlockKind::Payload));
        }
        Ok(())
    }

    /// Checks the bundle against `limits`.
    pub fn check(&self, limits: &BundleLimits) -> Result<(), BundleError> {
        let (more, max) = match self.confidential() {
            Some(_) => (CONFIDENTIAL_HEADER_BYTES, limits.travelling_bytes_max()),
            None => (0, limits.payload_bytes_max),
        };
        check_header_len(self.sealed.header.len(), limits.header_bytes_max.saturating_add(more))?;
        check_proof_len(self.sealed.header.len(), self.proof().map_or(0, <[u8]>::len), limits)?;
        let len = self.payload_len();
        if len > max {
            return Err(BundleError::PayloadTooLarge { len, max });
        }
        if self.lifetime() > limits.lifetime_max {
            let (ms, max_ms) = (self.lifetime().ms(), limits.lifetime_max.ms());
            return Err(BundleError::LifetimeTooLong { ms, max_ms });
        }
        Ok(())
    }

    /// Reads the head form; the limits of payload and lifetime are not checked.
    pub(crate) fn decode_authentic(
        bytes: &[u8],
        limits: &BundleLimits,
        memo: Option<&BundleMemo>,
    ) -> Result<Self, BundleError> {
        Self::from_blocks(&Blocks::read(bytes, Form::Head, limits)?, Signed::Unknown(memo))
    }

    /// Reads the head form of a bundle that `memo` has seen, which is not verified
    /// again; none if the bytes are anything else.
    pub(crate) fn decode_known(bytes: &[u8], id: &BundleId, memo: &BundleMemo) -> Option<Self> {
        let sealed = memo.sealed(id)?;
        let rest = layout::behind_sealed(bytes, &sealed.blocks)?;
        let mutable = Mutable::decode(rest[0], rest[1]).ok()?;
        Some(Self { sealed, mutable, opened: None })
    }

    fn from_blocks(blocks: &Blocks<'_>, signed: Signed<'_>) -> Result<Self, BundleError> {
        let memo = match signed {
            Signed::Unknown(memo) => memo,
            Signed::Vouched => None,
        };
        let [header, proof, claimed, security, confidentiality, hops, age, _] = blocks.data;
        let claims = Claims::decode(claimed)?;
        let signature = security::decode(security, &blocks.primary)?;
        let mutable = Mutable::decode(hops, age)?;
        let id = BundleId::of(blocks.primary_bytes, claimed, &signature);
        let known = memo.and_then(|memo| memo.sealed(&id));
        if let Some(sealed) = known.filter(|known| known.blocks == blocks.sealed) {
            return Ok(Self { sealed, mutable, opened: None });
        }
        claims.check_header(header)?;
        claims.check_proof(blocks.proof.is_some().then_some(proof))?;
        let follows = match claims.confidential {
            Some(claim) => {
                blocks.has_confidentiality && claim.block(&blocks.primary)? == confidentiality
            }
            None => !blocks.has_confidentiality,
        };
        if !follows {
            return Err(BundleError::ConfidentialityForm);
        }
        let Blocks { primary, primary_bytes, .. } = blocks;
        if !matches!(signed, Signed::Vouched) {
            Message { primary, primary_bytes, claims: claimed }.verify(&signature)?;
        }
        let sealed = Arc::new(Sealed {
            id,
            primary: blocks.primary.clone(),
            blocks: blocks.sealed.to_vec(),
            header: blocks.header.clone(),
            proof: blocks.proof.clone(),
            claims,
        });
        if let Some(memo) = memo {
            memo.keep(&sealed);
        }
        Ok(Self { sealed, mutable, opened: None })
    }

    fn encode_with(&self, mutable: Mutable) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.open_indefinite();
        self.write_blocks(&mut writer, mutable);
        writer.close_indefinite();
        writer.into_bytes()
    }

    fn write_blocks(&self, writer: &mut Writer, mutable: Mutable) {
        writer.raw(&self.sealed.blocks);
        mutable.write_blocks(writer);
    }
}

/// What is known of a head's signature before it is read.
#[derive(Clone, Copy)]
enum Signed<'a> {
    /// Nothing, unless the memo has seen it.
    Unknown(Option<&'a BundleMemo>),
    /// It is good.
    Vouched,
}

impl Sealed {
    /// Signs the claims about a header (as it travels), a payload and what proves something of it.
    fn sign(
        (primary, primary_bytes): (Primary, &[u8]),
        (header, proof): (&[u8], Option<&[u8]>),
        claims: Claims,
        key: &SecretKey,
    ) -> Result<Self, BundleError> {
        let claims = Claims { proof: proof.map(ContentHash::of), ..claims };
        let claimed = claims.encode();
        let message = Message { primary: &primary, primary_bytes, claims: &claimed };
        let signature = message.sign(key)?;
        let id = BundleId::of(primary_bytes, &claimed, &signature);
        let mut writer = Writer::new();
        writer.raw(primary_bytes);
        write_block(&mut writer, BlockKind::UpdateHeader, header);
        // Behind its data a block has the head of a byte string and a CRC-32C.
        let header_end = writer.len() - canonical::BEHIND_DATA_BYTES;
        let proof = proof.map(|proof| {
            write_block(&mut writer, BlockKind::Proof, proof);
            let end = writer.len() - canonical::BEHIND_DATA_BYTES;
            end - proof.len()..end
        });
        write_block(&mut writer, BlockKind::Integrity, &claimed);
        write_block(&mut writer, BlockKind::Security, &security::encode(&primary, &signature)?);
        if let Some(claim) = claims.confidential {
            write_block(&mut writer, BlockKind::Confidentiality, &claim.block(&primary)?);
        }
        let header = header_end - header.len()..header_end;
        Ok(Self { id, primary, blocks: writer.into_bytes(), header, proof, claims })
    }
}

/// The primary block of a draft that `signer` signs, its bytes, and what changes on the way.
fn front(
    draft: &BundleDraft<'_>,
    signer: &SecretKey,
) -> Result<(Primary, Vec<u8>, Mutable), BundleError> {
    if draft.created == Timestamp::default() {
        return Err(BundleError::NoCreationTime);
    }
    let mutable = Mutable::checked(draft.hop_limit, 0, Span::default())?;
    check_header_len(draft.header.len(), HEADER_BYTES_MAX)?;
    let primary = Primary {
        author: signer.peer_id(),
        destination: draft.destination.clone(),
        created: draft.created,
        sequence: draft.sequence,
        lifetime: draft.lifetime,
    };
    let bytes = primary.encode()?;
    Ok((primary, bytes, mutable))
}

/// Header and proof have to fit into one frame with the rest of a head.
fn check_proof_len(header: usize, len: usize, limits: &BundleLimits) -> Result<(), BundleError> {
    let max = limits.proof_bytes_max.min(HEADER_BYTES_MAX.saturating_sub(header));
    if len > max {
        return Err(BundleError::ProofTooLarge { len, max });
    }
    Ok(())
}

fn check_header_len(len: usize, max: usize) -> Result<(), BundleError> {
    if len > max.min(HEADER_BYTES_MAX) {
        return Err(BundleError::HeaderTooLarge { len, max });
    }
    Ok(())
}
