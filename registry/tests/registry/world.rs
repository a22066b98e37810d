//! A small federation of five members, one of them two-faced, and the log of
//! the first member.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::{
    Admitted, BaseClaim, Clip, Compressor, Encoding, Epoch, Fold, HeaderHash, Init, NormBound,
    Parameters, Previous, Recipe, Rule, Schema, TensorSpec, Trim, Update, UpdateHeader, admit,
};
use longhaul_dtn::bundle::{BundleDraft, BundleHead, Encryption, Prepared};
use longhaul_dtn::codec::Writer;
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::keyring::FederationKey;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::audit::{AuditReport, Check, Expected, audit, export};
use longhaul_registry::{
    Bounds, FederationId, KeyGrant, LogWriter, Manifest, Privacy, Record, SignedEntry,
    SignedManifest, Task, TrainingPlan,
};

use crate::proving::prove;

pub const EPOCHS: u32 = 8;
/// The member that signs two headers for one slot, and in which epoch.
pub const TWO_FACED: u8 = 4;
pub const TWIN_EPOCH: u32 = 5;
const MEMBERS: u8 = 5;
const START: Timestamp = Timestamp::from_dtn_ms(800_000_000_000);

/// The key of a member (1 to 5) or of a stranger (above).
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The manifest of the federation, unsigned.
pub fn manifest() -> Manifest {
    let uniform = Init::Uniform { bound: 1 << 22 };
    let schema = Schema::new(vec![
        TensorSpec::new("dense.weight", vec![4, 8], uniform).unwrap(),
        TensorSpec::new("dense.bias", vec![4], Init::Zero).unwrap(),
    ]);
    let mut members: Vec<_> = (1..=MEMBERS).map(|number| key(number).peer_id()).collect();
    members.sort_unstable();
    Manifest {
        name: "test bench".to_owned(),
        creator: key(1).peer_id(),
        parent: None,
        seed: [7; 32],
        task: Task { model: "linear:8-4".to_owned(), data: "edgesense".to_owned() },
        schema: Arc::new(schema.unwrap()),
        start: START,
        epoch_length: Span::from_ms(1_000),
        epochs: EPOCHS,
        training: TrainingPlan::plain(10, 16, 100_000),
        recipe: Recipe::plain(Rule::TrimmedMean { trim: Trim::Fixed(1) }, Clip::Median, 3),
        attacker_share_permille: 200,
        members,
        bounds: Bounds {
            norm_max: NormBound::from_milli(4_000),
            payload_bytes_max: 1_024,
            summary_window: 12,
            bundle_lifetime: Span::from_ms(3_600_000),
        },
        trust_roots: Vec::new(),
        committee: None,
        seal: None,
        encoding: Encoding::Int8,
        privacy: None,
        proofs: None,
        ceremony: None,
        aggregates: None,
    }
}

/// The key that the members of [`private`] share.
pub fn shared() -> FederationKey {
    FederationKey::from_bytes([77; 32])
}

/// The same federation, whose members alone read updates, with a courier.
pub fn private() -> Manifest {
    let plain = manifest();
    let grant = KeyGrant::wrap(&shared(), &key(200), &plain.members, |_| true);
    Manifest { privacy: Some(Privacy { couriers: vec![key(100).peer_id()], grant }), ..plain }
}

/// A signed bundle, its payload as it travels, and in clear.
#[derive(Clone)]
pub struct Published {
    pub head: BundleHead,
    pub payload: Arc<[u8]>,
    pub clear: Arc<[u8]>,
}

/// One peer that makes updates.
pub struct Author {
    key: SecretKey,
    compressor: Compressor,
    previous: Option<Previous>,
}

impl Author {
    pub fn new(number: u8) -> Self {
        Self::with(number, Encoding::Int8)
    }

    /// The same, whose updates are in `encoding`.
    pub fn with(number: u8, encoding: Encoding) -> Self {
        let compressor = Compressor::with(&manifest().schema, encoding);
        Self { key: key(number), compressor, previous: None }
    }

    /// The update of `epoch`, from the base that `fold` is; `salt` makes twins.
    pub fn publish(
        &mut self,
        manifest: &SignedManifest,
        fold: &mut Fold,
        epoch: u32,
        salt: u8,
    ) -> Published {
        let bound = manifest.manifest().bounds.norm_max;
        let delta = delta(&self.key, epoch, salt, fold.schema().parameter_count());
        let mask = manifest.admission_policy().mask_key(Epoch::new(epoch));
        let update = self.compressor.compress_in(&mask, &delta, bound);
        let header = self.header(manifest, fold, Epoch::new(epoch), update.payload());
        let published = seal(manifest, &self.key, &header, update.payload());
        let named = manifest.slot_name(&published.head, HeaderHash::of(published.head.header()));
        let header = named.expect("an own proof is one");
        self.previous = Some(Previous { epoch: Epoch::new(epoch), header });
        published
    }

    pub fn header(
        &self,
        manifest: &SignedManifest,
        fold: &mut Fold,
        epoch: Epoch,
        payload: &[u8],
    ) -> UpdateHeader {
        UpdateHeader {
            federation: manifest.id().hash(),
            epoch,
            previous: self.previous,
            base: BaseClaim { model: fold.model_id(), summary: fold.base_summary(epoch, 12) },
            vouch: true,
            payload: ContentHash::of(payload),
            samples: 160,
            steps: 10,
        }
    }
}

/// Signs a bundle around `header` and `payload`, with a proof where the federation asks for one.
pub fn seal(
    manifest: &SignedManifest,
    key: &SecretKey,
    header: &UpdateHeader,
    payload: &Arc<[u8]>,
) -> Published {
    let (prepared, travels) = prepare(manifest, key, header, payload);
    let head = match manifest.manifest().proofs {
        None => prepared.sign(None).unwrap(),
        Some(_) => {
            let update = Update::decode(payload.clone(), &manifest.manifest().schema).unwrap();
            prove(manifest, prepared, payload, &update)
        }
    };
    Published { head, payload: travels, clear: payload.clone() }
}

/// The same, not yet signed, and the payload as it travels.
pub fn prepare(
    manifest: &SignedManifest,
    key: &SecretKey,
    header: &UpdateHeader,
    payload: &Arc<[u8]>,
) -> (Prepared, Arc<[u8]>) {
    let draft = BundleDraft {
        destination: Eid::dtn(&manifest.id().to_string(), "updates").unwrap(),
        created: manifest.manifest().epoch_start(header.epoch),
        sequence: u64::from(header.epoch.get()),
        lifetime: Span::from_ms(3_600_000),
        hop_limit: 64,
        header: header.encode(),
        payload,
    };
    if !manifest.manifest().is_private() {
        return (Prepared::clear(draft, key).unwrap(), payload.clone());
    }
    let pseudonym = key.pseudonym(&manifest.id().hash(), header.epoch.get().into());
    let encryption = Encryption { author: key, pseudonym: &pseudonym, key: &shared() };
    let (prepared, ciphertext) = Prepared::encrypted(draft, &encryption).unwrap();
    (prepared, ciphertext.into())
}

fn delta(key: &SecretKey, epoch: u32, salt: u8, count: usize) -> Parameters {
    let entry = |index: usize| {
        let input = format!("{} {epoch} {salt} {index}", key.peer_id());
        let hash = ContentHash::of(input.as_bytes());
        i64::from(i32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap())) >> 9
    };
    Parameters::from_units((0..count).map(entry).collect())
}

/// A federation's updates and the log of member 1.
#[derive(Clone)]
pub struct World {
    pub manifest: SignedManifest,
    pub records: Vec<(Timestamp, Record)>,
    pub payloads: BTreeMap<ContentHash, Arc<[u8]>>,
    pub fold: Fold,
}

impl World {
    /// Eight epochs; every second update of others comes an epoch late.
    pub fn new() -> Self {
        Self::of(manifest(), MEMBERS)
    }

    /// The same of the first `active` members, under another manifest.
    pub fn of(manifest: Manifest, active: u8) -> Self {
        let manifest = manifest.sign(&key(1)).unwrap();
        let genesis = Record::Genesis { federation: manifest.id() };
        let mut world = Self {
            records: vec![(START, genesis)],
            payloads: BTreeMap::new(),
            fold: manifest.fold(),
            manifest,
        };
        let encoding = world.manifest.manifest().encoding;
        let mut authors: Vec<_> =
            (1..=active).map(|number| Author::with(number, encoding)).collect();
        let mut late = Vec::new();
        for epoch in 0..EPOCHS {
            let now = world.manifest.manifest().epoch_start(Epoch::new(epoch));
            let mut arrived = std::mem::take(&mut late);
            for (number, author) in (1..).zip(&mut authors) {
                let twins = 1 + u8::from(number == TWO_FACED && epoch == TWIN_EPOCH);
                let previous = author.previous;
                for salt in 0..twins {
                    author.previous = previous;
                    let made = author.publish(&world.manifest, &mut world.fold, epoch, salt);
                    match number {
                        1 => world.record_update(now, made),
                        _ if (u32::from(number) + epoch) % 2 == 0 => late.push((number, made)),
                        _ => arrived.push((number, made)),
                    }
                }
            }
            for (number, made) in arrived.into_iter().rev() {
                world.record_accept(now, made, number);
            }
            let from = key(2).peer_id();
            world.records.push((now, Record::Refuse { bundle: None, from, code: 113 }));
            world.record_version(now, epoch);
        }
        world
    }

    pub fn record_update(&mut self, now: Timestamp, made: Published) {
        self.records.push((now, Record::Update { head: made.head.encode() }));
        self.insert(made);
    }

    pub fn record_accept(&mut self, now: Timestamp, made: Published, from: u8) {
        let from = key(from).peer_id();
        self.records.push((now, Record::Accept { head: made.head.encode(), from }));
        self.insert(made);
    }

    pub fn record_version(&mut self, now: Timestamp, epoch: u32) {
        let record = Record::Version {
            epoch: Epoch::new(epoch),
            set_root: self.fold.set_root(),
            model: self.fold.model_id(),
            updates: self.fold.slot_count() as u64,
        };
        self.records.push((now, record));
    }

    /// Puts a record in front of the last one, which is a version.
    pub fn insert_before_tip(&mut self, record: Record) {
        let (now, _) = self.records[self.records.len() - 1];
        self.records.insert(self.records.len() - 1, (now, record));
    }

    fn insert(&mut self, made: Published) {
        let admitted = self.admit(&made);
        self.payloads.insert(made.head.payload_hash(), made.payload);
        self.fold.insert(admitted);
    }

    fn admit(&self, made: &Published) -> Admitted {
        let author = self.manifest.manifest().member_index(&made.head.author());
        let policy = self.manifest.admission_policy();
        admit(&policy, author, made.head.header(), made.clear.clone()).unwrap()
    }

    /// The log of `records`, signed by member 1.
    pub fn entries(&self) -> Vec<SignedEntry> {
        let mut writer = LogWriter::new(key(1));
        let records = self.records.iter();
        records.map(|(now, record)| writer.append(*now, record.clone())).collect()
    }

    /// The audit file as the exporter writes it.
    pub fn file(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let payload = |hash: &ContentHash| Ok(self.payloads.get(hash).cloned());
        export(&self.manifest, &self.entries(), payload, &mut out).unwrap();
        out
    }

    /// The payloads in the order in which the log names them.
    pub fn payloads_in_order(&self) -> Vec<Vec<u8>> {
        let limits = self.manifest.bundle_limits();
        let mut seen = std::collections::BTreeSet::new();
        let heads = self.records.iter().filter_map(|(_, record)| record.head());
        let hashes = heads.map(|head| BundleHead::decode(head, &limits).unwrap().payload_hash());
        hashes
            .filter(|hash| seen.insert(*hash))
            .filter_map(|hash| Some(self.payloads.get(&hash)?.to_vec()))
            .collect()
    }
}

/// Checks the bytes of a file without folding.
pub fn verify_file(bytes: &[u8], federation: Option<FederationId>) -> AuditReport {
    audit(bytes, Check::Verify, &Expected { federation, ..Expected::default() })
}

/// Checks the bytes of a file and folds.
pub fn replay_file(bytes: &[u8], federation: Option<FederationId>) -> AuditReport {
    audit(bytes, Check::Replay, &Expected { federation, ..Expected::default() })
}

/// An audit file of anything, written by hand against its documentation.
pub fn raw_file(
    manifest: &SignedManifest,
    entries: &[SignedEntry],
    payloads: &[Vec<u8>],
) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.text("longhaul-audit").unsigned(1).bytes(manifest.as_bytes());
    writer.array(entries.len());
    for entry in entries {
        writer.bytes(entry.as_bytes());
    }
    for payload in payloads {
        writer.bytes(payload);
    }
    writer.into_bytes()
}
