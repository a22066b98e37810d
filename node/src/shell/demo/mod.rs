//! `longhaul demo`: a federation of real processes on this machine, cut apart,
//! healed, drained and compared.
//!
//! Every peer is a child process of this one with its own data directory, key,
//! log and sockets on loopback. The demo only starts them, tells them whom not
//! to talk to while the cut lasts, and reads their reports; what they hold in
//! the end is theirs. The verdict is negative (exit code 1) unless every peer
//! holds the same model id and the auditor's replay derives it too.

mod child;
mod federation;
mod table;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use federation::Federation;
use table::Table;

/// Fewest peers that can be cut apart with a quorum on one side.
const PEERS_MIN: usize = 3;
/// Most peers that one machine is asked to run.
const PEERS_MAX: usize = 32;
/// How often the table is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// The cut begins and ends at these shares of the epochs.
const CUT_SHARE: (f32, f32) = (0.3, 0.65);
/// How long the peers may take to reach one model id after the last epoch.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Options of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Number of peers (processes).
    #[arg(long, default_value_t = 5, value_name = "N")]
    peers: usize,
    /// Seconds of training; the whole demo takes some 10 seconds more.
    #[arg(long, value_name = "N")]
    seconds: Option<u32>,
    /// Train on gzipped IDX files in DIR instead of the built-in sensor data.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Prove every update to be within the norm bound, with keys made for this run, and audit the proofs.
    #[arg(long)]
    proofs: bool,
    /// Keep the data directories and the audit file in DIR (must not exist).
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print the verdict as one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Runs the demo; exit code 0 only for a positive verdict.
pub fn demo(options: &DemoOptions) -> anyhow::Result<ExitCode> {
    let peers = options.peers;
    ensure!(
        (PEERS_MIN..=PEERS_MAX).contains(&peers),
        "--peers {peers}: choose {PEERS_MIN} to {PEERS_MAX}"
    );
    let mut federation = Federation::prepare(options).context("prepare the federation")?;
    let verdict = run(&mut federation);
    federation.finish(options.keep.is_some());
    let verdict = verdict?;
    verdict.show(options.json)?;
    Ok(if verdict.is_positive() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(federation: &mut Federation) -> anyhow::Result<verdict::Outcome> {
    federation.start().context("start the peers")?;
    let mut table = Table::new();
    watch(federation, &mut table)?;
    let verdict = verdict::reach(federation)?;
    table.finish(&federation.title(), federation.reports());
    Ok(verdict)
}

/// Drives the cut by the peers' own epoch and returns once all are drained
/// with one model id, or when the time for that is over.
fn watch(federation: &mut Federation, table: &mut Table) -> anyhow::Result<()> {
    let (cut, heal) = federation.cut_epochs(CUT_SHARE);
    let mut over_since: Option<Instant> = None;
    loop {
        federation.take_reports(DRAW_EVERY)?;
        let epoch = federation.epoch();
        if epoch.is_some_and(|epoch| (cut..heal).contains(&epoch)) {
            federation.cut()?;
        } else if federation.is_cut() {
            federation.heal()?;
        }
        table.draw(&federation.title(), federation.reports());
        if federation.is_settled() {
            return Ok(());
        }
        if federation.is_over() {
            let since = *over_since.get_or_insert_with(Instant::now);
            if since.elapsed() > DRAIN_MAX {
                return Ok(());
            }
        }
    }
}
