//! `sweep`: every combination of swept values and seeds, side by side.

mod cell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use longhaul_simnet::RunReport;
use longhaul_simnet::html::{
    Better, FailedCheck, SeedValue, SweepCell, SweepData, SweepHeader, SweepMetric, Swept,
    sweep_page,
};
use longhaul_simnet::output::run_manifest::scenario_hash;
use longhaul_simnet::scenario::{Sweep, cells};

use self::cell::{CellResult, Kept, Place};
use super::claim::{CELLS, Claim};
use super::folder::{SWEEP_DATA, put_file};
use super::input::{self, THREADS};

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet sweep my-sweep.toml --out sweep/
  longhaul-simnet sweep my-sweep.toml --out sweep/ --jobs 8

A sweep that was stopped goes on where it was: finished cells are in sweep/cells.
Exit codes: 0 all checks of all runs passed, 1 a check failed, 2 bad input.";

/// Seeds that are told of a check that failed.
const SEEDS_SHOWN: usize = 8;

const TEMPLATE: &str = "{bar:30} {pos}/{len} runs, {elapsed} passed, {eta} left";

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// A scenario with a [sweep] table: a file, or the name of a built-in one.
    scenario: String,
    /// Folder of the sweep: cells, sweep.csv, report.html.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Runs at one time [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(THREADS))]
    jobs: Option<u16>,
    /// Folder of the IDX files and traces that the scenario names.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

type Measure = fn(&RunReport) -> Option<f64>;

/// What it means that a run has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// There was nothing to measure.
    NotMeasured,
    /// The run ended before it.
    NotReached,
}

/// Name, unit, which end is good, what no value means, and how it is measured.
type Metric = (&'static str, &'static str, Better, Missing, Measure);

/// What is measured of each run. None is below 0, and those without a unit and shares are
/// not above 1.
const METRICS: [Metric; 6] = {
    use {Better::*, Missing::*};
    [
        ("accuracy at the end, mean over peers", "", Higher, NotMeasured, |it| accuracy(it, 1)),
        ("accuracy at the end, worst peer", "", Higher, NotMeasured, |it| accuracy(it, 0)),
        ("lag, mean over peers and epochs", "epochs", Lower, NotMeasured, |it| it.mean_lag),
        ("deliveries made", "share", Higher, NotMeasured, |it| Some(it.deliveries.share())),
        ("median delivery delay", "s", Lower, NotReached, |it| it.deliveries.quantile_s(0.5)),
        ("bytes sent", "MB", Lower, NotMeasured, |it| Some(it.network.bytes as f64 / 1e6)),
    ]
};

fn accuracy(report: &RunReport, which: usize) -> Option<f64> {
    Some(report.epochs.last()?.accuracy?[which])
}

/// Runs a sweep; true if all checks of all runs passed.
pub fn sweep(args: &SweepArgs) -> Result<bool> {
    let source = input::scenario(&args.scenario)?;
    let (sweep, cells) = cells(&source.text)?;
    let places = cell::places(&source, cells, args.data.as_deref())?;
    let _claim = Claim::for_sweep(&args.out)?;
    let folder = args.out.join(CELLS);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let jobs = args.jobs.map_or_else(input::processors, usize::from);
    let bar = ProgressBar::new(places.len() as u64);
    bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("a well-formed template"));
    let queue: Mutex<VecDeque<&Place>> = Mutex::new(places.iter().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<CellResult>> {
        let mut done = Vec::new();
        while let Some(place) = next() {
            let kept = place.kept(&folder);
            if let Kept::Damaged(why) = &kept {
                bar.suspend(|| eprintln!("{why}"));
            }
            done.push(match kept {
                Kept::Whole(result) => result,
                Kept::Damaged(_) | Kept::None => place.run(&folder)?,
            });
            bar.inc(1);
        }
        Ok(done)
    };
    let results: Vec<Result<Vec<CellResult>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a run does not panic")).collect()
    });
    let wall_s = bar.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let mut results = results.into_iter().collect::<Result<Vec<_>>>()?.concat();
    results.sort_by(|a, b| (&a.at, a.seed).cmp(&(&b.at, b.seed)));
    write(args, &source, &sweep, &results, wall_s)?;
    let failed = results.iter().filter(|result| !result.failed.is_empty()).count();
    let mut told = format!("{} runs, {failed} with a failed check\n", results.len());
    for FailedCheck { name, runs, seeds } in failures(&results) {
        told += &format!("FAIL  {name} (in {runs} runs; seeds {seeds})\n");
    }
    input::say(&format!("{told}report: {}\n", args.out.join("report.html").display()))?;
    Ok(failed == 0)
}

/// The checks that failed in some run, most often first.
fn failures(results: &[CellResult]) -> Vec<FailedCheck> {
    let mut checks: BTreeMap<&str, (u64, BTreeSet<u64>)> = BTreeMap::new();
    for (result, name) in results.iter().flat_map(|it| it.failed.iter().map(move |at| (it, at))) {
        let (runs, seeds) = checks.entry(name).or_default();
        *runs += 1;
        seeds.insert(result.seed);
    }
    let named = |(name, (runs, seeds)): (&str, (u64, BTreeSet<u64>))| {
        let first: Vec<_> = seeds.iter().take(SEEDS_SHOWN).map(u64::to_string).collect();
        let more = if seeds.len() > SEEDS_SHOWN { ", …" } else { "" };
        FailedCheck { name: name.to_owned(), runs, seeds: first.join(", ") + more }
    };
    let mut failures: Vec<_> = checks.into_iter().map(named).collect();
    failures.sort_by_key(|it| std::cmp::Reverse(it.runs));
    failures
}

fn write(
    args: &SweepArgs,
    source: &input::Source,
    sweep: &Sweep,
    results: &[CellResult],
    wall_s: f64,
) -> Result<()> {
    let data = page_data(source, sweep, results, wall_s);
    put_file(&args.out, SWEEP_DATA, data.to_json()?.as_bytes())?;
    put_file(&args.out, "report.html", sweep_page(&data).as_bytes())?;
    put_file(&args.out, "sweep.csv", csv(sweep, results).as_bytes())
}

fn page_data(
    source: &input::Source,
    sweep: &Sweep,
    results: &[CellResult],
    wall_s: f64,
) -> SweepData {
    let scenario = &source.scenario;
    let is_swept = |key: &str| sweep.axis.iter().any(|axis| axis.key == key);
    let seeds = if sweep.seeds.is_empty() { vec![scenario.seed] } else { sweep.seeds.clone() };
    let metric = |(index, (name, unit, better, missing, _)): (usize, &Metric)| {
        let mut cells: BTreeMap<&[usize], SweepCell> = BTreeMap::new();
        for result in results {
            let at = result.at.clone();
            let cell = SweepCell { at, results: Vec::new(), not_reached: 0 };
            let cell = cells.entry(&result.at).or_insert(cell);
            match result.values[index] {
                Some(value) => cell.results.push(SeedValue { seed: result.seed, value }),
                None if *missing == Missing::NotReached => cell.not_reached += 1,
                None => {}
            }
        }
        let mut cells: Vec<_> = cells.into_values().collect();
        cells.retain(|cell| !cell.results.is_empty() || cell.not_reached > 0);
        let (name, unit) = ((*name).to_owned(), (*unit).to_owned());
        let most = (unit == "share" || unit.is_empty()).then_some(1.0);
        let metric = SweepMetric { name, unit, better: *better, least: Some(0.0), most, cells };
        (!metric.cells.is_empty()).then_some(metric)
    };
    SweepData {
        header: SweepHeader {
            name: scenario.name.as_str().to_owned(),
            about: scenario.about.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario_hash: scenario_hash(&scenario.to_toml()).to_string(),
            peers: if is_swept("peers") { 0 } else { u32::from(scenario.peers.get()) },
            epochs: if is_swept("epochs") { 0 } else { scenario.epochs.get() },
            seeds,
            wall_s: Some(wall_s),
        },
        parameters: sweep.axis.iter().map(swept).collect(),
        failures: failures(results),
        metrics: METRICS.iter().enumerate().filter_map(metric).collect(),
    }
}

fn swept(axis: &longhaul_simnet::scenario::Axis) -> Swept {
    let plain = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Swept {
        name: axis.key.clone(),
        unit: axis.unit.clone(),
        values: axis.values.iter().map(plain).collect(),
    }
}

fn csv(sweep: &Sweep, results: &[CellResult]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let keys = sweep.axis.iter().map(|axis| quoted(&axis.key));
    let names = METRICS.iter().map(|(name, ..)| quoted(name));
    let fixed = ["seed", "passed", "failed checks"].map(str::to_owned);
    let mut lines = vec![keys.chain(fixed).chain(names).collect::<Vec<_>>().join(",")];
    for result in results {
        let places = sweep.axis.iter().zip(&result.at);
        let values = places.map(|(axis, &at)| quoted(&swept(axis).values[at]));
        let fixed = [
            result.seed.to_string(),
            result.failed.is_empty().to_string(),
            quoted(&result.failed.join("; ")),
        ];
        let measured =
            result.values.iter().map(|value| value.map_or(String::new(), |it| it.to_string()));
        lines.push(values.chain(fixed).chain(measured).collect::<Vec<_>>().join(","));
    }
    lines.join("\n") + "\n"
}
