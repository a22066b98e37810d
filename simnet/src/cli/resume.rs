//! `resume`: a killed run goes on from its snapshot, or a changed one begins from it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, value_parser};

use super::claim::Claim;
use super::folder;
use super::input::{self, THREADS};
use super::progress::Bar;
use super::run::{Session, play};
use super::snapshot::{Keeper, Use, refuse_kept};

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet run label-split --data mnist/ --out results/ --snapshot-epochs 5
  longhaul-simnet resume results/ --data mnist/
  longhaul-simnet resume results/ --data mnist/ --scenario longer-cut.toml --out what-if/

The engine runs again from the start, with the answers of the snapshot in place of
training; a run of a changed scenario takes the answers of the questions that are the
same, so training is spared up to the first difference.
Exit codes: 0 all checks passed, 1 a check failed, 2 bad input, or not the same run.";

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The folder of a run that was begun with `--snapshot-epochs`.
    folder: PathBuf,
    /// A changed scenario instead of the run's own, such as one with other faults.
    #[arg(long, value_name = "FILE", requires = "out")]
    scenario: Option<String>,
    /// Another folder for everything that the run leaves; the snapshot stays as it is.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads that train [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Plants a bug, as in `run`.
    #[arg(long, hide = true)]
    plant_bug: bool,
}

/// Goes on with a run; says whether all checks passed.
pub fn resume(args: &ResumeArgs) -> Result<bool> {
    let bar = Bar::new();
    let own = folder::own_scenario(&args.folder)?;
    let source = match &args.scenario {
        Some(changed) => input::scenario(changed)?,
        None => own,
    };
    let mut options = input::options(&source, args.workers, args.data.as_deref())?;
    options.plant_bug = args.plant_bug;
    let out = args.out.as_deref().unwrap_or(&args.folder);
    let claim = Claim::for_run(out)?;
    args.out.as_deref().map_or(Ok(()), refuse_kept)?;
    let using = if args.out.is_some() { Use::Read } else { Use::GoOn };
    let keeper = Some(Keeper::open(&args.folder, &source.scenario, using)?);
    let out = Some((out, claim));
    play(Session { bar, scenario: &source.scenario, options, out, json: args.json, keeper })
}
