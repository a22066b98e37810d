//! `longhaul up`.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::DirArg;
use crate::shell::config::Config;
use crate::shell::driver::{self, UpOptions};
use crate::shell::size::Size;

/// Libraries that say more than an operator wants to hear.
pub(super) const QUIET: &str = "libp2p=warn,sled=warn";

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Listen here instead of at the configured addresses; may be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Dial this member besides the configured ones, as ID@MULTIADDR; may be
    /// repeated.
    #[arg(long, value_name = "ADDRESS")]
    peer: Vec<String>,
    /// Exchange bundles with this folder besides the configured ones; may be repeated.
    #[arg(long, value_name = "DIR")]
    folder: Vec<std::path::PathBuf>,
    /// Be in contact over this pipe besides the configured ones: a device, `exec:COMMAND`,
    /// or `-` for the standard input and output; may be repeated.
    #[arg(long, value_name = "PIPE")]
    pipe: Vec<String>,
    /// Most room on the disk instead of the configured quota, such as '2 GiB'.
    #[arg(long, value_name = "SIZE")]
    quota: Option<Size>,
    /// End once the last epoch is over and nothing is waiting.
    #[arg(long)]
    until_drained: bool,
    /// Print a report per line on stdout as JSON.
    #[arg(long)]
    events: bool,
    /// Take `cut ID…`, `heal` and `stop` on stdin, one per line.
    #[arg(long)]
    control: bool,
    /// Also train a model alone on the own data, to compare with.
    #[arg(long)]
    alone: bool,
    /// Log as JSON lines instead of text.
    #[arg(long)]
    log_json: bool,
    /// What to log instead of the configured level: error, warn, info, debug,
    /// trace, or a tracing filter.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

pub(super) fn up(args: &UpArgs) -> anyhow::Result<ExitCode> {
    let speaks = args.pipe.iter().any(|pipe| pipe == "-");
    ensure!(
        !(speaks && (args.events || args.control)),
        "`--pipe -` needs the standard input and output for itself; leave out --events and --control"
    );
    let config = Config::load(&args.dir.dir)?;
    let filter = args.log.clone().unwrap_or_else(|| format!("{},{QUIET}", config.log));
    start_log(&filter, args.log_json)?;
    driver::run(UpOptions {
        dir: args.dir.dir.clone(),
        listen: args.listen.clone(),
        peers: args.peer.clone(),
        folders: args.folder.clone(),
        pipes: args.pipe.clone(),
        quota: args.quota,
        until_drained: args.until_drained,
        events: args.events,
        control: args.control,
        alone: args.alone,
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start_log(filter: &str, json: bool) -> anyhow::Result<()> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let first = filter.split(',').next().unwrap_or_default();
    ensure!(
        first.contains('=') || LEVELS.contains(&first.to_ascii_lowercase().as_str()),
        "{first:?} is no level: use error, warn, info, debug, trace, or a filter such as \
         info,longhaul_node=debug"
    );
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if json { log.json().try_init() } else { log.try_init() };
    started.map_err(|error| anyhow::anyhow!("start the log: {error}"))
}
