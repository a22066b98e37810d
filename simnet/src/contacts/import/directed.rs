//! Contacts that go one way each, paired up.
//!
//! A contact plan of a mission lists who can send to whom, and apart from that
//! how far two nodes are. Here the two directions of a pair are laid over each
//! other: where both are open at the same time there is one contact that goes
//! both ways, and elsewhere one that goes one way.

use std::collections::{BTreeMap, BTreeSet};

use super::ImportError;
use super::draft::{Hop, HopTerms};
use crate::contacts::spans::Terms;

/// How long a signal takes from one node to another during some time.
///
/// From a lower to a higher node it also holds for the way back, unless there
/// is one for the way back (ION's manual, ionrc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeSpan {
    /// Who sends.
    pub from: u16,
    /// Who receives.
    pub to: u16,
    /// When it begins to hold.
    pub from_us: i64,
    /// When it has ended.
    pub to_us: i64,
    /// The delay.
    pub latency_us: u64,
}

/// Values in time that do not overlap, in order.
#[derive(Debug, Default)]
struct Timeline<T>(Vec<(i64, i64, T)>);

type Ranges = BTreeMap<(u16, u16), Timeline<u64>>;

/// Calls `meet` with the contacts of every pair, by pair and time.
///
/// Where the file lists two hops of the same direction for the same time, the
/// one that it lists later counts. A contact has one delay: the longer one of
/// its open directions.
pub(super) fn pair_up(
    hops: &mut [Hop],
    ranges: &[RangeSpan],
    terms_of: impl Fn(&Hop) -> HopTerms,
    mut meet: impl FnMut(Terms, [u16; 2], [i64; 2]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let ranges = timelines(ranges);
    let pair = |hop: &Hop| [hop.from.min(hop.to), hop.from.max(hop.to)];
    hops.sort_by_key(pair);
    for of_pair in hops.chunk_by(|one, next| pair(one) == pair(next)) {
        let [a, b] = pair(&of_pair[0]);
        let one_way = |from: u16| {
            let hops = of_pair.iter().filter(move |hop| hop.from == from);
            Timeline::new(hops.map(|hop| (hop.from_us, hop.to_us, terms_of(hop))).collect())
        };
        let [forth, back] = [one_way(a), one_way(b)];
        let delays = [(a, b), (b, a)].map(|way| ranges.get(&way));
        let mut cuts = BTreeSet::new();
        cuts.extend(forth.cuts().chain(back.cuts()));
        cuts.extend(delays.iter().flatten().flat_map(|delay| delay.cuts()));
        let cuts: Vec<_> = cuts.into_iter().collect();
        for part in cuts.windows(2) {
            let at = part[0];
            let delay = delays.map(|delay| delay.and_then(|delay| delay.at(at)));
            if let Some(terms) = combine(forth.at(at), back.at(at), delay) {
                meet(terms, [a, b], [at, part[1]])?;
            }
        }
    }
    Ok(())
}

fn timelines(ranges: &[RangeSpan]) -> Ranges {
    let mut listed: BTreeMap<(u16, u16), Vec<_>> = BTreeMap::new();
    for range in ranges {
        let value = (range.from_us, range.to_us, range.latency_us);
        listed.entry((range.from, range.to)).or_default().push(value);
    }
    listed.into_iter().map(|(way, listed)| (way, Timeline::new(listed))).collect()
}

/// The terms of what is open, if anything is.
fn combine(
    forth: Option<HopTerms>,
    back: Option<HopTerms>,
    [delay, delay_back]: [Option<u64>; 2],
) -> Option<Terms> {
    let forth_us = forth.map(|it| it.latency_us.or(delay));
    let back_us = back.map(|it| it.latency_us.or(delay_back).or(delay));
    let latency_us = forth_us.flatten().max(back_us.flatten());
    let (rate_bps, rate_back_bps, one_way) = match (forth, back) {
        (None, None) => return None,
        (Some(forth), None) => (forth.rate_bps, None, true),
        (None, Some(back)) => (None, back.rate_bps, true),
        (Some(forth), Some(back)) => {
            let differs = forth.rate_bps != back.rate_bps;
            (forth.rate_bps, back.rate_bps.filter(|_| differs), false)
        }
    };
    Some(Terms { rate_bps, rate_back_bps, latency_us, one_way })
}

impl<T: Copy> Timeline<T> {
    /// Lays `listed` over each other, the later over the earlier.
    fn new(listed: Vec<(i64, i64, T)>) -> Self {
        let ends = listed
            .iter()
            .enumerate()
            .flat_map(|(index, &(from, to, _))| [(from, true, index), (to, false, index)]);
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable();
        let (mut open, mut parts) = (BTreeSet::new(), Vec::new());
        for (place, &(at, opens, index)) in ends.iter().enumerate() {
            if opens {
                open.insert(index);
            } else {
                open.remove(&index);
            }
            let until = ends.get(place + 1).map_or(at, |next| next.0);
            if let Some(&top) = open.last().filter(|_| at < until) {
                parts.push((at, until, listed[top].2));
            }
        }
        Self(parts)
    }

    /// What holds at a time.
    fn at(&self, at: i64) -> Option<T> {
        let place = self.0.partition_point(|part| part.0 <= at).checked_sub(1)?;
        let (_, to, value) = self.0[place];
        (at < to).then_some(value)
    }

    /// Every time at which something may change.
    fn cuts(&self) -> impl Iterator<Item = i64> {
        self.0.iter().flat_map(|&(from, to, _)| [from, to])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Met = (i64, i64, Option<u64>, Option<u64>, Option<u64>, bool);

    fn paired(
        listed: &[(u16, u16, i64, i64, u64)],
        ranges: &[(u16, u16, i64, i64, u64)],
    ) -> Vec<Met> {
        let hop = |(terms, &(from, to, from_us, to_us, _)): (u32, &(u16, u16, i64, i64, u64))| {
            Hop { from, to, terms, from_us, to_us }
        };
        let mut hops: Vec<_> = (0..).zip(listed).map(hop).collect();
        let ranges: Vec<_> = ranges
            .iter()
            .map(|&(from, to, from_us, to_us, latency_us)| RangeSpan {
                from,
                to,
                from_us,
                to_us,
                latency_us,
            })
            .collect();
        let mut met = Vec::new();
        let terms_of =
            |hop: &Hop| HopTerms { rate_bps: Some(listed[hop.terms as usize].4), latency_us: None };
        pair_up(&mut hops, &ranges, terms_of, |terms, pair, [from, to]| {
            assert_eq!(pair, [1, 2]);
            met.push((
                from,
                to,
                terms.rate_bps,
                terms.rate_back_bps,
                terms.latency_us,
                terms.one_way,
            ));
            Ok(())
        })
        .expect("nothing fails");
        met
    }

    #[test]
    fn both_directions_at_once_are_one_contact() {
        assert_eq!(
            paired(&[(1, 2, 0, 10, 5), (2, 1, 0, 10, 5)], &[]),
            [(0, 10, Some(5), None, None, false)]
        );
        assert_eq!(
            paired(&[(2, 1, 0, 10, 7), (1, 2, 0, 10, 5)], &[]),
            [(0, 10, Some(5), Some(7), None, false)]
        );
    }

    #[test]
    fn what_has_no_way_back_goes_one_way() {
        assert_eq!(
            paired(&[(1, 2, 0, 10, 5), (2, 1, 4, 20, 5)], &[]),
            [
                (0, 4, Some(5), None, None, true),
                (4, 10, Some(5), None, None, false),
                (10, 20, None, Some(5), None, true),
            ]
        );
    }

    #[test]
    fn a_range_from_the_lower_node_holds_both_ways() {
        let there = (1, 2, 0, 10, 9);
        assert_eq!(paired(&[(2, 1, 0, 5, 5)], &[there])[0].4, Some(9));
        assert_eq!(paired(&[(2, 1, 0, 5, 5)], &[there, (2, 1, 0, 10, 3)])[0].4, Some(3));
        assert_eq!(paired(&[(1, 2, 0, 5, 5)], &[(2, 1, 0, 10, 3)])[0].4, None);
        let both = [(1, 2, 0, 5, 5), (2, 1, 0, 5, 5)];
        assert_eq!(paired(&both, &[there, (2, 1, 0, 10, 3)])[0].4, Some(9));
    }

    #[test]
    fn a_contact_is_cut_where_its_range_changes() {
        let met = paired(&[(1, 2, 0, 30, 5)], &[(1, 2, 0, 10, 1), (1, 2, 10, 20, 2)]);
        let delays: Vec<_> = met.iter().map(|it| (it.0, it.1, it.4)).collect();
        assert_eq!(delays, [(0, 10, Some(1)), (10, 20, Some(2)), (20, 30, None)]);
    }

    proptest! {
        #[test]
        fn the_hop_listed_last_counts(
            drawn in prop::collection::vec((any::<bool>(), 0_i64..40, 1_i64..20, 1_u64..5), 1..10),
        ) {
            let listed: Vec<_> = drawn
                .iter()
                .map(|&(forth, from, lasts, rate)| {
                    let (one, other) = if forth { (1, 2) } else { (2, 1) };
                    (one, other, from, from + lasts, rate)
                })
                .collect();
            let met = paired(&listed, &[]);
            for at in 0..60 {
                let open = |from: u16| {
                    let covers = |it: &&(u16, u16, i64, i64, u64)| {
                        it.0 == from && (it.2..it.3).contains(&at)
                    };
                    let hop = listed.iter().rev().find(covers);
                    hop.map(|it| it.4)
                };
                let (forth, back) = (open(1), open(2));
                let covers: Vec<_> = met.iter().filter(|it| (it.0..it.1).contains(&at)).collect();
                prop_assert_eq!(covers.len(), usize::from(forth.or(back).is_some()));
                for &&(_, _, rate, rate_back, _, one_way) in &covers {
                    prop_assert_eq!(one_way, forth.is_none() || back.is_none());
                    prop_assert_eq!(rate, forth);
                    let said = if one_way { rate_back } else { rate_back.or(rate) };
                    prop_assert_eq!(said, back);
                }
            }
        }
    }
}
