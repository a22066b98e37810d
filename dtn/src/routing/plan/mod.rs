//! A contact plan: who can send to whom, when, how fast, and how far apart they are.
//!
//! The vocabulary is that of CCSDS 734.3-B-1 section 2 and of ION's `ionrc`: a contact has one direction
//! and one rate; a range says the one-way light time between two nodes. Nodes are endpoint ids of a
//! node: the number 7 in a file is `ipn:7.0`, and `dtn://name/` stands as it is.
//!
//! [`Plan::read_ion`] reads the text form, [`Plan::read_json`] the JSON form; both check the same things.
//! A plan is sorted and its contacts of one pair do not overlap, so that two files that say the same are
//! equal here. Limits: [`PlanLimits`]. Not here: changing a plan, and routes ([`super::graph`]).

mod error;
mod field;
mod ion;
mod json;

use std::collections::BTreeSet;

pub use self::error::{Place, PlanError, PlanErrorKind};
use crate::bpv7::EndpointId;
use crate::time::{Span, Timestamp};

/// Millionths in a whole.
const PARTS: u32 = 1_000_000;

/// Bytes per second, one or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRate(u64);

/// How likely a contact is to take place, in millionths: above zero, at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confidence(u32);

/// A time in which one node can send to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Who sends.
    pub from: EndpointId,
    /// Who receives.
    pub to: EndpointId,
    /// The first moment at which a byte can leave.
    pub start: Timestamp,
    /// The moment from which on none can.
    pub end: Timestamp,
    /// How fast.
    pub rate: ByteRate,
    /// How likely.
    pub confidence: Confidence,
}

/// How long a signal takes from one node to another during a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// Who sends.
    pub from: EndpointId,
    /// Who receives.
    pub to: EndpointId,
    /// From when on.
    pub start: Timestamp,
    /// Until when.
    pub end: Timestamp,
    /// The one-way light time.
    pub light_time: Span,
}

/// What a plan may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Bytes of the file. Default 4 MiB.
    pub bytes_max: usize,
    /// Contacts. Default 10,000.
    pub contacts_max: usize,
    /// Ranges. Default 10,000.
    pub ranges_max: usize,
    /// Different nodes. Default 1,000.
    pub nodes_max: usize,
}

/// Contacts and ranges, sorted by nodes and start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    contacts: Vec<Contact>,
    ranges: Vec<Range>,
}

/// A plan as it was read, and what in the file has no place in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// The plan.
    pub plan: Plan,
    /// Commands that were not obeyed, the first [`IGNORED_MAX`] of them: show them to whoever gave the file.
    pub ignored: Vec<Ignored>,
    /// How many there were in all.
    pub ignored_total: usize,
}

/// A command of a text that was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its line, from 1 on.
    pub line: usize,
    /// Its beginning.
    pub command: String,
    /// Why.
    pub why: IgnoredWhy,
}

/// Why a command was not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IgnoredWhy {
    /// It deletes or changes; the plan keeps what was added.
    #[error("deletes and changes are not obeyed: edit the line that adds the contact or range")]
    Change,
    /// A contact of a node with itself, which registers it in a region.
    #[error("registration of a node in a region")]
    Registration,
    /// A contact of unknown time.
    #[error("a contact that may happen at any time (stop time 0)")]
    Hypothetical,
    /// Regions are not told apart.
    #[error("regions are not told apart")]
    Region,
    /// About something else than contacts and ranges.
    #[error("not about contacts or ranges")]
    Other,
}

/// Commands that a [`PlanFile`] remembers as not obeyed.
pub const IGNORED_MAX: usize = 100;

impl ByteRate {
    /// A rate; none for zero.
    pub const fn new(bytes_per_s: u64) -> Option<Self> {
        if bytes_per_s == 0 { None } else { Some(Self(bytes_per_s)) }
    }

    /// Bytes per second.
    pub const fn bytes_per_s(self) -> u64 {
        self.0
    }

    /// How long `bytes` take, in whole milliseconds and rounded up.
    pub fn time_for(self, bytes: u64) -> Span {
        let ms = (u128::from(bytes) * 1000).div_ceil(u128::from(self.0));
        Span::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// How many whole bytes pass in `span`.
    pub fn bytes_in(self, span: Span) -> u64 {
        let bytes = u128::from(self.0) * u128::from(span.ms()) / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl Confidence {
    /// A scheduled contact.
    pub const CERTAIN: Self = Self(PARTS);

    /// A confidence of so many millionths; none for zero and above one.
    pub const fn from_millionths(parts: u32) -> Option<Self> {
        if parts == 0 || parts > PARTS { None } else { Some(Self(parts)) }
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// That both take place, if one says nothing about the other; at least a millionth.
    pub fn and(self, other: Self) -> Self {
        let both = u64::from(self.0) * u64::from(other.0) / u64::from(PARTS);
        Self(u32::try_from(both).unwrap_or(PARTS).max(1))
    }
}

impl Contact {
    /// Its length in time.
    pub fn duration(&self) -> Span {
        self.end.since(self.start)
    }

    /// The bytes that it can carry.
    pub fn volume(&self) -> u64 {
        self.rate.bytes_in(self.duration())
    }
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { bytes_max: 4 << 20, contacts_max: 10_000, ranges_max: 10_000, nodes_max: 1_000 }
    }
}

impl Plan {
    /// A plan of these contacts and ranges. An error names the contact or range by its index.
    pub fn new(
        contacts: Vec<Contact>,
        ranges: Vec<Range>,
        limits: &PlanLimits,
    ) -> Result<Self, PlanError> {
        let mut builder = Builder::new(limits);
        for (index, contact) in contacts.into_iter().enumerate() {
            builder.contact(Place::Contact(index), contact)?;
        }
        for (index, range) in ranges.into_iter().enumerate() {
            builder.range(Place::Range(index), range)?;
        }
        builder.finish()
    }

    /// Reads ION's text form. Times of the form `+SECONDS` count from `reference`, or from the time of
    /// the `@` command before.
    ///
    /// ```text
    /// # from 1 to 2 for an hour, 100,000 bytes per second; a second of light time, both ways
    /// a contact +0 +3600 1 2 100000
    /// a range +0 +3600 1 2 1
    /// a contact 2026/11/27-03:00:00 2026/11/27-04:30:00 2 dtn://hub/ 5000 0.8
    /// ```
    ///
    /// Beyond ION: nodes may be `dtn://NAME/` and `ipn:N.0`, seconds may have three decimals, and a
    /// comment may stand behind a command. Every other command of one character is reported in
    /// [`PlanFile::ignored`] and does nothing.
    pub fn read_ion(
        text: &str,
        reference: Timestamp,
        limits: &PlanLimits,
    ) -> Result<PlanFile, PlanError> {
        ion::read(text, reference, limits)
    }

    /// Reads the JSON form: an object of `reference` (optional, first), `contacts` and `ranges`.
    ///
    /// ```json
    /// {
    ///   "reference": "2026/11/27-03:00:00",
    ///   "contacts": [
    ///     {"from": 1, "to": "dtn://hub/", "start": "+0", "end": "+3600",
    ///      "rate_bytes_per_s": 100000, "confidence": 0.8}
    ///   ],
    ///   "ranges": [{"from": 1, "to": 2, "start": "+0", "end": "+3600", "light_time_s": 1.25}]
    /// }
    /// ```
    ///
    /// Keys stand in any order, each once; `confidence` is 1 if it is missing. Unknown keys, escapes in
    /// texts and exponents in numbers are errors.
    pub fn read_json(
        text: &str,
        reference: Timestamp,
        limits: &PlanLimits,
    ) -> Result<Self, PlanError> {
        json::read(text, reference, limits)
    }

    /// Writes ION's text form with absolute times.
    pub fn to_ion(&self) -> String {
        ion::write(self)
    }

    /// Writes the JSON form with absolute times.
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// The contacts, by nodes and start.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// The ranges, by nodes and start.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The nodes that send or receive, in order.
    pub fn nodes(&self) -> BTreeSet<&EndpointId> {
        self.contacts.iter().flat_map(|it| [&it.from, &it.to]).collect()
    }

    /// The longest one-way light time during a contact; none if no range says it.
    ///
    /// As in ION a range from the lower of two nodes to the higher one holds in both directions,
    /// unless there is any range from the higher to the lower.
    pub fn light_time(&self, contact: &Contact) -> Option<Span> {
        let ahead = self.ranges_between(&contact.from, &contact.to);
        let found = if ahead.is_empty() && contact.from > contact.to {
            self.ranges_between(&contact.to, &contact.from)
        } else {
            ahead
        };
        let during = |it: &&Range| it.start < contact.end && contact.start < it.end;
        found.iter().filter(during).map(|it| it.light_time).max()
    }

    fn ranges_between(&self, from: &EndpointId, to: &EndpointId) -> &[Range] {
        let pair = (from, to);
        let start = self.ranges.partition_point(|it| (&it.from, &it.to) < pair);
        let len = self.ranges[start..].partition_point(|it| (&it.from, &it.to) == pair);
        &self.ranges[start..start + len]
    }
}

/// Collects a plan, and where each part of it stood.
struct Builder<'a> {
    limits: &'a PlanLimits,
    contacts: Vec<(Contact, Place)>,
    ranges: Vec<(Range, Place)>,
    nodes: BTreeSet<EndpointId>,
}

impl<'a> Builder<'a> {
    fn new(limits: &'a PlanLimits) -> Self {
        Self { limits, contacts: Vec::new(), ranges: Vec::new(), nodes: BTreeSet::new() }
    }

    fn contact(&mut self, place: Place, contact: Contact) -> Result<(), PlanError> {
        if self.contacts.len() >= self.limits.contacts_max {
            return Err(place.error(PlanErrorKind::TooManyContacts(self.limits.contacts_max)));
        }
        self.check(place, &contact.from, &contact.to, (contact.start, contact.end))?;
        self.contacts.push((contact, place));
        Ok(())
    }

    fn range(&mut self, place: Place, range: Range) -> Result<(), PlanError> {
        if self.ranges.len() >= self.limits.ranges_max {
            return Err(place.error(PlanErrorKind::TooManyRanges(self.limits.ranges_max)));
        }
        self.check(place, &range.from, &range.to, (range.start, range.end))?;
        self.ranges.push((range, place));
        Ok(())
    }

    fn check(
        &mut self,
        place: Place,
        from: &EndpointId,
        to: &EndpointId,
        (start, end): (Timestamp, Timestamp),
    ) -> Result<(), PlanError> {
        for node in [from, to] {
            if node.is_none() || node.is_local_node() || *node != node.node() {
                return Err(place.error(PlanErrorKind::NotANode));
            }
            if !self.nodes.contains(node) {
                self.nodes.insert(node.clone());
            }
        }
        if from == to {
            return Err(place.error(PlanErrorKind::WithItself));
        }
        if start >= end {
            return Err(place.error(PlanErrorKind::EndsBeforeStart));
        }
        if end > field::TIME_MAX {
            return Err(place.error(PlanErrorKind::TooLate));
        }
        if self.nodes.len() > self.limits.nodes_max {
            return Err(place.error(PlanErrorKind::TooManyNodes(self.limits.nodes_max)));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Plan, PlanError> {
        self.contacts.sort();
        self.ranges.sort();
        let contacts =
            self.contacts.iter().map(|(it, at)| ((&it.from, &it.to), it.start, it.end, *at));
        let ranges = self.ranges.iter().map(|(it, at)| ((&it.from, &it.to), it.start, it.end, *at));
        no_overlap(contacts)?;
        no_overlap(ranges)?;
        let contacts = self.contacts.into_iter().map(|(it, _)| it).collect();
        let ranges = self.ranges.into_iter().map(|(it, _)| it).collect();
        Ok(Plan { contacts, ranges })
    }
}

/// Checks that of sorted intervals none begins before the one before it ended.
fn no_overlap<P: PartialEq>(
    sorted: impl Iterator<Item = (P, Timestamp, Timestamp, Place)>,
) -> Result<(), PlanError> {
    let mut last: Option<(P, Timestamp, Place)> = None;
    for (pair, start, end, place) in sorted {
        if let Some((before, until, other)) = &last
            && *before == pair
            && start < *until
        {
            // The later one in the file is the one to change.
            let (first, second) = (place.min(*other), place.max(*other));
            return Err(second.error(PlanErrorKind::Overlap(first)));
        }
        last = Some((pair, end, place));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(from: u32, to: u32, start: u64, end: u64) -> Contact {
        Contact {
            from: EndpointId::ipn(from, 0),
            to: EndpointId::ipn(to, 0),
            start: Timestamp::from_dtn_ms(start),
            end: Timestamp::from_dtn_ms(end),
            rate: ByteRate::new(1000).expect("a rate"),
            confidence: Confidence::CERTAIN,
        }
    }

    fn range(from: u32, to: u32, start: u64, end: u64, light: u64) -> Range {
        Range {
            from: EndpointId::ipn(from, 0),
            to: EndpointId::ipn(to, 0),
            start: Timestamp::from_dtn_ms(start),
            end: Timestamp::from_dtn_ms(end),
            light_time: Span::from_ms(light),
        }
    }

    fn plan(contacts: Vec<Contact>, ranges: Vec<Range>) -> Result<Plan, PlanError> {
        Plan::new(contacts, ranges, &PlanLimits::default())
    }

    #[test]
    fn rates_round_against_the_sender() {
        let rate = ByteRate::new(3).expect("a rate");
        assert_eq!(rate.time_for(1), Span::from_ms(334));
        assert_eq!(rate.bytes_in(Span::from_ms(999)), 2);
        assert_eq!(rate.time_for(u64::MAX).ms(), u64::MAX, "saturates");
        assert_eq!(ByteRate::new(0), None);
    }

    #[test]
    fn confidences_multiply_and_stay_above_zero() {
        let half = Confidence::from_millionths(500_000).expect("a half");
        assert_eq!(half.and(half).millionths(), 250_000);
        let least = Confidence::from_millionths(1).expect("a millionth");
        assert_eq!(least.and(least), least);
        assert_eq!(
            (Confidence::from_millionths(0), Confidence::from_millionths(1_000_001)),
            (None, None)
        );
    }

    #[test]
    fn refuses_what_is_no_contact() {
        for (contact, kind) in [
            (contact(1, 1, 0, 9), PlanErrorKind::WithItself),
            (contact(1, 2, 9, 9), PlanErrorKind::EndsBeforeStart),
            (contact(1, 2, 0, u64::MAX), PlanErrorKind::TooLate),
            (contact(0, 2, 0, 9), PlanErrorKind::NotANode),
            (contact(u32::MAX, 2, 0, 9), PlanErrorKind::NotANode),
            (
                Contact { from: EndpointId::ipn(1, 7), ..contact(1, 2, 0, 9) },
                PlanErrorKind::NotANode,
            ),
        ] {
            let error = plan(vec![contact], vec![]).expect_err("no contact");
            assert_eq!(error, PlanError { place: Place::Contact(0), kind });
        }
    }

    #[test]
    fn refuses_contacts_of_a_pair_that_overlap_and_names_both() {
        let sound = vec![contact(1, 2, 0, 9), contact(1, 2, 9, 12), contact(2, 1, 3, 5)];
        assert!(plan(sound.clone(), vec![]).is_ok(), "one ends where the next begins");
        let bad = [sound, vec![contact(1, 2, 8, 10)]].concat();
        let error = plan(bad, vec![]).expect_err("an overlap");
        assert_eq!(error.place, Place::Contact(3));
        assert!(matches!(error.kind, PlanErrorKind::Overlap(Place::Contact(0))));
    }

    #[test]
    fn keeps_its_limits() {
        let limits = PlanLimits { contacts_max: 2, ranges_max: 1, nodes_max: 3, bytes_max: 1 };
        let contacts = |count| (0..count).map(|it| contact(1, 2, 10 * it, 10 * it + 1)).collect();
        assert!(Plan::new(contacts(2), vec![], &limits).is_ok());
        let error = Plan::new(contacts(3), vec![], &limits).expect_err("three");
        assert_eq!(error.kind, PlanErrorKind::TooManyContacts(2));
        let ranges = vec![range(1, 2, 0, 1, 1), range(1, 2, 1, 2, 1)];
        let error = Plan::new(vec![], ranges, &limits).expect_err("two");
        assert_eq!(error.kind, PlanErrorKind::TooManyRanges(1));
        let wide = vec![contact(1, 2, 0, 1), contact(3, 4, 0, 1)];
        let error = Plan::new(wide, vec![], &limits).expect_err("four nodes");
        assert_eq!(error.kind, PlanErrorKind::TooManyNodes(3));
    }

    #[test]
    fn a_range_to_a_higher_node_holds_both_ways_unless_there_is_one_back() {
        let ranges = vec![range(1, 2, 0, 10, 5), range(1, 2, 10, 20, 7), range(4, 3, 0, 9, 3)];
        let one = plan(vec![], ranges.clone()).expect("a plan");
        let light = |plan: &Plan, it: Contact| plan.light_time(&it).map(Span::ms);
        assert_eq!(light(&one, contact(1, 2, 0, 10)), Some(5));
        assert_eq!(light(&one, contact(2, 1, 0, 10)), Some(5), "the way back");
        assert_eq!(light(&one, contact(1, 2, 5, 15)), Some(7), "the longest during it");
        assert_eq!(light(&one, contact(1, 2, 20, 30)), None);
        assert_eq!(light(&one, contact(3, 4, 0, 9)), None, "nothing is implied upwards");
        let back = plan(vec![], [ranges, vec![range(2, 1, 50, 60, 1)]].concat()).expect("a plan");
        assert_eq!(light(&back, contact(2, 1, 0, 10)), None, "overridden at all times");
    }

    #[test]
    fn a_contact_has_the_volume_of_its_time_and_rate() {
        let contact = contact(1, 2, 500, 2000);
        assert_eq!((contact.duration(), contact.volume()), (Span::from_ms(1500), 1500));
        let fast = Contact { rate: ByteRate(u64::MAX), ..contact };
        assert_eq!(fast.volume(), u64::MAX, "saturates");
    }

    #[test]
    fn knows_the_nodes_of_its_contacts() {
        let contacts = vec![contact(3, 1, 0, 9), contact(1, 2, 0, 9)];
        let plan = plan(contacts, vec![range(7, 8, 0, 9, 1)]).expect("a plan");
        let nodes: Vec<String> = plan.nodes().iter().map(|it| it.to_string()).collect();
        assert_eq!(nodes, ["ipn:1.0", "ipn:2.0", "ipn:3.0"], "in order, and of contacts alone");
    }

    #[test]
    fn refuses_ranges_of_a_pair_that_overlap() {
        let apart = vec![range(1, 2, 0, 9, 1), range(1, 2, 9, 12, 2), range(2, 1, 5, 10, 3)];
        assert!(plan(vec![], apart.clone()).is_ok());
        let error = plan(vec![], [vec![range(1, 2, 8, 10, 1)], apart].concat());
        let error = error.expect_err("an overlap");
        assert_eq!(
            error.to_string(),
            "range 1: overlaps with the one at range 0 between the same nodes: shorten or remove one"
        );
    }

    #[test]
    fn equal_contents_are_equal_plans() {
        let contacts = vec![contact(2, 1, 0, 9), contact(1, 2, 10, 19), contact(1, 2, 0, 9)];
        let turned = contacts.iter().rev().cloned().collect();
        assert_eq!(plan(contacts, vec![]), plan(turned, vec![]));
    }
}
