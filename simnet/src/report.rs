//! The report of a run: digest, table, checks, and CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use longhaul_registry::audit::refusal_name;
use serde::Serialize;

use crate::checks::CheckOutcome;
use crate::delivery::DeliveryReport;
use crate::faults::FaultCount;
use crate::metrics::{Sample, Samples, mean};
use crate::network::NetworkCounts;
use crate::proofs::{AggregateCounts, ProofCounts};

/// Peers that the printed table shows.
const PEERS_SHOWN: usize = 24;

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The scenario.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// blake3 over everything that happened.
    pub digest: String,
    /// Number of events.
    pub events: u64,
    /// Simulated time.
    pub simulated_ms: u64,
    /// Mean lag in epochs over all peers and training epochs, if there are models.
    pub mean_lag: Option<f64>,
    /// What the network saw.
    pub network: NetworkCounts,
    /// What was proved and verified, if the scenario asks for proofs.
    pub proofs: Option<ProofCounts>,
    /// What became of aggregates, if the scenario has them.
    pub aggregates: Option<AggregateCounts>,
    /// How often each declared fault and adversary acted.
    pub faults: Vec<FaultCount>,
    /// How updates reached others.
    pub deliveries: DeliveryReport,
    /// The course of the run.
    pub epochs: Vec<EpochReport>,
    /// What was refused, by reason.
    pub refusals: Vec<RefusalReport>,
    /// The peers at the end.
    pub peers: Vec<PeerReport>,
    /// Seals that every honest peer went on from.
    pub seals: u64,
    /// Seals that an honest peer's own set did not say, over all.
    pub adopted: u64,
    /// Own updates of honest peers that came too late for a seal, over all.
    pub too_late: u64,
    /// What had to hold.
    pub checks: Vec<CheckOutcome>,
    /// Whether all of it did.
    pub passed: bool,
    /// All samples, for the CSV.
    #[serde(skip)]
    pub samples: Samples,
}

/// Updates that were refused for one reason; each peer that refuses counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RefusalReport {
    /// The reason.
    pub reason: String,
    /// Refusals of what honest peers signed.
    pub from_honest: u64,
    /// Refusals of what hostile peers signed.
    pub from_hostile: u64,
    /// Refusals of what nobody is known to have signed.
    pub from_unknown: u64,
}

/// The end of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: u32,
    /// Accuracy of the worst, the average and the best sampled peer.
    pub accuracy: Option<[f64; 3]>,
    /// Mean loss of the sampled peers.
    pub loss: Option<f64>,
    /// Mean lag of all peers, if there are models.
    pub lag: Option<f64>,
    /// Mean number of updates that a peer holds.
    pub updates: f64,
    /// Number of different models, if there are any.
    pub models: Option<usize>,
}

/// One peer at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerReport {
    /// Its index in the scenario.
    pub peer: u16,
    /// Which of the scenario's adversaries it is, if it is one.
    pub adversary: Option<usize>,
    /// Its id.
    pub id: String,
    /// The id of its model, if it has one.
    pub model: Option<String>,
    /// How many epochs the newest term lies behind, if there are models.
    pub lag: Option<u32>,
    /// The model's accuracy, if it was measured.
    pub accuracy: Option<f64>,
    /// Updates held.
    pub updates: usize,
    /// Own updates.
    pub published: u32,
    /// Epochs skipped.
    pub skipped: u32,
    /// Bundles refused.
    pub refused: u64,
    /// Updates in open epochs.
    pub held: usize,
    /// Seals that it went on from.
    pub seals: u64,
    /// Own updates that came too late for a seal.
    pub too_late: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
}

impl RefusalReport {
    /// Sums up what was refused by code and author, given who is hostile.
    pub fn of<'a>(
        refused: impl Iterator<Item = (&'a (u16, Option<u16>), &'a u64)>,
        hostile: &BTreeSet<u16>,
    ) -> Vec<Self> {
        let mut reasons: BTreeMap<&str, Self> = BTreeMap::new();
        for (&(code, author), count) in refused {
            let line = reasons.entry(refusal_name(code)).or_default();
            match author {
                Some(author) if hostile.contains(&author) => line.from_hostile += count,
                Some(_) => line.from_honest += count,
                None => line.from_unknown += count,
            }
        }
        let named = |(reason, line): (&str, Self)| Self { reason: reason.to_owned(), ..line };
        reasons.into_iter().map(named).collect()
    }
}

impl EpochReport {
    /// Sums up one epoch; bare carriers have no models.
    pub fn of(samples: &Samples, epoch: u32, has_models: bool) -> Self {
        let accuracies = samples.accuracies(epoch);
        let worst = accuracies.iter().copied().reduce(f64::min);
        let best = accuracies.iter().copied().reduce(f64::max);
        let average = mean(accuracies.iter().copied());
        let losses: Vec<_> =
            samples.of_epoch(epoch).filter_map(|sample| sample.score).map(|it| it.loss).collect();
        let of_all = |value: fn(&Sample) -> f64| mean(samples.of_epoch(epoch).map(value));
        Self {
            epoch,
            accuracy: worst.zip(best).map(|(worst, best)| [worst, average, best]),
            loss: (!losses.is_empty()).then(|| mean(losses.into_iter())),
            lag: has_models.then(|| of_all(|sample| f64::from(sample.lag))),
            updates: of_all(|sample| sample.updates as f64),
            models: has_models.then(|| samples.models(epoch)),
        }
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (seed {})", self.name, self.seed)?;
        self.write_epochs(f)?;
        self.write_peers(f)?;
        let NetworkCounts { contacts, links, closed, frames, frames_lost, bytes, .. } =
            self.network;
        let between = match self.network.bytes_between_groups {
            0 => String::new(),
            between => format!(", {:.1} MB of it between groups", between as f64 / 1e6),
        };
        writeln!(
            f,
            "\n{} events in {:.0} simulated seconds{}",
            self.events,
            self.simulated_ms as f64 / 1_000.0,
            self.mean_lag.map(|lag| format!("; mean lag {lag:.2} epochs")).unwrap_or_default()
        )?;
        writeln!(
            f,
            "{contacts} contacts, {links} links ({closed} closed by a peer), \
             {frames} frames arrived, {frames_lost} lost, {:.1} MB sent{between}",
            bytes as f64 / 1e6
        )?;
        let within = |share| match self.deliveries.quantile_s(share) {
            Some(delay_s) => format!("after {delay_s:.1} s"),
            None => "not reached".to_owned(),
        };
        writeln!(
            f,
            "{} updates published, {:.1} % of the deliveries made; median {}, 99 % {}",
            self.deliveries.published,
            self.deliveries.share() * 100.0,
            within(0.5),
            within(0.99)
        )?;
        if let Some(ProofCounts { made, failed, verified, refused }) = self.proofs {
            writeln!(
                f,
                "{made} proofs made, {failed} not to be made; {verified} found to hold, {refused} refused"
            )?;
        }
        if let Some(AggregateCounts { made, failed, accepted, updates }) = self.aggregates {
            writeln!(
                f,
                "{made} aggregates made, {failed} not to be made; accepted {accepted} times, with {updates} updates"
            )?;
        }
        if self.seals > 0 {
            writeln!(
                f,
                "{} seals at every peer, {} gone on from with a snapshot, {} own updates too late",
                self.seals, self.adopted, self.too_late
            )?;
        }
        for RefusalReport { reason, from_honest, from_hostile, from_unknown } in &self.refusals {
            writeln!(
                f,
                "refused as {reason}: {from_hostile} by hostile authors, {from_honest} by honest, \
                 {from_unknown} by unknown"
            )?;
        }
        writeln!(f, "digest {}\n", self.digest)?;
        for check in &self.checks {
            let verdict = if check.passed { "pass" } else { "FAIL" };
            writeln!(f, "{verdict}  {} ({})", check.name, check.found)?;
        }
        Ok(())
    }
}

impl RunReport {
    fn write_epochs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epochs.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nepoch  accuracy: worst  mean  best    loss     lag  updates  models")?;
        for row in &self.epochs {
            let [worst, average, best] = match row.accuracy {
                Some(accuracies) => accuracies.map(|value| format!("{value:.3}")),
                None => [(); 3].map(|()| "-".to_owned()),
            };
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let loss = or_dash(row.loss.map(|loss| format!("{loss:.4}")));
            let lag = or_dash(row.lag.map(|lag| format!("{lag:.2}")));
            let models = or_dash(row.models.map(|models| models.to_string()));
            writeln!(
                f,
                "{:>5}  {worst:>15} {average:>5} {best:>5}  {loss:>6}  {lag:>6}  {:>7.1}  {models:>6}",
                row.epoch, row.updates
            )?;
        }
        Ok(())
    }

    fn write_peers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n peer  id        model       lag  accuracy  updates  own  skipped  refused    sent kB"
        )?;
        for row in self.peers.iter().take(PEERS_SHOWN) {
            let lag = row.lag.map_or("-".to_owned(), |lag| lag.to_string());
            let accuracy = row.accuracy.map_or("-".to_owned(), |value| format!("{value:.4}"));
            writeln!(
                f,
                "{:>5}  {:.8}  {:<10.10}  {lag:>3}  {accuracy:>8}  {:>7}  {:>3}  {:>7}  {:>7}  {:>9.1}",
                row.peer,
                row.id,
                row.model.as_deref().unwrap_or("-"),
                row.updates,
                row.published,
                row.skipped,
                row.refused,
                row.bytes_sent as f64 / 1_000.0
            )?;
        }
        match self.peers.len().saturating_sub(PEERS_SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more peers, in report.json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_whose_they_are() {
        let first = BTreeMap::from([((116, Some(4)), 3), ((116, Some(1)), 1), ((116, None), 5)]);
        let second = BTreeMap::from([((116, Some(4)), 2)]);
        let refused = first.iter().chain(&second);
        let lines = RefusalReport::of(refused, &BTreeSet::from([4]));
        let [line] = &lines[..] else { panic!("one reason: {lines:?}") };
        assert_eq!(line.reason, "not-drawn");
        assert_eq!((line.from_hostile, line.from_honest, line.from_unknown), (5, 1, 5));
    }
}
