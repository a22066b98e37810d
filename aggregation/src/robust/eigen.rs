//! Eigen: the largest eigenvalue of a small symmetric matrix, and its vector.
//!
//! Three steps whose work depends on the size of the matrix and on nothing else, so that no
//! attacker can make it slow:
//!
//! 1. Reflections make the matrix tridiagonal (Householder 1958): `n^3` products and additions.
//! 2. The interval of its largest eigenvalue is cut in nine [`CUTS`] times, by whether the
//!    pivots of `x - T` are all positive (Sturm; Givens 1954).
//! 3. The vector follows from the pivots from both ends, which meet where they say least (Fernando
//!    1997; Dhillon and Parlett 2004): no start, and no iteration.
//!
//! Where one eigenvalue is two thirds of all together, [`STEPS`] steps of the power method may do, of
//! `n^2` each: what an attacker who is far away for one round after another comes to.
//!
//! Only additions, products, divisions and square roots in one order:
//! the same bits everywhere. What is below 2^-400 of the largest entry counts as zero, so that
//! products are not denormal; a matrix that is not finite is told by an infinite value.

use pulp::Arch;

/// Points at which the interval of the eigenvalue is cut at a time: independent divisions, which
/// take hardly longer than one.
const POINTS: usize = 8;
/// Times that it is cut, each into nine: 57 bits.
const CUTS: u32 = 18;

/// Most steps of the power method.
const STEPS: usize = 6;
/// How far a vector may then be off, as a share of the value.
const OFF_MAX: f64 = 1e-14;

/// The largest eigenvalue of a positive semidefinite matrix and a vector of length one for
/// it; zeros for a matrix of zeros, infinity and zeros for one that is not finite.
pub(super) fn dominant(matrix: &[Vec<f64>]) -> (f64, Vec<f64>) {
    find(matrix, false)
}

/// The same, faster where one eigenvalue is most of all together.
pub(super) fn leading(matrix: &[Vec<f64>]) -> (f64, Vec<f64>) {
    find(matrix, true)
}

fn find(matrix: &[Vec<f64>], may_lead: bool) -> (f64, Vec<f64>) {
    let count = matrix.len();
    let entries = || matrix.iter().flatten();
    if !entries().all(|it| it.is_finite()) {
        return (f64::INFINITY, vec![0.0; count]);
    }
    let largest = entries().fold(0.0_f64, |most, it| most.max(it.abs()));
    if largest == 0.0 {
        return (0.0, vec![0.0; count]);
    }
    let least = largest * f64::from_bits((1023 - 400) << 52);
    let scaled = |it: &f64| if it.abs() <= least { 0.0 } else { it / largest };
    let mut work: Vec<f64> = entries().map(scaled).collect();
    let mut vector = Arch::new().dispatch(
        #[inline(always)]
        || {
            if let Some(vector) = may_lead.then(|| powered(&work, count)).flatten() {
                return vector;
            }
            let (tridiagonal, factors) = Tridiagonal::of(&mut work, count);
            let mut vector = tridiagonal.vector(tridiagonal.above());
            reflect_back(&work, &factors, &mut vector);
            vector
        },
    );
    let norm = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|it| *it /= norm);
    let value = matrix.iter().zip(&vector).map(|(row, at)| at * dot(row, &vector)).sum();
    (value, vector)
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    super::gram::dot(left, right)
}

/// The vector of an eigenvalue that is two thirds of all together, so that none is larger, if some
/// steps from the row of the largest entry find it.
#[inline(always)]
fn powered(matrix: &[f64], count: usize) -> Option<Vec<f64>> {
    let own = |it: usize| matrix[it * count + it];
    let all: f64 = (0..count).map(own).sum();
    let from = (0..count).fold(0, |best, it| if own(it) > own(best) { it } else { best });
    let mut vector = matrix[from * count..][..count].to_vec();
    let mut image = vec![0.0; count];
    for _ in 0..STEPS {
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|it| *it /= norm);
        image.fill(0.0);
        for (row, &by) in matrix.chunks_exact(count).zip(&vector) {
            image.iter_mut().zip(row).for_each(|(sum, entry)| *sum += by * entry);
        }
        let value = dot(&image, &vector);
        // Not for a value that is no number either.
        let leads = value > 0.0 && value * 1.5 >= all;
        if !leads {
            return None;
        }
        let off = image.iter().zip(&vector).map(|(it, at)| it - value * at);
        if off.map(|it| it * it).sum::<f64>().sqrt() <= value * OFF_MAX {
            return Some(vector);
        }
        std::mem::swap(&mut vector, &mut image);
    }
    None
}

/// A symmetric matrix with entries beside its diagonal alone.
#[derive(Debug)]
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// One fewer.
    beside: Vec<f64>,
}

impl Tridiagonal {
    /// What reflections make of a matrix that has an entry. Behind the diagonal of each of its rows
    /// stands the direction of that row's reflection then; its factor is given, zero if none.
    #[inline(always)]
    fn of(matrix: &mut [f64], count: usize) -> (Self, Vec<f64>) {
        let mut factors = vec![0.0; count];
        let mut beside = vec![0.0; count - 1];
        let mut images = vec![0.0; count];
        for step in 0..count - 1 {
            let (above, below) = matrix.split_at_mut((step + 1) * count);
            let along = &mut above[step * count + step + 1..];
            let behind = dot(&along[1..], &along[1..]);
            if behind == 0.0 {
                beside[step] = along[0];
                continue;
            }
            let first = along[0];
            let length = (first * first + behind).sqrt();
            beside[step] = if first > 0.0 { -length } else { length };
            along[0] = first - beside[step];
            let factor = 1.0 / (length * (length + first.abs()));
            factors[step] = factor;
            let images = &mut images[step + 1..];
            images.fill(0.0);
            let rows = || below.chunks_exact(count).map(|row| &row[step + 1..]);
            for (row, &by) in rows().zip(along.iter()) {
                images.iter_mut().zip(row).for_each(|(sum, entry)| *sum += by * entry);
            }
            images.iter_mut().for_each(|it| *it *= factor);
            let half = factor / 2.0 * dot(along, images);
            images.iter_mut().zip(along.iter()).for_each(|(it, along)| *it -= half * along);
            for (number, row) in below.chunks_exact_mut(count).enumerate() {
                let (one, other) = (along[number], images[number]);
                let pairs = along.iter().zip(images.iter());
                let entries = row[step + 1..].iter_mut().zip(pairs);
                entries.for_each(|(it, (along, image))| *it -= one * image + other * along);
            }
        }
        let diagonal = (0..count).map(|it| matrix[it * count + it]).collect();
        (Self { diagonal, beside }, factors)
    }

    /// A number that is hardly above the largest eigenvalue.
    #[inline(always)]
    fn above(&self) -> f64 {
        let beside = |it: usize| self.beside.get(it).map_or(0.0, |it| it.abs());
        let ends = self.diagonal.iter().enumerate();
        let reach = |(it, entry)| entry + beside(it) + if it > 0 { beside(it - 1) } else { 0.0 };
        // By Gershgorin's circles, and a little more for what is rounded.
        let mut high = ends.map(reach).fold(f64::MIN, f64::max);
        high += high.abs() * f64::EPSILON * 8.0 + f64::MIN_POSITIVE;
        let mut low = self.diagonal.iter().copied().fold(f64::MIN, f64::max);
        for _ in 0..CUTS {
            let step = (high - low) / (POINTS + 1) as f64;
            let points: [f64; POINTS] = std::array::from_fn(|it| low + step * (it + 1) as f64);
            let is_above = self.are_above(&points);
            // The lowest that is above; all behind it count as that.
            let first = is_above.iter().position(|&it| it).unwrap_or(POINTS);
            if first < POINTS {
                high = points[first];
            }
            if first > 0 {
                low = points[first - 1];
            }
        }
        high
    }

    /// For each point whether it is above all eigenvalues.
    #[inline(always)]
    fn are_above(&self, points: &[f64; POINTS]) -> [bool; POINTS] {
        let mut pivots = [1.0; POINTS];
        let mut least = [f64::INFINITY; POINTS];
        let before = std::iter::once(&0.0).chain(&self.beside);
        for (&entry, &before) in self.diagonal.iter().zip(before) {
            let squared = before * before;
            for it in 0..POINTS {
                pivots[it] = points[it] - entry - squared / pivots[it];
                // No number is not above it either.
                least[it] = if pivots[it] > 0.0 { least[it] } else { -1.0 };
            }
        }
        least.map(|it| it > 0.0)
    }

    /// A vector of the eigenvalue just below `above`.
    #[inline(always)]
    fn vector(&self, above: f64) -> Vec<f64> {
        let count = self.diagonal.len();
        let own: Vec<f64> = self.diagonal.iter().map(|it| above - it).collect();
        // Pivots are positive but for what was rounded.
        let pivot = |it: f64| if it > f64::MIN_POSITIVE { it } else { f64::MIN_POSITIVE };
        let (mut down, mut up) = (own.clone(), own.clone());
        down[0] = pivot(down[0]);
        for it in 1..count {
            let beside = self.beside[it - 1];
            down[it] = pivot(own[it] - beside * beside / down[it - 1]);
        }
        up[count - 1] = pivot(up[count - 1]);
        for it in (0..count - 1).rev() {
            let beside = self.beside[it];
            up[it] = pivot(own[it] - beside * beside / up[it + 1]);
        }
        let meet = |it: usize| (down[it] + up[it] - own[it]).abs();
        let middle = (0..count).fold(0, |best, it| if meet(it) < meet(best) { it } else { best });
        let mut vector = vec![0.0; count];
        vector[middle] = 1.0;
        let cut = |it: f64| it.clamp(-1e100, 1e100);
        for it in (0..middle).rev() {
            vector[it] = cut(self.beside[it] * vector[it + 1] / down[it]);
        }
        for it in middle..count - 1 {
            vector[it + 1] = cut(self.beside[it] * vector[it] / up[it + 1]);
        }
        vector
    }
}

/// Takes a vector back to where the matrix came from, by the reflections in reverse.
#[inline(always)]
fn reflect_back(matrix: &[f64], factors: &[f64], vector: &mut [f64]) {
    let count = factors.len();
    for step in (0..count).rev().filter(|&step| factors[step] != 0.0) {
        let along = &matrix[step * count..][step + 1..count];
        let vector = &mut vector[step + 1..];
        let by = factors[step] * dot(along, vector);
        vector.iter_mut().zip(along).for_each(|(it, along)| *it -= by * along);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_largest_of_known_matrices() {
        let (value, vector) = dominant(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((value - 3.0).abs() < 1e-14 && (vector[0] - vector[1]).abs() < 1e-14);
        let (value, vector) = dominant(&[vec![2.0, -1.0], vec![-1.0, 2.0]]);
        assert!((value - 3.0).abs() < 1e-14 && (vector[0] + vector[1]).abs() < 1e-14);
        assert_eq!(dominant(&[vec![0.0; 2], vec![0.0; 2]]), (0.0, vec![0.0; 2]));
        let (value, _) = dominant(&[vec![1e-200, 0.0], vec![0.0, 1e-201]]);
        assert!((value / 1e-200 - 1.0).abs() < 1e-14);
        assert_eq!(dominant(&[]), (0.0, vec![]));
        assert_eq!(dominant(&[vec![4.0]]), (4.0, vec![1.0]));
        assert_eq!(dominant(&[vec![f64::NAN]]), (f64::INFINITY, vec![0.0]));
    }

    /// How far a vector is from being one of the value, as a share of that.
    fn off(matrix: &[Vec<f64>], value: f64, vector: &[f64]) -> f64 {
        let image = matrix.iter().map(|row| dot(row, vector));
        let off: f64 = image.zip(vector).map(|(it, at)| (it - value * at).powi(2)).sum();
        off.sqrt() / value
    }

    fn squared(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        rows.iter().map(|one| rows.iter().map(|other| dot(one, other)).collect()).collect()
    }

    type Find = fn(&[Vec<f64>]) -> (f64, Vec<f64>);

    #[test]
    fn hostile_spectra_are_no_harder() {
        let count = 24;
        let diagonal = |entry: fn(usize) -> f64| -> Vec<Vec<f64>> {
            let row =
                |one: usize| (0..count).map(move |it| if it == one { entry(it) } else { 0.0 });
            (0..count).map(|one| row(one).collect()).collect()
        };
        let mixed = |entry: fn(usize) -> f64| {
            // By a reflection, so that nothing is diagonal.
            let mut rows = diagonal(entry);
            rows.iter_mut().for_each(|row| {
                let mean = row.iter().sum::<f64>() / count as f64;
                row.iter_mut().for_each(|it| *it -= 2.0 * mean);
            });
            squared(&rows)
        };
        let entries: [fn(usize) -> f64; 6] = [
            |_| 1.0,
            |it| 10.0_f64.powi(it as i32),
            |it| 1.0 + it as f64 * 1e-15,
            |it| 10.0_f64.powi(-12 * it as i32),
            |it| if it < 9 { 3.0 } else { 1e-9 },
            |it| if it == 23 { 1e15 } else { 1e-30 },
        ];
        for (number, entry) in entries.into_iter().enumerate() {
            let largest = (0..count).map(|it| entry(it).powi(2)).fold(0.0, f64::max);
            let matrices = [squared(&diagonal(entry)), mixed(entry)];
            for (matrix, find) in
                matrices.iter().flat_map(|it| [(it, dominant as Find), (it, leading)])
            {
                let (value, vector) = find(matrix);
                assert!((value / largest - 1.0).abs() < 1e-13, "{number}: {value} {largest}");
                let off = off(matrix, value, &vector);
                assert!(off < 1e-12, "{number}: {off}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_vector_is_stretched_by_its_value_and_none_is_more(
            rows in prop::collection::vec(prop::collection::vec(-1.0..1.0_f64, 6), 1..30),
        ) {
            let matrix = squared(&rows);
            let (value, vector) = dominant(&matrix);
            let off = off(&matrix, value, &vector);
            prop_assert!(off <= 1e-12, "{off} {value}");
            prop_assert!((dot(&vector, &vector) - 1.0).abs() < 1e-14);
            let trace: f64 = (0..matrix.len()).map(|it| matrix[it][it]).sum();
            prop_assert!(value <= trace * (1.0 + 1e-12) && value * 6.0 >= trace * (1.0 - 1e-12));
            // None of some other directions is stretched more.
            for one in &matrix {
                let image: f64 = matrix.iter().zip(one).map(|(row, at)| at * dot(row, one)).sum();
                prop_assert!(image <= value * dot(one, one) * (1.0 + 1e-12));
            }
        }
    }
}
