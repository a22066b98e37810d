//! The ONE's standard events: `time CONN a b up` and `down`.
//!
//! The Opportunistic Network Environment (Keränen, Ott and Kärkkäinen, SIMUTools
//! 2009) writes and reads such files; other events in them (`C`, `S`, `DE`, ...)
//! are about messages and not read. A connection that goes down without having
//! come up was there from the first event on, and one that never goes down is
//! there until the last.

use std::collections::BTreeMap;

use super::ImportError;
use super::draft::{Draft, Flow, HopTerms};
use super::recorded::nodes;
use super::text::lines;

/// What the lines of connections say.
const FORMAT: &str = "time CONN a b up|down";

pub(super) fn read(text: &str, unit_us: f64) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Flow::Both);
    let mut open: BTreeMap<[u16; 2], i64> = BTreeMap::new();
    let (mut first_us, mut now_us) = (None, i64::MIN);
    for line in lines(text) {
        let [time, action] = line.first(FORMAT)?;
        let at_us = line.time_us(time, unit_us)?;
        if at_us < now_us {
            return Err(line.error(format!("{time} is before the line above")));
        }
        now_us = at_us;
        let began_us = *first_us.get_or_insert(at_us);
        if action != "CONN" {
            continue;
        }
        let [_, _, one, other, change] = line.first(FORMAT)?;
        let [a, b] = nodes(&mut draft, &line, [one, other])?;
        let pair = [a.min(b), a.max(b)];
        match change.to_ascii_lowercase().as_str() {
            "up" => {
                open.entry(pair).or_insert(at_us);
            }
            "down" => {
                let since_us = open.remove(&pair).unwrap_or(began_us);
                draft.hop(pair, [since_us, at_us], HopTerms::default());
            }
            _ => return Err(line.error(format!("`{change}` is neither up nor down"))),
        }
    }
    for (pair, since_us) in open {
        draft.hop(pair, [since_us, now_us], HopTerms::default());
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::Contacts;

    fn read(text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = "[trace]\nfile = \"x\"\nformat = \"one\"\nkeep_time = true";
        let spec: Contacts = toml::from_str(spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    fn times(text: &str) -> Vec<(u16, u16, u64, u64)> {
        let found = read(text).expect("contacts");
        let contact = found.contacts.iter();
        contact.map(|it| (it.a, it.b, it.from_us / 1_000, it.to_us / 1_000)).collect()
    }

    #[test]
    fn connections_come_up_and_go_down() {
        let text = "# ONE\n1.500 CONN p1 p2 up\n2.0 C M1 p1 p2 1000\n4.25\tCONN\tp2\tp1\tDOWN\n\
                    5 CONN p1 p2 up 0\n6 CONN p1 p2 down 0\n";
        assert_eq!(times(text), [(0, 1, 1_500, 4_250), (0, 1, 5_000, 6_000)]);
    }

    #[test]
    fn what_is_open_at_an_end_of_the_file_was_open_before_or_after() {
        let text = "10 CONN 1 2 up\n20 CONN 3 4 down\n30 CONN 5 6 up\n40 CONN 5 6 down\n";
        assert_eq!(
            times(text),
            [(0, 1, 10_000, 40_000), (2, 3, 10_000, 20_000), (4, 5, 30_000, 40_000)]
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, message) in [
            ("1 CONN a b up\n2 CONN a b\n", "line 2: expected `time CONN a b up|down`"),
            ("1 CONN a b open\n", "line 1: `open` is neither up nor down"),
            ("2 CONN a b up\n1 CONN a b down\n", "line 2: 1 is before the line above"),
            ("1 CONN a a up\n", "line 1: node a meets itself"),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), message);
        }
    }
}
