//! Verifying key: what a verifier needs to know of a circuit, and the checks of who loads one.
//!
//! It is Groth16's verifying key with one more `delta` for each committed block, the base of the
//! blinders, and the bases of the blocks that a statement may show. A key is named by the blake3 hash of its
//! bytes ([`VerifyingKey::hash`]); a manifest pins that hash, and every challenge covers it.
//!
//! `gamma`, `delta` and the blocks' deltas keep public inputs, free wires and blocks apart. If two of them
//! were equal or opposite, or one were known (the generator), a prover could move values between parts, so such
//! a key is refused. (Setups left `gamma` and `delta` at the generator in practice; what follows is forgery.)

use ark_ec::AffineRepr;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::points::{self, Form, PointError, Trust};
use super::r1cs::R1cs;
use crate::curve::{Curve, PointOne, PointTwo, Scalar};

/// Most public inputs of a key, the constant and the challenge included.
pub const INPUTS_MAX: usize = 256;
/// Most committed blocks.
pub const BLOCKS_MAX: usize = 8;
/// Most wires of a block that a statement may show.
pub const SHOWN_WIRES_MAX: usize = 1_024;
/// Most bytes of a verifying key.
const KEY_BYTES_MAX: usize = 1 << 17;
const VERSION: u64 = 1;
/// Beta, gamma and delta.
const FIXED_TWO: usize = 3;

/// The name of a circuit: a hash of all its constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CircuitId(ContentHash);

/// Who made a key, by the key's own word: it is as good as the hash that the key was loaded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// One party, which could forge proofs: for tests and demonstrations only.
    Development,
    /// A ceremony, sound if one of its contributors forgot its secret.
    Ceremony,
}

/// What a verifier needs to know of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey<E: Curve> {
    pub(crate) circuit: CircuitId,
    pub(crate) origin: Origin,
    /// `[alpha]` in G1.
    pub(crate) alpha: PointOne<E>,
    /// `[delta]` in G1, the base of every blinder.
    pub(crate) blinding: PointOne<E>,
    /// `[(beta A + alpha B + C) / gamma]` of each input.
    pub(crate) inputs: Vec<PointOne<E>>,
    /// The bases of the blocks that can be shown.
    pub(crate) shown: Vec<Vec<PointOne<E>>>,
    pub(crate) beta: PointTwo<E>,
    pub(crate) gamma: PointTwo<E>,
    pub(crate) delta: PointTwo<E>,
    /// `[delta_j]` in G2 of each block.
    pub(crate) block_deltas: Vec<PointTwo<E>>,
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not those of a key.
    #[error("not a well-formed key: {0}")]
    Malformed(#[from] CodecError),
    /// A point of the key is not one.
    #[error("a point of the key: {0}")]
    Point(#[from] PointError),
    /// The key is on another curve.
    #[error("the key is not on {0}")]
    Curve(&'static str),
    /// The key's hash is not the pinned one.
    #[error("the key has hash {found}, pinned is {pinned}")]
    Pinned {
        /// The hash of what was given.
        found: ContentHash,
        /// The hash it should have.
        pinned: ContentHash,
    },
    /// The key is for another circuit, or does not fit this one.
    #[error("the key is not of this circuit")]
    Circuit,
    /// Gamma, delta or a block's delta is the generator.
    #[error("gamma, delta or a block's delta is the generator, so its logarithm is known")]
    Generator,
    /// Two of gamma, delta and the blocks' deltas are equal up to sign.
    #[error("two of gamma, delta and the blocks' deltas are equal or opposite")]
    Repeated,
    /// One party made the key, and the policy asks for a ceremony.
    #[error("the key is for development only")]
    Development,
}

impl CircuitId {
    pub(super) const fn new(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash, for the wire.
    pub const fn hash(self) -> ContentHash {
        self.0
    }
}

impl<E: Curve> VerifyingKey<E> {
    /// The circuit whose witnesses it is about.
    pub const fn circuit(&self) -> CircuitId {
        self.circuit
    }

    /// Who made it, by its own word.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// Public inputs beside the constant and the challenge.
    pub fn public_count(&self) -> usize {
        self.inputs.len() - 2
    }

    /// Committed blocks.
    pub fn block_count(&self) -> usize {
        self.block_deltas.len()
    }

    /// How many of the last blocks a statement may show.
    pub fn showable_count(&self) -> usize {
        self.shown.len()
    }

    /// Whether it is of this circuit: its name, and all that it has one of for each part of it.
    pub(crate) fn is_of(&self, system: &R1cs<Scalar<E>>) -> bool {
        let layout = system.layout();
        let showable = &layout.blocks[layout.blocks.len() - layout.showable..];
        self.circuit == system.id()
            && self.public_count() == layout.public
            && self.block_count() == layout.blocks.len()
            && self.shown.iter().map(Vec::len).eq(showable.iter().copied())
    }

    /// The bases of the showable block `block`, counted from the first showable one, and the blinders' base.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn shown_basis(&self, block: usize) -> (&[PointOne<E>], PointOne<E>) {
        (&self.shown[block], self.blinding)
    }

    /// The key's name: plain blake3 of [`encode`](Self::encode).
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(&self.encode())
    }

    /// Refuses a key that says that one party made it. What a key says of itself counts only behind a pinned hash
    /// ([`decode_pinned`](Self::decode_pinned)).
    ///
    /// # Errors
    /// [`KeyError::Development`].
    pub fn require_ceremony(&self) -> Result<(), KeyError> {
        match self.origin {
            Origin::Development => Err(KeyError::Development),
            Origin::Ceremony => Ok(()),
        }
    }

    /// Checks that gamma, delta and the blocks' deltas are unknown and differ, up to sign.
    ///
    /// # Errors
    /// [`KeyError::Generator`], [`KeyError::Repeated`], or a point that is the identity.
    pub fn check(&self) -> Result<(), KeyError> {
        check_separators::<E>(&self.separators())?;
        if self.ones().any(AffineRepr::is_zero) || self.beta.is_zero() {
            return Err(PointError::Identity.into());
        }
        Ok(())
    }

    fn separators(&self) -> Vec<PointTwo<E>> {
        [self.gamma, self.delta].into_iter().chain(self.block_deltas.iter().copied()).collect()
    }

    fn ones(&self) -> impl Iterator<Item = &PointOne<E>> {
        [&self.alpha, &self.blinding]
            .into_iter()
            .chain(&self.inputs)
            .chain(self.shown.iter().flatten())
    }

    /// The canonical bytes: a deterministic CBOR array `[version, curve, circuit, origin, inputs, blocks,
    /// [wires of each showable block], points of G1, points of G2]`, points uncompressed.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(9).unsigned(VERSION).text(E::NAME).bytes(self.circuit.0.as_bytes());
        writer.boolean(self.origin == Origin::Ceremony);
        writer.unsigned(self.inputs.len() as u64).unsigned(self.block_deltas.len() as u64);
        writer.array(self.shown.len());
        for block in &self.shown {
            writer.unsigned(block.len() as u64);
        }
        let (mut ones, mut twos) = (Vec::new(), Vec::new());
        let points: Vec<_> = self.ones().copied().collect();
        points::write(&points, Form::Uncompressed, &mut ones);
        points::write(&[self.beta, self.gamma, self.delta], Form::Uncompressed, &mut twos);
        points::write(&self.block_deltas, Form::Uncompressed, &mut twos);
        writer.bytes(&ones).bytes(&twos);
        writer.into_bytes()
    }

    /// Reads and checks the key whose hash is pinned, which is how keys are loaded.
    ///
    /// Nothing else of the bytes is looked at before their hash.
    ///
    /// # Errors
    /// Another hash, or what [`decode`](Self::decode) refuses.
    pub fn decode_pinned(bytes: &[u8], pinned: ContentHash) -> Result<Self, KeyError> {
        let found = ContentHash::of(bytes);
        if found == pinned { Self::decode(bytes) } else { Err(KeyError::Pinned { found, pinned }) }
    }

    /// Reads and checks a key that a stranger may have made.
    ///
    /// Whoever made it can forge under it and can write any [`Origin`] into it, so this is for looking at a key. Keys that
    /// proofs are verified under are loaded by [`decode_pinned`](Self::decode_pinned).
    ///
    /// # Errors
    /// Bytes that [`encode`](Self::encode) does not write, points outside of the group, a key of another
    /// curve, or one that [`check`](Self::check) refuses. The origin is reported, not judged.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(9)?;
        if reader.unsigned(u64::MAX)? != VERSION {
            return Err(reader.invalid("version 1").into());
        }
        if reader.text(16)? != E::NAME {
            return Err(KeyError::Curve(E::NAME));
        }
        let circuit = CircuitId(ContentHash::from_bytes(reader.fixed()?));
        let origin = if reader.boolean()? { Origin::Ceremony } else { Origin::Development };
        let inputs = count(&mut reader, INPUTS_MAX)?;
        let blocks = count(&mut reader, BLOCKS_MAX)?;
        let showable = reader.array(blocks)?;
        let shown: Vec<usize> =
            (0..showable).map(|_| count(&mut reader, SHOWN_WIRES_MAX)).collect::<Result<_, _>>()?;
        let (ones, twos) = (reader.bytes(KEY_BYTES_MAX)?, reader.bytes(KEY_BYTES_MAX)?);
        if inputs < 2 {
            return Err(reader.invalid("the constant and the challenge are inputs").into());
        }
        reader.finish()?;
        Self { circuit, origin, ..Self::from_points(inputs, &shown, blocks, ones, twos)? }.checked()
    }

    fn checked(self) -> Result<Self, KeyError> {
        self.check()?;
        Ok(self)
    }

    /// The key that these points are, of no circuit yet.
    fn from_points(
        inputs: usize,
        shown: &[usize],
        blocks: usize,
        mut ones: &[u8],
        mut twos: &[u8],
    ) -> Result<Self, PointError> {
        let mut one = |count| points::read(&mut ones, count, Form::Uncompressed, Trust::Stranger);
        let (alpha, blinding, inputs) = (one(1)?[0], one(1)?[0], one(inputs)?);
        let shown = shown.iter().map(|&len| one(len)).collect::<Result<_, _>>()?;
        let mut two =
            points::read(&mut twos, FIXED_TWO + blocks, Form::Uncompressed, Trust::Stranger)?;
        if !ones.is_empty() || !twos.is_empty() {
            return Err(PointError::Length);
        }
        let block_deltas = two.split_off(FIXED_TWO);
        let (circuit, origin) = (CircuitId(ContentHash::of(&[])), Origin::Development);
        let [beta, gamma, delta] = [two[0], two[1], two[2]];
        Ok(Self {
            circuit,
            origin,
            alpha,
            blinding,
            inputs,
            shown,
            beta,
            gamma,
            delta,
            block_deltas,
        })
    }
}

/// Refuses separators that are known, or equal up to sign.
pub(crate) fn check_separators<E: Curve>(separators: &[PointTwo<E>]) -> Result<(), KeyError> {
    let generator = PointTwo::<E>::generator();
    let same = |left: PointTwo<E>, right: PointTwo<E>| left == right || left == -right;
    for (index, &point) in separators.iter().enumerate() {
        if point.is_zero() {
            return Err(PointError::Identity.into());
        }
        if same(point, generator) {
            return Err(KeyError::Generator);
        }
        if separators[..index].iter().any(|&earlier| same(earlier, point)) {
            return Err(KeyError::Repeated);
        }
    }
    Ok(())
}

fn count(reader: &mut Reader<'_>, max: usize) -> Result<usize, CodecError> {
    let at = reader.invalid("a count within its limit");
    usize::try_from(reader.unsigned(max as u64)?).map_err(|_| at)
}
