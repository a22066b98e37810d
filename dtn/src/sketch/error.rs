//! Why a reconciliation by sketch ends without a difference.

use super::CELLS_MAX;

/// Why a reconciliation by sketch failed; the plain list of ids still works.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// A batch does not go on where the one before it ended.
    #[error("expected cells from {expected} on, found a batch from {found} on")]
    Order {
        /// Index of the first cell that is still to come.
        expected: u32,
        /// Index of the first cell of the batch.
        found: u32,
    },
    /// More cells than allowed would be needed; holds the limit.
    #[error("no difference found in {0} cells")]
    TooManyCells(u32),
    /// The cells cannot be those of a set.
    #[error("the cells contradict each other")]
    Inconsistent,
    /// The encoder has made as many cells as it makes for one contact.
    #[error("no more than {CELLS_MAX} cells are made for one contact")]
    Exhausted,
    /// A set has more ids than a sketch can count; holds their number.
    #[error("a set of {0} ids is too large for a sketch")]
    SetSize(u64),
}
