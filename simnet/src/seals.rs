//! Seals over time: which honest peer went on from what and when, and whose own work
//! came too late.
//!
//! The engine notes it as it happens; the page of the run shows it epoch by epoch. What
//! was sealed, and whether two peers sealed different things, is the checks' business.

use std::collections::BTreeMap;

use longhaul_node::peer::Event;

use crate::clock::SimTime;
use crate::html::{HeldPoint, Seal, SealCount, SealPoint, Seals};
use crate::metrics::{Sample, Samples, mean};
use crate::scenario::Scenario;

const US_PER_S: f64 = 1e6;

/// What honest peers sealed in a run, in order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealLog {
    /// Honest peers.
    peers: u32,
    sealed: Vec<Closing>,
    late: Vec<Late>,
}

/// A peer that closed all epochs before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closing {
    at: SimTime,
    peer: u16,
    end: u32,
    adopted: bool,
}

/// An own update of `epoch` that no seal took in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Late {
    at: SimTime,
    epoch: u32,
}

impl SealLog {
    /// A log of a run with so many honest peers.
    pub const fn new(peers: u32) -> Self {
        Self { peers, sealed: Vec::new(), late: Vec::new() }
    }

    /// Notes what happened to an honest peer, if it is about seals.
    pub fn note(&mut self, at: SimTime, peer: u16, event: &Event) {
        match event {
            Event::Sealed { value, adopted, .. } => {
                let (end, adopted) = (value.end.get(), *adopted);
                self.sealed.push(Closing { at, peer, end, adopted });
            }
            Event::TooLate { epoch } => self.late.push(Late { at, epoch: epoch.get() }),
            _ => {}
        }
    }

    /// What the page shows of it; none if the scenario seals nothing.
    pub fn shown(&self, scenario: &Scenario, samples: &Samples) -> Option<Seals> {
        let policy = scenario.recipe.seal?;
        let epoch_of = |at: SimTime| at.us() / scenario.epoch_us();
        let adopted = self.sealed.iter().filter(|it| it.adopted);
        Some(Seals {
            window_epochs: policy.window_epochs,
            every_epochs: policy.every_epochs,
            peers: self.peers,
            seals: self.seals(),
            progress: self.progress(scenario),
            adopted: counted(adopted.map(|it| (epoch_of(it.at), it.at, it.end))),
            too_late: counted(self.late.iter().map(|it| (epoch_of(it.at), it.at, it.epoch))),
            held: held(scenario, samples),
        })
    }

    /// Each end with the moments at which the first peer and half of them had closed all
    /// epochs before it; whoever goes on from a later seal has passed the earlier ones.
    fn seals(&self) -> Vec<Seal> {
        let mut closed: BTreeMap<u32, BTreeMap<u16, SimTime>> = BTreeMap::new();
        for it in &self.sealed {
            closed.entry(it.end).or_default();
        }
        for it in &self.sealed {
            for (_, peers) in closed.range_mut(..=it.end) {
                peers.entry(it.peer).or_insert(it.at);
            }
        }
        let half = usize::try_from(self.peers.div_ceil(2)).unwrap_or(usize::MAX);
        let seal = |(end, peers): (u32, BTreeMap<u16, SimTime>)| {
            let mut moments: Vec<_> = peers.into_values().collect();
            moments.sort_unstable();
            let second = |at: &SimTime| at.us() as f64 / US_PER_S;
            Seal {
                end_epoch: end,
                first_s: moments.first().map_or(0.0, second),
                half_s: moments.get(half.saturating_sub(1)).map(second),
                peers: u32::try_from(moments.len()).unwrap_or(u32::MAX),
            }
        };
        closed.into_iter().map(seal).collect()
    }

    /// How far the median peer and the last one are at the end of each epoch.
    fn progress(&self, scenario: &Scenario) -> Vec<SealPoint> {
        let mut ends: BTreeMap<u16, u32> = BTreeMap::new();
        let mut next = self.sealed.iter().peekable();
        let mut points = Vec::new();
        for epoch in 0..scenario.epochs_total() {
            let until_us = u64::from(epoch + 1) * scenario.epoch_us();
            while let Some(it) = next.next_if(|it| it.at.us() < until_us) {
                let end = ends.entry(it.peer).or_default();
                *end = it.end.max(*end);
            }
            let mut sorted: Vec<_> = ends.values().copied().collect();
            // Whoever never sealed stands at zero.
            sorted.resize(usize::try_from(self.peers).unwrap_or_default().max(sorted.len()), 0);
            sorted.sort_unstable();
            let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
            points.push(SealPoint {
                at_s: until_us as f64 / US_PER_S,
                median: at(sorted.len().saturating_sub(1) / 2),
                least: at(0),
            });
        }
        points
    }
}

/// Joins what happened in one epoch of the clock to one epoch, at its first moment.
fn counted(happened: impl Iterator<Item = (u64, SimTime, u32)>) -> Vec<SealCount> {
    let mut counts: BTreeMap<(u64, u32), (SimTime, u32)> = BTreeMap::new();
    for (when, at, epoch) in happened {
        counts.entry((when, epoch)).or_insert((at, 0)).1 += 1;
    }
    let count = |((_, epoch), (at, count)): ((u64, u32), (SimTime, u32))| SealCount {
        at_s: at.us() as f64 / US_PER_S,
        epoch,
        count,
    };
    counts.into_iter().map(count).collect()
}

fn held(scenario: &Scenario, samples: &Samples) -> Vec<HeldPoint> {
    let point = |epoch: u32| {
        let of =
            |value: fn(&Sample) -> usize| samples.honest(epoch).map(move |it| value(it) as f64);
        HeldPoint {
            at_s: f64::from(epoch + 1) * scenario.epoch_us() as f64 / US_PER_S,
            updates_mean: mean(of(|it| it.updates)),
            held_mean: mean(of(|it| it.held)),
            held_max: of(|it| it.held).fold(0.0, f64::max),
        }
    };
    (0..scenario.epochs_total()).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;
    use crate::testing;

    /// Three peers: two seal what their own sets say, the third goes on from a snapshot.
    fn log() -> SealLog {
        let closing = |ms: u64, peer: u16, end: u32, adopted: bool| Closing {
            at: SimTime::from_ms(ms),
            peer,
            end,
            adopted,
        };
        let late = |epoch: u32| Late { at: SimTime::from_ms(2_600), epoch };
        SealLog {
            peers: 3,
            sealed: vec![
                closing(500, 0, 4, false),
                closing(700, 1, 4, false),
                closing(1_500, 0, 8, false),
                closing(1_600, 1, 8, false),
                closing(2_500, 2, 8, true),
            ],
            late: vec![late(3), late(3), late(5)],
        }
    }

    fn sealing() -> Scenario {
        let mut scenario = testing::scenario();
        scenario.recipe.seal = Some(scenario::Seal { window_epochs: 12, every_epochs: 4 });
        scenario.epoch_ms = 1_000.try_into().expect("a count");
        scenario
    }

    #[test]
    fn a_later_seal_passes_the_earlier_ones() {
        let seals = log().seals();
        let shown: Vec<_> =
            seals.iter().map(|it| (it.end_epoch, it.first_s, it.half_s, it.peers)).collect();
        assert_eq!(shown, [(4, 0.5, Some(0.7), 3), (8, 1.5, Some(1.6), 3)]);
        let lonely = SealLog { peers: 7, ..log() };
        assert!(lonely.seals().iter().all(|it| it.half_s.is_none()), "three of seven");
    }

    #[test]
    fn progress_is_that_of_the_median_and_the_last_peer() {
        let points = log().progress(&sealing());
        let shown: Vec<_> = points.iter().take(3).map(|it| (it.median, it.least)).collect();
        assert_eq!(shown, [(4, 0), (8, 0), (8, 8)]);
    }

    #[test]
    fn what_happens_in_one_epoch_is_counted_together() {
        let shown = log().shown(&sealing(), &Samples::new(Vec::new())).expect("seals");
        let late: Vec<_> = shown.too_late.iter().map(|it| (it.at_s, it.epoch, it.count)).collect();
        assert_eq!(late, [(2.6, 3, 2), (2.6, 5, 1)]);
        assert_eq!((shown.adopted.len(), shown.adopted[0].epoch), (1, 8));
    }

    #[test]
    fn a_scenario_without_seals_shows_none() {
        let samples = Samples::new(Vec::new());
        assert_eq!(SealLog::new(4).shown(&testing::scenario(), &samples), None);
    }
}
