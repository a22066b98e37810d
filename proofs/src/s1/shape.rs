//! Shape: how many entries a circuit proves at once, and which bounds it can state about them.
//!
//! A chunk has up to 65,000 entries. A key is for one number of them, so there are three, and a chunk
//! takes the smallest it fits into; the places left are zero. Bounds are public inputs, so one key
//! serves every policy; a bound that a policy does not set is the largest there can be.

use ark_ff::PrimeField;
use longhaul_aggregation::CHUNK_ENTRIES_MAX;

use crate::cp::Layout;

/// Largest magnitude of an entry; -128 is no entry.
pub const VALUE_MAX: u8 = 127;
/// How many values an entry can have.
pub(super) const VALUES: usize = 2 * VALUE_MAX as usize + 1;

/// The number of entries that a circuit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(u32);

/// What a policy allows one chunk; `None` allows anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The most that the squares of the entries may add up to, in squares of the chunk's unit.
    pub squared_norm: Option<u64>,
    /// The most that the magnitudes of the entries may add up to, in the chunk's unit.
    pub absolute_sum: Option<u64>,
    /// The most entries that may differ from zero.
    pub nonzeros: Option<u32>,
    /// The most entries that may be zero.
    pub zeros: Option<u32>,
}

/// A quantity that a circuit compares with a bound, and in how many bits it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    pub(super) squares: usize,
    pub(super) magnitudes: usize,
    pub(super) entries: usize,
}

impl Shape {
    /// The shapes that federations use.
    pub const STANDARD: [Self; 3] = [Self(1_000), Self(7_800), Self(65_000)];

    /// A shape of another size, for tests: `None` for no entry or more than a chunk has.
    pub fn new(entries: usize) -> Option<Self> {
        let fits = (1..=CHUNK_ENTRIES_MAX).contains(&entries);
        u32::try_from(entries).ok().filter(|_| fits).map(Self)
    }

    /// The smallest standard shape that a chunk fits into; `None` if it is no chunk.
    pub fn fitting(entries: usize) -> Option<Self> {
        Self::new(entries)?;
        Self::STANDARD.into_iter().find(|shape| shape.entries() >= entries)
    }

    /// The number of entries.
    pub const fn entries(self) -> usize {
        self.0 as usize
    }

    const fn squared_norm_max(self) -> u64 {
        self.0 as u64 * (VALUE_MAX as u64).pow(2)
    }

    const fn absolute_sum_max(self) -> u64 {
        self.0 as u64 * VALUE_MAX as u64
    }

    pub(super) const fn widths(self) -> Widths {
        Widths {
            squares: bits(self.squared_norm_max()),
            magnitudes: bits(self.absolute_sum_max()),
            entries: bits(self.0 as u64),
        }
    }

    /// Four bounds; entries, histogram and norm; bits, and the inverses of table and entries.
    pub(super) fn layout(self) -> Layout {
        let blocks = vec![self.entries(), VALUES, 1];
        let free = self.widths().sum() + VALUES + self.entries();
        Layout { public: 4, blocks, showable: 1, free }
    }
}

const fn bits(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

impl Widths {
    /// Bits of the four comparisons: squares, magnitudes, and zeros from both sides.
    pub(super) const fn sum(self) -> usize {
        self.squares + self.magnitudes + 2 * self.entries
    }
}

impl Bounds {
    /// The public inputs: the largest squared norm and sum of magnitudes, the fewest and the most zeros.
    ///
    /// `entries` is the chunk's own number; the places that it leaves count as zeros.
    pub(super) fn public<F: PrimeField>(&self, shape: Shape, entries: usize) -> Vec<F> {
        let all = u64::from(shape.0);
        let padding = (shape.entries() - entries) as u64;
        let at_most = |bound: Option<u64>, most: u64| bound.unwrap_or(most).min(most);
        let nonzeros = at_most(self.nonzeros.map(u64::from), all);
        let zeros = at_most(self.zeros.map(|zeros| u64::from(zeros) + padding), all);
        [
            at_most(self.squared_norm, shape.squared_norm_max()),
            at_most(self.absolute_sum, shape.absolute_sum_max()),
            all - nonzeros,
            zeros,
        ]
        .map(F::from)
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    #[test]
    fn a_chunk_takes_the_smallest_shape_it_fits() {
        for (entries, shape) in [
            (0, None),
            (1, Some(1_000)),
            (1_000, Some(1_000)),
            (1_001, Some(7_800)),
            (65_000, Some(65_000)),
            (65_001, None),
        ] {
            assert_eq!(Shape::fitting(entries).map(Shape::entries), shape, "{entries}");
        }
    }

    #[test]
    fn bounds_become_public_inputs() {
        let shape = Shape(100);
        let none = Bounds::default().public::<Fr>(shape, 90);
        assert_eq!(none, [1_612_900, 12_700, 0, 100].map(Fr::from));
        let all = Bounds {
            squared_norm: Some(7),
            absolute_sum: Some(u64::MAX),
            nonzeros: Some(30),
            zeros: Some(60),
        };
        assert_eq!(all.public::<Fr>(shape, 90), [7, 12_700, 70, 70].map(Fr::from));
    }
}
