//! Catalog: what all segments together say, in memory.
//!
//! A bundle's stay has an order, which copies of its record share and its
//! tombstone names. So what is live does not depend on the sequence in which
//! segments are read, and a segment that comes back after a power loss adds
//! nothing: its records are copies, or a tombstone is known. A tombstone is
//! needed until the last copy of its bundle in another segment is gone for good.

use std::collections::BTreeMap;

use super::record::{HEAD_BYTES, MARK_BYTES, Placed, Record, Salt, SegmentHead};
use super::types::{BundleKey, Entry, Mark, Order, SegmentId, Usage};

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Holds many records, appended one after the other.
    Log,
    /// Holds one large bundle.
    Single,
}

/// A segment file, and what of it is still needed.
#[derive(Debug)]
pub(super) struct Segment {
    pub form: Form,
    pub salt: Salt,
    /// Bytes of the file.
    pub len: u64,
    /// Bytes of its index file.
    pub index_bytes: u64,
    /// Bytes that a compaction would have to copy.
    pub needed: u64,
    /// Not all of it could be read: it is kept aside, not removed.
    pub has_damage: bool,
    /// A live bundle in it cannot be read, so that it cannot be compacted.
    pub is_stuck: bool,
    /// The bundles in it, live or not.
    pub orders: Vec<Order>,
    /// Whose tombstones are in it, needed or not.
    pub tombstones: Vec<Order>,
    /// The marks in it, needed or not.
    pub marks: Vec<Mark>,
}

impl Segment {
    /// A segment without records.
    pub fn new(form: Form, salt: Salt, len: u64) -> Self {
        Self {
            form,
            salt,
            len,
            index_bytes: 0,
            needed: 0,
            has_damage: false,
            is_stuck: false,
            orders: Vec::new(),
            tombstones: Vec::new(),
            marks: Vec::new(),
        }
    }
}

/// A live bundle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub segment: SegmentId,
    pub placed: Placed,
}

#[derive(Debug)]
struct Tombstone {
    segment: SegmentId,
    key: BundleKey,
    /// Its bytes are counted as needed.
    is_counted: bool,
}

/// What all segments together say.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    segments: BTreeMap<SegmentId, Segment>,
    slots: BTreeMap<Order, Slot>,
    keys: BTreeMap<BundleKey, Order>,
    tombstones: BTreeMap<Order, Tombstone>,
    /// Where copies lie that are not the live one.
    stale: BTreeMap<Order, Vec<SegmentId>>,
    /// Marks of live bundles, and where they are written if they are.
    marks: BTreeMap<Mark, Option<SegmentId>>,
    usage: Usage,
}

impl Catalog {
    /// The segments.
    pub fn segments(&self) -> &BTreeMap<SegmentId, Segment> {
        &self.segments
    }

    /// The segment `id`, which is there.
    pub fn segment(&self, id: SegmentId) -> &Segment {
        self.segments.get(&id).expect("a record's segment is known")
    }

    fn segment_mut(&mut self, id: SegmentId) -> &mut Segment {
        self.segments.get_mut(&id).expect("a record's segment is known")
    }

    /// What a record of segment `id` is sealed with.
    pub fn head(&self, id: SegmentId) -> SegmentHead {
        SegmentHead { id, salt: self.segment(id).salt }
    }

    /// What the store takes on the disk.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The live bundle of this name.
    pub fn get(&self, key: &BundleKey) -> Option<&Slot> {
        self.slots.get(self.keys.get(key)?)
    }

    /// The live bundle of this order, if its live copy lies in `segment`.
    pub fn live_in(&self, order: Order, segment: SegmentId) -> Option<&Slot> {
        self.slots.get(&order).filter(|slot| slot.segment == segment)
    }

    /// The key of a tombstone in `segment` that is needed elsewhere.
    pub fn needed_tombstone(&self, order: Order, segment: SegmentId) -> Option<BundleKey> {
        let tombstone = self.tombstones.get(&order)?;
        (tombstone.segment == segment && tombstone.is_counted).then_some(tombstone.key)
    }

    /// Whether a mark is needed, and written in `segment`; `None`: not yet.
    pub fn has_mark(&self, mark: &Mark, segment: Option<SegmentId>) -> bool {
        self.marks.get(mark) == Some(&segment)
    }

    /// The live bundles in order of arrival.
    pub fn entries(&self) -> impl Iterator<Item = (BundleKey, Entry)> {
        self.slots.iter().map(|(order, Slot { placed, .. })| {
            let Placed { len: bytes, expires, .. } = *placed;
            (placed.key, Entry { bytes, expires, order: order.0 })
        })
    }

    /// The neighbours that have acknowledged a bundle.
    pub fn noted(&self, key: &BundleKey) -> impl Iterator<Item = u128> {
        let order = self.keys.get(key).copied();
        order.into_iter().flat_map(|order| self.marks_of(order)).map(|mark| mark.neighbour)
    }

    fn marks_of(&self, order: Order) -> impl Iterator<Item = Mark> {
        let [first, last] = [0, u128::MAX].map(|neighbour| Mark { order, neighbour });
        self.marks.range(first..=last).map(|(mark, _)| *mark)
    }

    /// The greatest order that is known of.
    pub fn last_order(&self) -> Option<Order> {
        let seen =
            |segment: &Segment| segment.orders.iter().chain(&segment.tombstones).max().copied();
        self.segments.values().filter_map(seen).max()
    }

    /// Adds a segment without records.
    pub fn add_segment(&mut self, id: SegmentId, segment: Segment) {
        self.usage.total_bytes += segment.len + segment.index_bytes;
        let before = self.segments.insert(id, segment);
        debug_assert!(before.is_none(), "a number is used once");
    }

    /// Segment `id` has grown, or its index was written.
    pub fn resize(&mut self, id: SegmentId, len: u64, index_bytes: u64) {
        let segment = self.segment_mut(id);
        let before = segment.len + segment.index_bytes;
        (segment.len, segment.index_bytes) = (len, index_bytes);
        self.usage.total_bytes = self.usage.total_bytes - before + len + index_bytes;
    }

    /// Leaves a segment alone until a bundle in it is deleted.
    pub fn set_stuck(&mut self, id: SegmentId) {
        self.segment_mut(id).is_stuck = true;
    }

    /// The catalog of all segments with their records, in whatever order.
    pub fn of(segments: Vec<(SegmentId, Segment, &[Record])>) -> Self {
        let mut catalog = Self::default();
        let mut all = Vec::with_capacity(segments.len());
        for (id, segment, records) in segments {
            catalog.add_segment(id, segment);
            all.push((id, records));
        }
        let kinds: [fn(&Record) -> bool; 3] = [
            |record| matches!(record, Record::Bundle(_)),
            |record| matches!(record, Record::Tombstone { .. }),
            |record| matches!(record, Record::Mark(_)),
        ];
        for is_kind in kinds {
            for (id, records) in &all {
                let records = records.iter().filter(|record| is_kind(record));
                records.for_each(|record| catalog.apply(*id, record));
            }
        }
        catalog
    }

    /// Takes over what `segment` says. Bundles must come before tombstones that end
    /// their stay, and before marks.
    pub fn apply(&mut self, segment: SegmentId, record: &Record) {
        match *record {
            Record::Bundle(placed) => self.insert(segment, placed),
            Record::Tombstone { order, key } => self.end(segment, order, key),
            Record::Mark(mark) => self.mark(segment, mark),
        }
    }

    /// A bundle's record lies in `segment`; an older copy is stale now.
    fn insert(&mut self, segment: SegmentId, placed: Placed) {
        let order = placed.order;
        let bytes = placed.record_bytes();
        let here = self.segment_mut(segment);
        here.orders.push(order);
        here.needed += bytes;
        match self.slots.insert(order, Slot { segment, placed }) {
            Some(old) => {
                self.segment_mut(old.segment).needed -= bytes;
                self.stale.entry(order).or_default().push(old.segment);
            }
            None => {
                self.usage.live_bytes += bytes;
                self.usage.bundles += 1;
                self.name(placed);
            }
        }
    }

    /// Gives a new bundle its name. Two stays of one name are live only if a
    /// tombstone was lost to damage: the later one counts.
    fn name(&mut self, placed: Placed) {
        match self.keys.get(&placed.key) {
            Some(&other) if other > placed.order => self.forget(placed.order),
            Some(&other) => {
                self.forget(other);
                self.keys.insert(placed.key, placed.order);
            }
            None => {
                self.keys.insert(placed.key, placed.order);
            }
        }
    }

    /// A tombstone lies in `segment`: the stay has ended.
    fn end(&mut self, segment: SegmentId, order: Order, key: BundleKey) {
        self.segment_mut(segment).tombstones.push(order);
        if self.slots.get(&order).is_some_and(|slot| slot.placed.key == key) {
            self.forget(order);
        }
        if !self.stale.contains_key(&order) {
            return;
        }
        let tombstone = Tombstone { segment, key, is_counted: false };
        if let Some(old) = self.tombstones.insert(order, tombstone)
            && old.is_counted
        {
            self.segment_mut(old.segment).needed -= HEAD_BYTES as u64;
        }
        self.count_tombstone(order);
    }

    /// A bundle is not live any more.
    fn forget(&mut self, order: Order) {
        let Some(Slot { segment, placed }) = self.slots.remove(&order) else { return };
        let bytes = placed.record_bytes();
        let here = self.segment_mut(segment);
        here.needed -= bytes;
        here.is_stuck = false;
        self.usage.live_bytes -= bytes;
        self.usage.bundles -= 1;
        self.stale.entry(order).or_default().push(segment);
        if self.keys.get(&placed.key) == Some(&order) {
            self.keys.remove(&placed.key);
        }
        for mark in self.marks_of(order).collect::<Vec<_>>() {
            if let Some(Some(segment)) = self.marks.remove(&mark) {
                self.segment_mut(segment).needed -= MARK_BYTES as u64;
                self.usage.live_bytes -= MARK_BYTES as u64;
            }
        }
    }

    /// Counts a tombstone as needed if another segment has a copy of its bundle.
    fn count_tombstone(&mut self, order: Order) {
        let Some(tombstone) = self.tombstones.get_mut(&order) else { return };
        let copies = self.stale.get(&order).map_or(&[][..], Vec::as_slice);
        let is_needed = copies.iter().any(|&copy| copy != tombstone.segment);
        if is_needed == tombstone.is_counted {
            return;
        }
        tombstone.is_counted = is_needed;
        let segment = tombstone.segment;
        let needed = &mut self.segment_mut(segment).needed;
        *needed = if is_needed { *needed + HEAD_BYTES as u64 } else { *needed - HEAD_BYTES as u64 };
    }

    /// Takes a mark that is not written yet; says whether it is a new one.
    pub fn note(&mut self, key: &BundleKey, neighbour: u128) -> Option<Mark> {
        let mark = Mark { order: *self.keys.get(key)?, neighbour };
        if self.marks.contains_key(&mark) {
            return None;
        }
        self.marks.insert(mark, None);
        Some(mark)
    }

    /// A mark is written in `segment`.
    fn mark(&mut self, segment: SegmentId, mark: Mark) {
        self.segment_mut(segment).marks.push(mark);
        if !self.slots.contains_key(&mark.order) {
            return;
        }
        self.segment_mut(segment).needed += MARK_BYTES as u64;
        self.usage.live_bytes += MARK_BYTES as u64;
        if let Some(Some(old)) = self.marks.insert(mark, Some(segment)) {
            self.segment_mut(old).needed -= MARK_BYTES as u64;
            self.usage.live_bytes -= MARK_BYTES as u64;
        }
    }

    /// A segment is gone for good, with nothing in it that was needed.
    pub fn remove_segment(&mut self, id: SegmentId) {
        let segment = self.segments.remove(&id).expect("it is removed once");
        self.usage.total_bytes -= segment.len + segment.index_bytes;
        for order in segment.orders {
            debug_assert!(self.live_in(order, id).is_none(), "live bundles were copied");
            let Some(copies) = self.stale.get_mut(&order) else { continue };
            copies.retain(|&copy| copy != id);
            if copies.is_empty() {
                self.stale.remove(&order);
            }
            self.settle_tombstone(order, id);
        }
        for order in segment.tombstones {
            self.settle_tombstone(order, id);
        }
    }

    /// After segment `gone` was removed: forgets a tombstone that was in it, or
    /// whose bundle has no copy left.
    fn settle_tombstone(&mut self, order: Order, gone: SegmentId) {
        let Some(tombstone) = self.tombstones.get(&order) else { return };
        if tombstone.segment == gone {
            self.tombstones.remove(&order);
            return;
        }
        self.count_tombstone(order);
        if !self.stale.contains_key(&order) {
            self.tombstones.remove(&order);
        }
    }

    /// Checks all sums against what they sum up.
    #[cfg(test)]
    pub fn check(&self) {
        let mut needed: BTreeMap<_, u64> = self.segments.keys().map(|&id| (id, 0)).collect();
        let mut add = |id: &SegmentId, bytes| *needed.get_mut(id).expect("known") += bytes;
        for (order, slot) in &self.slots {
            add(&slot.segment, slot.placed.record_bytes());
            assert_eq!(self.keys.get(&slot.placed.key), Some(order));
        }
        assert_eq!(self.keys.len(), self.slots.len());
        let live: u64 = self.slots.values().map(|slot| slot.placed.record_bytes()).sum();
        let mut marks = 0;
        for (mark, segment) in &self.marks {
            assert!(self.slots.contains_key(&mark.order), "a mark of a live bundle");
            segment.iter().for_each(|segment| add(segment, MARK_BYTES as u64));
            marks += segment.iter().count() as u64 * MARK_BYTES as u64;
        }
        for (order, tombstone) in &self.tombstones {
            assert!(!self.slots.contains_key(order) && self.stale.contains_key(order));
            let elsewhere = self.stale[order].iter().any(|&copy| copy != tombstone.segment);
            assert_eq!(tombstone.is_counted, elsewhere);
            add(&tombstone.segment, if elsewhere { HEAD_BYTES as u64 } else { 0 });
        }
        let counted = self.segments.iter().map(|(&id, segment)| (id, segment.needed));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), needed);
        let total = self.segments.values().map(|segment| segment.len + segment.index_bytes).sum();
        let bundles = self.slots.len() as u64;
        let usage = Usage { live_bytes: live + marks, total_bytes: total, bundles };
        assert_eq!(self.usage, usage);
    }
}

#[cfg(test)]
mod tests {
    use longhaul_dtn::time::Timestamp;

    use super::*;

    const BODY: u64 = 100;
    const RECORD: u64 = BODY + HEAD_BYTES as u64;

    fn key(number: u8) -> BundleKey {
        BundleKey::from_bytes([number; 32])
    }

    fn bundle(order: u64, number: u8) -> Record {
        let (key, expires) = (key(number), Timestamp::from_dtn_ms(0));
        Record::Bundle(Placed { order: Order(order), key, expires, offset: 32, len: BODY })
    }

    fn tombstone(order: u64, number: u8) -> Record {
        Record::Tombstone { order: Order(order), key: key(number) }
    }

    fn mark(order: u64, neighbour: u128) -> Record {
        Record::Mark(Mark { order: Order(order), neighbour })
    }

    fn catalog(segments: &[&[Record]]) -> Catalog {
        let numbered = segments.iter().zip(1..).map(|(records, id)| {
            (SegmentId(id), Segment::new(Form::Log, Salt(0), 1_000), *records)
        });
        let catalog = Catalog::of(numbered.collect());
        catalog.check();
        catalog
    }

    fn needed(catalog: &Catalog) -> Vec<u64> {
        catalog.segments().values().map(|segment| segment.needed).collect()
    }

    fn live(catalog: &Catalog) -> Vec<u64> {
        catalog.entries().map(|(_, entry)| entry.order).collect()
    }

    #[test]
    fn a_later_copy_takes_the_place_of_an_earlier_one() {
        let mut catalog = catalog(&[&[bundle(5, 1)], &[bundle(5, 1)]]);
        assert_eq!((live(&catalog), needed(&catalog)), (vec![5], vec![0, RECORD]));
        catalog.remove_segment(SegmentId(1));
        catalog.check();
        assert_eq!((live(&catalog), catalog.usage().total_bytes), (vec![5], 1_000));
    }

    #[test]
    fn a_tombstone_ends_a_stay_whatever_lies_where() {
        let orders = [
            [&[bundle(5, 1)][..], &[bundle(5, 1)], &[tombstone(5, 1)]],
            [&[tombstone(5, 1)], &[bundle(5, 1)], &[bundle(5, 1)]],
            [&[bundle(5, 1)], &[tombstone(5, 1)], &[bundle(5, 1)]],
        ];
        for segments in orders {
            let catalog = catalog(&segments);
            assert!(live(&catalog).is_empty());
            assert_eq!(catalog.usage().live_bytes, 0);
        }
    }

    #[test]
    fn a_tombstone_is_needed_until_the_last_copy_is_gone() {
        let mut catalog = catalog(&[&[bundle(5, 1)], &[bundle(5, 1)], &[tombstone(5, 1)]]);
        assert_eq!(catalog.needed_tombstone(Order(5), SegmentId(3)), Some(key(1)));
        for id in [1, 2] {
            assert_eq!(needed(&catalog).last(), Some(&(HEAD_BYTES as u64)));
            catalog.remove_segment(SegmentId(id));
            catalog.check();
        }
        assert_eq!(needed(&catalog), [0]);
        assert_eq!(catalog.needed_tombstone(Order(5), SegmentId(3)), None);
    }

    #[test]
    fn a_tombstone_beside_its_bundle_goes_with_it() {
        let mut catalog = catalog(&[&[bundle(5, 1), tombstone(5, 1)]]);
        assert_eq!(needed(&catalog), [0]);
        catalog.remove_segment(SegmentId(1));
        catalog.check();
        assert_eq!(catalog.usage(), Usage::default());
    }

    #[test]
    fn a_tombstone_of_nothing_is_not_needed() {
        assert_eq!(needed(&catalog(&[&[tombstone(5, 1)]])), [0]);
    }

    #[test]
    fn a_copied_tombstone_is_needed_once() {
        let catalog = catalog(&[&[bundle(5, 1)], &[tombstone(5, 1)], &[tombstone(5, 1)]]);
        assert_eq!(needed(&catalog), [0, 0, HEAD_BYTES as u64]);
    }

    #[test]
    fn a_tombstone_of_another_name_ends_nothing() {
        assert_eq!(live(&catalog(&[&[bundle(5, 1), tombstone(5, 2)]])), [5]);
    }

    #[test]
    fn a_bundle_that_comes_again_is_another_stay() {
        let catalog = catalog(&[&[bundle(5, 1), tombstone(5, 1)], &[bundle(9, 1)]]);
        assert_eq!(live(&catalog), [9]);
        assert_eq!(catalog.last_order(), Some(Order(9)));
    }

    #[test]
    fn of_two_stays_whose_tombstone_was_lost_the_later_counts() {
        for segments in [[[bundle(5, 1)], [bundle(9, 1)]], [[bundle(9, 1)], [bundle(5, 1)]]] {
            let catalog = catalog(&[&segments[0], &segments[1]]);
            assert_eq!((live(&catalog), catalog.usage().bundles), (vec![9], 1));
        }
    }

    #[test]
    fn marks_go_with_their_bundle() {
        let marked = [bundle(5, 1), mark(5, 2), mark(5, 7), mark(6, 7)];
        let mut catalog = catalog(&[&marked, &[mark(5, 2)]]);
        assert!(catalog.noted(&key(1)).eq([2, 7]));
        assert_eq!(needed(&catalog), [RECORD + 24, 24]);
        assert_eq!(catalog.usage().live_bytes, RECORD + 48);
        catalog.apply(SegmentId(2), &tombstone(5, 1));
        catalog.check();
        assert_eq!((catalog.noted(&key(1)).count(), catalog.usage().live_bytes), (0, 0));
    }

    #[test]
    fn a_mark_is_noted_once() {
        let mut catalog = catalog(&[&[bundle(5, 1)]]);
        let noted = Mark { order: Order(5), neighbour: 3 };
        assert_eq!(catalog.note(&key(1), 3), Some(noted));
        assert_eq!(catalog.note(&key(1), 3), None);
        assert_eq!(catalog.note(&key(2), 3), None);
        assert!(catalog.has_mark(&noted, None));
        catalog.check();
    }
}
