//! Plan: what a term is made of, decided from headers alone.
//!
//! An epoch with a quorum has a term, and so have epochs that are pooled
//! ([`super::pool`]). Its sound updates stand in cohorts (where epochs are pooled, an
//! author by what its latest header says); of a
//! cohort that is too small only vouched slots count ([`super::vouch`]) or none; the
//! others wait, and count once it has grown or they are vouched for. A
//! plan's key is a hash over all that the term depends on, so equal keys mean equal
//! terms, in this fold and in any other.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::hash::ContentHash;

use crate::chain::Chains;
use crate::cohort::{Claim, Clustering};
use crate::held::Held;
use crate::memo::TermMemo;
use crate::rule::{
    Bearing, Bucket, Buckets, Claims, Cohorts, Group, Recipe, Rooted, Small, Vector,
};
use crate::setting::Setting;
use crate::slot::{Epoch, MemberIndex, Slot};

use super::pool::Pool;
use super::sums::Sums;
use super::vouch::Voices;

const TERM_CONTEXT: &str = "longhaul 2026 term v1";
const COHORTS_CONTEXT: &str = "longhaul 2026 cohorts v1";

/// What an author contributes to a term: its sound updates, at least one, by epoch.
pub(super) type Part<'a> = Vec<&'a Held>;

/// What a term is made of.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The cohorts that count; each has parts by author, at least one.
    pub cohorts: Vec<Vec<Part<'a>>>,
    /// How many attackers the rule has to bear.
    pub bearing: Bearing,
    /// Where its epochs stand.
    pub standing: Standing,
    /// What its buckets are drawn from.
    pub drawing: Drawing<'a>,
    /// What may stand in for payloads.
    pub sums: &'a Sums,
}

/// What buckets are drawn from: the first epoch of a term, the number of members, and the trust
/// root of each with its place there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawing<'a> {
    pub epoch: Epoch,
    pub members: usize,
    pub roots: &'a [Rooted],
}

impl Drawing<'_> {
    pub fn bucket(self, recipe: &Recipe, part: &Part<'_>) -> Bucket {
        let latest = part[part.len() - 1];
        self.bucket_of(recipe, &latest.header().federation, latest.author())
    }

    pub fn bucket_of(
        self,
        recipe: &Recipe,
        federation: &ContentHash,
        member: MemberIndex,
    ) -> Bucket {
        let slot = Slot { member, epoch: self.epoch };
        recipe.buckets.of(federation, slot, self.members, self.roots)
    }
}

/// Where the epochs of a term stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// The epochs, ascending; one unless they are pooled.
    pub epochs: Box<[Epoch]>,
    /// Slots of sound updates that the term leaves out until their cohort has
    /// grown; ascending.
    pub waiting: Box<[Slot]>,
    /// Authors in the largest cohort, whether or not it counts.
    pub largest_cohort: usize,
    /// True when a cohort is so small that later headers can vouch for its slots.
    pub listens: bool,
    /// Slots that the term counts and whose payloads are neither held nor in a sum that
    /// stands in for them: while there are any, the term is not there. Ascending.
    pub lacks: Box<[Slot]>,
}

/// All that plans are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planner<'a> {
    pub chains: &'a Chains,
    pub authors: &'a BTreeMap<Epoch, Vec<MemberIndex>>,
    pub recipe: &'a Recipe,
    pub recipe_id: &'a ContentHash,
    pub setting: &'a Setting,
    pub memo: Option<&'a dyn TermMemo>,
    pub trust: Trust,
    pub roots: &'a [Rooted],
    pub sums: &'a Sums,
}

/// Whose slots a small cohort counts where slots are vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those that enough later headers vouch for.
    Vouched,
    /// All of them: what the model would be if everybody vouched.
    Everybody,
}

impl<'a> Planner<'a> {
    /// The plans of a block's terms.
    pub fn plans(&self, block: Epoch) -> Vec<Plan<'a>> {
        let groups = self.pool().groups(block, self.recipe.pool);
        groups.into_iter().map(|epochs| self.plan(epochs)).collect()
    }

    fn pool(&self) -> Pool<'a> {
        Pool { authors: self.authors, quorum: usize::from(self.recipe.quorum) }
    }

    /// The plan of epochs that have a quorum together.
    fn plan(&self, epochs: Vec<Epoch>) -> Plan<'a> {
        let authors = self.pool().distinct(&epochs);
        let sound = |member: MemberIndex| {
            let slots = epochs.iter().map(move |&epoch| Slot { member, epoch });
            slots.filter_map(|slot| self.chains.sound(slot)).collect::<Part<'a>>()
        };
        let parts = authors.into_iter().map(|member| (member, sound(member)));
        let (parts, void): (Vec<_>, Vec<_>) = parts.partition(|(_, part)| !part.is_empty());
        let parts: Vec<Part<'a>> = parts.into_iter().map(|(_, part)| part).collect();
        let void: Vec<MemberIndex> = void.into_iter().map(|(member, _)| member).collect();
        let span = u32::try_from(epochs.len()).expect("a block has 32 epochs at most");
        let bearing = Bearing { attackers: self.setting.attackers(span), voids: void.len() };
        let (cohorts, mut standing) = self.cohorts(parts, bearing);
        let drawing = self.drawing(epochs.first().copied().unwrap_or_default());
        let cohorts = self.with_votes(cohorts, drawing, (&void, bearing), &mut standing);
        standing.epochs = epochs.into();
        let mut plan = Plan { cohorts, bearing, standing, drawing, sums: self.sums };
        if !self.chains.bare().is_empty() {
            plan.standing.lacks = plan.lacks(self.recipe);
        }
        plan
    }

    pub fn drawing(&self, epoch: Epoch) -> Drawing<'a> {
        Drawing { epoch, members: self.setting.members, roots: self.roots }
    }

    /// Those of cohorts in which attackers have less than half of the votes that trust roots
    /// leave; the others wait. Authors whose slots are void vote in each, so that nobody takes
    /// votes away by a twin that comes late.
    fn with_votes(
        &self,
        cohorts: Vec<Vec<Part<'a>>>,
        drawing: Drawing<'a>,
        (void, bearing): (&[MemberIndex], Bearing),
        standing: &mut Standing,
    ) -> Vec<Vec<Part<'a>>> {
        if !matches!(self.recipe.buckets, Buckets::ByRoot(_)) {
            return cohorts;
        }
        let least = self.recipe.least_vectors(bearing.attackers);
        let has_votes = |parts: &Vec<Part<'a>>| {
            let mut buckets: BTreeSet<Bucket> =
                parts.iter().map(|part| drawing.bucket(self.recipe, part)).collect();
            if let Some(update) = parts.iter().flatten().next() {
                let of =
                    |&member| drawing.bucket_of(self.recipe, &update.header().federation, member);
                buckets.extend(void.iter().map(of));
            }
            buckets.len() >= least
        };
        let (counted, others): (Vec<_>, Vec<_>) = cohorts.into_iter().partition(has_votes);
        let mut waiting = standing.waiting.to_vec();
        waiting.extend(others.iter().flatten().flatten().map(|it| it.slot()));
        waiting.sort_unstable();
        standing.waiting = waiting.into();
        counted
    }

    /// The cohorts that count, and where that leaves the epoch.
    fn cohorts(&self, parts: Vec<Part<'a>>, bearing: Bearing) -> (Vec<Vec<Part<'a>>>, Standing) {
        let mut standing = Standing::default();
        let Some(cohorts) = self.recipe.cohorts.filter(|_| !parts.is_empty()) else {
            standing.largest_cohort = parts.len();
            let all = Some(parts).filter(|parts| !parts.is_empty());
            return (all.into_iter().collect(), standing);
        };
        let mut counted = Vec::new();
        let mut waiting: Vec<Slot> = Vec::new();
        for parts in self.grouped(parts, &cohorts, bearing) {
            standing.largest_cohort = standing.largest_cohort.max(parts.len());
            // Where small cohorts are joined, one below the minimum is all there is.
            if cohorts.small == Small::Join || parts.len() >= cohorts.whole(bearing) {
                counted.push(parts);
                continue;
            }
            let (vouched, others) = match cohorts.small {
                Small::Vouch => self.vouched(parts, cohorts.least(bearing)),
                Small::Join | Small::Wait => (Vec::new(), parts),
            };
            standing.listens |= cohorts.small == Small::Vouch;
            waiting.extend(others.iter().flatten().map(|it| it.slot()));
            counted.extend(Some(vouched).filter(|parts| !parts.is_empty()));
        }
        waiting.sort_unstable();
        standing.waiting = waiting.into();
        (counted, standing)
    }

    /// Parts the slots of a small cohort into those that are vouched for and the
    /// others; if the vouched ones have fewer than `least` authors, all are others.
    fn vouched(&self, parts: Vec<Part<'a>>, least: usize) -> (Vec<Part<'a>>, Vec<Part<'a>>) {
        if self.trust == Trust::Everybody {
            return (parts, Vec::new());
        }
        let mut voices: BTreeMap<Epoch, Voices> = BTreeMap::new();
        let mut is_vouched = |slot: Slot| {
            let voices = voices.entry(slot.epoch);
            voices.or_insert_with(|| Voices::count(self, slot.epoch)).suffice_for(slot.member)
        };
        let mut split = (Vec::new(), Vec::new());
        for part in &parts {
            let (vouched, other): (Part<'a>, Part<'a>) =
                part.iter().partition(|admitted| is_vouched(admitted.slot()));
            split.0.extend(Some(vouched).filter(|part| !part.is_empty()));
            split.1.extend(Some(other).filter(|part| !part.is_empty()));
        }
        if split.0.len() < least { (Vec::new(), parts) } else { split }
    }

    /// The parts by the cohort that their latest headers put them into.
    fn grouped(
        &self,
        parts: Vec<Part<'a>>,
        cohorts: &Cohorts,
        bearing: Bearing,
    ) -> Vec<Vec<Part<'a>>> {
        let join_below = (cohorts.small == Small::Join).then(|| cohorts.least(bearing));
        let clustering = Clustering { threshold_permille: cohorts.threshold_permille, join_below };
        let mut grouped: Vec<Vec<Part<'a>>> = Vec::new();
        for (part, number) in parts.iter().zip(self.numbers(&parts, clustering)) {
            grouped.resize_with(grouped.len().max(number + 1), Vec::new);
            grouped[number].push(part.clone());
        }
        grouped
    }

    /// The number of each part's cohort, from the memo if that has it.
    fn numbers(&self, parts: &[Part<'a>], clustering: Clustering) -> Vec<usize> {
        let latest = || parts.iter().map(|part| part[part.len() - 1]);
        let assign = || {
            let claims = latest().map(|it| (it.epoch(), &it.header().base.summary));
            clustering.assign(&claims.collect::<Vec<Claim<'_>>>())
        };
        let Some(memo) = self.memo else { return assign() };
        let mut bytes = self.recipe_id.as_bytes().to_vec();
        bytes.extend_from_slice(&number_bytes(clustering.join_below.unwrap_or(0)));
        latest().for_each(|it| bytes.extend_from_slice(it.header_hash().as_hash().as_bytes()));
        let key = ContentHash::derive(COHORTS_CONTEXT, &bytes);
        let read = |number: &i32| usize::try_from(*number).expect("numbers count from zero");
        if let Some(numbers) = memo.get(&key) {
            return numbers.iter().map(read).collect();
        }
        let numbers = assign();
        let write = |number: &usize| i32::try_from(*number).expect("members fit 16 bits");
        memo.put(key, numbers.iter().map(write).collect());
        numbers
    }
}

impl<'a> Plan<'a> {
    /// The name of the term, none if nothing counts: blake3 derive-key under
    /// `"longhaul 2026 term v1"` over the recipe's id; as little-endian `u32` the
    /// number of epochs and each of them, the number of attackers assumed and that
    /// of authors whose slots are void; then for each cohort its number of parts, and for each part its number of updates and the
    /// hashes of their headers.
    pub fn key(&self, recipe: &ContentHash) -> Option<ContentHash> {
        if self.cohorts.is_empty() {
            return None;
        }
        let mut bytes = recipe.as_bytes().to_vec();
        bytes.extend_from_slice(&number_bytes(self.standing.epochs.len()));
        let epochs = self.standing.epochs.iter();
        epochs.for_each(|epoch| bytes.extend_from_slice(&epoch.get().to_le_bytes()));
        bytes.extend_from_slice(&number_bytes(self.bearing.attackers));
        bytes.extend_from_slice(&number_bytes(self.bearing.voids));
        for cohort in &self.cohorts {
            bytes.extend_from_slice(&number_bytes(cohort.len()));
            for part in cohort {
                bytes.extend_from_slice(&number_bytes(part.len()));
                let headers = part.iter().map(|it| it.header_hash());
                headers.for_each(|it| bytes.extend_from_slice(it.as_hash().as_bytes()));
            }
        }
        Some(ContentHash::derive(TERM_CONTEXT, &bytes))
    }

    /// Computes the term from payloads; something counts.
    pub fn term(&self, recipe: &Recipe) -> Vec<i32> {
        let groups: Vec<_> =
            self.cohorts.iter().map(|parts| self.group(recipe, &Self::ordered(parts))).collect();
        recipe.term(&groups, self.bearing)
    }

    /// The parts in the order of their hashes, so that no place in the member list breaks ties.
    pub fn ordered<'b>(parts: &'b [Part<'a>]) -> Vec<&'b Part<'a>> {
        let mut parts: Vec<&Part<'a>> = parts.iter().collect();
        parts.sort_by_key(|part| part[part.len() - 1].header_hash());
        parts
    }

    /// How many vectors the rule sees of a cohort.
    pub fn vectors(&self, recipe: &Recipe, parts: &[Part<'a>]) -> usize {
        let buckets: Vec<Bucket> =
            parts.iter().map(|part| self.drawing.bucket(recipe, part)).collect();
        recipe.vectors(&buckets, self.bearing)
    }

    /// What the rule sees of a cohort; all payloads are held.
    pub fn group(&self, recipe: &Recipe, parts: &[&Part<'a>]) -> Group<'a> {
        let vector = |part: &&Part<'a>| {
            let updates: Vec<_> = part.iter().filter_map(|held| held.update()).collect();
            Vector::of(&updates)
        };
        let claims = |part: &&Part<'a>| Claims::of(part[part.len() - 1].header());
        Group {
            vectors: parts.iter().map(vector).collect(),
            claims: parts.iter().map(claims).collect(),
            buckets: parts.iter().map(|part| self.drawing.bucket(recipe, part)).collect(),
            authors: parts.len(),
        }
    }
}

fn number_bytes(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("members fit 16 bits").to_le_bytes()
}
