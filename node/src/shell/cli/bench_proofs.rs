//! `longhaul bench proofs`: how fast a courier outside of a federation tells proved bundles from others.
//!
//! A private federation of one member and one courier, with development keys. The bench makes encrypted bundles whose proofs hold, and
//! as many that are forged in one of six ways, each signed as any bundle is. A process of its own, `longhaul bundle import` on the
//! courier's data directory, reads, verifies, stores and records them. What it then holds is compared, bundle by bundle. The rate counts
//! good and bad alike, with files read, signatures, the log and durable writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::{Args, value_parser};
use longhaul_aggregation::{
    BaseClaim, Compressor, Epoch, NormBound, Parameters, Update, UpdateHeader,
};
use longhaul_dtn::bundle::{BundleHead, BundleId, Encryption, Prepared};
use longhaul_dtn::hash::{ContentHash, mix64};
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::keyring::{FederationKey, Keyring};
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::{ProveUpdates, UpdateShape, opening_seed, subject};
use longhaul_registry::{ProofCurve, SignedManifest};
use serde_json::json;

use super::bench_store::cpu_s;
use super::bundle::restored;
use crate::peer::{Event, Input, Output, Peer, PeerConfig, Restored};
use crate::shell::cli::{ManifestPlan, create_data_dir, join_data_dir, make_manifest, say};
use crate::shell::store::Store;
use crate::shell::{clock, entropy, proving_keys};
use crate::train::ModelKind;

/// Arguments of `bench proofs`.
#[derive(Debug, Args)]
pub(super) struct BenchProofsArgs {
    /// Bundles whose proofs hold; as many are forged.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    bundles: u32,
    /// Model of the updates: its chunks are what is proved.
    #[arg(long, default_value = "mlp:63-10", value_name = "MODEL")]
    model: ModelKind,
    /// A new directory for the data, removed at the end; default: in the temporary folder.
    #[arg(long, value_name = "DIR")]
    at: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The ways in which bundles are forged.
#[derive(Debug, Clone, Copy)]
enum Forgery {
    /// No proof.
    Missing,
    /// Bytes that are none.
    Garbage,
    /// The proof of another bundle.
    Stolen,
    /// The proof under another number of the bundle.
    Epoch,
    /// A point that is another, on the curve.
    Point,
    /// An update above the bound, with a proof that a smaller one is below.
    AboveBound,
}

const FORGERIES: [Forgery; 6] = [
    Forgery::Missing,
    Forgery::Garbage,
    Forgery::Stolen,
    Forgery::Epoch,
    Forgery::Point,
    Forgery::AboveBound,
];

/// A federation, and what it takes to make bundles of it.
struct World {
    manifest: SignedManifest,
    author: SecretKey,
    key: FederationKey,
    prover: Arc<dyn ProveUpdates>,
    header: UpdateHeader,
}

/// What was found.
struct Figures {
    chunks: usize,
    proof_bytes: usize,
    made_s: f64,
    import_s: f64,
    import_cpu_s: f64,
    kept: usize,
    dropped: usize,
    passed_on: usize,
}

pub(super) fn bench(args: &BenchProofsArgs) -> anyhow::Result<ExitCode> {
    let name = format!("longhaul-bench-proofs-{}", std::process::id());
    let root = args.at.clone().unwrap_or_else(|| std::env::temp_dir().join(name));
    ensure!(!root.exists(), "{} exists; name a new directory with --at", root.display());
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    let figures = measure(args, &root);
    fs::remove_dir_all(&root).context("remove the benchmark's directory")?;
    show(args, &figures?)?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &BenchProofsArgs, root: &Path) -> anyhow::Result<Figures> {
    let world = World::make(args, root)?;
    let folder = root.join("bundles");
    fs::create_dir_all(&folder).context("create a folder")?;
    let start = Instant::now();
    let count = args.bundles as usize;
    let (good, proof_bytes) = world.write_bundles(&folder, count)?;
    let made_s = start.elapsed().as_secs_f64();
    eprintln!("{count} bundles proved and {count} forged in {made_s:.1} s; the courier begins");
    let courier = root.join("courier");
    let (start, cpu) = (Instant::now(), children_cpu_s());
    import(&courier, &folder)?;
    let (import_s, import_cpu_s) = (start.elapsed().as_secs_f64(), children_cpu_s() - cpu);
    let held: BTreeSet<BundleId> = restored(&courier)?.held().map(|held| held.head.id()).collect();
    ensure!(held == good, "the courier holds {} bundles, {} are good", held.len(), good.len());
    let passed_on = world.pass_on(&courier)?;
    let chunks = world.manifest.manifest().schema.chunks().len();
    let (kept, dropped) = (held.len(), count);
    let figures =
        Figures { chunks, proof_bytes, made_s, import_s, import_cpu_s, kept, dropped, passed_on };
    Ok(figures)
}

/// Lets a process of its own take the bundles of a folder; some are refused, which it says by its exit code.
fn import(courier: &Path, folder: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program")?;
    let status = Command::new(program)
        .args(["bundle", "import"])
        .arg(folder)
        .arg("--dir")
        .arg(courier)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("start the courier")?;
    ensure!(status.code() == Some(1), "the courier ended with {status}");
    Ok(())
}

/// Seconds of processor time of processes that have ended and were waited for, on Linux (proc(5): fields 16 and 17).
fn children_cpu_s() -> f64 {
    let ticks = || {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace().skip(13);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / 100.0)
    };
    ticks().unwrap_or_default()
}

impl World {
    fn make(args: &BenchProofsArgs, root: &Path) -> anyhow::Result<Self> {
        let [keys, member, courier] = ["keys", "member", "courier"].map(|name| root.join(name));
        let shapes = UpdateShape::shapes_of(&args.model.schema());
        let seed = Seed::from_bytes(entropy::nonce()?);
        proving_keys::make_development_keys(&keys, ProofCurve::default(), shapes, &seed)?;
        let (member_id, courier_id) = (create_data_dir(&member)?, create_data_dir(&courier)?);
        let plan = ManifestPlan {
            model: args.model.to_string(),
            data: "idx".to_owned(),
            members: vec![member_id],
            couriers: vec![courier_id],
            private: true,
            proofs: Some(keys.clone()),
            development_keys: true,
            epochs: args.bundles * 2 + 1,
            quorum: Some(1),
            start: clock::now(),
            ..ManifestPlan::demo_sensors()
        };
        let manifest = make_manifest(&member, &plan)?;
        let file = root.join("bench.manifest");
        fs::write(&file, manifest.as_bytes()).context("write the manifest")?;
        for dir in [&member, &courier] {
            join_data_dir(dir, &file, Some(&keys), |_, _| Ok(()))?;
        }
        let author = Store::key(&member)?;
        let ring: Keyring = manifest.keyring(&author)?;
        let key = ring.keys().next().context("the member has a key")?.clone();
        let me = manifest.manifest().member_index(&member_id);
        let prover = proving_keys::prover(&member, &manifest, me)?.context("there are proofs")?;
        let mut fold = manifest.fold();
        let header = UpdateHeader {
            federation: manifest.id().hash(),
            epoch: Epoch::new(0),
            previous: None,
            base: BaseClaim {
                model: fold.model_id(),
                summary: fold.base_summary(Epoch::new(0), 12),
            },
            vouch: false,
            payload: ContentHash::of(&[]),
            samples: 1,
            steps: 1,
        };
        Ok(Self { manifest, author, key, prover, header })
    }

    /// Writes good and forged bundles, one after the other; gives the ids of the good ones and the length of a proof.
    fn write_bundles(
        &self,
        folder: &Path,
        count: usize,
    ) -> anyhow::Result<(BTreeSet<BundleId>, usize)> {
        let write = |number: usize| -> anyhow::Result<(BundleId, usize)> {
            let (good, payload) = self.bundle(2 * number as u32, None)?;
            let forgery = FORGERIES[number % FORGERIES.len()];
            let proof = good.proof().context("a proof")?;
            let (bad, bad_payload) = self.bundle(2 * number as u32 + 1, Some((forgery, proof)))?;
            for (kind, head, payload) in [("a", &good, payload), ("b", &bad, bad_payload)] {
                let path = folder.join(format!("{number:06}{kind}.bundle"));
                fs::write(&path, head.to_bundle(&payload)).context("write a bundle")?;
            }
            Ok((good.id(), proof.len()))
        };
        // A proof takes all cores by itself.
        let written: Vec<_> = (0..count).map(write).collect::<anyhow::Result<_>>()?;
        let bytes = written.iter().map(|it| it.1).max().unwrap_or_default();
        Ok((written.into_iter().map(|it| it.0).collect(), bytes))
    }

    fn bundle(
        &self,
        number: u32,
        forgery: Option<(Forgery, &[u8])>,
    ) -> anyhow::Result<(BundleHead, Vec<u8>)> {
        let above = matches!(forgery, Some((Forgery::AboveBound, _)));
        let small = self.update(number, 1);
        let update = if above { self.update(number, 1 << 12) } else { small.clone() };
        let epoch = Epoch::new(number);
        let payload = ContentHash::of(update.payload());
        let fold = self.manifest.fold();
        let base = BaseClaim { summary: fold.base_summary(epoch, 12), ..self.header.base.clone() };
        let header = UpdateHeader { epoch, payload, base, ..self.header.clone() };
        let sequence = match forgery {
            Some((Forgery::Epoch, _)) => u64::from(number) + 1,
            _ => u64::from(number),
        };
        let created = self.manifest.manifest().start;
        let draft = self.manifest.draft((created, sequence), header.encode(), update.payload())?;
        let pseudonym = self.author.pseudonym(&self.manifest.id().hash(), sequence);
        let encryption = Encryption { author: &self.author, pseudonym: &pseudonym, key: &self.key };
        let (prepared, payload) = Prepared::encrypted(draft, &encryption)?;
        let proof = self.proof(&prepared, number, (&update, &small), forgery)?;
        Ok((prepared.sign(proof.as_deref())?, payload))
    }

    fn proof(
        &self,
        prepared: &Prepared,
        number: u32,
        (update, small): (&Update, &Update),
        forgery: Option<(Forgery, &[u8])>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let hashes = [prepared.header_hash(), prepared.payload_hash()];
        let federation = self.manifest.id().hash();
        let about = subject(federation, prepared.signer(), number.into(), hashes);
        let about = about.context("an epoch")?;
        let seed = opening_seed(update.payload(), &hashes[0], prepared.salt().as_ref());
        let prove = || self.prover.prove(&about, small, &seed);
        Ok(match forgery {
            Some((Forgery::Missing, _)) => None,
            Some((Forgery::Garbage, _)) => Some(vec![7; 600]),
            Some((Forgery::Stolen, proof)) => Some(proof.to_vec()),
            Some((Forgery::Point, proof)) => {
                // The first point of this proof in the place of that one's.
                let mut mixed = prove()?;
                let from = proof.len() / 2;
                mixed[from..from + 32].copy_from_slice(&proof[from..from + 32]);
                Some(mixed)
            }
            Some((Forgery::AboveBound, _)) => {
                // What is proved is within the bound; the exponents are those of the payload.
                let mut proof = prove()?;
                let large = update.values().next().map_or(0, |chunk| chunk.exponent);
                ensure!(large < 24, "an exponent of one byte");
                proof[2] = large;
                Some(proof)
            }
            None | Some((Forgery::Epoch, _)) => Some(prove()?),
        })
    }

    /// An update of the schema whose entries are pseudo-random.
    fn update(&self, number: u32, scale: i64) -> Update {
        let schema = &self.manifest.manifest().schema;
        let entry = |k: usize| (mix64(u64::from(number) << 32 | k as u64) % 255) as i64 - 127;
        let entries = (0..schema.parameter_count()).map(|k| (entry(k) * scale) << 10);
        let delta = Parameters::from_units(entries.collect());
        let any = NormBound::from_milli(1 << 40);
        Compressor::new(schema).compress(&delta, any)
    }

    /// Gives all that the courier holds to the member, who reads it; gives how many it accepts.
    fn pass_on(&self, courier: &Path) -> anyhow::Result<usize> {
        let manifest = Arc::new(self.manifest.clone());
        let (key, nonce) = (self.author.clone(), [0; 32]);
        let config = PeerConfig { manifest, key, nonce, memo: None };
        let mut member = Peer::new(config, Restored::default())?;
        member.set_prover(Some(self.prover.clone()));
        member.offer_restored(clock::now());
        let mut accepted = 0;
        for held in restored(courier)?.held() {
            let bytes = held.head.to_bundle(&held.payload);
            member.handle(clock::now(), Input::Bundle { bytes });
            while let Some(output) = member.poll() {
                match output {
                    Output::Verify(request) => member.handle(clock::now(), request.carry_out()),
                    Output::Persist(request) => {
                        let ticket = request.ticket;
                        member.handle(clock::now(), Input::Persisted { ticket });
                    }
                    Output::Event(Event::Accepted { .. }) => accepted += 1,
                    Output::Event(Event::Refused { reason, .. }) => {
                        bail!("the member refuses what the courier passed on: {reason}")
                    }
                    _ => {}
                }
            }
        }
        Ok(accepted)
    }
}

fn show(args: &BenchProofsArgs, found: &Figures) -> anyhow::Result<()> {
    let bundles = f64::from(args.bundles) * 2.0;
    let (per_s, per_cpu_s) = (bundles / found.import_s, bundles / found.import_cpu_s.max(1e-9));
    let Figures { chunks, proof_bytes, made_s, import_s, import_cpu_s, kept, dropped, passed_on } =
        found;
    let made_cpu_s = cpu_s();
    if args.json {
        let value = json!({
            "model": args.model.to_string(),
            "chunks": chunks,
            "proof_bytes": proof_bytes,
            "good": args.bundles,
            "forged": args.bundles,
            "kept": kept,
            "dropped": dropped,
            "read_by_the_member": passed_on,
            "made_s": made_s,
            "made_cpu_s": made_cpu_s,
            "import_s": import_s,
            "import_cpu_s": import_cpu_s,
            "bundles_per_s": per_s,
            "bundles_per_cpu_s": per_cpu_s,
        });
        say!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    say!(
        "{} updates of {} in {chunks} chunks, proofs of {proof_bytes} bytes",
        args.bundles,
        args.model
    );
    say!(
        "kept        {kept} of {} whose proofs hold; the member reads {passed_on} of them",
        args.bundles
    );
    say!("dropped     {dropped} of {dropped} forged");
    say!("rate        {per_s:.0} bundles per second, {per_cpu_s:.0} per second of one core");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_forged_in_every_way() {
        let ways: BTreeSet<String> = FORGERIES.iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(ways.len(), FORGERIES.len());
    }

    #[test]
    fn time_of_processes_that_ended_only_grows() {
        let before = children_cpu_s();
        assert!(Command::new("true").status().expect("a process").success());
        assert!(children_cpu_s() >= before);
    }
}
