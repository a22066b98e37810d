//! What stands behind a peer's `Train` output: real gradients or pseudo-updates.
//!
//! A learner is a pure function of its arguments, so it may run on any thread
//! of the pool at any time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};
use longhaul_node::train::data::partition::Side;
use longhaul_node::train::data::{edgesense, idx};
use longhaul_node::train::{
    Dataset, DatasetError, DeviceChoice, DeviceError, ModelKind, Partition, PartitionError, Plan,
    Split, TrainError, Trainer, open_device,
};
use longhaul_registry::TrainingPlan;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

mod shares;

use crate::faults::groups_by_peer;
use crate::scenario::{self, Scenario, TrainingMode};
use crate::seeds::{self, Node, Purpose};

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
                let floats = trained.parameters.iter().chain([&trained.shared_loss]);
                let floats = floats.chain(&trained.trial_loss);
                let bytes: Vec<u8> = floats.flat_map(|value| value.to_le_bytes()).collect();
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
}

/// Why a scenario's training cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// The kind of data is unknown.
    #[error("task.data: there is no data set `{0}`: use `edgesense` or `idx`")]
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
    /// The data that a peer's features are shifted into is not sound.
    #[error("group.feature_shift: {0}")]
    Shift(#[from] DatasetError),
    /// The data does not fit the model.
    #[error("the data of peer {peer} cannot be trained on: {source}")]
    Trainer {
        /// The peer.
        peer: usize,
        /// What is wrong.
        source: TrainError,
    },
    /// No processor to compute on.
    #[error("training device: {0}")]
    Device(#[from] DeviceError),
}

/// The learner that `scenario` asks for; `data_dir` overrides its folder.
pub fn of_scenario(
    scenario: &Scenario,
    model: &ModelKind,
    data_dir: Option<&Path>,
) -> Result<Arc<dyn Learner>, LearnerError> {
    if scenario.training.mode != TrainingMode::Real {
        return Ok(Arc::new(Synthetic));
    }
    let (data, parts) = shares::prepare(scenario, load(scenario, data_dir.map(Path::to_owned))?)?;
    let data = Arc::new(data);
    let (device, _) = open_device(DeviceChoice::Cpu)?;
    let trainer = |(peer, own): (usize, Vec<u32>)| {
        Trainer::new(model.clone(), data.clone(), own, device.clone())
            .map_err(|source| LearnerError::Trainer { peer, source })
    };
    let trainers = |(peer, stretches): (usize, Vec<Vec<u32>>)| {
        stretches.into_iter().map(|own| trainer((peer, own))).collect::<Result<Vec<_>, _>>()
    };
    let peers = parts.into_iter().enumerate().map(trainers).collect::<Result<_, _>>()?;
    Ok(Arc::new(Gradient { peers, drift_epochs: shares::drift_epochs(scenario) }))
}

/// All samples, and which of them each peer holds.
pub(crate) type Shares = (Dataset, Vec<Vec<u32>>);

fn load(scenario: &Scenario, data_dir: Option<PathBuf>) -> Result<Shares, LearnerError> {
    let peers = scenario.peers.get();
    let seed = |purpose| seeds::bytes(scenario.seed, Node::World, purpose);
    let (data, own) = match scenario.task.data.as_str() {
        "edgesense" => {
            let (data, own) = edgesense::of_devices(&seed(Purpose::Data), u32::from(peers));
            (data, Some(own))
        }
        "idx" => {
            let folder = data_dir.or(scenario.data.dir.clone()).ok_or(LearnerError::NoFolder)?;
            (idx::load(&folder)?, None)
        }
        other => return Err(LearnerError::UnknownData(other.to_owned())),
    };
    let parts = match (&scenario.data.partition, own) {
        (None, Some(own)) => own,
        (partition, _) => {
            let partition = partition.as_ref().unwrap_or(&scenario::Partition::Iid);
            let labels = data.train().labels();
            partitioner(partition, peers).assign(
                labels,
                usize::from(peers),
                &seed(Purpose::Partition),
            )?
        }
    };
    Ok((data, parts))
}

fn partitioner(partition: &scenario::Partition, peers: u16) -> Partition {
    match partition {
        scenario::Partition::Iid => Partition::Iid,
        scenario::Partition::Dirichlet { alpha } => Partition::Dirichlet { alpha: alpha.get() },
        scenario::Partition::Shards { per_peer } => Partition::Shards { per_peer: *per_peer },
        scenario::Partition::Split { alpha, weight, groups } => {
            let side = |group| if group == 0 { Side::Low } else { Side::High };
            let sides = groups_by_peer(groups, usize::from(peers)).into_iter().map(side).collect();
            Partition::Split { alpha: alpha.get(), sides, weight: weight.get() }
        }
    }
}

/// Gradient steps on each peer's own share of the data.
#[derive(Debug)]
struct Gradient {
    /// The trainers of each peer, in the order of the scenario; never empty. One
    /// each, or one for each stretch of drifting data.
    peers: Vec<Vec<Trainer>>,
    /// How long each stretch is, for peers whose data drifts.
    drift_epochs: Vec<Option<u32>>,
}

impl Gradient {
    fn trainer(&self, peer: u16, epoch: u32) -> Option<&Trainer> {
        let peer = usize::from(peer);
        let stretches = self.peers.get(peer)?;
        let passed = match self.drift_epochs.get(peer).copied().flatten() {
            Some(length) => usize::try_from(epoch / length).unwrap_or_default(),
            None => 0,
        };
        stretches.get(passed % stretches.len().max(1))
    }
}

impl Learner for Gradient {
    fn train(&self, peer: u16, request: &TrainRequest) -> Result<TrainedModel, String> {
        let trainer = self.trainer(peer, request.epoch.get()).ok_or("the peer has no data")?;
        let trained = trainer
            .train(&request.base, plan(&request.plan), &request.seed)
            .map_err(|error| error.to_string())?;
        let loss = |parameters: &[f32]| {
            let evaluation = trainer.evaluate(parameters, Split::OwnHeldOut);
            evaluation.map(|it| it.loss as f32).map_err(|error| error.to_string())
        };
        Ok(TrainedModel {
            epoch: request.epoch,
            parameters: trained.parameters,
            samples: trained.samples,
            shared_loss: loss(&request.shared)?,
            trial_loss: request.trial.as_ref().map(|trial| loss(trial)).transpose()?,
        })
    }

    fn score(&self, parameters: &[f32]) -> Option<Score> {
        let evaluation = self.peers.first()?.first()?.evaluate(parameters, Split::Test).ok()?;
        Some(Score { accuracy: evaluation.accuracy, loss: evaluation.loss })
    }
}

fn plan(plan: &TrainingPlan) -> Plan {
    let rate = f64::from(plan.rate_micro) / 1_000_000.0;
    Plan { steps: plan.steps, batch: plan.batch, rate: rate as f32 }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use longhaul_aggregation::Epoch;

    fn request(seed: u8) -> TrainRequest {
        TrainRequest {
            epoch: Epoch::new(3),
            base: Arc::new(vec![0.5; 8]),
            shared: Arc::new(vec![0.5; 8]),
            trial: None,
            plan: TrainingPlan { steps: 2, batch: 4, rate_micro: 1 },
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
        let error = of_scenario(&scenario, &model, None).expect_err("no folder");
        assert!(matches!(error, LearnerError::NoFolder), "{error}");
        let missing = Path::new("no-such-folder");
        let error = of_scenario(&scenario, &model, Some(missing)).expect_err("no files");
        assert!(error.to_string().contains("no-such-folder"), "{error}");
    }

    #[test]
    fn unknown_data_is_refused() {
        let mut scenario = testing::scenario();
        scenario.training.mode = TrainingMode::Real;
        scenario.task.data = "imagenet".to_owned();
        let model = "edgesense-cnn".parse().expect("a model");
        let error = of_scenario(&scenario, &model, None).expect_err("no such data");
        assert!(matches!(error, LearnerError::UnknownData(_)), "{error}");
    }

    #[test]
    fn a_split_puts_each_group_on_its_side() {
        let groups = vec![vec![1, 2], vec![0, 3]];
        let alpha = 0.3.try_into().expect("an alpha");
        let weight = 0.05.try_into().expect("a weight");
        let split = scenario::Partition::Split { alpha, weight, groups };
        let sides = vec![Side::High, Side::Low, Side::Low, Side::High];
        assert_eq!(partitioner(&split, 4), Partition::Split { alpha: 0.3, sides, weight: 0.05 });
    }
}
