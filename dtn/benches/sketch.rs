//! Sketches: what it takes to find what two sets lack, and in how many bytes.
//!
//! `cargo bench -p longhaul-dtn --bench sketch [-- FILTER]`: one thread. `key` is the
//! keyed hash of each id, which both sides pay once in a contact; `encode` is a
//! sender's first 1,000 cells; `decode` is all that a receiver does with the
//! batches it asked for, keyed hashes aside: the cells of its own set, and peeling. `peel`
//! has no set of its own, so that peeling is all there is.

use divan::Bencher;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::sketch::{
    CellCount, Decoder, Difference, Encoder, KeyedIds, Progress, SketchBatch, SketchKey,
};

/// Ids in each set, and how many of them one side lacks in all.
const CASES: [(u32, u32); 2] = [(10_000, 20), (100_000, 500)];

fn main() {
    for case in CASES {
        let (batches, _) = asked(case);
        let bytes: usize = batches.iter().map(|it| it.encode().len()).sum();
        let cells: usize = batches.iter().map(|it| it.cells.len()).sum();
        println!("{case:?}: {cells} cells in {} batches, {bytes} bytes", batches.len());
    }
    divan::main();
}

fn ids(from: u32, to: u32) -> Vec<BundleId> {
    let mut ids: Vec<_> =
        (from..to).map(|it| BundleId::from_hash(ContentHash::of(&it.to_be_bytes()))).collect();
    ids.sort_unstable();
    ids
}

fn keyed(from: u32, to: u32) -> KeyedIds {
    let key = SketchKey::between(&[1; 32], &[2; 32]);
    KeyedIds::new(key, ids(from, to)).expect("a small set")
}

/// The batches that a receiver asks for, and its set.
fn asked((count, lacking): (u32, u32)) -> (Vec<SketchBatch>, KeyedIds) {
    let half = lacking / 2;
    let (theirs, ours) = (keyed(0, count), keyed(half, count + lacking - half));
    let (mut encoder, mut decoder) =
        (Encoder::new(theirs), Decoder::new(ours.clone(), CellCount::MAX));
    let (mut batches, mut asked) = (vec![], CellCount::FIRST);
    loop {
        batches.push(encoder.batch(asked).expect("cells are left"));
        let last = batches.last().expect("just pushed");
        match decoder.push(last).expect("honest cells") {
            Progress::More(count) => asked = count,
            Progress::Done(_) => return (batches, ours),
        }
    }
}

fn run(mut decoder: Decoder, batches: &[SketchBatch]) -> Difference {
    for batch in batches {
        if let Progress::Done(difference) = decoder.push(batch).expect("honest cells") {
            return difference;
        }
    }
    unreachable!("the same batches decoded before")
}

#[divan::bench(args = [10_000, 100_000])]
fn key(bencher: Bencher<'_, '_>, count: u32) {
    let ids = ids(0, count);
    let key = SketchKey::between(&[1; 32], &[2; 32]);
    bencher.bench_local(|| KeyedIds::new(key, ids.iter().copied()));
}

#[divan::bench(args = [10_000, 100_000])]
fn encode(bencher: Bencher<'_, '_>, count: u32) {
    let set = keyed(0, count);
    let cells = CellCount::new(1000).expect("within limits");
    bencher
        .with_inputs(|| Encoder::new(set.clone()))
        .bench_local_values(|mut encoder| encoder.batch(cells));
}

#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, case: (u32, u32)) {
    let (batches, ours) = asked(case);
    bencher
        .with_inputs(|| Decoder::new(ours.clone(), CellCount::MAX))
        .bench_local_values(|decoder| run(decoder, &batches));
}

#[divan::bench(args = [20, 500])]
fn peel(bencher: Bencher<'_, '_>, count: u32) {
    let mut encoder = Encoder::new(keyed(0, count));
    let cells = CellCount::new(2 * count).expect("within limits");
    let batch = encoder.batch(cells).expect("cells are left");
    bencher
        .with_inputs(|| Decoder::new(keyed(0, 0), CellCount::MAX))
        .bench_local_values(|decoder| run(decoder, std::slice::from_ref(&batch)));
}
