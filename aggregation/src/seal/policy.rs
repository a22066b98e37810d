//! Policy: when epochs may be sealed, and how many members it takes.

use std::fmt;

use crate::fold::block_of;
use crate::rule::PoolSpan;
use crate::setting::Setting;
use crate::slot::Epoch;

/// What a manifest says about sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// How far back an epoch lies before it may be sealed.
    pub window_epochs: u32,
    /// One attempt in so many epochs.
    pub every_epochs: u32,
}

/// An attempt to seal; the first has number one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u32);

/// All that votes are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealRules {
    /// When to attempt what.
    pub policy: SealPolicy,
    /// N: members of the federation.
    pub members: usize,
    /// F: how many of all members attack.
    pub attackers: usize,
    /// Epochs that are pooled are sealed together.
    pub pool: PoolSpan,
    /// Number of epochs of the federation.
    pub epochs: u32,
}

impl Attempt {
    /// The attempt with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl SealRules {
    /// The rules of a federation; F is its share of all members, committee or not.
    pub fn new(policy: SealPolicy, setting: &Setting, pool: PoolSpan, epochs: u32) -> Self {
        let everybody = Setting { committee: None, ..*setting };
        let (members, attackers) = (setting.members, everybody.attackers(1));
        Self { policy, members, attackers, pool, epochs }
    }

    /// How many members have to sign the same: more than (N + F) / 2.
    pub const fn quorum(&self) -> usize {
        (self.members + self.attackers) / 2 + 1
    }

    /// The attempt that takes place in `epoch`: the newest that has begun; none while
    /// there is nothing to seal.
    pub fn attempt_at(&self, epoch: Epoch) -> Option<Attempt> {
        let attempt = Attempt(epoch.get() / self.policy.every_epochs.max(1));
        self.end(attempt).is_some().then_some(attempt)
    }

    /// The epoch in which an attempt begins.
    pub const fn begins(&self, attempt: Attempt) -> Epoch {
        Epoch::new(attempt.0.saturating_mul(self.policy.every_epochs))
    }

    /// True if some attempt has epochs before it that it may seal: the last one, if any.
    pub fn seals_anything(&self) -> bool {
        let last = self.epochs.saturating_sub(1) / self.policy.every_epochs.max(1);
        self.end(Attempt(last)).is_some()
    }

    /// The first epoch that an attempt leaves open: as far back as the window says, and
    /// between two blocks of pooled epochs. None if there is nothing before it, or the
    /// attempt lies beyond the federation's epochs.
    pub fn end(&self, attempt: Attempt) -> Option<Epoch> {
        let begins = self.begins(attempt);
        let end = block_of(begins.back(self.policy.window_epochs), self.pool);
        (begins.get() < self.epochs && end > Epoch::FIRST).then_some(end)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Rules for `members`, of whom a quarter attack.
    pub fn rules(members: usize) -> SealRules {
        let policy = SealPolicy { window_epochs: 6, every_epochs: 4 };
        let setting = Setting { attacker_share_permille: 250, ..Setting::trusting(members) };
        SealRules::new(policy, &setting, PoolSpan::ONE, 100)
    }

    #[test]
    fn two_quorums_share_more_members_than_attack() {
        for members in 1..200 {
            for attackers in 0..members {
                let rules = SealRules { attackers, ..rules(members) };
                assert!(2 * rules.quorum() > members + attackers, "{members}, {attackers}");
                // And honest members reach one alone if they are more than two thirds.
                assert_eq!(rules.quorum() <= members - attackers, members > 3 * attackers);
            }
        }
        assert_eq!(rules(12).quorum(), 8);
    }

    #[test]
    fn a_committee_does_not_shrink_the_attackers_among_voters() {
        let setting =
            Setting { committee: Some(4), attacker_share_permille: 250, ..Setting::trusting(40) };
        let policy = SealPolicy { window_epochs: 6, every_epochs: 4 };
        assert_eq!(SealRules::new(policy, &setting, PoolSpan::ONE, 9).attackers, 10);
    }

    #[test]
    fn attempts_begin_once_there_is_something_to_seal() {
        let rules = rules(12);
        let at = |epoch| rules.attempt_at(Epoch::new(epoch)).map(Attempt::get);
        let end = |attempt| rules.end(Attempt::new(attempt)).map(Epoch::get);
        assert_eq!([7, 8, 11, 12].map(at), [None, Some(2), Some(2), Some(3)]);
        assert_eq!([0, 1, 2, 3, 24, 25].map(end), [None, None, Some(2), Some(6), Some(90), None]);
    }

    #[test]
    fn rules_seal_something_if_an_attempt_has_an_end() {
        for (window_epochs, every_epochs, pool, epochs) in
            (0..9).flat_map(|w| (1..7).flat_map(move |e| [1, 4].map(move |p| (w, e, p)))).flat_map(
                |(window, every, pool)| (0..30).map(move |epochs| (window, every, pool, epochs)),
            )
        {
            let policy = SealPolicy { window_epochs, every_epochs };
            let pool = PoolSpan::new(pool).unwrap();
            let rules = SealRules { policy, pool, epochs, ..rules(12) };
            let any = (0..=epochs).any(|attempt| rules.end(Attempt::new(attempt)).is_some());
            assert_eq!(rules.seals_anything(), any, "{rules:?}");
        }
    }

    #[test]
    fn blocks_of_pooled_epochs_are_not_cut() {
        let rules = SealRules { pool: PoolSpan::new(4).unwrap(), ..rules(12) };
        let end = |attempt| rules.end(Attempt::new(attempt)).map(Epoch::get);
        assert_eq!([2, 3, 4, 5].map(end), [None, Some(4), Some(8), Some(12)]);
    }
}
