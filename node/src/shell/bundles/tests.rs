//! One store through its life, good and bad.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use longhaul_dtn::time::Timestamp;
use proptest::prelude::*;

use super::recorder::{Change, Recorder, Trace, Unsynced};
use super::*;

/// Small, so that a few bundles fill a segment.
pub(super) const LIMITS: StoreLimits =
    StoreLimits { quota_bytes: 1 << 30, segment_bytes: 4_096, bundle_bytes_max: 10_000 };

/// A new directory that goes away with the value.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("longhaul-bundles-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub(super) fn open(&self) -> (BundleStore, OpenReport) {
        BundleStore::open(&self.0, LIMITS).expect("nothing is wrong with the directory")
    }

    /// Opens without syncing anything, which is slow and does not show here.
    pub(super) fn open_unsynced(&self) -> (BundleStore, OpenReport) {
        BundleStore::open_on(Box::<Unsynced>::default(), &self.0, LIMITS, UseIndexes::Yes)
            .expect("nothing is wrong with the directory")
    }

    /// The files with this extension, in order.
    pub(super) fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("our own folder");
        let paths = entries.map(|entry| entry.expect("our own folder").path());
        let is_such = |path: &PathBuf| path.extension().is_some_and(|it| it == extension);
        let mut paths: Vec<_> = paths.filter(is_such).collect();
        paths.sort();
        paths
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn key(number: u8) -> BundleKey {
    BundleKey::from_bytes([number; 32])
}

/// Content that says whose it is.
pub(super) fn content(number: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| number ^ at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

fn new(number: u8, bytes: &[u8]) -> NewBundle<'_> {
    NewBundle { key: key(number), expires: Timestamp::from_dtn_ms(number.into()), bytes }
}

/// Inserts bundles of `len` bytes.
fn insert(store: &mut BundleStore, numbers: &[u8], len: usize) -> Vec<Inserted> {
    let bodies: Vec<_> = numbers.iter().map(|&number| content(number, len)).collect();
    let bundles: Vec<_> =
        numbers.iter().zip(&bodies).map(|(&number, body)| new(number, body)).collect();
    store.insert_all(&bundles).expect("room on the disk")
}

fn delete(store: &mut BundleStore, numbers: &[u8]) {
    let keys: Vec<_> = numbers.iter().map(|&number| key(number)).collect();
    store.delete_all(&keys).expect("room on the disk");
}

/// The numbers of the stored bundles in order of arrival; checks each content.
fn stored(store: &BundleStore) -> Vec<u8> {
    store.catalog.check();
    let numbers = store.entries().map(|(key, entry)| {
        let number = key.as_bytes()[0];
        let bytes = store.get(&key).expect("it can be read").expect("it is stored");
        assert_eq!(bytes.len() as u64, entry.bytes);
        assert_eq!(bytes, content(number, bytes.len()));
        assert_eq!(entry.expires.dtn_ms(), u64::from(number));
        number
    });
    numbers.collect()
}

fn compact(store: &mut BundleStore) -> Compacted {
    let mut sum = Compacted::default();
    for _ in 0..10_000 {
        let step = store.compact_step(1_000).expect("nothing is damaged");
        sum.copied_bytes += step.copied_bytes;
        sum.freed_bytes += step.freed_bytes;
        store.catalog.check();
        if step.is_done {
            return sum;
        }
    }
    panic!("compaction comes to no end");
}

/// Changes one byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("our own file");
    bytes[at] ^= 0x40;
    fs::write(path, bytes).expect("our own file");
}

#[test]
fn keeps_bundles_in_order_of_arrival() {
    let folder = Folder::new();
    let (mut store, report) = folder.open();
    assert_eq!(report, OpenReport::default());
    assert_eq!(insert(&mut store, &[5, 3, 9], 100), [Inserted::New; 3]);
    assert_eq!(
        insert(&mut store, &[3, 7, 7], 100),
        [Inserted::Known, Inserted::New, Inserted::Known]
    );
    delete(&mut store, &[9, 200]);
    assert_eq!(stored(&store), [5, 3, 7]);
    assert_eq!(store.get(&key(9)).expect("nothing is damaged"), None);
    drop(store);
    let (mut store, report) = folder.open();
    assert_eq!((report.bundles, report.lines().count()), (3, 0));
    assert_eq!(stored(&store), [5, 3, 7]);
    assert_eq!(insert(&mut store, &[9], 100), [Inserted::New]);
    assert_eq!(stored(&store), [5, 3, 7, 9]);
}

#[test]
fn fills_segments_and_gives_large_bundles_a_file() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3, 4, 5], 900);
    insert(&mut store, &[6, 7], 5_000);
    insert(&mut store, &[8], 900);
    assert_eq!(folder.files("seg").len(), 2);
    assert_eq!(folder.files("one").len(), 2);
    assert_eq!(folder.files("idx").len(), 1);
    for path in folder.files("seg") {
        assert!(fs::metadata(path).expect("our own file").len() <= LIMITS.segment_bytes);
    }
    drop(store);
    let (store, report) = folder.open();
    assert_eq!((report.files, report.scanned), (4, 1));
    assert_eq!(stored(&store), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(store.usage().live_bytes, 6 * 972 + 2 * 5_072);
    assert_eq!(store.usage().bundles, 8);
}

#[test]
fn total_is_what_lies_on_the_disk() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    for round in 0..6 {
        insert(&mut store, &[round, round + 100, round + 200], 700);
        insert(&mut store, &[round + 50], 3_000);
        delete(&mut store, &[round / 2 + 100, round / 3 + 50]);
        compact(&mut store);
        let files = ["seg", "idx", "one"].into_iter().flat_map(|kind| folder.files(kind));
        let total: u64 = files.map(|file| fs::metadata(file).expect("our own file").len()).sum();
        assert_eq!(store.usage().total_bytes, total);
    }
}

#[test]
fn reads_ranges() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1], 900);
    insert(&mut store, &[2], 9_000);
    for (number, len) in [(1, 900), (2, 9_000)] {
        let whole = content(number, len);
        for (offset, count, range) in [
            (0, 10, 0..10),
            (50, 800, 50..850),
            (len as u64 - 1, 5, len - 1..len),
            (len as u64, 5, len..len),
            (u64::MAX, usize::MAX, len..len),
        ] {
            let part = store.read_range(&key(number), offset, count).expect("it can be read");
            assert_eq!(part.expect("it is stored"), whole[range]);
        }
    }
    assert_eq!(store.read_range(&key(3), 0, 1).expect("nothing is damaged"), None);
}

#[test]
fn refuses_what_goes_beyond_the_limits() {
    let folder = Folder::new();
    let open = |limits| BundleStore::open(&folder.0, limits);
    for limits in [
        StoreLimits { segment_bytes: 4_095, ..LIMITS },
        StoreLimits { quota_bytes: 4 * 4_096 - 1, ..LIMITS },
    ] {
        assert!(matches!(open(limits), Err(BundleStoreError::Limits(_))));
    }
    let (mut store, _) = open(StoreLimits { quota_bytes: 4 * 4_096, ..LIMITS }).expect("possible");
    let too_large = content(2, 10_001);
    let small = content(1, 100);
    let error = store.insert_all(&[new(1, &small), new(2, &too_large)]).expect_err("too large");
    assert!(matches!(error, BundleStoreError::TooLarge { max: 10_000, .. }), "{error}");
    assert!(stored(&store).is_empty());
    let answers = insert(&mut store, &(0..30).collect::<Vec<_>>(), 900);
    let taken = answers.iter().filter(|&&answer| answer == Inserted::New).count();
    assert_eq!(answers[..taken], vec![Inserted::New; taken]);
    assert_eq!(answers[taken..], vec![Inserted::Full; 30 - taken]);
    assert_eq!((stored(&store).len(), taken), (taken, 16));
    // Space comes back.
    delete(&mut store, &[0, 1, 2, 3, 4, 5]);
    compact(&mut store);
    assert_eq!(insert(&mut store, &[40], 900), [Inserted::New]);
    assert_eq!(insert(&mut store, &[41], 9_000), [Inserted::Full]);
}

#[test]
fn one_process_at_a_time() {
    let folder = Folder::new();
    let (store, _) = folder.open();
    let error = BundleStore::open(&folder.0, LIMITS).expect_err("it is locked");
    let BundleStoreError::Locked { pid, .. } = error else { panic!("{error}") };
    assert_eq!(pid, Some(std::process::id()));
    drop(store);
    folder.open();
}

#[test]
fn marks_are_written_with_the_next_group() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2], 100);
    store.note_all(&[(key(1), 7), (key(1), 3), (key(1), 7), (key(9), 1), (key(2), u128::MAX)]);
    let noted = |store: &BundleStore, number| store.noted(&key(number)).collect::<Vec<_>>();
    assert_eq!((noted(&store, 1), noted(&store, 2)), (vec![3, 7], vec![u128::MAX]));
    drop(store);
    let (mut store, _) = folder.open();
    assert!(noted(&store, 1).is_empty());
    store.note_all(&[(key(1), 7), (key(2), 9)]);
    insert(&mut store, &[3], 100);
    store.note_all(&[(key(1), 8)]);
    store.flush().expect("room on the disk");
    delete(&mut store, &[2]);
    drop(store);
    let (mut store, _) = folder.open();
    assert_eq!((noted(&store, 1), noted(&store, 2)), (vec![7, 8], vec![]));
    // A bundle that comes again has been acknowledged by nobody.
    insert(&mut store, &[2], 100);
    assert!(noted(&store, 2).is_empty());
    store.catalog.check();
}

/// A store on a disk that notes what is done, and a way to count that.
fn recorded(folder: &Folder) -> (BundleStore, impl Fn() -> [usize; 4]) {
    let trace = Trace::default();
    let disk = Box::new(Recorder::new(&folder.0, &trace, None));
    let opened = BundleStore::open_on(disk, &folder.0, LIMITS, UseIndexes::Yes);
    let (store, _) = opened.expect("nothing is wrong with the directory");
    let seen = trace.len();
    // Writes to segments and large bundles, syncs of files, of names, new segments.
    let count = move || {
        let is_index = |path: &PathBuf| path.extension().is_some_and(|it| it == "idx");
        let mut counts = [0; 4];
        for change in &trace.changes()[seen..] {
            match change {
                Change::Append(path, _) if !is_index(path) => counts[0] += 1,
                Change::Sync(_) => counts[1] += 1,
                Change::SyncDir(_) => counts[2] += 1,
                Change::Create(path) if !is_index(path) => counts[3] += 1,
                _ => {}
            }
        }
        counts
    };
    (store, count)
}

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let folder = Folder::new();
    let (mut store, count) = recorded(&folder);
    insert(&mut store, &[1, 2, 3], 100);
    assert_eq!(count(), [1, 1, 1, 1], "a new segment's name is synced too");
    store.note_all(&[(key(1), 4), (key(2), 4)]);
    assert_eq!(count(), [1, 1, 1, 1], "notes wait for a group");
    insert(&mut store, &[4, 5, 6, 7, 8], 100);
    assert_eq!(count(), [2, 2, 1, 1]);
    delete(&mut store, &[1, 2, 3, 4]);
    assert_eq!(count(), [3, 3, 1, 1]);
}

#[test]
fn a_group_over_two_segments_costs_one_sync_for_each() {
    let folder = Folder::new();
    let (mut store, count) = recorded(&folder);
    insert(&mut store, &[1, 2, 3, 4, 5, 6], 900);
    assert_eq!(count(), [2, 2, 2, 2]);
}

#[test]
fn large_bundles_of_a_group_share_the_sync_of_their_names() {
    let folder = Folder::new();
    let (mut store, count) = recorded(&folder);
    insert(&mut store, &[1, 2, 3], 5_000);
    assert_eq!(count(), [3, 3, 1, 3]);
}

#[test]
fn what_changes_nothing_touches_no_disk() {
    let folder = Folder::new();
    let (mut store, count) = recorded(&folder);
    insert(&mut store, &[1], 100);
    let before = count();
    assert_eq!(insert(&mut store, &[1], 100), [Inserted::Known]);
    insert(&mut store, &[], 100);
    delete(&mut store, &[2]);
    store.note_all(&[(key(2), 1)]);
    store.flush().expect("nothing to do");
    assert!(store.compact_step(u64::MAX).expect("nothing to do").is_done);
    assert_eq!(count(), before);
}

#[test]
fn a_step_copies_no_more_than_it_may() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &(0..32).collect::<Vec<_>>(), 400);
    delete(&mut store, &(0..32).filter(|number| number % 2 == 0).collect::<Vec<_>>());
    for bytes_max in [1, 472, 944, 1_000] {
        let step = store.compact_step(bytes_max).expect("nothing is damaged");
        assert!(!step.is_done && step.copied_bytes > 0);
        assert!(step.copied_bytes <= bytes_max.max(472), "{step:?} of {bytes_max}");
    }
    let sum = compact(&mut store);
    assert!(sum.freed_bytes > sum.copied_bytes);
}

#[test]
fn an_open_segment_full_of_garbage_is_compacted_too() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3], 900);
    delete(&mut store, &[1, 2, 3]);
    compact(&mut store);
    assert_eq!(store.usage(), Usage::default());
    assert_eq!(folder.files("seg"), Vec::<PathBuf>::new());
    insert(&mut store, &[1], 100);
    assert_eq!(stored(&store), [1]);
}

#[test]
fn compaction_keeps_what_is_needed_and_frees_the_rest() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    let all: Vec<u8> = (0..80).collect();
    insert(&mut store, &all, 400);
    let marks: Vec<_> = all.iter().map(|&number| (key(number), 5)).collect();
    store.note_all(&marks);
    let gone: Vec<u8> = (0..80).filter(|number| number % 4 != 1).collect();
    delete(&mut store, &gone);
    let before = store.usage();
    let sum = compact(&mut store);
    let after = store.usage();
    // Copies bring heads of segments, marks and indexes with them.
    let more = after.total_bytes + sum.freed_bytes - before.total_bytes - sum.copied_bytes;
    assert!(more < 4_500, "{more}");
    assert_eq!(after.live_bytes, 20 * (472 + 24));
    assert!(after.total_bytes * 10 < after.live_bytes * 13 + 20 * LIMITS.segment_bytes);
    let left: Vec<u8> = (0..80).filter(|number| number % 4 == 1).collect();
    assert_eq!(stored(&store), left);
    assert!(left.iter().all(|&number| store.noted(&key(number)).eq([5])));
    drop(store);
    let (store, report) = folder.open();
    assert_eq!(report.lines().count(), 0);
    assert_eq!(stored(&store), left);
    assert!(left.iter().all(|&number| store.noted(&key(number)).eq([5])));
}

#[test]
fn space_stays_bounded_over_generations() {
    let folder = Folder::new();
    let (mut store, _) = folder.open_unsynced();
    let limits = LIMITS.segment_bytes;
    for generation in 0..8_u8 {
        for first in (0..120).step_by(10) {
            let new: Vec<u8> = (first..first + 10).collect();
            if generation > 0 {
                // Not the oldest, so that segments are mixed.
                let old: Vec<u8> = new.iter().map(|number| number.wrapping_mul(7) % 120).collect();
                delete(&mut store, &old);
            }
            let missing: Vec<u8> =
                (0..120).filter(|&number| !store.contains(&key(number))).collect();
            insert(&mut store, &missing, 512);
            compact(&mut store);
            let Usage { live_bytes, total_bytes, .. } = store.usage();
            assert!(total_bytes * 10 <= live_bytes * 13 + 20 * limits, "{:?}", store.usage());
        }
    }
    delete(&mut store, &(0..120).collect::<Vec<_>>());
    compact(&mut store);
    assert!(store.usage().total_bytes <= limits, "{:?}", store.usage());
}

#[test]
fn a_deleted_bundle_stays_deleted_whatever_is_compacted() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    // Seven of these fill a segment.
    insert(&mut store, &(1..=28).collect::<Vec<_>>(), 440);
    insert(&mut store, &[100, 101, 102, 103], 900);
    delete(&mut store, &[4]);
    insert(&mut store, &[110, 111, 112, 113], 900);
    delete(&mut store, &[100, 101, 102, 103]);
    let (first, fifth) = (folder.files("seg")[0].clone(), folder.files("seg")[4].clone());
    compact(&mut store);
    assert!(first.exists(), "most of it is needed");
    assert!(!fifth.exists(), "nothing of it is needed but a tombstone");
    let expected: Vec<u8> = (1..=28).filter(|&it| it != 4).chain(110..=113).collect();
    drop(store);
    for _ in 0..2 {
        let (mut store, _) = folder.open();
        assert_eq!(stored(&store), expected);
        compact(&mut store);
    }
}

#[test]
fn a_damaged_record_names_its_place() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3], 100);
    let file = folder.files("seg")[0].clone();
    let second = SEGMENT_HEAD + 172;
    flip(&file, second + 72 + 50);
    let error = store.get(&key(2)).expect_err("it is damaged");
    let text = error.to_string();
    assert!(text.contains(&format!("0001.seg is damaged at byte {second}")), "{text}");
    flip(&file, second + 72 + 50);
    flip(&file, second + 20);
    assert!(matches!(store.get(&key(2)), Err(BundleStoreError::Damaged(_))));
    assert!(matches!(store.read_range(&key(2), 0, 1), Err(BundleStoreError::Damaged(_))));
    assert_eq!(store.get(&key(1)).expect("it is whole"), Some(content(1, 100)));
    // Deleted and fetched again, it is whole.
    delete(&mut store, &[2]);
    insert(&mut store, &[2], 100);
    assert_eq!(stored(&store), [1, 3, 2]);
}

/// Bytes of a segment before its first record.
const SEGMENT_HEAD: usize = 32;

#[test]
fn damage_is_reported_and_kept_aside() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3, 4, 5, 6, 7, 8, 9], 900);
    drop(store);
    let first = folder.files("seg")[0].clone();
    let bytes = fs::read(&first).expect("our own file");
    flip(&first, SEGMENT_HEAD + 972 + 40);
    fs::remove_file(folder.files("idx")[0].clone()).expect("our own file");
    let check = BundleStore::check(&folder.0).expect("it can be read");
    assert!(!check.is_sound());
    let (mut store, report) = folder.open();
    let place = Damage { file: first.clone(), offset: 1_004, why: "no record begins here" };
    assert_eq!((&report.damaged, &check.damaged), (&vec![place.clone()], &vec![place]));
    assert_eq!(stored(&store), [1, 3, 4, 5, 6, 7, 8, 9]);
    // The index is not written, so that the damage is found again.
    assert!(!first.with_extension("idx").exists());
    delete(&mut store, &[1, 3, 4]);
    compact(&mut store);
    assert!(!first.exists());
    let kept = folder.0.join("aside/damaged-0000000000000001.seg-1");
    assert_eq!(fs::read(kept).expect("kept aside").len(), bytes.len());
    assert_eq!(stored(&store), [5, 6, 7, 8, 9]);
    assert!(BundleStore::check(&folder.0).expect("it can be read").is_sound());
}

#[test]
fn a_segment_with_a_damaged_bundle_waits_until_it_is_deleted() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3, 4, 5], 900);
    let first = folder.files("seg")[0].clone();
    flip(&first, SEGMENT_HEAD + 972 + 100);
    delete(&mut store, &[1, 3]);
    let error = store.compact_step(10_000).expect_err("it cannot be copied");
    assert!(matches!(error, BundleStoreError::Damaged(_)), "{error}");
    assert!(store.compact_step(10_000).expect("left alone").is_done);
    assert!(matches!(store.get(&key(2)), Err(BundleStoreError::Damaged(_))));
    delete(&mut store, &[2]);
    compact(&mut store);
    assert!(!first.exists());
    assert_eq!(stored(&store), [4, 5]);
}

#[test]
fn cuts_a_torn_end_and_keeps_it_aside() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2], 100);
    drop(store);
    let file = folder.files("seg")[0].clone();
    let whole = fs::read(&file).expect("our own file");
    let append = |bytes: &[u8]| {
        let mut file = OpenOptions::new().append(true).open(&file).expect("our own file");
        file.write_all(bytes).expect("our own file");
    };
    append(&whole[SEGMENT_HEAD..SEGMENT_HEAD + 150]);
    let check = BundleStore::check(&folder.0).expect("it can be read");
    assert_eq!((check.torn.len(), check.is_sound()), (1, true));
    let (store, report) = folder.open();
    let [torn] = &report.torn[..] else { panic!("{report:?}") };
    assert_eq!((torn.offset, torn.bytes), (whole.len() as u64, 150));
    let kept = fs::read(torn.kept.as_ref().expect("a copy")).expect("a copy");
    assert_eq!(kept, whole[SEGMENT_HEAD..SEGMENT_HEAD + 150]);
    assert_eq!(fs::read(&file).expect("our own file"), whole);
    assert_eq!(stored(&store), [1, 2]);
    drop(store);
    append(&[0; 3_000]);
    let (store, report) = folder.open();
    assert_eq!(report.torn[0].kept, None, "zeros are not kept");
    drop(store);
    for number in 0..20 {
        append(&[number + 1; 100]);
        folder.open();
    }
    let aside = fs::read_dir(folder.0.join("aside")).expect("our own folder").count();
    assert_eq!(aside, 8);
    assert_eq!(folder.open().1.lines().count(), 0);
}

#[test]
fn a_segment_without_a_head_is_torn_if_it_is_the_last() {
    for (torn, kept) in [(vec![], 0), (vec![0; 600], 0), (content(3, 600), 1)] {
        let folder = Folder::new();
        let (mut store, _) = folder.open();
        insert(&mut store, &[1], 100);
        drop(store);
        let second = folder.0.join("0000000000000002.seg");
        fs::write(&second, torn).expect("our own folder");
        let (mut store, report) = folder.open();
        assert_eq!((report.torn.len(), report.damaged.len()), (1, 0));
        assert_eq!(report.torn[0].kept.iter().count(), kept);
        assert!(!second.exists());
        insert(&mut store, &[2], 100);
        assert_eq!(stored(&store), [1, 2]);
    }
}

#[test]
fn survives_whatever_happens_to_an_index() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3, 4, 5, 6, 7, 8, 9], 900);
    drop(store);
    let index = folder.files("idx")[0].clone();
    let whole = fs::read(&index).expect("our own file");
    let other = fs::read(&folder.files("idx")[1]).expect("our own file");
    let mut flipped = whole.clone();
    flipped[50] ^= 1;
    for bytes in [Vec::new(), whole[..100].to_vec(), flipped, other] {
        fs::write(&index, bytes).expect("our own file");
        let check = BundleStore::check(&folder.0).expect("it can be read");
        assert_eq!((check.invalid_indexes.len(), check.is_sound()), (1, true));
        let (store, report) = folder.open();
        assert_eq!(report.scanned, 2);
        assert_eq!(stored(&store), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(fs::read(&index).expect("written again"), whole);
    }
    fs::write(folder.0.join("00000000000000aa.idx"), &whole).expect("our own folder");
    fs::write(folder.0.join("00000000000000ab.part"), &whole).expect("our own folder");
    let (mut store, _) = folder.open();
    assert_eq!(folder.files("part").len() + folder.files("idx").len(), 2);
    insert(&mut store, &[10], 9_000);
    assert_eq!(folder.files("one"), [folder.0.join("00000000000000ac.one")]);
}

#[test]
fn rebuilds_its_indexes() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &(0..20).collect::<Vec<_>>(), 900);
    insert(&mut store, &[20], 9_000);
    delete(&mut store, &[4, 9]);
    let (expected, usage) = (stored(&store), store.usage());
    drop(store);
    let before: Vec<_> = folder.files("idx").iter().map(|file| fs::read(file).ok()).collect();
    for index in folder.files("idx") {
        fs::write(index, b"garbage").expect("our own file");
    }
    let (store, report) = BundleStore::rebuild(&folder.0, LIMITS).expect("nothing is wrong");
    assert_eq!((stored(&store), store.usage()), (expected, usage));
    assert_eq!(report.scanned, folder.files("seg").len() as u64);
    let after: Vec<_> = folder.files("idx").iter().map(|file| fs::read(file).ok()).collect();
    assert_eq!(before, after);
    drop(store);
    assert_eq!(folder.open().1.scanned, 1);
    let check = BundleStore::check(&folder.0).expect("it can be read");
    assert_eq!((check.bundles, check.live_bytes), (19, usage.live_bytes));
    assert_eq!((check.total_bytes, check.lines().count()), (usage.total_bytes, 0));
}

#[test]
fn check_sees_every_flipped_byte() {
    let folder = Folder::new();
    let (mut store, _) = folder.open();
    insert(&mut store, &[1, 2, 3, 4, 5], 900);
    insert(&mut store, &[6], 3_000);
    drop(store);
    let files = [folder.files("seg")[0].clone(), folder.files("one")[0].clone()];
    for file in files {
        let len = fs::metadata(&file).expect("our own file").len();
        for at in (0..usize::try_from(len).expect("small")).step_by(13) {
            flip(&file, at);
            let report = BundleStore::check(&folder.0).expect("it can be read");
            assert_eq!(report.damaged.len(), 1, "byte {at} of {}", file.display());
            assert_eq!(report.damaged[0].file, file);
            flip(&file, at);
        }
    }
    assert!(BundleStore::check(&folder.0).expect("it can be read").is_sound());
}

/// A change, or a look, of the property test.
#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<(u8, usize)>),
    Delete(Vec<u8>),
    Note(Vec<(u8, u128)>),
    Compact(u64),
    Reopen,
    Rebuild,
}

fn arb_step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 0..700_usize, 1 => 700..10_000_usize];
    prop_oneof![
        6 => proptest::collection::vec((0..40_u8, len), 1..8).prop_map(Step::Insert),
        4 => proptest::collection::vec(0..40_u8, 1..12).prop_map(Step::Delete),
        2 => proptest::collection::vec((0..40_u8, 0..5_u128), 1..8).prop_map(Step::Note),
        4 => (1..6_000_u64).prop_map(Step::Compact),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// What a store should hold: bundles in order of arrival, with their marks.
#[derive(Debug, Default)]
struct Model {
    bundles: Vec<(u8, Vec<u8>)>,
    marks: BTreeMap<u8, BTreeSet<u128>>,
    /// How often something was stored; makes the content of a bundle that comes again differ.
    count: usize,
}

impl Model {
    fn insert(&mut self, store: &mut BundleStore, wanted: &[(u8, usize)]) {
        let bodies: Vec<Vec<u8>> = wanted
            .iter()
            .map(|&(number, len)| {
                self.count += 1;
                content(number.wrapping_add(self.count.to_le_bytes()[0]), len)
            })
            .collect();
        let bundles: Vec<_> =
            wanted.iter().zip(&bodies).map(|(&(number, _), body)| new(number, body)).collect();
        let answers = store.insert_all(&bundles).expect("room on the disk");
        for ((&(number, _), body), answer) in wanted.iter().zip(bodies).zip(answers) {
            let is_known = self.bundles.iter().any(|(it, _)| *it == number);
            assert_eq!(answer, if is_known { Inserted::Known } else { Inserted::New });
            if !is_known {
                self.bundles.push((number, body));
            }
        }
    }

    fn delete(&mut self, numbers: &[u8]) {
        self.bundles.retain(|(number, _)| !numbers.contains(number));
        self.marks.retain(|number, _| !numbers.contains(number));
    }

    fn note(&mut self, marks: &[(u8, u128)]) {
        for (number, neighbour) in marks {
            if self.bundles.iter().any(|(it, _)| it == number) {
                self.marks.entry(*number).or_default().insert(*neighbour);
            }
        }
    }

    fn check(&self, store: &BundleStore) {
        store.catalog.check();
        let entries: Vec<_> = store.entries().collect();
        assert!(entries.is_sorted_by_key(|(_, entry)| entry.order));
        let names = entries.iter().map(|(key, entry)| (*key, entry.bytes));
        let expected = self.bundles.iter().map(|(number, body)| (key(*number), body.len() as u64));
        assert!(names.eq(expected), "{entries:?}");
        for (number, body) in &self.bundles {
            let stored = store.get(&key(*number)).expect("nothing is damaged");
            assert_eq!(stored.as_ref(), Some(body));
            let marks = self.marks.get(number).cloned().unwrap_or_default();
            assert!(store.noted(&key(*number)).eq(marks));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_list(steps in proptest::collection::vec(arb_step(), 1..60)) {
        let folder = Folder::new();
        let (mut store, _) = folder.open_unsynced();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Insert(wanted) => model.insert(&mut store, &wanted),
                Step::Delete(numbers) => {
                    delete(&mut store, &numbers);
                    model.delete(&numbers);
                }
                Step::Note(marks) => {
                    let keyed: Vec<_> = marks.iter().map(|&(it, by)| (key(it), by)).collect();
                    store.note_all(&keyed);
                    model.note(&marks);
                }
                Step::Compact(bytes) => {
                    store.compact_step(bytes).expect("nothing is damaged");
                }
                Step::Reopen | Step::Rebuild => {
                    store.flush().expect("room on the disk");
                    drop(store);
                    let use_indexes =
                        if matches!(step, Step::Reopen) { UseIndexes::Yes } else { UseIndexes::No };
                    let disk = Box::<Unsynced>::default();
                    let opened = BundleStore::open_on(disk, &folder.0, LIMITS, use_indexes);
                    let (opened, report) = opened.expect("nothing is wrong");
                    prop_assert_eq!(report.lines().count(), 0);
                    store = opened;
                }
            }
            model.check(&store);
        }
    }
}
