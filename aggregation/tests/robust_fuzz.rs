//! Robust rules on any bytes, by a fuzzer that a stable toolchain runs.
//!
//! The body is `tests/fuzz/src/lib.rs`, which libFuzzer runs too. Here inputs are random, or
//! earlier ones that are mutated: flipped bits, other bytes, floats at which something may turn
//! over, runs of bytes copied from one another. The first run below is short; the second is
//!
//! `cargo test --release -p longhaul-aggregation --features attacks --test robust_fuzz -- --ignored --nocapture`
//!
//! for as many seconds as `FUZZ_SECONDS` says (600), from the seed `FUZZ_SEED`. A finding is a panic behind a
//! line with the input's bytes.

#![expect(
    clippy::disallowed_methods,
    reason = "a fuzzer runs for a time, which the environment says"
)]

#[path = "../../tests/fuzz/src/lib.rs"]
mod body;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs that mutations start from.
const CORPUS: usize = 4096;
/// Longest input.
const BYTES_MAX: usize = 1500;

const FLOATS: [f64; 8] = [1e15, -1e15, 1e-40, 5e-324, -0.0, f64::NAN, f64::INFINITY, 1e-19];

/// xorshift64*, so that a run can be repeated anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    fn fresh(&mut self) -> Vec<u8> {
        let len = self.below(BYTES_MAX);
        // Many inputs are mostly alike, so that rows are.
        let alike = self.below(3) == 0;
        let byte = self.next() as u8;
        let next = |random: &mut Self| {
            if alike && random.below(8) > 0 { byte } else { random.next() as u8 }
        };
        (0..len).map(|_| next(self)).collect()
    }

    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(6) {
            if input.is_empty() {
                input.push(self.next() as u8);
            }
            let at = self.below(input.len());
            let write = |input: &mut [u8], bytes: &[u8]| {
                input[at..].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            };
            match self.below(7) {
                0 => input[at] ^= 1 << self.below(8),
                1 => input[at] = self.next() as u8,
                2 => input[at] = [0, 1, 127, 128, 254, 255][self.below(6)],
                3 => write(input, &FLOATS[self.below(8)].to_le_bytes()),
                4 => write(input, &(FLOATS[self.below(8)] as f32).to_le_bytes()),
                5 if !other.is_empty() => write(input, &other[self.below(other.len())..]),
                _ => input.truncate(at + self.below(BYTES_MAX - at)),
            }
        }
    }
}

/// What a run did.
#[derive(Debug, Default)]
struct Run {
    executions: u64,
    slowest: Duration,
    slowest_input: Vec<u8>,
}

/// Feeds the body until `goes_on` says no.
fn feed(seed: u64, mut goes_on: impl FnMut(&Run) -> bool) -> Run {
    let mut random = Random(seed | 1);
    let mut corpus: Vec<Vec<u8>> = (0..CORPUS).map(|_| random.fresh()).collect();
    let mut run = Run::default();
    while goes_on(&run) {
        let input = match random.below(3) {
            0 => random.fresh(),
            _ => {
                let mut input = corpus[random.below(CORPUS)].clone();
                let other = random.below(CORPUS);
                random.mutate(&mut input, &corpus[other]);
                input
            }
        };
        let start = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| body::robust(&input)));
        let took = start.elapsed();
        if ended.is_err() {
            let bytes: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("execution {} of seed {seed} with {bytes}", run.executions);
        }
        if took > run.slowest {
            (run.slowest, run.slowest_input) = (took, input.clone());
        }
        run.executions += 1;
        // No coverage to go by: any survivor may be mutated on.
        corpus[random.below(CORPUS)] = input;
    }
    run
}

#[test]
fn any_bytes_are_borne() {
    let run = feed(1, |run| run.executions < 20_000);
    println!("slowest {:?}", run.slowest);
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |it| it.parse().expect("a number"))
}

#[test]
#[ignore = "runs for ten minutes; see above"]
fn any_bytes_are_borne_for_long() {
    let (seconds, seed) = (number("FUZZ_SECONDS", 600), number("FUZZ_SEED", 2));
    let start = Instant::now();
    let mut told = 0;
    let run = feed(seed, |run| {
        let elapsed = start.elapsed().as_secs();
        if elapsed >= told + 60 {
            told = elapsed;
            println!("{elapsed} s, {} executions, slowest {:?}", run.executions, run.slowest);
        }
        elapsed < seconds
    });
    println!("{} executions in {seconds} s from seed {seed}, no finding", run.executions);
    let bytes: String = run.slowest_input.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("slowest {:?}: {bytes}", run.slowest);
}
