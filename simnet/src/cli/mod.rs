//! The command line: reads scenarios, runs them, and writes what they leave.

mod bench;
mod claim;
mod events;
mod folder;
mod input;
mod learn;
mod progress;
mod replay;
mod resume;
mod run;
mod shrink;
mod snapshot;
mod sweep;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use longhaul_simnet::{builtin, check_federation};

/// Exit code when the run ended and a check failed.
pub const CHECK_FAILED: u8 = 1;
/// Exit code when the input was bad; clap uses the same.
pub const BAD_INPUT: u8 = 2;

/// Simulates a federation: the shipping peer under a virtual clock, with
/// contacts, links, faults and adversaries from a scenario.
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
    /// Runs a scenario, prints its report and writes its folder.
    #[command(after_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Goes on with a run that was killed, from its snapshot.
    #[command(after_help = resume::EXAMPLES)]
    Resume(resume::ResumeArgs),
    /// Runs a scenario for every combination of its swept values and seeds.
    #[command(after_help = sweep::EXAMPLES)]
    Sweep(sweep::SweepArgs),
    /// Runs the scenario of a run folder again and compares every event.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArgs),
    /// Shows the first event in which two runs part.
    #[command(after_help = events::DIFF_EXAMPLES)]
    Diff(events::DiffArgs),
    /// Makes a failing scenario smaller while the same check still fails.
    #[command(after_help = shrink::EXAMPLES)]
    Shrink(shrink::ShrinkArgs),
    /// Lists the events of a run.
    #[command(after_help = events::EXAMPLES)]
    Events(events::EventsArgs),
    /// Builds report.html of a run or a sweep folder anew.
    #[command(after_help = "Example:\n  longhaul-simnet report results/")]
    Report {
        /// The folder of a run or a sweep.
        folder: std::path::PathBuf,
    },
    /// Reads a scenario and prints it with every default spelt out.
    #[command(after_help = "Example:\n  longhaul-simnet check my-scenario.toml")]
    Check {
        /// A scenario file, or the name of a built-in one.
        scenario: String,
    },
    /// Measures how fast the simulator is on this machine.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Compares rules, attacks and encodings by what a model learns, without a network.
    #[command(after_help = learn::EXAMPLES)]
    Learn(learn::LearnArgs),
    /// Lists the built-in scenarios.
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  longhaul-simnet list-scenarios\n  longhaul-simnet check smoke > my.toml"
    )]
    ListScenarios,
}

/// Carries out a command; says whether all checks passed.
pub fn execute(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Resume(args) => resume::resume(&args),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Diff(args) => events::diff_runs(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Events(args) => events::events(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Learn(args) => learn::learn(&args),
        Command::Report { folder } => folder::rebuild_page(&folder),
        Command::Check { scenario } => {
            let source = input::scenario(&scenario)?;
            check_federation(&source.scenario)
                .with_context(|| format!("cannot use scenario {scenario}"))?;
            input::say(&source.scenario.to_toml())?;
            Ok(true)
        }
        Command::ListScenarios => {
            for name in builtin::names() {
                let about = input::scenario(name)?.scenario.about;
                input::say(&format!("{name:<22}  {about}\n"))?;
            }
            Ok(true)
        }
    }
}
