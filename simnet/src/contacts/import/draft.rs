//! A draft: what a file says, before names are peers and times are the run's.

use std::collections::BTreeMap;

use super::directed::{RangeSpan, pair_up};
use super::{ImportError, NAMES_MAX};
use crate::contacts::spans::{Spans, Terms};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Draft {
    names: BTreeMap<String, u16>,
    hops: Vec<Hop>,
    terms: Vec<HopTerms>,
    numbers: BTreeMap<HopTerms, u32>,
    flow: Flow,
}

/// One node can send to another, or both to each other (see [`Flow`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    /// Who sends.
    pub from: u16,
    /// Who receives.
    pub to: u16,
    /// The number of its terms.
    pub terms: u32,
    /// When it begins.
    pub from_us: i64,
    /// When it has ended.
    pub to_us: i64,
}

/// What a file says of a hop besides its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct HopTerms {
    /// Bytes per second.
    pub rate_bps: Option<u64>,
    /// Propagation delay.
    pub latency_us: Option<u64>,
}

/// Whether a format's contacts go both ways.
#[derive(Debug, Default)]
pub(super) enum Flow {
    /// They do.
    #[default]
    Both,
    /// One way each; two that go opposite ways at the same time are one
    /// contact. Every hop without an opposite one has a rate.
    OneWay(Vec<RangeSpan>),
}

/// How a file's times become the run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    /// Added in the end.
    pub offset_us: i64,
    /// Whether the file's zero stays.
    pub keep_time: bool,
}

impl Draft {
    /// An empty draft of a format.
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, ..Self::default() }
    }

    /// The number of a node for as long as this is a draft.
    pub(super) fn node(&mut self, name: &str) -> Result<u16, ImportError> {
        if let Some(&number) = self.names.get(name) {
            return Ok(number);
        }
        let count = self.names.len();
        let number = u16::try_from(count).ok().filter(|_| count < NAMES_MAX);
        let number = number.ok_or(ImportError::TooManyNames)?;
        self.names.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Adds a hop between two nodes; one without length is none.
    pub(super) fn hop(&mut self, [from, to]: [u16; 2], times_us: [i64; 2], terms: HopTerms) {
        assert_ne!(from, to, "readers refuse a node that meets itself");
        let [from_us, to_us] = times_us;
        if from_us < to_us {
            let terms = self.number(terms);
            self.hops.push(Hop { from, to, terms, from_us, to_us });
        }
    }

    /// Adds a range; only of a format whose contacts go one way.
    pub(super) fn range(&mut self, range: RangeSpan) {
        if let Flow::OneWay(ranges) = &mut self.flow {
            ranges.push(range);
        }
    }

    fn number(&mut self, terms: HopTerms) -> u32 {
        if let Some(last) = self.hops.last().map(|hop| hop.terms)
            && usize::try_from(last).is_ok_and(|last| self.terms[last] == terms)
        {
            return last;
        }
        let next = u32::try_from(self.terms.len()).expect("fewer terms than bytes of text");
        let number = *self.numbers.entry(terms).or_insert(next);
        if number == next {
            self.terms.push(terms);
        }
        number
    }

    /// Number of names.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no contact.
    pub(super) const fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// Puts the contacts into `spans`, and gives the name of each peer.
    pub(super) fn settle(
        mut self,
        shift: Shift,
        spans: &mut Spans,
    ) -> Result<Vec<String>, ImportError> {
        let (names, peer_of) = ranked(self.names);
        for hop in &mut self.hops {
            hop.from = peer_of[usize::from(hop.from)];
            hop.to = peer_of[usize::from(hop.to)];
        }
        let first_us = self.hops.iter().map(|hop| hop.from_us).min().unwrap_or(0);
        let shift_us = shift.offset_us - if shift.keep_time { 0 } else { first_us };
        let mut meet = |terms: Terms, pair: [u16; 2], times_us: [i64; 2]| {
            // Times are within 4e15 and offsets within 1e16, so sums are exact;
            // what lies before the run becomes nothing.
            let [from_us, to_us] =
                times_us.map(|us| u64::try_from(us + shift_us).unwrap_or_default());
            spans.meet_under(terms, pair, from_us, to_us).map_err(|_| ImportError::TooManyContacts)
        };
        let table = &self.terms;
        let terms_of = |hop: &Hop| table[usize::try_from(hop.terms).expect("a number given here")];
        match self.flow {
            Flow::Both => {
                for hop in &self.hops {
                    let HopTerms { rate_bps, latency_us } = terms_of(hop);
                    let terms = Terms { rate_bps, latency_us, ..Terms::default() };
                    meet(terms, [hop.from, hop.to], [hop.from_us, hop.to_us])?;
                }
            }
            Flow::OneWay(mut ranges) => {
                for range in &mut ranges {
                    range.from = peer_of[usize::from(range.from)];
                    range.to = peer_of[usize::from(range.to)];
                }
                pair_up(&mut self.hops, &ranges, terms_of, meet)?;
            }
        }
        Ok(names)
    }
}

/// The names in order, and the place of each draft number among them.
fn ranked(names: BTreeMap<String, u16>) -> (Vec<String>, Vec<u16>) {
    let whole = |name: &str| -> Option<u64> {
        name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten()
    };
    let all_whole = names.keys().all(|name| whole(name).is_some());
    let mut ranked: Vec<(String, u16)> = names.into_iter().collect();
    if all_whole {
        ranked.sort_by_key(|(name, _)| whole(name));
    }
    let mut peer_of = vec![0; ranked.len()];
    for (peer, (_, number)) in (0..=u16::MAX).zip(&ranked) {
        peer_of[usize::from(*number)] = peer;
    }
    (ranked.into_iter().map(|(name, _)| name).collect(), peer_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_limit() {
        let mut draft = Draft::default();
        for name in 0..NAMES_MAX {
            draft.node(&name.to_string()).expect("within the limit");
        }
        assert_eq!(draft.node("7"), Ok(7));
        assert_eq!(draft.node("x"), Err(ImportError::TooManyNames));
    }

    #[test]
    fn whole_numbers_are_ranked_by_value() {
        let names = |names: &[&str]| -> BTreeMap<String, u16> {
            names.iter().map(|name| (*name).to_owned()).zip(0..).collect()
        };
        let (ranks, peer_of) = ranked(names(&["30", "4", "005"]));
        assert_eq!((ranks, peer_of), (vec!["4".into(), "005".into(), "30".into()], vec![2, 0, 1]));
        let (ranks, _) = ranked(names(&["30", "-4"]));
        assert_eq!(ranks, ["-4", "30"]);
    }

    #[test]
    fn equal_terms_share_a_number() {
        let mut draft = Draft::default();
        let slow = HopTerms { rate_bps: Some(1), latency_us: None };
        for terms in [HopTerms::default(), slow, slow, HopTerms::default()] {
            draft.hop([0, 1], [0, 1], terms);
        }
        let numbers: Vec<_> = draft.hops.iter().map(|hop| hop.terms).collect();
        assert_eq!(numbers, [0, 1, 1, 0]);
    }
}
