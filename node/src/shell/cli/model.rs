//! `longhaul model ls | export | eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use longhaul_aggregation::{ModelId, Parameters, Schema};
use longhaul_registry::Record;
use safetensors::tensor::{Dtype, TensorView};

use super::DirArg;
use super::export::keep_out_of;
use crate::peer::{Peer, PeerConfig};
use crate::shell::cli::say;
use crate::shell::config::Config;
use crate::shell::fresh::{self, Readers};
use crate::shell::store::{Snapshot, Store};
use crate::shell::task;
use crate::train::Split;

/// The `model` commands.
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// List the versions in the log, oldest first.
    #[command(after_help = "Example:\n  longhaul model ls --json")]
    Ls {
        #[command(flatten)]
        dir: DirArg,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Write the model that the log and payloads give, as safetensors (F32).
    #[command(after_help = "Example:\n  longhaul model export --out model.safetensors")]
    Export {
        #[command(flatten)]
        dir: DirArg,
        /// Where to write the file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Measure the model on the held-out set of the configured data.
    #[command(after_help = "Example:\n  longhaul model eval --json")]
    Eval(EvalArgs),
}

/// Arguments of `model eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    dir: DirArg,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn model(command: &ModelCommand) -> anyhow::Result<ExitCode> {
    match command {
        ModelCommand::Ls { dir, json } => ls(&Store::read(&dir.dir)?, *json)?,
        ModelCommand::Export { dir, out } => {
            keep_out_of(&dir.dir, out)?;
            let snapshot = Store::read(&dir.dir)?;
            let schema = snapshot.manifest.manifest().schema.clone();
            let (id, parameters) = fold(snapshot, dir)?;
            write_safetensors(&schema, &parameters, id, out)?;
            say!("{id}");
        }
        ModelCommand::Eval(args) => eval(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn ls(snapshot: &Snapshot, json: bool) -> anyhow::Result<()> {
    let mut versions = Vec::new();
    for entry in &snapshot.restored.entries {
        let Record::Version { epoch, model, updates, .. } = &entry.entry().record else { continue };
        let (epoch, model) = (epoch.get(), model.to_string());
        if json {
            versions
                .push(serde_json::json!({ "epoch": epoch, "model": model, "updates": updates }));
        } else {
            say!("epoch {epoch:>6}  {updates:>7} updates  {model}");
        }
    }
    if json {
        say!("{}", serde_json::to_string_pretty(&versions)?);
    }
    Ok(())
}

fn fold(snapshot: Snapshot, dir: &DirArg) -> anyhow::Result<(ModelId, Parameters)> {
    let key = Store::key(&dir.dir)?;
    let config = PeerConfig { manifest: snapshot.manifest.into(), key, nonce: [0; 32], memo: None };
    let mut peer = Peer::new(config, snapshot.restored).context("fold the log")?;
    let missing = peer.status().missing;
    ensure!(
        missing == 0,
        "{missing} payloads that the log names are missing or damaged; run `longhaul up --dir {}` to fetch them again",
        dir.dir.display()
    );
    let id = peer.fold().model_id();
    Ok((id, peer.model().clone()))
}

fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let snapshot = Store::read(&args.dir.dir)?;
    let config = Config::load(&args.dir.dir)?;
    let me = Store::key(&args.dir.dir)?.peer_id();
    let (trainer, _) = task::build(&config, snapshot.manifest.manifest(), me)?;
    let (id, parameters) = fold(snapshot, &args.dir)?;
    let result = trainer.evaluate(&parameters.to_f32(), Split::Test)?;
    if args.json {
        let (accuracy, loss, count) = (result.accuracy, result.loss, result.count);
        let value = serde_json::json!({ "model": id.to_string(), "accuracy": accuracy, "loss": loss, "samples": count });
        say!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        say!("model    {id}");
        say!("accuracy {:.4} on {} held-out samples", result.accuracy, result.count);
        say!("loss     {:.4}", result.loss);
    }
    Ok(())
}

fn write_safetensors(
    schema: &Schema,
    parameters: &Parameters,
    id: ModelId,
    out: &std::path::Path,
) -> anyhow::Result<()> {
    let bytes: Vec<u8> = parameters.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::new();
    let mut start = 0;
    for tensor in schema.tensors() {
        let shape: Vec<usize> = tensor.shape().iter().map(|&size| size as usize).collect();
        let end = start + 4 * shape.iter().product::<usize>();
        let Some(data) = bytes.get(start..end) else { bail!("the model does not fit its schema") };
        views.push((tensor.name().to_owned(), TensorView::new(Dtype::F32, shape, data)?));
        start = end;
    }
    let about = [("longhaul.model".to_owned(), id.to_string())].into_iter().collect();
    let encoded = safetensors::serialize(views, Some(about))?;
    fresh::replace(out, Readers::Any, |file| Ok(file.write_all(&encoded)?))
}
