//! Aggregates: a bucket's updates travel beyond the bucket as one sum.
//!
//! Where the manifest says so, an update is offered to the members of its bucket alone until so many epochs have passed; others
//! get the sum of the bucket, with heads and proofs ([`longhaul_registry::aggregate`]), and hold the same model. An update of which no sum
//! has come by then is offered to everybody, and so is one whose sum is of no use any more, since a slot in it turned out to be void.
//!
//! Every member of a bucket can make its sum. They take turns, so that one does: a while after the end of the epoch the first
//! in line, then the next if none came. Who gets an update later makes a further sum, of more slots. A sum is accepted, kept and
//! passed on if it is of more slots than the best that is held of its bucket, or names an update that was not heard of; that
//! bounds their number by twice that of the bucket's members.
//!
//! Making and judging take tens of milliseconds, so they are effects that a later input answers ([`Output::Sum`],
//! [`Output::CheckSum`]), one of each at a time.

mod making;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use longhaul_aggregation::{Epoch, HeaderHash, Inserted, MemberIndex, Previous, Slot, VoidReason};
use longhaul_dtn::agent::{self, Audience, Held};
use longhaul_dtn::bundle::{BundleHead, BundleId};
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::aggregate::HEADS_MIN;
use longhaul_registry::{
    AdmittedAggregate, AggregateHeader, AggregateRefusal, Record, SignedManifest,
};

pub use requests::{CheckSumRequest, SumRequest, Summed};

use super::proving::NO_KEYS_CODE;
use super::{Event, InStore, Output, Peer};

/// The first in line waits for this part of an epoch after its end, so that what is late still comes.
const WAIT_PART: u64 = 8;
/// Each next in line waits for this part longer.
const TURN_PART: u64 = 16;
/// No turn is later than this one.
const TURNS_MAX: usize = 16;
/// Sums are made for so many epochs beyond those for which updates wait for them.
const EPOCHS_BEHIND: u32 = 8;
/// Most aggregates of an epoch that are remembered as not wanted.
const NEEDLESS_MAX: usize = 64;

/// Which buckets are known by which sums, and what is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Aggregates {
    /// The bundles of updates that are held whole; several where a member signed several.
    bundles: BTreeMap<Epoch, BTreeSet<(MemberIndex, BundleId)>>,
    /// Aggregates that were not wanted, by epoch: they may be once a slot turns out to be void.
    needless: BTreeMap<Epoch, BTreeSet<BundleId>>,
    /// The sums that are held, by epoch.
    sums: BTreeMap<Epoch, Vec<HeldSum>>,
    /// The bucket of each member, by epoch, for the epochs that are looked at.
    buckets: BTreeMap<Epoch, BTreeMap<MemberIndex, Arc<Bucket>>>,
    /// When to look for sums to make, if anything is to come.
    look: Option<Timestamp>,
    /// The epoch in which it was said last to whom updates are offered.
    offered: Option<Epoch>,
    /// True if this peer's turn to make a sum is to come.
    turn_ahead: bool,
    /// The sum that is being made, and of how many slots.
    making: Option<(Epoch, usize)>,
    /// How many were made of an epoch.
    made: BTreeMap<Epoch, u16>,
    /// Of how many slots a sum could not be made, by epoch.
    failed: BTreeMap<Epoch, usize>,
    /// What waits for a judgement; the contact machine bounds how many there are.
    waiting: VecDeque<(Held, PeerId)>,
    judging: Option<(Held, PeerId)>,
}

/// A sum that is held.
#[derive(Debug, Clone)]
struct HeldSum {
    /// The first member of its bucket, whether or not it has a slot in it.
    bucket: MemberIndex,
    slots: Vec<(MemberIndex, HeaderHash)>,
}

/// The members of a bucket.
#[derive(Debug)]
struct Bucket {
    members: BTreeSet<MemberIndex>,
    audience: Audience,
}

impl Aggregates {
    /// Notes an update that is held whole.
    pub fn hold_update(&mut self, slot: Slot, bundle: BundleId) {
        self.bundles.entry(slot.epoch).or_default().insert((slot.member, bundle));
    }

    /// Notes a sum that is held.
    pub fn hold_sum(&mut self, manifest: &SignedManifest, admitted: &AdmittedAggregate) {
        let (epoch, slots) = (admitted.sum.epoch, admitted.sum.slots.clone());
        let bucket = first_mate(manifest, Slot { member: slots[0].0, epoch });
        self.sums.entry(epoch).or_default().push(HeldSum { bucket, slots });
    }

    /// Epochs in which updates of others are held.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.bundles.keys().copied().collect()
    }

    fn bucket(&mut self, manifest: &SignedManifest, slot: Slot) -> Arc<Bucket> {
        let known = self.buckets.entry(slot.epoch).or_default();
        if let Some(bucket) = known.get(&slot.member) {
            return bucket.clone();
        }
        let members = mates(manifest, slot);
        let member = |&member: &MemberIndex| manifest.manifest().member(member);
        let audience = members.iter().filter_map(member).collect();
        let members: BTreeSet<MemberIndex> = members.into_iter().collect();
        let bucket = Arc::new(Bucket { members, audience: Arc::new(audience) });
        known.extend(bucket.members.iter().map(|&member| (member, bucket.clone())));
        bucket
    }
}

/// The members whose slots are in the bucket of this one.
fn mates(manifest: &SignedManifest, slot: Slot) -> Vec<MemberIndex> {
    let terms = manifest.manifest();
    let all = (terms.members.len(), &terms.trust_roots[..]);
    terms.recipe.buckets.mates(&manifest.id().hash(), slot, all)
}

/// The name of a slot's bucket: its first member.
fn first_mate(manifest: &SignedManifest, slot: Slot) -> MemberIndex {
    mates(manifest, slot).first().copied().unwrap_or(slot.member)
}

impl Peer {
    /// Epochs for which updates wait for sums; none where there are no sums.
    fn sums_wait(&self) -> Option<u32> {
        self.manifest.manifest().aggregates
    }

    /// The sums that are held of an epoch, and whether none of their slots is void.
    fn sums(&self, epoch: Epoch) -> impl Iterator<Item = (&HeldSum, bool)> {
        let sums = self.aggregates.sums.get(&epoch).into_iter().flatten();
        let is_sound = move |&(member, header): &(MemberIndex, HeaderHash)| {
            self.fold.holds_header(Slot { member, epoch }, header)
                && self.fold.void(member, epoch).is_none()
        };
        sums.map(move |sum| (sum, sum.slots.iter().all(is_sound)))
    }

    /// The largest sum of a bucket of which no slot is void.
    fn best_sum(&self, epoch: Epoch, bucket: MemberIndex) -> Option<&HeldSum> {
        let sound = self.sums(epoch).filter(|(sum, is_sound)| *is_sound && sum.bucket == bucket);
        sound.map(|(sum, _)| sum).max_by_key(|sum| sum.slots.len())
    }

    /// How many slots it has.
    fn best_len(&self, epoch: Epoch, bucket: MemberIndex) -> usize {
        self.best_sum(epoch, bucket).map_or(0, |sum| sum.slots.len())
    }

    /// To whom an update in this slot is offered; none for everybody.
    fn audience_of(&mut self, slot: Slot) -> Option<Audience> {
        let wait = self.sums_wait()?;
        let bucket = self.aggregates.bucket(&self.manifest, slot);
        if bucket.members.len() < HEADS_MIN {
            return None;
        }
        let ends = self
            .manifest()
            .epoch_start(Epoch::new(slot.epoch.get().saturating_add(wait).saturating_add(1)));
        let has = |sum: &HeldSum| sum.slots.iter().any(|&(member, _)| member == slot.member);
        let spoiled = self.sums(slot.epoch).any(|(sum, is_sound)| !is_sound && has(sum));
        let waits = match self.now < ends && !spoiled {
            true => true,
            false => self.is_known_by_sum(slot, &bucket),
        };
        waits.then(|| bucket.audience.clone())
    }

    /// True if others can do without this update: it is in the largest sum of its bucket, and what that sum lacks is held
    /// whole here, so that they get it beside the sum.
    fn is_known_by_sum(&self, slot: Slot, bucket: &Bucket) -> bool {
        let epoch = slot.epoch;
        let first = bucket.members.first().copied().unwrap_or(slot.member);
        let Some(best) = self.best_sum(epoch, first) else { return false };
        let in_best = |member: MemberIndex| best.slots.iter().any(|slot| slot.0 == member);
        let is_served = |&member: &MemberIndex| {
            let slot = Slot { member, epoch };
            in_best(member)
                || !self.fold.is_filled(slot)
                || self.fold.void(member, epoch).is_some()
                || self.fold.update(slot).is_some()
        };
        in_best(slot.member) && bucket.members.iter().all(is_served)
    }

    /// Notes an update that is held whole, before its bundle is on offer.
    pub(super) fn note_for_sums(&mut self, slot: Slot, bundle: BundleId) {
        if self.sums_wait().is_none() {
            return;
        }
        self.aggregates.hold_update(slot, bundle);
        let to = self.audience_of(slot);
        self.agent.handle(self.now, agent::Input::Audience { id: bundle, to });
    }

    /// Looks for a sum to make once an update is in the fold.
    pub(super) fn look_for_sum(&mut self, epoch: Epoch) {
        if self.sums_wait().is_some()
            && let Some((due, _)) = self.next_turn(epoch)
        {
            self.aggregates.look = Some(self.aggregates.look.map_or(due, |look| look.min(due)));
        }
    }

    /// Says anew to whom the updates of an epoch are offered.
    pub(super) fn offer_anew(&mut self, epoch: Epoch) {
        if self.sums_wait().is_none() {
            return;
        }
        let held = self.aggregates.bundles.get(&epoch).cloned().unwrap_or_default();
        for (member, id) in held {
            let to = self.audience_of(Slot { member, epoch });
            self.agent.handle(self.now, agent::Input::Audience { id, to });
        }
    }

    /// Notes that slots of an author, that of `epoch` perhaps among them, turned out to be void: the sums that have one are of no use, and those that
    /// were not wanted may be.
    pub(super) fn author_voided(&mut self, author: MemberIndex, epoch: Epoch) {
        if self.sums_wait().is_none() {
            return;
        }
        let has = |sum: &HeldSum| sum.slots.iter().any(|slot| slot.0 == author);
        let named = self.aggregates.sums.iter().filter(|(_, sums)| sums.iter().any(has));
        let epochs: BTreeSet<Epoch> = named.map(|(epoch, _)| *epoch).chain([epoch]).collect();
        for epoch in epochs {
            self.aggregates.failed.remove(&epoch);
            self.offer_anew(epoch);
            let ids = self.aggregates.needless.remove(&epoch).unwrap_or_default();
            self.agent.handle(self.now, agent::Input::Forget { ids: ids.into_iter().collect() });
        }
        self.look_for_sums();
    }

    /// Remembers an aggregate that was not wanted.
    pub(super) fn note_needless(&mut self, head: &BundleHead) {
        let Ok(header) = AggregateHeader::decode(head.header()) else { return };
        let ids = self.aggregates.needless.entry(header.epoch).or_default();
        if ids.len() < NEEDLESS_MAX {
            ids.insert(head.id());
        }
    }

    /// When to look for sums to make.
    pub(super) const fn sums_due(&self) -> Option<Timestamp> {
        if self.aggregates.making.is_some() { None } else { self.aggregates.look }
    }

    /// Looks for sums to make at the next tick.
    pub(super) fn look_for_sums(&mut self) {
        self.aggregates.look = self.sums_wait().map(|_| self.now);
    }

    /// Makes the sum whose turn has come, and lets go of updates that have waited for one long enough.
    pub(super) fn sum_if_due(&mut self) {
        let Some(wait) = self.sums_wait() else { return };
        self.judge_next();
        if self.aggregates.look.is_none_or(|at| at > self.now) || self.aggregates.making.is_some() {
            return;
        }
        let now = self.manifest().clock_epoch(self.now);
        let first = now.back(wait.saturating_add(EPOCHS_BEHIND));
        let epochs: Vec<Epoch> =
            self.aggregates.bundles.range(first..).map(|(epoch, _)| *epoch).collect();
        if self.aggregates.offered != Some(now) {
            self.aggregates.offered = Some(now);
            epochs.iter().for_each(|&epoch| self.offer_anew(epoch));
            self.aggregates.buckets = self.aggregates.buckets.split_off(&first);
        }
        // Once those of the last epoch have waited, only what comes is a reason to look.
        let last = self.manifest().epochs.saturating_add(wait).saturating_add(1);
        let next = self.manifest().epoch_start(Epoch::new(now.get().saturating_add(1)));
        let next = next.plus(self.part_of_epoch(WAIT_PART));
        let mut look = (now.get() <= last).then_some(next);
        self.aggregates.turn_ahead = false;
        for epoch in epochs {
            match self.next_turn(epoch) {
                Some((due, _)) if due > self.now => {
                    look = Some(look.map_or(due, |look| look.min(due)));
                    self.aggregates.turn_ahead = true;
                }
                Some((_, slots)) if self.ask_for_sum(epoch, &slots) => {
                    // The others are looked for when this one is made.
                    look = Some(self.now);
                    break;
                }
                // There is nothing to add, or a bundle is not at hand any more.
                _ => {}
            }
        }
        self.aggregates.look = look;
        self.drain_agent();
    }

    /// True while a sum is made or judged, or this peer's turn to make one is to come.
    pub(super) fn is_summing(&self) -> bool {
        let Aggregates { making, judging, turn_ahead, .. } = &self.aggregates;
        making.is_some() || judging.is_some() || *turn_ahead
    }

    fn part_of_epoch(&self, part: u64) -> Span {
        Span::from_ms(self.manifest().epoch_length.ms() / part)
    }

    /// True if a sum of so many slots is of more than the best that is held of the member's bucket.
    fn is_better(&self, epoch: Epoch, member: MemberIndex, slots: usize) -> bool {
        let bucket = first_mate(&self.manifest, Slot { member, epoch });
        self.best_len(epoch, bucket) < slots
    }

    /// Judges a bundle that says that it holds an aggregate, as soon as there is a verdict.
    pub(super) fn judge_aggregate(&mut self, held: Held, from: PeerId) {
        if let Err(refusal) = self.screen_aggregate(&held.head) {
            return self.refuse_aggregate(&held, from, &refusal);
        }
        if self.proving.prover().is_none() {
            let author = self.manifest().member_index(&held.head.author());
            let why = "this peer has no proving keys".to_owned();
            return self.reject(held.head.id(), (from, author), NO_KEYS_CODE, why);
        }
        self.aggregates.waiting.push_back((held, from));
        self.judge_next();
    }

    /// Why an aggregate is not wanted, as far as its head tells.
    pub(super) fn screen_aggregate(
        &self,
        head: &BundleHead,
    ) -> Result<AggregateHeader, AggregateRefusal> {
        let header = self.manifest.screen_aggregate(head)?;
        let epoch = header.epoch;
        // What says of a slot what is not known yet is heard, however small: by it twins are found.
        let is_news = |&(member, name): &(MemberIndex, HeaderHash)| {
            let is_spent = self.fold.void(member, epoch) == Some(VoidReason::Twin);
            !is_spent && !self.fold.holds_header(Slot { member, epoch }, name)
        };
        let is_wanted = self.missing.contains_key(&head.id())
            || self.is_better(epoch, header.slots[0].0, header.slots.len())
            || header.slots.iter().any(is_news);
        if is_wanted { Ok(header) } else { Err(AggregateRefusal::Needless) }
    }

    /// Asks for the next judgement, or takes what others of this process found.
    fn judge_next(&mut self) {
        while self.aggregates.judging.is_none() {
            let Some((held, from)) = self.aggregates.waiting.pop_front() else { return };
            let known = self.memo.as_ref().and_then(|memo| memo.aggregates.get(&held.head.id()));
            if let Some(admitted) = known {
                self.accept_aggregate(&held, from, &admitted);
                continue;
            }
            let Some(prover) = self.proving.prover() else { return };
            let request = CheckSumRequest { manifest: self.manifest.clone(), prover, held };
            self.aggregates.judging = Some((request.held.clone(), from));
            self.outputs.push_back(Output::CheckSum(request));
        }
    }

    /// Goes on with the aggregate that was judged.
    pub(super) fn sum_checked(
        &mut self,
        checked: Result<Arc<AdmittedAggregate>, AggregateRefusal>,
    ) {
        let Some((held, from)) = self.aggregates.judging.take() else { return };
        match checked {
            Ok(admitted) => {
                if let Some(memo) = &self.memo {
                    memo.aggregates.put(held.head.id(), &admitted);
                }
                self.accept_aggregate(&held, from, &admitted);
            }
            Err(refusal) => self.refuse_aggregate(&held, from, &refusal),
        }
        self.judge_next();
        self.drain_agent();
    }

    fn refuse_aggregate(&mut self, held: &Held, from: PeerId, refusal: &AggregateRefusal) {
        if *refusal == AggregateRefusal::Needless {
            self.note_needless(&held.head);
        }
        let author = self.manifest().member_index(&held.head.author());
        self.reject(held.head.id(), (from, author), refusal.code(), refusal.to_string());
    }

    fn accept_aggregate(&mut self, held: &Held, from: PeerId, admitted: &AdmittedAggregate) {
        // Another one came while it was judged.
        if let Err(refusal) = self.screen_aggregate(&held.head) {
            return self.refuse_aggregate(held, from, &refusal);
        }
        let (epoch, updates) = (admitted.sum.epoch, admitted.sum.slots.len());
        let then = InStore::Carried { bundle: held.head.id() };
        self.take_aggregate(held, Some(from), admitted, then);
        self.event(Event::Aggregate { epoch, updates, from });
    }

    /// Puts an aggregate into the fold and the log.
    fn take_aggregate(
        &mut self,
        held: &Held,
        from: Option<PeerId>,
        admitted: &AdmittedAggregate,
        then: InStore,
    ) {
        let epoch = admitted.sum.epoch;
        self.missing.remove(&held.head.id());
        for (_, head) in &admitted.heads {
            if Some(head.author) == self.me {
                self.remember_own(Previous { epoch, header: head.header_hash });
            }
            if let Inserted::Void(_) = self.fold.insert_head(head.clone()) {
                self.event(Event::Voided { epoch, author: head.author });
                self.author_voided(head.author, epoch);
            }
        }
        // Whether it is of use for this peer's model is for the fold to know; others may need it.
        _ = self.fold.insert_sum(admitted.sum.clone());
        self.aggregates.hold_sum(&self.manifest, admitted);
        self.offer_anew(epoch);
        self.look_for_sums();
        self.version_wanted();
        let record = Record::Aggregate { head: held.head.encode(), from };
        let payload = (held.head.payload_hash(), held.payload.clone());
        self.persist(Some(payload), vec![record], then);
    }
}
