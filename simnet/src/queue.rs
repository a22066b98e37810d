//! The event heap, keyed by (time, sequence number).
//!
//! Events of one moment come out in the order in which they went in. That one
//! rule is the whole schedule: there is no other source of order in a run.
//!
//! The heap holds keys of 24 bytes; events wait beside it and do not move when
//! the heap sifts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::clock::SimTime;

/// What is to happen, in order of time.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Entry>,
    next_sequence: u64,
    /// The events of the heap's entries, by place.
    events: Vec<Option<E>>,
    /// Places without an event.
    free: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: SimTime,
    sequence: u64,
    place: usize,
}

impl<E> EventQueue<E> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), next_sequence: 0, events: Vec::new(), free: Vec::new() }
    }

    /// Schedules `event` for `at`, behind everything scheduled for it already.
    pub fn push(&mut self, at: SimTime, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.heap.push(Entry { at, sequence: self.next_sequence, place });
        self.next_sequence += 1;
    }

    /// When the earliest event is due.
    pub fn next_at(&self) -> Option<SimTime> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the earliest event.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let entry = self.heap.pop()?;
        self.free.push(entry.place);
        let event = self.events[entry.place].take().expect("an entry of the heap has an event");
        Some((entry.at, event))
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl Ord for Entry {
    /// Reversed: the heap is a max-heap and the earliest must come first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(queue: &mut EventQueue<usize>) -> Vec<(SimTime, usize)> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn one_moment_keeps_the_order_of_insertion() {
        let mut queue = EventQueue::new();
        for event in 0..100 {
            queue.push(SimTime::from_us(5), event);
        }
        queue.push(SimTime::ZERO, 100);
        let order: Vec<_> = drain(&mut queue).into_iter().map(|(_, event)| event).collect();
        assert_eq!(order[0], 100);
        assert!(order[1..].is_sorted());
    }

    proptest! {
        #[test]
        fn comes_out_as_a_stable_sort(times in prop::collection::vec(0_u64..8, 0..64)) {
            let mut queue = EventQueue::new();
            let mut expected = Vec::new();
            for (event, &us) in times.iter().enumerate() {
                queue.push(SimTime::from_us(us), event);
                expected.push((SimTime::from_us(us), event));
            }
            expected.sort_by_key(|&(at, _)| at);
            prop_assert_eq!(drain(&mut queue), expected);
        }
    }
}
