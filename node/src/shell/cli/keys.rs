//! `longhaul keys`: the keys of a private federation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, value_parser};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::keyring::FederationKey;
use longhaul_registry::SignedManifest;
use longhaul_registry::privacy::GENERATION_MAX;
use serde::Serialize;

use super::{DirArg, bundle, say};
use crate::peer::Peer;
use crate::shell::fresh::{self, Readers};
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
    /// it, nor do those who were left out of the newest key before: they stay members, and can no longer
    /// read what is encrypted with it. --with gives it to such a member again.
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
    /// Peer id of a member who was left out before and gets this key; repeat for each.
    #[arg(long, value_name = "ID", conflicts_with = "without")]
    with: Vec<PeerId>,
    /// Number of the key, greater than all before; default: one more than the greatest that this
    /// peer has seen or made.
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
    /// True if the newest key was not given to this member.
    left_out: bool,
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
        left_out: peer.is_left_out(),
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
    eprintln!("{} keys; the newest has number {generation}", keys.len());
    eprintln!("{carried} bundles are carried unread");
    if peer.is_left_out() {
        eprintln!(
            "Key number {generation} was not given to this peer: it can't read what is encrypted with it."
        );
    }
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
    fresh::write_new(&args.out, ring.to_text().as_bytes(), Readers::Owner)?;
    eprintln!("Wrote {} keys to {out}: whoever has them reads every update.", ring.len());
    eprintln!("Next, for the auditor: longhaul-audit replay FILE --keys {out}");
    Ok(ExitCode::SUCCESS)
}

fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let dir = &args.dir.dir;
    let peer = bundle::restored(dir)?;
    let manifest = Store::read(dir)?.manifest;
    let creator = Store::key(dir)?;
    let me = creator.peer_id();
    ensure!(
        manifest.manifest().creator == me,
        "the creator of the manifest alone makes keys, {}; this peer is {me}",
        manifest.manifest().creator
    );
    for member in args.without.iter().chain(&args.with) {
        ensure!(
            manifest.manifest().member_index(member).is_some(),
            "{member}: no member of this federation"
        );
    }
    ensure!(!args.without.contains(&me), "--without {me}: that is yourself; you could not read on");
    let left_out = left_out(args, &manifest, &peer);
    let generation = next_generation(args, &peer)?;
    let key = FederationKey::from_bytes(entropy::nonce()?);
    let once = SecretKey::from_seed(&entropy::nonce()?);
    let gets = |member: &PeerId| !left_out.contains(member);
    let (head, payload) =
        manifest.announce_key(&creator, (generation, &key), (&once, clock::now()), gets)?;
    fresh::write_new(&args.out, &head.to_bundle(&payload), Readers::Any)?;
    remember_made(dir, generation)?;
    say!("{}", key.id());
    let (out, dir) = (args.out.display(), dir.display());
    let all = manifest.manifest().members.len();
    eprintln!("Wrote key number {generation} for {} of {all} members", all - left_out.len());
    left_out.iter().for_each(|member| eprintln!("Left out: {member}"));
    eprintln!(
        "Next: longhaul bundle import --dir {dir} {out}, while this peer does not run; or put it into a \
         folder that a peer watches (`folders` in longhaul.toml)"
    );
    Ok(ExitCode::SUCCESS)
}

/// Who does not get the key: whom the arguments name, and who was left out of the newest one.
fn left_out(args: &NewArgs, manifest: &SignedManifest, peer: &Peer) -> BTreeSet<PeerId> {
    let members = &manifest.manifest().members;
    let newest = peer.newest_grant().map(|grant| &grant.wrapped);
    let before = newest.into_iter().flatten().zip(members).filter(|(key, _)| key.is_none());
    let before = before.map(|(_, member)| member).filter(|member| !args.with.contains(member));
    before.chain(&args.without).copied().collect()
}

/// The number of the key to make. Two keys of one number would leave it to chance which one is used.
fn next_generation(args: &NewArgs, peer: &Peer) -> anyhow::Result<u32> {
    let newest = peer.key_generation().max(made_before(&args.dir.dir)?);
    let Some(number) = args.generation else { return Ok(newest + 1) };
    ensure!(
        number > newest,
        "--generation {number}: key number {newest} was made already; choose a greater number"
    );
    Ok(number)
}

/// The file that holds the number of the newest key made here, whose bundle may not have been imported.
fn made_path(dir: &Path) -> PathBuf {
    dir.join("key-number")
}

fn made_before(dir: &Path) -> anyhow::Result<u32> {
    let path = made_path(dir);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    let number = text.trim().parse().ok().filter(|number| *number <= GENERATION_MAX);
    number.with_context(|| {
        let path = path.display();
        format!("{path} holds no number; write the number of the newest key into it")
    })
}

fn remember_made(dir: &Path, generation: u32) -> anyhow::Result<()> {
    let path = made_path(dir);
    std::fs::write(&path, format!("{generation}\n"))
        .with_context(|| format!("write {}", path.display()))
}
