//! Proof: three points, and a commitment for each block that is hidden.
//!
//! On BN254 `A` and `C` and each commitment are 32 bytes and `B` is 64: 192 bytes with two hidden blocks. The
//! bytes have no header, since the key says how many blocks there are and the claim which of them are shown.

use super::points::{self, Form, PointError, Trust};
use crate::curve::{Curve, PointOne, PointTwo};

/// A proof of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof<E: Curve> {
    pub(super) a: PointOne<E>,
    pub(super) b: PointTwo<E>,
    pub(super) c: PointOne<E>,
    pub(super) blocks: Vec<PointOne<E>>,
}

impl<E: Curve> Proof<E> {
    /// The commitments to the hidden blocks.
    pub fn blocks(&self) -> &[PointOne<E>] {
        &self.blocks
    }

    /// The number of bytes of a proof with `hidden` hidden blocks.
    pub fn size_bytes(hidden: usize) -> usize {
        let (one, two) =
            (Form::Compressed.size::<PointOne<E>>(), Form::Compressed.size::<PointTwo<E>>());
        (2 + hidden) * one + two
    }

    /// `A | B | C | commitments`, compressed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::size_bytes(self.blocks.len()));
        points::write(&[self.a], Form::Compressed, &mut bytes);
        points::write(&[self.b], Form::Compressed, &mut bytes);
        points::write(&[self.c], Form::Compressed, &mut bytes);
        points::write(&self.blocks, Form::Compressed, &mut bytes);
        bytes
    }

    /// Reads a proof with `hidden` hidden blocks: some 0.2 ms, most of it for `B`.
    ///
    /// # Errors
    /// More or fewer bytes, a point outside of its group, not canonical or the identity.
    pub fn decode(mut bytes: &[u8], hidden: usize) -> Result<Self, PointError> {
        let bytes = &mut bytes;
        let a = points::read(bytes, 1, Form::Compressed, Trust::Stranger)?[0];
        let b = points::read(bytes, 1, Form::Compressed, Trust::Stranger)?[0];
        let c = points::read(bytes, 1, Form::Compressed, Trust::Stranger)?[0];
        let blocks = points::read(bytes, hidden, Form::Compressed, Trust::Stranger)?;
        if bytes.is_empty() { Ok(Self { a, b, c, blocks }) } else { Err(PointError::Length) }
    }
}
