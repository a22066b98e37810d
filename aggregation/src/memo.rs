//! Term memo: terms that several folds share.
//!
//! In a simulated world thousands of folds hold nearly the same set. A term is a
//! pure function of what its key hashes, so whoever computed it first can lend it
//! to all others: that saves their time, and their memory too, since a term is
//! behind an `Arc`. A peer on its own needs none. The memo decides what it keeps
//! and for how long; forgetting costs time and nothing else.

use std::fmt::Debug;
use std::sync::Arc;

use longhaul_dtn::hash::ContentHash;

/// A table of terms by key. What it gives for a key is what was put under it.
pub trait TermMemo: Send + Sync + Debug {
    /// The vector put under `key`, if it is still here.
    fn get(&self, key: &ContentHash) -> Option<Arc<[i32]>>;
    /// Keeps a vector; putting the same key again puts the same vector.
    fn put(&self, key: ContentHash, term: Arc<[i32]>);
}
