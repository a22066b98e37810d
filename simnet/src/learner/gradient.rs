//! Gradient steps with burn on each peer's own share of the data.
//!
//! What a peer trains with is made on the worker that first trains for it. It is a
//! pure function of the scenario, so who makes it when does not show; what fits
//! into a bound is kept, and the rest is made anew each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};
use longhaul_node::train::device::Device;
use longhaul_node::train::{
    Dataset, DeviceChoice, ModelKind, Plan, Split, TrainError, Trainer, open_device,
};
use longhaul_registry::TrainingPlan;

use super::poison::{Poisons, poisoned};
use super::shares::Shares;
use super::source::Source;
use super::{Learner, LearnerError, Score};
use crate::scenario::{Attack, Scenario};

/// Bytes of samples and indices that all kept trainers have together: room for the
/// 240 windows of 1,300 sensors. To make one sensor's anew takes about as long as
/// one step.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// The trainers of a peer, one for each stretch of its data; never empty.
type Trainers = Arc<Vec<Trainer>>;

/// Trains with burn.
#[derive(Debug)]
pub(super) struct Gradient {
    source: Source,
    shares: Shares,
    poisons: Poisons,
    workshop: Workshop,
    kept: Mutex<Kept>,
    /// Measures with the held-out data of the task.
    scorer: OnceLock<Option<Trainer>>,
}

/// What every trainer is made with.
#[derive(Debug)]
struct Workshop {
    model: ModelKind,
    device: Device,
}

#[derive(Debug, Default)]
struct Kept {
    /// By peer, and whether it trains on changed samples.
    trainers: BTreeMap<(u16, bool), Trainers>,
    bytes: usize,
}

impl Gradient {
    /// What `scenario` asks for; reads files, but generates nothing.
    pub(super) fn new(
        scenario: &Scenario,
        model: &ModelKind,
        data_dir: Option<&Path>,
    ) -> Result<Self, LearnerError> {
        let source = Source::of(scenario, model, data_dir)?;
        let (features, classes) = source.shape();
        let (inputs, outputs) = (model.inputs(), model.outputs());
        if features != inputs || classes > outputs {
            let misfit = TrainError::DataShape { inputs, outputs, features, classes };
            return Err(LearnerError::Misfit(misfit));
        }
        let (device, _) = open_device(DeviceChoice::Cpu)?;
        Ok(Self {
            source,
            shares: Shares::of(scenario),
            poisons: Poisons::of(scenario),
            workshop: Workshop { model: model.clone(), device },
            kept: Mutex::default(),
            scorer: OnceLock::new(),
        })
    }

    fn trainers(&self, peer: u16, poison: Option<Attack>) -> Result<Trainers, String> {
        let place = (peer, poison.is_some());
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().trainers.get(&place) {
            return Ok(known.clone());
        }
        let share = self.shares.share(&self.source, peer);
        let share = match poison {
            Some(attack) => share.and_then(|share| poisoned(&share, attack)),
            None => share,
        };
        let share = share.map_err(|error| error.to_string())?;
        // A peer's trainer never measures with the task's held-out data; the scorer does.
        let data = Dataset::new(share.samples.clone(), share.samples.clone());
        let data = Arc::new(data.map_err(|error| error.to_string())?);
        let own_bytes = if share.is_own_set { size_of_val(share.samples.inputs()) } else { 0 };
        let bytes = share.stretches.iter().fold(own_bytes, |sum, it| sum + size_of_val(&it[..]));
        let trainer = |own: Vec<u32>| self.workshop.trainer(data.clone(), own);
        let made: Vec<Trainer> =
            share.stretches.into_iter().map(trainer).collect::<Result<_, _>>()?;
        let made = Arc::new(made);
        kept().keep(place, &made, bytes);
        Ok(made)
    }

    fn scorer(&self) -> Option<&Trainer> {
        let make = || {
            let test = self.source.test();
            let data = Arc::new(Dataset::new(test.clone(), test).ok()?);
            self.workshop.trainer(data, vec![0, 1]).ok()
        };
        self.scorer.get_or_init(make).as_ref()
    }
}

impl Workshop {
    fn trainer(&self, data: Arc<Dataset>, own: Vec<u32>) -> Result<Trainer, String> {
        Trainer::new(self.model.clone(), data, own, self.device.clone())
            .map_err(|error| error.to_string())
    }
}

impl Kept {
    /// Keeps what fits. Peers train in turn, so what is replaced would be wanted
    /// before what replaces it; the first to come stay.
    fn keep(&mut self, place: (u16, bool), made: &Trainers, bytes: usize) {
        if self.bytes + bytes <= KEPT_BYTES_MAX && !self.trainers.contains_key(&place) {
            self.bytes += bytes;
            self.trainers.insert(place, made.clone());
        }
    }
}

impl Learner for Gradient {
    fn train(&self, peer: u16, request: &TrainRequest) -> Result<TrainedModel, String> {
        let poison = self.poisons.at(peer, request.epoch.get());
        let trainers = self.trainers(peer, poison)?;
        let passed = self.shares.passed(peer, request.epoch.get());
        let trainer = trainers.get(passed % trainers.len().max(1)).ok_or("the peer has no data")?;
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
        let evaluation = self.scorer()?.evaluate(parameters, Split::Test).ok()?;
        Some(Score { accuracy: evaluation.accuracy, loss: evaluation.loss })
    }

    fn subject(&self) -> ContentHash {
        let parts = [Some(self.source.name()), Some(self.shares.name()), self.poisons.name()];
        let model = self.workshop.model.to_string();
        let parts = parts.iter().flatten().map(|part| &part.as_bytes()[..]);
        ContentHash::of(&parts.chain([model.as_bytes()]).collect::<Vec<_>>().concat())
    }
}

fn plan(plan: &TrainingPlan) -> Plan {
    let rate = f64::from(plan.rate_micro) / 1_000_000.0;
    let TrainingPlan { steps, batch, proximal_milli, momentum_permille, .. } = *plan;
    let proximal = proximal_milli as f32 / 1e3;
    Plan { steps, batch, rate: rate as f32, proximal, momentum: f32::from(momentum_permille) / 1e3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::{self, Node, Purpose};
    use crate::testing;
    use longhaul_aggregation::{Epoch, Parameters};
    use longhaul_node::train::data::edgesense;

    fn gradient(scenario: &Scenario) -> Gradient {
        let model = "edgesense-cnn".parse().expect("a model");
        Gradient::new(scenario, &model, None).expect("built-in data")
    }

    fn request(gradient: &Gradient, epoch: u32) -> TrainRequest {
        let schema = gradient.workshop.model.schema();
        let base = Arc::new(Parameters::initial(&schema, &[1; 32]).to_f32());
        TrainRequest {
            epoch: Epoch::new(epoch),
            shared: base.clone(),
            trial: None,
            base,
            plan: TrainingPlan::plain(3, 8, 100_000),
            seed: [7; 32],
        }
    }

    /// As all trainers were made before the first event once: from one set of all
    /// devices.
    fn together(gradient: &Gradient, peer: u16, request: &TrainRequest) -> (Vec<f32>, f64, f64) {
        let seed = seeds::bytes(testing::scenario().seed, Node::World, Purpose::Data);
        let (data, mut own) = edgesense::of_devices(&seed, 4);
        let own = own.swap_remove(usize::from(peer));
        let trainer = gradient.workshop.trainer(Arc::new(data), own).expect("a trainer");
        let trained = trainer.train(&request.base, plan(&request.plan), &request.seed);
        let parameters = trained.expect("training").parameters;
        let loss = |split| trainer.evaluate(&request.shared, split).expect("a loss").loss;
        (parameters, loss(Split::OwnHeldOut), loss(Split::Test))
    }

    #[test]
    fn trains_as_if_all_data_had_been_made_at_once() {
        let gradient = gradient(&testing::scenario());
        let request = request(&gradient, 0);
        for peer in [2, 0, 2] {
            let (parameters, own_loss, test_loss) = together(&gradient, peer, &request);
            let trained = gradient.train(peer, &request).expect("training");
            assert_eq!(trained.parameters, parameters);
            assert_eq!(trained.shared_loss, own_loss as f32);
            assert_eq!(gradient.score(&request.shared).expect("a score").loss, test_loss);
        }
    }

    #[test]
    fn nothing_is_generated_before_somebody_trains_or_measures() {
        let gradient = gradient(&testing::scenario());
        assert!(gradient.kept.lock().expect("a lock").trainers.is_empty());
        gradient.train(1, &request(&gradient, 0)).expect("training");
        let kept = gradient.kept.lock().expect("a lock");
        assert_eq!(kept.trainers.keys().collect::<Vec<_>>(), [&(1, false)]);
        assert_eq!(kept.bytes, 240 * (96 * 4 + 4));
        assert!(gradient.scorer.get().is_none());
    }

    #[test]
    fn what_does_not_fit_is_made_anew_and_gives_the_same() {
        let gradient = gradient(&testing::scenario());
        gradient.kept.lock().expect("a lock").bytes = KEPT_BYTES_MAX;
        let train = || gradient.train(1, &request(&gradient, 0)).expect("training").parameters;
        assert_eq!(train(), train());
        assert!(gradient.kept.lock().expect("a lock").trainers.is_empty());
    }

    #[test]
    fn the_subject_names_data_shares_and_seed() {
        let plain = testing::scenario();
        let seed = Scenario { seed: 2, ..plain.clone() };
        let mut split = plain.clone();
        split.data.partition = Some(crate::scenario::Partition::Iid);
        let mut fewer = plain.clone();
        fewer.data.samples_per_peer_max = Some(crate::scenario::Count::new(50));
        let mut faster = plain.clone();
        faster.training.pace_ms = 1.try_into().expect("a pace");
        let subject = |scenario: &Scenario| gradient(scenario).subject();
        assert_eq!(subject(&plain), subject(&faster));
        let subjects = [&plain, &seed, &split, &fewer].map(subject);
        for (index, subject) in subjects.iter().enumerate() {
            assert!(!subjects[..index].contains(subject), "{index}");
        }
    }

    #[test]
    fn drifting_data_changes_with_the_epochs() {
        let mut scenario = testing::scenario();
        scenario.group = scenario.groups();
        scenario.group[0].drift_epochs = Some(2.try_into().expect("epochs"));
        let gradient = gradient(&scenario);
        let train = |epoch| gradient.train(1, &request(&gradient, epoch)).expect("training");
        assert_eq!(train(0).parameters, train(1).parameters);
        assert_ne!(train(0).parameters, train(2).parameters);
        assert_eq!(train(0).parameters, train(8).parameters);
    }
}
