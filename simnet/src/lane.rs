//! A lane: one direction of a link, or a disk, as a queue with a rate.
//!
//! Frames leave one after another at the lane's rate and arrive one latency
//! after the last byte has left, so a lane never reorders.

use crate::clock::SimTime;

const US_PER_SECOND: u64 = 1_000_000;

/// Latency and rate of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneModel {
    /// From the last byte's departure to its arrival, in microseconds.
    pub latency_us: u64,
    /// Bytes per second; must not be zero.
    pub bytes_per_s: u64,
}

/// The queue of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lane {
    free_at: SimTime,
}

impl LaneModel {
    /// How long `size_bytes` occupy the lane, in microseconds, rounded up.
    pub fn serialisation_us(&self, size_bytes: u64) -> u64 {
        assert!(self.bytes_per_s > 0, "a lane has a rate");
        size_bytes.saturating_mul(US_PER_SECOND).div_ceil(self.bytes_per_s)
    }
}

impl Lane {
    /// A lane that nothing waits for.
    pub const fn idle() -> Self {
        Self { free_at: SimTime::ZERO }
    }

    /// Queues `size_bytes` at `now`; says when the last of them has arrived.
    pub fn send(&mut self, model: &LaneModel, now: SimTime, size_bytes: u64) -> SimTime {
        let leaves = now.max(self.free_at).plus_us(model.serialisation_us(size_bytes));
        self.free_at = leaves;
        leaves.plus_us(model.latency_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODEL: LaneModel = LaneModel { latency_us: 20_000, bytes_per_s: 1_000_000 };

    #[test]
    fn adds_serialisation_and_latency() {
        for (size_bytes, arrival_us) in [(0, 20_000), (1, 20_001), (1_000, 21_000)] {
            let arrives = Lane::default().send(&MODEL, SimTime::ZERO, size_bytes);
            assert_eq!(arrives, SimTime::from_us(arrival_us), "{size_bytes} bytes");
        }
    }

    #[test]
    fn a_frame_waits_for_the_one_before_it() {
        let mut lane = Lane::default();
        lane.send(&MODEL, SimTime::ZERO, 1_000);
        let second = lane.send(&MODEL, SimTime::from_us(400), 1_000);
        assert_eq!(second, SimTime::from_us(22_000));
        let idle = lane.send(&MODEL, SimTime::from_us(50_000), 1_000);
        assert_eq!(idle, SimTime::from_us(71_000));
    }

    #[test]
    fn serialisation_rounds_up() {
        let slow = LaneModel { latency_us: 0, bytes_per_s: 3 };
        assert_eq!(slow.serialisation_us(1), 333_334);
        assert_eq!(slow.serialisation_us(3), US_PER_SECOND);
    }

    proptest! {
        #[test]
        fn never_reorders(frames in prop::collection::vec((0_u64..5_000, 0_u64..5_000), 1..40)) {
            let (mut lane, mut now, mut last) = (Lane::default(), SimTime::ZERO, SimTime::ZERO);
            for (gap_us, size_bytes) in frames {
                now = now.plus_us(gap_us);
                let arrives = lane.send(&MODEL, now, size_bytes);
                prop_assert!(arrives >= last && arrives >= now.plus_us(MODEL.latency_us));
                last = arrives;
            }
        }
    }
}
