//! Mean: the plain average of a cohort's vectors.

use super::vector::Weighted;

/// The sum of the weighted vectors, entry by entry, in units of 2^-40.
pub(super) fn sums(vectors: &[Weighted<'_>]) -> Vec<i64> {
    let count = vectors.first().map_or(0, |weighted| weighted.vector.parameter_count());
    let mut entries = vec![0; count];
    for weighted in vectors {
        weighted.vector.add_scaled(weighted.weight, &mut entries);
    }
    entries
}
