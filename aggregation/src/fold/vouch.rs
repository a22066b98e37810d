//! Vouch: which slots of an epoch enough later headers speak well of.
//!
//! An author vouches for a slot if a later header of it is not void, has the vouch
//! bit, and names the slot in its base summary: it says that a model with the slot
//! in it does well on its own held-out data. F + 1 distinct authors have to, F being
//! the attackers among all who can write in the epochs that a summary looks back.
//!
//! An author with a void slot in those epochs is a proven attacker. It vouches for
//! nothing, and one voice less is needed, so that releasing twins late takes no voice
//! away from a slot that had enough of them.

use std::collections::BTreeSet;

use super::plan::Planner;
use crate::slot::{Epoch, MemberIndex, Slot};

/// The voices for the slots of one epoch.
#[derive(Debug)]
pub(super) struct Voices {
    /// For each member how many authors vouch for its slot.
    counts: Vec<u32>,
    needed: usize,
}

impl Voices {
    /// Counts the voices for the slots of `epoch`.
    ///
    /// Cost: one pass over the rows for `epoch` of the headers in the window.
    pub fn count(planner: &Planner<'_>, epoch: Epoch) -> Self {
        let window = planner.setting.summary_window;
        let mut speakers = BTreeSet::new();
        let mut liars = BTreeSet::new();
        let last = Epoch::new(epoch.get().saturating_add(window));
        for (&later, authors) in planner.authors.range(epoch.next()..=last) {
            for &member in authors {
                let void = planner.chains.void(Slot { member, epoch: later }).is_some();
                if void {
                    liars.insert(member)
                } else {
                    speakers.insert((member, later))
                };
            }
        }
        let mut voices = Self {
            counts: Vec::new(),
            needed: (planner.setting.attackers(window) + 1).saturating_sub(liars.len()).max(1),
        };
        // The author whose voice was counted last for each slot.
        let mut heard: Vec<Option<MemberIndex>> = Vec::new();
        speakers.retain(|(member, _)| !liars.contains(member));
        for (member, later) in speakers {
            let held = planner.chains.sound(Slot { member, epoch: later });
            let Some(header) = held.map(|it| it.header()).filter(|it| it.vouch) else {
                continue;
            };
            for named in header.base.summary.row(later, epoch) {
                let place = named.index();
                heard.resize(heard.len().max(place + 1), None);
                if heard[place].replace(member) != Some(member) {
                    voices.counts.resize(heard.len(), 0);
                    voices.counts[place] += 1;
                }
            }
        }
        voices
    }

    /// True when enough authors vouch for the member's slot.
    pub fn suffice_for(&self, member: MemberIndex) -> bool {
        let count = self.counts.get(member.index()).copied().unwrap_or(0);
        usize::try_from(count).is_ok_and(|count| count >= self.needed)
    }
}
