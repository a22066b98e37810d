//! Random sets of updates of a small federation, and random ways to deliver them.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseSummary, Fold, Init, MemberIndex, Previous, Schema, TensorSpec,
    admit,
};
use proptest::prelude::*;

use crate::common::{self, payload};

pub const MEMBERS: u16 = 6;
pub const EPOCHS: u32 = 8;
/// Epochs that a base summary looks back.
pub const WINDOW: u32 = 3;

/// What an author does about the previous slot.
#[derive(Debug, Clone, Copy)]
pub enum Naming {
    Honest,
    Nothing,
    WrongHash,
    Earlier,
}

/// What an author does in an epoch.
#[derive(Debug, Clone)]
pub struct Plan {
    pub member: u16,
    pub epoch: u32,
    naming: Naming,
    /// For each of the last epochs the members known, as bits.
    known: [u8; WINDOW as usize],
    vouch: bool,
    exponents: (u8, u8),
    values: Vec<i8>,
    /// Whether it signs a second header for the slot.
    twin: bool,
}

/// In which order updates come, which come twice, and when the model is asked for.
#[derive(Debug, Clone)]
pub struct Delivery {
    order: Vec<u32>,
    repeats: Vec<usize>,
    ends_batch: Vec<bool>,
}

fn arb_plan(member: u16, epoch: u32) -> impl Strategy<Value = Plan> {
    let naming = prop_oneof![
        12 => Just(Naming::Honest),
        1 => Just(Naming::Nothing),
        1 => Just(Naming::WrongHash),
        1 => Just(Naming::Earlier),
    ];
    // Two sides, everybody, nobody, or anything.
    let known = prop_oneof![
        3 => Just([0b00_0111; 3]),
        3 => Just([0b11_1000; 3]),
        1 => Just([0b11_1111; 3]),
        1 => Just([0; 3]),
        2 => prop::array::uniform3(0_u8..64),
    ];
    let exponents = (0_u8..=24, 0_u8..=24);
    let values = prop::collection::vec(-127_i8..=127, 5);
    let vouch = prop::bool::weighted(0.8);
    let twin = prop::bool::weighted(0.04);
    (naming, known, vouch, exponents, values, twin).prop_map(
        move |(naming, known, vouch, exponents, values, twin)| Plan {
            member,
            epoch,
            naming,
            known,
            vouch,
            exponents,
            values,
            twin,
        },
    )
}

/// A set of plans, of which each slot of the federation has one with a chance of
/// one half.
pub fn arb_plans() -> impl Strategy<Value = Vec<Plan>> {
    let slots = (0..MEMBERS).flat_map(|member| (0..EPOCHS).map(move |epoch| (member, epoch)));
    let plans: Vec<_> =
        slots.map(|(member, epoch)| prop::option::of(arb_plan(member, epoch)).boxed()).collect();
    plans.prop_map(|plans| plans.into_iter().flatten().collect())
}

pub fn arb_delivery() -> impl Strategy<Value = Delivery> {
    (
        prop::collection::vec(any::<u32>(), 80),
        prop::collection::vec(0_usize..50, 0..20),
        prop::collection::vec(prop::bool::weighted(0.2), 80),
    )
        .prop_map(|(order, repeats, ends_batch)| Delivery { order, repeats, ends_batch })
}

pub fn schema() -> Arc<Schema> {
    let tensors = vec![
        TensorSpec::new("kernel", vec![3], Init::Uniform { bound: 1 << 20 })
            .expect("a sound tensor"),
        TensorSpec::new("bias", vec![2], Init::Zero).expect("a sound tensor"),
    ];
    Arc::new(Schema::new(tensors).expect("a sound schema"))
}

/// Makes the updates in the order of epochs, so that honest ones can name the
/// slot before.
pub fn make(schema: &Arc<Schema>, plans: &[Plan]) -> Vec<Arc<Admitted>> {
    let policy = AdmissionPolicy { summary_window: WINDOW, ..common::policy(schema) };
    let mut made: Vec<Arc<Admitted>> = Vec::new();
    for plan in plans {
        let previous = previous(&made, plan);
        for salt in 0..=u32::from(plan.twin) {
            let (kernel, bias) = plan.values.split_at(3);
            let payload =
                payload(&[(plan.exponents.0.into(), kernel), (plan.exponents.1.into(), bias)]);
            let mut header = common::header(plan.epoch, previous, &payload);
            header.base.summary = summary(plan);
            header.vouch = plan.vouch;
            header.samples = salt;
            let author = Some(MemberIndex::new(plan.member));
            let admitted = admit(&policy, author, &header.encode(), payload);
            made.push(Arc::new(admitted.expect("a sound update")));
        }
    }
    made
}

/// Another header of the same slot, which says the same otherwise.
pub fn twin(schema: &Arc<Schema>, of: &Admitted) -> Arc<Admitted> {
    let policy = AdmissionPolicy { summary_window: WINDOW, ..common::policy(schema) };
    let mut header = of.header.clone();
    header.samples += 100;
    let payload = Arc::clone(of.update.payload());
    let admitted = admit(&policy, Some(of.author), &header.encode(), payload);
    Arc::new(admitted.expect("a sound update"))
}

fn previous(made: &[Arc<Admitted>], plan: &Plan) -> Option<Previous> {
    let earlier: Vec<Previous> = made
        .iter()
        .filter(|update| update.author.get() == plan.member)
        .filter(|update| update.header.epoch.get() < plan.epoch)
        .map(|update| common::named(update))
        .collect();
    let last = earlier.last().copied();
    match plan.naming {
        Naming::Honest => last,
        Naming::Nothing => None,
        Naming::WrongHash => {
            last.map(|last| Previous { header: common::unknown_header(1), ..last })
        }
        Naming::Earlier => earlier.first().copied(),
    }
}

fn summary(plan: &Plan) -> BaseSummary {
    let rows = WINDOW.min(plan.epoch) as usize;
    let row = |bits: &u8| {
        let members = (0..MEMBERS).filter(|member| bits >> member & 1 == 1);
        members.map(MemberIndex::new).collect()
    };
    BaseSummary::new(plan.known[..rows].iter().map(row).collect()).expect("ascending rows")
}

/// Puts the set into a fold in the way of `how`.
pub fn deliver(mut fold: Fold, set: &[Arc<Admitted>], how: &Delivery) -> Fold {
    let mut queue: Vec<&Arc<Admitted>> = set.iter().collect();
    queue.extend(how.repeats.iter().filter_map(|&index| set.get(index)));
    let mut keyed: Vec<_> = queue.into_iter().zip(how.order.iter().cycle()).collect();
    keyed.sort_by_key(|(_, key)| **key);
    for ((update, _), &ends_batch) in keyed.into_iter().zip(how.ends_batch.iter().cycle()) {
        fold.insert(Arc::clone(update));
        if ends_batch {
            fold.model();
        }
    }
    fold
}
