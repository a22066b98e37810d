//! Mask: which entries travel in an epoch with rand-k, the same for every member.
//!
//! All members draw one mask, so that the rows of an epoch have their zeros in the same
//! columns and rules that look at columns or distances stay valid. It depends on a seed
//! of the federation and the epoch; it cannot depend on the base model, which differs
//! from member to member.
//!
//! The key of a ChaCha20 stream (nonce and counter zero) is blake3 derive-key under
//! `"longhaul 2026 update mask v1"` over the 32 bytes of the seed and the epoch as a
//! little-endian `u32`. Of `n` entries `k` are kept (see [`Share::of`]), one in each of `k`
//! windows: window `i` is `floor(i * n / k)..floor((i + 1) * n / k)`, it takes 4 bytes of
//! key stream as a little-endian `u32` `x`, and keeps entry
//! `start + floor(x * length / 2^32)`. Windows spread the mask over all tensors, and draws
//! that do not know those of other epochs cannot fall into step with how often a member
//! publishes.

use longhaul_dtn::hash::ContentHash;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::encoding::Share;
use crate::slot::Epoch;

const MASK_CONTEXT: &str = "longhaul 2026 update mask v1";

/// What the mask of an epoch is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskKey(ContentHash);

impl MaskKey {
    /// The key of `epoch` in a federation whose masks come from `seed`; the federation's
    /// id is a seed that all members have.
    pub fn new(seed: &[u8; 32], epoch: Epoch) -> Self {
        let input = [&seed[..], &epoch.get().to_le_bytes()].concat();
        Self(ContentHash::derive(MASK_CONTEXT, &input))
    }

    /// The positions that a share of `entries` keeps, ascending; see the file's head.
    pub fn positions(&self, entries: usize, share: Share) -> Vec<usize> {
        let kept = share.of(entries);
        let mut stream = ChaCha20Rng::from_seed(*self.0.as_bytes());
        // Entries are at most 2^26, so all products are below 2^64.
        let start = |window: usize| (window as u64 * entries as u64 / kept as u64) as usize;
        let position = |window: usize| {
            let (from, to) = (start(window), start(window + 1));
            from + ((u64::from(stream.next_u32()) * (to - from) as u64) >> 32) as usize
        };
        (0..kept).map(position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(epoch: u32, entries: usize, share: u16) -> Vec<usize> {
        let share = Share::new(share).unwrap();
        MaskKey::new(&[3; 32], Epoch::new(epoch)).positions(entries, share)
    }

    #[test]
    fn keeps_so_many_distinct_entries() {
        for (entries, share, kept) in
            [(1, 1, 1), (10, 10_000, 10), (999, 100, 10), (65_537, 3_333, 21_844), (7, 9_999, 7)]
        {
            let found = positions(5, entries, share);
            assert_eq!(found.len(), kept, "{entries} {share}");
            assert!(found.is_sorted_by(|a, b| a < b));
            assert!(found.iter().all(|&position| position < entries));
        }
        assert!(positions(5, 0, 1).is_empty());
    }

    #[test]
    fn each_entry_comes_as_often_as_any_other() {
        let (entries, epochs) = (1_000, 10_000);
        let mut counts = vec![0_u32; entries];
        for epoch in 0..epochs {
            positions(epoch, entries, 500).into_iter().for_each(|at| counts[at] += 1);
        }
        // 500 on average, with a standard deviation below 22.
        assert!(counts.iter().all(|count| (390..610).contains(count)), "{counts:?}");
    }

    #[test]
    fn differs_by_epoch_and_seed() {
        assert_ne!(positions(1, 1000, 100), positions(2, 1000, 100));
        let share = Share::new(100).unwrap();
        let other = MaskKey::new(&[4; 32], Epoch::new(1)).positions(1000, share);
        assert_ne!(positions(1, 1000, 100), other);
    }
}
