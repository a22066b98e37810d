//! Recorder: does what a store asks of the disk, notes each single operation, and fails when told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::{Access, Disk, RealDisk};

/// One operation on a file system; paths are relative to the recorder's root, files are numbered.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) enum Op {
    MakeDir(PathBuf),
    /// A new file under a name; what had the name before has none.
    Create(PathBuf, usize),
    Write {
        file: usize,
        at: u64,
        bytes: Vec<u8>,
    },
    SetLen(usize, u64),
    SyncFile(usize),
    /// What was written and not synced will never be, and looks as if it were.
    SyncFailed(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MakeDir(path) => write!(f, "make {}/", path.display()),
            Self::Create(path, file) => write!(f, "create {} as {file}", path.display()),
            Self::Write { file, at, bytes } => write!(f, "write {file} {at}+{}", bytes.len()),
            Self::SetLen(file, len) => write!(f, "cut {file} to {len}"),
            Self::SyncFile(file) => write!(f, "sync {file}"),
            Self::SyncFailed(file) => write!(f, "fail to sync {file}"),
            Self::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::SyncDir(path) => write!(f, "sync {}/", path.display()),
        }
    }
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// It does nothing; a write does half of its work first, as on a full disk.
    Refused,
    /// The same, and so does everything after it.
    Broken,
}

/// What was done so far. Cloned handles share it.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Trace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ops: Vec<Op>,
    /// The operations asked for, failed ones included.
    asked: usize,
    files: BTreeMap<PathBuf, usize>,
    next_file: usize,
    fault: Option<(usize, Fault)>,
}

/// A disk that writes down what it does.
#[derive(Debug)]
pub(in super::super) struct Recorder {
    root: PathBuf,
    trace: Trace,
}

impl Trace {
    /// Fails the operation with this number, counted from the beginning.
    pub fn fail(&self, at: usize, fault: Fault) {
        self.state().fault = Some((at, fault));
    }

    /// Fails nothing any more.
    pub fn mend(&self) {
        self.state().fault = None;
    }

    /// Number of operations done.
    pub fn len(&self) -> usize {
        self.state().ops.len()
    }

    /// What was done.
    pub fn ops(&self) -> Vec<Op> {
        self.state().ops.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }
}

impl State {
    /// Counts an operation, and fails it if it is its turn.
    fn step(&mut self) -> io::Result<()> {
        let asked = self.asked;
        self.asked += 1;
        match self.fault {
            Some((at, _)) if asked == at => Err(io::ErrorKind::StorageFull.into()),
            Some((at, Fault::Broken)) if asked > at => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Recorder {
    /// Notes what is done below `root`, which holds nothing yet.
    pub fn new(root: &Path, trace: &Trace) -> Self {
        Self { root: root.to_path_buf(), trace: trace.clone() }
    }

    /// Notes what is done to what lies below `root` already, its files numbered in the order of
    /// their paths.
    pub fn adopt(root: &Path, trace: &Trace, files: &[PathBuf]) -> Self {
        let mut state = trace.state();
        state.files = files.iter().cloned().zip(0..).collect();
        state.next_file = files.len();
        drop(state);
        Self::new(root, trace)
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("inside").to_path_buf()
    }

    fn number(&self, path: &Path) -> usize {
        let inside = self.inside(path);
        *self.trace.state().files.get(&inside).unwrap_or_else(|| panic!("no {}", path.display()))
    }

    /// Does one operation, notes it, and fails it if it is its turn.
    fn op(&mut self, op: Op, work: impl FnOnce(&mut RealDisk) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.trace.state();
        state.step()?;
        work(&mut RealDisk)?;
        state.ops.push(op);
        Ok(())
    }

    /// Makes a file that is empty.
    fn begin(&mut self, path: &Path, access: Access) -> io::Result<()> {
        let inside = self.inside(path);
        let known = self.trace.state().files.get(&inside).copied();
        match known {
            Some(file) => self.op(Op::SetLen(file, 0), |disk| disk.truncate(path, 0)),
            None => {
                let file = self.trace.state().next_file;
                self.op(Op::Create(inside.clone(), file), |disk| disk.write(path, &[], access))?;
                let mut state = self.trace.state();
                state.next_file += 1;
                state.files.insert(inside, file);
                Ok(())
            }
        }
    }

    /// Writes at an offset; when it fails, the first half arrives.
    fn write_at(&mut self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        use std::io::{Seek, SeekFrom, Write};
        let file = self.number(path);
        let mut state = self.trace.state();
        let step = state.step();
        let bytes = if step.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let broken = matches!(state.fault, Some((failed, _)) if state.asked > failed + 1);
        if !bytes.is_empty() && !broken {
            let mut open = fs::OpenOptions::new().write(true).open(path)?;
            open.seek(SeekFrom::Start(at))?;
            open.write_all(bytes)?;
            state.ops.push(Op::Write { file, at, bytes: bytes.to_vec() });
        }
        step
    }

    /// Notes a sync; a real one is not needed: the power does not fail while the test runs.
    fn sync_file(&mut self, path: &Path) -> io::Result<()> {
        let file = self.number(path);
        let mut state = self.trace.state();
        let step = state.step();
        state.ops.push(if step.is_ok() { Op::SyncFile(file) } else { Op::SyncFailed(file) });
        step
    }
}

impl Disk for Recorder {
    fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_dir(parent)?;
        }
        self.op(Op::MakeDir(self.inside(path)), |disk| disk.make_dir(path))
    }

    fn write(&mut self, path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
        self.begin(path, access)?;
        self.write_at(path, 0, bytes)?;
        self.sync_file(path)
    }

    /// Nothing is synced before all is written, so that a loss may take any of it.
    fn write_all(&mut self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        for (path, bytes) in files {
            self.begin(path, Access::Default)?;
            self.write_at(path, 0, bytes)?;
        }
        files.iter().try_for_each(|(path, _)| self.sync_file(path))
    }

    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let len = fs::metadata(path)?.len();
        self.write_at(path, len, bytes)?;
        self.sync_file(path)
    }

    fn overwrite(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_at(path, 0, bytes)?;
        self.sync_file(path)
    }

    fn truncate(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.op(Op::SetLen(self.number(path), len), |disk| disk.truncate(path, len))?;
        self.sync_file(path)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (old, new) = (self.inside(from), self.inside(to));
        self.op(Op::Rename(old.clone(), new.clone()), |disk| disk.rename(from, to))?;
        let mut state = self.trace.state();
        let file = state.files.remove(&old).expect("it has a name");
        state.files.insert(new, file);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inside = self.inside(path);
        self.op(Op::Remove(inside.clone()), |disk| disk.remove(path))?;
        self.trace.state().files.remove(&inside);
        Ok(())
    }

    fn settle(&mut self, path: &Path, from: u64) -> io::Result<()> {
        let bytes = fs::read(path)?;
        let from = usize::try_from(from).expect("small");
        self.write_at(path, from as u64, &bytes[from..])?;
        self.sync_file(path)
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.op(Op::SyncDir(self.inside(path)), |_| Ok(()))
    }

    fn sync_dirs(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        paths.iter().try_for_each(|path| self.sync_dir(path))
    }
}
