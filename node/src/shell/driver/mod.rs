//! The driver: gives the pure peer a network, a disk, a clock and training.
//!
//! One loop on one thread. What happened (a frame, a finished training, a
//! durable write, a due moment) goes into the peer, and what the peer asks for
//! goes out to three helpers: the network task, the disk thread and the
//! training thread. Requests to the disk keep their order, so the log is
//! written as the peer decided it.
//!
//! With `control`, stdin takes one command per line: `cut ID ID…` refuses and
//! drops contacts with these members, `heal` ends that, `stop` ends the peer.
//! The end of stdin ends the peer, too.

mod carriers;
mod control;
pub(in crate::shell) mod disk;
mod fraud;
mod reporting;
mod work;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use longhaul_aggregation::MemberIndex;
use longhaul_dtn::identity::PeerId;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::SignedManifest;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::config::Config;
use super::folder::Watch;
use super::net::{self, NetEvent, NetHandle};
use super::pipe::{PipeEvents, PipeLinks};
use super::proving_keys;
use super::room::Room;
use super::size::Size;
use super::store::Store;
use super::when::Standing;
use super::{clock, entropy, task};
use crate::peer::{Event, Input, Output, Peer, PeerConfig};
use carriers::Carried;
use control::Control;
use disk::Disk;
use reporting::Reporting;
use work::{Done, Work};

/// Longest sleep without a due moment.
const IDLE_MAX: Duration = Duration::from_millis(250);
/// With `until_drained`: how long all must be quiet after the last epoch.
const QUIET: Duration = Duration::from_secs(3);

/// How to run a peer.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Listen addresses instead of the configured ones, unless empty.
    pub listen: Vec<String>,
    /// Addresses of peers besides the configured ones.
    pub peers: Vec<String>,
    /// Folders to exchange bundles with, besides the configured ones.
    pub folders: Vec<PathBuf>,
    /// Pipes besides the configured ones; `-` is the standard input and output.
    pub pipes: Vec<String>,
    /// Most room on the disk instead of the configured quota, if any.
    pub quota: Option<Size>,
    /// End once the last epoch is over and nothing is waiting.
    pub until_drained: bool,
    /// Print a report per line on stdout as JSON.
    pub events: bool,
    /// Take control lines on stdin.
    pub control: bool,
    /// Train a second model alone on the own data, for comparison.
    pub alone: bool,
}

struct Driver {
    peer: Peer,
    net: NetHandle,
    pipes: PipeLinks,
    carried: Carried,
    disk: Disk,
    work: Work,
    reporting: Reporting,
    options: UpOptions,
    cut: BTreeSet<PeerId>,
    quiet_since: Option<Instant>,
    stopping: bool,
}

/// Runs the peer in `options.dir` until it is told to end.
pub fn run(options: UpOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(up(options))
}

async fn up(options: UpOptions) -> anyhow::Result<()> {
    let mut config = Config::load(&options.dir)?;
    if !options.listen.is_empty() {
        config.listen.clone_from(&options.listen);
    }
    config.peers.extend(options.peers.iter().cloned());
    let mut store = Store::open(&options.dir)?;
    let key = store.load_key()?;
    let loaded = store.load()?;
    loaded.report.lines().for_each(|line| tracing::warn!("{line}"));
    let manifest = Arc::new(loaded.manifest);
    let room = Room::of(&manifest, Some(&options.dir), options.quota.or(config.quota));
    let me = key.peer_id();
    let is_courier = manifest.manifest().is_courier(&me);
    if !is_courier {
        room.check()?;
        if let Some(warning) = room.warning() {
            tracing::warn!("{warning}");
        }
    }
    let trainer = match is_courier || manifest.manifest().is_ceremony() {
        true => None,
        false => Some(task::build(&config, manifest.manifest(), me)?),
    };
    let (trainer, device) = trainer.unzip();
    tracing::info!(peer = %me, federation = %manifest.id(), device, "up");
    let peer_config = PeerConfig {
        manifest: manifest.clone(),
        key: key.clone(),
        nonce: entropy::nonce()?,
        memo: None,
    };
    let mut peer =
        Peer::new(peer_config, loaded.restored).context("restore the peer from its log")?;
    peer.set_prover(proving_keys::prover(&options.dir, &manifest, peer.member())?);
    tell_time(&manifest, &mut peer);
    // A courier keeps as much as it may.
    if let Some(quota) = options.quota.or(config.quota).filter(|_| is_courier) {
        peer.set_carried_bytes_max(quota.bytes());
    }
    let net_config = config.net(&key, &manifest)?;
    net::check_listen(&net_config.listen)?;
    let (net, net_events) = net::start(net_config)?;
    let (pipes, pipe_events) = carriers::pipes(&config, &options, &key)?;
    let watch =
        carriers::watch(&config, &options, manifest.bundle_limits().travelling_bytes_max())?;
    let (disk, stored) = Disk::start(store);
    let (work, done) = Work::start(trainer, &manifest, options.alone);
    let control = Control::start(options.control);
    let reporting = Reporting::new(&options, me, &manifest);
    let cut = BTreeSet::new();
    let (quiet_since, stopping, carried) = (None, false, Carried::new());
    let driver = Driver {
        peer,
        net,
        pipes,
        carried,
        disk,
        work,
        reporting,
        options,
        cut,
        quiet_since,
        stopping,
    };
    driver.run(Streams { net_events, pipe_events, watch, stored, done, control }).await
}

/// Says what the clock says, where it may surprise.
fn tell_time(manifest: &SignedManifest, peer: &mut Peer) {
    let standing = Standing::of(manifest.manifest(), clock::now());
    if let Standing::Over { .. } = standing {
        tracing::warn!("{standing}: nothing more is trained; is this device's clock right?");
        return;
    }
    tracing::info!("{standing}");
    let now = manifest.manifest().epoch_at(clock::now());
    if let Some(own) = peer.status().own_newest.filter(|own| now.is_some_and(|now| now < *own)) {
        let epoch = now.map(|now| now.get());
        tracing::warn!(
            own_newest = own.get(),
            epoch,
            "the newest own update is of an epoch that has not come yet, so nothing is published until \
             then; was this device's clock wrong?"
        );
    }
}

/// Where inputs come from.
struct Streams {
    net_events: mpsc::Receiver<NetEvent>,
    pipe_events: PipeEvents,
    watch: Watch,
    stored: mpsc::UnboundedReceiver<disk::Stored>,
    done: mpsc::UnboundedReceiver<Done>,
    control: Control,
}

impl Driver {
    async fn run(mut self, mut streams: Streams) -> anyhow::Result<()> {
        self.give(Input::Start)?;
        let mut hang_up = std::pin::pin!(signal());
        while !self.stopping {
            let due = self.due();
            tokio::select! {
                event = streams.net_events.recv() => self.net_event(event)?,
                event = streams.pipe_events.next() => self.pipe_event(event)?,
                scanned = streams.watch.next() => self.scanned(scanned)?,
                stored = streams.stored.recv() => self.stored(stored)?,
                done = streams.done.recv() => self.done(done)?,
                line = streams.control.next() => self.control(line).await?,
                () = tokio::time::sleep_until(due) => self.give(Input::Wake)?,
                () = &mut hang_up => self.stopping = true,
            }
            self.carry(&mut streams.watch)?;
            self.report_and_evaluate();
        }
        self.finish(&mut streams).await
    }

    /// Lets the disk finish what was asked for and says goodbye.
    async fn finish(mut self, streams: &mut Streams) -> anyhow::Result<()> {
        // A network that has ended already needs no goodbye.
        let _ = self.net.shutdown().await;
        self.peer.record_version();
        self.drain()?;
        while self.peer.in_store() > 0 {
            let stored = streams.stored.recv().await;
            self.stored(stored)?;
        }
        self.reporting.write_last(&mut self.peer, clock::now());
        tracing::info!(model = %self.peer.status().model, "down");
        Ok(())
    }

    fn due(&self) -> Instant {
        let now = clock::now();
        let span = self.peer.wake_at().map_or(IDLE_MAX, |at: Timestamp| {
            Duration::from_millis(at.since(now).ms()).min(IDLE_MAX)
        });
        Instant::now() + span
    }

    /// Gives the peer one input and does all that it asks for.
    fn give(&mut self, input: Input) -> anyhow::Result<()> {
        self.peer.handle(clock::now(), input);
        self.drain()
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Transmit { link, frame } if PipeLinks::has(link) => {
                    self.pipes.send(link, &frame);
                }
                Output::Transmit { link, frame } => {
                    // A link that ended, or ends for being too slow, is reported
                    // as LinkDown.
                    let _ = self.net.send(link, frame);
                }
                Output::Close { link, reason } => {
                    tracing::debug!(?link, reason, "close contact");
                    if PipeLinks::has(link) {
                        self.pipes.close(link);
                    } else {
                        self.net.close(link);
                    }
                }
                Output::Train(request) => self.work.train(request),
                Output::Prove(request) => self.work.prove(request),
                Output::Verify(request) => self.work.check(move || request.carry_out()),
                Output::Sum(request) => self.work.check(move || request.carry_out()),
                Output::CheckSum(request) => self.work.check(move || request.carry_out()),
                Output::Persist(request) => self.disk.persist(request)?,
                Output::Event(event) => {
                    if let Event::Voided { author, .. } = &event {
                        self.reporting.voided(Some(*author) == self.peer.member());
                    }
                    if let Event::Fraud { bundle, proof, .. } = &event {
                        fraud::keep(&self.options.dir, bundle, proof);
                    }
                    log_event(&event, self.peer.member(), self.carried.reading.as_deref());
                }
            }
        }
        Ok(())
    }

    fn net_event(&mut self, event: Option<NetEvent>) -> anyhow::Result<()> {
        match event {
            None => bail!("the network task ended"),
            Some(NetEvent::LinkUp { link, peer }) => {
                tracing::info!(%peer, "contact");
                self.give(Input::LinkUp { link, peer })
            }
            Some(NetEvent::LinkDown { link, end }) => {
                tracing::info!(?link, %end, "contact ended");
                self.give(Input::LinkDown { link })
            }
            Some(NetEvent::Frame { link, bytes }) => self.give(Input::Frame { link, bytes }),
            Some(NetEvent::Listening(address)) => {
                tracing::info!(%address, "listening");
                Ok(())
            }
            Some(NetEvent::Refused { peer, why }) => {
                let peer = peer.map(|peer| peer.to_string());
                tracing::debug!(peer, %why, "refused a connection");
                Ok(())
            }
        }
    }

    fn stored(&mut self, stored: Option<disk::Stored>) -> anyhow::Result<()> {
        let stored = stored.context("the disk thread ended")?;
        for ticket in stored.context("store durably (nothing that was acknowledged is lost)")? {
            self.give(Input::Persisted { ticket })?;
        }
        Ok(())
    }

    fn done(&mut self, done: Option<Done>) -> anyhow::Result<()> {
        match done.context("the training thread ended")? {
            Done::Trained(trained) => self.give(Input::Trained(trained)),
            Done::Failed { epoch, why } => self.give(Input::TrainingFailed { epoch, why }),
            Done::Answer(input) => self.give(input),
            Done::Lost(thread) => bail!("the {thread} thread ended: its last words are above"),
            Done::Alone(accuracy) => {
                self.reporting.alone(accuracy);
                Ok(())
            }
            Done::Evaluated { model, evaluation } => {
                self.reporting.evaluated(model, evaluation);
                Ok(())
            }
        }
    }

    async fn control(&mut self, line: control::Line) -> anyhow::Result<()> {
        match line {
            control::Line::Cut(peers) => {
                self.cut.extend(&peers);
                self.net.cut(self.cut.clone()).await?;
            }
            control::Line::Heal => self.net.heal(std::mem::take(&mut self.cut)).await?,
            control::Line::Stop => self.stopping = true,
            control::Line::Unknown(line) => {
                tracing::warn!(line, "control line not understood: use cut ID…, heal or stop");
            }
        }
        Ok(())
    }

    fn report_and_evaluate(&mut self) {
        if !self.reporting.is_due() {
            return;
        }
        let now = clock::now();
        let report = self.reporting.write(&mut self.peer, now);
        if !self.work.is_idle() && self.reporting.wants_evaluation(&report) {
            let model = self.peer.fold().model_id();
            self.work.evaluate(model, self.peer.model().to_f32());
        }
        self.end_if_drained(report.drained && report.evaluated.as_ref() == Some(&report.model));
    }

    fn end_if_drained(&mut self, drained: bool) {
        if !self.options.until_drained || !drained {
            self.quiet_since = None;
            return;
        }
        let since = *self.quiet_since.get_or_insert_with(Instant::now);
        self.stopping |= since.elapsed() >= QUIET;
    }
}

/// Says what happened to the member `me`; `file` is the one that is being read, if one is.
fn log_event(event: &Event, me: Option<MemberIndex>, file: Option<&Path>) {
    match event {
        Event::Met { peer, terms } => {
            let room_bytes = terms.room_bytes;
            let stay_ms = terms.stay.map(|span| span.ms());
            tracing::debug!(peer = %peer.short(), held = terms.held, room_bytes, stay_ms, "met");
        }
        Event::Key { generation, granted: false } if me.is_some() => tracing::warn!(
            generation,
            "a further federation key was not given to this peer: it can't read what is encrypted with it"
        ),
        Event::Key { generation, granted } => {
            tracing::info!(generation, granted, "a further federation key");
        }
        Event::Contribution { part, contributor, from } => {
            let (contributor, from) = (contributor.short(), from.short());
            tracing::info!(%part, contributor, from, "took a contribution; its points are not checked yet");
        }
        Event::Aggregate { epoch, updates, from } => {
            let from = from.short();
            tracing::debug!(epoch = epoch.get(), updates, %from, "accepted a sum of updates");
        }
        Event::NoAggregate { epoch, why } => {
            tracing::warn!(epoch = epoch.get(), why, "the sum of the own bucket could not be made");
        }
        Event::Published { epoch, .. } => tracing::info!(epoch = epoch.get(), "published"),
        Event::Accepted { epoch, author, from } => {
            tracing::debug!(epoch = epoch.get(), author = author.get(), from = %from.short(), "accepted");
        }
        Event::Refused { from, author, code, reason, .. } => {
            let author = author.map(|author| author.get());
            // One that came as a file came from nobody but this peer itself.
            let giver = file.map_or_else(|| from.short(), |file| file.display().to_string());
            tracing::warn!(from = giver, author, code, reason, "refused a bundle");
        }
        Event::Fraud { bundle, author, .. } => tracing::error!(
            author = author.get(),
            %bundle,
            "a member's proof is about another update than the one that it published"
        ),
        Event::Voided { epoch, author } if Some(*author) == me => tracing::error!(
            epoch = epoch.get(),
            "an own slot is void: this peer's key signs somewhere else, too. Stop one of the two; a copy of a \
             data directory needs a key of its own"
        ),
        Event::Voided { epoch, author } => {
            tracing::warn!(
                epoch = epoch.get(),
                author = author.get(),
                "void slot: its author signed contradictory headers"
            );
        }
        Event::Version { epoch, model, updates } => {
            tracing::debug!(epoch = epoch.get(), %model, updates, "version");
        }
        Event::Sealed { value, adopted, left_out } => {
            let open_from = value.end.get();
            tracing::info!(open_from, model = %value.model, adopted, left_out, "sealed");
        }
        Event::TooLate { epoch } => {
            tracing::warn!(epoch = epoch.get(), "an own update came too late for its seal");
        }
        Event::Skipped { epoch, why } => {
            tracing::warn!(epoch = epoch.get(), why, "no update for this epoch");
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
