//! `longhaul store`: looking after a data directory.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::DirArg;
use crate::shell::cli::say;
use crate::shell::store::Space;
use crate::shell::store::care::{self, Checked};

/// `store check`, `store rebuild`, `store compact`.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Re-derive everything from the files and compare; changes nothing.
    ///
    /// Checks the log's signatures and chain, the hash of every payload, the bundles that the log
    /// holds, whether the index says what the files say, and lists what is left over.
    #[command(after_help = CHECK_HELP)]
    Check(StoreArgs),
    /// Throw the index away and make it again from the log and the payloads.
    #[command(
        after_help = "Examples:\n  longhaul store rebuild\n  longhaul store rebuild --dir /var/lib/longhaul --json"
    )]
    Rebuild(StoreArgs),
    /// Give back the room of what nothing needs.
    ///
    /// Removes payloads that no open epoch asks for, remains of writes that a power loss cut short,
    /// and what was moved aside as damaged; moves small payload files together; makes the index
    /// again. What is needed is durable in its new place before the old one goes.
    #[command(
        after_help = "Examples:\n  longhaul store compact\n  longhaul store check && longhaul store compact --json"
    )]
    Compact(StoreArgs),
}

const CHECK_HELP: &str = "\
Examples:
  longhaul store check
  longhaul store check --dir /var/lib/longhaul --json | jq .problems

Exit codes: 0 nothing has to be done, 1 something is wrong (each problem says the next step) or the
directory cannot be read, 2 wrong usage. What is left over is no problem.";

/// Arguments of the `store` commands.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn store(command: &StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Check(args) => check(args),
        StoreCommand::Rebuild(args) => rebuild(args),
        StoreCommand::Compact(args) => compact(args),
    }
}

fn check(args: &StoreArgs) -> anyhow::Result<ExitCode> {
    let found = care::check(&args.dir.dir)?;
    if args.json {
        say!("{}", checked_json(&found));
    } else {
        show_checked(&found)?;
    }
    Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show_checked(found: &Checked) -> anyhow::Result<()> {
    say!("log         {} entries, signed and chained", found.entries);
    say!("payloads    {} whole, {} that nothing asks for", found.payloads, found.unneeded);
    show_space(&found.space)?;
    for path in &found.leftovers {
        say!("left over   {}", path.display());
    }
    for problem in &found.problems {
        say!("problem     {problem}");
    }
    if !found.leftovers.is_empty() || found.unneeded > 0 {
        say!("next        longhaul store compact gives room back");
    }
    say!("{}", if found.is_sound() { "sound" } else { "not sound" });
    Ok(())
}

pub(super) fn show_space(space: &Space) -> anyhow::Result<()> {
    let Space { log, payloads, index, leftovers, live } = space;
    say!(
        "room        {} bytes for {live} that are needed ({:.2} times): log {log}, payloads \
         {payloads}, index {index}, left over {leftovers}",
        space.total(),
        space.ratio()
    );
    Ok(())
}

fn checked_json(found: &Checked) -> Value {
    let problems: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    json!({
        "sound": found.is_sound(),
        "entries": found.entries,
        "payloads": found.payloads,
        "unneeded": found.unneeded,
        "problems": problems,
        "leftovers": found.leftovers,
        "space": space_json(&found.space),
    })
}

/// The room as an object.
pub(super) fn space_json(space: &Space) -> Value {
    json!({
        "total_bytes": space.total(),
        "live_bytes": space.live,
        "log_bytes": space.log,
        "payload_bytes": space.payloads,
        "index_bytes": space.index,
        "leftover_bytes": space.leftovers,
    })
}

fn rebuild(args: &StoreArgs) -> anyhow::Result<ExitCode> {
    let found = care::rebuild(&args.dir.dir)?;
    if args.json {
        let value = json!({
            "entries": found.entries,
            "payloads": found.payloads,
            "equal": found.equal,
        });
        say!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    let compared = match found.equal {
        Some(true) => "the old one said the same",
        Some(false) => "the old one said something else",
        None => "there was none that could be read",
    };
    let (entries, payloads) = (found.entries, found.payloads);
    say!("the index is made anew from {entries} log entries and {payloads} payloads; {compared}");
    Ok(ExitCode::SUCCESS)
}

fn compact(args: &StoreArgs) -> anyhow::Result<ExitCode> {
    let found = care::compact(&args.dir.dir)?;
    let freed = found.before.total().saturating_sub(found.after.total());
    if args.json {
        let value = json!({
            "removed_payloads": found.removed,
            "freed_bytes": freed,
            "before": space_json(&found.before),
            "after": space_json(&found.after),
        });
        say!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("gave back {freed} bytes; {} payloads that nothing asked for are gone", found.removed);
    show_space(&found.after)?;
    Ok(ExitCode::SUCCESS)
}
