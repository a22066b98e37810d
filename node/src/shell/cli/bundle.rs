//! `longhaul bundle`: bundles as files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use longhaul_dtn::agent::Held;
use longhaul_dtn::bundle::{BundleHead, BundleId, BundleLimits};
use longhaul_dtn::time::{Span, Timestamp};
use serde::Serialize;

use super::bundle_look::{Looked, seconds_left};
use super::{DirArg, bundle_look, bundle_send, say};
use crate::peer::{Event, Input, Output, Peer, PeerConfig, Restored};
use crate::shell::config::Config;
use crate::shell::folder::{self, BundleFile, Seen, Written, bundle_bytes_max};
use crate::shell::store::Store;
use crate::shell::{clock, entropy, plain, proving_keys};

/// Files looked at in one folder.
const FILES_MAX: usize = 1 << 20;
/// What a bundle that is only looked at may be.
const LOOK: BundleLimits = BundleLimits {
    header_bytes_max: 48 * 1024,
    proof_bytes_max: 48 * 1024,
    payload_bytes_max: 1 << 30,
    lifetime_max: Span::from_ms(u64::MAX),
};

/// Bundles as files.
#[derive(Debug, Subcommand)]
pub(super) enum BundleCommand {
    /// List the bundles in files and folders, any of RFC 9171, or those that a peer holds.
    #[command(
        after_help = "Examples:\n  longhaul bundle ls\n  longhaul bundle ls /media/usb/longhaul --json"
    )]
    Ls(LsArgs),
    /// Show what a bundle in a file says, and take out what it carries.
    #[command(after_help = "Example:\n  longhaul bundle show courier-data/delivered/*.bundle \
        --payload note.txt\n\nReads any bundle of RFC 9171, and checks its CRCs; decrypts nothing.")]
    Show(bundle_look::ShowArgs),
    /// Write what a peer holds into a folder; what is there already is left alone.
    #[command(after_help = "Example:\n  longhaul bundle export --to /media/usb/longhaul\n\n\
        Works beside a running peer. Another peer takes the files with `longhaul bundle import`,\n\
        or by itself where `folders` in its longhaul.toml names the folder.")]
    Export(ExportArgs),
    /// Take the bundles in files and folders, as if a peer had handed them over.
    #[command(after_help = "Example:\n  longhaul bundle import /media/usb/longhaul\n\n\
        The peer must not be running; a running one takes them from its `folders`.")]
    Import(ImportArgs),
    /// Make a bundle of a file, for any DTN node.
    #[command(after_help = "Example:\n  longhaul bundle new --source dtn://me/out \
        --destination dtn://you/in --out note.bundle note.txt")]
    New(bundle_send::NewArgs),
    /// Send bundles to a DTN node over TCPCLv4, and wait until it answers for them.
    #[command(after_help = "Example:\n  longhaul bundle send --to 10.0.0.7:4556 \
        --node-id dtn://me/ note.bundle")]
    Send(bundle_send::SendArgs),
}

/// Arguments of `bundle ls`.
#[derive(Debug, Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Files, or folders of files named `.bundle`; without any, what the peer holds.
    paths: Vec<PathBuf>,
    /// A JSON array with an object for each bundle.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bundle export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    dir: DirArg,
    /// The folder; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Also delete files of bundles that have expired.
    #[arg(long)]
    prune: bool,
}

/// Arguments of `bundle import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Files, or folders of files named `.bundle`.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn bundle(command: &BundleCommand) -> anyhow::Result<ExitCode> {
    match command {
        BundleCommand::Ls(args) => ls(args),
        BundleCommand::Show(args) => bundle_look::show(args),
        BundleCommand::Export(args) => export(args),
        BundleCommand::Import(args) => import(args),
        BundleCommand::New(args) => bundle_send::new(args),
        BundleCommand::Send(args) => bundle_send::send_all(args),
    }
}

/// A line of `ls`.
#[derive(Debug, Default, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Who made it, where it is no bundle of a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<u64>,
    /// Id of the federation key that it is encrypted with; its author is a pseudonym then, where this
    /// peer can't read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Why it is no bundle, or one of a peer that is wrong; none where it is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Row {
    fn of(path: Option<&Path>, head: &BundleHead, now: Timestamp) -> Self {
        Self {
            path: path.map(plain::path),
            id: Some(head.id().to_string()),
            author: Some(head.author().to_string()),
            source: None,
            destination: Some(head.destination().to_string()),
            created_unix_ms: Some(head.created().unix_ms()),
            expires_in_s: Some(seconds_left(head.expires(), now)),
            payload_bytes: Some(head.payload_len()),
            key: head.confidential().map(|claim| claim.key.to_string()),
            error: None,
        }
    }

    /// The row of a bundle that is none of a peer.
    fn foreign(path: &Path, looked: &Looked, now: Timestamp) -> Self {
        let primary = &looked.head.primary;
        Self {
            path: Some(plain::path(path)),
            source: Some(primary.source.to_string()),
            destination: Some(primary.destination.to_string()),
            created_unix_ms: (!primary.is_clockless()).then(|| primary.created.time.unix_ms()),
            expires_in_s: looked.expires().map(|at| seconds_left(at, now)),
            payload_bytes: Some(looked.payload_len),
            ..Self::default()
        }
    }

    fn bad(path: &Path, error: String) -> Self {
        let path = Some(plain::path(path));
        Self { path, error: Some(error), ..Self::default() }
    }

    fn text(&self) -> String {
        let path = self.path.as_deref().unwrap_or_default();
        if let Some(error) = &self.error {
            return format!("{path}: {error}");
        }
        let short = |text: &Option<String>| text.as_deref().unwrap_or_default()[..10].to_owned();
        let time = match self.expires_in_s {
            Some(left) if left > 0 => format!("{left} s left"),
            Some(_) => "expired".to_owned(),
            None => "no clock".to_owned(),
        };
        let bytes = self.payload_bytes.unwrap_or_default();
        if let (Some(source), Some(destination)) = (&self.source, &self.destination) {
            return format!("{source} to {destination}  {bytes:>9} bytes  {time:>14}  {path}");
        }
        let how = if self.key.is_some() { "  encrypted" } else { "" };
        format!(
            "{}  by {}  {bytes:>9} bytes  {time:>14}{how}  {path}",
            short(&self.id),
            short(&self.author)
        )
    }
}

fn ls(args: &LsArgs) -> anyhow::Result<ExitCode> {
    let now = clock::now();
    let rows: Vec<Row> = if args.paths.is_empty() {
        held(&args.dir.dir)?.iter().map(|held| Row::of(None, &held.head, now)).collect()
    } else {
        let files = files(&args.paths)?.into_iter();
        let row = |path: &Path| match row_of(path, now) {
            Ok(row) => row,
            Err(error) => Row::bad(path, super::explain(&error)),
        };
        files.map(|file| row(&file.path)).collect()
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        for row in &rows {
            say!("{}", row.text());
        }
    }
    let bad = rows.iter().filter(|row| row.error.is_some()).count();
    eprintln!("{} bundles, {bad} files that are none", rows.len() - bad);
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The row of a file; only an update of a peer is in memory as a whole.
fn row_of(path: &Path, now: Timestamp) -> anyhow::Result<Row> {
    if bundle_look::head(path)?.is_update() {
        return Ok(Row::of(Some(path), &look(path)?, now));
    }
    Ok(Row::foreign(path, &bundle_look::whole(path, &mut |_| Ok(()))?, now))
}

fn look(path: &Path) -> anyhow::Result<BundleHead> {
    let bytes = folder::read(path, bundle_bytes_max(LOOK.payload_bytes_max))?;
    let (head, _) = BundleHead::from_bundle(&bytes, &LOOK).context("not a bundle of a peer")?;
    Ok(head)
}

/// The files that paths name: themselves, or what is in them.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<BundleFile>> {
    let mut files = vec![];
    for path in paths {
        let meta =
            std::fs::metadata(path).with_context(|| format!("open {}", plain::path(path)))?;
        if meta.is_dir() {
            files.extend(folder::list(path, FILES_MAX)?);
        } else {
            files.push(BundleFile { path: path.clone(), bytes: meta.len(), claimed: None });
        }
    }
    Ok(files)
}

/// What the peer in `dir` holds, without locking it.
fn held(dir: &Path) -> anyhow::Result<Vec<Held>> {
    Ok(restored(dir)?.held().cloned().collect())
}

/// The peer in `dir` as its log tells it, without locking it.
pub(super) fn restored(dir: &Path) -> anyhow::Result<Peer> {
    let snapshot = Store::read(dir)?;
    peer(Store::key(dir)?, snapshot.manifest, snapshot.restored)
}

/// The peer in `dir`, locked, so that it does not run meanwhile.
pub(super) fn stopped_peer(
    dir: &Path,
) -> anyhow::Result<(Store, longhaul_registry::SignedManifest, Peer)> {
    let mut store = Store::open(dir)?;
    let loaded = store.load()?;
    loaded.report.lines().for_each(|line| eprintln!("warning: {}", plain::text(&line)));
    let peer = peer(store.load_key()?, loaded.manifest.clone(), loaded.restored)?;
    Ok((store, loaded.manifest, peer))
}

fn peer(
    key: longhaul_dtn::identity::SecretKey,
    manifest: longhaul_registry::SignedManifest,
    restored: Restored,
) -> anyhow::Result<Peer> {
    let (manifest, nonce, memo) = (std::sync::Arc::new(manifest), entropy::nonce()?, None);
    let config = PeerConfig { manifest, key, nonce, memo };
    let mut peer = Peer::new(config, restored).context("restore the peer from its log")?;
    peer.offer_restored(clock::now());
    Ok(peer)
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    folder::check_place(&args.to, &args.dir.dir)?;
    let held = held(&args.dir.dir)?;
    std::fs::create_dir_all(&args.to)
        .with_context(|| format!("create {}", plain::path(&args.to)))?;
    let there = folder::list(&args.to, FILES_MAX)?;
    let Written { bundles, bytes, problem } =
        folder::write_lacked(&args.to, &there, &held, &mut Seen::default());
    problem.map_or(Ok(()), Err)?;
    let pruned = if args.prune { prune(&there)? } else { 0 };
    let to = plain::path(&args.to);
    let all = held.len();
    eprintln!("Wrote {bundles} of {all} bundles to {to}, {bytes} bytes; deleted {pruned}.");
    eprintln!("Next, where the other peer is: longhaul bundle import {to}");
    Ok(ExitCode::SUCCESS)
}

fn prune(files: &[BundleFile]) -> anyhow::Result<usize> {
    let now = clock::now();
    let mut pruned = 0;
    for file in files.iter().filter(|file| file.claimed.is_some()) {
        if look(&file.path).is_ok_and(|head| head.expires() <= now) {
            let path = &file.path;
            std::fs::remove_file(path).with_context(|| format!("delete {}", plain::path(path)))?;
            pruned += 1;
        }
    }
    Ok(pruned)
}

/// Most bundles that the peer is given before it finishes with them: their proofs are verified together.
const GIVEN_MAX: usize = 64;

/// The bundle that was refused, and why.
type Refusal = (Option<BundleId>, String);

/// What became of the bundles given to `import`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Imported {
    taken: usize,
    known: usize,
    refused: usize,
    unreadable: usize,
}

fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut store = Store::open(&args.dir.dir)
        .context("open the data directory (a running peer takes bundles from its `folders`)")?;
    let loaded = store.load()?;
    loaded.report.lines().for_each(|line| eprintln!("warning: {}", plain::text(&line)));
    let bundle_bytes_max = bundle_bytes_max(loaded.manifest.bundle_limits().travelling_bytes_max());
    let mut peer = peer(store.load_key()?, loaded.manifest.clone(), loaded.restored)?;
    peer.set_prover(proving_keys::prover(&args.dir.dir, &loaded.manifest, peer.member())?);
    let quota = Config::load(&args.dir.dir)?.quota;
    if let Some(quota) = quota.filter(|_| peer.member().is_none()) {
        peer.set_carried_bytes_max(quota.bytes());
    }
    let (files, mut imported) = (files(&args.paths)?, Imported::default());
    let mut given = Vec::new();
    for file in &files {
        let bytes = match folder::read(&file.path, bundle_bytes_max) {
            Ok(bytes) => bytes,
            Err(error) => {
                imported.unreadable += 1;
                eprintln!("{}", plain::text(&error.to_string()));
                continue;
            }
        };
        let id = BundleHead::from_bundle(&bytes, &LOOK).map(|(head, _)| head.id()).ok();
        // What has no name is given alone, so that its reason is its own.
        if id.is_none() || !peer.has_room() || given.len() == GIVEN_MAX {
            imported.settle(&mut peer, &mut store, &mut given)?;
        }
        let before = id.is_some_and(|id| peer.holds(&id));
        peer.handle(clock::now(), Input::Bundle { bytes });
        given.push(Given { path: &file.path, id, before });
        if id.is_none() {
            imported.settle(&mut peer, &mut store, &mut given)?;
        }
    }
    imported.settle(&mut peer, &mut store, &mut given)?;
    peer.record_version();
    settle(&mut peer, &mut store)?;
    let Imported { taken, known, refused, unreadable } = imported;
    eprintln!(
        "{taken} bundles taken, {known} known already, {refused} refused, {unreadable} not read"
    );
    if refused + unreadable > 0 {
        bail!("not all of the files were bundles that this peer takes; the reasons are above");
    }
    Ok(ExitCode::SUCCESS)
}

/// A file whose bundle the peer was given.
struct Given<'a> {
    path: &'a Path,
    id: Option<BundleId>,
    /// It was held before.
    before: bool,
}

impl Imported {
    /// Lets the peer finish with what it was given, and counts what became of it.
    fn settle(
        &mut self,
        peer: &mut Peer,
        store: &mut Store,
        given: &mut Vec<Given<'_>>,
    ) -> anyhow::Result<()> {
        let mut refusals = settle(peer, store)?;
        for Given { path, id, before } in given.drain(..) {
            let held = (before, id.is_some_and(|id| peer.holds(&id)));
            let (own, others) = refusals.into_iter().partition(|refusal| refusal.0 == id);
            refusals = others;
            self.count(path, held, &own);
        }
        for (_, why) in refusals {
            eprintln!("something carried is dropped: {why}");
        }
        Ok(())
    }

    /// Counts a file whose bundle was held before and is held after, or not.
    fn count(&mut self, path: &Path, held: (bool, bool), refusals: &[Refusal]) {
        let path = plain::path(path);
        match held {
            (true, _) => self.known += 1,
            (false, true) => {
                self.taken += 1;
                // It brought a key.
                refusals
                    .iter()
                    .for_each(|(_, why)| eprintln!("{path}: something carried is dropped: {why}"));
            }
            (false, false) if refusals.is_empty() => self.known += 1,
            (false, false) => {
                self.refused += 1;
                refusals.iter().for_each(|(_, why)| eprintln!("{path}: refused: {why}"));
            }
        }
    }
}

/// Does what the peer asks for, and waits until it is durable; gives what it refuses.
pub(super) fn settle(peer: &mut Peer, store: &mut Store) -> anyhow::Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    while let Some(output) = peer.poll() {
        match output {
            Output::Persist(request) => {
                store.persist(&request)?;
                peer.handle(clock::now(), Input::Persisted { ticket: request.ticket });
            }
            Output::Event(Event::Refused { bundle, reason, .. }) => refusals.push((bundle, reason)),
            Output::Verify(request) => peer.handle(clock::now(), request.carry_out()),
            Output::CheckSum(request) => peer.handle(clock::now(), request.carry_out()),
            Output::Event(_)
            | Output::Train(_)
            | Output::Prove(_)
            | Output::Sum(_)
            | Output::Transmit { .. }
            | Output::Close { .. } => {}
        }
    }
    Ok(refusals)
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::bundle::BundleDraft;
    use longhaul_dtn::eid::Eid;
    use longhaul_dtn::identity::SecretKey;

    use super::*;

    fn bundle(lifetime: u64) -> (BundleHead, Vec<u8>) {
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(1_000),
            sequence: 0,
            lifetime: Span::from_ms(lifetime),
            hop_limit: 9,
            header: vec![],
            payload: b"payload",
        };
        let head = BundleHead::seal(draft, &SecretKey::from_seed(&[1; 32])).expect("sound");
        let bytes = head.to_bundle(b"payload");
        (head, bytes)
    }

    #[test]
    fn a_row_says_how_long_a_bundle_is_good() {
        let (head, _) = bundle(60_000);
        for (now, left, says) in
            [(1_000, 60, "60 s left"), (61_000, 0, "expired"), (71_000, -10, "expired")]
        {
            let row = Row::of(None, &head, Timestamp::from_dtn_ms(now));
            assert_eq!(row.expires_in_s, Some(left));
            assert!(row.text().contains(says) && row.text().contains("7 bytes"), "{}", row.text());
        }
    }

    #[test]
    fn a_file_that_is_no_bundle_is_a_row_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.bundle");
        std::fs::write(&path, b"\x9f\xff").expect("a file");
        let error = row_of(&path, clock::now()).expect_err("no bundle");
        let row = Row::bad(&path, super::super::explain(&error));
        assert!(row.text().starts_with(&format!("{}: not a bundle: ", path.display())));
        let json = serde_json::to_string(&row).expect("JSON");
        assert!(json.contains("error") && !json.contains("payload_bytes"), "{json}");
    }

    #[test]
    fn lists_bundles_of_other_nodes_by_source_and_destination() {
        use longhaul_dtn::bpv7::{CreationTimestamp, Draft, PrimaryBlock};
        let created = CreationTimestamp { time: Timestamp::from_dtn_ms(1_000), sequence: 0 };
        let [source, destination] =
            ["ipn:7.1", "dtn://b/in"].map(|text| text.parse().expect("an endpoint id"));
        let primary = PrimaryBlock::new(source, destination, created, Span::from_ms(60_000));
        let bytes = Draft::new(primary).encode(b"theirs").expect("a bundle");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.bundle");
        std::fs::write(&path, bytes).expect("a file");
        let text = row_of(&path, Timestamp::from_dtn_ms(2_000)).expect("a bundle").text();
        assert!(text.starts_with("ipn:7.1 to dtn://b/in") && text.contains("59 s left"), "{text}");
        let (head, bytes) = bundle(9);
        std::fs::write(&path, bytes).expect("a file");
        let row = row_of(&path, clock::now()).expect("a bundle of a peer");
        assert_eq!(row.id, Some(head.id().to_string()));
    }

    #[test]
    fn files_are_named_one_by_one_or_by_their_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (head, bytes) = bundle(9);
        let path = folder::write(folder.path(), &head.id(), &bytes).expect("a file");
        std::fs::write(folder.path().join("note.txt"), b"x").expect("a file");
        let named = |paths: &[PathBuf]| {
            let files = files(paths).expect("they are there");
            files.into_iter().map(|file| file.path).collect::<Vec<_>>()
        };
        let whole = folder.path().to_path_buf();
        assert_eq!(named(&[whole]), std::slice::from_ref(&path));
        assert_eq!(named(&[path.clone(), folder.path().join("note.txt")]).len(), 2);
        assert!(files(&[folder.path().join("none")]).is_err());
        assert_eq!(look(&path).expect("a bundle").id(), head.id());
    }

    #[test]
    fn prunes_what_has_expired_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        for lifetime in [9, u64::MAX / 2] {
            let (head, bytes) = bundle(lifetime);
            folder::write(folder.path(), &head.id(), &bytes).expect("a file");
        }
        std::fs::write(folder.path().join("foreign.bundle"), b"x").expect("a file");
        let there = folder::list(folder.path(), 9).expect("a folder");
        assert_eq!(prune(&there).expect("files of our own"), 1);
        assert_eq!(folder::list(folder.path(), 9).expect("a folder").len(), 2);
    }
}
