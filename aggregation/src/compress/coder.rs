//! Range coder: bits with learnt probabilities, in integers and in one form only.
//!
//! A binary range coder (Martin 1979) with models that learn as they go, so that no table
//! travels and tensors of a hundred entries cost next to nothing. Both sides hold
//! `range`, from 2^32 - 1; the encoder `low`, the decoder `code`, which is the bytes read,
//! as one number, less `low`. A bit with the chance `p / 2^16` of being 0 cuts
//! `bound = (range >> 16) * p` off the lower end: 0 keeps `range = bound`, 1 adds `bound`
//! to `low` and leaves `range - bound`. While `range < 2^24` both shift by one byte. At
//! the end the encoder writes the four bytes of `low`.
//!
//! A model begins with `p = 2^15` and, having seen `n` bits (counted up to 255), moves by
//! `floor(distance * floor(2^17 / (2n + 3)) / 2^16)` towards the bit, `distance` being
//! `2^16 - p` for 0 and `p` for 1. So `p` stays within 1 and 2^16 - 1.
//!
//! **One form.** The number of bytes follows from the bits alone, and at the end `code` is
//! the bytes as a number less `low`. A decoder that asks for `code = 0` and no byte left
//! has therefore read exactly what an encoder writes for the bits it found.

use super::payload::CodedError;

/// The range is kept at or above this.
const RANGE_LEAST: u32 = 1 << 24;
/// Bits of a probability.
const CHANCE_BITS: u32 = 16;
/// Bits after which a model learns no slower.
const SEEN_MAX: u8 = u8::MAX;
/// Bytes that end a stream, and that a decoder begins with.
const TAIL_BYTES: usize = 4;

/// Steps of learning by the number of bits seen, in 2^-16.
const STEPS: [u32; SEEN_MAX as usize + 1] = {
    let mut steps = [0; SEEN_MAX as usize + 1];
    let mut seen = 0;
    while seen < steps.len() {
        steps[seen] = (1 << (CHANCE_BITS + 1)) / (2 * seen as u32 + 3);
        seen += 1;
    }
    steps
};

/// What is known of a bit before it is coded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bit {
    /// The chance of 0, in 2^-16; never 0.
    zero: u16,
    seen: u8,
}

/// One direction of coding. A format is written down once, over this: an encoder takes
/// the bit and returns it, a decoder ignores it and returns the one it read.
pub(super) trait Coder {
    /// True for the direction that knows the bits.
    const WRITES: bool;

    /// Codes a bit as `model` expects it, and lets the model learn.
    fn bit(&mut self, model: &mut Bit, bit: bool) -> Result<bool, CodedError>;

    /// Codes the lowest `count` bits of `value`, the highest of them first, each with a
    /// chance of one half.
    fn plain(&mut self, count: u32, value: u32) -> Result<u32, CodedError> {
        (0..count).rev().try_fold(0, |found, place| {
            let bit = self.bit(&mut Bit::default(), value >> place & 1 == 1)?;
            Ok(found << 1 | u32::from(bit))
        })
    }
}

/// Writes bits.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u32,
    range: u32,
    bytes: Vec<u8>,
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    code: u32,
    range: u32,
    bytes: &'a [u8],
}

impl Default for Bit {
    fn default() -> Self {
        Self { zero: 1 << (CHANCE_BITS - 1), seen: 0 }
    }
}

impl Bit {
    /// The part of `range` that stands for 0: at least 256 and less than the range.
    fn bound(self, range: u32) -> u32 {
        (range >> CHANCE_BITS) * u32::from(self.zero)
    }

    fn learn(&mut self, bit: bool) {
        let step = STEPS[usize::from(self.seen)];
        let zero = u32::from(self.zero);
        let distance = if bit { zero } else { (1 << CHANCE_BITS) - zero };
        // At most two thirds of a distance below 2^16: the product is below 2^32.
        let moved = ((distance * step) >> CHANCE_BITS) as u16;
        self.zero = if bit { self.zero - moved } else { self.zero + moved };
        self.seen = self.seen.saturating_add(1);
    }
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self { low: 0, range: u32::MAX, bytes: Vec::new() }
    }

    /// The stream.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.low.to_be_bytes());
        self.bytes
    }

    fn raise(&mut self, by: u32) {
        let (low, carry) = self.low.overflowing_add(by);
        self.low = low;
        if !carry {
            return;
        }
        // The stream as a number is below 1, so a byte that can take the carry is there.
        for byte in self.bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return;
            }
        }
    }
}

impl Coder for Encoder {
    const WRITES: bool = true;

    #[inline]
    fn bit(&mut self, model: &mut Bit, bit: bool) -> Result<bool, CodedError> {
        let bound = model.bound(self.range);
        if bit {
            self.raise(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < RANGE_LEAST {
            self.bytes.push(self.low.to_be_bytes()[0]);
            self.low <<= 8;
            self.range <<= 8;
        }
        model.learn(bit);
        Ok(bit)
    }
}

impl<'a> Decoder<'a> {
    /// Begins to read a stream.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, CodedError> {
        let (first, rest) = bytes.split_first_chunk::<TAIL_BYTES>().ok_or(CodedError::Ended)?;
        let (code, range) = (u32::from_be_bytes(*first), u32::MAX);
        // From here on code stays below range.
        if code < range { Ok(Self { code, range, bytes: rest }) } else { Err(CodedError::Inexact) }
    }

    /// Ends reading; refuses what no encoder writes for the bits read.
    pub(super) fn finish(&self) -> Result<(), CodedError> {
        let exact = self.code == 0 && self.bytes.is_empty();
        if exact { Ok(()) } else { Err(CodedError::Inexact) }
    }
}

impl Coder for Decoder<'_> {
    const WRITES: bool = false;

    #[inline]
    fn bit(&mut self, model: &mut Bit, _: bool) -> Result<bool, CodedError> {
        let bound = model.bound(self.range);
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < RANGE_LEAST {
            let (&byte, rest) = self.bytes.split_first().ok_or(CodedError::Ended)?;
            self.bytes = rest;
            self.code = self.code << 8 | u32::from(byte);
            self.range <<= 8;
        }
        model.learn(bit);
        Ok(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bits: &[(usize, bool)]) -> Vec<u8> {
        let (mut encoder, mut models) = (Encoder::new(), [Bit::default(); 3]);
        for &(model, bit) in bits {
            encoder.bit(&mut models[model], bit).unwrap();
        }
        encoder.finish()
    }

    fn decoded(
        bytes: &[u8],
        models_of: &[(usize, bool)],
    ) -> Result<Vec<(usize, bool)>, CodedError> {
        let (mut decoder, mut models) = (Decoder::new(bytes)?, [Bit::default(); 3]);
        let bits = models_of
            .iter()
            .map(|&(model, _)| Ok((model, decoder.bit(&mut models[model], false)?)))
            .collect::<Result<_, CodedError>>()?;
        decoder.finish()?;
        Ok(bits)
    }

    #[test]
    fn chances_stay_inside() {
        for bit in [false, true] {
            let mut model = Bit::default();
            for _ in 0..100_000 {
                model.learn(bit);
                assert!(model.zero >= 1);
                assert!((256..1 << 24).contains(&model.bound(RANGE_LEAST)));
                assert!(model.bound(u32::MAX) < u32::MAX);
            }
        }
    }

    #[test]
    fn a_carry_runs_through_bytes_of_255() {
        let mut encoder = Encoder { low: u32::MAX, range: 1 << 24, bytes: vec![7, 255, 255] };
        encoder.raise(2);
        assert_eq!(encoder.finish(), [8, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn refuses_four_bytes_of_255() {
        assert_eq!(Decoder::new(&[255; 9]).unwrap_err(), CodedError::Inexact);
        assert_eq!(Decoder::new(&[0; 3]).unwrap_err(), CodedError::Ended);
    }

    proptest! {
        #[test]
        fn reads_back_bits(bits in prop::collection::vec((0_usize..3, prop::bool::weighted(0.1)), 0..3000)) {
            prop_assert_eq!(decoded(&encoded(&bits), &bits), Ok(bits));
        }

        #[test]
        fn plain_bits_are_read_back(value in any::<u32>(), count in 0_u32..=32) {
            let mut encoder = Encoder::new();
            encoder.plain(count, value).unwrap();
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes).unwrap();
            let mask = u32::try_from((1_u64 << count) - 1).unwrap();
            prop_assert_eq!(decoder.plain(count, 0), Ok(value & mask));
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(
            models in prop::collection::vec((0_usize..3, Just(false)), 0..60),
            bytes in prop::collection::vec(any::<u8>(), 0..12),
            near in any::<bool>(),
            change in (any::<prop::sample::Index>(), any::<u8>()),
        ) {
            let mut bytes = bytes;
            if near {
                // A stream of all zeros, changed in one place.
                bytes = encoded(&models);
                let at = change.0.index(bytes.len());
                bytes[at] ^= change.1;
            }
            if let Ok(bits) = decoded(&bytes, &models) {
                prop_assert_eq!(encoded(&bits), bytes);
            }
        }
    }
}
