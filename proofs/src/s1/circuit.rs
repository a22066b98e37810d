//! Circuit: one constraint for each entry says that it lies in -127..=127; the rest is linear.
//!
//! A logarithmic-derivative lookup (Haböck, "Multivariate lookups based on logarithmic derivatives",
//! eprint 2022/1530): with `m_v` entries of value `v`,
//! `sum_i 1 / (X - u_i) = sum_v m_v / (X - v)` as rational functions in `X`. At a challenge `X` that is drawn after `u`
//! and `m` are committed to, equality there means equality everywhere but for a chance of
//! `(n + 255) / r`; then every `u_i` is in the table, and `m` is the histogram, as integers, since `n < r`.
//!
//! The entries' squares, magnitudes and zeros are sums over the histogram, so bounding them costs
//! their bits only: `bound - sum = sum of 2^k bit_k`. An inverse depends on its entry's value alone. It
//! stands in `A` and the entry in `B`, so that the G2 query meets values of eight bits.

use ark_ff::PrimeField;

use super::shape::{Shape, VALUE_MAX, VALUES};
use crate::cp::{Combination, R1cs, Wire};

/// Where the wires of a shape are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wires {
    shape: Shape,
    entries: usize,
    histogram: usize,
    norm: usize,
    bits: usize,
    table: usize,
    inverses: usize,
}

/// Public inputs after the constant and the challenge.
const SQUARED_NORM_MAX: usize = 2;
const ABSOLUTE_SUM_MAX: usize = 3;
const ZEROS_MIN: usize = 4;
const ZEROS_MAX: usize = 5;

impl Wires {
    pub(super) fn new(shape: Shape) -> Self {
        let layout = shape.layout();
        let bits = layout.free_start();
        let table = bits + shape.widths().sum();
        Self {
            shape,
            entries: layout.block_start(0),
            histogram: layout.block_start(1),
            norm: layout.block_start(2),
            bits,
            table,
            inverses: table + VALUES,
        }
    }

    fn histogram(self, value: i64) -> Wire {
        Wire::at(self.histogram + place(value))
    }

    /// `sum of weight(v) * m_v`.
    fn linear<F: PrimeField>(self, weight: impl Fn(i64) -> i64) -> Combination<F> {
        let weighted = values().map(|value| (self.histogram(value), F::from(weight(value))));
        weighted.filter(|(_, weight)| !weight.is_zero()).collect()
    }
}

/// The values of an entry, lowest first.
pub(super) fn values() -> impl Iterator<Item = i64> {
    -i64::from(VALUE_MAX)..=i64::from(VALUE_MAX)
}

/// The position of a value in the table.
pub(super) fn place(value: i64) -> usize {
    usize::try_from(value + i64::from(VALUE_MAX)).expect("a value is at least -127")
}

/// The constraints of a shape: one for each entry, and some 355 more.
pub fn circuit<F: PrimeField>(shape: Shape) -> R1cs<F> {
    let wires = Wires::new(shape);
    let mut system = R1cs::new(shape.layout());
    lookup(wires, &mut system);
    norm(wires, &mut system);
    bounds(wires, &mut system);
    system
}

fn one<F: PrimeField>(wire: usize) -> Combination<F> {
    vec![(Wire::at(wire), F::one())]
}

fn lookup<F: PrimeField>(wires: Wires, system: &mut R1cs<F>) {
    let constant = || vec![(Wire::ONE, F::one())];
    let without = |wire, factor| vec![(Wire::CHALLENGE, F::one()), (wire, factor)];
    let entries = wires.shape.entries();
    for entry in 0..entries {
        let difference = without(Wire::at(wires.entries + entry), -F::one());
        system.push(one(wires.inverses + entry), difference, constant());
    }
    for value in values() {
        let table = one(wires.table + place(value));
        let difference = without(Wire::ONE, -F::from(value));
        let difference = difference.into_iter().filter(|(_, factor)| !factor.is_zero()).collect();
        system.push(table, difference, vec![(wires.histogram(value), F::one())]);
    }
    let inverses = (0..entries).map(|entry| (Wire::at(wires.inverses + entry), F::one()));
    let table = (0..VALUES).map(|value| (Wire::at(wires.table + value), -F::one()));
    system.push(inverses.chain(table).collect(), constant(), Vec::new());
}

/// The norm's wire is the sum of squares.
fn norm<F: PrimeField>(wires: Wires, system: &mut R1cs<F>) {
    let squares = wires.linear(|value| value * value);
    system.push(squares, vec![(Wire::ONE, F::one())], one(wires.norm));
}

fn bounds<F: PrimeField>(wires: Wires, system: &mut R1cs<F>) {
    let widths = wires.shape.widths();
    let negative = |mut combination: Combination<F>| {
        combination.iter_mut().for_each(|(_, factor)| *factor = -*factor);
        combination
    };
    let zeros = || vec![(wires.histogram(0), F::one())];
    let magnitudes = wires.linear(|value| value.abs());
    let slacks = [
        (widths.squares, [one(SQUARED_NORM_MAX), negative(one(wires.norm))]),
        (widths.magnitudes, [one(ABSOLUTE_SUM_MAX), negative(magnitudes)]),
        (widths.entries, [zeros(), negative(one(ZEROS_MIN))]),
        (widths.entries, [one(ZEROS_MAX), negative(zeros())]),
    ];
    let mut bit = wires.bits;
    for (width, slack) in slacks {
        fits(bit, width, slack.concat(), system);
        bit += width;
    }
}

/// `slack` is the number that the `width` wires from `first` on write in binary.
fn fits<F: PrimeField>(first: usize, width: usize, slack: Combination<F>, system: &mut R1cs<F>) {
    let minus_one = (Wire::ONE, -F::one());
    for bit in first..first + width {
        system.push(one(bit), vec![(Wire::at(bit), F::one()), minus_one], Vec::new());
    }
    let weight = |bit: usize| F::from(1_u64 << bit);
    let number = (0..width).map(|bit| (Wire::at(first + bit), weight(bit))).collect();
    system.push(number, vec![(Wire::ONE, F::one())], slack);
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    #[test]
    fn constraint_counts_are_pinned() {
        let counts = Shape::STANDARD.map(|shape| {
            let system = circuit::<Fr>(shape);
            (system.rows(), system.size())
        });
        assert_eq!(counts, [(1_322, 1_328), (8_134, 8_140), (65_346, 65_352)]);
        assert!(circuit::<Fr>(Shape::STANDARD[2]).size() <= 65_536, "one transform of 2^16");
    }

    #[test]
    fn circuits_are_pinned_by_name() {
        let name = circuit::<Fr>(Shape::STANDARD[0]).id().hash().to_string();
        assert_eq!(name, "4da987a41b3a75b37dccd3418f387fd04b7e791d69ae054c908d790a9bb8a5b7");
    }
}
