//! Minimum-diameter averaging (Rousseeuw 1985; El Mhamdi et al., arXiv 1905.03853).
//!
//! The mean of those `n - f` vectors whose largest distance is least; of several such sets the
//! first in lexicographic order. Bears f < n / 2.
//!
//! Whether `n - f` vectors lie within a diameter is asked as: can f vectors be taken out so
//! that no pair is farther apart? For a pair that is, one of the two must go, so the answer
//! takes at most 2^f steps, where trying all sets takes n over f. The diameter is found by
//! bisection over the distances, the first set by asking once for each vector. Beyond
//! [`STEPS_MAX`] looks at a distance it is an error.

use super::super::gram::Gram;
use super::super::{RobustError, STEPS_MAX, majority};
use super::mean_of;

/// The weights of the set.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    within(gram, attackers, STEPS_MAX)
}

/// The weights, found in so many steps.
fn within(gram: &Gram, attackers: usize, steps_max: u64) -> Result<Vec<f64>, RobustError> {
    let count = gram.count();
    majority("minimum-diameter averaging", attackers, count)?;
    let pairs = (0..count).flat_map(|one| (0..one).map(move |other| (one, other)));
    let mut diameters: Vec<f64> =
        pairs.map(|(one, other)| gram.squared_distance(one, other)).collect();
    diameters.push(0.0);
    diameters.sort_by(f64::total_cmp);
    diameters.dedup();
    let mut search = Search { gram, left: steps_max };
    let (mut low, mut high) = (0, diameters.len() - 1);
    while low < high {
        let middle = usize::midpoint(low, high);
        let mut out = vec![false; count];
        match search.thins(diameters[middle], &mut out, attackers)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    let chosen = search.first(diameters[low], attackers)?;
    Ok(mean_of(&chosen, count))
}

struct Search<'a> {
    gram: &'a Gram,
    /// Looks at a distance that are left.
    left: u64,
}

impl Search<'_> {
    /// Can so many more vectors be taken out that no pair is farther apart?
    fn thins(&mut self, diameter: f64, out: &mut [bool], left: usize) -> Result<bool, RobustError> {
        let looks = (self.gram.count() as u64).pow(2);
        self.left = self
            .left
            .checked_sub(looks)
            .ok_or(RobustError::TooManySubsets("minimum-diameter averaging"))?;
        let Some(pair) = self.far_pair(diameter, out) else { return Ok(true) };
        if left == 0 {
            return Ok(false);
        }
        for goes in pair {
            out[goes] = true;
            let thinned = self.thins(diameter, out, left - 1)?;
            out[goes] = false;
            if thinned {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A pair that is farther apart: of those, one whose first vector has the most, so that
    /// little is left to search.
    fn far_pair(&self, diameter: f64, out: &[bool]) -> Option<[usize; 2]> {
        let inside = || (0..out.len()).filter(|&it| !out[it]);
        let far = |one: usize| {
            inside().filter(move |&other| self.gram.squared_distance(one, other) > diameter)
        };
        let (most, one) = inside()
            .map(|one| (far(one).count(), one))
            .max_by_key(|&(most, one)| (most, usize::MAX - one))?;
        if most == 0 {
            return None;
        }
        far(one).next().map(|other| [one, other])
    }

    /// The first set in lexicographic order: each vector is kept if the rest can follow.
    fn first(&mut self, diameter: f64, attackers: usize) -> Result<Vec<usize>, RobustError> {
        let count = self.gram.count();
        let size = count - attackers;
        let mut out = vec![false; count];
        let mut chosen: Vec<usize> = Vec::with_capacity(size);
        for one in 0..count {
            if out[one] || chosen.len() == size {
                continue;
            }
            let mut with = out.clone();
            let far = |&other: &usize| self.gram.squared_distance(one, other) > diameter;
            (0..count).filter(far).for_each(|other| with[other] = true);
            let gone = with.iter().filter(|&&gone| gone).count();
            let fits = gone <= attackers
                && !chosen.iter().any(|&kept| with[kept])
                && self.thins(diameter, &mut with, attackers - gone)?;
            if fits {
                chosen.push(one);
                out = with;
            } else {
                out[one] = true;
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Vectors;
    use super::super::subsets;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn finds_the_set_that_trying_all_finds(
            rows in prop::collection::vec(prop::collection::vec((-4_i8..4).prop_map(f64::from), 2), 1..10),
            attackers in 0_usize..5,
        ) {
            let attackers = attackers.min((rows.len() - 1) / 2);
            let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound");
            let gram = Gram::of(&vectors);
            let mut best: Option<(f64, Vec<usize>)> = None;
            subsets::each(rows.len(), rows.len() - attackers, |chosen| {
                let pairs = chosen.iter().flat_map(|&one| chosen.iter().map(move |&other| (one, other)));
                let diameter = pairs.map(|(one, other)| gram.squared_distance(one, other)).fold(0.0, f64::max);
                if best.as_ref().is_none_or(|(least, _)| diameter < *least) {
                    best = Some((diameter, chosen.to_vec()));
                }
                true
            });
            let (_, chosen) = best.expect("there is a set");
            prop_assert_eq!(weights(&gram, attackers), Ok(mean_of(&chosen, rows.len())));
        }
    }

    #[test]
    fn a_search_that_takes_too_long_ends() {
        // Points of a regular simplex: each pair is as far apart, all but equal.
        let point = |it: usize| {
            let along = move |at| if at == it { 1.0 + it as f64 * 1e-6 } else { 0.0 };
            (0..40).map(along).collect::<Vec<f64>>()
        };
        let rows: Vec<_> = (0..40).map(point).collect();
        let vectors = Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound");
        let found = within(&Gram::of(&vectors), 19, 1_000_000);
        assert_eq!(found, Err(RobustError::TooManySubsets("minimum-diameter averaging")));
    }
}
