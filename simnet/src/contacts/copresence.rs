//! Who is at the same place at the same time.
//!
//! Models that know places say who stays where and from when to when; here the
//! stays become pairs of peers and the time that they share.

use std::collections::BTreeMap;

use super::PlanError;
use super::spans::CONTACTS_MAX;

/// A peer stays at a place; ordered by time first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stay<Place> {
    /// From when.
    pub from_us: u64,
    /// Where.
    pub place: Place,
    /// Until when.
    pub to_us: u64,
    /// Who.
    pub peer: u16,
}

/// Two stays that share a place and some time.
#[derive(Debug)]
pub(super) struct Meeting<'a, Place> {
    /// The earlier arrival, and the later.
    pub stays: [&'a Stay<Place>; 2],
    /// How many stays at the place began before each.
    pub ranks: [usize; 2],
    /// When the shared time begins.
    pub from_us: u64,
    /// When it has ended.
    pub to_us: u64,
}

/// Stays while they are being collected.
#[derive(Debug)]
pub(super) struct Stays<Place> {
    until_us: u64,
    stays: Vec<Stay<Place>>,
}

impl<Place: Copy + Ord> Stays<Place> {
    /// Collects what begins before `until_us`; a stay that ends later keeps its
    /// end, so that what is drawn for it does not depend on the run's length.
    pub(super) const fn new(until_us: u64) -> Self {
        Self { until_us, stays: Vec::new() }
    }

    /// Adds a stay; one without length is none.
    pub(super) fn add(&mut self, stay: Stay<Place>) -> Result<(), PlanError> {
        if stay.from_us >= stay.to_us.min(self.until_us) {
            return Ok(());
        }
        if self.stays.len() == CONTACTS_MAX {
            return Err(PlanError::TooManyContacts);
        }
        self.stays.push(stay);
        Ok(())
    }

    /// Calls `share` for every two peers that share a place and some time, in
    /// the order in which their shared times begin.
    ///
    /// Costs as much as there are such pairs.
    pub(super) fn for_each_meeting(
        mut self,
        mut share: impl FnMut(Meeting<'_, Place>) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        self.stays.sort_unstable();
        let mut places: BTreeMap<Place, Presence<'_, Place>> = BTreeMap::new();
        for stay in &self.stays {
            let place = places.entry(stay.place).or_default();
            place.present.retain(|(_, other)| other.to_us > stay.from_us);
            for &(earlier, other) in place.present.iter().filter(|it| it.1.peer != stay.peer) {
                share(Meeting {
                    stays: [other, stay],
                    ranks: [earlier, place.came],
                    from_us: stay.from_us,
                    to_us: stay.to_us.min(other.to_us),
                })?;
            }
            place.present.push((place.came, stay));
            place.came += 1;
        }
        Ok(())
    }
}

/// A place while the stays are gone through in the order of time.
#[derive(Debug)]
struct Presence<'a, Place> {
    /// How many stays there have begun.
    came: usize,
    /// Those that have not ended, with their ranks.
    present: Vec<(usize, &'a Stay<Place>)>,
}

impl<Place> Default for Presence<'_, Place> {
    fn default() -> Self {
        Self { came: 0, present: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_share_exactly_the_time_that_both_stay(
            drawn in prop::collection::vec((0_u8..3, 0_u64..50, 1_u64..20), 0..12),
        ) {
            let mut stays = Stays::new(100);
            let mut listed = Vec::new();
            for (peer, &(place, from_us, lasts_us)) in (0_u16..).zip(&drawn) {
                let stay = Stay { place, from_us, to_us: from_us + lasts_us, peer };
                listed.push(stay);
                stays.add(stay).expect("few stays");
            }
            let mut found = Vec::new();
            stays
                .for_each_meeting(|met| {
                    let [one, other] = met.stays.map(|stay| stay.peer);
                    found.push((one.min(other), one.max(other), met.from_us, met.to_us));
                    Ok(())
                })
                .expect("few pairs");
            found.sort_unstable();
            let mut expected = Vec::new();
            for one in &listed {
                for other in listed.iter().filter(|it| it.peer > one.peer) {
                    let from_us = one.from_us.max(other.from_us);
                    let to_us = one.to_us.min(other.to_us);
                    if one.place == other.place && from_us < to_us {
                        expected.push((one.peer, other.peer, from_us, to_us));
                    }
                }
            }
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
