//! Voter: what a member signs next, given what it signed and the votes it knows.
//!
//! The two rules that the argument in [`super`] rests on stand here: a member signs in
//! ascending order of attempt and phase, each at most once, and prepares nothing but
//! the value of the newest certificate that it knows. What it signed last has to be known
//! after a restart, so a peer takes it from its log.

use super::policy::Attempt;
use super::tally::Tally;
use super::vote::{Phase, SealValue};
use crate::slot::Epoch;

/// What a member signed last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Voter {
    signed: Option<(Attempt, Phase)>,
}

/// A vote to sign now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Prepare what the own set says about all epochs before `end`.
    PrepareOwn {
        /// In which attempt.
        attempt: Attempt,
        /// The first epoch that stays open.
        end: Epoch,
    },
    /// Sign this vote, whatever the own set says.
    Sign(Attempt, Phase, SealValue),
}

impl Voter {
    /// Remembers a vote that was signed, or that is to be signed no more.
    pub fn signed(&mut self, attempt: Attempt, phase: Phase) {
        self.signed = self.signed.max(Some((attempt, phase)));
    }

    /// What was signed last.
    pub const fn last(&self) -> Option<(Attempt, Phase)> {
        self.signed
    }

    /// The vote to sign in `epoch`, if there is one: commits first.
    pub fn due(&self, tally: &Tally, epoch: Epoch) -> Option<Due> {
        let commits = tally.certificates().find(|&(it, _)| self.may_sign(it, Phase::Commit));
        if let Some((attempt, value)) = commits {
            return Some(Due::Sign(attempt, Phase::Commit, value));
        }
        let attempt = tally.rules().attempt_at(epoch)?;
        let sealed = tally.seal().is_some_and(|(sealed, _)| attempt <= sealed);
        if sealed || !self.may_sign(attempt, Phase::Prepare) {
            return None;
        }
        if let Some(value) = tally.lock() {
            return Some(Due::Sign(attempt, Phase::Prepare, value));
        }
        let end = tally.rules().end(attempt).filter(|&end| end > tally.sealed_end())?;
        Some(Due::PrepareOwn { attempt, end })
    }

    fn may_sign(&self, attempt: Attempt, phase: Phase) -> bool {
        self.signed < Some((attempt, phase))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::policy::tests::rules;
    use super::super::tally::Cast;
    use super::super::vote::tests::{federation, value, vote};
    use super::super::vote::{AdmittedVote, Vote};
    use super::*;
    use crate::header::HeaderHash;
    use crate::parameters::ModelId;
    use crate::slot::MemberIndex;
    use longhaul_dtn::hash::ContentHash;
    use proptest::prelude::*;

    fn by(member: u16, vote: Vote) -> AdmittedVote {
        let header = HeaderHash::of(&vote.encode());
        AdmittedVote { member: MemberIndex::new(member), vote, header }
    }

    fn tally_of(votes: impl IntoIterator<Item = AdmittedVote>) -> Tally {
        let mut tally = Tally::new(rules(12));
        votes.into_iter().for_each(|vote| {
            tally.cast(&vote);
        });
        tally
    }

    fn votes(members: std::ops::Range<u16>, of: Vote) -> impl Iterator<Item = AdmittedVote> {
        members.map(move |member| by(member, of))
    }

    #[test]
    fn a_quorum_of_equal_prepares_locks_and_of_commits_seals() {
        let (one, other) = (value(2, 1), value(2, 2));
        let prepare = |value| vote(2, Phase::Prepare, value);
        let mut tally = tally_of(votes(0..7, prepare(one)));
        tally.cast(&by(7, prepare(other)));
        assert_eq!((tally.lock(), tally.seal()), (None, None));
        tally.cast(&by(8, prepare(one)));
        assert_eq!((tally.lock(), tally.seal()), (Some(one), None));
        votes(0..8, vote(2, Phase::Commit, one))
            .for_each(|vote| assert_eq!(tally.cast(&vote), Cast::New));
        assert_eq!((tally.lock(), tally.seal()), (None, Some((Attempt::new(2), one))));
        let late = by(9, vote(3, Phase::Prepare, value(6, 1)));
        assert_eq!(tally.cast(&late), Cast::New);
    }

    #[test]
    fn two_votes_of_a_member_count_for_everything_and_a_third_for_nothing() {
        let of = |name| vote(2, Phase::Prepare, value(2, name));
        let mut tally = tally_of(votes(0..7, of(1)));
        assert_eq!(tally.cast(&by(7, of(2))), Cast::New);
        assert_eq!(tally.lock(), None);
        assert_eq!(tally.cast(&by(7, of(3))), Cast::Twin);
        assert_eq!(tally.lock(), Some(value(2, 1)));
        assert_eq!(tally.cast(&by(7, of(4))), Cast::Nothing);
        assert_eq!(tally.screen(&by(7, of(4))).map_err(|it| it.name()), Err("slot-spent"));
        assert_eq!(tally.screen(&by(7, of(2))).map_err(|it| it.name()), Err("duplicate"));
        let twins = tally.twins();
        assert_eq!((twins.len(), twins[0].member), (1, MemberIndex::new(7)));
    }

    #[test]
    fn votes_of_attempts_before_the_seal_are_outdated() {
        let mut tally = tally_of(votes(0..8, vote(3, Phase::Commit, value(6, 1))));
        let old = by(9, vote(2, Phase::Commit, value(2, 2)));
        assert_eq!(tally.screen(&old).map_err(|it| it.name()), Err("outdated"));
        assert_eq!((tally.cast(&old), tally.sealed_end()), (Cast::Nothing, Epoch::new(6)));
    }

    #[test]
    fn signs_each_phase_once_and_never_backwards() {
        let mut voter = Voter::default();
        let none = Tally::new(rules(12));
        let own = Due::PrepareOwn { attempt: Attempt::new(2), end: Epoch::new(2) };
        assert_eq!(voter.due(&none, Epoch::new(7)), None);
        assert_eq!(voter.due(&none, Epoch::new(8)), Some(own));
        voter.signed(Attempt::new(2), Phase::Prepare);
        assert_eq!(voter.due(&none, Epoch::new(11)), None);
        let tally = tally_of(votes(0..8, vote(2, Phase::Prepare, value(2, 1))));
        let commit = Due::Sign(Attempt::new(2), Phase::Commit, value(2, 1));
        assert_eq!(voter.due(&tally, Epoch::new(11)), Some(commit));
        let mut late = voter;
        late.signed(Attempt::new(3), Phase::Prepare);
        assert_eq!(late.due(&tally, Epoch::new(12)), None, "attempt 3 has begun for it");
        voter.signed(Attempt::new(2), Phase::Commit);
        let locked = Due::Sign(Attempt::new(3), Phase::Prepare, value(2, 1));
        assert_eq!(voter.due(&tally, Epoch::new(12)), Some(locked));
    }

    #[test]
    fn what_is_sealed_locks_nobody() {
        let sealed = votes(0..8, vote(3, Phase::Commit, value(6, 1)));
        let before = votes(0..8, vote(2, Phase::Prepare, value(2, 2)));
        let tally = tally_of(sealed.chain(before));
        assert_eq!(tally.lock(), None);
        let own = Due::PrepareOwn { attempt: Attempt::new(4), end: Epoch::new(10) };
        assert_eq!(Voter::default().due(&tally, Epoch::new(16)), Some(own));
        assert_eq!(Voter::default().due(&tally, Epoch::new(12)), None);
    }

    /// One member of a world in which values are lists of what was sealed before.
    struct Member {
        voter: Voter,
        tally: Tally,
        /// The history that each value stands for, as far as this member made it.
        sealed: Vec<SealValue>,
    }

    const MEMBERS: u16 = 7;
    const LIARS: u16 = 2;

    /// The value on top of `history` that a member with the set `view` proposes.
    fn on_top(history: &[SealValue], end: Epoch, view: u8) -> SealValue {
        let mut bytes = vec![view];
        history.iter().for_each(|it| bytes.extend_from_slice(it.root.as_bytes()));
        let root = ContentHash::of(&bytes);
        SealValue { end, root, model: ModelId::from_hash(root) }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A member's clock reaches an epoch, at which its set is one of two.
        Tick { member: u16, ahead: u32, view: u8 },
        /// A member hears of one of the votes that were cast.
        Hear { member: u16, vote: prop::sample::Index },
        /// A liar signs for something that somebody signed for.
        Lie { member: u16, vote: prop::sample::Index, attempt_up: u32, commit: bool },
    }

    fn arb_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..MEMBERS - LIARS, 0_u32..3, prop::bool::weighted(0.2)).prop_map(
                |(member, ahead, view)| Step::Tick { member, ahead, view: view.into() }
            ),
            24 => (0..MEMBERS - LIARS, any::<prop::sample::Index>())
                .prop_map(|(member, vote)| Step::Hear { member, vote }),
            6 => (MEMBERS - LIARS..MEMBERS, any::<prop::sample::Index>(), 0_u32..2, any::<bool>())
                .prop_map(|(member, vote, attempt_up, commit)| Step::Lie { member, vote, attempt_up, commit }),
        ]
    }

    /// Lets members and liars vote as the steps say; gives each honest member's seals.
    fn play(steps: &[Step]) -> (Vec<Vec<SealValue>>, BTreeMap<SealValue, Vec<SealValue>>) {
        let rules = super::super::SealRules { attackers: LIARS.into(), ..rules(MEMBERS.into()) };
        let new = || Member { voter: Voter::default(), tally: Tally::new(rules), sealed: vec![] };
        let mut members: Vec<Member> = (0..MEMBERS - LIARS).map(|_| new()).collect();
        let mut cast: Vec<AdmittedVote> = Vec::new();
        let mut below: BTreeMap<SealValue, Vec<SealValue>> = BTreeMap::new();
        let mut epoch = 8;
        for step in steps {
            let (number, view) = match *step {
                Step::Lie { member, ref vote, attempt_up, commit } => {
                    if !cast.is_empty() {
                        let like = vote.get(&cast).vote;
                        let phase = if commit { Phase::Commit } else { Phase::Prepare };
                        let attempt = Attempt::new(like.attempt.get() + attempt_up);
                        cast.push(by(member, Vote { attempt, phase, ..like }));
                    }
                    continue;
                }
                Step::Hear { member, ref vote } => {
                    if !cast.is_empty() {
                        members[usize::from(member)].tally.cast(vote.get(&cast));
                    }
                    (member, 0)
                }
                Step::Tick { member, ahead, view } => {
                    epoch += u32::from(ahead == 2);
                    (member, view)
                }
            };
            let member = &mut members[usize::from(number)];
            if let Some((_, value)) = member.tally.seal()
                && member.sealed.last() != Some(&value)
            {
                member.sealed = below.get(&value).cloned().unwrap_or_default();
                member.sealed.push(value);
            }
            while let Some(due) = member.voter.due(&member.tally, Epoch::new(epoch)) {
                let (attempt, phase, value) = match due {
                    Due::Sign(attempt, phase, value) => (attempt, phase, value),
                    Due::PrepareOwn { attempt, end } => {
                        let value = on_top(&member.sealed, end, view);
                        below.insert(value, member.sealed.clone());
                        (attempt, Phase::Prepare, value)
                    }
                };
                member.voter.signed(attempt, phase);
                let vote = by(number, Vote { federation: federation(), attempt, phase, value });
                member.tally.cast(&vote);
                cast.push(vote);
            }
        }
        (members.into_iter().map(|member| member.sealed).collect(), below)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_two_members_seal_what_contradicts(steps in prop::collection::vec(arb_step(), 0..900)) {
            let (seals, _) = play(&steps);
            // Whoever sealed less holds a value that the others' newest is made on top of.
            let longest = seals.iter().max_by_key(|seals| seals.len()).expect("members");
            for seals in &seals {
                prop_assert!(seals.last().is_none_or(|last| longest.contains(last)), "{seals:?} {longest:?}");
            }
        }

        #[test]
        fn a_tally_does_not_depend_on_the_order(
            votes in prop::collection::vec((0_u16..12, 2_u32..5, any::<bool>(), 0_u8..2), 0..150),
            keys in prop::collection::vec(any::<u32>(), 150),
        ) {
            // Three of twelve sign whatever they like; the others once for each phase.
            let make = |&(member, attempt, commit, name): &(u16, u32, bool, u8)| {
                let phase = if commit { Phase::Commit } else { Phase::Prepare };
                let name = if member < 3 { name } else { u8::from(member == 11) };
                by(member, vote(attempt, phase, value(2, name)))
            };
            let votes: Vec<_> = votes.iter().map(make).collect();
            let mut keyed: Vec<_> = votes.iter().zip(&keys).collect();
            keyed.sort_by_key(|(_, key)| **key);
            let (one, other) = (tally_of(votes.iter().copied()), tally_of(keyed.into_iter().map(|(it, _)| *it)));
            prop_assert_eq!((one.seal(), one.lock()), (other.seal(), other.lock()));
        }
    }

    #[test]
    fn the_random_world_does_seal() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut sealed = 0;
        for _ in 0..200 {
            let tree = prop::collection::vec(arb_step(), 900).new_tree(&mut runner).expect("steps");
            let (seals, _) = play(&proptest::strategy::ValueTree::current(&tree));
            sealed += seals.iter().map(Vec::len).sum::<usize>();
        }
        assert!(sealed > 200, "only {sealed} seals: the property above would say nothing");
    }
}
