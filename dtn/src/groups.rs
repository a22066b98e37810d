//! Groups: a payload in parts that are each checked against its hash.
//!
//! BLAKE3 is a binary tree over chunks of 1 KiB ("BLAKE3", O'Connor, Aumasson,
//! Neves, Wilcox-O'Hearn, section 2.4). Sixteen chunks that are a subtree are a
//! *group*, the unit of Bao with a chunk group size of 16 KiB. With the hashes
//! beside its way to the root, at most [`PROOF_HASHES_MAX`], a group is shown to
//! be part of the payload that a hash names, whoever hands it over and whatever
//! else has arrived: 6 hashes or 1.2 % for 1 MiB, 13 or 2.5 % for 100 MiB.
//!
//! A payload of one group has an empty proof. Nothing here allocates by what a
//! stranger claims.

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::hash::{ContentHash, HASH_BYTES};

/// Bytes of a group; the last one of a payload may be shorter.
pub const GROUP_BYTES: u64 = 16 * 1024;
/// Most groups of a payload: 16 TiB.
pub const GROUPS_MAX: u64 = 1 << 30;
/// Most hashes of a proof.
pub const PROOF_HASHES_MAX: usize = 30;

/// Number of a group in its payload, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupIndex(u32);

/// The hashes beside a group's way to the root, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupProof(Vec<[u8; HASH_BYTES]>);

/// The hashes of all groups and of the subtrees above them: 64 bytes a group.
#[derive(Debug, Clone)]
pub struct GroupTree {
    payload_len: u64,
    /// In preorder, the root first, whose value is not used.
    nodes: Vec<ChainingValue>,
}

/// Why a group is not one of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The payload has no such group.
    #[error("group {index} of a payload of {groups} groups")]
    Index {
        /// The group.
        index: u32,
        /// How many there are.
        groups: u64,
    },
    /// The group has more or fewer bytes.
    #[error("a group of {found} bytes instead of {expected}")]
    Length {
        /// Bytes that the group has.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The proof has more or fewer hashes than lie beside the group's way.
    #[error("a proof of {found} hashes instead of {expected}")]
    Proof {
        /// Hashes that the proof has.
        expected: usize,
        /// Hashes that came.
        found: usize,
    },
    /// Group and proof do not lead to the payload's hash.
    #[error("the group is not part of the payload that was signed")]
    Hash,
}

impl GroupIndex {
    /// Group `index`; none where no payload has so many.
    pub const fn new(index: u64) -> Option<Self> {
        if index < GROUPS_MAX { Some(Self(index as u32)) } else { None }
    }

    /// The group that begins at byte `offset`, which is a multiple of [`GROUP_BYTES`].
    pub const fn at(offset: u64) -> Option<Self> {
        if offset.is_multiple_of(GROUP_BYTES) { Self::new(offset / GROUP_BYTES) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// First byte of the group in the payload.
    pub const fn offset(self) -> u64 {
        self.0 as u64 * GROUP_BYTES
    }

    /// Bytes of the group in a payload of `payload_len` bytes; none where it has no such group
    /// or is longer than [`GROUPS_MAX`] groups. An empty payload has one empty group.
    pub const fn len_in(self, payload_len: u64) -> Option<u64> {
        let groups = groups_in(payload_len);
        if self.0 as u64 >= groups || groups > GROUPS_MAX {
            return None;
        }
        let rest = payload_len - self.offset();
        Some(if rest < GROUP_BYTES { rest } else { GROUP_BYTES })
    }
}

/// Groups of a payload of `payload_len` bytes, at least one.
pub const fn groups_in(payload_len: u64) -> u64 {
    if payload_len == 0 { 1 } else { payload_len.div_ceil(GROUP_BYTES) }
}

impl GroupProof {
    /// A proof of these hashes, the lowest first; none above [`PROOF_HASHES_MAX`].
    pub fn new(hashes: Vec<[u8; HASH_BYTES]>) -> Option<Self> {
        (hashes.len() <= PROOF_HASHES_MAX).then_some(Self(hashes))
    }

    /// The hashes, the lowest first.
    pub fn hashes(&self) -> &[[u8; HASH_BYTES]] {
        &self.0
    }

    /// Checks that `bytes` are group `index` of the payload of `payload_len` bytes with the
    /// hash `root`; hashes the group and two hashes for each level.
    pub fn check(
        &self,
        root: &ContentHash,
        payload_len: u64,
        index: GroupIndex,
        bytes: &[u8],
    ) -> Result<(), GroupError> {
        let groups = groups_in(payload_len);
        let expected =
            index.len_in(payload_len).ok_or(GroupError::Index { index: index.0, groups })?;
        let found = bytes.len() as u64;
        if found != expected {
            return Err(GroupError::Length { expected, found });
        }
        let way = Way::to(payload_len, index);
        if self.0.len() != way.turns.len() {
            return Err(GroupError::Proof { expected: way.turns.len(), found: self.0.len() });
        }
        let found = if way.turns.is_empty() {
            ContentHash::of(bytes)
        } else {
            way.root(chaining_value(index.offset(), bytes), &self.0)
        };
        if found == *root { Ok(()) } else { Err(GroupError::Hash) }
    }
}

impl GroupTree {
    /// The tree of a payload; hashes all of it.
    pub fn of(payload: &[u8]) -> Self {
        let groups = usize::try_from(groups_in(payload.len() as u64)).expect("it is in memory");
        let mut nodes = Vec::with_capacity(2 * groups - 1);
        if groups == 1 {
            nodes.push(ChainingValue::default());
        } else {
            push_subtree(&mut nodes, 0, payload);
        }
        assert_eq!(nodes.len(), 2 * groups - 1);
        Self { payload_len: payload.len() as u64, nodes }
    }

    /// Bytes of the payload.
    pub const fn payload_len(&self) -> u64 {
        self.payload_len
    }

    /// The proof of a group; none where the payload has no such group.
    pub fn proof(&self, index: GroupIndex) -> Option<GroupProof> {
        index.len_in(self.payload_len)?;
        let (mut hashes, mut node) = (vec![], 0);
        for turn in Way::to(self.payload_len, index).turns {
            let left = node + 1;
            let right =
                left + 2 * usize::try_from(groups_in(turn.left_len)).expect("in memory") - 1;
            let (next, beside) = if turn.is_right { (right, left) } else { (left, right) };
            hashes.push(self.nodes[beside]);
            node = next;
        }
        hashes.reverse();
        Some(GroupProof(hashes))
    }
}

/// Pushes the nodes of a subtree in preorder; gives its hash.
fn push_subtree(nodes: &mut Vec<ChainingValue>, offset: u64, bytes: &[u8]) -> ChainingValue {
    let at = nodes.len();
    nodes.push(ChainingValue::default());
    let value = if bytes.len() as u64 <= GROUP_BYTES {
        chaining_value(offset, bytes)
    } else {
        let left_len = left_subtree_len(bytes.len() as u64);
        let (left, right) = bytes.split_at(usize::try_from(left_len).expect("it is in memory"));
        let left = push_subtree(nodes, offset, left);
        let right = push_subtree(nodes, offset + left_len, right);
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    };
    nodes[at] = value;
    value
}

fn chaining_value(offset: u64, bytes: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes).finalize_non_root()
}

/// The way from the root down to a group.
struct Way {
    turns: Vec<Turn>,
}

struct Turn {
    is_right: bool,
    /// Bytes in the left subtree.
    left_len: u64,
}

impl Way {
    fn to(payload_len: u64, index: GroupIndex) -> Self {
        let (mut offset, mut len, mut turns) = (index.offset(), payload_len, vec![]);
        while len > GROUP_BYTES {
            let left_len = left_subtree_len(len);
            let is_right = offset >= left_len;
            turns.push(Turn { is_right, left_len });
            if is_right {
                offset -= left_len;
                len -= left_len;
            } else {
                len = left_len;
            }
        }
        assert!(turns.len() <= PROOF_HASHES_MAX);
        Self { turns }
    }

    /// The root above `value`, with the hashes beside the way, the lowest first.
    fn root(&self, mut value: ChainingValue, beside: &[[u8; HASH_BYTES]]) -> ContentHash {
        let (top, below) = self.turns.split_first().expect("a payload of more than one group");
        let (last, lower) = beside.split_last().expect("as many hashes as turns");
        assert_eq!(below.len(), lower.len());
        for (turn, beside) in below.iter().rev().zip(lower) {
            let (left, right) = turn.order(&value, beside);
            value = merge_subtrees_non_root(left, right, Mode::Hash);
        }
        let (left, right) = top.order(&value, last);
        ContentHash::from_bytes(*merge_subtrees_root(left, right, Mode::Hash).as_bytes())
    }
}

impl Turn {
    /// The value of the way and the one beside it, from left to right.
    const fn order<'a>(
        &self,
        value: &'a ChainingValue,
        beside: &'a ChainingValue,
    ) -> (&'a ChainingValue, &'a ChainingValue) {
        if self.is_right { (beside, value) } else { (value, beside) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUP: usize = GROUP_BYTES as usize;

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
    }

    fn part(payload: &[u8], index: u64) -> (GroupIndex, &[u8]) {
        let index = GroupIndex::new(index).unwrap();
        let start = index.offset() as usize;
        (index, &payload[start..payload.len().min(start + GROUP)])
    }

    #[test]
    fn every_group_of_every_size_has_a_proof() {
        let sizes = [0, 1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 3 * GROUP - 5];
        for len in sizes.into_iter().chain([5 * GROUP + 1_024, 8 * GROUP, 13 * GROUP + 7]) {
            let payload = payload(len);
            let (root, tree) = (ContentHash::of(&payload), GroupTree::of(&payload));
            for index in 0..groups_in(len as u64) {
                let (index, bytes) = part(&payload, index);
                let proof = tree.proof(index).unwrap();
                assert_eq!(proof.check(&root, len as u64, index, bytes), Ok(()), "{len} {index:?}");
            }
            assert_eq!(tree.proof(GroupIndex::new(groups_in(len as u64)).unwrap()), None);
        }
    }

    #[test]
    fn proofs_are_as_long_as_the_way() {
        for (groups, hashes) in [(1, 0), (2, 1), (3, 2), (64, 6), (65, 7)] {
            let tree = GroupTree::of(&payload(groups * GROUP));
            assert_eq!(tree.proof(GroupIndex(0)).unwrap().hashes().len(), hashes, "{groups}");
        }
        let way = Way::to(GROUPS_MAX * GROUP_BYTES, GroupIndex(0));
        assert_eq!(way.turns.len(), PROOF_HASHES_MAX);
    }

    #[test]
    fn refuses_what_is_no_group_of_the_payload() {
        let payload = payload(3 * GROUP + 100);
        let (root, len) = (ContentHash::of(&payload), payload.len() as u64);
        let tree = GroupTree::of(&payload);
        let (index, bytes) = part(&payload, 1);
        let proof = tree.proof(index).unwrap();
        let check = |proof: &GroupProof, index, bytes: &[u8]| proof.check(&root, len, index, bytes);
        let outside = GroupError::Index { index: 4, groups: 4 };
        assert_eq!(check(&proof, GroupIndex(4), bytes), Err(outside));
        let short = GroupError::Length { expected: GROUP_BYTES, found: GROUP_BYTES - 1 };
        assert_eq!(check(&proof, index, &bytes[1..]), Err(short));
        assert_eq!(check(&proof, GroupIndex(0), bytes), Err(GroupError::Hash));
        let other = tree.proof(GroupIndex(0)).unwrap();
        assert_eq!(check(&other, index, bytes), Err(GroupError::Hash));
        let empty = GroupError::Proof { expected: 2, found: 0 };
        assert_eq!(check(&GroupProof::default(), index, bytes), Err(empty));
        assert_eq!(proof.check(&ContentHash::of(b""), len, index, bytes), Err(GroupError::Hash));
    }

    #[test]
    fn refuses_a_proof_that_is_too_long() {
        assert!(GroupProof::new(vec![[0; 32]; PROOF_HASHES_MAX]).is_some());
        assert_eq!(GroupProof::new(vec![[0; 32]; PROOF_HASHES_MAX + 1]), None);
    }

    #[test]
    fn knows_groups_by_their_place() {
        assert_eq!(GroupIndex::at(2 * GROUP_BYTES), GroupIndex::new(2));
        assert_eq!(GroupIndex::at(2 * GROUP_BYTES + 1), None);
        assert_eq!(GroupIndex::new(GROUPS_MAX), None);
        assert_eq!(GroupIndex(0).len_in(0), Some(0));
        assert_eq!(GroupIndex(1).len_in(GROUP_BYTES), None);
        assert_eq!(GroupIndex(1).len_in(GROUP_BYTES + 9), Some(9));
        assert_eq!(GroupIndex(1).len_in(u64::MAX), None);
    }

    #[test]
    fn a_payload_is_covered_by_its_groups_and_by_nothing_else() {
        for len in [0, 1, GROUP_BYTES, GROUP_BYTES + 1, 7 * GROUP_BYTES - 1] {
            let all: u64 = (0..groups_in(len))
                .map(|it| GroupIndex::new(it).unwrap().len_in(len).unwrap())
                .sum();
            assert_eq!(all, len);
            assert_eq!(GroupIndex::new(groups_in(len)).unwrap().len_in(len), None);
        }
    }

    #[test]
    fn a_proof_is_of_one_place_alone() {
        // Two groups with equal bytes have proofs that do not stand for each other.
        let payload = vec![5; 4 * GROUP];
        let (root, tree) = (ContentHash::of(&payload), GroupTree::of(&payload));
        let [first, third] = [0, 2].map(|it| GroupIndex::new(it).unwrap());
        let proof = tree.proof(first).unwrap();
        let check = |index| proof.check(&root, payload.len() as u64, index, &payload[..GROUP]);
        assert_eq!((check(first), check(third)), (Ok(()), Err(GroupError::Hash)));
    }

    #[test]
    fn a_tree_knows_how_long_its_payload_is() {
        for len in [0, 9, 3 * GROUP + 1] {
            assert_eq!(GroupTree::of(&payload(len)).payload_len(), len as u64);
        }
    }

    proptest! {
        #[test]
        fn a_changed_bit_anywhere_is_found(
            len in 1_usize..6 * GROUP,
            group: prop::sample::Index,
            bit: prop::sample::Index,
        ) {
            let payload = payload(len);
            let (root, tree) = (ContentHash::of(&payload), GroupTree::of(&payload));
            let index = group.index(groups_in(len as u64) as usize) as u64;
            let (index, bytes) = part(&payload, index);
            let (mut bytes, mut proof) = (bytes.to_vec(), tree.proof(index).unwrap());
            let hash_bits = proof.0.len() * HASH_BYTES * 8;
            let at = bit.index(bytes.len() * 8 + hash_bits);
            match at.checked_sub(bytes.len() * 8) {
                None => bytes[at / 8] ^= 1 << (at % 8),
                Some(at) => proof.0[at / 256][at % 256 / 8] ^= 1 << (at % 8),
            }
            prop_assert_eq!(proof.check(&root, len as u64, index, &bytes), Err(GroupError::Hash));
        }
    }
}
