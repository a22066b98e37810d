//! Privacy: a federation whose updates its members alone read, and couriers carry.
//!
//! The manifest grants a federation key ([`longhaul_dtn::keyring`]) to every member, wrapped for each, and
//! lists *couriers*: peers that may be met and carry what they can't read. The creator can make further keys
//! while the federation runs: a *key generation* is a bundle in clear that the creator signs, whose payload
//! grants the key to the members whom it names. An author encrypts with the newest key that it has.
//!
//! Which key opens a bundle stands in the bundle, and a key's id is a hash of the key. So whether an
//! update counts is the same for whoever has its key; who has not carries it until the key comes.
//! Excluding a member from a generation takes away what it can read from then on, not its membership.
//!
//! Bytes of a grant: `[key id, public key used once, [null | wrapped key, ...]]`, one item for each member
//! by index. Header of a generation's bundle: `["keys", federation, generation, payload hash]`.

use std::sync::Arc;

use longhaul_dtn::bundle::{BundleError, BundleHead};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::keyring::{FederationKey, KEY_ID_BYTES, KeyId, Keyring, WrappedKey};
use longhaul_dtn::time::Timestamp;

use crate::manifest::{MEMBERS_MAX, Manifest, SignedManifest, TermsError, read_peer};

/// Most couriers of a federation.
pub const COURIERS_MAX: usize = 1_024;
/// Most members of a private federation: a manifest grants a key to each, at 50 bytes.
pub const PRIVATE_MEMBERS_MAX: usize = 8_192;
/// The last generation; one every minute would take two centuries.
pub const GENERATION_MAX: u32 = 100_000_000;
/// Most bytes of a header that announces a generation.
pub(crate) const KEY_HEADER_BYTES_MAX: usize = 128;
/// The stable code of a refusal: what is inside an encrypted bundle is not what it must be.
pub const UNREADABLE_CODE: u16 = 202;
/// The stable code of a refusal: a bundle for others is larger than all that is carried for them.
pub const NO_ROOM_CODE: u16 = 203;
/// Sequence numbers of bundles that announce keys begin here.
const SEQUENCE_FIRST: u64 = 1 << 62;
const TAG: &str = "keys";

/// What makes a federation private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// Who may carry, beside the members: sorted, distinct, no members.
    pub couriers: Vec<PeerId>,
    /// The first key; every member has it.
    pub grant: KeyGrant,
}

/// A federation key for some of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGrant {
    /// The key's name.
    pub id: KeyId,
    /// The public key that it was wrapped with, used for nothing else.
    pub once: PeerId,
    /// The key for each member, by index; none for those who do not get it.
    pub wrapped: Vec<Option<WrappedKey>>,
}

/// What the creator's bundle says of a further key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHeader {
    /// The federation.
    pub federation: ContentHash,
    /// Counts keys up from 1; the manifest's is number 0.
    pub generation: u32,
    /// The hash of the grant.
    pub payload: ContentHash,
}

/// A further key, admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGeneration {
    /// Counts keys up from 1.
    pub generation: u32,
    /// The key and who gets it.
    pub grant: KeyGrant,
}

/// Why a bundle announces no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// The federation has no keys.
    #[error("the federation is not private, it has no keys")]
    NotPrivate,
    /// The creator alone makes keys; holds who signed.
    #[error("keys are made by the creator of the manifest, this one by {0}")]
    NotTheCreator(PeerId),
    /// It is for another federation; holds that.
    #[error("the key is for federation {0}")]
    ForeignFederation(ContentHash),
    /// Header or grant are malformed.
    #[error("the key generation is malformed: {0}")]
    Malformed(#[from] CodecError),
    /// The payload is not the one that the header names.
    #[error("the payload does not have the hash that the header names")]
    Payload,
}

impl KeyRefusal {
    /// The stable code that a refusal records.
    pub const CODE: u16 = 201;
}

impl KeyGrant {
    /// Wraps `key` for the members for whom `gets` holds; `once` is forgotten afterwards.
    pub fn wrap(
        key: &FederationKey,
        once: &SecretKey,
        members: &[PeerId],
        gets: impl Fn(&PeerId) -> bool,
    ) -> Self {
        let wrap = |member: &PeerId| gets(member).then(|| key.wrap(once, member));
        let wrapped = members.iter().map(wrap).collect();
        Self { id: key.id(), once: once.peer_id(), wrapped }
    }

    /// The key, if it was granted to the owner of `key`, who is the member `index`.
    pub fn key_for(&self, index: usize, key: &SecretKey) -> Option<FederationKey> {
        self.wrapped.get(index)?.as_ref()?.key_for(&self.id, &self.once, key)
    }

    /// Number of members who get it.
    pub fn granted(&self) -> usize {
        self.wrapped.iter().flatten().count()
    }

    /// Most bytes of a grant to that many members.
    pub const fn bytes_max(members: usize) -> u64 {
        (KEY_ID_BYTES + 32 + 16) as u64 + 50 * members as u64
    }

    /// The canonical form.
    pub fn encode(&self, writer: &mut Writer) {
        writer.array(3).bytes(self.id.as_bytes()).bytes(self.once.as_bytes());
        writer.array(self.wrapped.len());
        for wrapped in &self.wrapped {
            match wrapped {
                Some(wrapped) => writer.bytes(wrapped.as_bytes()),
                None => writer.null(),
            };
        }
    }

    /// Reads the canonical form.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(3)?;
        let id = KeyId::from_bytes(reader.fixed()?);
        let once = read_peer(reader)?;
        let count = reader.array(MEMBERS_MAX)?;
        let wrapped = (0..count).map(|_| match reader.null()? {
            true => Ok(None),
            false => Ok(Some(WrappedKey::from_bytes(reader.fixed()?))),
        });
        let wrapped = wrapped.collect::<Result<_, CodecError>>()?;
        Ok(Self { id, once, wrapped })
    }
}

impl Privacy {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.map(2).unsigned(1).array(self.couriers.len());
        for courier in &self.couriers {
            writer.bytes(courier.as_bytes());
        }
        self.grant.encode(writer.unsigned(2));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.map(2)?;
        reader.key(1)?;
        let count = reader.array(COURIERS_MAX)?;
        let couriers = (0..count).map(|_| read_peer(reader)).collect::<Result<_, _>>()?;
        reader.key(2)?;
        Ok(Self { couriers, grant: KeyGrant::decode(reader)? })
    }
}

impl KeyHeader {
    /// True if `header` begins as that of a key generation does.
    pub fn is_one(header: &[u8]) -> bool {
        let mut reader = Reader::new(header);
        reader.tuple(4).is_ok() && reader.text(TAG.len()) == Ok(TAG)
    }

    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(4).text(TAG).bytes(self.federation.as_bytes());
        writer.unsigned(self.generation.into()).bytes(self.payload.as_bytes());
        writer.into_bytes()
    }

    /// Reads them strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(4)?;
        let other = reader.invalid("the word keys");
        if reader.text(TAG.len())? != TAG {
            return Err(other);
        }
        let federation = ContentHash::from_bytes(reader.fixed()?);
        let range = reader.invalid("a generation, 1 to 100,000,000");
        let generation = u32::try_from(reader.unsigned(GENERATION_MAX.into())?);
        let generation = generation.ok().filter(|&it| it > 0).ok_or(range)?;
        let payload = ContentHash::from_bytes(reader.fixed()?);
        reader.finish()?;
        Ok(Self { federation, generation, payload })
    }
}

impl Manifest {
    /// True if bundles of this federation are encrypted.
    pub const fn is_private(&self) -> bool {
        self.privacy.is_some()
    }

    /// Who may carry what it can't read.
    pub fn couriers(&self) -> &[PeerId] {
        self.privacy.as_ref().map_or(&[], |privacy| &privacy.couriers)
    }

    /// Whom contacts are for: members and couriers.
    pub fn welcome(&self) -> impl Iterator<Item = &PeerId> {
        self.members.iter().chain(self.couriers())
    }

    /// True for whom contacts are for: members and couriers.
    pub fn is_welcome(&self, peer: &PeerId) -> bool {
        self.member_index(peer).is_some() || self.is_courier(peer)
    }

    /// True if `peer` is one of them.
    pub fn is_courier(&self, peer: &PeerId) -> bool {
        self.couriers().binary_search(peer).is_ok()
    }
}

impl SignedManifest {
    /// The key that the manifest grants to the owner of `key`.
    ///
    /// # Errors
    /// If the owner is a member for whom the creator did not wrap the federation's key.
    pub fn keyring(&self, key: &SecretKey) -> Result<Keyring, UnusableGrant> {
        let mut ring = Keyring::default();
        let manifest = self.manifest();
        let member = manifest.member_index(&key.peer_id());
        if let (Some(privacy), Some(member)) = (&manifest.privacy, member) {
            let own = privacy.grant.key_for(member.index(), key).ok_or(UnusableGrant)?;
            ring.add(own);
        }
        Ok(ring)
    }

    /// The bundle by which the creator announces a further key to the members for whom `gets` holds, and
    /// its payload. `once` is a fresh key that is forgotten afterwards; it is good from `now` on.
    ///
    /// # Errors
    /// If the federation is not private, `creator` is not its creator's key, or `now` is before its
    /// start.
    pub fn announce_key(
        &self,
        creator: &SecretKey,
        (generation, key): (u32, &FederationKey),
        (once, now): (&SecretKey, Timestamp),
        gets: impl Fn(&PeerId) -> bool,
    ) -> Result<(BundleHead, Vec<u8>), AnnounceError> {
        let manifest = self.manifest();
        let mut writer = Writer::new();
        KeyGrant::wrap(key, once, &manifest.members, gets).encode(&mut writer);
        let payload = writer.into_bytes();
        let hash = ContentHash::of(&payload);
        let header = KeyHeader { federation: self.id().hash(), generation, payload: hash };
        // Numbers of updates are those of epochs; these are beyond.
        let number = SEQUENCE_FIRST | u64::from(generation);
        let draft = self.draft((now, number), header.encode(), &payload)?;
        let head = BundleHead::seal(draft, creator)?;
        self.check_terms(&head)?;
        self.admit_key(&head, &payload.as_slice().into())?;
        Ok((head, payload))
    }

    /// Judges a bundle that announces a key: a pure function of the manifest and the bundle.
    pub fn admit_key(
        &self,
        head: &BundleHead,
        payload: &Arc<[u8]>,
    ) -> Result<KeyGeneration, KeyRefusal> {
        let header = self.screen_key(head)?;
        if ContentHash::of(payload) != header.payload {
            return Err(KeyRefusal::Payload);
        }
        let mut reader = Reader::new(payload);
        let grant = KeyGrant::decode(&mut reader)?;
        if grant.wrapped.len() != self.manifest().members.len() {
            return Err(reader.invalid("an item for each member").into());
        }
        reader.finish()?;
        Ok(KeyGeneration { generation: header.generation, grant })
    }

    /// The same from the head alone.
    pub fn screen_key(&self, head: &BundleHead) -> Result<KeyHeader, KeyRefusal> {
        if !self.manifest().is_private() {
            return Err(KeyRefusal::NotPrivate);
        }
        if head.author() != self.manifest().creator {
            return Err(KeyRefusal::NotTheCreator(head.author()));
        }
        let header = KeyHeader::decode(head.header())?;
        match header.federation == self.id().hash() {
            true => Ok(header),
            false => Err(KeyRefusal::ForeignFederation(header.federation)),
        }
    }
}

/// Why a key can't be announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// No such bundle can be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It would not travel on the federation's terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Nobody would accept it.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
}

/// A manifest whose creator wrapped no usable key for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the manifest grants this member no usable key; ask its creator to make it anew")]
pub struct UnusableGrant;
