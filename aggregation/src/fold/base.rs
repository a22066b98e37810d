//! Base: what a member trains from, which is the model and its own updates that no term counts yet.
//!
//! An own update whose payload is not held adds nothing; a peer holds those of its own.

use super::Fold;
use crate::parameters::Parameters;
use crate::slot::{Epoch, MemberIndex, Slot};
use crate::update::Update;

impl Fold {
    /// What `member` trains from: the model plus its own updates that no term
    /// counts yet, at full weight, among the `window` epochs up to its latest
    /// slot. A window of at least the federation's epochs takes all of them.
    /// [`Fold::pending`] gives those alone, to be weighed.
    ///
    /// An update that waits in a small cohort is given up once the member has one
    /// that counts and is more than a base summary's window later: by then the
    /// member is back with the others, and what it learnt apart from them would stay
    /// in its base for ever if nobody comes to make that cohort grow.
    pub fn training_base(&mut self, member: MemberIndex, window: u32) -> Parameters {
        let mut base = self.model().clone();
        if let Some(pending) = self.pending(member, window, |_| true) {
            base.add(&pending);
        }
        base
    }

    /// The sum of the updates of `member` that [`Fold::training_base`] adds to the model and
    /// whose epoch `takes` accepts, if there are any.
    pub fn pending(
        &mut self,
        member: MemberIndex,
        window: u32,
        takes: impl Fn(Epoch) -> bool,
    ) -> Option<Parameters> {
        self.settle();
        let mut pending: Option<Parameters> = None;
        let (last, _) = self.chains.last(member)?;
        let mut newest_counted: Option<Epoch> = None;
        let recent = self.chains.epochs(member).rev();
        for epoch in recent.take_while(|epoch| last.get() - epoch.get() < window) {
            let slot = Slot { member, epoch };
            let Some(own) = self.update(slot) else { continue };
            let waits = match self.standing(epoch) {
                // A term of which something lacks is not in the model.
                Some(standing) if !standing.lacks.is_empty() => false,
                Some(standing) if standing.waiting.binary_search(&slot).is_err() => {
                    newest_counted.get_or_insert(epoch);
                    continue;
                }
                standing => standing.is_some(),
            };
            let back = newest_counted.map(|counted| counted.back(self.setting.summary_window));
            if takes(epoch) && (!waits || back.is_none_or(|back| epoch >= back)) {
                let zeros = || Parameters::from_units(vec![0; self.model.len()]);
                own.add_to(pending.get_or_insert_with(zeros));
            }
        }
        pending
    }

    /// The update in a slot, unless it is empty or void, or its payload is not held.
    pub fn update(&self, slot: Slot) -> Option<&Update> {
        self.chains.sound(slot)?.update()
    }

    /// Adds the updates of `member` from the epoch `from` on that are not void,
    /// whether or not a term counts them; whose payloads are not held, not.
    pub fn add_own(&self, member: MemberIndex, from: Epoch, base: &mut Parameters) {
        let recent = self.chains.epochs(member).filter(|&epoch| epoch >= from);
        let own = recent.filter_map(|epoch| self.update(Slot { member, epoch }));
        own.for_each(|own| own.add_to(base));
    }
}
