//! Refusals: a bounded memory of the ids that were refused, so that a bundle
//! that is sent or offered again is neither fetched nor judged again.

use std::collections::BTreeMap;

use crate::bundle::BundleId;

/// Refused ids with their codes; beyond the bound the oldest are forgotten.
#[derive(Debug)]
pub(super) struct Refusals {
    codes: BTreeMap<BundleId, (u64, u16)>,
    /// By the order in which they were refused.
    ages: BTreeMap<u64, BundleId>,
    next: u64,
    max: usize,
}

impl Refusals {
    /// An empty memory for `max` ids.
    pub fn new(max: usize) -> Self {
        Self { codes: BTreeMap::new(), ages: BTreeMap::new(), next: 0, max }
    }

    /// Remembers that `id` was refused.
    pub fn insert(&mut self, id: BundleId, code: u16) {
        self.forget(&id);
        self.codes.insert(id, (self.next, code));
        self.ages.insert(self.next, id);
        self.next += 1;
        if self.codes.len() > self.max {
            let oldest = self.ages.pop_first().map(|(_, id)| id);
            oldest.map(|id| self.codes.remove(&id));
        }
        assert_eq!(self.codes.len(), self.ages.len());
    }

    /// Forgets that `id` was refused.
    pub fn forget(&mut self, id: &BundleId) {
        if let Some((age, _)) = self.codes.remove(id) {
            self.ages.remove(&age);
        }
    }

    /// The code with which `id` was refused.
    pub fn code(&self, id: &BundleId) -> Option<u16> {
        self.codes.get(id).map(|&(_, code)| code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ContentHash;

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    #[test]
    fn forgets_the_oldest_beyond_the_bound() {
        let mut refusals = Refusals::new(2);
        (1..=3).for_each(|byte| refusals.insert(id(byte), byte.into()));
        let found: Vec<_> = (1..=3).map(|byte| refusals.code(&id(byte))).collect();
        assert_eq!(found, [None, Some(2), Some(3)]);
    }

    #[test]
    fn renews_an_id_that_is_refused_again() {
        let mut refusals = Refusals::new(2);
        for (byte, code) in [(1, 10), (2, 20), (1, 11), (3, 30)] {
            refusals.insert(id(byte), code);
        }
        let found: Vec<_> = (1..=3).map(|byte| refusals.code(&id(byte))).collect();
        assert_eq!(found, [Some(11), None, Some(30)]);
    }

    #[test]
    fn forgets_on_request_and_holds_nothing_at_bound_zero() {
        let mut refusals = Refusals::new(1);
        refusals.insert(id(1), 1);
        refusals.forget(&id(1));
        assert_eq!(refusals.code(&id(1)), None);
        let mut none = Refusals::new(0);
        none.insert(id(1), 1);
        assert_eq!(none.code(&id(1)), None);
    }
}
