//! `longhaul ceremony`: members make proving keys together, so that nobody has to be trusted for them.

mod start;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, value_parser};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_proofs::ceremony::{Chain, CompiledCurve, Compiles, Draft, LogSize, Stage};
use longhaul_proofs::curve::{Bls12_381, Bn254};
use longhaul_proofs::s1::Shape;
use longhaul_registry::ceremony::{Part, TRIES_MAX};
use longhaul_registry::{ProofCurve, SignedManifest};
use serde::Serialize;

use super::bundle::{restored, settle, stopped_peer};
use super::{DirArg, say};
use crate::peer::{Input, Peer};
use crate::shell::ceremony::{Ground, Heap, PartReport, PhaseOne, PhaseTwo, seed, some_seconds};
use crate::shell::store::Store;
use crate::shell::{clock, plain, proving_keys, task};

/// The `ceremony` commands.
#[derive(Debug, Subcommand)]
pub(super) enum CeremonyCommand {
    /// Make and sign the manifest of a ceremony. Its members join it as they join a federation.
    #[command(after_help = start::EXAMPLES)]
    Start(start::StartArgs),
    /// Contribute all that can be contributed now; the peer must not run meanwhile.
    ///
    /// Everything that is held is verified first. Phase 1 comes before phase 2; phase 2 begins as soon as enough
    /// members contributed to phase 1, which whoever goes on first closes by that. The secrets are drawn from the operating system and are
    /// forgotten at once: contribute on a machine of your own.
    #[command(after_help = CONTRIBUTE_EXAMPLES)]
    Contribute(ContributeArgs),
    /// Verify all contributions that this peer holds, and say what they come to.
    ///
    /// Broken contributions of others are listed and change nothing. Exit code 1 if one of this peer's own does not hold.
    #[command(
        after_help = "Examples:\n  longhaul ceremony verify\n  longhaul ceremony verify --dir DIR --json"
    )]
    Verify(VerifyArgs),
    /// Write the keys: whoever holds the same contributions gets the same files.
    #[command(after_help = FINISH_EXAMPLES)]
    Finish(FinishArgs),
}

const CONTRIBUTE_EXAMPLES: &str = "\
Examples:
  longhaul ceremony contribute --dir ceremony && longhaul up --dir ceremony
  longhaul ceremony contribute --phase 1          leaves phase 2 for later, so that more may take part in phase 1";

const FINISH_EXAMPLES: &str = "\
Examples:
  longhaul ceremony finish --dir ceremony --out keys
  longhaul ceremony finish --dir ceremony --manifest team.manifest --out keys
  longhaul manifest new --member ID --member ID … --proofs keys --out team.manifest
  longhaul join team.manifest --proving-keys keys";

/// Arguments of `ceremony contribute`.
#[derive(Debug, Args)]
pub(super) struct ContributeArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Contribute to this phase alone.
    #[arg(long, value_name = "PHASE", value_parser = value_parser!(u8).range(1..=2))]
    phase: Option<u8>,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `ceremony verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `ceremony finish`.
#[derive(Debug, Args)]
pub(super) struct FinishArgs {
    #[command(flatten)]
    dir: DirArg,
    /// The folder to write the keys into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the keys that this manifest names, though more members may have contributed since.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

/// A contribution that was made.
#[derive(Debug, Serialize)]
struct Made {
    part: String,
    contribution: String,
    bytes: usize,
}

/// What a ceremony has come to.
#[derive(Debug, Serialize)]
struct Standing {
    parts: Vec<PartReport>,
    /// True if all parts have enough contributors.
    complete: bool,
}

pub(super) fn ceremony(command: &CeremonyCommand) -> anyhow::Result<ExitCode> {
    match command {
        CeremonyCommand::Start(args) => start::start(args),
        CeremonyCommand::Contribute(args) => contribute(args),
        CeremonyCommand::Verify(args) => verify(args),
        CeremonyCommand::Finish(args) => finish(args),
    }
}

/// A peer that does not run, while it contributes.
struct Desk {
    store: Store,
    peer: Peer,
    manifest: SignedManifest,
    key: SecretKey,
    heap: Heap,
    made: Vec<Made>,
}

fn contribute(args: &ContributeArgs) -> anyhow::Result<ExitCode> {
    let dir = &args.dir.dir;
    let (store, manifest, peer) = stopped_peer(dir).context(
        "open the data directory (if the peer runs: stop it, contribute, and start it again)",
    )?;
    let heap = Heap::of(&peer)?;
    let (key, made) = (store.load_key()?, Vec::new());
    let mut desk = Desk { store, peer, manifest, key, heap, made };
    let standing = match desk.heap.plan.curve {
        ProofCurve::Bn254 => desk.contribute::<Bn254>(args.phase)?,
        ProofCurve::Bls12381 => desk.contribute::<Bls12_381>(args.phase)?,
    };
    let next = next(&standing, dir);
    if args.json {
        say!(
            "{}",
            serde_json::json!({ "made": desk.made, "parts": standing.parts, "complete": standing.complete, "next": next })
        );
    } else {
        for Made { part, contribution, bytes } in &desk.made {
            say!("{part}: contribution {contribution}, {bytes} bytes");
        }
    }
    if desk.made.is_empty() {
        eprintln!("Nothing to contribute now.");
    }
    eprintln!("Next: {next}");
    Ok(ExitCode::SUCCESS)
}

/// What to do, in words.
fn next(standing: &Standing, dir: &Path) -> String {
    let dir = plain::path(dir);
    if standing.complete {
        return format!(
            "longhaul up --dir {dir}, until the others have it; then longhaul ceremony finish --dir {dir} --out keys"
        );
    }
    match standing.parts.iter().find(|part| !part.is_enough()) {
        Some(part) => format!(
            "longhaul up --dir {dir}, so that it travels; {} needs {} more members to contribute. Then contribute again",
            part.part,
            part.needed as usize - part.contributors.len()
        ),
        None => format!("longhaul ceremony contribute --dir {dir}, to phase 2"),
    }
}

impl Desk {
    fn contribute<E: CompiledCurve>(&mut self, phase: Option<u8>) -> anyhow::Result<Standing> {
        let me = self.key.peer_id();
        ensure!(self.peer.member().is_some(), "{me} is not a member of this ceremony");
        let mut one = phase_one::<E>(&self.heap)?;
        let closed = one.ground.as_ref().is_some_and(|ground| ground.named_by > 0);
        if !closed && !one.report.has(me) && phase != Some(2) {
            let size = self.heap.size()?.points();
            let seconds = some_seconds(17.0 + 14.5, LARGE_SIZE, size, 1);
            eprintln!("phase 1: contributing and checking it, some {seconds} s ...");
            let chain = self.make::<E, _>(Part::Powers, one.best)?;
            one.report.contributors.push(me.to_string());
            one.report.head = chain.head().to_string();
            one.ground = Ground::of(&chain, self.heap.policy());
        }
        let mut parts = vec![one.report];
        let mut complete = one.ground.is_some();
        for shape in self.heap.plan.shapes.clone() {
            let Some(ground) = one.ground.as_ref().filter(|_| phase != Some(1)) else { break };
            let mut two = phase_two(&self.heap, shape, ground, |_| {})?;
            if !two.report.has(me) {
                let seconds = some_seconds(5.7 + 2.4, LARGE_SHAPE, shape.entries(), 1);
                eprintln!(
                    "{}: contributing and checking it, some {seconds} s ...",
                    two.report.part
                );
                let chain = self.make::<E, _>(Part::Circuit(shape), two.best)?;
                two.report.contributors.push(me.to_string());
                two.report.head = chain.head().to_string();
            }
            complete &= two.report.is_enough();
            parts.push(two.report);
        }
        complete &= parts.len() == 1 + self.heap.plan.shapes.len();
        Ok(Standing { parts, complete })
    }

    /// Makes a contribution that follows `chain`, checks it as others will, and stores it.
    fn make<E: Compiles<S>, S: Stage>(
        &mut self,
        part: Part,
        mut chain: Chain<S>,
    ) -> anyhow::Result<Chain<S>> {
        let me = self.key.peer_id();
        let tries = self.peer.contributions_of(me, part);
        ensure!(
            tries < TRIES_MAX,
            "{part}: this peer has contributed {tries} times; one more, and others would count none of them"
        );
        // The seed is used up: nothing is left of the secrets.
        let bytes = E::contribute(&chain, me, seed()?);
        let step = E::extend(&mut chain, &bytes, me, &seed()?).context("the own contribution")?;
        let head = self.manifest.contribution(&self.key, (part, tries), &bytes, clock::now())?;
        self.peer.handle(clock::now(), Input::Bundle { bytes: head.to_bundle(&bytes) });
        let refusals = settle(&mut self.peer, &mut self.store)?;
        let refusals: Vec<String> = refusals.into_iter().map(|refusal| refusal.1).collect();
        ensure!(self.peer.holds(&head.id()), "{part}: not stored: {}", refusals.join("; "));
        let (part, contribution) = (part.to_string(), step.hash.to_string());
        self.made.push(Made { part, contribution, bytes: bytes.len() });
        Ok(chain)
    }
}

/// Sizes for which times were measured.
const LARGE_SIZE: usize = 1 << 16;
const LARGE_SHAPE: usize = 65_000;

fn phase_one<E: CompiledCurve>(heap: &Heap) -> anyhow::Result<PhaseOne<E>> {
    let (count, size) = (heap.count(Part::Powers), heap.size().map_or(0, LogSize::points));
    let seconds = some_seconds(14.5, LARGE_SIZE, size, count);
    eprintln!("phase 1: checking {count} contributions, some {seconds} s ...");
    heap.phase_one()
}

fn phase_two<E: CompiledCurve>(
    heap: &Heap,
    shape: Shape,
    ground: &Ground<E>,
    visit: impl FnMut(&Chain<Draft<E>>),
) -> anyhow::Result<PhaseTwo<E>> {
    let part = Part::Circuit(shape);
    let (count, entries) = (heap.count(part), shape.entries());
    let begin = some_seconds(110.0, LARGE_SHAPE, entries, 1);
    let seconds = begin + some_seconds(2.4, LARGE_SHAPE, entries, count);
    eprintln!("{part}: making its beginning, checking {count} contributions, some {seconds} s ...");
    heap.phase_two(shape, &ground.powers, visit)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let peer = restored(&args.dir.dir)?;
    let me = Store::key(&args.dir.dir)?.peer_id().to_string();
    let heap = Heap::of(&peer)?;
    let standing = match heap.plan.curve {
        ProofCurve::Bn254 => standing::<Bn254>(&heap)?,
        ProofCurve::Bls12381 => standing::<Bls12_381>(&heap)?,
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&standing)?);
    } else {
        for line in standing.parts.iter().flat_map(PartReport::lines) {
            say!("{line}");
        }
    }
    eprintln!(
        "{}",
        match standing.complete {
            true => "Complete: the keys can be written (longhaul ceremony finish).",
            false => "Not complete: more members have to contribute.",
        }
    );
    let refused = || standing.parts.iter().flat_map(|part| &part.refused);
    let own = refused().any(|it| it.broken && it.contributor == me);
    Ok(if own { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn standing<E: CompiledCurve>(heap: &Heap) -> anyhow::Result<Standing> {
    let one = phase_one::<E>(heap)?;
    let mut parts = vec![one.report];
    if let Some(ground) = &one.ground {
        for &shape in &heap.plan.shapes {
            parts.push(phase_two(heap, shape, ground, |_| {})?.report);
        }
    }
    let all = parts.len() == 1 + heap.plan.shapes.len();
    let complete = all && parts.iter().all(PartReport::is_enough);
    Ok(Standing { parts, complete })
}

fn finish(args: &FinishArgs) -> anyhow::Result<ExitCode> {
    let peer = restored(&args.dir.dir)?;
    let heap = Heap::of(&peer)?;
    let wanted = args.manifest.as_deref().map(named_keys).transpose()?;
    let keys = match heap.plan.curve {
        ProofCurve::Bn254 => keys::<Bn254>(&heap, wanted.as_deref())?,
        ProofCurve::Bls12381 => keys::<Bls12_381>(&heap, wanted.as_deref())?,
    };
    let mut written = Vec::new();
    for (shape, bytes) in &keys {
        let (path, hash) = proving_keys::write(&args.out, bytes)?;
        let entries = shape.entries();
        written.push(serde_json::json!({ "entries": entries, "hash": hash.to_string(), "bytes": bytes.len(), "file": path }));
        if !args.json {
            say!(
                "{}: chunks of up to {entries} entries, {} bytes",
                plain::path(&path),
                bytes.len()
            );
        }
    }
    if args.json {
        say!("{}", serde_json::Value::from(written));
    }
    let out = plain::path(&args.out);
    eprintln!("Every member that holds the same contributions gets the same files.");
    eprintln!("Next: longhaul manifest new ... --proofs {out}");
    eprintln!("and every member: longhaul join FILE --proving-keys {out}");
    Ok(ExitCode::SUCCESS)
}

/// The proving keys that a manifest names.
fn named_keys(file: &Path) -> anyhow::Result<Vec<ContentHash>> {
    let manifest = task::read_manifest(file)?;
    let policy = manifest.manifest().proofs.as_ref();
    let policy = policy.with_context(|| format!("{} names no keys", plain::path(file)))?;
    Ok(policy.keys.iter().map(|key| key.proving).collect())
}

/// The keys of all shapes, as bytes: those of the chains that count, or the wanted ones, which some chain has to end in.
fn keys<E: CompiledCurve>(
    heap: &Heap,
    wanted: Option<&[ContentHash]>,
) -> anyhow::Result<Vec<(Shape, Vec<u8>)>> {
    let one = phase_one::<E>(heap)?;
    let ground = one.ground.as_ref().ok_or_else(|| one.report.lacking())?;
    let mut keys = Vec::new();
    for &shape in &heap.plan.shapes {
        let mut named = None;
        let two = phase_two(heap, shape, ground, |chain| {
            let Some(wanted) = wanted.filter(|_| named.is_none()) else { return };
            let Ok(key) = E::key(chain, heap.policy()) else { return };
            named = Some(key).filter(|key| wanted.contains(&ContentHash::of(key)));
        })?;
        let made =
            E::key(&two.best, heap.policy()).map_err(|error| match two.report.is_enough() {
                true => error.into(),
                false => two.report.lacking(),
            })?;
        let none = "no chain that is held here makes the key that the manifest names";
        let key = match wanted {
            Some(_) => named.with_context(|| format!("{}: {none}", two.report.part))?,
            None => made,
        };
        keys.push((shape, key));
    }
    Ok(keys)
}
