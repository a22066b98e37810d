//! The rules of the fold, one by one: slots, voids, chains, quorum, pending.

mod common;

use std::sync::Arc;

use common::{Author, MEAN, Memo, SEED, TRUSTING, fold_of, named, schema, unknown_header};
use longhaul_aggregation::{
    Admitted, Epoch, Equivocation, Fold, Inserted, MemberIndex, Parameters, Previous, Recipe,
    Refusal, Rule, TermStatus, Trim, VoidReason,
};

const A: MemberIndex = MemberIndex::new(0);

/// The first entry of the model: M_0 is zero and every value of a test's update
/// is the same, so it says everything.
fn first_entry(fold: &mut Fold) -> i64 {
    fold.model().as_slice()[0]
}

fn status(authors: usize, voids: usize, quorate: bool) -> TermStatus {
    let counted = if quorate { authors - voids } else { 0 };
    let pooled = usize::from(quorate);
    TermStatus { authors, voids, quorate, pooled, counted, largest_cohort: counted }
}

#[test]
fn starts_from_the_seed() {
    let schema = schema(&[3, 2]);
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, MEAN, TRUSTING);
    assert_eq!(fold.model(), &Parameters::initial(&schema, &SEED));
    assert_eq!(fold.model_id(), Parameters::initial(&schema, &SEED).model_id(&schema));
}

#[test]
fn sums_the_terms_of_all_epochs() {
    let schema = schema(&[4]);
    let (mut a, mut b) = (Author::new(&schema, 0), Author::new(&schema, 1));
    let set = [a.publish(0, 10), b.publish(0, 20), a.publish(3, 7)];
    let mut fold = fold_of(&schema, MEAN, &set);
    assert_eq!(fold.model().as_slice(), [22; 4]);
    assert_eq!(fold.epochs().collect::<Vec<_>>(), [Epoch::new(0), Epoch::new(3)]);
    assert_eq!(fold.slot_count(), 3);
}

#[test]
fn rounds_once_for_each_term_and_ties_to_even() {
    for (values, mean) in
        [([1, 2], 2), ([2, 3], 2), ([3, 4], 4), ([-1, -2], -2), ([-2, -3], -2), ([1, 1], 1)]
    {
        let schema = schema(&[1]);
        let set = [0, 1]
            .map(|member| Author::new(&schema, member).publish(0, values[usize::from(member)]));
        assert_eq!(first_entry(&mut fold_of(&schema, MEAN, &set)), mean, "{values:?}");
    }
}

#[test]
fn a_late_update_changes_only_the_term_of_its_own_epoch() {
    let schema = schema(&[2]);
    let (mut a, mut b) = (Author::new(&schema, 0), Author::new(&schema, 1));
    let (early, other, late) = (a.publish(0, 10), a.publish(1, 100), b.publish(0, 20));
    let mut fold = fold_of(&schema, MEAN, &[early, other]);
    assert_eq!(first_entry(&mut fold), 110);
    fold.insert(late);
    assert_eq!(first_entry(&mut fold), 115);
}

#[test]
fn an_update_of_a_future_epoch_counts_at_once() {
    let schema = schema(&[1]);
    let mut fold = fold_of(&schema, MEAN, &[Author::new(&schema, 0).publish(99, 5)]);
    assert_eq!(first_entry(&mut fold), 5);
}

#[test]
fn a_term_is_empty_below_the_quorum() {
    let schema = schema(&[1]);
    let recipe = Recipe { quorum: 3, ..MEAN };
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, recipe, TRUSTING);
    for (member, model, reached) in [(0, 0, false), (1, 0, false), (2, 9, true)] {
        fold.insert(Author::new(&schema, member).publish(0, 9));
        assert_eq!(first_entry(&mut fold), model);
        assert_eq!(fold.term_status(Epoch::FIRST), status(usize::from(member) + 1, 0, reached));
    }
}

#[test]
fn a_duplicate_changes_nothing() {
    let schema = schema(&[1]);
    let update = Author::new(&schema, 0).publish(0, 9);
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, MEAN, TRUSTING);
    assert_eq!(fold.insert(update.clone()), Inserted::New);
    assert_eq!(fold.insert(update), Inserted::Duplicate);
    assert_eq!(first_entry(&mut fold), 9);
}

#[test]
fn twins_void_their_slot_which_still_counts_for_the_quorum() {
    let schema = schema(&[1]);
    let recipe = Recipe { quorum: 2, ..MEAN };
    let (a, mut b) = (Author::new(&schema, 0), Author::new(&schema, 1));
    let mut fold = fold_of(&schema, recipe, &[a.claim(0, 50, None), b.publish(0, 10)]);
    assert_eq!(first_entry(&mut fold), 30);
    assert_eq!(fold.insert(a.claim(0, 51, None)), Inserted::Void(VoidReason::Twin));
    assert_eq!(first_entry(&mut fold), 10);
    assert_eq!(fold.term_status(Epoch::FIRST), status(2, 1, true));
}

#[test]
fn an_epoch_of_void_slots_alone_adds_nothing() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let mut fold = fold_of(&schema, MEAN, &[a.claim(0, 50, None), a.claim(0, 51, None)]);
    assert_eq!(first_entry(&mut fold), 0);
    assert_eq!(fold.term_status(Epoch::FIRST), status(1, 1, true));
}

#[test]
fn a_third_twin_changes_nothing() {
    let schema = schema(&[1]);
    let mut a = Author::new(&schema, 0);
    let (first, later) = (a.publish(0, 1), a.publish(5, 2));
    let twins = [3, 4].map(|value| a.claim(2, value, Some(named(&first))));
    // Alone, this header would deny the slot of epoch 0.
    let third = a.claim(2, 9, None);
    let mut fold =
        fold_of(&schema, MEAN, &[first.clone(), later, twins[0].clone(), twins[1].clone()]);
    let (model, root) = (fold.model_id(), fold.set_root());
    assert_eq!(fold.insert(third), Inserted::Void(VoidReason::Twin));
    assert_eq!((fold.model_id(), fold.set_root()), (model, root));
    assert_eq!(fold.void(A, Epoch::FIRST), None);
}

#[test]
fn peers_that_saw_different_twins_agree() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let twins = [1, 2, 3].map(|value| a.claim(0, value, None));
    let mut left = fold_of(&schema, MEAN, &[twins[0].clone(), twins[1].clone()]);
    let mut right = fold_of(&schema, MEAN, &[twins[2].clone(), twins[1].clone()]);
    assert_eq!(left.set_root(), right.set_root());
    assert_eq!(left.model_id(), right.model_id());
}

/// Slots of one author as (epoch, previous): `previous` is the position of an
/// earlier one, or what else it names.
#[derive(Clone, Copy)]
enum Names {
    Nothing,
    Slot(usize),
    Unknown(u32),
}

#[test]
fn a_broken_chain_voids_the_slots_that_contradict() {
    use Names::{Nothing, Slot, Unknown};
    for (what, slots, void) in [
        ("an honest chain", &[(1, Nothing), (3, Slot(0)), (4, Slot(1))][..], &[][..]),
        ("a gap that is not held", &[(1, Nothing), (4, Unknown(3)), (5, Slot(1))], &[]),
        ("a backfilled first slot", &[(3, Nothing), (1, Nothing)], &[1, 3]),
        ("a backfilled slot in between", &[(1, Nothing), (5, Slot(0)), (3, Slot(0))], &[3, 5]),
        ("a denied slot in between", &[(1, Nothing), (3, Slot(0)), (5, Slot(0))], &[3, 5]),
        ("another header named", &[(1, Nothing), (3, Unknown(1))], &[1, 3]),
        (
            "only the neighbours of the break",
            &[(1, Nothing), (2, Slot(0)), (4, Nothing), (6, Slot(2))],
            &[1, 2, 4],
        ),
    ] {
        let schema = schema(&[1]);
        let author = Author::new(&schema, 0);
        let mut made: Vec<Admitted> = Vec::new();
        for &(epoch, names) in slots {
            let previous = match names {
                Nothing => None,
                Slot(position) => Some(named(&made[position])),
                Unknown(epoch) => {
                    Some(Previous { epoch: Epoch::new(epoch), header: unknown_header(0) })
                }
            };
            made.push(author.claim(epoch, 1, previous));
        }
        let fold = fold_of(&schema, MEAN, &made);
        let found: Vec<u32> = fold
            .epochs()
            .filter(|&epoch| fold.void(A, epoch) == Some(VoidReason::Chain))
            .map(Epoch::get)
            .collect();
        assert_eq!(found, void, "{what}");
    }
}

#[test]
fn a_contradiction_of_one_author_leaves_the_others_alone() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let mut b = Author::new(&schema, 1);
    let set = [a.claim(0, 50, None), a.claim(1, 50, None), b.publish(0, 4), b.publish(1, 6)];
    assert_eq!(first_entry(&mut fold_of(&schema, MEAN, &set)), 10);
}

#[test]
fn every_void_takes_one_off_the_trim() {
    let schema = schema(&[1]);
    let recipe = Recipe { rule: Rule::TrimmedMean { trim: Trim::Fixed(1) }, ..MEAN };
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, recipe, TRUSTING);
    for (member, value) in [(0, 3), (1, 6), (2, 90), (3, 120)] {
        fold.insert(Author::new(&schema, member).publish(0, value));
    }
    assert_eq!(first_entry(&mut fold), (6 + 90) / 2);
    // The slot of 120 is spent: nothing more is trimmed.
    fold.insert(Author::new(&schema, 3).claim(0, 121, None));
    assert_eq!(first_entry(&mut fold), (3 + 6 + 90) / 3);
}

#[test]
fn trimming_always_leaves_something() {
    let schema = schema(&[1]);
    let recipe = Recipe { rule: Rule::TrimmedMean { trim: Trim::Fixed(5) }, ..MEAN };
    for (values, kept) in [(&[7][..], 7), (&[2, 4], 3), (&[1, 9, 100], 9), (&[1, 4, 6, 100], 5)] {
        let authors = (0..).zip(values);
        let set: Vec<_> = authors
            .map(|(member, &value)| Author::new(&schema, member).publish(0, value))
            .collect();
        assert_eq!(first_entry(&mut fold_of(&schema, recipe, &set)), kept);
    }
}

#[test]
fn trains_from_own_updates_while_their_terms_are_empty() {
    let schema = schema(&[1]);
    let recipe = Recipe { quorum: 2, ..MEAN };
    let (mut a, mut b) = (Author::new(&schema, 0), Author::new(&schema, 1));
    let mut fold = fold_of(&schema, recipe, &[a.publish(0, 10), a.publish(1, 20), b.publish(2, 5)]);
    let base = |fold: &mut Fold, member, window| {
        fold.training_base(MemberIndex::new(member), window).as_slice()[0]
    };
    assert_eq!(base(&mut fold, 0, 100), 30, "both own updates wait");
    assert_eq!(base(&mut fold, 0, 1), 20, "only the latest is in the window");
    assert_eq!(base(&mut fold, 1, 100), 5, "nobody else's pending updates");
    assert_eq!(base(&mut fold, 2, 100), 0, "nothing of its own");
    fold.insert(Author::new(&schema, 3).publish(0, 2));
    assert_eq!(base(&mut fold, 0, 100), 6 + 20, "the term replaces the pending update");
    assert_eq!(first_entry(&mut fold), 6);
}

#[test]
fn a_void_update_is_not_pending() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let set = [a.claim(0, 10, None), a.claim(0, 11, None)];
    let mut fold = fold_of(&schema, Recipe { quorum: 2, ..MEAN }, &set);
    assert_eq!(fold.training_base(A, 100).as_slice(), [0]);
}

#[test]
fn summarises_the_slots_of_the_last_epochs() {
    let schema = schema(&[1]);
    let mut members: Vec<_> = (0..3).map(|member| Author::new(&schema, member)).collect();
    let set: Vec<_> = [(2, 0), (0, 1), (1, 1), (2, 3)]
        .map(|(member, epoch): (usize, u32)| members[member].publish(epoch, 1))
        .into();
    let fold = fold_of(&schema, MEAN, &set);
    let shown = |before, window| -> Vec<Vec<u16>> {
        let summary = fold.base_summary(Epoch::new(before), window);
        summary.rows().iter().map(|row| row.iter().map(|member| member.get()).collect()).collect()
    };
    assert_eq!(shown(4, 3), [vec![0, 1], vec![], vec![2]]);
    assert_eq!(shown(1, 3), [vec![2]]);
    assert!(shown(0, 3).is_empty());
}

#[test]
fn names_the_latest_slot_of_a_member() {
    let schema = schema(&[1]);
    let mut a = Author::new(&schema, 0);
    let (first, second) = (a.publish(1, 1), a.publish(4, 1));
    let fold = fold_of(&schema, MEAN, &[second.clone(), first]);
    assert_eq!(fold.last_slot(A), Some((Epoch::new(4), second.header_hash)));
    assert_eq!(fold.last_slot(MemberIndex::new(1)), None);
}

#[test]
fn gives_the_pair_of_headers_as_evidence() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let (one, two) = (a.claim(0, 1, None), a.claim(0, 2, None));
    let (mine, other) = (a.claim(3, 1, Some(named(&one))), a.claim(5, 1, Some(named(&one))));
    let fold = fold_of(&schema, MEAN, &[one.clone(), two.clone(), mine.clone(), other.clone()]);
    let (low, high) = (one.header_hash.min(two.header_hash), one.header_hash.max(two.header_hash));
    let pair = |reason, first, second| Equivocation { member: A, reason, first, second };
    let expected = [
        pair(VoidReason::Twin, (Epoch::new(0), low), (Epoch::new(0), high)),
        pair(
            VoidReason::Chain,
            (Epoch::new(3), mine.header_hash),
            (Epoch::new(5), other.header_hash),
        ),
    ];
    assert_eq!(fold.equivocations(), expected);
}

#[test]
fn screens_what_would_change_nothing() {
    let schema = schema(&[1]);
    let a = Author::new(&schema, 0);
    let twins = [1, 2, 3].map(|value| a.claim(0, value, None));
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, MEAN, TRUSTING);
    let screen = |fold: &Fold, update: &Admitted| {
        fold.screen(update.author, update.header.epoch, update.header_hash)
    };
    assert_eq!(screen(&fold, &twins[0]), Ok(()));
    fold.insert(twins[0].clone());
    assert_eq!(screen(&fold, &twins[0]), Err(Refusal::Duplicate));
    assert_eq!(screen(&fold, &twins[1]), Ok(()));
    fold.insert(twins[1].clone());
    assert_eq!(screen(&fold, &twins[1]), Err(Refusal::Duplicate));
    assert_eq!(screen(&fold, &twins[2]), Err(Refusal::SlotSpent));
}

#[test]
fn different_sets_have_different_roots() {
    let schema = schema(&[1]);
    let mut a = Author::new(&schema, 0);
    let updates = [a.publish(0, 1), a.publish(1, 1)];
    let sets = [&updates[..0], &updates[..1], &updates[1..], &updates];
    let roots = sets.map(|set| fold_of(&schema, MEAN, set).set_root());
    for (number, root) in roots.iter().enumerate() {
        assert!(!roots[..number].contains(root));
    }
}

#[test]
fn makes_the_floats_once_for_each_model() {
    let schema = schema(&[1]);
    let mut fold = Fold::new(Arc::clone(&schema), &SEED, MEAN, TRUSTING);
    let before = fold.model_f32();
    assert!(Arc::ptr_eq(&before, &fold.model_f32()));
    fold.insert(Author::new(&schema, 0).publish(0, 64));
    assert_eq!(*fold.model_f32(), [64.0 / 16_777_216.0]);
}

#[test]
fn folds_with_one_memo_compute_a_term_once() {
    let schema = schema(&[1]);
    let (mut a, mut b) = (Author::new(&schema, 0), Author::new(&schema, 1));
    let set = [a.publish(0, 10), b.publish(0, 20), a.publish(1, 1)].map(Arc::new);
    let memo = Arc::new(Memo::default());
    for (fold, lent) in [(0, 0), (1, 2), (2, 4)] {
        let mut one = Fold::new(Arc::clone(&schema), &SEED, MEAN, TRUSTING).with_memo(memo.clone());
        set.iter().for_each(|update| {
            one.insert(Arc::clone(update));
        });
        assert_eq!((first_entry(&mut one), memo.lent()), (16, lent), "fold {fold}");
        assert_eq!(Arc::strong_count(&set[0]), 2, "a fold holds the update that it was given");
    }
}
