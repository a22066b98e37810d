//! Nearest-neighbour mixing: each vector is replaced by the mean of its nearest
//! ones before the rule (Allouah et al., "Fixing by Mixing", AISTATS 2023,
//! arXiv 2302.01772), so that an attacker's vector cannot stay outside the crowd
//! and an honest one is not outside it for its data's sake.
//!
//! With n vectors and f attackers, the neighbours of a vector are itself and the
//! n - f - 1 others at the smallest squared Euclidean distance, of equally distant
//! ones those of the smaller position (the smaller member index). Neighbours are
//! added up, not averaged: every mixed vector is the exact sum of n - f weighted
//! ones, and the rule divides once.
//!
//! # Exactness and cost
//!
//! Distances come from the Gram matrix. A chunk's dot product of quantised values
//! is at most 65,000 * 127^2 < 2^31; it is shifted by the two exponents (48 bits
//! at most) into 128 bits, where at most 2^26 entries of 2^62 and weights of 2^32
//! sum to less than 2^122. The matrix takes n^2 / 2 products per entry, which the
//! compiler makes vector code of: a whole mixed mean of 64 vectors of 50,890 entries
//! takes 60 ms on a busy 2.8 GHz core (`examples/rule_speed.rs`), a plain one 8.

use pulp::Arch;

use super::trimmed_mean::extremes;
use super::vector::{BLOCK, Block, Row, Vector, Weighted, for_each_block};
use crate::schema::CHUNK_ENTRIES_MAX;
use crate::update::VALUE_MAX;

/// Entries of each vector that a step of the Gram matrix takes, so that a block
/// of 64 vectors stays in the second-level cache.
const GRAM_BLOCK: usize = 2048;

const _: () = assert!(
    CHUNK_ENTRIES_MAX * (VALUE_MAX as usize).pow(2) <= i32::MAX as usize,
    "a chunk's dot product fits 32 bits"
);

/// The sums of the mixed vectors that a trim leaves.
#[derive(Debug)]
pub(super) struct MixedSums {
    /// For each entry a sum in units of 2^-40.
    pub entries: Vec<i128>,
    /// Vectors in each mixed vector.
    pub neighbours: usize,
}

/// Mixes for `attackers`, then leaves out `trim` mixed vectors at each end.
///
/// Both `attackers` and `2 * trim` are below the number of vectors.
pub(super) fn sums(vectors: &[Weighted<'_>], attackers: usize, trim: usize) -> MixedSums {
    let count = vectors.len();
    let strangers = strangers(vectors, attackers);
    let parameters = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut entries = vec![0_i128; parameters];
    let mut block = Block::new(count);
    let mut mixed = Block::new(count);
    let mut gone = [0; BLOCK];
    let arch = Arch::new();
    for_each_block(vectors, |rows, from, range| {
        arch.dispatch(
            #[inline(always)]
            || {
                block.fill(rows, from, range.len());
                mix(&block, &strangers, &mut mixed);
                extremes(&mixed, count, trim, &mut gone);
            },
        );
        let sums = &mut entries[range];
        for row in mixed.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += i128::from(entry));
        }
        sums.iter_mut().zip(&gone).for_each(|(sum, gone)| *sum -= gone);
    });
    MixedSums { entries, neighbours: count - attackers }
}

/// Makes each mixed row: the sum of all rows without those of its strangers.
#[inline(always)]
fn mix(block: &Block, strangers: &[Vec<usize>], mixed: &mut Block) {
    let len = block.row(0).len();
    let mut total = [0_i64; BLOCK];
    for row in block.rows() {
        total.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += entry);
    }
    for (number, strangers) in strangers.iter().enumerate() {
        let out = mixed.row_mut(number, len);
        out.copy_from_slice(&total[..len]);
        for &stranger in strangers {
            out.iter_mut().zip(block.row(stranger)).for_each(|(sum, &entry)| *sum -= entry);
        }
    }
}

/// For each vector the `attackers` that are farthest from it.
fn strangers(vectors: &[Weighted<'_>], attackers: usize) -> Vec<Vec<usize>> {
    let gram = Gram::of(vectors);
    let nearest_first = |number: usize| {
        let mut others: Vec<_> = (0..vectors.len()).filter(|&other| other != number).collect();
        others.sort_by_cached_key(|&other| (gram.squared_distance(vectors, number, other), other));
        others.split_off(others.len() - attackers)
    };
    (0..vectors.len()).map(nearest_first).collect()
}

/// The dot products of all pairs of vectors without their weights.
#[derive(Debug)]
struct Gram {
    count: usize,
    /// Row by row, in units of 2^-48; only columns behind the row are filled.
    products: Vec<i128>,
}

impl Gram {
    fn of(vectors: &[Weighted<'_>]) -> Self {
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

    /// The squared distance of two weighted vectors in units of 2^-80.
    fn squared_distance(&self, vectors: &[Weighted<'_>], one: usize, other: usize) -> i128 {
        let weight = |number: usize| i128::from(vectors[number].weight);
        let squared = |number: usize| {
            let squared = vectors[number].vector.squared_norm();
            i128::try_from(squared).expect("a squared norm is below 2^88")
        };
        let product = self.products[one.min(other) * self.count + one.max(other)];
        let ends = weight(one).pow(2) * squared(one) + weight(other).pow(2) * squared(other);
        ends - 2 * weight(one) * weight(other) * product
    }

    /// Adds up products of quantised values, chunk by chunk.
    fn add_quantised(&mut self, vectors: &[Weighted<'_>]) {
        let arch = Arch::new();
        let all: Vec<Vec<_>> = vectors.iter().map(|it| it.vector.rows(1)).collect();
        for chunk in 0..all.first().map_or(0, Vec::len) {
            let rows: Vec<(&[u8], i64)> = all.iter().map(|rows| bytes(&rows[chunk].1)).collect();
            let mut products = vec![0_i32; self.count * self.count];
            let mut wide = vec![0_i16; self.count * GRAM_BLOCK];
            let len = rows[0].0.len();
            for from in (0..len).step_by(GRAM_BLOCK) {
                let end = len.min(from + GRAM_BLOCK);
                for (wide, (bytes, _)) in wide.chunks_exact_mut(GRAM_BLOCK).zip(&rows) {
                    let bytes = wide.iter_mut().zip(&bytes[from..end]);
                    bytes.for_each(|(wide, &byte)| *wide = i16::from(byte.cast_signed()));
                }
                arch.dispatch(
                    #[inline(always)]
                    || add_products(&wide, self.count, end - from, &mut products),
                );
            }
            for (place, (sum, &product)) in self.products.iter_mut().zip(&products).enumerate() {
                let factor = rows[place / self.count].1 * rows[place % self.count].1;
                *sum += i128::from(product) * i128::from(factor);
            }
        }
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

/// Adds the products of all pairs of rows of [`GRAM_BLOCK`] values, `len` of them
/// filled.
#[inline(always)]
fn add_products(wide: &[i16], count: usize, len: usize, products: &mut [i32]) {
    let row = |number: usize| &wide[number * GRAM_BLOCK..][..len];
    for one in 0..count {
        let behind = &mut products[one * count + one + 1..(one + 1) * count];
        for (other, product) in (one + 1..).zip(behind) {
            *product += dot(row(one), row(other));
        }
    }
}

#[inline(always)]
fn dot(left: &[i16], right: &[i16]) -> i32 {
    left.iter().zip(right).map(|(&left, &right)| i32::from(left) * i32::from(right)).sum()
}
