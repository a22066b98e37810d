//! Sortition: who may fill a slot, where not everybody may in every epoch.
//!
//! If all members publish in every epoch, each peer receives as many updates per
//! epoch as there are members. With a committee an author may fill a slot only if a
//! hash over the manifest's nonce, the epoch and its key falls below the committee's
//! share, so that an epoch has a certain number of authors on average, whatever the
//! number of members. The creator of the manifest draws the nonce after it has seen
//! the keys (they stand in the same manifest), so nobody can search for a key that is
//! drawn often. Who is drawn is public from the start; nothing here is secret.
//!
//! # The draw
//!
//! The first 8 bytes, as a little-endian `u64`, of blake3 derive-key under
//! `"longhaul 2026 sortition v1"` over the 32 bytes of the nonce, the epoch as a
//! little-endian `u32` and the 32 bytes of the author's key. The slot may be filled if
//! `draw * members < size * 2^64`, in exact integers.

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use crate::slot::Slot;

const SORTITION_CONTEXT: &str = "longhaul 2026 sortition v1";

/// A committee by lot, for every epoch another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sortition {
    size: u16,
    nonce: [u8; 32],
    members: Arc<[PeerId]>,
}

impl Sortition {
    /// Draws committees of `size` among `members` (in the order of the manifest), on
    /// average; a size of at least the members draws all of them.
    pub fn new(size: u16, nonce: [u8; 32], members: Arc<[PeerId]>) -> Self {
        Self { size, nonce, members }
    }

    /// True when the slot may be filled; never for somebody beyond the members.
    pub fn draws(&self, slot: Slot) -> bool {
        let Some(key) = self.members.get(slot.member.index()) else { return false };
        let epoch = slot.epoch.get().to_le_bytes();
        let bytes = [&self.nonce[..], &epoch, key.as_bytes()].concat();
        let hash = ContentHash::derive(SORTITION_CONTEXT, &bytes);
        let (draw, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        let draw = u128::from(u64::from_le_bytes(*draw));
        draw * (self.members.len() as u128) < u128::from(self.size) << u64::BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{Epoch, MemberIndex};
    use longhaul_dtn::identity::SecretKey;

    fn members(count: u16) -> Arc<[PeerId]> {
        let seed = |number: u16| *ContentHash::of(&number.to_le_bytes()).as_bytes();
        (0..count).map(|number| SecretKey::from_seed(&seed(number)).peer_id()).collect()
    }

    fn drawn(sortition: &Sortition, epoch: u32) -> Vec<u16> {
        let slot = |number| Slot { member: MemberIndex::new(number), epoch: Epoch::new(epoch) };
        (0..300).filter(|&number| sortition.draws(slot(number))).collect()
    }

    #[test]
    fn draws_the_size_on_average_and_others_every_time() {
        let sortition = Sortition::new(16, [7; 32], members(64));
        let sizes: Vec<usize> = (0..500).map(|epoch| drawn(&sortition, epoch).len()).collect();
        let mean = sizes.iter().sum::<usize>() as f64 / 500.0;
        // The standard deviation of the mean is 0.15.
        assert!((15.4..16.6).contains(&mean), "{mean}");
        assert_ne!(drawn(&sortition, 0), drawn(&sortition, 1));
        let other = Sortition::new(16, [8; 32], members(64));
        assert_ne!(drawn(&sortition, 0), drawn(&other, 0));
    }

    #[test]
    fn draws_all_or_nobody_at_the_ends() {
        for (size, expected) in [(0, 0), (5, 5), (6, 5), (u16::MAX, 5)] {
            let sortition = Sortition::new(size, [7; 32], members(5));
            assert_eq!(drawn(&sortition, 3).len(), expected, "size {size}");
        }
    }

    #[test]
    fn draws_as_documented() {
        let (nonce, members) = ([9; 32], members(8));
        let input = [&nonce[..], &70_000_u32.to_le_bytes(), members[3].as_bytes()].concat();
        let key = blake3::derive_key("longhaul 2026 sortition v1", &input);
        let share =
            f64::from(u32::from_le_bytes([key[4], key[5], key[6], key[7]])) / 2_f64.powi(32);
        for size in 0..8 {
            let slot = Slot { member: MemberIndex::new(3), epoch: Epoch::new(70_000) };
            let found = Sortition::new(size, nonce, Arc::clone(&members)).draws(slot);
            assert_eq!(found, share < f64::from(size) / 8.0, "size {size}, draw {share}");
        }
    }
}
