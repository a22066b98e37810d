//! Rows: a circuit that is written once and read twice, as constraints and as the witness that satisfies them.
//!
//! Every free wire is a product, a quotient or a hint, so whoever weaves the rows knows its value if it knows those
//! before. [`Rows::constraints`] collects the rows, [`Rows::witness`] computes the wires; since both run the same code, a wire
//! cannot mean one thing to the prover and another to the circuit.

use ark_ff::PrimeField;

use crate::cp::{Combination, Layout, R1cs, Wire};

/// A linear combination of wires, in the order of the wires, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum<F>(Combination<F>);

/// What the rows become.
pub(super) struct Rows<F> {
    out: Out<F>,
    /// The next free wire.
    next: usize,
}

enum Out<F> {
    Constraints(Vec<[Sum<F>; 3]>),
    /// All wires so far, the hints that are left, and whether a quotient had a divisor of zero.
    Witness {
        values: Vec<F>,
        hints: std::vec::IntoIter<F>,
        pole: bool,
    },
}

impl<F: PrimeField> Sum<F> {
    pub(super) const fn zero() -> Self {
        Self(Vec::new())
    }

    pub(super) fn constant(value: i64) -> Self {
        Self::wire(Wire::ONE).times(F::from(value))
    }

    pub(super) fn wire(wire: Wire) -> Self {
        Self(vec![(wire, F::ONE)])
    }

    pub(super) fn at(position: usize) -> Self {
        Self::wire(Wire::at(position))
    }

    /// The sum of terms in any order.
    pub(super) fn of(mut terms: Combination<F>) -> Self {
        terms.sort_by_key(|(wire, _)| *wire);
        let mut joined: Combination<F> = Vec::with_capacity(terms.len());
        for (wire, factor) in terms {
            match joined.last_mut() {
                Some((last, sum)) if *last == wire => *sum += factor,
                _ => joined.push((wire, factor)),
            }
        }
        joined.retain(|(_, factor)| !factor.is_zero());
        Self(joined)
    }

    /// The sum of many.
    pub(super) fn all(sums: impl IntoIterator<Item = Self>) -> Self {
        Self::of(sums.into_iter().flat_map(|sum| sum.0).collect())
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self::all([self, other])
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.times(-F::ONE))
    }

    pub(super) fn times(mut self, factor: F) -> Self {
        self.0.iter_mut().for_each(|(_, own)| *own *= factor);
        self.0.retain(|(_, own)| !own.is_zero());
        self
    }

    /// The terms.
    pub(super) fn terms(&self) -> &[(Wire, F)] {
        &self.0
    }

    pub(super) fn value(&self, values: &[F]) -> F {
        self.0.iter().map(|(wire, factor)| values[wire.index()] * factor).sum()
    }
}

impl<F: PrimeField> Rows<F> {
    /// To collect constraints.
    pub(super) fn constraints(layout: &Layout) -> Self {
        Self { out: Out::Constraints(Vec::new()), next: layout.free_start() }
    }

    /// To compute the free wires from inputs, blocks and hints.
    pub(super) fn witness(values: Vec<F>, hints: Vec<F>) -> Self {
        let next = values.len();
        Self { out: Out::Witness { values, hints: hints.into_iter(), pole: false }, next }
    }

    /// The row `a * b = c`.
    pub(super) fn require(&mut self, a: Sum<F>, b: Sum<F>, c: Sum<F>) {
        if let Out::Constraints(rows) = &mut self.out {
            rows.push([a, b, c]);
        }
    }

    /// The row `sum = 0`.
    pub(super) fn require_zero(&mut self, sum: Sum<F>) {
        self.require(sum, Sum::wire(Wire::ONE), Sum::zero());
    }

    /// A free wire, with its value.
    fn push(&mut self, value: impl FnOnce(&[F]) -> F) -> Sum<F> {
        if let Out::Witness { values, .. } = &mut self.out {
            values.push(value(values));
        }
        self.next += 1;
        Sum::at(self.next - 1)
    }

    /// `a * b`.
    pub(super) fn product(&mut self, a: Sum<F>, b: Sum<F>) -> Sum<F> {
        let wire = self.push(|values| a.value(values) * b.value(values));
        self.require(a, b, wire.clone());
        wire
    }

    /// `numerator / divisor` of each pair; the quotient stands in `A`, the divisor in `B`.
    pub(super) fn quotients(&mut self, pairs: Vec<(Sum<F>, Sum<F>)>) -> Vec<Sum<F>> {
        let first = self.next;
        if let Out::Witness { values, pole, .. } = &mut self.out {
            let mut inverses: Vec<F> = pairs.iter().map(|(_, it)| it.value(values)).collect();
            *pole |= inverses.iter().any(F::is_zero);
            ark_ff::batch_inversion(&mut inverses);
            let quotients =
                pairs.iter().zip(inverses).map(|((it, _), inverse)| inverse * it.value(values));
            let quotients: Vec<F> = quotients.collect();
            values.extend(quotients);
        }
        self.next += pairs.len();
        let wires: Vec<_> = (first..self.next).map(Sum::at).collect();
        for ((numerator, divisor), wire) in pairs.into_iter().zip(&wires) {
            self.require(wire.clone(), divisor, numerator);
        }
        wires
    }

    /// A wire that the prover chooses.
    pub(super) fn hint(&mut self) -> Sum<F> {
        let hint = match &mut self.out {
            Out::Constraints(_) => F::ZERO,
            Out::Witness { hints, .. } => {
                hints.next().expect("a hint for each wire that takes one")
            }
        };
        self.push(|_| hint)
    }

    /// Wires that another way computes faster than these rows: their values, if values are wanted.
    ///
    /// It has to push what the rows would have pushed.
    pub(super) fn shortcut(&mut self, compute: impl FnOnce(&[F]) -> Vec<F>) -> Option<usize> {
        let Out::Witness { values, .. } = &mut self.out else { return None };
        let more = compute(values);
        let first = self.next;
        self.next += more.len();
        values.extend(more);
        Some(first)
    }

    /// `terms[0] + terms[1] x + ..`.
    pub(super) fn horner(&mut self, terms: Vec<Sum<F>>, x: &Sum<F>) -> Sum<F> {
        let mut terms = terms.into_iter().rev();
        let highest = terms.next().unwrap_or_else(Sum::zero);
        terms.fold(highest, |sum, term| self.product(sum, x.clone()).plus(term))
    }

    /// The constraints, with a layout that has as many free wires as they need.
    pub(super) fn into_system(self, layout: Layout) -> R1cs<F> {
        let free = self.next - layout.free_start();
        let mut system = R1cs::new(Layout { free, ..layout });
        let Out::Constraints(rows) = self.out else { return system };
        rows.into_iter().for_each(|[a, b, c]| system.push(a.0, b.0, c.0));
        system
    }

    /// The constraints one by one, for tests that look at single wires.
    #[cfg(test)]
    pub(super) fn into_constraints(self) -> Vec<[Sum<F>; 3]> {
        match self.out {
            Out::Constraints(rows) => rows,
            Out::Witness { .. } => Vec::new(),
        }
    }

    /// The witness; `None` if a divisor was zero.
    pub(super) fn into_witness(self) -> Option<Vec<F>> {
        match self.out {
            Out::Witness { values, pole: false, .. } => Some(values),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    fn weave(rows: &mut Rows<Fr>) {
        let (challenge, block) = (Sum::wire(Wire::CHALLENGE), Sum::at(2));
        let value = rows.horner(vec![block.clone(), Sum::constant(3), block.clone()], &challenge);
        let hint = rows.hint();
        rows.quotients(vec![(value, hint.clone()), (Sum::constant(1), block)]);
        rows.product(hint.clone(), hint);
    }

    #[test]
    fn rows_and_witness_agree() {
        let layout = Layout { public: 0, blocks: vec![1], showable: 0, free: 0 };
        let mut rows = Rows::constraints(&layout);
        weave(&mut rows);
        let system = rows.into_system(layout);
        let mut rows = Rows::witness([1, 10, 7].map(Fr::from).to_vec(), vec![Fr::from(5)]);
        weave(&mut rows);
        let witness = rows.into_witness().unwrap();
        assert_eq!((system.check(&witness), system.rows()), (Ok(()), 5));
        assert_eq!(witness[5], Fr::from(5));
    }

    #[test]
    fn a_divisor_of_zero_has_no_witness() {
        let mut rows = Rows::witness([1, 10, 7].map(Fr::from).to_vec(), vec![Fr::from(0)]);
        weave(&mut rows);
        assert_eq!(rows.into_witness(), None);
    }

    #[test]
    fn sums_name_a_wire_once() {
        let sum = Sum::<Fr>::at(3).plus(Sum::at(2)).plus(Sum::at(3)).minus(Sum::at(2));
        assert_eq!(sum, Sum::at(3).times(Fr::from(2)));
        assert_eq!(sum.clone().minus(sum), Sum::zero());
    }
}
