//! `longhaul keys`: the keys of a private federation.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, value_parser};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::keyring::FederationKey;
use longhaul_registry::privacy::GENERATION_MAX;
use serde::Serialize;

use super::{DirArg, bundle, say};
use crate::shell::store::Store;
use crate::shell::{clock, entropy};

/// The `keys` commands.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Show which keys this peer has, by their ids; the keys themselves are not shown.
    #[command(after_help = "Example:\n  longhaul keys ls --json")]
    Ls(LsArgs),
    /// Write the keys that this peer has to a file, for an auditor. Whoever has it reads every update.
    #[command(after_help = "Example:\n  longhaul keys export --out federation.keys\n  \
        longhaul-audit replay run.audit --keys federation.keys")]
    Export(ExportArgs),
    /// Make a further key and the bundle that announces it; the creator of the manifest alone can.
    ///
    /// Members use it as soon as the bundle has reached them. Members named by --without do not get
    /// it: they stay members, and can no longer read what is encrypted with it.
    #[command(
        after_help = "Examples:\n  longhaul keys new --out next.bundle && longhaul bundle import next.bundle\n  \
        longhaul keys new --without ID --out /media/usb/next.bundle"
    )]
    New(NewArgs),
}

/// Arguments of `keys ls`.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Where to write the keys; must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `keys new`.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Where to write the bundle; must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Peer id of a member who does not get the key; repeat for each.
    #[arg(long, value_name = "ID")]
    without: Vec<PeerId>,
    /// Number of the key; default: one more than the greatest that this peer has seen.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(GENERATION_MAX)))]
    generation: Option<u32>,
}

/// What `keys ls --json` prints.
#[derive(Debug, Serialize)]
struct Listed {
    /// Ids of the keys that this peer has.
    keys: Vec<String>,
    /// The one that it encrypts with.
    newest: Option<String>,
    /// The greatest number of a key that it has seen.
    generation: u32,
    /// Bundles that it carries unread.
    carried: usize,
}

pub(super) fn keys(command: &KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Ls(args) => ls(args),
        KeysCommand::Export(args) => export(args),
        KeysCommand::New(args) => new(args),
    }
}

fn ls(args: &LsArgs) -> anyhow::Result<ExitCode> {
    let peer = bundle::restored(&args.dir.dir)?;
    let listed = Listed {
        keys: peer.keyring().keys().map(|key| key.id().to_string()).collect(),
        newest: peer.newest_key().map(|id| id.to_string()),
        generation: peer.key_generation(),
        carried: peer.carried().0,
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(ExitCode::SUCCESS);
    }
    for key in &listed.keys {
        let used = if listed.newest.as_ref() == Some(key) { "  own updates use it" } else { "" };
        say!("{key}{used}");
    }
    let Listed { keys, generation, carried, .. } = &listed;
    eprintln!("{} keys, newest number {generation}; {carried} bundles carried unread", keys.len());
    Ok(ExitCode::SUCCESS)
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let peer = bundle::restored(&args.dir.dir)?;
    let ring = peer.keyring();
    ensure!(
        !ring.is_empty(),
        "this peer has no keys: its federation is not private, or it is a courier"
    );
    let out = args.out.display();
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.out);
    let mut file =
        file.with_context(|| format!("create {out}; name a file that does not exist"))?;
    file.write_all(ring.to_text().as_bytes()).with_context(|| format!("write {out}"))?;
    file.sync_all().with_context(|| format!("write {out}"))?;
    eprintln!("Wrote {} keys to {out}: whoever has them reads every update.", ring.len());
    eprintln!("Next, for the auditor: longhaul-audit replay FILE --keys {out}");
    Ok(ExitCode::SUCCESS)
}

fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let peer = bundle::restored(&args.dir.dir)?;
    let manifest = Store::read(&args.dir.dir)?.manifest;
    let creator = Store::key(&args.dir.dir)?;
    for member in &args.without {
        ensure!(
            manifest.manifest().member_index(member).is_some(),
            "--without {member}: no member of this federation"
        );
    }
    if args.without.contains(&creator.peer_id()) {
        bail!("--without {}: that is yourself; you could not read on", creator.peer_id());
    }
    let generation = args.generation.unwrap_or(peer.key_generation() + 1);
    let key = FederationKey::from_bytes(entropy::nonce()?);
    let once = SecretKey::from_seed(&entropy::nonce()?);
    let gets = |member: &PeerId| !args.without.contains(member);
    let (head, payload) =
        manifest.announce_key(&creator, (generation, &key), (&once, clock::now()), gets)?;
    write_new(&args.out, &head.to_bundle(&payload))?;
    say!("{}", key.id());
    let out = args.out.display();
    eprintln!(
        "Wrote key number {generation} for {} members",
        members(&manifest) - args.without.len()
    );
    eprintln!("Next: longhaul bundle import {out}, or put it into a folder that a peer watches");
    Ok(ExitCode::SUCCESS)
}

fn members(manifest: &longhaul_registry::SignedManifest) -> usize {
    manifest.manifest().members.len()
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let create = || format!("create {}; name a file that does not exist", path.display());
    let mut file = file.with_context(create)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(create)
}
