//! A run: from a scenario to its report.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use longhaul_node::peer::PeerError;

use crate::bench::{Questions, Recording};
use crate::checks::{self, Evidence, SealEvidence};
use crate::contacts::{self, Contact, PlanError, PlanInput};
use crate::engine::{Engine, Finished, Parts, Watch};
use crate::federation::{Federation, FederationError};
use crate::host::Host;
use crate::learner::{self, Learner, LearnerError};
use crate::machine::Look;
use crate::metrics::{Sample, Samples};
use crate::page_data::Detail;
use crate::pool::{Pool, WorkerLost};
use crate::report::{EpochReport, PeerReport, RefusalReport, RunReport};
use crate::scenario::{Drain, Proofs, Scenario, TrainingMode};
use crate::snapshot::{Answers, Remembering};
use crate::trace::Sink;

/// How to run; nothing here changes the outcome but the data.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Threads that train; at least one is used.
    pub workers: usize,
    /// Folder of the data, instead of the scenario's.
    pub data_dir: Option<PathBuf>,
    /// The unpacked bytes of the file that `contacts` names, if it names one.
    pub contacts_file: Option<Arc<[u8]>>,
    /// Plants a bug: a peer that comes up after a crash has lost the end of its
    /// log and does not know. For trying the tools that find bugs.
    pub plant_bug: bool,
    /// Ends the run after so many events; checks then look at what there is.
    pub events_max: Option<u64>,
    /// Answers that are known already, and where new ones are kept.
    pub answers: Option<Arc<Answers>>,
    /// Takes down what is asked of training.
    pub questions: Option<Arc<Questions>>,
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
    /// The contact plan cannot be made.
    #[error("contacts: {0}")]
    Contacts(#[from] PlanError),
    /// A peer refuses its configuration.
    #[error("a peer cannot be made: {0}")]
    Peer(#[from] PeerError),
    /// Training failed.
    #[error("training: {0}")]
    Training(String),
    /// Training panicked.
    #[error(transparent)]
    Worker(#[from] WorkerLost),
}

/// A run that ended: its report, and what its page shows besides.
#[derive(Debug)]
pub struct RunOutcome {
    /// The report.
    pub report: RunReport,
    /// The rest of the page.
    pub detail: Detail,
    /// The models that the peers held at the end, by their ids.
    pub models: BTreeMap<String, Vec<f32>>,
}

/// Runs `scenario` from its start to the end of draining.
pub fn run(scenario: &Scenario, options: &RunOptions) -> Result<RunReport, RunError> {
    Ok(run_watched(scenario, options, None, &mut |_| ControlFlow::Continue(()))?.report)
}

/// Runs `scenario`, gives every event to `sink`, and tells `watch` before the first
/// event and after every epoch where it stands.
///
/// Where a check compares with the run without partitions, that one is made
/// first, with the same seed.
pub fn run_watched(
    scenario: &Scenario,
    options: &RunOptions,
    sink: Option<Sink>,
    watch: &mut Watch<'_>,
) -> Result<RunOutcome, RunError> {
    let uncut = match scenario.checks.uncut.is_empty() {
        true => None,
        false => Some(finish(&without_partitions(scenario), options, None, watch)?.1),
    };
    let (finished, samples) = finish(scenario, options, sink, watch)?;
    Ok(outcome(scenario, finished, samples, uncut))
}

fn without_partitions(scenario: &Scenario) -> Scenario {
    let mut uncut = scenario.clone();
    uncut.faults.partition.clear();
    uncut
}

fn finish(
    scenario: &Scenario,
    options: &RunOptions,
    sink: Option<Sink>,
    watch: &mut Watch<'_>,
) -> Result<(Finished, Samples), RunError> {
    let federation = Federation::new(scenario)?;
    let learner = asked(learner::of_run(scenario, &federation.model, options)?, options);
    let pool = Pool::new(options.workers);
    let contacts = contacts_of(scenario, options.contacts_file.as_deref())?;
    let events_max = options.events_max;
    let plant_bug = options.plant_bug;
    let parts = Parts { federation, learner, pool, contacts, sink, events_max, plant_bug };
    let mut finished = Engine::new(scenario, parts)?.run(watch)?;
    let recorder = finished.recorder.take().expect("a run has one recorder");
    let samples = recorder.finish()?;
    Ok((finished, samples))
}

/// `learner`, and whoever listens when it is asked.
fn asked(learner: Arc<dyn Learner>, options: &RunOptions) -> Arc<dyn Learner> {
    let learner = match &options.answers {
        Some(answers) => Arc::new(Remembering::new(learner, answers.clone())),
        None => learner,
    };
    match options.questions.clone() {
        Some(questions) => Arc::new(Recording { learner, questions }),
        None => learner,
    }
}

/// The contact plan of `scenario`; `file` is what its trace or plan file holds.
pub fn contacts_of(scenario: &Scenario, file: Option<&[u8]>) -> Result<Vec<Contact>, PlanError> {
    let epoch_us = scenario.epoch_us();
    let last_us = u64::from(scenario.epochs.get()).saturating_mul(epoch_us);
    let input = PlanInput {
        peers: scenario.peers.get(),
        epochs_total: scenario.epochs_total(),
        epoch_us,
        seed: scenario.seed,
        drain_from_us: (scenario.drain_epochs > 0 && scenario.drain == Drain::AllPairs)
            .then_some(last_us),
        file,
    };
    contacts::plan(&scenario.contacts, &input)
}

fn outcome(
    scenario: &Scenario,
    finished: Finished,
    samples: Samples,
    uncut: Option<Samples>,
) -> RunOutcome {
    let Finished { mut hosts, network, faults, links, frames, contacts, seals, .. } = finished;
    let deliveries = finished.deliveries.report(scenario.peers.get());
    let trained: Vec<_> = hosts.iter().map(|host| host.counts.trained).collect();
    let aggregates = scenario.aggregates.map(|_| finished.aggregates);
    let proofs = (scenario.proofs != Proofs::None).then_some(finished.proofs);
    let evidence = Evidence {
        samples: &samples,
        faults: &faults,
        trained: &trained,
        deliveries: &deliveries,
        uncut: uncut.as_ref(),
        two_faced: finished.two_faced,
        seals: SealEvidence::of(&hosts),
        network: network.counts,
        proofs,
        aggregates,
    };
    let checks = checks::judge(scenario, &evidence);
    let has_models = scenario.training.mode != TrainingMode::Transport;
    let last = scenario.epochs_total() - 1;
    let host = |peer: u16| &hosts[usize::from(peer)];
    let peers = match &finished.stopped {
        Some(looks) => (0..)
            .zip(looks)
            .map(|(peer, look)| stopped_report((peer, look), host(peer), has_models))
            .collect(),
        None => samples
            .of_epoch(last)
            .map(|sample| peer_report(sample, host(sample.peer), has_models))
            .collect(),
    };
    let report = RunReport {
        name: scenario.name.as_str().to_owned(),
        seed: scenario.seed,
        digest: finished.digest.to_string(),
        events: finished.events,
        simulated_ms: u64::from(scenario.epochs_total()) * scenario.epoch_us() / 1_000,
        mean_lag: has_models.then(|| samples.mean_lag(scenario.epochs.get())),
        network: network.counts,
        proofs,
        aggregates,
        epochs: samples
            .epochs_due()
            .into_iter()
            .map(|epoch| EpochReport::of(&samples, epoch, has_models))
            .collect(),
        refusals: RefusalReport::of(
            hosts.iter().flat_map(|host| &host.counts.refused),
            &finished.hostile,
        ),
        peers,
        seals: evidence.seals.fewest() as u64,
        adopted: evidence.seals.adopted,
        too_late: evidence.seals.too_late,
        passed: checks.iter().all(|check| check.passed),
        checks,
        faults,
        deliveries,
        samples,
    };
    let detail = Detail { contacts, links, frames, uncut, seals };
    RunOutcome { report, detail, models: models(&mut hosts) }
}

fn models(hosts: &mut [Host]) -> BTreeMap<String, Vec<f32>> {
    let peers = hosts.iter_mut().filter_map(|host| host.machine.as_mut()?.peer());
    let mut models = BTreeMap::new();
    for peer in peers {
        let id = peer.fold().model_id().as_hash().to_string();
        models.entry(id).or_insert_with(|| peer.model().to_f32());
    }
    models
}

fn peer_report(sample: &Sample, host: &Host, has_models: bool) -> PeerReport {
    let shown = has_models.then(|| (sample.model.as_hash().to_string(), sample.lag));
    let (model, lag) = shown.unzip();
    PeerReport {
        model,
        lag,
        accuracy: sample.score.map(|score| score.accuracy),
        updates: sample.updates,
        held: sample.held,
        bytes_sent: sample.bytes_sent,
        ..of_host(sample.peer, host)
    }
}

/// A peer in the middle of a run, where nothing is measured; `look` is none while it is
/// down.
fn stopped_report(
    (peer, look): (u16, &Option<(Look, u32)>),
    host: &Host,
    has_models: bool,
) -> PeerReport {
    let shown = look.filter(|_| has_models);
    PeerReport {
        model: shown.map(|(look, _)| look.model.as_hash().to_string()),
        lag: shown.map(|(_, lag)| lag),
        updates: look.map_or(0, |(look, _)| look.updates),
        held: look.map_or(0, |(look, _)| look.held),
        ..of_host(peer, host)
    }
}

/// What the host itself knows of a peer.
fn of_host(peer: u16, host: &Host) -> PeerReport {
    PeerReport {
        peer,
        adversary: host.adversary.as_ref().map(|adversary| adversary.index),
        id: host.id.to_string(),
        model: None,
        lag: None,
        accuracy: None,
        updates: 0,
        published: host.counts.published,
        skipped: host.counts.skipped,
        refused: host.counts.refused.values().sum(),
        held: 0,
        seals: host.counts.sealed.len() as u64,
        too_late: host.counts.too_late,
        bytes_sent: host.counts.bytes_sent,
    }
}
