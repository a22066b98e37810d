//! What reconciliation by sketch costs: hashing ids for a contact, making cells, finding the
//! difference.

use divan::Bencher;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::sketch::{Decoder, Encoder, SketchBatch, SketchKey, Symbol};

fn main() {
    divan::main();
}

fn key() -> SketchKey {
    SketchKey::of_nonces(&[1; 32], &[2; 32])
}

fn ids(from: u64, count: u64) -> Vec<BundleId> {
    let id = |number: u64| BundleId::from_hash(ContentHash::of(&number.to_le_bytes()));
    (from..from + count).map(id).collect()
}

fn symbols(from: u64, count: u64) -> Vec<(Symbol, BundleId)> {
    let key = key();
    ids(from, count).into_iter().map(|id| (key.symbol(&id), id)).collect()
}

/// Ids of a set and differences, half of them on either side.
const SETS: [(u64, u64); 2] = [(10_000, 20), (100_000, 500)];

/// The symbols of a set, once for each contact.
#[divan::bench(args = SETS)]
fn hash_ids(bencher: Bencher<'_, '_>, (count, _): (u64, u64)) {
    let (key, ids) = (key(), ids(0, count));
    bencher.bench_local(|| ids.iter().map(|id| key.symbol(id)).collect::<Vec<_>>());
}

/// The cells that find so many differences.
fn batches(count: u64, differences: u64) -> Vec<SketchBatch> {
    let theirs = symbols(differences / 2, count);
    let mut encoder = Encoder::new(theirs.into_iter().map(|(symbol, _)| symbol));
    let ours = symbols(0, count);
    let mut decoder = Decoder::new(ours, usize::MAX);
    let mut batches = Vec::new();
    loop {
        let cells = usize::try_from(decoder.cells()).expect("a few") / 4;
        batches.push(encoder.batch(cells.max(8)));
        let last = batches.last().expect("one");
        if decoder.take(last).expect("honest cells").is_some() {
            return batches;
        }
    }
}

/// All cells that are needed.
#[divan::bench(args = SETS)]
fn encode(bencher: Bencher<'_, '_>, (count, differences): (u64, u64)) {
    let sizes: Vec<usize> = batches(count, differences).iter().map(|it| it.cells.len()).collect();
    let symbols: Vec<Symbol> = symbols(0, count).into_iter().map(|(symbol, _)| symbol).collect();
    bencher.with_inputs(|| Encoder::new(symbols.iter().copied())).bench_local_values(
        |mut encoder| sizes.iter().map(|&cells| encoder.batch(cells).encode().len()).sum::<usize>(),
    );
}

/// The difference, from cells that are there; the own cells are made for it.
#[divan::bench(args = SETS)]
fn decode(bencher: Bencher<'_, '_>, (count, differences): (u64, u64)) {
    let batches = batches(count, differences);
    let ours = symbols(0, count);
    bencher.with_inputs(|| Decoder::new(ours.iter().copied(), usize::MAX)).bench_local_values(
        |mut decoder| batches.iter().find_map(|batch| decoder.take(batch).expect("honest cells")),
    );
}
