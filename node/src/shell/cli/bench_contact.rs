//! `longhaul bench contact`: how fast bundles go from one process to another.
//!
//! Two processes on loopback. First a bare libp2p stream (TCP, Noise, Yamux) moves
//! the bytes of the payloads and nothing else; then a contact moves the bundles:
//! heads and signatures checked, each group of payload checked against its hash,
//! payloads and log entries durable before they are acknowledged. What is left out is what
//! the fold makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use longhaul_dtn::agent::{Agent, AgentConfig, Held, Input, Output, Verdict};
use longhaul_dtn::bundle::{BundleDraft, BundleHead, BundleId, BundleLimits};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::hash::{ContentHash, mix64};
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::{FederationId, LogWriter, Record};
use tokio::sync::mpsc;

use super::bench_store::cpu_s;
use super::say;
use crate::peer::{PersistRequest, Ticket};
use crate::shell::clock;
use crate::shell::driver::disk::{Disk, Stored};
use crate::shell::net::{
    self, NetConfig, NetEvent, NetHandle, NetLimits, NetTiming, PeerAddress, ReachConfig,
};
use crate::shell::store::Store;

/// How long a run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(600);
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";
const HEADER_BYTES: usize = 400;

/// Arguments of `bench contact`.
#[derive(Debug, Clone, Args)]
pub(super) struct ContactArgs {
    /// Number of bundles.
    #[arg(long, default_value_t = 256, value_name = "N")]
    bundles: u32,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    bytes: u32,
    /// Where the receiver stores; a folder that is made and removed. Name one on the disk that
    /// is meant: a folder in memory makes durable writes look cheap.
    #[arg(long, default_value = "longhaul-bench", value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Serve this part to another process: for the bench itself.
    #[arg(long, hide = true)]
    serve: Option<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Bare,
    Contact,
}

/// A figure.
struct Moved {
    seconds: f64,
    cpu_seconds: f64,
}

pub(super) fn contact(args: &ContactArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.bundles > 0 && args.bytes > 0, "give at least one bundle of one byte");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.serve {
        Some(Part::Bare) => runtime.block_on(serve_bare(args))?,
        Some(Part::Contact) => runtime.block_on(serve_contact(args))?,
        None => runtime.block_on(measure(args))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &ContactArgs) -> anyhow::Result<()> {
    let bare = {
        let server = Server::start(args, Part::Bare)?;
        let before = cpu_seconds();
        let me = key(2);
        let received = net::bare::receive(&me, &server.address, Instant::now);
        let (bytes, start, end) = tokio::time::timeout(PATIENCE, received).await??;
        ensure!(bytes == total(args), "{bytes} bytes came of {}", total(args));
        Moved { seconds: (end - start).as_secs_f64(), cpu_seconds: cpu_seconds() - before }
    };
    let contact = {
        let server = Server::start(args, Part::Contact)?;
        let before = cpu_seconds();
        let elapsed = tokio::time::timeout(PATIENCE, fetch(args, &server.address)).await??;
        Moved { seconds: elapsed.as_secs_f64(), cpu_seconds: cpu_seconds() - before }
    };
    show(args, &bare, &contact)
}

fn show(args: &ContactArgs, bare: &Moved, contact: &Moved) -> anyhow::Result<()> {
    let mb_per_s = |moved: &Moved| total(args) as f64 / moved.seconds / 1e6;
    let per_s = f64::from(args.bundles) / contact.seconds;
    let share = bare.seconds / contact.seconds;
    if args.json {
        let value = serde_json::json!({
            "bundles": args.bundles,
            "payload_bytes": args.bytes,
            "bare_mb_per_s": mb_per_s(bare),
            "contact_mb_per_s": mb_per_s(contact),
            "contact_bundles_per_s": per_s,
            "share_of_bare": share,
            "receiver_cpu_s": { "bare": bare.cpu_seconds, "contact": contact.cpu_seconds },
        });
        say!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    let (bundles, bytes) = (args.bundles, args.bytes);
    say!("{bundles} bundles of {bytes} bytes, between two processes on loopback");
    say!("bare libp2p stream {:>9.1} MB/s  {:.2} CPU s", mb_per_s(bare), bare.cpu_seconds);
    say!(
        "contact, durable   {:>9.1} MB/s  {:.2} CPU s  {per_s:.1} bundles/s",
        mb_per_s(contact),
        contact.cpu_seconds
    );
    say!("share of the bare stream: {:.0} %", share * 100.0);
    Ok(())
}

fn total(args: &ContactArgs) -> u64 {
    u64::from(args.bundles) * u64::from(args.bytes)
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// Processor time of this process; zero where the system does not say.
fn cpu_seconds() -> f64 {
    cpu_s().unwrap_or_default()
}

/// The process at the other end.
struct Server {
    child: Child,
    address: PeerAddress,
}

impl Server {
    fn start(args: &ContactArgs, part: Part) -> anyhow::Result<Self> {
        let name = if part == Part::Bare { "bare" } else { "contact" };
        let (bundles, bytes) = (args.bundles.to_string(), args.bytes.to_string());
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "contact", "--serve", name])
            .args(["--bundles", &bundles, "--bytes", &bytes])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the other process")?;
        let out = child.stdout.take().context("the other process has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = PeerAddress::new(key(1).peer_id(), line.trim().parse()?)?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve_bare(args: &ContactArgs) -> anyhow::Result<()> {
    let said = |address: &_| println!("{address}");
    Ok(net::bare::send(&key(1), key(2).peer_id(), LISTEN.parse()?, total(args), said).await?)
}

fn limits(args: &ContactArgs) -> BundleLimits {
    BundleLimits {
        header_bytes_max: HEADER_BYTES,
        proof_bytes_max: 0,
        payload_bytes_max: args.bytes.into(),
        lifetime_max: Span::from_ms(86_400_000),
    }
}

fn agent(args: &ContactArgs, number: u8) -> Agent {
    let scope = ContentHash::of(b"bench");
    Agent::new(AgentConfig::new(key(number).peer_id(), scope, limits(args), [number; 32]))
}

fn held(args: &ContactArgs, number: u32, now: Timestamp) -> anyhow::Result<Held> {
    // Payloads must differ: equal ones are one file in a store that names them by hash.
    let (seed, words) = (u64::from(number) << 32, u64::from(args.bytes).div_ceil(8));
    let mut payload: Vec<u8> = (0..words).flat_map(|at| mix64(seed + at).to_le_bytes()).collect();
    payload.truncate(args.bytes as usize);
    let draft = BundleDraft {
        destination: Eid::none(),
        created: now,
        sequence: number.into(),
        lifetime: Span::from_ms(86_400_000),
        hop_limit: 9,
        header: vec![0; HEADER_BYTES],
        payload: &payload,
    };
    let head = Arc::new(BundleHead::seal(draft, &key(1))?);
    Ok(Held { head, payload: payload.into() })
}

fn start_net(number: u8, peers: Vec<PeerAddress>) -> anyhow::Result<Net> {
    let listen = if peers.is_empty() { vec![LISTEN.parse()?] } else { vec![] };
    let config = NetConfig {
        key: key(number),
        listen,
        peers,
        members: BTreeSet::from([key(1).peer_id(), key(2).peer_id()]),
        mdns: false,
        reach: ReachConfig::default(),
        limits: NetLimits::default(),
        timing: NetTiming::default(),
        spread_seed: [number; 32],
    };
    Ok(net::start(config)?)
}

type Net = (NetHandle, mpsc::Receiver<NetEvent>);

fn input_of(event: NetEvent) -> Option<Input> {
    match event {
        NetEvent::LinkUp { link, peer } => Some(Input::LinkUp { link, peer }),
        NetEvent::LinkDown { link, .. } => Some(Input::LinkDown { link }),
        NetEvent::Frame { link, bytes } => Some(Input::Frame { link, bytes }),
        NetEvent::Listening(_) | NetEvent::Refused { .. } => None,
    }
}

async fn serve_contact(args: &ContactArgs) -> anyhow::Result<()> {
    let (net, mut events) = start_net(1, vec![])?;
    let mut agent = agent(args, 1);
    for number in 0..args.bundles {
        agent.handle(clock::now(), Input::Publish(held(args, number, clock::now())?));
    }
    loop {
        let event = events.recv().await.context("the network ended")?;
        if let NetEvent::Listening(address) = &event {
            println!("{address}");
        }
        let Some(input) = input_of(event) else { continue };
        agent.handle(clock::now(), input);
        while let Some(output) = agent.poll() {
            match output {
                Output::Transmit { link, frame } => net.send(link, frame)?,
                Output::Close { reason, .. } => bail!("the contact was closed: {reason}"),
                _ => {}
            }
        }
    }
}

/// The side that fetches and stores.
struct Receiver {
    agent: Agent,
    net: NetHandle,
    disk: Disk,
    log: LogWriter,
    storing: BTreeMap<Ticket, BundleId>,
    next: u64,
    stored: u32,
}

impl Receiver {
    fn handle(&mut self, input: Input) -> anyhow::Result<()> {
        self.agent.handle(clock::now(), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Transmit { link, frame } => self.net.send(link, frame)?,
                Output::Close { reason, .. } => bail!("the contact was closed: {reason}"),
                Output::Refused { reason, .. } => bail!("a bundle was refused: {reason}"),
                Output::Judge { held, from } => {
                    let record = Record::Accept { head: held.head.encode(), from };
                    self.persist(&held, record)?;
                }
                Output::Met { .. } | Output::Arriving { .. } => {}
            }
        }
        Ok(())
    }

    fn persist(&mut self, held: &Held, record: Record) -> anyhow::Result<()> {
        self.storing.insert(Ticket::new(self.next), held.head.id());
        let payload = Some((held.head.payload_hash(), held.payload.clone()));
        self.record(record, payload)
    }

    fn record(
        &mut self,
        record: Record,
        payload: Option<(ContentHash, Arc<[u8]>)>,
    ) -> anyhow::Result<()> {
        let ticket = Ticket::new(self.next);
        self.next += 1;
        let entries = vec![self.log.append(clock::now(), record)];
        self.disk.persist(PersistRequest { ticket, entries, payload, forget: vec![] })
    }

    fn stored(&mut self, stored: Stored) -> anyhow::Result<()> {
        for ticket in stored? {
            if let Some(id) = self.storing.remove(&ticket) {
                self.stored += 1;
                self.handle(Input::Judged { id, verdict: Verdict::Accept })?;
            }
        }
        Ok(())
    }
}

async fn fetch(args: &ContactArgs, from: &PeerAddress) -> anyhow::Result<Duration> {
    let folder = Folder::make(&args.dir)?;
    Store::create(&folder.0, &key(2))?;
    let (disk, mut stored) = Disk::start(Store::open(&folder.0)?);
    let log = LogWriter::new(key(2));
    let (net, mut events) = start_net(2, vec![from.clone()])?;
    let (agent, storing) = (agent(args, 2), BTreeMap::new());
    let mut receiver = Receiver { agent, net, disk, log, storing, next: 0, stored: 0 };
    let federation = FederationId::from_hash(ContentHash::of(b"bench"));
    receiver.record(Record::Genesis { federation }, None)?;
    let mut start = None;
    while receiver.stored < args.bundles {
        tokio::select! {
            event = events.recv() => {
                let event = event.context("the network ended")?;
                if matches!(event, NetEvent::LinkUp { .. }) {
                    start.get_or_insert_with(Instant::now);
                }
                if let Some(input) = input_of(event) {
                    receiver.handle(input)?;
                }
            }
            stored = stored.recv() => receiver.stored(stored.context("the disk thread ended")?)?,
        }
    }
    Ok(start.context("there was no contact")?.elapsed())
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn make(path: &Path) -> anyhow::Result<Self> {
        ensure!(!path.exists(), "{} is there already; name another --dir", path.display());
        Ok(Self(path.to_path_buf()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is named by the user's own option.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ContactArgs {
        let (dir, json, serve) = ("bench".into(), false, None);
        ContactArgs { bundles: 3, bytes: 40_000, dir, json, serve }
    }

    #[test]
    fn both_parts_move_the_same_bytes() {
        let bytes: usize = (0..3)
            .map(|number| held(&args(), number, clock::now()).expect("sound").payload.len())
            .sum();
        assert_eq!(bytes as u64, total(&args()));
    }

    #[test]
    fn bundles_are_as_the_limits_allow_and_differ() {
        let [one, other] = [0, 1].map(|number| held(&args(), number, clock::now()).expect("sound"));
        assert!(one.head.check(&limits(&args())).is_ok());
        assert_ne!(one.payload, other.payload);
        assert_eq!(one.head.check_payload(&one.payload), Ok(()));
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(Folder::make(root.path()).is_err());
        let own = Folder::make(&root.path().join("own")).expect("a new name");
        std::fs::create_dir(&own.0).expect("a folder");
        drop(own);
        assert!(root.path().exists() && !root.path().join("own").exists());
    }
}
