//! The training thread: local steps, proofs about their result, the lonely twin, and evaluation; and beside
//! it the thread that verifies proofs of others.
//!
//! One job at a time on each, in order. Training floats never leave this thread but as
//! the answer to a request; what the federation shares is quantised by the
//! peer. What is verified does not wait for what is trained.

use std::sync::mpsc::{Receiver, Sender, channel};

use longhaul_aggregation::{Epoch, ModelId, Parameters};
use longhaul_registry::SignedManifest;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::peer::{Input, ProveRequest, TrainRequest, TrainedModel};
use crate::shell::task;
use crate::train::{Evaluation, Split, Trainer};

#[derive(Debug)]
enum Job {
    Train(TrainRequest),
    Prove(ProveRequest),
    Evaluate { model: ModelId, parameters: Vec<f32> },
}

/// Something to find out for the peer, on the thread that verifies.
type Check = Box<dyn FnOnce() -> Input + Send>;

/// What the thread finished.
#[derive(Debug)]
pub(super) enum Done {
    /// Training succeeded.
    Trained(TrainedModel),
    /// Training failed; the epoch stays without an own update.
    Failed { epoch: Epoch, why: String },
    /// A proof was made, or some were verified: what to tell the peer.
    Answer(Input),
    /// A thread ended by a panic, after which nothing more is answered; holds which.
    Lost(&'static str),
    /// Accuracy of the model that trains alone.
    Alone(f64),
    /// A model was evaluated on the held-out set.
    Evaluated { model: ModelId, evaluation: Evaluation },
}

/// The way to the training thread, which a courier has not, and to the one that verifies.
#[derive(Debug)]
pub(super) struct Work {
    jobs: Sender<Job>,
    checks: Sender<Check>,
    trains: bool,
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
        let (checks, asked) = channel();
        let verdicts = answers.clone();
        std::thread::spawn(move || {
            let _farewell = Farewell { of: "verifying", answers: verdicts.clone() };
            verify(&asked, &verdicts);
        });
        let manifest = manifest.manifest();
        let initial = Parameters::initial(&manifest.schema, &manifest.seed).to_f32();
        let trains = trainer.is_some();
        if let Some(trainer) = trainer {
            let bench = Bench { trainer, alone: alone.then_some(initial) };
            std::thread::spawn(move || {
                let _farewell = Farewell { of: "training", answers: answers.clone() };
                bench.serve(&incoming, &answers);
            });
        }
        (Self { jobs, checks, trains }, done)
    }

    /// Queues training; the peer has one request under way at most.
    pub(super) fn train(&self, request: TrainRequest) {
        self.queue(Job::Train(request));
    }

    /// Queues a proof; the peer has one under way at most.
    pub(super) fn prove(&self, request: ProveRequest) {
        self.queue(Job::Prove(request));
    }

    /// Queues proofs or sums to be verified, or a sum to be made; the peer has one of each under way at most.
    pub(super) fn check(&self, check: impl FnOnce() -> Input + Send + 'static) {
        let _ = self.checks.send(Box::new(check));
    }

    /// Queues an evaluation; the driver has one under way at most.
    pub(super) fn evaluate(&self, model: ModelId, parameters: Vec<f32>) {
        self.queue(Job::Evaluate { model, parameters });
    }

    fn queue(&self, job: Job) {
        // The thread ends before this value only after a panic, which it says.
        let _ = self.jobs.send(job);
    }

    /// True where nothing is trained or evaluated.
    pub(super) const fn is_idle(&self) -> bool {
        !self.trains
    }
}

/// Says that a thread ended by a panic: the other keeps the answers open.
struct Farewell {
    of: &'static str,
    answers: UnboundedSender<Done>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.answers.send(Done::Lost(self.of));
        }
    }
}

/// Does what is asked for until nobody asks any more.
fn verify(asked: &Receiver<Check>, answers: &UnboundedSender<Done>) {
    while let Ok(check) = asked.recv() {
        if answers.send(Done::Answer(check())).is_err() {
            return;
        }
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
                Job::Prove(request) => Some(Done::Answer(request.carry_out())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_says_so() {
        let (answers, mut done) = unbounded_channel();
        let kept = answers.clone();
        let ended = std::thread::spawn(move || {
            let _farewell = Farewell { of: "verifying", answers };
            panic!("as a bug would");
        });
        assert!(ended.join().is_err());
        assert!(matches!(done.try_recv(), Ok(Done::Lost("verifying"))));
        drop(Farewell { of: "training", answers: kept });
        assert!(done.try_recv().is_err(), "one that ends in peace says nothing");
    }
}
