//! The disk thread: bundles become durable in groups.
//!
//! While one group is synced the next one gathers, so that many bundles that wait share one sync.
//! Requests keep their order as far as it matters: a bundle that is deleted and comes again is not
//! lost. While nothing is asked of it, the thread compacts the store.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use longhaul_dtn::time::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::agent::{Input, NodeNumber};
use crate::shell::bundles::{
    BundleKey, BundleStore, BundleStoreError, Inserted, NewBundle, OpenReport, StoreLimits,
};

/// Most bundles of one sync.
const GROUP_MAX: usize = 4_096;
/// No more bundles are added to a group that has so many bytes.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Bytes that compaction copies before requests are looked at again.
const COMPACT_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a segment of the store, where the quota is large.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Segments that a small quota is divided into.
const SEGMENTS_MIN: u64 = 8;

/// Something that the store is to do.
#[derive(Debug)]
pub(super) enum Request {
    /// Make a bundle durable.
    Store {
        /// Its name.
        key: BundleKey,
        /// When it may be forgotten.
        expires: Timestamp,
        /// Its bytes.
        bytes: Arc<Vec<u8>>,
    },
    /// Remember who has a bundle.
    Note {
        /// The bundle.
        key: BundleKey,
        /// Who has it.
        node: NodeNumber,
    },
    /// Forget a bundle.
    Delete(BundleKey),
    /// Read a bundle.
    Load(BundleKey),
    /// Take bundles up to so many bytes on the disk.
    Quota(u64),
}

/// What the store did.
#[derive(Debug)]
pub(super) enum Answer {
    /// These are durable.
    Stored(Vec<BundleKey>),
    /// There is no room for these.
    Full(Vec<BundleKey>),
    /// What [`Request::Load`] found.
    Loaded {
        /// The bundle.
        key: BundleKey,
        /// Its bytes; none if it is gone.
        bytes: Option<Arc<Vec<u8>>>,
    },
    /// Nothing can be stored any more.
    Failed(BundleStoreError),
}

/// The way to the disk thread.
#[derive(Debug)]
pub(super) struct Disk {
    requests: Sender<Vec<Request>>,
    thread: JoinHandle<Result<(), BundleStoreError>>,
}

/// A store that was opened, and what it holds as inputs for the agent, oldest first.
pub(super) struct Opened {
    pub store: BundleStore,
    pub report: OpenReport,
    pub restored: Vec<Input>,
}

/// Opens the store in `dir`.
pub(super) fn open(
    dir: &Path,
    quota_bytes: u64,
    bundle_bytes_max: u64,
) -> Result<Opened, BundleStoreError> {
    let segment_bytes = (quota_bytes / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
    let limits = StoreLimits { quota_bytes, segment_bytes, bundle_bytes_max };
    let (store, report) = BundleStore::open(dir, limits)?;
    let restored = store.entries().map(|(key, entry)| {
        let holders = store.noted(&key).map(NodeNumber::from_number).collect();
        Input::Restored { key, entry, holders }
    });
    let restored = restored.collect();
    Ok(Opened { store, report, restored })
}

impl Disk {
    /// Starts the thread; it owns the store.
    pub fn start(store: BundleStore) -> (Self, UnboundedReceiver<Answer>) {
        let (requests, incoming) = channel();
        let (answers, answered) = unbounded_channel();
        let thread = std::thread::spawn(move || serve(store, &incoming, &answers));
        (Self { requests, thread }, answered)
    }

    /// Queues requests. The bytes among them are bounded by what the carrier lets come before it is
    /// acknowledged.
    pub fn ask(&self, requests: Vec<Request>) -> anyhow::Result<()> {
        self.requests.send(requests).context("the disk thread ended")
    }

    /// Waits until all that was asked is done and the store is closed.
    pub fn finish(self) -> anyhow::Result<()> {
        drop(self.requests);
        match self.thread.join() {
            Ok(flushed) => Ok(flushed?),
            Err(_) => bail!("the disk thread panicked"),
        }
    }
}

fn serve(
    mut store: BundleStore,
    requests: &Receiver<Vec<Request>>,
    answers: &UnboundedSender<Answer>,
) -> Result<(), BundleStoreError> {
    if let Err(error) = serve_all(&mut store, requests, answers) {
        let _ = answers.send(Answer::Failed(error));
        return Ok(());
    }
    store.flush()
}

/// Carries requests out until nobody can ask any more.
fn serve_all(
    store: &mut BundleStore,
    requests: &Receiver<Vec<Request>>,
    answers: &UnboundedSender<Answer>,
) -> Result<(), BundleStoreError> {
    let mut is_compact = false;
    loop {
        let first = match requests.try_recv() {
            Ok(first) => first,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) if !is_compact => {
                is_compact = store.compact_step(COMPACT_BYTES_MAX)?.is_done;
                continue;
            }
            Err(TryRecvError::Empty) => match requests.recv() {
                Ok(first) => first,
                Err(_) => return Ok(()),
            },
        };
        let mut group = first;
        while group.len() < GROUP_MAX
            && bytes_of(&group) < GROUP_BYTES_MAX
            && let Ok(more) = requests.try_recv()
        {
            group.extend(more);
        }
        is_compact &= !group.iter().any(|request| matches!(request, Request::Delete(_)));
        carry_out(store, group, answers)?;
    }
}

fn bytes_of(group: &[Request]) -> usize {
    let bytes = group.iter().map(|request| match request {
        Request::Store { bytes, .. } => bytes.len(),
        _ => 0,
    });
    bytes.sum()
}

/// Carries a group out: deletions split it, all else keeps no order.
fn carry_out(
    store: &mut BundleStore,
    group: Vec<Request>,
    answers: &UnboundedSender<Answer>,
) -> Result<(), BundleStoreError> {
    let (mut news, mut marks, mut loads, mut deletes) = (vec![], vec![], vec![], vec![]);
    for request in group {
        let is_delete = matches!(request, Request::Delete(_));
        if !is_delete && !deletes.is_empty() {
            store.delete_all(&std::mem::take(&mut deletes))?;
        }
        match request {
            Request::Store { key, expires, bytes } => news.push((key, expires, bytes)),
            Request::Note { key, node } => marks.push((key, node.number())),
            Request::Load(key) => loads.push(key),
            Request::Quota(bytes) => store.set_quota(bytes),
            Request::Delete(key) => {
                if news.iter().any(|(new, ..)| *new == key) {
                    insert(store, std::mem::take(&mut news), answers)?;
                }
                deletes.push(key);
            }
        }
    }
    store.delete_all(&deletes)?;
    insert(store, news, answers)?;
    for key in loads {
        let bytes = store.get(&key).unwrap_or_else(|error| {
            tracing::error!(%error, "a stored bundle cannot be read; it is kept");
            None
        });
        let bytes = bytes.map(Arc::new);
        let _ = answers.send(Answer::Loaded { key, bytes });
    }
    store.note_all(&marks);
    Ok(())
}

type New = (BundleKey, Timestamp, Arc<Vec<u8>>);

fn insert(
    store: &mut BundleStore,
    news: Vec<New>,
    answers: &UnboundedSender<Answer>,
) -> Result<(), BundleStoreError> {
    if news.is_empty() {
        return Ok(());
    }
    let bundles = news.iter().map(|(key, expires, bytes)| NewBundle {
        key: *key,
        expires: *expires,
        bytes: bytes.as_slice(),
    });
    let outcomes = store.insert_all(&bundles.collect::<Vec<_>>())?;
    let (mut stored, mut full) = (Vec::new(), Vec::new());
    for ((key, ..), outcome) in news.iter().zip(outcomes) {
        match outcome {
            Inserted::New | Inserted::Known => stored.push(*key),
            Inserted::Full => full.push(*key),
        }
    }
    // Whoever does not listen any more acknowledges nothing.
    let _ = answers.send(Answer::Stored(stored));
    if !full.is_empty() {
        let _ = answers.send(Answer::Full(full));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries a group out on a fresh store; gives the store, its answers and its directory.
    fn after(
        group: Vec<Request>,
        quota_bytes: u64,
    ) -> (BundleStore, Vec<Answer>, std::path::PathBuf) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("longhaul-disk-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        let mut opened = open(&dir, quota_bytes, 1 << 20).expect("an empty directory");
        let (sender, mut answers) = unbounded_channel();
        carry_out(&mut opened.store, group, &sender).expect("room on the disk");
        let answers = std::iter::from_fn(|| answers.try_recv().ok()).collect();
        (opened.store, answers, dir)
    }

    fn key(n: u8) -> BundleKey {
        BundleKey::from_bytes([n; 32])
    }

    fn store(n: u8) -> Request {
        let expires = Timestamp::from_dtn_ms(1 << 50);
        Request::Store { key: key(n), expires, bytes: Arc::new(vec![n; 100]) }
    }

    #[test]
    fn a_group_is_durable_before_it_is_answered_and_once_for_all() {
        let (opened, answers, dir) = after(vec![store(1), store(2)], 1 << 20);
        assert!(matches!(&answers[..], [Answer::Stored(keys)] if *keys == [key(1), key(2)]));
        drop(opened);
        let opened = open(&dir, 1 << 20, 1 << 20).expect("it was closed");
        assert_eq!(opened.restored.len(), 2);
        std::fs::remove_dir_all(dir).expect("our own directory");
    }

    #[test]
    fn a_bundle_that_is_deleted_and_comes_again_in_one_group_stays() {
        let group = vec![store(1), Request::Delete(key(1)), store(1)];
        let (opened, answers, dir) = after(group, 1 << 20);
        assert_eq!(answers.len(), 2);
        assert_eq!(opened.get(&key(1)).expect("readable"), Some(vec![1; 100]));
        std::fs::remove_dir_all(dir).expect("our own directory");
    }

    #[test]
    fn a_bundle_that_comes_and_is_deleted_in_one_group_is_gone() {
        let (opened, _, dir) = after(vec![store(1), Request::Delete(key(1))], 1 << 20);
        assert_eq!(opened.get(&key(1)).expect("readable"), None);
        std::fs::remove_dir_all(dir).expect("our own directory");
    }

    #[test]
    fn says_what_finds_no_room() {
        let group = (0..=255).map(store).chain([Request::Load(key(0))]);
        // Room for some of them, at 128 to 256 bytes each.
        let (_, answers, dir) = after(group.collect(), 32 << 10);
        let [Answer::Stored(stored), Answer::Full(full), Answer::Loaded { bytes, .. }] =
            &answers[..]
        else {
            panic!("{answers:?}")
        };
        assert!(stored.len() > 50 && full.len() > 1, "{} {}", stored.len(), full.len());
        assert_eq!(stored.len() + full.len(), 256);
        assert_eq!(bytes.as_deref(), Some(&vec![0; 100]));
        std::fs::remove_dir_all(dir).expect("our own directory");
    }
}
