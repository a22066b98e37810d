//! Witness: the blocks of a step, and all wires once there is a challenge.

use std::fmt;

use ark_ff::PrimeField;

use super::circuit::weave;
use super::data::{ARITY, LEVELS, Member};
use super::layout::{BASE, BYTES, SAMPLES, VALUES};
use super::poseidon::Poseidon;
use super::rows::Rows;
use super::sample::Batch;
use super::scale::{CLASSES, EXPONENTIALS, LOGIT_OFFSET};
use super::step::{Base, HalfDivisor, Trace};
use crate::s1::VALUE_MAX;

/// What is proven about: a step's numbers, with what its batch and its place in the data set are.
pub(super) struct Step<'a, F: PrimeField> {
    pub(super) trace: Trace,
    pub(super) base: &'a Base,
    pub(super) batch: &'a Batch,
    pub(super) member: &'a Member<F>,
    pub(super) half: HalfDivisor,
}

/// The numbers that are made of two bytes, and those of which only the high byte is a wire.
struct Numbers {
    largest: Vec<i64>,
    division_rooms: Vec<i64>,
    step_rooms: Vec<i64>,
}

impl<F: PrimeField> fmt::Debug for Step<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step(..)")
    }
}

const fn low(number: i64) -> i64 {
    number.rem_euclid(BYTES as i64)
}

const fn high(number: i64) -> i64 {
    number.div_euclid(BYTES as i64)
}

fn two_bytes(numbers: &[i64]) -> Vec<i64> {
    numbers.iter().flat_map(|&number| [low(number), high(number)]).collect()
}

fn highs(numbers: &[i64]) -> Vec<i64> {
    numbers.iter().copied().map(high).collect()
}

/// How often each of `len` values from `first` on occurs; others are not counted.
fn counts(values: impl Iterator<Item = i64>, first: i64, len: usize) -> Vec<i64> {
    let mut counts = vec![0; len];
    for value in values {
        let place = usize::try_from(value - first).ok();
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}

impl<F: PrimeField> Step<'_, F> {
    /// The update, everything else that is looked up, the base.
    pub(super) fn blocks(&self) -> [Vec<F>; 3] {
        let field = |values: Vec<i64>| values.into_iter().map(F::from).collect();
        let base = self.base.weights().iter().map(|&weight| F::from(weight)).collect();
        let work: Vec<F> = field(self.work());
        assert_eq!(work.len(), BASE.start() - SAMPLES.start(), "the runs of the layout");
        [field(self.trace.update.clone()), work, base]
    }

    fn numbers(&self) -> Numbers {
        let trace = &self.trace;
        let sums = trace.exponentials.chunks(CLASSES);
        let sums = sums.flat_map(|row| [row.iter().sum::<i64>(); CLASSES]);
        let room = |(sum, rest): (i64, &i64)| 2 * sum - 1 - rest;
        let last = 2 * self.half.get() - 1;
        Numbers {
            largest: trace.largest.iter().map(|logit| logit + LOGIT_OFFSET).collect(),
            division_rooms: sums.zip(&trace.division_rests).map(room).collect(),
            step_rooms: trace.step_rests.iter().map(|rest| last - rest).collect(),
        }
    }

    /// Block 1, in the order of the layout's runs.
    fn work(&self) -> Vec<i64> {
        let (trace, numbers) = (&self.trace, self.numbers());
        let samples = self.batch.samples();
        let inputs: Vec<i64> =
            samples.iter().flat_map(|it| it.inputs()).map(|&it| i64::from(it)).collect();
        let mark = |class: usize| move |it: usize| i64::from(it == class);
        let labels = samples.iter().flat_map(|it| (0..CLASSES).map(mark(it.label().class())));
        let most = i64::from(VALUE_MAX);
        let values = counts(trace.update.iter().chain(&inputs).copied(), -most, VALUES);
        let exponentials = counts(trace.gaps.iter().copied(), 0, EXPONENTIALS);
        [
            inputs,
            labels.collect(),
            two_bytes(&numbers.largest),
            trace.gaps.clone(),
            two_bytes(&trace.excess),
            two_bytes(&trace.logit_rests),
            trace.exponentials.clone(),
            two_bytes(&trace.probabilities),
            two_bytes(&trace.division_rests),
            highs(&numbers.division_rooms),
            two_bytes(&trace.step_rests),
            highs(&numbers.step_rooms),
            values,
            self.byte_counts(&numbers),
            exponentials,
        ]
        .concat()
    }

    fn byte_counts(&self, numbers: &Numbers) -> Vec<i64> {
        let trace = &self.trace;
        let all = [
            &numbers.largest,
            &trace.excess,
            &trace.logit_rests,
            &trace.probabilities,
            &trace.division_rests,
            &numbers.division_rooms,
            &trace.step_rests,
            &numbers.step_rooms,
        ];
        counts(all.into_iter().flat_map(|numbers| two_bytes(numbers)), 0, BYTES)
    }

    /// All wires; `None` if the challenge is a value of a table.
    pub(super) fn witness(
        &self,
        poseidon: &Poseidon<F>,
        public: &[F],
        challenge: F,
    ) -> Option<Vec<F>> {
        let values = [vec![F::ONE, challenge], public.to_vec(), self.blocks().concat()].concat();
        let mut rows = Rows::witness(values, self.hints());
        weave(&mut rows, poseidon);
        rows.into_witness()
    }

    /// The salt; children and marks of each level.
    fn hints(&self) -> Vec<F> {
        let mut hints = vec![*self.member.salt.reveal()];
        for level in 0..LEVELS {
            let child = self.member.leaf.child(level);
            hints.extend(self.member.children[level]);
            hints.extend((0..ARITY).map(|it| F::from(it == child)));
        }
        hints
    }
}
