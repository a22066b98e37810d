//! Snapshot: everything that a seal closes, so that a peer needs none of it any more.
//!
//! It lists the sealed slots and holds the model that their terms make. Both are checked
//! against the sealed value's two names, so it does not matter who made it.
//!
//! # Bytes
//!
//! The slots are one byte string of 38 bytes for each, in ascending order of (epoch,
//! member): epoch as little-endian `u32`, member as little-endian `u16`, and the 32-byte
//! header hash, or 32 zeros for a slot that two headers spent. The value's root is blake3
//! derive-key under `"longhaul 2026 update set v1"` over exactly these bytes. The model is
//! one byte string: every entry as a little-endian `i64` in units of 2^-24.
//!
//! The header of a bundle with a snapshot is the CBOR array `["snapshot", 1, federation,
//! attempt, end, root, model, payload hash]`. What the payload holds beside these two
//! strings (the cosignatures) is the registry's concern.

use std::collections::BTreeMap;

use longhaul_dtn::codec::{Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::policy::{Attempt, SealRules};
use super::vote::{SNAPSHOT_TAG, SealValue, VoteError, check_end, read_front, write_front};
use crate::chain::Anchor;
use crate::header::HeaderHash;
use crate::parameters::Parameters;
use crate::schema::Schema;
use crate::slot::{Epoch, MemberIndex};

/// Names a set of slots.
const SLOTS_CONTEXT: &str = "longhaul 2026 update set v1";
/// What a spent slot has in place of a header hash: which two headers spent it differs
/// from peer to peer, and does not matter.
pub(crate) const SPENT_MARK: [u8; 32] = [0; 32];
/// Bytes of a slot in a list.
const SLOT_BYTES: usize = 38;
/// Bytes of a parameter.
const ENTRY_BYTES: usize = 8;

/// A slot that is sealed, ordered by epoch, then member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedSlot {
    /// Its epoch.
    pub epoch: Epoch,
    /// Whose it is.
    pub member: MemberIndex,
    /// The header in it; none if two headers spent it.
    pub header: Option<HeaderHash>,
}

/// What a seal closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    value: SealValue,
    slots: Vec<SealedSlot>,
    model: Parameters,
}

/// What the author of a bundle with a snapshot signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The federation.
    pub federation: ContentHash,
    /// The attempt that sealed it.
    pub attempt: Attempt,
    /// What is sealed.
    pub value: SealValue,
    /// The content hash of the payload.
    pub payload: ContentHash,
}

/// Why bytes are not the snapshot of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The list of slots is no whole number of them, out of order, or names a slot that
    /// cannot be sealed.
    #[error("the snapshot's list of slots is malformed")]
    Slots,
    /// The list is not the one that was sealed.
    #[error("the snapshot lists other slots than were sealed")]
    Root,
    /// The model has another number of parameters, or is not the one that was sealed.
    #[error("the snapshot's model is not the one that was sealed")]
    Model,
}

impl Snapshot {
    /// Puts a snapshot together; the slots ascend and lie before the end.
    pub(crate) fn new(
        end: Epoch,
        slots: Vec<SealedSlot>,
        model: Parameters,
        schema: &Schema,
    ) -> Self {
        let value = SealValue { end, root: root_of(&slots), model: model.model_id(schema) };
        Self { value, slots, model }
    }

    /// Reads the two byte strings of a snapshot of `value`, and checks them against it.
    pub fn read(
        value: SealValue,
        slots: &[u8],
        model: &[u8],
        schema: &Schema,
    ) -> Result<Self, SnapshotError> {
        let slots = read_slots(slots, value.end).ok_or(SnapshotError::Slots)?;
        if root_of(&slots) != value.root {
            return Err(SnapshotError::Root);
        }
        let (entries, rest) = model.as_chunks::<ENTRY_BYTES>();
        if entries.len() != schema.parameter_count() || !rest.is_empty() {
            return Err(SnapshotError::Model);
        }
        let units = entries.iter().map(|entry| i64::from_le_bytes(*entry)).collect();
        let model = Parameters::from_units(units);
        if model.model_id(schema) != value.model {
            return Err(SnapshotError::Model);
        }
        Ok(Self { value, slots, model })
    }

    /// The list of slots as a byte string.
    pub fn slots_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.slots.len() * SLOT_BYTES);
        self.slots.iter().for_each(|slot| slot.write(&mut bytes));
        bytes
    }

    /// The model as a byte string.
    pub fn model_bytes(&self) -> Vec<u8> {
        self.model.as_slice().iter().flat_map(|entry| entry.to_le_bytes()).collect()
    }

    /// Most bytes that both strings can have with so many slots and parameters.
    pub const fn bytes_max(slots: u64, parameters: u64) -> u64 {
        let slots = slots.saturating_mul(SLOT_BYTES as u64);
        slots.saturating_add(parameters.saturating_mul(ENTRY_BYTES as u64))
    }

    /// What is sealed.
    pub const fn value(&self) -> SealValue {
        self.value
    }

    /// The sealed slots, ascending.
    pub fn slots(&self) -> &[SealedSlot] {
        &self.slots
    }

    /// The model that the sealed terms make.
    pub const fn model(&self) -> &Parameters {
        &self.model
    }

    /// The slot of a member in an epoch, if it is sealed.
    pub fn slot(&self, epoch: Epoch, member: MemberIndex) -> Option<&SealedSlot> {
        let found = self.slots.binary_search_by_key(&(epoch, member), |it| (it.epoch, it.member));
        self.slots.get(found.ok()?)
    }

    /// True when the slot is sealed with this header, or as spent.
    pub fn contains(&self, epoch: Epoch, member: MemberIndex, header: HeaderHash) -> bool {
        let slot = self.slot(epoch, member);
        slot.is_some_and(|slot| slot.header.is_none_or(|sealed| sealed == header))
    }

    /// Each member's last sealed slot, from which its later headers go on.
    pub(crate) fn anchors(&self) -> BTreeMap<MemberIndex, Anchor> {
        let anchor =
            |slot: &SealedSlot| (slot.member, Anchor { epoch: slot.epoch, header: slot.header });
        self.slots.iter().map(anchor).collect()
    }
}

impl SealedSlot {
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        bytes.extend_from_slice(&self.member.get().to_le_bytes());
        bytes.extend(self.header.map_or(SPENT_MARK, |header| *header.as_hash().as_bytes()));
    }

    fn read(bytes: &[u8; SLOT_BYTES]) -> Self {
        let (epoch, rest) = bytes.split_first_chunk().expect("4 of 38 bytes");
        let (member, rest) = rest.split_first_chunk().expect("2 of 34 bytes");
        let header: [u8; 32] = rest.try_into().expect("32 bytes are left");
        let header =
            (header != SPENT_MARK).then(|| HeaderHash::from_hash(ContentHash::from_bytes(header)));
        Self {
            epoch: Epoch::new(u32::from_le_bytes(*epoch)),
            member: MemberIndex::new(u16::from_le_bytes(*member)),
            header,
        }
    }
}

impl SnapshotHeader {
    /// The bytes to sign and to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_front(&mut writer, SNAPSHOT_TAG, &self.federation, self.attempt);
        self.value.encode(&mut writer);
        writer.bytes(self.payload.as_bytes());
        writer.into_bytes()
    }

    /// Reads a header strictly, and checks that the attempt could seal its value.
    pub fn decode(bytes: &[u8], rules: &SealRules) -> Result<Self, VoteError> {
        let mut reader = Reader::new(bytes);
        let (federation, attempt) = read_front(&mut reader, SNAPSHOT_TAG)?;
        let value = SealValue::decode(&mut reader)?;
        let payload = ContentHash::from_bytes(reader.fixed()?);
        reader.finish()?;
        check_end(rules, attempt, value.end)?;
        Ok(Self { federation, attempt, value, payload })
    }
}

fn root_of(slots: &[SealedSlot]) -> ContentHash {
    let mut bytes = Vec::with_capacity(slots.len() * SLOT_BYTES);
    slots.iter().for_each(|slot| slot.write(&mut bytes));
    ContentHash::derive(SLOTS_CONTEXT, &bytes)
}

fn read_slots(bytes: &[u8], end: Epoch) -> Option<Vec<SealedSlot>> {
    let (slots, rest) = bytes.as_chunks::<SLOT_BYTES>();
    let slots: Vec<_> = slots.iter().map(SealedSlot::read).collect();
    let place = |slot: &SealedSlot| (slot.epoch, slot.member);
    let ascend = slots.is_sorted_by(|one, next| place(one) < place(next));
    let before = slots.last().is_none_or(|last| last.epoch < end);
    (rest.is_empty() && ascend && before).then_some(slots)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::policy::tests::rules;
    use super::*;
    use crate::schema::{Init, TensorSpec};

    fn schema() -> Arc<Schema> {
        let tensor = TensorSpec::new("t", vec![2], Init::Zero).expect("a sound tensor");
        Arc::new(Schema::new(vec![tensor]).expect("a sound schema"))
    }

    fn snapshot() -> Snapshot {
        let slot = |epoch, member, header: Option<u8>| SealedSlot {
            epoch: Epoch::new(epoch),
            member: MemberIndex::new(member),
            header: header.map(|it| HeaderHash::from_hash(ContentHash::of(&[it]))),
        };
        let slots = vec![slot(0, 3, Some(1)), slot(1, 0, None), slot(1, 3, Some(2))];
        Snapshot::new(Epoch::new(2), slots, Parameters::from_units(vec![-7, 9]), &schema())
    }

    fn read(slots: &[u8], model: &[u8]) -> Result<Snapshot, SnapshotError> {
        Snapshot::read(snapshot().value, slots, model, &schema())
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let made = snapshot();
        assert_eq!(read(&made.slots_bytes(), &made.model_bytes()), Ok(made));
    }

    #[test]
    fn refuses_every_changed_byte() {
        let (slots, model) = (snapshot().slots_bytes(), snapshot().model_bytes());
        for at in 0..slots.len() {
            let mut bytes = slots.clone();
            bytes[at] ^= 1;
            assert!(read(&bytes, &model).is_err(), "slots, byte {at}");
        }
        for at in 0..model.len() {
            let mut bytes = model.clone();
            bytes[at] ^= 1;
            assert_eq!(read(&slots, &bytes), Err(SnapshotError::Model), "model, byte {at}");
        }
        assert_eq!(read(&slots[1..], &model), Err(SnapshotError::Slots));
        assert_eq!(read(&slots[38..], &model), Err(SnapshotError::Root));
        assert_eq!(read(&slots, &model[8..]), Err(SnapshotError::Model));
        let swapped = [&slots[38..76], &slots[..38], &slots[76..]].concat();
        assert_eq!(read(&swapped, &model), Err(SnapshotError::Slots));
    }

    #[test]
    fn knows_what_it_contains_and_where_members_go_on() {
        let made = snapshot();
        let header = |it: u8| HeaderHash::from_hash(ContentHash::of(&[it]));
        let contains = |epoch, member, it| {
            made.contains(Epoch::new(epoch), MemberIndex::new(member), header(it))
        };
        assert!(contains(0, 3, 1) && contains(1, 3, 2) && contains(1, 0, 9));
        assert!(!contains(0, 3, 2) && !contains(0, 0, 1));
        let anchors = made.anchors();
        assert_eq!(anchors[&MemberIndex::new(3)].epoch, Epoch::new(1));
        assert_eq!(anchors[&MemberIndex::new(0)].header, None);
    }

    #[test]
    fn headers_are_read_strictly() {
        let payload = ContentHash::of(b"payload");
        let value = snapshot().value;
        let federation = ContentHash::of(b"federation");
        let header = SnapshotHeader { federation, attempt: Attempt::new(2), value, payload };
        let bytes = header.encode();
        assert_eq!(SnapshotHeader::decode(&bytes, &rules(12)), Ok(header));
        assert!(SnapshotHeader::decode(&bytes[..bytes.len() - 1], &rules(12)).is_err());
        let early = SnapshotHeader { attempt: Attempt::new(1), ..header };
        assert!(SnapshotHeader::decode(&early.encode(), &rules(12)).is_err());
    }
}
