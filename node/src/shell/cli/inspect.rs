//! `longhaul status`.

use std::process::ExitCode;

use clap::Args;

use super::DirArg;
use crate::shell::cli::say;
use crate::shell::clock;
use crate::shell::report::{self, NodeReport};

/// A report older than this is not from a running peer.
const FRESH_MS: u64 = 3_000;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let mut report = report::load(&args.dir.dir)?;
    let age_ms = clock::now().unix_ms().saturating_sub(report.unix_ms);
    // A process that was killed could not take it back.
    report.running &= age_ms <= FRESH_MS;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show(&report, age_ms)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &NodeReport, age_ms: u64) -> anyhow::Result<()> {
    let state = match (report.running, report.over) {
        (true, false) => "running".to_owned(),
        (true, true) => "running; training is over".to_owned(),
        (false, _) => format!("not running (last report {} s ago)", age_ms / 1_000),
    };
    let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    say!("peer        {}", report.peer_id);
    say!("federation  {}", report.federation);
    say!("state       {state}");
    say!("epoch       {} of {}", number(report.epoch), report.epochs);
    if let Some(time) = &report.time {
        say!("time        {time}");
    }
    if let Some(own) = report.own_newest.filter(|own| report.epoch.is_some_and(|now| now < *own)) {
        say!(
            "clock       the newest own update is of epoch {own}, which has not come yet: this peer"
        );
        say!("            publishes nothing until then. Was its clock wrong?");
    }
    say!("newest term {}", number(report.term_newest));
    say!("contacts    {}", report.contacts);
    say!(
        "updates     {} held, {} waiting, {} to fetch again",
        report.updates,
        report.waiting,
        report.missing
    );
    if let Some(open_from) = report.open_from {
        let (seals, held) = (report.seals, report.held);
        say!("sealed      all before epoch {open_from}, in {seals} seals; {held} updates open");
    }
    if report.behind {
        say!("behind      a seal is known; its snapshot has yet to come from somebody");
    }
    if report.too_late > 0 {
        say!("too late    {} own updates came after their epoch was sealed", report.too_late);
    }
    if report.left_out {
        say!(
            "keys        the newest key was not given to this peer: what it can't read, it carries"
        );
    }
    if report.contributions > 0 {
        say!("ceremony    {} contributions held", report.contributions);
    }
    if report.carried > 0 {
        say!("carried     {} bundles, unread", report.carried);
    }
    if report.voided > 0 {
        let (all, own) = (report.voided, report.voided_own);
        say!("void        {all} slots since the start, {own} of them own: an author signed twice");
    }
    say!("refused     {}", report.refused);
    say!("model       {}", report.model);
    say!("accuracy    {} together, {} alone", share(report.accuracy), share(report.alone));
    Ok(())
}
