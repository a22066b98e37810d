//! `learn`: what rules make of attacks, in synchronous rounds without a network.
//!
//! The fold of a federation is what `run` simulates; this answers the question before it, which
//! rule to put into a manifest, in seconds for each run.

mod data;
mod encodings;
mod gossip;
mod late;
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
  longhaul-simnet learn stale --data mnist/ --defence float:diversity --weight constant \\
      --schedule cosine --pending 0.5 --epochs 300 --seeds 2
  longhaul-simnet learn gossip --data mnist/
  longhaul-simnet learn gossip --data mnist/ --rules judged,ubar --attacks rop,alie --seeds 1

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
    /// both before it; for gossip a local rule such as judged; repeat for more, or put commas
    /// between [default: all of the table].
    #[arg(long, visible_alias = "rules", value_delimiter = ',', value_name = "NAME")]
    defence: Vec<String>,
    /// An attack, such as none, sign-flip, ipm:0.5 or alie:1.5/jitter, for gossip such as
    /// dissensus; repeat for more, or put commas between [default: all of the table].
    #[arg(long, visible_alias = "attacks", value_delimiter = ',', value_name = "NAME")]
    attack: Vec<String>,
    /// Seeds of each run; figures are their mean.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// All peers [default: 17].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(2..=1000))]
    peers: Option<u16>,
    /// Attackers among them, and as many assumed; fewer than half [default: 4].
    #[arg(long, value_name = "F")]
    attackers: Option<u16>,
    /// Label skew: concentration of the Dirichlet distribution [default: 0.1; gossip: no skew].
    #[arg(long, value_name = "ALPHA")]
    alpha: Option<f64>,
    /// Every peer of gossip has the samples of its own labels.
    #[arg(long, conflicts_with = "alpha")]
    sorted: bool,
    /// Steps of a peer in an epoch [default: 10].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    steps: Option<u16>,
    /// Samples in a step [default: 16; gossip: 32].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    batch: Option<u16>,
    /// Learning rate [default: 0.1; gossip: 0.01].
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Epochs, or rounds of gossip [default: 80; gossip: 900].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    epochs: Option<u16>,
    /// Runs at one time [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    // Last, since its heading is that of all that follow.
    #[command(flatten)]
    late: late::LateArgs,
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
    /// Local rules: five honest peers in a ring, with eleven attackers at them.
    Gossip,
}

/// Runs the comparison and prints it.
pub fn learn(args: &LearnArgs) -> Result<bool> {
    anyhow::ensure!(
        args.what == What::Stale || args.late == late::LateArgs::default(),
        "--schedule, --pending, --weight and --late-…: only `learn stale` has late peers"
    );
    anyhow::ensure!(
        args.what == What::Gossip || !args.sorted,
        "--sorted: only `learn gossip` sorts labels; choose a small --alpha"
    );
    match args.what {
        What::Rules => rules::rules(args)?,
        What::Encodings => encodings::encodings(args)?,
        What::Momentum => momentum::momentum(args)?,
        What::Stale => stale::stale(args)?,
        What::Gossip => gossip::gossip(args)?,
    }
    Ok(true)
}

impl LearnArgs {
    /// The setting; refuses what clap cannot see.
    fn setting(&self) -> Result<LocalSgd> {
        let (peers, attackers) = (self.peers.unwrap_or(17), self.attackers.unwrap_or(4));
        anyhow::ensure!(
            2 * attackers < peers,
            "--attackers {attackers}: of {peers} peers fewer than half can attack"
        );
        Ok(LocalSgd {
            peers: peers.into(),
            attackers: attackers.into(),
            alpha: self.alpha()?.unwrap_or(0.1),
            steps: self.steps.unwrap_or(10).into(),
            batch: self.batch.unwrap_or(16).into(),
            rate: self.rate()?.unwrap_or(0.1),
            epochs: self.epochs.unwrap_or(80).into(),
            encoding: None,
        })
    }

    fn alpha(&self) -> Result<Option<f64>> {
        if let Some(alpha) = self.alpha {
            anyhow::ensure!(
                alpha.is_finite() && alpha > 0.0 && alpha <= 1e6,
                "--alpha {alpha}: choose a number above 0 and up to 1000000"
            );
        }
        Ok(self.alpha)
    }

    fn rate(&self) -> Result<Option<f32>> {
        if let Some(rate) = self.rate {
            anyhow::ensure!(
                rate.is_finite() && rate > 0.0 && rate <= 100.0,
                "--rate {rate}: choose a number above 0 and up to 100"
            );
        }
        Ok(self.rate)
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
