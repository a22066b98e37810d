//! Cache: the bytes of the bundles that were stored last, to be sent on without a look at the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::shell::bundles::BundleKey;

/// Bytes of bundles that stay in memory after they were stored.
const CACHE_BYTES_MAX: usize = 24 << 20;

/// Bytes of bundles that were stored last.
#[derive(Debug, Default)]
pub(super) struct Cache {
    bundles: BTreeMap<BundleKey, (u64, Arc<Vec<u8>>)>,
    /// All of these, by when they came.
    order: BTreeMap<u64, BundleKey>,
    next: u64,
    bytes: usize,
}

impl Cache {
    pub fn get(&self, key: BundleKey) -> Option<Arc<Vec<u8>>> {
        self.bundles.get(&key).map(|(_, bytes)| bytes.clone())
    }

    /// Takes a bundle; the oldest ones go for it.
    pub fn put(&mut self, key: BundleKey, bytes: Arc<Vec<u8>>) {
        self.remove(key);
        self.bytes += bytes.len();
        self.order.insert(self.next, key);
        self.bundles.insert(key, (self.next, bytes));
        self.next += 1;
        while self.bytes > CACHE_BYTES_MAX
            && let Some((_, key)) = self.order.pop_first()
        {
            self.remove(key);
        }
    }

    pub fn remove(&mut self, key: BundleKey) {
        if let Some((place, bytes)) = self.bundles.remove(&key) {
            self.order.remove(&place);
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> BundleKey {
        BundleKey::from_bytes([n; 32])
    }

    #[test]
    fn keeps_the_newest_bundles_within_its_bound() {
        let mut cache = Cache::default();
        for n in 0..20 {
            cache.put(key(n), Arc::new(vec![n; 2 << 20]));
            assert!(cache.bytes <= CACHE_BYTES_MAX);
        }
        assert!(cache.get(key(19)).is_some() && cache.get(key(0)).is_none());
        (0..20).for_each(|n| cache.remove(key(n)));
        assert_eq!((cache.bytes, cache.bundles.len()), (0, 0));
    }

    #[test]
    fn remembers_nothing_of_what_was_removed() {
        let mut cache = Cache::default();
        for n in 0..100 {
            cache.put(key(n), Arc::new(vec![n; 10]));
            cache.put(key(n), Arc::new(vec![n; 11]));
            cache.remove(key(n));
        }
        assert_eq!((cache.bytes, cache.order.len()), (0, 0));
    }
}
