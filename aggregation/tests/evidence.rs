//! The evidence of a term: who counts with what weight, and why not more.

mod common;

use std::sync::Arc;

use common::{MEAN, SEED, admitted, payload, schema};
use longhaul_aggregation::{
    Buckets, Clip, Epoch, Evidence, Fold, InputVerdict, Mix, Recipe, Rule, Setting, Trim,
    VoidReason,
};
use proptest::prelude::*;

const COUNTED: Epoch = Epoch::new(0);

fn fold(recipe: Recipe, share: u16, rows: &[Vec<i8>]) -> Fold {
    let schema = schema(&[u32::try_from(rows[0].len()).expect("short rows")]);
    let setting = Setting { attacker_share_permille: share, ..Setting::trusting(rows.len()) };
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, recipe, setting);
    for (member, values) in (0..).zip(rows) {
        fold.insert(admitted(&schema, member, 0, None, &payload(&[(10, values)])));
    }
    fold
}

/// The weights by member, in units of 2^-30.
fn weights(evidence: &Evidence) -> Vec<i64> {
    let weight = |verdict| match verdict {
        InputVerdict::Counted { influence, .. } => influence.weight,
        InputVerdict::Waiting | InputVerdict::Void(_) => 0,
    };
    evidence.inputs.iter().map(|input| weight(input.verdict)).collect()
}

fn kept(evidence: &Evidence) -> Vec<Option<u16>> {
    let kept = |verdict| match verdict {
        InputVerdict::Counted { influence, .. } => influence.kept_permille,
        InputVerdict::Waiting | InputVerdict::Void(_) => None,
    };
    evidence.inputs.iter().map(|input| kept(input.verdict)).collect()
}

#[test]
fn names_the_void_and_what_the_rule_leaves_out() {
    let rows = [vec![1, 1], vec![2, 2], vec![3, 3], vec![4, 4], vec![100, 100]];
    let trimmed = Rule::TrimmedMean { trim: Trim::Auto };
    let mut fold = fold(Recipe { rule: trimmed, ..MEAN }, 200, &rows);
    let evidence = fold.evidence(COUNTED).expect("a quorum");
    assert_eq!((evidence.attackers_assumed, evidence.voids), (1, 0));
    assert_eq!((evidence.cohorts[0].authors, evidence.cohorts[0].attackers_borne), (5, 1));
    assert_eq!(kept(&evidence), [0, 1000, 1000, 1000, 0].map(Some));
    let third = (1 << 30) / 3;
    assert_eq!(weights(&evidence), [third; 5]);
    // A twin makes its author's slot void, and the rule bears nobody.
    let schema = schema(&[2]);
    fold.insert(admitted(&schema, 4, 0, None, &payload(&[(10, &[99, 99])])));
    let evidence = fold.evidence(COUNTED).expect("a quorum");
    assert_eq!((evidence.cohorts[0].attackers_borne, evidence.voids), (0, 1));
    assert_eq!(evidence.inputs[4].verdict, InputVerdict::Void(VoidReason::Twin));
    assert_eq!(kept(&evidence)[..4], [Some(1000); 4]);
    assert!(fold.evidence(Epoch::new(1)).is_none(), "nobody has written there");
}

#[test]
fn says_what_clipping_and_mixing_left() {
    let rows = [vec![3, 4], vec![3, 4], vec![3, 4], vec![60, 80]];
    let clipped = fold(Recipe { clip: Clip::Median, ..MEAN }, 250, &rows);
    let evidence = clipped.evidence(COUNTED).expect("a quorum");
    let InputVerdict::Counted { influence, .. } = evidence.inputs[3].verdict else {
        panic!("it counts: {evidence:?}")
    };
    assert_eq!((influence.clip, influence.staleness, influence.samples), (3276, 65_536, 65_536));
    let mixed = Recipe { mix: Mix::NearestNeighbours, ..MEAN };
    let evidence = fold(mixed, 250, &rows).evidence(COUNTED).expect("a quorum");
    // In four mixed vectors of three: the far one in its own alone, the others in 3 or 4.
    let parts: Vec<i64> = weights(&evidence).iter().map(|it| (it * 12 + 12) >> 30).collect();
    assert_eq!((parts.iter().sum::<i64>(), parts[3]), (12, 1), "{parts:?}");
}

#[test]
fn weights_make_the_term() {
    let rules = [
        "mean",
        "krum",
        "multi-krum",
        "geometric-median:8",
        "centered-trimmed",
        "covariance-filter",
        "diversity",
        "centered-clipping:0.01:3",
    ];
    let arb = (prop::collection::vec(prop::collection::vec(-99_i8..=99, 4), 5..9), 0..rules.len());
    proptest!(ProptestConfig::with_cases(500), |((rows, rule) in arb, clips in prop::bool::ANY)| {
        let clip = if clips { Clip::Median } else { Clip::None };
        let recipe = Recipe::plain(rules[rule].parse().expect("a rule"), clip, 1);
        let mut fold = fold(recipe, 200, &rows);
        let evidence = fold.evidence(COUNTED).expect("a quorum");
        let weights = weights(&evidence);
        for (entry, found) in fold.model().as_slice().iter().enumerate() {
            let product = |(row, weight): (&Vec<i8>, &i64)| (i64::from(row[entry]) << 10) * weight;
            let sum: i64 = rows.iter().zip(&weights).map(product).sum();
            prop_assert!((found - (sum >> 30)).abs() <= 2, "{} {}", found, sum >> 30);
        }
        prop_assert!(evidence.term.is_some());
        prop_assert_eq!(fold.evidence(COUNTED), Some(evidence), "the same again");
    });
}

#[test]
fn the_terms_name_depends_on_its_entries() {
    let name = |value| fold(MEAN, 0, &[vec![value], vec![2]]).evidence(COUNTED).unwrap().term;
    assert_eq!(name(4), name(4));
    assert_ne!(name(4), name(6));
}

#[test]
fn authors_share_what_their_bucket_weighs() {
    let rows: Vec<Vec<i8>> = (0..12).map(|it| vec![it, 1]).collect();
    let gathered = Recipe { buckets: Buckets::Drawn(5), ..MEAN };
    let evidence = fold(gathered, 150, &rows).evidence(COUNTED).expect("a quorum");
    let mut found = weights(&evidence);
    found.sort_unstable();
    // Of five buckets three have two authors and two have three.
    let bucket = (1 << 30) / 5;
    assert_eq!(found, [[bucket / 3; 6], [bucket / 2; 6]].concat());
    assert_eq!((evidence.cohorts[0].authors, evidence.cohorts[0].attackers_borne), (12, 1));
    // With three attackers five buckets are too few, and each author is alone.
    let alone = fold(gathered, 250, &rows).evidence(COUNTED).expect("a quorum");
    assert_eq!(weights(&alone), [(1 << 30) / 12; 12]);
    assert_eq!(alone.cohorts[0].attackers_borne, 3);
}

#[test]
fn says_whom_bulyan_chose() {
    let mut rows: Vec<Vec<i8>> = (0..7).map(|it| vec![it % 3, 2]).collect();
    rows[3] = vec![100, -100];
    let evidence = fold(Recipe { rule: Rule::Bulyan, ..MEAN }, 150, &rows);
    let evidence = evidence.evidence(COUNTED).expect("a quorum");
    let (weights, kept) = (weights(&evidence), kept(&evidence));
    assert_eq!((weights[3], kept[3]), (0, Some(0)), "{weights:?} {kept:?}");
    // Of seven five are chosen, and in each column three kept.
    assert_eq!(weights.iter().filter(|&&it| it == (1 << 30) / 3).count(), 5);
    assert_eq!(kept.iter().flatten().map(|&it| u32::from(it)).sum::<u32>(), 3_000);
}
