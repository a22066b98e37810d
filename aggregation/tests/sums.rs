//! Buckets known by their sums: whoever holds heads and sums holds the model of whoever holds payloads.

mod common;
mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{Author, Memo, SEED, schema};
use longhaul_aggregation::{
    Admitted, BucketSum, Buckets, Clip, Epoch, Fold, HeadOnly, Inserted, MemberIndex, Mix, Outer,
    Parameters, Recipe, Refusal, Rule, Schema, Setting, Slot, SumInserted, SumRefusal, Trim,
    VoidReason, Weighting, admit, admit_head,
};
use longhaul_dtn::hash::ContentHash;
use plans::{EPOCHS, MEMBERS, WINDOW, arb_plans, make};
use proptest::prelude::*;

/// Two buckets, whose means are averaged.
const PAIRED: Recipe =
    Recipe { buckets: Buckets::Drawn(2), ..Recipe::plain(Rule::Mean, Clip::None, 1) };
const EIGHT: Setting = Setting::trusting(8);

fn empty(schema: &Arc<Schema>, recipe: Recipe, setting: Setting) -> Fold {
    Fold::new(Arc::clone(schema), &SEED, recipe, setting)
}

/// Eight members' updates of epoch 0, of different values.
fn eight(schema: &Arc<Schema>) -> Vec<Admitted> {
    (0..8).map(|member| Author::new(schema, member).publish(0, 3 * member as i8 - 7)).collect()
}

fn head(update: &Admitted) -> HeadOnly {
    HeadOnly::from(update)
}

fn all(fold: Fold, updates: &[Admitted]) -> Fold {
    updates.iter().fold(fold, |mut fold, update| {
        fold.insert(update.clone());
        fold
    })
}

fn heads(fold: Fold, updates: &[Admitted]) -> Fold {
    updates.iter().fold(fold, |mut fold, update| {
        fold.insert_head(head(update));
        fold
    })
}

/// The sums of all buckets of epoch 0.
fn sums(fold: &Fold) -> Vec<BucketSum> {
    let buckets = fold.buckets(Epoch::FIRST).into_iter();
    buckets.map(|it| fold.bucket_sum(Epoch::FIRST, &it.slots).expect("all are held")).collect()
}

/// Gives a fold all of them.
fn cover(fold: &mut Fold, full: &Fold) {
    for sum in sums(full) {
        fold.insert_sum(sum).expect("a sum that fits");
    }
}

fn slot(member: u16) -> Slot {
    Slot { member: MemberIndex::new(member), epoch: Epoch::FIRST }
}

/// A world of eight in two buckets: who has all payloads, and who has heads.
fn both(recipe: Recipe) -> (Vec<Admitted>, Fold, Fold) {
    let schema = schema(&[3, 2]);
    let updates = eight(&schema);
    let full = all(empty(&schema, recipe, EIGHT), &updates);
    let bare = heads(empty(&schema, recipe, EIGHT), &updates);
    (updates, full, bare)
}

#[test]
fn heads_and_sums_make_the_model_of_payloads() {
    let (_, mut full, mut bare) = both(PAIRED);
    assert_eq!(full.set_root(), bare.set_root());
    assert!(full.is_complete() && !bare.is_complete());
    for sum in sums(&full) {
        assert_eq!(bare.insert_sum(sum.clone()), Ok(SumInserted::New));
        assert_eq!(bare.insert_sum(sum), Ok(SumInserted::Duplicate));
    }
    assert!(bare.is_complete());
    assert_eq!(bare.complete_model_id(), Some(full.model_id()));
    assert_eq!(bare.complete_model(), Some(full.model()));
    assert_eq!(bare.term_status(Epoch::FIRST), full.term_status(Epoch::FIRST));
}

#[test]
fn an_incomplete_fold_leaves_the_term_out_and_says_what_lacks() {
    let (updates, full, mut bare) = both(PAIRED);
    let everything: Vec<Slot> = (0..8).map(slot).collect();
    assert_eq!(bare.lacking(Epoch::FIRST), everything);
    assert_eq!(bare.incomplete_epochs(), [Epoch::FIRST]);
    assert_eq!((bare.complete_model().cloned(), bare.complete_model_id()), (None, None));
    assert_eq!(bare.model().clone(), Parameters::initial(full.schema(), &SEED));
    let sum = sums(&full).remove(0);
    let covered: BTreeSet<Slot> = sum.slots.iter().map(|&(member, _)| slot(member.get())).collect();
    bare.insert_sum(sum).unwrap();
    let others: Vec<Slot> = everything.into_iter().filter(|it| !covered.contains(it)).collect();
    assert_eq!(bare.lacking(Epoch::FIRST), others);
    assert_eq!(bare.model().clone(), Parameters::initial(full.schema(), &SEED), "never mixed");
    for update in updates.iter().filter(|it| others.contains(&it.slot())) {
        assert_eq!(bare.insert(update.clone()), Inserted::New);
    }
    assert_eq!(bare.complete_model_id(), full.clone().complete_model_id());
}

#[test]
fn a_payload_completes_its_head_and_is_held_then() {
    let (updates, mut full, mut bare) = both(PAIRED);
    let update = &updates[3];
    let names = (update.author, update.header.epoch, update.header_hash);
    let screen = |fold: &Fold| fold.screen(names.0, names.1, names.2);
    assert_eq!((screen(&bare), screen(&full)), (Ok(()), Err(Refusal::Duplicate)));
    assert_eq!(bare.insert_head(head(update)), Inserted::Duplicate);
    assert!(bare.update(update.slot()).is_none() && bare.counts(update.slot()));
    assert!(bare.holds_header(update.slot(), update.header_hash));
    for update in &updates {
        assert_eq!(bare.insert(update.clone()), Inserted::New);
        assert_eq!(bare.insert(update.clone()), Inserted::Duplicate);
        assert_eq!(bare.insert_head(head(update)), Inserted::Duplicate);
        assert!(bare.update(update.slot()).is_some());
    }
    assert_eq!(screen(&bare), Err(Refusal::Duplicate));
    assert_eq!(bare.bare_slots(Epoch::FIRST), []);
    assert_eq!(bare.complete_model_id(), Some(full.model_id()));
}

#[test]
fn sums_of_one_bucket_add_up_with_each_other_and_with_payloads() {
    let recipe = Recipe { buckets: Buckets::Drawn(2), ..PAIRED };
    let (updates, mut full, bare) = both(recipe);
    let buckets = full.buckets(Epoch::FIRST);
    let [first, second] = &buckets[..] else { panic!("two buckets") };
    assert_eq!((first.slots.len(), first.is_whole()), (4, true));
    let sum = |slots: &[_]| full.bucket_sum(Epoch::FIRST, slots).unwrap();
    let parts = [sum(&first.slots[..2]), sum(&first.slots[2..]), sum(&second.slots[1..])];
    let id = full.clone().model_id();
    let mut orders = [bare.clone(), bare];
    for (fold, order) in orders.iter_mut().zip([[0, 1, 2], [2, 1, 0]]) {
        for part in order {
            assert_eq!(fold.insert_sum(parts[part].clone()), Ok(SumInserted::New));
        }
        let lonely = slot(second.slots[0].0.get());
        assert_eq!(fold.lacking(Epoch::FIRST), [lonely], "what the sums leave");
        let update = updates.iter().find(|it| it.slot() == lonely).unwrap();
        fold.insert(update.clone());
        assert_eq!(fold.complete_model_id(), Some(id));
    }
    assert_eq!(full.complete_model_id(), Some(id));
}

#[test]
fn overlapping_sums_are_not_added() {
    let (_, full, mut bare) = both(PAIRED);
    let buckets = full.buckets(Epoch::FIRST);
    for bucket in &buckets {
        for slots in [&bucket.slots[..3], &bucket.slots[1..]] {
            bare.insert_sum(full.bucket_sum(Epoch::FIRST, slots).unwrap()).unwrap();
        }
    }
    assert_eq!(bare.lacking(Epoch::FIRST).len(), 2, "one of each bucket");
    assert_eq!(bare.complete_model_id(), None);
    for bucket in buckets {
        bare.insert_sum(full.bucket_sum(Epoch::FIRST, &bucket.slots[..1]).unwrap()).unwrap();
    }
    assert_eq!(bare.complete_model_id(), full.clone().complete_model_id());
}

#[test]
fn a_sum_with_a_void_slot_is_of_no_use() {
    let (updates, mut full, mut bare) = both(PAIRED);
    cover(&mut bare, &full);
    assert!(bare.is_complete());
    let twin = Author::new(full.schema(), 5).claim(0, 99, None);
    for fold in [&mut full, &mut bare] {
        assert_eq!(fold.insert_head(head(&twin)), Inserted::Void(VoidReason::Twin));
    }
    assert!(full.is_complete());
    let hit = full.buckets(Epoch::FIRST);
    let lacking = bare.lacking(Epoch::FIRST);
    assert_eq!(lacking.len(), 3, "the others of its bucket");
    assert!(hit.iter().any(|it| it.slots.len() == 3));
    for update in updates.iter().filter(|it| lacking.contains(&it.slot())) {
        bare.insert(update.clone());
    }
    assert_eq!(bare.complete_model_id(), Some(full.model_id()));
    assert_eq!(bare.set_root(), full.set_root());
}

#[test]
fn a_late_head_makes_a_covered_bucket_lack_it() {
    let schema = schema(&[4]);
    let updates = eight(&schema);
    let (late, early) = updates.split_last().unwrap();
    let mut full = all(empty(&schema, PAIRED, EIGHT), early);
    let mut bare = heads(empty(&schema, PAIRED, EIGHT), early);
    cover(&mut bare, &full);
    assert_eq!(bare.complete_model_id(), Some(full.model_id()));
    bare.insert_head(head(late));
    assert_eq!(bare.lacking(Epoch::FIRST), [late.slot()]);
    bare.insert(late.clone());
    full.insert(late.clone());
    assert_eq!(bare.complete_model_id(), Some(full.model_id()));
}

#[test]
fn sums_that_fit_nothing_are_refused() {
    let (_, full, bare) = both(PAIRED);
    let good = sums(&full);
    let refused = |change: &dyn Fn(&mut BucketSum)| {
        let (mut sum, mut fold) = (good[0].clone(), bare.clone());
        change(&mut sum);
        fold.insert_sum(sum).unwrap_err()
    };
    let most = 4 * (127 << 24);
    let member = good[0].slots[1].0;
    let no_head = SumRefusal::NoHead(slot(member.get()));
    let later = Slot { epoch: Epoch::new(1), ..slot(good[0].slots[0].0.get()) };
    assert_eq!(refused(&|it| it.slots.clear()), SumRefusal::Slots);
    assert_eq!(refused(&|it| it.slots.swap(0, 1)), SumRefusal::Slots);
    assert_eq!(refused(&|it| it.slots[1] = it.slots[0]), SumRefusal::Slots);
    assert_eq!(refused(&|it| it.slots[1].1 = common::unknown_header(1)), no_head);
    assert_eq!(refused(&|it| it.epoch = Epoch::new(1)), SumRefusal::NoHead(later));
    let shape = SumRefusal::Entries { found: 4, expected: 5 };
    assert_eq!(refused(&|it| it.sum.truncate(4)), shape);
    assert_eq!(refused(&|it| it.sum[3] = most + 1), SumRefusal::Range(3));
    assert_eq!(refused(&|it| it.sum[4] = i64::MIN), SumRefusal::Range(4));
    let both_buckets = |it: &mut BucketSum| {
        it.slots.extend(&good[1].slots);
        it.slots.sort_unstable();
    };
    assert_eq!(refused(&both_buckets), SumRefusal::Buckets);
    let mut fold = bare;
    fold.insert_sum(BucketSum { sum: vec![-most; 5], ..good[0].clone() }).unwrap();
}

#[test]
fn recipes_whose_means_need_more_take_no_sums() {
    let parted = Recipe { clip: Clip::Median, ..PAIRED };
    let alone = Recipe { buckets: Buckets::None, ..PAIRED };
    let sum = sums(&both(PAIRED).1).remove(0);
    for recipe in [parted, alone] {
        let (updates, mut full, mut bare) = both(recipe);
        assert_eq!((full.buckets(Epoch::FIRST), full.bucket_of(slot(0))), (Vec::new(), None));
        assert_eq!(full.bucket_sum(Epoch::FIRST, &sum.slots), None);
        assert_eq!(bare.insert_sum(sum.clone()), Err(SumRefusal::NotTaken));
        assert_eq!(bare.lacking(Epoch::FIRST).len(), 8);
        let mut bare = all(bare, &updates);
        assert_eq!(bare.complete_model_id(), Some(full.model_id()));
    }
}

#[test]
fn sums_cover_nobody_where_each_author_is_alone() {
    let setting = Setting { attacker_share_permille: 250, ..EIGHT };
    let recipe = Recipe {
        buckets: Buckets::Drawn(5),
        ..Recipe::plain(Rule::TrimmedMean { trim: Trim::Auto }, Clip::None, 1)
    };
    let schema = schema(&[4]);
    let updates = eight(&schema);
    // Two attackers: the means of fewer than five buckets would be theirs.
    let bucket = |fold: &Fold, member| fold.bucket_of(slot(member)).unwrap().slots.len();
    let mut whole = all(empty(&schema, recipe, setting), &updates);
    let paired: Vec<u16> = (0..8).filter(|&member| bucket(&whole, member) == 2).collect();
    let pair = whole.bucket_of(slot(paired[0])).unwrap();
    let sum = whole.bucket_sum(Epoch::FIRST, &pair.slots).unwrap();
    let few: Vec<Admitted> = updates
        .iter()
        .filter(|it| pair.slots.iter().any(|&(member, _)| member == it.author))
        .cloned()
        .collect();
    let mut bare = heads(empty(&schema, recipe, setting), &few);
    assert_eq!(bucket(&bare, paired[0]), 1);
    assert_eq!(bare.insert_sum(sum), Ok(SumInserted::New));
    assert_eq!(bare.lacking(Epoch::FIRST).len(), 2);
    // Once the others are there, it covers its bucket.
    let others = updates.iter().filter(|it| few.iter().all(|few| few.author != it.author));
    for update in others {
        bare.insert(update.clone());
    }
    assert_eq!(bare.complete_model_id(), Some(whole.model_id()));
}

#[test]
fn a_sum_whose_payloads_are_held_is_needless() {
    let (updates, mut full, bare) = both(PAIRED);
    let all_sums = sums(&full);
    for sum in &all_sums {
        assert_eq!(full.insert_sum(sum.clone()), Ok(SumInserted::Needless));
    }
    let mut fold = bare;
    fold.insert_sum(all_sums[0].clone()).unwrap();
    let mut fold = all(fold, &updates);
    // It was forgotten with the last of its payloads.
    assert_eq!(fold.insert_sum(all_sums[0].clone()), Ok(SumInserted::Needless));
    assert_eq!(fold.complete_model_id(), Some(full.model_id()));
}

#[test]
fn of_many_sums_of_a_bucket_those_are_held_that_serve_most() {
    let (_, full, mut bare) = both(PAIRED);
    let slots = full.buckets(Epoch::FIRST).remove(0).slots;
    let sum = |places: &[usize]| {
        let slots: Vec<_> = places.iter().map(|&place| slots[place]).collect();
        full.bucket_sum(Epoch::FIRST, &slots).unwrap()
    };
    let lacking = |fold: &Fold| {
        let lacking = fold.lacking(Epoch::FIRST);
        lacking.iter().filter(|it| slots.iter().any(|slot| slot.0 == it.member)).count()
    };
    for (places, expected, lacks) in [
        (&[0, 1][..], SumInserted::New, 2),
        (&[0, 2], SumInserted::New, 2),
        (&[0, 3], SumInserted::New, 2),
        (&[0, 1, 2], SumInserted::New, 1),
        // There are four; a pair serves no better than those, even where it adds what lacks.
        (&[2, 3], SumInserted::Needless, 1),
        (&[0, 1, 2, 3], SumInserted::New, 0),
        // Nothing lacks any more.
        (&[1, 2, 3], SumInserted::Needless, 0),
        (&[3], SumInserted::Needless, 0),
    ] {
        assert_eq!((bare.insert_sum(sum(places)), lacking(&bare)), (Ok(expected), lacks));
    }
}

#[test]
fn a_memo_is_neither_asked_nor_told_about_sums() {
    let (_, full, bare) = both(PAIRED);
    let memo = Arc::new(Memo::default());
    let mut lied_to = bare.clone().with_memo(Arc::clone(&memo) as Arc<_>);
    for mut sum in sums(&full) {
        sum.sum[0] += 1_000;
        lied_to.insert_sum(sum).unwrap();
    }
    let wrong = lied_to.complete_model_id();
    // Its key is that of the true term, which a memo lends to folds that hold payloads.
    let mut told = full.clone().with_memo(Arc::clone(&memo) as Arc<_>);
    assert_ne!(Some(told.model_id()), wrong);
    assert_eq!(told.model_id(), full.clone().model_id());
    let mut bare = bare.with_memo(memo.clone());
    assert_eq!((bare.complete_model_id(), memo.lent()), (None, 0));
}

#[test]
fn expulsion_takes_sums_with_the_member_away() {
    let (updates, full, mut bare) = both(PAIRED);
    cover(&mut bare, &full);
    let member = updates[2].author;
    let mut without = bare.without_member(member);
    assert_eq!(without.lacking(Epoch::FIRST).len(), 3);
    for update in updates.iter().filter(|it| it.author != member) {
        without.insert(update.clone());
    }
    assert_eq!(without.complete_model_id(), full.without_member(member).complete_model_id());
    assert!(bare.is_complete());
}

#[test]
fn a_seal_is_proposed_by_complete_folds_alone() {
    let (_, mut full, mut bare) = both(PAIRED);
    let end = Epoch::new(1);
    assert_eq!(bare.complete_candidate(end).map(|it| it.value()), None);
    let candidate = full.complete_candidate(end).unwrap();
    assert_eq!(candidate.value(), full.candidate(end).value());
    // A later epoch that is incomplete does not matter to it.
    let mut author = Author::new(full.schema(), 1);
    let first = author.publish(0, -4);
    assert_eq!(
        first.header_hash,
        full.buckets(Epoch::FIRST)
            .iter()
            .flat_map(|it| it.slots.clone())
            .find(|it| it.0 == first.author)
            .unwrap()
            .1
    );
    bare.insert_head(head(&author.publish(1, 1)));
    cover(&mut bare, &full);
    assert!(!bare.is_complete());
    assert_eq!(bare.complete_candidate(end).map(|it| it.value()), Some(candidate.value()));
    let sum = sums(&full).remove(0);
    let candidate = Arc::new(candidate);
    bare.seal(Arc::clone(&candidate));
    full.seal(candidate);
    assert_eq!(bare.insert_sum(sum), Err(SumRefusal::Sealed(Epoch::FIRST)));
    assert_eq!(bare.lacking(Epoch::FIRST), []);
    assert_eq!(bare.lacking(end).len(), 1);
    full.insert_head(head(&author.claim(1, 1, Some(common::named(&first)))));
    assert_eq!(full.set_root(), bare.set_root());
}

#[test]
fn an_own_update_is_pending_while_its_term_lacks_others() {
    let (updates, mut full, mut bare) = both(PAIRED);
    let own = &updates[6];
    bare.insert(own.clone());
    let mut expected = bare.model().clone();
    own.update.add_to(&mut expected);
    assert_eq!(bare.training_base(own.author, 10), expected);
    let mut added = Parameters::zeros(5);
    bare.add_own(own.author, Epoch::FIRST, &mut added);
    bare.add_own(updates[1].author, Epoch::FIRST, &mut added);
    assert_eq!(added.as_slice()[0], own.update.values().next().unwrap().units().next().unwrap());
    assert_eq!(bare.pending(updates[1].author, 10, |_| true), None, "its payload is not held");
    cover(&mut bare, &full);
    assert_eq!(bare.training_base(own.author, 10), *full.model());
}

#[test]
fn evidence_speaks_of_payloads() {
    let (updates, full, mut bare) = both(PAIRED);
    cover(&mut bare, &full);
    assert!(bare.is_complete());
    assert_eq!(bare.evidence(Epoch::FIRST), None);
    let bare = all(bare, &updates);
    assert_eq!(bare.evidence(Epoch::FIRST), full.evidence(Epoch::FIRST));
    assert!(full.evidence(Epoch::FIRST).is_some());
}

#[test]
fn a_spent_slot_takes_no_sum() {
    let (_, full, mut bare) = both(PAIRED);
    let twin = Author::new(full.schema(), 5).claim(0, 99, None);
    bare.insert_head(head(&twin));
    let refused: Vec<_> =
        sums(&full).into_iter().filter_map(|sum| bare.insert_sum(sum).err()).collect();
    assert_eq!(refused, [SumRefusal::Spent(slot(5))]);
}

#[test]
fn a_head_is_admitted_as_an_update_is() {
    let schema = schema(&[2]);
    let policy = common::policy(&schema);
    let update = Author::new(&schema, 4).publish(3, 9);
    let (bytes, author) = (update.header.encode(), Some(update.author));
    assert_eq!(admit_head(&policy, author, &bytes), Ok(head(&update)));
    let payload = || Arc::clone(update.update.payload());
    let longer = [&bytes[..], &[0]].concat();
    let changed = |change: &dyn Fn(&mut longhaul_aggregation::UpdateHeader)| {
        let mut header = update.header.clone();
        change(&mut header);
        header.encode()
    };
    for (author, bytes) in [
        (None, bytes.clone()),
        (Some(MemberIndex::new(64)), bytes.clone()),
        (author, longer),
        (author, changed(&|it| it.federation = ContentHash::of(b"other"))),
        (author, changed(&|it| it.epoch = Epoch::new(100))),
        (author, changed(&|it| it.steps = 1_001)),
        (author, changed(&|it| it.samples = 1_000_001)),
        (author, changed(&|it| it.previous = Some(common::named(&update)))),
    ] {
        let refused = admit_head(&policy, author, &bytes).unwrap_err();
        assert_eq!(admit(&policy, author, &bytes, payload()).unwrap_err(), refused);
    }
}

fn arb_recipe() -> impl Strategy<Value = Recipe> {
    let rule = prop_oneof![
        Just(Rule::Mean),
        Just(Rule::Median),
        Just(Rule::MeanAroundMedian),
        Just(Rule::Bulyan),
        (0_u16..3).prop_map(|trim| Rule::TrimmedMean { trim: Trim::Fixed(trim) }),
        Just(Rule::TrimmedMean { trim: Trim::Auto }),
        Just(Rule::Weighted(Weighting::Krum)),
        Just(Rule::Weighted(Weighting::Diversity)),
        Just(Rule::Weighted(Weighting::GeometricMedian { iterations: 3 })),
    ];
    let buckets = prop_oneof![
        3 => (2_u16..6).prop_map(Buckets::Drawn),
        1 => (1_u16..3).prop_map(Buckets::ByRoot),
    ];
    let mix = prop_oneof![Just(Mix::None), Just(Mix::NearestNeighbours)];
    let outer = prop_oneof![
        2 => Just(Outer::PLAIN),
        1 => (1_u32..2_000, 0_u16..900)
            .prop_map(|(rate_milli, momentum_permille)| Outer { rate_milli, momentum_permille }),
    ];
    (rule, buckets, mix, 1_u16..5, outer).prop_map(|(rule, buckets, mix, quorum, outer)| Recipe {
        buckets,
        mix,
        outer,
        ..Recipe::plain(rule, Clip::None, quorum)
    })
}

fn rooted(schema: &Arc<Schema>, recipe: Recipe, setting: Setting) -> Fold {
    empty(schema, recipe, setting).with_trust_roots(Arc::new([1, 1, 0, 2, 2, 2]))
}

/// What a fold of heads is given.
#[derive(Debug, Clone)]
enum Step {
    Head(usize),
    Payload(usize),
    Sum(BucketSum),
}

/// The sums that some peer could have made on its way to the whole set: of the buckets of any
/// prefix of the deliveries, or of a part of one.
fn makeable(fold: Fold, set: &[Arc<Admitted>], part: &[bool]) -> Vec<BucketSum> {
    let mut fold = fold;
    let mut found = BTreeMap::new();
    for update in set {
        fold.insert(Arc::clone(update));
        for bucket in fold.buckets(update.header.epoch) {
            let some: Vec<_> = bucket.slots.iter().zip(part).filter(|(_, part)| **part).collect();
            let some: Vec<_> = some.into_iter().map(|(slot, _)| *slot).collect();
            for slots in [bucket.slots.clone(), some] {
                if let Some(sum) = fold.bucket_sum(bucket.epoch, &slots) {
                    found.insert((sum.epoch, sum.slots.clone()), sum);
                }
            }
        }
    }
    found.into_values().collect()
}

/// All heads, some payloads and most sums, in an order by lot.
fn some_of(updates: usize, sums: Vec<BucketSum>, picks: &[(u32, u8)]) -> Vec<Step> {
    let mut steps: Vec<(u32, Step)> = Vec::new();
    let mut pick = picks.iter().cycle();
    let mut add = |chance: u8, step: Step| {
        let &(order, lot) = pick.next().expect("a cycle has no end");
        if lot < chance {
            steps.push((order, step));
        }
    };
    for place in 0..updates {
        add(4, Step::Head(place));
        add(1, Step::Payload(place));
    }
    sums.into_iter().for_each(|sum| add(3, Step::Sum(sum)));
    steps.sort_by_key(|(order, _)| *order);
    steps.into_iter().map(|(_, step)| step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Heads, sums and payloads in any order, with twins and lies: whenever a fold of them is complete
    /// it has the model of the payloads of the same set, and with all payloads it is complete.
    #[test]
    fn whatever_stands_in_for_payloads_the_model_is_theirs(
        plans in arb_plans(),
        recipe in arb_recipe(),
        share in 0_u16..500,
        part in prop::collection::vec(any::<bool>(), 6),
        picks in prop::collection::vec((any::<u32>(), 0_u8..4), 200),
    ) {
        let setting = Setting { attacker_share_permille: share, summary_window: WINDOW,
            ..Setting::trusting(usize::from(MEMBERS)) };
        let schema = plans::schema();
        let set = make(&schema, &plans);
        let sums = makeable(rooted(&schema, recipe, setting), &set, &part);
        let steps = some_of(set.len(), sums, &picks);
        let mut fold = rooted(&schema, recipe, setting);
        let mut full = rooted(&schema, recipe, setting);
        // Sums that come before their heads are tried again at the end.
        let mut early = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Head(place) => {
                    fold.insert_head(HeadOnly::from(&*set[place]));
                    full.insert(Arc::clone(&set[place]));
                }
                Step::Payload(place) => {
                    fold.insert(Arc::clone(&set[place]));
                    full.insert(Arc::clone(&set[place]));
                }
                Step::Sum(sum) => early.extend(fold.insert_sum(sum.clone()).err().map(|_| sum)),
            }
            if number % 7 == 0 && let Some(id) = fold.complete_model_id() {
                prop_assert_eq!(id, full.model_id());
            }
        }
        for sum in early {
            fold.insert_sum(sum).ok();
        }
        prop_assert_eq!(fold.set_root(), full.set_root());
        prop_assert_eq!(fold.equivocations(), full.equivocations());
        let status = |fold: &Fold| (0..EPOCHS).map(|it| fold.term_status(Epoch::new(it))).collect::<Vec<_>>();
        prop_assert_eq!(status(&fold), status(&full));
        if let Some(id) = fold.complete_model_id() {
            prop_assert_eq!(id, full.model_id());
        }
        // Exactly what it says to lack is enough.
        let mut fetched = fold.clone();
        for update in &set {
            if fold.lacking(update.header.epoch).contains(&update.slot()) {
                fetched.insert(Arc::clone(update));
            }
        }
        prop_assert_eq!(fetched.lacking(Epoch::FIRST), []);
        prop_assert_eq!(fetched.complete_model_id(), Some(full.model_id()));
        for update in &set {
            fold.insert(Arc::clone(update));
        }
        prop_assert_eq!(fold.complete_model_id(), Some(full.model_id()));
        prop_assert_eq!(fold.candidate(Epoch::new(EPOCHS)).value(), full.candidate(Epoch::new(EPOCHS)).value());
    }
}
