//! The promise of the fold: one set of updates makes one model.
//!
//! The reference below is written from the rules' text alone: it keeps the whole
//! set, compares all pairs of an author's headers, and computes every term from
//! scratch with wide integers and sorted columns. The fold must agree with it
//! after any permutation, duplication and chunking of the set.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{Memo, SEED, admitted, payload};
use longhaul_aggregation::{
    Admitted, Clip, Epoch, Fold, Init, MemberIndex, Mix, ModelId, Parameters, Previous, Recipe,
    Rule, Schema, Setting, TensorSpec, Trim,
};
use proptest::prelude::*;

const MEMBERS: u16 = 6;
const EPOCHS: u32 = 5;

/// An update as the reference sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    member: u16,
    epoch: u32,
    hash: [u8; 32],
    previous: Option<(u32, [u8; 32])>,
    units: Vec<i64>,
}

/// What an author does about the previous slot.
#[derive(Debug, Clone, Copy)]
enum Naming {
    Honest,
    Nothing,
    WrongHash,
    Earlier,
}

#[derive(Debug, Clone)]
struct Plan {
    member: u16,
    epoch: u32,
    naming: Naming,
    exponents: (u8, u8),
    values: Vec<i8>,
}

#[derive(Debug, Clone)]
struct Delivery {
    order: Vec<u32>,
    repeats: Vec<usize>,
    ends_batch: Vec<bool>,
}

fn arb_plan() -> impl Strategy<Value = Plan> {
    let naming = prop_oneof![
        8 => Just(Naming::Honest),
        1 => Just(Naming::Nothing),
        1 => Just(Naming::WrongHash),
        1 => Just(Naming::Earlier),
    ];
    let values = prop::collection::vec(-127_i8..=127, 5);
    (0..MEMBERS, 0..EPOCHS, naming, (0_u8..=24, 0_u8..=24), values).prop_map(
        |(member, epoch, naming, exponents, values)| Plan {
            member,
            epoch,
            naming,
            exponents,
            values,
        },
    )
}

fn arb_recipe() -> impl Strategy<Value = Recipe> {
    let trim = prop_oneof![Just(Trim::Auto), (0_u16..3).prop_map(Trim::Fixed)];
    let rule = prop_oneof![Just(Rule::Mean), trim.prop_map(|trim| Rule::TrimmedMean { trim })];
    let clip = prop_oneof![Just(Clip::None), Just(Clip::Median)];
    let mix = prop_oneof![Just(Mix::None), Just(Mix::NearestNeighbours)];
    (rule, clip, mix, 1_u16..=4).prop_map(|(rule, clip, mix, quorum)| Recipe {
        rule,
        clip,
        mix,
        quorum,
    })
}

fn arb_setting() -> impl Strategy<Value = Setting> {
    (0_u16..500).prop_map(|attacker_share_permille| Setting {
        attacker_share_permille,
        ..Setting::trusting(usize::from(MEMBERS))
    })
}

/// A recipe and the setting that it is used in.
type Rules = (Recipe, Setting);

fn arb_rules() -> impl Strategy<Value = Rules> {
    (arb_recipe(), arb_setting())
}

fn arb_delivery() -> impl Strategy<Value = Delivery> {
    (
        prop::collection::vec(any::<u32>(), 40),
        prop::collection::vec(0_usize..20, 0..20),
        prop::collection::vec(prop::bool::weighted(0.3), 40),
    )
        .prop_map(|(order, repeats, ends_batch)| Delivery { order, repeats, ends_batch })
}

fn schema() -> Arc<Schema> {
    let tensors = vec![
        TensorSpec::new("kernel", vec![3], Init::Uniform { bound: 1 << 20 })
            .expect("a sound tensor"),
        TensorSpec::new("bias", vec![2], Init::Zero).expect("a sound tensor"),
    ];
    Arc::new(Schema::new(tensors).expect("a sound schema"))
}

/// Makes the updates in the order of epochs, so that honest ones can name the
/// slot before; several plans for one slot are twins.
fn make(schema: &Arc<Schema>, mut plans: Vec<Plan>) -> Vec<Admitted> {
    plans.sort_by_key(|plan| (plan.member, plan.epoch));
    let mut made: Vec<Admitted> = Vec::new();
    for plan in &plans {
        let earlier: Vec<Previous> = made
            .iter()
            .filter(|update| update.author.get() == plan.member)
            .filter(|update| update.header.epoch.get() < plan.epoch)
            .map(common::named)
            .collect();
        let last = earlier.last().copied();
        let previous = match plan.naming {
            Naming::Honest => last,
            Naming::Nothing => None,
            Naming::WrongHash => {
                last.map(|last| Previous { header: common::unknown_header(1), ..last })
            }
            Naming::Earlier => earlier.first().copied(),
        };
        let (kernel, bias) = plan.values.split_at(3);
        let payload =
            payload(&[(plan.exponents.0.into(), kernel), (plan.exponents.1.into(), bias)]);
        made.push(admitted(schema, plan.member, plan.epoch, previous, &payload));
    }
    made
}

fn empty_fold(schema: &Arc<Schema>, (recipe, setting): Rules) -> Fold {
    Fold::new(Arc::clone(schema), &SEED, recipe, setting)
}

fn deliver(schema: &Arc<Schema>, rules: Rules, set: &[Admitted], how: &Delivery) -> Fold {
    deliver_to(empty_fold(schema, rules), set, how)
}

fn deliver_to(mut fold: Fold, set: &[Admitted], how: &Delivery) -> Fold {
    let mut queue: Vec<&Admitted> = set.iter().collect();
    queue.extend(how.repeats.iter().filter_map(|&index| set.get(index)));
    let mut keyed: Vec<_> = queue.into_iter().zip(&how.order).collect();
    keyed.sort_by_key(|(_, key)| **key);
    for ((update, _), &ends_batch) in keyed.into_iter().zip(&how.ends_batch) {
        fold.insert(update.clone());
        if ends_batch {
            fold.model();
        }
    }
    fold
}

fn fact(update: &Admitted) -> Fact {
    let mut units = Parameters::zeros(5);
    update.update.add_to(&mut units);
    let named = |previous: Previous| (previous.epoch.get(), *previous.header.as_hash().as_bytes());
    Fact {
        member: update.author.get(),
        epoch: update.header.epoch.get(),
        hash: *update.header_hash.as_hash().as_bytes(),
        previous: update.header.previous.map(named),
        units: units.as_slice().to_vec(),
    }
}

fn reference(schema: &Schema, rules: Rules, set: &BTreeSet<Fact>) -> ModelId {
    let mut model = Parameters::initial(schema, &SEED).as_slice().to_vec();
    for epoch in 0..EPOCHS {
        let slots: BTreeSet<u16> =
            set.iter().filter(|fact| fact.epoch == epoch).map(|fact| fact.member).collect();
        if slots.len() < usize::from(rules.0.quorum) {
            continue;
        }
        let sound: Vec<&Vec<i64>> = set
            .iter()
            .filter(|fact| fact.epoch == epoch && !is_void(set, fact))
            .map(|fact| &fact.units)
            .collect();
        let voids = slots.len() - sound.len();
        if !sound.is_empty() {
            let term = reference_term(rules, &sound, voids);
            model.iter_mut().zip(term).for_each(|(sum, entry)| *sum += entry);
        }
    }
    Parameters::from_units(model).model_id(schema)
}

fn is_twin(set: &BTreeSet<Fact>, fact: &Fact) -> bool {
    let same_slot = |other: &&Fact| other.member == fact.member && other.epoch == fact.epoch;
    set.iter().filter(same_slot).count() > 1
}

fn is_void(set: &BTreeSet<Fact>, fact: &Fact) -> bool {
    let others = || set.iter().filter(|other| other.member == fact.member);
    is_twin(set, fact)
        || others().any(|other| {
            let (early, late) =
                if other.epoch < fact.epoch { (other, fact) } else { (fact, other) };
            early.epoch < late.epoch && !is_twin(set, late) && denies(set, late, early)
        })
}

/// True when `late` says that `early` is not what it is.
fn denies(set: &BTreeSet<Fact>, late: &Fact, early: &Fact) -> bool {
    match late.previous {
        None => true,
        Some((epoch, _)) if epoch < early.epoch => true,
        Some((epoch, hash)) => epoch == early.epoch && hash != early.hash && !is_twin(set, early),
    }
}

fn reference_term((recipe, setting): Rules, updates: &[&Vec<i64>], voids: usize) -> Vec<i64> {
    let weighted = clipped(recipe.clip, updates);
    let most = (updates.len() - 1) / 2;
    let attackers = setting.members * usize::from(setting.attacker_share_permille) / 1000;
    let attackers = attackers.saturating_sub(voids).min(most);
    let trim = match recipe.rule {
        Rule::Mean => 0,
        Rule::TrimmedMean { trim: Trim::Auto } => attackers,
        Rule::TrimmedMean { trim: Trim::Fixed(trim) } => {
            usize::from(trim).saturating_sub(voids).min(most)
        }
    };
    let (rows, neighbours) = match recipe.mix {
        Mix::None => (weighted, 1),
        Mix::NearestNeighbours => mixed(&weighted, updates.len() - attackers),
    };
    let column = |entry: usize| {
        let mut column: Vec<i128> = rows.iter().map(|row| row[entry]).collect();
        column.sort();
        let kept = &column[trim..column.len() - trim];
        nearest(kept.iter().sum(), 65_536 * (kept.len() * neighbours) as i128)
    };
    (0..updates[0].len()).map(column).collect()
}

fn clipped(clip: Clip, updates: &[&Vec<i64>]) -> Vec<Vec<i128>> {
    let norms: Vec<u128> = updates
        .iter()
        .map(|units| units.iter().map(|&entry| u128::from(entry.unsigned_abs()).pow(2)).sum())
        .map(|squared: u128| squared.isqrt())
        .collect();
    let mut sorted = norms.clone();
    sorted.sort();
    let median = sorted[(sorted.len() - 1) / 2];
    let weight = |norm: u128| match clip {
        Clip::Median if norm > 0 => (median * 65_536 / norm).min(65_536) as i128,
        _ => 65_536,
    };
    let scaled = updates.iter().zip(norms);
    scaled
        .map(|(units, norm)| units.iter().map(|&entry| i128::from(entry) * weight(norm)).collect())
        .collect()
}

/// Each vector's sum with its nearest ones, and how many that are.
fn mixed(rows: &[Vec<i128>], neighbours: usize) -> (Vec<Vec<i128>>, usize) {
    let distance = |one: &[i128], other: &[i128]| -> i128 {
        one.iter().zip(other).map(|(a, b)| (a - b).pow(2)).sum()
    };
    let mix = |(place, row): (usize, &Vec<i128>)| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&other| (other != place, distance(row, &rows[other]), other));
        let near = &order[..neighbours];
        (0..row.len()).map(|entry| near.iter().map(|&other| rows[other][entry]).sum()).collect()
    };
    (rows.iter().enumerate().map(mix).collect(), neighbours)
}

/// The nearest integer to a fraction; of two, the even one.
fn nearest(numerator: i128, denominator: i128) -> i64 {
    let down = numerator.div_euclid(denominator);
    let distance = |candidate: i128| (numerator - candidate * denominator).abs();
    let best = [down, down + 1].into_iter().min_by_key(|&at| (distance(at), at % 2 != 0));
    i64::try_from(best.expect("one of two")).expect("a mean of small entries")
}

fn status_of(fold: &Fold) -> BTreeMap<u32, (usize, usize, bool)> {
    let epochs = (0..EPOCHS).map(|epoch| {
        let status = fold.term_status(Epoch::new(epoch));
        (epoch, (status.authors, status.voids, status.quorate))
    });
    epochs.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn one_set_makes_one_model(
        plans in prop::collection::vec(arb_plan(), 0..20),
        rules in arb_rules(),
        first in arb_delivery(),
        second in arb_delivery(),
    ) {
        let schema = schema();
        let set = make(&schema, plans);
        let facts: BTreeSet<Fact> = set.iter().map(fact).collect();
        let mut folds = [&first, &second].map(|how| deliver(&schema, rules, &set, how));
        let expected = reference(&schema, rules, &facts);
        prop_assert_eq!(folds[0].model_id(), expected);
        prop_assert_eq!(folds[1].model_id(), expected);
        prop_assert_eq!(folds[0].set_root(), folds[1].set_root());
        prop_assert_eq!(status_of(&folds[0]), status_of(&folds[1]));
    }

    #[test]
    fn a_memo_changes_no_model(
        plans in prop::collection::vec(arb_plan(), 0..20),
        rules in arb_rules(),
        first in arb_delivery(),
        second in arb_delivery(),
    ) {
        let schema = schema();
        let set = make(&schema, plans);
        let memo = Arc::new(Memo::default());
        let mut plain = deliver(&schema, rules, &set, &first);
        for how in [first, second] {
            let sharing = empty_fold(&schema, rules).with_memo(memo.clone());
            prop_assert_eq!(deliver_to(sharing, &set, &how).model_id(), plain.model_id());
        }
    }

    #[test]
    fn expulsion_is_as_if_the_member_had_never_been(
        plans in prop::collection::vec(arb_plan(), 0..20),
        rules in arb_rules(),
        how in arb_delivery(),
        expelled in 0..MEMBERS,
    ) {
        let schema = schema();
        let set = make(&schema, plans);
        let rest: Vec<Admitted> =
            set.iter().filter(|update| update.author.get() != expelled).cloned().collect();
        let mut with = deliver(&schema, rules, &set, &how);
        let mut without = with.without_member(MemberIndex::new(expelled));
        let mut never = empty_fold(&schema, rules);
        rest.into_iter().for_each(|update| {
            never.insert(update);
        });
        prop_assert_eq!(without.model_id(), never.model_id());
        prop_assert_eq!(without.set_root(), never.set_root());
        with.model();
        prop_assert_eq!(with.without_member(MemberIndex::new(expelled)).model_id(), never.model_id());
    }

    #[test]
    fn every_void_slot_is_in_the_evidence(
        plans in prop::collection::vec(arb_plan(), 0..20),
        how in arb_delivery(),
    ) {
        let schema = schema();
        let set = make(&schema, plans);
        let fold = deliver(&schema, (common::MEAN, common::TRUSTING), &set, &how);
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
