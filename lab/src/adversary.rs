//! Adversary: what attackers send in a round, knowing everything that honest peers send.

use longhaul_aggregation::robust::attack::{Attack, Family, LineSearch, optimal};
use longhaul_aggregation::robust::{RobustError, Vectors};

use crate::defence::Defence;
use crate::draw::Draws;
use crate::network::Labels;

/// What attackers do.
#[derive(Debug, Clone, PartialEq)]
pub enum Adversary {
    /// They are not there: all peers are honest, and as many as without them.
    Absent,
    /// All send what an attack makes of the honest vectors.
    Crafted(Attack, Copies),
    /// The strongest of a family against the defence in use, by line search.
    Optimised(Family, Copies),
    /// They train on labels of their choice and send the result.
    Trained {
        /// What they do to their labels.
        labels: Labels,
        /// What the change is multiplied with.
        factor: f64,
        /// Whether it is given the median norm of the honest.
        hidden: bool,
    },
    /// They send honest vectors of so many rounds ago again.
    Replay {
        /// Rounds.
        rounds: usize,
    },
    /// What they send is refused: not a number.
    NotANumber,
}

/// How the attackers' vectors differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Copies {
    /// They are the same.
    Identical,
    /// Each has noise of its own, of this many standard deviations of the honest entries.
    Jittered(f64),
}

/// What an adversary sees in a round.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What honest peers send, now last, and in rounds before.
    pub history: &'a [Vec<Vec<f64>>],
    /// What attackers got by training, where they train.
    pub trained: &'a [Vec<f64>],
    /// How many they are.
    pub attackers: usize,
    /// What they are up against.
    pub defence: &'a Defence,
}

impl Adversary {
    /// The labels that attackers train on, if they train, and by what they multiply.
    pub fn trains(&self) -> Option<Labels> {
        match self {
            Self::Trained { labels, .. } => Some(*labels),
            _ => None,
        }
    }

    /// What the attackers send; those that are refused send nothing.
    pub fn forge(
        &self,
        scene: &Scene<'_>,
        draws: &mut Draws,
    ) -> Result<Vec<Vec<f64>>, RobustError> {
        let Some(honest) = scene.history.last() else { return Ok(Vec::new()) };
        let rows: Vec<&[f64]> = honest.iter().map(Vec::as_slice).collect();
        // Where training has already diverged there is nothing left to attack.
        let Ok(seen) = Vectors::new(rows) else { return Ok(Vec::new()) };
        Ok(match self {
            Self::Absent | Self::NotANumber => Vec::new(),
            Self::Crafted(attack, copies) => {
                let noise = noise(honest, *copies, scene.attackers, draws);
                spread(&attack.forge(&seen)?, &noise)
            }
            Self::Optimised(family, copies) => {
                let noise = noise(honest, *copies, scene.attackers, draws);
                let target = |forged: &[f64]| {
                    let mut all = honest.clone();
                    all.extend(spread(forged, &noise));
                    scene.defence.term(&all, scene.attackers)
                };
                let forged = optimal(*family, &seen, LineSearch::default(), target)?;
                spread(&forged, &noise)
            }
            Self::Trained { factor, hidden, .. } => {
                let median = median(honest.iter().map(|it| norm(it)).collect());
                let sent = |vector: &Vec<f64>| {
                    let length = norm(vector).max(f64::MIN_POSITIVE);
                    let factor = if *hidden { factor * median / length } else { *factor };
                    vector.iter().map(|it| it * factor).collect()
                };
                scene.trained.iter().map(sent).collect()
            }
            Self::Replay { rounds } => {
                let old = &scene.history[scene.history.len().saturating_sub(rounds + 1)];
                (0..scene.attackers).map(|it| old[it % old.len()].clone()).collect()
            }
        })
    }
}

/// What each attacker adds.
fn noise(honest: &[Vec<f64>], copies: Copies, count: usize, draws: &mut Draws) -> Vec<Vec<f64>> {
    let len = honest.first().map_or(0, Vec::len);
    let Copies::Jittered(share) = copies else { return vec![vec![0.0; len]; count] };
    let deviation = |entry: usize| {
        let of = |power: i32| honest.iter().map(|row| row[entry].powi(power)).sum::<f64>();
        let count = honest.len() as f64;
        share * (of(2) / count - (of(1) / count).powi(2)).max(0.0).sqrt()
    };
    let deviations: Vec<f64> = (0..len).map(deviation).collect();
    let one = |_| deviations.iter().map(|it| it * draws.normal()).collect();
    (0..count).map(one).collect()
}

fn spread(vector: &[f64], noise: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let with = |noise: &Vec<f64>| vector.iter().zip(noise).map(|(a, b)| a + b).collect();
    noise.iter().map(with).collect()
}

/// The Euclidean norm.
pub fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|it| it * it).sum::<f64>().sqrt()
}

/// The upper median; zero of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_aggregation::robust::{Pipeline, Rule};

    const HONEST: [[f64; 3]; 4] =
        [[1.0, 2.0, 0.0], [3.0, 2.0, 0.5], [2.0, 2.5, 0.0], [2.0, 1.5, -0.5]];

    fn forge(adversary: &Adversary, rounds: usize) -> Vec<Vec<f64>> {
        let history: Vec<Vec<Vec<f64>>> = (0..rounds)
            .map(|round| HONEST.iter().map(|it| it.map(|it| it + round as f64).to_vec()).collect())
            .collect();
        let defence = Defence::Float(Pipeline::of(Rule::TrimmedMean { attackers: 1 }));
        let trained = vec![vec![6.0, 0.0, 8.0]];
        let scene = Scene { history: &history, trained: &trained, attackers: 2, defence: &defence };
        adversary.forge(&scene, &mut Draws::new(1, 1)).expect("enough vectors")
    }

    #[test]
    fn copies_are_identical_or_jittered() {
        let flip = |copies| forge(&Adversary::Crafted(Attack::SignFlip, copies), 1);
        let same = flip(Copies::Identical);
        assert_eq!((same.len(), same[0] == same[1]), (2, true));
        let apart = flip(Copies::Jittered(1.0));
        assert_ne!(apart[0], apart[1]);
        assert!(apart[0].iter().zip(&same[0]).all(|(a, b)| (a - b).abs() < 4.0));
        let optimised =
            forge(&Adversary::Optimised(Family::InnerProduct, Copies::Jittered(0.1)), 1);
        assert_eq!(optimised.len(), 2);
    }

    #[test]
    fn replays_are_old_and_hidden_poison_has_the_median_norm() {
        let replayed = forge(&Adversary::Replay { rounds: 2 }, 4);
        assert_eq!(replayed[0], [2.0, 3.0, 1.0]);
        assert_eq!(forge(&Adversary::Replay { rounds: 9 }, 1)[1], HONEST[1]);
        let trained = |hidden| Adversary::Trained { labels: Labels::All(0), factor: 1.0, hidden };
        assert_eq!(forge(&trained(false), 1), [[6.0, 0.0, 8.0]]);
        let hidden = norm(&forge(&trained(true), 1)[0]);
        let median = median(HONEST.iter().map(|it| norm(it)).collect());
        assert!((hidden - median).abs() < 1e-9, "{hidden} {median}");
        assert!(forge(&Adversary::NotANumber, 1).is_empty());
    }
}
