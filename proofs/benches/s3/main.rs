//! Gradient steps: committing to data, proving and verifying.
//!
//! `cargo bench -p longhaul-proofs --bench s3 [-- FILTER]`, on as many threads as `RAYON_NUM_THREADS` says.
//! `prove` is from a base and a batch to a proof that was verified; `step` is the step alone, in integers. The key is made once,
//! for development.

use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr};
use divan::Bencher;
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::development_key;
use longhaul_proofs::s1::{Exponent, Subject};
use longhaul_proofs::s3::{
    BATCH, Base, Batch, CLASSES, DataSet, INPUTS, Label, Rate, Sample, Statement, StepProof,
    StepProver, WEIGHTS, circuit, gradient_step, least_exponent,
};
use longhaul_proofs::seed::Seed;

fn main() {
    divan::main();
}

static PROVER: LazyLock<StepProver<Bn254>> = LazyLock::new(|| {
    let key = development_key(&circuit(), &Seed::from_bytes([1; 32]));
    StepProver::new(key).expect("the key is of this circuit")
});
static DATA: LazyLock<DataSet<Fr>> = LazyLock::new(|| data(32));

/// Values below a bound that look random.
fn draw(state: &mut u64, bound: i64) -> i64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    i64::try_from(*state >> 33).expect("31 bits") % bound
}

fn batch(mut state: u64) -> Batch {
    let sample = |_| {
        let class = draw(&mut state, CLASSES as i64);
        let label = Label::new(u8::try_from(class).expect("below 10")).expect("a class");
        let mut inputs = [0; INPUTS];
        inputs
            .iter_mut()
            .for_each(|it| *it = i8::try_from(draw(&mut state, 129) - 64).expect("small"));
        Sample::new(inputs, label).expect("not -128")
    };
    Batch::new((0..BATCH).map(sample).collect()).expect("as many as a batch has")
}

fn data(batches: u64) -> DataSet<Fr> {
    let batches = (0..batches).map(batch).collect();
    DataSet::commit(batches, Seed::from_bytes([2; 32])).expect("within bounds")
}

fn base() -> Base {
    let mut state = 77;
    let weight = |_| i32::try_from(draw(&mut state, 200_001) - 100_000).expect("small");
    Base::new((0..WEIGHTS).map(weight).collect()).expect("within bounds")
}

fn rate() -> Rate {
    Rate::new(6_554).expect("not zero")
}

fn statement() -> Statement<Fr> {
    let hash = ContentHash::of(b"bench");
    let author = SecretKey::from_seed(&[1; 32]).peer_id();
    let subject =
        Subject { federation: hash, author, epoch: Epoch::new(1), base: hash, payload: hash };
    let exponent = Exponent::new(0).expect("at most 24");
    let mut statement = Statement { subject, chunk: 0, exponent, rate: rate(), data: DATA.root() };
    let member = DATA.member(statement.leaf());
    statement.exponent = least_exponent(&base(), member.batch(), rate()).expect("small weights");
    statement
}

fn made() -> (Statement<Fr>, StepProof<Bn254>) {
    let statement = statement();
    let member = DATA.member(statement.leaf());
    let seed = Seed::from_bytes([3; 32]);
    let (proof, _) = PROVER.prove(&statement, &base(), &member, seed).expect("an honest step");
    (statement, proof)
}

#[divan::bench(sample_size = 1)]
fn prove(bencher: Bencher<'_, '_>) {
    let (statement, base) = (statement(), base());
    let member = DATA.member(statement.leaf());
    let prover = &*PROVER;
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let seed = Seed::from_bytes([3; 32]).derive("bench", number);
        prover.prove(&statement, &base, &member, seed).expect("an honest step")
    });
}

#[divan::bench]
fn step(bencher: Bencher<'_, '_>) {
    let (statement, base) = (statement(), base());
    let member = DATA.member(statement.leaf());
    bencher
        .bench(|| gradient_step(&base, member.batch(), rate(), statement.exponent).expect("small"));
}

#[divan::bench]
fn read_and_verify(bencher: Bencher<'_, '_>) {
    let ((statement, proof), base) = (made(), base());
    let (bytes, verifier) = (proof.encode(), PROVER.verifier());
    bencher.bench(|| {
        let proof = StepProof::decode(&bytes).expect("a proof");
        verifier.verify(&statement, &base, &proof).expect("a good one");
    });
}

#[divan::bench(args = [32], sample_size = 1)]
fn commit_batches(bencher: Bencher<'_, '_>, batches: u64) {
    bencher.bench(|| data(batches));
}
