//! Norm: the squared norm of an update of several chunks, where only the total is shown.
//!
//! Each chunk's proof carries a Pedersen commitment `N q + v d` to its squared norm `N`, in its own unit. `N` is
//! the integer: the lookup makes the histogram one, and 65,000 squares are below 2^30. A chunk with
//! exponent `e` counts `4^e N`, so the commitments of the chunks of one key, each times `4^e`, add up to a commitment to
//! their share of the total. Chunks under another key have another basis, so there is one
//! sum for each of the (at most three) keys: `W_k = S_k q_k + V_k d_k`.
//!
//! A Schnorr proof for linear relations (Maurer, "Unifying zero-knowledge proofs of knowledge", 2009) shows
//! that the author knows `S_k` and `V_k` with `sum S_k = T`. With random `a_k` that add up to zero, and `b_k`:
//! `t_k = a_k q_k + b_k d_k`; the challenge `c` is blake3 over the subject, the total, its hidden part, the number of
//! keys, and each one's hash, bases, `W_k` and `t_k`; `z_k = a_k + c S_k`, `y_k = b_k + c V_k`. The
//! verifier computes `t_k = z_k q_k + y_k d_k - c W_k`, and asks for `sum z_k = c T` and the same `c`. Two answers to one `t`
//! give the `S_k`; nobody knows a second opening of `W_k`, so they are what the chunks' proofs are about. One
//! key leaves `z_1 = c T`, and a proof of knowledge of `V_1`. Nothing but `T` is shown.

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use longhaul_aggregation::NormBound;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use zeroize::Zeroize;

use super::bounded::{ChunkProof, ChunkVerifier, Opening};
use super::shape::Shape;
use super::statement::{Exponent, Subject};
use crate::curve::{Curve, PointOne, Scalar};
use crate::seed::{Secret, Seed};

/// Most chunks of an update that are added up; with it a total stays below 2^94.
pub const CHUNKS_MAX: usize = 1 << 16;
/// Most keys that an update's chunks are proven under: one for each shape.
const KEYS_MAX: usize = Shape::STANDARD.len();
const WIDE_BYTES: usize = 48;
/// A scalar as it travels, on either curve.
const SCALAR_BYTES: usize = 32;

/// The squared norm of a whole update, in units of 2^-48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SquaredNorm(u128);

/// A proof that hidden norms add up to a total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalProof<E: Curve> {
    challenge: Scalar<E>,
    /// `(z, y)` for each key.
    answers: Vec<(Scalar<E>, Scalar<E>)>,
}

/// A chunk whose norm is added, with the verifier of its shape.
#[derive(Debug, Clone, Copy)]
pub struct Summand<'a, E: Curve> {
    /// The verifier of the chunk's shape.
    pub verifier: &'a ChunkVerifier<E>,
    /// The chunk's exponent, as its statement says it.
    pub exponent: Exponent,
    /// The chunk's proof, which was verified.
    pub proof: &'a ChunkProof<E>,
}

/// Why a total is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TotalError {
    /// There are more chunks than an update has.
    #[error("more than {CHUNKS_MAX} chunks")]
    Chunks,
    /// The chunks are proven under more keys than there are shapes.
    #[error("the chunks are proven under more than {KEYS_MAX} keys")]
    Keys,
    /// An opening does not open its chunk's commitment, or there are not as many.
    #[error("the openings are not those of the chunks")]
    Opening,
    /// The proof does not show the total.
    #[error("the proof does not show that the norms add up to the total")]
    Invalid,
    /// The total is above the bound.
    #[error("the squared norm is {total:?}, the bound allows {bound}")]
    Bound {
        /// The total shown.
        total: SquaredNorm,
        /// The bound.
        bound: NormBound,
    },
    /// The bytes are no proof.
    #[error("not a well-formed proof: {0}")]
    Malformed(#[from] CodecError),
}

/// What a proof is about, beside the shares.
struct Public<'a> {
    subject: &'a Subject,
    total: SquaredNorm,
    /// What is left of the total without the norms that are shown.
    hidden: u128,
}

/// The sum of one key's commitments.
struct Share<E: Curve> {
    key_hash: ContentHash,
    basis: [PointOne<E>; 2],
    commitment: E::G1,
    value: Scalar<E>,
    blinder: Secret<Scalar<E>>,
}

impl SquaredNorm {
    /// A squared norm in units of 2^-48.
    pub const fn from_units(units: u128) -> Self {
        Self(units)
    }

    /// In units of 2^-48.
    pub const fn units(self) -> u128 {
        self.0
    }
}

/// Adds up the chunks' norms and proves the total: below 1 ms for each chunk. The seed is used up.
///
/// Masks are drawn from the seed and all that is proven, openings included.
///
/// # Errors
/// [`TotalError::Opening`] if the openings are not those of the summands, whose norms may be shown or hidden; too many chunks
/// or keys.
pub fn prove_total<E: Curve>(
    subject: &Subject,
    summands: &[Summand<'_, E>],
    openings: &[Opening<E>],
    seed: Seed,
) -> Result<(SquaredNorm, TotalProof<E>), TotalError> {
    if summands.len() != openings.len() {
        return Err(TotalError::Opening);
    }
    let (mut shares, shown) = shares(summands)?;
    let mut total = 0;
    for (summand, opening) in summands.iter().zip(openings) {
        let (weight, norm) = (summand.exponent.square_weight(), opening.squared_norm);
        total += u128::from(weight) * u128::from(norm);
        if summand.proof.shown_norm().is_some_and(|shown| shown != norm) {
            return Err(TotalError::Opening);
        }
        let hidden = summand.proof.hidden_norm().is_some();
        let key_hash = summand.verifier.verifier().key_hash();
        if let Some(share) = shares.iter_mut().find(|it| hidden && it.key_hash == key_hash) {
            let weight = Scalar::<E>::from(weight);
            share.value += weight * Scalar::<E>::from(norm);
            share.blinder = Secret::new(*share.blinder.reveal() + weight * opening.norm.reveal());
        }
    }
    let opens =
        |share: &Share<E>| share.combine(&share.value, share.blinder.reveal()) == share.commitment;
    if !shares.iter().all(opens) {
        return Err(TotalError::Opening);
    }
    let hidden = total.checked_sub(shown).ok_or(TotalError::Opening)?;
    let total = SquaredNorm(total);
    let public = Public { subject, total, hidden };
    Ok((total, TotalProof::new(&public, &shares, &seed)))
}

/// Checks that the chunks' norms add up to `total`, and that it is within `bound`. The chunks' own proofs
/// are checked elsewhere.
///
/// # Errors
/// [`TotalError`].
pub fn verify_total<E: Curve>(
    subject: &Subject,
    summands: &[Summand<'_, E>],
    total: SquaredNorm,
    proof: &TotalProof<E>,
    bound: NormBound,
) -> Result<(), TotalError> {
    let (shares, shown) = shares(summands)?;
    let hidden = total.0.checked_sub(shown).ok_or(TotalError::Invalid)?;
    let public = Public { subject, total, hidden };
    if proof.answers.len() != shares.len() || !proof.holds(&public, &shares) {
        return Err(TotalError::Invalid);
    }
    if !bound.allows(total.0) {
        return Err(TotalError::Bound { total, bound });
    }
    Ok(())
}

/// One share for each key that has hidden norms, in the order of their hashes; and the sum of the shown norms.
fn shares<E: Curve>(summands: &[Summand<'_, E>]) -> Result<(Vec<Share<E>>, u128), TotalError> {
    if summands.len() > CHUNKS_MAX {
        return Err(TotalError::Chunks);
    }
    let mut shares: Vec<Share<E>> = Vec::new();
    let mut shown = 0;
    for summand in summands {
        let weight = summand.exponent.square_weight();
        shown += u128::from(weight) * u128::from(summand.proof.shown_norm().unwrap_or(0));
        let Some(commitment) = summand.proof.hidden_norm() else { continue };
        let weighed = commitment * Scalar::<E>::from(weight);
        let key_hash = summand.verifier.verifier().key_hash();
        match shares.binary_search_by_key(&key_hash, |share| share.key_hash) {
            Ok(index) => shares[index].commitment += weighed,
            Err(_) if shares.len() == KEYS_MAX => return Err(TotalError::Keys),
            Err(index) => shares.insert(index, Share::new(summand.verifier, weighed)),
        }
    }
    Ok((shares, shown))
}

impl<E: Curve> Share<E> {
    fn new(verifier: &ChunkVerifier<E>, commitment: E::G1) -> Self {
        let (values, blinding) = verifier.verifier().key().shown_basis(0);
        let (value, blinder) = (Scalar::<E>::ZERO, Secret::new(Scalar::<E>::ZERO));
        let key_hash = verifier.verifier().key_hash();
        Self { key_hash, basis: [values[0], blinding], commitment, value, blinder }
    }

    fn combine(&self, value: &Scalar<E>, blinder: &Scalar<E>) -> E::G1 {
        self.basis[0] * value + self.basis[1] * blinder
    }
}

impl<E: Curve> TotalProof<E> {
    fn new(public: &Public<'_>, shares: &[Share<E>], seed: &Seed) -> Self {
        let purpose = format!("norm total {}", ContentHash::of(&public.statement(shares)));
        let openings = shares.iter().map(|share| [share.value, *share.blinder.reveal()]);
        let mut openings: Vec<[Scalar<E>; 2]> = openings.collect();
        let mut draw = seed.hedged(&purpose, openings.iter().map(<[_; 2]>::as_slice)).draw();
        openings.zeroize();
        let mut masks: Vec<_> = shares.iter().map(|_| (draw.scalar(), draw.scalar())).collect();
        let others: Scalar<E> = masks.iter().skip(1).map(|(value, _)| *value.reveal()).sum();
        if let Some((first, _)) = masks.first_mut() {
            *first = Secret::new(-others);
        }
        let first_messages = shares
            .iter()
            .zip(&masks)
            .map(|(share, (value, blinder))| share.combine(value.reveal(), blinder.reveal()));
        let first_messages: Vec<E::G1> = first_messages.collect();
        let challenge = public.challenge(shares, &first_messages);
        let answer = |(share, (value, blinder)): (&Share<E>, &(Secret<_>, Secret<_>))| {
            let value: Scalar<E> = *value.reveal() + challenge * share.value;
            (value, *blinder.reveal() + challenge * share.blinder.reveal())
        };
        let answers: Vec<_> = shares.iter().zip(&masks).map(answer).collect();
        Self { challenge, answers }
    }

    fn holds(&self, public: &Public<'_>, shares: &[Share<E>]) -> bool {
        let message = |(share, (value, blinder)): (&Share<E>, &(_, _))| {
            share.combine(value, blinder) - share.commitment * self.challenge
        };
        let messages: Vec<E::G1> = shares.iter().zip(&self.answers).map(message).collect();
        let sum: Scalar<E> = self.answers.iter().map(|answer| answer.0).sum();
        sum == self.challenge * Scalar::<E>::from(public.hidden)
            && public.challenge(shares, &messages) == self.challenge
    }

    /// A deterministic CBOR array `[challenge, answers]`: 102 bytes for one key, 230 for three.
    pub fn encode(&self) -> Vec<u8> {
        let (mut writer, mut bytes) = (Writer::new(), Vec::new());
        for scalar in self.answers.iter().flat_map(|(value, blinder)| [value, blinder]) {
            bytes.extend(scalar.into_bigint().to_bytes_le());
        }
        writer.array(2).bytes(&self.challenge.into_bigint().to_bytes_le()).bytes(&bytes);
        writer.into_bytes()
    }

    /// Reads a proof over `keys` keys.
    ///
    /// # Errors
    /// [`TotalError::Malformed`], also for a scalar that is not reduced.
    pub fn decode(bytes: &[u8], keys: usize) -> Result<Self, TotalError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(2)?;
        let challenge = reader.fixed::<SCALAR_BYTES>()?;
        let answers = reader.bytes(2 * SCALAR_BYTES * KEYS_MAX)?;
        let invalid = reader.invalid("scalars below the order of the group");
        reader.finish()?;
        let scalar = |bytes: &[u8]| {
            Scalar::<E>::deserialize_uncompressed(bytes).map_err(|_| invalid.clone())
        };
        if keys > KEYS_MAX || answers.len() != 2 * SCALAR_BYTES * keys {
            return Err(invalid.into());
        }
        let pair =
            |bytes: &[u8]| Ok((scalar(&bytes[..SCALAR_BYTES])?, scalar(&bytes[SCALAR_BYTES..])?));
        let answers = answers.chunks_exact(2 * SCALAR_BYTES).map(pair);
        let answers = answers.collect::<Result<_, CodecError>>()?;
        Ok(Self { challenge: scalar(&challenge)?, answers })
    }
}

impl Public<'_> {
    /// Canonical bytes of all that is proven.
    fn statement<E: Curve>(&self, shares: &[Share<E>]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(5).text(E::NAME);
        self.subject.write(&mut writer);
        writer.bytes(&self.total.0.to_be_bytes()).bytes(&self.hidden.to_be_bytes());
        writer.array(shares.len());
        for share in shares {
            let [value, blinder] = share.basis;
            let points = point_bytes([value, blinder, share.commitment.into_affine()]);
            writer.array(2).bytes(share.key_hash.as_bytes()).bytes(&points);
        }
        writer.into_bytes()
    }

    fn challenge<E: Curve>(&self, shares: &[Share<E>], messages: &[E::G1]) -> Scalar<E> {
        let messages = point_bytes(messages.iter().map(|message| message.into_affine()));
        let mut writer = Writer::new();
        writer.array(2).bytes(&self.statement(shares)).bytes(&messages);
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs norm total v2");
        let mut wide = [0; WIDE_BYTES];
        hasher.update(&writer.into_bytes()).finalize_xof().fill(&mut wide);
        Scalar::<E>::from_le_bytes_mod_order(&wide)
    }
}

fn point_bytes<P: CanonicalSerialize>(points: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for point in points {
        point.serialize_compressed(&mut bytes).expect("a vector takes all bytes");
    }
    bytes
}
