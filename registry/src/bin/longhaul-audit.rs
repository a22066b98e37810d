//! `longhaul-audit`: checks an audit file offline.
//!
//! The only file of this crate that opens files. Results go to stdout, trouble
//! to stderr, and the exit code says how it ended: 0 verified, 1 failed, 2
//! incomplete, 3 when there was nothing to check (wrong usage, no such file).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use longhaul_aggregation::Epoch;
use longhaul_dtn::keyring::Keyring;
use longhaul_registry::audit::{AuditFile, AuditReport, Check, Expected, Verdict, audit};
use longhaul_registry::{FederationId, ManifestSummary, SignedEntry};
use serde::Serialize;

/// Most bytes of a file that is read; it has to fit into memory.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Most bytes of a file of keys.
const KEYS_BYTES_MAX: u64 = 1 << 20;

const EXIT_FAILED: u8 = 1;
const EXIT_INCOMPLETE: u8 = 2;
const EXIT_NOT_RUN: u8 = 3;

const AFTER_HELP: &str = "\
Examples:
  longhaul-audit verify run.audit
  longhaul-audit replay run.audit --json
  longhaul-audit replay run.audit --federation 5f2c...   (64 digits, from somebody you trust)
  longhaul-audit show run.audit
  longhaul-audit evidence run.audit --epoch 12
  longhaul-audit replay run.audit --keys federation.keys   (a private federation)

Exit codes:
  0  verified: everything holds
  1  failed: something is wrong; the report says what found it
  2  incomplete: nothing is wrong, but payloads are missing
  3  not run: wrong usage, or the file cannot be opened";

/// Checks a Longhaul audit file offline and derives its model again.
///
/// An audit file holds a federation's signed manifest, one peer's signed log
/// and the updates that the log speaks of. `longhaul export` writes one.
#[derive(Debug, Parser)]
#[command(name = "longhaul-audit", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks signatures, chain, admission and completeness.
    #[command(after_help = "Example:\n  longhaul-audit verify run.audit")]
    Verify(FileArgs),
    /// Verifies, then folds all updates again and compares every version.
    #[command(after_help = "Example:\n  longhaul-audit replay run.audit --json")]
    Replay(FileArgs),
    /// Shows the manifest and the log without judging them.
    #[command(after_help = "Example:\n  longhaul-audit show run.audit")]
    Show(FileArgs),
    /// Verifies, folds, and shows what the term of an epoch is made of: every update with its
    /// weight and the reason for it.
    #[command(after_help = "Example:\n  longhaul-audit evidence run.audit --epoch 12")]
    Evidence {
        /// The epoch.
        #[arg(long, value_name = "N")]
        epoch: u32,
        #[command(flatten)]
        file: FileArgs,
    },
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The audit file.
    file: PathBuf,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Fails unless the file is about this federation.
    #[arg(long, value_name = "ID")]
    federation: Option<FederationId>,
    /// Reads the keys of a private federation from this file, one a line, as `longhaul keys export`
    /// writes them; without them its updates are checked from outside alone.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

impl FileArgs {
    fn expected(&self) -> anyhow::Result<Expected> {
        let keys = match &self.keys {
            None => Keyring::default(),
            Some(path) => {
                let read = || format!("read the keys in {}", path.display());
                let len = std::fs::metadata(path).with_context(read)?.len();
                ensure!(
                    len <= KEYS_BYTES_MAX,
                    "{}: {len} bytes are above the limit",
                    path.display()
                );
                let text = std::fs::read_to_string(path).with_context(read)?;
                Keyring::parse(&text).with_context(read)?
            }
        };
        Ok(Expected { federation: self.federation, keys })
    }
}

/// What `show --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    manifest: ManifestSummary,
    entries: Vec<ShownEntry>,
    payloads: usize,
}

#[derive(Debug, Serialize)]
struct ShownEntry {
    sequence: u64,
    time_unix_ms: u64,
    record: &'static str,
    hash: String,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_NOT_RUN } else { 0 };
            // Without a terminal to print to, the exit code still tells.
            let _ = error.print();
            return code.into();
        }
    };
    match run(&cli.command) {
        Ok(verdict) => exit_code(verdict),
        Err(error) => {
            eprintln!("longhaul-audit: {error:#}");
            EXIT_NOT_RUN.into()
        }
    }
}

fn run(command: &Command) -> anyhow::Result<Verdict> {
    let (Command::Verify(args)
    | Command::Replay(args)
    | Command::Show(args)
    | Command::Evidence { file: args, .. }) = command;
    let bytes = read(&args.file)?;
    match command {
        Command::Verify(_) => {
            print_report(&audit(&bytes, Check::Verify, &args.expected()?), args.json)
        }
        Command::Replay(_) => {
            print_report(&audit(&bytes, Check::Replay, &args.expected()?), args.json)
        }
        Command::Show(_) => show(&bytes, args),
        Command::Evidence { epoch, .. } => evidence(&bytes, args, Epoch::new(*epoch)),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let open = || format!("open {}", path.display());
    let len = std::fs::metadata(path).with_context(open)?.len();
    ensure!(len <= FILE_BYTES_MAX, "{}: {len} bytes are above the limit", path.display());
    std::fs::read(path).with_context(open)
}

fn print_report(report: &AuditReport, json: bool) -> anyhow::Result<Verdict> {
    match json {
        true => print(&(serde_json::to_string_pretty(report)? + "\n"))?,
        false => print(&report.to_string())?,
    }
    Ok(report.verdict)
}

fn show(bytes: &[u8], args: &FileArgs) -> anyhow::Result<Verdict> {
    let file = match AuditFile::parse(bytes) {
        Ok(file) => file,
        // The report of a verification says why it cannot be read.
        Err(_) => return print_report(&audit(bytes, Check::Verify, &args.expected()?), args.json),
    };
    let found = file.manifest().id();
    if let Some(pin) = args.federation.filter(|&pin| pin != found) {
        eprintln!("longhaul-audit: the file is about federation {found}, expected {pin}");
        return Ok(Verdict::Failed);
    }
    let shown = Shown {
        manifest: file.manifest().describe(),
        entries: file.entries().iter().map(shown_entry).collect(),
        payloads: file.payload_count(),
    };
    match args.json {
        true => print(&(serde_json::to_string_pretty(&shown)? + "\n"))?,
        false => print(&shown.to_string())?,
    }
    Ok(Verdict::Verified)
}

fn evidence(bytes: &[u8], args: &FileArgs, epoch: Epoch) -> anyhow::Result<Verdict> {
    let file = match AuditFile::parse(bytes) {
        Ok(file) => file,
        Err(_) => return print_report(&audit(bytes, Check::Verify, &args.expected()?), args.json),
    };
    let (report, found) = longhaul_registry::audit::evidence(&file, &args.expected()?, epoch);
    match found {
        None => print_report(&report, args.json),
        Some(Err(why)) => bail!(why),
        Some(Ok(evidence)) => {
            match args.json {
                true => print(&(serde_json::to_string_pretty(&evidence)? + "\n"))?,
                false => print(&evidence.to_string())?,
            }
            Ok(report.verdict)
        }
    }
}

fn shown_entry(entry: &SignedEntry) -> ShownEntry {
    ShownEntry {
        sequence: entry.entry().sequence,
        time_unix_ms: entry.entry().time.unix_ms(),
        record: entry.record().kind(),
        hash: entry.hash().to_string(),
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.manifest.fmt(f)?;
        writeln!(f, "payloads    {}", self.payloads)?;
        writeln!(f, "entries     {}", self.entries.len())?;
        self.entries.iter().try_for_each(|it| {
            writeln!(
                f,
                "  {:>8}  {:>14}  {:<8}  {}",
                it.sequence, it.time_unix_ms, it.record, it.hash
            )
        })
    }
}

/// Prints to stdout; a reader that closes the pipe early is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to stdout"),
    }
}

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Verified => ExitCode::SUCCESS,
        Verdict::Failed => EXIT_FAILED.into(),
        Verdict::Incomplete => EXIT_INCOMPLETE.into(),
    }
}
