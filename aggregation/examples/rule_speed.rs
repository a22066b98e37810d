//! How long a term takes: one epoch of updates under several recipes.
//!
//! `cargo run --release -p longhaul-aggregation --example rule_speed [AUTHORS] [ENTRIES]`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its arguments")]

use std::sync::Arc;
use std::time::Instant;

use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseClaim, BaseSummary, Clip, Compressor, Epoch, Fold, Init,
    MemberIndex, Mix, ModelId, NormBound, Parameters, Recipe, Rule, Schema, Setting, TensorSpec,
    Trim, UpdateHeader, admit,
};
use longhaul_dtn::hash::ContentHash;

const NORM_MAX: NormBound = NormBound::from_units(u64::MAX);

fn main() {
    let mut numbers = std::env::args().skip(1).map(|it| it.parse().expect("a number"));
    let authors: u16 = numbers.next().unwrap_or(64);
    let entries = u32::from(numbers.next().unwrap_or(50_890_u16));
    let tensor = TensorSpec::new("all", vec![entries], Init::Zero).expect("a sound tensor");
    let schema = Arc::new(Schema::new(vec![tensor]).expect("a sound schema"));
    let updates: Vec<_> = (0..authors).map(|member| Arc::new(update(&schema, member))).collect();
    let auto = Rule::TrimmedMean { trim: Trim::Auto };
    for (name, rule, mix) in [
        ("mean", Rule::Mean, Mix::None),
        ("mean, mixed", Rule::Mean, Mix::NearestNeighbours),
        ("trimmed mean", auto, Mix::None),
        ("trimmed mean, mixed", auto, Mix::NearestNeighbours),
    ] {
        let recipe = Recipe { mix, ..Recipe::plain(rule, Clip::Median, 1) };
        let setting =
            Setting { attacker_share_permille: 250, ..Setting::trusting(usize::from(authors)) };
        let mut fold = Fold::new(Arc::clone(&schema), &[0; 32], recipe, setting);
        for update in &updates {
            fold.insert(Arc::clone(update));
        }
        let start = Instant::now();
        fold.model();
        println!("{name:>20}  {:8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    }
}

fn update(schema: &Arc<Schema>, member: u16) -> Admitted {
    let units = (0..schema.parameter_count()).map(|entry| {
        let mixed = (entry as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        let mixed = mixed.wrapping_mul(2 * u64::from(member) + 0xbf58_476d_1ce4_e5b9);
        (mixed >> 44) as i64 - (1 << 19)
    });
    let delta = Parameters::from_units(units.collect());
    let update = Compressor::new(schema).compress(&delta, NORM_MAX);
    let header = UpdateHeader {
        federation: ContentHash::of(b"federation"),
        epoch: Epoch::FIRST,
        previous: None,
        base: BaseClaim {
            model: ModelId::from_hash(ContentHash::of(b"base")),
            summary: BaseSummary::default(),
        },
        vouch: true,
        payload: update.payload_hash(),
        samples: 1,
        steps: 1,
    };
    let policy = AdmissionPolicy {
        federation: header.federation,
        members: usize::from(u16::MAX),
        epochs: 1,
        norm_max: NORM_MAX,
        summary_window: 0,
        schema: Arc::clone(schema),
        steps_max: 1,
        samples_max: 1,
        sortition: None,
    };
    let author = Some(MemberIndex::new(member));
    admit(&policy, author, &header.encode(), Arc::clone(update.payload())).expect("a sound update")
}
