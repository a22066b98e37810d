//! Record: what one entry of a peer's log says.
//!
//! A record is `[kind, {1: …, 2: …}]` in deterministic CBOR; kinds and keys are
//! integers that are never given a second meaning. A record names its subject
//! in full: an update record carries the whole signed bundle head, so that an
//! auditor needs no other source for the author's signature. What a head means
//! is checked where it is used (admission, the auditor), not here.

use longhaul_aggregation::{Attempt, Epoch, ModelId, SealValue};
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use crate::federation::FederationId;

/// Most bytes of an encoded bundle head inside a record. A head is about 500
/// bytes plus the update header, whose base summary has at most 32 rows of
/// 1,024 members at one byte each.
pub const HEAD_BYTES_MAX: usize = 48 * 1024;

/// Something a peer did or learnt, worth keeping for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The log begins, for this federation. First entry of every log.
    Genesis {
        /// The federation that the log is about.
        federation: FederationId,
    },
    /// The peer made an update; recorded before the update leaves the peer.
    Update {
        /// The encoded bundle head.
        head: Vec<u8>,
    },
    /// The peer accepted another peer's update into its fold.
    Accept {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over; not necessarily its author.
        from: PeerId,
    },
    /// The peer refused a bundle.
    Refuse {
        /// The bundle, where enough of it was read to know its id.
        bundle: Option<BundleId>,
        /// Who handed it over.
        from: PeerId,
        /// The stable code of the reason.
        code: u16,
    },
    /// The model that the updates recorded so far make.
    Version {
        /// The epoch in which the peer took stock.
        epoch: Epoch,
        /// Root over the set of updates.
        set_root: ContentHash,
        /// The model that the set folds to.
        model: ModelId,
        /// Number of slots that the updates recorded so far fill, void or not.
        updates: u64,
    },
    /// The peer signed a vote on a seal, before it left the peer, or accepted one.
    Vote {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over; none for an own vote.
        from: Option<PeerId>,
    },
    /// The peer made or accepted a further key of a private federation.
    Keys {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over; none for an own one.
        from: Option<PeerId>,
    },
    /// The peer made a contribution to a ceremony, or took one.
    Contribution {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over; none for an own one.
        from: Option<PeerId>,
    },
    /// The peer made the sum of a bucket's updates, or accepted one in their place.
    Aggregate {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over; none for an own one.
        from: Option<PeerId>,
    },
    /// The peer keeps a bundle that it cannot read, for others.
    Carry {
        /// The encoded bundle head.
        head: Vec<u8>,
        /// Who handed it over.
        from: PeerId,
    },
    /// The peer no longer keeps a bundle that it could not read: it expired, or others were worth more.
    Drop {
        /// The bundle.
        bundle: BundleId,
    },
    /// The peer closed all epochs before an end for good.
    Seal {
        /// The attempt that sealed them.
        attempt: Attempt,
        /// What is sealed.
        value: SealValue,
        /// The content hash of the cosigned snapshot.
        snapshot: ContentHash,
        /// Who handed the snapshot over; none if the peer's own set says the same.
        from: Option<PeerId>,
    },
}

const GENESIS: u64 = 0;
const UPDATE: u64 = 1;
const ACCEPT: u64 = 2;
const REFUSE: u64 = 3;
const VERSION: u64 = 4;
const VOTE: u64 = 5;
const SEAL: u64 = 6;
const KEYS: u64 = 7;
const CARRY: u64 = 8;
const DROP: u64 = 9;
const CONTRIBUTION: u64 = 10;
const AGGREGATE: u64 = 11;

impl Record {
    /// Appends the canonical form.
    pub fn encode(&self, writer: &mut Writer) {
        writer.array(2);
        match self {
            Self::Genesis { federation } => {
                writer.unsigned(GENESIS).map(1);
                writer.unsigned(1).bytes(federation.as_hash().as_bytes());
            }
            Self::Update { head } => {
                writer.unsigned(UPDATE).map(1);
                writer.unsigned(1).bytes(head);
            }
            Self::Accept { head, from } => {
                writer.unsigned(ACCEPT).map(2);
                writer.unsigned(1).bytes(head);
                writer.unsigned(2).bytes(from.as_bytes());
            }
            Self::Refuse { bundle, from, code } => {
                writer.unsigned(REFUSE).map(3).unsigned(1);
                match bundle {
                    Some(id) => writer.bytes(id.as_hash().as_bytes()),
                    None => writer.null(),
                };
                writer.unsigned(2).bytes(from.as_bytes());
                writer.unsigned(3).unsigned(u64::from(*code));
            }
            Self::Version { epoch, set_root, model, updates } => {
                writer.unsigned(VERSION).map(4);
                writer.unsigned(1).unsigned(u64::from(epoch.get()));
                writer.unsigned(2).bytes(set_root.as_bytes());
                writer.unsigned(3).bytes(model.as_hash().as_bytes());
                writer.unsigned(4).unsigned(*updates);
            }
            Self::Vote { head, from } => write_given(writer, VOTE, head, from.as_ref()),
            Self::Keys { head, from } => write_given(writer, KEYS, head, from.as_ref()),
            Self::Contribution { head, from } => {
                write_given(writer, CONTRIBUTION, head, from.as_ref())
            }
            Self::Aggregate { head, from } => write_given(writer, AGGREGATE, head, from.as_ref()),
            Self::Carry { head, from } => {
                writer.unsigned(CARRY).map(2);
                writer.unsigned(1).bytes(head);
                writer.unsigned(2).bytes(from.as_bytes());
            }
            Self::Drop { bundle } => {
                writer.unsigned(DROP).map(1);
                writer.unsigned(1).bytes(bundle.as_hash().as_bytes());
            }
            Self::Seal { attempt, value, snapshot, from } => {
                writer.unsigned(SEAL).map(6);
                writer.unsigned(1).unsigned(u64::from(attempt.get()));
                writer.unsigned(2).unsigned(u64::from(value.end.get()));
                writer.unsigned(3).bytes(value.root.as_bytes());
                writer.unsigned(4).bytes(value.model.as_hash().as_bytes());
                writer.unsigned(5).bytes(snapshot.as_bytes());
                write_giver(writer.unsigned(6), from.as_ref());
            }
        }
    }

    /// Reads a record strictly.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.tuple(2)?;
        let unknown = reader.invalid("a kind of record, 0 to 11");
        match reader.unsigned(u64::MAX)? {
            GENESIS => read_genesis(reader),
            UPDATE => {
                reader.map(1)?;
                Ok(Self::Update { head: read_head(reader)? })
            }
            ACCEPT => {
                reader.map(2)?;
                let head = read_head(reader)?;
                Ok(Self::Accept { head, from: read_from(reader)? })
            }
            REFUSE => read_refuse(reader),
            VERSION => read_version(reader),
            VOTE => {
                let (head, from) = read_given(reader)?;
                Ok(Self::Vote { head, from })
            }
            SEAL => read_seal(reader),
            KEYS => {
                let (head, from) = read_given(reader)?;
                Ok(Self::Keys { head, from })
            }
            CARRY => {
                reader.map(2)?;
                let head = read_head(reader)?;
                Ok(Self::Carry { head, from: read_from(reader)? })
            }
            CONTRIBUTION => {
                let (head, from) = read_given(reader)?;
                Ok(Self::Contribution { head, from })
            }
            AGGREGATE => {
                let (head, from) = read_given(reader)?;
                Ok(Self::Aggregate { head, from })
            }
            DROP => {
                reader.map(1)?;
                Ok(Self::Drop { bundle: BundleId::from_hash(read_hash(reader, 1)?) })
            }
            _ => Err(unknown),
        }
    }

    /// The encoded bundle head of an own or accepted update.
    pub fn head(&self) -> Option<&[u8]> {
        match self {
            Self::Update { head } | Self::Accept { head, .. } => Some(head),
            Self::Genesis { .. }
            | Self::Refuse { .. }
            | Self::Version { .. }
            | Self::Vote { .. }
            | Self::Keys { .. }
            | Self::Contribution { .. }
            | Self::Aggregate { .. }
            | Self::Carry { .. }
            | Self::Drop { .. }
            | Self::Seal { .. } => None,
        }
    }

    /// One word for people and reports.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Genesis { .. } => "genesis",
            Self::Update { .. } => "update",
            Self::Accept { .. } => "accept",
            Self::Refuse { .. } => "refuse",
            Self::Version { .. } => "version",
            Self::Vote { .. } => "vote",
            Self::Seal { .. } => "seal",
            Self::Keys { .. } => "keys",
            Self::Contribution { .. } => "contribution",
            Self::Aggregate { .. } => "aggregate",
            Self::Carry { .. } => "carry",
            Self::Drop { .. } => "drop",
        }
    }
}

fn read_genesis(reader: &mut Reader<'_>) -> Result<Record, CodecError> {
    reader.map(1)?;
    Ok(Record::Genesis { federation: FederationId::from_hash(read_hash(reader, 1)?) })
}

fn read_refuse(reader: &mut Reader<'_>) -> Result<Record, CodecError> {
    reader.map(3)?;
    reader.key(1)?;
    let bundle = match reader.null()? {
        true => None,
        false => Some(BundleId::from_hash(ContentHash::from_bytes(reader.fixed()?))),
    };
    let from = read_from(reader)?;
    reader.key(3)?;
    let above = reader.invalid("a code of 16 bits");
    let code = reader.unsigned(u64::from(u16::MAX))?;
    Ok(Record::Refuse { bundle, from, code: u16::try_from(code).map_err(|_| above)? })
}

fn read_seal(reader: &mut Reader<'_>) -> Result<Record, CodecError> {
    reader.map(6)?;
    let attempt = Attempt::new(read_number(reader, 1)?);
    let end = Epoch::new(read_number(reader, 2)?);
    let root = read_hash(reader, 3)?;
    let model = ModelId::from_hash(read_hash(reader, 4)?);
    let snapshot = read_hash(reader, 5)?;
    let from = read_giver(reader, 6)?;
    Ok(Record::Seal { attempt, value: SealValue { end, root, model }, snapshot, from })
}

fn read_number(reader: &mut Reader<'_>, key: u64) -> Result<u32, CodecError> {
    reader.key(key)?;
    let above = reader.invalid("a number of 32 bits");
    u32::try_from(reader.unsigned(u64::from(u32::MAX))?).map_err(|_| above)
}

/// A head, and who handed it over if somebody did.
fn write_given(writer: &mut Writer, kind: u64, head: &[u8], from: Option<&PeerId>) {
    writer.unsigned(kind).map(2);
    writer.unsigned(1).bytes(head);
    write_giver(writer.unsigned(2), from);
}

fn read_given(reader: &mut Reader<'_>) -> Result<(Vec<u8>, Option<PeerId>), CodecError> {
    reader.map(2)?;
    let head = read_head(reader)?;
    Ok((head, read_giver(reader, 2)?))
}

fn write_giver(writer: &mut Writer, from: Option<&PeerId>) {
    match from {
        Some(from) => writer.bytes(from.as_bytes()),
        None => writer.null(),
    };
}

fn read_giver(reader: &mut Reader<'_>, key: u64) -> Result<Option<PeerId>, CodecError> {
    reader.key(key)?;
    if reader.null()? {
        return Ok(None);
    }
    let unusable = reader.invalid("a usable peer id");
    PeerId::from_bytes(reader.fixed()?).map(Some).map_err(|_| unusable)
}

fn read_version(reader: &mut Reader<'_>) -> Result<Record, CodecError> {
    reader.map(4)?;
    reader.key(1)?;
    let above = reader.invalid("an epoch of 32 bits");
    let epoch = reader.unsigned(u64::from(u32::MAX))?;
    let epoch = Epoch::new(u32::try_from(epoch).map_err(|_| above)?);
    let set_root = read_hash(reader, 2)?;
    let model = ModelId::from_hash(read_hash(reader, 3)?);
    reader.key(4)?;
    let updates = reader.unsigned(u64::MAX)?;
    Ok(Record::Version { epoch, set_root, model, updates })
}

fn read_head(reader: &mut Reader<'_>) -> Result<Vec<u8>, CodecError> {
    reader.key(1)?;
    Ok(reader.bytes(HEAD_BYTES_MAX)?.to_vec())
}

fn read_from(reader: &mut Reader<'_>) -> Result<PeerId, CodecError> {
    reader.key(2)?;
    let unusable = reader.invalid("a usable peer id");
    PeerId::from_bytes(reader.fixed()?).map_err(|_| unusable)
}

fn read_hash(reader: &mut Reader<'_>, key: u64) -> Result<ContentHash, CodecError> {
    reader.key(key)?;
    Ok(ContentHash::from_bytes(reader.fixed()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use longhaul_dtn::identity::SecretKey;
    use proptest::prelude::*;

    fn arb_hash() -> impl Strategy<Value = ContentHash> {
        any::<[u8; 32]>().prop_map(ContentHash::from_bytes)
    }

    fn arb_peer() -> impl Strategy<Value = PeerId> {
        any::<[u8; 32]>().prop_map(|seed| SecretKey::from_seed(&seed).peer_id())
    }

    fn arb_head() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..600)
    }

    /// Any record, its head opaque bytes.
    pub(crate) fn arb_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            arb_hash().prop_map(|id| Record::Genesis { federation: FederationId::from_hash(id) }),
            arb_head().prop_map(|head| Record::Update { head }),
            (arb_head(), arb_peer()).prop_map(|(head, from)| Record::Accept { head, from }),
            (prop::option::of(arb_hash()), arb_peer(), any::<u16>()).prop_map(
                |(bundle, from, code)| {
                    Record::Refuse { bundle: bundle.map(BundleId::from_hash), from, code }
                }
            ),
            (any::<u32>(), arb_hash(), arb_hash(), any::<u64>()).prop_map(
                |(epoch, set_root, model, updates)| Record::Version {
                    epoch: Epoch::new(epoch),
                    set_root,
                    model: ModelId::from_hash(model),
                    updates,
                }
            ),
            (arb_head(), prop::option::of(arb_peer()))
                .prop_map(|(head, from)| Record::Vote { head, from }),
            (arb_head(), prop::option::of(arb_peer()))
                .prop_map(|(head, from)| Record::Keys { head, from }),
            (arb_head(), prop::option::of(arb_peer()))
                .prop_map(|(head, from)| Record::Contribution { head, from }),
            (arb_head(), prop::option::of(arb_peer()))
                .prop_map(|(head, from)| Record::Aggregate { head, from }),
            (arb_head(), arb_peer()).prop_map(|(head, from)| Record::Carry { head, from }),
            arb_hash().prop_map(|id| Record::Drop { bundle: BundleId::from_hash(id) }),
            (any::<[u32; 2]>(), [arb_hash(), arb_hash(), arb_hash()], prop::option::of(arb_peer()))
                .prop_map(|([attempt, end], [root, model, snapshot], from)| Record::Seal {
                    attempt: Attempt::new(attempt),
                    value: SealValue {
                        end: Epoch::new(end),
                        root,
                        model: ModelId::from_hash(model),
                    },
                    snapshot,
                    from,
                }),
        ]
    }

    fn encoded(record: &Record) -> Vec<u8> {
        let mut writer = Writer::new();
        record.encode(&mut writer);
        writer.into_bytes()
    }

    fn decoded(bytes: &[u8]) -> Result<Record, CodecError> {
        let mut reader = Reader::new(bytes);
        let record = Record::decode(&mut reader)?;
        reader.finish()?;
        Ok(record)
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(record in arb_record()) {
            prop_assert_eq!(decoded(&encoded(&record)), Ok(record));
        }

        #[test]
        fn accepts_only_its_own_form(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(record) = decoded(&bytes) {
                prop_assert_eq!(encoded(&record), bytes);
            }
        }

        #[test]
        fn a_mutant_is_refused_or_canonical(record in arb_record(), at in any::<usize>(), xor in 1u8..) {
            let mut bytes = encoded(&record);
            let at = at % bytes.len();
            bytes[at] ^= xor;
            if let Ok(found) = decoded(&bytes) {
                prop_assert_ne!(&found, &record);
                prop_assert_eq!(encoded(&found), bytes);
            }
        }
    }

    #[test]
    fn refuses_an_unknown_kind() {
        let mut writer = Writer::new();
        writer.array(2).unsigned(12).map(0);
        assert!(
            decoded(&writer.into_bytes()).unwrap_err().to_string().contains("a kind of record")
        );
    }

    #[test]
    fn refuses_a_head_above_the_limit() {
        let long = Record::Update { head: vec![0; HEAD_BYTES_MAX + 1] };
        assert!(decoded(&encoded(&long)).is_err());
        let fits = Record::Update { head: vec![0; HEAD_BYTES_MAX] };
        assert_eq!(decoded(&encoded(&fits)), Ok(fits));
    }
}
