//! Bundle: how an aggregate travels by itself, and what its head tells of it.
//!
//! Whoever made an aggregate, or carries one on, signs a bundle in clear around it. The signature is for the transport, which has an
//! author for everything: what is inside is judged by itself. The header lists whose updates they are, so that a peer knows from the head
//! alone whether it needs them, and may ask for the payload or not.
//!
//! Header: `["aggregate", federation, epoch, [[member, slot name], ...], payload hash]`, members as places in the manifest's list, strictly
//! ascending, each with the name under which its update fills its slot ([`SignedManifest::slot_name`]).

use longhaul_aggregation::{Epoch, HeaderHash, MemberIndex};
use longhaul_dtn::bundle::{BundleError, BundleHead};
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::time::Timestamp;
use longhaul_proofs::update::{ProveUpdates, SUMMED_MAX};

use super::{
    AdmittedAggregate, AggregateRefusal, HEADS_MIN, TAG, check_bucket, read, read_u32, verify,
};
use crate::federation::FederationId;
use crate::manifest::{InvalidManifest, Manifest, SignedManifest, TermsError};

/// Sequence numbers of aggregates begin here: beyond those of updates and votes, before those of contributions.
const SEQUENCE_FIRST: u64 = 1 << 60;
const FIELDS: usize = 5;
/// Bytes of a header beside its members.
const HEADER_FIXED_BYTES: usize = 96;
/// Bytes of a member and the name of its update.
const MEMBER_BYTES: usize = 3 + 34 + 1;

/// What the bundle of an aggregate says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateHeader {
    /// The federation.
    pub federation: FederationId,
    /// The epoch of the updates.
    pub epoch: Epoch,
    /// Whose updates they are, and their names; strictly ascending by member.
    pub slots: Vec<(MemberIndex, HeaderHash)>,
    /// The hash of the aggregate as a payload.
    pub payload: ContentHash,
}

/// Why a bundle is not made around an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendAggregateError {
    /// No such bundle can be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It would not travel on the federation's terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Nobody would accept it.
    #[error(transparent)]
    Refused(#[from] AggregateRefusal),
}

impl AggregateHeader {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(FIELDS).text(TAG).bytes(self.federation.hash().as_bytes());
        writer.unsigned(self.epoch.get().into()).array(self.slots.len());
        for (member, name) in &self.slots {
            writer.array(2).unsigned(member.get().into()).bytes(name.as_hash().as_bytes());
        }
        writer.bytes(self.payload.as_bytes());
        writer.into_bytes()
    }

    /// Reads them strictly.
    ///
    /// # Errors
    /// Anything that [`encode`](Self::encode) does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(FIELDS)?;
        let other = reader.invalid("the word aggregate");
        if reader.text(TAG.len())? != TAG {
            return Err(other);
        }
        let federation = FederationId::from_hash(ContentHash::from_bytes(reader.fixed()?));
        let epoch = Epoch::new(read_u32(&mut reader)?);
        let above = reader.invalid("ascending 16-bit numbers");
        let count = reader.array(SUMMED_MAX)?;
        let mut slots: Vec<(MemberIndex, HeaderHash)> = Vec::with_capacity(count);
        for _ in 0..count {
            reader.tuple(2)?;
            let member = reader.unsigned(u16::MAX.into())?;
            let member = u16::try_from(member).map(MemberIndex::new).ok();
            let is_next = |it: &MemberIndex| slots.last().is_none_or(|(last, _)| last < it);
            let member = member.filter(is_next).ok_or_else(|| above.clone())?;
            let name = HeaderHash::from_hash(ContentHash::from_bytes(reader.fixed()?));
            slots.push((member, name));
        }
        let payload = ContentHash::from_bytes(reader.fixed()?);
        reader.finish()?;
        Ok(Self { federation, epoch, slots, payload })
    }
}

impl Manifest {
    /// That a federation with aggregates is one that can have them.
    pub(crate) fn check_aggregates(&self) -> Result<(), InvalidManifest> {
        let Some(epochs) = self.aggregates else { return Ok(()) };
        let wrong = if !self.recipe.takes_sums() {
            "the recipe needs more of a bucket than its sum"
        } else if self.proofs.is_none() {
            "updates are not proved"
        } else if self.is_private() {
            "the federation is private"
        } else if self.seal.is_some() {
            "epochs are sealed"
        } else if self.bounds.bundle_lifetime < self.epoch_length.times(self.epochs.into()) {
            "bundles live shorter than the federation, and a sum whose slot turns out to be void could not be mended"
        } else if !(1..=self.epochs).contains(&epochs) {
            "updates wait for them for at least one epoch, and no longer than there are epochs"
        } else {
            return Ok(());
        };
        Err(InvalidManifest::Aggregates(wrong))
    }
}

impl SignedManifest {
    /// Most bytes of the header of an aggregate's bundle; zero where there are none.
    pub(crate) fn aggregate_header_bytes_max(&self) -> usize {
        match self.takes_aggregates() {
            true => HEADER_FIXED_BYTES + MEMBER_BYTES * self.summed_max(),
            false => 0,
        }
    }

    /// The bundle in which a member sends an aggregate; `tries` is how many it has sent of this epoch.
    ///
    /// # Errors
    /// Bytes that are no aggregate in form, or a federation that has none. Whether it holds is for [`super::make`] to see to.
    pub fn aggregate_bundle(
        &self,
        key: &SecretKey,
        aggregate: (&[u8], &AdmittedAggregate),
        tries: u16,
        now: Timestamp,
    ) -> Result<BundleHead, SendAggregateError> {
        let (payload, admitted) = aggregate;
        self.sums_verifier()?;
        let epoch = admitted.sum.epoch;
        let header = AggregateHeader {
            federation: self.id(),
            epoch,
            slots: admitted.sum.slots.clone(),
            payload: ContentHash::of(payload),
        };
        let number = SEQUENCE_FIRST | u64::from(epoch.get()) << 16 | u64::from(tries);
        let draft = self.draft((now, number), header.encode(), payload)?;
        let head = BundleHead::seal(draft, key)?;
        self.check_terms(&head)?;
        self.screen_aggregate(&head)?;
        Ok(head)
    }

    /// Judges the bundle of an aggregate by its head: whether its payload may be one. A pure function of manifest and head.
    ///
    /// # Errors
    /// [`AggregateRefusal`].
    pub fn screen_aggregate(&self, head: &BundleHead) -> Result<AggregateHeader, AggregateRefusal> {
        self.sums_verifier()?;
        let header = AggregateHeader::decode(head.header())?;
        if header.federation != self.id() {
            return Err(AggregateRefusal::Foreign(header.federation));
        }
        let manifest = self.manifest();
        if manifest.member_index(&head.signer()).is_none() {
            return Err(AggregateRefusal::Stranger(head.signer()));
        }
        let members: Vec<MemberIndex> = header.slots.iter().map(|slot| slot.0).collect();
        let (count, epochs) = (members.len(), manifest.epochs);
        if !(HEADS_MIN..=self.summed_max()).contains(&count) {
            return Err(AggregateRefusal::Heads(count));
        }
        let is_known = |member: &MemberIndex| member.index() < manifest.members.len();
        if header.epoch.get() >= epochs || !members.iter().all(is_known) {
            return Err(AggregateRefusal::Header("an epoch or a member that there is not"));
        }
        check_bucket(self, header.epoch, &members)?;
        if header.payload != head.payload_hash() {
            return Err(AggregateRefusal::Header("another payload than the bundle has"));
        }
        match usize::try_from(head.payload_len()) {
            Ok(found) if found <= self.aggregate_bytes_max() => Ok(header),
            found => Err(AggregateRefusal::Size(found.unwrap_or(usize::MAX))),
        }
    }

    /// Judges such a bundle with its payload, which has the hash that the bundle says: see [`super::admit`].
    ///
    /// # Errors
    /// [`AggregateRefusal`].
    pub fn admit_aggregate(
        &self,
        prover: &dyn ProveUpdates,
        head: &BundleHead,
        payload: &[u8],
    ) -> Result<AdmittedAggregate, AggregateRefusal> {
        verify(self, prover, self.read_aggregate(head, payload)?)
    }

    /// The same for one that was admitted before, as from the own log: without proofs and sum.
    ///
    /// # Errors
    /// [`AggregateRefusal`].
    pub fn readmit_aggregate(
        &self,
        head: &BundleHead,
        payload: &[u8],
    ) -> Result<AdmittedAggregate, AggregateRefusal> {
        self.read_aggregate(head, payload).map(|it| it.0)
    }

    /// What head and payload say, if it is the same, and the opening that shows it.
    fn read_aggregate(
        &self,
        head: &BundleHead,
        payload: &[u8],
    ) -> Result<(AdmittedAggregate, Vec<u8>), AggregateRefusal> {
        let header = self.screen_aggregate(head)?;
        let found = read(self, payload)?;
        match found.0.sum.epoch == header.epoch && found.0.sum.slots == header.slots {
            true => Ok(found),
            false => Err(AggregateRefusal::Header("the updates of others")),
        }
    }
}
