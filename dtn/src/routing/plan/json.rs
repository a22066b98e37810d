//! The JSON form of a plan.
//!
//! Read by hand, since this crate has no JSON library in its tree and a general one would neither refuse a
//! key that stands twice nor keep numbers from floats. The form has a fixed depth, so nothing recurses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{
    Builder, ByteRate, Confidence, Contact, Place, Plan, PlanError, PlanErrorKind, PlanLimits,
    Range, field,
};
use crate::bpv7::EndpointId;
use crate::time::{Span, Timestamp};

const TOP: &str = "reference, contacts and ranges";
const CONTACT: &str = "from, to, start, end, rate_bytes_per_s and confidence";
const RANGE: &str = "from, to, start, end and light_time_s";

pub(super) fn read(
    text: &str,
    reference: Timestamp,
    limits: &PlanLimits,
) -> Result<Plan, PlanError> {
    if text.len() > limits.bytes_max {
        return Err(Place::File.error(PlanErrorKind::TooLong(limits.bytes_max)));
    }
    let mut json = Json { text, at: 0, line: 1, line_start: 0 };
    let mut builder = Builder::new(limits);
    let mut reference = reference;
    let mut is_first = true;
    json.object(TOP, |json, place, key| {
        match key {
            "reference" if !is_first => {
                return Err(place.error(PlanErrorKind::Expected("the reference before all else")));
            }
            "reference" => reference = json.time("reference", reference)?,
            "contacts" => json.array(|json, place| {
                let contact = json.contact(place, reference)?;
                builder.contact(place, contact)
            })?,
            "ranges" => json.array(|json, place| {
                let range = json.range(place, reference)?;
                builder.range(place, range)
            })?,
            _ => return Err(place.error(PlanErrorKind::UnknownKey(TOP))),
        }
        is_first = false;
        Ok(())
    })?;
    json.space();
    if json.at < text.len() {
        return Err(json.place().error(PlanErrorKind::Expected("the end of the file")));
    }
    builder.finish()
}

/// A reader of the text that knows its line.
struct Json<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
}

/// The fields of a contact or range, as far as they were read.
#[derive(Default)]
struct Fields {
    from: Option<EndpointId>,
    to: Option<EndpointId>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    rate: Option<ByteRate>,
    confidence: Option<Confidence>,
    light_time: Option<Span>,
}

impl<'a> Json<'a> {
    fn contact(&mut self, place: Place, reference: Timestamp) -> Result<Contact, PlanError> {
        let found = self.fields(CONTACT, reference)?;
        let missing = |key| place.error(PlanErrorKind::Missing(key, CONTACT));
        Ok(Contact {
            from: found.from.ok_or(missing("from"))?,
            to: found.to.ok_or(missing("to"))?,
            start: found.start.ok_or(missing("start"))?,
            end: found.end.ok_or(missing("end"))?,
            rate: found.rate.ok_or(missing("rate_bytes_per_s"))?,
            confidence: found.confidence.unwrap_or(Confidence::CERTAIN),
        })
    }

    fn range(&mut self, place: Place, reference: Timestamp) -> Result<Range, PlanError> {
        let found = self.fields(RANGE, reference)?;
        let missing = |key| place.error(PlanErrorKind::Missing(key, RANGE));
        Ok(Range {
            from: found.from.ok_or(missing("from"))?,
            to: found.to.ok_or(missing("to"))?,
            start: found.start.ok_or(missing("start"))?,
            end: found.end.ok_or(missing("end"))?,
            light_time: found.light_time.ok_or(missing("light_time_s"))?,
        })
    }

    /// The fields of an object that is a contact or a range, as its `keys` say.
    fn fields(&mut self, keys: &'static str, reference: Timestamp) -> Result<Fields, PlanError> {
        let mut found = Fields::default();
        self.object(keys, |json, place, key| {
            match (key, keys) {
                ("from", _) => found.from = Some(json.node("from")?),
                ("to", _) => found.to = Some(json.node("to")?),
                ("start", _) => found.start = Some(json.time("start", reference)?),
                ("end", _) => found.end = Some(json.time("end", reference)?),
                ("rate_bytes_per_s", CONTACT) => {
                    found.rate = Some(json.number("rate_bytes_per_s", field::rate)?);
                }
                ("confidence", CONTACT) => {
                    found.confidence = Some(json.number("confidence", field::confidence)?);
                }
                ("light_time_s", RANGE) => {
                    found.light_time = Some(json.number("light_time_s", field::seconds)?);
                }
                _ => return Err(place.error(PlanErrorKind::UnknownKey(keys))),
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// An object whose values `value` reads; it is given each key and where it stands.
    fn object(
        &mut self,
        keys: &'static str,
        mut value: impl FnMut(&mut Self, Place, &'a str) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        self.take('{', "{")?;
        let mut seen = BTreeSet::new();
        while !self.ends('}', seen.is_empty(), "a key or }")? {
            self.space();
            let place = self.place();
            let key = self.string()?;
            if !seen.insert(key) {
                let known = keys.split([',', ' ']).find(|it| *it == key).unwrap_or("given");
                return Err(place.error(PlanErrorKind::Twice(known)));
            }
            self.take(':', ":")?;
            value(self, place, key)?;
        }
        Ok(())
    }

    /// An array whose items `item` reads; it is given where each stands.
    fn array(
        &mut self,
        mut item: impl FnMut(&mut Self, Place) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        self.take('[', "[")?;
        let mut is_first = true;
        while !self.ends(']', is_first, "an object or ]")? {
            self.space();
            item(self, self.place())?;
            is_first = false;
        }
        Ok(())
    }

    /// Whether a list ends here; else the comma before its next item is taken.
    fn ends(&mut self, close: char, is_first: bool, or: &'static str) -> Result<bool, PlanError> {
        self.space();
        if self.text[self.at..].starts_with(close) {
            self.at += 1;
            return Ok(true);
        }
        if !is_first {
            self.take(',', if close == '}' { ", or }" } else { ", or ]" })?;
            self.space();
        }
        // Neither a comma before the end nor a list without one.
        if self.text[self.at..].starts_with(close) || self.at >= self.text.len() {
            return Err(self.place().error(PlanErrorKind::Expected(or)));
        }
        Ok(false)
    }

    fn node(&mut self, field: &'static str) -> Result<EndpointId, PlanError> {
        self.space();
        let place = self.place();
        let is_text = self.text[self.at..].starts_with('"');
        let text = if is_text { self.string()? } else { self.digits() };
        field::node(text)
            .map_err(|should_be| place.error(PlanErrorKind::Field { field, should_be }))
    }

    fn time(&mut self, field: &'static str, reference: Timestamp) -> Result<Timestamp, PlanError> {
        self.space();
        let place = self.place();
        let text = self.string()?;
        field::time(text, reference)
            .map_err(|should_be| place.error(PlanErrorKind::Field { field, should_be }))
    }

    fn number<T>(
        &mut self,
        field: &'static str,
        parse: fn(&str) -> Result<T, field::Wrong>,
    ) -> Result<T, PlanError> {
        self.space();
        let place = self.place();
        parse(self.digits())
            .map_err(|should_be| place.error(PlanErrorKind::Field { field, should_be }))
    }

    /// What may be part of a number, up to what may not; a leading zero is no part of one.
    fn digits(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '+');
        let len = rest.find(|it| !part(it)).unwrap_or(rest.len());
        self.at += len;
        let digits = &rest[..len];
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if padded { "" } else { digits }
    }

    /// A text without escapes.
    fn string(&mut self) -> Result<&'a str, PlanError> {
        self.take('"', "a text in quotes")?;
        let rest = &self.text[self.at..];
        let plain = |it: char| it != '"' && it != '\\' && !it.is_ascii_control();
        let len = rest.find(|it| !plain(it)).unwrap_or(rest.len());
        self.at += len;
        if !rest[len..].starts_with('"') {
            let expected = "the closing quote: escapes and line ends are not part of a text here";
            return Err(self.place().error(PlanErrorKind::Expected(expected)));
        }
        self.at += 1;
        Ok(&rest[..len])
    }

    fn take(&mut self, what: char, expected: &'static str) -> Result<(), PlanError> {
        self.space();
        if !self.text[self.at..].starts_with(what) {
            return Err(self.place().error(PlanErrorKind::Expected(expected)));
        }
        self.at += what.len_utf8();
        Ok(())
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.text.as_bytes().get(self.at) {
            self.at += 1;
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn place(&self) -> Place {
        Place::Text { line: self.line, column: self.at - self.line_start + 1 }
    }
}

pub(super) fn write(plan: &Plan) -> String {
    let contacts = plan.contacts().iter().map(|it| {
        let (start, end) = (field::written(it.start), field::written(it.end));
        let (from, to, rate) = (node(&it.from), node(&it.to), it.rate.bytes_per_s());
        let sure = field::written_confidence(it.confidence);
        let times = format!(r#""start": "{start}", "end": "{end}""#);
        let nodes = format!(r#""from": {from}, "to": {to}"#);
        format!(r#"{{{nodes}, {times}, "rate_bytes_per_s": {rate}, "confidence": {sure}}}"#)
    });
    let ranges = plan.ranges().iter().map(|it| {
        let (start, end) = (field::written(it.start), field::written(it.end));
        let (from, to) = (node(&it.from), node(&it.to));
        let light = field::written_seconds(it.light_time);
        let times = format!(r#""start": "{start}", "end": "{end}""#);
        format!(r#"{{"from": {from}, "to": {to}, {times}, "light_time_s": {light}}}"#)
    });
    let mut text = "{".to_owned();
    list(&mut text, "contacts", contacts);
    text.push(',');
    list(&mut text, "ranges", ranges);
    text.push_str("\n}\n");
    text
}

fn list(text: &mut String, key: &str, items: impl Iterator<Item = String>) {
    write!(text, "\n  \"{key}\": [").expect("a String takes it");
    for (index, item) in items.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(text, "{comma}\n    {item}").expect("a String takes it");
    }
    text.push(']');
}

fn node(node: &EndpointId) -> String {
    field::number_of_node(node).map_or_else(|| format!("\"{node}\""), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_dtn_ms(1_000_000);

    fn read(text: &str) -> Result<Plan, PlanError> {
        super::read(text, NOW, &PlanLimits::default())
    }

    #[test]
    fn reads_what_the_text_form_says() {
        let json = r#"
            {"reference": "2026/11/27-03:00:00",
             "ranges": [{"from": 1, "to": 2, "start": "+0", "end": "+3600", "light_time_s": 1.5}],
             "contacts": [
                {"from": 1, "to": 2, "start": "+0", "end": "+3600", "rate_bytes_per_s": 100000},
                {"confidence": 0.8, "to": "dtn://hub/", "from": "ipn:2.0", "rate_bytes_per_s": 5000,
                 "end": "2026/11/27-04:30:00", "start": "+0"}]}"#;
        let text = "@ 2026/11/27-03:00:00\na contact +0 +3600 1 2 100000\n\
                    a contact +0 +5400 2 dtn://hub/ 5000 0.8\na range +0 +3600 1 2 1.5\n";
        let file = Plan::read_ion(text, NOW, &PlanLimits::default()).expect("a plan");
        assert_eq!(read(json), Ok(file.plan));
        assert_eq!(read("{}"), Ok(Plan::default()));
        assert_eq!(read(r#" { "contacts" : [ ] } "#), Ok(Plan::default()));
    }

    fn error(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn says_where_and_what_to_do() {
        for (text, message) in [
            ("", "line 1, column 1: expected {"),
            ("{\n \"contacts\": [", "line 2, column 15: expected an object or ]"),
            ("{\"plan\": []}", "line 1, column 2: unknown key: use reference, contacts and ranges"),
            (
                "{\"contacts\": [], \"contacts\": []}",
                "line 1, column 18: the key contacts stands here a second time: remove one",
            ),
            ("{\"contacts\": []} x", "line 1, column 18: expected the end of the file"),
            ("{\"contacts\": [],}", "line 1, column 17: expected a key or }"),
            ("{\"contacts\": []", "line 1, column 16: expected , or }"),
            (
                "{\"contacts\": [{}]}",
                "line 1, column 15: from is missing: use from, to, start, end, rate_bytes_per_s and confidence",
            ),
            (
                "{\"ranges\": [{\"rate_bytes_per_s\": 1}]}",
                "line 1, column 14: unknown key: use from, to, start, end and light_time_s",
            ),
            (
                "{\"contacts\": [{\"from\": 01}]}",
                "line 1, column 24: from: use a node number above 0, ipn:NODE.0 or dtn://NAME/",
            ),
            ("{\"contacts\": [{\"start\": 5}]}", "line 1, column 25: expected a text in quotes"),
            (
                "{\"contacts\": [{\"rate_bytes_per_s\": 1e3}]}",
                "line 1, column 36: rate_bytes_per_s: use bytes per second, a whole number above 0",
            ),
            (
                "{\"con\\u0074acts\": []}",
                "line 1, column 6: expected the closing quote: escapes and line ends are not part of a text here",
            ),
            (
                "{\"contacts\": [], \"reference\": \"+0\"}",
                "line 1, column 18: expected the reference before all else",
            ),
        ] {
            assert_eq!(error(text), message);
        }
    }

    #[test]
    fn keeps_its_limits() {
        let limits = PlanLimits { bytes_max: 20, ..PlanLimits::default() };
        assert!(super::read("{\"contacts\": []}", NOW, &limits).is_ok());
        let error = super::read("{\"contacts\": []      }", NOW, &limits).expect_err("too long");
        assert_eq!(error.kind, PlanErrorKind::TooLong(20));
        let contact = r#"{"from": 1, "to": 2, "start": "+0", "end": "+9", "rate_bytes_per_s": 1}"#;
        let limits = PlanLimits { contacts_max: 1, ..PlanLimits::default() };
        let two = format!("{{\"contacts\": [{contact}, {}]}}", contact.replace(": 1,", ": 3,"));
        let error = super::read(&two, NOW, &limits).expect_err("two");
        assert_eq!(error.kind, PlanErrorKind::TooManyContacts(1));
    }

    #[test]
    fn a_deep_or_endless_text_costs_no_more_than_its_bytes() {
        for text in ["[".repeat(100_000), "{\"contacts\": [".repeat(50_000), "\"".repeat(100_000)] {
            assert!(read(&text).is_err());
        }
    }

    #[test]
    fn checks_what_the_text_form_checks() {
        let contact = r#"{"from": 1, "to": 2, "start": "+0", "end": "+9", "rate_bytes_per_s": 1}"#;
        let twice = format!("{{\"contacts\": [{contact},\n{contact}]}}");
        assert_eq!(
            error(&twice),
            "line 2, column 1: overlaps with the one at line 1, column 15 between the same nodes: shorten or remove one"
        );
        let itself = format!("{{\"contacts\": [{}]}}", contact.replace(": 2", ": 1"));
        assert_eq!(error(&itself), "line 1, column 15: from and to are the same node");
    }

    #[test]
    fn reads_back_what_it_writes() {
        let text = "a contact +0 +3600.5 1 2 100000 0.25\na contact +0 +5 3 dtn://hub/ 7\n\
                    a range +0 +3600 1 2 0.003\n";
        let plan = Plan::read_ion(text, NOW, &PlanLimits::default()).expect("a plan").plan;
        assert_eq!(read(&write(&plan)), Ok(plan));
        assert_eq!(read(&write(&Plan::default())), Ok(Plan::default()));
    }
}
