//! Trees: the proofs of payloads that are being handed over.
//!
//! A tree takes one hash over the payload, and 64 bytes for each 16 KiB of it.
//! Those of the payloads last asked for are kept.

use std::collections::{BTreeMap, VecDeque};

use crate::bundle::BundleId;
use crate::groups::{GROUP_BYTES, GroupIndex, GroupProof, GroupTree, groups_in};

/// Groups of all trees kept: 4 MiB of hashes, for 1 GiB of payloads. One tree is kept at least.
const GROUPS_KEPT_MAX: u64 = 64 * 1024;

/// The trees of the payloads last asked for.
#[derive(Debug, Default)]
pub(super) struct Trees {
    trees: BTreeMap<BundleId, GroupTree>,
    /// In the order in which they were made.
    order: VecDeque<BundleId>,
    groups: u64,
}

impl Trees {
    /// The proof of a group of the payload of `id`; none where it has no such group.
    pub fn proof(
        &mut self,
        id: &BundleId,
        payload: &[u8],
        index: GroupIndex,
    ) -> Option<GroupProof> {
        if payload.len() as u64 <= GROUP_BYTES {
            return index.len_in(payload.len() as u64).map(|_| GroupProof::default());
        }
        if !self.trees.contains_key(id) {
            self.keep(*id, GroupTree::of(payload));
        }
        self.trees.get(id)?.proof(index)
    }

    fn keep(&mut self, id: BundleId, tree: GroupTree) {
        self.groups += groups_in(tree.payload_len());
        self.trees.insert(id, tree);
        self.order.push_back(id);
        while self.groups > GROUPS_KEPT_MAX && self.order.len() > 1 {
            let oldest = self.order.pop_front().expect("more than one is kept");
            if let Some(tree) = self.trees.remove(&oldest) {
                self.groups -= groups_in(tree.payload_len());
            }
        }
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
    fn proves_groups_of_long_payloads_and_keeps_nothing_for_short_ones() {
        let payload = vec![7; 3 * GROUP_BYTES as usize + 1];
        let hash = ContentHash::of(&payload);
        let mut trees = Trees::default();
        let last = GroupIndex::new(3).unwrap();
        let proof = trees.proof(&id(1), &payload, last).unwrap();
        assert_eq!(proof.check(&hash, payload.len() as u64, last, &[7]), Ok(()));
        assert_eq!(trees.proof(&id(1), &payload, GroupIndex::new(4).unwrap()), None);
        let first = GroupIndex::new(0).unwrap();
        assert_eq!(trees.proof(&id(2), &[7; 9], first), Some(GroupProof::default()));
        assert_eq!(trees.proof(&id(2), &[7; 9], last), None);
        assert_eq!(trees.trees.len(), 1);
    }

    #[test]
    fn keeps_the_newest_trees_within_the_bound() {
        let mut trees = Trees::default();
        let payload = vec![0; GROUP_BYTES as usize * 2];
        let tree = GroupTree::of(&payload);
        for _ in 0..2 {
            trees.groups += GROUPS_KEPT_MAX - 1;
            trees.keep(id(1), tree.clone());
            trees.keep(id(2), tree.clone());
            assert_eq!(trees.trees.keys().collect::<Vec<_>>(), [&id(2)]);
            trees = Trees::default();
        }
    }
}
