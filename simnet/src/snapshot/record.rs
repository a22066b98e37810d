//! A record of a snapshot: one answer, or where the run stood at the end of an epoch.
//!
//! In the file each record has a head with a check of its own and one of the body, so
//! that a reader can walk over the file without reading the bodies, and a damaged
//! body costs that record alone. Checks are truncated blake3.

use longhaul_aggregation::Epoch;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};
use longhaul_node::train::PARAMETERS_MAX;

use crate::learner::Score;

/// Bytes of a record's head: kind, length of the body, key, check of the body, check
/// of all that.
pub(super) const HEAD_BYTES: usize = CHECKED_BYTES + CHECK_BYTES;
/// Bytes before a head's own check.
const CHECKED_BYTES: usize = 1 + 4 + CHECK_BYTES + CHECK_BYTES;
/// Bytes of a check or a key: 128 bits.
const CHECK_BYTES: usize = 16;
/// Longest reason of a failure; longer ones are cut.
const WHY_BYTES_MAX: usize = 4_096;

const TRAINED: u8 = 1;
const FAILED: u8 = 2;
const SCORED: u8 = 3;
const MARK: u8 = 4;

/// Names a question: equal questions have equal answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; CHECK_BYTES]);

/// Where a run stood at the end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which run of the scenario, from 1: the one without partitions, where a check
    /// compares with it, is made first.
    pub run: u8,
    /// The epoch.
    pub epoch: u32,
    /// Events so far.
    pub events: u64,
    /// The trace digest of all of them.
    pub digest: ContentHash,
}

/// One record.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Trained(Result<TrainedModel, String>),
    Scored(Option<Score>),
    Mark(Mark),
}

/// What the head of a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    kind: u8,
    pub(super) body_bytes: u32,
    pub(super) key: Key,
    check: [u8; CHECK_BYTES],
}

impl Key {
    /// Marks answer no question.
    pub(super) const NONE: Self = Self([0; CHECK_BYTES]);

    /// The question of `peer`'s `request`; its seed tells the lives of a peer apart.
    pub(super) fn of_request(subject: &ContentHash, peer: u16, request: &TrainRequest) -> Self {
        let mut hasher = asked(subject, TRAINED);
        let plan = request.plan;
        for number in [u32::from(peer), request.epoch.get(), plan.steps, plan.batch] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&plan.rate_micro.to_le_bytes()).update(&request.seed);
        for model in [Some(&request.base), Some(&request.shared), request.trial.as_ref()] {
            add(&mut hasher, model.map_or(&[][..], |model| model));
        }
        Self(short(hasher.finalize()))
    }

    /// The question of how good a model is.
    pub(super) fn of_model(subject: &ContentHash, parameters: &[f32]) -> Self {
        let mut hasher = asked(subject, SCORED);
        add(&mut hasher, parameters);
        Self(short(hasher.finalize()))
    }
}

impl Record {
    /// The record as it stands in the file.
    pub(super) fn encode(&self, key: Key) -> Vec<u8> {
        let (kind, body) = self.body();
        let body_bytes = u32::try_from(body.len()).expect("a model has less than 4 GiB");
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.push(kind);
        bytes.extend_from_slice(&body_bytes.to_le_bytes());
        bytes.extend_from_slice(&key.0);
        bytes.extend_from_slice(&short(blake3::hash(&body)));
        let check = short(blake3::hash(&bytes));
        bytes.extend_from_slice(&check);
        bytes.extend_from_slice(&body);
        bytes
    }

    fn body(&self) -> (u8, Vec<u8>) {
        let mut out = Writer::new();
        let kind = match self {
            Self::Trained(Ok(trained)) => {
                out.unsigned(u64::from(trained.epoch.get())).unsigned(u64::from(trained.samples));
                out.bytes(&trained.shared_loss.to_le_bytes());
                optional(&mut out, trained.trial_loss.map(f32::to_le_bytes).as_ref());
                out.bytes(&floats(&trained.parameters));
                TRAINED
            }
            Self::Trained(Err(why)) => {
                out.text(&why[..why.floor_char_boundary(WHY_BYTES_MAX)]);
                FAILED
            }
            Self::Scored(score) => {
                let score = score.map(|it| [it.accuracy, it.loss].map(f64::to_le_bytes));
                optional(&mut out, score.map(|it| it.concat()).as_ref());
                SCORED
            }
            Self::Mark(mark) => {
                out.unsigned(u64::from(mark.run)).unsigned(u64::from(mark.epoch));
                out.unsigned(mark.events).bytes(mark.digest.as_bytes());
                MARK
            }
        };
        (kind, out.into_bytes())
    }

    /// Reads the body that belongs to `head`; none if it is damaged.
    pub(super) fn decode(head: &Head, body: &[u8]) -> Option<Self> {
        if short(blake3::hash(body)) != head.check {
            return None;
        }
        let mut reader = Reader::new(body);
        let record = read(head.kind, &mut reader).ok()??;
        reader.finish().ok()?;
        Some(record)
    }
}

impl Head {
    /// Reads a head; none if it is damaged.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (checked, check) = bytes.split_first_chunk::<CHECKED_BYTES>()?;
        if short(blake3::hash(checked)) != check {
            return None;
        }
        let (&kind, rest) = checked.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (check, body_bytes) = (*rest.first_chunk()?, u32::from_le_bytes(*length));
        Some(Self { kind, body_bytes, key: Key(*key), check })
    }

    /// True for marks.
    pub(super) const fn is_mark(&self) -> bool {
        self.kind == MARK
    }
}

fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Option<Record>, CodecError> {
    let record = match kind {
        TRAINED => {
            let (epoch, samples) = (number(reader)?, number(reader)?);
            let shared_loss = f32::from_le_bytes(reader.fixed()?);
            let trial_loss = if_there(reader, |it| it.fixed())?.map(f32::from_le_bytes);
            let parameters = reader.bytes(4 * PARAMETERS_MAX)?;
            let (parameters, rest) = parameters.as_chunks();
            if !rest.is_empty() {
                return Ok(None);
            }
            let parameters = parameters.iter().map(|it| f32::from_le_bytes(*it)).collect();
            let epoch = Epoch::new(epoch);
            Record::Trained(Ok(TrainedModel {
                epoch,
                parameters,
                samples,
                shared_loss,
                trial_loss,
            }))
        }
        FAILED => Record::Trained(Err(reader.text(WHY_BYTES_MAX)?.to_owned())),
        SCORED => {
            let score = if_there(reader, |it| it.fixed::<16>())?;
            let half = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
            Record::Scored(
                score.map(|score| Score { accuracy: half(&score[..8]), loss: half(&score[8..]) }),
            )
        }
        MARK => Record::Mark(Mark {
            run: u8::try_from(reader.unsigned(u64::from(u8::MAX))?).unwrap_or_default(),
            epoch: number(reader)?,
            events: reader.unsigned(u64::MAX)?,
            digest: ContentHash::from_bytes(reader.fixed()?),
        }),
        _ => return Ok(None),
    };
    Ok(Some(record))
}

fn number(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    Ok(u32::try_from(reader.unsigned(u64::from(u32::MAX))?).unwrap_or_default())
}

fn optional(out: &mut Writer, value: Option<impl AsRef<[u8]>>) {
    match value {
        Some(value) => out.bytes(value.as_ref()),
        None => out.null(),
    };
}

fn if_there<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, CodecError>,
) -> Result<Option<T>, CodecError> {
    if reader.null()? { Ok(None) } else { read(reader).map(Some) }
}

fn asked(subject: &ContentHash, kind: u8) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(subject.as_bytes()).update(&[kind]);
    hasher
}

fn add(hasher: &mut blake3::Hasher, model: &[f32]) {
    hasher.update(&(model.len() as u64).to_le_bytes()).update(&floats(model));
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn short(hash: blake3::Hash) -> [u8; CHECK_BYTES] {
    *hash.as_bytes().first_chunk().expect("a hash is longer than a check")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use longhaul_registry::TrainingPlan;
    use proptest::prelude::*;
    use std::sync::Arc;

    pub(crate) fn request(epoch: u32) -> TrainRequest {
        TrainRequest {
            epoch: Epoch::new(epoch),
            base: Arc::new(vec![0.5; 8]),
            shared: Arc::new(vec![0.25; 8]),
            trial: None,
            plan: TrainingPlan::plain(2, 4, 1),
            seed: [7; 32],
        }
    }

    fn arb_record() -> impl Strategy<Value = Record> {
        let floats = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..40);
        let trained = (any::<u32>(), any::<u32>(), any::<f32>(), any::<Option<f32>>(), floats);
        let trained = trained.prop_map(|(epoch, samples, shared_loss, trial_loss, parameters)| {
            let epoch = Epoch::new(epoch);
            let model = TrainedModel { epoch, parameters, samples, shared_loss, trial_loss };
            Record::Trained(Ok(model))
        });
        let score = any::<Option<(f64, f64)>>().prop_map(|score| {
            Record::Scored(score.map(|(accuracy, loss)| Score { accuracy, loss }))
        });
        let mark = any::<(u8, u32, u64, [u8; 32])>().prop_map(|(run, epoch, events, digest)| {
            let digest = ContentHash::from_bytes(digest);
            Record::Mark(Mark { run, epoch, events, digest })
        });
        prop_oneof![trained, score, mark, any::<String>().prop_map(|it| Record::Trained(Err(it)))]
    }

    fn parts(bytes: &[u8]) -> (Option<Head>, &[u8]) {
        let (head, body) = bytes.split_first_chunk().expect("a head");
        (Head::decode(head), body)
    }

    proptest! {
        #[test]
        fn a_record_reads_back_bit_for_bit(record in arb_record()) {
            let bytes = record.encode(Key([9; 16]));
            let (head, body) = parts(&bytes);
            let head = head.expect("a sound head");
            prop_assert_eq!((head.key, head.body_bytes as usize), (Key([9; 16]), body.len()));
            let again = Record::decode(&head, body).expect("a sound body");
            prop_assert_eq!(again.encode(Key([9; 16])), bytes);
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(record in arb_record(), at in any::<prop::sample::Index>()) {
            let mut bytes = record.encode(Key::NONE);
            let bit = at.index(8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (head, body) = parts(&bytes);
            prop_assert!(head.is_none_or(|head| Record::decode(&head, body).is_none()));
        }
    }

    #[test]
    fn everything_in_a_request_is_part_of_the_question() {
        let subject = ContentHash::of(b"data");
        let plain = Key::of_request(&subject, 1, &request(3));
        assert_eq!(plain, Key::of_request(&subject, 1, &request(3)));
        let change = |change: fn(&mut TrainRequest)| {
            let mut request = request(3);
            change(&mut request);
            Key::of_request(&subject, 1, &request)
        };
        let others = [
            Key::of_request(&subject, 2, &request(3)),
            Key::of_request(&ContentHash::of(b"other data"), 1, &request(3)),
            change(|it| it.epoch = Epoch::new(4)),
            change(|it| it.base = Arc::new(vec![0.5; 7])),
            change(|it| it.shared = it.base.clone()),
            change(|it| it.trial = Some(it.base.clone())),
            change(|it| it.plan.rate_micro = 2),
            change(|it| it.plan.steps = 3),
            change(|it| it.seed = [8; 32]),
            Key::of_model(&subject, &request(3).base),
        ];
        for (index, key) in others.iter().enumerate() {
            assert!(*key != plain && !others[..index].contains(key), "{index}");
        }
    }
}
