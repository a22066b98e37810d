//! The compressor: error feedback is exact, and the bound holds.

mod common;

use common::schema;
use longhaul_aggregation::{Compressor, NormBound, Parameters, Update};
use proptest::prelude::*;

const UNBOUNDED: NormBound = NormBound::from_units(u64::MAX);

fn compress_one(delta: Vec<i64>, norm_max: NormBound) -> (Update, Compressor) {
    let length = u32::try_from(delta.len()).expect("a short change");
    let mut compressor = Compressor::new(&schema(&[length]));
    let update = compressor.compress(&Parameters::from_units(delta), norm_max);
    (update, compressor)
}

fn units(update: &Update) -> Vec<i64> {
    update.values().flat_map(|chunk| chunk.units().collect::<Vec<_>>()).collect()
}

fn squared_norm(units: &[i64]) -> u128 {
    units.iter().map(|&entry| u128::from(entry.unsigned_abs()).pow(2)).sum()
}

#[test]
fn takes_the_smallest_exponent_that_fits() {
    for (largest, exponent, quantised) in [
        (0, 0, 0),
        (1, 0, 1),
        (127, 0, 127),
        (128, 1, 64),
        (254, 1, 127),
        // 127.5 goes to the even 128, which does not fit.
        (255, 2, 64),
        (256, 2, 64),
        (127 << 24, 24, 127),
        (-(127 << 24), 24, -127),
        // Beyond the largest exponent entries saturate.
        (1 << 40, 24, 127),
    ] {
        let (update, _) = compress_one(vec![largest], UNBOUNDED);
        let chunk = update.values().next().unwrap();
        let found = (chunk.exponent, chunk.quantised().next().unwrap());
        assert_eq!(found, (exponent, quantised), "{largest}");
    }
}

#[test]
fn gives_each_chunk_its_own_exponent() {
    let mut compressor = Compressor::new(&schema(&[2, 1]));
    let update = compressor.compress(&Parameters::from_units(vec![1000, -1, 3]), UNBOUNDED);
    let exponents: Vec<u8> = update.values().map(|chunk| chunk.exponent).collect();
    assert_eq!(exponents, [3, 0]);
    assert_eq!(units(&update), [1000, 0, 3]);
    assert_eq!(compressor.residual().as_slice(), [0, -1, 0]);
}

#[test]
fn sends_a_small_entry_once_it_has_added_up() {
    let mut compressor = Compressor::new(&schema(&[2]));
    let mut sent = 0;
    for _ in 0..64 {
        let update = compressor.compress(&Parameters::from_units(vec![127 << 6, 10]), UNBOUNDED);
        sent += units(&update)[1];
    }
    assert!((sent - 640).abs() <= 64, "{sent}");
}

#[test]
fn scales_a_long_change_to_the_bound_and_keeps_its_direction() {
    let norm_max = NormBound::from_units(50_000);
    let (update, compressor) = compress_one(vec![45_000, -60_000], norm_max);
    let found = units(&update);
    assert!(norm_max.allows(update.squared_norm()));
    assert!((found[0] - 30_000).abs() <= 512 && (found[1] + 40_000).abs() <= 512, "{found:?}");
    assert_eq!(compressor.residual().as_slice(), [45_000 - found[0], -60_000 - found[1]]);
}

#[test]
fn a_bound_of_zero_sends_and_keeps_nothing() {
    let (update, compressor) = compress_one(vec![60_000, -80_000], NormBound::from_units(0));
    assert_eq!(units(&update), [0, 0]);
    assert_eq!(compressor.residual().as_slice(), [0, 0]);
}

#[test]
fn a_clipped_remainder_does_not_pile_up() {
    let norm_max = NormBound::from_units(1000);
    let mut compressor = Compressor::new(&schema(&[2]));
    for _ in 0..100 {
        compressor.compress(&Parameters::from_units(vec![1 << 30, i64::MIN]), norm_max);
        assert!(norm_max.allows(squared_norm(compressor.residual().as_slice())));
    }
    let still = Parameters::zeros(2);
    let sent: Vec<_> = (0..4).map(|_| compressor.compress(&still, norm_max)).collect();
    assert_eq!(sent[3].squared_norm(), 0, "one or two updates pay everything back");
}

proptest! {
    #[test]
    fn deltas_equal_updates_and_residual_to_the_unit(
        deltas in prop::collection::vec(prop::collection::vec(-(1_i64 << 30)..1 << 30, 5), 1..6),
    ) {
        let schema = schema(&[3, 2]);
        let mut compressor = Compressor::new(&schema);
        let mut sent = Parameters::zeros(5);
        let mut wanted = Parameters::zeros(5);
        for delta in deltas {
            let delta = Parameters::from_units(delta);
            wanted.add(&delta);
            compressor.compress(&delta, UNBOUNDED).add_to(&mut sent);
        }
        sent.add(compressor.residual());
        prop_assert_eq!(sent, wanted);
    }

    #[test]
    fn never_exceeds_the_bound_in_update_or_residual(
        deltas in prop::collection::vec(prop::collection::vec(any::<i64>(), 3), 1..4),
        shrink in 0_u32..63,
        bound in 0_u64..1 << 36,
    ) {
        let norm_max = NormBound::from_units(bound);
        let mut compressor = Compressor::new(&schema(&[2, 1]));
        for delta in deltas {
            let delta = delta.into_iter().map(|entry| entry >> shrink).collect();
            let update = compressor.compress(&Parameters::from_units(delta), norm_max);
            prop_assert_eq!(update.squared_norm(), squared_norm(&units(&update)));
            prop_assert!(norm_max.allows(update.squared_norm()));
            prop_assert!(norm_max.allows(squared_norm(compressor.residual().as_slice())));
        }
    }

    #[test]
    fn is_within_half_a_step_of_the_change(delta in prop::collection::vec(-(1_i64 << 31)..1 << 31, 1..40)) {
        let (update, _) = compress_one(delta.clone(), UNBOUNDED);
        let step = 1_i64 << update.values().next().unwrap().exponent;
        for (found, wanted) in units(&update).into_iter().zip(delta) {
            let limit = 127_i64 << 24;
            let wanted = wanted.clamp(-limit, limit);
            prop_assert!(2 * (found - wanted).abs() <= step);
        }
    }
}
