//! Forecast: what a manifest asks of a member, in bytes on its links and on its disk.
//!
//! A member never evicts the payload of an open slot, so its disk has to hold all of them; the
//! manifest bounds how many there are and how large. [`Manifest::traffic`] puts that into the
//! numbers of [`longhaul_dtn::routing::forecast`]. Payloads count with what their encoding takes
//! for values without structure, and those of assumed attackers, who may also fill
//! their slots twice, with the most that the manifest admits.
//!
//! Not here: what a disk has, and what a person is told (the node).

use longhaul_aggregation::Encoding;
use longhaul_dtn::routing::forecast::{Federation, Share};

use super::Manifest;
use crate::proving::ProofCurve;
use crate::seal::VOTE_HEAD_BYTES_MAX;

/// The blocks of a bundle's head but for what is in its header: 439 to 470 bytes.
const HEAD_BYTES: u64 = 480;
/// An update's header but for the rows of its base summary.
const HEADER_BYTES: u64 = 160;
/// A log entry around a head, the version record that an update may lead to, and the lines of
/// the index about both.
const ENTRY_BYTES: u64 = 1_024;
/// The unit in which file systems give room.
const BLOCK_BYTES: u64 = 4_096;
/// Key, manifest, an index without lines, and a log segment that is being written.
const STANDING_BYTES: u64 = 8 << 20;
/// Snapshots on the disk at a time: the newest, and the one that replaces it.
const SNAPSHOTS: u64 = 2;
/// Attempts to seal that may fail in a row before the forecast is too low.
const ATTEMPTS: u64 = 2;

impl Manifest {
    /// What makes traffic and takes room for a member that meets `neighbours` others in an
    /// epoch, or all others where none is said.
    pub fn traffic(&self, neighbours: Option<u32>) -> Federation {
        let members = self.members.len() as u32;
        let publishers = self.setting().authors(1) as u64;
        let payload_bytes = self.typical_payload_bytes();
        let largest = stored(u64::from(self.bounds.payload_bytes_max));
        Federation {
            members,
            epoch: self.epoch_length,
            epochs: self.epochs,
            committee: self.committee_share(),
            head_bytes: HEAD_BYTES + self.header_bytes(publishers) + self.proof_bytes(),
            payload_bytes,
            entry_bytes: HEAD_BYTES
                + self.header_bytes(publishers)
                + self.proof_bytes()
                + ENTRY_BYTES,
            stored_bytes: stored(payload_bytes),
            record_bytes: self.vote_bytes(),
            // Two headers spend a slot, and a peer keeps the payloads of both.
            spare_bytes: 2 * largest * self.attackers() as u64,
            standing_bytes: STANDING_BYTES
                + self.proving_key_bytes()
                + self.seal.map_or(0, |_| SNAPSHOTS * self.snapshot_bytes_max())
                + self.ceremony.as_ref().map_or(0, |it| it.room_bytes(self.members.len())),
            window_epochs: self.seal.map(|seal| {
                let failing = ATTEMPTS * u64::from(seal.every_epochs);
                u64::from(seal.window_epochs) + failing + u64::from(self.recipe.pool.epochs())
            }),
            neighbours: neighbours.unwrap_or(members.saturating_sub(1)),
        }
    }

    /// What an honest update's payload takes, at most what the manifest admits.
    pub fn typical_payload_bytes(&self) -> u64 {
        let (chunks, entries) = (self.schema.chunks().len(), self.schema.parameter_count());
        let bits = bits_per_entry(&self.encoding) * entries as f64;
        // Coders begin each chunk anew, and learn what it is like as they go.
        let bytes = (bits / 8.0 * 1.02) as u64 + 64 + 16 * chunks as u64;
        bytes.min(u64::from(self.bounds.payload_bytes_max))
    }

    /// What a proof takes in a head; zero where there are none.
    fn proof_bytes(&self) -> u64 {
        let Some(policy) = &self.proofs else { return 0 };
        let chunks = self.schema.chunks().len() as u64;
        match policy.curve {
            ProofCurve::Bn254 => chunks * 236 + 296,
            ProofCurve::Bls12381 => chunks * 349 + 344,
        }
    }

    /// What the proving keys take on a member's disk: some 700 bytes for each entry of a chunk on BN254.
    fn proving_key_bytes(&self) -> u64 {
        let Some(policy) = &self.proofs else { return 0 };
        let entries: u64 = policy.keys.iter().map(|key| key.shape.entries() as u64).sum();
        let for_each = if policy.curve == ProofCurve::Bn254 { 720 } else { 1_080 };
        entries * for_each + policy.keys.len() as u64 * (256 << 10)
    }

    fn committee_share(&self) -> Share {
        let members = self.members.len().max(1) as u64;
        let size = self.committee.map_or(members, |it| u64::from(it.size));
        let parts = (size * 1_000_000).div_ceil(members).min(1_000_000);
        Share::from_millionths(parts as u32).unwrap_or(Share::ALL)
    }

    /// A row of all members takes one byte each, of a drawn few three.
    fn header_bytes(&self, publishers: u64) -> u64 {
        let each = if self.committee.is_some() { 3 } else { 1 };
        HEADER_BYTES + u64::from(self.bounds.summary_window) * (3 + publishers * each)
    }

    /// Both votes of every member, over the epochs from one attempt to the next.
    fn vote_bytes(&self) -> u64 {
        let votes = 2 * self.members.len() as u64 * VOTE_HEAD_BYTES_MAX as u64;
        self.seal.map_or(0, |seal| votes.div_ceil(u64::from(seal.every_epochs.max(1))))
    }
}

/// Room that a payload takes: blocks of its own, or a part of a pack, an eighth of which may be waste.
fn stored(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES).min(bytes + bytes / 8 + 64)
}

/// Bits of an entry of random values.
fn bits_per_entry(encoding: &Encoding) -> f64 {
    let share = f64::from(encoding.share().ten_thousandths()) / 10_000.0;
    let largest = f64::from(encoding.levels().largest());
    match encoding {
        Encoding::Int8 | Encoding::Int8Coded => 8.0,
        Encoding::Int4 => (2.0 * largest + 1.0).log2(),
        Encoding::RandK { .. } => share * (2.0 * largest + 1.0).log2(),
        Encoding::Ternary { .. } | Encoding::TopK { .. } => {
            entropy(share) + share * (2.0 * largest).log2()
        }
    }
}

/// Bits of a choice of which one side has this share.
fn entropy(share: f64) -> f64 {
    let part = |it: f64| if it <= 0.0 { 0.0 } else { -it * it.log2() };
    part(share) + part(1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_take_what_docs_measure() {
        for (encoding, measured) in [
            (Encoding::Int8, 8.0),
            (Encoding::TERNARY, 1.247),
            (Encoding::RAND_K, 0.19),
            (Encoding::TOP_K, 0.193),
        ] {
            let found = bits_per_entry(&encoding);
            assert!((found - measured).abs() < 0.02, "{encoding:?}: {found}");
        }
    }

    #[test]
    fn nothing_and_everything_are_no_choice() {
        assert_eq!((entropy(0.0), entropy(1.0), entropy(0.5)), (0.0, 0.0, 1.0));
    }

    #[test]
    fn small_payloads_share_packs_and_large_ones_fill_blocks() {
        for (bytes, room) in [(0, 0), (1_000, 1_189), (4_095, 4_096), (1 << 20, 1 << 20)] {
            assert_eq!(stored(bytes), room, "{bytes}");
        }
        assert_eq!(stored((1 << 20) + 1), (1 << 20) + BLOCK_BYTES);
    }
}
