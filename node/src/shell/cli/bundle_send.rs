//! `longhaul bundle new` and `send`: bundles of any DTN node, over TCPCLv4.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use longhaul_dtn::bpv7::{CreationTimestamp, Draft, EndpointId, Extension, PrimaryBlock};
use longhaul_dtn::time::Span;

use super::courier::{address, node_id};
use super::say;
use crate::shell::clock;
use crate::shell::courier::{SendOptions, send};

/// Hops that a new bundle may take.
const HOPS_MAX: u8 = 32;

/// Arguments of `bundle new`.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// Who sends it.
    #[arg(long, value_name = "ENDPOINT")]
    source: EndpointId,
    /// Whom it is for.
    #[arg(long, value_name = "ENDPOINT")]
    destination: EndpointId,
    /// How long it lives, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    lifetime: u64,
    /// Tells it from others of the same source and millisecond.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    sequence: u64,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What it carries.
    payload: PathBuf,
}

/// Arguments of `bundle send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The node to send to, as HOST:PORT.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: String,
    /// The node id to send under, as dtn://NAME/ or ipn:NUMBER.0.
    #[arg(long, value_name = "NODE-ID", value_parser = node_id)]
    node_id: EndpointId,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Files that hold one bundle each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Makes a bundle of a file.
pub(super) fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let payload =
        std::fs::read(&args.payload).with_context(|| format!("read {}", args.payload.display()))?;
    let created = CreationTimestamp { time: clock::now(), sequence: args.sequence };
    let lifetime = Span::from_ms(1_000).times(args.lifetime);
    let (source, destination) = (args.source.clone(), args.destination.clone());
    let mut draft = Draft::new(PrimaryBlock::new(source, destination, created, lifetime));
    draft.set(&Extension::HopCount { limit: HOPS_MAX, count: 0 });
    let bytes = draft.encode(&payload).context("make the bundle")?;
    std::fs::write(&args.out, bytes).with_context(|| format!("write {}", args.out.display()))?;
    say!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Sends bundles and waits for the answers.
pub(super) fn send_all(args: &SendArgs) -> anyhow::Result<ExitCode> {
    super::up::start_log("warn", false)?;
    let options =
        SendOptions { to: args.to.clone(), node: args.node_id.clone(), files: args.files.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(send(&options))?;
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        say!("{} acknowledged, {} refused", report.acknowledged, report.refused);
    }
    Ok(if report.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
