//! `learn`: what rules make of attacks, in synchronous rounds without a network.
//!
//! The fold of a federation is what `run` simulates; this answers the question before it, which
//! rule to put into a manifest, in seconds for each run.

mod data;
mod encodings;
mod momentum;
mod rules;
mod stale;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use longhaul_lab::local_sgd::LocalSgd;

use super::input::{THREADS, processors};

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet learn rules --data mnist/
  longhaul-simnet learn rules --defence diversity --attack alie:1.5 --attack none --epochs 40
  longhaul-simnet learn rules --data mnist/ --defence clip+nnm+median --json
  longhaul-simnet learn encodings --data mnist/
  longhaul-simnet learn momentum --data mnist/
  longhaul-simnet learn stale --data mnist/ --peers 15 --attackers 3 --epochs 200

Without --data the task is made of random points: quick, and good for nothing but a look.
Exit codes: 0 done, 2 bad input.";

#[derive(Debug, Args)]
pub struct LearnArgs {
    /// What to compare.
    #[arg(default_value = "rules")]
    what: What,
    /// Folder of IDX files (MNIST: t10k-… alone, or all four).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A defence: honest, or a rule as in `longhaul manifest new --rule` with clip+, nnm+ or
    /// both before it; repeat for more [default: ten of them].
    #[arg(long, value_name = "NAME")]
    defence: Vec<String>,
    /// An attack, such as none, sign-flip, ipm:0.5 or alie:1.5/jitter; repeat for more
    /// [default: 24 of them].
    #[arg(long, value_name = "NAME")]
    attack: Vec<String>,
    /// Seeds of each run; figures are their mean.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// All peers.
    #[arg(long, default_value_t = 17, value_name = "N", value_parser = value_parser!(u16).range(2..=1000))]
    peers: u16,
    /// Attackers among them, and as many assumed; fewer than half.
    #[arg(long, default_value_t = 4, value_name = "F")]
    attackers: u16,
    /// Label skew: concentration of the Dirichlet distribution.
    #[arg(long, default_value_t = 0.1, value_name = "ALPHA")]
    alpha: f64,
    /// Steps of a peer in an epoch.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    steps: u16,
    /// Samples in a step.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Learning rate.
    #[arg(long, default_value_t = 0.1, value_name = "RATE")]
    rate: f32,
    /// Epochs.
    #[arg(long, default_value_t = 80, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    epochs: u16,
    /// Runs at one time [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Defences against attacks: accuracy after the last epoch.
    Rules,
    /// Encodings of updates: accuracy and bytes.
    Encodings,
    /// Defences in distributed SGD with worker momentum, 200 steps of 25 samples at 0.1.
    Momentum,
    /// Peers who hear of terms up to 50 epochs late (median 10), beside the same who do not.
    Stale,
}

/// Runs the comparison and prints it.
pub fn learn(args: &LearnArgs) -> Result<bool> {
    match args.what {
        What::Rules => rules::rules(args)?,
        What::Encodings => encodings::encodings(args)?,
        What::Momentum => momentum::momentum(args)?,
        What::Stale => stale::stale(args)?,
    }
    Ok(true)
}

impl LearnArgs {
    /// The setting; refuses what clap cannot see.
    fn setting(&self) -> Result<LocalSgd> {
        anyhow::ensure!(
            2 * self.attackers < self.peers,
            "--attackers {}: of {} peers fewer than half can attack",
            self.attackers,
            self.peers
        );
        anyhow::ensure!(
            self.alpha.is_finite() && self.alpha > 0.0 && self.alpha <= 1e6,
            "--alpha {}: choose a number above 0 and up to 1000000",
            self.alpha
        );
        anyhow::ensure!(
            self.rate.is_finite() && self.rate > 0.0 && self.rate <= 100.0,
            "--rate {}: choose a number above 0 and up to 100",
            self.rate
        );
        Ok(LocalSgd {
            peers: self.peers.into(),
            attackers: self.attackers.into(),
            alpha: self.alpha,
            steps: self.steps.into(),
            batch: self.batch.into(),
            rate: self.rate,
            epochs: self.epochs.into(),
            encoding: None,
        })
    }

    fn workers(&self) -> usize {
        self.workers.map_or_else(processors, usize::from)
    }
}

/// A bar over runs, on stderr, for people only.
fn bar(runs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs, {elapsed} passed")
        .expect("the template is well-formed");
    ProgressBar::new(runs as u64).with_style(style)
}
