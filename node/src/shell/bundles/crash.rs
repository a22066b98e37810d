//! Power loss and failing disks: whatever happens, the store opens, holds everything that was
//! acknowledged and nothing that was durably deleted.
//!
//! A life is a store that is opened on a recording disk and does a few random
//! things. The power fails at random points of it; what may be left is built by
//! [`Platter`], opened and checked, and the next life begins from there. What is seen
//! after an opening has to survive, too.

use std::collections::{BTreeMap, BTreeSet};

use longhaul_dtn::time::Timestamp;

use super::recorder::{Dice, Failure, Fault, Loss, Platter, Recorder, Trace};
use super::tests::{Folder, LIMITS, content, key};
use super::*;

/// Names of bundles in a story.
const NUMBERS: u8 = 24;

/// What the store may hold under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    contents: Vec<Option<Vec<u8>>>,
    /// Marks that are durable.
    marks: BTreeSet<u128>,
    /// Marks that were noted.
    noted: BTreeSet<u128>,
}

/// What the store may hold.
#[derive(Debug, Clone)]
struct Truth(BTreeMap<u8, Allowed>);

impl Truth {
    fn empty() -> Self {
        let nothing =
            || Allowed { contents: vec![None], marks: BTreeSet::new(), noted: BTreeSet::new() };
        Self((0..NUMBERS).map(|number| (number, nothing())).collect())
    }

    /// What the store does hold.
    fn of(store: &BundleStore) -> Self {
        let mut truth = Self::empty();
        for (number, allowed) in &mut truth.0 {
            allowed.contents = vec![store.get(&key(*number)).expect("nothing is damaged")];
            allowed.marks = store.noted(&key(*number)).collect();
            allowed.noted = allowed.marks.clone();
        }
        truth
    }

    fn check(&self, store: &BundleStore, what: &str) {
        store.catalog.check();
        for (number, allowed) in &self.0 {
            let found = store.get(&key(*number)).expect(what);
            assert!(
                allowed.contents.contains(&found),
                "{what}: {number} is {:?} long, may be {:?}",
                found.map(|bytes| bytes.len()),
                allowed.contents.iter().map(|it| it.as_ref().map(Vec::len)).collect::<Vec<_>>(),
            );
            let marks: BTreeSet<_> = store.noted(&key(*number)).collect();
            assert!(marks.is_subset(&allowed.noted), "{what}: {number} has marks {marks:?}");
            if allowed.contents.len() == 1 {
                assert!(marks.is_superset(&allowed.marks), "{what}: {number} has {marks:?}");
            }
        }
    }

    /// A bundle was inserted, or was not: both are allowed.
    fn may_insert(&mut self, number: u8, bytes: &[u8]) {
        self.0.get_mut(&number).expect("one of ours").contents.push(Some(bytes.to_vec()));
    }

    fn insert(&mut self, number: u8, bytes: &[u8]) {
        let allowed = self.0.get_mut(&number).expect("one of ours");
        allowed.contents = vec![Some(bytes.to_vec())];
    }

    fn may_delete(&mut self, number: u8) {
        self.0.get_mut(&number).expect("one of ours").contents.push(None);
    }

    fn delete(&mut self, number: u8) {
        let nothing =
            Allowed { contents: vec![None], marks: BTreeSet::new(), noted: BTreeSet::new() };
        self.0.insert(number, nothing);
    }

    /// All marks that were noted are durable.
    fn settle_marks(&mut self) {
        self.0.values_mut().for_each(|allowed| allowed.marks = allowed.noted.clone());
    }
}

/// What a store does, with what it may hold after so many changes to the disk.
struct Life {
    store: BundleStore,
    trace: Trace,
    truth: Truth,
    timeline: Vec<(usize, Truth)>,
}

impl Life {
    /// Opens a store in which `before` is allowed.
    fn begin(
        folder: &Folder,
        trace: &Trace,
        failure: Option<Failure>,
        before: &Truth,
    ) -> Result<Self, BundleStoreError> {
        let start = trace.len();
        let disk = Box::new(Recorder::new(&folder.0, trace, failure));
        let (store, report) = BundleStore::open_on(disk, &folder.0, LIMITS, UseIndexes::Yes)?;
        assert_eq!(report.damaged, [], "a power loss damages nothing");
        before.check(&store, "after opening");
        let truth = Truth::of(&store);
        let timeline = vec![(start, before.clone()), (trace.len(), truth.clone())];
        Ok(Self { store, trace: trace.clone(), truth, timeline })
    }

    fn at(&self, changes: usize) -> &Truth {
        let known = self.timeline.iter().rev().find(|(after, _)| *after <= changes);
        &known.expect("the timeline begins with the trace").1
    }

    fn mark_time(&mut self) {
        self.timeline.push((self.trace.len(), self.truth.clone()));
    }

    /// Does one random thing.
    fn step(&mut self, dice: &mut Dice) -> Result<(), BundleStoreError> {
        match dice.below(10) {
            0..4 => self.insert(dice),
            4..6 => self.delete(dice),
            6 => {
                let number = u8::try_from(dice.below(NUMBERS.into())).expect("small");
                let neighbour = u128::try_from(dice.below(4)).expect("small");
                if self.store.contains(&key(number)) {
                    self.truth.0.get_mut(&number).expect("one of ours").noted.insert(neighbour);
                }
                self.store.note_all(&[(key(number), neighbour)]);
                self.mark_time();
                Ok(())
            }
            _ => {
                let outcome = self.store.compact_step(dice.below(5_000) as u64);
                self.mark_time();
                outcome.map(drop)
            }
        }
    }

    fn insert(&mut self, dice: &mut Dice) -> Result<(), BundleStoreError> {
        let mut bodies = BTreeMap::new();
        for _ in 0..=dice.below(6) {
            let number = u8::try_from(dice.below(NUMBERS.into())).expect("small");
            let len = if dice.below(8) == 0 { 1_000 + dice.below(4_000) } else { dice.below(700) };
            if !self.store.contains(&key(number)) {
                let seed = u8::try_from(dice.below(256)).expect("small");
                bodies.insert(number, content(seed, len));
            }
        }
        let before = self.truth.clone();
        bodies.iter().for_each(|(number, body)| self.truth.may_insert(*number, body));
        self.mark_time();
        let bundles = bodies.iter().map(|(number, bytes)| NewBundle {
            key: key(*number),
            expires: Timestamp::from_dtn_ms(0),
            bytes,
        });
        let answers = self.store.insert_all(&bundles.collect::<Vec<_>>())?;
        assert_eq!(answers, vec![Inserted::New; bodies.len()]);
        self.truth = before;
        if !bodies.is_empty() {
            self.truth.settle_marks();
        }
        bodies.iter().for_each(|(number, body)| self.truth.insert(*number, body));
        self.mark_time();
        Ok(())
    }

    fn delete(&mut self, dice: &mut Dice) -> Result<(), BundleStoreError> {
        let mut numbers = BTreeSet::new();
        for _ in 0..=dice.below(8) {
            let number = u8::try_from(dice.below(NUMBERS.into())).expect("small");
            if self.store.contains(&key(number)) {
                numbers.insert(number);
            }
        }
        let before = self.truth.clone();
        numbers.iter().for_each(|&number| self.truth.may_delete(number));
        self.mark_time();
        let keys: Vec<_> = numbers.iter().map(|&number| key(number)).collect();
        self.store.delete_all(&keys)?;
        self.truth = before;
        if !numbers.is_empty() {
            self.truth.settle_marks();
        }
        numbers.iter().for_each(|&number| self.truth.delete(number));
        self.mark_time();
        Ok(())
    }
}

/// Opens what a power loss left, and goes on with it for a while.
fn check_state(folder: &Folder, truth: &Truth, what: &str) {
    let (mut store, report) = folder.open_unsynced();
    assert_eq!(report.damaged, [], "{what}");
    truth.check(&store, what);
    let seen = Truth::of(&store);
    for _ in 0..100 {
        if store.compact_step(2_000).expect(what).is_done {
            break;
        }
    }
    seen.check(&store, what);
    drop(store);
    let check = BundleStore::check(&folder.0).expect(what);
    assert!(check.is_sound() && check.torn.is_empty(), "{what}: {check:?}");
    let (store, report) = folder.open_unsynced();
    assert_eq!(report.lines().count(), 0, "{what}");
    seen.check(&store, what);
}

/// Loses power at `points` random points of each of many lives; returns how often.
fn lose_power(loss: Loss, worlds: u64, lives: usize, points: usize) -> usize {
    let mut states = 0;
    for world in 0..worlds {
        let mut dice = Dice(world);
        let mut folder = Folder::new();
        let mut before = Truth::empty();
        for life in 0..lives {
            let base = Platter::read(&folder.0);
            let trace = Trace::default();
            let mut now = Life::begin(&folder, &trace, None, &before).expect("a disk that works");
            for _ in 0..dice.below(30) {
                now.step(&mut dice).expect("a disk that works");
            }
            let changes = trace.changes();
            for _ in 0..points {
                let cut = dice.below(changes.len() + 1);
                let left = base.after(&changes[..cut], loss, &mut dice);
                let truth = now.at(cut).clone();
                let what = format!("{loss:?}, world {world}, life {life}, {cut} changes");
                let next = Folder::new();
                left.build(&next.0);
                check_state(&next, &truth, &what);
                states += 1;
                // The next life begins with what was found, not with what the check made of it.
                let next = Folder::new();
                left.build(&next.0);
                (folder, before) = (next, truth);
            }
        }
    }
    states
}

#[test]
fn loses_nothing_when_whole_changes_survive_in_order() {
    assert_eq!(lose_power(Loss::Strict, 40, 5, 5), 1_000);
}

#[test]
fn loses_nothing_when_any_blocks_survive() {
    assert_eq!(lose_power(Loss::RandomBlocks, 40, 5, 5), 1_000);
}

/// Lets one call of a life fail, opens the store again without a power loss, goes
/// on, and then loses power.
fn fail(seed: u64, failure: Failure) -> bool {
    let folder = Folder::new();
    let base = Platter::read(&folder.0);
    let trace = Trace::default();
    let mut dice = Dice(seed);
    let what = format!("seed {seed}, {failure:?}");
    let mut truth = Truth::empty();
    let mut has_failed = false;
    if let Ok(mut life) = Life::begin(&folder, &trace, Some(failure), &truth) {
        for _ in 0..25 {
            let Err(error) = life.step(&mut dice) else { continue };
            has_failed = true;
            life.truth.check(&life.store, &what);
            if !life.store.stopped {
                // What is seen goes on to be true.
                let noted = life.truth.clone();
                life.truth = Truth::of(&life.store);
                for (number, allowed) in &mut life.truth.0 {
                    allowed.marks = &noted.0[number].marks & &allowed.marks;
                }
            } else if matches!(error, BundleStoreError::Stopped) {
                break;
            }
        }
        truth = life.truth;
    } else {
        has_failed = true;
    }
    // The process starts again; the system still shows what never reached the disk.
    let mut life = Life::begin(&folder, &trace, None, &truth).expect(&what);
    for _ in 0..3 {
        life.step(&mut dice).expect(&what);
    }
    for loss in [Loss::Strict, Loss::RandomBlocks] {
        let next = Folder::new();
        base.after(&trace.changes(), loss, &mut dice).build(&next.0);
        check_state(&next, &life.truth, &what);
    }
    has_failed
}

fn fail_everywhere(fault: Fault) {
    for seed in 0..3 {
        let failed = (0..80).filter(|&at| fail(seed, Failure { at, fault })).count();
        assert!(failed > 20, "{failed} calls failed");
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    fail_everywhere(Fault::Full);
}

#[test]
fn an_error_of_the_disk_loses_nothing() {
    fail_everywhere(Fault::Once);
}

#[test]
fn a_killed_process_loses_nothing_even_if_the_power_fails_later() {
    fail_everywhere(Fault::Killed);
}

#[test]
fn a_failed_sync_stops_the_store_and_a_failed_write_does_not() {
    // The calls of a first insertion: make the file, append, sync, sync the names.
    let opening = {
        let (folder, trace) = (Folder::new(), Trace::default());
        Life::begin(&folder, &trace, None, &Truth::empty()).expect("a disk that works");
        trace.len()
    };
    let body = content(1, 100);
    let bundle = NewBundle { key: key(1), expires: Timestamp::from_dtn_ms(0), bytes: &body };
    for (call, stops) in [(0, false), (1, false), (2, true), (3, true)] {
        let (folder, trace) = (Folder::new(), Trace::default());
        let failure = Failure { at: opening + call, fault: Fault::Once };
        let begun = Life::begin(&folder, &trace, Some(failure), &Truth::empty());
        let mut store = begun.expect("it fails later").store;
        let error = store.insert_all(&[bundle]).expect_err("the disk fails");
        assert!(matches!(error, BundleStoreError::Io { .. }), "{error}");
        assert!(!store.contains(&key(1)));
        let again = store.insert_all(&[bundle]);
        assert_eq!(matches!(again, Err(BundleStoreError::Stopped)), stops, "call {call}");
        assert_eq!(matches!(store.compact_step(1), Err(BundleStoreError::Stopped)), stops);
        drop(store);
        let (store, _) = folder.open_unsynced();
        assert_eq!(store.contains(&key(1)), !stops, "call {call}");
    }
}
