//! Exact rules over int8 updates, beside the time that one read of their payloads takes.
//!
//! `cargo bench -p longhaul-aggregation --bench exact [-- FILTER]`: n updates of d entries, one
//! thread; a quarter is assumed to attack. The float pipelines of `--bench robust` have the
//! same shapes, so that both can be run one after the other. Those named `far` have attackers whose
//! exponents are as far from the others' as an update can say, so that sums need more bits.

use divan::Bencher;
use divan::counter::BytesCount;
use longhaul_aggregation::{
    CHUNK_ENTRIES_MAX, Clip, Compressor, Init, Mix, NormBound, Parameters, Recipe, Schema,
    TensorSpec, Update,
};

fn main() {
    divan::main();
}

/// Updates by entries.
const SHAPES: [(usize, usize); 4] =
    [(16, 1_000_000), (64, 100_000), (128, 100_000), (64, 1_000_000)];

/// Noise, and a quarter that is moved away; quantised with the exponents that fit.
fn updates((count, len): (usize, usize), far: bool) -> Vec<Update> {
    let shape = vec![u32::try_from(len).expect("a tensor's length")];
    let tensor = TensorSpec::new("dense", shape, Init::Zero).expect("a tensor");
    let schema = Schema::new(vec![tensor]).expect("a schema");
    assert!(schema.chunks().iter().all(|it| it.len() <= CHUNK_ENTRIES_MAX));
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5) * 0.034
    };
    let norm_max = NormBound::from_milli(1_000_000);
    let update = |row: usize| {
        let moved = if row < count / 4 { 0.03 } else { 0.0 };
        let scale = if far && row < count / 4 { 1.0 / (1 << 12) as f32 } else { 1.0 };
        let entries: Vec<f32> = (0..len).map(|_| (next() + moved) * scale).collect();
        let change = Parameters::from_f32(&entries).expect("finite");
        Compressor::new(&schema).compress(&change, norm_max)
    };
    (0..count).map(update).collect()
}

fn measure(bencher: Bencher<'_, '_>, shape: (usize, usize), recipe: &Recipe, far: bool) {
    let updates = updates(shape, far);
    bencher
        .counter(BytesCount::new(shape.0 * shape.1))
        .bench_local(|| recipe.term_of(&updates, shape.0 / 4));
}

macro_rules! benches {
    ($($name:ident: $clip:expr, $mix:expr, $rule:expr, $far:expr;)*) => {
        $(
            #[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
            fn $name(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
                let rule = $rule.parse().expect("a rule");
                let recipe = Recipe { mix: $mix, ..Recipe::plain(rule, $clip, 1) };
                measure(bencher, shape, &recipe, $far);
            }
        )*
    };
}

#[divan::bench(args = SHAPES, sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    let updates = updates(shape, false);
    bencher.counter(BytesCount::new(shape.0 * shape.1)).bench_local(|| {
        let mut sums = [0_u8; 64];
        for update in &updates {
            for chunk in update.payload().chunks_exact(64) {
                sums.iter_mut().zip(chunk).for_each(|(sum, byte)| *sum = sum.wrapping_add(*byte));
            }
        }
        sums
    });
}

benches! {
    mean: Clip::None, Mix::None, "mean", false;
    median: Clip::None, Mix::None, "median", false;
    trimmed_mean: Clip::None, Mix::None, "trimmed-mean:auto", false;
    clipped_trimmed_mean: Clip::Median, Mix::None, "trimmed-mean:auto", false;
    multi_krum: Clip::None, Mix::None, "multi-krum", false;
    geometric_median: Clip::None, Mix::None, "geometric-median:3", false;
    diversity: Clip::None, Mix::None, "diversity", false;
    mixed_trimmed_mean: Clip::None, Mix::NearestNeighbours, "trimmed-mean:auto", false;
    far_mean: Clip::None, Mix::None, "mean", true;
    far_trimmed_mean: Clip::None, Mix::None, "trimmed-mean:auto", true;
    far_multi_krum: Clip::None, Mix::None, "multi-krum", true;
    far_mixed_trimmed_mean: Clip::None, Mix::NearestNeighbours, "trimmed-mean:auto", true;
}
