//! Tally: the votes that are known, and what they add up to.
//!
//! A pure function of the set of votes. Of a member's votes for one phase of one attempt
//! the first two different ones are kept: with two it counts for every value there, and
//! a third changes nothing. Attempts before the newest seal are forgotten, since nothing
//! follows from them any more.
//!
//! Cost: a vote looks at those of its phase and attempt. Without a quorum all attempts are
//! kept, for votes may be under way for long: at most four votes of each member for each
//! attempt of the federation, whenever its author dates them. A member may likewise fill
//! its slots of all epochs to come; those weigh a payload each.

use std::collections::BTreeMap;

use super::policy::{Attempt, SealRules};
use super::vote::{AdmittedVote, Phase, SealValue};
use crate::admission::Refusal;
use crate::header::HeaderHash;
use crate::slot::{Epoch, MemberIndex};

/// The votes known to somebody.
#[derive(Debug, Clone)]
pub struct Tally {
    rules: SealRules,
    ballots: BTreeMap<(Attempt, Phase), BTreeMap<MemberIndex, Ballot>>,
    /// Of each attempt what a quorum prepared, if there is one.
    prepared: BTreeMap<Attempt, SealValue>,
    /// The newest attempt with a quorum of commits.
    seal: Option<(Attempt, SealValue)>,
}

/// A member's votes in one phase of one attempt.
#[derive(Debug, Clone, Copy)]
enum Ballot {
    One(SealValue, HeaderHash),
    /// Two different ones: it counts for every value.
    Two(HeaderHash, HeaderHash),
}

/// What a vote did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// It counts.
    New,
    /// It counts for every value now: its author signed another one before.
    Twin,
    /// Nothing changed.
    Nothing,
}

/// Two different votes of one member for one phase of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteTwins {
    /// Who signed both.
    pub member: MemberIndex,
    /// In which attempt.
    pub attempt: Attempt,
    /// In which phase.
    pub phase: Phase,
    /// The two headers, the smaller hash first.
    pub headers: [HeaderHash; 2],
}

impl Tally {
    /// No votes.
    pub const fn new(rules: SealRules) -> Self {
        Self { rules, ballots: BTreeMap::new(), prepared: BTreeMap::new(), seal: None }
    }

    /// The rules by which votes are counted.
    pub const fn rules(&self) -> &SealRules {
        &self.rules
    }

    /// Says whether a vote would change anything.
    pub fn screen(&self, vote: &AdmittedVote) -> Result<(), Refusal> {
        let attempt = vote.vote.attempt;
        if self.seal.is_some_and(|(sealed, _)| attempt < sealed) {
            return Err(Refusal::Outdated(attempt));
        }
        let ballots = self.ballots.get(&(attempt, vote.vote.phase));
        match ballots.and_then(|ballots| ballots.get(&vote.member)) {
            None => Ok(()),
            Some(Ballot::One(_, header)) if *header != vote.header => Ok(()),
            Some(Ballot::Two(first, second)) if ![*first, *second].contains(&vote.header) => {
                Err(Refusal::SlotSpent)
            }
            Some(_) => Err(Refusal::Duplicate),
        }
    }

    /// Counts a vote.
    pub fn cast(&mut self, vote: &AdmittedVote) -> Cast {
        if self.screen(vote).is_err() {
            return Cast::Nothing;
        }
        let (attempt, phase, value) = (vote.vote.attempt, vote.vote.phase, vote.vote.value);
        let ballots = self.ballots.entry((attempt, phase)).or_default();
        let before = ballots.get(&vote.member).copied();
        let (ballot, cast) = match before {
            Some(Ballot::One(_, first)) => {
                (Ballot::Two(first.min(vote.header), first.max(vote.header)), Cast::Twin)
            }
            _ => (Ballot::One(value, vote.header), Cast::New),
        };
        ballots.insert(vote.member, ballot);
        match (phase, self.certified(attempt, phase)) {
            (Phase::Prepare, Some(value)) => {
                self.prepared.insert(attempt, value);
            }
            (Phase::Commit, Some(value)) => self.settle(attempt, value),
            (_, None) => {}
        }
        cast
    }

    /// Takes a seal from the own log, whether or not its votes are known.
    pub fn recall(&mut self, attempt: Attempt, value: SealValue) {
        if self.seal.is_none_or(|(sealed, _)| sealed < attempt) {
            self.settle(attempt, value);
        }
    }

    fn settle(&mut self, attempt: Attempt, value: SealValue) {
        self.seal = Some((attempt, value));
        self.ballots.retain(|(at, _), _| *at >= attempt);
        self.prepared.retain(|at, _| *at >= attempt);
    }

    /// The value that a quorum voted for in a phase of an attempt.
    ///
    /// Within the assumed number of attackers there is one at most. Beyond it the one with
    /// the most votes is taken, and of several the smallest.
    pub fn certified(&self, attempt: Attempt, phase: Phase) -> Option<SealValue> {
        let ballots = self.ballots.get(&(attempt, phase))?;
        let mut counts: BTreeMap<SealValue, usize> = BTreeMap::new();
        let mut liars = 0;
        for ballot in ballots.values() {
            match ballot {
                Ballot::One(value, _) => *counts.entry(*value).or_default() += 1,
                Ballot::Two(..) => liars += 1,
            }
        }
        let quorum = self.rules.quorum();
        let certified = counts.into_iter().filter(|(_, count)| count + liars >= quorum);
        certified.rev().max_by_key(|&(_, count)| count).map(|(value, _)| value)
    }

    /// The newest seal, and the newest attempt that made it.
    pub const fn seal(&self) -> Option<(Attempt, SealValue)> {
        self.seal
    }

    /// The first epoch that the newest seal leaves open; the first of all without one.
    pub fn sealed_end(&self) -> Epoch {
        self.seal.map_or(Epoch::FIRST, |(_, value)| value.end)
    }

    /// The value of the newest certificate above the newest seal: whoever knows it
    /// prepares nothing else.
    pub fn lock(&self) -> Option<SealValue> {
        let certified = self.certificates().rev().map(|(_, value)| value);
        certified.into_iter().find(|value| value.end > self.sealed_end())
    }

    /// The attempts above the newest seal with a certificate, ascending, and its value.
    pub fn certificates(&self) -> impl DoubleEndedIterator<Item = (Attempt, SealValue)> + '_ {
        let above = |attempt: &Attempt| self.seal.is_none_or(|(sealed, _)| *attempt > sealed);
        let prepared = self.prepared.iter().map(|(&attempt, &value)| (attempt, value));
        prepared.filter(move |(attempt, _)| above(attempt))
    }

    /// Who voted in a phase of an attempt, whatever for.
    pub fn voters(&self, attempt: Attempt, phase: Phase) -> usize {
        self.ballots.get(&(attempt, phase)).map_or(0, BTreeMap::len)
    }

    /// Members that are proved to have signed two different votes.
    pub fn twins(&self) -> Vec<VoteTwins> {
        let all = self.ballots.iter().flat_map(|(&(attempt, phase), ballots)| {
            ballots.iter().filter_map(move |(&member, ballot)| match *ballot {
                Ballot::One(..) => None,
                Ballot::Two(first, second) => {
                    Some(VoteTwins { member, attempt, phase, headers: [first, second] })
                }
            })
        });
        all.collect()
    }
}
