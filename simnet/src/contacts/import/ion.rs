//! Contact plans of ION, NASA JPL's Interplanetary Overlay Network.
//!
//! Of the commands in ionrc(5), `a contact +start +end from to bytes_per_s`,
//! `a range +start +end a b light_seconds` and `@ time` are read. Times are
//! seconds after the reference, which `@` moves, or dates; a file that names
//! dates must name one before it uses seconds, because nobody knows when it
//! would have been run. Contacts that only register a node (start -1) or are
//! hypothetical (end 0) are passed over, as are commands that say nothing of
//! contacts. Changing and deleting is refused rather than passed over.

use super::ImportError;
use super::TimeUnit;
use super::directed::RangeSpan;
use super::draft::{Draft, Flow, HopTerms};
use super::recorded::nodes;
use super::text::{Line, lines, time_us};

const CONTACT: &str = "a contact start end from to bytes_per_s";
const RANGE: &str = "a range start end a b light_seconds";

/// What a time counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// The moment at which the file would have been run.
    Reading,
    /// 1 January 1970.
    Epoch,
}

/// The reference of relative times, and what the file's times count from.
#[derive(Debug)]
struct Clock {
    since: Since,
    reference_us: i64,
    used: Option<Since>,
}

pub(super) fn read(text: &str) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Flow::OneWay(Vec::new()));
    let mut clock = Clock { since: Since::Reading, reference_us: 0, used: None };
    for line in lines(text) {
        let mut fields = line.fields();
        match (fields.next(), fields.next()) {
            (Some("a"), Some("contact")) => contact(&mut draft, &mut clock, &line)?,
            (Some("a"), Some("range")) => range(&mut draft, &mut clock, &line)?,
            (Some("@"), Some(time)) => clock.set(&line, time)?,
            (Some(command @ ("c" | "d")), Some(what @ ("contact" | "range"))) => {
                let done = if command == "c" { "changing" } else { "deleting" };
                return Err(line.error(format!("{done} a {what} is not supported")));
            }
            _ => {}
        }
    }
    Ok(draft)
}

fn contact(draft: &mut Draft, clock: &mut Clock, line: &Line<'_>) -> Result<(), ImportError> {
    let [_, _, start, end, from, to, rate] = line.first(CONTACT)?;
    let registers = start == "-1";
    let hypothetical = end == "0";
    if registers || hypothetical {
        return Ok(());
    }
    let times_us = clock.times(line, start, end)?;
    let rate_bps = line.whole(rate)?;
    if rate_bps == 0 {
        return Err(line.error("a rate of 0 carries nothing"));
    }
    let way = nodes(draft, line, [from, to])?;
    draft.hop(way, times_us, HopTerms { rate_bps: Some(rate_bps), latency_us: None });
    Ok(())
}

fn range(draft: &mut Draft, clock: &mut Clock, line: &Line<'_>) -> Result<(), ImportError> {
    let [_, _, start, end, from, to, light] = line.first(RANGE)?;
    let [from_us, to_us] = clock.times(line, start, end)?;
    let latency_us = u64::try_from(line.time_us(light, TimeUnit::S.us())?);
    let latency_us = latency_us.map_err(|_| line.error(format!("{light} is not a distance")))?;
    let [from, to] = nodes(draft, line, [from, to])?;
    draft.range(RangeSpan { from, to, from_us, to_us, latency_us });
    Ok(())
}

impl Clock {
    /// Moves the reference.
    fn set(&mut self, line: &Line<'_>, time: &str) -> Result<(), ImportError> {
        (self.since, self.reference_us) = self.read(line, time)?;
        Ok(())
    }

    /// Beginning and end, in microseconds.
    fn times(&mut self, line: &Line<'_>, start: &str, end: &str) -> Result<[i64; 2], ImportError> {
        let mut times_us = [0; 2];
        for (place, time) in times_us.iter_mut().zip([start, end]) {
            let (since, us) = self.read(line, time)?;
            if *self.used.get_or_insert(since) != since {
                return Err(line.error(format!(
                    "`{time}` mixes dates and seconds; set a reference with `@ yyyy/mm/dd-hh:mm:ss`"
                )));
            }
            *place = us;
        }
        if times_us[1] <= times_us[0] {
            return Err(line.error(format!("{end} is not after {start}")));
        }
        Ok(times_us)
    }

    fn read(&self, line: &Line<'_>, time: &str) -> Result<(Since, i64), ImportError> {
        let second_us = TimeUnit::S.us();
        if let Some(after) = time.strip_prefix('+') {
            let us = self.reference_us.saturating_add(line.time_us(after, second_us)?);
            // Sums stay in the range of times, or they are none.
            let in_range = time_us(us as f64, 1.0);
            let us = in_range.ok_or_else(|| line.error(format!("`{time}` leads too far")))?;
            return Ok((self.since, us));
        }
        let seconds = date(time).ok_or_else(|| {
            line.error(format!("`{time}` is neither +seconds nor yyyy/mm/dd-hh:mm:ss"))
        })?;
        Ok((Since::Epoch, seconds * 1_000_000))
    }
}

/// Seconds from 1970 to `yyyy/mm/dd-hh:mm:ss`, without leap seconds.
fn date(text: &str) -> Option<i64> {
    let (day, time) = text.split_once('-')?;
    let [year, month, day] = numbers(day, '/')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let sound = (1970..2100).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    sound.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for number in &mut numbers {
        *number = i64::from(parts.next()?.parse::<u16>().ok()?);
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970 to a date of the Gregorian calendar; years begin in March, so
/// that the leap day comes last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    const BEFORE_1970: i64 = 719_469;
    year * 365 + leap_days + (months * 306 + 5) / 10 + day - BEFORE_1970
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::{Contacts, Direction};

    fn read(text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = "[plan]\nfile = \"x\"\nformat = \"ion\"";
        let spec: Contacts = toml::from_str(spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    #[test]
    fn contacts_and_ranges_become_links() {
        let found = read(
            "# two nodes\nm horizon +0\n1 2 ''\ns\n\
             a range +0 +36000 2 10 20\n\
             a contact  +0 +300\t2 10   1024\n\
             a contact +0 +300 10 2 131072 1.0\n\
             @ +900\n\
             a contact +0 +60 10 2 500\n\
             a contact -1 -1 2 2 0\na contact +0 0 2 10 0\n",
        );
        let found = found.expect("contacts");
        assert_eq!(found.names, ["2", "10"]);
        let [both, back] = found.contacts[..] else { panic!("{:?}", found.contacts) };
        assert_eq!((both.from_us, both.to_us), (0, 300_000_000));
        assert_eq!(both.rates_bps(), [Some(1_024), Some(131_072)]);
        assert_eq!((both.latency_us, both.direction()), (Some(20_000_000), Direction::Both));
        assert_eq!((back.from_us, back.to_us), (900_000_000, 960_000_000));
        assert_eq!((back.direction(), back.rates_bps()), (Direction::Back, [None, Some(500)]));
    }

    #[test]
    fn dates_are_counted_from_the_first_contact() {
        let found = read(
            "@ 2026/02/28-23:59:50\na contact +0 +20 1 2 9\n\
             a contact 2026/03/01-00:00:20 2026/03/01-00:00:30 2 1 9\n",
        );
        let found = found.expect("contacts");
        let times: Vec<_> = found
            .contacts
            .iter()
            .map(|it| (it.from_us / 1_000_000, it.to_us / 1_000_000))
            .collect();
        assert_eq!(times, [(0, 20), (30, 40)]);
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (text, expected) in [
            ("1970/01/01-00:00:00", Some(0)),
            ("2000/02/29-12:00:00", Some(951_825_600)),
            ("2026/11/23-08:06:01", Some(1_795_421_161)),
            ("2026/13/01-00:00:00", None),
            ("1969/12/31-23:59:59", None),
            ("2026/11/23", None),
            ("2026/11/23-08:06", None),
            ("2026/11/23-08:06:01:00", None),
        ] {
            assert_eq!(date(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, message) in [
            ("a contact +0 +9 1 2\n", format!("line 1: expected `{CONTACT}`")),
            ("\na range +0 +9 1 2\n", format!("line 2: expected `{RANGE}`")),
            (
                "a contact 0 +9 1 2 3\n",
                "line 1: `0` is neither +seconds nor yyyy/mm/dd-hh:mm:ss".into(),
            ),
            ("a contact +9 +9 1 2 3\n", "line 1: +9 is not after +9".into()),
            ("a contact +0 +9 1 1 3\n", "line 1: node 1 meets itself".into()),
            ("a contact +0 +9 1 2 0\n", "line 1: a rate of 0 carries nothing".into()),
            ("a range +0 +9 1 2 -3\n", "line 1: -3 is not a distance".into()),
            ("d contact * 1 2\n", "line 1: deleting a contact is not supported".into()),
            (
                "a contact +0 +9 1 2 3\na contact 2026/01/01-00:00:00 2026/01/01-00:00:09 1 2 3\n",
                "line 2: `2026/01/01-00:00:00` mixes dates and seconds; set a reference with \
                 `@ yyyy/mm/dd-hh:mm:ss`"
                    .into(),
            ),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), message);
        }
    }
}
