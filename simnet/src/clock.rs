//! Virtual time: microseconds since the federation's start.
//!
//! The peers see milliseconds (their [`Timestamp`]); the engine counts finer,
//! so that the order of frames on a fast link is the order of their arrival.

use longhaul_dtn::time::Timestamp;

/// Where every simulated federation starts: 2025-01-01 in DTN milliseconds.
const START_DTN_MS: u64 = 789_004_800_000;
const US_PER_MS: u64 = 1_000;

/// A point of virtual time in microseconds since the federation's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SimTime(u64);

impl SimTime {
    /// The federation's start.
    pub const ZERO: Self = Self(0);

    /// A point `us` microseconds after the start.
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// A point `ms` milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(US_PER_MS))
    }

    /// The moment at which a peer sees `timestamp` first.
    pub const fn of(timestamp: Timestamp) -> Self {
        Self::from_ms(timestamp.dtn_ms().saturating_sub(START_DTN_MS))
    }

    /// Microseconds since the start.
    pub const fn us(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn ms(self) -> u64 {
        self.0 / US_PER_MS
    }

    /// The point `us` microseconds later.
    pub const fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// The point `ms` milliseconds later.
    pub const fn plus_ms(self, ms: u64) -> Self {
        self.plus_us(ms.saturating_mul(US_PER_MS))
    }

    /// The first whole millisecond after this point.
    pub const fn next_ms(self) -> Self {
        Self::from_ms(self.ms().saturating_add(1))
    }

    /// What a peer's clock shows.
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_dtn_ms(START_DTN_MS.saturating_add(self.ms()))
    }
}

/// A peer's own clock: off by a constant, by a drift and by the steps it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerClock {
    /// What it shows more than the true time at the start, in microseconds.
    pub offset_us: i64,
    /// How much faster it runs, in parts per million.
    pub drift_ppm: i32,
}

/// Parts per million in one.
const PPM_ONE: i128 = 1_000_000;

impl PeerClock {
    /// What the clock shows at `now`; the federation's start at the earliest.
    pub fn shows(&self, now: SimTime) -> SimTime {
        if *self == Self::default() {
            return now;
        }
        let true_us = i128::from(now.us());
        let shown = true_us
            + i128::from(self.offset_us)
            + (true_us * i128::from(self.drift_ppm)).div_euclid(PPM_ONE);
        SimTime::from_us(u64::try_from(shown.max(0)).unwrap_or(u64::MAX))
    }

    /// The first moment at which the clock shows `shown` or more.
    pub fn reaches(&self, shown: SimTime) -> SimTime {
        if *self == Self::default() {
            return shown;
        }
        let gone = i128::from(shown.us()) - i128::from(self.offset_us);
        let rate = PPM_ONE + i128::from(self.drift_ppm);
        let true_us = -((-gone * PPM_ONE).div_euclid(rate));
        SimTime::from_us(u64::try_from(true_us.max(0)).unwrap_or(u64::MAX))
    }

    /// Sets the clock ahead, or back when negative.
    pub const fn step(&mut self, ms: i64) {
        self.offset_us = self.offset_us.saturating_add(ms.saturating_mul(1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_sees_whole_milliseconds() {
        let late = SimTime::from_us(1_999);
        assert_eq!(late.timestamp(), SimTime::from_ms(1).timestamp());
        assert_eq!(SimTime::of(late.timestamp()), SimTime::from_ms(1));
    }

    #[test]
    fn the_next_millisecond_is_later() {
        assert_eq!(SimTime::from_us(1_000).next_ms(), SimTime::from_ms(2));
        assert_eq!(SimTime::from_us(1_001).next_ms(), SimTime::from_ms(2));
    }

    proptest::proptest! {
        #[test]
        fn a_clock_reaches_what_it_shows(
            offset_us in -10_000_000_i64..10_000_000,
            drift_ppm in -500_i32..500,
            at_us in 20_000_000_u64..1_000_000_000_000,
        ) {
            let clock = PeerClock { offset_us, drift_ppm };
            let at = SimTime::from_us(at_us);
            let reached = clock.reaches(clock.shows(at));
            proptest::prop_assert!(clock.shows(reached) >= clock.shows(at));
            proptest::prop_assert!(reached <= at);
        }
    }

    #[test]
    fn a_step_moves_the_clock_for_good() {
        let mut clock = PeerClock::default();
        clock.step(-5);
        assert_eq!(clock.shows(SimTime::from_ms(10)), SimTime::from_ms(5));
        assert_eq!(clock.reaches(SimTime::from_ms(5)), SimTime::from_ms(10));
    }

    #[test]
    fn times_before_the_start_clamp_to_it() {
        assert_eq!(SimTime::of(Timestamp::from_dtn_ms(1)), SimTime::ZERO);
    }
}
