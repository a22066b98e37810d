//! Metrics: what is measured of the peers while virtual time goes on.
//!
//! Every peer is looked at once at the end of every epoch; the models of the
//! sampled peers are measured in due epochs only, once for each different
//! model, on the worker pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_aggregation::ModelId;
use longhaul_dtn::hash::ContentHash;

use crate::clock::SimTime;
use crate::learner::{Learner, Score};
use crate::output::metric_row::MetricRow;
use crate::pool::{Pending, Pool, WorkerLost};
use crate::scenario::{Scenario, TrainingMode};

/// What one peer looked like at the end of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When.
    pub at: SimTime,
    /// The epoch that ends.
    pub epoch: u32,
    /// The peer, by its index in the scenario.
    pub peer: u16,
    /// False for hostile peers; checks leave them out.
    pub honest: bool,
    /// How many epochs the newest term that is not empty lies behind.
    pub lag: u32,
    /// Updates held.
    pub updates: usize,
    /// Those of them that are in no sealed epoch, so that they take memory.
    pub held: usize,
    /// Bytes sent since the start.
    pub bytes_sent: u64,
    /// The set of updates held.
    pub set: ContentHash,
    /// The shared model.
    pub model: ModelId,
    /// Whether it belongs in tables and CSV: a sampled peer in a due epoch.
    pub due: bool,
    /// How good the model is, if it is due and there is something to measure.
    pub score: Option<Score>,
    /// How good a model trained on the peer's own data alone is.
    pub alone: Option<Score>,
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
    alone: BTreeMap<(u32, u16), Pending<Option<Score>>>,
}

/// All samples of a run, epoch by epoch, peers in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<Sample>);

impl Recorder {
    /// A recorder for `scenario` that measures with `learner`.
    pub fn new(scenario: &Scenario, learner: Arc<dyn Learner>) -> Self {
        let ends = [scenario.epochs.get() - 1, scenario.epochs_total() - 1];
        let checked = scenario.checks.at_epoch.iter().map(|check| check.epoch);
        let checked = checked.chain(scenario.checks.uncut.iter().map(|check| check.epoch));
        Self {
            learner,
            sampled: scenario.sampled_peers(),
            every_epochs: scenario.metrics.every_epochs.get(),
            extra: ends.into_iter().chain(checked).collect(),
            samples: Vec::new(),
            scores: BTreeMap::new(),
            alone: BTreeMap::new(),
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

    /// Has a model measured that `peer` trained on its own data alone.
    pub(crate) fn record_alone(
        &mut self,
        epoch: u32,
        peer: u16,
        pool: &Pool,
        parameters: Arc<Vec<f32>>,
    ) {
        let learner = self.learner.clone();
        let pending = pool.submit(move || learner.score(&parameters));
        self.alone.insert((epoch, peer), pending);
    }

    /// Waits for all measurements.
    pub fn finish(self) -> Result<Samples, WorkerLost> {
        let mut scores = BTreeMap::new();
        for (model, pending) in self.scores {
            scores.insert(model, pending.join()?);
        }
        let mut alone = BTreeMap::new();
        for (place, pending) in self.alone {
            alone.insert(place, pending.join()?);
        }
        let mut samples = self.samples;
        for sample in samples.iter_mut().filter(|sample| sample.due) {
            sample.score = scores.get(&sample.model).copied().flatten();
            sample.alone = alone.get(&(sample.epoch, sample.peer)).copied().flatten();
        }
        Ok(Samples(samples))
    }

    /// True if the end of `epoch` belongs in tables.
    pub(crate) fn is_due(&self, epoch: u32) -> bool {
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

    /// The samples of honest peers in `epoch`, peers in order.
    pub fn honest(&self, epoch: u32) -> impl Iterator<Item = &Sample> {
        self.of_epoch(epoch).filter(|sample| sample.honest)
    }

    /// Accuracies of honest peers measured in `epoch`, peers in order.
    pub fn accuracies(&self, epoch: u32) -> Vec<f64> {
        self.honest(epoch).filter_map(|sample| sample.score).map(|score| score.accuracy).collect()
    }

    /// All samples, epoch by epoch, peers in order.
    pub fn all(&self) -> impl Iterator<Item = &Sample> {
        self.0.iter()
    }

    /// Mean accuracy of the honest peers measured in `epoch`.
    pub fn mean_accuracy(&self, epoch: u32) -> Option<f64> {
        let accuracies = self.accuracies(epoch);
        (!accuracies.is_empty()).then(|| mean(accuracies.into_iter()))
    }

    /// Number of different models in `epoch`, over all honest peers.
    pub fn models(&self, epoch: u32) -> usize {
        let mut models: Vec<_> = self.honest(epoch).map(|sample| sample.model).collect();
        models.sort_unstable();
        models.dedup();
        models.len()
    }

    /// Mean lag over all peers and the epochs before `epochs`.
    pub fn mean_lag(&self, epochs: u32) -> f64 {
        let lags = self.0.iter().filter(|sample| sample.honest && sample.epoch < epochs);
        mean(lags.map(|sample| f64::from(sample.lag)))
    }
}

/// The samples that tables show, as rows of metrics.
#[derive(Debug)]
pub struct MetricTable<'a> {
    groups: Vec<String>,
    of: Vec<usize>,
    /// Bare carriers have no model that could lag.
    has_models: bool,
    samples: &'a Samples,
}

impl<'a> MetricTable<'a> {
    /// The table of a run.
    pub fn new(scenario: &Scenario, samples: &'a Samples) -> Self {
        let groups = scenario.groups().into_iter().map(|group| group.name.as_str().to_owned());
        let has_models = scenario.training.mode != TrainingMode::Transport;
        Self { groups: groups.collect(), of: scenario.group_of_peers(), has_models, samples }
    }

    /// The rows, epoch by epoch, peers in order.
    pub fn rows(&self) -> impl Iterator<Item = MetricRow<'_>> {
        self.samples.all().filter(|sample| sample.due).flat_map(|sample| {
            let group = &*self.groups[self.of[usize::from(sample.peer)]];
            metrics(sample, self.has_models).into_iter().map(move |(metric, value)| MetricRow {
                time_ms: sample.at.ms(),
                epoch: sample.epoch,
                peer: sample.peer,
                group,
                metric,
                value,
            })
        })
    }
}

fn metrics(sample: &Sample, has_models: bool) -> Vec<(&'static str, f64)> {
    let score = sample.score.map(|score| [("accuracy", score.accuracy), ("loss", score.loss)]);
    let alone = sample.alone.map(|score| ("alone_accuracy", score.accuracy));
    let lag = has_models.then(|| ("lag", f64::from(sample.lag)));
    let rest = [
        ("updates", sample.updates as f64),
        ("held", sample.held as f64),
        ("bytes_sent", sample.bytes_sent as f64),
    ];
    score.into_iter().flatten().chain(alone).chain(lag).chain(rest).collect()
}

/// The mean of `values`, zero of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(epoch: u32, peer: u16, model: u8, accuracy: Option<f64>) -> Sample {
        Sample {
            at: SimTime::from_ms(1_000 * (u64::from(epoch) + 1)),
            epoch,
            peer,
            lag: epoch,
            updates: 7,
            held: 5,
            bytes_sent: 100,
            honest: true,
            set: ContentHash::of(&[model]),
            alone: None,
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
    fn gives_a_row_for_each_metric_that_was_measured() {
        let samples = samples();
        let scenario = crate::testing::scenario();
        let table = MetricTable::new(&scenario, &samples);
        let rows: Vec<_> = table.rows().collect();
        assert_eq!(rows.len(), 2 * 6);
        assert_eq!((rows[0].metric, rows[0].value, rows[0].group), ("accuracy", 0.5, "all"));
        assert!(rows.iter().any(|row| row.peer == 1 && row.metric == "lag" && row.value == 1.0));
        let unmeasured = Samples::new(vec![sample(1, 0, 1, None)]);
        let table = MetricTable::new(&scenario, &unmeasured);
        assert!(table.rows().all(|row| row.metric != "accuracy"));
    }

    #[test]
    fn the_mean_of_nothing_is_zero() {
        assert_eq!(mean([].into_iter()), 0.0);
        assert_eq!(mean([1.0, 2.0].into_iter()), 1.5);
    }
}
