//! Sums: the sums of many updates as bytes, one form for each.
//!
//! Of each chunk the exponents of all updates are known, so that its sums are whole multiples of the
//! smallest power of two among them, and at most 127 times as large as all these powers together
//! ([`SumScale`]). The multiples are written as one stream of [`super::coder`], chunk after chunk, each under the models of
//! `values.rs`'s kind:
//!
//! - **Width**: how many bits the magnitude has without leading zeros, in six bits, each under those before
//!   it and the width of the magnitudes of the two multiples before and of the two above added. A row is
//!   as long as the last dimension of the tensor; what is before the first or above a tensor is zero.
//! - **Sign**: unless it is zero one bit, negative, under the signs of the one before and the one above.
//! - **Rest**: the bits below the highest: the first three under the width and the bits before, the others
//!   plain.
//!
//! Sums of independent updates look normal, and a normal distribution takes some 0.02 bits more than its entropy.
//!
//! **Bounds.** The schema says how many are read, and the scale how wide they are; what is accepted is
//! what is written for what was read.

use std::ops::Range;

use super::coder::{Bit, Coder, Decoder, Encoder};
use super::payload::{CodedError, rows};
use super::values::{Rows, tree};
use crate::schema::Schema;
use crate::slot::MEMBERS_MAX;
use crate::update::{EXPONENT_MAX, VALUE_MAX};

/// Bits of a width; a magnitude has at most 47.
const WIDTH_BITS: u32 = 6;
/// Widths of four magnitudes added.
const AROUND: usize = 50;
/// Bits below the highest that are learnt.
const REST_LEARNT: u32 = 3;
/// Negative, zero and positive.
const SIGNS: usize = 3;
/// Plain bits coded at a time.
const PLAIN: u32 = 16;

/// What the sums of a chunk are multiples of, and how large they are at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumScale {
    shift: u8,
    /// In multiples.
    largest: u64,
}

/// Why sums are not written, or bytes are not those of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// There is not a scale for each chunk, or not a sum for each parameter.
    #[error("{found} sums or scales, the schema has {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A sum is larger than the updates add up to, or no multiple of the smallest power; holds its place.
    #[error("entry {0} is not a sum of such updates")]
    Entry(usize),
    /// The bytes are not what is written for what they say.
    #[error("the coded sums are not well-formed: {0}")]
    Coded(#[from] CodedError),
}

/// The models of one stream.
#[derive(Debug)]
struct Models {
    width: Vec<[Bit; 1 << WIDTH_BITS]>,
    sign: [[Bit; SIGNS]; SIGNS],
    rest: [[Bit; 1 << REST_LEARNT]; 1 << WIDTH_BITS],
}

/// The multiples around one.
#[derive(Debug, Clone, Copy)]
struct Around {
    before: [i64; 2],
    above: [i64; 2],
}

impl SumScale {
    /// The scale of a chunk's sums, from its exponents in all updates; none for no or too many updates, or
    /// an exponent that no update has.
    pub fn of(exponents: impl IntoIterator<Item = u8>) -> Option<Self> {
        let exponents: Vec<u8> = exponents.into_iter().collect();
        let shift = *exponents.iter().min()?;
        let is_sound = exponents.len() <= MEMBERS_MAX
            && exponents.iter().all(|&exponent| exponent <= EXPONENT_MAX);
        let powers = || exponents.iter().map(|exponent| 1_u64 << (exponent - shift)).sum::<u64>();
        is_sound.then(|| Self { shift, largest: powers() * VALUE_MAX.unsigned_abs() as u64 })
    }

    /// The sum as a multiple.
    fn multiple(self, sum: i64) -> Option<i64> {
        let multiple = sum >> self.shift;
        let fits = multiple << self.shift == sum && multiple.unsigned_abs() <= self.largest;
        fits.then_some(multiple)
    }
}

/// Most bytes that sums are written in.
pub const fn sums_bytes_max(schema: &Schema) -> usize {
    8 * schema.parameter_count() + 64
}

/// Writes sums in units of 2^-24, one for each parameter; `scales` has one for each chunk of the schema.
///
/// # Errors
/// [`SumsError::Count`] and [`SumsError::Entry`].
pub fn encode_sums(
    schema: &Schema,
    scales: &[SumScale],
    sums: &[i64],
) -> Result<Vec<u8>, SumsError> {
    check_count(scales.len(), schema.chunks().len())?;
    check_count(sums.len(), schema.parameter_count())?;
    let mut multiples = sums.to_vec();
    for (range, scale) in schema.chunks().iter().zip(scales) {
        for (place, sum) in range.clone().zip(&mut multiples[range.clone()]) {
            *sum = scale.multiple(*sum).ok_or(SumsError::Entry(place))?;
        }
    }
    let mut encoder = Encoder::new();
    code(&mut encoder, schema, scales, &mut multiples)?;
    Ok(encoder.finish())
}

/// Reads what [`encode_sums`] wrote, strictly.
///
/// # Errors
/// Bytes that it does not write. Time and memory follow from the schema alone.
pub fn decode_sums(
    schema: &Schema,
    scales: &[SumScale],
    bytes: &[u8],
) -> Result<Vec<i64>, SumsError> {
    check_count(scales.len(), schema.chunks().len())?;
    let mut decoder = Decoder::new(bytes)?;
    let mut sums = vec![0; schema.parameter_count()];
    code(&mut decoder, schema, scales, &mut sums)?;
    decoder.finish()?;
    for (range, scale) in schema.chunks().iter().zip(scales) {
        sums[range.clone()].iter_mut().for_each(|sum| *sum <<= scale.shift);
    }
    Ok(sums)
}

const fn check_count(found: usize, expected: usize) -> Result<(), SumsError> {
    if found == expected { Ok(()) } else { Err(SumsError::Count { found, expected }) }
}

/// Codes multiples; a decoder overwrites them.
fn code<C: Coder>(
    coder: &mut C,
    schema: &Schema,
    scales: &[SumScale],
    multiples: &mut [i64],
) -> Result<(), SumsError> {
    let mut models = Models::new();
    let mut before = [0; 2];
    let mut chunks = schema.chunks().iter().zip(scales);
    for Rows { values: tensor, width: row } in rows(schema) {
        let mut start = tensor.start;
        while start < tensor.end {
            // Chunks are runs of one tensor, in order.
            let (Range { end, .. }, scale) = chunks.next().ok_or(CodedError::Ended)?;
            for at in start..*end {
                let up = |rows: usize| {
                    let above = at.checked_sub(rows * row).filter(|above| *above >= tensor.start);
                    above.map_or(0, |above| multiples[above])
                };
                let around = Around { before, above: [up(1), up(2)] };
                let multiple = models.multiple(coder, around, multiples[at])?;
                if multiple.unsigned_abs() > scale.largest {
                    return Err(SumsError::Entry(at));
                }
                multiples[at] = multiple;
                before = [before[1], multiple];
            }
            start = *end;
        }
    }
    Ok(())
}

impl Around {
    /// The width of all four magnitudes added.
    fn width(self) -> usize {
        let [a, b] = self.before;
        let [c, d] = self.above;
        let sum: u64 = [a, b, c, d].into_iter().map(i64::unsigned_abs).sum();
        width(sum) as usize
    }
}

impl Models {
    fn new() -> Self {
        let fresh = Bit::default();
        Self {
            width: vec![[fresh; 1 << WIDTH_BITS]; AROUND],
            sign: [[fresh; SIGNS]; SIGNS],
            rest: [[fresh; 1 << REST_LEARNT]; 1 << WIDTH_BITS],
        }
    }

    fn multiple<C: Coder>(
        &mut self,
        coder: &mut C,
        around: Around,
        multiple: i64,
    ) -> Result<i64, CodedError> {
        let magnitude = multiple.unsigned_abs();
        let under = &mut self.width[around.width().min(AROUND - 1)];
        let width = tree(coder, under, WIDTH_BITS, width(magnitude))?;
        let Some(below) = width.checked_sub(1) else { return Ok(0) };
        let sign = &mut self.sign[sign(around.before[1])][sign(around.above[0])];
        let negative = coder.bit(sign, multiple < 0)?;
        let learnt = below.min(REST_LEARNT);
        let mut plain = below - learnt;
        let high =
            tree(coder, &mut self.rest[width as usize], learnt, low_half(magnitude >> plain))?;
        let mut found = 1_u64 << learnt | u64::from(high);
        while plain > 0 {
            let count = plain.min(PLAIN);
            plain -= count;
            // The lowest `count` of these are coded.
            let part = coder.plain(count, low_half(magnitude >> plain))?;
            found = found << count | u64::from(part);
        }
        // A width is below 64, so a magnitude fits.
        let found = found.cast_signed();
        Ok(if negative { -found } else { found })
    }
}

/// 0 for negative, 1 for zero, 2 for positive.
const fn sign(multiple: i64) -> usize {
    (multiple.signum() + 1).cast_unsigned() as usize
}

/// Bits without leading zeros.
const fn width(magnitude: u64) -> u32 {
    u64::BITS - magnitude.leading_zeros()
}

/// The lowest 32 bits.
const fn low_half(value: u64) -> u32 {
    (value & u32::MAX as u64) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::schema::{Init, TensorSpec};

    fn schema(shapes: &[&[u32]]) -> Schema {
        let tensor = |(number, shape): (usize, &&[u32])| {
            TensorSpec::new(format!("t{number}"), shape.to_vec(), Init::Zero).unwrap()
        };
        Schema::new(shapes.iter().enumerate().map(tensor).collect()).unwrap()
    }

    fn scales(exponents: &[&[u8]]) -> Vec<SumScale> {
        exponents.iter().map(|it| SumScale::of(it.iter().copied()).unwrap()).collect()
    }

    /// Nearly normal numbers of deviation one.
    fn normal(random: &mut ChaCha20Rng) -> f64 {
        (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }

    #[test]
    fn a_scale_is_the_smallest_power_and_the_sum_of_all() {
        let scale = |shift, largest| Some(SumScale { shift, largest });
        assert_eq!(SumScale::of([3]), scale(3, 127));
        assert_eq!(SumScale::of([5, 3, 3]), scale(3, 127 * 6));
        assert_eq!(SumScale::of([0, 24]), scale(0, 127 * ((1 << 24) + 1)));
        assert_eq!(SumScale::of(vec![24; MEMBERS_MAX]), scale(24, 127 * MEMBERS_MAX as u64));
        assert_eq!(SumScale::of([25]), None);
        assert_eq!(SumScale::of([]), None);
        assert_eq!(SumScale::of(vec![0; MEMBERS_MAX + 1]), None);
        let wide = SumScale::of((0..MEMBERS_MAX).map(|it| if it == 0 { 0 } else { 24 })).unwrap();
        assert!(width(wide.largest) < 48 && (width(4 * wide.largest) as usize) < AROUND);
    }

    #[test]
    fn twenty_updates_of_int8_take_little_more_than_their_entropy() {
        let mut random = ChaCha20Rng::from_seed([7; 32]);
        let schema = schema(&[&[250, 200]]);
        // A block of 127 levels has a deviation of some 29; a third of the authors step half as far.
        let exponents: Vec<u8> = (0..20).map(|author| 6 + u8::from(author % 3 > 0)).collect();
        let mut sums = vec![0_i64; schema.parameter_count()];
        let mut squares = 0.0;
        for (number, sum) in sums.iter_mut().enumerate() {
            for exponent in &exponents {
                let value = (29.0 * normal(&mut random)).round().clamp(-127.0, 127.0) as i64;
                *sum += value << exponent;
            }
            squares += (*sum as f64 / 64.0).powi(2);
            assert_eq!(*sum % 64, 0, "{number}");
        }
        let scales = scales(&[&exponents]);
        let bytes = encode_sums(&schema, &scales, &sums).unwrap();
        let count = sums.len() as f64;
        let entropy = (2.0 * std::f64::consts::PI * std::f64::consts::E * squares / count).log2();
        let (each, least) = (bytes.len() as f64 / count, entropy / 2.0 / 8.0);
        println!("{each:.4} bytes an entry, the entropy is {least:.4}");
        assert!(each < least * 1.01 && each < 1.27, "{each} {least}");
        assert_eq!(decode_sums(&schema, &scales, &bytes), Ok(sums));
    }

    #[test]
    fn neighbours_that_are_small_together_take_less() {
        let mut random = ChaCha20Rng::from_seed([8; 32]);
        let schema = schema(&[&[100, 100]]);
        let wide = |place: usize| if (place % 100) < 50 { 1.0 } else { 300.0 };
        let sums: Vec<i64> =
            (0..10_000).map(|place| (wide(place) * normal(&mut random)) as i64).collect();
        let bytes = encode_sums(&schema, &scales(&[&[0; 20]]), &sums).unwrap();
        let mut mixed: Vec<(u64, i64)> =
            sums.into_iter().map(|sum| (random.next_u64(), sum)).collect();
        mixed.sort_unstable();
        let mixed: Vec<i64> = mixed.into_iter().map(|it| it.1).collect();
        let other = encode_sums(&schema, &scales(&[&[0; 20]]), &mixed).unwrap();
        assert!(bytes.len() * 10 < other.len() * 9, "{} {}", bytes.len(), other.len());
    }

    #[test]
    fn the_bytes_of_a_few_sums_are_these() {
        let schema = schema(&[&[2, 3], &[4]]);
        let scales = scales(&[&[2, 2, 3], &[0, 24]]);
        let sums = [0, 4, -8, 16, -2032, 400, 1, -1, 0, 127 << 24];
        let bytes = encode_sums(&schema, &scales, &sums).unwrap();
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, "01562ba929fb61ea9ba2a046710000000000");
        assert_eq!(decode_sums(&schema, &scales, &bytes), Ok(sums.to_vec()));
    }

    #[test]
    fn what_no_updates_add_up_to_is_neither_written_nor_read() {
        let schema = schema(&[&[3]]);
        let narrow = scales(&[&[2, 2]]);
        let refused = |sums: &[i64]| encode_sums(&schema, &narrow, sums).unwrap_err();
        assert_eq!(refused(&[0, 1, 0]), SumsError::Entry(1));
        assert_eq!(refused(&[0, 0, 255 * 4]), SumsError::Entry(2));
        assert_eq!(refused(&[i64::MIN, 0, 0]), SumsError::Entry(0));
        assert_eq!(refused(&[0, 0]), SumsError::Count { found: 2, expected: 3 });
        assert!(encode_sums(&schema, &narrow, &[254 * 4, -254 * 4, 0]).is_ok());
        let wide = scales(&[&[2, 2, 2]]);
        let bytes = encode_sums(&schema, &wide, &[0, 255 * 4, 0]).unwrap();
        assert_eq!(decode_sums(&schema, &narrow, &bytes), Err(SumsError::Entry(1)));
        let none = SumsError::Count { found: 0, expected: 1 };
        assert_eq!(encode_sums(&schema, &[], &[0; 3]), Err(none));
        assert_eq!(decode_sums(&schema, &[], &bytes), Err(none));
    }

    #[test]
    fn the_widest_sums_keep_within_their_bytes() {
        let mut random = ChaCha20Rng::from_seed([9; 32]);
        let schema = schema(&[&[40, 50]]);
        let scale = SumScale { shift: 0, largest: (1 << 47) - 1 };
        let sums: Vec<i64> = (0..2_000)
            .map(|_| {
                let magnitude = random.next_u64() >> (17 + random.next_u32() % 47);
                magnitude.cast_signed() * if random.next_u32() % 2 == 0 { 1 } else { -1 }
            })
            .collect();
        let bytes = encode_sums(&schema, &[scale], &sums).unwrap();
        assert!(bytes.len() <= sums_bytes_max(&schema), "{}", bytes.len());
        assert_eq!(decode_sums(&schema, &[scale], &bytes), Ok(sums));
    }

    fn arb_sums() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<i64>)> {
        let exponents = prop::collection::vec(prop::collection::vec(0_u8..=24, 1..6), 2);
        (exponents, prop::collection::vec(any::<i64>(), 10)).prop_map(|(exponents, noise)| {
            let scales = scales(&exponents.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let sum = |(place, noise): (usize, i64)| {
                let scale = scales[usize::from(place >= 6)];
                let most = scale.largest.cast_signed();
                let most = if place % 3 == 0 { most } else { most.min(40) };
                (noise % (most + 1)) << scale.shift
            };
            (exponents, noise.into_iter().enumerate().map(sum).collect())
        })
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote((exponents, sums) in arb_sums()) {
            let schema = schema(&[&[2, 3], &[4]]);
            let scales = scales(&exponents.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let bytes = encode_sums(&schema, &scales, &sums).unwrap();
            prop_assert!(bytes.len() <= sums_bytes_max(&schema));
            prop_assert_eq!(decode_sums(&schema, &scales, &bytes), Ok(sums));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(
            (exponents, sums) in arb_sums(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            tail in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let schema = schema(&[&[2, 3], &[4]]);
            let scales = scales(&exponents.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut bytes = encode_sums(&schema, &scales, &sums).unwrap();
            for (at, change) in changes {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(tail);
            if let Ok(found) = decode_sums(&schema, &scales, &bytes) {
                prop_assert_eq!(encode_sums(&schema, &scales, &found), Ok(bytes));
            }
        }

        #[test]
        fn never_panics_on_noise(noise: Vec<u8>, exponents in prop::collection::vec(0_u8..=24, 1..5)) {
            let schema = schema(&[&[300]]);
            let scales = scales(&[&exponents]);
            if let Ok(found) = decode_sums(&schema, &scales, &noise) {
                prop_assert_eq!(encode_sums(&schema, &scales, &found), Ok(noise));
            }
        }
    }
}
