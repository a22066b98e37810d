//! Pooling of epochs below the quorum, rule by rule.

mod common;

use std::sync::Arc;

use common::{Author, MEAN, SEED, TRUSTING, admitted, fold_of, payload, schema};
use longhaul_aggregation::{
    Admitted, Clip, Epoch, Fold, MemberIndex, Mix, PoolSpan, Recipe, Rule, Schema, Setting, Trim,
};

fn pooled(span: u16, quorum: u16) -> Recipe {
    Recipe { quorum, pool: PoolSpan::new(span).expect("a span"), ..MEAN }
}

/// One update for each (member, epoch, value), by authors that are honest.
fn set(schema: &Arc<Schema>, slots: &[(u16, u32, i8)]) -> Vec<Admitted> {
    let mut authors: Vec<Author> = (0..9).map(|member| Author::new(schema, member)).collect();
    let publish = |&(member, epoch, value): &(u16, u32, i8)| {
        authors[usize::from(member)].publish(epoch, value)
    };
    slots.iter().map(publish).collect()
}

fn first_entry(fold: &mut Fold) -> i64 {
    fold.model().as_slice()[0]
}

#[test]
fn pooled_authors_contribute_the_sum_of_their_updates() {
    let schema = schema(&[3]);
    for (span, expected) in [(1, 0), (2, 12), (4, 12)] {
        let set = set(&schema, &[(0, 8, 10), (0, 9, 5), (1, 9, 20)]);
        let mut fold = fold_of(&schema, pooled(span, 3), &set);
        assert_eq!(first_entry(&mut fold), 0, "two authors are no quorum of three");
        fold.insert(Author::new(&schema, 2).publish(8, 1));
        // Sums of 15, 20 and 1.
        assert_eq!(first_entry(&mut fold), expected, "span {span}");
    }
}

#[test]
fn an_epoch_with_a_quorum_stands_alone() {
    let schema = schema(&[1]);
    let slots = [(0, 8, 10), (1, 8, 20), (0, 9, 1), (2, 10, 7)];
    let mut fold = fold_of(&schema, pooled(4, 2), &set(&schema, &slots));
    assert_eq!(first_entry(&mut fold), 15 + 4);
    let status = |epoch| fold.term_status(Epoch::new(epoch));
    assert_eq!((status(8).pooled, status(8).counted), (1, 2));
    assert_eq!((status(9).pooled, status(9).counted, status(9).quorate), (2, 1, true));
    assert_eq!((status(10).pooled, status(10).largest_cohort), (2, 2));
    assert_eq!(status(11).pooled, 0);
}

#[test]
fn a_late_update_disturbs_its_own_block_alone() {
    let schema = schema(&[1]);
    let slots = [(0, 0, 10), (1, 1, 20), (0, 4, 6), (1, 6, 8), (2, 5, 100)];
    let all = set(&schema, &slots);
    let mut fold = fold_of(&schema, pooled(4, 2), &all[..4]);
    assert_eq!(first_entry(&mut fold), 15 + 7);
    // With 5 the run of 4 and 5 has a quorum; 6 is below it again.
    fold.insert(all[4].clone());
    assert_eq!(first_entry(&mut fold), 15 + 53);
    assert!(!fold.term_status(Epoch::new(6)).quorate);
    assert!(fold.term_status(Epoch::new(1)).quorate);
}

#[test]
fn trains_from_what_no_pool_counts() {
    let schema = schema(&[1]);
    let slots = [(0, 0, 10), (0, 1, 20), (0, 6, 5)];
    let mut fold = fold_of(&schema, pooled(4, 2), &set(&schema, &slots));
    let base = |fold: &mut Fold| fold.training_base(MemberIndex::new(0), 99).as_slice()[0];
    assert_eq!(base(&mut fold), 35);
    fold.insert(Author::new(&schema, 1).publish(3, 2));
    assert_eq!(base(&mut fold), (30 + 2) / 2 + 5, "the pool of 0, 1 and 3 replaces the first two");
}

#[test]
fn a_void_counts_for_the_quorum_of_a_pool() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let mut set = set(&schema, &[(1, 1, 20)]);
    set.extend([a.claim(0, 1, None), a.claim(0, 2, None)]);
    let mut fold = fold_of(&schema, pooled(2, 2), &set);
    assert_eq!(first_entry(&mut fold), 20);
    assert_eq!(fold.term_status(Epoch::new(0)).counted, 0);
}

#[test]
fn a_sum_says_no_more_than_one_update_can() {
    let schema = schema(&[2]);
    let largest = payload(&[(24, &[127, -127])]);
    let recipe = pooled(32, 2);
    for (recipe, expected) in [
        (recipe, [127_i64 << 24, -(127 << 24)]),
        (Recipe { clip: Clip::Median, ..recipe }, [127 << 24, -(127 << 24)]),
        (
            Recipe {
                mix: Mix::NearestNeighbours,
                rule: Rule::TrimmedMean { trim: Trim::Auto },
                ..recipe
            },
            [127 << 24, -(127 << 24)],
        ),
    ] {
        let setting = Setting { attacker_share_permille: 40, ..TRUSTING };
        let mut fold = Fold::new(Arc::clone(&schema), &SEED, recipe, setting);
        for member in 0..7 {
            let mut previous = None;
            // Every author has 4 epochs of its own, so none has a quorum alone.
            for epoch in (0..28).filter(|epoch| epoch % 7 == u32::from(member)) {
                let made = admitted(&schema, member, epoch, previous, &largest);
                previous = Some(common::named(&made));
                fold.insert(made);
            }
        }
        // With a quorum of two, pairs of epochs are pooled: 14 terms.
        let terms = fold.model().as_slice().iter().zip(expected).map(|(sum, one)| sum / one);
        assert_eq!(terms.collect::<Vec<_>>(), [14, 14]);
    }
}

#[test]
fn clamps_a_sum_and_mixes_sums_with_updates() {
    let schema = schema(&[2]);
    let recipe = Recipe { mix: Mix::NearestNeighbours, rule: Rule::Mean, ..pooled(2, 3) };
    let setting = Setting { attacker_share_permille: 340, ..Setting::trusting(3) };
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, recipe, setting);
    let large = payload(&[(24, &[100, -100])]);
    let first = admitted(&schema, 0, 0, None, &large);
    let second = admitted(&schema, 0, 1, Some(common::named(&first)), &large);
    for made in [first, second] {
        fold.insert(made);
    }
    for (member, epoch) in [(1, 0), (2, 1)] {
        fold.insert(admitted(&schema, member, epoch, None, &payload(&[(24, &[3, 3])])));
    }
    // Sums (127, -127), (3, 3), (3, 3); one of three attacks, so pairs are mixed:
    // (130, -124), (6, 6), (6, 6) over 6.
    let unit = f64::from(1 << 24);
    let expected = [142.0 / 6.0 * unit, -112.0 / 6.0 * unit].map(|it| it.round() as i64);
    assert_eq!(fold.model().as_slice(), expected);
}
