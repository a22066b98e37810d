//! Influence: how much of a term each of its vectors is, for the evidence of a fold.

use super::extremes::Keep;
use super::vector::{BLOCK, Block, Weighted, for_each_block};
use super::weighting::COEFFICIENT_ONE;
use super::{
    Bearing, Buckets, Group, Mix, Recipe, Rule, WEIGHT_ONE, bulyan, nearest_neighbour_mixing,
};
use crate::update::Update;

/// How much of its cohort's mean a vector is, and why not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Influence {
    /// What clipping left of it, in units of 2^-16.
    pub clip: i64,
    /// What its staleness left of it, in units of 2^-16.
    pub staleness: i64,
    /// What its samples left of it, in units of 2^-16.
    pub samples: i64,
    /// Its weight in the mean of the cohort, in units of 2^-30: exact for rules by weights; for
    /// rules within columns that of a column which keeps it, times how often mixing takes it.
    pub weight: i64,
    /// For rules within columns without mixing, the share of columns that keep it, in thousandths;
    /// of equal entries those of the first vectors by hash are kept.
    pub kept_permille: Option<u16>,
}

impl Recipe {
    /// The influence of each vector of a cohort, in its order.
    pub(crate) fn influence(&self, group: &Group<'_>, bearing: Bearing) -> Vec<Influence> {
        let vectors = self.weighed(group, bearing);
        let count = vectors.len();
        let attackers = bearing.among(count);
        if self.buckets != Buckets::None {
            return self.shared_influence(group, &vectors, bearing);
        }
        let weights = match self.rule {
            Rule::Bulyan => return self.chosen_influence(group, &vectors, bearing),
            Rule::Weighted(weighting) => weighting.coefficients(&vectors, self.mix, attackers),
            _ => {
                let taken = self.taken(&vectors, attackers);
                let kept = self.keep(count, bearing).of(count) as i64;
                let weight = |((near, of), weighted): ((i64, i64), &Weighted<'_>)| {
                    near * weighted.weight * (COEFFICIENT_ONE / WEIGHT_ONE) / (of * kept)
                };
                taken.into_iter().zip(&vectors).map(weight).collect()
            }
        };
        let kept = match (self.rule, self.mix) {
            (Rule::Weighted(_), _) | (_, Mix::NearestNeighbours) => vec![None; count],
            (_, Mix::None) => kept_permille(&vectors, self.keep(count, bearing)),
        };
        self.explained(group, bearing, weights.into_iter().zip(kept))
    }

    /// The influence of vectors with these weights and shares of columns.
    fn explained(
        &self,
        group: &Group<'_>,
        bearing: Bearing,
        found: impl Iterator<Item = (i64, Option<u16>)>,
    ) -> Vec<Influence> {
        let clipped = self.clip.weigh(&group.vectors, bearing.among(group.vectors.len()));
        let found = found.zip(&group.claims).zip(&clipped);
        found
            .map(|(((weight, kept_permille), claims), clipped)| Influence {
                clip: clipped.weight,
                staleness: self.staleness.weight(*claims),
                samples: self.samples.weight(*claims),
                weight,
                kept_permille,
            })
            .collect()
    }

    /// The influence of vectors in buckets: each has its part of its bucket's.
    fn shared_influence(
        &self,
        group: &Group<'_>,
        weighed: &[Weighted<'_>],
        bearing: Bearing,
    ) -> Vec<Influence> {
        let of_buckets = self.gathered().influence(&self.gather(group, weighed, bearing), bearing);
        let mut found = vec![(0, None); weighed.len()];
        for (places, bucket) in self.places(&group.buckets, bearing).iter().zip(of_buckets) {
            for &place in places {
                let own = i128::from(bucket.weight) * i128::from(weighed[place].weight);
                let own = own / (i128::from(WEIGHT_ONE) * places.len() as i128);
                let own = i64::try_from(own).expect("a part is no more than the whole");
                found[place] = (own, bucket.kept_permille);
            }
        }
        self.explained(group, bearing, found.into_iter())
    }

    /// The influence of vectors of which Bulyan chooses some.
    fn chosen_influence(
        &self,
        group: &Group<'_>,
        weighed: &[Weighted<'_>],
        bearing: Bearing,
    ) -> Vec<Influence> {
        let chosen = bulyan::chosen(weighed, bearing.among(weighed.len()));
        let vectors: Vec<_> = chosen.places.iter().map(|&place| weighed[place]).collect();
        let kept = chosen.keep.of(vectors.len()) as i64;
        let mut found = vec![(0, Some(0)); weighed.len()];
        for (&place, permille) in chosen.places.iter().zip(kept_permille(&vectors, chosen.keep)) {
            let weight = weighed[place].weight * (COEFFICIENT_ONE / WEIGHT_ONE) / kept;
            found[place] = (weight, permille);
        }
        self.explained(group, bearing, found.into_iter())
    }

    /// The weight of each of the updates in [`Recipe::term_of`]; for rules within columns that of
    /// the columns on average, mixing included but not what is kept of mixed vectors. None where
    /// there is no update.
    pub fn weights_of(&self, updates: &[Update], attackers: usize) -> Option<Vec<f64>> {
        if updates.is_empty() {
            return None;
        }
        let found = self.influence(&Group::of(updates), Bearing { attackers, voids: 0 });
        let weight = |it: Influence| {
            let kept = it.kept_permille.map_or(1.0, |kept| f64::from(kept) / 1000.0);
            kept * it.weight as f64 / COEFFICIENT_ONE as f64
        };
        Some(found.into_iter().map(weight).collect())
    }

    /// For each vector of how many mixed ones it is a part, and the parts of each; one and one
    /// where nothing is mixed.
    fn taken(&self, vectors: &[Weighted<'_>], attackers: usize) -> Vec<(i64, i64)> {
        if self.mix == Mix::None || attackers == 0 {
            return vec![(1, 1); vectors.len()];
        }
        let near = nearest_neighbour_mixing::near(vectors, attackers);
        let near = |number: usize| near.iter().filter(|it| it.contains(&number)).count();
        let neighbours = vectors.len() - attackers;
        (0..vectors.len()).map(|number| (near(number) as i64, neighbours as i64)).collect()
    }
}

/// The share of columns that keep each vector's entry, in thousandths.
fn kept_permille(vectors: &[Weighted<'_>], keep: Keep) -> Vec<Option<u16>> {
    let mut kept = vec![0_u64; vectors.len()];
    let mut columns = 0_u64;
    let mut block = Block::new(vectors.len());
    for_each_block(vectors, |rows, from, entries| {
        block.fill(rows, from, entries.len());
        let rows: Vec<&[i64]> = block.rows().collect();
        for entry in 0..entries.len().min(BLOCK) {
            let mut column: Vec<(i64, usize)> =
                rows.iter().enumerate().map(|(number, row)| (row[entry], number)).collect();
            column.sort_unstable();
            columns += 1;
            keep.range(&column).for_each(|place| kept[column[place].1] += 1);
        }
    });
    let permille = |kept| u16::try_from(kept * 1000 / columns.max(1)).ok();
    kept.into_iter().map(permille).collect()
}
