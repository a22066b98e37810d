//! Fuzz bodies: any bytes go into one reader of the crate, whose promises are then checked.
//!
//! A body panics if a promise is broken and does nothing else. Inputs are good ones that are mutated: flipped bits, other bytes, parts
//! cut, copied or put in from others, and whole points and scalars exchanged. The runs below are short; the long ones are
//!
//! `cargo test --release -p longhaul-proofs --test proofs -- fuzz --ignored --nocapture`
//!
//! for as many seconds each as `FUZZ_SECONDS` says (60), from the seed `FUZZ_SEED`; `FUZZ_TARGET` names one of them. A finding is a
//! panic behind a line with the input's bytes.

#![expect(
    clippy::disallowed_methods,
    reason = "a fuzzer runs for a time, which the environment says"
)]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::common::{draft, finished, peer, powers, proof, prover, seed, statement, total};
use ark_bn254::{Bn254, Fq, G1Affine, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use ark_serialize::CanonicalDeserialize;
use longhaul_aggregation::NormBound;
use longhaul_proofs::ceremony::{Chain, Draft, Header, LogSize, Powers, Stage};
use longhaul_proofs::cp::VerifyingKey;
use longhaul_proofs::s1::{
    ChunkProof, ChunkProver, NormView, Opening, SquaredNorm, Summand, TotalClaim, TotalProof,
    verify_total,
};

/// Inputs that mutations start from.
const CORPUS: usize = 1024;
/// Longest input.
const BYTES_MAX: usize = 8192;
/// Bytes of a point of G1 and of a scalar.
const WORD: usize = 32;

/// A body, its name and the good inputs that it starts from.
type Target = (&'static str, fn(&[u8]), Vec<Vec<u8>>);

static PROVER: LazyLock<ChunkProver<Bn254>> = LazyLock::new(prover);
static SHOWN: LazyLock<(ChunkProof<Bn254>, Opening<Bn254>)> =
    LazyLock::new(|| proof(&PROVER, NormView::Shown));
static HIDDEN: LazyLock<(ChunkProof<Bn254>, Opening<Bn254>)> =
    LazyLock::new(|| proof(&PROVER, NormView::Hidden));
static TOTAL: LazyLock<(SquaredNorm, TotalProof<Bn254>)> =
    LazyLock::new(|| total(&PROVER, &HIDDEN));
static POWERS: LazyLock<Chain<Powers<Bn254>>> = LazyLock::new(powers);
static DRAFT: LazyLock<Chain<Draft<Bn254>>> = LazyLock::new(draft);

fn proofs() -> Vec<Vec<u8>> {
    vec![SHOWN.0.encode(), HIDDEN.0.encode()]
}

/// A proof about a chunk. Promised: what is read is written again as it was, and none but the good ones verifies.
fn chunk_proof(data: &[u8]) {
    let Ok(read) = ChunkProof::<Bn254>::decode(data) else { return };
    assert_eq!(read.encode(), data, "another encoding");
    if PROVER.verifier().verify(&statement(), &read).is_ok() {
        assert!(read == SHOWN.0 || read == HIDDEN.0, "a mutant verifies");
    }
}

fn keys() -> Vec<Vec<u8>> {
    vec![PROVER.prover().key().verifying().encode()]
}

/// A verifying key. Promised: what is read is written again as it was and holds its own check; the pinned one alone is
/// loaded by its hash.
fn verifying_key(data: &[u8]) {
    let pinned = PROVER.prover().key().verifying();
    let loaded = VerifyingKey::<Bn254>::decode_pinned(data, pinned.hash());
    assert_eq!(loaded.is_ok(), data == pinned.encode(), "loaded by another's hash");
    let Ok(read) = VerifyingKey::<Bn254>::decode(data) else { return };
    assert_eq!(read.encode(), data, "another encoding");
    assert_eq!(read.check(), Ok(()));
}

fn totals() -> Vec<Vec<u8>> {
    vec![TOTAL.1.encode()]
}

/// A total. Promised: what is read is written again as it was, and none but the good one verifies.
fn total_proof(data: &[u8]) {
    for keys in [0, 1, 2, 3, usize::MAX] {
        let Ok(read) = TotalProof::<Bn254>::decode(data, keys) else { continue };
        assert_eq!(read.encode(), data, "another encoding");
        let (verifier, exponent) = (PROVER.verifier(), statement().exponent);
        let summand = Summand { verifier: &verifier, exponent, proof: &HIDDEN.0 };
        let bound = NormBound::from_units(u64::MAX);
        let (subject, summands) = (&statement().subject, vec![summand]);
        let claim = TotalClaim { subject, summands, total: TOTAL.0, proof: &read };
        let verdict = verify_total(&claim, bound);
        assert_eq!(verdict.is_ok(), read == TOTAL.1, "a mutant verifies");
    }
}

fn contributions() -> Vec<Vec<u8>> {
    let of = |byte| [DRAFT.contribute(peer(byte), seed(2)), POWERS.contribute(peer(byte), seed(2))];
    [2, 3].into_iter().flat_map(of).collect()
}

/// A contribution, to either phase. Promised: none but the good ones is taken, and those by whom they name alone; a refused one
/// leaves the chain as it was.
fn contribution(data: &[u8]) {
    static GOOD: LazyLock<Vec<Vec<u8>>> = LazyLock::new(contributions);
    extends(&*DRAFT, data, &[&GOOD[0], &GOOD[2]]);
    extends(&*POWERS, data, &[&GOOD[1], &GOOD[3]]);
}

fn extends<S: Stage<Curve = Bn254> + PartialEq + std::fmt::Debug>(
    chain: &Chain<S>,
    data: &[u8],
    good: &[&Vec<u8>],
) {
    let named = Header::peek::<Bn254>(data).ok().map(|header| header.contributor);
    for signed_by in [peer(2), peer(3), peer(1), peer(77)] {
        let mut next = chain.clone();
        match next.extend(data, signed_by, &seed(8)) {
            Ok(step) => {
                assert!(good.iter().any(|it| it[..] == *data), "a mutant is taken");
                assert_eq!((Some(signed_by), step.contributor), (named, signed_by));
                assert_eq!((next.steps().len(), next.head()), (2, step.hash));
            }
            Err(_) => assert_eq!(next, *chain, "a refused contribution changed the chain"),
        }
    }
}

fn powers_of_others() -> Vec<Vec<u8>> {
    let finished = finished::<Bn254>();
    vec![ptau(finished.powers()), finished.powers().encode()]
}

/// Powers of tau, as our bytes and as a file of others. Promised: what is taken are the powers of the good input, or of a part of it.
fn powers_of_tau(data: &[u8]) {
    static GOOD: LazyLock<Powers<Bn254>> = LazyLock::new(|| finished().powers().clone());
    for log in [2, 3, 4] {
        let size = LogSize::new(log).unwrap();
        if let Ok(read) = Powers::<Bn254>::decode(size, data, &seed(8)) {
            assert_eq!((read.encode().as_slice(), &read), (data, &*GOOD), "other powers");
        }
        let Ok(read) = Powers::from_ptau(data, size, &seed(8)) else { continue };
        assert!(log < 4, "more powers than the file has");
        let again = Powers::decode(size, &read.encode(), &seed(8));
        assert_eq!(again.as_ref(), Ok(&read), "another encoding");
        assert!(log == 2 || read == *GOOD, "other powers");
        let start = |powers: &Powers<Bn254>| powers.encode()[..6 * WORD].to_vec();
        assert_eq!(start(&read), start(&GOOD), "powers of another tau");
    }
}

/// The powers for eight points as snarkjs writes them, behind a section that is of no interest.
fn ptau(powers: &Powers<Bn254>) -> Vec<u8> {
    let bytes = powers.encode();
    let (ones, twos) = bytes.split_at((14 + 8 + 8) * WORD);
    let raw = |values: &[Fq]| -> Vec<u8> {
        values.iter().flat_map(|value| value.0.to_bytes_le()).collect()
    };
    let one = |it: &G1Affine| raw(&[it.x, it.y]);
    let two = |it: &G2Affine| raw(&[it.x.c0, it.x.c1, it.y.c0, it.y.c1]);
    let read_one = |bytes: &[u8]| one(&G1Affine::deserialize_compressed(bytes).unwrap());
    let read_two = |bytes: &[u8]| two(&G2Affine::deserialize_compressed(bytes).unwrap());
    let mut ones = ones.chunks_exact(WORD).map(read_one);
    let mut twos = twos.chunks_exact(2 * WORD).map(read_two);
    let generators = [one(&ark_ec::AffineRepr::generator()), two(&ark_ec::AffineRepr::generator())];
    let [mut tau, mut tau_two] = generators;
    tau.extend(ones.by_ref().take(14).flatten());
    tau_two.extend(twos.by_ref().take(7).flatten());
    let alpha = ones.by_ref().take(8).flatten().collect();
    let (beta, beta_two) = (ones.flatten().collect(), twos.flatten().collect());
    let number = |value: u32| value.to_le_bytes().to_vec();
    let header = [number(32), Fq::MODULUS.to_bytes_le(), number(3), number(28)].concat();
    let parts: [Vec<u8>; 7] = [vec![1, 2, 3], header, tau, tau_two, alpha, beta, beta_two];
    let mut file = [&b"ptau"[..], &number(1), &number(7)].concat();
    for (kind, section) in [7, 1, 2, 3, 4, 5, 6].into_iter().zip(parts) {
        file.extend(number(kind));
        file.extend((section.len() as u64).to_le_bytes());
        file.extend(section);
    }
    file
}

/// xorshift64*, so that a run can be repeated anywhere.
struct Dice(u64);

impl Dice {
    /// A number below `below`, which is not zero.
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        (word % below as u64) as usize
    }
}

/// Where a word begins that ends as many words before the end as the dice say: points and scalars stand there.
fn word(dice: &mut Dice, bytes: &[u8]) -> Option<usize> {
    let words = bytes.len() / WORD;
    (words > 0).then(|| bytes.len() - (1 + dice.below(words)) * WORD)
}

fn mutate(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.below(3) {
        if input.is_empty() {
            input.push(dice.below(256) as u8);
        }
        let at = dice.below(input.len());
        match dice.below(9) {
            0 | 1 => input[at] ^= 1 << dice.below(8),
            2 => input[at] = dice.below(256) as u8,
            3 => input[at] = [0, 1, 23, 24, 0x7f, 0x80, 0xfe, 0xff][dice.below(8)],
            4 => drop(input.drain(at..(at + 1 + dice.below(8)).min(input.len()))),
            5 if !other.is_empty() => {
                let from = dice.below(other.len());
                let piece = other[from..other.len().min(from + 1 + dice.below(60))].to_vec();
                input.splice(at..at, piece);
            }
            6 | 7 => {
                let (Some(to), Some(from)) = (word(dice, input), word(dice, other)) else {
                    continue;
                };
                input[to..to + WORD].copy_from_slice(&other[from..from + WORD]);
            }
            _ => input.insert(at, dice.below(256) as u8),
        }
    }
    input.truncate(BYTES_MAX);
}

/// Runs a body on good inputs and mutants of them while `goes_on` says so.
fn run(body: fn(&[u8]), seeds: &[Vec<u8>], seed: u64, mut goes_on: impl FnMut(u64) -> bool) -> u64 {
    let mut dice = Dice(seed);
    let mut corpus = seeds.to_vec();
    seeds.iter().for_each(|input| body(input));
    let mut cases = 0;
    while goes_on(cases) {
        // Most mutants are of good inputs: mutants of mutants get no further than their head.
        let bases = if dice.below(4) > 0 { seeds } else { &corpus };
        let mut input = bases[dice.below(bases.len())].clone();
        let other = corpus[dice.below(corpus.len())].clone();
        mutate(&mut dice, &mut input, &other);
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| body(&input))) {
            let digits: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("case {cases} of seed {seed}: {digits}");
            std::panic::resume_unwind(why);
        }
        cases += 1;
        if corpus.len() < CORPUS {
            corpus.push(input);
        } else if dice.below(16) == 0 {
            let at = corpus.len() / 2 + dice.below(CORPUS / 2);
            corpus[at] = input;
        }
    }
    cases
}

#[test]
fn proofs_keep_their_promises_on_mutants() {
    run(chunk_proof, &proofs(), 0x5eed_0041, |cases| cases < 2_000);
}

#[test]
fn verifying_keys_keep_their_promises_on_mutants() {
    run(verifying_key, &keys(), 0x5eed_0042, |cases| cases < 2_000);
}

#[test]
fn totals_keep_their_promises_on_mutants() {
    run(total_proof, &totals(), 0x5eed_0043, |cases| cases < 2_000);
}

#[test]
fn contributions_keep_their_promises_on_mutants() {
    run(contribution, &contributions(), 0x5eed_0044, |cases| cases < 1_000);
}

#[test]
fn powers_of_others_keep_their_promises_on_mutants() {
    run(powers_of_tau, &powers_of_others(), 0x5eed_0045, |cases| cases < 1_000);
}

/// The seeds are what they are meant to be: they reach what the bodies check.
#[test]
fn seeds_are_good_inputs() {
    let verifier = PROVER.verifier();
    for bytes in proofs() {
        let read = ChunkProof::decode(&bytes).unwrap();
        assert_eq!(verifier.verify(&statement(), &read), Ok(()));
    }
    assert!(VerifyingKey::<Bn254>::decode(&keys()[0]).is_ok());
    assert!(TotalProof::<Bn254>::decode(&totals()[0], 1).is_ok());
    let good = contributions();
    for (index, signed_by) in [(0, peer(2)), (2, peer(3))] {
        assert!(DRAFT.clone().extend(&good[index], signed_by, &seed(1)).is_ok());
        assert!(POWERS.clone().extend(&good[index + 1], signed_by, &seed(1)).is_ok());
    }
    let size = LogSize::new(3).unwrap();
    let finished = finished::<Bn254>();
    let [file, bytes] = powers_of_others().try_into().unwrap();
    assert_eq!(Powers::from_ptau(&file, size, &seed(1)).as_ref(), Ok(finished.powers()));
    assert_eq!(Powers::decode(size, &bytes, &seed(1)).as_ref(), Ok(finished.powers()));
}

#[test]
#[ignore = "a minute each: cargo test --release -p longhaul-proofs --test proofs -- fuzz --ignored --nocapture"]
fn all_bodies_for_a_while() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seconds, seed) = (number("FUZZ_SECONDS", 60), number("FUZZ_SEED", 1));
    let bodies: [Target; 5] = [
        ("proof", chunk_proof, proofs()),
        ("key", verifying_key, keys()),
        ("total", total_proof, totals()),
        ("contribution", contribution, contributions()),
        ("powers", powers_of_tau, powers_of_others()),
    ];
    let only = std::env::var("FUZZ_TARGET").ok();
    for (name, body, seeds) in bodies {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let cases = run(body, &seeds, seed, |_| Instant::now() < end);
        println!("{name}: {cases} cases in {seconds} s, none broke a promise");
    }
}
