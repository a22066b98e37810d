//! What two sets of bundle ids lack, found in bytes that grow with the
//! difference and not with the sets.
//!
//! A rateless invertible Bloom lookup table: Yang, Gilad, Alizadeh, "Practical
//! Rateless Set Reconciliation", SIGCOMM 2024 (arXiv 2402.02668). One peer is
//! the [`Encoder`]: it turns its set into an endless stream of [`Cell`]s. The
//! other is the [`Decoder`]: it subtracts the cells of its own set, and what
//! remains are the cells of the difference, which it peels as soon as enough
//! have come, about 1.4 for each id that one side lacks. Nobody has to guess
//! the size of the difference beforehand.
//!
//! ```text
//! encoder                                       decoder
//! Encoder::batch(CellCount::FIRST)   ── batch →  Decoder::push
//!                                    ← count ──  Progress::More(count)
//! Encoder::batch(count)              ── batch →  Decoder::push
//!                                                Progress::Done(difference)
//! ```
//!
//! **Size.** A cell is 8 bytes of symbols, 3 of checksum and mostly 1 of count,
//! 12.1 in all. With requests, their frames and cells too many, an id that one
//! side lacks takes 18 bytes where 500 of 100,000 are lacking, and 25 where 20 of
//! 10,000 are. Equal sets cost one batch of 8 cells, about 110 bytes. Cells too many are
//! a twelfth at most once the estimate is reached; there are 3 batches
//! where one side lacks nothing, and about 7 otherwise.
//!
//! An id in a plain list is 34 bytes, so that a list of `n` ids is smaller from
//! about `d = 1.9 n` differences on: for disjoint sets, and for sets of three ids
//! or less. The caller decides; both sizes are known after the first batch.
//!
//! **Time.** Both sides hash every id once in a contact, 70 ns each. The cells of the
//! own set are what decoding takes, 7 ns for each of about `2 ln(m / 2)` cells that an
//! id is in; peeling is a fortieth of it. See `benches/sketch.rs`.
//!
//! **Trust.** A peer that lies about its cells can make the decoding fail or
//! name symbols that nobody has; it cannot make it loop, grow or panic. A
//! symbol is a hint of what to ask for, never a proof that it exists.
//! Failure is an error, after which the caller falls back to the paged list.
//! The [`SketchKey`] of the contact keeps third parties from making ids whose
//! symbols collide.
//!
//! This module does not talk to anyone: frames are the caller's.

mod batch;
mod cell;
mod decoder;
mod encoder;
mod error;
mod peel;
mod symbol;
mod walk;

pub use self::batch::{BatchStart, SketchBatch};
pub use self::cell::{Cell, CellCount, SetSize};
pub use self::decoder::{Decoder, Difference, Progress};
pub use self::encoder::{Encoder, KeyedIds};
pub use self::error::SketchError;
pub use self::symbol::{Check, SYMBOL_BYTES, SketchKey, Symbol};

/// Most cells in one batch: at most 15 bytes each, so that it fits a frame.
pub const BATCH_CELLS_MAX: usize = 4096;
/// Most cells that an encoder makes for one contact: about 750,000 differences,
/// 13 MB on the wire. Whoever lacks more reads a list.
pub const CELLS_MAX: u32 = 1 << 20;
/// Most ids in a set: 64 Mi, which are 2 GiB of ids.
pub const SET_SIZE_MAX: u64 = 1 << 26;

const _: () = assert!(BATCH_CELLS_MAX * cell::CELL_BYTES_MAX + 64 <= crate::frame::FRAME_BYTES_MAX);
