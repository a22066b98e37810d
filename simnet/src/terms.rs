//! Terms that all folds of a run share: each is computed once for each set.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use longhaul_aggregation::TermMemo;
use longhaul_dtn::hash::ContentHash;

/// Parameters of all kept terms together; beyond it all are forgotten, which
/// costs time and nothing else. 64 Mi entries are 256 MiB.
const ENTRIES_MAX: usize = 64 << 20;

/// A table of terms with a bound.
#[derive(Debug, Default)]
pub struct SharedTerms(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    terms: BTreeMap<ContentHash, Arc<[i32]>>,
    entries: usize,
}

impl TermMemo for SharedTerms {
    fn get(&self, key: &ContentHash) -> Option<Arc<[i32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).terms.get(key).cloned()
    }

    fn put(&self, key: ContentHash, term: Arc<[i32]>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.entries + term.len() > ENTRIES_MAX {
            *table = Table::default();
        }
        table.entries += term.len();
        table.terms.insert(key, term);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_was_put_and_stays_within_its_bound() {
        let terms = SharedTerms::default();
        let key = |byte: u8| ContentHash::of(&[byte]);
        let large: Arc<[i32]> = vec![1; ENTRIES_MAX / 2].into();
        terms.put(key(1), large.clone());
        terms.put(key(2), large.clone());
        assert!(terms.get(&key(1)).is_some() && terms.get(&key(2)).is_some());
        terms.put(key(3), large);
        assert!(terms.get(&key(1)).is_none() && terms.get(&key(3)).is_some());
    }
}
