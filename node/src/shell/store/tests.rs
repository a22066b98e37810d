//! One data directory through its life, good and bad.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use longhaul_aggregation::{Clip, Encoding, Init, NormBound, Recipe, Rule, Schema, TensorSpec};
use longhaul_dtn::time::{Span, Timestamp};
use longhaul_registry::{Bounds, LogWriter, Manifest, Record, Task, TrainingPlan, frame_entry};

use super::*;

/// A new directory that goes away with the value.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("longhaul-store-{}-{number}", std::process::id());
        // In memory where there is such a folder: what a test needs of it is no power loss.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let path = parent.join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub(crate) fn manifest(name: &str) -> SignedManifest {
    let weights = TensorSpec::new("weights", vec![3], Init::Zero).expect("a tensor");
    let schema = Arc::new(Schema::new(vec![weights]).expect("a schema"));
    let manifest = Manifest {
        name: name.to_owned(),
        creator: key().peer_id(),
        parent: None,
        seed: [7; 32],
        task: Task { model: "mlp:3".to_owned(), data: "idx".to_owned() },
        start: Timestamp::from_dtn_ms(1_000_000),
        epoch_length: Span::from_ms(60_000),
        epochs: 10,
        training: TrainingPlan::plain(1, 1, 1),
        recipe: Recipe::plain(Rule::Mean, Clip::None, 1),
        attacker_share_permille: 0,
        members: vec![key().peer_id()],
        trust_roots: Vec::new(),
        committee: None,
        seal: None,
        encoding: Encoding::Int8,
        privacy: None,
        proofs: None,
        ceremony: None,
        aggregates: None,
        bounds: Bounds {
            norm_max: NormBound::from_milli(1_000),
            payload_bytes_max: u32::try_from(schema.payload_bytes_max()).expect("small"),
            summary_window: 1,
            bundle_lifetime: Span::from_ms(600_000),
        },
        schema,
    };
    manifest.sign(&key()).expect("a valid manifest")
}

pub(super) type Payloads = BTreeMap<ContentHash, Arc<[u8]>>;

/// What a peer asks to store, one request after the other.
pub(super) struct Story {
    log: LogWriter,
    pub requests: Vec<(Payloads, Vec<SignedEntry>)>,
}

impl Story {
    pub(super) fn new(requests: u64) -> Self {
        let mut story = Self { log: LogWriter::new(key()), requests: Vec::new() };
        let federation = manifest("test").id();
        let genesis = story.append(Record::Genesis { federation });
        story.requests.push((BTreeMap::new(), vec![genesis]));
        for number in 1..requests {
            // One for a pack and one for a file of its own.
            let [payload, large] =
                [100, 3_000].map(|times| Arc::<[u8]>::from(number.to_be_bytes().repeat(times)));
            let [hash, large_hash] = [&payload, &large].map(|bytes| ContentHash::of(bytes));
            let entries = [
                Record::Update { head: hash.as_bytes().to_vec() },
                Record::Update { head: vec![8; 700] },
            ];
            let entries = entries.map(|record| story.append(record)).to_vec();
            let payloads = [(hash, payload), (large_hash, large)];
            story.requests.push((payloads.into(), entries));
        }
        story
    }

    fn append(&mut self, record: Record) -> SignedEntry {
        self.log.append(Timestamp::from_dtn_ms(5), record)
    }

    /// What must be there once the first `count` requests were acknowledged.
    pub(super) fn after(&self, count: usize) -> (Vec<SignedEntry>, Payloads) {
        let done = &self.requests[..count];
        let entries = done.iter().flat_map(|(_, entries)| entries.clone()).collect();
        let payloads = done.iter().flat_map(|(payloads, _)| payloads.clone()).collect();
        (entries, payloads)
    }
}

/// A data directory that has joined and holds nothing.
pub(super) fn joined() -> (Folder, Store) {
    let folder = Folder::new();
    let dir = folder.0.join("peer");
    Store::create(&dir, &key()).expect("a new directory");
    let mut store = Store::open(&dir).expect("made just now");
    store.join(&manifest("test")).expect("no manifest yet");
    store.load().expect("nothing is wrong");
    (folder, store)
}

/// A joined data directory with the story's requests stored.
fn stored(requests: u64) -> (Folder, Store, Story) {
    let (folder, mut store) = joined();
    let story = Story::new(requests);
    for (payloads, entries) in &story.requests {
        store.write(payloads, entries.iter()).expect("room on the disk");
    }
    (folder, store, story)
}

fn reload(store: Store) -> Result<(Store, Loaded), StoreError> {
    let dir = store.dir.clone();
    drop(store);
    let mut store = Store::open(&dir)?;
    let loaded = store.load()?;
    Ok((store, loaded))
}

fn payload_file(store: &Store, story: &Story, request: usize) -> (ContentHash, PathBuf) {
    let mut payloads = story.requests[request].0.iter();
    let (hash, _) = payloads.find(|(_, bytes)| bytes.len() > 16 << 10).expect("it has a large one");
    let name = hash.to_string();
    (*hash, store.dir.join("payload").join(&name[..2]).join(name))
}

#[test]
fn brings_back_what_it_stored() {
    let (_folder, store, story) = stored(5);
    let (_store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!((loaded.restored.entries, loaded.restored.payloads), story.after(5));
    assert_eq!(loaded.report, LoadReport::default());
    assert_eq!(loaded.manifest.id(), manifest("test").id());
}

#[test]
fn goes_on_after_a_restart() {
    let (_folder, store, story) = stored(5);
    let (mut store, _) = reload(store).expect("nothing is wrong");
    let longer = Story::new(8);
    for (payloads, entries) in &longer.requests[5..] {
        store.write(payloads, entries.iter()).expect("room on the disk");
    }
    assert_eq!(longer.requests[..5].len(), story.requests.len());
    let (_store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!((loaded.restored.entries, loaded.restored.payloads), longer.after(8));
}

#[test]
fn can_be_read_while_a_process_holds_it() {
    let (_folder, store, story) = stored(4);
    let snapshot = Store::read(&store.dir).expect("nothing is wrong");
    let restored = snapshot.restored;
    assert_eq!((restored.entries, restored.payloads), story.after(4));
    assert_eq!(Store::key(&store.dir).expect("a key").peer_id(), key().peer_id());
}

#[test]
fn lets_one_process_in() {
    let (_folder, store, _) = stored(1);
    let error = Store::open(&store.dir).expect_err("it is held");
    let pid = std::process::id();
    assert!(matches!(&error, StoreError::Locked { pid: Some(found), .. } if *found == pid));
    assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
}

#[test]
fn makes_no_peer_over_another() {
    let (_folder, store, _) = stored(1);
    let dir = store.dir.clone();
    drop(store);
    let error = Store::create(&dir, &SecretKey::from_seed(&[2; 32])).expect_err("there is one");
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    assert_eq!(Store::key(&dir).expect("the first key").peer_id(), key().peer_id());
}

#[test]
fn says_what_to_do_first() {
    let folder = Folder::new();
    let absent = Store::open(&folder.0).expect_err("no peer").to_string();
    assert!(absent.contains("longhaul init"), "{absent}");
    let absent = Store::read(&folder.0).expect_err("no peer").to_string();
    assert!(absent.contains("longhaul init"), "{absent}");
    Store::create(&folder.0, &key()).expect("an empty directory");
    let alone = Store::read(&folder.0).expect_err("not joined").to_string();
    assert!(alone.contains("longhaul join"), "{alone}");
}

#[test]
#[cfg(unix)]
fn refuses_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, store, _) = stored(1);
    let path = store.dir.join("key");
    for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
        let found = store.load_key();
        assert_eq!(found.is_ok(), fine, "{mode:o}");
        if let Err(error) = found {
            let text = error.to_string();
            assert!(text.contains("chmod 600") && text.contains(&format!("{mode:o}")), "{text}");
        }
    }
}

#[test]
fn refuses_a_malformed_key() {
    let (_folder, store, _) = stored(1);
    let path = store.dir.join("key");
    let good = fs::read(&path).expect("a key");
    for bytes in [&b""[..], &good[1..], b"\xff\xfe", &good.repeat(9)] {
        fs::write(&path, bytes).expect("our own file");
        assert!(matches!(store.load_key(), Err(StoreError::KeyMalformed(_))), "{bytes:?}");
    }
}

#[test]
fn stays_in_its_federation_once_the_log_has_begun() {
    let folder = Folder::new();
    Store::create(&folder.0, &key()).expect("an empty directory");
    let mut store = Store::open(&folder.0).expect("made just now");
    store.join(&manifest("first")).expect("no manifest yet");
    store.join(&manifest("test")).expect("nothing was done yet");
    let story = Story::new(1);
    store.write(&BTreeMap::new(), story.requests[0].1.iter()).expect("room on the disk");
    store.join(&manifest("test")).expect("the same one");
    let error = store.join(&manifest("other")).expect_err("another one");
    assert!(matches!(error, StoreError::OtherFederation { .. }), "{error}");
}

#[test]
fn keeps_a_torn_end_aside_and_cuts_it() {
    let (_folder, mut store, story) = stored(4);
    let path = log::path(&store.dir);
    let whole = fs::read(&path).expect("a log");
    let last = frame_len(&story, 3);
    for missing in [1, 64, last - 1] {
        fs::write(&path, &whole[..whole.len() - missing]).expect("our own file");
        let mut again = reopen(&mut store);
        let loaded = again.load().expect("a torn end is not fatal");
        let (mut entries, _) = story.after(4);
        entries.pop();
        assert_eq!(loaded.restored.entries, entries);
        let kept = loaded.report.torn.clone().expect("it is reported");
        let remains = &whole[whole.len() - last..whole.len() - missing];
        assert_eq!(fs::read(kept).expect("kept aside"), remains);
        assert_eq!(again.load().expect("now it is clean").report, LoadReport::default());
    }
}

/// A second handle without the lock, for changes behind the first one's back; without an index, which
/// would remember more.
fn reopen(store: &mut Store) -> Store {
    store.memory = None;
    index::remove(&store.dir).expect("our own folder");
    let file = Folder::new();
    fs::create_dir_all(&file.0).expect("a temporary directory");
    let lock = lock::take(&file.0).expect("nobody else's");
    Store {
        dir: store.dir.clone(),
        disk: Box::new(RealDisk),
        area: None,
        memory: None,
        stopped: false,
        _lock: lock,
    }
}

fn frame_len(story: &Story, request: usize) -> usize {
    let entry = story.requests[request].1.last().expect("it has entries");
    frame_entry(entry).len()
}

#[test]
fn takes_sectors_that_never_arrived_for_torn() {
    let (_folder, store, story) = stored(4);
    let path = log::path(&store.dir);
    let whole = fs::read(&path).expect("a log");
    let sector = (whole.len() - 300) / 512 * 512;
    for zeros in [vec![0; 4_096], vec![0; 600]] {
        let after = [&whole[..], &zeros].concat();
        let half = [&whole[..sector], &zeros].concat();
        for (bytes, entries) in [(after, 7), (half, 6)] {
            fs::write(&path, bytes).expect("our own file");
            let snapshot = Store::read(&store.dir).expect("torn, not corrupt");
            assert_eq!(snapshot.restored.entries, story.after(4).0[..entries]);
        }
    }
}

#[test]
fn a_sector_that_never_arrived_is_torn_behind_the_mark_and_corrupt_before_it() {
    let (_folder, store, story) = stored(4);
    let path = log::path(&store.dir);
    let whole = fs::read(&path).expect("a log");
    let last: usize = story.requests[3].1.iter().map(|it| frame_entry(it).len()).sum();
    let mark = whole.len() - last;
    assert_eq!(mark::read(&store.dir), Some(mark));
    let sector = |at: usize| at..(at / 512 + 1) * 512;
    let lost = |range: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[range].fill(0);
        fs::write(&path, bytes).expect("our own file");
        Store::read(&store.dir)
    };
    // The second sector of the append is there, the first is not.
    let snapshot = lost(sector(mark)).expect("torn, not corrupt");
    assert_eq!(snapshot.restored.entries, story.after(3).0);
    let second = sector(mark).end;
    assert!(whole.len() > second + 512 && lost(sector(second)).is_ok());
    let error = lost(sector(mark / 512 * 512 - 512)).expect_err("it was acknowledged");
    assert!(matches!(error, StoreError::LogCorrupt { .. }), "{error}");
}

#[test]
fn refuses_a_flipped_byte_of_the_log_and_changes_nothing() {
    let (_folder, mut store, _) = stored(4);
    let path = log::path(&store.dir);
    let whole = fs::read(&path).expect("a log");
    for at in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).expect("our own file");
        let error = reopen(&mut store).load().expect_err("it is corrupt");
        let StoreError::LogCorrupt { offset, .. } = &error else { panic!("{error}") };
        assert!(*offset <= at, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("00000001.log") && text.contains(&format!("byte {offset}")),
            "{text}"
        );
        assert_eq!(fs::read(&path).expect("a log"), bytes);
    }
}

#[test]
fn refuses_to_go_on_without_its_log() {
    let (_folder, store, _) = stored(2);
    fs::remove_file(log::path(&store.dir)).expect("our own file");
    let error = reload(store).expect_err("it could sign twice");
    assert!(matches!(error, StoreError::LogMissing(_)), "{error}");
}

#[test]
fn sets_a_damaged_payload_aside() {
    let (_folder, store, story) = stored(4);
    let (hash, file) = payload_file(&store, &story, 2);
    fs::write(&file, b"something else").expect("our own file");
    let (store, loaded) = reload(store).expect("not fatal");
    let (entries, mut payloads) = story.after(4);
    payloads.remove(&hash);
    assert_eq!((loaded.restored.entries, loaded.restored.payloads), (entries, payloads));
    let kept = &loaded.report.damaged[&hash];
    assert_eq!(fs::read(kept).expect("kept aside"), b"something else");
    assert!(loaded.report.lines().any(|line| line.contains(&hash.to_string())));
    let (_store, loaded) = reload(store).expect("nothing is wrong any more");
    assert_eq!(loaded.report, LoadReport::default());
}

#[test]
fn reports_a_missing_payload_and_takes_it_again() {
    let (_folder, store, story) = stored(4);
    let (hash, file) = payload_file(&store, &story, 3);
    fs::remove_file(&file).expect("our own file");
    let (mut store, loaded) = reload(store).expect("not fatal");
    assert_eq!(loaded.report.missing, vec![hash]);
    assert!(!loaded.restored.payloads.contains_key(&hash));
    store.write(&story.requests[3].0, [].iter()).expect("room on the disk");
    let (_store, loaded) = reload(store).expect("nothing is wrong any more");
    assert_eq!(loaded.restored.payloads, story.after(4).1);
    assert_eq!(loaded.report, LoadReport::default());
}

#[test]
fn sweeps_up_payloads_that_were_never_finished() {
    let (_folder, store, story) = stored(2);
    let part = payload_file(&store, &story, 1).1.with_extension("part");
    fs::write(&part, b"half").expect("our own folder");
    let (_store, loaded) = reload(store).expect("not fatal");
    assert_eq!(loaded.report, LoadReport::default());
    assert!(!part.exists());
}

#[test]
fn survives_whatever_happens_to_the_index() {
    type Damage = fn(&Path);
    let damages: [Damage; 5] = [
        |index| fs::remove_dir_all(index).expect("our own folder"),
        |index| fs::write(index.join("db"), [0xff; 5_000]).expect("our own file"),
        |index| fs::write(index.join("conf"), b"garbage").expect("our own file"),
        |index| fs::write(index.join("db"), b"").expect("our own file"),
        |index| {
            fs::remove_dir_all(index).expect("our own folder");
            fs::write(index, b"a file, no folder").expect("our own folder");
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (_folder, store, story) = stored(4);
        let dir = store.dir.clone();
        drop(store);
        damage(&dir.join("index"));
        let mut store = Store::open(&dir).expect("the index is not needed");
        let loaded = store.load().expect("the index is not needed");
        let restored = loaded.restored;
        assert_eq!((restored.entries, restored.payloads), story.after(4), "damage {number}");
        store.write(&story.requests[1].0, [].iter()).expect("room on the disk");
        let (_store, loaded) = reload(store).expect("nothing is wrong any more");
        assert_eq!(loaded.report, LoadReport::default());
    }
}

#[test]
fn keeps_a_broken_index_for_inspection() {
    let (_folder, store, _) = stored(2);
    let dir = store.dir.clone();
    drop(store);
    fs::remove_dir_all(dir.join("index")).expect("our own folder");
    fs::write(dir.join("index"), b"a file, no folder").expect("our own folder");
    let mut store = Store::open(&dir).expect("the index is not needed");
    store.load().expect("the index is not needed");
    assert_eq!(fs::read(dir.join("index.broken-1")).expect("kept"), b"a file, no folder");
    assert!(dir.join("index").is_dir());
}

fn hashed(bytes: Vec<u8>) -> (ContentHash, Arc<[u8]>) {
    (ContentHash::of(&bytes), bytes.into())
}

/// Small payloads, all different.
fn small(numbers: std::ops::Range<u32>) -> Payloads {
    numbers.map(|number| hashed(number.to_be_bytes().repeat(250))).collect()
}

#[test]
fn small_payloads_share_a_file_and_large_ones_have_their_own() {
    let (_folder, mut store, story) = stored(1);
    let limit = pack::PACKED_BYTES_MAX;
    let (mut payloads, one_more) = (small(0..40), hashed(vec![2; limit + 1]));
    payloads.extend([hashed(vec![1; limit]), one_more.clone(), hashed(Vec::new())]);
    store.write(&payloads, [].iter()).expect("room on the disk");
    let packs = payload::list(&store.dir.join("payload/pack")).expect("our own folder");
    assert_eq!(packs.len(), 1);
    let name = one_more.0.to_string();
    assert!(store.dir.join("payload").join(&name[..2]).join(&name).exists());
    let (_store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!((loaded.restored.entries, loaded.restored.payloads), (story.after(1).0, payloads));
    assert_eq!(loaded.report, LoadReport::default());
}

#[test]
fn reads_directories_that_have_a_file_for_every_payload_and_no_mark() {
    let (_folder, store, story) = stored(4);
    let dir = store.dir.clone();
    drop(store);
    fs::remove_dir_all(dir.join("payload/pack")).expect("our own folder");
    fs::remove_file(dir.join("log/mark")).expect("our own file");
    let old = story.after(4).1;
    for (hash, bytes) in &old {
        let name = hash.to_string();
        let folder = dir.join("payload").join(&name[..2]);
        fs::create_dir_all(&folder).expect("our own folder");
        fs::write(folder.join(name), bytes).expect("our own folder");
    }
    let mut store = Store::open(&dir).expect("an old directory");
    assert_eq!(store.load().expect("an old directory").restored.payloads, old);
    store.write(&old, [].iter()).expect("room on the disk");
    assert!(!dir.join("payload/pack").exists(), "nothing is stored twice");
    store.compact_payloads().expect("room on the disk");
    let (store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!(loaded.restored.payloads, old);
    let files = payload::list(&store.dir.join("payload")).expect("our own folder").into_iter();
    let files: usize = files.map(|path| payload::list(&path).expect("a folder").len()).sum();
    assert_eq!(files, 3 + 1, "three large ones and a pack");
}

#[test]
fn room_of_forgotten_payloads_is_given_back_and_stays_given_back() {
    let (_folder, mut store, _) = stored(1);
    let area = store.area.as_mut().expect("it was loaded");
    (area.pack_bytes_max, area.waste_bytes) = (40_000, 4_000);
    let mut live = Payloads::new();
    for generation in 0..6 {
        let new = small(generation * 200..generation * 200 + 200);
        store.write(&new, [].iter()).expect("room on the disk");
        let old: Vec<_> = live.keys().collect();
        store.forget(&old).expect("they are there");
        live = new;
    }
    let space = store.area.as_ref().expect("it was loaded").pack_space();
    assert_eq!(space.live, 200 * (1_000 + 48));
    assert!(space.total <= space.live + space.live / 8 + 4_000, "{space:?}");
    let files = payload::list(&store.dir.join("payload/pack")).expect("our own folder");
    let sizes = files.iter().map(|file| fs::metadata(file).expect("a pack").len());
    assert_eq!(sizes.sum::<u64>(), space.total);
    let (_store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!(loaded.restored.payloads, live);
    assert_eq!(loaded.report, LoadReport::default());
}

#[test]
fn a_damaged_record_of_a_pack_is_kept_aside_and_the_others_are_read() {
    let (_folder, mut store, _) = stored(1);
    let payloads = small(0..10);
    store.write(&payloads, [].iter()).expect("room on the disk");
    let (store, _) = reload(store).expect("nothing is wrong");
    let file = payload::pack_path(&store.dir.join("payload"), 1);
    let mut bytes = fs::read(&file).expect("a pack");
    bytes[3 * 1_048 + 500] ^= 1;
    fs::write(&file, bytes).expect("our own file");
    let (store, loaded) = reload(store).expect("not fatal");
    let (hash, kept) = loaded.report.damaged.first_key_value().expect("one is damaged");
    assert_eq!(fs::read(kept).expect("kept aside").len(), 1_048);
    let mut left = payloads;
    left.remove(hash).expect("it was one of these");
    assert_eq!(loaded.restored.payloads, left);
    let (_store, loaded) = reload(store).expect("nothing is wrong any more");
    assert_eq!((loaded.restored.payloads, loaded.report), (left, LoadReport::default()));
}

#[test]
fn a_log_that_is_shorter_than_its_mark_is_refused_without_an_index() {
    let (_folder, store, _) = stored(4);
    let path = log::path(&store.dir);
    let whole = fs::read(&path).expect("a log");
    let dir = store.dir.clone();
    drop(store);
    // The mark stands before the last append, which was of two entries.
    for cut in [whole.len() / 2, 10, 0] {
        fs::write(&path, &whole[..cut]).expect("our own file");
        fs::remove_dir_all(dir.join("index")).unwrap_or_default();
        let error = Store::open(&dir).and_then(|mut store| store.load()).expect_err("it is short");
        assert!(matches!(error, StoreError::LogCut { .. }), "{error}");
        assert!(error.to_string().contains("shortened"), "{error}");
    }
}

#[test]
fn a_changed_log_is_noticed_although_its_beginning_was_checked_before() {
    let (_folder, store, _) = stored(4);
    let (store, _) = reload(store).expect("nothing is wrong");
    let (dir, path) = (store.dir.clone(), log::path(&store.dir));
    drop(store);
    let whole = fs::read(&path).expect("a log");
    for at in [10, 700, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("our own file");
        let error = Store::open(&dir).and_then(|mut store| store.load()).expect_err("changed");
        assert!(matches!(error, StoreError::LogCorrupt { .. }), "{error}");
    }
}

/// A store with a pack of ten payloads, closed; and the pack.
fn packed() -> (Folder, PathBuf, Payloads, PathBuf) {
    let (folder, mut store, _) = stored(1);
    let payloads = small(0..10);
    store.write(&payloads, [].iter()).expect("room on the disk");
    let (dir, pack) = (store.dir.clone(), payload::pack_path(&store.dir.join("payload"), 1));
    (folder, dir, payloads, pack)
}

fn open(dir: &Path) -> (Store, Loaded) {
    let mut store = Store::open(dir).expect("nobody has it");
    let loaded = store.load().expect("nothing is fatal");
    (store, loaded)
}

#[test]
fn the_torn_end_of_the_newest_pack_goes_without_a_word() {
    let (_folder, dir, payloads, pack) = packed();
    let whole = fs::read(&pack).expect("a pack");
    for torn in [&whole[..30], &whole[..900], &[0; 5_000]] {
        fs::write(&pack, [&whole[..], torn].concat()).expect("our own file");
        // Without an index: it would know the payload, which is in there twice.
        let (_store, loaded) = open(&dir);
        assert_eq!((loaded.report, &loaded.restored.payloads), (LoadReport::default(), &payloads));
        assert_eq!(fs::read(&pack).expect("a pack"), whole);
    }
}

#[test]
fn bytes_of_an_older_pack_that_are_no_record_are_kept_aside() {
    let (_folder, dir, payloads, pack) = packed();
    fs::write(payload::pack_path(&dir.join("payload"), 2), b"").expect("our own folder");
    let whole = fs::read(&pack).expect("a pack");
    fs::write(&pack, [b"what is this", &whole[..]].concat()).expect("our own file");
    let (_store, loaded) = open(&dir);
    assert_eq!(loaded.restored.payloads, payloads);
    let [kept] = &loaded.report.regions[..] else { panic!("{:?}", loaded.report) };
    assert_eq!(fs::read(kept).expect("kept aside"), b"what is this");
    assert_eq!(loaded.report.lines().count(), 1);
    assert_eq!(fs::read(&pack).expect("a pack"), whole);
}

#[test]
fn a_pack_that_is_gone_is_reported_payload_by_payload() {
    let (_folder, dir, payloads, pack) = packed();
    fs::remove_file(pack).expect("our own file");
    let (_store, loaded) = open(&dir);
    assert_eq!(loaded.report.missing, payloads.into_keys().collect::<Vec<_>>());
    assert_eq!(loaded.report.lines().count(), 10);
}

#[test]
fn what_is_forgotten_stays_forgotten_while_packs_are_emptied() {
    let (_folder, dir, mut payloads, _) = packed();
    let (mut store, _) = open(&dir);
    let gone: Vec<_> = payloads.keys().take(4).copied().collect();
    store.forget(&gone.iter().collect::<Vec<_>>()).expect("they are there");
    gone.iter().for_each(|hash| drop(payloads.remove(hash)));
    for _ in 0..3 {
        store.compact_payloads().expect("room on the disk");
        let (again, loaded) = reload(store).expect("nothing is wrong");
        assert_eq!((&loaded.restored.payloads, loaded.report), (&payloads, LoadReport::default()));
        store = again;
    }
}

#[test]
fn a_forgotten_payload_can_be_stored_again() {
    let (_folder, dir, payloads, _) = packed();
    let (mut store, _) = open(&dir);
    store.forget(&payloads.keys().collect::<Vec<_>>()).expect("they are there");
    store.write(&payloads, [].iter()).expect("room on the disk");
    store.compact_payloads().expect("room on the disk");
    let (_store, loaded) = reload(store).expect("nothing is wrong");
    assert_eq!((loaded.restored.payloads, loaded.report), (payloads, LoadReport::default()));
}

#[test]
fn a_pack_that_rots_while_the_store_is_open_is_not_emptied() {
    let (_folder, dir, payloads, pack) = packed();
    let (mut store, _) = open(&dir);
    let (first, _) = payloads.first_key_value().expect("it has ten");
    store.forget(&[first]).expect("it is there");
    let mut bytes = fs::read(&pack).expect("a pack");
    bytes[5 * 1_048 + 500] ^= 1;
    fs::write(&pack, bytes).expect("our own file");
    store.compact_payloads().expect("it leaves the pack alone");
    let (_store, loaded) = reload(store).expect("not fatal");
    assert_eq!(loaded.report.damaged.len(), 1);
    assert_eq!(loaded.restored.payloads.len(), 8);
}

#[test]
fn a_compact_store_is_left_as_it_is() {
    let (_folder, dir, _, pack) = packed();
    let (mut store, _) = open(&dir);
    store.compact_payloads().expect("room on the disk");
    assert!(pack.exists() && !payload::pack_path(&dir.join("payload"), 2).exists());
}

#[test]
fn a_file_that_a_power_loss_brings_back_is_not_kept_beside_its_pack() {
    let (_folder, dir, payloads, _) = packed();
    let (hash, bytes) = payloads.first_key_value().expect("it has ten");
    let name = hash.to_string();
    let folder = dir.join("payload").join(&name[..2]);
    fs::create_dir_all(&folder).expect("our own folder");
    fs::write(folder.join(&name), bytes).expect("our own folder");
    let (_store, loaded) = open(&dir);
    assert_eq!(
        (loaded.restored.payloads, loaded.report),
        (payloads.clone(), LoadReport::default())
    );
    assert!(!folder.join(name).exists());
}

#[test]
fn strange_files_among_the_packs_are_left_alone() {
    let (_folder, dir, payloads, _) = packed();
    let strange =
        ["notes.txt", "x.pack", "1.pack.old"].map(|name| dir.join("payload/pack").join(name));
    strange.iter().for_each(|path| fs::write(path, b"mine").expect("our own folder"));
    let (_store, loaded) = open(&dir);
    assert_eq!(loaded.restored.payloads, payloads);
    assert!(strange.iter().all(|path| path.exists()));
}
