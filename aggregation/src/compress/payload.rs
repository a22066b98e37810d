//! Payload: an update as its encoding writes it, in one form only.
//!
//! With [`Encoding::Int8`] it is the payload of [`crate::update`]. All others are a CBOR array
//! `[exponents, body]` of two byte strings: one exponent (0 to 24) for each chunk of the
//! schema, and the kept values (those of the mask for rand-k, all of them otherwise) in
//! order: as the stream of [`super::values`] (sparse for top-k, dense otherwise) where
//! that has fewer bytes than there are kept values, else with one byte each. So a body
//! that is as long as there are kept values is not coded, a longer one is refused, and so
//! is a plain one whose stream is shorter.
//!
//! **Bounds.** The schema fixes how many values are read, whatever the payload says; the
//! payload is at most as long as an int8 one can be, each value costs at most nine coded
//! bits and each gap 31. Nothing is allocated before the lengths of both strings are checked.

use std::ops::Range;
use std::sync::Arc;

use longhaul_dtn::codec::{Reader, Writer};

use super::coder::{Decoder, Encoder};
use super::encoding::Encoding;
use super::mask::MaskKey;
use super::values::{self, Rows};
use crate::schema::{Schema, TensorSpec};
use crate::update::{EXPONENT_MAX, Update, UpdateError};

/// Why a body is not what an encoder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodedError {
    /// The stream ends before the last value.
    #[error("the stream ends before the last value")]
    Ended,
    /// The values are read, and the stream is not the one that they have.
    #[error("the stream goes on after the last value, or is not its values' own")]
    Inexact,
    /// The body has one byte for each value although a stream is shorter.
    #[error("one byte for each value, where a stream is shorter")]
    NotShortest,
    /// A gap reaches beyond the last entry.
    #[error("a gap reaches beyond the last entry")]
    Beyond,
    /// A value is larger than the encoding allows.
    #[error("a value is above {levels} in magnitude")]
    AboveLevels {
        /// The largest magnitude allowed.
        levels: u8,
    },
    /// More values are not zero than the encoding allows.
    #[error("more than {most} values of the update or of a chunk are not zero")]
    TooMany {
        /// Most values that may be not zero.
        most: usize,
    },
    /// An entry outside the mask is not zero: the update cannot be written so.
    #[error("entry {0} is not in the mask of the epoch and not zero")]
    Unmasked(usize),
}

impl Encoding {
    /// Reads a payload of this encoding, strictly: what is accepted is what
    /// [`Encoding::write`] gives for the update. `key` is of the update's epoch; only rand-k
    /// asks for it.
    pub fn read(
        &self,
        payload: Arc<[u8]>,
        schema: &Schema,
        key: &MaskKey,
    ) -> Result<Update, UpdateError> {
        if *self == Self::Int8 {
            return Update::decode(payload, schema);
        }
        let chunks = schema.chunks();
        let mask = self.mask(schema, key);
        let kept = mask.as_ref().map_or(schema.parameter_count(), Vec::len);
        let mut reader = Reader::new(&payload);
        reader.tuple(2)?;
        let exponents = reader.bytes(usize::MAX)?;
        let body = reader.bytes(kept)?;
        reader.finish()?;
        if exponents.len() != chunks.len() {
            let (found, expected) = (exponents.len(), chunks.len());
            return Err(UpdateError::ChunkCount { found, expected });
        }
        if let Some(chunk) = exponents.iter().position(|&exponent| exponent > EXPONENT_MAX) {
            let exponent = u64::from(exponents[chunk]);
            return Err(UpdateError::Exponent { chunk, exponent });
        }
        let rows = if mask.is_none() { rows(schema) } else { one_row(kept).into() };
        let values = self.read_body(body, kept, &rows)?;
        let values = match mask {
            None => values,
            Some(mask) => spread(&values, &mask, schema.parameter_count()),
        };
        self.check(&values, schema)?;
        let exponents = exponents.to_vec();
        Ok(Update::from_values(payload, &exponents, &values, chunks))
    }

    /// The same change as `update` with a payload of this encoding.
    ///
    /// Fails if the encoding cannot say it: values above its levels, too many that are
    /// not zero, or one outside the mask.
    ///
    /// # Panics
    /// If the update is not of `schema`.
    pub fn write(
        &self,
        update: &Update,
        schema: &Schema,
        key: &MaskKey,
    ) -> Result<Update, CodedError> {
        let chunks = schema.chunks();
        assert_eq!(update.parameter_count(), schema.parameter_count(), "one schema has one length");
        if *self == Self::Int8 {
            return Ok(update.to_plain());
        }
        let exponents: Vec<u8> = update.values().map(|chunk| chunk.exponent).collect();
        let values: Vec<i8> =
            update.values().flat_map(|it| it.bytes().iter().map(|it| it.cast_signed())).collect();
        self.check(&values, schema)?;
        let body = match self.mask(schema, key) {
            None => self.body(&values, &rows(schema))?,
            Some(mask) => self.body(&gather(&values, &mask)?, &one_row(mask.len()))?,
        };
        let mut writer = Writer::new();
        writer.array(2).bytes(&exponents).bytes(&body);
        Ok(Update::from_values(writer.into_bytes().into(), &exponents, &values, chunks))
    }

    /// The entries that travel, unless all of them may.
    pub(super) fn mask(&self, schema: &Schema, key: &MaskKey) -> Option<Vec<usize>> {
        match *self {
            Self::RandK { share, .. } => Some(key.positions(schema.parameter_count(), share)),
            _ => None,
        }
    }

    /// Refuses values above the levels and more than the share of them.
    fn check(&self, values: &[i8], schema: &Schema) -> Result<(), CodedError> {
        let levels = self.levels().largest();
        if values.iter().any(|value| value.unsigned_abs() > levels) {
            return Err(CodedError::AboveLevels { levels });
        }
        let within = |values: &[i8]| {
            let most = self.share().of(values.len());
            let found = values.iter().filter(|&&value| value != 0).count();
            if found > most { Err(CodedError::TooMany { most }) } else { Ok(()) }
        };
        match self {
            Self::Ternary { .. } => {
                schema.chunks().iter().try_for_each(|range| within(&values[range.clone()]))
            }
            _ => within(values),
        }
    }

    /// The body for kept values: their stream, or they themselves if that is not longer.
    fn body(&self, kept: &[i8], rows: &[Rows]) -> Result<Vec<u8>, CodedError> {
        let mut encoder = Encoder::new();
        let mut values = kept.to_vec();
        let (levels, most) = (self.levels().largest(), self.share().of(kept.len()));
        match self {
            Self::TopK { .. } => values::sparse(&mut encoder, levels, most, &mut values)?,
            _ => values::dense(&mut encoder, levels, rows, &mut values)?,
        }
        let stream = encoder.finish();
        match stream.len() < kept.len() {
            true => Ok(stream),
            false => Ok(kept.iter().map(|value| value.cast_unsigned()).collect()),
        }
    }

    fn read_body(&self, body: &[u8], kept: usize, rows: &[Rows]) -> Result<Vec<i8>, CodedError> {
        if body.len() == kept {
            let values: Vec<i8> = body.iter().map(|byte| byte.cast_signed()).collect();
            let levels = self.levels().largest();
            if values.iter().any(|value| value.unsigned_abs() > levels) {
                return Err(CodedError::AboveLevels { levels });
            }
            let shortest = self.body(&values, rows)? == body;
            return if shortest { Ok(values) } else { Err(CodedError::NotShortest) };
        }
        let mut decoder = Decoder::new(body)?;
        let mut values = vec![0; kept];
        let (levels, most) = (self.levels().largest(), self.share().of(kept));
        match self {
            Self::TopK { .. } => values::sparse(&mut decoder, levels, most, &mut values)?,
            _ => values::dense(&mut decoder, levels, rows, &mut values)?,
        }
        decoder.finish()?;
        Ok(values)
    }
}

/// The tensors of a schema, in rows of their last dimension.
pub(super) fn rows(schema: &Schema) -> Vec<Rows> {
    let rows = |(tensor, values): (&TensorSpec, Range<usize>)| {
        let last = tensor.shape().last().and_then(|&side| usize::try_from(side).ok());
        Rows { width: last.unwrap_or(values.len()), values }
    };
    schema.tensor_ranges().map(rows).collect()
}

/// Values with nothing above them.
fn one_row(count: usize) -> [Rows; 1] {
    [Rows { values: 0..count, width: count }]
}

fn spread(kept: &[i8], mask: &[usize], entries: usize) -> Vec<i8> {
    let mut values = vec![0; entries];
    mask.iter().zip(kept).for_each(|(&at, &value)| values[at] = value);
    values
}

fn gather(values: &[i8], mask: &[usize]) -> Result<Vec<i8>, CodedError> {
    let kept: Vec<i8> = mask.iter().map(|&at| values[at]).collect();
    let nonzero = |values: &[i8]| values.iter().filter(|&&value| value != 0).count();
    if nonzero(&kept) == nonzero(values) {
        return Ok(kept);
    }
    let outside = (0..values.len()).find(|at| values[*at] != 0 && mask.binary_search(at).is_err());
    Err(CodedError::Unmasked(outside.unwrap_or_default()))
}
