//! Momentum SGD: the setting in which robust rules are usually compared.
//!
//! Distributed SGD with worker momentum (D-SHB; Farhadkhani et al., ICML 2022, arXiv 2205.12173):
//! in each step every peer sends its momentum, `m = beta m + (1 - beta) gradient`, and the model
//! moves against the aggregate. The learning rate falls to a third for the last third of the
//! steps.

use longhaul_aggregation::robust::RobustError;

use crate::adversary::{Adversary, Scene};
use crate::defence::Defence;
use crate::draw::Draws;
use crate::local_sgd::Task;
use crate::network::Labels;

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentumSgd {
    /// All peers, n.
    pub peers: usize,
    /// Attackers among them, f.
    pub attackers: usize,
    /// Concentration of the label skew.
    pub alpha: f64,
    /// Samples in a step.
    pub batch: usize,
    /// The learning rate.
    pub rate: f64,
    /// What is kept of the momentum, beta.
    pub momentum: f64,
    /// Steps.
    pub steps: usize,
}

impl Default for MomentumSgd {
    fn default() -> Self {
        Self {
            peers: 17,
            attackers: 4,
            alpha: 0.1,
            batch: 25,
            rate: 0.1,
            momentum: 0.9,
            steps: 200,
        }
    }
}

/// What a step of momentum that has run up is multiplied with, so that it moves as far as one
/// without.
const RUN_UP: f64 = 10.0;

/// Steps between two looks at the accuracy.
const LOOK: usize = 25;

/// The accuracy of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// After the last step.
    pub last: f64,
    /// The best of all looks.
    pub best: f64,
}

impl MomentumSgd {
    /// Trains for all steps.
    pub fn run(
        &self,
        task: &Task,
        defence: &Defence,
        adversary: &Adversary,
        seed: u64,
    ) -> Result<Accuracy, RobustError> {
        let honest = self.peers - self.attackers;
        let parts = task.train.split(honest, self.alpha, self.batch, seed);
        let mut model = task.network.initial(seed);
        let mut draws = Draws::new(seed, 1);
        let mut forging = Draws::new(seed, 2);
        let mut momenta = vec![vec![0.0; model.len()]; honest];
        let mut trained = match adversary.trains() {
            Some(_) => vec![vec![0.0; model.len()]; self.attackers],
            None => Vec::new(),
        };
        let mut history = Vec::new();
        let mut accuracy = Accuracy { last: 0.0, best: 0.0 };
        for step in 0..self.steps {
            let update = |momenta: &mut [Vec<f64>], labels, draws: &mut Draws| {
                for (momentum, part) in momenta.iter_mut().zip(parts.iter().cycle()) {
                    let batch: Vec<usize> =
                        (0..self.batch).map(|_| part[draws.below(part.len())]).collect();
                    let gradient = task.network.gradient(&model, &task.train, &batch, labels);
                    for (entry, slope) in momentum.iter_mut().zip(gradient) {
                        *entry = self.momentum * *entry + (1.0 - self.momentum) * f64::from(slope);
                    }
                }
            };
            update(&mut momenta, Labels::True, &mut draws);
            if let Some(labels) = adversary.trains() {
                update(&mut trained, labels, &mut forging);
            }
            history.push(momenta.clone());
            let past = history.len().saturating_sub(HISTORY);
            history.drain(..past);
            let scene =
                Scene { history: &history, trained: &trained, attackers: self.attackers, defence };
            let forged = adversary.forge(&scene, &mut forging)?;
            let mut all = momenta.clone();
            let count = forged.len();
            all.extend(forged);
            let term = defence.term(&all, count)?;
            let rate = if step < self.steps * 2 / 3 { self.rate } else { self.rate / 3.0 };
            let rate = rate * RUN_UP * (1.0 - self.momentum);
            model.iter_mut().zip(term).for_each(|(it, slope)| *it -= (rate * slope) as f32);
            if (step + 1) % LOOK == 0 || step + 1 == self.steps {
                accuracy.last = task.network.accuracy(&model, &task.test);
                accuracy.best = accuracy.best.max(accuracy.last);
            }
        }
        Ok(accuracy)
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
    use crate::network::Network;
    use crate::samples::Samples;

    #[test]
    fn a_robust_rule_learns_where_the_mean_does_not() {
        let (train, test) = Samples::generated(900, 20, 1).shuffled(1, 200);
        let network = Network { inputs: 20, hidden: 16, classes: 10 };
        let task = Task { train, test, network };
        let setting = MomentumSgd { alpha: 10.0, steps: 400, rate: 0.3, ..MomentumSgd::default() };
        let last = |rule, adversary: &Adversary| {
            let defence = Defence::Float(Pipeline::of(rule));
            setting.run(&task, &defence, adversary, 1).expect("enough vectors").last
        };
        let attack = Adversary::Crafted(Attack::Scaled { factor: -4.0 }, Copies::Identical);
        let robust = last(Rule::TrimmedMean { attackers: 4 }, &attack);
        let ruined = last(Rule::Average, &attack);
        let quiet = last(Rule::Average, &Adversary::Absent);
        assert!(ruined < 0.4 && robust > 0.5 && quiet > 0.7, "{ruined} {robust} {quiet}");
        let flipped = Adversary::Trained { labels: Labels::Flipped, factor: 1.0, hidden: false };
        assert!(last(Rule::Median, &flipped) > 0.2);
    }
}
