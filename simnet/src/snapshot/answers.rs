//! The answers of a snapshot: an index in memory, the rest in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use longhaul_dtn::hash::ContentHash;

use super::record::{HEAD_BYTES, Head, Key, Mark, Record};

/// Bytes before the first record: magic, version, epochs between marks, scenario, check.
const HEADER_BYTES: usize = CHECKED_BYTES + CHECK_BYTES;
const CHECKED_BYTES: usize = 6 + 2 + 4 + 32;
const CHECK_BYTES: usize = 8;
const MAGIC: [u8; 6] = *b"lhsnap";
const VERSION: u16 = 1;
/// Most answers that the index holds, about 1 GiB of it; further ones are given anew.
const ANSWERS_MAX: usize = 1 << 24;

/// What a snapshot is kept in: a file, or memory.
pub trait Storage: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Storage for T {}

/// The run that a snapshot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The hash of its resolved scenario.
    pub scenario: ContentHash,
    /// Epochs from one mark to the next.
    pub every_epochs: u32,
}

/// Why something is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else, or its very beginning is damaged.
    #[error("it is no snapshot, or its first {HEADER_BYTES} bytes are damaged")]
    Header,
    /// The run was killed before its snapshot held anything.
    #[error(
        "it ends before its first {HEADER_BYTES} bytes, so it keeps nothing: delete it and run the \
         scenario again"
    )]
    Empty,
    /// Another version of the program wrote it.
    #[error("it has format {0}; this program reads {VERSION}")]
    Version(u16),
}

/// What the answers did for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Questions answered from the snapshot.
    pub answered: u64,
    /// Questions that had to be computed.
    pub computed: u64,
    /// Records that were damaged; their questions were computed again.
    pub damaged: u64,
}

/// The known answers, and where new ones go.
pub struct Answers(Mutex<State>);

struct State {
    file: Box<dyn Storage>,
    /// Where each answer's record begins.
    index: BTreeMap<Key, u64>,
    /// Where the next record goes.
    end: u64,
    /// Whether anything is written.
    grows: bool,
    counts: Counts,
    /// Why writing stopped; told at the next mark.
    failed: Option<io::Error>,
}

impl Answers {
    /// An empty snapshot of a run that begins.
    pub fn create(mut file: Box<dyn Storage>, origin: Origin) -> Result<Self, SnapshotError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&origin.every_epochs.to_le_bytes());
        header.extend_from_slice(origin.scenario.as_bytes());
        let check = blake3::hash(&header);
        header.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        file.write_all(&header)?;
        Ok(Self::over(file, HEADER_BYTES as u64, true))
    }

    /// Opens a snapshot: reads the heads of its records, up to the first that is torn
    /// or damaged. `grows` says whether new answers are appended there.
    pub fn open(
        mut file: Box<dyn Storage>,
        grows: bool,
    ) -> Result<(Self, Origin, Vec<Mark>), SnapshotError> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let origin = origin(&header(&mut *file)?)?;
        let (mut at, mut index, mut marks) = (HEADER_BYTES as u64, BTreeMap::new(), Vec::new());
        let mut damaged = 0;
        while let Some(head) = head_at(&mut *file, at, length)? {
            if !head.is_mark() {
                if index.len() < ANSWERS_MAX {
                    index.insert(head.key, at);
                }
            } else if let Some(Record::Mark(mark)) = body_of(&mut *file, &head)? {
                marks.push(mark);
            } else {
                damaged += 1;
            }
            at += HEAD_BYTES as u64 + u64::from(head.body_bytes);
        }
        // What was being written when the run was killed, and anything behind damage.
        damaged += u64::from(at < length);
        let answers = Self::over(file, at, grows);
        let mut state = answers.state();
        (state.index, state.counts.damaged) = (index, damaged);
        drop(state);
        Ok((answers, origin, marks))
    }

    fn over(file: Box<dyn Storage>, end: u64, grows: bool) -> Self {
        let (index, counts) = (BTreeMap::new(), Counts::default());
        Self(Mutex::new(State { file, index, end, grows, counts, failed: None }))
    }

    /// Number of answers that are known.
    pub fn len(&self) -> usize {
        self.state().index.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the answers did so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Notes where the run stands; fails if anything could not be written since the
    /// last time.
    pub fn mark(&self, mark: Mark) -> io::Result<()> {
        let mut state = self.state();
        state.append(&Record::Mark(mark).encode(Key::NONE));
        if state.failed.is_none() {
            state.file.flush()?;
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    /// The answer to a question, if it is known and sound.
    pub(super) fn get(&self, key: &Key) -> Option<Record> {
        let mut state = self.state();
        let at = *state.index.get(key)?;
        let record = state.read(at);
        if record.is_some() {
            state.counts.answered += 1;
        } else {
            state.counts.damaged += 1;
            state.index.remove(key);
        }
        record
    }

    /// Keeps an answer that was computed.
    pub(super) fn put(&self, key: Key, record: &Record) {
        let bytes = record.encode(key);
        let mut state = self.state();
        state.counts.computed += 1;
        let at = state.end;
        if state.append(&bytes) && state.index.len() < ANSWERS_MAX {
            state.index.insert(key, at);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The record at `at`, if it can be read and is sound.
    fn read(&mut self, at: u64) -> Option<Record> {
        let head = head_at(&mut *self.file, at, self.end).ok()??;
        body_of(&mut *self.file, &head).ok()?
    }

    /// Appends a record in one write; says whether it did.
    fn append(&mut self, record: &[u8]) -> bool {
        if !self.grows {
            return false;
        }
        let end = self.end;
        let written =
            self.file.seek(SeekFrom::Start(end)).and_then(|_| self.file.write_all(record));
        match written {
            Ok(()) => self.end += record.len() as u64,
            Err(error) => (self.grows, self.failed) = (false, Some(error)),
        }
        self.grows
    }
}

/// The header of a snapshot; tells one that was killed while it was begun from anything
/// else that is too short.
fn header(file: &mut dyn Storage) -> Result<[u8; HEADER_BYTES], SnapshotError> {
    let mut bytes = Vec::new();
    file.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
    let begun = bytes.iter().zip(&MAGIC).all(|(found, expected)| found == expected);
    bytes.try_into().map_err(|_| if begun { SnapshotError::Empty } else { SnapshotError::Header })
}

fn origin(header: &[u8; HEADER_BYTES]) -> Result<Origin, SnapshotError> {
    let (checked, check) = header.split_at(CHECKED_BYTES);
    let rest = checked.strip_prefix(&MAGIC).ok_or(SnapshotError::Header)?;
    let (version, rest) = rest.split_first_chunk().ok_or(SnapshotError::Header)?;
    match u16::from_le_bytes(*version) {
        VERSION => {}
        other => return Err(SnapshotError::Version(other)),
    }
    if blake3::hash(checked).as_bytes()[..CHECK_BYTES] != *check {
        return Err(SnapshotError::Header);
    }
    let (every, scenario) = rest.split_first_chunk().ok_or(SnapshotError::Header)?;
    let scenario = scenario.try_into().map_err(|_| SnapshotError::Header)?;
    let scenario = ContentHash::from_bytes(scenario);
    Ok(Origin { scenario, every_epochs: u32::from_le_bytes(*every) })
}

/// The head at `at`, unless it is damaged or its record is not whole.
fn head_at(file: &mut dyn Storage, at: u64, length: u64) -> io::Result<Option<Head>> {
    let body = at.saturating_add(HEAD_BYTES as u64);
    if body > length {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = [0; HEAD_BYTES];
    file.read_exact(&mut bytes)?;
    let head = Head::decode(&bytes);
    Ok(head.filter(|head| u64::from(head.body_bytes) <= length - body))
}

/// The record of a head that was just read; none if it is damaged.
fn body_of(file: &mut dyn Storage, head: &Head) -> io::Result<Option<Record>> {
    let mut body = Vec::new();
    file.take(u64::from(head.body_bytes)).read_to_end(&mut body)?;
    Ok(Record::decode(head, &body))
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("known", &self.len()).finish_non_exhaustive()
    }
}
