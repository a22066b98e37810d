//! `longhaul proofs`: keys with which updates are proved to be within bounds.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use longhaul_proofs::seed::Seed;
use longhaul_proofs::update::UpdateShape;
use longhaul_registry::ProofCurve;

use crate::shell::cli::say;
use crate::shell::proving_keys::{Made, make_development_keys};
use crate::shell::{entropy, plain};
use crate::train::ModelKind;

/// The `proofs` commands.
#[derive(Debug, Subcommand)]
pub(super) enum ProofsCommand {
    /// Make keys for trying things out: whoever makes them can forge proofs.
    #[command(after_help = DEVELOPMENT_EXAMPLES)]
    DevelopmentKeys(DevelopmentArgs),
}

const DEVELOPMENT_EXAMPLES: &str = "\
Examples:
  longhaul proofs development-keys --model mlp:784-32-10 --out keys
  longhaul manifest new --member ID --member ID --proofs keys --development-keys --out try.manifest
  longhaul join try.manifest --proving-keys keys";

/// Arguments of `proofs development-keys`.
#[derive(Debug, Args)]
pub(super) struct DevelopmentArgs {
    /// Model whose updates are proved: edgesense-cnn, image-cnn, or mlp:INPUTS-…-CLASSES.
    #[arg(long, default_value = "edgesense-cnn", value_name = "MODEL")]
    model: String,
    /// Curve: bn254 (the fastest, about 100 bits) or bls12-381 (about 120 bits).
    #[arg(long, default_value = "bn254", value_name = "CURVE", value_parser = curve)]
    curve: ProofCurve,
    /// The folder to write them into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn curve(text: &str) -> Result<ProofCurve, String> {
    ProofCurve::named(text).ok_or_else(|| "use bn254 or bls12-381".to_owned())
}

pub(super) fn proofs(command: &ProofsCommand) -> anyhow::Result<ExitCode> {
    match command {
        ProofsCommand::DevelopmentKeys(args) => development_keys(args),
    }
}

fn development_keys(args: &DevelopmentArgs) -> anyhow::Result<ExitCode> {
    let kind: ModelKind = args.model.parse().context("--model")?;
    let shapes = UpdateShape::shapes_of(&kind.schema());
    let seed = Seed::from_bytes(entropy::nonce()?);
    eprintln!("Making {} keys for {kind} on {} ...", shapes.len(), args.curve);
    let made = make_development_keys(&args.out, args.curve, shapes, &seed)?;
    if args.json {
        let key = |key: &Made| serde_json::json!({ "entries": key.shape.entries(), "bytes": key.bytes, "file": key.path });
        say!("{}", serde_json::Value::from(made.iter().map(key).collect::<Vec<_>>()));
    } else {
        for Made { shape, path, bytes } in &made {
            let path = plain::path(path);
            say!("{path}: chunks of up to {} entries, {bytes} bytes", shape.entries());
        }
    }
    eprintln!(
        "WARNING: these keys are for development: whoever made them can forge proofs. A manifest takes them with \
         --development-keys alone, and says so to everybody."
    );
    let out = plain::path(&args.out);
    eprintln!("Next: longhaul manifest new ... --proofs {out} --development-keys");
    eprintln!("and every member: longhaul join FILE --proving-keys {out}");
    Ok(ExitCode::SUCCESS)
}
