//! Rates: how many bits an entry costs, on made-up changes of known distributions.
//!
//! `cargo test -p longhaul-aggregation --test rates -- --nocapture` prints the table of
//! docs/compression.md. Real changes are none of these; how much accuracy an encoding
//! costs is measured where there is training.

mod common;

use common::schema;
use longhaul_aggregation::compress::{Coarse, Layers, Levels, MaskKey, Share};
use longhaul_aggregation::{Compressor, Encoding, Epoch, NormBound, Parameters, Schema, Update};

const UNBOUNDED: NormBound = NormBound::from_units(u64::MAX);
const ENTRIES: u32 = 1 << 20;
/// The rates that the design asks for: 1/25 and 1/150 of an `f32`.
const DENSE_BITS_MAX: f64 = 32.0 / 25.0;
const SPARSE_BITS_MAX: f64 = 32.0 / 150.0;

/// Uniform numbers within 0 and 1, neither of them.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        ((self.0 >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn laplace(&mut self) -> f64 {
        let sign = if self.next() < 0.5 { -1.0 } else { 1.0 };
        sign * -self.next().ln()
    }

    fn gaussian(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// Changes of a deviation near 1/4096, as local steps give them.
fn changes() -> [(&'static str, Vec<i64>); 4] {
    let mut uniform = Uniform(1);
    let mut make = |entry: &mut dyn FnMut(&mut Uniform, usize) -> f64| -> Vec<i64> {
        (0..ENTRIES as usize).map(|at| (entry(&mut uniform, at) * 4096.0) as i64).collect()
    };
    [
        ("Laplace", make(&mut |it, _| it.laplace())),
        ("Gaussian", make(&mut |it, _| it.gaussian())),
        // Nine rows of 1,024 in ten do not move, as behind inputs that are always zero.
        ("sparse rows", make(&mut |it, at| if (at / 1024) % 10 == 0 { it.laplace() } else { 0.0 })),
        // Rows with deviations from 1 to 1/64.
        ("uneven rows", make(&mut |it, at| it.laplace() / f64::from(1 << ((at / 1024) % 7)))),
    ]
}

fn encodings() -> [(&'static str, Encoding); 9] {
    let share = |share| Share::new(share).expect("a sound share");
    let levels = Levels::Full;
    [
        ("int8", Encoding::Int8),
        ("int8 coded", Encoding::Int8Coded),
        ("int4", Encoding::Int4),
        ("ternary, all", Encoding::Ternary { share: Share::ALL }),
        ("ternary, 33 %", Encoding::TERNARY),
        ("rand-k 12 %, ternary", Encoding::RAND_K),
        ("rand-k 2.5 %, int8", Encoding::RandK { share: share(250), levels }),
        ("top-k 2.5 %, ternary", Encoding::TOP_K),
        ("top-k 1 %, int8", Encoding::TopK { share: share(100), levels }),
    ]
}

fn bits(update: &Update) -> f64 {
    update.payload().len() as f64 * 8.0 / f64::from(ENTRIES)
}

/// What is left of the square of the norm, after one update.
fn left(residual: &Parameters, change: &[i64]) -> f64 {
    let squared = |units: &[i64]| units.iter().map(|&it| (it as f64).powi(2)).sum::<f64>();
    squared(residual.as_slice()) / squared(change)
}

fn check(name: &str, bits: f64) {
    let most = match name {
        _ if name.starts_with("ternary, 33") => DENSE_BITS_MAX,
        _ if name.starts_with("rand-k") || name.starts_with("top-k") => SPARSE_BITS_MAX,
        _ => 8.01,
    };
    assert!(bits <= most, "{name}: {bits} bits");
}

#[test]
fn rates_are_within_the_aims() {
    let schema = schema(&[ENTRIES]);
    let key = MaskKey::new(&[1; 32], Epoch::FIRST);
    let changes = changes();
    let names = changes.iter().map(|(name, _)| format!(" {name} | left |")).collect::<String>();
    println!("| bits an entry |{names}");
    for (name, encoding) in encodings() {
        let columns = changes.iter().map(|(_, change)| {
            let mut compressor = Compressor::with(&schema, encoding);
            let delta = Parameters::from_units(change.clone());
            let update = compressor.compress_in(&key, &delta, UNBOUNDED);
            check(name, bits(&update));
            format!(" {:.4} | {:.3} |", bits(&update), left(compressor.residual(), change))
        });
        println!("| {name} |{}", columns.collect::<String>());
    }
}

#[test]
fn rates_hold_once_residuals_have_built_up() {
    let schema = schema(&[ENTRIES / 16]);
    let mut uniform = Uniform(2);
    for (name, encoding) in encodings() {
        let mut compressor = Compressor::with(&schema, encoding);
        let mut bits = 0.0;
        for epoch in 0..30 {
            let key = MaskKey::new(&[1; 32], Epoch::new(epoch));
            let change = (0..ENTRIES / 16).map(|_| (uniform.laplace() * 4096.0) as i64).collect();
            let delta = Parameters::from_units(change);
            bits = self::bits(&compressor.compress_in(&key, &delta, UNBOUNDED)) * 16.0;
            check(name, bits);
        }
        println!("| {name} | {bits:.4} |");
    }
}

#[test]
fn layers_cost_little_more_than_the_update_whole() {
    let schema = schema(&[ENTRIES]);
    let rate = |how: Coarse, update: &Update, schema: &Schema| {
        let layers = Layers::split(update, schema, how);
        (bits(&layers.coarse), bits(&layers.refinement))
    };
    let key = MaskKey::new(&[1; 32], Epoch::FIRST);
    for (name, change) in changes() {
        let delta = Parameters::from_units(change);
        let update = Compressor::new(&schema).compress(&delta, UNBOUNDED);
        let whole = bits(&Encoding::Int8Coded.write(&update, &schema, &key).expect("int8"));
        for how in [Coarse::Ternary(Share::new(3300).expect("a sound share")), Coarse::Int4] {
            let (coarse, rest) = rate(how, &update, &schema);
            println!("| {name} | {how:?} | {whole:.3} | {coarse:.3} | {rest:.3} |");
            assert!(coarse + rest < whole * 1.3, "{name}");
        }
    }
}

/// A change that goes the same way each epoch, as far as `steady` says, and noise beside it.
fn drifting(uniform: &mut Uniform, way: &[f64], steady: f64) -> Vec<i64> {
    let noise = (1.0 - steady * steady).sqrt();
    way.iter().map(|it| ((it * steady + uniform.laplace() * noise) * 4096.0) as i64).collect()
}

#[test]
fn error_feedback_brings_what_was_left_out() {
    const EPOCHS: u32 = 200;
    let schema = schema(&[10_000]);
    println!("| missing of the sum after {EPOCHS} epochs, bound 2, 5, 20 times a change |");
    for (name, encoding) in encodings() {
        let missing = [2.0, 5.0, 20.0].map(|times| {
            let mut uniform = Uniform(3);
            let way: Vec<f64> = (0..10_000).map(|_| uniform.laplace()).collect();
            let bound =
                NormBound::from_units((times * 4096.0 * (2.0_f64 * 10_000.0).sqrt()) as u64);
            let mut compressor = Compressor::with(&schema, encoding);
            let (mut sent, mut wanted) = (Parameters::zeros(10_000), Parameters::zeros(10_000));
            for epoch in 0..EPOCHS {
                let delta = Parameters::from_units(drifting(&mut uniform, &way, 0.3));
                wanted.add(&delta);
                let key = MaskKey::new(&[1; 32], Epoch::new(epoch));
                compressor.compress_in(&key, &delta, bound).add_to(&mut sent);
            }
            let whole = wanted.clone();
            wanted.subtract(&sent);
            left(&wanted, whole.as_slice()).sqrt()
        });
        let most = if encoding.share() < Share::new(3300).expect("sound") { 0.4 } else { 0.05 };
        assert!(missing.iter().all(|&it| it < most), "{name}: {missing:?}");
        println!("| {name} | {:.3} | {:.3} | {:.3} |", missing[0], missing[1], missing[2]);
    }
}
