//! Power loss: after every change to the disk, what may be left is rebuilt and
//! opened again.
//!
//! A recorder notes each change that [`Disk`] makes. From the first `k` of them
//! the test builds the states that a power loss may leave: the change under way
//! done not at all, by half, whole, or as zeros of the right length; names that
//! were not synced all there or all gone. In each of them everything that was
//! acknowledged must be there and nothing may be fatal.

use std::sync::Mutex;

use super::tests::{Folder, Story, key, manifest};
use super::*;

/// A change to the disk.
#[derive(Debug, Clone)]
enum Change {
    MakeDir(PathBuf),
    Write(PathBuf, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    Truncate(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

impl Change {
    /// The change without its bytes, for messages.
    fn name(&self) -> String {
        match self {
            Self::Write(path, bytes) => format!("write {} ({})", path.display(), bytes.len()),
            Self::Append(path, bytes) => format!("append {} ({})", path.display(), bytes.len()),
            other => format!("{other:?}"),
        }
    }
}

type Trace = Arc<Mutex<Vec<Change>>>;

/// Does what it is told, notes it, and fails when it was told to.
#[derive(Debug)]
struct Recorder {
    real: RealDisk,
    root: PathBuf,
    trace: Trace,
    fail_at: Option<usize>,
}

impl Recorder {
    fn note(&self, change: impl FnOnce(&dyn Fn(&Path) -> PathBuf) -> Change) -> io::Result<()> {
        let inside = |path: &Path| path.strip_prefix(&self.root).expect("inside").to_path_buf();
        let mut trace = self.trace.lock().expect("no panic while it is held");
        if self.fail_at == Some(trace.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        trace.push(change(&inside));
        Ok(())
    }
}

impl Disk for Recorder {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        self.note(|inside| Change::MakeDir(inside(path)))?;
        self.real.make_dir(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
        self.note(|inside| Change::Write(inside(path), bytes.to_vec()))?;
        self.real.write(path, bytes, access)
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.note(|inside| Change::Append(inside(path), bytes.to_vec()))?;
        self.real.append(path, bytes)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.note(|inside| Change::Truncate(inside(path), len))?;
        self.real.truncate(path, len)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(|inside| Change::Rename(inside(from), inside(to)))?;
        self.real.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.note(|inside| Change::Remove(inside(path)))?;
        self.real.remove(path)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.note(|inside| Change::SyncDir(inside(path)))?;
        self.real.sync_dir(path)
    }
}

/// How much of the change under way arrived.
#[derive(Debug, Clone, Copy)]
enum Arrived {
    Nothing,
    Half,
    Whole,
    Zeros,
}

const ARRIVED: [Arrived; 4] = [Arrived::Nothing, Arrived::Half, Arrived::Whole, Arrived::Zeros];

impl Arrived {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Half => bytes[..bytes.len() / 2].to_vec(),
            Self::Whole => bytes.to_vec(),
            Self::Zeros => vec![0; bytes.len()],
        }
    }
}

/// What a name stands for; files are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

/// A disk that remembers which names are durable.
#[derive(Debug, Default)]
struct Model {
    files: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
}

impl Model {
    /// Applies a change of which `arrived` reached the disk.
    fn apply(&mut self, change: &Change, arrived: Arrived) {
        match change {
            Change::MakeDir(path) => {
                self.names.insert(path.clone(), Node::Dir);
            }
            Change::Write(path, bytes) => {
                self.files.push(arrived.of(bytes));
                self.names.insert(path.clone(), Node::File(self.files.len() - 1));
            }
            Change::Append(path, bytes) => {
                let bytes = arrived.of(bytes);
                self.file(path).extend(bytes);
            }
            Change::Truncate(path, len) => {
                let len = usize::try_from(*len).expect("small");
                self.file(path).truncate(len);
            }
            Change::Rename(from, to) => {
                let node = self.names.remove(from).expect("it has a name");
                self.names.insert(to.clone(), node);
            }
            Change::Remove(path) => {
                self.names.remove(path);
            }
            Change::SyncDir(folder) => {
                let inside = |path: &Path| path.parent() == Some(folder);
                self.durable.retain(|path, _| !inside(path));
                let names = self.names.iter().filter(|(path, _)| inside(path));
                self.durable.extend(names.map(|(path, node)| (path.clone(), *node)));
            }
        }
    }

    fn file(&mut self, path: &Path) -> &mut Vec<u8> {
        match self.names.get(path) {
            Some(Node::File(number)) => &mut self.files[*number],
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    /// Builds the directory that is found after the power comes back.
    fn build(&self, root: &Path, unsynced_names: bool) {
        let names = if unsynced_names { &self.names } else { &self.durable };
        for (path, node) in names {
            let path = root.join(path);
            // A file whose folder was lost is lost with it.
            match node {
                Node::Dir if path.parent().is_some_and(Path::exists) => {
                    fs::create_dir_all(&path).expect("a temporary directory");
                }
                Node::File(number) if path.parent().is_some_and(Path::exists) => {
                    fs::write(&path, &self.files[*number]).expect("a temporary directory");
                    make_private(&path);
                }
                Node::Dir | Node::File(_) => {}
            }
        }
    }
}

#[cfg(unix)]
fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

#[cfg(not(unix))]
fn make_private(_: &Path) {}

/// Runs the story on a recorded disk; returns the trace and, for each step of
/// the story, the number of changes after which it was acknowledged.
fn record(story: &Story) -> (Vec<Change>, Vec<usize>) {
    let folder = Folder::new();
    let trace = Trace::default();
    let recorder =
        || Recorder { real: RealDisk, root: folder.0.clone(), trace: trace.clone(), fail_at: None };
    let changes = || trace.lock().expect("no panic while it is held").len();
    let dir = folder.0.join("peer");
    Store::create_on(&mut recorder(), &dir, &key()).expect("an empty directory");
    let mut acknowledged = vec![changes()];
    let mut store = Store::open_on(Box::new(recorder()), &dir).expect("made just now");
    store.join(&manifest("test")).expect("no manifest yet");
    acknowledged.push(changes());
    for (payloads, entries) in &story.requests {
        store.write(payloads, entries.iter()).expect("room on the disk");
        acknowledged.push(changes());
    }
    let trace = trace.lock().expect("no panic while it is held").clone();
    (trace, acknowledged)
}

/// Checks what is found after a power loss; `steps` were acknowledged.
fn check(dir: &Path, story: &Story, steps: usize, what: &str) {
    if steps == 0 {
        // Not even the peer's existence was acknowledged: it can be made anew,
        // unless it was made whole.
        match Store::open(dir) {
            Ok(store) => assert!(store.load_key().is_ok(), "{what}"),
            Err(StoreError::Absent(_)) => Store::create(dir, &key()).expect(what),
            Err(other) => panic!("{what}: {other}"),
        }
        return;
    }
    let mut store = Store::open(dir).expect(what);
    if steps == 1 {
        store.join(&manifest("test")).expect(what);
    }
    let loaded = store.load().expect(what);
    let (entries, payloads) = story.after(steps.saturating_sub(2));
    assert!(loaded.restored.entries.starts_with(&entries), "{what}");
    for (hash, payload) in payloads {
        assert_eq!(loaded.restored.payloads.get(&hash), Some(&payload), "{what}");
    }
    // Every update in the log has its payload: the payload goes first.
    for entry in &loaded.restored.entries {
        let Some(Ok(hash)) = entry.record().head().map(<[u8; 32]>::try_from) else { continue };
        let hash = ContentHash::from_bytes(hash);
        assert!(loaded.restored.payloads.contains_key(&hash), "{what}");
    }
    assert_eq!(loaded.report.damaged, BTreeMap::new(), "{what}");
    assert_eq!(store.load().expect(what).report, LoadReport::default(), "{what}");
}

#[test]
fn loses_nothing_acknowledged_whenever_the_power_fails() {
    let story = Story::new(4);
    let (trace, acknowledged) = record(&story);
    let mut states = 0;
    for cut in 0..=trace.len() {
        let steps = acknowledged.iter().filter(|&&changes| changes <= cut).count();
        for (arrived, unsynced_names) in
            ARRIVED.into_iter().flat_map(|arrived| [(arrived, true), (arrived, false)])
        {
            let mut model = Model::default();
            for change in &trace[..cut] {
                model.apply(change, Arrived::Whole);
            }
            if let Some(under_way) = trace.get(cut)
                && !matches!((under_way, arrived), (Change::SyncDir(_), Arrived::Nothing))
            {
                model.apply(under_way, arrived);
            }
            let folder = Folder::new();
            model.build(&folder.0, unsynced_names);
            let what = format!(
                "{cut} changes, then {:?} {arrived:?}, unsynced names kept: {unsynced_names}",
                trace.get(cut).map(Change::name)
            );
            check(&folder.0.join("peer"), &story, steps, &what);
            states += 1;
        }
    }
    assert!(states > 200, "{states} states were looked at");
}

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    let story = Story::new(4);
    let (trace, acknowledged) = record(&story);
    for fail_at in acknowledged[1]..trace.len() {
        let folder = Folder::new();
        let dir = folder.0.join("peer");
        let trace = Trace::default();
        let root = folder.0.clone();
        let fail_at = Some(fail_at);
        let mut recorder = Recorder { real: RealDisk, root, trace, fail_at };
        Store::create_on(&mut recorder, &dir, &key()).expect("an empty directory");
        let mut store = Store::open_on(Box::new(recorder), &dir).expect("made just now");
        store.join(&manifest("test")).expect("no manifest yet");
        let mut steps = 2;
        for (payloads, entries) in &story.requests {
            if store.write(payloads, entries.iter()).is_err() {
                break;
            }
            steps += 1;
        }
        let refused = store.write(&BTreeMap::new(), story.requests[0].1.iter());
        assert!(matches!(refused, Err(StoreError::Stopped)), "{refused:?}");
        drop(store);
        check(&dir, &story, steps, &format!("the disk is full at change {fail_at:?}"));
    }
}
