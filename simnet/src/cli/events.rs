//! `events` and `diff`: what happened, and where two runs part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use longhaul_simnet::Kind;
use longhaul_simnet::output::event_log::{EventRecord, diff};
use toml::Value;

use super::folder;
use super::input::say;

pub(super) const EXAMPLES: &str = "Examples:
  longhaul-simnet events results/ --from 1000 --count 20
  longhaul-simnet events results/ --peer 3 --kind frame

Exit codes: 0 listed, 2 bad input, or a log that was cut off (what is whole is listed).";

pub(super) const DIFF_EXAMPLES: &str = "Example:
  longhaul-simnet diff before/ after/

Exit codes: 0 the runs are equal, 1 they part, 2 bad input.";

/// Values of two scenarios that are shown at most.
const VALUES_SHOWN: usize = 20;

/// Events listed when nothing else is said.
const COUNT: u64 = 50;

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// The folder of a run.
    folder: PathBuf,
    /// The first event.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// How many are listed at most.
    #[arg(long, value_name = "N", default_value_t = COUNT)]
    count: u64,
    /// Only this peer's.
    #[arg(long, value_name = "N")]
    peer: Option<u16>,
    /// Only this kind's, such as `frame` or `crash`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The folder of one run.
    left: PathBuf,
    /// The folder of the other.
    right: PathBuf,
}

/// Lists events.
pub fn events(args: &EventsArgs) -> Result<bool> {
    if let Some(kind) = &args.kind
        && !Kind::ALL.iter().any(|known| known.name() == kind)
    {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        anyhow::bail!("there is no kind {kind}; there are {}", known.join(", "));
    }
    let mut log = folder::open_events(&args.folder)?;
    let mut left = args.count;
    for numbered in log.range(args.from..) {
        let numbered = numbered.with_context(|| folder::cannot_use(&args.folder))?;
        let record = numbered.record;
        let wanted = args.peer.is_none_or(|peer| record.peer == peer)
            && args.kind.as_ref().is_none_or(|kind| name(&record) == kind);
        if !wanted {
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        say(&format!("{}\n", line(numbered.sequence, &record)))?;
    }
    folder::cut_off(&args.folder, &log).map_or(Ok(true), Err)
}

/// Shows where two runs part; true if they do not.
pub fn diff_runs(args: &DiffArgs) -> Result<bool> {
    let [mut left, mut right] =
        [folder::whole_events(&args.left)?, folder::whole_events(&args.right)?];
    let Some(found) = diff(&mut left, &mut right)? else {
        say(&format!("equal: {} events\n", left.len()))?;
        return Ok(true);
    };
    let show = |record: Option<EventRecord>| {
        record.map_or("the run has ended".to_owned(), |record| line(found.sequence, &record))
    };
    say(&format!(
        "the runs part at event {}\n{}: {}\n{}: {}\n",
        found.sequence,
        args.left.display(),
        show(found.left),
        args.right.display(),
        show(found.right)
    ))?;
    let scenarios = [&args.left, &args.right].map(|folder| {
        let source = folder::own_scenario(folder).ok()?;
        say(&folder::edited_scenario(folder, &source.scenario)
            .map_or(String::new(), |it| it + "\n"))
        .ok()?;
        Some(source.scenario.to_toml())
    });
    if let [Some(left), Some(right)] = scenarios {
        say(&told_apart(&left, &right))?;
    }
    Ok(false)
}

/// The values that differ in two resolved scenarios, in lines.
fn told_apart(left: &str, right: &str) -> String {
    let [left, right] = [left, right].map(|toml| {
        let mut values = BTreeMap::new();
        flatten("", toml.parse().map_or(Value::Boolean(false), Value::Table), &mut values);
        values
    });
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differ: Vec<_> = keys.into_iter().filter(|key| left.get(*key) != right.get(*key)).collect();
    if differ.is_empty() {
        return "their scenarios are the same\n".to_owned();
    }
    let value = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
    let mut told = "their scenarios differ:\n".to_owned();
    for key in differ.iter().take(VALUES_SHOWN) {
        let [left, right] = [&left, &right].map(|values| value(values.get(*key)));
        told += &format!("  {key}: {left} | {right}\n");
    }
    match differ.len().saturating_sub(VALUES_SHOWN) {
        0 => told,
        more => told + &format!("  and {more} more\n"),
    }
}

/// Writes the plain values in `value` by their keys.
fn flatten(key: &str, value: Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(&key, value, into);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_table) => {
            for (index, value) in values.into_iter().enumerate() {
                flatten(&format!("{key}[{index}]"), value, into);
            }
        }
        plain => {
            into.insert(key.to_owned(), plain.to_string());
        }
    }
}

/// One event as a line: number, time, peer, kind, and what the kind says.
pub fn line(sequence: u64, record: &EventRecord) -> String {
    let seconds = record.at_us as f64 / 1e6;
    let EventRecord { peer, a, b, content, .. } = *record;
    let name = name(record);
    format!(
        "{sequence:>9}  {seconds:>14.6} s  peer {peer:<5} {name:<15} {a:>8} {b:>8}  {content:016x}"
    )
}

fn name(record: &EventRecord) -> &'static str {
    Kind::from_number(record.kind).map_or("unknown", Kind::name)
}
