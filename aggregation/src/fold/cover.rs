//! Cover: how a term is computed whose payloads are not all held.
//!
//! A bucket is covered if its slots are those of sums, no slot in two of them, and of payloads. Of several
//! ways that one is taken which lacks least, and begins with the largest sum; all that lack nothing give
//! the same numbers. A sum with a slot that the bucket does not have covers nothing: what is void
//! cannot be taken out of it.

use std::collections::BTreeMap;

use super::plan::{Part, Plan};
use super::sums::{BucketSum, Sums};
use crate::header::HeaderHash;
use crate::held::Held;
use crate::rule::{Bucket, Recipe};
use crate::schema::Schema;
use crate::slot::{MemberIndex, Slot};
use crate::update::Update;

/// What adds up to a bucket, as far as it is there.
#[derive(Debug)]
struct Cover<'a> {
    sums: Vec<&'a BucketSum>,
    updates: Vec<&'a Update>,
    /// Slots in none of these.
    lacks: Vec<Slot>,
}

impl<'a> Plan<'a> {
    /// True if a payload of what counts is not held.
    pub fn rests_on_heads(&self) -> bool {
        self.counted().any(|held| held.update().is_none())
    }

    fn counted(&self) -> impl Iterator<Item = &'a Held> + '_ {
        self.cohorts.iter().flatten().flatten().copied()
    }

    /// The slots whose payloads lack, ascending; none if nothing does.
    pub fn lacks(&self, recipe: &Recipe) -> Box<[Slot]> {
        if !self.rests_on_heads() {
            return Box::default();
        }
        let mut lacks: Vec<Slot> = if recipe.takes_sums() {
            let groups = self.gathered(recipe).into_iter();
            groups.flat_map(|group| cover(&group, self.sums).lacks).collect()
        } else {
            self.counted().filter(|held| held.update().is_none()).map(Held::slot).collect()
        };
        lacks.sort_unstable();
        lacks.into()
    }

    /// What counts by bucket, in the order in which the rule sees buckets. The recipe takes sums, so that
    /// there is one cohort at most, and an author has one slot.
    pub fn gathered(&self, recipe: &Recipe) -> Vec<Vec<&'a Held>> {
        let gather = |parts: &Vec<Part<'a>>| {
            let ordered = Self::ordered(parts);
            let buckets: Vec<Bucket> =
                ordered.iter().map(|part| self.drawing.bucket(recipe, part)).collect();
            let held = |place: usize| ordered[place][0];
            let places = recipe.places(&buckets, self.bearing).into_iter();
            places.map(|places| places.into_iter().map(held).collect()).collect::<Vec<Vec<_>>>()
        };
        self.cohorts.iter().flat_map(gather).collect()
    }

    /// Computes the term from sums and payloads; nothing lacks, and something counts.
    pub fn term_of_sums(&self, recipe: &Recipe, schema: &Schema) -> Vec<i32> {
        let add_up = |group: Vec<&'a Held>| {
            let cover = cover(&group, self.sums);
            let mut total = vec![0; schema.parameter_count()];
            for sum in cover.sums {
                total.iter_mut().zip(&sum.sum).for_each(|(total, &entry)| *total += entry);
            }
            cover.updates.into_iter().for_each(|update| update.add_scaled(1, &mut total));
            (total, group.len())
        };
        let buckets: Vec<_> = self.gathered(recipe).into_iter().map(add_up).collect();
        let starts: Vec<usize> = schema.chunks().iter().map(|range| range.start).collect();
        recipe.term_of_sums(&buckets, &starts, self.bearing)
    }
}

/// What adds up to a group, or lacks the fewest slots for it.
fn cover<'a>(group: &[&'a Held], sums: &'a Sums) -> Cover<'a> {
    let slots: BTreeMap<MemberIndex, &'a Held> =
        group.iter().map(|held| (held.author(), *held)).collect();
    let is_there = |(member, header): &(MemberIndex, HeaderHash)| {
        slots.get(member).is_some_and(|held| held.header_hash() == *header)
    };
    let all_held = slots.values().all(|held| held.update().is_some());
    let epoch = group.first().filter(|_| !all_held).map(|held| held.epoch());
    let fits: Vec<&BucketSum> = epoch
        .into_iter()
        .flat_map(|epoch| sums.of(epoch))
        .filter(|sum| sum.slots.iter().all(is_there))
        .collect();
    let from = |first: usize| {
        let mut left = slots.clone();
        let mut chosen = Vec::new();
        for sum in fits.iter().skip(first).chain(fits.iter().take(first)) {
            let members = || sum.slots.iter().map(|(member, _)| member);
            let lacks = |member| left.get(member).is_some_and(|held| held.update().is_none());
            if members().any(lacks) && members().all(|member| left.contains_key(member)) {
                left.retain(|member, _| !members().any(|it| it == member));
                chosen.push(*sum);
            }
        }
        let updates = left.values().filter_map(|held| held.update()).collect();
        let lacks = left.values().filter(|held| held.update().is_none());
        Cover { sums: chosen, updates, lacks: lacks.map(|held| held.slot()).collect() }
    };
    let ways = (0..fits.len().max(1)).map(from);
    ways.min_by_key(|cover| cover.lacks.len()).expect("there is one way at least")
}
