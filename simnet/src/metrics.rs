//! Metrics: what is measured of the peers while virtual time goes on.
//!
//! Every peer is looked at once at the end of every epoch; the models of the
//! sampled peers are measured in due epochs only, once for each different
//! model, on the worker pool.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use longhaul_aggregation::ModelId;

use crate::clock::SimTime;
use crate::learner::{Learner, Score};
use crate::pool::{Pending, Pool, WorkerLost};
use crate::scenario::Scenario;

/// What one peer looked like at the end of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When.
    pub at: SimTime,
    /// The epoch that ends.
    pub epoch: u32,
    /// The peer, by its index in the scenario.
    pub peer: u16,
    /// How many epochs the newest term that is not empty lies behind.
    pub lag: u32,
    /// Updates held.
    pub updates: usize,
    /// Bytes sent since the start.
    pub bytes_sent: u64,
    /// The shared model.
    pub model: ModelId,
    /// Whether it belongs in tables and CSV: a sampled peer in a due epoch.
    pub due: bool,
    /// How good the model is, if it is due and there is something to measure.
    pub score: Option<Score>,
}

/// Collects samples and has the models measured.
#[derive(Debug)]
pub(crate) struct Recorder {
    learner: Arc<dyn Learner>,
    sampled: Vec<u16>,
    every_epochs: u32,
    /// Epochs that are due whatever the period says.
    extra: Vec<u32>,
    samples: Vec<Sample>,
    scores: BTreeMap<ModelId, Pending<Option<Score>>>,
}

/// All samples of a run, epoch by epoch, peers in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<Sample>);

impl Recorder {
    /// A recorder for `scenario` that measures with `learner`.
    pub fn new(scenario: &Scenario, learner: Arc<dyn Learner>) -> Self {
        let ends = [scenario.epochs.get() - 1, scenario.epochs_total() - 1];
        let checked = scenario.checks.at_epoch.iter().map(|check| check.epoch);
        Self {
            learner,
            sampled: scenario.sampled_peers(),
            every_epochs: scenario.metrics.every_epochs.get(),
            extra: ends.into_iter().chain(checked).collect(),
            samples: Vec::new(),
            scores: BTreeMap::new(),
        }
    }

    /// Records a sample; `parameters` gives the model if it is to be measured.
    pub(crate) fn record(
        &mut self,
        mut sample: Sample,
        pool: &Pool,
        parameters: impl FnOnce() -> Vec<f32>,
    ) {
        sample.due = self.is_due(sample.epoch) && self.sampled.contains(&sample.peer);
        if sample.due && !self.scores.contains_key(&sample.model) {
            let (learner, parameters) = (self.learner.clone(), parameters());
            let pending = pool.submit(move || learner.score(&parameters));
            self.scores.insert(sample.model, pending);
        }
        self.samples.push(sample);
    }

    /// Waits for all measurements.
    pub fn finish(self) -> Result<Samples, WorkerLost> {
        let mut scores = BTreeMap::new();
        for (model, pending) in self.scores {
            scores.insert(model, pending.join()?);
        }
        let mut samples = self.samples;
        for sample in samples.iter_mut().filter(|sample| sample.due) {
            sample.score = scores.get(&sample.model).copied().flatten();
        }
        Ok(Samples(samples))
    }

    fn is_due(&self, epoch: u32) -> bool {
        (epoch + 1).is_multiple_of(self.every_epochs) || self.extra.contains(&epoch)
    }
}

impl Samples {
    /// Takes samples in order of epoch and peer.
    pub const fn new(samples: Vec<Sample>) -> Self {
        Self(samples)
    }

    /// The samples of `epoch`, peers in order.
    pub fn of_epoch(&self, epoch: u32) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.epoch == epoch)
    }

    /// The epochs that tables show.
    pub fn epochs_due(&self) -> Vec<u32> {
        let due = self.0.iter().filter(|sample| sample.due);
        let mut epochs: Vec<_> = due.map(|sample| sample.epoch).collect();
        epochs.dedup();
        epochs
    }

    /// Accuracies measured in `epoch`, peers in order.
    pub fn accuracies(&self, epoch: u32) -> Vec<f64> {
        self.of_epoch(epoch).filter_map(|sample| sample.score).map(|score| score.accuracy).collect()
    }

    /// Number of different models in `epoch`, over all peers.
    pub fn models(&self, epoch: u32) -> usize {
        let mut models: Vec<_> = self.of_epoch(epoch).map(|sample| sample.model).collect();
        models.sort_unstable();
        models.dedup();
        models.len()
    }

    /// Mean lag over all peers and the epochs before `epochs`.
    pub fn mean_lag(&self, epochs: u32) -> f64 {
        let lags = self.0.iter().filter(|sample| sample.epoch < epochs);
        mean(lags.map(|sample| f64::from(sample.lag)))
    }

    /// The samples in long form: `time_ms,epoch,peer,metric,value`.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("time_ms,epoch,peer,metric,value\n");
        for sample in self.0.iter().filter(|sample| sample.due) {
            for (metric, value) in metrics(sample) {
                let Sample { epoch, peer, at, .. } = sample;
                // Writing to a string cannot fail.
                let _ = writeln!(csv, "{},{epoch},{peer},{metric},{value}", at.ms());
            }
        }
        csv
    }
}

fn metrics(sample: &Sample) -> Vec<(&'static str, String)> {
    let score = sample
        .score
        .map(|score| [("accuracy", score.accuracy.to_string()), ("loss", score.loss.to_string())]);
    let rest = [
        ("lag", sample.lag.to_string()),
        ("updates", sample.updates.to_string()),
        ("model", sample.model.short()),
        ("bytes_sent", sample.bytes_sent.to_string()),
    ];
    score.into_iter().flatten().chain(rest).collect()
}

/// The mean of `values`, zero of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_dtn::hash::ContentHash;

    fn sample(epoch: u32, peer: u16, model: u8, accuracy: Option<f64>) -> Sample {
        Sample {
            at: SimTime::from_ms(1_000 * (u64::from(epoch) + 1)),
            epoch,
            peer,
            lag: epoch,
            updates: 7,
            bytes_sent: 100,
            model: ModelId::from_hash(ContentHash::of(&[model])),
            due: epoch > 0,
            score: accuracy.map(|accuracy| Score { accuracy, loss: 0.25 }),
        }
    }

    fn samples() -> Samples {
        Samples::new(vec![
            sample(0, 0, 1, None),
            sample(0, 1, 1, None),
            sample(1, 0, 1, Some(0.5)),
            sample(1, 1, 2, Some(0.75)),
        ])
    }

    #[test]
    fn tells_models_accuracies_and_lag_of_an_epoch() {
        let samples = samples();
        assert_eq!((samples.models(0), samples.models(1)), (1, 2));
        assert_eq!(samples.accuracies(1), [0.5, 0.75]);
        assert!(samples.accuracies(0).is_empty());
        assert_eq!((samples.mean_lag(2), samples.mean_lag(1)), (0.5, 0.0));
        assert_eq!(samples.epochs_due(), [1]);
    }

    #[test]
    fn writes_one_metric_a_line() {
        let csv = samples().to_csv();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[0], "time_ms,epoch,peer,metric,value");
        assert_eq!(lines[1], "2000,1,0,accuracy,0.5");
        assert!(lines.contains(&"2000,1,1,lag,1") && lines.contains(&"2000,1,1,updates,7"));
        assert_eq!(lines.len(), 1 + 2 * 6);
    }

    #[test]
    fn leaves_out_what_was_not_measured() {
        let csv = Samples::new(vec![sample(1, 0, 1, None)]).to_csv();
        assert!(csv.contains("1,0,updates,7") && !csv.contains("accuracy"), "{csv}");
    }

    #[test]
    fn the_mean_of_nothing_is_zero() {
        assert_eq!(mean([].into_iter()), 0.0);
        assert_eq!(mean([1.0, 2.0].into_iter()), 1.5);
    }
}
