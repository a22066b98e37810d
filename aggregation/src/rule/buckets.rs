//! Buckets: authors are gathered, and the rule sees one vector for each bucket, its mean.
//!
//! Robust rules compare vectors with one another, so that what they cost and what they ask of each
//! author grows with their number. Between few buckets they do the same for any number of authors
//! (bucketing: Karimireddy et al., ICLR 2022, arXiv 2006.09365); an attacker spoils one bucket, so
//! that F attackers spoil at most F, and there have to be more than twice as many. Means of
//! authors with unlike data are more alike than the authors, and one of a bucket moves it
//! less: with buckets of s the influence of an honest author that stands alone falls with s.
//!
//! - **Drawn**: an epoch shuffles all members, and the place of a member, modulo B, is its bucket: all buckets
//!   have as many members but for one. The shuffle is a function of the federation's id and the epoch,
//!   not of who writes: nobody chooses a bucket, one who comes late changes one bucket alone, and a
//!   bucket's sum can stand in for its updates. Where so few write that attackers could be half of the
//!   buckets that are filled, each author has one of its own.
//! - **By root**: authors whom the manifest lists under one trust root fill at most so many
//!   buckets of that root, shuffled likewise. A root has no more votes than that, however many
//!   members it brings, and none of them is left out. Members without a root stand alone. Where
//!   attackers could have half of the votes, the cohort waits.
//!
//! The shuffle is a Feistel network of four rounds over the member indices, walked until it gives a number
//! below theirs; the keys of its rounds are the eight bytes each, little-endian, of blake3 derive-key
//! `"longhaul 2026 bucket v1"` over the federation's id, the epoch and the root (zero where it is
//! anybody's) as little-endian `u32` and `u16`.
//!
//! A bucket's entry is the mean of its entries, weighted as claims and clipping say, rounded to the
//! nearest unit of 2^-24, ties to even. Its place among others is that of its first vector. Where
//! epochs are pooled, the first shuffles for all. Cost: one pass, and four bytes for
//! each entry and bucket.
//!
//! Bytes: with the mix, `[mix, 1, B]` or `[mix, 2, most of each root]`.

use std::collections::BTreeMap;

use longhaul_dtn::codec::{CodecError, Reader, Writer};
use longhaul_dtn::hash::{ContentHash, mix64};

use super::recipe::read_u16;
use super::vector::{BLOCK, Block, Sum, Vector, Weighted, for_each_block};
use super::{
    Bearing, Clip, Group, Mix, PoolSpan, Recipe, Rule, Samples, Staleness, WEIGHT_ONE, to_term,
};
use crate::round::Divisor;
use crate::slot::{Epoch, MemberIndex, Slot};

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

/// A member's trust root, and which of its members it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rooted {
    root: u16,
    place: u32,
    members: u32,
}

impl Rooted {
    /// All members, by index.
    pub fn all(roots: &TrustRoots) -> Vec<Self> {
        let mut sizes: BTreeMap<u16, u32> = BTreeMap::new();
        let place = |&root: &u16| {
            let size = sizes.entry(root).or_default();
            *size += 1;
            (root, *size - 1)
        };
        let places: Vec<(u16, u32)> = roots.iter().map(place).collect();
        let rooted = |(root, place)| Self { root, place, members: sizes[&root] };
        places.into_iter().map(rooted).collect()
    }
}

impl Buckets {
    /// The bucket of a slot's author, one of so many members.
    pub(crate) fn of(
        self,
        federation: &ContentHash,
        slot: Slot,
        members: usize,
        roots: &[Rooted],
    ) -> Bucket {
        let member = slot.member;
        let shuffled = |root: u16, place: u64, count: u64, buckets: u16| {
            let mut bytes = federation.as_bytes().to_vec();
            bytes.extend_from_slice(&slot.epoch.get().to_le_bytes());
            bytes.extend_from_slice(&root.to_le_bytes());
            let key = ContentHash::derive(BUCKET_CONTEXT, &bytes);
            let number = shuffled(&key, place, count) % u64::from(buckets.max(1));
            Bucket::Drawn(root, u16::try_from(number).expect("smaller than its divisor"))
        };
        match self {
            Self::None => Bucket::Alone(member.get()),
            Self::Drawn(buckets) => shuffled(0, member.get().into(), members as u64, buckets),
            Self::ByRoot(most) => match roots.get(member.index()) {
                None | Some(Rooted { root: 0, .. }) => Bucket::Alone(member.get()),
                Some(it) => shuffled(it.root, it.place.into(), it.members.into(), most),
            },
        }
    }

    /// True if these members' slots of an epoch are of one bucket, among so many members with these trust
    /// roots, as it is drawn, however few write.
    pub fn are_together(
        self,
        federation: &ContentHash,
        epoch: Epoch,
        members: &[MemberIndex],
        (count, roots): (usize, &TrustRoots),
    ) -> bool {
        let roots = Rooted::all(roots);
        let bucket =
            |&member: &MemberIndex| self.of(federation, Slot { member, epoch }, count, &roots);
        let buckets: Vec<Bucket> = members.iter().map(bucket).collect();
        buckets.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// How many members of so many, with these trust roots, are in one bucket at most.
    pub fn most_together(self, members: usize, roots: &TrustRoots) -> usize {
        match self {
            Self::None => members.min(1),
            Self::Drawn(buckets) => members.div_ceil(usize::from(buckets.max(1))),
            Self::ByRoot(most) => {
                let rooted = roots.iter().filter(|&&root| root > 0);
                let mut sizes: BTreeMap<u16, usize> = BTreeMap::new();
                rooted.for_each(|&root| *sizes.entry(root).or_default() += 1);
                let largest = sizes.into_values().max().unwrap_or(0);
                largest.div_ceil(usize::from(most.max(1))).max(members.min(1))
            }
        }
    }

    /// The members whose slots of an epoch are in the bucket of this slot, its own included, as it is drawn however few
    /// write; ascending.
    pub fn mates(
        self,
        federation: &ContentHash,
        slot: Slot,
        (count, roots): (usize, &TrustRoots),
    ) -> Vec<MemberIndex> {
        let roots = Rooted::all(roots);
        let bucket =
            |member: MemberIndex| self.of(federation, Slot { member, ..slot }, count, &roots);
        let own = bucket(slot.member);
        let members = (0..count).filter_map(|index| u16::try_from(index).ok());
        members.map(MemberIndex::new).filter(|&member| bucket(member) == own).collect()
    }

    /// The votes that members under these roots can have.
    pub fn votes(self, roots: &TrustRoots) -> usize {
        let mut by_root: BTreeMap<u16, usize> = BTreeMap::new();
        roots.iter().for_each(|&root| *by_root.entry(root).or_default() += 1);
        let most = if let Self::ByRoot(most) = self { most.into() } else { usize::MAX };
        by_root
            .into_iter()
            .map(|(root, count)| if root > 0 { count.min(most) } else { count })
            .sum()
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

/// The place of `place`, which is below `count`, among as many that a key shuffles.
fn shuffled(key: &ContentHash, place: u64, count: u64) -> u64 {
    let half_bits =
        u64::BITS.saturating_sub(count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << half_bits) - 1;
    let mut at = place;
    loop {
        let (mut left, mut right) = (at >> half_bits, at & mask);
        for key in key.as_bytes().chunks_exact(8) {
            let key = u64::from_le_bytes(key.try_into().unwrap_or_default());
            (left, right) = (right, left ^ (mix64(right ^ key) & mask));
        }
        at = left << half_bits | right;
        // A permutation of a little more than `count` numbers comes back below it.
        if at < count.max(1) {
            return at;
        }
    }
}

/// The places of vectors by bucket, in the order of each bucket's first.
pub(super) fn places(buckets: &[Bucket]) -> Vec<Vec<usize>> {
    let mut found: Vec<(Bucket, Vec<usize>)> = Vec::new();
    let mut numbers = BTreeMap::new();
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

    /// The fewest vectors among which the rule bears so many attackers.
    pub const fn least_vectors(&self, attackers: usize) -> usize {
        match self.rule {
            Rule::Bulyan if attackers > 0 => 4 * attackers + 3,
            _ => 2 * attackers + 1,
        }
    }

    /// The places of a cohort's vectors by bucket; each alone where too few buckets are filled.
    pub(crate) fn places(&self, buckets: &[Bucket], bearing: Bearing) -> Vec<Vec<usize>> {
        let found = places(buckets);
        let drawn = matches!(self.buckets, Buckets::Drawn(_));
        match drawn && found.len() < self.least_vectors(bearing.remaining()) {
            true => (0..buckets.len()).map(|place| vec![place]).collect(),
            false => found,
        }
    }

    /// How many vectors the rule sees of authors in these buckets.
    pub(crate) fn vectors(&self, buckets: &[Bucket], bearing: Bearing) -> usize {
        self.places(buckets, bearing).len()
    }

    /// One vector for each bucket of a cohort.
    pub(super) fn gather(
        &self,
        group: &Group<'_>,
        weighed: &[Weighted<'_>],
        bearing: Bearing,
    ) -> Group<'static> {
        let places = self.places(&group.buckets, bearing);
        let vectors = places.iter().map(|places| {
            let parts: Vec<Weighted<'_>> = places.iter().map(|&place| weighed[place]).collect();
            Vector::Sum(mean(&parts))
        });
        let vectors: Vec<Vector<'static>> = vectors.collect();
        Group { authors: group.authors, ..Group::fresh(vectors) }
    }
}

impl Recipe {
    /// True where a bucket's mean depends on nothing but the sum of its updates and their number:
    /// each counts as it is, and all of an epoch stand together. Then the sum can stand in
    /// for the updates.
    pub fn takes_sums(&self) -> bool {
        self.buckets != Buckets::None
            && self.clip == Clip::None
            && self.cohorts.is_none()
            && self.pool == PoolSpan::ONE
            && self.weighs_alike()
    }

    /// The term of buckets that are known by sum and number of their updates, in their order: what
    /// [`Recipe::term`] finds from the updates where the recipe takes sums. Chunks start at `starts`.
    pub(crate) fn term_of_sums(
        &self,
        buckets: &[(Vec<i64>, usize)],
        starts: &[usize],
        bearing: Bearing,
    ) -> Vec<i32> {
        let vector = |(sums, count): &(Vec<i64>, usize)| {
            let divisor = Divisor::new(i64::try_from(*count).expect("members fit 16 bits"));
            let mean = |&sum: &i64| to_term(divisor.half_even(sum).into());
            Vector::Sum(Sum::new(sums.iter().map(mean).collect(), starts))
        };
        let authors = buckets.iter().map(|it| it.1).sum();
        let group = Group { authors, ..Group::fresh(buckets.iter().map(vector).collect()) };
        self.gathered().term(&[group], bearing)
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
    use crate::rule::{Cohorts, Minimum, Outer, Small};

    #[test]
    fn sums_stand_in_where_a_mean_needs_nothing_else() {
        let plain = Recipe::plain(Rule::Median, Clip::None, 3);
        let drawn = Recipe { buckets: Buckets::Drawn(5), ..plain };
        let minimum = Minimum::Auto;
        let cohorts = Cohorts { threshold_permille: 500, minimum, small: Small::Join };
        let outer = Outer { rate_milli: 700, momentum_permille: 900 };
        for (recipe, takes) in [
            (drawn, true),
            (Recipe { buckets: Buckets::ByRoot(2), ..plain }, true),
            (Recipe { mix: Mix::NearestNeighbours, outer, ..drawn }, true),
            (plain, false),
            (Recipe { clip: Clip::Median, ..drawn }, false),
            (Recipe { cohorts: Some(cohorts), ..drawn }, false),
            (Recipe { pool: PoolSpan::new(2).unwrap(), ..drawn }, false),
            (Recipe { samples: Samples::UpTo(9), ..drawn }, false),
            (Recipe { staleness: Staleness::Hinge { after: 1, slope: 1 }, ..drawn }, false),
        ] {
            assert_eq!(recipe.takes_sums(), takes, "{recipe:?}");
        }
    }

    #[test]
    fn mates_are_those_who_are_together() {
        let federation = ContentHash::of(b"f");
        let roots = [1, 1, 0, 2, 2, 2, 0, 1];
        for buckets in [Buckets::None, Buckets::Drawn(3), Buckets::ByRoot(1), Buckets::ByRoot(2)] {
            let all = (roots.len(), &roots[..]);
            let mut seen = Vec::new();
            for member in 0..8 {
                let slot = slot(member, 7);
                let mates = buckets.mates(&federation, slot, all);
                assert!(mates.contains(&slot.member), "{buckets:?}");
                assert!(buckets.are_together(&federation, slot.epoch, &mates, all));
                let again = buckets.mates(&federation, Slot { member: mates[0], ..slot }, all);
                assert_eq!(again, mates);
                seen.extend(
                    mates.first().filter(|&&first| first == slot.member).map(|_| mates.len()),
                );
            }
            assert_eq!(seen.iter().sum::<usize>(), roots.len(), "{buckets:?}: each in one bucket");
        }
        let alone = Buckets::ByRoot(1).mates(&federation, slot(2, 7), (8, &roots));
        assert_eq!(alone, [MemberIndex::new(2)]);
    }

    fn slot(member: u16, epoch: u32) -> Slot {
        Slot { member: MemberIndex::new(member), epoch: Epoch::new(epoch) }
    }

    #[test]
    fn an_epoch_shuffles_members_evenly_and_each_epoch_otherwise() {
        let federation = ContentHash::of(b"one");
        for (members, buckets) in [(200, 8), (7, 7), (20, 7), (3, 2), (1, 1), (1000, 64)] {
            let drawn = |federation: &ContentHash, epoch| {
                let drawn = Buckets::Drawn(buckets);
                let of = |member| drawn.of(federation, slot(member, epoch), members.into(), &[]);
                (0..members).map(of).collect::<Vec<_>>()
            };
            let first = drawn(&federation, 3);
            assert_eq!(first, drawn(&federation, 3));
            if members > 10 {
                assert_ne!(first, drawn(&federation, 4));
                assert_ne!(first, drawn(&ContentHash::of(b"other"), 3));
            }
            for number in 0..buckets {
                let filled = first.iter().filter(|&&it| it == Bucket::Drawn(0, number)).count();
                let each = usize::from(members / buckets);
                assert!((each..=each + 1).contains(&filled), "{filled} of {members} in {number}");
            }
        }
    }

    #[test]
    fn members_are_together_if_they_are_drawn_into_one_bucket() {
        let federation = ContentHash::of(b"one");
        let roots = [7, 7, 0, 7, 9, 0];
        for (buckets, roots) in [(Buckets::Drawn(2), &[][..]), (Buckets::ByRoot(2), &roots[..])] {
            let rooted = Rooted::all(roots);
            for (one, other) in (0..6).flat_map(|one| (0..6).map(move |other| (one, other))) {
                let members = [one, other].map(MemberIndex::new);
                let drawn = members.map(|it| {
                    let slot = Slot { member: it, epoch: Epoch::new(4) };
                    buckets.of(&federation, slot, 6, &rooted)
                });
                let together =
                    buckets.are_together(&federation, Epoch::new(4), &members, (6, roots));
                assert_eq!(together, drawn[0] == drawn[1], "{one} {other}");
            }
        }
        for (buckets, members, roots, most) in [
            (Buckets::Drawn(2), 5, &[][..], 3),
            (Buckets::Drawn(8), 200, &[], 25),
            (Buckets::ByRoot(2), 6, &roots[..], 2),
            (Buckets::ByRoot(1), 6, &roots[..], 3),
            (Buckets::ByRoot(3), 2, &[0, 0], 1),
            (Buckets::None, 9, &[], 1),
        ] {
            assert_eq!(buckets.most_together(members, roots), most, "{buckets:?}");
        }
        assert!(Buckets::None.are_together(&federation, Epoch::FIRST, &[], (6, &[])));
    }

    #[test]
    fn a_shuffle_gives_every_place_once() {
        for count in [1, 2, 3, 5, 16, 17, 100, 1023, 4096] {
            let key = ContentHash::of(&[count as u8]);
            let found: std::collections::BTreeSet<u64> =
                (0..count).map(|place| shuffled(&key, place, count)).collect();
            assert_eq!(found, (0..count).collect(), "{count}");
        }
    }

    #[test]
    fn a_root_fills_no_more_than_its_buckets_and_others_stand_alone() {
        let federation = ContentHash::of(b"one");
        let roots: Vec<u16> = (0..40).map(|member| [7, 7, 0, 9][member % 4]).collect();
        let by_root = Buckets::ByRoot(2);
        let rooted = Rooted::all(&roots);
        let of = |member| by_root.of(&federation, slot(member, 0), 40, &rooted);
        let all: std::collections::BTreeSet<_> = (0..40).map(of).collect();
        let of_root = |root| {
            all.iter().filter(|it| matches!(it, Bucket::Drawn(of, _) if *of == root)).count()
        };
        assert_eq!((of_root(7), of_root(9), all.len()), (2, 2, 14));
        assert_eq!((by_root.votes(&roots), Buckets::ByRoot(15).votes(&roots)), (14, 35));
        // Members that the manifest says nothing about stand alone.
        assert_eq!(by_root.of(&federation, slot(99, 0), 40, &rooted), Bucket::Alone(99));
    }

    #[test]
    fn few_filled_buckets_leave_each_author_alone() {
        let recipe =
            |rule| Recipe { buckets: Buckets::Drawn(5), ..Recipe::plain(rule, Clip::None, 1) };
        let buckets = [0, 1, 0, 1].map(|number| Bucket::Drawn(0, number));
        let bearing = |attackers, voids| Bearing { attackers, voids };
        let places = |rule, bearing| recipe(rule).places(&buckets, bearing).len();
        assert_eq!(places(Rule::Median, bearing(0, 0)), 2);
        assert_eq!(places(Rule::Median, bearing(1, 0)), 4);
        // The one attacker is proven.
        assert_eq!(places(Rule::Median, bearing(1, 1)), 2);
        assert_eq!(
            (places(Rule::Bulyan, bearing(1, 0)), places(Rule::Bulyan, bearing(0, 0))),
            (4, 2)
        );
    }

    #[test]
    fn buckets_stand_where_their_first_vector_stands() {
        let of = |number| Bucket::Drawn(0, number);
        let found = places(&[of(5), of(2), of(5), Bucket::Alone(1), of(2)]);
        assert_eq!(found, [vec![0, 2], vec![1, 4], vec![3]]);
        assert!(places(&[]).is_empty());
    }
}
