//! The promise of the fold: one set of updates makes one model.
//!
//! The fold must agree with a reference that is written from the rules' text alone
//! (`reference/mod.rs`) after any permutation, duplication and chunking of the set,
//! with every combination of a recipe's options.

mod common;
mod plans;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{Memo, SEED};
use longhaul_aggregation::{
    Admitted, Buckets, Clip, Cohorts, Epoch, Fold, MemberIndex, Minimum, Mix, Outer, PoolSpan,
    Recipe, Rule, Samples, Schema, Setting, Slot, Small, Staleness, TermStatus, Trim, Weighting,
};
use plans::{EPOCHS, MEMBERS, WINDOW, arb_delivery, arb_plans, deliver, make, schema};
use proptest::prelude::*;
use reference::{Fact, Outcome, Rules, TRUST_ROOTS, outcome};

fn arb_cohorts() -> impl Strategy<Value = Cohorts> {
    let minimum = prop_oneof![Just(Minimum::Auto), (0_u16..4).prop_map(Minimum::Fixed)];
    let small =
        prop_oneof![1 => Just(Small::Join), 1 => Just(Small::Wait), 3 => Just(Small::Vouch)];
    (1_u16..=1000, minimum, small).prop_map(|(threshold_permille, minimum, small)| Cohorts {
        threshold_permille,
        minimum,
        small,
    })
}

fn arb_rule() -> impl Strategy<Value = Rule> {
    let trim = prop_oneof![Just(Trim::Auto), (0_u16..3).prop_map(Trim::Fixed)];
    let weighting = prop_oneof![
        Just(Weighting::Krum),
        Just(Weighting::MultiKrum),
        (1_u8..9).prop_map(|iterations| Weighting::GeometricMedian { iterations }),
        (1_u32..9_000, 1_u8..4).prop_map(|(radius_milli, iterations)| {
            Weighting::CenteredClipping { radius_milli, iterations }
        }),
        Just(Weighting::CenteredTrimmed),
        Just(Weighting::CovarianceFilter),
        Just(Weighting::Diversity),
        Just(Weighting::MinimumDiameter),
        Just(Weighting::SmallestEigenvalue),
    ];
    prop_oneof![
        1 => Just(Rule::Mean),
        2 => trim.prop_map(|trim| Rule::TrimmedMean { trim }),
        1 => Just(Rule::Median),
        1 => Just(Rule::MeanAroundMedian),
        1 => Just(Rule::Bulyan),
        3 => weighting.prop_map(Rule::Weighted),
    ]
}

fn arb_weights() -> impl Strategy<Value = (Staleness, Samples)> {
    let staleness = prop_oneof![
        3 => Just(Staleness::Constant),
        1 => (1_u8..=16).prop_map(|quarters| Staleness::Polynomial { quarters }),
        1 => (0_u16..3, 1_u16..3).prop_map(|(after, slope)| Staleness::Hinge { after, slope }),
        1 => (1_u16..3).prop_map(|half_life| Staleness::Exponential { half_life }),
    ];
    let samples = prop_oneof![2 => Just(Samples::Alike), 1 => (1_u32..200).prop_map(Samples::UpTo)];
    (staleness, samples)
}

fn arb_outer() -> impl Strategy<Value = Outer> {
    let any = (1_u32..=10_000, 0_u16..=950);
    let any =
        any.prop_map(|(rate_milli, momentum_permille)| Outer { rate_milli, momentum_permille });
    prop_oneof![2 => Just(Outer::PLAIN), 1 => any]
}

fn arb_mix() -> impl Strategy<Value = (Mix, Buckets)> {
    let mix = prop_oneof![Just(Mix::None), Just(Mix::NearestNeighbours)];
    let buckets = prop_oneof![
        2 => Just(Buckets::None),
        1 => (2_u16..6).prop_map(Buckets::Drawn),
        1 => (1_u16..3).prop_map(Buckets::ByRoot),
    ];
    (mix, buckets)
}

fn arb_recipe() -> impl Strategy<Value = Recipe> {
    let clip = prop_oneof![Just(Clip::None), Just(Clip::Median), Just(Clip::Adaptive)];
    let cohorts = prop::option::weighted(0.7, arb_cohorts());
    let pool = (0..4).prop_map(|doublings| PoolSpan::new(1_u16 << doublings).expect("a span"));
    (arb_rule(), clip, arb_mix(), cohorts, 1_u16..=6, pool, arb_weights(), arb_outer()).prop_map(
        |(rule, clip, (mix, buckets), cohorts, quorum, pool, (staleness, samples), outer)| Recipe {
            rule,
            clip,
            buckets,
            mix,
            cohorts,
            quorum,
            pool,
            staleness,
            samples,
            outer,
        },
    )
}

fn arb_setting() -> impl Strategy<Value = Setting> {
    let committee = prop::option::weighted(0.3, 1..MEMBERS);
    (0_u16..500, committee).prop_map(|(attacker_share_permille, committee)| Setting {
        attacker_share_permille,
        committee,
        summary_window: WINDOW,
        ..Setting::trusting(usize::from(MEMBERS))
    })
}

fn arb_rules() -> impl Strategy<Value = Rules> {
    (arb_recipe(), arb_setting())
}

fn empty_fold(schema: &Arc<Schema>, (recipe, setting): Rules) -> Fold {
    let fold = Fold::new(Arc::clone(schema), &SEED, recipe, setting);
    fold.with_trust_roots(Arc::new(TRUST_ROOTS))
}

fn status_of(fold: &Fold) -> BTreeMap<u32, TermStatus> {
    (0..EPOCHS).map(|epoch| (epoch, fold.term_status(Epoch::new(epoch)))).collect()
}

/// What a fold says in the reference's terms; counted slots show in what their
/// authors train from.
fn outcome_of(fold: &mut Fold, set: &[Arc<Admitted>]) -> Outcome {
    let model = fold.model().clone();
    let mut counted = BTreeSet::new();
    for member in (0..MEMBERS).map(MemberIndex::new) {
        let mut pending = fold.training_base(member, EPOCHS);
        pending.subtract(&model);
        let own = set.iter().filter(|it| it.author == member);
        let own: Vec<_> = own.filter(|it| fold.void(member, it.header.epoch).is_none()).collect();
        let is_counted = |it: &&&Arc<Admitted>| fold.counts(it.slot());
        counted
            .extend(own.iter().filter(is_counted).map(|it| (it.header.epoch.get(), member.get())));
        let newest = own.iter().filter(is_counted).map(|it| it.header.epoch).max();
        let is_pending = |it: &&&Arc<Admitted>| {
            let epoch = it.header.epoch;
            let waits = fold.term_status(epoch).quorate;
            let back = newest.map_or(Epoch::FIRST, |newest| newest.back(WINDOW));
            !(is_counted(it) || waits && epoch < back)
        };
        for update in own.iter().filter(is_pending) {
            let mut change = longhaul_aggregation::Parameters::zeros(model.len());
            update.update.add_to(&mut change);
            pending.subtract(&change);
        }
        assert!(
            pending.as_slice().iter().all(|&entry| entry == 0),
            "pending is what no term counts"
        );
    }
    Outcome { model: fold.model_id(), counted }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn one_set_makes_one_model(
        plans in arb_plans(),
        rules in arb_rules(),
        first in arb_delivery(),
        second in arb_delivery(),
    ) {
        let schema = schema();
        let set = make(&schema, &plans);
        let facts: BTreeSet<Fact> = set.iter().map(|update| Fact::of(update)).collect();
        let mut folds = [&first, &second].map(|how| deliver(empty_fold(&schema, rules), &set, how));
        prop_assert_eq!(status_of(&folds[0]), status_of(&folds[1]));
        let expected = outcome(&schema, rules, &facts);
        prop_assert_eq!(&outcome_of(&mut folds[0], &set), &expected);
        prop_assert_eq!(&outcome_of(&mut folds[1], &set), &expected);
        prop_assert_eq!(folds[0].set_root(), folds[1].set_root());
        prop_assert_eq!(status_of(&folds[0]), status_of(&folds[1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_memo_changes_no_model(
        plans in arb_plans(),
        rules in arb_rules(),
        first in arb_delivery(),
        second in arb_delivery(),
    ) {
        let schema = schema();
        let set = make(&schema, &plans);
        let memo = Arc::new(Memo::default());
        let mut plain = deliver(empty_fold(&schema, rules), &set, &first);
        for how in [first, second] {
            let sharing = empty_fold(&schema, rules).with_memo(memo.clone());
            prop_assert_eq!(deliver(sharing, &set, &how).model_id(), plain.model_id());
        }
    }

    #[test]
    fn expulsion_is_as_if_the_member_had_never_been(
        plans in arb_plans(),
        rules in arb_rules(),
        how in arb_delivery(),
        expelled in (0..MEMBERS).prop_map(MemberIndex::new),
    ) {
        let schema = schema();
        let set = make(&schema, &plans);
        let mut with = deliver(empty_fold(&schema, rules), &set, &how);
        let mut without = with.without_member(expelled);
        let mut never = empty_fold(&schema, rules);
        for update in set.iter().filter(|update| update.author != expelled) {
            never.insert(Arc::clone(update));
        }
        prop_assert_eq!(without.model_id(), never.model_id());
        prop_assert_eq!(without.set_root(), never.set_root());
        with.model();
        prop_assert_eq!(with.without_member(expelled).model_id(), never.model_id());
    }

    #[test]
    fn a_late_twin_takes_nothing_from_the_others(
        plans in arb_plans(),
        rules in arb_rules(),
        how in arb_delivery(),
        liar in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!plans.is_empty());
        let schema = schema();
        let set = make(&schema, &plans);
        let rules = (Recipe { cohorts: None, ..rules.0 }, rules.1);
        let mut fold = deliver(empty_fold(&schema, rules), &set, &how);
        let others = |fold: &Fold, liar: MemberIndex| -> Vec<Slot> {
            let slots = set.iter().map(|update| update.slot());
            slots.filter(|slot| slot.member != liar && fold.counts(*slot)).collect()
        };
        let terms = |fold: &Fold| -> Vec<_> {
            status_of(fold).into_values().map(|it| (it.authors, it.quorate, it.pooled)).collect()
        };
        let honest = liar.get(&set);
        let before = (others(&fold, honest.author), terms(&fold));
        let twin = plans::twin(&schema, honest);
        fold.insert(Arc::clone(&twin));
        prop_assert!(fold.void(honest.author, honest.header.epoch).is_some());
        prop_assert_eq!((others(&fold, honest.author), terms(&fold)), before);
        // And the model is the one of the larger set.
        let facts = set.iter().chain([&twin]).map(|update| Fact::of(update)).collect();
        prop_assert_eq!(fold.model_id(), outcome(&schema, rules, &facts).model);
    }

    #[test]
    fn every_void_slot_is_in_the_evidence(plans in arb_plans(), how in arb_delivery()) {
        let schema = schema();
        let set = make(&schema, &plans);
        let fold = deliver(empty_fold(&schema, (common::MEAN, common::TRUSTING)), &set, &how);
        let proven: BTreeSet<_> = fold
            .equivocations()
            .into_iter()
            .flat_map(|pair| [(pair.member, pair.first.0), (pair.member, pair.second.0)])
            .collect();
        let void: BTreeSet<_> = set
            .iter()
            .map(|update| (update.author, update.header.epoch))
            .filter(|&(member, epoch)| fold.void(member, epoch).is_some())
            .collect();
        prop_assert_eq!(proven, void);
    }
}
