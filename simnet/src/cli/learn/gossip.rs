//! `learn gossip`: local rules in a ring of honest peers, among a majority of attackers.

use anyhow::{Context, Result};
use longhaul_lab::gossip::table::{self, entries, opponents, plain};
use longhaul_lab::gossip::{Gossip, Skew};
use serde::Serialize;

use super::rules::worst;
use super::{LearnArgs, bar, data};
use crate::cli::input::say;

/// One rule against one attack.
#[derive(Debug, Clone, Serialize)]
struct Row {
    rule: String,
    attack: String,
    /// Mean accuracy of the honest in the end, for each seed.
    accuracy: Vec<f64>,
    mean: f64,
    /// Standard deviation over seeds.
    deviation: f64,
    /// The worst honest peer of any seed.
    worst: f64,
}

pub(super) fn gossip(args: &LearnArgs) -> Result<()> {
    let setting = setting(args)?;
    let (rules, attacks) = (entries(&setting), opponents());
    let rules: Vec<&str> = rules.iter().map(|it| it.name).collect();
    let attacks: Vec<&str> = attacks.iter().map(|it| it.0).collect();
    let rules = chosen(&args.defence, &rules).context("--defence")?;
    let attacks = chosen(&args.attack, &attacks).context("--attack")?;
    let samples = data::samples(args.data.as_deref())?;
    let seeds: Vec<u64> = (1..=args.seeds.into()).collect();
    let bar = bar(rules.len() * attacks.len() * seeds.len());
    let table = table::table(
        &samples,
        &setting,
        &seeds,
        args.workers(),
        |rule, attack| rules.contains(&rule) && attacks.contains(&attack),
        |done| bar.set_position(done as u64),
    )?;
    bar.finish_and_clear();
    let row = |row: &table::Row| Row {
        rule: plain(row.rule),
        attack: plain(row.attack),
        accuracy: row.outcomes.iter().map(|it| it.mean).collect(),
        mean: row.mean(),
        deviation: row.deviation(),
        worst: row.worst(),
    };
    let rows: Vec<Row> = table.iter().map(row).collect();
    if args.json {
        return say(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    say(&text(&rows, attacks.len(), setting.rounds, seeds.len()))
}

/// The setting; its graph is that of the experiment it follows.
fn setting(args: &LearnArgs) -> Result<Gossip> {
    let fixed = [
        ("--peers", args.peers.is_some()),
        ("--attackers", args.attackers.is_some()),
        ("--steps", args.steps.is_some()),
    ];
    if let Some((option, _)) = fixed.iter().find(|it| it.1) {
        anyhow::bail!(
            "{option}: gossip has five honest peers, eleven attackers and one step a round"
        );
    }
    let usual = Gossip::default();
    Ok(Gossip {
        skew: match args.alpha()? {
            _ if args.sorted => Skew::Sorted,
            Some(alpha) => Skew::Dirichlet(alpha),
            None => usual.skew,
        },
        batch: args.batch.map_or(usual.batch, usize::from),
        rate: args.rate()?.unwrap_or(usual.rate),
        rounds: args.epochs.map_or(usual.rounds, usize::from),
        ..usual
    })
}

/// Those of `all` that are named, or all where none is.
fn chosen<'a>(names: &[String], all: &[&'a str]) -> Result<Vec<&'a str>> {
    let known = |name: &str| all.iter().copied().find(|it| plain(it) == plain(name));
    let unknown = |name: &String| {
        let all: Vec<String> = all.iter().map(|it| plain(it)).collect();
        format!("{name}: use one of {}", all.join(", "))
    };
    match names {
        [] => Ok(all.to_vec()),
        names => names.iter().map(|name| known(name).with_context(|| unknown(name))).collect(),
    }
}

/// A line for each attack, and the worst of each rule.
fn text(rows: &[Row], attacks: usize, rounds: usize, seeds: usize) -> String {
    let mut out = format!(
        "accuracy of the honest after {rounds} rounds, mean of {seeds} seeds ± deviation \
         (worst peer of any seed)\n"
    );
    for of_one in rows.chunks(attacks) {
        out.push_str(&format!("\n{}\n", of_one[0].rule));
        for row in of_one {
            let Row { attack, mean, deviation, worst, .. } = row;
            out.push_str(&format!("  {attack:<12} {mean:.3} ± {deviation:.3} ({worst:.3})\n"));
        }
        out.push_str(&worst(of_one.iter().map(|row| (row.mean, row.attack.as_str()))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        let all = ["gossip", "UBAR, all, held out"];
        let named = |name: &str| chosen(&[name.to_owned()], &all);
        assert_eq!(named("UBAR, all, held out").expect("known"), ["UBAR, all, held out"]);
        assert_eq!(named("ubar-all-held-out").expect("known"), ["UBAR, all, held out"]);
        assert_eq!(chosen(&[], &all).expect("all"), all);
        let unknown = named("krum").expect_err("no local rule").to_string();
        assert_eq!(unknown, "krum: use one of gossip, ubar-all-held-out");
    }

    #[test]
    fn the_table_names_the_worst_attack() {
        let row = |attack: &str, mean| Row {
            rule: "judged".to_owned(),
            attack: attack.to_owned(),
            accuracy: vec![mean],
            mean,
            deviation: 0.0,
            worst: mean,
        };
        let text = text(&[row("none", 0.9), row("rop", 0.5), row("ipm", 0.7)], 3, 900, 1);
        assert!(text.ends_with("worst: 0.500 under rop\n"), "{text}");
    }
}
