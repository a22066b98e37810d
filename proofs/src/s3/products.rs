//! Products: `x W` and `x^T (p - onehot(y))`, checked and not computed.
//!
//! Freivalds' method: for committed `A`, `B` and `C`, `r A B s = r C s` with `r` and `s` powers of a challenge that is drawn
//! afterwards says that `A B = C`, but for a chance of the number of entries over the order of the field. Its cost is an entry
//! of `A` times an element of `r` each; here entries are joined first, which costs nothing.
//!
//! Entries are small integers, so `x_1 + 2^40 x_2 + ..` has room for the products of several rows of `x` side by side:
//! six samples for the logits (products and claimed logits are less than 2^37 apart), eight inputs for the gradient (2^29 apart, 2^30 each).
//! If two such sums are equal in the field they are equal as integers, as they are below 2^240, and then so are their digits. So `A` has 6 and
//! 8 rows instead of 32 and 64.

use ark_ff::PrimeField;

use super::circuit::Powers;
use super::layout::{BASE, LABELS, PROBABILITIES, SAMPLES, logit};
use super::rows::{Rows, Sum};
use super::scale::{BATCH, CLASSES, INPUTS, PROBABILITY_FRACTION_BITS};

/// Samples whose logits are checked together, and the bits of each.
const SAMPLES_JOINED: Joined = Joined { count: 6, bits: 40, all: BATCH };
/// Inputs whose gradients are checked together, and the bits of each.
const INPUTS_JOINED: Joined = Joined { count: 8, bits: 30, all: INPUTS };

/// Rows that are added up, each shifted by more bits than the one before.
#[derive(Debug, Clone, Copy)]
struct Joined {
    count: usize,
    bits: u64,
    all: usize,
}

impl Joined {
    const fn groups(self) -> usize {
        self.all.div_ceil(self.count)
    }

    /// One group's sum.
    fn sum<F: PrimeField>(self, group: usize, value: impl Fn(usize) -> Sum<F>) -> Sum<F> {
        let first = group * self.count;
        let rows = first..self.all.min(first + self.count);
        let factor = |row: usize| F::from(2_u64).pow([self.bits * (row - first) as u64]);
        Sum::all(rows.map(|row| value(row).times(factor(row))))
    }

    /// The groups' sums.
    fn sums<F: PrimeField>(self, value: impl Fn(usize) -> Sum<F>) -> Vec<Sum<F>> {
        (0..self.groups()).map(|group| self.sum(group, &value)).collect()
    }

    /// The sums of each group and class, group by group.
    fn by_class<F: PrimeField>(self, value: impl Fn(usize, usize) -> Sum<F>) -> Vec<Sum<F>> {
        let class = |group, class| self.sum(group, |row| value(row, class));
        (0..self.groups())
            .flat_map(|group| (0..CLASSES).map(move |it| (group, it)))
            .map(|(group, it)| class(group, it))
            .collect()
    }
}

fn input<F: PrimeField>(sample: usize, input: usize) -> Sum<F> {
    SAMPLES.at(sample * INPUTS + input)
}

/// The logits before rounding are `x W`.
pub(super) fn forward<F: PrimeField>(rows: &mut Rows<F>, powers: &Powers<F>) {
    let logits = rows.horner(SAMPLES_JOINED.by_class(logit), &powers.challenge);
    let mut products = Vec::with_capacity(INPUTS);
    for k in 0..INPUTS {
        let samples = rows.horner(SAMPLES_JOINED.sums(|sample| input(sample, k)), &powers.classes);
        let weights = (0..CLASSES).map(|class| BASE.at(k * CLASSES + class)).collect();
        let weights = rows.horner(weights, &powers.challenge);
        products.push(rows.product(samples, weights));
    }
    rows.require_zero(Sum::all(products).minus(logits));
}

/// The summed gradient is `x^T (p - onehot(y))`.
pub(super) fn backward<F: PrimeField>(rows: &mut Rows<F>, powers: &Powers<F>, gradient: &[Sum<F>]) {
    let entry = |k: usize, class: usize| gradient[k * CLASSES + class].clone();
    let gradient = rows.horner(INPUTS_JOINED.by_class(entry), &powers.challenge);
    let mut products = Vec::with_capacity(BATCH);
    for sample in 0..BATCH {
        let inputs = rows.horner(INPUTS_JOINED.sums(|k| input(sample, k)), &powers.classes);
        let error = |class: usize| {
            let index = sample * CLASSES + class;
            let one = F::from(1_u64 << PROBABILITY_FRACTION_BITS);
            PROBABILITIES.two_bytes(index).minus(LABELS.at(index).times(one))
        };
        let errors = rows.horner((0..CLASSES).map(error).collect(), &powers.challenge);
        products.push(rows.product(inputs, errors));
    }
    rows.require_zero(Sum::all(products).minus(gradient));
}
