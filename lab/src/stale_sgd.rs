//! Stale SGD: the fold of peers who hear of terms late, without a network.
//!
//! In each epoch a peer trains from the initial model, the terms of all epochs that it knows
//! completely, and its own later updates at full weight, as peers of the fold do. How many
//! epochs it is behind is drawn for each peer and changes slowly. The set of each epoch is
//! complete in the end, whoever comes late, so the term is the rule over all updates of the
//! epoch; the model is the initial one and all terms.

use longhaul_aggregation::Staleness;
use longhaul_aggregation::robust::RobustError;

use crate::adversary::{Adversary, Scene};
use crate::defence::Defence;
use crate::draw::Draws;
use crate::local_sgd::{LocalSgd, Point, Task};
use crate::network::Labels;

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StaleSgd {
    /// What peers do in an epoch.
    pub local: LocalSgd,
    /// How late they hear.
    pub staleness: Lateness,
    /// How terms weigh what is stale, beside the rule.
    pub weight: Weight,
}

/// The distribution of staleness: log-normal, cut at the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lateness {
    /// Its median, in epochs; with zero nobody is late.
    pub median: f64,
    /// Its largest, in epochs.
    pub most: usize,
    /// Standard deviation of its logarithm.
    pub spread: f64,
}

/// How an update of staleness s is weighed before the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// All alike.
    Constant,
    /// As a manifest weighs the claims of headers that look 12 epochs back.
    Claims(Staleness),
    /// All alike, and the rule runs among those who are about as late: s below and from this
    /// number on; the results are averaged by size.
    Cohorts {
        /// The boundary.
        boundary: usize,
    },
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The accuracy after each tenth epoch and the last.
    pub curve: Vec<Point>,
    /// The accuracy of the model in the end, 0 to 1.
    pub accuracy: f64,
    /// Median staleness of honest updates, in epochs.
    pub median_staleness: usize,
    /// The share of honest updates with at least half an equal share in their term, of those
    /// that are fresh (up to two epochs behind) and of those that are stale (more than ten).
    pub admitted: Admitted,
}

/// Shares of updates, 0 to 1; one where there are none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admitted {
    /// Of fresh ones.
    pub fresh: f64,
    /// Of stale ones.
    pub stale: f64,
}

/// What is counted while a run goes on.
#[derive(Debug, Default)]
struct Counts {
    fresh: (u64, u64),
    stale: (u64, u64),
    staleness: Vec<usize>,
}

impl Lateness {
    /// Nobody is late.
    pub const NONE: Self = Self { median: 0.0, most: 0, spread: 0.0 };
    /// Median ten, at most fifty epochs.
    pub const LONG: Self = Self { median: 10.0, most: 50, spread: 0.8 };

    fn draw(&self, draws: &mut Draws) -> usize {
        let late = self.median * (self.spread * draws.normal()).exp();
        (late.round() as usize).min(self.most)
    }
}

/// Epochs that a base summary looks back, as manifests have it; who knows of none of them
/// claims one more.
const WINDOW: usize = 12;

/// Epochs after which a peer is late by another number.
const CHANGE: usize = 15;

impl StaleSgd {
    /// Trains for all epochs.
    pub fn run(
        &self,
        task: &Task,
        defence: &Defence,
        adversary: &Adversary,
        seed: u64,
    ) -> Result<Learned, RobustError> {
        let honest = self.local.peers - self.local.attackers;
        let parts = task.train.split(honest, self.local.alpha, self.local.batch, seed);
        let mut draws = Draws::new(seed, 1);
        let mut forging = Draws::new(seed, 2);
        let mut lateness = Draws::new(seed, 3);
        // Models after each epoch's term, the initial one first.
        let mut models = vec![task.network.initial(seed)];
        let mut own: Vec<Vec<Vec<f64>>> = vec![Vec::new(); honest];
        let mut late = vec![0; honest];
        let mut history = Vec::new();
        let mut curve = Vec::new();
        let mut counts = Counts::default();
        for epoch in 0..self.local.epochs {
            for (peer, late) in late.iter_mut().enumerate() {
                if (epoch + peer) % CHANGE == 0 || epoch == 0 {
                    *late = self.staleness.draw(&mut lateness);
                }
            }
            let behind: Vec<usize> = late.iter().map(|&it| it.min(epoch)).collect();
            let mut changes = Vec::with_capacity(honest);
            for peer in 0..honest {
                let base = base(&models, &own[peer], epoch - behind[peer]);
                let change = self.local.change(task, &base, &parts[peer], Labels::True, &mut draws);
                own[peer].push(change.clone());
                changes.push(change);
            }
            let trained: Vec<_> = match adversary.trains() {
                Some(labels) => (0..self.local.attackers)
                    .map(|it| {
                        let part = &parts[it % honest];
                        self.local.change(task, &models[epoch], part, labels, &mut forging)
                    })
                    .collect(),
                None => Vec::new(),
            };
            history.push(changes);
            let past = history.len().saturating_sub(HISTORY);
            history.drain(..past);
            let attackers = self.local.attackers;
            let scene = Scene { history: &history, trained: &trained, attackers, defence };
            let forged = adversary.forge(&scene, &mut forging)?;
            let changes = history.last().cloned().unwrap_or_default();
            let term = self.term(defence, changes, forged, &behind, &mut counts)?;
            let last = models.last().cloned().unwrap_or_default();
            models.push(last.iter().zip(term).map(|(it, change)| it + change as f32).collect());
            if (epoch + 1) % 10 == 0 || epoch + 1 == self.local.epochs {
                let accuracy = task.network.accuracy(&models[epoch + 1], &task.test);
                curve.push(Point { epochs: epoch + 1, accuracy, bytes: 0 });
            }
        }
        Ok(counts.learned(curve))
    }

    /// The term of an epoch, and who was admitted to it.
    fn term(
        &self,
        defence: &Defence,
        mut honest: Vec<Vec<f64>>,
        forged: Vec<Vec<f64>>,
        behind: &[usize],
        counts: &mut Counts,
    ) -> Result<Vec<f64>, RobustError> {
        if let Weight::Claims(staleness) = self.weight {
            for (vector, &late) in honest.iter_mut().zip(behind) {
                let weight = staleness.share(late.min(WINDOW) as u32);
                vector.iter_mut().for_each(|entry| *entry *= weight);
            }
        }
        let count = forged.len();
        // Attackers say that they are fresh.
        let boundary = match self.weight {
            Weight::Cohorts { boundary } => boundary,
            _ => usize::MAX,
        };
        let (mut fresh, mut stale) = (Vec::new(), Vec::new());
        for (vector, &late) in honest.into_iter().zip(behind) {
            let group = if late < boundary { &mut fresh } else { &mut stale };
            group.push((vector, Some(late)));
        }
        fresh.extend(forged.into_iter().map(|it| (it, None)));
        let total = (fresh.len() + stale.len()).max(1) as f64;
        let mut sum: Vec<f64> = Vec::new();
        for group in [fresh, stale].into_iter().filter(|group| !group.is_empty()) {
            let lateness: Vec<Option<usize>> = group.iter().map(|it| it.1).collect();
            let vectors: Vec<Vec<f64>> = group.into_iter().map(|it| it.0).collect();
            let attackers = if lateness.contains(&None) { count } else { 0 };
            let share = vectors.len() as f64 / total;
            if let Some(weights) = defence.weights(&vectors) {
                counts.count(&weights, &lateness);
            }
            let term = defence.term(&vectors, attackers)?;
            sum.resize(term.len(), 0.0);
            sum.iter_mut().zip(term).for_each(|(sum, entry)| *sum += share * entry);
        }
        Ok(sum)
    }
}

/// The model after `known` terms and a peer's own updates since.
fn base(models: &[Vec<f32>], own: &[Vec<f64>], known: usize) -> Vec<f32> {
    let mut base = models[known].clone();
    for change in &own[known..] {
        base.iter_mut().zip(change).for_each(|(it, change)| *it += *change as f32);
    }
    base
}

impl Counts {
    fn count(&mut self, weights: &[f64], lateness: &[Option<usize>]) {
        let equal = weights.iter().sum::<f64>() / weights.len() as f64;
        for (weight, late) in weights.iter().zip(lateness) {
            let Some(late) = *late else { continue };
            self.staleness.push(late);
            let counted = match late {
                0..=2 => &mut self.fresh,
                3..=10 => continue,
                _ => &mut self.stale,
            };
            counted.0 += u64::from(*weight >= equal / 2.0);
            counted.1 += 1;
        }
    }

    fn learned(mut self, curve: Vec<Point>) -> Learned {
        self.staleness.sort_unstable();
        let share = |(admitted, all): (u64, u64)| match all {
            0 => 1.0,
            all => admitted as f64 / all as f64,
        };
        Learned {
            accuracy: curve.last().map_or(0.0, |it| it.accuracy),
            curve,
            median_staleness: self.staleness.get(self.staleness.len() / 2).copied().unwrap_or(0),
            admitted: Admitted { fresh: share(self.fresh), stale: share(self.stale) },
        }
    }
}

/// Rounds of honest vectors that are kept for replays.
const HISTORY: usize = 12;

#[cfg(test)]
mod tests {
    use longhaul_aggregation::robust::{Pipeline, Rule};

    use super::*;
    use crate::network::Network;
    use crate::samples::Samples;

    #[test]
    fn late_peers_still_make_a_model() {
        let (train, test) = Samples::generated(900, 20, 1).shuffled(1, 200);
        let network = Network { inputs: 20, hidden: 16, classes: 10 };
        let task = Task { train, test, network };
        let local = LocalSgd { epochs: 60, alpha: 1.0, ..LocalSgd::default() };
        let defence = Defence::Float(Pipeline::of(Rule::Average));
        let run = |staleness| {
            let setting = StaleSgd { local, staleness, weight: Weight::Constant };
            setting.run(&task, &defence, &Adversary::Absent, 1).expect("enough vectors")
        };
        let (fresh, late) = (run(Lateness::NONE), run(Lateness::LONG));
        let synchronous = local.run(&task, &defence, &Adversary::Absent, 1).expect("enough");
        assert_eq!(fresh.accuracy, synchronous.accuracy, "nobody is late in either");
        assert!((6..=14).contains(&late.median_staleness), "{late:?}");
        assert!(late.accuracy > 0.6, "{late:?}");
        assert_eq!(late.admitted, Admitted { fresh: 1.0, stale: 1.0 });
    }
}
