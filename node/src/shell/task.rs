//! From a manifest and a configuration to something that can be trained.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use longhaul_dtn::identity::PeerId;
use longhaul_registry::{Manifest, SignedManifest, TrainingPlan};

use super::config::{Config, DataConfig};
use crate::peer::{TrainRequest, TrainedModel};
use crate::train::data::{edgesense, idx};
use crate::train::{ModelKind, Plan, Split, TrainError, Trainer, open_device};

/// Largest manifest file that is read.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Reads and verifies a manifest file.
pub(super) fn read_manifest(file: &Path) -> anyhow::Result<SignedManifest> {
    let size = std::fs::metadata(file).with_context(|| format!("open {}", file.display()))?.len();
    ensure!(size <= MANIFEST_BYTES_MAX, "{} is no manifest: it has {size} bytes", file.display());
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    SignedManifest::decode(&bytes).with_context(|| {
        format!(
            "{} is no valid manifest; ask the federation's creator for the file",
            file.display()
        )
    })
}

/// Checks that this program knows the manifest's model and its layout.
pub(super) fn check_model(manifest: &Manifest) -> anyhow::Result<ModelKind> {
    let kind: ModelKind = manifest.task.model.parse()?;
    ensure!(
        kind.schema() == *manifest.schema,
        "the manifest lays out model {kind} in another way than this program; use the version that made it"
    );
    Ok(kind)
}

/// Opens the device, loads the peer's data and makes its trainer.
pub(super) fn build(
    config: &Config,
    manifest: &Manifest,
    me: PeerId,
) -> anyhow::Result<(Trainer, String)> {
    let kind = check_model(manifest)?;
    let member = manifest.member_index(&me).with_context(|| match manifest.is_courier(&me) {
        true => format!("{me} is a courier of this federation, which has no model and no data"),
        false => format!(
            "{me} is not a member of the federation in this directory; was the key replaced?"
        ),
    })?;
    let (device, report) = open_device(config.device)?;
    tracing::info!(%report, "training device");
    let (data, own) = match (&config.data, manifest.task.data.as_str()) {
        (DataConfig::Edgesense, "edgesense") => {
            let data = edgesense::of_device(&manifest.seed, u32::from(member.get()));
            let own = (0..).take(data.train().len()).collect();
            (data, own)
        }
        (DataConfig::Idx(folder), "idx") => {
            let data = idx::load(&folder.dir)?;
            let parts =
                folder.partition.assign(data.train().labels(), folder.peers, &folder.seed())?;
            let own = parts.into_iter().nth(folder.index).with_context(|| {
                format!("data.index {} is not below data.peers {}", folder.index, folder.peers)
            })?;
            (data, own)
        }
        (_, wanted) => {
            bail!("the federation trains on {wanted} data; set it under [data] in longhaul.toml")
        }
    };
    Ok((Trainer::new(kind, Arc::new(data), own, device)?, report.to_string()))
}

/// Carries out a request of the peer: the loss of the shared model on the own
/// held-out share, then training.
pub(super) fn carry_out(
    trainer: &Trainer,
    request: &TrainRequest,
) -> Result<TrainedModel, TrainError> {
    let shared = trainer.evaluate(&request.shared, Split::OwnHeldOut)?;
    let trial = request.trial.as_ref().map(|it| trainer.evaluate(it, Split::OwnHeldOut));
    let trial = trial.transpose()?;
    let trained = trainer.train(&request.base, plan(request), &request.seed)?;
    Ok(TrainedModel {
        epoch: request.epoch,
        parameters: trained.parameters,
        samples: trained.samples,
        shared_loss: shared.loss as f32,
        trial_loss: trial.map(|trial| trial.loss as f32),
    })
}

/// The request's plan in the trainer's units.
pub(super) fn plan(request: &TrainRequest) -> Plan {
    let rate = request.plan.rate_micro as f32 / 1e6;
    let TrainingPlan { steps, batch, proximal_milli, momentum_permille, .. } = request.plan;
    let proximal = proximal_milli as f32 / 1e3;
    Plan { steps, batch, rate, proximal, momentum: f32::from(momentum_permille) / 1e3 }
}
