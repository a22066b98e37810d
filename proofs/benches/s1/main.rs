//! Bounded updates and sums: proving, verifying and committing, beside what they cannot go below.
//!
//! `cargo bench -p longhaul-proofs --bench s1 [-- FILTER]`, on as many threads as `RAYON_NUM_THREADS` says.
//! `prove` is from entries to a proof that was verified; `floor` is its transforms and its sums alone, of
//! the same sizes; `stock` is ark-groth16 on the same statement with a bit decomposition and a Poseidon hash that binds the
//! entries, in [`stock`]. Keys are made once, for development.

mod floor;
mod stock;

use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr};
use divan::Bencher;
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::cp::{Basis, development_key};
use longhaul_proofs::s1::{
    Bounds, ChunkProof, ChunkProver, Exponent, NormView, Shape, Statement, Subject, circuit,
};
use longhaul_proofs::s2::{
    SumClaim, Term, Weight, commitment_of, sum_blinder, verify_sum, verify_sums,
};
use longhaul_proofs::seed::{Secret, Seed};

fn main() {
    divan::main();
}

static PROVERS: [LazyLock<ChunkProver<Bn254>>; 3] = [
    LazyLock::new(|| prover(Shape::STANDARD[0])),
    LazyLock::new(|| prover(Shape::STANDARD[1])),
    LazyLock::new(|| prover(Shape::STANDARD[2])),
];

fn prover(shape: Shape) -> ChunkProver<Bn254> {
    let key = development_key(&circuit(shape), &Seed::from_bytes([1; 32]));
    ChunkProver::new(shape, key).expect("the key is of this circuit")
}

/// A bell of some 20 steps' width, as quantised updates have.
fn entries(count: usize, salt: u64) -> Vec<i8> {
    let mut state = salt;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i8::try_from((state >> 33) % 31).expect("below 31") - 15
    };
    (0..count).map(|_| draw() + draw() + draw()).collect()
}

fn statement(entries: usize, chunk: u32) -> Statement {
    let hash = ContentHash::of(b"bench");
    let author = SecretKey::from_seed(&[1; 32]).peer_id();
    let subject =
        Subject { federation: hash, author, epoch: Epoch::new(1), base: hash, payload: hash };
    let exponent = Exponent::new(3).expect("at most 24");
    let bounds = Bounds { squared_norm: Some(1 << 28), ..Bounds::default() };
    Statement { subject, chunk, entries, exponent, bounds }
}

fn seed(number: u64) -> Seed {
    Seed::from_bytes([3; 32]).derive("bench", number)
}

#[divan::bench(args = [0, 1, 2], sample_size = 1)]
fn prove(bencher: Bencher<'_, '_>, size: usize) {
    let prover = &*PROVERS[size];
    let entries = entries(prover.shape().entries(), 7);
    let statement = statement(entries.len(), 0);
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        prover.prove(&statement, &entries, NormView::Shown, seed(number)).expect("within bounds")
    });
}

#[divan::bench(args = [0, 1, 2], sample_size = 1)]
fn floor(bencher: Bencher<'_, '_>, size: usize) {
    let count = Shape::STANDARD[size].entries();
    let floor = floor::Floor::new(&entries(count, 7));
    bencher.bench_local(|| floor.run());
}

fn proofs(count: u32) -> Vec<(Statement, ChunkProof<Bn254>)> {
    let prover = &*PROVERS[0];
    let entries = entries(prover.shape().entries(), 7);
    let one = |chunk: u32| {
        let statement = statement(entries.len(), chunk);
        let made = prover.prove(&statement, &entries, NormView::Shown, seed(u64::from(chunk)));
        (statement, made.expect("within bounds").0)
    };
    (0..count).map(one).collect()
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let (_, proof) = &proofs(1)[0];
    let bytes = proof.encode();
    bencher.bench(|| ChunkProof::<Bn254>::decode(&bytes).expect("a proof"));
}

#[divan::bench]
fn read_and_verify(bencher: Bencher<'_, '_>) {
    let (statement, proof) = &proofs(1)[0];
    let (bytes, verifier) = (proof.encode(), PROVERS[0].verifier());
    bencher.bench(|| {
        let proof = ChunkProof::decode(&bytes).expect("a proof");
        verifier.verify(statement, &proof).expect("a good one");
    });
}

#[divan::bench(args = [100])]
fn verify_batch(bencher: Bencher<'_, '_>, count: u32) {
    let proofs = proofs(count);
    let batch: Vec<_> = proofs.iter().map(|(statement, proof)| (statement, proof)).collect();
    let verifier = PROVERS[0].verifier();
    bencher.bench(|| assert!(verifier.verify_batch(&batch).is_empty()));
}

#[divan::bench(args = [100])]
fn verify_batch_with_one_bad(bencher: Bencher<'_, '_>, count: u32) {
    let proofs = proofs(count);
    let mut batch: Vec<_> = proofs.iter().map(|(statement, proof)| (statement, proof)).collect();
    batch[61].1 = &proofs[0].1;
    let verifier = PROVERS[0].verifier();
    bencher.bench(|| assert_eq!(verifier.verify_batch(&batch).len(), 1));
}

#[divan::bench]
fn commit_65_000(bencher: Bencher<'_, '_>) {
    let basis = PROVERS[2].prover().key().basis(0);
    let (entries, blinder) = (entries(65_000, 7), Secret::new(Fr::from(5)));
    bencher.bench(|| commitment_of(&basis, &entries, &blinder));
}

/// Sums of 20 updates, one for each epoch.
struct Sums {
    basis: Basis<Bn254>,
    epochs: Vec<EpochSum>,
}

struct EpochSum {
    terms: Vec<Term<Bn254>>,
    sums: Vec<i64>,
    blinder: Secret<Fr>,
}

impl Sums {
    fn new(epochs: u64) -> Self {
        let basis = PROVERS[2].prover().key().basis(0);
        let epochs = (0..epochs).map(|epoch| EpochSum::new(&basis, epoch)).collect();
        Self { basis, epochs }
    }

    fn claims(&self) -> Vec<SumClaim<'_, Bn254>> {
        let epochs = self.epochs.iter();
        epochs.map(|EpochSum { terms, sums, blinder }| SumClaim { terms, sums, blinder }).collect()
    }
}

impl EpochSum {
    fn new(basis: &Basis<Bn254>, epoch: u64) -> Self {
        let exponent = |peer: u64| Exponent::new(u8::try_from(peer % 4).expect("0 to 3"));
        let weights: Vec<_> = (0..20)
            .map(|peer| Weight::new(1, exponent(peer).expect("at most 24")).expect("not zero"))
            .collect();
        let mut sums = vec![0; 65_000];
        let mut terms = Vec::new();
        let mut blinders = Vec::new();
        for (peer, &weight) in (0..20).zip(&weights) {
            let entries = entries(65_000, 100 * epoch + peer);
            let blinder = Secret::new(Fr::from(1_000 * epoch + peer + 1));
            let commitment = commitment_of(basis, &entries, &blinder).expect("a chunk");
            terms.push(Term { weight, commitment });
            blinders.push(blinder);
            sums.iter_mut().zip(entries).for_each(|(sum, it)| *sum += weight.get() * i64::from(it));
        }
        Self { blinder: sum_blinder(&weights, &blinders), terms, sums }
    }
}

#[divan::bench]
fn sum_of_20_times_65_000(bencher: Bencher<'_, '_>) {
    let sums = Sums::new(1);
    let claims = sums.claims();
    bencher.bench(|| verify_sum(&sums.basis, &claims[0]).expect("the sum"));
}

#[divan::bench(args = [4, 16], sample_size = 1)]
fn sums_of_epochs(bencher: Bencher<'_, '_>, epochs: u64) {
    let sums = Sums::new(epochs);
    let claims = sums.claims();
    bencher.bench(|| verify_sums(&sums.basis, &claims).expect("the sums"));
}

// Its setup for 65,000 entries, some 840,000 constraints, takes more than 24 GB.
#[divan::bench(args = [1_000, 7_800], sample_size = 1, sample_count = 3)]
fn stock(bencher: Bencher<'_, '_>, entries: usize) {
    let stock = stock::Stock::new(entries);
    println!("stock: {} entries, {} constraints", entries, stock.constraints());
    let entries = self::entries(entries, 7);
    bencher.bench_local(|| stock.prove(&entries));
}
