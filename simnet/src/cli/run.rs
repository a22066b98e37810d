//! `run`: one scenario, once.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use clap::{Args, value_parser};
use longhaul_simnet::scenario::Crypto;
use longhaul_simnet::snapshot::Counts;
use longhaul_simnet::{Record, RunOptions, Scenario, Sink, run_watched};

use super::claim::Claim;
use super::folder::{self, EventFile};
use super::input::{self, THREADS};
use super::progress::{Bar, Wall};
use super::snapshot::{Keeper, refuse_kept};

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet run smoke
  longhaul-simnet run protocol --seed 7 --json
  longhaul-simnet run rare-contacts --data mnist/ --out results/
  longhaul-simnet run my-scenario.toml --workers 8
  longhaul-simnet run label-split --data mnist/ --out results/ --snapshot-epochs 5

Exit codes: 0 all checks passed, 1 a check failed, 2 bad input.";

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A scenario file, or the name of a built-in one.
    scenario: String,
    /// Seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads that train [default: one for each processor]; the outcome does
    /// not depend on it.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for everything that the run leaves: report.html, metrics, events.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Every so many epochs, note in OUT/snapshot where the run stands; what training
    /// gave is kept there, so that `resume OUT` goes on if the run is killed.
    #[arg(long, value_name = "K", requires = "out", value_parser = value_parser!(u32).range(1..))]
    snapshot_epochs: Option<u32>,
    /// Let every peer check every signature and hash itself; same digest, slower.
    #[arg(long)]
    real_crypto: bool,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Plants a bug, to try the tools that find one.
    #[arg(long, hide = true)]
    plant_bug: bool,
}

/// Runs a scenario; says whether all checks passed.
pub fn run(args: &RunArgs) -> Result<bool> {
    let bar = Bar::new();
    let mut source = input::scenario(&args.scenario)?;
    let scenario = &mut source.scenario;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    if args.real_crypto {
        scenario.crypto = Crypto::Real;
    }
    let mut options = input::options(&source, args.workers, args.data.as_deref())?;
    options.plant_bug = args.plant_bug;
    let claim = args.out.as_deref().map(Claim::for_run).transpose()?;
    args.out.as_deref().map_or(Ok(()), refuse_kept)?;
    let keeper = match (args.snapshot_epochs, &args.out) {
        (Some(every_epochs), Some(folder)) => {
            Some(Keeper::begin(folder, &source.scenario, every_epochs)?)
        }
        _ => None,
    };
    let out = args.out.as_deref().zip(claim);
    play(Session { bar, scenario: &source.scenario, options, out, json: args.json, keeper })
}

/// One run and what becomes of it.
pub struct Session<'a> {
    /// Shows where it stands.
    pub bar: Bar,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// How to run it.
    pub options: RunOptions,
    /// The folder for everything that it leaves, which nobody else writes.
    pub out: Option<(&'a Path, Claim)>,
    /// Whether to print JSON.
    pub json: bool,
    /// Its snapshot.
    pub keeper: Option<Keeper>,
}

/// Carries out a run; says whether all checks passed.
pub fn play(session: Session<'_>) -> Result<bool> {
    let Session { bar, scenario, mut options, out, json, keeper } = session;
    options.answers = keeper.as_ref().map(Keeper::answers);
    // Before the run: a folder that cannot be written must not cost one.
    let (out, _claim) = out.unzip();
    let events = out.map(|folder| begin(folder, scenario)).transpose()?;
    let log = Rc::new(RefCell::new((events, None)));
    let mut watch = |progress| {
        let kept = keeper.as_ref().map(|keeper| keeper.watch(&progress));
        bar.show(progress);
        kept.unwrap_or(ControlFlow::Continue(()))
    };
    let outcome = run_watched(scenario, &options, sink(&log), &mut watch)?;
    let wall = bar.finish(options.workers);
    let answers = keeper.map(Keeper::finish).transpose()?;
    if let Some(folder) = out {
        let (events, failed) = log.take();
        failed.map_or(Ok(()), Err)?;
        events.map_or(Ok(()), EventFile::finish)?;
        folder::write(folder, scenario, &outcome, wall)?;
    }
    if json {
        input::say(&format!("{}\n", folder::report_json(&outcome.report, wall)?))?;
    } else {
        let written = out.map(|it| format!("\nreport: {}\n", it.join("report.html").display()));
        let Wall { first_event_s, total_s, workers } = wall;
        input::say(&format!(
            "{}{total_s:.1} s on {workers} workers, first event after {first_event_s:.2} s\n{}{}",
            outcome.report,
            answers.map(told).unwrap_or_default(),
            written.unwrap_or_default()
        ))?;
    }
    Ok(outcome.report.passed)
}

/// Makes `folder` that of a run of `scenario` alone, and begins its log.
fn begin(folder: &Path, scenario: &Scenario) -> Result<EventFile> {
    folder::clear(folder)?;
    folder::put_scenario(folder, scenario)?;
    EventFile::create(folder)
}

fn told(Counts { answered, computed, damaged }: Counts) -> String {
    format!(
        "snapshot: {answered} answers taken, {computed} computed, {damaged} damaged records computed again\n"
    )
}

type EventLog = Rc<RefCell<(Option<EventFile>, Option<anyhow::Error>)>>;

/// Appends to the log until that fails; the failure is told after the run.
fn sink(log: &EventLog) -> Option<Sink> {
    log.borrow().0.as_ref()?;
    let log = log.clone();
    Some(Box::new(move |record: &Record| {
        let (events, failed) = &mut *log.borrow_mut();
        if let (Some(file), None) = (events, &failed)
            && let Err(error) = file.append(record)
        {
            *failed = Some(error);
        }
    }))
}
