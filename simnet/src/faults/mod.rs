//! Faults: what goes wrong in a run, and whether it ever did.
//!
//! The scenario's declarations become [`Blow`]s: one fault that begins or ends
//! at a time. Each fault counts how often it acted; one that was declared and
//! never acted fails the run, because such a run shows nothing.

mod partition;
mod select;

use serde::Serialize;

pub use partition::{Partitions, groups_by_peer};
pub use select::{hostile, select};

use crate::clock::SimTime;
use crate::scenario::{Scenario, Timing};
use crate::seeds::{self, Node, Purpose};

/// Which table of the scenario a fault stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `faults.partition`
    Partition = 1,
    /// `faults.crash`
    Crash = 2,
    /// `faults.clock`
    Clock = 3,
    /// `faults.clog`
    Clog = 4,
    /// A group's `churn`; the index is the group's.
    Churn = 5,
}

/// A fault begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blow {
    /// When.
    pub at: SimTime,
    /// In which table the fault stands.
    pub kind: FaultKind,
    /// Its place there.
    pub index: u16,
    /// How many times it has begun before.
    pub round: u16,
    /// Whether it begins.
    pub on: bool,
}

/// A stretch of time in which a fault acted, for reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultSpan {
    /// In which table the fault stands.
    pub kind: FaultKind,
    /// Its place there.
    pub index: u16,
    /// When it began, in epochs.
    pub from_epoch: f64,
    /// When it ended, in epochs.
    pub to_epoch: f64,
}

/// How often one fault did anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// Its table and place, as in the scenario: `faults.crash[0]`.
    pub name: String,
    /// What it did, in words.
    pub did: &'static str,
    /// How often.
    pub count: u64,
}

/// All that goes wrong, in no promised order.
pub fn blows(scenario: &Scenario) -> Vec<Blow> {
    let mut blows = Vec::new();
    let faults = &scenario.faults;
    let timings = |kind, timings: Vec<Timing>| (kind, timings);
    let declared = [
        timings(FaultKind::Partition, faults.partition.iter().map(|it| it.timing()).collect()),
        timings(FaultKind::Crash, faults.crash.iter().map(|it| it.timing()).collect()),
        timings(FaultKind::Clock, faults.clock.iter().map(|it| it.timing()).collect()),
        timings(FaultKind::Clog, faults.clog.iter().map(|it| it.timing()).collect()),
    ];
    for (kind, timings) in declared {
        for (index, timing) in (0..).zip(timings) {
            for (round, (from, to)) in (0..).zip(timing.spans(scenario.epochs.get())) {
                for (epoch, on) in [(from, true), (to, false)] {
                    let at = at_epoch(scenario, epoch);
                    blows.push(Blow { at, kind, index, round, on });
                }
            }
        }
    }
    blows
}

/// The stretches in which the scenario's faults act, churn left out.
pub fn spans(scenario: &Scenario) -> Vec<FaultSpan> {
    let mut open = std::collections::BTreeMap::new();
    let mut spans = Vec::new();
    let epoch = |at: SimTime| at.us() as f64 / scenario.epoch_us() as f64;
    for blow in blows(scenario) {
        let key = (blow.kind, blow.index, blow.round);
        if blow.on {
            open.insert(key, epoch(blow.at));
        } else if let Some(from_epoch) = open.remove(&key) {
            let (kind, index) = (blow.kind, blow.index);
            spans.push(FaultSpan { kind, index, from_epoch, to_epoch: epoch(blow.at) });
        }
    }
    spans
}

/// When the peers of a group with churn go down and come up, in epochs.
pub fn churn(scenario: &Scenario, peer: u16, up_mean: f64, down_mean: f64) -> Vec<(f64, f64)> {
    let mut stream = seeds::stream(scenario.seed, Node::Peer(peer), Purpose::Faults);
    let last = f64::from(scenario.epochs.get());
    let mut spans = Vec::new();
    let mut now = 0.0;
    loop {
        let down = now + seeds::exponential(&mut stream, up_mean);
        let up = down + seeds::exponential(&mut stream, down_mean);
        if down >= last {
            return spans;
        }
        spans.push((down, up));
        now = up;
    }
}

/// The point of time `epoch` epochs after the start, on a grid of a microsecond.
pub fn at_epoch(scenario: &Scenario, epoch: f64) -> SimTime {
    SimTime::from_us((epoch * scenario.epoch_us() as f64).round() as u64)
}
