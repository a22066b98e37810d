//! Care: looking after a data directory that no process uses.
//!
//! `check` re-derives everything from the files and changes nothing; `rebuild`
//! makes the index again; `compact` gives back the room of what nothing needs.
//! Each takes the lock, or says who holds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longhaul_dtn::hash::ContentHash;

use super::error::{StoreError, io_error};
use super::index::{self, Index, Said};
use super::space::{self, Space};
use super::{Store, key, lock, log, payload, read_manifest};
use crate::peer::{Needs, PeerConfig, PeerError, Restored, needs};

/// What was found in a data directory.
#[derive(Debug)]
pub struct Checked {
    /// Entries of the log, with good signatures, each chained to the one before.
    pub entries: u64,
    /// Whole payloads.
    pub payloads: u64,
    /// Whole payloads that no open entry of the log asks for.
    pub unneeded: u64,
    /// What has to be looked after, and what to do.
    pub problems: Vec<Problem>,
    /// What power losses and damage left over; harmless.
    pub leftovers: Vec<PathBuf>,
    /// Room on the disk.
    pub space: Space,
}

/// Something that is wrong with a data directory, and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The log ends inside an entry.
    #[error(
        "the log ends with {0} bytes of an entry that was cut short, as a power loss leaves it: the next start keeps them aside and goes on. If the file was shortened in another way, restore it from a backup first"
    )]
    Torn(usize),
    /// A payload file or record does not have the hash of its name.
    #[error("payload {hash} in {} is damaged: the next start keeps it aside, and the peer fetches it again", path.display())]
    Damaged {
        /// Its name.
        hash: ContentHash,
        /// Where it lies.
        path: PathBuf,
    },
    /// Bytes of a pack that are no record.
    #[error("{bytes} bytes of {} are no payload: the next start takes them out", path.display())]
    Unreadable {
        /// The pack.
        path: PathBuf,
        /// How many bytes.
        bytes: usize,
    },
    /// Updates whose payload is not there.
    #[error(
        "{0} updates of open epochs have no payload: run longhaul up, which fetches them again"
    )]
    Missing(usize),
    /// The index does not say what the files say.
    #[error("the index {0}: run longhaul store rebuild")]
    Index(String),
    /// The log has held more.
    #[error(transparent)]
    Short(StoreError),
    /// The log does not make a peer.
    #[error("{0}: longhaul up will refuse to start; restore the directory from a backup")]
    Peer(#[from] PeerError),
}

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Entries of the log.
    pub entries: u64,
    /// Payloads in the new index.
    pub payloads: u64,
    /// Whether the old index said the same; none if it could not be read.
    pub equal: Option<bool>,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Payloads that were removed because nothing asks for them.
    pub removed: u64,
    /// Room before.
    pub before: Space,
    /// Room after.
    pub after: Space,
}

impl Checked {
    /// Whether nothing has to be done.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A folder for a copy of the index; goes away with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("longhaul-check-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Re-derives everything in `dir` from its files and compares; changes nothing.
pub fn check(dir: &Path) -> Result<Checked, StoreError> {
    let secret = key::load(dir)?;
    let _lock = lock::take_to_read(dir)?;
    let manifest = Arc::new(read_manifest(dir)?);
    let log = log::read(dir, &secret, None)?;
    let found = payload::read(dir)?;
    let mut problems = Vec::new();
    if !log.torn.is_empty() {
        problems.push(Problem::Torn(log.torn.len()));
    }
    let damaged = found.damaged.iter();
    problems
        .extend(damaged.map(|(hash, path)| Problem::Damaged { hash: *hash, path: path.clone() }));
    for (number, bad) in &found.bad {
        let path = payload::pack_path(found.area.root(), *number);
        problems.extend(bad.iter().map(|bad| match bad.hash {
            Some(hash) => Problem::Damaged { hash, path: path.clone() },
            None => Problem::Unreadable { path: path.clone(), bytes: bad.range.len() },
        }));
    }
    let entries = log.entries.len() as u64;
    let lens = lens(&found.whole);
    problems.extend(compare_index(dir, entries, &lens)?);
    let restored = Restored { entries: log.entries, payloads: found.whole, torn: false };
    let config = PeerConfig { manifest, key: secret, nonce: [0; 32], memo: None };
    let needs = needs(&config, restored).unwrap_or_else(|error| {
        problems.push(error.into());
        Needs::default()
    });
    if needs.missing > 0 {
        problems.push(Problem::Missing(needs.missing));
    }
    let unneeded = lens.keys().filter(|hash| !needs.payloads.contains(hash)).count();
    Ok(Checked {
        entries,
        payloads: lens.len() as u64,
        unneeded: unneeded as u64,
        problems,
        leftovers: space::leftovers(dir)?,
        space: space::measure(dir, lens.values().sum())?,
    })
}

fn lens(payloads: &BTreeMap<ContentHash, Arc<[u8]>>) -> BTreeMap<ContentHash, u64> {
    payloads.iter().map(|(hash, bytes)| (*hash, bytes.len() as u64)).collect()
}

/// Compares the index with what the files say. The length of a log that the index remembers
/// may lag behind the file; the payloads may, too, after a kill.
fn compare_index(
    dir: &Path,
    entries: u64,
    payloads: &BTreeMap<ContentHash, u64>,
) -> Result<Option<Problem>, StoreError> {
    let scratch = Scratch::new();
    let said = match index::read_copy(dir, &scratch.0) {
        Ok(Some(said)) => said,
        Ok(None) if entries == 0 => return Ok(None),
        Ok(None) => return Ok(Some(Problem::Index("is missing".to_owned()))),
        Err(why) => return Ok(Some(Problem::Index(format!("is broken ({why})")))),
    };
    if said.entries > entries {
        let (path, known) = (log::path(dir), said.entries);
        return Ok(Some(Problem::Short(StoreError::LogShort { path, found: entries, known })));
    }
    let gone = said.payloads.keys().filter(|hash| !payloads.contains_key(hash)).count();
    let unknown = payloads.iter().filter(|(hash, len)| said.payloads.get(hash) != Some(*len));
    let unknown = unknown.count();
    let lag = entries - said.entries;
    if gone + unknown == 0 && lag == 0 {
        return Ok(None);
    }
    Ok(Some(Problem::Index(format!(
        "differs from the files ({gone} payloads are gone, {unknown} are not in it, it lags {lag} \
         entries of the log behind)"
    ))))
}

/// Throws the index away and makes it again from the log and the payloads, all signatures checked.
pub fn rebuild(dir: &Path) -> Result<Rebuilt, StoreError> {
    let mut store = Store::open(dir)?;
    let old = Index::open_existing(dir).map(|mut index| index.said());
    if let Some(old) = &old {
        refuse_short_log(dir, &store, old)?;
    }
    index::remove(dir).map_err(io_error("remove", &dir.join("index")))?;
    let loaded = store.load()?;
    let memory = store.memory.as_mut().expect("it was loaded");
    let new = memory.index.said();
    let (entries, payloads) = (loaded.restored.entries.len() as u64, new.payloads.len() as u64);
    let equal = old.map(|old| (old.payloads, old.entries) == (new.payloads, new.entries));
    Ok(Rebuilt { entries, payloads, equal })
}

/// Without the index nobody would notice any more that the log was shortened.
fn refuse_short_log(dir: &Path, store: &Store, old: &Said) -> Result<(), StoreError> {
    let known = old.entries;
    let found = log::read(dir, &store.load_key()?, old.tag)?.entries.len() as u64;
    match found < known {
        true => Err(StoreError::LogShort { path: log::path(dir), found, known }),
        false => Ok(()),
    }
}

/// Removes payloads that nothing asks for, what was left over, and what packs and the index waste.
/// A power loss at any moment loses nothing that is needed: what is moved is durable before the
/// original goes.
pub fn compact(dir: &Path) -> Result<Compacted, Care> {
    // Before the store is opened: that alone changes the index.
    let before = space::measure(dir, 0)?;
    let mut store = Store::open(dir)?;
    let loaded = store.load()?;
    let lens = lens(&loaded.restored.payloads);
    let before = Space { live: before.live + lens.values().sum::<u64>(), ..before };
    let config = PeerConfig {
        manifest: Arc::new(loaded.manifest),
        key: store.load_key()?,
        nonce: [0; 32],
        memo: None,
    };
    let needs = needs(&config, loaded.restored)?;
    let unneeded: Vec<_> = lens.keys().filter(|hash| !needs.payloads.contains(hash)).collect();
    let removed = unneeded.len() as u64;
    store.write(&BTreeMap::new(), [].iter())?;
    store.forget(&unneeded)?;
    store.compact_payloads()?;
    // The index is the last thing: until it is gone it remembers how long the log was.
    drop(store.memory.take());
    space::remove_leftovers(dir)?;
    index::remove(dir).map_err(io_error("remove", &dir.join("index")))?;
    store.load()?;
    drop(store.memory.take());
    let kept = lens.iter().filter(|(hash, _)| needs.payloads.contains(hash));
    let after = space::measure(dir, kept.map(|(_, len)| len).sum())?;
    Ok(Compacted { removed, before, after })
}

/// Why a directory could not be compacted.
#[derive(Debug, thiserror::Error)]
pub enum Care {
    /// The files could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log does not make a peer, so nobody knows what is needed.
    #[error("nothing was removed: {0}")]
    Peer(#[from] PeerError),
}

#[cfg(test)]
mod tests {
    use super::super::StoreError;
    use super::super::crash::restored::requests;
    use super::super::tests::{Folder, joined, key};
    use super::*;

    /// A directory with a real peer's log and payloads, and one payload that nothing asks for.
    fn cared_for() -> (Folder, PathBuf) {
        let (folder, mut store) = joined();
        let dir = store.dir.clone();
        for request in requests(12) {
            store.persist(&request).expect("room on the disk");
        }
        let stray: Arc<[u8]> = vec![7; 9_000].into();
        let payloads = [(ContentHash::of(&stray), stray)].into();
        store.write(&payloads, [].iter()).expect("room on the disk");
        (folder, dir)
    }

    #[test]
    fn a_sound_directory_checks_as_sound_and_is_not_changed() {
        let (_folder, dir) = cared_for();
        let before = files(&dir);
        let checked = check(&dir).expect("it can be read");
        assert!(checked.is_sound(), "{:?}", checked.problems);
        assert!(checked.entries > 5 && checked.payloads > 3 && checked.unneeded == 1);
        assert_eq!(files(&dir), before);
        assert!(checked.space.total() > checked.space.live && checked.space.live > 9_000);
    }

    fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for path in payload::list(dir).expect("our own folder") {
            if path.is_dir() {
                found.extend(files(&path));
            } else if !path.ends_with("lock") {
                found.insert(path.clone(), fs::read(&path).expect("our own file"));
            }
        }
        found
    }

    #[test]
    fn each_damage_is_found_and_says_what_to_do() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage, &str); 6] = [
            ("index", |dir| fs::remove_dir_all(dir.join("index")).expect("it is there"), "rebuild"),
            (
                "index",
                |dir| fs::write(dir.join("index/db"), [0xff; 5_000]).expect("it is there"),
                "rebuild",
            ),
            ("cut short", |dir| grow(&log::path(dir), &[0, 0, 3]), "the next start"),
            ("are no payload", |dir| grow(&pack(dir), b"what"), "the next start"),
            ("is damaged", |dir| flip(&pack(dir)), "fetches it again"),
            ("have no payload", |dir| fs::remove_file(pack(dir)).expect("it is there"), "fetches"),
        ];
        for (what, damage, step) in damages {
            let (_folder, dir) = cared_for();
            damage(&dir);
            let before = files(&dir);
            let checked = check(&dir).expect("it can be read");
            let texts: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
            let told = texts.iter().any(|text| text.contains(what) && text.contains(step));
            assert!(told, "{what}: {texts:?}");
            assert_eq!(files(&dir), before, "{what}: it changed something");
        }
    }

    fn pack(dir: &Path) -> PathBuf {
        payload::pack_path(&payload::root(dir), 1)
    }

    fn grow(path: &Path, by: &[u8]) {
        let bytes = [fs::read(path).expect("it is there"), by.to_vec()].concat();
        fs::write(path, bytes).expect("our own file");
    }

    fn flip(path: &Path) {
        let mut bytes = fs::read(path).expect("it is there");
        bytes[pack_header()] ^= 1;
        fs::write(path, bytes).expect("our own file");
    }

    fn pack_header() -> usize {
        super::super::pack::HEADER_BYTES
    }

    #[test]
    fn a_rebuilt_index_says_what_the_old_one_said() {
        let (_folder, dir) = cared_for();
        let rebuilt = rebuild(&dir).expect("it can be read");
        assert_eq!(rebuilt.equal, Some(true));
        index::remove(&dir).expect("it is there");
        assert_eq!(rebuild(&dir).expect("it can be read"), Rebuilt { equal: None, ..rebuilt });
        assert!(check(&dir).expect("it can be read").is_sound());
    }

    #[test]
    fn a_rebuild_keeps_the_memory_of_a_longer_log() {
        let (_folder, dir) = cared_for();
        let log = log::path(&dir);
        let whole = fs::read(&log).expect("it is there");
        let entries = log::read(&dir, &key(), None).expect("it is whole").entries;
        let last = longhaul_registry::frame_entry(entries.last().expect("it has entries")).len();
        fs::write(&log, &whole[..whole.len() - last]).expect("our own file");
        let error = rebuild(&dir).expect_err("an entry is gone");
        assert!(matches!(error, StoreError::LogShort { .. }), "{error}");
        let again = rebuild(&dir).expect_err("it is still gone").to_string();
        assert!(again.contains("Restore the newest copy"), "{again}");
    }

    #[test]
    fn compact_removes_what_nothing_asks_for_and_nothing_else() {
        let (_folder, dir) = cared_for();
        grow(&log::path(&dir), &[0, 0, 3]);
        let loaded =
            Store::open(&dir).and_then(|mut store| store.load()).expect("torn is not fatal");
        assert!(loaded.report.torn.is_some());
        let compacted = compact(&dir).expect("it can be compacted");
        assert_eq!(compacted.removed, 1);
        assert!(compacted.after.total() < compacted.before.total(), "{compacted:?}");
        assert_eq!(compacted.after.leftovers, 0);
        let checked = check(&dir).expect("it can be read");
        assert!(checked.is_sound() && checked.unneeded == 0, "{:?}", checked.problems);
        assert_eq!(checked.leftovers, Vec::<PathBuf>::new());
        let after = Store::read(&dir).expect("it can be read").restored;
        assert_eq!(after.entries, loaded.restored.entries);
        assert_eq!(after.payloads.len() + 1, loaded.restored.payloads.len());
        // Once more changes nothing.
        assert_eq!(compact(&dir).expect("it can be compacted").removed, 0);
    }

    #[test]
    fn care_waits_for_the_process_that_holds_the_directory() {
        let (_folder, dir) = cared_for();
        let _store = Store::open(&dir).expect("nobody has it");
        let texts = [
            check(&dir).expect_err("it is held").to_string(),
            rebuild(&dir).expect_err("it is held").to_string(),
            compact(&dir).expect_err("it is held").to_string(),
        ];
        for text in texts {
            assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        }
    }
}
