//! `sweep`: every combination of swept values and seeds, side by side.

mod cell;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use longhaul_simnet::RunReport;
use longhaul_simnet::html::{
    Better, SeedValue, SweepCell, SweepData, SweepHeader, SweepMetric, Swept, sweep_page,
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

/// What is measured of each run: name, unit, which end is good.
const METRICS: [(&str, &str, Better, Measure); 6] = [
    ("accuracy at the end, mean over peers", "", Better::Higher, |it| accuracy(it, 1)),
    ("accuracy at the end, worst peer", "", Better::Higher, |it| accuracy(it, 0)),
    ("lag, mean over peers and epochs", "epochs", Better::Lower, |it| Some(it.mean_lag)),
    ("deliveries made", "share", Better::Higher, |it| Some(it.deliveries.share())),
    ("median delivery delay", "s", Better::Lower, |it| it.deliveries.quantile_s(0.5)),
    ("bytes sent", "MB", Better::Lower, |it| Some(it.network.bytes as f64 / 1e6)),
];

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
    let failed = results.iter().filter(|result| !result.passed).count();
    input::say(&format!(
        "{} runs, {failed} with a failed check\nreport: {}\n",
        results.len(),
        args.out.join("report.html").display()
    ))?;
    Ok(failed == 0)
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
    let metric = |(index, (name, unit, better, _)): (usize, &(&str, &str, Better, Measure))| {
        let mut cells: Vec<SweepCell> = Vec::new();
        for result in results {
            let Some(value) = result.values[index] else { continue };
            let value = SeedValue { seed: result.seed, value };
            match cells.iter_mut().find(|cell| cell.at == result.at) {
                Some(cell) => cell.results.push(value),
                None => cells.push(SweepCell { at: result.at.clone(), results: vec![value] }),
            }
        }
        let (name, unit) = ((*name).to_owned(), (*unit).to_owned());
        (!cells.is_empty()).then_some(SweepMetric { name, unit, better: *better, cells })
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
    let fixed = ["seed", "passed"].map(str::to_owned);
    let mut lines = vec![keys.chain(fixed).chain(names).collect::<Vec<_>>().join(",")];
    for result in results {
        let places = sweep.axis.iter().zip(&result.at);
        let values = places.map(|(axis, &at)| quoted(&swept(axis).values[at]));
        let fixed = [result.seed.to_string(), result.passed.to_string()];
        let measured =
            result.values.iter().map(|value| value.map_or(String::new(), |it| it.to_string()));
        lines.push(values.chain(fixed).chain(measured).collect::<Vec<_>>().join(","));
    }
    lines.join("\n") + "\n"
}
