//! Hash: the batch is the leaf that the statement names, under the data set's root.
//!
//! A fifth power is three rows; the rest of Poseidon is linear. Of a node's children, given as hints, one is marked, and the
//! marks of all levels write the leaf's position in base eight.

use ark_ff::PrimeField;

use super::data::{ARITY, LEAF_ELEMENTS, LEVELS, leaf_domain, node_domain};
use super::layout::{LABELS, LEAF, ROOT, SAMPLES};
use super::poseidon::{Poseidon, RATE, State, WIDTH};
use super::rows::{Rows, Sum};
use super::sample::{ELEMENTS, places};
use super::scale::{BATCH, CLASSES};
use crate::cp::Wire;
use crate::s1::VALUE_MAX;

/// A state of sums.
type Sums<F> = [Sum<F>; WIDTH];

/// The batch, behind a salt, is in the data set at the leaf.
pub(super) fn membership<F: PrimeField>(rows: &mut Rows<F>, poseidon: &Poseidon<F>) {
    let salt = rows.hint();
    let elements: Vec<_> = [vec![salt], packed()].concat();
    assert_eq!(elements.len(), LEAF_ELEMENTS, "the leaf's domain says so");
    let mut node = sponge(rows, poseidon, leaf_domain(), &elements);
    let mut position = Sum::at(LEAF).times(-F::ONE);
    for level in 0..LEVELS {
        let children: Vec<_> = (0..ARITY).map(|_| rows.hint()).collect();
        let marks: Vec<_> = (0..ARITY).map(|_| rows.hint()).collect();
        for (mark, child) in marks.iter().zip(&children) {
            rows.require(mark.clone(), mark.clone().minus(Sum::constant(1)), Sum::zero());
            rows.require(child.clone().minus(node.clone()), mark.clone(), Sum::zero());
        }
        rows.require_zero(Sum::all(marks.iter().cloned()).minus(Sum::constant(1)));
        let digit = |(child, mark): (u64, &Sum<F>)| {
            mark.clone().times(F::from(child * (ARITY as u64).pow(level as u32)))
        };
        position = position.plus(Sum::all((0..).zip(&marks).map(digit)));
        node = sponge(rows, poseidon, node_domain(), &children);
    }
    rows.require_zero(position);
    rows.require_zero(node.minus(Sum::at(ROOT)));
}

/// The batch in few elements, as [`super::sample::Batch::elements`] packs it.
fn packed<F: PrimeField>() -> Vec<Sum<F>> {
    let inputs = SAMPLES.wires().map(|input| input.plus(Sum::constant(i64::from(VALUE_MAX))));
    let label = |sample: usize| {
        let class = |class: usize| LABELS.at(sample * CLASSES + class).times(F::from(class as u64));
        Sum::all((0..CLASSES).map(class))
    };
    let values = inputs.chain((0..BATCH).map(label));
    let mut terms = vec![Vec::new(); ELEMENTS];
    for (place, value) in places().zip(values) {
        terms[place.element].push(value.times(place.factor()));
    }
    terms.into_iter().map(Sum::all).collect()
}

/// The sponge's first output.
fn sponge<F: PrimeField>(
    rows: &mut Rows<F>,
    poseidon: &Poseidon<F>,
    domain: F,
    elements: &[Sum<F>],
) -> Sum<F> {
    let mut state: Sums<F> = std::array::from_fn(|_| Sum::zero());
    state[0] = Sum::wire(Wire::ONE).times(domain);
    for block in elements.chunks(RATE) {
        for (place, element) in state[1..].iter_mut().zip(block) {
            *place = std::mem::replace(place, Sum::zero()).plus(element.clone());
        }
        state = permute(rows, poseidon, state);
    }
    state[1].clone()
}

/// Three wires for each fifth power, in the order of [`Poseidon::permute_seen`].
fn permute<F: PrimeField>(
    rows: &mut Rows<F>,
    poseidon: &Poseidon<F>,
    mut state: Sums<F>,
) -> Sums<F> {
    if let Some(output) = permuted(rows, poseidon, &state) {
        return output;
    }
    for (round, constants) in poseidon.rounds() {
        for (element, constant) in state.iter_mut().zip(constants) {
            let constant = Sum::wire(Wire::ONE).times(*constant);
            *element = std::mem::replace(element, Sum::zero()).plus(constant);
        }
        for place in Poseidon::<F>::powers(round) {
            let element = state[place].clone();
            let square = rows.product(element.clone(), element.clone());
            let fourth = rows.product(square.clone(), square);
            state[place] = rows.product(fourth, element);
        }
        state = mix(poseidon, &state);
    }
    state
}

/// The same from values, where values are wanted: the sums in between are not needed then.
fn permuted<F: PrimeField>(
    rows: &mut Rows<F>,
    poseidon: &Poseidon<F>,
    state: &Sums<F>,
) -> Option<Sums<F>> {
    let mut count = 0;
    let first = rows.shortcut(|values| {
        let state: State<F> = state.each_ref().map(|sum| sum.value(values));
        let mut wires = Vec::new();
        poseidon.permute_seen(state, |element| {
            let fourth = element.square().square();
            wires.extend([element.square(), fourth, fourth * element]);
        });
        count = wires.len();
        wires
    })?;
    let last: Sums<F> =
        std::array::from_fn(|place| Sum::at(first + count - 3 * (WIDTH - place) + 2));
    Some(mix(poseidon, &last))
}

/// The matrix times the state.
fn mix<F: PrimeField>(poseidon: &Poseidon<F>, state: &Sums<F>) -> Sums<F> {
    let mut wires: Vec<Wire> =
        state.iter().flat_map(|sum| sum.terms().iter().map(|(wire, _)| *wire)).collect();
    wires.sort_unstable();
    wires.dedup();
    let column = |wire: &Wire| wires.binary_search(wire).expect("collected from all");
    poseidon.matrix().each_ref().map(|row| {
        let mut mixed = vec![F::ZERO; wires.len()];
        for (factor, sum) in row.iter().zip(state) {
            sum.terms().iter().for_each(|(wire, own)| mixed[column(wire)] += *own * factor);
        }
        Sum::of(wires.iter().copied().zip(mixed).collect())
    })
}
