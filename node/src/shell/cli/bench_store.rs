//! `longhaul bench store`: how long a data directory takes to restart and to rebuild, and the room
//! that it takes after its payloads were replaced again and again.
//!
//! The directory is filled through [`Store::persist_all`], one accepted bundle per request with a
//! signed head of real size, in groups as the disk thread makes them. Times include everything
//! from opening the directory to the verified log and payloads in memory; the files are in the
//! system's cache, as after a restart of the process, not of the machine.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, value_parser};
use longhaul_dtn::bundle::{BundleDraft, BundleHead};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::{LogWriter, Record, SignedManifest};
use serde_json::{Value, json};

use super::store::{show_space, space_json};
use crate::peer::{PersistRequest, Ticket};
use crate::shell::cli::say;
use crate::shell::store::care;
use crate::shell::store::{Space, Store};

/// Arguments of `bench store`.
#[derive(Debug, Args)]
pub(super) struct BenchStoreArgs {
    /// Bundles that are held at once.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    bundles: u32,
    /// Bytes of a payload.
    #[arg(long, default_value_t = 1_024, value_name = "BYTES")]
    payload_bytes: u32,
    /// Bytes of an update header; the rest of a bundle's head is about 450.
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    header_bytes: u32,
    /// How often all payloads are replaced by new ones.
    #[arg(long, default_value_t = 4, value_name = "N")]
    generations: u32,
    /// Requests that one sync covers.
    #[arg(long, default_value_t = 64, value_name = "N")]
    group: usize,
    /// Measured starts; the fastest and the slowest are shown.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    repeats: u32,
    /// A new directory for the data, removed at the end; default: in the temporary folder.
    #[arg(long, value_name = "DIR")]
    at: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Seconds of several runs: by the clock, and of the processor where the system says so.
#[derive(Debug, Default)]
struct Seconds {
    clock: Vec<f64>,
    cpu: Vec<f64>,
}

/// What was measured.
#[derive(Debug, Default)]
struct Figures {
    fill_s: f64,
    replace_s: f64,
    restart: Seconds,
    rebuild: Seconds,
    filled: Space,
    replaced: Space,
}

/// A payload, if there is one, and what the log says of it.
type Bundle = (Option<(ContentHash, Vec<u8>)>, Record);

/// Makes what a peer stores.
struct Filler<'a> {
    args: &'a BenchStoreArgs,
    log: LogWriter,
    author: SecretKey,
    held: VecDeque<ContentHash>,
    number: u32,
}

impl Seconds {
    fn time<T>(&mut self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (start, cpu) = (Instant::now(), cpu_s());
        let done = work()?;
        self.clock.push(start.elapsed().as_secs_f64());
        self.cpu.extend(cpu_s().zip(cpu).map(|(after, before)| after - before));
        Ok(done)
    }

    fn least(&self) -> f64 {
        least(&self.clock)
    }

    fn most(&self) -> f64 {
        self.clock.iter().copied().fold(0.0, f64::max)
    }

    /// The least of the processor, which others on the machine disturb less.
    fn cpu(&self) -> Option<f64> {
        Some(least(&self.cpu)).filter(|seconds| seconds.is_finite())
    }

    fn show(&self) -> String {
        let cpu = self.cpu().map(|cpu| format!(", {cpu:.2} s of the processor"));
        let (least, most) = (self.least(), self.most());
        format!("{least:.2} to {most:.2} s{}", cpu.unwrap_or_default())
    }

    fn json(&self) -> Value {
        json!({ "least": self.least(), "most": self.most(), "cpu_least": self.cpu() })
    }
}

fn least(seconds: &[f64]) -> f64 {
    seconds.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Seconds of processor time that this process has used, on Linux (proc(5): fields 14 and 15 of
/// `stat`, in hundredths of a second).
pub(super) fn cpu_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

/// Runs the benchmark on a new directory; `manifest` makes one for the peer that is in there.
pub(super) fn bench(
    args: &BenchStoreArgs,
    manifest: impl FnOnce(&Path, PeerId) -> anyhow::Result<SignedManifest>,
) -> anyhow::Result<ExitCode> {
    let name = format!("longhaul-bench-store-{}", std::process::id());
    let dir = args.at.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    ensure!(!dir.exists(), "{} exists; name a new directory with --at", dir.display());
    let figures = measure(args, &dir, manifest);
    fs::remove_dir_all(&dir).context("remove the benchmark's directory")?;
    show(args, &figures?)?;
    Ok(ExitCode::SUCCESS)
}

fn measure(
    args: &BenchStoreArgs,
    dir: &Path,
    manifest: impl FnOnce(&Path, PeerId) -> anyhow::Result<SignedManifest>,
) -> anyhow::Result<Figures> {
    let key = SecretKey::from_seed(&[1; 32]);
    Store::create(dir, &key)?;
    let mut figures = Figures::default();
    let manifest = manifest(dir, key.peer_id())?;
    let mut store = Store::open(dir)?;
    store.join(&manifest)?;
    store.load()?;
    let mut filler = Filler {
        args,
        log: LogWriter::new(key),
        author: SecretKey::from_seed(&[2; 32]),
        held: VecDeque::new(),
        number: 0,
    };
    let federation = manifest.id();
    filler.persist(&mut store, vec![(None, Record::Genesis { federation })], &[])?;
    let mut fill = Seconds::default();
    fill.time(|| filler.fill(&mut store, false))?;
    figures.fill_s = fill.least();
    drop(store);
    eprintln!("filled; measuring starts");
    for _ in 0..args.repeats.max(1) {
        figures.restart.time(|| restart(dir, args.bundles))?;
    }
    for _ in 0..args.repeats.max(1) {
        let rebuilt = figures.rebuild.time(|| Ok(care::rebuild(dir)?))?;
        ensure!(rebuilt.equal == Some(true), "the rebuilt index is not equal: {rebuilt:?}");
    }
    figures.filled = Store::space(dir)?;
    eprintln!("measured; replacing all payloads {} times", args.generations);
    let mut store = Store::open(dir)?;
    store.load()?;
    let mut replace = Seconds::default();
    replace.time(|| (0..args.generations).try_for_each(|_| filler.fill(&mut store, true)))?;
    figures.replace_s = replace.least();
    drop(store);
    restart(dir, args.bundles)?;
    figures.replaced = Store::space(dir)?;
    Ok(figures)
}

fn restart(dir: &Path, bundles: u32) -> anyhow::Result<()> {
    let mut store = Store::open(dir)?;
    let loaded = store.load()?;
    let (found, lines) = (loaded.restored.payloads.len(), loaded.report.lines().count());
    ensure!(found as u64 == u64::from(bundles) && lines == 0, "{found} payloads, {lines} findings");
    Ok(())
}

impl Filler<'_> {
    /// Stores as many bundles as are held at once; each replaces the oldest if `replace`.
    fn fill(&mut self, store: &mut Store, replace: bool) -> anyhow::Result<()> {
        let mut left = self.args.bundles as usize;
        while left > 0 {
            let group = left.min(self.args.group.max(1));
            let requests = (0..group).map(|_| self.bundle()).collect::<anyhow::Result<_>>()?;
            let old = if replace { group } else { 0 };
            let forget: Vec<_> = self.held.drain(..old).collect();
            self.persist(store, requests, &forget)?;
            left -= group;
        }
        Ok(())
    }

    /// A bundle that another peer made: its payload and the record that it was accepted.
    fn bundle(&mut self) -> anyhow::Result<Bundle> {
        self.number += 1;
        let mut payload = vec![0; self.args.payload_bytes as usize];
        for (place, chunk) in payload.chunks_mut(32).enumerate() {
            let fresh = ContentHash::derive(
                "longhaul 2026 bench store v1",
                &[&self.number.to_be_bytes()[..], &place.to_be_bytes()].concat(),
            );
            chunk.copy_from_slice(&fresh.as_bytes()[..chunk.len()]);
        }
        let hash = ContentHash::of(&payload);
        let draft = BundleDraft {
            destination: Eid::none(),
            created: Timestamp::from_dtn_ms(u64::from(self.number)),
            sequence: 0,
            lifetime: Span::from_ms(600_000),
            hop_limit: 255,
            header: vec![3; self.args.header_bytes as usize],
            payload: &payload,
        };
        let head = BundleHead::seal(draft, &self.author)?.encode();
        let from = self.author.peer_id();
        self.held.push_back(hash);
        Ok((Some((hash, payload)), Record::Accept { head, from }))
    }

    fn persist(
        &mut self,
        store: &mut Store,
        bundles: Vec<Bundle>,
        forget: &[ContentHash],
    ) -> anyhow::Result<()> {
        let mut requests = Vec::new();
        for (payload, record) in bundles {
            let entry = self.log.append(Timestamp::from_dtn_ms(5), record);
            requests.push(PersistRequest {
                ticket: Ticket::new(u64::from(self.number)),
                payload: payload.map(|(hash, bytes)| (hash, bytes.into())),
                entries: vec![entry],
                forget: Vec::new(),
            });
        }
        if let Some(last) = requests.last_mut() {
            last.forget = forget.to_vec();
        }
        Ok(store.persist_all(&requests)?)
    }
}

fn show(args: &BenchStoreArgs, figures: &Figures) -> anyhow::Result<()> {
    let BenchStoreArgs { bundles, payload_bytes, generations, .. } = args;
    let Figures { restart, rebuild, filled, replaced, .. } = figures;
    let per_s = |count: u32, seconds: f64| f64::from(count) / seconds.max(1e-9);
    let stored_per_s = per_s(*bundles, figures.fill_s);
    let replaced_per_s = per_s(bundles * generations, figures.replace_s);
    if args.json {
        let value = json!({
            "bundles": bundles,
            "payload_bytes": payload_bytes,
            "group": args.group,
            "stored_per_s": stored_per_s,
            "replaced_per_s": replaced_per_s,
            "restart_s": restart.json(),
            "rebuild_s": rebuild.json(),
            "generations": generations,
            "space_filled": space_json(filled),
            "space_replaced": space_json(replaced),
        });
        say!("{value}");
        return Ok(());
    }
    say!("{bundles} bundles of {payload_bytes} bytes");
    say!("stored      {stored_per_s:.0} per second durably, {} in a group", args.group);
    say!("restart     {}", restart.show());
    say!("rebuild     {}; equal to the index before", rebuild.show());
    show_space(filled)?;
    say!("replaced    {generations} times, {replaced_per_s:.0} per second");
    show_space(replaced)?;
    Ok(())
}
