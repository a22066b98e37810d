//! Forge: what an adversary makes of the honest changes of its epoch.
//!
//! The formulas are those of `longhaul_aggregation::robust::attack`; here stands what their
//! vectors are in a federation: the changes of honest peers that have been trained by now. An
//! adversary that knows of none takes its own for them.

use longhaul_aggregation::robust::Vectors;
use longhaul_aggregation::robust::attack::receiver::{Receiver, Targeted};
use longhaul_aggregation::robust::attack::{Attack as Formula, Family, LineSearch, optimal};
use longhaul_aggregation::{Compressor, Epoch, FRACTION_BITS, MaskKey, Parameters, Update};
use longhaul_lab::adversary::{median, norm};
use longhaul_lab::draw::Draws;
use longhaul_registry::SignedManifest;
use longhaul_registry::manifest::Manifest;

use super::Knowledge;
use crate::scenario::Attack;

/// What one name of an adversary sees as it chooses what to sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    /// Its own change, or the one that all names agreed on.
    pub own: &'a [f32],
    /// What others did.
    pub known: Knowledge<'a>,
    /// How many names it has.
    pub names: usize,
    /// The epoch.
    pub epoch: Epoch,
}

impl Sight<'_> {
    /// The change that an attack by formula makes of it.
    pub fn forge(&self, attack: &Attack, manifest: &SignedManifest) -> Option<Vec<f32>> {
        let about = attack.about().unwrap_or(u16::MAX);
        let rows = self.rows(about);
        let honest = Vectors::new(rows.iter().map(Vec::as_slice).collect()).ok()?;
        let forged = match *attack {
            Attack::OptimalIpm => self.strongest(Family::InnerProduct, &rows, manifest)?,
            Attack::OptimalAlie => self.strongest(Family::LittleIsEnough, &rows, manifest)?,
            Attack::MinMax => Formula::MinMax.forge(&honest).ok()?,
            Attack::MinSum => Formula::MinSum.forge(&honest).ok()?,
            Attack::Mimic { peer } if self.sees(peer) => rows[0].clone(),
            Attack::Dissensus { epsilon, .. } => {
                self.at_receiver(Targeted::Dissensus { epsilon }, honest)?
            }
            Attack::Rop { z, lambda, pi, degrees } => {
                let z = z * norm(&mean(&rows));
                let attack = Targeted::RelocatedOrthogonal { z, lambda, pi, degrees };
                self.at_receiver(attack, honest)?
            }
            Attack::SlowPoisoning { share } => {
                let length = share * median(rows.iter().map(|it| norm(it)).collect());
                let own = wide(self.own);
                let factor = length / norm(&own).max(f64::MIN_POSITIVE);
                own.iter().map(|it| it * factor).collect()
            }
            _ => return Some(self.own.to_vec()),
        };
        Some(narrow(&forged))
    }

    /// The own change with noise that only the owner of `key` has in this epoch.
    pub fn jittered(&self, share: f64, key: &[u8; 32]) -> Vec<f32> {
        let mut seed = [0; 8];
        seed.copy_from_slice(&key[..8]);
        let mut draws = Draws::new(u64::from_le_bytes(seed), u64::from(self.epoch.get()));
        let rows = self.rows(u16::MAX);
        let mean = mean(&rows);
        let deviation = |entry: usize| {
            let squares: f64 = rows.iter().map(|row| (row[entry] - mean[entry]).powi(2)).sum();
            (squares / rows.len() as f64).sqrt()
        };
        let with = |(entry, value): (usize, &f32)| {
            (f64::from(*value) + share * deviation(entry) * draws.normal()) as f32
        };
        self.own.iter().enumerate().map(with).collect()
    }

    /// The honest changes, that of `first` before the others if it is there.
    fn rows(&self, first: u16) -> Vec<Vec<f64>> {
        let honest = self.known.honest;
        if honest.is_empty() {
            return vec![wide(self.own)];
        }
        let (about, others): (Vec<_>, Vec<_>) = honest.iter().partition(|it| it.peer == first);
        about.into_iter().chain(others).map(|it| wide(&it.change)).collect()
    }

    fn sees(&self, peer: u16) -> bool {
        self.known.honest.iter().any(|it| it.peer == peer)
    }

    /// What an attack on one receiver comes to where all hear all: the first row receives, each
    /// weighs alike, and what was before is the mean of the epoch before.
    fn at_receiver(&self, attack: Targeted, honest: Vectors<'_, f64>) -> Option<Vec<f64>> {
        let all = (honest.count() + self.names) as f64;
        let earlier: Vec<Vec<f64>> = self.known.earlier.iter().map(|it| wide(&it.change)).collect();
        let before = if earlier.is_empty() { vec![0.0; self.own.len()] } else { mean(&earlier) };
        let weights = vec![1.0 / all; honest.count() - 1];
        let attacking = self.names as f64 / all;
        let receiver = Receiver { honest, weights: &weights, attacking, before: &before };
        attack.forge(&receiver).ok()
    }

    /// The strongest of a family against the recipe of the federation, in its encoding and within
    /// its norm bound, if all names send it.
    fn strongest(
        &self,
        family: Family,
        rows: &[Vec<f64>],
        manifest: &SignedManifest,
    ) -> Option<Vec<f64>> {
        let key = manifest.admission_policy().mask_key(self.epoch);
        let manifest = manifest.manifest();
        let sent: Vec<Update> =
            rows.iter().filter_map(|row| update(&narrow(row), manifest, &key)).collect();
        let honest = Vectors::new(rows.iter().map(Vec::as_slice).collect()).ok()?;
        let target = |forged: &[f64]| {
            let mut all = sent.clone();
            if let Some(update) = update(&narrow(forged), manifest, &key) {
                all.extend((0..self.names).map(|_| update.clone()));
            }
            let term = manifest.recipe.term_of(&all, manifest.attackers());
            let unit = f64::from(1_u32 << FRACTION_BITS);
            let mut term: Vec<f64> = term.into_iter().map(|it| f64::from(it) / unit).collect();
            term.resize(self.own.len(), 0.0);
            Ok(term)
        };
        optimal(family, &honest, LineSearch::default(), target).ok()
    }
}

/// A change as the federation sends it.
fn update(change: &[f32], manifest: &Manifest, key: &MaskKey) -> Option<Update> {
    let delta = Parameters::from_f32(change).ok()?;
    let mut compressor = Compressor::with(&manifest.schema, manifest.encoding);
    Some(compressor.compress_in(key, &delta, manifest.bounds.norm_max))
}

fn wide(vector: &[f32]) -> Vec<f64> {
    vector.iter().map(|&it| f64::from(it)).collect()
}

fn narrow(vector: &[f64]) -> Vec<f32> {
    vector.iter().map(|&it| it as f32).collect()
}

/// The mean of at least one row.
fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut sums = vec![0.0; rows[0].len()];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, entry)| *sum += entry);
    }
    sums.iter().map(|sum| sum / rows.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Seen;
    use super::*;
    use crate::federation::Federation;
    use crate::testing;

    /// Changes of 10 entries, the parameters of the tiny scenario's model, around one, 1/4 apart.
    fn seen() -> Vec<Seen> {
        let change = |peer: u16| {
            let entry = |entry: u16| 1.0 + 0.25 * f32::from((peer * 7 + entry * 5) % 4) - 0.375;
            Seen { peer, change: Arc::new((0..10).map(entry).collect()) }
        };
        (0..4).map(change).collect()
    }

    fn forge(attack: &Attack, honest: &[Seen], earlier: &[Seen]) -> Vec<f64> {
        let federation = Federation::new(&testing::scenario()).expect("a federation");
        let own = vec![1.0; 10];
        let known = Knowledge { honest, earlier, agreed: None };
        let sight = Sight { own: &own, known, names: 2, epoch: Epoch::new(1) };
        wide(&sight.forge(attack, &federation.manifest).expect("a change"))
    }

    fn near(one: &[f64], other: &[f64]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    fn apart(one: &[f64], other: &[f64]) -> f64 {
        norm(&one.iter().zip(other).map(|(a, b)| a - b).collect::<Vec<_>>())
    }

    fn rows(seen: &[Seen]) -> Vec<Vec<f64>> {
        seen.iter().map(|it| wide(&it.change)).collect()
    }

    #[test]
    fn dissensus_of_one_leaves_the_mean_of_one_peer() {
        let seen = seen();
        let forged = forge(&Attack::Dissensus { epsilon: 1.0, peer: 2 }, &seen, &[]);
        let mut all = rows(&seen);
        all.extend([forged.clone(), forged]);
        assert!(near(&mean(&all), &wide(&seen[2].change)), "{:?}", mean(&all));
    }

    #[test]
    fn mimics_repeat_one_peer_and_themselves_where_it_is_not_there() {
        let seen = seen();
        let mimic = |peer| forge(&Attack::Mimic { peer }, &seen, &[]);
        assert_eq!(mimic(3), wide(&seen[3].change));
        assert_eq!(mimic(9), vec![1.0; 10]);
    }

    #[test]
    fn relocated_perturbations_stand_at_a_right_angle_to_the_mean_before() {
        let seen = seen();
        let earlier = [Seen { peer: 0, change: Arc::new((0_u8..10).map(f32::from).collect()) }];
        let attack = Attack::Rop { z: 2.0, lambda: 1.0, pi: 0.0, degrees: 90.0 };
        let mean = mean(&rows(&seen));
        let forged = forge(&attack, &seen, &earlier);
        let moved: Vec<f64> = forged.iter().zip(&mean).map(|(a, b)| a - b).collect();
        assert!((norm(&moved) - 2.0 * norm(&mean)).abs() < 1e-4, "{moved:?}");
        let along: f64 = moved.iter().zip(0..).map(|(it, before)| it * f64::from(before)).sum();
        assert!(along.abs() < 1e-3, "{along}");
    }

    #[test]
    fn hidden_attacks_are_no_farther_than_the_honest_are_apart() {
        let seen = seen();
        let rows = rows(&seen);
        let worst = |of: &[f64]| rows.iter().map(|row| apart(row, of)).fold(0.0, f64::max);
        let sum = |of: &[f64]| rows.iter().map(|row| apart(row, of).powi(2)).sum::<f64>();
        let (far, summed) =
            (forge(&Attack::MinMax, &seen, &[]), forge(&Attack::MinSum, &seen, &[]));
        let most = rows.iter().map(|row| worst(row)).fold(0.0, f64::max);
        assert!(worst(&far) <= most + 1e-5 && worst(&far) > 0.99 * most, "{far:?}");
        let most = rows.iter().map(|row| sum(row)).fold(0.0, f64::max);
        assert!(sum(&summed) <= most + 1e-5 && sum(&summed) > 0.99 * most, "{summed:?}");
    }

    #[test]
    fn the_strongest_move_the_recipe_farther_than_a_usual_factor() {
        let federation = Federation::new(&testing::scenario()).expect("a federation");
        let manifest = federation.manifest.manifest();
        let key = federation.manifest.admission_policy().mask_key(Epoch::new(1));
        let seen = seen();
        let mean = mean(&rows(&seen));
        let harm = |forged: &[f64]| {
            let mut all = rows(&seen);
            all.extend([forged.to_vec(), forged.to_vec()]);
            let sent = all.iter().filter_map(|it| update(&narrow(it), manifest, &key));
            let term = manifest.recipe.term_of(&sent.collect::<Vec<_>>(), manifest.attackers());
            let unit = f64::from(1_u32 << FRACTION_BITS);
            apart(&term.into_iter().map(|it| f64::from(it) / unit).collect::<Vec<_>>(), &mean)
        };
        let turned: Vec<f64> = mean.iter().map(|it| -0.5 * it).collect();
        for attack in [Attack::OptimalIpm, Attack::OptimalAlie] {
            let found = harm(&forge(&attack, &seen, &[]));
            assert!(found > harm(&turned), "{attack:?} {found}");
        }
    }

    #[test]
    fn slow_poison_is_a_little_shorter_than_the_median() {
        let seen = seen();
        let forged = forge(&Attack::SlowPoisoning { share: 0.99 }, &seen, &[]);
        let median = median(rows(&seen).iter().map(|it| norm(it)).collect());
        assert!((norm(&forged) - 0.99 * median).abs() < 1e-4, "{forged:?}");
        assert!(forged.iter().all(|it| (it - forged[0]).abs() < 1e-6), "its own direction");
    }

    #[test]
    fn jitter_is_each_names_own_and_repeats() {
        let seen = seen();
        let own = vec![-4.0; 10];
        let known = Knowledge { honest: &seen, earlier: &[], agreed: None };
        let sight = Sight { own: &own, known, names: 2, epoch: Epoch::new(1) };
        let (one, other) = (sight.jittered(0.5, &[1; 32]), sight.jittered(0.5, &[2; 32]));
        assert_ne!(one, other);
        assert_eq!(one, sight.jittered(0.5, &[1; 32]));
        assert_eq!(sight.jittered(0.0, &[1; 32]), own);
        let deviation = 0.5 * 0.28;
        assert!(one.iter().all(|it| (it + 4.0).abs() < 5.0 * deviation), "{one:?}");
    }
}
