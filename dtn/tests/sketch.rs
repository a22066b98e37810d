//! Sketches: what two sets lack is found, in how many bytes, whatever a peer sends.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::num::NonZeroU32;

use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::sketch::{
    BatchStart, Cell, CellCount, Check, Decoder, Difference, Encoder, KeyedIds, Progress,
    SET_SIZE_MAX, SetSize, SketchBatch, SketchError, SketchKey, Symbol,
};
use proptest::prelude::*;

/// Bytes that a frame of a stream adds: a length of 32 bits, an array and a kind.
const FRAME_BYTES: usize = 4 + 2;

fn key(number: u32) -> SketchKey {
    let mut nonce = [7; 32];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    SketchKey::between(&nonce, &[8; 32])
}

fn id(world: u32, number: u32) -> BundleId {
    BundleId::from_hash(ContentHash::of(&[world.to_be_bytes(), number.to_be_bytes()].concat()))
}

/// What a reconciliation took.
#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    cells: usize,
    bytes: usize,
    batches: usize,
}

fn request_bytes(count: CellCount) -> usize {
    let mut writer = Writer::new();
    writer.unsigned(count.get().into());
    writer.len() + FRAME_BYTES
}

fn reconcile(theirs: KeyedIds, ours: KeyedIds) -> (Result<Difference, SketchError>, Cost) {
    let (mut encoder, mut decoder) = (Encoder::new(theirs), Decoder::new(ours, CellCount::MAX));
    let (mut asked, mut cost) = (CellCount::FIRST, Cost::default());
    loop {
        let bytes = encoder.batch(asked).unwrap().encode();
        let batch = SketchBatch::decode(&bytes).unwrap();
        cost.cells += batch.cells.len();
        cost.bytes += bytes.len() + FRAME_BYTES;
        cost.batches += 1;
        match decoder.push(&batch) {
            Ok(Progress::More(count)) => asked = count,
            Ok(Progress::Done(difference)) => return (Ok(difference), cost),
            Err(error) => return (Err(error), cost),
        }
        cost.bytes += request_bytes(asked);
    }
}

/// Two sets with `shared` ids in both.
fn check(world: u32, shared: u32, theirs: u32, ours: u32) -> Cost {
    let key = key(world);
    let mut only: [Vec<_>; 2] = [
        (shared..shared + theirs).map(|it| id(world, it)).collect(),
        (shared + theirs..shared + theirs + ours).map(|it| id(world, it)).collect(),
    ];
    let set = |only: &[BundleId]| {
        KeyedIds::new(key, (0..shared).map(|it| id(world, it)).chain(only.iter().copied())).unwrap()
    };
    let sender = set(&only[0]);
    let (found, cost) = reconcile(sender.clone(), set(&only[1]));
    let found = found.unwrap();
    only.iter_mut().for_each(|ids| ids.sort_unstable());
    assert_eq!(found.only_ours, only[1]);
    assert_eq!(found.only_theirs.len(), only[0].len());
    assert_eq!(sender.resolve(&found.only_theirs), only[0]);
    cost
}

/// Bytes for each difference on average, where the peer lacks `ours` of those lacking.
fn bytes_per_difference(runs: u32, ids: u32, lacking: u32, ours: u32) -> f64 {
    let run = |world| check(world, ids - lacking, lacking - ours, ours);
    let costs: Vec<_> = (0..runs).map(run).collect();
    let per_run =
        |of: fn(&Cost) -> usize| costs.iter().map(of).sum::<usize>() as f64 / f64::from(runs);
    let (cells, bytes) = (per_run(|it| it.cells), per_run(|it| it.bytes));
    let each = f64::from(lacking.max(1));
    println!(
        "{lacking} of {ids}, {ours} ours: {:.2} bytes and {:.3} cells for each, {:.1} bytes and {:.1} batches in all",
        bytes / each,
        cells / each,
        bytes,
        per_run(|it| it.batches)
    );
    bytes / each
}

#[test]
fn finds_what_two_sets_lack() {
    for (world, (shared, theirs, ours)) in [
        (0, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0, 700, 0),
        (0, 0, 700),
        (0, 300, 300),
        (1, 1, 1),
        (50, 3, 2),
        (1000, 0, 40),
        (1000, 200, 0),
        (1000, 1, 2000),
        (5000, 1000, 1500),
    ]
    .into_iter()
    .enumerate()
    {
        check(world as u32, shared, theirs, ours);
    }
}

#[test]
fn spends_at_most_25_bytes_for_each_of_20_in_10_000() {
    for ours in [0, 10, 20] {
        let bytes = bytes_per_difference(200, 10_000, 20, ours);
        assert!(bytes <= 25.0, "{bytes}");
    }
}

#[test]
fn spends_at_most_20_bytes_for_each_of_500_in_100_000() {
    for ours in [0, 250] {
        let bytes = bytes_per_difference(20, 100_000, 500, ours);
        assert!(bytes <= 20.0, "{bytes}");
    }
}

#[test]
fn spends_one_small_batch_on_equal_sets() {
    for world in 0..20 {
        let cost = check(world, 10_000, 0, 0);
        assert_eq!(cost.batches, 1);
        assert!(cost.bytes <= 125, "{}", cost.bytes);
    }
}

#[test]
fn makes_few_round_trips() {
    for (world, lacking) in [(0, 100), (1, 1000), (2, 10_000)] {
        let one_sided = check(world, 1000, lacking, 0).batches;
        let two_sided = check(world, 1000, lacking / 2, lacking / 2).batches;
        // A batch has at most 4096 cells.
        assert!(one_sided <= 6 + 4, "{lacking}: {one_sided}");
        assert!(two_sided <= 14, "{lacking}: {two_sided}");
    }
}

#[test]
fn makes_the_pinned_cells() {
    let key = SketchKey::between(&[1; 32], &[2; 32]);
    let ids = (0..100_u32).map(|it| BundleId::from_hash(ContentHash::of(&it.to_be_bytes())));
    let mut encoder = Encoder::new(KeyedIds::new(key, ids).unwrap());
    let batch = encoder.batch(CellCount::new(16).unwrap()).unwrap();
    let found: String = batch.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let vector = include_str!("../../tests/vectors/sketch.hex");
    let pinned = vector.lines().find(|line| !line.starts_with('#')).unwrap();
    assert_eq!(found, pinned);
}

#[test]
fn finds_nothing_under_another_key() {
    let ids = || (0..200).map(|it| id(0, it));
    let mut encoder = Encoder::new(KeyedIds::new(key(1), ids()).unwrap());
    let ours = KeyedIds::new(key(2), ids()).unwrap();
    let mut decoder = Decoder::new(ours, CellCount::new(300).unwrap());
    let mut asked = CellCount::FIRST;
    let ended = loop {
        match decoder.push(&encoder.batch(asked).unwrap()) {
            Ok(Progress::More(count)) => asked = count,
            Ok(Progress::Done(_)) => panic!("decoded"),
            Err(error) => break error,
        }
    };
    assert_eq!(ended, SketchError::TooManyCells(300));
}

/// The error in which a hostile sender's cells end, for a decoder with 100 ids.
fn attack(size: u64, cell: impl Fn(u32) -> Cell) -> SketchError {
    let ours = KeyedIds::new(key(0), (0..100).map(|it| id(0, it))).unwrap();
    let mut decoder = Decoder::new(ours, CellCount::new(5000).unwrap());
    let (mut from, mut count) = (0, CellCount::FIRST.get());
    for _ in 0..200 {
        let first = BatchStart::First(SetSize::new(size).unwrap());
        let start = NonZeroU32::new(from).map_or(first, BatchStart::After);
        let batch = SketchBatch { start, cells: (from..from + count).map(&cell).collect() };
        let batch = SketchBatch::decode(&batch.encode()).unwrap();
        from += count;
        match decoder.push(&batch) {
            Ok(Progress::More(asked)) => count = asked.get(),
            Ok(Progress::Done(found)) => panic!("{found:?}"),
            Err(error) => return error,
        }
    }
    panic!("asks without end");
}

/// The first 8192 cells of ids.
fn cells_of(ids: impl Iterator<Item = BundleId>) -> Vec<Cell> {
    let mut encoder = Encoder::new(KeyedIds::new(key(0), ids).unwrap());
    let most = CellCount::new(4096).unwrap();
    (0..2).flat_map(|_| encoder.batch(most).unwrap().cells).collect()
}

/// The cells of 110 ids, of which the decoder has 100.
fn honest() -> impl Fn(u32) -> Cell {
    let cells = cells_of((0..110).map(|it| id(0, it)));
    move |at| cells[at as usize]
}

/// How many of a set's ids are in a cell on average.
fn average(ids: i64, at: u32) -> i64 {
    2 * ids / (i64::from(at) + 2)
}

fn noise(at: u32, excess: i64) -> Cell {
    let hash = ContentHash::of(&at.to_be_bytes());
    let bytes = hash.as_bytes();
    Cell {
        sum: Symbol::from_bytes(*bytes.first_chunk().unwrap()),
        check: Check::from_bytes(*bytes.last_chunk().unwrap()),
        excess,
    }
}

#[test]
fn gives_up_on_cells_that_never_decode() {
    let limit = SketchError::TooManyCells(5000);
    let ones =
        Cell { sum: Symbol::from_bytes([255; 8]), check: Check::from_bytes([255; 3]), excess: -1 };
    let most = 1 << 26;
    assert_eq!(attack(100, |at| noise(at, i64::from(at % 5) - 2)), limit, "noise");
    assert_eq!(attack(100, |at| noise(at, if at % 2 == 0 { most } else { -most })), limit, "far");
    assert_eq!(attack(0, |_| ones), limit, "ones");
    assert_eq!(attack(100, |_| Cell::default()), limit, "zeros");
    assert_eq!(attack(1 << 26, honest()), limit, "a lying size");
    let honest = honest();
    let lying = |at| Cell { excess: honest(at).excess + 1, ..honest(at) };
    assert_eq!(attack(110, lying), limit, "lying counts");
}

#[test]
fn peels_a_symbol_only_where_it_walks() {
    let (key, symbol) = (key(0), Symbol::from_bytes([9; 8]));
    let ours = cells_of((0..100).map(|it| id(0, it)));
    let everywhere = |at: u32| {
        let mut cell = ours[at as usize];
        cell.sum ^= symbol;
        cell.check ^= key.check(symbol);
        cell.excess += 1 + average(100, at) - average(101, at);
        cell
    };
    assert_eq!(attack(101, everywhere), SketchError::TooManyCells(5000));
}

#[test]
fn refuses_a_symbol_of_ours_as_one_that_only_they_have() {
    // Their cells hold our id 0 twice: the difference is a sound set of one symbol.
    let (all, one) = (cells_of((0..100).map(|it| id(0, it))), cells_of([id(0, 0)].into_iter()));
    let twice = |at: u32| {
        let (mut cell, one) = (all[at as usize], one[at as usize]);
        cell.sum ^= one.sum;
        cell.check ^= one.check;
        cell.excess += one.excess + average(100, at) + average(1, at) - average(101, at);
        cell
    };
    assert_eq!(attack(101, twice), SketchError::Inconsistent);
}

proptest! {
    #[test]
    fn finds_any_difference(world: u32, shared in 0_u32..300, theirs in 0_u32..60, ours in 0_u32..60) {
        check(world, shared, theirs, ours);
    }

    #[test]
    fn never_panics_nor_asks_without_end(
        size in prop_oneof![0_u64..200, 0..=SET_SIZE_MAX],
        counts in prop::collection::vec(-3_i64..4, 1..20),
        changed in prop::collection::btree_set(0_u32..60, 0..6),
    ) {
        let honest = honest();
        let cell = |at: u32| {
            let lie = counts[at as usize % counts.len()];
            let cell = if changed.contains(&at) { noise(at, 0) } else { honest(at) };
            Cell { excess: cell.excess + lie, ..cell }
        };
        if size != 110 || changed.contains(&0) || counts.iter().any(|&it| it != 0) {
            let ended = attack(size, cell);
            prop_assert!(matches!(ended, SketchError::TooManyCells(_) | SketchError::Inconsistent));
        }
    }
}
