//! Working memory: the most that a rule holds on the heap beside its input and its output.
//!
//! `cargo bench -p longhaul-aggregation --bench memory`: 64 vectors of 100,000 entries, of which a
//! quarter attack, through every float rule, after every pre-aggregation, and through every exact
//! rule. A share is of the input's bytes; the program fails where one is above [`SHARE_MAX`].
//!
//! A rule by dot products has two phases, and no output is there in the first: each is measured, and
//! the larger counts.
//!
//! The allocator is `peak_alloc`, which a program can ask for its peak and set back; divan's
//! profiler only prints one, with the output in it. One thread.

use longhaul_aggregation::robust::{KrumNeighbours, Pipeline, Pre, Real, Rule, Vectors};
use longhaul_aggregation::{
    Clip, Compressor, Init, Mix, NormBound, Parameters, Recipe, Rule as ExactRule, Schema,
    TensorSpec, Update,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Vectors, their entries, and who attacks.
const COUNT: usize = 64;
const LEN: usize = 100_000;
const ATTACKERS: usize = COUNT / 4;

/// The largest share of the input's bytes that a rule may hold, in percent.
const SHARE_MAX: f64 = 5.0;

fn main() {
    let singles = rows(&mut Random(7));
    let doubles: Vec<Vec<f64>> =
        singles.iter().map(|row| row.iter().map(|&it| f64::from(it)).collect()).collect();
    println!("| rule | of f32, KB | % | of f64, KB | % |\n|---|---|---|---|---|");
    let mut most = 0.0_f64;
    for (name, pipeline) in pipelines() {
        let single = run(&singles, &pipeline, 4);
        let double = run(&doubles, &pipeline, 8);
        println!("| {name} | {} | {} |", single.cells(), double.cells());
        most = most.max(single.share).max(double.share);
    }
    println!("\n| exact rule | of int8, KB | % | with other exponents and clipped, KB | % |");
    println!("|---|---|---|---|---|");
    let alike = updates(&singles, |_| 0.01);
    // What needs more bits: each update has another power of two.
    let apart = updates(&singles, |row| 0.000_01 * 2.0_f32.powi(row as i32 % 13));
    for mix in [Mix::None, Mix::NearestNeighbours] {
        for name in EXACT {
            let rule = name.parse().expect("a rule");
            let recipe = |clip| Recipe { mix, ..Recipe::plain(rule, clip, 1) };
            let plain = run_exact(&alike, &recipe(Clip::None));
            let clipped = run_exact(&apart, &recipe(Clip::Median));
            let before = if mix == Mix::None { "" } else { "mixing, " };
            println!("| {before}{name} | {} | {} |", plain.cells(), clipped.cells());
            most = most.max(plain.share).max(clipped.share);
        }
    }
    println!("\nat most {most:.2} %");
    assert!(most <= SHARE_MAX, "a rule holds more than {SHARE_MAX} % of its input");
}

/// What a call held at its peak beside input and output.
struct Taken {
    bytes: usize,
    share: f64,
}

impl Taken {
    /// By a call whose input has entries of so many bytes, beside an output of so many bytes.
    fn by<R>(input: usize, output: usize, call: impl FnOnce() -> R) -> Self {
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        let made = call();
        let most = HEAP.peak_usage() - before;
        drop(made);
        let bytes = most.saturating_sub(output);
        Self { bytes, share: 100.0 * bytes as f64 / (COUNT * LEN * input) as f64 }
    }

    fn or(self, other: Self) -> Self {
        if other.bytes > self.bytes { other } else { self }
    }

    fn cells(&self) -> String {
        format!("{:.0} | {:.2}", self.bytes as f64 / 1e3, self.share)
    }
}

fn run<T: Real>(rows: &[Vec<T>], pipeline: &Pipeline, bytes: usize) -> Taken {
    let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound rows");
    let weights = Taken::by(bytes, 0, || pipeline.weights(&vectors).expect("enough vectors"));
    let output = || pipeline.aggregate(&vectors).expect("enough vectors");
    Taken::by(bytes, LEN * bytes, output).or(weights)
}

fn run_exact(updates: &[Update], recipe: &Recipe) -> Taken {
    let output = Taken::by(1, LEN * 4, || recipe.term_of(updates, ATTACKERS));
    match recipe.rule {
        ExactRule::Weighted(_) => {
            output.or(Taken::by(1, 0, || recipe.weights_of(updates, ATTACKERS)))
        }
        _ => output,
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1_u32 << 24) as f32 - 0.5) * 3.4
    }
}

/// Noise, and a quarter that is moved away.
fn rows(random: &mut Random) -> Vec<Vec<f32>> {
    let moved = |row: usize| if row < ATTACKERS { 3.0 } else { 0.0 };
    (0..COUNT).map(|row| (0..LEN).map(|_| random.next() + moved(row)).collect()).collect()
}

/// The rows, each by a factor, quantised.
fn updates(rows: &[Vec<f32>], factor: impl Fn(usize) -> f32) -> Vec<Update> {
    let shape = vec![u32::try_from(LEN).expect("a tensor's length")];
    let tensor = TensorSpec::new("dense", shape, Init::Zero).expect("a tensor");
    let schema = Schema::new(vec![tensor]).expect("a schema");
    let update = |(number, row): (usize, &Vec<f32>)| {
        let entries: Vec<f32> = row.iter().map(|it| it * factor(number)).collect();
        let change = Parameters::from_f32(&entries).expect("finite");
        Compressor::new(&schema).compress(&change, NormBound::from_milli(1_000_000))
    };
    rows.iter().enumerate().map(update).collect()
}

const EXACT: [&str; 11] = [
    "mean",
    "median",
    "trimmed-mean:auto",
    "mean-around-median",
    "krum",
    "multi-krum",
    "geometric-median:3",
    "centered-clipping:1.5:3",
    "centered-trimmed",
    "covariance-filter",
    "diversity",
];

/// Every rule, then every pre-aggregation before the two kinds of rules, then a long pipeline.
fn pipelines() -> Vec<(String, Pipeline)> {
    let attackers = ATTACKERS;
    let neighbours = KrumNeighbours::AllHonest;
    let rules = [
        ("average", Rule::Average),
        ("median", Rule::Median),
        ("trimmed mean", Rule::TrimmedMean { attackers }),
        ("mean around the median", Rule::MeanAroundMedian { attackers }),
        ("Krum", Rule::Krum { attackers, neighbours }),
        ("Multi-Krum", Rule::MultiKrum { attackers, neighbours, chosen: None }),
        ("Bulyan", Rule::Bulyan { attackers: attackers - 1, neighbours }),
        ("geometric median", Rule::GeometricMedian { smoothing: 1e-6, iterations: 3 }),
        ("minimum diameter", Rule::MinimumDiameter { attackers }),
        ("smallest maximum eigenvalue", Rule::SmallestEigenvalue { attackers: 1 }),
        ("covariance filter", Rule::CovarianceFilter { attackers }),
        ("centered clipping", Rule::CenteredClipping { radius: 100.0, iterations: 3 }),
        ("centered trimmed", Rule::CenteredTrimmed { attackers }),
        ("nearest to one's own", Rule::NearestToOwn { attackers, own: 63 }),
        ("diversity", Rule::Diversity { attackers }),
    ];
    let mixing = Pre::NearestNeighbourMixing { attackers };
    let pres = [
        ("mixing", mixing.clone()),
        ("bucketing", Pre::Bucketing { size: 2, order: None }),
        ("clipping", Pre::Clipping { norm: 10.0 }),
        ("median clipping", Pre::MedianClipping),
        ("ARC", Pre::AdaptiveClipping { attackers }),
    ];
    let mut all: Vec<(String, Pipeline)> =
        rules.into_iter().map(|(name, rule)| (name.into(), Pipeline::of(rule))).collect();
    let behind = [
        ("trimmed mean", Rule::TrimmedMean { attackers: 8 }),
        ("geometric median", Rule::GeometricMedian { smoothing: 1e-6, iterations: 3 }),
    ];
    for (before, pre) in pres {
        for (name, rule) in behind.clone() {
            all.push((format!("{before}, {name}"), Pipeline { pre: vec![pre.clone()], rule }));
        }
    }
    let pre = vec![Pre::MedianClipping, mixing, Pre::Clipping { norm: 100.0 }];
    let rule = Rule::MeanAroundMedian { attackers };
    all.push(("clipping, mixing, clipping, mean around the median".into(), Pipeline { pre, rule }));
    all
}
