//! ION's text form of a plan (`ionrc`): one command a line.

use std::fmt::Write as _;

use super::{
    Builder, Confidence, Contact, IGNORED_MAX, Ignored, IgnoredWhy, Place, Plan, PlanError,
    PlanErrorKind, PlanFile, PlanLimits, Range, field,
};
use crate::bpv7::EndpointId;
use crate::time::Timestamp;

const CONTACT: &str = "a contact START END FROM TO BYTES_PER_SECOND [CONFIDENCE]";
const RANGE: &str = "a range START END FROM TO LIGHT_SECONDS";
const AT: &str = "@ TIME";
/// Characters of an ignored command that are kept.
const IGNORED_CHARS: usize = 60;

/// A word of a line, and where it begins.
type Word<'a> = (Place, &'a str);

pub(super) fn read(
    text: &str,
    reference: Timestamp,
    limits: &PlanLimits,
) -> Result<PlanFile, PlanError> {
    if text.len() > limits.bytes_max {
        return Err(Place::File.error(PlanErrorKind::TooLong(limits.bytes_max)));
    }
    let mut reader =
        Reader { builder: Builder::new(limits), reference, ignored: Vec::new(), ignored_total: 0 };
    for (index, line) in text.lines().enumerate() {
        reader.line(index + 1, line)?;
    }
    let Reader { builder, ignored, ignored_total, .. } = reader;
    Ok(PlanFile { plan: builder.finish()?, ignored, ignored_total })
}

struct Reader<'a> {
    builder: Builder<'a>,
    reference: Timestamp,
    ignored: Vec<Ignored>,
    ignored_total: usize,
}

impl Reader<'_> {
    fn line(&mut self, line: usize, text: &str) -> Result<(), PlanError> {
        let mut words = Words { line, text, at: 0 };
        let Some((place, command)) = words.next() else { return Ok(()) };
        let noun = words.clone().next().map_or("", |(_, noun)| noun);
        match (command, noun) {
            ("a", "contact") => self.contact(place, words),
            ("a", "range") => self.range(place, words),
            ("@", _) => {
                self.reference = self.time(words.field("time", AT)?, "time")?;
                words.end(AT)
            }
            _ if command.len() == 1 => {
                self.ignore(place, text, why(command, noun));
                Ok(())
            }
            _ => Err(place.error(PlanErrorKind::Command)),
        }
    }

    fn contact(&mut self, place: Place, mut words: Words<'_>) -> Result<(), PlanError> {
        let text = words.text;
        words.next();
        let start = words.field("start", CONTACT)?;
        let end = words.field("end", CONTACT)?;
        if start.1 == "-1" || end.1 == "0" {
            let registers = start.1 == "-1";
            let why = if registers { IgnoredWhy::Registration } else { IgnoredWhy::Hypothetical };
            self.ignore(place, text, why);
            return Ok(());
        }
        let (start, end) = (self.time(start, "start")?, self.time(end, "end")?);
        let (from, to) = nodes(&mut words, CONTACT)?;
        let rate = words.field("rate", CONTACT)?;
        let rate = parsed(rate, "rate", field::rate)?;
        let confidence = match words.next() {
            Some(word) => parsed(word, "confidence", field::confidence)?,
            None => Confidence::CERTAIN,
        };
        words.end(CONTACT)?;
        self.builder.contact(place, Contact { from, to, start, end, rate, confidence })
    }

    fn range(&mut self, place: Place, mut words: Words<'_>) -> Result<(), PlanError> {
        words.next();
        let start = self.time(words.field("start", RANGE)?, "start")?;
        let end = self.time(words.field("end", RANGE)?, "end")?;
        let (from, to) = nodes(&mut words, RANGE)?;
        let light_time = parsed(words.field("light time", RANGE)?, "light time", field::seconds)?;
        words.end(RANGE)?;
        self.builder.range(place, Range { from, to, start, end, light_time })
    }

    fn time(&self, word: Word<'_>, field: &'static str) -> Result<Timestamp, PlanError> {
        parsed(word, field, |text| field::time(text, self.reference))
    }

    fn ignore(&mut self, place: Place, text: &str, why: IgnoredWhy) {
        self.ignored_total += 1;
        if let Place::Text { line, .. } = place
            && self.ignored.len() < IGNORED_MAX
        {
            let command = text.trim().chars().take(IGNORED_CHARS).collect();
            self.ignored.push(Ignored { line, command, why });
        }
    }
}

fn why(command: &str, noun: &str) -> IgnoredWhy {
    match (command, noun) {
        ("d" | "c", "contact" | "range") => IgnoredWhy::Change,
        ("^", _) => IgnoredWhy::Region,
        _ => IgnoredWhy::Other,
    }
}

fn nodes(words: &mut Words<'_>, form: &'static str) -> Result<(EndpointId, EndpointId), PlanError> {
    let from = parsed(words.field("from", form)?, "from", field::node)?;
    let to = parsed(words.field("to", form)?, "to", field::node)?;
    Ok((from, to))
}

fn parsed<T>(
    (place, text): Word<'_>,
    field: &'static str,
    parse: impl FnOnce(&str) -> Result<T, field::Wrong>,
) -> Result<T, PlanError> {
    parse(text).map_err(|should_be| place.error(PlanErrorKind::Field { field, should_be }))
}

/// The words of a line up to a comment.
#[derive(Clone)]
struct Words<'a> {
    line: usize,
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<Word<'a>> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.find(|it: char| !it.is_ascii_whitespace())?;
        if self.text[start..].starts_with('#') {
            return None;
        }
        let rest = &self.text[start..];
        let len = rest.find(|it: char| it.is_ascii_whitespace()).unwrap_or(rest.len());
        self.at = start + len;
        Some((Place::Text { line: self.line, column: start + 1 }, &rest[..len]))
    }

    fn field(&mut self, field: &'static str, form: &'static str) -> Result<Word<'a>, PlanError> {
        let end = Place::Text { line: self.line, column: self.text.len() + 1 };
        self.next().ok_or(end.error(PlanErrorKind::Missing(field, form)))
    }

    fn end(mut self, form: &'static str) -> Result<(), PlanError> {
        match self.next() {
            Some((place, _)) => Err(place.error(PlanErrorKind::Extra(form))),
            None => Ok(()),
        }
    }
}

pub(super) fn write(plan: &Plan) -> String {
    let mut text = String::new();
    for it in plan.contacts() {
        let (start, end) = (field::written(it.start), field::written(it.end));
        let (from, to, rate) = (node(&it.from), node(&it.to), it.rate.bytes_per_s());
        let sure = field::written_confidence(it.confidence);
        writeln!(text, "a contact {start} {end} {from} {to} {rate} {sure}")
            .expect("a String takes it");
    }
    for it in plan.ranges() {
        let (start, end) = (field::written(it.start), field::written(it.end));
        let (from, to) = (node(&it.from), node(&it.to));
        let light = field::written_seconds(it.light_time);
        writeln!(text, "a range {start} {end} {from} {to} {light}").expect("a String takes it");
    }
    text
}

fn node(node: &EndpointId) -> String {
    field::number_of_node(node).map_or_else(|| node.to_string(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_dtn_ms(1_000_000);

    fn read(text: &str) -> Result<PlanFile, PlanError> {
        super::read(text, NOW, &PlanLimits::default())
    }

    #[test]
    fn reads_contacts_and_ranges() {
        let text = "# a plan\n\n  a contact +0 +3600 1 2 100000\r\n\
                    a contact 2026/11/27-03:00:00 2026/11/27-04:30:00 2 dtn://hub/ 5000 0.8 # the hub\n\
                    a range +0 +3600 1 2 1.5\n";
        let PlanFile { plan, ignored, .. } = read(text).expect("a plan");
        assert_eq!(ignored, []);
        let [first, to_hub] = plan.contacts() else { panic!("two contacts: {plan:?}") };
        assert_eq!(first.start, NOW);
        assert_eq!(first.duration().ms(), 3_600_000);
        assert_eq!((first.rate.bytes_per_s(), first.confidence), (100_000, Confidence::CERTAIN));
        assert_eq!(
            (to_hub.to.to_string().as_str(), to_hub.confidence.millionths()),
            ("dtn://hub/", 800_000)
        );
        assert_eq!(plan.light_time(first).map(|it| it.ms()), Some(1500));
    }

    #[test]
    fn relative_times_count_from_the_time_before() {
        let text = "@ 2026/11/27-03:00:00\n@ +60\na contact +1 +2 1 2 9\n";
        let plan = read(text).expect("a plan").plan;
        assert_eq!(field::written(plan.contacts()[0].start), "2026/11/27-03:01:01");
    }

    #[test]
    fn reports_what_it_does_not_obey() {
        let text = "1 1 ''\na contact +0 +9 1 2 9\nd contact +0 1 2\nc contact +0 1 2 5\n^ 3\n\
                    a contact -1 -1 1 1 0\na contact +0 0 1 2 0\na scheme ipn 'ipnfw' 'ipnadmin'\n";
        let found = read(text).expect("a plan");
        assert_eq!(found.plan.contacts().len(), 1, "what was added stays");
        let whys: Vec<_> = found.ignored.iter().map(|it| (it.line, it.why)).collect();
        assert_eq!(
            whys,
            [
                (1, IgnoredWhy::Other),
                (3, IgnoredWhy::Change),
                (4, IgnoredWhy::Change),
                (5, IgnoredWhy::Region),
                (6, IgnoredWhy::Registration),
                (7, IgnoredWhy::Hypothetical),
                (8, IgnoredWhy::Other),
            ]
        );
        assert_eq!(found.ignored[1].command, "d contact +0 1 2");
        let many = read(&"v\n".repeat(IGNORED_MAX + 5)).expect("a plan");
        assert_eq!((many.ignored.len(), many.ignored_total), (IGNORED_MAX, IGNORED_MAX + 5));
    }

    #[test]
    fn says_where_and_what_to_do() {
        for (text, message) in [
            (
                "contact +0 +9 1 2 9",
                "line 1, column 1: not a command: use `a contact`, `a range`, `@` or `#`",
            ),
            (
                "\na contact +0 +9 1 2",
                "line 2, column 20: rate is missing: use a contact START END FROM TO BYTES_PER_SECOND [CONFIDENCE]",
            ),
            (
                "a range +0 +9 1 2 1 5",
                "line 1, column 21: one field too many: use a range START END FROM TO LIGHT_SECONDS",
            ),
            (
                "a contact +0 +9 1 x 9",
                "line 1, column 19: to: use a node number above 0, ipn:NODE.0 or dtn://NAME/",
            ),
            (
                "a contact 0 +9 1 2 9",
                "line 1, column 11: start: use +SECONDS or YYYY/MM/DD-HH:MM:SS in UTC, in the years 2000 to 9999",
            ),
            (
                "a contact +0 +9 1 2 9 7",
                "line 1, column 23: confidence: use a number above 0 and at most 1 (a light time belongs into a range)",
            ),
            (
                "a contact +0 +9 1 2 0",
                "line 1, column 21: rate: use bytes per second, a whole number above 0",
            ),
            ("a contact +9 +9 1 2 9", "line 1, column 1: the end is not after the start"),
            ("@", "line 1, column 2: time is missing: use @ TIME"),
            (
                "a contact +0 +9 1 2 9\na contact +8 +10 1 2 9",
                "line 2, column 1: overlaps with the one at line 1, column 1 between the same nodes: shorten or remove one",
            ),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn tabs_line_ends_and_empty_lines_do_not_matter() {
        let plain = read("a contact +0 +9 1 2 9\na range +0 +9 1 2 1\n").expect("a plan");
        let other = read("\r\n\ta\tcontact  +0 +9 1 2 9 1#1\r\n \r\n#\na range +0 +9 1 2 1.0");
        assert_eq!(
            other.expect_err("no comment inside a word").to_string(),
            "line 2, column 25: confidence: use a number above 0 and at most 1 (a light time belongs into a range)"
        );
        let other = read("\r\n\ta\tcontact  +0 +9 1 2 9 1 #1\r\n \r\n#\na range +0 +9 1 2 1.0");
        assert_eq!(other.expect("a plan"), plain);
        assert_eq!(read("").expect("a plan").plan, Plan::default());
    }

    #[test]
    fn refuses_more_bytes_than_the_limit() {
        let limits = PlanLimits { bytes_max: 3, ..PlanLimits::default() };
        assert!(super::read("# a", NOW, &limits).is_ok());
        let error = super::read("# ab", NOW, &limits).expect_err("four");
        assert_eq!(error.kind, PlanErrorKind::TooLong(3));
    }

    #[test]
    fn reads_back_what_it_writes() {
        let text = "a contact +0 +3600.5 1 2 100000 0.25\na contact +0 +5 4294967298 dtn://hub/ 7\n\
                    a range +0 +3600 1 2 0.003\n";
        let plan = read(text).expect("a plan").plan;
        let again = super::read(&write(&plan), Timestamp::default(), &PlanLimits::default());
        assert_eq!(again.expect("a plan").plan, plan);
    }
}
