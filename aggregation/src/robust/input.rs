//! Input: borrowed rows, checked once.

use std::fmt;

use super::lanes::Lanes;

/// Largest magnitude of an entry: squares of differences summed over any vector stay finite
/// in the numbers that dot products are summed in.
pub const MAGNITUDE_MAX: f64 = 1e15;

/// A number that kernels work on: `f32`, `f64`, and `i16` for quantised values.
pub trait Number: Copy + PartialOrd + fmt::Debug + Default + Send + Sync + 'static + Lanes {
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// In double precision, exact.
    fn to_f64(self) -> f64;
    /// A whole number within 2^62; what is behind its point is cut off.
    fn to_whole(self) -> i64;
    /// The value, exact.
    fn from_i8(value: i8) -> Self;
    /// The sum; whole numbers wrap around.
    fn plus(self, other: Self) -> Self;
    /// The product; whole numbers wrap around.
    fn times(self, other: Self) -> Self;
    /// Without its sign.
    fn magnitude(self) -> Self;
}

/// A float that rules work on: `f32` and `f64`.
pub trait Real: Number {
    /// The difference.
    fn minus(self, other: Self) -> Self;
    /// The least normal number.
    const NORMAL: Self;
    /// A nonzero entry below it could make products, or sums of those, denormal.
    const SMALL: Self;
    /// A nonzero entry below it could make sums of entries denormal.
    const TINY: Self;
}

macro_rules! real {
    ($float:ident, $small:expr, $tiny:expr) => {
        impl Number for $float {
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $float
            }
            #[inline(always)]
            fn to_whole(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_i8(value: i8) -> Self {
                value.into()
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
        }

        impl Real for $float {
            const NORMAL: Self = $float::MIN_POSITIVE;
            const SMALL: Self = $small;
            const TINY: Self = $tiny;
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
        }
    };
}

// 2^-40 and 2^-100: a product is a multiple of 2^-126, a sum one of 2^-123.
real!(f32, 1.0 / (1_u64 << 40) as f32, 1.0 / (1_u128 << 100) as f32);
// 2^-448 and 2^-896: a product is a multiple of 2^-1000, a sum one of 2^-948.
real!(f64, f64::from_bits((1023 - 448) << 52), f64::from_bits((1023 - 896) << 52));

impl Number for i16 {
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn to_whole(self) -> i64 {
        self.into()
    }
    #[inline(always)]
    fn from_i8(value: i8) -> Self {
        value.into()
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.wrapping_abs()
    }
}

/// Vectors of one length, all finite; at least one.
#[derive(Debug, Clone)]
pub struct Vectors<'a, T> {
    rows: Vec<&'a [T]>,
    len: usize,
    /// Those with an entry below [`Real::SMALL`].
    small: Vec<usize>,
    /// Those with an entry below [`Real::TINY`].
    tiny: Vec<usize>,
}

/// Why rows are not vectors that rules take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// There is none.
    #[error("no vectors to aggregate")]
    Empty,
    /// One has another length than the first.
    #[error("vector {row} has {found} entries, the first has {expected}")]
    Length {
        /// Which.
        row: usize,
        /// Its length.
        found: usize,
        /// The first one's.
        expected: usize,
    },
    /// An entry is not a number, infinite, or larger than [`MAGNITUDE_MAX`].
    #[error("entry {entry} of vector {row} is not a number of magnitude at most 1e15")]
    Entry {
        /// In which vector.
        row: usize,
        /// Which entry.
        entry: usize,
    },
}

impl<'a, T: Real> Vectors<'a, T> {
    /// Checks rows; one pass over them.
    pub fn new(rows: Vec<&'a [T]>) -> Result<Self, InputError> {
        let len = rows.first().ok_or(InputError::Empty)?.len();
        let mut vectors = Self::sound_rows(Vec::with_capacity(rows.len()), len);
        rows.into_iter().try_for_each(|row| vectors.push(row))?;
        Ok(vectors)
    }

    /// Adds a vector behind the others, if it is sound; one pass over it alone.
    pub fn push(&mut self, entries: &'a [T]) -> Result<(), InputError> {
        let row = self.rows.len();
        if entries.len() != self.len {
            return Err(InputError::Length { row, found: entries.len(), expected: self.len });
        }
        if let Some(entry) = unsound(entries) {
            return Err(InputError::Entry { row, entry });
        }
        self.add(entries);
        Ok(())
    }

    /// Adds a sound vector.
    fn add(&mut self, entries: &'a [T]) {
        let row = self.rows.len();
        let [small, tiny] = dust(entries);
        self.small.extend(small.then_some(row));
        self.tiny.extend(tiny.then_some(row));
        self.rows.push(entries);
    }

    /// Some columns of all.
    pub(super) fn columns(&self, from: usize, end: usize) -> Self {
        let rows = self.rows.iter().map(|row| &row[from..end]).collect();
        let (small, tiny) = (self.small.clone(), self.tiny.clone());
        Self { rows, len: end - from, small, tiny }
    }

    /// Those that may have an entry below [`Real::SMALL`].
    pub(super) fn small(&self) -> &[usize] {
        &self.small
    }

    /// Those that may have an entry below [`Real::TINY`].
    pub(super) fn tiny(&self) -> &[usize] {
        &self.tiny
    }

    /// Those rows that are sound, and which these are: what a peer that must go on does with
    /// the inputs of strangers. The length is `len`.
    pub fn sound(rows: &[&'a [T]], len: usize) -> (Option<Self>, Vec<usize>) {
        let sound = |&it: &usize| rows[it].len() == len && unsound(rows[it]).is_none();
        let kept: Vec<_> = (0..rows.len()).filter(sound).collect();
        let mut vectors = Self::sound_rows(Vec::with_capacity(kept.len()), len);
        kept.iter().for_each(|&it| vectors.add(rows[it]));
        ((!kept.is_empty()).then_some(vectors), kept)
    }
}

impl<'a, T: Number> Vectors<'a, T> {
    /// Rows of `len` entries that are sound for whoever made them, and not small.
    pub(crate) const fn sound_rows(rows: Vec<&'a [T]>, len: usize) -> Self {
        Self { rows, len, small: Vec::new(), tiny: Vec::new() }
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Entries of each.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if they have no entries.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows.
    pub fn rows(&self) -> &[&'a [T]] {
        &self.rows
    }
}

/// Entries that are looked at without a branch for each.
const BLOCK: usize = 4096;

/// Whether some entry but zero is small, and tiny.
fn dust<T: Real>(entries: &[T]) -> [bool; 2] {
    let any = |block: &[T], least: T| {
        let below = |it: &T| (it.magnitude() < least) & (*it != T::default());
        block.iter().fold(false, |any, it| any | below(it))
    };
    let (mut small, mut tiny) = (false, false);
    for block in entries.chunks(BLOCK) {
        if tiny {
            break;
        }
        let found = any(block, T::SMALL);
        small |= found;
        tiny |= found && any(block, T::TINY);
    }
    [small, tiny]
}

/// The first entry that is no sound number.
fn unsound<T: Real>(entries: &[T]) -> Option<usize> {
    let max = T::from_f64(MAGNITUDE_MAX);
    let min = T::from_f64(-MAGNITUDE_MAX);
    let sound = |entry: &T| *entry <= max && *entry >= min;
    let all = |block: &[T]| block.iter().fold(true, |all, entry| all & sound(entry));
    let block = entries.chunks(BLOCK).position(|block| !all(block))?;
    let from = block * BLOCK;
    entries[from..].iter().position(|entry| !sound(entry)).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_finite_by_its_place() {
        let good = vec![1.0_f64; 5_000];
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.1e15, f64::MAX] {
            let mut row = good.clone();
            row[4_321] = bad;
            let found = Vectors::new(vec![&good[..], &row]).map(|_| ());
            assert_eq!(found, Err(InputError::Entry { row: 1, entry: 4_321 }), "{bad}");
            let (kept, which) = Vectors::sound(&[&row[..], &good, &good[1..]], 5_000);
            assert_eq!((kept.map(|it| it.count()), which), (Some(1), vec![1]));
        }
        assert!(matches!(Vectors::<f32>::new(vec![]), Err(InputError::Empty)));
        let length = InputError::Length { row: 1, found: 2, expected: 1 };
        assert_eq!(Vectors::new(vec![&[1.0_f32][..], &[1.0, 2.0]]).map(|_| ()), Err(length));
        assert!(Vectors::new(vec![&[f64::MIN_POSITIVE / 4.0, -0.0][..]]).is_ok());
    }
}
