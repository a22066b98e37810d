//! `longhaul status`.

use std::process::ExitCode;

use clap::Args;

use super::DirArg;
use crate::shell::clock;
use crate::shell::report::{self, NodeReport};

/// A report older than this is not from a running peer.
const FRESH_MS: u64 = 3_000;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let report = report::load(&args.dir.dir)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show(&report, clock::now().unix_ms().saturating_sub(report.unix_ms));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &NodeReport, age_ms: u64) {
    let state = match (age_ms <= FRESH_MS, report.over) {
        (true, false) => "running".to_owned(),
        (true, true) => "running; training is over".to_owned(),
        (false, _) => format!("not running (last report {} s ago)", age_ms / 1_000),
    };
    let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    println!("peer        {}", report.peer_id);
    println!("federation  {}", report.federation);
    println!("state       {state}");
    println!("epoch       {} of {}", number(report.epoch), report.epochs);
    println!("newest term {}", number(report.term_newest));
    println!("contacts    {}", report.contacts);
    println!("updates     {} held, {} waiting", report.updates, report.waiting);
    println!("refused     {}", report.refused);
    println!("model       {}", report.model);
    println!("accuracy    {} together, {} alone", share(report.accuracy), share(report.alone));
}
