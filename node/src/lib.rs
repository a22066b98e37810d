//! One peer of a Longhaul federation.
//!
//! [`peer`] is the whole peer as a machine without IO: inputs in, outputs out,
//! no clock, file, socket or entropy. `shell` (feature `shell`) gives it a
//! network, a disk and a clock; `train` (feature `train`) gives it local
//! training with burn. The simulator uses `peer` and `train` without `shell`,
//! so that it runs the code that ships.

pub mod peer;
#[cfg(feature = "shell")]
pub mod shell;
#[cfg(feature = "train")]
pub mod train;
