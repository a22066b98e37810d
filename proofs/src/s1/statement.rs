//! Statement: which chunk of whose update is bounded, and by what.

use longhaul_aggregation::Epoch;
use longhaul_aggregation::update::EXPONENT_MAX;
use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::PeerId;

use super::shape::{Bounds, Shape};

/// Whose update, of which epoch and base, in which federation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The hash of the federation's manifest.
    pub federation: ContentHash,
    /// Who made the update.
    pub author: PeerId,
    /// The epoch it is for.
    pub epoch: Epoch,
    /// What it was trained from.
    pub base: ContentHash,
    /// The root of the payload.
    pub payload: ContentHash,
}

/// The power of two that a chunk's entries are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exponent(u8);

/// A statement about one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// What the chunk is part of.
    pub subject: Subject,
    /// Its position in the update.
    pub chunk: u32,
    /// How many entries it has, padding apart.
    pub entries: usize,
    /// Its exponent.
    pub exponent: Exponent,
    /// What is claimed of its entries.
    pub bounds: Bounds,
}

impl Exponent {
    /// `None` above the largest exponent of a chunk.
    pub const fn new(exponent: u8) -> Option<Self> {
        if exponent <= EXPONENT_MAX { Some(Self(exponent)) } else { None }
    }

    /// The exponent as a number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// What a chunk's squared norm counts in the update's: `4^exponent`.
    pub const fn square_weight(self) -> u64 {
        1 << (2 * self.0)
    }
}

impl Subject {
    /// Canonical bytes, which every challenge about it covers.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.array(5).bytes(self.federation.as_bytes()).bytes(self.author.as_bytes());
        writer.unsigned(u64::from(self.epoch.get()));
        writer.bytes(self.base.as_bytes()).bytes(self.payload.as_bytes());
    }
}

impl Statement {
    /// Canonical bytes of all but the bounds, which are public inputs.
    pub(super) fn context(&self, shape: Shape) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(5);
        self.subject.write(&mut writer);
        writer.unsigned(u64::from(self.chunk)).unsigned(self.entries as u64);
        writer.unsigned(u64::from(self.exponent.0)).unsigned(shape.entries() as u64);
        writer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_have_a_limit() {
        assert_eq!(Exponent::new(EXPONENT_MAX).map(Exponent::square_weight), Some(1 << 48));
        assert_eq!(Exponent::new(EXPONENT_MAX + 1), None);
    }
}
