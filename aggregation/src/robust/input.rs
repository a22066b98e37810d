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
}

/// A float that rules work on: `f32` and `f64`.
pub trait Real: Number {
    /// The difference.
    fn minus(self, other: Self) -> Self;
}

macro_rules! real {
    ($float:ty) => {
        impl Number for $float {
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
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
        }
    };
}

real!(f32);
real!(f64);

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
}

/// Vectors of one length, all finite; at least one.
#[derive(Debug, Clone)]
pub struct Vectors<'a, T> {
    rows: Vec<&'a [T]>,
    len: usize,
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

impl<'a, T: Number> Vectors<'a, T> {
    /// Checks rows; one pass over them.
    pub fn new(rows: Vec<&'a [T]>) -> Result<Self, InputError> {
        let len = rows.first().ok_or(InputError::Empty)?.len();
        let mut vectors = Self { rows: Vec::with_capacity(rows.len()), len };
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
        self.rows.push(entries);
        Ok(())
    }

    /// Some columns of all.
    pub(super) fn columns(&self, from: usize, end: usize) -> Self {
        Self { rows: self.rows.iter().map(|row| &row[from..end]).collect(), len: end - from }
    }

    /// Those rows that are sound, and which these are: what a peer that must go on does with
    /// the inputs of strangers. The length is `len`.
    pub fn sound(rows: &[&'a [T]], len: usize) -> (Option<Self>, Vec<usize>) {
        let sound = |&it: &usize| rows[it].len() == len && unsound(rows[it]).is_none();
        let kept: Vec<_> = (0..rows.len()).filter(sound).collect();
        let rows: Vec<_> = kept.iter().map(|&it| rows[it]).collect();
        ((!rows.is_empty()).then_some(Self { rows, len }), kept)
    }

    /// Rows of `len` entries that are sound for whoever made them.
    pub(crate) const fn sound_rows(rows: Vec<&'a [T]>, len: usize) -> Self {
        Self { rows, len }
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

/// The first entry that is no sound number.
fn unsound<T: Number>(entries: &[T]) -> Option<usize> {
    let max = T::from_f64(MAGNITUDE_MAX);
    let min = T::from_f64(-MAGNITUDE_MAX);
    let sound = |entry: &T| *entry <= max && *entry >= min;
    // Blocks without a branch for each entry.
    const BLOCK: usize = 4096;
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
