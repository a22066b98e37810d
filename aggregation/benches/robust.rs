//! Robust rules beside the time that one read of their input takes.
//!
//! `cargo bench -p longhaul-aggregation --bench robust [-- FILTER]`: n vectors of d entries of
//! `f32`, one thread; a quarter attack. `read` is the limit: the sum of all entries.

use divan::Bencher;
use divan::counter::BytesCount;
use longhaul_aggregation::robust::{Gram, KrumNeighbours, Pipeline, Pre, Rule, Vectors};

fn main() {
    divan::main();
}

/// Vectors by entries.
const SHAPES: [(usize, usize); 4] =
    [(16, 1_000_000), (64, 100_000), (128, 100_000), (64, 1_000_000)];

/// Like bench_byzfl.py's inputs: noise, and a block that is moved away.
fn rows((count, len): (usize, usize)) -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5) * 3.4
    };
    let moved = |row: usize| if row < count / 4 { 3.0 } else { 0.0 };
    (0..count).map(|row| (0..len).map(|_| next() + moved(row)).collect()).collect()
}

fn measure(bencher: Bencher<'_, '_>, shape: (usize, usize), pipeline: fn(usize) -> Pipeline) {
    let rows = rows(shape);
    let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound rows");
    let pipeline = pipeline(shape.0 / 4);
    bencher
        .counter(BytesCount::new(shape.0 * shape.1 * 4))
        .bench_local(|| pipeline.aggregate(&vectors).expect("enough vectors"));
}

macro_rules! benches {
    ($($name:ident: $pipeline:expr;)*) => {
        $(
            #[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
            fn $name(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
                measure(bencher, shape, $pipeline);
            }
        )*
    };
}

#[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    let rows = rows(shape);
    bencher.counter(BytesCount::new(shape.0 * shape.1 * 4)).bench_local(|| {
        let mut sums = [0.0_f32; 64];
        for row in &rows {
            for chunk in row.chunks_exact(64) {
                sums.iter_mut().zip(chunk).for_each(|(sum, entry)| *sum += entry);
            }
        }
        sums
    });
}

/// What is left to do when the last vector arrives, where the dot products of the others are
/// there: its check, those of the last one, and the output.
fn after_last(bencher: Bencher<'_, '_>, shape: (usize, usize), threads: usize) {
    let rows = rows(shape);
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let (last, before) = rows.split_last().expect("vectors");
    let before = Vectors::new(before.to_vec()).expect("sound rows");
    let gram = Gram::of(&before);
    let attackers = shape.0 / 4;
    let rule = Rule::MultiKrum { attackers, neighbours: NEIGHBOURS, chosen: None };
    let pipeline = Pipeline::of(rule);
    bencher.counter(BytesCount::new(shape.0 * shape.1 * 4)).bench_local(|| {
        let mut vectors = before.clone();
        vectors.push(last).expect("a sound row");
        pipeline.aggregate_by(&vectors, gram.clone(), threads).expect("enough vectors")
    });
}

#[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
fn multi_krum_after_last(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    after_last(bencher, shape, 1);
}

#[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
fn multi_krum_after_last_on_two_threads(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    after_last(bencher, shape, 2);
}

const NEIGHBOURS: KrumNeighbours = KrumNeighbours::AllHonest;

benches! {
    average: |_| Pipeline::of(Rule::Average);
    median: |_| Pipeline::of(Rule::Median);
    trimmed_mean: |attackers| Pipeline::of(Rule::TrimmedMean { attackers });
    mean_around_median: |attackers| Pipeline::of(Rule::MeanAroundMedian { attackers });
    multi_krum: |attackers| {
        Pipeline::of(Rule::MultiKrum { attackers, neighbours: NEIGHBOURS, chosen: None })
    };
    geometric_median: |_| Pipeline::of(Rule::GeometricMedian { smoothing: 0.1, iterations: 3 });
    centered_clipping_once: |_| {
        Pipeline::of(Rule::CenteredClipping { radius: 100.0, iterations: 1 })
    };
    centered_clipping: |_| Pipeline::of(Rule::CenteredClipping { radius: 100.0, iterations: 3 });
    covariance_filter: |attackers| Pipeline::of(Rule::CovarianceFilter { attackers });
    diversity: |attackers| Pipeline::of(Rule::Diversity { attackers });
    mixed_trimmed_mean: |attackers| Pipeline {
        pre: vec![Pre::NearestNeighbourMixing { attackers }],
        rule: Rule::TrimmedMean { attackers },
    };
}
