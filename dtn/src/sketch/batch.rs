//! Batches of cells on the wire: `[set size, first cell, packed cells]`.
//!
//! A cell is its sum in eight bytes, its check in three, little-endian, and its count as a varint: as most of it
//! follows from the size of the set, what is written is the difference to `2 n / (2 + i)` in cell i of a
//! set of n, zigzag, in groups of seven bits from the lowest on. That is one or two bytes.

use super::cell::{CHECK_BITS, Cell};
use crate::codec::{CodecError, Reader, Writer};

/// Most cells of a batch: 64 KiB hold them.
pub const BATCH_CELLS_MAX: usize = 4096;
/// Largest set, so that counts fit their integers.
const SET_SIZE_MAX: u64 = 1 << 40;
/// Most cells before a batch.
const CELLS_MAX: u64 = 1 << 40;
const CHECK_BYTES: usize = CHECK_BITS as usize / 8;
const FIXED_BYTES: usize = 8 + CHECK_BYTES;
/// Longest varint of a count.
const VARINT_BYTES_MAX: usize = 7;

/// Some cells of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchBatch {
    /// How many symbols the set has.
    pub set_size: u64,
    /// The place of the first cell.
    pub from: u64,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl SketchBatch {
    /// The batch's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.cells.len() * (FIXED_BYTES + 2));
        for (place, cell) in (self.from..).zip(&self.cells) {
            packed.extend_from_slice(&cell.sum.to_le_bytes());
            packed.extend_from_slice(&cell.check.to_le_bytes()[..CHECK_BYTES]);
            write_varint(zigzag(cell.count - expected(self.set_size, place)), &mut packed);
        }
        let mut writer = Writer::new();
        writer.array(3).unsigned(self.set_size).unsigned(self.from).bytes(&packed);
        writer.into_bytes()
    }

    /// Reads a batch, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(3)?;
        let set_size = reader.unsigned(SET_SIZE_MAX)?;
        let from = reader.unsigned(CELLS_MAX)?;
        let wrong = reader.invalid("cells of a sketch");
        let mut packed = reader.bytes(BATCH_CELLS_MAX * (FIXED_BYTES + VARINT_BYTES_MAX))?;
        reader.finish()?;
        let mut cells = Vec::new();
        while !packed.is_empty() && cells.len() < BATCH_CELLS_MAX {
            let place = from + cells.len() as u64;
            let cell = read_cell(&mut packed, expected(set_size, place));
            cells.push(cell.ok_or_else(|| wrong.clone())?);
        }
        if packed.is_empty() { Ok(Self { set_size, from, cells }) } else { Err(wrong) }
    }
}

/// The count that cell `place` of a set has on average.
fn expected(set_size: u64, place: u64) -> i64 {
    i64::try_from(2 * set_size.min(SET_SIZE_MAX) / (2 + place)).unwrap_or(i64::MAX)
}

fn read_cell(packed: &mut &[u8], expected: i64) -> Option<Cell> {
    let (sum, rest) = packed.split_first_chunk()?;
    let (&[low, middle, high], rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    *packed = rest;
    let count = unzigzag(read_varint(packed)?).checked_add(expected)?;
    Some(Cell {
        sum: u64::from_le_bytes(*sum),
        check: u32::from_le_bytes([low, middle, high, 0]),
        count,
    })
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a varint in its shortest form.
fn read_varint(packed: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..VARINT_BYTES_MAX {
        let (&byte, rest) = packed.split_first()?;
        *packed = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            let shortest = place == 0 || byte > 0;
            return shortest.then_some(number);
        }
    }
    None
}
