//! Model: what a power loss may leave of the operations that were done.
//!
//! What was synced survives. Of the rest, [`Loss::Strict`] keeps whole operations
//! in their order up to a random one. [`Loss::Blocks`] keeps of each write any
//! blocks of 512 or 4,096 bytes, of each file's length any that it has had or had
//! in between (bytes that never arrived read as zeros), and of each change of a
//! name any or none; a renamed file may be found under both names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Random;
use super::recorder::Op;

/// Which operations that were not synced survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Loss {
    /// Whole ones, in order.
    Strict,
    /// Any blocks, lengths and names.
    Blocks,
    /// All: the process was killed, the power did not fail.
    Nothing,
}

/// What a name stands for; files are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

/// A change of names that no sync of its folders covers yet.
#[derive(Debug, Clone)]
enum Naming {
    Link(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

/// A change that is not durable.
#[derive(Debug, Clone)]
enum Pending {
    Write { file: usize, at: usize, bytes: Vec<u8> },
    SetLen(usize, usize),
    Name(Naming),
}

/// A disk: what is durable, and what is under way.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Model {
    files: BTreeMap<usize, Vec<u8>>,
    names: BTreeMap<PathBuf, Node>,
    pending: Vec<Pending>,
    /// The names as a process sees them.
    seen: BTreeMap<PathBuf, Node>,
}

impl Model {
    /// A disk on which everything in `root` is durable, and its files in the order of their numbers.
    pub fn of(root: &Path) -> (Self, Vec<PathBuf>) {
        let (mut model, mut files) = (Self::default(), Vec::new());
        model.take_in(root, root, &mut files);
        model.seen.clone_from(&model.names);
        (model, files)
    }

    fn take_in(&mut self, root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
        let entries = fs::read_dir(folder).expect("our own folder");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            let inside = path.strip_prefix(root).expect("inside").to_path_buf();
            if path.is_dir() {
                self.names.insert(inside, Node::Dir);
                self.take_in(root, &path, files);
            } else {
                self.names.insert(inside.clone(), Node::File(files.len()));
                self.files.insert(files.len(), fs::read(&path).expect("our own file"));
                files.push(inside);
            }
        }
    }

    /// Does an operation.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::MakeDir(path) => self.link(path, Node::Dir),
            Op::Create(path, file) => {
                self.files.insert(*file, Vec::new());
                self.link(path, Node::File(*file));
            }
            Op::Write { file, at, bytes } => {
                let at = usize::try_from(*at).expect("small");
                self.pending.push(Pending::Write { file: *file, at, bytes: bytes.clone() });
            }
            Op::SetLen(file, len) => {
                let len = usize::try_from(*len).expect("small");
                self.pending.push(Pending::SetLen(*file, len));
            }
            Op::Rename(from, to) => {
                let node = self.seen.remove(from).expect("it has a name");
                self.seen.insert(to.clone(), node);
                let naming = Naming::Rename(from.clone(), to.clone(), node);
                self.pending.push(Pending::Name(naming));
            }
            Op::Remove(path) => {
                self.seen.remove(path).expect("it has a name");
                self.pending.push(Pending::Name(Naming::Remove(path.clone())));
            }
            Op::SyncFile(synced) => self.settle(|pending| match pending {
                Pending::Write { file, .. } | Pending::SetLen(file, _) => file == synced,
                Pending::Name(_) => false,
            }),
            Op::SyncFailed(failed) => self.pending.retain(|pending| match pending {
                Pending::Write { file, .. } | Pending::SetLen(file, _) => file != failed,
                Pending::Name(_) => true,
            }),
            Op::SyncDir(folder) => self.settle(|pending| match pending {
                Pending::Name(naming) => naming.is_in(folder),
                Pending::Write { .. } | Pending::SetLen(..) => false,
            }),
        }
    }

    fn link(&mut self, path: &Path, node: Node) {
        self.seen.insert(path.to_path_buf(), node);
        self.pending.push(Pending::Name(Naming::Link(path.to_path_buf(), node)));
    }

    /// Makes the pending changes durable that `which` says.
    fn settle(&mut self, which: impl Fn(&Pending) -> bool) {
        let (done, rest) = std::mem::take(&mut self.pending).into_iter().partition(which);
        self.pending = rest;
        let done: Vec<Pending> = done;
        done.iter().for_each(|pending| self.survive(pending));
    }

    fn survive(&mut self, pending: &Pending) {
        match pending {
            Pending::Write { file, at, bytes } => {
                let content = self.files.entry(*file).or_default();
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Pending::SetLen(file, len) => self.files.entry(*file).or_default().resize(*len, 0),
            Pending::Name(naming) => naming.apply(&mut self.names, false),
        }
    }

    /// What is found when the power comes back.
    pub fn lose(&self, loss: Loss, random: &mut Random) -> Self {
        let mut left = self.clone();
        let pending = std::mem::take(&mut left.pending);
        match loss {
            Loss::Nothing => pending.iter().for_each(|pending| left.survive(pending)),
            Loss::Strict => {
                let kept = random.below(pending.len() + 1);
                pending[..kept].iter().for_each(|pending| left.survive(pending));
            }
            Loss::Blocks => left.survive_in_blocks(&pending, random),
        }
        left.seen.clone_from(&left.names);
        left
    }

    fn survive_in_blocks(&mut self, pending: &[Pending], random: &mut Random) {
        let block = [512, 4_096][random.below(2)];
        let share = [1, 4, 7][random.below(3)];
        let mut lens: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for pending in pending {
            match pending {
                Pending::Write { file, at, bytes } => {
                    let content = self.files.entry(*file).or_default();
                    let had = lens.entry(*file).or_insert((content.len(), content.len()));
                    had.1 = had.1.max(at + bytes.len());
                    content.resize(content.len().max(at + bytes.len()), 0);
                    let mut from = *at;
                    while from < at + bytes.len() {
                        let to = ((from / block + 1) * block).min(at + bytes.len());
                        if random.below(8) < share {
                            content[from..to].copy_from_slice(&bytes[from - at..to - at]);
                        }
                        from = to;
                    }
                }
                Pending::SetLen(file, len) => {
                    let content = self.files.entry(*file).or_default();
                    let had = lens.entry(*file).or_insert((content.len(), content.len()));
                    had.0 = had.0.min(*len);
                    if random.below(8) < share {
                        content.resize(*len, 0);
                    }
                }
                Pending::Name(naming) => {
                    if random.below(8) < share {
                        naming.apply(&mut self.names, random.below(2) == 0);
                    }
                }
            }
        }
        for (file, (short, long)) in lens {
            let between = short + random.below(long - short + 1);
            let len = [short, long, between, between / block * block][random.below(4)];
            let content = self.files.entry(file).or_default();
            content.resize(len.max(short), 0);
        }
    }

    /// Builds the directory in `root`.
    pub fn build(&self, root: &Path) {
        for (path, node) in &self.names {
            let path = root.join(path);
            // A file whose folder was lost is lost with it.
            match node {
                Node::Dir if path.parent().is_some_and(Path::exists) => {
                    fs::create_dir_all(&path).expect("a temporary directory");
                }
                Node::File(number) if path.parent().is_some_and(Path::exists) => {
                    fs::write(&path, &self.files[number]).expect("a temporary directory");
                    make_private(&path);
                }
                Node::Dir | Node::File(_) => {}
            }
        }
    }
}

impl Naming {
    fn is_in(&self, folder: &Path) -> bool {
        let inside = |path: &Path| path.parent() == Some(folder);
        match self {
            Self::Link(path, _) | Self::Remove(path) => inside(path),
            Self::Rename(from, to, _) => inside(from) || inside(to),
        }
    }

    /// Applies the change; a rename leaves the old name as well if `both`.
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>, both: bool) {
        match self {
            Self::Link(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to, node) => {
                if !both {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
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
