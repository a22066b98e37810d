//! Local SGD: the setting of the fold, without a network.
//!
//! In each epoch every peer takes some steps from the model that all share and sends the change;
//! the term of the changes is added. Attackers see all honest changes before they send.

use longhaul_aggregation::Encoding;
use longhaul_aggregation::robust::RobustError;

use crate::adversary::{Adversary, Scene};
use crate::defence::Defence;
use crate::draw::Draws;
use crate::network::{Labels, Network};
use crate::samples::Samples;
use crate::wire::{self, Senders};

/// The task that peers learn: samples to train on and to test with.
#[derive(Debug, Clone)]
pub struct Task {
    /// Trained on by honest peers.
    pub train: Samples,
    /// Held out.
    pub test: Samples,
    /// What is trained.
    pub network: Network,
}

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalSgd {
    /// All peers, n.
    pub peers: usize,
    /// Attackers among them, f.
    pub attackers: usize,
    /// Concentration of the label skew.
    pub alpha: f64,
    /// Steps of a peer in an epoch.
    pub steps: usize,
    /// Samples in a step.
    pub batch: usize,
    /// The learning rate.
    pub rate: f32,
    /// Epochs.
    pub epochs: usize,
    /// How changes are encoded; floats where it is none.
    pub encoding: Option<Encoding>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The accuracy after each tenth epoch and the last, 0 to 1.
    pub curve: Vec<Point>,
    /// The accuracy after the last epoch.
    pub accuracy: f64,
}

/// How far a run had come after an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Epochs done.
    pub epochs: usize,
    /// Accuracy on the held-out samples, 0 to 1.
    pub accuracy: f64,
    /// Bytes of the payloads of honest peers so far; of floats four for each parameter.
    pub bytes: u64,
}

impl Default for LocalSgd {
    fn default() -> Self {
        Self {
            peers: 17,
            attackers: 4,
            alpha: 0.1,
            steps: 10,
            batch: 16,
            rate: 0.1,
            epochs: 80,
            encoding: None,
        }
    }
}

impl LocalSgd {
    /// Trains for all epochs.
    pub fn run(
        &self,
        task: &Task,
        defence: &Defence,
        adversary: &Adversary,
        seed: u64,
    ) -> Result<Learned, RobustError> {
        let honest = self.peers - self.attackers;
        let parts = task.train.split(honest, self.alpha, self.batch, seed);
        let mut model = task.network.initial(seed);
        let mut draws = Draws::new(seed, 1);
        let mut forging = Draws::new(seed, 2);
        let mut history: Vec<Vec<Vec<f64>>> = Vec::new();
        let mut curve = Vec::new();
        let schema = wire::schema(&task.network);
        let mut senders = self.encoding.map(|it| Senders::new(honest, &schema, it));
        for epoch in 0..self.epochs {
            let train = |part: &Vec<usize>, labels, draws: &mut Draws| {
                self.change(task, &model, part, labels, draws)
            };
            let changes: Vec<_> =
                parts.iter().map(|part| train(part, Labels::True, &mut draws)).collect();
            let changes = match &mut senders {
                Some(senders) => senders.send(&changes, epoch as u32),
                None => changes,
            };
            let trained: Vec<_> = match adversary.trains() {
                Some(labels) => (0..self.attackers)
                    .map(|it| train(&parts[it % honest], labels, &mut forging))
                    .collect(),
                None => Vec::new(),
            };
            history.push(changes);
            let past = history.len().saturating_sub(HISTORY);
            history.drain(..past);
            let scene =
                Scene { history: &history, trained: &trained, attackers: self.attackers, defence };
            let forged = adversary.forge(&scene, &mut forging)?;
            let mut all = history.last().cloned().unwrap_or_default();
            let count = forged.len();
            all.extend(forged);
            let term = defence.term(&all, count)?;
            model.iter_mut().zip(term).for_each(|(it, change)| *it += change as f32);
            if (epoch + 1) % 10 == 0 || epoch + 1 == self.epochs {
                let floats = 4 * (honest * (epoch + 1) * model.len()) as u64;
                let bytes = senders.as_ref().map_or(floats, Senders::bytes);
                let accuracy = task.network.accuracy(&model, &task.test);
                curve.push(Point { epochs: epoch + 1, accuracy, bytes });
            }
        }
        let accuracy = curve.last().map_or(0.0, |it| it.accuracy);
        Ok(Learned { curve, accuracy })
    }

    /// What training from `model` changes.
    pub(crate) fn change(
        &self,
        task: &Task,
        model: &[f32],
        part: &[usize],
        labels: Labels,
        draws: &mut Draws,
    ) -> Vec<f64> {
        let mut own = model.to_vec();
        for _ in 0..self.steps {
            let batch: Vec<usize> =
                (0..self.batch).map(|_| part[draws.below(part.len())]).collect();
            let gradient = task.network.gradient(&own, &task.train, &batch, labels);
            own.iter_mut().zip(gradient).for_each(|(it, slope)| *it -= self.rate * slope);
        }
        own.iter().zip(model).map(|(own, model)| f64::from(own - model)).collect()
    }
}

/// Rounds of honest vectors that are kept for replays.
const HISTORY: usize = 12;

#[cfg(test)]
mod tests {
    use longhaul_aggregation::robust::attack::Attack;
    use longhaul_aggregation::robust::{Pipeline, Rule};

    use super::*;
    use crate::adversary::Copies;

    fn last(rule: Rule, adversary: &Adversary) -> f64 {
        let (train, test) = Samples::generated(900, 20, 1).shuffled(1, 200);
        let network = Network { inputs: 20, hidden: 16, classes: 10 };
        let setting = LocalSgd { epochs: 40, alpha: 1.0, ..LocalSgd::default() };
        let defence = Defence::Float(Pipeline::of(rule));
        let task = Task { train, test, network };
        let learned = setting.run(&task, &defence, adversary, 1).expect("enough vectors");
        let epochs: Vec<_> = learned.curve.iter().map(|it| it.epochs).collect();
        assert_eq!(epochs, [10, 20, 30, 40]);
        learned.accuracy
    }

    #[test]
    fn a_robust_rule_learns_where_the_mean_does_not() {
        let attack = Adversary::Crafted(Attack::Scaled { factor: -4.0 }, Copies::Identical);
        let robust = last(Rule::Diversity { attackers: 4 }, &attack);
        let ruined = last(Rule::Average, &attack);
        let quiet = last(Rule::Average, &Adversary::Absent);
        assert!(ruined < 0.4 && robust > 0.7 && quiet > 0.7, "{ruined} {robust} {quiet}");
    }
}
