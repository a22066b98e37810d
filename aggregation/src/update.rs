//! Update: the payload of a bundle, a quantised change of the parameters.
//!
//! The payload is a deterministic CBOR array with one `[exponent, values]` for
//! each chunk of the schema, in order: `values` is a byte string with one
//! two's-complement `i8` for each entry, and an entry means
//! `value * 2^exponent` units of 2^-24, so one unit is the finest and
//! `127 * 2^24` units (127.0) the largest change. The value -128 is refused, so
//! that every magnitude has both signs. Floats never occur: "finite" is a
//! property of the format.
//!
//! That is the payload of [`Encoding::Int8`](crate::compress::Encoding::Int8). With another
//! [`Encoding`](crate::compress::Encoding) the payload is shorter, and the update in memory is
//! the same: quantised values and an exponent for each chunk.

use std::ops::Range;
use std::sync::Arc;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use crate::compress::CodedError;
use crate::parameters::Parameters;
use crate::schema::Schema;

/// Largest exponent of a chunk.
///
/// With it an entry is below 2^31 units, which is what the bit bounds of
/// [`crate::rule`] and [`crate::fold`] are proved from.
pub const EXPONENT_MAX: u8 = 24;
/// Largest magnitude of a quantised value.
pub const VALUE_MAX: i8 = 127;

/// A quantised change of the parameters, checked against a schema.
///
/// It shares the payload it was read from; a clone is cheap.
#[derive(Debug, Clone)]
pub struct Update {
    payload: Arc<[u8]>,
    /// Where the values are: the payload itself, or what it was decoded to.
    values: Arc<[u8]>,
    chunks: Arc<[Place]>,
    squared_norm: u128,
}

/// One chunk of an update, borrowed from it.
#[derive(Debug, Clone)]
pub struct Chunk<'a> {
    /// Which entries of the flat vector the chunk covers.
    pub range: Range<usize>,
    /// The power of two that each value is multiplied with.
    pub exponent: u8,
    bytes: &'a [u8],
}

/// Where a chunk stands in the values and in the flat vector.
#[derive(Debug, Clone)]
struct Place {
    entries: Range<usize>,
    bytes: Range<usize>,
    exponent: u8,
}

/// Why a payload is not an update of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The bytes are not the deterministic CBOR of an update.
    #[error("not a well-formed payload: {0}")]
    Malformed(#[from] CodecError),
    /// The number of chunks is not the schema's.
    #[error("{found} chunks where the schema has {expected}")]
    ChunkCount {
        /// Chunks in the payload.
        found: usize,
        /// Chunks in the schema.
        expected: usize,
    },
    /// A chunk has the wrong number of entries.
    #[error("chunk {chunk} has {found} entries where the schema has {expected}")]
    ChunkLength {
        /// Position of the chunk.
        chunk: usize,
        /// Entries in the payload.
        found: usize,
        /// Entries in the schema.
        expected: usize,
    },
    /// An exponent is above [`EXPONENT_MAX`].
    #[error("chunk {chunk} has exponent {exponent}, the largest is 24")]
    Exponent {
        /// Position of the chunk.
        chunk: usize,
        /// The exponent found.
        exponent: u64,
    },
    /// A value is -128.
    #[error("chunk {chunk} holds the value -128, the least is -127")]
    Value {
        /// Position of the chunk.
        chunk: usize,
    },
    /// The body of a coded payload is not what its encoding writes.
    #[error("the coded values are not well-formed: {0}")]
    Coded(#[from] CodedError),
}

impl Update {
    /// Reads a payload, strictly, without copying it.
    pub fn decode(payload: Arc<[u8]>, schema: &Schema) -> Result<Self, UpdateError> {
        Self::decode_chunks(payload, schema.chunks())
    }

    pub(crate) fn decode_chunks(
        payload: Arc<[u8]>,
        ranges: &[Range<usize>],
    ) -> Result<Self, UpdateError> {
        let mut reader = Reader::new(&payload);
        let found = reader.array(usize::MAX)?;
        if found != ranges.len() {
            return Err(UpdateError::ChunkCount { found, expected: ranges.len() });
        }
        let mut squared_norm = 0;
        let mut chunks = Vec::with_capacity(ranges.len());
        for (number, range) in ranges.iter().enumerate() {
            let (place, squared) = read_chunk(&mut reader, number, range.clone())?;
            chunks.push(place);
            squared_norm += squared;
        }
        reader.finish()?;
        let values = Arc::clone(&payload);
        Ok(Self { payload, values, chunks: chunks.into(), squared_norm })
    }

    /// Takes values within -127..=127 and the exponents of `ranges`, up to
    /// [`EXPONENT_MAX`], with the payload that says them.
    pub(crate) fn from_values(
        payload: Arc<[u8]>,
        exponents: &[u8],
        values: &[i8],
        ranges: &[Range<usize>],
    ) -> Self {
        let values: Arc<[u8]> = values.iter().map(|value| value.cast_unsigned()).collect();
        let place = |(entries, &exponent): (&Range<usize>, _)| Place {
            entries: entries.clone(),
            bytes: entries.clone(),
            exponent,
        };
        let chunks: Arc<[Place]> = ranges.iter().zip(exponents).map(place).collect();
        let squared = |place: &Place| squared_norm(place.exponent, &values[place.bytes.clone()]);
        let squared_norm = chunks.iter().map(squared).sum();
        Self { payload, values, chunks, squared_norm }
    }

    /// The same change with a payload of one byte for each value.
    pub(crate) fn to_plain(&self) -> Self {
        let chunks: Vec<_> =
            self.values().map(|chunk| (chunk.exponent, chunk.bytes.to_vec())).collect();
        let ranges: Vec<_> = self.values().map(|chunk| chunk.range).collect();
        Self::decode_chunks(encode_payload(&chunks), &ranges)
            .expect("an update reads back as it was written")
    }

    /// The square of the Euclidean norm in units of 2^-48.
    pub const fn squared_norm(&self) -> u128 {
        self.squared_norm
    }

    /// Number of entries.
    pub fn parameter_count(&self) -> usize {
        self.chunks.last().map_or(0, |place| place.entries.end)
    }

    /// The payload it was read from.
    pub const fn payload(&self) -> &Arc<[u8]> {
        &self.payload
    }

    /// The content hash of the payload, as the header names it.
    pub fn payload_hash(&self) -> ContentHash {
        ContentHash::of(&self.payload)
    }

    /// The chunks in order.
    pub fn values(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.chunks.iter().map(|place| Chunk {
            range: place.entries.clone(),
            exponent: place.exponent,
            bytes: &self.values[place.bytes.clone()],
        })
    }

    /// Adds the change to `parameters`.
    ///
    /// # Panics
    /// If `parameters` is not of the update's schema.
    pub fn add_to(&self, parameters: &mut Parameters) {
        self.add_scaled(1, parameters.as_mut_slice());
    }

    /// Adds `weight` times the change to `sums`, in units of 2^-24.
    pub(crate) fn add_scaled(&self, weight: i64, sums: &mut [i64]) {
        assert_eq!(sums.len(), self.parameter_count(), "one schema has one length");
        for chunk in self.values() {
            let factor = weight << chunk.exponent;
            let sums = &mut sums[chunk.range.clone()];
            sums.iter_mut().zip(chunk.bytes).for_each(|(sum, &byte)| {
                *sum += factor * i64::from(byte.cast_signed());
            });
        }
    }
}

impl<'a> Chunk<'a> {
    /// The quantised values in two's complement.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The quantised values, each within -127..=127.
    pub fn quantised(&self) -> impl ExactSizeIterator<Item = i8> + '_ {
        self.bytes.iter().map(|&byte| byte.cast_signed())
    }

    /// The entries in units of 2^-24.
    pub fn units(&self) -> impl ExactSizeIterator<Item = i64> + '_ {
        self.quantised().map(|value| i64::from(value) << self.exponent)
    }
}

/// Writes a payload from chunks of an exponent and quantised values.
pub(crate) fn encode_payload(chunks: &[(u8, Vec<u8>)]) -> Arc<[u8]> {
    let mut writer = Writer::new();
    writer.array(chunks.len());
    for (exponent, values) in chunks {
        writer.array(2).unsigned(u64::from(*exponent)).bytes(values);
    }
    writer.into_bytes().into()
}

fn read_chunk(
    reader: &mut Reader<'_>,
    chunk: usize,
    entries: Range<usize>,
) -> Result<(Place, u128), UpdateError> {
    reader.tuple(2)?;
    let exponent = reader.unsigned(u64::MAX)?;
    let exponent = u8::try_from(exponent)
        .ok()
        .filter(|&exponent| exponent <= EXPONENT_MAX)
        .ok_or(UpdateError::Exponent { chunk, exponent })?;
    let values = reader.bytes(usize::MAX)?;
    if values.len() != entries.len() {
        let (found, expected) = (values.len(), entries.len());
        return Err(UpdateError::ChunkLength { chunk, found, expected });
    }
    if values.contains(&i8::MIN.cast_unsigned()) {
        return Err(UpdateError::Value { chunk });
    }
    let end = reader.position();
    let place = Place { entries, bytes: end - values.len()..end, exponent };
    Ok((place, squared_norm(exponent, values)))
}

/// The squared norm of one chunk in units of 2^-48.
fn squared_norm(exponent: u8, values: &[u8]) -> u128 {
    // At most 65,000 * 127^2 < 2^31 before the shift by at most 48 bits.
    let squared: u64 = values.iter().map(|&byte| square(byte)).sum();
    u128::from(squared) << (2 * exponent)
}

fn square(byte: u8) -> u64 {
    u64::from(byte.cast_signed().unsigned_abs()).pow(2)
}
