//! `learn encodings`: what fewer bytes cost, with the recipe of the first defence.

use std::sync::Arc;

use anyhow::{Context, Result};
use longhaul_aggregation::Encoding;
use longhaul_lab::catalogue;
use longhaul_lab::local_sgd::{Learned, LocalSgd};
use longhaul_lab::table::{Spread, run_all};
use longhaul_lab::wire;
use serde::Serialize;

use super::{LearnArgs, bar, data};
use crate::cli::input::say;

/// What is compared; floats are what other systems send.
const ENCODINGS: [(&str, Option<Encoding>); 7] = [
    ("f32", None),
    ("int8", Some(Encoding::Int8)),
    ("int8 coded", Some(Encoding::Int8Coded)),
    ("int4", Some(Encoding::Int4)),
    ("ternary", Some(Encoding::TERNARY)),
    ("top-k", Some(Encoding::TOP_K)),
    ("rand-k", Some(Encoding::RAND_K)),
];

/// One encoding under one defence and attack.
#[derive(Debug, Clone, Serialize)]
struct Row {
    encoding: String,
    defence: String,
    attack: String,
    /// Mean accuracy after the last epoch.
    accuracy: f64,
    /// Mean bytes of the payloads of all honest peers.
    bytes: f64,
    /// How many times fewer than floats.
    fewer: f64,
}

pub(super) fn encodings(args: &LearnArgs) -> Result<()> {
    let setting = args.setting()?;
    let task = data::task(args.data.as_deref())?;
    let schema = Arc::new(wire::schema(&task.network));
    let name = args.defence.first().map_or("diversity", String::as_str);
    let defence = catalogue::defence(name, setting.attackers, &schema).context("--defence")?;
    let attack_name = args.attack.first().map_or("none", String::as_str);
    let attack = catalogue::attack(attack_name).context("--attack")?;
    let jobs: Vec<(Option<Encoding>, u64)> = ENCODINGS
        .iter()
        .flat_map(|&(_, encoding)| (1..=args.seeds.into()).map(move |seed| (encoding, seed)))
        .collect();
    let bar = bar(jobs.len());
    let run = |&(encoding, seed): &(Option<Encoding>, u64)| {
        LocalSgd { encoding, ..setting }.run(&task, &defence, &attack, seed)
    };
    let learned = run_all(&jobs, args.workers(), run, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let mean = |of_one: &[Learned], figure: &dyn Fn(&Learned) -> f64| {
        Spread::of(&of_one.iter().map(figure).collect::<Vec<_>>()).mean
    };
    let bytes = |it: &Learned| it.curve.last().map_or(0.0, |it| it.bytes as f64);
    let mut rows: Vec<Row> = Vec::new();
    for ((encoding, _), of_one) in ENCODINGS.iter().zip(learned.chunks(args.seeds as usize)) {
        let bytes = mean(of_one, &bytes);
        let floats = rows.first().map_or(bytes, |floats| floats.bytes);
        rows.push(Row {
            encoding: (*encoding).to_owned(),
            defence: name.to_owned(),
            attack: attack_name.to_owned(),
            accuracy: mean(of_one, &|it| it.accuracy),
            bytes,
            fewer: floats / bytes.max(1.0),
        });
    }
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    let mut out = format!("{name} under {attack_name}, mean of {} seeds\n", args.seeds);
    for row in rows {
        let (accuracy, megabytes) = (row.accuracy, row.bytes / 1e6);
        out.push_str(&format!(
            "  {:<12} accuracy {accuracy:.4}  {megabytes:>9.3} MB  1/{:.1}\n",
            row.encoding, row.fewer
        ));
    }
    say(&out)
}
