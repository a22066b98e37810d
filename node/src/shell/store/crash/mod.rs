//! Power loss: at random points of a store's life, what may be left is rebuilt and opened again.
//!
//! A [`Recorder`] notes each operation that the store asks of its disk: writes,
//! cuts, syncs, renames, removals. From the first of them a [`Model`] builds the
//! states that a power loss may leave. In each of them the real store must open,
//! everything that was acknowledged must be there, the log must be a beginning of
//! what was written, and what is signed next must have a number of its own.
//!
//! sled's files are not among what is recorded: every state is opened without an
//! index, which shows that it can be thrown away at any time.

mod model;
mod recorder;
pub(super) mod restored;

use longhaul_dtn::hash::mix64;
use longhaul_dtn::time::Timestamp;
use longhaul_registry::{LogWriter, Record};

use super::tests::{Folder, Payloads, key, manifest};
use super::*;
use model::{Loss, Model};
use recorder::{Fault, Op, Recorder, Trace};

/// Crash points that the ordinary tests look at, for each model.
const POINTS: u64 = 100;
/// Crash points of the long test, for each model.
const POINTS_LONG: u64 = 1_000;

/// Numbers that are the same in every run.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(mix64(seed ^ 0x6c6f_6e67))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = mix64(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        usize::try_from(self.0 % end as u64).expect("it is below a usize")
    }
}

/// Something that a peer's process does with its data directory.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Join,
    Persist { payloads: Payloads, entries: Vec<SignedEntry>, forget: Vec<ContentHash> },
    Restart,
    Compact,
}

/// The life of a data directory.
#[derive(Debug)]
struct Life {
    steps: Vec<Step>,
    entries: Vec<SignedEntry>,
}

impl Life {
    fn new(seed: u64, persists: usize) -> Self {
        let mut random = Random::new(seed);
        let mut log = LogWriter::new(key());
        let (mut live, mut all) = (Vec::new(), Vec::new());
        let mut steps = vec![Step::Create, Step::Join];
        for number in 0..persists {
            let mut payloads = Payloads::new();
            let mut entries = Vec::new();
            for part in 0..random.below(4) {
                let len = [0, 600, 1_024, 1_500, 5_000, 20_000][random.below(6)] + random.below(90);
                let mut bytes = vec![u8::try_from(len % 251).expect("small"); len];
                bytes.extend((number * 8 + part).to_be_bytes());
                let hash = ContentHash::of(&bytes);
                payloads.insert(hash, bytes.into());
                entries.push(Record::Update { head: hash.as_bytes().to_vec() });
            }
            if random.below(3) == 0 {
                entries.push(Record::Update { head: vec![8; 700] });
            }
            if number == 0 {
                entries = vec![Record::Genesis { federation: manifest("test").id() }];
                payloads.clear();
            }
            let sign = |record| log.append(Timestamp::from_dtn_ms(5), record);
            let entries: Vec<_> = entries.into_iter().map(sign).collect();
            let mut forget = Vec::new();
            if random.below(4) == 0 {
                forget = live.drain(..live.len() / 2).collect();
            }
            live.extend(payloads.keys().copied());
            all.extend(entries.clone());
            steps.push(Step::Persist { payloads, entries, forget });
            match random.below(12) {
                0 => steps.push(Step::Restart),
                1 => steps.push(Step::Compact),
                _ => {}
            }
        }
        Self { steps, entries: all }
    }

    /// Does the steps until one fails; gives the number that succeeded, and after how many
    /// operations each did.
    fn live(&self, root: &Path, trace: &Trace) -> Vec<usize> {
        let dir = root.join("peer");
        let mut store = None;
        let mut acknowledged = Vec::new();
        for step in &self.steps {
            if take_step(step, &mut store, root, &dir, trace).is_err() {
                if let Some(store) = &mut store {
                    let refused = store.write(&Payloads::new(), [].iter());
                    assert!(
                        matches!(refused, Err(StoreError::Stopped)) || matches!(step, Step::Join)
                    );
                }
                break;
            }
            acknowledged.push(trace.len());
        }
        acknowledged
    }

    /// Checks what is found in `dir` after `steps` were acknowledged; gives what was loaded.
    fn check(&self, dir: &Path, steps: usize, disk: Box<dyn Disk>, what: &str) -> Option<Loaded> {
        if steps < 2 {
            self.check_young(dir, what);
            return None;
        }
        let mut store = Store::open_on(disk, dir).expect(what);
        let loaded = store.load().expect(what);
        let restored = &loaded.restored;
        assert!(self.entries.starts_with(&restored.entries), "{what}: another log");
        let (mut count, mut payloads) = (0, Payloads::new());
        for step in &self.steps[..steps] {
            if let Step::Persist { payloads: new, entries, .. } = step {
                count += entries.len();
                payloads.extend(new.clone());
            }
        }
        // The step under way may have forgotten something already.
        for step in self.steps.iter().take(steps + 1) {
            if let Step::Persist { forget, .. } = step {
                forget.iter().for_each(|hash| drop(payloads.remove(hash)));
            }
        }
        assert!(restored.entries.len() >= count, "{what}: an acknowledged entry is lost");
        for (hash, payload) in &payloads {
            assert_eq!(restored.payloads.get(hash), Some(payload), "{what}: {hash:?}");
        }
        assert!(restored.payloads.iter().all(|(hash, bytes)| ContentHash::of(bytes) == *hash));
        assert_eq!(loaded.report.damaged, BTreeMap::new(), "{what}");
        self.go_on(&mut store, &loaded, count, what);
        Some(loaded)
    }

    /// Not even the peer's existence, or its federation, was acknowledged.
    fn check_young(&self, dir: &Path, what: &str) {
        match Store::open(dir) {
            Ok(mut store) => {
                assert!(store.load_key().is_ok(), "{what}");
                store.join(&manifest("test")).expect(what);
                assert_eq!(store.load().expect(what).restored.entries, [], "{what}");
            }
            Err(StoreError::Absent(_)) => Store::create(dir, &key()).expect(what),
            Err(other) => panic!("{what}: {other}"),
        }
    }

    /// The peer goes on: what it signs next has no number that was acknowledged, and is kept.
    fn go_on(&self, store: &mut Store, loaded: &Loaded, acknowledged: usize, what: &str) {
        let mut log = LogWriter::resume(key(), &loaded.restored.entries).expect(what);
        let federation = manifest("test").id();
        let record = match log.is_empty() {
            true => Record::Genesis { federation },
            false => Record::Update { head: b"another life".to_vec() },
        };
        let entry = log.append(Timestamp::from_dtn_ms(9), record);
        assert!(entry.entry().sequence >= acknowledged as u64, "{what}: signed twice");
        let bytes: Arc<[u8]> = (*b"new").into();
        let payloads = Payloads::from([(ContentHash::of(&bytes), bytes.clone())]);
        store.write(&payloads, [&entry].into_iter()).expect(what);
        let again = store.load().expect(what);
        assert_eq!(again.restored.entries.last(), Some(&entry), "{what}");
        assert_eq!(again.restored.payloads.get(&ContentHash::of(&bytes)), Some(&bytes), "{what}");
        assert_eq!(again.report, LoadReport::default(), "{what}");
    }
}

fn take_step(
    step: &Step,
    store: &mut Option<Store>,
    root: &Path,
    dir: &Path,
    trace: &Trace,
) -> Result<(), StoreError> {
    let recorder = || Recorder::new(root, trace);
    match step {
        Step::Create => Store::create_on(&mut recorder(), dir, &key()),
        Step::Join => {
            let mut new = Store::open_on(Box::new(recorder()), dir)?;
            new.join(&manifest("test"))?;
            new.load()?;
            *store = Some(shrink(new));
            Ok(())
        }
        Step::Persist { payloads, entries, forget } => {
            let store = store.as_mut().expect("it is open");
            store.write(payloads, entries.iter())?;
            let forget: Vec<_> = forget.iter().collect();
            if forget.is_empty() { Ok(()) } else { store.forget(&forget) }
        }
        Step::Restart => {
            drop(store.take());
            let mut new = Store::open_on(Box::new(recorder()), dir)?;
            new.load()?;
            *store = Some(shrink(new));
            Ok(())
        }
        Step::Compact => store.as_mut().expect("it is open").compact_payloads().map(drop),
    }
}

/// Packs of a few kilobytes, so that a short life has many.
fn shrink(mut store: Store) -> Store {
    if let Some(area) = &mut store.area {
        (area.pack_bytes_max, area.waste_bytes) = (8 << 10, 2 << 10);
    }
    store
}

fn replay(ops: &[Op]) -> Model {
    let mut model = Model::default();
    ops.iter().for_each(|op| model.apply(op));
    model
}

/// Looks at random crash points of random lives.
fn replay_power_losses(loss: Loss, points: u64) {
    let mut random = Random::new(points ^ loss as u64);
    let mut states = 0;
    for seed in 0..points.div_ceil(20) {
        let (folder, trace) = (Folder::new(), Trace::default());
        let life = Life::new(seed, 25);
        let acknowledged = life.live(&folder.0, &trace);
        assert_eq!(acknowledged.len(), life.steps.len(), "life {seed} was lived to its end");
        let ops = trace.ops();
        for _ in 0..20 {
            let cut = random.below(ops.len() + 1);
            let steps = acknowledged.iter().filter(|&&done| done <= cut).count();
            let what = format!("life {seed}, {cut} operations, then {:?} is lost", loss);
            let left = replay(&ops[..cut]).lose(loss, &mut random);
            lose_power_again(&life, &left, steps, &mut random, &what);
            states += 1;
        }
    }
    assert!(states >= points, "{states} states were looked at");
}

/// Opens what is left, loses power while it is repaired, and opens what is left then.
fn lose_power_again(life: &Life, left: &Model, steps: usize, random: &mut Random, what: &str) {
    let (folder, trace) = (Folder::new(), Trace::default());
    left.build(&folder.0);
    let dir = folder.0.join("peer");
    if steps < 2 {
        life.check(&dir, steps, Box::new(RealDisk), what);
        return;
    }
    let (mut model, files) = Model::of(&folder.0);
    let recorder = Recorder::adopt(&folder.0, &trace, &files);
    let mut store = Store::open_on(Box::new(recorder), &dir).expect(what);
    let loaded = store.load().expect(what);
    drop(store);
    let ops = trace.ops();
    let cut = random.below(ops.len() + 1);
    ops[..cut].iter().for_each(|op| model.apply(op));
    let again = Folder::new();
    model.lose(Loss::Blocks, random).build(&again.0);
    let what = format!("{what}, opened, {cut} operations of {}", ops.len());
    let found = life.check(&again.0.join("peer"), steps, Box::new(RealDisk), &what);
    let found = found.expect("it is no young one").restored.entries;
    // Once it was loaded, the peer may have spoken of it.
    assert!(cut < ops.len() || found == loaded.restored.entries, "{what}: loaded and lost");
}

#[test]
fn a_peer_is_made_whole_or_not_at_all() {
    let (folder, trace) = (Folder::new(), Trace::default());
    let life = Life::new(1, 1);
    let acknowledged = life.live(&folder.0, &trace);
    let ops = trace.ops();
    let mut random = Random::new(2);
    for cut in 0..=acknowledged[1] {
        let steps = acknowledged.iter().filter(|&&done| done <= cut).count();
        for _ in 0..12 {
            let again = Folder::new();
            let left = replay(&ops[..cut]).lose(Loss::Blocks, &mut random);
            left.build(&again.0);
            let what = format!("{cut} operations, then {:?}", ops.get(cut));
            life.check(&again.0.join("peer"), steps, Box::new(RealDisk), &what);
        }
    }
}

#[test]
fn loses_nothing_acknowledged_under_the_strict_model() {
    replay_power_losses(Loss::Strict, POINTS);
}

#[test]
fn loses_nothing_acknowledged_when_any_blocks_survive() {
    replay_power_losses(Loss::Blocks, POINTS);
}

#[test]
#[ignore = "a minute: cargo test --release -p longhaul-node --lib crash -- --ignored"]
fn loses_nothing_acknowledged_at_a_thousand_points() {
    replay_power_losses(Loss::Strict, POINTS_LONG);
    replay_power_losses(Loss::Blocks, POINTS_LONG);
}

/// Fails one operation after the other, then kills the process, starts it, and cuts the power.
fn fail_each_operation(fault: Fault) {
    let life = Life::new(3, 8);
    let (folder, trace) = (Folder::new(), Trace::default());
    life.live(&folder.0, &trace);
    let mut random = Random::new(7);
    for at in 0..trace.len() {
        let (folder, trace) = (Folder::new(), Trace::default());
        trace.fail(at, fault);
        let steps = life.live(&folder.0, &trace).len();
        let what = format!("operation {at} fails: {fault:?}, after {:?}", trace.ops().last());
        assert!(steps < life.steps.len(), "{what}: nobody noticed");
        trace.mend();
        let dir = folder.0.join("peer");
        if steps < 2 {
            life.check_young(&dir, &what);
            continue;
        }
        // What a new process finds, it may speak of: so no power loss may take it away.
        let mut store =
            Store::open_on(Box::new(Recorder::new(&folder.0, &trace)), &dir).expect(&what);
        let loaded = store.load().expect(&what);
        drop(store);
        let again = Folder::new();
        replay(&trace.ops()).lose(Loss::Blocks, &mut random).build(&again.0);
        let found = life.check(&again.0.join("peer"), steps, Box::new(RealDisk), &what);
        let found = found.expect("it is no young one").restored;
        assert_eq!(found.entries, loaded.restored.entries, "{what}: loaded and lost");
        let heads = loaded.restored.entries.iter().filter_map(|entry| entry.record().head());
        for hash in heads.filter_map(|head| head.try_into().ok()).map(ContentHash::from_bytes) {
            let kept = found.payloads.contains_key(&hash);
            assert_eq!(
                loaded.restored.payloads.contains_key(&hash),
                kept,
                "{what}: lost a payload"
            );
        }
    }
}

#[test]
fn a_full_disk_and_each_failed_sync_and_rename_lose_nothing() {
    fail_each_operation(Fault::Refused);
}

#[test]
fn a_disk_that_fails_for_good_loses_nothing() {
    fail_each_operation(Fault::Broken);
}

#[test]
fn a_killed_process_loses_nothing_at_all() {
    let life = Life::new(5, 12);
    let (folder, trace) = (Folder::new(), Trace::default());
    let acknowledged = life.live(&folder.0, &trace);
    let ops = trace.ops();
    let mut random = Random::new(0);
    for cut in (0..=ops.len()).step_by(3) {
        let steps = acknowledged.iter().filter(|&&done| done <= cut).count();
        let again = Folder::new();
        replay(&ops[..cut]).lose(Loss::Nothing, &mut random).build(&again.0);
        let what = format!("killed after {cut} operations");
        life.check(&again.0.join("peer"), steps, Box::new(RealDisk), &what);
    }
}

#[test]
fn the_model_loses_what_was_not_synced() {
    let ops = [
        Op::MakeDir("peer".into()),
        Op::SyncDir("".into()),
        Op::Create("peer/a".into(), 0),
        Op::Write { file: 0, at: 0, bytes: vec![1; 10_000] },
        Op::SyncFile(0),
        Op::SyncDir("peer".into()),
        Op::Write { file: 0, at: 10_000, bytes: vec![2; 10_000] },
    ];
    let mut random = Random::new(1);
    let (mut lens, mut torn) = (std::collections::BTreeSet::new(), 0);
    for _ in 0..60 {
        let folder = Folder::new();
        replay(&ops).lose(Loss::Blocks, &mut random).build(&folder.0);
        let found = fs::read(folder.0.join("peer/a")).expect("it is durable");
        assert_eq!(found[..10_000], [1; 10_000]);
        torn += usize::from(found[10_000..].contains(&0) && found[10_000..].contains(&2));
        lens.insert(found.len());
    }
    assert!(lens.len() > 5 && torn > 5, "{lens:?}, {torn} torn");
    let folder = Folder::new();
    replay(&ops[..5]).lose(Loss::Strict, &mut Random(0)).build(&folder.0);
    assert!(!folder.0.join("peer/a").exists() || fs::read(folder.0.join("peer/a")).is_ok());
}
