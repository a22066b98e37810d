//! `learn stale`: peers who hear of terms late, beside the same ones who are not.

use std::sync::Arc;

use anyhow::{Context, Result};
use longhaul_lab::adversary::Adversary;
use longhaul_lab::catalogue;
use longhaul_lab::defence::Defence;
use longhaul_lab::stale_sgd::Learned;
use longhaul_lab::table::{Spread, run_all};
use longhaul_lab::wire;
use serde::Serialize;

use super::{LearnArgs, bar, data, late::Variant, rules::named};
use crate::cli::input::say;

/// What the recipe must bear.
const ATTACKS: [&str; 7] =
    ["none", "scaled:-4", "ipm:0.5", "alie:1.5", "mimic:0", "label-flip", "slow-poisoning"];

#[derive(Debug, Clone, Serialize)]
struct Row {
    defence: String,
    attack: String,
    variant: String,
    /// Mean accuracy of the model in the end.
    accuracy: f64,
    /// Shares of fresh and of stale honest updates that are admitted.
    fresh_admitted: f64,
    stale_admitted: f64,
    /// Median staleness of honest updates, in epochs, of the last seed.
    median_staleness: usize,
}

struct Job<'a> {
    defence: &'a (String, Defence),
    attack: &'a (String, Adversary),
    variant: &'a Variant,
    seed: u64,
}

pub(super) fn stale(args: &LearnArgs) -> Result<()> {
    let local = args.setting()?;
    let variants = args.late.variants()?;
    let task = data::task(args.data.as_deref())?;
    let schema = Arc::new(wire::schema(&task.network));
    let defences = named(&args.defence, &["diversity"], |name| {
        catalogue::defence(name, local.attackers, &schema).context("--defence")
    })?;
    let attacks =
        named(&args.attack, &ATTACKS, |name| catalogue::attack(name).context("--attack"))?;
    let mut jobs = Vec::new();
    for defence in &defences {
        for attack in &attacks {
            for variant in &variants {
                let seeds = 1..=args.seeds.into();
                jobs.extend(seeds.map(|seed| Job { defence, attack, variant, seed }));
            }
        }
    }
    let bar = bar(jobs.len());
    let run = |job: &Job<'_>| {
        let setting = args.late.setting(local, job.variant);
        setting.run(&task, &job.defence.1, &job.attack.1, job.seed)
    };
    let learned = run_all(&jobs, args.workers(), run, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let seeds = args.seeds as usize;
    let mean = |of_one: &[Learned], figure: fn(&Learned) -> f64| {
        Spread::of(&of_one.iter().map(figure).collect::<Vec<_>>()).mean
    };
    let rows: Vec<Row> = jobs
        .chunks(seeds)
        .zip(learned.chunks(seeds))
        .map(|(jobs, learned)| Row {
            defence: jobs[0].defence.0.clone(),
            attack: jobs[0].attack.0.clone(),
            variant: jobs[0].variant.name.clone(),
            accuracy: mean(learned, |it| it.accuracy),
            fresh_admitted: mean(learned, |it| it.admitted.fresh),
            stale_admitted: mean(learned, |it| it.admitted.stale),
            median_staleness: learned[learned.len() - 1].median_staleness,
        })
        .collect();
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    let mut out = format!("accuracy in the end, mean of {seeds} seeds; share admitted\n");
    for row in rows {
        out.push_str(&format!(
            "  {:<12} {:<16} {:<24} {:.3}  fresh {:.2} stale {:.2}  median staleness {}\n",
            row.defence,
            row.attack,
            row.variant,
            row.accuracy,
            row.fresh_admitted,
            row.stale_admitted,
            row.median_staleness
        ));
    }
    say(&out)
}
