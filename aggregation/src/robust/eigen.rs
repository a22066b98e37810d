//! Eigen: the largest eigenvalue of a small symmetric matrix, and its vector.
//!
//! The matrix, scaled, is squared [`SQUARINGS`] times: its columns then point along the
//! dominant eigenvector, with what belongs to another eigenvalue down by the ratio of the two
//! to the power 2^16. No random start, no test for convergence, only additions, products,
//! divisions and square roots in one order: the same bits everywhere.

/// Squarings; the work is as many products of n x n matrices.
const SQUARINGS: u32 = 16;

/// The largest eigenvalue of a positive semidefinite matrix and a vector of length one for
/// it; zeros for a matrix of zeros.
pub(super) fn dominant(matrix: &[Vec<f64>]) -> (f64, Vec<f64>) {
    let count = matrix.len();
    let mut power = matrix.to_vec();
    for _ in 0..SQUARINGS {
        if !scale(&mut power) {
            return (0.0, vec![0.0; count]);
        }
        power = square(&power);
    }
    let squared = |row: &Vec<f64>| row.iter().map(|it| it * it).sum::<f64>();
    let longest = power.iter().max_by(|one, other| squared(one).total_cmp(&squared(other)));
    let Some(vector) = longest.and_then(|row| unit(row)) else {
        return (0.0, vec![0.0; count]);
    };
    let value = matrix.iter().zip(&vector).map(|(row, at)| at * dot(row, &vector)).sum();
    (value, vector)
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    super::gram::dot(left, right)
}

/// Divides by the largest entry; false if that is zero.
fn scale(matrix: &mut [Vec<f64>]) -> bool {
    let largest = matrix.iter().flatten().fold(0.0_f64, |most, it| most.max(it.abs()));
    if largest == 0.0 {
        return false;
    }
    matrix.iter_mut().flatten().for_each(|it| *it /= largest);
    true
}

fn square(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let row = |row: &Vec<f64>| {
        let mut out = vec![0.0; row.len()];
        for (&factor, other) in row.iter().zip(matrix) {
            out.iter_mut().zip(other).for_each(|(sum, entry)| *sum += factor * entry);
        }
        out
    };
    matrix.iter().map(row).collect()
}

fn unit(vector: &[f64]) -> Option<Vec<f64>> {
    let largest = vector.iter().fold(0.0_f64, |most, it| most.max(it.abs()));
    if largest == 0.0 {
        return None;
    }
    let scaled: Vec<f64> = vector.iter().map(|it| it / largest).collect();
    let norm = dot(&scaled, &scaled).sqrt();
    Some(scaled.into_iter().map(|it| it / norm).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_largest_of_known_matrices() {
        let (value, vector) = dominant(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((value - 3.0).abs() < 1e-14 && (vector[0] - vector[1]).abs() < 1e-14);
        assert_eq!(dominant(&[vec![0.0; 2], vec![0.0; 2]]), (0.0, vec![0.0; 2]));
        let (value, _) = dominant(&[vec![1e-200, 0.0], vec![0.0, 1e-201]]);
        assert!((value / 1e-200 - 1.0).abs() < 1e-14);
        assert_eq!(dominant(&[]), (0.0, vec![]));
    }

    proptest! {
        #[test]
        fn a_vector_is_stretched_by_its_value_and_none_is_more(
            rows in prop::collection::vec(prop::collection::vec(-1.0..1.0_f64, 6), 2..7),
        ) {
            let matrix: Vec<Vec<f64>> =
                rows.iter().map(|one| rows.iter().map(|other| dot(one, other)).collect()).collect();
            let (value, vector) = dominant(&matrix);
            let image: Vec<f64> = matrix.iter().map(|row| dot(row, &vector)).collect();
            let off: f64 = image.iter().zip(&vector).map(|(it, at)| (it - value * at).powi(2)).sum();
            // Two values that are nearly one have no single vector.
            prop_assert!(off.sqrt() <= 1e-4 * value, "{off} {value}");
            let trace: f64 = (0..matrix.len()).map(|it| matrix[it][it]).sum();
            prop_assert!(value <= trace * (1.0 + 1e-12) && value * matrix.len() as f64 >= trace * (1.0 - 1e-6));
        }
    }
}
