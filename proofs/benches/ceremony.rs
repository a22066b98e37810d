//! Ceremonies: what a contribution costs its maker and everybody who checks it.
//!
//! `cargo bench -p longhaul-proofs --bench ceremony [-- FILTER]`, on as many threads as `RAYON_NUM_THREADS` says.
//! `key_*` is phase 2 of the 65,000-entry circuit, `powers_*` phase 1 for its domain of 2^16, `begin` the way
//! from one to the other. Sizes of messages are printed first. Everything needed is made once.

use std::sync::LazyLock;

use ark_bn254::Bn254;
use divan::Bencher;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_proofs::ceremony::{Chain, Draft, LogSize, Powers};
use longhaul_proofs::cp::R1cs;
use longhaul_proofs::s1::{Shape, circuit};
use longhaul_proofs::seed::Seed;

fn main() {
    divan::main();
}

type Phase1 = Chain<Powers<Bn254>>;
type Phase2 = Chain<Draft<Bn254>>;

static SYSTEM: LazyLock<R1cs<ark_bn254::Fr>> = LazyLock::new(|| circuit(Shape::STANDARD[2]));
static POWERS: LazyLock<Phase1> = LazyLock::new(|| {
    let size = LogSize::new(16).expect("a size");
    contributed(Phase1::powers(size), "phase 1 at 2^16")
});
static KEY: LazyLock<Phase2> = LazyLock::new(|| {
    let draft = Phase2::circuit(&SYSTEM, &finished(&POWERS)).expect("large enough");
    contributed(draft, "phase 2 of 65,000 entries")
});

fn peer() -> PeerId {
    SecretKey::from_seed(&[1; 32]).peer_id()
}

fn seed(byte: u8) -> Seed {
    Seed::from_bytes([byte; 32])
}

fn finished(powers: &Phase1) -> Powers<Bn254> {
    let contributors_min = std::num::NonZeroUsize::MIN;
    let policy = longhaul_proofs::ceremony::Policy { contributors_min };
    powers.clone().finish(policy).expect("one contributed")
}

/// A chain with one contribution, so that no point is the generator.
fn contributed<S: longhaul_proofs::ceremony::Stage>(mut chain: Chain<S>, name: &str) -> Chain<S> {
    let bytes = chain.contribute(peer(), seed(1));
    println!("{name}: a contribution has {} bytes", bytes.len());
    chain.extend(&bytes, &seed(2)).expect("an honest contribution");
    chain
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn powers_contribute(bencher: Bencher<'_, '_>) {
    let chain = &*POWERS;
    bencher.bench(|| chain.contribute(peer(), seed(3)));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn powers_check(bencher: Bencher<'_, '_>) {
    let chain = &*POWERS;
    let bytes = chain.contribute(peer(), seed(3));
    bencher
        .with_inputs(|| chain.clone())
        .bench_values(|mut chain| chain.extend(&bytes, &seed(4)).expect("an honest contribution"));
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn begin(bencher: Bencher<'_, '_>) {
    let powers = finished(&POWERS);
    bencher.bench(|| Phase2::circuit(&SYSTEM, &powers).expect("large enough"));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn key_contribute(bencher: Bencher<'_, '_>) {
    let chain = &*KEY;
    bencher.bench(|| chain.contribute(peer(), seed(5)));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn key_check(bencher: Bencher<'_, '_>) {
    let chain = &*KEY;
    let bytes = chain.contribute(peer(), seed(5));
    bencher
        .with_inputs(|| chain.clone())
        .bench_values(|mut chain| chain.extend(&bytes, &seed(6)).expect("an honest contribution"));
}
