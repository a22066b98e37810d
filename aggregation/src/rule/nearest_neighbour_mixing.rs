//! Nearest-neighbour mixing: each vector is replaced by the mean of its nearest
//! ones before the rule (Allouah et al., "Fixing by Mixing", AISTATS 2023,
//! arXiv 2302.01772), so that an attacker's vector cannot stay outside the crowd
//! and an honest one is not outside it for its data's sake.
//!
//! With n vectors and f attackers, the neighbours of a vector are itself and the
//! n - f - 1 others at the smallest squared Euclidean distance, of equally distant
//! ones those of the smaller position (that of the smaller header hash). Neighbours are
//! added up, not averaged: every mixed vector is the exact sum of n - f weighted
//! ones, and the rule divides once.
//!
//! # Exactness and cost
//!
//! Distances come from the Gram matrix (`super::gram`): a whole mixed mean of 64 vectors of
//! 50,890 entries takes 60 ms on a busy 2.8 GHz core (`examples/rule_speed.rs`), a plain one 8.

use pulp::Arch;

use super::extremes::{Keep, extremes};
use super::gram::Gram;
use super::vector::{BLOCK, Block, Row, Weighted};

/// The sums of the mixed vectors that are kept in each column, block by block.
#[derive(Debug)]
pub(super) struct Mixed {
    keep: Keep,
    /// For each vector those that are not among its neighbours.
    strangers: Vec<Vec<usize>>,
    block: Block,
    mixed: Block,
}

impl Mixed {
    /// Of vectors that are the sums of those that `near` names for them.
    pub fn new(near: &[Vec<usize>], keep: Keep) -> Self {
        let count = near.len();
        let strangers = |near: &Vec<usize>| (0..count).filter(|it| !near.contains(it)).collect();
        let strangers = near.iter().map(strangers).collect();
        Self { keep, strangers, block: Block::new(count), mixed: Block::new(count) }
    }

    /// The sums from `from` on, in units of 2^-40, into at most [`BLOCK`] entries.
    pub fn fill(&mut self, rows: &[Row<'_>], from: usize, out: &mut [i128]) {
        let Self { keep, strangers, block, mixed } = self;
        let mut gone = [0; BLOCK];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                block.fill(rows, from, out.len());
                mix(block, strangers, mixed);
                extremes(mixed, rows.len(), *keep, &mut gone);
            },
        );
        out.fill(0);
        for row in mixed.rows() {
            out.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += i128::from(entry));
        }
        out.iter_mut().zip(gone).for_each(|(sum, gone)| *sum -= gone);
    }
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

/// For each vector itself and those nearest to it, ascending: all but `attackers`.
pub(super) fn near(vectors: &[Weighted<'_>], attackers: usize) -> Vec<Vec<usize>> {
    near_by(&Gram::of(vectors), vectors, attackers)
}

/// The same, by a Gram matrix that is there.
pub(super) fn near_by(gram: &Gram, vectors: &[Weighted<'_>], attackers: usize) -> Vec<Vec<usize>> {
    let near = |number: usize| {
        let mut others: Vec<_> = (0..vectors.len()).filter(|&other| other != number).collect();
        others.sort_by_cached_key(|&other| (gram.squared_distance(vectors, number, other), other));
        others.truncate(others.len() - attackers);
        others.push(number);
        others.sort_unstable();
        others
    };
    (0..vectors.len()).map(near).collect()
}
