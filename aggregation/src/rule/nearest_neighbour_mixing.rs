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
use super::vector::{BLOCK, Block, Weighted, for_each_block};

/// For each entry the sum of the mixed vectors that are kept, in units of 2^-40; each is the
/// sum of those that `near` names for it.
pub(super) fn sums(vectors: &[Weighted<'_>], near: &[Vec<usize>], keep: Keep) -> Vec<i128> {
    let count = vectors.len();
    let parameters = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut entries = vec![0_i128; parameters];
    let strangers: Vec<Vec<usize>> =
        near.iter().map(|near| (0..count).filter(|it| !near.contains(it)).collect()).collect();
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
                extremes(&mixed, count, keep, &mut gone);
            },
        );
        let sums = &mut entries[range];
        for row in mixed.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += i128::from(entry));
        }
        sums.iter_mut().zip(&gone).for_each(|(sum, gone)| *sum -= gone);
    });
    entries
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
