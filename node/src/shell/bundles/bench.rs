//! Figures of the store, beside those of the bare file system in the same run.
//!
//! ```sh
//! cargo test --release -p longhaul-node --lib bundles::bench -- --ignored --nocapture
//! ```
//!
//! `LONGHAUL_BENCH_DIR` names a folder on the disk to be measured; without it the
//! folder for temporary files is taken.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its environment")]

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use longhaul_dtn::time::Timestamp;

use super::recorder::Unsynced;
use super::*;

const LIMITS: StoreLimits =
    StoreLimits { quota_bytes: 1 << 40, segment_bytes: 32 << 20, bundle_bytes_max: 1 << 30 };
const BUNDLE_BYTES: usize = 1_024;
const COUNT: u32 = 100_000;

/// A new folder that goes away with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root =
            std::env::var_os("LONGHAUL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = root.join(format!("longhaul-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder to measure in");
        Self(path)
    }

    fn open(&self) -> BundleStore {
        BundleStore::open(&self.0, LIMITS).expect("nothing is wrong").0
    }

    fn open_unsynced(&self) -> BundleStore {
        let disk = Box::<Unsynced>::default();
        let opened = BundleStore::open_on(disk, &self.0, LIMITS, UseIndexes::Yes);
        opened.expect("nothing is wrong").0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(number: u32) -> BundleKey {
    BundleKey::from_bytes(*blake_of(number).as_bytes())
}

fn blake_of(number: u32) -> longhaul_dtn::hash::ContentHash {
    longhaul_dtn::hash::ContentHash::of(&number.to_be_bytes())
}

fn bundles(first: u32, count: u32, bytes: &[u8]) -> Vec<NewBundle<'_>> {
    let expires = Timestamp::from_dtn_ms(1);
    (first..first + count).map(|it| NewBundle { key: key(it), expires, bytes }).collect()
}

fn insert(store: &mut BundleStore, bundles: &[NewBundle<'_>]) {
    let answers = store.insert_all(bundles).expect("room on the disk");
    assert!(answers.iter().all(|&answer| answer == Inserted::New));
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}

/// The bare loop: one write and one fdatasync for the same bytes.
fn write_bare(file: &mut File, group: &[u8]) {
    file.write_all(group).and_then(|()| file.sync_data()).expect("room on the disk");
}

#[test]
#[ignore = "a benchmark, minutes long"]
fn inserts_beside_a_bare_write_loop() {
    for (len, total) in [(1 << 10, 16 << 20), (100 << 10, 128 << 20), (1 << 20, 512 << 20)] {
        let bytes: Vec<u8> = (0..len).map(|at: usize| at.to_le_bytes()[0]).collect();
        for group in [1_u32, 16, 64, 256] {
            let group_bytes = len * byte_count(group.into());
            let rounds = u32::try_from(total / group_bytes).expect("small").clamp(2, 300);
            let folder = Folder::new("insert");
            let mut store = folder.open();
            let other = Folder::new("unsynced");
            let mut unsynced = other.open_unsynced();
            let mut bare = File::create(folder.0.join("bare")).expect("our own folder");
            let bare_group = bytes.repeat(byte_count(group.into()));
            let [mut ours, mut theirs, mut work] = [Duration::ZERO; 3];
            for round in 0..rounds {
                let bundles = bundles(round * group, group, &bytes);
                // Who comes second finds the disk busy or awake: they take turns.
                if round % 2 == 0 {
                    theirs += timed(|| write_bare(&mut bare, &bare_group)).0;
                }
                ours += timed(|| insert(&mut store, &bundles)).0;
                if round % 2 == 1 {
                    theirs += timed(|| write_bare(&mut bare, &bare_group)).0;
                }
                work += timed(|| insert(&mut unsynced, &bundles)).0;
            }
            let count = f64::from(rounds * group);
            let rate = |time: Duration| count / time.as_secs_f64();
            let mega = count * f64::from(u32::try_from(len).expect("small")) / 1e6;
            println!(
                "{len:>8} B x {group:>3} x {rounds:>3}: {:>9.0} bundles/s {:>7.1} MB/s, bare {:>9.0} \
                 /s {:>7.1} MB/s, ratio {:.2}; without syncs {:>7.1} MB/s",
                rate(ours),
                mega / ours.as_secs_f64(),
                rate(theirs),
                mega / theirs.as_secs_f64(),
                theirs.as_secs_f64() / ours.as_secs_f64(),
                mega / work.as_secs_f64(),
            );
        }
    }
}

#[test]
#[ignore = "a benchmark, minutes long"]
fn opens_rebuilds_and_compacts() {
    let folder = Folder::new("open");
    let mut store = folder.open();
    let bytes = [7; BUNDLE_BYTES];
    let (time, ()) = timed(|| {
        (0..COUNT).step_by(500).for_each(|first| insert(&mut store, &bundles(first, 500, &bytes)));
    });
    println!("{COUNT} bundles of {BUNDLE_BYTES} B in groups of 500: {time:?}");
    let (time, ()) = timed(|| {
        for number in (0..COUNT).step_by(7) {
            assert!(store.get(&key(number)).expect("it is whole").is_some());
        }
    });
    println!("get: {:?} each", time / COUNT.div_ceil(7));
    drop(store);
    for _ in 0..3 {
        let (time, store) = timed(|| folder.open());
        println!("open: {time:?}, {:?}", store.usage());
    }
    let (time, check) = timed(|| BundleStore::check(&folder.0).expect("it can be read"));
    println!("check: {time:?}, sound: {}", check.is_sound());
    for _ in 0..2 {
        let (time, opened) = timed(|| BundleStore::rebuild(&folder.0, LIMITS));
        let (store, report) = opened.expect("nothing is wrong");
        println!("rebuild: {time:?}, {} bundles, {} scanned", report.bundles, report.scanned);
        assert_eq!(store.usage().bundles, u64::from(COUNT));
    }
    replace_generations(&mut folder.open(), &bytes);
}

/// Replaces all bundles four times, a few at a time, in another order each time.
fn replace_generations(store: &mut BundleStore, bytes: &[u8]) {
    let mut present: Vec<u32> = (0..COUNT).collect();
    for generation in 1..=4_u32 {
        // A generation leaves in a mixed order, so that segments die slowly.
        present.sort_by_key(|&number| blake_of(number ^ generation));
        let (mut copied, mut most) = (0, 0.0_f64);
        let (time, ()) = timed(|| {
            for (first, old) in (generation * COUNT..).step_by(500).zip(present.chunks(500)) {
                let old: Vec<_> = old.iter().map(|&number| key(number)).collect();
                store.delete_all(&old).expect("room on the disk");
                insert(store, &bundles(first, 500, bytes));
                while let Compacted { copied_bytes, is_done: false, .. } =
                    store.compact_step(4 << 20).expect("nothing is damaged")
                {
                    copied += copied_bytes;
                }
                most = most.max(ratio(store));
            }
        });
        present = (generation * COUNT..(generation + 1) * COUNT).collect();
        println!(
            "generation {generation}: {time:?}, copied {} MB, disk / bundles at most {most:.3}, \
             now {:.3}; {:?}",
            copied / 1_000_000,
            ratio(store),
            store.usage()
        );
    }
}

/// Bytes on the disk per byte of live bundles, without heads and indexes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(store: &BundleStore) -> f64 {
    let Usage { total_bytes, bundles, .. } = store.usage();
    total_bytes as f64 / (bundles * BUNDLE_BYTES as u64) as f64
}
