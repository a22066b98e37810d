//! `learn rules`: every defence against every attack.

use std::sync::Arc;

use anyhow::{Context, Result};
use longhaul_lab::adversary::Adversary;
use longhaul_lab::catalogue::{self, ATTACKS, DEFENCES};
use longhaul_lab::defence::Defence;
use longhaul_lab::table::{Spread, run_all};
use longhaul_lab::wire;
use serde::Serialize;

use super::{LearnArgs, bar, data};
use crate::cli::input::say;

/// One defence against one attack.
#[derive(Debug, Clone, Serialize)]
struct Row {
    defence: String,
    attack: String,
    /// Accuracy after the last epoch, for each seed.
    accuracy: Vec<f64>,
    mean: f64,
    least: f64,
}

struct Job<'a> {
    defence: &'a (String, Defence),
    attack: &'a (String, Adversary),
    seed: u64,
}

pub(super) fn rules(args: &LearnArgs) -> Result<()> {
    let setting = args.setting()?;
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
    let rows: Vec<Row> = jobs
        .chunks(seeds)
        .zip(learned.chunks(seeds))
        .map(|(jobs, learned)| {
            let accuracy: Vec<f64> = learned.iter().map(|it| it.accuracy).collect();
            let Spread { mean, least, .. } = Spread::of(&accuracy);
            let (defence, attack) = (jobs[0].defence.0.clone(), jobs[0].attack.0.clone());
            Row { defence, attack, accuracy, mean, least }
        })
        .collect();
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    say(&text(&rows, attacks.len(), seeds))
}

/// The chosen names, or all, with what they name.
pub(super) fn named<T>(
    chosen: &[String],
    all: &[&str],
    read: impl Fn(&str) -> Result<T>,
) -> Result<Vec<(String, T)>> {
    let names: Vec<String> = match chosen {
        [] => all.iter().map(|&it| it.to_owned()).collect(),
        chosen => chosen.to_vec(),
    };
    names.into_iter().map(|name| read(&name).map(|it| (name, it))).collect()
}

/// A line for the worst of means and attacks, where there is more than one.
pub(super) fn worst<'a>(means: impl ExactSizeIterator<Item = (f64, &'a str)>) -> String {
    let several = means.len() > 1;
    match means.min_by(|one, other| one.0.total_cmp(&other.0)).filter(|_| several) {
        Some((mean, attack)) => format!("  worst: {mean:.3} under {attack}\n"),
        None => String::new(),
    }
}

/// A column for each attack would be too wide: a line for each, and the worst of each defence.
fn text(rows: &[Row], attacks: usize, seeds: usize) -> String {
    let mut out = format!("accuracy after the last epoch, mean of {seeds} seeds (least)\n");
    for of_one in rows.chunks(attacks) {
        out.push_str(&format!("\n{}\n", of_one[0].defence));
        for row in of_one {
            out.push_str(&format!("  {:<24} {:.3} ({:.3})\n", row.attack, row.mean, row.least));
        }
        out.push_str(&worst(of_one.iter().map(|row| (row.mean, row.attack.as_str()))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_worst_attack() {
        let row = |attack: &str, mean| Row {
            defence: "median".to_owned(),
            attack: attack.to_owned(),
            accuracy: vec![mean],
            mean,
            least: mean,
        };
        let text = text(&[row("none", 0.9), row("mimic:0", 0.5), row("replay:10", 0.7)], 3, 1);
        assert!(text.ends_with("worst: 0.500 under mimic:0\n"), "{text}");
        let unknown =
            named(&["x".to_owned()], &DEFENCES, |name| catalogue::attack(name).context("--attack"));
        assert!(unknown.is_err_and(|why| format!("{why:#}").contains("--attack: x: use none")));
    }
}
