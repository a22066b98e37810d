//! Gram matrix in exact integers: the dot products of all pairs of vectors.
//!
//! A chunk's dot product of quantised values is at most 65,000 * 127^2 < 2^31; it is shifted
//! by the two exponents (48 bits at most) into 128 bits, where at most 2^26 entries of 2^62 and
//! weights of 2^32 sum to less than 2^122. The matrix takes n^2 / 2 products per entry: most of
//! the work of a term, done by the float kernel, which is exact on such small numbers.

use pulp::Arch;

use super::clip::WEIGHT_ONE;
use super::vector::{Block, Row, Vector, Weighted, for_each_block, for_each_chunk, window};
use crate::robust;
use crate::schema::CHUNK_ENTRIES_MAX;
use crate::update::VALUE_MAX;

/// Entries of all vectors that a step of the matrix takes: they stay in the second-level cache, and
/// are little memory beside the vectors.
const TILE: usize = 1 << 16;
/// Most entries of each vector that a step takes.
const BLOCK_MAX: usize = 2048;

const _: () = assert!(
    BLOCK_MAX * (VALUE_MAX as usize).pow(2) < i32::MAX as usize,
    "what the kernel sums before it widens fits its integers"
);
const _: () = assert!(
    CHUNK_ENTRIES_MAX * (VALUE_MAX as usize).pow(2) <= i32::MAX as usize,
    "a chunk's dot product is exact in double precision, and so are its parts"
);

/// The dot products of all pairs of vectors without their weights.
#[derive(Debug)]
pub(super) struct Gram {
    count: usize,
    /// Row by row, in units of 2^-48; only columns behind the row are filled.
    products: Vec<i128>,
}

impl Gram {
    /// The products of `vectors`.
    pub fn of(vectors: &[Weighted<'_>]) -> Self {
        let count = vectors.len();
        let mut gram = Self { count, products: vec![0; count * count] };
        let quantised = vectors.iter().all(|it| matches!(it.vector, Vector::Update(_)));
        if quantised {
            gram.add_quantised(vectors)
        } else {
            gram.add_units(vectors)
        }
        gram
    }

    /// The dot product of two weighted vectors in units of 2^-80.
    fn product(&self, vectors: &[Weighted<'_>], one: usize, other: usize) -> i128 {
        let weights = i128::from(vectors[one].weight) * i128::from(vectors[other].weight);
        let product = match one == other {
            true => i128::try_from(vectors[one].vector.squared_norm())
                .expect("a squared norm is below 2^88"),
            false => self.products[one.min(other) * self.count + one.max(other)],
        };
        weights * product
    }

    /// The squared distance of two weighted vectors in units of 2^-80.
    pub fn squared_distance(&self, vectors: &[Weighted<'_>], one: usize, other: usize) -> i128 {
        let product = |one: usize, other: usize| self.product(vectors, one, other);
        product(one, one) + product(other, other) - 2 * product(one, other)
    }

    /// The matrix of the weighted vectors in double precision; each entry is rounded once,
    /// to the nearest, so that it is the same on every machine.
    pub fn in_floats(&self, vectors: &[Weighted<'_>]) -> robust::Gram {
        // Units of 2^-80: a power of two, so that the product with it is exact.
        let unit = 1.0 / (1_u128 << 48) as f64 / (WEIGHT_ONE as f64 * WEIGHT_ONE as f64);
        let entry = |one: usize, other: usize| self.product(vectors, one, other) as f64 * unit;
        let row = |one: usize| (0..=one).map(|other| entry(one, other)).collect();
        robust::Gram::from_rows(&(0..self.count).map(row).collect::<Vec<_>>())
    }

    /// Adds up products of quantised values, chunk by chunk.
    ///
    /// The products of values are summed in integers of 32 bits, and those of blocks in floats,
    /// whose significand holds the sum of a chunk.
    fn add_quantised(&mut self, vectors: &[Weighted<'_>]) {
        let each = window(TILE, self.count, BLOCK_MAX);
        let mut tile = vec![0_i16; self.count * each];
        let arch = Arch::new();
        let plain: Vec<_> = vectors.iter().map(|it| Weighted { weight: 1, ..*it }).collect();
        for_each_chunk(&plain, |rows, range| {
            let rows: Vec<(&[u8], i64)> = rows.iter().map(bytes).collect();
            let mut sums = vec![0.0_f64; self.count * self.count];
            for from in (0..range.len()).step_by(each) {
                let len = each.min(range.len() - from);
                for (entries, (bytes, _)) in tile.chunks_exact_mut(each).zip(&rows) {
                    arch.dispatch(
                        #[inline(always)]
                        || {
                            let entries = entries.iter_mut().zip(&bytes[from..from + len]);
                            entries.for_each(|(entry, &byte)| *entry = byte.cast_signed().into());
                        },
                    );
                }
                let entries = tile.chunks_exact(each).map(|it| &it[..len]).collect();
                let vectors = robust::Vectors::sound_rows(entries, len);
                let products = robust::products(&vectors, &[], 0);
                sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
            for (place, (sum, &product)) in self.products.iter_mut().zip(&sums).enumerate() {
                let factor = rows[place / self.count].1 * rows[place % self.count].1;
                *sum += i128::from(product as i64) * i128::from(factor);
            }
        });
    }

    /// Adds up products of entries in units, block by block.
    fn add_units(&mut self, vectors: &[Weighted<'_>]) {
        let plain: Vec<_> = vectors.iter().map(|it| Weighted { weight: 1, ..*it }).collect();
        let mut block = Block::new(self.count);
        for_each_block(&plain, |rows, from, range| {
            block.fill(rows, from, range.len());
            for one in 0..self.count {
                for other in one + 1..self.count {
                    let pairs = block.row(one).iter().zip(block.row(other));
                    // Below 2^62 each: entries are below 2^31.
                    let product: i128 = pairs.map(|(&a, &b)| i128::from(a * b)).sum();
                    self.products[one * self.count + other] += product;
                }
            }
        });
    }
}

/// The values of a quantised row and their power of two.
fn bytes<'a>(row: &Row<'a>) -> (&'a [u8], i64) {
    match *row {
        Row::Bytes(bytes, factor) => (bytes, factor),
        Row::Units(..) => unreachable!("only updates are read as bytes"),
    }
}
