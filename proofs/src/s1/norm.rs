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
//! keys, each one's hash, bases, commitments and weights, and all `t_k`; `z_k = a_k + c S_k`, `y_k = b_k + c V_k`. The
//! verifier asks for `z_k q_k + y_k d_k = c W_k + t_k` and `sum z_k = c T`. Two answers to one `t`
//! give the `S_k`; nobody knows a second opening of `W_k`, so they are what the chunks' proofs are about. One
//! key leaves `z_1 = c T`, and a proof of knowledge of `V_1`. Nothing but `T` is shown.
//!
//! The `t_k` travel, and not `c`: so the equations of many totals are checked as one, each times a coefficient of 128 bits
//! that blake3 derives from all of them ([`verify_totals`]). If that does not hold, halves are checked.

use std::collections::BTreeMap;

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInteger, PrimeField, Zero};
use ark_serialize::CanonicalDeserialize;
use longhaul_aggregation::NormBound;
use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;
use rayon::prelude::*;
use zeroize::Zeroize;

use super::bounded::{ChunkProof, ChunkVerifier, Opening};
use super::shape::Shape;
use super::statement::{Exponent, Subject};
use crate::cp::points::{self, Form, Trust};
use crate::cp::{PointError, coefficients, sum_wide};
use crate::curve::{Curve, PointOne, Scalar};
use crate::seed::{Secret, Seed};

/// Most chunks of an update that are added up; with it a total stays below 2^94.
pub const CHUNKS_MAX: usize = 1 << 16;
/// Most keys that an update's chunks are proven under: one for each shape.
const KEYS_MAX: usize = Shape::STANDARD.len();
const WIDE_BYTES: usize = 48;
/// A scalar as it travels, on either curve.
const SCALAR_BYTES: usize = 32;
/// A point as it travels, on the curve with the larger ones.
const POINT_BYTES_MAX: usize = 48;

/// The squared norm of a whole update, in units of 2^-48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SquaredNorm(u128);

/// A proof that hidden norms add up to a total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalProof<E: Curve> {
    /// `t` for each key.
    messages: Vec<PointOne<E>>,
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

/// A claim that the norms of an update's chunks add up to a total. The chunks' own proofs are checked elsewhere.
#[derive(Debug, Clone)]
pub struct TotalClaim<'a, E: Curve> {
    /// What the update is.
    pub subject: &'a Subject,
    /// Its chunks.
    pub summands: Vec<Summand<'a, E>>,
    /// The total.
    pub total: SquaredNorm,
    /// Its proof.
    pub proof: &'a TotalProof<E>,
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
    /// A point of the proof is not one.
    #[error("a point of the proof: {0}")]
    Point(#[from] PointError),
}

/// What a proof is about, beside the shares.
struct Public<'a> {
    subject: &'a Subject,
    total: SquaredNorm,
    /// What is left of the total without the norms that are shown.
    hidden: u128,
}

/// One key's commitments, with their weights, and what their sum opens to where that is known.
struct Share<E: Curve> {
    key_hash: ContentHash,
    basis: [PointOne<E>; 2],
    terms: Vec<(u64, PointOne<E>)>,
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
        |share: &Share<E>| share.combine(&share.value, share.blinder.reveal()) == share.sum();
    if !shares.iter().all(opens) {
        return Err(TotalError::Opening);
    }
    let hidden = total.checked_sub(shown).ok_or(TotalError::Opening)?;
    let total = SquaredNorm(total);
    let public = Public { subject, total, hidden };
    Ok((total, TotalProof::new(&public, &shares, &seed)))
}

/// Checks one total, and that it is within `bound`: see [`verify_totals`].
///
/// # Errors
/// [`TotalError`].
pub fn verify_total<E: Curve>(
    claim: &TotalClaim<'_, E>,
    bound: NormBound,
) -> Result<(), TotalError> {
    verify_totals(std::slice::from_ref(claim), bound).pop().expect("a verdict for each")
}

/// Checks many totals, and that each is within `bound`: some 0.1 ms of one core for each, and 1 ms alone.
pub fn verify_totals<E: Curve>(
    claims: &[TotalClaim<'_, E>],
    bound: NormBound,
) -> Vec<Result<(), TotalError>> {
    let equations: Vec<Result<Equation<'_, E>, TotalError>> =
        claims.par_iter().map(|claim| Equation::new(claim, bound)).collect();
    let (places, sound): (Vec<usize>, Vec<&Equation<'_, E>>) = (0..)
        .zip(&equations)
        .filter_map(|(place, equation)| Some((place, equation.as_ref().ok()?)))
        .unzip();
    let mut draws = Equation::coefficients(&sound).into_iter();
    let weighed: Vec<Weighed<'_, E>> = sound
        .into_iter()
        .map(|equation| (equation, draws.by_ref().take(equation.shares.len()).collect()))
        .collect();
    let mut bad = Vec::new();
    find_bad(&weighed, 0, &mut bad);
    let mut verdicts: Vec<Result<(), TotalError>> = equations
        .iter()
        .map(|equation| equation.as_ref().map(drop).map_err(Clone::clone))
        .collect();
    bad.into_iter().for_each(|place| verdicts[places[place]] = Err(TotalError::Invalid));
    verdicts
}

/// What there is to check of a claim once all is read.
struct Equation<'a, E: Curve> {
    challenge: Scalar<E>,
    shares: Vec<Share<E>>,
    proof: &'a TotalProof<E>,
}

/// An equation with a coefficient for each of its shares.
type Weighed<'a, E> = (&'a Equation<'a, E>, Vec<Scalar<E>>);

impl<'a, E: Curve> Equation<'a, E> {
    /// Checks all that needs no group.
    fn new(claim: &TotalClaim<'a, E>, bound: NormBound) -> Result<Self, TotalError> {
        let (total, proof) = (claim.total, claim.proof);
        if !bound.allows(total.0) {
            return Err(TotalError::Bound { total, bound });
        }
        let (shares, shown) = shares(&claim.summands)?;
        let hidden = total.0.checked_sub(shown).ok_or(TotalError::Invalid)?;
        let public = Public { subject: claim.subject, total, hidden };
        let challenge = public.challenge(&shares, &proof.messages);
        let sum: Scalar<E> = proof.answers.iter().map(|answer| answer.0).sum();
        let holds = proof.answers.len() == shares.len()
            && proof.messages.len() == shares.len()
            && sum == challenge * Scalar::<E>::from(hidden);
        if holds { Ok(Self { challenge, shares, proof }) } else { Err(TotalError::Invalid) }
    }

    /// Coefficients for all shares of all equations, which nobody knows before all are fixed.
    fn coefficients(equations: &[&Self]) -> Vec<Scalar<E>> {
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs joined totals v1");
        for equation in equations {
            hasher.update(&equation.challenge.into_bigint().to_bytes_le());
            hasher.update(&equation.proof.encode());
        }
        let count = equations.iter().map(|equation| equation.shares.len()).sum();
        coefficients(&hasher, count)
    }
}

/// The bases of a key, and what each counts.
type Based<E> = ([PointOne<E>; 2], [Scalar<E>; 2]);

/// Adds the places of equations that do not hold, counted from `first`.
fn find_bad<E: Curve>(equations: &[Weighed<'_, E>], first: usize, bad: &mut Vec<usize>) {
    if hold(equations) {
        return;
    }
    if equations.len() == 1 {
        bad.push(first);
        return;
    }
    let (left, right) = equations.split_at(equations.len() / 2);
    find_bad(left, first, bad);
    find_bad(right, first + left.len(), bad);
}

/// Whether the sum of the equations, each times its coefficients, holds.
fn hold<E: Curve>(equations: &[Weighed<'_, E>]) -> bool {
    let mut bases: BTreeMap<ContentHash, Based<E>> = BTreeMap::new();
    let (mut points, mut scalars) = (Vec::new(), Vec::new());
    for (equation, coefficients) in equations {
        let (proof, challenge) = (equation.proof, equation.challenge);
        let answers = proof.answers.iter().zip(&proof.messages);
        for ((share, z), (answer, message)) in equation.shares.iter().zip(coefficients).zip(answers)
        {
            let sums = bases.entry(share.key_hash).or_insert((share.basis, [Scalar::<E>::ZERO; 2]));
            sums.1[0] += *z * answer.0;
            sums.1[1] += *z * answer.1;
            points.push(*message);
            scalars.push(-*z);
            let weight = -*z * challenge;
            points.extend(share.terms.iter().map(|term| term.1));
            scalars.extend(share.terms.iter().map(|term| weight * Scalar::<E>::from(term.0)));
        }
    }
    for (basis, sums) in bases.into_values() {
        points.extend(basis);
        scalars.extend(sums);
    }
    sum_wide(&points, &scalars).is_zero()
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
        let (term, key_hash) = ((weight, commitment), summand.verifier.verifier().key_hash());
        match shares.binary_search_by_key(&key_hash, |share| share.key_hash) {
            Ok(index) => shares[index].terms.push(term),
            Err(_) if shares.len() == KEYS_MAX => return Err(TotalError::Keys),
            Err(index) => shares.insert(index, Share::new(summand.verifier, term)),
        }
    }
    Ok((shares, shown))
}

impl<E: Curve> Share<E> {
    fn new(verifier: &ChunkVerifier<E>, term: (u64, PointOne<E>)) -> Self {
        let (values, blinding) = verifier.verifier().key().shown_basis(0);
        let (value, blinder) = (Scalar::<E>::ZERO, Secret::new(Scalar::<E>::ZERO));
        let key_hash = verifier.verifier().key_hash();
        Self { key_hash, basis: [values[0], blinding], terms: vec![term], value, blinder }
    }

    /// The sum of the commitments, each as often as it counts.
    fn sum(&self) -> E::G1 {
        self.terms.iter().map(|&(weight, point)| point * Scalar::<E>::from(weight)).sum()
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
        let messages = E::G1::normalize_batch(&first_messages.collect::<Vec<_>>());
        let challenge = public.challenge(shares, &messages);
        let answer = |(share, (value, blinder)): (&Share<E>, &(Secret<_>, Secret<_>))| {
            let value: Scalar<E> = *value.reveal() + challenge * share.value;
            (value, *blinder.reveal() + challenge * share.blinder.reveal())
        };
        let answers: Vec<_> = shares.iter().zip(&masks).map(answer).collect();
        Self { messages, answers }
    }

    /// A deterministic CBOR array `[messages, answers]`: on BN254 101 bytes for one key, 293 for three.
    pub fn encode(&self) -> Vec<u8> {
        let (mut writer, mut points, mut scalars) = (Writer::new(), Vec::new(), Vec::new());
        points::write(&self.messages, Form::Compressed, &mut points);
        for scalar in self.answers.iter().flat_map(|(value, blinder)| [value, blinder]) {
            scalars.extend(scalar.into_bigint().to_bytes_le());
        }
        writer.array(2).bytes(&points).bytes(&scalars);
        writer.into_bytes()
    }

    /// Reads a proof over `keys` keys.
    ///
    /// # Errors
    /// [`TotalError::Malformed`], also for a scalar that is not reduced, and points that are refused.
    pub fn decode(bytes: &[u8], keys: usize) -> Result<Self, TotalError> {
        let mut reader = Reader::new(bytes);
        reader.tuple(2)?;
        let mut points = reader.bytes(POINT_BYTES_MAX * KEYS_MAX)?;
        let answers = reader.bytes(2 * SCALAR_BYTES * KEYS_MAX)?;
        let invalid = reader.invalid("points and scalars for each key, below the group's order");
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
        let messages = points::read(&mut points, keys, Form::Compressed, Trust::Stranger)?;
        if points.is_empty() { Ok(Self { messages, answers }) } else { Err(invalid.into()) }
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
            writer.array(3).bytes(share.key_hash.as_bytes()).bytes(&point_bytes(&share.basis));
            writer.array(share.terms.len());
            for (weight, point) in &share.terms {
                writer.array(2).unsigned(*weight).bytes(&point_bytes(&[*point]));
            }
        }
        writer.into_bytes()
    }

    fn challenge<E: Curve>(&self, shares: &[Share<E>], messages: &[PointOne<E>]) -> Scalar<E> {
        let mut writer = Writer::new();
        writer.array(2).bytes(&self.statement(shares)).bytes(&point_bytes(messages));
        let mut hasher = blake3::Hasher::new_derive_key("longhaul 2026 proofs norm total v3");
        let mut wide = [0; WIDE_BYTES];
        hasher.update(&writer.into_bytes()).finalize_xof().fill(&mut wide);
        Scalar::<E>::from_le_bytes_mod_order(&wide)
    }
}

fn point_bytes<P: AffineRepr>(points: &[P]) -> Vec<u8> {
    let mut bytes = Vec::new();
    points::write(points, Form::Compressed, &mut bytes);
    bytes
}
