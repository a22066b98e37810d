//! Contact plans of HDTN, NASA Glenn's High-rate Delay Tolerant Networking.
//!
//! `{"contacts": [{"contact": 0, "source": 1, "dest": 2, "startTime": 0,
//! "endTime": 60, "rateBitsPerSec": 8000, "owlt": 1}]}`: one way each, times and
//! the one-way light time in seconds. The older `rate`, in megabits per second,
//! is read where the newer key is missing. Other keys are passed over.

use serde::Deserialize;

use super::draft::{Draft, Flow, HopTerms};
use super::text::time_us;
use super::{ImportError, TimeUnit};

#[derive(Debug, Deserialize)]
struct Plan {
    contacts: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    source: u64,
    dest: u64,
    start_time: f64,
    end_time: f64,
    rate_bits_per_sec: Option<f64>,
    rate: Option<f64>,
    #[serde(default)]
    owlt: f64,
}

pub(super) fn read(text: &str) -> Result<Draft, ImportError> {
    let plan: Plan =
        serde_json::from_str(text).map_err(|error| ImportError::Json(error.to_string()))?;
    let mut draft = Draft::new(Flow::OneWay(Vec::new()));
    for (index, item) in plan.contacts.iter().enumerate() {
        let wrong = |what: &str| ImportError::Item { index, what: what.to_owned() };
        if item.source == item.dest {
            return Err(wrong("a node meets itself"));
        }
        let bits_per_s = item.rate_bits_per_sec.or(item.rate.map(|mega| mega * 1e6));
        let bits_per_s = bits_per_s.ok_or_else(|| wrong("no rateBitsPerSec"))?;
        let rate_bps =
            bytes_per_s(bits_per_s).ok_or_else(|| wrong("a rate that carries nothing"))?;
        let times_us = times(item.start_time, item.end_time).map_err(&wrong)?;
        let latency_us = delay_us(item.owlt).ok_or_else(|| wrong("owlt is not a delay"))?;
        let from = draft.node(&item.source.to_string())?;
        let to = draft.node(&item.dest.to_string())?;
        let latency_us = Some(latency_us);
        draft.hop([from, to], times_us, HopTerms { rate_bps: Some(rate_bps), latency_us });
    }
    Ok(draft)
}

/// Bytes per second, rounded up; none if nothing gets through.
pub(super) fn bytes_per_s(bits_per_s: f64) -> Option<u64> {
    // The cast saturates.
    (bits_per_s.is_finite() && bits_per_s > 0.0).then(|| (bits_per_s / 8.0).ceil() as u64)
}

/// Beginning and end in microseconds, or what is wrong with them.
pub(super) fn times(start_s: f64, end_s: f64) -> Result<[i64; 2], &'static str> {
    let us = |seconds| time_us(seconds, TimeUnit::S.us()).ok_or("a time out of range");
    let times_us = [us(start_s)?, us(end_s)?];
    if times_us[0] < times_us[1] { Ok(times_us) } else { Err("its end is not after its start") }
}

/// A delay in microseconds.
pub(super) fn delay_us(seconds: f64) -> Option<u64> {
    time_us(seconds, TimeUnit::S.us()).and_then(|us| u64::try_from(us).ok())
}

#[cfg(test)]
mod tests {
    use super::super::{ImportedContacts, import};
    use super::*;
    use crate::contacts::{Contacts, Direction};

    fn read(text: &str) -> Result<ImportedContacts, ImportError> {
        let spec = "[plan]\nfile = \"x\"\nformat = \"hdtn\"";
        let spec: Contacts = toml::from_str(spec).expect("a specification");
        import(&spec, text.as_bytes())
    }

    fn item(rest: &str) -> String {
        format!("{{\"contacts\": [{{\"contact\": 0, {rest}}}]}}")
    }

    #[test]
    fn contacts_go_one_way_unless_there_is_one_back() {
        let text = r#"{"contacts": [
            {"contact": 0, "source": 102, "dest": 10, "startTime": 0, "endTime": 2000,
             "rateBitsPerSec": 8001, "owlt": 1},
            {"contact": 1, "source": 10, "dest": 102, "startTime": 0, "endTime": 500,
             "rate": 1, "owlt": 2, "finalDestination": 1}]}"#;
        let found = read(text).expect("contacts");
        assert_eq!(found.names, ["10", "102"]);
        let [both, back] = found.contacts[..] else { panic!("{:?}", found.contacts) };
        assert_eq!((both.to_us, both.rates_bps()), (500_000_000, [Some(125_000), Some(1_001)]));
        assert_eq!((both.latency_us, back.latency_us), (Some(2_000_000), Some(1_000_000)));
        assert_eq!((back.direction(), back.to_us), (Direction::Back, 2_000_000_000));
    }

    #[test]
    fn errors_say_which_contact() {
        let ends = "\"source\": 1, \"dest\": 2, \"startTime\": 0, \"endTime\": 9";
        for (text, message) in [
            (item(ends), "contact 0: no rateBitsPerSec"),
            (item(&format!("{ends}, \"rate\": 0")), "contact 0: a rate that carries nothing"),
            (item(&format!("{ends}, \"rate\": 1, \"owlt\": -1")), "contact 0: owlt is not a delay"),
            (
                item(&ends.replace('9', "0")).replace("0, \"source", "0, \"rate\": 1, \"source"),
                "contact 0: its end is not after its start",
            ),
            (item(&ends.replace('2', "1")), "contact 0: a node meets itself"),
        ] {
            assert_eq!(read(&text).expect_err(&text).to_string(), message);
        }
        let error = read("{\"contacts\":\n [{}]}").expect_err("no source").to_string();
        assert!(error.contains("source") && error.contains("line 2"), "{error}");
    }
}
