//! Sketches: what two sets of bundles lack of one another, for bytes that grow with the difference
//! and not with the sets.
//!
//! A rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh: "Practical Rateless Set
//! Reconciliation", SIGCOMM 2024, arXiv 2402.02668). One side sends cells, each the sum (by exclusive or) of some of
//! its symbols, in one endless order; the other takes away what its own set gives there, and
//! peels: a cell with one symbol left tells it, and with it gone others do. Some 1.4 to 1.7 cells for each difference
//! are enough, whatever the sizes of the sets, and nobody has to guess the difference before.
//!
//! A symbol is eight bytes of a keyed hash of an id. The key belongs to one contact, so that nobody can
//! make ids that fail to decode, or that take others for them, in the contacts of others. What is
//! recovered is a symbol: whoever lacks it asks for the id. Two ids of one set with one symbol, once in 2^64 pairs, stay
//! unknown in that contact and not in the next.
//!
//! A list of ids is shorter than a sketch for sets of less than some twenty; a caller decides.

mod batch;
mod cell;
mod decoder;
mod encoder;

pub use self::batch::{BATCH_CELLS_MAX, SketchBatch};
pub use self::cell::{Cell, SketchKey, Symbol};
pub use self::decoder::{Decoder, Difference, SketchError};
pub use self::encoder::Encoder;
