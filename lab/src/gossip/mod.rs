//! Gossip: decentralised learning, where each peer has a model of its own.
//!
//! In each round every honest peer takes a step of SGD with momentum and mixes its model with
//! those of its neighbours by a local rule. The graph is that of He, Karimireddy and Jaggi
//! (arXiv 2202.01545, the experiment on honest majorities): a ring of honest peers, each with
//! attackers of its own, and one more attacker at the first, so that attackers are the
//! majority among all and among the first one's neighbours. Weights are Metropolis'. Attackers
//! see all models of a round before they send, and send to their one neighbour.

pub mod table;

use longhaul_aggregation::robust::attack::receiver::{Receiver, Targeted};
use longhaul_aggregation::robust::local::{LocalRule, Memory, Neighbourhood, OwnLoss};
use longhaul_aggregation::robust::{Pipeline, RobustError, Vectors};

use crate::draw::Draws;
use crate::local_sgd::Task;
use crate::network::Labels;

/// How samples are split among all peers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Skew {
    /// Evenly.
    Even,
    /// Every class by the shares of a Dirichlet distribution.
    Dirichlet(f64),
    /// Sorted by label.
    Sorted,
}

/// What honest peers make of their neighbours' models.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixer {
    /// Nothing: each is alone.
    Alone,
    /// Gossip with the honest neighbours alone: the ceiling, which knows who they are.
    HonestOnly,
    /// A rule that trusts the own vector or data.
    Local(LocalRule),
    /// A rule over all vectors of the neighbourhood alike.
    Global(Pipeline),
}

/// What attackers do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Opponent {
    /// They train and gossip as others do, on what labels they choose.
    Trains(Labels),
    /// They send what an attack makes of their neighbour's neighbourhood.
    Sends(Targeted),
}

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gossip {
    /// Honest peers in the ring.
    pub honest: usize,
    /// Attackers at each, besides the one more at the first.
    pub attackers_each: usize,
    /// How samples are split.
    pub skew: Skew,
    /// Samples in a step.
    pub batch: usize,
    /// The learning rate.
    pub rate: f32,
    /// What is kept of the step before.
    pub momentum: f32,
    /// Rounds.
    pub rounds: usize,
    /// The share of a peer's samples that it does not train on but judges others by; where
    /// there is none it judges by those that it trains on.
    pub held_out: f64,
    /// Samples that a loss is taken over.
    pub judged: usize,
}

impl Default for Gossip {
    fn default() -> Self {
        Self {
            honest: 5,
            attackers_each: 2,
            skew: Skew::Even,
            batch: 32,
            rate: 0.01,
            momentum: 0.9,
            rounds: 900,
            held_out: 0.0,
            judged: 32,
        }
    }
}

/// What a run found at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The mean accuracy of the honest.
    pub mean: f64,
    /// The worst one's.
    pub worst: f64,
    /// The root of the mean squared distance of the honest models to their mean.
    pub apart: f64,
}

/// A peer's own.
struct Peer {
    model: Vec<f32>,
    velocity: Vec<f32>,
    trained: Vec<usize>,
    judged: Vec<usize>,
    memory: Memory,
}

impl Gossip {
    /// Attackers.
    pub const fn attackers(&self) -> usize {
        self.honest * self.attackers_each + 1
    }

    /// The peer that an attacker is at.
    const fn target(&self, attacker: usize) -> usize {
        attacker % self.honest
    }

    /// How many attackers are at a peer.
    const fn at(&self, peer: usize) -> usize {
        self.attackers_each + if peer == 0 { 1 } else { 0 }
    }

    fn degree(&self, peer: usize) -> usize {
        self.ring(peer).len() + self.at(peer)
    }

    /// The honest neighbours.
    fn ring(&self, peer: usize) -> Vec<usize> {
        let mut found = vec![(peer + self.honest - 1) % self.honest, (peer + 1) % self.honest];
        found.sort_unstable();
        found.dedup();
        found.retain(|it| *it != peer);
        found
    }

    /// Metropolis' weights: of the honest neighbours of a peer, and of an attacker at it.
    fn weights(&self, peer: usize) -> (Vec<f64>, f64) {
        let own = self.degree(peer);
        let weight = |other: usize| 1.0 / (1 + own.max(self.degree(other))) as f64;
        (self.ring(peer).into_iter().map(weight).collect(), 1.0 / (1 + own) as f64)
    }

    /// Trains, and says how well the honest did.
    pub fn run(
        &self,
        task: &Task,
        mixer: &Mixer,
        opponent: Opponent,
        seed: u64,
    ) -> Result<Outcome, RobustError> {
        let mut peers = self.peers(task, seed);
        // Apart, so that honest peers train on the same batches whatever the rule and attack.
        let [mut training, mut attacking, mut judging] = [3, 5, 6].map(|it| Draws::new(seed, it));
        for _ in 0..self.rounds {
            let honest = &peers[..self.honest];
            let before: Vec<Vec<f64>> = honest.iter().map(|it| wide(&it.model)).collect();
            for (number, peer) in peers.iter_mut().enumerate() {
                let (labels, draws) = match opponent {
                    _ if number < self.honest => (Labels::True, &mut training),
                    Opponent::Trains(labels) => (labels, &mut attacking),
                    Opponent::Sends(_) => continue,
                };
                self.step(task, peer, labels, draws);
            }
            let moved = match opponent {
                Opponent::Trains(_) => &peers[..],
                Opponent::Sends(_) => &peers[..self.honest],
            };
            let stepped: Vec<Vec<f64>> = moved.iter().map(|it| wide(&it.model)).collect();
            for number in 0..self.honest {
                let sent = self.sent(number, &before, &stepped, opponent)?;
                let scene = (&before[number][..], &stepped[..], &sent[..]);
                let peer = &mut peers[number];
                let mixed = self.mixed(task, number, peer, mixer, scene, &mut judging)?;
                peer.model = mixed.into_iter().map(|it| it as f32).collect();
            }
            for (attacker, peer) in peers.iter_mut().skip(self.honest).enumerate() {
                let target = self.target(attacker);
                let weight = self.weights(target).1;
                let entries = peer.model.iter_mut().zip(&stepped[target]);
                entries.for_each(|(it, other)| *it += (weight * (other - f64::from(*it))) as f32);
            }
        }
        Ok(self.outcome(task, &peers[..self.honest]))
    }

    fn peers(&self, task: &Task, seed: u64) -> Vec<Peer> {
        let count = self.honest + self.attackers();
        let parts = match self.skew {
            Skew::Even => task.train.split(count, 1e6, self.batch, seed),
            Skew::Dirichlet(alpha) => task.train.split(count, alpha, self.batch, seed),
            Skew::Sorted => {
                let mut all: Vec<usize> = (0..task.train.count()).collect();
                all.sort_by_key(|it| task.train.sample(*it).1);
                let size = (all.len() / count).max(1);
                all.chunks(size).take(count).map(<[usize]>::to_vec).collect()
            }
        };
        let model = task.network.initial(seed);
        let mut draws = Draws::new(seed, 4);
        let peer = |mut part: Vec<usize>| {
            draws.shuffle(&mut part);
            let judged = part.split_off(part.len() - (self.held_out * part.len() as f64) as usize);
            let judged = if judged.is_empty() { part.clone() } else { judged };
            let velocity = vec![0.0; model.len()];
            Peer {
                model: model.clone(),
                velocity,
                trained: part,
                judged,
                memory: Memory::default(),
            }
        };
        parts.into_iter().map(peer).collect()
    }

    /// A step of SGD with momentum.
    fn step(&self, task: &Task, peer: &mut Peer, labels: Labels, draws: &mut Draws) {
        let batch = picked(&peer.trained, self.batch, draws);
        let gradient = task.network.gradient(&peer.model, &task.train, &batch, labels);
        let entries = peer.model.iter_mut().zip(&mut peer.velocity).zip(gradient);
        for ((entry, velocity), slope) in entries {
            *velocity = self.momentum * *velocity + slope;
            *entry -= self.rate * *velocity;
        }
    }

    /// What each attacker at a peer sends it.
    fn sent(
        &self,
        peer: usize,
        before: &[Vec<f64>],
        stepped: &[Vec<f64>],
        opponent: Opponent,
    ) -> Result<Vec<Vec<f64>>, RobustError> {
        let Opponent::Sends(attack) = opponent else {
            let at = (0..self.attackers()).filter(|&it| self.target(it) == peer);
            return Ok(at.map(|it| stepped[self.honest + it].clone()).collect());
        };
        let (weights, each) = self.weights(peer);
        let others = self.ring(peer).into_iter().map(|it| &stepped[it][..]);
        let rows = std::iter::once(&stepped[peer][..]).chain(others).collect();
        // Where training has already diverged there is nothing left to attack.
        let Ok(honest) = Vectors::new(rows) else { return Ok(Vec::new()) };
        let attacking = each * self.at(peer) as f64;
        let receiver = Receiver { honest, weights: &weights, attacking, before: &before[peer] };
        Ok(vec![attack.forge(&receiver)?; self.at(peer)])
    }

    /// What a peer makes of its neighbourhood: its model before the step, all honest after it,
    /// and what attackers sent.
    fn mixed(
        &self,
        task: &Task,
        number: usize,
        peer: &mut Peer,
        mixer: &Mixer,
        (before, stepped, sent): (&[f64], &[Vec<f64>], &[Vec<f64>]),
        draws: &mut Draws,
    ) -> Result<Vec<f64>, RobustError> {
        let own = &stepped[number][..];
        let (mut weights, each) = self.weights(number);
        let honest = self.ring(number).into_iter().map(|it| &stepped[it][..]);
        let hostile = sent.iter().filter(|_| *mixer != Mixer::HonestOnly).map(|it| &it[..]);
        let rows: Vec<&[f64]> = honest.chain(hostile).collect();
        weights.resize(rows.len(), each);
        let plain = LocalRule::Gossip;
        let rule = match mixer {
            Mixer::Alone => return Ok(own.to_vec()),
            Mixer::HonestOnly => &plain,
            Mixer::Local(rule) => rule,
            Mixer::Global(pipeline) => {
                let all: Vec<&[f64]> = std::iter::once(own).chain(rows).collect();
                let (sound, kept) = Vectors::sound(&all, own.len());
                let sound = sound.filter(|_| kept.first() == Some(&0));
                let Some(sound) = sound else { return Ok(own.to_vec()) };
                return or_own(pipeline.aggregate(&sound), own, kept.len() < all.len());
            }
        };
        let batch = picked(&peer.judged, self.judged, draws);
        let mut loss = |vector: &[f64]| {
            let model: Vec<f32> = vector.iter().map(|it| *it as f32).collect();
            task.network.loss(&model, &task.train, &batch)
        };
        if !rule.takes_updates() {
            return ruled(rule, (own, &rows, &weights), &mut peer.memory, &mut loss);
        }
        let updates: Vec<Vec<f64>> = rows.iter().map(|it| less(it, before)).collect();
        let rows: Vec<&[f64]> = updates.iter().map(Vec::as_slice).collect();
        let own = less(own, before);
        let mixed = ruled(rule, (&own, &rows, &weights), &mut peer.memory, &mut loss)?;
        Ok(mixed.iter().zip(before).map(|(it, before)| it + before).collect())
    }

    fn outcome(&self, task: &Task, honest: &[Peer]) -> Outcome {
        let accuracy = |it: &Peer| task.network.accuracy(&it.model, &task.test);
        let found: Vec<f64> = honest.iter().map(accuracy).collect();
        let count = found.len() as f64;
        let len = honest.first().map_or(0, |it| it.model.len());
        let spread = |entry: usize| {
            let of = |power: i32| {
                honest.iter().map(|it| f64::from(it.model[entry]).powi(power)).sum::<f64>() / count
            };
            (of(2) - of(1).powi(2)).max(0.0)
        };
        Outcome {
            mean: found.iter().sum::<f64>() / count,
            worst: found.iter().copied().fold(1.0, f64::min),
            apart: (0..len).map(spread).sum::<f64>().sqrt(),
        }
    }
}

/// What a local rule makes of the own vector, the others and their weights.
fn ruled(
    rule: &LocalRule,
    (own, rows, weights): (&[f64], &[&[f64]], &[f64]),
    memory: &mut Memory,
    loss: &mut OwnLoss<'_, f64>,
) -> Result<Vec<f64>, RobustError> {
    let Some(hood) = Neighbourhood::new(own, rows, weights)? else { return Ok(own.to_vec()) };
    or_own(rule.mix(&hood, memory, loss), own, hood.count() < rows.len())
}

/// What a rule gave; the own vector where the rule refuses what unsound vectors left of a
/// neighbourhood.
fn or_own(
    mixed: Result<Vec<f64>, RobustError>,
    own: &[f64],
    left_out: bool,
) -> Result<Vec<f64>, RobustError> {
    match mixed {
        Err(RobustError::Attackers { .. }) if left_out => Ok(own.to_vec()),
        other => other,
    }
}

fn wide(model: &[f32]) -> Vec<f64> {
    model.iter().map(|it| f64::from(*it)).collect()
}

fn less(vector: &[f64], origin: &[f64]) -> Vec<f64> {
    vector.iter().zip(origin).map(|(it, origin)| it - origin).collect()
}

fn picked(part: &[usize], count: usize, draws: &mut Draws) -> Vec<usize> {
    (0..count).map(|_| part[draws.below(part.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::samples::Samples;

    const SETTING: Gossip = Gossip {
        honest: 5,
        attackers_each: 2,
        skew: Skew::Even,
        batch: 16,
        rate: 0.02,
        momentum: 0.9,
        rounds: 60,
        held_out: 0.2,
        judged: 16,
    };

    fn task() -> Task {
        let (train, test) = Samples::generated(1_200, 20, 1).shuffled(1, 200);
        Task { train, test, network: Network { inputs: 20, hidden: 8, classes: 10 } }
    }

    #[test]
    fn attackers_are_the_majority_of_all_and_at_the_first() {
        let gossip = Gossip::default();
        assert_eq!((gossip.attackers(), gossip.at(0), gossip.at(1)), (11, 3, 2));
        assert_eq!((gossip.ring(0), gossip.ring(3)), (vec![1, 4], vec![2, 4]));
        let (weights, each) = gossip.weights(1);
        assert_eq!(weights, [1.0 / 6.0, 1.0 / 5.0]);
        assert_eq!(each, 1.0 / 5.0);
        let found: usize = (0..5).map(|it| gossip.at(it)).sum();
        assert_eq!(found, gossip.attackers());
        assert_eq!((0..11).filter(|it| gossip.target(*it) == 0).count(), 3);
    }

    #[test]
    fn samples_are_split_among_all_and_judged_ones_held_out() {
        for skew in [Skew::Even, Skew::Dirichlet(1.0), Skew::Sorted] {
            let peers = Gossip { skew, ..SETTING }.peers(&task(), 1);
            assert_eq!(peers.len(), 16);
            for peer in &peers {
                assert!(
                    peer.judged.iter().all(|it| !peer.trained.contains(it))
                        || skew == Skew::Dirichlet(1.0)
                );
                assert!(!peer.trained.is_empty() && !peer.judged.is_empty(), "{skew:?}");
            }
        }
        let all = Gossip { held_out: 0.0, ..SETTING }.peers(&task(), 1);
        assert_eq!(all[0].trained, all[0].judged);
    }

    #[test]
    fn gossip_agrees_and_dissensus_drives_apart() {
        let run = |mixer: &Mixer, epsilon: f64| {
            let opponent = Opponent::Sends(Targeted::Dissensus { epsilon });
            SETTING.run(&task(), mixer, opponent, 1).expect("sound parameters").apart
        };
        let plain = Mixer::Local(LocalRule::Gossip);
        let (agreed, driven) = (run(&Mixer::HonestOnly, 1.5), run(&plain, 1.5));
        let alone = run(&Mixer::Alone, 1.5);
        assert!(agreed < 0.5 * alone && driven > 2.0 * alone, "{agreed} {alone} {driven}");
        let still = run(&plain, 1.0);
        assert!(
            (still - alone).abs() < 1e-3,
            "epsilon one leaves each where it is: {still} {alone}"
        );
    }

    #[test]
    fn updates_are_differences_to_the_model_before() {
        let flip = Opponent::Sends(Targeted::InnerProduct { epsilon: 1.0 });
        let trusting = SETTING.run(&task(), &Mixer::Local(LocalRule::FlTrust), flip, 1);
        let averaged = SETTING.run(&task(), &Mixer::Local(LocalRule::Gossip), flip, 1);
        let (trusting, averaged) = (trusting.expect("sound").mean, averaged.expect("sound").mean);
        assert!(trusting > averaged + 0.2, "{trusting} {averaged}");
    }
}
