//! Traces that list contacts: SocioPatterns' `t i j` and Haggle's `a b start end`.
//!
//! SocioPatterns' sensors report every 20 s who faced whom in the 20 s before
//! (Cattuto et al., PLoS ONE 5(7), 2010); slots that follow each other become
//! one contact. Haggle's imotes (CRAWDAD cambridge/haggle) report the first and
//! the last sighting; a device that was seen once was there for a second.

use super::ImportError;
use super::draft::{Draft, Flow, HopTerms};
use super::text::{Line, lines};
use crate::contacts::MeanSeconds;
use crate::contacts::maths::US_PER_SECOND;

/// Length of a slot of the SocioPatterns sensors.
const SLOT_S: f64 = 20.0;
/// How long a device was there that was seen once.
const SEEN_ONCE_US: i64 = US_PER_SECOND as i64;

/// Lines `t i j`; more fields are not read.
pub(super) fn tij(
    text: &str,
    unit_us: f64,
    slot_s: Option<MeanSeconds>,
) -> Result<Draft, ImportError> {
    let slot_s = slot_s.map_or(SLOT_S, MeanSeconds::get);
    // At most ten days, so the cast keeps the value.
    let slot_us = (slot_s * US_PER_SECOND as f64).round() as i64;
    let mut draft = Draft::new(Flow::Both);
    for line in lines(text) {
        let [time, one, other] = line.first("t i j")?;
        let to_us = line.time_us(time, unit_us)?;
        let pair = nodes(&mut draft, &line, [one, other])?;
        draft.hop(pair, [to_us - slot_us, to_us], HopTerms::default());
    }
    Ok(draft)
}

/// Lines `a b start end`; more fields are not read.
pub(super) fn haggle(text: &str, unit_us: f64) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Flow::Both);
    for line in lines(text) {
        let [one, other, start, end] = line.first("a b start end")?;
        let [from_us, to_us] = [line.time_us(start, unit_us)?, line.time_us(end, unit_us)?];
        if to_us < from_us {
            return Err(line.error(format!("{end} is before {start}")));
        }
        let pair = nodes(&mut draft, &line, [one, other])?;
        let to_us = if to_us == from_us { from_us + SEEN_ONCE_US } else { to_us };
        draft.hop(pair, [from_us, to_us], HopTerms::default());
    }
    Ok(draft)
}

/// Two different nodes.
pub(super) fn nodes(
    draft: &mut Draft,
    line: &Line<'_>,
    [one, other]: [&str; 2],
) -> Result<[u16; 2], ImportError> {
    if one == other {
        return Err(line.error(format!("node {one} meets itself")));
    }
    Ok([draft.node(one)?, draft.node(other)?])
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::Contacts;

    fn read(format: &str, text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = format!("[trace]\nfile = \"x\"\nformat = \"{format}\"");
        let spec: Contacts = toml::from_str(&spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    fn seconds(found: &ImportedContacts) -> Vec<(u16, u16, u64, u64)> {
        let contact = found.contacts.iter();
        contact.map(|it| (it.a, it.b, it.from_us / 1_000_000, it.to_us / 1_000_000)).collect()
    }

    #[test]
    fn slots_that_follow_each_other_are_one_contact() {
        let text = "32560 1467 1591\n32560\t1513\t1591 X Y\n32580 1591 1467\n32660 1467 1591\n";
        let found = read("tij", text).expect("contacts");
        assert_eq!(found.names, ["1467", "1513", "1591"]);
        assert_eq!(seconds(&found), [(0, 2, 0, 40), (1, 2, 0, 20), (0, 2, 100, 120)]);
    }

    #[test]
    fn a_device_that_was_seen_once_was_there() {
        let text = "# imotes\n1 21 100 100 1 0\n2 1 90 160 1 0\n";
        let found = read("haggle", text).expect("contacts");
        assert_eq!(seconds(&found), [(0, 1, 0, 70), (0, 2, 10, 11)]);
    }

    #[test]
    fn errors_name_the_line() {
        for (format, text, message) in [
            ("tij", "20 1 2\n40 1\n", "line 2: expected `t i j`"),
            ("tij", "\n\nx 1 2\n", "line 3: `x` is not a time"),
            ("tij", "20 1 1\n", "line 1: node 1 meets itself"),
            ("haggle", "1 2 9 8\n", "line 1: 8 is before 9"),
            ("haggle", "1 2 9\n", "line 1: expected `a b start end`"),
        ] {
            assert_eq!(read(format, text).expect_err(text).to_string(), message);
        }
    }
}
