//! `replay`: a run folder's scenario once more, event by event.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use clap::{Args, value_parser};
use longhaul_simnet::output::event_log::EventRecord;
use longhaul_simnet::{Record, RunReport, Sink, run_watched};

use super::events::line;
use super::folder::{self, event_record};
use super::input::{self, THREADS};
use super::progress::Bar;

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet replay results/
  longhaul-simnet replay results/ --to 12345

Exit codes: 0 every event is the same, 1 an event differs, 2 bad input.";

/// Events compared at a time.
const BLOCK: usize = 65_536;

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The folder of a run.
    folder: PathBuf,
    /// Stop after this event, and what happens at once with it, and show the peers as
    /// they are then.
    #[arg(long, value_name = "EVENT")]
    to: Option<u64>,
    /// Threads that train.
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    workers: Option<u16>,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Plants a bug, as in `run`.
    #[arg(long, hide = true)]
    plant_bug: bool,
}

/// Runs again; true if every event is the same.
pub fn replay(args: &ReplayArgs) -> Result<bool> {
    let source = folder::own_scenario(&args.folder)?;
    // Before the run: a log that cannot be compared with must not cost one.
    folder::whole_events(&args.folder)?;
    let mut options = input::options(&source, args.workers, args.data.as_deref())?;
    options.plant_bug = args.plant_bug;
    options.events_max = args.to.map(|to| to.saturating_add(1));
    let seen: Rc<RefCell<Vec<EventRecord>>> = Rc::default();
    let into = seen.clone();
    let sink: Sink = Box::new(move |record: &Record| into.borrow_mut().push(event_record(record)));
    let bar = Bar::new();
    let mut watch = |progress| {
        bar.show(progress);
        ControlFlow::Continue(())
    };
    let outcome = run_watched(&source.scenario, &options, Some(sink), &mut watch)?;
    bar.finish(options.workers);
    let mut here = seen.borrow_mut();
    // What happens at once is recorded whole: there may be events behind the last.
    let upto = args.to.and_then(|to| usize::try_from(to).ok());
    here.truncate(upto.map_or(usize::MAX, |to| to.saturating_add(1)));
    if let Some(differs) = first_difference(args, &here)? {
        input::say(&format!("the replay differs at event {differs}\n"))?;
        let now = usize::try_from(differs).ok().and_then(|at| here.get(at));
        let mut log = folder::open_events(&args.folder)?;
        let logged = log.range(differs..differs.saturating_add(1)).next().transpose();
        let logged = logged.with_context(|| folder::cannot_use(&args.folder))?;
        let show = |record: Option<&EventRecord>| {
            record.map_or("the run has ended".to_owned(), |record| line(differs, record))
        };
        let logged = logged.as_ref().map(|numbered| &numbered.record);
        input::say(&format!("log:  {}\nnow:  {}\n", show(logged), show(now)))?;
        if let Some(edited) = folder::edited_scenario(&args.folder, &source.scenario) {
            input::say(&format!("{edited}\n"))?;
        }
        return Ok(false);
    }
    if let Some((to, record)) = args.to.zip(upto.and_then(|to| here.get(to))) {
        // Of a part of a run nothing can be checked.
        let simulated_ms = record.at_us / 1_000;
        let checks = Vec::new();
        let report = RunReport { checks, simulated_ms, mean_lag: None, ..outcome.report };
        let (at_s, epoch_us) = (record.at_us as f64 / 1e6, source.scenario.epoch_us());
        input::say(&format!(
            "event {to} at {at_s} s, in epoch {}\n{}\n{report}\n",
            record.at_us / epoch_us,
            line(to, record)
        ))?;
    }
    input::say(&format!("the same: {} events\n", here.len()))?;
    Ok(true)
}

/// The number of the first event that is not as the log says.
fn first_difference(args: &ReplayArgs, here: &[EventRecord]) -> Result<Option<u64>> {
    let mut log = folder::open_events(&args.folder)?;
    let mut next = 0_u64;
    for block in here.chunks(BLOCK) {
        let end = next + block.len() as u64;
        let mut logged = log.range(next..end);
        for (sequence, record) in (next..).zip(block) {
            let logged = logged.next().transpose();
            match logged.with_context(|| folder::cannot_use(&args.folder))? {
                Some(numbered) if numbered.record == *record => {}
                _ => return Ok(Some(sequence)),
            }
        }
        next = end;
    }
    let wanted = args.to.map_or(u64::MAX, |to| to.saturating_add(1)).min(log.len());
    Ok((wanted > next).then_some(next))
}
