//! Proving key: the queries that a prover sums over, and the bases that blocks are committed in.
//!
//! Uncompressed, some 45 MB for the largest circuit. Its bytes are named by plain blake3, which the manifest
//! pins, so that points need no group check when it is read: the ceremony's transcript is where they
//! are checked. Whoever sums commitments ([`crate::s2`]) needs one block's bases only.

use ark_ec::AffineRepr;
use longhaul_dtn::codec::{Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::key::{KeyError, VerifyingKey};
use super::msm::Grouped;
use super::points::{self, Form, PointError, Trust};
use super::quotient::domain;
use super::r1cs::R1cs;
use crate::curve::{Curve, PointOne, PointTwo, Scalar};
use crate::seed::Secret;
use ark_poly::EvaluationDomain;

const VERSION: u64 = 1;

/// What a prover needs to know of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvingKey<E: Curve> {
    pub(crate) verifying: VerifyingKey<E>,
    /// `[beta]` in G1.
    pub(crate) beta: PointOne<E>,
    /// `[delta_j]` in G1 of each block.
    pub(crate) block_deltas: Vec<PointOne<E>>,
    /// `[A_i(tau)]` of each wire.
    pub(crate) a: Vec<PointOne<E>>,
    /// `[B_i(tau)]` of each wire.
    pub(crate) b: Vec<PointOne<E>>,
    /// `[tau^i z(tau) / delta]`.
    pub(crate) h: Vec<PointOne<E>>,
    /// `[(beta A + alpha B + C) / delta_j]` of each wire of each block.
    pub(crate) blocks: Vec<Vec<PointOne<E>>>,
    /// `[(beta A + alpha B + C) / delta]` of each free wire.
    pub(crate) free: Vec<PointOne<E>>,
    /// `[B_i(tau)]` in G2.
    pub(crate) b_two: Vec<PointTwo<E>>,
}

/// The bases that one block's values and its blinder are committed in: a Pedersen commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis<E: Curve> {
    values: Vec<PointOne<E>>,
    blinding: PointOne<E>,
}

impl<E: Curve> Basis<E> {
    /// How many values it takes.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The base of the blinder.
    pub const fn blinding(&self) -> PointOne<E> {
        self.blinding
    }

    /// Commits to a chunk's entries: some 12 ms of one core for 65,000. Missing entries are zero.
    ///
    /// # Panics
    /// If there are more entries than bases.
    pub fn commit_entries(&self, entries: &[i8], blinder: &Secret<Scalar<E>>) -> E::G1 {
        assert!(entries.len() <= self.values.len(), "a base for each entry");
        Grouped::of_entries(entries).sum(0, &self.values) + self.blinding * blinder.reveal()
    }

    /// Commits to values: some 10 ms of one core for 65,000 that repeat. Missing values are zero.
    ///
    /// # Panics
    /// If there are more values than bases.
    pub fn commit(&self, values: &[Scalar<E>], blinder: &Secret<Scalar<E>>) -> E::G1 {
        assert!(values.len() <= self.values.len(), "a base for each value");
        Grouped::new(values).sum(0, &self.values) + self.blinding * blinder.reveal()
    }
}

impl<E: Curve> ProvingKey<E> {
    /// The key that verifies what this one proves.
    pub const fn verifying(&self) -> &VerifyingKey<E> {
        &self.verifying
    }

    /// The bases of a block.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn basis(&self, block: usize) -> Basis<E> {
        Basis { values: self.blocks[block].clone(), blinding: self.verifying.blinding }
    }

    /// The key's bytes: a deterministic CBOR array `[version, verifying key, points of G1, points of G2]`.
    pub fn encode(&self) -> Vec<u8> {
        let (mut ones, mut twos) = (Vec::new(), Vec::new());
        let singles = [&[self.beta][..], &self.block_deltas, &self.a, &self.b, &self.h];
        let blocks = self.blocks.iter().map(Vec::as_slice);
        for points in singles.into_iter().chain(blocks).chain([&self.free[..]]) {
            points::write(points, Form::Uncompressed, &mut ones);
        }
        points::write(&self.b_two, Form::Uncompressed, &mut twos);
        let mut writer = Writer::with_capacity(ones.len() + twos.len() + 4_096);
        writer.array(4).unsigned(VERSION).bytes(&self.verifying.encode());
        writer.bytes(&ones).bytes(&twos);
        writer.into_bytes()
    }

    /// Reads the key of `system` whose hash is pinned.
    ///
    /// # Errors
    /// Another hash, bytes that are no key, or a key of another circuit. No more is allocated than
    /// `bytes` holds.
    pub fn decode(
        bytes: &[u8],
        system: &R1cs<Scalar<E>>,
        pinned: ContentHash,
    ) -> Result<Self, KeyError> {
        let found = ContentHash::of(bytes);
        if found != pinned {
            return Err(KeyError::Pinned { found, pinned });
        }
        let mut reader = Reader::new(bytes);
        reader.tuple(4)?;
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(reader.invalid("version 1").into());
        }
        let verifying = VerifyingKey::decode(reader.bytes(bytes.len())?)?;
        let (ones, twos) = (reader.bytes(bytes.len())?, reader.bytes(bytes.len())?);
        reader.finish()?;
        let key = Self::from_points(verifying, system, ones, twos)?;
        if key.fits(system) { Ok(key) } else { Err(KeyError::Circuit) }
    }

    fn from_points(
        verifying: VerifyingKey<E>,
        system: &R1cs<Scalar<E>>,
        mut ones: &[u8],
        mut twos: &[u8],
    ) -> Result<Self, PointError> {
        let layout = system.layout();
        let wires = layout.wires();
        let mut one = |count| points::read(&mut ones, count, Form::Uncompressed, Trust::Pinned);
        let key = Self {
            verifying,
            beta: one(1)?[0],
            block_deltas: one(layout.blocks.len())?,
            a: one(wires)?,
            b: one(wires)?,
            h: one(domain(system).size() - 1)?,
            blocks: layout.blocks.iter().map(|&len| one(len)).collect::<Result<_, _>>()?,
            free: one(layout.free)?,
            b_two: points::read(&mut twos, wires, Form::Uncompressed, Trust::Pinned)?,
        };
        if ones.is_empty() && twos.is_empty() { Ok(key) } else { Err(PointError::Length) }
    }

    /// Whether the key is of this circuit: its name, its counts, and a base for each committed value.
    pub(super) fn fits(&self, system: &R1cs<Scalar<E>>) -> bool {
        let shown = self.blocks.len().saturating_sub(self.verifying.shown.len());
        self.verifying.is_of(system)
            && self.blocks[shown..] == self.verifying.shown[..]
            && !self.blocks.iter().flatten().any(AffineRepr::is_zero)
    }
}
