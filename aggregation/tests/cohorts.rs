//! Cohorts and vouching, rule by rule, on two sides of a cut.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{SEED, header, named, payload, policy, schema};
use longhaul_aggregation::{
    AdmissionPolicy, Admitted, BaseSummary, Clip, Cohorts, Epoch, Fold, MemberIndex, Minimum, Mix,
    Previous, Recipe, Rule, Schema, Setting, Slot, Small, Trim, admit,
};

const WINDOW: u32 = 4;
/// Members 0 to 5 are on the left, 6 to 11 on the right.
const LEFT: [u16; 6] = [0, 1, 2, 3, 4, 5];
const RIGHT: [u16; 6] = [6, 7, 8, 9, 10, 11];

/// A federation of twelve that is cut in two; its fold is a bystander's.
struct World {
    schema: Arc<Schema>,
    fold: Fold,
    previous: BTreeMap<u16, Previous>,
}

impl World {
    fn new(recipe: Recipe, attacker_share_permille: u16) -> Self {
        let schema = schema(&[1]);
        let setting =
            Setting { attacker_share_permille, summary_window: WINDOW, ..Setting::trusting(12) };
        let fold = Fold::new(Arc::clone(&schema), &SEED, recipe, setting);
        Self { schema, fold, previous: BTreeMap::new() }
    }

    /// A member's update of `value` units that names the slots of `known` in every
    /// epoch of its window.
    fn make(&self, member: u16, epoch: u32, value: i8, known: &[u16], vouch: bool) -> Admitted {
        let payload = payload(&[(0, &[value])]);
        let mut header = header(epoch, self.previous.get(&member).copied(), &payload);
        let row: Vec<_> = known.iter().copied().map(MemberIndex::new).collect();
        let rows = WINDOW.min(epoch) as usize;
        header.base.summary = BaseSummary::new(vec![row; rows]).expect("ascending rows");
        header.vouch = vouch;
        let policy = AdmissionPolicy { summary_window: WINDOW, ..policy(&self.schema) };
        admit(&policy, Some(MemberIndex::new(member)), &header.encode(), payload)
            .expect("a sound update")
    }

    fn publish(&mut self, member: u16, epoch: u32, value: i8, known: &[u16], vouch: bool) {
        let made = self.make(member, epoch, value, known, vouch);
        self.previous.insert(member, named(&made));
        self.fold.insert(made);
    }

    /// An epoch in which each side knows itself.
    fn cut_epoch(&mut self, epoch: u32, left: (&[u16], i8), right: (&[u16], i8), vouch: bool) {
        for (members, value) in [left, right] {
            for &member in members {
                self.publish(member, epoch, value, members, vouch);
            }
        }
    }

    fn model(&mut self) -> i64 {
        self.fold.model().as_slice()[0]
    }

    fn counts(&self, member: u16, epoch: u32) -> bool {
        self.fold.counts(Slot { member: MemberIndex::new(member), epoch: Epoch::new(epoch) })
    }

    fn counted(&self, epoch: u32) -> usize {
        self.fold.term_status(Epoch::new(epoch)).counted
    }
}

fn parted(minimum: Minimum, small: Small) -> Recipe {
    let threshold_permille = Cohorts::THRESHOLD_PERMILLE;
    let cohorts = Some(Cohorts { threshold_permille, minimum, small });
    Recipe { cohorts, ..Recipe::plain(Rule::Mean, Clip::None, 2) }
}

#[test]
fn averages_cohorts_by_size_and_not_by_what_their_rule_leaves() {
    let robust = Rule::TrimmedMean { trim: Trim::Fixed(2) };
    let recipe = Recipe { rule: robust, ..parted(Minimum::Fixed(1), Small::Wait) };
    let mut world = World::new(recipe, 0);
    world.cut_epoch(1, (&LEFT, 30), (&RIGHT[..3], 60), false);
    assert_eq!(world.model(), (6 * 30 + 3 * 60) / 9);
    assert_eq!(world.fold.term_status(Epoch::new(1)).largest_cohort, 6);
}

#[test]
fn a_robust_rule_does_not_trim_the_smaller_side_away() {
    for (cohorts, expected) in [(None, 10), (Some(Small::Wait), (8 * 10 + 4 * 100) / 12)] {
        let recipe = Recipe {
            rule: Rule::TrimmedMean { trim: Trim::Auto },
            mix: Mix::NearestNeighbours,
            cohorts: cohorts.and_then(|small| parted(Minimum::Fixed(3), small).cohorts),
            ..parted(Minimum::Auto, Small::Wait)
        };
        let mut world = World::new(recipe, 340);
        let (left, right): (Vec<u16>, Vec<u16>) = ((0..8).collect(), (8..12).collect());
        world.cut_epoch(1, (&left, 10), (&right, 100), false);
        assert_eq!(world.model(), expected);
    }
}

#[test]
fn a_small_cohort_waits_or_joins() {
    for (small, minimum, expected, counted) in [
        (Small::Wait, Minimum::Auto, 10, 6),
        (Small::Join, Minimum::Auto, 20, 9),
        (Small::Wait, Minimum::Fixed(3), 20, 9),
        (Small::Wait, Minimum::Fixed(4), 10, 6),
        (Small::Wait, Minimum::Fixed(7), 0, 0),
        (Small::Join, Minimum::Fixed(12), 20, 9),
    ] {
        let mut world = World::new(parted(minimum, small), 170);
        world.cut_epoch(1, (&LEFT, 10), (&RIGHT[..3], 40), false);
        assert_eq!((world.model(), world.counted(1)), (expected, counted), "{small:?} {minimum:?}");
    }
}

#[test]
fn a_waiting_update_is_pending_until_its_cohort_has_grown() {
    let mut world = World::new(parted(Minimum::Fixed(3), Small::Wait), 0);
    world.cut_epoch(1, (&LEFT, 10), (&RIGHT[..2], 40), false);
    let base = |world: &mut World| world.fold.training_base(MemberIndex::new(6), 9).as_slice()[0];
    assert_eq!((world.model(), base(&mut world)), (10, 10 + 40));
    world.publish(8, 1, 40, &RIGHT[..2], false);
    assert_eq!((world.model(), base(&mut world)), (20, 20));
}

#[test]
fn gives_a_waiting_update_up_when_the_member_is_long_back() {
    let mut world = World::new(parted(Minimum::Fixed(3), Small::Wait), 0);
    world.cut_epoch(1, (&LEFT, 10), (&RIGHT[..1], 40), false);
    let base = |world: &mut World| world.fold.training_base(MemberIndex::new(6), 99).as_slice()[0];
    for (epoch, pending) in [(1 + WINDOW, 40), (2 + WINDOW, 0)] {
        // The member is back: it knows what the others know.
        let all: Vec<u16> = (0..7).collect();
        world.cut_epoch(epoch, (&all, 0), (&[], 0), false);
        assert_eq!((world.model(), base(&mut world)), (10, 10 + pending), "epoch {epoch}");
    }
}

#[test]
fn a_void_lowers_the_minimum_so_that_the_term_stays() {
    // F = 2, so a cohort of five counts, and of four if a slot is void.
    let mut world = World::new(parted(Minimum::Auto, Small::Wait), 170);
    world.cut_epoch(1, (&LEFT[..5], 10), (&[], 0), false);
    assert_eq!(world.model(), 10);
    world.previous.clear();
    let twin = world.make(4, 1, 99, &LEFT, false);
    world.fold.insert(twin);
    assert_eq!((world.model(), world.counted(1)), (10, 4));
    assert_eq!(world.fold.term_status(Epoch::new(1)).voids, 1);
}

const VOUCHED: Recipe = Recipe {
    cohorts: Some(Cohorts {
        threshold_permille: Cohorts::THRESHOLD_PERMILLE,
        minimum: Minimum::Fixed(3),
        small: Small::Vouch,
    }),
    ..Recipe::plain(Rule::Mean, Clip::None, 2)
};

#[test]
fn a_small_cohort_counts_what_enough_later_headers_vouch_for() {
    // F = 3: cohorts of seven count whole, four voices vouch.
    let mut world = World::new(VOUCHED, 250);
    world.cut_epoch(1, (&LEFT, 10), (&RIGHT, 40), true);
    assert_eq!(world.model(), 0);
    for (voices, expected) in [(0..3, 0), (3..4, 10)] {
        for member in voices {
            world.publish(member, 2, 0, &LEFT, true);
        }
        assert_eq!(world.model(), expected, "only the left side is vouched for");
    }
    assert_eq!(world.counted(1), 6);
}

#[test]
fn a_whole_cohort_needs_no_voices() {
    let mut world = World::new(VOUCHED, 250);
    let seven: Vec<u16> = (0..7).collect();
    world.cut_epoch(1, (&seven, 10), (&RIGHT[1..], 40), false);
    assert_eq!((world.model(), world.counted(1)), (10, 7));
}

#[test]
fn counts_only_the_vouched_slots_and_those_only_above_the_minimum() {
    for (named, expected) in [(&LEFT[..2], [false; 3]), (&LEFT[1..4], [true, false, true])] {
        let mut world = World::new(VOUCHED, 250);
        world.cut_epoch(1, (&LEFT, 10), (&[], 0), true);
        for &member in &RIGHT[..4] {
            world.publish(member, 2, 0, named, true);
        }
        let found = [1, 5, 2].map(|member| world.counts(member, 1));
        assert_eq!(found, expected, "{named:?}");
    }
}

#[test]
fn a_voice_counts_once_and_only_with_the_bit_and_within_the_window() {
    let heard = |epochs: &[u32], vouch: bool, members: &[u16]| {
        let mut world = World::new(VOUCHED, 250);
        world.cut_epoch(1, (&LEFT, 10), (&[], 0), true);
        for &epoch in epochs {
            for &member in members {
                world.publish(member, epoch, 0, &LEFT, vouch);
            }
        }
        world.model() != 0
    };
    assert!(heard(&[2], true, &RIGHT[..4]));
    assert!(heard(&[5], true, &RIGHT[..4]));
    assert!(!heard(&[6], true, &RIGHT[..4]), "beyond the window");
    assert!(!heard(&[2], false, &RIGHT[..4]), "without the bit");
    assert!(!heard(&[2, 3, 4], true, &RIGHT[..3]), "three authors, however often");
}

#[test]
fn releasing_a_twin_takes_no_voice_away() {
    let mut world = World::new(VOUCHED, 250);
    world.cut_epoch(1, (&LEFT, 10), (&[], 0), true);
    for &member in &RIGHT[..4] {
        world.publish(member, 2, 0, &LEFT, true);
    }
    assert_eq!(world.model(), 10);
    // One of the four voices was an attacker's: three are enough without it.
    world.previous.clear();
    let twin = world.make(6, 2, 5, &LEFT, true);
    world.fold.insert(twin);
    assert_eq!(world.model(), 10);
    // A liar's other headers do not vouch either.
    world.publish(6, 3, 0, &LEFT, true);
    let second = world.make(7, 2, 5, &LEFT, true);
    world.fold.insert(second);
    assert_eq!(world.model(), 10, "two honest voices and two liars");
}

#[test]
fn a_liar_vouches_for_nothing() {
    let mut world = World::new(VOUCHED, 250);
    world.cut_epoch(1, (&LEFT, 10), (&[], 0), true);
    for &member in &RIGHT[..2] {
        world.publish(member, 2, 0, &LEFT, true);
    }
    world.previous.clear();
    for value in [0, 1] {
        let twin = world.make(8, 2, value, &LEFT, true);
        world.fold.insert(twin);
    }
    assert_eq!(world.model(), 0, "one liar lowers the need to three, and two speak");
    world.publish(9, 2, 0, &LEFT, true);
    assert_eq!(world.model(), 10);
}
