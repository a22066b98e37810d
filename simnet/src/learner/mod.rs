//! What stands behind a peer's `Train` output: real gradients or pseudo-updates.
//!
//! A learner is a pure function of its arguments, so it may run on any thread
//! of the pool at any time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};
use longhaul_node::train::data::idx;
use longhaul_node::train::{DeviceError, ModelKind, PartitionError, TrainError};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

mod gradient;
mod poison;
mod shares;
mod source;

use crate::run::RunOptions;
use crate::scenario::{Scenario, TrainingMode};
use gradient::Gradient;

/// How well a model does on the held-out data of the task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Share of samples whose class it finds.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
}

/// What training gave, and a digest of it for the trace.
#[derive(Debug)]
pub struct Outcome {
    /// The trained model, or what went wrong.
    pub result: Result<TrainedModel, String>,
    /// blake3 of the parameters and the loss.
    pub digest: ContentHash,
}

impl Outcome {
    /// Carries out the request of `peer`.
    pub fn of(learner: &dyn Learner, peer: u16, request: &TrainRequest) -> Self {
        let result = learner.train(peer, request);
        let digest = match &result {
            Ok(trained) => {
                let losses = [Some(trained.shared_loss), trained.trial_loss];
                let mut bytes = Vec::with_capacity(4 * (trained.parameters.len() + losses.len()));
                let floats = trained.parameters.iter().chain(losses.iter().flatten());
                floats.for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                ContentHash::of(&bytes)
            }
            Err(why) => ContentHash::of(why.as_bytes()),
        };
        Self { result, digest }
    }
}

/// Trains and measures on behalf of the peers.
pub trait Learner: Send + Sync + fmt::Debug {
    /// Carries out the request of `peer`; errors are for people.
    fn train(&self, peer: u16, request: &TrainRequest) -> Result<TrainedModel, String>;

    /// Measures a model; none where there is nothing to measure.
    fn score(&self, parameters: &[f32]) -> Option<Score>;

    /// Names everything besides their arguments that the answers depend on.
    fn subject(&self) -> ContentHash;
}

/// Why a scenario's training cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// The kind of data is unknown.
    #[error("task.data: there is no data set `{0}`: use `edgesense`, `idx` or `noise`")]
    UnknownData(String),
    /// The data is in files and nobody said where.
    #[error("data.dir: `idx` data is read from files: name their folder there, or with --data DIR")]
    NoFolder,
    /// The files cannot be used.
    #[error("data.dir: {0}")]
    Idx(#[from] idx::IdxError),
    /// The data cannot be divided as asked.
    #[error("data.partition: {0}")]
    Partition(#[from] PartitionError),
    /// The data does not fit the model.
    #[error("task.model: {0}")]
    Misfit(TrainError),
    /// No processor to compute on.
    #[error("training device: {0}")]
    Device(#[from] DeviceError),
}

/// The learner that `scenario` asks for, with the data that `options` names.
///
/// What does not fit is told here; but for files, the data itself is made when it
/// is needed.
pub fn of_run(
    scenario: &Scenario,
    model: &ModelKind,
    options: &RunOptions,
) -> Result<Arc<dyn Learner>, LearnerError> {
    if scenario.training.mode != TrainingMode::Real {
        return Ok(Arc::new(Synthetic));
    }
    Ok(Arc::new(Gradient::new(scenario, model, options.data_dir.as_deref())?))
}

/// The folder of the files that a run of `scenario` reads its samples from, if it does;
/// `data_dir` goes before the scenario's own.
pub fn data_folder(
    scenario: &Scenario,
    data_dir: Option<&Path>,
) -> Result<Option<PathBuf>, LearnerError> {
    let reads = scenario.training.mode == TrainingMode::Real && scenario.task.data == "idx";
    if !reads {
        return Ok(None);
    }
    source::folder(scenario, data_dir).map(|folder| Some(folder.to_path_buf()))
}

/// Names the samples that the files in `folder` hold: other files, another hash.
pub fn data_content(folder: &Path) -> Result<ContentHash, LearnerError> {
    source::content(folder)
}

/// Adds a small number to every parameter: enough for the protocol to carry,
/// equal on every machine, and nothing to learn.
#[derive(Debug)]
struct Synthetic;

/// Pseudo-changes are whole multiples of this, exact in 32-bit floats.
const SYNTHETIC_STEP: f32 = 1.0 / 16_384.0;

impl Learner for Synthetic {
    fn train(&self, _peer: u16, request: &TrainRequest) -> Result<TrainedModel, String> {
        let mut changes = vec![0; request.base.len()];
        ChaCha20Rng::from_seed(request.seed).fill_bytes(&mut changes);
        let moved = |(&value, &change): (&f32, &u8)| {
            value + f32::from(i16::from(change) - 128) * SYNTHETIC_STEP
        };
        Ok(TrainedModel {
            epoch: request.epoch,
            parameters: request.base.iter().zip(&changes).map(moved).collect(),
            samples: request.plan.samples_max(),
            shared_loss: 1.0,
            trial_loss: request.trial.as_ref().map(|_| 1.0),
        })
    }

    fn score(&self, _parameters: &[f32]) -> Option<Score> {
        None
    }

    fn subject(&self) -> ContentHash {
        ContentHash::of(b"synthetic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use longhaul_aggregation::Epoch;
    use longhaul_registry::TrainingPlan;

    fn request(seed: u8) -> TrainRequest {
        TrainRequest {
            epoch: Epoch::new(3),
            base: Arc::new(vec![0.5; 8]),
            shared: Arc::new(vec![0.5; 8]),
            trial: None,
            plan: TrainingPlan::plain(2, 4, 1),
            seed: [seed; 32],
        }
    }

    #[test]
    fn synthetic_training_follows_the_seed() {
        let train = |seed| Synthetic.train(0, &request(seed)).expect("synthetic training");
        assert_eq!(train(1).parameters, train(1).parameters);
        assert_ne!(train(1).parameters, train(2).parameters);
        assert_eq!((train(1).epoch, train(1).samples), (Epoch::new(3), 8));
    }

    #[test]
    fn idx_data_needs_a_folder() {
        let mut scenario = testing::scenario();
        scenario.training.mode = TrainingMode::Real;
        scenario.task.data = "idx".to_owned();
        let model = "mlp:784-32-10".parse().expect("a model");
        let error = of_run(&scenario, &model, &RunOptions::default()).expect_err("no folder");
        assert!(matches!(error, LearnerError::NoFolder), "{error}");
        let data_dir = Some("no-such-folder".into());
        let options = RunOptions { data_dir, ..RunOptions::default() };
        let error = of_run(&scenario, &model, &options).expect_err("no files");
        assert!(error.to_string().contains("no-such-folder"), "{error}");
    }

    #[test]
    fn unknown_data_is_refused() {
        let mut scenario = testing::scenario();
        scenario.training.mode = TrainingMode::Real;
        scenario.task.data = "imagenet".to_owned();
        let model = "edgesense-cnn".parse().expect("a model");
        let error = of_run(&scenario, &model, &RunOptions::default()).expect_err("no such data");
        assert!(matches!(error, LearnerError::UnknownData(_)), "{error}");
    }

    #[test]
    fn a_model_that_the_data_does_not_fit_is_refused_at_once() {
        let mut scenario = testing::scenario();
        scenario.training.mode = TrainingMode::Real;
        let model = "mlp:784-32-10".parse().expect("a model");
        let error = of_run(&scenario, &model, &RunOptions::default()).expect_err("96 inputs");
        assert!(error.to_string().starts_with("task.model: the model takes 784"), "{error}");
    }
}
