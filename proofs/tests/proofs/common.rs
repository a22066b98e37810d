//! What pinned bytes and mutations start from: keys, proofs and contributions of small circuits, the same on every run.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use ark_ff::One;
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_proofs::ceremony::{Chain, Draft, FinishedPowers, LogSize, Policy, Powers, Stage};
use longhaul_proofs::cp::{Layout, R1cs, Wire, development_key};
use longhaul_proofs::curve::{Curve, Scalar};
use longhaul_proofs::s1::{
    Bounds, ChunkProof, ChunkProver, Exponent, NormView, Opening, Shape, SquaredNorm, Statement,
    Subject, Summand, TotalProof, circuit, prove_total,
};
use longhaul_proofs::seed::Seed;

pub fn seed(byte: u8) -> Seed {
    Seed::from_bytes([byte; 32])
}

pub fn peer(byte: u8) -> PeerId {
    SecretKey::from_seed(&[byte; 32]).peer_id()
}

/// A prover of 20 entries, under a development key.
pub fn prover<E: Curve>() -> ChunkProver<E> {
    let shape = Shape::new(20).unwrap();
    ChunkProver::new(shape, development_key(&circuit(shape), &seed(1))).unwrap()
}

pub fn statement() -> Statement {
    let subject = Subject {
        federation: ContentHash::of(b"federation"),
        author: peer(1),
        epoch: Epoch::new(12),
        base: ContentHash::of(b"base"),
        payload: ContentHash::of(b"payload"),
    };
    let bounds = Bounds { squared_norm: Some(40_000), zeros: Some(15), ..Bounds::default() };
    Statement { subject, chunk: 3, entries: 18, exponent: Exponent::new(4).unwrap(), bounds }
}

/// A proof of the statement, with its norm shown or hidden.
pub fn proof<E: Curve>(prover: &ChunkProver<E>, view: NormView) -> (ChunkProof<E>, Opening<E>) {
    let entries: Vec<i8> = (-9..9).map(|entry| entry * 3).collect();
    prover.prove(&statement(), &entries, view, seed(2)).unwrap()
}

/// The total of one hidden norm.
pub fn total<E: Curve>(
    prover: &ChunkProver<E>,
    (proof, opening): &(ChunkProof<E>, Opening<E>),
) -> (SquaredNorm, TotalProof<E>) {
    let (verifier, exponent) = (prover.verifier(), statement().exponent);
    let summand = Summand { verifier: &verifier, exponent, proof };
    prove_total(&statement().subject, &[summand], std::slice::from_ref(opening), seed(3)).unwrap()
}

pub fn members() -> BTreeSet<PeerId> {
    (1..5).map(peer).collect()
}

/// A chain with a contribution of the first member.
pub fn begun<S: Stage>(mut chain: Chain<S>) -> Chain<S> {
    let bytes = chain.contribute(peer(1), seed(1));
    chain.extend(&bytes, peer(1), &seed(9)).unwrap();
    chain
}

/// Phase 1 for domains of eight points.
pub fn powers<E: Curve>() -> Chain<Powers<E>> {
    begun(Chain::powers(LogSize::new(3).unwrap(), members()))
}

pub fn finished<E: Curve>() -> FinishedPowers<E> {
    powers().finish(Policy { contributors_min: NonZeroUsize::MIN }).unwrap()
}

/// Phase 2 for `challenge * block 1 = free` and `free * block 2 = free`.
pub fn draft<E: Curve>() -> Chain<Draft<E>> {
    let mut system = R1cs::new(Layout { public: 0, blocks: vec![1, 1], showable: 1, free: 2 });
    let at = |position| vec![(Wire::at(position), Scalar::<E>::one())];
    system.push(at(1), at(2), at(4));
    system.push(at(4), at(3), at(5));
    begun(Chain::circuit(&system, &finished(), members()).unwrap())
}
