//! Cell: the sum of the symbols that walked over one index, and its bytes.

use super::symbol::{Check, SYMBOL_BYTES, Symbol};
use super::{CELLS_MAX, SET_SIZE_MAX, SketchError};
use crate::codec::CodecErrorKind;

/// Most bytes of a packed cell: symbols, checksums, and an excess of 28 bits.
pub(super) const CELL_BYTES_MAX: usize = SYMBOL_BYTES + 3 + EXCESS_BYTES_MAX;
const EXCESS_BYTES_MAX: usize = 4;
const _: () = assert!(2 * SET_SIZE_MAX < 1 << (7 * EXCESS_BYTES_MAX));

/// Number of ids in a set, at most [`SET_SIZE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetSize(u32);

/// Number of cells that one side asks for or allows, from 1 to [`CELLS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellCount(u32);

/// A coded symbol: what the ids in it sum up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// Exclusive or of the symbols.
    pub sum: Symbol,
    /// Exclusive or of their checksums.
    pub check: Check,
    /// How many more symbols than a set of this size has here on average, at
    /// most [`SET_SIZE_MAX`] either way.
    ///
    /// The paper's section 6 sends this instead of the count, which would take
    /// three bytes for a large set: it is seldom beyond one byte.
    pub excess: i64,
}

impl SetSize {
    /// Checks a number of ids.
    pub const fn new(ids: u64) -> Result<Self, SketchError> {
        if ids > SET_SIZE_MAX {
            return Err(SketchError::SetSize(ids));
        }
        Ok(Self(ids as u32))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Symbols that cell `index` has on average: `2n / (index + 2)`, rounded down.
    pub(super) fn expected_at(self, index: u32) -> i64 {
        2 * i64::from(self.0) / (i64::from(index) + 2)
    }
}

impl CellCount {
    /// The cells that the encoder sends unasked: about 104 bytes, in which a
    /// difference of up to three ids mostly shows already.
    pub const FIRST: Self = Self(8);
    /// All that an encoder makes.
    pub const MAX: Self = Self(CELLS_MAX);

    /// Checks a number of cells.
    pub const fn new(cells: u32) -> Option<Self> {
        if cells == 0 || cells > CELLS_MAX { None } else { Some(Self(cells)) }
    }

    /// The nearest number that is allowed.
    pub(super) fn clamped(cells: u64) -> Self {
        Self(u32::try_from(cells).unwrap_or(CELLS_MAX).clamp(1, CELLS_MAX))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Cell {
    pub(super) fn pack(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.sum.to_bytes());
        bytes.extend_from_slice(&self.check.to_bytes());
        // Zigzag: small numbers of either sign become small.
        let mut rest = ((self.excess << 1) ^ (self.excess >> 63)) as u64;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }

    /// Takes a cell from the front of `bytes`, strictly.
    pub(super) fn unpack(bytes: &mut &[u8]) -> Result<Self, CodecErrorKind> {
        let sum = Symbol::from_bytes(take(bytes)?);
        let check = Check::from_bytes(take(bytes)?);
        Ok(Self { sum, check, excess: unpack_excess(bytes)? })
    }
}

fn unpack_excess(bytes: &mut &[u8]) -> Result<i64, CodecErrorKind> {
    let mut zigzag = 0_i64;
    for place in 0..EXCESS_BYTES_MAX {
        let [byte] = take(bytes)?;
        zigzag |= i64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || place == 0;
            let excess = (zigzag >> 1) ^ -(zigzag & 1);
            return match excess.unsigned_abs() <= SET_SIZE_MAX {
                _ if !shortest => Err(CodecErrorKind::NotCanonical),
                true => Ok(excess),
                false => Err(CodecErrorKind::AboveLimit(SET_SIZE_MAX)),
            };
        }
    }
    Err(CodecErrorKind::AboveLimit(SET_SIZE_MAX))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodecErrorKind> {
    let (front, rest) = bytes.split_first_chunk().ok_or(CodecErrorKind::Truncated)?;
    *bytes = rest;
    Ok(*front)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(excess: i64) -> Vec<u8> {
        let mut bytes = vec![];
        Cell { excess, ..Cell::default() }.pack(&mut bytes);
        bytes
    }

    #[test]
    fn packs_small_excesses_of_either_sign_into_one_byte() {
        let most = SET_SIZE_MAX as i64;
        for (excess, len) in
            [(0, 1), (63, 1), (-64, 1), (64, 2), (-65, 2), (8191, 2), (8192, 3), (-most, 4)]
        {
            let bytes = packed(excess);
            assert_eq!(bytes.len(), SYMBOL_BYTES + 3 + len, "{excess}");
            assert_eq!(Cell::unpack(&mut &bytes[..]).unwrap().excess, excess);
        }
    }

    #[test]
    fn refuses_excesses_that_are_not_shortest_or_above_the_limit() {
        for (tail, error) in [
            (&[0x80, 0x00][..], CodecErrorKind::NotCanonical),
            (&[0x81, 0x80, 0x00], CodecErrorKind::NotCanonical),
            (&[0x82, 0x80, 0x80, 0x40], CodecErrorKind::AboveLimit(SET_SIZE_MAX)),
            (&[0xff, 0xff, 0xff, 0xff], CodecErrorKind::AboveLimit(SET_SIZE_MAX)),
            (&[0x80], CodecErrorKind::Truncated),
            (&[], CodecErrorKind::Truncated),
        ] {
            let bytes = [&[0; SYMBOL_BYTES + 3], tail].concat();
            assert_eq!(Cell::unpack(&mut &bytes[..]), Err(error), "{tail:02x?}");
        }
    }

    #[test]
    fn expects_what_the_walks_give() {
        let size = SetSize::new(1000).unwrap();
        assert_eq!([0, 1, 2, 1998, 1999].map(|it| size.expected_at(it)), [1000, 666, 500, 1, 0]);
        assert_eq!(SetSize::new(SET_SIZE_MAX + 1), Err(SketchError::SetSize(SET_SIZE_MAX + 1)));
    }

    #[test]
    fn counts_cells_within_limits() {
        assert_eq!(CellCount::new(0), None);
        assert_eq!(CellCount::new(CELLS_MAX + 1), None);
        assert_eq!(CellCount::clamped(u64::MAX), CellCount::MAX);
        assert_eq!(CellCount::clamped(0).get(), 1);
    }
}
