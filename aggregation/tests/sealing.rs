//! The promise of seals: what is held is a function of the updates and the votes.
//!
//! However updates, votes and the snapshot come in, before, between or after one another,
//! everybody ends with the model that a reference makes of the sealed value and the open
//! slots. Late updates and late twins for sealed epochs change nothing.

mod common;
mod plans;
mod reference;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::SEED;
use longhaul_aggregation::{
    Admitted, AdmittedVote, Attempt, Clip, Cohorts, Epoch, Fold, HeaderHash, Inserted, MemberIndex,
    Minimum, Mix, Phase, PoolSpan, Recipe, Rule, Schema, SealPolicy, SealRules, SealValue, Setting,
    Slot, Small, Snapshot, Tally, Vote,
};
use longhaul_dtn::hash::ContentHash;
use plans::{EPOCHS, MEMBERS, Plan, WINDOW, arb_plans, make, schema, twin};
use proptest::prelude::*;
use reference::{Fact, Rules, outcome_of_epochs};

fn arb_rules() -> impl Strategy<Value = Rules> {
    let cohorts = prop_oneof![
        Just(None),
        prop_oneof![Just(Small::Join), Just(Small::Wait), Just(Small::Vouch)].prop_map(|small| {
            Some(Cohorts { threshold_permille: 500, minimum: Minimum::Auto, small })
        }),
    ];
    let mix = prop_oneof![Just(Mix::None), Just(Mix::NearestNeighbours)];
    (cohorts, mix, 1_u16..=4, 0_u16..3, 0_u16..400).prop_map(
        |(cohorts, mix, quorum, doublings, attacker_share_permille)| {
            let pool = PoolSpan::new(1 << doublings).expect("a span");
            let recipe =
                Recipe { cohorts, mix, pool, ..Recipe::plain(Rule::Mean, Clip::Median, quorum) };
            let members = usize::from(MEMBERS);
            let setting = Setting {
                attacker_share_permille,
                summary_window: WINDOW,
                ..Setting::trusting(members)
            };
            (recipe, setting)
        },
    )
}

/// What the sealing members held, and how things reach somebody else.
#[derive(Debug, Clone)]
struct Story {
    plans: Vec<Plan>,
    rules: Rules,
    /// The end of the seal, before it is aligned.
    end: u32,
    /// Which updates the sealing members held.
    held: Vec<bool>,
    /// For which of them a twin is signed afterwards.
    twins: Vec<bool>,
}

fn arb_story() -> impl Strategy<Value = Story> {
    (
        arb_plans(),
        arb_rules(),
        4..EPOCHS,
        prop::collection::vec(prop::bool::weighted(0.8), 100),
        prop::collection::vec(prop::bool::weighted(0.1), 100),
    )
        .prop_map(|(plans, rules, end, held, twins)| Story { plans, rules, end, held, twins })
}

/// Something that comes in.
#[derive(Debug, Clone)]
enum Comes {
    Update(Arc<Admitted>),
    Vote(AdmittedVote),
    /// The snapshot: from here on it can be adopted.
    Snapshot,
    /// Somebody asks for the model.
    Look,
}

struct World {
    schema: Arc<Schema>,
    rules: Rules,
    end: Epoch,
    /// What is sealed.
    sealed: Vec<Arc<Admitted>>,
    snapshot: Arc<Snapshot>,
    everything: Vec<Arc<Admitted>>,
}

impl World {
    fn new(story: &Story) -> Self {
        let schema = schema();
        let span = story.rules.0.pool.epochs();
        let end = Epoch::new(story.end / span * span);
        let made = make(&schema, &story.plans);
        let held: Vec<_> = made
            .iter()
            .zip(&story.held)
            .filter(|(_, held)| **held)
            .map(|(it, _)| it.clone())
            .collect();
        let mut fold = Fold::new(schema.clone(), &SEED, story.rules.0, story.rules.1);
        held.iter().for_each(|update| {
            fold.insert(update.clone());
        });
        let snapshot = Arc::new(fold.candidate(end));
        let late = made.iter().zip(&story.twins).filter(|(_, twin)| **twin);
        let late: Vec<_> = late.map(|(update, _)| twin(&schema, update)).collect();
        let sealed = held.into_iter().filter(|it| it.header.epoch < end).collect();
        let everything = made.into_iter().chain(late).collect();
        Self { schema, rules: story.rules, end, sealed, snapshot, everything }
    }

    fn seal_rules(&self) -> SealRules {
        let policy = SealPolicy { window_epochs: WINDOW, every_epochs: 1 };
        SealRules::new(policy, &self.rules.1, self.rules.0.pool, 100)
    }

    /// Two attempts' votes: the first one fails, the second seals.
    fn votes(&self) -> Vec<AdmittedVote> {
        let federation = ContentHash::of(b"federation");
        let value = self.snapshot.value();
        let root = ContentHash::of(b"another set");
        let other = SealValue { root, ..value };
        let vote = |member: u16, attempt: u32, phase, value| {
            let vote = Vote { federation, attempt: Attempt::new(attempt), phase, value };
            let header = HeaderHash::of(&vote.encode());
            AdmittedVote { member: MemberIndex::new(member), vote, header }
        };
        let first = (0..MEMBERS)
            .map(|it| vote(it, 20, Phase::Prepare, if it % 2 == 0 { value } else { other }));
        let second = [Phase::Prepare, Phase::Commit]
            .into_iter()
            .flat_map(|phase| (0..MEMBERS - 1).map(move |member| vote(member, 21, phase, value)));
        let liar = [value, other].map(|value| vote(MEMBERS - 1, 21, Phase::Commit, value));
        first.chain(second).chain(liar).collect()
    }

    fn comes(&self, keys: &[u32]) -> Vec<Comes> {
        let updates = self.everything.iter().cloned().map(Comes::Update);
        let votes = self.votes().into_iter().map(Comes::Vote);
        let rest = [Comes::Snapshot, Comes::Look, Comes::Look, Comes::Look];
        let mut all: Vec<_> = updates.chain(votes).chain(rest).zip(keys.iter().cycle()).collect();
        all.sort_by_key(|(_, key)| **key);
        all.into_iter().map(|(it, _)| it).collect()
    }

    /// What a member with an empty fold makes of all that comes in.
    fn live(&self, comes: &[Comes]) -> Fold {
        let mut fold = Fold::new(self.schema.clone(), &SEED, self.rules.0, self.rules.1);
        let mut tally = Tally::new(self.seal_rules());
        let mut snapshot = None;
        for it in comes {
            match it {
                Comes::Update(update) => {
                    let sealed = update.header.epoch < fold.open_from();
                    let screened =
                        fold.screen(update.author, update.header.epoch, update.header_hash);
                    assert!(!sealed || screened.is_err(), "sealed epochs take nothing");
                    assert_eq!(fold.insert(update.clone()) == Inserted::Sealed, sealed);
                }
                Comes::Vote(vote) => {
                    tally.cast(vote);
                }
                Comes::Snapshot => snapshot = Some(self.snapshot.clone()),
                Comes::Look => {
                    fold.model();
                }
            }
            let Some((_, value)) = tally.seal() else { continue };
            if value.end > fold.open_from() {
                let own = fold.candidate(value.end);
                let own = (own.value() == value).then(|| Arc::new(own));
                own.or(snapshot.clone()).into_iter().for_each(|it| {
                    fold.seal(it);
                });
            }
        }
        fold
    }

    fn facts<'a>(&self, of: impl Iterator<Item = &'a Arc<Admitted>>) -> BTreeSet<Fact> {
        of.map(|it| Fact::of(it)).collect()
    }

    fn open(&self) -> impl Iterator<Item = &Arc<Admitted>> {
        self.everything.iter().filter(|it| it.header.epoch >= self.end)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn a_sealed_fold_is_a_function_of_updates_and_votes(
        story in arb_story(),
        first in prop::collection::vec(any::<u32>(), 120),
        second in prop::collection::vec(any::<u32>(), 120),
    ) {
        let world = World::new(&story);
        prop_assume!(world.end > Epoch::FIRST);
        let mut folds = [first, second].map(|keys| world.live(&world.comes(&keys)));
        let facts = world.facts(world.sealed.iter().chain(world.open()));
        let within = world.end.get()..EPOCHS;
        let expected =
            outcome_of_epochs(&world.schema, world.rules, &facts, world.snapshot.model(), within);
        for fold in &mut folds {
            prop_assert_eq!(fold.open_from(), world.end);
            prop_assert_eq!(fold.model_id(), expected.model);
            for update in world.open() {
                let slot = update.slot();
                let counted = expected.counted.contains(&(slot.epoch.get(), slot.member.get()));
                prop_assert_eq!(fold.counts(slot), counted);
            }
        }
        prop_assert_eq!(folds[0].set_root(), folds[1].set_root());
        prop_assert_eq!(folds[0].slot_count(), folds[1].slot_count());
        // Of three headers for a slot two are kept, and which two does not matter.
        let proofs = |fold: &Fold| -> Vec<_> {
            let pairs = fold.equivocations().into_iter();
            pairs.map(|it| (it.member, it.reason, it.first.0, it.second.0)).collect()
        };
        prop_assert_eq!(proofs(&folds[0]), proofs(&folds[1]));
    }

    #[test]
    fn a_candidate_looks_one_window_behind_the_end_and_no_further(
        story in arb_story(),
        keys in prop::collection::vec(any::<u32>(), 120),
    ) {
        let world = World::new(&story);
        prop_assume!(world.end > Epoch::FIRST);
        let horizon = world.end.get() + WINDOW;
        let seen = world.everything.iter().filter(|it| it.header.epoch.get() < horizon);
        let facts = world.facts(seen);
        let mut fold = Fold::new(world.schema.clone(), &SEED, world.rules.0, world.rules.1);
        for it in world.comes(&keys) {
            match it {
                Comes::Update(update) => { fold.insert(update); }
                Comes::Look => { fold.model(); }
                _ => {}
            }
        }
        let before = fold.model_id();
        let candidate = fold.candidate(world.end);
        let initial = longhaul_aggregation::Parameters::initial(&world.schema, &SEED);
        let expected =
            outcome_of_epochs(&world.schema, world.rules, &facts, &initial, 0..world.end.get());
        prop_assert_eq!(candidate.value().model, expected.model);
        prop_assert_eq!(fold.model_id(), before, "looking changes nothing");
        let value = candidate.value();
        let (slots, model) = (candidate.slots_bytes(), candidate.model_bytes());
        prop_assert_eq!(Snapshot::read(value, &slots, &model, &world.schema), Ok(candidate));
    }

    #[test]
    fn seals_on_seals_are_as_good_as_one(
        story in arb_story(),
        between in 1..EPOCHS,
    ) {
        let world = World::new(&story);
        let span = world.rules.0.pool.epochs();
        let between = Epoch::new(between % world.end.get().max(1) / span * span);
        prop_assume!(between > Epoch::FIRST);
        // Nothing but chain verdicts of later headers can tell the two apart.
        let honest = |it: &&Arc<Admitted>| world.sealed.iter().any(|held| held.header_hash == it.header_hash);
        let mut fold = Fold::new(world.schema.clone(), &SEED, world.rules.0, world.rules.1);
        world.everything.iter().filter(honest).for_each(|it| { fold.insert(it.clone()); });
        let direct = fold.candidate(world.end);
        let first = fold.candidate(between);
        prop_assert_eq!(fold.seal(Arc::new(first)), []);
        let second = fold.candidate(world.end);
        prop_assert_eq!(second.value().root, direct.value().root);
        prop_assert_eq!(fold.open_from(), between);
    }
}

fn one_update_each(epochs: std::ops::Range<u32>) -> (Fold, Vec<Admitted>) {
    let schema = common::schema(&[2]);
    let mut authors: Vec<_> = (0..3).map(|member| common::Author::new(&schema, member)).collect();
    let mut made = Vec::new();
    for epoch in epochs {
        made.extend(authors.iter_mut().map(|author| author.publish(epoch, 8)));
    }
    (common::fold_of(&schema, common::MEAN, &made), made)
}

#[test]
fn says_what_a_seal_leaves_out() {
    let (mut fold, made) = one_update_each(0..4);
    let (mut fewer, _) = one_update_each(0..0);
    made.iter().filter(|it| it.author.get() != 2).for_each(|it| {
        fewer.insert(it.clone());
    });
    let left_out = fold.seal(Arc::new(fewer.candidate(Epoch::new(2))));
    let late: Vec<_> = made.iter().filter(|it| it.author.get() == 2).take(2).collect();
    let expected: Vec<_> = late.iter().map(|it| (it.slot(), it.header_hash)).collect();
    assert_eq!(left_out, expected);
    assert_eq!((fold.slot_count(), fold.open_count()), (4 + 6, 6));
    let refused = fold.screen(MemberIndex::new(2), Epoch::new(1), late[1].header_hash);
    assert_eq!(refused.map_err(|it| it.name()), Err("sealed"));
    let held = fold.screen(MemberIndex::new(0), Epoch::new(1), made[3].header_hash);
    assert_eq!(held.map_err(|it| it.name()), Err("duplicate"));
}

#[test]
fn a_chain_goes_on_across_a_seal_that_left_a_slot_out() {
    let schema = common::schema(&[2]);
    let mut author = common::Author::new(&schema, 0);
    let made: Vec<_> = (0..6).map(|epoch| author.publish(epoch, 1)).collect();
    let mut fold = common::fold_of(&schema, common::MEAN, &made);
    // Epoch 3, which the header of epoch 4 names, is not among what is sealed.
    let sealed = common::fold_of(&schema, common::MEAN, &made[..3]).candidate(Epoch::new(4));
    assert_eq!(fold.seal(Arc::new(sealed)).len(), 1);
    for epoch in [4, 5] {
        assert!(fold.counts(Slot { member: MemberIndex::new(0), epoch: Epoch::new(epoch) }));
    }
    // Whoever names a slot before the last sealed one still contradicts itself.
    let liar = author.claim(7, 1, Some(common::named(&made[1])));
    assert!(matches!(fold.insert(liar), Inserted::Void(_)));
    let other = author.claim(
        8,
        1,
        Some(longhaul_aggregation::Previous {
            header: common::unknown_header(1),
            ..common::named(&made[2])
        }),
    );
    assert!(matches!(fold.insert(other), Inserted::Void(_)));
}

#[test]
fn a_twin_that_comes_late_moves_nothing() {
    let (mut fold, made) = one_update_each(0..4);
    let candidate = fold.candidate(Epoch::new(3));
    fold.seal(Arc::new(candidate));
    let before = (fold.model_id(), fold.set_root());
    let schema = common::schema(&[2]);
    for update in made.iter().filter(|it| it.header.epoch.get() < 3) {
        assert_eq!(fold.insert(twin_of(&schema, update)), Inserted::Sealed);
    }
    assert_eq!((fold.model_id(), fold.set_root()), before);
    assert!(fold.equivocations().is_empty());
}

fn twin_of(schema: &Arc<Schema>, of: &Admitted) -> Admitted {
    let mut header = of.header.clone();
    header.samples += 1;
    let payload = of.update.payload().clone();
    let policy = common::policy(schema);
    longhaul_aggregation::admit(&policy, Some(of.author), &header.encode(), payload).expect("sound")
}
