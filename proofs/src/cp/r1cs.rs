//! R1CS: the constraints of a statement, `(A w)(B w) = C w` row by row, over a witness in parts.
//!
//! The witness is `1 | challenge | other public inputs | block 1 | .. | block k | free`. Blocks are what a
//! proof commits to before the challenge exists; the free part may depend on it. Matrices are kept row by row;
//! the layout is fixed before the first row, so that a wire outside of it cannot be named.

use ark_ff::PrimeField;
use longhaul_dtn::hash::ContentHash;

use super::key::CircuitId;

/// Most wires and most rows of a system, so that a position fits into four bytes with room to spare.
const SIZE_MAX: usize = 1 << 24;

/// How many wires each part of the witness has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Public inputs beside the constant and the challenge.
    pub public: usize,
    /// The committed blocks in order.
    pub blocks: Vec<usize>,
    /// How many of the last blocks a statement may show instead of hiding.
    pub showable: usize,
    /// Wires that nobody commits to.
    pub free: usize,
}

impl Layout {
    /// The constant one, the challenge and the other public inputs.
    pub const fn inputs(&self) -> usize {
        2 + self.public
    }

    /// Where the wires of block `block` begin.
    pub fn block_start(&self, block: usize) -> usize {
        self.inputs() + self.blocks[..block].iter().sum::<usize>()
    }

    /// Where the free wires begin.
    pub fn free_start(&self) -> usize {
        self.block_start(self.blocks.len())
    }

    /// All wires.
    pub fn wires(&self) -> usize {
        self.free_start() + self.free
    }
}

/// A position in the witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wire(u32);

impl Wire {
    /// The constant one.
    pub const ONE: Self = Self(0);
    /// The challenge.
    pub const CHALLENGE: Self = Self(1);

    /// The wire at `position`.
    ///
    /// # Panics
    /// If the position is beyond any system.
    pub fn at(position: usize) -> Self {
        assert!(position < SIZE_MAX, "a system has at most 2^24 wires");
        Self(u32::try_from(position).expect("checked above"))
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A linear combination of wires: each term once, in any order.
pub type Combination<F> = Vec<(Wire, F)>;

/// One matrix, row after row.
#[derive(Debug, Clone)]
pub(super) struct Matrix<F> {
    terms: Vec<(Wire, F)>,
    ends: Vec<usize>,
}

/// A system of constraints.
#[derive(Debug, Clone)]
pub struct R1cs<F> {
    layout: Layout,
    pub(super) a: Matrix<F>,
    pub(super) b: Matrix<F>,
    pub(super) c: Matrix<F>,
}

/// A row that a witness breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("constraint {row} of the circuit does not hold")]
pub struct Unsatisfied {
    /// The position of the first such row.
    pub row: usize,
}

impl<F: PrimeField> Matrix<F> {
    const fn new() -> Self {
        Self { terms: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, row: Combination<F>) {
        self.terms.extend(row);
        self.ends.push(self.terms.len());
    }

    /// The terms of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[(Wire, F)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.terms[start..end])
    }

    /// The value of each row.
    pub(super) fn times<'a>(&'a self, witness: &'a [F]) -> impl Iterator<Item = F> + 'a {
        self.rows().map(|row| {
            row.iter()
                .map(|(wire, factor)| {
                    let value = witness[wire.index()];
                    if factor.is_one() { value } else { value * factor }
                })
                .sum()
        })
    }
}

impl<F: PrimeField> R1cs<F> {
    /// A system without rows.
    ///
    /// # Panics
    /// If the layout has 2^24 wires or more, or shows more blocks than it has.
    pub fn new(layout: Layout) -> Self {
        assert!(layout.wires() < SIZE_MAX, "a system has at most 2^24 wires");
        assert!(layout.showable <= layout.blocks.len(), "only a block can be shown");
        Self { layout, a: Matrix::new(), b: Matrix::new(), c: Matrix::new() }
    }

    /// Adds the row `a * b = c`.
    ///
    /// # Panics
    /// If a wire is outside of the layout.
    pub fn push(&mut self, a: Combination<F>, b: Combination<F>, c: Combination<F>) {
        let wires = self.layout.wires();
        let inside = |side: &Combination<F>| side.iter().all(|(wire, _)| wire.index() < wires);
        assert!(inside(&a) && inside(&b) && inside(&c), "a row names wires of its layout");
        self.a.push(a);
        self.b.push(b);
        self.c.push(c);
    }

    /// The parts of the witness.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of constraints.
    pub fn rows(&self) -> usize {
        self.a.ends.len()
    }

    /// Constraints and inputs (the constant and the challenge included): what has to fit into the domain.
    pub fn size(&self) -> usize {
        self.rows() + self.layout.inputs()
    }

    /// The circuit's name: a hash of its layout and of every row (some 10 ms for 65,000 rows).
    pub fn id(&self) -> CircuitId {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs circuit v1");
        let layout = &self.layout;
        let counts =
            [layout.public, layout.blocks.len(), layout.showable, layout.free, self.rows()];
        for count in counts.into_iter().chain(layout.blocks.iter().copied()) {
            hasher.update(&(count as u64).to_be_bytes());
        }
        for row in [&self.a, &self.b, &self.c].into_iter().flat_map(Matrix::rows) {
            hasher.update(&(row.len() as u64).to_be_bytes());
            for (wire, factor) in row {
                hasher.update(&wire.0.to_be_bytes());
                factor.into_bigint().as_ref().iter().for_each(|limb| {
                    hasher.update(&limb.to_be_bytes());
                });
            }
        }
        CircuitId::new(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }

    /// Checks every row.
    ///
    /// # Errors
    /// The first row that does not hold.
    ///
    /// # Panics
    /// If the witness is not as long as the layout says.
    pub fn check(&self, witness: &[F]) -> Result<(), Unsatisfied> {
        assert_eq!(witness.len(), self.layout.wires(), "a value for each wire");
        let sides = self.a.times(witness).zip(self.b.times(witness)).zip(self.c.times(witness));
        match sides.enumerate().find(|(_, ((a, b), c))| *a * b != *c) {
            Some((row, _)) => Err(Unsatisfied { row }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;

    /// `challenge * block = free`.
    fn product() -> R1cs<Fr> {
        let mut system = R1cs::new(Layout { public: 0, blocks: vec![1], showable: 0, free: 1 });
        let one = Fr::from(1);
        system.push(
            vec![(Wire::CHALLENGE, one)],
            vec![(Wire::at(2), one)],
            vec![(Wire::at(3), one)],
        );
        system
    }

    #[test]
    fn parts_of_the_witness_follow_each_other() {
        let layout = Layout { public: 3, blocks: vec![4, 5], showable: 1, free: 6 };
        assert_eq!((layout.inputs(), layout.block_start(1)), (5, 9));
        assert_eq!((layout.free_start(), layout.wires()), (14, 20));
    }

    #[test]
    fn names_the_row_that_does_not_hold() {
        let system = product();
        assert_eq!(system.check(&[1, 2, 3, 6].map(Fr::from)), Ok(()));
        assert_eq!(system.check(&[1, 2, 3, 7].map(Fr::from)), Err(Unsatisfied { row: 0 }));
        assert_eq!((system.rows(), system.size()), (1, 3));
    }

    #[test]
    #[should_panic(expected = "wires of its layout")]
    fn refuses_a_wire_outside_of_the_layout() {
        product().push(vec![(Wire::at(4), Fr::from(1))], vec![], vec![]);
    }
}
