//! Minimum-diameter averaging (Rousseeuw 1985; El Mhamdi et al., arXiv 1905.03853).
//!
//! The mean of those `n - f` vectors whose largest distance is least; of several such sets the
//! first in lexicographic order. Bears f < n / 2.
//!
//! Whether `n - f` vectors lie within a diameter is asked as: can f vectors be taken out so
//! that no pair is farther apart? That is a vertex cover of the graph of far pairs, and the
//! search knows what makes those small: a vector with more far ones than may go has to go;
//! more far pairs than those that go can have are too many; where no vector has more than
//! two, the pairs are paths and cycles, which are counted. Otherwise the vector with the most
//! goes, or all that are far from it: at most 1.47^f steps, where trying all sets takes n
//! over f. The diameter is found by bisection over the distances, the first set by asking once
//! for each vector. Beyond [`STEPS_MAX`] words of a set of vectors it is an error.

use super::super::gram::Gram;
use super::super::{RobustError, STEPS_MAX, majority};
use super::mean_of;

/// The weights of the set.
pub(super) fn weights(gram: &Gram, attackers: usize) -> Result<Vec<f64>, RobustError> {
    Ok(within(gram, attackers, STEPS_MAX)?.0)
}

/// The weights, found in so many steps, and how many are left.
fn within(gram: &Gram, attackers: usize, steps: u64) -> Result<(Vec<f64>, u64), RobustError> {
    let count = gram.count();
    majority("minimum-diameter averaging", attackers, count)?;
    let pairs = (0..count).flat_map(|one| (0..one).map(move |other| (one, other)));
    let mut diameters: Vec<f64> =
        pairs.map(|(one, other)| gram.squared_distance(one, other)).collect();
    diameters.push(0.0);
    diameters.sort_by(f64::total_cmp);
    diameters.dedup();
    let (mut low, mut high) = (0, diameters.len() - 1);
    let mut steps = steps;
    while low < high {
        let middle = usize::midpoint(low, high);
        let mut search = Search::of(gram, diameters[middle], steps);
        match search.thins(&Set::all(count), attackers)? {
            true => high = middle,
            false => low = middle + 1,
        }
        steps = search.steps;
    }
    let mut search = Search::of(gram, diameters[low], steps);
    let chosen = search.first(attackers)?;
    Ok((mean_of(&chosen, count), search.steps))
}

/// Some of the vectors, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn all(count: usize) -> Self {
        let mut all = Self::none(count);
        (0..count).for_each(|it| all.put(it));
        all
    }

    fn put(&mut self, it: usize) {
        self.0[it / 64] |= 1 << (it % 64);
    }

    fn take(&mut self, it: usize) {
        self.0[it / 64] &= !(1 << (it % 64));
    }

    fn has(&self, it: usize) -> bool {
        self.0[it / 64] >> (it % 64) & 1 == 1
    }

    fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 64).filter(|&it| self.has(it))
    }

    /// How many are in both.
    fn shared(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(one, other)| (one & other).count_ones() as usize).sum()
    }

    fn both(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & other).collect())
    }

    fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one & !other).collect())
    }
}

/// A search among the pairs that are farther apart than a diameter.
struct Search {
    /// For each vector those that are too far from it.
    far: Vec<Set>,
    /// Words of a set that may still be looked at.
    steps: u64,
}

impl Search {
    fn of(gram: &Gram, diameter: f64, steps: u64) -> Self {
        let count = gram.count();
        let far = |one: usize| {
            let mut far = Set::none(count);
            let is_far = |&other: &usize| gram.squared_distance(one, other) > diameter;
            (0..count).filter(is_far).for_each(|other| far.put(other));
            far
        };
        Self { far: (0..count).map(far).collect(), steps }
    }

    /// Can so many vectors be taken out of `inside` that no pair is too far apart?
    fn thins(&mut self, inside: &Set, left: usize) -> Result<bool, RobustError> {
        let looks = (self.far.len() * inside.0.len()) as u64;
        self.steps = self
            .steps
            .checked_sub(looks)
            .ok_or(RobustError::TooManySubsets("minimum-diameter averaging"))?;
        let mut pairs = 0;
        let (mut most, mut one) = (0, 0);
        for it in inside.members() {
            let far = self.far[it].shared(inside);
            pairs += far;
            if far > most {
                (most, one) = (far, it);
            }
        }
        if pairs == 0 {
            return Ok(true);
        }
        // Each that goes takes at most as many pairs with it.
        if pairs / 2 > left * most {
            return Ok(false);
        }
        if most <= 2 {
            return Ok(self.cover(inside) <= left);
        }
        let mut without = inside.clone();
        without.take(one);
        if self.thins(&without, left - 1)? {
            return Ok(true);
        }
        // It stays, so all that are far from it go.
        match left.checked_sub(most) {
            None => Ok(false),
            Some(left) => {
                let without = without.without(&self.far[one]);
                self.thins(&without, left)
            }
        }
    }

    /// How many have to go where none has more than two far ones: of the k vectors of a path
    /// every second, and of a cycle as many, rounded up.
    fn cover(&self, inside: &Set) -> usize {
        let mut unseen = inside.clone();
        let mut all = 0;
        for from in inside.members().filter(|&it| self.far[it].shared(inside) > 0) {
            if !unseen.has(from) {
                continue;
            }
            unseen.take(from);
            let (mut run, mut vectors, mut ends) = (vec![from], 0, 0);
            while let Some(one) = run.pop() {
                vectors += 1;
                ends += self.far[one].shared(inside);
                for next in self.far[one].both(&unseen).members() {
                    unseen.take(next);
                    run.push(next);
                }
            }
            let cycle = ends == 2 * vectors;
            all += (vectors + usize::from(cycle)) / 2;
        }
        all
    }

    /// The first set in lexicographic order: each vector is kept if the rest can follow.
    fn first(&mut self, attackers: usize) -> Result<Vec<usize>, RobustError> {
        let count = self.far.len();
        let size = count - attackers;
        let mut inside = Set::all(count);
        let mut chosen: Vec<usize> = Vec::with_capacity(size);
        for one in 0..count {
            if !inside.has(one) || chosen.len() == size {
                continue;
            }
            let with = inside.without(&self.far[one]);
            let gone = count - with.shared(&with);
            let fits = gone <= attackers
                && chosen.iter().all(|&kept| with.has(kept))
                && self.thins(&with, attackers - gone)?;
            if fits {
                chosen.push(one);
                inside = with;
            } else {
                inside.take(one);
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

    /// Points of a simplex, each a little farther out than the one before: nearly all pairs
    /// are too far apart, or nearly none.
    fn simplex(count: usize) -> Gram {
        let point = |it: usize| {
            let along = move |at| if at == it { 1.0 + it as f64 * 1e-6 } else { 0.0 };
            (0..count).map(along).collect::<Vec<f64>>()
        };
        let rows: Vec<_> = (0..count).map(point).collect();
        Gram::of(&Vectors::new(rows.iter().map(Vec::as_slice).collect()).expect("sound"))
    }

    /// A matrix of products whose pairs are far by lot, each vector having about `degree` far
    /// ones: vectors of one length, told apart by their products.
    fn lots(count: usize, degree: u64, state: &mut u64) -> Gram {
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state >> 40
        };
        let rows: Vec<Vec<f64>> = (0..count)
            .map(|one| {
                let is_far = |it: u64| it % (count as u64) < degree;
                let mut product = |other| match other == one {
                    true => 1e3,
                    false => {
                        if is_far(next()) {
                            (next() % 3) as f64
                        } else {
                            9.0
                        }
                    }
                };
                (0..=one).map(&mut product).collect()
            })
            .collect();
        Gram::from_rows(&rows)
    }

    #[test]
    fn hostile_distances_take_less_than_the_products_they_follow_from() {
        let mut state = 7;
        for count in [16, 32, 64] {
            let attackers = count / 4;
            let mut grams = vec![("simplex", simplex(count))];
            for degree in [1, 2, 3, 4, 5, 8, 16] {
                grams.extend((0..5).map(|_| ("by lot", lots(count, degree, &mut state))));
            }
            for (what, gram) in grams {
                let (_, left) = within(&gram, attackers, STEPS_MAX).expect("a short search");
                // The products of all pairs of vectors of 1,000 entries.
                let products = (count * count / 2 * 1_000) as u64;
                assert!(STEPS_MAX - left < products, "{what} of {count}: {}", STEPS_MAX - left);
            }
        }
    }

    #[test]
    fn a_search_that_takes_too_long_ends() {
        let found = within(&simplex(40), 19, 1_000).map(|_| ());
        assert_eq!(found, Err(RobustError::TooManySubsets("minimum-diameter averaging")));
    }
}
