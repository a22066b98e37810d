//! Stale SGD: the fold of peers who hear of terms late, without a network.
//!
//! In each epoch a peer trains from the initial model, the terms of all epochs that it knows
//! completely, and its own later updates at full weight, as peers of the fold do. The set of
//! each epoch is complete in the end, whoever comes late, so the term is the rule over all
//! updates of the epoch; the model is the initial one and all terms.

use longhaul_aggregation::Staleness;
use longhaul_aggregation::robust::RobustError;

use crate::adversary::{Adversary, Scene};
use crate::defence::Defence;
use crate::draw::Draws;
use crate::lateness::{Clocks, Counts};
use crate::local_sgd::{LocalSgd, Point, Task};
use crate::network::Labels;

pub use crate::lateness::{Admitted, Lateness};

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StaleSgd {
    /// What peers do in an epoch.
    pub local: LocalSgd,
    /// How late they hear.
    pub staleness: Lateness,
    /// How terms weigh what is stale, beside the rule.
    pub weight: Weight,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// The weight of own updates without a term in what a peer trains from; one in the fold.
    pub pending: f64,
}

/// How an update of staleness s is weighed before the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// All alike.
    Constant,
    /// As a manifest weighs the claims of headers that look 12 epochs back.
    Claims(Staleness),
    /// `(1 + s)^-exponent`.
    Polynomial {
        /// The exponent.
        exponent: f64,
    },
    /// One up to `after`, then `1 / (1 + slope (s - after))`.
    Hinge {
        /// Epochs that cost nothing.
        after: f64,
        /// How fast it falls.
        slope: f64,
    },
    /// Half for each so many epochs.
    Exponential {
        /// Epochs that halve it.
        half_life: f64,
    },
    /// All alike, and the rule runs among those who are about as late: s below and from this
    /// number on; the results are averaged by size.
    Cohorts {
        /// The boundary.
        boundary: usize,
    },
}

/// The learning rate over the epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// A third in the last third of the epochs.
    Third,
    /// Along half a cosine to zero.
    Cosine,
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
    /// The largest staleness of them.
    pub most_staleness: usize,
    /// The shares of honest updates with at least half an equal share in their term.
    pub admitted: Admitted,
}

/// Epochs that a base summary looks back, as manifests have it; who knows of none of them
/// claims one more.
const WINDOW: usize = 12;

impl Weight {
    /// The weight of an update so many epochs behind, 0 to 1.
    pub fn of(self, late: usize) -> f64 {
        if let Self::Claims(staleness) = self {
            return staleness.share(late.min(WINDOW) as u32);
        }
        let late = late as f64;
        match self {
            Self::Constant | Self::Claims(_) | Self::Cohorts { .. } => 1.0,
            Self::Polynomial { exponent } => (1.0 + late).powf(-exponent),
            Self::Hinge { after, slope } => 1.0 / (1.0 + slope * (late - after).max(0.0)),
            Self::Exponential { half_life } => (-late / half_life).exp2(),
        }
    }
}

impl Schedule {
    /// What the rate is multiplied with in an epoch.
    pub fn of(self, epoch: usize, epochs: usize) -> f32 {
        match self {
            Self::Constant => 1.0,
            Self::Third => {
                if epoch < epochs * 2 / 3 {
                    1.0
                } else {
                    1.0 / 3.0
                }
            }
            Self::Cosine => {
                let passed = epoch as f32 / epochs.max(1) as f32;
                0.5 + 0.5 * (std::f32::consts::PI * passed).cos()
            }
        }
    }
}

/// What all peers have sent and made of it.
struct Past {
    /// Models after each epoch's term, the initial one first.
    models: Vec<Vec<f32>>,
    /// What each honest peer has sent.
    own: Vec<Vec<Vec<f64>>>,
}

impl StaleSgd {
    /// Peers at `local` who are late, and nothing done about it.
    pub const fn new(local: LocalSgd, staleness: Lateness) -> Self {
        Self {
            local,
            staleness,
            weight: Weight::Constant,
            schedule: Schedule::Constant,
            pending: 1.0,
        }
    }

    /// Trains for all epochs.
    pub fn run(
        &self,
        task: &Task,
        defence: &Defence,
        adversary: &Adversary,
        seed: u64,
    ) -> Result<Learned, RobustError> {
        let LocalSgd { peers, attackers, epochs, .. } = self.local;
        let honest = peers - attackers;
        let parts = task.train.split(honest, self.local.alpha, self.local.batch, seed);
        let mut draws = Draws::new(seed, 1);
        let mut forging = Draws::new(seed, 2);
        let mut clocks = Clocks::new(self.staleness, honest, seed);
        let mut past =
            Past { models: vec![task.network.initial(seed)], own: vec![Vec::new(); honest] };
        let mut history = Vec::new();
        let mut curve = Vec::new();
        let mut counts = Counts::default();
        for epoch in 0..epochs {
            let rate = self.local.rate * self.schedule.of(epoch, epochs);
            let local = LocalSgd { rate, ..self.local };
            let behind = clocks.behind(epoch);
            for (peer, part) in parts.iter().enumerate() {
                let base = past.base(peer, epoch - behind[peer], self.pending);
                let change = local.change(task, &base, part, Labels::True, &mut draws);
                past.own[peer].push(change);
            }
            let mut poison = |attacker: usize, labels| {
                let part = &parts[attacker % honest];
                local.change(task, &past.models[epoch], part, labels, &mut forging)
            };
            let trained: Vec<_> = match adversary.trains() {
                Some(labels) => (0..attackers).map(|it| poison(it, labels)).collect(),
                None => Vec::new(),
            };
            let changes: Vec<Vec<f64>> = past.own.iter().map(|it| it[epoch].clone()).collect();
            history.push(changes.clone());
            let old = history.len().saturating_sub(HISTORY);
            history.drain(..old);
            let scene = Scene { history: &history, trained: &trained, attackers, defence };
            let forged = adversary.forge(&scene, &mut forging)?;
            let term = self.term(defence, changes, forged, &behind, &mut counts)?;
            past.add(epoch, &term);
            if (epoch + 1) % 10 == 0 || epoch + 1 == epochs {
                let accuracy = task.network.accuracy(&past.models[epoch + 1], &task.test);
                curve.push(Point { epochs: epoch + 1, accuracy, bytes: 0 });
            }
        }
        let accuracy = curve.last().map_or(0.0, |it: &Point| it.accuracy);
        let (median_staleness, most_staleness) = counts.staleness();
        let admitted = counts.admitted();
        Ok(Learned { curve, accuracy, median_staleness, most_staleness, admitted })
    }

    /// The term of an epoch, and who was admitted to it.
    fn term(
        &self,
        defence: &Defence,
        honest: Vec<Vec<f64>>,
        forged: Vec<Vec<f64>>,
        behind: &[usize],
        counts: &mut Counts,
    ) -> Result<Vec<f64>, RobustError> {
        let boundary = match self.weight {
            Weight::Cohorts { boundary } => boundary,
            _ => usize::MAX,
        };
        let attackers = forged.len();
        let (mut fresh, mut stale) = (Vec::new(), Vec::new());
        for (mut vector, &late) in honest.into_iter().zip(behind) {
            let weight = self.weight.of(late);
            vector.iter_mut().for_each(|entry| *entry *= weight);
            let cohort = if late < boundary { &mut fresh } else { &mut stale };
            cohort.push((vector, Some(late)));
        }
        // Attackers say that they are fresh.
        fresh.extend(forged.into_iter().map(|it| (it, None)));
        let total = (fresh.len() + stale.len()).max(1) as f64;
        let mut sum: Vec<f64> = Vec::new();
        for (cohort, attackers) in [(fresh, attackers), (stale, 0)] {
            if cohort.is_empty() {
                continue;
            }
            let (vectors, lateness): (Vec<Vec<f64>>, Vec<_>) = cohort.into_iter().unzip();
            if let Some(weights) = defence.weights(&vectors) {
                counts.count(&weights, &lateness);
            }
            let term = defence.term(&vectors, attackers)?;
            let share = vectors.len() as f64 / total;
            sum.resize(term.len(), 0.0);
            sum.iter_mut().zip(term).for_each(|(sum, entry)| *sum += share * entry);
        }
        Ok(sum)
    }
}

impl Past {
    /// The model after `known` terms and a peer's own updates since; those before, which nobody
    /// asks for again, are dropped: 500 epochs of them would be a gigabyte.
    fn base(&mut self, peer: usize, known: usize, pending: f64) -> Vec<f32> {
        self.own[peer][..known].iter_mut().for_each(|it| *it = Vec::new());
        let mut base = self.models[known].clone();
        for change in &self.own[peer][known..] {
            base.iter_mut().zip(change).for_each(|(it, change)| *it += (pending * change) as f32);
        }
        base
    }

    /// Takes the term of an epoch.
    fn add(&mut self, epoch: usize, term: &[f64]) {
        let step = self.models[epoch].iter().zip(term);
        self.models.push(step.map(|(it, &change)| it + change as f32).collect());
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
            let setting = StaleSgd::new(local, staleness);
            setting.run(&task, &defence, &Adversary::Absent, 1).expect("enough vectors")
        };
        let (fresh, late) = (run(Lateness::NONE), run(Lateness::LONG));
        let synchronous = local.run(&task, &defence, &Adversary::Absent, 1).expect("enough");
        assert_eq!(fresh.accuracy, synchronous.accuracy, "nobody is late in either");
        assert!((6..=14).contains(&late.median_staleness), "{late:?}");
        assert!(late.accuracy > 0.6, "{late:?}");
        assert_eq!(late.admitted, Admitted { fresh: 1.0, stale: 1.0, all: 1.0 });
    }

    #[test]
    fn weights_fall_from_one_and_schedules_end_low() {
        for weight in [
            Weight::Claims(Staleness::Polynomial { quarters: 1 }),
            Weight::Polynomial { exponent: 0.5 },
            Weight::Hinge { after: 0.0, slope: 0.5 },
            Weight::Exponential { half_life: 3.0 },
        ] {
            assert_eq!(weight.of(0), 1.0, "{weight:?}");
            assert!(weight.of(9) < weight.of(3), "{weight:?}");
        }
        assert_eq!(Weight::Polynomial { exponent: 0.5 }.of(3), 0.5);
        assert_eq!(Weight::Hinge { after: 4.0, slope: 0.5 }.of(6), 0.5);
        assert_eq!(Weight::Exponential { half_life: 4.0 }.of(8), 0.25);
        assert_eq!(Weight::Cohorts { boundary: 5 }.of(50), 1.0);
        for schedule in [Schedule::Constant, Schedule::Third, Schedule::Cosine] {
            assert_eq!(schedule.of(0, 90), 1.0, "{schedule:?}");
        }
        assert_eq!((Schedule::Third.of(59, 90), Schedule::Third.of(60, 90)), (1.0, 1.0 / 3.0));
        assert!(Schedule::Cosine.of(89, 90) < 0.01);
    }

    #[test]
    fn late_peers_count_among_attackers_and_in_cohorts() {
        let (train, test) = Samples::generated(900, 20, 1).shuffled(1, 200);
        let network = Network { inputs: 20, hidden: 16, classes: 10 };
        let task = Task { train, test, network };
        let local = LocalSgd { epochs: 60, alpha: 1.0, ..LocalSgd::default() };
        let schema = std::sync::Arc::new(crate::wire::schema(&network));
        let defence = crate::catalogue::defence("diversity", 4, &schema).expect("a rule");
        let flip = crate::catalogue::attack("scaled:-4").expect("an attack");
        for weight in [Weight::Constant, Weight::Cohorts { boundary: 10 }] {
            let setting = StaleSgd { weight, ..StaleSgd::new(local, Lateness::LONG) };
            let learned = setting.run(&task, &defence, &flip, 1).expect("enough vectors");
            let Admitted { stale, all, .. } = learned.admitted;
            assert!(stale > 0.5 && all > 0.5, "{weight:?} {learned:?}");
        }
    }
}
