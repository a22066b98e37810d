//! Robust rules on hostile values beside the same rules on ordinary ones.
//!
//! `cargo bench -p longhaul-aggregation --bench hostile [-- FILTER]`: 32 vectors of 20,000 `f32`, of
//! which a quarter are an attacker's, and of 256, where the work on the matrix of products
//! shows. `ordinary` has the attacker's vectors moved away as a block; none of the others
//! should take more than twice its time. In those whose names begin with `all`, everyone's vectors
//! are so.

use divan::Bencher;
use longhaul_aggregation::robust::{KrumNeighbours, Pipeline, Pre, Rule, Vectors};

fn main() {
    divan::main();
}

/// Vectors by entries.
const SHAPES: [(usize, usize); 2] = [(32, 20_000), (32, 256)];

/// What the attacker's vectors hold.
const VALUES: [&str; 13] = [
    "ordinary",
    "largest",
    "denormal",
    "tiny",
    "tiny beside large",
    "growing",
    "growing in pairs",
    "equal",
    "colinear",
    "on axes of their own",
    "all denormal",
    "all equal",
    "all tied",
];

fn rows(values: &str, (count, len): (usize, usize)) -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5) * 3.4
    };
    let attackers = count / 4;
    let mut row = |number: usize| -> Vec<f32> {
        let honest: Vec<f32> = (0..len).map(|_| next()).collect();
        let single = |at: usize, value: f32| {
            let mut row = honest.clone();
            row[at] = value;
            row
        };
        match values {
            "all denormal" => honest.iter().map(|it| it * 1e-40).collect(),
            "all equal" => vec![1.0; len],
            "all tied" => honest.iter().map(|it| it.signum()).collect(),
            _ if number >= attackers => honest,
            "ordinary" => honest.iter().map(|it| it + 3.0).collect(),
            "largest" => honest.iter().map(|it| if *it > 0.0 { 1e15 } else { -1e15 }).collect(),
            "denormal" => honest.iter().map(|it| it * 1e-40).collect(),
            "tiny" => honest.iter().map(|it| it * 1e-20).collect(),
            "tiny beside large" => {
                let tiny = honest.iter().map(|it| it * 1e-18);
                tiny.enumerate().map(|(at, it)| if at == number { 1e15 } else { it }).collect()
            }
            // Each is the farthest for one round of a filter.
            "growing" => single(number, 10.0_f32.powi(number as i32 * 14 / attackers as i32 + 2)),
            "growing in pairs" => {
                let value = 10.0_f32.powi(number as i32 / 2 * 26 / attackers as i32 + 2);
                single(number, [value, value * 0.9999][number % 2])
            }
            "colinear" => (0..len).map(|at| (at % 7) as f32 * (number + 1) as f32).collect(),
            // Equally far from each other, nearly: eigenvalues that are nearly one.
            "on axes of their own" => single(number, 1e6 * (1.0 + number as f32 * 1e-3)),
            _ => vec![1.0; len],
        }
    };
    (0..count).map(&mut row).collect()
}

fn measure(bencher: Bencher<'_, '_>, values: &str, shape: (usize, usize), pipeline: &Pipeline) {
    let rows = rows(values, shape);
    let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound rows");
    bencher.bench_local(|| pipeline.aggregate(&vectors).expect("enough vectors"));
}

macro_rules! benches {
    ($($name:ident: $pipeline:expr;)*) => {
        $(
            mod $name {
                use super::*;

                #[divan::bench(args = VALUES, sample_count = 20, sample_size = 1)]
                fn long(bencher: Bencher<'_, '_>, values: &str) {
                    let pipeline: fn(usize) -> Pipeline = $pipeline;
                    measure(bencher, values, SHAPES[0], &pipeline(SHAPES[0].0 / 4));
                }

                #[divan::bench(args = VALUES, sample_count = 20, sample_size = 1)]
                fn short(bencher: Bencher<'_, '_>, values: &str) {
                    let pipeline: fn(usize) -> Pipeline = $pipeline;
                    measure(bencher, values, SHAPES[1], &pipeline(SHAPES[1].0 / 4));
                }
            }
        )*
    };
}

const NEIGHBOURS: KrumNeighbours = KrumNeighbours::AllHonest;

fn after(pre: Pre) -> Pipeline {
    Pipeline { pre: vec![pre], rule: Rule::Median }
}

benches! {
    average: |_| Pipeline::of(Rule::Average);
    median: |_| Pipeline::of(Rule::Median);
    trimmed_mean: |attackers| Pipeline::of(Rule::TrimmedMean { attackers });
    mean_around_median: |attackers| Pipeline::of(Rule::MeanAroundMedian { attackers });
    krum: |attackers| Pipeline::of(Rule::Krum { attackers, neighbours: NEIGHBOURS });
    multi_krum: |attackers| {
        Pipeline::of(Rule::MultiKrum { attackers, neighbours: NEIGHBOURS, chosen: None })
    };
    bulyan: |attackers| Pipeline::of(Rule::Bulyan { attackers: attackers - 1, neighbours: NEIGHBOURS });
    geometric_median: |_| Pipeline::of(Rule::GeometricMedian { smoothing: 1e-6, iterations: 3 });
    minimum_diameter: |attackers| Pipeline::of(Rule::MinimumDiameter { attackers });
    smallest_eigenvalue: |_| Pipeline::of(Rule::SmallestEigenvalue { attackers: 1 });
    covariance_filter: |attackers| Pipeline::of(Rule::CovarianceFilter { attackers });
    centered_clipping: |_| Pipeline::of(Rule::CenteredClipping { radius: 100.0, iterations: 3 });
    centered_trimmed: |attackers| Pipeline::of(Rule::CenteredTrimmed { attackers });
    nearest_to_own: |attackers| Pipeline::of(Rule::NearestToOwn { attackers, own: 31 });
    diversity: |attackers| Pipeline::of(Rule::Diversity { attackers });
    after_mixing: |attackers| after(Pre::NearestNeighbourMixing { attackers });
    after_bucketing: |_| after(Pre::Bucketing { size: 2, order: None });
    after_clipping: |_| after(Pre::Clipping { norm: 10.0 });
    after_median_clipping: |_| after(Pre::MedianClipping);
    after_adaptive_clipping: |attackers| after(Pre::AdaptiveClipping { attackers });
}
