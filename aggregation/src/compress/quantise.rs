//! Quantising: the integers of a chunk become an exponent and small values.
//!
//! - 127 levels: the smallest exponent with which the largest magnitude rounds to at most
//!   127, or the largest exponent, with which entries saturate.
//! - 7 levels: of the smallest exponent that fits in that sense and the eight below it, the
//!   one with the least squared error; entries beyond saturate. One exponent serves up to
//!   65,000 entries: one that fits the largest of them leaves most others at zero.
//! - 1 level: the exponent `e` with the least squared error of all, where an entry is not zero
//!   if its magnitude is at least `2^(e - 1)` (cut towards zero: `2^e`), and of these the
//!   share of the encoding with the largest magnitudes, of equal ones the first.
//!
//! Which exponent is chosen is the sender's business: a reader takes any.

use std::ops::Range;

use super::encoding::{Encoding, Levels, Share};
use crate::round::shift_half_even;
use crate::update::{Chunk, EXPONENT_MAX, Update, encode_payload};

/// Exponents below the one that fits that are tried with seven levels.
const EXPONENTS_BELOW: u8 = 8;
/// Bit lengths of carried entries: 0 for zero to 41 for 2^40.
const LENGTHS: usize = 42;

/// How a value between two steps is quantised.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rounding {
    Nearest,
    TowardsZero,
}

/// The chunks of an update that is not written yet.
#[derive(Debug)]
pub(super) struct Quantised(Vec<(u8, Vec<u8>)>);

/// How a chunk may be quantised.
#[derive(Debug, Clone, Copy)]
struct Grid {
    levels: Levels,
    /// Most of the entries of a chunk that may be not zero, where there is one level.
    share: Share,
    least_exponent: u8,
    /// Longest that the quantised chunk may be, squared, in units of 2^-48.
    squared_max: u128,
}

/// The entries of largest magnitude: all above one and some that equal it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    magnitude: u64,
    equal: usize,
}

/// What an exponent makes of a chunk.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    /// The square of what is left out.
    error: u128,
    /// The square of what is said.
    squared: u128,
}

impl Quantised {
    /// Quantises values, whose magnitudes are at most 2^40.
    pub(super) fn of(
        values: &[i64],
        encoding: Encoding,
        chunks: &[Range<usize>],
        rounding: Rounding,
    ) -> Self {
        let share = match encoding {
            Encoding::Ternary { share } => share,
            _ => Share::ALL,
        };
        let grid =
            Grid { levels: encoding.levels(), share, least_exponent: 0, squared_max: u128::MAX };
        Self(chunks.iter().map(|range| grid.quantise(&values[range.clone()], rounding)).collect())
    }

    /// Quantises an update to fewer levels. No exponent gets smaller and no chunk longer.
    pub(super) fn coarser(update: &Update, levels: Levels, share: Share) -> Self {
        let coarse = |chunk: Chunk<'_>| {
            let units: Vec<i64> = chunk.units().collect();
            let squared_max = units.iter().map(|it| u128::from(it.unsigned_abs()).pow(2)).sum();
            Grid { levels, share, least_exponent: chunk.exponent, squared_max }
                .quantise(&units, Rounding::Nearest)
        };
        Self(update.values().map(coarse).collect())
    }

    /// The square of the Euclidean norm in units of 2^-48.
    pub(super) fn squared_norm(&self) -> u128 {
        let squared = |(exponent, values): &(u8, Vec<u8>)| {
            let square = |byte: &u8| u64::from(byte.cast_signed().unsigned_abs()).pow(2);
            u128::from(values.iter().map(square).sum::<u64>()) << (2 * exponent)
        };
        self.0.iter().map(squared).sum()
    }

    /// The update, with an int8 payload.
    pub(super) fn into_update(self, chunks: &[Range<usize>]) -> Update {
        Update::decode_chunks(encode_payload(&self.0), chunks)
            .expect("an update reads back as it was written")
    }
}

/// The `count` values of largest magnitude, of equal ones the first; zero for all others.
pub(super) fn keep_largest(values: &[i64], count: usize) -> Vec<i64> {
    let mut cut = Cut::of(values, count);
    values.iter().map(|&value| if cut.keeps(value.unsigned_abs()) { value } else { 0 }).collect()
}

impl Cut {
    /// The cut that keeps `count` of `values`, or all.
    fn of(values: &[i64], count: usize) -> Self {
        let mut magnitudes: Vec<u64> = values.iter().map(|value| value.unsigned_abs()).collect();
        let Some(at) = magnitudes.len().checked_sub(count) else {
            return Self { magnitude: 0, equal: values.len() };
        };
        if count == 0 {
            return Self { magnitude: u64::MAX, equal: 0 };
        }
        let (_, &mut magnitude, above) = magnitudes.select_nth_unstable(at);
        let above = above.iter().filter(|&&it| it > magnitude).count();
        Self { magnitude, equal: count - above }
    }

    /// Asks for one value after another.
    fn keeps(&mut self, magnitude: u64) -> bool {
        if magnitude != self.magnitude {
            return magnitude > self.magnitude;
        }
        let keeps = self.equal > 0;
        self.equal -= usize::from(keeps);
        keeps
    }
}

impl Grid {
    fn quantise(self, values: &[i64], rounding: Rounding) -> (u8, Vec<u8>) {
        match self.levels {
            Levels::One => self.ternary(values, rounding),
            Levels::Seven | Levels::Full => {
                let exponent = self.exponent(values, rounding);
                (exponent, self.rounded(values, exponent, rounding))
            }
        }
    }

    fn limit(self) -> i64 {
        i64::from(self.levels.largest())
    }

    /// The values with this exponent, saturating.
    fn rounded(self, values: &[i64], exponent: u8, rounding: Rounding) -> Vec<u8> {
        let limit = self.limit();
        let narrow = |value: i64| value.clamp(-limit, limit).to_le_bytes()[0];
        // One loop for each way of rounding, so that neither asks which it is.
        match rounding {
            Rounding::Nearest => {
                values.iter().map(|&value| narrow(shift_half_even(value, exponent))).collect()
            }
            Rounding::TowardsZero => {
                let step = 1 << exponent;
                values.iter().map(|&value| narrow(value / step)).collect()
            }
        }
    }

    fn exponent(self, values: &[i64], rounding: Rounding) -> u8 {
        let largest = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
        let largest = i64::try_from(largest).expect("carried entries are at most 2^40");
        let fit = self.fit(largest, rounding).max(self.least_exponent);
        if self.levels == Levels::Full {
            return fit;
        }
        let least = fit.saturating_sub(EXPONENTS_BELOW).max(self.least_exponent);
        let scores = (least..=fit).map(|it| (it, self.score(values, it, rounding)));
        let allowed = scores.filter(|(_, score)| score.squared <= self.squared_max);
        allowed.min_by_key(|(_, score)| score.error).map_or(least, |(exponent, _)| exponent)
    }

    /// The smallest exponent with which `largest` fits, or the largest there is.
    fn fit(self, largest: i64, rounding: Rounding) -> u8 {
        let round = |exponent: u8| match rounding {
            Rounding::Nearest => shift_half_even(largest, exponent),
            Rounding::TowardsZero => largest / (1 << exponent),
        };
        let bits = i64::BITS - largest.leading_zeros();
        let level_bits = u8::BITS - self.levels.largest().leading_zeros();
        let least = u8::try_from(bits.saturating_sub(level_bits)).unwrap_or(EXPONENT_MAX);
        let least = least.min(EXPONENT_MAX);
        if round(least) <= self.limit() { least } else { EXPONENT_MAX.min(least + 1) }
    }

    fn score(self, values: &[i64], exponent: u8, rounding: Rounding) -> Score {
        let limit = self.limit();
        values.iter().fold(Score::default(), |score, &value| {
            let rounded = match rounding {
                Rounding::Nearest => shift_half_even(value, exponent),
                Rounding::TowardsZero => value / (1 << exponent),
            };
            let rounded = rounded.clamp(-limit, limit) << exponent;
            let square = |it: i64| u128::from(it.unsigned_abs()).pow(2);
            // At most 2^40: 65,000 squares are below 2^96.
            Score {
                error: score.error + square(value - rounded),
                squared: score.squared + square(rounded),
            }
        })
    }

    fn ternary(self, values: &[i64], rounding: Rounding) -> (u8, Vec<u8>) {
        // How many magnitudes are so long or longer, and their sum: at most 2^56.
        let mut tally = [(0_usize, 0_u64); LENGTHS];
        for value in values {
            let magnitude = value.unsigned_abs();
            let (count, sum) = &mut tally[length(magnitude)];
            *count += 1;
            *sum += magnitude;
        }
        for shorter in (0..LENGTHS - 1).rev() {
            let (count, sum) = tally[shorter + 1];
            tally[shorter].0 += count;
            tally[shorter].1 += sum;
        }
        let most = self.share.of(values.len());
        let capped = tally[1].0 > most;
        let cut = Cut::of(values, if capped { most } else { values.len() });
        let largest = capped.then(|| sum_of(cut, values));
        let shortest = |exponent: u8| match rounding {
            Rounding::Nearest => usize::from(exponent).max(1),
            Rounding::TowardsZero => usize::from(exponent) + 1,
        };
        // By how much the squared error is below that of all zeros, unless it is too long.
        let gain = |exponent: u8| {
            let (count, sum) = tally[shortest(exponent)];
            let sum = if count > most { largest.unwrap_or(sum) } else { sum };
            let (count, step) = (count.min(most) as u128, 1_u128 << exponent);
            let squared = count * step * step;
            let gain = (2 * step * u128::from(sum)).cast_signed() - squared.cast_signed();
            (squared <= self.squared_max).then_some((gain, exponent))
        };
        let exponents = (self.least_exponent..=EXPONENT_MAX).rev();
        // Of equal ones the smallest.
        let best = exponents.filter_map(gain).max_by_key(|&(gain, _)| gain);
        let exponent = best.map_or(self.least_exponent, |(_, exponent)| exponent);
        let (shortest, mut cut) = (shortest(exponent), cut);
        let one = |&value: &i64| {
            let magnitude = value.unsigned_abs();
            let stays = length(magnitude) >= shortest && cut.keeps(magnitude);
            if stays { value.signum().to_le_bytes()[0] } else { 0 }
        };
        (exponent, values.iter().map(one).collect())
    }
}

/// Bits of a magnitude without leading zeros.
fn length(magnitude: u64) -> usize {
    // At most 64.
    (u64::BITS - magnitude.leading_zeros()) as usize
}

fn sum_of(mut cut: Cut, values: &[i64]) -> u64 {
    values.iter().map(|value| value.unsigned_abs()).filter(|&it| cut.keeps(it)).sum()
}
