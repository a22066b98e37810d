//! The command line of `longhaul`.
//!
//! Results go to stdout, progress and logs to stderr. Exit codes: 0 success,
//! 1 the command failed or a verdict is negative, 2 the command line is wrong.

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
mod bench;
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its own path")]
mod bench_contact;
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its own path")]
mod bench_proofs;
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
mod bench_store;
mod bundle;
mod bundle_look;
mod bundle_send;
mod ceremony;
mod courier;
mod export;
mod forecast;
mod inspect;
mod keys;
mod model;
mod plan;
mod proofs;
mod relay;
mod setup;
mod store;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::demo::DemoOptions;
use super::plain;

pub(super) use export::export_audit_file;
pub(super) use plan::{ManifestPlan, make_manifest};
pub(super) use setup::{create_data_dir, join_data_dir};

/// Prints a line on stdout, or returns the error: a full disk or a reader that
/// went away must not be a panic. What a terminal would obey is shown as an escape: names of files
/// and nodes are words of strangers.
macro_rules! say {
    ($($text:tt)*) => {
        std::io::Write::write_fmt(
            &mut std::io::stdout(),
            format_args!("{}\n", $crate::shell::plain::lines(&format!($($text)*))),
        )?
    };
}
pub(in crate::shell) use say;

/// Data directory used when none is named.
const DEFAULT_DIR: &str = "longhaul-data";

/// Trains one model together with peers that are rarely connected, without a
/// server. Peers that hold the same updates hold the same model, bit for bit.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version, after_help = MAIN_EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const MAIN_EXAMPLES: &str = "\
Examples:
  longhaul demo                                   five peers on this machine, cut apart and healed
  longhaul init                                   make a key and a data directory; prints the peer id
  longhaul manifest new --member ID --member ID --out team.manifest
  longhaul forecast team.manifest                 what it takes of links and disk
  longhaul join team.manifest && longhaul up      take part

Exit codes: 0 success, 1 the command failed or a verdict is negative, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data directory with a fresh key, and print the peer id.
    #[command(
        after_help = "Examples:\n  longhaul init\n  longhaul init --dir /var/lib/longhaul --json"
    )]
    Init(setup::InitArgs),
    /// Make or show the signed manifest of a federation.
    #[command(subcommand)]
    Manifest(setup::ManifestCommand),
    /// Show what a federation takes of a member's links and disk, before joining it.
    #[command(after_help = forecast::EXAMPLES)]
    Forecast(forecast::ForecastArgs),
    /// Join the federation of a manifest file.
    #[command(after_help = "Examples:\n  longhaul join team.manifest --dir /var/lib/longhaul\n  \
        longhaul join team.manifest --quota '2 GiB' --json")]
    Join(setup::JoinArgs),
    /// Run the peer: train, exchange, merge, record.
    #[command(
        after_help = "Examples:\n  longhaul up\n  longhaul up --listen /ip4/0.0.0.0/tcp/4001 \
        --peer ID@/ip4/10.0.0.7/tcp/4001\n  longhaul up --folder /media/usb/longhaul\n  \
        longhaul up --pipe 'exec:ssh far longhaul up --pipe -'\n  longhaul up --until-drained"
    )]
    Up(up::UpArgs),
    /// Show what the peer in a data directory is doing.
    #[command(after_help = "Examples:\n  longhaul status\n  longhaul status --json | jq .accuracy")]
    Status(inspect::StatusArgs),
    /// List, export or evaluate the versions of the model.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// List, show and make bundles, write them to a folder, take them from one: contacts by carried disk.
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Write a self-contained file that `longhaul-audit` can verify and replay.
    #[command(
        after_help = "Example:\n  longhaul export --out run.audit && longhaul-audit replay run.audit"
    )]
    Export(export::ExportArgs),
    /// Keys of a private federation: list, export for an auditor, or make a further one.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Keys with which updates are proved to be within bounds.
    #[command(subcommand)]
    Proofs(proofs::ProofsCommand),
    /// Make proving keys together with others, so that nobody has to be trusted for them.
    #[command(subcommand)]
    Ceremony(ceremony::CeremonyCommand),
    /// Run a store-and-forward agent for bundles of any DTN node, over TCPCLv4.
    #[command(after_help = COURIER_EXAMPLES)]
    Courier(courier::CourierArgs),
    /// Run a federation of real processes on this machine, cut it apart, heal
    /// it, and compare.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoOptions),
    /// Help peers behind NATs to meet; takes part in no federation and needs no member.
    #[command(after_help = relay::EXAMPLES)]
    Relay(relay::RelayArgs),
    /// Check a data directory, rebuild its index, or give room back.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Measure local training on this machine, contacts, or the data directory.
    #[command(
        after_help = "Examples:\n  longhaul bench\n  longhaul bench --device vulkan --json\n  longhaul bench contact\n  longhaul bench store"
    )]
    Bench(bench::BenchArgs),
}

const COURIER_EXAMPLES: &str = "\
Example:
  longhaul courier --listen tcpcl:0.0.0.0:4556 --node-id dtn://me/ --dir courier-data \
--peer 10.0.0.7:4556=dtn://you/";

const DEMO_EXAMPLES: &str = "\
Examples:
  longhaul demo
  longhaul demo --peers 7 --seconds 60
  longhaul demo --data DIR      DIR holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz
  longhaul demo --keep DIR      keep the data directories and the audit file";

/// Names the data directory.
#[derive(Debug, Clone, Args)]
pub(super) struct DirArg {
    /// The peer's data directory.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
}

/// Runs the command line; returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", plain::lines(&explain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// True if whoever reads stdout has gone, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line, each said once.
fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(separator);
            text.push_str(&cause);
        }
    }
    text
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => setup::init(&args),
        Command::Manifest(command) => setup::manifest(&command),
        Command::Forecast(args) => forecast::forecast(&args),
        Command::Join(args) => setup::join(&args),
        Command::Up(args) => up::up(&args),
        Command::Status(args) => inspect::status(&args),
        Command::Model(command) => model::model(&command),
        Command::Bundle(command) => bundle::bundle(&command),
        Command::Export(args) => export::export(&args),
        Command::Keys(command) => keys::keys(&command),
        Command::Proofs(command) => proofs::proofs(&command),
        Command::Ceremony(command) => ceremony::ceremony(&command),
        Command::Courier(args) => courier::courier(&args),
        Command::Demo(options) => super::demo::demo(&options),
        Command::Store(command) => store::store(&command),
        Command::Relay(args) => relay::relay(&args),
        Command::Bench(args) => bench::bench(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_each_cause_once() {
        let error = anyhow::anyhow!("disk full").context("write x: disk full").context("store");
        assert_eq!(explain(&error), "store: write x: disk full");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&pipe.into()));
        assert!(!is_closed_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
