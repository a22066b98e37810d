//! A run: from a scenario to its report.

use std::path::PathBuf;

use longhaul_node::peer::PeerError;

use crate::checks::{self, Evidence};
use crate::engine::{Engine, Finished, Progress};
use crate::federation::{Federation, FederationError};
use crate::host::Host;
use crate::learner::{self, LearnerError};
use crate::metrics::Sample;
use crate::pool::{Pool, WorkerLost};
use crate::report::{EpochReport, PeerReport, RunReport};
use crate::scenario::Scenario;

/// How to run; nothing here changes the outcome but the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Threads that train; at least one is used.
    pub workers: usize,
    /// Folder of the data, instead of the scenario's.
    pub data_dir: Option<PathBuf>,
}

/// Why a run could not be made, as opposed to a check that failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario describes no federation.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// Training cannot be set up.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// A peer refuses its configuration.
    #[error("a peer cannot be made: {0}")]
    Peer(#[from] PeerError),
    /// Training panicked.
    #[error(transparent)]
    Worker(#[from] WorkerLost),
}

/// Runs `scenario` from its start to the end of draining.
pub fn run(scenario: &Scenario, options: &RunOptions) -> Result<RunReport, RunError> {
    run_watched(scenario, options, &mut |_| {})
}

/// Runs `scenario` and tells `watch` after every epoch where it stands.
pub fn run_watched(
    scenario: &Scenario,
    options: &RunOptions,
    watch: &mut dyn FnMut(Progress),
) -> Result<RunReport, RunError> {
    let federation = Federation::new(scenario)?;
    let data_dir = options.data_dir.as_deref();
    let learner = learner::of_scenario(scenario, &federation.model, data_dir)?;
    let pool = Pool::new(options.workers);
    let finished = Engine::new(scenario, &federation, learner, pool)?.run(watch)?;
    report(scenario, finished)
}

fn report(scenario: &Scenario, finished: Finished) -> Result<RunReport, RunError> {
    let Finished { hosts, network, trace, recorder } = finished;
    let samples = recorder.finish()?;
    let partition_hits = network.partition_hits();
    let published: Vec<_> = hosts.iter().map(|host| host.counts.published).collect();
    let evidence =
        Evidence { samples: &samples, partition_hits: &partition_hits, published: &published };
    let checks = checks::judge(scenario, &evidence);
    let epochs = samples.epochs_due();
    let last = scenario.epochs_total() - 1;
    Ok(RunReport {
        name: scenario.name.as_str().to_owned(),
        seed: scenario.seed,
        digest: trace.digest().to_string(),
        events: trace.events(),
        simulated_ms: u64::from(scenario.epochs_total()) * scenario.epoch_us() / 1_000,
        mean_lag: samples.mean_lag(scenario.epochs.get()),
        network: network.counts,
        epochs: epochs.into_iter().map(|epoch| EpochReport::of(&samples, epoch)).collect(),
        peers: samples.of_epoch(last).zip(&hosts).map(peer_report).collect(),
        passed: checks.iter().all(|check| check.passed),
        checks,
        partition_hits,
        samples,
    })
}

fn peer_report((sample, host): (&Sample, &Host)) -> PeerReport {
    PeerReport {
        peer: sample.peer,
        id: host.id.to_string(),
        model: sample.model.as_hash().to_string(),
        accuracy: sample.score.map(|score| score.accuracy),
        updates: sample.updates,
        published: host.counts.published,
        skipped: host.counts.skipped,
        refused: host.counts.refused,
        bytes_sent: sample.bytes_sent,
    }
}
