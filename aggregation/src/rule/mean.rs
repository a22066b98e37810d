//! Mean: the plain average of an epoch's updates.

use super::{Sums, Weighted};

/// The sum of the weighted updates, entry by entry.
pub(super) fn sums(updates: &[Weighted<'_>]) -> Sums {
    let count = updates.first().map_or(0, |weighted| weighted.update.parameter_count());
    let mut entries = vec![0; count];
    for weighted in updates {
        weighted.update.add_scaled(weighted.weight, &mut entries);
    }
    Sums { entries, contributions: updates.len() }
}
