//! Sums: a bucket known by the sum of its updates, which stands in for their payloads.
//!
//! Where a recipe takes sums ([`crate::Recipe::takes_sums`]), a bucket's mean follows from the sum of
//! its updates and their number, and so does everything behind it, to the bit. A sum is a cache of one
//! set of slots: whichever of them turns out to be void, it cannot be taken out of it, and the sum is of no
//! use until that changes. Sums that share no slot add up, also with payloads of the rest.
//!
//! A fold believes the sums that it is given, as it believes that what it is given was admitted: what
//! shows that a sum is that of its slots' updates is a proof (`longhaul-proofs`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Fold, block_of};
use crate::chain::{Chains, VoidReason};
use crate::header::HeaderHash;
use crate::held::Held;
use crate::rule::{Bucket, ENTRY_UNITS_MAX};
use crate::slot::{Epoch, MemberIndex, Slot};

/// Most sums that are held of one bucket of an epoch.
pub(super) const SUMS_MAX: usize = 4;

/// The sum of the updates of some slots of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSum {
    /// The epoch of the slots.
    pub epoch: Epoch,
    /// Whose slots they are, and their headers; strictly ascending by member.
    pub slots: Vec<(MemberIndex, HeaderHash)>,
    /// In units of 2^-24, one for each parameter.
    pub sum: Vec<i64>,
}

/// The slots of a bucket that a term counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSlots {
    /// The epoch.
    pub epoch: Epoch,
    /// Whose slots they are, and their headers; strictly ascending by member.
    pub slots: Vec<(MemberIndex, HeaderHash)>,
    /// Of how many of them the payload is held.
    pub payloads: usize,
}

/// What inserting a sum did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SumInserted {
    /// It is held from now on.
    New,
    /// One of the same slots is held already; nothing changed.
    Duplicate,
    /// All payloads are held, or as many sums of this bucket that serve better; nothing changed.
    Needless,
}

/// Why a sum is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SumRefusal {
    /// A bucket's mean depends on more than the sum of its updates.
    #[error("the recipe takes no sums")]
    NotTaken,
    /// The epoch is sealed.
    #[error("epoch {0} is sealed; the sum came too late")]
    Sealed(Epoch),
    /// There are no slots, or not strictly ascending ones.
    #[error("the slots of a sum are not strictly ascending by member, or there are none")]
    Slots,
    /// The sum has not one entry for each parameter.
    #[error("a sum of {found} entries where the model has {expected}")]
    Entries {
        /// Entries of the sum.
        found: usize,
        /// Parameters of the model.
        expected: usize,
    },
    /// No updates add up to so much; holds the place of the entry.
    #[error("entry {0} is larger than so many updates add up to")]
    Range(usize),
    /// The header of a slot is not held.
    #[error("the header of member {} in epoch {} is not held", .0.member, .0.epoch)]
    NoHead(Slot),
    /// The slot is spent, so that no sum with it is ever of use.
    #[error("the slot of member {} in epoch {} is void", .0.member, .0.epoch)]
    Spent(Slot),
    /// The slots are not of one bucket.
    #[error("the slots are of several buckets")]
    Buckets,
}

/// The sums that are held, by epoch, each with its bucket; the larger first, of equally large ones
/// the one of earlier members and smaller headers.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums(BTreeMap<Epoch, Vec<(Bucket, Arc<BucketSum>)>>);

impl BucketSlots {
    /// True if the bucket can be summed: all payloads are held, and there are at least two.
    pub const fn is_whole(&self) -> bool {
        self.payloads == self.slots.len() && self.payloads > 1
    }
}

impl BucketSum {
    fn all_slots(&self) -> impl Iterator<Item = (Slot, HeaderHash)> + '_ {
        let slot = |&(member, header)| (Slot { member, epoch: self.epoch }, header);
        self.slots.iter().map(slot)
    }

    /// True if none of its slots is void, as the chains say now.
    fn is_sound(&self, chains: &Chains) -> bool {
        let is_sound = |(slot, header): (Slot, HeaderHash)| {
            chains.sound(slot).is_some_and(|held| held.header_hash() == header)
        };
        self.all_slots().all(is_sound)
    }

    /// True if a payload lacks that it stands in for.
    fn is_needed(&self, chains: &Chains) -> bool {
        self.all_slots().any(|(slot, _)| chains.lacks_payload(slot))
    }

    /// How little it serves: what is void least, then what has few slots.
    fn rank(&self, chains: &Chains) -> (bool, Reverse<usize>) {
        (!self.is_sound(chains), Reverse(self.slots.len()))
    }
}

impl Sums {
    /// Those of an epoch, in their order.
    pub fn of(&self, epoch: Epoch) -> impl Iterator<Item = &BucketSum> {
        self.0.get(&epoch).into_iter().flatten().map(|(_, sum)| &**sum)
    }

    /// Forgets what lies before `end`.
    pub fn seal(&mut self, end: Epoch) {
        self.0 = self.0.split_off(&end);
    }

    /// Forgets the sums of an epoch whose payloads are all held by now.
    pub fn drop_needless(&mut self, epoch: Epoch, chains: &Chains) {
        if let Some(sums) = self.0.get_mut(&epoch) {
            sums.retain(|(_, sum)| sum.is_needed(chains));
        }
    }

    /// Takes a sum in; if its bucket has as many as are held, instead of the one that serves least,
    /// and only if something lacks that it has.
    fn insert(
        &mut self,
        (bucket, new): (Bucket, Arc<BucketSum>),
        chains: &Chains,
        has_what_lacks: bool,
    ) -> SumInserted {
        let sums = self.0.entry(new.epoch).or_default();
        if sums.iter().any(|(_, sum)| sum.slots == new.slots) {
            return SumInserted::Duplicate;
        }
        let mates = sums.iter().enumerate().filter(|(_, (of, _))| *of == bucket);
        let mates: Vec<_> = mates.map(|(place, (_, sum))| (sum.rank(chains), place)).collect();
        if let Some(&(rank, place)) = mates.iter().max().filter(|_| mates.len() >= SUMS_MAX) {
            if !has_what_lacks || new.rank(chains) >= rank {
                return SumInserted::Needless;
            }
            sums.remove(place);
        }
        sums.push((bucket, new));
        sums.sort_by(|(_, left), (_, right)| {
            (Reverse(left.slots.len()), &left.slots)
                .cmp(&(Reverse(right.slots.len()), &right.slots))
        });
        SumInserted::New
    }
}

impl Fold {
    /// Takes in the sum of some slots of one bucket, whose headers are held, to stand in for their
    /// payloads. It is for the caller to know that it is their sum.
    ///
    /// # Errors
    /// Why it is of no use here; a header that is not held can be inserted first.
    pub fn insert_sum(
        &mut self,
        sum: impl Into<Arc<BucketSum>>,
    ) -> Result<SumInserted, SumRefusal> {
        let sum: Arc<BucketSum> = sum.into();
        let epoch = sum.epoch;
        let bucket = self.check_sum(&sum)?;
        if !sum.is_needed(&self.chains) {
            return Ok(SumInserted::Needless);
        }
        // What is covered stays so: none gives way to one that adds nothing.
        let lacks = |(slot, _)| {
            let standing = self.standing(epoch);
            standing.is_none_or(|it| it.lacks.binary_search(&slot).is_ok())
        };
        let has_what_lacks = sum.all_slots().any(lacks);
        let inserted = self.sums.insert((bucket, sum), &self.chains, has_what_lacks);
        if inserted == SumInserted::New {
            self.mark(epoch);
        }
        Ok(inserted)
    }

    /// The bucket of a sum's slots.
    fn check_sum(&self, sum: &BucketSum) -> Result<Bucket, SumRefusal> {
        if !self.recipe.takes_sums() {
            return Err(SumRefusal::NotTaken);
        }
        if sum.epoch < self.open_from() {
            return Err(SumRefusal::Sealed(sum.epoch));
        }
        if !is_ascending(&sum.slots) {
            return Err(SumRefusal::Slots);
        }
        let (found, expected) = (sum.sum.len(), self.schema.parameter_count());
        if found != expected {
            return Err(SumRefusal::Entries { found, expected });
        }
        let mut buckets = Vec::with_capacity(sum.slots.len());
        for (slot, header) in sum.all_slots() {
            match self.chains.held(slot) {
                Some(held) if held.header_hash() == header => {
                    buckets.push(self.bucket_by_lot(held))
                }
                _ if self.chains.void(slot) == Some(VoidReason::Twin) => {
                    return Err(SumRefusal::Spent(slot));
                }
                _ => return Err(SumRefusal::NoHead(slot)),
            }
        }
        // At most 2^16 entries of less than 2^31.
        let most = ENTRY_UNITS_MAX.unsigned_abs() * sum.slots.len() as u64;
        if let Some(at) = sum.sum.iter().position(|entry| entry.unsigned_abs() > most) {
            return Err(SumRefusal::Range(at));
        }
        match &buckets[..] {
            [first, others @ ..] if others.iter().all(|it| it == first) => Ok(*first),
            _ => Err(SumRefusal::Buckets),
        }
    }

    /// The bucket of what fills a slot, as it is drawn, however many are filled.
    fn bucket_by_lot(&self, held: &Held) -> Bucket {
        let Slot { member, epoch } = held.slot();
        let drawing = self.planner().drawing(epoch);
        drawing.bucket_of(&self.recipe, &held.header().federation, member)
    }

    /// The buckets of an epoch as its term gathers what it counts; each author alone where too
    /// few buckets are filled. None where there is no term, or the recipe takes no sums.
    ///
    /// Whoever holds the payloads of a whole one ([`BucketSlots::is_whole`]) can sum them.
    pub fn buckets(&self, epoch: Epoch) -> Vec<BucketSlots> {
        if !self.recipe.takes_sums() {
            return Vec::new();
        }
        let plans = self.planner().plans(block_of(epoch, self.recipe.pool));
        let groups = plans.iter().flat_map(|plan| plan.gathered(&self.recipe));
        let bucket = |group: Vec<&Held>| {
            let mut slots: Vec<_> =
                group.iter().map(|held| (held.author(), held.header_hash())).collect();
            slots.sort_unstable();
            let payloads = group.iter().filter(|held| held.update().is_some()).count();
            BucketSlots { epoch, slots, payloads }
        };
        groups.map(bucket).collect()
    }

    /// The bucket that a term counts a slot in, if it counts it; see [`Fold::buckets`].
    pub fn bucket_of(&self, slot: Slot) -> Option<BucketSlots> {
        let mut buckets = self.buckets(slot.epoch).into_iter();
        buckets.find(|it| it.slots.iter().any(|&(member, _)| member == slot.member))
    }

    /// The sum of some slots of one bucket, made of the payloads that are held; none unless all are,
    /// none of the slots is void, and [`Fold::insert_sum`] would take it.
    pub fn bucket_sum(
        &self,
        epoch: Epoch,
        slots: &[(MemberIndex, HeaderHash)],
    ) -> Option<BucketSum> {
        let zeros = vec![0; self.schema.parameter_count()];
        let mut made = BucketSum { epoch, slots: slots.to_vec(), sum: zeros };
        self.check_sum(&made).ok()?;
        for &(member, _) in slots {
            self.update(Slot { member, epoch })?.add_scaled(1, &mut made.sum);
        }
        Some(made)
    }
}

fn is_ascending(slots: &[(MemberIndex, HeaderHash)]) -> bool {
    !slots.is_empty() && slots.windows(2).all(|pair| pair[0].0 < pair[1].0)
}
