//! Compression: what an encoding costs for a million entries, and how many bits it leaves.
//!
//! `cargo bench -p longhaul-aggregation --bench compress [-- FILTER]`: Laplace-like entries, one
//! thread. `compress` is quantising and writing with error feedback, `write` the writing
//! alone, `read` what a receiver does; throughput is in `f32` bytes. The bits an entry
//! are printed first.

use divan::Bencher;
use divan::counter::BytesCount;
use longhaul_aggregation::compress::{Coarse, Layers, Levels, MaskKey, Share};
use longhaul_aggregation::{
    Compressor, Encoding, Epoch, Init, NormBound, Parameters, Schema, TensorSpec, Update,
};

const ENTRIES: u32 = 1_000_000;
const UNBOUNDED: NormBound = NormBound::from_units(u64::MAX);
const NAMES: [&str; 8] = [
    "int8",
    "int8-coded",
    "int4",
    "ternary",
    "rand-k-int8",
    "rand-k-ternary",
    "top-k-int8",
    "top-k-ternary",
];

fn main() {
    for name in NAMES {
        let bits = update(name).payload().len() as f64 * 8.0 / f64::from(ENTRIES);
        println!("{name}: {bits:.4} bits an entry, 1/{:.1} of f32", 32.0 / bits);
    }
    divan::main();
}

fn encoding(name: &str) -> Encoding {
    let share = |share| Share::new(share).expect("a sound share");
    match name {
        "int8" => Encoding::Int8,
        "int8-coded" => Encoding::Int8Coded,
        "int4" => Encoding::Int4,
        "ternary" => Encoding::TERNARY,
        "rand-k-int8" => Encoding::RandK { share: share(250), levels: Levels::Full },
        "rand-k-ternary" => Encoding::RAND_K,
        "top-k-int8" => Encoding::TopK { share: share(100), levels: Levels::Full },
        _ => Encoding::TOP_K,
    }
}

fn schema() -> Schema {
    let tensor = TensorSpec::new("all", vec![ENTRIES], Init::Zero).expect("a sound tensor");
    Schema::new(vec![tensor]).expect("a sound schema")
}

fn key() -> MaskKey {
    MaskKey::new(&[1; 32], Epoch::FIRST)
}

/// Laplace entries of a deviation near 1/4096.
fn delta() -> Parameters {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    };
    let entries = (0..ENTRIES).map(|_| {
        let sign = if next() < 0.5 { -4096.0 } else { 4096.0 };
        (sign * -next().ln()) as i64
    });
    Parameters::from_units(entries.collect())
}

fn update(name: &str) -> Update {
    Compressor::with(&schema(), encoding(name)).compress_in(&key(), &delta(), UNBOUNDED)
}

#[divan::bench(args = NAMES, sample_count = 10, sample_size = 1)]
fn compress(bencher: Bencher<'_, '_>, name: &str) {
    let (schema, delta, key) = (schema(), delta(), key());
    let mut compressor = Compressor::with(&schema, encoding(name));
    bencher
        .counter(BytesCount::new(4 * ENTRIES as usize))
        .bench_local(|| compressor.compress_in(&key, &delta, UNBOUNDED));
}

#[divan::bench(args = NAMES, sample_count = 10, sample_size = 1)]
fn write(bencher: Bencher<'_, '_>, name: &str) {
    let (schema, update, key) = (schema(), update(name), key());
    let encoding = encoding(name);
    bencher
        .counter(BytesCount::new(4 * ENTRIES as usize))
        .bench_local(|| encoding.write(&update, &schema, &key).expect("its own update"));
}

#[divan::bench(args = NAMES, sample_count = 10, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, name: &str) {
    let (schema, update, key) = (schema(), update(name), key());
    let encoding = encoding(name);
    bencher.counter(BytesCount::new(4 * ENTRIES as usize)).bench_local(|| {
        encoding.read(update.payload().clone(), &schema, &key).expect("its own payload")
    });
}

#[divan::bench(args = ["split", "join"], sample_count = 5, sample_size = 1)]
fn layers(bencher: Bencher<'_, '_>, what: &str) {
    let (schema, update) = (schema(), update("int8"));
    let bencher = bencher.counter(BytesCount::new(4 * ENTRIES as usize));
    let layers = Layers::split(&update, &schema, Coarse::Int4);
    match what {
        "split" => bencher.bench_local(|| Layers::split(&update, &schema, Coarse::Int4)),
        _ => bencher.bench_local(|| {
            let (coarse, refinement) = (layers.coarse.payload(), layers.refinement.payload());
            let joined = Layers::join(coarse.clone(), refinement.clone(), &schema, Coarse::Int4);
            drop(joined.expect("its own layers"));
            layers.clone()
        }),
    }
}
