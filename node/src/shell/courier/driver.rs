//! Driver: joins agent, carrier, disk and delivery while a courier runs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use longhaul_dtn::bpv7::{BundleError, EndpointId, Limits};
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::tcpcl::{NodeId, RefuseReason};
use longhaul_dtn::time::{Span, Timestamp};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::time::{Instant, sleep_until};

use super::agent::{Agent, AgentConfig, Counts, Input, LinkId, Output, SendOutcome, Share};
use super::cache::Cache;
use super::carrier::{Carrier, CarrierConfig, Command, Event, LinkSender, PeerAddress};
use super::delivery::{Delivery, Done};
use super::disk::{self, Answer, Disk, Request};
use super::plan::Routing;
use super::relay::{self, Stay};
use super::tls::{Identity, Tls};
use super::trust::Trust;
use crate::shell::bundles::BundleKey;
use crate::shell::tally::Tally;
use crate::shell::{clock, entropy, private, store};

/// Most bytes of a bundle that a courier takes.
pub const BUNDLE_BYTES_MAX: u64 = 32 << 20;
/// Most events taken at once.
const EVENTS_MAX: usize = 1024;
/// Shortest time between two reports.
const REPORT_PAUSE: Duration = Duration::from_millis(100);
/// How long sessions have to end in good order.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// How to run a courier.
#[derive(Debug, Clone)]
pub struct CourierOptions {
    /// Our node id.
    pub node: EndpointId,
    /// Addresses to listen at, host and port.
    pub listen: Vec<String>,
    /// Nodes to dial.
    pub peers: Vec<PeerAddress>,
    /// The data directory.
    pub dir: PathBuf,
    /// Most bytes of bundles held, and of those delivered that nobody took away.
    pub quota_bytes: u64,
    /// Longest time for which a bundle is kept, whatever its lifetime.
    pub keep_max: Span,
    /// What becomes of bundles for our own node.
    pub deliver: Deliver,
    /// How bundles for one other node find their way; none gives them to every neighbour.
    pub routing: Option<Routing>,
    /// Whom to believe who connects to us.
    pub trust: Trust,
    /// Whether sessions are within TLS.
    pub tls: TlsMode,
    /// Most sessions that are accepted at a time.
    pub sessions_max: usize,
    /// Most of them from one network address.
    pub sessions_per_address_max: usize,
}

/// What becomes of bundles for our own node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// Each one is a file under `delivered`.
    Files,
    /// They are counted.
    Count,
}

/// Whether sessions are within TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// None is.
    Off,
    /// Those with nodes that can.
    Offered,
    /// All are, and every node has to prove that it is who it says.
    Required,
}

/// What a courier says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Report {
    /// Who it is for those that know keys.
    Key {
        /// Its key, as others name it.
        key: String,
    },
    /// It listens.
    Listening {
        /// Where.
        address: String,
    },
    /// The bundles of an earlier run are there.
    Opened {
        /// How many.
        bundles: usize,
    },
    /// What it did and holds.
    Status {
        /// Sessions.
        links: usize,
        /// Bundles held.
        held: usize,
        /// Their bytes.
        held_bytes: u64,
        /// What was done since the start.
        #[serde(flatten)]
        counts: Counts,
    },
}

impl TlsMode {
    /// TLS with an identity, in this mode.
    pub(super) fn with(self, identity: Identity) -> Tls {
        match self {
            Self::Off => Tls::Off,
            Self::Offered => Tls::Offered(identity),
            Self::Required => Tls::Required(identity),
        }
    }
}

struct Courier<'a> {
    options: &'a CourierOptions,
    limits: Limits,
    agent: Agent,
    links: BTreeMap<LinkId, LinkSender>,
    cache: Cache,
    disk: Disk,
    requests: Vec<Request>,
    delivery: Option<Delivery>,
    /// Bundles that found no room, said or not.
    full: Tally,
    /// Bundles that are being read, and for what.
    reading: BTreeMap<BundleKey, Vec<Reading>>,
}

/// Where what happened comes from.
struct Incoming {
    events: Receiver<Event>,
    answers: UnboundedReceiver<Answer>,
    delivered: UnboundedReceiver<io::Result<Done>>,
}

/// What a bundle is read for.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The agent wants to know what it says.
    Look,
    Send {
        link: LinkId,
        expires: Timestamp,
        share: Option<Share>,
    },
    Deliver,
}

/// Runs a courier until `stop` or until its disk fails; `say` takes what it reports.
pub async fn run(
    options: &CourierOptions,
    stop: impl Future<Output = ()>,
    mut say: impl FnMut(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let dir = options.dir.join("bundles");
    private::make_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
    let opened = disk::open(&dir, options.quota_bytes, BUNDLE_BYTES_MAX)?;
    opened.report.lines().for_each(|line| tracing::warn!("{line}"));
    let bundles = opened.restored.len();
    let (disk, answers) = Disk::start(opened.store);
    let node_id = NodeId::new(&options.node.to_string())?;
    let tls = match options.tls {
        TlsMode::Off => Tls::Off,
        mode => {
            let fresh = SecretKey::from_seed(&entropy::nonce()?);
            let key = store::courier_key(&options.dir, &fresh)?;
            say(&Report::Key { key: key.peer_id().to_string() })?;
            mode.with(Identity::new(&key, &node_id)?)
        }
    };
    let (carrier, events) = Carrier::new(CarrierConfig {
        tls,
        trust: Trust {
            dialled: options.peers.iter().filter_map(|peer| peer.node.clone()).collect(),
            ..options.trust.clone()
        },
        sessions_max: options.sessions_max,
        sessions_per_address_max: options.sessions_per_address_max,
        ..CarrierConfig::new(node_id, BUNDLE_BYTES_MAX)
    });
    let (delivery, untaken, delivered) = match options.deliver {
        Deliver::Count => (None, 0, tokio::sync::mpsc::unbounded_channel().1),
        Deliver::Files => {
            let dir = options.dir.join("delivered");
            let started = Delivery::start(&dir);
            let (delivery, untaken, delivered) =
                started.with_context(|| format!("make {}", dir.display()))?;
            (Some(delivery), untaken, delivered)
        }
    };
    let mut courier = Courier::new(options, disk, delivery);
    courier.on_untaken(untaken);
    for input in opened.restored {
        courier.agent.handle(clock::now(), input);
    }
    say(&Report::Opened { bundles })?;
    for address in &options.listen {
        let found = carrier.listen(address).await;
        let found = found.with_context(|| format!("listen at {address}"))?;
        say(&Report::Listening { address: found.to_string() })?;
    }
    for peer in &options.peers {
        carrier.dial(peer.clone(), entropy::nonce()?);
    }
    let incoming = Incoming { events, answers, delivered };
    courier.serve(incoming, stop, &mut say).await?;
    // What was noted last is written before another run may begin.
    courier.disk.finish()
}

impl<'a> Courier<'a> {
    fn new(options: &'a CourierOptions, disk: Disk, delivery: Option<Delivery>) -> Self {
        let limits = Limits { payload_bytes_max: BUNDLE_BYTES_MAX, ..Limits::default() };
        let config = AgentConfig {
            node: options.node.clone(),
            limits,
            // The rest is for what the store writes around bundles, and for compaction.
            quota_bytes: options.quota_bytes / 4 * 3,
            bundles_max: 1_000_000,
            window_bundles: 4_096,
            window_bytes: 24 << 20,
            pause: Span::from_ms(10_000),
            loads_max: 32,
            keep_max: options.keep_max,
            counts_untaken: options.deliver == Deliver::Files,
            routing: options.routing.as_ref().map(Routing::config),
        };
        Self {
            options,
            limits,
            agent: Agent::new(config),
            links: BTreeMap::new(),
            cache: Cache::default(),
            disk,
            requests: Vec::new(),
            delivery,
            full: Tally::default(),
            reading: BTreeMap::new(),
        }
    }

    async fn serve(
        &mut self,
        mut incoming: Incoming,
        stop: impl Future<Output = ()>,
        say: &mut impl FnMut(&Report) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        tokio::pin!(stop);
        let (mut said, mut said_at) = (None, Instant::now());
        let mut batch = Vec::new();
        loop {
            self.carry_out()?;
            let status = self.status();
            let is_news = said.as_ref() != Some(&status);
            if is_news && Instant::now() >= said_at {
                say(&status)?;
                (said, said_at) = (Some(status), Instant::now() + REPORT_PAUSE);
                continue;
            }
            let report_at = is_news.then_some(said_at);
            let due = [self.wake_at(), report_at].into_iter().flatten().min();
            tokio::select! {
                count = incoming.events.recv_many(&mut batch, EVENTS_MAX) => {
                    if count == 0 {
                        bail!("the carrier ended");
                    }
                    batch.drain(..).for_each(|event| self.on_event(event));
                }
                Some(answer) = incoming.answers.recv() => self.on_answer(answer)?,
                Some(done) = incoming.delivered.recv() => {
                    let Done { keys, untaken } = done.context("deliver a bundle")?;
                    self.on_untaken(untaken);
                    self.give(Input::Delivered(keys));
                }
                () = sleep(due) => self.give(Input::Wake),
                () = &mut stop => return self.farewell(incoming.events).await,
            }
        }
    }

    fn status(&self) -> Report {
        let (held, held_bytes) = self.agent.held();
        let counts = self.agent.counts();
        Report::Status { links: self.links.len(), held, held_bytes, counts }
    }

    /// When the agent wants to be woken, on the clock of the runtime.
    fn wake_at(&self) -> Option<Instant> {
        let left = self.agent.wake_at()?.since(clock::now());
        // A lifetime may be longer than the clock of the runtime counts.
        Some(Instant::now() + Duration::from_millis(left.ms().saturating_add(1).min(3_600_000)))
    }

    fn give(&mut self, input: Input) {
        self.agent.handle(clock::now(), input);
    }

    /// So many bytes of delivered bundles lie there: the store has the rest of the quota.
    fn on_untaken(&mut self, bytes: u64) {
        self.requests.push(Request::Quota(self.options.quota_bytes.saturating_sub(bytes)));
        self.give(Input::Untaken(bytes));
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Up { link, node, standing, bundle_bytes_max, sender } => {
                self.links.insert(link, sender);
                self.give(Input::LinkUp { link, node, standing, bundle_bytes_max });
            }
            Event::Received { arrival, bytes } => {
                self.give(Input::Received { arrival, bytes: Arc::new(bytes) });
            }
            Event::Sent { link, key, outcome } => self.give(Input::Sent { link, key, outcome }),
            Event::Down(link) => {
                self.links.remove(&link);
                self.give(Input::LinkDown(link));
            }
            Event::Missed { .. } => {}
        }
    }

    fn on_answer(&mut self, answer: Answer) -> anyhow::Result<()> {
        match answer {
            Answer::Stored(keys) => self.give(Input::Stored(keys)),
            Answer::Full(keys) => {
                keys.iter().for_each(|key| self.cache.remove(*key));
                self.give(Input::Unstored(keys));
            }
            Answer::Loaded { key, bytes } => {
                for reading in self.reading.remove(&key).unwrap_or_default() {
                    self.use_bytes(key, bytes.clone(), reading)?;
                }
            }
            Answer::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Does what the agent says.
    fn carry_out(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Store { key, expires, bytes } => {
                    self.cache.put(key, bytes.clone());
                    self.requests.push(Request::Store { key, expires, bytes });
                }
                Output::Accept(arrival) => {
                    self.tell(arrival.link, Command::Accept(arrival.transfer));
                }
                Output::Refuse { arrival, why } => {
                    tracing::debug!(link = arrival.link.0, %why, "bundle refused");
                    let reason = why.reason();
                    if reason == RefuseReason::NO_RESOURCES
                        && let Some(bundles) = self.full.note(Instant::now())
                    {
                        tracing::warn!(bundles, last_why = %why, "no room: bundles refused");
                    }
                    let command = Command::Refuse { transfer: arrival.transfer, reason };
                    self.tell(arrival.link, command);
                }
                Output::Send { link, key, expires, share } => {
                    self.need(key, Reading::Send { link, expires, share })?;
                }
                Output::Deliver(key) if self.delivery.is_none() => {
                    self.give(Input::Delivered(vec![key]));
                }
                Output::Deliver(key) => self.need(key, Reading::Deliver)?,
                Output::Load(key) => self.need(key, Reading::Look)?,
                Output::Note { key, node } => self.requests.push(Request::Note { key, node }),
                Output::Delete(key) => {
                    self.cache.remove(key);
                    self.requests.push(Request::Delete(key));
                }
            }
        }
        match self.requests.is_empty() {
            true => Ok(()),
            false => self.disk.ask(std::mem::take(&mut self.requests)),
        }
    }

    fn tell(&self, link: LinkId, command: Command) {
        if let Some(link) = self.links.get(&link) {
            link.tell(command);
        }
    }

    /// Uses a bundle's bytes, once they are read if they are not in memory.
    fn need(&mut self, key: BundleKey, reading: Reading) -> anyhow::Result<()> {
        if let Some(bytes) = self.cache.get(key) {
            return self.use_bytes(key, Some(bytes), reading);
        }
        let readings = self.reading.entry(key).or_default();
        if readings.is_empty() {
            self.requests.push(Request::Load(key));
        }
        readings.push(reading);
        Ok(())
    }

    fn use_bytes(
        &mut self,
        key: BundleKey,
        bytes: Option<Arc<Vec<u8>>>,
        reading: Reading,
    ) -> anyhow::Result<()> {
        match reading {
            Reading::Look => self.give(Input::Loaded { key, bytes }),
            Reading::Send { link, expires, share } => {
                let (us, keep_max) = (&self.options.node, self.options.keep_max);
                let stay = Stay { now: clock::now(), expires, keep_max };
                let forward = |bytes| relay::forward(bytes, &self.limits, us, stay, share);
                let parcel = bytes.map(forward);
                self.send(link, key, parcel);
            }
            // It may have expired before it was read.
            Reading::Deliver => {
                if let Some((delivery, bytes)) = self.delivery.as_ref().zip(bytes) {
                    delivery.deliver((key, bytes))?;
                }
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        link: LinkId,
        key: BundleKey,
        parcel: Option<Result<relay::Parcel, BundleError>>,
    ) {
        match parcel {
            Some(Ok(parcel)) => self.tell(link, Command::Send { key, parcel }),
            found => {
                if let Some(Err(error)) = found {
                    tracing::warn!(%error, "a stored bundle cannot be sent on");
                }
                self.give(Input::Sent { link, key, outcome: SendOutcome::Unreadable });
            }
        }
    }

    /// Ends all sessions in good order.
    async fn farewell(&mut self, mut events: Receiver<Event>) -> anyhow::Result<()> {
        self.links.values().for_each(|link| link.tell(Command::End));
        let until = Instant::now() + FAREWELL_MAX;
        while !self.links.is_empty() {
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Down(link)) => _ = self.links.remove(&link),
                    Some(event @ Event::Sent { .. }) => self.on_event(event),
                    Some(_) => {}
                    None => break,
                },
                () = sleep_until(until) => break,
            }
        }
        self.carry_out()
    }
}

async fn sleep(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
