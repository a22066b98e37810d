//! Compaction: getting space back, step by step.
//!
//! What is still needed of the segment with the least needed share is copied to the
//! open segment, group by group; each group is durable before the next. Then the segment
//! is removed and its removal made durable, and only then is a tombstone forgotten whose
//! bundle had its last copy there. A power loss at any point leaves copies, which
//! carry the same order and count once, or brings the segment back, where each record
//! is a copy or has a tombstone.

use std::borrow::Cow;
use std::io;

use super::catalog::{Form, Segment};
use super::error::{BundleStoreError, io_error};
use super::files::{FileKind, path};
use super::group::Item;
use super::record::{HEAD_BYTES, MARK_BYTES};
use super::types::{Compacted, Mark, Order, SegmentId};
use super::{BundleStore, Placed, aside};

/// Of closed segments, the bytes not needed may be this part of those needed (a seventh):
/// with heads and indexes that is under 1.3 times the bundles from 1 KiB on.
const GARBAGE_PART_MAX: u64 = 7;

/// The segment that is being compacted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Victim {
    id: SegmentId,
    /// How much of its bundles, tombstones and marks, in this order, was looked at.
    done: usize,
}

/// Something of a segment that is needed.
enum Needed {
    Bundle(Placed),
    Tombstone(Item<'static>),
    Mark(Mark),
}

impl BundleStore {
    /// Does a part of the work that brings the space on the disk down to what live bundles need
    /// and a seventh more, indexes and the open segment aside; copies at most `bytes_max`
    /// bytes, or one record. Safe at any time; costs nothing when nothing is to be done.
    pub fn compact_step(&mut self, bytes_max: u64) -> Result<Compacted, BundleStoreError> {
        if self.stopped {
            return Err(BundleStoreError::Stopped);
        }
        let Some(victim) = self.victim.or_else(|| self.choose_victim()) else {
            return Ok(Compacted { is_done: true, ..Compacted::default() });
        };
        self.victim = Some(victim);
        let (items, copied_bytes, next) = self.collect(victim, bytes_max)?;
        if !items.is_empty() {
            self.commit_with_marks(items)?;
        }
        self.victim = Some(next);
        let mut freed_bytes = 0;
        if next.done == listed(self.catalog.segment(next.id)) {
            let before = self.catalog.usage().total_bytes;
            self.remove_segment(next.id)?;
            freed_bytes = before - self.catalog.usage().total_bytes;
        }
        let is_done = self.victim.is_none() && self.choose_victim().is_none();
        Ok(Compacted { copied_bytes, freed_bytes, is_done })
    }

    /// The segment that is worth compacting most, if one is.
    fn choose_victim(&mut self) -> Option<Victim> {
        let found = self.find_victim();
        if found.is_some() || !self.open_is_mostly_garbage() {
            return found;
        }
        self.close_segment();
        self.find_victim()
    }

    fn find_victim(&self) -> Option<Victim> {
        let open = self.open.as_ref().map(|open| open.head.id);
        let closed = self.catalog.segments().iter();
        let closed = closed.filter(|&(&id, segment)| Some(id) != open && !segment.is_stuck);
        let (mut len, mut needed) = (0, 0);
        let mut least: Option<(SegmentId, &Segment)> = None;
        for (&id, segment) in closed {
            if segment.needed == 0 {
                return Some(Victim { id, done: 0 });
            }
            if segment.form == Form::Log {
                len += segment.len;
                needed += segment.needed;
                if least.is_none_or(|(_, least)| share(segment, least) < share(least, segment)) {
                    least = Some((id, segment));
                }
            }
        }
        let is_worth_it = len.saturating_sub(needed) > needed / GARBAGE_PART_MAX;
        least.filter(|_| is_worth_it).map(|(id, _)| Victim { id, done: 0 })
    }

    /// Whether the open segment is large and more than half of it is not needed.
    fn open_is_mostly_garbage(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let segment = self.catalog.segment(open.head.id);
            segment.len > self.limits.segment_bytes / 4 && segment.needed < segment.len / 2
        })
    }

    /// The next records of the victim that are needed, their bytes, and how far that goes.
    fn collect(
        &mut self,
        victim: Victim,
        bytes_max: u64,
    ) -> Result<(Vec<Item<'static>>, u64, Victim), BundleStoreError> {
        let (mut items, mut marks, mut bytes) = (Vec::new(), Vec::new(), 0);
        let count = listed(self.catalog.segment(victim.id));
        let mut done = victim.done;
        while done < count {
            let needed = self.needed(victim.id, done);
            let size = match &needed {
                None => 0,
                Some(Needed::Bundle(placed)) => placed.record_bytes(),
                Some(Needed::Tombstone(_)) => HEAD_BYTES as u64,
                Some(Needed::Mark(_)) => MARK_BYTES as u64,
            };
            if bytes > 0 && bytes + size > bytes_max {
                break;
            }
            match needed {
                None => {}
                Some(Needed::Bundle(placed)) => items.push(self.copy(victim.id, &placed)?),
                Some(Needed::Tombstone(item)) => items.push(item),
                Some(Needed::Mark(mark)) => marks.push(mark),
            }
            (bytes, done) = (bytes + size, done + 1);
        }
        items.extend(self.mark_items(&marks));
        Ok((items, bytes, Victim { done, ..victim }))
    }

    /// What stands at a place of the victim's lists, if it is needed.
    fn needed(&self, id: SegmentId, at: usize) -> Option<Needed> {
        let segment = self.catalog.segment(id);
        let Some(at) = at.checked_sub(segment.orders.len()) else {
            let slot = self.catalog.live_in(segment.orders[at], id)?;
            return Some(Needed::Bundle(slot.placed));
        };
        let Some(at) = at.checked_sub(segment.tombstones.len()) else {
            let order: Order = segment.tombstones[at];
            let key = self.catalog.needed_tombstone(order, id)?;
            return Some(Needed::Tombstone(Item::Tombstone { order, key }));
        };
        let mark = segment.marks[at];
        self.catalog.has_mark(&mark, Some(id)).then_some(Needed::Mark(mark))
    }

    /// Reads a bundle in order to write it again. If it is damaged, its segment
    /// waits until it is deleted.
    fn copy(&mut self, id: SegmentId, placed: &Placed) -> Result<Item<'static>, BundleStoreError> {
        let Placed { order, key, expires, .. } = *placed;
        let slot = *self.catalog.live_in(order, id).expect("it was looked up just now");
        match self.read_whole(&slot) {
            Ok(bytes) => Ok(Item::Bundle { order, key, expires, bytes: Cow::Owned(bytes) }),
            Err(error) => {
                if matches!(error, BundleStoreError::Damaged(_)) {
                    self.catalog.set_stuck(id);
                }
                self.victim = None;
                Err(error)
            }
        }
    }

    /// Removes a segment of which nothing is needed, durably; one with damage is
    /// kept aside.
    fn remove_segment(&mut self, id: SegmentId) -> Result<(), BundleStoreError> {
        let file = self.path_of(id);
        let index = path(&self.dir, id, FileKind::Index);
        absent_is_fine(self.disk.remove(&index)).map_err(io_error("remove", &index))?;
        if self.catalog.segment(id).has_damage {
            let moved = aside::move_file(&mut *self.disk, &self.dir, &file);
            if let Err(error) = moved {
                // It may have moved: nothing is lost by leaving it where it is.
                self.catalog.set_stuck(id);
                self.victim = None;
                return Err(error);
            }
        } else {
            absent_is_fine(self.disk.remove(&file)).map_err(io_error("remove", &file))?;
        }
        if let Err(error) = self.disk.sync_dir(&self.dir) {
            self.stopped = true;
            return Err(io_error("sync", &self.dir)(error));
        }
        self.catalog.remove_segment(id);
        self.victim = None;
        Ok(())
    }
}

/// An earlier try may have removed the file before it failed.
fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// How many bundles, tombstones and marks a segment has.
fn listed(segment: &Segment) -> usize {
    segment.orders.len() + segment.tombstones.len() + segment.marks.len()
}

/// The needed share of `one`, on a common denominator with `other`.
fn share(one: &Segment, other: &Segment) -> u128 {
    u128::from(one.needed) * u128::from(other.len)
}
