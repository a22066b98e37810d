//! `learn momentum`: the setting of other libraries' tables, and what a rule costs there when
//! nobody attacks.

use std::sync::Arc;

use anyhow::{Context, Result};
use longhaul_lab::adversary::Adversary;
use longhaul_lab::catalogue;
use longhaul_lab::defence::Defence;
use longhaul_lab::momentum_sgd::{Accuracy, MomentumSgd};
use longhaul_lab::table::{Spread, run_all};
use longhaul_lab::wire;
use serde::Serialize;

use super::{LearnArgs, bar, data, rules::named};
use crate::cli::input::say;

/// Those of the benchmark that this one follows.
const ATTACKS: [&str; 6] = ["none", "sign-flip", "ipm:2", "alie:1.5", "mimic:0", "label-flip"];

/// The rules, the ceiling first.
const DEFENCES: [&str; 9] = [
    "honest",
    "mean",
    "median",
    "trimmed-mean:auto",
    "geometric-median:3",
    "multi-krum",
    "nnm+trimmed-mean:auto",
    "nnm+geometric-median:3",
    "diversity",
];

#[derive(Debug, Clone, Serialize)]
struct Row {
    defence: String,
    attack: String,
    /// Mean accuracy after the last step.
    last: f64,
    /// Mean of the best accuracies.
    best: f64,
}

struct Job<'a> {
    defence: &'a (String, Defence),
    attack: &'a (String, Adversary),
    seed: u64,
}

pub(super) fn momentum(args: &LearnArgs) -> Result<()> {
    let checked = args.setting()?;
    let setting = MomentumSgd {
        peers: checked.peers,
        attackers: checked.attackers,
        alpha: checked.alpha,
        ..MomentumSgd::default()
    };
    let task = data::task(args.data.as_deref())?;
    let schema = Arc::new(wire::schema(&task.network));
    let defences = named(&args.defence, &DEFENCES, |name| {
        catalogue::defence(name, setting.attackers, &schema).context("--defence")
    })?;
    let attacks =
        named(&args.attack, &ATTACKS, |name| catalogue::attack(name).context("--attack"))?;
    let mut jobs = Vec::new();
    for defence in &defences {
        for attack in &attacks {
            jobs.extend((1..=args.seeds.into()).map(|seed| Job { defence, attack, seed }));
        }
    }
    let bar = bar(jobs.len());
    let run = |job: &Job<'_>| setting.run(&task, &job.defence.1, &job.attack.1, job.seed);
    let learned = run_all(&jobs, args.workers(), run, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let seeds = args.seeds as usize;
    let mean = |of_one: &[Accuracy], figure: fn(&Accuracy) -> f64| {
        Spread::of(&of_one.iter().map(figure).collect::<Vec<_>>()).mean
    };
    let rows: Vec<Row> = jobs
        .chunks(seeds)
        .zip(learned.chunks(seeds))
        .map(|(jobs, learned)| Row {
            defence: jobs[0].defence.0.clone(),
            attack: jobs[0].attack.0.clone(),
            last: mean(learned, |it| it.last),
            best: mean(learned, |it| it.best),
        })
        .collect();
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    let mut out = format!(
        "accuracy after {} steps of momentum SGD, mean of {seeds} seeds (mean of the best)\n",
        setting.steps
    );
    for of_one in rows.chunks(attacks.len()) {
        out.push_str(&format!("  {:<24}", of_one[0].defence));
        for row in of_one {
            out.push_str(&format!("  {} {:.3} ({:.3})", row.attack, row.last, row.best));
        }
        out.push('\n');
    }
    say(&out)
}
