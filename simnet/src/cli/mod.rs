//! The command line: reads a scenario, runs it, prints and writes the report.

mod progress;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use longhaul_simnet::scenario::FILE_BYTES_MAX;
use longhaul_simnet::{RunOptions, RunReport, Scenario, builtin, run_watched};

use progress::Bar;

/// Exit code when the run ended and a check failed.
pub const CHECK_FAILED: u8 = 1;
/// Exit code when the input was bad; clap uses the same.
pub const BAD_INPUT: u8 = 2;

/// Simulates a federation: the shipping peer under a virtual clock, with
/// contacts, links and faults from a scenario.
///
/// The same scenario and seed give the same digest on every run.
#[derive(Debug, Parser)]
#[command(name = "longhaul-simnet", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all checks passed, 1 a check failed, 2 bad input.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario and prints its report.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Reads a scenario and prints it with every default spelt out.
    #[command(after_help = "Example:\n  longhaul-simnet check my-scenario.toml")]
    Check {
        /// A scenario file, or the name of a built-in one.
        scenario: String,
    },
    /// Lists the built-in scenarios.
    #[command(
        after_help = "Example:\n  longhaul-simnet list\n  longhaul-simnet check smoke > my.toml"
    )]
    List,
}

const RUN_EXAMPLES: &str = "Examples:
  longhaul-simnet run smoke
  longhaul-simnet run protocol --seed 7 --json
  longhaul-simnet run rare-contacts --data mnist/ --out results/
  longhaul-simnet run my-scenario.toml --workers 8

Exit codes: 0 all checks passed, 1 a check failed, 2 bad input.";

#[derive(Debug, Args)]
struct RunArgs {
    /// A scenario file, or the name of a built-in one.
    scenario: String,
    /// Seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads that train [default: one for each processor]; the outcome does
    /// not depend on it.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Folder of the IDX files, instead of the scenario's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for metrics.csv, report.json and scenario.toml.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Carries out a command; says whether all checks passed.
pub fn execute(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Run(args) => run(&args),
        Command::Check { scenario } => {
            print!("{}", read(&scenario)?.to_toml());
            Ok(true)
        }
        Command::List => {
            for name in builtin::names() {
                println!("{name:<14}  {}", read(name)?.about);
            }
            Ok(true)
        }
    }
}

fn run(args: &RunArgs) -> Result<bool> {
    let mut scenario = read(&args.scenario)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    if let Some(folder) = &args.out {
        // Before the run: a folder that cannot be written must not cost one.
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.unwrap_or_else(processors);
    let options = RunOptions { workers, data_dir: args.data.clone() };
    let bar = Bar::new();
    let report = run_watched(&scenario, &options, &mut |progress| bar.show(progress))?;
    let wall_s = bar.finish();
    if let Some(folder) = &args.out {
        write(folder, &scenario, &report)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
        println!("{wall_s:.1} s on {workers} workers");
    }
    Ok(report.passed)
}

/// Reads a scenario from a file or, if there is none, from the built-in ones.
fn read(name: &str) -> Result<Scenario> {
    let path = Path::new(name);
    let text = match builtin::text(name) {
        _ if path.is_file() => read_file(path)?,
        Some(text) => text.to_owned(),
        None => bail!(
            "{name} is neither a file nor a built-in scenario; \
             `longhaul-simnet list` shows those"
        ),
    };
    Scenario::from_toml(&text).with_context(|| format!("cannot use scenario {name}"))
}

fn read_file(path: &Path) -> Result<String> {
    let size_bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size_bytes > FILE_BYTES_MAX as u64 {
        bail!("{} has {size_bytes} bytes; a scenario has at most {FILE_BYTES_MAX}", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(folder: &Path, scenario: &Scenario, report: &RunReport) -> Result<()> {
    for (name, text) in [
        ("metrics.csv", report.metrics_csv()),
        ("report.json", serde_json::to_string_pretty(report)?),
        ("scenario.toml", scenario.to_toml()),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
