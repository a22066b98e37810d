//! S1, bounded update: an update's entries are in range and within a policy's bounds.
//!
//! A relay that cannot read an encrypted payload, and an auditor who must not, learn from a [`ChunkProof`] that
//! the committed entries are int8 values within [`Bounds`], and from a [`TotalProof`] that the norms of all chunks add
//! up to a total within the manifest's norm bound. Bounded is not honest: a small update can be poison.

mod bounded;
mod circuit;
mod norm;
mod shape;
mod statement;
mod witness;

pub use bounded::{
    BoundedError, ChunkProof, ChunkProofError, ChunkProver, ChunkVerifier, NormView, Opening,
};
pub use circuit::circuit;
pub use norm::{
    CHUNKS_MAX, SquaredNorm, Summand, TotalClaim, TotalError, TotalProof, prove_total,
    verify_total, verify_totals,
};
pub use shape::{Bounds, Shape, VALUE_MAX};
pub use statement::{Exponent, Statement, Subject};
pub use witness::ChunkError;
