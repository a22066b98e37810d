//! Sample: what a head is trained on, in fixed point, and the batch that is one leaf of a data set.
//!
//! A batch always has [`BATCH`] samples, as the circuit does. Samples are private: printing them shows nothing.

use std::fmt;

use ark_ff::PrimeField;

use super::scale::{BATCH, CLASSES, INPUTS};
use crate::s1::VALUE_MAX;

/// Inputs of eight bits in one field element: 248 bits, fewer than the order of either curve has.
pub(super) const PACKED: usize = 31;
/// Bits of a label.
const LABEL_BITS: usize = 4;
/// Field elements of a batch, the last with the inputs that are left and all labels.
pub(super) const ELEMENTS: usize = (BATCH * INPUTS).div_ceil(PACKED);

/// A class.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label(u8);

/// The inputs of one sample, and its class.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample {
    inputs: [i8; INPUTS],
    label: Label,
}

/// As many samples as a step takes.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch(Vec<Sample>);

/// Why values are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// An input is -128; holds its position.
    #[error("input {0} is -128, the least is -127")]
    Input(usize),
    /// There are more or fewer samples than a step takes.
    #[error("{0} samples, a batch has {BATCH}")]
    Batch(usize),
}

impl Label {
    /// `None` if there is no such class.
    pub fn new(class: u8) -> Option<Self> {
        (usize::from(class) < CLASSES).then_some(Self(class))
    }

    /// The class.
    pub fn class(self) -> usize {
        usize::from(self.0)
    }
}

impl Sample {
    /// Takes inputs in units of 1/32.
    ///
    /// # Errors
    /// An input of -128, whose negative is no int8.
    pub fn new(inputs: [i8; INPUTS], label: Label) -> Result<Self, SampleError> {
        match inputs.iter().position(|&input| input == i8::MIN) {
            Some(position) => Err(SampleError::Input(position)),
            None => Ok(Self { inputs, label }),
        }
    }

    /// The inputs.
    pub const fn inputs(&self) -> &[i8; INPUTS] {
        &self.inputs
    }

    /// The class.
    pub const fn label(&self) -> Label {
        self.label
    }
}

impl Batch {
    /// Takes as many samples as a step has.
    ///
    /// # Errors
    /// [`SampleError::Batch`].
    pub fn new(samples: Vec<Sample>) -> Result<Self, SampleError> {
        if samples.len() == BATCH {
            Ok(Self(samples))
        } else {
            Err(SampleError::Batch(samples.len()))
        }
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// The field elements that are hashed: inputs plus 127 in eight bits each, then labels in four.
    pub(super) fn elements<F: PrimeField>(&self) -> Vec<F> {
        let inputs = self.0.iter().flat_map(|sample| sample.inputs);
        let inputs = inputs.map(|input| F::from(i16::from(input) + i16::from(VALUE_MAX)));
        let labels = self.0.iter().map(|sample| F::from(sample.label.0));
        let mut elements = vec![F::ZERO; ELEMENTS];
        for (place, value) in places().zip(inputs.chain(labels)) {
            elements[place.element] += value * place.factor::<F>();
        }
        elements
    }
}

/// Where a value stands in the packed elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) element: usize,
    shift: usize,
}

impl Place {
    /// What the value counts in its element.
    pub(super) fn factor<F: PrimeField>(self) -> F {
        F::from(2_u64).pow([self.shift as u64])
    }
}

/// The places of all inputs, then of all labels.
pub(super) fn places() -> impl Iterator<Item = Place> {
    let inputs = (0..BATCH * INPUTS)
        .map(|input| Place { element: input / PACKED, shift: 8 * (input % PACKED) });
    let first = 8 * (BATCH * INPUTS % PACKED);
    let labels = (0..BATCH)
        .map(move |label| Place { element: ELEMENTS - 1, shift: first + LABEL_BITS * label });
    inputs.chain(labels)
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(..)")
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sample(..)")
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batch(..)")
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    fn batch(change: impl Fn(usize, &mut [i8; INPUTS], &mut u8)) -> Batch {
        let sample = |index: usize| {
            let (mut inputs, mut class) = ([0; INPUTS], 0);
            change(index, &mut inputs, &mut class);
            Sample::new(inputs, Label::new(class).unwrap()).unwrap()
        };
        Batch::new((0..BATCH).map(sample).collect()).unwrap()
    }

    #[test]
    fn every_value_has_bits_of_its_own() {
        let mut used = vec![[false; 256]; ELEMENTS];
        for (index, place) in places().enumerate() {
            let width = if index < BATCH * INPUTS { 8 } else { LABEL_BITS };
            assert!(place.shift + width <= 253, "value {index} at bit {}", place.shift);
            for bit in &mut used[place.element][place.shift..place.shift + width] {
                assert!(!std::mem::replace(bit, true), "value {index}");
            }
        }
    }

    #[test]
    fn different_batches_have_different_elements() {
        let base = batch(|_, _, _| ()).elements::<Fr>();
        let last = batch(|index, inputs, _| inputs[63] = i8::from(index == 31)).elements::<Fr>();
        let label = batch(|index, _, class| *class = u8::from(index == 31)).elements::<Fr>();
        assert!(base != last && base != label && last != label);
        assert_eq!(base[..ELEMENTS - 1], last[..ELEMENTS - 1]);
    }

    #[test]
    fn refuses_what_is_no_batch() {
        let label = Label::new(9).unwrap();
        let mut inputs = [0; INPUTS];
        inputs[5] = -128;
        assert_eq!(Sample::new(inputs, label), Err(SampleError::Input(5)));
        let sample = Sample::new([1; INPUTS], label).unwrap();
        assert_eq!(Batch::new(vec![sample.clone(); 31]), Err(SampleError::Batch(31)));
        assert_eq!(Label::new(10), None);
        let batch = Batch::new(vec![sample; BATCH]).unwrap();
        assert_eq!(format!("{batch:?} {:?}", batch.samples()[0]), "Batch(..) Sample(..)");
    }
}
