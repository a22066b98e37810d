//! Attacks on one receiver in a graph: what attackers send to a peer whose neighbours they know.

use super::{deviations, mean, moved, scaled};
use crate::robust::{RobustError, Vectors};

/// What attackers know of the peer that they send to.
#[derive(Debug, Clone)]
pub struct Receiver<'a> {
    /// Its vector, and those of its honest neighbours, before they are mixed.
    pub honest: Vectors<'a, f64>,
    /// What the mixing matrix gives each of these neighbours.
    pub weights: &'a [f64],
    /// What it gives attackers together.
    pub attacking: f64,
    /// Its vector after the round before.
    pub before: &'a [f64],
}

/// An attack on one receiver; all attackers send it the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Targeted {
    /// Inner-product manipulation on the mean of the receiver and its honest neighbours.
    InnerProduct {
        /// epsilon.
        epsilon: f64,
    },
    /// A little is enough on the same: the mean less so many standard deviations.
    LittleIsEnough {
        /// z.
        deviations: f64,
    },
    /// Dissensus (He, Karimireddy and Jaggi 2022, arXiv 2202.01545): the receiver's vector
    /// less `epsilon sum_k W_ik (x_k - x_i) / sum_b W_ib` over honest k and attackers b. With
    /// epsilon one, plain gossip leaves the receiver where it is; with more it is driven away
    /// from its honest neighbours.
    Dissensus {
        /// epsilon.
        epsilon: f64,
    },
    /// ROP, relocated orthogonal perturbation (Ozfatura et al. 2022, arXiv 2208.09894): between
    /// the honest mean and a reference, moved by `z` at an angle to it.
    RelocatedOrthogonal {
        /// How far it moves.
        z: f64,
        /// The reference in what the angle is to, lambda; the mean has the rest.
        lambda: f64,
        /// The reference in the place that is moved, pi; the mean has the rest.
        pi: f64,
        /// The angle, in degrees.
        degrees: f64,
    },
}

impl Targeted {
    /// The vector that attackers send.
    pub fn forge(&self, receiver: &Receiver<'_>) -> Result<Vec<f64>, RobustError> {
        let mean = mean(&receiver.honest);
        Ok(match *self {
            Self::InnerProduct { epsilon } => scaled(&mean, -epsilon),
            Self::LittleIsEnough { deviations: z } => {
                moved(&mean, &deviations(&receiver.honest, &mean), -z)
            }
            Self::Dissensus { epsilon } => {
                let attacking =
                    crate::robust::positive("the weight of attackers", receiver.attacking)?;
                let pull = pull(receiver);
                moved(receiver.honest.rows()[0], &pull, -epsilon / attacking)
            }
            Self::RelocatedOrthogonal { z, lambda, pi, degrees } => {
                let between = |share: f64| {
                    let towards = moved(receiver.before, &mean, -1.0);
                    moved(&mean, &towards, share)
                };
                let turned = turned(&between(lambda), degrees);
                moved(&between(pi), &turned, z)
            }
        })
    }
}

/// What the honest neighbours move the receiver by.
fn pull(receiver: &Receiver<'_>) -> Vec<f64> {
    let (own, others) = (receiver.honest.rows()[0], &receiver.honest.rows()[1..]);
    let mut sum = vec![0.0; own.len()];
    for (other, weight) in others.iter().zip(receiver.weights) {
        let entries = sum.iter_mut().zip(*other).zip(own);
        entries.for_each(|((sum, other), own)| *sum += weight * (other - own));
    }
    sum
}

/// A unit vector at an angle to `along`, in the plane of it and of the vector of ones.
fn turned(along: &[f64], degrees: f64) -> Vec<f64> {
    let unit = unit(along);
    let ones = unit.iter().sum::<f64>();
    let across = self::unit(&unit.iter().map(|it| 1.0 - ones * it).collect::<Vec<_>>());
    let (sine, cosine) = degrees.to_radians().sin_cos();
    moved(&scaled(&across, sine), &unit, cosine)
}

fn unit(vector: &[f64]) -> Vec<f64> {
    let norm = vector.iter().map(|it| it * it).sum::<f64>().sqrt();
    scaled(vector, if norm > 0.0 { 1.0 / norm } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[f64; 2]; 3] = [[1.0, 2.0], [3.0, 2.0], [2.0, 5.0]];

    fn forge(attack: Targeted) -> Vec<f64> {
        let honest = Vectors::new(ROWS.iter().map(|it| &it[..]).collect()).expect("sound");
        let receiver =
            Receiver { honest, weights: &[0.2, 0.3], attacking: 0.4, before: &[1.0, 0.0] };
        attack.forge(&receiver).expect("attackers have a weight")
    }

    #[test]
    fn dissensus_of_one_cancels_the_honest_pull() {
        let forged = forge(Targeted::Dissensus { epsilon: 1.0 });
        let mixed = |entry: usize| {
            let [own, one, other] = ROWS.map(|it| it[entry]);
            own + 0.2 * (one - own) + 0.3 * (other - own) + 0.4 * (forged[entry] - own)
        };
        assert!((mixed(0) - 1.0).abs() < 1e-12 && (mixed(1) - 2.0).abs() < 1e-12, "{forged:?}");
        let twice = forge(Targeted::Dissensus { epsilon: 2.0 });
        assert!((twice[0] - (2.0 * forged[0] - 1.0)).abs() < 1e-12, "{twice:?}");
    }

    #[test]
    fn inner_products_and_little_are_about_the_neighbourhood() {
        assert_eq!(forge(Targeted::InnerProduct { epsilon: 0.5 }), [-1.0, -1.5]);
        assert_eq!(forge(Targeted::LittleIsEnough { deviations: 2.0 })[0], 0.0);
    }

    #[test]
    fn relocated_perturbations_stand_at_their_angle() {
        let moved = |lambda: f64, pi: f64, degrees: f64| {
            let forged = forge(Targeted::RelocatedOrthogonal { z: 4.0, lambda, pi, degrees });
            // The mean is (2, 3), the reference (1, 0).
            [forged[0] - (2.0 - pi), forged[1] - (3.0 - 3.0 * pi)]
        };
        for (lambda, pi, degrees) in [(1.0, 1.0, 90.0), (1.0, 0.5, 180.0), (0.0, 0.5, 60.0)] {
            let found = moved(lambda, pi, degrees);
            assert!((found[0].hypot(found[1]) - 4.0).abs() < 1e-9, "{found:?}");
            let along = [2.0 - lambda, 3.0 - 3.0 * lambda];
            let cosine =
                (found[0] * along[0] + found[1] * along[1]) / 4.0 / along[0].hypot(along[1]);
            assert!((cosine - f64::to_radians(degrees).cos()).abs() < 1e-9, "{degrees} {cosine}");
        }
    }
}
