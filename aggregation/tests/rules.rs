//! The rules against references that sort and divide the plain way.

mod common;

use std::sync::Arc;

use common::{MEAN, admitted, fold_of, payload, schema};
use longhaul_aggregation::robust::{Pipeline, Pre, Vectors};
use longhaul_aggregation::{
    Buckets, Clip, Fold, Mix, Recipe, Rule, Schema, Setting, Trim, Weighting,
};
use proptest::prelude::*;

/// One chunk of each update: an exponent and its values.
type Rows = Vec<(u8, Vec<i8>)>;

/// The term of one epoch: M_0 is zero, so it is the model.
fn term(recipe: Recipe, schema: &Arc<Schema>, rows: &Rows) -> Vec<i64> {
    let updates: Vec<_> = (0..)
        .zip(rows)
        .map(|(member, (exponent, values))| {
            let payload = payload(&[(u64::from(*exponent), values)]);
            admitted(schema, member, 0, None, &payload)
        })
        .collect();
    fold_of(schema, recipe, &updates).model().as_slice().to_vec()
}

fn arb_rows(members: std::ops::Range<usize>, entries: usize) -> impl Strategy<Value = Rows> {
    let row = (0_u8..=24, prop::collection::vec(-127_i8..=127, entries));
    prop::collection::vec(row, members)
}

fn trimmed_reference(rows: &Rows, entry: usize, trim: usize) -> f64 {
    let mut column: Vec<i64> =
        rows.iter().map(|(exponent, values)| i64::from(values[entry]) << exponent).collect();
    column.sort_unstable();
    let kept = &column[trim..column.len() - trim];
    kept.iter().sum::<i64>() as f64 / kept.len() as f64
}

#[test]
fn clips_to_the_lower_median_norm() {
    let schema = schema(&[2]);
    // Norms 5, 10, 50 and 100: the lower median is 10.
    let rows = vec![(0, vec![3, 4]), (0, vec![6, 8]), (0, vec![30, 40]), (0, vec![60, 80])];
    let weights = [65_536, 65_536, 65_536 * 10 / 50, 65_536 * 10 / 100];
    let sum = |values: [i64; 4]| values.iter().zip(weights).map(|(a, b)| a * b).sum::<i64>();
    let expected = [sum([3, 6, 30, 60]), sum([4, 8, 40, 80])]
        .map(|sum| (sum as f64 / (4.0 * 65_536.0)).round_ties_even() as i64);
    let recipe = Recipe { clip: Clip::Median, ..MEAN };
    assert_eq!(term(recipe, &schema, &rows), expected);
    assert_eq!(expected, [5, 7]);
}

#[test]
fn adaptive_clipping_shortens_more_where_more_attack() {
    let rows: Vec<Vec<i8>> = vec![vec![3, 4], vec![6, 8], vec![9, 12], vec![30, 40], vec![60, 80]];
    let updates = common::updates(&schema(&[2]), &rows);
    let recipe = Recipe { clip: Clip::Adaptive, ..MEAN };
    let first = |attackers: usize| recipe.term_of(&updates, attackers)[0];
    // Norms 5, 10, 15, 50, 100: none, the longest and the two longest go to the next one's.
    assert_eq!(first(0), (3 + 6 + 9 + 30 + 60_i32 + 2) / 5);
    assert_eq!(first(1), (3 + 6 + 9 + 30 + 30_i32) / 5 + 1);
    assert_eq!(first(2), (3 + 6 + 9 + 9 + 9_i32) / 5);
}

#[test]
fn minimum_diameter_leaves_out_the_far_ones() {
    let rows: Vec<Vec<i8>> =
        vec![vec![10, 0], vec![12, 0], vec![11, 1], vec![100, -90], vec![-100, 90]];
    let updates = common::updates(&schema(&[2]), &rows);
    for rule in [Weighting::MinimumDiameter, Weighting::SmallestEigenvalue] {
        let recipe = Recipe::plain(Rule::Weighted(rule), Clip::None, 5);
        assert_eq!(recipe.term_of(&updates, 2), [11, 0], "{rule}");
    }
}

#[test]
fn clipping_to_a_median_of_zero_leaves_nothing() {
    let rows = vec![(0, vec![0]), (0, vec![0]), (24, vec![127])];
    let recipe = Recipe { clip: Clip::Median, ..MEAN };
    assert_eq!(term(recipe, &schema(&[1]), &rows), [0]);
}

#[test]
fn holds_the_largest_entries_of_a_full_epoch() {
    let largest = 127_i64 << 24;
    for (value, expected) in [(127_i8, largest), (-127, -largest)] {
        for rule in [Rule::Mean, Rule::TrimmedMean { trim: Trim::Fixed(3) }] {
            for clip in [Clip::None, Clip::Median] {
                let rows = vec![(24, vec![value]); 12];
                assert_eq!(term(Recipe::plain(rule, clip, 1), &schema(&[1]), &rows), [expected]);
            }
        }
    }
}

#[test]
fn trims_chunks_longer_than_a_block_alike() {
    let entries = 1300_usize;
    let schema = schema(&[1300]);
    let rows: Rows = (0..7_usize)
        .map(|member| {
            let values = (0..entries).map(|entry| ((entry * 31 + member * 97) % 255) as i64 - 127);
            (member as u8, values.map(|value| i8::try_from(value).unwrap()).collect())
        })
        .collect();
    let recipe = Recipe { rule: Rule::TrimmedMean { trim: Trim::Fixed(2) }, ..MEAN };
    let found = term(recipe, &schema, &rows);
    for (entry, &found) in found.iter().enumerate() {
        let expected = trimmed_reference(&rows, entry, 2).round_ties_even();
        assert_eq!(found as f64, expected, "entry {entry}");
    }
}

/// The term of one epoch in which a share of 300 in a thousand may attack.
fn attacked_term(recipe: Recipe, schema: &Arc<Schema>, rows: &Rows) -> Vec<i64> {
    attacked_term_of(300, recipe, schema, rows)
}

fn attacked_term_of(
    attacker_share_permille: u16,
    recipe: Recipe,
    schema: &Arc<Schema>,
    rows: &Rows,
) -> Vec<i64> {
    let setting = Setting { attacker_share_permille, ..Setting::trusting(rows.len()) };
    let mut fold = Fold::new(Arc::clone(schema), &common::SEED, recipe, setting);
    for (member, (exponent, values)) in (0..).zip(rows) {
        let payload = payload(&[(u64::from(*exponent), values)]);
        fold.insert(admitted(schema, member, 0, None, &payload));
    }
    fold.model().as_slice().to_vec()
}

const ROBUST: Recipe = Recipe {
    mix: Mix::NearestNeighbours,
    ..Recipe::plain(Rule::TrimmedMean { trim: Trim::Auto }, Clip::None, 1)
};

#[test]
fn mixing_puts_a_far_vector_back_into_the_crowd() {
    // One of four attacks, so each vector is mixed with its two nearest: the first
    // three are all (1 + 2 + 4) / 3, the last is (2 + 4 + 100) / 3.
    let rows: Rows = [1, 2, 4, 100].map(|value| (0, vec![value, 0])).into();
    let mean = Recipe { rule: Rule::Mean, ..ROBUST };
    let expected = f64::from(3 * 7 + 106) / 12.0;
    assert_eq!(attacked_term(mean, &schema(&[2]), &rows), [expected.round() as i64, 0]);
    assert_eq!(attacked_term(ROBUST, &schema(&[2]), &rows), [2, 0]);
}

#[test]
fn equally_near_vectors_are_taken_by_member_index() {
    // Both neighbours of 0 are at distance 3; the smaller index is taken.
    let rows: Rows = [-3, 0, 3, 90].map(|value| (0, vec![value])).into();
    let mean = Recipe { rule: Rule::Mean, ..ROBUST };
    // Sums of three: -3+0+3, 0-3+3, 3+0-3, 90+3+0.
    assert_eq!(attacked_term(mean, &schema(&[1]), &rows), [(93.0_f64 / 12.0).round() as i64]);
    let three: Rows = [-3, 0, 3].map(|value| (0, vec![value])).into();
    // With one of three: -3+0, 0-3, 3+0.
    let mean_of_two = (-3.0_f64 / 6.0).round_ties_even() as i64;
    assert_eq!(attacked_term_of(400, mean, &schema(&[1]), &three), [mean_of_two]);
}

#[test]
fn mixing_holds_the_largest_entries() {
    for value in [127_i8, -127] {
        let rows: Rows = vec![(24, vec![value; 3]); 12];
        for clip in [Clip::None, Clip::Median] {
            let found = attacked_term(Recipe { clip, ..ROBUST }, &schema(&[3]), &rows);
            assert_eq!(found, [i64::from(value) << 24; 3]);
        }
    }
}

#[test]
fn mixes_chunks_longer_than_a_block_alike() {
    // Every entry of an update is the same, so the long term repeats the short one.
    let rows: Rows = [(3, 5_i8), (0, 100), (5, -4), (2, 7), (7, 127), (4, 1), (0, -90)]
        .map(|(exponent, value)| (exponent, vec![value; 5000]))
        .into();
    let short: Rows = rows.iter().map(|(exponent, values)| (*exponent, vec![values[0]])).collect();
    let expected = attacked_term(ROBUST, &schema(&[1]), &short)[0];
    assert_eq!(attacked_term(ROBUST, &schema(&[5000]), &rows), [expected; 5000]);
}

proptest! {
    #[test]
    fn mixing_stays_in_the_range_of_the_vectors(rows in arb_rows(1..12, 2)) {
        for (entry, &found) in attacked_term(ROBUST, &schema(&[2]), &rows).iter().enumerate() {
            let column: Vec<i64> =
                rows.iter().map(|(exponent, values)| i64::from(values[entry]) << exponent).collect();
            prop_assert!(column.iter().min() <= Some(&found) && Some(&found) <= column.iter().max());
        }
    }

    #[test]
    fn a_trimmed_mean_is_the_mean_of_the_sorted_middle(
        rows in arb_rows(1..60, 3),
        trim in 0_u16..20,
    ) {
        let recipe = Recipe { rule: Rule::TrimmedMean { trim: Trim::Fixed(trim) }, ..MEAN };
        let found = term(recipe, &schema(&[3]), &rows);
        let trim = usize::from(trim).min((rows.len() - 1) / 2);
        for (entry, &found) in found.iter().enumerate() {
            prop_assert_eq!(found as f64, trimmed_reference(&rows, entry, trim).round_ties_even());
        }
    }

    #[test]
    fn equal_updates_make_themselves(
        row in arb_rows(1..2, 3),
        members in 1_usize..12,
        trim in 0_u16..5,
    ) {
        let rows = vec![row[0].clone(); members];
        for (rule, clip) in [
            (Rule::Mean, Clip::None),
            (Rule::Mean, Clip::Median),
            (Rule::TrimmedMean { trim: Trim::Fixed(trim) }, Clip::Median),
        ] {
            let found = term(Recipe::plain(rule, clip, 1), &schema(&[3]), &rows);
            let expected: Vec<i64> =
                row[0].1.iter().map(|&value| i64::from(value) << row[0].0).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_liar_cannot_leave_the_range_of_the_others(
        honest in arb_rows(3..9, 2),
        liar in arb_rows(1..2, 2),
    ) {
        let rows: Rows = honest.iter().chain(&liar).cloned().collect();
        let recipe = Recipe { rule: Rule::TrimmedMean { trim: Trim::Fixed(1) }, ..MEAN };
        for (entry, &found) in term(recipe, &schema(&[2]), &rows).iter().enumerate() {
            let column: Vec<i64> =
                honest.iter().map(|(exponent, values)| i64::from(values[entry]) << exponent).collect();
            prop_assert!(column.iter().min() <= Some(&found) && Some(&found) <= column.iter().max());
        }
    }
}

/// Every rule by dot products beside the published rule over floats.
#[test]
fn rules_by_weights_are_those_over_floats() {
    let rules = [
        Weighting::Krum,
        Weighting::MultiKrum,
        Weighting::GeometricMedian { iterations: 8 },
        Weighting::CenteredClipping { radius_milli: 100, iterations: 3 },
        Weighting::CenteredTrimmed,
        Weighting::CovarianceFilter,
        Weighting::Diversity,
    ];
    let arb = (arb_rows(7..12, 6), 0..rules.len(), prop::bool::ANY);
    proptest!(ProptestConfig::with_cases(2_000), |((rows, rule, mixes) in arb)| {
        let setting = Setting { attacker_share_permille: 250, ..Setting::trusting(rows.len()) };
        let attackers = setting.attackers(1);
        let weighting = rules[rule];
        let mix = if mixes { Mix::NearestNeighbours } else { Mix::None };
        let recipe = Recipe { mix, ..Recipe::plain(Rule::Weighted(weighting), Clip::None, 1) };
        let schema = schema(&[6]);
        let updates: Vec<_> = (0..)
            .zip(&rows)
            .map(|(member, (exponent, values))| {
                let payload = payload(&[(u64::from(*exponent), values)]);
                admitted(&schema, member, 0, None, &payload)
            })
            .collect();
        let mut fold = Fold::new(Arc::clone(&schema), &common::SEED, recipe, setting);
        // The fold's order is that of hashes; ties aside it does not matter.
        let mut sorted: Vec<_> = updates.iter().zip(&rows).collect();
        sorted.sort_by_key(|(update, _)| update.header_hash);
        let float = |(_, (exponent, values)): &(_, &(u8, Vec<i8>))| -> Vec<f64> {
            let unit = 2_f64.powi(i32::from(*exponent) - 24);
            values.iter().map(|value| f64::from(*value) * unit).collect()
        };
        let floats: Vec<Vec<f64>> = sorted.iter().map(float).collect();
        for update in updates {
            fold.insert(update);
        }
        let vectors = Vectors::new(floats.iter().map(Vec::as_slice).collect()).expect("sound");
        let pre = mixes.then_some(Pre::NearestNeighbourMixing { attackers });
        let pipeline = Pipeline {
            pre: pre.into_iter().collect(),
            rule: weighting.over_floats(attackers),
        };
        let expected = pipeline.aggregate(&vectors).expect("enough vectors");
        for (found, expected) in fold.model().as_slice().iter().zip(expected) {
            let expected = (expected * 2_f64.powi(24)).clamp(-2.13e9, 2.13e9);
            // Weights to 2^-30 of the longest vector, and one rounding.
            prop_assert!((*found as f64 - expected).abs() < 64.0, "{} {}", found, expected);
        }
    });
}

#[test]
fn medians_and_means_around_them_are_exact() {
    let rows = vec![(0, vec![1]), (0, vec![2]), (0, vec![4]), (0, vec![100])];
    let of = |rule, share| {
        let schema = schema(&[1]);
        let setting = Setting { attacker_share_permille: share, ..Setting::trusting(4) };
        let mut fold = Fold::new(
            Arc::clone(&schema),
            &common::SEED,
            Recipe::plain(rule, Clip::None, 1),
            setting,
        );
        for (member, (exponent, values)) in (0..).zip(&rows) {
            let payload = payload(&[(*exponent, values)]);
            fold.insert(admitted(&schema, member, 0, None, &payload));
        }
        fold.model().as_slice().to_vec()
    };
    assert_eq!(of(Rule::Median, 0), [3]);
    // 2.333 without the farthest.
    assert_eq!(of(Rule::MeanAroundMedian, 250), [2]);
    // 26.75 where nobody attacks.
    assert_eq!(of(Rule::MeanAroundMedian, 0), [27]);
}

#[test]
fn bulyan_leaves_out_who_is_far_and_a_small_cohort_keeps_its_majority() {
    let far = |count: usize| {
        let honest = (0..count - 1).map(|it| (0, vec![10 + it as i8 % 3, -5])).collect::<Vec<_>>();
        [honest, vec![(20, vec![127, 127])]].concat()
    };
    // Of eleven with two attackers seven are chosen and three kept; of five, too few for Krum,
    // four are kept in each column.
    for (count, share) in [(11, 200), (5, 200)] {
        let found = attacked_term_of(share, ROBUST_BULYAN, &schema(&[2]), &far(count));
        assert!((10..=12).contains(&found[0]) && found[1] == -5, "{count}: {found:?}");
    }
}

const ROBUST_BULYAN: Recipe = Recipe::plain(Rule::Bulyan, Clip::None, 1);

/// The fold of one epoch in which 100 in a thousand may attack, of members under trust roots.
fn gathered_term(buckets: Buckets, rule: Rule, rows: &Rows, roots: &[u16]) -> Vec<i64> {
    gathered_term_of(100, buckets, rule, rows, roots)
}

fn gathered_term_of(
    attacker_share_permille: u16,
    buckets: Buckets,
    rule: Rule,
    rows: &Rows,
    roots: &[u16],
) -> Vec<i64> {
    let setting = Setting { attacker_share_permille, ..Setting::trusting(rows.len()) };
    let schema = schema(&[u32::try_from(rows[0].1.len()).expect("short rows")]);
    let recipe = Recipe { buckets, ..Recipe::plain(rule, Clip::None, 1) };
    let mut fold = Fold::new(Arc::clone(&schema), &common::SEED, recipe, setting);
    fold = fold.with_trust_roots(roots.into());
    for (member, (exponent, values)) in (0..).zip(rows) {
        let payload = payload(&[(u64::from(*exponent), values)]);
        fold.insert(admitted(&schema, member, 0, None, &payload));
    }
    fold.model().as_slice().to_vec()
}

#[test]
fn a_trust_root_has_no_more_votes_than_its_buckets() {
    // Twelve members of one root say 100, four others who stand alone say 1.
    let rows: Rows = (0..16).map(|member| (0, vec![if member < 12 { 100 } else { 1 }])).collect();
    let roots: Vec<u16> = (0..16).map(|member| u16::from(member < 12)).collect();
    let by = |buckets, rule| gathered_term(buckets, rule, &rows, &roots);
    assert_eq!(by(Buckets::None, Rule::Median), [100]);
    assert_eq!(by(Buckets::ByRoot(1), Rule::Median), [1]);
    // (100 + 4) / 5 = 20.8.
    assert_eq!(by(Buckets::ByRoot(1), Rule::Mean), [21]);
    // Nobody's work is left out of a bucket: half of the root says 50.
    let halved =
        |(it, row): (usize, &(u8, Vec<i8>))| if it < 6 { (0, vec![50]) } else { row.clone() };
    let halves: Rows = rows.iter().enumerate().map(halved).collect();
    let found = gathered_term(Buckets::ByRoot(1), Rule::Mean, &halves, &roots);
    assert_eq!(found, [16], "(75 + 4) / 5 = 15.8");
    // Five votes are too few for four attackers, and wait.
    let waits = gathered_term_of(250, Buckets::ByRoot(1), Rule::Median, &rows, &roots);
    assert_eq!(waits, [0]);
    assert_eq!(gathered_term_of(250, Buckets::ByRoot(9), Rule::Median, &rows, &roots), [100]);
}

#[test]
fn an_attacker_spoils_one_bucket_and_a_robust_rule_bears_it() {
    let rows: Rows = (0..40)
        .map(|member| match member {
            39 => (20, vec![127; 2]),
            _ => (8, vec![member as i8 % 5, 3]),
        })
        .collect();
    let at = |buckets, rule| gathered_term(buckets, rule, &rows, &[]);
    let trimmed = Rule::TrimmedMean { trim: Trim::Auto };
    for rule in [trimmed, Rule::Median, Rule::Weighted(Weighting::MultiKrum)] {
        let found = at(Buckets::Drawn(9), rule);
        assert!((0..=4 << 8).contains(&found[0]) && found[1] == 3 << 8, "{rule}: {found:?}");
    }
    assert!(at(Buckets::Drawn(9), Rule::Mean)[1] > 3 << 8, "the mean bears nobody");
}
