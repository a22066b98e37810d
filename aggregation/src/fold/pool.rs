//! Pool: epochs below the quorum are put together until they have one.
//!
//! Where contacts are rare or committees small, an epoch can stay below its quorum
//! for ever, and its work would be lost to everybody but its authors. So epochs are
//! pooled over aligned runs of 2, 4, 8 ... epochs: what is left below the quorum in both
//! halves of a run makes one term as soon as it has a quorum of distinct authors, each
//! of whom contributes the sum of its updates there. Epochs with a quorum of their own
//! are left alone. Runs are aligned, so a late update can change what is pooled in
//! the run of the largest span around its epoch (a *block*) and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use crate::rule::PoolSpan;
use crate::slot::{Epoch, MemberIndex};

/// The first epoch of the block that `epoch` lies in.
pub(crate) const fn block_of(epoch: Epoch, span: PoolSpan) -> Epoch {
    Epoch::new(epoch.get() & !(span.epochs() - 1))
}

/// How the epochs of a block are put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool<'a> {
    pub authors: &'a BTreeMap<Epoch, Vec<MemberIndex>>,
    pub quorum: usize,
}

impl Pool<'_> {
    /// The groups of epochs in a block that have a quorum together, each ascending.
    pub fn groups(&self, block: Epoch, span: PoolSpan) -> Vec<Vec<Epoch>> {
        let mut groups = Vec::new();
        self.pool(block.get(), span.epochs(), &mut groups);
        groups
    }

    /// Adds the groups of the run of `span` epochs from `start` on; gives the epochs
    /// that are left below the quorum.
    fn pool(&self, start: u32, span: u32, groups: &mut Vec<Vec<Epoch>>) -> Vec<Epoch> {
        let below = if span == 1 {
            let epoch = Epoch::new(start);
            self.authors.contains_key(&epoch).then_some(epoch).into_iter().collect()
        } else {
            let half = span / 2;
            let mut below = self.pool(start, half, groups);
            below.extend(self.pool(start + half, half, groups));
            below
        };
        if below.is_empty() || self.author_count(&below) < self.quorum {
            return below;
        }
        groups.push(below);
        Vec::new()
    }

    fn author_count(&self, epochs: &[Epoch]) -> usize {
        match epochs {
            [epoch] => self.authors.get(epoch).map_or(0, Vec::len),
            epochs => self.distinct(epochs).len(),
        }
    }

    /// The distinct authors of some epochs, ascending.
    pub fn distinct(&self, epochs: &[Epoch]) -> BTreeSet<MemberIndex> {
        epochs.iter().filter_map(|epoch| self.authors.get(epoch)).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(authors: &[(u32, &[u16])], block: u32, span: u16) -> Vec<Vec<u32>> {
        let row = |(epoch, members): &(u32, &[u16])| {
            (Epoch::new(*epoch), members.iter().copied().map(MemberIndex::new).collect())
        };
        let authors = authors.iter().map(row).collect();
        let pool = Pool { authors: &authors, quorum: 3 };
        let groups = pool.groups(Epoch::new(block), PoolSpan::new(span).unwrap());
        groups.iter().map(|group| group.iter().map(|epoch| epoch.get()).collect()).collect()
    }

    #[test]
    fn pools_what_is_below_the_quorum_and_nothing_else() {
        let (one, two, more, all): (&[u16], &[u16], &[u16], &[u16]) =
            (&[1], &[2, 3], &[1, 5], &[1, 2, 3]);
        for (what, authors, expected) in [
            ("alone", &[(8, all), (9, all)][..], &[&[8][..], &[9]][..]),
            ("a pair", &[(8, one), (9, two)], &[&[8, 9]]),
            ("not aligned", &[(9, one), (10, two)], &[&[9, 10]]),
            ("the same authors twice", &[(8, one), (9, more)], &[]),
            ("one with a quorum", &[(8, one), (9, all), (10, two)], &[&[9], &[8, 10]]),
            (
                "the smallest run first",
                &[(8, one), (9, two), (10, one), (11, two)],
                &[&[8, 9], &[10, 11]],
            ),
            ("with what is left", &[(8, one), (9, two), (10, one)], &[&[8, 9]]),
            ("the block next door", &[(8, one), (12, two)], &[]),
            ("nobody", &[], &[]),
        ] {
            let mut found = groups(authors, 8, 4);
            found.sort_by_key(|group| expected.iter().position(|it| it == group));
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn pools_nothing_where_the_span_is_one() {
        assert!(groups(&[(8, &[1]), (9, &[2, 3])], 8, 1).is_empty());
        assert_eq!(groups(&[(8, &[1, 2, 3])], 8, 1), [[8]]);
    }

    #[test]
    fn blocks_are_aligned_up_to_the_last_epoch() {
        for (epoch, span, block) in
            [(0, 4, 0), (3, 4, 0), (4, 4, 4), (u32::MAX, 32, u32::MAX - 31), (7, 1, 7)]
        {
            let span = PoolSpan::new(span).unwrap();
            assert_eq!(block_of(Epoch::new(epoch), span), Epoch::new(block));
        }
        let last = u32::MAX;
        assert_eq!(groups(&[(last, &[1, 2, 3])], last - 3, 4), [[last]]);
    }
}
