//! Aggregates of 20 updates of 65,000 entries: to open their sum, to check it, and to check their proofs beside it.
//!
//! `cargo bench -p longhaul-proofs --bench aggregate`. Keys and proofs are made once, which takes half a minute.

use std::sync::LazyLock;

use ark_bn254::Bn254;
use divan::Bencher;
use longhaul_aggregation::compress::{SumScale, decode_sums, encode_sums};
use longhaul_aggregation::{Compressor, Init, NormBound, Parameters, Schema, TensorSpec, Update};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::development_key;
use longhaul_proofs::s1::{ChunkProver, Shape, Subject, circuit};
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::{
    AggregateOpening, UpdateProof, UpdateProver, UpdateShape, opening_seed, subject,
};

const ENTRIES: u32 = 65_000;
const UPDATES: u8 = 20;

fn main() {
    let scales = [ALL.scale()];
    let bytes = encode_sums(&ALL.schema, &scales, &ALL.sums).expect("sums of updates");
    let each = bytes.len() as f64 / f64::from(ENTRIES);
    let exponents: Vec<u8> = ALL.exponents().collect();
    println!("{each:.3} bytes an entry for sums under the exponents {exponents:?}");
    divan::main();
}

struct All {
    schema: Schema,
    prover: UpdateProver<Bn254>,
    updates: Vec<(Subject, Update, Seed)>,
    proofs: Vec<UpdateProof<Bn254>>,
    sums: Vec<i64>,
    opening: AggregateOpening<Bn254>,
}

static ALL: LazyLock<All> = LazyLock::new(All::new);

impl All {
    fn new() -> Self {
        let tensor = TensorSpec::new("dense", vec![250, ENTRIES / 250], Init::Zero);
        let schema = Schema::new(vec![tensor.expect("a tensor")]).expect("a schema");
        let (shape, norm_max) = (Shape::STANDARD[2], NormBound::from_milli(1_000_000));
        let key = development_key(&circuit(shape), &Seed::from_bytes([1; 32]));
        let prover = ChunkProver::<Bn254>::new(shape, key).expect("the key is of this circuit");
        let prover = UpdateProver::new(UpdateShape::new(&schema, norm_max), [prover]);
        let prover = prover.expect("there is a key for each shape");
        let made = |author: u8| {
            let delta = Parameters::from_units(bell(author));
            let update = Compressor::new(&schema).compress(&delta, norm_max);
            let header = ContentHash::of(&[author]);
            let seed = opening_seed(update.payload(), &header, None);
            let hashes = [header, ContentHash::of(update.payload())];
            let signer = SecretKey::from_seed(&[author; 32]).peer_id();
            let about = subject(ContentHash::of(b"bench"), signer, 1, hashes).expect("an epoch");
            (about, update, seed)
        };
        let updates: Vec<_> = (0..UPDATES).map(made).collect();
        let prove = |(about, update, seed): &(Subject, Update, Seed)| {
            prover.prove(about, update, seed).expect("a bounded update")
        };
        let proofs = updates.iter().map(prove).collect();
        let mut sums = Parameters::zeros(schema.parameter_count());
        updates.iter().for_each(|(_, update, _)| update.add_to(&mut sums));
        let opening = prover.aggregate(&borrowed(&updates)).expect("distinct authors");
        let sums = sums.as_slice().to_vec();
        Self { schema, prover, updates, proofs, sums, opening }
    }

    fn pairs(&self) -> Vec<(&Subject, &UpdateProof<Bn254>)> {
        self.updates.iter().map(|it| &it.0).zip(&self.proofs).collect()
    }

    fn exponents(&self) -> impl Iterator<Item = u8> {
        self.updates.iter().flat_map(|(_, update, _)| update.values().map(|it| it.exponent))
    }

    fn scale(&self) -> SumScale {
        SumScale::of(self.exponents()).expect("exponents of updates")
    }
}

fn borrowed(updates: &[(Subject, Update, Seed)]) -> Vec<(Subject, &Update, &Seed)> {
    updates.iter().map(|(about, update, seed)| (*about, update, seed)).collect()
}

/// Nearly normal changes; authors step differently far.
fn bell(author: u8) -> Vec<i64> {
    let mut state = u64::from(author) + 1;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 44).expect("20 bits") - (1 << 19)
    };
    let step = 2 + i64::from(author % 7);
    (0..ENTRIES).map(|_| (0..12).map(|_| draw()).sum::<i64>() * step / 4).collect()
}

#[divan::bench]
fn open(bencher: Bencher<'_, '_>) {
    let updates = borrowed(&ALL.updates);
    bencher.bench(|| ALL.prover.aggregate(&updates).expect("distinct authors"));
}

#[divan::bench]
fn check_sum(bencher: Bencher<'_, '_>) {
    let proofs = ALL.pairs();
    bencher.bench(|| ALL.prover.verify_aggregate(&proofs, &ALL.sums, &ALL.opening).expect("it"));
}

#[divan::bench]
fn check_proofs(bencher: Bencher<'_, '_>) {
    let proofs = ALL.pairs();
    bencher.bench(|| {
        let verdicts = ALL.prover.verifier().verify_batch(&proofs);
        assert!(verdicts.iter().all(Result::is_ok));
    });
}

#[divan::bench]
fn write_sums(bencher: Bencher<'_, '_>) {
    let scales = [ALL.scale()];
    bencher.bench(|| encode_sums(&ALL.schema, &scales, &ALL.sums).expect("sums"));
}

#[divan::bench]
fn read_sums(bencher: Bencher<'_, '_>) {
    let scales = [ALL.scale()];
    let bytes = encode_sums(&ALL.schema, &scales, &ALL.sums).expect("sums");
    bencher.bench(|| decode_sums(&ALL.schema, &scales, &bytes).expect("the same"));
}
