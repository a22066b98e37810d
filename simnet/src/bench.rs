//! Bench: what a run is measured against.
//!
//! # Training alone
//!
//! [`Questions`] takes down what a run asks of training. The same questions are then
//! answered again in a plain loop, by trainers made in the same way, on the same
//! number of threads; what the run took longer is the engine's. The clock is the
//! caller's.
//!
//! # Everybody at once
//!
//! [`federated_averaging`] is synchronous FedAvg (McMahan et al., AISTATS 2017, arXiv
//! 1602.05629) with all peers in every round and one round for each epoch: no network,
//! no bundles, no quantisation, nothing late. No schedule of contacts can give a
//! federation of the same work in which everybody publishes more than this.

use std::sync::{Arc, Mutex, PoisonError};

use longhaul_aggregation::{Epoch, Parameters};
use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};

use crate::federation::{Federation, FederationError};
use crate::learner::{self, Learner, Score};
use crate::pool::Pool;
use crate::run::{RunError, RunOptions};
use crate::scenario::Scenario;

const BATCHES_CONTEXT: &str = "longhaul 2026 simnet bench batches v1";

/// What a run asked, in the order in which workers came to it; keeps every model that
/// was asked about in memory.
#[derive(Debug, Default)]
pub struct Questions(Mutex<Vec<Question>>);

#[derive(Debug, Clone)]
enum Question {
    Train(u16, TrainRequest),
    Score(Vec<f32>),
}

impl Questions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// True if nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers all of them once more, with data and trainers made anew.
    pub fn again(&self, scenario: &Scenario, options: &RunOptions) -> Result<(), RunError> {
        let model = scenario.task.model.parse().map_err(FederationError::Model)?;
        let learner = learner::of_run(scenario, &model, options)?;
        let pool = Pool::new(options.workers);
        let pending: Vec<_> = self
            .all()
            .into_iter()
            .map(|question| {
                let learner = learner.clone();
                pool.submit(move || question.ask(&*learner))
            })
            .collect();
        for answer in pending {
            answer.join()?;
        }
        Ok(())
    }

    fn all(&self) -> Vec<Question> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, question: Question) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(question);
    }
}

impl Question {
    fn ask(&self, learner: &dyn Learner) {
        match self {
            Self::Train(peer, request) => drop(learner.train(*peer, request)),
            Self::Score(parameters) => drop(std::hint::black_box(learner.score(parameters))),
        }
    }
}

/// A learner that takes down what it is asked.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) learner: Arc<dyn Learner>,
    pub(crate) questions: Arc<Questions>,
}

impl Learner for Recording {
    fn train(&self, peer: u16, request: &TrainRequest) -> Result<TrainedModel, String> {
        self.questions.add(Question::Train(peer, request.clone()));
        self.learner.train(peer, request)
    }

    fn score(&self, parameters: &[f32]) -> Option<Score> {
        self.questions.add(Question::Score(parameters.to_vec()));
        self.learner.score(parameters)
    }

    fn subject(&self) -> ContentHash {
        self.learner.subject()
    }
}

/// Trains all peers of the scenario in every epoch from one model, goes on from the mean
/// of what they come to, and measures the last; none where there is nothing to measure.
/// Faults, attackers, contacts and the recipe are not heeded.
pub fn federated_averaging(
    scenario: &Scenario,
    options: &RunOptions,
) -> Result<Option<Score>, RunError> {
    let federation = Federation::new(scenario)?;
    let manifest = federation.manifest.manifest();
    let learner = learner::of_run(scenario, &federation.model, options)?;
    let pool = Pool::new(options.workers);
    let mut model = Arc::new(Parameters::initial(&manifest.schema, &manifest.seed).to_f32());
    for epoch in (0..scenario.epochs.get()).map(Epoch::new) {
        let ask = |peer: u16| {
            let (learner, base) = (learner.clone(), model.clone());
            let seed = [&scenario.seed.to_le_bytes()[..], &epoch.get().to_le_bytes()].concat();
            let seed = [&seed[..], &peer.to_le_bytes()].concat();
            let request = TrainRequest {
                epoch,
                shared: base.clone(),
                base,
                trial: None,
                plan: manifest.training,
                seed: *ContentHash::derive(BATCHES_CONTEXT, &seed).as_bytes(),
            };
            pool.submit(move || learner.train(peer, &request))
        };
        let pending: Vec<_> = (0..scenario.peers.get()).map(ask).collect();
        let mut sums = vec![0.0; model.len()];
        for trained in pending {
            let trained = trained.join()?.map_err(RunError::Training)?;
            for (sum, value) in sums.iter_mut().zip(trained.parameters) {
                *sum += f64::from(value);
            }
        }
        let count = f64::from(scenario.peers.get());
        model = Arc::new(sums.into_iter().map(|sum| (sum / count) as f32).collect());
    }
    Ok(learner.score(&model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;
    use crate::scenario::TrainingMode;
    use crate::testing;

    #[test]
    fn takes_down_what_a_run_asks_and_changes_nothing() {
        let scenario = testing::scenario();
        let questions: Arc<Questions> = Arc::default();
        assert!(questions.is_empty());
        let options = RunOptions { questions: Some(questions.clone()), ..RunOptions::default() };
        let report = run(&scenario, &options).expect("a run");
        assert_eq!(report, run(&scenario, &RunOptions::default()).expect("a run"));
        let all = questions.all();
        let trainings = all.iter().filter(|it| matches!(it, Question::Train(..))).count();
        // Four peers in three epochs; models are measured besides.
        assert!(trainings == 12 && all.len() > 12, "{all:?}");
        questions.again(&scenario, &RunOptions::default()).expect("the same work");
        assert_eq!(questions.len(), all.len());
    }

    #[test]
    fn averaging_everybody_goes_on_from_the_mean() {
        let mut scenario = testing::scenario();
        scenario.training.mode = TrainingMode::Real;
        scenario.task.model = "edgesense-cnn".to_owned();
        let score = |epochs: u32, scenario: &Scenario| {
            let epochs = epochs.try_into().expect("not zero");
            let scenario = Scenario { epochs, ..scenario.clone() };
            let score = federated_averaging(&scenario, &RunOptions::default()).expect("a run");
            score.expect("held-out data")
        };
        let (early, late) = (score(1, &scenario), score(8, &scenario));
        assert!(late.loss < early.loss, "{early:?} {late:?}");
        assert_eq!(score(8, &scenario), late);
        scenario.training.mode = TrainingMode::Synthetic;
        let nothing = federated_averaging(&scenario, &RunOptions::default()).expect("a run");
        assert_eq!(nothing, None);
    }
}
