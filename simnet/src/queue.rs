//! The event heap, keyed by (time, sequence number).
//!
//! Events of one moment come out in the order in which they went in. That one
//! rule is the whole schedule: there is no other source of order in a run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::clock::SimTime;

/// What is to happen, in order of time.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Entry<E>>,
    next_sequence: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: SimTime,
    sequence: u64,
    event: E,
}

impl<E> EventQueue<E> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), next_sequence: 0 }
    }

    /// Schedules `event` for `at`, behind everything scheduled for it already.
    pub fn push(&mut self, at: SimTime, event: E) {
        self.heap.push(Entry { at, sequence: self.next_sequence, event });
        self.next_sequence += 1;
    }

    /// When the earliest event is due.
    pub fn next_at(&self) -> Option<SimTime> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the earliest event.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Ord for Entry<E> {
    /// Reversed: the heap is a max-heap and the earliest must come first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Entry<E> {}

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
