//! Data set: batches committed to by one root, a Poseidon tree with eight children to a node.
//!
//! A leaf hashes a salt and a packed batch (68 elements, nine permutations); without the salt a root would confirm
//! guesses of a batch. Five levels give 2^15 leaves, about a million samples. Capacities keep leaves and nodes apart, as
//! section 4.2 of eprint 2019/458 has it: the length times 2^64 for a leaf, 2^8 - 1 for a node.
//!
//! The root says nothing of what the data are, of when they were committed to or of what other peers hold.

use std::fmt;

use ark_ff::{BigInteger, PrimeField};
use rayon::prelude::*;

use super::poseidon::{Poseidon, RATE};
use super::sample::{Batch, ELEMENTS};
use crate::seed::{Secret, Seed};

/// Children of a node.
pub(super) const ARITY: usize = RATE;
/// Nodes between a leaf and the root, the root included.
pub(super) const LEVELS: usize = 5;
/// Most batches of a data set: 8^5.
pub const LEAVES_MAX: usize = ARITY.pow(LEVELS as u32);
/// Elements that a leaf hashes: its salt and its batch.
pub(super) const LEAF_ELEMENTS: usize = 1 + ELEMENTS;

/// What a data set is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRoot<F> {
    node: F,
    leaves: u32,
}

/// The position of a batch in a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(u32);

/// A committed data set, as its owner keeps it.
pub struct DataSet<F: PrimeField> {
    batches: Vec<Batch>,
    seed: Seed,
    /// Leaves first, root last; each level without the empty subtrees at its end.
    levels: Vec<Vec<F>>,
    empty: Vec<F>,
}

/// A batch with what shows that a data set has it.
#[derive(Clone)]
pub struct Member<F: PrimeField> {
    pub(super) batch: Batch,
    pub(super) leaf: LeafIndex,
    pub(super) salt: Secret<F>,
    /// All children of each node from the leaf's parent to the root.
    pub(super) children: Vec<[F; ARITY]>,
}

/// Why batches are no data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// There is no batch, or more than a tree has leaves.
    #[error("{0} batches, a data set has 1 to {LEAVES_MAX}")]
    Leaves(usize),
}

impl<F: PrimeField> DataRoot<F> {
    /// Takes a root that somebody announced, with its number of leaves.
    ///
    /// # Errors
    /// No leaf, or more than a tree has.
    pub fn new(node: F, leaves: usize) -> Result<Self, DataError> {
        let count = u32::try_from(leaves).ok();
        let count = count.filter(|_| (1..=LEAVES_MAX).contains(&leaves));
        count.map(|leaves| Self { node, leaves }).ok_or(DataError::Leaves(leaves))
    }

    /// The hash at the top.
    pub const fn node(&self) -> F {
        self.node
    }

    /// How many batches there are.
    pub const fn leaves(&self) -> u32 {
        self.leaves
    }

    /// The node's canonical bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.node.into_bigint().to_bytes_be()
    }

    /// A leaf from 16 uniform bytes: each with the same chance up to 2^-112.
    pub(super) fn draw(&self, bytes: [u8; 16]) -> LeafIndex {
        let drawn = u128::from_be_bytes(bytes) % u128::from(self.leaves);
        LeafIndex(u32::try_from(drawn).expect("below the number of leaves"))
    }
}

impl LeafIndex {
    /// The position.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Which child leads to it in the node of a level, counted from the leaf's parent.
    pub(super) const fn child(self, level: usize) -> usize {
        self.0 as usize / ARITY.pow(level as u32) % ARITY
    }
}

impl<F: PrimeField> DataSet<F> {
    /// Commits to batches: some 2 ms of one core for each. The seed makes the salts.
    ///
    /// # Errors
    /// No batch, or more than a tree has leaves.
    pub fn commit(batches: Vec<Batch>, seed: Seed) -> Result<Self, DataError> {
        if batches.is_empty() || batches.len() > LEAVES_MAX {
            return Err(DataError::Leaves(batches.len()));
        }
        let poseidon = Poseidon::new();
        let leaf = |(index, batch): (usize, &Batch)| {
            let elements = batch.elements();
            let salt = salt(&seed, index, &elements);
            poseidon.hash(leaf_domain(), &[vec![*salt.reveal()], elements].concat())
        };
        let mut levels: Vec<Vec<F>> = vec![batches.par_iter().enumerate().map(leaf).collect()];
        let mut empty = vec![F::ZERO];
        for level in 0..LEVELS {
            let node = |children: &[F]| {
                let mut full = [empty[level]; ARITY];
                full[..children.len()].copy_from_slice(children);
                poseidon.hash(node_domain(), &full)
            };
            levels.push(levels[level].par_chunks(ARITY).map(node).collect());
            empty.push(node(&[]));
        }
        Ok(Self { batches, seed, levels, empty })
    }

    /// What it is known by.
    pub fn root(&self) -> DataRoot<F> {
        let leaves = u32::try_from(self.batches.len()).expect("at most 2^15");
        DataRoot { node: self.levels[LEVELS][0], leaves }
    }

    /// A batch with its way to the root.
    ///
    /// # Panics
    /// If there is no such leaf; [`LeafIndex`]es of its own root are below its number of leaves.
    pub fn member(&self, leaf: LeafIndex) -> Member<F> {
        let index = leaf.get() as usize;
        let children = |level: usize| {
            let first = index / ARITY.pow(level as u32) / ARITY * ARITY;
            let at = |child| self.levels[level].get(first + child).copied();
            std::array::from_fn(|child| at(child).unwrap_or(self.empty[level]))
        };
        Member {
            batch: self.batches[index].clone(),
            leaf,
            salt: salt(&self.seed, index, &self.batches[index].elements()),
            children: (0..LEVELS).map(children).collect(),
        }
    }
}

impl<F: PrimeField> Member<F> {
    /// The batch.
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }
}

/// What hides a leaf's batch, drawn from the seed and the batch itself.
fn salt<F: PrimeField>(seed: &Seed, leaf: usize, batch: &[F]) -> Secret<F> {
    seed.hedged(&format!("data set leaf {leaf}"), [batch]).draw().scalar()
}

/// The capacity under which a leaf is hashed.
pub(super) fn leaf_domain<F: PrimeField>() -> F {
    F::from((LEAF_ELEMENTS as u128) << 64)
}

/// The capacity under which a node is hashed.
pub(super) fn node_domain<F: PrimeField>() -> F {
    F::from((1_u64 << ARITY) - 1)
}

impl<F: PrimeField> fmt::Debug for DataSet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSet").field("leaves", &self.batches.len()).finish_non_exhaustive()
    }
}

impl<F: PrimeField> fmt::Debug for Member<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::s3::sample::{Label, Sample};
    use crate::s3::scale::{BATCH, INPUTS};

    fn batches(count: usize) -> Vec<Batch> {
        let batch = |index: usize| {
            let inputs = [i8::try_from(index % 100).unwrap(); INPUTS];
            let sample = Sample::new(inputs, Label::new(3).unwrap()).unwrap();
            Batch::new(vec![sample; BATCH]).unwrap()
        };
        (0..count).map(batch).collect()
    }

    fn data(count: usize, seed: u8) -> DataSet<Fr> {
        DataSet::commit(batches(count), Seed::from_bytes([seed; 32])).unwrap()
    }

    #[test]
    fn every_leaf_leads_to_the_root() {
        let (data, poseidon) = (data(70, 1), Poseidon::<Fr>::new());
        for index in [0, 7, 8, 63, 64, 69] {
            let member = data.member(LeafIndex(index));
            let elements = [vec![*member.salt.reveal()], member.batch.elements()].concat();
            let leaf = poseidon.hash(leaf_domain(), &elements);
            let root = member.children.iter().enumerate().fold(leaf, |node, (level, children)| {
                assert_eq!(children[member.leaf.child(level)], node, "leaf {index}, level {level}");
                poseidon.hash(node_domain(), children)
            });
            assert_eq!(root, data.root().node());
        }
    }

    #[test]
    fn roots_hide_behind_salts_and_differ_with_their_batches() {
        let root = |count, seed| data(count, seed).root().node();
        assert_eq!(root(9, 1), root(9, 1));
        assert!(root(9, 1) != root(9, 2) && root(9, 1) != root(10, 1));
        assert!(
            !format!("{:?} {:?}", data(2, 1), data(2, 1).member(LeafIndex(1))).contains("salt")
        );
    }

    #[test]
    fn data_sets_have_a_limit() {
        let none = DataSet::<Fr>::commit(vec![], Seed::from_bytes([1; 32]));
        assert_eq!(none.unwrap_err(), DataError::Leaves(0));
        let root = |leaves| DataRoot::new(Fr::from(1), leaves).map(|root| root.leaves());
        assert_eq!((root(1), root(LEAVES_MAX)), (Ok(1), Ok(32_768)));
        assert_eq!(
            (root(0), root(32_769)),
            (Err(DataError::Leaves(0)), Err(DataError::Leaves(32_769)))
        );
    }

    #[test]
    fn drawn_leaves_are_leaves() {
        let root = DataRoot::new(Fr::from(1), 5).unwrap();
        for k in 0..40_u8 {
            assert!(root.draw([k.wrapping_mul(77); 16]).get() < 5);
        }
    }
}
