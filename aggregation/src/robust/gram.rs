//! Gram: the dot products of all pairs of vectors.

use super::dust;
use super::input::{Real, Vectors};
use super::kernel;
use super::mixing::Mixing;
use super::threads;

/// A symmetric matrix of dot products; all that Gram rules ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gram {
    count: usize,
    products: Vec<f64>,
}

impl Gram {
    /// The dot products of `vectors`: one pass, `n (n + 1) / 2` products for each entry.
    pub fn of<T: Real>(vectors: &Vectors<'_, T>) -> Self {
        let mut gram = Self { count: 0, products: Vec::new() };
        gram.extend(vectors, 1);
        gram
    }

    /// Adds the dot products of those of `vectors` that this matrix does not have yet; the
    /// first ones are those that it has. One pass, `n` products for each entry of a vector that
    /// is added, so that a merge need not wait for the last vector to begin. The matrix is the
    /// same to the bit however many are added at a time and on however many threads.
    pub fn extend<T: Real>(&mut self, vectors: &Vectors<'_, T>, threads: usize) {
        let (before, count) = (self.count, vectors.count());
        if before >= count {
            return;
        }
        let lifts = dust::lifts(vectors);
        let parts = threads::map(vectors, threads, |part| kernel::products(part, &lifts, before));
        self.grow(count, &lifts, parts);
    }

    /// The squared norms of `vectors`, and no other product: one pass, and the same to the bit as
    /// those of a whole matrix.
    pub(super) fn norms_of<T: Real>(vectors: &Vectors<'_, T>, threads: usize) -> Self {
        let lifts = dust::lifts(vectors);
        let parts = threads::map(vectors, threads, |part| kernel::norms(part, &lifts));
        let mut gram = Self::default();
        gram.grow(vectors.count(), &lifts, parts);
        let diagonal = |one: usize| gram.product(one, one);
        let diagonal: Vec<f64> = (0..gram.count).map(diagonal).collect();
        let mut norms = Self::unasked(gram.count);
        diagonal.into_iter().enumerate().for_each(|(one, norm)| norms.set(one, one, norm));
        norms
    }

    /// Becomes the sum of parts of a matrix, whose first columns this one has.
    fn grow<T: Real>(&mut self, count: usize, lifts: &[dust::Lift<T>], parts: Vec<Vec<f64>>) {
        let before = self.count;
        let mut grown = Self { count, products: vec![0.0; count * count] };
        for part in parts {
            grown.products.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        for lift in lifts {
            let back = 1.0 / lift.by.to_f64();
            for other in 0..count {
                grown.products[lift.row * count + other] *= back;
                grown.products[other * count + lift.row] *= back;
            }
        }
        for one in 0..count {
            for other in one..count {
                let from = if other < before { &*self } else { &grown };
                let product = from.product(one, other);
                grown.set(one, other, product);
            }
        }
        *self = grown;
    }

    /// The matrix of a pipeline in which nothing asks for it.
    pub(super) fn unasked(count: usize) -> Self {
        Self { count, products: vec![0.0; count * count] }
    }

    /// A matrix from its rows; only the lower half is read.
    pub fn from_rows(rows: &[Vec<f64>]) -> Self {
        let count = rows.len();
        let mut gram = Self { count, products: vec![0.0; count * count] };
        for (one, row) in rows.iter().enumerate() {
            for (other, &product) in row.iter().take(one + 1).enumerate() {
                gram.set(one, other, product);
            }
        }
        gram
    }

    fn set(&mut self, one: usize, other: usize, product: f64) {
        self.products[one * self.count + other] = product;
        self.products[other * self.count + one] = product;
    }

    /// Number of vectors.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The products of one vector with all.
    pub fn row(&self, one: usize) -> &[f64] {
        &self.products[one * self.count..][..self.count]
    }

    /// The dot product of two.
    pub fn product(&self, one: usize, other: usize) -> f64 {
        self.products[one * self.count + other]
    }

    /// The Euclidean norm of one.
    pub fn norm(&self, one: usize) -> f64 {
        self.product(one, one).max(0.0).sqrt()
    }

    /// The squared distance of two, never negative.
    pub fn squared_distance(&self, one: usize, other: usize) -> f64 {
        if one == other {
            return 0.0;
        }
        let ends = self.product(one, one) + self.product(other, other);
        (ends - 2.0 * self.product(one, other)).max(0.0)
    }

    /// For each vector its squared distance from the sum of all by `weights`.
    pub fn squared_distances_from(&self, weights: &[f64]) -> Vec<f64> {
        let (with, own) = self.with_sum(weights);
        let squared = |one: usize| (self.product(one, one) - 2.0 * with[one] + own).max(0.0);
        (0..self.count).map(squared).collect()
    }

    /// The products of the differences of `chosen` vectors to the sum of all by `weights`.
    pub(super) fn centered(&self, chosen: &[usize], weights: &[f64]) -> Vec<Vec<f64>> {
        let (with, own) = self.with_sum(weights);
        let row = |&one: &usize| {
            let entry = |&other: &usize| self.product(one, other) - with[one] - with[other] + own;
            chosen.iter().map(entry).collect()
        };
        chosen.iter().map(row).collect()
    }

    /// The products of the sum of all by `weights` with each vector, and with itself.
    fn with_sum(&self, weights: &[f64]) -> (Vec<f64>, f64) {
        let with: Vec<f64> = (0..self.count).map(|one| dot(self.row(one), weights)).collect();
        let own = dot(&with, weights);
        (with, own)
    }

    /// The matrix of the sums that `mixing` makes.
    pub fn mixed(&self, mixing: &Mixing) -> Self {
        let count = mixing.count();
        // Of each sum with each vector, then with each sum.
        let half: Vec<Vec<f64>> = (0..count)
            .map(|one| {
                let mut row = vec![0.0; self.count];
                for &(from, weight) in mixing.row(one) {
                    let products = row.iter_mut().zip(self.row(from));
                    products.for_each(|(sum, &product)| *sum += weight * product);
                }
                row
            })
            .collect();
        let mut gram = Self { count, products: vec![0.0; count * count] };
        for (one, half) in half.iter().enumerate() {
            for other in 0..=one {
                let terms = mixing.row(other).iter().map(|&(from, it)| it * half[from]);
                gram.set(one, other, terms.sum());
            }
        }
        gram
    }
}

/// The sum of products, in order.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{Pipeline, Rule};
    use super::*;

    #[test]
    fn tells_norms_and_distances() {
        let rows = [&[3.0_f64, 4.0][..], &[0.0, 0.0], &[3.0, 0.0]];
        let gram = Gram::of(&Vectors::new(rows.to_vec()).expect("sound rows"));
        assert_eq!([0, 1, 2].map(|it| gram.norm(it)), [5.0, 0.0, 3.0]);
        assert_eq!((gram.squared_distance(0, 2), gram.squared_distance(1, 2)), (16.0, 9.0));
        assert_eq!(gram.squared_distances_from(&[0.0, 0.0, 1.0]), [16.0, 9.0, 0.0]);
        let mixing = Mixing::new(vec![vec![(0, 0.5), (2, 0.5)], vec![(0, 1.0)]]);
        let mixed = gram.mixed(&mixing);
        // (3, 2) and (3, 4).
        assert_eq!((mixed.product(0, 0), mixed.product(0, 1), mixed.norm(1)), (13.0, 17.0, 5.0));
        let rows: Vec<_> = (0..3).map(|it| gram.row(it).to_vec()).collect();
        assert_eq!(Gram::from_rows(&rows), gram);
    }

    #[test]
    fn norms_alone_are_those_of_the_whole_matrix() {
        // The last row is so small that it is lifted.
        let row = |it: usize| {
            let scale = if it == 10 { 1e-30 } else { 1.0 / 9.0 };
            (0..2_605).map(move |at| ((it * 31 + at * 7) % 113) as f32 * scale).collect()
        };
        let rows: Vec<Vec<f32>> = (0..11).map(row).collect();
        for count in 1..=rows.len() {
            let rows: Vec<&[f32]> = rows[11 - count..].iter().map(Vec::as_slice).collect();
            let vectors = Vectors::new(rows).expect("sound rows");
            let whole = Gram::of(&vectors);
            for threads in [1, 2] {
                let norms = Gram::norms_of(&vectors, threads);
                for one in 0..count {
                    assert!(whole.product(one, one) > 0.0);
                    let of = |gram: &Gram| gram.product(one, one).to_bits();
                    assert_eq!(of(&norms), of(&whole), "{one} of {count}");
                    assert_eq!(norms.row(one).iter().filter(|&&it| it != 0.0).count(), 1);
                }
            }
        }
    }

    #[test]
    fn grows_to_the_same_matrix() {
        let row = |it: usize| (0..2_600).map(move |at| ((it * 31 + at * 7) % 113) as f32 / 9.0);
        let rows: Vec<Vec<f32>> = (0..19).map(|it| row(it).collect()).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let whole = Gram::of(&Vectors::new(rows.clone()).expect("sound rows"));
        for step in [1, 2, 3, 6, 7] {
            let mut vectors = Vectors::new(rows[..1].to_vec()).expect("sound rows");
            let mut gram = Gram::of(&vectors);
            for rows in rows[1..].chunks(step) {
                rows.iter().for_each(|row| vectors.push(row).expect("a sound row"));
                gram.extend(&vectors, 1 + step % 3);
            }
            assert!(gram == whole, "{step} at a time");
            let pipeline = Pipeline::of(Rule::CovarianceFilter { attackers: 4 });
            assert_eq!(pipeline.aggregate_by(&vectors, gram, step), pipeline.aggregate(&vectors));
            let fewer = Vectors::new(rows[..18].to_vec()).expect("sound rows");
            assert!(pipeline.aggregate_by(&fewer, whole.clone(), 1).is_err());
        }
    }
}
