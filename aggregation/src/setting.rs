//! Setting: the numbers of a federation that merging depends on beside its recipe.
//!
//! How many attackers a rule must bear follows from the manifest's share and from
//! how many authors there can be: all members, or the committee that sortition
//! draws for each epoch ([`crate::sortition`]). With a committee these are expected
//! numbers; a draw can hold more attackers than its share, so a manifest with a
//! committee states a share with a margin.

use crate::slot::MEMBERS_MAX;

/// What the fold has to know of a manifest beside the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Members of the federation.
    pub members: usize,
    /// Authors expected in an epoch, if slots are drawn by lot.
    pub committee: Option<u16>,
    /// Share of authors assumed to attack, in thousandths.
    pub attacker_share_permille: u16,
    /// Epochs that a base summary looks back.
    pub summary_window: u32,
}

impl Setting {
    /// Members without a committee, none of whom attacks, and no base summaries.
    pub const fn trusting(members: usize) -> Self {
        Self { members, committee: None, attacker_share_permille: 0, summary_window: 0 }
    }

    /// How many distinct authors `epochs` epochs are expected to have.
    pub fn authors(&self, epochs: u32) -> usize {
        let drawn = self.committee.map(|size| u64::from(size) * u64::from(epochs));
        let drawn = drawn.and_then(|drawn| usize::try_from(drawn).ok());
        self.members.min(MEMBERS_MAX).min(drawn.unwrap_or(usize::MAX))
    }

    /// F: how many of these attack, rounded down.
    pub fn attackers(&self, epochs: u32) -> usize {
        self.authors(epochs) * usize::from(self.attacker_share_permille) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_attackers_among_those_who_can_write() {
        let all = Setting { attacker_share_permille: 250, ..Setting::trusting(12) };
        let drawn = Setting { committee: Some(5), ..all };
        for (setting, epochs, authors, attackers) in [
            (all, 1, 12, 3),
            (all, 12, 12, 3),
            (drawn, 0, 0, 0),
            (drawn, 1, 5, 1),
            (drawn, 2, 10, 2),
            (drawn, 12, 12, 3),
            (drawn, u32::MAX, 12, 3),
            (Setting { attacker_share_permille: 249, ..all }, 1, 12, 2),
            (Setting::trusting(12), 1, 12, 0),
        ] {
            let found = (setting.authors(epochs), setting.attackers(epochs));
            assert_eq!(found, (authors, attackers), "{setting:?} over {epochs}");
        }
    }
}
