//! Layers: an int8 update parted into a coarse one that travels first and a refinement.
//!
//! The coarse layer is the update quantised to fewer levels; the refinement is what that
//! leaves, at the update's own exponents, and their sum is the update. No chunk of the
//! coarse layer is longer than that of the update, so it is within the same norm bound. Each is the payload
//! of a bundle of its own: the coarse one in its encoding ([`Coarse`]), the refinement as
//! [`Encoding::Int8Coded`]. One header commits to both, and fills one slot, by naming the
//! [`LayerHashes`]: a CBOR array of the content hashes of the layers' payloads, coarse first,
//! under blake3 derive-key with `"longhaul 2026 update layers v1"`.
//!
//! An update has exactly one pair of layers, and [`Layers::join`] refuses every other: an
//! author cannot let its coarse layer say one thing and the sum another without being
//! found out by everybody who holds both.
//!
//! **What counts.** With [`LayerPolicy::Whole`] a slot with one layer is not filled. With
//! [`LayerPolicy::CoarseCounts`] a coarse layer is an update, and the sum takes its place
//! once the refinement is there. A refinement alone never counts. The model then is a
//! function of the slots and of the layers of each that are held, so a set of updates has to
//! name both; see [`LayerPolicy::counted`].

use std::sync::Arc;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::encoding::{Encoding, Levels, Share};
use super::mask::MaskKey;
use super::quantise::Quantised;
use crate::schema::Schema;
use crate::slot::Epoch;
use crate::update::{Update, UpdateError, VALUE_MAX, encode_payload};

const LAYERS_CONTEXT: &str = "longhaul 2026 update layers v1";

/// How the coarse layer is quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coarse {
    /// [`Encoding::Ternary`] with this share.
    Ternary(Share),
    /// [`Encoding::Int4`].
    Int4,
}

/// The two layers of an update, each with its own payload.
#[derive(Debug, Clone)]
pub struct Layers {
    /// What travels first.
    pub coarse: Update,
    /// What the coarse layer lacks.
    pub refinement: Update,
}

/// The payloads of an update's layers, by hash: what a header commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerHashes {
    /// Of the coarse layer.
    pub coarse: ContentHash,
    /// Of the refinement.
    pub refinement: ContentHash,
}

/// What a slot counts as while only its coarse layer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerPolicy {
    /// Nothing.
    Whole,
    /// The coarse update.
    CoarseCounts,
}

/// Why two payloads are not the layers of one update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayersError {
    /// The coarse payload is not one.
    #[error("the coarse layer: {0}")]
    Coarse(#[source] UpdateError),
    /// The refinement payload is not one.
    #[error("the refinement: {0}")]
    Refinement(#[source] UpdateError),
    /// A coarse step is no multiple of the step of the refinement, or too many of them.
    #[error("chunk {chunk} has exponent {coarse} in the coarse layer and {fine} in the refinement")]
    Exponents {
        /// Position of the chunk.
        chunk: usize,
        /// The coarse layer's exponent.
        coarse: u8,
        /// The refinement's.
        fine: u8,
    },
    /// A sum is no int8 value.
    #[error("a sum in chunk {chunk} is outside -127..=127")]
    Sum {
        /// Position of the chunk.
        chunk: usize,
    },
    /// The sum has other layers than these.
    #[error("the layers add up to an update whose layers are others; refuse both")]
    Foreign,
}

impl Coarse {
    /// The encoding of the coarse layer's payload.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Ternary(share) => Encoding::Ternary { share },
            Self::Int4 => Encoding::Int4,
        }
    }

    const fn grid(self) -> (Levels, Share) {
        match self {
            Self::Ternary(share) => (Levels::One, share),
            Self::Int4 => (Levels::Seven, Share::ALL),
        }
    }
}

impl Layers {
    /// Parts an update.
    ///
    /// # Panics
    /// If the update is not of `schema`.
    pub fn split(update: &Update, schema: &Schema, how: Coarse) -> Self {
        let (levels, share) = how.grid();
        let coarse = Quantised::coarser(update, levels, share).into_update(schema.chunks());
        let refined = update.values().zip(coarse.values()).map(|(fine, coarse)| {
            let apart = coarse.exponent - fine.exponent;
            let rest = |(fine, coarse): (i8, i8)| i16::from(fine) - (i16::from(coarse) << apart);
            let rest = fine.quantised().zip(coarse.quantised()).map(rest);
            // A coarse value has the sign of the fine one and is at most half a step
            // (64) above it.
            (fine.exponent, rest.map(|rest| rest.to_le_bytes()[0]).collect())
        });
        let refined: Vec<(u8, Vec<u8>)> = refined.collect();
        let refined = Update::decode_chunks(encode_payload(&refined), schema.chunks())
            .expect("what a coarse layer leaves is within -127..=127");
        let written = |encoding: Encoding, update: &Update| {
            encoding.write(update, schema, &no_mask()).expect("layers were quantised to be written")
        };
        Self {
            coarse: written(how.encoding(), &coarse),
            refinement: written(Encoding::Int8Coded, &refined),
        }
    }

    /// Reads both payloads and adds them up: the update, with its int8 payload.
    ///
    /// Refuses what [`Layers::split`] does not give for that update.
    pub fn join(
        coarse: Arc<[u8]>,
        refinement: Arc<[u8]>,
        schema: &Schema,
        how: Coarse,
    ) -> Result<Update, LayersError> {
        let coarse = Self::read_coarse(coarse, schema, how)?;
        let refinement = Encoding::Int8Coded
            .read(refinement, schema, &no_mask())
            .map_err(LayersError::Refinement)?;
        Self { coarse, refinement }.sum(schema, how)
    }

    /// Reads the payload of a coarse layer. Whether that is an update that counts is for
    /// [`LayerPolicy::counted`] to say.
    pub fn read_coarse(
        payload: Arc<[u8]>,
        schema: &Schema,
        how: Coarse,
    ) -> Result<Update, LayersError> {
        how.encoding().read(payload, schema, &no_mask()).map_err(LayersError::Coarse)
    }

    /// The hashes of both payloads.
    pub fn hashes(&self) -> LayerHashes {
        LayerHashes {
            coarse: self.coarse.payload_hash(),
            refinement: self.refinement.payload_hash(),
        }
    }

    /// The update whose layers these are, with its int8 payload.
    pub fn sum(&self, schema: &Schema, how: Coarse) -> Result<Update, LayersError> {
        let mut chunks = Vec::with_capacity(schema.chunks().len());
        let pairs = self.coarse.values().zip(self.refinement.values());
        for (chunk, (coarse, fine)) in pairs.enumerate() {
            let exponents = (coarse.exponent, fine.exponent);
            let apart = coarse.exponent.checked_sub(fine.exponent).filter(|&it| it <= 7);
            let apart = apart.ok_or(LayersError::Exponents {
                chunk,
                coarse: exponents.0,
                fine: exponents.1,
            })?;
            // At most 7 * 2^7 + 127.
            let sum = |(fine, coarse): (i8, i8)| i16::from(fine) + (i16::from(coarse) << apart);
            let byte = |sum: i16| match sum.unsigned_abs() <= VALUE_MAX.unsigned_abs().into() {
                true => Ok(sum.to_le_bytes()[0]),
                false => Err(LayersError::Sum { chunk }),
            };
            let sums = fine.quantised().zip(coarse.quantised()).map(sum).map(byte);
            chunks.push((fine.exponent, sums.collect::<Result<Vec<u8>, _>>()?));
        }
        let sum = Update::decode_chunks(encode_payload(&chunks), schema.chunks())
            .map_err(LayersError::Refinement)?;
        let own = Self::split(&sum, schema, how).hashes() == self.hashes();
        if own { Ok(sum) } else { Err(LayersError::Foreign) }
    }
}

impl LayerHashes {
    /// The bytes that [`LayerHashes::id`] is a hash of.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2).bytes(self.coarse.as_bytes()).bytes(self.refinement.as_bytes());
        writer.into_bytes()
    }

    /// Reads the hashes, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(2)?;
        let coarse = ContentHash::from_bytes(reader.fixed()?);
        let refinement = ContentHash::from_bytes(reader.fixed()?);
        reader.finish()?;
        Ok(Self { coarse, refinement })
    }

    /// What a header names in the place of a payload's hash: blake3 derive-key under
    /// `"longhaul 2026 update layers v1"` over the bytes.
    pub fn id(&self) -> ContentHash {
        ContentHash::derive(LAYERS_CONTEXT, &self.encode())
    }
}

impl LayerPolicy {
    /// What a slot counts as that holds a checked coarse layer, a checked sum (of
    /// [`Layers::join`]), or both. A function of what is held and of the recipe alone.
    pub const fn counted<'a>(
        self,
        coarse: Option<&'a Update>,
        sum: Option<&'a Update>,
    ) -> Option<&'a Update> {
        match (self, sum) {
            (_, Some(_)) => sum,
            (Self::CoarseCounts, None) => coarse,
            (Self::Whole, None) => None,
        }
    }
}

/// For encodings that do not ask for it.
fn no_mask() -> MaskKey {
    MaskKey::new(&[0; 32], Epoch::FIRST)
}
