//! `longhaul forecast`: what a federation takes, before joining it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{DEFAULT_DIR, say};
use crate::shell::config::Config;
use crate::shell::room::Room;
use crate::shell::size::Size;
use crate::shell::task;

pub(super) const EXAMPLES: &str = "\
Examples:
  longhaul forecast team.manifest
  longhaul forecast team.manifest --quota '500 MB'
  longhaul forecast team.manifest --json | jq .disk_bytes

Exit codes: 0 the quota suffices or there is none, 1 it is too small or the manifest cannot be
read, 2 wrong usage.";

/// Arguments of `forecast`.
#[derive(Debug, Args)]
pub(super) struct ForecastArgs {
    /// The manifest file.
    file: PathBuf,
    /// The data directory that is to hold it; need not exist.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Compare with this quota instead of the one in DIR/longhaul.toml, such as '2 GiB'.
    #[arg(long, value_name = "SIZE")]
    quota: Option<Size>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn forecast(args: &ForecastArgs) -> anyhow::Result<ExitCode> {
    let manifest = task::read_manifest(&args.file)?;
    let quota = match args.quota {
        Some(quota) => Some(quota),
        None => Config::load(&args.dir)?.quota,
    };
    let dir = args.dir.is_dir().then_some(args.dir.as_path());
    let room = Room::of(&manifest, dir, quota);
    if args.json {
        say!("{}", room.to_json());
    } else {
        for line in room.lines() {
            say!("{line}");
        }
    }
    if let Some(warning) = room.warning() {
        eprintln!("warning: {warning}");
    }
    room.check()?;
    Ok(ExitCode::SUCCESS)
}
