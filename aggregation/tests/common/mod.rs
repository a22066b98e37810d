//! What the tests share: a small federation and hand-made updates.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseClaim, BaseSummary, Clip, Encoding, Epoch, Fold, HeaderHash,
    Init, MemberIndex, ModelId, NormBound, Previous, Recipe, Rule, Schema, Setting, TensorSpec,
    TermMemo, UpdateHeader, admit,
};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;

/// The seed of the tests' federation.
pub const SEED: [u8; 32] = [7; 32];
/// Mean of at least one update, without clipping.
pub const MEAN: Recipe = Recipe::plain(Rule::Mean, Clip::None, 1);
/// 64 members, none of whom attacks.
pub const TRUSTING: Setting = Setting::trusting(64);

/// A schema of zero-initialised one-dimensional tensors.
pub fn schema(lengths: &[u32]) -> Arc<Schema> {
    let tensors = lengths.iter().enumerate().map(|(number, &length)| {
        TensorSpec::new(format!("t{number}"), vec![length], Init::Zero).expect("a sound tensor")
    });
    Arc::new(Schema::new(tensors.collect()).expect("a sound schema"))
}

/// A policy that allows every well-formed update of 64 members and 100 epochs.
pub fn policy(schema: &Arc<Schema>) -> AdmissionPolicy {
    AdmissionPolicy {
        federation: ContentHash::of(b"federation"),
        members: 64,
        epochs: 100,
        norm_max: NormBound::from_units(u64::MAX),
        summary_window: 0,
        schema: Arc::clone(schema),
        encoding: Encoding::Int8,
        steps_max: 1000,
        samples_max: 1_000_000,
        sortition: None,
    }
}

/// A payload of one exponent and the values for each chunk.
pub fn payload(chunks: &[(u64, &[i8])]) -> Arc<[u8]> {
    let mut writer = Writer::new();
    writer.array(chunks.len());
    for (exponent, values) in chunks {
        let bytes: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
        writer.array(2).unsigned(*exponent).bytes(&bytes);
    }
    writer.into_bytes().into()
}

/// A header for `payload` with an empty base summary.
pub fn header(epoch: u32, previous: Option<Previous>, payload: &[u8]) -> UpdateHeader {
    UpdateHeader {
        federation: ContentHash::of(b"federation"),
        epoch: Epoch::new(epoch),
        previous,
        base: BaseClaim {
            model: ModelId::from_hash(ContentHash::of(b"base")),
            summary: BaseSummary::default(),
        },
        vouch: true,
        payload: ContentHash::of(payload),
        samples: 100,
        steps: 10,
    }
}

/// An update that went through admission.
pub fn admitted(
    schema: &Arc<Schema>,
    member: u16,
    epoch: u32,
    previous: Option<Previous>,
    payload: &Arc<[u8]>,
) -> Admitted {
    let header = header(epoch, previous, payload).encode();
    admit(&policy(schema), Some(MemberIndex::new(member)), &header, Arc::clone(payload))
        .expect("a sound update")
}

/// Makes the updates of honest and less honest members of one federation.
pub struct Author {
    schema: Arc<Schema>,
    member: u16,
    previous: Option<Previous>,
}

impl Author {
    pub fn new(schema: &Arc<Schema>, member: u16) -> Self {
        Self { schema: Arc::clone(schema), member, previous: None }
    }

    /// The next update of an honest author: every value is `value` units.
    pub fn publish(&mut self, epoch: u32, value: i8) -> Admitted {
        let made = self.claim(epoch, value, self.previous);
        self.previous = Some(named(&made));
        made
    }

    /// An update that names any slot as its previous one.
    pub fn claim(&self, epoch: u32, value: i8, previous: Option<Previous>) -> Admitted {
        let values: Vec<Vec<i8>> =
            self.schema.chunks().iter().map(|range| vec![value; range.len()]).collect();
        let chunks: Vec<(u64, &[i8])> = values.iter().map(|values| (0, &values[..])).collect();
        admitted(&self.schema, self.member, epoch, previous, &payload(&chunks))
    }
}

/// How a later header names this update.
pub fn named(admitted: &Admitted) -> Previous {
    Previous { epoch: admitted.header.epoch, header: admitted.header_hash }
}

/// A header hash that nobody made.
pub fn unknown_header(number: u8) -> HeaderHash {
    HeaderHash::from_hash(ContentHash::of(&[number]))
}

/// A fold of `updates` in this order.
pub fn fold_of(schema: &Arc<Schema>, recipe: Recipe, updates: &[Admitted]) -> Fold {
    let mut fold = Fold::new(Arc::clone(schema), &SEED, recipe, TRUSTING);
    for update in updates {
        fold.insert(update.clone());
    }
    fold
}

/// A memo that never forgets and counts what it could lend.
#[derive(Debug, Default)]
pub struct Memo(Mutex<Lendings>);

#[derive(Debug, Default)]
struct Lendings {
    terms: BTreeMap<ContentHash, Arc<[i32]>>,
    lent: usize,
}

impl Memo {
    /// How often a vector was found.
    pub fn lent(&self) -> usize {
        self.0.lock().expect("no panic inside").lent
    }
}

impl TermMemo for Memo {
    fn get(&self, key: &ContentHash) -> Option<Arc<[i32]>> {
        let mut lendings = self.0.lock().expect("no panic inside");
        let found = lendings.terms.get(key).cloned();
        lendings.lent += usize::from(found.is_some());
        found
    }

    fn put(&self, key: ContentHash, term: Arc<[i32]>) {
        let mut lendings = self.0.lock().expect("no panic inside");
        if let Some(before) = lendings.terms.insert(key, Arc::clone(&term)) {
            assert_eq!(before, term, "one key names one vector");
        }
    }
}

/// An update of one chunk for each row of values, in units.
pub fn updates(schema: &Arc<Schema>, rows: &[Vec<i8>]) -> Vec<longhaul_aggregation::Update> {
    let update = |(member, values): (u16, &Vec<i8>)| {
        admitted(schema, member, 0, None, &payload(&[(0, values)])).update.clone()
    };
    (0..).zip(rows).map(update).collect()
}
