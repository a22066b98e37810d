//! Contacts as comma-separated values, for plans made by a script.
//!
//! The header names the columns, in any order: `from_s`, `to_s`, `a` and `b`
//! must be there, `rate_bps` (bytes per second) and `latency_ms` may be, and an
//! empty field leaves them to the scenario's link. Nothing is quoted.

use super::ImportError;
use super::TimeUnit;
use super::draft::{Draft, Flow, HopTerms};
use super::recorded::nodes;
use super::text::{Line, lines};

const COLUMNS: [&str; 6] = ["from_s", "to_s", "a", "b", "rate_bps", "latency_ms"];
/// How many of them must be there.
const NEEDED: usize = 4;
const HEADER: &str = "from_s,to_s,a,b[,rate_bps,latency_ms]";

/// Where each of [`COLUMNS`] stands.
type Places = [Option<usize>; COLUMNS.len()];

pub(super) fn read(text: &str) -> Result<Draft, ImportError> {
    let mut draft = Draft::new(Flow::Both);
    let mut lines = lines(text);
    let Some(header) = lines.next() else { return Ok(draft) };
    let places = places(&header)?;
    for line in lines {
        contact(&mut draft, &line, &places)?;
    }
    Ok(draft)
}

fn places(header: &Line<'_>) -> Result<Places, ImportError> {
    let mut places: Places = [None; COLUMNS.len()];
    for (place, name) in header.text().split(',').map(str::trim).enumerate() {
        let column = COLUMNS.iter().position(|&column| column == name);
        let column = column.filter(|&column| places[column].is_none());
        let column = column.ok_or_else(|| {
            header.error(format!("`{name}` is unknown or there twice; the header is `{HEADER}`"))
        })?;
        places[column] = Some(place);
    }
    let missing = COLUMNS[..NEEDED].iter().zip(places).find(|(_, place)| place.is_none());
    match missing {
        Some((name, _)) => Err(header.error(format!("no `{name}`; the header is `{HEADER}`"))),
        None => Ok(places),
    }
}

fn contact(draft: &mut Draft, line: &Line<'_>, places: &Places) -> Result<(), ImportError> {
    let mut found = [""; COLUMNS.len()];
    for (place, field) in line.text().split(',').map(str::trim).enumerate() {
        let column = places.iter().position(|&it| it == Some(place));
        found[column.ok_or_else(|| line.error("more fields than the header has"))?] = field;
    }
    let missing = COLUMNS[..NEEDED].iter().zip(found).find(|(_, field)| field.is_empty());
    if let Some((name, _)) = missing {
        return Err(line.error(format!("no `{name}`")));
    }
    let [from, to, one, other, rate, latency] = found;
    let second_us = TimeUnit::S.us();
    let times_us = [line.time_us(from, second_us)?, line.time_us(to, second_us)?];
    if times_us[1] <= times_us[0] {
        return Err(line.error(format!("{to} is not after {from}")));
    }
    let pair = nodes(draft, line, [one, other])?;
    draft.hop(pair, times_us, terms(line, rate, latency)?);
    Ok(())
}

fn terms(line: &Line<'_>, rate: &str, latency: &str) -> Result<HopTerms, ImportError> {
    let mut terms = HopTerms::default();
    if !rate.is_empty() {
        let rate_bps = line.whole(rate)?;
        if rate_bps == 0 {
            return Err(line.error("a rate of 0 carries nothing"));
        }
        terms.rate_bps = Some(rate_bps);
    }
    if !latency.is_empty() {
        let latency_us = line.time_us(latency, TimeUnit::Ms.us())?;
        let latency_us = u64::try_from(latency_us);
        terms.latency_us =
            Some(latency_us.map_err(|_| line.error(format!("{latency} ms is before now")))?);
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::Contacts;

    fn read(text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = "[trace]\nfile = \"x\"\nformat = \"csv\"";
        let spec: Contacts = toml::from_str(spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    #[test]
    fn columns_may_come_in_any_order() {
        for text in [
            "from_s,to_s,a,b,rate_bps,latency_ms\n0,1.5,x,y,500,2.5\n",
            "\u{feff}b, a, latency_ms, rate_bps, to_s, from_s\r\ny, x, 2.5, 500, 1.5, 0\r\n",
        ] {
            let found = read(text).expect("contacts");
            assert_eq!(found.names, ["x", "y"]);
            let contact = found.contacts[0];
            assert_eq!((contact.a, contact.b), (0, 1));
            assert_eq!((contact.from_us, contact.to_us), (0, 1_500_000));
            assert_eq!((contact.rate_bps, contact.latency_us), (Some(500), Some(2_500)));
            assert_eq!(contact.rates_bps(), [Some(500); 2]);
        }
    }

    #[test]
    fn an_empty_field_leaves_it_to_the_link() {
        let found = read("from_s,to_s,a,b,rate_bps,latency_ms\n0,1,x,y,,\n0,1,x,z,5\n");
        let found = found.expect("contacts");
        let terms: Vec<_> = found.contacts.iter().map(|it| (it.rate_bps, it.latency_us)).collect();
        assert_eq!(terms, [(None, None), (Some(5), None)]);
    }

    #[test]
    fn errors_name_the_line() {
        let unknown = format!("line 1: `rate` is unknown or there twice; the header is `{HEADER}`");
        let missing = format!("line 1: no `b`; the header is `{HEADER}`");
        for (text, message) in [
            ("from_s,to_s,a,b,rate\n", unknown.as_str()),
            ("from_s,to_s,a\n", missing.as_str()),
            ("from_s,to_s,a,b\n0,1,x\n", "line 2: no `b`"),
            ("from_s,to_s,a,b\n0,1,x,y,z\n", "line 2: more fields than the header has"),
            ("from_s,to_s,a,b\n\n1,1,x,y\n", "line 3: 1 is not after 1"),
            ("from_s,to_s,a,b,rate_bps\n0,1,x,y,0\n", "line 2: a rate of 0 carries nothing"),
            ("from_s,to_s,a,b,latency_ms\n0,1,x,y,-1\n", "line 2: -1 ms is before now"),
        ] {
            assert_eq!(read(text).expect_err(text).to_string(), message);
        }
    }
}
