//! `bench`: how fast the simulator is on this machine, in scenarios that stay the same.
//!
//! Each bench is measured in a process of its own, so that memory and processor time
//! are its own.

mod measure;
mod meter;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum, value_parser};
use serde::{Deserialize, Serialize};

use super::input::{self, THREADS};
use meter::Used;

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet bench
  longhaul-simnet bench transport training --json
  longhaul-simnet bench conference --data traces/
  longhaul-simnet bench seeds --seeds 200

Exit codes: 0 all checks of all runs passed, 1 a check failed, 2 bad input.";

/// Seeds when nothing else is said.
const SEEDS: u32 = 20;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure [default: all that need no data, but for `committee`].
    name: Vec<Name>,
    /// Folder of the IDX files (training) and of SFHH_tij.dat.gz (conference).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many seeds `seeds` runs.
    #[arg(long, value_name = "N", default_value_t = SEEDS, value_parser = value_parser!(u32).range(1..))]
    seeds: u32,
    /// Threads that train, and runs at one time in `seeds` [default: one for each
    /// processor; `training` takes one, so that both of its parts have the caches alike].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// 1,000 bare carriers, 100,000 contacts in a day.
    Transport,
    /// 10,000 bare carriers, 1,000,000 contacts in a day.
    TransportLarge,
    /// 403 people at a conference (needs --data).
    Conference,
    /// Twelve peers train; the same work is done again without the engine.
    Training,
    /// A fault-heavy hour of twenty peers, with many seeds.
    Seeds,
    /// A day of a thousand peers that train.
    Day,
    /// 2,000 peers of whom 64 publish in an epoch, beside 64 that all publish and all
    /// 2,000 at once; about 15 minutes.
    Committee,
}

/// What is measured when no name is given: what needs no data and minutes at most.
const WITHOUT_DATA: [Name; 5] =
    [Name::Transport, Name::TransportLarge, Name::Training, Name::Seeds, Name::Day];

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// The bench.
    name: String,
    #[serde(flatten)]
    used: Used,
    /// Events of all runs.
    events: u64,
    /// Events in a second of processor time.
    events_per_cpu_s: Option<f64>,
    /// From the start of the run to its first event.
    first_event_s: f64,
    /// Threads.
    workers: usize,
    /// The trace digest of the run, or of the first seed's.
    digest: String,
    /// What only this bench tells.
    figures: Vec<Figure>,
    /// What failed, for people; nothing if all checks passed.
    failed: Vec<String>,
}

/// A further figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    name: String,
    /// Its value.
    value: Option<f64>,
    /// Its unit.
    unit: String,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::TransportLarge => "transport-large",
            Self::Conference => "conference",
            Self::Training => "training",
            Self::Seeds => "seeds",
            Self::Day => "day",
            Self::Committee => "committee",
        }
    }
}

/// Measures; says whether all checks passed.
pub fn bench(args: &BenchArgs) -> Result<bool> {
    let names = if args.name.is_empty() { &WITHOUT_DATA[..] } else { &args.name };
    let mut lines = Vec::new();
    for &name in names {
        let line = match names {
            [_] => measure::measure(name, args)?,
            _ => in_a_process_of_its_own(name, args)?,
        };
        if !args.json {
            input::say(&shown(&line))?;
        }
        lines.push(line);
    }
    if args.json {
        input::say(&format!("{}\n", serde_json::to_string_pretty(&lines)?))?;
    } else if lines.iter().any(|line| line.used.cpu_s.is_none()) {
        input::say("no processor time and memory: this system has no /proc\n")?;
    }
    Ok(lines.iter().all(|line| line.failed.is_empty()))
}

fn in_a_process_of_its_own(name: Name, args: &BenchArgs) -> Result<Line> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["bench", name.as_str(), "--json", "--seeds", &args.seeds.to_string()]);
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    if let Some(workers) = args.workers {
        command.args(["--workers", &workers.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output().context("cannot start this program")?;
    let lines: Vec<Line> = match serde_json::from_slice(&output.stdout) {
        Ok(lines) => lines,
        Err(_) => bail!("the bench {} ended without a result: {}", name.as_str(), output.status),
    };
    lines.into_iter().next().context("the bench told nothing")
}

fn shown(line: &Line) -> String {
    let Line { name, used, events, events_per_cpu_s, first_event_s, workers, .. } = line;
    let or_dash = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let mut text = format!(
        "{name}: {:.2} s wall, {} s CPU on {workers} threads, {} MiB at most; {events} events, \
         {} per CPU second; first after {first_event_s:.2} s\n",
        used.wall_s,
        or_dash(used.cpu_s, 2),
        or_dash(used.peak_mib, 0),
        or_dash(*events_per_cpu_s, 0),
    );
    for Figure { name, value, unit } in &line.figures {
        text += &format!("  {name}: {} {unit}\n", or_dash(*value, 2));
    }
    for failed in &line.failed {
        text += &format!("  FAIL  {failed}\n");
    }
    text
}
