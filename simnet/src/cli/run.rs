//! `run`: one scenario, once.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Result;
use clap::Args;
use longhaul_simnet::scenario::Crypto;
use longhaul_simnet::{Record, Sink, run_watched};

use super::folder::{self, EventFile};
use super::input;
use super::progress::{Bar, Wall};

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet run smoke
  longhaul-simnet run protocol --seed 7 --json
  longhaul-simnet run rare-contacts --data mnist/ --out results/
  longhaul-simnet run my-scenario.toml --workers 8

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
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for everything that the run leaves: report.html, metrics, events.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    // Before the run: a folder that cannot be written must not cost one.
    let events = args.out.as_deref().map(EventFile::create).transpose()?;
    let log = Rc::new(RefCell::new((events, None)));
    let outcome =
        run_watched(&source.scenario, &options, sink(&log), &mut |progress| bar.show(progress))?;
    let wall = bar.finish(options.workers);
    if let Some(folder) = &args.out {
        let (events, failed) = log.take();
        failed.map_or(Ok(()), Err)?;
        events.map_or(Ok(()), EventFile::finish)?;
        folder::write(folder, &source.scenario, &outcome, wall)?;
    }
    if args.json {
        input::say(&format!("{}\n", folder::report_json(&outcome.report, wall)?))?;
    } else {
        let written = args
            .out
            .as_ref()
            .map(|folder| format!("\nreport: {}\n", folder.join("report.html").display()));
        let Wall { first_event_s, total_s, workers } = wall;
        input::say(&format!(
            "{}{total_s:.1} s on {workers} workers, first event after {first_event_s:.2} s\n{}",
            outcome.report,
            written.unwrap_or_default()
        ))?;
    }
    Ok(outcome.report.passed)
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
