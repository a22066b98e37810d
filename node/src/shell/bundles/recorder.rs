//! Disks for tests: one that does not sync, one that notes what is done and
//! fails when it is told to, and what a power loss may leave of that.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, RealDisk};

/// What a disk writes whole.
const BLOCK_BYTES: usize = 512;

/// Numbers that look random; the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("small");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("below a bound that fits")
    }

    /// True in one of two cases.
    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The file system without its syncs, which are slow and do not show while
/// the machine runs.
#[derive(Debug, Default)]
pub(super) struct Unsynced(RealDisk);

impl Disk for Unsynced {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        self.0.make_dir(path)
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        self.0.create(path)
    }

    fn append(&mut self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        self.0.append(path, parts)
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        fs::metadata(path).map(drop)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(len)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::metadata(path).map(drop)
    }
}

/// A change to the disk.
#[derive(Debug, Clone)]
pub(super) enum Change {
    MakeDir(PathBuf),
    Create(PathBuf),
    Append(PathBuf, Vec<u8>),
    Sync(PathBuf),
    /// A sync that failed: the system forgets that the file has to be written.
    LostSync(PathBuf),
    Truncate(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

/// What was done, in order; shared by the disk and the test.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Vec<Change>>>);

impl Trace {
    pub fn len(&self) -> usize {
        self.0.lock().expect("no panic while it is held").len()
    }

    pub fn changes(&self) -> Vec<Change> {
        self.0.lock().expect("no panic while it is held").clone()
    }

    fn push(&self, change: Change) {
        self.0.lock().expect("no panic while it is held").push(change);
    }
}

/// When and how a disk fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    /// The number of the call.
    pub at: usize,
    pub fault: Fault,
}

/// What happens to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// One call fails (EIO).
    Once,
    /// A call fails for want of space, and all later ones that need some (ENOSPC).
    Full,
    /// The process is killed in a call: nothing is done any more.
    Killed,
}

impl Fault {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(if self == Self::Full { 28 } else { 5 })
    }
}

/// Does what it is told, notes it, and fails when it was told to.
#[derive(Debug)]
pub(super) struct Recorder {
    real: Unsynced,
    root: PathBuf,
    trace: Trace,
    failure: Option<Failure>,
    calls: usize,
}

impl Recorder {
    pub fn new(root: &Path, trace: &Trace, failure: Option<Failure>) -> Self {
        let (real, root, trace) = (Unsynced::default(), root.to_path_buf(), trace.clone());
        Self { real, root, trace, failure, calls: 0 }
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("it lies inside").to_path_buf()
    }

    /// Counts a call; fails if it is the one that was chosen.
    fn count(&mut self, needs_space: bool) -> io::Result<()> {
        let call = self.calls;
        self.calls += 1;
        let Some(Failure { at, fault }) = self.failure else { return Ok(()) };
        let fails_on = match fault {
            Fault::Once => false,
            Fault::Full => needs_space,
            Fault::Killed => true,
        };
        if call == at || (call > at && fails_on) { Err(fault.error()) } else { Ok(()) }
    }

    /// Whether nothing is done any more.
    fn is_dead(&self) -> bool {
        self.failure.is_some_and(|Failure { at, fault }| fault == Fault::Killed && self.calls > at)
    }

    fn note(&mut self, needs_space: bool, change: Change) -> io::Result<()> {
        self.count(needs_space)?;
        self.trace.push(change);
        Ok(())
    }
}

impl Disk for Recorder {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        self.note(true, Change::MakeDir(self.inside(path)))?;
        self.real.make_dir(path)
    }

    fn create(&mut self, path: &Path) -> io::Result<()> {
        self.note(true, Change::Create(self.inside(path)))?;
        self.real.create(path)
    }

    fn append(&mut self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut bytes = parts.concat();
        if self.is_dead() {
            return Err(Fault::Killed.error());
        }
        let counted = self.count(true);
        if counted.is_err() {
            bytes.truncate(bytes.len() / 2);
        }
        self.real.append(path, &[&bytes])?;
        self.trace.push(Change::Append(self.inside(path), bytes));
        counted
    }

    fn sync(&mut self, path: &Path) -> io::Result<()> {
        let inside = self.inside(path);
        let counted = self.count(false);
        match counted {
            Ok(()) => self.trace.push(Change::Sync(inside)),
            Err(_) if self.is_dead() => {}
            Err(_) => self.trace.push(Change::LostSync(inside)),
        }
        counted.and_then(|()| self.real.sync(path))
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.note(false, Change::Truncate(self.inside(path), len))?;
        self.real.truncate(path, len)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(true, Change::Rename(self.inside(from), self.inside(to)))?;
        self.real.rename(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        // A file that is not there is no change.
        self.count(false)?;
        self.real.remove(path)?;
        self.trace.push(Change::Remove(self.inside(path)));
        Ok(())
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.note(false, Change::SyncDir(self.inside(path)))?;
        self.real.sync_dir(path)
    }
}

/// What a power loss may do to changes that were not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// The first few survive, whole and in order, the others do not.
    Strict,
    /// Any blocks of 512 bytes, sizes and names survive.
    RandomBlocks,
}

/// What a name stands for; files are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

/// A file as it is, and as it survives.
#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
    /// A sync failed: later ones do nothing.
    is_lost: bool,
}

/// A disk that remembers what is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Platter {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, Node>,
    safe_names: BTreeMap<PathBuf, Node>,
}

impl Platter {
    /// A directory, all of it durable.
    pub fn read(root: &Path) -> Self {
        let mut platter = Self::default();
        platter.read_folder(root, Path::new(""));
        platter.safe_names = platter.names.clone();
        platter
    }

    fn read_folder(&mut self, root: &Path, inside: &Path) {
        self.names.insert(inside.to_path_buf(), Node::Dir);
        for entry in fs::read_dir(root.join(inside)).expect("our own folder") {
            let name = inside.join(entry.expect("our own folder").file_name());
            let path = root.join(&name);
            if path.is_dir() {
                self.read_folder(root, &name);
            } else {
                let now = fs::read(path).expect("our own file");
                self.files.push(Content { safe: now.clone(), now, is_lost: false });
                self.names.insert(name, Node::File(self.files.len() - 1));
            }
        }
    }

    /// The disk after a power loss that came when `changes` had been made.
    pub fn after(&self, changes: &[Change], loss: Loss, dice: &mut Dice) -> Self {
        let mut after = self.clone();
        let whole = match loss {
            Loss::Strict => dice.below(changes.len() + 1),
            Loss::RandomBlocks => 0,
        };
        for (at, change) in changes.iter().enumerate() {
            after.apply(change);
            if at < whole {
                after.files.iter_mut().filter(|file| !file.is_lost).for_each(Content::sync);
                after.safe_names = after.names.clone();
            }
        }
        if matches!(loss, Loss::RandomBlocks) {
            after.mix(dice);
        }
        after
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::MakeDir(path) => {
                self.names.insert(path.clone(), Node::Dir);
            }
            Change::Create(path) => {
                if self.names.contains_key(path) {
                    self.file(path).now.clear();
                } else {
                    self.files.push(Content::default());
                    self.names.insert(path.clone(), Node::File(self.files.len() - 1));
                }
            }
            Change::Append(path, bytes) => self.file(path).now.extend(bytes),
            Change::Sync(path) => self.file(path).sync(),
            Change::LostSync(path) => self.file(path).is_lost = true,
            Change::Truncate(path, len) => {
                let file = self.file(path);
                file.now.truncate(usize::try_from(*len).expect("small"));
                // What was lost is not there any more.
                file.is_lost &= file.now.len() > file.safe.len();
                file.sync();
            }
            Change::Rename(from, to) => {
                let node = self.names.remove(from).expect("it has a name");
                self.names.insert(to.clone(), node);
            }
            Change::Remove(path) => {
                self.names.remove(path);
            }
            Change::SyncDir(folder) => {
                let is_inside = |path: &Path| path.parent() == Some(folder);
                self.safe_names.retain(|path, _| !is_inside(path));
                let names = self.names.iter().filter(|(path, _)| is_inside(path));
                self.safe_names.extend(names.map(|(path, node)| (path.clone(), *node)));
            }
        }
    }

    fn file(&mut self, path: &Path) -> &mut Content {
        match self.names.get(path) {
            Some(Node::File(number)) => &mut self.files[*number],
            other => panic!("{} is {other:?}", path.display()),
        }
    }

    /// Lets some of what was not synced survive.
    fn mix(&mut self, dice: &mut Dice) {
        self.files.iter_mut().for_each(|file| file.mix(dice));
        let mut names = std::mem::take(&mut self.safe_names);
        let both = names.keys().chain(self.names.keys()).cloned().collect::<Vec<_>>();
        for name in both {
            let now = self.names.get(&name).copied();
            if names.get(&name).copied() != now && dice.flip() {
                match now {
                    Some(node) => names.insert(name, node),
                    None => names.remove(&name),
                };
            }
        }
        self.safe_names = names;
    }

    /// Builds the directory that is found after the power comes back.
    pub fn build(&self, root: &Path) {
        for (path, node) in &self.safe_names {
            let path = root.join(path);
            // A file whose folder was lost is lost with it.
            match node {
                Node::Dir if path.parent().is_some_and(Path::exists) => {
                    fs::create_dir_all(&path).expect("a temporary directory");
                }
                Node::File(number) if path.parent().is_some_and(Path::exists) => {
                    fs::write(&path, &self.files[*number].safe).expect("a temporary directory");
                }
                Node::Dir | Node::File(_) => {}
            }
        }
    }
}

impl Content {
    fn sync(&mut self) {
        if !self.is_lost {
            self.safe = self.now.clone();
        }
    }

    fn mix(&mut self, dice: &mut Dice) {
        if self.now == self.safe {
            return;
        }
        let [old, new] = [self.safe.len(), self.now.len()];
        let (least, most) = (old.min(new), old.max(new));
        let len = match dice.below(4) {
            0 => old,
            1 | 2 => new,
            _ => least + dice.below(most - least + 1),
        };
        let mut mixed = vec![0; len];
        for at in (0..len).step_by(BLOCK_BYTES) {
            let source = if dice.flip() { &self.now } else { &self.safe };
            let end = (at + BLOCK_BYTES).min(len).min(source.len());
            if at < end {
                mixed[at..end].copy_from_slice(&source[at..end]);
            }
        }
        self.safe = mixed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(bytes: &[u8]) -> Change {
        Change::Append("f".into(), bytes.to_vec())
    }

    /// The contents that a file may have after a power loss, sorted.
    fn left(changes: &[Change], loss: Loss) -> Vec<Option<Vec<u8>>> {
        let mut left: Vec<_> = (0..300)
            .map(|seed| {
                let after = Platter::default().after(changes, loss, &mut Dice(seed));
                let node = after.safe_names.get(Path::new("f")).copied();
                node.map(|node| match node {
                    Node::File(number) => after.files[number].safe.clone(),
                    Node::Dir => panic!("a file"),
                })
            })
            .collect();
        left.sort();
        left.dedup();
        left
    }

    #[test]
    fn what_is_not_synced_may_be_lost() {
        let changes = [Change::Create("f".into()), append(b"a"), append(b"b")];
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(left(&changes, Loss::Strict), [None, some(b""), some(b"a"), some(b"ab")]);
    }

    #[test]
    fn what_is_synced_is_not_lost() {
        let changes = [
            Change::Create("f".into()),
            append(b"a"),
            Change::Sync("f".into()),
            Change::SyncDir("".into()),
        ];
        for loss in [Loss::Strict, Loss::RandomBlocks] {
            assert_eq!(left(&changes, loss), [Some(b"a".to_vec())]);
        }
    }

    #[test]
    fn a_second_sync_does_not_bring_back_what_the_first_lost() {
        let changes = [
            Change::Create("f".into()),
            Change::SyncDir("".into()),
            append(b"a"),
            Change::LostSync("f".into()),
            Change::Sync("f".into()),
        ];
        assert!(left(&changes, Loss::Strict).contains(&Some(Vec::new())));
        let cut = [
            &changes[..],
            &[Change::Truncate("f".into(), 0), append(b"b"), Change::Sync("f".into())],
        ];
        assert_eq!(left(&cut.concat(), Loss::Strict), [Some(b"b".to_vec())]);
    }

    #[test]
    fn any_blocks_and_sizes_may_survive() {
        let changes =
            [Change::Create("f".into()), Change::SyncDir("".into()), append(&[1; 3 * BLOCK_BYTES])];
        let left = left(&changes, Loss::RandomBlocks);
        let is_such = |len: usize, first: u8, last: u8| {
            left.iter().flatten().any(|content| {
                content.len() == len
                    && content.first() == Some(&first)
                    && content.last() == Some(&last)
            })
        };
        assert!(is_such(3 * BLOCK_BYTES, 0, 1) && is_such(3 * BLOCK_BYTES, 1, 0));
        assert!(left.contains(&Some(Vec::new())));
    }
}
