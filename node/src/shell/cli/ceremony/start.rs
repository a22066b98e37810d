//! `longhaul ceremony start`: the manifest of a ceremony.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Args, value_parser};
use longhaul_aggregation::{Clip, Encoding, NormBound, Recipe, Rule};
use longhaul_dtn::identity::{PeerId, SecretKey};
use longhaul_dtn::time::Span;
use longhaul_proofs::ceremony::LOG_SIZE_MAX;
use longhaul_proofs::s1::Shape;
use longhaul_proofs::update::UpdateShape;
use longhaul_registry::{
    Bounds, CeremonyPlan, Manifest, ProofCurve, SignedManifest, Task, TrainingPlan,
};

use super::super::proofs::curve;
use super::super::{DEFAULT_DIR, say};
use crate::shell::fresh::{self, Readers};
use crate::shell::store::Store;
use crate::shell::{clock, entropy, plain};
use crate::train::ModelKind;

pub(super) const EXAMPLES: &str = "\
Examples:
  longhaul ceremony start --member ID --member ID --member ID --model mlp:784-32-10 --out keys.manifest
  longhaul join keys.manifest --dir ceremony && longhaul ceremony contribute --dir ceremony
  longhaul up --dir ceremony                      until the others have it";

/// Arguments of `ceremony start`.
#[derive(Debug, Args)]
pub(in crate::shell::cli) struct StartArgs {
    /// Data directory whose key signs the manifest.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// Where to write the manifest.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Peer id of a member, who may contribute; repeat for each, the creator's own included.
    #[arg(long, value_name = "ID", required = true)]
    member: Vec<PeerId>,
    /// Name of the ceremony, for people.
    #[arg(long, default_value = "ceremony", value_name = "NAME")]
    name: String,
    /// Model whose updates will be proved: edgesense-cnn, image-cnn, or mlp:INPUTS-…-CLASSES.
    #[arg(long, default_value = "edgesense-cnn", value_name = "MODEL")]
    model: String,
    /// Curve: bn254 (the fastest, about 100 bits) or bls12-381 (about 120 bits).
    #[arg(long, default_value = "bn254", value_name = "CURVE", value_parser = curve)]
    curve: ProofCurve,
    /// How many members have to contribute to each phase; default: one more than the assumed attackers, at least 2.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    contributors: Option<u32>,
    /// Assumed share of attackers among the members, 0 to 0.49.
    #[arg(long, default_value_t = 0.25, value_name = "SHARE")]
    attacker_share: f64,
    /// Phase 1 serves circuits of up to 2^LOG rows; default: the smallest that serves the model.
    #[arg(long, value_name = "LOG", value_parser = value_parser!(u32).range(1..=i64::from(LOG_SIZE_MAX)))]
    size: Option<u32>,
    /// How many days the ceremony lasts, and a contribution travels.
    #[arg(long, default_value_t = 90, value_name = "DAYS", value_parser = value_parser!(u16).range(1..=365))]
    days: u16,
}

pub(super) fn start(args: &StartArgs) -> anyhow::Result<ExitCode> {
    let key = Store::key(&args.dir)?;
    let manifest = manifest(args, &key)?;
    let creator = manifest.manifest().creator;
    if manifest.manifest().member_index(&creator).is_none() {
        eprintln!("warning: your own id {creator} is not among the members");
    }
    fresh::write_new(&args.out, manifest.as_bytes(), Readers::Any)
        .context("a ceremony's manifest is made once")?;
    say!("{}", manifest.id());
    if let Some(plan) = &manifest.manifest().ceremony {
        eprintln!("Keys are made {plan}");
    }
    let megabytes = manifest.contribution_bytes_max() as f64 / 1e6;
    eprintln!("A contribution has up to {megabytes:.1} MB");
    let out = plain::path(&args.out);
    eprintln!("Wrote {out}; every member: longhaul join {out}, then longhaul ceremony contribute");
    Ok(ExitCode::SUCCESS)
}

fn manifest(args: &StartArgs, key: &SecretKey) -> anyhow::Result<SignedManifest> {
    let share = args.attacker_share;
    ensure!((0.0..0.5).contains(&share), "--attacker-share {share}: choose 0 to 0.49");
    let kind: ModelKind = args.model.parse().context("--model")?;
    let schema = Arc::new(kind.schema());
    let mut members = args.member.clone();
    members.sort_unstable();
    members.dedup();
    let attackers_permille = (share * 1e3).round() as u16;
    let attackers = members.len() * usize::from(attackers_permille) / 1_000;
    let shapes = UpdateShape::shapes_of(&schema);
    let shapes: Vec<Shape> = shapes.into_iter().collect();
    let size = CeremonyPlan::size_for(&shapes).context("the model is too large for a ceremony")?;
    let plan = CeremonyPlan {
        curve: args.curve,
        log_size: args.size.unwrap_or_else(|| size.log()),
        contributors_min: args.contributors.unwrap_or((attackers as u32 + 1).max(2)),
        shapes,
    };
    if plan.contributors_min as usize <= attackers {
        eprintln!(
            "warning: {attackers} attackers are assumed, and {} contributors may all be of them",
            plan.contributors_min
        );
    }
    let payload_bytes_max = u32::try_from(schema.payload_bytes_max()).context("--model")?;
    let span = Span::from_ms(u64::from(args.days) * 24 * 3_600_000);
    let manifest = Manifest {
        name: args.name.clone(),
        creator: key.peer_id(),
        parent: None,
        seed: entropy::nonce()?,
        task: Task { model: args.model.clone(), data: "none".to_owned() },
        schema,
        start: clock::now(),
        epoch_length: span,
        epochs: 1,
        training: TrainingPlan::plain(1, 1, 1),
        recipe: Recipe::plain(Rule::Mean, Clip::None, 1),
        attacker_share_permille: attackers_permille,
        members,
        trust_roots: Vec::new(),
        bounds: Bounds {
            norm_max: NormBound::from_milli(1),
            payload_bytes_max,
            summary_window: 1,
            bundle_lifetime: span,
        },
        committee: None,
        seal: None,
        encoding: Encoding::Int8,
        privacy: None,
        proofs: None,
        ceremony: Some(plan),
        aggregates: None,
    };
    Ok(manifest.sign(key)?)
}
