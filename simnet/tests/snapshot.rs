//! Runs that go on from a snapshot, whole, cut or damaged.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock};

use longhaul_dtn::hash::ContentHash;
use longhaul_simnet::snapshot::{Answers, Counts, Mark, Origin, SnapshotError, Storage};
use longhaul_simnet::{RunOptions, RunReport, Scenario, run_watched};
use proptest::prelude::*;

/// Five peers, of whom one is killed in epoch 2, and a cut in epochs 4 and 5.
const WORLD: &str = r#"
name = "world"
seed = 3
peers = 5
epochs = 7
epoch_ms = 2000
drain_epochs = 2
contacts = { random-pairwise = { probability = 0.9, duration_ms = 900 } }
task = { model = "mlp:8-4-2", data = "edgesense" }
training = { mode = "synthetic", steps = 2, batch = 4, rate = 0.1, pace_ms = 50 }
recipe = { rule = "mean", quorum = 2 }
metrics = { every_epochs = 1, alone = true }

[[faults.crash]]
peers = { peers = [1] }
at_epoch = 2.01
for_epochs = 0.3

[[faults.partition]]
at_epoch = 4
for_epochs = 2
shape = { groups = [[0, 1, 2], [3, 4]] }
"#;

/// Memory that outlives the snapshot in it.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Memory {
    fn holding(bytes: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Cursor::new(bytes.to_vec()))))
    }

    fn content(&self) -> Vec<u8> {
        self.0.lock().expect("one user").get_ref().clone()
    }
}

impl Read for Memory {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.lock().expect("one user").read(bytes)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one user").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().expect("one user").seek(to)
    }
}

fn world() -> Scenario {
    Scenario::from_toml(WORLD).expect("a sound scenario")
}

fn origin() -> Origin {
    Origin { scenario: ContentHash::of(WORLD.as_bytes()), every_epochs: 2 }
}

/// Runs `scenario` with `answers` and a mark after every second epoch.
fn play(scenario: &Scenario, answers: Answers) -> (RunReport, Counts) {
    let answers = Arc::new(answers);
    let options =
        RunOptions { workers: 1, answers: Some(answers.clone()), ..RunOptions::default() };
    let mut watch = |progress: longhaul_simnet::Progress| {
        if progress.events > 0 && progress.epoch % 2 == 1 {
            let (epoch, events, digest) = (progress.epoch, progress.events, progress.digest);
            answers.mark(Mark { run: 1, epoch, events, digest }).expect("memory can be written");
        }
        ControlFlow::Continue(())
    };
    let outcome = run_watched(scenario, &options, None, &mut watch).expect("a run");
    (outcome.report, answers.counts())
}

/// The uninterrupted run: its report, what it computed, and its snapshot.
fn whole() -> &'static (RunReport, u64, Vec<u8>) {
    static WHOLE: OnceLock<(RunReport, u64, Vec<u8>)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let memory = Memory::default();
        let answers = Answers::create(Box::new(memory.clone()), origin()).expect("memory");
        let (report, counts) = play(&world(), answers);
        (report, counts.computed, memory.content())
    })
}

fn open(bytes: &[u8]) -> Result<(Answers, Origin, Vec<Mark>), SnapshotError> {
    let file: Box<dyn Storage> = Box::new(Memory::holding(bytes));
    Answers::open(file, true)
}

#[test]
fn a_snapshot_changes_nothing_and_knows_where_the_run_stood() {
    let (report, computed, bytes) = whole();
    let plain = longhaul_simnet::run(&world(), &RunOptions::default()).expect("a run");
    assert_eq!(&plain, report);
    let (answers, from, marks) = open(bytes).expect("a snapshot");
    assert_eq!((answers.len() as u64, from), (*computed, origin()));
    assert_eq!(marks.iter().map(|mark| mark.epoch).collect::<Vec<_>>(), [1, 3, 5, 7]);
    assert!(marks.windows(2).all(|pair| pair[0].events < pair[1].events));
}

#[test]
fn a_whole_snapshot_spares_all_training() {
    let (report, computed, bytes) = whole();
    let (again, counts) = play(&world(), open(bytes).expect("a snapshot").0);
    assert_eq!(&again, report);
    // Questions that are asked twice are answered twice.
    assert!(counts.answered >= *computed && counts.computed == 0, "{counts:?}");
}

#[test]
fn a_changed_scenario_is_spared_what_is_the_same() {
    let (report, computed, bytes) = whole();
    let changed = WORLD.replace("for_epochs = 2\n", "for_epochs = 3\n");
    let changed = Scenario::from_toml(&changed).expect("a sound scenario");
    let (other, counts) = play(&changed, open(bytes).expect("a snapshot").0);
    assert_ne!(other.digest, report.digest);
    assert!(counts.computed > 0 && counts.computed < computed / 2, "{counts:?}");
    let fresh = longhaul_simnet::run(&changed, &RunOptions::default()).expect("a run");
    assert_eq!(fresh, other);
}

#[test]
fn another_seed_finds_no_answer_that_fits() {
    let scenario = Scenario { seed: 4, ..world() };
    let (_, counts) = play(&scenario, open(&whole().2).expect("a snapshot").0);
    // Nobody measures anything in synthetic runs, and equal models are equal questions.
    assert!(counts.computed >= 5 * 7, "{counts:?}");
}

#[test]
fn a_snapshot_that_is_only_read_stays_as_it_is() {
    let bytes = &whole().2;
    let memory = Memory::holding(&bytes[..bytes.len() / 2]);
    let (answers, ..) = Answers::open(Box::new(memory.clone()), false).expect("a snapshot");
    let (report, counts) = play(&world(), answers);
    assert_eq!(report, whole().0);
    assert!(counts.computed > 0);
    assert_eq!(memory.content(), bytes[..bytes.len() / 2]);
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let bytes = &whole().2;
    for length in [0, 1, 20, 51] {
        assert!(matches!(open(&bytes[..length]), Err(SnapshotError::Empty)), "{length}");
    }
    // What never was one is not told to be deleted.
    for other in [&b"x"[..], b"lhsnip", b"PAR1"] {
        assert!(matches!(open(other), Err(SnapshotError::Header)), "{other:?}");
    }
    for at in 0..52 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert!(open(&bytes).is_err(), "{at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_run_killed_at_any_moment_goes_on_to_the_same_end(at in any::<prop::sample::Index>()) {
        let (report, computed, bytes) = whole();
        let cut = 52 + at.index(bytes.len() - 52);
        let memory = Memory::holding(&bytes[..cut]);
        let (answers, ..) = Answers::open(Box::new(memory.clone()), true).expect("a snapshot");
        let known = answers.len() as u64;
        let (again, counts) = play(&world(), answers);
        prop_assert_eq!(&again, report);
        prop_assert_eq!(counts.computed, computed - known);
        // What was missing is there now.
        let (_, counts) = play(&world(), open(&memory.content()).expect("a snapshot").0);
        prop_assert_eq!(counts.computed, 0);
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_time_and_nothing_else(at in any::<prop::sample::Index>()) {
        let (report, computed, bytes) = whole();
        let mut bytes = bytes.clone();
        let bit = 8 * 52 + at.index(8 * (bytes.len() - 52));
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (answers, _, marks) = open(&bytes).expect("a snapshot");
        let known = answers.len() as u64;
        let (again, counts) = play(&world(), answers);
        prop_assert_eq!(&again, report);
        prop_assert!(counts.damaged == 1 || known < *computed || marks.len() < 4, "{:?}", counts);
    }
}
