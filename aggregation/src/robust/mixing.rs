//! Mixing: weighted sums of vectors, as a sparse matrix of weights.

/// The rows of a matrix; each makes one vector of the vectors before.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixing {
    rows: Vec<Vec<(usize, f64)>>,
}

impl Mixing {
    /// Rows of (number of the vector, its weight).
    pub(crate) const fn new(rows: Vec<Vec<(usize, f64)>>) -> Self {
        Self { rows }
    }

    /// Each vector as it is.
    pub fn identity(count: usize) -> Self {
        Self::scaled(&vec![1.0; count])
    }

    /// The plain sum of each group of vectors.
    pub(crate) fn sums(groups: &[Vec<usize>]) -> Self {
        Self::new(groups.iter().map(|it| it.iter().map(|&it| (it, 1.0)).collect()).collect())
    }

    /// Each vector by a factor.
    pub(super) fn scaled(factors: &[f64]) -> Self {
        Self::new(factors.iter().enumerate().map(|(it, &factor)| vec![(it, factor)]).collect())
    }

    /// The plain mean of each group of vectors.
    pub(super) fn means(groups: &[Vec<usize>]) -> Self {
        let mean = |group: &Vec<usize>| {
            let weight = 1.0 / group.len() as f64;
            group.iter().map(|&it| (it, weight)).collect()
        };
        Self::new(groups.iter().map(mean).collect())
    }

    /// Number of vectors made.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// What one is made of.
    pub fn row(&self, number: usize) -> &[(usize, f64)] {
        &self.rows[number]
    }

    /// Some of the vectors made.
    pub(super) fn selected(&self, chosen: &[usize]) -> Self {
        Self::new(chosen.iter().map(|&it| self.rows[it].clone()).collect())
    }

    /// True if each vector stays as it is.
    pub(super) fn is_identity(&self) -> bool {
        self.rows.iter().enumerate().all(|(number, row)| row[..] == [(number, 1.0)])
    }

    /// This one done to what `before` makes.
    pub(super) fn after(&self, before: &Self) -> Self {
        if before.is_identity() {
            return self.clone();
        }
        let sources = before.rows.iter().flatten().map(|&(from, _)| from + 1).max().unwrap_or(0);
        let row = |row: &Vec<(usize, f64)>| {
            let mut sums = vec![0.0; sources];
            for &(by, outer) in row {
                before.rows[by].iter().for_each(|&(from, inner)| sums[from] += outer * inner);
            }
            sums.into_iter().enumerate().filter(|&(_, weight)| weight != 0.0).collect()
        };
        Self::new(self.rows.iter().map(row).collect())
    }

    /// The weight of each original vector in the sum of what is made by `weights`.
    pub(crate) fn weighed(&self, weights: &[f64]) -> Vec<(usize, f64)> {
        let one = Self::new(vec![weights.iter().copied().enumerate().collect()]);
        let row = one.after(self).rows.swap_remove(0);
        row.into_iter().filter(|&(_, weight)| weight != 0.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixings_follow_one_another() {
        let pairs = Mixing::means(&[vec![0, 1], vec![2, 3], vec![4]]);
        let scaled = Mixing::scaled(&[2.0, 1.0, 0.0]);
        let both = scaled.after(&pairs);
        assert_eq!(both.rows, [vec![(0, 1.0), (1, 1.0)], vec![(2, 0.5), (3, 0.5)], vec![]]);
        assert_eq!(both.weighed(&[1.0, 4.0, 9.0]), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]);
        assert!(Mixing::identity(3).is_identity() && !pairs.is_identity());
        assert_eq!(pairs.after(&Mixing::identity(5)), pairs);
    }
}
