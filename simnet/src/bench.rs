//! Bench: the training work of a run by itself, to tell what the engine costs.
//!
//! [`Questions`] takes down what a run asks of training. The same questions are then
//! answered again in a plain loop, by trainers made in the same way, on the same
//! number of threads; what the run took longer is the engine's. The clock is the
//! caller's.

use std::sync::{Arc, Mutex, PoisonError};

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};

use crate::federation::FederationError;
use crate::learner::{self, Learner, Score};
use crate::pool::Pool;
use crate::run::{RunError, RunOptions};
use crate::scenario::Scenario;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run;
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
}
