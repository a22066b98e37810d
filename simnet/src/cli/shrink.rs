//! `shrink`: fewer peers, faults and epochs while the same check still fails.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use longhaul_simnet::{RunOptions, Scenario, run, shrink as candidates};

use super::folder::put_file;
use super::input;

pub(super) const EXAMPLES: &str = "Example:
  longhaul-simnet shrink failing.toml --out smallest.toml

Exit codes: 0 a smaller scenario was found, 1 none was, 2 bad input.";

#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A scenario that fails: a file, or the name of a built-in one.
    scenario: String,
    /// Seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where to write the smallest scenario; printed when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Runs at most.
    #[arg(long, value_name = "N", default_value_t = 500)]
    runs_max: u32,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Plants a bug, as in `run`.
    #[arg(long, hide = true)]
    plant_bug: bool,
}

/// Shrinks a scenario; true if a smaller one still fails.
pub fn shrink(args: &ShrinkArgs) -> Result<bool> {
    let mut source = input::scenario(&args.scenario)?;
    source.scenario.seed = args.seed.unwrap_or(source.scenario.seed);
    let mut options = input::options(&source, None, args.data.as_deref())?;
    options.plant_bug = args.plant_bug;
    let mut smallest = source.scenario;
    let Some(check) = failing(&smallest, &options) else {
        bail!("no check of {} fails, so there is nothing to shrink", args.scenario);
    };
    eprintln!("{} fails: {check}", candidates::size(&smallest));
    let (mut runs, mut smaller) = (0, false);
    'again: loop {
        for candidate in candidates::smaller(&smallest) {
            if runs == args.runs_max {
                eprintln!("{runs} runs made; --runs-max allows more");
                break 'again;
            }
            runs += 1;
            if failing(&candidate, &options).is_some_and(|found| found == check) {
                eprintln!("{} still fails", candidates::size(&candidate));
                (smallest, smaller) = (candidate, true);
                continue 'again;
            }
        }
        break;
    }
    eprintln!("smallest after {runs} runs: {}", candidates::size(&smallest));
    let toml = smallest.to_toml();
    match &args.out {
        Some(path) => put_file(std::path::Path::new(""), &path.to_string_lossy(), toml.as_bytes())?,
        None => input::say(&toml)?,
    }
    Ok(smaller)
}

/// The first check that fails, without the figures that shrinking changes.
fn failing(scenario: &Scenario, options: &RunOptions) -> Option<String> {
    let report = run(scenario, options).ok()?;
    let failed = report.checks.into_iter().find(|check| !check.passed)?;
    Some(failed.name.split(|letter: char| letter.is_ascii_digit()).next()?.to_owned())
}
