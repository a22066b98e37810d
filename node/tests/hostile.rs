//! A member that attacks a running peer on every side of the contact protocol, while an honest
//! member is in contact with it: memory and disk keep their bounds, and the honest contact goes on.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use longhaul_dtn::agent::LinkId;
use longhaul_dtn::bundle::{BundleDraft, BundleHead, BundleId};
use longhaul_dtn::eid::Eid;
use longhaul_dtn::frame::{Frame, HAVE_IDS_MAX, Page, PageStart, Terms, Versions};
use longhaul_dtn::groups::{GroupIndex, GroupProof};
use longhaul_dtn::hash::ContentHash;
use longhaul_dtn::identity::SecretKey;
use longhaul_dtn::sketch::{CellCount, Encoder, KeyedIds, SketchKey, Symbol};
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_node::shell::clock;
use longhaul_node::shell::net::{
    self, NetConfig, NetEvent, NetHandle, NetLimits, NetTiming, PeerAddress, ReachConfig,
};
use longhaul_node::shell::store::Store;
use longhaul_registry::{Record, SignedManifest};
use support::{Federation, Plan, pause};
use tokio::sync::mpsc::Receiver;

const VICTIM: usize = 0;
const HONEST: usize = 1;
const ATTACKER: usize = 2;
const RESIDENT_GROWTH_MAX: u64 = 64 << 20;
/// What the victim may write on the attacker's account: recorded refusals.
const DISK_GROWTH_MAX: u64 = 1 << 20;
/// How long an attack goes on if the victim does not end it.
const ATTACK_MAX: Duration = Duration::from_millis(400);

struct Attacker {
    key: SecretKey,
    manifest: SignedManifest,
    victim: PeerAddress,
    closed: u32,
}

/// One link to the victim.
struct Contact {
    net: NetHandle,
    events: Receiver<NetEvent>,
    link: LinkId,
    nonce: [u8; 32],
    is_down: bool,
}

fn id(number: u64) -> BundleId {
    BundleId::from_hash(ContentHash::of(&number.to_be_bytes()))
}

impl Attacker {
    /// Connects and, with `held`, says hello.
    async fn contact(&self, held: Option<u64>) -> Option<Contact> {
        let config = NetConfig {
            key: self.key.clone(),
            listen: vec![],
            peers: vec![self.victim.clone()],
            members: BTreeSet::from([self.victim.peer()]),
            mdns: false,
            reach: ReachConfig::default(),
            limits: NetLimits::default(),
            timing: NetTiming::default(),
            spread_seed: [7; 32],
        };
        let (net, mut events) = net::start(config).expect("loopback");
        let link = loop {
            let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
            let event = event.expect("the victim answers").expect("the net runs");
            if let NetEvent::LinkUp { link, .. } = event {
                break link;
            }
        };
        let mut contact = Contact { net, events, link, nonce: [0; 32], is_down: false };
        let Some(held) = held else { return Some(contact) };
        let terms = Terms { held, ..Terms::default() };
        let scope = self.manifest.id().hash();
        let hello = Frame::Hello { versions: Versions::SPOKEN, scope, nonce: [5; 32], terms };
        contact.send(&hello);
        match contact.frame().await? {
            Frame::Hello { nonce, .. } => contact.nonce = nonce,
            other => panic!("a hello, found {other:?}"),
        }
        Some(contact)
    }

    /// A bundle that this member signs.
    fn bundle(&self, sequence: u64, created: Timestamp, payload: &[u8]) -> BundleHead {
        let destination = Eid::dtn(&self.manifest.id().to_string(), "updates").expect("short");
        let draft = BundleDraft {
            destination,
            created,
            sequence,
            lifetime: self.manifest.bundle_limits().lifetime_max.min(Span::from_ms(60_000)),
            hop_limit: 9,
            header: vec![sequence as u8; 60],
            payload,
        };
        BundleHead::seal(draft, &self.key).expect("a sound draft")
    }
}

impl Contact {
    /// False once the victim has closed the link.
    fn send(&self, frame: &Frame) -> bool {
        self.net.send(self.link, frame.encode()).is_ok()
    }

    /// The next frame; none when the link has ended or nothing comes.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            match tokio::time::timeout(ATTACK_MAX, self.events.recv()).await.ok()?? {
                NetEvent::Frame { bytes, .. } => return Frame::decode(&bytes).ok(),
                NetEvent::LinkDown { .. } => {
                    self.is_down = true;
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Reads what comes until the victim closes or nothing comes; true if it closed.
    async fn is_closed(&mut self) -> bool {
        while !self.is_down {
            match tokio::time::timeout(ATTACK_MAX, self.events.recv()).await {
                Ok(Some(NetEvent::LinkDown { .. }) | None) => return true,
                Ok(Some(_)) => {}
                Err(_) => return false,
            }
        }
        true
    }

    async fn end(mut self, attacker: &mut Attacker) {
        attacker.closed += u32::from(self.is_closed().await);
        let _ = self.net.shutdown().await;
        while self.events.recv().await.is_some() {}
    }

    /// Answers wants with what `answer` makes of them, until none comes.
    async fn answer(&mut self, mut answer: impl FnMut(Frame) -> Option<Frame>) {
        while let Some(frame) = self.frame().await {
            if let Some(answer) = answer(frame)
                && !self.send(&answer)
            {
                return;
            }
        }
    }
}

/// Every kind of attack once.
async fn attack(attacker: &mut Attacker) {
    silent(attacker).await;
    flood_of_ids(attacker).await;
    floods_of_questions(attacker).await;
    sketches(attacker).await;
    lies(attacker).await;
    bundles(attacker).await;
}

/// Connections that say nothing, or nothing that makes sense.
async fn silent(attacker: &mut Attacker) {
    if let Some(contact) = attacker.contact(None).await {
        pause(Duration::from_millis(100));
        contact.end(attacker).await;
    }
    for bytes in [vec![], vec![0xff; 60_000], vec![0x9f; 100], Frame::List.encode()] {
        let Some(contact) = attacker.contact(Some(3)).await else { continue };
        let _ = contact.net.send(contact.link, bytes);
        contact.end(attacker).await;
    }
}

/// Offers of 200,000 bundles that do not exist.
async fn flood_of_ids(attacker: &mut Attacker) {
    let Some(mut contact) = attacker.contact(Some(3)).await else { return };
    for page in 0..400 {
        let first = page * HAVE_IDS_MAX as u64;
        let ids = (first..first + HAVE_IDS_MAX as u64).map(id).collect();
        if !contact.send(&Frame::Have { ids, page: Page::Continued }) {
            break;
        }
        tokio::task::yield_now().await;
    }
    contact
        .answer(|frame| match frame {
            Frame::WantHead(id) | Frame::WantGroup { id, .. } => Some(Frame::Gone(id)),
            _ => None,
        })
        .await;
    contact.end(attacker).await;
}

/// Questions without an end, whose answers are not read.
async fn floods_of_questions(attacker: &mut Attacker) {
    let index = GroupIndex::new(0).expect("small");
    for frame in [
        Frame::More { from: PageStart::Newest },
        Frame::WantHead(id(1)),
        Frame::WantGroup { id: id(1), index },
        Frame::Ack(id(1)),
        Frame::Gone(id(1)),
    ] {
        let Some(contact) = attacker.contact(Some(3)).await else { continue };
        for _ in 0..20_000 {
            if !contact.send(&frame) {
                break;
            }
        }
        contact.end(attacker).await;
    }
}

/// Cells that never decode, and requests for cells and symbols without an end.
async fn sketches(attacker: &mut Attacker) {
    for held in [9, 1 << 40, 1 << 63] {
        let Some(mut contact) = attacker.contact(Some(held)).await else { continue };
        let key = SketchKey::between(&contact.nonce, &[99; 32]);
        let ids = KeyedIds::new(key, (0..3_000).map(id)).expect("a set");
        let mut encoder = Encoder::new(ids);
        for _ in 0..200 {
            let Ok(batch) = encoder.batch(CellCount::new(4_096).expect("small")) else { break };
            if !contact.send(&Frame::Cells(batch)) {
                break;
            }
        }
        contact
            .answer(|frame| match frame {
                Frame::Cells(_) => Some(Frame::MoreCells(CellCount::MAX)),
                Frame::MoreCells(_) => Some(Frame::Resolve {
                    symbols: vec![Symbol::from_bytes([1; 8]); 512],
                    page: Page::Continued,
                }),
                _ => None,
            })
            .await;
        contact.end(attacker).await;
    }
}

/// Offers, then nothing, another head, or groups that are not the payload's.
async fn lies(attacker: &mut Attacker) {
    let payload = vec![7; 40_000];
    let head = attacker.bundle(1, clock::now(), &payload);
    let other = attacker.bundle(2, clock::now(), &payload);
    for lie in 0..4 {
        let Some(mut contact) = attacker.contact(Some(3)).await else { continue };
        contact.send(&Frame::Have { ids: vec![head.id(); 5], page: Page::Last });
        let (right, wrong) = (head.encode(), other.encode());
        contact
            .answer(|frame| match (frame, lie) {
                (_, 0) => None,
                (Frame::WantHead(id), 1) => Some(Frame::Head { id, head: wrong.clone() }),
                (Frame::WantHead(id), 2) => Some(Frame::Head { id, head: vec![0x9f; 3_000] }),
                (Frame::WantHead(id), _) => Some(Frame::Head { id, head: right.clone() }),
                (Frame::WantGroup { id, index }, _) => {
                    let proof = GroupProof::new(vec![[3; 32]; 2]).expect("short");
                    Some(Frame::Group { id, index, proof, bytes: vec![9; 16_384] })
                }
                _ => None,
            })
            .await;
        contact.end(attacker).await;
    }
}

/// Bundles that this member signed and that are no updates; old, late and early ones; replays.
async fn bundles(attacker: &mut Attacker) {
    let Some(mut contact) = attacker.contact(Some(3)).await else { return };
    let now = clock::now();
    let times = [now, Timestamp::from_dtn_ms(1), now.plus(Span::from_ms(1 << 40))];
    let payload = vec![1; 9_000];
    let made: Vec<BundleHead> = (0..400_usize)
        .map(|it| attacker.bundle(it as u64, times[it % times.len()], &payload))
        .collect();
    for heads in made.chunks(100).chain(made.chunks(100)) {
        let ids = heads.iter().map(BundleHead::id).collect();
        contact.send(&Frame::Have { ids, page: Page::Last });
    }
    let of = |id: &BundleId| made.iter().find(|head| head.id() == *id);
    contact
        .answer(|frame| match frame {
            Frame::WantHead(id) => Some(
                of(&id).map_or(Frame::Gone(id), |head| Frame::Head { id, head: head.encode() }),
            ),
            Frame::WantGroup { id, index } => {
                let proof = GroupProof::default();
                Some(Frame::Group { id, index, proof, bytes: payload.clone() })
            }
            _ => None,
        })
        .await;
    let replay = Frame::Head { id: made[0].id(), head: made[0].encode() };
    (0..100).for_each(|_| _ = contact.send(&replay));
    contact.end(attacker).await;
}

/// How many updates a peer's log says that it has published.
fn published(dir: &Path) -> usize {
    let entries = Store::read(dir).expect("the log is whole").restored.entries;
    entries.iter().filter(|entry| matches!(entry.record(), Record::Update { .. })).count()
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number");
    kib << 10
}

fn bytes_in(dir: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(dir) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| bytes_in(&entry.path())).sum()
}

#[test]
fn a_hostile_member_costs_neither_memory_nor_disk_nor_the_honest_contact() {
    let plan = Plan { peers: 3, epochs: 40, epoch_ms: 500 };
    let mut federation = Federation::new("hostile", plan);
    let dir = federation.dir(ATTACKER);
    let mut attacker = Attacker {
        key: Store::key(&dir).expect("it was made"),
        manifest: Store::read(&dir).expect("it has joined").manifest,
        victim: federation.address(VICTIM),
        closed: 0,
    };
    federation.start(VICTIM);
    federation.start(HONEST);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Once it has trained, the victim's memory has its size.
    while federation.status_now(VICTIM).is_none_or(|it| it["updates"].as_u64() < Some(6)) {
        pause(Duration::from_millis(100));
    }
    let process = federation.process(VICTIM);
    let before = (resident_bytes(process), bytes_in(&federation.dir(VICTIM)));
    runtime.block_on(attack(&mut attacker));
    let after = (resident_bytes(process), bytes_in(&federation.dir(VICTIM)));
    println!(
        "resident {} -> {} KiB, disk {} -> {} KiB, closed {} times",
        before.0 >> 10,
        after.0 >> 10,
        before.1 >> 10,
        after.1 >> 10,
        attacker.closed
    );
    assert!(after.0 <= before.0 + RESIDENT_GROWTH_MAX, "{before:?} -> {after:?}");
    assert!(attacker.closed >= 8, "the victim closed only {} contacts", attacker.closed);
    federation.wait();
    let [victim, honest] = [VICTIM, HONEST].map(|it| federation.status(it));
    assert_eq!(victim["model"], honest["model"], "{victim:#?} {honest:#?}");
    // A busy machine skips epochs; whatever either has published, the victim has.
    let published: usize = [VICTIM, HONEST].map(|it| published(&federation.dir(it))).iter().sum();
    assert_eq!(victim["updates"], published, "{victim:#?}");
    assert!(published > 40, "only {published} updates were published");
    assert!(victim["refused"].as_u64() > Some(100), "the attack arrived: {victim:#?}");
    let [ours, theirs] = [VICTIM, HONEST].map(|it| bytes_in(&federation.dir(it)));
    assert!(ours <= theirs + DISK_GROWTH_MAX, "{ours} bytes, the honest peer has {theirs}");
    federation.remove();
}
