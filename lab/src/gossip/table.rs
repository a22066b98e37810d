//! Table: local rules against attacks, published ones and ours, over seeds.

use longhaul_aggregation::robust::attack::receiver::Targeted;
use longhaul_aggregation::robust::local::{LocalRule, Radius};
use longhaul_aggregation::robust::{Pipeline, RobustError, Rule};

use super::{Gossip, Mixer, Opponent, Outcome};
use crate::local_sgd::Task;
use crate::network::{Labels, Network};
use crate::samples::Samples;
use crate::table::run_all;

/// The share of its samples that a peer holds out where its rule judges by them.
pub const HELD_OUT: f64 = 0.2;
/// Hidden units of what is trained.
const HIDDEN: usize = 32;

/// A rule in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub mixer: Mixer,
    /// What a peer holds out for it.
    pub held_out: f64,
}

/// What a rule and an attack came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The rule's name.
    pub rule: &'static str,
    /// The attack's name.
    pub attack: &'static str,
    /// What each seed gave.
    pub outcomes: Vec<Outcome>,
}

impl Row {
    /// The mean over seeds of the mean accuracy of the honest.
    pub fn mean(&self) -> f64 {
        self.outcomes.iter().map(|it| it.mean).sum::<f64>() / self.outcomes.len().max(1) as f64
    }

    /// The standard deviation of that over seeds, by n - 1.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.outcomes.iter().map(|it| (it.mean - mean).powi(2)).sum();
        (squares / (self.outcomes.len().max(2) - 1) as f64).sqrt()
    }

    /// The worst accuracy of an honest peer in any seed.
    pub fn worst(&self) -> f64 {
        self.outcomes.iter().map(|it| it.worst).fold(1.0, f64::min)
    }
}

/// The rules: first what bounds them, then published ones, then ours.
pub fn entries(setting: &Gossip) -> Vec<Entry> {
    let entry = |name, mixer| Entry { name, mixer, held_out: 0.0 };
    let local = |name, rule| entry(name, Mixer::Local(rule));
    let global = |name, rule| entry(name, Mixer::Global(Pipeline::of(rule)));
    let each = setting.attackers_each;
    // What attackers have at each peer but the first, who has one more.
    let attacking = each as f64 / (each + 3) as f64;
    let rounds = setting.rounds as u64;
    let ubar = |share| LocalRule::Ubar { share, alpha: 0.5 };
    let judged = LocalRule::Judged { decay: 0.97, alone: 50 };
    vec![
        entry("honest only", Mixer::HonestOnly),
        entry("alone", Mixer::Alone),
        local("gossip", LocalRule::Gossip),
        global("trimmed mean", Rule::TrimmedMean { attackers: each }),
        global("geometric median", Rule::GeometricMedian { smoothing: 0.1, iterations: 8 }),
        local("ClippedGossip", LocalRule::ClippedGossip { radius: Radius::Fixed(0.1) }),
        local(
            "ClippedGossip, adaptive",
            LocalRule::ClippedGossip { radius: Radius::Adaptive { attacking } },
        ),
        local("CS+", LocalRule::ClippedSum { attacking: attacking / 2.0 }),
        local("MoNNA", LocalRule::Nearest { attackers: each }),
        local("BALANCE", LocalRule::Balance { gamma: 0.3, kappa: 1.0, alpha: 0.5, rounds }),
        local("FLTrust", LocalRule::FlTrust),
        local("UBAR", ubar(0.4)),
        Entry { held_out: HELD_OUT, ..local("UBAR, all, held out", ubar(1.0)) },
        local("judged, not held out", judged.clone()),
        Entry { held_out: HELD_OUT, ..local("judged", judged) },
    ]
}

/// The attacks: none, the three of ClippedGossip's experiment, and further ones.
pub fn opponents() -> Vec<(&'static str, Opponent)> {
    let sends = |name, attack| (name, Opponent::Sends(attack));
    vec![
        ("none", Opponent::Trains(Labels::True)),
        sends("IPM", Targeted::InnerProduct { epsilon: 0.1 }),
        sends("ALIE", Targeted::LittleIsEnough { deviations: 10.0 }),
        sends("dissensus", Targeted::Dissensus { epsilon: 1.5 }),
        sends("sign flip", Targeted::InnerProduct { epsilon: 1.0 }),
        ("label flip", Opponent::Trains(Labels::Flipped)),
        sends("ROP", Targeted::RelocatedOrthogonal { z: 1.0, lambda: 0.9, pi: 0.5, degrees: 90.0 }),
        sends("dissensus 5", Targeted::Dissensus { epsilon: 5.0 }),
        sends("ALIE 1.5", Targeted::LittleIsEnough { deviations: 1.5 }),
        // A hundredth of the honest pull: the own vector again, a little better.
        sends("echo", Targeted::Dissensus { epsilon: -0.01 }),
    ]
}

/// A name as it is written on a command line: small letters, and a dash for what stands between
/// words.
pub fn plain(name: &str) -> String {
    let kept = |it: char| if it.is_alphanumeric() || "+.".contains(it) { it } else { ' ' };
    let words: String = name.to_lowercase().chars().map(kept).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}

/// Runs the rules and attacks that are `chosen`, by their names, with each seed, in so many
/// threads. A fifth of the samples, shuffled by the seed, is tested on. `tell` hears how many
/// runs are done.
pub fn table(
    samples: &Samples,
    setting: &Gossip,
    seeds: &[u64],
    threads: usize,
    chosen: impl Fn(&str, &str) -> bool,
    tell: impl Fn(usize) + Sync,
) -> Result<Vec<Row>, RobustError> {
    let network = Network { inputs: samples.width(), hidden: HIDDEN, classes: samples.classes() };
    let task = |seed: &u64| {
        let (train, test) = samples.shuffled(*seed, samples.count() / 5);
        Task { train, test, network }
    };
    let tasks: Vec<Task> = seeds.iter().map(task).collect();
    let mut cases = Vec::new();
    for entry in entries(setting) {
        let opponents = opponents().into_iter().filter(|it| chosen(entry.name, it.0));
        cases.extend(opponents.map(|opponent| (entry.clone(), opponent)));
    }
    let jobs: Vec<(usize, usize)> =
        (0..cases.len()).flat_map(|case| (0..seeds.len()).map(move |seed| (case, seed))).collect();
    let run = |&(case, seed): &(usize, usize)| {
        let (entry, (_, opponent)) = &cases[case];
        let setting = Gossip { held_out: entry.held_out, ..*setting };
        setting.run(&tasks[seed], &entry.mixer, *opponent, seeds[seed])
    };
    let mut outcomes = run_all(&jobs, threads, run, tell)?.into_iter();
    let row = |(entry, (attack, _)): &(Entry, (&'static str, Opponent))| Row {
        rule: entry.name,
        attack,
        outcomes: outcomes.by_ref().take(seeds.len()).collect(),
    };
    Ok(cases.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_are_in_order_and_ours_outlives_a_majority() {
        let samples = Samples::generated(2_000, 20, 1);
        let setting = Gossip { rounds: 200, rate: 0.02, ..Gossip::default() };
        let chosen = |rule: &str, attack: &str| {
            ["gossip", "judged"].contains(&rule) && ["none", "IPM", "dissensus"].contains(&attack)
        };
        let rows = table(&samples, &setting, &[1, 2], 2, chosen, |_| ()).expect("sound parameters");
        let names: Vec<_> = rows.iter().map(|it| (it.rule, it.attack)).collect();
        assert_eq!(
            names[..4],
            [("gossip", "none"), ("gossip", "IPM"), ("gossip", "dissensus"), ("judged", "none")]
        );
        let means: Vec<f64> = rows.iter().map(Row::mean).collect();
        assert!(means[0] > 0.7 && means[1] < 0.4, "gossip bears nobody: {means:?}");
        assert!(means[3..].iter().all(|it| *it > 0.65), "{means:?}");
        assert!(rows.iter().all(|it| it.worst() <= it.mean() && it.deviation() < 0.2), "{rows:?}");
        assert_eq!(
            table(&samples, &setting, &[1, 2], 1, chosen, |_| ()),
            Ok(rows),
            "threads do not matter"
        );
    }

    #[test]
    fn plain_names_tell_all_rules_and_attacks_apart() {
        let rules = entries(&Gossip::default());
        let rules: BTreeSet<String> = rules.iter().map(|it| plain(it.name)).collect();
        assert_eq!(rules.len(), entries(&Gossip::default()).len());
        for name in ["cs+", "clippedgossip-adaptive", "ubar-all-held-out", "judged-not-held-out"] {
            assert!(rules.contains(name), "{rules:?}");
        }
        let attacks: BTreeSet<String> = opponents().iter().map(|it| plain(it.0)).collect();
        assert_eq!(attacks.len(), opponents().len());
        assert!(attacks.contains("alie-1.5"), "{attacks:?}");
    }
}
