//! What the tests of this crate share: keys, limits and bundles.

#![allow(dead_code, reason = "each test program uses its own part")]

pub mod host;
pub mod network;

use std::sync::Arc;

use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleDraft, BundleHead, BundleLimits};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::time::{Span, Timestamp};

/// Limits that the bundles made here keep.
pub const LIMITS: BundleLimits = BundleLimits {
    header_bytes_max: 4096,
    proof_bytes_max: 0,
    payload_bytes_max: 1 << 20,
    lifetime_max: Span::from_ms(1_000_000_000),
};

/// When the tests take place: in the year 2026.
pub const START: Timestamp = Timestamp::from_dtn_ms(840_000_000_000);

/// The key of the peer `number`.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// A draft with `header` and `payload`, made at [`START`].
pub fn draft<'a>(header: &[u8], payload: &'a [u8]) -> BundleDraft<'a> {
    BundleDraft {
        destination: Eid::dtn("federation", "updates").unwrap(),
        created: START,
        sequence: 7,
        lifetime: Span::from_ms(600_000_000),
        hop_limit: 64,
        header: header.to_vec(),
        payload,
    }
}

/// Seals `draft` with the key of `author`.
pub fn sealed(author: u8, draft: BundleDraft<'_>) -> Held {
    let payload: Arc<[u8]> = draft.payload.into();
    let head = Arc::new(BundleHead::seal(draft, &key(author)).unwrap());
    Held { head, payload }
}

/// The bundle `number` of `author`, with a payload of `len` bytes.
pub fn bundle(author: u8, number: u64, len: usize) -> Held {
    let payload: Vec<u8> = (0..len).map(|index| (index * 7 + number as usize) as u8).collect();
    let created = Timestamp::from_dtn_ms(START.dtn_ms() + number);
    sealed(author, BundleDraft { created, sequence: number, ..draft(b"header", &payload) })
}

/// Pseudo-random numbers (xorshift64*), the same on every run.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`, which is not zero.
    pub fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        (word % below as u64) as usize
    }
}

/// Flips one or two bits.
pub fn flip(dice: &mut Dice, bytes: &mut [u8]) {
    for _ in 0..=dice.below(2) {
        let at = dice.below(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    }
}

/// One to three flips, other bytes, cuts, insertions or deletions.
pub fn change(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, dice.below(256) as u8),
            _ => drop(bytes.drain(at..(at + 1 + dice.below(4)).min(bytes.len()))),
        }
        if bytes.is_empty() {
            break;
        }
    }
}
