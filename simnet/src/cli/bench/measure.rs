//! Measure: one bench in this process.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use longhaul_simnet::bench::{Questions, federated_averaging};
use longhaul_simnet::{RunOptions, RunOutcome, RunReport, Scenario, builtin, run, run_watched};

use super::meter::{Meter, Used};
use super::{BenchArgs, Figure, Line, Name};
use crate::cli::input::{self, Source};

/// What a committee may cost, as a multiple of a federation of its own size.
const COMMITTEE_BYTES_RATIO_MAX: f64 = 1.2;
/// How far a committee may be behind everybody, in points.
const COMMITTEE_POINTS_BEHIND_MAX: f64 = 1.0;

/// Measures one bench.
pub fn measure(name: Name, args: &BenchArgs) -> Result<Line> {
    match name {
        Name::Seeds => seeds(args),
        Name::Training => training(args),
        Name::Committee => committee(args),
        Name::Conference => {
            args.data.as_ref().context("`conference` needs --data DIR")?;
            whole("conference", name, args)
        }
        Name::Transport | Name::TransportLarge | Name::Day => {
            whole(&builtin_name(name), name, args)
        }
    }
}

fn builtin_name(name: Name) -> String {
    format!("bench-{}", name.as_str())
}

fn source(builtin_name: &str) -> Result<Source> {
    let text = builtin::text(builtin_name).context("a bench has a scenario")?.to_owned();
    let scenario = Scenario::from_toml(&text)?;
    Ok(Source { scenario, text, folder: std::path::PathBuf::new() })
}

/// A run from start to end.
fn whole(scenario: &str, name: Name, args: &BenchArgs) -> Result<Line> {
    let meter = Meter::start();
    let source = source(scenario)?;
    let options = input::options(&source, args.workers, args.data.as_deref())?;
    let workers = options.workers;
    let (outcome, first_event_s) = watched(&source.scenario, &options, &meter)?;
    let report = outcome.report;
    let used = meter.used();
    let deliveries = &report.deliveries;
    let figures = vec![
        figure(
            "contacts",
            f64::from(u32::try_from(report.network.contacts).unwrap_or(u32::MAX)),
            "",
        ),
        figure("updates or bundles published", deliveries.published as f64, ""),
        figure("deliveries made", deliveries.share() * 100.0, "%"),
        figure("sent", report.network.bytes as f64 / 1e6, "MB"),
    ];
    Ok(line(name, used, &report, first_event_s, workers, figures))
}

fn watched(scenario: &Scenario, options: &RunOptions, meter: &Meter) -> Result<(RunOutcome, f64)> {
    let mut first_event_s = None;
    let mut watch = |_| {
        first_event_s.get_or_insert_with(|| meter.used().wall_s);
        ControlFlow::Continue(())
    };
    let outcome = run_watched(scenario, options, None, &mut watch)?;
    Ok((outcome, first_event_s.unwrap_or_default()))
}

/// A training run, and its training alone; what that is is learnt from a run before.
fn training(args: &BenchArgs) -> Result<Line> {
    let mut source = source(&builtin_name(Name::Training))?;
    if args.data.is_some() {
        "idx".clone_into(&mut source.scenario.task.data);
    }
    let workers = Some(args.workers.unwrap_or(1));
    let mut options = input::options(&source, workers, args.data.as_deref())?;
    let questions: Arc<Questions> = Arc::default();
    options.questions = Some(questions.clone());
    run(&source.scenario, &options)?;
    // Who takes questions down keeps models that a run lets go: not in the measured run.
    options.questions = None;
    let meter = Meter::start();
    let (outcome, first_event_s) = watched(&source.scenario, &options, &meter)?;
    let used = meter.used();
    let plain = Meter::start();
    questions.again(&source.scenario, &options)?;
    let plain = plain.used();
    let over = |with: f64, without: f64| (with / without - 1.0) * 100.0;
    let cpu = used.cpu_s.zip(plain.cpu_s);
    let figures = vec![
        figure("trainings and measurements", questions.len() as f64, ""),
        Figure { value: plain.cpu_s, ..figure("the same work alone, CPU", 0.0, "s") },
        figure("the same work alone, wall", plain.wall_s, "s"),
        Figure {
            value: cpu.map(|(with, without)| over(with, without)),
            ..figure("engine beside training, CPU", 0.0, "%")
        },
        figure("engine beside training, wall", over(used.wall_s, plain.wall_s), "%"),
    ];
    Ok(line(Name::Training, used, &outcome.report, first_event_s, options.workers, figures))
}

/// A committee beside fewer peers that all publish, and beside everybody at once.
fn committee(args: &BenchArgs) -> Result<Line> {
    let source = source(&builtin_name(Name::Committee))?;
    let options = input::options(&source, args.workers, None)?;
    let meter = Meter::start();
    let (outcome, first_event_s) = watched(&source.scenario, &options, &meter)?;
    let (report, used) = (outcome.report, meter.used());
    let mut few = source.scenario.clone();
    let size = few.recipe.committee.take().context("the scenario has a committee")?.size;
    few.peers = size.try_into().map_err(anyhow::Error::msg)?;
    let few = (run(&few, &options)?, few);
    let everybody = federated_averaging(&source.scenario, &options)?;
    let each = |report: &RunReport, scenario: &Scenario| {
        let peer_epochs = f64::from(scenario.peers.get()) * f64::from(scenario.epochs.get());
        report.network.bytes as f64 / peer_epochs / 1e3
    };
    let worst = |report: &RunReport| {
        let last = report.epochs.iter().rev().find_map(|epoch| epoch.accuracy);
        last.map(|[worst, ..]| worst * 100.0)
    };
    let (bytes, few_bytes) = (each(&report, &source.scenario), each(&few.0, &few.1));
    let everybody = everybody.map(|score| score.accuracy * 100.0);
    let accuracy = worst(&report);
    let of = |value, name: &str| Figure { value, ..figure(name, 0.0, "%") };
    let figures = vec![
        figure("sent for each peer and epoch", bytes, "kB"),
        figure(&format!("the same of {size} peers that all publish"), few_bytes, "kB"),
        figure("ratio", bytes / few_bytes, ""),
        of(accuracy, "accuracy at the end, worst"),
        of(everybody, "everybody publishes and nothing is late (FedAvg)"),
        of(worst(&few.0), &format!("{size} peers that all publish")),
    ];
    let mut line = line(Name::Committee, used, &report, first_event_s, options.workers, figures);
    if bytes > few_bytes * COMMITTEE_BYTES_RATIO_MAX {
        line.failed.push("the committee costs more bytes than it may".to_owned());
    }
    let behind = everybody.zip(accuracy).map(|(everybody, accuracy)| everybody - accuracy);
    if behind.is_none_or(|points| points > COMMITTEE_POINTS_BEHIND_MAX) {
        line.failed.push("the committee is too far behind everybody".to_owned());
    }
    Ok(line)
}

/// Many seeds, each a run of one thread.
fn seeds(args: &BenchArgs) -> Result<Line> {
    let source = source(&builtin_name(Name::Seeds))?;
    let jobs = input::options(&source, args.workers, None)?.workers;
    let meter = Meter::start();
    let next = AtomicU32::new(1);
    let reports: Mutex<Vec<RunReport>> = Mutex::default();
    let work = || -> Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > args.seeds {
                return Ok(());
            }
            let scenario = Scenario { seed: u64::from(seed), ..source.scenario.clone() };
            let report = run(&scenario, &RunOptions { workers: 1, ..RunOptions::default() })?;
            reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|it| it.join().expect("a run does not panic"));
        joined.collect::<Result<()>>()
    })?;
    let used = meter.used();
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|report| report.seed);
    let per_minute = |seconds: f64| f64::from(args.seeds) * 60.0 / seconds;
    let figures = vec![
        figure("seeds", f64::from(args.seeds), ""),
        figure("seeds a minute", per_minute(used.wall_s), ""),
        Figure { value: used.cpu_s.map(per_minute), ..figure("seeds a CPU minute", 0.0, "") },
    ];
    let first = reports.first().context("at least one seed")?;
    let mut line = line(Name::Seeds, used, first, 0.0, jobs, figures);
    line.events = reports.iter().map(|report| report.events).sum();
    line.events_per_cpu_s = used.cpu_s.map(|cpu_s| line.events as f64 / cpu_s);
    line.failed = reports.iter().flat_map(failed).collect();
    Ok(line)
}

fn line(
    name: Name,
    used: Used,
    report: &RunReport,
    first_event_s: f64,
    workers: usize,
    figures: Vec<Figure>,
) -> Line {
    Line {
        name: name.as_str().to_owned(),
        used,
        events: report.events,
        events_per_cpu_s: used.cpu_s.map(|cpu_s| report.events as f64 / cpu_s),
        first_event_s,
        workers,
        digest: report.digest.clone(),
        figures,
        failed: failed(report),
    }
}

fn failed(report: &RunReport) -> Vec<String> {
    let failed = report.checks.iter().filter(|check| !check.passed);
    let told = failed.map(|check| {
        format!(
            "{} ({}); see `longhaul-simnet run {} --seed {}`",
            check.name, check.found, report.name, report.seed
        )
    });
    told.collect()
}

fn figure(name: &str, value: f64, unit: &str) -> Figure {
    Figure { name: name.to_owned(), value: Some(value), unit: unit.to_owned() }
}
