//! Snapshots: what a run was told that cost much, so that a killed run goes on.
//!
//! Nearly all the work of a training run is training. So a snapshot holds no state of
//! machines, links and queues, which would be a second, delicate form of all of them,
//! but the answers of the effects: trained models and measured scores, each under a
//! hash of its whole question. Who goes on runs the same deterministic engine from the
//! start, takes the answers that are there and trains for the rest. The same answers
//! serve a run of a changed scenario, as far as it asks the same questions.
//!
//! The file is only appended to. A record that was torn or damaged is passed over and
//! what it said is computed again. Marks say where the run stood, so that a run that
//! goes on can show that it is the same run. Files are the caller's: this module is
//! given something to read, write and seek in.

mod answers;
mod record;

use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;
use longhaul_node::peer::{TrainRequest, TrainedModel};

pub use answers::{Answers, Counts, Origin, SnapshotError, Storage};
pub use record::Mark;

use crate::learner::{Learner, Score};
use record::{Key, Record};

/// A learner that asks `answers` first and tells them what is new.
#[derive(Debug)]
pub(crate) struct Remembering {
    learner: Arc<dyn Learner>,
    answers: Arc<Answers>,
    subject: ContentHash,
}

impl Remembering {
    pub(crate) fn new(learner: Arc<dyn Learner>, answers: Arc<Answers>) -> Self {
        Self { subject: learner.subject(), learner, answers }
    }
}

impl Learner for Remembering {
    fn train(&self, peer: u16, request: &TrainRequest) -> Result<TrainedModel, String> {
        let key = Key::of_request(&self.subject, peer, request);
        if let Some(Record::Trained(known)) = self.answers.get(&key) {
            return known;
        }
        let trained = self.learner.train(peer, request);
        self.answers.put(key, &Record::Trained(trained.clone()));
        trained
    }

    fn score(&self, parameters: &[f32]) -> Option<Score> {
        let key = Key::of_model(&self.subject, parameters);
        if let Some(Record::Scored(known)) = self.answers.get(&key) {
            return known;
        }
        let score = self.learner.score(parameters);
        self.answers.put(key, &Record::Scored(score));
        score
    }

    fn subject(&self) -> ContentHash {
        self.subject
    }
}
