//! Sketches between two sets: what they find, what they cost, and what a liar gains.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use common::Dice;
use longhaul_dtn::bundle::BundleId;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::sketch::{
    BATCH_CELLS_MAX, Decoder, Difference, Encoder, SketchBatch, SketchError, SketchKey, Symbol,
};
use proptest::prelude::*;

const CELLS_MAX: usize = 100_000;

fn id(number: u64) -> BundleId {
    BundleId::from_hash(ContentHash::of(&number.to_le_bytes()))
}

fn key(seed: u8) -> SketchKey {
    SketchKey::of_nonces(&[seed; 32], &[7; 32])
}

fn symbols(key: &SketchKey, numbers: impl Iterator<Item = u64>) -> Vec<(Symbol, BundleId)> {
    numbers.map(|number| (key.symbol(&id(number)), id(number))).collect()
}

/// The bytes and batches that `ours` takes to know what it lacks of `theirs`.
fn reconcile(
    ours: &[(Symbol, BundleId)],
    theirs: &[(Symbol, BundleId)],
) -> (Difference, usize, usize) {
    let mut encoder = Encoder::new(theirs.iter().map(|(symbol, _)| *symbol));
    let mut decoder = Decoder::new(ours.iter().copied(), CELLS_MAX);
    let (mut bytes, mut batches, mut sent) = (0, 0, 0);
    loop {
        // Eight cells, then a quarter of what was sent.
        let cells = if sent == 0 { 8 } else { (sent / 4).max(4) };
        let wire = encoder.batch(cells).encode();
        (bytes, batches, sent) = (bytes + wire.len(), batches + 1, sent + cells);
        if let Some(found) = decoder.take(&SketchBatch::decode(&wire).unwrap()).unwrap() {
            return (found, bytes, batches);
        }
    }
}

/// What sets of numbers lack of one another.
fn expected(key: &SketchKey, ours: &[u64], theirs: &[u64]) -> Difference {
    let lacks = |one: &[u64], other: &[u64]| {
        let mut found = symbols(key, one.iter().copied().filter(|it| !other.contains(it)));
        found.sort();
        found
    };
    Difference {
        only_theirs: lacks(theirs, ours).into_iter().map(|(symbol, _)| symbol).collect(),
        only_ours: lacks(ours, theirs).into_iter().map(|(_, id)| id).collect(),
    }
}

#[test]
fn finds_differences_of_any_size_on_either_side() {
    for (ours, theirs) in [
        (0..0, 0..0),
        (0..0, 0..1),
        (0..1, 0..0),
        (0..0, 0..300),
        (0..300, 0..0),
        (0..50, 50..100),
        (0..1_000, 3..1_009),
        (5..400, 0..400),
    ] {
        let (ours, theirs): (Vec<u64>, Vec<u64>) = (ours.collect(), theirs.collect());
        let key = key(1);
        let (found, ..) =
            reconcile(&symbols(&key, ours.iter().copied()), &symbols(&key, theirs.iter().copied()));
        assert_eq!(found, expected(&key, &ours, &theirs), "{ours:?} {theirs:?}");
    }
}

/// The mean bytes of a sketch for each of `differences` of `size`, over `runs` contacts.
fn bytes_each(size: u64, differences: u64, runs: u8) -> f64 {
    let mut bytes = 0;
    for run in 0..runs {
        let key = key(run);
        // Half of the difference on either side.
        let half = differences / 2;
        let ours = symbols(&key, 0..size);
        let theirs = symbols(&key, half..size + half);
        let (found, spent, _) = reconcile(&ours, &theirs);
        assert_eq!(found.only_theirs.len() + found.only_ours.len(), differences as usize);
        bytes += spent;
    }
    bytes as f64 / f64::from(runs) / differences as f64
}

#[test]
fn twenty_in_ten_thousand_cost_at_most_25_bytes_each() {
    let each = bytes_each(10_000, 20, 20);
    println!("20 in 10,000: {each:.1} bytes for each difference");
    assert!((12.0..=25.0).contains(&each), "{each}");
}

#[test]
fn five_hundred_in_a_hundred_thousand_cost_at_most_25_bytes_each() {
    let each = bytes_each(100_000, 500, 2);
    println!("500 in 100,000: {each:.1} bytes for each difference");
    assert!((12.0..=25.0).contains(&each), "{each}");
}

#[test]
fn equal_sets_cost_one_small_batch() {
    let key = key(3);
    let set = symbols(&key, 0..10_000);
    let (found, bytes, batches) = reconcile(&set, &set);
    assert_eq!((found, batches), (Difference::default(), 1));
    assert!(bytes < 150, "{bytes} bytes");
}

#[test]
fn cells_are_the_same_on_every_machine() {
    let key = key(9);
    let mut encoder = Encoder::new(symbols(&key, 0..1_000).into_iter().map(|(symbol, _)| symbol));
    let bytes = [encoder.batch(8).encode(), encoder.batch(300).encode()].concat();
    let found = ContentHash::of(&bytes).to_string();
    assert_eq!(found, "d708f47f33cf7d08c79943cc2c6df9c7d81576cc657bd49adcf3e145d61c8c5a");
}

#[test]
fn a_wrong_key_finds_nothing_and_says_so() {
    let (ours, theirs) = (symbols(&key(1), 0..500), symbols(&key(2), 0..500));
    let mut encoder = Encoder::new(theirs.iter().map(|(symbol, _)| *symbol));
    let mut decoder = Decoder::new(ours, 600);
    let mut found = Ok(None);
    while found == Ok(None) {
        found = decoder.take(&encoder.batch(50));
    }
    assert_eq!(found, Err(SketchError::TooManyCells(600)));
}

#[test]
fn batches_follow_one_another() {
    let mut encoder = Encoder::new(symbols(&key(1), 0..100).into_iter().map(|(symbol, _)| symbol));
    let mut decoder = Decoder::new([], CELLS_MAX);
    let (first, second) = (encoder.batch(4), encoder.batch(4));
    assert_eq!(decoder.take(&second), Err(SketchError::Gap { expected: 0, found: 4 }));
    assert_eq!(decoder.take(&first), Ok(None));
    assert_eq!(decoder.take(&first), Err(SketchError::Gap { expected: 4, found: 0 }));
    assert_eq!(encoder.batch(usize::MAX).cells.len(), BATCH_CELLS_MAX);
}

#[test]
fn a_liar_ends_the_sketch_and_no_more() {
    let key = key(1);
    let ours = symbols(&key, 0..200);
    let mut dice = Dice(0x5eed_0021);
    for round in 0..2_000 {
        let mut encoder = Encoder::new(symbols(&key, 3..203).into_iter().map(|(symbol, _)| symbol));
        let mut decoder = Decoder::new(ours.iter().copied(), 400);
        for _ in 0..12 {
            let mut wire = encoder.batch(40).encode();
            for _ in 0..round % 4 {
                // Behind the head, whose place and size have to fit.
                let at = 9 + dice.below(wire.len() - 9);
                wire[at] = dice.below(256) as u8;
            }
            let Ok(batch) = SketchBatch::decode(&wire) else { break };
            match decoder.take(&batch) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    assert!(found.only_ours.iter().all(|it| ours.iter().any(|(_, id)| id == it)));
                    break;
                }
                Err(_) => break,
            }
        }
    }
    // One symbol three times: no cell has it once.
    let mut encoder = Encoder::new([Symbol::from_u64(5); 3]);
    let mut decoder = Decoder::new([], 400);
    let found = (0..11).find_map(|_| decoder.take(&encoder.batch(40)).err());
    assert_eq!(found, Some(SketchError::TooManyCells(400)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn finds_what_two_sets_lack(
        ours in prop::collection::btree_set(0_u64..400, 0..200),
        theirs in prop::collection::btree_set(0_u64..400, 0..200),
        seed: u8,
    ) {
        let (ours, theirs): (Vec<u64>, Vec<u64>) =
            (ours.into_iter().collect(), theirs.into_iter().collect());
        let key = key(seed);
        let (found, ..) = reconcile(
            &symbols(&key, ours.iter().copied()),
            &symbols(&key, theirs.iter().copied()),
        );
        prop_assert_eq!(found, expected(&key, &ours, &theirs));
    }

    #[test]
    fn batches_read_back_and_noise_never_panics(
        numbers in prop::collection::vec(any::<u64>(), 0..50), skip in 0_usize..40, noise: Vec<u8>,
    ) {
        let mut encoder = Encoder::new(numbers.into_iter().map(Symbol::from_u64));
        encoder.batch(skip);
        let batch = encoder.batch(30);
        prop_assert_eq!(SketchBatch::decode(&batch.encode()), Ok(batch.clone()));
        let framed = [&[0x83, 5, 0][..], &noise].concat();
        for bytes in [&noise, &framed] {
            if let Ok(batch) = SketchBatch::decode(bytes) {
                prop_assert_eq!(&batch.encode(), bytes);
                let _ = Decoder::new([], 100).take(&batch);
            }
        }
    }
}
