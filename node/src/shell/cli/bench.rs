//! `longhaul bench`: how fast this machine trains, and what else can be measured.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};

use super::bench_contact::{self, ContactArgs};
use super::bench_proofs::{self, BenchProofsArgs};
use super::bench_store::{self, BenchStoreArgs};
use crate::shell::cli::{ManifestPlan, make_manifest, say};
use crate::train::bench::{BenchReport, bench as measure};
use crate::train::{DeviceChoice, ModelKind, open_device};

/// What is measured when nothing is named: model, batch, steps.
const DEFAULTS: [(&str, u32, u32); 4] = [
    ("edgesense-cnn", 16, 400),
    ("mlp:784-32-10", 16, 1_000),
    ("mlp:784-128-10", 64, 400),
    ("image-cnn", 64, 30),
];

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    other: Option<Other>,
    /// The device: auto, cpu, vulkan or cuda.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: DeviceChoice,
    /// Measure only this model.
    #[arg(long, value_name = "MODEL")]
    model: Option<ModelKind>,
    /// Samples per step, with --model.
    #[arg(long, default_value_t = 64, requires = "model", value_name = "N")]
    batch: u32,
    /// Steps to measure, with --model.
    #[arg(long, default_value_t = 200, requires = "model", value_name = "N")]
    steps: u32,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
}

/// What is measured instead of training.
#[derive(Debug, Subcommand)]
enum Other {
    /// Measure a contact between two processes against a bare libp2p stream.
    #[command(after_help = "Example:\n  longhaul bench contact --bundles 256 --bytes 1048576")]
    Contact(ContactArgs),
    /// Measure the data directory: restart, index rebuilt from files, room taken.
    #[command(
        after_help = "Examples:\n  longhaul bench store\n  longhaul bench store --bundles 10000 --payload-bytes 100000 --at /mnt/bench --json"
    )]
    Store(BenchStoreArgs),
    /// Measure a courier that verifies proofs of bundles that it cannot read, and drops forged ones.
    #[command(
        after_help = "Examples:\n  longhaul bench proofs\n  longhaul bench proofs --bundles 100 --model edgesense-cnn --json"
    )]
    Proofs(BenchProofsArgs),
}

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    match &args.other {
        Some(Other::Contact(args)) => return bench_contact::contact(args),
        Some(Other::Proofs(args)) => return bench_proofs::bench(args),
        Some(Other::Store(args)) => {
            return bench_store::bench(args, |dir, peer| {
                let (members, quorum, epochs) = (vec![peer], Some(1), 1_000_000);
                let plan = ManifestPlan { members, quorum, epochs, ..ManifestPlan::demo_sensors() };
                make_manifest(dir, &plan)
            });
        }
        None => {}
    }
    let start = Instant::now();
    let (device, report) = open_device(args.device)?;
    eprintln!("device: {report}, opened in {:.2} s", start.elapsed().as_secs_f64());
    let jobs = match &args.model {
        Some(kind) => vec![(kind.clone(), args.batch, args.steps)],
        None => DEFAULTS
            .into_iter()
            .map(|(name, batch, steps)| Ok((name.parse()?, batch, steps)))
            .collect::<anyhow::Result<_>>()?,
    };
    for (kind, batch, steps) in jobs {
        let mut clock = || start.elapsed();
        let found = measure(&kind, batch, steps, device.clone(), &mut clock)?;
        show(&found, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(found: &BenchReport, json: bool) -> anyhow::Result<()> {
    if !json {
        say!("{found}");
        return Ok(());
    }
    let value = serde_json::json!({
        "model": found.kind.to_string(),
        "batch": found.batch,
        "steps": found.steps,
        "warm_up_s": found.warm_up.as_secs_f64(),
        "elapsed_s": found.elapsed.as_secs_f64(),
        "steps_per_s": found.steps_per_s,
    });
    say!("{}", serde_json::to_string(&value)?);
    Ok(())
}
