//! Guard: what a peer makes of the shared model by its own held-out data.
//!
//! The trainer measures the loss of the shared model. The *reference* is that loss
//! when the newest whole epoch came in: one whose largest cohort has 2F + 1 authors,
//! so that attackers are no majority of it. Two limits follow from it:
//!
//! - up to 1.25 x reference + 0.05 the header's vouch bit is set (design section 2,
//!   vouched slots);
//! - above 2 x reference + 0.1 a peer is *astray*, if the recipe counts vouched slots:
//!   the side that it is on may be ruined, so it goes on alone, from its last good base
//!   plus its own updates since, until the shared model is good again.
//!
//! What waits to be vouched for is not in the shared model, so that model's loss says
//! nothing about it. Where slots wait, the bit needs a *trial model* in which they
//! count to be as good. Otherwise a peer that meets a captured side again would
//! vouch for poison that it never tried.
//!
//! The loss comes with the answer to a training request. When it says that the peer
//! is astray, the training is asked for once more from the fork, so that nothing that
//! was learnt from a ruined model is published.

use std::collections::BTreeSet;

use longhaul_aggregation::{BaseClaim, BaseSummary, Epoch, Fold, MemberIndex, Parameters, Small};

/// A vouched model's loss may exceed the reference by this factor.
const VOUCH_LOSS_FACTOR: f32 = 1.25;
/// And by this much more, so that small losses do not flicker.
const VOUCH_LOSS_MARGIN: f32 = 0.05;
/// A model is ruined when its loss exceeds the reference by this factor.
const ASTRAY_LOSS_FACTOR: f32 = 2.0;
/// And by this much more.
const ASTRAY_LOSS_MARGIN: f32 = 0.1;

/// A peer's judgement of the shared model.
#[derive(Debug, Default)]
pub(super) struct Guard {
    reference: Option<f32>,
    /// The newest whole epoch when the reference was taken.
    whole: Option<Epoch>,
    /// What training started from when the shared model was good last.
    good: Option<Fork>,
    astray: bool,
    /// Epochs of updates that were made from a fork.
    forked: BTreeSet<Epoch>,
}

/// A base that was good, and the epoch in which training started from it.
#[derive(Debug, Clone)]
pub(super) struct Fork {
    /// The epoch.
    pub epoch: Epoch,
    /// The shared model and the own updates that were pending.
    pub base: Parameters,
    /// What it contained.
    pub claim: BaseClaim,
}

/// What a loss says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The shared model is about as good as ever.
    Vouched,
    /// It is worse, and may become good again.
    Fair,
    /// It is ruined, as far as the own data says.
    Ruined,
}

impl Guard {
    /// Judges the loss of a shared model whose newest whole epoch is `whole`.
    pub fn judge(&mut self, loss: f32, whole: Option<Epoch>) -> Verdict {
        if !loss.is_finite() {
            return Verdict::Ruined;
        }
        let reference = *self.reference.get_or_insert(loss);
        if whole > self.whole {
            self.whole = whole;
            self.reference = Some(loss);
        }
        if loss <= VOUCH_LOSS_FACTOR * reference + VOUCH_LOSS_MARGIN {
            return Verdict::Vouched;
        }
        if loss <= ASTRAY_LOSS_FACTOR * reference + ASTRAY_LOSS_MARGIN {
            return Verdict::Fair;
        }
        Verdict::Ruined
    }

    /// True when the loss of a trial model is as good as a vouched model's.
    pub fn approves(&self, trial_loss: f32) -> bool {
        let limit = |reference| VOUCH_LOSS_FACTOR * reference + VOUCH_LOSS_MARGIN;
        self.reference.is_some_and(|reference| trial_loss <= limit(reference))
    }

    /// Remembers a base that turned out good.
    pub fn found_good(&mut self, good: Fork) {
        self.good = Some(good);
        self.astray = false;
    }

    /// The shared model is good again, although training did not start from it.
    pub const fn came_back(&mut self) {
        self.astray = false;
    }

    /// Goes astray, if there is a base to go on from; says whether there is.
    pub const fn went_astray(&mut self) -> bool {
        self.astray = self.good.is_some();
        self.astray
    }

    /// Remembers that the update of `epoch` is made from the fork.
    pub fn forked(&mut self, epoch: Epoch) {
        self.forked.insert(epoch);
    }

    /// True for the epoch of an update that was made from a fork. Back on the shared
    /// model a peer trains without it, unless a term counts it: it is a step from
    /// another place, and a model that became good without it would be led too far.
    pub fn is_forked(&self, epoch: Epoch) -> bool {
        self.forked.contains(&epoch)
    }

    /// Where training goes on while the peer is astray.
    pub fn fork(&self) -> Option<&Fork> {
        self.good.as_ref().filter(|_| self.astray)
    }
}

impl Fork {
    /// The training base of `member`: the good base and all its updates since.
    pub fn base(&self, fold: &Fold, member: MemberIndex) -> Parameters {
        let mut base = self.base.clone();
        fold.add_own(member, self.epoch, &mut base);
        base
    }

    /// What that base contains, for a header of epoch `before`: what the good base
    /// did, and the own slots since.
    pub fn claim(&self, fold: &Fold, member: MemberIndex, before: Epoch, window: u32) -> BaseClaim {
        let epochs = (before.back(window).get()..before.get()).map(Epoch::new);
        let row = |epoch: Epoch| {
            if epoch < self.epoch {
                return self.claim.summary.row(self.epoch, epoch).to_vec();
            }
            fold.authors(epoch).filter(|&author| author == member).collect()
        };
        let summary = BaseSummary::new(epochs.map(row).collect()).expect("rows are ascending");
        BaseClaim { model: self.claim.model, summary }
    }
}

/// True when peers of a federation with this fold go on alone from a ruined model.
pub(super) fn is_guarded(fold: &Fold) -> bool {
    fold.recipe().cohorts.is_some_and(|cohorts| cohorts.small == Small::Vouch)
}

/// The newest epoch whose largest cohort has `authors` authors.
pub(super) fn newest_whole(fold: &Fold, authors: usize) -> Option<Epoch> {
    fold.epochs().rev().find(|&epoch| fold.term_status(epoch).largest_cohort >= authors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_the_loss_at_the_newest_whole_epoch() {
        let mut guard = Guard::default();
        for (loss, whole, expected) in [
            (2.0, None, Verdict::Vouched),
            (2.5, None, Verdict::Vouched),
            (2.6, None, Verdict::Fair),
            (4.2, None, Verdict::Ruined),
            (f32::NAN, Some(9), Verdict::Ruined),
            (1.0, Some(3), Verdict::Vouched),
            (1.31, Some(3), Verdict::Fair),
            (2.0, Some(3), Verdict::Fair),
            (2.11, Some(3), Verdict::Ruined),
            // The newest whole epoch went back: the reference stays.
            (1.0, Some(2), Verdict::Vouched),
            // Judged by the reference before, then the new reference.
            (2.11, Some(4), Verdict::Ruined),
            (2.11, Some(4), Verdict::Vouched),
        ] {
            let found = guard.judge(loss, whole.map(Epoch::new));
            assert_eq!(found, expected, "{loss} with {whole:?}");
        }
    }

    #[test]
    fn approves_of_a_trial_that_is_as_good_as_the_reference() {
        let mut guard = Guard::default();
        assert!(!guard.approves(0.0), "without a reference there is nothing to compare with");
        guard.judge(1.0, None);
        assert!(guard.approves(1.29) && !guard.approves(1.31) && !guard.approves(f32::NAN));
    }

    #[test]
    fn a_first_loss_that_is_no_number_is_no_reference() {
        let mut guard = Guard::default();
        assert_eq!(guard.judge(f32::INFINITY, None), Verdict::Ruined);
        assert_eq!(guard.judge(1.0, None), Verdict::Vouched);
        assert_eq!(guard.judge(3.0, None), Verdict::Ruined);
    }

    #[test]
    fn goes_astray_only_from_a_base_that_was_good() {
        let mut guard = Guard::default();
        assert!(!guard.went_astray() && guard.fork().is_none());
        let model =
            longhaul_aggregation::ModelId::from_hash(longhaul_dtn::hash::ContentHash::of(b"model"));
        let claim = BaseClaim { model, summary: BaseSummary::default() };
        guard.found_good(Fork { epoch: Epoch::new(3), base: Parameters::zeros(1), claim });
        assert!(guard.fork().is_none());
        assert!(guard.went_astray() && guard.fork().is_some());
        guard.came_back();
        assert!(guard.fork().is_none());
    }
}
