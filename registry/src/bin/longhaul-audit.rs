//! `longhaul-audit`: checks an audit file offline.
//!
//! The only file of this crate that opens files. Results go to stdout, trouble
//! to stderr, and the exit code says how it ended: 0 verified, 1 failed, 2
//! incomplete, 3 when there was nothing to check (wrong usage, no such file).
//! Of a fraud proof: 0 the fraud is shown, 1 it is not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use longhaul_aggregation::Epoch;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::keyring::Keyring;
use longhaul_proofs::update::ProveUpdates;
use longhaul_registry::audit::{
    AuditFile, AuditReport, Check, Expected, Verdict, audit, audit_file,
};
use longhaul_registry::manifest::MANIFEST_BYTES_MAX;
use longhaul_registry::{
    FederationId, Fraud, FraudProof, ManifestSummary, NoFraud, ProofPolicyError, SignedEntry,
    SignedManifest,
};
use serde::Serialize;

/// Most bytes of a file that is read; it has to fit into memory.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Most bytes of a file of keys.
const KEYS_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of a proving key: one for 65,000 entries has 45 MB.
const PROVING_BYTES_MAX: u64 = 256 << 20;

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
  longhaul-audit verify run.audit --proving-keys proving/   (are proofs about these payloads?)
  longhaul-audit fraud cheat.fraud --manifest run.manifest --proving-keys proving/

Exit codes:
  0  verified: everything holds; of `fraud`: the fraud is shown
  1  failed: something is wrong; the report says what found it; of `fraud`: it is not shown
  2  incomplete: nothing is wrong, but payloads are missing or were left out, or keys are missing
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
    /// Checks signatures, chain, admission, proofs and completeness.
    #[command(after_help = "Example:\n  longhaul-audit verify run.audit")]
    Verify(CheckArgs),
    /// Verifies, then folds all updates again and compares every version.
    #[command(after_help = "Example:\n  longhaul-audit replay run.audit --json")]
    Replay(CheckArgs),
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
    /// Checks whether a file shows that an author proved something about another update than the one
    /// that it signed. No key of the federation is needed.
    #[command(
        after_help = "Example:\n  longhaul-audit fraud cheat.fraud --manifest run.manifest --proving-keys proving/\n\n\
                      Exit codes:\n  0  the fraud is shown\n  1  it is not; the reason is printed\n  \
                      3  not run: wrong usage, or a file cannot be opened"
    )]
    Fraud(FraudArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Compares what proofs commit to with the payloads; the folder holds the federation's proving
    /// keys as HASH.proving, which members have.
    #[arg(long, value_name = "DIR")]
    proving_keys: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct FraudArgs {
    /// The file that should show the fraud.
    file: PathBuf,
    /// The signed manifest of the federation.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The folder with the federation's proving keys as HASH.proving, which members have.
    #[arg(long, value_name = "DIR")]
    proving_keys: PathBuf,
    /// Names the author behind the pseudonym of a private federation with the keys in this file.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
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
        Ok(Expected { federation: self.federation, keys: read_keys(self.keys.as_deref())? })
    }
}

fn read_keys(path: Option<&Path>) -> anyhow::Result<Keyring> {
    let Some(path) = path else { return Ok(Keyring::default()) };
    let read_keys = || format!("read the keys in {}", path.display());
    let text = String::from_utf8(read(path, KEYS_BYTES_MAX)?).with_context(read_keys)?;
    Keyring::parse(&text).with_context(read_keys)
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
    match command {
        Command::Verify(args) => check(args, Check::Verify),
        Command::Replay(args) => check(args, Check::Replay),
        Command::Show(args) => show(&read(&args.file, FILE_BYTES_MAX)?, args),
        Command::Evidence { epoch, file } => {
            evidence(&read(&file.file, FILE_BYTES_MAX)?, file, Epoch::new(*epoch))
        }
        Command::Fraud(args) => fraud(args),
    }
}

fn read(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let open = || format!("open {}", path.display());
    let len = std::fs::metadata(path).with_context(open)?.len();
    ensure!(len <= bytes_max, "{}: {len} bytes are above the limit", path.display());
    std::fs::read(path).with_context(open)
}

fn check(args: &CheckArgs, check: Check) -> anyhow::Result<Verdict> {
    let (file, expected) = (&args.file, args.file.expected()?);
    let bytes = read(&file.file, FILE_BYTES_MAX)?;
    let report = match (AuditFile::parse(&bytes), &args.proving_keys) {
        (Ok(parsed), Some(dir)) => {
            let prover = read_prover(parsed.manifest(), dir)?;
            if prover.is_none() {
                eprintln!("longhaul-audit: the manifest asks for no proofs: nothing to compare");
            }
            audit_file(&parsed, check, &expected, prover.as_deref())
        }
        (Ok(parsed), None) => audit_file(&parsed, check, &expected, None),
        // The report says why it cannot be read.
        (Err(_), _) => audit(&bytes, check, &expected),
    };
    print_report(&report, file.json)
}

/// The prover of a manifest from the files in `dir`; none if the manifest asks for no proofs.
fn read_prover(
    manifest: &SignedManifest,
    dir: &Path,
) -> anyhow::Result<Option<Arc<dyn ProveUpdates>>> {
    let place = |hash: &ContentHash| dir.join(format!("{hash}.proving"));
    let mut trouble = None;
    let find = |hash: &ContentHash| match read(&place(hash), PROVING_BYTES_MAX) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            trouble = Some(error);
            None
        }
    };
    let found = manifest.proof_prover(find);
    match (found, trouble) {
        (Err(ProofPolicyError::NoProvingKey { entries, .. }), Some(error)) => {
            Err(error.context(format!(
                "the proving key for chunks of {entries} entries is not there; \
                 copy the file of this name from a member of the federation"
            )))
        }
        (Err(ProofPolicyError::Key { entries, error }), _) => {
            bail!("a proving key for chunks of {entries} entries in {}: {error}", dir.display())
        }
        (found, _) => Ok(found?),
    }
}

/// What `fraud --json` prints.
#[derive(Debug, Serialize)]
struct FraudReport {
    federation: String,
    /// Whether the file shows a fraud.
    shown: bool,
    /// What is wrong with the update, or why nothing is shown.
    reason: String,
    signer: Option<String>,
    epoch: Option<u32>,
    /// Whether the signer is a pseudonym.
    pseudonym: bool,
    /// The author, where the bundle is in clear or the keys open it.
    author: Option<String>,
    /// The author's index in the manifest.
    member: Option<u16>,
}

impl FraudReport {
    fn new(
        manifest: &SignedManifest,
        found: &Result<(FraudProof, Fraud), NoFraud>,
        keys: &Keyring,
    ) -> Self {
        let mut report = Self {
            federation: manifest.id().to_string(),
            shown: found.is_ok(),
            reason: String::new(),
            signer: None,
            epoch: None,
            pseudonym: false,
            author: None,
            member: None,
        };
        match found {
            Err(none) => report.reason = none.to_string(),
            Ok((proof, fraud)) => {
                let author = proof.author(manifest, keys);
                report.reason = fraud.finding.to_string();
                report.signer = Some(fraud.signer.to_string());
                report.epoch = Some(fraud.epoch.get());
                report.pseudonym = proof.salt.is_some();
                report.author = author.map(|author| author.to_string());
                report.member = author
                    .and_then(|author| manifest.manifest().member_index(&author))
                    .map(|member| member.get());
            }
        }
        report
    }
}

impl std::fmt::Display for FraudReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "federation  {}", self.federation)?;
        if let (Some(signer), Some(epoch)) = (&self.signer, self.epoch) {
            let what = if self.pseudonym { " (a pseudonym)" } else { "" };
            writeln!(f, "signer      {signer}{what}")?;
            writeln!(f, "epoch       {epoch}")?;
            match (&self.author, self.member) {
                (Some(author), Some(member)) => {
                    writeln!(f, "author      {author}, member {member}")?
                }
                (Some(author), None) => writeln!(f, "author      {author}, not a member")?,
                (None, _) => writeln!(f, "author      known to who has the keys: --keys FILE")?,
            }
        }
        let shown = if self.shown { "shown" } else { "not shown" };
        writeln!(f, "fraud       {shown}: {}", self.reason)
    }
}

fn fraud(args: &FraudArgs) -> anyhow::Result<Verdict> {
    let manifest = read(&args.manifest, MANIFEST_BYTES_MAX as u64)?;
    let manifest = SignedManifest::decode(&manifest)
        .with_context(|| format!("read {}", args.manifest.display()))?;
    let bytes = read(&args.file, FraudProof::bytes_max(&manifest))?;
    let keys = read_keys(args.keys.as_deref())?;
    let Some(prover) = read_prover(&manifest, &args.proving_keys)? else {
        bail!("the manifest asks for no proofs, so there are no false ones");
    };
    let found = FraudProof::decode(&bytes, &manifest).and_then(|proof| {
        let fraud = proof.check(&manifest, &*prover)?;
        Ok((proof, fraud))
    });
    let report = FraudReport::new(&manifest, &found, &keys);
    match args.json {
        true => print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
        false => print(&report.to_string())?,
    }
    Ok(if report.shown { Verdict::Verified } else { Verdict::Failed })
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
