//! Circuit: the constraints that say that an update is one step on a batch of a data set.
//!
//! Products of matrices are checked by Freivalds' method ([`super::products`]), membership by Poseidon
//! ([`super::hash`]), and everything that is rounded by lookups here (Haböck, eprint 2022/1530, as in S1): each value of a
//! division's rest, and how far it is below the divisor, is made of bytes, so that quotient and rest are the
//! only ones. Inputs and entries are looked up among -127..=127.
//!
//! The table of exponentials has pairs. With two variables, `sum 1 / (Y - n - e X) = sum m_n / (Y - n - e_n X)` holds as
//! rational functions exactly if each pair is in the table, since the factors are irreducible and differ. Cleared of its divisors
//! it has a degree in `X` below 2,451, so that putting `Y = X^4096` keeps different monomials apart (Kronecker), and one challenge
//! is enough.

use ark_ff::PrimeField;

use super::hash::membership;
use super::layout::{
    BYTE_COUNTS, BYTES, DIVISION_RESTS, DIVISION_ROOMS, EXCESS, EXPONENTIAL, EXPONENTIAL_COUNTS,
    GAPS, HALF_DIVISOR, LABELS, LARGEST, LOGIT_RESTS, LOGITS, PROBABILITIES, Run, SAMPLES,
    STEP_RESTS, STEP_ROOMS, UPDATE, VALUE_COUNTS, exponential_sum, layout,
};
use super::poseidon::Poseidon;
use super::products::{backward, forward};
use super::rows::{Rows, Sum};
use super::scale::{
    BATCH, CLASSES, EXPONENTIALS, PROBABILITY_FRACTION_BITS, WEIGHTS, exponentials,
};
use crate::cp::{R1cs, Wire};
use crate::s1::VALUE_MAX;

/// `Y = X^(2^12)`.
const SECOND_VARIABLE_BITS: usize = 12;

/// The challenge's powers that the rows need.
pub(super) struct Powers<F> {
    pub(super) challenge: Sum<F>,
    /// `X^10`: one class after the other, then one group after the other.
    pub(super) classes: Sum<F>,
    /// `X^4096`.
    second: Sum<F>,
}

/// The constraints of a step, for any base, data set, leaf and rate.
pub fn circuit<F: PrimeField>() -> R1cs<F> {
    let layout = layout();
    let mut rows = Rows::constraints(&layout);
    weave(&mut rows, &Poseidon::new());
    rows.into_system(layout)
}

/// All rows of a step.
pub(super) fn weave<F: PrimeField>(rows: &mut Rows<F>, poseidon: &Poseidon<F>) {
    let powers = powers(rows);
    labels(rows);
    largest(rows);
    let divisions = divisions(rows);
    let gradient = gradient(rows);
    bytes(rows, &powers, divisions, &gradient);
    values(rows, &powers);
    exponential_pairs(rows, &powers);
    forward(rows, &powers);
    backward(rows, &powers, &gradient);
    membership(rows, poseidon);
}

fn powers<F: PrimeField>(rows: &mut Rows<F>) -> Powers<F> {
    let challenge = Sum::wire(Wire::CHALLENGE);
    let mut squares = vec![challenge.clone()];
    for bit in 0..SECOND_VARIABLE_BITS {
        let last: &Sum<F> = &squares[bit];
        squares.push(rows.product(last.clone(), last.clone()));
    }
    let classes = rows.product(squares[3].clone(), squares[1].clone());
    Powers { challenge, classes, second: squares[SECOND_VARIABLE_BITS].clone() }
}

/// A label is one for one class.
fn labels<F: PrimeField>(rows: &mut Rows<F>) {
    for label in LABELS.wires() {
        rows.require(label.clone(), label.minus(Sum::constant(1)), Sum::zero());
    }
    for sample in 0..BATCH {
        let sum = Sum::all((0..CLASSES).map(|class| LABELS.at(sample * CLASSES + class)));
        rows.require_zero(sum.minus(Sum::constant(1)));
    }
}

/// The largest logit is one of the logits, and only what is at the table's end is beyond it.
fn largest<F: PrimeField>(rows: &mut Rows<F>) {
    for index in 0..LOGITS {
        let left = Sum::constant(EXPONENTIALS as i64 - 1).minus(GAPS.at(index));
        rows.require(EXCESS.two_bytes(index), left, Sum::zero());
    }
    for sample in 0..BATCH {
        let gap = |class| GAPS.at(sample * CLASSES + class);
        let first =
            (1..CLASSES - 1).fold(gap(0), |product, class| rows.product(product, gap(class)));
        rows.require(first, gap(CLASSES - 1), Sum::zero());
    }
}

/// Each probability times twice the sum, and how far its rest is below that.
fn divisions<F: PrimeField>(rows: &mut Rows<F>) -> Vec<Sum<F>> {
    let room = |index: usize| {
        let sum = exponential_sum::<F>(index / CLASSES);
        let (twice, rest) = (sum.clone().times(F::from(2_u64)), DIVISION_RESTS.two_bytes(index));
        let scale = F::from(1_u64 << (PROBABILITY_FRACTION_BITS + 1));
        let scaled = EXPONENTIAL.at(index).times(scale).plus(sum);
        let product = scaled.minus(rest.clone());
        rows.require(PROBABILITIES.two_bytes(index), twice.clone(), product);
        twice.minus(Sum::constant(1)).minus(rest)
    };
    (0..LOGITS).map(room).collect()
}

/// The summed gradient `h - 2 h u - rest` of each weight.
fn gradient<F: PrimeField>(rows: &mut Rows<F>) -> Vec<Sum<F>> {
    let half = || Sum::at(HALF_DIVISOR);
    let entry = |index: usize| {
        let product = rows.product(half().times(F::from(2_u64)), UPDATE.at(index));
        half().minus(product).minus(STEP_RESTS.two_bytes(index))
    };
    (0..WEIGHTS).map(entry).collect()
}

/// Everything that is made of bytes.
fn bytes<F: PrimeField>(
    rows: &mut Rows<F>,
    powers: &Powers<F>,
    division_rooms: Vec<Sum<F>>,
    gradient: &[Sum<F>],
) {
    let runs = [LARGEST, EXCESS, LOGIT_RESTS, PROBABILITIES, DIVISION_RESTS, DIVISION_ROOMS];
    let runs = runs.into_iter().chain([STEP_RESTS, STEP_ROOMS]);
    let mut looked: Vec<Sum<F>> = runs.flat_map(Run::wires).collect();
    let last = Sum::at(HALF_DIVISOR).times(F::from(2_u64)).minus(Sum::constant(1));
    let step_rooms =
        (0..gradient.len()).map(|index| last.clone().minus(STEP_RESTS.two_bytes(index)));
    let low = |(run, index): (Run, usize), room: Sum<F>| {
        room.minus(run.at(index).times(F::from(256_u64)))
    };
    looked.extend(
        division_rooms.into_iter().enumerate().map(|(it, room)| low((DIVISION_ROOMS, it), room)),
    );
    looked.extend(step_rooms.enumerate().map(|(it, room)| low((STEP_ROOMS, it), room)));
    let table = (0..BYTES as i64).map(Sum::constant).collect();
    lookup(rows, &powers.challenge, looked, table, BYTE_COUNTS);
}

/// Entries and inputs lie in -127..=127.
fn values<F: PrimeField>(rows: &mut Rows<F>, powers: &Powers<F>) {
    let most = i64::from(VALUE_MAX);
    let looked = UPDATE.wires().chain(SAMPLES.wires()).collect();
    let table = (-most..=most).map(Sum::constant).collect();
    lookup(rows, &powers.challenge, looked, table, VALUE_COUNTS);
}

/// Each gap and its exponential are a pair of the table.
fn exponential_pairs<F: PrimeField>(rows: &mut Rows<F>, powers: &Powers<F>) {
    let pair = |index: usize| {
        let product = rows.product(powers.challenge.clone(), EXPONENTIAL.at(index));
        GAPS.at(index).plus(product)
    };
    let looked = (0..LOGITS).map(pair).collect();
    let entry = |(gap, entry): (i64, i64)| {
        Sum::constant(gap).plus(powers.challenge.clone().times(F::from(entry)))
    };
    let table = (0..).zip(exponentials()).map(entry).collect();
    lookup(rows, &powers.second, looked, table, EXPONENTIAL_COUNTS);
}

/// `sum 1 / (point - looked) = sum count / (point - table)`.
fn lookup<F: PrimeField>(
    rows: &mut Rows<F>,
    point: &Sum<F>,
    looked: Vec<Sum<F>>,
    table: Vec<Sum<F>>,
    counts: Run,
) {
    let away = |value: Sum<F>| point.clone().minus(value);
    let looked = looked.into_iter().map(|value| (Sum::constant(1), away(value))).collect();
    let table = counts.wires().zip(table).map(|(count, value)| (count, away(value))).collect();
    let (looked, table) = (rows.quotients(looked), rows.quotients(table));
    rows.require_zero(Sum::all(looked).minus(Sum::all(table)));
}
