//! Couriers that run: real directories and connections, and restarts between them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longhaul_dtn::bpv7::{Bundle, CreationTimestamp, Draft, EndpointId, Limits, PrimaryBlock};
use longhaul_dtn::tcpcl::NodeId;
use longhaul_dtn::time::Span;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};

use super::carrier::{Carrier, CarrierConfig, Event, PeerAddress};
use super::*;
use crate::shell::clock;

mod routing;

/// After so long a test fails instead of waiting on.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("longhaul-courier-{process}-{number}"));
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn endpoint(text: &str) -> EndpointId {
    text.parse().expect("an endpoint id")
}

/// A courier that runs, its address and what it said last.
struct Running {
    address: String,
    status: watch::Receiver<Option<Report>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

async fn start(name: &str, dir: &Path, peers: &[&Running], deliver: Deliver) -> Running {
    start_with(name, dir, peers, deliver, (None, Trust::default())).await
}

async fn start_with(
    name: &str,
    dir: &Path,
    peers: &[&Running],
    deliver: Deliver,
    (routing, trust): (Option<Routing>, Trust),
) -> Running {
    let address = |peer: &&Running| PeerAddress { address: peer.address.clone(), node: None };
    let options = CourierOptions {
        node: endpoint(&format!("dtn://{name}/")),
        listen: vec!["127.0.0.1:0".to_owned()],
        peers: peers.iter().map(address).collect(),
        dir: dir.join(name),
        quota_bytes: 64 << 20,
        keep_max: Span::from_ms(86_400_000),
        deliver,
        routing,
        trust,
        tls: TlsMode::Offered,
        sessions_max: 64,
        sessions_per_address_max: 8,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let (said, status) = watch::channel(None);
    let (listens, listening) = oneshot::channel();
    let mut listens = Some(listens);
    let task = tokio::task::spawn_local(async move {
        let stop = async { _ = stopped.await };
        let say = |report: &Report| {
            if let Report::Listening { address } = report
                && let Some(listens) = listens.take()
            {
                let _ = listens.send(address.clone());
            }
            said.send_replace(Some(report.clone()));
            Ok(())
        };
        run(&options, stop, say).await
    });
    let address = listening.await.expect("it runs");
    Running { address, status, stop, task }
}

impl Running {
    /// Waits until the counts and the number of bundles held are as told.
    async fn reaches(&mut self, check: impl Fn(&agent::Counts, usize) -> bool) {
        let holds = |report: &Option<Report>| match report {
            Some(Report::Status { counts, held, .. }) => check(counts, *held),
            _ => false,
        };
        let reached = tokio::time::timeout(PATIENCE, self.status.wait_for(holds)).await.is_ok();
        assert!(reached, "{:?}", *self.status.borrow());
    }

    async fn ends(self) {
        drop(self.stop);
        self.task.await.expect("no panic").expect("no failure");
    }
}

/// Writes a bundle as a file.
fn write(dir: &Path, sequence: u64, destination: &str, payload: &[u8]) -> PathBuf {
    let created = CreationTimestamp { time: clock::now(), sequence };
    let lifetime = Span::from_ms(3_600_000);
    let source = endpoint("dtn://source/out");
    let draft = Draft::new(PrimaryBlock::new(source, endpoint(destination), created, lifetime));
    let file = dir.join(format!("{sequence}.bundle"));
    std::fs::write(&file, draft.encode(payload).expect("a bundle")).expect("room on the disk");
    file
}

async fn hand_over(to: &Running, files: Vec<PathBuf>) -> SendReport {
    let node = endpoint("dtn://sender/");
    let to = PeerAddress { address: to.address.clone(), node: None };
    let (tls, allowed) = (TlsMode::Offered, vec![]);
    send(&SendOptions { to, tls, allowed, node, files }).await.expect("it listens")
}

/// Payloads of the delivered files, in the order of their contents.
fn delivered(dir: &Path, name: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(dir.join(name).join("delivered")).expect("a directory");
    let mut payloads: Vec<Vec<u8>> = files
        .map(|file| std::fs::read(file.expect("readable").path()).expect("readable"))
        .map(|bytes| {
            Bundle::decode(&bytes, &Limits::default()).expect("a bundle").payload().to_vec()
        })
        .collect();
    payloads.sort();
    payloads
}

#[tokio::test]
async fn bundles_reach_their_node_over_two_hops_as_files() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut last = start("c", dir, &[], Deliver::Files).await;
            let middle = start("b", dir, &[&last], Deliver::Files).await;
            let first = start("a", dir, &[&middle], Deliver::Files).await;
            let payloads = [vec![1; 10], vec![2; 100_000], vec![3; 2_000_000]];
            let files = (0..).zip(&payloads).map(|(n, it)| write(dir, n, "dtn://c/in", it));
            let report = hand_over(&first, files.collect()).await;
            assert_eq!(report, SendReport { acknowledged: 3, refused: 0 });
            last.reaches(|counts, _| counts.delivered == 3).await;
            assert_eq!(delivered(dir, "c"), payloads);
            for courier in [first, middle, last] {
                courier.ends().await;
            }
        })
        .await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart_and_is_forwarded_once() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let first = start("a", dir, &[], Deliver::Count).await;
            let files = (0..20).map(|n| write(dir, n, "dtn://z/in", &[7; 5_000])).collect();
            assert_eq!(hand_over(&first, files).await.acknowledged, 20);
            first.ends().await;
            // There is nobody to forward to before the restart.
            let mut other = start("b", dir, &[], Deliver::Count).await;
            let mut again = start("a", dir, &[&other], Deliver::Count).await;
            other.reaches(|counts, held| counts.received == 20 && held == 20).await;
            again.reaches(|counts, _| counts.forwarded == 20).await;
            again.ends().await;
            // What b has is remembered: the next run sends only what is new.
            let mut third = start("a", dir, &[&other], Deliver::Count).await;
            hand_over(&third, vec![write(dir, 99, "dtn://z/in", b"new")]).await;
            other.reaches(|counts, held| counts.received == 21 && held == 21).await;
            third.reaches(|counts, held| counts.forwarded == 1 && held == 21).await;
            other.reaches(|counts, _| counts.duplicates == 0).await;
            third.ends().await;
            other.ends().await;
        })
        .await;
}

#[tokio::test]
async fn a_bundle_that_comes_twice_is_acknowledged_twice_and_delivered_once() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut courier = start("a", dir, &[], Deliver::Files).await;
            let file = write(dir, 1, "dtn://a/in", b"once");
            for _ in 0..2 {
                assert_eq!(hand_over(&courier, vec![file.clone()]).await.acknowledged, 1);
            }
            courier.reaches(|counts, _| counts.delivered == 1 && counts.duplicates == 1).await;
            courier.ends().await;
            let mut again = start("a", dir, &[], Deliver::Files).await;
            assert_eq!(hand_over(&again, vec![file]).await.acknowledged, 1);
            again.reaches(|counts, _| counts.duplicates == 1 && counts.delivered == 0).await;
            again.ends().await;
            assert_eq!(delivered(dir, "a"), [b"once"]);
        })
        .await;
}

#[tokio::test]
async fn says_which_bundles_are_not_wanted() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let courier = start("a", dir, &[], Deliver::Count).await;
            let good = write(dir, 1, "dtn://z/in", b"good");
            let expired = dir.join("expired.bundle");
            let created = CreationTimestamp { time: clock::now(), sequence: 2 };
            let (source, destination) = (endpoint("dtn://source/"), endpoint("dtn://z/"));
            let primary = PrimaryBlock::new(source, destination, created, Span::from_ms(0));
            let bytes = Draft::new(primary).encode(b"late").expect("a bundle");
            std::fs::write(&expired, bytes).expect("room on the disk");
            let report = hand_over(&courier, vec![good, expired]).await;
            assert_eq!(report, SendReport { acknowledged: 1, refused: 1 });
            courier.ends().await;
        })
        .await;
}

/// A carrier that connects to a courier under the name of a node; how many bundles come over it.
async fn taken_under_the_name_of(node: &str, from: &Running) -> usize {
    let node_id = NodeId::new(node).expect("a node id");
    let (carrier, mut events) = Carrier::new(CarrierConfig::new(node_id, 1 << 20));
    carrier.dial(PeerAddress { address: from.address.clone(), node: None }, [1; 32]);
    let quiet = Duration::from_millis(300);
    // All are kept: the session ends with its sender.
    let mut happened = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(quiet, events.recv()).await {
        happened.push(event);
    }
    assert!(matches!(happened[..], [Event::Up { .. }, ..]), "{happened:?}");
    happened.iter().filter(|event| matches!(event, Event::Received { .. })).count()
}

#[tokio::test]
async fn whoever_takes_the_name_of_a_destination_is_not_handed_its_bundles() {
    let folder = Folder::new();
    let dir = folder.0.as_path();
    let local = LocalSet::new();
    local
        .run_until(async {
            let courier = start("a", dir, &[], Deliver::Count).await;
            let files = (0..3).map(|n| write(dir, n, "dtn://z/in", b"for z alone")).collect();
            assert_eq!(hand_over(&courier, files).await.acknowledged, 3);
            assert_eq!(taken_under_the_name_of("dtn://z/", &courier).await, 0);
            courier.ends().await;
            let trust = Trust { everyone: true, ..Trust::default() };
            let credulous = start_with("a", dir, &[], Deliver::Count, (None, trust)).await;
            assert_eq!(taken_under_the_name_of("dtn://z/", &credulous).await, 3);
            credulous.ends().await;
        })
        .await;
}
