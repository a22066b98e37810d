//! The training thread: local steps, the lonely twin, and evaluation.
//!
//! One job at a time, in order. Training floats never leave this thread but as
//! the answer to a request; what the federation shares is quantised by the
//! peer.

use std::sync::mpsc::{Receiver, Sender, channel};

use longhaul_aggregation::{Epoch, ModelId, Parameters};
use longhaul_registry::SignedManifest;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::peer::{TrainRequest, TrainedModel};
use crate::shell::task;
use crate::train::{Evaluation, Split, Trainer};

#[derive(Debug)]
enum Job {
    Train(TrainRequest),
    Evaluate { model: ModelId, parameters: Vec<f32> },
}

/// What the thread finished.
#[derive(Debug)]
pub(super) enum Done {
    /// Training succeeded.
    Trained(TrainedModel),
    /// Training failed; the epoch stays without an own update.
    Failed { epoch: Epoch, why: String },
    /// Accuracy of the model that trains alone.
    Alone(f64),
    /// A model was evaluated on the held-out set.
    Evaluated { model: ModelId, evaluation: Evaluation },
}

/// The way to the training thread; a courier has none.
#[derive(Debug)]
pub(super) struct Work {
    jobs: Sender<Job>,
    /// Keeps the answers open where there is no thread to give any.
    idle: Option<UnboundedSender<Done>>,
}

/// The thread's state: the trainer and, for comparison, a model that starts
/// where the federation starts and never hears of it again.
struct Bench {
    trainer: Trainer,
    alone: Option<Vec<f32>>,
}

impl Work {
    /// Starts the thread; it ends with this value. Without a trainer there is none.
    pub(super) fn start(
        trainer: Option<Trainer>,
        manifest: &SignedManifest,
        alone: bool,
    ) -> (Self, UnboundedReceiver<Done>) {
        let (jobs, incoming) = channel();
        let (answers, done) = unbounded_channel();
        let manifest = manifest.manifest();
        let initial = Parameters::initial(&manifest.schema, &manifest.seed).to_f32();
        match trainer {
            Some(trainer) => {
                let bench = Bench { trainer, alone: alone.then_some(initial) };
                std::thread::spawn(move || bench.serve(&incoming, &answers));
                (Self { jobs, idle: None }, done)
            }
            // Nobody answers; the end of the answers would be the end of the thread.
            None => (Self { jobs, idle: Some(answers) }, done),
        }
    }

    /// Queues training; the peer has one request under way at most.
    pub(super) fn train(&self, request: TrainRequest) {
        self.queue(Job::Train(request));
    }

    /// Queues an evaluation; the driver has one under way at most.
    pub(super) fn evaluate(&self, model: ModelId, parameters: Vec<f32>) {
        self.queue(Job::Evaluate { model, parameters });
    }

    fn queue(&self, job: Job) {
        // The thread ends only after a panic, which the driver sees as the end
        // of its answers.
        let _ = self.jobs.send(job);
    }

    /// True where nothing is trained or evaluated.
    pub(super) const fn is_idle(&self) -> bool {
        self.idle.is_some()
    }
}

impl Bench {
    fn serve(mut self, jobs: &Receiver<Job>, answers: &UnboundedSender<Done>) {
        while let Ok(job) = jobs.recv() {
            let done = match job {
                Job::Train(request) => {
                    let done = self.train(&request);
                    if answers.send(done).is_err() {
                        return;
                    }
                    self.train_alone(&request).map(Done::Alone)
                }
                Job::Evaluate { model, parameters } => {
                    let evaluation = self.trainer.evaluate(&parameters, Split::Test);
                    evaluation.ok().map(|evaluation| Done::Evaluated { model, evaluation })
                }
            };
            if let Some(done) = done
                && answers.send(done).is_err()
            {
                return;
            }
        }
    }

    fn train(&self, request: &TrainRequest) -> Done {
        let epoch = request.epoch;
        match task::carry_out(&self.trainer, request) {
            Ok(trained) => Done::Trained(trained),
            Err(error) => Done::Failed { epoch, why: error.to_string() },
        }
    }

    fn train_alone(&mut self, request: &TrainRequest) -> Option<f64> {
        let alone = self.alone.as_mut()?;
        let trained = self.trainer.train(alone, task::plan(request), &request.seed).ok()?;
        *alone = trained.parameters;
        self.trainer.evaluate(alone, Split::Test).ok().map(|evaluation| evaluation.accuracy)
    }
}
