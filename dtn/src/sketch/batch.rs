//! Batch: consecutive cells on the wire.
//!
//! ```text
//! first batch   [0, set_size, cells]
//! later ones    [from, cells]
//! ```
//!
//! `cells` is one byte string: 8 bytes of symbols, 3 of checksums, and the
//! excess as a zigzag number in groups of seven bits, lowest first.

use super::cell::{CELL_BYTES_MAX, Cell, SetSize};
use super::{BATCH_CELLS_MAX, CELLS_MAX, SET_SIZE_MAX};
use crate::codec::{CodecError, CodecErrorKind, Reader, Writer};

/// Consecutive cells of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchBatch {
    /// Where they begin.
    pub start: BatchStart,
    /// The cells, at most [`BATCH_CELLS_MAX`].
    pub cells: Vec<Cell>,
}

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStart {
    /// At cell 0, with the number of ids in the set.
    First(SetSize),
    /// Where another batch ended: the index of the first cell.
    After(std::num::NonZeroU32),
}

impl BatchStart {
    /// Index of the first cell.
    pub const fn index(&self) -> u32 {
        match self {
            Self::First(_) => 0,
            Self::After(index) => index.get(),
        }
    }
}

impl SketchBatch {
    /// The batch's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.cells.len() * CELL_BYTES_MAX);
        self.cells.iter().for_each(|cell| cell.pack(&mut packed));
        let mut writer = Writer::new();
        match self.start {
            BatchStart::First(size) => {
                writer.array(3).unsigned(0).unsigned(size.get().into());
            }
            BatchStart::After(index) => {
                writer.array(2).unsigned(index.get().into());
            }
        }
        writer.bytes(&packed);
        writer.into_bytes()
    }

    /// Reads a batch, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let items = reader.array(3)?;
        let start = read_start(&mut reader, items)?;
        let cells = read_cells(&mut reader, CELLS_MAX - start.index())?;
        reader.finish()?;
        Ok(Self { start, cells })
    }
}

fn read_start(reader: &mut Reader<'_>, items: usize) -> Result<BatchStart, CodecError> {
    let misplaced = reader.invalid("the number of items of such a batch");
    let index = reader.unsigned((CELLS_MAX - 1).into())?;
    match (items, u32::try_from(index).ok().and_then(std::num::NonZeroU32::new)) {
        (2, Some(index)) => Ok(BatchStart::After(index)),
        (3, None) => {
            let above = reader.error(CodecErrorKind::AboveLimit(SET_SIZE_MAX));
            let size = SetSize::new(reader.unsigned(SET_SIZE_MAX)?).map_err(|_| above)?;
            Ok(BatchStart::First(size))
        }
        _ => Err(misplaced),
    }
}

fn read_cells(reader: &mut Reader<'_>, cells_max: u32) -> Result<Vec<Cell>, CodecError> {
    let start = reader.position();
    let empty = reader.invalid("at least one cell");
    let cells_max = BATCH_CELLS_MAX.min(cells_max as usize);
    let packed = reader.bytes(cells_max * CELL_BYTES_MAX)?;
    let mut rest = packed;
    let mut cells = Vec::with_capacity(packed.len() / (CELL_BYTES_MAX - 3));
    while !rest.is_empty() {
        let position = reader.position() - rest.len();
        let kind = match Cell::unpack(&mut rest) {
            Ok(cell) if cells.len() < cells_max => {
                cells.push(cell);
                continue;
            }
            Ok(_) => CodecErrorKind::AboveLimit(cells_max as u64),
            Err(kind) => kind,
        };
        return Err(CodecError { position, kind });
    }
    if cells.is_empty() {
        return Err(CodecError { position: start, ..empty });
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::super::symbol::{Check, Symbol};
    use super::*;
    use crate::frame::FRAME_BYTES_MAX;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    fn arb_cell() -> impl Strategy<Value = Cell> {
        let excess = prop_oneof![-70_i64..70, -(SET_SIZE_MAX as i64)..=SET_SIZE_MAX as i64];
        (any::<[u8; 8]>(), any::<[u8; 3]>(), excess).prop_map(|(sum, check, excess)| Cell {
            sum: Symbol::from_bytes(sum),
            check: Check::from_bytes(check),
            excess,
        })
    }

    fn arb_start() -> impl Strategy<Value = BatchStart> {
        prop_oneof![
            (0..=SET_SIZE_MAX).prop_map(|ids| BatchStart::First(SetSize::new(ids).unwrap())),
            (1..CELLS_MAX - 100).prop_map(|at| BatchStart::After(NonZeroU32::new(at).unwrap())),
        ]
    }

    fn arb_batch() -> impl Strategy<Value = SketchBatch> {
        (arb_start(), prop::collection::vec(arb_cell(), 1..100))
            .prop_map(|(start, cells)| SketchBatch { start, cells })
    }

    #[test]
    fn fits_the_largest_batch_into_a_frame() {
        let cell = Cell { excess: SET_SIZE_MAX as i64, ..Cell::default() };
        let start = BatchStart::First(SetSize::new(SET_SIZE_MAX).unwrap());
        let mut batch = SketchBatch { start, cells: vec![cell; BATCH_CELLS_MAX] };
        let bytes = batch.encode();
        assert!(bytes.len() + 64 <= FRAME_BYTES_MAX);
        assert_eq!(SketchBatch::decode(&bytes), Ok(batch.clone()));
        batch.cells = vec![Cell::default(); BATCH_CELLS_MAX + 1];
        let found = SketchBatch::decode(&batch.encode()).unwrap_err();
        assert_eq!(found.kind, CodecErrorKind::AboveLimit(BATCH_CELLS_MAX as u64));
    }

    #[test]
    fn refuses_cells_beyond_the_last() {
        let start = BatchStart::After(NonZeroU32::new(CELLS_MAX - 1).unwrap());
        let mut batch = SketchBatch { start, cells: vec![Cell::default()] };
        assert_eq!(SketchBatch::decode(&batch.encode()), Ok(batch.clone()));
        batch.cells.push(Cell::default());
        assert!(SketchBatch::decode(&batch.encode()).is_err());
    }

    #[test]
    fn refuses_batches_that_are_not_ours() {
        let cell = [0x4c; 13];
        for (head, tail, part) in [
            (&[][..], &[][..], "the bytes end too early"),
            (&[0x80], &[], "the bytes end too early"),
            (&[0x81, 0x00], &[], "number of items"),
            (&[0x82, 0x00], &cell, "number of items"),
            (&[0x83, 0x01, 0x00], &cell, "number of items"),
            (&[0x83, 0x00, 0x1a, 0x04, 0, 0, 1], &cell, "above the limit"),
            (&[0x82, 0x1a, 0x00, 0x10, 0, 0], &cell, "above the limit"),
            (&[0x82, 0x18, 0x01], &cell, "not in canonical form"),
            (&[0x82, 0x01], &[0x40], "at least one cell"),
            (&[0x82, 0x01], &[0x41, 0x00], "the bytes end too early"),
            (&[0x82, 0x01], &cell[..12], "the bytes end too early"),
        ] {
            let found = SketchBatch::decode(&[head, tail].concat()).unwrap_err().to_string();
            assert!(found.contains(part), "{head:02x?}: {found}");
        }
        let whole = [&[0x82, 0x01][..], &cell, &[0x00]].concat();
        let found = SketchBatch::decode(&whole).unwrap_err();
        assert_eq!((found.position, found.kind), (15, CodecErrorKind::Trailing));
    }

    proptest! {
        #[test]
        fn reads_back_batches(batch in arb_batch()) {
            prop_assert_eq!(SketchBatch::decode(&batch.encode()), Ok(batch));
        }

        #[test]
        fn never_panics_on_noise_and_accepts_only_what_it_writes(
            head in prop::sample::select(vec![
                &[][..], &[0x82, 0x05, 0x58], &[0x83, 0x00, 0x05, 0x58],
            ]),
            noise: Vec<u8>,
        ) {
            let bytes = [head, &noise].concat();
            if let Ok(batch) = SketchBatch::decode(&bytes) {
                prop_assert_eq!(batch.encode(), bytes);
            }
        }

        #[test]
        fn accepts_a_changed_batch_only_as_what_it_writes(
            batch in arb_batch(), at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = batch.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(batch) = SketchBatch::decode(&bytes) {
                prop_assert_eq!(batch.encode(), bytes);
            }
        }
    }
}
