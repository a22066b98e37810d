//! Sharing: many sums of the same rows with few additions.
//!
//! Nearest-neighbour mixing makes n sums of n - f of n rows each: n (n - f) additions for each
//! column if each is made alone. But sums share parts. The rows are halved again and again,
//! and of each part those sums are made that something asks for, each once, of the sums of
//! its two halves: of two rows there are three, of four rows fifteen, and higher up no more
//! than sums that are asked for. That is some n^2 / 4 additions in place of 3 n^2 / 4, and less
//! where rows have the same neighbours (as the honest have when the others are far away).
//!
//! Nothing is ever subtracted: the sum of all less those left out would be fewer additions
//! still, but an attacker's huge entry would leave rounding errors of its own size behind.

use std::collections::BTreeMap;

use super::mixing::Mixing;

/// How mixed rows are made of others: steps over numbered rows of a tile.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// The vectors in the first rows.
    pub(super) sources: Vec<usize>,
    /// In this order.
    pub(super) steps: Vec<Step>,
    /// The row of each mixed vector, but for the factor.
    pub(super) mixed: Vec<usize>,
    /// What all that comes of them is multiplied by: rules within coordinates allow it.
    pub(super) factor: f64,
    /// Rows of the tile.
    pub(super) rows: usize,
}

/// A row made of others.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// The sum of two.
    Sum { of: [usize; 2], to: usize },
    /// The sum by weights, in order; perhaps of one.
    Weighed { of: Vec<(usize, f64)>, to: usize },
}

impl Plan {
    /// The plan of a mixing.
    pub(super) fn of(mixing: &Mixing) -> Self {
        let rows: Vec<&[(usize, f64)]> = (0..mixing.count()).map(|it| mixing.row(it)).collect();
        let terms = || rows.iter().copied().flatten();
        let last = terms().map(|&(from, _)| from + 1).max().unwrap_or(0);
        let mut place = vec![None; last];
        terms().for_each(|&(from, _)| place[from] = Some(0));
        let mut sources = Vec::new();
        for (vector, place) in place.iter_mut().enumerate().filter(|(_, place)| place.is_some()) {
            *place = Some(sources.len());
            sources.push(vector);
        }
        let placed = |&(from, weight): &(usize, f64)| Some((place[from]?, weight));
        let rows: Vec<Vec<_>> =
            rows.iter().map(|row| row.iter().filter_map(placed).collect()).collect();
        let mut maker =
            Maker { sources: sources.len(), steps: vec![], free: vec![], rows: sources.len() };
        let (mixed, factor) = maker.make(&rows);
        Self { sources, steps: maker.steps, mixed, factor, rows: maker.rows }
    }
}

/// A sum that is asked for: for each row whether it is in it.
type Members = Vec<bool>;

/// A plan while it is made.
#[derive(Debug)]
struct Maker {
    /// The first rows, which stay as they are.
    sources: usize,
    steps: Vec<Step>,
    /// Rows that hold nothing that is still needed.
    free: Vec<usize>,
    rows: usize,
}

impl Maker {
    fn row(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.rows += 1;
            self.rows - 1
        })
    }

    /// The row of each weighted sum, and a factor of all.
    fn make(&mut self, rows: &[Vec<(usize, f64)>]) -> (Vec<usize>, f64) {
        let weights: Vec<Option<f64>> = rows.iter().map(|row| equal(row)).collect();
        let members: Vec<Members> = rows.iter().map(|row| self.members(row)).collect();
        let summed = members.iter().zip(&weights);
        let summed = summed.filter(|(members, weight)| weight.is_some() && members.contains(&true));
        let asked: Vec<Members> = summed.map(|(members, _)| members.clone()).collect();
        let sums = self.sums(0, self.sources, &asked);
        // Only a positive factor leaves the order of entries as it is.
        let first = weights.first().copied().flatten().unwrap_or(1.0);
        let common = first > 0.0 && weights.iter().all(|weight| *weight == Some(first));
        let factor = if common { first } else { 1.0 };
        let mut mixed = Vec::with_capacity(rows.len());
        for ((row, weight), members) in rows.iter().zip(weights).zip(&members) {
            let of = match (weight, sums.get(members)) {
                (Some(weight), Some(&sum)) if weight == factor => {
                    mixed.push(sum);
                    continue;
                }
                (Some(weight), Some(&sum)) => vec![(sum, weight)],
                _ => row.clone(),
            };
            let to = self.row();
            self.steps.push(Step::Weighed { of, to });
            mixed.push(to);
        }
        (mixed, factor)
    }

    fn members(&self, row: &[(usize, f64)]) -> Members {
        let mut members = vec![false; self.sources];
        row.iter().for_each(|&(from, _)| members[from] = true);
        members
    }

    /// Makes sums of the rows from `from` to `end`; those asked for are over these rows and
    /// none is of no row. Gives the row of each.
    fn sums(&mut self, from: usize, end: usize, asked: &[Members]) -> BTreeMap<Members, usize> {
        if asked.is_empty() {
            return BTreeMap::new();
        }
        if end - from == 1 {
            return asked.iter().map(|members| (members.clone(), from)).collect();
        }
        let half = (end - from).next_power_of_two() / 2;
        let parts = [(from, from + half), (from + half, end)].map(|(part, end)| {
            let (first, last) = (part - from, end - from);
            let mut asked: Vec<_> =
                asked.iter().map(|members| members[first..last].to_vec()).collect();
            asked.retain(|members| members.contains(&true));
            asked.sort_unstable();
            asked.dedup();
            self.sums(part, end, &asked)
        });
        let mut made = BTreeMap::new();
        for members in asked {
            let of = [parts[0].get(&members[..half]), parts[1].get(&members[half..])];
            let row = match of {
                [Some(&one), Some(&other)] if !made.contains_key(members) => {
                    let to = self.row();
                    self.steps.push(Step::Sum { of: [one, other], to });
                    to
                }
                [Some(&row), None] | [None, Some(&row)] => row,
                _ => continue,
            };
            made.insert(members.clone(), row);
        }
        let kept: Vec<usize> = made.values().copied().collect();
        for &row in parts.iter().flat_map(BTreeMap::values) {
            if row >= self.sources && !kept.contains(&row) {
                self.free.push(row);
            }
        }
        made
    }
}

/// The one weight of all terms; none where they differ.
fn equal(row: &[(usize, f64)]) -> Option<f64> {
    let first = row.first().map_or(0.0, |&(_, weight)| weight);
    row.iter().all(|&(_, weight)| weight == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the plan makes of one column.
    fn run(plan: &Plan, column: &[f64]) -> Vec<f64> {
        let mut rows = vec![f64::NAN; plan.rows];
        plan.sources.iter().enumerate().for_each(|(row, &vector)| rows[row] = column[vector]);
        for step in &plan.steps {
            match step {
                Step::Sum { of: [one, other], to } => rows[*to] = rows[*one] + rows[*other],
                Step::Weighed { of, to } => {
                    rows[*to] = of.iter().map(|&(row, weight)| rows[row] * weight).sum();
                }
            }
        }
        plan.mixed.iter().map(|&row| rows[row] * plan.factor).collect()
    }

    fn arb_mixing() -> impl Strategy<Value = (Mixing, usize)> {
        (1_usize..24, 1_usize..24, any::<bool>()).prop_flat_map(|(sources, mixed, one_weight)| {
            let weight = prop_oneof![Just(0.0), Just(0.25), Just(0.25), Just(1.0), Just(-0.5)];
            let row = prop::collection::vec(weight, sources..=sources);
            prop::collection::vec(row, mixed..=mixed).prop_map(move |rows| {
                let term = |(from, weight): (usize, f64)| {
                    (weight != 0.0).then_some((from, if one_weight { 0.25 } else { weight }))
                };
                let row = |row: Vec<f64>| row.into_iter().enumerate().filter_map(term).collect();
                (Mixing::new(rows.into_iter().map(row).collect()), sources)
            })
        })
    }

    proptest! {
        #[test]
        fn plans_make_the_sums_of_the_mixing((mixing, sources) in arb_mixing(), column in prop::collection::vec(-9.0..9.0_f64, 24)) {
            let plan = Plan::of(&mixing);
            for (row, found) in run(&plan, &column[..sources]).into_iter().enumerate() {
                let plain: f64 = mixing.row(row).iter().map(|&(from, weight)| weight * column[from]).sum();
                prop_assert!((found - plain).abs() <= 1e-12, "{row}: {found} {plain}");
            }
        }
    }

    #[test]
    fn sums_share_their_parts() {
        let nearest = |from: usize| (0..12).map(|it| (from + it) % 16).collect();
        let plan = |groups: &[Vec<usize>]| Plan::of(&Mixing::means(groups));
        let all_differ = plan(&(0..16).map(nearest).collect::<Vec<_>>());
        assert!(all_differ.steps.len() < 90, "{}", all_differ.steps.len());
        assert!(all_differ.rows < 100, "{}", all_differ.rows);
        let the_same = plan(&vec![nearest(3); 16]);
        assert_eq!(the_same.steps.len(), 11);
        let as_they_are = plan(&[vec![4], vec![2]]);
        assert_eq!((as_they_are.sources, as_they_are.mixed), (vec![2, 4], vec![1, 0]));
        assert_eq!((as_they_are.steps.len(), as_they_are.rows), (0, 2));
    }

    #[test]
    fn what_is_left_out_leaves_no_error_behind() {
        let mixing = Mixing::means(&[vec![0, 1, 2, 4, 5], vec![0, 1, 2, 3, 4]]);
        let found = run(&Plan::of(&mixing), &[1.0, 2.0, 3.0, 1e30, 4.0, 5.0]);
        assert_eq!(found[0], 3.0);
    }
}
