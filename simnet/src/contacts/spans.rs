//! Spans: contacts while they are being collected.
//!
//! A generator meets peers in any order and as often as it likes; here the
//! spans of a pair that touch or overlap under the same terms become one, and
//! all are put in order. A span has 24 bytes and names its terms by number, so
//! a million of them sort in a fraction of a second and stay small.

use std::collections::BTreeMap;

use super::{Contact, PlanError};

/// Most contacts of a plan before merging; a contact has 72 bytes.
pub const CONTACTS_MAX: usize = 5_000_000;

/// Two peers in contact; ordered so that what can merge is adjacent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    a: u16,
    b: u16,
    terms: u32,
    from_us: u64,
    to_us: u64,
}

/// What a contact promises besides its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Terms {
    pub rate_bps: Option<u64>,
    pub rate_back_bps: Option<u64>,
    pub latency_us: Option<u64>,
    pub one_way: bool,
}

/// Contacts while they are being collected.
#[derive(Debug)]
pub(super) struct Spans {
    until_us: u64,
    spans: Vec<Span>,
    terms: Vec<Terms>,
    numbers: BTreeMap<Terms, u32>,
}

impl Spans {
    /// Collects what lies before `until_us`.
    pub(super) fn new(until_us: u64) -> Self {
        let none = Terms::default();
        let numbers = BTreeMap::from([(none, 0)]);
        Self { until_us, spans: Vec::new(), terms: vec![none], numbers }
    }

    /// Where the plan ends.
    pub(super) const fn until_us(&self) -> u64 {
        self.until_us
    }

    /// Lets the plan go on until `until_us`; what is there stays as it was cut.
    pub(super) const fn extend_to(&mut self, until_us: u64) {
        self.until_us = until_us;
    }

    /// Two peers meet without terms of their own.
    pub(super) fn meet(
        &mut self,
        pair: [u16; 2],
        from_us: u64,
        to_us: u64,
    ) -> Result<(), PlanError> {
        self.add(pair, 0, from_us, to_us)
    }

    /// Two peers meet under `terms`, which are told from the lower to the
    /// higher; `pair` is in that order.
    pub(super) fn meet_under(
        &mut self,
        terms: Terms,
        pair: [u16; 2],
        from_us: u64,
        to_us: u64,
    ) -> Result<(), PlanError> {
        let number = if terms == Terms::default() { 0 } else { self.number(terms)? };
        self.add(pair, number, from_us, to_us)
    }

    fn number(&mut self, terms: Terms) -> Result<u32, PlanError> {
        if let Some(&number) = self.numbers.get(&terms) {
            return Ok(number);
        }
        let number = u32::try_from(self.terms.len()).map_err(|_| PlanError::TooManyContacts)?;
        self.terms.push(terms);
        self.numbers.insert(terms, number);
        Ok(number)
    }

    fn add(
        &mut self,
        [a, b]: [u16; 2],
        terms: u32,
        from_us: u64,
        to_us: u64,
    ) -> Result<(), PlanError> {
        assert_ne!(a, b, "nobody meets itself");
        let to_us = to_us.min(self.until_us);
        if from_us >= to_us {
            return Ok(());
        }
        if self.spans.len() == CONTACTS_MAX {
            return Err(PlanError::TooManyContacts);
        }
        self.spans.push(Span { a: a.min(b), b: a.max(b), terms, from_us, to_us });
        Ok(())
    }

    /// The contacts, merged and in the order of [`Contact`].
    pub(super) fn into_contacts(mut self) -> Vec<Contact> {
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, merged| {
            let alike = (next.a, next.b, next.terms) == (merged.a, merged.b, merged.terms);
            let joins = alike && next.from_us <= merged.to_us;
            if joins {
                merged.to_us = merged.to_us.max(next.to_us);
            }
            joins
        });
        self.spans.shrink_to_fit();
        self.spans.sort_unstable_by_key(|it| (it.from_us, it.a, it.b, it.to_us, it.terms));
        self.spans.iter().map(|span| self.contact(span)).collect()
    }

    fn contact(&self, span: &Span) -> Contact {
        let number = usize::try_from(span.terms).expect("a number that this table gave");
        let Terms { rate_bps, rate_back_bps, latency_us, one_way } = self.terms[number];
        let Span { a, b, from_us, to_us, .. } = *span;
        Contact { a, b, from_us, to_us, rate_bps, rate_back_bps, latency_us, one_way }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(spans: &[(u16, u16, u64, u64)]) -> Vec<(u16, u16, u64, u64)> {
        let mut collected = Spans::new(100);
        for &(a, b, from, to) in spans {
            collected.meet([a, b], from, to).expect("few contacts");
        }
        let contacts = collected.into_contacts();
        contacts.iter().map(|it| (it.a, it.b, it.from_us, it.to_us)).collect()
    }

    #[test]
    fn overlapping_and_touching_spans_of_a_pair_are_one() {
        for (spans, expected) in [
            (vec![(0, 1, 0, 10), (1, 0, 5, 20)], vec![(0, 1, 0, 20)]),
            (vec![(0, 1, 10, 20), (0, 1, 0, 10)], vec![(0, 1, 0, 20)]),
            (vec![(0, 1, 0, 50), (0, 1, 10, 20)], vec![(0, 1, 0, 50)]),
            (vec![(0, 1, 0, 10), (0, 1, 11, 20)], vec![(0, 1, 0, 10), (0, 1, 11, 20)]),
            (vec![(0, 2, 0, 10), (0, 1, 0, 10)], vec![(0, 1, 0, 10), (0, 2, 0, 10)]),
        ] {
            assert_eq!(merged(&spans), expected, "{spans:?}");
        }
    }

    #[test]
    fn spans_are_clipped_to_the_run() {
        assert_eq!(merged(&[(0, 1, 90, 200), (0, 1, 100, 300)]), [(0, 1, 90, 100)]);
        assert_eq!(merged(&[(0, 1, 50, 50)]), []);
    }

    #[test]
    fn different_terms_stay_apart() {
        let fast = Terms { rate_bps: Some(9), ..Terms::default() };
        let mut spans = Spans::new(100);
        spans.meet([0, 1], 0, 10).expect("few contacts");
        spans.meet_under(fast, [0, 1], 5, 20).expect("few contacts");
        spans.meet_under(fast, [0, 1], 20, 30).expect("few contacts");
        let contacts = spans.into_contacts();
        let seen: Vec<_> = contacts.iter().map(|it| (it.from_us, it.to_us, it.rate_bps)).collect();
        assert_eq!(seen, [(0, 10, None), (5, 30, Some(9))]);
    }

    #[test]
    fn a_million_contacts_stay_below_a_hundred_megabytes() {
        assert!(size_of::<Span>() + size_of::<Contact>() <= 96);
    }

    proptest! {
        #[test]
        fn merging_keeps_every_moment(
            drawn in prop::collection::vec((0_u16..3, 3_u16..5, 0_u64..100, 1_u64..30), 0..40),
        ) {
            let spans: Vec<_> =
                drawn.iter().map(|&(a, b, from, lasts)| (a, b, from, from + lasts)).collect();
            let merged = merged(&spans);
            for at in 0..100 {
                for a in 0..3 {
                    for b in 3..5 {
                        let on = |list: &[(u16, u16, u64, u64)]| {
                            let covers = |it: &&(u16, u16, u64, u64)| {
                                (it.0, it.1) == (a, b) && (it.2..it.3).contains(&at)
                            };
                            list.iter().filter(covers).count()
                        };
                        prop_assert!(on(&merged) <= 1);
                        prop_assert_eq!(on(&spans) > 0, on(&merged) > 0);
                    }
                }
            }
            let key = |it: &(u16, u16, u64, u64)| (it.2, it.0, it.1, it.3);
            prop_assert!(merged.is_sorted_by_key(key));
        }
    }
}
