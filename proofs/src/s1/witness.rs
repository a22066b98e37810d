//! Witness: the values of all wires for a chunk's entries and a challenge.

use std::fmt;

use ark_ff::{PrimeField, Zero};

use super::circuit::{place, values};
use super::shape::{Shape, VALUE_MAX, VALUES};

/// A chunk's entries, padded to a shape, with what follows from them.
#[derive(Clone)]
pub(super) struct Chunk {
    shape: Shape,
    entries: Vec<i8>,
    /// How often each value occurs, from -127 on.
    histogram: Vec<u64>,
}

/// Why entries are not a chunk of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// There is no entry, or more than the shape has.
    #[error("{found} entries do not fit a circuit for {shape}")]
    Length {
        /// The number of entries.
        found: usize,
        /// The most there may be.
        shape: usize,
    },
    /// An entry is -128, which no update contains.
    #[error("entry {0} is -128, the least is -127")]
    Value(usize),
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Chunk {
    pub(super) fn new(shape: Shape, entries: &[i8]) -> Result<Self, ChunkError> {
        let (found, most) = (entries.len(), shape.entries());
        if found == 0 || found > most {
            return Err(ChunkError::Length { found, shape: most });
        }
        if let Some(entry) = entries.iter().position(|&entry| entry == i8::MIN) {
            return Err(ChunkError::Value(entry));
        }
        let mut padded = entries.to_vec();
        padded.resize(most, 0);
        let mut histogram = vec![0; VALUES];
        padded.iter().for_each(|&entry| histogram[place(i64::from(entry))] += 1);
        Ok(Self { shape, entries: padded, histogram })
    }

    /// The sum of the squares.
    pub(super) fn squared_norm(&self) -> u64 {
        self.weighed(|value| value.unsigned_abs().pow(2))
    }

    fn weighed(&self, weight: impl Fn(i64) -> u64) -> u64 {
        values().zip(&self.histogram).map(|(value, count)| weight(value) * count).sum()
    }

    /// The three blocks: entries, histogram, norm.
    pub(super) fn blocks<F: PrimeField>(&self) -> [Vec<F>; 3] {
        let table: Vec<F> = values().map(F::from).collect();
        let entries = self.entries.iter().map(|&entry| table[place(i64::from(entry))]).collect();
        let histogram = self.histogram.iter().map(|&count| F::from(count)).collect();
        [entries, histogram, vec![F::from(self.squared_norm())]]
    }

    /// All wires; `None` if the challenge is a value of the table.
    ///
    /// A slack below zero has no bits; those of the wrapped number break a constraint.
    pub(super) fn witness<F: PrimeField>(&self, public: &[F], challenge: F) -> Option<Vec<F>> {
        let mut differences: Vec<F> = values().map(|value| challenge - F::from(value)).collect();
        if differences.iter().any(Zero::is_zero) {
            return None;
        }
        ark_ff::batch_inversion(&mut differences);
        let mut witness = vec![F::one(), challenge];
        witness.extend(public);
        witness.extend(self.blocks::<F>().concat());
        witness.extend(self.bits(public));
        let table = differences.iter().zip(&self.histogram);
        witness.extend(table.map(|(inverse, &count)| *inverse * F::from(count)));
        witness.extend(self.entries.iter().map(|&entry| differences[place(i64::from(entry))]));
        Some(witness)
    }

    fn bits<F: PrimeField>(&self, public: &[F]) -> Vec<F> {
        let widths = self.shape.widths();
        let magnitudes = self.weighed(i64::unsigned_abs);
        let zeros = F::from(self.histogram[usize::from(VALUE_MAX)]);
        let slacks = [
            (widths.squares, public[0] - F::from(self.squared_norm())),
            (widths.magnitudes, public[1] - F::from(magnitudes)),
            (widths.entries, zeros - public[2]),
            (widths.entries, public[3] - zeros),
        ];
        let bits = |(width, slack): (usize, F)| {
            let number = slack.into_bigint().as_ref()[0];
            (0..width).map(move |bit| F::from(number >> bit & 1))
        };
        slacks.into_iter().flat_map(bits).collect()
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use proptest::prelude::*;

    use super::*;
    use crate::cp::{R1cs, Unsatisfied};
    use crate::s1::circuit::circuit;
    use crate::s1::shape::Bounds;

    const SHAPE: usize = 24;

    fn system() -> (Shape, R1cs<Fr>) {
        let shape = Shape::new(SHAPE).unwrap();
        (shape, circuit(shape))
    }

    fn check(entries: &[i8], bounds: Bounds) -> Result<(), Unsatisfied> {
        let (shape, system) = system();
        let public = bounds.public::<Fr>(shape, entries.len());
        let chunk = Chunk::new(shape, entries).unwrap();
        system.check(&chunk.witness(&public, Fr::from(1_000_003)).unwrap())
    }

    #[test]
    fn bounds_hold_exactly_up_to_themselves() {
        let entries = [3, -4, 0, 0, 12];
        let bounds = |squared_norm, absolute_sum, nonzeros, zeros| Bounds {
            squared_norm: Some(squared_norm),
            absolute_sum: Some(absolute_sum),
            nonzeros: Some(nonzeros),
            zeros: Some(zeros),
        };
        assert_eq!(check(&entries, bounds(169, 19, 3, 2)), Ok(()));
        for broken in [
            bounds(168, 19, 3, 2),
            bounds(169, 18, 3, 2),
            bounds(169, 19, 2, 2),
            bounds(169, 19, 3, 1),
        ] {
            assert!(check(&entries, broken).is_err(), "{broken:?}");
        }
        assert_eq!(check(&[127; SHAPE], Bounds::default()), Ok(()));
        assert_eq!(check(&[0; SHAPE], Bounds::default()), Ok(()));
    }

    #[test]
    fn refuses_what_is_no_chunk() {
        let (shape, _) = system();
        let length = |found| ChunkError::Length { found, shape: SHAPE };
        assert_eq!(Chunk::new(shape, &[]).unwrap_err(), length(0));
        assert_eq!(Chunk::new(shape, &[0; SHAPE + 1]).unwrap_err(), length(SHAPE + 1));
        assert_eq!(Chunk::new(shape, &[0, -128]).unwrap_err(), ChunkError::Value(1));
    }

    #[test]
    fn a_challenge_in_the_table_has_no_witness() {
        let (shape, _) = system();
        let public = Bounds::default().public::<Fr>(shape, 1);
        let chunk = Chunk::new(shape, &[1]).unwrap();
        for value in [-127, 0, 127] {
            assert_eq!(chunk.witness(&public, Fr::from(value)), None);
        }
    }

    #[test]
    fn every_wire_is_pinned_by_a_constraint() {
        let (shape, system) = system();
        let entries: Vec<i8> = (0..20).map(|k| k * 6 - 50).collect();
        let public = Bounds { squared_norm: Some(40_000), ..Bounds::default() }.public(shape, 20);
        let witness =
            Chunk::new(shape, &entries).unwrap().witness(&public, Fr::from(77_777)).unwrap();
        assert_eq!(system.check(&witness), Ok(()));
        for wire in 0..witness.len() {
            for change in [Fr::from(1), -Fr::from(1), -witness[wire], Fr::from(1_u64 << 40)] {
                let mut changed = witness.clone();
                changed[wire] += change;
                assert!(change.is_zero() || system.check(&changed).is_err(), "wire {wire}");
            }
        }
    }

    #[test]
    fn an_entry_outside_of_the_table_has_no_witness() {
        let (shape, system) = system();
        let public = Bounds::default().public::<Fr>(shape, SHAPE);
        let chunk = Chunk::new(shape, &[5; SHAPE]).unwrap();
        let challenge = Fr::from(77_777);
        let mut witness = chunk.witness(&public, challenge).unwrap();
        let (layout, outside) = (shape.layout(), Fr::from(128));
        witness[layout.block_start(0)] = outside;
        let inverses = layout.wires() - SHAPE;
        witness[inverses] = ark_ff::Field::inverse(&(challenge - outside)).unwrap();
        assert!(system.check(&witness).is_err(), "the sums of inverses differ");
    }

    proptest! {
        #[test]
        fn every_chunk_has_a_witness(
            entries in prop::collection::vec(-127_i8..=127, 1..=SHAPE),
        ) {
            prop_assert_eq!(check(&entries, Bounds::default()), Ok(()));
        }
    }
}
