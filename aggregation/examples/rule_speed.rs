//! Folds one epoch of updates ten times, to see how long a recipe takes. It reads no
//! clock; let the shell do that:
//!
//! `cargo build --release -p longhaul-aggregation --example rule_speed`, then
//! `time target/release/examples/rule_speed mean|mixed|trimmed|both [AUTHORS] [ENTRIES]`

use std::sync::Arc;

use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseClaim, BaseSummary, Clip, Compressor, Encoding, Epoch, Fold,
    Init, MemberIndex, Mix, ModelId, NormBound, Parameters, Recipe, Rule, Schema, Setting,
    TensorSpec, Trim, UpdateHeader, admit,
};
use longhaul_dtn::hash::ContentHash;

const NORM_MAX: NormBound = NormBound::from_units(u64::MAX);

const REPEATS: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let auto = Rule::TrimmedMean { trim: Trim::Auto };
    let (rule, mix) = match arguments.next().as_deref() {
        Some("mean") => (Rule::Mean, Mix::None),
        Some("mixed") => (Rule::Mean, Mix::NearestNeighbours),
        Some("trimmed") => (auto, Mix::None),
        Some("both") => (auto, Mix::NearestNeighbours),
        _ => panic!("say which recipe: mean, mixed, trimmed or both"),
    };
    let mut numbers = arguments.map(|it| it.parse().expect("a number"));
    let authors: u16 = numbers.next().unwrap_or(64);
    let entries = u32::from(numbers.next().unwrap_or(50_890));
    let tensor = TensorSpec::new("all", vec![entries], Init::Zero).expect("a sound tensor");
    let schema = Arc::new(Schema::new(vec![tensor]).expect("a sound schema"));
    let updates: Vec<_> = (0..authors).map(|member| Arc::new(update(&schema, member))).collect();
    let recipe = Recipe { mix, ..Recipe::plain(rule, Clip::Median, 1) };
    let setting =
        Setting { attacker_share_permille: 250, ..Setting::trusting(usize::from(authors)) };
    for _ in 0..REPEATS {
        let mut fold = Fold::new(Arc::clone(&schema), &[0; 32], recipe, setting);
        for update in &updates {
            fold.insert(Arc::clone(update));
        }
        println!("{}", fold.model_id());
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
        encoding: Encoding::Int8,
        steps_max: 1,
        samples_max: 1,
        sortition: None,
    };
    let author = Some(MemberIndex::new(member));
    admit(&policy, author, &header.encode(), Arc::clone(update.payload())).expect("a sound update")
}
