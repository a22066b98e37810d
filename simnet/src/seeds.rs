//! Randomness of a run: one ChaCha stream per (seed, node, purpose).
//!
//! A stream never depends on how much another one was used, so adding a fault
//! or a contact does not change what an unrelated node draws. Nothing here
//! draws entropy: a run is its scenario and its seed.

use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

/// Whose stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The world as a whole: the manifest, its creator, the data split.
    World,
    /// A peer, by its index in the scenario.
    Peer(u16),
}

/// What a stream is for; the numbers are part of a run's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The signing key.
    Key = 1,
    /// The peer's nonce (batch order, contacts' hello).
    Nonce = 2,
    /// The manifest's seed, from which M_0 follows.
    Model = 3,
    /// Who meets whom, and when.
    Contacts = 4,
    /// The split of the data over the peers.
    Partition = 5,
    /// The built-in data set.
    Data = 6,
    /// Loss, duplication and reordering of frames.
    Frames = 7,
    /// Who a fault hits, and when churn strikes.
    Faults = 8,
    /// How far a clock is off.
    Clock = 9,
    /// How much data a peer keeps, and how its features are shifted.
    Shift = 10,
    /// What a disk loses.
    Disk = 11,
    /// The lots by which a committee is drawn.
    Committee = 12,
    /// The development keys of proofs.
    Proofs = 13,
}

/// Opens the stream of `node` for `purpose` under the scenario's `seed`.
pub fn stream(seed: u64, node: Node, purpose: Purpose) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let node = match node {
        Node::World => 0,
        Node::Peer(index) => 1 + u64::from(index),
    };
    rng.set_stream(node << 8 | purpose as u64);
    rng
}

/// As [`stream`], with fewer rounds: for numbers drawn by the million.
pub fn fast_stream(seed: u64, node: Node, purpose: Purpose) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(bytes(seed, node, purpose))
}

/// The first 32 bytes of a stream, for keys and seeds.
pub fn bytes(seed: u64, node: Node, purpose: Purpose) -> [u8; 32] {
    let mut bytes = [0; 32];
    stream(seed, node, purpose).fill_bytes(&mut bytes);
    bytes
}

/// A number in `0..count`; `count` must not be zero.
///
/// Multiply-shift: the bias is below `count` in 2^64.
pub fn below(rng: &mut impl Rng, count: u64) -> u64 {
    assert!(count > 0, "nothing to draw from");
    let product = u128::from(rng.next_u64()) * u128::from(count);
    u64::try_from(product >> 64).expect("the high half of a 128-bit product")
}

/// A number in `[0, 1)` on a grid of 2^-53.
pub fn unit(rng: &mut impl Rng) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * STEP
}

/// A waiting time with this mean, exponentially distributed, at least a
/// millionth of it and at most 40 times.
///
/// The logarithm is our own, so that every machine draws the same.
pub fn exponential(rng: &mut impl Rng, mean: f64) -> f64 {
    let uniform = 1.0 - unit(rng);
    mean * (-longhaul_node::train::portable::logarithm(uniform)).max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_seed_node_and_purpose() {
        let drawn = [
            bytes(1, Node::World, Purpose::Key),
            bytes(2, Node::World, Purpose::Key),
            bytes(1, Node::Peer(0), Purpose::Key),
            bytes(1, Node::Peer(1), Purpose::Key),
            bytes(1, Node::Peer(0), Purpose::Nonce),
        ];
        for (index, bytes) in drawn.iter().enumerate() {
            assert!(!drawn[..index].contains(bytes), "stream {index} repeats another");
        }
    }

    #[test]
    fn a_stream_repeats_itself() {
        let again = bytes(7, Node::Peer(3), Purpose::Nonce);
        assert_eq!(bytes(7, Node::Peer(3), Purpose::Nonce), again);
    }

    #[test]
    fn draws_stay_in_range() {
        let mut rng = stream(1, Node::World, Purpose::Contacts);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            let index = usize::try_from(below(&mut rng, 5)).expect("below five");
            seen[index] = true;
            assert!((0.0..1.0).contains(&unit(&mut rng)));
        }
        assert_eq!(seen, [true; 5]);
    }
}
