//! Parameters: a model, or a change of one, as exact fixed-point integers.
//!
//! Every entry is an `i64` in units of 2^-24. M_0 is derived from the
//! manifest's seed in integers alone, so that an auditor needs no training
//! library. Floats appear only in [`Parameters::from_f32`] and
//! [`Parameters::to_f32`], at the door of the trainer.
//!
//! # M_0
//!
//! Tensor number `t` (counted from zero) with `Init::Uniform { bound }` has its
//! own ChaCha20 stream: key = blake3 derive-key under
//! `"longhaul 2026 initial tensor v1"` over the 32 bytes of the seed and `t` as
//! a little-endian `u32`; nonce and counter zero. With `width = 2 * bound + 1`,
//! each entry in order takes 8 bytes of key stream as a little-endian `u64` `x`,
//! takes another 8 while `x >= 2^64 - 2^64 mod width` (so that the result is
//! unbiased), and is `x mod width - bound`.

use std::fmt;

use longhaul_dtn::codec::Writer;
use longhaul_dtn::hash::ContentHash;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::schema::{Init, Schema};

/// Fraction bits of a parameter: its unit is 2^-24.
pub const FRACTION_BITS: u32 = 24;
/// Largest magnitude that [`Parameters::from_f32`] takes, in units: 65,536.0.
pub const FROM_F32_UNITS_MAX: i64 = 1 << 40;
/// The same as a float.
const FROM_F32_MAX: f32 = 65_536.0;

const INITIAL_CONTEXT: &str = "longhaul 2026 initial tensor v1";
const MODEL_CONTEXT: &str = "longhaul 2026 model v1";
/// 2^24, exact as a float.
const UNITS_PER_ONE: f32 = 16_777_216.0;

/// A flat vector of fixed-point parameters in units of 2^-24.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(Vec<i64>);

/// The name of a model: a hash over its schema and every parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(ContentHash);

/// Why floats are not parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// An entry is infinite or not a number; holds its position.
    #[error("parameter {0} is not finite")]
    NotFinite(usize),
    /// An entry is larger than 65,536 in magnitude; holds its position.
    #[error("parameter {0} is larger than 65536 in magnitude")]
    OutOfRange(usize),
}

impl Parameters {
    /// M_0 of `schema` for `seed`; see the file's head for the derivation.
    pub fn initial(schema: &Schema, seed: &[u8; 32]) -> Self {
        let mut entries = Vec::with_capacity(schema.parameter_count());
        for (tensor, number) in schema.tensors().iter().zip(0_u32..) {
            match tensor.init() {
                Init::Zero => entries.resize(entries.len() + tensor.entries(), 0),
                Init::Uniform { bound } => {
                    let mut stream = tensor_stream(seed, number);
                    entries.extend((0..tensor.entries()).map(|_| draw(&mut stream, bound)));
                }
            }
        }
        Self(entries)
    }

    /// `count` zeros.
    pub fn zeros(count: usize) -> Self {
        Self(vec![0; count])
    }

    /// Takes entries in units of 2^-24.
    pub const fn from_units(units: Vec<i64>) -> Self {
        Self(units)
    }

    /// Rounds floats to the nearest unit, ties to even.
    ///
    /// Refuses what is not finite or larger than 65,536 in magnitude.
    pub fn from_f32(values: &[f32]) -> Result<Self, ParameterError> {
        check(values)?;
        Ok(Self(values.iter().map(|&value| to_units(value)).collect()))
    }

    /// What training changed: each float after it, rounded to the nearest unit, less the
    /// one before, rounded likewise.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn change(before: &[f32], after: &[f32]) -> Result<Self, ParameterError> {
        assert_eq!(before.len(), after.len(), "parameters of one schema have one length");
        check(before)?;
        check(after)?;
        let pairs = after.iter().zip(before);
        Ok(Self(pairs.map(|(&after, &before)| to_units(after) - to_units(before)).collect()))
    }

    /// The entries as floats, each rounded to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        self.0.iter().map(|&units| units as f32 / UNITS_PER_ONE).collect()
    }

    /// Adds `other` entry by entry, saturating.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.len(), other.len(), "parameters of one schema have one length");
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(mine, &theirs)| *mine = mine.saturating_add(theirs));
    }

    /// Subtracts `other` entry by entry, saturating.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn subtract(&mut self, other: &Self) {
        assert_eq!(self.len(), other.len(), "parameters of one schema have one length");
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(mine, &theirs)| *mine = mine.saturating_sub(theirs));
    }

    /// Adds a term entry by entry: one pass that the compiler turns into vector
    /// code. The caller keeps the sums within 63 bits (see [`crate::fold`]).
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add_term(&mut self, term: &[i32]) {
        assert_eq!(self.len(), term.len(), "a term is of its model's schema");
        self.0.iter_mut().zip(term).for_each(|(sum, &entry)| *sum += i64::from(entry));
    }

    /// Subtracts a term entry by entry, as [`Parameters::add_term`] adds it.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn subtract_term(&mut self, term: &[i32]) {
        assert_eq!(self.len(), term.len(), "a term is of its model's schema");
        self.0.iter_mut().zip(term).for_each(|(sum, &entry)| *sum -= i64::from(entry));
    }

    /// The entries in units of 2^-24.
    pub fn as_slice(&self) -> &[i64] {
        &self.0
    }

    /// The entries, to change.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [i64] {
        &mut self.0
    }

    /// Number of entries.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// True for no entries.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of this model under `schema`: blake3 derive-key over the
    /// encoded schema and then every entry as a little-endian `i64`.
    pub fn model_id(&self, schema: &Schema) -> ModelId {
        /// Entries hashed at a time, so that no second copy of the model is made.
        const BLOCK: usize = 4096;
        let mut writer = Writer::new();
        schema.encode(&mut writer);
        let mut hasher = blake3::Hasher::new_derive_key(MODEL_CONTEXT);
        hasher.update(&writer.into_bytes());
        let mut block = Vec::with_capacity(BLOCK * 8);
        for entries in self.0.chunks(BLOCK) {
            block.clear();
            entries.iter().for_each(|entry| block.extend_from_slice(&entry.to_le_bytes()));
            hasher.update(&block);
        }
        ModelId(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }
}

impl ModelId {
    /// Takes a hash that is a model id already, as read from the wire.
    pub const fn from_hash(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash, for the wire.
    pub const fn as_hash(&self) -> &ContentHash {
        &self.0
    }

    /// The first 10 hexadecimal digits, for people; never compare these.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({})", self.short())
    }
}

fn tensor_stream(seed: &[u8; 32], number: u32) -> ChaCha20Rng {
    let input = [&seed[..], &number.to_le_bytes()].concat();
    ChaCha20Rng::from_seed(*ContentHash::derive(INITIAL_CONTEXT, &input).as_bytes())
}

fn draw(stream: &mut ChaCha20Rng, bound: u32) -> i64 {
    let width = 2 * u64::from(bound) + 1;
    let surplus = (u64::MAX % width + 1) % width;
    loop {
        let word = stream.next_u64();
        if word <= u64::MAX - surplus {
            // Below 2^33, so the conversion is exact.
            return (word % width) as i64 - i64::from(bound);
        }
    }
}

/// Checks that all entries are finite and at most [`FROM_F32_MAX`] in magnitude.
fn check(values: &[f32]) -> Result<(), ParameterError> {
    // One pass without branches; which entry it is matters only where one is bad.
    let sound = |value: &f32| value.abs() <= FROM_F32_MAX;
    if values.iter().fold(true, |all, value| all & sound(value)) {
        return Ok(());
    }
    let bad = values.iter().position(|value| !sound(value)).unwrap_or_default();
    Err(match values.get(bad).is_some_and(|value| value.is_finite()) {
        true => ParameterError::OutOfRange(bad),
        false => ParameterError::NotFinite(bad),
    })
}

/// The checked `value` in units; the product is exact: 24 significant bits times a power
/// of two.
fn to_units(value: f32) -> i64 {
    nearest(f64::from(value) * f64::from(UNITS_PER_ONE))
}

/// The nearest integer to `units`, ties to even; `units` is below 2^51 in magnitude.
///
/// At 1.5 * 2^52 doubles are one apart: the addition rounds, and the bits of the sum are
/// those of that number plus the integer. So the compiler makes vector code of it, where a
/// cast or a library call would go entry by entry.
fn nearest(units: f64) -> i64 {
    const ONE_APART: f64 = 6_755_399_441_055_744.0;
    (units + ONE_APART).to_bits().cast_signed() - ONE_APART.to_bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::TensorSpec;
    use proptest::prelude::*;

    fn schema(bounds: &[u32], length: u32) -> Schema {
        let tensors = bounds.iter().enumerate().map(|(number, &bound)| {
            TensorSpec::new(format!("t{number}"), vec![length], Init::Uniform { bound }).unwrap()
        });
        Schema::new(tensors.collect()).unwrap()
    }

    #[test]
    fn draws_as_documented_from_the_key_stream() {
        let bound = 3_000_000_000_u32;
        let model = Parameters::initial(&schema(&[5, bound], 50), &[1; 32]);
        let input = [&[1; 32][..], &1_u32.to_le_bytes()].concat();
        let key = blake3::derive_key("longhaul 2026 initial tensor v1", &input);
        let mut stream = [0; 400];
        ChaCha20Rng::from_seed(key).fill_bytes(&mut stream);
        let width = 2 * i128::from(bound) + 1;
        for (word, &entry) in stream.chunks_exact(8).zip(&model.as_slice()[50..]) {
            let word = i128::from(u64::from_le_bytes(word.try_into().unwrap()));
            assert!(word < (1 << 64) - (1 << 64) % width, "no rejection with this seed");
            assert_eq!(i128::from(entry), word % width - i128::from(bound));
        }
    }

    #[test]
    fn stays_within_the_bound_and_reaches_it() {
        let model = Parameters::initial(&schema(&[2], 1000), &[9; 32]);
        for value in -2..=2 {
            let count = model.as_slice().iter().filter(|&&entry| entry == value).count();
            assert!((150..250).contains(&count), "{value} occurs {count} times of 1000");
        }
        assert!(model.as_slice().iter().all(|entry| entry.abs() <= 2));
    }

    #[test]
    fn gives_every_tensor_and_seed_its_own_stream() {
        let two = schema(&[1 << 20, 1 << 20], 4);
        let model = Parameters::initial(&two, &[1; 32]);
        let (first, second) = model.as_slice().split_at(4);
        assert_ne!(first, second);
        assert_ne!(model, Parameters::initial(&two, &[2; 32]));
    }

    proptest! {
        #[test]
        fn rounds_as_the_standard_library_does(
            bits in any::<u32>(),
            halves in -(1_i64 << 41)..1_i64 << 41,
        ) {
            let value = f64::from(f32::from_bits(bits)) * f64::from(UNITS_PER_ONE);
            for units in [value, halves as f64 / 2.0] {
                if units.abs() <= FROM_F32_UNITS_MAX as f64 {
                    prop_assert_eq!(nearest(units), units.round_ties_even() as i64, "{}", units);
                }
            }
        }
    }

    #[test]
    fn a_change_is_the_difference_of_rounded_entries() {
        let floats = |shift: f32| (0..100).map(move |it| (it as f32 * 0.37 + shift).sin() * 9.0);
        let (before, after): (Vec<_>, Vec<_>) = (floats(0.0).collect(), floats(0.5).collect());
        let of = |values: &[f32]| Parameters::from_f32(values).unwrap();
        let mut expected = of(&after);
        expected.subtract(&of(&before));
        assert_eq!(Parameters::change(&before, &after), Ok(expected));
        let bad = [&after[..9], &[f32::NAN], &after[10..]].concat();
        for (before, after) in [(&before, &bad), (&bad, &after)] {
            assert_eq!(Parameters::change(before, after), Err(ParameterError::NotFinite(9)));
        }
    }

    #[test]
    fn refuses_floats_that_are_not_parameters() {
        for (value, expected) in [
            (f32::NAN, Err(ParameterError::NotFinite(1))),
            (f32::NEG_INFINITY, Err(ParameterError::NotFinite(1))),
            (65_537.0, Err(ParameterError::OutOfRange(1))),
            (f32::MAX, Err(ParameterError::OutOfRange(1))),
            (-65_536.0, Ok(-FROM_F32_UNITS_MAX)),
            (1.5 / UNITS_PER_ONE, Ok(2)),
            (2.5 / UNITS_PER_ONE, Ok(2)),
            (-0.0, Ok(0)),
            (f32::MIN_POSITIVE, Ok(0)),
        ] {
            let found = Parameters::from_f32(&[1.0, value]);
            assert_eq!(found.map(|found| found.as_slice()[1]), expected, "{value}");
        }
    }

    #[test]
    fn names_another_entry_or_schema_differently() {
        let (one, other) = (schema(&[1], 4), schema(&[2], 4));
        let zeros = Parameters::zeros(4);
        let mut changed = zeros.clone();
        changed.as_mut_slice()[3] = 1;
        assert_ne!(zeros.model_id(&one), changed.model_id(&one));
        assert_ne!(zeros.model_id(&one), zeros.model_id(&other));
    }

    #[test]
    fn names_a_long_model_by_all_its_entries() {
        let long = schema(&[1], 10_000);
        let zeros = Parameters::zeros(10_000);
        let mut writer = Writer::new();
        long.encode(&mut writer);
        let bytes = [writer.into_bytes(), vec![0; 80_000]].concat();
        let expected = ContentHash::derive(MODEL_CONTEXT, &bytes);
        assert_eq!(zeros.model_id(&long).as_hash(), &expected);
    }

    proptest! {
        #[test]
        fn returns_floats_of_moderate_size_unchanged(units in prop::collection::vec(-(1_i64 << 24)..=1 << 24, 1..9)) {
            let parameters = Parameters::from_units(units);
            prop_assert_eq!(Parameters::from_f32(&parameters.to_f32()), Ok(parameters));
        }

        #[test]
        fn subtracts_what_it_added(a in prop::collection::vec(-(1_i64 << 60)..1 << 60, 3), b in prop::collection::vec(-(1_i64 << 60)..1 << 60, 3)) {
            let (before, change) = (Parameters::from_units(a), Parameters::from_units(b));
            let mut after = before.clone();
            after.add(&change);
            after.subtract(&change);
            prop_assert_eq!(after, before);
        }
    }
}
