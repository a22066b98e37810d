//! Ceremonies: what a contribution costs its maker and everybody who checks it.
//!
//! `cargo bench -p longhaul-proofs --bench ceremony [-- FILTER]`, on as many threads as `RAYON_NUM_THREADS` says.
//! `key_*` is phase 2 of the circuits of 7,800 (0) and 65,000 entries (1), `powers_*` phase 1 for a domain of 2^16, `begin`
//! the way from one to the other. Sizes of messages are printed first. Everything needed is made once.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ark_bn254::Bn254;
use divan::Bencher;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_proofs::ceremony::{
    Chain, Draft, FinishedPowers, LogSize, Policy, Powers, Refusal, Stage,
};
use longhaul_proofs::s1::{Shape, circuit};
use longhaul_proofs::seed::Seed;

fn main() {
    divan::main();
}

type Phase1 = Chain<Powers<Bn254>>;
type Phase2 = Chain<Draft<Bn254>>;

static POWERS: LazyLock<Phase1> = LazyLock::new(|| powers(16));
static KEYS: [LazyLock<Phase2>; 2] = [LazyLock::new(|| key(1, 13)), LazyLock::new(|| key(2, 16))];

fn powers(log: u32) -> Phase1 {
    contributed(Phase1::powers(LogSize::new(log).expect("a size"), members()), "powers")
}

/// Phase 2 for a standard shape, from powers of that size.
fn key(shape: usize, log: u32) -> Phase2 {
    let system = circuit(Shape::STANDARD[shape]);
    let chain = Phase2::circuit(&system, &finished(&powers(log)), members());
    contributed(chain.expect("large enough"), "key")
}

fn peer(byte: u8) -> PeerId {
    SecretKey::from_seed(&[byte; 32]).peer_id()
}

fn members() -> BTreeSet<PeerId> {
    [1, 2].map(peer).into()
}

fn seed(byte: u8) -> Seed {
    Seed::from_bytes([byte; 32])
}

fn finished(powers: &Phase1) -> FinishedPowers<Bn254> {
    let contributors_min = std::num::NonZeroUsize::MIN;
    let policy = Policy { contributors_min };
    powers.clone().finish(policy).expect("one contributed")
}

/// A chain with one contribution, so that no point is the generator.
fn contributed<S: Stage>(mut chain: Chain<S>, name: &str) -> Chain<S> {
    let bytes = chain.contribute(peer(1), seed(1));
    println!("{name}: a contribution has {} bytes", bytes.len());
    chain.extend(&bytes, peer(1), &seed(2)).expect("an honest contribution");
    chain
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn powers_contribute(bencher: Bencher<'_, '_>) {
    let chain = &*POWERS;
    bencher.bench(|| chain.contribute(peer(2), seed(3)));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn powers_check(bencher: Bencher<'_, '_>) {
    let chain = &*POWERS;
    let bytes = chain.contribute(peer(2), seed(3));
    let take = |mut chain: Phase1| chain.extend(&bytes, peer(2), &seed(4)).expect("an honest one");
    bencher.with_inputs(|| chain.clone()).bench_values(take);
}

#[divan::bench(args = [(1, 13), (2, 16)], sample_count = 1, sample_size = 1)]
fn begin(bencher: Bencher<'_, '_>, (shape, log): (usize, u32)) {
    let powers = finished(&powers(log));
    let system = circuit(Shape::STANDARD[shape]);
    bencher
        .with_inputs(members)
        .bench_values(|members| Phase2::circuit(&system, &powers, members).expect("large enough"));
}

#[divan::bench(args = [0, 1], sample_count = 3, sample_size = 1)]
fn key_contribute(bencher: Bencher<'_, '_>, size: usize) {
    let chain = &*KEYS[size];
    bencher.bench(|| chain.contribute(peer(2), seed(5)));
}

/// Reads and checks.
#[divan::bench(args = [0, 1], sample_count = 9, sample_size = 1)]
fn key_check(bencher: Bencher<'_, '_>, size: usize) {
    let chain = &*KEYS[size];
    let bytes = chain.contribute(peer(2), seed(5));
    let take = |mut chain: Phase2| chain.extend(&bytes, peer(2), &seed(6)).expect("an honest one");
    bencher.with_inputs(|| chain.clone()).bench_values(take);
}

/// Refuses a contribution whose proofs of knowledge do not hold: what junk costs.
#[divan::bench(args = [0, 1], sample_count = 9, sample_size = 1)]
fn key_refuse(bencher: Bencher<'_, '_>, size: usize) {
    let chain = &*KEYS[size];
    let mut bytes = chain.contribute(peer(2), seed(5));
    let last = bytes.len() - 32;
    bytes[last] ^= 1;
    let refusal = Err(Refusal::Knowledge);
    bencher
        .with_inputs(|| chain.clone())
        .bench_values(|mut chain| assert_eq!(chain.extend(&bytes, peer(2), &seed(6)), refusal));
}
