//! Buckets: authors are gathered, and the rule sees one vector for each bucket, its mean.
//!
//! Robust rules compare vectors with one another, so that what they cost and what they ask of each
//! author grows with their number. Between few buckets they do the same for any number of authors
//! (bucketing: Karimireddy et al., ICLR 2022, arXiv 2006.09365); an attacker spoils one bucket, so
//! that F attackers spoil at most F, and there have to be more than twice as many. Means of
//! authors with unlike data are more alike than the authors, and one of a bucket moves it
//! less: with buckets of s the influence of an honest author that stands alone falls with s.
//!
//! - **Drawn**: an author's bucket is `H mod B`, where H is the first eight bytes, little-endian, of
//!   blake3 derive-key `"longhaul 2026 bucket v1"` over the federation's id, the epoch and the
//!   author's member index (as little-endian `u32` and `u16`). Each other author's is as it was
//!   when one comes late, so that a term changes in one bucket, and a bucket's sum can stand in for
//!   its updates. Nobody chooses a bucket: the id of the federation binds all members' keys.
//! - **By root**: authors whom the manifest lists under one trust root fill at most so many
//!   buckets of that root, drawn as above. A root has no more votes than that, however many
//!   members it brings, and none of them is left out. Members without a root stand alone.
//!
//! A bucket's entry is the mean of its entries, weighted as claims and clipping say, rounded to the
//! nearest unit of 2^-24, ties to even. Its place among others is that of its first vector. Where
//! epochs are pooled, an author's bucket is that of its latest. Cost: one pass, and four bytes for
//! each entry and bucket.
//!
//! Bytes: with the mix, `[mix, 1, B]` or `[mix, 2, most of each root]`.

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::ContentHash;

use super::recipe::read_u16;
use super::vector::{BLOCK, Block, Sum, Vector, Weighted, for_each_block};
use super::{Clip, Group, Mix, Recipe, Samples, Staleness, WEIGHT_ONE};
use crate::round::Divisor;
use crate::slot::Slot;

const BUCKET_CONTEXT: &str = "longhaul 2026 bucket v1";
const DRAWN: u64 = 1;
const BY_ROOT: u64 = 2;

/// How a cohort's authors are gathered before the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Buckets {
    /// Not at all: each author is a vector.
    None,
    /// By lot into so many; at least two.
    Drawn(u16),
    /// Those of one trust root into at most so many; at least one.
    ByRoot(u16),
}

/// The name of an author's bucket within its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bucket {
    /// Drawn, of the root of this number; zero where it is anybody's.
    Drawn(u16, u16),
    /// Of one author alone.
    Alone(u16),
}

/// The trust root of each member, by index; zero for none. Empty where nobody has any.
pub type TrustRoots = [u16];

impl Buckets {
    /// The bucket of a slot's author.
    pub(crate) fn of(self, federation: &ContentHash, slot: Slot, roots: &TrustRoots) -> Bucket {
        let draw = |among: u16| {
            let mut bytes = federation.as_bytes().to_vec();
            bytes.extend_from_slice(&slot.epoch.get().to_le_bytes());
            bytes.extend_from_slice(&slot.member.get().to_le_bytes());
            let hash = ContentHash::derive(BUCKET_CONTEXT, &bytes);
            let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
            let drawn = u64::from_le_bytes(first) % u64::from(among.max(1));
            u16::try_from(drawn).expect("a remainder is smaller than its divisor")
        };
        let root = || roots.get(slot.member.index()).copied().filter(|&root| root > 0);
        match self {
            Self::None => Bucket::Alone(slot.member.get()),
            Self::Drawn(buckets) => Bucket::Drawn(0, draw(buckets)),
            Self::ByRoot(most) => match root() {
                Some(root) => Bucket::Drawn(root, draw(most)),
                None => Bucket::Alone(slot.member.get()),
            },
        }
    }

    /// Vectors that `authors` authors make at most.
    pub(super) fn vectors(self, authors: usize) -> usize {
        match self {
            Self::Drawn(buckets) => authors.min(buckets.into()),
            Self::None | Self::ByRoot(_) => authors,
        }
    }

    /// Writes the mix, and the buckets if there are any.
    pub(super) fn encode(self, mix: Mix, writer: &mut Writer) {
        let mix = u64::from(mix == Mix::NearestNeighbours);
        match self {
            Self::None => writer.unsigned(mix),
            Self::Drawn(number) => {
                writer.array(3).unsigned(mix).unsigned(DRAWN).unsigned(number.into())
            }
            Self::ByRoot(number) => {
                writer.array(3).unsigned(mix).unsigned(BY_ROOT).unsigned(number.into())
            }
        };
    }

    /// Reads what [`Buckets::encode`] wrote.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<(Mix, Self), CodecError> {
        let gathers = reader.clone().array(3).is_ok();
        if gathers {
            reader.tuple(3)?;
        }
        let mix = match reader.unsigned(1)? {
            0 => Mix::None,
            _ => Mix::NearestNeighbours,
        };
        if !gathers {
            return Ok((mix, Self::None));
        }
        let wrong = reader.invalid("1 for buckets by lot, 2 for buckets by root");
        match reader.unsigned(BY_ROOT)? {
            DRAWN => Ok((mix, Self::Drawn(read_u16(reader)?))),
            BY_ROOT => Ok((mix, Self::ByRoot(read_u16(reader)?))),
            _ => Err(wrong),
        }
    }
}

/// The places of vectors by bucket, in the order of each bucket's first.
pub(super) fn places(buckets: &[Bucket]) -> Vec<Vec<usize>> {
    let mut found: Vec<(Bucket, Vec<usize>)> = Vec::new();
    let mut numbers = std::collections::BTreeMap::new();
    for (place, &bucket) in buckets.iter().enumerate() {
        let number = *numbers.entry(bucket).or_insert(found.len());
        match found.get_mut(number) {
            Some((_, places)) => places.push(place),
            None => found.push((bucket, vec![place])),
        }
    }
    found.into_iter().map(|(_, places)| places).collect()
}

impl Recipe {
    /// The same recipe for what has been weighed and gathered.
    pub(super) const fn gathered(&self) -> Self {
        Self {
            clip: Clip::None,
            staleness: Staleness::Constant,
            samples: Samples::Alike,
            buckets: Buckets::None,
            ..*self
        }
    }

    /// One vector for each bucket of a cohort.
    pub(super) fn gather(group: &Group<'_>, weighed: &[Weighted<'_>]) -> Group<'static> {
        let places = places(&group.buckets);
        let vectors = places.iter().map(|places| {
            let parts: Vec<Weighted<'_>> = places.iter().map(|&place| weighed[place]).collect();
            Vector::Sum(mean(&parts))
        });
        let vectors: Vec<Vector<'static>> = vectors.collect();
        Group { authors: group.authors, ..Group::fresh(vectors) }
    }
}

/// The mean of weighted vectors, of which there is at least one.
fn mean(parts: &[Weighted<'_>]) -> Sum {
    let count = i64::try_from(parts.len()).expect("members fit 16 bits");
    let divisor = Divisor::new(count * WEIGHT_ONE);
    let mut units = Vec::with_capacity(parts[0].vector.parameter_count());
    let mut block = Block::new(parts.len());
    let mut chunks = Vec::new();
    for_each_block(parts, |rows, from, range| {
        if from == 0 {
            chunks.push(range.start);
        }
        block.fill(rows, from, range.len());
        let mut sums = [0_i64; BLOCK];
        for row in block.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &entry)| *sum += entry);
        }
        let mean = |&sum: &i64| {
            i32::try_from(divisor.half_even(sum)).expect("a mean of entries is as small as they")
        };
        units.extend(sums[..range.len()].iter().map(mean));
    });
    Sum::new(units, &chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{Epoch, MemberIndex};

    fn slot(member: u16, epoch: u32) -> Slot {
        Slot { member: MemberIndex::new(member), epoch: Epoch::new(epoch) }
    }

    #[test]
    fn draws_depend_on_federation_epoch_and_author_and_fill_all_buckets() {
        let federation = ContentHash::of(b"one");
        let drawn = |federation: &ContentHash, epoch: u32| {
            let of = |member| Buckets::Drawn(8).of(federation, slot(member, epoch), &[]);
            (0..200).map(of).collect::<Vec<_>>()
        };
        let first = drawn(&federation, 3);
        assert_eq!(first, drawn(&federation, 3));
        assert_ne!(first, drawn(&federation, 4));
        assert_ne!(first, drawn(&ContentHash::of(b"other"), 3));
        for number in 0..8 {
            let filled = first.iter().filter(|&&it| it == Bucket::Drawn(0, number)).count();
            assert!((10..=45).contains(&filled), "{filled} of 200 in bucket {number} of 8");
        }
    }

    #[test]
    fn a_root_fills_no_more_than_its_buckets_and_others_stand_alone() {
        let federation = ContentHash::of(b"one");
        let roots: Vec<u16> = (0..40).map(|member| [7, 7, 0, 9][member % 4]).collect();
        let of = |member| Buckets::ByRoot(2).of(&federation, slot(member, 0), &roots);
        let all: std::collections::BTreeSet<_> = (0..40).map(of).collect();
        let of_root = |root| {
            all.iter().filter(|it| matches!(it, Bucket::Drawn(of, _) if *of == root)).count()
        };
        assert_eq!((of_root(7), of_root(9), all.len()), (2, 2, 14));
        // Members that the manifest says nothing about stand alone.
        assert_eq!(Buckets::ByRoot(2).of(&federation, slot(99, 0), &roots), Bucket::Alone(99));
    }

    #[test]
    fn buckets_stand_where_their_first_vector_stands() {
        let of = |number| Bucket::Drawn(0, number);
        let found = places(&[of(5), of(2), of(5), Bucket::Alone(1), of(2)]);
        assert_eq!(found, [vec![0, 2], vec![1, 4], vec![3]]);
        assert!(places(&[]).is_empty());
    }
}
