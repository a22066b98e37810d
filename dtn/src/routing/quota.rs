//! The quota: what is kept when there is too little room, and a record of what is not.
//!
//! Bundles are kept in order of their value per byte; the value is a number of the peer's and means
//! nothing here. A bundle that comes is kept if it fits, or if it fits once expired ones and such of lower
//! value per byte are gone; equal ones stay, so that two bundles never push each other out in turn.
//! Among victims the older goes first, then the lower id, and none goes that need not.
//!
//! **A member never loses the payload of an open slot**: those are evicted neither for value nor because
//! they expired, until their slot is closed ([`Quota::close_slot`]). They rank above all that a member only carries
//! for others. A courier has no slots; there the class says nothing.
//!
//! What is evicted leaves a [`Deletion`] in a bounded list: it is what a custody signal or a log says next.
//! The caller deletes first and stores then; so the disk is never above the quota, and a crash
//! between the two loses only what was to go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bundle::BundleId;
use crate::time::Timestamp;

/// Most bundles that go for one: a bundle that needs more is refused.
pub const EVICTED_MAX: usize = 1024;

/// What a node is to the bundles that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It folds the updates of open slots.
    Member,
    /// It carries for others.
    Courier,
}

/// What a bundle is to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The payload of a slot that is open.
    OpenSlot,
    /// Carried for others.
    Carried,
}

/// What a bundle is worth to the peer: more is better, and that is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Value(pub u64);

/// A bundle that may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: BundleId,
    /// What it takes on the disk.
    pub bytes: u64,
    /// What it is worth.
    pub value: Value,
    /// What it is to the node.
    pub retention: Retention,
    /// When its lifetime is over.
    pub expires: Timestamp,
}

/// Whether a bundle is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Delete these, then store it.
    Keep {
        /// What goes for it.
        evict: Vec<BundleId>,
    },
    /// It is not kept, and nothing goes.
    Refuse(QuotaRefusal),
}

/// Why a bundle is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// It is kept already.
    #[error("the bundle is kept already")]
    Held,
    /// Its lifetime is over.
    #[error("the bundle's lifetime is over")]
    Expired,
    /// It is larger than the quota.
    #[error("{bytes} bytes do not fit a quota of {quota}: raise the quota")]
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The quota.
        quota: u64,
    },
    /// All that is kept is worth as much, or may not go.
    #[error("no room: {lacking} bytes lack, and nothing worth less may go: raise the quota")]
    NoRoom {
        /// Bytes that lack even without all that may go.
        lacking: u64,
    },
}

/// That a bundle was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Which.
    pub id: BundleId,
    /// Why.
    pub why: DeletionWhy,
    /// When.
    pub at: Timestamp,
}

/// Why a bundle was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletionWhy {
    /// Its lifetime was over.
    Expired,
    /// It made room for one of more value per byte.
    Evicted,
    /// The peer does not need it any more.
    Retired,
}

/// What is kept, and what was deleted lately.
#[derive(Debug, Clone)]
pub struct Quota {
    role: Role,
    bytes_max: u64,
    bytes: u64,
    kept: BTreeMap<BundleId, Kept>,
    /// All that may go, worst first.
    ranks: BTreeSet<Rank>,
    /// All that may go, by expiry.
    expiries: BTreeSet<(Timestamp, BundleId)>,
    next_age: u64,
    deletions: VecDeque<Deletion>,
    deletions_max: usize,
    deletions_forgotten: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    candidate: Candidate,
    age: u64,
}

/// The order in which bundles go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    density: Density,
    age: u64,
    id: BundleId,
}

/// Value per byte, compared without rounding; no bytes count as one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Density {
    value: u64,
    bytes: u64,
}

impl Density {
    pub const fn of(value: Value, bytes: u64) -> Self {
        Self { value: value.0, bytes }
    }
}

impl Ord for Density {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let [one, two] = [(self, other), (other, self)]
            .map(|(a, b)| u128::from(a.value) * u128::from(b.bytes.max(1)));
        one.cmp(&two)
    }
}

impl PartialOrd for Density {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Density {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Density {}

impl Quota {
    /// An empty store of `bytes_max` bytes that remembers `deletions_max` deletions.
    pub const fn new(role: Role, bytes_max: u64, deletions_max: usize) -> Self {
        Self {
            role,
            bytes_max,
            bytes: 0,
            kept: BTreeMap::new(),
            ranks: BTreeSet::new(),
            expiries: BTreeSet::new(),
            next_age: 0,
            deletions: VecDeque::new(),
            deletions_max,
            deletions_forgotten: 0,
        }
    }

    /// Whether to keep a bundle, and what goes for it. After `Keep` it counts as kept, and what goes
    /// as deleted.
    pub fn admit(&mut self, now: Timestamp, candidate: Candidate) -> Admission {
        match self.victims(now, &candidate) {
            Err(refusal) => Admission::Refuse(refusal),
            Ok(evict) => {
                for id in &evict {
                    let kept = self.kept.get(id).expect("victims are kept");
                    let is_over = kept.candidate.expires <= now;
                    let why = if is_over { DeletionWhy::Expired } else { DeletionWhy::Evicted };
                    self.delete(now, id, why);
                }
                self.insert(candidate);
                Admission::Keep { evict }
            }
        }
    }

    /// What would have to go for a bundle.
    fn victims(
        &self,
        now: Timestamp,
        candidate: &Candidate,
    ) -> Result<Vec<BundleId>, QuotaRefusal> {
        let &Candidate { id, bytes, expires, .. } = candidate;
        if self.kept.contains_key(&id) {
            return Err(QuotaRefusal::Held);
        }
        if expires <= now && !self.is_protected(candidate) {
            return Err(QuotaRefusal::Expired);
        }
        if bytes > self.bytes_max {
            return Err(QuotaRefusal::TooLarge { bytes, quota: self.bytes_max });
        }
        let mut lacking = bytes.saturating_sub(self.bytes_max - self.bytes);
        let mut victims = Vec::new();
        for &(_, id) in self.expiries.iter().take_while(|it| it.0 <= now).take(EVICTED_MAX) {
            if lacking == 0 {
                return Ok(victims);
            }
            lacking = lacking.saturating_sub(self.bytes_of(&id));
            victims.push(id);
        }
        if lacking > 0 {
            victims.extend(self.cheapest(now, candidate, lacking, victims.len())?);
        }
        Ok(victims)
    }

    /// The least valuable bundles that are not expired and whose bytes are `lacking` or more.
    fn cheapest(
        &self,
        now: Timestamp,
        candidate: &Candidate,
        lacking: u64,
        chosen: usize,
    ) -> Result<Vec<BundleId>, QuotaRefusal> {
        let outranks_all = self.is_protected(candidate);
        let density = density(candidate);
        let mut found: Vec<(BundleId, u64)> = Vec::new();
        let mut freed = 0_u64;
        let lower = self.ranks.iter().take_while(|it| outranks_all || it.density < density);
        let live =
            lower.filter(|it| self.kept.get(&it.id).is_some_and(|it| it.candidate.expires > now));
        for rank in live.take(EVICTED_MAX - chosen.min(EVICTED_MAX)) {
            if freed >= lacking {
                break;
            }
            let bytes = self.bytes_of(&rank.id);
            freed += bytes;
            found.push((rank.id, bytes));
        }
        if freed < lacking {
            return Err(QuotaRefusal::NoRoom { lacking: lacking - freed });
        }
        // A large one at the end may have made smaller ones before it needless: the best stay.
        for index in (0..found.len()).rev() {
            let bytes = found[index].1;
            if freed - bytes >= lacking {
                freed -= bytes;
                found.remove(index);
            }
        }
        Ok(found.into_iter().map(|(id, _)| id).collect())
    }

    /// Drops what is expired and may go; returns it.
    pub fn expire(&mut self, now: Timestamp) -> Vec<BundleId> {
        let over = self.expiries.iter().take_while(|it| it.0 <= now).map(|it| it.1);
        let over: Vec<BundleId> = over.collect();
        over.iter().for_each(|id| self.delete(now, id, DeletionWhy::Expired));
        over
    }

    /// Drops a bundle that the peer does not need any more. False if it is not kept.
    pub fn retire(&mut self, now: Timestamp, id: &BundleId) -> bool {
        let is_kept = self.kept.contains_key(id);
        if is_kept {
            self.delete(now, id, DeletionWhy::Retired);
        }
        is_kept
    }

    /// The slot of a payload is closed: it is worth `value` now, as one that is carried.
    pub fn close_slot(&mut self, id: &BundleId, value: Value) {
        if let Some(Kept { candidate, age }) = self.take(id) {
            self.put(Kept {
                candidate: Candidate { retention: Retention::Carried, value, ..candidate },
                age,
            });
        }
    }

    /// When something that may go expires next.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|it| it.0)
    }

    /// Bytes kept.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that are free.
    pub const fn bytes_free(&self) -> u64 {
        self.bytes_max - self.bytes
    }

    /// What is kept, by id.
    pub fn kept(&self) -> impl Iterator<Item = &Candidate> {
        self.kept.values().map(|it| &it.candidate)
    }

    /// The latest deletions, the oldest first.
    pub fn deletions(&self) -> impl Iterator<Item = &Deletion> {
        self.deletions.iter()
    }

    /// Deletions that were recorded and are not remembered any longer.
    pub const fn deletions_forgotten(&self) -> u64 {
        self.deletions_forgotten
    }

    fn is_protected(&self, candidate: &Candidate) -> bool {
        self.role == Role::Member && candidate.retention == Retention::OpenSlot
    }

    fn bytes_of(&self, id: &BundleId) -> u64 {
        self.kept.get(id).map_or(0, |it| it.candidate.bytes)
    }

    fn insert(&mut self, candidate: Candidate) {
        let age = self.next_age;
        self.next_age += 1;
        self.put(Kept { candidate, age });
    }

    fn put(&mut self, kept: Kept) {
        let Kept { candidate, age } = kept;
        if !self.is_protected(&candidate) {
            self.ranks.insert(Rank { density: density(&candidate), age, id: candidate.id });
            self.expiries.insert((candidate.expires, candidate.id));
        }
        self.bytes += candidate.bytes;
        self.kept.insert(candidate.id, kept);
        assert!(self.bytes <= self.bytes_max, "the quota is kept");
    }

    fn take(&mut self, id: &BundleId) -> Option<Kept> {
        let kept = self.kept.remove(id)?;
        let Kept { candidate, age } = kept;
        self.ranks.remove(&Rank { density: density(&candidate), age, id: candidate.id });
        self.expiries.remove(&(candidate.expires, candidate.id));
        self.bytes -= candidate.bytes;
        Some(kept)
    }

    fn delete(&mut self, now: Timestamp, id: &BundleId, why: DeletionWhy) {
        self.take(id);
        self.deletions.push_back(Deletion { id: *id, why, at: now });
        if self.deletions.len() > self.deletions_max {
            self.deletions.pop_front();
            self.deletions_forgotten += 1;
        }
    }
}

const fn density(candidate: &Candidate) -> Density {
    Density::of(candidate.value, candidate.bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::ContentHash;

    const NOW: Timestamp = Timestamp::from_dtn_ms(50);

    fn id(byte: u8) -> BundleId {
        BundleId::from_hash(ContentHash::from_bytes([byte; 32]))
    }

    fn carried(byte: u8, bytes: u64, value: u64) -> Candidate {
        let expires = Timestamp::from_dtn_ms(100);
        Candidate {
            id: id(byte),
            bytes,
            value: Value(value),
            retention: Retention::Carried,
            expires,
        }
    }

    fn open(byte: u8, bytes: u64, value: u64) -> Candidate {
        Candidate { retention: Retention::OpenSlot, ..carried(byte, bytes, value) }
    }

    fn evicts(found: &Admission) -> Option<Vec<u8>> {
        match found {
            Admission::Keep { evict } => {
                Some(evict.iter().map(|it| it.as_hash().as_bytes()[0]).collect())
            }
            Admission::Refuse(_) => None,
        }
    }

    fn filled(role: Role, bytes_max: u64, with: &[Candidate]) -> Quota {
        let mut quota = Quota::new(role, bytes_max, 8);
        for &candidate in with {
            assert_eq!(evicts(&quota.admit(NOW, candidate)), Some(vec![]), "it fits");
        }
        quota
    }

    #[test]
    fn evicts_the_least_value_per_byte_first() {
        let with = [carried(1, 40, 40), carried(2, 30, 60), carried(3, 30, 15)];
        let mut quota = filled(Role::Courier, 100, &with);
        assert_eq!(evicts(&quota.admit(NOW, carried(4, 30, 90))), Some(vec![3]));
        assert_eq!(
            evicts(&quota.admit(NOW, carried(5, 50, 100))),
            None,
            "2 per byte is not above 2"
        );
        assert_eq!(evicts(&quota.admit(NOW, carried(6, 70, 141))), Some(vec![1, 2]));
        assert_eq!(quota.bytes(), 100);
    }

    #[test]
    fn equal_value_per_byte_stays() {
        let mut quota = filled(Role::Courier, 10, &[carried(1, 10, 20)]);
        let same = quota.admit(NOW, carried(2, 5, 10));
        assert_eq!(same, Admission::Refuse(QuotaRefusal::NoRoom { lacking: 5 }));
        assert_eq!(evicts(&quota.admit(NOW, carried(2, 5, 11))), Some(vec![1]));
    }

    #[test]
    fn of_equal_victims_the_older_goes() {
        let with = [carried(9, 5, 5), carried(1, 5, 5), carried(5, 5, 5)];
        let mut quota = filled(Role::Courier, 15, &with);
        assert_eq!(evicts(&quota.admit(NOW, carried(7, 10, 99))), Some(vec![9, 1]));
    }

    #[test]
    fn nothing_goes_that_need_not() {
        let with = [carried(1, 10, 1), carried(2, 80, 16), carried(3, 10, 99)];
        let mut quota = filled(Role::Courier, 100, &with);
        assert_eq!(evicts(&quota.admit(NOW, carried(4, 60, 90))), Some(vec![2]), "1 may stay");
    }

    #[test]
    fn the_expired_go_before_all_others() {
        let late = Timestamp::from_dtn_ms(200);
        let with = [carried(1, 50, 900), Candidate { expires: late, ..carried(2, 50, 1) }];
        let mut quota = filled(Role::Courier, 100, &with);
        let at = Timestamp::from_dtn_ms(100);
        let newcomer = Candidate { expires: late, ..carried(3, 50, 0) };
        assert_eq!(evicts(&quota.admit(at, newcomer)), Some(vec![1]), "worth nothing, but alive");
        let deletions: Vec<_> = quota.deletions().copied().collect();
        assert_eq!(deletions, [Deletion { id: id(1), why: DeletionWhy::Expired, at }]);
        assert_eq!(quota.admit(at, carried(4, 1, 1)), Admission::Refuse(QuotaRefusal::Expired));
        assert_eq!(quota.next_expiry(), Some(late));
        assert_eq!(quota.expire(late), [id(2), id(3)]);
        assert_eq!((quota.bytes(), quota.bytes_free()), (0, 100));
    }

    #[test]
    fn a_member_keeps_open_slots_and_a_courier_need_not() {
        let with = [open(1, 60, 0), carried(2, 40, 900)];
        let mut member = filled(Role::Member, 100, &with);
        let refused = member.admit(NOW, carried(3, 60, u64::MAX));
        assert_eq!(refused, Admission::Refuse(QuotaRefusal::NoRoom { lacking: 20 }));
        assert_eq!(
            evicts(&member.admit(NOW, open(4, 40, 0))),
            Some(vec![2]),
            "a slot before a favour"
        );
        let never = Timestamp::from_dtn_ms(u64::MAX);
        assert_eq!(member.expire(never), []);
        member.close_slot(&id(1), Value(0));
        assert_eq!(evicts(&member.admit(NOW, carried(5, 60, 1))), Some(vec![1]));
        let mut courier = filled(Role::Courier, 100, &with);
        assert_eq!(evicts(&courier.admit(NOW, carried(3, 60, u64::MAX))), Some(vec![1]));
    }

    #[test]
    fn refuses_what_is_kept_or_never_fits() {
        let mut quota = filled(Role::Member, 100, &[carried(1, 10, 1)]);
        assert_eq!(quota.admit(NOW, carried(1, 10, 1)), Admission::Refuse(QuotaRefusal::Held));
        let large = QuotaRefusal::TooLarge { bytes: 101, quota: 100 };
        assert_eq!(quota.admit(NOW, open(2, 101, 1)), Admission::Refuse(large));
        assert!(quota.retire(NOW, &id(1)) && !quota.retire(NOW, &id(1)));
        assert_eq!(quota.deletions().map(|it| it.why).collect::<Vec<_>>(), [DeletionWhy::Retired]);
    }

    #[test]
    fn values_are_compared_without_rounding() {
        let most = u64::MAX;
        let mut quota = filled(Role::Courier, most, &[carried(1, most - 1, most)]);
        assert_eq!(evicts(&quota.admit(NOW, carried(2, most, most))), None, "a hair less per byte");
        assert_eq!(evicts(&quota.admit(NOW, carried(3, most - 2, most))), Some(vec![1]));
        let mut quota = filled(Role::Courier, 1, &[carried(1, 0, 1), carried(2, 1, 0)]);
        assert_eq!(evicts(&quota.admit(NOW, carried(3, 1, 1))), Some(vec![2]), "no bytes, no room");
    }

    #[test]
    fn what_is_not_kept_has_no_slot_to_close() {
        let mut quota = filled(Role::Member, 10, &[open(1, 10, 5)]);
        quota.close_slot(&id(2), Value(9));
        assert_eq!(quota.kept().count(), 1);
        quota.close_slot(&id(1), Value(9));
        let kept = Candidate { value: Value(9), ..carried(1, 10, 0) };
        assert_eq!(quota.kept().copied().collect::<Vec<_>>(), [kept]);
        assert_eq!(quota.expire(Timestamp::from_dtn_ms(100)), [id(1)], "now it may expire");
    }

    #[test]
    fn the_list_of_deletions_is_bounded() {
        let mut quota = Quota::new(Role::Courier, 1, 3);
        for value in 1..=10 {
            quota.admit(NOW, carried(value, 1, u64::from(value)));
        }
        assert_eq!(quota.deletions().map(|it| it.id).collect::<Vec<_>>(), [id(7), id(8), id(9)]);
        assert_eq!(quota.deletions_forgotten(), 6);
    }

    #[test]
    fn the_work_for_one_bundle_is_bounded() {
        let count = EVICTED_MAX as u64 + 1;
        let mut quota = Quota::new(Role::Courier, count, 1);
        for number in 0..count {
            let id = BundleId::from_hash(ContentHash::of(&number.to_be_bytes()));
            quota.admit(NOW, Candidate { id, ..carried(0, 1, 0) });
        }
        let found = quota.admit(NOW, carried(0, count, u64::MAX));
        assert_eq!(found, Admission::Refuse(QuotaRefusal::NoRoom { lacking: 1 }));
        let found = quota.admit(NOW, carried(0, count - 1, u64::MAX));
        assert_eq!(evicts(&found).map(|it| it.len()), Some(EVICTED_MAX));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Admit(Candidate),
        Close(u8),
        Retire(u8),
        Expire,
    }

    fn arb_step() -> impl Strategy<Value = (u64, Step)> {
        let candidate =
            (0_u8..40, 0_u64..40, prop_oneof![0_u64..20, any::<u64>()], any::<bool>(), 1_u64..90);
        let admit = candidate.prop_map(|(byte, bytes, value, is_open, expires)| {
            let one = if is_open { open(byte, bytes, value) } else { carried(byte, bytes, value) };
            Step::Admit(Candidate { expires: Timestamp::from_dtn_ms(expires), ..one })
        });
        let step = prop_oneof![
            8 => admit,
            1 => (0_u8..40).prop_map(Step::Close),
            1 => (0_u8..40).prop_map(Step::Retire),
            1 => Just(Step::Expire),
        ];
        (0_u64..2, step)
    }

    /// Checks what is promised of an admission.
    fn check(
        before: &Quota,
        after: &Quota,
        now: Timestamp,
        newcomer: &Candidate,
        found: &Admission,
    ) {
        let fixed =
            |it: &Candidate| before.role == Role::Member && it.retention == Retention::OpenSlot;
        let more = |it: &Candidate| {
            let [one, two] = [(it, newcomer), (newcomer, it)]
                .map(|(a, b)| u128::from(a.value.0) * u128::from(b.bytes.max(1)));
            one >= two && !fixed(newcomer)
        };
        let may_go = |it: &&Candidate| !fixed(it) && (it.expires <= now || !more(it));
        let free = before.bytes_max - before.kept().map(|it| it.bytes).sum::<u64>();
        match found {
            Admission::Keep { evict } => {
                let gone: Vec<&Candidate> =
                    evict.iter().map(|id| &before.kept[id].candidate).collect();
                assert!(gone.iter().all(may_go), "{gone:?} went for {newcomer:?}");
                let freed: u64 = gone.iter().map(|it| it.bytes).sum();
                for it in gone.iter().filter(|it| it.expires > now) {
                    assert!(free + freed - it.bytes < newcomer.bytes, "{it:?} need not go");
                }
                assert_eq!(after.kept.len() + evict.len(), before.kept.len() + 1);
                assert_eq!(latest(after, evict.len()), *evict);
            }
            Admission::Refuse(why) => {
                assert_eq!(after.bytes, before.bytes);
                let room: u64 = free + before.kept().filter(may_go).map(|it| it.bytes).sum::<u64>();
                match why {
                    QuotaRefusal::NoRoom { lacking } => assert_eq!(room + lacking, newcomer.bytes),
                    QuotaRefusal::TooLarge { .. } => assert!(newcomer.bytes > before.bytes_max),
                    QuotaRefusal::Held => assert!(before.kept.contains_key(&newcomer.id)),
                    QuotaRefusal::Expired => assert!(newcomer.expires <= now && !fixed(newcomer)),
                }
            }
        }
    }

    fn latest(quota: &Quota, count: usize) -> Vec<BundleId> {
        let deletions = quota.deletions.iter().skip(quota.deletions.len() - count);
        deletions.map(|it| it.id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(800))]

        #[test]
        fn keeps_its_promises(
            is_member: bool, bytes_max in 1_u64..200, steps in prop::collection::vec(arb_step(), 1..80),
        ) {
            let role = if is_member { Role::Member } else { Role::Courier };
            let mut quota = Quota::new(role, bytes_max, 100);
            let mut now = Timestamp::default();
            for (later, step) in steps {
                now = Timestamp::from_dtn_ms(now.dtn_ms() + later);
                let before = quota.clone();
                match step {
                    Step::Admit(candidate) => {
                        let found = quota.admit(now, candidate);
                        check(&before, &quota, now, &candidate, &found);
                    }
                    Step::Close(byte) => quota.close_slot(&id(byte), Value(1)),
                    Step::Retire(byte) => _ = quota.retire(now, &id(byte)),
                    Step::Expire => {
                        let over = quota.expire(now);
                        let fixed = |id| is_member && before.kept[id].candidate.retention == Retention::OpenSlot;
                        prop_assert!(over.iter().all(|id| before.kept[id].candidate.expires <= now && !fixed(id)));
                    }
                }
                prop_assert!(quota.bytes() <= bytes_max);
                prop_assert_eq!(quota.bytes(), quota.kept().map(|it| it.bytes).sum::<u64>());
                let open = quota.kept().filter(|it| is_member && it.retention == Retention::OpenSlot).count();
                prop_assert_eq!(quota.ranks.len() + open, quota.kept.len());
                prop_assert_eq!(quota.expiries.len(), quota.ranks.len());
            }
        }
    }
}
