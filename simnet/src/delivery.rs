//! Delivery: how long updates take from their author to everybody else.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::SimTime;

/// Bins per factor of ten of the delay histogram.
const BINS_PER_DECADE: usize = 20;
/// From a millisecond to 10^9 milliseconds (some 11 days).
const BINS: usize = 9 * BINS_PER_DECADE + 1;
/// Staleness is counted up to this many epochs; the last bin holds the rest.
const STALENESS_MAX: usize = 256;

/// Published updates and how they reached others.
#[derive(Debug)]
pub struct Deliveries {
    published: BTreeMap<(u16, u32), SimTime>,
    /// Upper ends of the bins in seconds, ascending.
    ends_s: Vec<f64>,
    delays: Vec<u64>,
    staleness: Vec<u64>,
    delivered: u64,
}

/// What the report shows of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryReport {
    /// Updates published.
    pub published: u64,
    /// Deliveries made: one for each update at each other peer.
    pub delivered: u64,
    /// Deliveries that could be made.
    pub possible: u64,
    /// Delays as (upper end in seconds, count), ascending, empty bins left out.
    pub delays: Vec<(f64, u64)>,
    /// Deliveries by epochs between the update's and the receiver's, from zero.
    pub staleness: Vec<u64>,
}

impl Deliveries {
    /// Nothing published.
    pub fn new() -> Self {
        Self {
            published: BTreeMap::new(),
            ends_s: (0..BINS).map(upper_end_s).collect(),
            delays: vec![0; BINS],
            staleness: vec![0; STALENESS_MAX],
            delivered: 0,
        }
    }

    /// `author` (a member index) put out its update of `epoch`.
    pub fn published(&mut self, now: SimTime, author: u16, epoch: u32) {
        self.published.entry((author, epoch)).or_insert(now);
    }

    /// Somebody else accepted it in `epoch_now`; says after how many microseconds.
    pub fn accepted(&mut self, now: SimTime, author: u16, epoch: u32, epoch_now: u32) -> u64 {
        let Some(since) = self.published.get(&(author, epoch)) else { return 0 };
        let delay_us = now.us().saturating_sub(since.us());
        self.delays[bin(&self.ends_s, delay_us)] += 1;
        let stale = usize::try_from(epoch_now.saturating_sub(epoch)).unwrap_or(usize::MAX);
        self.staleness[stale.min(STALENESS_MAX - 1)] += 1;
        self.delivered += 1;
        delay_us
    }

    /// The figures, for a run of `peers`.
    pub fn report(&self, peers: u16) -> DeliveryReport {
        let published = self.published.len() as u64;
        let filled = self.delays.iter().enumerate().filter(|(_, count)| **count > 0);
        let last = self.staleness.iter().rposition(|&count| count > 0).map_or(0, |at| at + 1);
        DeliveryReport {
            published,
            delivered: self.delivered,
            possible: published * (u64::from(peers) - 1),
            delays: filled.map(|(bin, &count)| (self.ends_s[bin], count)).collect(),
            staleness: self.staleness[..last].to_vec(),
        }
    }
}

impl DeliveryReport {
    /// Share of the possible deliveries that were made; 1 of none.
    pub fn share(&self) -> f64 {
        if self.possible == 0 { 1.0 } else { self.delivered as f64 / self.possible as f64 }
    }

    /// The delay in seconds within which this share of the possible deliveries was made;
    /// none if fewer were made before the end.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let wanted = (share * self.possible as f64).ceil() as u64;
        let mut seen = 0;
        let reached = self.delays.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        reached.map(|(upper_s, _)| *upper_s)
    }
}

/// The bin of a delay: the first whose upper end is not below it, or the last.
fn bin(ends_s: &[f64], delay_us: u64) -> usize {
    ends_s.partition_point(|end_s| end_s * 1e6 < delay_us as f64).min(BINS - 1)
}

/// Upper end of a bin in seconds.
fn upper_end_s(bin: usize) -> f64 {
    /// 10^(k/20) for k from 0 to 19, so that no libm decides a bin.
    const STEPS: [f64; BINS_PER_DECADE] = [
        1.0, 1.122, 1.259, 1.413, 1.585, 1.778, 1.995, 2.239, 2.512, 2.818, 3.162, 3.548, 3.981,
        4.467, 5.012, 5.623, 6.310, 7.079, 7.943, 8.913,
    ];
    let decade = (0..bin / BINS_PER_DECADE).fold(0.001, |value, _| value * 10.0);
    decade * STEPS[bin % BINS_PER_DECADE]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_delays_and_staleness() {
        let mut deliveries = Deliveries::new();
        deliveries.published(SimTime::from_ms(1_000), 3, 5);
        assert_eq!(deliveries.accepted(SimTime::from_ms(3_000), 3, 5, 5), 2_000_000);
        deliveries.accepted(SimTime::from_ms(101_000), 3, 5, 7);
        let report = deliveries.report(4);
        assert_eq!((report.published, report.delivered, report.possible), (1, 2, 3));
        assert_eq!(report.staleness, [1, 0, 1]);
        assert!((2.0..2.3).contains(&report.quantile_s(0.3).expect("a delay")));
        assert!((100.0..113.0).contains(&report.quantile_s(0.5).expect("a delay")));
        // One of three pairs was not delivered, so nobody knows how long it takes.
        assert_eq!(report.quantile_s(0.99), None);
        assert_eq!(Deliveries::new().report(4).quantile_s(0.5), None);
    }

    #[test]
    fn bins_ascend() {
        let ends: Vec<_> = (0..BINS).map(upper_end_s).collect();
        assert!(ends.is_sorted());
        let bin = |delay_us| bin(&ends, delay_us);
        assert_eq!((bin(0), bin(1_000), bin(u64::MAX)), (0, 0, BINS - 1));
    }

    #[test]
    fn an_unknown_update_counts_nothing() {
        let mut deliveries = Deliveries::new();
        deliveries.accepted(SimTime::ZERO, 1, 1, 1);
        assert_eq!(deliveries.report(2).delivered, 0);
    }
}
